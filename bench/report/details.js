// What stands behind a number: a dialog with its runs, each with its command, config and log. `#row-R`, `#cell-R-C` and, of one
// repetition, `#cell-R-C-K` open it.
const dialog = document.getElementById("details");
const ALWAYS = [{ word: "record", file: "result.json" }, { word: "folder", file: "" }].slice(0, data.live ? 1 : 2); // a server lists none

// A link to a file of the run; its bare word where the record was kept without it.
function fileOf(link, there) {
  return ({ word, file }) => (there ? make("a", { href: link + file, textContent: word })
    : make("span", { className: "absent", title: "not kept with the record", textContent: `no ${word}` }));
}

function runOf(index, number) {
  const { link, name, task, seeds: [pretrained, own], seconds, mib, speed, hardware, beside, finished, command, picture, curves } = data.runs[index];
  const links = [...data.beside.map((file, at) => fileOf(link, beside.includes(at))(file)), ...ALWAYS.map(fileOf(link, true))];
  if (picture) links.push(pictureOf(link + picture, name));
  if (curves) links.push(curvesButton(index));
  const seeds = `seeds ${pretrained ?? data.absent} (pre-training), ${own} (run)`;
  const fast = speed === null ? [] : [`${speed} images/s`];
  const facts = [task, seeds, `${seconds} s`, `${mib} MiB`, ...fast, data.hardware[hardware], finished].join(" · ");
  const title = make("h3", { textContent: number === undefined ? name : `${number === null ? data.absent : +number.toFixed(4)}  ` });
  if (number !== undefined) title.append(make("span", { className: "small inline", textContent: name }));
  return make("article", {}, title, make("p", { className: "soft", textContent: facts }),
    make("pre", { textContent: command }), make("p", { className: "links" }, ...links));
}

function show(title, lines, runs, ...acts) {
  const close = make("button", { type: "button", textContent: "Close", className: "close" });
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(make("header", {}, make("h2", { id: "details-title", textContent: title }), close),
    ...lines.filter(Boolean).map((line) => make("p", { textContent: line })), ...acts, ...runs);
  if (!dialog.open) dialog.showModal();
}

function route() {
  const [, kind, index, column, which] = /^#(cell|row)-(\d+)(?:-(\d+))?(?:-(\d+))?$/.exec(location.hash) ?? [];
  const row = data.rows[index];
  if (!row) return dialog.open && dialog.close();
  const source = row.source && `Published: ${row.source}`;
  if (kind === "row") {
    const about = data.fields.map((name, at) => `${name} ${row.fields[at]}`).join(" · ");
    const none = row.runs.length || row.kind ? "" : "No record of the pre-training itself is here.";
    return show(row.label, [about, source, none], row.runs.map((run) => runOf(run)),
      make("p", {}, "Copy the row as ", copiers(row)));
  }
  const cell = row.cells[column];
  if (!cell) return undefined;
  const one = row.repeats[which], shown = one ? one.cells[column] : cell;
  if (!shown) return undefined;
  const title = `${groupOf(Number(column)).heading} ${data.columns[column].name}: ${shown.text} ${shown.spread}`;
  const belongs = (run) => !one || one.seeds.every((seed, at) => seed === null || seed === data.runs[run].seeds[at]);
  const runs = cell.runs.flatMap((run, at) => (belongs(run) ? [runOf(run, cell.numbers[at])] : []));
  return show(title, one ? [`${row.label} · ${one.label}`] : [row.label, cell.planned, cell.against, source], runs);
}

dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
addEventListener("hashchange", route);
route();
