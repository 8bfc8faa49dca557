// What the page knows of the run. Connection writes it, the views read it; all of it is bounded.

import { History } from "./history.js";

/**
 * @typedef {{id: number|null, box: number[], emotion: string, confidence: number, unsure: boolean}} Face
 * @typedef {{frame: number, t: number, time?: string, file?: string, faces: Face[]}} Result  a line of --json
 * @typedef {{change: string, id: number, emotion: string, before: string|null, confidence: number, t: number,
 *   time?: string}} Change
 * @typedef {Record<string, any>} Status  of /api/v1/status
 * @typedef {{labels: string[], head?: string|null, colors: Record<string, string>, unsure_color: string}} Labels
 * @typedef {"connecting"|"live"|"lost"|"login"} Link
 */

const MAX_CHANGES = 50;
const MAX_INTERVALS = 120;
export const UNSURE = "unsure";

/** The label to show for a face: an unsure one counts as such, whatever it might be.
 * @param {Face} face */
export const shownLabel = (face) => (face.unsure ? UNSURE : face.emotion);

export class State {
  constructor() {
    /** @type {Link} */
    this.link = "connecting";
    this.paused = false;
    /** @type {Status|null} */
    this.status = null;
    /** @type {Labels} */
    this.labels = { labels: [], colors: {}, unsure_color: "#646464" };
    /** @type {any} the report so far */
    this.report = null;
    /** @type {any[]} complete intervals of an aggregate run, the newest last */
    this.intervals = [];
    this.history = new History();
    /** @type {Result|null} */
    this.result = null;
    /** @type {Change[]} the newest first */
    this.changes = [];
  }

  /** Another source begins, or the first: frame numbers, times and ids start again. */
  forgetSource() {
    this.result = null;
    this.changes = [];
    this.history.clear();
  }

  /** @param {Status} status */
  addStatus(status) {
    const before = this.status;
    const otherSource = before?.source && status.source && before.source !== status.source;
    const otherRun = before && status.uptime_s < before.uptime_s;
    if (otherSource || otherRun) this.forgetSource();
    this.status = status;
  }

  /** @param {Result} result */
  addResult(result) {
    if (result.frame === this.result?.frame) return; // a stream begins with the newest one
    const started = this.result !== null && result.frame < this.result.frame; // the next of several sources
    if (started) this.forgetSource();
    this.result = result;
    this.history.add(result);
  }

  /** @param {Change} change */
  addChange(change) {
    this.changes.unshift(change);
    this.changes.length = Math.min(this.changes.length, MAX_CHANGES);
  }

  /** @param {any} interval */
  addInterval(interval) {
    this.intervals.push(interval);
    if (this.intervals.length > MAX_INTERVALS) this.intervals.shift();
  }
}
