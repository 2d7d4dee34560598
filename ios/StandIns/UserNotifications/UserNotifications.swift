import Foundation

open class UNNotificationContent: NSObject, @unchecked Sendable {
    open var title: String { "" }
    open var body: String { "" }
    open var userInfo: [AnyHashable: Any] { [:] }
    override open func mutableCopy() -> Any { UNMutableNotificationContent(self) }
}

open class UNMutableNotificationContent: UNNotificationContent, @unchecked Sendable {
    private var texts: (title: String, body: String)
    private var info: [AnyHashable: Any]

    public init(_ other: UNNotificationContent? = nil) {
        texts = (other?.title ?? "", other?.body ?? "")
        info = other?.userInfo ?? [:]
    }

    override open var title: String {
        get { texts.title }
        set { texts.title = newValue }
    }
    override open var body: String {
        get { texts.body }
        set { texts.body = newValue }
    }
    override open var userInfo: [AnyHashable: Any] {
        get { info }
        set { info = newValue }
    }
}

open class UNNotificationRequest: NSObject, @unchecked Sendable {
    open private(set) var content: UNNotificationContent
    public init(content: UNNotificationContent) { self.content = content }
}

/// The system subclasses nothing; an extension does.
open class UNNotificationServiceExtension: NSObject, @unchecked Sendable {
    override public init() {}
    open func didReceive(
        _ request: UNNotificationRequest, withContentHandler contentHandler: @escaping (UNNotificationContent) -> Void
    ) {}
    open func serviceExtensionTimeWillExpire() {}
}
