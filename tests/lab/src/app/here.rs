//! An app in this process: what each question means to the core.

use std::sync::Arc;

use hookswitch::{
    Config, DeviceDescription, Hookswitch, SignInOptions,
    machine::{
        AppState, Failure, IssuerProfile,
        view::{RingDecision, RingLogEntry, StoppedCall},
    },
    ports::{Http, Ports},
    store::KeyFile,
    wire::{DeviceId, ForwardTo, PhoneNumber},
};
use serde_json::Value;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc::UnboundedSender, watch},
    task::JoinSet,
};

use super::{
    News,
    protocol::{AppConfig, Ask},
};
use crate::clock::PhoneClock;

/// An app in this process. Dropping it is a kill.
pub(crate) struct Here {
    core: Arc<Hookswitch>,
    device: DeviceId,
    clock: PhoneClock,
    states: watch::Receiver<AppState>,
    /// Carry the core's news; end with this value.
    _observers: JoinSet<()>,
}

impl Here {
    pub(crate) async fn open(
        config: AppConfig,
        clock: PhoneClock,
        http: Arc<dyn Http>,
        news: UnboundedSender<News>,
    ) -> Result<Self, Failure> {
        let AppConfig {
            issuer,
            server,
            client_id,
            redirect_uris,
            device_name: name,
            platform,
            app_version,
            folder,
            process,
        } = config;
        let ports =
            Ports { clock: Arc::new(clock.clone()), keys: Arc::new(KeyFile::new(folder.join("platform-key"))), http };
        let device = DeviceDescription { name, platform, app_version };
        let profile = IssuerProfile::Unknown;
        let sign_in = SignInOptions::default();
        let config = Config {
            issuer,
            server,
            client_id,
            redirect_uris,
            profile,
            sign_in,
            session_life: None,
            device,
            folder,
            process,
        };
        let core = Arc::new(Hookswitch::open(config, ports).await?);
        let mut observers = JoinSet::new();
        observers.spawn(tell_states(core.watch(), news.clone()));
        observers.spawn(tell_stops(core.stops(), news));
        Ok(Self { device: core.device(), states: core.watch(), core, clock, _observers: observers })
    }

    pub(crate) const fn core(&self) -> &Arc<Hookswitch> {
        &self.core
    }

    pub(crate) const fn device(&self) -> &DeviceId {
        &self.device
    }

    pub(crate) fn shown(&self) -> AppState {
        self.states.borrow().clone()
    }

    pub(crate) async fn perform(&self, ask: Ask) -> Result<Value, Failure> {
        let core = &self.core;
        match ask {
            Ask::Open(_) => return Err(Failure::internal("The app is open already.")),
            Ask::BeginLogin { redirect_uri } => return value(&core.begin_login(None, &redirect_uri).await?),
            Ask::FinishLogin { redirect } => core.finish_login(&redirect).await?,
            Ask::CancelLogin => core.cancel_login().await?,
            Ask::SignOut => core.sign_out().await?,
            Ask::SignOutEverywhere => core.sign_out_everywhere().await?,
            Ask::Repair => return value(&core.repair().await?),
            Ask::SetAvailability { to } => core.set_availability(to).await?,
            Ask::SetForwarding { to, until } => {
                let number = to.as_deref().map(number).transpose()?;
                core.forward(number.map(|number| ForwardTo { number, until })).await?;
            }
            Ask::SendCode { to, by } => core.send_code(number(&to)?, by).await?,
            Ask::VerifyNumber { to, code } => core.verify_number(number(&to)?, &code.into()).await?,
            Ask::EndSession { session } => core.end_session(session).await?,
            Ask::Answer { call_id } => core.answer(call_id).await?,
            Ask::Decline { call_id } => core.decline(call_id).await?,
            Ask::HangUp { call_id } => core.hang_up(call_id).await?,
            Ask::Decide { push, must_report } => return value(&RingDecision::from(&core.decide(push, must_report))),
            Ask::SetPushToken { token } => core.set_push_token(token.map(Into::into).as_ref()).await?,
            Ask::Foreground => core.foreground(),
            Ask::Background => core.background(),
            Ask::Unlocked => core.unlocked(),
            Ask::Network { up } => core.network(up),
            Ask::Clock(clocks) => self.clock.show(clocks),
            Ask::Saved => core.saved().await,
            Ask::RingLog => return value(&core.ring_log().iter().map(RingLogEntry::from).collect::<Vec<_>>()),
            Ask::Transcript => return value(&core.transcript()),
        }
        Ok(Value::Null)
    }
}

/// As somebody typed it.
fn number(text: &str) -> Result<PhoneNumber, Failure> {
    text.parse().map_err(|invalid| Failure::forbidden(format!("{invalid}")))
}

fn value(of: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(of).map_err(|error| Failure::internal(error.to_string()))
}

async fn tell_states(mut states: watch::Receiver<AppState>, news: UnboundedSender<News>) {
    loop {
        let state = states.borrow_and_update().clone();
        if news.send(News::Shown(Box::new(state))).is_err() || states.changed().await.is_err() {
            return;
        }
    }
}

async fn tell_stops(mut stops: tokio::sync::broadcast::Receiver<StoppedCall>, news: UnboundedSender<News>) {
    loop {
        match stops.recv().await {
            Ok(stop) => {
                if news.send(News::Stopped(stop)).is_err() {
                    return;
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
