package dev.hookswitch.android

import android.content.Context
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import dev.hookswitch.Hookswitch

/**
 * Opens the sign-in page in the system browser, as a Custom Tab where the browser knows them. The browser comes back by an intent to the
 * activity that the manifest registers for the redirect URI: hand `intent.dataString` to [Hookswitch.Session.finishLogin].
 *
 * @param context An activity.
 * @param browser The package of the browser, where it must be a certain one.
 * @throws android.content.ActivityNotFoundException when there is no browser: say so. The sign-in goes on waiting.
 */
suspend fun Hookswitch.Session.openLogin(context: Context, redirectUri: String, hint: String? = null, browser: String? = null) {
    val page = Intent(Intent.ACTION_VIEW, Uri.parse(beginLogin(redirectUri, hint))).setPackage(browser)
    // What makes a Custom Tab of a view intent: https://developer.chrome.com/docs/android/custom-tabs
    page.putExtras(Bundle().apply { putBinder("android.support.customtabs.extra.SESSION", null) })
    context.startActivity(page)
}
