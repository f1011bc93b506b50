// Looks at the status page in a real browser: node status_page.cjs ADDRESS [DIRECTORY FOR PICTURES]
//
// The server at ADDRESS has 10,000 components `fleet-…`, and `worker-live`, which reports all the time.
"use strict";
const assert = require("node:assert/strict");
const { chromium } = require("playwright-core");

const [address, pictures] = process.argv.slice(2);
/** How long anything that a person waits for may take, on a machine that is busy with other tests. */
const SOON_MS = 20_000;
/** What happens within the page itself, as filtering 10,000 rows, must be far quicker. */
const AT_ONCE_MS = 3_000;

async function main() {
  // Root, as in a container, has no sandbox; `--disable-dev-shm-usage` is for a small /dev/shm.
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
  try {
    await look(await browser.newPage({ viewport: { width: 1360, height: 1100 } }));
  } finally {
    await browser.close();
  }
}

async function look(page) {
  page.setDefaultTimeout(SOON_MS);
  const wrong = [];
  let expected = false;
  page.on("console", (message) => {
    if (message.type() === "error" && !expected) wrong.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`error: ${error.stack}`));
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
  });
  const picture = async (name) => pictures && page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
  const textOf = (selector) => page.locator(selector).innerText();

  await page.goto(`http://${address}/`);
  await page.waitForFunction(() => /[1-9]/.test(document.querySelector("#card-rate .value").textContent));
  await page.waitForFunction(() => /s$/.test(document.querySelector("#card-ack .value").textContent));
  assert.match(await textOf("#state-text"), /^up for /);

  // Ten thousand rows are there, and only those in view have elements.
  await page.waitForFunction(() => /^10,\d{3}$/.test(document.getElementById("components-count").textContent));
  const components = page.locator("#components-grid");
  assert(Number(await components.getAttribute("aria-rowcount")) > 10_000);
  assert(await components.locator("[role=row]").count() < 60);
  await atOnce("sorting", () => components.getByRole("button", { name: "Last heard" }).click());
  await atOnce("going to the end", async () => {
    await components.getByRole("button", { name: "Name" }).click();
    await components.focus();
    await page.keyboard.press("End");
    await components.locator("[role=row]", { hasText: "worker-live" }).waitFor();
  });
  await atOnce("searching", async () => {
    await page.getByLabel("Search").first().fill("WORKER liv");
    await page.waitForFunction(() => document.getElementById("components-count").textContent.startsWith("1 of "));
  });

  // By the mouse to the component, by the keyboard to its series.
  await components.locator("[role=row]", { hasText: "worker-live" }).click();
  const series = page.locator("#series-grid");
  await series.locator("[role=row]", { hasText: "queue_depth" }).waitFor();
  await series.focus();
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => /\d+ points, /.test(document.getElementById("chart-summary").textContent));
  assert.equal(await textOf("#chart-title"), "queue_depth");
  assert(Number(/(\d+) points/.exec(await textOf("#chart-summary"))[1]) >= 60);
  assert(await drawnPixels(page) > 500, "a line is drawn");
  await picture("light");

  const light = await ground(page);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.notEqual(await ground(page), light);
  assert(await drawnPixels(page) > 500, "a line is drawn in the dark, too");
  await picture("dark");
  await page.getByLabel("Theme").selectOption("light");
  assert.equal(await ground(page), light);
  await page.setViewportSize({ width: 420, height: 900 });
  assert(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing hangs over");
  await picture("narrow");

  // A server that is away is said to be, and its return is noticed.
  expected = true;
  await page.route("**/metrics", (route) => route.abort());
  await page.getByRole("alert").filter({ hasText: "The server: it cannot be reached." }).waitFor();
  assert.equal(await textOf("#state-text"), "no answer");
  await picture("away");
  await page.unroute("**/metrics");
  await page.getByRole("alert").waitFor({ state: "hidden" });
  expected = false;

  // Nothing is asked while nobody looks.
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await page.waitForLoadState("networkidle");
  const before = requests.length;
  await page.waitForTimeout(2_500);
  assert.equal(requests.length, before, `asked in the dark: ${requests.slice(before)}`);

  const elsewhere = requests.filter((url) => !url.startsWith(`http://${address}/`) && !url.startsWith("data:"));
  assert.deepEqual(elsewhere, []);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
  assert.deepEqual(wrong, []);
}

async function atOnce(what, work) {
  const began = performance.now();
  await work();
  const took = performance.now() - began;
  console.log(`${what} took ${took.toFixed(0)} ms`);
  assert(took < AT_ONCE_MS, `${what} took ${took} ms`);
}

const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

/** Pixels of the chart that have a strong colour, as only its line has. */
const drawnPixels = (page) => page.evaluate(() => {
  const canvas = document.querySelector("#chart-plot canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let drawn = 0;
  for (let at = 0; at < data.length; at += 4) {
    const [red, , blue, alpha] = data.subarray(at, at + 4);
    if (alpha > 128 && blue - red > 60) drawn += 1;
  }
  return drawn;
});

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
