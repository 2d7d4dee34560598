import Foundation
import Hookswitch

/// One key in the Keychain, as `KeychainKeyProvider` needs it: in short, so that its decisions are tested without a Keychain.
protocol KeychainItem: Sendable {
    /// The key, or why not.
    func read() -> (status: Int32, key: Data?)
    /// Keeps a key.
    func add(_ key: Data) -> Int32
    /// Whether the Keychain can be written now: `success`, or why not. Changes nothing for good.
    func probe() -> Int32
}

/// Authenticated encryption under a key.
protocol Cipher: Sendable {
    /// A new key.
    func makeKey() -> Data
    /// Text, sealed.
    func seal(_ plain: Data, under key: Data) throws -> Data
    /// Sealed text, opened.
    func open(_ sealed: Data, under key: Data) throws -> Data
}

/// `OSStatus`, by the names of Security/SecBase.h.
enum KeychainStatus {
    static let success: Int32 = 0
    static let duplicateItem: Int32 = -25_299
    static let itemNotFound: Int32 = -25_300
    static let interactionNotAllowed: Int32 = -25_308
}

/// What `KeychainKeyProvider` decides.
struct KeychainKeys<Item: KeychainItem, Seal: Cipher>: Sendable {
    let item: Item
    let cipher: Seal

    /// The key is made when the first vault is.
    func wrap(_ plain: Data) throws -> Data {
        let (status, key) = item.read()
        if let key, status == KeychainStatus.success { return try seal(plain, under: key) }
        guard status == KeychainStatus.itemNotFound else { throw error(status) }
        let new = cipher.makeKey()
        switch item.add(new) {
        case KeychainStatus.success:
            return try seal(plain, under: new)
        case KeychainStatus.duplicateItem:
            // The notification extension was quicker.
            guard case (KeychainStatus.success, let key?) = item.read() else { throw error(status) }
            return try seal(plain, under: key)
        case let other:
            throw error(other)
        }
    }

    func unwrap(_ wrapped: Data) throws -> Data {
        let (status, key) = item.read()
        if let key, status == KeychainStatus.success {
            do {
                return try cipher.open(wrapped, under: key)
            } catch {
                // The key is there and is another one: that of an installation before this one.
                throw KeyError.invalidated
            }
        }
        guard status == KeychainStatus.itemNotFound else { throw error(status) }
        // "Not found" ends a session, so it is believed only of a Keychain that is open.
        let open = item.probe()
        throw open == KeychainStatus.success ? KeyError.invalidated : error(open)
    }

    private func seal(_ plain: Data, under key: Data) throws -> Data {
        do { return try cipher.seal(plain, under: key) } catch { throw KeyError.failed(why: "sealing: \(error)") }
    }

    private func error(_ status: Int32) -> KeyError {
        status == KeychainStatus.interactionNotAllowed ? .unavailable : .failed(why: "Keychain: OSStatus \(status)")
    }
}

#if canImport(Security) && canImport(CryptoKit)
import CryptoKit
import Security

/// The vault's key, in the Keychain: readable after the first unlock, never on another device, never in a backup.
///
/// ```swift ios
/// let keys = KeychainKeyProvider(service: "dev.hookswitch.agent")
/// let hookswitch = try await Hookswitch.connect(configuration, keys: keys)
/// ```
public final class KeychainKeyProvider: KeyProvider {
    private let keys: KeychainKeys<GenericPassword, AES256>

    /// `accessGroup`: the Keychain group that an app shares with its notification extension.
    public init(service: String, accessGroup: String? = nil) {
        keys = KeychainKeys(item: GenericPassword(service: service, accessGroup: accessGroup), cipher: AES256())
    }

    /// Seals the vault's key under the Keychain's, which is made at the first use.
    public func wrap(_ key: Data) throws -> Data { try keys.wrap(key) }

    /// Opens what ``wrap(_:)`` sealed.
    public func unwrap(_ wrapped: Data) throws -> Data { try keys.unwrap(wrapped) }
}

struct GenericPassword: KeychainItem {
    let service: String
    let accessGroup: String?

    private func query(_ account: String) -> [CFString: Any] {
        var query: [CFString: Any] = [
            kSecClass: kSecClassGenericPassword,
            kSecAttrService: service,
            kSecAttrAccount: account,
            kSecUseDataProtectionKeychain: true,
        ]
        query[kSecAttrAccessGroup] = accessGroup
        return query
    }

    private func add(_ key: Data, as account: String) -> Int32 {
        var item = query(account)
        item[kSecValueData] = key
        item[kSecAttrAccessible] = kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly
        item[kSecAttrSynchronizable] = false
        return SecItemAdd(item as CFDictionary, nil)
    }

    func read() -> (status: Int32, key: Data?) {
        var query = query("vault-key")
        query[kSecReturnData] = true
        query[kSecMatchLimit] = kSecMatchLimitOne
        var found: CFTypeRef?
        let status = SecItemCopyMatching(query as CFDictionary, &found)
        return (status, found as? Data)
    }

    func add(_ key: Data) -> Int32 { add(key, as: "vault-key") }

    func probe() -> Int32 {
        let status = add(Data([0]), as: "probe")
        SecItemDelete(query("probe") as CFDictionary)
        return status == KeychainStatus.duplicateItem ? KeychainStatus.success : status
    }
}

struct AES256: Cipher {
    struct NoNonce: Error {}

    func makeKey() -> Data { SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) } }

    func seal(_ plain: Data, under key: Data) throws -> Data {
        guard let sealed = try AES.GCM.seal(plain, using: SymmetricKey(data: key)).combined else { throw NoNonce() }
        return sealed
    }

    func open(_ sealed: Data, under key: Data) throws -> Data {
        try AES.GCM.open(AES.GCM.SealedBox(combined: sealed), using: SymmetricKey(data: key))
    }
}
#endif
