//! Hookswitch: the shared core of the mobile apps of a cloud phone system.
//!
//! [`Hookswitch`] is all that an app sees: it signs in by the system browser, keeps the session, shows one and the same
//! presence, and decides whether this phone rings.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | what the app says about itself and its server |
//! | [`ports`] | what the core needs from outside: [`ports::Clock`], [`ports::KeyProvider`], [`ports::Http`] |
//! | `shared_machine` | the state machine of `hookswitch-machine` behind one lock, and what it tells |
//! | `transcript` | what happened lately, for a bug report |
//! | `driver` | does the work that steps ask for: requests, transactions, streams, timers |
//! | `auth` | the authorization server: login page, redirect, tokens |
//! | `sync` | the API and the presence stream |
//! | `answer` | what an HTTP answer means |
//! | [`store`] | the vault |
//! | `secrets` | the secrets behind the names that the machine knows |
//! | [`http`] | the real network |
//!
//! Decisions are not made here: they are in [`hookswitch_machine`], where they can be replayed.

mod answer;
mod auth;
pub mod config;
mod driver;
pub mod http;
pub mod ports;
mod secrets;
mod shared_machine;
pub mod store;
mod sync;
mod transcript;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

pub use config::{Config, DeviceDescription, SignInOptions};
pub use hookswitch_machine as machine;
use hookswitch_machine::view::StoppedCall;
use hookswitch_machine::{AppState, Command, Decision, DeviceFacts, Event, Failure, Reply, RingRecord, Setup};
pub use hookswitch_wire as wire;
use hookswitch_wire::{Availability, CallId, CallPush, CodeBy, DeviceId, ForwardTo, PhoneNumber, SessionId};
use ports::{Clock, KeyProvider, Ports, SystemClock};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{broadcast, watch},
    task::AbortHandle,
};
use url::Url;

use driver::{Driver, Environment};
use secrets::{Secrets, random_secret};
use shared_machine::SharedMachine;
use store::Store;

impl Ports {
    /// The real time and the real network.
    pub fn real(keys: Arc<dyn KeyProvider>) -> Self {
        Self { clock: Arc::new(SystemClock), keys, http: Arc::new(http::Network::new()) }
    }
}

/// The core of one app on one phone.
///
/// Cheap to call from any thread; every method is safe to abandon: dropping a future ends the wait, not the work.
/// Dropping the value stops all work at once, as a kill of the process would, and loses nothing.
pub struct Hookswitch {
    machine: Arc<SharedMachine>,
    environment: Arc<Environment>,
    driver: AbortHandle,
    /// Whether the platform has said whether there is a network.
    knows_network: AtomicBool,
}

impl Drop for Hookswitch {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Hookswitch {
    /// Opens the vault, restores the session, and starts in the background: nothing is sent before [`Self::foreground`] or
    /// a push. Must be called in a tokio runtime, which then carries the work.
    ///
    /// # Errors
    /// [`Failure::Internal`] for an unusable configuration, [`Failure::Storage`] when the vault cannot be opened.
    pub async fn open(config: Config, ports: Ports) -> Result<Self, Failure> {
        let server = config.checked()?;
        let secrets = Arc::new(Secrets::default());
        let store = Store::open(
            config.folder.clone(),
            config.process.clone(),
            Arc::clone(&ports.keys),
            Arc::clone(&ports.clock),
            Arc::clone(&secrets),
        )
        .await?;
        let setup = Setup {
            issuer: config.issuer.clone(),
            client_id: config.client_id.clone(),
            redirect_uris: config.redirect_uris.clone(),
            device: store.device(),
            platform: config.device.platform,
            profile: config.profile,
            session_life: config.session_life.map(|life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX)),
        };
        let (machine, work) = SharedMachine::new(setup, Arc::clone(&ports.clock), Arc::clone(&secrets));
        let machine = Arc::new(machine);
        let environment = Arc::new(Environment { config, server, ports, secrets, store });
        let seed = getrandom::u64().map_err(|error| Failure::internal(format!("No random numbers: {error}")))?;
        let mut restored = machine.watch();
        machine.apply(Event::Started { seed });
        let driver = Driver { machine: Arc::clone(&machine), environment: Arc::clone(&environment), work };
        let driver = tokio::spawn(driver.run()).abort_handle();
        let core = Self { machine, environment, driver, knows_network: AtomicBool::new(false) };
        // The vault answers in milliseconds; a decision on the push that started the process needs what it holds.
        let _ = restored.wait_for(|view| view.session != machine::view::SessionState::Loading).await;
        Ok(core)
    }

    /// This installation's name among the agent's devices.
    pub fn device(&self) -> DeviceId {
        self.environment.store.device()
    }

    /// What to show now.
    pub fn state(&self) -> AppState {
        self.machine.state()
    }

    /// The newest state of the server, whole: what the app's presence is made from. For tools and tests that look behind what apps show.
    pub fn snapshot(&self) -> Option<wire::Snapshot> {
        self.machine.snapshot()
    }

    /// What to show, and each change of it, coalesced to the latest.
    pub fn watch(&self) -> watch::Receiver<AppState> {
        self.machine.watch()
    }

    /// Calls that ring and must stop. (That a call must ring is said by [`Self::decide`].)
    pub fn stops(&self) -> broadcast::Receiver<StoppedCall> {
        self.machine.stops()
    }

    // ---- session ------------------------------------------------------------------------------------------------

    /// Starts a sign-in, and gives the address to open in the system browser. A newer one replaces an older one. While somebody is
    /// signed in, it starts one only where the state of the session asks for that: `ReauthRequired`, or `SignedIn` and `Ending`.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] when somebody is signed in, [`Failure::Offline`] when the issuer cannot be reached,
    /// [`Failure::Internal`] when `redirect_uri` is not one of the configured ones.
    pub async fn begin_login(&self, hint: Option<String>, redirect_uri: &str) -> Result<Url, Failure> {
        let secret = || {
            let secret = random_secret().map_err(|error| Failure::internal(format!("No random numbers: {error}")))?;
            Ok::<_, Failure>(self.environment.secrets.name(&secret))
        };
        let command = Command::BeginLogin {
            hint,
            redirect_uri: redirect_uri.to_owned(),
            state: secret()?,
            nonce: secret()?,
            verifier: secret()?,
        };
        match self.machine.ask(command).await? {
            (Reply::Login { authorization_endpoint, pending: _, request_uri: Some(request_uri) }, _) => {
                auth::login::pushed_url(&authorization_endpoint, &self.environment.config.client_id, &request_uri)
            }
            (Reply::Login { authorization_endpoint, pending, request_uri: None }, secrets) => {
                auth::login::authorization_url(&authorization_endpoint, &self.environment.config, &pending, &secrets)
            }
            (Reply::Done | Reply::Token { .. } | Reply::Repaired { .. }, _) => Err(wrong_reply()),
        }
    }

    /// Completes a sign-in with the address that the browser came back to. Returns when the tokens are stored.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] when the redirect is not the one that is waited for (the sign-in then goes on waiting), or
    /// the issuer refuses; [`Failure::Offline`] when it cannot be reached (the same redirect may be tried again);
    /// [`Failure::Cancelled`] when the person declined at the issuer or a newer sign-in has begun.
    pub async fn finish_login(&self, redirect: &str) -> Result<(), Failure> {
        let redirect = auth::login::parse_redirect(redirect, &self.environment.secrets)?;
        self.done(Command::FinishLogin { redirect }).await
    }

    /// Gives a sign-in up. Not to be called when the browser is merely minimised.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] when it has been completed meanwhile.
    pub async fn cancel_login(&self) -> Result<(), Failure> {
        self.done(Command::CancelLogin).await
    }

    /// A valid access token; refreshed before if need be, once for all who wait.
    ///
    /// # Errors
    /// [`Failure::Offline`] when it had to be refreshed and could not be, [`Failure::Reauthenticate`] when nobody is signed
    /// in, [`Failure::Storage`] before the first unlock.
    pub async fn access_token(&self) -> Result<SecretString, Failure> {
        match self.machine.ask(Command::AccessToken).await? {
            (Reply::Token { access }, secrets) => secrets.get(access).ok_or_else(wrong_reply),
            (Reply::Done | Reply::Login { .. } | Reply::Repaired { .. }, _) => Err(wrong_reply()),
        }
    }

    /// Signs out. Holds at once, offline too; the issuer is told as soon as it can be reached.
    ///
    /// # Errors
    /// [`Failure::Storage`] when the vault could not be cleared: the phone is signed out until it restarts.
    pub async fn sign_out(&self) -> Result<(), Failure> {
        self.done(Command::SignOut).await
    }

    /// The issuer's page that ends its own session in the browser (OpenID Connect RP-Initiated Logout 1.0): opened after a
    /// [`Self::sign_out`] on a phone that several people share, so that the cookie of one does not sign the next one in. The issuer may
    /// ask there, since this phone keeps no ID token to show. `return_to`: where the browser goes then, as registered with the issuer.
    /// `None`: the issuer has no such page, or this phone has not heard of it; a browser session of its own for each sign-in, or
    /// [`SignInOptions::prompt`], does the same.
    pub fn sign_out_page(&self, return_to: Option<&str>) -> Option<Url> {
        let page = self.machine.sign_out_page()?;
        auth::login::sign_out_url(&page, &self.environment.config.client_id, return_to)
    }

    /// Signs the agent out on all devices, this one included. Only the server can do that: offline, nothing is changed
    /// anywhere, and [`Self::sign_out`] still locks this phone.
    ///
    /// # Errors
    /// [`Failure::Offline`] when the server did not answer (it may have done it all the same, which the session then
    /// shows), [`Failure::Reauthenticate`] when nobody is signed in, [`Failure::Storage`] as [`Self::sign_out`],
    /// [`Failure::Cancelled`] when it is under way already.
    pub async fn sign_out_everywhere(&self) -> Result<(), Failure> {
        self.done(Command::SignOutEverywhere).await
    }

    /// Resets token and cache without losing the sign-in, and says what it did, one line a step.
    ///
    /// # Errors
    /// The first step that failed, as that step fails elsewhere.
    pub async fn repair(&self) -> Result<Vec<String>, Failure> {
        match self.machine.ask(Command::Repair).await? {
            (Reply::Repaired { steps }, _) => Ok(steps),
            (Reply::Done | Reply::Login { .. } | Reply::Token { .. }, _) => Err(wrong_reply()),
        }
    }

    // ---- presence -----------------------------------------------------------------------------------------------

    /// Sets the agent's availability; returns when the server has confirmed it.
    ///
    /// # Errors
    /// [`Failure::Offline`] when it could not be applied within ten seconds, [`Failure::Cancelled`] when a newer choice
    /// replaced it.
    pub async fn set_availability(&self, availability: Availability) -> Result<(), Failure> {
        self.done(Command::SetAvailability { availability }).await
    }

    /// Forwards calls to a number, or turns forwarding off; returns when the server has confirmed it. While it is on, this
    /// phone does not ring.
    ///
    /// # Errors
    /// As [`Self::set_availability`]; [`Failure::Forbidden`] when the server refuses the number, for instance because it
    /// wants a code first ([`Self::send_code`]).
    pub async fn set_forwarding(&self, number: Option<PhoneNumber>) -> Result<(), Failure> {
        self.forward(number.map(|number| ForwardTo { number, until: None })).await
    }

    /// As [`Self::set_forwarding`], with an end: the server turns forwarding off by itself, whether this phone is on or not.
    ///
    /// # Errors
    /// As [`Self::set_forwarding`]; [`Failure::Forbidden`] when the end is not in the future by the server's clock.
    pub async fn forward(&self, to: Option<ForwardTo>) -> Result<(), Failure> {
        self.done(Command::SetForwarding { to }).await
    }

    /// Has the server send a code to a number, to show that the agent can be reached there. Repeat it only when the agent
    /// asks: each time a new code is sent, and the one before is void.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] for a number that cannot be called, and after too many codes; [`Failure::Offline`] when the
    /// server cannot be reached: nobody knows then whether the code was sent.
    pub async fn send_code(&self, number: PhoneNumber, by: CodeBy) -> Result<(), Failure> {
        self.done(Command::SendCode { number, by }).await
    }

    /// Tells the server the code that the agent has read; then calls may be forwarded to the number, for good.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] for a wrong code or one that is not good any more; [`Failure::Offline`] when the server cannot
    /// be reached: it may be said again.
    pub async fn verify_number(&self, number: PhoneNumber, code: &SecretString) -> Result<(), Failure> {
        let code = self.environment.secrets.name(code.expose_secret());
        self.done(Command::VerifyNumber { number, code }).await
    }

    // ---- where the agent is signed in -----------------------------------------------------------------------------

    /// Signs the agent out in one place; `PresenceState::sign_ins` has them all. This phone's own session is
    /// ended as by [`Self::sign_out`].
    ///
    /// # Errors
    /// [`Failure::Offline`] when the server cannot be reached, [`Failure::Reauthenticate`] when nobody is signed in. A
    /// session that has ended already is no error.
    pub async fn end_session(&self, session: SessionId) -> Result<(), Failure> {
        self.done(Command::EndSession { session }).await
    }

    // ---- calls --------------------------------------------------------------------------------------------------

    /// Decides on a push, from what is known on this phone: no network, no wait, microseconds. The caller carries out
    /// [`Decision::action`] before it returns to the push service.
    ///
    /// `must_report`: iOS, what PushKit says of the push; `true` where it says nothing.
    pub fn decide(&self, push: CallPush, must_report: bool) -> Decision {
        let asked = (push.clone(), must_report);
        self.machine.apply(Event::Push { push, must_report }).unwrap_or_else(|| {
            // A step on a push always decides; were it not so, the call must not be lost.
            let (push, must_report) = asked;
            ring_anyway(push, must_report, self.environment.config.device.platform, &*self.environment.ports.clock)
        })
    }

    /// Answers on this phone; returns when the server has said that the call is ours. Until then the call is shown as
    /// connecting; what is lost on the way is said again under its key until the call's end.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] when somebody else was quicker, [`Failure::Cancelled`] when the call ended or the agent hung up
    /// meanwhile, [`Failure::Offline`] when the server could not be reached until the call's end: it is then told, as soon as
    /// it can be, that nobody is in the call here.
    pub async fn answer(&self, call_id: CallId) -> Result<(), Failure> {
        self.done(Command::Answer { call_id }).await
    }

    /// Declines; this phone is silent at once.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] when the call does not ring here, [`Failure::Offline`] when the server could not be told at once;
    /// it is told for a minute all the same.
    pub async fn decline(&self, call_id: CallId) -> Result<(), Failure> {
        self.done(Command::Decline { call_id }).await
    }

    /// Ends the call that this phone is in, for both sides.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] when this phone is in no such call, [`Failure::Offline`] when the server was not told.
    pub async fn hang_up(&self, call_id: CallId) -> Result<(), Failure> {
        self.done(Command::HangUp { call_id }).await
    }

    /// The last 200 decisions, oldest first, with their inputs.
    pub fn ring_log(&self) -> Vec<RingRecord> {
        self.machine.ring_log()
    }

    // ---- platform -----------------------------------------------------------------------------------------------

    /// The push service gave this phone an address, or took it back.
    ///
    /// # Errors
    /// None at present; the registration is repeated until it succeeds.
    pub async fn set_push_token(&self, token: Option<&SecretString>) -> Result<(), Failure> {
        let token = token.map(|token| self.environment.secrets.name(token.expose_secret()));
        self.done(Command::SetPushToken { token }).await
    }

    /// What the phone lets the app do when a call comes, and its own number: shown to the agent on their other devices,
    /// and a warning when calls are forwarded to this very phone. Say it at each start, before [`Self::foreground`], and
    /// when it changes; nothing is kept of it on the phone.
    ///
    /// # Errors
    /// None at present; the registration is repeated until it succeeds.
    pub async fn set_device_facts(&self, facts: DeviceFacts) -> Result<(), Failure> {
        self.done(Command::SetDeviceFacts { facts }).await
    }

    /// The app comes to the foreground.
    pub fn foreground(&self) {
        self.machine.apply(Event::Foreground);
    }

    /// The app goes to the background. After 20 s there is no stream and no timer.
    pub fn background(&self) {
        self.machine.apply(Event::Background);
    }

    /// Returns once all that is known is in the vault: the moment up to which an app that is about to be suspended should
    /// hold its background task (iOS: `beginBackgroundTask`). A kill before it loses no session, only what the server says
    /// again.
    pub async fn saved(&self) {
        self.machine.saved().await;
    }

    /// The device has a network, or has none. To be said at each change, also from one network to another: connections of before may
    /// be dead without a word, and are left.
    pub fn network(&self, up: bool) {
        // The first time it says how things are, and not that they have changed.
        let is_change = self.knows_network.swap(true, Ordering::Relaxed);
        if up && is_change {
            self.environment.ports.http.network_changed();
        }
        self.machine.apply(if up { Event::NetworkUp } else { Event::NetworkDown });
    }

    /// The device was unlocked for the first time since it started.
    pub fn unlocked(&self) {
        self.machine.apply(Event::Unlocked);
    }

    /// What happened lately, as JSON lines that [`machine::transcript::replay`] does again. Without secrets; phone numbers,
    /// names and e-mail addresses are replaced.
    pub fn transcript(&self) -> String {
        self.machine.transcript()
    }

    async fn done(&self, command: Command) -> Result<(), Failure> {
        self.machine.ask(command).await.map(|_| ())
    }
}

fn wrong_reply() -> Failure {
    Failure::internal("The answer belongs to another question.")
}

fn ring_anyway(push: CallPush, must_report: bool, platform: wire::Platform, clock: &dyn Clock) -> Decision {
    use machine::ring::{CallAction, CallKnowledge, Facts, Identity, Registration, Verdict};
    let verdict = Verdict::Ring { until: push.expires_at, verify: true };
    Decision {
        facts: Facts {
            identity: Identity::Unknown,
            registration: Registration::Unknown,
            routing: None,
            call: CallKnowledge::Open,
            busy: false,
            can_answer: true,
            server_now: None,
        },
        verdict,
        action: CallAction::of(verdict, platform, must_report),
        at: clock.now().wall,
        push,
    }
}
