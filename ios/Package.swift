// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "hookswitch-apple",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "HookswitchApple", targets: ["HookswitchApple"])],
    dependencies: [.package(path: "../bindings/swift")],
    targets: [
        .target(
            name: "HookswitchApple",
            dependencies: [.product(name: "Hookswitch", package: "swift")],
            resources: [.copy("PrivacyInfo.xcprivacy")]
        ),
        .testTarget(name: "HookswitchAppleTests", dependencies: ["HookswitchApple"]),
    ],
    swiftLanguageModes: [.v6]
)
