//! What the app says about itself and its server.

use std::path::PathBuf;

use hookswitch_machine::{Failure, IssuerProfile, is_secure_address};
use hookswitch_wire::Platform;
use url::Url;

/// What the app says about itself and its server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The authorization server, exactly as its metadata names it. `https`, or `http` on loopback.
    pub issuer: String,
    /// Where the API is. `https`, or `http` on loopback.
    pub server: String,
    /// The name under which the issuer knows the app (RFC 6749, section 2.2): a public client's, no secret.
    pub client_id: String,
    /// The registered redirect URIs, best first: a claimed https link, then a private-use scheme (RFC 8252, section 7).
    pub redirect_uris: Vec<String>,
    /// What kind of issuer it is: how soon a refresh whose answer was lost must be repeated, and what its refusals mean.
    pub profile: IssuerProfile,
    /// What this phone is called and what it is.
    pub device: DeviceDescription,
    /// A folder of the app's own, not backed up. iOS: shared with the notification extension; protection class "until
    /// first user authentication", or a push before the first unlock finds nothing.
    pub folder: PathBuf,
    /// The kind of process that this is: "app", "notification". Processes that share the folder and may run at the same
    /// time must have different names. A process that finds its own name on a lease knows that its predecessor was
    /// killed, and need not wait for the lease to end; that is right only where the platform runs one process of each
    /// kind, as iOS and Android do.
    pub process: String,
}

/// What this phone is called and what it is.
#[derive(Clone, Debug)]
pub struct DeviceDescription {
    /// For display: "Alice's iPhone".
    pub name: String,
    /// Decides what a ring decision means for the call UI.
    pub platform: Platform,
    /// The version of the app, for display and support.
    pub app_version: String,
}

impl Config {
    /// The server's address, once both addresses are known to be safe.
    pub(crate) fn checked(&self) -> Result<Url, Failure> {
        secure(&self.issuer, "issuer")?;
        secure(&self.server, "server")
    }
}

/// Tokens travel to these addresses.
fn secure(address: &str, what: &str) -> Result<Url, Failure> {
    let url = Url::parse(address).map_err(|_| Failure::internal(format!("The {what}'s address is not an address.")))?;
    if is_secure_address(address) {
        Ok(url)
    } else {
        Err(Failure::internal(format!("The {what}'s address must be https.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_travel_over_tls_or_stay_on_the_device() {
        for good in ["https://id.example", "http://127.0.0.1:8080", "http://[::1]:1"] {
            assert!(secure(good, "issuer").is_ok(), "{good}");
        }
        for bad in ["http://id.example", "http://localhost.example", "ftp://id.example", "id.example", ""] {
            assert!(secure(bad, "issuer").is_err(), "{bad}");
        }
    }
}
