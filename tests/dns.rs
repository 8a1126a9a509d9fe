//! The name server of the sandboxes, as any resolver sees it, and the rules held against what it says.

use std::time::Duration;

use medtainer_core::dns::rules::{self, Facts};
use medtainer_core::dns::{
    Answer, Format, Limits, Lookup, RecordType, Resolver, Session, Zone, read,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::front::{Home, Provider};

fn asking(server: &str) -> Session {
    Resolver::at(server.parse().unwrap())
        .unwrap()
        .session(Instant::now() + Duration::from_secs(20))
}

#[tokio::test]
async fn sandboxes_are_served_with_a_name_server() {
    let session = asking(&Provider::shared().dns);
    let ask = async |name: &str, kind| session.lookup(&name.parse().unwrap(), &kind).await;
    let spf = ask("_spf.google.com", RecordType::Txt).await;
    assert!(
        spf.data()
            .all(|text| text.starts_with("v=spf1 include:_netblocks"))
    );
    assert_eq!(spf.records().len(), 1);
    let gone = ask("nobody.azurewebsites.net", RecordType::A).await;
    assert_eq!(gone, Answer::NoName);
    // It knows what it knows: of everything else it says nothing.
    let unknown = ask("example.org", RecordType::A).await;
    assert!(!unknown.is_known(), "{unknown:?}");
}

const FILE: &str = "\
$ORIGIN example.com.
$TTL 3600
@     NS    ns01.domaincontrol.com.
      NS    ns02.domaincontrol.com.
      A     198.41.0.4
      MX    0 example-com.mail.protection.outlook.com.
      TXT   \"v=spf1 include:spf.protection.outlook.com include:_spf.google.com include:mailgun.org include:sendgrid.net include:secureserver.net include:amazonses.com -all\"
      CAA   0 issue \"letsencrypt.org\"
www   CNAME @
shop  CNAME acme-shop-2019.azurewebsites.net.
_dmarc TXT  \"v=DMARC1; p=none; rua=mailto:dmarc@example.com\"
";

#[tokio::test]
async fn a_zone_is_analysed_with_look_ups_over_the_wire() {
    let name = "example.com".parse().unwrap();
    let file = read(FILE, Format::Bind, &name, &Limits::default()).unwrap();
    assert!(file.warnings.is_empty());
    let zone = Zone::new(name, Limits::default()).with(file.records);
    let report = rules::audit(&zone, Facts::default(), &asking(&Provider::shared().dns)).await;
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|finding| finding.id.as_str())
        .collect();
    assert_eq!(
        found,
        [
            "cname-takeover/shop/acme-shop-2019.azurewebsites.net",
            "spf-too-many-lookups/@",
            "dkim-missing/@",
            "dmarc-policy-none/_dmarc",
        ]
    );
    assert_eq!(report.mail.provider.as_deref(), Some("Microsoft 365"));
    // Six of its own, three below Google's, two below Mailgun's, one below GoDaddy's.
    assert_eq!(report.mail.spf.lookups, Some(12));
    assert_eq!(report.mail.spf.void_lookups, Some(0));
    // Whether the zone is signed only the world could say, and the sandbox is not asked about it.
    let unchecked: Vec<_> = report
        .unchecked
        .iter()
        .map(|one| one.rule.as_str())
        .collect();
    assert_eq!(unchecked, ["dnssec-off"]);
    // The worst can be mended at once, and is gone then.
    let fix = report.findings[0].fix_of(&zone).unwrap();
    assert_eq!(fix.counts(), (0, 0, 1));
    let mended = fix.apply(&zone).unwrap();
    let after = rules::audit(&mended, Facts::default(), &asking(&Provider::shared().dns)).await;
    assert_eq!(after.findings[..], report.findings[1..]);
}

#[tokio::test]
async fn a_zone_without_a_name_server_to_ask_says_so() {
    let name = "example.com".parse().unwrap();
    let records = read(FILE, Format::Bind, &name, &Limits::default())
        .unwrap()
        .records;
    let zone = Zone::new(name, Limits::default()).with(records);
    // Nobody listens there.
    let session = asking("127.0.0.1:1");
    let begun = Instant::now();
    let report = rules::audit(&zone, Facts::default(), &session).await;
    // Nobody waits for each look-up in turn.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(report.mail.spf.lookups, None);
    let rules: Vec<_> = report
        .unchecked
        .iter()
        .map(|one| one.rule.as_str())
        .collect();
    for rule in [
        "cname-dangling",
        "mx-target-missing",
        "spf-too-many-lookups",
        "dnssec-off",
    ] {
        assert!(rules.contains(&rule), "{rules:?}");
    }
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|finding| finding.id.as_str())
        .collect();
    // What the zone says by itself is found all the same.
    assert_eq!(found, ["dkim-missing/@", "dmarc-policy-none/_dmarc"]);
}

#[test]
fn the_name_server_is_the_one_the_environment_names() {
    let provider = Provider::of("godaddy", "--no-limits");
    let desk = Home::shared()
        .bare()
        .with("MEDTAINER_GODADDY_URL", &provider.url)
        .with("MEDTAINER_GODADDY_KEY", "sandbox-key")
        .with("MEDTAINER_GODADDY_SECRET", "sandbox-secret")
        .with("MEDTAINER_BUSINESS", "dnsenv");
    let plan = |server: &str, options: &str| {
        let words = format!("godaddy plan harborpine.com --json {options}");
        desk.clone().with("MEDTAINER_DNS", server).run(&words)
    };
    let rules = |answer: &Value| -> Vec<String> {
        let rows = answer["data"]["items"].as_array().unwrap();
        rows.iter()
            .map(|row| row["rule"].as_str().unwrap().to_owned())
            .collect()
    };
    let asked = plan(&provider.dns, "").ends(0).json();
    assert_eq!(asked["metadata"]["complete"], true, "{asked}");
    assert_eq!(asked["data"]["mail"]["spf"]["lookups"], 13);
    assert!(rules(&asked).contains(&"cname-takeover".to_owned()));

    let deaf = plan("127.0.0.1:1", "").ends(0).json();
    assert_eq!(deaf["metadata"]["complete"], false, "{deaf}");
    assert_eq!(deaf["data"]["mail"]["spf"]["lookups"], Value::Null);
    assert!(!rules(&deaf).contains(&"cname-takeover".to_owned()));
    plan("127.0.0.1:1", "--strict").ends(10);

    let error = &plan("ns.example.com", "").ends(2).json()["error"];
    assert!(
        error["message"].as_str().unwrap().contains("MEDTAINER_DNS"),
        "{error}"
    );
}
