// Numbers and states in words.

/** @import {State, Status} from "./state.js" */

/** @param {number} share 0 to 1 */
export const percent = (share) => `${Math.round(100 * share)} %`;

/** @param {number} count @param {string} noun */
export const counted = (count, noun) => `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;

/** Seconds as "8 s", "2:05 min" or "3:07 h".
 * @param {number} seconds */
export function duration(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)} min`;
  return `${Math.floor(whole / 3600)}:${two(Math.floor((whole % 3600) / 60))} h`;
}

/** @param {number|null|undefined} value @param {string} unit @param {number} [digits] */
export const measure = (value, unit, digits = 1) =>
  value === null || value === undefined ? "not known yet" : `${value.toFixed(digits)} ${unit}`;

/** A source's name without the folders of a file.
 * @param {string|null|undefined} source */
function shortSource(source) {
  if (!source || source.includes("://") || source.startsWith("/dev/")) return source ?? "";
  return source.split("/").filter(Boolean).pop() ?? source;
}

/**
 * What the banner says: tone is live, busy, bad or quiet.
 * @param {State} state @returns {{tone: string, camera: string, source: string}}
 */
export function banner(state) {
  const status = state.status;
  const source = shortSource(status?.source);
  if (state.link === "login") return { tone: "quiet", camera: "Not logged in", source: "" };
  if (state.link === "connecting" || !status) return { tone: "quiet", camera: "Connecting", source };
  if (state.link === "lost" && status.state === "ended") return { tone: "quiet", camera: "Ended", source };
  if (state.link === "lost") return { tone: "bad", camera: "Connection lost", source };
  const noun = sourceNoun(status);
  if (status.state === "starting") return { tone: "busy", camera: "Starting", source };
  if (status.state === "reconnecting") return { tone: "bad", camera: `${noun} lost`, source };
  if (status.state === "ended") return { tone: "quiet", camera: noun === "Camera" ? "Camera off" : "Ended", source };
  return { tone: "live", camera: noun === "Camera" ? "Camera on" : `${noun} on`, source };
}

/** @param {Status} status */
function sourceNoun(status) {
  if (String(status.source ?? "").startsWith("demo:")) return "Demo";
  return status.live === false ? "Playback" : "Camera";
}

/** A sentence where something is wrong or over, else "".
 * @param {State} state @param {string} reason why the connection failed, if the server said so */
export function notice(state, reason) {
  const status = state.status;
  const ended = status?.state === "ended";
  const why = status?.exit_reason ? ` (${status.exit_reason})` : "";
  if (state.link === "lost" && ended) return `The run has ended${why}. This page waits for the next one.`;
  if (state.link === "lost") return reason || "The connection to fer-edge is lost. What you see is old. Trying again …";
  if (state.link !== "live" || !status) return "";
  if (ended) return `The run has ended${why}. What you see is its last picture.`;
  if (status.state === "reconnecting") return "The source is lost. What you see is its last picture. Reconnecting …";
  if (status.state === "starting") return "The source is starting.";
  return "";
}
