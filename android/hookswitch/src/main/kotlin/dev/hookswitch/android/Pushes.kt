package dev.hookswitch.android

/** What the core decided on a push: what the call UI needs of it. */
class IncomingCall(val callId: String, val from: String?, val name: String?)

/** Shows calls. [TelecomCalls] is the real one. */
interface CallScreen {
    /** Adds an incoming call, which rings. */
    fun add(call: IncomingCall)

    /** Takes a call off the screen. */
    fun end(callId: String, reason: EndReason)
}

/** Why a call leaves the screen. */
enum class EndReason {
    /** The other side, or the server. */
    REMOTE,

    /** Nobody answered in time. */
    MISSED,

    /** Another of the agent's devices answered. */
    ANSWERED_ELSEWHERE,
}

/**
 * Takes high-priority FCM data messages to the core, and carries out what it decides, once for each call.
 *
 * From `FirebaseMessagingService.onMessageReceived(message)`: `pushes.received(message.data)`. [decide] asks the core with the payload's JSON
 * text, and gives the call to add, or `null` when none is to be added. A call that must not ring is not added to Telecom and shows nothing.
 */
class Pushes(private val screen: CallScreen, private val decide: (payload: String) -> IncomingCall?) {
    private val shown = mutableSetOf<String>()

    /** Gives whether the message was for us: other messages of the app come the same way. */
    @Synchronized
    fun received(data: Map<String, String>): Boolean {
        val payload = payload(data) ?: return false
        val call = decide(payload) ?: return true
        if (shown.add(call.callId)) screen.add(call)
        return true
    }

    /** A call that rang here must stop, or is over. */
    @Synchronized
    fun ended(callId: String, reason: EndReason) {
        if (shown.remove(callId)) screen.end(callId, reason)
    }

    private companion object {
        /** FCM carries text only: the push is the JSON text under "call". */
        fun payload(data: Map<String, String>): String? = data["call"]
    }
}
