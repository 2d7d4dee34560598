package dev.hookswitch.android

import android.app.Activity
import android.app.Application
import android.app.NotificationManager
import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.net.ConnectivityManager
import android.net.Network
import android.os.Build
import android.os.Bundle
import dev.hookswitch.Hookswitch

/**
 * Tells the core what happens to the app and the phone. Make one in `Application.onCreate`, with the core, and keep it; framework only, no
 * androidx.
 */
class PlatformEvents(private val application: Application, private val hookswitch: Hookswitch) : AutoCloseable {
    private val connectivity = application.getSystemService(ConnectivityManager::class.java)
    private val visible = Visible()

    private val networks = object : ConnectivityManager.NetworkCallback() {
        override fun onAvailable(network: Network) = hookswitch.network(up = true)

        override fun onLost(network: Network) = hookswitch.network(up = false)
    }

    private val unlock = object : BroadcastReceiver() {
        override fun onReceive(context: Context, intent: Intent) = hookswitch.unlocked()
    }

    init {
        application.registerActivityLifecycleCallbacks(visible)
        // Calls back at once when there is a network.
        connectivity?.registerDefaultNetworkCallback(networks)
        application.registerReceiver(unlock, IntentFilter(Intent.ACTION_USER_UNLOCKED))
    }

    override fun close() {
        application.unregisterActivityLifecycleCallbacks(visible)
        connectivity?.unregisterNetworkCallback(networks)
        application.unregisterReceiver(unlock)
    }

    /** The app is in front while one of its activities is started. One that is only turned does not leave. */
    private inner class Visible : Application.ActivityLifecycleCallbacks {
        private var started = 0

        override fun onActivityStarted(activity: Activity) {
            if (started++ == 0) hookswitch.foreground()
        }

        override fun onActivityStopped(activity: Activity) {
            if (--started == 0 && !activity.isChangingConfigurations) hookswitch.background()
        }

        override fun onActivityCreated(activity: Activity, state: Bundle?) = Unit

        override fun onActivityResumed(activity: Activity) = Unit

        override fun onActivityPaused(activity: Activity) = Unit

        override fun onActivitySaveInstanceState(activity: Activity, state: Bundle) = Unit

        override fun onActivityDestroyed(activity: Activity) = Unit
    }
}

/**
 * Tells the core what the phone lets the app do when a call comes, for the agent's other devices to show. At each start, and when the app
 * comes back to the foreground: the agent may have been in the settings.
 *
 * @param channel The notification channel of incoming calls.
 * @param lineNumber The phone's own number, as far as it is known.
 */
suspend fun Hookswitch.tellDeviceFacts(context: Context, channel: String, lineNumber: String? = null) {
    val notifications = context.getSystemService(NotificationManager::class.java) ?: return
    val importance = notifications.getNotificationChannel(channel)?.importance ?: NotificationManager.IMPORTANCE_NONE
    setDeviceFacts(
        callNotifications = notifications.areNotificationsEnabled() && importance >= NotificationManager.IMPORTANCE_HIGH,
        // Before Android 14 every app may that says so in its manifest.
        fullScreenIntent = Build.VERSION.SDK_INT < 34 || notifications.canUseFullScreenIntent(),
        lineNumber = lineNumber,
    )
}
