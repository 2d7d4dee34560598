//! Storage that fails costs no session, and the app is told.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
};

use futures_util::FutureExt;
use hookswitch::{
    Hookswitch,
    machine::{
        Failure,
        view::{SessionHealth, SessionState},
    },
};
use secrecy::ExposeSecret;

use crate::bench::{BenchPhone, EXPIRY, begin_login, begun, health, shows, soon, token};

fn is(wanted: SessionHealth) -> impl Fn(&SessionState) -> bool {
    move |session| matches!(session, SessionState::SignedIn { health, .. } if *health == wanted)
}

#[tokio::test]
async fn a_rotation_that_cannot_be_saved_is_told_and_saved_as_soon_as_it_can_be() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    phone.sign_in(&core).await;
    phone.fill_disk();
    phone.clock.advance(EXPIRY);
    let asked = begun(core.access_token());
    phone.post().await.grants(2);
    assert_eq!(soon(asked).await.unwrap().expose_secret(), "access-2", "the tokens are used all the same");
    shows(&core, is(SessionHealth::Degraded)).await;
    assert!(core.saved().now_or_never().is_none(), "it is not safe to suspend the app");

    // The disk stays full: tried again, in vain.
    core.foreground();
    phone.clock.wake_within(5_000).await;
    assert_eq!(health(&core), Some(SessionHealth::Degraded));
    phone.free_disk();
    // The attempt that was under way may have been in vain, too.
    phone.clock.wake_while(5_000, shows(&core, is(SessionHealth::Fresh))).await;
    soon(core.saved()).await;
    drop(core);
    let core = phone.start().await;
    assert_eq!(token(&core).await.unwrap(), "access-2");
    assert_eq!(phone.posts(), 2);
}

#[tokio::test]
async fn a_sign_in_that_cannot_be_saved_lasts_while_the_app_does() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    phone.fill_disk();
    let page = begin_login(&core).await;
    let redirect = page.redirect("code");
    let asked = begun(core.finish_login(&redirect));
    phone.post().await.signs_in(&page);
    soon(asked).await.unwrap();
    assert_eq!(health(&core), Some(SessionHealth::Degraded));
    assert_eq!(token(&core).await.unwrap(), "access-1");

    // A refresh whose end cannot be stored does not begin; that ends no session either.
    phone.clock.advance(EXPIRY);
    assert!(matches!(token(&core).await, Err(Failure::Storage { .. })));
    assert_eq!(health(&core), Some(SessionHealth::Degraded));
    assert_eq!(phone.posts(), 1);

    phone.free_disk();
    phone.clock.advance(1_000);
    let asked = begun(core.access_token());
    phone.post().await.grants(2);
    assert_eq!(soon(asked).await.unwrap().expose_secret(), "access-2");
    soon(core.saved()).await;
    assert_eq!(health(&core), Some(SessionHealth::Fresh));
    drop(core);
    assert_eq!(token(&phone.start().await).await.unwrap(), "access-2");
}

/// Asks whether all is saved at the very moment at which a change is shown.
struct AsksWhenShown {
    core: Arc<Hookswitch>,
    saved: Mutex<Vec<bool>>,
}

impl Wake for AsksWhenShown {
    fn wake(self: Arc<Self>) {
        self.saved.lock().unwrap().push(self.core.saved().now_or_never().is_some());
    }
}

#[tokio::test]
async fn whoever_is_shown_a_change_finds_it_unsaved_until_the_vault_has_it() {
    let mut phone = BenchPhone::new();
    let core = Arc::new(phone.start().await);
    phone.sign_in(&core).await;
    soon(core.saved()).await;
    let asks = Arc::new(AsksWhenShown { core: Arc::clone(&core), saved: Mutex::default() });
    let waker = Waker::from(Arc::clone(&asks));
    let mut views = core.watch();
    views.mark_unchanged();
    let mut shown = pin!(views.changed());
    assert!(shown.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let asked = begun(core.sign_out());
    assert_eq!(*asks.saved.lock().unwrap(), [false], "the sign-out is shown, and not in the vault yet");
    soon(core.saved()).await;
    soon(asked).await.unwrap();
}
