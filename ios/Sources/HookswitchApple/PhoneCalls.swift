#if os(iOS) || STAND_INS
import CallKit
import Foundation
import Hookswitch
import PushKit

/// Calls on this phone: PushKit, CallKit, the audio session and the core, behind one door. Nobody goes past it, neither to the core nor to
/// CallKit.
///
/// Make it when the process starts, synchronously and before anything else: a push may have started it, and must be reported before
/// PushKit's callback returns. The core is attached when it is open. A push that comes before is reported from its payload at once, and
/// judged as soon as the core is there.
///
/// ```swift ios
/// let calls = PhoneCalls(CXProviderConfiguration())
/// calls.attach(hookswitch)
/// ```
@MainActor public final class PhoneCalls: NSObject {
    let provider: CXProvider
    let registry = PKPushRegistry(queue: .main)
    private let controller = CXCallController()
    private let media: any MediaPort
    private let longestRing: @Sendable () async -> Void

    private var core: (any CallCore)?
    private var tasks: [Task<Void, Never>] = []
    private var token: Token = .unknown
    private var entries: [Entry] = []
    /// Pushes that came before the core, in order.
    private var early: [(push: Data, callID: CallId)] = []
    /// What the agent or the system did before the core was there, of calls that are off the screen.
    private var leftEarly: [CallId: Leaving] = [:]
    private var waiting: [UUID: [CheckedContinuation<Void, any Error>]] = [:]
    private let changes = Fan<[ScreenCall]>()
    private let said = Fan<CallProblem>()

    private enum Token {
        case unknown, none
        case some(String)
    }
    private enum Leaving { case declined, givenUp, over }

    private struct Entry {
        var shown: ScreenCall
        var push: Data?
        var answering: CXAnswerCallAction?
        /// What the core said of the call while the answer was on its way.
        var silenced: Silence?
    }

    /// A push came and there is no core: open it now.
    public var wantsCore: @MainActor () -> Void = {}

    /// Listens from now on: to PushKit for calls, to CallKit for what the agent does.
    ///
    /// - Parameters:
    ///   - configuration: How CallKit shows the app's calls.
    ///   - media: The audio engine; ``SessionAudio`` is one that only prepares the session.
    public convenience init(_ configuration: CXProviderConfiguration, media: any MediaPort = SessionAudio()) {
        // As long as the core lets a ring last whose end nobody tells.
        self.init(configuration, media: media) { try? await Task.sleep(for: .seconds(90)) }
    }

    /// `longestRing` is for tests.
    init(_ configuration: CXProviderConfiguration, media: any MediaPort, longestRing: @escaping @Sendable () async -> Void) {
        provider = CXProvider(configuration: configuration)
        self.media = media
        self.longestRing = longestRing
        super.init()
        provider.setDelegate(self, queue: .main)
        registry.delegate = self
        registry.desiredPushTypes = [.voIP]
    }

    deinit {
        for task in tasks { task.cancel() }
    }

    // MARK: The core

    /// The core is open: what waited for it is judged now, before this returns. Another core takes the place of an earlier one.
    public func attach(_ core: any CallCore) {
        detach()
        self.core = core
        // Before the first decision, so that no stop is missed.
        let (stops, states) = (core.callsStops, core.callsStates)
        tasks = [
            Task { [weak self] in
                for await stop in stops { self?.stopped(stop) }
            },
            Task { [weak self] in
                for await _ in states { self?.compare() }
            },
        ]
        tellToken()
        let waiting = early
        early = []
        for (push, callID) in waiting { judge(push, callID) }
        leftEarly = [:]
    }

    /// The core is closed. PushKit and CallKit go on.
    public func detach() {
        for task in tasks { task.cancel() }
        tasks = []
        core = nil
    }

    private func judge(_ push: Data, _ callID: CallId) {
        let decision = try? core?.decide(push, mustReport: true)
        let rings = decision?.action == .reportIncomingCall
        switch leftEarly[callID] {
        case .declined where rings: tell { try await $0.decline(callID) }
        case .givenUp where rings, .over where rings: giveUp(push)
        case .declined, .givenUp, .over: break
        case nil:
            guard let at = index(of: callID) else { return }
            if rings {
                if case .ringing = entries[at].shown.phase { entries[at].shown.phase = .ringing(judged: true) }
                if let action = entries[at].answering { answer(callID, action) }
                changed()
            } else if decision?.silence != .duplicate {
                // It rang in doubt, and must be silent.
                let entry = entries.remove(at: at)
                screenEnds(entry.shown.uuid, decision?.silence == nil ? .failed : .answeredElsewhere)
                finish(entry, HookswitchError.forbidden(why: "This call does not ring on this phone any more."))
            }
        }
    }

    /// Asks the core, and lets nobody wait for it.
    private func tell(_ what: @escaping @Sendable (any CallCore) async throws -> Void) {
        guard let core else { return }
        // The core has done it on this phone at once, and tells the server when it can; what it throws changes nothing here.
        Task { try? await what(core) }
    }

    /// This phone does not ring for a call that the core let ring. The agent has not declined: other devices go on.
    private func giveUp(_ push: Data?) {
        guard let push, let end = PushInBrief.end(of: push) else { return }
        _ = try? core?.decide(end, mustReport: false)
    }

    private func tellToken() {
        switch token {
        case .unknown: break
        case .none: tell { try await $0.setPushToken(nil) }
        case .some(let token): tell { try await $0.setPushToken(token) }
        }
    }

    // MARK: Pushes

    private func pushed(_ payload: [AnyHashable: Any], mustReport: Bool, done: @escaping @Sendable () -> Void) {
        let push = PushInBrief(payload)
        guard let core else { return pushedEarly(push, mustReport, done) }
        guard let data = push.data, let decision = try? core.decide(data, mustReport: mustReport) else {
            // Whatever it was, the system wants to see a call.
            return mustReport ? reportThenEnd(.failed, done) : done()
        }
        switch decision.action {
        case .reportIncomingCall where index(of: decision.callID) == nil:
            report(decision.callID, decision.from, decision.fromName, judged: true, data, done)
        case .reportIncomingCall, .reportThenEnd, .addCall, .nothing:
            // It rings already, or must not: this push wants a report of its own.
            mustReport ? reportThenEnd(.answeredElsewhere, done) : done()
        }
    }

    private func pushedEarly(_ push: PushInBrief, _ mustReport: Bool, _ done: @escaping @Sendable () -> Void) {
        guard let callID = push.callID, let data = push.data else {
            return mustReport ? reportThenEnd(.failed, done) : done()
        }
        early.append((data, callID))
        let at = index(of: callID)
        switch push.kind {
        case .incoming where at == nil && leftEarly[callID] == nil:
            report(callID, push.from, push.fromName, judged: false, data, done)
        case .incoming:
            mustReport ? reportThenEnd(.answeredElsewhere, done) : done()
        case .stop(let reason):
            mustReport ? reportThenEnd(reason, done) : done()
            leftEarly[callID] = leftEarly[callID] ?? .over
            guard let at else { break }
            let entry = entries.remove(at: at)
            screenEnds(entry.shown.uuid, reason)
            finish(entry, HookswitchError.cancelled(why: "The call is over."))
        }
        wantsCore()
    }

    private func report(
        _ callID: CallId, _ from: String?, _ name: String?, judged: Bool, _ push: Data, _ done: @escaping @Sendable () -> Void
    ) {
        let uuid = UUID()
        let shown = ScreenCall(uuid: uuid, id: callID, from: from, fromName: name, phase: .ringing(judged: judged))
        entries.append(Entry(shown: shown, push: push))
        changed()
        provider.reportNewIncomingCall(with: uuid, update: CXCallUpdate(shown)) { [weak self] error in
            done()
            guard let error else { return }
            Task { @MainActor in self?.refused(uuid, error) }
        }
        guard !judged else { return }
        // Nobody else ends it, if the core does not open.
        Task { [weak self, longestRing] in
            await longestRing()
            self?.rangTooLong(uuid)
        }
    }

    /// A fresh UUID keeps a call that rings from being ended.
    private func reportThenEnd(_ reason: EndReason, _ done: @escaping @Sendable () -> Void) {
        let uuid = UUID()
        let nobody = ScreenCall(uuid: uuid, id: "", from: nil, fromName: nil, phase: .ringing(judged: false))
        provider.reportNewIncomingCall(with: uuid, update: CXCallUpdate(nobody)) { _ in done() }
        screenEnds(uuid, reason)
    }

    /// CallKit does not show the call: the core must not believe that the phone rings, or it silences the next customer.
    private func refused(_ uuid: UUID, _ error: any Error) {
        guard let at = index(of: uuid) else { return }
        let entry = entries.remove(at: at)
        if core == nil { leftEarly[entry.shown.id] = .givenUp }
        giveUp(entry.push)
        said.send(.notShown(entry.shown.id, why: "\(error)"))
        finish(entry, HookswitchError.forbidden(why: "The system did not show this call."))
    }

    private func rangTooLong(_ uuid: UUID) {
        guard core == nil, let at = index(of: uuid), entries[at].shown.phase != .inCall else { return }
        let entry = entries.remove(at: at)
        leftEarly[entry.shown.id] = .over
        screenEnds(uuid, .unanswered)
        finish(entry, HookswitchError.cancelled(why: "The call is over."))
    }

    // MARK: What the core says

    private func stopped(_ stop: StoppedCall) {
        guard let at = index(of: stop.callID) else { return }
        switch (stop.why, entries[at].shown.phase) {
        case (.answeredHere, .ringing):
            // The server says that it is ours, and CallKit rings: they must agree.
            request(CXAnswerCallAction(call: entries[at].shown.uuid))
        case (.answeredHere, _): break
        case (.silenced(let reason), .answering): entries[at].silenced = reason  // The answer's own end says more.
        case (.silenced(let reason), _): remove(at, EndReason(reason))
        case (.declinedHere, _): remove(at, .remoteEnded)
        }
    }

    /// A call that was answered here and that the core is not in any more is over.
    private func compare() {
        guard let now = core?.callsNow else { return }
        for entry in entries where entry.shown.phase == .inCall && now.inCall?.callID != entry.shown.id {
            if let at = index(of: entry.shown.uuid) { remove(at, .remoteEnded) }
        }
    }

    private func remove(_ at: Int, _ reason: EndReason) {
        let entry = entries.remove(at: at)
        screenEnds(entry.shown.uuid, reason)
        finish(entry, HookswitchError.cancelled(why: "The call is over."))
    }

    // MARK: What the app asks for

    /// The calls on the screen.
    public var calls: [ScreenCall] { entries.map(\.shown) }

    /// The calls on the screen now, and each change.
    public var states: AsyncStream<[ScreenCall]> { changes.stream(beginning: calls) }

    /// What the agent should be told, from now on.
    public var problems: AsyncStream<CallProblem> { said.stream() }

    /// Answers, through CallKit; returns when the server has said that the call is ours.
    ///
    /// - Throws: `HookswitchError`, as `Hookswitch.Calls.answer(_:)`.
    public func answer(_ callID: CallId) async throws {
        try await perform(callID) { CXAnswerCallAction(call: $0) }
    }

    /// Declines a call that rings, hangs up one that runs; through CallKit. This phone is silent when it returns.
    public func end(_ callID: CallId) async throws {
        try await perform(callID) { CXEndCallAction(call: $0) }
    }

    /// Lets the customer hear the agent, or not.
    public func setMuted(_ callID: CallId, _ muted: Bool) async throws {
        try await perform(callID) { CXSetMutedCallAction(call: $0, muted: muted) }
    }

    /// Puts a call on hold, or goes on with it.
    public func setOnHold(_ callID: CallId, _ onHold: Bool) async throws {
        try await perform(callID) { CXSetHeldCallAction(call: $0, onHold: onHold) }
    }

    /// Plays tones (DTMF) to the other side.
    public func play(_ callID: CallId, digits: String) async throws {
        try await perform(callID) { CXPlayDTMFCallAction(call: $0, digits: digits, type: .singleTone) }
    }

    private func perform(_ callID: CallId, _ action: (UUID) -> CXCallAction) async throws {
        guard let at = index(of: callID) else {
            throw HookswitchError.forbidden(why: "This call is not on this phone any more.")
        }
        let uuid = entries[at].shown.uuid
        let action = action(uuid)
        try await withCheckedThrowingContinuation { continuation in
            waiting[action.uuid, default: []].append(continuation)
            request(action)
        }
    }

    private func request(_ action: CXCallAction) {
        let (name, call) = (action.uuid, action.callUUID)
        controller.request(CXTransaction(action: action)) { [weak self] error in
            guard let error else { return }
            Task { @MainActor in self?.notRequested(name, call, error) }
        }
    }

    /// CallKit does not have the call: the app does not show it either.
    private func notRequested(_ action: UUID, _ call: UUID, _ error: any Error) {
        resume(action, HookswitchError.forbidden(why: "The system refused: \(error)"))
        guard (error as? CXErrorCodeRequestTransactionError)?.code == .unknownCallUUID, let at = index(of: call) else { return }
        let entry = entries.remove(at: at)
        leave(entry)
        finish(entry, HookswitchError.cancelled(why: "The call is over."))
    }

    // MARK: Small things

    private func index(of callID: CallId) -> Int? { entries.firstIndex { $0.shown.id == callID } }

    private func index(of uuid: UUID) -> Int? { entries.firstIndex { $0.shown.uuid == uuid } }

    private func changed() { changes.send(calls) }

    private func screenEnds(_ uuid: UUID, _ reason: EndReason) {
        provider.reportCall(with: uuid, endedAt: nil, reason: CXCallEndedReason(reason))
    }

    private func resume(_ action: UUID, _ error: (any Error)?) {
        for continuation in waiting.removeValue(forKey: action) ?? [] {
            if let error { continuation.resume(throwing: error) } else { continuation.resume() }
        }
    }

    /// An entry is off the screen: nobody waits for it any more.
    private func finish(_ entry: Entry, _ error: any Error) {
        if let action = entry.answering {
            action.fail()
            resume(action.uuid, error)
        }
        if entry.shown.phase == .inCall { media.stop() }
        changed()
    }

    /// The agent, or the system in the agent's place, leaves a call without declining it.
    private func leave(_ entry: Entry) {
        let callID = entry.shown.id
        switch entry.shown.phase {
        case .ringing:
            if core == nil { leftEarly[callID] = .givenUp }
            giveUp(entry.push)
        case .answering, .inCall:
            if core == nil { leftEarly[callID] = .givenUp }
            tell { try await $0.hangUp(callID) }
        }
    }

    private func answer(_ callID: CallId, _ action: CXAnswerCallAction) {
        guard let core else { return }
        Task { [weak self] in
            do {
                try await core.answer(callID)
                self?.answered(callID, action, nil)
            } catch {
                self?.answered(callID, action, error)
            }
        }
    }

    private func answered(_ callID: CallId, _ action: CXAnswerCallAction, _ error: (any Error)?) {
        guard let at = index(of: action.callUUID), entries[at].answering === action else {
            // Hung up, reset or out of time meanwhile: over is over, also when the core heard of that before it had begun to answer.
            if error == nil { tell { try await $0.hangUp(callID) } }
            return
        }
        guard let error else {
            entries[at].answering = nil
            entries[at].shown.phase = .inCall
            action.fulfill()
            resume(action.uuid, nil)
            changed()
            return compare()
        }
        let entry = entries.remove(at: at)
        screenEnds(action.callUUID, EndReason(answering: error, silence: entry.silenced))
        said.send(.notAnswered(entry.shown.id, why: (error as? HookswitchError)?.why ?? "\(error)"))
        finish(entry, error)
    }
}

extension PhoneCalls: @preconcurrency PKPushRegistryDelegate {
    public func pushRegistry(_ registry: PKPushRegistry, didUpdate credentials: PKPushCredentials, for type: PKPushType) {
        token = .some(credentials.token.map { String(format: "%02x", $0) }.joined())
        tellToken()
    }

    public func pushRegistry(_ registry: PKPushRegistry, didInvalidatePushTokenFor type: PKPushType) {
        token = .none
        tellToken()
    }

    // Before iOS 26.4 PushKit says nothing about it: every push must be reported.
    public func pushRegistry(
        _ registry: PKPushRegistry, didReceiveIncomingPushWith payload: PKPushPayload, for type: PKPushType,
        completion: @escaping @Sendable () -> Void
    ) {
        pushed(payload.dictionaryPayload, mustReport: true, done: completion)
    }

    #if compiler(>=6.3) || STAND_INS
    @available(iOS 26.4, *)
    public func pushRegistry(
        _ registry: PKPushRegistry, didReceiveIncomingVoIPPushWith payload: PKPushPayload, metadata: PKVoIPPushMetadata,
        withCompletionHandler completion: @escaping @Sendable () -> Void
    ) {
        pushed(payload.dictionaryPayload, mustReport: metadata.mustReport, done: completion)
    }
    #endif
}

extension PhoneCalls: @preconcurrency CXProviderDelegate {
    /// The system has dropped all calls and their actions: nobody stays in one.
    public func providerDidReset(_ provider: CXProvider) {
        let dropped = entries
        entries = []
        for entry in dropped {
            leave(entry)
            // The action is the system's no more.
            if let action = entry.answering { resume(action.uuid, HookswitchError.cancelled(why: "The system ended all calls.")) }
        }
        for action in Array(waiting.keys) { resume(action, HookswitchError.cancelled(why: "The system ended all calls.")) }
        media.stop()
        changed()
    }

    public func provider(_ provider: CXProvider, perform action: CXAnswerCallAction) {
        guard let at = index(of: action.callUUID), case .ringing(let judged) = entries[at].shown.phase else {
            resume(action.uuid, HookswitchError.forbidden(why: "This call does not ring on this phone any more."))
            return action.fail()
        }
        media.prepare()
        let callID = entries[at].shown.id
        if core?.callsNow.inCall?.callID == callID {
            entries[at].shown.phase = .inCall
            action.fulfill()
            resume(action.uuid, nil)
        } else {
            entries[at].shown.phase = .answering
            entries[at].answering = action
            if judged { answer(callID, action) } else { wantsCore() }
        }
        changed()
    }

    public func provider(_ provider: CXProvider, perform action: CXEndCallAction) {
        defer {
            action.fulfill()
            resume(action.uuid, nil)
        }
        guard let at = index(of: action.callUUID) else { return }
        let entry = entries.remove(at: at)
        let callID = entry.shown.id
        // The screen is right either way: this phone is silent at once, and the server hears of it when it can.
        switch entry.shown.phase {
        case .ringing: tell { try await $0.decline(callID) }
        case .answering, .inCall: tell { try await $0.hangUp(callID) }
        }
        if core == nil { leftEarly[callID] = .declined }
        finish(entry, HookswitchError.cancelled(why: "The call was ended."))
    }

    public func provider(_ provider: CXProvider, perform action: CXSetMutedCallAction) {
        onCall(action) { call in
            media.setMuted(action.isMuted)
            call.isMuted = action.isMuted
        }
    }

    public func provider(_ provider: CXProvider, perform action: CXSetHeldCallAction) {
        onCall(action) { call in
            media.setHeld(action.isOnHold)
            call.isOnHold = action.isOnHold
        }
    }

    public func provider(_ provider: CXProvider, perform action: CXPlayDTMFCallAction) {
        onCall(action) { _ in media.play(digits: action.digits) }
    }

    /// The system waits no longer: an answer that is still on its way must leave nobody in a call that nobody has.
    public func provider(_ provider: CXProvider, timedOutPerforming action: CXAction) {
        resume(action.uuid, HookswitchError.offline(why: "It took too long."))
        guard let action = action as? CXAnswerCallAction, let at = index(of: action.callUUID), entries[at].answering === action
        else { return }
        var entry = entries.remove(at: at)
        entry.answering = nil
        screenEnds(action.callUUID, .failed)
        leave(entry)
        said.send(.notAnswered(entry.shown.id, why: "The server did not answer in time."))
        finish(entry, HookswitchError.offline(why: "It took too long."))
    }

    public func provider(_ provider: CXProvider, didActivate audioSession: AVAudioSession) { media.start() }

    public func provider(_ provider: CXProvider, didDeactivate audioSession: AVAudioSession) { media.stop() }

    private func onCall(_ action: CXCallAction, _ change: (inout ScreenCall) -> Void) {
        guard let at = index(of: action.callUUID), entries[at].shown.phase == .inCall else {
            resume(action.uuid, HookswitchError.forbidden(why: "This phone is not in this call."))
            return action.fail()
        }
        change(&entries[at].shown)
        action.fulfill()
        resume(action.uuid, nil)
        changed()
    }
}

/// Prepares the audio session for a call, as CallKit wants it, and plays nothing.
@MainActor public final class SessionAudio: MediaPort {
    /// What the system's audio said last, if it refused.
    public private(set) var refused: (any Error)?

    /// `nonisolated`, so that it can be a default.
    public nonisolated init() {}

    /// Sets the category. Activating the session is the system's.
    public func prepare() {
        do {
            try AVAudioSession.sharedInstance().setCategory(.playAndRecord, mode: .voiceChat, options: [.allowBluetooth])
            refused = nil
        } catch {
            refused = error
        }
    }

    /// There is no engine.
    public func start() {}
    /// There is no engine.
    public func stop() {}
    /// There is no engine.
    public func setMuted(_ muted: Bool) {}
    /// There is no engine.
    public func setHeld(_ held: Bool) {}
    /// There is no engine.
    public func play(digits: String) {}
}

extension CXCallUpdate {
    convenience init(_ call: ScreenCall) {
        self.init()
        remoteHandle = call.from.map { CXHandle(type: .phoneNumber, value: $0) }
        localizedCallerName = call.fromName
        supportsHolding = true
        supportsDTMF = true
        supportsGrouping = false
        supportsUngrouping = false
        hasVideo = false
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

/// One value to many streams. On the main thread.
@MainActor final class Fan<Value: Sendable> {
    private var listeners: [UUID: AsyncStream<Value>.Continuation] = [:]

    func stream(beginning first: Value? = nil) -> AsyncStream<Value> {
        let (stream, continuation) = AsyncStream.makeStream(of: Value.self)
        if let first { continuation.yield(first) }
        let name = UUID()
        listeners[name] = continuation
        continuation.onTermination = { [weak self] _ in
            Task { @MainActor in self?.listeners[name] = nil }
        }
        return stream
    }

    func send(_ value: Value) {
        for listener in listeners.values { listener.yield(value) }
    }
}
#endif
