package dev.hookswitch.android

import android.content.Context
import android.os.UserManager
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.KeyProperties
import android.security.keystore.StrongBoxUnavailableException
import dev.hookswitch.KeyInvalidated
import dev.hookswitch.KeyProvider
import dev.hookswitch.KeyUnavailable
import java.security.GeneralSecurityException
import java.security.KeyStore
import java.security.ProviderException
import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

/**
 * The vault's key in the Android Keystore: it never leaves the device's secure hardware, and needs no user authentication, since
 * calls come while the phone is locked.
 */
class KeystoreKeys(private val context: Context, private val alias: String = "dev.hookswitch.vault") : KeyProvider {
    private val store: KeyStore by lazy { KeyStore.getInstance(PROVIDER).apply { load(null) } }

    /** Wraps a data key so that only this device can unwrap it: the nonce, then what AES-GCM gives. */
    override fun wrap(key: ByteArray): ByteArray = faults {
        val cipher = Cipher.getInstance(TRANSFORMATION)
        cipher.init(Cipher.ENCRYPT_MODE, existing() ?: make())
        cipher.iv + cipher.doFinal(key)
    }

    /** The data key that was wrapped. */
    override fun unwrap(wrapped: ByteArray): ByteArray = faults {
        if (wrapped.size <= NONCE_BYTES) throw KeyInvalidated()
        val key = existing() ?: throw KeyInvalidated()
        val cipher = Cipher.getInstance(TRANSFORMATION)
        cipher.init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(TAG_BITS, wrapped, 0, NONCE_BYTES))
        cipher.doFinal(wrapped, NONCE_BYTES, wrapped.size - NONCE_BYTES)
    }

    private fun existing(): SecretKey? = store.getKey(alias, null) as SecretKey?

    private fun make(): SecretKey = try {
        generate(strongBox = true)
    } catch (_: StrongBoxUnavailableException) {
        generate(strongBox = false)
    }

    private fun generate(strongBox: Boolean): SecretKey {
        val spec = KeyGenParameterSpec.Builder(alias, KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
            .setKeySize(256)
            .apply { if (android.os.Build.VERSION.SDK_INT >= 28) setIsStrongBoxBacked(strongBox) }
            .build()
        return KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, PROVIDER).run {
            init(spec)
            generateKey()
        }
    }

    private fun <T> faults(work: () -> T): T = try {
        work()
    } catch (error: GeneralSecurityException) {
        throw fault(error, isUnlocked())
    } catch (error: ProviderException) {
        // What the Keystore throws when its daemon does not answer; and before the first unlock.
        throw fault(error, isUnlocked())
    }

    private fun isUnlocked(): Boolean = context.getSystemService(UserManager::class.java)?.isUserUnlocked ?: true

    internal companion object {
        private const val PROVIDER = "AndroidKeyStore"
        private const val TRANSFORMATION = "AES/GCM/NoPadding"
        private const val NONCE_BYTES = 12
        private const val TAG_BITS = 128

        /** When in doubt, what was thrown: [KeyInvalidated] gives the session up. */
        fun fault(error: Exception, unlocked: Boolean): Exception = when {
            !unlocked -> KeyUnavailable(error)
            error is KeyPermanentlyInvalidatedException -> KeyInvalidated(error)
            // The key is there and is another one: that of an installation before this one.
            error is AEADBadTagException -> KeyInvalidated(error)
            else -> error
        }
    }
}
