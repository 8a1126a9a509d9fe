//! What the account holds at first: made from a seed, the same each time.

use medtainer_core::sandbox::scramble;

use super::ANCHOR_MS;
use super::world::{Action, Droplet, Image, Key, ReservedIp, Volume, World};

/// A region: slug, name, whether it takes new droplets.
pub(super) const REGIONS: &[(&str, &str, bool)] = &[
    ("nyc1", "New York 1", true),
    ("nyc2", "New York 2", false),
    ("nyc3", "New York 3", true),
    ("ams3", "Amsterdam 3", true),
    ("sfo2", "San Francisco 2", true),
    ("sfo3", "San Francisco 3", true),
    ("sgp1", "Singapore 1", true),
    ("lon1", "London 1", true),
    ("fra1", "Frankfurt 1", true),
    ("tor1", "Toronto 1", true),
    ("blr1", "Bangalore 1", true),
    ("syd1", "Sydney 1", true),
];

/// What regions can do.
pub(super) const FEATURES: &[&str] = &[
    "backups",
    "ipv6",
    "metadata",
    "install_agent",
    "storage",
    "image_transfer",
];

/// A size.
#[derive(Debug)]
pub(super) struct Size {
    pub(super) slug: &'static str,
    pub(super) description: &'static str,
    pub(super) memory: u64,
    pub(super) vcpus: u64,
    pub(super) disk: u64,
    pub(super) transfer: f64,
    pub(super) monthly: f64,
    /// Regions that have it; all that take droplets where this is empty.
    pub(super) regions: &'static [&'static str],
    pub(super) available: bool,
}

const fn size(
    slug: &'static str,
    description: &'static str,
    (memory, vcpus, disk): (u64, u64, u64),
    transfer: f64,
    monthly: f64,
) -> Size {
    Size {
        slug,
        description,
        memory,
        vcpus,
        disk,
        transfer,
        monthly,
        regions: &[],
        available: true,
    }
}

/// Sizes, as a provider of this kind has them.
pub(super) static SIZES: &[Size] = &[
    Size {
        regions: &["nyc1", "ams3", "sfo2", "fra1", "syd1"],
        ..size("s-1vcpu-512mb-10gb", "Basic", (512, 1, 10), 0.5, 4.0)
    },
    size("s-1vcpu-1gb", "Basic", (1_024, 1, 25), 1.0, 6.0),
    size("s-1vcpu-2gb", "Basic", (2_048, 1, 50), 2.0, 12.0),
    size("s-2vcpu-2gb", "Basic", (2_048, 2, 60), 3.0, 18.0),
    size("s-2vcpu-4gb", "Basic", (4_096, 2, 80), 4.0, 24.0),
    size("s-4vcpu-8gb", "Basic", (8_192, 4, 160), 5.0, 48.0),
    size("s-8vcpu-16gb", "Basic", (16_384, 8, 320), 6.0, 96.0),
    size("s-1vcpu-1gb-amd", "Basic AMD", (1_024, 1, 25), 1.0, 7.0),
    size(
        "s-2vcpu-2gb-intel",
        "Basic Intel",
        (2_048, 2, 60),
        3.0,
        21.0,
    ),
    size("c-2", "CPU-Optimized", (4_096, 2, 25), 4.0, 42.0),
    size("c-4", "CPU-Optimized", (8_192, 4, 50), 5.0, 84.0),
    size("g-2vcpu-8gb", "General Purpose", (8_192, 2, 25), 4.0, 63.0),
    size(
        "m-2vcpu-16gb",
        "Memory-Optimized",
        (16_384, 2, 50),
        4.0,
        84.0,
    ),
    Size {
        available: false,
        ..size("1gb", "Legacy Basic", (1_024, 1, 30), 2.0, 10.0)
    },
    Size {
        regions: &["nyc2", "tor1"],
        ..size(
            "gpu-4000adax1-20gb",
            "RTX 4000 Ada GPU",
            (32_768, 8, 500),
            10.0,
            565.44,
        )
    },
];

/// The size of that slug.
pub(super) fn size_of(slug: &str) -> Option<&'static Size> {
    SIZES.iter().find(|size| size.slug == slug)
}

impl Size {
    /// Whether it has a graphics processor.
    pub(super) fn is_gpu(&self) -> bool {
        self.slug.starts_with("gpu-")
    }

    /// Regions that have it.
    pub(super) fn regions(&self) -> Vec<&'static str> {
        if !self.regions.is_empty() {
            return self.regions.to_vec();
        }
        let open = REGIONS.iter().filter(|(.., available)| *available);
        open.map(|(slug, ..)| *slug).collect()
    }
}

const DAY_MS: i64 = 86_400_000;

/// Images of theirs.
pub(super) fn images() -> Vec<Image> {
    let theirs: &[(u64, &str, &str, &str, bool, u64)] = &[
        (
            155_133_621,
            "24.04 (LTS) x64",
            "Ubuntu",
            "ubuntu-24-04-x64",
            false,
            7,
        ),
        (
            129_211_873,
            "22.04 (LTS) x64",
            "Ubuntu",
            "ubuntu-22-04-x64",
            false,
            7,
        ),
        (150_427_003, "13 x64", "Debian", "debian-13-x64", false, 7),
        (139_064_908, "12 x64", "Debian", "debian-12-x64", false, 7),
        (154_009_144, "42 x64", "Fedora", "fedora-42-x64", false, 10),
        (
            133_748_332,
            "9 x64",
            "Rocky Linux",
            "rockylinux-9-x64",
            false,
            10,
        ),
        (
            133_748_401,
            "9 Stream x64",
            "CentOS",
            "centos-stream-9-x64",
            false,
            10,
        ),
        (
            148_010_517,
            "Docker latest on Ubuntu 22.04",
            "Ubuntu",
            "docker-20-04",
            true,
            25,
        ),
        (
            147_330_208,
            "WordPress on Ubuntu 22.04",
            "Ubuntu",
            "wordpress-20-04",
            true,
            25,
        ),
        (
            149_006_112,
            "NodeJS on Ubuntu 22.04",
            "Ubuntu",
            "nodejs-20-04",
            true,
            25,
        ),
        (
            146_120_771,
            "LAMP on Ubuntu 22.04",
            "Ubuntu",
            "lamp-20-04",
            true,
            25,
        ),
    ];
    theirs
        .iter()
        .map(
            |(id, name, distribution, slug, application, min_disk)| Image {
                id: *id,
                name: (*name).to_owned(),
                // As they call it, though nobody took it from a droplet.
                kind: if *application { "snapshot" } else { "base" },
                distribution,
                slug: Some(slug),
                application: *application,
                regions: None,
                min_disk: *min_disk,
                size: 2.36,
                created_ms: ANCHOR_MS - 200 * DAY_MS,
                of: None,
            },
        )
        .collect()
}

/// SSH keys of ours.
pub(super) fn keys() -> Vec<Key> {
    let key = |id: u64, name: &str, fingerprint: &str| Key {
        id,
        name: name.to_owned(),
        fingerprint: fingerprint.to_owned(),
        public_key: format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{id} {name}"),
    };
    vec![
        key(
            289_794,
            "office",
            "3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45",
        ),
        key(
            289_795,
            "laptop",
            "a1:2c:77:0d:5e:91:3f:44:c8:02:be:6a:90:d1:73:ee",
        ),
    ]
}

const ROLES: &[(&str, &str, &str)] = &[
    ("web", "s-2vcpu-4gb", "ubuntu-24-04-x64"),
    ("web", "s-2vcpu-4gb", "ubuntu-24-04-x64"),
    ("db", "m-2vcpu-16gb", "debian-12-x64"),
    ("mail", "s-1vcpu-2gb", "debian-12-x64"),
    ("staging", "s-1vcpu-1gb", "ubuntu-24-04-x64"),
    ("backup", "s-1vcpu-1gb", "debian-12-x64"),
    ("vpn", "s-1vcpu-512mb-10gb", "debian-13-x64"),
    ("shop", "c-2", "wordpress-20-04"),
    ("ci", "s-4vcpu-8gb", "docker-20-04"),
    ("monitor", "s-1vcpu-1gb", "ubuntu-22-04-x64"),
    ("render", "gpu-4000adax1-20gb", "ubuntu-22-04-x64"),
];

/// Puts droplets into the account, and what belongs to them.
pub(super) fn fill(world: &mut World, droplets: usize, seed: u64) {
    for number in 0..droplets as u64 {
        let dice = scramble(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let (role, size_slug, image) = ROLES[number as usize % ROLES.len()];
        let sizes = size_of(size_slug).map(Size::regions).unwrap_or_default();
        let region = sizes[(dice % sizes.len() as u64) as usize];
        // Two of one name: people do that, and commands have to ask which.
        let name = match number {
            3 | 11 => "mail".to_owned(),
            _ => format!("{role}-{}", number + 1),
        };
        let id = 300_000_000 + number * 1_013 + dice % 1_000;
        let image = world.image(image).map_or(0, |image| image.id);
        let environment = if role == "staging" || role == "ci" {
            "env:test"
        } else {
            "env:prod"
        };
        let created_ms = ANCHOR_MS - (30 + i64::try_from(dice % 900).unwrap_or(0)) * DAY_MS;
        let droplet = Droplet {
            id,
            name,
            region: region.to_owned(),
            size: size_slug.to_owned(),
            image,
            status: if role == "backup" { "off" } else { "active" },
            tags: vec![role.to_owned(), environment.to_owned()],
            features: ["droplet_agent", "private_networking", "monitoring"]
                .map(str::to_owned)
                .to_vec(),
            created_ms,
            // Addresses nobody has (RFC 5737 and 2544).
            public: public(number),
            private: format!("10.10.{}.{}", number / 250, 2 + number % 250),
            ipv6: (number % 3 == 0).then(|| format!("2001:db8:0:{:x}::1", number + 1)),
        };
        for (turn, kind) in ["create", "reboot"]
            .iter()
            .enumerate()
            .take(1 + (dice % 2) as usize)
        {
            let started_ms = created_ms + i64::try_from(turn).unwrap_or(0) * 9 * DAY_MS;
            let action = Action::past(world.next_id(), &droplet, kind, started_ms);
            world.actions.push(action);
        }
        belongings(world, &droplet, role, number);
        world.droplets.insert(id, droplet);
    }
    world.reserved_ips.push(ReservedIp {
        ip: "198.51.100.200".to_owned(),
        region: "nyc3".to_owned(),
        droplet: None,
    });
    world
        .actions
        .sort_by_key(|action| (action.started_ms, action.id));
}

fn belongings(world: &mut World, droplet: &Droplet, role: &str, number: u64) {
    if role == "db" {
        world.volumes.push(Volume {
            id: format!("506f78a4-e098-11e5-ad9f-{number:012x}"),
            name: format!("data-{number}"),
            region: droplet.region.clone(),
            size: 100,
            droplet: Some(droplet.id),
            created_ms: droplet.created_ms,
        });
        let name = format!("{}-before-upgrade", droplet.name);
        let snapshot = world.snapshot_of(droplet, name, ANCHOR_MS - 20 * DAY_MS);
        world.images.push(snapshot);
    }
    if number == 0 {
        world.reserved_ips.push(ReservedIp {
            ip: "198.51.100.100".to_owned(),
            region: droplet.region.clone(),
            droplet: Some(droplet.id),
        });
    }
}

/// The public address of a droplet by its number.
pub(super) fn public(number: u64) -> String {
    match number {
        0..200 => format!("203.0.113.{}", number + 10),
        _ => format!("198.18.{}.{}", number / 250 % 256, number % 250 + 1),
    }
}
