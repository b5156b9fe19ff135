// The plots. plotly.js stands compressed in the page and is unpacked when the first plot comes into view.
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9"]; // Okabe and Ito
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "star", "triangle-down", "cross"];
const NAMED = 14; // groups with a name in the legend; more are one group
let unpacking = null;

// The text of an element that stands compressed in the page.
async function inflated(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

async function unpack() {
  document.head.append(make("script", { textContent: await inflated("plotly") }));
}

function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// plotly reads a little markup in texts; names are shown letter by letter.
function letters(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

// A title over several lines where the plot is narrow.
function wrapped(text) {
  const most = innerWidth < 600 ? 40 : 90;
  return text.split(" ").reduce(([...lines], word) => {
    if (`${lines.at(-1)} ${word}`.length > most) return [...lines, word];
    return [...lines.slice(0, -1), `${lines.at(-1)} ${word}`.trim()];
  }, [""]).map(letters).join("<br>");
}

function axis(title, more = {}) {
  const lines = { gridcolor: ink("line"), zerolinecolor: ink("line"), linecolor: ink("soft"), showline: true, automargin: true };
  return { title: { text: wrapped(title), standoff: 12 }, ticks: "outside", ...lines, ...more };
}

// One trace per augmentation (and method, where several occur), told apart by colour and shape. Where the rows are of several
// strata, shape says the stratum instead: points of different shapes are not to be compared.
function traces(rows, x, y, strata = { of: () => 0, names: [] }) {
  const field = (name) => data.fields.indexOf(name);
  const several = new Set(rows.map((row) => data.rows[row].fields[field("method")])).size > 1;
  const nameOf = (row) => (several ? ["method", "aug"] : ["aug"]).map((name) => data.rows[row].fields[field(name)]).join(" · ");
  const names = [...new Set(rows.map(nameOf))];
  const groups = names.length > NAMED ? [["pre-trainings", rows]] : names.map((name) => [name, rows.filter((row) => nameOf(row) === name)]);
  const unique = (name) => [...new Set(rows.map((row) => data.rows[row].fields[field(name)]))];
  const [augs, methods] = [unique("aug"), unique("method")];
  // Colour says the augmentation; shape the method, or the augmentation once more.
  const look = ([row]) => {
    const aug = augs.indexOf(data.rows[row].fields[field("aug")]), method = methods.indexOf(data.rows[row].fields[field("method")]);
    const shape = several ? method + methods.length * Math.floor(aug / COLOURS.length) : aug;
    return groups.length === 1 ? {} : { color: COLOURS[aug % COLOURS.length], symbol: SYMBOLS[shape % SYMBOLS.length] };
  };
  const stratified = strata.names.length > 1;
  const shape = (stratum) => SYMBOLS[stratum % SYMBOLS.length];
  const shapes = (members) => (stratified ? { symbol: members.map((row) => shape(strata.of(row))) } : {});
  const key = (name, stratum) => ({
    type: "scatter", mode: "markers", name: letters(name), x: [null], y: [null], marker: { size: 11, color: ink("soft"), symbol: shape(stratum) },
  });
  return groups.map(([name, members]) => ({
    type: "scatter", mode: "markers", name: letters(name), showlegend: true, customdata: members,
    x: members.map(x), y: members.map(y), text: members.map((row) => letters(data.rows[row].label)),
    hovertemplate: "%{text}<br>%{x:.4~g}, %{y:.4~g}<extra></extra>",
    marker: { size: 11, color: COLOURS[0], line: { width: 1, color: ink("paper") }, ...look(members), ...shapes(members) },
  })).concat(stratified ? strata.names.map(key) : []);
}

async function paint(id, parts, axes) {
  await (unpacking ??= unpack());
  const target = document.getElementById(id);
  const narrow = target.clientWidth < 500;
  const layout = {
    ...axes, height: target.classList.contains("tall") ? 640 : narrow ? 520 : 440, margin: { l: 64, r: 16, t: 16, b: 56 }, hovermode: "closest",
    paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { family: "system-ui, sans-serif", size: narrow ? 12 : 14, color: ink("ink") },
    legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom" },
  };
  await Plotly.react(target, parts, layout, { responsive: true, displaylogo: false, displayModeBar: false });
  target.removeAllListeners?.("plotly_click");
  target.on("plotly_click", ({ points }) => { if (points[0].customdata !== undefined) location.hash = `row-${points[0].customdata}`; });
  target.dataset.drawn = "yes";
}

function scatter() {
  const choice = (id) => Number(document.getElementById(id).value);
  const pair = data.pairs.find(({ measure, metric }) => measure === choice("measure") && metric === choice("metric"));
  const none = { measure: choice("measure"), metric: choice("metric"), rows: [], strata: [], names: [], spearman: data.absent, kendall: data.absent, p: data.absent, verdict: "" };
  const { measure, metric, rows, strata, names, spearman, kendall, p, verdict } = pair ?? none;
  const few = verdict === "too few points" ? " Too few backbones that are alike: nothing can be said." : "";
  const within = names.length > 1 ? " Compare within a shape alone: shapes are strata." : "";
  const says = `${rows.length} backbones. Within strata: Spearman ${spearman}, Kendall ${kendall}, p ${p} over the table.${few}${within}`;
  document.getElementById("scatter-says").textContent = says;
  return paint("scatter", traces(rows, (row) => data.values[measure][row], (row) => data.values[metric][row],
    { of: (row) => strata[rows.indexOf(row)], names }),
    { xaxis: axis(data.titles[measure]), yaxis: axis(data.titles[metric]) });
}

function pareto() {
  const { column, hours, fronts } = data.pareto[Number(document.getElementById("pareto-metric").value)];
  const rows = Object.keys(hours).map(Number), cost = (row) => hours[row], score = (row) => data.values[column][row];
  const wide = Math.max(...rows.map(cost)) > 10 * Math.min(...rows.map(cost));
  const lines = fronts.map(({ hardware, rows: best }, at) => ({
    type: "scatter", mode: "lines", name: `not beaten on ${hardware}`, x: best.map(cost), y: best.map(score), hoverinfo: "skip",
    line: { color: ink("soft"), shape: "hv", width: 2, dash: ["dot", "dash", "longdash", "dashdot"][at % 4] },
  }));
  const title = "pre-training, device hours";
  const hoursAxis = axis(title, wide ? { type: "log" } : { rangemode: "tozero" });
  return paint("pareto", [...lines, ...traces(rows, cost, score)], { xaxis: hoursAxis, yaxis: axis(data.titles[column]) });
}

function options(id, indices, text) {
  const select = document.getElementById(id);
  indices.forEach((index) => select.append(make("option", { value: String(index), textContent: text(index) })));
  return select;
}

// Draws when the plot comes into view, when a choice changes, and anew when light turns dark.
function plot(id, draw, selects) {
  let seen = false;
  const target = document.getElementById(id);
  new IntersectionObserver(([entry], observer) => {
    if (!entry.isIntersecting) return;
    observer.disconnect();
    seen = true;
    draw();
  }, { rootMargin: "300px" }).observe(target);
  selects.forEach((select) => select.addEventListener("change", draw));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => seen && draw());
}

if (data.pairs.length) {
  const title = (column) => data.titles[column];
  const unique = (key) => [...new Set(data.pairs.map((pair) => pair[key]))];
  plot("scatter", scatter, [options("measure", unique("measure"), title), options("metric", unique("metric"), title)]);
}
if (data.pareto.length) {
  document.getElementById("pareto-part").hidden = false;
  plot("pareto", pareto, [options("pareto-metric", [...data.pareto.keys()], (index) => data.titles[data.pareto[index].column])]);
}
