package dev.hookswitch.android

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue

class PushesTest {
    private val lines = mutableListOf<String>()
    private val screen = object : CallScreen {
        override fun add(call: IncomingCall) {
            lines += "add ${call.callId} from ${call.from}"
        }

        override fun end(callId: String, reason: EndReason) {
            lines += "end $callId $reason"
        }
    }
    private var decision: IncomingCall? = IncomingCall("a", "+14155550134", null)
    private val payloads = mutableListOf<String>()
    private val pushes = Pushes(screen) { payload -> decision.also { payloads += payload } }
    private val push = mapOf("call" to """{"kind":"incoming"}""")

    @Test
    fun `a call is added once, however often it is pushed`() {
        repeat(3) { assertTrue(pushes.received(push)) }
        assertEquals(listOf("add a from +14155550134"), lines)
    }

    @Test
    fun `a silent call shows nothing`() {
        decision = null
        assertTrue(pushes.received(push))
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
    fun `a call ends once, and only if it was shown`() {
        pushes.ended("a", EndReason.REMOTE)
        pushes.received(push)
        pushes.ended("a", EndReason.ANSWERED_ELSEWHERE)
        pushes.ended("a", EndReason.REMOTE)
        assertEquals(listOf("add a from +14155550134", "end a ANSWERED_ELSEWHERE"), lines)
    }
}
