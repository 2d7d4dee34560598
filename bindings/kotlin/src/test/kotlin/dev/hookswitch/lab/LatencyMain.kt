/**
 * Times calls through Kotlin, for `prove latency`. Arguments: a backend with the demo accounts, and how many rounds. Prints a line of
 * JSON: for each kind of call its times in nanoseconds.
 */
@file:JvmName("LatencyMain")

package dev.hookswitch.lab

import dev.hookswitch.Configuration
import dev.hookswitch.Hookswitch
import dev.hookswitch.Link
import dev.hookswitch.Silence
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlin.io.path.createTempDirectory

/** An app that was just started has not compiled its code yet, but does not ask often either: what is timed is what the machine can do. */
private const val WARM_UP = 20_000

/** A call for somebody else: nothing rings, and nothing is remembered. */
private const val PUSH =
    """{"kind": "incoming", "call_id": "c-1", "account": "nobody", "expires_at": 1, "routing": {"epoch": 1, "rev": 1},
        "forwarding_on": false, "from": "+14155550134", "from_name": "Maria Lopez"}"""

fun main(arguments: Array<String>): Unit = runBlocking(Dispatchers.Default) {
    val (backend, rounds) = arguments
    val folder = createTempDirectory("hookswitch-latency").toFile()
    try {
        val configuration =
            Configuration(
                issuer = backend,
                server = backend,
                clientId = "hookswitch-mobile",
                redirectUris = listOf("dev.hookswitch.agent:/callback"),
                deviceName = "A phone with a stopwatch",
                appVersion = "1.0",
                folder = folder,
            )
        Hookswitch.connect(configuration, FileKeys(folder)).use { hookswitch ->
            hookswitch.foreground()
            val address = hookswitch.session.beginLogin(configuration.redirectUris[0])
            hookswitch.session.finishLogin(DemoBrowser().signIn(address))
            hookswitch.state.first { it.link == Link.LIVE && it.presence != null }
            time(hookswitch, WARM_UP)
            val times = time(hookswitch, rounds.toInt())
            // Nothing is written any more when the folder goes.
            hookswitch.saved()
            println(times.entries.joinToString(",", "{", "}") { (call, nanos) -> "\"$call\":${nanos.joinToString(",", "[", "]")}" })
        }
    } finally {
        folder.deleteRecursively()
    }
}

/** One call of each kind a round, so that what else the machine does meets them all alike. */
private suspend fun time(hookswitch: Hookswitch, rounds: Int): Map<String, LongArray> {
    val nothing = LongArray(rounds)
    val token = LongArray(rounds)
    val snapshot = LongArray(rounds)
    val decide = LongArray(rounds)
    repeat(rounds) { round ->
        // No argument, no result, and with the clocks of the device nobody who listens: what is left is the way there and back.
        nothing[round] = nanos { hookswitch.clockChanged() }
        token[round] = nanos { hookswitch.session.accessToken() }
        snapshot[round] = nanos { check(hookswitch.currentState().presence != null) }
        decide[round] = nanos { check(hookswitch.ring.decide(PUSH).silence == Silence.OTHER_ACCOUNT) }
    }
    return mapOf("nothing" to nothing, "token" to token, "snapshot" to snapshot, "decide" to decide)
}

private inline fun nanos(call: () -> Unit): Long {
    val began = System.nanoTime()
    call()
    return System.nanoTime() - began
}
