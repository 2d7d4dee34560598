//! A sign-in survives the death of the process at every point, and takes one redirect only.

use hookswitch::{
    Hookswitch,
    machine::{
        Failure, SignedOutWhy,
        view::{SessionHealth, SessionState},
    },
};

use crate::bench::{BenchPhone, ISSUER, MINUTE, Page, REDIRECT, begin_login, begun, health, soon, token};

const WAITING: SessionState = SessionState::SigningIn { completing: false };
const NOBODY: SessionState = SessionState::SignedOut { why: SignedOutWhy::Never, message: None };

fn forbidden(result: Result<(), Failure>) -> String {
    match result {
        Err(Failure::Forbidden { why }) => why,
        other => panic!("{other:?}"),
    }
}

/// Uses the page's redirect, and is signed in by it.
async fn finish(phone: &mut BenchPhone, core: &Hookswitch, page: &Page) {
    let redirect = page.redirect("code");
    let finish = begun(core.finish_login(&redirect));
    let post = phone.post().await;
    assert_eq!(post.field("code"), "code");
    assert!(page.belongs_to(&post));
    post.signs_in(page);
    soon(finish).await.unwrap();
    assert_eq!(health(core), Some(SessionHealth::Fresh));
}

#[tokio::test]
async fn an_app_that_is_killed_before_the_redirect_takes_it_after_the_next_start() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    let page = begin_login(&core).await;
    drop(core);
    let core = phone.start().await;
    assert_eq!(core.state().session, WAITING);
    finish(&mut phone, &core, &page).await;
    soon(core.saved()).await;
    drop(core);
    assert_eq!(token(&phone.start().await).await.unwrap(), "access-1");
}

#[tokio::test]
async fn an_app_that_is_killed_after_the_code_was_sent_may_send_it_again() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    let page = begin_login(&core).await;
    let redirect = page.redirect("code");
    let asked = begun(core.finish_login(&redirect));
    let never_arrived = phone.post().await;
    drop(asked);
    drop(core);
    drop(never_arrived);
    let core = phone.start().await;
    assert_eq!(core.state().session, WAITING);
    finish(&mut phone, &core, &page).await;
}

#[tokio::test]
async fn a_code_that_was_used_up_by_a_killed_app_ends_the_sign_in_with_a_clear_word() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    let page = begin_login(&core).await;
    let redirect = page.redirect("code");
    let asked = begun(core.finish_login(&redirect));
    let post = phone.post().await;
    drop(asked);
    drop(core);
    // The issuer has done it, and there was nobody to hear of it.
    post.signs_in(&page);
    let core = phone.start().await;
    assert_eq!(core.state().session, WAITING);
    let again = begun(core.finish_login(&redirect));
    phone.post().await.refuses("invalid_grant");
    assert!(forbidden(soon(again).await).contains("Start it again"));
    assert_eq!(core.state().session, NOBODY);
    // And it is as easy as that.
    let page = begin_login(&core).await;
    finish(&mut phone, &core, &page).await;
}

#[tokio::test]
async fn an_app_that_is_killed_between_the_tokens_and_their_save_still_waits_for_its_sign_in() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    let page = begin_login(&core).await;
    phone.fill_disk();
    let redirect = page.redirect("code");
    let asked = begun(core.finish_login(&redirect));
    phone.post().await.signs_in(&page);
    soon(asked).await.unwrap();
    drop(core);
    phone.free_disk();
    // Both or neither: the tokens were not stored, so the sign-in that waits was not forgotten.
    let core = phone.start().await;
    assert_eq!(core.state().session, WAITING);
    // Most issuers take no code twice; one that does signs in.
    let again = begun(core.finish_login(&redirect));
    phone.post().await.signs_in(&page);
    soon(again).await.unwrap();
    soon(core.saved()).await;
    drop(core);
    assert_eq!(token(&phone.start().await).await.unwrap(), "access-1");
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_sign_in_waiting_for_the_same_redirect() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    let page = begin_login(&core).await;
    let redirect = page.redirect("code");
    let asked = begun(core.finish_login(&redirect));
    drop(phone.post().await);
    assert!(matches!(soon(asked).await, Err(Failure::Offline { .. })));
    assert_eq!(core.state().session, WAITING);
    finish(&mut phone, &core, &page).await;
}

#[tokio::test]
async fn a_sign_in_that_nobody_waits_for_any_more_is_completed() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    let page = begin_login(&core).await;
    let redirect = page.redirect("code");
    let asked = begun(core.finish_login(&redirect));
    let post = phone.post().await;
    drop(asked);
    post.signs_in(&page);
    soon(core.saved()).await;
    assert_eq!(token(&core).await.unwrap(), "access-1");
}

#[tokio::test]
async fn a_minimised_browser_is_not_a_cancel() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    core.foreground();
    let page = begin_login(&core).await;
    core.background();
    phone.clock.advance(14 * MINUTE);
    core.foreground();
    assert_eq!(core.state().session, WAITING);
    finish(&mut phone, &core, &page).await;
}

#[tokio::test]
async fn of_two_sign_ins_the_newer_one_wins_and_the_older_ones_redirect_is_refused() {
    for restarts in [false, true] {
        let mut phone = BenchPhone::new();
        let mut core = phone.start().await;
        let older = begin_login(&core).await;
        let newer = begin_login(&core).await;
        if restarts {
            drop(core);
            core = phone.start().await;
        }
        let refused = forbidden(soon(core.finish_login(&older.redirect("code"))).await);
        assert!(refused.contains("its state is not the one of this sign-in"), "{refused}");
        assert_eq!(phone.posts(), 0, "the code stays at home");
        assert_eq!(core.state().session, WAITING);
        finish(&mut phone, &core, &newer).await;
        let refused = forbidden(soon(core.finish_login(&older.redirect("code"))).await);
        assert!(refused.contains("not valid any more"), "{refused}");
        assert_eq!(health(&core), Some(SessionHealth::Fresh));
    }
}

#[tokio::test]
async fn a_sign_in_that_begins_while_another_is_prepared_or_completed_replaces_it() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    let prepared = begun(core.begin_login(None, REDIRECT));
    let older = begin_login(&core).await;
    assert!(matches!(soon(prepared).await, Err(Failure::Cancelled { .. })));

    let redirect = older.redirect("code");
    let completed = begun(core.finish_login(&redirect));
    let post = phone.post().await;
    let newer = begin_login(&core).await;
    assert!(matches!(soon(completed).await, Err(Failure::Cancelled { .. })));
    // Its tokens come late, and sign nobody in.
    post.signs_in(&older);
    assert!(soon(core.finish_login(&redirect)).await.is_err());
    assert_eq!(core.state().session, WAITING);
    finish(&mut phone, &core, &newer).await;
}

#[tokio::test]
async fn a_redirect_that_comes_again_after_the_sign_in_changes_nothing() {
    for restarts in [false, true] {
        let mut phone = BenchPhone::new();
        let mut core = phone.start().await;
        let page = begin_login(&core).await;
        finish(&mut phone, &core, &page).await;
        if restarts {
            soon(core.saved()).await;
            drop(core);
            core = phone.start().await;
        }
        let refused = forbidden(soon(core.finish_login(&page.redirect("code"))).await);
        assert!(refused.contains("not valid any more"), "{refused}");
        assert_eq!(health(&core), Some(SessionHealth::Fresh));
        assert_eq!(phone.posts(), 1);
    }
}

#[tokio::test]
async fn a_sign_in_that_took_too_long_says_so_and_a_new_one_works() {
    for restarts in [false, true] {
        let mut phone = BenchPhone::new();
        let mut core = phone.start().await;
        let page = begin_login(&core).await;
        phone.clock.advance(15 * MINUTE);
        if restarts {
            drop(core);
            core = phone.start().await;
            assert_eq!(core.state().session, NOBODY);
        }
        let refused = forbidden(soon(core.finish_login(&page.redirect("code"))).await);
        assert!(refused.contains("Start the sign-in again"), "{refused}");
        assert_eq!(core.state().session, NOBODY);
        assert_eq!(phone.posts(), 0);
        let page = begin_login(&core).await;
        finish(&mut phone, &core, &page).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_set_while_the_browser_is_open_ends_no_sign_in_of_this_process() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    let page = begin_login(&core).await;
    for wall in [0, 4_000_000_000_000] {
        phone.clock.set_wall(wall);
        assert_eq!(core.state().session, WAITING);
    }
    finish(&mut phone, &core, &page).await;
}

#[tokio::test]
async fn a_redirect_of_somebody_else_is_refused_and_the_sign_in_goes_on() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    let page = begin_login(&core).await;
    for forged in [
        format!("{REDIRECT}?code=code&state=guessed&iss={ISSUER}"),
        format!("{REDIRECT}?code=code&iss={ISSUER}"),
        page.redirect("code").replace(ISSUER, "https://evil.example"),
        page.redirect("code").replace(REDIRECT, "dev.evil.agent:/callback"),
        format!("{}&code=other", page.redirect("code")),
    ] {
        forbidden(soon(core.finish_login(&forged)).await);
        assert_eq!(core.state().session, WAITING, "{forged}");
    }
    assert_eq!(phone.posts(), 0);
    finish(&mut phone, &core, &page).await;
}

#[tokio::test]
async fn a_sign_in_that_is_cancelled_stays_cancelled() {
    let phone = BenchPhone::new();
    let core = phone.start().await;
    let page = begin_login(&core).await;
    soon(core.cancel_login()).await.unwrap();
    assert_eq!(core.state().session, NOBODY);
    soon(core.saved()).await;
    drop(core);
    let core = phone.start().await;
    assert_eq!(core.state().session, NOBODY);
    forbidden(soon(core.finish_login(&page.redirect("code"))).await);
    assert_eq!(phone.posts(), 0);
}

#[tokio::test]
async fn a_sign_out_leaves_no_connection_with_a_token_in_its_buffers() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    phone.sign_in(&core).await;
    let before = phone.begun_anew();
    soon(core.sign_out()).await.unwrap();
    assert_eq!(phone.begun_anew(), before + 1);
}
