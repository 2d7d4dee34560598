// Signs in, prints each change of presence, and decides on a push. To run it, start a backend, and give it the address that it prints:
//
//   cargo run -p hookswitch-backend -- --demo --listen 127.0.0.1:8080
//   swift run Example http://127.0.0.1:8080
import Foundation
import Hookswitch
import HookswitchTesting

let backend = CommandLine.arguments.dropFirst().first ?? "http://127.0.0.1:8080"
let folder = FileManager.default.temporaryDirectory.appending(path: "hookswitch-example-\(UUID())")
defer { try? FileManager.default.removeItem(at: folder) }

// One core a process. On an iPhone the keys are in the Keychain: `KeychainKeyProvider`.
let configuration = Configuration(
    issuer: backend, server: backend, clientID: "hookswitch-mobile", redirectURIs: ["dev.hookswitch.agent:/callback"],
    deviceName: "The example's iPhone", appVersion: "1.0", folder: folder)
let hookswitch = try await Hookswitch.connect(configuration, keys: FileKeys(in: folder))
hookswitch.foreground()

// What a screen would do: show what comes, and keep nothing.
let screen = Task {
    for await presence in hookswitch.presence.states {
        guard let presence else { continue }
        let calls = presence.forwarding.map { "calls go to \($0)" } ?? "calls come to the apps"
        print("presence: \(presence.agent.name) is \(presence.effective), \(presence.availability); \(calls)")
    }
}

// Sign in: an iPhone opens the address in the system browser (`BrowserSignIn`); nobody sits in front of this one.
let address = try await hookswitch.session.beginLogin(redirectURI: configuration.redirectURIs[0])
let browser = DemoBrowser()
try await hookswitch.session.finishLogin(redirect: browser.signIn(at: address))
browser.quit()
try await hookswitch.setPushToken("the push service's name for this phone")
print("session: \(hookswitch.session.state)")

// The agent takes a break, and comes back.
try await hookswitch.presence.setAvailability(.unavailable(.onABreak))
try await hookswitch.presence.setAvailability(.available)

// A customer calls, and the push service hands us this.
func push(forwarding: Bool) throws -> Data {
    guard let presence = hookswitch.presence.state else { throw HookswitchError.internal(why: "no presence") }
    let payload: [String: Any] = [
        "kind": "incoming", "call_id": "call-\(forwarding)", "account": presence.agent.account, "routing": presence.version,
        "expires_at": Int(Date.now.timeIntervalSince1970 * 1000) + 30_000, "forwarding_on": forwarding, "from": "+14155550134",
    ]
    return try JSONSerialization.data(withJSONObject: payload)
}
for forwarding in [false, true] {
    try await hookswitch.presence.setForwarding(to: forwarding ? "+33612345678" : nil)
    let decision = try hookswitch.ring.decide(push(forwarding: forwarding), mustReport: true)
    print("push: \(decision.action): \(decision.explanation)")
}

try await hookswitch.session.signOut()
print("session: \(hookswitch.session.state)")
hookswitch.close()  // Ends the stream of presence.
await screen.value
