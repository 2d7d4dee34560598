import Foundation
import Hookswitch

/// The call screen of the platform. ``CallKitScreen`` is the real one.
public protocol CallScreen: AnyObject {
    /// Shows an incoming call, which rings. `shown` is called once, with an error if the platform refuses.
    func report(_ call: UUID, from: String?, name: String?, shown: @escaping @Sendable ((any Error)?) -> Void)
    /// Takes a call off the screen.
    func end(_ call: UUID, because reason: EndReason)
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

/// What the core is asked about calls. `Hookswitch` is the real one.
public protocol CallCore: AnyObject, Sendable {
    /// As `Hookswitch.Ring.decide(_:mustReport:)`.
    func decide(_ payload: Data, mustReport: Bool) throws -> RingDecision
}

extension Hookswitch: CallCore {
    public func decide(_ payload: Data, mustReport: Bool) throws -> RingDecision {
        try ring.decide(payload, mustReport: mustReport)
    }
}

/// Carries out what the core decides on a push, exactly once: **every VoIP push that must be reported is**, also one that cannot be
/// read, and no call is shown twice.
///
/// Pure Swift, used on the main thread, where PushKit and CallKit call.
public final class IncomingCalls {
    private let core: any CallCore
    private let screen: any CallScreen
    private let makeUUID: () -> UUID
    /// The calls that are on the screen.
    private var shown: [String: UUID] = [:]

    /// `makeUUID` is for tests.
    public init(core: any CallCore, screen: any CallScreen, makeUUID: @escaping () -> UUID = UUID.init) {
        self.core = core
        self.screen = screen
        self.makeUUID = makeUUID
    }

    /// The core's name of a call on the screen.
    public func callID(of call: UUID) -> String? { shown.first { $0.value == call }?.key }

    /// A VoIP push. `done` is PushKit's completion; it is called once, after the platform has heard of the call.
    public func pushed(_ payload: [AnyHashable: Any], mustReport: Bool, done: @escaping @Sendable () -> Void) {
        guard JSONSerialization.isValidJSONObject(payload),
            let data = try? JSONSerialization.data(withJSONObject: payload),
            let decision = try? core.decide(data, mustReport: mustReport)
        else {
            // Whatever it was, the platform wants to see a call.
            return mustReport ? reportThenEnd(because: .failed, done: done) : done()
        }
        switch decision.action {
        case .reportIncomingCall:
            guard shown[decision.callID] == nil else {
                // It rings already; this push wants a report of its own.
                return mustReport ? reportThenEnd(because: .answeredElsewhere, done: done) : done()
            }
            let call = makeUUID()
            shown[decision.callID] = call
            screen.report(call, from: decision.from, name: decision.fromName) { _ in done() }
        case .reportThenEnd:
            reportThenEnd(because: .answeredElsewhere, done: done)
        case .addCall, .nothing:
            done()
        }
    }

    /// A call that rang here must stop. Feed it from `hookswitch.calls.stops`.
    public func stopped(_ stop: StoppedCall) {
        switch stop.why {
        case .answeredHere: break  // It goes on, on the screen.
        case .declinedHere: shown[stop.callID] = nil  // The screen has ended it.
        case .silenced(let reason):
            guard let call = shown.removeValue(forKey: stop.callID) else { return }
            screen.end(call, because: EndReason(reason))
        }
    }

    /// A call that was answered here is over. Feed it with the calls that are gone from `hookswitch.calls.states`.
    public func ended(_ callID: String, because reason: EndReason = .remoteEnded) {
        guard let call = shown.removeValue(forKey: callID) else { return }
        screen.end(call, because: reason)
    }

    /// The screen has ended a call by itself.
    public func left(_ call: UUID) {
        guard let callID = callID(of: call) else { return }
        shown[callID] = nil
    }

    /// A fresh UUID keeps a call that rings from being ended.
    private func reportThenEnd(because reason: EndReason, done: @escaping @Sendable () -> Void) {
        let call = makeUUID()
        screen.report(call, from: nil, name: nil) { _ in done() }
        screen.end(call, because: reason)
    }
}

extension EndReason {
    /// What CallKit is told when a phone must stop ringing.
    public init(_ silence: Silence) {
        switch silence {
        case .answeredElsewhere: self = .answeredElsewhere
        case .expired: self = .unanswered
        case .forwardingActive, .notAvailable, .inAnotherCall, .callEnded, .duplicate, .signedOut, .otherAccount,
            .deviceNotRegistered:
            self = .remoteEnded
        }
    }
}
