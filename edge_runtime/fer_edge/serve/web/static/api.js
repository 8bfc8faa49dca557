// The requests of the page, relative to its own address, so that a proxy may serve it under any path.

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

/** The newest picture after frame `after`; null if none came within the server's time-out.
 * @param {number|null} after @param {AbortSignal} signal
 * @returns {Promise<{frame: number, width: number, height: number, blob: Blob}|null>} */
export async function getPicture(after, signal) {
  const response = await request(after === null ? "frame.jpg" : `frame.jpg?after=${after}`, { signal });
  if (response.status === 204) return null;
  const [width, height] = (response.headers.get("X-Size") ?? "0x0").split("x").map(Number);
  return { frame: Number(response.headers.get("X-Frame")), width, height, blob: await response.blob() };
}

/**
 * Read the server's events until it ends the stream or `signal` aborts. Unlike EventSource, fetch tells why a request
 * was refused.
 * @param {AbortSignal} signal @param {(kind: string, data: any) => void} onEvent @param {() => void} onSign any bytes
 */
export async function readEvents(signal, onEvent, onSign) {
  const response = await request("api/v1/events", { signal, headers: { Accept: "text/event-stream" } });
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    onSign();
    const blocks = (rest + decoder.decode(value, { stream: true })).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) parseBlock(block, onEvent);
  }
}

/** @param {string} block @param {(kind: string, data: any) => void} onEvent */
function parseBlock(block, onEvent) {
  let kind = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) kind = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  if (data.length) onEvent(kind, JSON.parse(data.join("\n")));
}
