// A row as text for a paper or a page: Markdown with its head, or a line of LaTeX below a comment that names its columns.
function latex(text) {
  return [...text].map((letter) => data.copying.latex[letter] ?? letter).join("");
}

function markdown(text) {
  return text.replace(new RegExp(data.copying.markdown, "g"), "\\$1");
}

// The columns of numbers that are shown, each with its name and the row's cell.
function shownOf(row) {
  return visible().filter((column) => column < COLUMNS).map((column) => {
    const group = groupOf(column), { name } = data.columns[column], cell = row.cells[column];
    const text = cell ? [cell.text, cell.spread, cell.missing].filter(Boolean).join(" ") : data.absent;
    return { title: group.heading === name ? name : `${group.heading} ${name}`, text, best: cell?.best, mark: cell?.mark ?? "" };
  });
}

const FORMS = {
  LaTeX: (row, shown) => {
    const cells = shown.map(({ text, best, mark }) => (best ? `\\textbf{${latex(text)}}` : latex(text)) + data.copying.marks[mark]);
    const names = ["pre-training", ...shown.map(({ title }) => title)].map(latex);
    return `% ${names.join(" & ")} \\\\\n${[latex(row.label), ...cells].join(" & ")} \\\\\n`;
  },
  Markdown: (row, shown) => {
    const cells = shown.map(({ text, best, mark }) => [best ? `**${text}**` : text, mark].filter(Boolean).join(" "));
    const lines = [["pre-training", ...shown.map(({ title }) => markdown(title))], [":--", ...shown.map(() => "--:")],
      [markdown(row.label), ...cells]];
    return lines.map((line) => `| ${line.join(" | ")} |\n`).join("");
  },
};

// Puts text on the clipboard. Where the browser gives a page from a file none, the old command does it from a text field.
async function copied(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make("textarea", { value: text, className: "unseen" });
    place.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

// A button for each form; where nothing can be copied the text is shown, selected, to be copied by hand.
function copiers(row) {
  const said = make("span", { className: "small inline" });
  said.setAttribute("role", "status");
  const place = make("span", { className: "copiers" });
  const button = ([form, write]) => {
    const made = make("button", { type: "button", className: "little", textContent: form, title: `Copy this row as ${form}` });
    made.addEventListener("click", async () => {
      const text = write(row, shownOf(row));
      place.querySelector("textarea")?.remove();
      const done = await copied(text, place);
      said.textContent = done ? `copied as ${form}` : "press Ctrl+C";
      if (done) return made.focus();
      const field = make("textarea", { value: text, readOnly: true, ariaLabel: `This row as ${form}` });
      place.append(field);
      return field.select();
    });
    return made;
  };
  place.append(...Object.entries(FORMS).map(button), said);
  return place;
}
