package dev.hookswitch

import dev.hookswitch.generated.CodeBy
import dev.hookswitch.generated.CoreConfig
import dev.hookswitch.generated.Effective
import dev.hookswitch.generated.Phone
import dev.hookswitch.generated.PlaceKind
import dev.hookswitch.generated.SessionStatus
import dev.hookswitch.generated.SilenceReason
import dev.hookswitch.generated.View
import java.time.Instant
import dev.hookswitch.generated.Availability as CoreAvailability
import dev.hookswitch.generated.CallAction as CoreCallAction
import dev.hookswitch.generated.CannotRing as CoreCannotRing
import dev.hookswitch.generated.Choice as CoreChoice
import dev.hookswitch.generated.Forwarding as CoreForwarding
import dev.hookswitch.generated.Issuer as CoreIssuer
import dev.hookswitch.generated.Link as CoreLink
import dev.hookswitch.generated.LogLevel as CoreLogLevel
import dev.hookswitch.generated.Presence as CorePresence
import dev.hookswitch.generated.RingDecision as CoreDecision
import dev.hookswitch.generated.RingLogEntry as CoreLogEntry
import dev.hookswitch.generated.SessionState as CoreSession
import dev.hookswitch.generated.StopReason as CoreStop
import dev.hookswitch.generated.UnavailableReason as CoreReason

// What the generated code calls things, in our words. Total: a word that the core learns is a compile error here.

internal fun Long.instant(): Instant = Instant.ofEpochMilli(this)

internal fun Configuration.core() = CoreConfig(
    issuer = issuer,
    server = server,
    clientId = clientId,
    redirectUris = redirectUris,
    issuerKind =
    when (issuerKind) {
        Issuer.UNKNOWN -> CoreIssuer.UNKNOWN
        Issuer.ENTRA -> CoreIssuer.ENTRA
        Issuer.OKTA -> CoreIssuer.OKTA
        Issuer.AUTH0 -> CoreIssuer.AUTH0
        Issuer.KEYCLOAK -> CoreIssuer.KEYCLOAK
        Issuer.COGNITO -> CoreIssuer.COGNITO
        Issuer.FAPI2 -> CoreIssuer.FAPI2
    },
    deviceName = deviceName,
    phone =
    when (platform) {
        Platform.IOS -> Phone.IOS
        Platform.ANDROID -> Phone.ANDROID
    },
    appVersion = appVersion,
    folder = folder.path,
    process = process,
    proxy = proxy,
)

internal fun LogLevel.core() = when (this) {
    LogLevel.ERROR -> CoreLogLevel.ERROR
    LogLevel.WARN -> CoreLogLevel.WARN
    LogLevel.INFO -> CoreLogLevel.INFO
    LogLevel.DEBUG -> CoreLogLevel.DEBUG
}

internal fun View.ours() = Snapshot(
    session = session.ours(),
    presence = presence?.ours(),
    link = link.ours(),
    calls = CallsState(ringing.map { it.ours() }, inCall?.ours()),
)

internal fun CoreSession.ours(): SessionState = when (this) {
    CoreSession.Loading -> SessionState.Loading
    CoreSession.Locked -> SessionState.Locked
    is CoreSession.SignedOut -> SessionState.SignedOut(message)
    is CoreSession.SigningIn -> SessionState.SigningIn(completing)
    is CoreSession.SignedIn -> SessionState.SignedIn(Agent(name, email), status.ours())
    is CoreSession.ReauthRequired -> SessionState.ReauthRequired(email, message)
    CoreSession.SigningOut -> SessionState.SigningOut
}

internal fun SessionStatus.ours() = when (this) {
    SessionStatus.FRESH -> SessionHealth.FRESH
    SessionStatus.REFRESHING -> SessionHealth.REFRESHING
    SessionStatus.OFFLINE -> SessionHealth.OFFLINE
    SessionStatus.DEGRADED -> SessionHealth.DEGRADED
}

internal fun CorePresence.ours() = PresenceState(
    version = version,
    availability = availability.ours(),
    effective =
    when (effective) {
        Effective.OFFLINE -> EffectivePresence.OFFLINE
        Effective.DO_NOT_DISTURB -> EffectivePresence.DO_NOT_DISTURB
        Effective.AVAILABLE -> EffectivePresence.AVAILABLE
        Effective.IN_CALL -> EffectivePresence.IN_CALL
        Effective.AFTER_CALL_WORK -> EffectivePresence.AFTER_CALL_WORK
    },
    forwarding = forwarding?.ours(),
    banner = banner?.let { Banner(it.number, it.until?.instant(), it.takesCalls, it.ownNumber) },
    pending = pending.map { it.ours() },
    superseded =
    superseded?.let {
        SupersededChoice(it.choice.ours(), it.why, it.at.instant(), it.by, it.chosenAt?.instant())
    },
    notices = notices,
    devices =
    devices.map {
        Device(
            id = it.id,
            name = it.name,
            cannotRing = it.cannotRing?.ours(),
            callNotifications = it.callNotifications,
            fullScreenIntent = it.fullScreenIntent,
            lastSeen = it.lastSeen.instant(),
        )
    },
    signedInAt =
    signedInAt.map {
        val kind =
            when (it.kind) {
                PlaceKind.MOBILE -> SignedInPlace.Kind.MOBILE
                PlaceKind.BROWSER -> SignedInPlace.Kind.BROWSER
                PlaceKind.DESKTOP -> SignedInPlace.Kind.DESKTOP
            }
        SignedInPlace(it.session, kind, it.device, it.since.instant())
    },
    asOf = asOf.instant(),
)

internal fun CoreAvailability.ours(): Availability = when (this) {
    CoreAvailability.Available -> Availability.Available
    CoreAvailability.Automatic -> Availability.Automatic
    is CoreAvailability.Unavailable ->
        Availability.Unavailable(
            when (reason) {
                CoreReason.OTHER -> UnavailableReason.OTHER
                CoreReason.BACK_OFFICE -> UnavailableReason.BACK_OFFICE
                CoreReason.IN_TRAINING -> UnavailableReason.IN_TRAINING
                CoreReason.ON_A_BREAK -> UnavailableReason.ON_A_BREAK
                CoreReason.OUT_FOR_LUNCH -> UnavailableReason.OUT_FOR_LUNCH
            },
        )
}

internal fun Availability.core(): CoreAvailability = when (this) {
    Availability.Available -> CoreAvailability.Available
    Availability.Automatic -> CoreAvailability.Automatic
    is Availability.Unavailable ->
        CoreAvailability.Unavailable(
            when (reason) {
                UnavailableReason.OTHER -> CoreReason.OTHER
                UnavailableReason.BACK_OFFICE -> CoreReason.BACK_OFFICE
                UnavailableReason.IN_TRAINING -> CoreReason.IN_TRAINING
                UnavailableReason.ON_A_BREAK -> CoreReason.ON_A_BREAK
                UnavailableReason.OUT_FOR_LUNCH -> CoreReason.OUT_FOR_LUNCH
            },
        )
}

internal fun CoreForwarding.ours() = Forwarding(number, until?.instant())

internal fun CoreChoice.ours(): Choice = when (this) {
    is CoreChoice.Availability -> Choice.OfAvailability(availability.ours())
    is CoreChoice.Forwarding -> Choice.OfForwarding(to?.ours())
}

internal fun CoreCannotRing.ours() = when (this) {
    CoreCannotRing.FORWARDING_ACTIVE -> CannotRing.FORWARDING_ACTIVE
    CoreCannotRing.NOT_AVAILABLE -> CannotRing.NOT_AVAILABLE
    CoreCannotRing.IN_ANOTHER_CALL -> CannotRing.IN_ANOTHER_CALL
    CoreCannotRing.NO_PUSH_TOKEN -> CannotRing.NO_PUSH_TOKEN
}

internal fun CoreLink.ours() = when (this) {
    CoreLink.OFF -> Link.OFF
    CoreLink.BACKGROUND -> Link.BACKGROUND
    CoreLink.OFFLINE -> Link.OFFLINE
    CoreLink.CONNECTING -> Link.CONNECTING
    CoreLink.LIVE -> Link.LIVE
}

internal fun CodeDelivery.core() = when (this) {
    CodeDelivery.SMS -> CodeBy.SMS
    CodeDelivery.CALL -> CodeBy.CALL
}

internal fun dev.hookswitch.generated.Call.ours() = PhoneCall(callId, from, fromName, since.instant())

internal fun CoreStop.ours(): StopReason = when (this) {
    CoreStop.AnsweredHere -> StopReason.AnsweredHere
    CoreStop.DeclinedHere -> StopReason.DeclinedHere
    is CoreStop.Silenced -> StopReason.Silenced(reason.ours())
}

internal fun SilenceReason.ours() = when (this) {
    SilenceReason.FORWARDING_ACTIVE -> Silence.FORWARDING_ACTIVE
    SilenceReason.NOT_AVAILABLE -> Silence.NOT_AVAILABLE
    SilenceReason.IN_ANOTHER_CALL -> Silence.IN_ANOTHER_CALL
    SilenceReason.ANSWERED_ELSEWHERE -> Silence.ANSWERED_ELSEWHERE
    SilenceReason.CALL_ENDED -> Silence.CALL_ENDED
    SilenceReason.EXPIRED -> Silence.EXPIRED
    SilenceReason.DUPLICATE -> Silence.DUPLICATE
    SilenceReason.SIGNED_OUT -> Silence.SIGNED_OUT
    SilenceReason.OTHER_ACCOUNT -> Silence.OTHER_ACCOUNT
    SilenceReason.DEVICE_NOT_REGISTERED -> Silence.DEVICE_NOT_REGISTERED
}

internal fun CoreDecision.ours() = RingDecision(
    callId = callId,
    action =
    when (action) {
        CoreCallAction.REPORT_INCOMING_CALL -> CallAction.REPORT_INCOMING_CALL
        CoreCallAction.REPORT_THEN_END -> CallAction.REPORT_THEN_END
        CoreCallAction.ADD_CALL -> CallAction.ADD_CALL
        CoreCallAction.NOTHING -> CallAction.NOTHING
    },
    silence = silence?.ours(),
    from = from,
    fromName = fromName,
    expiresAt = expiresAt.instant(),
    at = at.instant(),
    explanation = explanation,
)

internal fun CoreLogEntry.ours(): RingLogEntry = when (this) {
    is CoreLogEntry.Decided -> RingLogEntry.Decided(decision.ours())
    is CoreLogEntry.Stopped -> RingLogEntry.Stopped(StoppedCall(callId, why.ours()), at.instant())
}
