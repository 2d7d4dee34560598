// A browser surface: Workspace web, Dashboard, a CTI widget, or the desktop app's window.
//
// The server owns the state. This page shows the newest snapshot it has seen, sends what the agent taps, and keeps the two
// apart: a filled button is what the server confirmed, a dashed one is what was tapped and is on its way.
"use strict";

const surface = document.body.dataset.surface;
const query = `?surface=${encodeURIComponent(surface)}`;
const $ = (id) => document.getElementById(id);

const EFFECTIVE = {
  offline: ["Offline", "M8 8l8 8M16 8l-8 8"],
  do_not_disturb: ["Do not disturb", "M7.5 12h9"],
  available: ["Available", "M8 12.5l3 3 5.5-6.5"],
  in_call: ["In a call", "M8.5 7.5c0 5 3 8 8 8v-2.8l-2.6-.9-1 1.2c-1.3-.6-2-1.3-2.6-2.6l1.2-1-.9-2.6z"],
  after_call_work: ["After-call work", "M8 16l.6-2.5 6-6 2 2-6 6z"],
};
const REASON = {
  other: "Other",
  back_office: "Back office",
  in_training: "In training",
  on_a_break: "On a break",
  out_for_lunch: "Out for lunch",
};
const CANNOT_RING = {
  forwarding_active: "silent: calls are forwarded",
  not_available: "silent: you take no calls",
  in_another_call: "silent: you are in a call",
  no_push_token: "cannot be reached: no push token",
};
const SIGNED_OUT = {
  signed_out_elsewhere: "You signed out in another window. All browser windows share one sign-in.",
  revoked: "An administrator ended this session.",
  account_closed: "This account is closed.",
};

/** A tap older than this is not sent again: the agent has moved on. */
const FRESH_MS = 10_000;
/** The server beats every 15 s; after two and a half beats of silence the connection is dead. */
const SILENCE_MS = 37_500;
const LEASE_RENEWAL_MS = 15_000;

let session = null; // {agent, csrf} while signed in
let snapshot = null; // the newest that the server sent
let pending = null; // {what: "availability" | "forwarding" | "call", key, text}
let signIns = 0; // raised at each sign-out, so that answers to the session before are dropped

// ---------------------------------------------------------------------------------------------------- small helpers

function text(id, value) {
  const element = $(id);
  if (element.textContent !== value) element.textContent = value;
}

function show(id, visible) {
  if ($(id).hidden === visible) $(id).hidden = !visible;
}

function problem(id, message) {
  text(id, message ?? "");
  show(id, Boolean(message));
}

function isNewer(a, b) {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.rev > b.rev);
}

const keyOf = (availability) => (availability.kind === "unavailable" ? availability.reason : availability.kind);
const wordsFor = (key) => REASON[key] ?? (key === "automatic" ? "Automatic" : "Available");
const availabilityOf = (key) => (key in REASON ? { kind: "unavailable", reason: key } : { kind: key });
const etag = () => `"${snapshot.version.epoch}-${snapshot.version.rev}"`;

function answeredHere(call) {
  const by = call.state.by;
  if (call.state.kind !== "answered" || !by) return false;
  return by.kind === "cti" ? surface === `cti-${by.host}` : by.kind === surface;
}

function nameOf(by) {
  switch (by.kind) {
    case "mobile": return snapshot.devices.find((device) => device.id === by.device)?.name ?? "a phone";
    case "cti": return `the ${by.host} widget`;
    case "forwarded": return "the forwarding number";
    case "web": return "Workspace web";
    case "desktop": return "the desktop app";
    case "dashboard": return "the Dashboard";
    default: return "another device";
  }
}

// -------------------------------------------------------------------------------------------------------- rendering

/** `loading`, `signed-out` or `live`: exactly one of them is on the screen. */
function screen(name) {
  document.body.dataset.state = name;
  for (const id of ["loading", "signed-out", "live"]) show(id, id === name);
  show("link", name !== "signed-out");
}

function link(state) {
  const words = { live: "Live", connecting: "Connecting", offline: "Offline" };
  $("link").dataset.link = state;
  text("link", words[state]);
  document.body.classList.toggle("stale", state === "offline");
  text("loading-text", state === "offline" ? "The server cannot be reached. Trying again…" : "Opening…");
}

/** "18:00" today, with the day on another. */
function timeOf(millis) {
  const at = new Date(millis);
  const today = at.toDateString() === new Date().toDateString();
  return at.toLocaleString([], { ...(today ? {} : { weekday: "short", day: "numeric" }), hour: "2-digit", minute: "2-digit" });
}

function why(presence) {
  if (presence.effective === "in_call") return "no other calls meanwhile";
  if (presence.effective === "after_call_work") return "finishing the last call";
  const { availability, forwarding } = presence;
  if (forwarding.on) return `calls go to ${forwarding.number}`;
  if (availability.kind === "automatic") return "automatic, by your working hours";
  if (availability.kind === "unavailable") return REASON[availability.reason] ?? availability.reason;
  return "calls are welcome";
}

function render() {
  if (!snapshot) return;
  const { presence, agent } = snapshot;

  const [words, icon] = EFFECTIVE[presence.effective] ?? [presence.effective, ""];
  $("effective").dataset.effective = presence.effective;
  text("effective-text", words);
  text("effective-why", why(presence));
  $("effective-icon").setAttribute("d", icon);
  document.title = `${words} - Hookswitch`;

  const confirmed = keyOf(presence.availability);
  for (const button of document.querySelectorAll("[data-set]")) {
    const key = button.dataset.set;
    const isPending = pending?.what === "availability" && pending.key === key;
    button.setAttribute("aria-pressed", String(key === confirmed));
    button.classList.toggle("pending", isPending);
  }
  text("pending", pending && pending.what !== "call" ? `Sending: ${pending.text}` : "");

  const { forwarding } = presence;
  const sending = pending?.what === "forwarding";
  $("forwarding-on").dataset.on = String(forwarding.on);
  text("forwarding-to", forwarding.number ?? "");
  text("forwarding-until", forwarding.until ? ` until ${timeOf(forwarding.until)}` : "");
  show("forwarding-on", forwarding.on);
  show("forwarding-form", !forwarding.on);
  if (forwarding.on) forgetNumber();
  $("forwarding-submit").disabled = sending;
  $("forwarding-off").disabled = sending;

  renderCall();
  renderList("devices", snapshot.devices, (device) => device.id, makeDevice, updateDevice);
  renderList("notices", snapshot.notices ?? [], (notice) => notice, makeNotice, () => {});
  if (snapshot.devices.length === 0 && !$("devices").firstChild) {
    const empty = document.createElement("li");
    empty.textContent = "No phone is signed in.";
    $("devices").append(empty);
  }

  text("who-name", agent.name);
  text("who-email", `${agent.email} · ${agent.role}`);
}

/** Forwarding is on: what was typed has done its work, here or elsewhere. */
function forgetNumber() {
  const input = $("forwarding-number");
  input.value = "";
  input.removeAttribute("aria-invalid");
  if (pending?.what !== "forwarding") problem("forwarding-error", null);
}

/** The call to show: one that is answered here, else one that rings, else one that is elsewhere: offered at the number, or answered. */
function currentCall() {
  const calls = snapshot.calls;
  return calls.find(answeredHere)
    ?? calls.find((call) => call.state.kind === "ringing" && !snapshot.presence.forwarding.on)
    ?? calls.find((call) => call.state.kind === "offered" || call.state.kind === "answered");
}

function renderCall() {
  const call = currentCall();
  show("call", Boolean(call));
  if (!call) {
    problem("call-error", null);
    return;
  }
  const here = answeredHere(call);
  const rings = call.state.kind === "ringing";
  // Without what would turn the words around it (UAX #9, explicit directions).
  const name = call.from_name?.replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "").trim() || call.from || "Number withheld";
  $("call").dataset.call = call.call_id;
  $("call").dataset.callState = here ? "here" : call.state.kind;
  $("call").classList.toggle("here", !rings);
  const elsewhere = () => call.state.kind === "offered" ? `Offered at ${call.forwarded_to ?? "the forwarding number"}: press 1 there` : `Answered on ${nameOf(call.state.by)}`;
  text("call-title", rings ? "Incoming call" : here ? "You are talking to" : elsewhere());
  text("call-name", name);
  text("call-number", call.from && call.from !== name ? call.from : "");
  show("answer", rings);
  show("decline", rings);
  show("hang-up", here);
  for (const id of ["answer", "decline", "hang-up"]) $(id).disabled = pending?.what === "call";
}

/** Keeps one element a key, so that what did not change is not touched. */
function renderList(id, items, key, make, update) {
  const parent = $(id);
  const old = new Map([...parent.children].map((element) => [element.dataset.key, element]));
  const wanted = items.map((item) => {
    const element = old.get(String(key(item))) ?? make(item);
    element.dataset.key = key(item);
    update(element, item);
    return element;
  });
  for (const element of [...parent.children]) if (!wanted.includes(element)) element.remove();
  wanted.forEach((element, index) => {
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
}

function makeDevice(device) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  const verdict = document.createElement("span");
  const isolated = document.createElement("bdi"); // a name that turns its letters around turns nothing else
  isolated.textContent = device.name;
  name.append(isolated);
  verdict.className = "verdict";
  const out = document.createElement("button");
  out.type = "button";
  out.className = "quiet";
  out.textContent = "Sign out";
  out.setAttribute("aria-label", `Sign out ${device.name}`);
  out.dataset.testid = "device-sign-out";
  out.addEventListener("click", () => signOutDevice(device.id));
  item.dataset.testid = "device";
  item.append(name, verdict, out);
  return item;
}

function updateDevice(item, device) {
  const verdict = item.querySelector(".verdict");
  item.querySelector("button").disabled = pending?.what === "device" || !sessionOf(device.id);
  const rings = device.cannot_ring === null || device.cannot_ring === undefined;
  const words = rings ? "✓ rings" : `✕ ${CANNOT_RING[device.cannot_ring] ?? device.cannot_ring}`;
  verdict.classList.toggle("yes", rings);
  item.dataset.canRing = String(rings);
  if (verdict.textContent !== words) verdict.textContent = words;
}

function sessionOf(device) {
  return (snapshot.sessions ?? []).find((one) => one.device === device);
}

/** The phone's app says that it was signed out elsewhere; here it goes from the list. */
function signOutDevice(device) {
  const other = sessionOf(device);
  if (!other) return;
  run({ what: "device", text: "sign a phone out" }, "devices-error", () =>
    command("DELETE", `/v1/me/sessions/${encodeURIComponent(other.id)}`, undefined, { conditional: false }));
}

function makeNotice(notice) {
  const paragraph = document.createElement("p");
  paragraph.className = "notice";
  paragraph.textContent = notice === "shared_login"
    ? "Several people seem to use this login. Calls will go wrong: each agent needs a login of their own."
    : notice;
  return paragraph;
}

// ----------------------------------------------------------------------------------------------------------- session

function signedOut(reason) {
  signIns += 1;
  lease.stop();
  session = null;
  snapshot = null;
  pending = null;
  stream.stop();
  const [product, host] = surface.split("-");
  $("sign-in").href = host ? `/app/${product}/${host}` : `/app/${product}`;
  text("signed-out-why", SIGNED_OUT[reason] ?? "You are not signed in here.");
  screen("signed-out");
  tell("signed-out");
}

/** The lab shows several surfaces side by side and wants to know; on its own page nobody listens. */
function tell(state) {
  if (window.parent !== window) {
    const version = snapshot ? `${snapshot.version.epoch}-${snapshot.version.rev}` : null;
    window.parent.postMessage({ hookswitch: "surface", surface, state, email: session?.agent?.email ?? null, version, at: Date.now() }, "*");
  }
}

// The lab has a switch for light and dark; nothing else that the lab could say is listened to.
addEventListener("message", ({ source, data }) => {
  if (source !== window.parent || data?.hookswitch !== "theme") return;
  if (data.theme === "light" || data.theme === "dark") document.documentElement.dataset.theme = data.theme;
  else delete document.documentElement.dataset.theme;
});

// The desktop app has a session of its own; all other surfaces share one and learn here that it is back.
const siblings = surface === "desktop" ? null : new BroadcastChannel("hookswitch-browser-session");
siblings?.addEventListener("message", (event) => {
  // A page that is still opening learns it by itself.
  if (event.data === "signed-in" && document.body.dataset.state === "signed-out") location.reload();
});

/** Asks who is signed in. Throws when the server cannot be reached: that is never a sign-out. */
async function loadSession() {
  const response = await fetch(`/app/session${query}`, { headers: { accept: "application/json" }, cache: "no-store" });
  if (response.status === 401) return null;
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const answer = await response.json();
  return answer.signed_in ? answer : null;
}

// ------------------------------------------------------------------------------------------------------------ stream

function apply(next) {
  if (!session || !next?.version) return;
  if (snapshot && !isNewer(next.version, snapshot.version)) return;
  snapshot = next;
  screen("live");
  render();
  tell("live");
  lease.follow();
}

const stream = {
  source: null,
  attempt: 0,
  retry: 0,
  watchdog: 0,

  stop() {
    clearTimeout(this.retry);
    clearTimeout(this.watchdog);
    this.source?.close();
    this.source = null;
  },

  /** Any sign of life. */
  heard() {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.again(), SILENCE_MS);
    this.attempt = 0;
    link("live");
  },

  /** Asks first whether this session still exists: the browser does not say why a stream failed. */
  async start() {
    this.stop();
    link(this.attempt > 1 ? "offline" : "connecting");
    const mine = signIns;
    try {
      const answer = await loadSession();
      if (mine !== signIns) return;
      if (!answer) return signedOut();
      const isNew = !session;
      session = answer;
      if (isNew) {
        tell("live");
        siblings?.postMessage("signed-in");
      }
    } catch {
      return this.again();
    }
    this.stop();
    const source = new EventSource(`/v1/me/stream${query}`);
    this.source = source;
    this.watchdog = setTimeout(() => this.again(), SILENCE_MS);
    source.addEventListener("state", (event) => {
      this.heard();
      apply(JSON.parse(event.data));
    });
    source.addEventListener("heartbeat", () => this.heard());
    source.addEventListener("signed_out", (event) => signedOut(JSON.parse(event.data).reason));
    source.addEventListener("error", () => {
      if (this.source === source) this.again();
    });
  },

  /** After a failure: 0.5 s doubling to 30 s, each time a random part of it, so that a thousand pages do not come at once. */
  again() {
    this.stop();
    this.attempt += 1;
    link(this.attempt > 1 || !navigator.onLine ? "offline" : "connecting");
    const ceiling = Math.min(30_000, 500 * 2 ** (this.attempt - 1));
    this.retry = setTimeout(() => this.start(), 100 + Math.random() * ceiling);
  },
};

addEventListener("online", () => stream.start());
addEventListener("offline", () => link("offline"));
addEventListener("pageshow", (event) => { if (event.persisted) stream.start(); });
addEventListener("pagehide", () => stream.stop());

// ---------------------------------------------------------------------------------------------------------- commands

class Refused extends Error {}

async function send(method, path, body, { ifMatch, key }) {
  const headers = { "idempotency-key": key, "x-csrf-token": session.csrf };
  if (ifMatch) headers["if-match"] = ifMatch;
  if (body !== undefined) headers["content-type"] = "application/json";
  const response = await fetch(path + query, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  return { status: response.status, answer };
}

/**
 * Sends a tap. A version that moved on meanwhile is no reason to bother the agent who tapped just now: it is sent again at the
 * version that the server has, once. A lost answer is asked for again under the same key, which changes nothing twice.
 */
async function command(method, path, body, { conditional = true } = {}) {
  const tapped = Date.now();
  let key = crypto.randomUUID();
  let mayRebase = conditional;
  let mayRepeat = true;
  for (;;) {
    const mine = signIns;
    let outcome;
    try {
      outcome = await send(method, path, body, { ifMatch: conditional ? etag() : null, key });
    } catch {
      if (!mayRepeat || mine !== signIns || Date.now() - tapped > FRESH_MS) throw new Refused("No connection. Whether it was changed shows when the connection is back.");
      mayRepeat = false;
      continue;
    }
    if (mine !== signIns) throw new Refused("");
    const { status, answer } = outcome;
    if (status === 401) {
      signedOut();
      throw new Refused("");
    }
    if (status === 412 && answer?.current) {
      apply(answer.current);
      if (mayRebase && Date.now() - tapped <= FRESH_MS) {
        mayRebase = false;
        key = crypto.randomUUID();
        continue;
      }
    }
    if (status >= 400) throw new Refused(answer?.detail ?? answer?.title ?? `The server answered ${status}.`);
    if (answer) apply(answer);
    return;
  }
}

/** Runs a command with its pending state on the screen, and its complaint, if any, where the agent tapped. */
async function run(next, errorId, work) {
  pending = next;
  problem(errorId, null);
  render();
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (pending === next) problem(errorId, error.message);
    return false;
  } finally {
    if (pending === next) pending = null;
    render();
  }
}

for (const button of document.querySelectorAll("[data-set]")) {
  button.addEventListener("click", () => {
    const key = button.dataset.set;
    run({ what: "availability", key, text: wordsFor(key) }, "command-error", () =>
      command("PUT", "/v1/me/availability", { availability: availabilityOf(key) }));
  });
}

$("forwarding-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = $("forwarding-number");
  const number = input.value.trim();
  input.removeAttribute("aria-invalid");
  const done = await run({ what: "forwarding", text: `forward to ${number}` }, "forwarding-error", () =>
    command("PUT", "/v1/me/forwarding", { number }));
  if (!done && session) {
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", "forwarding-error");
    input.focus();
  } else {
    keepFocus("forwarding-off");
  }
});

$("forwarding-number").addEventListener("input", (event) => {
  event.target.removeAttribute("aria-invalid");
  event.target.removeAttribute("aria-describedby");
  problem("forwarding-error", null);
});

$("forwarding-off").addEventListener("click", async () => {
  await run({ what: "forwarding", text: "forwarding off" }, "forwarding-error", () =>
    command("PUT", "/v1/me/forwarding", { number: null }));
  keepFocus("forwarding-number");
});

/** Whoever works with the keyboard goes on with what took the place of the button that was pressed. */
function keepFocus(id) {
  if (document.activeElement === document.body || document.activeElement?.closest("[hidden]")) $(id).focus();
}

for (const verb of ["answer", "decline", "hang-up"]) {
  $(verb).addEventListener("click", () => {
    const id = encodeURIComponent($("call").dataset.call);
    run({ what: "call", text: verb }, "call-error", () =>
      command("POST", `/v1/me/calls/${id}/${verb}`, verb === "answer" ? {} : undefined, { conditional: false }));
  });
}

$("sign-out").addEventListener("click", async () => {
  $("sign-out").disabled = true;
  try {
    const response = await fetch(`/app/sign-out${query}`, { method: "POST", headers: { "x-csrf-token": session.csrf } });
    if (response.ok || response.status === 401) signedOut();
    else problem("command-error", "The server could not sign you out. Try again.");
  } catch {
    problem("command-error", "No connection: you are still signed in. Try again.");
  } finally {
    $("sign-out").disabled = false;
  }
});

/** While a call is answered here, its claim on the agent is renewed; when this page dies, the claim ends by itself. */
const lease = {
  timer: 0,
  call: null,

  follow() {
    const mine = snapshot.calls.find(answeredHere)?.call_id ?? null;
    if (mine === this.call) return;
    clearInterval(this.timer);
    this.call = mine;
    if (mine) this.timer = setInterval(() => this.renew(), LEASE_RENEWAL_MS);
  },

  stop() {
    clearInterval(this.timer);
    this.call = null;
  },

  async renew() {
    try {
      await command("POST", `/v1/me/calls/${encodeURIComponent(this.call)}/lease`, undefined, { conditional: false });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  },
};

stream.start();
