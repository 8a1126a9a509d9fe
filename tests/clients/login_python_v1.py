"""Logs in with the Python SDK 1.x; see login.py."""
import asyncio

from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamablehttp_client

import login


async def main():
    owner = login.Owner()

    async def answer():
        return owner.answer["code"], owner.answer.get("state")

    provider = OAuthClientProvider(
        server_url=login.URL,
        client_metadata=login.METADATA,
        storage=login.Memory(),
        redirect_handler=owner.open,
        callback_handler=answer,
        client_metadata_url=login.DOCUMENT,
    )
    async with streamablehttp_client(login.URL, auth=provider) as opened, ClientSession(*opened[:2]) as session:
        await session.initialize()

        async def call(name, arguments):
            return (await session.call_tool(name, arguments)).structuredContent

        await login.obey(owner, session.list_tools, call)


asyncio.run(main())
