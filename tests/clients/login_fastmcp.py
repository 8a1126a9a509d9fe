"""Logs in with fastmcp, which opens a browser and listens by itself, at the port that it is given in place of
OWNER; see login.py."""
import asyncio

from fastmcp import Client
from fastmcp.client.auth import OAuth

import login


class Counted(OAuth):
    asked = 0

    async def redirect_handler(self, authorization_url):
        self.asked += 1
        await super().redirect_handler(authorization_url)


async def main():
    words = dict(zip(("client_id", "client_secret"), login.CLIENT)) if len(login.CLIENT) == 2 else {}
    owner = Counted(login.URL, callback_port=int(login.OWNER), client_metadata_url=login.DOCUMENT, **words)
    async with Client(login.URL, auth=owner) as client:
        async def call(name, arguments):
            return (await client.call_tool(name, arguments)).structured_content

        await login.obey(owner, client.list_tools_mcp, call)


asyncio.run(main())
