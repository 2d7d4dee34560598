package dev.hookswitch.android

import android.app.Activity
import android.app.Application
import android.content.Intent
import android.os.Looper
import android.os.UserManager
import android.telecom.Connection
import android.telecom.TelecomManager
import dev.hookswitch.CallAction
import dev.hookswitch.CallId
import dev.hookswitch.Hookswitch
import dev.hookswitch.HookswitchException
import dev.hookswitch.RingLogEntry
import dev.hookswitch.Silence
import dev.hookswitch.StopReason
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.cancel
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeoutOrNull
import java.time.Duration

/**
 * The phone: push, Telecom, headset, notification and the app's screen all go through it, and nobody goes past it to the core's calls or to
 * Telecom. What Telecom and the core see differently is repaired here.
 *
 * Make one in `Application.onCreate`, before anything else: it watches the app from the first moment, opens the core beside that, and opens it
 * again when that fails. A push in between waits for the core.
 *
 * @param application The app.
 * @param screen The activity that shows calls, also over the lock screen. It hands its intents to [opened].
 * @param label The name of the phone account: the app's.
 * @param media The sound of calls.
 * @param connect Opens the core: `Hookswitch.connect(context, configuration)`.
 */
class PhoneCalls(
    private val application: Application,
    screen: Class<out Activity>,
    label: CharSequence,
    private val media: CallMedia = ToneMedia(),
    private val connect: suspend () -> Hookswitch,
) : AutoCloseable {
    /** On the main thread, where all of this lives. */
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Main.immediate)
    private val telecom = Telecom(application, label)
    internal val notifications = CallNotifications(application, screen)
    private val events = PlatformEvents(application) { returned() }
    private val nudges = Channel<Unit>(Channel.CONFLATED)
    private val mutableCore = MutableStateFlow<CoreState>(CoreState.Opening)
    private val mutableCalls = MutableStateFlow<List<Call>>(listOf())
    private val connections = mutableMapOf<CallId, TelecomConnection>()

    /** Of calls that Telecom has taken and not connected yet. */
    private val patience = mutableMapOf<CallId, Job>()

    /** Calls that have ended on this phone, whatever the core says yet. */
    private val over = ArrayDeque<CallId>()
    private val ringTimes = mutableMapOf<CallId, Long>()
    private var pushToken: String? = null

    /** What the agent does. */
    private val actions = object : CallActions {
        override fun accept(call: Call): Unit = onMain {
            val hookswitch = (core.value as? CoreState.Open)?.hookswitch
            if (hookswitch == null || call.state.value.phase != CallPhase.Ringing) return@onMain
            move(call, CallPhase.Answering)
            notifications.silence(call)
            scope.launch {
                try {
                    hookswitch.calls.answer(call.id)
                    activate(call)
                } catch (refused: HookswitchException.Forbidden) {
                    // Somebody else was quicker.
                    end(call, EndReason.ANSWERED_ELSEWHERE, refused.message)
                } catch (failure: HookswitchException) {
                    failed(call, failure)
                }
            }
        }

        /** While the call still rings, it can be answered once more. */
        private fun failed(call: Call, failure: HookswitchException) {
            val hookswitch = (core.value as? CoreState.Open)?.hookswitch
            val rings = hookswitch != null && hookswitch.currentState().calls.ringing.any { it.callId == call.id }
            if (rings && call.state.value.phase == CallPhase.Answering) {
                call.change { it.copy(phase = CallPhase.Ringing, silenced = true, message = failure.message) }
            } else {
                end(call, EndReason.FAILED, failure.message)
            }
        }

        override fun reject(call: Call): Unit = onMain {
            if (call.state.value.phase != CallPhase.Ringing) return@onMain
            end(call, EndReason.REJECTED)
            (core.value as? CoreState.Open)?.let { tell { it.hookswitch.calls.decline(call.id) } }
        }

        override fun disconnect(call: Call): Unit = onMain {
            when (call.state.value.phase) {
                CallPhase.Ringing -> reject(call)
                CallPhase.Answering, CallPhase.Active, CallPhase.Held -> {
                    end(call, EndReason.LOCAL)
                    (core.value as? CoreState.Open)?.let { tell { it.hookswitch.calls.hangUp(call.id) } }
                }
                is CallPhase.Ended -> Unit
            }
        }

        override fun silence(call: Call): Unit = onMain {
            val state = call.state.value
            if (state.phase != CallPhase.Ringing || state.silenced) return@onMain
            call.change { it.copy(silenced = true) }
            notifications.silence(call)
        }

        override fun mute(call: Call, on: Boolean): Unit = onMain {
            if (call.state.value.phase !in SPEAKING || call.state.value.muted == on) return@onMain
            call.change { it.copy(muted = on) }
            media.mute(on)
        }

        override fun hold(call: Call, on: Boolean): Unit = onMain {
            val from = if (on) CallPhase.Active else CallPhase.Held
            if (call.state.value.phase != from) return@onMain
            move(call, if (on) CallPhase.Held else CallPhase.Active)
            connections[call.id]?.run { if (on) setOnHold() else setActive() }
            media.hold(on)
        }

        override fun use(call: Call, endpoint: AudioEndpoint): Unit = onMain {
            if (call.state.value.phase !in SPEAKING) return@onMain
            connections[call.id]?.use(application, endpoint)
            media.route(endpoint)
        }
    }

    /** The core, as far as it is open. */
    val core: StateFlow<CoreState> = mutableCore.asStateFlow()

    /** The calls on this phone, oldest first. One that has ended is not among them. */
    val calls: StateFlow<List<Call>> = mutableCalls.asStateFlow()

    init {
        current = this
        scope.launch { open() }
    }

    /** The core, once it is open. */
    suspend fun hookswitch(): Hookswitch = core.filterIsInstance<CoreState.Open>().first().hookswitch

    /** Opens the core now, when that failed and waits to be tried again. */
    fun retry() {
        nudges.trySend(Unit)
    }

    /** The call with that name, if it is on this phone. */
    fun find(callId: CallId): Call? = calls.value.firstOrNull { it.id == callId }

    /** The call that a screen shows: the one that the agent speaks in, or the first that rings. */
    fun foremost(): Call? = calls.value.firstOrNull { it.state.value.phase != CallPhase.Ringing } ?: calls.value.firstOrNull()

    /**
     * What [screen] was started or shown with: `onCreate` and `onNewIntent`. The notification's Answer comes this way. Gives the call to show.
     */
    fun opened(intent: Intent): Call? {
        val call = find(intent.getStringExtra(Telecom.CALL_ID) ?: return null) ?: return null
        if (intent.action == CallNotifications.ANSWER) {
            // It is delivered again when the screen is made anew, and answers once.
            intent.action = CallNotifications.SHOW
            call.accept()
        }
        return call
    }

    /** The push service gave this phone an address. Told to the core as soon as it is there. */
    fun setPushToken(token: String): Unit = onMain {
        pushToken = token
        (core.value as? CoreState.Open)?.let { tellPushToken(it.hookswitch) }
    }

    /**
     * Takes the data of a push message. Gives whether it was for us: other messages of the app come the same way. Returns when the call rings,
     * or is known not to.
     *
     * On a thread of the push service's it waits for that, and no longer than ten seconds: the phone may sleep as soon as it returns, and
     * the service ends the process after twenty. On the main thread it does not wait: a push that comes before the core is judged when it is there.
     */
    fun received(data: Map<String, String>): Boolean {
        val payload = data[PAYLOAD] ?: return false
        retry()
        if (isMain()) {
            scope.launch(start = CoroutineStart.UNDISPATCHED) { take(payload) }
        } else {
            // Outlives the wait.
            val taken = scope.async(Dispatchers.Default) { take(payload) }
            runBlocking { withTimeoutOrNull(PATIENCE.toMillis()) { taken.await() } }
        }
        return true
    }

    private suspend fun take(payload: String) {
        val hookswitch = hookswitch()
        val decision = try {
            hookswitch.ring.decide(payload)
        } catch (_: HookswitchException) {
            // It cannot be read, or the core was closed; the core's log says so.
            return
        }
        when (decision.action) {
            CallAction.ADD_CALL -> withContext(Dispatchers.Main.immediate) {
                add(Call(decision.callId, decision.from, decision.fromName, actions), Duration.between(decision.at, decision.expiresAt))
                // It may have stopped while this thread was on its way.
                settle()
            }
            CallAction.NOTHING, CallAction.REPORT_INCOMING_CALL, CallAction.REPORT_THEN_END -> Unit
        }
    }

    // ---- the core ------------------------------------------------------------------------------------------------------------

    private suspend fun open() {
        untilUnlocked()
        var pause = FIRST_PAUSE
        while (true) {
            try {
                return attach(connect())
            } catch (cancelled: CancellationException) {
                throw cancelled
            } catch (failure: Exception) {
                mutableCore.value = CoreState.Failed(failure)
            }
            withTimeoutOrNull(pause.toMillis()) { nudges.receive() }
            pause = minOf(pause.multipliedBy(2), LAST_PAUSE)
        }
    }

    /** Before the first unlock there is no folder to open, unless the app's is device-protected; the process is hardly ever started then. */
    private suspend fun untilUnlocked() {
        val users = application.getSystemService(UserManager::class.java) ?: return
        while (!users.isUserUnlocked) {
            mutableCore.value = CoreState.Locked
            nudges.receive()
        }
        mutableCore.value = CoreState.Opening
    }

    private fun attach(hookswitch: Hookswitch) {
        // Before the first push is judged: a stop that nobody hears is lost.
        scope.launch(start = CoroutineStart.UNDISPATCHED) { hookswitch.calls.stops.collect { settle() } }
        scope.launch(start = CoroutineStart.UNDISPATCHED) { hookswitch.calls.state.collect { settle() } }
        events.attach(hookswitch)
        mutableCore.value = CoreState.Open(hookswitch)
        tellPushToken(hookswitch)
        tellFacts(hookswitch)
        settle()
    }

    private fun returned() {
        retry()
        (core.value as? CoreState.Open)?.let { tellFacts(it.hookswitch) }
    }

    private fun tellPushToken(hookswitch: Hookswitch) {
        pushToken?.let { token -> tell { hookswitch.setPushToken(token) } }
    }

    private fun tellFacts(hookswitch: Hookswitch) = tell { hookswitch.tellDeviceFacts(application) }

    /** What the core stores, and tells the server when it can. */
    private fun tell(what: suspend () -> Unit) {
        scope.launch {
            try {
                what()
            } catch (_: HookswitchException) {
                // What the agent did holds on this phone; the core says in its state what else there is to say.
            }
        }
    }

    // ---- what the core and Telecom see ---------------------------------------------------------------------------------------

    /** Makes the calls on this phone those of the core, at this very moment. */
    private fun settle() {
        val hookswitch = (core.value as? CoreState.Open)?.hookswitch ?: return
        val shown = hookswitch.currentState().calls
        val inCall = shown.inCall
        for (call in calls.value) {
            val isRinging = shown.ringing.any { it.callId == call.id }
            val isAnswered = inCall?.callId == call.id
            when (call.state.value.phase) {
                CallPhase.Ringing -> if (isAnswered) {
                    activate(call)
                } else if (!isRinging) {
                    end(call, whyStopped(hookswitch, call.id))
                }
                CallPhase.Answering -> if (!isAnswered && !isRinging) end(call, whyStopped(hookswitch, call.id))
                CallPhase.Active, CallPhase.Held -> if (!isAnswered) end(call, EndReason.REMOTE)
                is CallPhase.Ended -> Unit
            }
        }
        // Of a process before this one, or heard by another way than a push.
        for (ringing in shown.ringing) {
            val left = ringing.expiresAt?.let { Duration.between(ringing.since, it) } ?: LONGEST_RING
            add(Call(ringing.callId, ringing.from, ringing.fromName, actions), left)
        }
        inCall?.takeIf { find(it.callId) == null && it.callId !in over }?.let {
            val call = Call(it.callId, it.from, it.fromName, actions)
            mutableCalls.value += call
            activate(call)
        }
    }

    private fun whyStopped(hookswitch: Hookswitch, callId: CallId): EndReason {
        val stopped = try {
            hookswitch.ring.log().filterIsInstance<RingLogEntry.Stopped>().lastOrNull { it.callId == callId }
        } catch (_: HookswitchException) {
            null
        }
        return when (val why = stopped?.why) {
            null, StopReason.AnsweredHere -> EndReason.REMOTE
            StopReason.DeclinedHere -> EndReason.REJECTED
            is StopReason.Silenced -> why.reason.endReason
        }
    }

    private fun add(call: Call, ringsFor: Duration) {
        if (find(call.id) != null || call.id in over) return
        mutableCalls.value += call
        ringTimes[call.id] = ringsFor.toMillis().coerceIn(1_000, LONGEST_RING.toMillis())
        if (telecom.add(call)) {
            // Some Telecoms take a call and never come back to it: it rings without them.
            patience[call.id] = scope.launch {
                delay(TELECOM_PATIENCE.toMillis())
                ring(call)
            }
        } else {
            ring(call)
        }
    }

    private fun ring(call: Call) {
        patience.remove(call.id)?.cancel()
        val state = call.state.value
        if (state.phase == CallPhase.Ringing && !state.silenced) {
            notifications.ring(call, ringTimes[call.id] ?: LONGEST_RING.toMillis())
        }
    }

    /** Telecom connects a call; `null`: it is over, or nobody knows it. On the main thread. */
    internal fun connected(callId: CallId?): Connection? {
        val call = find(callId ?: return null) ?: return null
        return TelecomConnection(call) { ring(call) }.apply {
            connectionProperties = Connection.PROPERTY_SELF_MANAGED
            connectionCapabilities = Connection.CAPABILITY_HOLD or Connection.CAPABILITY_SUPPORT_HOLD or Connection.CAPABILITY_MUTE
            audioModeIsVoip = true
            call.from?.let { setAddress(android.net.Uri.fromParts("tel", it, null), TelecomManager.PRESENTATION_ALLOWED) }
            setCallerDisplayName(call.name, TelecomManager.PRESENTATION_ALLOWED)
            connections[call.id] = this
            when (call.state.value.phase) {
                CallPhase.Active -> setActive()
                CallPhase.Held -> setOnHold()
                CallPhase.Ringing, CallPhase.Answering, is CallPhase.Ended -> setRinging()
            }
        }
    }

    /** Telecom refuses, for an emergency call or too many calls: this phone does not ring, and the others go on. */
    internal fun refused(callId: CallId?) {
        find(callId ?: return)?.let { end(it, EndReason.REFUSED) }
    }

    private fun activate(call: Call) {
        if (!move(call, CallPhase.Active)) return
        notifications.stop(call)
        connections[call.id]?.setActive()
        media.start(call.id)
        CallService.start(application)
    }

    private fun end(call: Call, reason: EndReason, message: String? = null) {
        val before = call.state.value.phase
        if (before is CallPhase.Ended) return
        call.change { it.copy(phase = CallPhase.Ended(reason), message = message ?: it.message) }
        mutableCalls.value -= call
        over.addLast(call.id)
        if (over.size > REMEMBERED) over.removeFirst()
        patience.remove(call.id)?.cancel()
        ringTimes.remove(call.id)
        notifications.stop(call)
        connections.remove(call.id)?.end(reason)
        if (before == CallPhase.Active || before == CallPhase.Held) {
            media.stop()
            CallService.stop(application)
        }
    }

    private fun move(call: Call, to: CallPhase): Boolean {
        val from = call.state.value.phase
        if (from is CallPhase.Ended || from == to) return false
        call.change { it.copy(phase = to, message = null) }
        return true
    }

    // ---- what the agent does -------------------------------------------------------------------------------------------------

    private fun onMain(what: () -> Unit) {
        if (isMain()) what() else scope.launch { what() }
    }

    private fun isMain() = Looper.myLooper() == Looper.getMainLooper()

    /** Ends it, and closes the core: for tests. An app's phone lives as long as its process. */
    override fun close() {
        for (call in calls.value) end(call, EndReason.FAILED)
        scope.cancel()
        events.close()
        (core.value as? CoreState.Open)?.hookswitch?.close()
        if (current === this) current = null
    }

    internal companion object {
        /** Android makes services and receivers by itself, so they meet here. */
        @Volatile
        var current: PhoneCalls? = null

        /** FCM carries text only: the push is the JSON text under this name. */
        const val PAYLOAD = "call"

        private val SPEAKING = setOf(CallPhase.Active, CallPhase.Held)
        private const val REMEMBERED = 64
        private val PATIENCE = Duration.ofSeconds(10)
        private val TELECOM_PATIENCE = Duration.ofSeconds(3)
        private val FIRST_PAUSE = Duration.ofSeconds(1)
        private val LAST_PAUSE = Duration.ofMinutes(1)
        private val LONGEST_RING = Duration.ofMinutes(2)
    }
}

/** The core, as far as it is open. */
sealed interface CoreState {
    /** It is being opened: show a splash screen. */
    data object Opening : CoreState

    /** The phone was not unlocked since it started, so that there is nothing to open yet. */
    data object Locked : CoreState

    /**
     * It could not be opened, and is tried again: say so, with a button for [PhoneCalls.retry].
     *
     * @property failure Why.
     */
    data class Failed(val failure: Exception) : CoreState

    /**
     * It is open, for as long as the process lives.
     *
     * @property hookswitch The core.
     */
    data class Open(val hookswitch: Hookswitch) : CoreState
}

/** What Telecom is told when a phone must stop ringing. */
internal val Silence.endReason: EndReason
    get() =
        when (this) {
            Silence.ANSWERED_ELSEWHERE -> EndReason.ANSWERED_ELSEWHERE
            Silence.EXPIRED -> EndReason.MISSED
            Silence.FORWARDING_ACTIVE, Silence.NOT_AVAILABLE, Silence.IN_ANOTHER_CALL, Silence.CALL_ENDED, Silence.DUPLICATE,
            Silence.SIGNED_OUT, Silence.OTHER_ACCOUNT, Silence.DEVICE_NOT_REGISTERED, Silence.SIGN_IN_NEEDED,
            -> EndReason.REMOTE
        }
