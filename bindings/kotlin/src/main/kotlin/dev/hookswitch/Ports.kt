package dev.hookswitch

/**
 * The platform's key store: on Android, a key of the Android Keystore that needs no user authentication, since calls come while the phone
 * is locked. Called on a thread of the core's, never the main thread; may block.
 *
 * What it throws decides what happens; when in doubt, throw anything else than [KeyInvalidated].
 */
public interface KeyProvider {
    /**
     * Wraps a data key so that only this device can unwrap it.
     *
     * @throws KeyUnavailable before the first unlock: nothing is lost.
     * @throws KeyInvalidated when the key is gone for good: the agent signs in anew.
     */
    public fun wrap(key: ByteArray): ByteArray

    /** The data key that was wrapped. Throws as [wrap]. */
    public fun unwrap(wrapped: ByteArray): ByteArray
}

/** The key cannot be read before the first unlock. Nothing is lost. */
public class KeyUnavailable
@JvmOverloads
constructor(cause: Throwable? = null) :
    Exception("the key cannot be read before the first unlock", cause)

/** The key is gone for good: `KeyPermanentlyInvalidatedException`, or there is none. What was sealed is lost. */
public class KeyInvalidated
@JvmOverloads
constructor(cause: Throwable? = null) : Exception("the key is gone for good", cause)

/** Clocks for tests: [Hookswitch.connect]. Must not block. */
public fun interface DeviceClock {
    /** What they show now. Called on any thread. */
    public fun now(): Moment

    /**
     * What the clocks show.
     *
     * @property wall Unix time in milliseconds; may jump.
     * @property mono Milliseconds of a clock that never goes back and counts while the device sleeps.
     */
    // By hand: the generated one counts in `ULong`, which Java cannot make.
    public data class Moment(val wall: Long, val mono: Long)
}

/** Takes the lines of the core's log, one at a time, on a thread of the core's. They have no secret and no personal data. */
public fun interface LogSink {
    /** One line, and the part of the core that it comes from. */
    public fun log(level: LogLevel, target: String, message: String)
}

internal class ForeignKeys(private val keys: KeyProvider) : Keys {
    override fun wrap(key: ByteArray) = translated { keys.wrap(key) }

    override fun unwrap(wrapped: ByteArray) = translated { keys.unwrap(wrapped) }

    private inline fun translated(call: () -> ByteArray): ByteArray = try {
        call()
    } catch (_: KeyUnavailable) {
        throw KeysException.Unavailable()
    } catch (_: KeyInvalidated) {
        throw KeysException.Invalidated()
    } catch (failure: Exception) {
        throw KeysException.Failed(failure.toString())
    }
}

internal class ForeignClock(private val clock: DeviceClock) : Clock {
    override fun now() = clock.now().let { Moment(it.wall, it.mono.toULong()) }
}

internal class ForeignLog(private val sink: LogSink) : LogLines {
    override fun log(level: LogLevel, target: String, message: String) = try {
        sink.log(level, target, message)
    } catch (failure: Exception) {
        throw LogLinesException.Failed(failure.toString())
    }
}
