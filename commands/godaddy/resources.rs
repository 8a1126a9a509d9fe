//! What of GoDaddy can be read by an address.

use medtainer_core::resource::{Resource, ZONE_FILE};

/// The domains, one of them, and its zone.
pub const RESOURCES: &[Resource] = &[
    Resource::answer("godaddy/domains", "Domains at GoDaddy", "godaddy domains"),
    Resource::answer(
        "godaddy/domains/{domain}",
        "A domain at GoDaddy",
        "godaddy domain",
    ),
    Resource::answer(
        "godaddy/zones/{domain}",
        "A zone file from GoDaddy",
        "godaddy dns",
    )
    .in_form(ZONE_FILE),
];
