package dev.hookswitch

import java.time.Instant

/** The calls on this phone. @property ringing Calls that ring. @property inCall The call that this phone is in. */
public data class CallsState(val ringing: List<PhoneCall>, val inCall: PhoneCall?)

/**
 * A call on this phone.
 *
 * @property callId The same on every device.
 * @property from Who calls, in the form of E.164; `null`: withheld.
 * @property fromName Who calls, for display.
 * @property since Since when this phone has it, by the best guess of the server's clock.
 */
public data class PhoneCall(val callId: String, val from: String?, val fromName: String?, val since: Instant)

/** A call that rang on this phone and must stop. */
public data class StoppedCall(val callId: String, val why: StopReason)

/** Why a phone that rang does not ring any more. */
public sealed interface StopReason {
    /** The agent answered on this phone: the call screen knows. */
    public data object AnsweredHere : StopReason

    /** The agent declined on this phone: the call screen knows. */
    public data object DeclinedHere : StopReason

    /** For a reason that would have kept it silent. */
    public data class Silenced(val reason: Silence) : StopReason
}

/** Why a phone keeps silent. */
public enum class Silence {
    /** Calls go to an external number. */
    FORWARDING_ACTIVE,

    /** The agent takes no calls now. */
    NOT_AVAILABLE,

    /** The agent is on another call. */
    IN_ANOTHER_CALL,

    /** Somebody or something else answered. */
    ANSWERED_ELSEWHERE,

    /** The call is over. */
    CALL_ENDED,

    /** The push came after the call had stopped ringing. */
    EXPIRED,

    /** This phone rings for it already, or is in it. */
    DUPLICATE,

    /** Nobody is signed in on this phone. */
    SIGNED_OUT,

    /** The call is for somebody else than the agent who is signed in. */
    OTHER_ACCOUNT,

    /** The server does not count this phone among the agent's devices any more. */
    DEVICE_NOT_REGISTERED,
}

/** What the call UI must do. */
public enum class CallAction {
    /** iOS: report the call to CallKit; it rings. */
    REPORT_INCOMING_CALL,

    /** iOS: report a call under a fresh UUID and end it at once as answered elsewhere. */
    REPORT_THEN_END,

    /** Android: add the call to Telecom; it rings. */
    ADD_CALL,

    /** Nothing is added, nothing is shown. */
    NOTHING,
}

/**
 * A decision on a call push. Carry [action] out before you return to the push service.
 *
 * @property silence Why the phone is silent; `null`: it rings.
 * @property expiresAt When the ring ends by itself, by the server's clock.
 * @property at When it was decided, by the best guess of the server's clock.
 * @property explanation Inputs, rule and result, in a sentence for the log.
 */
public data class RingDecision(
    val callId: String,
    val action: CallAction,
    val silence: Silence?,
    val from: String?,
    val fromName: String?,
    val expiresAt: Instant,
    val at: Instant,
    val explanation: String,
)

/** One line of the ring log. */
public sealed interface RingLogEntry {
    /** A push was decided on. */
    public data class Decided(val decision: RingDecision) : RingLogEntry

    /** A ring ended, at this moment by the best guess of the server's clock. */
    public data class Stopped(val call: StoppedCall, val at: Instant) : RingLogEntry
}
