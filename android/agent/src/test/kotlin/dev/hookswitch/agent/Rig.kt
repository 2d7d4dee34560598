package dev.hookswitch.agent

import android.app.Activity
import android.app.Application
import android.app.Notification
import android.app.NotificationManager
import android.content.Context
import android.os.Looper
import android.telecom.Connection
import android.telecom.ConnectionRequest
import android.telecom.TelecomManager
import com.google.gson.JsonElement
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import dev.hookswitch.Configuration
import dev.hookswitch.Hookswitch
import dev.hookswitch.Link
import dev.hookswitch.android.AudioEndpoint
import dev.hookswitch.android.Call
import dev.hookswitch.android.CallMedia
import dev.hookswitch.android.CallNotifications
import dev.hookswitch.android.CoreState
import dev.hookswitch.android.HookswitchConnectionService
import dev.hookswitch.android.PhoneCalls
import dev.hookswitch.lab.DemoBrowser
import dev.hookswitch.lab.FileKeys
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runBlocking
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ServiceController
import java.io.File
import java.net.URI
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse
import java.util.UUID
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource

/** The reference backend that `android/check` starts. */
val backend: String = System.getenv("HOOKSWITCH_BACKEND") ?: "http://127.0.0.1:9"

/** The operator's door of it. */
object Customers {
    private val client = HttpClient.newHttpClient()
    private val key = System.getenv("HOOKSWITCH_OPERATOR_KEY") ?: "none"

    /** An agent of this test's own. Gives the e-mail address. */
    fun agent(): String {
        val name = "a" + UUID.randomUUID().toString().take(8)
        val email = "$name@acme.example"
        ask(
            "agents",
            """{"email": "$email", "password": "$PASSWORD", "password_login": true, "name": "Alice Martin", "role": "agent",
                "totp_secret": null, "time_zone": "UTC", "google": false, "sso": false, "email_verified": true}""",
        )
        return email
    }

    /** A customer calls. Gives the data of the push that goes out for it. */
    fun call(email: String, asOldServer: Boolean = false): Map<String, String> {
        ask("old-server", """{"on": $asOldServer}""")
        val answer = ask("calls", """{"email": "$email", "from": "+14155550134", "from_name": "Maria Lopez"}""").asJsonObject
        val id = answer["call"].asJsonObject["call_id"].asString
        val payload = ask("outbox", null).asJsonArray.map { it.asJsonObject["payload"].asJsonObject }.lastOrNull {
            it["call_id"].asString ==
                id
        }
        ask("old-server", """{"on": false}""")
        return mapOf("call" to checkNotNull(payload) { "no push goes out" }.toString())
    }

    fun hangUp(callId: String) {
        ask("calls/$callId/hang-up", "{}")
    }

    fun report(callId: String): JsonObject = ask("calls/$callId", null).asJsonObject

    private fun ask(what: String, body: String?): JsonElement {
        val request = HttpRequest.newBuilder(URI("$backend/operator/$what")).header("Authorization", "Bearer $key")
        if (body != null) request.header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(body))
        val answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString())
        check(answer.statusCode() < 300) { "$what: ${answer.statusCode()} ${answer.body()}" }
        return if (answer.body().isEmpty()) JsonObject() else JsonParser.parseString(answer.body())
    }

    const val PASSWORD = "correct horse battery staple"
}

/** Writes down what the phone asks of a media engine. */
class MediaLog : CallMedia {
    val lines = mutableListOf<String>()

    override fun start(callId: String) {
        lines += "start"
    }

    override fun stop() {
        lines += "stop"
    }

    override fun mute(on: Boolean) {
        lines += "mute $on"
    }

    override fun hold(on: Boolean) {
        lines += "hold $on"
    }

    override fun route(endpoint: AudioEndpoint) {
        lines += "route ${endpoint.kind}"
    }
}

/** Runs what the main thread has to do until it is so. Other threads take real time. */
fun until(what: String, done: () -> Boolean) {
    val began = TimeSource.Monotonic.markNow()
    while (!done()) {
        shadowOf(Looper.getMainLooper()).idle()
        check(began.elapsedNow() < 15.seconds) { "never: $what" }
        Thread.onSpinWait()
    }
}

/** A phone: the shell with the real core, and what Android would do around it. */
class Rig(
    val app: Application = RuntimeEnvironment.getApplication(),
    private val folder: File = File(app.noBackupFilesDir, "hookswitch"),
    private val fails: () -> Exception? = { null },
    private val gate: suspend () -> Unit = {},
) : AutoCloseable {
    val email: String by lazy { Customers.agent() }
    val media = MediaLog()
    val configuration = Configuration(backend, backend, "hookswitch-mobile", listOf(REDIRECT), "Robolectric", "1.0", folder)
    val phone = PhoneCalls(app, Activity::class.java, "Hookswitch", media) {
        gate()
        fails()?.let { throw it }
        Hookswitch.connect(configuration, FileKeys(folder))
    }
    private val telecom = shadowOf(app.getSystemService(TelecomManager::class.java))
    private val notifications = shadowOf(app.getSystemService(Context.NOTIFICATION_SERVICE) as NotificationManager)
    private val service: ServiceController<HookswitchConnectionService> by lazy {
        Robolectric.buildService(HookswitchConnectionService::class.java).create()
    }

    val core: Hookswitch get() = (phone.core.value as CoreState.Open).hookswitch
    val added: Int get() = telecom.allIncomingCalls.size
    val ringing: Notification? get() = notifications.allNotifications.firstOrNull { it.channelId == CallNotifications.INCOMING }
    val shown: Notification? get() = notifications.allNotifications.firstOrNull { it.channelId in CHANNELS }
    val call: Call get() = phone.calls.value.single()

    fun opened(): Rig = apply { until("the core is open") { phone.core.value is CoreState.Open } }

    fun signedIn(): Rig = opened().apply {
        core.foreground()
        command { session.finishLogin(DemoBrowser().signIn(session.beginLogin(REDIRECT), email, Customers.PASSWORD)) }
        phone.setPushToken("token")
        until("live, with a phone that can ring") {
            core.state.value.link == Link.LIVE &&
                core.state.value.presence?.devices.orEmpty().any { it.id == core.deviceId && it.cannotRing == null }
        }
    }

    /** What the agent's other devices do, or this one's settings: anything but the shell. */
    fun <T> command(what: suspend Hookswitch.() -> T): T = runBlocking(Dispatchers.IO) { core.what() }

    fun push(asOldServer: Boolean = false): Map<String, String> = Customers.call(email, asOldServer).also { phone.received(it) }

    /** What Telecom does after a call was added: the connection of the last one. */
    fun telecomConnects(): Connection = service.get().onCreateIncomingConnection(null, request())

    fun telecomRefuses() = service.get().onCreateIncomingConnectionFailed(null, request())

    private fun request(): ConnectionRequest {
        val added = telecom.allIncomingCalls.last()
        return ConnectionRequest(added.phoneAccount, null, added.extras.getBundle(TelecomManager.EXTRA_INCOMING_CALL_EXTRAS))
    }

    /** A call that rings, as far as Telecom and the notification. */
    fun rings(): Connection {
        push()
        return telecomConnects().apply { onShowIncomingCallUi() }
    }

    override fun close() = phone.close()

    companion object {
        const val REDIRECT = "dev.hookswitch.agent:/callback"
        private val CHANNELS = setOf(CallNotifications.INCOMING, CallNotifications.SILENT)
    }
}
