//! What of Cloudflare can be read by an address.

use medtainer_core::resource::{Resource, ZONE_FILE};

/// The zones, and one of them.
pub const RESOURCES: &[Resource] = &[
    Resource::answer("cf/zones", "Zones at Cloudflare", "cf zones"),
    Resource::answer("cf/zones/{zone}", "A zone file from Cloudflare", "cf dns").in_form(ZONE_FILE),
];
