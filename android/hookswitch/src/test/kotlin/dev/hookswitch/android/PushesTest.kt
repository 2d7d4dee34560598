package dev.hookswitch.android

import dev.hookswitch.CallAction
import dev.hookswitch.RingDecision
import dev.hookswitch.Silence
import dev.hookswitch.StopReason
import dev.hookswitch.StoppedCall
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.MutableSharedFlow
import java.time.Instant
import kotlin.test.AfterTest
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue

class PushesTest {
    private val lines = mutableListOf<String>()
    private val screen = object : CallScreen {
        override fun add(callId: String, from: String?, name: String?) {
            lines += "add $callId from $from"
        }

        override fun end(callId: String, reason: EndReason) {
            lines += "end $callId $reason"
        }
    }
    private var silence: Silence? = null
    private val payloads = mutableListOf<String>()
    private val stops = MutableSharedFlow<StoppedCall>(extraBufferCapacity = 16)
    private val scope = CoroutineScope(Dispatchers.Unconfined)
    private val pushes = Pushes(::decide, stops, screen, scope)
    private val push = mapOf("call" to """{"kind":"incoming"}""")

    private fun decide(payload: String): RingDecision {
        payloads += payload
        val action = if (silence == null) CallAction.ADD_CALL else CallAction.NOTHING
        return RingDecision("a", action, silence, "+14155550134", null, Instant.EPOCH, Instant.EPOCH, "because")
    }

    @AfterTest
    fun end() = scope.cancel()

    @Test
    fun `a call that rings is added`() {
        assertTrue(pushes.received(push))
        assertEquals(listOf("add a from +14155550134"), lines)
    }

    @Test
    fun `a silent call shows nothing, whatever the reason`() {
        for (reason in Silence.entries) {
            silence = reason
            assertTrue(pushes.received(push))
        }
        assertEquals(emptyList(), lines)
    }

    @Test
    fun `the core is given the payload as it is`() {
        val text = """{ "kind": "incoming", "unknown": [1, 2] }"""
        pushes.received(mapOf("call" to text))
        assertEquals(listOf(text), payloads)
    }

    @Test
    fun `messages of others are left to them`() {
        assertFalse(pushes.received(mapOf("chat" to "hello")))
        assertFalse(pushes.received(emptyMap()))
        assertEquals(emptyList(), payloads)
    }

    @Test
    fun `a call that must stop leaves the screen, and one that the agent took does not`() {
        stops.tryEmit(StoppedCall("a", StopReason.AnsweredHere))
        stops.tryEmit(StoppedCall("b", StopReason.DeclinedHere))
        stops.tryEmit(StoppedCall("c", StopReason.Silenced(Silence.ANSWERED_ELSEWHERE)))
        stops.tryEmit(StoppedCall("d", StopReason.Silenced(Silence.FORWARDING_ACTIVE)))
        stops.tryEmit(StoppedCall("e", StopReason.Silenced(Silence.EXPIRED)))
        assertEquals(listOf("end c ANSWERED_ELSEWHERE", "end d REMOTE", "end e MISSED"), lines)
    }
}
