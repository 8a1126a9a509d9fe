"""The Python SDK 2.x reads a resource, gets a prompt and completes: python python_reads.py http URL | stdio COMMAND..."""
import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference


def server(kind, where):
    if kind == "http":
        return where[0]
    return stdio_client(StdioServerParameters(command=where[0], args=where[1:], env=dict(os.environ)))


async def main(kind, where):
    async with Client(server(kind, where)) as client:
        listed = [resource.uri for resource in (await client.list_resources()).resources]
        templates = (await client.list_resource_templates()).resource_templates
        await client.read_resource("medtainer://godaddy/domains")
        domains = await client.complete(
            ref=ResourceTemplateReference(uri="medtainer://godaddy/zones/{domain}"),
            argument={"name": "domain", "value": ""},
        )
        domain = domains.completion.values[0]
        kinds = await client.complete(
            ref=PromptReference(name="before-i-delete"),
            argument={"name": "what", "value": ""},
            context_arguments={"kind": "dns-record"},
        )
        zone = (await client.read_resource(f"medtainer://godaddy/zones/{domain}")).contents[0]
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        prompt = await client.get_prompt("domain-check-up", {"domain": domain})
        try:
            await client.read_resource("medtainer://nothing/here")
            missing = None
        except MCPError as error:
            missing = error.error.code
    print(json.dumps({
        "listed": listed,
        "templates": [template.uri_template for template in templates],
        "domain": domain,
        "domains": kinds.completion.values,
        "media": zone.mime_type,
        "zone": zone.text,
        "prompts": prompts,
        "prompt": prompt.messages[0].content.text,
        "missing": missing,
    }))


asyncio.run(main(sys.argv[1], sys.argv[2:]))
