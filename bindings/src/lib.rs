//! The core behind UniFFI: what Kotlin and Swift call.
//!
//! | item | what it is |
//! |---|---|
//! | [`Core`] | the exported object: opens the vault, signs in and out, tells the session, decides on a push |
//! | [`Keys`] | the foreign trait over the Android Keystore or the iOS Keychain |
//! | [`CoreError`] | what went wrong, named by what the app does next |
//!
//! So far it is the thinnest slice that goes all the way through: presence, calls and observers of the core are not
//! exported yet.
//!
//! Threads: the library owns a tokio runtime of two threads. Asynchronous methods may be awaited on any thread and
//! abandoned at any time (Swift does not drop a Rust future when its task is cancelled): the work goes on in the
//! runtime. Foreign traits are called on the vault's own thread, with no lock held.

use std::{sync::Arc, time::Duration};

use hookswitch::{
    Config, DeviceDescription, Hookswitch,
    machine::{Decision, Failure, IssuerProfile, PlatformAction, view::SessionView},
    ports::{KeyFault, KeyProvider, Ports},
    wire::{CallPush, Platform},
};
use tokio::runtime::Runtime;

/// Memory is wiped when it is freed: secrets pass through buffers of HTTP, TLS and JSON that are not ours to wipe. What
/// remains in a core dump after the sign-out is measured by `prove canary`.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

uniffi::setup_scaffolding!("hookswitch");

/// Why a call failed, named by what the app should do next. `why` is for a person and for the log.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum CoreError {
    /// Show the sign-in page.
    #[error("{why}")]
    Reauthenticate {
        /// What happened.
        why: String,
    },
    /// Say that there is no connection. The session is safe.
    #[error("{why}")]
    Offline {
        /// What happened.
        why: String,
    },
    /// Show `why`: it would be refused again.
    #[error("{why}")]
    Forbidden {
        /// What happened and what to do.
        why: String,
    },
    /// The device's storage or key store fails.
    #[error("{why}")]
    Storage {
        /// What happened.
        why: String,
    },
    /// Nothing to do.
    #[error("{why}")]
    Cancelled {
        /// What happened.
        why: String,
    },
    /// A fault of ours or of the server's: offer to send a transcript.
    #[error("{why}")]
    Internal {
        /// What happened.
        why: String,
    },
}

impl From<Failure> for CoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Reauthenticate { why } => Self::Reauthenticate { why },
            Failure::Offline { why } => Self::Offline { why },
            Failure::Forbidden { why } => Self::Forbidden { why },
            Failure::Storage { why } => Self::Storage { why },
            Failure::Cancelled { why } => Self::Cancelled { why },
            Failure::Internal { why } => Self::Internal { why },
        }
    }
}

/// Why the platform's key store gives no key.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum KeysError {
    /// Not before the first unlock. Nothing is lost.
    #[error("the key cannot be read before the first unlock")]
    Unavailable,
    /// Never again. What was sealed is lost; the agent signs in anew.
    #[error("the key is gone for good")]
    Invalidated,
    /// It fails in another way; it may work next time.
    #[error("the key store fails: {why}")]
    Failed {
        /// For the log.
        why: String,
    },
}

/// An exception or a crash on the other side says nothing about the key.
impl From<uniffi::UnexpectedUniFFICallbackError> for KeysError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { why: error.reason }
    }
}

/// The platform's key store. Synchronous, since a key store is, and since foreign asynchronous traits do not compile in
/// Swift 6 mode. Called on the vault's thread; may block.
#[uniffi::export(with_foreign)]
pub trait Keys: Send + Sync {
    /// Wraps a data key so that only this device can unwrap it.
    ///
    /// # Errors
    /// See [`KeysError`].
    fn wrap(&self, key: Vec<u8>) -> Result<Vec<u8>, KeysError>;

    /// The data key that was wrapped.
    ///
    /// # Errors
    /// See [`KeysError`].
    fn unwrap(&self, wrapped: Vec<u8>) -> Result<Vec<u8>, KeysError>;
}

struct ForeignKeys(Arc<dyn Keys>);

impl From<KeysError> for KeyFault {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Unavailable => Self::Unavailable,
            KeysError::Invalidated => Self::Invalidated,
            KeysError::Failed { why } => Self::Failed(why),
        }
    }
}

impl KeyProvider for ForeignKeys {
    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, KeyFault> {
        Ok(self.0.wrap(key.to_vec())?)
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, KeyFault> {
        Ok(self.0.unwrap(wrapped.to_vec())?.into())
    }
}

/// What kind of phone this is.
#[derive(Clone, Copy, Debug, uniffi::Enum)]
pub enum Phone {
    /// Every VoIP push must be reported to CallKit.
    Ios,
    /// A silent call is never added to Telecom.
    Android,
}

/// Which kind of issuer it is. See [`IssuerProfile`].
#[derive(Clone, Copy, Debug, uniffi::Enum)]
pub enum Issuer {
    /// All care is taken.
    Unknown,
    /// Microsoft Entra ID.
    Entra,
    /// Okta.
    Okta,
    /// Auth0.
    Auth0,
    /// Keycloak.
    Keycloak,
    /// Amazon Cognito.
    Cognito,
    /// Any that follows the FAPI 2.0 security profile.
    Fapi2,
}

impl From<Issuer> for IssuerProfile {
    fn from(issuer: Issuer) -> Self {
        match issuer {
            Issuer::Unknown => Self::Unknown,
            Issuer::Entra => Self::Entra,
            Issuer::Okta => Self::Okta,
            Issuer::Auth0 => Self::Auth0,
            Issuer::Keycloak => Self::Keycloak,
            Issuer::Cognito => Self::Cognito,
            Issuer::Fapi2 => Self::Fapi2,
        }
    }
}

/// What the app says about itself and its server. See [`Config`].
#[derive(Clone, Debug, uniffi::Record)]
pub struct CoreConfig {
    /// The authorization server, exactly as its metadata names it.
    pub issuer: String,
    /// Where the API is.
    pub server: String,
    /// RFC 6749, section 2.2.
    pub client_id: String,
    /// The registered redirect URIs, best first.
    pub redirect_uris: Vec<String>,
    /// What kind of issuer it is.
    pub profile: Issuer,
    /// For display: "Alice's iPhone".
    pub device_name: String,
    /// Decides what a ring decision means.
    pub phone: Phone,
    /// The app's version.
    pub app_version: String,
    /// A folder of the app's own, not backed up.
    pub folder: String,
    /// The kind of process that this is: "app", "notification". See [`Config::process`].
    pub process: String,
}

/// The session. Each state has one obvious reaction.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum SessionState {
    /// Show a splash screen.
    Loading,
    /// The phone was not unlocked since it started: say so.
    Locked,
    /// Show the sign-in page.
    SignedOut {
        /// What to tell the agent, if anything.
        message: Option<String>,
    },
    /// The browser is open or minimised, or the sign-in is being completed.
    SigningIn,
    /// Show the app.
    SignedIn {
        /// For display.
        name: Option<String>,
        /// For display.
        email: Option<String>,
    },
    /// Show the sign-in page with the e-mail address filled in.
    ReauthRequired {
        /// To fill in.
        email: Option<String>,
        /// What to tell the agent.
        message: String,
    },
    /// Show the sign-in page.
    SigningOut,
}

impl From<SessionView> for SessionState {
    fn from(session: SessionView) -> Self {
        match session {
            SessionView::Loading => Self::Loading,
            SessionView::Locked => Self::Locked,
            SessionView::SignedOut { why } => Self::SignedOut { message: why.explain().map(str::to_owned) },
            SessionView::SigningIn { .. } => Self::SigningIn,
            SessionView::SignedIn { agent, .. } => Self::SignedIn { name: agent.name, email: agent.email },
            SessionView::ReauthRequired { agent, reason } => {
                Self::ReauthRequired { email: agent.email, message: reason.explain().to_owned() }
            }
            SessionView::SigningOut => Self::SigningOut,
        }
    }
}

/// What the call UI must do, before the push handler returns. See [`PlatformAction`].
#[derive(Clone, Copy, Debug, uniffi::Enum)]
pub enum CallAction {
    /// iOS: report the call to CallKit; it rings.
    ReportIncomingCall,
    /// iOS: report a call under a fresh UUID and end it at once as answered elsewhere.
    ReportThenEnd,
    /// Android: add the call to Telecom; it rings.
    AddCall,
    /// No call is added, nothing is shown.
    Nothing,
}

/// A decision on a call push.
#[derive(Clone, Debug, uniffi::Record)]
pub struct RingDecision {
    /// What to do.
    pub action: CallAction,
    /// Inputs, rule and result, for a person.
    pub explanation: String,
}

impl From<Decision> for RingDecision {
    fn from(decision: Decision) -> Self {
        let action = match decision.action {
            PlatformAction::ReportIncomingCall => CallAction::ReportIncomingCall,
            PlatformAction::ReportThenEnd => CallAction::ReportThenEnd,
            PlatformAction::AddCall => CallAction::AddCall,
            PlatformAction::Nothing => CallAction::Nothing,
        };
        Self { action, explanation: decision.explain() }
    }
}

/// The core of one app on one phone. Cheap to call from any thread.
#[derive(uniffi::Object)]
pub struct Core {
    core: Hookswitch,
    /// `Some` until the object goes.
    runtime: Option<Runtime>,
}

impl Drop for Core {
    fn drop(&mut self) {
        // The last reference may go on a thread of the runtime itself, which must not wait for itself.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::ZERO);
        }
    }
}

#[uniffi::export]
impl Core {
    /// Opens the vault and restores the session; blocks for some milliseconds. Nothing is sent before [`Self::foreground`].
    ///
    /// # Errors
    /// [`CoreError::Internal`] for an unusable configuration, [`CoreError::Storage`] when the vault cannot be opened.
    #[uniffi::constructor]
    pub fn open(config: CoreConfig, keys: Arc<dyn Keys>) -> Result<Arc<Self>, CoreError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("hookswitch")
            .enable_all()
            .build()
            .map_err(|error| Failure::internal(format!("No threads: {error}")))?;
        let CoreConfig {
            issuer,
            server,
            client_id,
            redirect_uris,
            profile,
            device_name,
            phone,
            app_version,
            folder,
            process,
        } = config;
        let platform = match phone {
            Phone::Ios => Platform::Ios,
            Phone::Android => Platform::Android,
        };
        let device = DeviceDescription { name: device_name, platform, app_version };
        let (folder, profile) = (folder.into(), profile.into());
        let config = Config { issuer, server, client_id, redirect_uris, profile, device, folder, process };
        let ports = Ports::real(Arc::new(ForeignKeys(keys)))?;
        let core = runtime.block_on(Hookswitch::open(config, ports))?;
        Ok(Arc::new(Self { core, runtime: Some(runtime) }))
    }

    /// The session now.
    pub fn session(&self) -> SessionState {
        self.core.view().session.into()
    }

    /// Starts a sign-in, and gives the address to open in the system browser.
    ///
    /// # Errors
    /// See [`Hookswitch::begin_login`].
    pub async fn begin_login(&self, hint: Option<String>, redirect_uri: String) -> Result<String, CoreError> {
        Ok(self.core.begin_login(hint, &redirect_uri).await?.into())
    }

    /// Completes a sign-in with the address that the browser came back to.
    ///
    /// # Errors
    /// See [`Hookswitch::finish_login`].
    pub async fn finish_login(&self, redirect: String) -> Result<(), CoreError> {
        Ok(self.core.finish_login(&redirect).await?)
    }

    /// Signs out, at once and offline too.
    ///
    /// # Errors
    /// See [`Hookswitch::sign_out`].
    pub async fn sign_out(&self) -> Result<(), CoreError> {
        Ok(self.core.sign_out().await?)
    }

    /// Signs the agent out on all devices. Needs the server.
    ///
    /// # Errors
    /// See [`Hookswitch::sign_out_everywhere`].
    pub async fn sign_out_everywhere(&self) -> Result<(), CoreError> {
        Ok(self.core.sign_out_everywhere().await?)
    }

    /// Decides on a call push (its JSON payload): no network, no wait.
    ///
    /// # Errors
    /// [`CoreError::Internal`] when the payload is not a call push. iOS must report a call all the same.
    pub fn decide(&self, payload: &str, must_report: bool) -> Result<RingDecision, CoreError> {
        let push: CallPush = serde_json::from_str(payload)
            .map_err(|error| Failure::internal(format!("The push cannot be read: {error}")))?;
        Ok(self.core.decide(push, must_report).into())
    }

    /// The app comes to the foreground.
    pub fn foreground(&self) {
        self.core.foreground();
    }

    /// The app goes to the background.
    pub fn background(&self) {
        self.core.background();
    }
}
