"""Cloudflare's own SDK for Python: python cloudflare.py URL"""
import json
import sys

# Beside this script, which is called like the package.
sys.path.pop(0)
from cloudflare import APIStatusError, Cloudflare

client = Cloudflare(api_token="cf-sandbox", base_url=sys.argv[1], max_retries=0)

verified = client.user.tokens.verify()
zones = list(client.zones.list(per_page=5))
zone = next(zone for zone in zones if zone.name == "medtainer.example").id
records = list(client.dns.records.list(zone_id=zone, per_page=10))
kinds = sorted({record.type for record in records})
dnssec = client.dns.dnssec.get(zone_id=zone)
ssl = client.zones.settings.get("ssl", zone_id=zone)

made = client.dns.records.create(zone_id=zone, type="A", name="sdk.medtainer.example", content="192.0.2.1", ttl=300, comment="by the SDK")
edited = client.dns.records.edit(made.id, zone_id=zone, type="A", name=made.name, content="192.0.2.2", ttl=300)
updated = client.dns.records.update(made.id, zone_id=zone, type="A", name=made.name, content="192.0.2.3", ttl=1, proxied=True)
batch = client.dns.records.batch(
    zone_id=zone,
    deletes=[{"id": made.id}],
    posts=[{"type": "TXT", "name": "sdk.medtainer.example", "content": '"hello"', "ttl": 1}],
)
gone = client.dns.records.delete(batch.posts[0].id, zone_id=zone)
try:
    client.dns.records.get(made.id, zone_id=zone)
    error = None
except APIStatusError as e:
    error = [e.status_code, e.body["errors"][0]["code"] if "errors" in e.body else e.body[0]["code"]]
export = client.dns.records.export(zone_id=zone)

print(json.dumps({
    "token": verified.status,
    "zones": len(zones),
    "records": len(records),
    "kinds": kinds,
    "dnssec": dnssec.status,
    "ssl": ssl.value,
    "edited": [edited.content, edited.comment],
    "updated": [updated.content, updated.ttl, updated.proxied],
    "gone": gone.id == batch.posts[0].id,
    "error": error,
    "export": "sip.medtainer.example." in export,
}))
