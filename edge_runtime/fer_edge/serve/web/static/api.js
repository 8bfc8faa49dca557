// The requests of the page, relative to its own address, so that a proxy may serve it under any path.

const NEWLINE = 10;

/** An answer that is no success; its message is the server's sentence. */
export class ApiError extends Error {
  /** @param {number} code @param {string} message @param {number|null} retryS */
  constructor(code, message, retryS = null) {
    super(sentence(message));
    this.code = code;
    this.retryS = retryS;
  }
}

/** Text that begins and ends as a sentence does.
 * @param {string} text */
function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!…]$/.test(text) ? "" : ".");
}

/** @param {string} path @param {RequestInit} [options] */
async function request(path, options = {}) {
  const response = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
  if (response.ok) return response;
  let message = `The server answered ${response.status}.`;
  try {
    message = (await response.json()).error ?? message;
  } catch {
    // no JSON: a proxy's page, perhaps
  }
  throw new ApiError(response.status, message, Number(response.headers.get("Retry-After")) || null);
}

/** @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} */
export const getJson = async (path, signal) => (await request(`api/v1/${path}`, { signal })).json();

/** Exchange the token for a cookie that scripts can't read.
 * @param {string} token */
export async function login(token) {
  const headers = { "Content-Type": "application/json" };
  await request("api/v1/login", { method: "POST", headers, body: JSON.stringify({ token }) });
}

/**
 * Read what happens until the server ends the stream or `signal` aborts. Unlike EventSource, fetch tells why a request
 * was refused, and takes pictures too.
 * @param {number} pictures per second, at most @param {AbortSignal} signal
 * @param {(kind: string, data: any, picture: Picture|null) => void} onEvent
 * @param {() => void} onSign any bytes
 * @typedef {{width: number, height: number, blob: Blob}} Picture  a JPEG; size of the frame that boxes refer to
 */
export async function readLive(pictures, signal, onEvent, onSign) {
  const response = await request(`api/v1/live?pictures=${pictures}`, { signal });
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const parser = new LiveParser(onEvent);
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    onSign();
    parser.push(value);
  }
}

/** Cuts the stream into events: each is a line of JSON, and after it come the bytes that its `picture` announces. */
export class LiveParser {
  /** @param {(kind: string, data: any, picture: Picture|null) => void} onEvent */
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.decoder = new TextDecoder();
    this.rest = new Uint8Array();
    /** @type {any} the line whose picture is not complete */
    this.head = null;
  }

  /** @param {Uint8Array} bytes */
  push(bytes) {
    this.rest = this.rest.length ? joined(this.rest, bytes) : bytes;
    let more = true;
    while (more) more = this.next();
  }

  /** Hand over the next event; false if it is not complete. */
  next() {
    if (!this.head) {
      const end = this.rest.indexOf(NEWLINE);
      if (end < 0) return false;
      this.head = JSON.parse(this.decoder.decode(this.rest.subarray(0, end)));
      this.rest = this.rest.subarray(end + 1);
    }
    const { event, data, picture } = this.head;
    const size = picture?.bytes ?? 0;
    if (this.rest.length < size) return false;
    const blob = new Blob([this.rest.subarray(0, size)], { type: "image/jpeg" });
    this.rest = this.rest.subarray(size);
    this.head = null;
    this.onEvent(event, data, picture ? { width: picture.width, height: picture.height, blob } : null);
    return true;
  }
}

/** @param {Uint8Array} one @param {Uint8Array} two */
function joined(one, two) {
  const both = new Uint8Array(one.length + two.length);
  both.set(one);
  both.set(two, one.length);
  return both;
}
