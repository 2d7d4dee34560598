package dev.hookswitch

import dev.hookswitch.generated.Clock
import dev.hookswitch.generated.Keys
import dev.hookswitch.generated.KeysException
import dev.hookswitch.generated.LogSinkException
import dev.hookswitch.generated.LogLevel as GeneratedLogLevel
import dev.hookswitch.generated.LogSink as GeneratedLogSink
import dev.hookswitch.generated.Moment as GeneratedMoment

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
    public fun now(): Moment

    /**
     * What the clocks show.
     *
     * @property wall Unix time in milliseconds; may jump.
     * @property mono Milliseconds of a clock that never goes back and counts while the device sleeps.
     */
    public data class Moment(val wall: Long, val mono: Long)
}

/** Takes the lines of the core's log, one at a time, on a thread of the core's. They have no secret and no personal data. */
public fun interface LogSink {
    public fun log(level: LogLevel, target: String, message: String)
}

public enum class LogLevel { ERROR, WARN, INFO, DEBUG }

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
    override fun now() = clock.now().let { GeneratedMoment(it.wall, it.mono.toULong()) }
}

internal class ForeignLog(private val sink: LogSink) : GeneratedLogSink {
    override fun log(level: GeneratedLogLevel, target: String, message: String) {
        val ours =
            when (level) {
                GeneratedLogLevel.ERROR -> LogLevel.ERROR
                GeneratedLogLevel.WARN -> LogLevel.WARN
                GeneratedLogLevel.INFO -> LogLevel.INFO
                GeneratedLogLevel.DEBUG -> LogLevel.DEBUG
            }
        try {
            sink.log(ours, target, message)
        } catch (failure: Exception) {
            throw LogSinkException.Failed(failure.toString())
        }
    }
}
