//! What of DigitalOcean is kept in the store: all of it small, all of it fetched whole.

use std::time::Duration;

use medtainer_core::ecosystem::Feed;
use medtainer_core::store::records::Records;

use super::api::{self, Pages};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Droplets.
pub static DROPLET: Records = Records {
    collection: "do.droplets",
    freshness: Duration::from_secs(300),
    name: &["/name"],
    parent: None,
    account: None,
};

/// Sizes, by slug.
pub static SIZE: Records = Records {
    collection: "do.sizes",
    freshness: DAY,
    name: &["/slug"],
    ..DROPLET
};

/// Regions, by slug.
pub static REGION: Records = Records {
    collection: "do.regions",
    freshness: DAY,
    name: &["/name"],
    ..DROPLET
};

/// Images, theirs and ours.
pub static IMAGE: Records = Records {
    collection: "do.images",
    freshness: DAY,
    name: &["/name"],
    ..DROPLET
};

/// SSH keys; they may be read ten times a minute.
pub static KEY: Records = Records {
    collection: "do.keys",
    freshness: HOUR,
    name: &["/name"],
    ..DROPLET
};

/// Reserved IPs, each under its droplet.
pub static RESERVED_IP: Records = Records {
    collection: "do.reserved_ips",
    freshness: HOUR,
    name: &["/ip"],
    parent: Some("/droplet/id"),
    account: None,
};

/// Where droplets come from.
pub const DROPLETS: Feed = Feed {
    collection: &DROPLET,
    source: |cx| {
        Box::new(Pages {
            cx,
            list: &api::DROPLETS,
        })
    },
};

/// Where sizes come from.
pub const SIZES: Feed = Feed {
    collection: &SIZE,
    source: |cx| {
        Box::new(Pages {
            cx,
            list: &api::SIZES,
        })
    },
};

/// Where regions come from.
pub const REGIONS: Feed = Feed {
    collection: &REGION,
    source: |cx| {
        Box::new(Pages {
            cx,
            list: &api::REGIONS,
        })
    },
};

/// Where images come from.
pub const IMAGES: Feed = Feed {
    collection: &IMAGE,
    source: |cx| {
        Box::new(Pages {
            cx,
            list: &api::IMAGES,
        })
    },
};

/// Where SSH keys come from.
pub const KEYS: Feed = Feed {
    collection: &KEY,
    source: |cx| {
        Box::new(Pages {
            cx,
            list: &api::KEYS,
        })
    },
};

/// Where reserved IPs come from.
pub const RESERVED_IPS: Feed = Feed {
    collection: &RESERVED_IP,
    source: |cx| {
        Box::new(Pages {
            cx,
            list: &api::RESERVED_IPS,
        })
    },
};

/// All of it.
pub const FEEDS: &[Feed] = &[DROPLETS, SIZES, REGIONS, IMAGES, KEYS, RESERVED_IPS];
