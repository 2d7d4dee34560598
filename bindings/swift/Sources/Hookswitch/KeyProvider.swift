import Foundation
internal import HookswitchGenerated

/// The platform's key store: wraps the data key with which the vault seals what it stores.
///
/// On iOS use `KeychainKeyProvider` of the module `HookswitchApple`. Both methods are called on the vault's own thread, with no
/// lock held, and may block. Throw ``KeyError``; any other error counts as ``KeyError/failed(why:)``.
public protocol KeyProvider: AnyObject, Sendable {
    /// Wraps a data key so that only this device can unwrap it.
    func wrap(_ key: Data) throws -> Data
    /// The data key that was wrapped.
    func unwrap(_ wrapped: Data) throws -> Data
}

// By hand: UniFFI's foreign traits throw its own error alone, and any other would come across as a panic.
/// Why a key cannot be had. The difference matters: one passes, one is for good. When in doubt, ``failed(why:)``.
public enum KeyError: Error, Hashable, Sendable {
    /// Not before the first unlock. The core waits in ``SessionState/locked`` and loses nothing.
    case unavailable
    /// Never again: the key is gone after an unlock. The agent is signed out and told why.
    case invalidated
    /// The key store fails in another way. It is tried again after an unlock or in the foreground.
    case failed(why: String)
}
