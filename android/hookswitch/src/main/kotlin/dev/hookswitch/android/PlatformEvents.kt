package dev.hookswitch.android

import android.app.Activity
import android.app.Application
import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.net.ConnectivityManager
import android.net.Network
import android.os.Bundle

/** What the core is told of the app and the phone. None of it has to be exact or unique. */
interface PlatformListener {
    /** The app is in front. */
    fun foreground()

    /** It no longer is. */
    fun background()

    /** There is a network, or there is none. */
    fun network(up: Boolean)

    /** The first unlock after a restart. */
    fun unlocked()
}

/**
 * Tells what happens to the app and the phone. Make one in `Application.onCreate`, with the core, and keep it; framework only, no
 * androidx.
 */
class PlatformEvents(private val application: Application, private val listener: PlatformListener) : AutoCloseable {
    private val connectivity = application.getSystemService(ConnectivityManager::class.java)
    private val visible = Visible(listener)

    private val networks = object : ConnectivityManager.NetworkCallback() {
        override fun onAvailable(network: Network) = listener.network(up = true)

        override fun onLost(network: Network) = listener.network(up = false)
    }

    private val unlock = object : BroadcastReceiver() {
        override fun onReceive(context: Context, intent: Intent) = listener.unlocked()
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
    internal class Visible(private val listener: PlatformListener) : Application.ActivityLifecycleCallbacks {
        private var started = 0

        override fun onActivityStarted(activity: Activity) {
            if (started++ == 0) listener.foreground()
        }

        override fun onActivityStopped(activity: Activity) {
            if (--started == 0 && !activity.isChangingConfigurations) listener.background()
        }

        override fun onActivityCreated(activity: Activity, state: Bundle?) = Unit

        override fun onActivityResumed(activity: Activity) = Unit

        override fun onActivityPaused(activity: Activity) = Unit

        override fun onActivitySaveInstanceState(activity: Activity, state: Bundle) = Unit

        override fun onActivityDestroyed(activity: Activity) = Unit
    }
}
