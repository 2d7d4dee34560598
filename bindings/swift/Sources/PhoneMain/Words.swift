import Foundation
import Hookswitch

// How tests/scenarios/PHONES.md calls things.

extension HookswitchError {
    var name: String {
        switch self {
        case .reauthenticate: "Reauthenticate"
        case .offline: "Offline"
        case .forbidden: "Forbidden"
        case .storage: "Storage"
        case .cancelled: "Cancelled"
        case .internal: "Internal"
        }
    }
}

extension UnavailableReason {
    var word: String {
        switch self {
        case .other: "other"
        case .backOffice: "back_office"
        case .inTraining: "in_training"
        case .onABreak: "on_a_break"
        case .outForLunch: "out_for_lunch"
        }
    }
}

extension Availability {
    var word: String {
        switch self {
        case .available: "available"
        case .automatic: "automatic"
        case .unavailable(let reason): reason.word
        }
    }

    init(word: String) throws {
        let all = [.available, .automatic] + UnavailableReason.allCases.map(Availability.unavailable)
        guard let found = all.first(where: { $0.word == word }) else { throw BadLine(field: "to") }
        self = found
    }
}

extension CodeDelivery {
    init(word: String) throws {
        switch word {
        case "sms": self = .sms
        case "call": self = .call
        default: throw BadLine(field: "by")
        }
    }
}

extension SignedInPlace.Kind {
    var word: String {
        switch self {
        case .mobile: "mobile"
        case .browser: "browser"
        case .desktop: "desktop"
        }
    }
}

extension Silence {
    var word: String {
        switch self {
        case .forwardingActive: "forwarding_active"
        case .notAvailable: "not_available"
        case .inAnotherCall: "in_another_call"
        case .answeredElsewhere: "answered_elsewhere"
        case .callEnded: "call_ended"
        case .expired: "expired"
        case .duplicate: "duplicate"
        case .signedOut: "signed_out"
        case .otherAccount: "other_account"
        case .deviceNotRegistered: "device_not_registered"
        }
    }
}

extension StopReason {
    var word: String {
        switch self {
        case .answeredHere: "answered_here"
        case .declinedHere: "declined_here"
        case .silenced(let reason): reason.word
        }
    }
}

extension CallAction {
    var word: String {
        switch self {
        case .reportIncomingCall: "report_incoming_call"
        case .reportThenEnd: "report_then_end"
        case .addCall: "add_call"
        case .nothing: "nothing"
        }
    }
}

extension RingDecision {
    var words: [String: Any] {
        [
            "rings": silence == nil, "because": orNull(silence?.word), "action": action.word,
            "explanation": explanation,
        ]
    }
}

extension RingLogEntry {
    var words: [String: Any] {
        switch self {
        case .decided(let decision):
            decision.words.merging(["is": "decided", "call_id": decision.callID, "at": millis(decision.at)]) { $1 }
        case .stopped(let stop, let at):
            ["is": "stopped", "call_id": stop.callID, "at": millis(at), "because": stop.why.word]
        }
    }
}

private func millis(_ date: Date) -> Int64 { Int64((date.timeIntervalSince1970 * 1_000).rounded()) }

extension SessionState {
    var words: [String: Any] {
        switch self {
        case .loading: ["is": "loading"]
        case .locked: ["is": "locked"]
        case .signedOut(let message): ["is": "signed_out", "message": orNull(message)]
        case .signingIn(let completing): ["is": "signing_in", "completing": completing]
        case .signedIn(let agent, let health):
            ["is": "signed_in", "status": health.word, "name": orNull(agent.name), "email": orNull(agent.email)]
        case .reauthRequired(let email, let message):
            ["is": "reauth_required", "message": message, "email": orNull(email)]
        case .signingOut: ["is": "signing_out"]
        }
    }
}

extension SessionHealth {
    var word: String {
        switch self {
        case .fresh: "fresh"
        case .refreshing: "refreshing"
        case .offline: "offline"
        case .degraded: "degraded"
        }
    }
}

extension EffectivePresence {
    var word: String {
        switch self {
        case .offline: "offline"
        case .doNotDisturb: "do_not_disturb"
        case .available: "available"
        case .inCall: "in_call"
        case .afterCallWork: "after_call_work"
        }
    }
}

extension CannotRing {
    var word: String {
        switch self {
        case .forwardingActive: "forwarding_active"
        case .notAvailable: "not_available"
        case .inAnotherCall: "in_another_call"
        case .noPushToken: "no_push_token"
        }
    }
}

extension Link {
    var word: String {
        switch self {
        case .off: "off"
        case .background: "background"
        case .offline: "offline"
        case .connecting: "connecting"
        case .live: "live"
        }
    }
}

extension Choice {
    var word: String {
        switch self {
        case .availability: "availability"
        case .forwarding: "forwarding"
        }
    }
}

extension PresenceState {
    var words: [String: Any] {
        [
            "version": version,
            "availability": availability.word,
            "effective": effective.word,
            "forwarding": orNull(forwarding?.number),
            "banner": orNull(banner?.number),
            "pending": pending.map(\.word),
            "superseded": orNull(superseded?.why),
            "devices": devices.map { ["id": $0.id, "cannot_ring": orNull($0.cannotRing?.word)] },
            "signed_in_at": signedInAt.map {
                ["session": $0.id, "kind": $0.kind.word, "device": orNull($0.device)]
            },
        ]
    }
}

extension Snapshot {
    var words: [String: Any] {
        [
            "session": session.words,
            "presence": orNull(presence?.words),
            "link": link.word,
            "ringing": calls.ringing.map(\.callID),
            "in_call": orNull(calls.inCall?.callID),
        ]
    }
}

private func orNull(_ value: Any?) -> Any { value ?? NSNull() }
