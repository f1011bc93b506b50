// Asking the server: within a time, not while nobody looks, and less often while it is away.

const ANSWER_MS_MAX = 15_000;

/** What the server said instead of what it was asked for. */
class Refused extends Error {}

/** The token of this tab, where the server wants one. It is in no other tab and nowhere on the disk. */
const TOKEN = "noetl-token";

function askForToken(wanted) {
  document.getElementById("token-form").hidden = !wanted;
}

function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { authorization: `Bearer ${token}` } : {};
}

document.getElementById("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = document.getElementById("token");
  sessionStorage.setItem(TOKEN, input.value.trim());
  input.value = "";
  askForToken(false);
  for (const poller of Poller.all) poller.look();
});

async function get(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  let answer;
  try {
    answer = await fetch(query ? `${path}?${query}` : path, {
      cache: "no-store",
      headers: authorization(),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
  } catch (error) {
    throw new Error(error.name === "TimeoutError" ? "it did not answer in time" : "it cannot be reached");
  }
  if (answer.status === 401 || answer.status === 403) askForToken(true);
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    throw new Refused(said.detail ?? `${path} was answered with status ${answer.status}`);
  }
  return answer;
}

const getText = async (path) => (await get(path)).text();
const getJson = async (path, parameters) => (await get(path, parameters)).json();

/** Everything that is wrong at the moment, by what noticed it. */
const troubles = new Map();

function trouble(about, text) {
  if (text) troubles.set(about, text);
  else troubles.delete(about);
  const element = document.getElementById("trouble");
  const message = [...troubles.values()].join(" ");
  if (element.textContent !== message) element.textContent = message;
  element.hidden = message === "";
}

/** Does `work` now and every `interval` ms after it ended, while the page is in view. */
class Poller {
  static all = [];

  constructor(about, interval, work) {
    Object.assign(this, { about, interval, work, failures: 0, timer: null, busy: false, wanted: false });
    Poller.all.push(this);
    document.addEventListener("visibilitychange", () => this.look());
    this.look();
  }

  /** Begins at once, or when the turn that runs has ended, if the page is in view. */
  look() {
    clearTimeout(this.timer);
    this.wanted = this.busy;
    if (!document.hidden && !this.busy) this.turn();
  }

  async turn() {
    this.busy = true;
    const began = performance.now();
    try {
      await this.work();
      this.failures = 0;
      trouble(this.about, "");
    } catch (error) {
      this.failures += 1;
      trouble(this.about, `${this.about}: ${error.message}.`);
    }
    this.busy = false;
    if (this.wanted) return this.look();
    // What takes long is done less often, and so is what fails.
    const took = performance.now() - began;
    const wait = Math.max(this.interval * 2 ** Math.min(this.failures, 3), took * 10);
    if (!document.hidden) this.timer = setTimeout(() => this.look(), wait);
  }
}
