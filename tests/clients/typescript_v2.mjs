// The TypeScript client of 2026-07-28: node typescript_v2.mjs auto|legacy|default http URL | stdio COMMAND...
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const [, , mode, kind, where, ...args] = process.argv;
const options = mode === 'default' ? {} : { versionNegotiation: { mode } };
const client = new Client({ name: 'tests', version: '1' }, options);
await client.connect(kind === 'http'
  ? new StreamableHTTPClientTransport(new URL(where))
  : new StdioClientTransport({ command: where, args, env: process.env }));
const { tools } = await client.listTools();
const call = (name, args, options) => client.callTool({ name, arguments: args }, options);

const progress = [];
const synced = await call('ghl_sync', { full: true, only: ['contacts'] }, { onprogress: (step) => progress.push(step.progress) });
const contacts = await call('ghl_contacts', { limit: 2, fields: 'id,name' });
const refused = await call('ghl_contacts', { limit: 0 });
const unknown = await call('nope', {}).then(() => null, (error) => error.code);
console.log(JSON.stringify({
  version: client.getNegotiatedProtocolVersion(),
  tools: tools.map((tool) => tool.name),
  progress,
  fetched: synced.structuredContent.data.items[0].fetched,
  items: contacts.structuredContent.data.items,
  refused: refused.isError && refused.content[0].text,
  unknown,
}));
await client.close();
