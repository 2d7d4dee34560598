import CallKit
import Foundation

public struct PKPushType: Hashable, Sendable {
    public static let voIP = PKPushType()
}

open class PKPushCredentials: NSObject, @unchecked Sendable {
    open private(set) var token: Data
    public init(token: Data) { self.token = token }
}

open class PKPushPayload: NSObject, @unchecked Sendable {
    open private(set) var dictionaryPayload: [AnyHashable: Any]
    public init(_ payload: [AnyHashable: Any]) { dictionaryPayload = payload }
}

/// Since iOS 26.4.
open class PKVoIPPushMetadata: NSObject, @unchecked Sendable {
    open private(set) var mustReport: Bool
    public init(mustReport: Bool) { self.mustReport = mustReport }
}

public protocol PKPushRegistryDelegate: NSObjectProtocol {
    func pushRegistry(_ registry: PKPushRegistry, didUpdate pushCredentials: PKPushCredentials, for type: PKPushType)
    func pushRegistry(
        _ registry: PKPushRegistry, didReceiveIncomingPushWith payload: PKPushPayload, for type: PKPushType,
        completion: @escaping @Sendable () -> Void)
    func pushRegistry(
        _ registry: PKPushRegistry, didReceiveIncomingVoIPPushWith payload: PKPushPayload, metadata: PKVoIPPushMetadata,
        withCompletionHandler completion: @escaping @Sendable () -> Void)
    func pushRegistry(_ registry: PKPushRegistry, didInvalidatePushTokenFor type: PKPushType)
}

extension PKPushRegistryDelegate {
    public func pushRegistry(_ registry: PKPushRegistry, didInvalidatePushTokenFor type: PKPushType) {}

    public func pushRegistry(
        _ registry: PKPushRegistry, didReceiveIncomingPushWith payload: PKPushPayload, for type: PKPushType,
        completion: @escaping @Sendable () -> Void
    ) {
        registry.violations.append("nobody takes a push before iOS 26.4")
    }

    public func pushRegistry(
        _ registry: PKPushRegistry, didReceiveIncomingVoIPPushWith payload: PKPushPayload, metadata: PKVoIPPushMetadata,
        withCompletionHandler completion: @escaping @Sendable () -> Void
    ) {
        registry.violations.append("nobody takes a push since iOS 26.4")
    }
}

/// PushKit's side of the phone.
open class PKPushRegistry: NSObject, @unchecked Sendable {
    open weak var delegate: (any PKPushRegistryDelegate)?
    open var desiredPushTypes: Set<PKPushType>?
    public fileprivate(set) var violations: [String] = []
    private let lock = NSLock()
    private var completed: [Int: Int] = [:]
    private var delivered = 0

    public init(queue: DispatchQueue?) {}

    /// How the system hands a push over.
    public enum System: Sendable, CaseIterable { case before26_4, since26_4 }

    /// A push comes. It must be reported exactly once before the delegate returns, unless the system says that it need not.
    public func deliver(_ payload: [AnyHashable: Any], mustReport: Bool = true, on system: System = .before26_4) {
        guard let delegate, desiredPushTypes?.contains(.voIP) == true else {
            return violations.append("a push came, and nobody listens")
        }
        let number = lock.withLock {
            delivered += 1
            completed[delivered] = 0
            return delivered
        }
        let done: @Sendable () -> Void = { [self] in lock.withLock { completed[number, default: 0] += 1 } }
        let before = CXProvider.reports
        let payload = PKPushPayload(payload)
        switch system {
        case .before26_4: delegate.pushRegistry(self, didReceiveIncomingPushWith: payload, for: .voIP, completion: done)
        case .since26_4:
            delegate.pushRegistry(
                self, didReceiveIncomingVoIPPushWith: payload, metadata: PKVoIPPushMetadata(mustReport: mustReport),
                withCompletionHandler: done)
        }
        let reports = CXProvider.reports - before
        let needed = mustReport || system == .before26_4
        if needed, reports == 0 { violations.append("a push was not reported before the delegate returned") }
        if reports > 1 { violations.append("a push was reported \(reports) times") }
    }

    /// Pushes whose completion was not called exactly once.
    public var unfinished: Int { lock.withLock { completed.values.count { $0 != 1 } } }
}
