"""DigitalOcean's own SDK for Python: python digitalocean.py URL"""
import json
import sys
import time

# Beside this script, which is called like somebody's package.
sys.path.pop(0)
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from pydo import Client


class Loopback(SansIOHTTPPolicy):
    """Lets a token go over plain HTTP, which it otherwise refuses."""

    def on_request(self, request):
        request.context.options["enforce_https"] = False


client = Client(token="dop_v1_sandbox", endpoint=sys.argv[1], retry_total=0, per_call_policies=[Loopback()])


def follow(action):
    """Until it is over, as their own examples do."""
    while action["status"] == "in-progress":
        time.sleep(0.1)
        action = client.actions.get(action["id"])["action"]
    return action["status"]


def settled(droplet):
    """A droplet shows what an action did a moment later."""
    while True:
        found = client.droplets.get(droplet)["droplet"]
        if not found["locked"]:
            return found
        time.sleep(0.1)


account = client.account.get()["account"]
balance = client.balance.get()
droplets, page = [], 1
while True:
    answer = client.droplets.list(per_page=5, page=page)
    droplets += answer["droplets"]
    if "next" not in answer["links"].get("pages", {}):
        break
    page += 1
gpus = client.droplets.list(type="gpus")["droplets"]
sizes = client.sizes.list(per_page=200)["sizes"]
regions = client.regions.list(per_page=200)["regions"]
images = client.images.list(private=True)["images"]
keys = client.ssh_keys.list()["ssh_keys"]
ips = client.reserved_ips.list()["reserved_ips"]
volumes = client.volumes.list()["volumes"]
tags = client.tags.list()["tags"]
image = client.images.get("debian-12-x64")["image"]

made = client.droplets.create({
    "name": "sdk-1",
    "region": "nyc3",
    "size": "s-1vcpu-1gb",
    "image": "debian-12-x64",
    "ssh_keys": [keys[0]["id"]],
    "tags": ["sdk"],
    "user_data": "#cloud-config",
})
droplet = made["droplet"]["id"]
created = follow(client.actions.get(made["links"]["actions"][0]["id"])["action"])
active = settled(droplet)
tagged = [found["name"] for found in client.droplets.list(tag_name="sdk")["droplets"]]
named = [found["name"] for found in client.droplets.list(name="SDK-1")["droplets"]]

done = {}
for body in [{"type": "reboot"}, {"type": "snapshot", "name": "sdk-snapshot"}]:
    action = client.droplet_actions.post(droplet, body)["action"]
    done[body["type"]] = follow(action)
    settled(droplet)
history = [action["type"] for action in client.droplet_actions.list(droplet)["actions"]]
one = client.droplet_actions.get(droplet, action["id"])["action"]["type"]
snapshots = [snapshot["name"] for snapshot in client.droplets.list_snapshots(droplet)["snapshots"]]
kept = client.droplets.list_associated_resources(droplet)["snapshots"]
client.droplets.destroy(droplet)
deadline = time.time() + 20
gone = None
while gone is None and time.time() < deadline:
    # Of some errors it makes an exception, of this one an answer.
    answer = client.droplets.get(droplet)
    gone = answer.get("id")
    time.sleep(0.1)
all_snapshots = client.snapshots.list(resource_type="droplet")["snapshots"]
try:
    client.droplets.create({"name": "sdk-2", "region": "nyc3", "size": "s-none", "image": "debian-12-x64"})
    refused = None
except HttpResponseError as error:
    refused = [error.status_code, error.error.code if error.error else None]

print(json.dumps({
    "team": account["team"]["name"],
    "balance": balance["account_balance"],
    "droplets": len(droplets),
    "gpus": len(gpus),
    "sizes": len(sizes),
    "regions": len(regions),
    "images": [found["name"] for found in images],
    "keys": len(keys),
    "ips": len(ips),
    "volumes": len(volumes),
    "tags": "web" in [tag["name"] for tag in tags],
    "image": image["slug"],
    "created": [created, active["status"], len(active["networks"]["v4"])],
    "found": [tagged, named],
    "done": done,
    "history": history,
    "one": one,
    "snapshots": snapshots,
    "kept": len(kept),
    "gone": gone,
    "all_snapshots": sorted(snapshot["name"] for snapshot in all_snapshots),
    "refused": refused and refused[0],
}))
