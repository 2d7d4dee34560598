//! Is the agent reachable at the number that calls are to go to? A code that was sent there tells.

use std::sync::atomic::Ordering;

use hookswitch_wire::{AccountId, CodeBy, PhoneNumber};

use super::{Named, Service, ServiceError, Unit};
use crate::{
    carrier::CarrierMessage,
    secret,
    store::{Answer, CodeOut},
};

/// Life of a code in milliseconds.
const CODE_LIFE: i64 = 600_000;
/// How often a code may be guessed at.
const TRIES: u32 = 5;
/// How many codes an agent may send, and a number may get, in a window: the number may be a stranger's.
pub(super) const CODES: usize = 5;
/// The window in milliseconds.
pub(super) const CODES_WINDOW: i64 = 900_000;

/// Why no code is sent, or none is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotVerified {
    /// Too many codes: the next one in so many milliseconds.
    TooMany(i64),
    /// Not the code that was sent last, or not any more.
    WrongCode,
}

fn stored(account: &AccountId, number: &PhoneNumber, code: &str) -> String {
    secret::derived("forwarding code", &[account.as_str(), number.as_str(), code])
}

fn words(code: &str, by: CodeBy) -> String {
    match by {
        CodeBy::Sms => format!("Your Hookswitch code is {code}. Give it to nobody."),
        CodeBy::Call => {
            let slowly: Vec<String> = code.chars().map(String::from).collect();
            format!("Hello. Your Hookswitch code is {}.", slowly.join(", "))
        }
    }
}

impl Service {
    /// Whether calls may be forwarded to this number.
    pub(crate) fn may_forward_to(&self, account: &AccountId, number: &PhoneNumber) -> Result<bool, ServiceError> {
        if !self.verify_forwarding.load(Ordering::Relaxed) {
            return Ok(true);
        }
        Ok(self.read(|tx| tx.is_verified(account, number))?)
    }

    /// Sends a code to a number, however often the request comes.
    pub(crate) fn send_code(
        &self,
        named: Named<'_>,
        number: &PhoneNumber,
        by: CodeBy,
    ) -> Result<Result<(), NotVerified>, ServiceError> {
        let code = secret::digits()?;
        let fresh = self.write(|unit| {
            unit.tx.lock_agent(named.account)?;
            if unit.answered(named)?.is_some() {
                return Ok::<_, ServiceError>(Ok(false));
            }
            if let Err(wait) = unit.service().count_code(named.account, number, unit.now) {
                return Ok(Err(NotVerified::TooMany(wait)));
            }
            let (code, expires_at) = (stored(named.account, number, &code), unit.now.saturating_add(CODE_LIFE));
            unit.tx.put_code(named.account, number, &CodeOut { code, expires_at, tries: 0 })?;
            unit.tx.audit("forwarding code sent", Some(named.account), "", unit.now)?;
            let fingerprint = named.fingerprint.to_owned();
            let answer = Answer { fingerprint, status: 204, etag: None, body: String::new() };
            unit.tx.insert_answer(named.account, named.key, &answer, unit.now)?;
            Ok(Ok(true))
        })?;
        Ok(fresh.map(|fresh| {
            if fresh {
                let text = words(&code, by);
                self.carrier.send(CarrierMessage { at: self.now(), to: number.clone(), by, text });
            }
        }))
    }

    fn count_code(&self, account: &AccountId, number: &PhoneNumber, now: i64) -> Result<(), i64> {
        let mut codes = self.codes();
        let keys = [format!("from {account}"), format!("to {number}")];
        for key in &keys {
            codes.check(key, now)?;
        }
        for key in &keys {
            codes.failed(key, now);
        }
        Ok(())
    }

    /// Is it the code that was sent there?
    pub(crate) fn verify_number(
        &self,
        account: &AccountId,
        number: &PhoneNumber,
        code: &str,
    ) -> Result<Result<(), NotVerified>, ServiceError> {
        // A wrong try has to be counted, so it is no error of the unit of work.
        self.write(|unit| unit.verify_number(account, number, code))
    }
}

impl Unit<'_> {
    fn verify_number(
        &mut self,
        account: &AccountId,
        number: &PhoneNumber,
        code: &str,
    ) -> Result<Result<(), NotVerified>, ServiceError> {
        self.tx.lock_agent(account)?;
        if self.tx.is_verified(account, number)? {
            return Ok(Ok(()));
        }
        let Some(mut out) = self.tx.code_out(account, number)? else { return Ok(Err(NotVerified::WrongCode)) };
        if out.expires_at <= self.now || out.tries >= TRIES {
            return Ok(Err(NotVerified::WrongCode));
        }
        if !secret::same(&stored(account, number, code), &out.code) {
            out.tries = out.tries.saturating_add(1);
            self.tx.put_code(account, number, &out)?;
            return Ok(Err(NotVerified::WrongCode));
        }
        self.tx.set_verified(account, number, self.now)?;
        self.tx.audit("forwarding number verified", Some(account), "", self.now)?;
        Ok(Ok(()))
    }
}
