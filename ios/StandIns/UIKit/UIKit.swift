@_exported import Foundation

public struct UIBackgroundTaskIdentifier: Hashable, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }
    public static let invalid = UIBackgroundTaskIdentifier(rawValue: 0)
}

@MainActor open class UIWindow: NSObject {
    override public nonisolated init() {}
}

@MainActor open class UIDevice: NSObject {
    public static let current = UIDevice()
    /// Since iOS 16, without an entitlement, just this.
    open var name = "iPhone"
    open var model = "iPhone"
}

@MainActor open class UIApplication: NSObject {
    public enum State: Int, Sendable { case active, inactive, background }
    public static let shared = UIApplication()
    open var applicationState = State.active
    public nonisolated static let didBecomeActiveNotification = Notification.Name("UIApplicationDidBecomeActive")
    public nonisolated static let didEnterBackgroundNotification = Notification.Name("UIApplicationDidEnterBackground")
    public nonisolated static let protectedDataDidBecomeAvailableNotification =
        Notification.Name("UIApplicationProtectedDataDidBecomeAvailable")

    private var last = 0
    public private(set) var running: [UIBackgroundTaskIdentifier: @MainActor @Sendable () -> Void] = [:]
    public private(set) var violations: [String] = []

    open func beginBackgroundTask(
        withName name: String?, expirationHandler: (@MainActor @Sendable () -> Void)? = nil
    ) -> UIBackgroundTaskIdentifier {
        last += 1
        let id = UIBackgroundTaskIdentifier(rawValue: last)
        running[id] = expirationHandler ?? {}
        return id
    }

    open func endBackgroundTask(_ id: UIBackgroundTaskIdentifier) {
        if running.removeValue(forKey: id) == nil { violations.append("a background task was ended that does not run") }
    }

    /// The time in the background is over: who has not ended a task when its handler returns is killed.
    public func expireBackgroundTasks() {
        for (id, expired) in running {
            expired()
            if running[id] != nil { violations.append("a background task outlived its time") }
        }
    }
}
