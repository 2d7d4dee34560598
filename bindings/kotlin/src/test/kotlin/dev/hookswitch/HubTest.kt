package dev.hookswitch

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertIs
import kotlin.test.assertNotEquals

class HubTest {
    @Test
    fun `what the core hands over is what is shown, without asking it again`() {
        val hub = Hub()
        val locked = hub.state.value.copy(session = SessionState.Locked, link = Link.BACKGROUND)
        hub.changed(locked)
        assertEquals(locked, hub.state.value)
        assertEquals(SessionState.Locked, hub.session.value)
        assertEquals(Link.BACKGROUND, hub.link.value)
    }

    @Test
    fun `the first state is told before the core is open`() = inFolder { folder ->
        test {
            connect(folder).use { hookswitch ->
                assertNotEquals(SessionState.Loading, hookswitch.session.state.value)
                assertEquals(hookswitch.currentState(), hookswitch.state.value)
            }
        }
    }

    @Test
    fun `what a command changed is shown when it returns`() = inFolder { folder ->
        test {
            val server = backend ?: return@test
            connect(folder, server).use { hookswitch ->
                hookswitch.foreground()
                repeat(20) {
                    hookswitch.session.beginLogin(REDIRECT)
                    assertIs<SessionState.SigningIn>(hookswitch.session.state.value)
                    hookswitch.session.cancelLogin()
                    assertIs<SessionState.SignedOut>(hookswitch.session.state.value)
                }
            }
        }
    }
}
