package dev.hookswitch.agent

import dev.hookswitch.AppState
import dev.hookswitch.RingLogEntry
import dev.hookswitch.SessionState
import dev.hookswitch.android.Call
import dev.hookswitch.android.CallState
import java.time.Instant
import java.time.ZoneId
import java.time.format.DateTimeFormatter
import java.time.format.FormatStyle
import java.util.Locale

/** All that screens are made from. */
data class Shown(
    val core: Core,
    val app: AppState? = null,
    val call: CallShown? = null,
    val ui: Ui = Ui(),
    val missing: List<Missing> = listOf(),
    val log: List<RingLogEntry> = listOf(),
    val device: String? = null,
    val about: String = "",
    val zone: ZoneId = ZoneId.of("UTC"),
    val locale: Locale = Locale.ENGLISH,
) {
    /** A moment, as the agent reads it. */
    fun time(at: Instant): String = DateTimeFormatter.ofLocalizedDateTime(FormatStyle.SHORT).withLocale(locale).withZone(zone).format(at)
}

/** How far the core is, in a word. */
enum class Core {
    /** Being opened. */
    OPENING,

    /** Before the first unlock. */
    LOCKED,

    /** It cannot be opened. */
    FAILED,

    /** It is there. */
    OPEN,
}

/** The call in front. */
data class CallShown(val id: String, val from: String?, val name: String?, val state: CallState) {
    constructor(call: Call) : this(call.id, call.from, call.name, call.state.value)
}

/** What belongs to this screen alone. */
data class Ui(
    val screen: Screen = Screen.HOME,
    val message: Text? = null,
    val busy: Boolean = false,
    val codeSent: Boolean = false,
    val repaired: List<String> = listOf(),
)

/** The page of what is known: a call first, then the state of the session, then where the agent went. */
fun page(shown: Shown): Page = shown.call?.let { callPage(it) } ?: when (shown.core) {
    Core.OPENING -> Page(Text(R.string.app_name), listOf(Block.Progress), back = false)
    Core.LOCKED -> Page(Text(R.string.app_name), listOf(Block.Line(Text(R.string.locked))), back = false)
    Core.FAILED -> Page(
        Text(R.string.app_name),
        listOf(Block.Line(Text(R.string.core_failed)), Block.Button(Text(R.string.try_again), Act.Retry, Block.Button.Kind.MAIN)),
        back = false,
    )
    Core.OPEN -> when (val session = shown.app?.session) {
        null -> Page(Text(R.string.app_name), listOf(Block.Progress), back = false)
        is SessionState.SignedIn -> signedInPage(shown)
        else -> signInPage(session, shown.ui)
    }
}

private fun signedInPage(shown: Shown): Page = when (shown.ui.screen) {
    Screen.HOME -> homePage(shown)
    Screen.FORWARDING -> forwardingPage(shown)
    Screen.CALLS -> callsPage(shown)
    Screen.DEVICES -> devicesPage(shown)
    Screen.PERMISSIONS -> permissionsPage(shown)
    Screen.REPAIR -> repairPage(shown)
    Screen.REPORT -> reportPage(shown)
    Screen.ABOUT -> aboutPage(shown)
}

/** What went wrong, or is under way, above everything. */
internal fun Ui.said(): List<Block> = listOfNotNull(message?.let { Block.Notice(it) }, Block.Progress.takeIf { busy })
