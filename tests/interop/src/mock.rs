//! Maven's `mock-oauth2-server` (NAV): small, rotating, and without much that larger ones have.

use std::path::{Path, PathBuf};

use crate::{
    issuer::Issuer,
    report::{ErrorMessage, text},
    server::{Server, free_port},
};

const MAIN: &str = "no.nav.security.mock.oauth2.StandaloneMockOAuth2ServerKt";

/// A `mock-oauth2-server` that runs.
pub(crate) struct Mock {
    _server: Server,
    pub(crate) issuer: Issuer,
}

impl Mock {
    /// Starts it from the jars in `folder`.
    pub(crate) async fn start(folder: &Path, log: PathBuf) -> Result<Self, ErrorMessage> {
        let port = free_port()?.to_string();
        let environment = [
            ("SERVER_HOSTNAME", "127.0.0.1"),
            ("SERVER_PORT", port.as_str()),
            ("JSON_CONFIG", r#"{"interactiveLogin":true,"rotateRefreshToken":true}"#),
        ];
        let arguments = ["-XX:TieredStopAtLevel=1", "-cp", "./*", MAIN];
        let mut server = Server::start("mock-oauth2-server", folder, "java", arguments, &environment, log)?;
        let http = reqwest::Client::builder().no_proxy().build().map_err(text)?;
        let name = format!("http://127.0.0.1:{port}/acme");
        let mut found = None;
        server
            .until_ready(async || {
                found = Issuer::find(&http, &name).await;
                found.is_some()
            })
            .await?;
        let issuer = found.ok_or("mock-oauth2-server is ready and then is not")?;
        Ok(Self { _server: server, issuer })
    }
}
