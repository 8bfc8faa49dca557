// The cards with figures: legend, shares so far, latest changes, the run, the model, and intervals.

import { UNSURE } from "./state.js";
import { counted, duration, measure, percent } from "./words.js";

/** @import {Change, State, Status} from "./state.js" */
/** @import {Palette} from "./palette.js" */

const SHOWN_CHANGES = 20;

/** @param {string} name @param {string} [text] @param {string} [className] */
function make(name, text = "", className = "") {
  const element = document.createElement(name);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** Replace an element's children only if the texts differ, so that a reader's place in them is kept.
 * @param {HTMLElement} element @param {string} key @param {() => Node[]} children */
function replace(element, key, children) {
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.replaceChildren(...children());
}

/** @param {string} label @param {Palette} palette */
function sign(label, palette) {
  const element = make("span", "", "sign");
  element.append(palette.swatch(label), make("span", label));
  return element;
}

/** @param {HTMLElement} list @param {Palette} palette */
export function renderLegend(list, palette) {
  list.replaceChildren(
    ...palette.all.map((label) => {
      const item = make("li");
      item.append(sign(label, palette));
      return item;
    }),
  );
}

/** @param {(id: string) => HTMLElement} element @param {any} report @param {Palette} palette */
export function renderShares(element, report, palette) {
  const summary = report?.summary;
  /** @type {[string, {rows: number, share: number, seconds: number|null}][]} */
  const rows = summary ? Object.entries(summary.emotions) : [];
  rows.sort((one, other) => other[1].rows - one[1].rows);
  if (summary?.unsure) rows.push([UNSURE, summary.unsure]);
  const seen = rows.filter(([, figures]) => figures.rows > 0);
  element("share-empty").hidden = seen.length > 0;
  element("share-note").textContent = seen.length
    ? `Of ${counted(summary.rows, "label")} in ${counted(summary.frames, "frame")}, ${counted(summary.faces, "face")} in all.`
    : "";
  const body = element("share-rows");
  replace(body, JSON.stringify(seen), () => seen.map(([label, figures]) => shareRow(label, figures, palette)));
}

/** @param {string} label @param {{share: number, seconds: number|null}} figures @param {Palette} palette */
function shareRow(label, figures, palette) {
  const row = make("tr");
  const head = make("th");
  head.setAttribute("scope", "row");
  head.append(sign(label, palette));
  const cell = make("td", "", "share");
  const bar = make("span", "", "bar");
  bar.setAttribute("aria-hidden", "true");
  const fill = make("span");
  fill.style.width = `${100 * figures.share}%`;
  fill.style.backgroundColor = palette.color(label);
  bar.append(fill);
  cell.append(bar, make("span", figures.share < 0.005 ? "<1 %" : percent(figures.share), "percent"));
  row.append(head, cell, make("td", figures.seconds ? duration(figures.seconds) : "", "num"));
  return row;
}

/** @param {(id: string) => HTMLElement} element @param {Change[]} changes */
export function renderChanges(element, changes) {
  const shown = changes.slice(0, SHOWN_CHANGES);
  element("change-empty").hidden = shown.length > 0;
  replace(element("change-rows"), JSON.stringify(shown), () =>
    shown.map((change) => {
      const item = make("li");
      item.append(make("time", changeTime(change)), make("span", changeWords(change)));
      return item;
    }),
  );
}

/** @param {Change} change */
function changeTime(change) {
  return change.time ? new Date(change.time).toLocaleTimeString("en-GB") : duration(change.t);
}

/** @param {Change} change */
function changeWords(change) {
  const face = `Face ${change.id}`;
  if (change.change === "appeared") return `${face} appears: ${change.emotion}`;
  if (change.change === "left") return `${face} leaves: ${change.emotion}`;
  return `${face}: ${change.before} → ${change.emotion}`;
}

/** @param {HTMLElement} list @param {[string, string][]} facts */
function renderFacts(list, facts) {
  replace(list, JSON.stringify(facts), () =>
    facts.map(([name, value]) => {
      const pair = make("div");
      pair.append(make("dt", name), make("dd", value));
      return pair;
    }),
  );
}

/** @param {HTMLElement} list @param {Status} status @param {number|null} pictureFps */
export function renderRun(list, status, pictureFps) {
  const frames = status.frames ?? { captured: 0, processed: 0, dropped: {}, errors: 0 };
  const dropped = Object.values(/** @type {Record<string, number>} */ (frames.dropped)).reduce((a, b) => a + b, 0);
  const latency = status.latency_ms ?? {};
  /** @type {[string, string][]} */
  const facts = [
    ["State", status.state],
    ["Source", status.source ?? "not open yet"],
    ["Processed", measure(status.fps?.processed, "FPS")],
    ["Captured", measure(status.fps?.capture, "FPS")],
    ["Dropped", droppedWords(dropped, frames)],
    ["Latency, median", measure(latency.p50, "ms", 0)],
    ["Latency, 95 of 100 below", measure(latency.p95, "ms", 0)],
    ["Processor", status.temperature_c == null ? "no sensor" : `${Math.round(status.temperature_c)} °C`],
    ["Watching", counted(status.viewers ?? 1, "viewer")],
    ["Up for", duration(status.uptime_s ?? 0)],
    ["Reconnects", String(status.reconnects ?? 0)],
  ];
  if (!status.aggregate) facts.push(["Pictures here", pictureFps === null ? "none" : `${pictureFps.toFixed(1)} per s`]);
  if (typeof status.progress === "number") facts.push(["Played", percent(status.progress)]);
  else if (status.progress) facts.push(["Played", String(status.progress)]);
  if (frames.errors) facts.push(["Unreadable", counted(frames.errors, "frame")]);
  renderFacts(list, facts);
}

/** @param {number} dropped @param {{captured: number, dropped: Record<string, number>}} frames */
function droppedWords(dropped, frames) {
  if (!dropped) return "none";
  const causes = Object.entries(frames.dropped).filter(([, count]) => count);
  const named = causes.map(([cause, count]) => `${count.toLocaleString("en-US")} ${cause.replaceAll("_", " ")}`).join(", ");
  return `${((100 * dropped) / Math.max(1, frames.captured)).toFixed(1)} % (${named})`;
}

/** @param {(id: string) => HTMLElement} element @param {Status} status */
export function renderModel(element, status) {
  const model = status.model ?? {};
  const labels = model.labels ?? [];
  /** @type {[string, string][]} */
  const facts = [
    ["File", [model.file, model.precision].filter(Boolean).join(", ")],
    ["Head", model.head ?? ""],
    ["Labels", labels.join(", ")],
    ["Accuracy", accuracyWords(model)],
    ["Learned from", model.dataset ?? ""],
  ];
  renderFacts(
    element("model-facts"),
    facts.filter(([, value]) => value),
  );
  const limits = /** @type {string[]} */ (status.limits ?? []);
  replace(element("limits"), JSON.stringify(limits), () => limits.map((sentence) => make("li", sentence)));
  element("version").textContent = status.version ? `fer-edge ${status.version}` : "fer-edge";
}

/** @param {Record<string, any>} model */
function accuracyWords(model) {
  const figure = typeof model.accuracy === "object" ? model.accuracy?.accuracy : model.accuracy;
  if (typeof figure !== "number") return "not measured";
  return `${(100 * figure).toFixed(1)} %${model.truth ? ` against ${model.truth}` : ""}`;
}

/** Counts of an aggregate run, the newest interval first.
 * @param {(id: string) => HTMLElement} element @param {State} state @param {Palette} palette */
export function renderIntervals(element, state, palette) {
  const rows = [...state.intervals].reverse();
  element("interval-empty").hidden = rows.length > 0;
  const names = ["Interval", "Faces", ...palette.all];
  replace(element("interval-head"), JSON.stringify(names), () =>
    names.map((name) => {
      const cell = make("th", name, name === "Interval" ? "" : "num");
      cell.setAttribute("scope", "col");
      return cell;
    }),
  );
  replace(element("interval-rows"), JSON.stringify(rows), () => rows.map((row) => intervalRow(row, palette)));
}

/** @param {any} interval @param {Palette} palette */
function intervalRow(interval, palette) {
  const row = make("tr");
  const head = make("th", intervalTime(interval));
  head.setAttribute("scope", "row");
  row.append(head);
  if (interval.withheld) {
    const cell = make("td", "withheld: too few faces");
    cell.setAttribute("colspan", String(palette.all.length + 1));
    row.append(cell);
    return row;
  }
  row.append(make("td", String(interval.faces), "num"));
  for (const label of palette.all) {
    const figures = label === UNSURE ? interval.unsure : interval.emotions[label];
    row.append(make("td", figures?.seconds ? `${figures.seconds.toFixed(1)} s` : "–", "num"));
  }
  return row;
}

/** @param {any} interval */
function intervalTime(interval) {
  const partly = interval.partial ? ", partly watched" : "";
  const seconds = interval.interval_s;
  if (!interval.start_time) return `${duration(interval.start_t)} to ${duration(interval.start_t + seconds)}${partly}`;
  const start = new Date(interval.start_time);
  const [from, to] = [start, new Date(start.getTime() + 1000 * seconds)].map((time) => time.toLocaleTimeString("en-GB"));
  return `${from} to ${to}${partly}`;
}
