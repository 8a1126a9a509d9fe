//! Credentials: where they come from, and that nobody else opens them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use medtainer_core::auth::{self, KeyRing, SecretString, Source, Vault};
use medtainer_core::http::{Auth, ErrorBody, Field, Form, LimitHeaders, Service};
use medtainer_core::store::Business;
use medtainer_core::{Error, Kind};
use secrecy::ExposeSecret;
use sqlx::{ConnectOptions, PgPool};

use crate::database;

const SERVICE: Service = Service {
    name: "tester",
    catalog_name: "testing",
    title: "Tester",
    base_url: "http://127.0.0.1:1",
    url_variable: "MEDTAINER_TESTER_URL",
    auth: Auth::BEARER,
    limits: None,
    limit_headers: LimitHeaders {
        max: None,
        window_ms: None,
        quota: None,
    },
    retry_after: false,
    request_id_header: None,
    versions: &[],
    transient: &[],
    read_error: |_, _| ErrorBody::default(),
    credentials: &[
        Field {
            name: "token",
            variable: "MEDTAINER_TESTER_TOKEN",
            title: "Private token",
            secret: true,
            required: true,
        },
        Field {
            name: "location",
            variable: "MEDTAINER_TESTER_LOCATION",
            title: "Location id",
            secret: false,
            required: true,
        },
    ],
};

const KEY: &str = "0b5e1c7d0b5e1c7d0b5e1c7d0b5e1c7d0b5e1c7d0b5e1c7d0b5e1c7d0b5e1c7d";

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn vault(pool: &PgPool, dir: &Path, key: Option<&str>) -> Vault {
    Vault::new(
        pool.clone(),
        &Business::default(),
        KeyRing::new(key.map(secret), dir),
    )
}

async fn store(vault: &Vault) -> Result<(), Error> {
    vault
        .store(
            "tester",
            "default",
            &[
                ("token", &secret(" pit-hush\n")),
                ("location", &secret("loc1")),
            ],
        )
        .await
}

async fn load(vault: &Vault) -> Result<Vec<(String, String)>, Error> {
    let values = vault.load("tester", "default").await?;
    Ok(values
        .into_iter()
        .map(|(field, value)| (field, value.expose_secret().to_owned()))
        .collect())
}

fn both() -> Vec<(String, String)> {
    vec![
        ("location".into(), "loc1".into()),
        ("token".into(), "pit-hush".into()),
    ]
}

fn nothing(_: &str) -> Option<String> {
    None
}

#[tokio::test]
async fn what_was_stored_comes_back_and_is_nowhere_to_be_read() {
    let db = database::migrated().await;
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config/medtainer");
    let vault = vault(db.pool(), &config, None);
    assert_eq!(load(&vault).await.unwrap(), []);
    assert!(!config.exists(), "looking makes no key");

    store(&vault).await.unwrap();
    assert_eq!(load(&vault).await.unwrap(), both());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&config), 0o700);
    assert_eq!(mode(&config.join("key")), 0o600);
    assert_eq!(
        std::fs::read_dir(&config).unwrap().count(),
        1,
        "no drafts left"
    );

    let dump: String = sqlx::query_scalar(
        "select string_agg(concat(c::text, convert_from(decode(replace(encode(ciphertext, 'hex'), '00', ''), 'hex'), 'latin1')), ' ') from credentials c",
    )
    .fetch_one(db.pool())
    .await
    .unwrap();
    let key = std::fs::read_to_string(config.join("key")).unwrap();
    let shown = format!(
        "{vault:?} {:?}",
        vault.load("tester", "default").await.unwrap()
    );
    for hidden in ["hush", key.trim()] {
        assert!(!dump.contains(hidden) && !shown.contains(hidden));
    }

    // Storing again replaces; the same value never looks the same.
    let nonces = "select count(distinct nonce) from credentials";
    store(&vault).await.unwrap();
    assert_eq!(load(&vault).await.unwrap(), both());
    let distinct: i64 = sqlx::query_scalar(nonces)
        .fetch_one(db.pool())
        .await
        .unwrap();
    assert_eq!(distinct, 2);
    assert_eq!(
        vault.accounts().await.unwrap(),
        [("tester".to_owned(), "default".to_owned())]
    );
    assert_eq!(vault.forget("tester", "default").await.unwrap(), 2);
    assert_eq!(load(&vault).await.unwrap(), []);
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_a_clear_refusal() {
    let db = database::migrated().await;
    let home = tempfile::tempdir().unwrap();
    store(&vault(db.pool(), home.path(), Some(KEY)))
        .await
        .unwrap();
    assert!(!home.path().join("key").exists());
    assert_eq!(
        load(&vault(db.pool(), home.path(), Some(KEY)))
            .await
            .unwrap(),
        both()
    );

    let missing = load(&vault(db.pool(), home.path(), None))
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), Kind::Auth);
    assert!(
        missing
            .message()
            .starts_with("the key of stored credentials (`")
            && missing.message().ends_with("`) is missing"),
        "{missing}"
    );
    let wrong = load(&vault(db.pool(), home.path(), Some(&KEY.replace('b', "c"))))
        .await
        .unwrap_err();
    assert_eq!(wrong.kind(), Kind::Auth);
    assert!(
        wrong
            .message()
            .starts_with("stored credentials were encrypted with another key (`"),
        "{wrong}"
    );
    let none = load(&vault(db.pool(), home.path(), Some("hunter2")))
        .await
        .unwrap_err();
    assert_eq!(
        (none.kind(), none.message()),
        (
            Kind::Auth,
            "`MEDTAINER_KEY` is not a key: it takes 32 bytes as hex or base64"
        )
    );

    // The file is still tried when the environment has another key.
    std::fs::write(home.path().join("key"), KEY).unwrap();
    let file = home.path().join("key");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(
        load(&vault(db.pool(), home.path(), Some(&KEY.replace('b', "c"))))
            .await
            .unwrap(),
        both()
    );
}

#[tokio::test]
async fn a_key_file_that_others_may_read_is_refused() {
    let db = database::migrated().await;
    let home = tempfile::tempdir().unwrap();
    let vault = vault(db.pool(), home.path(), None);
    store(&vault).await.unwrap();
    let file = home.path().join("key");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    let shown = file.display();
    for error in [
        load(&vault).await.unwrap_err(),
        store(&vault).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Auth);
        assert_eq!(
            error.message(),
            format!("others may read the key file `{shown}` (mode 640)")
        );
        assert_eq!(
            error.hint_text(),
            Some(&*format!("Run `chmod 600 {shown}`."))
        );
    }
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(load(&vault).await.unwrap(), both());
    std::fs::write(&file, "half a ke").unwrap();
    let error = load(&vault).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message().to_owned()),
        (Kind::Auth, format!("the key file `{shown}` holds no key"))
    );
}

#[tokio::test]
async fn a_row_moved_elsewhere_does_not_open() {
    let db = database::migrated().await;
    let home = tempfile::tempdir().unwrap();
    let mine = vault(db.pool(), home.path(), None);
    store(&mine).await.unwrap();
    let other = Vault::new(
        db.pool().clone(),
        &"other".parse().unwrap(),
        KeyRing::new(None, home.path()),
    );
    for (vault, change) in [
        (&other, "select 1"),
        (
            &mine,
            "update credentials set account = 'b' where account = 'default'",
        ),
        (&mine, "update credentials set service = 'other'"),
        (
            &mine,
            "update credentials set field = 'x' where field = 'token'",
        ),
        (
            &mine,
            "update credentials set ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1)",
        ),
        (&mine, "update credentials set nonce = '\\x00'"),
    ] {
        vault.forget("tester", "default").await.unwrap();
        store(&mine).await.unwrap();
        sqlx::query(change).execute(db.pool()).await.unwrap();
        let (service, account): (String, String) =
            sqlx::query_as("select service, account from credentials limit 1")
                .fetch_one(db.pool())
                .await
                .unwrap();
        let error = vault.load(&service, &account).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Auth, "{change}");
        assert!(error.message().contains("does not open"), "{error}");
        sqlx::query("delete from credentials")
            .execute(db.pool())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_environment_wins_and_says_so() {
    let db = database::migrated().await;
    let home = tempfile::tempdir().unwrap();
    let vault = vault(db.pool(), home.path(), None);
    let error = auth::find(&SERVICE, "default", &nothing, Some(&vault))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.message(), error.hint_text()),
        (
            Kind::Auth,
            "no credentials for Tester: `token` and `location` missing",
            Some(
                "Run `medtainer auth login tester`, or set `MEDTAINER_TESTER_TOKEN` and `MEDTAINER_TESTER_LOCATION` in the environment."
            )
        )
    );

    store(&vault).await.unwrap();
    let some = |name: &str| (name == "MEDTAINER_TESTER_TOKEN").then(|| " pit-env\n".to_owned());
    let found = auth::find(&SERVICE, "default", &some, Some(&vault))
        .await
        .unwrap();
    assert_eq!(found.get("token").unwrap().expose_secret(), "pit-env");
    assert_eq!(found.get("location").unwrap().expose_secret(), "loc1");
    assert_eq!(format!("{found:?}"), r#"{"token", "location"}"#);
    let sources = |all: Vec<auth::FieldStatus>| -> Vec<Source> {
        all.into_iter().map(|field| field.source).collect()
    };
    let status = auth::status(&SERVICE, "default", &some, Some(&vault))
        .await
        .unwrap();
    assert!(status[1].stored_at.is_some() && status[1].problem.is_none());
    assert!(!serde_json::to_string(&status).unwrap().contains("pit-"));
    assert_eq!(sources(status), [Source::Environment, Source::Stored]);

    // All of it in the environment: a vault that does not open is no obstacle.
    std::fs::remove_file(home.path().join("key")).unwrap();
    let all = |name: &str| Some(format!("env {name}"));
    let found = auth::find(&SERVICE, "default", &all, Some(&vault))
        .await
        .unwrap();
    assert_eq!(
        found.get("location").unwrap().expose_secret(),
        "env MEDTAINER_TESTER_LOCATION"
    );
    let status = auth::status(&SERVICE, "default", &nothing, Some(&vault))
        .await
        .unwrap();
    assert!(status[0].problem.as_deref().unwrap().contains("is missing"));
    assert_eq!(sources(status), [Source::Stored, Source::Stored]);
    let status = auth::status(&SERVICE, "elsewhere", &nothing, Some(&vault))
        .await
        .unwrap();
    assert_eq!(sources(status), [Source::Missing, Source::Missing]);
}

const EITHER: Service = Service {
    auth: Auth {
        header: "authorization",
        forms: &[
            Form::TOKEN,
            Form {
                title: "a key and its secret",
                prefix: "sso-key ",
                fields: &["key", "secret"],
            },
        ],
    },
    credentials: &[
        optional("key", "MEDTAINER_TESTER_KEY"),
        optional("secret", "MEDTAINER_TESTER_SECRET"),
        optional("token", "MEDTAINER_TESTER_TOKEN"),
    ],
    ..SERVICE
};

const fn optional(name: &'static str, variable: &'static str) -> Field {
    Field {
        name,
        variable,
        title: name,
        secret: true,
        required: false,
    }
}

#[tokio::test]
async fn either_form_of_a_credential_is_enough() {
    let db = database::migrated().await;
    let home = tempfile::tempdir().unwrap();
    let vault = vault(db.pool(), home.path(), None);
    let find = async |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let environment = move |name: &str| {
            let short = name.strip_prefix("MEDTAINER_TESTER_")?.to_lowercase();
            names.contains(&short).then(|| format!("env-{short}"))
        };
        let sources = auth::status(&EITHER, "default", &environment, Some(&vault))
            .await
            .unwrap();
        let found = auth::find(&EITHER, "default", &environment, Some(&vault)).await;
        let sources: Vec<_> = sources.into_iter().map(|field| field.source).collect();
        (found.map(|found| format!("{found:?}")), sources)
    };
    use Source::{Environment, Missing, Stored, Unneeded};
    let (error, sources) = find(&[]).await;
    assert_eq!(
        error.unwrap_err().hint_text(),
        Some(
            "Run `medtainer auth login tester`, or set `MEDTAINER_TESTER_TOKEN`, or `MEDTAINER_TESTER_KEY` and `MEDTAINER_TESTER_SECRET` in the environment."
        )
    );
    assert_eq!(sources, [Missing, Missing, Missing]);
    let (error, sources) = find(&["key"]).await;
    assert_eq!(
        error.unwrap_err().message(),
        "no credentials for Tester: `token`, or `secret` missing"
    );
    assert_eq!(sources, [Environment, Missing, Missing]);
    let (found, sources) = find(&["key", "secret"]).await;
    assert_eq!(found.unwrap(), r#"{"key", "secret"}"#);
    assert_eq!(sources, [Environment, Environment, Unneeded]);
    let (found, sources) = find(&["token"]).await;
    assert_eq!(found.unwrap(), r#"{"token"}"#);
    assert_eq!(sources, [Unneeded, Unneeded, Environment]);

    // Logging in anew leaves nothing of the other form behind, which would win over it.
    let token = secret("stored");
    vault
        .store("tester", "default", &[("token", &token)])
        .await
        .unwrap();
    let pair = [("key", &token), ("secret", &token)];
    vault.store("tester", "default", &pair).await.unwrap();
    let (found, sources) = find(&[]).await;
    assert_eq!(found.unwrap(), r#"{"key", "secret"}"#);
    assert_eq!(sources, [Stored, Stored, Unneeded]);
}

#[tokio::test]
async fn ten_processes_at_once_make_one_key() {
    let options = database::fresh().await;
    let db = database::store(&options, "default");
    db.prepare().await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..10)
        .map(|number| {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "vault::one_of_ten", "--ignored"])
                .env("VAULT_TEST_DATABASE", options.to_url_lossy().as_str())
                .env("VAULT_TEST_DIR", home.path().join("new/config"))
                .env("VAULT_TEST_ACCOUNT", format!("account-{number}"))
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let (rows, keys): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct key_id) from credentials")
            .fetch_one(db.pool())
            .await
            .unwrap();
    assert_eq!((rows, keys), (10, 1));
    let vault = vault(db.pool(), &home.path().join("new/config"), None);
    for number in 0..10 {
        let values = vault
            .load("tester", &format!("account-{number}"))
            .await
            .unwrap();
        assert_eq!(values[0].1.expose_secret(), "hush");
    }
}

#[tokio::test]
#[ignore = "a process of ten_processes_at_once_make_one_key"]
async fn one_of_ten() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let pool = PgPool::connect(&variable("VAULT_TEST_DATABASE"))
        .await
        .unwrap();
    vault(&pool, Path::new(&variable("VAULT_TEST_DIR")), None)
        .store(
            "tester",
            &variable("VAULT_TEST_ACCOUNT"),
            &[("token", &secret("hush"))],
        )
        .await
        .unwrap();
}
