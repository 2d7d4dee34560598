package dev.hookswitch.android

import android.app.Activity
import android.app.Notification
import android.app.NotificationChannel
import android.app.NotificationManager
import android.app.PendingIntent
import android.app.Person
import android.content.Context
import android.content.Intent
import android.graphics.drawable.Icon
import android.media.AudioAttributes
import android.os.Build
import android.provider.Settings

/**
 * The ring of a self-managed call. Telecom does not ring it: the notification does, and so the platform plays it, which minds the ringer
 * mode and Do Not Disturb, and may do it while the app is in the background.
 *
 * @param screen The activity that shows calls, also over the lock screen.
 */
class CallNotifications internal constructor(private val context: Context, private val screen: Class<out Activity>) {
    private val manager: NotificationManager? = context.getSystemService(NotificationManager::class.java)
    private val ringer = Ringer(context)

    init {
        manager?.createNotificationChannels(listOf(incoming(), silent(), ongoing()))
        // A process that died while it rang has left its own.
        cancelLeftOver()
    }

    internal fun ring(call: Call, millis: Long) {
        notify(call, ringing(call, INCOMING).setTimeoutAfter(millis).build().apply { flags = flags or Notification.FLAG_INSISTENT })
        if (!isHeard()) ringer.start()
    }

    /** A notification in a channel without sound takes the place of the one that sounds, which ends the sound. */
    internal fun silence(call: Call) {
        ringer.stop()
        notify(call, ringing(call, SILENT).setOnlyAlertOnce(true).build())
    }

    internal fun stop(call: Call) {
        ringer.stop()
        manager?.cancel(call.id, RINGING)
    }

    /** Of a call that goes on: for the foreground service. */
    internal fun ongoing(call: Call): Notification {
        val hangUp = broadcast(call, CallActionReceiver.HANG_UP)
        val builder = builder(call, ONGOING).setContentText(context.getText(R.string.hookswitch_in_call)).setUsesChronometer(true)
        return when {
            Build.VERSION.SDK_INT >= 31 -> builder.setStyle(Notification.CallStyle.forOngoingCall(person(call), hangUp))
            else -> builder.addAction(action(R.string.hookswitch_hang_up, hangUp))
        }.build()
    }

    /** Whether the platform lets the notification sound at all. */
    private fun isHeard(): Boolean {
        val importance = manager?.getNotificationChannel(INCOMING)?.importance ?: return false
        return manager.areNotificationsEnabled() && importance >= NotificationManager.IMPORTANCE_DEFAULT
    }

    private fun notify(call: Call, notification: Notification) {
        try {
            manager?.notify(call.id, RINGING, notification)
        } catch (_: RuntimeException) {
            // A maker's service that refuses a sound or a style: the call is in Telecom, and on the screen if the app is open.
            ringer.start()
        }
    }

    private fun ringing(call: Call, channel: String): Notification.Builder {
        val show = activity(call, null)
        val answer = activity(call, ANSWER)
        val decline = broadcast(call, CallActionReceiver.DECLINE)
        val builder = builder(call, channel)
            .setContentText(call.name?.let { call.from } ?: context.getText(R.string.hookswitch_calls))
            .setFullScreenIntent(show, true)
        if (Build.VERSION.SDK_INT >= 31) {
            return builder.setStyle(Notification.CallStyle.forIncomingCall(person(call), decline, answer))
        }
        return builder.addAction(action(R.string.hookswitch_decline, decline)).addAction(action(R.string.hookswitch_answer, answer))
    }

    private fun builder(call: Call, channel: String) = Notification.Builder(context, channel)
        .setSmallIcon(R.drawable.hookswitch_call)
        .setCategory(Notification.CATEGORY_CALL)
        .setContentTitle(title(call))
        .setContentIntent(activity(call, null))
        .setVisibility(Notification.VISIBILITY_PUBLIC)
        .setOngoing(true)
        .apply { if (Build.VERSION.SDK_INT >= 28) addPerson(person(call)) }

    private fun title(call: Call): CharSequence = call.name ?: call.from ?: context.getText(R.string.hookswitch_withheld)

    private fun person(call: Call) = Person.Builder().setName(title(call)).setImportant(true).build()

    private fun action(text: Int, intent: PendingIntent) =
        Notification.Action.Builder(Icon.createWithResource(context, R.drawable.hookswitch_call), context.getText(text), intent).build()

    /** Not by a broadcast: Android 12 lets none start an activity. */
    private fun activity(call: Call, action: String?): PendingIntent {
        val intent = Intent(context, screen).setAction(action ?: SHOW).putExtra(Telecom.CALL_ID, call.id)
            .addFlags(Intent.FLAG_ACTIVITY_NEW_TASK or Intent.FLAG_ACTIVITY_SINGLE_TOP)
        return PendingIntent.getActivity(context, call.id.hashCode(), intent, MUTABILITY)
    }

    private fun broadcast(call: Call, action: String): PendingIntent {
        val intent = Intent(context, CallActionReceiver::class.java).setAction(action).putExtra(Telecom.CALL_ID, call.id)
        return PendingIntent.getBroadcast(context, call.id.hashCode(), intent, MUTABILITY)
    }

    private fun cancelLeftOver() {
        val left = manager?.activeNotifications.orEmpty().filter { it.id == RINGING && it.tag != null }
        left.forEach { manager?.cancel(it.tag, it.id) }
    }

    private fun incoming() = channel(INCOMING, R.string.hookswitch_channel_incoming, NotificationManager.IMPORTANCE_HIGH).apply {
        setSound(
            Settings.System.DEFAULT_RINGTONE_URI,
            AudioAttributes.Builder().setUsage(AudioAttributes.USAGE_NOTIFICATION_RINGTONE)
                .setContentType(AudioAttributes.CONTENT_TYPE_SONIFICATION).build(),
        )
        enableVibration(true)
        vibrationPattern = Ringer.PATTERN
    }

    private fun silent() = channel(SILENT, R.string.hookswitch_channel_silenced, NotificationManager.IMPORTANCE_HIGH).apply {
        setSound(null, null)
        enableVibration(false)
    }

    private fun ongoing() = channel(ONGOING, R.string.hookswitch_channel_ongoing, NotificationManager.IMPORTANCE_LOW)

    private fun channel(id: String, name: Int, importance: Int) = NotificationChannel(id, context.getText(name), importance).apply {
        lockscreenVisibility = Notification.VISIBILITY_PUBLIC
        setShowBadge(false)
    }

    /** Names of the channels, for the settings. */
    companion object {
        /** The channel of calls that ring. */
        const val INCOMING: String = "dev.hookswitch.calls"

        /** The channel of calls that ring and that the agent has silenced. */
        const val SILENT: String = "dev.hookswitch.calls.silent"

        /** The channel of the call that goes on. */
        const val ONGOING: String = "dev.hookswitch.calls.ongoing"

        internal const val RINGING = 1
        internal const val IN_CALL = 2

        internal const val SHOW = "dev.hookswitch.action.SHOW"
        internal const val ANSWER = "dev.hookswitch.action.ANSWER"

        private const val MUTABILITY = PendingIntent.FLAG_UPDATE_CURRENT or PendingIntent.FLAG_IMMUTABLE
    }
}
