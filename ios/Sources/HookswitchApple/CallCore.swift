import Foundation
import Hookswitch

/// What ``PhoneCalls`` asks of the core. `Hookswitch` is the real one.
public protocol CallCore: AnyObject, Sendable {
    /// As `Hookswitch.Ring.decide(_:mustReport:)`.
    func decide(_ payload: Data, mustReport: Bool) throws -> RingDecision
    /// As `Hookswitch.Calls.answer(_:)`.
    func answer(_ callID: CallId) async throws
    /// As `Hookswitch.Calls.decline(_:)`.
    func decline(_ callID: CallId) async throws
    /// As `Hookswitch.Calls.hangUp(_:)`.
    func hangUp(_ callID: CallId) async throws
    /// As `Hookswitch.setPushToken(_:)`.
    func setPushToken(_ token: String?) async throws
    /// As `Hookswitch.Calls.state`.
    var callsNow: CallsState { get }
    /// As `Hookswitch.Calls.states`.
    var callsStates: AsyncStream<CallsState> { get }
    /// As `Hookswitch.Calls.stops`.
    var callsStops: AsyncStream<StoppedCall> { get }
}

extension Hookswitch: CallCore {
    public func decide(_ payload: Data, mustReport: Bool) throws -> RingDecision {
        try ring.decide(payload, mustReport: mustReport)
    }

    public func answer(_ callID: CallId) async throws { try await calls.answer(callID) }

    public func decline(_ callID: CallId) async throws { try await calls.decline(callID) }

    public func hangUp(_ callID: CallId) async throws { try await calls.hangUp(callID) }

    public var callsNow: CallsState { calls.state }

    public var callsStates: AsyncStream<CallsState> { calls.states }

    public var callsStops: AsyncStream<StoppedCall> { calls.stops }
}

/// Where the sound of a call comes from and goes to: an audio engine plugs in here. Called on the main thread, in the order that CallKit
/// demands: the category before a call is answered, the engine only while the system has given the audio session.
@MainActor public protocol MediaPort: AnyObject {
    /// A call is about to be answered: set the audio session's category, and nothing else.
    func prepare()
    /// The audio session is active: start the engine.
    func start()
    /// The audio session is taken back, or the call is over: stop the engine. Stopping twice is no error.
    func stop()
    /// The customer hears the agent, or does not.
    func setMuted(_ muted: Bool)
    /// Another call goes first: neither side hears anything.
    func setHeld(_ held: Bool)
    /// Tones (DTMF) for the other side.
    func play(digits: String)
}

/// Why a call leaves the screen; the names are those of `CXCallEndedReason`.
public enum EndReason: Hashable, Sendable, CaseIterable {
    /// An error.
    case failed
    /// The other side, or the server.
    case remoteEnded
    /// Nobody answered in time.
    case unanswered
    /// Another of the agent's devices answered.
    case answeredElsewhere
    /// Another of the agent's devices declined.
    case declinedElsewhere
}

extension EndReason {
    /// What CallKit is told when a phone must stop ringing.
    public init(_ silence: Silence) {
        switch silence {
        case .answeredElsewhere: self = .answeredElsewhere
        case .expired: self = .unanswered
        case .forwardingActive, .notAvailable, .inAnotherCall, .callEnded, .duplicate, .signedOut, .otherAccount,
            .deviceNotRegistered, .signInNeeded:
            self = .remoteEnded
        }
    }

    /// What CallKit is told when an answer did not succeed. `silence`: what the core said of the call meanwhile.
    init(answering error: any Error, silence: Silence?) {
        switch error as? HookswitchError {
        case .forbidden, .cancelled: self = silence.map(EndReason.init) ?? .remoteEnded
        case .offline, .reauthenticate, .storage, .internal, nil:
            self = silence == .answeredElsewhere ? .answeredElsewhere : .failed
        }
    }
}

/// A call on the screen of this phone.
public struct ScreenCall: Hashable, Sendable, Identifiable {
    /// Where a call is.
    public enum Phase: Hashable, Sendable {
        /// It rings. `judged`: the core has decided that it should; before the core is there, the phone rings in doubt.
        case ringing(judged: Bool)
        /// The agent has answered, and the server has not yet said that the call is ours.
        case answering
        /// The agent talks.
        case inCall
    }

    /// CallKit's name of the call: the same from its report to its end.
    public let uuid: UUID
    /// The core's name of the call, the same on every device.
    public let id: CallId
    /// Who calls; `nil` when withheld.
    public let from: String?
    /// Who calls, for display.
    public let fromName: String?
    /// Where it is.
    public internal(set) var phase: Phase
    /// The customer does not hear the agent.
    public internal(set) var isMuted = false
    /// Another call goes first.
    public internal(set) var isOnHold = false

    /// A call that begins.
    public init(uuid: UUID, id: CallId, from: String?, fromName: String?, phase: Phase) {
        self.uuid = uuid
        self.id = id
        self.from = from
        self.fromName = fromName
        self.phase = phase
    }
}

/// What the agent should be told about a call that did not come about.
public enum CallProblem: Hashable, Sendable {
    /// The system did not show a call: a Focus, the block list, too many calls. It goes on ringing elsewhere.
    case notShown(CallId, why: String)
    /// The agent answered, and does not have the call.
    case notAnswered(CallId, why: String)
}

/// What can be read in a push without the core.
struct PushInBrief {
    enum Kind {
        case incoming
        case stop(EndReason)
    }

    /// The payload as the core takes it; `nil`: no JSON.
    let data: Data?
    let callID: CallId?
    /// A word that is not known is a call: doubt rings.
    let kind: Kind
    let from: String?
    let fromName: String?

    init(_ payload: [AnyHashable: Any]) {
        data = JSONSerialization.isValidJSONObject(payload) ? try? JSONSerialization.data(withJSONObject: payload) : nil
        callID = payload["call_id"] as? String
        switch payload["kind"] as? String {
        case "ended": kind = .stop(.remoteEnded)
        case "answered_elsewhere": kind = .stop(.answeredElsewhere)
        default: kind = .incoming
        }
        from = payload["from"] as? String
        fromName = payload["from_name"] as? String
    }

    /// The same call's end, as a push of the server would say it: how the core hears that this phone does not ring, without anything being
    /// said to the server, so that the call goes on ringing elsewhere.
    static func end(of push: Data) -> Data? {
        guard var fields = try? JSONSerialization.jsonObject(with: push) as? [String: Any] else { return nil }
        fields["kind"] = "ended"
        return try? JSONSerialization.data(withJSONObject: fields)
    }
}
