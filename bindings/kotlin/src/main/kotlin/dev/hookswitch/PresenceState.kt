package dev.hookswitch

import java.time.Instant

/** What the agent asks for: one fact, owned by the server, the same on every device. */
public sealed interface Availability {
    /** Calls are welcome. */
    public data object Available : Availability

    /** No calls, and why. */
    public data class Unavailable(val reason: UnavailableReason) : Availability

    /** Available in the agent's working hours. */
    public data object Automatic : Availability
}

/** Why an agent takes no calls, in the order in which an app lists them. */
public enum class UnavailableReason { OTHER, BACK_OFFICE, IN_TRAINING, ON_A_BREAK, OUT_FOR_LUNCH }

/** What colleagues and routing see: computed by the server. */
public enum class EffectivePresence {
    /** Signed in nowhere. */
    OFFLINE,

    /** Signed in and taking no calls. */
    DO_NOT_DISTURB,

    /** Takes calls. */
    AVAILABLE,

    /** On a call. */
    IN_CALL,

    /** Finishing the work that a call left. */
    AFTER_CALL_WORK,
}

/**
 * The agent's presence, whole each time: draw it, and keep no state of your own beside it.
 *
 * @property version Orders states: `epoch-rev`.
 * @property availability What the agent chose last, anywhere, as the server has confirmed it.
 * @property effective What colleagues and routing see.
 * @property forwarding Where all calls go; `null`: to the apps.
 * @property banner Says that calls go elsewhere and this phone is silent: show it, with one button, `setForwarding(null)`.
 * @property pending What was chosen on this phone and the server has not confirmed: show it apart from what is confirmed.
 * @property superseded What was chosen on this phone and will not happen.
 * @property notices What the agent should be told, a sentence each.
 * @property devices The agent's phones.
 * @property signedInAt Where the agent is signed in, oldest first.
 * @property asOf When the server said all of this, by its clock.
 */
public data class PresenceState(
    val version: String,
    val availability: Availability,
    val effective: EffectivePresence,
    val forwarding: Forwarding?,
    val banner: Banner?,
    val pending: List<Choice>,
    val superseded: SupersededChoice?,
    val notices: List<String>,
    val devices: List<Device>,
    val signedInAt: List<SignedInPlace>,
    val asOf: Instant,
)

/** Where calls go. @property number In the form of E.164. @property until When it ends by itself; `null`: it does not. */
public data class Forwarding(val number: String, val until: Instant?)

/**
 * Calls go elsewhere.
 *
 * @property until When the server turns it off by itself.
 * @property takesCalls Whether a call would go there now.
 * @property ownNumber Whether this phone has that number: worth a warning.
 */
public data class Banner(val number: String, val until: Instant?, val takesCalls: Boolean, val ownNumber: Boolean)

/** Something the agent chose. */
public sealed interface Choice {
    /** On the availability picker. */
    public data class OfAvailability(val availability: Availability) : Choice

    /** On the forwarding switch; `null`: calls to the apps. */
    public data class OfForwarding(val to: Forwarding?) : Choice
}

/**
 * A choice that was not applied.
 *
 * @property why What to tell the agent.
 * @property at When it was given up, by the best guess of the server's clock.
 * @property by Where something newer was chosen, for display: "Desktop".
 * @property chosenAt When it was.
 */
public data class SupersededChoice(val choice: Choice, val why: String, val at: Instant, val by: String?, val chosenAt: Instant?)

/** How a code gets to a number. */
public enum class CodeDelivery {
    /** A text message. */
    SMS,

    /** A voice reads it out. */
    CALL,
}

/**
 * A phone of the agent.
 *
 * @property cannotRing `null`: calls are pushed to it. Else they are not, and why.
 * @property callNotifications Android: whether it may show calls, as far as its app has said.
 * @property fullScreenIntent Android: whether a call may take its locked screen, as far as its app has said.
 * @property lastSeen When it spoke to the server last.
 */
public data class Device(
    val id: String,
    val name: String,
    val cannotRing: CannotRing?,
    val callNotifications: Boolean?,
    val fullScreenIntent: Boolean?,
    val lastSeen: Instant,
)

/** Why the server pushes no call to a device. */
public enum class CannotRing {
    /** Calls go to an external number. */
    FORWARDING_ACTIVE,

    /** The agent takes no calls now. */
    NOT_AVAILABLE,

    /** The agent is on another call. */
    IN_ANOTHER_CALL,

    /** The app has not given a push token. */
    NO_PUSH_TOKEN,
}

/** How fresh all of it is. */
public enum class Link {
    /** Nobody is signed in. */
    OFF,

    /** In the background, on purpose. */
    BACKGROUND,

    /** Not, and it is tried again. */
    OFFLINE,

    /** Soon. */
    CONNECTING,

    /** What is shown is what is. */
    LIVE,
}
