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

    var millis: Int64 { Int64((timeIntervalSince1970 * 1_000).rounded()) }
}

// MARK: What apps give

extension CoreConfig {
    init(_ configuration: Configuration) {
        self.init(
            issuer: configuration.issuer,
            server: configuration.server,
            clientId: configuration.clientID,
            redirectUris: configuration.redirectURIs,
            issuerKind: .init(configuration.issuerKind),
            deviceName: configuration.deviceName,
            phone: .init(configuration.platform),
            appVersion: configuration.appVersion,
            folder: configuration.folder.path,
            process: configuration.process,
            proxy: configuration.proxy
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

extension HookswitchGenerated.CodeBy {
    init(_ delivery: CodeDelivery) {
        self =
            switch delivery {
            case .sms: .sms
            case .call: .call
            }
    }
}

extension HookswitchGenerated.LogLevel {
    init(_ level: LogLevel) {
        self =
            switch level {
            case .error: .error
            case .warning: .warn
            case .info: .info
            case .debug: .debug
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

/// The app's clocks, as Rust calls them.
final class ForeignClock: HookswitchGenerated.Clock {
    private let clock: any DeviceClock

    init(_ clock: any DeviceClock) { self.clock = clock }

    func now() -> HookswitchGenerated.Moment {
        let moment = clock.now()
        return .init(wall: moment.wall, mono: moment.mono)
    }
}

/// The app's log, as Rust calls it.
final class ForeignLog: HookswitchGenerated.LogSink {
    private let sink: any LogSink

    init(_ sink: any LogSink) { self.sink = sink }

    func log(level: HookswitchGenerated.LogLevel, target: String, message: String) {
        sink.log(LogLevel(level), message)
    }
}

// MARK: What apps see

extension LogLevel {
    init(_ level: HookswitchGenerated.LogLevel) {
        self =
            switch level {
            case .error: .error
            case .warn: .warning
            case .info: .info
            case .debug: .debug
            }
    }
}

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
            case .signedOut(let message): .signedOut(message: message)
            case .signingIn(let completing): .signingIn(completing: completing)
            case .signedIn(let status, let name, let email): .signedIn(Agent(name: name, email: email), .init(status))
            case .reauthRequired(let email, let message): .reauthRequired(email: email, message: message)
            case .signingOut: .signingOut
            }
    }
}

extension SessionHealth {
    init(_ status: SessionStatus) {
        self =
            switch status {
            case .fresh: .fresh
            case .refreshing: .refreshing
            case .offline: .offline
            case .degraded: .degraded
            }
    }
}

extension SignedInPlace {
    init(_ place: HookswitchGenerated.SignedInPlace) {
        let kind: Kind =
            switch place.kind {
            case .mobile: .mobile
            case .browser: .browser
            case .desktop: .desktop
            }
        self.init(id: place.session, kind: kind, device: place.device, since: Date(millis: place.since))
    }
}

extension PresenceState {
    init(_ presence: HookswitchGenerated.Presence) {
        self.init(
            version: presence.version,
            availability: Availability(presence.availability),
            effective: EffectivePresence(presence.effective),
            forwarding: presence.forwarding.map(Forwarding.init),
            banner: presence.banner.map(Banner.init),
            pending: presence.pending.map(Choice.init),
            superseded: presence.superseded.map(SupersededChoice.init),
            notices: presence.notices,
            devices: presence.devices.map(Device.init),
            signedInAt: presence.signedInAt.map(SignedInPlace.init),
            asOf: Date(millis: presence.asOf)
        )
    }
}

extension Forwarding {
    init(_ forwarding: HookswitchGenerated.Forwarding) {
        self.init(number: forwarding.number, until: forwarding.until.map(Date.init(millis:)))
    }
}

extension Banner {
    init(_ banner: HookswitchGenerated.Banner) {
        self.init(
            number: banner.number, until: banner.until.map(Date.init(millis:)), takesCalls: banner.takesCalls,
            ownNumber: banner.ownNumber)
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
    init(_ choice: HookswitchGenerated.Choice) {
        self =
            switch choice {
            case .availability(let availability): .availability(.init(availability))
            case .forwarding(let to): .forwarding(to.map(Forwarding.init))
            }
    }
}

extension SupersededChoice {
    init(_ superseded: Superseded) {
        self.init(
            choice: Choice(superseded.choice), why: superseded.why, at: Date(millis: superseded.at), by: superseded.by,
            chosenAt: superseded.chosenAt.map(Date.init(millis:)))
    }
}

extension Device {
    init(_ device: HookswitchGenerated.Device) {
        self.init(
            id: device.id, name: device.name, cannotRing: device.cannotRing.map(CannotRing.init),
            lastSeen: Date(millis: device.lastSeen))
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
        self.init(callID: call.callId, from: call.from, fromName: call.fromName, since: Date(millis: call.since))
    }
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
    init(_ silence: SilenceReason) {
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
        self.init(
            callID: decision.callId, action: CallAction(decision.action), silence: decision.silence.map(Silence.init),
            from: decision.from, fromName: decision.fromName, expiresAt: Date(millis: decision.expiresAt),
            at: Date(millis: decision.at), explanation: decision.explanation)
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
    init(_ entry: HookswitchGenerated.RingLogEntry) {
        self =
            switch entry {
            case .decided(let decision): .decided(RingDecision(decision))
            case .stopped(let callID, let why, let at):
                .stopped(StoppedCall(callID: callID, why: StopReason(why)), at: Date(millis: at))
            }
    }
}
