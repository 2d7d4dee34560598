package dev.hookswitch

import dev.hookswitch.lab.FileKeys
import kotlinx.coroutines.flow.first
import java.io.File
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertTrue

class FailureTest {
    @Test
    fun `every failure of Rust is one of ours, with its sentence and its cause`() {
        val pairs = listOf(
            Failure.Reauthenticate("Why.") to HookswitchException.Reauthenticate::class,
            Failure.Offline("Why.") to HookswitchException.Offline::class,
            Failure.Forbidden("Why.") to HookswitchException.Forbidden::class,
            Failure.Storage("Why.") to HookswitchException.Storage::class,
            Failure.Cancelled("Why.") to HookswitchException.Cancelled::class,
            Failure.Internal("Why.") to HookswitchException.Internal::class,
        )
        assertEquals(HookswitchException::class.sealedSubclasses.toSet(), pairs.map { it.second }.toSet())
        for ((theirs, ours) in pairs) {
            val failure = assertFailsWith(ours) { calling { throw theirs } }
            assertEquals("Why.", failure.message)
            assertEquals(theirs, failure.cause)
        }
    }

    @Test
    fun `an unusable configuration is Internal`() = inFolder { folder ->
        test { assertFailsWith<HookswitchException.Internal> { connect(folder, server = "http://calls.example") } }
    }

    @Test
    fun `a folder that is none is Storage`() = inFolder { folder ->
        val file = File(folder, "file").apply { writeText("") }
        test { assertFailsWith<HookswitchException.Storage> { connect(file) } }
    }

    @Test
    fun `a token for nobody asks for a sign-in`() = inFolder { folder ->
        test {
            connect(folder).use { hookswitch ->
                val failure = assertFailsWith<HookswitchException.Reauthenticate> { hookswitch.session.accessToken() }
                assertTrue(failure.message.endsWith("."), failure.message)
            }
        }
    }

    @Test
    fun `an issuer that is not there is Offline`() = inFolder { folder ->
        test {
            connect(folder).use { hookswitch ->
                hookswitch.foreground()
                assertFailsWith<HookswitchException.Offline> { hookswitch.session.beginLogin(REDIRECT) }
            }
        }
    }

    @Test
    fun `a redirect that nobody asked for is Forbidden`() = inFolder { folder ->
        test {
            connect(folder).use { hookswitch ->
                assertFailsWith<HookswitchException.Forbidden> { hookswitch.session.finishLogin("$REDIRECT?code=c&state=s") }
            }
        }
    }

    @Test
    fun `a push that is none is Internal`() = inFolder { folder ->
        test {
            connect(folder).use { hookswitch ->
                for (payload in listOf("", "{}", "[]", """{"kind": "dance"}""", "\u0000", "\uD800")) {
                    assertFailsWith<HookswitchException.Internal> { hookswitch.ring.decide(payload) }
                }
            }
        }
    }

    @Test
    fun `a panic in Rust is an exception and not a crash`() = inFolder { folder ->
        test {
            val failure = assertFailsWith<HookswitchException.Internal> { calling { injectPanic() } }
            assertContains(failure.message, "injected")
            // And the library works on.
            connect(folder).use { assertEquals(SessionState.SignedOut(SignedOutWhy.NEVER, null), it.session.state.value) }
        }
    }
}

class KeyTest {
    private class Moody(folder: File) : KeyProvider {
        private val real = FileKeys(folder)

        @Volatile
        var mood: Exception? = null

        override fun wrap(key: ByteArray): ByteArray = mood?.let { throw it } ?: real.wrap(key)

        override fun unwrap(wrapped: ByteArray): ByteArray = mood?.let { throw it } ?: real.unwrap(wrapped)
    }

    @Test
    fun `a key that may come back locks, and loses nothing`() {
        for (mood in listOf(KeyUnavailable(), IllegalStateException("a test"), RuntimeException())) {
            inFolder { folder ->
                test {
                    val keys = Moody(folder)
                    Hookswitch.connect(configuration(folder), keys).use { first ->
                        assertEquals(SessionState.SignedOut(SignedOutWhy.NEVER, null), first.session.state.value)
                        first.saved()
                    }
                    keys.mood = mood
                    Hookswitch.connect(configuration(folder), keys).use { hookswitch ->
                        assertEquals(SessionState.Locked, hookswitch.session.state.value)
                        keys.mood = null
                        hookswitch.unlocked()
                        val after = hookswitch.session.state.first { it != SessionState.Locked && it != SessionState.Loading }
                        assertEquals(SessionState.SignedOut(SignedOutWhy.NEVER, null), after)
                    }
                }
            }
        }
    }

    @Test
    fun `a key that is gone is told`() = inFolder { folder ->
        test {
            val keys = Moody(folder)
            Hookswitch.connect(configuration(folder), keys).use { it.saved() }
            keys.mood = KeyInvalidated()
            Hookswitch.connect(configuration(folder), keys).use { hookswitch ->
                val state = assertIs<SessionState.SignedOut>(hookswitch.session.state.value)
                assertTrue(state.message.orEmpty().isNotEmpty())
            }
        }
    }
}
