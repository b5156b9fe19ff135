// The table: sorted, filtered and drawn from the data in the page. Texts reach the document as text nodes only.
const data = JSON.parse(document.getElementById("data").textContent);
const PART = 100; // rows drawn before one scrolls for more
const COLUMNS = data.columns.length; // those of metrics; the fields come after
const GROUPED = 2; // lines of the head
const table = document.getElementById("board"), frame = document.getElementById("frame");
const state = { column: null, falling: true, words: "", chosen: new Map(), hidden: new Set(), published: true, ranked: false, open: new Set() };
let found = [], drawn = 0;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function labelled(text, control) {
  return make("label", {}, text, " ", control);
}

// A metric's number or a field's text; null where absent.
function value(row, column) {
  if (column < COLUMNS) return row.cells[column]?.mean ?? null;
  const text = row.fields[column - COLUMNS];
  return text === data.absent ? null : text;
}

function ranks(row) {
  return row.kind !== "published" || state.ranked;
}

// Best first, then the other way round; absent values last, and published rows after all unless they are ranked.
function sorted(rows) {
  if (state.column === null) return rows;
  const numbers = rows.every((row) => value(row, state.column) === null || !Number.isNaN(Number(value(row, state.column))));
  const order = numbers ? (a, b) => a - b : (a, b) => a.localeCompare(b, "en", { numeric: true });
  return [...rows].sort((a, b) => {
    if (ranks(a) !== ranks(b)) return ranks(a) ? -1 : 1;
    const [x, y] = [value(a, state.column), value(b, state.column)];
    if (x === null || y === null) return (x === null) - (y === null);
    return state.falling ? order(y, x) : order(x, y);
  });
}

function matches(row) {
  if (row.kind === "published" && !state.published) return false;
  for (const [field, text] of state.chosen) if (row.fields[field] !== text) return false;
  const text = [row.label, ...row.fields].join(" ").toLowerCase();
  return state.words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function cellOf(row, index, column) {
  const cell = row.cells[column];
  const first = starts.has(column) ? " first" : "";
  if (!cell) return make("td", { className: "number absent" + first, title: "not run" }, data.absent);
  const { sign } = data.columns[column];
  const link = make("a", { href: `#cell-${index}-${column}`, textContent: cell.text });
  if (cell.mean === null) link.title = cell.planned ?? "ran, but could not be computed";
  const failing = (text) => (/[✗∅]/.test(text) ? " failing" : "");
  const bare = cell.runs.length || row.kind === "published" ? "" : ` absent${failing(cell.text)}`;
  const made = make("td", { className: "number" + first + (cell.best ? " best" : "") + bare }, link);
  const tone = sign ? "▲▼≈?◇".indexOf(cell.mark) : 2; // where nothing is best, neither direction is coloured
  if (cell.mark) made.append(make("abbr", { className: `mark m${tone}`, title: cell.against, textContent: cell.mark }));
  if (cell.spread) made.append(make("span", { className: "small", textContent: cell.spread }));
  if (cell.missing) made.append(make("span", { className: `small${failing(cell.missing)}`, textContent: cell.missing, title: cell.planned }));
  return made;
}

function rowOf(row, index) {
  const name = make("th", { className: "name", scope: "row" }, make("a", { href: `#row-${index}`, textContent: row.label }));
  name.append(make("div", { className: "acts" }, ...foldOf(row, index), copiers(row)));
  if (row.kind === "published") name.append(make("span", { className: "small", textContent: "published", title: row.source }));
  const line = make("tr", { className: row.kind }, name);
  visible().forEach((column) => {
    if (column < COLUMNS) line.append(cellOf(row, index, column));
    else line.append(make("td", { textContent: row.fields[column - COLUMNS], className: column === COLUMNS ? "first" : "" }));
  });
  return line;
}

// The repetitions of a row, folded: a line for each pre-training, or for each trial of the only one.
function foldOf(row, index) {
  if (!row.repeats.length) return [];
  const [word] = row.repeats[0].label.split(" ");
  const button = make("button", { type: "button", className: "little fold", textContent: `${row.repeats.length} ${word}s` });
  button.setAttribute("aria-expanded", String(state.open.has(index)));
  button.addEventListener("click", () => {
    const opens = !state.open.delete(index), line = button.closest("tr");
    if (opens) state.open.add(index);
    button.setAttribute("aria-expanded", String(opens));
    if (opens) line.after(...repeatsOf(row, index));
    else while (line.nextSibling?.className === "repeat") line.nextSibling.remove();
  });
  return [button];
}

function repeatsOf(row, index) {
  return row.repeats.map(({ label, cells }, which) => {
    const line = make("tr", { className: "repeat" }, make("th", { className: "name", scope: "row", textContent: label }));
    visible().forEach((column) => {
      const cell = cells[column], first = starts.has(column) || column === COLUMNS ? " first" : "";
      const made = make("td", { className: "number" + first });
      if (cell) made.append(make("a", { href: `#cell-${index}-${column}-${which}`, textContent: cell.text }));
      if (cell?.spread) made.append(make("span", { className: "small", textContent: cell.spread }));
      line.append(made);
    });
    return line;
  });
}

function groupOf(column) {
  return data.groups.find(({ from, span }) => column >= from && column < from + span);
}

function visible() {
  return [...Array(COLUMNS + data.fields.length).keys()].filter((column) => !state.hidden.has(column));
}

const starts = new Set();
data.groups.reduce((at, group) => { group.from = at; starts.add(at); return at + group.span; }, 0);

function heading(column) {
  const metric = column < COLUMNS ? data.columns[column] : null;
  const button = make("button", { type: "button", textContent: metric ? metric.name : data.fields[column - COLUMNS] });
  button.addEventListener("click", () => sortBy(column));
  const first = starts.has(column) || column === COLUMNS ? " first" : "";
  const head = make("th", { scope: "col", className: (metric ? "number" : "") + first }, button);
  head.dataset.column = column;
  head.setAttribute("aria-sort", "none");
  if (metric?.unit) head.append(make("span", { className: "small", textContent: metric.unit }));
  if (metric?.meaning) head.title = metric.meaning;
  return head;
}

function drawHead() {
  const over = make("tr", {}, make("th", { className: "name", scope: "col", rowSpan: GROUPED, textContent: "pre-training" }));
  const shown = new Set(visible());
  for (const group of data.groups) {
    const span = [...Array(group.span).keys()].filter((offset) => shown.has(group.from + offset)).length;
    const link = make("a", { href: `#protocol-${group.id}`, textContent: group.heading });
    const below = make("span", { className: "small", textContent: group.below });
    if (span) over.append(make("th", { className: "group", scope: "colgroup", colSpan: span }, link, below));
  }
  const fields = visible().filter((column) => column >= COLUMNS).length;
  if (fields) over.append(make("th", { className: "first", scope: "colgroup", colSpan: fields, textContent: "about the pre-training" }));
  table.tHead?.remove();
  table.prepend(make("thead", {}, over, make("tr", {}, ...visible().map(heading))));
}

function draw() {
  found = sorted(data.rows.filter(matches));
  table.tBodies[0]?.remove();
  table.append(make("tbody"));
  drawn = 0;
  more();
  frame.scrollTop = 0;
  table.querySelectorAll("th[data-column]").forEach((head) => {
    const chosen = Number(head.dataset.column) === state.column;
    head.setAttribute("aria-sort", chosen ? (state.falling ? "descending" : "ascending") : "none");
  });
  const all = data.rows.length;
  const some = found.length === all ? all : `${found.length} of ${all}`;
  document.getElementById("count").textContent = `${some} row${all === 1 ? "" : "s"}.`;
}

function more(count = PART) {
  const part = found.slice(drawn, drawn + count);
  drawn += part.length;
  table.tBodies[0].append(...part.flatMap((row) => {
    const index = data.rows.indexOf(row);
    return [rowOf(row, index), ...(state.open.has(index) ? repeatsOf(row, index) : [])];
  }));
}

function sortBy(column) {
  const falls = column < COLUMNS && data.columns[column].sign >= 0;
  state.falling = state.column === column ? !state.falling : falls;
  state.column = column;
  draw();
}

function selects() {
  return data.fields.flatMap((name, field) => {
    const texts = [...new Set(data.rows.map((row) => row.fields[field]))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    if (texts.length < 2 || field >= data.filters) return [];
    const select = make("select", { name }, make("option", { value: "", textContent: "all" }));
    texts.forEach((text, index) => select.append(make("option", { value: String(index), textContent: text })));
    select.addEventListener("change", () => {
      if (select.value === "") state.chosen.delete(field);
      else state.chosen.set(field, texts[Number(select.value)]);
      draw();
    });
    return [labelled(name, select)];
  });
}

function checkbox(text, checked, change) {
  const box = make("input", { type: "checkbox", checked });
  box.addEventListener("change", () => { change(box.checked); drawHead(); draw(); });
  return make("label", {}, box, " ", text);
}

function columnMenu() {
  const toggle = (column) => (on) => (on ? state.hidden.delete(column) : state.hidden.add(column));
  const groups = data.groups.map((group) => make("fieldset", {}, make("legend", { textContent: group.heading }),
    ...data.columns.slice(group.from, group.from + group.span).map((column, at) => checkbox(column.name, true, toggle(group.from + at)))));
  groups.push(make("fieldset", {}, make("legend", { textContent: "about the pre-training" }),
    ...data.fields.map((name, at) => checkbox(name, true, toggle(COLUMNS + at)))));
  return make("details", { className: "menu" }, make("summary", { textContent: "Columns" }), make("div", {}, ...groups));
}

function tools() {
  const search = make("input", { type: "search", name: "words", placeholder: "words in a row" });
  search.addEventListener("input", () => { state.words = search.value.trim(); draw(); });
  const boxes = data.rows.some((row) => row.kind === "published")
    ? [checkbox("published rows", true, (on) => { state.published = on; }), checkbox("rank them too", false, (on) => { state.ranked = on; })]
    : [];
  const repeated = [...data.rows.keys()].filter((index) => data.rows[index].repeats.length);
  if (repeated.length) boxes.push(checkbox("every repetition", false, (on) => { state.open = new Set(on ? repeated : []); }));
  document.getElementById("tools").append(labelled("find", search), ...selects(), columnMenu(), ...boxes);
}

document.getElementById("tools").addEventListener("submit", (event) => event.preventDefault());
frame.addEventListener("scroll", () => {
  if (frame.scrollTop + frame.clientHeight > frame.scrollHeight - 600) more();
});
addEventListener("beforeprint", () => {
  more(Infinity);
  document.querySelectorAll("details:not(.menu)").forEach((part) => { part.open = true; });
});
tools();
drawHead();
draw();
