import Foundation
public import HookswitchGenerated

// By hand: what is generated has no defaults, and takes a path as a text.
/// What the app says about itself and its server.
///
/// ```swift ios
/// let configuration = Configuration(
///     issuer: "https://calls.example",
///     server: "https://calls.example",
///     clientID: "hookswitch-mobile",
///     redirectURIs: ["https://app.hookswitch.dev/callback", "dev.hookswitch.agent:/callback"],
///     deviceName: "Alice's iPhone",
///     appVersion: "1.0",
///     folder: .applicationSupportDirectory.appending(path: "Hookswitch")
/// )
/// ```
public struct Configuration: Hashable, Sendable {
    /// The authorization server, exactly as its metadata names it. `https`, or `http` on loopback.
    public var issuer: String
    /// Where the API is. `https`, or `http` on loopback.
    public var server: String
    /// RFC 6749, section 2.2.
    public var clientID: String
    /// The registered redirect URIs, best first: a claimed https link, then a private-use scheme (RFC 8252, section 7).
    public var redirectURIs: [String]
    /// What kind of issuer it is. ``IssuerProfile/unknown`` takes all care and is never wrong.
    public var profile: IssuerProfile
    /// For display: "Alice's iPhone".
    public var deviceName: String
    /// What a ring decision means for the call UI. An app for iPhones leaves it.
    public var platform: Platform
    /// The app's version.
    public var appVersion: String
    /// A folder of the app's own, not backed up. In the app group if a notification extension opens the core too, with the
    /// protection class "until first user authentication".
    public var folder: URL
    /// The kind of process that this is: "app", "notification". Processes that share the folder need different names.
    public var process: String
    /// An HTTP proxy for all requests (`http://host:port`), where a network demands one; `nil`: none.
    public var proxy: String?
    /// What a sign-in asks the issuer for.
    public var signIn: SignInOptions
    /// How long after a sign-in the issuer ends the session whatever happens, where its policy is known: the agent is told three days
    /// before, by ``SessionHealth/ending``.
    public var sessionLife: TimeInterval?

    /// Leave out what the usual app leaves out.
    public init(
        issuer: String,
        server: String,
        clientID: String,
        redirectURIs: [String],
        profile: IssuerProfile = .unknown,
        deviceName: String,
        platform: Platform = .ios,
        appVersion: String,
        folder: URL,
        process: String = "app",
        proxy: String? = nil,
        signIn: SignInOptions = SignInOptions(),
        sessionLife: TimeInterval? = nil
    ) {
        self.issuer = issuer
        self.server = server
        self.clientID = clientID
        self.redirectURIs = redirectURIs
        self.profile = profile
        self.deviceName = deviceName
        self.platform = platform
        self.appVersion = appVersion
        self.folder = folder
        self.process = process
        self.proxy = proxy
        self.signIn = signIn
        self.sessionLife = sessionLife
    }
}

/// What a sign-in asks the issuer for. Issuers differ, and some refuse what others need.
public struct SignInOptions: Hashable, Sendable {
    /// RFC 6749, section 3.3, with `openid` among them; `nil`: the usual ones, with `offline_access`, which most issuers give a refresh
    /// token for, and Amazon Cognito refuses.
    public var scopes: [String]?
    /// The APIs that the access token is for (RFC 8707).
    public var resources: [String]
    /// What the page asks of the person in any case: `login` on a phone that several people share, `consent`, `select_account`.
    public var prompt: String?
    /// The languages of the page, best first: `fr-CA fr en`.
    public var uiLocales: String?
    /// What one issuer has and no standard: `audience` (Auth0), `kc_idp_hint` (Keycloak), `domain_hint` (Entra ID).
    public var extra: [String: String]

    /// Leave out what the usual issuer needs not.
    public init(
        scopes: [String]? = nil,
        resources: [String] = [],
        prompt: String? = nil,
        uiLocales: String? = nil,
        extra: [String: String] = [:]
    ) {
        self.scopes = scopes
        self.resources = resources
        self.prompt = prompt
        self.uiLocales = uiLocales
        self.extra = extra
    }
}

extension Configuration {
    /// As the core takes it.
    var core: CoreConfig {
        CoreConfig(
            issuer: issuer, server: server, clientID: clientID, redirectUris: redirectURIs, profile: profile,
            scopes: signIn.scopes, resources: signIn.resources, prompt: signIn.prompt, uiLocales: signIn.uiLocales,
            loginParameters: signIn.extra, sessionLife: sessionLife, deviceName: deviceName, platform: platform,
            appVersion: appVersion, folder: folder.path, process: process,
            proxy: proxy)
    }
}
