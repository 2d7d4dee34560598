import CallKit
import Foundation
import Hookswitch
import PushKit
import Testing

@testable import HookswitchApple

/// A small core with the ring rule's shape: one call at a time, silent while calls are forwarded. Answers succeed when a test says so.
@MainActor final class SmallCore: CallCore {
    private let lock = NSLock()
    private nonisolated(unsafe) var ringing: Set<String> = []
    private nonisolated(unsafe) var inCall: String?
    private nonisolated(unsafe) var over: Set<String> = []
    private nonisolated(unsafe) var answers: [(String, CheckedContinuation<Void, any Error>)] = []
    nonisolated(unsafe) var forwarding = false
    nonisolated(unsafe) var tokens: [String?] = []
    private nonisolated(unsafe) var stops: [AsyncStream<StoppedCall>.Continuation] = []
    private nonisolated(unsafe) var states: [AsyncStream<CallsState>.Continuation] = []

    nonisolated init() {}

    nonisolated func decide(_ payload: Data, mustReport: Bool) throws -> RingDecision {
        guard let push = try JSONSerialization.jsonObject(with: payload) as? [String: Any], let id = push["call_id"] as? String
        else { throw HookswitchError.internal(why: "no push") }
        if push["kind"] as? String == "ended" {
            end(id, .silenced(reason: .callEnded))
            return decision(id, .callEnded, mustReport)
        }
        return lock.withLock {
            let silence: Silence? =
                if forwarding { .forwardingActive } else if ringing.contains(id) || inCall == id {
                    .duplicate
                } else if over.contains(id) { .callEnded } else if !ringing.isEmpty || inCall != nil { .inAnotherCall } else { nil }
            if silence == nil { ringing.insert(id) }
            return decision(id, silence, mustReport)
        }
    }

    private nonisolated func decision(_ id: String, _ silence: Silence?, _ mustReport: Bool) -> RingDecision {
        RingDecision(
            callID: id, action: silence == nil ? .reportIncomingCall : mustReport ? .reportThenEnd : .nothing, silence: silence,
            from: nil, fromName: nil, expiresAt: .distantFuture, at: .distantPast, explanation: "")
    }

    /// A call is over here.
    nonisolated func end(_ id: String, _ why: StopReason) {
        lock.withLock {
            over.insert(id)
            if inCall == id { inCall = nil }
            let rang = ringing.remove(id) != nil
            if rang { for stop in stops { stop.yield(StoppedCall(callID: id, why: why)) } }
        }
        tellState()
    }

    nonisolated func answer(_ callID: CallId) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let rings = lock.withLock { () -> Bool in
                guard ringing.contains(callID) else { return false }
                answers.append((callID, continuation))
                return true
            }
            if !rings { continuation.resume(throwing: HookswitchError.forbidden(why: "it does not ring")) }
        }
    }

    /// The server says something to all who have answered.
    nonisolated func serverSays(_ error: HookswitchError?) {
        let (all, mine) = lock.withLock { () -> ([(String, CheckedContinuation<Void, any Error>)], [Bool]) in
            defer { answers = [] }
            return (
                answers,
                answers.map { (id, _) in
                    guard error == nil, ringing.contains(id) else { return false }
                    ringing.remove(id)
                    inCall = id
                    return true
                }
            )
        }
        for ((id, continuation), mine) in zip(all, mine) {
            if mine {
                continuation.resume()
            } else {
                end(id, .silenced(reason: .callEnded))
                continuation.resume(throwing: error ?? HookswitchError.cancelled(why: "over"))
            }
        }
        tellState()
    }

    nonisolated func decline(_ callID: CallId) async throws { end(callID, .declinedHere) }
    nonisolated func hangUp(_ callID: CallId) async throws { end(callID, .silenced(reason: .callEnded)) }
    nonisolated func setPushToken(_ token: String?) async throws { lock.withLock { tokens.append(token) } }

    nonisolated var busy: Set<String> { lock.withLock { ringing.union(inCall.map { [$0] } ?? []) } }

    nonisolated var callsNow: CallsState {
        let call = { (id: String) in
            PhoneCall(callID: id, from: nil, fromName: nil, since: .distantPast, expiresAt: nil, connecting: false)
        }
        return lock.withLock { CallsState(ringing: ringing.map(call), inCall: inCall.map(call)) }
    }

    nonisolated var callsStates: AsyncStream<CallsState> {
        let (stream, continuation) = AsyncStream.makeStream(of: CallsState.self)
        lock.withLock { states.append(continuation) }
        return stream
    }

    nonisolated var callsStops: AsyncStream<StoppedCall> {
        let (stream, continuation) = AsyncStream.makeStream(of: StoppedCall.self)
        lock.withLock { stops.append(continuation) }
        return stream
    }

    private nonisolated func tellState() {
        let now = callsNow
        for state in lock.withLock({ states }) { state.yield(now) }
    }
}

/// A small seeded generator (Steele, Lea and Flood, 2014), so that a failure can be had again.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@MainActor @Suite("Whatever happens, in any order", .serialized) struct WalkTests {
    /// Apple's rules hold all the way, and at the end the phone and the core agree on every call.
    @Test(arguments: 0..<300) func thePhoneAndTheCoreAgree(seed: Int) async throws {
        var random = SplitMix(state: UInt64(seed))
        let core = SmallCore()
        let app = App(nil)
        let attachesAt = Int.random(in: 0..<15, using: &random)
        var answers: [CXAnswerCallAction] = []
        for step in 0..<60 {
            if step == attachesAt { app.calls.attach(core) }
            let id = "call \(Int.random(in: 0...step / 6 + 1, using: &random))"
            let live = app.provider.live.randomElement(using: &random)
            switch Int.random(in: 0..<16, using: &random) {
            case 0, 1, 2, 3:
                app.registry.deliver(["kind": "incoming", "call_id": id], on: .allCases.randomElement(using: &random)!)
            case 4: app.registry.deliver(["kind": "ended", "call_id": id])
            case 5: app.registry.deliver(["kind": "incoming", "call_id": id], mustReport: false, on: .since26_4)
            case 6, 7:
                if let live, app.provider.calls[live] == .ringing, !answers.contains(where: { $0.callUUID == live }) {
                    answers.append(app.provider.perform(CXAnswerCallAction(call: live)))
                }
            case 8: if let live { app.provider.perform(CXEndCallAction(call: live)) }
            case 9: if let live { app.provider.perform(CXSetMutedCallAction(call: live, muted: true)) }
            case 10:
                core.serverSays([nil, nil, .offline(why: "no network"), .forbidden(why: "taken")].randomElement(using: &random)!)
            case 11: if let busy = core.busy.randomElement(using: &random) { core.end(busy, .silenced(reason: .answeredElsewhere)) }
            case 12: core.forwarding.toggle()
            case 13: if let late = answers.last { app.provider.timeOut(late) }
            case 14: if Int.random(in: 0..<4, using: &random) == 0 { app.provider.reset() }
            default: app.provider.refuses = Bool.random(using: &random) ? .filteredByDoNotDisturb : nil
            }
            for _ in 0..<Int.random(in: 0..<6, using: &random) { await Task.yield() }
        }
        core.serverSays(nil)
        try await until("both agree") {
            core.serverSays(nil)
            return Set(app.calls.calls.map(\.id)) == core.busy && app.provider.live.count == app.calls.calls.count
                && app.registry.unfinished == 0 && app.provider.actions.allSatisfy { $0.isComplete }
        }
        #expect(core.busy.count <= 1, "seed \(seed)")
        #expect(app.provider.broken == [] && app.registry.violations == [], "seed \(seed)")
        #expect(Set(app.provider.live) == Set(app.calls.calls.map(\.uuid)), "seed \(seed)")
    }

    @Test func aTokenThatCameBeforeTheCoreReachesIt() async throws {
        let (core, app) = (SmallCore(), App(nil))
        app.registry.delegate?.pushRegistry(app.registry, didUpdate: PKPushCredentials(token: Data([0x0A, 0xFF])), for: .voIP)
        app.calls.attach(core)
        try await until { core.tokens == ["0aff"] }
        app.registry.delegate?.pushRegistry(app.registry, didInvalidatePushTokenFor: .voIP)
        try await until { core.tokens == ["0aff", nil] }
    }

    @Test func aCoreThatCannotBeOpenedIsTriedAgainAndPushesGoOn() async throws {
        let (core, app) = (SmallCore(), App(nil))
        let tries = Tries()
        let opener = CoreOpener(
            open: {
                guard await tries.next() > 1 else { throw HookswitchError.storage(why: "The disk is full.") }
                return core
            },
            opened: { app.calls.attach($0) },
            // Nothing but a push makes it try again.
            pause: { _ in while !Task.isCancelled { await Task.yield() } })
        app.calls.wantsCore = { opener.openNow() }
        opener.start()
        try await until { if case .failed("The disk is full.", _) = opener.state { true } else { false } }
        #expect(app.calls.calls.isEmpty)
        app.registry.deliver(["kind": "incoming", "call_id": "a"])
        #expect(app.provider.live.count == 1)
        try await until { if case .open = opener.state { true } else { false } }
        #expect(core.busy == ["a"] && app.calls.calls.first?.phase == .ringing(judged: true))
        #expect(app.provider.broken.isEmpty && app.registry.violations.isEmpty)
    }
}

private actor Tries {
    private var count = 0
    func next() -> Int {
        count += 1
        return count
    }
}
