import CallKit
import Foundation
import Hookswitch
import PushKit
import Testing

@testable import HookswitchApple

/// The real core, the real backend, and a CallKit that is strict.
@MainActor @Suite("The phone as the agent sees it", .serialized) struct PhoneCallsTests {
    @Test func aCallThatIsAnsweredInTheAppIsAnsweredInCallKit() async throws {
        let phone = try await SignedInPhone()
        let (call, callID) = try await phone.ring()
        try await phone.app.answer(callID)
        try await until { phone.provider.calls[call] == .connected }
        #expect(phone.provider.audioIsActive)
        try await phone.app.end(callID)
        try await until { phone.provider.calls[call] == .ended(nil) && phone.hookswitch.calls.state.inCall == nil }
        #expect(phone.broken.isEmpty)
    }

    @Test func aCallThatIsDeclinedInTheAppLeavesCallKit() async throws {
        let phone = try await SignedInPhone()
        let (call, callID) = try await phone.ring()
        try await phone.app.end(callID)
        #expect(phone.provider.calls[call] == .ended(nil))
        try await until { phone.hookswitch.calls.state.ringing.isEmpty }
        #expect(phone.broken.isEmpty)
    }

    @Test func aResetLeavesNobodyInACall() async throws {
        let phone = try await SignedInPhone()
        let (call, callID) = try await phone.ring()
        phone.provider.perform(CXAnswerCallAction(call: call))
        try await until { phone.hookswitch.calls.state.inCall?.callID == callID }
        phone.provider.reset()
        try await until { phone.hookswitch.calls.state.inCall == nil }
        #expect(phone.broken.isEmpty)
    }

    @Test func muteHoldAndTonesArePerformed() async throws {
        let phone = try await SignedInPhone()
        let (call, _) = try await phone.ring()
        phone.provider.perform(CXAnswerCallAction(call: call))
        try await until { phone.provider.calls[call] == .connected }
        phone.provider.perform(CXSetMutedCallAction(call: call, muted: true))
        phone.provider.perform(CXSetHeldCallAction(call: call, onHold: true))
        phone.provider.perform(CXPlayDTMFCallAction(call: call, digits: "1", type: .singleTone))
        #expect(phone.app.media.told == ["prepare", "start", "muted true", "held true", "play 1"])
        #expect(phone.app.calls.calls.first.map { $0.isMuted && $0.isOnHold } == true)
        #expect(phone.broken.isEmpty)
    }

    @Test func anAnswerThatTookTooLongLeavesNobodyInACall() async throws {
        let phone = try await SignedInPhone()
        let (call, callID) = try await phone.ring()
        phone.provider.timeOut(phone.provider.perform(CXAnswerCallAction(call: call)))
        try await until("it is over here") { phone.hookswitch.calls.state == CallsState(ringing: [], inCall: nil) }
        // The next customer is heard.
        try await phone.hookswitch.presence.setAvailability(.available)
        try await until { phone.hookswitch.presence.state?.effective == .available }
        phone.registry.deliver(try await phone.customerCalls())
        #expect(phone.provider.live.count == 1)
        #expect(callID != "" && phone.broken.isEmpty)
    }

    @Test func aStopRightAfterTheStartIsNotLost() async throws {
        let phone = try await SignedInPhone()
        let push = try await phone.customerCalls()
        let app = App(phone.hookswitch)
        app.registry.deliver(push)
        app.registry.deliver(push.with("kind", "ended"))
        // The core has said it before anything else on the main thread may run.
        while !phone.hookswitch.calls.state.ringing.isEmpty {}
        try await until { app.provider.live.isEmpty }
        #expect(app.provider.broken.isEmpty)
    }

    @Test func anAnswerWithoutAConnectionIsToldAsAFailure() async throws {
        let phone = try await SignedInPhone()
        // The server is told until the call's end, which is near by the push; if the stream was quicker than the stop, the server has said
        // a later one, and that holds.
        let end = Int64((Date().timeIntervalSince1970 + 3) * 1_000)
        phone.registry.deliver(try await phone.customerCalls().with("expires_at", end))
        let call = try #require(phone.provider.live.last)
        phone.backend.stop()
        phone.provider.perform(CXAnswerCallAction(call: call))
        try await until(within: .seconds(60)) { phone.provider.live.isEmpty }
        #expect(phone.provider.calls[call] == .ended(.failed))
        #expect(phone.broken.isEmpty)
    }

    @Test func aCallThatCallKitRefusesSilencesNobodyElse() async throws {
        let phone = try await SignedInPhone()
        let push = try await phone.customerCalls()
        phone.provider.refuses = .filteredByDoNotDisturb
        phone.registry.deliver(push)
        phone.provider.refuses = nil
        try await until("the core does not believe that it rings") { phone.hookswitch.calls.state.ringing.isEmpty }
        phone.registry.deliver(push.with("call_id", "the next customer"))
        #expect(phone.provider.live.count == 1)
        #expect(phone.broken.isEmpty)
    }

    @Test func aPushThatNeedNotBeReportedIsNotWhenItMustBeSilent() async throws {
        let phone = try await SignedInPhone()
        try await phone.hookswitch.presence.setForwarding(to: "+33612345678")
        let push = try await phone.customerCalls(asOldServer: true)
        let before = CXProvider.reports
        phone.registry.deliver(push, mustReport: false, on: .since26_4)
        #expect(CXProvider.reports == before)
        phone.registry.deliver(push, mustReport: true, on: .since26_4)
        #expect(CXProvider.reports == before + 1)
        #expect(phone.provider.live.isEmpty)
        #expect(phone.broken.isEmpty)
        try await until { phone.registry.unfinished == 0 }
    }

    /// Everything before the core is there, from the payload alone.
    @Test func aPushBeforeTheCoreRingsAtOnceAndIsAnsweredWhenTheCoreIsThere() async throws {
        let phone = try await SignedInPhone()
        let push = try await phone.customerCalls()
        let app = App(nil)
        app.registry.deliver(push)
        let call = try #require(app.provider.live.first)
        #expect(app.calls.calls.first?.phase == .ringing(judged: false))
        app.provider.perform(CXAnswerCallAction(call: call))
        #expect(app.provider.calls[call] == .ringing)
        app.calls.attach(phone.hookswitch)
        try await until { app.provider.calls[call] == .connected }
        #expect(phone.hookswitch.calls.state.inCall != nil)
        #expect(app.provider.broken.isEmpty && app.registry.violations.isEmpty)
    }

    @Test func aPushBeforeTheCoreThatMustBeSilentEndsAsAnsweredElsewhereWhenTheCoreIsThere() async throws {
        let phone = try await SignedInPhone()
        try await phone.hookswitch.presence.setForwarding(to: "+33612345678")
        let push = try await phone.customerCalls(asOldServer: true)
        let app = App(nil)
        app.registry.deliver(push)
        let call = try #require(app.provider.live.first)
        app.calls.attach(phone.hookswitch)
        #expect(app.provider.calls[call] == .ended(.answeredElsewhere))
        #expect(app.calls.calls.isEmpty)
        #expect(app.provider.broken.isEmpty && app.registry.violations.isEmpty)
    }

    @Test func aCallThatIsDeclinedBeforeTheCoreIsDeclinedWhenTheCoreIsThere() async throws {
        let phone = try await SignedInPhone()
        let app = App(nil)
        let push = try await phone.customerCalls()
        app.registry.deliver(push)
        app.provider.perform(CXEndCallAction(call: try #require(app.provider.live.first)))
        app.calls.attach(phone.hookswitch)
        try await until("the server knows") {
            phone.hookswitch.calls.state.ringing.isEmpty && phone.hookswitch.presence.state?.effective == .available
        }
        let log = try phone.hookswitch.ring.log()
        #expect(log.contains { "\($0)".contains("declinedHere") })
        #expect(app.provider.broken.isEmpty)
    }

    @Test func aCallEndsBeforeTheCoreIsThere() async throws {
        let phone = try await SignedInPhone()
        let push = try await phone.customerCalls()
        let app = App(nil)
        app.registry.deliver(push)
        let call = try #require(app.provider.live.first)
        app.registry.deliver(push.with("kind", "answered_elsewhere"))
        #expect(app.provider.calls[call] == .ended(.answeredElsewhere))
        app.registry.deliver(push)
        #expect(app.provider.live.isEmpty)
        app.calls.attach(phone.hookswitch)
        #expect(phone.hookswitch.calls.state.ringing.isEmpty)
        #expect(app.provider.broken.isEmpty && app.registry.violations.isEmpty)
    }

    @Test func aCoreThatNeverOpensLetsNothingRingForEver() async throws {
        let (ring, ends) = AsyncStream.makeStream(of: Void.self)
        let calls = PhoneCalls(CXProviderConfiguration(), media: Media()) { for await _ in ring {} }
        calls.registry.deliver(["kind": "incoming", "call_id": "a"])
        let call = try #require(calls.provider.live.first)
        ends.finish()
        try await until { calls.provider.calls[call] == .ended(.unanswered) }
        #expect(calls.provider.broken.isEmpty)
    }

    @Test func whatCannotBeReadIsReportedAllTheSame() async throws {
        let phone = try await SignedInPhone()
        for app in [App(nil), phone.app] {
            app.registry.deliver([:])
            app.registry.deliver(["no JSON": Date()])
            app.registry.deliver(["kind": "incoming"])
            #expect(app.provider.order.count == 3 && app.provider.live.isEmpty)
            #expect(app.provider.broken.isEmpty && app.registry.violations.isEmpty)
            try await until { app.registry.unfinished == 0 }
        }
    }

    @Test func forwardingThatIsTurnedOnStopsTheRinging() async throws {
        let phone = try await SignedInPhone()
        let (call, _) = try await phone.ring()
        try await phone.hookswitch.presence.setForwarding(to: "+33612345678")
        try await until { phone.provider.calls[call] == .ended(.remoteEnded) }
        #expect(phone.broken.isEmpty)
    }

    @Test func aSecondPushOfACallDoesNotEndTheFirst() async throws {
        let phone = try await SignedInPhone()
        let push = try await phone.customerCalls()
        phone.registry.deliver(push)
        phone.registry.deliver(push)
        #expect(phone.provider.order.count == 2 && phone.provider.live == [phone.provider.order[0]])
        #expect(phone.broken.isEmpty)
    }

    @Test func theCustomerHangsUp() async throws {
        let phone = try await SignedInPhone()
        let (call, callID) = try await phone.ring()
        try await phone.app.answer(callID)
        // Past the facade, as another device or the server would.
        try await phone.hookswitch.calls.hangUp(callID)
        try await until { phone.provider.calls[call] == .ended(.remoteEnded) }
        #expect(phone.app.media.told.last == "stop" && !phone.provider.audioIsActive)
        #expect(phone.broken.isEmpty)
    }

    @Test func aSignOutStopsTheRinging() async throws {
        let phone = try await SignedInPhone()
        let (call, _) = try await phone.ring()
        try await phone.hookswitch.session.signOut()
        try await until { phone.provider.live.isEmpty }
        #expect(phone.provider.calls[call] == .ended(.remoteEnded))
        let again = App(nil)
        again.registry.deliver(["kind": "incoming", "call_id": "b"])
        #expect(phone.broken.isEmpty)
    }
}
