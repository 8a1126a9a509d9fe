//! Who stands behind names: mail providers, and services whose abandoned names others can take.

use crate::dns::name::DomainName;

/// A mail provider, as its own documentation describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Provider {
    pub name: &'static str,
    /// Its MX hosts are these names or below them.
    pub hosts: &'static [&'static str],
    /// What its customers include in their SPF; empty where that differs from customer to customer.
    pub spf: &'static str,
    /// The DKIM selectors it tells its customers to publish.
    pub selectors: &'static [&'static str],
}

/// The provider behind an MX host.
pub(super) fn of_host(host: &DomainName) -> Option<&'static Provider> {
    PROVIDERS
        .iter()
        .find(|provider| provider.hosts.iter().any(|known| is_within(host, known)))
}

fn is_within(name: &DomainName, known: &str) -> bool {
    name.as_str()
        .strip_suffix(known)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

const PROVIDERS: &[Provider] = &[
    Provider {
        name: "Google Workspace",
        hosts: &["google.com", "googlemail.com"],
        spf: "_spf.google.com",
        selectors: &["google"],
    },
    Provider {
        name: "Microsoft 365",
        hosts: &["mail.protection.outlook.com", "mx.microsoft"],
        spf: "spf.protection.outlook.com",
        selectors: &["selector1", "selector2"],
    },
    Provider {
        name: "GoDaddy",
        hosts: &["secureserver.net"],
        spf: "secureserver.net",
        selectors: &[],
    },
    Provider {
        name: "Zoho Mail",
        hosts: &["zoho.com", "zoho.eu", "zoho.in", "zoho.com.au"],
        spf: "",
        selectors: &["zmail", "zoho"],
    },
    Provider {
        name: "Proton Mail",
        hosts: &["protonmail.ch"],
        spf: "_spf.protonmail.ch",
        selectors: &["protonmail", "protonmail2", "protonmail3"],
    },
    Provider {
        name: "Fastmail",
        hosts: &["messagingengine.com"],
        spf: "spf.messagingengine.com",
        selectors: &["fm1", "fm2", "fm3"],
    },
    Provider {
        name: "iCloud Mail",
        hosts: &["mail.icloud.com"],
        spf: "icloud.com",
        selectors: &["sig1"],
    },
    Provider {
        name: "Titan",
        hosts: &["titan.email"],
        spf: "spf.titan.email",
        selectors: &["titan1"],
    },
    Provider {
        name: "Cloudflare Email Routing",
        hosts: &["mx.cloudflare.net"],
        spf: "_spf.mx.cloudflare.net",
        selectors: &["cf2024-1"],
    },
    Provider {
        name: "Namecheap Private Email",
        hosts: &["privateemail.com"],
        spf: "spf.privateemail.com",
        selectors: &["default"],
    },
    Provider {
        name: "Mailgun",
        hosts: &["mailgun.org"],
        spf: "mailgun.org",
        selectors: &[],
    },
    Provider {
        name: "Amazon SES",
        hosts: &["amazonaws.com"],
        spf: "amazonses.com",
        selectors: &[],
    },
    Provider {
        name: "Rackspace",
        hosts: &["emailsrvr.com"],
        spf: "emailsrvr.com",
        selectors: &[],
    },
    Provider {
        name: "Mimecast",
        hosts: &["mimecast.com"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "Proofpoint",
        hosts: &["pphosted.com", "ppe-hosted.com"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "IONOS",
        hosts: &["ionos.com", "ionos.de", "kundenserver.de"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "Yandex 360",
        hosts: &["yandex.net"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "Yahoo Mail",
        hosts: &["yahoodns.net"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "OVHcloud",
        hosts: &["ovh.net"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "Gandi",
        hosts: &["gandi.net"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "Hostinger",
        hosts: &["hostinger.com"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "ImprovMX",
        hosts: &["improvmx.com"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "Forward Email",
        hosts: &["forwardemail.net"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "SendGrid",
        hosts: &["sendgrid.net"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "Barracuda",
        hosts: &["barracudanetworks.com"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "Symantec",
        hosts: &["messagelabs.com"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "Migadu",
        hosts: &["migadu.com"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "Tuta",
        hosts: &["tutanota.de"],
        spf: "",
        selectors: &[],
    },
    Provider {
        name: "Purelymail",
        hosts: &["purelymail.com"],
        spf: "",
        selectors: &[],
    },
];

/// The service a name belongs to whose unclaimed names anybody can claim.
pub(super) fn claimable(target: &DomainName) -> Option<&'static str> {
    // Of Amazon's many names only those of buckets: `files.s3.eu-west-1.amazonaws.com` and its like.
    let is_bucket = || target.labels().any(|label| label.starts_with("s3"));
    CLAIMABLE
        .iter()
        .find(|(suffix, _)| is_within(target, suffix) && target.as_str() != *suffix)
        .filter(|(suffix, _)| *suffix != "amazonaws.com" || is_bucket())
        .map(|(_, service)| *service)
}

const CLAIMABLE: &[(&str, &str)] = &[
    ("amazonaws.com", "Amazon S3"),
    ("elasticbeanstalk.com", "AWS Elastic Beanstalk"),
    ("github.io", "GitHub Pages"),
    ("gitlab.io", "GitLab Pages"),
    ("herokuapp.com", "Heroku"),
    ("herokudns.com", "Heroku"),
    ("herokussl.com", "Heroku"),
    ("azurewebsites.net", "Azure App Service"),
    ("azureedge.net", "Azure CDN"),
    ("azurefd.net", "Azure Front Door"),
    ("cloudapp.net", "Azure"),
    ("cloudapp.azure.com", "Azure"),
    ("trafficmanager.net", "Azure Traffic Manager"),
    ("blob.core.windows.net", "Azure Storage"),
    ("web.core.windows.net", "Azure Storage"),
    ("netlify.app", "Netlify"),
    ("netlify.com", "Netlify"),
    ("vercel.app", "Vercel"),
    ("pages.dev", "Cloudflare Pages"),
    ("web.app", "Firebase Hosting"),
    ("firebaseapp.com", "Firebase Hosting"),
    ("fly.dev", "Fly.io"),
    ("onrender.com", "Render"),
    ("surge.sh", "Surge"),
    ("bitbucket.io", "Bitbucket Pages"),
    ("myshopify.com", "Shopify"),
    ("wpengine.com", "WP Engine"),
    ("pantheonsite.io", "Pantheon"),
    ("readthedocs.io", "Read the Docs"),
    ("ghost.io", "Ghost"),
    ("helpscoutdocs.com", "Help Scout"),
    ("zendesk.com", "Zendesk"),
    ("statuspage.io", "Statuspage"),
    ("unbouncepages.com", "Unbounce"),
    ("ngrok.io", "ngrok"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_known_by_their_hosts_and_nothing_like_them() {
        let who = |host: &str| of_host(&host.parse().unwrap()).map(|provider| provider.name);
        assert_eq!(who("ASPMX.L.google.com."), Some("Google Workspace"));
        assert_eq!(who("smtp.google.com"), Some("Google Workspace"));
        assert_eq!(
            who("example-com.mail.protection.outlook.com"),
            Some("Microsoft 365")
        );
        assert_eq!(who("mailstore1.secureserver.net"), Some("GoDaddy"));
        assert_eq!(who("mx.notgoogle.com"), None);
        let service = |name: &str| claimable(&name.parse().unwrap());
        assert_eq!(service("shop.azurewebsites.net"), Some("Azure App Service"));
        assert_eq!(
            service("files.s3.eu-west-1.amazonaws.com"),
            Some("Amazon S3")
        );
        assert_eq!(
            service("files.s3-website-us-east-1.amazonaws.com"),
            Some("Amazon S3")
        );
        assert_eq!(service("ec2-1-2-3-4.compute-1.amazonaws.com"), None);
        assert_eq!(service("github.io"), None);
    }
}
