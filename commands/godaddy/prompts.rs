//! What GoDaddy adds to prompts of the house.

use medtainer_core::prompt::{Given, Step};

/// Renewals, the domain itself, and its records.
pub const STEPS: &[(&str, Step)] = &[
    (
        "morning-brief",
        Step::call(
            "godaddy domains",
            &[("expiring", Given::Text("30d"))],
            "what expires and does not renew by itself",
        ),
    ),
    (
        "domain-check-up",
        Step::call(
            "godaddy domain",
            &[("domain", Given::Argument("domain"))],
            "days left, whether it renews by itself, its locks, and whose name servers answer for it",
        ),
    ),
    (
        "domain-check-up",
        Step::call(
            "godaddy plan",
            &[("domain", Given::Argument("domain"))],
            "what is wrong with mail (SPF, DKIM, DMARC) and with other records, and what mends it; where a warning says that others answer for the domain, these records have no effect",
        ),
    ),
    (
        "domain-check-up",
        Step::call(
            "godaddy dns",
            &[("domain", Given::Argument("domain"))],
            "where each name points",
        ),
    ),
    (
        "before-i-delete",
        Step::call(
            "godaddy dns",
            &[("domain", Given::Argument("what"))],
            "which record I mean (ask me where it may be several), what else points at it or needs it, and whether a warning says that it has no effect anyway",
        )
        .when("kind", "dns-record"),
    ),
    (
        "before-i-delete",
        Step::call(
            "godaddy dns-delete",
            &[
                ("domain", Given::Argument("what")),
                ("dry_run", Given::Yes),
            ],
            "and the record's `type` and `name`: what would go; never without `dry_run`",
        )
        .when("kind", "dns-record"),
    ),
];
