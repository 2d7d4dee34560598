//! What ties the apps to this server's web addresses, so that the browser hands the sign-in's https address to the app and to no other: Android
//! (Digital Asset Links, *Verify Android App Links*) and Apple (*Supporting associated domains*) fetch it when the app is installed.
//!
//! Both want the answer at once: status 200, `application/json`, no redirect. Without an app it says that there is none.

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::Shared;
use crate::config::AndroidApp;

/// The path of [`super::authorize`]'s https address.
const CALLBACK: &str = "/callback";

/// `GET /.well-known/assetlinks.json`
pub(super) async fn android(State(service): State<Shared>) -> Response {
    let apps = service.config.android_apps.iter().map(|AndroidApp { package, certificate }| {
        json!({
            "relation": ["delegate_permission/common.handle_all_urls"],
            "target": {
                "namespace": "android_app",
                "package_name": package,
                "sha256_cert_fingerprints": [certificate],
            },
        })
    });
    statement(Value::from_iter(apps))
}

/// `GET /.well-known/apple-app-site-association`: `applinks` for the app, `webcredentials` for `ASWebAuthenticationSession` with an https
/// callback (iOS 17.4).
pub(super) async fn apple(State(service): State<Shared>) -> Response {
    let apps = &service.config.apple_apps;
    statement(json!({
        "applinks": { "details": [{ "appIDs": apps, "components": [{ "/": CALLBACK }] }] },
        "webcredentials": { "apps": apps },
    }))
}

fn statement(of: Value) -> Response {
    ([(header::CACHE_CONTROL, "max-age=300")], Json(of)).into_response()
}
