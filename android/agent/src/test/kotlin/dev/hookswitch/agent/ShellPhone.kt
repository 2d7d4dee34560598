package dev.hookswitch.agent

import android.app.NotificationManager
import android.content.Context
import android.content.Intent
import android.net.ConnectivityManager
import android.net.Uri
import android.os.Looper
import android.telecom.Connection
import android.telecom.ConnectionRequest
import android.telecom.TelecomManager
import android.view.View
import android.view.ViewGroup
import android.widget.EditText
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import com.sun.jna.Native
import dev.hookswitch.AppState
import dev.hookswitch.CallAction
import dev.hookswitch.CodeBy
import dev.hookswitch.Configuration
import dev.hookswitch.DeviceClock
import dev.hookswitch.Hookswitch
import dev.hookswitch.HookswitchException
import dev.hookswitch.RingDecision
import dev.hookswitch.RingLogEntry
import dev.hookswitch.android.Call
import dev.hookswitch.android.CallNotifications
import dev.hookswitch.android.CallPhase
import dev.hookswitch.android.CoreState
import dev.hookswitch.android.EndReason
import dev.hookswitch.android.HookswitchConnectionService
import dev.hookswitch.lab.FileKeys
import dev.hookswitch.lab.availability
import dev.hookswitch.lab.json
import dev.hookswitch.lab.kind
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.yield
import org.junit.Test
import org.junit.runner.JUnitCore
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowNetwork
import java.io.File
import java.io.FileDescriptor
import java.io.FileOutputStream
import java.io.PrintStream
import java.io.SequenceInputStream
import java.time.Instant
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlin.system.exitProcess
import kotlin.time.Duration.Companion.seconds

/**
 * The app as a phone of the lab: tests/scenarios/PHONES.md says how the two talk. Pushes come as FCM data, what the agent does are clicks on
 * what is on the screen, and what rings is looked at in Telecom and among the notifications. An iPhone is the Kotlin layer alone.
 */
object ShellPhoneMain {
    /** The line that says what to open, for the class that Robolectric loads anew. */
    const val OPEN = "hookswitch.open"

    @JvmStatic
    fun main(arguments: Array<String>) {
        val first = generateSequence { System.`in`.read().takeIf { it >= 0 && it != '\n'.code } }.map { it.toByte() }.toList().toByteArray()
        if (JsonParser.parseString(String(first)).asJsonObject["platform"].asString == "ios") {
            System.setIn(SequenceInputStream((String(first) + "\n").byteInputStream(), System.`in`))
            Class.forName("dev.hookswitch.lab.PhoneMain").getMethod("main").invoke(null)
            return
        }
        System.setProperty(OPEN, String(first))
        // Standard output is the lab's.
        System.setOut(System.err)
        val result = JUnitCore.runClasses(ShellPhone::class.java)
        result.failures.forEach { System.err.println(it.trace) }
        exitProcess(if (result.wasSuccessful()) 0 else 1)
    }
}

private val opening: JsonObject by lazy { JsonParser.parseString(System.getProperty(ShellPhoneMain.OPEN)).asJsonObject }
private val labClock by lazy { LabClock().apply { show(opening["clock"].asJsonObject) } }

/** The app, with the lab's configuration, clocks and keys. */
class LabApplication : AgentApplication() {
    override suspend fun open(configuration: Configuration): Hookswitch {
        fun text(name: String) = opening[name].asString
        val lab = configuration.copy(
            issuer = text("issuer"),
            server = text("server"),
            clientId = text("client_id"),
            redirectUris = opening["redirect_uris"].asJsonArray.map { it.asString },
            deviceName = text("device_name"),
            appVersion = text("app_version"),
            folder = File(text("folder")),
            process = text("process"),
            proxy = text("proxy"),
        )
        return Hookswitch.connect(lab, FileKeys(lab.folder), labClock)
    }
}

@RunWith(RobolectricTestRunner::class)
@Config(application = LabApplication::class)
@GraphicsMode(GraphicsMode.Mode.LEGACY)
class ShellPhone {
    private val out = PrintStream(FileOutputStream(FileDescriptor.out), false, Charsets.UTF_8)
    private val app = RuntimeEnvironment.getApplication() as LabApplication
    private val beside = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val lines = LinkedBlockingQueue<String>()
    private val telecom = shadowOf(app.getSystemService(TelecomManager::class.java))
    private val notifications = shadowOf(app.getSystemService(Context.NOTIFICATION_SERVICE) as NotificationManager)
    private val connections = mutableMapOf<String, Connection>()
    private var screen: ActivityController<AgentActivity>? = null
    private var isFront = false
    private var lastShown: AppState? = null
    private val core: Hookswitch get() = (app.phone.core.value as CoreState.Open).hookswitch

    /** Runs until the lab closes the line. */
    @Test
    fun phone() {
        Thread {
            System.`in`.bufferedReader().forEachLine { lines.add(it) }
            exitProcess(0)
        }.apply { isDaemon = true }.start()
        until("the core is open") { app.phone.core.value is CoreState.Open }
        beside.launch(start = CoroutineStart.UNDISPATCHED) { core.calls.stops.collect { say(json("stopped" to it)) } }
        beside.launch { core.state.collect { show() } }
        show()
        say(json("id" to opening["id"].asLong, "ok" to json("device" to core.deviceId)))
        while (true) {
            shadowOf(Looper.getMainLooper()).idle()
            lines.poll(2, TimeUnit.MILLISECONDS)?.let { take(JsonParser.parseString(it).asJsonObject) }
        }
    }

    private fun take(line: JsonObject) {
        val id = line["id"].asLong
        val wait = begin(line)
        CoroutineScope(Dispatchers.Main.immediate).launch {
            val answer = try {
                json("id" to id, "ok" to wait())
            } catch (failure: HookswitchException) {
                json("id" to id, "failure" to failure.kind, "why" to failure.message)
            } catch (broken: Throwable) {
                broken.printStackTrace()
                exitProcess(1)
            }
            show()
            say(answer)
        }
    }

    /** Begins at once; what it gives waits for the end. */
    private fun begin(line: JsonObject): suspend () -> Any? {
        fun text(name: String) = line[name].asString
        fun textOrNull(name: String) = line[name]?.takeUnless { it.isJsonNull }?.asString
        return when (val what = text("do")) {
            "begin_login" -> beginLogin(text("redirect_uri"))
            "finish_login" -> browserReturns(text("redirect"))
            "cancel_login" -> tap(Act.CancelSignIn) { session.cancelLogin() }
            "sign_out" -> tap(Act.SignOut) { session.signOut() }
            "sign_out_everywhere" -> tap(Act.SignOutEverywhere, Screen.DEVICES) { session.signOutEverywhere() }
            "end_session" -> tap(Act.End(text("session")), Screen.DEVICES) { session.end(text("session")) }
            "repair" -> repair()
            "set_availability" -> availability(text("to")).let { to -> tap(Act.Choose(to)) { presence.setAvailability(to) } }
            "set_forwarding" -> forward(
                textOrNull("to"),
                line["until"]?.takeUnless {
                    it.isJsonNull
                }?.let { Instant.ofEpochMilli(it.asLong) },
            )
            "send_code" -> CodeBy.valueOf(text("by").uppercase()).let { by ->
                tap(Act.SendCode(by), Screen.FORWARDING, Fields.NUMBER to text("to")) { presence.sendCode(text("to"), by) }
            }
            "verify_number" -> tap(Act.Verify, Screen.FORWARDING, Fields.NUMBER to text("to"), Fields.CODE to text("code")) {
                presence.verify(text("to"), text("code"))
            }
            "answer" -> answer(text("call_id"))
            "decline" -> onCall(text("call_id"), Act.Reject, { it.reject() }) { calls.decline(text("call_id")) }
            "hang_up" -> onCall(text("call_id"), Act.HangUp, { it.disconnect() }) { calls.hangUp(text("call_id")) }
            "decide" -> push(line["push"].toString()).let { { it } }
            "set_push_token" -> textOrNull("token").let { token ->
                token?.let { app.messages.newToken(it) }
                past { setPushToken(token) }
            }
            "foreground" -> done { front(true) }
            "background" -> done { front(false) }
            "unlocked" -> done { app.sendBroadcast(Intent(Intent.ACTION_USER_UNLOCKED)) }
            "network" -> done { network(line["up"].asBoolean) }
            "clock" -> done {
                labClock.show(line)
                core.clockChanged()
            }
            "saved" -> past { saved() }
            "ring_log" -> past { ring.log() }
            "transcript" -> past { transcript() }
            else -> error("nobody knows how to $what")
        }
    }

    private fun done(what: () -> Unit): suspend () -> Any? {
        what()
        shadowOf(Looper.getMainLooper()).idle()
        return { null }
    }

    /** What no screen offers at this moment. Begun on this very thread, as PHONES.md wants it. */
    private fun past(what: suspend Hookswitch.() -> Any?): suspend () -> Any? {
        val result = kotlinx.coroutines.CompletableDeferred<Result<Any?>>()
        beside.launch(start = CoroutineStart.UNDISPATCHED) { result.complete(runCatching { core.what().takeUnless { it is Unit } }) }
        return { result.await().getOrThrow() }
    }

    /** A click, where that is on the screen; and what it stands for, where it is not. */
    private fun tap(
        act: Act,
        on: Screen = Screen.HOME,
        vararg typed: Pair<String, String>,
        otherwise: suspend Hookswitch.() -> Any?,
    ): suspend () -> Any? {
        val view = find(act, on, *typed) ?: return past(otherwise)
        view.performClick()
        val outcome = app.agent.last
        return {
            outcome.await()?.let { throw it }
            null
        }
    }

    private fun find(act: Act, on: Screen, vararg typed: Pair<String, String>): View? {
        val activity = screen?.get()?.takeIf { isFront } ?: return null
        if (app.agent.ui.value.screen != on) app.agent.act(Act.Go(on), activity)
        app.agent.fields += typed
        shadowOf(Looper.getMainLooper()).idle()
        for ((field, words) in typed) (views().firstOrNull { it.tag == field } as? EditText)?.setText(words)
        return views().firstOrNull { it.tag == act && it.isEnabled }
    }

    private fun views(): Sequence<View> {
        fun below(view: View): Sequence<View> = sequenceOf(view) +
            (
                (view as? ViewGroup)?.let { group ->
                    (0 until group.childCount).asSequence().flatMap { below(group.getChildAt(it)) }
                }.orEmpty()
                )
        return screen?.get()?.window?.decorView?.let { below(it) }.orEmpty()
    }

    private fun beginLogin(redirectUri: String): suspend () -> Any? {
        val button = find(Act.SignIn, Screen.HOME) ?: return past { session.beginLogin(redirectUri) }
        shadowOf(app).clearNextStartedActivities()
        button.performClick()
        val outcome = app.agent.last
        return {
            outcome.await()?.let { throw it }
            checkNotNull(shadowOf(app).nextStartedActivity?.dataString) { "no browser was opened" }
        }
    }

    private fun browserReturns(redirect: String): suspend () -> Any? {
        val controller = screen ?: return past { session.finishLogin(redirect) }
        controller.newIntent(Intent(Intent.ACTION_VIEW, Uri.parse(redirect)))
        val outcome = app.agent.last
        return {
            outcome.await()?.let { throw it }
            null
        }
    }

    private fun repair(): suspend () -> Any? {
        val wait = tap(Act.Repair, Screen.REPAIR) { session.repair() }
        return { wait() ?: app.agent.ui.value.repaired }
    }

    private fun forward(to: String?, until: Instant?): suspend () -> Any? = when {
        to == null -> tap(Act.ForwardingOff) { presence.setForwarding(null) }
        until != null -> past { presence.setForwarding(to, until) }
        else -> tap(Act.Forward(null), Screen.FORWARDING, Fields.NUMBER to to) { presence.setForwarding(to) }
    }

    private fun onCall(id: String, act: Act, otherwise: (Call) -> Unit, past: suspend Hookswitch.() -> Any?): suspend () -> Any? {
        val call = app.phone.find(id) ?: return past(past)
        val button = if (app.phone.foremost() == call) find(act, Screen.HOME) else null
        if (button != null) button.performClick() else otherwise(call)
        return { past(past)() }
    }

    private fun answer(id: String): suspend () -> Any? {
        val call = app.phone.find(id) ?: return past { calls.answer(id) }
        val button = if (app.phone.foremost() == call) find(Act.Accept, Screen.HOME) else null
        if (button != null) button.performClick() else connections[id]?.onAnswer() ?: call.accept()
        return {
            val state = withTimeout(60.seconds) { call.state.first { it.phase != CallPhase.Answering } }
            // Whoever is told of a state is told in the middle of it.
            yield()
            when (val phase = state.phase) {
                CallPhase.Active -> check(connections[id]?.state == Connection.STATE_ACTIVE) { "Telecom does not know that it is answered" }
                // In the core's own words, which are the same for who asks again.
                is CallPhase.Ended -> {
                    if (phase.reason != EndReason.ANSWERED_ELSEWHERE) core.calls.answer(id)
                    core.calls.answer(id)
                }
                else -> core.calls.answer(id)
            }
            null
        }
    }

    /** By FCM; what comes of it is looked for in the ring log, in Telecom, and among the notifications. */
    private fun push(payload: String): RingDecision {
        val before = core.ring.log()
        val added = telecom.allIncomingCalls.size
        app.messages.received(mapOf("call" to payload))
        val log = core.ring.log()
        val decided = log.filterIsInstance<RingLogEntry.Decided>().lastOrNull()?.decision
        // It cannot be read; in the core's own words.
        if (log == before || decided == null) return core.ring.decide(payload)
        if (decided.action == CallAction.ADD_CALL) {
            check(telecom.allIncomingCalls.size == added + 1) { "a call that must ring is not in Telecom" }
            val request = telecom.allIncomingCalls.last()
            val extras = request.extras.getBundle(TelecomManager.EXTRA_INCOMING_CALL_EXTRAS)
            val connection = Robolectric.buildService(HookswitchConnectionService::class.java).create().get()
                .onCreateIncomingConnection(request.phoneAccount, ConnectionRequest(request.phoneAccount, null, extras))
            connections[decided.callId] = connection
            connection.onShowIncomingCallUi()
            check(connection.state == Connection.STATE_RINGING) { "Telecom was not told that it rings" }
            check(isShown(decided.callId)) { "a call that must ring is not shown" }
        } else {
            check(telecom.allIncomingCalls.size == added) { "a silent call was added to Telecom: ${decided.explanation}" }
        }
        return decided
    }

    private fun isShown(callId: String) = notifications.getNotification(callId, 1)?.channelId == CallNotifications.INCOMING

    private fun front(on: Boolean) {
        if (on == isFront) return
        isFront = on
        val controller = screen
        when {
            !on -> controller?.pause()?.stop()
            controller == null -> screen = Robolectric.buildActivity(AgentActivity::class.java).setup()
            else -> controller.restart().start().resume()
        }
    }

    private fun network(up: Boolean) {
        val network = ShadowNetwork.newInstance(1)
        for (callback in shadowOf(app.getSystemService(ConnectivityManager::class.java)).networkCallbacks) {
            if (up) callback.onAvailable(network) else callback.onLost(network)
        }
    }

    @Synchronized
    private fun show() {
        val now = core.currentState()
        if (now != lastShown) {
            lastShown = now
            say(json("shown" to now))
        }
    }

    private fun say(line: JsonObject) {
        synchronized(out) {
            out.println(line.toString())
            out.flush()
        }
    }
}

/** The clocks of the phone, as the lab set them last; they go on with real time. */
private class LabClock : DeviceClock {
    private var shown = DeviceClock.Moment(0, 0)
    private var since = System.nanoTime()

    @Synchronized
    fun show(line: JsonObject) {
        shown = DeviceClock.Moment(line["wall"].asLong, maxOf(line["mono"].asLong, now().mono))
        since = System.nanoTime()
    }

    @Synchronized
    override fun now(): DeviceClock.Moment {
        // Asked for within another call from Rust, after which JNA would detach the thread too early.
        Native.detach(false)
        val passed = (System.nanoTime() - since) / 1_000_000
        return DeviceClock.Moment(shown.wall + passed, shown.mono + passed)
    }
}
