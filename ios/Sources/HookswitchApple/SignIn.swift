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

/// The redirect URI to sign in with: the first that this system's browser can come back to by itself. Before iOS 17.4 that is no `https`
/// link; such a link opens the app, and is better than nothing: ``BrowserSignIn/opened(_:)``.
public func redirect(among redirectURIs: [String], httpsComesBack: Bool) -> String? {
    let usable = redirectURIs.filter { BrowserCallback($0) != nil }
    return usable.first { httpsComesBack || !$0.hasPrefix("https:") } ?? usable.first
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
    private let ephemeral: Bool
    private var browser: ASWebAuthenticationSession?
    private var waiting: CheckedContinuation<URL, any Error>?
    private var address: (url: URL, redirectURI: String)?

    /// Signs in to `hookswitch`, with the browser in front of `window`. `ephemeral`: the browser forgets the sign-in, for phones that
    /// several people share.
    public init(_ hookswitch: Hookswitch, window: ASPresentationAnchor, ephemeral: Bool = false) {
        self.hookswitch = hookswitch
        self.window = window
        self.ephemeral = ephemeral
    }

    /// The window that the browser is shown in front of.
    public func presentationAnchor(for session: ASWebAuthenticationSession) -> ASPresentationAnchor { window }

    /// Returns when the agent is signed in.
    ///
    /// - Throws: `HookswitchError`. `.cancelled` when the agent closed the browser: its button says "Cancel". A browser that is
    ///   merely in the background goes on waiting, and so does the sign-in when the task that waits is cancelled: ``resume()``.
    public func signIn(hint: String? = nil, redirectURI: String) async throws {
        let url = try await hookswitch.session.beginLogin(hint: hint, redirectURI: redirectURI)
        address = (url, redirectURI)
        try await resume()
    }

    /// Back to the browser: the same page, if a sign-in of this object is under way.
    public func resume() async throws {
        guard let address else { throw HookswitchError.forbidden(why: "No sign-in is under way.") }
        let redirect: URL
        do {
            redirect = try await open(address.url, address.redirectURI)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            self.address = nil
            try await hookswitch.session.cancelLogin()
            throw told(error)
        }
        try await hookswitch.session.finishLogin(redirect: redirect)
        self.address = nil
    }

    /// A link opened the app: hand in every one. The browser closes, and ``signIn(hint:redirectURI:)`` goes on with it. After a restart of the
    /// app there is none that waits, and the sign-in is completed here.
    public func opened(_ link: URL) async throws {
        if waiting != nil {
            come(back: .success(link))
            browser?.cancel()
        } else {
            try await hookswitch.session.finishLogin(redirect: link)
        }
    }

    private func told(_ error: any Error) -> HookswitchError {
        if let error = error as? HookswitchError { return error }
        let known = error as NSError
        let reason = known.userInfo[NSLocalizedFailureReasonErrorKey] as? String
        if let error = error as? ASWebAuthenticationSessionError, error.code == .canceledLogin, reason == nil {
            return .cancelled(why: "The sign-in was cancelled.")
        }
        // A domain that is not associated with the app comes under the code of a cancel, with a reason.
        return .internal(why: "The browser could not be used: \(reason ?? known.localizedDescription)")
    }

    /// Whatever ends the wait, it ends once.
    private func come(back result: Result<URL, any Error>) {
        let waiting = waiting
        self.waiting = nil
        waiting?.resume(with: result)
    }

    private func open(_ address: URL, _ redirectURI: String) async throws -> URL {
        guard let callback = BrowserCallback(redirectURI) else {
            throw HookswitchError.internal(why: "\(redirectURI) is no address for an app.")
        }
        come(back: .failure(CancellationError()))
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                waiting = continuation
                start(address, callback)
                if Task.isCancelled { come(back: .failure(CancellationError())) }
            }
        } onCancel: {
            Task { @MainActor in self.come(back: .failure(CancellationError())) }
        }
    }

    private func start(_ address: URL, _ callback: BrowserCallback) {
        let done: ASWebAuthenticationSession.CompletionHandler = { [weak self] redirect, error in
            MainActor.assumeIsolated {
                if let redirect {
                    self?.come(back: .success(redirect))
                } else {
                    self?.come(back: .failure(error ?? HookswitchError.internal(why: "The browser said nothing.")))
                }
            }
        }
        let browser: ASWebAuthenticationSession
        switch callback {
        case .https(let host, let path):
            if #available(iOS 17.4, *) {
                browser = ASWebAuthenticationSession(
                    url: address, callback: .https(host: host, path: path), completionHandler: done)
            } else {
                // The link opens the app: `opened` takes it from there.
                browser = ASWebAuthenticationSession(url: address, callbackURLScheme: nil, completionHandler: done)
            }
        case .scheme(let scheme):
            browser = ASWebAuthenticationSession(url: address, callbackURLScheme: scheme, completionHandler: done)
        }
        browser.presentationContextProvider = self
        browser.prefersEphemeralWebBrowserSession = ephemeral
        self.browser = browser
        if !browser.start() {
            come(back: .failure(HookswitchError.internal(why: "The browser did not open.")))
        }
    }
}
#endif
