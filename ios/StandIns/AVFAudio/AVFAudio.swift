import Foundation

/// AVFAudio's session, as far as calls need it.
open class AVAudioSession: NSObject, @unchecked Sendable {
    public struct Category: Hashable, Sendable {
        let name: String
        public static let playAndRecord = Category(name: "playAndRecord")
    }

    public struct Mode: Hashable, Sendable {
        let name: String
        public static let voiceChat = Mode(name: "voiceChat")
    }

    public struct CategoryOptions: OptionSet, Sendable {
        public let rawValue: UInt
        public init(rawValue: UInt) { self.rawValue = rawValue }
        public static let allowBluetooth = CategoryOptions(rawValue: 4)
    }

    private static let shared = AVAudioSession()

    open class func sharedInstance() -> AVAudioSession { shared }

    open private(set) var category: Category?
    open private(set) var mode: Mode?
    /// What broke a rule.
    public private(set) var violations: [String] = []

    open func setCategory(_ category: Category, mode: Mode, options: CategoryOptions = []) throws {
        self.category = category
        self.mode = mode
    }

    /// During calls this is CallKit's to do.
    open func setActive(_ active: Bool) throws { violations.append("the app activated the audio session of a call by itself") }
}
