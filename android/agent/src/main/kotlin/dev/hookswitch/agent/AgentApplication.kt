package dev.hookswitch.agent

import android.app.Application
import android.content.RestrictionsManager
import android.content.pm.PackageManager
import android.content.pm.verify.domain.DomainVerificationManager
import android.content.pm.verify.domain.DomainVerificationUserState
import android.net.Uri
import android.os.Build
import dev.hookswitch.Configuration
import dev.hookswitch.Hookswitch
import dev.hookswitch.android.PhoneCalls
import dev.hookswitch.android.PushMessages
import dev.hookswitch.android.connect
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import java.io.File

/** The process: makes the phone before anything else. */
open class AgentApplication : Application() {
    /** The phone, for as long as the process lives. */
    lateinit var phone: PhoneCalls
        private set

    /** Where Firebase's messages go. */
    val messages: PushMessages by lazy { PushMessages(phone) }

    /** What the agent does on the screens. */
    val agent: Agent by lazy { Agent(this, CoroutineScope(SupervisorJob() + Dispatchers.Main.immediate)) }

    override fun onCreate() {
        super.onCreate()
        phone = PhoneCalls(this, AgentActivity::class.java, getText(R.string.app_name)) { open(configuration()) }
    }

    /** Opens the core, with Android's keystore. */
    protected open suspend fun open(configuration: Configuration): Hookswitch = Hookswitch.connect(this, configuration)

    /** What the company's device management says, and else what the app was built with. */
    fun configuration(): Configuration {
        val managed = getSystemService(RestrictionsManager::class.java)?.applicationRestrictions
        val server = managed?.getString("server") ?: getString(R.string.server)
        return Configuration(
            issuer = managed?.getString("issuer") ?: server,
            server = server,
            clientId = getString(R.string.client_id),
            redirectUris = listOf(LINK, REDIRECT),
            deviceName = Build.MODEL,
            appVersion = packageManager.getPackageInfo(packageName, 0).versionName.orEmpty(),
            folder = File(noBackupFilesDir, "hookswitch"),
        )
    }

    /** Managed configuration: filled in on the sign-in page. */
    fun loginHint(): String? = getSystemService(RestrictionsManager::class.java)?.applicationRestrictions?.getString("login_hint")

    /** Managed configuration: the package of the browser that signs in, where it must be a certain one. */
    fun browser(): String? = getSystemService(RestrictionsManager::class.java)?.applicationRestrictions?.getString("browser")

    /** The link where Android has verified that it is ours, and else the scheme. */
    fun redirectUri(): String = if (verifies(LINK)) LINK else REDIRECT

    private fun verifies(link: String): Boolean {
        if (Build.VERSION.SDK_INT < 31) return false
        val manager = getSystemService(DomainVerificationManager::class.java) ?: return false
        return try {
            manager.getDomainVerificationUserState(packageName)?.hostToStateMap?.get(Uri.parse(link).host) ==
                DomainVerificationUserState.DOMAIN_STATE_VERIFIED
        } catch (_: PackageManager.NameNotFoundException) {
            false
        }
    }

    companion object {
        /** The App Link that the browser comes back to, where Android has verified that it is ours. */
        const val LINK: String = "https://app.hookswitch.dev/callback"

        /** And the scheme, elsewhere. */
        const val REDIRECT: String = "dev.hookswitch.agent:/callback"
    }
}
