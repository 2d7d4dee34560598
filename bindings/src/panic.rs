//! A panic on demand, to show that none crosses the boundary. Not in what ships: the feature is for tests.

/// Panics, so that a test sees what becomes of one across the language boundary.
///
/// # Errors
/// Never: the other side gets an exception of UniFFI's.
#[uniffi::export]
#[allow(clippy::panic, reason = "that is what it is for")]
pub fn inject_panic() -> Result<(), hookswitch::machine::Failure> {
    panic!("injected")
}
