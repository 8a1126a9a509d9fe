// The owner before a browser: node browser.mjs PASSPHRASE URL [stay]
// Opens the page, fills in the form it shows, sends it, and follows where it leads; with `stay` it
// prints that address instead. OWNER_ALLOWS names the scopes that stay ticked, where not all do.
const [, , passphrase, start, stay] = process.argv;
const origin = new URL(start).origin;
const jar = new Map();

async function ask(url, options = {}) {
  const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
  const headers = { ...options.headers, ...(cookie && { cookie }) };
  const reply = await fetch(url, { ...options, headers, redirect: 'manual' });
  for (const set of reply.headers.getSetCookie()) {
    const [, name, value] = set.match(/^([^=]+)=([^;]*)/);
    jar.set(name, value);
  }
  return reply;
}

const plain = (text) => text
  .replaceAll('&#34;', '"').replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&#60;', '<')
  .replaceAll('&#62;', '>').replaceAll('&#38;', '&').replaceAll('&amp;', '&');

const allowed = process.env.OWNER_ALLOWS?.split(' ');
const ticked = (tag, scope) => / checked/.test(tag) && (allowed?.includes(scope) ?? true);

/// What the form sends when it is left as it is, but for the passphrase.
function filled(html) {
  const form = new URLSearchParams();
  for (const [tag] of html.matchAll(/<input [^>]*>/g)) {
    const attribute = (name) => plain(tag.match(new RegExp(` ${name}="([^"]*)"`))?.[1] ?? '');
    const type = attribute('type');
    const value = attribute('value');
    if (type === 'hidden' || (type === 'checkbox' && ticked(tag, value))) form.append(attribute('name'), value);
    if (type === 'password') form.append(attribute('name'), passphrase);
  }
  form.append('decision', 'allow');
  return form;
}

let reply = await ask(start);
if (reply.status === 200) {
  const action = new URL('/authorize', origin);
  const headers = { origin };
  reply = await ask(action, { method: 'POST', headers, body: filled(await reply.text()) });
}
const location = reply.headers.get('location');
if (!location) throw new Error(`${reply.status}: ${(await reply.text()).replace(/<[^>]*>/g, ' ')}`);
if (stay) {
  console.log(location);
} else {
  // The client may not listen yet.
  for (let tries = 60; tries > 0; tries -= 1) {
    try {
      await fetch(location);
      break;
    } catch {
      await new Promise((done) => setTimeout(done, 500));
    }
  }
}
