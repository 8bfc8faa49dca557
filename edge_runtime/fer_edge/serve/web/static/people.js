// Who is there now: a row per face, and a sentence for screen readers.

import { shownLabel, UNSURE } from "./state.js";
import { counted, duration, percent } from "./words.js";

/** @import {Face, State} from "./state.js" */
/** @import {Palette} from "./palette.js" */

const ANNOUNCE_MS = 5000;
const MAX_ROWS = 40;

/** @typedef {{row: HTMLTableRowElement, swatch: HTMLCanvasElement, label: HTMLElement, bar: HTMLElement,
 *   share: HTMLElement, held: HTMLElement, shown: string}} Row */

export class People {
  /** @param {(id: string) => HTMLElement} element */
  constructor(element) {
    this.body = element("people-rows");
    this.empty = element("people-empty");
    this.count = element("people-count");
    this.announcer = element("announcer");
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    this.announcedAt = -ANNOUNCE_MS;
    /** @type {Palette|null} */
    this.palette = null;
  }

  /** @param {State} state @param {Palette} palette */
  render(state, palette) {
    if (palette !== this.palette) this.forget(palette);
    const faces = [...(state.result?.faces ?? [])].sort((one, other) => (one.id ?? 0) - (other.id ?? 0));
    const live = new Set();
    faces.slice(0, MAX_ROWS).forEach((face, index) => {
      const key = face.id === null ? `without number ${index}` : String(face.id);
      live.add(key);
      this.update(this.row(key, face, index), face, state);
    });
    for (const [key, { row }] of this.rows) {
      if (live.has(key)) continue;
      row.remove();
      this.rows.delete(key);
    }
    this.empty.hidden = faces.length > 0;
    this.empty.textContent = state.result ? "No face in view." : "No result yet.";
    this.count.textContent = faces.length ? counted(faces.length, "face") : "";
    this.announce(faces);
  }

  /** @param {Palette} palette */
  forget(palette) {
    this.palette = palette;
    this.rows.clear();
    this.body.replaceChildren();
  }

  /** @param {string} key @param {Face} face @param {number} index @returns {Row} */
  row(key, face, index) {
    const known = this.rows.get(key);
    if (known) return known;
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = face.id === null ? "–" : `#${face.id}`;
    const [labelCell, shareCell, held] = ["td", "td", "td"].map((name) => document.createElement(name));
    const label = document.createElement("span");
    const swatch = document.createElement("canvas");
    const sign = document.createElement("span");
    sign.className = "sign";
    sign.append(swatch, label);
    labelCell.append(sign);
    const [track, bar, share] = ["span", "span", "span"].map((name) => document.createElement(name));
    track.className = "bar";
    track.setAttribute("aria-hidden", "true");
    track.append(bar);
    share.className = "percent";
    shareCell.className = "share";
    shareCell.append(track, share);
    held.className = "num";
    row.append(head, labelCell, shareCell, held);
    this.body.insertBefore(row, this.body.children[index] ?? null);
    const made = { row, swatch, label, bar, share, held, shown: "" };
    this.rows.set(key, made);
    return made;
  }

  /** @param {Row} row @param {Face} face @param {State} state */
  update(row, face, state) {
    const palette = /** @type {Palette} */ (this.palette);
    const label = shownLabel(face);
    if (row.shown !== label) {
      row.shown = label;
      palette.paintSwatch(row.swatch, label);
      row.bar.style.backgroundColor = palette.color(label);
    }
    setText(row.label, face.unsure ? `${UNSURE} (${face.emotion})` : face.emotion);
    setText(row.share, percent(face.confidence));
    row.bar.style.width = `${Math.round(100 * face.confidence)}%`;
    const heldS = face.id === null ? 0 : state.history.heldFor(face.id, label);
    setText(row.held, heldS < 1 ? "" : duration(heldS));
  }

  /** Tell screen readers what has changed, at most every five seconds.
   * @param {Face[]} faces */
  announce(faces) {
    const now = performance.now();
    if (now - this.announcedAt < ANNOUNCE_MS) return;
    const words = groupSentence(faces);
    if (words === this.announcer.textContent) return;
    this.announcer.textContent = words;
    this.announcedAt = now;
  }
}

/** @param {Face[]} faces */
export function groupSentence(faces) {
  if (!faces.length) return "No face in view.";
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const face of faces) counts.set(shownLabel(face), (counts.get(shownLabel(face)) ?? 0) + 1);
  const parts = [...counts].map(([label, count]) => `${count} ${label}`);
  return `${counted(faces.length, "face")}: ${parts.join(", ")}.`;
}

/** @param {HTMLElement} element @param {string} text */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text; // unchanged text keeps selections and focus
}
