import Foundation
import Testing

/// What the stand-ins declare as Apple's (types, protocol requirements, everything `open`) is in Apple's headers. What they add for tests is
/// `public`, and not looked at. It is names that are compared: annotations and behaviour stay our belief.
@Suite("Stand-ins and Apple's headers") struct StandInNamesTests {
    private let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../StandIns")
        .standardized

    /// Newer than the list, or not Objective-C; each with its source.
    private let elsewhere: [String: String] = [
        "PKVoIPPushMetadata": "iOS 26.4, Apple's documentation of PushKit",
        "mustReport": "iOS 26.4, Apple's documentation of PKVoIPPushMetadata",
        "pushRegistry didReceiveIncomingVoIPPushWith": "iOS 26.4, Apple's documentation of PKPushRegistryDelegate",
        "NWPath": "Network is Swift only", "NWPathMonitor": "Network is Swift only",
        "CXErrorCodeIncomingCallError": "the Swift name of the domain's errors", "mutableCopy": "Foundation's",
        "CXErrorCodeRequestTransactionError": "the Swift name of the domain's errors",
        "ASWebAuthenticationSessionError": "the Swift name of the domain's errors",
    ]

    /// Apple's Swift names that are not the beginning of the selector.
    private let renamed = [
        "sharedInstance": "sharedInstance", "reportCall": "reportCallWithUUID:", "request": "requestTransaction:",
        "providerDidReset": "providerDidReset:",
    ]

    private func lines(_ name: String) throws -> [String] {
        try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8).split(separator: "\n").map(String.init)
    }

    /// The names that the list does not have.
    private func unknown(in source: [String], _ apple: [String]) -> [String] {
        let types = Set(apple.filter { $0.hasPrefix("type ") }.map { String($0.dropFirst(5)) })
        let selectors = apple.filter { $0.hasPrefix("selector ") }.map { String($0.dropFirst(9)) }
        var missing: [String] = []
        var inProtocol = false
        for (at, line) in source.enumerated() {
            if let type = line.firstMatch(of: /\b(?:class|protocol|struct|enum) ((?:CX|PK|AS|AV|UI|NW|UN)\w+)/) {
                let name = String(type.1)
                if !types.contains(name), elsewhere[name] == nil { missing.append(name) }
            }
            if line.contains("protocol ") { inProtocol = true }
            if inProtocol, line.hasPrefix("}") { inProtocol = false }
            if let function = line.firstMatch(of: /\bfunc (\w+)\(/),
                inProtocol || line.contains("open func") || line.contains("open class func")
            {
                let name = String(function.1)
                // The delegate's methods have one name and differ in the second label.
                let whole = (source[at...].prefix(3).joined(separator: " "))
                let second = (try? Regex("func \(name)\\(\\s*_ \\w+: \\w+, (\\w+)", as: (Substring, Substring).self))
                    .flatMap { whole.firstMatch(of: $0) }.map { String($0.output.1) }
                let key = inProtocol ? second.map { "\(name) \($0)" } ?? name : name
                if elsewhere[key] != nil || selectors.contains(where: { matches($0, name, inProtocol ? second : nil) }) { continue }
                missing.append(key)
            }
            if let variable = line.firstMatch(of: /\bopen (?:weak |private\(set\) )*var (\w+)/) {
                let name = String(variable.1)
                if elsewhere[name] == nil, !selectors.contains(name) { missing.append(name) }
            }
        }
        return missing
    }

    private func matches(_ selector: String, _ name: String, _ second: String?) -> Bool {
        let parts = selector.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard selector.hasPrefix(renamed[name] ?? name) else { return false }
        guard let second else { return true }
        return parts.count > 1 && parts[1].hasPrefix(second)
    }

    @Test func everyNameThatIsDeclaredIsApples() throws {
        let apple = try lines("apple-names.txt")
        for module in try FileManager.default.contentsOfDirectory(atPath: folder.path) where !module.contains(".") {
            #expect(unknown(in: try lines("\(module)/\(module).swift"), apple) == [], "\(module)")
        }
    }

    @Test func aNameThatAppleDoesNotHaveIsFound() throws {
        let apple = try lines("apple-names.txt")
        let source = [
            "open class CXRinger: NSObject {", "    open func ringLoudly() {}", "    open var isLoud: Bool { true }", "}",
            "public protocol CXProviderDelegate: NSObjectProtocol {",
            "    func provider(_ provider: CXProvider, performed action: CXAnswerCallAction)", "}",
        ]
        #expect(unknown(in: source, apple) == ["CXRinger", "ringLoudly", "isLoud", "provider performed"])
    }
}
