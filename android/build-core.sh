#!/usr/bin/env bash
# Builds the core for Android's processors into target/android/jniLibs, and generates the Kotlin sources. Gradle calls it.
# Needs Rust, the NDK (r28 or newer, in ANDROID_NDK_HOME) and cargo-ndk 4.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${ANDROID_NDK_HOME:?the folder of the Android NDK}"

target=${CARGO_TARGET_DIR:-target}
out=$target/android/jniLibs
# The oldest Android that it runs on; as minSdk in hookswitch/build.gradle.kts.
api=26

# The sources come from an unstripped build of this machine, which has what the stripped ones lack.
bindings/generate kotlin

rustup target add aarch64-linux-android armv7-linux-androideabi x86_64-linux-android
# r28 aligns for 16 KB pages by itself; saying so costs nothing and holds for older ones.
aligned='-Clink-arg=-Wl,-z,max-page-size=16384'
CARGO_TARGET_AARCH64_LINUX_ANDROID_RUSTFLAGS=$aligned \
CARGO_TARGET_X86_64_LINUX_ANDROID_RUSTFLAGS=$aligned \
    cargo ndk --platform "$api" -t arm64-v8a -t armeabi-v7a -t x86_64 -o "$out" \
    build --locked --profile mobile -p hookswitch-ffi

# Play refuses 64-bit libraries whose segments are aligned for less.
readelf=$(find "$ANDROID_NDK_HOME/toolchains/llvm/prebuilt" -name llvm-readelf | head -n 1)
for library in "$out"/arm64-v8a/*.so "$out"/x86_64/*.so; do
    "$readelf" --program-headers --wide "$library" | awk '$1 == "LOAD" { print $NF }' | while read -r align; do
        [ $((align % 16384)) = 0 ] || { echo "$library: a segment is aligned for $align"; exit 1; }
    done
done
