//! The telephone network, as far as this backend needs one: it takes text messages and calls that read a code out, and
//! delivers them to whoever looks.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use crate::clock::Millis;
use hookswitch_wire::{CodeBy, PhoneNumber};
use serde::{Deserialize, Serialize};

/// How many messages are remembered.
const KEEP: usize = 1_000;

/// What somebody with that number reads or hears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierMessage {
    /// When it was sent.
    pub at: Millis,
    /// The number that it is sent to.
    pub to: PhoneNumber,
    /// As a text message, or spoken in a call.
    pub by: CodeBy,
    /// What is read or heard, with the code.
    pub text: String,
}

/// What was sent in this run of the backend, oldest first.
#[derive(Default)]
pub(crate) struct Carrier {
    messages: Mutex<VecDeque<CarrierMessage>>,
}

impl Carrier {
    pub(crate) fn send(&self, message: CarrierMessage) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() >= KEEP {
            messages.pop_front();
        }
        messages.push_back(message);
    }

    pub(crate) fn messages(&self) -> Vec<CarrierMessage> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
