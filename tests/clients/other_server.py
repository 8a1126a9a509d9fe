"""A server of somebody else's with a login: python other_server.py PORT."""
import sys

from fastmcp import FastMCP
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from mcp.server.auth.settings import ClientRegistrationOptions, RevocationOptions

port = int(sys.argv[1])
auth = InMemoryOAuthProvider(
    base_url=f"http://127.0.0.1:{port}",
    client_registration_options=ClientRegistrationOptions(enabled=True),
    revocation_options=RevocationOptions(enabled=True),
    required_scopes=["user"],
)
server = FastMCP("other", auth=auth)


@server.tool
def add(a: int, b: int) -> int:
    """Add two numbers"""
    return a + b


server.run(transport="http", host="127.0.0.1", port=port, show_banner=False)
