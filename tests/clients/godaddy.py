"""GoDaddyPy, the client most scripts use (GoDaddy has none of its own): python godaddy.py URL"""
import json
import sys
import types

# Beside this script, which is called like somebody's package.
sys.path.pop(0)
# It reads key files with packages it does not name among those it needs; there is no key file here.
for missing in ("yaml", "configloader"):
    sys.modules[missing] = types.ModuleType(missing)
sys.modules["configloader"].ConfigLoader = None
from godaddypy import Account, Client
from godaddypy.client import BadResponse

account = Account(api_key="sandbox-key", api_secret="sandbox-secret")
client = Client(account, api_base_url=sys.argv[1] + "/")
zone = "harborpine.com"

domains = client.get_domains(limit=5)
following = client.get_domains(limit=1000, marker=domains[-1])
info = client.get_domain_info(zone)
before = client.get_records(zone)
client.add_record(zone, {"name": "sdk", "type": "A", "data": "198.18.7.1", "ttl": 600})
try:
    client.add_record(zone, {"name": "sdk", "type": "A", "data": "198.18.7.1", "ttl": 600})
    twice = None
except BadResponse as refused:
    twice = refused._code if hasattr(refused, "_code") else str(refused)
client.update_record_ip("198.18.7.2", zone, "sdk", "A")
after = client.get_records(zone, record_type="A", name="sdk")
client.replace_records(zone, [{"data": "198.18.7.3", "ttl": 900}], record_type="A", name="sdk")
replaced = client.get_records(zone, record_type="A", name="sdk")
client.delete_records(zone, "sdk")

print(json.dumps({
    "domains": len(domains) + len(following),
    "status": info["status"],
    "records": len(before),
    "twice": "DUPLICATE_RECORD" in str(twice),
    "after": [row["data"] for row in after],
    "replaced": [(row["data"], row["ttl"]) for row in replaced],
    "same": client.get_records(zone) == before,
}))
