// Drives the admin page in a real browser, as an administrator would. Exits with 0, or says what was wrong.
//
//   node browser.mjs ORIGIN KEY CHROMIUM PLAYWRIGHT     (the folder of playwright-core)

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [origin, key, executablePath, playwright] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(playwright);
/** A name that would be a script if any text went into the page as HTML. */
const EVIL = "<img src=x onerror=alert(1)>";

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"],
});
const page = await browser.newPage();
page.setDefaultTimeout(8_000);
const faults = [];
page.on("pageerror", (error) => faults.push(String(error)));
page.on("console", (message) => {
  // Refusals are part of this; what the policy of the page stops is not.
  if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) faults.push(message.text());
});
page.on("request", (request) => {
  if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith("data:")) faults.push(`asked ${request.url()}`);
});
page.on("dialog", (dialog) => {
  if (dialog.type() === "alert") faults.push("a text became a script");
  return dialog.accept();
});
const says = (selector, pattern) => page.locator(selector).filter({ hasText: pattern }).first().waitFor();
const go = async (section, field) => {
  await page.click(`nav a[href="#${section}"]`);
  await page.locator(`form [name=${field}]`).waitFor();
};

async function signsIn() {
  await page.goto(`${origin}/admin`);
  await page.fill("dialog [name=key]", "wrong");
  await page.press("dialog [name=key]", "Enter");
  await says("#sign-in-error", "Invalid API key");
  await page.fill("dialog [name=key]", key);
  await page.press("dialog [name=key]", "Enter");
  await says("#who", "ops · API key");
  await says("main td", "ready");
}

async function grants() {
  await go("access", "bridge");
  await page.fill("[name=group]", EVIL);
  await page.fill("[name=bridge]", "good");
  await page.fill("[name=tools]", "e*");
  await page.click("form button.main");
  await says("main .tag", "good: e*");
  await says("main td strong", EVIL);
  await page.fill("[name=group]", "a,b");
  await page.fill("[name=bridge]", "good");
  await page.click("form button.main");
  await says("form .error", "no comma");
  await go("people", "email");
  await page.fill("[name=email]", "Ann@example.org");
  await page.fill("[name=group_name]", EVIL);
  await page.click("form button.main");
  await says("main td strong", "ann@example.org");
}

async function explains() {
  await go("explain", "user");
  await page.fill("[name=user]", "ann@example.org");
  await page.fill("[name=bridge]", "good");
  await page.fill("[name=tool]", "echo");
  await page.click("form button.main");
  await says("main .answer", "Yes");
  await page.fill("[name=tool]", "pid");
  await page.click("form button.main");
  await says("main .answer", "No");
}

async function revokes() {
  await go("access", "bridge");
  await page.click(`[aria-label="Revoke good: e* from ${EVIL}"]`);
  await says("#toast", "may no longer use");
  await page.locator("main .tag", { hasText: "good: e*" }).waitFor({ state: "detached" });
  await page.click("#toast-button");
  await says("main .tag", "good: e*");
}

async function makesKeys() {
  await go("keys", "days");
  await page.fill("[name=name]", "robot");
  await page.click("form button.main");
  await says("main .key", "mcpb_");
  await page.click("nav a[href='#changes']");
  await says("main td", "add key");
  await page.click("nav a[href='#keys']");
  await says("main td strong", "robot");
  assert.equal(await page.locator("main .key").count(), 0, "the key is shown again");
}

async function keepsCredentials() {
  const value = "the-value-of-this-key";
  await go("credentials", "key_name");
  const [keys, endpoints] = [page.locator("main form").first(), page.locator("main form").last()];
  await keys.locator("[name=tenant_id]").fill(EVIL);
  await keys.locator("[name=server_id]").fill("good");
  await keys.locator("[name=key_name]").fill("GITHUB TOKEN");
  await keys.locator("[name=key_value]").fill(value);
  await keys.locator("button.main").click();
  await says("form .error", "is not a valid variable name");
  await keys.locator("[name=key_name]").fill("GITHUB_TOKEN");
  await keys.locator("button.main").click();
  await says("main td strong", EVIL);
  await says("#toast", "with its own GITHUB_TOKEN");
  assert.ok(!(await page.content()).includes(value), "the value is shown");
  await endpoints.locator("[name=tenant_id]").fill("readers");
  await endpoints.locator("[name=server_id]").fill("good");
  await endpoints.locator("[name=endpoint_url]").fill("ftp://example.org");
  await endpoints.locator("button.main").click();
  await says("form .error", "use http:// or https://");
  await endpoints.locator("[name=endpoint_url]").fill("https://readers.example.org/mcp");
  await endpoints.locator("button.main").click();
  await says("main td code", "https://readers.example.org/mcp");
  await page.click(`[aria-label="Remove GITHUB_TOKEN of ${EVIL} for good"]`);
  await says("#toast", "Removed GITHUB_TOKEN");
  await says("main .empty", "No group has a key");
  await page.click(`[aria-label="Remove the endpoint of readers for good"]`);
  await says("main .empty", "No group has an endpoint");
  await page.click("#toast-button");
  await says("main td code", "https://readers.example.org/mcp");
}

async function readsCalls() {
  await page.goto(`${origin}/admin#calls?outcome=not_found`);
  await says("main td", EVIL);
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("text=CSV")]);
  assert.equal(file.suggestedFilename(), "calls.csv");
  await page.fill("[name=since]", "yesterday");
  await page.press("[name=since]", "Enter");
  await says("main .note", "is not a valid time");
}

try {
  for (const step of [signsIn, grants, explains, revokes, makesKeys, keepsCredentials, readsCalls]) {
    await step().catch(async (error) => {
      throw new Error(`${step.name}: ${error.message}\nthe page says:\n${await page.innerText("body")}`);
    });
  }
  assert.deepEqual(faults, []);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await browser.close();
}
