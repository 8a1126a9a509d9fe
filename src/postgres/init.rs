//! Making a cluster: whole, or not at all.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::account::{Account, Passwd};
use super::binaries::Binaries;
use super::server::{self, cannot_run};
use super::{settings, trouble};
use crate::{Error, Result};

/// How the unfinished clusters beside `pg` are called.
const UNFINISHED: &str = "pg.init-";

/// Make the cluster `data` below `home`: in a sibling, moved into place when it is on disk.
pub(super) async fn create(
    binaries: &Binaries,
    account: &Account,
    home: &Path,
    data: &Path,
    durable: bool,
) -> Result<()> {
    let fresh = home.join(format!("{UNFINISHED}{}", uuid::Uuid::new_v4().simple()));
    account
        .make_dir(&fresh)
        .map_err(|e| trouble::io("create", &fresh, e))?;
    let made = fill(binaries, account, &fresh, home, durable).await;
    let moved = made.and_then(|()| {
        std::fs::rename(&fresh, data).map_err(|e| trouble::io("move the new cluster to", data, e))
    });
    if moved.is_err() {
        std::fs::remove_dir_all(&fresh).ok();
    } else if durable {
        File::open(home)
            .and_then(|home| home.sync_all())
            .map_err(|e| trouble::io("write", home, e))?;
    }
    moved
}

/// Remove what killed predecessors left. The caller holds the lock, so whoever is still at work there is
/// an orphan.
pub(super) async fn sweep(home: &Path) {
    for entry in std::fs::read_dir(home).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            continue;
        }
        // Under another name it is out of the orphan's reach; its servers have it as their own directory.
        let away = home.join(format!("{UNFINISHED}{}", uuid::Uuid::new_v4().simple()));
        if std::fs::rename(entry.path(), &away).is_err() {
            continue;
        }
        for _ in 0..20 {
            for pid in server::at_work_in(&away).unwrap_or_default() {
                server::signal(pid, Signal::KILL).ok();
                server::gone(pid, &away, Duration::from_secs(1)).await;
            }
            if std::fs::remove_dir_all(&away).is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn fill(
    binaries: &Binaries,
    account: &Account,
    fresh: &Path,
    home: &Path,
    durable: bool,
) -> Result<()> {
    let mut tried = None;
    let mut done = false;
    for locale in settings::locales(binaries.major) {
        if tried.is_some() {
            // A refused locale leaves the directory as it was, or half filled.
            empty(fresh).map_err(|e| trouble::io("empty", fresh, e))?;
        }
        let mut initdb = command(binaries, account, "initdb");
        initdb
            .args(["-U", "medtainer", "-A", "peer", "--encoding=UTF8"])
            .args(["--no-sync", "--no-instructions", "-k"])
            .args(locale)
            .arg("-D")
            .arg(fresh);
        let out = run(initdb, account).await?;
        if out.status.success() {
            done = true;
            break;
        }
        let said = text(&out);
        let about_locale = said.to_lowercase().contains("locale") || said.contains("ICU");
        tried = Some(said);
        if !about_locale {
            break;
        }
    }
    if !done {
        let said = tried.unwrap_or_default();
        tracing::debug!(%said, "initdb failed");
        return Err(trouble::said(
            "cannot create the private Postgres",
            home,
            &said,
            None,
        ));
    }

    let conf = fresh.join("postgresql.conf");
    std::fs::read_to_string(&conf)
        .and_then(|text| account.write(&conf, &(text + settings::INCLUDE)))
        .map_err(|e| trouble::io("write", &conf, e))?;

    // In single-user mode, so that no half-made cluster ever has a socket.
    let mut single = command(binaries, account, "postgres");
    single
        .args(["--single", "-F", "-c", "exit_on_error=true", "-D"])
        .arg(fresh)
        .arg("template1")
        .stdin(statement("create database medtainer;\n")?);
    let out = run(single, account).await?;
    if !out.status.success() {
        return Err(trouble::said(
            "cannot create the database",
            home,
            &text(&out),
            None,
        ));
    }

    if durable {
        let mut sync = command(binaries, account, "initdb");
        sync.arg("--sync-only").arg("-D").arg(fresh);
        let out = run(sync, account).await?;
        if !out.status.success() {
            return Err(trouble::said(
                "cannot write the private Postgres to disk",
                home,
                &text(&out),
                None,
            ));
        }
    }
    Ok(())
}

/// Bring the files that medtainer owns up to date before a start.
pub(super) fn configure(
    binaries: &Binaries,
    account: &Account,
    data: &Path,
    socket_dir: &Path,
    durable: bool,
) -> Result<()> {
    let socket_dir = socket_dir
        .to_str()
        .ok_or_else(|| Error::internal("the socket's directory has a name that is not text"))?;
    let root = Passwd::of_uid(0).map_or_else(|| "root".into(), |root| root.name);
    let files = [
        (
            "medtainer.conf",
            settings::conf(binaries.major, socket_dir, durable),
        ),
        ("pg_hba.conf", settings::HBA.to_string()),
        ("pg_ident.conf", settings::ident(&[&account.name, &root])),
    ];
    for (name, text) in files {
        let path = data.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|now| now == text) {
            continue;
        }
        account
            .write(&path, &text)
            .map_err(|e| trouble::io("write", &path, e))?;
    }
    // A copy or a restore often opens the directory, and the server refuses it then.
    let mode = std::fs::metadata(data)
        .map_err(|e| trouble::io("look at", data, e))?
        .permissions()
        .mode();
    if mode & 0o027 != 0 || mode & 0o700 != 0o700 {
        std::fs::set_permissions(data, Permissions::from_mode(0o700))
            .map_err(|e| trouble::io("close", data, e))?;
    }
    Ok(())
}

fn command(binaries: &Binaries, account: &Account, name: &str) -> Command {
    let mut command = Command::new(binaries.program(name));
    account.prepare(&mut command);
    command
}

/// Run to the end, collecting what it says; killed when we are.
async fn run(command: Command, account: &Account) -> Result<Output> {
    let program = PathBuf::from(command.get_program());
    let mut command = tokio::process::Command::from(command);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = command
        .spawn()
        .map_err(|e| cannot_run(&program, account, e))?;
    child
        .wait_with_output()
        .await
        .map_err(|e| cannot_run(&program, account, e))
}

/// A statement as the standard input of a program.
fn statement(sql: &str) -> Result<Stdio> {
    let piped = || -> io::Result<Stdio> {
        let (reader, mut writer) = io::pipe()?;
        // Shorter than any pipe's buffer, so this cannot wait for the reader.
        io::Write::write_all(&mut writer, sql.as_bytes())?;
        Ok(reader.into())
    };
    piped().map_err(|e| Error::internal("cannot make a pipe").because(e))
}

fn text(out: &Output) -> String {
    let mut text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&out.stderr));
    text
}

fn empty(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
