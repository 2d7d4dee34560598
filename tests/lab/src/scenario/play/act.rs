//! A step that somebody does.

use std::{sync::Arc, time::Duration};

use hookswitch::wire::{CannotRing, PhoneNumber, SessionId, UnixMillis};
use hookswitch_backend::FaultPlan;

use super::{Player, Result, Time, text, unknown};
use crate::{
    browser::{Credentials, Method, Page},
    phone::APP_REDIRECT,
    scenario::schema::{Action, Code, Places},
    timeline::Kind,
};

impl Player {
    pub(super) async fn act(&mut self, action: &Action) -> Result {
        match action {
            Action::SignIn { on, who, password, with, code, fails } => {
                let result = self.sign_in(on, who, password.as_deref(), *with, code).await;
                as_expected(result, fails.as_deref())
            }
            Action::BeginSignIn { on } => {
                let url = self.phone(on)?.begin_login(APP_REDIRECT).await.map_err(text)?;
                let browser = self.world.phone_browser()?;
                let page = browser.load(&url).await?;
                self.minimised.insert(on.clone(), (browser, page));
                Ok(())
            }
            Action::FinishSignIn { on, who, fails } => {
                let (browser, page) = self.minimised.remove(on).ok_or("no sign-in was begun there")?;
                let page = browser.continue_sign_in(page, &self.credentials(who, None)?).await?;
                as_expected(self.back_to_app(on, page).await, fails.as_deref())
            }
            Action::OpenRedirect { on, address, fails } => {
                as_expected(self.phone(on)?.finish_login(address).await.map_err(text), fails.as_deref())
            }
            Action::Open { on } => {
                let (browser, _, path) = self.world.surface(on).ok_or_else(|| unknown(on))?;
                let page = browser.open(path).await?;
                self.world.timeline.add(on, Kind::Event, format!("the page shows: {}", page.name()));
                self.pages.insert(on.clone(), page);
                Ok(())
            }
            Action::SignOut { on } => match self.world.surface(on) {
                Some((browser, surface, _)) => browser.sign_out(surface).await,
                None => self.phone(on)?.sign_out().await.map_err(text),
            },
            Action::SignOutEverywhere { on, fails } => {
                as_expected(self.phone(on)?.sign_out_everywhere().await.map_err(text), fails.as_deref())
            }
            Action::Availability { on, to, fails } => {
                let result = match self.world.surface(on) {
                    Some((browser, surface, _)) => browser.set_availability(surface, *to).await,
                    None => self.phone(on)?.set_availability(*to).await.map_err(text),
                };
                as_expected(result, fails.as_deref())
            }
            Action::Tap { on, to } => {
                let (phone, to) = (Arc::clone(self.phone(on)?), *to);
                tokio::spawn(async move { phone.set_availability(to).await });
                self.each_phone(&Places::One(on.clone()), |_, seen| {
                    let presence = seen.shown.presence.ok_or("no state is known")?;
                    let taken = !presence.pending.is_empty() || presence.superseded.is_some();
                    taken.then_some(()).ok_or_else(|| "the tap is not pending".into())
                })
                .await
            }
            Action::Forward { on, to, for_seconds, fails } => {
                let until = for_seconds.map(|seconds| UnixMillis(self.world.clock.now()) + i64::from(seconds) * 1_000);
                let result = match self.world.surface(on) {
                    Some((browser, surface, _)) => browser.set_forwarding(surface, to.clone(), until).await,
                    None => self.phone(on)?.set_forwarding(to.clone(), until).await.map_err(text),
                };
                as_expected(result, fails.as_deref())
            }
            Action::VerifyNumbers { is } => {
                self.world.operator.set_verify_forwarding(*is);
                Ok(())
            }
            Action::SendCode { on, to, by, fails } => {
                as_expected(self.phone(on)?.send_code(to.clone(), *by).await.map_err(text), fails.as_deref())
            }
            Action::EnterCode { on, to, code, fails } => {
                let number: PhoneNumber = to.parse().map_err(text)?;
                let code = match code {
                    Code::Given(code) => code.clone(),
                    Code::Current => self.code_at(&number)?,
                };
                let entered = self.phone(on)?.verify_number(number.to_string(), code).await;
                as_expected(entered.map_err(text), fails.as_deref())
            }
            Action::EndSession { on, of, fails } => {
                let session = self.session_of(on, of)?;
                as_expected(self.phone(on)?.end_session(session).await.map_err(text), fails.as_deref())
            }
            Action::RemoveDevice { device, who } => {
                let device = self.phone(device)?.device().ok_or("that phone was never started")?;
                self.world.operator.remove_device(who, device).map_err(text)
            }
            Action::IncomingCall { call, who, from, name } => {
                let from = from.as_deref().map(str::parse::<PhoneNumber>).transpose().map_err(text)?;
                let report = self.world.incoming_call(who, from, name.clone())?;
                self.calls.insert(call.clone(), report.call.call_id);
                Ok(())
            }
            Action::Answer { on, call, fails } => {
                let id = self.call(call)?;
                let result = match self.world.surface(on) {
                    Some((browser, surface, _)) => browser.answer(surface, &id).await,
                    None => self.phone(on)?.answer(id).await.map_err(text),
                };
                as_expected(result, fails.as_deref())
            }
            Action::Decline { on, call } => self.phone(on)?.decline(self.call(call)?).await.map_err(text),
            Action::HangUp { on, call } => {
                let id = self.call(call)?;
                match (on.as_str(), self.world.surface(on)) {
                    ("caller", _) => self.world.caller_hangs_up(&id),
                    (_, Some((browser, surface, _))) => browser.hang_up(surface, &id).await,
                    (_, None) => self.phone(on)?.hang_up(id).await.map_err(text),
                }
            }
            Action::AtTheNumber { call, is, fails } => {
                let said = self.world.leg(&self.call(call)?, *is);
                as_expected(said.map(drop), fails.as_deref())
            }
            Action::PushAgain { on, call } => {
                let id = self.call(call)?;
                let phone = self.phone(on)?;
                let sent = self.world.operator.outbox_since(0).map_err(text)?;
                let push = sent
                    .into_iter()
                    .find(|entry| entry.payload.call_id == id && Some(&entry.device) == phone.device().as_ref())
                    .ok_or("no push was sent for this call")?;
                phone.deliver(push.payload).await.map_err(text)
            }
            Action::HoldPushes { on, is } => self.phone(on)?.hold_pushes(*is).await.map_err(text),
            Action::Network { on, up } => self.phone(on)?.set_network(*up).await.map_err(text),
            Action::Kill { on } => {
                // At a quiet moment: what a kill in the middle of something does is `prove kill`'s question.
                let phone = self.phone(on)?;
                phone.saved().await.map_err(text)?;
                phone.kill().await;
                Ok(())
            }
            Action::Start { on } => self.phone(on)?.start(true).await.map_err(text),
            Action::Foreground { on } => self.phone(on)?.set_foreground(true).await.map_err(text),
            Action::Background { on } => self.phone(on)?.set_foreground(false).await.map_err(text),
            Action::Clock { on, ahead_seconds } => {
                self.phone(on)?.set_clock(ahead_seconds.saturating_mul(1_000)).await.map_err(text)
            }
            Action::Wait { seconds } => match self.time {
                Time::Virtual => self.world.advance(i64::from(*seconds) * 1_000).await.map_err(text),
                Time::Real => {
                    tokio::time::sleep(Duration::from_secs(u64::from(*seconds))).await;
                    Ok(())
                }
            },
            Action::ExpireToken { on, who } => self.world.expire_token(self.phone(on)?, who).map_err(text),
            Action::Repair { on } => self.phone(on)?.repair().await.map_err(text),
            Action::Revoke { who, reason } => self.world.operator.revoke_sessions(who, *reason).map_err(text),
            Action::OldServer { is } => {
                self.world.operator.set_old_server(*is);
                Ok(())
            }
            Action::RestoreBackup {} => self.world.operator.restore_from_backup().map_err(text),
            Action::NoFaults {} => {
                self.world.operator.clear_faults();
                Ok(())
            }
            Action::Fault { at, is, times } => {
                self.world.operator.inject(FaultPlan::new(*at, (*is).into()).times(*times));
                Ok(())
            }
        }
    }

    async fn sign_in(&mut self, on: &str, who: &str, password: Option<&str>, with: Method, code: &Code) -> Result {
        let mut credentials = self.credentials(who, password)?;
        credentials.method = with;
        if let Code::Given(code) = code {
            credentials.code = Some(code.clone());
        }
        let Some((browser, surface, path)) = self.world.surface(on) else {
            let url = self.phone(on)?.begin_login(APP_REDIRECT).await.map_err(text)?;
            return self.finish_sign_in(on, &url, &credentials).await;
        };
        let page = browser.sign_in(path, &credentials).await?;
        let complaint = page.complaint();
        self.world.timeline.add(on, Kind::Event, format!("the page shows: {}", page.name()));
        self.pages.insert(on.to_owned(), page);
        self.world.windows_changed();
        if let Some(complaint) = complaint {
            return Err(complaint);
        }
        let session = browser.session(surface).await?;
        if session.signed_in { Ok(()) } else { Err("the page asks to sign in".into()) }
    }

    /// Walks a phone's sign-in page, in a browser of its own, and brings the redirect back to the app.
    async fn finish_sign_in(&self, on: &str, url: &str, who: &Credentials) -> Result {
        let page = self.world.phone_browser()?.sign_in(url, who).await?;
        self.back_to_app(on, page).await
    }

    async fn back_to_app(&self, on: &str, page: Page) -> Result {
        let Page::App { redirect } = page else {
            return Err(page.complaint().unwrap_or_else(|| format!("the browser stands on {}", page.name())));
        };
        self.phone(on)?.finish_login(&redirect).await.map_err(text)?;
        self.registered(on).await
    }

    /// Signed in means that calls can reach the phone: the server lists it with its push token.
    async fn registered(&self, on: &str) -> Result {
        let places = Places::One(on.to_owned());
        self.each_phone(&places, |phone, seen| {
            let presence = seen.shown.presence.ok_or_else(|| format!("{} knows no state", phone.key))?;
            let listed = presence.devices.iter().find(|device| Some(&device.id) == phone.device().as_ref());
            let reachable = listed.is_some_and(|device| device.cannot_ring != Some(CannotRing::NoPushToken));
            reachable.then_some(()).ok_or_else(|| format!("{} is not registered", phone.key))
        })
        .await
    }

    fn credentials(&self, who: &str, password: Option<&str>) -> Result<Credentials> {
        let known = self.world.credentials(who)?;
        let password = password.map_or_else(|| known.password.clone(), str::to_owned);
        Ok(Credentials { password, method: Method::Password, ..known })
    }

    /// What somebody at this number has read or heard last.
    fn code_at(&self, number: &PhoneNumber) -> Result<String> {
        let messages = self.world.operator.carrier_messages();
        let last = messages.into_iter().rev().find(|message| message.to == *number).ok_or("no code was sent there")?;
        Ok(last.text.chars().filter(char::is_ascii_digit).collect())
    }

    fn session_of(&self, on: &str, place: &str) -> Result<SessionId> {
        let presence = self.phone(on)?.shown().and_then(|shown| shown.presence).ok_or("no state is known")?;
        let found = presence.sign_ins.into_iter().find(|it| self.place_of(it) == place);
        found.map(|it| it.id).ok_or_else(|| format!("{on} shows no session on {place}"))
    }
}

/// A step that must fail, must fail for the reason that it names.
fn as_expected(result: Result, fails: Option<&str>) -> Result {
    match (result, fails) {
        (Ok(()), None) => Ok(()),
        (Err(trouble), None) => Err(trouble),
        (Ok(()), Some(wanted)) => Err(format!("it worked, and should have failed with {wanted:?}")),
        (Err(trouble), Some(wanted)) if trouble.to_lowercase().contains(&wanted.to_lowercase()) => Ok(()),
        (Err(trouble), Some(wanted)) => Err(format!("it failed with {trouble:?} and not with {wanted:?}")),
    }
}
