"""What the logins of the Python clients have in common: SCRIPT URL OWNER [DOCUMENT | ID SECRET]

OWNER is a program that opens an address as the owner's browser would. Then each line of standard input
is one of `list`, `read` and `write`, and each answer a line of JSON.
"""
import asyncio
import json
import sys
from urllib.parse import parse_qs, urlparse

from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

URL, OWNER, *CLIENT = sys.argv[1:]
REDIRECT = "http://localhost:8765/callback"
METADATA = OAuthClientMetadata(
    client_name="Python tests",
    redirect_uris=[REDIRECT],
    grant_types=["authorization_code", "refresh_token"],
    response_types=["code"],
)
# The id of a client that is described by a document.
DOCUMENT = CLIENT[0] if len(CLIENT) == 1 else None


class Memory:
    """Keeps tokens, and the client that the owner added, if there is one."""

    def __init__(self):
        self.tokens = None
        self.client = None
        if len(CLIENT) == 2:
            self.client = OAuthClientInformationFull(
                client_id=CLIENT[0],
                client_secret=CLIENT[1],
                redirect_uris=[REDIRECT],
                token_endpoint_auth_method="client_secret_post",
            )

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Owner:
    """Counts how often the owner was asked."""

    def __init__(self):
        self.asked = 0
        self.answer = {}

    async def open(self, url):
        self.asked += 1
        browser = await asyncio.create_subprocess_exec(OWNER, url, "stay", stdout=asyncio.subprocess.PIPE)
        said, _ = await browser.communicate()
        query = parse_qs(urlparse(said.decode().strip()).query)
        self.answer = {name: values[0] for name, values in query.items()}


async def obey(owner, list_tools, call_tool):
    """`call_tool` gives structured content."""
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if line == "list":
            said = {"tools": len((await list_tools()).tools)}
        elif line == "read":
            said = await call_tool("ghl_contacts", {"limit": 2})
        else:
            said = await call_tool("ghl_sync", {"only": ["contacts"]})
        print(json.dumps({"said": said, "asked": owner.asked}), flush=True)
