// Invariance curves: Linv over Ldiv, one line per pre-training, with its intervals, over the strengths of an augmentation.
const DASHES = ["solid", "dash", "dot", "dashdot"];

// Colour and shape of a line; the dash changes when all colours are used.
function lineLook(at) {
  const color = COLOURS[at % COLOURS.length], again = Math.floor(at / COLOURS.length);
  return { color, symbol: SYMBOLS[at % SYMBOLS.length], dash: DASHES[again % DASHES.length] };
}

function curveOf({ row, strengths, means, below, above }, at, panel, named) {
  const { color, symbol, dash } = lineLook(at), label = letters(data.rows[row].label);
  return {
    type: "scatter", mode: "lines+markers", name: label, legendgroup: String(row), showlegend: named, customdata: means.map(() => row),
    x: strengths.map((strength) => (typeof strength === "string" ? letters(strength) : strength)), y: means, yaxis: panel ? "y2" : "y", line: { color, dash, width: 2 }, marker: { color, symbol, size: 9 },
    error_y: { type: "data", symmetric: false, array: above, arrayminus: below, color, thickness: 1.5, width: 5 },
    text: means.map((mean, index) => `${(mean - below[index]).toFixed(3)} to ${(mean + above[index]).toFixed(3)}`),
    hovertemplate: `${label}<br>%{x}: %{y:.3f} (%{text})<extra></extra>`,
  };
}

function curves() {
  const { x, numeric, panels } = data.sweeps[Number(document.getElementById("sweep").value)];
  const rows = [...new Set(panels.flatMap(({ lines }) => lines.map(({ row }) => row)))];
  const named = rows.length <= NAMED, seen = new Set();
  const parts = panels.flatMap(({ lines }, panel) => lines.map((line) => {
    const first = !seen.has(line.row);
    seen.add(line.row);
    return curveOf(line, rows.indexOf(line.row), panel, named && first);
  }));
  const says = named ? "" : ` ${rows.length} lines are too many for a legend: point at one for its name.`;
  document.getElementById("curves-says").textContent = `Bars are 95 % intervals over images.${says}`;
  const [upper, lower] = panels;
  const domains = lower ? [[0.54, 1], [0, 0.46]] : [[0, 1]];
  const axes = { xaxis: axis(x, { anchor: lower ? "y2" : "y", type: numeric ? "linear" : "category" }), yaxis: axis(upper.title, { domain: domains[0] }) };
  if (lower) axes.yaxis2 = axis(lower.title, { domain: domains[1] });
  return paint("curves", parts, axes);
}

if (data.sweeps.length) plot("curves", curves, [options("sweep", [...data.sweeps.keys()], (index) => data.sweeps[index].title)]);
