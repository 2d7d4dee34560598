import AgentTesting
import CallKit
import Foundation
import Hookswitch
import PushKit

@testable import HookswitchApple

/// A reference backend of a test's own.
final class Backend: @unchecked Sendable {
    let address: String
    let customers: Operator
    private let process = Process()
    private let ended = DispatchSemaphore(value: 0)
    private let folder = Folder()

    init() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../..").standardized
        let target = ProcessInfo.processInfo.environment["CARGO_TARGET_DIR"] ?? root.appendingPathComponent("target").path
        try FileManager.default.createDirectory(at: folder.url, withIntermediateDirectories: true)
        let key = folder.url.appendingPathComponent("operator-key")
        let secret = "\(UUID())\(UUID())"
        try secret.write(to: key, atomically: true, encoding: .utf8)
        process.executableURL = URL(fileURLWithPath: "\(target)/debug/hookswitch-backend")
        process.arguments = ["--demo", "--listen", "127.0.0.1:0", "--operator-key", key.path]
        let out = Pipe()
        process.standardOutput = out
        process.standardError = out
        process.terminationHandler = { [ended] _ in ended.signal() }
        try process.run()
        // The first line of all is the address; the accounts are there when it says so.
        var said = ""
        while !said.contains("demo accounts") {
            let more = out.fileHandleForReading.availableData
            if more.isEmpty { throw NotStarted() }
            said += String(decoding: more, as: UTF8.self)
        }
        out.fileHandleForReading.readabilityHandler = { _ = $0.availableData }
        address = said.split(whereSeparator: \.isNewline).first { $0.hasPrefix("http") }.map(String.init) ?? ""
        customers = Operator(of: address, key: secret)
    }

    struct NotStarted: Error {}

    /// The server is gone: nobody can be reached.
    func stop() {
        guard process.isRunning else { return }
        kill(process.processIdentifier, SIGKILL)
        // Nobody outlives that; that Foundation hears of it was missed once on Linux, and the test waited for ever.
        _ = ended.wait(timeout: .now() + 5)
    }

    deinit { stop() }
}

/// A folder of its own, gone with the value.
final class Folder: Sendable {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("hookswitch-ios-\(UUID())")

    deinit { try? FileManager.default.removeItem(at: url) }
}

struct NotInTime: Error {}

/// Waits until something holds.
@MainActor func until(_ what: String = "", within patience: Duration = .seconds(15), _ holds: () -> Bool) async throws {
    let deadline = ContinuousClock.now + patience
    while !holds() {
        if ContinuousClock.now > deadline { throw NotInTime() }
        try await Task.sleep(for: .milliseconds(2))
    }
}

func configuration(_ folder: Folder, server: String) -> Configuration {
    Configuration(
        issuer: server, server: server, clientID: "hookswitch-mobile", redirectURIs: ["dev.hookswitch.agent:/callback"],
        deviceName: "A test's iPhone", appVersion: "1.0", folder: folder.url)
}

/// An iPhone on which Alice is signed in, with CallKit and PushKit on top.
@MainActor final class SignedInPhone {
    static let alice = "alice@acme.example"
    let backend: Backend
    let folder: Folder
    let hookswitch: Hookswitch
    let app: App

    init() async throws {
        backend = try Backend()
        folder = Folder()
        hookswitch = try await Hookswitch.connect(
            configuration(folder, server: backend.address), keys: FileKeys(in: folder.url))
        hookswitch.foreground()
        app = App(hookswitch)
        try await hookswitch.setPushToken("ab01")
        let browser = DemoBrowser()
        defer { browser.quit() }
        let address = try await hookswitch.session.beginLogin(redirectURI: "dev.hookswitch.agent:/callback")
        try await hookswitch.session.finishLogin(redirect: browser.signIn(at: address, as: Self.alice))
        try await until("the server lists this phone") { me?.cannotRing == nil && me != nil }
    }

    var me: Device? { hookswitch.presence.state?.devices.first { $0.id == hookswitch.deviceID } }
    var provider: CXProvider { app.provider }
    var registry: PKPushRegistry { app.registry }

    /// A customer calls; gives the push.
    func customerCalls(asOldServer: Bool = false) async throws -> [AnyHashable: Any] {
        let data = try await backend.customers.call(Self.alice, from: "+14155550134", asOldServer: asOldServer)
        return try JSONSerialization.jsonObject(with: data) as? [AnyHashable: Any] ?? [:]
    }

    /// A customer calls and the phone rings. Gives the call's names.
    func ring() async throws -> (call: UUID, callID: CallId) {
        let push = try await customerCalls()
        registry.deliver(push)
        guard let call = provider.live.last, let callID = push["call_id"] as? String else { throw NotInTime() }
        return (call, callID)
    }

    /// What broke a rule of the platform.
    var broken: [String] { provider.broken + registry.violations }
}

extension [AnyHashable: Any] {
    /// The same push, with another word in it.
    func with(_ field: String, _ value: Any) -> Self {
        var new = self
        new[field] = value
        return new
    }
}

/// The app's calls, as its screens use them.
@MainActor final class App {
    let calls: PhoneCalls
    let media = Media()

    init(_ core: (any CallCore)?) {
        calls = PhoneCalls(CXProviderConfiguration(), media: media)
        if let core { calls.attach(core) }
    }

    var provider: CXProvider { calls.provider }
    var registry: PKPushRegistry { calls.registry }
    func answer(_ callID: CallId) async throws { try await calls.answer(callID) }
    func end(_ callID: CallId) async throws { try await calls.end(callID) }
}

/// An audio engine that writes down what it is told.
@MainActor final class Media: MediaPort {
    var told: [String] = []
    func prepare() { told.append("prepare") }
    func start() { told.append("start") }
    func stop() { told.append("stop") }
    func setMuted(_ muted: Bool) { told.append("muted \(muted)") }
    func setHeld(_ held: Bool) { told.append("held \(held)") }
    func play(digits: String) { told.append("play \(digits)") }
}
