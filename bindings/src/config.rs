//! What the app says about itself and its server.

use hookswitch::{Config, DeviceDescription, machine::IssuerProfile, wire::Platform};

/// What the app says about itself and its server: [`Config`], flat, and with a folder that every language can write.
#[derive(Clone, Debug, uniffi::Record)]
pub struct CoreConfig {
    /// The authorization server, exactly as its metadata names it. `https`, or `http` on loopback.
    pub issuer: String,
    /// Where the API is. `https`, or `http` on loopback.
    pub server: String,
    /// RFC 6749, section 2.2.
    pub client_id: String,
    /// The registered redirect URIs, best first.
    pub redirect_uris: Vec<String>,
    /// What kind of issuer it is.
    pub profile: IssuerProfile,
    /// For display: "Alice's iPhone".
    pub device_name: String,
    /// Decides what a ring decision means for the call UI.
    pub platform: Platform,
    /// The app's version.
    pub app_version: String,
    /// A folder of the app's own, not backed up.
    pub folder: String,
    /// The kind of process that this is: "app", "notification". See [`Config::process`].
    pub process: String,
    /// An HTTP forward proxy, `http://host:port`, without user and password; `None`: none.
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
            profile,
            device_name: name,
            platform,
            app_version,
            folder,
            process,
            proxy,
        } = self;
        let device = DeviceDescription { name, platform, app_version };
        let config =
            Config { issuer, server, client_id, redirect_uris, profile, device, folder: folder.into(), process };
        (config, proxy)
    }
}
