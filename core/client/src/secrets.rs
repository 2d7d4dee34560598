//! The secrets behind the names that the machine knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use hookswitch_machine::SecretRef;
use secrecy::{ExposeSecret, SecretString};

/// Keeps secrets and gives them names; equal secrets have equal names. A secret that nothing needs any more is wiped with
/// the next step of the machine.
#[derive(Default)]
pub(crate) struct Secrets {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_name: BTreeMap<SecretRef, Kept>,
    last: u64,
}

struct Kept {
    secret: SecretString,
    /// It was named for an event that the machine has not seen yet.
    is_on_its_way: bool,
}

impl Secrets {
    /// The name of a secret, to be brought to the machine by an event.
    pub(crate) fn name(&self, secret: &str) -> SecretRef {
        let mut inner = self.lock();
        // A handful of entries: looking at each is quicker than hashing, and leaves no copy behind.
        if let Some((name, kept)) = inner.by_name.iter_mut().find(|(_, kept)| kept.secret.expose_secret() == secret) {
            kept.is_on_its_way = true;
            return *name;
        }
        inner.last += 1;
        let name = SecretRef(inner.last);
        inner.by_name.insert(name, Kept { secret: SecretString::from(secret), is_on_its_way: true });
        name
    }

    /// The secret of a name; `None` when nothing needed it any more and it was wiped.
    pub(crate) fn get(&self, name: SecretRef) -> Option<SecretString> {
        self.lock().by_name.get(&name).map(|kept| kept.secret.clone())
    }

    /// A copy of some of them, under the same names, for whoever asked for them: the next step may wipe them here.
    pub(crate) fn handed_out(&self, names: &[SecretRef]) -> Self {
        let inner = self.lock();
        let copy = |name: &SecretRef| {
            let secret = inner.by_name.get(name)?.secret.clone();
            Some((*name, Kept { secret, is_on_its_way: false }))
        };
        Self { inner: Mutex::new(Inner { by_name: names.iter().filter_map(copy).collect(), last: inner.last }) }
    }

    /// The machine has seen an event that brought `arrived`, and needs `used` from now on.
    pub(crate) fn settle(&self, arrived: &[SecretRef], used: &BTreeSet<SecretRef>) {
        let mut inner = self.lock();
        for name in arrived {
            if let Some(kept) = inner.by_name.get_mut(name) {
                kept.is_on_its_way = false;
            }
        }
        inner.by_name.retain(|name, kept| kept.is_on_its_way || used.contains(name));
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
    fn what_was_handed_out_outlives_the_next_step() {
        let secrets = Secrets::default();
        let [asked, other] = ["asked", "other"].map(|secret| secrets.name(secret));
        let handed = secrets.handed_out(&[asked]);
        secrets.settle(&[asked, other], &BTreeSet::new());
        assert!(secrets.get(asked).is_none());
        assert_eq!(handed.get(asked).unwrap().expose_secret(), "asked");
        assert!(handed.get(other).is_none());
    }

    #[test]
    fn what_nothing_needs_is_wiped_and_what_is_on_its_way_is_not() {
        let secrets = Secrets::default();
        let [used, arrived, on_its_way] = ["used", "arrived", "on its way"].map(|secret| secrets.name(secret));
        secrets.settle(&[used, arrived], &BTreeSet::from([used]));
        assert!(secrets.get(used).is_some());
        assert!(secrets.get(arrived).is_none());
        assert!(secrets.get(on_its_way).is_some());
        // An old acquaintance that comes again is on its way again.
        assert_eq!(secrets.name("used"), used);
        secrets.settle(&[on_its_way], &BTreeSet::new());
        assert!(secrets.get(used).is_some());
        assert!(secrets.get(on_its_way).is_none());
    }
}
