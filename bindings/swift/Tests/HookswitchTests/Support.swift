import Foundation
import Hookswitch
import HookswitchTesting

/// The reference backend that `bindings/swift/check` starts.
let backend = ProcessInfo.processInfo.environment["HOOKSWITCH_BACKEND"]

/// Customers of it.
let customers = Operator(
    of: backend ?? nobody, key: ProcessInfo.processInfo.environment["HOOKSWITCH_OPERATOR_KEY"] ?? "none")

/// A port at which nobody listens (RFC 6335: discard).
let nobody = "http://127.0.0.1:9"

/// A folder of its own, gone with the value.
final class Folder: Sendable {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("hookswitch-test-\(UUID())")

    deinit { try? FileManager.default.removeItem(at: url) }
}

func configuration(_ folder: Folder, server: String = nobody) -> Configuration {
    Configuration(
        issuer: server, server: server, clientID: "hookswitch-mobile", redirectURIs: ["dev.hookswitch.agent:/callback"],
        deviceName: "A test's iPhone", appVersion: "1.0", folder: folder.url)
}

func connect(_ folder: Folder, server: String = nobody) async throws -> Hookswitch {
    try await Hookswitch.connect(configuration(folder, server: server), keys: FileKeys(in: folder.url))
}

/// A core on which Alice is signed in.
func signedIn(_ folder: Folder, at server: String) async throws -> Hookswitch {
    let hookswitch = try await connect(folder, server: server)
    hookswitch.foreground()
    let browser = DemoBrowser()
    defer { browser.quit() }
    let address = try await hookswitch.session.beginLogin(redirectURI: "dev.hookswitch.agent:/callback")
    try await hookswitch.session.finishLogin(redirect: browser.signIn(at: address))
    _ = await hookswitch.presence.states.first { $0 != nil }
    return hookswitch
}

/// What a process uses, as the kernel says.
enum Usage {
    /// The threads of cores. (This process itself is called hookswitchPackageTests; the log's thread is the process's for good.)
    static var threads: [String] {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        return tasks.compactMap { try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8) }
            .map { $0.trimmingCharacters(in: .newlines) }
            .filter { $0 == "hookswitch" || ($0.hasPrefix("hookswitch-") && $0 != "hookswitch-log") }
    }

    /// Resident memory in KiB.
    static var resident: Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        return status.firstMatch(of: /VmRSS:\s*(\d+)/).flatMap { Int($0.1) } ?? 0
    }

    static var openFiles: Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
    }
}
