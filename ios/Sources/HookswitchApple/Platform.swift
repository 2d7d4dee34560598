import Foundation

/// How a phone is called on the agent's other devices. Since iOS 16 the system says just "iPhone" to most apps, so the name that is
/// told apart is the model's.
///
/// `name`: `UIDevice.current.name`; `identifier`: the model as the system names it, "iPhone15,2".
public func deviceName(name: String, model: String, identifier: String) -> String {
    name != model && !name.isEmpty ? name : identifier.isEmpty || identifier == model ? model : "\(model) (\(identifier))"
}

/// What the file system is asked about the vault's folder. The system's own is ``SystemFolders``.
public protocol Folders {
    /// Makes the folder, if it is not there, so that its files can be read from the first unlock on, also while the phone is locked:
    /// a push comes then.
    func makeReadableAfterFirstUnlock(_ folder: URL) throws
    /// Keeps the folder out of backups: a vault that comes back from one has the sign-in of another time.
    func excludeFromBackup(_ folder: URL) throws
}

/// The folder that the core's vault lives in, ready for it: not in backups, readable after the first unlock. Call it at each start, before
/// the core is opened: files take over the protection of their folder when they are made.
///
/// ```swift ios
/// let folder = try vaultFolder(in: .applicationSupportDirectory)
/// ```
///
/// - Parameter container: The app's own folder, or its group's if a notification extension opens the core too.
public func vaultFolder(in container: URL, folders: any Folders = SystemFolders()) throws -> URL {
    let folder = container.appendingPathComponent("Hookswitch", isDirectory: true)
    try folders.makeReadableAfterFirstUnlock(folder)
    try folders.excludeFromBackup(folder)
    return folder
}

/// The system's file system.
public struct SystemFolders: Folders {
    /// There is one.
    public init() {}

    /// By the protection class "complete until first user authentication".
    public func makeReadableAfterFirstUnlock(_ folder: URL) throws {
        #if os(iOS)
        let attributes: [FileAttributeKey: Any]? = [.protectionKey: FileProtectionType.completeUntilFirstUserAuthentication]
        #else
        let attributes: [FileAttributeKey: Any]? = nil
        #endif
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true, attributes: attributes)
        // Also of a folder that an earlier version made.
        if let attributes { try FileManager.default.setAttributes(attributes, ofItemAtPath: folder.path) }
    }

    /// By the resource value that backups go by.
    public func excludeFromBackup(_ folder: URL) throws {
        #if !os(Linux)
        var folder = folder
        var values = URLResourceValues()
        values.isExcludedFromBackup = true
        try folder.setResourceValues(values)
        #endif
    }
}

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

    /// UIKit posts on the main thread; with a queue in between, the system may suspend the app before it is heard.
    private func observe(_ name: Notification.Name, _ event: @escaping @MainActor () -> Void) {
        observers.append(
            NotificationCenter.default.addObserver(forName: name, object: nil, queue: nil) { _ in
                MainActor.assumeIsolated(event)
            }
        )
    }

    /// Holds the app until all that is known is stored, or its time is over.
    private func background() {
        let hold = BackgroundTask()
        hookswitch.background()
        Task { [hookswitch] in
            await hookswitch.saved()
            hold.end()
        }
    }
}

/// One stretch of time in the background, which ends once.
@MainActor private final class BackgroundTask {
    private var id = UIBackgroundTaskIdentifier.invalid

    init() {
        id = UIApplication.shared.beginBackgroundTask(withName: "dev.hookswitch.save") { [self] in
            MainActor.assumeIsolated { end() }
        }
    }

    func end() {
        guard id != .invalid else { return }
        UIApplication.shared.endBackgroundTask(id)
        id = .invalid
    }
}
#endif
