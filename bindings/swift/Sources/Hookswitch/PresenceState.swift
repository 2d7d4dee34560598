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
    /// What the agent chose last, anywhere, as the server has confirmed it.
    public let availability: Availability
    /// What colleagues and routing see.
    public let effective: EffectivePresence
    /// Where all calls go; `nil`: to the apps.
    public let forwarding: Forwarding?
    /// Says that calls go elsewhere and this phone is silent: show it, with one button, `setForwarding(to: nil)`.
    public let banner: Banner?
    /// What was chosen on this phone and the server has not confirmed: show it apart from what is confirmed.
    public let pending: [Choice]
    /// What was chosen on this phone and will not happen.
    public let superseded: SupersededChoice?
    /// What the agent should be told, a sentence each.
    public let notices: [String]
    /// The agent's phones.
    public let devices: [Device]
    /// Where the agent is signed in, oldest first.
    public let signedInAt: [SignedInPlace]
    /// When the server said all of this, by its clock.
    public let asOf: Date
}

/// Where calls go, and for how long.
public struct Forwarding: Hashable, Sendable {
    /// In the form of E.164.
    public let number: String
    /// When it ends by itself, by the server's clock; `nil`: it does not.
    public let until: Date?
}

/// Calls go elsewhere.
public struct Banner: Hashable, Sendable {
    /// Where, in the form of E.164.
    public let number: String
    /// When the server turns it off by itself.
    public let until: Date?
    /// Whether a call would go there now.
    public let takesCalls: Bool
    /// Whether this phone has that number: worth a warning.
    public let ownNumber: Bool
}

/// Something the agent chose.
public enum Choice: Hashable, Sendable {
    /// On the availability picker.
    case availability(Availability)
    /// On the forwarding switch; `nil`: calls to the apps.
    case forwarding(Forwarding?)
}

/// A choice that was not applied.
public struct SupersededChoice: Hashable, Sendable {
    /// What was chosen.
    public let choice: Choice
    /// What to tell the agent.
    public let why: String
    /// When it was given up, by the best guess of the server's clock.
    public let at: Date
    /// Where something newer was chosen, for display: "Desktop".
    public let by: String?
    /// When it was.
    public let chosenAt: Date?
}

/// How a code gets to a number.
public enum CodeDelivery: Hashable, Sendable, CaseIterable {
    /// A text message.
    case sms
    /// A voice reads it out.
    case call
}

/// A phone of the agent.
public struct Device: Hashable, Sendable, Identifiable {
    /// Made by the app at its first start.
    public let id: String
    /// For display: "Alice's iPhone".
    public let name: String
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
