import Foundation

/// A line of JSON, with what the lab may write. See tests/scenarios/PHONES.md.
struct Line: @unchecked Sendable {
    let fields: [String: Any]

    init(_ fields: [String: Any]) { self.fields = fields }

    init?(_ text: String) {
        guard let fields = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else { return nil }
        self.fields = fields
    }

    func string(_ name: String) throws -> String {
        guard let value = fields[name] as? String else { throw BadLine(field: name) }
        return value
    }

    func optionalString(_ name: String) throws -> String? {
        guard let value = fields[name], !(value is NSNull) else { return nil }
        guard let string = value as? String else { throw BadLine(field: name) }
        return string
    }

    func strings(_ name: String) throws -> [String] {
        guard let value = fields[name] as? [String] else { throw BadLine(field: name) }
        return value
    }

    func bool(_ name: String) throws -> Bool {
        guard let value = fields[name] as? Bool else { throw BadLine(field: name) }
        return value
    }

    func int(_ name: String) throws -> Int64 {
        guard let value = fields[name] as? NSNumber else { throw BadLine(field: name) }
        return value.int64Value
    }

    func optionalInt(_ name: String) throws -> Int64? {
        guard let value = fields[name], !(value is NSNull) else { return nil }
        return try int(name)
    }

    /// A part that is JSON itself.
    func data(_ name: String) throws -> Data {
        guard let value = fields[name] else { throw BadLine(field: name) }
        return try JSONSerialization.data(withJSONObject: value, options: .fragmentsAllowed)
    }
}

/// The lab wrote what nobody understands.
struct BadLine: Error, CustomStringConvertible {
    let field: String
    var description: String { "the line has no good \"\(field)\"" }
}

/// Writes lines to the lab, one at a time and whole.
final class Writer: Sendable {
    private let lock = NSLock()

    func write(_ fields: [String: Any?]) {
        let object = fields.mapValues { $0 ?? NSNull() }
        guard var line = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys]) else { return }
        line.append(UInt8(ascii: "\n"))
        lock.withLock { FileHandle.standardOutput.write(line) }
    }
}
