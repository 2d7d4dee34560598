package dev.hookswitch.agent

import android.telecom.Connection
import org.junit.After
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import kotlin.test.assertNotNull
import kotlin.test.assertNull

/** The oldest Android. */
@Config(sdk = [26])
class OldestAndroidTest : EveryAndroid()

/** The first Android with a style for calls. The newest is everybody else's. */
@Config(sdk = [31])
class CallStyleAndroidTest : EveryAndroid()

/**
 * What holds on each Android. A class for each, and each class in a process of its own: two Androids in one process load the core's Kotlin
 * twice, and the library calls back the last that came.
 */
@RunWith(RobolectricTestRunner::class)
@Config(application = android.app.Application::class)
abstract class EveryAndroid {
    private val rig = Rig()

    @After
    fun end() = rig.close()

    @Test
    fun `a call rings, is answered, held and hung up`() {
        rig.signedIn()
        val connection = rig.rings()
        assertNotNull(rig.ringing)
        val call = rig.call
        call.accept()
        until("active") { connection.state == Connection.STATE_ACTIVE }
        assertNull(rig.shown)
        assertNotNull(rig.phone.foremost())
        call.hold(true)
        call.disconnect()
        until("the server has it") { rig.core.currentState().calls.inCall == null }
    }

    @Test
    fun `every screen is drawn`() {
        for (shown in States.ALL.values) {
            val activity = Robolectric.buildActivity(PlainActivity::class.java).setup().get()
            PageView(activity, mutableMapOf()) {}.draw(page(shown), home = false)
        }
    }
}
