// The live picture: asks for one after the other and draws each with the result of the same frame.

import { ApiError, getJson, getPicture } from "./api.js";
import { faceWords, paint } from "./overlay.js";

/** @import {Result, State} from "./state.js" */
/** @import {Palette} from "./palette.js" */

const RESULT_WAIT_MS = 400; // a result travels beside its picture and may come a little later
const RETRY_MS = 1000;
const CALM_MS = 1000; // between pictures for those who ask for reduced motion

/** @typedef {{bitmap: ImageBitmap, result: Result|null, sourceWidth: number}} Shown */

export class Picture {
  /**
   * @param {State} state
   * @param {HTMLCanvasElement} canvas
   * @param {{calm: () => boolean, palette: () => Palette, between: (signal: AbortSignal) => Promise<void>,
   *   onShown: () => void, onFail: (error: unknown) => void}} hooks
   *   between: other requests, sent one at a time while no picture is asked for, so that the page never holds more
   *   than two connections.
   */
  constructor(state, canvas, hooks) {
    this.state = state;
    this.canvas = canvas;
    this.hooks = hooks;
    /** @type {Shown|null} */
    this.shown = null;
    /** @type {AbortController|null} */
    this.abort = null;
    this.times = /** @type {number[]} */ ([]);
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  get running() {
    return this.abort !== null;
  }

  start() {
    if (this.abort) return;
    this.abort = new AbortController();
    this.follow(this.abort.signal).catch((error) => {
      if (error?.name !== "AbortError") this.hooks.onFail(error);
    });
  }

  stop() {
    this.abort?.abort();
    this.abort = null;
    this.times = [];
  }

  /** Forget the picture: what it shows is over. */
  clear() {
    this.shown?.bitmap.close();
    this.shown = null;
  }

  /** @param {AbortSignal} signal */
  async follow(signal) {
    /** @type {number|null} */
    let after = null;
    while (!signal.aborted) {
      const begun = performance.now();
      await this.hooks.between(signal);
      try {
        /** @type {Awaited<ReturnType<typeof getPicture>>} */
        const picture = this.state.status?.aggregate ? null : await getPicture(after, signal);
        after = picture?.frame ?? after;
        if (picture) await this.show(picture, signal);
        else await pause(signal, this.state.status?.aggregate ? RETRY_MS : 0);
      } catch (error) {
        // The server is busy, or has no picture: this source may have none.
        if (!(error instanceof ApiError) || error.code === 401) throw error;
        await pause(signal, RETRY_MS * (error.retryS ?? 2));
      }
      if (this.hooks.calm()) await pause(signal, CALM_MS - (performance.now() - begun));
    }
  }

  /** @param {{frame: number, width: number, blob: Blob}} picture @param {AbortSignal} signal */
  async show(picture, signal) {
    const [bitmap, result] = await Promise.all([
      createImageBitmap(picture.blob),
      this.resultOf(picture.frame, signal),
    ]);
    if (signal.aborted) {
      bitmap.close();
      return;
    }
    this.clear();
    this.shown = { bitmap, result, sourceWidth: picture.width || bitmap.width };
    this.times = [...this.times, performance.now()].slice(-20);
    this.draw();
    this.hooks.onShown();
  }

  /** The result of a picture's frame. It came before this page listened if the picture is the first one.
   * @param {number} frame @param {AbortSignal} signal @returns {Promise<Result|null>} */
  async resultOf(frame, signal) {
    const result = await this.state.resultOf(frame, RESULT_WAIT_MS);
    if (result || signal.aborted) return result;
    try {
      const newest = await getJson("result", signal);
      if (newest.frame !== frame) return null;
      if (!this.state.result) this.state.addResult(newest);
      return newest;
    } catch (error) {
      if (error instanceof ApiError && error.code !== 401) return null; // there is none
      throw error;
    }
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
    this.canvas.dataset.frame = String(result?.frame ?? "");
  }

  /** What the picture shows, for those who don't see it. */
  get words() {
    if (!this.shown) return "No picture yet";
    const faces = this.shown.result?.faces ?? [];
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

/** @param {AbortSignal} signal @param {number} ms @returns {Promise<void>} */
function pause(signal, ms) {
  if (ms <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
