package dev.hookswitch.agent

import dev.hookswitch.CodeBy

/** Names of [Block.Field]s. */
object Fields {
    /** Where calls go. */
    const val NUMBER: String = "number"

    /** What was read there. */
    const val CODE: String = "code"
}

/** Where calls go: a number, for how long, and a code where the server wants to know that it is the agent's. */
fun forwardingPage(shown: Shown): Page {
    val on = shown.app?.presence?.forwarding
    val until = on?.until
    val now: List<Block> = when {
        on == null -> listOf(Block.Line(Text(R.string.forwarding_is_off)))
        else -> listOf(
            Block.Notice(
                if (until == null) Text(R.string.banner, on.number) else Text(R.string.banner_until, on.number, shown.time(until)),
                Block.Button(Text(R.string.forwarding_off), Act.ForwardingOff),
            ),
        )
    }
    val code: List<Block> = listOf(
        Block.Heading(Text(R.string.number_is_mine)),
        Block.Button(Text(R.string.code_by_sms), Act.SendCode(CodeBy.SMS), enabled = !shown.ui.busy),
        Block.Button(Text(R.string.code_by_call), Act.SendCode(CodeBy.CALL), enabled = !shown.ui.busy),
    )
    val sent: List<Block> = listOf(
        Block.Field(Fields.CODE, Text(R.string.code), Block.Field.Kind.CODE),
        Block.Button(Text(R.string.verify), Act.Verify, Block.Button.Kind.MAIN, enabled = !shown.ui.busy),
    )
    return Page(
        Text(R.string.forwarding),
        shown.ui.said() + now + listOf(
            Block.Line(Text(R.string.forwarding_about)),
            Block.Field(Fields.NUMBER, Text(R.string.number), Block.Field.Kind.PHONE),
            Block.Button(Text(R.string.forward), Act.Forward(null), Block.Button.Kind.MAIN, enabled = !shown.ui.busy),
            Block.Button(Text(R.string.forward_hour), Act.Forward(1), enabled = !shown.ui.busy),
            Block.Button(Text(R.string.forward_day), Act.Forward(8), enabled = !shown.ui.busy),
        ) + code + if (shown.ui.codeSent) sent else listOf(),
    )
}
