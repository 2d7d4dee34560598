import Foundation
import Hookswitch

/// How the system browser is told which address ends a sign-in.
enum BrowserCallback: Hashable {
    /// A claimed https link (RFC 8252, section 7.2).
    case https(host: String, path: String)
    /// A private-use scheme (RFC 8252, section 7.1).
    case scheme(String)

    /// `nil`: not an address that a browser can come back to.
    init?(_ redirectURI: String) {
        guard let parts = URLComponents(string: redirectURI), let scheme = parts.scheme else { return nil }
        switch scheme {
        case "https":
            guard let host = parts.host, !host.isEmpty else { return nil }
            self = .https(host: host, path: parts.path)
        case "http": return nil
        default: self = .scheme(scheme)
        }
    }
}

#if os(iOS) || STAND_INS
import AuthenticationServices

/// Signs in through the system browser.
///
/// ```swift ios
/// let window = UIWindow()  // the one that is shown
/// try await BrowserSignIn(hookswitch, window: window).signIn(redirectURI: "dev.hookswitch.agent:/callback")
/// ```
@MainActor
public final class BrowserSignIn: NSObject, ASWebAuthenticationPresentationContextProviding {
    private let hookswitch: Hookswitch
    private let window: ASPresentationAnchor
    private var browser: ASWebAuthenticationSession?

    /// Signs in to `hookswitch`, with the browser in front of `window`.
    public init(_ hookswitch: Hookswitch, window: ASPresentationAnchor) {
        self.hookswitch = hookswitch
        self.window = window
    }

    /// The window that the browser is shown in front of.
    public func presentationAnchor(for session: ASWebAuthenticationSession) -> ASPresentationAnchor { window }

    /// Returns when the agent is signed in.
    ///
    /// - Throws: `HookswitchError`. `.cancelled` when the agent closed the browser: its button says "Cancel". A browser that is
    ///   merely in the background goes on waiting.
    public func signIn(hint: String? = nil, redirectURI: String) async throws {
        let address = try await hookswitch.session.beginLogin(hint: hint, redirectURI: redirectURI)
        do {
            try await hookswitch.session.finishLogin(redirect: open(address, redirectURI))
        } catch let error as ASWebAuthenticationSessionError where error.code == .canceledLogin {
            try await hookswitch.session.cancelLogin()
            throw HookswitchError.cancelled(why: "The sign-in was cancelled.")
        }
    }

    private func open(_ address: URL, _ redirectURI: String) async throws -> URL {
        try await withCheckedThrowingContinuation { continuation in
            let done: ASWebAuthenticationSession.CompletionHandler = { redirect, error in
                if let redirect {
                    continuation.resume(returning: redirect)
                } else {
                    continuation.resume(throwing: error ?? HookswitchError.internal(why: "The browser said nothing."))
                }
            }
            let browser: ASWebAuthenticationSession
            switch BrowserCallback(redirectURI) {
            case .https(let host, let path)?:
                if #available(iOS 17.4, *) {
                    browser = ASWebAuthenticationSession(
                        url: address, callback: .https(host: host, path: path), completionHandler: done)
                } else {
                    // The link opens the app: hand it to `finishLogin` where the app gets its universal links.
                    browser = ASWebAuthenticationSession(url: address, callbackURLScheme: nil, completionHandler: done)
                }
            case .scheme(let scheme)?:
                browser = ASWebAuthenticationSession(
                    url: address, callbackURLScheme: scheme, completionHandler: done)
            case nil:
                return continuation.resume(
                    throwing: HookswitchError.internal(why: "\(redirectURI) is no address for an app."))
            }
            browser.presentationContextProvider = self
            self.browser = browser
            if !browser.start() {
                continuation.resume(throwing: HookswitchError.internal(why: "The browser did not open."))
            }
        }
    }
}
#endif
