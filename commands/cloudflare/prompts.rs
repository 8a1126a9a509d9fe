//! What Cloudflare adds to prompts of the house.

use medtainer_core::prompt::{Given, Step};

/// The zone that may be here instead.
pub const STEPS: &[(&str, Step)] = &[(
    "domain-check-up",
    Step::call(
        "cf audit",
        &[("zone", Given::Argument("domain"))],
        "what is wrong with its zone at Cloudflare, DNSSEC, the SSL mode and the proxy included; having no zone there is no fault",
    ),
)];
