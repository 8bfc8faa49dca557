// What a label looks like: color, pattern and letters, so that colors need not be told apart.

import { UNSURE } from "./state.js";

/** @import {Labels} from "./state.js" */

const MAX_LETTERS = 3;
const SWATCH = { letters: 24, pattern: 12, height: 20 }; // CSS pixels
const TILE = 8; // side of a pattern in CSS pixels
/** @type {((ctx: CanvasRenderingContext2D) => void)[]} */
const PATTERNS = [
  () => {},
  (ctx) => lines(ctx, [[-2, 10, 10, -2], [-6, 6, 6, -6], [2, 14, 14, 2]]),
  (ctx) => lines(ctx, [[-2, -2, 10, 10], [-6, 2, 6, 14], [2, -6, 14, 6]]),
  (ctx) => lines(ctx, [[0, 4, 8, 4]]),
  (ctx) => lines(ctx, [[4, 0, 4, 8]]),
  (ctx) => dot(ctx, 2.5),
  (ctx) => lines(ctx, [[0, 4, 8, 4], [4, 0, 4, 8]]),
  (ctx) => dot(ctx, 1.2),
];
const UNSURE_PATTERN = (/** @type {CanvasRenderingContext2D} */ ctx) =>
  lines(ctx, [[0, 0, 8, 8], [0, 8, 8, 0]]);

/** @param {CanvasRenderingContext2D} ctx @param {number[][]} segments */
function lines(ctx, segments) {
  for (const [x0, y0, x1, y1] of segments) {
    ctx.moveTo(x0, y0);
    ctx.lineTo(x1, y1);
  }
  ctx.stroke();
}

/** @param {CanvasRenderingContext2D} ctx @param {number} radius */
function dot(ctx, radius) {
  ctx.arc(4, 4, radius, 0, 2 * Math.PI);
  ctx.fill();
}

/** The shortest beginnings by which the labels differ: sad -> Sa, surprise -> Su, happy -> H.
 * @param {string[]} labels @returns {Map<string, string>} */
export function shortNames(labels) {
  const short = (/** @type {string} */ label) => {
    const clashes = (/** @type {number} */ length) =>
      labels.some((other) => other !== label && other.toLowerCase().startsWith(label.slice(0, length).toLowerCase()));
    let length = 1;
    while (length < MAX_LETTERS && clashes(length)) length += 1;
    return label.slice(0, 1).toUpperCase() + label.slice(1, length);
  };
  return new Map(labels.map((label) => [label, short(label)]));
}

/** The relative luminance of WCAG 2.1, 0 to 1.
 * @param {string} color #rrggbb */
export function luminance(color) {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const share = parseInt(color.slice(start, start + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

export class Palette {
  /** @param {Labels} labels */
  constructor(labels) {
    this.labels = labels.labels;
    /** Every label in the order of drawing, unsure last. */
    this.all = [...this.labels, UNSURE];
    this.colors = new Map(Object.entries(labels.colors));
    this.colors.set(UNSURE, labels.unsure_color);
    this.short = shortNames(this.labels);
    this.short.set(UNSURE, "?");
    /** @type {Map<string, CanvasPattern|null>} */
    this.patterns = new Map();
  }

  /** @param {string} label */
  color(label) {
    return this.colors.get(label) ?? /** @type {string} */ (this.colors.get(UNSURE));
  }

  /** Black or white, whichever is readable on the label's color.
   * @param {string} label */
  ink(label) {
    return luminance(this.color(label)) > 0.179 ? "#000000" : "#ffffff";
  }

  /** @param {string} label */
  letters(label) {
    return this.short.get(label) ?? label.slice(0, 2);
  }

  /** Fill the current path with the label's color and pattern.
   * @param {CanvasRenderingContext2D} ctx @param {string} label @param {number} dpr */
  fill(ctx, label, dpr) {
    ctx.fillStyle = this.color(label);
    ctx.fill();
    const key = `${label} ${dpr}`;
    if (!this.patterns.has(key)) this.patterns.set(key, this.pattern(label, dpr));
    const pattern = this.patterns.get(key);
    if (!pattern) return;
    ctx.fillStyle = pattern;
    ctx.fill();
  }

  /** @param {string} label @param {number} dpr */
  pattern(label, dpr) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = Math.round(TILE * dpr);
    const ctx = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
    ctx.scale(tile.width / TILE, tile.width / TILE);
    ctx.strokeStyle = ctx.fillStyle = this.ink(label);
    ctx.globalAlpha = 0.4;
    ctx.lineWidth = 1;
    ctx.beginPath();
    const index = this.labels.indexOf(label);
    (index < 0 ? UNSURE_PATTERN : PATTERNS[index % PATTERNS.length])(ctx);
    return ctx.createPattern(tile, "repeat");
  }

  /** Paint the label's sign: its letters, and its pattern beside them so that both can be read.
   * @param {HTMLCanvasElement} canvas @param {string} label */
  paintSwatch(canvas, label) {
    const dpr = window.devicePixelRatio || 1;
    canvas.width = Math.round((SWATCH.letters + SWATCH.pattern) * dpr);
    canvas.height = Math.round(SWATCH.height * dpr);
    const edge = Math.round(SWATCH.letters * dpr);
    canvas.className = "swatch";
    canvas.setAttribute("aria-hidden", "true");
    const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    ctx.fillStyle = this.color(label);
    ctx.fillRect(0, 0, edge, canvas.height);
    ctx.beginPath();
    ctx.rect(edge, 0, canvas.width - edge, canvas.height);
    this.fill(ctx, label, dpr);
    ctx.fillStyle = this.ink(label);
    ctx.font = `600 ${12 * dpr}px system-ui, sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(this.letters(label), edge / 2, canvas.height / 2 + dpr);
  }

  /** @param {string} label */
  swatch(label) {
    const canvas = document.createElement("canvas");
    this.paintSwatch(canvas, label);
    return canvas;
  }
}
