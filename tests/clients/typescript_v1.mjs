// The TypeScript SDK of before 2026-07-28: node typescript_v1.mjs http URL | sse URL | stdio COMMAND...
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const client = new Client({ name: 'tests', version: '1' });
const [, , kind, where, ...args] = process.argv;
const transports = {
  http: () => new StreamableHTTPClientTransport(new URL(where)),
  sse: () => new SSEClientTransport(new URL(where)),
  stdio: () => new StdioClientTransport({ command: where, args, env: process.env }),
};
const transport = transports[kind]();
// Only some transports keep the version.
let version;
const noted = transport.setProtocolVersion?.bind(transport);
transport.setProtocolVersion = (negotiated) => { version = negotiated; noted?.(negotiated); };
await client.connect(transport);
const { tools } = await client.listTools();
const call = (name, args, options) => client.callTool({ name, arguments: args }, undefined, options);

const progress = [];
// This client checks structured content against the output schema by itself, and throws.
const synced = await call('ghl_sync', { full: true, only: ['contacts'] }, { onprogress: (step) => progress.push(step.progress) });
const contacts = await call('ghl_contacts', { limit: 2, fields: 'id,name' });
const refused = await call('ghl_contacts', { limit: 0 });
const unknown = await call('nope', {}).then(() => null, (error) => error.code);
const session = transport.sessionId;
if (kind === 'http') await transport.terminateSession();
console.log(JSON.stringify({
  version,
  session,
  tools: tools.map((tool) => tool.name),
  progress,
  fetched: synced.structuredContent.data.items[0].fetched,
  items: contacts.structuredContent.data.items,
  refused: refused.isError && refused.content[0].text,
  unknown,
}));
await client.close();
