"""The Python SDK 2.x, whose person is asked: python asking_v2.py URL"""
import asyncio
import json
import sys

from mcp import Client
from mcp.types import ElicitResult


async def main(url):
    questions, reply = [], {}

    async def person(context, params):
        questions.append(params.message)
        return ElicitResult(**reply)

    async def delete(client, **said):
        reply.clear()
        reply.update(said)
        result = await client.call_tool("do_delete", {"droplet": "db-3"})
        answer = result.structured_content
        return [result.is_error, (answer.get("error") or {}).get("kind") or answer["data"]["state"]]

    async with Client(url, elicitation_callback=person) as client:
        declined = await delete(client, action="decline")
        done = await delete(client, action="accept", content={"name": "db-3"})
        print(json.dumps({
            "version": client.protocol_version, "asked": questions[0], "questions": len(questions),
            "declined": declined, "done": done,
        }))


asyncio.run(main(sys.argv[1]))
