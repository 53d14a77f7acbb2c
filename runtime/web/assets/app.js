// The page: keeps what the stream says, draws it, and sends rulings. The state
// is rebuilt from a snapshot on every connection, so nothing is ever stale
// without the page saying so.

import { text, words, capital, span, keyed } from "./draw.js";
import * as questionCard from "./question.js";
import * as agentCard from "./agents.js";
import * as latencyCard from "./latency.js";
import { entries, drawRulings, drawActivity, worth } from "./log.js";

const $ = (id) => document.getElementById(id);
const state = { status: null, agents: new Map(), questions: new Map(), rulings: new Map(), activity: [], offset: 0, heard: 0, kept: new Set() };
const shownQuestions = 50;
const shownActivity = 40;
let source = null;
let retry = 1000;
let sequence = 0;

const now = () => Date.now() + state.offset;
const open = (q) => q.status === "open" || q.status === "deferred";

// --- the stream ------------------------------------------------------------

function connect() {
  source?.close();
  source = new EventSource("/api/v1/events");
  const on = (kind, take) => source.addEventListener(kind, (message) => {
    state.heard = Date.now();
    try {
      take(JSON.parse(message.data));
    } catch (error) {
      console.error("event", kind, error);
    }
    schedule();
  });
  on("snapshot", (e) => snapshot(e.data));
  on("status", (e) => takeStatus(e.data));
  on("agent", (e) => e.data ? state.agents.set(`${e.data.cell}/${e.data.name}`, e.data) : forget(e.agent));
  on("escalation", (e) => takeQuestion(e.data));
  on("ruling", (e) => state.rulings.set(e.data.id, e.data));
  for (const kind of ["reflex", "latch", "mode", "lease", "overrun", "marker", "model", "brain", "port", "restart", "clock", "request", "event"]) on(kind, takeActivity);
  source.onopen = () => { retry = 1000; };
  source.onerror = () => {
    live("lost");
    if (source.readyState === EventSource.CLOSED) again();
  };
}

// again connects anew after an answer that ended the stream for good.
async function again() {
  const wait = retry;
  retry = Math.min(retry * 2, 15_000);
  try {
    const answer = await fetch("/api/v1/status");
    if (answer.status === 401) return login();
  } catch { /* not there: the banner says so */ }
  setTimeout(connect, wait);
}

function snapshot(data) {
  takeStatus(data.status);
  state.agents = new Map(data.agents.map((a) => [`${a.cell}/${a.name}`, a]));
  state.questions = new Map(data.escalations.map((q) => [q.id, q]));
  state.rulings = new Map(data.rulings.map((r) => [r.id, r]));
  live("live");
}

function takeStatus(status) {
  state.status = status;
  state.offset = new Date(status.now).getTime() - Date.now();
  live("live");
}

// soon asks for the status once a reflex of this robot has been counted; the
// stream tells it every 15 s.
let asked = 0;
function soon() {
  if (!state.status?.latency || asked) return;
  asked = setTimeout(async () => {
    asked = 0;
    try {
      const answer = await fetch("/api/v1/status");
      if (answer.ok) takeStatus(await answer.json());
    } catch { /* the stream says that the connection is lost */ }
    schedule();
  }, 2000);
}

function forget(name) {
  for (const [key, agent] of state.agents) if (agent.name === name) state.agents.delete(key);
}

function takeQuestion(question) {
  const before = state.questions.get(question.id);
  state.questions.set(question.id, question);
  if (!before && open(question)) text($("announce"), `New question from ${question.robot}, ${question.severity?.level ?? ""}.`);
  if (before && open(before) && !open(question)) text($("announce"), `Question of ${question.robot}: ${questionCard.outcome(question)}`);
  const over = [...state.questions.values()].filter((q) => !open(q)).sort((a, b) => new Date(a.changed_at) - new Date(b.changed_at));
  for (const q of over.slice(0, Math.max(0, over.length - 100))) if (!state.kept.has(q.id)) state.questions.delete(q.id);
}

function takeActivity(event) {
  if (event.kind === "reflex") soon();
  if (!worth(event)) return;
  state.activity.unshift({ ...event, key: ++sequence });
  state.activity.length = Math.min(state.activity.length, shownActivity);
}

function live(how) {
  document.body.dataset.live = how;
  const banner = $("banner");
  banner.hidden = how === "live";
  if (how === "lost") text(banner, `Not connected: what you see is from ${span(Date.now() - state.heard)} ago. Connecting again…`);
  text($("live"), how === "live" ? "live" : "not connected");
}

// --- drawing ---------------------------------------------------------------

let scheduled = false;
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => { scheduled = false; draw(); });
}

function draw() {
  drawBar();
  drawQuestions();
  drawAgents();
  drawLog();
  latencyCard.update($("latency"), state.status?.latency);
}

function drawBar() {
  const st = state.status;
  if (!st) return;
  const agents = [...state.agents.values()];
  const waiting = [...state.questions.values()].filter(open).length;
  text($("name"), st.name || "dancer");
  text($("place"), [st.role, st.scope, st.cell].filter(Boolean).join(" · "));
  const alive = agents.filter((a) => a.alive).length;
  text($("alive"), agents.length ? `${alive} of ${agents.length} alive` : "no agents");
  $("alive").dataset.state = agents.length && alive < agents.length ? "warn" : "ok";
  $("broker").hidden = !st.broker?.url;
  text($("broker"), st.broker?.connected ? "broker connected" : "broker lost");
  $("broker").dataset.state = st.broker?.connected ? "ok" : "bad";
  $("broker").title = st.broker?.url ?? "";
  drawRecording(st.recording);
  text($("open-count"), waiting);
  text($("jump-open"), waiting);
  text($("jump-agents"), agents.length);
  text($("version"), `dancer ${st.version || ""}`);
  document.title = waiting ? `(${waiting}) ${st.name || "dancer"}` : st.name || "dancer";
  if (document.body.dataset.live === "live" && st.problems?.length) {
    $("banner").hidden = false;
    text($("banner"), st.problems.join(" "));
  }
}

// drawRecording says on a robot's own page how its recording goes.
function drawRecording(recording) {
  const pill = $("recording");
  pill.hidden = !recording;
  if (!recording) return;
  text(pill, recording.stopped ? "recording stopped" : recording.lost ? `recording, ${recording.lost} missing` : recording.sealed ? `recording, sealed ${recording.sealed}×` : "recording");
  pill.dataset.state = recording.stopped ? "bad" : recording.lost ? "warn" : "ok";
  pill.title = `${recording.messages} messages; the last minutes were kept ${recording.sealed} times`;
}

const order = { critical: 0, high: 1, normal: 2 };
function severe(a, b) {
  const x = a.severity ?? {}, y = b.severity ?? {};
  const rung = (r) => (r >= 0 ? r : 99);
  return (order[x.level] ?? 0) - (order[y.level] ?? 0) || rung(x.rung) - rung(y.rung) || (y.violation ?? 0) - (x.violation ?? 0)
    || new Date(a.due_at) - new Date(b.due_at) || new Date(a.raised_at) - new Date(b.raised_at) || a.id.localeCompare(b.id);
}

function drawQuestions() {
  const list = $("question-list");
  for (const id of [...state.kept]) if (!state.questions.has(id)) state.kept.delete(id);
  for (const card of list.children) {
    const q = state.questions.get(card.dataset.key);
    if (q && !open(q) && card.contains(document.activeElement)) state.kept.add(q.id);
  }
  const waiting = [...state.questions.values()].filter((q) => open(q) || state.kept.has(q.id)).sort(severe);
  const visible = waiting.slice(0, shownQuestions);
  keyed(list, visible, (q) => q.id, (q) => questionCard.make(q, { rule }), (card, q) => questionCard.update(card, q, agentOf(q), now()));
  const first = [...list.children].find((card) => !card.classList.contains("over")) ?? list.firstElementChild;
  for (const card of list.children) if (card.dataset.chosen !== "yes" && card.contains(document.activeElement) === false) questionCard.expand(card, card === first || card.classList.contains("over"), false);
  $("no-questions").hidden = visible.length > 0;
  $("more-questions").hidden = waiting.length <= visible.length;
  text($("more-questions"), `${waiting.length - visible.length} more, less severe. All of them: dancer escalations`);
}

function agentOf(question) {
  return state.agents.get(`${question.cell}/${question.robot}`);
}

function drawAgents() {
  const agents = [...state.agents.values()].sort((a, b) => a.cell.localeCompare(b.cell) || a.name.localeCompare(b.name));
  keyed($("agent-list"), agents, (a) => `${a.cell}/${a.name}`, (a) => agentCard.make(a, { request }), (node, a) => agentCard.update(node, a, now()));
  $("no-agents").hidden = agents.length > 0;
}

function drawLog() {
  const items = entries(state.rulings, state.questions);
  drawRulings($("ruling-list"), items);
  $("no-rulings").hidden = items.length > 0;
  drawActivity($("activity-list"), state.activity);
  $("no-activity").hidden = state.activity.length > 0;
}

// --- what people do --------------------------------------------------------

function by() {
  const name = $("by").value.trim();
  if (!name) {
    $("by").classList.add("wanted");
    $("by").focus();
  }
  return name;
}

function say(element, kind, message) {
  element.className = `result ${kind}`;
  text(element, message);
}

async function rule(id, ruling, form) {
  const result = form.querySelector(".result");
  const name = by();
  if (!name) return say(result, "bad", "Say who rules: fill in your name at the top of the page.");
  const buttons = [...form.querySelectorAll(".verdicts button")].filter((b) => !b.disabled);
  for (const button of buttons) button.disabled = true;
  say(result, "", "Sending…");
  state.kept.add(id);
  const answer = await post(`/api/v1/escalations/${encodeURIComponent(id)}/ruling?wait=3s`, { ...ruling, by: name });
  for (const button of buttons) button.disabled = form.dataset.over === "yes";
  if (answer.problem) return say(result, "bad", answer.problem);
  say(result, ...ackWords(answer.body.ack, "Stored. The robot has not answered yet: the ruling goes out again until it does."));
  schedule();
}

// ackWords tells the robot's answer: what came of it, then its own words, or
// what runs now if it gives none.
function ackWords(ack, none) {
  if (!ack) return ["warn", none];
  const more = ack.why ? ` ${capital(words(ack.why))}.`.replace(/\.\.$/, ".") : ack.running ? ` ${capital(words(ack.running))} runs now.` : "";
  switch (ack.outcome) {
    case "applied": return ["ok", `Applied.${more}`];
    case "vetoed": return ["bad", `Vetoed by the robot's floors.${more}`];
    case "late": return ["warn", `Too late: the question was over.${more}`];
    case "refused": return ["bad", `Refused.${more}`];
    case "kept": return ["warn", `Nothing changes.${more}`];
    default: return ["warn", `${ack.outcome}.${more}`];
  }
}

async function request(agent, what, result) {
  const name = by();
  if (!name) return say(result, "bad", "Say who asks: fill in your name at the top of the page.");
  say(result, "", "Sending…");
  const answer = await post(`/api/v1/agents/${encodeURIComponent(agent)}/${what}?wait=3s`, { by: name });
  if (answer.problem) return say(result, "bad", answer.problem);
  say(result, ...ackWords(answer.body.ack, "Sent. The robot has not answered yet."));
}

async function post(path, body) {
  try {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (answer.status === 401) login();
    const data = await answer.json().catch(() => ({}));
    if (answer.ok) return { body: data };
    return { problem: [data.detail ?? `The conductor answered ${answer.status}.`, data.hint].filter(Boolean).join(" — ") };
  } catch {
    return { problem: "The conductor does not answer. Nothing was sent; try again, or rule at the robot itself." };
  }
}

function login() {
  const dialog = $("login");
  if (!dialog.open) dialog.showModal();
  $("token").focus();
}

$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await post("/api/v1/session", { token: $("token").value });
  $("login-error").hidden = !answer.problem;
  if (answer.problem) return text($("login-error"), answer.problem);
  $("token").value = "";
  $("login").close();
  connect();
});

$("by").value = localStorage.getItem("dancer.by") ?? "";
$("by").addEventListener("input", () => {
  $("by").classList.remove("wanted");
  localStorage.setItem("dancer.by", $("by").value.trim());
});

function theme(name) {
  document.documentElement.dataset.theme = name;
  const other = name === "dark" ? "light" : "dark";
  text($("theme"), other === "light" ? "Light" : "Dark");
  $("theme").setAttribute("aria-label", `Switch to the ${other} theme`);
}
theme(localStorage.getItem("dancer.theme") === "light" ? "light" : "dark");
$("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("dancer.theme", next);
  theme(next);
});

// A question that was ruled on stays with its result until the person moves on.
document.addEventListener("focusin", (event) => {
  for (const id of state.kept) {
    const q = state.questions.get(id);
    const card = document.getElementById(`question-${id}`);
    if (q && !open(q) && card && !card.contains(event.target)) {
      state.kept.delete(id);
      schedule();
    }
  }
});

// Clocks and ages move once a second; a silent stream is opened again.
setInterval(() => {
  for (const card of $("question-list").children) {
    const q = state.questions.get(card.dataset.key);
    if (q) questionCard.tick(card, q, now());
  }
  for (const node of $("agent-list").children) {
    const a = state.agents.get(node.dataset.key);
    if (a) agentCard.life(node, a, now());
  }
  if (document.body.dataset.live === "lost") live("lost");
  else if (state.heard && Date.now() - state.heard > 40_000) {
    live("lost");
    connect();
  }
}, 1000);

connect();
