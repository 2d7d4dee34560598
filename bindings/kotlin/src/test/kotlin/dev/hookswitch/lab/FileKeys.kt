package dev.hookswitch.lab

import dev.hookswitch.KeyInvalidated
import dev.hookswitch.KeyProvider
import java.io.File
import java.security.SecureRandom
import kotlin.experimental.xor

/** A key store for tests and desktops without one: the key is in a file, so it protects nothing from whoever reads the file. */
class FileKeys(folder: File) : KeyProvider {
    private val file = File(folder, "platform-key")

    override fun wrap(key: ByteArray): ByteArray {
        if (!file.exists()) {
            file.parentFile.mkdirs()
            val whole = File(file.path + ".new")
            whole.writeBytes(ByteArray(256).also { SecureRandom().nextBytes(it) })
            check(whole.renameTo(file)) { "the key file cannot be written" }
        }
        return pad(key)
    }

    override fun unwrap(wrapped: ByteArray): ByteArray {
        if (!file.exists()) throw KeyInvalidated()
        return pad(wrapped)
    }

    private fun pad(data: ByteArray): ByteArray {
        val secret = file.readBytes()
        require(data.size <= secret.size)
        return ByteArray(data.size) { data[it] xor secret[it] }
    }
}
