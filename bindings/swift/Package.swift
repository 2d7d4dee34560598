// swift-tools-version: 6.0
import Foundation
import PackageDescription

// An app gets the core as an XCFramework, which ios/build-xcframework.sh puts here. Without it (on Linux, and for the tests)
// the package links with the library that cargo built.
let framework = "HookswitchFFI.xcframework"
let hasFramework = FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/\(framework)")
let library = Context.environment["HOOKSWITCH_LIBRARY"] ?? "\(Context.packageDirectory)/../../target/debug"

let package = Package(
    name: "hookswitch",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "Hookswitch", targets: ["Hookswitch"])],
    targets: [
        hasFramework ? .binaryTarget(name: "HookswitchFFI", path: framework) : .target(name: "HookswitchFFI"),
        // What UniFFI writes is not ready for the Swift 6 language mode, and is nobody's business.
        .target(
            name: "HookswitchGenerated",
            dependencies: ["HookswitchFFI"],
            swiftSettings: [.swiftLanguageMode(.v5)],
            linkerSettings: hasFramework
                // Where Rust's TLS asks about certificates.
                ? [.linkedFramework("Security"), .linkedFramework("CoreFoundation")]
                : [
                    .linkedLibrary("hookswitch_ffi"),
                    .unsafeFlags(["-L\(library)", "-Xlinker", "-rpath", "-Xlinker", library]),
                ]
        ),
        .target(name: "Hookswitch", dependencies: ["HookswitchGenerated"]),
        // For tests and examples; not for apps.
        .target(name: "HookswitchTesting", dependencies: ["Hookswitch"]),
        .executableTarget(name: "Example", dependencies: ["Hookswitch", "HookswitchTesting"]),
        .executableTarget(name: "PhoneMain", dependencies: ["Hookswitch", "HookswitchTesting"]),
        .executableTarget(name: "LatencyMain", dependencies: ["Hookswitch", "HookswitchTesting"]),
        .testTarget(
            name: "HookswitchTests",
            dependencies: ["Hookswitch", "HookswitchGenerated", "HookswitchTesting"],
            // The library was built with the feature "inject-panic".
            swiftSettings: Context.environment["HOOKSWITCH_INJECT_PANIC"] == nil ? [] : [.define("INJECT_PANIC")]
        ),
    ],
    swiftLanguageModes: [.v6]
)
