//! Files that whoever calls names.

use std::path::Path;

use tokio::io::AsyncReadExt;

use super::Context;
use crate::error::{Error, Result};
use crate::store::audit::Caller;

/// The longest file that is read.
const LONGEST: u64 = 16 << 20;

impl Context {
    /// The text of a file; `-` is standard input.
    ///
    /// Only for who sits at this machine, or wrote the schedule: a model that could name any file would
    /// be told what is in it, if only by the complaints about it. `instead` is the argument it has.
    pub async fn read_file(&self, path: &Path, instead: &str) -> Result<String> {
        let shown = path.display();
        if self.caller() == Caller::Mcp {
            return Err(Error::usage("a tool reads no files of this machine")
                .hint(format!("Give the text itself as `{instead}`.")));
        }
        let unreadable = |error: std::io::Error| {
            Error::usage(format!("`{shown}` cannot be read: {error}"))
                .hint("Give the path of a text file, or `-` for standard input.")
        };
        let mut bytes = Vec::new();
        if path == Path::new("-") {
            // A command may be begun again, and what was piped in comes once.
            let read = || async {
                let mut piped = Vec::new();
                let mut stdin = tokio::io::stdin().take(LONGEST + 1);
                stdin.read_to_end(&mut piped).await.map(|_| piped)
            };
            let piped = self.input.get_or_try_init(read).await;
            bytes.clone_from(piped.map_err(unreadable)?);
        } else {
            let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
            let mut file = file.take(LONGEST + 1);
            file.read_to_end(&mut bytes).await.map_err(unreadable)?;
        }
        if bytes.len() as u64 > LONGEST {
            return Err(Error::usage(format!("`{shown}` is larger than 16 MiB"))
                .hint("Is it the right file?"));
        }
        String::from_utf8(bytes).map_err(|_| {
            Error::usage(format!("`{shown}` is not text in UTF-8"))
                .hint("Save it as UTF-8, or check that it is the right file.")
        })
    }
}
