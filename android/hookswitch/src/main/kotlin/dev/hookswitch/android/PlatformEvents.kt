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
 * Watches the app and the phone from the first moment, and tells the core, once there is one, all that has happened. Framework only, no
 * androidx. [PhoneCalls] has one.
 *
 * @param application Before its first activity starts: in `Application.onCreate`.
 * @param returns The app comes to the foreground, or the phone is unlocked for the first time.
 */
class PlatformEvents(private val application: Application, private val returns: () -> Unit = {}) : AutoCloseable {
    private val connectivity = application.getSystemService(ConnectivityManager::class.java)
    private var hookswitch: Hookswitch? = null
    private val visible = Visible()
    private val networks = Networks()
    private var watchesNetworks = false

    private val unlock = object : BroadcastReceiver() {
        override fun onReceive(context: Context, intent: Intent) {
            hookswitch?.unlocked()
            returns()
        }
    }

    init {
        application.registerActivityLifecycleCallbacks(visible)
        application.registerReceiver(unlock, IntentFilter(Intent.ACTION_USER_UNLOCKED))
        watchesNetworks = try {
            // Calls back at once when there is a network.
            connectivity?.registerDefaultNetworkCallback(networks)
            connectivity != null
        } catch (_: RuntimeException) {
            // Android limits the callbacks of an app. The core finds out by trying.
            false
        }
    }

    /** Whether one of the app's activities is started. */
    val isForeground: Boolean get() = visible.started.isNotEmpty()

    /** The core, and what it has missed. */
    fun attach(to: Hookswitch) {
        hookswitch = to
        networks.tell()
        if (isForeground) to.foreground()
    }

    override fun close() {
        hookswitch = null
        application.unregisterActivityLifecycleCallbacks(visible)
        application.unregisterReceiver(unlock)
        if (watchesNetworks) connectivity?.unregisterNetworkCallback(networks)
    }

    /** Called on a thread of the framework's. */
    private inner class Networks : ConnectivityManager.NetworkCallback() {
        private var current: Network? = null

        /** `null`: nothing was ever said. */
        private var up: Boolean? = null

        @Synchronized
        override fun onAvailable(network: Network) {
            current = network
            up = true
            tell()
        }

        @Synchronized
        override fun onLost(network: Network) {
            // One that another has taken the place of.
            if (current != null && current != network) return
            current = null
            up = false
            tell()
        }

        @Synchronized
        fun tell() {
            up?.let { hookswitch?.network(it) }
        }
    }

    /** The app is in front while one of its activities is started. One that is only turned does not leave. */
    private inner class Visible : Application.ActivityLifecycleCallbacks {
        /** Activities, not a number: one may have started before anybody watched. */
        val started = mutableSetOf<Activity>()

        override fun onActivityStarted(activity: Activity) {
            val returning = started.isEmpty()
            started += activity
            if (returning) {
                hookswitch?.foreground()
                returns()
            }
        }

        override fun onActivityStopped(activity: Activity) {
            if (started.remove(activity) && started.isEmpty() && !activity.isChangingConfigurations) hookswitch?.background()
        }

        override fun onActivityCreated(activity: Activity, state: Bundle?) = Unit

        override fun onActivityResumed(activity: Activity) = Unit

        override fun onActivityPaused(activity: Activity) = Unit

        override fun onActivitySaveInstanceState(activity: Activity, state: Bundle) = Unit

        override fun onActivityDestroyed(activity: Activity) = Unit
    }
}

/**
 * Tells the core what the phone lets the app do when a call comes, for the agent's other devices to show. [PhoneCalls] does it at each start,
 * and when the app comes back to the foreground: the agent may have been in the settings.
 *
 * @param channel The notification channel of incoming calls.
 * @param lineNumber The phone's own number, as far as it is known.
 */
suspend fun Hookswitch.tellDeviceFacts(context: Context, channel: String = CallNotifications.INCOMING, lineNumber: String? = null) {
    val notifications = context.getSystemService(NotificationManager::class.java) ?: return
    val importance = notifications.getNotificationChannel(channel)?.importance ?: NotificationManager.IMPORTANCE_NONE
    setDeviceFacts(
        callNotifications = notifications.areNotificationsEnabled() && importance >= NotificationManager.IMPORTANCE_HIGH,
        // Before Android 14 every app may that says so in its manifest.
        fullScreenIntent = Build.VERSION.SDK_INT < 34 || notifications.canUseFullScreenIntent(),
        lineNumber = lineNumber,
    )
}
