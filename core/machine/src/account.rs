//! What the agent asks of the server about their account: where else they are signed in, and whose a number is. Nothing of
//! it is shown before the server says so, nothing is repeated, and nothing here depends on it.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use hookswitch_wire::{CodeBy, PhoneNumber, SessionId};

use crate::{
    effect::{ApiCall, Reply},
    error::Failure,
    event::Outcome,
    names::{CommandId, SecretRef},
    running::Purpose,
    step::Step,
};

impl Step<'_> {
    /// Ends a session of the agent. This phone's own is ended as every sign-out is: at once, and offline too.
    pub(crate) fn end_session(&mut self, to: CommandId, session: SessionId) {
        let is_this = self.state.presence.confirmed.as_ref().is_some_and(|state| {
            state.sessions.iter().any(|it| it.id == session && it.device.as_ref() == Some(&self.state.setup.device))
        });
        if is_this {
            return self.sign_out(to);
        }
        self.ask(to, |key| ApiCall::EndSession { key, session });
    }

    pub(crate) fn send_code(&mut self, to: CommandId, number: PhoneNumber, by: CodeBy) {
        self.ask(to, |key| ApiCall::SendCode { key, number, by });
    }

    pub(crate) fn verify_number(&mut self, to: CommandId, number: PhoneNumber, code: SecretRef) {
        self.ask(to, |key| ApiCall::VerifyNumber { key, number, code });
    }

    fn ask(&mut self, to: CommandId, call: impl FnOnce(String) -> ApiCall) {
        if let Some(failure) = self.state.session.not_signed_in() {
            return self.fail(to, failure);
        }
        let key = self.idempotency_key();
        self.call_api(call(key), Purpose::Ask { to });
    }

    pub(crate) fn asked(&mut self, to: CommandId, outcome: &Outcome) {
        match outcome {
            Outcome::Done => self.reply(to, Ok(Reply::Done)),
            // Unlike what is repeated by itself, this waits for the agent.
            Outcome::Unavailable { status: 429, .. } => {
                self.fail(to, Failure::forbidden("That was too often. Wait a quarter of an hour, then try again."));
            }
            other => {
                let failure = other.failure();
                self.fail(to, failure);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hookswitch_wire::{SignIn, SignInKind, UnixMillis};

    use super::*;
    use crate::{event::Command, test_phone::*, view::SessionState, *};

    fn about_the_account(request: &Request) -> bool {
        matches!(
            request,
            Request::Api {
                call: ApiCall::EndSession { .. } | ApiCall::SendCode { .. } | ApiCall::VerifyNumber { .. },
                ..
            }
        )
    }

    fn number() -> PhoneNumber {
        "+33612345678".parse().unwrap()
    }

    fn commands() -> [Command; 3] {
        [
            Command::SendCode { number: number(), by: CodeBy::Sms },
            Command::VerifyNumber { number: number(), code: SecretRef(7) },
            Command::EndSession { session: "elsewhere".into() },
        ]
    }

    #[test]
    fn the_agent_hears_what_the_server_said() {
        for command in commands() {
            for (outcome, done) in [(Outcome::Done, true), (refused(422, "wrong_code"), false)] {
                let mut phone = TestPhone::signed_in();
                let id = phone.command(command.clone());
                assert!(!phone.has_reply(id));
                phone.answer(about_the_account, outcome);
                assert_eq!(phone.reply_to(id).is_ok(), done);
                assert!(done || matches!(phone.failure_of(id), Failure::Forbidden { .. }));
            }
        }
    }

    #[test]
    fn nothing_is_repeated_by_itself_and_too_often_is_said_plainly() {
        for command in commands() {
            for outcome in [unreachable(), unavailable(503), captive_portal(), unavailable(429)] {
                let too_often = outcome == unavailable(429);
                let mut phone = TestPhone::signed_in();
                let id = phone.command(command.clone());
                phone.answer(about_the_account, outcome);
                match phone.failure_of(id) {
                    Failure::Offline { .. } => assert!(!too_often),
                    Failure::Forbidden { why } => assert!(too_often && why.contains("too often"), "{why}"),
                    other => panic!("{other:?}"),
                }
                phone.advance(HOUR);
                assert_eq!(phone.sent(about_the_account), 1);
                assert!(phone.is_signed_in());
            }
        }
    }

    #[test]
    fn ending_this_phones_own_session_is_a_sign_out_and_needs_no_server() {
        let mut phone = TestPhone::signed_in();
        let here = SignIn {
            id: "here".into(),
            kind: SignInKind::Mobile,
            device: Some("phone-1".into()),
            signed_in_at: UnixMillis(1),
        };
        phone.hears(state_with(2, |state| state.sessions = vec![here]));
        phone.event(Event::NetworkDown);
        let id = phone.command(Command::EndSession { session: "here".into() });
        assert_eq!(phone.reply_to(id), &Ok(Reply::Done));
        assert!(matches!(phone.view().session, SessionState::SignedOut { .. }));
        assert_eq!(phone.sent(about_the_account), 0);
    }

    #[test]
    fn ending_another_session_asks_the_server_and_leaves_this_one_alone() {
        let session = |id: &str, device: &str| SignIn {
            id: id.into(),
            kind: SignInKind::Mobile,
            device: Some(device.into()),
            signed_in_at: UnixMillis(1),
        };
        let mut phone = TestPhone::signed_in();
        phone.hears(state_with(2, |state| {
            state.sessions = vec![session("here", "phone-1"), session("there", "phone-2")];
        }));
        let id = phone.command(Command::EndSession { session: "there".into() });
        phone.answer(about_the_account, Outcome::Done);
        assert_eq!(phone.reply_to(id), &Ok(Reply::Done));
        assert!(phone.is_signed_in());
    }

    #[test]
    fn who_is_not_signed_in_is_told_so() {
        for command in commands() {
            let mut phone = TestPhone::signed_in();
            phone.command(Command::SignOut);
            let id = phone.command(command);
            assert!(matches!(phone.failure_of(id), Failure::Reauthenticate { .. }));
        }
    }

    #[test]
    fn a_phone_that_learns_what_it_may_do_registers_anew() {
        let mut phone = TestPhone::signed_in();
        let facts = |line: Option<PhoneNumber>| DeviceFacts { line_number: line, ..DeviceFacts::default() };
        let registered = |request: &Request| match request {
            Request::Api { call: ApiCall::RegisterDevice { facts, .. }, .. } => Some(facts.clone()),
            _ => None,
        };
        phone.forget_history();
        for _ in 0..2 {
            phone.command(Command::SetDeviceFacts { facts: facts(Some(number())) });
        }
        let sent: Vec<_> = phone.requests().into_iter().filter_map(registered).collect();
        assert_eq!(sent, [facts(Some(number()))]);
    }
}
