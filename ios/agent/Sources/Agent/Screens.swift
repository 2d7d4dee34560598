import Foundation
import Hookswitch
import HookswitchApple

/// What a person may press, and whether it can be pressed now.
public struct Press<Meaning: Hashable & Sendable>: Hashable, Sendable {
    /// What is written on it.
    public let title: String
    /// What it does.
    public let meaning: Meaning
    /// It is what holds now.
    public var isChosen = false
}

/// How a moment is written for the agent. The views give the system's formatter.
public typealias Clock = @Sendable (Date) -> String

/// Which page stands in front, by what the core says.
public enum Front: Hashable, Sendable {
    /// A call: always before everything else.
    case call(CallScreen)
    /// Nobody is signed in, or it cannot be known yet.
    case signIn(SignInScreen)
    /// The agent's app.
    case home(HomeScreen)

    /// `starting`: why the core is not open, if it is not; `nil` and no state: it is being opened.
    public init(state: AppState?, failure: String?, calls: [ScreenCall], time: Clock) {
        if let call = CallScreen(calls) {
            self = .call(call)
        } else if let state, let home = HomeScreen(state, time: time) {
            self = .home(home)
        } else {
            self = .signIn(SignInScreen(state?.session, failure: failure))
        }
    }
}

/// The page of somebody who is not signed in.
public struct SignInScreen: Hashable, Sendable {
    /// What can be pressed here.
    public enum Action: Hashable, Sendable {
        case signIn(hint: String?)
        case backToBrowser, cancel, tryAgain
    }

    /// What holds, in words.
    public let line: String
    /// More about it.
    public let about: String?
    /// There is something to wait for.
    public let waits: Bool
    /// What can be pressed, the usual first.
    public let actions: [Press<Action>]

    /// `failure`: why the core could not be opened.
    public init(_ session: SessionState?, failure: String?) {
        switch session {
        case nil where failure != nil:
            self.init(text("core_failed"), failure, [Press(title: text("try_again"), meaning: .tryAgain)])
        case nil, .loading: self.init(text("wait"), waits: true)
        case .locked: self.init(text("locked"))
        case .signedOut(_, let message):
            self.init(
                message ?? text("welcome"), text("sign_in_about"),
                [Press(title: text("sign_in"), meaning: .signIn(hint: nil))])
        case .signingIn(completing: true): self.init(text("signing_in"), waits: true)
        case .signingIn(completing: false):
            self.init(
                text("browser_open"), nil,
                [
                    Press(title: text("back_to_browser"), meaning: .backToBrowser),
                    Press(title: text("cancel"), meaning: .cancel),
                ])
        case .reauthRequired(let agent, _, let message):
            self.init(
                message, agent.email, [Press(title: text("sign_in_again"), meaning: .signIn(hint: agent.email))])
        case .signingOut: self.init(text("signing_out"), waits: true)
        case .signedIn: self.init(text("wait"), waits: true)
        }
    }

    private init(_ line: String, _ about: String? = nil, _ actions: [Press<Action>] = [], waits: Bool = false) {
        self.line = line
        self.about = about
        self.actions = actions
        self.waits = waits
    }
}

/// The agent's own page.
public struct HomeScreen: Hashable, Sendable {
    /// Where calls go instead of here.
    public struct Forwarded: Hashable, Sendable {
        /// Where they go, in words.
        public let line: String
        /// The number is this phone's own.
        public let warning: String?
        /// What turns it off.
        public let off: String
    }

    /// Who is signed in.
    public let name: String
    /// What colleagues see; `nil`: not known yet.
    public let status: String?
    /// How fresh it is, when it is not.
    public let connection: String?
    /// Forwarding is on.
    public let banner: Forwarded?
    /// What the agent can choose.
    let choices: [Press<Availability>]
    /// What the server or the core says to the agent.
    public let notices: [String]

    /// All that can be chosen.
    static var all: [Availability] {
        [.available, .automatic] + [.onABreak, .outForLunch, .inTraining, .backOffice, .other].map { .unavailable(reason: $0) }
    }

    /// `nil`: nobody is signed in.
    public init?(_ state: AppState, time: Clock) {
        guard case .signedIn(let agent, let health, _) = state.session else { return nil }
        name = agent.name ?? agent.email ?? ""
        let presence = state.presence
        let pending = presence?.pending.compactMap { if case .availability(let chosen) = $0 { chosen } else { nil } }.last
        status = presence.map { title(of: $0.effective) }
        connection =
            switch (health, state.link) {
            case (.degraded, _): text("degraded")
            case (.offline, _), (_, .offline): text("offline")
            case (.ending, _): text("ending")
            case (_, .connecting) where presence == nil: text("nothing_yet")
            default: nil
            }
        banner = presence?.banner.map { banner in
            let line =
                if !banner.takesCalls { text("banner_no_calls", banner.number) } else if let until = banner.until {
                    text("banner_until", banner.number, time(until))
                } else { text("banner", banner.number) }
            return Forwarded(line: line, warning: banner.ownNumber ? text("banner_own") : nil, off: text("forwarding_off"))
        }
        choices =
            presence == nil
            ? []
            : Self.all.map { choice in
                let name = title(of: choice)
                return Press(
                    title: choice == pending ? text("waiting", name) : name, meaning: choice,
                    isChosen: choice == pending ?? presence?.availability)
            }
        notices = (presence?.superseded.map { [text("superseded", $0.why)] } ?? []) + (presence?.notices ?? [])
    }
}

func title(of effective: Effective) -> String {
    switch effective {
    case .offline: text("effective_offline")
    case .doNotDisturb: text("effective_do_not_disturb")
    case .available: text("effective_available")
    case .inCall: text("effective_in_call")
    case .afterCallWork: text("effective_after_call_work")
    case .unknown: text("something_new")
    }
}

func title(of availability: Availability) -> String {
    switch availability {
    case .available: text("available")
    case .automatic: text("automatic")
    case .unavailable(.onABreak): text("on_a_break")
    case .unavailable(.outForLunch): text("out_for_lunch")
    case .unavailable(.inTraining): text("in_training")
    case .unavailable(.backOffice): text("back_office")
    case .unavailable(.other): text("other")
    case .unavailable(.unknown), .unknown: text("something_new")
    }
}

/// Where calls go.
public struct ForwardingScreen: Hashable, Sendable {
    /// For how long.
    public enum Length: Hashable, Sendable, CaseIterable { case forGood, anHour, eightHours }

    /// What holds.
    public let line: String
    /// What it does.
    public let about: String
    /// It is on, and can be turned off.
    public let off: String?
    /// What can be pressed once there is a number.
    public let lengths: [Press<Length>]

    /// By what is known.
    public init(_ presence: PresenceState?, time: Clock) {
        let to = presence?.forwarding
        line =
            if let to, let until = to.until { text("banner_until", to.number, time(until)) } else if let to {
                text("banner", to.number)
            } else { text("forwarding_is_off") }
        about = text("forwarding_about")
        off = to == nil ? nil : text("forwarding_off")
        lengths = [
            Press(title: text("forward"), meaning: .forGood), Press(title: text("forward_hour"), meaning: .anHour),
            Press(title: text("forward_day"), meaning: .eightHours),
        ]
    }

    /// When forwarding of a length ends.
    public static func end(of length: Length, now: Date) -> Date? {
        switch length {
        case .forGood: nil
        case .anHour: now + 3_600
        case .eightHours: now + 8 * 3_600
        }
    }
}

/// A call that rings or runs.
public struct CallScreen: Hashable, Sendable {
    /// What can be pressed.
    public enum Action: Hashable, Sendable {
        case answer, decline, hangUp
        case mute(Bool)
        case hold(Bool)
    }

    /// The call.
    public let id: CallId
    /// What it is.
    public let line: String
    /// Who calls.
    public let caller: String
    /// What can be pressed.
    public let actions: [Press<Action>]

    /// The call that matters most: one that rings, then one that runs. `nil`: there is none.
    public init?(_ calls: [ScreenCall]) {
        let ringing = calls.first { if case .ringing = $0.phase { true } else { false } }
        guard let call = ringing ?? calls.first else { return nil }
        id = call.id
        caller = call.fromName ?? call.from ?? text("withheld")
        switch call.phase {
        case .ringing:
            line = text("incoming")
            actions = [Press(title: text("answer"), meaning: .answer), Press(title: text("decline"), meaning: .decline)]
        case .answering:
            line = text("answering")
            actions = [Press(title: text("hang_up"), meaning: .hangUp)]
        case .inCall:
            line = call.isOnHold ? text("on_hold") : text("in_call")
            actions = [
                Press(title: text("hang_up"), meaning: .hangUp),
                Press(title: text(call.isMuted ? "unmute" : "mute"), meaning: .mute(!call.isMuted), isChosen: call.isMuted),
                Press(title: text(call.isOnHold ? "resume" : "hold"), meaning: .hold(!call.isOnHold), isChosen: call.isOnHold),
            ]
        }
    }
}

/// What rang, what did not, and why.
public struct CallsScreen: Hashable, Sendable {
    /// One line of it.
    public struct Line: Hashable, Sendable {
        /// When.
        public let at: String
        /// What happened.
        public let what: String
        /// The call rang on this phone.
        public let rang: Bool
    }

    /// The newest first.
    public let lines: [Line]
    /// What to say when there is none.
    public let empty: String?

    /// By the core's own log of decisions.
    public init(_ log: [RingLogEntry], time: Clock) {
        lines = log.reversed().map { entry in
            switch entry {
            case .decided(let decision, _):
                Line(at: time(decision.at), what: decision.explanation, rang: decision.silence == nil)
            case .stopped(_, let why, _, let at): Line(at: time(at), what: Self.words(why), rang: false)
            }
        }
        empty = lines.isEmpty ? text("no_calls") : nil
    }

    private static func words(_ why: StopReason) -> String {
        switch why {
        case .answeredHere: text("stop_answered")
        case .declinedHere: text("stop_declined")
        case .silenced(.forwardingActive): text("stop_forwarding")
        case .silenced(.answeredElsewhere): text("stop_elsewhere")
        case .silenced(.expired): text("stop_missed")
        case .silenced(.notAvailable): text("stop_not_available")
        case .silenced(.signedOut), .silenced(.otherAccount), .silenced(.deviceNotRegistered), .silenced(.signInNeeded):
            text("stop_signed_out")
        case .silenced(.callEnded), .silenced(.duplicate), .silenced(.inAnotherCall): text("stop_ended")
        }
    }
}

/// The agent's phones and sign-ins.
public struct DevicesScreen: Hashable, Sendable {
    /// A phone.
    public struct Phone: Hashable, Sendable, Identifiable {
        /// The installation, as the server knows it.
        public let id: DeviceId
        /// Its name; this phone says so.
        public let name: String
        /// Whether it rings.
        public let rings: String
    }

    /// A place where the agent is signed in.
    public struct Place: Hashable, Sendable, Identifiable {
        /// The session to end, should it be ended from here.
        public let id: SessionId
        /// What kind.
        public let name: String
        /// Since when.
        public let since: String
        /// What ends it.
        public let end: String
    }

    /// The phones.
    public let phones: [Phone]
    /// The sign-ins.
    public let places: [Place]

    /// `me`: this phone.
    public init(_ presence: PresenceState?, me: DeviceId?, time: Clock) {
        phones = (presence?.devices ?? []).map { device in
            let name = device.name.isEmpty ? text("a_phone") : device.name
            return Phone(
                id: device.id, name: device.id == me ? "\(name) · \(text("this_phone"))" : name,
                rings: Self.rings(device))
        }
        let names = Dictionary((presence?.devices ?? []).map { ($0.id, $0.name) }, uniquingKeysWith: { first, _ in first })
        places = (presence?.signIns ?? []).map { place in
            let name =
                switch place.kind {
                case .mobile: place.device.flatMap { names[$0] } ?? text("a_phone")
                case .browser: text("the_browser")
                case .desktop: text("the_desktop")
                case .unknown: text("something_new")
                }
            let mine = place.device != nil && place.device == me
            return Place(
                id: place.id, name: name, since: text("since", time(place.signedInAt)),
                end: text(mine ? "sign_out" : "sign_out_there"))
        }
    }

    private static func rings(_ device: Device) -> String {
        switch device.cannotRing {
        case .forwardingActive: text("cannot_forwarding")
        case .notAvailable: text("cannot_not_available")
        case .inAnotherCall: text("cannot_in_call")
        case .noPushToken: text("cannot_no_token")
        case .unknown: text("something_new")
        case nil: text(device.capabilities.callNotifications == false ? "cannot_show" : "can_ring")
        }
    }
}

/// What the phone allows.
public struct PermissionsScreen: Hashable, Sendable {
    /// What may be allowed.
    public enum Permission: String, Hashable, Sendable, CaseIterable { case microphone, notifications }
    /// What the system says of it. `undecided`: it was never asked for.
    public enum Answer: Hashable, Sendable { case granted, denied, undecided }

    /// One permission.
    public struct Line: Hashable, Sendable {
        /// What the button asks the system for.
        public let permission: Permission
        /// What the system's settings call it.
        public let name: String
        /// What is lost without it; `nil`: it is there.
        public let cost: String?
        /// What is on the button.
        public let button: String
        /// The system asks once; after a no only its settings help.
        public let opensSettings: Bool
    }

    /// All of them.
    public let lines: [Line]

    /// By what the system says.
    public init(_ answers: [Permission: Answer]) {
        lines = Permission.allCases.map { permission in
            let answer = answers[permission] ?? .undecided
            return Line(
                permission: permission, name: text(permission.rawValue),
                cost: answer == .granted ? nil : text("\(permission.rawValue)_cost"),
                button: text(answer == .granted ? "granted" : "allow"), opensSettings: answer == .denied)
        }
    }
}

/// Repair, the report, and what the app is.
public struct HelpScreen: Hashable, Sendable {
    /// How far a repair is.
    public enum Repair: Hashable, Sendable {
        case idle, running
        case done([String])
        case failed(String)
    }

    /// What repair does, or has done, line by line.
    public let lines: [String]
    /// It can be pressed.
    public let canRepair: Bool
    /// What the report is.
    public let report = text("report_about")
    /// What the app is.
    public let about = text("about_text")
    /// Which version.
    public let version: String

    /// By how far a repair is.
    public init(_ repair: Repair, version: String) {
        switch repair {
        case .idle: lines = [text("repair_about")]
        case .running: lines = [text("wait")]
        case .done(let steps): lines = steps
        case .failed(let why): lines = [why]
        }
        canRepair = repair != .running
        self.version = text("version", version)
    }
}
