import AgentTesting
import AuthenticationServices
import CallKit
import Foundation
import Hookswitch
import PushKit
import Testing
import UIKit

@testable import Agent
@testable import HookswitchApple

/// The whole app, with the real core and the real backend, as an agent uses it.
@MainActor @Suite("An agent with the app", .serialized) struct AgentFlowTests {
    private func launch(_ backend: Backend, _ folder: Folder) -> AgentModel {
        let configuration = configuration(folder, server: backend.address)
        return AgentModel(
            redirectURI: "dev.hookswitch.agent:/callback", media: Silent(), time: { "\($0)" },
            open: { try await Hookswitch.connect(configuration, keys: FileKeys(in: folder.url)) })
    }

    private func signIn(_ app: AgentModel) async throws {
        try await until { if case .signIn(let screen) = app.front { screen.actions.count == 1 } else { false } }
        try await app.hookswitch?.setPushToken("ab01")
        let old = ASWebAuthenticationSession.newest
        ASWebAuthenticationSession.opens = true
        let pressed = Task { await app.press(.signIn(hint: nil), window: UIWindow()) }
        try await until { ASWebAuthenticationSession.newest !== old && ASWebAuthenticationSession.newest != nil }
        let browser = try #require(ASWebAuthenticationSession.newest)
        let agent = DemoBrowser()
        browser.finish(URL(string: try await agent.signIn(at: browser.url)))
        agent.quit()
        await pressed.value
        try await until("the phone is listed") { app.devices.phones.contains { $0.rings == "Rings" } }
    }

    private var home: (AgentModel) -> HomeScreen? {
        { if case .home(let screen) = $0.front { screen } else { nil } }
    }

    private func push(_ backend: Backend, asOldServer: Bool = false) async throws -> [AnyHashable: Any] {
        let data = try await backend.customers.call(SignedInPhone.alice, from: "+14155550134", asOldServer: asOldServer)
        return try JSONSerialization.jsonObject(with: data) as? [AnyHashable: Any] ?? [:]
    }

    @Test func aDayOfAnAgent() async throws {
        let (backend, folder) = (try Backend(), Folder())
        let app = launch(backend, folder)
        try await signIn(app)
        #expect(home(app)?.name == "Alice Martin" && home(app)?.status == "Available")

        // Forwarded calls do not ring, and one tap turns that off.
        await app.forward(to: "+33612345678")
        #expect(home(app)?.banner?.line == "Calls go to +33612345678. This phone does not ring.")
        app.calls.registry.deliver(try await push(backend, asOldServer: true))
        #expect(app.calls.provider.live.isEmpty)
        await app.forward(to: nil)
        #expect(home(app)?.banner == nil)

        // A customer is heard, answered in the app, muted, and hung up.
        app.calls.registry.deliver(try await push(backend))
        guard case .call(let ringing) = app.front else { throw NotInTime() }
        await app.press(.answer, call: ringing.id)
        guard case .call(let talking) = app.front else { throw NotInTime() }
        #expect(talking.line == "In a call" && app.message == nil)
        await app.press(.mute(true), call: talking.id)
        await app.press(.hangUp, call: talking.id)
        try await until { home(app)?.status == "After-call work" }

        // The day ends; the phone says why it rang and why not.
        #expect(app.log.lines.contains { $0.rang } && app.log.lines.contains { !$0.rang })
        await app.startRepair()
        guard case .done(let steps) = app.repair else { throw NotInTime() }
        #expect(!steps.isEmpty)
        let report = try #require(await app.report())
        #expect(!report.contains("alice@acme.example") && !report.contains("+33612345678"))
        await app.signOut()
        guard case .signIn = app.front else { throw NotInTime() }
        #expect(app.calls.provider.broken == [] && app.calls.registry.violations == [])
    }

    @Test func aPushThatStartsTheAppRingsBeforeTheCoreIsOpen() async throws {
        let (backend, folder) = (try Backend(), Folder())
        let first = launch(backend, folder)
        try await signIn(first)
        let push = try await push(backend)
        first.hookswitch?.close()
        // The process is new. Nothing is awaited between launch and push.
        let app = launch(backend, folder)
        app.calls.registry.deliver(push)
        let call = try #require(app.calls.provider.live.first)
        guard case .call = app.front else { throw NotInTime() }
        try await until { app.calls.calls.first?.phase == .ringing(judged: true) }
        app.calls.provider.perform(CXAnswerCallAction(call: call))
        try await until { app.calls.provider.calls[call] == .connected }
        #expect(app.calls.provider.broken == [] && app.calls.registry.violations == [])
    }

    @Test func forwardingHoldsAfterARestart() async throws {
        let (backend, folder) = (try Backend(), Folder())
        let first = launch(backend, folder)
        try await signIn(first)
        await first.forward(to: "+33612345678")
        await first.hookswitch?.saved()
        let push = try await push(backend, asOldServer: true)
        first.hookswitch?.close()
        backend.stop()
        let app = launch(backend, folder)
        app.calls.registry.deliver(push)
        let call = try #require(app.calls.provider.live.first)
        try await until { app.calls.provider.calls[call] == .ended(.answeredElsewhere) }
        #expect(app.calls.provider.broken == [] && app.calls.registry.violations == [])
    }

    @Test func beforeTheFirstUnlockTheRuleHoldsAndThePhoneSaysUnlock() async throws {
        let (backend, folder) = (try Backend(), Folder())
        let first = launch(backend, folder)
        try await signIn(first)
        await first.forward(to: "+33612345678")
        await first.hookswitch?.saved()
        let push = try await push(backend, asOldServer: true)
        first.hookswitch?.close()
        let configuration = configuration(folder, server: backend.address)
        let app = AgentModel(
            redirectURI: "dev.hookswitch.agent:/callback", media: Silent(), time: { "\($0)" },
            open: { try await Hookswitch.connect(configuration, keys: LockedKeys()) })
        app.calls.registry.deliver(push)
        let call = try #require(app.calls.provider.live.first)
        try await until { app.calls.provider.calls[call] == .ended(.answeredElsewhere) }
        try await until { if case .signIn(let screen) = app.front { screen.line == "Unlock this phone." } else { false } }
        #expect(app.calls.provider.broken == [] && app.calls.registry.violations == [])
    }

    @Test func withoutAConnectionNothingIsLostAndTheAgentIsTold() async throws {
        let (backend, folder) = (try Backend(), Folder())
        let app = launch(backend, folder)
        try await signIn(app)
        app.calls.registry.deliver(try await push(backend))
        backend.stop()
        guard case .call(let ringing) = app.front else { throw NotInTime() }
        await app.press(.answer, call: ringing.id)
        #expect(app.message != nil)
        #expect(home(app) != nil, "offline is never a sign-out")
        app.read()
        #expect(app.message == nil)
    }

    @Test func aFolderThatCannotBeUsedIsSaidAndTriedAgain() async throws {
        let (backend, folder) = (try Backend(), Folder())
        let configuration = configuration(folder, server: backend.address)
        let disk = Disk()
        let app = AgentModel(
            redirectURI: "dev.hookswitch.agent:/callback", media: Silent(), time: { "\($0)" },
            open: {
                guard await disk.hasRoom else { throw HookswitchError.storage(why: "The disk is full.") }
                return try await Hookswitch.connect(configuration, keys: FileKeys(in: folder.url))
            })
        try await until { if case .signIn(let screen) = app.front { screen.about == "The disk is full." } else { false } }
        await disk.clear()
        await app.press(.tryAgain, window: UIWindow())
        try await until { app.hookswitch != nil }
    }
}

/// A phone that was not unlocked since it started.
private final class LockedKeys: KeyProvider {
    func wrap(_ key: Data) throws -> Data { throw KeyError.unavailable }
    func unwrap(_ wrapped: Data) throws -> Data { throw KeyError.unavailable }
}

private actor Disk {
    var hasRoom = false
    func clear() { hasRoom = true }
}

@MainActor private final class Silent: MediaPort {
    func prepare() {}
    func start() {}
    func stop() {}
    func setMuted(_ muted: Bool) {}
    func setHeld(_ held: Bool) {}
    func play(digits: String) {}
}
