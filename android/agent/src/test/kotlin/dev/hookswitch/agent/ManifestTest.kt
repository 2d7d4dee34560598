package dev.hookswitch.agent

import org.junit.Test
import org.w3c.dom.Element
import java.io.File
import javax.xml.parsers.DocumentBuilderFactory
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** The merged manifest, as `android/resources` writes it. */
class ManifestTest {
    private val manifest = parsed("../target/android/resources/AndroidManifest.xml")
    private val application = all(manifest, "application").single()

    private fun parsed(path: String): Element = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(File(path)).documentElement

    private fun all(below: Element, name: String): List<Element> = below.getElementsByTagName(name).run {
        (0 until length).map { item(it) as Element }
    }

    private fun Element.says(name: String) = getAttribute("android:$name")

    private val components get() = listOf("activity", "service", "receiver", "provider").flatMap { all(application, it) }

    @Test
    fun `every component says whether it is exported, and only what Android must reach is`() {
        assertTrue(components.all { it.says("exported") in setOf("true", "false") })
        assertEquals(
            setOf("dev.hookswitch.agent.AgentActivity", "dev.hookswitch.android.HookswitchConnectionService"),
            components.filter { it.says("exported") == "true" }.map { it.says("name") }.toSet(),
        )
        val telecom = components.single { it.says("name").endsWith("ConnectionService") }
        assertEquals("android.permission.BIND_TELECOM_CONNECTION_SERVICE", telecom.says("permission"))
    }

    @Test
    fun `the foreground service says its kinds, and has the permission of each`() {
        val kinds = components.single { it.says("name").endsWith("CallService") }.says("foregroundServiceType").split('|').toSet()
        assertEquals(setOf("phoneCall", "microphone"), kinds)
        val permissions = all(manifest, "uses-permission").map { it.says("name").substringAfterLast('.') }
        assertTrue(
            permissions.containsAll(
                listOf("FOREGROUND_SERVICE", "FOREGROUND_SERVICE_PHONE_CALL", "FOREGROUND_SERVICE_MICROPHONE", "MANAGE_OWN_CALLS"),
            ),
        )
    }

    @Test
    fun `nothing is backed up, and nothing is sent in the clear`() {
        assertEquals("false", application.says("allowBackup"))
        val rules = parsed("agent/src/main/res/xml/data_extraction_rules.xml")
        for (way in listOf("cloud-backup", "device-transfer")) {
            assertEquals(setOf("root", "device_root"), all(all(rules, way).single(), "exclude").map { it.getAttribute("domain") }.toSet())
        }
        val network = parsed("agent/src/main/res/xml/network_security.xml")
        assertEquals(listOf("false"), all(network, "base-config").map { it.getAttribute("cleartextTrafficPermitted") })
        assertEquals(0, all(network, "domain-config").size)
    }

    @Test
    fun `a debug build trusts loopback, and nothing else`() {
        val network = parsed("agent/src/debug/res/xml/network_security.xml")
        assertEquals(listOf("false"), all(network, "base-config").map { it.getAttribute("cleartextTrafficPermitted") })
        assertEquals(listOf("localhost", "127.0.0.1"), all(network, "domain").map { it.textContent })
    }
}
