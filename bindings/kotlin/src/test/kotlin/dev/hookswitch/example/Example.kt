// Signs in, prints each change of presence, and decides on pushes. Needs a backend and a key for its operator's door:
//
//   cargo run -p hookswitch-backend -- --demo --listen 127.0.0.1:8080 --operator-key KEYFILE
package dev.hookswitch.example

import dev.hookswitch.*
import dev.hookswitch.lab.*
import kotlinx.coroutines.*
import kotlinx.coroutines.flow.*
import java.io.File
import kotlin.io.path.createTempDirectory

fun main(arguments: Array<String>): Unit = runBlocking {
    val (backend, keyFile) = arguments
    val customers = Operator(backend, File(keyFile).readText())
    val folder = createTempDirectory("hookswitch-example").toFile()

    // One core a process. On a phone the keys are in the Android Keystore: `KeystoreKeys`.
    val configuration = Configuration(
        issuer = backend,
        server = backend,
        clientId = "hookswitch-mobile",
        redirectUris = listOf("dev.hookswitch.agent:/callback"),
        deviceName = "The example's Pixel",
        appVersion = "1.0",
        folder = folder,
    )
    Hookswitch.connect(configuration, FileKeys(folder)).use { hookswitch ->
        hookswitch.foreground()

        // What a screen would do: show what comes, and keep nothing.
        val screen = launch {
            hookswitch.presence.state.filterNotNull().map { presence ->
                val calls = presence.banner?.let { "calls go to ${it.number}" } ?: "calls come to the apps"
                "presence: ${presence.effective}, chosen: ${presence.availability}; $calls"
            }.distinctUntilChanged().collect { println(it) }
        }

        // Sign in: a phone opens the address in the system browser (a Custom Tab); nobody sits in front of this one.
        val address = hookswitch.session.beginLogin(configuration.redirectUris[0])
        hookswitch.session.finishLogin(DemoBrowser().signIn(address, "alice@acme.example"))
        hookswitch.setPushToken("the push service's name for this phone")
        println("session: ${hookswitch.session.state.value}")

        // The agent takes a break, and comes back.
        hookswitch.presence.setAvailability(Availability.Unavailable(UnavailableReason.ON_A_BREAK))
        hookswitch.presence.setAvailability(Availability.Available)
        // The server has heard of this phone once it lists it as one that can ring.
        hookswitch.presence.state.first { it?.devices.orEmpty().any { at -> at.id == hookswitch.deviceId && at.cannotRing == null } }

        // Customers call. The first call rings; the second comes while calls are forwarded, from a server too old to know the rule.
        for (number in listOf(null, "+33612345678")) {
            hookswitch.presence.setForwarding(number)
            val decision = hookswitch.ring.decide(customers.call("alice@acme.example", "+14155550134", asOldServer = number != null))
            println("push: ${decision.action}. ${decision.explanation}")
            if (decision.silence == null) hookswitch.calls.decline(decision.callId)
        }
        hookswitch.session.signOut()
        println("session: ${hookswitch.session.state.value}")
        screen.cancel()
    }
    folder.deleteRecursively().let {}
}
