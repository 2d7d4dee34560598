import Foundation
import Hookswitch
import HookswitchTesting

/// The app on one phone.
final class PhoneProcess: @unchecked Sendable {
    private let writer = Writer()
    private let clock = LabClock()
    /// Set by the first line, before any other is looked at.
    private var hookswitch: Hookswitch?
    private let showing = NSLock()
    private var lastShown: AppState?

    /// Begins what a line asks for. Called in the order of the lines; waits for nothing but the opening.
    func take(_ line: Line) {
        let begun = DispatchSemaphore(value: 0)
        let opens = (try? line.string("do")) == "open"
        Task {
            if !opens { begun.signal() }
            let answer: [String: Any?]
            do {
                answer = ["id": try line.int("id"), "ok": try await carryOut(line)]
            } catch let error as HookswitchError {
                answer = ["id": try line.int("id"), "failure": error.name, "why": error.why]
            } catch {
                fatalError("\(line.fields): \(error)")
            }
            show()
            writer.write(answer)
            if opens { begun.signal() }
        }
        begun.wait()
    }

    private func carryOut(_ line: Line) async throws -> Any? {
        let question = try line.string("do")
        if question == "open" { return try await open(line) }
        guard let hookswitch else { throw BadLine(field: "do") }
        switch question {
        case "begin_login":
            return try await hookswitch.session.beginLogin(redirectURI: line.string("redirect_uri")).absoluteString
        case "finish_login": try await hookswitch.session.finishLogin(redirect: line.string("redirect"))
        case "cancel_login": try await hookswitch.session.cancelLogin()
        case "sign_out": try await hookswitch.session.signOut()
        case "sign_out_everywhere": try await hookswitch.session.signOutEverywhere()
        case "repair": return try await hookswitch.session.repair()
        case "set_availability": try await hookswitch.presence.setAvailability(Availability(word: line.string("to")))
        case "set_forwarding":
            let until = try line.optionalInt("until").map { Date(timeIntervalSince1970: Double($0) / 1_000) }
            try await hookswitch.presence.setForwarding(to: line.optionalString("to"), until: until)
        case "send_code":
            try await hookswitch.presence.sendCode(to: line.string("to"), by: line.string("by") == "sms" ? .sms : .call)
        case "verify_number": try await hookswitch.presence.verify(line.string("to"), code: line.string("code"))
        case "end_session": try await hookswitch.session.end(line.string("session"))
        case "answer": try await hookswitch.calls.answer(line.string("call_id"))
        case "decline": try await hookswitch.calls.decline(line.string("call_id"))
        case "hang_up": try await hookswitch.calls.hangUp(line.string("call_id"))
        case "decide":
            return json(try hookswitch.ring.decide(line.data("push"), mustReport: line.bool("must_report")))
        case "set_push_token": try await hookswitch.setPushToken(line.optionalString("token"))
        case "foreground": hookswitch.foreground()
        case "background": hookswitch.background()
        case "unlocked": hookswitch.unlocked()
        case "network": hookswitch.network(up: try line.bool("up"))
        case "clock":
            try clock.set(line)
            hookswitch.clockChanged()
        case "saved": await hookswitch.saved()
        case "ring_log": return json(try hookswitch.ring.log())
        case "transcript": return try hookswitch.transcript()
        default: throw BadLine(field: "do")
        }
        return nil
    }

    private func open(_ line: Line) async throws -> Any? {
        guard let times = line.fields["clock"] as? [String: Any] else { throw BadLine(field: "clock") }
        try clock.set(Line(times))
        let folder = URL(fileURLWithPath: try line.string("folder"), isDirectory: true)
        let configuration = try Configuration(line, folder: folder)
        let hookswitch = try await Hookswitch.connect(configuration, keys: FileKeys(in: folder), clock: clock)
        self.hookswitch = hookswitch
        let stops = hookswitch.calls.stops
        Task { [writer] in
            for await stop in stops { writer.write(["stopped": json(stop)]) }
        }
        let states = hookswitch.states
        Task {
            for await _ in states { show() }
        }
        return ["device": hookswitch.deviceID]
    }

    /// Writes what the app shows, if it has changed. Also called before each answer, since the task above may be late.
    private func show() {
        guard let hookswitch else { return }
        showing.withLock {
            let now = hookswitch.state
            guard now != lastShown else { return }
            lastShown = now
            writer.write(["shown": json(now)])
        }
    }
}

/// The clocks of the phone, as the lab set them last; they go on with real time.
private final class LabClock: DeviceClock, @unchecked Sendable {
    private let lock = NSLock()
    private var moment = Moment(wall: 0, mono: 0)
    private var since = ContinuousClock.now

    func set(_ line: Line) throws {
        let new = Moment(wall: try line.int("wall"), mono: UInt64(try line.int("mono")))
        lock.withLock {
            let shown = passed(since: since, moment)
            moment = Moment(wall: new.wall, mono: max(new.mono, shown.mono))
            since = .now
        }
    }

    func now() -> Moment { lock.withLock { passed(since: since, moment) } }

    private func passed(since: ContinuousClock.Instant, _ moment: Moment) -> Moment {
        let passed = Int64((ContinuousClock.now - since) / .milliseconds(1))
        return Moment(wall: moment.wall + passed, mono: moment.mono + UInt64(passed))
    }
}
