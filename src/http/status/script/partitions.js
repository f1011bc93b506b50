// Where the samples are kept.

let largestPartition = 1;

const partitionsGrid = new Grid(document.getElementById("partitions-grid"), {
  label: "Partitions",
  rows: 9,
  key: (partition) => partition.name,
  empty: "There is no partition.",
  sorted: 1,
  descending: true,
  columns: [
    { title: "Name", width: "minmax(118px, 3fr)", order: (row) => row.name, cell: (element, row) => text(element, row.name) },
    { title: "From (UTC)", width: "minmax(0, 2fr)", quiet: true, order: (row) => row.from, cell: (element, row) => text(element, minute(Date.parse(row.from))) },
    { title: "Rows, about", width: "minmax(0, 2fr)", number: true, order: (row) => row.rows, cell: (element, row) => text(element, number(row.rows)) },
    { title: "Size", width: "minmax(70px, 3fr)", number: true, order: (row) => row.bytes, cell: sizeCell },
    { title: "State", width: "minmax(0, 1fr)", quiet: true, order: (row) => row.state, cell: (element, row) => text(element, row.state) },
  ],
});

function sizeCell(element, row) {
  if (!element.firstElementChild) element.append(make("meter", "", { "aria-hidden": "true" }), "");
  const [meter, words] = element.childNodes;
  meter.value = row.bytes / largestPartition;
  words.textContent = bytes(row.bytes);
}

async function refreshPartitions() {
  const { partitions } = await getJson("/api/metrics/partitions");
  largestPartition = Math.max(1, ...partitions.map((partition) => partition.bytes));
  partitionsGrid.show(partitions);
  const sum = partitions.reduce((sum, partition) => sum + partition.bytes, 0);
  document.getElementById("partitions-count").textContent = `${exact.format(partitions.length)}, ${bytes(sum)} in all`;
}
