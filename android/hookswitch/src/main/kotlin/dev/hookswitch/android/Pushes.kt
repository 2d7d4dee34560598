package dev.hookswitch.android

import dev.hookswitch.CallAction
import dev.hookswitch.Hookswitch
import dev.hookswitch.HookswitchException
import dev.hookswitch.RingDecision
import dev.hookswitch.Silence
import dev.hookswitch.StopReason
import dev.hookswitch.StoppedCall
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.launch

/** Shows calls. [TelecomCalls] is the real one. */
interface CallScreen {
    /** Adds an incoming call, which rings. */
    fun add(callId: String, from: String?, name: String?)

    /** Takes a call off the screen. One that is not on it is no error. */
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
 * Takes high-priority FCM data messages to the core, and carries out what it decides. A call that must not ring is not added to Telecom
 * and shows nothing.
 *
 * Make it with the core, before the first message.
 */
class Pushes internal constructor(
    private val decide: (payload: String) -> RingDecision,
    stops: Flow<StoppedCall>,
    private val screen: CallScreen,
    scope: CoroutineScope,
) {
    /** [scope] is the process's. */
    constructor(hookswitch: Hookswitch, screen: CallScreen, scope: CoroutineScope) :
        this({ hookswitch.ring.decide(it) }, hookswitch.calls.stops, screen, scope)

    init {
        // Here and now: a stop that comes before anybody listens is heard by nobody.
        scope.launch(start = CoroutineStart.UNDISPATCHED) { stops.collect { stopped(it) } }
    }

    /**
     * From `FirebaseMessagingService.onMessageReceived(message)`: `pushes.received(message.data)`. Gives whether the message was for us:
     * other messages of the app come the same way.
     */
    fun received(data: Map<String, String>): Boolean {
        val decision =
            try {
                decide(data[PAYLOAD] ?: return false)
            } catch (_: HookswitchException) {
                // It cannot be read, or the core was closed; the core's log says so.
                return true
            }
        when (decision.action) {
            CallAction.ADD_CALL -> screen.add(decision.callId, decision.from, decision.fromName)
            CallAction.NOTHING, CallAction.REPORT_INCOMING_CALL, CallAction.REPORT_THEN_END -> Unit
        }
        return true
    }

    private fun stopped(call: StoppedCall) {
        when (val why = call.why) {
            // The screen knows.
            StopReason.AnsweredHere, StopReason.DeclinedHere -> Unit
            is StopReason.Silenced -> screen.end(call.callId, why.reason.endReason)
        }
    }

    private companion object {
        /** FCM carries text only: the push is the JSON text under this name. */
        const val PAYLOAD = "call"
    }
}

/** What Telecom is told when a phone must stop ringing. */
internal val Silence.endReason: EndReason
    get() =
        when (this) {
            Silence.ANSWERED_ELSEWHERE -> EndReason.ANSWERED_ELSEWHERE
            Silence.EXPIRED -> EndReason.MISSED
            Silence.FORWARDING_ACTIVE, Silence.NOT_AVAILABLE, Silence.IN_ANOTHER_CALL, Silence.CALL_ENDED, Silence.DUPLICATE,
            Silence.SIGNED_OUT, Silence.OTHER_ACCOUNT, Silence.DEVICE_NOT_REGISTERED,
            -> EndReason.REMOTE
        }
