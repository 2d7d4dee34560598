// swift-tools-version: 6.0
import PackageDescription

// Made by ios/make-package.sh of the project Hookswitch.
let package = Package(
    name: "hookswitch",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "Hookswitch", targets: ["Hookswitch"]),
        .library(name: "HookswitchApple", targets: ["HookswitchApple"]),
    ],
    targets: [
        .binaryTarget(
            name: "HookswitchFFI",
            url: "@URL@",
            checksum: "@CHECKSUM@"
        ),
        .target(
            name: "HookswitchGenerated", dependencies: ["HookswitchFFI"],
            swiftSettings: [.swiftLanguageMode(.v5)],
            linkerSettings: [.linkedFramework("Security"), .linkedFramework("CoreFoundation")]),
        .target(name: "Hookswitch", dependencies: ["HookswitchGenerated"]),
        .target(
            name: "HookswitchApple", dependencies: ["Hookswitch"],
            resources: [.copy("PrivacyInfo.xcprivacy")]),
    ],
    swiftLanguageModes: [.v6]
)
