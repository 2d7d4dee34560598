//! Talking to the authorization server.
//!
//! | module | what it does |
//! |---|---|
//! | [`login`] | the address of the login page; taking a redirect apart |
//! | [`token`] | code for tokens, refresh token for tokens, revocation |
//! | [`id_token`] | the claims of an ID token |
//!
//! Encoding and parsing of OAuth 2 messages is the `oauth2` crate's; what an answer means is decided in the machine.

pub(crate) mod id_token;
pub(crate) mod login;
pub(crate) mod token;
