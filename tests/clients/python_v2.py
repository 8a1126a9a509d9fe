"""The Python SDK 2.x: python python_v2.py http URL | stdio COMMAND..."""
import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError


def server(kind, where):
    if kind == "http":
        return where[0]
    return stdio_client(StdioServerParameters(command=where[0], args=where[1:], env=dict(os.environ)))


async def main(kind, where):
    progress = []

    async def note(done, total, message):
        progress.append(done)

    async with Client(server(kind, where)) as client:
        version = client.protocol_version
        tools = (await client.list_tools()).tools
        synced = await client.call_tool("ghl_sync", {"full": True, "only": ["contacts"]}, progress_callback=note)
        contacts = await client.call_tool("ghl_contacts", {"limit": 2, "fields": "id,name"})
        refused = await client.call_tool("ghl_contacts", {"limit": 0})
        try:
            await client.call_tool("nope", {})
            unknown = None
        except MCPError as error:
            unknown = error.error.code
    print(json.dumps({
        "version": version,
        "tools": [tool.name for tool in tools],
        "progress": progress,
        "fetched": synced.structured_content["data"]["items"][0]["fetched"],
        "items": contacts.structured_content["data"]["items"],
        "refused": refused.is_error and refused.content[0].text,
        "unknown": unknown,
    }))


asyncio.run(main(sys.argv[1], sys.argv[2:]))
