// One series over the last hour.

/** Pages of 10,000 samples that are read for a chart. */
const CHART_PAGES_MAX = 5;
const CHART_HEIGHT_PX = 260;

let charted = null;
let plot = null;
let points = [[], []];

function showChart(of, one) {
  charted = { component: of, series: one };
  points = [[], []];
  document.getElementById("chart").hidden = false;
  document.getElementById("chart-title").textContent = one.metric_name;
  document.getElementById("chart-summary").textContent = "reading";
  document.getElementById("chart-mode").value = one.metric_type === "counter" ? "rate" : "value";
  drawChart();
  chartPoller.look();
}

function hideChart() {
  charted = null;
  document.getElementById("chart").hidden = true;
}

async function refreshChart() {
  const asked = charted;
  if (!asked) return;
  const wanted = seriesKey(asked.series);
  const parameters = {
    metric_name: asked.series.metric_name,
    labels: JSON.stringify(asked.series.labels),
    start_time: hourAgo(),
    limit: 10_000,
  };
  const found = [];
  // An empty cursor is as good as none.
  let cursor = "";
  for (let page = 0; cursor !== null && page < CHART_PAGES_MAX; page += 1) {
    const answer = await recentSamples(asked.component, { ...parameters, cursor });
    cursor = answer.cursor;
    // Labels that are asked for are those that a series must have; it may have more.
    found.push(...answer.samples.filter((sample) => seriesKey({ ...sample, labels: sample.labels ?? {} }) === wanted));
    if (asked !== charted) return;
  }
  found.reverse();
  points = [found.map((sample) => Date.parse(sample.timestamp) / 1000), found.map(sampleValue)];
  drawChart();
}

/** What is drawn: the values, or how they change. */
function chartData() {
  const [times, values] = points;
  const drawn = values.map((value) => (Number.isFinite(value) ? value : null));
  if (document.getElementById("chart-mode").value === "value") return [times, drawn];
  const rates = drawn.map((value, nth) => {
    const seconds = times[nth] - times[nth - 1];
    if (nth === 0 || value === null || drawn[nth - 1] === null || seconds <= 0) return null;
    // A counter that falls has begun anew.
    const grown = value - drawn[nth - 1];
    return (charted.series.metric_type === "counter" && grown < 0 ? value : grown) / seconds;
  });
  return [times, rates];
}

function drawChart() {
  if (!charted) return;
  const data = chartData();
  const element = document.getElementById("chart-plot");
  plot?.destroy();
  plot = new uPlot(chartOptions(element.clientWidth - 24), data, element);
  const values = data[1].filter((value) => value !== null);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  document.getElementById("chart-summary").textContent = values.length === 0 ? "no samples in the last hour"
    : `${labelsText(charted.series.labels)} ${values.length} points, ${exact.format(low)} to ${exact.format(high)}, last ${exact.format(values.at(-1))}`;
}

function chartOptions(width) {
  const colour = (name) => resolved(`var(--${name})`);
  const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
  const now = Date.now() / 1000;
  return {
    width: Math.max(width, 200),
    height: CHART_HEIGHT_PX,
    scales: { x: { range: () => [now - HOUR_MS / 1000, now] } },
    axes: [{ ...axis, values: (_, ticks) => ticks.map((tick) => timeOfDay(tick)) }, { ...axis, size: 70, values: (_, ticks) => ticks.map(number) }],
    series: [
      { label: "Time", value: (_, time) => (time === null ? "–" : timeOfDay(time, { second: "2-digit" })) },
      {
        label: charted.series.unit || "value",
        stroke: colour("accent"),
        width: 1.5,
        spanGaps: true,
        points: { size: 5 },
        value: (_, value) => (value === null ? "–" : exact.format(value)),
      },
    ],
  };
}

/** The colour that a style means at the moment; a canvas knows no variables. */
function resolved(value) {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = value;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

document.getElementById("chart-mode").addEventListener("change", drawChart);
new ResizeObserver(() => {
  const width = document.getElementById("chart-plot").clientWidth - 24;
  if (plot && charted && width > 200) plot.setSize({ width, height: CHART_HEIGHT_PX });
}).observe(document.getElementById("chart"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawChart);
