package dev.hookswitch.android

import android.content.Context
import dev.hookswitch.Configuration
import dev.hookswitch.Hookswitch
import dev.hookswitch.HookswitchException
import dev.hookswitch.KeyProvider
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

/** Has Android itself judge the certificates of servers: it knows what the user and the phone's owner trust. */
internal object CertificateVerifier {
    init {
        System.loadLibrary("hookswitch_ffi")
    }

    /** Idempotent. */
    @JvmStatic
    external fun use(context: Context)
}

/**
 * [Hookswitch.connect] on a phone: with Android's certificate verifier and keystore.
 *
 * @param configuration Its `folder` is best below `context.noBackupFilesDir`.
 * @throws HookswitchException.Internal for an unusable configuration.
 * @throws HookswitchException.Storage when the vault cannot be opened.
 */
suspend fun Hookswitch.Companion.connect(
    context: Context,
    configuration: Configuration,
    keys: KeyProvider = KeystoreKeys(context),
): Hookswitch {
    // Reads the library from storage.
    withContext(Dispatchers.IO) { CertificateVerifier.use(context.applicationContext) }
    return connect(configuration, keys)
}
