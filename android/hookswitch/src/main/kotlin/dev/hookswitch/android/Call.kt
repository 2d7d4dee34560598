package dev.hookswitch.android

import dev.hookswitch.CallId
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update

/**
 * One call on this phone, from its first ring to its end: the same object for the app's screen, the notification, the headset and Telecom.
 *
 * Its functions may be called from any thread, and more than once: what does not fit the phase that the call is in changes nothing.
 *
 * @property id The same on every device.
 * @property from Who calls, in the form of E.164; `null`: withheld.
 * @property name Who calls, for display.
 */
class Call internal constructor(val id: CallId, val from: String?, val name: String?, private val actions: CallActions) {
    private val mutable = MutableStateFlow(CallState())

    /** What to show, and each change of it. */
    val state: StateFlow<CallState> = mutable.asStateFlow()

    /** Answers. */
    fun accept(): Unit = actions.accept(this)

    /** Declines: on all of the agent's devices. */
    fun reject(): Unit = actions.reject(this)

    /** Hangs up; while it rings, declines. */
    fun disconnect(): Unit = actions.disconnect(this)

    /** Stops the sound of the ring, and the ring goes on to be seen. */
    fun silence(): Unit = actions.silence(this)

    /** The other side hears nothing, or again. */
    fun mute(on: Boolean): Unit = actions.mute(this, on)

    /** Puts it on hold, or goes on with it. */
    fun hold(on: Boolean): Unit = actions.hold(this, on)

    /** Hears and speaks by another of [CallState.endpoints]. */
    fun use(endpoint: AudioEndpoint): Unit = actions.use(this, endpoint)

    internal fun change(how: (CallState) -> CallState): Unit = mutable.update(how)
}

/** What the agent may do with a call. */
internal interface CallActions {
    fun accept(call: Call)

    fun reject(call: Call)

    fun disconnect(call: Call)

    fun silence(call: Call)

    fun mute(call: Call, on: Boolean)

    fun hold(call: Call, on: Boolean)

    fun use(call: Call, endpoint: AudioEndpoint)
}

/**
 * What a screen shows of a call.
 *
 * @property phase How far it is.
 * @property silenced The agent stopped the sound of the ring.
 * @property muted The other side hears nothing.
 * @property endpoint What the agent hears and speaks by; `null`: not known.
 * @property endpoints What could be used instead.
 * @property message What went wrong, for the agent.
 */
data class CallState(
    val phase: CallPhase = CallPhase.Ringing,
    val silenced: Boolean = false,
    val muted: Boolean = false,
    val endpoint: AudioEndpoint? = null,
    val endpoints: List<AudioEndpoint> = listOf(),
    val message: String? = null,
)

/** How far a call is. */
sealed interface CallPhase {
    /** It rings. */
    data object Ringing : CallPhase

    /** The agent has answered, and the server is asked for it. */
    data object Answering : CallPhase

    /** Both sides can speak. */
    data object Active : CallPhase

    /** On hold. */
    data object Held : CallPhase

    /**
     * It is over, for good.
     *
     * @property reason Why.
     */
    data class Ended(val reason: EndReason) : CallPhase
}

/** Why a call is over. */
enum class EndReason {
    /** The other side, or the server. */
    REMOTE,

    /** Nobody answered in time. */
    MISSED,

    /** Another of the agent's devices answered. */
    ANSWERED_ELSEWHERE,

    /** The agent hung up. */
    LOCAL,

    /** The agent declined. */
    REJECTED,

    /** Telecom does not allow it now, for an emergency call say. The agent's other devices go on ringing. */
    REFUSED,

    /** Answering failed. */
    FAILED,
}

/**
 * Something to hear and to speak by.
 *
 * @property kind What it is.
 * @property name For display, where there is more than one of a kind.
 * @property id Tells those of one kind apart.
 */
data class AudioEndpoint(val kind: Kind, val name: String? = null, val id: String = kind.name) {
    /** What it is. */
    enum class Kind {
        /** The phone, at the ear. */
        EARPIECE,

        /** The phone's loudspeaker. */
        SPEAKER,

        /** A headset with a cable. */
        WIRED_HEADSET,

        /** By Bluetooth. */
        BLUETOOTH,

        /** Another device that streams the call. */
        STREAMING,
    }
}
