// What was ruled, what the robots made of it, and what happened meanwhile.

import { h, words, capital, number, time, chip, keyed } from "./draw.js";
import { outcome } from "./question.js";

const verdicts = { approve: "approved", deny: "denied", defer: "deferred", reschedule: "rescheduled", escalate: "escalated" };
const acks = { applied: "ok", vetoed: "bad", late: "warn", kept: "plain", refused: "bad" };

// entries joins rulings and the ends that nobody ruled, the newest first.
export function entries(rulings, questions) {
  const list = [...rulings.values()].map((r) => ({ key: `r-${r.id}`, at: r.at, ruling: r }));
  for (const q of questions.values()) {
    if (q.status === "timed-out" || q.status === "withdrawn") list.push({ key: `q-${q.id}`, at: q.changed_at, question: q });
  }
  return list.sort((a, b) => new Date(b.at) - new Date(a.at)).slice(0, 100);
}

export function drawRulings(list, items) {
  keyed(list, items, (i) => i.key, () => h("li"), (node, item) => {
    const signature = JSON.stringify(item);
    if (node.dataset.drawn === signature) return;
    node.dataset.drawn = signature;
    node.replaceChildren(...(item.ruling ? rulingLine(item.ruling) : endLine(item.question)));
  });
}

function rulingLine(r) {
  const ack = r.ack;
  return [
    h("time", { class: "muted", datetime: r.at }, time(r.at)),
    h("div", {},
      h("p", {}, h("b", {}, r.by), ` ${verdicts[r.verdict] ?? words(r.verdict)} `, r.option ? h("b", {}, words(r.option)) : r.verdict === "approve" ? "the proposal" : "", h("span", { class: "muted" }, ` for ${r.robot}`)),
      r.note && h("p", { class: "note-text" }, `“${r.note}”`),
      h("p", { class: "ack" }, ack ? chip(acks[ack.outcome] ?? "plain", ack.outcome) : chip("info", "waits for the robot"),
        h("span", { class: "muted" }, ack?.why ? ` ${ack.why}` : ack?.running ? ` ${capital(words(ack.running))} runs.` : ""))),
  ];
}

function endLine(q) {
  return [
    h("time", { class: "muted", datetime: q.changed_at }, time(q.changed_at)),
    h("div", {}, h("p", {}, h("b", {}, q.robot), " ", h("span", { class: "muted" }, outcome(q))), h("p", { class: "ack" }, chip(q.status === "timed-out" ? "warn" : "plain", words(q.status)))),
  ];
}

// shown are the kinds that a person wants to follow; the rest would bury them.
const shown = new Set(["reflex", "latch", "mode", "lease", "overrun", "marker", "model", "brain", "port", "restart", "clock", "request"]);

export function worth(event) {
  return shown.has(event.kind);
}

export function drawActivity(list, events) {
  keyed(list, events, (e) => e.key, (e) => h("li", {}, h("time", { class: "muted", datetime: e.at }, time(e.at)),
    h("p", {}, h("b", {}, e.agent || "conductor"), ` ${e.kind} `, h("span", { class: "muted" }, detail(e.data)))));
}

// detail tells an event in a line: its scalars, by name.
function detail(data) {
  if (typeof data !== "object" || data === null) return data === undefined || data === null ? "" : String(data);
  const parts = [];
  for (const [name, value] of Object.entries(data)) {
    if (["at", "kind", "id", "seq", "robot", "agent"].includes(name)) continue;
    if (name === "active") parts.push(value ? "fires" : "ends");
    else if (name === "latency_ns" && !value) continue; // nothing was driven
    else if (typeof value === "number") parts.push(name.endsWith("_ns") ? `${words(name.slice(0, -3))} ${number(value / 1e6)} ms` : `${words(name)} ${number(value)}`);
    else if (typeof value === "string" && value) parts.push(/^(rule|name|state|mode|latch|text|what|why|do)$/.test(name) ? words(value) : `${words(name)} ${words(value)}`);
    else if (Array.isArray(value) && value.length === 2 && value.every((x) => typeof x === "number")) parts.push(`${words(name)} ${number(value[0])} to ${number(value[1])}`);
    else if (value === true) parts.push(words(name));
    if (parts.length >= 6) break;
  }
  return parts.join(", ").slice(0, 200);
}
