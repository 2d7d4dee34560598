// The calls of the lab's page: which there are, who rings and why. Draws; what is pressed is handled in lab.js, whose helpers it uses.
"use strict";

const RULE = {
  forwarding_active: "Forwarding is on",
  not_available: "The agent takes no calls now",
  in_another_call: "Already in another call",
  answered_elsewhere: "Answered elsewhere",
  call_ended: "The call is over",
  expired: "The push came too late",
  duplicate: "This call was decided before",
  signed_out: "Nobody is signed in",
  other_account: "The call is for somebody else",
  device_not_registered: "The phone is not on the agent's list",
  sign_in_needed: "The agent must sign in again",
  no_push_token: "The phone cannot be reached by pushes",
  offline: "No push has reached the phone",
  none: "No rule against it: ring",
};
const SHORT = { forwarding_active: "forwarding", not_available: "unavailable", in_another_call: "in another call", answered_elsewhere: "answered", offline: "no network" };
const PLACE = {
  web: "Workspace web",
  desktop: "Desktop app",
  dashboard: "Dashboard",
  zendesk: "Zendesk widget",
  salesforce: "Salesforce widget",
  hubspot: "HubSpot widget",
  forwarded: "The forwarding number",
  server: "Server",
  lab: "Lab",
};
const PLACE_ON_SOCKET = { web: "Workspace", desktop: "Desktop", zendesk: "Zendesk", salesforce: "Salesforce", hubspot: "HubSpot", forwarded: "Forwarded" };

/** Without what would turn the words around it (UAX #9, explicit directions). */
const plain = (name) => name?.replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "").trim();
const caller = (call) => plain(call.from_name) || call.from || "Number withheld";
const ruleWords = (rule) => (rule ? RULE[rule] ?? rule.replaceAll("_", " ") : "");
const nameOf = (key) => lab.view.phones.find((phone) => phone.key === key)?.name ?? PLACE[key] ?? key;
const midSentence = (words) => words.replace(/^The /, "the ");
/** Names of places within what the lab says of a call. */
const withNames = (words) => words.replace(/ at (\w+)$/, (_, key) => ` at ${midSentence(nameOf(key))}`);

/** Whether nobody has the call yet: it rings in the apps, or is offered at the number that calls go to. */
const waits = (call) => call.state === "ringing" || call.state === "offered";
const runs = (call) => waits(call) || call.state === "answered";

/** The call that is explained: the one that was clicked, else the newest. */
const chosen = {
  id: null,
  call: () => lab.view?.calls.find((call) => call.call_id === chosen.id) ?? lab.view?.calls[0],
};

/** ring, call, rest or silent: what the lamp of a device shows for a call. */
function lampOf(call, device) {
  if (call.answered_by === device.key) return "call";
  if (device.outcome !== "rings") return "silent";
  return waits(call) ? "ring" : "rest";
}

function outcomeWords(call, device) {
  switch (lampOf(call, device)) {
    case "call": return call.state === "ended" ? "Answered" : "In the call";
    case "ring": return device.key === "forwarded" ? "Offered" : "Rings";
    case "rest": return device.key === "forwarded" ? "Was offered" : "Rang";
    default: return "Silent";
  }
}

function stateWords(call) {
  const by = call.answered_by ? midSentence(nameOf(call.answered_by)) : "a device";
  switch (call.state) {
    case "ringing": return "ringing";
    case "offered": return "offered at the forwarding number: press 1 there";
    case "answered": return `answered by ${by}`;
    default: {
      if (call.given_back) return `back in the queue: ${call.given_back}`;
      const end = call.end ? withNames(call.end) : call.answered_by ? "" : "nobody answered";
      return ["over", call.answered_by ? `answered by ${by}` : "", end].filter(Boolean).join(", ");
    }
  }
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
  const call = chosen.call();
  show($("why-empty"), !call);
  show($("why-call"), call);
  const ends = call && runs(call) ? call : view.calls.find(runs);
  $("hang-up").disabled = !ends;
  $("hang-up").dataset.call = ends?.call_id ?? "";
  if (!call) return renderVerdict(view, null);

  list($("calls"), view.calls, (item) => item.call_id, (item) => {
    const open = make("button", { type: "button", class: "call-tab", "data-call": item.call_id, "data-testid": "call-tab" }, make("bdi"), make("span"));
    const end = make("button", { type: "button", "data-end": item.call_id, "data-testid": "call-end" }, "Hang up");
    return make("li", {}, open, end);
  }, (row, item) => {
    const [open, end] = row.children;
    text(open.firstChild, caller(item));
    text(open.lastChild, ` ${item.to_name.split(" ")[0]}, ${clockOf(item.at)}`);
    attribute(open, "aria-pressed", item === call);
    attribute(row, "data-lamp", { ringing: "ring", offered: "ring", answered: "call" }[item.state] ?? "rest");
    attribute(end, "aria-label", `Hang up: ${caller(item)}`);
    show(end, runs(item) && view.calls.filter(runs).length > 1);
  });

  text($("caller-name"), caller(call));
  text($("caller-number"), call.from_name ? call.from : "");
  text($("callee"), call.to_name);
  text($("caller-state"), stateWords(call));
  attribute($("caller-lamp"), "data-lamp", { ringing: "ring", offered: "ring", answered: "call" }[call.state] ?? "rest");

  renderTrunk(call);
  show($("leg"), call.state === "offered" || (call.state === "answered" && call.answered_by === "forwarded"));
  for (const button of document.querySelectorAll("[data-leg]")) show(button, button.dataset.leg === "hung_up" ? call.state === "answered" : call.state === "offered");
  list($("outcomes"), call.devices, (device) => `${call.call_id} ${device.key}`, (device) => {
    const item = make("li", { "data-testid": `outcome-${device.key}` });
    item.append(make("span", { class: "socket" }, lampSvg()), make("strong"), make("span", { class: "outcome" }), make("small"));
    return item;
  }, (item, device) => {
    const lamp = lampOf(call, device);
    const [socket, name, outcome, reason] = item.children;
    attribute(item, "data-lamp", lamp);
    attribute(item, "data-outcome", device.outcome);
    attribute(socket.firstChild.firstChild, "d", LAMP[lamp]);
    text(name, PLACE_ON_SOCKET[device.key] ?? nameOf(device.key));
    text(outcome, outcomeWords(call, device));
    // Where calls go is worth a word as well.
    const explains = lamp === "silent" || device.key === "forwarded";
    text(reason, explains ? ruleWords(device.reason).toLowerCase() : "");
  });

  list($("decisions"), view.phones, (phone) => `${call.call_id} ${phone.key}`, makeDecision, (element, phone) => updateDecision(element, phone, call));
  list($("call-story"), call.story, (line) => `${view.scene} ${line.n}`, makeLine, () => {});
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
    make("p", { class: "rule", "data-testid": "rule" }, make("strong"), make("small")),
    make("p", { class: "step-name" }, "So it"),
    make("p", { class: "did" }, lampSvg(), make("strong"), make("span")),
    make("p", { class: "explanation", "data-testid": "explanation" }),
  );
  return element;
}

function updateDecision(element, phone, call) {
  const device = call.devices.find((item) => item.key === phone.key);
  const decision = device?.decision;
  const [title, , inputs, , rule, , did, explanation] = element.children;
  attribute(element, "data-testid", `decision-${phone.key}`);
  text(title, phone.name);
  const lamp = device ? (lampOf(call, device) === "call" ? "rest" : lampOf(call, device)) : "silent";
  const rings = lamp !== "silent";
  attribute(element, "data-verdict", rings ? "ring" : "silence");
  attribute(element, "data-lamp", lamp);

  const known = decision?.inputs ?? [];
  show(inputs, known.length > 0);
  show(inputs.previousElementSibling, known.length > 0);
  list(inputs, known, ([name]) => name, () => make("div", {}, make("dt"), " ", make("dd")), (row, [name, value]) => {
    text(row.firstChild, name);
    text(row.lastChild, value.replace(/ at \d+-\d+$/, "")); // which version it was made at is for machines
    attribute(row, "data-fired", decision && firedBy(decision.rule, name, value) ? "true" : null);
  });

  text(rule.firstChild, device ? ruleWords(decision?.rule ?? device.reason) : "Not signed in as the agent who is called");
  text(rule.lastChild, decision ? "decided by the phone" : device && device.outcome === "not_pushed" ? "decided by the server" : "");
  attribute(did.firstChild.firstChild, "d", LAMP[lamp]);
  const over = !waits(call);
  text(did.children[1], rings ? (over ? "Rang" : "Rings") : over ? "Stayed silent" : "Stays silent");
  text(did.children[2], decision?.platform ?? (device?.outcome === "not_pushed" ? "The server sent it no push." : device ? "A push is on its way." : ""));
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

/** What rings: phones by name, and many windows by their number. */
function whatRings(devices) {
  const isPhone = ({ key }) => lab.view.phones.some((phone) => phone.key === key);
  const windows = devices.filter((device) => !isPhone(device));
  const phonesThat = devices.filter(isPhone);
  if (windows.length < 3) return join(devices);
  const names = phonesThat.length === 2 ? "Both phones" : phonesThat.length ? join(phonesThat) : "";
  return names ? `${names} and ${windows.length} windows` : `${windows.length} windows`;
}

function join(devices) {
  const names = devices.map((device) => nameOf(device.key));
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${midSentence(names.at(-1))}` : names[0];
}

/** Why phones are silent: whether the server pushed at all is the heart of it. */
function silence(devices, all, over) {
  const sentences = [];
  const groups = Map.groupBy(devices, (device) => `${device.outcome} ${device.reason}`);
  for (const group of groups.values()) {
    const [{ outcome, reason }] = group;
    const why = ruleWords(reason).replace(/^./, (letter) => letter.toLowerCase());
    const many = group.length > 1;
    const who = many && group.length === all ? "both phones" : join(group);
    const Who = who.replace(/^./, (letter) => letter.toUpperCase());
    const stays = over ? "stayed" : many ? "stay" : "stays";
    if (outcome === "not_pushed") sentences.push(`The server sent ${who === "both phones" ? "no push" : `${who} no push`}: ${why}. ${Who} ${stays} silent.`);
    else if (reason === "offline") sentences.push(`${Who} ${stays} silent: ${why}.`);
    else sentences.push(`The server pushed; ${who} refused: ${why}.`);
  }
  return sentences;
}

/** A few sentences for the eye and for a screen reader; one of them says why. */
function renderVerdict(view, call) {
  const element = $("verdict");
  if (!call) {
    const anyone = view.phones.some((phone) => phone.session.state === "signed_in");
    attribute(element, "data-ring", "idle");
    return text(element, anyone ? "Quiet. Press “Incoming call” to see who rings and why." : "No call yet. Press “Start the demo”, then “Incoming call”.");
  }
  const isPhone = ({ key }) => view.phones.some((phone) => phone.key === key);
  const phonesOfCall = call.devices.filter(isPhone).length;
  const others = call.devices.filter((device) => device.key !== "forwarded" && device.key !== call.answered_by);
  const rang = others.filter((device) => device.outcome === "rings");
  const silent = others.filter((device) => device.outcome !== "rings");
  const sentences = [];
  if (waits(call)) {
    sentences.push(`${caller(call)} calls ${call.to_name}.`);
    if (rang.length) sentences.push(`${whatRings(rang)} ${rang.length > 1 ? "ring" : "rings"}.`);
    if (call.state === "offered") sentences.push(`Offered at ${call.forwarded_to}.`);
    else if (!rang.length && !call.devices.length) sentences.push(`Nothing rings: ${call.to_name} has no page and no phone that is signed in.`);
    else if (!rang.length) sentences.push("Nothing rings.");
  } else if (call.state === "answered") {
    sentences.push(`${call.answered_by ? nameOf(call.answered_by) : "Somebody"} answered ${caller(call)}, who called ${call.to_name}.`);
    if (rang.length) sentences.push(`${whatRings(rang)} stopped ringing.`);
  } else if (call.agent_was) {
    sentences.push(`${caller(call)} was not put through: ${call.to_name} takes no calls now (${call.agent_was}).`);
  } else if (call.given_back) {
    sentences.push(`${caller(call)} is back in the queue: ${call.given_back}.`);
  } else {
    sentences.push(`The call of ${caller(call)} for ${call.to_name} is ${stateWords(call)}.`);
  }
  sentences.push(...silence(silent, phonesOfCall, !waits(call)));
  attribute(element, "data-ring", { ringing: rang.length ? "ring" : "silent", offered: "ring", answered: "call" }[call.state] ?? "idle");
  text(element, sentences.join(" "));
}
