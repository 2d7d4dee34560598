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

const availabilityKey = (availability) => (availability.kind === "unavailable" ? availability.reason : availability.kind);

// ------------------------------------------------------------------------------------------------------------------ actions

/** Posts, and says in `complaint` what went wrong. While it is under way the button is busy and a second press does nothing. */
async function post(path, body, { button, complaint } = {}) {
  if (button?.getAttribute("aria-busy") === "true") return false;
  attribute(button ?? document.body, "aria-busy", button ? "true" : null);
  let message = null;
  let away = false;
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
    away = true;
  }
  if (button) attribute(button, "aria-busy", null);
  if (complaint) {
    text(complaint, message);
    show(complaint, message);
    attribute(complaint, "data-away", away ? "true" : null);
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
    this.root.id = `phone-${key}`;
    this.seen = null; // the version that was on the screen last
    this.focusBefore = null; // what had the focus when a call covered it
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
        else this.follow = "forwarding-off"; // the form goes away with the next view
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
      case "forwarding-off": return this.post("forwarding", { number: null }, button, error).then((done) => { if (done) this.follow = "forwarding-number"; });
      case "answer": return view.ringing && this.post("answer", { call_id: view.ringing.call_id }, button);
      case "decline": return view.ringing && this.post("decline", { call_id: view.ringing.call_id }, button);
      case "hang-up": return view.call && this.post("hang-up", { call_id: view.call.call_id }, button);
      case "start": return this.post("power", { action: "start" }, button);
      case "power": return this.post("power", { action: view.power === "on" ? "kill" : "start" }, button);
      case "network": return this.post("network", { up: view.network !== "up" }, button);
      case "foreground": return this.post("foreground", { foreground: !view.foreground }, button);
      case "expire": return this.post("expire-token", {}, button);
      case "kill-in-refresh": return this.post("kill-in-refresh", { set: !view.kill_in_refresh }, button);
      case "repair": return this.post("repair", {}, button);
      case "sign-out": return this.post("sign-out", {}, button);
      case "clock": {
        const delta = Number(button.dataset.delta);
        return this.post("clock", { offset_ms: delta === 0 ? 0 : view.clock_offset_ms + delta }, button);
      }
    }
  }

  update(view) {
    // What was complained about ended with the app.
    if (this.view && this.view.power !== view.power) this.forget();
    this.view = view;
    this.render();
  }

  forget() {
    for (const complaint of [this.refs.error, this.refs["bench-error"]]) show(complaint, false);
    attribute(this.refs["forward-number"], "aria-invalid", null);
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
    // The browser is another app: it outlives this one.
    const browsing = this.renderBrowser();
    show(refs.off, !on && !browsing);
    show(refs.launcher, on && !view.foreground && !browsing);
    show(refs.app, on && view.foreground && inApp);
    show(refs.gate, on && view.foreground && !inApp && !browsing);
    show(refs.browser, browsing);
    show(refs.ringing, on && view.ringing);
    show(refs.call, on && view.call && !view.ringing);

    // What a call covers cannot be reached by the keyboard either; who was there goes on in the call, and comes back after it.
    const covered = on && Boolean(view.ringing || view.call);
    const focus = this.root.contains(document.activeElement) ? document.activeElement : null;
    const under = ["launcher", "app", "gate", "browser"].some((name) => focus && refs[name].contains(focus));
    if (covered && under) this.focusBefore = focus;
    for (const name of ["launcher", "app", "gate", "browser"]) if (refs[name].inert !== covered) refs[name].inert = covered;
    if (covered && (under || (focus && focus.closest("[hidden]")))) (view.ringing ? refs.answer : refs["end-call"]).focus({ preventScroll: true });
    if (!covered && this.focusBefore) {
      if (!focus || focus.closest("[hidden]")) this.focusBefore.focus({ preventScroll: true });
      this.focusBefore = null;
    }

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
    if (this.follow) {
      const next = this.root.querySelector(`[data-testid="${this.follow}"]`);
      const lost = document.activeElement === document.body || document.activeElement?.closest("[hidden]");
      if (!next.closest("[hidden]")) {
        if (lost) next.focus({ preventScroll: true });
        this.follow = null;
      }
    }
    this.tick();
  }

  renderLamp() {
    const { view, refs } = this;
    const { state, status } = view.session;
    const newest = lab.view?.calls[0];
    const outcome = newest && newest.state !== "ended" && newest.answered_by !== this.key ? newest.devices.find((device) => device.key === this.key) : null;
    let lamp = "rest";
    let words;
    if (view.power !== "on") [lamp, words] = ["off", "Killed"];
    else if (view.ringing) [lamp, words] = ["ring", "Rings"];
    else if (view.call) [lamp, words] = ["call", "In a call"];
    else if (outcome && outcome.outcome !== "rings") {
      [lamp, words] = ["silent", `Silent: ${SHORT[outcome.reason] ?? (ruleWords(outcome.reason).toLowerCase() || "not pushed")}`];
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
    if (presence.forwarding.on) refs["forward-number"].value = ""; // it has done its work, here or elsewhere
    text(refs["who-name"], session.name);
    text(refs["who-email"], session.email);
  }

  renderBench() {
    const { view, refs } = this;
    const on = view.power === "on";
    attribute(refs.network, "aria-checked", view.network === "up");
    attribute(refs.network, "aria-label", `Cable of ${view.name}`);
    text(refs["network-text"], "Cable");
    text(refs.power, on ? "Kill" : "Start");
    text(refs.foreground, view.foreground ? "Background" : "Foreground");
    refs.foreground.disabled = !on;
    const signedIn = view.session.state === "signed_in";
    refs.expire.disabled = !on || !signedIn;
    refs.repair.disabled = !on || !signedIn;
    refs.trap.disabled = !on || !signedIn;
    attribute(refs.trap, "aria-pressed", view.kill_in_refresh);
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

// ---------------------------------------------------------------------------------------------------------------- time line

const KIND = { event: "", phone: "", request: "request", decision: "decides", push: "push", fault: "fault" };
const timeline = { scene: -1, paused: false, shown: [], seen: 0, who: "", kind: "" };

const makeLine = (entry) =>
  make("li", { "data-kind": entry.kind, "data-who": entry.who },
    make("time", { datetime: new Date(entry.at).toISOString() }, clockOf(entry.at, true)),
    make("b", {}, nameOf(entry.who)), make("i", {}, KIND[entry.kind] ?? entry.kind), make("span", {}, make("bdi", {}, entry.text)));

function renderTimeline() {
  const entries = lab.view?.timeline ?? [];
  if (timeline.scene !== lab.view?.scene) {
    timeline.scene = lab.view?.scene;
    timeline.paused = false;
    $("entries").replaceChildren();
  }
  const last = entries.at(-1);
  text($("timeline-last"), last ? `${nameOf(last.who)}: ${last.text}` : "");
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
    $("filter-who").append(make("option", { value: who }, nameOf(who)));
  }

  const wanted = timeline.shown
    .filter((entry) => (!timeline.who || entry.who === timeline.who) && (!timeline.kind || entry.kind === timeline.kind))
    .reverse();
  list($("entries"), wanted, (entry) => entry.n, makeLine, () => {});
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
      make("button", { type: "button", class: "account-name", "data-fill": account.email, "data-testid": "fill" }, make("strong"), make("small")), copyButton("email"), copyButton("password"), copyButton("code")),
  (item, account) => {
    const [name, email, password, code] = item.children;
    text(name.firstChild, account.name);
    text(name.lastChild, account.sign_in_with ? `${account.role}, with ${account.sign_in_with}` : account.role);
    fillCopy(email, account.email, `the e-mail of ${account.name}`);
    fillCopy(password, shared ? null : account.password, `the password of ${account.name}`);
    fillCopy(code, account.totp_code, `the code of ${account.name}`);
  });
  const to = $("to");
  list(to, accounts, (account) => account.email, (account) => make("option", { value: account.email }), (option, account) =>
    text(option, account.is_signed_in ? account.name : `${account.name} (not signed in)`));
  // Until somebody chooses: whoever is signed in, and else who may open everything.
  if (!to.dataset.chosen) to.value = (accounts.find((account) => account.is_signed_in) ?? accounts.find(opensEverything) ?? accounts[0]).email;
}

const opensEverything = (account) => account.role !== "agent" && !account.sign_in_with && !account.totp_code;

/** Fills an account into every sign-in page that is open: the pages themselves know whether they are one. */
function fill(account) {
  const { email, password, totp_code: code } = account;
  for (const frame of document.querySelectorAll("iframe")) {
    for (const origin of [surfaces.base, lab.view.upstream]) {
      frame.contentWindow?.postMessage({ hookswitch: "fill", email, password, code }, origin);
    }
  }
}

document.querySelector(".accounts").addEventListener("click", async (event) => {
  const filled = event.target.closest("[data-fill]");
  if (filled) fill(lab.view.accounts.find(({ email }) => email === filled.dataset.fill));
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
  seen: new Map(), // name -> {email, version, at}: what a surface that is live shows
  windows: 0,

  path(name) {
    return name === "cti" ? `/app/cti/${$("cti-host").value}` : `/app/${name}`;
  },
  frame(name) {
    return document.querySelector(`[data-frame="${name}"]`);
  },
  load(name) {
    this.live.delete(name);
    this.seen.delete(name);
    this.frame(name).src = this.base + this.path(name);
  },
  render({ base, windows }) {
    if (base === this.base) {
      if (windows !== this.windows) this.take(windows);
      return;
    }
    this.base = base;
    this.windows = 0;
    this.seen.clear();
    this.live.clear();
    // One first: it gets the cookie that binds logins to this browser. Four at once would get four, and only the last counts.
    const others = () => { for (const name of ["desktop", "dashboard", "cti"]) this.load(name); };
    this.frame("web").addEventListener("load", others, { once: true });
    this.load("web");
  },
  /** Somebody signed in for these windows: their sessions come with the answer, as cookies. */
  async take(windows) {
    this.windows = windows;
    await fetch("/lab/windows", { method: "POST" }).catch(() => {});
    for (const name of ["web", "desktop", "dashboard", "cti"]) {
      if (this.seen.has(name)) continue;
      this.load(name);
      this.live.add(name); // it will be: nobody has to open the others once more
    }
  },
  /** Tells a surface which colours the switch asks for; the system's are known to it. */
  paint(name) {
    this.frame(name).contentWindow?.postMessage({ hookswitch: "theme", theme: document.documentElement.dataset.theme ?? "auto" }, "*");
  },
  /** The browser surfaces share one session: when the first of them is signed in, the others are opened again and know it. */
  heard({ surface, state, email, version, at }) {
    const name = surface.startsWith("cti-") ? "cti" : surface;
    this.paint(name);
    if (state === "live" && version) this.seen.set(name, { email, version, at });
    if (state !== "live") this.seen.delete(name);
    agree.look();
    if (name === "desktop") return;
    const first = this.live.size === 0;
    if (state !== "live") return this.live.delete(name);
    this.live.add(name);
    if (first) for (const other of ["web", "dashboard", "cti"]) if (!this.live.has(other)) this.load(other);
  },
};

$("stage").addEventListener("click", (event) => {
  const button = event.target.closest("[data-reload]");
  if (button && surfaces.base) surfaces.load(button.dataset.reload);
});
$("cti-host").addEventListener("change", () => surfaces.base && surfaces.load("cti"));

addEventListener("message", (event) => {
  const message = event.data;
  if (message?.hookswitch === "surface" && event.origin === surfaces.base) surfaces.heard(message);
});

// ------------------------------------------------------------------------------------------------ all screens agree

/** How long it took until all screens of the agent showed the newest state. */
const agree = {
  scene: -1,
  version: null, // the newest on which all agreed
  count: 0, // how many did

  screens({ email }) {
    const phonesOn = lab.view.phones
      .filter(({ power, session, presence }) => power === "on" && session.email === email && ["live", "polling"].includes(presence?.link))
      .map(({ key, presence }) => ({ element: phones.get(key).refs.device, version: presence.version, at: presence.shown_since }));
    const windows = [...surfaces.seen].filter(([, seen]) => seen.email === email)
      .map(([name, { version, at }]) => ({ element: document.querySelector(`[data-window="${name}"]`), version, at: at + lab.view.time_offset_ms }));
    return [...phonesOn, ...windows];
  },

  look() {
    const account = lab.view?.accounts.find(({ email }) => email === $("to").value);
    const screens = account?.state ? this.screens(account) : [];
    show($("agree"), screens.length > 1);
    if (screens.length < 2) return;
    const { version, at } = account.state;
    const done = screens.filter((screen) => screen.version === version);
    attribute($("agree"), "data-agree", done.length === screens.length);
    if (done.length < screens.length) return text($("agree"), `${done.length} of ${screens.length} screens know the newest state`);
    const mark = `${lab.view.scene} ${version}`;
    const joined = this.version === mark && this.count !== screens.length;
    this.count = screens.length;
    if (joined) text($("agree"), `${screens.length} screens agree`);
    if (this.version === mark) return;
    // What was there before the page looked cannot be timed.
    const before = this.version !== null && this.version.startsWith(`${lab.view.scene} `);
    this.version = mark;
    const took = Math.max(1, ...screens.map((screen) => screen.at - at));
    text($("agree"), before ? `${screens.length} screens agree after ${took} ms` : `${screens.length} screens agree`);
    if (before) for (const { element } of screens) flash(element);
  },
};

function flash(element) {
  element.classList.remove("flash");
  void element.offsetWidth; // begins the animation anew
  element.classList.add("flash");
}

// ------------------------------------------------------------------------------------------------------------- a story

function renderStory({ story, stories }) {
  list($("story-list"), stories, ({ name }) => name, ({ name }) =>
    make("li", {}, make("button", { type: "button", "data-story": name, "data-testid": `story-${name}` })), (item, { title }) => text(item.firstChild, title));
  show($("choose-story"), stories.length);
  show($("story"), story);
  if (!story) return;
  const { steps, played, trouble } = story;
  const over = played === steps.length || Boolean(trouble);
  text($("story-title"), story.title);
  text($("story-text"), story.story);
  show($("story-text"), story.story);
  text($("story-count"), trouble ? `stopped at step ${played + 1} of ${steps.length}` : over ? "played to the end" : `step ${Math.min(played + 1, steps.length)} of ${steps.length}`);
  text($("story-play"), story.plays ? "Pause" : "Play");
  attribute($("story"), "data-plays", story.plays);
  attribute($("story"), "data-played", played);
  $("story-play").disabled = $("story-step").disabled = over;
  list($("story-steps"), steps.map((step, index) => ({ ...step, index })), ({ index }) => `${story.name} ${index}`, () => make("li"), (item, { caption, sees, index }) => {
    text(item, caption);
    attribute(item, "data-sees", sees);
    const state = index < played ? "done" : index === played ? (trouble ? "failed" : "next") : "later";
    attribute(item, "aria-current", state === "next" ? "step" : null);
    if (item.dataset.state !== state) {
      item.dataset.state = state;
      // The list scrolls, the page does not.
      if (state === "next") $("story-steps").scrollTop = item.offsetTop - 30;
    }
  });
  if (over) $("story-steps").scrollTop = $("story-steps").scrollHeight;
  text($("story-trouble"), trouble);
  show($("story-trouble"), trouble);
}

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
    if (this.view && this.view.scene !== view.scene) {
      chosen.id = null;
      delete $("to").dataset.chosen;
      show(labError, false);
      for (const phone of phones.values()) {
        phone.forget();
        phone.refs["forward-number"].value = "";
      }
    }
    const rang = this.view?.calls[0]?.call_id;
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
    renderAccounts(view.accounts);
    renderWhy(view);
    renderTimeline();
    renderStory(view);
    surfaces.render(view);
    agree.look();
    tick();
    if (rang !== view.calls[0]?.call_id) this.showWhatRings(view);
  },

  /** A new call: it is explained, and where there is room for one phone only, the one that rings is seen. */
  showWhatRings(view) {
    chosen.id = null;
    renderWhy(view);
    if (!matchMedia("(max-width: 700px)").matches) return;
    const rings = view.phones.find((phone) => phone.ringing) ?? view.phones.find((phone) => phone.session.state === "signed_in");
    if (rings) phones.get(rings.key).root.scrollIntoView({ block: "start", inline: "center" });
  },

  state(name) {
    if (name === "live") for (const complaint of document.querySelectorAll("[data-away]")) show(complaint, false);
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
  post("/lab/calls", { to: $("to").value, from: $("from").value.trim(), from_name: $("from-name").value.trim() }, { button: $("dial").querySelector(".call-button"), complaint: labError });
});

const hangUp = (call, button) => call && post(`/lab/calls/${encodeURIComponent(call)}/hang-up`, {}, { button, complaint: labError });

$("hang-up").addEventListener("click", () => hangUp($("hang-up").dataset.call, $("hang-up")));
$("to").addEventListener("change", () => { $("to").dataset.chosen = "true"; agree.look(); });

$("calls").addEventListener("click", (event) => {
  const end = event.target.closest("[data-end]");
  if (end) return hangUp(end.dataset.end, end);
  const tab = event.target.closest("[data-call]");
  if (!tab) return;
  chosen.id = tab.dataset.call;
  renderWhy(lab.view);
});

for (const button of document.querySelectorAll("[data-leg]")) {
  button.addEventListener("click", () => {
    const call = chosen.call();
    if (call) post(`/lab/calls/${encodeURIComponent(call.call_id)}/leg`, { is: button.dataset.leg }, { button, complaint: labError });
  });
}

$("demo").addEventListener("click", () => post("/lab/demo", { who: $("to").value }, { button: $("demo"), complaint: labError }));
/** Ends what is there; nothing can be begun in it meanwhile. */
async function anew(path, body, button) {
  const begin = [$("demo"), $("choose-story"), $("reset"), $("dial").querySelector(".call-button")];
  for (const other of begin) other.disabled = true;
  await post(path, body, { button, complaint: labError });
  for (const other of begin) other.disabled = false;
}

$("reset").addEventListener("click", () => anew("/lab/reset", {}, $("reset")));
$("choose-story").addEventListener("click", () => $("stories").showModal());
$("story-list").addEventListener("click", async (event) => {
  const button = event.target.closest("[data-story]");
  if (!button) return;
  const plays = !$("story-by-step").checked;
  $("stories").close();
  await anew("/lab/story", { name: button.dataset.story, plays }, $("choose-story"));
});
$("story-play").addEventListener("click", () => post(`/lab/story/${$("story").dataset.plays === "true" ? "pause" : "play"}`, {}, { button: $("story-play"), complaint: labError }));
$("story-step").addEventListener("click", () => post("/lab/story/step", {}, { button: $("story-step"), complaint: labError }));
$("story-end").addEventListener("click", () => anew("/lab/reset", {}, $("story-end")));

for (const [button, drawer] of [["show-conditions", "conditions"], ["show-accounts", "account-drawer"]]) {
  $(button).addEventListener("click", () => {
    show($(drawer), $(drawer).hidden);
    attribute($(button), "aria-expanded", !$(drawer).hidden);
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

const THEMES = { auto: ["Auto", "Auto: colours follow the system"], light: ["Light", "Light colours"], dark: ["Dark", "Dark colours"] };

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
