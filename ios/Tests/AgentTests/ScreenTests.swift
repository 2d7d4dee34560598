import Foundation
import Hookswitch
import HookswitchApple
import Testing

@testable import Agent

private let clock: Clock = { "at \(Int($0.timeIntervalSince1970))" }
private let alice = AgentProfile(account: "a", email: "alice@acme.example", name: "Alice Martin")
private let nothing = CallsState(ringing: [], inCall: nil)

private func presence(
    _ availability: Availability = .available, _ effective: Effective = .available, banner: Banner? = nil,
    forwarding: ForwardTo? = nil, pending: [Choice] = [], superseded: SupersededChoice? = nil, notices: [String] = [],
    devices: [Device] = [], signIns: [SignIn] = []
) -> PresenceState {
    PresenceState(
        version: "1", availability: availability, effective: effective, forwarding: forwarding, banner: banner, pending: pending,
        superseded: superseded, notices: notices, devices: devices, signIns: signIns, asOf: Date(timeIntervalSince1970: 0))
}

private func state(
    _ session: SessionState = .signedIn(agent: alice, health: .fresh, tokenExpiresAt: .distantFuture),
    _ presence: PresenceState? = presence(), _ link: Link = .live
) -> AppState {
    AppState(session: session, presence: presence, link: link, calls: nothing)
}

@Suite("What stands in front") struct FrontTests {
    private func front(_ state: AppState?, failure: String? = nil, calls: [ScreenCall] = []) -> Front {
        Front(state: state, failure: failure, calls: calls, time: clock)
    }

    private let ringing = ScreenCall(uuid: UUID(), id: "c", from: "+14155550134", fromName: nil, phase: .ringing(judged: false))

    @Test func aCallStandsBeforeEverything() {
        for state in [nil, state(), state(.locked), state(.signedOut(why: .never, message: nil))] {
            guard case .call(let screen) = front(state, calls: [ringing]) else {
                Issue.record("a call is hidden")
                continue
            }
            #expect(screen.line == "Incoming call" && screen.caller == "+14155550134")
            #expect(screen.actions.map(\.title) == ["Answer", "Decline"])
        }
    }

    @Test func everySessionStateHasOneObviousReaction() {
        let expected: [(SessionState, String, [String])] = [
            (.loading, "Please wait", []),
            (.locked, "Unlock this phone.", []),
            (.signedOut(why: .never, message: nil), "Your calls, on this phone", ["Sign in"]),
            (
                .signedOut(why: .revoked, message: "An administrator ended your session. Sign in again."),
                "An administrator ended your session. Sign in again.", ["Sign in"]
            ),
            (.signingIn(completing: false), "The sign-in page is open in your browser.", ["Back to the browser", "Cancel"]),
            (.signingIn(completing: true), "Signing in…", []),
            (
                .reauthRequired(agent: alice, reason: .expired, message: "Your session has ended. Sign in again to go on."),
                "Your session has ended. Sign in again to go on.", ["Sign in again"]
            ),
            (.signingOut, "Signing out…", []),
        ]
        for (session, line, buttons) in expected {
            guard case .signIn(let screen) = front(state(session)) else {
                Issue.record("\(session)")
                continue
            }
            #expect(screen.line == line)
            #expect(screen.actions.map(\.title) == buttons)
        }
        guard case .home = front(state()) else {
            Issue.record("an agent who is signed in does not see home")
            return
        }
    }

    @Test func aSessionThatEndedFillsInTheAddress() {
        let screen = SignInScreen(.reauthRequired(agent: alice, reason: .expired, message: "x"), failure: nil)
        #expect(screen.actions.map(\.meaning) == [.signIn(hint: "alice@acme.example")])
    }

    @Test func aCoreThatDoesNotOpenSaysWhyAndCanBeTriedAgain() {
        let screen = SignInScreen(nil, failure: "The disk is full.")
        #expect(screen.line == "The app could not start. It tries again by itself." && screen.about == "The disk is full.")
        #expect(screen.actions.map(\.meaning) == [.tryAgain])
        #expect(SignInScreen(nil, failure: nil).waits)
    }
}

@Suite("The agent's own page") struct HomeTests {
    @Test(
        arguments: zip(
            Effective.allCases, ["Offline", "Do not disturb", "Available", "In a call", "After-call work"]))
    func theStatusIsInTheAgentsWords(effective: Effective, words: String) throws {
        let home = try #require(
            HomeScreen(
                state(.signedIn(agent: alice, health: .fresh, tokenExpiresAt: .distantFuture), presence(.available, effective)),
                time: clock))
        #expect(home.status == words && home.name == "Alice Martin")
    }

    @Test func whereCallsGoIsSaidAndCanBeTurnedOff() throws {
        let signedIn = SessionState.signedIn(agent: alice, health: .fresh, tokenExpiresAt: .distantFuture)
        func banner(_ until: Date?, takes: Bool = true, own: Bool = false) throws -> HomeScreen.Forwarded {
            let banner = Banner(number: "+33612345678", until: until, takesCalls: takes, ownNumber: own)
            return try #require(HomeScreen(state(signedIn, presence(banner: banner)), time: clock)?.banner)
        }
        #expect(try banner(nil).line == "Calls go to +33612345678. This phone does not ring.")
        #expect(try banner(Date(timeIntervalSince1970: 5)).line == "Calls go to +33612345678 until at 5. This phone does not ring.")
        #expect(try banner(nil, takes: false).line == "Calls would go to +33612345678, but you take none now.")
        #expect(try banner(nil, own: true).warning != nil && banner(nil).warning == nil)
        #expect(try banner(nil).off == "Turn forwarding off")
    }

    @Test func aChoiceWaitsUntilTheServerHasIt() throws {
        let shown = presence(.available, pending: [.availability(availability: .unavailable(reason: .outForLunch))])
        let home = try #require(
            HomeScreen(state(.signedIn(agent: alice, health: .fresh, tokenExpiresAt: .distantFuture), shown), time: clock))
        let chosen = home.choices.filter(\.isChosen)
        #expect(chosen.map(\.title) == ["Out for lunch (waiting)"])
        // All but what this version has no word for.
        #expect(home.choices.count == UnavailableReason.allCases.count - 1 + 2)
    }

    @Test func offlineIsSaidAndIsNoSignOut() throws {
        let offline = try #require(
            HomeScreen(state(.signedIn(agent: alice, health: .offline, tokenExpiresAt: .distantFuture)), time: clock))
        #expect(offline.connection == "No connection. You stay signed in." && offline.status == "Available")
        let loading = try #require(
            HomeScreen(
                state(.signedIn(agent: alice, health: .fresh, tokenExpiresAt: .distantFuture), nil, .connecting), time: clock))
        #expect(loading.connection == "Connecting…" && loading.status == nil && loading.choices.isEmpty)
    }
}

@Suite("The other pages") struct OtherScreenTests {
    @Test func forwardingSaysWhatHoldsAndForHowLong() {
        #expect(ForwardingScreen(presence(), time: clock).line == "Calls come to the apps.")
        #expect(ForwardingScreen(presence(), time: clock).off == nil)
        let on = ForwardingScreen(presence(forwarding: ForwardTo(number: "+331", until: nil)), time: clock)
        #expect(on.line == "Calls go to +331. This phone does not ring." && on.off != nil)
        let now = Date(timeIntervalSince1970: 0)
        #expect(
            ForwardingScreen.Length.allCases.map { ForwardingScreen.end(of: $0, now: now)?.timeIntervalSince1970 } == [
                nil, 3_600, 28_800,
            ])
    }

    @Test func aCallInTheAppHasWhatCanBePressed() throws {
        var call = ScreenCall(uuid: UUID(), id: "c", from: nil, fromName: nil, phase: .answering)
        #expect(CallScreen([call])?.caller == "Number withheld" && CallScreen([call])?.actions.map(\.title) == ["Hang up"])
        call = ScreenCall(uuid: UUID(), id: "c", from: nil, fromName: "Bob", phase: .inCall)
        #expect(CallScreen([call])?.actions.map(\.meaning) == [.hangUp, .mute(true), .hold(true)])
        #expect(CallScreen([]) == nil)
    }

    @Test func everyCallHasItsReason() {
        let rang = RingDecision(
            callID: "a", action: .reportIncomingCall, silence: nil, from: nil, fromName: nil, expiresAt: .distantFuture,
            at: Date(timeIntervalSince1970: 1), explanation: "Rings.")
        let log: [RingLogEntry] =
            [.decided(decision: rang, inputs: [])]
            + Silence.allCases.map {
                .stopped(callID: "a", why: .silenced(reason: $0), explanation: "", at: Date(timeIntervalSince1970: 2))
            }
        let screen = CallsScreen(log, time: clock)
        #expect(screen.lines.last == CallsScreen.Line(at: "at 1", what: "Rings.", rang: true))
        #expect(screen.lines.allSatisfy { !$0.what.isEmpty && !$0.what.contains("_") } && screen.empty == nil)
        #expect(CallsScreen([], time: clock).empty == "No call came to this phone yet.")
    }

    @Test func eachPhoneSaysWhetherItRings() {
        func device(_ id: String, _ why: CannotRing?, shows: Bool? = nil) -> Device {
            Device(
                id: id, name: id == "me" ? "" : "Pixel", platform: .ios, appVersion: "1",
                capabilities: Capabilities(callNotifications: shows, fullScreenIntent: nil), cannotRing: why, lastSeen: .distantPast
            )
        }
        let screen = DevicesScreen(
            presence(
                devices: [device("me", nil), device("x", .forwardingActive), device("y", nil, shows: false)],
                signIns: [
                    SignIn(id: "1", kind: .mobile, device: "me", signedInAt: Date(timeIntervalSince1970: 3)),
                    SignIn(id: "2", kind: .browser, device: nil, signedInAt: Date(timeIntervalSince1970: 4)),
                ]), me: "me", time: clock)
        #expect(screen.phones.map(\.name) == ["A phone · This phone", "Pixel", "Pixel"])
        #expect(screen.phones.map(\.rings) == ["Rings", "Silent: calls are forwarded", "Rings, but may not show calls"])
        #expect(
            screen.places.map(\.end) == ["Sign out", "Sign out there"]
                && screen.places.map(\.since) == ["Since at 3", "Since at 4"])
    }

    @Test func aPermissionThatWasRefusedIsGivenInTheSettings() {
        let lines = PermissionsScreen([.microphone: .denied, .notifications: .granted]).lines
        #expect(lines.map(\.opensSettings) == [true, false])
        #expect(lines.map(\.cost) == ["Without it callers do not hear you.", nil])
    }

    @Test func repairSaysWhatItDid() {
        #expect(HelpScreen(.done(["Dropped the cache."]), version: "1").lines == ["Dropped the cache."])
        #expect(!HelpScreen(.running, version: "1").canRepair && HelpScreen(.failed("offline"), version: "1").canRepair)
        #expect(HelpScreen(.idle, version: "1.2").version == "Version 1.2")
    }
}

@Suite("Words") struct TextTests {
    private let project = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .appendingPathComponent("../../..").standardized

    private func file(_ path: String) throws -> String {
        try String(contentsOf: project.appendingPathComponent(path), encoding: .utf8)
    }

    @Test func everyKeyThatTheAppUsesHasWords() throws {
        let folder = project.appendingPathComponent("ios/agent/Sources/Agent")
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) where name.hasSuffix(".swift") {
            for match in try file("ios/agent/Sources/Agent/\(name)").matches(of: /text\("([a-z_]+)"/) {
                #expect(Texts.shared.keys.contains(String(match.1)), "\(name): \(match.1)")
            }
        }
    }

    /// The words that docs/agents.md gives to the statuses and buttons are those of the app.
    @Test(arguments: [
        "effective_available", "effective_do_not_disturb", "effective_in_call", "effective_after_call_work", "effective_offline",
        "sign_in", "back_to_browser", "repair", "automatic",
    ]) func theWordsAreThoseOfTheAgentsPage(key: String) throws {
        let page = try file("docs/agents.md")
        #expect(page.contains(text(key)), "docs/agents.md does not say \(text(key))")
    }

    /// The words are Android's, where both have a key.
    @Test func bothAppsSayTheSame() throws {
        guard let android = try? file("android/agent/src/main/res/values/strings.xml") else { return }
        var both = 0
        for match in android.matches(of: /<string name="([a-z_]+)"[^>]*>([^<]*)</) where text.keys.contains(String(match.1)) {
            let words = match.2.replacing("%1$s", with: "%1$@").replacing("%2$s", with: "%2$@")
            #expect(text(String(match.1)) == words, "\(match.1)")
            both += 1
        }
        #expect(both > 50)
    }
}
