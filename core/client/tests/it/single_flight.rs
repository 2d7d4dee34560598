//! One refresh an expiry, whoever asks, leaves or sleeps.

use std::{
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Wake, Waker},
    time::Duration,
};

use hookswitch::{
    Hookswitch,
    machine::{Failure, view::SessionHealth},
};
use secrecy::ExposeSecret;
use tokio::task::JoinSet;

use crate::bench::{BenchPhone, EXPIRY, begun, health, soon, token};

/// Whoever finds the lease held looks again after so many milliseconds.
const LOOKS_AGAIN: u64 = 250;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_tasks_that_find_the_token_expired_cost_one_request() {
    let mut phone = BenchPhone::new();
    let core = Arc::new(phone.start().await);
    phone.sign_in(&core).await;
    for generation in 2..12 {
        phone.clock.advance(EXPIRY);
        let before = phone.posts();
        let mut asking = JoinSet::new();
        for _ in 0..64 {
            let core = Arc::clone(&core);
            asking.spawn(async move { token(&core).await });
        }
        let post = phone.post().await;
        assert_eq!(post.field("refresh_token"), format!("refresh-{}", generation - 1));
        post.grants(generation);
        for got in asking.join_all().await {
            assert_eq!(got.unwrap(), format!("access-{generation}"));
        }
        soon(core.saved()).await;
        assert_eq!(phone.posts(), before + 1);
    }
}

#[tokio::test]
async fn a_token_that_is_good_costs_no_request() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    phone.sign_in(&core).await;
    for _ in 0..100 {
        assert_eq!(token(&core).await.unwrap(), "access-1");
    }
    assert_eq!(phone.posts(), 1, "the sign-in's");
}

#[tokio::test]
async fn one_who_leaves_takes_nothing_from_the_others() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    phone.sign_in(&core).await;
    phone.clock.advance(EXPIRY);
    let first = begun(core.access_token());
    let second = begun(core.access_token());
    let post = phone.post().await;
    // The one on whose account the request was made.
    drop(first);
    let third = begun(core.access_token());
    post.grants(2);
    assert_eq!(soon(second).await.unwrap().expose_secret(), "access-2");
    assert_eq!(soon(third).await.unwrap().expose_secret(), "access-2");
    soon(core.saved()).await;
    assert_eq!(phone.posts(), 2);
}

#[tokio::test]
async fn a_refresh_that_nobody_waits_for_any_more_is_finished_and_saved() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    phone.sign_in(&core).await;
    phone.clock.advance(EXPIRY);
    // They leave before the lease is taken, and while the request is out.
    drop(begun(core.access_token()));
    let late = begun(core.access_token());
    let post = phone.post().await;
    drop(late);
    post.grants(2);
    soon(core.saved()).await;
    drop(core);
    let core = phone.start().await;
    assert_eq!(token(&core).await.unwrap(), "access-2");
    assert_eq!(phone.posts(), 2);
}

/// The next step replaced the token before its asker had looked at it: the asker was told "cancelled".
#[tokio::test]
async fn one_who_looks_late_gets_the_token_of_the_answer_although_it_was_replaced() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    phone.sign_in(&core).await;
    phone.clock.advance(EXPIRY);
    let late = begun(core.access_token());
    phone.post().await.grants(2);
    soon(core.saved()).await;
    for generation in 3..6 {
        phone.clock.advance(EXPIRY);
        let next = begun(core.access_token());
        phone.post().await.grants(generation);
        assert_eq!(soon(next).await.unwrap().expose_secret(), format!("access-{generation}"));
        soon(core.saved()).await;
    }
    assert_eq!(soon(late).await.unwrap().expose_secret(), "access-2");
}

/// Asks the core something where it is woken, as foreign code does. On a thread of its own, so that a deadlock is a failure.
struct AsksWhenWoken {
    core: Arc<Hookswitch>,
    answered: Mutex<Vec<bool>>,
}

impl Wake for AsksWhenWoken {
    fn wake(self: Arc<Self>) {
        let core = Arc::clone(&self.core);
        let (asked, answer) = mpsc::channel();
        std::thread::spawn(move || asked.send((core.state(), core.ring_log())).is_ok());
        self.answered.lock().unwrap().push(answer.recv_timeout(Duration::from_secs(10)).is_ok());
    }
}

#[tokio::test]
async fn one_who_is_woken_may_ask_the_next_thing_there_and_then() {
    let mut phone = BenchPhone::new();
    let core = Arc::new(phone.start().await);
    phone.sign_in(&core).await;
    phone.clock.advance(EXPIRY);
    let asks = Arc::new(AsksWhenWoken { core: Arc::clone(&core), answered: Mutex::default() });
    let waker = Waker::from(Arc::clone(&asks));
    let (mut token, mut saved) = (pin!(core.access_token()), pin!(core.saved()));
    assert!(token.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let post = phone.post().await;
    post.grants(2);
    assert!(saved.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    soon(core.saved()).await;
    assert_eq!(*asks.answered.lock().unwrap(), [true, true], "woken by the token and by a step");
}

#[tokio::test]
async fn a_lost_answer_is_told_to_all_who_wait_and_ends_nothing() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    phone.sign_in(&core).await;
    phone.clock.advance(EXPIRY);
    let asking = [begun(core.access_token()), begun(core.access_token())];
    drop(phone.post().await);
    for asked in asking {
        assert!(matches!(soon(asked).await, Err(Failure::Offline { .. })));
    }
    assert_eq!(health(&core), Some(SessionHealth::Offline));
    // Who asks again at once is told to wait, and costs no request.
    assert!(matches!(token(&core).await, Err(Failure::Offline { .. })));
    phone.clock.advance(5_000);
    let again = begun(core.access_token());
    let post = phone.post().await;
    assert_eq!(post.field("refresh_token"), "refresh-1");
    post.grants(2);
    assert_eq!(soon(again).await.unwrap().expose_secret(), "access-2");
}

#[tokio::test]
async fn an_app_and_its_extension_that_find_the_token_expired_cost_one_request() {
    let mut phone = BenchPhone::new();
    let app = phone.start().await;
    phone.sign_in(&app).await;
    let extension = phone.start_as("notification").await;
    for generation in 2..6 {
        phone.clock.advance(EXPIRY);
        let (first, second) = if generation % 2 == 0 { (&app, &extension) } else { (&extension, &app) };
        let asked_first = begun(first.access_token());
        let post = phone.post().await;
        // The lease is held: the other one looks again and again, and asks the issuer for nothing.
        let asked_second = begun(second.access_token());
        for _ in 0..20 {
            phone.clock.wake_within(LOOKS_AGAIN).await;
        }
        assert_eq!(phone.posts(), usize::try_from(generation).unwrap());
        post.grants(generation);
        assert_eq!(soon(asked_first).await.unwrap().expose_secret(), format!("access-{generation}"));
        soon(first.saved()).await;
        let got = phone.clock.wake_while(LOOKS_AGAIN, asked_second).await;
        assert_eq!(got.unwrap().expose_secret(), format!("access-{generation}"));
        soon(second.saved()).await;
        assert_eq!(phone.posts(), usize::try_from(generation).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_app_and_its_extension_that_ask_at_the_same_moment_cost_one_request() {
    let mut phone = BenchPhone::new();
    let app = Arc::new(phone.start().await);
    phone.sign_in(&app).await;
    let extension = Arc::new(phone.start_as("notification").await);
    for generation in 2..22 {
        phone.clock.advance(EXPIRY);
        let mut asking = JoinSet::new();
        for core in [&app, &extension] {
            for _ in 0..8 {
                let core = Arc::clone(core);
                asking.spawn(async move { token(&core).await });
            }
        }
        phone.post().await.grants(generation);
        for got in phone.clock.wake_while(LOOKS_AGAIN, asking.join_all()).await {
            assert_eq!(got.unwrap(), format!("access-{generation}"));
        }
        soon(app.saved()).await;
        soon(extension.saved()).await;
        assert_eq!(phone.posts(), usize::try_from(generation).unwrap());
    }
}

#[tokio::test]
async fn an_app_that_is_killed_in_a_refresh_repeats_it_with_the_same_token_at_once() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    phone.sign_in(&core).await;
    phone.clock.advance(EXPIRY);
    let asked = begun(core.access_token());
    let lost = phone.post().await;
    drop(asked);
    drop(core);
    // The issuer has answered; nobody was there to hear it.
    lost.grants(2);
    let core = phone.start().await;
    // The lease is taken over as soon as the vault's thread of the first process is gone, which may take a moment here.
    let clock = Arc::clone(&phone.clock);
    let post = clock.wake_while(LOOKS_AGAIN, phone.post()).await;
    assert_eq!(post.field("refresh_token"), "refresh-1");
    post.grants(2);
    assert_eq!(token(&core).await.unwrap(), "access-2");
}
