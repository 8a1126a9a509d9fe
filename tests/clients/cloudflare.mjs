// Cloudflare's own SDK for TypeScript: node cloudflare.mjs URL
import Cloudflare from 'cloudflare';

const client = new Cloudflare({ apiToken: 'cf-sandbox', baseURL: process.argv[2], maxRetries: 0 });
const all = async (pages) => {
  const rows = [];
  for await (const row of pages) rows.push(row);
  return rows;
};

const verified = await client.user.tokens.verify();
const zones = await all(client.zones.list({ per_page: 5 }));
const zone_id = zones.find((zone) => zone.name === 'medtainer.example').id;
const records = await all(client.dns.records.list({ zone_id, per_page: 10 }));
const dnssec = await client.dns.dnssec.get({ zone_id });
const ssl = await client.zones.settings.get('ssl', { zone_id });

const name = 'sdk.medtainer.example';
const made = await client.dns.records.create({ zone_id, type: 'A', name, content: '192.0.2.1', ttl: 300, comment: 'by the SDK' });
const edited = await client.dns.records.edit(made.id, { zone_id, type: 'A', name, content: '192.0.2.2', ttl: 300 });
const updated = await client.dns.records.update(made.id, { zone_id, type: 'A', name, content: '192.0.2.3', ttl: 1, proxied: true });
const batch = await client.dns.records.batch({
  zone_id,
  deletes: [{ id: made.id }],
  posts: [{ type: 'TXT', name, content: '"hello"', ttl: 1 }],
});
const gone = await client.dns.records.delete(batch.posts[0].id, { zone_id });
const error = await client.dns.records.get(made.id, { zone_id }).then(() => null, (e) => [e.status, e.errors[0].code]);
const exported = await client.dns.records.export({ zone_id });

console.log(JSON.stringify({
  token: verified.status,
  zones: zones.length,
  records: records.length,
  kinds: [...new Set(records.map((record) => record.type))].sort(),
  dnssec: dnssec.status,
  ssl: ssl.value,
  edited: [edited.content, edited.comment],
  updated: [updated.content, updated.ttl, updated.proxied],
  gone: gone.id === batch.posts[0].id,
  error,
  export: exported.includes('sip.medtainer.example.'),
}));
