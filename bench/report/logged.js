// What a run drew and logged: its picture of predictions over the whole window, its curves as drawings beside its command.
const viewer = document.getElementById("picture");
const WIDE = 300, HIGH = 90; // of a curve, in its own units
let logged = null;

async function curvesOf(index) {
  logged ??= JSON.parse(await inflated("logged"));
  return logged[index];
}

function pictureOf(address, name) {
  const link = make("a", { href: address, textContent: "predictions" });
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const close = make("button", { type: "button", textContent: "Close", className: "close" });
    close.addEventListener("click", () => viewer.close());
    const header = make("header", {}, make("h2", { id: "picture-title", textContent: `Predictions of ${name}` }), close);
    viewer.replaceChildren(header, make("img", { src: address, alt: "Validation images with what was predicted of them" }));
    viewer.showModal();
  });
  return link;
}

function curvesButton(index) {
  const button = make("button", { type: "button", className: "little fold", textContent: "curves" });
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", async () => {
    const article = button.closest("article"), shown = article.querySelector(".curves");
    button.setAttribute("aria-expanded", String(!shown));
    if (shown) shown.remove();
    else article.append(make("div", { className: "curves" }, ...(await curvesOf(index)).map(curveDrawn)));
  });
  return button;
}

function drawnElement(tag, attributes, ...children) {
  const element = document.createElementNS("http:" + "//www.w3.org/2000/svg", tag); // a name, and no address
  Object.entries(attributes).forEach(([name, text]) => element.setAttribute(name, text));
  element.append(...children);
  return element;
}

// One curve: its line, the largest and the smallest value at its left, the last one in words.
function curveDrawn([stage, name, steps, values]) {
  const [low, high] = [Math.min(...values), Math.max(...values)], [first, last] = [steps[0], steps.at(-1)];
  const x = (step) => ((step - first) / (last - first || 1)) * WIDE, y = (value) => HIGH - ((value - low) / (high - low || 1)) * HIGH;
  const points = steps.map((step, at) => `${x(step).toFixed(1)},${y(values[at]).toFixed(1)}`).join(" ");
  const short = (value) => (value && Math.abs(value) < 1e-3 ? value.toExponential(1) : String(+value.toPrecision(3)));
  const says = `${name} of ${stage}: ${short(values[0])} at step ${Math.round(first)}, ${short(values.at(-1))} at step ${Math.round(last)}; `
    + `${short(low)} to ${short(high)}`;
  const line = drawnElement("polyline", { points, "vector-effect": "non-scaling-stroke" });
  const drawing = drawnElement("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": says }, line);
  const ends = make("span", { className: "ends" }, make("span", { textContent: short(high) }), make("span", { textContent: short(low) }));
  const title = make("figcaption", {}, make("b", { textContent: name }), ` ${stage}, steps ${Math.round(first)} to ${Math.round(last)}; last ${short(values.at(-1))}`);
  return make("figure", {}, title, make("div", { className: "curve" }, ends, drawing));
}

viewer.addEventListener("click", (event) => { if (event.target === viewer || event.target.tagName === "IMG") viewer.close(); });
