//! Names of things. Distinct types, so that a call is never taken for a device.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The name as it stands on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.to_owned())
            }
        }
    };
}

id! {
    /// An agent's account: the `sub` of the issuer. Never shown to a person.
    AccountId
}
id! {
    /// One installation of the app on one device; made by the app, lives as long as the installation.
    DeviceId
}
id! {
    /// One call, the same on every device that hears of it.
    CallId
}
id! {
    /// One sign-in: on a phone, in a browser, on a desktop.
    SessionId
}
