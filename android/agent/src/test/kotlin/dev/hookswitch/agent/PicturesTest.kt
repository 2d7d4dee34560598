package dev.hookswitch.agent

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Canvas
import android.os.Bundle
import android.view.View
import dev.hookswitch.AgentProfile
import dev.hookswitch.AppState
import dev.hookswitch.Availability
import dev.hookswitch.Banner
import dev.hookswitch.CallAction
import dev.hookswitch.CallsState
import dev.hookswitch.CannotRing
import dev.hookswitch.Capabilities
import dev.hookswitch.Choice
import dev.hookswitch.Device
import dev.hookswitch.Effective
import dev.hookswitch.ForwardTo
import dev.hookswitch.Link
import dev.hookswitch.Platform
import dev.hookswitch.PresenceState
import dev.hookswitch.ReauthReason
import dev.hookswitch.RingDecision
import dev.hookswitch.RingLogEntry
import dev.hookswitch.SessionHealth
import dev.hookswitch.SessionState
import dev.hookswitch.SignIn
import dev.hookswitch.SignInKind
import dev.hookswitch.SignedOutWhy
import dev.hookswitch.Silence
import dev.hookswitch.StopReason
import dev.hookswitch.SupersededChoice
import dev.hookswitch.UnavailableReason
import dev.hookswitch.android.AudioEndpoint
import dev.hookswitch.android.CallPhase
import dev.hookswitch.android.CallState
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import java.io.File
import java.time.Instant
import kotlin.math.abs
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** Every state of every screen, as values. */
object States {
    private val at = Instant.parse("2026-01-05T09:30:00Z")
    private val agent = AgentProfile("alice", "alice@acme.example", "Alice Martin")
    private val none = CallsState(listOf(), null)
    private val pixel = Device("d1", "Pixel", Platform.ANDROID, "1.0", Capabilities(true, true), null, at)
    private val iphone = Device("d2", "iPhone", Platform.IOS, "1.0", Capabilities(null, null), CannotRing.NO_PUSH_TOKEN, at)
    private val presence = PresenceState(
        version = "1-1", availability = Availability.Available, effective = Effective.AVAILABLE, forwarding = null, banner = null,
        pending = listOf(), superseded = null, notices = listOf(), devices = listOf(pixel, iphone),
        signIns = listOf(SignIn("s1", SignInKind.MOBILE, "d1", at), SignIn("s2", SignInKind.BROWSER, null, at)), asOf = at,
    )
    private val forwarded = presence.copy(
        forwarding = ForwardTo("+33612345678", null),
        banner = Banner("+33612345678", null, true, false),
    )

    private fun signedIn(presence: PresenceState? = this.presence, health: SessionHealth = SessionHealth.FRESH, link: Link = Link.LIVE) =
        Shown(
            Core.OPEN,
            AppState(SessionState.SignedIn(agent, health, at), presence, link, none),
            device = "d1",
            about = "1.0 · https://calls.example",
        )

    private fun session(session: SessionState) = Shown(Core.OPEN, AppState(session, null, Link.OFF, none))

    private fun on(screen: Screen, shown: Shown = signedIn()) = shown.copy(ui = Ui(screen = screen))

    private fun call(state: CallState, name: String? = "Maria Lopez") =
        signedIn().copy(call = CallShown("c1", "+14155550134".takeIf { name != null }, name, state))

    private val endpoints =
        listOf(
            AudioEndpoint(AudioEndpoint.Kind.EARPIECE),
            AudioEndpoint(AudioEndpoint.Kind.SPEAKER),
            AudioEndpoint(AudioEndpoint.Kind.BLUETOOTH, "Car"),
        )
    private val decision = RingDecision(
        "call-1",
        CallAction.NOTHING,
        Silence.FORWARDING_ACTIVE,
        "+14155550134",
        "Maria Lopez",
        at,
        at,
        "Silent: calls are forwarded to an external number, so the mobile app does not ring.",
    )

    val ALL: Map<String, Shown> = linkedMapOf(
        "opening" to Shown(Core.OPENING),
        "locked" to Shown(Core.LOCKED),
        "failed" to Shown(Core.FAILED),
        "signed-out" to session(SessionState.SignedOut(SignedOutWhy.NEVER, null)),
        "signed-out-with-reason" to
            session(SessionState.SignedOut(SignedOutWhy.REVOKED, "An administrator ended your session. Sign in again.")),
        "browser-open" to session(SessionState.SigningIn(false)),
        "completing" to session(SessionState.SigningIn(true)),
        "sign-in-again" to
            session(SessionState.ReauthRequired(agent, ReauthReason.EXPIRED, "Your session has expired. Sign in again to go on.")),
        "home" to signedIn(),
        "home-forwarding" to signedIn(forwarded),
        "home-pending" to
            signedIn(presence.copy(pending = listOf(Choice.Availability(Availability.Unavailable(UnavailableReason.ON_A_BREAK))))),
        "home-superseded" to signedIn(
            presence.copy(
                superseded = SupersededChoice(Choice.Availability(Availability.Automatic), at, "Superseded by Desktop.", "Desktop", at),
                notices = listOf("Several people seem to use this login."),
            ),
        ),
        "home-offline" to signedIn(health = SessionHealth.OFFLINE, link = Link.OFFLINE),
        "home-degraded" to signedIn(health = SessionHealth.DEGRADED),
        "home-missing" to signedIn().copy(missing = listOf(Missing.NOTIFICATIONS)),
        "home-empty" to signedIn(presence = null, link = Link.CONNECTING),
        "forwarding" to on(Screen.FORWARDING),
        "forwarding-on" to on(Screen.FORWARDING, signedIn(forwarded)),
        "forwarding-code" to signedIn().copy(ui = Ui(Screen.FORWARDING, Text(R.string.code_sent), codeSent = true)),
        "incoming" to call(CallState()),
        "incoming-silenced" to call(CallState(silenced = true, message = "The server cannot be reached."), name = null),
        "answering" to call(CallState(CallPhase.Answering)),
        "in-call" to call(CallState(CallPhase.Active, endpoints = endpoints, endpoint = endpoints[0])),
        "on-hold" to call(CallState(CallPhase.Held, muted = true)),
        "calls" to on(Screen.CALLS).copy(
            log = listOf(
                RingLogEntry.Decided(decision, listOf()),
                RingLogEntry.Stopped("call-2", StopReason.Silenced(Silence.ANSWERED_ELSEWHERE), "", at),
            ),
        ),
        "calls-empty" to on(Screen.CALLS),
        "devices" to on(Screen.DEVICES),
        "permissions" to on(Screen.PERMISSIONS).copy(missing = listOf(Missing.NOTIFICATIONS, Missing.BATTERY)),
        "repair" to
            signedIn().copy(ui = Ui(Screen.REPAIR, repaired = listOf("The access token was renewed.", "The state was fetched again."))),
        "repair-busy" to signedIn().copy(ui = Ui(Screen.REPAIR, busy = true)),
        "report" to on(Screen.REPORT),
        "about" to on(Screen.ABOUT),
    )
}

/** Every state of every screen, drawn, and compared with the pictures in the repository: light, dark, large and from right to left. */
@RunWith(RobolectricTestRunner::class)
@Config(application = android.app.Application::class)
class PicturesTest {
    private val differing = mutableListOf<String>()

    private fun pictures(look: String, qualifiers: String, scale: Float = 1f) {
        RuntimeEnvironment.setQualifiers(qualifiers)
        RuntimeEnvironment.setFontScale(scale)
        val activity = Robolectric.buildActivity(PlainActivity::class.java).setup().get()
        for ((name, shown) in States.ALL) {
            val locale = activity.resources.configuration.locales[0]
            val view = PageView(activity, mutableMapOf()) {}
            // In a window: from there it has its direction.
            activity.setContentView(view.root)
            view.draw(page(shown.copy(locale = locale)), home = shown.ui.screen == Screen.HOME || shown.call != null)
            compare("$look/$name", draw(view.root))
        }
        assertEquals(listOf(), differing, "see target/android/pictures; android/check -Dpictures=update takes them over")
    }

    /** As wide as a phone, as high as it is long: nothing is cut off. */
    private fun draw(view: View): Bitmap {
        val width = view.resources.displayMetrics.widthPixels
        view.measure(
            View.MeasureSpec.makeMeasureSpec(width, View.MeasureSpec.EXACTLY),
            View.MeasureSpec.makeMeasureSpec(0, View.MeasureSpec.UNSPECIFIED),
        )
        val height = maxOf(view.measuredHeight, width)
        view.measure(
            View.MeasureSpec.makeMeasureSpec(width, View.MeasureSpec.EXACTLY),
            View.MeasureSpec.makeMeasureSpec(height, View.MeasureSpec.EXACTLY),
        )
        view.layout(0, 0, width, height)
        view.jumpDrawablesToCurrentState()
        return Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888).also { view.draw(Canvas(it)) }
    }

    private fun compare(name: String, drawn: Bitmap) {
        val expected = File(PICTURES, "$name.png")
        if (UPDATE) return save(drawn, expected)
        val before = expected.takeIf { it.exists() }?.let { BitmapFactory.decodeFile(it.path) }
        if (before == null || !same(before, drawn)) {
            differing += name
            save(drawn, File("../target/android/pictures/$name.png"))
        }
    }

    private fun save(bitmap: Bitmap, to: File) {
        to.parentFile?.mkdirs()
        to.outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
    }

    /** Fonts are drawn a little differently on other processors: one point in two hundred may differ. */
    private fun same(one: Bitmap, other: Bitmap): Boolean {
        if (one.width != other.width || one.height != other.height) return false
        val (a, b) = listOf(one, other).map { bitmap ->
            IntArray(bitmap.width * bitmap.height).also { bitmap.getPixels(it, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height) }
        }
        val differ = a.indices.count { at -> a[at] != b[at] && differs(a[at], b[at]) }
        return differ * 200 <= a.size
    }

    private fun differs(one: Int, other: Int) = (0..16 step 8).any { abs((one shr it and 255) - (other shr it and 255)) > 48 }

    @Test
    fun `light`() = pictures("light", "en-w360dp-h640dp-notnight-mdpi")

    @Test
    fun `dark`() = pictures("dark", "en-w360dp-h640dp-night-mdpi")

    @Test
    fun `large fonts`() = pictures("large", "en-w360dp-h640dp-notnight-mdpi", scale = 1.8f)

    @Test
    fun `from right to left`() = pictures("right-to-left", "ar-ldrtl-w360dp-h640dp-notnight-mdpi")

    @Test
    fun `every language has every text, with the same things filled in`() {
        val filled = Regex("%\\d\\$[sd]")
        fun texts(language: String) = File("agent/src/main/res/values$language/strings.xml").readText().let { xml ->
            Regex("<string name=\"(\\w+)\"( translatable=\"false\")?>(.*)</string>").findAll(xml)
                .filter { it.groupValues[2].isEmpty() }.associate {
                    it.groupValues[1] to
                        filled.findAll(it.groupValues[3]).map { word -> word.value }.toSet()
                }
        }
        for (language in listOf("-fr", "-ar")) assertEquals(texts(""), texts(language), language)
    }

    @Test
    fun `everything that can be tapped is large enough, and says what it is`() {
        for ((name, shown) in States.ALL) {
            val activity = Robolectric.buildActivity(PlainActivity::class.java).setup().get()
            val view = PageView(activity, mutableMapOf()) {}
            view.draw(page(shown), home = false)
            draw(view.root)
            val least = (48 * activity.resources.displayMetrics.density).toInt()
            fun below(at: View): List<View> = listOf(at) +
                (
                    (at as? android.view.ViewGroup)?.let { group ->
                        (0 until group.childCount).flatMap { below(group.getChildAt(it)) }
                    }.orEmpty()
                    )
            for (tapped in below(view.root).filter { it.isClickable }) {
                assertTrue(tapped.height >= least, "$name: ${(tapped as? android.widget.TextView)?.text} is ${tapped.height} high")
                val says =
                    tapped.contentDescription ?: (tapped as? android.widget.EditText)?.hint ?: (tapped as? android.widget.TextView)?.text
                assertTrue(!says.isNullOrBlank(), "$name: something says nothing")
            }
        }
    }

    private companion object {
        val PICTURES = File("agent/src/test/pictures")
        val UPDATE = System.getProperty("pictures") == "update"
    }
}

/** An activity in the app's theme. */
class PlainActivity : Activity() {
    override fun onCreate(state: Bundle?) {
        setTheme(R.style.Agent)
        super.onCreate(state)
    }
}
