// Opens the page of the documents in a real browser: nothing breaks its policy, Execute works, a frame and a page of
// another origin get nothing. Exits with 0, or says what was wrong.
//
//   node docs_browser.mjs ORIGIN CHROMIUM PLAYWRIGHT [SCREENSHOT]

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const [origin, executablePath, playwright, screenshot] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(playwright);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage();
page.setDefaultTimeout(15_000);
const faults = [];
page.on("pageerror", (error) => faults.push(String(error)));
page.on("console", (message) => message.type() === "error" && faults.push(message.text()));

await page.goto(`${origin}/docs`);
const operation = page.locator(".opblock").filter({ hasText: "echo" }).first();
await operation.waitFor();
await operation.locator(".opblock-summary").click();
await operation.getByRole("button", { name: "Try it out" }).click();
await operation.getByRole("button", { name: "Execute" }).click();
await operation.locator(".live-responses-table .response-col_status").filter({ hasText: /200|422/ }).first().waitFor();
if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
assert.deepEqual(faults.filter((it) => !/status of 422/.test(it)), []);
assert.equal(await page.evaluate(() => localStorage.length), 0, "the page keeps nothing");
await page.goto(`${origin}/admin`);
await page.locator("dialog, main").first().waitFor();
if (screenshot) await page.screenshot({ path: `${screenshot}.admin.png` });
assert.deepEqual(faults.filter((it) => !/status of (401|403|422)/.test(it)), []);

// A page of another origin.
const server = createServer((_, response) => {
  response.setHeader("content-type", "text/html");
  response.end(`<iframe src="${origin}/docs"></iframe>`);
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
await page.goto(`http://localhost:${server.address().port}/`);
const called = await page.evaluate(async (url) => {
  const sent = await fetch(`${url}/good/echo`, { method: "POST", body: "{}", mode: "no-cors" }).then((it) => it.type, () => "failed");
  const read = await fetch(`${url}/openapi.json`).then(() => "read", () => "refused");
  return { sent, read };
}, origin);
assert.equal(called.read, "refused");
assert.ok(["opaque", "failed"].includes(called.sent));
assert.ok(faults.some((it) => /frame-ancestors/.test(it)), `the frame is refused: ${faults.join("\n")}`);
server.close();
await browser.close();
