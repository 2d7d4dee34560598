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

/** The oldest Android, the first with a style for calls, and the newest that can be had. */
@RunWith(RobolectricTestRunner::class)
@Config(application = android.app.Application::class, sdk = [26, 31, 34])
class EveryAndroidTest {
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
