/** A phone of the lab, by way of Kotlin: tests/scenarios/PHONES.md says how the two talk. */
@file:JvmName("PhoneMain")

package dev.hookswitch.lab

import com.google.gson.JsonElement
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import com.sun.jna.Native
import dev.hookswitch.AppState
import dev.hookswitch.CodeBy
import dev.hookswitch.Configuration
import dev.hookswitch.DeviceClock
import dev.hookswitch.Hookswitch
import dev.hookswitch.HookswitchException
import dev.hookswitch.Platform
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.launch
import java.io.File
import java.io.FileDescriptor
import java.io.FileOutputStream
import java.io.PrintStream
import java.time.Instant
import kotlin.system.exitProcess

fun main() {
    // UTF-8, whatever the locale.
    val phone = PhoneProcess(PrintStream(FileOutputStream(FileDescriptor.out), false, Charsets.UTF_8))
    System.`in`.bufferedReader().forEachLine { phone.take(JsonParser.parseString(it).asJsonObject) }
    exitProcess(0)
}

private class PhoneProcess(private val out: PrintStream) {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val clock = LabClock()
    private var hookswitch: Hookswitch? = null
    private var lastShown: AppState? = null

    /** Begins what is asked, on this very thread, so that questions are begun in their order. */
    fun take(line: JsonObject) {
        val id = line["id"].asLong
        scope.launch(start = CoroutineStart.UNDISPATCHED) {
            val answer =
                try {
                    json("id" to id, "ok" to carryOut(line))
                } catch (failure: HookswitchException) {
                    json("id" to id, "failure" to failure.kind, "why" to failure.message)
                } catch (broken: Exception) {
                    broken.printStackTrace()
                    exitProcess(1)
                }
            show()
            say(answer)
        }
    }

    private suspend fun carryOut(line: JsonObject): Any? {
        val what = line["do"].asString
        if (what == "open") return open(line)
        val hookswitch = checkNotNull(hookswitch) { "it is not open" }
        fun text(name: String) = line[name].asString
        fun textOrNull(name: String) = line[name].orNull?.asString
        when (what) {
            "begin_login" -> return hookswitch.session.beginLogin(text("redirect_uri"))
            "finish_login" -> hookswitch.session.finishLogin(text("redirect"))
            "cancel_login" -> hookswitch.session.cancelLogin()
            "sign_out" -> hookswitch.session.signOut()
            "sign_out_everywhere" -> hookswitch.session.signOutEverywhere()
            "repair" -> return hookswitch.session.repair()
            "end_session" -> hookswitch.session.end(text("session"))
            "set_availability" -> hookswitch.presence.setAvailability(availability(text("to")))
            "set_forwarding" -> {
                val until = line["until"].orNull?.let { Instant.ofEpochMilli(it.asLong) }
                hookswitch.presence.setForwarding(textOrNull("to"), until)
            }
            "send_code" -> hookswitch.presence.sendCode(text("to"), CodeBy.valueOf(text("by").uppercase()))
            "verify_number" -> hookswitch.presence.verify(text("to"), text("code"))
            "answer" -> hookswitch.calls.answer(text("call_id"))
            "decline" -> hookswitch.calls.decline(text("call_id"))
            "hang_up" -> hookswitch.calls.hangUp(text("call_id"))
            "decide" -> return hookswitch.ring.decide(line["push"].toString(), line["must_report"].asBoolean)
            "set_push_token" -> hookswitch.setPushToken(textOrNull("token"))
            "foreground" -> hookswitch.foreground()
            "background" -> hookswitch.background()
            "unlocked" -> hookswitch.unlocked()
            "network" -> hookswitch.network(line["up"].asBoolean)
            "clock" -> {
                clock.show(line)
                hookswitch.clockChanged()
            }
            "saved" -> hookswitch.saved()
            "ring_log" -> return hookswitch.ring.log()
            "transcript" -> return hookswitch.transcript()
            else -> error("nobody knows how to $what")
        }
        return null
    }

    private fun open(line: JsonObject): JsonObject {
        fun text(name: String) = line[name].asString
        clock.show(line["clock"].asJsonObject)
        val folder = File(text("folder"))
        val configuration =
            Configuration(
                issuer = text("issuer"),
                server = text("server"),
                clientId = text("client_id"),
                redirectUris = line["redirect_uris"].asJsonArray.map { it.asString },
                deviceName = text("device_name"),
                platform = Platform.valueOf(text("platform").uppercase()),
                appVersion = text("app_version"),
                folder = folder,
                process = text("process"),
                proxy = text("proxy"),
            )
        val opened = Hookswitch.connectBlocking(configuration, FileKeys(folder), clock)
        hookswitch = opened
        scope.launch(start = CoroutineStart.UNDISPATCHED) { opened.calls.stops.collect { say(json("stopped" to it)) } }
        scope.launch { opened.state.collect { show() } }
        return json("device" to opened.deviceId)
    }

    /** Writes what the app shows, if it has changed. Also called before each answer, since the coroutine above may be late. */
    @Synchronized
    private fun show() {
        val now = hookswitch?.currentState() ?: return
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

private val JsonElement?.orNull: JsonElement?
    get() = this?.takeUnless { it.isJsonNull }

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
