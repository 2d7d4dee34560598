package dev.hookswitch

import java.nio.charset.CharacterCodingException

/**
 * Why a call failed, named by what the app does next. [message] is a sentence for the agent.
 *
 * ```kotlin
 * try {
 *     hookswitch.presence.setAvailability(Availability.Available)
 * } catch (failure: HookswitchException) {
 *     when (failure) {
 *         is HookswitchException.Reauthenticate -> show("the sign-in page")
 *         is HookswitchException.Offline -> show("No connection. You stay signed in.")
 *         is HookswitchException.Forbidden -> show(failure.message)
 *         is HookswitchException.Storage -> show("repair, then free space")
 *         is HookswitchException.Cancelled -> {}
 *         is HookswitchException.Internal -> show("send a transcript?")
 *     }
 * }
 * ```
 *
 * Do not sign anybody out because of an exception: when a session has ended, [SessionState] says so.
 */
public sealed class HookswitchException(override val message: String, cause: Throwable?) : Exception(message, cause) {
    /** Show the sign-in page. */
    public class Reauthenticate internal constructor(why: String, cause: Throwable?) : HookswitchException(why, cause)

    /** Say that there is no connection. The session is safe. */
    public class Offline internal constructor(why: String, cause: Throwable?) : HookswitchException(why, cause)

    /** Show [message]: it would be refused again. */
    public class Forbidden internal constructor(why: String, cause: Throwable?) : HookswitchException(why, cause)

    /** The phone's storage or key store fails: offer [Hookswitch.Session.repair], then free space or a restart of the phone. */
    public class Storage internal constructor(why: String, cause: Throwable?) : HookswitchException(why, cause)

    /**
     * Nothing to do: a newer choice, a sign-out or the person put an end to it, or the core was closed. (That a coroutine was
     * cancelled is a `CancellationException`, as everywhere.)
     */
    public class Cancelled internal constructor(why: String, cause: Throwable?) : HookswitchException(why, cause)

    /** A fault of ours or of the server's: offer to send [Hookswitch.transcript]. */
    public class Internal internal constructor(why: String, cause: Throwable?) : HookswitchException(why, cause)
}

/** Calls the core; what it throws becomes ours. */
internal inline fun <T> calling(call: () -> T): T = try {
    call()
} catch (failure: Failure) {
    throw failure.ours()
} catch (panic: InternalException) {
    throw HookswitchException.Internal("The core failed: ${panic.message}", panic)
} catch (text: CharacterCodingException) {
    // Half a surrogate pair, which Kotlin's strings may hold and UTF-8 cannot.
    throw HookswitchException.Internal("A text is not Unicode.", text)
}

internal fun Failure.ours(): HookswitchException = when (this) {
    is Failure.Reauthenticate -> HookswitchException.Reauthenticate(why, this)
    is Failure.Offline -> HookswitchException.Offline(why, this)
    is Failure.Forbidden -> HookswitchException.Forbidden(why, this)
    is Failure.Storage -> HookswitchException.Storage(why, this)
    is Failure.Cancelled -> HookswitchException.Cancelled(why, this)
    is Failure.Internal -> HookswitchException.Internal(why, this)
}
