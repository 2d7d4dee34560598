package dev.hookswitch.agent

import android.app.Activity
import android.app.Notification
import android.app.NotificationManager
import android.content.Intent
import android.os.Looper
import android.telecom.Connection
import android.telecom.DisconnectCause
import dev.hookswitch.Link
import dev.hookswitch.android.CallNotifications
import dev.hookswitch.android.CallPhase
import dev.hookswitch.android.CallService
import dev.hookswitch.android.CoreState
import dev.hookswitch.android.EndReason
import dev.hookswitch.lab.DemoBrowser
import kotlinx.coroutines.CompletableDeferred
import org.junit.After
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import java.time.Duration
import kotlin.concurrent.thread
import kotlin.test.assertEquals
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue

@RunWith(RobolectricTestRunner::class)
@Config(application = android.app.Application::class)
class PhoneCallsTest {
    private var rig: Rig? = null

    private fun rig(make: () -> Rig = { Rig() }) = make().also { rig = it }

    @After
    fun end() {
        rig?.close()
    }

    @Test
    fun `an activity that starts before the core is there makes it live`() {
        val gate = CompletableDeferred<Unit>()
        val rig = rig { Rig(gate = { gate.await() }) }
        Robolectric.buildActivity(Activity::class.java).setup()
        gate.complete(Unit)
        rig.opened()
        rig.command { session.finishLogin(DemoBrowser().signIn(session.beginLogin(Rig.REDIRECT), rig.email, Customers.PASSWORD)) }
        until("live") { rig.core.state.value.link == Link.LIVE }
    }

    @Test
    fun `a core that could not be opened is opened again, and the push that waited rings`() {
        var fails = false
        val first = rig { Rig() }.signedIn()
        val email = first.email
        first.command { saved() }
        first.close()
        fails = true
        val rig = rig { Rig(fails = { if (fails) IllegalStateException("no") else null }) }
        until("it has failed") { rig.phone.core.value is CoreState.Failed }
        rig.phone.received(Customers.call(email))
        until("it has failed again") { rig.phone.core.value is CoreState.Failed }
        assertEquals(0, rig.added)
        fails = false
        rig.phone.retry()
        rig.opened()
        until("it rings") { rig.added == 1 }
    }

    @Test
    fun `a push on the push service's thread has rung when it returns`() {
        val rig = rig().signedIn()
        val data = Customers.call(rig.email)
        var returned = false
        thread {
            rig.phone.received(data)
            returned = true
        }
        until("returned") { returned }
        assertEquals(1, rig.added)
    }

    @Test
    fun `a call rings by the platform's notification, with a sound that goes on, over the lock screen`() {
        val rig = rig().signedIn()
        rig.push()
        assertNull(rig.ringing, "not before Telecom says so")
        rig.telecomConnects().onShowIncomingCallUi()
        val ringing = assertNotNull(rig.ringing)
        assertEquals(Notification.CATEGORY_CALL, ringing.category)
        assertNotNull(ringing.fullScreenIntent)
        assertTrue(ringing.flags and Notification.FLAG_INSISTENT != 0)
        assertTrue(ringing.timeoutAfter > 0, "a process that dies leaves no phone that rings for ever")
        val channel = rig.app.getSystemService(NotificationManager::class.java).getNotificationChannel(CallNotifications.INCOMING)
        assertEquals(NotificationManager.IMPORTANCE_HIGH, channel.importance)
        assertNotNull(channel.sound)
        assertTrue(channel.shouldVibrate())
    }

    @Test
    fun `while calls are forwarded nothing is added to Telecom and nothing is shown`() {
        val rig = rig().signedIn()
        rig.command { presence.setForwarding("+33612345678") }
        rig.push(asOldServer = true)
        shadowOf(Looper.getMainLooper()).idle()
        assertEquals(0, rig.added)
        assertNull(rig.shown)
    }

    @Test
    fun `a call that the agent answers on the app's screen is active in Telecom`() {
        val rig = rig().signedIn()
        val connection = rig.rings()
        val call = rig.call
        call.accept()
        until("active") { connection.state == Connection.STATE_ACTIVE }
        assertEquals(CallPhase.Active, call.state.value.phase)
        assertNull(rig.shown)
        assertEquals(listOf("start"), rig.media.lines)
        assertEquals(CallService::class.java.name, shadowOf(rig.app).nextStartedService.component?.className)
    }

    @Test
    fun `a call that the agent declines on the app's screen is over in Telecom`() {
        val rig = rig().signedIn()
        val connection = rig.rings()
        rig.call.reject()
        assertEquals(DisconnectCause.REJECTED, connection.disconnectCause.code)
        assertNull(rig.shown)
        until("the core knows") { rig.core.currentState().calls.ringing.isEmpty() }
    }

    @Test
    fun `what goes past the phone to the core is seen by Telecom all the same`() {
        val rig = rig().signedIn()
        val connection = rig.rings()
        val id = rig.call.id
        rig.command { calls.answer(id) }
        until("active") { connection.state == Connection.STATE_ACTIVE }
    }

    @Test
    fun `a stop before Telecom has the connection ends it`() {
        val rig = rig().signedIn()
        rig.push()
        rig.command { presence.setForwarding("+33612345678") }
        until("stopped") { rig.phone.calls.value.isEmpty() }
        val connection = rig.telecomConnects()
        assertEquals(Connection.STATE_DISCONNECTED, connection.state)
        assertNull(rig.shown)
    }

    @Test
    fun `forwarding that is turned on while it rings stops sound, notification and Telecom`() {
        val rig = rig().signedIn()
        val connection = rig.rings()
        assertNotNull(rig.ringing)
        rig.command { presence.setForwarding("+33612345678") }
        until("stopped") { connection.state == Connection.STATE_DISCONNECTED }
        assertNull(rig.shown)
        assertTrue(rig.phone.calls.value.isEmpty())
    }

    @Test
    fun `the caller hangs up, and Telecom's call ends`() {
        val rig = rig().signedIn()
        val connection = rig.rings()
        val call = rig.call
        call.accept()
        until("active") { connection.state == Connection.STATE_ACTIVE }
        Customers.hangUp(call.id)
        until("over") { connection.state == Connection.STATE_DISCONNECTED }
        assertEquals(DisconnectCause.REMOTE, connection.disconnectCause.code)
        assertEquals(listOf("start", "stop"), rig.media.lines)
    }

    @Test
    fun `the caller gives up while it rings, and it is silent`() {
        val rig = rig().signedIn()
        val connection = rig.rings()
        Customers.hangUp(rig.call.id)
        until("over") { connection.state == Connection.STATE_DISCONNECTED }
        assertNull(rig.shown)
    }

    @Test
    fun `a second answer changes nothing`() {
        val rig = rig().signedIn()
        val connection = rig.rings()
        val call = rig.call
        connection.onAnswer()
        connection.onAnswer()
        call.accept()
        until("active") { connection.state == Connection.STATE_ACTIVE }
        connection.onAnswer()
        shadowOf(Looper.getMainLooper()).idle()
        assertEquals(CallPhase.Active, call.state.value.phase)
        assertEquals(listOf("start"), rig.media.lines)
    }

    @Test
    fun `what Telecom refuses is declined nowhere else`() {
        val rig = rig().signedIn()
        rig.push()
        val call = rig.call
        rig.telecomRefuses()
        assertEquals(CallPhase.Ended(EndReason.REFUSED), call.state.value.phase)
        shadowOf(Looper.getMainLooper()).idle()
        assertNull(rig.shown)
        assertTrue("ringing" in Customers.report(call.id)["call"].asJsonObject["state"].toString(), "${Customers.report(call.id)}")
    }

    @Test
    fun `where Telecom takes a call and never comes back, it rings all the same`() {
        val rig = rig().signedIn()
        rig.push()
        assertNull(rig.shown)
        shadowOf(Looper.getMainLooper()).idleFor(Duration.ofSeconds(4))
        assertNotNull(rig.ringing)
    }

    @Test
    fun `the volume key ends the sound, and the call goes on to be seen`() {
        val rig = rig().signedIn()
        val connection = rig.rings()
        connection.onSilence()
        assertNull(rig.ringing)
        assertEquals(CallNotifications.SILENT, rig.shown?.channelId)
        rig.call.accept()
        until("active") { connection.state == Connection.STATE_ACTIVE }
    }

    @Test
    fun `the notification answers by the app's screen, once`() {
        val rig = rig().signedIn()
        val connection = rig.rings()
        val answer = Intent("dev.hookswitch.action.ANSWER").putExtra("dev.hookswitch.call_id", rig.call.id)
        assertEquals(rig.call, rig.phone.opened(answer))
        until("active") { connection.state == Connection.STATE_ACTIVE }
        rig.phone.opened(answer)
        assertEquals(Connection.STATE_ACTIVE, connection.state)
    }

    @Test
    fun `hold and mute reach Telecom and the media engine`() {
        val rig = rig().signedIn()
        val connection = rig.rings()
        val call = rig.call
        call.hold(true)
        assertEquals(CallPhase.Ringing, call.state.value.phase, "not while it rings")
        call.accept()
        until("active") { connection.state == Connection.STATE_ACTIVE }
        connection.onHold()
        assertEquals(Connection.STATE_HOLDING, connection.state)
        call.hold(false)
        assertEquals(Connection.STATE_ACTIVE, connection.state)
        call.mute(true)
        assertTrue(call.state.value.muted)
        call.disconnect()
        assertEquals(DisconnectCause.LOCAL, connection.disconnectCause.code)
        assertEquals(listOf("start", "hold true", "hold false", "mute true", "stop"), rig.media.lines)
        until("the server has it") { rig.core.currentState().calls.inCall == null }
    }

    @Test
    fun `a process that died while it rang leaves no notification to the next one`() {
        val first = rig().signedIn()
        first.rings()
        assertNotNull(first.ringing)
        first.core.close()
        assertNull(rig { Rig() }.shown)
    }
}
