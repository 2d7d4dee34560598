import Agent
import Hookswitch
import HookswitchApple
import SwiftUI
import UIKit

/// The app. Everything that a push needs is made before `didFinishLaunching` returns.
@main struct AgentApp: App {
    @UIApplicationDelegateAdaptor private var delegate: AgentDelegate

    var body: some Scene {
        WindowGroup { AgentView(delegate.model) }
    }
}

/// Makes the model when the process starts, also when a push started it, and no screen is ever shown.
@MainActor final class AgentDelegate: NSObject, UIApplicationDelegate {
    let model = AgentModel(
        redirectURI: Server.redirectURIs[0],
        time: { $0.formatted(date: .omitted, time: .shortened) },
        open: {
            let configuration = Configuration(
                issuer: Server.issuer, server: Server.address, clientID: Server.clientID, redirectURIs: Server.redirectURIs,
                deviceName: await PhoneName.current, appVersion: Server.version,
                folder: try vaultFolder(in: Server.container), process: "app")
            return try await Hookswitch.connect(
                configuration, keys: KeychainKeyProvider(service: "dev.hookswitch.agent", accessGroup: Server.group))
        })
}

/// Where the server is: from the organisation's device management, if it says so, else from the app's Info.plist.
enum Server {
    private static func value(_ key: String) -> String? {
        let managed = UserDefaults.standard.dictionary(forKey: "com.apple.configuration.managed")
        return managed?[key] as? String ?? Bundle.main.object(forInfoDictionaryKey: "Hookswitch-\(key)") as? String
    }

    static var issuer: String { value("issuer") ?? "https://calls.example" }
    static var address: String { value("server") ?? issuer }
    static var clientID: String { value("client_id") ?? "hookswitch-mobile" }
    static let redirectURIs = ["dev.hookswitch.agent:/callback"]
    static var version: String { Bundle.main.infoDictionary?["CFBundleShortVersionString"] as? String ?? "0" }
    /// The Keychain group that the app shares with its notification extension; `nil`: there is none.
    static var group: String? { value("keychain_group") }
    static var container: URL {
        value("app_group").flatMap { FileManager.default.containerURL(forSecurityApplicationGroupIdentifier: $0) }
            ?? .applicationSupportDirectory
    }
}

/// How this phone is called.
enum PhoneName {
    @MainActor static var current: String {
        var system = utsname()
        uname(&system)
        let identifier = withUnsafeBytes(of: &system.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let device = UIDevice.current
        return deviceName(name: device.name, model: device.model, identifier: identifier)
    }
}
