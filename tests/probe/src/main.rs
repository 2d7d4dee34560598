//! For whoever brings an issuer of their own: what of a sign-in will work with it, and what will not.
//!
//! `cargo run --release -p probe -- ISSUER` reads the issuer's metadata, as the apps do, and prints a line for each thing that
//! matters, worst first, and the settings to begin with. With `--client-id` it also uses a refresh token that never was: what the issuer says of
//! that one is what it will say of one that is dead. Nobody signs in, and nothing is changed. Exit code 1: agents could not sign in.

mod verdict;

use std::process::ExitCode;

use bytes::Bytes;
use clap::Parser;
use futures_util::TryStreamExt;
use hookswitch::{
    http::Network,
    machine::is_secure_address,
    ports::{Http, HttpRequest},
};
use serde_json::Value;

use verdict::{Finding, Weight, judge, judge_refusal, settings};

/// Reads an issuer's metadata and says what of a sign-in will work with it, and what will not.
#[derive(Parser)]
struct Options {
    /// The issuer, exactly as the apps will be configured with it.
    issuer: String,
    /// The app, as it is registered there: asks the token endpoint what it says of a dead refresh token.
    #[arg(long)]
    client_id: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            println!("{trouble}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<bool, String> {
    if !is_secure_address(&options.issuer) {
        return Err(
            "An issuer is https, or http on an address of loopback: apps do not open with another one.".to_owned()
        );
    }
    let network = Network::new();
    let address = format!("{}/.well-known/openid-configuration", options.issuer.trim_end_matches('/'));
    let request = http::Request::get(&address).header(http::header::ACCEPT, "application/json").body(Bytes::new());
    let answer = ask(&network, request.map_err(|error| error.to_string())?).await?;
    if answer.status != 200 {
        return Err(format!("{address} answers {}: there is no metadata, and the apps can do nothing.", answer.status));
    }
    let Some(metadata) = answer.json.filter(|_| answer.media_type == "application/json") else {
        return Err(format!("{address} answers with {:?} and not with JSON.", answer.media_type));
    };
    let mut findings = judge(&metadata, &options.issuer);
    let endpoint = metadata.get("token_endpoint").and_then(Value::as_str).filter(|address| is_secure_address(address));
    if let (Some(client_id), Some(endpoint)) = (&options.client_id, endpoint) {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", "one-that-never-was")
            .append_pair("client_id", client_id)
            .finish();
        let request = http::Request::post(endpoint)
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(form));
        let answer = ask(&network, request.map_err(|error| error.to_string())?).await?;
        findings.push(judge_refusal(answer.status, &answer.media_type, answer.json.as_ref()));
    }
    findings.sort_by_key(|finding| finding.weight);
    println!("{}", options.issuer);
    for Finding { weight, what } in &findings {
        println!("{:<6} {what}", weight.word());
    }
    println!("\nTo begin with:");
    for setting in settings(&metadata, &options.issuer) {
        println!("       {setting}");
    }
    Ok(findings.iter().all(|finding| finding.weight != Weight::Fails))
}

struct Answer {
    status: u16,
    media_type: String,
    json: Option<Value>,
}

async fn ask(network: &Network, request: HttpRequest) -> Result<Answer, String> {
    let response = network.send(request).await.map_err(|fault| format!("The issuer does not answer: {fault}."))?;
    let pieces: Vec<Bytes> =
        response.body.try_collect().await.map_err(|fault| format!("The issuer's answer broke off: {fault}."))?;
    let media_type = response.head.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = serde_json::from_slice(&pieces.concat()).ok();
    Ok(Answer { status: response.head.status.as_u16(), media_type, json })
}
