import Foundation

/// The calls on this phone.
public struct CallsState: Hashable, Sendable {
    /// Calls that ring.
    public let ringing: [PhoneCall]
    /// The call that this phone is in.
    public let inCall: PhoneCall?
}

/// A call on this phone.
public struct PhoneCall: Hashable, Sendable, Identifiable {
    /// The same on every device.
    public let callID: String
    /// Who calls, in the form of E.164; `nil`: withheld.
    public let from: String?
    /// Who calls, for display.
    public let fromName: String?
    /// Since when this phone has it, by the best guess of the server's clock.
    public let since: Date

    public var id: String { callID }
}

/// A call that rang on this phone and must stop.
public struct StoppedCall: Hashable, Sendable {
    /// Which.
    public let callID: String
    /// Why.
    public let why: StopReason

    /// For tests of your own code.
    public init(callID: String, why: StopReason) {
        self.callID = callID
        self.why = why
    }
}

/// Why a phone that rang does not ring any more.
public enum StopReason: Hashable, Sendable {
    /// The agent answered on this phone: the call screen knows.
    case answeredHere
    /// The agent declined on this phone: the call screen knows.
    case declinedHere
    /// For one of the reasons that would have kept it silent.
    case silenced(Silence)
}
