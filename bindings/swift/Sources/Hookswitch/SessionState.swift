/// The session. Each state has one obvious reaction.
///
/// ```swift
/// switch hookswitch.session.state {
/// case .loading: print("a splash screen")
/// case .locked: print("unlock this phone")
/// case .signedOut(_, let explanation): print("the sign-in page", explanation ?? "")
/// case .signingIn(completing: false): print("back to the browser, cancel")
/// case .signingIn(completing: true): print("a spinner")
/// case .signedIn(let agent, _): print("the app of", agent.name ?? "somebody")
/// case .reauthRequired(let agent, _, let explanation): print("the sign-in page of", agent.email ?? "", explanation)
/// case .signingOut: print("the sign-in page")
/// }
/// ```
public enum SessionState: Hashable, Sendable {
    /// The vault is being read: show a splash screen.
    case loading
    /// The phone was not unlocked since it started: say so.
    case locked
    /// Show the sign-in page, and above it what to tell the agent, if anything.
    case signedOut(SignedOutReason, explanation: String?)
    /// The browser is open or minimised, or, `completing`, it has come back.
    case signingIn(completing: Bool)
    /// Show the app.
    case signedIn(SignedInAgent, SessionHealth)
    /// Show the sign-in page with the e-mail address filled in, and above it what to tell the agent.
    case reauthRequired(SignedInAgent, ReauthReason, explanation: String)
    /// Show the sign-in page; the vault is being cleared.
    case signingOut

    /// Who is signed in; offline is no sign-out.
    public var agent: SignedInAgent? {
        if case .signedIn(let agent, _) = self { agent } else { nil }
    }
}

/// Who signed in, as the issuer says.
public struct SignedInAgent: Hashable, Sendable {
    /// The `sub` of the issuer. Never shown.
    public let account: String
    /// For display, and the hint of the next sign-in.
    public let email: String?
    /// For display.
    public let name: String?
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

/// Why nobody is signed in.
public enum SignedOutReason: Hashable, Sendable, CaseIterable {
    /// Nobody ever signed in, or the app was installed again.
    case never
    /// The agent signed out here.
    case asked
    /// The agent signed this device out from another one.
    case signedOutElsewhere
    /// An administrator ended the session.
    case revoked
    /// The account is closed.
    case accountClosed
    /// The device's key is gone, and with it what it sealed.
    case keyLost
    /// What was stored could not be read.
    case storageCorrupt
}

/// Why the agent must sign in again.
public enum ReauthReason: Hashable, Sendable, CaseIterable {
    /// The issuer has replaced the refresh token, its answer was lost, and it takes no second try.
    case rotationLost
    /// The issuer rejects the newest refresh token.
    case revoked
    /// The refresh token has run out.
    case expired
}
