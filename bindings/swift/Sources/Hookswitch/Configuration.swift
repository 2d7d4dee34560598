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
        proxy: String? = nil
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
    }
}

extension Configuration {
    /// As the core takes it.
    var core: CoreConfig {
        CoreConfig(
            issuer: issuer, server: server, clientID: clientID, redirectUris: redirectURIs, profile: profile,
            deviceName: deviceName, platform: platform, appVersion: appVersion, folder: folder.path, process: process,
            proxy: proxy)
    }
}
