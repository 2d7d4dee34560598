//! `/operator/*`: the [`Operator`](crate::Operator) over HTTP, for whoever holds the operator key.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
    routing::{delete, get, post},
};
use hookswitch_wire::{AccountId, CallId, DeviceId, PhoneNumber, SignedOutReason, Snapshot};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ApiError, Label, Shared,
    body::{Fields, JsonBody},
    text,
};
use crate::{
    aggregate::LegNews,
    carrier::CarrierMessage,
    faults::{FaultPlan, FaultReport},
    logout::LogoutClient,
    operator::{AgentSeed, CallReport, Counts, DeliveryReport, Operator, OutboxEntry, SessionReport},
    refreshes::RefreshRecord,
    rotation::RotationProfile,
    secret,
};

/// The operator, if the key is right.
struct Keyholder(Operator);

impl FromRequestParts<Shared> for Keyholder {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, service: &Shared) -> Result<Self, ApiError> {
        if let Some(label) = parts.extensions.get::<Label>() {
            label.set("operator");
        }
        let key = text(&parts.headers, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        let right = service.config.operator_key.as_ref().is_some_and(|expected| {
            secret::same(&secret::stored(key.unwrap_or_default()), &secret::stored(expected.expose_secret()))
        });
        if right { Ok(Self(Operator::new(Arc::clone(service)))) } else { Err(ApiError::unauthenticated()) }
    }
}

/// The one query parameter that an operator's question has.
struct Asked(Fields);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Fields::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .map(Self)
            .map_err(|_| ApiError::malformed("A query parameter comes twice."))
    }
}

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/operator/agents", post(add_agent))
        .route("/operator/totp", get(totp))
        .route("/operator/calls", get(calls).post(incoming_call))
        .route("/operator/calls/{call_id}", get(call))
        .route("/operator/calls/{call_id}/hang-up", post(hang_up))
        .route("/operator/calls/{call_id}/leg", post(leg))
        .route("/operator/outbox", get(outbox))
        .route("/operator/deliveries", get(deliveries))
        .route("/operator/carrier", get(carrier))
        .route("/operator/old-server", post(old_server))
        .route("/operator/expire-access-tokens", post(expire))
        .route("/operator/revoke-sessions", post(revoke))
        .route("/operator/snapshot", get(snapshot))
        .route("/operator/sessions", get(sessions))
        .route("/operator/restore", post(restore))
        .route("/operator/counts", get(counts))
        .route("/operator/rotation", get(rotation).put(set_rotation))
        .route("/operator/refreshes", get(refreshes))
        .route("/operator/logout-clients", get(logout_clients).post(register_logout_client))
        .route("/operator/upstream/sign-out", post(sign_out_upstream))
        .route("/operator/faults", get(faults).post(inject).delete(clear_faults))
        .route("/operator/faults/{id}", delete(clear_fault))
        .route("/operator/clock", get(clock).post(jump))
}

type Answer<T> = Result<Json<T>, ApiError>;

async fn add_agent(operator: Keyholder, JsonBody(seed): JsonBody<AgentSeed>) -> Answer<AccountId> {
    Ok(Json(operator.0.add_agent(seed).await?))
}

async fn totp(operator: Keyholder, Asked(query): Asked) -> Answer<Value> {
    Ok(Json(json!({ "code": operator.0.totp_code(query.text("email")) })))
}

#[derive(Deserialize)]
struct Incoming {
    email: String,
    #[serde(default)]
    from: Option<PhoneNumber>,
    #[serde(default)]
    from_name: Option<String>,
}

async fn incoming_call(operator: Keyholder, JsonBody(call): JsonBody<Incoming>) -> Answer<CallReport> {
    Ok(Json(operator.0.incoming_call(&call.email, call.from, call.from_name)?))
}

async fn calls(operator: Keyholder, Asked(query): Asked) -> Answer<Vec<CallReport>> {
    Ok(Json(operator.0.calls(query.text("email"))?))
}

async fn call(operator: Keyholder, Path(call_id): Path<String>) -> Answer<CallReport> {
    let report = operator.0.call_report(&CallId(call_id));
    Ok(Json(report.ok_or_else(|| ApiError::not_found("There is no such call."))?))
}

async fn hang_up(operator: Keyholder, Path(call_id): Path<String>) -> Result<StatusCode, ApiError> {
    operator.0.hang_up(&CallId(call_id))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct LegSays {
    is: LegNews,
}

async fn leg(
    operator: Keyholder,
    Path(call_id): Path<String>,
    JsonBody(body): JsonBody<LegSays>,
) -> Answer<CallReport> {
    Ok(Json(operator.0.leg(&CallId(call_id), body.is)?))
}

fn after(query: &Fields) -> Result<u64, ApiError> {
    let after = query.get("after").unwrap_or("0").parse();
    after.map_err(|_| ApiError::malformed("`after` is the number of a push.").field("after"))
}

async fn outbox(operator: Keyholder, Asked(query): Asked) -> Answer<Vec<OutboxEntry>> {
    Ok(Json(operator.0.outbox_since(after(&query)?)?))
}

async fn deliveries(operator: Keyholder, Asked(query): Asked) -> Answer<Vec<DeliveryReport>> {
    Ok(Json(operator.0.deliveries_since(after(&query)?)?))
}

async fn carrier(operator: Keyholder) -> Answer<Vec<CarrierMessage>> {
    Ok(Json(operator.0.carrier_messages()))
}

#[derive(Deserialize)]
struct OldServer {
    on: bool,
}

async fn old_server(operator: Keyholder, JsonBody(body): JsonBody<OldServer>) -> StatusCode {
    operator.0.set_old_server(body.on);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Expire {
    email: String,
    #[serde(default)]
    device: Option<DeviceId>,
}

async fn expire(operator: Keyholder, JsonBody(body): JsonBody<Expire>) -> Result<StatusCode, ApiError> {
    operator.0.expire_access_tokens(&body.email, body.device.as_ref())?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Revoke {
    email: String,
    reason: SignedOutReason,
}

async fn revoke(operator: Keyholder, JsonBody(body): JsonBody<Revoke>) -> Result<StatusCode, ApiError> {
    operator.0.revoke_sessions(&body.email, body.reason)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn snapshot(operator: Keyholder, Asked(query): Asked) -> Answer<Snapshot> {
    Ok(Json(operator.0.snapshot(query.text("email"))?))
}

async fn sessions(operator: Keyholder, Asked(query): Asked) -> Answer<Vec<SessionReport>> {
    Ok(Json(operator.0.sessions(query.text("email"))?))
}

async fn restore(operator: Keyholder) -> Result<StatusCode, ApiError> {
    operator.0.restore_from_backup()?;
    Ok(StatusCode::NO_CONTENT)
}

async fn counts(operator: Keyholder) -> Answer<Counts> {
    Ok(Json(operator.0.counts()))
}

async fn logout_clients(operator: Keyholder) -> Answer<Vec<LogoutClient>> {
    Ok(Json(operator.0.logout_clients()))
}

async fn register_logout_client(
    operator: Keyholder,
    JsonBody(client): JsonBody<LogoutClient>,
) -> Result<StatusCode, ApiError> {
    operator.0.register_logout_client(client)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct SignOutUpstream {
    tenant: String,
    email: String,
}

async fn sign_out_upstream(operator: Keyholder, JsonBody(body): JsonBody<SignOutUpstream>) -> Answer<Value> {
    Ok(Json(json!({ "sessions": operator.0.sign_out_upstream(&body.tenant, &body.email)? })))
}

async fn inject(operator: Keyholder, JsonBody(plan): JsonBody<FaultPlan>) -> Answer<Value> {
    Ok(Json(json!({ "id": operator.0.inject(plan) })))
}

async fn faults(operator: Keyholder) -> Answer<Vec<FaultReport>> {
    Ok(Json(operator.0.faults()))
}

async fn clear_faults(operator: Keyholder) -> Answer<Vec<FaultReport>> {
    Ok(Json(operator.0.clear_faults()))
}

async fn clear_fault(operator: Keyholder, Path(id): Path<String>) -> Answer<FaultReport> {
    let report = id.parse().ok().and_then(|id| operator.0.clear_fault(id));
    Ok(Json(report.ok_or_else(|| ApiError::not_found("There is no such fault."))?))
}

async fn rotation(operator: Keyholder) -> Answer<RotationProfile> {
    Ok(Json(operator.0.rotation()))
}

async fn set_rotation(operator: Keyholder, JsonBody(profile): JsonBody<RotationProfile>) -> StatusCode {
    operator.0.set_rotation(profile);
    StatusCode::NO_CONTENT
}

async fn refreshes(operator: Keyholder, Asked(query): Asked) -> Answer<RefreshRecord> {
    Ok(Json(operator.0.refresh_record(query.text("email"))?))
}

async fn clock(State(service): State<Shared>, _: Keyholder) -> Answer<Value> {
    Ok(Json(json!({ "now": service.now() })))
}

#[derive(Deserialize)]
struct Jump {
    ms: i64,
}

async fn jump(State(service): State<Shared>, _: Keyholder, JsonBody(body): JsonBody<Jump>) -> Answer<Value> {
    service.clock.jump(body.ms);
    Ok(Json(json!({ "now": service.now() })))
}
