package dev.hookswitch.android

import android.media.AudioManager
import android.media.ToneGenerator
import dev.hookswitch.CallId

/**
 * The sound of calls: where a media engine plugs in. Called on the main thread, in an order that makes sense: [start] and [stop] of one call
 * at a time, the others between them. Must not block.
 */
interface CallMedia {
    /** The call is answered: both sides can speak. */
    fun start(callId: CallId)

    /** The call is over. */
    fun stop()

    /** The other side hears nothing, or again. */
    fun mute(on: Boolean)

    /** Nobody hears anything, or again. */
    fun hold(on: Boolean)

    /** Another way to hear and to speak; Telecom has switched to it already. */
    fun route(endpoint: AudioEndpoint)
}

/** A tone in place of a voice, until a media engine takes its place. */
class ToneMedia : CallMedia {
    private var tone: ToneGenerator? = null

    override fun start(callId: CallId) {
        tone = try {
            ToneGenerator(AudioManager.STREAM_VOICE_CALL, VOLUME)
        } catch (_: RuntimeException) {
            // What it throws where there is no sound.
            null
        }
        play()
    }

    override fun stop() {
        tone?.release()
        tone = null
    }

    override fun mute(on: Boolean) = Unit

    override fun hold(on: Boolean) {
        if (on) tone?.stopTone() else play()
    }

    override fun route(endpoint: AudioEndpoint) = Unit

    private fun play() {
        tone?.startTone(ToneGenerator.TONE_SUP_CALL_WAITING)
    }

    private companion object {
        const val VOLUME = 40
    }
}
