import Foundation

/// A decision on a call push. Carry ``action`` out before you return to the push service.
public struct RingDecision: Hashable, Sendable {
    /// Which call.
    public let callID: String
    /// What the call UI must do.
    public let action: CallAction
    /// Why the phone is silent; `nil`: it rings.
    public let silence: Silence?
    /// Who calls, in the form of E.164; `nil`: withheld.
    public let from: String?
    /// Who calls, for display.
    public let fromName: String?
    /// When the ring ends by itself, by the server's clock.
    public let expiresAt: Date
    /// When it was decided, by the best guess of the server's clock.
    public let at: Date
    /// Inputs, rule and result, in a sentence for the log.
    public let explanation: String

    /// For tests of your own code.
    public init(
        callID: String, action: CallAction, silence: Silence? = nil, from: String? = nil, fromName: String? = nil,
        expiresAt: Date = .distantFuture, at: Date = .distantPast, explanation: String = ""
    ) {
        self.callID = callID
        self.action = action
        self.silence = silence
        self.from = from
        self.fromName = fromName
        self.expiresAt = expiresAt
        self.at = at
        self.explanation = explanation
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

/// One line of the ring log.
public enum RingLogEntry: Hashable, Sendable {
    /// A push was decided on.
    case decided(RingDecision)
    /// A ring ended, at this moment by the best guess of the server's clock.
    case stopped(StoppedCall, at: Date)
}
