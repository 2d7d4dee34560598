// swift-tools-version: 6.0
import PackageDescription

// Where Apple's modules are not, stand-ins take their place, for the tests: see StandIns/README.md.
#if os(Linux)
let standIns = ["AVFAudio", "AuthenticationServices", "CallKit", "Network", "PushKit", "UIKit", "UserNotifications"]
#else
let standIns: [String] = []
#endif
let needs = ["AuthenticationServices": ["UIKit"], "CallKit": ["AVFAudio"], "PushKit": ["CallKit"]]
let apple = standIns.map { Target.Dependency(stringLiteral: $0) }
let settings: [SwiftSetting] = standIns.isEmpty ? [] : [.define("STAND_INS")]

let package = Package(
    name: "hookswitch-apple",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "HookswitchApple", targets: ["HookswitchApple"]),
    ],
    dependencies: [.package(path: "../bindings/swift")],
    targets: [
        .target(
            name: "HookswitchApple",
            dependencies: [.product(name: "Hookswitch", package: "swift")] + apple,
            resources: [.copy("PrivacyInfo.xcprivacy")],
            swiftSettings: settings
        ),
        .testTarget(name: "HookswitchAppleTests", dependencies: ["HookswitchApple"] + apple, swiftSettings: settings),
    ]
        + standIns.map { name in
            .target(
                name: name, dependencies: (needs[name] ?? []).map { Target.Dependency(stringLiteral: $0) }, path: "StandIns/\(name)")
        },
    swiftLanguageModes: [.v6]
)
