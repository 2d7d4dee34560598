package dev.hookswitch

import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.MutableStateFlow

/**
 * What the core tells, handed to flows. Called on a thread of the core's, one call at a time and in order, so an older state never follows
 * a newer one; never waits.
 */
internal class Hub : Observer {
    /** The core tells the first before it is open. */
    val state = MutableStateFlow(appStateBeforeOpen())
    val session = MutableStateFlow(state.value.session)
    val presence = MutableStateFlow(state.value.presence)
    val link = MutableStateFlow(state.value.link)
    val calls = MutableStateFlow(state.value.calls)
    val stops = MutableSharedFlow<StoppedCall>(extraBufferCapacity = 256, onBufferOverflow = BufferOverflow.DROP_OLDEST)

    override fun changed(state: AppState) {
        this.state.value = state
        session.value = state.session
        presence.value = state.presence
        link.value = state.link
        calls.value = state.calls
    }

    override fun stopRinging(call: StoppedCall) {
        stops.tryEmit(call)
    }
}
