// Signs in, prints each change of presence, and decides on pushes. Needs a backend and a key for its operator's door:
//
//   cargo run -p hookswitch-backend -- --demo --listen 127.0.0.1:8080 --operator-key KEYFILE
//   swift run Example http://127.0.0.1:8080 KEYFILE
import Foundation
import Hookswitch
import HookswitchTesting

let backend = CommandLine.arguments[1]
let customers = Operator(of: backend, key: try String(contentsOfFile: CommandLine.arguments[2], encoding: .utf8))
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
    var shown = ""
    for await presence in hookswitch.presence.states {
        guard let presence else { continue }
        let calls = presence.banner.map { "calls go to \($0.number)" } ?? "calls come to the apps"
        let line = "presence: \(presence.effective), chosen: \(presence.availability); \(calls)"
        if line != shown { print(line) }
        shown = line
    }
}

// Sign in: an iPhone opens the address in the system browser (`BrowserSignIn`); nobody sits in front of this one.
let address = try await hookswitch.session.beginLogin(redirectURI: configuration.redirectURIs[0])
let browser = DemoBrowser()
try await hookswitch.session.finishLogin(redirect: browser.signIn(at: address, as: "alice@acme.example"))
browser.quit()
try await hookswitch.setPushToken("the push service's name for this phone")
print("session: \(hookswitch.session.state)")

// The agent takes a break, and comes back.
try await hookswitch.presence.setAvailability(.unavailable(reason: .onABreak))
try await hookswitch.presence.setAvailability(.available)
// The server has heard of this phone once it lists it as one that can ring.
for await presence in hookswitch.presence.states {
    if let me = presence?.devices.first(where: { $0.id == hookswitch.deviceID }), me.cannotRing == nil { break }
}

// Customers call. The first call rings; the second comes while calls are forwarded, from a server too old to know the rule.
for number in [nil, "+33612345678"] {
    try await hookswitch.presence.setForwarding(to: number)
    let push = try await customers.call("alice@acme.example", from: "+14155550134", asOldServer: number != nil)
    let decision = try hookswitch.ring.decide(push, mustReport: true)
    print("push: \(decision.action). \(decision.explanation)")
    if decision.silence == nil { try await hookswitch.calls.decline(decision.callID) }
}
try await hookswitch.session.signOut()
print("session: \(hookswitch.session.state)")
hookswitch.close()  // Ends the stream of presence.
await screen.value
