// The dashboard: connects state, requests and views. Data goes one way: connection -> state -> views.

import { Connection } from "./connection.js";
import { Controls } from "./controls.js";
import { Login, takeToken } from "./login.js";
import { Palette } from "./palette.js";
import { renderChanges, renderIntervals, renderLegend, renderModel, renderRun, renderShares } from "./panels.js";
import { People } from "./people.js";
import { Picture } from "./picture.js";
import { State } from "./state.js";
import { Timeline } from "./timeline.js";
import { banner, notice } from "./words.js";

const VIEW_MS = 250; // between updates of the table
const CALM_VIEW_MS = 1000; // for those who ask for reduced motion
const CHART_MS = 1000;
const REPORT_MS = 5000;
const PICTURES_PER_S = 10;
const CALM_PICTURES_PER_S = 1;

/** @param {string} id @returns {HTMLElement} */
function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return found;
}

class Dashboard {
  constructor() {
    this.state = new State();
    this.palette = new Palette(this.state.labels);
    this.motion = matchMedia("(prefers-reduced-motion: reduce)");
    this.people = new People(element);
    this.timeline = new Timeline(canvas("group-chart"), canvas("face-chart"), element("timeline-note"));
    this.login = new Login(element, () => this.connection.start());
    this.connection = new Connection(this.state, {
      pictures: () => this.picturesPerS,
      onChange: () => this.renderState(),
      onResult: () => this.renderSoon(),
      onPicture: (result, picture) => this.picture.offer(result, picture),
    });
    this.picture = new Picture(this.state, canvas("picture"), {
      palette: () => this.palette,
      onShown: () => this.renderPicture(),
    });
    this.controls = new Controls(element, {
      onPause: () => this.setPaused(!this.state.paused),
      onSnapshot: () => this.saveSnapshot(),
      onSpan: (seconds) => {
        this.timeline.chosen = seconds;
        this.renderTimeline();
      },
      onTheme: () => this.renderTimeline(),
    });
    this.viewedAt = this.chartedAt = -CHART_MS;
    this.reportedAt = -REPORT_MS;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.soon = undefined;
  }

  start() {
    element("retry").addEventListener("click", () => this.connection.start());
    window.addEventListener("online", () => this.setVisible(!document.hidden));
    window.addEventListener("resize", () => this.renderTimeline());
    this.motion.addEventListener("change", () => this.reconnect());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.renderTimeline());
    document.addEventListener("visibilitychange", () => this.setVisible(!document.hidden));
    window.addEventListener("pagehide", () => this.setVisible(false));
    window.addEventListener("pageshow", (event) => event.persisted && this.setVisible(true));
    const token = takeToken();
    if (token) this.login.send(token);
    else if (!document.hidden) this.connection.start();
    this.renderState();
  }

  /** A hidden page asks for nothing, and loads what it missed when it is seen again.
   * @param {boolean} visible */
  setVisible(visible) {
    if (visible) {
      this.connection.start();
    } else {
      this.connection.stop();
      this.picture.stop();
    }
  }

  /** How many pictures the page asks for. */
  get picturesPerS() {
    if (this.state.paused || this.state.status?.aggregate) return 0;
    return this.motion.matches ? CALM_PICTURES_PER_S : PICTURES_PER_S;
  }

  /** Ask for another number of pictures. */
  reconnect() {
    if (this.state.link === "live") this.connection.start();
  }

  /** @param {boolean} paused */
  setPaused(paused) {
    this.state.paused = paused;
    this.reconnect();
    this.renderState();
    this.renderSoon();
  }

  /** The link or the status has changed. */
  renderState() {
    const { state } = this;
    const { link, status } = state;
    if (state.labels.labels.join() !== this.palette.labels.join()) {
      this.palette = new Palette(state.labels);
      renderLegend(element("legend"), this.palette);
    }
    const says = banner(state);
    element("camera").dataset.tone = says.tone;
    element("camera-word").textContent = says.camera;
    element("camera-source").textContent = says.source;
    document.title = says.source ? `${says.camera}: ${says.source} – fer-edge` : `${says.camera} – fer-edge`;
    this.renderNotice(says.tone);
    this.login.show(link === "login");
    element("board").hidden = link === "login" || !status;
    if (link !== "live" || state.paused || status?.state === "ended") this.picture.stop();
    if (!status) return;
    this.renderMode(Boolean(status.aggregate));
    if (state.paused) return;
    renderRun(element("speed-facts"), status, this.picture.fps);
    renderModel(element, status);
    if (status.aggregate) renderIntervals(element, state, this.palette);
    this.renderSoon();
  }

  /** @param {string} tone */
  renderNotice(tone) {
    const text = notice(this.state, this.connection.reason);
    element("notice").hidden = !text;
    element("notice").dataset.tone = tone;
    if (element("notice-text").textContent !== text) element("notice-text").textContent = text;
    element("retry").hidden = this.state.link !== "lost";
  }

  /** What an aggregate run doesn't give out is not shown.
   * @param {boolean} aggregate */
  renderMode(aggregate) {
    const { state } = this;
    element("board").dataset.mode = aggregate ? "sums" : "live";
    for (const id of ["live", "people", "timeline", "changes", "shares", "pause", "snapshot"]) {
      element(id).hidden = aggregate;
    }
    element("intervals").hidden = !aggregate;
    const stale = state.link === "lost" || ["starting", "reconnecting", "ended"].includes(state.status?.state);
    element("screen").dataset.stale = String(stale);
    element("pause").textContent = state.paused ? "Go on" : "Pause";
    element("pause").setAttribute("aria-pressed", String(state.paused));
    element("chip-paused").hidden = !state.paused;
    const blur = state.status?.blur;
    element("chip-blur").hidden = !blur;
    element("chip-blur").textContent = blur === "all" ? "Picture blurred" : "Faces blurred";
  }

  renderPicture() {
    element("picture-note").hidden = true;
    /** @type {HTMLButtonElement} */ (element("snapshot")).disabled = false;
  }

  /** New results have come: draw them, but not each of them. */
  renderSoon() {
    if (this.soon !== undefined) return;
    const everyMs = this.motion.matches ? CALM_VIEW_MS : VIEW_MS;
    const waitMs = Math.max(0, this.viewedAt + everyMs - performance.now());
    this.soon = setTimeout(() => {
      this.soon = undefined;
      this.viewedAt = performance.now();
      this.renderResults();
    }, waitMs);
  }

  renderResults() {
    const { state } = this;
    if (state.paused || !state.status || state.status.aggregate) return;
    this.people.render(state, this.palette);
    element("picture").setAttribute("aria-label", this.picture.words);
    const fps = this.picture.fps;
    element("chip-fps").hidden = fps === null;
    if (fps !== null) element("chip-fps").textContent = `${Math.round(fps)} pictures/s`;
    renderChanges(element, state.changes);
    if (performance.now() - this.chartedAt >= CHART_MS) this.renderTimeline();
    if (performance.now() - this.reportedAt >= REPORT_MS) this.loadReport();
  }

  renderTimeline() {
    if (element("board").hidden || element("timeline").hidden) return;
    this.chartedAt = performance.now();
    this.timeline.render(this.state.history, this.palette);
  }

  async loadReport() {
    this.reportedAt = Infinity; // one request at a time
    const report = await this.connection.get("report");
    this.reportedAt = performance.now();
    if (!report) return;
    this.state.report = report;
    if (!this.state.paused) renderShares(element, report, this.palette);
  }

  async saveSnapshot() {
    const blob = await this.picture.snapshot();
    if (!blob) return;
    const name = `fer-edge ${localTime()}.png`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000); // the download has begun
    element("saved").hidden = false;
    element("saved").textContent =
      `Saved “${name}” to this device’s downloads. It shows people: keep it only as long as you need it. Nothing was stored on the machine with the camera.`;
  }
}

/** Now, fit for a file's name: "2026-05-01 12.00.00". */
function localTime() {
  const now = new Date();
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const date = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
  return `${date} ${[now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(".")}`;
}

/** @param {string} id */
function canvas(id) {
  return /** @type {HTMLCanvasElement} */ (element(id));
}

new Dashboard().start();
