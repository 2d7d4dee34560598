#!/usr/bin/env bash
# Makes the package that apps depend on, sources and all, with the framework at an address:
#
#   ios/make-package.sh URL CHECKSUM
#
# Writes target/ios/package. The generated sources must be there (bindings/generate swift). Runs everywhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# = 2 ] || { sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2; }
url=$1 checksum=$2

package=${CARGO_TARGET_DIR:-target}/ios/package
rm -rf "$package" && mkdir -p "$package/Sources"
cp -R bindings/swift/Sources/HookswitchGenerated bindings/swift/Sources/Hookswitch ios/Sources/HookswitchApple "$package/Sources/"
cp LICENSE-APACHE LICENSE-MIT "$package/"
sed -e "s|@URL@|$url|" -e "s|@CHECKSUM@|$checksum|" ios/Package.release.swift >"$package/Package.swift"
echo "made $package"
