import Foundation
import Hookswitch

/// A key store for tests and desktops without one: the key is in a file, so it protects nothing from whoever reads the file.
public final class FileKeys: KeyProvider {
    private let file: URL

    /// The key is in `folder`, and made at its first use.
    public init(in folder: URL) { file = folder.appendingPathComponent("platform-key") }

    public func wrap(_ key: Data) throws -> Data {
        if !FileManager.default.fileExists(atPath: file.path) {
            do {
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                let random = (0..<256).map { _ in UInt8.random(in: .min ... .max) }
                try Data(random).write(to: file, options: .atomic)
            } catch {
                throw KeyError.failed(why: "\(error)")
            }
        }
        return try pad(key)
    }

    public func unwrap(_ wrapped: Data) throws -> Data {
        guard FileManager.default.fileExists(atPath: file.path) else { throw KeyError.invalidated }
        return try pad(wrapped)
    }

    private func pad(_ data: Data) throws -> Data {
        guard let secret = try? Data(contentsOf: file), data.count <= secret.count else {
            throw KeyError.failed(why: "the key file cannot be read")
        }
        return Data(zip(data, secret).map { $0 ^ $1 })
    }
}
