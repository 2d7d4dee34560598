//! An issuer, by what it does with a refresh token that is used twice.

use std::collections::BTreeSet;

use hookswitch::machine::{Grant, IssuerProfile, Outcome, SecretRef};

/// Refresh token number n of the issuer has the name 2000 + n, its access token 1000 + n.
const REFRESH: u64 = 2_000;
const ACCESS: u64 = 1_000;

pub(super) const fn refresh_token(number: u64) -> SecretRef {
    SecretRef(REFRESH + number)
}

pub(super) const fn access_token(number: u64) -> SecretRef {
    SecretRef(ACCESS + number)
}

pub(super) const fn number_of_refresh(secret: SecretRef) -> Option<u64> {
    secret.0.checked_sub(REFRESH)
}

/// What is done with a token that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Tokens are replaced; the one before is good for 30 s more.
    Leeway,
    /// Tokens are replaced; the one before is refused.
    Strict,
    /// Tokens are replaced; who uses an old one ends the session.
    Kills,
    /// Tokens stay as they are.
    Stays,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Leeway, Self::Strict, Self::Kills, Self::Stays];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Leeway => "session, old tokens good for 30 s",
            Self::Strict => "session, old tokens refused",
            Self::Kills => "session, an old token ends it",
            Self::Stays => "session, no rotation",
        }
    }

    pub(super) const fn profile(self) -> IssuerProfile {
        match self {
            Self::Leeway => IssuerProfile::Okta,
            Self::Strict => IssuerProfile::Keycloak,
            Self::Kills => IssuerProfile::Unknown,
            Self::Stays => IssuerProfile::Entra,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Issuer {
    kind: Kind,
    /// The number of the token that is good.
    newest: u64,
    /// The one before, and when it was replaced.
    before: Option<(u64, u64)>,
    lives: bool,
    ended: bool,
    /// The numbers of new tokens that a client has heard of.
    heard: BTreeSet<u64>,
}

impl Issuer {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, newest: 1, before: None, lives: true, ended: false, heard: BTreeSet::from([1]) }
    }

    pub(super) const fn newest(&self) -> SecretRef {
        refresh_token(self.newest)
    }

    pub(super) const fn lives(&self) -> bool {
        self.lives
    }

    pub(super) const fn was_ended(&self) -> bool {
        self.ended
    }

    pub(super) const fn end(&mut self) {
        self.lives = false;
        self.ended = true;
    }

    /// Whether that token is not the newest any more.
    pub(super) fn has_replaced(&self, token: SecretRef) -> bool {
        self.kind != Kind::Stays && token < self.newest()
    }

    /// Whether a client has heard which token took the place of that one.
    pub(super) fn was_heard(&self, token: SecretRef) -> bool {
        number_of_refresh(token).is_some_and(|number| self.heard.range(number + 1..).next().is_some())
    }

    pub(super) fn heard(&mut self, token: SecretRef) {
        self.heard.extend(number_of_refresh(token));
    }

    /// Whoever heard of the newest token died before it was stored.
    pub(super) fn was_not_kept(&mut self) {
        self.heard.remove(&self.newest);
    }

    pub(super) fn refresh(&mut self, token: SecretRef, now: u64) -> Outcome {
        let refused = Outcome::OAuthError { error: "invalid_grant".into(), description: None };
        if !self.lives {
            return refused;
        }
        let number = number_of_refresh(token).unwrap_or(0);
        let in_time = |(before, at): (u64, u64)| before == number && now <= at + 30_000;
        let good = match self.kind {
            Kind::Stays => true,
            Kind::Leeway => number == self.newest || self.before.is_some_and(in_time),
            Kind::Strict => number == self.newest,
            Kind::Kills => {
                self.lives = number == self.newest;
                self.lives
            }
        };
        if !good {
            return refused;
        }
        let refresh = if self.kind == Kind::Stays {
            None
        } else {
            if number == self.newest {
                self.before = Some((number, now));
            }
            self.newest += 1;
            Some(refresh_token(self.newest))
        };
        let access = access_token(self.newest);
        Outcome::Granted {
            grant: Grant { access, refresh, expires_in: Some(super::LIFE / 1_000), claims: None, session_life: None },
        }
    }
}
