//! Who takes the mail of a domain, told by the host that takes it.

use medtainer_core::dns::DomainName;

/// Ends of the names of mail hosts, and whose they are.
const PROVIDERS: &[(&str, &str)] = &[
    ("aspmx.l.google.com", "Google Workspace"),
    ("googlemail.com", "Google Workspace"),
    ("google.com", "Google Workspace"),
    ("mail.protection.outlook.com", "Microsoft 365"),
    ("mx.microsoft", "Microsoft 365"),
    ("outlook.com", "Microsoft 365"),
    ("secureserver.net", "GoDaddy e-mail"),
    ("zoho.com", "Zoho Mail"),
    ("zoho.eu", "Zoho Mail"),
    ("zoho.in", "Zoho Mail"),
    ("messagingengine.com", "Fastmail"),
    ("protonmail.ch", "Proton Mail"),
    ("icloud.com", "iCloud Mail"),
    ("yandex.net", "Yandex 360"),
    ("yahoodns.net", "Yahoo Mail"),
    ("emailsrvr.com", "Rackspace Email"),
    ("registrar-servers.com", "Namecheap e-mail"),
    ("privateemail.com", "Namecheap Private Email"),
    ("ionos.com", "IONOS"),
    ("ionos.de", "IONOS"),
    ("kundenserver.de", "IONOS"),
    ("ovh.net", "OVHcloud"),
    ("gandi.net", "Gandi"),
    ("hostinger.com", "Hostinger"),
    ("titan.email", "Titan"),
    ("improvmx.com", "ImprovMX (forwarding)"),
    ("forwardemail.net", "Forward Email"),
    ("mailgun.org", "Mailgun"),
    ("sendgrid.net", "SendGrid"),
    ("amazonaws.com", "Amazon SES or WorkMail"),
    ("mx.cloudflare.net", "Cloudflare Email Routing"),
    ("mimecast.com", "Mimecast (filter)"),
    ("pphosted.com", "Proofpoint (filter)"),
    ("ppe-hosted.com", "Proofpoint (filter)"),
    ("barracudanetworks.com", "Barracuda (filter)"),
    ("messagelabs.com", "Symantec (filter)"),
    ("migadu.com", "Migadu"),
    ("tutanota.de", "Tuta"),
    ("purelymail.com", "Purelymail"),
];

/// Whose host it is; none where nobody is known by it.
pub fn provider(host: &str, domain: &DomainName) -> Option<&'static str> {
    let host = DomainName::lenient(host);
    if host.is_root() {
        return Some("none: takes no mail");
    }
    let found = PROVIDERS
        .iter()
        .find(|(end, _)| host.is_within(&DomainName::lenient(end)));
    match found {
        Some((_, name)) => Some(name),
        None => host.is_within(domain).then_some("own server"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_known_by_the_end_of_their_names() {
        let of = |host: &str| provider(host, &"example.com".parse().unwrap());
        assert_eq!(of("ALT1.ASPMX.L.GOOGLE.COM."), Some("Google Workspace"));
        assert_eq!(
            of("example-com.mail.protection.outlook.com"),
            Some("Microsoft 365")
        );
        assert_eq!(of("mail.example.com"), Some("own server"));
        assert_eq!(of("."), Some("none: takes no mail"));
        assert_eq!(of("notgoogle.com"), None);
    }
}
