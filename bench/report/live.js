// A served page asks every few seconds whether there are new results, and loads itself anew, as one left it.
const LOOKS = 3000; // milliseconds
const KEPT = "page as it was left";
const titleOf = (column) => (column < COLUMNS ? `${groupOf(column).heading} ${data.columns[column].name}` : data.fields[column - COLUMNS]);

function controls() {
  const named = (control) => [control.closest("fieldset")?.querySelector("legend").textContent, control.name,
    control.type === "checkbox" && control.parentElement.textContent].filter(Boolean).join("/");
  return [...document.querySelectorAll("#tools input, #tools select")].map((control) => [named(control), control]);
}

function valueOf(control) {
  if (control.type === "checkbox") return control.checked;
  return control.options ? control.selectedOptions[0].textContent : control.value;
}

function put(control, value) {
  if (value === undefined || valueOf(control) === value) return;
  if (control.type === "checkbox") control.checked = value;
  else if (control.options) control.selectedIndex = Math.max(0, [...control.options].findIndex((one) => one.textContent === value));
  else control.value = value;
  control.dispatchEvent(new Event(control.type === "search" ? "input" : "change"));
}

function keep() {
  const open = [...state.open].map((index) => data.rows[index].label);
  const sorted = state.column === null ? null : titleOf(state.column);
  const places = [scrollX, scrollY, frame.scrollLeft, frame.scrollTop];
  const values = Object.fromEntries(controls().map(([name, control]) => [name, valueOf(control)]));
  sessionStorage.setItem(KEPT, JSON.stringify({ open, sorted, falling: state.falling, places, values }));
}

function restore() {
  const left = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  sessionStorage.removeItem(KEPT);
  if (!left) return;
  controls().forEach(([name, control]) => put(control, left.values[name]));
  state.open = new Set([...data.rows.keys()].filter((index) => left.open.includes(data.rows[index].label)));
  const column = [...Array(COLUMNS + data.fields.length).keys()].find((at) => titleOf(at) === left.sorted);
  if (column !== undefined) Object.assign(state, { column, falling: left.falling });
  draw();
  const [x, y, across, down] = left.places;
  while (frame.scrollHeight < down + frame.clientHeight && drawn < found.length) more();
  frame.scrollTo(across, down);
  scrollTo(x, y);
}

async function look() {
  const said = document.getElementById("live");
  try {
    const answer = await fetch("/", { method: "HEAD", cache: "no-store" });
    const changed = answer.headers.get("ETag") !== `"${data.live}"`;
    const busy = document.querySelector("dialog[open]");
    said.textContent = changed ? "There are new results." : "New results appear by themselves.";
    if (!changed || busy) return;
    keep();
    location.reload();
  } catch {
    said.textContent = "The server has ended; the page stays as it was.";
  }
}

if (data.live) {
  restore();
  setInterval(look, LOOKS);
}
