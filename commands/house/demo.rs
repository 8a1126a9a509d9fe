//! `medtainer demo`: the product in a minute, without an account.

use clap::Args;
use medtainer_core::Result;
use medtainer_core::cli::{Host, write_stdout};
use medtainer_core::command::{Chore, Effect};
use medtainer_core::output::Text;

/// Show what medtainer does, with sample data: no account, no configuration
///
/// Starts the private Postgres, fetches sample contacts and deals as a real sync would, and answers a
/// few questions about them, about domains and about servers. Sample data lives in a schema of its own and never mixes with real data.
#[derive(Debug, Args)]
pub struct Demo;

/// What is shown: a sentence and the command it is about.
const TOUR: &[(&str, &[&str])] = &[
    (
        "Fetch everything from the (sample) CRM; it may be run as often as you like",
        &["ghl", "sync"],
    ),
    (
        "The contacts that changed last",
        &["ghl", "contacts", "--limit", "5"],
    ),
    (
        "Find people as you call them: nicknames, typos, sounds",
        &["ghl", "search", "bob", "--limit", "5"],
    ),
    (
        "Deals, stage by stage, and what is stuck",
        &["ghl", "pipeline"],
    ),
    (
        "What the contacts and deals tell, with evidence",
        &["ghl", "insights"],
    ),
    (
        "What to do next, and the command for it",
        &["ghl", "recommend", "--limit", "5"],
    ),
    (
        "The domains, what expires first comes first",
        &["godaddy", "domains"],
    ),
    (
        "What is wrong with the DNS of one, and what would mend it",
        &["godaddy", "plan", "harborpine.com"],
    ),
    (
        "The servers and what they cost",
        &["do", "droplets", "--status", "active"],
    ),
    (
        "What a change would send, before anything is sent",
        &["do", "reboot", "web-1", "--dry-run"],
    ),
    ("How fresh it all is", &["ghl", "sync-stats"]),
    ("Who did what", &["audit", "list", "--limit", "5"]),
];

const NEXT: &str = "\
What next, still with sample data:
  medtainer --sandbox ghl contacts --tag vip
  medtainer --sandbox ghl analyze 'cathy clark'
  medtainer --sandbox cf audit
  medtainer --sandbox do delete web-2 --dry-run
With your own accounts:
  medtainer auth login ghl
  medtainer ghl contacts
For Claude and other AI clients:
  medtainer --sandbox mcp serve
";

impl Chore for Demo {
    type Output = Text;
    const EFFECT: Effect = Effect::Local;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        host.app
            .ensure_database(&|text| host.printer.say(text))
            .await?;
        for (sentence, words) in TOUR {
            host.printer.say(&format!("\n# {sentence}"));
            write_stdout(&format!("$ medtainer --sandbox {}\n", words.join(" ")))?;
            let (answer, view) = host.run_words(words, true).await?;
            host.printer.answer(&answer, view)?;
            answer.outcome?;
        }
        Ok(Text::new(format!("\n{NEXT}")))
    }
}
