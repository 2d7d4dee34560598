#!/usr/bin/env node
// The pictures of the README, cut from the lab's own page:
//
//     node crops.mjs LAB_URL FOLDER
//
// Three moments: a call rings everywhere, calls are forwarded, and the same call is silent. And the whole page, for those who want more.

import path from "node:path";
import { chromium } from "playwright-core";

const [url, folder] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node crops.mjs LAB_URL FOLDER");
  process.exit(2);
}
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const context = await browser.newContext({ viewport: { width: 1010, height: 860 }, reducedMotion: "reduce", colorScheme: "light" });
const page = await context.newPage();
const phone = (name) => page.getByTestId(`phone-${name}`);
const web = page.frameLocator('[data-testid="frame-web"]');

/** From the headline down to the end of the phones' glass: both phones, and the first window beside them. */
async function crop(name) {
  const head = await page.locator(".headline").boundingBox();
  const glass = await phone("iphone").getByTestId("screen").boundingBox();
  const clip = { x: head.x - 6, y: head.y - 6, width: head.width + 12, height: glass.y + glass.height + 20 - head.y };
  await page.screenshot({ path: path.join(folder, `${name}.png`), clip });
}

await page.goto(url);
await page.getByTestId("start-demo").click();
await web.getByTestId("live").waitFor();
await page.getByTestId("agree").filter({ hasText: "6 screens agree" }).waitFor();

await page.getByTestId("incoming-call").click();
for (const name of ["iphone", "android"]) await phone(name).getByTestId("ringing").waitFor();
await web.getByTestId("answer").waitFor();
await crop("lab-ring");
await page.getByTestId("lab-hang-up").click();
for (const name of ["iphone", "android"]) await phone(name).getByTestId("ringing").waitFor({ state: "hidden" });

await phone("android").getByTestId("forwarding-number").fill("+33612345678");
await phone("android").getByTestId("forwarding-on").click();
for (const name of ["iphone", "android"]) await phone(name).getByTestId("banner").waitFor();
await web.getByTestId("forwarding-off").waitFor();
await crop("lab-forward");

await page.getByTestId("incoming-call").click();
await page.getByTestId("verdict").filter({ hasText: "Both phones stay silent" }).waitFor();
await web.getByTestId("call").filter({ hasText: /press 1/i }).waitFor();
await crop("lab-silent");
await page.setViewportSize({ width: 1440, height: 900 });
await page.screenshot({ path: path.join(folder, "lab.png") });
await browser.close();
