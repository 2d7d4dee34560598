package dev.hookswitch

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.SharedFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asSharedFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.withContext
import java.io.Closeable
import java.time.Instant

/**
 * The core of one app on one phone: it signs in by the system browser, keeps the session, shows one and the same presence, and decides
 * whether this phone rings.
 *
 * Connect once a process, as early as the process starts, also when a push started it. When [connect] returns, the session is restored and
 * [Ring.decide] knows what the vault knows. Nothing is sent before [foreground] or a push.
 *
 * ```kotlin
 * val hookswitch = Hookswitch.connect(configuration, keys)
 * hookswitch.foreground()
 * hookswitch.presence.state.collect { show(it) }
 * ```
 *
 * Every function may be called from any thread, the main thread too, but for [transcript]. Cancelling a coroutine ends its wait, not the
 * work: a sign-out that nobody waits for still happens. What fails throws a [HookswitchException].
 */
public class Hookswitch private constructor(private val core: Core, private val hub: Hub) : Closeable {
    /** Signing in and out. */
    public val session: Session = Session()

    /** The agent's availability and forwarding, the same on every device. */
    public val presence: Presence = Presence()

    /** The calls on this phone. */
    public val calls: Calls = Calls()

    /** Whether this phone rings. */
    public val ring: Ring = Ring()

    /** This installation's name among the agent's devices. */
    public val deviceId: DeviceId = calling { core.device() }

    /**
     * What to show now, and each change of it, coalesced to the latest. The flows of [session], [presence] and [calls] are parts of it. What
     * a command of yours (a suspending one) changed is there before it returns.
     */
    public val state: StateFlow<AppState> = hub.state.asStateFlow()

    /** What the core would show at this very moment: [state] follows within a moment. After [close]: what was to show last. */
    public fun currentState(): AppState = try {
        calling { core.state() }
    } catch (_: HookswitchException.Cancelled) {
        hub.state.value
    }

    /** The app comes to the foreground. */
    public fun foreground(): Unit = tell { core.foreground() }

    /** The app goes to the background. After 20 s there is no stream and no timer. */
    public fun background(): Unit = tell { core.background() }

    /** The device has a network, or has none. */
    public fun network(up: Boolean): Unit = tell { core.network(up) }

    /** The device was unlocked for the first time since it started: `ACTION_USER_UNLOCKED`. */
    public fun unlocked(): Unit = tell { core.unlocked() }

    /** The [DeviceClock] shows another time. (The clocks of the device are watched by the core itself.) */
    public fun clockChanged(): Unit = tell { core.clockChanged() }

    /** Returns once all that is known is in the vault. */
    public suspend fun saved(): Unit = calling { core.saved() }

    /** The push service gave this phone an address, or took it back. */
    public suspend fun setPushToken(token: String?): Unit = calling { core.setPushToken(token) }

    /**
     * What the phone lets the app do when a call comes, and its own number, as far as they are known; to be said at each start, and when the
     * agent changes it. [callNotifications]: `areNotificationsEnabled()` and the importance of the call channel. [fullScreenIntent]: from
     * Android 14 on `canUseFullScreenIntent()`. They decide nothing; the agent's other devices show them.
     */
    @JvmOverloads
    public suspend fun setDeviceFacts(
        callNotifications: Boolean? = null,
        fullScreenIntent: Boolean? = null,
        lineNumber: String? = null,
    ): Unit = calling { core.setDeviceFacts(callNotifications, fullScreenIntent, lineNumber) }

    /** What happened lately, as JSON lines, for a bug report: no secrets, and stand-ins for personal data. A lot of text: not on the main thread. */
    public fun transcript(): String = calling { core.transcript() }

    /**
     * Stops all work, and loses nothing that matters: what a kill of the process would not lose. Later calls throw
     * [HookswitchException.Cancelled] or do nothing; flows keep their last value. Calling it twice does no harm.
     */
    override fun close() {
        // The generated object is left to the garbage collector: whoever calls it later gets an answer, not a freed pointer.
        core.shutdown()
    }

    private inline fun tell(call: () -> Unit) {
        try {
            calling(call)
        } catch (_: HookswitchException.Cancelled) {
            // It was closed.
        }
    }

    /** Signing in and out. */
    public inner class Session internal constructor() {
        /**
         * The session.
         *
         * ```kotlin
         * when (val state = hookswitch.session.state.value) {
         *     SessionState.Loading -> show("a splash screen")
         *     SessionState.Locked -> show("Unlock this phone.")
         *     is SessionState.SignedOut -> show(state.message ?: "the sign-in page")
         *     is SessionState.SigningIn -> show(if (state.completing) "a spinner" else "back to the browser, or cancel")
         *     is SessionState.SignedIn -> show("the app of ${state.agent.name}")
         *     is SessionState.ReauthRequired -> show("${state.message} ${state.agent.email}")
         *     SessionState.SigningOut -> show("the sign-in page")
         * }
         * ```
         */
        public val state: StateFlow<SessionState> = hub.session.asStateFlow()

        /**
         * Starts a sign-in, and gives the address to open in the system browser (a Custom Tab). A newer one replaces an older one.
         *
         * ```kotlin
         * val address = hookswitch.session.beginLogin("dev.hookswitch.agent:/callback")
         * show("$address in a Custom Tab")
         * ```
         *
         * @param redirectUri One of the configuration's.
         * @param hint The e-mail address, if it is known.
         * @throws HookswitchException.Forbidden when somebody is signed in.
         * @throws HookswitchException.Offline when the issuer cannot be reached.
         */
        @JvmOverloads
        public suspend fun beginLogin(redirectUri: String, hint: String? = null): String = calling { core.beginLogin(hint, redirectUri) }

        /**
         * Completes a sign-in with the address that the browser came back to. Hand in every address that comes to the redirect URI, whoever
         * sent it: it is checked here. Returns when the tokens are stored.
         *
         * @throws HookswitchException.Forbidden when it is not the redirect that is waited for (the sign-in goes on waiting), or the issuer
         *   refuses.
         * @throws HookswitchException.Offline when the issuer cannot be reached: the same redirect may be tried again.
         * @throws HookswitchException.Cancelled when the person declined, or a newer sign-in has begun.
         */
        public suspend fun finishLogin(redirect: String): Unit = calling { core.finishLogin(redirect) }

        /** Gives a sign-in up. Not to be called when the browser is merely minimised. */
        public suspend fun cancelLogin(): Unit = calling { core.cancelLogin() }

        /**
         * A valid access token for a request of your own; refreshed before if need be, once for all who wait. Ask again for each request,
         * and do not keep it.
         */
        public suspend fun accessToken(): String = calling { core.freshAccessToken() ?: core.accessToken() }

        /** Signs out. Holds at once, offline too; the issuer is told as soon as it can be reached. */
        public suspend fun signOut(): Unit = calling { core.signOut() }

        /**
         * The issuer's page that ends its own session in the browser, to be opened after [signOut] on a phone that several people share: else
         * the cookie of one signs the next one in. Nothing: the issuer has no such page; `prompt` of [SignInOptions] does the same.
         *
         * @param returnTo Where the browser goes then, as registered with the issuer.
         */
        public fun signOutPage(returnTo: String? = null): String? = calling { core.signOutPage(returnTo) }

        /** Signs the agent out on all devices, this one included. Needs the server: offline, nothing is changed anywhere. */
        public suspend fun signOutEverywhere(): Unit = calling { core.signOutEverywhere() }

        /**
         * Signs the agent out in one place of [PresenceState.signIns]; this phone's own as by [signOut].
         *
         * @param place Its [SignIn.id].
         * @throws HookswitchException.Offline when the server cannot be reached. A session that has ended already is no error.
         */
        public suspend fun end(place: SessionId): Unit = calling { core.endSession(place) }

        /** Resets token and cache without losing the sign-in, and says what it did, one line a step. */
        public suspend fun repair(): List<String> = calling { core.repair() }
    }

    /** The agent's availability and forwarding, the same on every device. */
    public inner class Presence internal constructor() {
        /** What to show; `null` while nothing is known. */
        public val state: StateFlow<PresenceState?> = hub.presence.asStateFlow()

        /** How fresh all of it is. */
        public val link: StateFlow<Link> = hub.link.asStateFlow()

        /**
         * Sets the agent's availability; returns when the server has confirmed it.
         *
         * @throws HookswitchException.Offline when it could not be applied within ten seconds.
         * @throws HookswitchException.Cancelled when a newer choice replaced it.
         */
        public suspend fun setAvailability(availability: Availability): Unit = calling { core.setAvailability(availability) }

        /**
         * Forwards all calls to a number; `null` turns forwarding off. Returns when the server has confirmed it. While it is on, this phone
         * does not ring.
         *
         * @param number As the agent typed it; the server may want it verified first: [sendCode].
         * @param until When it ends by itself; `null`: it does not.
         * @throws HookswitchException.Forbidden for what is no number, or when the server refuses it.
         */
        @JvmOverloads
        public suspend fun setForwarding(number: String?, until: Instant? = null): Unit = calling { core.setForwarding(number, until) }

        /** Has the server send a code to a number, to see that it is the agent's. */
        public suspend fun sendCode(number: String, by: CodeBy): Unit = calling { core.sendCode(number, by) }

        /** Tells the server the code that the agent has read. */
        public suspend fun verify(number: String, code: String): Unit = calling { core.verifyNumber(number, code) }
    }

    /** The calls on this phone. */
    public inner class Calls internal constructor() {
        /** The calls. */
        public val state: StateFlow<CallsState> = hub.calls.asStateFlow()

        /**
         * Calls that rang on this phone and must stop. Collect it before the first [Ring.decide]. Whatever is not in [state] any more has
         * stopped, too.
         */
        public val stops: SharedFlow<StoppedCall> = hub.stops.asSharedFlow()

        /**
         * Answers on this phone; returns when the server has said that the call is ours. Until then it is [PhoneCall.connecting], and what
         * is lost on the way is said again until the call's end.
         *
         * @throws HookswitchException.Forbidden when somebody else was quicker.
         * @throws HookswitchException.Cancelled when the call ended, or the agent hung up, meanwhile.
         * @throws HookswitchException.Offline when the server could not be reached until the call's end.
         */
        public suspend fun answer(callId: CallId): Unit = calling { core.answer(callId) }

        /** Declines; this phone is silent at once. */
        public suspend fun decline(callId: CallId): Unit = calling { core.decline(callId) }

        /** Hangs up. */
        public suspend fun hangUp(callId: CallId): Unit = calling { core.hangUp(callId) }
    }

    /** Whether this phone rings. */
    public inner class Ring internal constructor() {
        /**
         * Decides on a call push, from what is known on this phone: no network, no wait. Carry [RingDecision.action] out before you return to
         * the push service.
         *
         * ```kotlin
         * when (hookswitch.ring.decide(message).action) {
         *     CallAction.ADD_CALL -> show("the call, by Telecom")
         *     else -> {}
         * }
         * ```
         *
         * @param payload The push's JSON.
         * @param mustReport iOS: what PushKit says of the push. No matter on Android.
         * @throws HookswitchException.Internal when the payload is not a call push.
         */
        @JvmOverloads
        public fun decide(payload: String, mustReport: Boolean = true): RingDecision = calling { core.decide(payload, mustReport) }

        /** The last 200 decisions about calls and ends of rings, oldest first, for support. */
        public fun log(): List<RingLogEntry> = calling { core.ringLog() }
    }

    public companion object {
        /**
         * Opens the vault and restores the session, on a thread for such things.
         *
         * @param keys The platform's key store.
         * @param clock For tests; `null`: the clocks of the device.
         * @throws HookswitchException.Internal for an unusable configuration.
         * @throws HookswitchException.Storage when the vault cannot be opened.
         */
        public suspend fun connect(configuration: Configuration, keys: KeyProvider, clock: DeviceClock? = null): Hookswitch {
            var opened: Hookswitch? = null
            try {
                return withContext(Dispatchers.IO) { connectBlocking(configuration, keys, clock).also { opened = it } }
            } catch (cancelled: CancellationException) {
                // It may have been opened for somebody who does not wait any more.
                opened?.close()
                throw cancelled
            }
        }

        /** As [connect], for Java and for threads that may block. */
        @JvmStatic
        @JvmOverloads
        public fun connectBlocking(configuration: Configuration, keys: KeyProvider, clock: DeviceClock? = null): Hookswitch {
            val hub = Hub()
            val core = calling { Core.open(configuration.core(), ForeignKeys(keys), hub, clock?.let { ForeignClock(it) }) }
            return Hookswitch(core, hub)
        }

        /**
         * Sends the core's log to [sink], from now on and for all cores of the process: a later sink takes the place of an earlier one, the
         * level of the first call stays. Gives `false` when the process logs elsewhere already.
         */
        @JvmStatic
        public fun startLogging(level: LogLevel, sink: LogSink): Boolean = dev.hookswitch.startLogging(level, ForeignLog(sink))
    }
}
