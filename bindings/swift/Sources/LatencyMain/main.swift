// Times calls through Swift, for `prove latency`. Arguments: a backend with the demo accounts, and how many rounds. Prints a line of
// JSON: for each kind of call its times in nanoseconds.
import Foundation
import Hookswitch
import HookswitchTesting

/// A call for somebody else: nothing rings, and nothing is remembered.
let push = Data(
    """
    {"kind": "incoming", "call_id": "c-1", "account": "nobody", "expires_at": 1, "routing": {"epoch": 1, "rev": 1},
    "forwarding_on": false, "from": "+14155550134", "from_name": "Maria Lopez"}
    """.utf8)

/// The core does not do what it should: its times say nothing.
struct Unexpected: Error {
    let what: String
}

/// One call of each kind a round, so that what else the machine does meets them all alike. Not on the main actor: each wait there
/// would have another change of threads, which is the app's business.
func time(_ hookswitch: Hookswitch, _ push: Data, rounds: Int) async throws -> [String: [UInt64]] {
    var nothing: [UInt64] = []
    var token: [UInt64] = []
    var snapshot: [UInt64] = []
    var decide: [UInt64] = []
    for _ in 0..<rounds {
        var began = DispatchTime.now().uptimeNanoseconds
        func took() -> UInt64 { DispatchTime.now().uptimeNanoseconds - began }

        // No argument, no result, and with the clocks of the device nobody who listens: what is left is the way there and back.
        hookswitch.clockChanged()
        nothing.append(took())

        began = DispatchTime.now().uptimeNanoseconds
        _ = try await hookswitch.session.accessToken()
        token.append(took())

        began = DispatchTime.now().uptimeNanoseconds
        let shown = hookswitch.state
        snapshot.append(took())
        guard shown.presence != nil else { throw Unexpected(what: "\(shown)") }

        began = DispatchTime.now().uptimeNanoseconds
        let decision = try hookswitch.ring.decide(push, mustReport: true)
        decide.append(took())
        guard decision.silence == .otherAccount else { throw Unexpected(what: "\(decision)") }
    }
    return ["nothing": nothing, "token": token, "snapshot": snapshot, "decide": decide]
}

guard CommandLine.arguments.count == 3, let rounds = Int(CommandLine.arguments[2]) else {
    throw Unexpected(what: "LatencyMain BACKEND ROUNDS")
}
let backend = CommandLine.arguments[1]
let folder = FileManager.default.temporaryDirectory.appending(path: "hookswitch-latency-\(UUID())")
defer { try? FileManager.default.removeItem(at: folder) }
let configuration = Configuration(
    issuer: backend, server: backend, clientID: "hookswitch-mobile", redirectURIs: ["dev.hookswitch.agent:/callback"],
    deviceName: "A phone with a stopwatch", appVersion: "1.0", folder: folder)
let hookswitch = try await Hookswitch.connect(configuration, keys: FileKeys(in: folder))
hookswitch.foreground()
let address = try await hookswitch.session.beginLogin(redirectURI: configuration.redirectURIs[0])
let browser = DemoBrowser()
try await hookswitch.session.finishLogin(redirect: browser.signIn(at: address))
browser.quit()
for await shown in hookswitch.states where shown.link == .live && shown.presence != nil { break }

_ = try await time(hookswitch, push, rounds: 1_000)
let times = try await time(hookswitch, push, rounds: rounds)
print(String(decoding: try JSONSerialization.data(withJSONObject: times), as: UTF8.self))
// Nothing is written any more when the folder goes.
await hookswitch.saved()
hookswitch.close()
