package dev.hookswitch.android

import android.app.NotificationManager
import android.content.Context
import android.media.AudioAttributes
import android.media.AudioManager
import android.media.Ringtone
import android.media.RingtoneManager
import android.os.Build
import android.os.VibrationEffect
import android.os.Vibrator
import android.provider.Settings

/**
 * Rings where the notification may not: the agent has switched notifications off for the app. A call that is only heard is better than none.
 * It minds the ringer mode and Do Not Disturb, which nobody does for it.
 */
internal class Ringer(private val context: Context) {
    private var ringtone: Ringtone? = null
    private var vibrates = false

    fun start() {
        if (ringtone != null || vibrates || disturbs()) return
        when (context.getSystemService(AudioManager::class.java)?.ringerMode) {
            AudioManager.RINGER_MODE_SILENT -> Unit
            AudioManager.RINGER_MODE_VIBRATE -> vibrate()
            else -> {
                vibrate()
                play()
            }
        }
    }

    fun stop() {
        ringtone?.stop()
        ringtone = null
        if (vibrates) vibrator()?.cancel()
        vibrates = false
    }

    /** Whether Do Not Disturb is on. Whether it lets calls through is not told to apps; it is the agent's wish, so nothing sounds. */
    private fun disturbs(): Boolean = when (context.getSystemService(NotificationManager::class.java)?.currentInterruptionFilter) {
        NotificationManager.INTERRUPTION_FILTER_PRIORITY,
        NotificationManager.INTERRUPTION_FILTER_NONE,
        NotificationManager.INTERRUPTION_FILTER_ALARMS,
        -> true
        else -> false
    }

    private fun play() {
        ringtone = RingtoneManager.getRingtone(context, Settings.System.DEFAULT_RINGTONE_URI)?.apply {
            audioAttributes = AudioAttributes.Builder().setUsage(AudioAttributes.USAGE_NOTIFICATION_RINGTONE).build()
            if (Build.VERSION.SDK_INT >= 28) isLooping = true
            play()
        }
    }

    private fun vibrate() {
        vibrator()?.vibrate(VibrationEffect.createWaveform(PATTERN, 0))
        vibrates = true
    }

    private fun vibrator(): Vibrator? = context.getSystemService(Vibrator::class.java)

    companion object {
        /** Off, on, off, on, in milliseconds. */
        val PATTERN = longArrayOf(0, 1_000, 1_000, 1_000)
    }
}
