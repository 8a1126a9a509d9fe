"""The Python SDK 1.x: python python_v1.py URL"""
import asyncio
import json
import sys

from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamablehttp_client


async def main(url):
    progress = []

    async def note(done, total, message):
        progress.append(done)

    async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as session:
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


asyncio.run(main(sys.argv[1]))
