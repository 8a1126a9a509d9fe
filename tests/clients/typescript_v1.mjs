// The TypeScript SDK of before 2026-07-28: node typescript_v1.mjs URL
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const client = new Client({ name: 'tests', version: '1' });
const transport = new StreamableHTTPClientTransport(new URL(process.argv[2]));
await client.connect(transport);
const { tools } = await client.listTools();
const call = (name, args, options) => client.callTool({ name, arguments: args }, undefined, options);

const progress = [];
// This client checks structured content against the output schema by itself, and throws.
const synced = await call('ghl_sync', { full: true, only: ['contacts'] }, { onprogress: (step) => progress.push(step.progress) });
const contacts = await call('ghl_contacts', { limit: 2, fields: 'id,name' });
const refused = await call('ghl_contacts', { limit: 0 });
const unknown = await call('nope', {}).then(() => null, (error) => error.code);
console.log(JSON.stringify({
  version: transport.protocolVersion,
  tools: tools.map((tool) => tool.name),
  progress,
  fetched: synced.structuredContent.data.items[0].fetched,
  items: contacts.structuredContent.data.items,
  refused: refused.isError && refused.content[0].text,
  unknown,
}));
await client.close();
