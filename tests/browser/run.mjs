#!/usr/bin/env node
// The lab's story, told with real clicks in a real browser:
//
//     node run.mjs LAB_URL [SCREENSHOT_DIR [OTHER_LAB_URL]]
//
// With another lab, two labs are open in one browser. axe-core looks at every page and state that the story comes to.
// Chromium is /usr/bin/chromium, or what the environment variable CHROMIUM names. Each check prints one line; the exit code is 0
// when all passed. Nothing sleeps: every wait is for something that can be seen on the page. A failed check leaves a picture.

import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = path.dirname(fileURLToPath(import.meta.url));
const url = process.argv[2];
const otherUrl = process.argv[4];
const pictures = path.resolve(process.argv[3] ?? path.join(here, "../../target/browser"));
if (!url) {
  console.error("usage: node run.mjs LAB_URL [SCREENSHOT_DIR [OTHER_LAB_URL]]");
  process.exit(2);
}

const PATIENCE = 20_000;
const FORWARD_TO = "+33612345678";

// -------------------------------------------------------------------------------------------------------------- checks

const results = { passed: 0, failed: 0, failedNames: new Set() };
let camera = null; // the page to take a picture of when a check fails

/** Runs one check. `after` names checks without which it makes no sense. */
async function check(name, work, { after = [] } = {}) {
  const missing = after.find((earlier) => results.failedNames.has(earlier));
  try {
    if (missing) throw new Error(`not tried, because this failed: ${missing}`);
    await work();
    results.passed += 1;
    console.log(`ok - ${name}`);
  } catch (error) {
    results.failed += 1;
    results.failedNames.add(name);
    console.log(`not ok - ${name}`);
    console.log(String(error.message).split("\n").slice(0, 8).map((line) => `    ${line}`).join("\n"));
    if (!missing && camera) {
      const file = path.join(pictures, `failed-${name.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 70)}.png`);
      await camera.screenshot({ path: file, fullPage: true }).then(() => console.log(`    picture: ${file}`), () => {});
    }
  }
}

function assert(condition, message) {
  if (!condition) throw new Error(message);
}

/** Waits until a locator is visible; says in words what was expected when it is not. */
async function see(locator, what) {
  await locator.first().waitFor({ state: "visible", timeout: PATIENCE }).catch((error) => {
    throw new Error(`expected to see ${what}; ${error.message.split("\n")[0]}`);
  });
}

async function gone(locator, what) {
  await locator.first().waitFor({ state: "hidden", timeout: PATIENCE }).catch((error) => {
    throw new Error(`expected not to see ${what} any more; ${error.message.split("\n")[0]}`);
  });
}

/** Waits until an element with this test id also matches a CSS condition such as `[data-effective="available"]`. */
const saw = (scope, testid, condition, what) => see(scope.locator(`[data-testid="${testid}"]${condition}`), what);

/** For people to look at. A browser too busy to draw one fails no check. */
const picture = (page, name) => page.screenshot({ path: path.join(pictures, `${name}.png`) })
  .catch((error) => console.log(`    no picture ${name}: ${error.message.split("\n")[0]}`));

// ----------------------------------------------------------------------------------------------------------------- browser

await mkdir(pictures, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** What the browser complained about, minus what a check provoked on purpose. */
const complaints = [];
const provoked = [
  // Somebody else's change came first: the page sends the tap again, and Chromium logs the 412 all the same.
  { status: 412, url: /\/v1\/me\// },
  // A reset ends the backend, whose pages ask once more before they go.
  { status: "ERR_CONNECTION_REFUSED", url: /./ },
]; // {status, url: RegExp}

function listen(page, where) {
  page.on("pageerror", (error) => complaints.push(`${where}: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const text = message.text();
    const place = message.location().url ?? "";
    if (place.endsWith("/favicon.ico")) return;
    if (provoked.some(({ status, url }) => (text.includes(`status of ${status}`) || text.includes(`net::${status}`)) && url.test(place))) return;
    complaints.push(`${where}: ${text} (${place})`);
  });
}

const context = await browser.newContext({ viewport: { width: 1600, height: 1000 }, colorScheme: "light", reducedMotion: "reduce" });
context.setDefaultTimeout(PATIENCE);
const page = await context.newPage();
camera = page;
listen(page, "lab");

const iphone = page.getByTestId("phone-iphone");
const android = page.getByTestId("phone-android");
const both = [["the iPhone", iphone], ["the Android phone", android]];
const web = page.frameLocator('[data-testid="frame-web"]');
const desktop = page.frameLocator('[data-testid="frame-desktop"]');
const dashboard = page.frameLocator('[data-testid="frame-dashboard"]');
const cti = page.frameLocator('[data-testid="frame-cti"]');

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds on a page and in all its frames is a failure. */
async function axe(target, what) {
  const found = [];
  for (const frame of target.frames()) {
    if (frame.isDetached() || !/^http/.test(frame.url())) continue;
    const violations = await frame.evaluate(async (source) => {
      if (!window.axe) (0, eval)(source);
      const { violations } = await window.axe.run(document, { iframes: false, resultTypes: ["violations"] });
      return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, any }) => `${html.slice(0, 110)} ${any[0]?.message ?? ""}`).join(" | ")}`);
    }, AXE).catch((error) => (frame.isDetached() ? [] : [error.message]));
    found.push(...violations.map((violation) => `${what}, ${new URL(frame.url()).pathname}: ${violation}`));
  }
  assert(found.length === 0, `axe found ${found.length}:\n${found.join("\n")}`);
}

const labView = async () => (await page.request.get(new URL("/lab/view", url).href)).json();

async function fillLogin(frame, account, password = account.password) {
  await frame.getByTestId("login-email").fill(account.email);
  await frame.getByTestId("login-password").fill(password);
  await frame.getByTestId("login-submit").click();
}

/** A call from a caller with a name of its own, so that what the page says is about this call and no other. */
let calls = 0;
async function ring({ byKey = false } = {}) {
  calls += 1;
  const name = `Caller ${calls}`;
  await page.getByTestId("call-from-name").fill(name);
  await page.evaluate(() => { window.rangSince = []; });
  if (byKey) {
    await page.getByTestId("call-from-name").blur();
    await page.keyboard.press("c");
  } else {
    await page.getByTestId("incoming-call").click();
  }
  await see(page.getByTestId("why-caller").filter({ hasText: new RegExp(`^${name}$`) }), `the explanation of the call of ${name}`);
  return name;
}

async function endCall() {
  const button = page.getByTestId("lab-hang-up");
  if (await button.isEnabled()) await button.click();
  await see(page.locator('[data-testid="lab-hang-up"]:disabled'), "the call to be over");
  for (const [name, phone] of both) {
    await gone(phone.getByTestId("ringing"), `${name} ringing`);
    await gone(phone.getByTestId("in-call"), `${name} in a call`);
  }
}

/** Presses "Available" on the web; where a call left after-call work, lets that pass by the lab's clock. */
async function becomeAvailable() {
  await web.getByTestId("availability-available").click();
  await saw(web, "availability-available", '[aria-pressed="true"]', "“Available” confirmed on the web");
  const settled = web.locator('[data-testid="effective"]:is([data-effective="available"], [data-effective="after_call_work"])');
  await see(settled, "the web available or in after-call work");
  const available = web.locator('[data-testid="effective"][data-effective="available"]');
  for (let minute = 0; minute < 10 && !(await available.isVisible()); minute += 1) {
    await page.getByTestId("advance-minute").click();
    await available.waitFor({ timeout: 2000 }).catch(() => {});
  }
  for (const [name, place] of [["the web", web], ...both]) await saw(place, "effective", '[data-effective="available"]', `${name} available`);
}

// -------------------------------------------------------------------------------------------------------------------- story

let account;

await check("the lab opens with two phones and says that it is connected", async () => {
  await page.goto(url);
  await see(page.getByTestId("lab-link").filter({ hasText: "Connected" }), "“Connected”");
  for (const [name, phone] of both) await see(phone.getByTestId("screen"), name);
  const { accounts } = await labView();
  // One that may open the Dashboard, at best without a second factor; supervisors last: the demo's signs in by SSO only.
  const cost = ({ role, totp_code: code }) => ({ admin: 0, owner: 0, supervisor: 2 }[role] ?? 4) + (code ? 1 : 0);
  account = accounts.filter(({ password }) => password).sort((a, b) => cost(a) - cost(b))[0];
  assert(account, "the lab offers no demo account with a password");
  // Remembers every moment at which a phone showed an incoming call: a ring that came and went counts as well.
  await page.evaluate(() => {
    window.rangSince = [];
    new MutationObserver((changes) => {
      for (const { target } of changes) {
        if (target.dataset?.testid === "ringing" && !target.hidden) window.rangSince.push(target.closest("[data-phone]").dataset.phone);
      }
    }).observe(document.getElementById("phones"), { subtree: true, attributes: true, attributeFilter: ["hidden"] });
  });
  await page.getByTestId("show-conditions").click();
  await picture(page, "1-start");
});
if (results.failed) {
  console.log(`${results.passed} passed, ${results.failed} failed`);
  await browser.close();
  process.exit(1);
}

const iphoneLogin = iphone.frameLocator('[data-testid="login-frame"]');

await check("a wrong password is refused with a message that does not say which part was wrong", async () => {
  await iphone.getByTestId("sign-in").click();
  provoked.push({ status: 401, url: /\/login\?/ });
  await fillLogin(iphoneLogin, account, "certainly not this one");
  const error = iphoneLogin.getByTestId("login-error");
  await see(error, "the error on the login page");
  assert((await error.getAttribute("role")) === "alert", "the error has no role=alert");
  assert((await iphoneLogin.getByTestId("login-email").inputValue()) === account.email, "the e-mail was not kept");
  assert((await iphone.getAttribute("data-session")) === "signing_in", "the phone left the state signing_in");
  await picture(page, "2-wrong-password");
  await axe(page, "the lab with a sign-in under way");
});

await check("a minimised browser is not a cancel: what was typed is still there", async () => {
  await iphoneLogin.getByTestId("login-password").fill("half a passw");
  await iphone.getByTestId("browser-minimise").click();
  await see(iphone.getByTestId("back-to-browser"), "“Back to the browser”");
  await iphone.getByTestId("back-to-browser").click();
  await see(iphoneLogin.getByTestId("login-password"), "the login page");
  assert((await iphoneLogin.getByTestId("login-password").inputValue()) === "half a passw", "the typed password is gone");
});

const IPHONE_IN = "the iPhone signs in through the login page in its browser";
await check(IPHONE_IN, async () => {
  await fillLogin(iphoneLogin, account);
  await see(iphone.getByTestId("app"), "the app of the iPhone");
  await gone(iphone.getByTestId("login-frame"), "the iPhone's browser");
  await see(iphone.getByTestId("who").filter({ hasText: account.email }), `${account.email} in the app`);
});

const ANDROID_IN = "the Android phone signs in";
await check(ANDROID_IN, async () => {
  await android.getByTestId("sign-in").click();
  await fillLogin(android.frameLocator('[data-testid="login-frame"]'), account);
  await see(android.getByTestId("app"), "the app of the Android phone");
});

const WEB_IN = "Workspace web signs in";
await check(WEB_IN, async () => {
  await fillLogin(web, account);
  await see(web.getByTestId("live"), "Workspace web, live");
  await see(web.getByTestId("who-email").filter({ hasText: account.email }), `${account.email} on the web`);
  await saw(web, "link", '[data-link="live"]', "“Live” on the web");
});

await check("the CTI widget recognises the sign-in without credentials, for each CRM", async () => {
  await see(cti.getByTestId("live"), "the Zendesk widget, live");
  for (const host of ["salesforce", "hubspot", "zendesk"]) {
    await page.getByTestId("cti-host").selectOption(host);
    await see(cti.locator(`[data-surface="cti-${host}"]`).getByTestId("live"), `the ${host} widget, live`);
  }
}, { after: [WEB_IN] });

await check("the Dashboard recognises the sign-in, and asks for the second factor where there is one", async () => {
  if (account.role === "agent") return see(dashboard.getByTestId("get-the-app-page"), "the page that offers the app");
  if (account.totp_code) {
    await see(dashboard.getByTestId("totp-code"), "the page that asks for the code");
    const fresh = (await labView()).accounts.find(({ email }) => email === account.email);
    await dashboard.getByTestId("totp-code").fill(fresh.totp_code);
    await dashboard.getByTestId("totp-submit").click();
  }
  await see(dashboard.getByTestId("live"), "the Dashboard, live");
}, { after: [WEB_IN] });

const DESKTOP_IN = "the desktop app has a session of its own: it asks for credentials, then is live";
await check(DESKTOP_IN, async () => {
  await see(desktop.getByTestId("login-page"), "the login page in the desktop app");
  await fillLogin(desktop, account);
  await see(desktop.getByTestId("live"), "the desktop app, live");
});

const WEB_TO_PHONES = "availability set on the web shows on both phones";
await check(WEB_TO_PHONES, async () => {
  await becomeAvailable();
  await web.getByTestId("availability-on_a_break").click();
  await saw(web, "availability-on_a_break", '[aria-pressed="true"]', "“On a break” confirmed on the web");
  for (const [name, phone] of both) {
    await saw(phone, "effective", '[data-effective="do_not_disturb"]', `${name} in do not disturb`);
    await saw(phone, "availability-on_a_break", '[aria-pressed="true"]', `“On a break” on ${name}`);
  }
  await picture(page, "3-on-a-break-everywhere");
}, { after: [IPHONE_IN, ANDROID_IN, WEB_IN] });

await check("availability set on a phone shows on the web, the CTI widget and the other phone", async () => {
  await iphone.getByTestId("availability-out_for_lunch").click();
  for (const [name, place] of [...both, ["the web", web], ["the CTI widget", cti]]) {
    await saw(place, "availability-out_for_lunch", '[aria-pressed="true"]', `“Out for lunch” on ${name}`);
  }
  await android.getByTestId("availability-available").click();
  for (const [name, place] of [...both, ["the web", web]]) await saw(place, "effective", '[data-effective="available"]', `${name} available`);
}, { after: [IPHONE_IN, ANDROID_IN, WEB_IN] });

await check("a number that is none is refused with a message beside the field", async () => {
  provoked.push({ status: 422, url: /\/(v1\/me|lab\/phones\/\w+)\/forwarding/ });
  await web.getByTestId("forwarding-number").fill("0612");
  await web.getByTestId("forwarding-submit").click();
  await see(web.getByTestId("forwarding-error").filter({ hasText: /\w/ }), "an error about the number");
  assert((await web.getByTestId("forwarding-state").getAttribute("data-on")) === "false", "forwarding went on with a bad number");
}, { after: [WEB_IN] });

const FORWARDING_ON = "forwarding turned on at a phone shows on every screen, with a banner on the phones";
await check(FORWARDING_ON, async () => {
  await android.getByTestId("forwarding-number").fill(FORWARD_TO);
  await android.getByTestId("forwarding-on").click();
  for (const [name, phone] of both) {
    await see(phone.getByTestId("banner-text").filter({ hasText: /\+33/ }), `the banner on ${name}`);
    await see(phone.getByTestId("forwarding-off"), `the way to turn it off on ${name}`);
  }
  await see(web.getByTestId("forwarding-to").filter({ hasText: /\+33/ }), "the number on the web");
}, { after: [IPHONE_IN, ANDROID_IN, WEB_IN] });

const bothSilentAndWhy = async (verdict) => {
  for (const [name, key] of [["the iPhone", "iphone"], ["the Android phone", "android"]]) {
    const decision = page.getByTestId(`decision-${key}`);
    await saw(page, `decision-${key}`, '[data-verdict="silence"]', `silence of ${name}`);
    await see(decision.filter({ hasText: /forward/i }), `forwarding named as the reason of ${name}`);
    assert((await page.getByTestId(`outcome-${key}`).getAttribute("data-lamp")) === "silent", `the lamp of ${name} is not silent`);
  }
  await see(page.getByTestId("verdict").filter({ hasText: verdict }), `the sentence ${verdict}`);
};

const neverRang = async () => {
  const rang = await page.evaluate(() => window.rangSince);
  assert(rang.length === 0, `rang in spite of forwarding: ${rang.join(", ")}`);
};

await check("forwarding on: an incoming call rings neither phone, and the explanation names forwarding", async () => {
  await ring();
  await bothSilentAndWhy(/The server sent no push: forwarding is on\. Both phones stay silent/);
  await picture(page, "4-forwarding-silent");
  await endCall();
  await neverRang();
}, { after: [FORWARDING_ON] });

await check("forwarding on, with an old server that pushes all the same: the phones themselves decide to stay silent", async () => {
  await page.getByTestId("old-server").click();
  await saw(page, "old-server", '[aria-checked="true"]', "the old server switched on");
  try {
    await ring();
    await bothSilentAndWhy(/The server pushed; both phones refused: forwarding is on/);
    for (const key of ["iphone", "android"]) {
      await see(page.getByTestId(`decision-${key}`).getByTestId("rule").filter({ hasText: "decided by the phone" }), `the phone's own rule on ${key}`);
    }
    await picture(page, "5-old-server-silent");
    await endCall();
    await neverRang();
    await see(page.getByTestId("verdict").filter({ hasText: /both phones refused: forwarding is on/ }), "the reason of then, after the call is over");
  } finally {
    await page.getByTestId("old-server").click();
    await saw(page, "old-server", '[aria-checked="false"]', "the old server switched off");
  }
}, { after: [FORWARDING_ON] });

await check("forwarding on: the call is offered at the number, and is the agent's once 1 is pressed there", async () => {
  const name = await ring();
  const told = (words) => Promise.all(both.map(([place, phone]) => see(phone.getByText(words), `${place} telling of it`)));
  await told(`${name} is being offered at`);
  await see(web.getByTestId("call").filter({ hasText: /press 1/i }), "the offer on the web");
  await page.getByTestId("leg-picked-up").click();
  await picture(page, "5a-offered-at-the-number");
  await page.getByTestId("leg-pressed-1").click();
  await told(`${name} is on the line at`);
  await see(page.getByTestId("why-state").filter({ hasText: /answered by the forwarding number/i }), "who has the call");
  await picture(page, "5b-spoken-at-the-number");
  await page.getByTestId("leg-hung-up").click();
  await see(page.getByTestId("why-state").filter({ hasText: /over, answered by the forwarding number/i }), "the end of the call, and who had it");
  await see(page.getByTestId("outcome-forwarded").filter({ hasText: "Answered" }), "that the number had answered");
  await becomeAvailable();
  await ring();
  await page.getByTestId("leg-busy").click();
  await see(page.getByTestId("why-state").filter({ hasText: /back in the queue: the number is busy/i }), "where the call goes");
  await neverRang();
}, { after: [FORWARDING_ON] });

const FORWARDING_OFF = "one tap on a phone's banner turns forwarding off everywhere";
await check(FORWARDING_OFF, async () => {
  await iphone.getByTestId("forwarding-off").click();
  for (const [name, phone] of both) await gone(phone.getByTestId("banner"), `the banner on ${name}`);
  await see(web.getByTestId("forwarding-number"), "the field for a number on the web");
}, { after: [FORWARDING_ON] });

const RINGS = "forwarding off: the same call rings both phones and the web";
await check(RINGS, async () => {
  await becomeAvailable();
  const name = await ring({ byKey: true });
  for (const [phoneName, phone] of both) await see(phone.getByTestId("ring-name").filter({ hasText: name }), `${phoneName} ringing for ${name}`);
  await see(web.getByTestId("answer"), "the call on the web");
  await saw(page, "verdict", '[data-ring="ring"]', "the sentence that something rings");
  for (const key of ["iphone", "android"]) await saw(page, `decision-${key}`, '[data-verdict="ring"]', `the decision to ring of ${key}`);
  await picture(page, "6-ringing");
  await axe(page, "a call that rings");
}, { after: [IPHONE_IN, ANDROID_IN, WEB_IN, FORWARDING_OFF] });

await check("answered on the iPhone: the Android phone and the web stop ringing, all show the call", async () => {
  await iphone.getByTestId("answer").click();
  await see(iphone.getByTestId("in-call"), "the iPhone in the call");
  await gone(android.getByTestId("ringing"), "the Android phone ringing");
  await gone(web.getByTestId("answer"), "the web ringing");
  await see(page.getByTestId("why-state").filter({ hasText: /answered/i }), "that the call was answered");
  await saw(web, "effective", '[data-effective="in_call"]', "the web in a call");
  await saw(android, "effective", '[data-effective="in_call"]', "the Android phone showing “in a call”");
  await picture(page, "7-answered");
  await iphone.getByTestId("hang-up").click();
  await gone(iphone.getByTestId("in-call"), "the iPhone in the call");
  await see(page.locator('[data-testid="lab-hang-up"]:disabled'), "the call to be over");
}, { after: [RINGS] });

await check("answered on the web: both phones stop ringing; hanging up there ends the call", async () => {
  await becomeAvailable();
  await ring();
  for (const [name, phone] of both) await see(phone.getByTestId("ringing"), `${name} ringing`);
  await web.getByTestId("answer").click();
  await see(web.getByTestId("hang-up"), "the call on the web");
  for (const [name, phone] of both) await gone(phone.getByTestId("ringing"), `${name} ringing`);
  await web.getByTestId("hang-up").click();
  await see(page.locator('[data-testid="lab-hang-up"]:disabled'), "the call to be over");
}, { after: [RINGS] });

await check("network cut: the phone stays signed in, says that it is offline, and catches up afterwards", async () => {
  await iphone.getByTestId("network").click();
  await saw(iphone, "network", '[aria-checked="false"]', "the cable out");
  await saw(iphone, "link", ':is([data-link="offline"], [data-link="connecting"])', "in the app that it has no connection");
  assert((await iphone.getAttribute("data-session")) === "signed_in", "the phone is not signed in any more");
  await see(iphone.getByTestId("who").filter({ hasText: account.email }), "who is signed in");
  await web.getByTestId("availability-in_training").click();
  await saw(android, "availability-in_training", '[aria-pressed="true"]', "“In training” on the Android phone");
  assert((await iphone.getByTestId("availability-in_training").getAttribute("aria-pressed")) === "false", "the phone without network knows the change");
  await picture(page, "8-offline");
  await iphone.getByTestId("network").click();
  await saw(iphone, "availability-in_training", '[aria-pressed="true"]', "“In training” on the iPhone, after the cable is back");
  await saw(iphone, "link", ':is([data-link="live"], [data-link="polling"])', "“Live” in the app");
}, { after: [WEB_TO_PHONES] });

await check("killed and started again: the phone is signed in and has the state, without a new sign-in", async () => {
  await android.getByTestId("power").click();
  await see(android.getByTestId("power-off"), "the killed app");
  await android.getByTestId("start-screen").click();
  await see(android.getByTestId("app"), "the app");
  await see(android.getByTestId("who").filter({ hasText: account.email }), "who is signed in");
  await saw(android, "link", ':is([data-link="live"], [data-link="polling"])', "“Live” in the app");
}, { after: [ANDROID_IN] });

await check("the access token expires: the phone renews it and stays signed in", async () => {
  await iphone.getByTestId("expire-token").click();
  await web.getByTestId("availability-back_office").click();
  await saw(iphone, "availability-back_office", '[aria-pressed="true"]', "the next change on the iPhone");
  await iphone.getByTestId("availability-available").click();
  await saw(web, "availability-available", '[aria-pressed="true"]', "a change of the iPhone on the web");
  assert((await iphone.getAttribute("data-session")) === "signed_in", "the phone is not signed in any more");
}, { after: [WEB_TO_PHONES] });

await check("signed out on the web, the CTI widget is signed out as well; the phones and the desktop app stay", async () => {
  await web.getByTestId("sign-out").click();
  await see(web.getByTestId("signed-out"), "the web signed out");
  await see(cti.getByTestId("signed-out"), "the CTI widget signed out");
  if (account.role !== "agent") await see(dashboard.getByTestId("signed-out"), "the Dashboard signed out");
  await see(web.getByTestId("sign-in"), "the way back in");
  for (const [name, phone] of both) assert((await phone.getAttribute("data-session")) === "signed_in", `${name} was signed out too`);
  await see(desktop.getByTestId("live"), "the desktop app, still live");
  await picture(page, "9-web-signed-out");
}, { after: [WEB_IN, DESKTOP_IN] });

await check("the time line tells what happened, filters by kind, and can be paused", async () => {
  const entries = page.getByTestId("entries");
  await page.getByTestId("timeline-fold").locator("summary").click();
  await see(entries.locator("li"), "entries");
  const present = (await labView()).timeline.map(({ kind }) => kind);
  const kind = ["decision", "request", "event"].find((name) => present.includes(name));
  assert(kind, "the time line has neither decisions nor requests nor events");
  await page.getByTestId("filter-kind").selectOption(kind);
  await see(entries.locator(`li[data-kind="${kind}"]`), `entries of kind ${kind}`);
  assert((await entries.locator(`li:not([data-kind="${kind}"])`).count()) === 0, "the filter lets others through");
  await page.getByTestId("filter-kind").selectOption("");
  await page.getByTestId("pause").click();
  await saw(page, "pause", '[aria-pressed="true"]', "“Resume”");
  await page.getByTestId("pause").click();
});

await check("the Dashboard asks an account that has one for its second factor; Workspace does not", async () => {
  const { accounts, base } = await labView();
  const guarded = accounts.find(({ role, password, totp_code: code }) => role !== "agent" && password && code);
  assert(guarded, "no demo account has a second factor");
  const other = await browser.newContext({ viewport: { width: 420, height: 800 } });
  try {
    const dash = await other.newPage();
    camera = dash;
    listen(dash, "second factor");
    await dash.goto(`${base}/app/web`);
    await fillLogin(dash, guarded);
    await see(dash.getByTestId("live"), "Workspace web, without a code");
    await dash.goto(`${base}/app/dashboard`);
    await see(dash.getByTestId("totp-code"), "the page that asks for the code");
    await picture(dash, "10-second-factor");
    await axe(dash, "the second factor");
    const { accounts: now } = await labView();
    await dash.getByTestId("totp-code").fill(now.find(({ email }) => email === guarded.email).totp_code);
    await dash.getByTestId("totp-submit").click();
    await see(dash.getByTestId("live"), "the Dashboard");
  } finally {
    camera = page;
    await other.close();
  }
});

await check("an agent who opens the Dashboard is offered the app", async () => {
  const { accounts, base } = await labView();
  const agent = accounts.find(({ role }) => role === "agent");
  assert(agent, "no demo account has the role agent");
  const other = await browser.newContext({ viewport: { width: 420, height: 800 } });
  try {
    const dash = await other.newPage();
    camera = dash;
    listen(dash, "Dashboard");
    await dash.goto(`${base}/app/dashboard`);
    await fillLogin(dash, agent);
    await see(dash.getByTestId("get-the-app-page"), "the page that offers the app");
    await picture(dash, "10-get-the-app-instead");
    await axe(dash, "the page that offers the app");
  } finally {
    camera = page;
    await other.close();
  }
});

// ------------------------------------------------------------------------------------------------------ for everybody's use

/** Names and roles as assistive technology gets them: the browser's own accessibility tree. */
async function accessibilityTree(target) {
  const session = await target.context().newCDPSession(target);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  await session.detach();
  return nodes.filter((node) => !node.ignored).map((node) => ({
    role: node.role?.value,
    name: (node.name?.value ?? "").trim(),
    level: node.properties?.find(({ name }) => name === "level")?.value?.value,
  }));
}

async function assertAccessible(target, what) {
  const tree = await accessibilityTree(target);
  const operable = new Set(["button", "link", "textbox", "switch", "combobox", "checkbox", "menuitem", "searchbox", "PopUpButton"]);
  const nameless = tree.filter(({ role, name }) => operable.has(role) && !name);
  assert(nameless.length === 0, `${what}: without a name: ${nameless.map(({ role }) => role).join(", ")}`);
  const headings = tree.filter(({ role, level }) => role === "heading" && level === 1);
  assert(headings.length === 1, `${what}: ${headings.length} headings of level 1`);
  assert(tree.filter(({ role }) => role === "main").length === 1, `${what}: not exactly one main landmark`);
}

await check("the lab is usable with assistive technology: names, one h1, landmarks, live regions", async () => {
  await assertAccessible(page, "the lab");
  const roles = (await accessibilityTree(page)).map(({ role }) => role);
  for (const landmark of ["banner", "main", "contentinfo", "region"]) assert(roles.includes(landmark), `no landmark ${landmark}`);
  assert((await page.getByTestId("verdict").getAttribute("aria-live")) === "assertive", "who rings is not announced");
  const unnamedFrames = await page.locator("iframe:not([title])").count();
  assert(unnamedFrames === 0, `${unnamedFrames} iframes without a title`);
});

await check("the pages of the backend are usable with assistive technology", async () => {
  const { base } = await labView();
  const other = await browser.newContext({ viewport: { width: 340, height: 700 } });
  try {
    const plain = await other.newPage();
    camera = plain;
    listen(plain, "backend");
    await plain.goto(`${base}/app/web`);
    await see(plain.getByTestId("login-page"), "the login page");
    await assertAccessible(plain, "the login page");
    await plain.getByTestId("login-google").click();
    await see(plain.getByTestId("upstream-page"), "the page of the stand-in for Google");
    await assertAccessible(plain, "the stand-in for Google");
    await axe(plain, "the stand-in for Google");
    await plain.goBack();
    await see(plain.getByTestId("login-page"), "the login page");
    await picture(plain, "11-login-page");
    await fillLogin(plain, account);
    await see(plain.getByTestId("live"), "Workspace web");
    await assertAccessible(plain, "Workspace web");
    await picture(plain, "12-workspace-web");
    await plain.setViewportSize({ width: 1280, height: 800 });
    await axe(plain, "Workspace web in a wide window");
    await picture(plain, "12-workspace-web-wide");
  } finally {
    camera = page;
    await other.close();
  }
});

await check("the keyboard reaches the controls, and the focus can be seen", async () => {
  await page.locator(".skip").first().focus();
  const seen = [];
  for (let i = 0; i < 24; i += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      return { tag: element.tagName, testid: element.dataset.testid ?? element.className ?? "", outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 };
    });
    assert(focus.tag !== "BODY", `the focus got lost after ${seen.at(-1) ?? "the start"}`);
    assert(focus.outlined, `no visible focus on ${focus.tag} ${focus.testid}`);
    seen.push(focus.testid);
  }
  assert(seen.includes("incoming-call"), `“Incoming call” is not among the first: ${seen.join(", ")}`);
  await page.getByTestId("help").press("Enter");
  await see(page.getByTestId("keys"), "the list of keys");
  await page.keyboard.press("Escape");
  await gone(page.getByTestId("keys"), "the list of keys");
});

await check("dark colours by the system and by the button", async () => {
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  await page.emulateMedia({ colorScheme: "dark" });
  assert((await background()) !== light, "the page ignores prefers-color-scheme");
  await picture(page, "13-dark");
  await axe(page, "dark colours");
  await page.setViewportSize({ width: 720, height: 500 });
  await axe(page, "dark colours at 200 %");
  await page.setViewportSize({ width: 1600, height: 1000 });
  await page.getByTestId("theme").click();
  assert((await background()) === light, "the button does not force the light colours");
  await page.emulateMedia({ colorScheme: "light" });
  await page.getByTestId("theme").click();
  assert((await background()) !== light, "the button does not force the dark colours");
  await page.getByTestId("theme").click();
});

await check("on a phone 390 px wide nothing scrolls sideways, and the phones can be swiped", async () => {
  const small = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  try {
    const phone = await small.newPage();
    camera = phone;
    listen(phone, "phone");
    await phone.goto(url);
    await see(phone.getByTestId("phone-iphone").getByTestId("screen"), "the iPhone");
    const { scroll, width } = await phone.evaluate(() => ({ scroll: document.documentElement.scrollWidth, width: document.documentElement.clientWidth }));
    assert(width === 390 && scroll <= width, `the page is ${scroll} px wide on a screen of ${width} px`);
    const inside = await phone.getByTestId("phones").evaluate((element) => element.scrollWidth > element.clientWidth);
    assert(inside, "the phones do not swipe");
    await phone.getByTestId("phone-android").scrollIntoViewIfNeeded();
    await axe(phone, "the lab at 390 px");
    await picture(phone, "14-at-390-px");
  } finally {
    camera = page;
    await small.close();
  }
});

await check("when the lab goes away the page says so, and it recovers", async () => {
  const other = await browser.newContext();
  try {
    const watched = await other.newPage();
    camera = watched;
    await watched.route("**/lab/stream", (route) => route.abort());
    await watched.goto(url);
    await see(watched.getByTestId("lost"), "the message that the lab does not answer");
    await watched.unroute("**/lab/stream");
    await gone(watched.getByTestId("lost"), "the message that the lab does not answer");
    await see(watched.getByTestId("phone-iphone"), "the phones");
  } finally {
    camera = page;
    await other.close();
  }
});

// ------------------------------------------------------------------------------------------------------ the first minute

/** The whole of an element is within the window. */
const inWindow = async (locator, what) => {
  const box = await locator.boundingBox();
  const { width, height } = locator.page().viewportSize();
  assert(box && box.x >= 0 && box.y >= 0 && box.x + box.width <= width + 1 && box.y + box.height <= height + 1, `${what} is not seen whole: ${JSON.stringify(box)}`);
};

const DEMO = "“Start the demo” signs one person in everywhere, and all screens agree within a time that is said";
await check(DEMO, async () => {
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.getByTestId("show-conditions").click();
  await page.getByTestId("reset").click();
  await page.waitForFunction(() => lab.view.scene === 1);
  for (const [name, phone] of both) await see(phone.getByTestId("sign-in"), `${name} as new`);
  // An account that is clicked fills the sign-in that is open.
  await see(desktop.getByTestId("login-page"), "the login page in the desktop app");
  await page.getByTestId("show-accounts").click();
  await page.locator(`[data-fill="${account.email}"]`).click();
  await desktop.locator('[data-testid="login-email"]').evaluate((field, email) => {
    if (field.value !== email) return new Promise((filled) => { const look = () => (field.value === email ? filled() : requestAnimationFrame(look)); look(); });
  }, account.email);
  await page.getByTestId("show-accounts").click();
  await page.getByTestId("start-demo").click();
  for (const [name, phone] of both) await see(phone.getByTestId("who").filter({ hasText: "Adam Novak" }), `Adam on ${name}`);
  for (const [name, frame] of [["the web", web], ["the desktop app", desktop], ["the Dashboard", dashboard], ["the widget", cti]]) {
    await see(frame.getByTestId("live"), `${name}, live`);
  }
  await see(page.getByTestId("agree").filter({ hasText: "6 screens agree" }), "six screens that agree");
  await iphone.getByTestId("availability-on_a_break").click();
  await see(page.getByTestId("agree").filter({ hasText: /6 screens agree after \d+ ms/ }), "how long it took");
  await page.getByTestId("phone-iphone").getByTestId("availability-available").click();
  await saw(web, "effective", '[data-effective="available"]', "the web available");
  await inWindow(iphone.getByTestId("screen"), "the iPhone");
  await inWindow(android.getByTestId("screen"), "the Android phone");
  for (const name of ["web", "desktop"]) await inWindow(page.getByTestId(`frame-${name}`), name);
  await picture(page, "15-demo");
});

await check("a call is for whom “to” says, and rings where a page or a phone hears it", async () => {
  await page.getByTestId("call-to").selectOption("alice@acme.example");
  await ring();
  await see(page.getByTestId("verdict").filter({ hasText: /was not put through: Alice Martin takes no calls now \(offline\)/ }), "that nothing rings, and why");
  await page.getByTestId("call-to").selectOption(account.email);
  const name = await ring();
  await see(page.getByTestId("why-callee").filter({ hasText: "Adam Novak" }), "whom the call is for");
  for (const key of ["iphone", "android", "web", "desktop", "dashboard", "zendesk"]) await saw(page, `outcome-${key}`, '[data-lamp="ring"]', `${key} ringing`);
  await see(page.getByTestId("verdict").filter({ hasText: `${name} calls Adam Novak.` }), "caller and callee in the headline");
  await picture(page, "16-all-ring");
  // Two are under way: each can be ended, and each can be looked at.
  await page.getByTestId("call-tab").nth(1).click();
  await see(page.getByTestId("why-callee").filter({ hasText: "Alice Martin" }), "the other call");
  await page.getByTestId("call-tab").first().click();
  for (const end of await page.getByTestId("call-end").all()) if (await end.isVisible()) await end.click();
  await endCall();
  await see(page.getByTestId("verdict").filter({ hasText: /the caller hung up/ }), "how it ended");
  for (const key of ["web", "iphone"]) await see(page.getByTestId(`outcome-${key}`).filter({ hasText: "Rang" }), `that ${key} rang, after the call`);
}, { after: [DEMO] });

await check("where there is room for one phone, the one that rings comes into view", async () => {
  const small = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, colorScheme: "dark", reducedMotion: "reduce" });
  try {
    const phone = await small.newPage();
    camera = phone;
    await phone.goto(url);
    await see(phone.getByTestId("phone-iphone").getByTestId("app"), "the app of the iPhone");
    await phone.getByTestId("incoming-call").tap();
    await see(phone.getByTestId("phone-iphone").getByTestId("answer"), "the iPhone ringing");
    await phone.waitForFunction(() => document.querySelector('[data-testid="answer"]').getBoundingClientRect().bottom < innerHeight);
    await inWindow(phone.getByTestId("phone-iphone").getByTestId("answer"), "“Answer”");
    await inWindow(phone.getByTestId("verdict"), "the headline");
    await picture(phone, "16a-rings-at-390-px");
  } finally {
    camera = page;
    await small.close();
  }
  await endCall();
}, { after: [DEMO] });

await check("a hostile name stays in its place", async () => {
  await page.getByTestId("call-from-name").fill("\u202e" + "Dlrow olleH ".repeat(40));
  await page.getByTestId("incoming-call").click();
  for (const [name, phone] of both) {
    await see(phone.getByTestId("answer"), `“Answer” on ${name}`);
    const [button, screen] = [await phone.getByTestId("answer").boundingBox(), await phone.getByTestId("screen").boundingBox()];
    assert(button.y + button.height <= screen.y + screen.height, `“Answer” is pushed off the screen of ${name}`);
  }
  const answer = web.getByTestId("answer");
  await see(answer, "“Answer” on the web");
  const frame = await page.getByTestId("frame-web").boundingBox();
  const button = await answer.boundingBox();
  assert(button.y + button.height <= frame.y + frame.height, "“Answer” is pushed out of the window of the web");
  for (const place of [page.getByTestId("why-caller"), iphone.getByTestId("ring-name"), web.getByTestId("call-name")]) {
    assert((await place.evaluate((element) => element.tagName)) === "BDI", "a name that is not isolated");
  }
  await picture(page, "17-hostile-name");
  await endCall();
  await page.getByTestId("call-from-name").fill("Maria Lopez");
}, { after: [DEMO] });

await check("the focus stays with whoever works by the keyboard: when a call comes and goes, and with forwarding", async () => {
  const focused = () => page.evaluate(() => document.activeElement.dataset.testid ?? document.activeElement.tagName);
  await iphone.getByTestId("availability-available").focus();
  await page.keyboard.press("c");
  await see(iphone.getByTestId("answer"), "the iPhone ringing");
  await page.waitForFunction(() => document.activeElement.dataset.testid === "answer");
  await page.keyboard.press("h");
  await gone(iphone.getByTestId("ringing"), "the iPhone ringing");
  await page.waitForFunction(() => document.activeElement.dataset.testid === "availability-available").catch(async () => assert(false, `the focus is at ${await focused()}`));
  await iphone.getByTestId("forwarding-number").fill(FORWARD_TO);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.dataset.testid === "forwarding-off").catch(async () => assert(false, `the focus is at ${await focused()}`));
  await picture(page, "18-forwarded");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.dataset.testid === "forwarding-number").catch(async () => assert(false, `the focus is at ${await focused()}`));
}, { after: [DEMO] });

await check("killed in the middle of a refresh, the phone finds its way back by itself", async () => {
  await android.getByTestId("kill-in-refresh").click();
  await saw(android, "kill-in-refresh", '[aria-pressed="true"]', "the trap set");
  await android.getByTestId("expire-token").click();
  provoked.push({ status: 409, url: /lab\/phones\/android\/availability/ }); // the app is gone before it answers
  await android.getByTestId("availability-back_office").click();
  await see(android.getByTestId("power-off"), "the killed app");
  await android.getByTestId("start-screen").click();
  await saw(android, "link", '[data-link="live"]', "“Live” in the app");
  await see(android.getByTestId("who").filter({ hasText: "Adam Novak" }), "who is signed in");
}, { after: [DEMO] });

await check("a kill during a sign-in leaves the browser where it is", async () => {
  await android.getByTestId("sign-out").click();
  await android.getByTestId("sign-in").click();
  const login = android.frameLocator('[data-testid="login-frame"]');
  await login.getByTestId("login-email").fill(account.email);
  await android.getByTestId("power").click();
  await saw(page, "phone-android", '[data-power="off"]', "the app killed");
  assert((await login.getByTestId("login-email").inputValue()) === account.email, "what was typed is gone");
  await fillLogin(android.frameLocator('[data-testid="login-frame"]'), account);
  await see(android.getByTestId("who").filter({ hasText: account.email }), "the app, started by its redirect and signed in");
}, { after: [DEMO] });

if (otherUrl) await check("two labs in one browser leave each other's people alone", async () => {
  const other = await context.newPage();
  try {
    await other.goto(otherUrl);
    await see(other.getByTestId("phone-iphone").getByTestId("sign-in"), "the other lab");
    await other.getByTestId("start-demo").click();
    await see(other.frameLocator('[data-testid="frame-web"]').getByTestId("live"), "the other lab's web");
    await page.getByTestId("reload-web").click();
    await see(web.getByTestId("live"), "the first lab's web, still signed in");
  } finally {
    await other.close();
  }
}, { after: [DEMO] });

await check("a story is played on the page, by steps and by itself, and “End” begins anew", async () => {
  await page.getByTestId("choose-story").click();
  await page.getByTestId("story-by-step").check();
  await axe(page, "the list of stories");
  await page.getByTestId("story-forwarding_silences_the_phones").click();
  await saw(page, "story", '[data-played="0"]', "the story before its first step");
  await gone(android.getByTestId("phone-error"), "a complaint of before");
  assert((await android.getByTestId("forwarding-number").inputValue()) === "", "a number of before is still there");
  for (const step of ["1", "2"]) {
    await page.getByTestId("story-step").click();
    await saw(page, "story", `[data-played="${step}"]`, `step ${step} played`);
  }
  await see(iphone.getByTestId("app"), "the iPhone signed in by the story");
  await page.getByTestId("story-play").click();
  await saw(page, "story", '[data-plays="true"]', "the story going on by itself");
  await page.getByTestId("story-play").click();
  await saw(page, "story", '[data-plays="false"]', "the story paused");
  const steps = await page.getByTestId("story-steps").locator("li").count();
  await picture(page, "19-story");
  await axe(page, "a story under way");
  for (let played = Number(await page.getByTestId("story").getAttribute("data-played")) + 1; played <= steps; played += 1) {
    if (Number(await page.getByTestId("story").getAttribute("data-played")) < played) await page.getByTestId("story-step").click();
    await see(page.locator(`[data-testid="story"]:not([data-played="${played - 1}"])`), `step ${played} played`);
  }
  await see(page.getByTestId("story-count").filter({ hasText: "played to the end" }), "the end of the story");
  await picture(page, "20-story-played");
  await page.getByTestId("story-end").click();
  await gone(page.getByTestId("story"), "the story");
  for (const [name, phone] of both) await see(phone.getByTestId("sign-in"), `${name} as new`);
});

await check("what the lab did not answer is forgotten once it answers again", async () => {
  await page.route("**/lab/calls", (route) => route.abort());
  await page.route("**/lab/stream", (route) => route.abort());
  provoked.push({ status: "ERR_FAILED", url: /\/lab\// });
  await page.getByTestId("incoming-call").click();
  await see(page.getByTestId("lab-error").filter({ hasText: "does not answer" }), "that the lab does not answer");
  await page.unroute("**/lab/calls");
  await page.unroute("**/lab/stream");
  await page.evaluate(() => { lab.source.close(); lab.connect(); });
  await gone(page.getByTestId("lab-error"), "that the lab does not answer");
});

await check("no page logged an error", async () => {
  assert(complaints.length === 0, `${complaints.length} complaints:\n${[...new Set(complaints)].join("\n")}`);
});

await browser.close();
console.log(`${results.passed} passed, ${results.failed} failed`);
process.exit(results.failed ? 1 : 0);
