// Begins.

const theme = document.getElementById("theme");

function setTheme(value) {
  document.documentElement.style.colorScheme = value;
  drawChart();
}

theme.addEventListener("change", () => {
  setTheme(theme.value);
  localStorage.setItem("theme", theme.value);
});
theme.value = localStorage.getItem("theme") ?? "light dark";
if (theme.selectedIndex < 0) theme.selectedIndex = 0;
setTheme(theme.value);

const chartPoller = new Poller("The chart", 15_000, refreshChart);
const seriesPoller = new Poller("The series", 15_000, refreshSeries);
new Poller("The server", 2_000, refreshOverview);
new Poller("The list of components", 15_000, refreshComponents);
new Poller("The list of partitions", 60_000, refreshPartitions);
