import AgentTesting
import AuthenticationServices
import Foundation
import Hookswitch
import Testing
import UIKit

@testable import HookswitchApple

@MainActor @Suite("The app around the core", .serialized) struct PlatformTests {
    @Test func eachTimeInTheBackgroundIsHeldUntilItIsSaved() async throws {
        let phone = try await SignedInPhone()
        let events = PlatformEvents(phone.hookswitch)
        let app = UIApplication.shared
        NotificationCenter.default.post(name: UIApplication.didEnterBackgroundNotification, object: nil)
        NotificationCenter.default.post(name: UIApplication.didBecomeActiveNotification, object: nil)
        NotificationCenter.default.post(name: UIApplication.didEnterBackgroundNotification, object: nil)
        // One for each: the first save must not let go of the second.
        #expect(app.running.count == 2)
        try await until { app.running.isEmpty }
        #expect(app.violations == [])
        withExtendedLifetime(events) {}
    }

    @Test func timeInTheBackgroundThatIsOverIsGivenBack() async throws {
        let phone = try await SignedInPhone()
        let events = PlatformEvents(phone.hookswitch)
        let app = UIApplication.shared
        NotificationCenter.default.post(name: UIApplication.didEnterBackgroundNotification, object: nil)
        app.expireBackgroundTasks()
        #expect(app.running.isEmpty)
        await phone.hookswitch.saved()
        for _ in 0..<20 { await Task.yield() }
        #expect(app.violations == [])
        withExtendedLifetime(events) {}
    }
}

@MainActor @Suite("The system browser", .serialized) struct BrowserTests {
    let address = "dev.hookswitch.agent:/callback"

    private func fresh() async throws -> (Backend, Folder, Hookswitch) {
        ASWebAuthenticationSession.opens = true
        ASWebAuthenticationSession.saysWhyNot = false
        let (backend, folder) = (try Backend(), Folder())
        let hookswitch = try await Hookswitch.connect(
            configuration(folder, server: backend.address), keys: FileKeys(in: folder.url))
        hookswitch.foreground()
        return (backend, folder, hookswitch)
    }

    private func newBrowser(after old: ASWebAuthenticationSession?) async throws -> ASWebAuthenticationSession {
        try await until { ASWebAuthenticationSession.newest !== old && ASWebAuthenticationSession.newest != nil }
        return try #require(ASWebAuthenticationSession.newest)
    }

    @Test func anAgentSignsIn() async throws {
        let (backend, folder, hookswitch) = try await fresh()
        let old = ASWebAuthenticationSession.newest
        let signIn = BrowserSignIn(hookswitch, window: UIWindow())
        let task = Task { try await signIn.signIn(redirectURI: address) }
        let browser = try await newBrowser(after: old)
        #expect(browser.scheme == "dev.hookswitch.agent")
        let agent = DemoBrowser()
        defer { agent.quit() }
        browser.finish(URL(string: try await agent.signIn(at: browser.url)))
        try await task.value
        #expect(hookswitch.session.state.agent?.email == "alice@acme.example")
        withExtendedLifetime((backend, folder)) {}
    }

    @Test(arguments: [false, true]) func aBrowserThatDoesNotOpenIsToldOnce(saysWhyNot: Bool) async throws {
        let (backend, folder, hookswitch) = try await fresh()
        ASWebAuthenticationSession.opens = false
        ASWebAuthenticationSession.saysWhyNot = saysWhyNot
        defer { ASWebAuthenticationSession.opens = true }
        let signIn = BrowserSignIn(hookswitch, window: UIWindow())
        await #expect(throws: HookswitchError.self) { try await signIn.signIn(redirectURI: address) }
        // Nothing waits for a browser that is not there.
        guard case .signedOut = hookswitch.session.state else {
            Issue.record("\(hookswitch.session.state)")
            return
        }
        withExtendedLifetime((backend, folder)) {}
    }

    @Test func theButtonCancelEndsTheSignIn() async throws {
        let (backend, folder, hookswitch) = try await fresh()
        let old = ASWebAuthenticationSession.newest
        let signIn = BrowserSignIn(hookswitch, window: UIWindow())
        let task = Task { try await signIn.signIn(redirectURI: address) }
        try await newBrowser(after: old).finish(nil, ASWebAuthenticationSessionError(.canceledLogin))
        await #expect(throws: HookswitchError.cancelled(why: "The sign-in was cancelled.")) { try await task.value }
        guard case .signedOut = hookswitch.session.state else {
            Issue.record("\(hookswitch.session.state)")
            return
        }
        withExtendedLifetime((backend, folder)) {}
    }

    /// A domain that is not associated with the app arrives under the code of a cancel, with a reason.
    @Test func aMistakeInTheProjectIsNoCancel() async throws {
        let (backend, folder, hookswitch) = try await fresh()
        let old = ASWebAuthenticationSession.newest
        let signIn = BrowserSignIn(hookswitch, window: UIWindow())
        let task = Task { try await signIn.signIn(redirectURI: address) }
        try await newBrowser(after: old).finish(
            nil,
            ASWebAuthenticationSessionError(.canceledLogin, userInfo: [NSLocalizedFailureReasonErrorKey: "not associated"]))
        await #expect(throws: HookswitchError.internal(why: "The browser could not be used: not associated")) {
            try await task.value
        }
        withExtendedLifetime((backend, folder)) {}
    }

    /// Before iOS 17.4 an https link opens the app instead of ending the browser.
    @Test func aLinkThatOpensTheAppEndsTheSignIn() async throws {
        let (backend, folder, hookswitch) = try await fresh()
        let old = ASWebAuthenticationSession.newest
        let signIn = BrowserSignIn(hookswitch, window: UIWindow())
        let task = Task { try await signIn.signIn(redirectURI: address) }
        let browser = try await newBrowser(after: old)
        let agent = DemoBrowser()
        defer { agent.quit() }
        try await signIn.opened(try #require(URL(string: try await agent.signIn(at: browser.url))))
        try await task.value
        #expect(hookswitch.session.state.agent?.email == "alice@acme.example")
        withExtendedLifetime((backend, folder)) {}
    }

    /// A screen that goes away is no cancel: the agent comes back to the same page.
    @Test func theAgentComesBackToTheSamePage() async throws {
        let (backend, folder, hookswitch) = try await fresh()
        let old = ASWebAuthenticationSession.newest
        let signIn = BrowserSignIn(hookswitch, window: UIWindow())
        let task = Task { try await signIn.signIn(redirectURI: address) }
        let first = try await newBrowser(after: old)
        let page = first.url
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(hookswitch.session.state == .signingIn(completing: false))
        let again = Task { try await signIn.resume() }
        let second = try await newBrowser(after: first)
        #expect(second.url == page)
        let agent = DemoBrowser()
        defer { agent.quit() }
        second.finish(URL(string: try await agent.signIn(at: page)))
        try await again.value
        #expect(hookswitch.session.state.agent != nil)
        withExtendedLifetime((backend, folder)) {}
    }
}

private final class WrittenDown: Folders {
    nonisolated(unsafe) var lines: [String] = []
    func makeReadableAfterFirstUnlock(_ folder: URL) { lines.append("readable \(folder.lastPathComponent)") }
    func excludeFromBackup(_ folder: URL) { lines.append("no backup \(folder.lastPathComponent)") }
}

@Suite("Names and places") struct PlaceTests {
    @Test func theVaultIsReadableAfterTheFirstUnlockAndInNoBackup() throws {
        let folders = WrittenDown()
        let folder = try vaultFolder(in: URL(fileURLWithPath: "/app"), folders: folders)
        #expect(folder.path == "/app/Hookswitch")
        #expect(folders.lines == ["readable Hookswitch", "no backup Hookswitch"])
    }

    @Test(arguments: [
        ("iPhone", "iPhone", "iPhone15,2", "iPhone (iPhone15,2)"), ("Alice's iPhone", "iPhone", "iPhone15,2", "Alice's iPhone"),
        ("iPhone", "iPhone", "", "iPhone"), ("", "iPad", "iPad13,1", "iPad (iPad13,1)"),
    ])
    func twoPhonesAreToldApart(name: String, model: String, identifier: String, called: String) {
        #expect(deviceName(name: name, model: model, identifier: identifier) == called)
    }

    @Test func theRedirectIsOneThatTheBrowserComesBackTo() {
        let both = ["https://app.example/callback", "dev.hookswitch.agent:/callback"]
        #expect(redirect(among: both, httpsComesBack: true) == both[0])
        #expect(redirect(among: both, httpsComesBack: false) == both[1])
        #expect(redirect(among: [both[0]], httpsComesBack: false) == both[0])
        #expect(redirect(among: ["http://x"], httpsComesBack: true) == nil)
    }
}
