package dev.hookswitch.android

import java.security.KeyStoreException
import java.security.ProviderException
import javax.crypto.AEADBadTagException
import kotlin.test.Test
import kotlin.test.assertIs

class KeystoreFaultTest {
    @Test
    fun `before the first unlock nothing is lost, whatever the Keystore says`() {
        for (error in listOf(KeyStoreException(), ProviderException(), AEADBadTagException())) {
            assertIs<KeystoreFault.Unavailable>(KeystoreKeys.fault(error, unlocked = false))
        }
    }

    @Test
    fun `a key of another installation is not ours`() {
        assertIs<KeystoreFault.Invalidated>(KeystoreKeys.fault(AEADBadTagException(), unlocked = true))
    }

    @Test
    fun `any other fault may pass`() {
        for (error in listOf(KeyStoreException(), ProviderException())) {
            assertIs<KeystoreFault.Failed>(KeystoreKeys.fault(error, unlocked = true))
        }
    }
}
