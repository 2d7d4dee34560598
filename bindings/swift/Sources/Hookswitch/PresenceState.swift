import Foundation

/// What the agent asks for: one fact, owned by the server, the same on every device.
public enum Availability: Hashable, Sendable {
    /// Calls are welcome.
    case available
    /// No calls, and why.
    case unavailable(UnavailableReason)
    /// Available in the agent's working hours.
    case automatic
}

/// Why an agent takes no calls, in the order in which an app lists them.
public enum UnavailableReason: Hashable, Sendable, CaseIterable {
    /// None of the others.
    case other
    /// Doing back office.
    case backOffice
    /// In training.
    case inTraining
    /// On a break.
    case onABreak
    /// Out for lunch.
    case outForLunch
}

/// What colleagues and routing see: computed by the server.
public enum EffectivePresence: Hashable, Sendable, CaseIterable {
    /// Signed in nowhere, and no forwarding.
    case offline
    /// Signed in and taking no calls.
    case doNotDisturb
    /// Takes calls.
    case available
    /// On a call.
    case inCall
    /// Finishing the work that a call left.
    case afterCallWork
}

/// The agent's presence, whole each time: draw it, and keep no state of your own beside it.
public struct PresenceState: Hashable, Sendable {
    /// Orders states: `epoch-rev`.
    public let version: String
    /// What the agent asked for, as the server has confirmed it.
    public let availability: Availability
    /// What colleagues and routing see.
    public let effective: EffectivePresence
    /// The external number to which all calls go, in the form of E.164; `nil`: they come to the apps.
    public let forwarding: String?
    /// Says that calls go to this number and this phone is silent: show it, with one button, `setForwarding(to: nil)`.
    public let banner: String?
    /// What the agent chose and the server has not confirmed: show it apart from what is confirmed.
    public let pending: [Choice]
    /// What the agent chose and will not happen.
    public let superseded: SupersededChoice?
    /// What the agent should be told.
    public let notices: [Notice]
    /// Who this is about.
    public let agent: Agent
    /// The agent's phones.
    public let devices: [Device]
}

/// Something the agent chose.
public enum Choice: Hashable, Sendable {
    /// This availability.
    case availability(Availability)
    /// Calls to this number, or (`nil`) to the apps.
    case forwarding(to: String?)
}

/// A choice that was not applied.
public struct SupersededChoice: Hashable, Sendable {
    /// What was chosen.
    public let choice: Choice
    /// What happened, for the agent.
    public let why: String
    /// When it was given up, by the best guess of the server's clock.
    public let at: Date
}

/// What the agent should be told.
public struct Notice: Hashable, Sendable {
    /// Which.
    public let kind: Kind
    /// One or two sentences for the agent.
    public let explanation: String

    /// What a notice is about.
    public enum Kind: Hashable, Sendable, CaseIterable {
        /// Several people seem to use this login.
        case sharedLogin
    }
}

/// The agent.
public struct Agent: Hashable, Sendable {
    /// The `sub` of the issuer. Never shown.
    public let account: String
    /// For display.
    public let email: String
    /// For display.
    public let name: String
    /// What the agent may open.
    public let role: Role
}

/// What an agent may open: the Dashboard is for all but ``agent``.
public enum Role: Hashable, Sendable, CaseIterable {
    /// Owns the account.
    case owner
    /// Administers it.
    case admin
    /// Supervises agents.
    case supervisor
    /// Takes calls.
    case agent
}

/// A phone of the agent.
public struct Device: Hashable, Sendable, Identifiable {
    /// Made by the app at its first start.
    public let id: String
    /// For display: "Alice's iPhone".
    public let name: String
    /// Which push service it hears from.
    public let platform: Platform
    /// The app's version.
    public let appVersion: String
    /// `nil`: calls are pushed to it. Else they are not, and why.
    public let cannotRing: CannotRing?
    /// When it spoke to the server last.
    public let lastSeen: Date
}

/// Why the server pushes no call to a device.
public enum CannotRing: Hashable, Sendable, CaseIterable {
    /// Calls go to an external number.
    case forwardingActive
    /// The agent takes no calls now.
    case notAvailable
    /// The agent is on another call.
    case inAnotherCall
    /// The app has not given a push token.
    case noPushToken
}

/// How fresh all of it is.
public enum Link: Hashable, Sendable, CaseIterable {
    /// Nobody is signed in.
    case off
    /// In the background, on purpose.
    case background
    /// Not, and it is tried again.
    case offline
    /// Soon.
    case connecting
    /// What is shown is what is.
    case live
}
