package dev.hookswitch.android

import android.content.ComponentName
import android.content.Context
import android.net.Uri
import android.os.Bundle
import android.telecom.Connection
import android.telecom.ConnectionRequest
import android.telecom.ConnectionService
import android.telecom.DisconnectCause
import android.telecom.PhoneAccount
import android.telecom.PhoneAccountHandle
import android.telecom.TelecomManager
import dev.hookswitch.Hookswitch
import dev.hookswitch.HookswitchException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.launch

/**
 * Calls in Telecom, as a self-managed app: the app shows its own call screen and notification, Telecom keeps the calls of all apps
 * apart. The app registers [HookswitchConnectionService] in its manifest, and makes one of these in `Application.onCreate`.
 *
 * @param label The name of the phone account: the app's.
 * @param scope The process's, on the main thread.
 * @param showIncoming Shows the ringing call: a full-screen notification.
 */
class TelecomCalls(
    context: Context,
    label: String,
    internal val hookswitch: Hookswitch,
    internal val scope: CoroutineScope,
    internal val showIncoming: (callId: String, from: String?, name: String?) -> Unit,
) : CallScreen {
    private val telecom = context.getSystemService(TelecomManager::class.java)
    private val account =
        PhoneAccountHandle(ComponentName(context, HookswitchConnectionService::class.java), "hookswitch")
    internal val connections = mutableMapOf<String, HookswitchConnection>()

    init {
        telecom?.registerPhoneAccount(
            PhoneAccount.builder(account, label).setCapabilities(PhoneAccount.CAPABILITY_SELF_MANAGED).build(),
        )
        current = this
    }

    override fun add(callId: String, from: String?, name: String?) {
        val extras = Bundle().apply {
            putString(CALL_ID, callId)
            putString(NAME, name)
            from?.let {
                putParcelable(TelecomManager.EXTRA_INCOMING_CALL_ADDRESS, Uri.fromParts(PhoneAccount.SCHEME_TEL, it, null))
            }
        }
        telecom?.addNewIncomingCall(
            account,
            Bundle().apply {
                putAll(extras)
                // What the connection service is given.
                putBundle(TelecomManager.EXTRA_INCOMING_CALL_EXTRAS, extras)
            },
        )
    }

    override fun end(callId: String, reason: EndReason) {
        connections.remove(callId)?.end(
            when (reason) {
                EndReason.REMOTE -> DisconnectCause.REMOTE
                EndReason.MISSED -> DisconnectCause.MISSED
                EndReason.ANSWERED_ELSEWHERE -> DisconnectCause.ANSWERED_ELSEWHERE
            },
        )
    }

    /** What the agent did here holds on this phone whatever comes of it; the core tells the server as soon as it can. */
    internal fun tell(what: suspend Hookswitch.Calls.() -> Unit) {
        scope.launch {
            try {
                hookswitch.calls.what()
            } catch (_: HookswitchException) {
                // The call has ended on this phone all the same.
            }
        }
    }

    internal companion object {
        const val CALL_ID = "dev.hookswitch.call_id"
        const val NAME = "dev.hookswitch.name"

        /** Telecom makes the service by itself, so the two meet here. */
        @Volatile
        var current: TelecomCalls? = null
    }
}

/** One call. */
class HookswitchConnection internal constructor(
    private val calls: TelecomCalls,
    private val callId: String,
    private val from: String?,
    private val name: String?,
) : Connection() {
    private var answered = false

    override fun onShowIncomingCallUi() = calls.showIncoming(callId, from, name)

    override fun onAnswer() {
        calls.scope.launch {
            try {
                calls.hookswitch.calls.answer(callId)
                answered = true
                setActive()
            } catch (_: HookswitchException.Forbidden) {
                // Somebody else was quicker.
                calls.end(callId, EndReason.ANSWERED_ELSEWHERE)
            } catch (_: HookswitchException) {
                calls.connections.remove(callId)
                end(DisconnectCause.ERROR)
            }
        }
    }

    override fun onReject() {
        calls.connections.remove(callId)
        calls.tell { decline(callId) }
        end(DisconnectCause.REJECTED)
    }

    override fun onDisconnect() {
        calls.connections.remove(callId)
        calls.tell { if (answered) hangUp(callId) else decline(callId) }
        end(DisconnectCause.LOCAL)
    }

    internal fun end(cause: Int) {
        setDisconnected(DisconnectCause(cause))
        destroy()
    }
}

/** What Telecom asks for a call that [TelecomCalls.add] announced. */
class HookswitchConnectionService : ConnectionService() {
    override fun onCreateIncomingConnection(account: PhoneAccountHandle?, request: ConnectionRequest): Connection {
        val calls = TelecomCalls.current
        val callId = request.extras?.getString(TelecomCalls.CALL_ID)
        if (calls == null || callId == null) return Connection.createFailedConnection(DisconnectCause(DisconnectCause.ERROR))
        val from = request.address?.schemeSpecificPart
        val name = request.extras?.getString(TelecomCalls.NAME)
        return HookswitchConnection(calls, callId, from, name).apply {
            setConnectionProperties(Connection.PROPERTY_SELF_MANAGED)
            setAddress(request.address, TelecomManager.PRESENTATION_ALLOWED)
            setCallerDisplayName(name, TelecomManager.PRESENTATION_ALLOWED)
            setRinging()
            calls.connections[callId] = this
        }
    }

    override fun onCreateIncomingConnectionFailed(account: PhoneAccountHandle?, request: ConnectionRequest) {
        // Telecom refuses, for an emergency call or too many calls: nobody sees it ring.
        val callId = request.extras?.getString(TelecomCalls.CALL_ID) ?: return
        TelecomCalls.current?.tell { decline(callId) }
    }
}
