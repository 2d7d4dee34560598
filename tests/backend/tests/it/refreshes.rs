//! The record of refreshes, and the profiles that decide them.

use std::time::Duration;

use hookswitch_backend::{Config, FamilyReport, Operator, RefreshRecord, RotationProfile, token_fingerprint};
use hookswitch_wire::{SignedOutReason, TokenAnswer};
use reqwest::Method;

use super::support::*;

fn family(operator: &Operator) -> FamilyReport {
    let mut families = operator.refresh_record(ALICE).unwrap().families;
    assert_eq!(families.len(), 1);
    families.remove(0)
}

#[tokio::test]
async fn the_record_says_what_came_what_was_granted_and_what_was_refused() {
    let backend = backend().await;
    let operator = backend.operator();
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let first = phone.tokens.refresh_token.clone().unwrap();
    let fresh = family(&operator);
    assert_eq!((fresh.received, fresh.generation, fresh.live), (0, 0, true));
    assert_eq!(fresh.device.unwrap().as_str(), "iphone");
    assert_eq!(fresh.current, [token_fingerprint(&first)]);

    let second: TokenAnswer = read(refresh(&backend, &first).await).await;
    let retried: TokenAnswer = read(refresh(&backend, &first).await).await;
    let (second, retried) = (second.refresh_token.unwrap(), retried.refresh_token.unwrap());
    let known = family(&operator);
    assert_eq!((known.received, known.granted, known.retried, known.refused), (2, 2, 1, 0));
    assert_eq!(known.received_by_generation, [(0, 2)].into());
    assert_eq!((known.generation, known.current), (1, vec![token_fingerprint(&second), token_fingerprint(&retried)]));

    read::<TokenAnswer>(refresh(&backend, &retried).await).await;
    refresh(&backend, &first).await;
    refresh(&backend, "never ours").await;
    let RefreshRecord { mut families, unknown } = operator.refresh_record(ALICE).unwrap();
    let over = families.remove(0);
    assert_eq!((over.received, over.granted, over.refused, over.generation), (4, 3, 1, 2));
    assert_eq!(over.received_by_generation, [(0, 3), (1, 1)].into());
    assert_eq!((over.live, over.ended), (false, Some(SignedOutReason::Revoked)));
    assert_eq!((over.refusals[0].token.as_str(), over.refusals[0].generation), (&*token_fingerprint(&first), Some(0)));
    assert!(over.refusals[0].why.contains("used before"));
    assert_eq!((unknown.len(), unknown[0].generation), (1, None));
    assert_eq!(unknown[0].token, token_fingerprint("never ours"));
    assert_eq!(operator.refresh_record(ADAM).unwrap().families, []);
}

#[tokio::test]
async fn each_sign_in_is_a_family_of_its_own() {
    let backend = backend().await;
    let (one, other) = (PhoneClient::sign_in(&backend, ALICE).await, PhoneClient::sign_in(&backend, ALICE).await);
    refresh(&backend, other.tokens.refresh_token.as_deref().unwrap()).await;
    revoke(&backend, one.tokens.refresh_token.as_deref().unwrap()).await;
    let families = backend.operator().refresh_record(ALICE).unwrap().families;
    let seen: Vec<_> = families.iter().map(|family| (family.received, family.live, family.ended)).collect();
    assert_eq!(seen, [(0, false, Some(SignedOutReason::SignedOutElsewhere)), (1, true, None)]);
}

#[tokio::test]
async fn without_rotation_one_refresh_token_lasts_and_each_use_prolongs_it() {
    let life = Duration::from_secs(3_600);
    let refresh_profile = RotationProfile::NoRotation;
    let backend = backend_with(Config { refresh: refresh_profile, refresh_token_life: life, ..config() }).await;
    let mut phone = PhoneClient::sign_in(&backend, ALICE).await;
    let token = phone.tokens.refresh_token.clone().unwrap();
    for _ in 0..5 {
        backend.operator().clock().jump(3_000_000);
        let answer: TokenAnswer = read(refresh(&backend, &token).await).await;
        assert_eq!(answer.refresh_token, None);
        phone.tokens = answer;
        phone.state().await;
    }
    let family = family(&backend.operator());
    assert_eq!((family.granted, family.generation, family.current), (5, 0, vec![token_fingerprint(&token)]));
    backend.operator().clock().jump(3_600_000);
    assert_eq!(oauth_error(refresh(&backend, &token).await).await, "invalid_grant");
}

#[tokio::test]
async fn the_profile_changes_while_phones_are_signed_in() {
    let backend = backend().await;
    let operator = backend.operator();
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let first = phone.tokens.refresh_token.unwrap();
    operator.set_rotation(RotationProfile::NoRotation);
    assert_eq!(read::<TokenAnswer>(refresh(&backend, &first).await).await.refresh_token, None);
    operator.set_rotation(RotationProfile::Overlap { leeway: Duration::from_secs(90) });
    let second = read::<TokenAnswer>(refresh(&backend, &first).await).await.refresh_token.unwrap();
    operator.clock().jump(80_000);
    let second_again = read::<TokenAnswer>(refresh(&backend, &first).await).await.refresh_token.unwrap();
    assert_ne!(second, second_again);
    operator.set_rotation(RotationProfile::KillFamily);
    assert_eq!(operator.rotation(), RotationProfile::KillFamily);
    assert_eq!(oauth_error(refresh(&backend, &first).await).await, "invalid_grant");
    assert_eq!(oauth_error(refresh(&backend, &second).await).await, "invalid_grant", "the family is dead");
}

#[tokio::test]
async fn the_operator_reads_the_record_and_sets_the_profile_over_http() {
    const KEY: &str = "the key of the operator";
    let backend = backend_with(Config { operator_key: Some(KEY.into()), ..config() }).await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let browser = Browser::new(&backend);
    let operator = |method: Method, path: &str| browser.request(method, path).bearer_auth(KEY);
    let profile: RotationProfile = read(operator(Method::GET, "/operator/rotation").send().await.unwrap()).await;
    assert_eq!(profile, RotationProfile::default());
    let put = |body: &'static str| {
        operator(Method::PUT, "/operator/rotation").header("content-type", "application/json").body(body).send()
    };
    assert_eq!(put(r#"{"profile":"kill_family"}"#).await.unwrap().status(), 204);
    for bad in [r#"{"profile":"overlap"}"#, r#"{"profile":1}"#, "{"] {
        assert_eq!(problem(put(bad).await.unwrap()).await.status, 400, "{bad}");
    }
    assert_eq!(backend.operator().rotation(), RotationProfile::KillFamily);

    let token = phone.tokens.refresh_token.as_deref().unwrap();
    refresh(&backend, token).await;
    refresh(&backend, token).await;
    let path = format!("/operator/refreshes?email={ALICE}");
    let answer = operator(Method::GET, &path).send().await.unwrap();
    let text = answer.text().await.unwrap();
    assert!(!text.contains(token), "fingerprints, never tokens");
    let record: RefreshRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(record, backend.operator().refresh_record(ALICE).unwrap());
    assert_eq!((record.families[0].received, record.families[0].granted, record.families[0].refused), (2, 1, 1));
    assert_eq!(problem(browser.request(Method::GET, &path).send().await.unwrap()).await.status, 401);
    let nobody = operator(Method::GET, "/operator/refreshes?email=x").send().await.unwrap();
    assert_eq!(problem(nobody).await.status, 404);
}
