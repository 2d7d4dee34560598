//! Login pages. Each login is a transaction of ten minutes, bound to the browser that began it by a cookie, and each of
//! its steps works once.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hookswitch_wire::{AccountId, SignedOutReason};
use minijinja::context;

use super::{
    ApiError, Shared, Stop, address,
    authorize::{again, back},
    body::{Fields, Form},
    caller::{by_cookie, session_cookie},
    cookies,
    pages::Forms,
    redirect,
};
use crate::{
    identity::{is_password, totp_step},
    secret,
    service::ServiceError,
    store::{AgentRow, LoginRow, LoginStep, Purpose, SessionKind, UpstreamSession},
};

/// Life of a login.
const LIFE: i64 = 10 * 60_000;
/// How many logins of one browser get a cookie of their own at the same time.
pub(crate) const MOST_COOKIES: usize = 20;

/// A login that begins.
pub(super) struct Begin {
    pub(super) purpose: Purpose,
    pub(super) step: LoginStep,
    /// Who, when only the second factor is missing.
    pub(super) account: Option<AccountId>,
    pub(super) session: Option<String>,
}

/// Begins a login and sends the browser to its page.
pub(super) fn begin(service: &Shared, headers: &HeaderMap, begin: Begin) -> Result<Response, ApiError> {
    let tx = secret::random().map_err(ServiceError::from)?;
    let hash = secret::stored(&tx);
    // One for all logins of a browser, so that two tabs do not undo each other.
    let known = cookies::read(headers, &service.base_url, cookies::LOGIN).filter(|binding| binding.len() == 43);
    let binding = match known {
        Some(binding) => binding.to_owned(),
        None => secret::random().map_err(ServiceError::from)?,
    };
    let page = if begin.step == LoginStep::Totp { "/login/totp" } else { "/login" };
    service.write(|unit| {
        let row = LoginRow {
            binding: secret::stored(&binding),
            step: begin.step,
            purpose: begin.purpose,
            account: begin.account,
            session: begin.session,
            expires_at: unit.now + LIFE,
        };
        unit.tx.insert_login(&hash, &row, unit.now)
    })?;
    let mut response = redirect(StatusCode::FOUND, &format!("{page}?tx={tx}"));
    let set = response.headers_mut();
    set.extend(cookies::set(&service.base_url, cookies::LOGIN, &binding, 3_600));
    if cookies::logins(headers, &service.base_url, cookies::LOGIN) < MOST_COOKIES {
        // A window that set out before any cookie came back may yet replace the shared one.
        let own = cookies::of_login(cookies::LOGIN, &hash);
        set.extend(cookies::set(&service.base_url, &own, &binding, LIFE / 1_000));
    }
    Ok(response)
}

/// A login under way, asked for by the browser that began it.
pub(super) struct Ticket {
    pub(super) tx: String,
    pub(super) hash: String,
    pub(super) binding: String,
    pub(super) row: LoginRow,
}

impl Ticket {
    /// The login that `?tx=` names, at this step.
    pub(super) fn find(
        service: &Shared,
        headers: &HeaderMap,
        query: Option<&str>,
        step: LoginStep,
    ) -> Result<Self, Stop> {
        let fields = Fields::parse(query.unwrap_or_default().as_bytes()).map_err(|_| unknown(service))?;
        let tx = fields.get("tx").ok_or_else(|| unknown(service))?.to_owned();
        let hash = secret::stored(&tx);
        let row = service.write(|unit| unit.tx.login(&hash))?.ok_or_else(|| unknown(service))?;
        let binding = bound(service, headers, &hash, &row)?;
        let ticket = Self { tx, hash, binding, row };
        ticket.usable(service, step)?;
        Ok(ticket)
    }

    /// Not expired, and not past this step.
    pub(super) fn usable(&self, service: &Shared, step: LoginStep) -> Result<(), Stop> {
        let new_start = new_start(&self.row.purpose);
        let action = Some((new_start.as_str(), "Start again"));
        if self.row.expires_at <= service.now() {
            let text = "A sign-in has to be finished within ten minutes.";
            return Err(service.pages.message(StatusCode::GONE, "This sign-in has expired", text, action).into());
        }
        if self.row.step != step {
            let text = "Each sign-in page works once.";
            return Err(service.pages.message(StatusCode::GONE, "This page was used before", text, action).into());
        }
        Ok(())
    }

    fn csrf(&self) -> String {
        secret::derived("csrf of a login", &[&self.tx, &self.binding])
    }

    fn check_csrf(&self, service: &Shared, fields: &Fields) -> Result<(), Stop> {
        if secret::same(fields.text("csrf"), &self.csrf()) {
            return Ok(());
        }
        let text = "The form did not come from our page, so nothing was done.";
        let action = new_start(&self.row.purpose);
        Err(service
            .pages
            .message(StatusCode::FORBIDDEN, "That form is not ours", text, Some((&action, "Start again")))
            .into())
    }

    fn forms(&self) -> Forms<'_> {
        match &self.row.purpose {
            Purpose::App(request) => Forms::Then(&request.redirect_uri),
            Purpose::Page { .. } => Forms::Here,
        }
    }

    fn login_page(&self, service: &Shared, status: StatusCode, email: &str, error: Option<&str>) -> Response {
        let app = match &self.row.purpose {
            Purpose::App(_) => "Hookswitch on your phone",
            Purpose::Page { label, .. } => label,
        };
        let with = context! {
            tx => &self.tx,
            csrf => self.csrf(),
            app,
            email,
            error,
            google_href => format!("/login/google?tx={}", self.tx),
            sso_href => format!("/login/sso?tx={}", self.tx),
        };
        service.pages.page(status, "login.html", &self.forms(), with)
    }

    fn totp_page(&self, service: &Shared, status: StatusCode, email: &str, error: Option<&str>) -> Response {
        let with = context! { tx => &self.tx, csrf => self.csrf(), email, error };
        service.pages.page(status, "totp.html", &self.forms(), with)
    }
}

/// The login cookie that this login is bound to, if this browser has it.
pub(super) fn bound(service: &Shared, headers: &HeaderMap, hash: &str, row: &LoginRow) -> Result<String, Stop> {
    let own = cookies::of_login(cookies::LOGIN, hash);
    let held =
        [own.as_str(), cookies::LOGIN].into_iter().filter_map(|name| cookies::read(headers, &service.base_url, name));
    let binding = held.into_iter().find(|binding| secret::same(&secret::stored(binding), &row.binding));
    binding.map(str::to_owned).ok_or_else(|| {
        let text = "It was begun in another browser, or long ago. Start again to sign in here. If you did not begin it, \
                    somebody may want you to sign in for them: close it.";
        // No more than a link to that page is: what it leads to is bound to this browser.
        let action = new_start(&row.purpose);
        let action = Some((action.as_str(), "Start again"));
        service.pages.message(StatusCode::FORBIDDEN, "This sign-in is not yours", text, action).into()
    })
}

fn unknown(service: &Shared) -> Stop {
    let text = "If an app sent you here, go back to it and sign in from there.";
    let action = Some(("/", "Start again"));
    service.pages.message(StatusCode::BAD_REQUEST, "There is no such sign-in", text, action).into()
}

/// Where a login begins anew.
pub(super) fn new_start(purpose: &Purpose) -> String {
    match purpose {
        Purpose::App(request) => again(request),
        Purpose::Page { path, .. } => path.clone(),
    }
}

/// `GET /login`
pub(super) async fn page(
    State(service): State<Shared>,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Stop> {
    let ticket = Ticket::find(&service, &headers, query.as_deref(), LoginStep::Password)?;
    let hint = match &ticket.row.purpose {
        Purpose::App(request) => request.hint.as_str(),
        Purpose::Page { group, path, .. } => {
            // Signed in by another window in the meantime: once is enough.
            if by_cookie(&service, &headers, *group, &address(&peer))?.is_some() {
                return Ok(redirect(StatusCode::FOUND, path));
            }
            ""
        }
    };
    Ok(ticket.login_page(&service, StatusCode::OK, hint, None))
}

/// `POST /login`
pub(super) async fn password(
    State(service): State<Shared>,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    Form(fields): Form,
) -> Result<Response, Stop> {
    let ticket = Ticket::find(&service, &headers, query.as_deref(), LoginStep::Password)?;
    ticket.check_csrf(&service, &fields)?;
    let (email, address) = (fields.text("email").trim().to_lowercase(), address(&peer));
    let keys = [format!("email {email}"), format!("address {address}")];
    if let Err(wait) = may_try(&service, &keys) {
        let error = "Too many attempts. Wait a few minutes, then try again.";
        return Err(later(ticket.login_page(&service, StatusCode::TOO_MANY_REQUESTS, &email, Some(error)), wait).into());
    }
    let agent = service.write(|unit| unit.tx.agent_by_email(&email))?;
    let known = check_password(&service, agent.as_ref(), fields.text("password")).await;
    match agent.filter(|_| known) {
        Some(agent) => Ok(finish(&service, &headers, &ticket, &agent, &address, None)?),
        None => {
            // Which of the two was wrong is nobody's business.
            let error = "E-mail or password is wrong.";
            note_failure(&service, &keys, "password refused", None, &address)?;
            Err(ticket.login_page(&service, StatusCode::UNAUTHORIZED, &email, Some(error)).into())
        }
    }
}

async fn check_password(service: &Shared, agent: Option<&AgentRow>, password: &str) -> bool {
    // As much work for an unknown e-mail, so that the time tells nothing.
    let hash = agent.map_or(&service.no_password, |agent| &agent.password).clone();
    let (password, exists) = (password.to_owned(), agent.is_some());
    let matches = tokio::task::spawn_blocking(move || is_password(&password, &hash)).await.unwrap_or(false);
    matches && exists
}

/// How long to wait when any of these failed too often.
fn may_try(service: &Shared, keys: &[String]) -> Result<(), i64> {
    let now = service.now();
    let mut failures = service.failures();
    keys.iter().try_for_each(|key| failures.check(key, now))
}

fn note_failure(
    service: &Shared,
    keys: &[String],
    event: &str,
    account: Option<&AccountId>,
    address: &str,
) -> Result<(), ServiceError> {
    {
        let now = service.now();
        let mut failures = service.failures();
        keys.iter().for_each(|key| failures.failed(key, now));
    }
    service.write(|unit| Ok(unit.tx.audit(event, account, address, unit.now)?))
}

fn later(mut response: Response, wait: i64) -> Response {
    let seconds = wait.saturating_add(999) / 1_000;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Somebody has proven who they are: gives what the login was for.
pub(super) fn finish(
    service: &Shared,
    headers: &HeaderMap,
    ticket: &Ticket,
    agent: &AgentRow,
    address: &str,
    upstream: Option<&UpstreamSession>,
) -> Result<Response, ServiceError> {
    match &ticket.row.purpose {
        Purpose::App(request) => {
            let code = service.write(|unit| {
                take_step(unit, ticket, LoginStep::Password, LoginStep::Done, None)?
                    .then(|| unit.issue_code(&agent.account, request.clone(), upstream))
                    .transpose()
            })?;
            Ok(match code {
                None => used(service, ticket),
                Some(code) => redirect(StatusCode::SEE_OTHER, &back(service, request, &[("code", &code)])),
            })
        }
        Purpose::Page { group, path, second_factor, .. } => {
            let kind = SessionKind::Cookie(*group);
            let name = session_cookie(*group);
            let old = cookies::read(headers, &service.base_url, name).map(secret::stored);
            let asks_more = *second_factor && agent.totp_secret.is_some() && may_open_dashboard(agent);
            let next = if asks_more { LoginStep::Totp } else { LoginStep::Done };
            let session = service.write(|unit| {
                let session = unit.start_session(&agent.account, kind, address, upstream)?;
                let proceed = Some((&agent.account, session.id.as_str()));
                if !take_step(unit, ticket, LoginStep::Password, next, proceed)? {
                    unit.end_session(&session.id, SignedOutReason::Revoked)?;
                    return Ok::<_, ServiceError>(None);
                }
                // Who signs in again leaves the old session behind.
                if let Some(old) = old.map(|cookie| unit.tx.session_by_cookie(&cookie)).transpose()?.flatten() {
                    unit.end_session(&old.id, SignedOutReason::SignedOutElsewhere)?;
                }
                Ok(Some(session))
            })?;
            let Some(session) = session else { return Ok(used(service, ticket)) };
            let to = if asks_more { format!("/login/totp?tx={}", ticket.tx) } else { path.clone() };
            let mut response = redirect(StatusCode::SEE_OTHER, &to);
            let life = i64::try_from(service.config.browser_session_life.as_secs()).unwrap_or(i64::MAX);
            response.headers_mut().extend(cookies::set(&service.base_url, name, &session.cookie, life));
            Ok(response)
        }
    }
}

pub(super) fn may_open_dashboard(agent: &AgentRow) -> bool {
    agent.aggregate.agent.role.may_open_dashboard()
}

fn used(service: &Shared, ticket: &Ticket) -> Response {
    let action = new_start(&ticket.row.purpose);
    let text = "Each sign-in page works once.";
    service.pages.message(StatusCode::GONE, "This page was used before", text, Some((&action, "Start again")))
}

/// Moves a login on; false when somebody else did at the same moment.
fn take_step(
    unit: &mut crate::service::Unit<'_>,
    ticket: &Ticket,
    from: LoginStep,
    to: LoginStep,
    who: Option<(&AccountId, &str)>,
) -> Result<bool, ServiceError> {
    let still_there = unit.tx.login(&ticket.hash)?.is_some_and(|row| row.step == from);
    if still_there {
        let (account, session) = who.unzip();
        unit.tx.move_login(&ticket.hash, to, account, session)?;
    }
    Ok(still_there)
}

/// `GET /login/totp`
pub(super) async fn totp_page(
    State(service): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let found = Ticket::find(&service, &headers, query.as_deref(), LoginStep::Totp)
        .and_then(|ticket| agent_of(&service, &ticket).map(|agent| (ticket, agent)));
    match found {
        Err(page) => page.into_response(),
        Ok((ticket, agent)) => ticket.totp_page(&service, StatusCode::OK, &agent.email, None),
    }
}

fn agent_of(service: &Shared, ticket: &Ticket) -> Result<AgentRow, Stop> {
    let account = ticket.row.account.as_ref().ok_or_else(|| unknown(service))?;
    service.write(|unit| unit.tx.agent(account))?.ok_or_else(|| unknown(service))
}

/// `POST /login/totp`
pub(super) async fn totp(
    State(service): State<Shared>,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    Form(fields): Form,
) -> Result<Response, Stop> {
    let ticket = Ticket::find(&service, &headers, query.as_deref(), LoginStep::Totp)?;
    ticket.check_csrf(&service, &fields)?;
    let agent = agent_of(&service, &ticket)?;
    let address = address(&peer);
    let keys = [format!("totp {}", agent.account), format!("address {address}")];
    if let Err(wait) = may_try(&service, &keys) {
        let error = "Too many attempts. Wait a few minutes, then try again.";
        return Err(
            later(ticket.totp_page(&service, StatusCode::TOO_MANY_REQUESTS, &agent.email, Some(error)), wait).into()
        );
    }
    let accepted = service.write(|unit| {
        // Read again inside the transaction: a code works once, however many ask at the same moment.
        let Some(now) = unit.tx.agent_to_change(&agent.account)? else { return Ok::<_, ServiceError>(false) };
        let step = now.totp_secret.as_deref().and_then(|key| totp_step(key, fields.text("code"), unit.now));
        let Some(step) = step.filter(|step| *step > now.totp_step) else { return Ok(false) };
        unit.tx.set_totp_step(&agent.account, step)?;
        if let Some(session) = &ticket.row.session {
            unit.tx.second_factor_done(session)?;
        }
        take_step(unit, &ticket, LoginStep::Totp, LoginStep::Done, None)
    })?;
    if accepted {
        return Ok(redirect(StatusCode::SEE_OTHER, &new_start(&ticket.row.purpose)));
    }
    note_failure(&service, &keys, "code refused", Some(&agent.account), &address)?;
    let error = "That code is wrong, or it was used before. Wait for the next one.";
    Err(ticket.totp_page(&service, StatusCode::UNAUTHORIZED, &agent.email, Some(error)).into())
}
