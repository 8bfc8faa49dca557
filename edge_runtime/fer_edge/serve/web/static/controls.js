// Buttons, shortcuts and the theme. The browser remembers theme and shortcuts; nothing else is kept.

const THEMES = ["system", "light", "dark"];
const SIGNS = ["◐", "○", "●"];

/** A setting in the browser's storage, which may be forbidden.
 * @param {string} name @param {string} fallback */
function recall(name, fallback) {
  try {
    return localStorage.getItem(`fer-edge.${name}`) ?? fallback;
  } catch {
    return fallback;
  }
}

/** @param {string} name @param {string} value */
function remember(name, value) {
  try {
    localStorage.setItem(`fer-edge.${name}`, value);
  } catch {
    // it holds until the page is closed
  }
}

export class Controls {
  /**
   * @param {(id: string) => HTMLElement} element
   * @param {{onPause: () => void, onSnapshot: () => void, onSpan: (seconds: number) => void, onTheme: () => void}} hooks
   */
  constructor(element, hooks) {
    this.element = element;
    this.hooks = hooks;
    this.dialog = /** @type {HTMLDialogElement} */ (element("help-dialog"));
    this.shortcuts = /** @type {HTMLInputElement} */ (element("shortcuts"));
    this.shortcuts.checked = recall("shortcuts", "on") === "on";
    this.theme = recall("theme", THEMES[0]);
    this.setTheme(this.theme);
    element("pause").addEventListener("click", hooks.onPause);
    element("snapshot").addEventListener("click", hooks.onSnapshot);
    element("theme").addEventListener("click", () => this.nextTheme());
    element("help").addEventListener("click", () => this.dialog.showModal());
    element("span").addEventListener("change", (event) => {
      hooks.onSpan(Number(/** @type {HTMLInputElement} */ (event.target).value));
    });
    this.shortcuts.addEventListener("change", () => remember("shortcuts", this.shortcuts.checked ? "on" : "off"));
    document.addEventListener("keydown", (event) => this.press(event));
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const typing = target.matches("input:not([type=radio]):not([type=checkbox]), textarea, select");
    if (!this.shortcuts.checked || typing || this.dialog.open) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const key = event.key.toLowerCase();
    const spans = /** @type {Record<string, string>} */ ({ 1: "60", 3: "180", 0: "600" });
    if (key === "p") this.click("pause");
    else if (key === "s") this.click("snapshot");
    else if (key === "t") this.nextTheme();
    else if (key === "?") this.dialog.showModal();
    else if (spans[key]) this.choose(spans[key]);
  }

  /** Press a button, unless it is not offered now.
   * @param {string} id */
  click(id) {
    const button = /** @type {HTMLButtonElement} */ (this.element(id));
    if (!button.hidden && !button.disabled) this.hooks[id === "pause" ? "onPause" : "onSnapshot"]();
  }

  /** @param {string} seconds */
  choose(seconds) {
    const radio = /** @type {HTMLInputElement|null} */ (this.element("span").querySelector(`[value="${seconds}"]`));
    if (!radio) return;
    radio.checked = true;
    this.hooks.onSpan(Number(seconds));
  }

  nextTheme() {
    this.setTheme(THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length]);
    remember("theme", this.theme);
    this.hooks.onTheme();
  }

  /** @param {string} theme */
  setTheme(theme) {
    this.theme = THEMES.includes(theme) ? theme : THEMES[0];
    document.documentElement.dataset.theme = this.theme;
    const button = this.element("theme");
    button.textContent = `${SIGNS[THEMES.indexOf(this.theme)]} ${this.theme}`;
    button.setAttribute("aria-label", `${button.textContent}: the theme`);
  }
}
