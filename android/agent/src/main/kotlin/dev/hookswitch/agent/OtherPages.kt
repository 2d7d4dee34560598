package dev.hookswitch.agent

import dev.hookswitch.CannotRing
import dev.hookswitch.Device
import dev.hookswitch.RingLogEntry
import dev.hookswitch.SignIn
import dev.hookswitch.SignInKind
import dev.hookswitch.Silence
import dev.hookswitch.StopReason

/** The calls that came to this phone, newest first, and why it rang or kept silent. */
fun callsPage(shown: Shown): Page {
    val rows = shown.log.asReversed().map { entry ->
        when (entry) {
            is RingLogEntry.Decided -> entry.decision.run {
                Block.Row(Text(R.string.call_at, fromName ?: from ?: callId.take(ID_SHOWN), shown.time(at)), Text.said(explanation))
            }
            is RingLogEntry.Stopped -> Block.Row(Text(R.string.call_at, entry.callId.take(ID_SHOWN), shown.time(entry.at)), entry.why.text)
        }
    }
    return Page(Text(R.string.calls), rows.ifEmpty { listOf(Block.Line(Text(R.string.no_calls))) })
}

/** Enough of a name that nobody reads. */
private const val ID_SHOWN = 8

private val StopReason.text: Text
    get() = Text(
        when (this) {
            StopReason.AnsweredHere -> R.string.stop_answered
            StopReason.DeclinedHere -> R.string.stop_declined
            is StopReason.Silenced -> when (reason) {
                Silence.FORWARDING_ACTIVE -> R.string.stop_forwarding
                Silence.ANSWERED_ELSEWHERE -> R.string.stop_elsewhere
                Silence.EXPIRED -> R.string.stop_missed
                Silence.NOT_AVAILABLE -> R.string.stop_not_available
                Silence.SIGNED_OUT, Silence.OTHER_ACCOUNT, Silence.DEVICE_NOT_REGISTERED, Silence.SIGN_IN_NEEDED ->
                    R.string.stop_signed_out
                Silence.IN_ANOTHER_CALL, Silence.CALL_ENDED, Silence.DUPLICATE -> R.string.stop_ended
            }
        },
    )

/** The agent's phones, and where the agent is signed in. */
fun devicesPage(shown: Shown): Page {
    val presence = shown.app?.presence
    val devices = presence?.devices.orEmpty()
    val rows = devices.map { device ->
        Block.Row(Text.said(device.name + if (device.id == shown.device) " ✓" else ""), device.rings)
    }
    val places = presence?.signIns.orEmpty().map { place ->
        val name = devices.firstOrNull { it.id == place.device }?.name
        Block.Row(
            name?.let { Text.said(it) } ?: Text(place.title),
            Text(R.string.since, shown.time(place.signedInAt)),
            Block.Button(Text(R.string.sign_out_there), Act.End(place.id), enabled = !shown.ui.busy),
        )
    }
    return Page(
        Text(R.string.devices),
        shown.ui.said() + Block.Heading(Text(R.string.phones)) + rows + Block.Heading(Text(R.string.signed_in_at)) + places +
            Block.Button(Text(R.string.sign_out_everywhere), Act.SignOutEverywhere, Block.Button.Kind.DANGER, enabled = !shown.ui.busy),
    )
}

private val SignIn.title: Int
    get() = when (kind) {
        SignInKind.MOBILE -> R.string.a_phone
        SignInKind.BROWSER -> R.string.the_browser
        SignInKind.DESKTOP -> R.string.the_desktop
        SignInKind.UNKNOWN -> R.string.something_new
    }

private val Device.rings: Text
    get() = Text(
        when {
            cannotRing == CannotRing.FORWARDING_ACTIVE -> R.string.cannot_forwarding
            cannotRing == CannotRing.NOT_AVAILABLE -> R.string.cannot_not_available
            cannotRing == CannotRing.IN_ANOTHER_CALL -> R.string.cannot_in_call
            cannotRing == CannotRing.NO_PUSH_TOKEN -> R.string.cannot_no_token
            cannotRing == CannotRing.UNKNOWN -> R.string.something_new
            capabilities.callNotifications == false -> R.string.cannot_show
            else -> R.string.can_ring
        },
    )

/** What the phone does not let the app do, and what that costs. */
fun permissionsPage(shown: Shown): Page {
    val all = Missing.entries.map { missing ->
        val (title, cost) = missing.texts
        val button = Block.Button(Text(R.string.allow), Act.Grant(missing))
        Block.Row(
            Text(title),
            if (missing in
                shown.missing
            ) {
                Text(cost)
            } else {
                Text(R.string.granted)
            },
            button.takeIf { missing in shown.missing },
        )
    }
    return Page(Text(R.string.permissions), shown.ui.said() + all)
}

private val Missing.texts: Pair<Int, Int>
    get() = when (this) {
        Missing.NOTIFICATIONS -> R.string.notifications to R.string.notifications_cost
        Missing.MICROPHONE -> R.string.microphone to R.string.microphone_cost
        Missing.FULL_SCREEN -> R.string.full_screen to R.string.full_screen_cost
        Missing.BATTERY -> R.string.battery to R.string.battery_cost
    }

/** Instead of signing out and in again. */
fun repairPage(shown: Shown): Page = Page(
    Text(R.string.repair),
    shown.ui.said() + Block.Line(Text(R.string.repair_about)) +
        Block.Button(Text(R.string.repair), Act.Repair, Block.Button.Kind.MAIN, enabled = !shown.ui.busy) +
        shown.ui.repaired.map { Block.Line(Text.said(it)) },
)

/** A transcript for support. */
fun reportPage(shown: Shown): Page = Page(
    Text(R.string.report),
    shown.ui.said() + Block.Line(Text(R.string.report_about)) +
        Block.Button(Text(R.string.share), Act.Share, Block.Button.Kind.MAIN, enabled = !shown.ui.busy),
)

/** What this is. */
fun aboutPage(shown: Shown): Page = Page(
    Text(R.string.about),
    listOf(Block.Title(Text(R.string.app_name)), Block.Line(Text.said(shown.about)), Block.Line(Text(R.string.about_text))),
)
