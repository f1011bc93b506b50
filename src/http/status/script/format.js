// Figures as people read them.

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const exact = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });

/** The text of a number; a dash where there is none. */
function number(value) {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : compact.format(value);
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** A duration in seconds with its unit. */
function duration(seconds) {
  if (seconds === null || Number.isNaN(seconds)) return "–";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${seconds < 0.01 ? (seconds * 1e3).toFixed(1) : Math.round(seconds * 1e3)} ms`;
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

function ago(milliseconds) {
  if (Number.isNaN(milliseconds)) return "never";
  const seconds = (Date.now() - milliseconds) / 1000;
  return seconds < 1 ? "now" : `${duration(Math.round(seconds))} ago`;
}

/** A date and time in UTC, to the minute. */
function minute(milliseconds) {
  return new Date(milliseconds).toISOString().slice(0, 16).replace("T", " ");
}

/** The time of day here, of seconds since the epoch. */
function timeOfDay(seconds, options) {
  return new Date(seconds * 1000).toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...options });
}

function labelsText(labels) {
  return Object.entries(labels).map(([name, value]) => `${name}=${value}`).join(", ");
}
