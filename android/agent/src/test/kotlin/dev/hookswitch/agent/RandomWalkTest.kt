package dev.hookswitch.agent

import android.app.Activity
import android.os.Looper
import android.telecom.Connection
import dev.hookswitch.Availability
import dev.hookswitch.HookswitchException
import dev.hookswitch.android.CallPhase
import org.junit.After
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import kotlin.random.Random
import kotlin.test.assertEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue

/** Whatever the agent, the caller, Telecom and the server do, in any order: what rings is what the core says. `-Dwalks=1000` for more. */
@RunWith(RobolectricTestRunner::class)
@Config(application = android.app.Application::class)
class RandomWalkTest {
    private val rig = Rig().signedIn()
    private val connections = mutableMapOf<String, Connection>()
    private val steps = mutableListOf<String>()
    private var waiting: String? = null
    private val screen = Robolectric.buildActivity(Activity::class.java).setup()
    private var isForwarded = false

    @After
    fun end() = rig.close()

    @Test
    fun `whatever happens in whatever order, Telecom, notification and media are as the core says`() {
        val walks = System.getProperty("walks")?.toIntOrNull() ?: 40
        repeat(walks) { seed ->
            steps.clear()
            try {
                walk(Random(seed))
            } catch (failure: Throwable) {
                throw AssertionError("seed $seed: $steps", failure)
            }
        }
    }

    private fun walk(random: Random) {
        repeat(random.nextInt(4, 12)) { step(random) }
        // And to the end: all of it can be ended, and then it is.
        forward(false)
        rig.phone.calls.value.forEach { it.disconnect() }
        until("all is over") {
            rig.core.currentState().calls.run { ringing.isEmpty() && inCall == null } && rig.phone.calls.value.isEmpty()
        }
        agrees()
        connections.values.forEach { assertEquals(Connection.STATE_DISCONNECTED, it.state) }
        connections.clear()
        waiting = null
    }

    private fun step(random: Random) {
        val call = rig.phone.foremost()
        val did = when (random.nextInt(14)) {
            0, 1, 2 -> push(random)
            3 -> connect()
            4, 5 -> "accept".also { call?.accept() }
            6 -> "headset".also { connections[call?.id]?.onAnswer() }
            7 -> "reject".also { call?.reject() }
            8 -> "hang up".also { connections[call?.id]?.onDisconnect() ?: call?.disconnect() }
            9 -> "volume key".also { connections[call?.id]?.onSilence() }
            10 -> forward(random.nextBoolean())
            11 -> "the caller gives up".also { call?.let { Customers.hangUp(it.id) } }
            12 -> "hold".also { call?.hold(random.nextBoolean()) }
            else -> turn(random.nextBoolean())
        }
        steps += did
        // What is under way may come to its end now, or later.
        if (random.nextBoolean()) settled() else shadowOf(Looper.getMainLooper()).idle()
    }

    private fun push(random: Random): String {
        rig.command {
            try {
                presence.setAvailability(Availability.Available)
            } catch (_: HookswitchException) {
                // In a call.
            }
        }
        val before = rig.added
        val data = try {
            Customers.call(rig.email, asOldServer = true)
        } catch (_: IllegalStateException) {
            return "no push"
        }
        rig.phone.received(data)
        if (random.nextInt(5) == 0) rig.phone.received(data)
        assertTrue(rig.added <= before + 1, "one push is one call")
        if (rig.added > before) {
            assertTrue(!isForwarded, "a call was added while calls are forwarded")
            waiting = rig.phone.calls.value.lastOrNull()?.id
        }
        return "push"
    }

    private fun connect(): String {
        val id = waiting ?: return "nothing to connect"
        waiting = null
        val connection = rig.telecomConnects()
        if (rig.phone.find(id) == null) {
            assertEquals(Connection.STATE_DISCONNECTED, connection.state, "it has stopped")
        } else {
            connections[id] = connection
            connection.onShowIncomingCallUi()
        }
        return "connect"
    }

    private fun forward(on: Boolean): String {
        rig.command { presence.setForwarding(if (on) "+33612345678" else null) }
        isForwarded = on
        if (on) {
            until("nothing rings") { rig.phone.calls.value.none { it.state.value.phase == CallPhase.Ringing } }
            assertNull(rig.ringing, "it rings while calls are forwarded")
        }
        return "forwarding $on"
    }

    private fun turn(on: Boolean): String {
        if (on) screen.restart().start().resume() else screen.pause().stop()
        if (on) return "front"
        screen.restart().start().resume()
        return "away and back"
    }

    private fun settled() {
        until("answering comes to its end") { rig.phone.calls.value.none { it.state.value.phase == CallPhase.Answering } }
        until("phone and core agree") {
            val calls = rig.core.currentState().calls
            rig.phone.calls.value.map { it.id }.toSet() == (calls.ringing.map { it.callId } + listOfNotNull(calls.inCall?.callId)).toSet()
        }
        agrees()
    }

    private fun agrees() {
        val calls = rig.phone.calls.value
        if (rig.ringing != null) {
            assertTrue(calls.any { it.state.value.run { phase == CallPhase.Ringing && !silenced } }, "something rings, and no call does")
        }
        for ((id, connection) in connections) {
            val expected = when (rig.phone.find(id)?.state?.value?.phase) {
                null, is CallPhase.Ended -> Connection.STATE_DISCONNECTED
                CallPhase.Ringing, CallPhase.Answering -> Connection.STATE_RINGING
                CallPhase.Active -> Connection.STATE_ACTIVE
                CallPhase.Held -> Connection.STATE_HOLDING
            }
            assertEquals(expected, connection.state, "Telecom's state of $id")
        }
        val speaks = calls.count { it.state.value.phase == CallPhase.Active || it.state.value.phase == CallPhase.Held }
        assertEquals(speaks, rig.media.lines.count { it == "start" } - rig.media.lines.count { it == "stop" }, "media")
    }
}
