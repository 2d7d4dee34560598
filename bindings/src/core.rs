//! The exported object.

use std::{
    future::Future,
    ops::Deref,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use hookswitch::{
    Hookswitch,
    machine::{
        AppState, DeviceFacts, Failure,
        view::{RingDecision, RingLogEntry},
    },
    ports::{Clock as CoreClock, Ports, SystemClock},
    wire::{
        Availability, CallId, CallPush, Capabilities, CodeBy, DeviceId, ForwardTo, PhoneNumber, SessionId, UnixMillis,
    },
};
use tokio::sync::Notify;

use crate::{
    clock::{Clock, ForeignClock},
    config::CoreConfig,
    keys::{ForeignKeys, Keys},
    observer::{Observer, Telling},
    runtime::{self, SharedRuntime},
};

/// The core of one app on one phone. Cheap to call from any thread.
///
/// Asynchronous methods may be awaited on any thread and abandoned at any time: the work goes on in the library's runtime.
/// After [`Core::shutdown`] every method fails with [`Failure::Cancelled`], or does nothing.
#[derive(uniffi::Object)]
pub struct Core {
    open: Mutex<Option<Arc<Open>>>,
    clock_changed: Arc<Notify>,
}

/// Whoever waits for an answer holds it, so that the answer comes.
struct Open {
    core: Hookswitch,
    telling: Option<Telling>,
    /// Goes last.
    _runtime: Arc<SharedRuntime>,
}

impl Deref for Open {
    type Target = Hookswitch;

    fn deref(&self) -> &Hookswitch {
        &self.core
    }
}

impl Core {
    fn core(&self) -> Result<Arc<Open>, Failure> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        open.ok_or_else(|| Failure::cancelled("This core was closed."))
    }
}

fn number(text: &str) -> Result<PhoneNumber, Failure> {
    text.parse().map_err(|invalid| Failure::forbidden(format!("{invalid}")))
}

#[uniffi::export]
impl Core {
    /// Opens the vault and restores the session; blocks for some milliseconds. Nothing is sent before [`Self::foreground`] or
    /// a push. `clock` is for tests: an app on a device leaves it out.
    ///
    /// # Errors
    /// [`Failure::Internal`] for an unusable configuration, [`Failure::Storage`] when the vault cannot be opened.
    #[uniffi::constructor(default(observer = None, clock = None))]
    pub fn open(
        config: CoreConfig,
        keys: Arc<dyn Keys>,
        observer: Option<Arc<dyn Observer>>,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Arc<Self>, Failure> {
        let runtime = runtime::shared()?;
        let (config, proxy) = config.taken_apart();
        let clock_changed = Arc::new(Notify::new());
        let clock: Arc<dyn CoreClock> = match clock {
            Some(clock) => Arc::new(ForeignClock::new(clock, Arc::clone(&clock_changed))),
            None => Arc::new(SystemClock),
        };
        let http = match proxy {
            Some(proxy) => hookswitch::http::Network::through(&proxy)?,
            None => hookswitch::http::Network::new(),
        };
        let ports = Ports { clock, keys: Arc::new(ForeignKeys(keys)), http: Arc::new(http) };
        let core = runtime.handle.block_on(Hookswitch::open(config, ports))?;
        let telling = observer.map(|observer| Telling::begin(&core, observer, &runtime.handle));
        let open = Open { core, telling, _runtime: runtime };
        Ok(Arc::new(Self { open: Mutex::new(Some(Arc::new(open))), clock_changed }))
    }

    /// Stops all work, and loses nothing that matters: what a kill of the process would not lose. Idempotent. The observer is
    /// told nothing more, but for a call to it that is under way; asynchronous calls that are under way come to their end
    /// first.
    pub fn shutdown(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(telling) = open.as_ref().and_then(|open| open.telling.as_ref()) {
            telling.end();
        }
    }

    /// This installation's name among the agent's devices.
    ///
    /// # Errors
    /// After [`Self::shutdown`].
    pub fn device(&self) -> Result<DeviceId, Failure> {
        Ok(self.core()?.device())
    }

    /// What to show now.
    ///
    /// # Errors
    /// After [`Self::shutdown`].
    pub fn state(&self) -> Result<AppState, Failure> {
        Ok(self.core()?.state())
    }

    // ---- session ------------------------------------------------------------------------------------------------

    /// Starts a sign-in, and gives the address to open in the system browser.
    ///
    /// # Errors
    /// See [`Hookswitch::begin_login`].
    pub async fn begin_login(&self, hint: Option<String>, redirect_uri: String) -> Result<String, Failure> {
        self.ask(async |core| core.begin_login(hint, &redirect_uri).await.map(String::from)).await
    }

    /// Completes a sign-in with the address that the browser came back to.
    ///
    /// # Errors
    /// See [`Hookswitch::finish_login`].
    pub async fn finish_login(&self, redirect: String) -> Result<(), Failure> {
        self.ask(async |core| core.finish_login(&redirect).await).await
    }

    /// Gives a sign-in up. Not for a browser that is merely minimised.
    ///
    /// # Errors
    /// See [`Hookswitch::cancel_login`].
    pub async fn cancel_login(&self) -> Result<(), Failure> {
        self.ask(async |core| core.cancel_login().await).await
    }

    /// A valid access token for a request of the app's own. Ask again for each; do not keep it.
    ///
    /// # Errors
    /// See [`Hookswitch::access_token`].
    pub async fn access_token(&self) -> Result<String, Failure> {
        use secrecy::ExposeSecret;
        Ok(self.core()?.access_token().await?.expose_secret().to_owned())
    }

    /// The same without a wait: `None` when the token must be renewed first, which this begins and [`Self::access_token`] waits
    /// for. On the JVM a future costs more than the answer.
    ///
    /// # Errors
    /// As [`Self::access_token`].
    pub fn fresh_access_token(&self) -> Result<Option<String>, Failure> {
        use secrecy::ExposeSecret;
        let core = self.core()?;
        match pin!(core.access_token()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(token) => Ok(Some(token?.expose_secret().to_owned())),
            Poll::Pending => Ok(None),
        }
    }

    /// Signs out, at once and offline too.
    ///
    /// # Errors
    /// See [`Hookswitch::sign_out`].
    pub async fn sign_out(&self) -> Result<(), Failure> {
        self.ask(async |core| core.sign_out().await).await
    }

    /// The issuer's page that ends its own session in the browser; `None`: it has none. See [`Hookswitch::sign_out_page`].
    ///
    /// # Errors
    /// When the core was closed.
    pub fn sign_out_page(&self, return_to: Option<String>) -> Result<Option<String>, Failure> {
        Ok(self.core()?.sign_out_page(return_to.as_deref()).map(String::from))
    }

    /// Signs the agent out on all devices. Needs the server.
    ///
    /// # Errors
    /// See [`Hookswitch::sign_out_everywhere`].
    pub async fn sign_out_everywhere(&self) -> Result<(), Failure> {
        self.ask(async |core| core.sign_out_everywhere().await).await
    }

    /// Signs the agent out in one place of [`hookswitch::machine::view::PresenceState::sign_ins`].
    ///
    /// # Errors
    /// See [`Hookswitch::end_session`].
    pub async fn end_session(&self, session: SessionId) -> Result<(), Failure> {
        self.ask(async |core| core.end_session(session).await).await
    }

    /// Resets token and cache without losing the sign-in, and says what it did, one line a step.
    ///
    /// # Errors
    /// See [`Hookswitch::repair`].
    pub async fn repair(&self) -> Result<Vec<String>, Failure> {
        self.ask(async |core| core.repair().await).await
    }

    // ---- presence -----------------------------------------------------------------------------------------------

    /// Sets the agent's availability; returns when the server has confirmed it.
    ///
    /// # Errors
    /// See [`Hookswitch::set_availability`].
    pub async fn set_availability(&self, availability: Availability) -> Result<(), Failure> {
        self.ask(async |core| core.set_availability(availability).await).await
    }

    /// Forwards calls, or turns forwarding off; returns when the server has confirmed it. While it is on, this phone does
    /// not ring.
    ///
    /// # Errors
    /// See [`Hookswitch::forward`]; [`Failure::Forbidden`] for what is no number.
    pub async fn set_forwarding(&self, to: Option<String>, until: Option<UnixMillis>) -> Result<(), Failure> {
        let to = to.as_deref().map(number).transpose()?.map(|number| ForwardTo { number, until });
        self.ask(async |core| core.forward(to).await).await
    }

    /// Has the server send a code to a number.
    ///
    /// # Errors
    /// See [`Hookswitch::send_code`].
    pub async fn send_code(&self, to: String, by: CodeBy) -> Result<(), Failure> {
        self.ask(async |core| core.send_code(number(&to)?, by).await).await
    }

    /// Tells the server the code that the agent has read.
    ///
    /// # Errors
    /// See [`Hookswitch::verify_number`].
    pub async fn verify_number(&self, to: String, code: String) -> Result<(), Failure> {
        self.ask(async |core| core.verify_number(number(&to)?, &code.into()).await).await
    }

    // ---- calls --------------------------------------------------------------------------------------------------

    /// Decides on a call push (its JSON payload): no network, no wait. One that names a call is decided on, whatever else of it
    /// cannot be read: what is not known rings.
    ///
    /// # Errors
    /// [`Failure::Internal`] when the payload names no call, [`Failure::Cancelled`] after [`Self::shutdown`]. iOS must
    /// report a call all the same.
    pub fn decide(&self, payload: &str, must_report: bool) -> Result<RingDecision, Failure> {
        let push =
            CallPush::read(payload).map_err(|error| Failure::internal(format!("The push cannot be read: {error}.")))?;
        let decision = RingDecision::from(&self.core()?.decide(push, must_report));
        tracing::info!(target: "hookswitch::ring", call = %decision.call_id, "{}", decision.explanation);
        Ok(decision)
    }

    /// Answers on this phone; returns when the server has said that the call is ours.
    ///
    /// # Errors
    /// See [`Hookswitch::answer`].
    pub async fn answer(&self, call_id: CallId) -> Result<(), Failure> {
        self.ask(async |core| core.answer(call_id).await).await
    }

    /// Declines; this phone is silent at once.
    ///
    /// # Errors
    /// See [`Hookswitch::decline`].
    pub async fn decline(&self, call_id: CallId) -> Result<(), Failure> {
        self.ask(async |core| core.decline(call_id).await).await
    }

    /// Hangs up.
    ///
    /// # Errors
    /// See [`Hookswitch::hang_up`].
    pub async fn hang_up(&self, call_id: CallId) -> Result<(), Failure> {
        self.ask(async |core| core.hang_up(call_id).await).await
    }

    /// The last 200 decisions, oldest first.
    ///
    /// # Errors
    /// After [`Self::shutdown`].
    pub fn ring_log(&self) -> Result<Vec<RingLogEntry>, Failure> {
        Ok(self.core()?.ring_log().iter().map(RingLogEntry::from).collect())
    }

    // ---- platform -----------------------------------------------------------------------------------------------

    /// The push service gave this phone an address, or took it back.
    ///
    /// # Errors
    /// See [`Hookswitch::set_push_token`].
    pub async fn set_push_token(&self, token: Option<String>) -> Result<(), Failure> {
        let token = token.map(Into::into);
        self.ask(async |core| core.set_push_token(token.as_ref()).await).await
    }

    /// What the phone lets the app do when a call comes, and its own number, as far as the platform tells. Android:
    /// `call_notifications` and `full_screen_intent`; `None` elsewhere. What is no number counts as none.
    ///
    /// # Errors
    /// See [`Hookswitch::set_device_facts`].
    pub async fn set_device_facts(
        &self,
        call_notifications: Option<bool>,
        full_screen_intent: Option<bool>,
        line_number: Option<String>,
    ) -> Result<(), Failure> {
        let capabilities = Capabilities { call_notifications, full_screen_intent };
        let line_number = line_number.and_then(|text| text.parse().ok());
        self.core()?.set_device_facts(DeviceFacts { capabilities, line_number }).await
    }

    /// The app comes to the foreground.
    pub fn foreground(&self) {
        self.tell(Hookswitch::foreground);
    }

    /// The app goes to the background. After 20 s there is no stream and no timer.
    pub fn background(&self) {
        self.tell(Hookswitch::background);
    }

    /// The device has a network, or has none.
    pub fn network(&self, up: bool) {
        self.tell(|core| core.network(up));
    }

    /// The device was unlocked for the first time since it started.
    pub fn unlocked(&self) {
        self.tell(Hookswitch::unlocked);
    }

    /// The clock that was given to [`Self::open`] shows another time.
    pub fn clock_changed(&self) {
        self.clock_changed.notify_waiters();
    }

    /// Returns once all that is known is in the vault.
    ///
    /// # Errors
    /// After [`Self::shutdown`].
    pub async fn saved(&self) -> Result<(), Failure> {
        self.ask(async |core| {
            core.saved().await;
            Ok(())
        })
        .await
    }

    /// What happened lately, as JSON lines; without secrets and personal data. A lot of text: not on the main thread.
    ///
    /// # Errors
    /// After [`Self::shutdown`].
    pub fn transcript(&self) -> Result<String, Failure> {
        Ok(self.core()?.transcript())
    }
}

impl Core {
    /// Asks for something. Its answer comes after the observer was told what it changed.
    async fn ask<T>(&self, what: impl AsyncFnOnce(&Hookswitch) -> Result<T, Failure>) -> Result<T, Failure> {
        let open = self.core()?;
        let answer = what(&open).await;
        if let Some(telling) = &open.telling {
            telling.catch_up().await;
        }
        answer
    }

    /// Does nothing once it is closed.
    fn tell(&self, what: impl FnOnce(&Hookswitch)) {
        if let Ok(core) = self.core() {
            what(&core);
        }
    }
}
