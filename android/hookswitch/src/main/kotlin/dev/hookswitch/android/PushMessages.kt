package dev.hookswitch.android

/**
 * What an app's `FirebaseMessagingService` calls. Firebase is the app's dependency, not ours:
 *
 * ```kotlin
 * // class Messages : FirebaseMessagingService() {
 * //     override fun onNewToken(token: String) = messages.newToken(token)
 * //     override fun onMessageReceived(message: RemoteMessage) { messages.received(message.data) }
 * // }
 * fun messages(phone: PhoneCalls) = PushMessages(phone)
 * ```
 */
class PushMessages(private val phone: PhoneCalls) {
    /** `onNewToken`; and at each start of the app, what `FirebaseMessaging.getToken()` gives: a new one may have come unheard. */
    fun newToken(token: String): Unit = phone.setPushToken(token)

    /**
     * `onMessageReceived`, with `message.data`. Gives whether the message was for us. Returns when the call rings, or is known not to.
     */
    fun received(data: Map<String, String>): Boolean = phone.received(data)
}
