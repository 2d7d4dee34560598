package dev.hookswitch.agent

import dev.hookswitch.Availability
import dev.hookswitch.Choice
import dev.hookswitch.Effective
import dev.hookswitch.Link
import dev.hookswitch.PresenceState
import dev.hookswitch.SessionHealth
import dev.hookswitch.SessionState
import dev.hookswitch.UnavailableReason

/** What an agent may choose, in the order in which it is listed. */
val STATUSES: List<Pair<Availability, Int>> = listOf(
    Availability.Available to R.string.available,
    Availability.Automatic to R.string.automatic,
    Availability.Unavailable(UnavailableReason.ON_A_BREAK) to R.string.on_a_break,
    Availability.Unavailable(UnavailableReason.OUT_FOR_LUNCH) to R.string.out_for_lunch,
    Availability.Unavailable(UnavailableReason.IN_TRAINING) to R.string.in_training,
    Availability.Unavailable(UnavailableReason.BACK_OFFICE) to R.string.back_office,
    Availability.Unavailable(UnavailableReason.OTHER) to R.string.other,
)

/** The app: where calls go, the status, and the ways to everything else. */
fun homePage(shown: Shown): Page {
    val session = shown.app?.session as? SessionState.SignedIn
    val presence = shown.app?.presence
    val blocks = shown.ui.said() + connection(shown, session) + banner(shown, presence) + attention(shown, presence) +
        status(presence) + choices(presence) + ways()
    val name = session?.agent?.run { name ?: email ?: account }
    return Page(name?.let { Text.said(it) } ?: Text(R.string.app_name), blocks, back = false)
}

private fun connection(shown: Shown, session: SessionState.SignedIn?): List<Block> = listOfNotNull(
    when {
        session?.health == SessionHealth.OFFLINE || shown.app?.link == Link.OFFLINE -> Block.Notice(Text(R.string.offline))
        session?.health == SessionHealth.DEGRADED ->
            Block.Notice(Text(R.string.degraded), Block.Button(Text(R.string.repair), Act.Go(Screen.REPAIR)))
        session?.health == SessionHealth.ENDING ->
            Block.Notice(Text(R.string.ending), Block.Button(Text(R.string.sign_in), Act.SignIn))
        else -> null
    },
)

private fun banner(shown: Shown, presence: PresenceState?): List<Block> {
    val banner = presence?.banner ?: return listOf()
    val off = Block.Button(Text(R.string.forwarding_off), Act.ForwardingOff, enabled = !turnsOff(presence))
    val until = banner.until
    val text = when {
        !banner.takesCalls -> Text(R.string.banner_no_calls, banner.number)
        until != null -> Text(R.string.banner_until, banner.number, shown.time(until))
        else -> Text(R.string.banner, banner.number)
    }
    return listOfNotNull(Block.Notice(text, off), Block.Line(Text(R.string.banner_own)).takeIf { banner.ownNumber })
}

private fun turnsOff(presence: PresenceState) = presence.pending.any { it is Choice.Forwarding && it.to == null }

private fun attention(shown: Shown, presence: PresenceState?): List<Block> =
    presence?.notices.orEmpty().map { Block.Notice(Text.said(it)) } +
        listOfNotNull(
            presence?.superseded?.let { Block.Notice(Text.said(it.why)) },
            Block.Notice(Text(R.string.missing), Block.Button(Text(R.string.look), Act.Go(Screen.PERMISSIONS))).takeIf {
                shown.missing.isNotEmpty()
            },
        )

private fun status(presence: PresenceState?): List<Block> = listOf(
    if (presence == null) {
        Block.Progress
    } else {
        Block.Title(
            Text(
                when (presence.effective) {
                    Effective.OFFLINE -> R.string.effective_offline
                    Effective.DO_NOT_DISTURB -> R.string.effective_do_not_disturb
                    Effective.AVAILABLE -> R.string.effective_available
                    Effective.IN_CALL -> R.string.effective_in_call
                    Effective.AFTER_CALL_WORK -> R.string.effective_after_call_work
                    Effective.UNKNOWN -> R.string.something_new
                },
            ),
        )
    },
)

private fun choices(presence: PresenceState?): List<Block> {
    if (presence == null) return listOf()
    val waiting = presence.pending.filterIsInstance<Choice.Availability>().firstOrNull()?.availability
    return listOf(Block.Heading(Text(R.string.status))) + STATUSES.map { (availability, text) ->
        Block.Choice(Text(text), availability == presence.availability, availability == waiting, Act.Choose(availability))
    }
}

private fun ways(): List<Block> = listOf(
    Screen.FORWARDING to R.string.forwarding,
    Screen.CALLS to R.string.calls,
    Screen.DEVICES to R.string.devices,
    Screen.PERMISSIONS to R.string.permissions,
    Screen.REPAIR to R.string.repair,
    Screen.REPORT to R.string.report,
    Screen.ABOUT to R.string.about,
).map { (screen, text) -> Block.Button(Text(text), Act.Go(screen)) } +
    Block.Button(Text(R.string.sign_out), Act.SignOut, Block.Button.Kind.DANGER)
