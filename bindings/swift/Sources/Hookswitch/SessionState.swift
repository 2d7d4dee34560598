import Foundation

/// The session. Each state has one obvious reaction.
///
/// ```swift
/// switch hookswitch.session.state {
/// case .loading: show("a splash screen")
/// case .locked: show("Unlock this phone.")
/// case .signedOut(let message): show(message ?? "the sign-in page")
/// case .signingIn(let completing): show(completing ? "a spinner" : "back to the browser, or cancel")
/// case .signedIn(let agent, _): show("the app of \(agent.name ?? "somebody")")
/// case .reauthRequired(let email, let message): show("\(message) \(email ?? "")")
/// case .signingOut: show("the sign-in page")
/// }
/// ```
public enum SessionState: Hashable, Sendable {
    /// The vault is being read: show a splash screen.
    case loading
    /// The phone was not unlocked since it started: say so.
    case locked
    /// Show the sign-in page, and above it `message`, if any: what to tell the agent.
    case signedOut(message: String?)
    /// The browser is open or minimised, or, `completing`, it has come back.
    case signingIn(completing: Bool)
    /// Show the app. Offline is no sign-out.
    case signedIn(Agent, SessionHealth)
    /// Show the sign-in page with the e-mail address filled in, and above it what to tell the agent.
    case reauthRequired(email: String?, message: String)
    /// Show the sign-in page; the vault is being cleared.
    case signingOut

    /// Who is signed in.
    public var agent: Agent? {
        if case .signedIn(let agent, _) = self { agent } else { nil }
    }
}

/// Who signed in, as the issuer says. For display.
public struct Agent: Hashable, Sendable {
    public let name: String?
    public let email: String?
}

/// How well somebody is signed in.
public enum SessionHealth: Hashable, Sendable, CaseIterable {
    /// All is well.
    case fresh
    /// The access token is being renewed. Show nothing.
    case refreshing
    /// The server cannot be reached: "no connection; you stay signed in".
    case offline
    /// The newest tokens are in memory only: "this phone's storage fails; you stay signed in while the app runs".
    case degraded
}

/// A place where the agent is signed in.
public struct SignedInPlace: Hashable, Sendable, Identifiable {
    /// Names it; see ``Hookswitch/Session/end(_:)``.
    public let id: String
    /// What kind of place.
    public let kind: Kind
    /// On a phone: which one of ``PresenceState/devices``.
    public let device: String?
    /// Since when.
    public let since: Date

    /// What kind of place.
    public enum Kind: Hashable, Sendable, CaseIterable {
        /// A phone.
        case mobile
        /// All that runs in one browser.
        case browser
        /// The desktop app.
        case desktop
    }
}
