//! The zones of the domains that have one of their own, in the form of zone files: what the API
//! answers and what the world's resolvers see are made of the same lines.

/// A shop that grew: too many senders, a forgotten shop system, no DMARC.
const HARBORPINE_COM: &str = r#"
@ 600 A 198.18.2.20
@ 3600 AAAA 2001:2:0:20::20
www 3600 CNAME harborpine.com.
shop 3600 CNAME harborpine-shop.azurewebsites.net.
blog 3600 CNAME harborpine.github.io.
status 3600 CNAME stats.uptime.example.
*.preview 600 A 198.18.2.25
api 600 A 198.18.2.21
api 600 A 198.18.2.22
@ 3600 MX 1 aspmx.l.google.com.
@ 3600 MX 5 alt1.aspmx.l.google.com.
@ 3600 MX 5 alt2.aspmx.l.google.com.
@ 3600 TXT "v=spf1 mx a include:_spf.google.com include:servers.mcsv.net include:sendgrid.net include:mailgun.org include:mail.zendesk.com include:shops.shopify.com ~all"
@ 3600 TXT "google-site-verification=rXOxyZounnZasA8Z7oaD3c14JdjS9aKSWvsR1EbUSIQ"
google._domainkey 3600 TXT "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA2/z682YfdvU2EXlR4wLdqroe/j7qE9QZ0UwAq85Nbtu+7Vkdxb+8DVJSL1D6JEuXeSFH4SZffg42Yt936HcBH74RMVsxCYsZX9b3icgcZW1QRMpOLTeHyMYlU3DtCCVMNrht519p4UhkMX5trEO7Z3kQCilfAlK3yih1d69bJZgW8nOLjXLGwakDlSz5RKu7hIJFNKL5hh+Wu3MWZcQC5yg40z2ulWkqe85q0eXhYusvktaXeiq4nMIamP3S6FhueMBp6YKRWDGGc2Li8mF+U0C6ZuFA33mDRYffTcJcp1XeU3bYW/8X/hjVCQFELuF7GpJRAmDgDs8jNFzGo37hewIDAQAB"
_sip._tcp 3600 SRV 10 5 5060 sip.harborpine.com.
sip 3600 A 198.18.2.26
autodiscover 3600 CNAME autodiscover.outlook.com.
"#;

/// Holds on to the name: a forwarding address and nothing for mail.
const HARBORPINE_NET: &str = r#"
@ 600 A 198.18.2.30
"#;

/// Parked: the address is a word.
const HARBORANDPINE_COM: &str = r#"
@ 600 A Parked
www 3600 CNAME harborandpine.com.
"#;

/// Two SPF records, short TTLs, a mail host that does not exist.
const PINEJOINERY_COM: &str = r#"
@ 600 A 198.18.2.40
www 600 CNAME pinejoinery.com.
@ 600 MX 0 pinejoinery-com.mail.protection.outlook.com.
@ 600 MX 20 backup-mx.pinejoinery.com.
@ 600 TXT "v=spf1 include:spf.protection.outlook.com -all"
@ 600 TXT "v=spf1 ip4:198.18.2.40 ~all"
_dmarc 600 TXT "v=DMARC1; p=none"
selector1._domainkey 600 CNAME selector1-pinejoinery-com._domainkey.pinejoinery.onmicrosoft.com.
autodiscover 600 CNAME autodiscover.outlook.com.
"#;

/// All as it should be.
const WORKSHOP_CLASSES_COM: &str = r#"
@ 3600 A 198.18.2.50
@ 3600 AAAA 2001:2:0:50::50
www 3600 CNAME workshop-classes.com.
@ 3600 MX 10 in1-smtp.messagingengine.com.
@ 3600 MX 20 in2-smtp.messagingengine.com.
@ 3600 TXT "v=spf1 include:spf.messagingengine.com -all"
_dmarc 3600 TXT "v=DMARC1; p=reject; rua=mailto:dmarc@workshop-classes.com; adkim=s; aspf=s"
fm1._domainkey 3600 CNAME fm1.workshop-classes.com.dkim.fmhosted.com.
@ 3600 CAA 0 issue "letsencrypt.org"
@ 3600 CAA 0 iodef "mailto:security@workshop-classes.com"
tickets 3600 A 198.18.2.51
"#;

/// An internationalised name with internationalised names below it.
const TISCHLEREI_MUENCHEN_DE: &str = r#"
@ 3600 A 198.18.2.60
www 3600 CNAME xn--tischlerei-mnchen-e3b.de.
xn--mbel-5qa 3600 A 198.18.2.61
@ 3600 MX 10 mx00.ionos.de.
@ 3600 MX 10 mx01.ionos.de.
@ 3600 TXT "v=spf1 include:_spf.perfora.net ~all"
_dmarc 3600 TXT "v=DMARC1; p=quarantine; pct=50; rua=mailto:post@xn--tischlerei-mnchen-e3b.de"
"#;

/// Twelve records of one name server, enough for the brake.
const LAKEHOUSETABLES_COM: &str = r#"
@ 3600 A 198.18.2.70
www 3600 A 198.18.2.70
ftp 3600 A 198.18.2.70
mail 3600 A 198.18.2.71
staging 1800 A 198.18.2.72
cdn 3600 CNAME lakehousetables.netlify.app.
@ 3600 MX 10 mx.zoho.com.
@ 3600 MX 20 mx2.zoho.com.
@ 3600 TXT "v=spf1 include:zohomail.com +all"
@ 3600 TXT "zoho-verification=zb94231337.zmverify.zoho.com"
zmail._domainkey 3600 TXT "v=DKIM1; k=rsa; p="
_dmarc 3600 TXT "v=DMARC1; p=reject; rua=mailto:reports@dmarc.example"
"#;

/// Mail by an alias, and an old server's address twice.
const WALNUTANDOAK_COM: &str = r#"
@ 3600 A 198.18.2.80
www 3600 CNAME walnutandoak.com.
mail 3600 CNAME mail.hosting.example.
@ 3600 MX 10 mail.walnutandoak.com.
@ 3600 TXT "v=spf1 redirect=_spf.walnutandoak.com"
old 3600 CNAME walnutandoak-legacy.herokudns.com.
files 3600 CNAME bucket.storage.example.
"#;

/// The zone GoDaddy still has of a domain that Cloudflare answers for.
const HARBORPINE_SHOP: &str = r#"
@ 600 A 198.18.2.90
www 3600 CNAME harborpine.shop.
@ 3600 MX 10 smtp.secureserver.net.
@ 3600 MX 20 mailstore1.secureserver.net.
"#;

/// What a domain without a zone of its own has.
pub(super) const USUAL: &str = r#"
@ 600 A 198.18.2.99
www 3600 CNAME @
_domainconnect 3600 CNAME _domainconnect.gd.domaincontrol.com.
"#;

/// What the world says of the domain that is answered for elsewhere.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[(
    "harborpine.shop",
    "@ 3600 NS ada.ns.cloudflare.com.\n@ 3600 NS rob.ns.cloudflare.com.\n@ 300 A 198.18.2.190\n",
)];

/// Of others, what these zones lean on and the world of every sandbox does not hold.
pub(super) const OTHERS: &[(&str, &str)] = &[
    ("dmarc.example", "@ 3600 A 198.18.9.1"),
    (
        "fmhosted.com",
        "fm1.workshop-classes.com.dkim 300 TXT \"v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA2/z682YfdvU2EXlR4wLdqroe/j7qE9QZ0UwAq85Nbtu+7Vkdxb+8DVJSL1D6JEuXeSFH4SZffg42Yt936HcBH74RMVsxCYsZX9b3icgcZW1QRMpOLTeHyMYlU3DtCCVMNrht519p4UhkMX5trEO7Z3kQCilfAlK3yih1d69bJZgW8nOLjXLGwakDlSz5RKu7hIJFNKL5hh+Wu3MWZcQC5yg40z2ulWkqe85q0eXhYusvktaXeiq4nMIamP3S6FhueMBp6YKRWDGGc2Li8mF+U0C6ZuFA33mDRYffTcJcp1XeU3bYW/8X/hjVCQFELuF7GpJRAmDgDs8jNFzGo37hewIDAQAB\"",
    ),
    ("hosting.example", "mail 3600 A 198.18.9.2"),
    ("ionos.de", "mx00 3600 A 198.18.9.3\nmx01 3600 A 198.18.9.4"),
    (
        "onmicrosoft.com",
        "selector1-pinejoinery-com._domainkey.pinejoinery 300 TXT \"v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA2/z682YfdvU2EXlR4wLdqroe/j7qE9QZ0UwAq85Nbtu+7Vkdxb+8DVJSL1D6JEuXeSFH4SZffg42Yt936HcBH74RMVsxCYsZX9b3icgcZW1QRMpOLTeHyMYlU3DtCCVMNrht519p4UhkMX5trEO7Z3kQCilfAlK3yih1d69bJZgW8nOLjXLGwakDlSz5RKu7hIJFNKL5hh+Wu3MWZcQC5yg40z2ulWkqe85q0eXhYusvktaXeiq4nMIamP3S6FhueMBp6YKRWDGGc2Li8mF+U0C6ZuFA33mDRYffTcJcp1XeU3bYW/8X/hjVCQFELuF7GpJRAmDgDs8jNFzGo37hewIDAQAB\"",
    ),
    (
        "perfora.net",
        "_spf 300 TXT \"v=spf1 ip4:198.18.9.0/28 ~all\"",
    ),
    (
        "shopify.com",
        "shops 300 TXT \"v=spf1 ip4:198.18.9.16/28 ~all\"",
    ),
    ("storage.example", "@ 300 A 198.18.9.5"),
    ("uptime.example", "stats 300 A 198.18.9.6"),
    (
        "zendesk.com",
        "mail 300 TXT \"v=spf1 ip4:198.18.9.32/28 ~all\"",
    ),
    (
        "zohomail.com",
        "@ 300 TXT \"v=spf1 ip4:198.18.9.48/28 ~all\"",
    ),
];

/// The zones by domain.
pub(super) const ZONES: &[(&str, &str)] = &[
    ("harborandpine.com", HARBORANDPINE_COM),
    ("harborpine.com", HARBORPINE_COM),
    ("harborpine.net", HARBORPINE_NET),
    ("harborpine.shop", HARBORPINE_SHOP),
    ("lakehousetables.com", LAKEHOUSETABLES_COM),
    ("pinejoinery.com", PINEJOINERY_COM),
    ("walnutandoak.com", WALNUTANDOAK_COM),
    ("workshop-classes.com", WORKSHOP_CLASSES_COM),
    ("xn--tischlerei-mnchen-e3b.de", TISCHLEREI_MUENCHEN_DE),
];
