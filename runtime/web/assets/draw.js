// Building blocks of the page: elements, words and the bullet chart. Text of
// peers only ever becomes a text node or an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

// h makes an element: h("p", {class: "muted"}, "text", child, null).
export function h(tag, attributes = {}, ...children) {
  return fill(set(document.createElement(tag), attributes), children);
}

// s makes an SVG element.
export function s(tag, attributes = {}, ...children) {
  return fill(set(document.createElementNS(SVG, tag), attributes), children);
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  return element;
}

function fill(element, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

// text sets the text of an element only when it changed.
export function text(element, value) {
  const next = String(value);
  if (element.textContent !== next) element.textContent = next;
}

// words makes a name readable: human_safety -> human safety.
export function words(name) {
  return String(name ?? "").replaceAll("_", " ");
}

export function capital(sentence) {
  return sentence ? sentence[0].toUpperCase() + sentence.slice(1) : "";
}

// number prints a figure with at most three significant digits.
export function number(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1).replace(/\.0$/, "");
  if (size < 0.1) return String(Number(value.toPrecision(2))); // a range sensor's error is millimetres
  return value.toFixed(2).replace(/\.?0+$/, "");
}

// index prints a coherence index: always one digit after the point, rounded
// down, so that 4.96 under a floor of 5 never reads as 5.
export function index(value) {
  return Number.isFinite(value) ? (Math.floor(value * 10 + 1e-9) / 10).toFixed(1) : "–";
}

// span prints a duration in milliseconds.
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d`;
}

// clock prints the time that is left: 4:07.
export function clock(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const rest = String(seconds % 60).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${rest}`;
  return `${Math.floor(seconds / 3600)}:${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")}:${rest}`;
}

// time prints a wall-clock time of today, or the date before.
export function time(iso) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime()) || at.getFullYear() < 1971) return "–";
  const today = new Date().toDateString() === at.toDateString();
  return at.toLocaleString([], today ? { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }
    : { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });
}

// harm says an index in words: values with a floor suffer harm, the others loss.
export function harm(worst, hasFloor) {
  const scale = hasFloor
    ? ["no harm", "slight harm", "moderate harm", "serious harm", "severe harm", "ruin"]
    : ["no loss", "slight loss", "moderate loss", "serious loss", "severe loss", "nothing left"];
  const step = [9.5, 8, 6, 4, 2].findIndex((limit) => worst >= limit);
  return scale[step < 0 ? 5 : step];
}

const bounded = (value) => Math.min(10, Math.max(0, Number.isFinite(value) ? value : 0));

// bullet draws one index from 0 to 10: the worst as a bar, the expected as a
// paler bar behind it, the floor as a line over its forbidden zone, and where
// inaction would end up as a diamond. Everything is in percent, so it fits any
// width.
export function bullet({ value, worst, expected, floor, hasFloor, inaction, slim }) {
  const height = slim ? 12 : 22;
  const bar = slim ? 6 : 10;
  const top = (height - bar) / 2;
  const broken = hasFloor && worst < floor;
  const percent = (x) => `${bounded(x) * 10}%`;
  const label = `${words(value)}: worst ${index(worst)} of 10, expected ${index(expected)}`
    + (hasFloor ? `, floor ${number(floor)}${broken ? ", broken" : ""}` : ", no floor")
    + (inaction === undefined ? "" : `; inaction worst ${index(inaction)}`);
  const marks = [s("rect", { class: "track", x: 0, y: top, width: "100%", height: bar, rx: 2 })];
  if (hasFloor) marks.push(s("rect", { class: "forbidden", x: 0, y: 1, width: percent(floor), height: height - 2 }));
  if (!slim) for (const x of [2.5, 5, 7.5]) marks.push(s("line", { class: "tick", x1: percent(x), x2: percent(x), y1: height - 3, y2: height }));
  marks.push(s("rect", { class: "expected" + (broken ? " broken" : ""), x: 0, y: top, width: percent(expected), height: bar, rx: 2 }));
  marks.push(s("rect", { class: "worst" + (broken ? " broken" : ""), x: 0, y: top, width: percent(Math.max(worst, 0.12)), height: bar, rx: 2 }));
  if (hasFloor) marks.push(s("line", { class: "floor", x1: percent(floor), x2: percent(floor), y1: 0, y2: height }));
  if (inaction !== undefined && !slim) {
    const diamond = s("svg", { x: percent(inaction), y: height / 2, overflow: "visible", width: 1, height: 1 },
      s("path", { class: "ghost", d: "M0 -6 L5 0 L0 6 L-5 0 Z" }));
    marks.push(diamond);
  }
  return s("svg", { class: "bullet", width: "100%", height, role: "img", "aria-label": label, "data-worst": worst, "data-value": value }, marks);
}

// chip makes a small label: a kind for its colour, and always words.
export function chip(kind, ...children) {
  return h("span", { class: `chip ${kind}` }, ...children);
}

// keyed keeps the children of a list in step with items: existing ones are
// updated in place, so that focus and what people typed stay.
export function keyed(parent, items, key, make, update) {
  const have = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const wanted = new Set(items.map((item) => String(key(item))));
  for (const [id, node] of have) if (!wanted.has(id)) node.remove();
  let previous = null;
  for (const item of items) {
    const id = String(key(item));
    let node = have.get(id);
    if (!node) {
      node = make(item);
      node.dataset.key = id;
    }
    update?.(node, item);
    const next = previous ? previous.nextElementSibling : parent.firstElementChild;
    if (next !== node) place(parent, node, next);
    previous = node;
  }
}

// place moves a node; a moved node loses the focus, so it is given back.
function place(parent, node, next) {
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  parent.insertBefore(node, next);
  focused?.focus({ preventScroll: true });
}
