package dev.hookswitch

import app.cash.turbine.test
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.flow.filterNotNull
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.launch
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable
import java.time.Duration
import java.time.Instant
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.seconds

@EnabledIfEnvironmentVariable(named = "HOOKSWITCH_BACKEND", matches = ".+")
class ServerTest {
    private fun withAlice(body: suspend kotlinx.coroutines.CoroutineScope.(Hookswitch) -> Unit) = inFolder { folder ->
        test { signedIn(folder).use { body(it) } }
    }

    @Test
    fun `a sign-in is shown step by step`() = inFolder { folder ->
        test {
            connect(folder, checkNotNull(backend)).use { hookswitch ->
                hookswitch.foreground()
                hookswitch.session.state.test(timeout = 30.seconds) {
                    assertEquals(SessionState.SignedOut(SignedOutWhy.NEVER, null), awaitItem())
                    val address = hookswitch.session.beginLogin(REDIRECT, hint = "alice@acme.example")
                    assertEquals(SessionState.SigningIn(completing = false), awaitItem())
                    hookswitch.session.cancelLogin()
                    assertEquals(SessionState.SignedOut(SignedOutWhy.NEVER, null), awaitItem())
                    assertTrue("login_hint=alice" in address, "no hint in the address")
                    cancelAndIgnoreRemainingEvents()
                }
            }
        }
    }

    @Test
    fun `a signed-in agent is shown`() = withAlice { hookswitch ->
        val state = assertIs<SessionState.SignedIn>(hookswitch.session.state.value)
        assertEquals("alice@acme.example", state.agent.email)
        // The server hears of the phone a moment later.
        val presence = hookswitch.presence.state.filterNotNull().first { it.devices.any { at -> at.id == hookswitch.deviceId } }
        assertTrue(presence.devices.any { it.id == hookswitch.deviceId && it.name == "A test's phone" })
        assertTrue(presence.signIns.any { it.kind == SignInKind.MOBILE && it.device == hookswitch.deviceId })
        assertTrue(hookswitch.session.accessToken().isNotEmpty())
        assertFailsWith<HookswitchException.Forbidden> { hookswitch.session.beginLogin(REDIRECT) }
    }

    @Test
    fun `a session outlives the process`() = inFolder { folder ->
        test {
            val agent = signedIn(folder).use { first ->
                first.saved()
                assertIs<SessionState.SignedIn>(first.session.state.value).agent
            }
            connect(folder, checkNotNull(backend)).use { second ->
                assertEquals(agent, assertIs<SessionState.SignedIn>(second.session.state.value).agent)
            }
        }
    }

    @Test
    fun `every availability goes there and back`() = withAlice { hookswitch ->
        val reasons = UnavailableReason.entries - UnavailableReason.UNKNOWN
        val all = reasons.map { Availability.Unavailable(it) } + Availability.Automatic + Availability.Available
        hookswitch.presence.state.filterNotNull().map { it.availability }.test(timeout = 30.seconds) {
            for (availability in all) {
                hookswitch.presence.setAvailability(availability)
                while (awaitItem() != availability) Unit
            }
            cancelAndIgnoreRemainingEvents()
        }
    }

    @Test
    fun `forwarding silences this phone`() = withAlice { hookswitch ->
        hookswitch.setPushToken("token of ${hookswitch.deviceId}")
        hookswitch.presence.setForwarding("+33 6 12 34 56 78", until = Instant.now() + Duration.ofHours(1))
        val presence = assertNotNull(hookswitch.presence.state.value)
        assertEquals("+33612345678", presence.forwarding?.number)
        val left = Duration.between(Instant.now(), assertNotNull(presence.forwarding?.until))
        assertTrue(left in Duration.ofSeconds(3_590)..Duration.ofSeconds(3_610), "$left")
        assertEquals("+33612345678", presence.banner?.number)
        val decision = hookswitch.ring.decide(customers.call("alice@acme.example", "+14155550134", asOldServer = true))
        assertEquals(Silence.FORWARDING_ACTIVE, decision.silence)
        assertEquals(CallAction.NOTHING, decision.action)
        assertEquals("+14155550134", decision.from)
        assertEquals(decision, assertIs<RingLogEntry.Decided>(hookswitch.ring.log().last()).decision)
        assertFailsWith<HookswitchException.Forbidden> { hookswitch.presence.setForwarding("not a number") }
        hookswitch.presence.setForwarding(null)
        assertNull(hookswitch.presence.state.value?.banner)
    }

    @Test
    fun `a call rings and stops`() = withAlice { hookswitch ->
        hookswitch.setPushToken("token of ${hookswitch.deviceId}")
        hookswitch.presence.setForwarding(null)
        hookswitch.presence.setAvailability(Availability.Available)
        hookswitch.calls.stops.test(timeout = 30.seconds) {
            val decision = hookswitch.ring.decide(customers.call("alice@acme.example", "+14155550134", asOldServer = true))
            assertNull(decision.silence)
            assertEquals(CallAction.ADD_CALL, decision.action)
            assertEquals(listOf(decision.callId), hookswitch.currentState().calls.ringing.map { it.callId })
            hookswitch.calls.answer(decision.callId)
            assertEquals(decision.callId, hookswitch.calls.state.value.inCall?.callId)
            assertEquals(StoppedCall(decision.callId, StopReason.AnsweredHere, "Answered on this phone."), awaitItem())
            hookswitch.calls.hangUp(decision.callId)
            assertNull(hookswitch.calls.state.value.inCall)
        }
    }

    @Test
    fun `sixty-four coroutines at once all get an answer`() = withAlice { hookswitch ->
        val taps = listOf(Availability.Available, Availability.Automatic, Availability.Unavailable(UnavailableReason.OTHER))
        val outcomes = List(64) { number ->
            async(Dispatchers.Default) {
                when (number % 4) {
                    0 -> if (hookswitch.session.accessToken().isEmpty()) "no token" else "token"
                    1 ->
                        // The last tap wins; those before it are cancelled.
                        try {
                            hookswitch.presence.setAvailability(taps[number % 3])
                            "applied"
                        } catch (_: HookswitchException.Cancelled) {
                            "replaced"
                        }
                    2 -> hookswitch.state.first { it.session is SessionState.SignedIn }.let { "shown" }
                    else -> {
                        hookswitch.foreground()
                        if (hookswitch.currentState().session is SessionState.SignedIn) "signed in" else "signed out"
                    }
                }
            }
        }.awaitAll().groupingBy { it }.eachCount()
        assertEquals(listOf(16, 16, 16), listOf("token", "shown", "signed in").map { outcomes[it] }, "$outcomes")
        assertEquals(16, (outcomes["applied"] ?: 0) + (outcomes["replaced"] ?: 0), "$outcomes")
        assertTrue((outcomes["applied"] ?: 0) >= 1, "$outcomes")
        assertEquals(emptyList(), hookswitch.presence.state.value?.pending)
    }

    @Test
    fun `a cancelled coroutine leaves the core consistent`() = withAlice { hookswitch ->
        val training = Availability.Unavailable(UnavailableReason.IN_TRAINING)
        // Without a network the choice stays pending.
        hookswitch.network(up = false)
        val tap = async { hookswitch.presence.setAvailability(training) }
        hookswitch.presence.state.first { it?.pending?.isNotEmpty() == true }
        tap.cancel()
        assertFailsWith<CancellationException> { tap.await() }
        assertEquals<List<Choice>?>(listOf(Choice.Availability(training)), hookswitch.presence.state.value?.pending)
        // Nobody waits for it any more, and it happens all the same.
        hookswitch.network(up = true)
        val after = hookswitch.presence.state.filterNotNull().first { it.pending.isEmpty() }
        assertEquals<Availability>(training, after.availability)
        hookswitch.presence.setAvailability(Availability.Available)
    }

    @Test
    fun `a cancelled sign-out happens`() = withAlice { hookswitch ->
        val leaving = launch { hookswitch.session.signOut() }
        hookswitch.session.state.first { it !is SessionState.SignedIn }
        leaving.cancel()
        leaving.join()
        hookswitch.session.state.first { it == SessionState.SignedOut(SignedOutWhy.ASKED, null) }
    }
}
