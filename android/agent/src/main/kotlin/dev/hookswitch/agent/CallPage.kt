package dev.hookswitch.agent

import dev.hookswitch.android.AudioEndpoint
import dev.hookswitch.android.CallPhase

/** A call that rings, also over the lock screen; and the call that the agent is in. */
fun callPage(call: CallShown): Page {
    val state = call.state
    val title = call.name ?: call.from
    val who = listOfNotNull(
        Block.Title(title?.let { Text.said(it) } ?: Text(R.string.withheld)),
        call.from?.takeIf { call.name != null }?.let { Block.Line(Text.said(it)) },
        state.message?.let { Block.Notice(Text.said(it)) },
    )
    val what: List<Block> = when (state.phase) {
        CallPhase.Ringing -> listOfNotNull(
            Block.Button(Text(R.string.answer), Act.Accept, Block.Button.Kind.GO),
            Block.Button(Text(R.string.decline), Act.Reject, Block.Button.Kind.DANGER),
            Block.Button(Text(R.string.silence), Act.Silence).takeIf { !state.silenced },
        )
        CallPhase.Answering -> listOf(
            Block.Progress,
            Block.Line(Text(R.string.answering)),
            Block.Button(Text(R.string.hang_up), Act.HangUp, Block.Button.Kind.DANGER),
        )
        CallPhase.Active, CallPhase.Held -> speaking(call)
        is CallPhase.Ended -> listOf(Block.Line(Text(R.string.call_over)))
    }
    val heading = when (state.phase) {
        CallPhase.Ringing -> R.string.incoming
        CallPhase.Answering -> R.string.incoming
        CallPhase.Active -> R.string.in_call
        CallPhase.Held -> R.string.on_hold
        is CallPhase.Ended -> R.string.call_over
    }
    return Page(Text(heading), who + what, back = false)
}

private fun speaking(call: CallShown): List<Block> {
    val state = call.state
    val held = state.phase == CallPhase.Held
    val ways = state.endpoints.filter { state.endpoints.size > 1 }.map {
        Block.Choice(it.title, it.id == state.endpoint?.id, waiting = false, Act.Use(it))
    }
    return listOf(
        Block.Button(Text(if (state.muted) R.string.unmute else R.string.mute), Act.Mute(!state.muted)),
        Block.Button(Text(if (held) R.string.resume else R.string.hold), Act.Hold(!held)),
    ) + ways + Block.Button(Text(R.string.hang_up), Act.HangUp, Block.Button.Kind.DANGER)
}

private val AudioEndpoint.title: Text
    get() = when (kind) {
        AudioEndpoint.Kind.EARPIECE -> Text(R.string.earpiece)
        AudioEndpoint.Kind.SPEAKER -> Text(R.string.speaker)
        AudioEndpoint.Kind.WIRED_HEADSET -> Text(R.string.headset)
        AudioEndpoint.Kind.BLUETOOTH -> name?.let { Text.said(it) } ?: Text(R.string.bluetooth)
        AudioEndpoint.Kind.STREAMING -> name?.let { Text.said(it) } ?: Text(R.string.streaming)
    }
