//! What the app's life cycle, the network and the first unlock change.

use crate::{
    running::Purpose, state::Lifecycle, state::presence::StreamLink, state::session::Session, step::Step, timer::Timer,
};

/// The stream goes on this long after the app has left the foreground, in milliseconds.
pub const BACKGROUND_GRACE: u64 = 20_000;

impl Step<'_> {
    /// Whether traffic is allowed at all.
    pub(crate) const fn is_active(&self) -> bool {
        match self.state.lifecycle {
            Lifecycle::Foreground | Lifecycle::Leaving => true,
            Lifecycle::Background => false,
        }
    }

    pub(crate) fn foreground(&mut self) {
        self.state.lifecycle = Lifecycle::Foreground;
        self.cancel_timer(Timer::BackgroundGrace);
        // What the platform said last of the network may be out of date, and somebody looks.
        self.state.network_up = true;
        // A stream of before may have died without a word while nobody looked.
        if self.state.presence.link.stream().is_some() && !self.is_in_flight(|purpose| *purpose == Purpose::Fetch) {
            self.verify();
        }
        // Whoever looks at the app has unlocked the phone.
        if self.state.session == Session::Locked {
            self.load_if_needed();
        }
        self.store_again();
        self.retry_all_now();
    }

    pub(crate) fn background(&mut self) {
        if self.state.lifecycle == Lifecycle::Foreground {
            self.state.lifecycle = Lifecycle::Leaving;
            let at = self.after(BACKGROUND_GRACE);
            self.set_timer(Timer::BackgroundGrace, at);
        }
    }

    pub(crate) fn background_grace_over(&mut self) {
        if self.state.lifecycle != Lifecycle::Leaving {
            return;
        }
        self.state.lifecycle = Lifecycle::Background;
        self.close_stream();
        // The last chance for what storage refused.
        self.store_again();
        for timer in [Timer::SaveTokens, Timer::Register, Timer::Revoke] {
            self.cancel_timer(timer);
        }
        // A timer that somebody waits for stays: another process holds the lease, and will not hold it for long.
        if !matches!(&self.state.session, Session::SignedIn(session) if session.somebody_waits()) {
            self.cancel_timer(Timer::Refresh);
            self.lease_may_be_free();
        }
    }

    /// Somebody waits, and the platform said last that there is no network. It may not have taken that back: a question tells, and
    /// its answer lets out whatever else waits.
    pub(crate) fn look_for_a_network(&mut self) {
        let asks = self.tries && matches!(self.state.session, Session::SignedIn(_));
        if asks && !self.is_in_flight(|purpose| *purpose == Purpose::Fetch) {
            self.verify();
        }
    }

    pub(crate) fn network(&mut self, up: bool) {
        self.state.network_up = up;
        // The first time it says how things are, and not that they have changed.
        let is_change = std::mem::replace(&mut self.state.knows_network, true);
        // Another network has other proxies.
        self.state.presence.poll_until = None;
        self.state.presence.silent = false;
        if matches!(self.state.presence.link, StreamLink::Polling { .. }) {
            self.close_stream();
        }
        // What hangs on the network of before may be dead without a word.
        if !up || is_change {
            self.close_stream();
        }
        if up {
            self.retry_all_now();
        }
    }

    /// Something changed for the better: whatever waits tries at once.
    fn retry_all_now(&mut self) {
        self.state.presence.backoff.retry_now();
        self.state.device.backoff.retry_now();
        self.state.revoke_backoff.retry_now();
        self.tell_all_again();
        if let Session::SignedIn(session) = &mut self.state.session {
            session.backoff.retry_now();
            self.cancel_timer(Timer::Refresh);
            self.lease_may_be_free();
        }
    }
}
