// The agents of the cell: what each does now, what holds it, and how well it is
// reached.

import { h, text, words, number, span, time, bullet, chip, keyed } from "./draw.js";
import { short } from "./latency.js";

const modes = { running: "ok", safe: "plain", "report-only": "bad", "dry-run": "info" };

export function make(agent, actions) {
  const control = (label, kind, does) => {
    const button = h("button", { type: "button", class: `small ${kind}` }, label);
    button.addEventListener("click", () => does(button));
    return button;
  };
  const result = h("p", { class: "result", role: "status", "aria-live": "polite" });
  return h("article", { class: "agent", id: `agent-${agent.cell}-${agent.name}`, "aria-label": `Agent ${agent.name}` },
    h("div", { class: "agent-head" }, h("span", { class: "dot", "aria-hidden": "true" }), h("h3", {}, agent.name), h("span", { class: "life" })),
    h("div", { class: "chips" }),
    h("p", { class: "fault bad", role: "alert", hidden: true }),
    h("p", { class: "doing" }),
    h("div", { class: "indices" }),
    h("dl", { class: "readings" }),
    h("details", {}, h("summary", {}, "Mesh and software"), h("dl", { class: "impedance" })),
    h("div", { class: "controls" },
      control("Start", "start", (button) => confirmed(button, `Start ${agent.name}: it will move`, () => actions.request(agent.name, "start", result))),
      control("Stop", "danger", () => actions.request(agent.name, "stop", result)),
      control("Clear latches", "clear", () => actions.request(agent.name, "clear", result))),
    result);
}

// confirmed asks for a second press within 4 s: a start moves a robot.
function confirmed(button, question, act) {
  if (button.dataset.armed) {
    clearTimeout(Number(button.dataset.armed));
    delete button.dataset.armed;
    button.classList.remove("armed");
    text(button, "Start");
    act();
    return;
  }
  const label = button.textContent;
  text(button, `${question}. Press again`);
  button.classList.add("armed");
  button.dataset.armed = String(setTimeout(() => {
    delete button.dataset.armed;
    button.classList.remove("armed");
    text(button, label);
  }, 4000));
}

export function update(node, agent, now) {
  const state = agent.state;
  node.dataset.alive = String(Boolean(agent.alive));
  life(node, agent, now);
  const signature = JSON.stringify([state, agent.impedance, agent.connection, agent.alive]);
  if (node.dataset.drawn === signature) return;
  node.dataset.drawn = signature;
  node.querySelector(".chips").replaceChildren(...chips(agent));
  fault(node.querySelector(".fault"), state);
  doing(node.querySelector(".doing"), agent);
  indices(node.querySelector(".indices"), state);
  readings(node.querySelector(".readings"), state);
  facts(node.querySelector(".impedance"), agent);
  node.querySelector(".clear").hidden = !(state?.latches?.length);
  node.querySelector(".start").hidden = state?.mode === "running" || state?.mode === "report-only";
}

// life says whether an agent is there, and since when it is not.
export function life(node, agent, now) {
  const silent = now - new Date(agent.seen_at).getTime();
  const never = !(new Date(agent.seen_at).getFullYear() > 1971);
  text(node.querySelector(".life"), agent.alive ? "alive" : never ? "never seen" : `silent for ${span(silent)}`);
}

function chips(agent) {
  const state = agent.state;
  const list = [];
  if (agent.connection !== "ONLINE") list.push(chip(agent.connection === "BROKEN" ? "bad" : "warn", words(String(agent.connection).toLowerCase())));
  if (!state) return [...list, chip("plain", "no state yet")];
  list.push(chip(modes[state.mode] ?? "warn", state.mode));
  if (state.lease !== "live") list.push(chip(state.lease === "expired" ? "bad" : "plain", `lease ${state.lease}`));
  else list.push(chip("plain", "lease live"));
  if (state.recording === "stopped") list.push(chip("bad", "recording stopped"));
  for (const latch of state.latches ?? []) list.push(chip("bad", `latch: ${words(latch)}`));
  for (const reflex of state.reflexes ?? []) list.push(chip("warn", `reflex: ${words(reflex)}`));
  for (const signal of state.invalid ?? []) list.push(chip("bad", `${words(signal)} invalid`));
  return list;
}

// fault says why a robot cannot be started.
function fault(box, state) {
  box.hidden = !state?.fault;
  text(box, state?.fault ?? "");
}

function doing(box, agent) {
  const state = agent.state;
  if (!state) return box.replaceChildren(h("span", { class: "muted" }, "Waits for its first state."));
  const link = state.question ? h("a", { href: `#question-${state.question}` }, "its open question") : null;
  box.replaceChildren(h("span", { class: "muted" }, state.mode === "running" ? "Runs " : "Would run "), h("b", {}, words(state.running || "nothing")),
    state.outcome ? h("span", { class: "muted" }, ` (${words(state.outcome)})`) : "", link ? h("span", { class: "muted" }, ", waits for ") : "", link ?? "");
}

function indices(box, state) {
  keyed(box, state?.indices ?? [], (i) => i.value, () => h("div", { class: "value" }), (node, i) => {
    const broken = i.has_floor && i.worst < i.floor;
    node.replaceChildren(h("span", { class: "value-name" }, words(i.value)),
      h("span", { class: `value-figure${broken ? " bad" : ""}` }, h("b", {}, i.worst.toFixed(1))),
      bullet({ value: i.value, worst: i.worst, expected: i.expected, floor: i.floor, hasFloor: i.has_floor, slim: true }));
  });
}

function readings(box, state) {
  const rows = [];
  const invalid = new Set(state?.invalid ?? []);
  for (const [name, value] of entries(state?.signals)) rows.push([name, invalid.has(name) ? "invalid" : number(value), invalid.has(name) ? "bad" : "signal"]);
  for (const [name, value] of entries(state?.outputs)) rows.push([name, number(value), "output"]);
  box.replaceChildren(...rows.map(([name, value, kind]) => h("div", { class: kind }, h("dt", {}, words(name)), h("dd", {}, value))));
}

const entries = (map) => Object.entries(map ?? {}).sort(([a], [b]) => a.localeCompare(b)).slice(0, 32);

// facts lists how the agent is reached and what runs on it. The record of the
// mesh is shown as it comes: every scalar of it, by its name.
function facts(box, agent) {
  const rows = [];
  const state = agent.state;
  for (const [name, value] of Object.entries(agent.impedance ?? {})) {
    if (typeof value === "number") rows.push([label(name), number(value)]);
    else if (typeof value === "string" && value && value.length < 60 && !/_id$|^agent$/.test(name)) rows.push([label(name), value]);
  }
  if (!agent.impedance) rows.push(["impedance", "not gossiped"]);
  if (state) {
    for (const [port, frames] of entries(state.frames)) rows.push([`frames on ${words(port)}`, String(frames)]);
    for (const m of (state.model ?? []).slice(0, 32)) rows.push([`model of ${words(m.signal)}`, modelError(m)]);
    if (state.recording) rows.push(["recording", words(state.recording)]);
    if (state.calibrated_by) rows.push(["confidence rests on", `${state.calibrated_by} outcomes`]);
    if (state.latency) rows.push(["edge to output", short(state.latency.edge_to_output)], ["wake-up lateness", short(state.latency.wake_up_lateness)]);
    rows.push(["outbox", String(state.outbox ?? 0)], ["brain restarts", String(state.brain_restarts ?? 0)], ["version", state.version || "–"],
      ["manual", String(state.manual ?? "").replace("sha256:", "").slice(0, 12) || "–"], ["state sent", time(state.at)]);
  }
  box.replaceChildren(...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

// modelError tells how far off the model of one signal is, a step.
function modelError(m) {
  if (m.residuals < 32) return `${m.residuals} readings compared`;
  const off = `off by ${number(m.low)} to ${number(m.high)} a step`;
  if (!m.declared) return `${off}; no disturbance declared, so the forecast does not allow for it`;
  const wider = m.widened && (m.widened[0] !== m.declared[0] || m.widened[1] !== m.declared[1]);
  return wider ? `${off}; allowed for ${number(m.widened[0])} to ${number(m.widened[1])}` : `${off}, as declared`;
}

const label = (name) => words(name).replace(/ ms$/, ", ms").replace(/^current /, "");
