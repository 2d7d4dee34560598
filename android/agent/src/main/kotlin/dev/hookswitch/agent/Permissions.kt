package dev.hookswitch.agent

import android.Manifest
import android.app.NotificationManager
import android.content.Context
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Build
import android.os.PowerManager
import android.provider.Settings

/** What is missing, in the order in which it is asked for: what a call needs to be seen comes first. */
fun missing(context: Context): List<Missing> {
    val notifications = context.getSystemService(NotificationManager::class.java)
    val power = context.getSystemService(PowerManager::class.java)
    return listOfNotNull(
        Missing.NOTIFICATIONS.takeIf { notifications?.areNotificationsEnabled() == false },
        Missing.MICROPHONE.takeIf { context.checkSelfPermission(Manifest.permission.RECORD_AUDIO) != PackageManager.PERMISSION_GRANTED },
        Missing.FULL_SCREEN.takeIf { Build.VERSION.SDK_INT >= 34 && notifications?.canUseFullScreenIntent() == false },
        Missing.BATTERY.takeIf { power?.isIgnoringBatteryOptimizations(context.packageName) == false },
    )
}

/** The permission that Android asks the agent for in the app; `null`: only the settings can. */
fun Missing.permission(): String? = when (this) {
    Missing.NOTIFICATIONS -> if (Build.VERSION.SDK_INT >= 33) Manifest.permission.POST_NOTIFICATIONS else null
    Missing.MICROPHONE -> Manifest.permission.RECORD_AUDIO
    Missing.FULL_SCREEN, Missing.BATTERY -> null
}

/** Where the agent turns it on. */
fun Missing.settings(context: Context): Intent {
    val app = Uri.fromParts("package", context.packageName, null)
    return when (this) {
        Missing.NOTIFICATIONS -> Intent(Settings.ACTION_APP_NOTIFICATION_SETTINGS).putExtra(Settings.EXTRA_APP_PACKAGE, context.packageName)
        Missing.MICROPHONE -> Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, app)
        Missing.FULL_SCREEN -> Intent(
            if (Build.VERSION.SDK_INT >=
                34
            ) {
                Settings.ACTION_MANAGE_APP_USE_FULL_SCREEN_INTENT
            } else {
                Settings.ACTION_SETTINGS
            },
            app,
        )
        Missing.BATTERY -> Intent(Settings.ACTION_REQUEST_IGNORE_BATTERY_OPTIMIZATIONS, app)
    }
}
