package dev.hookswitch

import dev.hookswitch.generated.Observer
import dev.hookswitch.generated.View
import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.MutableStateFlow
import dev.hookswitch.generated.StopReason as CoreStop

/** What the core tells, handed to flows. Called on a thread of the core's; never waits, and knows no core, so that none is kept alive. */
internal class Hub : Observer {
    val snapshot =
        MutableStateFlow(Snapshot(SessionState.Loading, null, Link.OFF, CallsState(ringing = listOf(), inCall = null)))
    val session = MutableStateFlow(snapshot.value.session)
    val presence = MutableStateFlow(snapshot.value.presence)
    val link = MutableStateFlow(snapshot.value.link)
    val calls = MutableStateFlow(snapshot.value.calls)
    val stops = MutableSharedFlow<StoppedCall>(extraBufferCapacity = 256, onBufferOverflow = BufferOverflow.DROP_OLDEST)

    private var told = false

    @Synchronized
    override fun changed(view: View) {
        told = true
        show(view.ours())
    }

    /** What to show until the core has told anything. */
    @Synchronized
    fun begin(first: Snapshot) {
        if (!told) show(first)
    }

    override fun stopRinging(callId: String, why: CoreStop) {
        stops.tryEmit(StoppedCall(callId, why.ours()))
    }

    private fun show(now: Snapshot) {
        snapshot.value = now
        session.value = now.session
        presence.value = now.presence
        link.value = now.link
        calls.value = now.calls
    }
}
