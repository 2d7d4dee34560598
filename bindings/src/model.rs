//! What the core's own types are on the other side. There is nothing to keep in step here: `build.rs` reads their definitions
//! where they stand, in `core/machine` and `core/wire`.

use hookswitch::{
    machine::{view::*, *},
    wire::{
        AccountId, Availability, CallId, CannotRing, Capabilities, CodeBy, Device, DeviceId, Effective, ForwardTo,
        PhoneNumber, Platform, SessionId, SignIn, SignInKind, UnavailableReason, UnixMillis,
    },
};

include!(concat!(env!("OUT_DIR"), "/model.rs"));

/// What an app shows before its core is open, or knows anything.
#[uniffi::export]
pub fn app_state_before_open() -> AppState {
    AppState::before_open()
}

// Values that are one plain value on the other side; `uniffi.toml` says which.

uniffi::custom_type!(UnixMillis, i64, { remote, lower: |at| at.0, try_lift: |millis| Ok(UnixMillis(millis)) });

uniffi::custom_type!(PhoneNumber, String, {
    remote,
    lower: |number| number.as_str().to_owned(),
    try_lift: |text| Ok(text.parse::<PhoneNumber>()?),
});

macro_rules! names {
    ($($name:ident),*) => {
        $(uniffi::custom_type!($name, String, { remote, lower: |name| name.0, try_lift: |text| Ok($name(text)) });)*
    };
}

names!(AccountId, CallId, DeviceId, SessionId);
