// How fast a robot reacts: the plot that the robot draws, and its figures as a
// table, for those who cannot see it.

import { h, number } from "./draw.js";

const kinds = [["edge_to_output", "Edge to output"], ["wake_up_lateness", "Wake-up lateness"]];

// update shows the section where there are figures, and the figures.
export function update(section, latency) {
  section.hidden = !latency;
  const signature = JSON.stringify(latency ?? null);
  if (!latency || section.dataset.drawn === signature) return;
  section.dataset.drawn = signature;
  const cell = (figures, name) => h("td", {}, figures.count ? number(figures[name]) : "–");
  const row = (label, figures, when) => h("tr", {}, h("th", { scope: "row" }, label, h("span", { class: "muted" }, when)),
    h("td", {}, String(figures.count)), cell(figures, "p50_us"), cell(figures, "p99_us"), cell(figures, "p999_us"), cell(figures, "max_us"));
  section.querySelector("tbody").replaceChildren(...kinds.flatMap(([key, label]) => [
    row(label, latency[key].since_start, " since start"), row(label, latency[key].last_minute, " last minute")]));
  plot(section.querySelector(".plot-box"));
}

// plot takes the robot's drawing into the page, where it takes the page's
// colours. It is parsed as XML by the browser itself: text of peers is not in it.
function plot(box) {
  const request = new XMLHttpRequest();
  request.open("GET", "/api/v1/latency.svg");
  request.responseType = "document";
  request.timeout = 10_000;
  request.addEventListener("load", () => {
    const drawing = request.status === 200 ? request.responseXML?.documentElement : null;
    if (drawing?.localName === "svg") box.replaceChildren(document.importNode(drawing, true));
  });
  request.send();
}

// short gives the figures of one histogram in a line.
export function short(figures) {
  if (!figures?.count) return "nothing measured";
  return `p50 ${number(figures.p50_us)}, p99.9 ${number(figures.p999_us)}, longest ${number(figures.max_us)} µs (${figures.count})`;
}
