//! `medtainer sandbox`: imitations of the providers, over real HTTP.

use clap::Args;
use medtainer_core::cli::{Host, write_stdout};
use medtainer_core::command::{Chore, Effect};
use medtainer_core::ecosystem::{SandboxOptions, Sandboxes};
use medtainer_core::output::Text;
use medtainer_core::sandbox::Trouble;
use medtainer_core::tree::Group;
use medtainer_core::values::{Range, Span};
use medtainer_core::{Error, Result};
use serde_json::{Map, Value};

/// The commands of this group.
pub fn group() -> Group {
    Group::new(
        "sandbox",
        "Imitations of the providers, to try things and to test",
    )
    .chore::<Serve>("serve")
}

/// Serve sample providers on loopback ports until told to end
///
/// Prints one line of JSON when it listens: the base URL of each ecosystem, and as `dns` the name
/// server that knows their zones. Point a command at them with `MEDTAINER_GHL_URL` and the like, and
/// `MEDTAINER_DNS`. Credentials: for GoHighLevel the token `pit-sandbox` and the location
/// `sandboxLocation01abc`, for GoDaddy the key `sandbox-key` and the secret `sandbox-secret`, for
/// DigitalOcean the token `dop_v1_sandbox`, for Cloudflare `cf-sandbox`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Only these ecosystems, such as `ghl`
    #[arg(value_name = "ECO")]
    ecosystems: Vec<String>,

    /// The port of the first one; free ports when it is not given
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..), add = Range { min: 1, max: 65_535 })]
    port: Option<u16>,

    /// Records in the largest collection, 0 to 1000000
    #[arg(long, value_name = "N", default_value_t = 1_206,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000), add = Range { min: 0, max: 1_000_000 })]
    records: u32,

    /// What the sample data is drawn from; the same number gives the same data
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Requests in a window, 1 to 1000000; the provider's own limit when it is not given
    #[arg(long, value_name = "N", conflicts_with = "no_limits",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000), add = Range { min: 1, max: 1_000_000 })]
    rate: Option<u32>,

    /// The length of a window; the provider's own when it is not given
    #[arg(long, value_name = "SPAN", conflicts_with = "no_limits")]
    window: Option<Span>,

    /// No rate limits, and no headers that speak of them
    #[arg(long)]
    no_limits: bool,

    /// Trouble, such as `ghl:429:0.2`, `ghl:slow=3` or `ghl:html` (can be repeated)
    #[arg(long, value_name = "ECO:KIND[:RATE]")]
    trouble: Vec<String>,
}

impl Chore for Serve {
    type Output = Text;
    const EFFECT: Effect = Effect::Read;
    const SERVES: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let mut wanted = Vec::new();
        for name in &self.ecosystems {
            wanted.push(host.app.ecosystem(name)?);
        }
        if wanted.is_empty() {
            wanted = host.app.product.ecosystems.to_vec();
        }
        let mut troubles = Vec::new();
        for text in &self.trouble {
            let (name, trouble) = text.split_once(':').ok_or_else(|| {
                Error::usage(format!("`{text}` names no ecosystem"))
                    .hint("Write it like `ghl:429:0.2`.")
            })?;
            let ecosystem = host.app.ecosystem(name)?;
            let trouble: Trouble = trouble.parse().map_err(|e| {
                Error::usage(format!("{e}"))
                    .hint("Kinds are, for example, `429`, `5xx`, `slow`, `drop`, `html`.")
            })?;
            troubles.push((ecosystem.service.name, trouble));
        }
        let serving = Sandboxes::start(
            &wanted,
            |ecosystem| SandboxOptions {
                records: self.records as usize,
                seed: self.seed,
                limits: !self.no_limits,
                rate: self.rate,
                window: self.window.map(Span::duration),
                troubles: troubles
                    .iter()
                    .filter(|(name, _)| *name == ecosystem.service.name)
                    .map(|(_, t)| t.clone())
                    .collect(),
                ..SandboxOptions::default()
            },
            self.port,
        )
        .await
        .map_err(|e| {
            Error::conflict("the sandbox cannot listen there")
                .hint("Leave out `--port` to take free ports.")
                .because(e)
        })?;
        let mut urls: Map<String, Value> = serving
            .urls()
            .map(|(name, url)| (name.to_owned(), url.into()))
            .collect();
        urls.insert("dns".to_owned(), serving.dns().to_string().into());
        write_stdout(&format!("{}\n", Value::Object(urls)))?;
        host.printer.say("Serving sample data; Ctrl-C ends it.");
        host.cancel.cancelled().await;
        serving
            .stop()
            .await
            .map_err(|e| Error::internal("the sandbox ended badly").because(e))?;
        Ok(Text::new(""))
    }
}
