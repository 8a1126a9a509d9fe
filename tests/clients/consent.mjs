// The consent page in a real browser: node consent.mjs CHROMIUM URL PASSPHRASE PICTURES
// URL asks for read and write and leads back to http://127.0.0.1:PORT/callback, where this listens.
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const [, , executablePath, url, passphrase, pictures] = process.argv;
const asked = new URL(url);
const back = new URL(asked.searchParams.get('redirect_uri'));
const arrived = [];
const server = createServer((request, reply) => {
  arrived.push(request.url);
  reply.setHeader('content-type', 'text/html');
  reply.end('<!doctype html><link rel="icon" href="data:,"><title>Back</title>');
}).listen(back.port, back.hostname);

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const complaints = [];
const strangers = [];

/// A browser of its own, which writes down what it complains of and whom else it asks.
async function visitor(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on('console', (message) => {
    // That the status of a page was 403 is said there as well.
    const isStatus = message.text().startsWith('Failed to load resource: the server responded with a status of');
    if (['error', 'warning'].includes(message.type()) && !isStatus) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    const { host, protocol } = new URL(request.url());
    if (protocol !== 'data:' && ![asked.host, back.host].includes(host)) strangers.push(request.url());
  });
  return page;
}

/// Wider than the window, which on a phone means scrolling sideways.
const overflows = (page) => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);

async function tour(name, options) {
  const page = await visitor(options);
  const seen = {};
  await page.goto(url);
  seen.title = await page.title();
  seen.text = await page.locator('main').innerText();
  seen.overflows = await overflows(page);
  seen.boxes = await page.getByRole('checkbox').count();
  await page.screenshot({ path: `${pictures}/${name}-asked.png`, fullPage: true });

  await page.locator('input[type=checkbox][value=write]').uncheck();
  await page.getByLabel('Your passphrase').fill('not the passphrase');
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  seen.wrong = await page.getByRole('alert').innerText();
  await page.screenshot({ path: `${pictures}/${name}-wrong.png`, fullPage: true });

  seen.ticked = await page.locator('input[type=checkbox]:checked').evaluateAll((boxes) => boxes.map((box) => box.value));
  await page.getByLabel('Your passphrase').fill(passphrase);
  // As on a phone, whose keyboard sends the form: the first button is the one that allows.
  await page.keyboard.press('Enter');
  await page.waitForURL((now) => now.host === back.host);
  seen.allowed = page.url();

  await page.goto(url);
  seen.asksAgain = await page.getByLabel('Your passphrase').count();
  await page.screenshot({ path: `${pictures}/${name}-known.png`, fullPage: true });
  await page.getByRole('button', { name: 'Don’t allow' }).click();
  await page.waitForURL((now) => now.host === back.host);
  seen.denied = page.url();
  await page.context().close();
  return seen;
}

const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
const desktop = { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' };
const seen = { phone: await tour('phone', phone), desktop: await tour('desktop', desktop) };
await browser.close();
server.close();
console.log(JSON.stringify({ ...seen, complaints, strangers, arrived }));
