//! Two servers on one database, behind a proxy that takes turns.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::between::Between;
use super::logins::{TTL, Told, home, python};
use super::owner::Owner;
use crate::mcp::house::House;
use crate::registry::Npm;

#[tokio::test(flavor = "multi_thread")]
async fn a_login_holds_on_both() {
    let Some(npm) = Npm::installed() else { return };
    let between = Between::new().await;
    let public = between.origin.clone();
    let (home, passphrase) = home().await;
    let serve = "--sandbox mcp serve --listen 127.0.0.1:0 --public-url";
    let serve: Vec<_> = serve.split(' ').chain([public.as_str()]).collect();
    let one = House::start(home, &serve).await;
    let other = one.beside(&serve).await;
    let origins = [&one, &other].map(|house| house.url.replace("/mcp", ""));
    let turns = between.before(origins.into(), |_, _| ());

    let owner = Owner::new(&npm, &passphrase);
    let (url, program) = (format!("{public}/mcp"), owner.program());
    let words = [url.as_str(), program.to_str().unwrap()];
    let Some(command) = python("mcp==2.3.0", "login_python_v2.py", &words) else {
        return;
    };
    let mut client = Told::start(command);
    let (listed, asked) = client.ask("list").await;
    assert_eq!(asked, 1, "{listed}");
    let mut reads = 0;
    let mut read = async || {
        reads += 1;
        let (said, asked) = client.ask("read").await;
        assert_eq!((&said["status"], asked), (&json!("success"), 1), "{said}");
        reads
    };
    let refreshed = |house: &House| {
        house.served.log().lines().any(|line| {
            line.contains("grant_type=\"refresh_token\"")
                && line.contains(&format!("resource=\"{url}\""))
                && line.contains("given=true")
        })
    };
    for round in 0.. {
        read().await;
        read().await;
        if round >= 2 && refreshed(&one) && refreshed(&other) {
            break;
        }
        assert!(round < 8, "{}\n{}", one.served.log(), other.served.log());
        tokio::time::sleep(TTL + Duration::from_secs(1)).await;
        // A refresh and a call are two requests; now and then the other server gets the refresh.
        turns.count.fetch_add(round % 2, Ordering::Relaxed);
    }
    let reads = read().await;

    let trail = one.home.trail().await;
    let recorded = trail
        .iter()
        .filter(|(tool, ..)| tool == "gohighlevel.read_contacts");
    assert_eq!(recorded.count(), reads, "{trail:?}");
}
