import Foundation

/// A decision on a call push. Carry ``action`` out before you return to the push service.
public struct RingDecision: Hashable, Sendable {
    /// What the call UI must do.
    public let action: CallAction
    /// Rings, or why not.
    public let verdict: Verdict
    /// Which call.
    public let callID: String
    /// Who calls, in the form of E.164; `nil`: withheld.
    public let from: String?
    /// Who calls, for display.
    public let fromName: String?
    /// One sentence for the log.
    public let explanation: String

    /// For tests of your own code.
    public init(
        action: CallAction, verdict: Verdict, callID: String, from: String? = nil, fromName: String? = nil,
        explanation: String = ""
    ) {
        self.action = action
        self.verdict = verdict
        self.callID = callID
        self.from = from
        self.fromName = fromName
        self.explanation = explanation
    }

    /// Rings, or why not.
    public enum Verdict: Hashable, Sendable {
        /// Until this moment of the server's clock, unless something stops it before.
        case ring(until: Date)
        /// The phone keeps silent.
        case silent(Silence)
    }
}

/// What the call UI must do.
public enum CallAction: Hashable, Sendable, CaseIterable {
    /// iOS: report the call to CallKit; it rings.
    case reportIncomingCall
    /// iOS: report a call under a fresh UUID and end it at once as answered elsewhere.
    case reportThenEnd
    /// Android: add the call to Telecom; it rings.
    case addCall
    /// Nothing is shown.
    case nothing
}

/// Why a phone keeps silent.
public enum Silence: Hashable, Sendable, CaseIterable {
    /// Calls go to an external number.
    case forwardingActive
    /// The agent takes no calls now.
    case notAvailable
    /// The agent is on another call.
    case inAnotherCall
    /// Somebody or something else answered.
    case answeredElsewhere
    /// The call is over.
    case callEnded
    /// The push came after the call had stopped ringing.
    case expired
    /// This phone rings for it already, or is in it.
    case duplicate
    /// Nobody is signed in on this phone.
    case signedOut
    /// The call is for somebody else than the agent who is signed in.
    case otherAccount
    /// The server does not count this phone among the agent's devices any more.
    case deviceNotRegistered
}

/// One line of the ring log: a decision, or the end of a ring.
public struct RingLogEntry: Hashable, Sendable {
    /// Which call.
    public let callID: String
    /// When, by the best guess of the server's clock.
    public let at: Date
    /// What happened.
    public let what: What

    /// What happened.
    public enum What: Hashable, Sendable {
        /// A push was decided on.
        case decided(RingDecision)
        /// A ring ended.
        case stopped(StopReason)
    }
}
