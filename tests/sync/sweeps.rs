//! Full sweeps: what is gone, what only seems to be, and when the next is due.

use super::*;

#[tokio::test]
async fn what_a_sweep_does_not_see_is_gone_and_may_come_back() {
    let (store, provider) = (database::migrated().await, Provider::new(50, 20));
    full(&store, &provider).await;
    provider.remove("c0000004");
    assert_eq!(sync(&store, &provider).await.unwrap().run.deleted, 0);
    let done = full(&store, &provider).await;
    assert_eq!(
        (done.run.deleted, done.is_complete(), live(&store).await),
        (1, true, 49)
    );
    assert_eq!(
        number(
            &store,
            "select count(*) from record_history where kind = 'delete' and record_id = 'c0000004'"
        )
        .await,
        1
    );
    assert_eq!(full(&store, &provider).await.run.deleted, 0);

    provider.set("c0000004", Some(time(4)), "Person 4");
    let done = full(&store, &provider).await;
    assert_eq!(
        (done.run.returned, done.run.updated, live(&store).await),
        (1, 1, 50)
    );
}

#[tokio::test]
async fn a_sweep_that_would_bury_too_many_buries_none_unless_forced() {
    let (store, provider) = (database::migrated().await, Provider::new(50, 20));
    full(&store, &provider).await;
    for n in 0..16 {
        provider.remove(&format!("c{n:07}"));
    }
    let held = full(&store, &provider).await;
    assert_eq!(
        (
            held.run.held_back,
            held.run.deleted,
            held.is_complete(),
            live(&store).await
        ),
        (16, 0, false, 50)
    );
    assert!(
        held.run.warnings[0].starts_with("16 of 50 records"),
        "{:?}",
        held.run.warnings
    );
    let options = Options {
        mode: Mode::Full,
        force: true,
        ..Options::default()
    };
    let forced = sync::run(&store, &Contacts, &provider, &options)
        .await
        .unwrap();
    assert_eq!(
        (forced.run.deleted, forced.is_complete(), live(&store).await),
        (16, true, 34)
    );
}

#[tokio::test]
async fn a_count_that_does_not_match_is_told_and_buries_nothing() {
    let (store, provider) = (database::migrated().await, Provider::new(50, 20));
    full(&store, &provider).await;
    provider.remove("c0000004");
    provider.trouble(Trouble::Miscounts(2));
    let short = full(&store, &provider).await;
    assert_eq!(
        (short.is_done(), short.is_complete(), short.run.deleted),
        (true, false, 0)
    );
    assert_eq!(
        short.run.warnings,
        ["the provider says it has 51 records, 49 were fetched; nothing was marked as gone"]
    );
    provider.trouble(Trouble::Miscounts(-2));
    let over = full(&store, &provider).await;
    assert_eq!((over.is_complete(), over.run.deleted), (false, 1));
    assert_eq!(
        over.run.warnings,
        ["the provider says it has 47 records, 49 were fetched"]
    );
    provider.trouble(Trouble::TellsNoTotal);
    assert!(full(&store, &provider).await.is_complete());
}

#[tokio::test]
async fn a_crash_of_the_server_that_empties_the_seen_ids_buries_nobody() {
    let (store, provider) = (database::migrated().await, Provider::new(500, 100));
    full(&store, &provider).await;
    provider.trouble(Trouble::FailsAt(3));
    let options = Options {
        mode: Mode::Full,
        ..Options::default()
    };
    sync::run(&store, &Contacts, &provider, &options)
        .await
        .unwrap_err();
    // What recovery does to an unlogged table.
    store.pool().execute("truncate sync_pages").await.unwrap();
    provider.trouble(Trouble::None);
    let done = full(&store, &provider).await;
    assert_eq!(
        (
            done.run.deleted,
            done.run.fetched,
            done.is_complete(),
            live(&store).await
        ),
        (0, 500, true, 500)
    );
    assert!(
        done.run.warnings[0].contains("crashed"),
        "{:?}",
        done.run.warnings
    );
}

#[tokio::test]
async fn clocks_ahead_and_records_without_a_time_lose_no_change() {
    let (store, provider) = (database::migrated().await, Provider::new(20, 10));
    provider.set(
        "future",
        Some(Utc::now() + TimeDelta::days(3000)),
        "From the future",
    );
    provider.set("timeless", None, "Timeless");
    assert!(full(&store, &provider).await.is_complete());
    // Changed now, long before the one from the future.
    provider.set("c0000003", Some(Utc::now()), "Changed");
    let done = sync(&store, &provider).await.unwrap();
    assert_eq!(
        (done.run.mode.as_str(), done.run.updated),
        ("incremental", 1),
        "{done:?}"
    );
    assert!(done.run.since.unwrap() < Utc::now());
    let listed = contacts::list(
        &mut store.pool().acquire().await.unwrap(),
        &Filter::default(),
        Sort::Changed,
        None,
        100,
    )
    .await
    .unwrap();
    assert_eq!(listed.last().map(|line| line.id.as_str()), Some("timeless"));
}

#[tokio::test]
async fn a_full_sweep_is_due_when_the_last_is_older_than_a_day() {
    let (store, provider) = (database::migrated().await, Provider::new(20, 10));
    full(&store, &provider).await;
    assert_eq!(
        sync(&store, &provider).await.unwrap().run.mode,
        "incremental"
    );
    store
        .pool()
        .execute("update sync_state set last_full_at = last_full_at - interval '25 hours'")
        .await
        .unwrap();
    assert_eq!(sync(&store, &provider).await.unwrap().run.mode, "full");
}
