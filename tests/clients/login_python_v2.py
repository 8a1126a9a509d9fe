"""Logs in with the Python SDK 2.x; see login.py."""
import asyncio

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client

import login


async def main():
    owner = login.Owner()

    async def answer():
        return AuthorizationCodeResult(**{name: owner.answer.get(name) for name in ("code", "state", "iss")})

    provider = OAuthClientProvider(
        server_url=login.URL,
        client_metadata=login.METADATA,
        storage=login.Memory(),
        redirect_handler=owner.open,
        callback_handler=answer,
        client_metadata_url=login.DOCUMENT,
    )
    async with httpx2.AsyncClient(auth=provider, timeout=60) as http:
        async with Client(streamable_http_client(login.URL, http_client=http)) as client:
            async def call(name, arguments):
                return (await client.call_tool(name, arguments)).structured_content

            await login.obey(owner, client.list_tools, call)


asyncio.run(main())
