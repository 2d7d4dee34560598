package dev.hookswitch

import java.time.Instant

/**
 * The session. Each state has one obvious reaction.
 *
 * ```kotlin
 * when (val state = hookswitch.session.state.value) {
 *     SessionState.Loading -> show("a splash screen")
 *     SessionState.Locked -> show("Unlock this phone.")
 *     is SessionState.SignedOut -> show(state.message ?: "the sign-in page")
 *     is SessionState.SigningIn -> show(if (state.completing) "a spinner" else "back to the browser, or cancel")
 *     is SessionState.SignedIn -> show("the app of ${state.agent.name}")
 *     is SessionState.ReauthRequired -> show("${state.message} ${state.email}")
 *     SessionState.SigningOut -> show("the sign-in page")
 * }
 * ```
 */
public sealed interface SessionState {
    /** The vault is being read: show a splash screen. */
    public data object Loading : SessionState

    /** The phone was not unlocked since it started: say so. */
    public data object Locked : SessionState

    /** Show the sign-in page. @property message What to tell the agent above it, if anything. */
    public data class SignedOut(val message: String?) : SessionState

    /** The browser is open or minimised. @property completing It has come back: show a spinner. */
    public data class SigningIn(val completing: Boolean) : SessionState

    /** Show the app. Offline is no sign-out. */
    public data class SignedIn(val agent: Agent, val health: SessionHealth) : SessionState

    /** Show the sign-in page with the e-mail address filled in. @property message What to tell the agent. */
    public data class ReauthRequired(val email: String?, val message: String) : SessionState

    /** Show the sign-in page; the vault is being cleared. */
    public data object SigningOut : SessionState
}

/** Who signed in, as the issuer says. For display. */
public data class Agent(val name: String?, val email: String?)

/** How well somebody is signed in. */
public enum class SessionHealth {
    /** All is well. */
    FRESH,

    /** The access token is being renewed. Show nothing. */
    REFRESHING,

    /** The server cannot be reached: "no connection; you stay signed in". */
    OFFLINE,

    /** The newest tokens are in memory only: "this phone's storage fails; you stay signed in while the app runs". */
    DEGRADED,
}

/**
 * A place where the agent is signed in.
 *
 * @property id Names it: [Hookswitch.Session.end].
 * @property device On a phone: which one of [PresenceState.devices].
 */
public data class SignedInPlace(val id: String, val kind: Kind, val device: String?, val since: Instant) {
    public enum class Kind {
        /** A phone. */
        MOBILE,

        /** All that runs in one browser. */
        BROWSER,

        /** The desktop app. */
        DESKTOP,
    }
}
