package dev.hookswitch.android

import android.Manifest
import android.app.Service
import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent
import android.content.pm.PackageManager
import android.content.pm.ServiceInfo
import android.os.Build
import android.os.IBinder

/** Keeps the process while a call goes on: a foreground service of the kind phoneCall, and microphone where that is granted. */
class CallService : Service() {
    override fun onBind(intent: Intent?): IBinder? = null

    override fun onStartCommand(intent: Intent?, flags: Int, startId: Int): Int {
        val phone = PhoneCalls.current
        val call = phone?.foremost()
        if (call == null || !foreground(phone, call)) stopSelf()
        // After a kill the call is gone with the process.
        return START_NOT_STICKY
    }

    private fun foreground(phone: PhoneCalls, call: Call): Boolean = try {
        val notification = phone.notifications.ongoing(call)
        if (Build.VERSION.SDK_INT >= 29) {
            startForeground(CallNotifications.IN_CALL, notification, kinds())
        } else {
            startForeground(CallNotifications.IN_CALL, notification)
        }
        true
    } catch (_: RuntimeException) {
        // ForegroundServiceStartNotAllowedException, SecurityException: the call goes on as long as the app is seen.
        false
    }

    private fun kinds(): Int {
        val heard = checkSelfPermission(Manifest.permission.RECORD_AUDIO) == PackageManager.PERMISSION_GRANTED
        val microphone = if (heard && Build.VERSION.SDK_INT >= 30) ServiceInfo.FOREGROUND_SERVICE_TYPE_MICROPHONE else 0
        return ServiceInfo.FOREGROUND_SERVICE_TYPE_PHONE_CALL or microphone
    }

    internal companion object {
        fun start(context: Context) {
            try {
                context.startForegroundService(Intent(context, CallService::class.java))
            } catch (_: RuntimeException) {
                // Not from the background, says Android 12; a self-managed call may, so this is a maker's own rule.
            }
        }

        fun stop(context: Context) {
            context.stopService(Intent(context, CallService::class.java))
        }
    }
}

/** The buttons of the notification that need no screen. The library's manifest registers it, for this app only. */
class CallActionReceiver : BroadcastReceiver() {
    override fun onReceive(context: Context, intent: Intent) {
        val call = PhoneCalls.current?.find(intent.getStringExtra(Telecom.CALL_ID) ?: return) ?: return
        when (intent.action) {
            DECLINE -> call.reject()
            HANG_UP -> call.disconnect()
        }
    }

    internal companion object {
        const val DECLINE = "dev.hookswitch.action.DECLINE"
        const val HANG_UP = "dev.hookswitch.action.HANG_UP"
    }
}
