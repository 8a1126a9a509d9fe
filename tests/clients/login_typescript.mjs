// Logs in with the TypeScript SDKs: node login_typescript.mjs old|new URL OWNER [DOCUMENT | ID SECRET];
// what it is told and what it answers are as in login.py.
import { execFileSync } from 'node:child_process';
import { createInterface } from 'node:readline';

const [, , line, url, owner, ...known] = process.argv;
const { Client, StreamableHTTPClientTransport, UnauthorizedError } = line === 'new'
  ? await import('@modelcontextprotocol/client')
  : {
      ...(await import('@modelcontextprotocol/sdk/client/index.js')),
      ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
      ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
    };

const redirectUrl = 'http://localhost:8766/callback';
const kept = {};
if (known.length === 2) kept.client = { client_id: known[0], client_secret: known[1] };
let asked = 0;
let answer;
const provider = {
  redirectUrl,
  clientMetadataUrl: known.length === 1 ? known[0] : undefined,
  clientMetadata: { client_name: `TypeScript tests, ${line}`, redirect_uris: [redirectUrl], token_endpoint_auth_method: 'none' },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  redirectToAuthorization: (address) => {
    asked += 1;
    const back = execFileSync(owner, [String(address), 'stay'], { encoding: 'utf8' });
    answer = new URL(back.trim()).searchParams;
  },
};

let transport;
let client;
async function connect() {
  transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  client = new Client({ name: 'tests', version: '1' }, line === 'new' ? { versionNegotiation: { mode: 'auto' } } : {});
  await client.connect(transport);
}

/// Once more when the owner had to be asked.
async function allowed(act) {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transport.finishAuth(line === 'new' ? answer : answer.get('code'));
    return act();
  }
}

await allowed(connect);
const call = async (name, args) => (await client.callTool({ name, arguments: args })).structuredContent;
for await (const word of createInterface({ input: process.stdin })) {
  const said = await allowed(async () => {
    if (word === 'list') return { tools: (await client.listTools()).tools.length };
    return word === 'read' ? call('ghl_contacts', { limit: 2 }) : call('ghl_sync', { only: ['contacts'] });
  });
  console.log(JSON.stringify({ said, asked }));
}
process.exit(0);
