package dev.hookswitch.agent

import android.Manifest
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.os.Build
import android.os.Bundle
import android.view.WindowManager
import dev.hookswitch.Hookswitch
import dev.hookswitch.HookswitchException
import dev.hookswitch.RingLogEntry
import dev.hookswitch.android.CoreState
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.combine
import kotlinx.coroutines.flow.flatMapLatest
import kotlinx.coroutines.flow.flowOf
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import java.time.ZoneId

/** The only activity: draws [page], takes the browser's and the notification's intents, and shows calls over the lock screen. */
class AgentActivity : Activity() {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Main.immediate)
    private val app: AgentApplication get() = application as AgentApplication
    private lateinit var view: PageView
    private var drawing: Job? = null
    private var log = listOf<RingLogEntry>()
    private var missing = listOf<Missing>()
    private var last = Shown(Core.OPENING)

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        view = PageView(this, app.agent.fields) { app.agent.act(it, this) }
        setContentView(view.root)
        // An intent that was handed in before the screen was turned is not new.
        if (state == null) take(intent)
        drawing = scope.launch { shown().collect(::draw) }
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        setIntent(intent)
        take(intent)
    }

    override fun onResume() {
        super.onResume()
        // The agent may have been in the settings.
        missing = missing(this)
        draw(last)
        readLog()
    }

    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }

    @Deprecated("Until the predictive one is in every version.")
    override fun onBackPressed() {
        if (app.agent.ui.value.screen != Screen.HOME) app.agent.act(Act.Go(Screen.HOME), this) else finish()
    }

    override fun onRequestPermissionsResult(code: Int, permissions: Array<String>, results: IntArray) {
        missing = missing(this)
        draw(last)
        // Refused for good: only the settings can.
        val refused =
            Missing.entries.getOrNull(code)?.takeIf { results.any { result -> result != PackageManager.PERMISSION_GRANTED } } ?: return
        val permission = refused.permission() ?: return
        if (!shouldShowRequestPermissionRationale(permission)) open(refused.settings(this))
    }

    /** Asks the agent: in the app where Android does that, and else in the settings. */
    fun grant(what: Missing) {
        val permission = what.permission()
        if (permission != null) requestPermissions(arrayOf(permission), what.ordinal) else open(what.settings(this))
    }

    /** When a call is answered, and not before: nobody sees why otherwise. */
    fun askForMicrophone() {
        if (Missing.MICROPHONE in missing(this)) requestPermissions(arrayOf(Manifest.permission.RECORD_AUDIO), MICROPHONE_IN_A_CALL)
    }

    private fun open(settings: Intent) {
        try {
            startActivity(settings)
        } catch (_: ActivityNotFoundException) {
            // A maker that left this page out.
        }
    }

    private fun take(intent: Intent) {
        if (intent.action == Intent.ACTION_VIEW) {
            intent.dataString?.let { app.agent.finishLogin(it) }
        } else {
            app.phone.opened(intent)
        }
    }

    @OptIn(ExperimentalCoroutinesApi::class)
    private fun shown(): Flow<Shown> {
        val core = app.phone.core.flatMapLatest { core ->
            when (core) {
                is CoreState.Open -> core.hookswitch.state.map { Shown(Core.OPEN, it, device = core.hookswitch.deviceId) }
                else -> flowOf(Shown(core.word))
            }
        }
        val call = app.phone.calls.flatMapLatest { calls ->
            val front = app.phone.foremost().takeIf { calls.isNotEmpty() }
            front?.state?.map { CallShown(front) } ?: flowOf(null)
        }
        return combine(core, call, app.agent.ui) { known, front, ui -> known.copy(call = front, ui = ui) }
    }

    private fun draw(shown: Shown) {
        if (last.ui.screen != shown.ui.screen || last.app?.calls != shown.app?.calls) readLog()
        last = shown.copy(
            missing = missing,
            log = log,
            about = app.configuration().run { "$appVersion · $server" },
            zone = ZoneId.systemDefault(),
            locale = resources.configuration.locales[0],
        )
        overLockScreen(last.call != null)
        view.draw(page(last), home = last.ui.screen == Screen.HOME || last.call != null)
    }

    private fun readLog() {
        val hookswitch: Hookswitch = (app.phone.core.value as? CoreState.Open)?.hookswitch ?: return
        scope.launch {
            try {
                log = withContext(Dispatchers.IO) { hookswitch.ring.log() }
            } catch (_: HookswitchException) {
                return@launch
            }
            if (last.log != log) draw(last)
        }
    }

    private fun overLockScreen(on: Boolean) {
        if (Build.VERSION.SDK_INT >= 27) {
            setShowWhenLocked(on)
            setTurnScreenOn(on)
            return
        }
        @Suppress("DEPRECATION")
        val flags = WindowManager.LayoutParams.FLAG_SHOW_WHEN_LOCKED or WindowManager.LayoutParams.FLAG_TURN_SCREEN_ON
        if (on) window.addFlags(flags) else window.clearFlags(flags)
    }

    private companion object {
        const val MICROPHONE_IN_A_CALL = 100
    }
}
