@_exported import AVFAudio
import Foundation

open class CXProviderConfiguration: NSObject {
    override public init() {}
    open var maximumCallGroups = 2
    open var maximumCallsPerCallGroup = 5
    open var supportsVideo = false
    open var includesCallsInRecents = true
    open var supportedHandleTypes: Set<CXHandle.HandleType> = []
}

public final class CXHandle: NSObject, @unchecked Sendable {
    public enum HandleType: Int, Sendable {
        case generic = 1
        case phoneNumber, emailAddress
    }
    public let type: HandleType
    public let value: String

    public init(type: HandleType, value: String) {
        self.type = type
        self.value = value
    }
}

open class CXCallUpdate: NSObject, @unchecked Sendable {
    override public init() {}
    open var remoteHandle: CXHandle?
    open var localizedCallerName: String?
    open var supportsHolding = true
    open var supportsGrouping = true
    open var supportsUngrouping = true
    open var supportsDTMF = true
    open var hasVideo = false
}

public enum CXCallEndedReason: Int, Sendable {
    case failed = 1
    case remoteEnded, unanswered, answeredElsewhere, declinedElsewhere
}

public struct CXErrorCodeIncomingCallError: Error, Hashable, Sendable {
    public enum Code: Int, Sendable {
        case unknown, unentitled, callUUIDAlreadyExists, filteredByDoNotDisturb, filteredByBlockList
        case filteredDuringRestrictedSharingMode, callIsProtected, filteredBySensitiveParticipants
    }
    public let code: Code
    public init(_ code: Code) { self.code = code }
}

public struct CXErrorCodeRequestTransactionError: Error, Hashable, Sendable {
    public enum Code: Int, Sendable {
        case unknown, unentitled, unknownCallProvider, emptyTransaction, unknownCallUUID, callUUIDAlreadyExists, invalidAction
        case maximumCallGroupsReached, callIsProtected
    }
    public let code: Code
    public init(_ code: Code) { self.code = code }
}

open class CXAction: NSObject, @unchecked Sendable {
    /// What has become of an action.
    public enum Outcome: Sendable { case fulfilled, failed, timedOut, reset }

    public let uuid = UUID()
    public fileprivate(set) var outcome: Outcome?
    fileprivate weak var provider: CXProvider?
    open var isComplete: Bool { outcome != nil }

    open func fulfill() { complete(.fulfilled) }
    open func fail() { complete(.failed) }

    private func complete(_ new: Outcome) {
        switch outcome {
        case nil:
            outcome = new
            provider?.completed(self)
        case .reset: break
        case .fulfilled, .failed: provider?.breach("an action was completed twice: \(type(of: self))")
        case .timedOut: provider?.breach("an action was completed after its time: \(type(of: self))")
        }
    }
}

open class CXCallAction: CXAction, @unchecked Sendable {
    public let callUUID: UUID
    public init(call: UUID) { callUUID = call }
}

open class CXAnswerCallAction: CXCallAction, @unchecked Sendable {}
open class CXEndCallAction: CXCallAction, @unchecked Sendable {}

open class CXSetMutedCallAction: CXCallAction, @unchecked Sendable {
    public var isMuted: Bool
    public init(call: UUID, muted: Bool) {
        isMuted = muted
        super.init(call: call)
    }
}

open class CXSetHeldCallAction: CXCallAction, @unchecked Sendable {
    public var isOnHold: Bool
    public init(call: UUID, onHold: Bool) {
        isOnHold = onHold
        super.init(call: call)
    }
}

open class CXPlayDTMFCallAction: CXCallAction, @unchecked Sendable {
    public enum ActionType: Int, Sendable {
        case singleTone = 1
        case softPause, hardPause
    }
    public var digits: String
    public var type: ActionType
    public init(call: UUID, digits: String, type: ActionType) {
        self.digits = digits
        self.type = type
        super.init(call: call)
    }
}

open class CXTransaction: NSObject, @unchecked Sendable {
    open private(set) var actions: [CXAction]
    public init(action: CXAction) { actions = [action] }
}

public protocol CXProviderDelegate: NSObjectProtocol {
    func providerDidReset(_ provider: CXProvider)
    func providerDidBegin(_ provider: CXProvider)
    func provider(_ provider: CXProvider, perform action: CXAnswerCallAction)
    func provider(_ provider: CXProvider, perform action: CXEndCallAction)
    func provider(_ provider: CXProvider, perform action: CXSetMutedCallAction)
    func provider(_ provider: CXProvider, perform action: CXSetHeldCallAction)
    func provider(_ provider: CXProvider, perform action: CXPlayDTMFCallAction)
    func provider(_ provider: CXProvider, timedOutPerforming action: CXAction)
    func provider(_ provider: CXProvider, didActivate audioSession: AVAudioSession)
    func provider(_ provider: CXProvider, didDeactivate audioSession: AVAudioSession)
}

// Optional in Apple's protocol. An action that nobody performs is never completed, and found by `CXProvider.broken`.
extension CXProviderDelegate {
    public func providerDidBegin(_ provider: CXProvider) {}
    public func provider(_ provider: CXProvider, perform action: CXAnswerCallAction) {}
    public func provider(_ provider: CXProvider, perform action: CXEndCallAction) {}
    public func provider(_ provider: CXProvider, perform action: CXSetMutedCallAction) {}
    public func provider(_ provider: CXProvider, perform action: CXSetHeldCallAction) {}
    public func provider(_ provider: CXProvider, perform action: CXPlayDTMFCallAction) {}
    public func provider(_ provider: CXProvider, timedOutPerforming action: CXAction) {}
    public func provider(_ provider: CXProvider, didActivate audioSession: AVAudioSession) {}
    public func provider(_ provider: CXProvider, didDeactivate audioSession: AVAudioSession) {}
}

/// CallKit's side of the phone: what rings, what runs, what is over. Everything is on the main thread, where the delegate is called.
open class CXProvider: NSObject, @unchecked Sendable {
    /// A call as CallKit has it.
    public enum Shown: Hashable, Sendable {
        case ringing, connected
        /// `nil`: the agent ended it here.
        case ended(CXCallEndedReason?)
        /// An action took too long: the app may say why it ends.
        case lost
    }

    /// Every report, in order. Shared by all providers, since PushKit counts them.
    nonisolated(unsafe) public static private(set) var reports = 0
    nonisolated(unsafe) private static var everybody: [Weak] = []
    private struct Weak { weak var provider: CXProvider? }

    public private(set) var calls: [UUID: Shown] = [:]
    public private(set) var updates: [UUID: CXCallUpdate] = [:]
    public private(set) var order: [UUID] = []
    public private(set) var violations: [String] = []
    public private(set) var actions: [CXAction] = []
    public private(set) var audioIsActive = false
    /// What CallKit says to the next reports: a Focus, the block list, too many calls.
    public var refuses: CXErrorCodeIncomingCallError.Code?
    private weak var delegate: (any CXProviderDelegate)?

    public init(configuration: CXProviderConfiguration) {
        super.init()
        CXProvider.everybody.removeAll { $0.provider == nil }
        CXProvider.everybody.append(Weak(provider: self))
    }

    open func setDelegate(_ delegate: (any CXProviderDelegate)?, queue: DispatchQueue?) { self.delegate = delegate }
    open func invalidate() {}

    open func reportNewIncomingCall(
        with uuid: UUID, update: CXCallUpdate, completion: @escaping @Sendable ((any Error)?) -> Void
    ) {
        CXProvider.reports += 1
        if delegate == nil { breach("a call was reported before there was a delegate") }
        if calls[uuid] != nil {
            breach("a call was reported twice: \(uuid)")
            return answer(completion, CXErrorCodeIncomingCallError(.callUUIDAlreadyExists))
        }
        order.append(uuid)
        updates[uuid] = update
        if let refuses {
            calls[uuid] = .ended(.failed)
            refused.insert(uuid)
            return answer(completion, CXErrorCodeIncomingCallError(refuses))
        }
        calls[uuid] = .ringing
        answer(completion, nil)
    }
    private var refused: Set<UUID> = []

    // "CallKit executes the block on a private serial queue", later.
    private func answer(_ completion: @escaping @Sendable ((any Error)?) -> Void, _ error: CXErrorCodeIncomingCallError?) {
        CXProvider.queue.async { completion(error) }
    }
    private static let queue = DispatchQueue(label: "callkit")

    open func reportCall(with uuid: UUID, updated update: CXCallUpdate) {
        guard calls[uuid] == .ringing || calls[uuid] == .connected else { return breach("an update of a call that is not there") }
        updates[uuid] = update
    }

    open func reportCall(with uuid: UUID, endedAt date: Date?, reason: CXCallEndedReason) {
        switch calls[uuid] {
        case .ringing, .connected, .lost: end(uuid, reason)
        // Reported and ended at once, before the app can know that CallKit refused.
        case .ended where refused.remove(uuid) != nil: calls[uuid] = .ended(reason)
        case .ended: breach("a call was ended twice: \(uuid)")
        case nil: breach("a call was ended that CallKit does not know: \(uuid)")
        }
    }

    private func end(_ uuid: UUID, _ reason: CXCallEndedReason?) {
        calls[uuid] = .ended(reason)
        guard audioIsActive, !calls.values.contains(.connected) else { return }
        audioIsActive = false
        delegate?.provider(self, didDeactivate: .sharedInstance())
    }

    func breach(_ what: String) { violations.append(what) }

    /// All that broke a rule, with the actions that nobody completed.
    public var broken: [String] {
        violations + actions.filter { !$0.isComplete }.map { "an action was never completed: \(type(of: $0))" }
    }

    // What the agent and the system do.

    /// The calls that ring or run.
    public var live: [UUID] { order.filter { calls[$0] == .ringing || calls[$0] == .connected } }

    /// The agent does something on the system's screen, or the app by `CXCallController`.
    @discardableResult
    public func perform<Action: CXAction>(_ action: Action) -> Action {
        action.provider = self
        actions.append(action)
        switch action as CXAction {
        case let action as CXAnswerCallAction: delegate?.provider(self, perform: action)
        case let action as CXEndCallAction: delegate?.provider(self, perform: action)
        case let action as CXSetMutedCallAction: delegate?.provider(self, perform: action)
        case let action as CXSetHeldCallAction: delegate?.provider(self, perform: action)
        case let action as CXPlayDTMFCallAction: delegate?.provider(self, perform: action)
        default: breach("an action that nobody knows")
        }
        return action
    }

    fileprivate func completed(_ action: CXAction) {
        switch (action, action.outcome) {
        case (let action as CXAnswerCallAction, .fulfilled):
            guard calls[action.callUUID] == .ringing else { return breach("an answer of a call that does not ring was fulfilled") }
            calls[action.callUUID] = .connected
            audioIsActive = true
            delegate?.provider(self, didActivate: .sharedInstance())
        case (let action as CXAnswerCallAction, .failed):
            if calls[action.callUUID] == .ringing { end(action.callUUID, .failed) }
        case (let action as CXEndCallAction, .fulfilled):
            if calls[action.callUUID] == .ringing || calls[action.callUUID] == .connected { end(action.callUUID, nil) }
        default: break
        }
    }

    /// The time of an action is over.
    public func timeOut(_ action: CXAction) {
        guard action.outcome == nil else { return }
        action.outcome = .timedOut
        if let action = action as? CXAnswerCallAction { calls[action.callUUID] = .lost }
        delegate?.provider(self, timedOutPerforming: action)
    }

    /// The system's call service was restarted.
    public func reset() {
        for action in actions where action.outcome == nil { action.outcome = .reset }
        for uuid in live { calls[uuid] = .ended(.failed) }
        audioIsActive = false
        delegate?.providerDidReset(self)
    }

    fileprivate static func provider(of action: CXAction) -> CXProvider? {
        guard let action = action as? CXCallAction else { return nil }
        return everybody.compactMap(\.provider).first {
            $0.calls[action.callUUID] == .ringing || $0.calls[action.callUUID] == .connected
        }
    }
}

open class CXCallController: NSObject, @unchecked Sendable {
    override public init() {}

    open func request(_ transaction: CXTransaction, completion: @escaping @Sendable ((any Error)?) -> Void) {
        Task { @MainActor in
            for action in transaction.actions {
                guard let provider = CXProvider.provider(of: action) else {
                    return completion(CXErrorCodeRequestTransactionError(.unknownCallUUID))
                }
                completion(nil)
                provider.perform(action)
            }
        }
    }
}
