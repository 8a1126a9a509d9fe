//! As much of the world's DNS as sample zones lean on: mail providers, hosting, name servers. The names
//! are real; the addresses are of the ranges for documentation.

use super::file::{Format, read};
use super::zone::{Limits, Zone};

/// The zones every sandbox knows.
pub fn world() -> Vec<Zone> {
    let limits = Limits::default();
    ZONES
        .iter()
        .filter_map(|(name, text)| {
            let name = name.parse().ok()?;
            let lines: Vec<_> = text.lines().map(str::trim).collect();
            let file = read(&lines.join("\n"), Format::Bind, &name, &limits).ok()?;
            let records = file.records;
            Some(Zone::new(name, limits).with(records))
        })
        .collect()
}

/// Where nothing but the zone itself exists, every name below it is one that nobody holds.
const ZONES: &[(&str, &str)] = &[
    (
        "google.com",
        "$TTL 300
        _spf TXT \"v=spf1 include:_netblocks.google.com include:_netblocks2.google.com include:_netblocks3.google.com ~all\"
        _netblocks TXT \"v=spf1 ip4:192.0.2.0/27 ~all\"
        _netblocks2 TXT \"v=spf1 ip6:2001:db8:1::/48 ~all\"
        _netblocks3 TXT \"v=spf1 ip4:192.0.2.32/27 ~all\"
        aspmx.l A 192.0.2.33
        alt1.aspmx.l A 192.0.2.34
        alt2.aspmx.l A 192.0.2.35
        alt3.aspmx.l A 192.0.2.36
        alt4.aspmx.l A 192.0.2.37
        smtp A 192.0.2.38",
    ),
    ("googlehosted.com", "ghs 300 A 192.0.2.39"),
    (
        "outlook.com",
        "$TTL 300
        spf.protection TXT \"v=spf1 ip4:198.51.100.0/25 ip6:2001:db8:2::/48 -all\"
        *.mail.protection A 198.51.100.10
        autodiscover A 198.51.100.11",
    ),
    (
        "secureserver.net",
        "$TTL 300
        @ TXT \"v=spf1 include:spf-0.secureserver.net -all\"
        spf-0 TXT \"v=spf1 ip4:203.0.113.0/26 -all\"
        smtp A 203.0.113.1
        mailstore1 A 203.0.113.2
        email A 203.0.113.3",
    ),
    ("domaincontrol.com", "* 300 A 203.0.113.40"),
    ("cloudflare.com", "*.ns 300 A 203.0.113.41"),
    (
        "zoho.com",
        "$TTL 300
        @ TXT \"v=spf1 ip4:203.0.113.64/27 ~all\"
        mx A 203.0.113.65
        mx2 A 203.0.113.66
        mx3 A 203.0.113.67",
    ),
    (
        "protonmail.ch",
        "$TTL 300
        _spf TXT \"v=spf1 ip4:203.0.113.96/28 ~all\"
        mail A 203.0.113.97
        mailsec A 203.0.113.98",
    ),
    (
        "messagingengine.com",
        "$TTL 300
        spf TXT \"v=spf1 ip4:203.0.113.112/28 ?all\"
        in1-smtp A 203.0.113.113
        in2-smtp A 203.0.113.114",
    ),
    (
        "icloud.com",
        "$TTL 300
        @ TXT \"v=spf1 ip4:203.0.113.128/28 ~all\"
        mx01.mail A 203.0.113.129
        mx02.mail A 203.0.113.130",
    ),
    ("sendgrid.net", "@ 300 TXT \"v=spf1 ip4:203.0.113.144/28 ~all\""),
    (
        "mailgun.org",
        "$TTL 300
        @ TXT \"v=spf1 include:_spf.mailgun.org include:_spf.eu.mailgun.org ~all\"
        _spf TXT \"v=spf1 ip4:203.0.113.160/28 ~all\"
        _spf.eu TXT \"v=spf1 ip4:203.0.113.176/28 ~all\"",
    ),
    ("mcsv.net", "servers 300 TXT \"v=spf1 ip4:203.0.113.192/28 ?all\""),
    ("amazonses.com", "@ 300 TXT \"v=spf1 ip4:203.0.113.208/28 -all\""),
    (
        "hubspotemail.net",
        "$TTL 300
        *.spf01 TXT \"v=spf1 include:_spf.hubspotemail.net ~all\"
        _spf TXT \"v=spf1 ip4:203.0.113.224/28 ~all\"",
    ),
    ("github.io", "* 300 A 198.51.100.20"),
    ("netlify.app", "* 300 A 198.51.100.21"),
    ("myshopify.com", "shops 300 A 198.51.100.22"),
    ("azurewebsites.net", "@ 300 A 198.51.100.23"),
    ("herokudns.com", "@ 300 A 198.51.100.24"),
    ("letsencrypt.org", "@ 300 A 198.51.100.25"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{Answer, Names, RecordType};

    #[test]
    fn the_world_is_all_there() {
        let world = world();
        assert_eq!(world.len(), ZONES.len());
        let names = Names::default();
        names.publish("world", &world);
        let ask = |name: &str, kind| names.answer(&name.parse().unwrap(), &kind);
        assert_eq!(ask("_spf.google.com", RecordType::Txt).records().len(), 1);
        assert_eq!(
            ask("nobody-holds-this.azurewebsites.net", RecordType::A),
            Answer::NoName
        );
        assert_eq!(
            ask("ns07.domaincontrol.com", RecordType::A).records().len(),
            1
        );
        assert!(!ask("example.org", RecordType::A).is_known());
    }
}
