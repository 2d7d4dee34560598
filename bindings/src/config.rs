//! What the app says about itself and its server.

use hookswitch::{Config, DeviceDescription, machine::IssuerProfile, wire::Platform};

/// What kind of phone this is.
#[derive(Clone, Copy, Debug, uniffi::Enum)]
pub enum Phone {
    /// Every VoIP push must be reported to CallKit.
    Ios,
    /// A silent call is never added to Telecom.
    Android,
}

/// Which kind of issuer it is. See [`IssuerProfile`].
#[derive(Clone, Copy, Debug, uniffi::Enum)]
pub enum Issuer {
    /// All care is taken.
    Unknown,
    /// Microsoft Entra ID.
    Entra,
    /// Okta.
    Okta,
    /// Auth0.
    Auth0,
    /// Keycloak.
    Keycloak,
    /// Amazon Cognito.
    Cognito,
    /// Any that follows the FAPI 2.0 security profile.
    Fapi2,
}

impl From<Issuer> for IssuerProfile {
    fn from(issuer: Issuer) -> Self {
        match issuer {
            Issuer::Unknown => Self::Unknown,
            Issuer::Entra => Self::Entra,
            Issuer::Okta => Self::Okta,
            Issuer::Auth0 => Self::Auth0,
            Issuer::Keycloak => Self::Keycloak,
            Issuer::Cognito => Self::Cognito,
            Issuer::Fapi2 => Self::Fapi2,
        }
    }
}

/// What the app says about itself and its server. See [`Config`].
#[derive(Clone, Debug, uniffi::Record)]
pub struct CoreConfig {
    /// The authorization server, exactly as its metadata names it.
    pub issuer: String,
    /// Where the API is.
    pub server: String,
    /// RFC 6749, section 2.2.
    pub client_id: String,
    /// The registered redirect URIs, best first.
    pub redirect_uris: Vec<String>,
    /// What kind of issuer it is.
    #[uniffi(default = None)]
    pub issuer_kind: Option<Issuer>,
    /// For display: "Alice's iPhone".
    pub device_name: String,
    /// Decides what a ring decision means.
    pub phone: Phone,
    /// The app's version.
    pub app_version: String,
    /// A folder of the app's own, not backed up.
    pub folder: String,
    /// The kind of process that this is: "app", "notification". See [`Config::process`].
    pub process: String,
    /// An HTTP forward proxy, `http://host:port`, without user and password; `None`: none.
    #[uniffi(default = None)]
    pub proxy: Option<String>,
}

impl CoreConfig {
    /// The core's own configuration, and the proxy.
    pub(crate) fn taken_apart(self) -> (Config, Option<String>) {
        let Self {
            issuer,
            server,
            client_id,
            redirect_uris,
            issuer_kind,
            device_name,
            phone,
            app_version,
            folder,
            process,
            proxy,
        } = self;
        let platform = match phone {
            Phone::Ios => Platform::Ios,
            Phone::Android => Platform::Android,
        };
        let device = DeviceDescription { name: device_name, platform, app_version };
        let profile = issuer_kind.unwrap_or(Issuer::Unknown).into();
        let config =
            Config { issuer, server, client_id, redirect_uris, profile, device, folder: folder.into(), process };
        (config, proxy)
    }
}
