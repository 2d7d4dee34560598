public import Foundation
public import HookswitchGenerated

// What apps show, in the core's own types. They are written once, in Rust, with their documentation; here they get their place in
// this module.

public typealias AppState = HookswitchGenerated.AppState
public typealias SessionState = HookswitchGenerated.SessionState
public typealias SessionHealth = HookswitchGenerated.SessionHealth
public typealias AgentProfile = HookswitchGenerated.AgentProfile
public typealias SignedOutWhy = HookswitchGenerated.SignedOutWhy
public typealias ReauthReason = HookswitchGenerated.ReauthReason
public typealias PresenceState = HookswitchGenerated.PresenceState
public typealias Availability = HookswitchGenerated.Availability
public typealias UnavailableReason = HookswitchGenerated.UnavailableReason
public typealias Effective = HookswitchGenerated.Effective
public typealias ForwardTo = HookswitchGenerated.ForwardTo
public typealias Banner = HookswitchGenerated.Banner
public typealias Choice = HookswitchGenerated.Choice
public typealias SupersededChoice = HookswitchGenerated.SupersededChoice
public typealias Device = HookswitchGenerated.Device
public typealias Capabilities = HookswitchGenerated.Capabilities
public typealias CannotRing = HookswitchGenerated.CannotRing
public typealias SignIn = HookswitchGenerated.SignIn
public typealias SignInKind = HookswitchGenerated.SignInKind
public typealias Link = HookswitchGenerated.Link
public typealias CallsState = HookswitchGenerated.CallsState
public typealias PhoneCall = HookswitchGenerated.PhoneCall
public typealias StoppedCall = HookswitchGenerated.StoppedCall
public typealias StopReason = HookswitchGenerated.StopReason
public typealias Silence = HookswitchGenerated.Silence
public typealias CallAction = HookswitchGenerated.CallAction
public typealias RingDecision = HookswitchGenerated.RingDecision
public typealias RingLogEntry = HookswitchGenerated.RingLogEntry
public typealias RingInput = HookswitchGenerated.RingInput
public typealias CodeBy = HookswitchGenerated.CodeBy
public typealias Platform = HookswitchGenerated.Platform
public typealias IssuerProfile = HookswitchGenerated.IssuerProfile
public typealias LogLevel = HookswitchGenerated.LogLevel
public typealias Moment = HookswitchGenerated.Moment

// Names and moments are plain values.

public typealias AccountId = HookswitchGenerated.AccountId
public typealias CallId = HookswitchGenerated.CallId
public typealias DeviceId = HookswitchGenerated.DeviceId
public typealias SessionId = HookswitchGenerated.SessionId
public typealias PhoneNumber = HookswitchGenerated.PhoneNumber
public typealias UnixMillis = HookswitchGenerated.UnixMillis

// What SwiftUI's lists want.

extension Device: Identifiable {}
extension SignIn: Identifiable {}

extension PhoneCall: Identifiable {
    /// The same on every device.
    public var id: CallId { callID }
}

extension SessionState {
    /// Who is signed in.
    public var agent: AgentProfile? {
        if case .signedIn(let agent, _, _) = self { agent } else { nil }
    }
}
