//! The session: login, the life of tokens, sign-out.
//!
//! Three principles: **offline is never a logout** (only a proven rejection of the newest refresh token ends a session);
//! **one refresh an expiry** (lease and intent in the vault before the request, generation after it); **a sign-out is
//! local first** (it holds at once and offline; the issuer hears of it when it can).
//!
//! | module | what is decided there |
//! |---|---|
//! | `start` | what the vault means when a process starts, and what it keeps for the next one |
//! | `login` | from the button to the tokens |
//! | `tokens` | who gets a token, when it is renewed, and what the end of a refresh means |
//! | `sign_out` | the end of a session, whoever ends it |
//! | `repair` | token and cache anew, the sign-in kept |

mod login;
mod repair;
mod sign_out;
mod start;
mod tokens;

#[cfg(test)]
mod tests;
