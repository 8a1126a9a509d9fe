use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Effect;
use medtainer_core::context::Context;
use medtainer_core::dns::{self, Draft, Mode, Record, RecordType, Ttl};
use medtainer_core::values::Range;
use medtainer_core::writes::{Action, Plan};

use super::changes::Live;
use super::{names, zone};

/// Set the records of a name and a type
///
/// The values take the place of those the name has of that type; of TXT records only of those of their
/// own kind (`v=spf1`, `google-site-verification=`). Nothing else is touched. The zone as it was is kept
/// for `medtainer godaddy dns-rollback`.
#[derive(Debug, Args)]
pub struct DnsSet {
    /// The domain, such as `example.com`
    #[arg(add = names::CANDIDATES)]
    domain: String,

    /// The type: A, AAAA, CAA, CNAME, MX, NS, SRV or TXT
    #[arg(id = "type", value_name = "TYPE")]
    kind: String,

    /// The name: relative (`www`, `*.shop`), in full, or `@` for the domain itself
    name: String,

    /// The values, as a zone file has them: `192.0.2.1`, `"10 mail.example.com"`, `"v=spf1 -all"`
    #[arg(required = true, value_name = "VALUE")]
    values: Vec<String>,

    /// How long answers may be kept, in seconds, 600 to 86400; as the set has it, else 3600
    #[arg(long, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(600..=86_400), add = Range { min: 600, max: 86_400 })]
    ttl: Option<u32>,

    /// Keep the values that are there
    #[arg(long)]
    add: bool,

    /// Also where others answer for the domain, or more than 30 % of its records would go
    #[arg(long)]
    force: bool,
}

impl Action for DnsSet {
    const EFFECT: Effect = Effect::Write;

    async fn plan(&self, cx: &Context) -> Result<Plan> {
        let domain = names::parse(&self.domain)?;
        let mut wanted = Vec::new();
        for value in &self.values {
            let draft = Draft {
                ttl: self.ttl.map(Ttl::Seconds),
                ..Draft::new(self.kind.as_str(), self.name.as_str(), value.as_str())
            };
            wanted.push(draft.parse(&domain, &zone::LIMITS)?);
        }
        let live = Live::read(cx, &self.domain).await?;
        let set = changes_for(&live, wanted, self.add)?;
        let title = format!(
            "Set {} {} of {}",
            names::shown(&self.name.trim().to_lowercase()),
            self.kind.trim().to_uppercase(),
            live.name.unicode()
        );
        live.plan(title, &set, self.force)
    }
}

/// What makes these records the ones of their name and type.
pub fn changes_for(live: &Live, mut wanted: Vec<Record>, add: bool) -> Result<dns::ChangeSet> {
    for record in &mut wanted {
        // A value that is there keeps its TTL where none was given.
        let there = live.zone.set(&record.name, &record.kind);
        let mut same = there.filter(|there| there.says_the_same(record));
        if record.ttl.is_none() && same.next().is_none() {
            record.ttl = Some(live.ttl(record));
        }
    }
    let mode = if add { Mode::Add } else { Mode::Sets };
    let kinds: Vec<String> = wanted.iter().map(|record| family(&record.data)).collect();
    if let Some(first) = wanted.first().cloned()
        && first.kind == RecordType::Txt
        && !add
    {
        let others = live.zone.set(&first.name, &first.kind);
        wanted.extend(
            others
                .filter(|other| !kinds.contains(&family(&other.data)))
                .cloned(),
        );
    }
    dns::diff(&live.zone, &wanted, mode)
}

/// What kind of text it is: those of one kind replace each other, all others stand side by side.
fn family(text: &str) -> String {
    let text = text.trim().to_lowercase();
    if text.starts_with("v=") {
        let end = text.find([';', ' ']).unwrap_or(text.len());
        return text[..end].to_owned();
    }
    match text.split_once('=') {
        Some((key, _))
            if !key.is_empty()
                && key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) =>
        {
            format!("{key}=")
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_one_kind_replace_each_other() {
        assert_eq!(family("v=spf1 -all"), family("V=SPF1 include:x ~all"));
        assert_eq!(family("v=DMARC1; p=none"), family("v=DMARC1;p=reject"));
        assert_ne!(family("v=spf1 -all"), family("v=spf10 -all"));
        assert_eq!(
            family("google-site-verification=a"),
            family("google-site-verification=b")
        );
        assert_ne!(family("MS=ms1"), family("google-site-verification=b"));
        assert_ne!(family("some words = a"), family("some words = b"));
    }
}
