package dev.hookswitch.agent

import android.content.ActivityNotFoundException
import android.content.Intent
import dev.hookswitch.Hookswitch
import dev.hookswitch.HookswitchException
import dev.hookswitch.android.Call
import dev.hookswitch.android.CoreState
import dev.hookswitch.android.openLogin
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.withContext
import java.time.Instant

/** Carries out what the agent does on the screens. What it began goes on when the screen is turned. */
class Agent(private val app: AgentApplication, private val scope: CoroutineScope) {
    private val mutable = MutableStateFlow(Ui())

    /** What belongs to the screens alone. */
    val ui: StateFlow<Ui> = mutable.asStateFlow()

    /** What is typed, by the names of [Fields]. */
    val fields: MutableMap<String, String> = mutableMapOf()

    /** What was begun last; gives what went wrong, if anything. For tests, which tap and then wait. */
    internal var last: Deferred<HookswitchException?> = CompletableDeferred(null)
        private set

    /** One action. [activity] is what asks for permissions and opens other apps. */
    fun act(act: Act, activity: AgentActivity) {
        val call = app.phone.foremost()
        when (act) {
            is Act.Go -> mutable.update { Ui(screen = act.to) }
            Act.SignIn -> core { session.openLogin(activity, app.redirectUri(), app.loginHint(), app.browser()) }
            Act.CancelSignIn -> core { session.cancelLogin() }
            Act.SignOut -> core { session.signOut() }
            Act.SignOutEverywhere -> core { session.signOutEverywhere() }
            is Act.End -> core { session.end(act.place) }
            is Act.Choose -> core(waits = false) { presence.setAvailability(act.availability) }
            is Act.Forward -> core {
                presence.setForwarding(typed(Fields.NUMBER), act.hours?.let { Instant.now().plusSeconds(it * SECONDS_AN_HOUR) })
                fields.clear()
                mutable.update { Ui(screen = Screen.HOME) }
            }
            Act.ForwardingOff -> core(waits = false) { presence.setForwarding(null) }
            is Act.SendCode -> core {
                presence.sendCode(typed(Fields.NUMBER), act.by)
                mutable.update { it.copy(codeSent = true, message = Text(R.string.code_sent)) }
            }
            Act.Verify -> core {
                presence.verify(typed(Fields.NUMBER), typed(Fields.CODE))
                mutable.update { it.copy(codeSent = false, message = Text(R.string.verified)) }
            }
            Act.Repair -> core {
                val done = session.repair()
                mutable.update { it.copy(repaired = done) }
            }
            Act.Share -> core { share(activity, withContext(Dispatchers.IO) { transcript() }) }
            Act.Retry -> app.phone.retry()
            is Act.Grant -> activity.grant(act.missing)
            Act.Accept, Act.Reject, Act.HangUp, Act.Silence, is Act.Mute, is Act.Hold, is Act.Use -> call?.let { on(it, act, activity) }
        }
    }

    /** The browser has come back. */
    fun finishLogin(redirect: String): Unit = core { session.finishLogin(redirect) }

    private fun on(call: Call, act: Act, activity: AgentActivity) {
        when (act) {
            Act.Accept -> {
                // Without it the other side hears nothing; the call is answered all the same.
                activity.askForMicrophone()
                call.accept()
            }
            Act.Reject -> call.reject()
            Act.HangUp -> call.disconnect()
            Act.Silence -> call.silence()
            is Act.Mute -> call.mute(act.on)
            is Act.Hold -> call.hold(act.on)
            is Act.Use -> call.use(act.endpoint)
            else -> Unit
        }
    }

    private fun typed(field: String) = fields[field].orEmpty()

    /** [waits]: the screen is busy until the server has answered. What else is chosen is shown as pending by the core. */
    private fun core(waits: Boolean = true, what: suspend Hookswitch.() -> Unit) {
        mutable.update { it.copy(message = null, busy = waits) }
        last = scope.async {
            try {
                app.phone.hookswitch().what()
                null
            } catch (cancelled: CancellationException) {
                throw cancelled
            } catch (failure: HookswitchException) {
                // What a newer choice or the agent's own doing ended needs no words.
                if (failure !is HookswitchException.Cancelled) mutable.update { it.copy(message = Text.said(failure.message)) }
                failure
            } catch (_: ActivityNotFoundException) {
                mutable.update { it.copy(message = Text(R.string.no_browser)) }
                null
            } finally {
                mutable.update { it.copy(busy = false) }
            }
        }
    }

    private fun share(activity: AgentActivity, transcript: String) {
        val send = Intent(Intent.ACTION_SEND).setType("text/plain").putExtra(Intent.EXTRA_TEXT, transcript.takeLast(MOST_SHARED))
        activity.startActivity(Intent.createChooser(send, app.getText(R.string.share)))
    }

    private companion object {
        const val SECONDS_AN_HOUR = 3_600L

        /** What fits in an intent. */
        const val MOST_SHARED = 200_000
    }
}

/** How far the core is, as screens see it. */
internal val CoreState.word: Core
    get() = when (this) {
        CoreState.Opening -> Core.OPENING
        CoreState.Locked -> Core.LOCKED
        is CoreState.Failed -> Core.FAILED
        is CoreState.Open -> Core.OPEN
    }
