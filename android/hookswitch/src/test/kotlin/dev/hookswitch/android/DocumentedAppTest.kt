package dev.hookswitch.android

import android.app.Activity
import android.app.Application
import android.content.Intent
import android.os.Looper
import android.telecom.Connection
import android.telecom.ConnectionRequest
import android.telecom.TelecomManager
import dev.hookswitch.*
import dev.hookswitch.lab.*
import kotlinx.coroutines.*
import org.junit.After
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import java.io.File
import kotlin.test.assertEquals
import kotlin.test.assertTrue

@RunWith(RobolectricTestRunner::class)
class DocumentedAppTest {
    private val backend = System.getenv("HOOKSWITCH_BACKEND")
    private val customers = Operator(backend, System.getenv("HOOKSWITCH_OPERATOR_KEY"))
    private val app: Application = RuntimeEnvironment.getApplication()
    private val scope by lazy { MainScope() }
    private lateinit var core: Hookswitch
    private lateinit var pushes: Pushes
    private var shown = 0

    private fun until(what: String, done: () -> Boolean) {
        val end = System.nanoTime() + 10_000_000_000
        while (!done()) { shadowOf(Looper.getMainLooper()).idle(); Thread.yield(); check(System.nanoTime() < end) { "not: $what" } }
    }

    private fun start(): Deferred<Unit> = scope.async {
        val folder = File(app.noBackupFilesDir, "hookswitch")
        val configuration = Configuration(backend, backend, "hookswitch-mobile", listOf("dev.hookswitch.agent:/callback"), "Robolectric", "1.0", folder)
        core = Hookswitch.connect(configuration, FileKeys(folder))
        PlatformEvents(app, core)
        val calls = TelecomCalls(app, "Hookswitch", core, scope) { _, _, _ -> shown++ }
        pushes = Pushes(core, calls, scope)
    }

    private fun signedIn() {
        val started = start()
        until("started") { started.isCompleted }
        runBlocking(Dispatchers.IO) {
            core.foreground()
            core.session.finishLogin(DemoBrowser().signIn(core.session.beginLogin("dev.hookswitch.agent:/callback")))
            core.setPushToken("token")
            core.presence.setForwarding(null)
        }
    }

    private fun call() { val payload = customers.call("alice@acme.example", "+14155550134"); pushes.received(mapOf("call" to payload)) }

    private fun added() = shadowOf(app.getSystemService(TelecomManager::class.java)).allIncomingCalls.last()

    private fun telecomConnects(): Connection {
        val extras = added().extras.getBundle(TelecomManager.EXTRA_INCOMING_CALL_EXTRAS)
        return Robolectric.setupService(HookswitchConnectionService::class.java)
            .onCreateIncomingConnection(added().phoneAccount, ConnectionRequest(added().phoneAccount, null, extras))
    }

    @After fun end() { runBlocking { core.calls.state.value.ringing.forEach { core.calls.decline(it.callId) }; core.calls.state.value.inCall?.let { core.calls.hangUp(it.callId) } }; core.close() }

    @Test fun `the app of the documentation starts`() { val started = start(); until("started") { started.isCompleted } }

    @Test fun `an activity that starts before the core is there makes it live`() {
        val started = start()
        Robolectric.buildActivity(Activity::class.java).setup()
        until("started") { started.isCompleted }
        runBlocking(Dispatchers.IO) { core.session.finishLogin(DemoBrowser().signIn(core.session.beginLogin("dev.hookswitch.agent:/callback"))) }
        until("live") { core.state.value.link == Link.LIVE }
    }

    @Test fun `a call that the agent answers on the app's screen is active in Telecom`() {
        signedIn(); call()
        val connection = telecomConnects()
        val id = core.calls.state.value.ringing.single().callId
        runBlocking(Dispatchers.IO) { core.calls.answer(id) }
        until("active") { connection.state == Connection.STATE_ACTIVE }
    }

    @Test fun `a stop before Telecom has the connection ends it`() {
        signedIn(); call()
        val id = core.calls.state.value.ringing.single().callId
        runBlocking(Dispatchers.IO) { core.presence.setForwarding("+33612345678") }
        until("stopped") { core.calls.state.value.ringing.isEmpty() }
        shadowOf(Looper.getMainLooper()).idle()
        assertEquals(Connection.STATE_DISCONNECTED, telecomConnects().state, id)
    }

    @Test fun `a second answer changes nothing`() {
        signedIn(); call()
        val connection = telecomConnects()
        connection.onAnswer(); connection.onAnswer()
        until("active") { connection.state == Connection.STATE_ACTIVE }
        until("idle") { core.calls.state.value.inCall != null }
        repeat(50) { shadowOf(Looper.getMainLooper()).idle(); Thread.sleep(10) }
        assertEquals(Connection.STATE_ACTIVE, connection.state)
    }

    @Test fun `what Telecom refuses is declined nowhere`() {
        signedIn(); call()
        val extras = added().extras.getBundle(TelecomManager.EXTRA_INCOMING_CALL_EXTRAS)
        Robolectric.setupService(HookswitchConnectionService::class.java)
            .onCreateIncomingConnectionFailed(added().phoneAccount, ConnectionRequest(added().phoneAccount, null, extras))
        repeat(50) { shadowOf(Looper.getMainLooper()).idle(); Thread.sleep(10) }
        assertTrue(core.calls.state.value.ringing.isNotEmpty())
    }

    @Test fun `a call that rings is seen and heard`() {
        signedIn(); call(); telecomConnects().onShowIncomingCallUi()
        assertEquals(1, shadowOf(app.getSystemService(android.app.NotificationManager::class.java)).size())
    }

    @Test fun `a Telecom that throws is no crash`() {
        signedIn()
        shadowOf(app).grantPermissions()
        org.robolectric.shadows.ShadowTelecomManager.reset()
        call()
    }
}
