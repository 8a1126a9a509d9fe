//! Rate budget and circuit breaker, shared by processes.

use super::*;

#[tokio::test]
async fn limits_are_learned_and_written_only_when_they_change() {
    let store = database::migrated().await;
    let provider = Provider::new(|number, _| {
        (
            [
                ("x-ratelimit-max", "500".to_owned()),
                ("x-ratelimit-interval-milliseconds", "10000".to_owned()),
                ("x-ratelimit-limit-daily", "10000".to_owned()),
                ("x-ratelimit-daily-remaining", (9000 - number).to_string()),
                ("x-ratelimit-daily-reset", "3600000".to_owned()),
            ],
            json("{}"),
        )
            .into_response()
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    count_writes(store.pool()).await;
    for _ in 0..5 {
        gateway
            .send(provider.call(&TESTER, read(), &token()))
            .await
            .unwrap();
    }
    let standing = medtainer_core::http::standings(store.pool()).await.unwrap();
    assert_eq!(standing.len(), 1);
    assert_eq!(standing[0].max_requests, Some(500));
    assert_eq!(standing[0].window_ms, Some(10000));
    assert_eq!(standing[0].quota_limit, Some(10000));
    assert_eq!(standing[0].quota_remaining, Some(9000));
    // Five reservations and one lesson.
    let writes: i64 = sqlx::query_scalar("select last_value from gate_writes")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(writes, 6);
}

/// Lets Postgres count how often a row of the gate is updated.
async fn count_writes(pool: &PgPool) {
    sqlx::raw_sql(
        "create sequence gate_writes;
         create function count_gate_write() returns trigger language plpgsql as
             'begin perform nextval(''gate_writes''); return null; end';
         create trigger count after update on provider_gates
             for each row execute function count_gate_write();",
    )
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_calls_of_four_processes_stay_within_the_limit() {
    const LIMIT: usize = 50;
    const WINDOW: Duration = Duration::from_millis(500);
    const SERVICE: Service = Service {
        limits: Some(Limits {
            max_requests: LIMIT as u32,
            window_ms: 500,
            quota: None,
        }),
        ..TESTER
    };
    let options = database::fresh().await;
    database::store(&options, "default")
        .prepare()
        .await
        .unwrap();
    let provider = Provider::new(|_, _| json("{}")).await;
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for process in 0..4 {
        // A pool and a gateway of its own: nothing is shared but Postgres.
        let gateway = Gateway::with(database::store(&options, "default").pool().clone(), QUICK);
        for number in 0..50 {
            let (gateway, provider) = (gateway.clone(), provider.clone());
            tasks.spawn(async move {
                let token = token();
                let request =
                    Request::new(Method::Get, "/{id}", &[&format!("{process}-{number}")]).unwrap();
                let mut call = provider.call(&SERVICE, request, &token);
                if number % 2 == 0 {
                    call.priority = Priority::Background;
                }
                gateway.send(call).await.map(drop)
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let took = started.elapsed();
    let mut asked = provider.asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked.len(), 200);
    let most = most_in_a_window(&asked, WINDOW);
    assert!(most <= LIMIT, "{most} requests within {WINDOW:?}");
    // 80 % of 100 a second, less a burst: much slower would mean that slots are lost.
    assert!(took < Duration::from_secs(12), "{took:?}");
}

fn most_in_a_window(times: &[Instant], window: Duration) -> usize {
    (0..times.len())
        .map(|first| {
            times[first..]
                .iter()
                .take_while(|time| **time - times[first] < window)
                .count()
        })
        .max()
        .unwrap_or(0)
}

#[tokio::test]
async fn a_person_goes_before_a_sync() {
    const SERVICE: Service = Service {
        limits: Some(Limits {
            max_requests: 20,
            window_ms: 4000,
            quota: None,
        }),
        ..TESTER
    };
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| json("{}")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let mut syncs = tokio::task::JoinSet::new();
    for number in 0..12 {
        let (gateway, provider) = (gateway.clone(), provider.clone());
        syncs.spawn(async move {
            let token = token();
            let request = Request::new(Method::Get, "/{id}", &[&number.to_string()]).unwrap();
            let mut call = provider.call(&SERVICE, request, &token);
            call.priority = Priority::Background;
            gateway.send(call).await.map(drop)
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    gateway
        .send(provider.call(&SERVICE, read(), &token()))
        .await
        .unwrap();
    let place = provider.count();
    assert!((2..=8).contains(&place), "served as number {place} of 13");
    while let Some(done) = syncs.join_next().await {
        done.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_deadline_before_the_slot_is_refused_without_a_reservation() {
    const SERVICE: Service = Service {
        limits: Some(Limits {
            max_requests: 1,
            window_ms: 5000,
            quota: None,
        }),
        ..TESTER
    };
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| json("{}")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    gateway
        .send(provider.call(&SERVICE, read(), &token))
        .await
        .unwrap();
    let due = "select due_at from provider_gates";
    let before: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(due)
        .fetch_one(store.pool())
        .await
        .unwrap();
    let started = Instant::now();
    let mut call = provider.call(&SERVICE, write(), &token);
    call.deadline = Instant::now() + Duration::from_secs(2);
    let error = gateway.send(call).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(
        error.message(),
        "the rate limit of Tester leaves no room: the next request can go in 7 s, which is too late here"
    );
    let wait = error.details_value().unwrap()["retry_after_ms"]
        .as_u64()
        .unwrap();
    assert!((5500..=6250).contains(&wait), "{wait}");
    let after: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(due)
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(before, after);
    assert_eq!(provider.count(), 1);
}

#[tokio::test]
async fn a_clock_set_back_stops_nobody() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| json("{}")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    gateway
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap();
    sqlx::query(
        "update provider_gates set reserved_at = reserved_at + interval '1 day',
            due_at = due_at + interval '1 day', blocked_until = clock_timestamp() + interval '1 day 200 ms'",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let started = Instant::now();
    gateway
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap();
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn the_day_used_up_stops_everybody_until_it_is_over() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| {
        (
            [
                ("x-ratelimit-limit-daily", "100"),
                ("x-ratelimit-daily-remaining", "0"),
                ("x-ratelimit-daily-reset", "1500"),
            ],
            json("{}"),
        )
            .into_response()
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    gateway
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap();
    let mut call = provider.call(&TESTER, read(), &token);
    call.deadline = Instant::now() + Duration::from_millis(500);
    let error = gateway.send(call).await.unwrap_err();
    assert!(
        error
            .message()
            .starts_with("this day's requests to Tester are used up; there are more in"),
        "{error}"
    );
    assert_eq!(provider.count(), 1);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut call = provider.call(&TESTER, read(), &token);
    call.deadline = Instant::now() + Duration::from_millis(500);
    gateway.send(call).await.unwrap();
}

#[tokio::test]
async fn an_hour_that_slides_gives_back_what_is_told_and_resets_by_the_providers_clock() {
    const SERVICE: Service = Service {
        limits: Some(Limits {
            max_requests: 1000,
            window_ms: 1000,
            quota: Some(Quota {
                requests: 5000,
                per: "hour",
            }),
        }),
        limit_headers: LimitHeaders {
            max: None,
            window_ms: None,
            quota: Some(QuotaHeaders {
                max: Some("ratelimit-limit"),
                remaining: "ratelimit-remaining",
                reset: Reset::AtEpochSecond("ratelimit-reset"),
                sliding: true,
            }),
        },
        ..TESTER
    };
    let store = database::migrated().await;
    // Its clock is a year behind ours.
    let provider = Provider::new(|number, _| {
        (
            [
                ("date", "Sat, 22 Nov 2025 10:00:00 GMT"),
                ("ratelimit-limit", "5000"),
                ("ratelimit-remaining", ["0", "3", "2", "0"][number.min(3)]),
                (
                    "ratelimit-reset",
                    ["1763805602", "1763805610"][number.min(1)],
                ),
            ],
            json("{}"),
        )
            .into_response()
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    let ask = async |patience: u64| {
        let mut call = provider.call(&SERVICE, read(), &token);
        call.deadline = Instant::now() + Duration::from_millis(patience);
        gateway.send(call).await
    };
    ask(500).await.unwrap();
    let error = ask(500).await.unwrap_err();
    assert!(
        error
            .message()
            .starts_with("this hour's requests to Tester are used up; there are more in 2 s"),
        "{error}"
    );
    assert_eq!(provider.count(), 1);
    // Waited out; then three are left, although the next reset is near.
    ask(3000).await.unwrap();
    let standing = medtainer_core::http::standings(store.pool()).await.unwrap();
    assert_eq!(standing[0].quota_limit, Some(5000));
    assert_eq!(standing[0].quota_remaining, Some(3));
    ask(500).await.unwrap();
    ask(500).await.unwrap();
    ask(500).await.unwrap_err();
    assert_eq!(provider.count(), 4);
}

#[tokio::test]
async fn a_429_is_waited_out_also_by_writes() {
    const SERVICE: Service = Service {
        limits: Some(Limits {
            max_requests: 100,
            window_ms: 400,
            quota: None,
        }),
        ..TESTER
    };
    let store = database::migrated().await;
    let provider = Provider::new(|number, _| match number {
        0 => status(429, r#"{"message":"Too Many Requests"}"#),
        _ => json("{}"),
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    gateway
        .send(provider.call(&SERVICE, write(), &token))
        .await
        .unwrap();
    let pause = {
        let asked = provider.asked.lock().unwrap();
        asked[1] - asked[0]
    };
    assert!(
        (Duration::from_millis(400)..Duration::from_millis(800)).contains(&pause),
        "{pause:?}"
    );
    gateway.flush().await.unwrap();
    assert_eq!(
        recorded(store.pool()).await,
        [
            "testing /contacts/ POST 429 1 rate_limited",
            "testing /contacts/ POST 200 2"
        ]
    );
    let limited: i64 = sqlx::query_scalar("select count(*) from api_calls where rate_limited")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(limited, 1);
}

#[tokio::test]
async fn retry_after_is_kept_where_the_provider_has_it() {
    let service = Service {
        retry_after: true,
        ..TESTER
    };
    let store = database::migrated().await;
    let provider =
        Provider::new(|_, _| ([("retry-after", "30")], status(429, "{}")).into_response()).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let error = gateway
        .send(provider.call(&service, read(), &token()))
        .await
        .unwrap_err();
    assert_eq!(provider.count(), 1);
    let wait = error.details_value().unwrap()["retry_after_ms"]
        .as_u64()
        .unwrap();
    assert!((29_000..=30_200).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn failures_open_the_breaker_and_one_process_probes() {
    static WELL: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let options = database::fresh().await;
    database::store(&options, "default")
        .prepare()
        .await
        .unwrap();
    let provider = Provider::slow(Duration::from_millis(150), |_, _| {
        if WELL.load(Ordering::Relaxed) {
            json("{}")
        } else {
            status(503, r#"{"message":"boom","traceId":"t-1"}"#)
        }
    })
    .await;
    let gateway = || Gateway::with(database::store(&options, "default").pool().clone(), QUICK);
    let token = token();

    let error = gateway()
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(error.message(), "Tester failed: boom (503, request t-1)");
    assert_eq!(provider.count(), 3);
    // Three failures, two more and it is open; the third try is not made any more.
    gateway()
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap_err();
    assert_eq!(provider.count(), 5);
    let error = gateway()
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap_err();
    assert!(
        error
            .message()
            .starts_with("Tester failed 5 times in a row (last: an error of its own)"),
        "{error}"
    );
    assert_eq!(provider.count(), 5);

    // Half open: of eight processes one may try, and it fails: open again, twice as long.
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(all_at_once(&provider, gateway).await, 0);
    assert_eq!(provider.count(), 6);
    let open: f64 = sqlx::query_scalar(
        "select extract(epoch from open_until - clock_timestamp())::float8 from provider_gates",
    )
    .fetch_one(database::store(&options, "default").pool())
    .await
    .unwrap();
    assert!((0.3..=0.8).contains(&open), "{open}");

    tokio::time::sleep(Duration::from_millis(850)).await;
    WELL.store(true, Ordering::Relaxed);
    assert_eq!(all_at_once(&provider, gateway).await, 1);
    assert_eq!(provider.count(), 7);
    assert_eq!(all_at_once(&provider, gateway).await, 8);
}

/// Eight processes ask at the same time; how many were answered.
async fn all_at_once(provider: &Provider, gateway: impl Fn() -> Gateway) -> usize {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (gateway, provider) = (gateway(), provider.clone());
        tasks.spawn(async move {
            let token = token();
            gateway
                .send(provider.call(&TESTER, read(), &token))
                .await
                .is_ok()
        });
    }
    tasks
        .join_all()
        .await
        .into_iter()
        .filter(|good| *good)
        .count()
}

#[tokio::test]
async fn without_limits_nothing_is_asked_of_the_gate() {
    let service = Service {
        limits: None,
        ..TESTER
    };
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| json("[]")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    for _ in 0..3 {
        gateway
            .send(provider.call(&service, read(), &token()))
            .await
            .unwrap();
    }
    let gates: i64 = sqlx::query_scalar("select count(*) from provider_gates")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(gates, 0);
    // Nobody flushes: the rows are written soon nevertheless.
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(recorded(store.pool()).await.len(), 3);
}
