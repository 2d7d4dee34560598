import Foundation
import Hookswitch
import HookswitchApple
import UserNotifications

/// Completes a missed call's notification on the phone: while calls are forwarded, it says where they went. The core is opened beside the app's:
/// same folder and Keychain group, another `process`. iOS gives it 30 seconds, and shows what it has by then.
final class NotificationService: UNNotificationServiceExtension, @unchecked Sendable {
    private let lock = NSLock()
    private var pending: (content: UNMutableNotificationContent, done: (UNNotificationContent) -> Void)?

    override func didReceive(
        _ request: UNNotificationRequest, withContentHandler contentHandler: @escaping (UNNotificationContent) -> Void
    ) {
        guard let content = request.content.mutableCopy() as? UNMutableNotificationContent else {
            return contentHandler(request.content)
        }
        lock.withLock { pending = (content, contentHandler) }
        Task {
            // Without the core the notification is shown as the server wrote it.
            if let presence = try? await Self.presence(), let banner = presence.banner {
                lock.withLock { pending?.content.body += "\n\(banner.number)" }
            }
            show()
        }
    }

    override func serviceExtensionTimeWillExpire() { show() }

    /// Once, whoever is first.
    private func show() {
        let now = lock.withLock {
            defer { pending = nil }
            return pending
        }
        if let now { now.done(now.content) }
    }

    private static func presence() async throws -> PresenceState? {
        let hookswitch = try await open()
        defer { hookswitch.close() }
        return hookswitch.presence.state
    }

    /// How the extension opens the core; a test puts another in its place.
    nonisolated(unsafe) static var open: @Sendable () async throws -> Hookswitch = {
        #if os(iOS)
        let group = "group.dev.hookswitch.agent"
        guard let container = FileManager.default.containerURL(forSecurityApplicationGroupIdentifier: group) else {
            throw HookswitchError.storage(why: "There is no folder of the group \(group).")
        }
        let configuration = Configuration(
            issuer: "https://calls.example", server: "https://calls.example", clientID: "hookswitch-mobile",
            redirectURIs: ["dev.hookswitch.agent:/callback"], deviceName: "", appVersion: "1.0",
            folder: try vaultFolder(in: container), process: "notification")
        return try await Hookswitch.connect(
            configuration, keys: KeychainKeyProvider(service: "dev.hookswitch.agent", accessGroup: group))
        #else
        throw HookswitchError.internal(why: "There is no app group on this machine.")
        #endif
    }
}
