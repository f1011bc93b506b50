// What a component has reported in the last hour.

const HOUR_MS = 3_600_000;
/** Samples that are read to find a component's series. */
const LISTED_SAMPLES_MAX = 5_000;

let component = null;
let series = [];

const seriesKey = (one) => `${one.metric_name}\n${labelsText(one.labels)}`;

/** JSON has no such numbers, so the server sends them as text. */
const sampleValue = (sample) =>
  typeof sample.metric_value === "number" ? sample.metric_value : Number(sample.metric_value.replace("Inf", "Infinity"));

const seriesGrid = new Grid(document.getElementById("series-grid"), {
  label: "Series",
  rows: 14,
  key: seriesKey,
  empty: "Nothing fits, or nothing was reported in the last hour.",
  chosen: (one) => showChart(component, one),
  columns: [
    { title: "Metric", width: "minmax(0, 4fr)", order: (row) => row.metric_name, cell: (element, row) => text(element, row.metric_name) },
    { title: "Labels", width: "minmax(0, 3fr)", quiet: true, order: (row) => labelsText(row.labels), cell: (element, row) => text(element, labelsText(row.labels)) },
    { title: "Last value", width: "minmax(70px, 2fr)", number: true, order: (row) => row.value, cell: (element, row) => text(element, Number.isFinite(row.value) ? exact.format(row.value) : String(row.value)) },
    { title: "Unit", width: "minmax(0, 1fr)", quiet: true, order: (row) => row.unit ?? "", cell: (element, row) => text(element, row.unit ?? "") },
  ],
});

function showComponent(chosen) {
  component = chosen;
  series = [];
  document.getElementById("series-title").textContent = chosen.name;
  document.getElementById("series-search").value = "";
  document.getElementById("series-hint").hidden = true;
  document.getElementById("series-grid").hidden = false;
  seriesGrid.select(null);
  filterSeries();
  hideChart();
  seriesPoller.look();
}

const hourAgo = () => new Date(Date.now() - HOUR_MS).toISOString();

/** Samples of a component, newest first. */
async function recentSamples(of, parameters) {
  const answer = await getJson("/api/metrics/query", { component_name: of.name, consistency: "eventual", ...parameters });
  // A `*` in a name would be a pattern, and another type may have the same name.
  const own = (sample) => sample.component_name === of.name && sample.component_type === of.component_type;
  return { samples: answer.metrics.filter(own), cursor: answer.next_cursor };
}

async function refreshSeries() {
  const asked = component;
  if (!asked) return;
  const { samples, cursor } = await recentSamples(asked, { start_time: hourAgo(), limit: LISTED_SAMPLES_MAX });
  if (asked !== component) return;
  const found = new Map();
  for (const sample of samples) {
    const one = { ...sample, labels: sample.labels ?? {}, value: sampleValue(sample) };
    one.sought = `${one.metric_name} ${labelsText(one.labels)}`.toLowerCase();
    if (!found.has(seriesKey(one))) found.set(seriesKey(one), one);
  }
  series = [...found.values()];
  filterSeries(cursor !== null);
}

function filterSeries(cut) {
  const words = document.getElementById("series-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = series.filter((one) => words.every((word) => one.sought.includes(word)));
  seriesGrid.show(found);
  document.getElementById("series-count").textContent =
    `${exact.format(found.length)} series${cut === true ? ` in the newest ${exact.format(LISTED_SAMPLES_MAX)} samples` : ""}`;
}

document.getElementById("series-search").addEventListener("input", filterSeries);
