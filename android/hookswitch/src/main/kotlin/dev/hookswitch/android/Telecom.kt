package dev.hookswitch.android

import android.content.ComponentName
import android.content.Context
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.os.OutcomeReceiver
import android.telecom.CallAudioState
import android.telecom.CallEndpoint
import android.telecom.CallEndpointException
import android.telecom.Connection
import android.telecom.ConnectionRequest
import android.telecom.ConnectionService
import android.telecom.DisconnectCause
import android.telecom.PhoneAccount
import android.telecom.PhoneAccountHandle
import android.telecom.TelecomManager
import dev.hookswitch.CallId

/** Telecom, as a self-managed app meets it: it keeps the calls of all apps apart, and rings none of ours. */
internal class Telecom(private val context: Context, private val label: CharSequence) {
    private val manager: TelecomManager? = context.getSystemService(TelecomManager::class.java)
    private val account = PhoneAccountHandle(ComponentName(context, HookswitchConnectionService::class.java), ACCOUNT)

    /** Gives whether Telecom took it. It is no on devices without calls, and where the maker's Telecom throws. */
    fun add(call: Call): Boolean {
        val manager = manager ?: return false
        val extras = Bundle().apply {
            putString(CALL_ID, call.id)
            call.from?.let {
                putParcelable(TelecomManager.EXTRA_INCOMING_CALL_ADDRESS, Uri.fromParts(PhoneAccount.SCHEME_TEL, it, null))
            }
        }
        return try {
            // At each call: the agent may have cleared the app's data, and an update of the system may lose accounts.
            manager.registerPhoneAccount(
                PhoneAccount.builder(account, label).setCapabilities(PhoneAccount.CAPABILITY_SELF_MANAGED).build(),
            )
            manager.addNewIncomingCall(
                account,
                Bundle().apply {
                    putAll(extras)
                    // What the connection service is given.
                    putBundle(TelecomManager.EXTRA_INCOMING_CALL_EXTRAS, extras)
                },
            )
            true
        } catch (_: RuntimeException) {
            // SecurityException, IllegalArgumentException, UnsupportedOperationException, and what makers add to them.
            false
        }
    }

    companion object {
        const val CALL_ID = "dev.hookswitch.call_id"
        private const val ACCOUNT = "hookswitch"
    }
}

/** Telecom's side of one call: passes on what the headset, the watch or the car ask for. */
internal class TelecomConnection(private val call: Call, private val shown: () -> Unit) : Connection() {
    private var endpoints = listOf<CallEndpoint>()

    override fun onShowIncomingCallUi() = shown()

    override fun onAnswer() = call.accept()

    override fun onReject() = call.reject()

    override fun onDisconnect() = call.disconnect()

    override fun onAbort() = call.disconnect()

    override fun onHold() = call.hold(true)

    override fun onUnhold() = call.hold(false)

    override fun onSilence() = call.silence()

    @Suppress("DEPRECATION", "OVERRIDE_DEPRECATION") // Until Android 14 there is nothing else.
    override fun onCallAudioStateChanged(state: CallAudioState) {
        if (Build.VERSION.SDK_INT >= 34) return
        val kinds = ROUTES.filter { (route, _) -> state.supportedRouteMask and route != 0 }.map { (_, kind) -> AudioEndpoint(kind) }
        val current = ROUTES.firstOrNull { (route, _) -> state.route == route }?.let { (_, kind) -> AudioEndpoint(kind) }
        call.change { it.copy(muted = state.isMuted, endpoint = current, endpoints = kinds) }
    }

    override fun onMuteStateChanged(isMuted: Boolean) = call.change { it.copy(muted = isMuted) }

    override fun onCallEndpointChanged(callEndpoint: CallEndpoint) = call.change { it.copy(endpoint = callEndpoint.ours) }

    override fun onAvailableCallEndpointsChanged(availableEndpoints: List<CallEndpoint>) {
        endpoints = availableEndpoints
        call.change { it.copy(endpoints = availableEndpoints.map { endpoint -> endpoint.ours }) }
    }

    /** Asks Telecom for another way to hear; it says so when it has switched. */
    @Suppress("DEPRECATION")
    fun use(context: Context, endpoint: AudioEndpoint) {
        if (Build.VERSION.SDK_INT < 34) {
            ROUTES.firstOrNull { (_, kind) -> kind == endpoint.kind }?.let { (route, _) -> setAudioRoute(route) }
            return
        }
        val theirs = endpoints.firstOrNull { it.ours.id == endpoint.id } ?: return
        requestCallEndpointChange(
            theirs,
            context.mainExecutor,
            object : OutcomeReceiver<Void, CallEndpointException> {
                override fun onResult(result: Void?) = Unit

                // The state still shows the old one.
                override fun onError(error: CallEndpointException) = Unit
            },
        )
    }

    fun end(reason: EndReason) {
        setDisconnected(DisconnectCause(reason.cause))
        destroy()
    }

    private val CallEndpoint.ours: AudioEndpoint
        get() = AudioEndpoint(
            when (endpointType) {
                CallEndpoint.TYPE_SPEAKER -> AudioEndpoint.Kind.SPEAKER
                CallEndpoint.TYPE_WIRED_HEADSET -> AudioEndpoint.Kind.WIRED_HEADSET
                CallEndpoint.TYPE_BLUETOOTH -> AudioEndpoint.Kind.BLUETOOTH
                CallEndpoint.TYPE_STREAMING -> AudioEndpoint.Kind.STREAMING
                else -> AudioEndpoint.Kind.EARPIECE
            },
            endpointName.toString(),
            identifier.toString(),
        )

    private companion object {
        @Suppress("DEPRECATION")
        val ROUTES = listOf(
            CallAudioState.ROUTE_EARPIECE to AudioEndpoint.Kind.EARPIECE,
            CallAudioState.ROUTE_SPEAKER to AudioEndpoint.Kind.SPEAKER,
            CallAudioState.ROUTE_WIRED_HEADSET to AudioEndpoint.Kind.WIRED_HEADSET,
            CallAudioState.ROUTE_BLUETOOTH to AudioEndpoint.Kind.BLUETOOTH,
        )
    }
}

/** What Telecom is told. */
private val EndReason.cause: Int
    get() = when (this) {
        EndReason.REMOTE -> DisconnectCause.REMOTE
        EndReason.MISSED -> DisconnectCause.MISSED
        EndReason.ANSWERED_ELSEWHERE -> DisconnectCause.ANSWERED_ELSEWHERE
        EndReason.LOCAL -> DisconnectCause.LOCAL
        EndReason.REJECTED -> DisconnectCause.REJECTED
        EndReason.REFUSED -> DisconnectCause.CANCELED
        EndReason.FAILED -> DisconnectCause.ERROR
    }

/** What Telecom asks for a call that [PhoneCalls] announced. The library's manifest registers it. */
class HookswitchConnectionService : ConnectionService() {
    override fun onCreateIncomingConnection(account: PhoneAccountHandle?, request: ConnectionRequest): Connection =
        PhoneCalls.current?.connected(request.callId)
            // It has stopped since, or this process has heard of no such call.
            ?: Connection.createCanceledConnection()

    override fun onCreateIncomingConnectionFailed(account: PhoneAccountHandle?, request: ConnectionRequest) {
        PhoneCalls.current?.refused(request.callId)
    }

    private val ConnectionRequest.callId: CallId? get() = extras?.getString(Telecom.CALL_ID)
}
