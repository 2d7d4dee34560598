// swift-tools-version: 6.0
import PackageDescription

let hookswitch = Target.Dependency.product(name: "Hookswitch", package: "swift")
var apple: [Target.Dependency] = []
var settings: [SwiftSetting] = []
var targets: [Target] = []

// Where Apple's modules are not, stand-ins take their place, for the tests: see StandIns/README.md.
#if os(Linux)
let standIns: [(name: String, needs: [Target.Dependency])] = [
    ("AVFAudio", []), ("AuthenticationServices", ["UIKit"]), ("CallKit", ["AVFAudio"]), ("Network", []), ("PushKit", ["CallKit"]),
    ("UIKit", []), ("UserNotifications", []),
]
for standIn in standIns {
    targets.append(.target(name: standIn.name, dependencies: standIn.needs, path: "StandIns/\(standIn.name)"))
    apple.append(.init(stringLiteral: standIn.name))
}
settings.append(.define("STAND_INS"))
// The tests' browser, customers and keys; a link to those of bindings/swift.
targets.append(.target(name: "AgentTesting", dependencies: [hookswitch], path: "Tests/HookswitchTesting"))
targets.append(
    .testTarget(
        name: "HookswitchAppleTests", dependencies: ["HookswitchApple", "AgentTesting"] + apple, swiftSettings: settings))
#endif

targets.append(
    .target(
        name: "HookswitchApple",
        dependencies: [hookswitch] + apple,
        resources: [.copy("PrivacyInfo.xcprivacy")],
        swiftSettings: settings))

let package = Package(
    name: "hookswitch-apple",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "HookswitchApple", targets: ["HookswitchApple"])],
    dependencies: [.package(path: "../bindings/swift")],
    targets: targets,
    swiftLanguageModes: [.v6]
)
