use hookswitch_backend::{AndroidApp, Config};
use reqwest::{Client, redirect::Policy};
use serde_json::{Value, json};

use super::support::*;

const PACKAGE: &str = "dev.hookswitch.agent";

fn certificate() -> String {
    ["AB"; 32].join(":")
}

async fn statement(backend: &hookswitch_backend::Backend, file: &str) -> Value {
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let answer = soon(client.get(format!("{}/.well-known/{file}", backend.base_url())).send()).await.unwrap();
    // Neither platform follows a redirect, nor reads another type.
    assert_eq!(answer.status(), 200, "{file}");
    assert_eq!(answer.headers()["content-type"], "application/json", "{file}");
    serde_json::from_str(&soon(answer.text()).await.unwrap()).unwrap()
}

#[tokio::test]
async fn the_platforms_are_told_which_apps_open_the_https_redirect() {
    let config = Config {
        android_apps: vec![format!("{PACKAGE}={}", certificate()).parse().unwrap()],
        apple_apps: vec!["TEAM123456.dev.hookswitch.agent".to_owned()],
        ..config()
    };
    let backend = backend_with(config).await;
    assert_eq!(
        statement(&backend, "assetlinks.json").await,
        json!([{
            "relation": ["delegate_permission/common.handle_all_urls"],
            "target": {
                "namespace": "android_app", "package_name": PACKAGE, "sha256_cert_fingerprints": [certificate()],
            },
        }])
    );
    assert_eq!(
        statement(&backend, "apple-app-site-association").await,
        json!({
            "applinks": {
                "details": [{ "appIDs": ["TEAM123456.dev.hookswitch.agent"], "components": [{ "/": "/callback" }] }],
            },
            "webcredentials": { "apps": ["TEAM123456.dev.hookswitch.agent"] },
        })
    );
}

#[tokio::test]
async fn without_an_app_no_app_opens_anything() {
    let backend = backend().await;
    assert_eq!(statement(&backend, "assetlinks.json").await, json!([]));
    assert_eq!(statement(&backend, "apple-app-site-association").await["webcredentials"]["apps"], json!([]));
}

#[test]
fn a_certificate_is_read_as_the_tools_write_it() {
    let plain = "ab".repeat(32);
    let expected = AndroidApp { package: PACKAGE.to_owned(), certificate: certificate() };
    for written in [plain.clone(), certificate(), certificate().to_lowercase()] {
        assert_eq!(format!("{PACKAGE}={written}").parse(), Ok(expected.clone()), "{written}");
    }
    for broken in [PACKAGE.to_owned(), format!("{PACKAGE}="), format!("{PACKAGE}={}", &plain[1..]), format!("={plain}")]
    {
        assert!(broken.parse::<AndroidApp>().is_err(), "{broken}");
    }
}
