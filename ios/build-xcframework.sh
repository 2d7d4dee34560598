#!/usr/bin/env bash
# Builds the core for Apple's systems. Needs macOS with Xcode 16 and Rust.
#
#   ios/build-xcframework.sh              for local work: bindings/swift finds the framework beside its Package.swift
#   ios/build-xcframework.sh --release URL    also a package of its own in target/ios/package, whose framework is at URL
#
# Writes target/ios/HookswitchFFI.xcframework, the same as .zip, and the zip's checksum.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

url=
case ${1:-} in
    '') ;;
    --release) url=${2:?--release needs the address of the zip} ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac

# The oldest systems that it runs on; as in the Package.swift files.
export IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0
targets=(aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin)
target=${CARGO_TARGET_DIR:-target}
out=$target/ios
framework=$out/HookswitchFFI.xcframework

rm -rf "$out" && mkdir -p "$out/headers/HookswitchFFI" "$out/simulator" "$out/macos"

# The sources come from an unstripped build of this machine, which has what the stripped ones lack.
bindings/generate swift
# In a folder of its own: frameworks with a module map each share one include folder in Xcode.
cp "$target/bindings/swift/HookswitchFFI.h" "$out/headers/HookswitchFFI/"
cp "$target/bindings/swift/HookswitchFFI.modulemap" "$out/headers/HookswitchFFI/module.modulemap"

rustup target add "${targets[@]}"
for triple in "${targets[@]}"; do
    cargo build --locked --profile mobile -p hookswitch-ffi --target "$triple"
done

built() { echo "$target/$1/mobile/libhookswitch_ffi.a"; }
# One library a platform: the simulator and the Mac have two kinds of processors.
lipo -create "$(built aarch64-apple-ios-sim)" "$(built x86_64-apple-ios)" -output "$out/simulator/libhookswitch_ffi.a"
lipo -create "$(built aarch64-apple-darwin)" "$(built x86_64-apple-darwin)" -output "$out/macos/libhookswitch_ffi.a"
xcodebuild -create-xcframework \
    -library "$(built aarch64-apple-ios)" -headers "$out/headers" \
    -library "$out/simulator/libhookswitch_ffi.a" -headers "$out/headers" \
    -library "$out/macos/libhookswitch_ffi.a" -headers "$out/headers" \
    -output "$framework"

(cd "$out" && zip --quiet --recurse-paths -X HookswitchFFI.xcframework.zip HookswitchFFI.xcframework)
checksum=$(swift package compute-checksum "$framework.zip")
echo "$checksum" >"$framework.zip.checksum"

rm -rf bindings/swift/HookswitchFFI.xcframework
cp -R "$framework" bindings/swift/

[ -z "$url" ] || ios/make-package.sh "$url" "$checksum"
echo "$framework.zip has the checksum $checksum"
