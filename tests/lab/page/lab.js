// The lab's page: draws the View that the lab streams, and posts what is pressed. It keeps no state of its own about phones,
// calls or presence; what it remembers is only how the page looks (theme, filters, a minimised browser).
//
// Each view is whole. Rendering touches only what differs, so that focus, scrolling, typed text and iframes survive it.
"use strict";

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
const LINK = {
  live: "Live",
  polling: "Live, by polling",
  connecting: "Connecting",
  offline: "Offline",
  background: "In background",
  off: "Off",
};
const RULE = {
  forwarding_active: "Forwarding is on",
  not_available: "The agent takes no calls now",
  in_another_call: "Already in another call",
  answered_elsewhere: "Answered elsewhere",
  call_ended: "The call is over",
  expired: "The push came too late",
  duplicate: "This call was decided before",
  signed_out: "Nobody is signed in",
  other_account: "The call is for another account",
  device_not_registered: "The device is not registered",
  sign_in_needed: "The agent must sign in again",
  no_push_token: "No push token",
  offline: "The phone is offline",
  none: "No rule against it: ring",
};
const PLACE_ON_SOCKET = { web: "Workspace", desktop: "Desktop", forwarded: "Forwarded" };
const SHORT = { forwarding_active: "forwarding", not_available: "unavailable", in_another_call: "in another call", answered_elsewhere: "answered" };
const PLACE = {
  web: "Workspace web",
  desktop: "Desktop app",
  dashboard: "Dashboard",
  zendesk: "Zendesk widget",
  salesforce: "Salesforce widget",
  hubspot: "HubSpot widget",
  forwarded: "The forwarding number",
};
const LAMP = {
  ring: "M3.5 11.5c1-1 1.2-2.4 1.2-4.2a3.3 3.3 0 0 1 6.6 0c0 1.8.2 3.2 1.2 4.2zM6.8 14h2.4",
  silent: "M3.5 11.5c1-1 1.2-2.4 1.2-4.2a3.3 3.3 0 0 1 6.6 0c0 1.8.2 3.2 1.2 4.2zM2 2l12 12",
  call: "M4 3c-.5 4 3 9.5 8.5 10l1-2.5-3-1.5-1.2 1.2C7.8 9.3 7 8.5 6.5 7L7.7 5.8 6.5 3z",
  ready: "M3.5 8.5l3 3 6-7",
  rest: "M4 8h8",
  off: "M4.5 4.5l7 7M11.5 4.5l-7 7",
};

// ------------------------------------------------------------------------------------------------ putting things on screen

function text(element, value) {
  const wanted = value ?? "";
  if (element.textContent !== wanted) element.textContent = wanted;
}

function show(element, visible) {
  if (element.hidden === Boolean(visible)) element.hidden = !visible;
}

function attribute(element, name, value) {
  if (value === null || value === undefined) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, String(value));
  }
}

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else attribute(element, name, value);
  }
  element.append(...children);
  return element;
}

/** One element for each item, matched by key; elements are moved, never rebuilt. */
function list(parent, items, key, create, update) {
  const old = new Map([...parent.children].map((element) => [element.dataset.key, element]));
  const kept = new Set();
  items.forEach((item, index) => {
    const name = String(key(item));
    let element = old.get(name);
    if (!element) {
      element = create(item);
      element.dataset.key = name;
    }
    kept.add(element);
    update(element, item);
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
  for (const element of [...parent.children]) if (!kept.has(element)) element.remove();
}

const two = (number) => String(number).padStart(2, "0");
const clockOf = (ms, seconds = false) => {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ""}`;
};
const dateOf = (ms) => new Date(ms).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });

/** A length of time with its sign, in its `units` largest units. */
function span(ms, units = 2) {
  if (!ms) return "";
  const sign = ms < 0 ? "−" : "+";
  const minutes = Math.round(Math.abs(ms) / 60_000);
  const years = Math.floor(minutes / 525_960);
  const days = Math.floor((minutes % 525_960) / 1440);
  const hours = Math.floor((minutes % 1440) / 60);
  const parts = [[years, "y"], [days, "d"], [hours, "h"], [minutes % 60, "min"]].filter(([count]) => count > 0);
  return sign + (parts.length ? parts.slice(0, units).map(([count, unit]) => `${count} ${unit}`).join(" ") : `${Math.round(Math.abs(ms) / 1000)} s`);
}

const caller = (call) => call.from_name || call.from || "Number withheld";
const availabilityKey = (availability) => (availability.kind === "unavailable" ? availability.reason : availability.kind);
const ruleWords = (rule) => (rule ? RULE[rule] ?? rule.replaceAll("_", " ") : "");

// ------------------------------------------------------------------------------------------------------------------ actions

/** Posts, and says in `complaint` what went wrong. While it is under way the button is busy and a second press does nothing. */
async function post(path, body, { button, complaint } = {}) {
  if (button?.getAttribute("aria-busy") === "true") return false;
  attribute(button ?? document.body, "aria-busy", button ? "true" : null);
  let message = null;
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body ?? {}),
    });
    if (!response.ok) {
      const problem = await response.json().catch(() => null);
      message = problem?.detail ?? problem?.title ?? `The lab answered ${response.status}.`;
    }
  } catch {
    message = "The lab does not answer.";
  }
  if (button) attribute(button, "aria-busy", null);
  if (complaint) {
    text(complaint, message);
    show(complaint, message);
  }
  return !message;
}

// ------------------------------------------------------------------------------------------------------------------- phones

const phones = new Map(); // key -> PhoneCard

class PhoneCard {
  constructor(key) {
    this.key = key;
    this.view = null;
    this.minimised = false;
    this.frame = null; // {url, element} of the system browser
    this.root = $("phone-template").content.firstElementChild.cloneNode(true);
    this.refs = {};
    for (const element of [this.root, ...this.root.querySelectorAll("[data-ref]")]) this.refs[element.dataset.ref] = element;
    this.root.dataset.testid = `phone-${key}`;
    this.root.dataset.phone = key;
    this.refs["forward-label"].htmlFor = this.refs["forward-number"].id = `forward-${key}`;
    this.buildPicker();
    this.root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-act]");
      if (button) this.act(button.dataset.act, button);
    });
    this.refs["forward-number"].addEventListener("input", (event) => {
      attribute(event.target, "aria-invalid", null);
      show(this.refs.error, false);
    });
    this.refs.forward.addEventListener("submit", (event) => {
      event.preventDefault();
      const input = this.refs["forward-number"];
      const button = this.refs.forward.querySelector("button");
      this.post("forwarding", { number: input.value.trim() }, button, this.refs.error).then((done) => {
        attribute(input, "aria-invalid", done ? null : "true");
        if (!done) input.focus();
      });
    });
  }

  buildPicker() {
    const choice = (key, words) =>
      make("button", { type: "button", "data-act": "availability", "data-set": key, "data-testid": `availability-${key}`, "aria-pressed": "false" }, words);
    const label = make("p", { class: "label", id: `unavailable-${this.key}` }, "Unavailable");
    const reasons = Object.entries(REASON).map(([key, words]) => choice(key, words));
    this.refs.picker.append(
      make("div", { class: "choices two" }, choice("available", "Available"), choice("automatic", "Automatic")),
      label,
      make("div", { class: "choices", role: "group", "aria-labelledby": label.id }, ...reasons),
    );
    this.choices = [...this.refs.picker.querySelectorAll("[data-set]")];
  }

  post(action, body, button, complaint = this.refs["bench-error"]) {
    return post(`/lab/phones/${this.key}/${action}`, body, { button, complaint });
  }

  act(name, button) {
    const view = this.view;
    if (!view) return;
    const { error } = this.refs;
    switch (name) {
      case "open": return this.post("foreground", { foreground: true }, button);
      case "sign-in": return this.post("sign-in", {}, button);
      case "cancel-sign-in": return this.post("cancel-sign-in", {}, button);
      case "minimise": this.minimised = true; this.render(); return this.refs.restore.focus();
      case "restore-browser": this.minimised = false; this.render(); return this.frame?.element.focus();
      case "availability": {
        const key = button.dataset.set;
        return this.post("availability", { availability: key in REASON ? { kind: "unavailable", reason: key } : { kind: key } }, button, error);
      }
      case "forwarding-off": return this.post("forwarding", { number: null }, button, error);
      case "answer": return view.ringing && this.post("answer", { call_id: view.ringing.call_id }, button);
      case "decline": return view.ringing && this.post("decline", { call_id: view.ringing.call_id }, button);
      case "hang-up": return view.call && this.post("hang-up", { call_id: view.call.call_id }, button);
      case "start": return this.post("power", { action: "start" }, button);
      case "power": return this.post("power", { action: view.power === "on" ? "kill" : "start" }, button);
      case "network": return this.post("network", { up: view.network !== "up" }, button);
      case "foreground": return this.post("foreground", { foreground: !view.foreground }, button);
      case "expire": return this.post("expire-token", {}, button);
      case "repair": return this.post("repair", {}, button);
      case "sign-out": return this.post("sign-out", {}, button);
      case "clock": {
        const delta = Number(button.dataset.delta);
        return this.post("clock", { offset_ms: delta === 0 ? 0 : view.clock_offset_ms + delta }, button);
      }
    }
  }

  update(view) {
    this.view = view;
    this.render();
  }

  render() {
    const { view, refs } = this;
    const { session } = view;
    const on = view.power === "on";
    text(refs.name, view.name);
    attribute(this.root, "aria-label", view.name);
    attribute(refs.bench, "aria-label", `Bench controls of ${view.name}`);
    attribute(this.root, "data-platform", view.platform);
    attribute(this.root, "data-session", session.state);
    attribute(this.root, "data-power", view.power);
    attribute(this.root, "data-network", view.network);

    this.renderLamp();
    text(refs.net, view.network === "up" ? "▮▮▮" : "no net");
    attribute(refs.net, "aria-label", view.network === "up" ? "network is up" : null);
    attribute(refs.net, "role", view.network === "up" ? "img" : null);

    const inApp = session.state === "signed_in" && view.presence;
    const browsing = on && this.renderBrowser();
    show(refs.off, !on);
    show(refs.launcher, on && !view.foreground && !browsing);
    show(refs.app, on && view.foreground && inApp);
    show(refs.gate, on && view.foreground && !inApp && !browsing);
    show(refs.browser, browsing);
    show(refs.ringing, on && view.ringing);
    show(refs.call, on && view.call && !view.ringing);

    // What a call covers cannot be reached by the keyboard either.
    const covered = on && Boolean(view.ringing || view.call);
    for (const name of ["launcher", "app", "gate", "browser"]) if (refs[name].inert !== covered) refs[name].inert = covered;

    this.renderGate();
    if (inApp) this.renderApp();
    if (view.ringing) {
      text(refs["ring-name"], caller(view.ringing));
      text(refs["ring-number"], view.ringing.from_name ? view.ringing.from : "");
    }
    if (view.call) {
      text(refs["call-name"], caller(view.call));
      text(refs["call-number"], view.call.from_name ? view.call.from : "");
    }
    this.renderBench();
    this.tick();
  }

  renderLamp() {
    const { view, refs } = this;
    const { state, status } = view.session;
    const newest = lab.view?.calls[0];
    const outcome = newest && newest.state !== "ended" && newest.answered_by !== this.key ? newest.devices.find((device) => device.key === this.key) : null;
    const decision = newest && view.decisions.find((item) => item.call_id === newest.call_id);
    let lamp = "rest";
    let words;
    if (view.power !== "on") [lamp, words] = ["off", "Killed"];
    else if (view.ringing) [lamp, words] = ["ring", "Rings"];
    else if (view.call) [lamp, words] = ["call", "In a call"];
    else if (outcome && outcome.outcome !== "rings") {
      const rule = decision?.rule ?? outcome.reason;
      [lamp, words] = ["silent", `Silent: ${SHORT[rule] ?? (ruleWords(rule).toLowerCase() || "not pushed")}`];
    } else if (state === "signed_in") {
      const offline = status === "offline" || view.network !== "up";
      const takesCalls = view.presence?.effective === "available" && !view.presence.forwarding.on;
      if (offline) words = "Signed in, offline";
      else if (status === "degraded") words = "Signed in, degraded";
      else if (takesCalls) [lamp, words] = ["ready", "Ready"];
      else words = "Signed in";
    } else {
      words = { loading: "Starting", locked: "Locked", signed_out: "Signed out", signing_in: "Signing in", reauth_required: "Must sign in again", signing_out: "Signing out" }[state] ?? state;
    }
    attribute(refs.lamp, "data-lamp", lamp);
    attribute(refs.device, "data-lamp", lamp);
    attribute(refs["lamp-icon"], "d", LAMP[lamp]);
    text(refs["lamp-words"], words);
  }

  renderGate() {
    const { session, login_url: url } = this.view;
    const { refs } = this;
    const [title, words] = {
      loading: ["Starting…", "Reading the vault."],
      locked: ["Locked", "Unlock the phone once; the key is not available before."],
      signed_out: ["Hookswitch", "One sign-in. One status everywhere."],
      signing_in: ["Signing in…", url ? "Go on in the browser; it waits for you." : "Finishing."],
      signed_in: ["Signed in", "Loading your status…"],
      reauth_required: ["Sign in again", "Your session ended."],
      signing_out: ["Signing out…", "This phone is locked already; the server is told."],
    }[session.state] ?? [session.state, ""];
    text(refs["gate-title"], title);
    text(refs["gate-text"], session.reason || words);
    attribute(refs.gate, "data-busy", ["loading", "signing_out"].includes(session.state) ? "true" : null);
    show(refs["sign-in"], session.state === "signed_out" || session.state === "reauth_required");
    text(refs["sign-in"], session.state === "reauth_required" ? "Sign in again" : "Sign in");
    show(refs.restore, session.state === "signing_in" && url);
    show(refs.cancel, session.state === "signing_in");
  }

  /** The system browser; true while it covers the screen. Its iframe lives as long as its address. */
  renderBrowser() {
    const { refs } = this;
    const url = this.view.session.state === "signed_in" ? null : this.view.login_url;
    if (this.frame && this.frame.url !== url) {
      this.frame.element.remove();
      this.frame = null;
    }
    if (url && !this.frame) {
      const element = make("iframe", { title: `System browser of ${this.view.name}`, "data-testid": "login-frame", src: url });
      this.frame = { url, element };
      this.minimised = false;
      refs["browser-frame"].append(element);
      text(refs["browser-host"], new URL(url).host);
    }
    return Boolean(this.frame) && !this.minimised;
  }

  renderApp() {
    const { view, refs } = this;
    const { presence, session } = view;
    attribute(refs.app, "data-link", presence.link);
    attribute(refs.link, "data-link", presence.link);
    text(refs.link, presence.link === "offline" ? `Offline since ${clockOf(presence.as_of)}` : LINK[presence.link] ?? presence.link);
    attribute(refs.link, "title", `version ${presence.version}`);

    const degraded = session.status === "degraded" ? "This phone's storage fails. You stay signed in while the app runs." : null;
    const note = session.reason || degraded;
    text(refs.reauth, note);
    show(refs.reauth, note);
    const notices = presence.notices.join(" ");
    text(refs.notices, notices);
    show(refs.notices, notices);

    text(refs["banner-text"], view.banner?.text);
    show(refs.banner, view.banner);

    const [words, icon] = EFFECTIVE[presence.effective] ?? [presence.effective, ""];
    attribute(refs.effective, "data-effective", presence.effective);
    attribute(refs["effective-icon"], "d", icon);
    text(refs["effective-text"], words);
    const key = availabilityKey(presence.availability);
    const busy = { in_call: "no other calls meanwhile", after_call_work: "finishing the last call" }[presence.effective];
    text(refs["effective-why"], busy ?? REASON[key] ?? (key === "automatic" ? "automatic, by your hours" : presence.forwarding.on ? "calls are forwarded" : "calls are welcome"));

    const pendingText = presence.pending?.what === "availability" ? presence.pending.text : null;
    for (const choice of this.choices) {
      attribute(choice, "aria-pressed", choice.dataset.set === key);
      const isPending = pendingText && [choice.dataset.set, choice.textContent].some((name) => name.toLowerCase() === pendingText.toLowerCase());
      choice.classList.toggle("pending", Boolean(isPending));
    }
    const pendingWords = presence.pending ? REASON[presence.pending.text] ?? presence.pending.text : null;
    text(refs.pending, pendingWords ? `Sending: ${pendingWords}` : presence.superseded?.text);
    show(refs.forward, !presence.forwarding.on);
    text(refs["who-name"], session.name);
    text(refs["who-email"], session.email);
  }

  renderBench() {
    const { view, refs } = this;
    const on = view.power === "on";
    attribute(refs.network, "aria-checked", view.network === "up");
    attribute(refs.network, "aria-label", `Network of ${view.name}`);
    text(refs["network-text"], view.network === "up" ? "cable in" : "cable out");
    text(refs.power, on ? "Kill" : "Start");
    text(refs.foreground, view.foreground ? "Background" : "Foreground");
    attribute(refs.foreground, "aria-label", view.foreground ? "Send the app to the background" : "Bring the app to the foreground");
    refs.foreground.disabled = !on;
    const signedIn = view.session.state === "signed_in";
    refs.expire.disabled = !on || !signedIn;
    refs.repair.disabled = !on || !signedIn;
    refs["sign-out"].disabled = !on || !(signedIn || view.session.state === "reauth_required");
    text(refs.offset, span(view.clock_offset_ms, 1));
    attribute(refs.offset, "title", span(view.clock_offset_ms, 4) || null);
  }

  /** What moves with the clock alone. */
  tick() {
    const { view, refs } = this;
    if (!view) return;
    const now = lab.now();
    const own = now + view.clock_offset_ms;
    text(refs.clock, clockOf(own));
    if (!refs.launcher.hidden) {
      text(refs["big-clock"], clockOf(own));
      text(refs.date, dateOf(own));
    }
    if (view.ringing) {
      const left = Math.max(0, Math.round((view.ringing.expires_at - now) / 1000));
      text(refs["ring-left"], left > 0 && left < 300 ? `rings ${left} s more` : "");
    }
    if (view.call) {
      const seconds = Math.max(0, Math.floor((now - view.call.since) / 1000));
      text(refs["call-duration"], `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}`);
    }
  }
}

// -------------------------------------------------------------------------------------------------- who rings and why

const nameOf = (key) => lab.view.phones.find((phone) => phone.key === key)?.name ?? PLACE[key] ?? (key.startsWith("forwarded") ? PLACE.forwarded : key);

const midSentence = (name) => name.replace(/^The /, "the ");

/** Whether nobody has the call yet: it rings in the apps, or is offered at the number that calls go to. */
const waits = (call) => call.state === "ringing" || call.state === "offered";

/**
 * The decision of a phone that explains a call: while it rings the newest; afterwards the one that made it ring, if one did, and
 * not the later one that stopped it.
 */
function decisionOf(call, key) {
  const decisions = lab.view.phones.find((phone) => phone.key === key)?.decisions.filter((item) => item.call_id === call.call_id) ?? [];
  return (!waits(call) && decisions.find((item) => item.verdict === "ring")) || decisions[0];
}

/** What a device did when the call came: the lab tells what it does now. */
function outcomeOf(call, device) {
  return !waits(call) && decisionOf(call, device.key)?.verdict === "ring" ? "rings" : device.outcome;
}

/** ring, call or silent: what the lamp of a device shows for a call. */
function lampOf(call, device) {
  if (call.answered_by === device.key) return "call";
  if (waits(call)) return outcomeOf(call, device) === "rings" ? "ring" : "silent";
  return outcomeOf(call, device) === "rings" ? "rest" : "silent";
}

const OUTCOME = { rings: "Rings", silent: "Silent", not_pushed: "Silent", answered: "Answers" };
function outcomeWords(call, device) {
  const lamp = lampOf(call, device);
  if (lamp === "call") return call.state === "ended" ? "Answered" : "In the call";
  if (lamp === "rest") return "Rang";
  return OUTCOME[device.outcome] ?? device.outcome.replaceAll("_", " ");
}

const lampSvg = () => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  attribute(svg, "viewBox", "0 0 16 16");
  attribute(svg, "aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.append(path);
  return svg;
};

function renderWhy(view) {
  const call = view.calls[0];
  show($("why-empty"), !call);
  show($("why-call"), call);
  $("hang-up").disabled = !call || call.state === "ended";
  if (!call) return renderVerdict(view, null);

  text($("caller-name"), caller(call));
  text($("caller-number"), call.from_name ? call.from : "");
  const stateWords = { ringing: "ringing", answered: `answered by ${call.answered_by ? midSentence(nameOf(call.answered_by)) : "a device"}`, offered: "offered at the forwarding number: press 1 there", ended: call.given_back ? `back in the queue: ${call.given_back}` : call.answered_by ? `over, answered by ${midSentence(nameOf(call.answered_by))}` : "over" };
  text($("caller-state"), stateWords[call.state] ?? call.state);
  attribute($("caller-lamp"), "data-lamp", { ringing: "ring", offered: "ring", answered: "call" }[call.state] ?? "rest");

  renderTrunk(call);
  show($("leg"), call.state === "offered" || (call.state === "answered" && call.answered_by === "forwarded"));
  for (const button of document.querySelectorAll("[data-leg]")) show(button, button.dataset.leg === "hung_up" ? call.state === "answered" : call.state === "offered");
  list($("outcomes"), call.devices, (device) => device.key, (device) => {
    const item = make("li", { "data-testid": `outcome-${device.key}` });
    item.append(make("span", { class: "socket" }, lampSvg()), make("strong"), make("span", { class: "outcome" }), make("small"));
    return item;
  }, (item, device) => {
    const lamp = lampOf(call, device);
    const [socket, name, outcome, reason] = item.children;
    attribute(item, "data-lamp", lamp);
    attribute(item, "data-outcome", device.outcome);
    const explains = lamp === "silent" || device.key.startsWith("forwarded"); // where calls go is worth a word as well
    attribute(socket.firstChild.firstChild, "d", LAMP[lamp]);
    text(name, PLACE_ON_SOCKET[device.key] ?? nameOf(device.key));
    text(outcome, outcomeWords(call, device));
    text(reason, [device.outcome === "not_pushed" ? "not pushed" : "", explains ? ruleWords(device.reason).toLowerCase() : ""].filter(Boolean).join(": "));
  });

  list($("decisions"), view.phones, (phone) => `${call.call_id} ${phone.key}`, makeDecision, (element, phone) => updateDecision(element, phone, call));
  renderVerdict(view, call);
}

/** The line from the caller splits into one wire a device: lit when it rings, cut when it stays silent. */
function renderTrunk(call) {
  const trunk = $("trunk");
  const count = call.devices.length;
  list(trunk, call.devices, (device) => device.key,
    () => document.createElementNS("http://www.w3.org/2000/svg", "path"),
    (path, device) => {
      const x = ((call.devices.indexOf(device) + 0.5) * 100) / count;
      const lamp = lampOf(call, device);
      attribute(path, "d", lamp === "silent" ? `${wire(x, 0, 0.54)}${wire(x, 0.68, 1)}` : wire(x, 0, 1));
      attribute(path, "data-lamp", lamp);
    });
}

/** The part of the wire to the device at x that lies between the fractions `from` and `to` of its length. */
function wire(x, from, to) {
  const points = [[50, 0], [50, 26], [x, 6], [x, 34]];
  // The control points of a part of a Bezier curve are its blossoms (de Casteljau).
  const blossom = (...at) => at.reduce((row, t) => row.slice(1).map((p, i) => [0, 1].map((axis) => row[i][axis] * (1 - t) + p[axis] * t)), points)[0].map((value) => value.toFixed(1)).join(" ");
  return `M${blossom(from, from, from)}C${blossom(from, from, to)} ${blossom(from, to, to)} ${blossom(to, to, to)}`;
}

function makeDecision() {
  const element = make("article", { class: "decision" });
  element.append(
    make("h3"),
    make("p", { class: "step-name" }, "It knew"),
    make("dl"),
    make("p", { class: "step-name" }, "Rule"),
    make("p", { class: "rule", "data-testid": "rule" }, make("strong"), make("code")),
    make("p", { class: "step-name" }, "So it"),
    make("p", { class: "did" }, lampSvg(), make("strong"), make("span")),
    make("p", { class: "explanation", "data-testid": "explanation" }),
  );
  return element;
}

function updateDecision(element, phone, call) {
  const decision = decisionOf(call, phone.key);
  const device = call.devices.find((item) => item.key === phone.key);
  const [title, , inputs, , rule, , did, explanation] = element.children;
  attribute(element, "data-testid", `decision-${phone.key}`);
  text(title, phone.name);
  const rings = decision ? decision.verdict === "ring" : device?.outcome === "rings";
  const over = !waits(call);
  const lamp = !rings ? "silent" : over ? "rest" : "ring";
  attribute(element, "data-verdict", decision?.verdict ?? (rings ? "ring" : "silence"));
  attribute(element, "data-lamp", lamp);

  const known = decision?.inputs ?? [];
  show(inputs, known.length > 0);
  show(inputs.previousElementSibling, known.length > 0);
  list(inputs, known, ([name]) => name, () => make("div", {}, make("dt"), " ", make("dd")), (row, [name, value]) => {
    text(row.firstChild, name);
    text(row.lastChild, value.replace(/(\d)-(\d)/g, "$1\u2011$2")); // a version is one word
    attribute(row, "data-fired", decision && firedBy(decision.rule, name, value) ? "true" : null);
  });

  const ruleName = decision?.rule ?? device?.reason ?? (device ? null : "signed_out");
  text(rule.firstChild, decision || device ? ruleWords(ruleName) || "Not said" : "Not asked");
  text(rule.lastChild, decision ? decision.rule : "on the server");
  attribute(did.firstChild.firstChild, "d", LAMP[lamp]);
  const pushed = decision || rings;
  text(did.children[1], rings ? (over ? "Rang" : "Rings") : over ? "Stayed silent" : "Stays silent");
  text(did.children[2], decision?.platform ?? (pushed ? "" : "The server sent it no push."));
  text(explanation, decision?.explanation ?? "");
  show(explanation, decision?.explanation);
}

/** Which input the rule was about, so that the eye finds it; read as "name value". */
const FIRED_BY = {
  forwarding_active: /forwarding on/,
  not_available: /availab/,
  in_another_call: /^(other|another) call/,
  answered_elsewhere: /^call /,
  call_ended: /^call /,
  duplicate: /^call /,
  expired: /^server time/,
  signed_out: /^agent/,
  other_account: /^agent/,
  device_not_registered: /^device/,
  sign_in_needed: /^could answer no/,
};
const firedBy = (rule, name, value) => FIRED_BY[rule]?.test(`${name} ${value}`) ?? false;

/** One sentence for the eye and for a screen reader. */
function renderVerdict(view, call) {
  const element = $("verdict");
  if (!call) {
    const anyone = view.phones.some((phone) => phone.session.state === "signed_in");
    attribute(element, "data-ring", "idle");
    return text(element, anyone ? "Quiet. Press “Incoming call” to see who rings and why." : "No call yet. Sign a phone in, then press “Incoming call”.");
  }
  const join = (devices) => {
    const names = devices.map((device) => nameOf(device.key));
    return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
  };
  const rang = call.devices.filter((device) => outcomeOf(call, device) === "rings" && device.key !== call.answered_by);
  const silent = call.devices.filter((device) => outcomeOf(call, device) !== "rings" && device.key !== call.answered_by);
  const reasons = [...new Set(silent.map((device) => ruleWords(decisionOf(call, device.key)?.rule ?? device.reason).toLowerCase()).filter(Boolean))];
  const why = reasons.length === 1 ? `: ${reasons[0]}` : "";
  const sentences = [];
  if (waits(call)) {
    sentences.push(`${caller(call)} calls.`);
    sentences.push(rang.length ? `${join(rang)} ${rang.length > 1 ? "ring" : "rings"}.` : "Nothing rings.");
    if (silent.length) sentences.push(`${join(silent)} ${silent.length > 1 ? "stay" : "stays"} silent${why}.`);
  } else {
    sentences.push(call.state === "answered"
      ? `${call.answered_by ? nameOf(call.answered_by) : "Somebody"} answered ${caller(call)}.`
      : call.given_back ? `${caller(call)} is back in the queue: ${call.given_back}.` : `The call of ${caller(call)} is over.`);
    if (call.state === "answered" && rang.length) sentences.push(`${join(rang)} stopped ringing.`);
    if (silent.length) sentences.push(`${join(silent)} stayed silent${why}.`);
  }
  attribute(element, "data-ring", { ringing: rang.length ? "ring" : "silent", offered: "ring", answered: "call" }[call.state] ?? "idle");
  text(element, sentences.join(" "));
}

// ---------------------------------------------------------------------------------------------------------------- time line

const timeline = { paused: false, shown: [], seen: 0, who: "", kind: "" };

function renderTimeline() {
  const entries = lab.view?.timeline ?? [];
  if (!timeline.paused) {
    timeline.shown = entries;
    timeline.seen = entries.at(-1)?.n ?? 0;
  }
  const waiting = entries.filter((entry) => entry.n > timeline.seen).length;
  text($("pause"), timeline.paused ? (waiting ? `Resume, ${waiting} new` : "Resume") : "Pause");
  attribute($("pause"), "aria-pressed", timeline.paused);

  const known = new Set([...$("filter-who").options].map((option) => option.value));
  for (const { who } of entries) {
    if (known.has(who)) continue;
    known.add(who);
    $("filter-who").append(make("option", { value: who }, who));
  }

  const wanted = timeline.shown
    .filter((entry) => (!timeline.who || entry.who === timeline.who) && (!timeline.kind || entry.kind === timeline.kind))
    .reverse();
  list($("entries"), wanted, (entry) => entry.n, (entry) =>
    make("li", { "data-kind": entry.kind, "data-who": entry.who },
      make("time", { datetime: new Date(entry.at).toISOString() }, clockOf(entry.at, true)),
      make("b", {}, entry.who), make("i", {}, entry.kind), make("span", {}, entry.text)), () => {});
  show($("entries-empty"), wanted.length === 0);
}

// ----------------------------------------------------------------------------------------------------- accounts, surfaces

const copyButton = (what) => make("button", { type: "button", class: "copy", "data-copy": what, "data-testid": `copy-${what}` });

function fillCopy(button, value, label) {
  show(button, value);
  if (!value) return;
  attribute(button, "data-value", value);
  attribute(button, "aria-label", `Copy ${label}: ${value}`);
  if (!button.dataset.copied) text(button, value);
}

function renderAccounts(accounts) {
  const passwords = new Set(accounts.map((account) => account.password));
  const shared = passwords.size === 1 ? accounts[0].password : null;
  show($("shared-password"), shared);
  fillCopy($("copy-shared"), shared, "the password of all accounts");
  list($("accounts"), accounts, (account) => account.email, (account) =>
    make("li", { "data-testid": "account", "data-email": account.email },
      make("span", { class: "account-name" }, make("strong"), " ", make("small")), copyButton("email"), copyButton("password"), copyButton("code")),
  (item, account) => {
    const [name, email, password, code] = item.children;
    text(name.firstChild, account.name);
    text(name.lastChild, account.sign_in_with ? `${account.role}, with ${account.sign_in_with}` : account.role);
    fillCopy(email, account.email, `the e-mail of ${account.name}`);
    fillCopy(password, shared ? null : account.password, `the password of ${account.name}`);
    fillCopy(code, account.totp_code, `the code of ${account.name}`);
  });
}

document.querySelector(".accounts").addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const value = button.dataset.value;
  try {
    await navigator.clipboard.writeText(value);
    button.dataset.copied = "true";
    text(button, "copied");
    setTimeout(() => {
      delete button.dataset.copied;
      text(button, button.dataset.value);
    }, 1200);
  } catch {
    getSelection().selectAllChildren(button);
  }
});

const surfaces = {
  base: null,
  live: new Set(), // browser surfaces that said they are signed in

  path(name) {
    return name === "cti" ? `/app/cti/${$("cti-host").value}` : `/app/${name}`;
  },
  frame(name) {
    return document.querySelector(`[data-frame="${name}"]`);
  },
  load(name) {
    this.live.delete(name);
    this.frame(name).src = this.base + this.path(name);
  },
  render(base) {
    if (base === this.base) return;
    this.base = base;
    // One first: it gets the cookie that binds logins to this browser. Four at once would get four, and only the last counts.
    const others = () => { for (const name of ["desktop", "dashboard", "cti"]) this.load(name); };
    this.frame("web").addEventListener("load", others, { once: true });
    this.load("web");
  },
  /** Tells a surface which colours the switch asks for; the system's are known to it. */
  paint(name) {
    this.frame(name).contentWindow?.postMessage({ hookswitch: "theme", theme: document.documentElement.dataset.theme ?? "auto" }, "*");
  },
  /** The browser surfaces share one session: when the first of them is signed in, the others are opened again and know it. */
  heard({ surface, state }) {
    const name = surface.startsWith("cti-") ? "cti" : surface;
    this.paint(name);
    if (name === "desktop") return;
    const first = this.live.size === 0;
    if (state !== "live") return this.live.delete(name);
    this.live.add(name);
    if (first) for (const other of ["web", "dashboard", "cti"]) if (!this.live.has(other)) this.load(other);
  },
};

$("surfaces").addEventListener("click", (event) => {
  const button = event.target.closest("[data-reload]");
  if (button && surfaces.base) surfaces.load(button.dataset.reload);
});
$("cti-host").addEventListener("change", () => surfaces.base && surfaces.load("cti"));

addEventListener("message", (event) => {
  const message = event.data;
  if (message?.hookswitch === "surface" && event.origin === surfaces.base) surfaces.heard(message);
});

// --------------------------------------------------------------------------------------------------------------- the stream

const lab = {
  view: null,
  receivedAt: 0,
  source: null,
  retry: 0,

  now() {
    return this.view ? this.view.now + (performance.now() - this.receivedAt) : Date.now();
  },

  render(view) {
    this.view = view;
    this.receivedAt = performance.now();
    attribute($("stage"), "aria-busy", null);
    $("waiting")?.remove();
    attribute($("old-server"), "aria-checked", view.switches.old_server);
    text($("time-offset"), span(view.time_offset_ms));
    list($("phones"), view.phones, (phone) => phone.key, (phone) => {
      const made = new PhoneCard(phone.key);
      phones.set(phone.key, made);
      return made.root;
    }, (_, phone) => phones.get(phone.key).update(phone));
    renderWhy(view);
    renderTimeline();
    renderAccounts(view.accounts);
    surfaces.render(view.base);
    tick();
  },

  state(name) {
    attribute(document.body, "data-lab", name);
    text($("lab-link"), { live: "Connected", connecting: "Connecting", lost: "Disconnected" }[name]);
    show($("lost"), name === "lost");
  },

  connect() {
    clearTimeout(this.retry);
    const source = new EventSource("/lab/stream");
    this.source = source;
    source.addEventListener("view", (event) => {
      this.state("live");
      this.render(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      source.close();
      this.state("lost");
      this.retry = setTimeout(() => this.connect(), 1000);
    });
  },
};

function tick() {
  text($("now"), clockOf(lab.now(), true));
  for (const phone of phones.values()) phone.tick();
}
setInterval(tick, 1000);

// ---------------------------------------------------------------------------------------------------------- global controls

const labError = $("lab-error");

$("dial").addEventListener("submit", (event) => {
  event.preventDefault();
  post("/lab/calls", { from: $("from").value.trim(), from_name: $("from-name").value.trim() }, { button: $("dial").querySelector(".call-button"), complaint: labError });
});

$("hang-up").addEventListener("click", () => {
  const call = lab.view?.calls[0];
  if (call && call.state !== "ended") post(`/lab/calls/${encodeURIComponent(call.call_id)}/hang-up`, {}, { button: $("hang-up"), complaint: labError });
});

for (const button of document.querySelectorAll("[data-leg]")) {
  button.addEventListener("click", () => {
    const call = lab.view?.calls[0];
    if (call) post(`/lab/calls/${encodeURIComponent(call.call_id)}/leg`, { is: button.dataset.leg }, { button, complaint: labError });
  });
}

$("old-server").addEventListener("click", () =>
  post("/lab/switches", { old_server: !lab.view?.switches.old_server }, { button: $("old-server"), complaint: labError }));

for (const button of document.querySelectorAll("[data-advance]")) {
  button.addEventListener("click", () => post("/lab/time", { advance_ms: Number(button.dataset.advance) }, { button, complaint: labError }));
}

$("pause").addEventListener("click", () => {
  timeline.paused = !timeline.paused;
  renderTimeline();
});
for (const name of ["who", "kind"]) {
  $(`filter-${name}`).addEventListener("change", (event) => {
    timeline[name] = event.target.value;
    renderTimeline();
  });
}

const THEMES = { auto: ["Auto", "Colours: follow the system"], light: ["Light", "Colours: light"], dark: ["Dark", "Colours: dark"] };

function theme(name) {
  attribute(document.documentElement, "data-theme", name === "auto" ? null : name);
  const [words, label] = THEMES[name];
  text($("theme-text"), words);
  attribute($("theme"), "aria-label", label);
  for (const name of ["web", "desktop", "dashboard", "cti"]) surfaces.paint(name);
  try {
    localStorage.setItem("hookswitch-lab-theme", name);
  } catch {
    // A browser without storage forgets the choice, nothing else.
  }
}

function nextTheme() {
  const names = Object.keys(THEMES);
  const current = document.documentElement.dataset.theme ?? "auto";
  theme(names[(names.indexOf(current) + 1) % names.length]);
}

function storedTheme() {
  try {
    const name = localStorage.getItem("hookswitch-lab-theme");
    return name in THEMES ? name : "auto";
  } catch {
    return "auto";
  }
}

$("theme").addEventListener("click", nextTheme);
$("help").addEventListener("click", () => $("keys").showModal());

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || $("keys").open) return;
  if (event.target.closest("input, select, textarea")) return;
  const press = (index, act) => {
    const phone = [...phones.values()][index];
    phone?.root.querySelector(`[data-act="${act}"]`)?.click();
  };
  const keys = {
    c: () => $("dial").requestSubmit(),
    h: () => $("hang-up").click(),
    1: () => press(0, "answer"),
    2: () => press(1, "answer"),
    n: () => press(0, "network"),
    m: () => press(1, "network"),
    p: () => $("pause").click(),
    t: nextTheme,
    "?": () => $("keys").showModal(),
  };
  const run = keys[event.key.toLowerCase()];
  if (!run) return;
  event.preventDefault();
  run();
});

theme(storedTheme());
lab.connect();
