import Foundation
import HookswitchTesting
import Testing

@testable import Hookswitch

/// The name of a failure, for comparison: what it says is the core's business.
private func kind(_ error: any Error) -> String {
    switch error as? HookswitchError {
    case .reauthenticate: "reauthenticate"
    case .offline: "offline"
    case .forbidden: "forbidden"
    case .storage: "storage"
    case .cancelled: "cancelled"
    case .internal: "internal"
    case nil: "\(error)"
    }
}

private func failure(_ work: () async throws -> Void) async -> String {
    do {
        try await work()
        return "none"
    } catch {
        return kind(error)
    }
}

@Suite("Failures are those that Rust means") struct FailureTests {
    private let folder = Folder()

    @Test func anUnusableConfigurationIsInternal() async {
        #expect(await failure { _ = try await connect(folder, server: "http://calls.example") } == "internal")
    }

    @Test func aFolderThatIsNoneIsStorage() async {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("hookswitch-file-\(UUID())")
        _ = FileManager.default.createFile(atPath: file.path, contents: Data())
        defer { try? FileManager.default.removeItem(at: file) }
        var configuration = configuration(folder)
        configuration.folder = file
        #expect(await failure { _ = try await Hookswitch.connect(configuration, keys: FileKeys(in: folder.url)) } == "storage")
    }

    @Test func aTokenForNobodyAsksForASignIn() async throws {
        let hookswitch = try await connect(folder)
        #expect(await failure { _ = try await hookswitch.session.accessToken() } == "reauthenticate")
    }

    @Test func anIssuerThatIsNotThereIsOffline() async throws {
        let hookswitch = try await connect(folder)
        hookswitch.foreground()
        let redirect = "dev.hookswitch.agent:/callback"
        #expect(await failure { _ = try await hookswitch.session.beginLogin(redirectURI: redirect) } == "offline")
    }

    @Test func aRedirectThatNobodyAskedForIsForbidden() async throws {
        let hookswitch = try await connect(folder)
        #expect(
            await failure { try await hookswitch.session.finishLogin(redirect: "dev.hookswitch.agent:/callback?code=c&state=s") }
                == "forbidden")
    }

    @Test func aClosedCoreCancels() async throws {
        let hookswitch = try await connect(folder)
        hookswitch.close()
        #expect(await failure { _ = try await hookswitch.session.accessToken() } == "cancelled")
    }

    @Test func aPushThatIsNoneIsInternal() async throws {
        let hookswitch = try await connect(folder)
        for payload in ["", "{}", "[]", "{\"kind\": \"dance\"}", "\u{0}"] {
            #expect(await failure { _ = try hookswitch.ring.decide(Data(payload.utf8), mustReport: true) } == "internal")
        }
        // Not even text.
        #expect(await failure { _ = try hookswitch.ring.decide(Data([0xFF, 0xFE]), mustReport: true) } == "internal")
    }

    @Test func whyIsASentence() async throws {
        let hookswitch = try await connect(folder)
        do {
            _ = try await hookswitch.session.accessToken()
            Issue.record("nobody is signed in, and there is a token")
        } catch let error as HookswitchError {
            #expect(error.why.hasSuffix("."))
            #expect(error.localizedDescription == error.why)
        }
    }
}

@Suite("Keys") struct KeyTests {
    private final class Moody: KeyProvider, @unchecked Sendable {
        struct Surprise: Error {}
        private let lock = NSLock()
        private var mood: (any Error)?
        private let real: FileKeys

        init(_ folder: Folder) { real = FileKeys(in: folder.url) }

        func be(_ mood: (any Error)?) { lock.withLock { self.mood = mood } }

        func wrap(_ key: Data) throws -> Data {
            if let mood = lock.withLock({ mood }) { throw mood }
            return try real.wrap(key)
        }

        func unwrap(_ wrapped: Data) throws -> Data {
            if let mood = lock.withLock({ mood }) { throw mood }
            return try real.unwrap(wrapped)
        }
    }

    @Test(arguments: [KeyError.unavailable, KeyError.failed(why: "a test"), Moody.Surprise()] as [any Error])
    func aKeyThatMayComeBackLocksAndLosesNothing(error: any Error) async throws {
        let folder = Folder()
        let keys = Moody(folder)
        do {
            let first = try await Hookswitch.connect(configuration(folder), keys: keys)
            #expect(first.session.state == .signedOut(why: .never, message: nil))
            await first.saved()
            first.close()
        }
        keys.be(error)
        let hookswitch = try await Hookswitch.connect(configuration(folder), keys: keys)
        #expect(hookswitch.session.state == .locked)
        keys.be(nil)
        hookswitch.unlocked()
        let after = await hookswitch.session.states.first { $0 != .locked && $0 != .loading }
        #expect(after == .signedOut(why: .never, message: nil))
    }

    @Test func aKeyThatIsGoneIsTold() async throws {
        let folder = Folder()
        let keys = Moody(folder)
        let first = try await Hookswitch.connect(configuration(folder), keys: keys)
        await first.saved()
        first.close()
        keys.be(KeyError.invalidated)
        let hookswitch = try await Hookswitch.connect(configuration(folder), keys: keys)
        guard case .signedOut(why: .keyLost, message: .some) = hookswitch.session.state else {
            Issue.record("\(hookswitch.session.state)")
            return
        }
    }
}

@Suite("A core that is closed") struct CloseTests {
    @Test func closingTwiceDoesNoHarmAndEndsStreams() async throws {
        let hookswitch = try await connect(Folder())
        let states = hookswitch.session.states
        let reader = Task { await states.reduce(into: 0) { count, _ in count += 1 } }
        hookswitch.close()
        hookswitch.close()
        #expect(await reader.value <= 2)
        #expect(await hookswitch.states.first { _ in false } == nil)
    }

    @Test func whatIsAskedAfterwardsDoesNotCrash() async throws {
        let hookswitch = try await connect(Folder())
        hookswitch.close()
        hookswitch.foreground()
        hookswitch.network(up: false)
        await hookswitch.saved()
        _ = hookswitch.state
        #expect(await failure { _ = try hookswitch.ring.log() } == "cancelled")
        #expect(await failure { _ = try hookswitch.transcript() } == "cancelled")
        try? await hookswitch.setPushToken("token")
    }

    /// The promise that an app can open and close the core as often as it likes.
    @Test func tenThousandTimesOpenAndClosedLeavesNothing() async throws {
        let cycles = ProcessInfo.processInfo.environment["HOOKSWITCH_CYCLES"].flatMap { Int($0) } ?? 10_000
        let folder = Folder()
        func cycle(_ count: Int) async throws {
            for number in 0..<count {
                let hookswitch = try await connect(folder)
                let listener = hookswitch.session.states
                if number % 2 == 0 { hookswitch.close() }
                withExtendedLifetime(listener) {}
            }
        }
        // The first ones fill caches.
        try await cycle(cycles / 10)
        let (memory, files) = (Usage.resident, Usage.openFiles)
        try await cycle(cycles - cycles / 10)
        // A core that was just closed may still be on its way out.
        let clock = ContinuousClock()
        let patience = clock.now + .seconds(10)
        while !Usage.threads.isEmpty, clock.now < patience { await Task.yield() }
        #expect(Usage.threads == [])
        #expect(Usage.openFiles <= files)
        print("leak: \(cycles) cycles, resident \(memory) -> \(Usage.resident) KiB, \(files) -> \(Usage.openFiles) files")
        // One KiB lost a cycle would be nine MiB.
        #expect(Usage.resident - memory < 8 * 1_024)
    }
}

@Suite("With a server", .enabled(if: backend != nil)) struct ServerTests {
    private let folder = Folder()
    private let server = backend ?? nobody

    @Test func aSignedInAgentIsShown() async throws {
        let hookswitch = try await signedIn(folder, at: server)
        guard case .signedIn(let agent, _, _) = hookswitch.session.state else {
            Issue.record("\(hookswitch.session.state)")
            return
        }
        #expect(agent.email == "alice@acme.example")
        // The server hears of the phone a moment later.
        let listed = await hookswitch.presence.states.first { $0?.devices.contains { $0.id == hookswitch.deviceID } ?? false }
        guard case .some(.some(let presence)) = listed else {
            Issue.record("the stream ended")
            return
        }
        #expect(presence.devices.contains { $0.id == hookswitch.deviceID && $0.name == "A test's iPhone" })
        #expect(presence.signIns.contains { $0.kind == .mobile && $0.device == hookswitch.deviceID })
        let token = try await hookswitch.session.accessToken()
        #expect(!token.isEmpty)
        let again = await failure { _ = try await hookswitch.session.beginLogin(redirectURI: "dev.hookswitch.agent:/callback") }
        #expect(again == "forbidden")
    }

    @Test func whatADeviceCanDoIsShownOnTheOthers() async throws {
        let hookswitch = try await signedIn(folder, at: server)
        // Android's words, so that each of them differs from what is not said.
        try await hookswitch.ask { try await $0.setDeviceFacts(callNotifications: true, fullScreenIntent: false, lineNumber: nil) }
        let said = Capabilities(callNotifications: true, fullScreenIntent: false)
        let shown = await hookswitch.presence.states.first {
            $0?.devices.contains { $0.id == hookswitch.deviceID && $0.capabilities == said } ?? false
        }
        #expect(shown != nil)
    }

    @Test func aSessionOutlivesTheProcess() async throws {
        let first = try await signedIn(folder, at: server)
        let agent = try #require(first.session.state.agent)
        await first.saved()
        first.close()
        let second = try await connect(folder, server: server)
        #expect(second.session.state.agent == agent)
    }

    @Test func everyAvailabilityGoesThereAndBack() async throws {
        let hookswitch = try await signedIn(folder, at: server)
        let reasons = UnavailableReason.allCases.filter { $0 != .unknown }
        for availability in reasons.map({ Availability.unavailable(reason: $0) }) + [.automatic, .available] {
            try await hookswitch.presence.setAvailability(availability)
            #expect(hookswitch.presence.state?.availability == availability)
        }
    }

    @Test func forwardingSilencesThisPhone() async throws {
        let hookswitch = try await signedIn(folder, at: server)
        try await hookswitch.setPushToken("token of \(hookswitch.deviceID)")
        try await hookswitch.presence.setForwarding(to: "+33 6 12 34 56 78", until: Date(timeIntervalSinceNow: 3_600))
        let presence = try #require(hookswitch.presence.state)
        #expect(presence.forwarding?.number == "+33612345678")
        #expect(presence.forwarding?.until.map { (3_590...3_610).contains($0.timeIntervalSinceNow) } == true)
        #expect(presence.banner?.number == "+33612345678")
        let push = try await customers.call("alice@acme.example", from: "+14155550134", asOldServer: true)
        let decision = try hookswitch.ring.decide(push, mustReport: true)
        #expect(decision.silence == .forwardingActive)
        #expect(decision.action == .reportThenEnd)
        #expect(decision.from == "+14155550134")
        guard case .decided(decision, _) = try hookswitch.ring.log().last else {
            Issue.record("the ring log has no such decision")
            return
        }
        #expect(await failure { try await hookswitch.presence.setForwarding(to: "not a number") } == "forbidden")
        try await hookswitch.presence.setForwarding(to: nil)
        #expect(hookswitch.presence.state?.banner == nil)
    }

    @Test func aCallRingsAndStops() async throws {
        let hookswitch = try await signedIn(folder, at: server)
        try await hookswitch.setPushToken("token of \(hookswitch.deviceID)")
        try await hookswitch.presence.setForwarding(to: nil)
        try await hookswitch.presence.setAvailability(.available)
        let stops = hookswitch.calls.stops
        let push = try await customers.call("alice@acme.example", from: "+14155550134", asOldServer: true)
        let decision = try hookswitch.ring.decide(push, mustReport: true)
        #expect(decision.silence == nil)
        #expect(decision.action == .reportIncomingCall)
        #expect(hookswitch.calls.state.ringing.map(\.callID) == [decision.callID])
        try await hookswitch.calls.answer(decision.callID)
        #expect(hookswitch.calls.state.inCall?.callID == decision.callID)
        let stopped = StoppedCall(callID: decision.callID, why: .answeredHere, explanation: "Answered on this phone.")
        #expect(await stops.first { _ in true } == stopped)
        try await hookswitch.calls.hangUp(decision.callID)
        #expect(hookswitch.calls.state.inCall == nil)
    }

    @Test func sixtyFourTasksAtOnceAllGetAnAnswer() async throws {
        let hookswitch = try await signedIn(folder, at: server)
        let outcomes = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<64 {
                group.addTask {
                    switch number % 4 {
                    case 0: return try await hookswitch.session.accessToken().isEmpty ? "no token" : "token"
                    case 1:
                        // The last tap wins; those before it are cancelled.
                        let all: [Availability] = [.available, .automatic, .unavailable(reason: .other)]
                        return await failure { try await hookswitch.presence.setAvailability(all[number % 3]) }
                    case 2:
                        for await snapshot in hookswitch.states where snapshot.session.agent != nil { return "shown" }
                        return "closed"
                    default:
                        hookswitch.foreground()
                        return hookswitch.state.session.agent == nil ? "signed out" : "signed in"
                    }
                }
            }
            return try await group.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
        }
        #expect(outcomes["token"] == 16)
        #expect(outcomes["shown"] == 16)
        #expect(outcomes["signed in"] == 16)
        #expect((outcomes["none"] ?? 0) + (outcomes["cancelled"] ?? 0) == 16, "\(outcomes)")
        #expect((outcomes["none"] ?? 0) >= 1, "\(outcomes)")
        #expect(hookswitch.presence.state?.pending == [])
    }

    @Test func aCancelledTaskLeavesTheCoreConsistent() async throws {
        let hookswitch = try await signedIn(folder, at: server)
        // Without a network the choice stays pending.
        hookswitch.network(up: false)
        let tap = Task { try await hookswitch.presence.setAvailability(.unavailable(reason: .inTraining)) }
        _ = await hookswitch.presence.states.first { $0?.pending.isEmpty == false }
        tap.cancel()
        await #expect(throws: CancellationError.self) { try await tap.value }
        #expect(hookswitch.presence.state?.pending == [.availability(availability: .unavailable(reason: .inTraining))])
        // Nobody waits for it any more, and it happens all the same.
        hookswitch.network(up: true)
        let after = await hookswitch.presence.states.first { $0?.pending.isEmpty == true }
        #expect(after??.availability == .unavailable(reason: .inTraining))
        try await hookswitch.presence.setAvailability(.available)
    }

    @Test func aCancelledSignOutHappens() async throws {
        let hookswitch = try await signedIn(folder, at: server)
        let leaving = Task { try await hookswitch.session.signOut() }
        _ = await hookswitch.session.states.first { $0.agent == nil }
        leaving.cancel()
        _ = await leaving.result
        #expect(await hookswitch.session.states.first { $0 == .signedOut(why: .asked, message: nil) } != nil)
    }
}
