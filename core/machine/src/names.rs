//! Names: of secrets, commands, effects, sign-ins. The machine holds no secret; it compares and hands on names.

use serde::{Deserialize, Serialize};

/// The name of a secret that the shell keeps: the machine never holds one. Equal secrets have equal names, so that the
/// checks of the machine (`state`, `nonce`) are comparisons of names, and a transcript has nothing to redact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretRef(pub u64);

/// Names a command of the app, so that its [`crate::Reply`] finds the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub u64);

/// Names an effect; its result names it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EffectId(pub u64);

/// Names a token in the queue of revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevocationId(pub i64);

/// Names a sign-in. Random, so that of two processes that share a vault neither takes the tokens of another sign-in for a
/// generation of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignInId(pub u64);

/// Counts the tokens of a session: each rotation adds one. Of two sets the one with the higher generation is valid.
pub type Generation = u64;
