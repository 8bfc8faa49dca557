// The live picture: draws each with the result of the same frame; while one is decoded, only the newest waits.

import { faceWords, paint } from "./overlay.js";

/** @import {Picture as Encoded} from "./api.js" */
/** @import {Result, State} from "./state.js" */
/** @import {Palette} from "./palette.js" */

/** @typedef {{bitmap: ImageBitmap, result: Result, sourceWidth: number}} Shown */

export class Picture {
  /**
   * @param {State} state
   * @param {HTMLCanvasElement} canvas
   * @param {{palette: () => Palette, onShown: () => void}} hooks
   */
  constructor(state, canvas, hooks) {
    this.state = state;
    this.canvas = canvas;
    this.hooks = hooks;
    /** @type {Shown|null} */
    this.shown = null;
    /** @type {{result: Result, picture: Encoded}|null} */
    this.waiting = null;
    this.decoding = false;
    this.times = /** @type {number[]} */ ([]);
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Show a picture soon, unless a newer one comes before.
   * @param {Result} result @param {Encoded} picture */
  async offer(result, picture) {
    this.waiting = { result, picture };
    if (this.decoding) return;
    this.decoding = true;
    try {
      while (this.waiting) {
        const next = this.waiting;
        this.waiting = null;
        const bitmap = await createImageBitmap(next.picture.blob).catch(() => null);
        if (bitmap) this.show({ bitmap, result: next.result, sourceWidth: next.picture.width });
      }
    } finally {
      this.decoding = false;
    }
  }

  /** No picture comes for a while. */
  stop() {
    this.waiting = null;
    this.times = [];
  }

  /** @param {Shown} next */
  show(next) {
    if (this.state.paused) {
      next.bitmap.close();
      return;
    }
    this.shown?.bitmap.close();
    this.shown = next;
    this.times = [...this.times, performance.now()].slice(-20);
    this.draw();
    this.hooks.onShown();
  }

  /** Pictures shown per second, in the last ones. */
  get fps() {
    const times = this.times;
    if (times.length < 2) return null;
    return (1000 * (times.length - 1)) / (times[times.length - 1] - times[0]);
  }

  draw() {
    if (!this.shown) return;
    const { bitmap, result, sourceWidth } = this.shown;
    this.canvas.style.aspectRatio = `${bitmap.width} / ${bitmap.height}`;
    const dpr = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(this.canvas.clientWidth * dpr));
    const height = Math.max(1, Math.round((width * bitmap.height) / bitmap.width));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const ctx = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    paint(ctx, bitmap, result, sourceWidth, this.hooks.palette(), dpr);
    this.canvas.dataset.frame = String(result.frame);
  }

  /** What the picture shows, for those who don't see it. */
  get words() {
    if (!this.shown) return "No picture yet";
    const faces = this.shown.result.faces;
    return faces.length ? `Live picture: ${faces.map(faceWords).join(", ")}` : "Live picture: no face";
  }

  /** The shown picture with its boxes, in its own size, as a PNG.
   * @returns {Promise<Blob|null>} */
  snapshot() {
    if (!this.shown) return Promise.resolve(null);
    const { bitmap, result, sourceWidth } = this.shown;
    const canvas = document.createElement("canvas");
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    paint(ctx, bitmap, result, sourceWidth, this.hooks.palette(), Math.max(1, bitmap.width / 900));
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }
}
