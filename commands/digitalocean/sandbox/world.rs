//! What the sandbox's account holds, and how it changes as time goes by.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::seed;

/// Everything in the account.
pub(super) struct World {
    pub(super) droplets: BTreeMap<u64, Droplet>,
    /// Oldest first.
    pub(super) actions: Vec<Action>,
    pub(super) images: Vec<Image>,
    pub(super) volumes: Vec<Volume>,
    pub(super) reserved_ips: Vec<ReservedIp>,
    pub(super) keys: Vec<Key>,
    /// How long actions of a type take, and how much later a droplet shows it (`lag`), in milliseconds.
    pub(super) durations: BTreeMap<String, i64>,
    /// How many actions of a type will still fail.
    pub(super) failing: BTreeMap<String, u64>,
    /// The public address of droplets to be made.
    pub(super) address: Option<String>,
    pub(super) droplet_limit: usize,
    next_id: u64,
}

/// A droplet.
#[derive(Debug, Clone)]
pub(super) struct Droplet {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) region: String,
    pub(super) size: String,
    pub(super) image: u64,
    /// `new`, `active` or `off`.
    pub(super) status: &'static str,
    pub(super) tags: Vec<String>,
    pub(super) features: Vec<String>,
    pub(super) created_ms: i64,
    pub(super) public: String,
    pub(super) private: String,
    pub(super) ipv6: Option<String>,
}

/// Something that happens to a droplet.
#[derive(Debug, Clone)]
pub(super) struct Action {
    pub(super) id: u64,
    pub(super) droplet: u64,
    pub(super) region: String,
    pub(super) kind: String,
    pub(super) started_ms: i64,
    /// When the action reads `completed` or `errored`.
    pub(super) ends_ms: i64,
    /// When the droplet shows it.
    shows_ms: i64,
    pub(super) failed: bool,
    pub(super) effect: Effect,
    shown: bool,
}

/// What an action does to its droplet in the end.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    Becomes(&'static str),
    Snapshot(String),
    Resize(String),
    Rename(String),
    Feature(&'static str, bool),
    Rebuild(u64),
    Vanish,
}

/// An image; a private one of type `snapshot` is a droplet's snapshot.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) distribution: &'static str,
    pub(super) slug: Option<&'static str>,
    pub(super) application: bool,
    pub(super) regions: Option<Vec<String>>,
    pub(super) min_disk: u64,
    pub(super) size: f64,
    pub(super) created_ms: i64,
    pub(super) of: Option<u64>,
}

/// A volume.
#[derive(Debug, Clone)]
pub(super) struct Volume {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) region: String,
    pub(super) size: u64,
    pub(super) droplet: Option<u64>,
    pub(super) created_ms: i64,
}

/// A reserved IP.
#[derive(Debug, Clone)]
pub(super) struct ReservedIp {
    pub(super) ip: String,
    pub(super) region: String,
    pub(super) droplet: Option<u64>,
}

/// An SSH key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) fingerprint: String,
    pub(super) public_key: String,
}

impl World {
    pub(super) fn new(droplets: usize, seed: u64) -> World {
        let mut world = World {
            droplets: BTreeMap::new(),
            actions: Vec::new(),
            images: seed::images(),
            volumes: Vec::new(),
            reserved_ips: Vec::new(),
            keys: seed::keys(),
            durations: BTreeMap::new(),
            failing: BTreeMap::new(),
            address: None,
            droplet_limit: droplets.max(12) + 13,
            next_id: 500_000_000,
        };
        seed::fill(&mut world, droplets, seed);
        world
    }

    pub(super) fn now_ms() -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
    }

    pub(super) fn next_id(&mut self) -> u64 {
        // Ids are not dense there either.
        self.next_id += 1 + medtainer_core::sandbox::scramble(self.next_id) % 50;
        self.next_id
    }

    /// How long something takes.
    fn takes(&self, kind: &str) -> i64 {
        let usual = match kind {
            "create" => 3_000,
            "snapshot" => 4_000,
            "destroy" | "lag" => 500,
            _ => 1_500,
        };
        self.durations.get(kind).copied().unwrap_or(usual)
    }

    /// Begins something that takes its time.
    pub(super) fn begin(&mut self, droplet: u64, kind: &str, effect: Effect, now: i64) -> Action {
        let failed = match self.failing.get_mut(kind) {
            Some(times) if *times > 0 => {
                *times -= 1;
                true
            }
            _ => false,
        };
        let ends_ms = now + self.takes(kind);
        let region = self
            .droplets
            .get(&droplet)
            .map(|droplet| droplet.region.clone());
        let action = Action {
            id: self.next_id(),
            droplet,
            region: region.unwrap_or_default(),
            kind: kind.to_owned(),
            started_ms: now,
            ends_ms,
            shows_ms: ends_ms + self.takes("lag"),
            failed,
            effect,
            shown: false,
        };
        self.actions.push(action.clone());
        action
    }

    /// What is over by now has its effect.
    pub(super) fn settle(&mut self, now: i64) {
        let due: Vec<usize> = (0..self.actions.len())
            .filter(|at| !self.actions[*at].shown && self.actions[*at].shows_ms <= now)
            .collect();
        for at in due {
            self.actions[at].shown = true;
            let action = self.actions[at].clone();
            if !action.failed {
                self.show(&action);
            }
        }
    }

    /// Ends everything that is under way.
    pub(super) fn finish(&mut self, now: i64) {
        for action in self.actions.iter_mut().filter(|action| !action.shown) {
            action.ends_ms = action.ends_ms.min(now);
            action.shows_ms = action.shows_ms.min(now);
        }
        self.settle(now);
    }

    fn show(&mut self, action: &Action) {
        let id = action.droplet;
        if matches!(action.effect, Effect::Vanish) {
            self.droplets.remove(&id);
            for volume in &mut self.volumes {
                volume.droplet = volume.droplet.filter(|droplet| *droplet != id);
            }
            for ip in &mut self.reserved_ips {
                ip.droplet = ip.droplet.filter(|droplet| *droplet != id);
            }
            return;
        }
        let Some(droplet) = self.droplets.get_mut(&id) else {
            return;
        };
        match &action.effect {
            Effect::Becomes(status) => droplet.status = status,
            Effect::Resize(size) => droplet.size.clone_from(size),
            Effect::Rename(name) => droplet.name.clone_from(name),
            Effect::Rebuild(image) => droplet.image = *image,
            Effect::Feature(name, on) => {
                droplet.features.retain(|known| known != name);
                if *on {
                    droplet.features.push((*name).to_owned());
                }
            }
            Effect::Snapshot(name) => {
                let (name, droplet) = (name.clone(), droplet.clone());
                let snapshot = self.snapshot_of(&droplet, name, action.ends_ms);
                self.images.push(snapshot);
            }
            Effect::Vanish => {}
        }
    }

    pub(super) fn snapshot_of(&mut self, droplet: &Droplet, name: String, at: i64) -> Image {
        let of = self.image(&droplet.image.to_string());
        let distribution = of.map_or("Unknown", |image| image.distribution);
        Image {
            id: self.next_id(),
            name,
            kind: "snapshot",
            distribution,
            slug: None,
            application: false,
            regions: Some(vec![droplet.region.clone()]),
            min_disk: seed::size_of(&droplet.size).map_or(25, |size| size.disk),
            size: 2.34,
            created_ms: at,
            of: Some(droplet.id),
        }
    }

    /// Whether something happens to a droplet at the moment.
    pub(super) fn is_busy(&self, droplet: u64) -> bool {
        let mut actions = self.actions.iter();
        actions.any(|action| action.droplet == droplet && !action.shown)
    }

    /// Whether an image of that slug or id is there.
    pub(super) fn image(&self, key: &str) -> Option<&Image> {
        self.images
            .iter()
            .find(|image| image.slug == Some(key) || image.id.to_string() == key)
    }

    /// The snapshots of a droplet.
    pub(super) fn snapshots(&self, droplet: u64) -> impl Iterator<Item = &Image> {
        self.images
            .iter()
            .filter(move |image| image.of == Some(droplet))
    }
}

impl Action {
    /// One that was over long ago.
    pub(super) fn past(id: u64, droplet: &Droplet, kind: &str, started_ms: i64) -> Action {
        Action {
            id,
            droplet: droplet.id,
            region: droplet.region.clone(),
            kind: kind.to_owned(),
            started_ms,
            ends_ms: started_ms + 41_000,
            shows_ms: started_ms + 42_000,
            failed: false,
            effect: Effect::Becomes(droplet.status),
            shown: true,
        }
    }

    /// Its state at a time.
    pub(super) fn status(&self, now: i64) -> &'static str {
        match (now >= self.ends_ms, self.failed) {
            (false, _) => "in-progress",
            (true, false) => "completed",
            (true, true) => "errored",
        }
    }
}
