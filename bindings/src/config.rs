//! What the app says about itself and its server.

use std::{collections::HashMap, time::Duration};

use hookswitch::{Config, DeviceDescription, SignInOptions, machine::IssuerProfile, wire::Platform};

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
    /// [`SignInOptions::scopes`]; `None`: the usual ones.
    pub scopes: Option<Vec<String>>,
    /// [`SignInOptions::resources`].
    pub resources: Vec<String>,
    /// [`SignInOptions::prompt`].
    pub prompt: Option<String>,
    /// [`SignInOptions::ui_locales`].
    pub ui_locales: Option<String>,
    /// [`SignInOptions::extra`].
    pub login_parameters: HashMap<String, String>,
    /// [`Config::session_life`].
    pub session_life: Option<Duration>,
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
            scopes,
            resources,
            prompt,
            ui_locales,
            login_parameters,
            session_life,
            device_name: name,
            platform,
            app_version,
            folder,
            process,
            proxy,
        } = self;
        let device = DeviceDescription { name, platform, app_version };
        let sign_in = SignInOptions {
            scopes: scopes.unwrap_or_else(|| SignInOptions::default().scopes),
            resources,
            prompt,
            ui_locales,
            extra: login_parameters.into_iter().collect(),
        };
        let config = Config {
            issuer,
            server,
            client_id,
            redirect_uris,
            profile,
            sign_in,
            session_life,
            device,
            folder: folder.into(),
            process,
        };
        (config, proxy)
    }
}
