import Foundation
import Hookswitch
import Testing

@testable import HookswitchApple

/// A Keychain that answers what it is told to.
private final class FakeItem: KeychainItem, @unchecked Sendable {
    var key: Data?
    var reading: Int32 = KeychainStatus.success
    var adding: Int32 = KeychainStatus.success
    var probing: Int32 = KeychainStatus.success
    /// What another process adds between our look and our own attempt.
    var quicker: Data?

    func read() -> (status: Int32, key: Data?) {
        if reading != KeychainStatus.success { return (reading, nil) }
        return key.map { (KeychainStatus.success, $0) } ?? (KeychainStatus.itemNotFound, nil)
    }

    func add(_ new: Data) -> Int32 {
        if let quicker {
            key = quicker
            return KeychainStatus.duplicateItem
        }
        if adding == KeychainStatus.success { key = new }
        return adding
    }

    func probe() -> Int32 { probing }
}

/// Seals by writing the key before the text: enough to tell keys apart.
private struct FakeCipher: Cipher {
    struct WrongKey: Error {}
    func makeKey() -> Data { Data([1, 2, 3]) }
    func seal(_ plain: Data, under key: Data) throws -> Data { key + plain }
    func open(_ sealed: Data, under key: Data) throws -> Data {
        guard sealed.starts(with: key) else { throw WrongKey() }
        return sealed.dropFirst(key.count)
    }
}

@Suite("The Keychain as key provider") struct KeychainKeysTests {
    private let item = FakeItem()
    private var keys: KeychainKeys<FakeItem, FakeCipher> { KeychainKeys(item: item, cipher: FakeCipher()) }
    private let plain = Data([7, 7])

    @Test func aKeyThatWasWrappedComesBack() throws {
        let wrapped = try keys.wrap(plain)
        #expect(try keys.unwrap(wrapped) == plain)
        #expect(try keys.unwrap(keys.wrap(plain)) == plain)
    }

    @Test func twoProcessesThatMakeAKeyAtOnceShareOne() throws {
        item.quicker = Data([9])
        let wrapped = try keys.wrap(plain)
        #expect(wrapped == Data([9]) + plain)
        #expect(try keys.unwrap(wrapped) == plain)
    }

    @Test func beforeTheFirstUnlockNothingIsLost() throws {
        let wrapped = try keys.wrap(plain)
        item.reading = KeychainStatus.interactionNotAllowed
        #expect(throws: KeyError.unavailable) { try keys.unwrap(wrapped) }
        #expect(throws: KeyError.unavailable) { try keys.wrap(plain) }
    }

    @Test func aLostKeyIsBelievedOnlyOfAnOpenKeychain() throws {
        let wrapped = try keys.wrap(plain)
        item.key = nil
        item.probing = KeychainStatus.interactionNotAllowed
        #expect(throws: KeyError.unavailable) { try keys.unwrap(wrapped) }
        item.probing = -34_018
        #expect(throws: KeyError.failed(why: "Keychain: OSStatus -34018")) { try keys.unwrap(wrapped) }
        item.probing = KeychainStatus.success
        #expect(throws: KeyError.invalidated) { try keys.unwrap(wrapped) }
    }

    @Test func theKeyOfAnotherInstallationIsNotOurs() throws {
        let wrapped = try keys.wrap(plain)
        item.key = Data([4, 5, 6])
        #expect(throws: KeyError.invalidated) { try keys.unwrap(wrapped) }
    }

    @Test func anyOtherFaultMayPass() throws {
        item.reading = -25_293
        #expect(throws: KeyError.failed(why: "Keychain: OSStatus -25293")) { try keys.wrap(plain) }
        item.reading = KeychainStatus.success
        item.adding = -25_293
        #expect(throws: KeyError.failed(why: "Keychain: OSStatus -25293")) { try keys.wrap(plain) }
    }
}

@Suite("Addresses that end a sign-in") struct BrowserCallbackTests {
    @Test func aBrowserComesBackByLinkOrByScheme() {
        #expect(BrowserCallback("https://app.example/callback") == .https(host: "app.example", path: "/callback"))
        #expect(BrowserCallback("dev.hookswitch.agent:/callback") == .scheme("dev.hookswitch.agent"))
    }

    @Test(arguments: ["", "callback", "http://127.0.0.1/callback", "https:///callback"])
    func otherAddressesAreNone(_ address: String) {
        #expect(BrowserCallback(address) == nil)
    }
}
