import AgentTesting
import Foundation
import Hookswitch
import Testing
import UserNotifications

@testable import NotificationService

@MainActor @Suite("The notification extension", .serialized) struct NotificationServiceTests {
    private final class Missed: UNNotificationContent, @unchecked Sendable {
        override var body: String { "You missed a call." }
    }

    private final class Shown: @unchecked Sendable {
        private let lock = NSLock()
        private var bodies: [String] = []
        func show(_ content: UNNotificationContent) { lock.withLock { bodies.append(content.body) } }
        var all: [String] { lock.withLock { bodies } }
    }

    private func receive(open: @escaping @Sendable () async throws -> Hookswitch) -> (NotificationService, Shown) {
        NotificationService.open = open
        let (service, shown) = (NotificationService(), Shown())
        service.didReceive(UNNotificationRequest(content: Missed())) { shown.show($0) }
        return (service, shown)
    }

    @Test func aNotificationIsShownOnceWhateverTheCoreDoes() async throws {
        let (service, shown) = receive { throw HookswitchError.storage(why: "no room") }
        try await until { shown.all == ["You missed a call."] }
        service.serviceExtensionTimeWillExpire()
        #expect(shown.all.count == 1)
    }

    @Test func aCoreThatTakesTooLongDoesNotHideTheNotification() async throws {
        let (service, shown) = receive {
            try await Task.sleep(for: .seconds(3_600))
            throw CancellationError()
        }
        service.serviceExtensionTimeWillExpire()
        #expect(shown.all == ["You missed a call."])
    }

    @Test func theExtensionOpensTheSameVaultBesideTheApp() async throws {
        let phone = try await SignedInPhone()
        try await phone.hookswitch.presence.setForwarding(to: "+33612345678")
        await phone.hookswitch.saved()
        var beside = configuration(phone.folder, server: phone.backend.address)
        beside.process = "notification"
        let (folder, second) = (phone.folder, beside)
        let (_, shown) = receive { try await Hookswitch.connect(second, keys: FileKeys(in: folder.url)) }
        try await until { shown.all == ["You missed a call.\n+33612345678"] }
        #expect(phone.hookswitch.session.state.agent != nil)
    }
}
