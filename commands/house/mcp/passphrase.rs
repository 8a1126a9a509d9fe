//! `medtainer mcp passphrase`.

use clap::Args;
use medtainer_core::cli::Host;
use medtainer_core::command::Chore;
use medtainer_core::mcp::oauth::passphrase;
use medtainer_core::output::Text;
use medtainer_core::ui::prompt;
use medtainer_core::{Error, Result};
use sqlx::Connection;

use super::keys::keys_connection;

/// Set the passphrase by which you allow clients to connect
///
/// Claude and other clients open a page of the server in your browser, which says who asks for what and
/// wants this passphrase: each time, or twice a day where the server is reached over https. It is kept as a
/// hash that cannot be read back; setting it anew logs all browsers out, and lets clients that were allowed
/// before go on. A server can have another one in its environment: `MEDTAINER_MCP_PASSPHRASE`.
#[derive(Debug, Args)]
pub struct Passphrase {
    /// Read it from standard input, a line
    #[arg(long)]
    stdin: bool,
}

impl Chore for Passphrase {
    type Output = Text;
    const AUDITED: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        if !self.stdin && !host.is_interactive() {
            return Err(Error::usage("there is nobody to ask for the passphrase").hint(
                "Run it in a terminal, or pipe the passphrase in with `medtainer mcp passphrase --stdin`.",
            ));
        }
        let words = if self.stdin {
            line()?
        } else {
            ask(host).await?
        };
        let mut conn = keys_connection(host).await?;
        let mut tx = conn.begin().await?;
        passphrase::set(&mut tx, &words).await?;
        tx.commit().await?;
        if host.app.env.get(passphrase::VARIABLE).is_some() {
            host.printer.warn(&format!(
                "`{}` is set in this environment: a server that has it takes that one instead",
                passphrase::VARIABLE
            ));
        }
        Ok(Text::new("The passphrase is set."))
    }
}

fn line() -> Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .read_line(&mut text)
        .map_err(|e| Error::usage("standard input cannot be read").because(e))?;
    Ok(text)
}

async fn ask(host: &Host) -> Result<String> {
    prompt::ask(&host.cancel, || {
        dialoguer::Password::new()
            .with_prompt("Passphrase")
            .with_confirmation("Once more", "The two are not the same.")
            .interact()
    })
    .await
}
