package dev.hookswitch.android

import dev.hookswitch.KeyInvalidated
import dev.hookswitch.KeyUnavailable
import java.security.KeyStoreException
import java.security.ProviderException
import javax.crypto.AEADBadTagException
import kotlin.test.Test
import kotlin.test.assertIs
import kotlin.test.assertSame

class KeystoreFaultTest {
    @Test
    fun `before the first unlock nothing is lost, whatever the Keystore says`() {
        for (error in listOf(KeyStoreException(), ProviderException(), AEADBadTagException())) {
            assertIs<KeyUnavailable>(KeystoreKeys.fault(error, unlocked = false))
        }
    }

    @Test
    fun `a key of another installation is not ours`() {
        assertIs<KeyInvalidated>(KeystoreKeys.fault(AEADBadTagException(), unlocked = true))
    }

    @Test
    fun `any other fault may pass`() {
        for (error in listOf(KeyStoreException(), ProviderException())) {
            assertSame(error, KeystoreKeys.fault(error, unlocked = true))
        }
    }
}
