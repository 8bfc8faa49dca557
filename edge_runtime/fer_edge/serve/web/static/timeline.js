// The timeline: stacked shares of the group, and a strip of labels per face. A second is a step of both.

import { percent } from "./words.js";

/** @import {History, Step} from "./history.js" */
/** @import {Palette} from "./palette.js" */

const GUTTER = 44; // left of the strips, for the faces' numbers; CSS pixels
const GROUP_HEIGHT = 84;
const ROW = 22;
const ROW_GAP = 4;
const AXIS = 20;
const MAX_ROWS = 12;
export const SPANS = [60, 180, 600]; // seconds

/** @typedef {{ctx: CanvasRenderingContext2D, width: number, dpr: number, ink: string, line: string}} Sheet */

export class Timeline {
  /** @param {HTMLCanvasElement} group @param {HTMLCanvasElement} faces @param {HTMLElement} note */
  constructor(group, faces, note) {
    this.group = group;
    this.faces = faces;
    this.note = note;
    this.chosen = 180;
    this.span = 180; // no longer than there is something to show
  }

  /** @param {History} history @param {Palette} palette */
  render(history, palette) {
    const last = history.last ?? 0;
    const [begun = last] = history.steps.keys();
    this.span = Math.min(this.chosen, SPANS.find((span) => span > last - begun) ?? this.chosen);
    const first = last - this.span + 1;
    /** @type {[number, Step][]} */
    const steps = [...history.steps].filter(([second]) => second >= first && second <= last);
    this.drawGroup(steps, first, palette);
    const rows = facesOf(steps);
    const shown = rows.slice(-MAX_ROWS);
    this.drawFaces(steps, shown, first, palette);
    const hidden = rows.length - shown.length;
    const notes = [];
    if (this.span < this.chosen) notes.push(`Nothing is older than ${this.span / 60} min yet.`);
    if (hidden) notes.push(`The ${MAX_ROWS} newest of ${rows.length} faces are drawn.`);
    this.note.textContent = notes.join(" ");
    this.group.setAttribute("aria-label", groupWords(steps, this.span));
    this.faces.setAttribute("aria-label", shown.length ? faceWords(steps, shown) : "No face in this time");
  }

  /** @param {[number, Step][]} steps @param {number} first @param {Palette} palette */
  drawGroup(steps, first, palette) {
    const sheet = this.sheet(this.group, GROUP_HEIGHT + AXIS);
    const { ctx } = sheet;
    drawFrame(sheet, GROUP_HEIGHT);
    const bottoms = new Map(steps.map(([second]) => [second, 0]));
    for (const label of palette.all) {
      ctx.beginPath();
      for (const [second, step] of steps) {
        const share = step.group.get(label);
        if (!share) continue;
        const [left, right] = this.columns(sheet, first, second, second + 1);
        const bottom = bottoms.get(second) ?? 0;
        const [low, high] = [bottom, bottom + share].map((part) => Math.round(GROUP_HEIGHT * (1 - part) * sheet.dpr));
        ctx.rect(left, high, right - left, low - high);
        bottoms.set(second, bottom + share);
      }
      palette.fill(ctx, label, sheet.dpr);
    }
    drawText(sheet, "100 %", 0, 7);
    drawText(sheet, "0 %", 0, GROUP_HEIGHT - 7);
    this.drawAxis(sheet, GROUP_HEIGHT);
  }

  /** @param {[number, Step][]} steps @param {number[]} ids @param {number} first @param {Palette} palette */
  drawFaces(steps, ids, first, palette) {
    const height = Math.max(1, ids.length) * (ROW + ROW_GAP);
    const sheet = this.sheet(this.faces, height + AXIS);
    ids.forEach((id, index) => {
      const top = index * (ROW + ROW_GAP);
      drawText(sheet, `#${id}`, 0, top + ROW / 2);
      for (const run of runsOf(steps, id)) this.drawRun(sheet, run, top, first, palette);
    });
    if (!ids.length) drawText(sheet, "No face in this time", GUTTER, ROW / 2);
    this.drawAxis(sheet, height);
  }

  /** @param {Sheet} sheet @param {{label: string, from: number, to: number}} run @param {number} top
   * @param {number} first @param {Palette} palette */
  drawRun(sheet, run, top, first, palette) {
    const { ctx, dpr } = sheet;
    const [left, right] = this.columns(sheet, first, run.from, run.to);
    ctx.beginPath();
    ctx.rect(left, top * dpr, right - left, ROW * dpr);
    palette.fill(ctx, run.label, dpr);
    if (right - left > 4 * dpr) {
      ctx.strokeStyle = sheet.line;
      ctx.lineWidth = dpr;
      ctx.stroke();
    }
    const words = [run.label, palette.letters(run.label)];
    ctx.font = `600 ${11 * dpr}px system-ui, sans-serif`;
    const text = words.find((word) => ctx.measureText(word).width <= right - left - 4 * dpr);
    if (!text) return;
    const wide = ctx.measureText(text).width;
    const [x, y] = [(left + right) / 2, (top + ROW / 2) * dpr];
    ctx.fillStyle = palette.color(run.label); // no pattern behind letters
    ctx.fillRect(x - wide / 2 - 3 * dpr, y - 7 * dpr, wide + 6 * dpr, 14 * dpr);
    ctx.fillStyle = palette.ink(run.label);
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(text, x, y + 0.5 * dpr);
  }

  /** Left and right of the seconds `from` to `to`, in canvas pixels.
   * @param {Sheet} sheet @param {number} first @param {number} from @param {number} to */
  columns({ width, dpr }, first, from, to) {
    const wide = width - GUTTER;
    return [from, to].map((second) => Math.round((GUTTER + ((second - first) / this.span) * wide) * dpr));
  }

  /** @param {Sheet} sheet @param {number} top */
  drawAxis(sheet, top) {
    const minutes = this.span / 60;
    const parts = sheet.width < 500 ? 2 : minutes === 1 ? 4 : minutes === 3 ? 6 : 5;
    for (let part = 0; part <= parts; part += 1) {
      const agoS = Math.round(this.span * (1 - part / parts));
      const text = agoS === 0 ? "now" : `−${clock(agoS)}`;
      const x = GUTTER + ((sheet.width - GUTTER) * part) / parts;
      drawText(sheet, text, x, top + AXIS / 2 + 2, part === 0 ? "left" : part === parts ? "right" : "center");
    }
  }

  /** Fit the canvas to its place on the page and clear it.
   * @param {HTMLCanvasElement} canvas @param {number} height @returns {Sheet} */
  sheet(canvas, height) {
    const dpr = window.devicePixelRatio || 1;
    canvas.style.height = `${height}px`;
    const width = canvas.clientWidth;
    canvas.width = Math.max(1, Math.round(width * dpr)); // setting a size clears
    canvas.height = Math.round(height * dpr);
    const style = getComputedStyle(canvas);
    const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    return { ctx, width, dpr, ink: style.getPropertyValue("--muted"), line: style.getPropertyValue("--line") };
  }
}

/** @param {Sheet} sheet @param {number} height */
function drawFrame({ ctx, width, dpr, line }, height) {
  ctx.strokeStyle = line;
  ctx.lineWidth = 1;
  for (const part of [0, 0.5, 1]) {
    const y = Math.min(height * dpr - 0.5, Math.round(part * height * dpr) + 0.5);
    ctx.beginPath();
    ctx.moveTo(GUTTER * dpr, y);
    ctx.lineTo(width * dpr, y);
    ctx.stroke();
  }
}

/** @param {Sheet} sheet @param {string} text @param {number} x @param {number} y @param {CanvasTextAlign} [align] */
function drawText({ ctx, dpr, ink }, text, x, y, align = "left") {
  ctx.font = `${11 * dpr}px system-ui, sans-serif`;
  ctx.fillStyle = ink;
  ctx.textAlign = align;
  ctx.textBaseline = "middle";
  ctx.fillText(text, x * dpr, y * dpr);
}

/** Seconds as minutes and seconds: "1:30".
 * @param {number} seconds */
function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** The faces of these steps, those that were seen last at the end, each group by number.
 * @param {[number, Step][]} steps */
function facesOf(steps) {
  /** @type {Map<number, number>} */
  const lastSeen = new Map();
  for (const [second, step] of steps) for (const id of step.faces.keys()) lastSeen.set(id, second);
  const newest = [...lastSeen].sort((one, other) => one[1] - other[1] || one[0] - other[0]).map(([id]) => id);
  return [...newest.slice(0, -MAX_ROWS), ...newest.slice(-MAX_ROWS).sort((one, other) => one - other)];
}

/** The stretches of time in which a face kept its label.
 * @param {[number, Step][]} steps @param {number} id */
function runsOf(steps, id) {
  /** @type {{label: string, from: number, to: number}[]} */
  const runs = [];
  for (const [second, step] of steps) {
    const label = step.faces.get(id);
    if (label === undefined) continue;
    const run = runs[runs.length - 1];
    if (run && run.label === label && run.to === second) run.to = second + 1;
    else runs.push({ label, from: second, to: second + 1 });
  }
  return runs;
}

/** @param {[number, Step][]} steps @param {number} span */
function groupWords(steps, span) {
  /** @type {Map<string, number>} */
  const sums = new Map();
  for (const [, step] of steps) for (const [label, share] of step.group) sums.set(label, (sums.get(label) ?? 0) + share);
  let total = 0;
  for (const sum of sums.values()) total += sum;
  if (!total) return "No face in this time";
  const parts = [...sums].sort((one, other) => other[1] - one[1]).map(([label, sum]) => `${label} ${percent(sum / total)}`);
  return `Mean shares in the last ${span / 60} min: ${parts.join(", ")}`;
}

/** @param {[number, Step][]} steps @param {number[]} ids */
function faceWords(steps, ids) {
  const words = ids.map((id) => {
    const labels = runsOf(steps, id).map((run) => run.label);
    return `face ${id}: ${labels.slice(-5).join(", then ")}`;
  });
  return `The newest labels of each face. ${words.join(". ")}`;
}
