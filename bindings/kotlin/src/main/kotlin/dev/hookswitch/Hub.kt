package dev.hookswitch

import dev.hookswitch.generated.Core
import dev.hookswitch.generated.CoreException
import dev.hookswitch.generated.Observer
import dev.hookswitch.generated.View
import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.MutableStateFlow
import java.lang.ref.WeakReference
import dev.hookswitch.generated.StopReason as CoreStop

/** What the core tells, handed to flows. Called on a thread of the core's; never waits. */
internal class Hub : Observer {
    val snapshot =
        MutableStateFlow(Snapshot(SessionState.Loading, null, Link.OFF, CallsState(ringing = listOf(), inCall = null)))
    val session = MutableStateFlow(snapshot.value.session)
    val presence = MutableStateFlow(snapshot.value.presence)
    val link = MutableStateFlow(snapshot.value.link)
    val calls = MutableStateFlow(snapshot.value.calls)
    val stops = MutableSharedFlow<StoppedCall>(extraBufferCapacity = 256, onBufferOverflow = BufferOverflow.DROP_OLDEST)

    // Rust keeps this hub; a core that nobody else keeps may go.
    private var core = WeakReference<Core>(null)

    override fun changed(view: View) = refresh()

    override fun stopRinging(callId: String, why: CoreStop) {
        stops.tryEmit(StoppedCall(callId, why.ours()))
    }

    fun begin(core: Core) {
        this.core = WeakReference(core)
        refresh()
    }

    /**
     * Shows what is now, whoever comes first: the news, or the reply to a call. So an older view never follows a newer one. Synchronized:
     * they come on several threads.
     */
    @Synchronized
    fun refresh() {
        val view =
            try {
                core.get()?.view() ?: return
            } catch (_: CoreException.Cancelled) {
                // It was closed.
                return
            }
        val now = view.ours()
        snapshot.value = now
        session.value = now.session
        presence.value = now.presence
        link.value = now.link
        calls.value = now.calls
    }
}
