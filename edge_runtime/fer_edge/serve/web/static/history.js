// The last ten minutes in steps of a second: who showed what, and the group's shares.

/** @import {Result} from "./state.js" */

export const MAX_STEPS = 600;
const MAX_FACES = 200; // in one step

/**
 * faces: the label of each face that has an id. group: share of each label, empty if there was no face.
 * @typedef {{faces: Map<number, string>, group: Map<string, number>, count: number}} Step
 */

export class History {
  constructor() {
    /** @type {Map<number, Step>} by whole second, ascending */
    this.steps = new Map();
    /** @type {number|null} the newest second */
    this.last = null;
    this.tally = new Tally();
  }

  clear() {
    this.steps.clear();
    this.last = null;
    this.tally = new Tally();
  }

  /** Take over what the server remembers.
   * @param {any} json of /api/v1/history */
  load(json) {
    this.clear();
    const first = Math.floor(json.from_t);
    const faces = Object.entries(json.faces);
    json.count.forEach((/** @type {number|null} */ count, /** @type {number} */ index) => {
      if (count === null || (json.group[index] === null && !count)) return;
      const labels = /** @type {[number, string][]} */ (
        faces.map(([id, row]) => [Number(id), row[index]]).filter(([, label]) => label !== null && label !== undefined)
      );
      const group = new Map(Object.entries(/** @type {Record<string, number>} */ (json.group[index] ?? {})));
      this.put(first + index, { faces: new Map(labels), group, count });
    });
  }

  /** @param {Result} result */
  add(result) {
    const second = Math.floor(result.t);
    if (second !== this.last || this.tally.results === 0) this.tally = new Tally();
    this.tally.add(result);
    this.put(second, this.tally.step());
  }

  /** @param {number} second @param {Step} step */
  put(second, step) {
    this.steps.set(second, step);
    this.last = second;
    for (const old of this.steps.keys()) {
      if (old > second - MAX_STEPS && this.steps.size <= MAX_STEPS) break;
      this.steps.delete(old);
    }
  }

  /** How many seconds a face has shown its label, as far as is known.
   * @param {number} id @param {string} label */
  heldFor(id, label) {
    if (this.last === null) return 0;
    let seconds = 0;
    while (this.steps.get(this.last - seconds)?.faces.get(id) === label) seconds += 1;
    return seconds;
  }
}

/** Sums up the results of one second; its label is the one that was shown most. */
class Tally {
  constructor() {
    this.results = 0;
    this.most = 0;
    /** @type {Map<number, Map<string, number>>} */
    this.faces = new Map();
    /** @type {Map<string, number>} */
    this.group = new Map();
  }

  /** @param {Result} result */
  add(result) {
    this.results += 1;
    this.most = Math.max(this.most, result.faces.length);
    for (const face of result.faces) {
      const label = face.unsure ? "unsure" : face.emotion;
      this.group.set(label, (this.group.get(label) ?? 0) + 1);
      if (face.id === null || (this.faces.size >= MAX_FACES && !this.faces.has(face.id))) continue;
      const labels = this.faces.get(face.id) ?? new Map();
      labels.set(label, (labels.get(label) ?? 0) + 1);
      this.faces.set(face.id, labels);
    }
  }

  /** @returns {Step} */
  step() {
    let total = 0;
    for (const count of this.group.values()) total += count;
    const group = new Map([...this.group].map(([label, count]) => [label, count / total]));
    const faces = new Map([...this.faces].map(([id, labels]) => [id, mostFrequent(labels)]));
    return { faces, group, count: this.most };
  }
}

/** @param {Map<string, number>} counts */
function mostFrequent(counts) {
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
}
