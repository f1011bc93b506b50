// The cards: how the server is doing now.

const HISTORY_S = 300;
const history = new History(HISTORY_S);

async function refreshOverview() {
  let scrape;
  try {
    scrape = new Scrape(await getText("/metrics"));
  } catch (error) {
    state("bad", "no answer");
    throw error;
  }
  history.add(scrape);
  const up = scrape.value("postgres_up") === 1;
  const failed = scrape.value("log_failed") === 1;
  const uptime = scrape.started() ? `up for ${duration(Date.now() / 1000 - scrape.started())}` : "answers";
  if (failed) state("bad", "the log failed: nothing is acknowledged");
  else if (!up) state("warn", "PostgreSQL is away: reports are kept in the log");
  else state("good", uptime);

  const reports = history.rate("reports_total");
  card("rate", number(history.rate("samples_total")), `${number(reports)} reports a second`,
    history.line((one, other) => rateBetween(one, other, "samples_total")));
  drawAcks();
  drawBacklog(scrape, failed);
  drawFlush(scrape, up);
  card("series", number(scrape.value("series")),
    `of ${number(scrape.value("components"))} components; ${number(scrape.value("http_connections"))} connections`,
    history.line((_, scrape) => scrape.value("series")));
  const rejected = history.rate("samples_rejected_total");
  card("rejected", number(rejected), `${number(scrape.value("samples_rejected_total"))} since the start`,
    history.line((one, other) => rateBetween(one, other, "samples_rejected_total")), rejected > 0 ? "warn" : "");
}

function drawAcks() {
  const labels = { route: "report" };
  const name = "http_request_seconds";
  const [middle, high] = [0.5, 0.99].map((share) => history.quantile(share, name, labels));
  const mean = (one, other) => {
    const of = (scrape, part) =>
      (scrape.families.get(`noetl_metrics_${name}_${part}`) ?? []).find((sample) => sample.labels.route === "report")?.value ?? 0;
    const count = of(other, "count") - of(one, "count");
    return count > 0 ? (of(other, "sum") - of(one, "sum")) / count : null;
  };
  card("ack", duration(middle), high === null ? "no report in 30 s" : `99 of 100 within ${duration(high)}`, history.line(mean));
}

function drawBacklog(scrape, failed) {
  const [used, budget] = [scrape.value("log_bytes"), scrape.value("log_budget_bytes")];
  const share = budget > 0 ? used / budget : 0;
  const mood = failed || share > 0.9 ? "bad" : share > 0.6 ? "warn" : "";
  card("backlog", number(scrape.value("log_backlog_rows")), `log ${bytes(used)} of ${bytes(budget)}`,
    history.line((_, scrape) => scrape.value("log_backlog_rows")), mood);
}

function drawFlush(scrape, up) {
  const high = history.quantile(0.99, "flush_commit_seconds");
  const failures = history.rate("flush_failures_total", 60);
  const note = !up ? "PostgreSQL does not answer"
    : failures > 0 ? "attempts fail and are tried again"
    : high === null ? "nothing to flush" : `99 of 100 commits within ${duration(high)}`;
  card("flush", number(history.rate("flush_rows_total")), note,
    history.line((one, other) => rateBetween(one, other, "flush_rows_total")), !up ? "bad" : failures > 0 ? "warn" : "");
}

function state(mood, words) {
  document.getElementById("state").className = `state ${mood}`;
  const element = document.getElementById("state-text");
  if (element.textContent !== words) element.textContent = words;
}

function card(name, value, note, line, mood = "") {
  const element = document.getElementById(`card-${name}`);
  element.className = `card ${mood}`;
  element.querySelector(".value").textContent = value;
  element.querySelector(".note").textContent = note;
  drawSpark(element, line);
}

/** A line over the last minutes, without axes. */
function drawSpark(element, line) {
  let svg = element.querySelector("svg");
  if (!svg) {
    const space = "http://www.w3.org/2000/svg";
    svg = document.createElementNS(space, "svg");
    setAttributes(svg, { class: "spark", viewBox: "0 0 100 36", preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const className of ["area", "line"]) {
      const path = document.createElementNS(space, "path");
      path.setAttribute("class", className);
      svg.append(path);
    }
    element.append(svg);
  }
  const top = Math.max(...line.filter((value) => value !== null), Number.MIN_VALUE);
  const width = Math.max(line.length - 1, 1);
  const points = line.map((value, nth) => `${(nth / width * 100).toFixed(2)},${(34 - (value ?? 0) / top * 28).toFixed(2)}`);
  const path = points.length > 1 ? `M${points.join("L")}` : "";
  svg.children[0].setAttribute("d", path && `${path}L100,36L0,36Z`);
  svg.children[1].setAttribute("d", path);
}
