package dev.hookswitch.lab

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonNull
import com.google.gson.JsonObject
import com.google.gson.JsonPrimitive
import dev.hookswitch.*

// How tests/scenarios/PHONES.md calls things.

fun json(vararg fields: Pair<String, Any?>): JsonObject =
    JsonObject().apply { fields.forEach { (name, value) -> add(name, element(value)) } }

fun element(value: Any?): JsonElement = when (value) {
    null -> JsonNull.INSTANCE
    is JsonElement -> value
    is String -> JsonPrimitive(value)
    is Number -> JsonPrimitive(value)
    is Boolean -> JsonPrimitive(value)
    is List<*> -> JsonArray().apply { value.forEach { add(element(it)) } }
    else -> error("no JSON: $value")
}

/** `ON_A_BREAK` is `on_a_break` there. */
private val Enum<*>.word: String
    get() = name.lowercase()

val HookswitchException.kind: String
    get() =
        when (this) {
            is HookswitchException.Reauthenticate -> "Reauthenticate"
            is HookswitchException.Offline -> "Offline"
            is HookswitchException.Forbidden -> "Forbidden"
            is HookswitchException.Storage -> "Storage"
            is HookswitchException.Cancelled -> "Cancelled"
            is HookswitchException.Internal -> "Internal"
        }

val Availability.word: String
    get() =
        when (this) {
            Availability.Available -> "available"
            Availability.Automatic -> "automatic"
            is Availability.Unavailable -> reason.word
        }

fun availability(word: String): Availability =
    (listOf(Availability.Available, Availability.Automatic) + UnavailableReason.entries.map { Availability.Unavailable(it) })
        .first { it.word == word }

private val StopReason.word: String
    get() =
        when (this) {
            StopReason.AnsweredHere -> "answered_here"
            StopReason.DeclinedHere -> "declined_here"
            is StopReason.Silenced -> reason.word
        }

val StoppedCall.words: JsonObject
    get() = json("call_id" to callId, "because" to why.word)

val RingDecision.words: JsonObject
    get() = json("because" to silence?.word, "action" to action.word, "explanation" to explanation)

val RingLogEntry.words: JsonObject
    get() =
        when (this) {
            is RingLogEntry.Decided ->
                decision.words.apply {
                    addProperty("is", "decided")
                    addProperty("call_id", decision.callId)
                    addProperty("at", decision.at.toEpochMilli())
                }
            is RingLogEntry.Stopped ->
                call.words.apply {
                    addProperty("is", "stopped")
                    addProperty("at", at.toEpochMilli())
                }
        }

private val SessionState.words: JsonObject
    get() =
        when (this) {
            SessionState.Loading -> json("is" to "loading")
            SessionState.Locked -> json("is" to "locked")
            is SessionState.SignedOut -> json("is" to "signed_out", "message" to message)
            is SessionState.SigningIn -> json("is" to "signing_in", "completing" to completing)
            is SessionState.SignedIn ->
                json("is" to "signed_in", "status" to health.word, "name" to agent.name, "email" to agent.email)
            is SessionState.ReauthRequired -> json("is" to "reauth_required", "message" to message, "email" to email)
            SessionState.SigningOut -> json("is" to "signing_out")
        }

private val Choice.word: String
    get() =
        when (this) {
            is Choice.OfAvailability -> "availability"
            is Choice.OfForwarding -> "forwarding"
        }

private val PresenceState.words: JsonObject
    get() =
        json(
            "version" to version,
            "availability" to availability.word,
            "effective" to effective.word,
            "forwarding" to forwarding?.number,
            "banner" to banner?.number,
            "pending" to pending.map { it.word },
            "superseded" to superseded?.why,
            "devices" to devices.map { json("id" to it.id, "cannot_ring" to it.cannotRing?.word) },
            "signed_in_at" to
                signedInAt.map { json("session" to it.id, "kind" to it.kind.word, "device" to it.device) },
        )

val Snapshot.words: JsonObject
    get() =
        json(
            "session" to session.words,
            "presence" to presence?.words,
            "link" to link.word,
            "ringing" to calls.ringing.map { it.callId },
            "in_call" to calls.inCall?.callId,
        )
