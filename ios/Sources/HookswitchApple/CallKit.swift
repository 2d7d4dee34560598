#if os(iOS) || STAND_INS
import AVFAudio
import CallKit
import Foundation
import Hookswitch
import PushKit

/// The system's call screen.
@MainActor
public final class CallKitScreen: NSObject, @preconcurrency CallScreen {
    /// What speaks to CallKit. Its delegate is whoever made the screen: ``CallKitCalls``.
    public let provider: CXProvider

    /// A screen with this look: icon, ringtone, how many calls at once.
    public init(_ configuration: CXProviderConfiguration) {
        provider = CXProvider(configuration: configuration)
        super.init()
    }

    /// Reports the call to CallKit, which shows it and rings.
    public func report(
        _ call: UUID, from: String?, name: String?, shown: @escaping @Sendable ((any Error)?) -> Void
    ) {
        let update = CXCallUpdate()
        update.remoteHandle = from.map { CXHandle(type: .phoneNumber, value: $0) }
        update.localizedCallerName = name
        update.supportsHolding = false
        update.supportsGrouping = false
        update.supportsUngrouping = false
        provider.reportNewIncomingCall(with: call, update: update, completion: shown)
    }

    /// Tells CallKit that the call is over, and why. One that it does not know is no error.
    public func end(_ call: UUID, because reason: EndReason) {
        provider.reportCall(with: call, endedAt: nil, reason: CXCallEndedReason(reason))
    }
}

extension CXCallEndedReason {
    init(_ reason: EndReason) {
        switch reason {
        case .failed: self = .failed
        case .remoteEnded: self = .remoteEnded
        case .unanswered: self = .unanswered
        case .answeredElsewhere: self = .answeredElsewhere
        case .declinedElsewhere: self = .declinedElsewhere
        }
    }
}

/// PushKit and CallKit, tied to the core. Make it when the app starts, before anything else: a push may have started the app.
///
/// ```swift ios
/// let calls = CallKitCalls(hookswitch, configuration: CXProviderConfiguration())
/// calls.audio = { active in /* start or stop your media */ }
/// ```
@MainActor
public final class CallKitCalls: NSObject {
    private let hookswitch: Hookswitch
    private let screen: CallKitScreen
    private let incoming: IncomingCalls
    private let registry = PKPushRegistry(queue: .main)
    private var tasks: [Task<Void, Never>] = []

    /// The system gives and takes the audio session.
    public var audio: (_ active: Bool) -> Void = { _ in }

    /// Listens from now on: to PushKit for calls, to CallKit for what the agent does, and to the core for rings that must stop.
    public init(_ hookswitch: Hookswitch, configuration: CXProviderConfiguration) {
        self.hookswitch = hookswitch
        screen = CallKitScreen(configuration)
        incoming = IncomingCalls(core: hookswitch, screen: screen)
        super.init()
        screen.provider.setDelegate(self, queue: .main)
        registry.delegate = self
        registry.desiredPushTypes = [.voIP]
        tasks = [
            Task { [weak self] in
                for await stop in hookswitch.calls.stops { self?.incoming.stopped(stop) }
            },
            Task { [weak self] in
                var before: String?
                for await calls in hookswitch.calls.states {
                    let now = calls.inCall?.callID
                    if let before, before != now { self?.incoming.ended(before) }
                    before = now
                }
            },
        ]
    }

    deinit {
        for task in tasks { task.cancel() }
    }
}

extension CallKitCalls: @preconcurrency PKPushRegistryDelegate {
    public func pushRegistry(_ registry: PKPushRegistry, didUpdate credentials: PKPushCredentials, for type: PKPushType) {
        let token = credentials.token.map { String(format: "%02x", $0) }.joined()
        Task { try? await hookswitch.setPushToken(token) }
    }

    public func pushRegistry(_ registry: PKPushRegistry, didInvalidatePushTokenFor type: PKPushType) {
        Task { try? await hookswitch.setPushToken(nil) }
    }

    // Where PushKit says nothing about it, every VoIP push must be reported.
    public func pushRegistry(
        _ registry: PKPushRegistry, didReceiveIncomingPushWith payload: PKPushPayload, for type: PKPushType,
        completion: @escaping () -> Void
    ) {
        nonisolated(unsafe) let completion = completion
        incoming.pushed(payload.dictionaryPayload, mustReport: true) { completion() }
    }
}

extension CallKitCalls: @preconcurrency CXProviderDelegate {
    public func providerDidReset(_ provider: CXProvider) {}

    public func provider(_ provider: CXProvider, perform action: CXAnswerCallAction) {
        guard let callID = incoming.callID(of: action.callUUID) else { return action.fail() }
        Task {
            do {
                try await hookswitch.calls.answer(callID)
                action.fulfill()
            } catch {
                // Somebody else was quicker, or there is no network.
                action.fail()
                incoming.ended(callID, because: .answeredElsewhere)
            }
        }
    }

    public func provider(_ provider: CXProvider, perform action: CXEndCallAction) {
        guard let callID = incoming.callID(of: action.callUUID) else { return action.fulfill() }
        let talking = hookswitch.calls.state.inCall?.callID == callID
        incoming.left(action.callUUID)
        Task {
            // The screen is right either way: this phone is silent at once, and the server hears of it when it can.
            if talking {
                try? await hookswitch.calls.hangUp(callID)
            } else {
                try? await hookswitch.calls.decline(callID)
            }
            action.fulfill()
        }
    }

    public func provider(_ provider: CXProvider, didActivate audioSession: AVAudioSession) { audio(true) }

    public func provider(_ provider: CXProvider, didDeactivate audioSession: AVAudioSession) { audio(false) }
}
#endif
