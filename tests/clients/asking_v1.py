"""The Python SDK 1.x, whose person is asked: python asking_v1.py http URL | sse URL | stdio COMMAND..."""
import asyncio
import json
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import ElicitResult


def streams(kind, where):
    if kind == "http":
        return streamablehttp_client(where[0])
    if kind == "sse":
        return sse_client(where[0])
    return stdio_client(StdioServerParameters(command=where[0], args=where[1:], env=dict(os.environ)))


async def main(kind, where):
    questions, reply = [], {}

    async def person(context, params):
        questions.append(params.message)
        return ElicitResult(**reply)

    async def delete(session, **said):
        reply.clear()
        reply.update(said)
        result = await session.call_tool("do_delete", {"droplet": "db-3"})
        answer = result.structuredContent
        return [result.isError, (answer.get("error") or {}).get("kind") or answer["data"]["state"]]

    async with streams(kind, where) as opened, ClientSession(*opened[:2], elicitation_callback=person) as session:
        await session.initialize()
        declined = await delete(session, action="decline")
        done = await delete(session, action="accept", content={"name": "db-3"})
        print(json.dumps({"asked": questions[0], "questions": len(questions), "declined": declined, "done": done}))


asyncio.run(main(sys.argv[1], sys.argv[2:]))
