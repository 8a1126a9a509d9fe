"""The Python SDK 1.x: python python_v1.py http URL | sse URL | stdio COMMAND..."""
import asyncio
import json
import os
import sys

from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


def streams(kind, where):
    if kind == "http":
        return streamablehttp_client(where[0])
    if kind == "sse":
        return sse_client(where[0])
    return stdio_client(StdioServerParameters(command=where[0], args=where[1:], env=dict(os.environ)))


async def main(kind, where):
    progress = []

    async def note(done, total, message):
        progress.append(done)

    async with streams(kind, where) as opened, ClientSession(*opened[:2]) as session:
        greeting = await session.initialize()
        tools = (await session.list_tools()).tools
        synced = await session.call_tool("ghl_sync", {"full": True, "only": ["contacts"]}, progress_callback=note)
        contacts = await session.call_tool("ghl_contacts", {"limit": 2, "fields": "id,name"})
        refused = await session.call_tool("ghl_contacts", {"limit": 0})
        try:
            await session.call_tool("nope", {})
            unknown = None
        except McpError as error:
            unknown = error.error.code
    print(json.dumps({
        "version": greeting.protocolVersion,
        "tools": [tool.name for tool in tools],
        "progress": progress,
        "fetched": synced.structuredContent["data"]["items"][0]["fetched"],
        "items": contacts.structuredContent["data"]["items"],
        "refused": refused.isError and refused.content[0].text,
        "unknown": unknown,
    }))


asyncio.run(main(sys.argv[1], sys.argv[2:]))
