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
targets.append(
    .target(
        name: "NotificationService", dependencies: ["HookswitchApple", hookswitch] + apple, path: "agent/NotificationService",
        swiftSettings: settings))
targets.append(
    .testTarget(
        name: "AgentTests", dependencies: ["Agent", "HookswitchApple", "AgentTesting", "NotificationService"] + apple,
        swiftSettings: settings))
// A phone for tests/scenarios, by way of the shell.
targets.append(
    .executableTarget(
        name: "ScenarioPhone", dependencies: ["HookswitchApple", "AgentTesting", hookswitch] + apple,
        path: "Tests/ScenarioPhone", swiftSettings: settings))
#endif

// The app for agents: its models and its views. Its project is agent/project.yml.
targets.append(
    .target(
        name: "Agent", dependencies: ["HookswitchApple", hookswitch] + apple, path: "agent/Sources/Agent",
        resources: [.copy("texts.json")], swiftSettings: settings))
targets.append(
    .target(
        name: "HookswitchApple",
        dependencies: [hookswitch] + apple,
        resources: [.copy("PrivacyInfo.xcprivacy")],
        swiftSettings: settings))

let package = Package(
    name: "hookswitch-apple",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "HookswitchApple", targets: ["HookswitchApple"]), .library(name: "Agent", targets: ["Agent"]),
    ],
    dependencies: [.package(path: "../bindings/swift")],
    targets: targets,
    swiftLanguageModes: [.v6]
)
