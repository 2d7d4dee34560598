//! Writes the Kotlin and Swift sources from an unstripped build of `hookswitch-ffi`: `hookswitch-bindgen generate --help`.

fn main() {
    uniffi::uniffi_bindgen_main();
}
