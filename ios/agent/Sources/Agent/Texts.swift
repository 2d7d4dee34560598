import Foundation

/// All words of the app, in one table: `texts.json`, with the keys of the Android app's `strings.xml`.
public struct Texts: Sendable {
    private let table: [String: String]

    /// The table that is in the app.
    public static let shared = Texts(file: Bundle.module.url(forResource: "texts", withExtension: "json"))

    /// A table in a file. A file that cannot be read gives the keys themselves: ugly, and not a crash.
    public init(file: URL?) {
        let data = file.flatMap { try? Data(contentsOf: $0) }
        table = data.flatMap { try? JSONDecoder().decode([String: String].self, from: $0) } ?? [:]
    }

    /// Every key there is.
    public var keys: Set<String> { Set(table.keys) }

    /// The words of a key, with values in their places.
    public func callAsFunction(_ key: String, _ values: String...) -> String {
        var words = table[key] ?? key
        for (at, value) in values.enumerated() { words = words.replacingOccurrences(of: "%\(at + 1)$@", with: value) }
        return words
    }
}

/// The app's words.
let text = Texts.shared
