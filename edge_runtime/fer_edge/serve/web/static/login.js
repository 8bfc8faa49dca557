// The form for the token, and the token in the page's address.

import { ApiError, login } from "./api.js";

const IN_ADDRESS = /^#token=(.+)$/;

/** The token of an address such as /#token=…, which is removed from the address bar and the history.
 * @returns {string|null} */
export function takeToken() {
  const found = IN_ADDRESS.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, "", location.pathname + location.search);
  try {
    return decodeURIComponent(found[1]);
  } catch {
    return found[1]; // a % that is no escape
  }
}

/** @param {unknown} error */
function reason(error) {
  if (!(error instanceof ApiError)) return "fer-edge does not answer: is it still running?";
  return error.code === 401 ? "This token is wrong." : error.message;
}

export class Login {
  /** @param {(id: string) => HTMLElement} element @param {() => void} onDone */
  constructor(element, onDone) {
    this.onDone = onDone;
    this.section = element("login");
    this.input = /** @type {HTMLInputElement} */ (element("token"));
    this.error = element("login-error");
    element("login-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(this.input.value.trim());
    });
  }

  /** @param {boolean} wanted */
  show(wanted) {
    if (this.section.hidden !== wanted) return;
    this.section.hidden = !wanted;
    if (wanted) this.input.focus();
  }

  /** @param {string} token */
  async send(token) {
    this.error.textContent = "";
    try {
      await login(token);
      this.input.value = "";
      this.onDone();
    } catch (error) {
      this.show(true);
      this.error.textContent = reason(error);
      this.input.select();
    }
  }
}
