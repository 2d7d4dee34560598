import Foundation
import Hookswitch

// How tests/scenarios/PHONES.md writes values: whatever the core shows, without knowing its types.

/// A value of the core as JSON.
func json(_ value: Any) -> Any {
    switch value {
    case let date as Date: return Int64((date.timeIntervalSince1970 * 1_000).rounded())
    case is String, is Bool, is any BinaryInteger, is NSNull: return value
    default: break
    }
    let mirror = Mirror(reflecting: value)
    switch mirror.displayStyle {
    case .optional: return mirror.children.first.map { json($0.value) } ?? NSNull()
    case .collection: return mirror.children.map { json($0.value) }
    case .enum: return word(value, mirror)
    default: return fields(mirror)
    }
}

/// A word of a list of words, or one of several kinds: `{"kind": "signed_out", "why": "never"}`.
private func word(_ value: Any, _ mirror: Mirror) -> Any {
    guard let kind = mirror.children.first else {
        let name = inSnakeCase("\(value)")
        return value is any CaseIterable ? name : ["kind": name]
    }
    // The values that belong to the case: one with a label is a tuple of one.
    let values = Mirror(reflecting: kind.value)
    var object = values.displayStyle == .tuple ? fields(values) : [:]
    object["kind"] = inSnakeCase(kind.label ?? "")
    return object
}

private func fields(_ mirror: Mirror) -> [String: Any] {
    Dictionary(uniqueKeysWithValues: mirror.children.map { (inSnakeCase($0.label ?? ""), json($0.value)) })
}

/// `callID` is `call_id`.
private func inSnakeCase(_ name: String) -> String {
    name.replacingOccurrences(of: "ID", with: "Id")
        .reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : "\($1)" }
}

extension HookswitchError {
    var name: String { Mirror(reflecting: self).children.first?.label ?? "" }
}

extension Availability {
    /// The words of `set_availability`.
    init(word: String) throws {
        switch word {
        case "available": self = .available
        case "automatic": self = .automatic
        default:
            guard let reason = UnavailableReason.allCases.first(where: { $0 != .unknown && json($0) as? String == word }) else {
                throw BadLine(field: "to")
            }
            self = .unavailable(reason: reason)
        }
    }
}

extension Configuration {
    /// The words of `open`.
    init(_ line: Line, folder: URL) throws {
        self.init(
            issuer: try line.string("issuer"),
            server: try line.string("server"),
            clientID: try line.string("client_id"),
            redirectURIs: try line.strings("redirect_uris"),
            deviceName: try line.string("device_name"),
            platform: try line.string("platform") == "ios" ? .ios : .android,
            appVersion: try line.string("app_version"),
            folder: folder,
            process: try line.string("process"),
            proxy: try line.optionalString("proxy")
        )
    }
}
