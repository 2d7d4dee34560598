//! The app on a phone: the core in this process, or a program of its own that opens the core through other bindings.
//!
//! | module | what it does |
//! |---|---|
//! | [`protocol`] | what is asked of an app, and what it says |
//! | [`here`] | an app in this process |
//! | [`child`] | an app in a process of its own |
//! | [`proxy`] | how such a process reaches the phone's cable |
//! | [`serve`] | such a process, in Rust: `lab phone` |
//!
//! Both kinds take the same questions and give the same values, and nothing else of them is looked at: a scenario cannot
//! tell them apart.

pub(crate) mod child;
pub(crate) mod here;
pub(crate) mod protocol;
pub(crate) mod proxy;
pub(crate) mod serve;

use std::sync::Arc;

use hookswitch::{
    Hookswitch,
    machine::{AppState, Failure, view::StoppedCall},
    wire::DeviceId,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use child::Child;
use here::Here;
use protocol::{Ask, Clocks};

/// An app that runs.
pub(crate) enum App {
    Here(Here),
    Child(Child),
}

/// What an app says unasked.
#[derive(Debug)]
pub(crate) enum News {
    Shown(Box<AppState>),
    Stopped(StoppedCall),
    /// Its process is gone, and nobody killed it: why.
    Ended(String),
}

impl App {
    /// Asks, and reads the answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, Failure> {
        let name = ask.name();
        serde_json::from_value(self.perform(ask).await?)
            .map_err(|error| Failure::internal(format!("The answer to {name} cannot be read: {error}")))
    }

    async fn perform(&self, ask: Ask) -> Result<Value, Failure> {
        match self {
            Self::Here(here) => here.perform(ask).await,
            Self::Child(child) => child.perform(ask).await,
        }
    }

    pub(crate) const fn device(&self) -> &DeviceId {
        match self {
            Self::Here(here) => here.device(),
            Self::Child(child) => child.device(),
        }
    }

    /// What the app's observer was told last.
    pub(crate) fn shown(&self) -> Option<AppState> {
        match self {
            Self::Here(here) => Some(here.shown()),
            Self::Child(child) => child.shown(),
        }
    }

    /// The core itself, where there is one in this process: the lab's page draws more of it than an app shows.
    pub(crate) fn core(&self) -> Option<&Arc<Hookswitch>> {
        match self {
            Self::Here(here) => Some(here.core()),
            Self::Child(_) => None,
        }
    }

    /// The phone's clocks were moved.
    pub(crate) async fn clocks_moved(&self, clocks: Clocks) -> Result<(), Failure> {
        match self {
            // It looks at the phone's clock itself.
            Self::Here(_) => Ok(()),
            Self::Child(_) => self.ask(Ask::Clock(clocks)).await,
        }
    }

    /// Ends its process: nothing is asked, nothing is saved. Returns when it is gone.
    pub(crate) async fn kill(&self) {
        match self {
            // Dropping it is that.
            Self::Here(_) => {}
            Self::Child(child) => child.kill().await,
        }
    }
}
