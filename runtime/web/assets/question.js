// One open question: why it is asked, what each option does to each value, and
// the form that rules on it.

import { h, s, text, words, capital, number, index, span, clock, time, harm, bullet, chip } from "./draw.js";

const levels = { critical: "Critical", high: "High", normal: "Normal" };

// read takes from a question what the card draws, whatever the robot left out.
export function read(question, agent) {
  const decision = question.decision && typeof question.decision === "object" ? question.decision : {};
  const verdict = decision.verdict ?? {};
  const assessments = Array.isArray(decision.assessments) ? decision.assessments : [];
  const floors = new Map();
  for (const i of agent?.state?.indices ?? []) if (i.has_floor) floors.set(i.value, i.floor);
  for (const v of verdict.vetoes ?? []) floors.set(v.value, v.floor);
  for (const r of decision.ladder ?? []) r.has_floor ? floors.set(r.value, r.floor) : floors.delete(r.value);
  const survivors = new Set(verdict.survivors ?? []);
  const inaction = assessments.find((a) => a.inaction);
  const options = assessments.map((a) => ({
    ...a,
    indices: a.indices ?? [],
    choosable: survivors.has(a.option),
    vetoes: (verdict.vetoes ?? []).filter((v) => v.option === a.option),
    proposed: is(a, question.proposed),
    runs: is(a, question.running),
  }));
  options.sort((a, b) => Number(Boolean(b.inaction)) - Number(Boolean(a.inaction)) || Number(b.choosable) - Number(a.choosable) || Number(b.proposed) - Number(a.proposed));
  return { decision, verdict, options, floors, inaction };
}

function is(assessment, name) {
  return assessment.option === name || (assessment.aliases ?? []).includes(name);
}

function headline(question, view) {
  const running = words(question.running || question.hold);
  if (view.options.length === 0) return "The robot's decision cannot be read; its hold applies.";
  if (view.verdict.outcome === "under-floor") return `Every option breaks a floor. ${capital(running)} runs now as the least bad; is another one better?`;
  if (question.proposed && question.proposed !== question.running) return `Asks to ${words(question.proposed)}. Until you rule: ${running}.`;
  return `Asks whether ${words(question.proposed || running)} is right. Until you rule: ${running}.`;
}

// make builds the card once; update fills it again and again.
export function make(question, actions) {
  const id = question.id;
  const head = h("button", { type: "button", class: "question-head", "aria-expanded": "false", "aria-controls": `body-${id}` },
    h("span", { class: "level" }), h("span", { class: "head-main" }, h("span", { class: "robot" }), h("span", { class: "headline" })),
    h("span", { class: "left" }, h("span", { class: "clock" }), h("span", { class: "clock-word muted" }, "left")));
  const body = h("div", { class: "question-body", id: `body-${id}`, hidden: true },
    h("div", { class: "closed-banner", role: "status", hidden: true }),
    h("div", { class: "context" }, h("div", { class: "because" }), h("dl", { class: "facts" })),
    h("div", { class: "seen" }),
    form(question, actions));
  const card = h("article", { class: "question", id: `question-${id}`, "aria-label": `Question of ${question.robot}` }, head, body);
  head.addEventListener("click", () => expand(card, head.getAttribute("aria-expanded") !== "true", true));
  return card;
}

// expand opens or closes a card; chosen says that a person did it.
export function expand(card, open, chosen) {
  if (chosen) card.dataset.chosen = "yes";
  card.querySelector(".question-head").setAttribute("aria-expanded", String(open));
  card.querySelector(".question-body").hidden = !open;
}

function form(question, actions) {
  const id = question.id;
  const options = h("div", { class: "options" });
  const note = h("textarea", { id: `note-${id}`, name: "note", rows: 2, maxlength: 2000, placeholder: "Why (kept with the ruling)" });
  const buttons = h("div", { class: "verdicts" },
    h("button", { type: "submit", class: "primary", value: "approve", name: "verdict" }, "Approve"),
    h("button", { type: "submit", class: "danger", value: "deny", name: "verdict" }, "Deny"),
    h("button", { type: "submit", value: "defer", name: "verdict" }, "Defer"));
  const element = h("form", { class: "ruling", novalidate: true },
    h("fieldset", {}, h("legend", {}, "Options and what they do to each value"), legend(), options),
    h("div", { class: "decide" },
      h("div", { class: "note" }, h("label", { for: `note-${id}` }, "Note"), note),
      buttons,
      h("p", { class: "help muted" })),
    h("p", { class: "result", role: "status", "aria-live": "polite" }));
  element.addEventListener("change", () => offer(element));
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    const verdict = event.submitter?.value ?? "";
    if (!verdict) return;
    const chosen = element.querySelector("input[name=option]:checked");
    actions.rule(id, { verdict, option: verdict === "approve" ? chosen?.value : undefined, note: note.value }, element);
  });
  return element;
}

function legend() {
  const swatch = (kind) => s("svg", { width: 18, height: 12, "aria-hidden": "true" },
    kind === "floor" ? [s("rect", { class: "forbidden", x: 0, y: 0, width: 9, height: 12 }), s("line", { class: "floor", x1: 9, x2: 9, y1: 0, y2: 12 })]
      : kind === "ghost" ? s("path", { class: "ghost", d: "M9 0 L14 6 L9 12 L4 6 Z" })
        : s("rect", { class: kind, x: 0, y: 2, width: 18, height: 8, rx: 2 }));
  const item = (kind, label) => h("span", {}, swatch(kind), label);
  return h("p", { class: "legend muted" }, item("worst", "worst case"), item("worst broken", "worst case under the floor"), item("expected", "expected"),
    item("floor", "floor: a hard veto"), item("ghost", "worst case of inaction"), h("span", {}, "0 is ruin, 10 no harm"));
}

// offer words the buttons after what is chosen.
function offer(element) {
  const chosen = element.querySelector("input[name=option]:checked");
  const approve = element.querySelector("button[value=approve]");
  text(approve, chosen ? `Approve: ${words(chosen.dataset.label)}` : "Approve");
  approve.disabled = !chosen || element.dataset.over === "yes";
}

export function update(card, question, agent, now) {
  const view = read(question, agent);
  const level = levels[question.severity?.level] ? question.severity.level : "critical";
  card.dataset.level = level;
  const head = card.querySelector(".question-head");
  text(head.querySelector(".level"), levels[level]);
  text(head.querySelector(".robot"), `${question.robot} · ${question.cell}`);
  text(head.querySelector(".headline"), headline(question, view));
  tick(card, question, now);

  const signature = JSON.stringify([question.revision, question.running, question.status, [...view.floors], question.rulings?.length, question.ack]);
  if (card.dataset.drawn === signature) return;
  card.dataset.drawn = signature;
  because(card, question);
  facts(card, question, view);
  seen(card, view);
  draw(card, question, view);
  close(card, question);
}

// tick moves the clock of a card.
export function tick(card, question, now) {
  const left = new Date(question.due_at).getTime() - now;
  const clockText = card.querySelector(".clock");
  const word = card.querySelector(".clock-word");
  if (!Number.isFinite(left)) return text(clockText, "–");
  text(clockText, left > 0 ? clock(left) : "0:00");
  text(word, left > 0 ? "left" : "over");
  card.classList.toggle("urgent", left < 60_000);
}

function because(card, question) {
  const reasons = question.because?.length ? question.because : [question.severity?.why ?? "no reason was given"];
  card.querySelector(".because").replaceChildren(h("h3", {}, "Why it asks"), h("ul", {}, reasons.map((reason) => h("li", {}, capital(words(reason))))));
}

function facts(card, question, view) {
  const rows = [
    ["Runs now", words(question.running || "–")],
    ["Proposed", words(question.proposed || "–")],
    ["Nobody answers", `${words(question.on_timeout || "–")} at ${time(question.due_at)}`],
    ["Confidence", confidence(view)],
    ["Raised", time(question.raised_at)],
  ];
  card.querySelector(".facts").replaceChildren(...rows.map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v))));
}

const percent = (x) => `${Math.round(x * 100)} %`;

// confidence says what the figure rests on, where outcomes or old readings moved it.
function confidence(view) {
  const { confidence: value, confidence_parts: parts } = view.verdict;
  if (!Number.isFinite(value)) return "–";
  const rests = [];
  const outcomes = (view.decision.calibration?.bins ?? []).reduce((n, bin) => n + (bin.outcomes ?? 0), 0);
  if (outcomes && parts) rests.push(`forecast ${percent(parts.score)}, ${outcomes} ${outcomes === 1 ? "outcome" : "outcomes"}`);
  if (parts?.freshness < 1) rests.push(`freshness ${percent(parts.freshness)}`);
  return rests.length ? `${percent(value)} (${rests.join("; ")})` : percent(value);
}

function seen(card, view) {
  const signals = (view.decision.signals ?? []).slice(0, 24);
  const box = card.querySelector(".seen");
  const wider = (view.decision.widening?.ranges ?? []).slice(0, 24).map((r) =>
    h("p", { class: "small wider" }, `The model errs on ${words(r.signal)}: the forecast allows for `, h("b", {}, `${number(r.minimum)} to ${number(r.maximum)}`), " a step."));
  if (!signals.length) return box.replaceChildren(...wider);
  box.replaceChildren(...wider, h("span", { class: "muted" }, "It saw"), ...signals.map((signal) => signal.validity && signal.validity !== "valid"
    ? chip("bad", `${words(signal.name)} ${signal.validity}`)
    : chip("plain", `${words(signal.name)} `, h("b", {}, number(signal.value)), signal.unit ? ` ${signal.unit}` : "")));
}

// draw builds the options anew and keeps the choice and the focus.
function draw(card, question, view) {
  const element = card.querySelector("form");
  const box = element.querySelector(".options");
  const before = element.querySelector("input[name=option]:checked")?.value;
  const focused = box.contains(document.activeElement) ? document.activeElement.value : undefined;
  const wanted = [before, question.proposed].map((name) => view.options.find((o) => name && is(o, name) && o.choosable)).find(Boolean);
  box.replaceChildren(...view.options.map((option) => optionCard(question, option, view, option === wanted)));
  if (!view.options.length) box.append(h("p", {}, "The forecast of this question cannot be read, so nothing can be approved here. Deny keeps the hold; defer takes more time."));
  if (focused !== undefined) [...box.querySelectorAll("input")].find((input) => input.value === focused)?.focus();
  text(element.querySelector(".help"), help(question));
  offer(element);
}

function help(question) {
  return `Approve lets the chosen option run. Deny keeps ${words(question.hold || "the hold")} for this situation, and wins over an approval. Defer takes more time once; the question stays open.`;
}

function optionCard(question, option, view, chosen) {
  const label = words(option.option);
  const input = h("input", { type: "radio", name: "option", value: option.option, id: `option-${question.id}-${option.option}`, checked: chosen, disabled: !option.choosable, "data-label": option.option,
    "aria-describedby": `harms-${question.id}-${option.option}` });
  const badges = [
    option.inaction && chip("plain", "inaction"),
    option.runs && chip("info", "runs now"),
    option.proposed && chip("ok", "proposed"),
    (view.verdict.incomparable ?? []).some((name) => is(option, name)) && chip("warn", "cannot be told apart"),
    !option.choosable && chip("bad", "vetoed"),
  ];
  const aliases = (option.aliases ?? []).filter((alias) => alias !== "inaction");
  const title = h("label", { class: "option-title", for: input.id }, input, h("span", { class: "option-name" }, capital(label)), ...badges);
  return h("div", { class: `option${option.choosable ? "" : " vetoed"}`, "data-option": option.option },
    title,
    h("div", { class: "option-notes" },
      option.inaction && h("p", { class: "muted small" }, view.decision.baseline ? "What not acting means, as the manual says." : "The outputs go on as they are."),
      aliases.length > 0 && h("p", { class: "muted small" }, `The same as ${aliases.map(words).join(", ")}.`),
      !option.choosable && h("p", { class: "veto" }, h("b", {}, "Cannot be chosen: "), vetoWords(option))),
    h("div", { class: "values" }, option.indices.map((i) => valueRow(i, option, view))),
    h("ul", { class: "harms", id: `harms-${question.id}-${option.option}` }, harms(option, view).map((line) => h("li", { class: line.bad ? "bad" : null }, line.text))));
}

function vetoWords(option) {
  if (!option.vetoes.length) return "another option keeps more of the ladder.";
  return option.vetoes.map((v) => `${words(v.value)} falls to ${index(v.worst)} at worst, its floor is ${number(v.floor)}`).join("; ") + ".";
}

function valueRow(i, option, view) {
  const hasFloor = view.floors.has(i.value);
  const floor = view.floors.get(i.value) ?? 0;
  const other = option.inaction ? undefined : view.inaction?.indices?.find((x) => x.value === i.value)?.worst;
  const broken = hasFloor && i.worst < floor;
  return h("div", { class: "value" },
    h("span", { class: "value-name" }, words(i.value)),
    h("span", { class: `value-figure${broken ? " bad" : ""}` }, h("b", {}, index(i.worst)), h("span", { class: "muted" }, ` exp. ${index(i.expected)}`)),
    bullet({ value: i.value, worst: i.worst, expected: i.expected, floor, hasFloor, inaction: other }));
}

function harms(option, view) {
  const lines = [];
  for (const i of option.indices) {
    const hasFloor = view.floors.has(i.value);
    const floor = view.floors.get(i.value);
    const bad = hasFloor && i.worst < floor;
    if (i.unknown) lines.push({ bad: true, text: `${capital(words(i.value))}: not known, as a signal is invalid; counted as ruin.` });
    else if (bad) lines.push({ bad, text: `${capital(words(i.value))}: ${harm(i.worst, true)} at worst, ${index(floor - i.worst)} under its floor.` });
    else if (i.worst < 8) lines.push({ bad, text: `${capital(words(i.value))}: ${harm(i.worst, hasFloor)} at worst.` });
  }
  if (option.cascade_risk > 0) lines.push({ bad: option.cascade_risk > 0.8, text: `A floor breaks in ${Math.max(1, Math.round(option.cascade_risk * 100))} % of the forecasts${option.floor_breaks_in > 0 ? `, the earliest after ${seconds(option.floor_breaks_in)}` : ""}.` });
  if (option.recoverable === false) lines.push({ bad: true, text: "No way back: from its worst state the fallback does not keep the floors." });
  if (option.reversibility < 0.5) lines.push({ text: `Hard to undo (reversibility ${Math.round(option.reversibility * 100)} %).` });
  if (option.disruption >= 5) lines.push({ text: `Disruptive (${number(option.disruption)} of 10).` });
  return lines.length ? lines : [{ text: "No harm is forecast." }];
}

function seconds(nanoseconds) {
  const value = nanoseconds / 1e9;
  return value < 10 ? `${value.toFixed(1)} s` : span(value * 1000);
}

// close turns the card of a question that is over into its result.
function close(card, question) {
  const over = question.status !== "open" && question.status !== "deferred";
  const element = card.querySelector("form");
  element.dataset.over = over ? "yes" : "no";
  for (const control of element.querySelectorAll("textarea, button")) control.disabled = over;
  for (const input of element.querySelectorAll("input[name=option]")) if (over) input.disabled = true;
  offer(element);
  const banner = card.querySelector(".closed-banner");
  banner.hidden = !over && question.status !== "deferred" && !waiting(question);
  if (!banner.hidden) text(banner, over ? outcome(question) : question.status === "deferred" ? `Deferred by ${lastBy(question)}: it still waits for an answer.` : `Ruled by ${lastBy(question)}: waits for ${question.robot} to answer.`);
  if (over && element.contains(document.activeElement)) card.querySelector(".question-head").focus({ preventScroll: true });
  card.classList.toggle("over", over);
}

function waiting(question) {
  const last = question.rulings?.at(-1);
  return Boolean(last && !last.ack);
}

function lastBy(question) {
  return question.rulings?.at(-1)?.by ?? "somebody";
}

// outcome says in words how a question ended.
export function outcome(question) {
  const running = question.ack?.running ? ` ${capital(words(question.ack.running))} runs.` : "";
  switch (question.status) {
    case "approved": return `Approved by ${lastBy(question)} and applied.${running}`;
    case "denied": return `Denied by ${lastBy(question)}: ${words(question.hold)} holds.`;
    case "timed-out": return `Nobody answered in time: ${words(question.running || question.on_timeout)} runs.`;
    case "withdrawn": return "The situation passed by itself.";
    default: return "Open.";
  }
}
