//! Writes: shown before they are done, done once, recorded whatever happens, taken back.

mod approvals;
mod audit;
mod doubt;
mod killed;
mod once;

use serde_json::{Value, json};

use crate::front::{Desk, Provider};

/// A desk whose contacts are here, and some of their ids.
pub struct Scene {
    pub provider: Provider,
    pub desk: Desk,
    ids: Vec<String>,
}

impl Scene {
    pub fn new() -> Scene {
        let provider = Provider::start("--records 60 --no-limits");
        let desk = Desk::new(&provider);
        Scene::at(provider, desk)
    }

    pub fn at(provider: Provider, desk: Desk) -> Scene {
        desk.run("ghl sync --only contacts").ends(0);
        let list = desk.json("ghl contacts --limit 50");
        let items = list["data"]["items"].as_array().unwrap();
        let ids = items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect();
        provider.order("counters", &json!({ "reset": true }));
        Scene {
            provider,
            desk,
            ids,
        }
    }

    pub fn id(&self, number: usize) -> &str {
        &self.ids[number]
    }

    /// How often a route was asked since the scene began, such as `POST /contacts/{}/tasks`.
    pub fn asked(&self, method: &str) -> u64 {
        let counters = self.provider.order("counters", &json!({}));
        counters["by_route"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(route, _)| route.starts_with(method))
            .filter(|(route, _)| !route.ends_with("/search"))
            .map(|(_, count)| count.as_u64().unwrap())
            .sum()
    }

    /// Tasks of that title which the provider has for a contact.
    pub fn tasks(&self, contact: &str, title: &str) -> usize {
        let answer = self
            .provider
            .ask("GET", &format!("/contacts/{contact}/tasks"), None);
        let tasks = answer["tasks"].as_array().unwrap();
        tasks.iter().filter(|task| task["title"] == title).count()
    }

    /// The state of a write, as the ledger has it now.
    pub fn state(&self, id: &Value) -> String {
        self.desk
            .sql(&format!("select state from writes where id = {id}"))
    }
}
