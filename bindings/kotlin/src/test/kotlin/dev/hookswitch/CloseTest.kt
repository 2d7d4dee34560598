package dev.hookswitch

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.consumeAsFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource

class CloseTest {
    @Test
    fun `closing twice does no harm, and what is asked afterwards does not crash`() = inFolder { folder ->
        test {
            val hookswitch = connect(folder)
            hookswitch.close()
            hookswitch.close()
            hookswitch.foreground()
            hookswitch.network(up = false)
            hookswitch.clockChanged()
            assertEquals(SessionState.SignedOut(SignedOutWhy.NEVER, null), hookswitch.currentState().session)
            assertFailsWith<HookswitchException.Cancelled> { hookswitch.session.accessToken() }
            assertFailsWith<HookswitchException.Cancelled> { hookswitch.saved() }
            assertFailsWith<HookswitchException.Cancelled> { hookswitch.setPushToken("token") }
            assertFailsWith<HookswitchException.Cancelled> { hookswitch.ring.log() }
            assertFailsWith<HookswitchException.Cancelled> { hookswitch.ring.decide(PUSH) }
            assertFailsWith<HookswitchException.Cancelled> { hookswitch.transcript() }
        }
    }

    @Test
    fun `a connect that is cancelled leaves no core behind`() = inFolder { folder ->
        test {
            repeat(50) { number ->
                val opening = async(Dispatchers.Default) { connect(folder) }
                if (number % 2 == 0) delay((number / 10).milliseconds)
                opening.cancel()
                try {
                    opening.await().close()
                } catch (_: CancellationException) {
                    // As asked.
                }
            }
            assertTrue(gone(), "${Usage.threads()}")
        }
    }

    /** The promise that an app can open and close the core as often as it likes. */
    @Test
    fun `ten thousand times open and closed leaves nothing`() = inFolder { folder ->
        val cycles = System.getenv("HOOKSWITCH_CYCLES")?.toInt() ?: 10_000

        suspend fun cycle(count: Int) = repeat(count) { connect(folder).close() }

        // As long as it takes.
        runBlocking {
            // The first ones fill caches, and are compiled.
            cycle(cycles / 5)
            System.gc()
            val memory = Usage.resident()
            val files = Usage.openFiles()
            cycle(cycles - cycles / 5)
            System.gc()
            // A core that was just closed may still be on its way out.
            assertTrue(gone(), "${Usage.threads()}")
            val grown = Usage.resident() - memory
            println("leak: $cycles cycles, resident $memory -> ${memory + grown} KiB, $files -> ${Usage.openFiles()} files")
            assertTrue(Usage.openFiles() <= files, "$files -> ${Usage.openFiles()} files")
            // Two KiB lost a cycle would be 16 MiB.
            assertTrue(grown < 16 * 1_024, "$grown KiB")
        }
    }

    private suspend fun gone(): Boolean {
        val began = TimeSource.Monotonic.markNow()
        while (Usage.threads().isNotEmpty() && began.elapsedNow() < 10.seconds) delay(1.milliseconds)
        return Usage.threads().isEmpty()
    }
}

class LogTest {
    @Test
    fun `the log tells of decisions and of no numbers, and a sink that throws harms nobody`() = inFolder { folder ->
        test {
            assertTrue(Hookswitch.startLogging(LogLevel.INFO) { _, _, _ -> error("a test") })
            connect(folder).use { it.ring.decide(PUSH) }
            val lines = Channel<Pair<LogLevel, String>>(Channel.UNLIMITED)
            assertTrue(Hookswitch.startLogging(LogLevel.INFO) { level, _, message -> lines.trySend(level to message) })
            connect(folder).use { hookswitch ->
                val decision = hookswitch.ring.decide(PUSH)
                val (level, line) = lines.consumeAsFlow().first { "c-1" in it.second }
                assertEquals(LogLevel.INFO, level)
                assertContains(line, decision.explanation)
                assertFalse("4155550134" in line || "Maria" in line, line)
            }
        }
    }
}
