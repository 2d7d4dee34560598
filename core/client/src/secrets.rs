//! The secrets behind the names that the heart knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use hookswitch_machine::SecretRef;
use secrecy::{ExposeSecret, SecretString};

/// Above this many, those that nothing refers to are dropped.
const CROWDED: usize = 64;
/// The newest ones may be on their way between shell and heart.
const NEWEST: u64 = 32;

/// Keeps secrets and gives them names; equal secrets have equal names.
#[derive(Default)]
pub(crate) struct Secrets {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_name: BTreeMap<SecretRef, SecretString>,
    last: u64,
}

impl Secrets {
    /// The name of a secret.
    pub(crate) fn name(&self, secret: &str) -> SecretRef {
        let mut inner = self.lock();
        // A handful of entries: looking at each is quicker than hashing, and leaves no copy behind.
        if let Some((name, _)) = inner.by_name.iter().find(|(_, known)| known.expose_secret() == secret) {
            return *name;
        }
        inner.last += 1;
        let name = SecretRef(inner.last);
        inner.by_name.insert(name, SecretString::from(secret));
        name
    }

    /// The secret of a name; `None` when nothing referred to it any more and it was dropped.
    pub(crate) fn get(&self, name: SecretRef) -> Option<SecretString> {
        self.lock().by_name.get(&name).cloned()
    }

    /// Drops what nothing refers to, once there are many.
    pub(crate) fn retain(&self, used: impl FnOnce() -> BTreeSet<SecretRef>) {
        let mut inner = self.lock();
        if inner.by_name.len() > CROWDED {
            let used = used();
            let newest = inner.last.saturating_sub(NEWEST);
            inner.by_name.retain(|name, _| used.contains(name) || name.0 > newest);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Nothing can panic while it is held; if something did, the map is still whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 256 random bits as URL-safe text: enough for `state`, `nonce` and a PKCE verifier (RFC 7636, section 4.1).
///
/// # Errors
/// When the platform has no random numbers; then nothing can be secret.
pub(crate) fn random_secret() -> Result<String, getrandom::Error> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_secrets_have_equal_names_and_others_do_not() {
        let secrets = Secrets::default();
        let name = secrets.name("a");
        assert_eq!(secrets.name("a"), name);
        assert_ne!(secrets.name("b"), name);
        assert_eq!(secrets.get(name).unwrap().expose_secret(), "a");
    }

    #[test]
    fn a_secret_in_use_is_kept_however_many_come_after_it() {
        let secrets = Secrets::default();
        let kept = secrets.name("kept");
        let dropped = secrets.name("dropped");
        for n in 0..1_000 {
            secrets.name(&n.to_string());
            secrets.retain(|| BTreeSet::from([kept]));
        }
        assert!(secrets.get(kept).is_some());
        assert!(secrets.get(dropped).is_none());
        assert!(secrets.lock().by_name.len() <= CROWDED + 1);
    }
}
