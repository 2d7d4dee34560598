//! npm's `oidc-provider`, started by `server.mjs`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    issuer::{Answer, Issuer},
    report::{ErrorMessage, ensure, text},
    server::Server,
};

/// An `oidc-provider` that runs.
pub(crate) struct Provider {
    _server: Server,
    http: reqwest::Client,
    pub(crate) issuer: Issuer,
}

impl Provider {
    pub(crate) async fn start(folder: &Path, log: PathBuf) -> Result<Self, ErrorMessage> {
        let mut server = Server::start("oidc-provider", folder, "node", ["server.mjs"], &[], log.clone())?;
        let http = reqwest::Client::builder().no_proxy().build().map_err(text)?;
        let mut found = None;
        server
            .until_ready(async || {
                // It chooses its port, and says which.
                let printed = fs::read_to_string(&log).unwrap_or_default();
                if let Some(name) = printed.lines().find_map(|line| line.strip_prefix("issuer ")) {
                    found = Issuer::find(&http, name).await;
                }
                found.is_some()
            })
            .await?;
        let issuer = found.ok_or("oidc-provider is ready and then is not")?;
        Ok(Self { _server: server, http, issuer })
    }

    /// An administrator ends everybody's session.
    pub(crate) async fn end_all(&self) -> Result<(), ErrorMessage> {
        let address = format!("{}/interop/end-all", self.issuer.name);
        let answer = Answer::read(self.http.post(address).send().await.map_err(text)?).await?;
        ensure(answer.status == 204, || format!("end-all: {answer:?}"))
    }
}
