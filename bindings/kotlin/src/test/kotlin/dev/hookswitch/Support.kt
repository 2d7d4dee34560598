package dev.hookswitch

import dev.hookswitch.lab.DemoBrowser
import dev.hookswitch.lab.FileKeys
import dev.hookswitch.lab.Operator
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import java.io.File
import java.nio.file.Files
import kotlin.time.Duration.Companion.seconds

/** The reference backend that `bindings/kotlin/check` starts; `null`: none, as when an IDE runs the tests. */
val backend: String? = System.getenv("HOOKSWITCH_BACKEND")

/** Customers of it. */
val customers = Operator(backend ?: NOBODY, System.getenv("HOOKSWITCH_OPERATOR_KEY") ?: "none")

/** A port at which nobody listens (RFC 6335: discard). */
const val NOBODY = "http://127.0.0.1:9"

const val REDIRECT = "dev.hookswitch.agent:/callback"

/** A call that nobody here expects. */
const val PUSH =
    """{"kind": "incoming", "call_id": "c-1", "account": "nobody", "expires_at": 1, "routing": {"epoch": 1, "rev": 1},
        "forwarding_on": false, "from": "+14155550134", "from_name": "Maria Lopez"}"""

/** With the core's own threads and in real time: a test that hangs fails. */
fun test(body: suspend CoroutineScope.() -> Unit) = runBlocking { withTimeout(120.seconds, body) }

/** A folder of its own. */
fun <T> inFolder(body: (File) -> T): T {
    val folder = Files.createTempDirectory("hookswitch-test").toFile()
    try {
        return body(folder)
    } finally {
        folder.deleteRecursively()
    }
}

fun configuration(folder: File, server: String = NOBODY) = Configuration(
    issuer = server,
    server = server,
    clientId = "hookswitch-mobile",
    redirectUris = listOf(REDIRECT),
    deviceName = "A test's phone",
    appVersion = "1.0",
    folder = folder,
)

suspend fun connect(folder: File, server: String = NOBODY): Hookswitch = Hookswitch.connect(configuration(folder, server), FileKeys(folder))

/** A core on which Alice is signed in. */
suspend fun signedIn(folder: File): Hookswitch {
    val hookswitch = connect(folder, checkNotNull(backend))
    hookswitch.foreground()
    hookswitch.session.finishLogin(DemoBrowser().signIn(hookswitch.session.beginLogin(REDIRECT)))
    hookswitch.presence.state.first { it != null }
    return hookswitch
}

/** What a process uses, as the kernel says. */
object Usage {
    /** The threads of cores; the log's thread is the process's for good. */
    fun threads(): List<String> = File("/proc/self/task").listFiles().orEmpty()
        .mapNotNull { runCatching { File(it, "comm").readText().trim() }.getOrNull() }
        .filter { it == "hookswitch" || it.startsWith("hookswitch-") && it != "hookswitch-log" }

    /** Resident memory in KiB. */
    fun resident(): Long = Regex("""VmRSS:\s*(\d+)""").find(File("/proc/self/status").readText())?.groupValues?.get(1)?.toLong() ?: 0

    fun openFiles(): Int = File("/proc/self/fd").list().orEmpty().size
}
