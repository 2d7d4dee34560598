//! The driver: does the work that steps ask for and reports their ends. Owns every task that it starts; when it goes, they go.

use std::{collections::HashMap, sync::Arc};

use hookswitch_machine::{EffectId, Event, Mono, Outcome, Request, StreamNews, Timer, Transaction, Work};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};
use url::Url;

use crate::{
    answer::{self, Answer},
    auth::{
        login,
        token::{self, Asking, TokenRequest},
    },
    config::Config,
    ports::{Delivery, Ports},
    secrets::Secrets,
    shared_machine::SharedMachine,
    store::Store,
    sync::{request, stream},
};

pub(crate) struct Driver {
    pub(crate) machine: Arc<SharedMachine>,
    pub(crate) environment: Arc<Environment>,
    pub(crate) work: mpsc::UnboundedReceiver<Work>,
}

/// What carrying out needs.
pub(crate) struct Environment {
    pub(crate) config: Config,
    pub(crate) server: Url,
    pub(crate) ports: Ports,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) store: Store,
}

impl Driver {
    /// Works until the machine is gone.
    pub(crate) async fn run(mut self) {
        let mut tasks = JoinSet::new();
        let mut timers: HashMap<Timer, AbortHandle> = HashMap::new();
        let mut streams: HashMap<EffectId, AbortHandle> = HashMap::new();
        loop {
            let work = tokio::select! {
                work = self.work.recv() => work,
                // Finished tasks are taken off, so that the set does not grow.
                Some(_) = tasks.join_next() => continue,
            };
            let Some(work) = work else { return };
            let (machine, environment) = (Arc::clone(&self.machine), Arc::clone(&self.environment));
            match work {
                Work::Send { id, request } => {
                    tasks.spawn(async move {
                        let Answer { server_time, outcome } = environment.send(request).await;
                        machine.apply(Event::Completed { effect: id, server_time, outcome });
                    });
                }
                Work::Store { id, transaction } => {
                    // Asked for here, in order; only the wait is a task.
                    let signs_out = matches!(transaction, Transaction::SignOut { .. });
                    let outcome = environment.store.run(transaction);
                    tasks.spawn(async move {
                        let outcome = outcome.await;
                        if signs_out {
                            // An idle connection keeps what was sent on it last, tokens among it.
                            environment.ports.http.network_changed();
                        }
                        machine.apply(Event::Completed { effect: id, server_time: None, outcome });
                    });
                }
                Work::OpenStream { id, access, after } => {
                    let task = async move {
                        let tell = |news| {
                            machine.apply(Event::Stream { effect: id, news });
                        };
                        let request = environment
                            .secrets
                            .get(access)
                            .and_then(|access| request::open_stream(&environment.server, &access, after).ok());
                        match request {
                            Some(request) => stream::read(&*environment.ports.http, request, tell).await,
                            None => tell(StreamNews::Closed { outcome: unusable("the access token cannot be sent") }),
                        }
                    };
                    streams.insert(id, tasks.spawn(task));
                }
                Work::CloseStream { id } => abort(streams.remove(&id)),
                Work::SetTimer { timer, at } => {
                    let task = wait(machine, environment, timer.clone(), at);
                    abort(timers.insert(timer, tasks.spawn(task)));
                }
                Work::CancelTimer { timer } => abort(timers.remove(&timer)),
            }
        }
    }
}

async fn wait(machine: Arc<SharedMachine>, environment: Arc<Environment>, timer: Timer, at: Mono) {
    environment.ports.clock.sleep_until(at).await;
    machine.apply(Event::Timer { timer });
}

fn abort(task: Option<AbortHandle>) {
    if let Some(task) = task {
        task.abort();
    }
}

/// There is nothing that could be sent.
fn unusable(cause: &str) -> Outcome {
    Outcome::NotSent { cause: cause.to_owned() }
}

/// The secret behind a name is gone: nothing can be sent with it.
fn forgotten() -> Answer {
    Answer::without_time(unusable("a secret is not known any more"))
}

impl Environment {
    async fn send(&self, request: Request) -> Answer {
        let http = &*self.ports.http;
        let client_id = &self.config.client_id;
        match request {
            Request::Discover => {
                // OpenID Connect Discovery 1.0, section 4: appended to the issuer, path and all.
                let address = format!("{}/.well-known/openid-configuration", self.config.issuer.trim_end_matches('/'));
                let request =
                    http::Request::get(address).header("accept", "application/json").extension(Delivery::Raced);
                match request.body(bytes::Bytes::new()) {
                    Ok(request) => answer::exchange(http, request, answer::SMALL_BODY, answer::metadata).await,
                    Err(_) => Answer::without_time(unusable("the issuer has no address")),
                }
            }
            Request::PushLogin { endpoint, authorization_endpoint, pending } => {
                login::push(http, &endpoint, &authorization_endpoint, &self.config, &pending, &self.secrets).await
            }
            Request::ExchangeCode { token_endpoint, code, verifier, redirect_uri } => {
                let (Some(code), Some(verifier)) = (self.secrets.get(code), self.secrets.get(verifier)) else {
                    return forgotten();
                };
                let request = TokenRequest::Code { code, verifier, redirect_uri };
                self.ask_for_tokens(token_endpoint, request).await
            }
            Request::Refresh { token_endpoint, refresh, until } => {
                if self.ports.clock.now().mono >= until {
                    return Answer::without_time(unusable("the lease is over"));
                }
                let Some(refresh) = self.secrets.get(refresh) else { return forgotten() };
                self.ask_for_tokens(token_endpoint, TokenRequest::Refresh { refresh }).await
            }
            Request::Revoke { revocation_endpoint, revocation } => match self.store.revocation(revocation).await {
                Some(token) => token::revoke(http, &revocation_endpoint, client_id, &token).await,
                // It does not open any more: there is nothing that could be revoked with it.
                None => Answer::without_time(Outcome::Done),
            },
            Request::Api { access, call } => {
                let Some(access) = self.secrets.get(access) else { return forgotten() };
                let secret = call.secret().and_then(|name| self.secrets.get(name));
                let device = self.store.device();
                let draft = request::draft(&call, &device, &self.config.device, secret.as_ref());
                match draft.map(|draft| draft.authorised(&self.server, &access)) {
                    Ok(Ok(request)) => answer::exchange(http, request, answer::BODY, answer::api).await,
                    Ok(Err(_)) | Err(_) => Answer::without_time(unusable("the request cannot be written")),
                }
            }
        }
    }

    async fn ask_for_tokens(&self, token_endpoint: String, request: TokenRequest) -> Answer {
        let (http, secrets) = (Arc::clone(&self.ports.http), Arc::clone(&self.secrets));
        let asking = Asking { client_id: &self.config.client_id, resources: &self.config.sign_in.resources };
        token::request(http, token_endpoint, asking, request, secrets).await
    }
}
