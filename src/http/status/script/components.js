// Who reports.

let components = [];

/** A component's name is unique within its type. */
const componentKey = (component) => `${component.component_type}\n${component.name}`;

const MOODS = { ready: "good", offline: "bad" };

function statusCell(element, status) {
  if (element.dataset.status === status) return;
  element.dataset.status = status;
  element.replaceChildren(make("span", `dot ${MOODS[status] ?? "warn"}`), status);
}

const componentsGrid = new Grid(document.getElementById("components-grid"), {
  label: "Components",
  rows: 14,
  key: componentKey,
  empty: "No component fits.",
  chosen: (component) => showComponent(component),
  columns: [
    { title: "Name", width: "minmax(0, 5fr)", order: (row) => row.name, cell: (element, row) => text(element, row.name) },
    { title: "Type", width: "minmax(0, 3fr)", quiet: true, order: (row) => row.component_type, cell: (element, row) => text(element, row.component_type) },
    { title: "Status", width: "minmax(72px, 2fr)", order: (row) => row.status, cell: (element, row) => statusCell(element, row.status) },
    { title: "Last heard", width: "minmax(80px, 2fr)", number: true, quiet: true, order: (row) => row.heard || 0, cell: (element, row) => text(element, ago(row.heard)) },
  ],
});

async function refreshComponents() {
  const answer = await getJson("/api/metrics/components");
  components = answer.components.map((component) => ({
    ...component,
    status: component.status ?? "unknown",
    heard: Date.parse(component.last_heartbeat),
    sought: `${component.name} ${component.component_type}`.toLowerCase(),
  }));
  const statuses = [...new Set(components.map((component) => component.status))].sort();
  const select = document.getElementById("components-status");
  const shown = [...select.options].slice(1).map((option) => option.value);
  if (statuses.join("\n") !== shown.join("\n")) {
    const before = select.value;
    select.replaceChildren(select.options[0], ...statuses.map((status) => new Option(status, status)));
    select.value = statuses.includes(before) ? before : "";
  }
  filterComponents(answer.truncated);
}

function filterComponents(truncated) {
  const words = document.getElementById("components-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const status = document.getElementById("components-status").value;
  const found = components.filter((component) =>
    (status === "" || component.status === status) && words.every((word) => component.sought.includes(word)));
  componentsGrid.show(found);
  const all = exact.format(components.length);
  document.getElementById("components-count").textContent =
    (found.length === components.length ? all : `${exact.format(found.length)} of ${all}`) + (truncated === true ? ", cut here" : "");
}

document.getElementById("components-search").addEventListener("input", filterComponents);
document.getElementById("components-status").addEventListener("change", filterComponents);
