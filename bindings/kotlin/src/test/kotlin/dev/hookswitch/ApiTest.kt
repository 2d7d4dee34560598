package dev.hookswitch

import org.jetbrains.kotlin.abi.tools.AbiToolsFactory
import org.jetbrains.kotlin.abi.tools.api.AbiFilters
import java.io.File
import kotlin.test.Test
import kotlin.test.fail

/** What others may call changes only where somebody meant it: `bindings/kotlin/check --update` writes the snapshots anew. */
class ApiTest {
    private val tools = AbiToolsFactory().get()

    @Test
    fun `the public API is that of the snapshot`() = compare("hookswitch.api", including = "dev.hookswitch.**", excluding = listOf())

    private fun compare(name: String, including: String, excluding: List<String> = listOf()) {
        val snapshot = File(name)
        val now = File(System.getProperty("classes")).resolveSibling(name)
        val classes = File(System.getProperty("classes")).walk().filter { it.extension == "class" }.sorted().asIterable()
        now.writer().use { tools.v2.printJvmDump(it, classes, AbiFilters(setOf(including), excluding.toSet(), setOf(), setOf())) }
        if (System.getProperty("update") == "true") now.copyTo(snapshot, overwrite = true)
        val difference = if (snapshot.exists()) tools.filesDiff(snapshot, now) else "there is no snapshot"
        difference?.let { fail("bindings/kotlin/$name has changed; if that is meant: bindings/kotlin/check --update\n$it") }
    }
}
