//! Both forms of the key, and what accounts of some sizes may not ask.

use super::*;

#[tokio::test]
async fn a_key_with_its_secret_or_a_token_will_do() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let bare = desk
        .clone()
        .without("MEDTAINER_GODADDY_KEY")
        .without("MEDTAINER_GODADDY_SECRET");
    let error = error_of(&bare, "godaddy domains", 3).await;
    assert_eq!(
        error["hint"],
        "Run `medtainer auth login godaddy`, or set `MEDTAINER_GODADDY_TOKEN`, or `MEDTAINER_GODADDY_KEY` and `MEDTAINER_GODADDY_SECRET` in the environment."
    );
    let token = bare
        .clone()
        .with("MEDTAINER_GODADDY_TOKEN", "gd_pat_sandbox");
    for desk in [&desk, &token] {
        let listed = json_of(desk, "godaddy domains --fresh").await;
        assert_eq!(listed["metadata"]["count"], 13);
    }
    let half = bare.clone().with("MEDTAINER_GODADDY_KEY", "sandbox-key");
    let error = error_of(&half, "godaddy domains --fresh", 3).await;
    assert_eq!(
        error["message"],
        "no credentials for GoDaddy: `token`, or `secret` missing"
    );

    // Stored: a token in the place of the key, and nothing of the key left behind.
    let login = async |lines: &str| {
        let (desk, lines) = (bare.clone(), lines.to_owned());
        let script = format!("printf '{lines}' | $M auth login godaddy --stdin");
        tokio::task::spawn_blocking(move || desk.sh(&script))
            .await
            .unwrap()
    };
    login("sandbox-key\\nsandbox-secret\\n\\n").await.ends(0);
    json_of(&bare, "godaddy domains --fresh").await;
    login("\\n\\ngd_pat_wrong\\n").await.ends(3);
    login("sandbox-key\\n").await.ends(2);
    let said = login("\\n\\ngd_pat_sandbox\\n").await.ends(0);
    assert!(
        said.out
            .starts_with("Logged in to GoDaddy: the account's domains"),
        "{}",
        said.out
    );
    let status = json_of(&bare, "auth status").await;
    let mut origins = status["data"]["items"].as_array().unwrap().clone();
    origins.retain(|row| row["id"].as_str().unwrap().starts_with("godaddy."));
    let origins: Vec<_> = origins
        .iter()
        .map(|row| row["origin"].as_str().unwrap())
        .collect();
    assert_eq!(origins, ["not needed", "not needed", "store"]);
    json_of(&bare, "godaddy domains --fresh").await;
    let shown = run(&bare, "auth status").await.ends(0);
    assert!(!shown.out.contains("gd_pat_sandbox"));
}

#[tokio::test]
async fn a_small_account_is_told_what_it_is() {
    let sandbox = Sandbox::start(unlimited()).await;
    let small = sandbox.desk().with("MEDTAINER_GODADDY_KEY", "small-key");
    let error = error_of(&small, "godaddy domains", 3).await;
    assert_eq!(
        error["message"],
        "GoDaddy refused: this account or token may not ask that (Authenticated user is not allowed access) (403)"
    );
    assert!(
        error["hint"]
            .as_str()
            .unwrap()
            .starts_with("The key itself is right.")
    );
    let doctor = run(&small, "doctor").await;
    assert_ne!(doctor.code, 0);
    assert!(
        doctor
            .out
            .contains("this account or token may not ask that"),
        "{}",
        doctor.out
    );
    let wrong = sandbox.desk().with("MEDTAINER_GODADDY_SECRET", "wrong");
    let error = error_of(&wrong, "godaddy domains", 3).await;
    assert!(error["hint"].as_str().unwrap().contains("OTE"), "{error}");
    // A key that may not ask for one thing works for the others, and `doctor` says which.
    let modest = sandbox.desk().with("MEDTAINER_GODADDY_KEY", "modest-key");
    let doctor = run(&modest, "doctor").await;
    let line = doctor
        .out
        .lines()
        .find(|line| line.starts_with("godaddy login"))
        .unwrap();
    assert!(line.contains("  ok "), "{line}");
    assert!(doctor.out.contains("(RDAP)"), "{}", doctor.out);
}

#[tokio::test]
async fn registries_are_asked_where_godaddy_does_not_let_us() {
    let sandbox = Sandbox::start(unlimited()).await;
    let names = "godaddy available freeoak.com harborpine.com a.nosuchtld";
    let told = json_of(&sandbox.desk(), names).await;
    let rows = told["data"]["items"].as_array().unwrap();
    assert_eq!(rows[0]["price"], "12.99");
    assert_eq!(
        (&rows[0]["available"], &rows[0]["currency"]),
        (&json!(true), &json!("USD"))
    );
    assert_eq!(
        (&rows[1]["available"], &rows[1]["price"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(
        (&rows[2]["available"], &rows[2]["problem"]),
        (&Value::Null, &json!("TLD is not supported"))
    );
    assert_eq!(told["metadata"]["complete"], false);

    let modest = sandbox.desk().with("MEDTAINER_GODADDY_KEY", "modest-key");
    let told = json_of(&modest, names).await;
    let rows = told["data"]["items"].as_array().unwrap();
    let short: Vec<_> = rows
        .iter()
        .map(|row| (&row["available"], &row["definitive"], &row["asked"]))
        .collect();
    let (yes, no, null, rdap) = (json!(true), json!(false), Value::Null, json!("rdap"));
    assert_eq!(
        short,
        [
            (&yes, &no, &rdap),
            (&no, &yes, &rdap),
            (&null, &null, &rdap)
        ]
    );
    assert!(
        told["metadata"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("RDAP")
    );

    // From standard input, and bad names among them.
    let desk = sandbox.desk();
    let piped = async |script: &'static str| {
        let desk = desk.clone();
        tokio::task::spawn_blocking(move || desk.sh(script))
            .await
            .unwrap()
    };
    let said =
        piped("printf 'freea.com\\n\\nfreeb.com\\nfreea.com\\n' | $M godaddy available - --json")
            .await;
    assert_eq!(each(&said.ends(0).json(), "id"), ["freea.com", "freeb.com"]);
    piped("printf -- '--fresh\\n' | $M godaddy available - --json")
        .await
        .ends(2);
    piped("printf '' | $M godaddy available - --json")
        .await
        .ends(2);
    let idn = json_of(&desk, "godaddy available freebücher.de").await;
    assert_eq!(each(&idn, "id"), ["xn--freebcher-u9a.de"]);
    assert_eq!(each(&idn, "shown"), ["freebücher.de"]);
    for bad in ["com", "*.example.com", "-", "exa mple.com"] {
        error_of(&desk, &format!("godaddy available '{bad}'"), 2).await;
    }
}
