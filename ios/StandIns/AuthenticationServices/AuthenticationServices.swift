@_exported import UIKit

public typealias ASPresentationAnchor = UIWindow

public struct ASWebAuthenticationSessionError: Error, CustomNSError {
    public enum Code: Int, Sendable {
        case canceledLogin = 1
        case presentationContextNotProvided, presentationContextInvalid
    }
    public let code: Code
    private let info: [String: String]
    public var errorUserInfo: [String: Any] { info }

    public init(_ code: Code, userInfo: [String: String] = [:]) {
        self.code = code
        info = userInfo
    }
}

@MainActor public protocol ASWebAuthenticationPresentationContextProviding: NSObjectProtocol {
    func presentationAnchor(for session: ASWebAuthenticationSession) -> ASPresentationAnchor
}

@MainActor open class ASWebAuthenticationSession: NSObject {
    public typealias CompletionHandler = (URL?, (any Error)?) -> Void

    public struct Callback: Hashable, Sendable {
        let host: String
        let path: String
        public static func https(host: String, path: String) -> Callback { Callback(host: host, path: path) }
    }

    open weak var presentationContextProvider: (any ASWebAuthenticationPresentationContextProviding)?
    open var prefersEphemeralWebBrowserSession = false

    /// The browser that was opened last.
    public static private(set) weak var newest: ASWebAuthenticationSession?
    /// Whether browsers open.
    public static var opens = true
    /// Whether a browser that does not open says so to its handler, too.
    public static var saysWhyNot = false
    public static var violations: [String] = []
    public let url: URL
    public let scheme: String?
    public let callback: Callback?
    private var handler: CompletionHandler?
    private var started = false

    public init(url: URL, callbackURLScheme: String?, completionHandler: @escaping CompletionHandler) {
        self.url = url
        scheme = callbackURLScheme
        callback = nil
        handler = completionHandler
    }

    public init(url: URL, callback: Callback, completionHandler: @escaping CompletionHandler) {
        self.url = url
        scheme = nil
        self.callback = callback
        handler = completionHandler
    }

    open func start() -> Bool {
        if started { Self.violations.append("a browser was started twice") }
        if presentationContextProvider == nil { Self.violations.append("a browser was started without a window") }
        started = true
        Self.newest = self
        if !Self.opens, Self.saysWhyNot { finish(nil, ASWebAuthenticationSessionError(.presentationContextInvalid)) }
        return Self.opens
    }

    /// The app closes the browser.
    open func cancel() { finish(nil, ASWebAuthenticationSessionError(.canceledLogin)) }

    /// The browser comes back, or the agent closes it.
    public func finish(_ url: URL?, _ error: (any Error)? = nil) {
        let handler = handler
        self.handler = nil
        handler?(url, error)
    }
}
