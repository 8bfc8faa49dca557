// Keeps the page connected: loads what it needs, reads what happens, and tries again with growing pauses.

import { ApiError, getJson, readLive } from "./api.js";

/** @import {Picture} from "./api.js" */
/** @import {Result, State} from "./state.js" */

const FIRST_PAUSE_S = 1;
const LONGEST_PAUSE_S = 15;
const SILENCE_S = 10; // the server sends its status every 2 s: longer silence means that the connection is dead
const HISTORY_S = 600;

export class Connection {
  /**
   * @param {State} state
   * @param {{pictures: () => number, onChange: () => void, onResult: () => void,
   *   onPicture: (result: Result, picture: Picture) => void}} hooks
   *   pictures: how many per second to ask for. onChange: the link or the status has changed. onResult: after each
   *   result or change of a label. onPicture: a result has the picture of its frame.
   */
  constructor(state, hooks) {
    this.state = state;
    this.hooks = hooks;
    this.pauseS = FIRST_PAUSE_S;
    this.reason = "";
    /** @type {AbortController|null} */
    this.abort = null;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.timer = undefined;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.watchdog = undefined;
  }

  /** Connect now, whatever the pause was. */
  start() {
    this.stop();
    const abort = new AbortController();
    this.abort = abort;
    this.follow(abort.signal).catch((error) => {
      if (this.abort === abort) this.fail(error);
    });
  }

  /** Close every request; the page may be hidden. */
  stop() {
    clearTimeout(this.timer);
    clearTimeout(this.watchdog);
    this.abort?.abort();
    this.abort = null;
  }

  /** @param {AbortSignal} signal */
  async follow(signal) {
    const state = this.state;
    state.addStatus(await getJson("status", signal));
    state.labels = await getJson("labels", signal);
    if (!state.status?.aggregate) await this.loadHistory(signal);
    state.intervals = []; // the server begins with those that it remembers
    state.link = "live";
    this.hooks.onChange();
    this.watch();
    await readLive(
      this.hooks.pictures(),
      signal,
      (kind, data, picture) => this.receive(kind, data, picture),
      () => this.watch(),
    );
    throw new Error("The server has closed the connection.");
  }

  /** @param {AbortSignal} signal */
  async loadHistory(signal) {
    try {
      this.state.history.load(await getJson(`history?seconds=${HISTORY_S}`, signal));
    } catch (error) {
      if (!(error instanceof ApiError) || error.code === 401) throw error; // the page works without the past
    }
  }

  /** The answer of another path, for the page that is connected now; null if there is none.
   * @param {string} path @returns {Promise<any>} */
  async get(path) {
    const abort = this.abort;
    try {
      return abort && (await getJson(path, abort.signal));
    } catch (error) {
      if (error instanceof ApiError && error.code === 401 && this.abort === abort) this.fail(error);
      return null;
    }
  }

  /** @param {string} kind @param {any} data @param {Picture|null} picture */
  receive(kind, data, picture) {
    this.pauseS = FIRST_PAUSE_S; // it works: the next failure is a new one
    if (kind === "status") {
      this.state.addStatus(data);
      this.hooks.onChange();
    } else if (kind === "result") {
      this.state.addResult(data);
      this.hooks.onResult();
      if (picture) this.hooks.onPicture(data, picture);
    } else if (kind === "change") {
      this.state.addChange(data);
      this.hooks.onResult();
    } else if (kind === "interval") {
      this.state.addInterval(data);
      this.hooks.onChange();
    }
  }

  /** Count as lost what stays silent. */
  watch() {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.fail(new Error("The server is silent.")), 1000 * SILENCE_S);
  }

  /** A request failed: ask for the token, or try again after a pause.
   * @param {unknown} error */
  fail(error) {
    this.stop();
    if (error instanceof ApiError && error.code === 401) {
      this.state.link = "login";
    } else {
      this.state.link = "lost";
      this.reason = error instanceof ApiError ? error.message : "";
      const askedS = error instanceof ApiError ? (error.retryS ?? 0) : 0;
      const spread = 0.75 + Math.random() / 2; // many pages should not come back at the same moment
      this.timer = setTimeout(() => this.start(), 1000 * Math.max(askedS, this.pauseS * spread));
      this.pauseS = Math.min(2 * this.pauseS, LONGEST_PAUSE_S);
    }
    this.hooks.onChange();
  }
}
