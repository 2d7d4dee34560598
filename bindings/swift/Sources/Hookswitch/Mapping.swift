import Foundation
internal import HookswitchGenerated

// From what UniFFI writes to what apps see. Every switch is complete, so a case that Rust adds does not go unseen: it does not
// compile.

/// Runs something that fails with generated errors.
func calling<Value>(_ body: () throws -> Value) throws -> Value {
    do { return try body() } catch { throw HookswitchError(error) }
}

extension Date {
    init(millis: Int64) { self.init(timeIntervalSince1970: Double(millis) / 1_000) }
}

// MARK: What apps give

extension CoreConfig {
    init(_ configuration: Configuration) {
        self.init(
            issuer: configuration.issuer,
            server: configuration.server,
            clientId: configuration.clientID,
            redirectUris: configuration.redirectURIs,
            profile: .init(configuration.issuerKind),
            deviceName: configuration.deviceName,
            phone: .init(configuration.platform),
            appVersion: configuration.appVersion,
            folder: configuration.folder.path,
            process: configuration.process
        )
    }
}

extension HookswitchGenerated.Issuer {
    init(_ issuer: Issuer) {
        self =
            switch issuer {
            case .unknown: .unknown
            case .entra: .entra
            case .okta: .okta
            case .auth0: .auth0
            case .keycloak: .keycloak
            case .cognito: .cognito
            case .fapi2: .fapi2
            }
    }
}

extension Phone {
    init(_ platform: Platform) {
        self =
            switch platform {
            case .ios: .ios
            case .android: .android
            }
    }
}

extension HookswitchGenerated.Availability {
    init(_ availability: Availability) {
        self =
            switch availability {
            case .available: .available
            case .automatic: .automatic
            case .unavailable(let reason): .unavailable(reason: .init(reason))
            }
    }
}

extension HookswitchGenerated.UnavailableReason {
    init(_ reason: UnavailableReason) {
        self =
            switch reason {
            case .other: .other
            case .backOffice: .backOffice
            case .inTraining: .inTraining
            case .onABreak: .onABreak
            case .outForLunch: .outForLunch
            }
    }
}

// MARK: Failures

extension HookswitchError {
    /// Whatever comes out of a generated call. A panic in Rust arrives as an error of the generated code: a fault of ours.
    init(_ error: any Error) {
        switch error {
        case let error as HookswitchError: self = error
        case let error as CoreError:
            self =
                switch error {
                case .Reauthenticate(let why): .reauthenticate(why: why)
                case .Offline(let why): .offline(why: why)
                case .Forbidden(let why): .forbidden(why: why)
                case .Storage(let why): .storage(why: why)
                case .Cancelled(let why): .cancelled(why: why)
                case .Internal(let why): .internal(why: why)
                }
        default: self = .internal(why: "Hookswitch failed: \(error.localizedDescription)")
        }
    }
}

/// The app's key store, as Rust calls it.
final class ForeignKeys: Keys {
    private let keys: any KeyProvider

    init(_ keys: any KeyProvider) { self.keys = keys }

    func wrap(key: Data) throws -> Data { try translating { try keys.wrap(key) } }

    func unwrap(wrapped: Data) throws -> Data { try translating { try keys.unwrap(wrapped) } }

    private func translating(_ body: () throws -> Data) throws -> Data {
        do {
            return try body()
        } catch KeyError.unavailable {
            throw KeysError.Unavailable
        } catch KeyError.invalidated {
            throw KeysError.Invalidated
        } catch KeyError.failed(let why) {
            throw KeysError.Failed(why: why)
        } catch {
            throw KeysError.Failed(why: "\(error)")
        }
    }
}

// MARK: What apps see

extension Snapshot {
    init(_ view: HookswitchGenerated.View) {
        self.init(
            session: SessionState(view.session),
            presence: view.presence.map(PresenceState.init),
            link: Link(view.link),
            calls: CallsState(ringing: view.ringing.map(PhoneCall.init), inCall: view.inCall.map(PhoneCall.init))
        )
    }
}

extension SessionState {
    init(_ state: HookswitchGenerated.SessionState) {
        self =
            switch state {
            case .loading: .loading
            case .locked: .locked
            case .signedOut(let why, let message): .signedOut(.init(why), explanation: message)
            case .signingIn(let completing): .signingIn(completing: completing)
            case .signedIn(let agent, let status): .signedIn(.init(agent), .init(status))
            case .reauthRequired(let agent, let reason, let message):
                .reauthRequired(.init(agent), .init(reason), explanation: message)
            case .signingOut: .signingOut
            }
    }
}

extension SignedInAgent {
    init(_ agent: Identified) { self.init(account: agent.account, email: agent.email, name: agent.name) }
}

extension SessionHealth {
    init(_ status: Status) {
        self =
            switch status {
            case .fresh: .fresh
            case .refreshing: .refreshing
            case .offline: .offline
            case .degraded: .degraded
            }
    }
}

extension SignedOutReason {
    init(_ why: SignedOutWhy) {
        self =
            switch why {
            case .never: .never
            case .asked: .asked
            case .signedOutElsewhere: .signedOutElsewhere
            case .revoked: .revoked
            case .accountClosed: .accountClosed
            case .keyLost: .keyLost
            case .storageCorrupt: .storageCorrupt
            }
    }
}

extension ReauthReason {
    init(_ reason: HookswitchGenerated.ReauthReason) {
        self =
            switch reason {
            case .rotationLost: .rotationLost
            case .revoked: .revoked
            case .expired: .expired
            }
    }
}

extension PresenceState {
    init(_ presence: HookswitchGenerated.Presence) {
        self.init(
            version: presence.version,
            availability: Availability(presence.availability),
            effective: EffectivePresence(presence.effective),
            forwarding: presence.forwarding,
            banner: presence.banner,
            pending: presence.pending.map(Choice.init),
            superseded: presence.superseded.map(SupersededChoice.init),
            notices: presence.notices.map(Notice.init),
            agent: Agent(presence.agent),
            devices: presence.devices.map(Device.init)
        )
    }
}

extension Availability {
    init(_ availability: HookswitchGenerated.Availability) {
        self =
            switch availability {
            case .available: .available
            case .automatic: .automatic
            case .unavailable(let reason): .unavailable(.init(reason))
            }
    }
}

extension UnavailableReason {
    init(_ reason: HookswitchGenerated.UnavailableReason) {
        self =
            switch reason {
            case .other: .other
            case .backOffice: .backOffice
            case .inTraining: .inTraining
            case .onABreak: .onABreak
            case .outForLunch: .outForLunch
            }
    }
}

extension EffectivePresence {
    init(_ effective: Effective) {
        self =
            switch effective {
            case .offline: .offline
            case .doNotDisturb: .doNotDisturb
            case .available: .available
            case .inCall: .inCall
            case .afterCallWork: .afterCallWork
            }
    }
}

extension Choice {
    init(_ wish: Wish) {
        self =
            switch wish {
            case .availability(let availability): .availability(.init(availability))
            case .forwarding(let number): .forwarding(to: number)
            }
    }
}

extension SupersededChoice {
    init(_ superseded: Superseded) {
        self.init(choice: Choice(superseded.wish), why: superseded.why, at: Date(millis: superseded.at))
    }
}

extension Notice {
    init(_ notice: HookswitchGenerated.Notice) {
        let kind: Kind =
            switch notice.kind {
            case .sharedLogin: .sharedLogin
            }
        self.init(kind: kind, explanation: notice.explanation)
    }
}

extension Agent {
    init(_ agent: HookswitchGenerated.Agent) {
        self.init(account: agent.account, email: agent.email, name: agent.name, role: Role(agent.role))
    }
}

extension Role {
    init(_ role: HookswitchGenerated.Role) {
        self =
            switch role {
            case .owner: .owner
            case .admin: .admin
            case .supervisor: .supervisor
            case .agent: .agent
            }
    }
}

extension Device {
    init(_ device: HookswitchGenerated.Device) {
        self.init(
            id: device.id, name: device.name, platform: Platform(device.platform), appVersion: device.appVersion,
            cannotRing: device.cannotRing.map(CannotRing.init), lastSeen: Date(millis: device.lastSeen))
    }
}

extension Platform {
    init(_ phone: Phone) {
        self =
            switch phone {
            case .ios: .ios
            case .android: .android
            }
    }
}

extension CannotRing {
    init(_ reason: HookswitchGenerated.CannotRing) {
        self =
            switch reason {
            case .forwardingActive: .forwardingActive
            case .notAvailable: .notAvailable
            case .inAnotherCall: .inAnotherCall
            case .noPushToken: .noPushToken
            }
    }
}

extension Link {
    init(_ link: HookswitchGenerated.Link) {
        self =
            switch link {
            case .off: .off
            case .background: .background
            case .offline: .offline
            case .connecting: .connecting
            case .live: .live
            }
    }
}

extension PhoneCall {
    init(_ call: Call) {
        self.init(
            callID: call.callId, from: call.from, fromName: call.fromName, since: Date(millis: call.since),
            expiresAt: call.expiresAt.map { Date(millis: $0) })
    }
}

extension StoppedCall {
    init(_ stop: HookswitchGenerated.StoppedCall) { self.init(callID: stop.callId, why: StopReason(stop.why)) }
}

extension StopReason {
    init(_ reason: HookswitchGenerated.StopReason) {
        self =
            switch reason {
            case .answeredHere: .answeredHere
            case .declinedHere: .declinedHere
            case .silenced(let silence): .silenced(.init(silence))
            }
    }
}

extension Silence {
    init(_ silence: HookswitchGenerated.Silence) {
        self =
            switch silence {
            case .forwardingActive: .forwardingActive
            case .notAvailable: .notAvailable
            case .inAnotherCall: .inAnotherCall
            case .answeredElsewhere: .answeredElsewhere
            case .callEnded: .callEnded
            case .expired: .expired
            case .duplicate: .duplicate
            case .signedOut: .signedOut
            case .otherAccount: .otherAccount
            case .deviceNotRegistered: .deviceNotRegistered
            }
    }
}

extension RingDecision {
    init(_ decision: HookswitchGenerated.RingDecision) {
        let verdict: Verdict =
            switch decision.verdict {
            case .ring(let until): .ring(until: Date(millis: until))
            case .silence(let reason): .silent(.init(reason))
            }
        self.init(
            action: CallAction(decision.action), verdict: verdict, callID: decision.callId, from: decision.from,
            fromName: decision.fromName, explanation: decision.explanation)
    }
}

extension CallAction {
    init(_ action: HookswitchGenerated.CallAction) {
        self =
            switch action {
            case .reportIncomingCall: .reportIncomingCall
            case .reportThenEnd: .reportThenEnd
            case .addCall: .addCall
            case .nothing: .nothing
            }
    }
}

extension RingLogEntry {
    init(_ entry: RingEntry) {
        switch entry {
        case .decided(let decision):
            self.init(callID: decision.callId, at: Date(millis: decision.at), what: .decided(RingDecision(decision)))
        case .stopped(let callID, let why, let at):
            self.init(callID: callID, at: Date(millis: at), what: .stopped(StopReason(why)))
        }
    }
}
