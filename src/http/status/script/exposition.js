// The server's own instruments, read from their page in Prometheus text.

/** Name → list of {labels, value}. */
function parseExposition(text) {
  const families = new Map();
  for (const line of text.split("\n")) {
    const match = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name] = value;
    }
    const value = match[3] === "+Inf" ? Infinity : Number(match[3]);
    if (!families.has(match[1])) families.set(match[1], []);
    families.get(match[1]).push({ labels, value });
  }
  return families;
}

/** One scrape: the families, and when they were read. */
class Scrape {
  constructor(text) {
    this.families = parseExposition(text);
    this.time = performance.now() / 1000;
  }

  /** The sum of an instrument over its labels. */
  value(name) {
    const samples = this.families.get(`noetl_metrics_${name}`) ?? [];
    return samples.reduce((sum, sample) => sum + sample.value, 0);
  }

  /** Bound → count of the buckets that carry `labels`. */
  buckets(name, labels) {
    const samples = this.families.get(`noetl_metrics_${name}_bucket`) ?? [];
    const chosen = samples.filter((sample) =>
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value));
    return new Map(chosen.map(({ labels: { le }, value }) => [le === "+Inf" ? Infinity : Number(le), value]));
  }

  started() {
    return this.families.get("process_start_time_seconds")?.[0].value ?? null;
  }
}

/** The scrapes of the last minutes, of one run of the server. */
class History {
  constructor(seconds) {
    this.seconds = seconds;
    this.scrapes = [];
  }

  add(scrape) {
    const last = this.scrapes.at(-1);
    // Counters of another run begin anew, and a gap says nothing about its middle.
    if (last && (last.started() !== scrape.started() || scrape.time - last.time > 60)) this.scrapes = [];
    this.scrapes.push(scrape);
    while (scrape.time - this.scrapes[0].time > this.seconds) this.scrapes.shift();
  }

  /** The scrape about so many seconds before the last one. */
  before(seconds) {
    const now = this.scrapes.at(-1).time;
    return this.scrapes.find((scrape) => now - scrape.time <= seconds) ?? this.scrapes[0];
  }

  /** How much a counter grows in a second; null while only one scrape is there. */
  rate(name, seconds = 10) {
    return rateBetween(this.before(seconds), this.scrapes.at(-1), name);
  }

  /** What `share` of the observations of the last seconds did not exceed; null without any. */
  quantile(share, name, labels = {}, seconds = 30) {
    const earlier = this.before(seconds).buckets(name, labels);
    const bounds = [...this.scrapes.at(-1).buckets(name, labels)].sort(([one], [other]) => one - other);
    const counts = bounds.map(([bound, count]) => [bound, count - (earlier.get(bound) ?? 0)]);
    const total = counts.at(-1)?.[1] ?? 0;
    if (total <= 0) return null;
    const wanted = share * total;
    let [below, before] = [0, 0];
    for (const [bound, count] of counts) {
      if (count >= wanted) {
        return bound === Infinity ? below : below + (bound - below) * (wanted - before) / (count - before);
      }
      [below, before] = [bound, count];
    }
    return null;
  }

  /** A figure for each scrape, from it and the one before. */
  line(figure) {
    return this.scrapes.slice(1).map((scrape, nth) => figure(this.scrapes[nth], scrape));
  }
}

function rateBetween(earlier, later, name) {
  const seconds = later.time - earlier.time;
  return seconds > 0 ? Math.max(0, later.value(name) - earlier.value(name)) / seconds : null;
}
