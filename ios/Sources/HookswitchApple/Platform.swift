#if os(iOS) || STAND_INS
import Hookswitch
import Network
import UIKit

/// Tells the core what happens to the app and the phone: foreground and background, network, first unlock. Make one when
/// the core is connected, and keep it.
@MainActor
public final class PlatformEvents {
    private let hookswitch: Hookswitch
    private let network = NWPathMonitor()
    private nonisolated(unsafe) var observers: [any NSObjectProtocol] = []
    private var saving = UIBackgroundTaskIdentifier.invalid

    /// Tells `hookswitch` from now on, for as long as this object lives.
    public init(_ hookswitch: Hookswitch) {
        self.hookswitch = hookswitch
        network.pathUpdateHandler = { hookswitch.network(up: $0.status == .satisfied) }
        network.start(queue: .global(qos: .utility))
        observe(UIApplication.didBecomeActiveNotification) { hookswitch.foreground() }
        observe(UIApplication.didEnterBackgroundNotification) { [weak self] in self?.background() }
        observe(UIApplication.protectedDataDidBecomeAvailableNotification) { hookswitch.unlocked() }
        if UIApplication.shared.applicationState == .active { hookswitch.foreground() }
    }

    deinit {
        network.cancel()
        for observer in observers { NotificationCenter.default.removeObserver(observer) }
    }

    private func observe(_ name: Notification.Name, _ event: @escaping @MainActor () -> Void) {
        observers.append(
            NotificationCenter.default.addObserver(forName: name, object: nil, queue: .main) { _ in
                MainActor.assumeIsolated(event)
            }
        )
    }

    /// Holds the app until all that is known is stored.
    private func background() {
        endSaving()
        saving = UIApplication.shared.beginBackgroundTask(withName: "dev.hookswitch.save") { [weak self] in
            MainActor.assumeIsolated { self?.endSaving() }
        }
        hookswitch.background()
        Task {
            await hookswitch.saved()
            endSaving()
        }
    }

    private func endSaving() {
        guard saving != .invalid else { return }
        UIApplication.shared.endBackgroundTask(saving)
        saving = .invalid
    }
}
#endif
