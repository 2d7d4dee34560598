import Foundation
import Hookswitch
import Testing

@testable import HookswitchApple

/// Writes down what it is told.
private final class FakeScreen: CallScreen {
    enum Line: Hashable {
        case report(UUID, from: String?)
        case end(UUID, EndReason)
    }

    var lines: [Line] = []
    var refuses: (any Error)?

    func report(_ call: UUID, from: String?, name: String?, shown: @escaping @Sendable ((any Error)?) -> Void) {
        lines.append(.report(call, from: from))
        shown(refuses)
    }

    func end(_ call: UUID, because reason: EndReason) { lines.append(.end(call, reason)) }

    var reports: [UUID] { lines.compactMap { if case .report(let call, _) = $0 { call } else { nil } } }
    var ends: [UUID] { lines.compactMap { if case .end(let call, _) = $0 { call } else { nil } } }
}

/// Decides what it is told; the payload's "call_id" is the call.
private final class FakeCore: CallCore, @unchecked Sendable {
    struct Unreadable: Error {}
    var action: CallAction? = .reportIncomingCall

    func decide(_ payload: Data, mustReport: Bool) throws -> RingDecision {
        guard let action, let push = try JSONSerialization.jsonObject(with: payload) as? [String: Any],
            let callID = push["call_id"] as? String
        else { throw Unreadable() }
        return RingDecision(
            callID: callID, action: action, silence: action == .reportIncomingCall ? nil : .forwardingActive,
            from: "+14155550134", fromName: nil, expiresAt: .distantFuture, at: .distantPast, explanation: "")
    }
}

private final class Count: @unchecked Sendable {
    var done = 0
}

@Suite("Carrying out decisions") struct IncomingCallsTests {
    private let core = FakeCore()
    private let screen = FakeScreen()
    private let count = Count()
    private let calls: IncomingCalls

    init() { calls = IncomingCalls(core: core, screen: screen) }

    private func push(_ callID: String = "a", mustReport: Bool = true) {
        calls.pushed(["call_id": callID], mustReport: mustReport) { [count] in count.done += 1 }
    }

    @Test func aCallRingsUnderAnAddressOfItsOwn() throws {
        push()
        let call = try #require(screen.reports.first)
        #expect(screen.lines == [.report(call, from: "+14155550134")])
        #expect(calls.callID(of: call) == "a")
        #expect(count.done == 1)
    }

    /// Whatever comes, in any order: one report and one completion a push, and nothing that was not reported is ended.
    @Test(arguments: 0..<200) func everyPushThatMustBeReportedIsReportedOnce(seed: Int) {
        var random = SplitMix(state: UInt64(seed))
        for round in 1...40 {
            core.action = [.reportIncomingCall, .reportThenEnd, .nothing, nil].randomElement(using: &random)!
            // The core says `nothing` only where nothing must be reported.
            if core.action == .nothing { core.action = .reportThenEnd }
            push(["a", "b", "c"].randomElement(using: &random)!)
            #expect(screen.reports.count == round, "seed \(seed)")
            #expect(count.done == round, "seed \(seed)")
            if Bool.random(using: &random) {
                calls.stopped(StoppedCall(callID: "a", why: .silenced(reason: Silence.allCases.randomElement(using: &random)!)))
            }
        }
        #expect(Set(screen.reports).count == screen.reports.count, "a UUID was used twice: seed \(seed)")
        #expect(Set(screen.ends).count == screen.ends.count, "a call was ended twice: seed \(seed)")
        #expect(Set(screen.ends).isSubset(of: screen.reports), "seed \(seed)")
    }

    @Test func aSilentCallIsReportedAndEndedAtOnce() throws {
        core.action = .reportThenEnd
        push()
        let call = try #require(screen.reports.first)
        #expect(screen.lines == [.report(call, from: nil), .end(call, .answeredElsewhere)])
        #expect(calls.callID(of: call) == nil)
    }

    @Test func aPushThatCannotBeReadIsReportedAllTheSame() throws {
        core.action = nil
        push()
        let call = try #require(screen.reports.first)
        #expect(screen.lines == [.report(call, from: nil), .end(call, .failed)])
        calls.pushed(["no JSON": Date()], mustReport: true) { [count] in count.done += 1 }
        #expect(screen.reports.count == 2)
        #expect(count.done == 2)
    }

    @Test func whatNeedNotBeReportedIsNotShown() {
        core.action = .nothing
        push(mustReport: false)
        core.action = nil
        push(mustReport: false)
        #expect(screen.lines.isEmpty)
        #expect(count.done == 2)
    }

    @Test func aSilentPushDoesNotEndACallThatRings() throws {
        push("a")
        core.action = .reportThenEnd
        push("a")
        let ringing = try #require(screen.reports.first)
        #expect(!screen.ends.contains(ringing))
    }

    @Test func aCallThatIsOnTheScreenIsNotShownAgain() throws {
        push()
        push()
        let (first, second) = (try #require(screen.reports.first), try #require(screen.reports.last))
        #expect(screen.lines.dropFirst() == [.report(second, from: nil), .end(second, .answeredElsewhere)])
        #expect(calls.callID(of: first) == "a")
        push(mustReport: false)
        #expect(screen.reports.count == 2)
        #expect(count.done == 3)
    }

    @Test func aPlatformThatRefusesStillEndsThePush() {
        screen.refuses = FakeCore.Unreadable()
        push()
        #expect(count.done == 1)
    }

    @Test(arguments: [
        (StopReason.silenced(reason: .answeredElsewhere), EndReason.answeredElsewhere),
        (.silenced(reason: .expired), .unanswered),
        (.silenced(reason: .callEnded), .remoteEnded),
        (.silenced(reason: .forwardingActive), .remoteEnded),
    ])
    func aCallThatStopsLeavesTheScreenAndSaysWhy(why: StopReason, reason: EndReason) throws {
        push()
        let call = try #require(screen.reports.first)
        calls.stopped(StoppedCall(callID: "a", why: why))
        calls.stopped(StoppedCall(callID: "a", why: why))
        #expect(screen.lines.dropFirst() == [.end(call, reason)])
    }

    @Test func anAnsweredCallStaysUntilItIsOver() throws {
        push()
        let call = try #require(screen.reports.first)
        calls.stopped(StoppedCall(callID: "a", why: .answeredHere))
        #expect(screen.ends.isEmpty)
        calls.ended("a")
        #expect(screen.ends == [call])
    }

    @Test func aCallThatTheScreenEndedIsForgotten() throws {
        push()
        calls.left(try #require(screen.reports.first))
        calls.stopped(StoppedCall(callID: "a", why: .silenced(reason: .callEnded)))
        #expect(screen.ends.isEmpty)
    }
}

/// A small seeded generator (Steele, Lea and Flood, 2014), so that a failure can be had again.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
