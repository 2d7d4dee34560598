// Robolectric's own runner asks androidx.test for a few registries, and androidx is not on Maven Central. These take their place: no
// more than the runner needs. ActivityScenario and Espresso would need the real ones.

package androidx.test.platform.app

import android.app.Instrumentation
import android.os.Bundle

object InstrumentationRegistry {
    @Volatile
    private var instrumentation: Instrumentation? = null

    @Volatile
    private var arguments = Bundle()

    @JvmStatic
    fun registerInstance(instrumentation: Instrumentation?, arguments: Bundle?) {
        this.instrumentation = instrumentation
        this.arguments = arguments ?: Bundle()
    }

    @JvmStatic
    fun getInstrumentation(): Instrumentation = checkNotNull(instrumentation) { "no test runs" }

    @JvmStatic
    fun getArguments(): Bundle = Bundle(arguments)
}
