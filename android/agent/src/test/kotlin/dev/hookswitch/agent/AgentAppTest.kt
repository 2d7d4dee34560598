package dev.hookswitch.agent

import android.app.NotificationManager
import android.content.Context
import android.content.Intent
import android.content.RestrictionsManager
import android.net.Uri
import android.os.Bundle
import android.telecom.Connection
import android.telecom.ConnectionRequest
import android.telecom.TelecomManager
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.EditText
import android.widget.TextView
import dev.hookswitch.Availability
import dev.hookswitch.Configuration
import dev.hookswitch.Hookswitch
import dev.hookswitch.Link
import dev.hookswitch.SessionState
import dev.hookswitch.UnavailableReason
import dev.hookswitch.android.CallNotifications
import dev.hookswitch.android.CallPhase
import dev.hookswitch.android.CoreState
import dev.hookswitch.android.HookswitchConnectionService
import dev.hookswitch.lab.DemoBrowser
import dev.hookswitch.lab.FileKeys
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import kotlin.test.assertEquals
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue

/** The app with the real core and a key store of files: there is no Android Keystore on a JVM. */
class TestedApplication : AgentApplication() {
    override fun onCreate() {
        // As a company's device management would.
        shadowOf(getSystemService(RestrictionsManager::class.java))
            .setApplicationRestrictions(Bundle().apply { putString("server", backend) })
        super.onCreate()
    }

    override suspend fun open(configuration: Configuration): Hookswitch = Hookswitch.connect(configuration, FileKeys(configuration.folder))
}

/** The app as an agent uses it: taps are clicks on what is on the screen, pushes are the data of FCM messages. */
@RunWith(RobolectricTestRunner::class)
@Config(application = TestedApplication::class)
class AgentAppTest {
    private val app: TestedApplication = RuntimeEnvironment.getApplication() as TestedApplication
    private val email = Customers.agent()
    private var screen: ActivityController<AgentActivity>? = null
    private val activity: AgentActivity get() = checkNotNull(screen).get()
    private val core: Hookswitch get() = (app.phone.core.value as CoreState.Open).hookswitch
    private val telecom get() = shadowOf(app.getSystemService(TelecomManager::class.java))
    private val rings
        get() = shadowOf(app.getSystemService(Context.NOTIFICATION_SERVICE) as NotificationManager).allNotifications
            .any { it.channelId == CallNotifications.INCOMING }

    @After
    fun end() {
        screen?.pause()?.stop()?.destroy()
        app.phone.close()
    }

    private fun open() {
        screen = Robolectric.buildActivity(AgentActivity::class.java).setup()
    }

    private fun views(): Sequence<View> {
        fun below(view: View): Sequence<View> = sequenceOf(view) +
            (
                (view as? ViewGroup)?.let { group ->
                    (0 until group.childCount).asSequence().flatMap { below(group.getChildAt(it)) }
                }.orEmpty()
                )
        return below(activity.window.decorView)
    }

    private fun shows(text: String) = views().any { it is TextView && text in it.text }

    private fun shows(id: Int) = shows(app.getString(id))

    private fun tap(act: Act) {
        until("there is $act") { views().any { it.tag == act && it.isEnabled } }
        views().first { it.tag == act && it.isEnabled }.performClick()
    }

    private fun type(field: String, text: String) {
        until("there is $field") { views().any { it is EditText && it.tag == field } }
        (views().first { it.tag == field } as EditText).setText(text)
    }

    /** In the browser, and back by its intent. */
    private fun signIn() {
        open()
        until("the core is open") { app.phone.core.value is CoreState.Open }
        tap(Act.SignIn)
        var page: Intent? = null
        until("the browser opens") { shadowOf(app).nextStartedActivity?.also { page = it } != null }
        assertEquals(Intent.ACTION_VIEW, page?.action)
        val redirect = DemoBrowser().signIn(checkNotNull(page?.dataString), email, Customers.PASSWORD)
        screen?.newIntent(Intent(Intent.ACTION_VIEW, Uri.parse(redirect)))
        app.messages.newToken("token")
        until("signed in, with a phone that can ring") {
            core.state.value.link == Link.LIVE &&
                core.state.value.presence?.devices.orEmpty().any { it.id == core.deviceId && it.cannotRing == null }
        }
    }

    private fun connects(): Connection {
        val added = telecom.allIncomingCalls.last()
        val request = ConnectionRequest(added.phoneAccount, null, added.extras.getBundle(TelecomManager.EXTRA_INCOMING_CALL_EXTRAS))
        return Robolectric.buildService(HookswitchConnectionService::class.java).create().get()
            .onCreateIncomingConnection(added.phoneAccount, request).apply { onShowIncomingCallUi() }
    }

    @Test
    fun `an agent signs in by the browser and sees the status`() {
        signIn()
        until("the status") { shows("Alice Martin") && shows(R.string.available) }
    }

    @Test
    fun `a status that is tapped is the status everywhere`() {
        signIn()
        val aBreak = Availability.Unavailable(UnavailableReason.ON_A_BREAK)
        tap(Act.Choose(aBreak))
        until("on a break") { core.state.value.presence?.availability == aBreak }
        until("it is shown") { shows(R.string.effective_do_not_disturb) }
    }

    @Test
    fun `forwarding that is typed silences the phone, and one tap turns it off`() {
        signIn()
        tap(Act.Go(Screen.FORWARDING))
        type(Fields.NUMBER, "+33612345678")
        tap(Act.Forward(null))
        until("the banner") { shows("+33612345678") && views().any { it.tag == Act.ForwardingOff } }
        app.messages.received(Customers.call(email, asOldServer = true))
        assertEquals(0, telecom.allIncomingCalls.size)
        tap(Act.ForwardingOff)
        until("off") { core.state.value.presence?.banner == null && views().none { it.tag == Act.ForwardingOff } }
        app.messages.received(Customers.call(email))
        assertEquals(1, telecom.allIncomingCalls.size)
    }

    @Test
    fun `a number that is none is refused in the core's words`() {
        signIn()
        tap(Act.Go(Screen.FORWARDING))
        type(Fields.NUMBER, "12")
        tap(Act.Forward(null))
        until("refused") { app.agent.ui.value.message?.said != null }
        assertNull(core.state.value.presence?.banner)
    }

    @Test
    fun `a call rings, is answered on the screen, muted, held and hung up`() {
        signIn()
        app.messages.received(Customers.call(email))
        val connection = connects()
        assertTrue(rings)
        until("the call is shown") { shows("Maria Lopez") && shows("+14155550134") }
        tap(Act.Accept)
        until("active") { connection.state == Connection.STATE_ACTIVE }
        assertTrue(!rings)
        tap(Act.Mute(true))
        tap(Act.Hold(true))
        until("held") { connection.state == Connection.STATE_HOLDING }
        tap(Act.Hold(false))
        tap(Act.HangUp)
        until("over") { connection.state == Connection.STATE_DISCONNECTED && shows(R.string.status) }
        until("the server knows") { core.currentState().calls.inCall == null }
    }

    @Test
    fun `a screen that is turned in a call shows the call, and answers nothing again`() {
        signIn()
        app.messages.received(Customers.call(email))
        val connection = connects()
        val answer = Intent("dev.hookswitch.action.ANSWER").putExtra("dev.hookswitch.call_id", app.phone.foremost()?.id)
        screen?.newIntent(answer)
        until("active") { connection.state == Connection.STATE_ACTIVE }
        screen?.recreate()
        until("the call is shown") { shows("Maria Lopez") && views().any { it.tag == Act.HangUp } }
        assertEquals(CallPhase.Active, app.phone.foremost()?.state?.value?.phase)
        tap(Act.HangUp)
    }

    @Test
    fun `the calls list says why the phone was silent`() {
        signIn()
        runBlocking(Dispatchers.IO) { core.presence.setForwarding("+33612345678") }
        app.messages.received(Customers.call(email, asOldServer = true))
        tap(Act.Go(Screen.CALLS))
        until("the reason") { shows("forwarded to an external number") }
    }

    @Test
    fun `repair says what it did, and nobody is signed out`() {
        signIn()
        tap(Act.Go(Screen.REPAIR))
        tap(Act.Repair)
        until("it is done") { app.agent.ui.value.repaired.isNotEmpty() && !app.agent.ui.value.busy }
        assertTrue(core.state.value.session is SessionState.SignedIn)
    }

    @Test
    fun `a report is shared by the agent, and not before`() {
        signIn()
        tap(Act.Go(Screen.REPORT))
        shadowOf(app).clearNextStartedActivities()
        assertNull(shadowOf(app).nextStartedActivity)
        tap(Act.Share)
        var sent: Intent? = null
        until("shared") { shadowOf(app).nextStartedActivity?.also { sent = it } != null }
        assertEquals(Intent.ACTION_CHOOSER, sent?.action)
    }

    @Test
    fun `signing out asks for a sign-in, and a late push shows nothing`() {
        signIn()
        val late = Customers.call(email)
        tap(Act.SignOut)
        until("signed out") { views().any { it.tag == Act.SignIn } }
        app.messages.received(late)
        assertEquals(0, telecom.allIncomingCalls.size)
    }

    @Test
    fun `other messages of the app are left to it`() {
        assertTrue(!app.messages.received(mapOf("chat" to "hello")))
    }

    @Test
    fun `without a browser the agent is told`() {
        open()
        until("the core is open") { app.phone.core.value is CoreState.Open }
        shadowOf(app).checkActivities(true)
        tap(Act.SignIn)
        until("told") { shows(R.string.no_browser) }
        assertNotNull(views().firstOrNull { it is Button })
    }
}
