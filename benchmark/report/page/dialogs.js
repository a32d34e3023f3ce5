"use strict";
// The dialog with the provenance of numbers and the reasons of verdicts. All texts are set as text, never as HTML.
const panel = document.getElementById("panel");
const readable = value =>
  Array.isArray(value)
    ? value.map(readable).join(", ")
    : typeof value === "object" && value !== null
      ? Object.entries(value)
          .map(([key, inner]) => `${key} ${readable(inner)}`)
          .join(", ")
      : typeof value === "number" && !Number.isInteger(value)
        ? String(Number(value.toPrecision(6)))
        : String(value ?? "");
const listOf = pairs => {
  const list = element("dl");
  for (const [term, text] of pairs) if (text !== "") list.append(element("dt", term.replaceAll("_", " ")), element("dd", text));
  return list;
};
const tableOf = rows => {
  const table = element("table"),
    [head, body] = [table.createTHead(), table.createTBody()];
  rows.forEach((row, place) => {
    const line = (place ? body : head).insertRow();
    for (const value of row) line.append(element(place ? "td" : "th", value));
  });
  return table;
};
const showPanel = (title, parts) => {
  document.getElementById("panel-title").textContent = title;
  document.getElementById("panel-body").replaceChildren(...parts);
  panel.showModal();
};
const trialTexts = cell =>
  cell.trials.map(
    ([fold, seed, draw, epoch, score, id, place]) =>
      `fold ${fold}, seed ${seed}${draw === null ? "" : `, draw ${draw}`}, epoch ${epoch ?? "?"}, score ${readable(score) || "none"}: ${cell.folder}/${place}-${id}.json`,
  );
const cellParts = cell => {
  const { title, what, shared, trials, trials_share, folder, classes, ...own } = cell;
  const pairs = [
    ["names", what],
    ...Object.entries(own),
    ...Object.entries(shared).map(([key, place]) => [key, DATA.shared[place]]),
  ];
  const list = listOf([
    ...pairs.map(([key, value]) => [key, readable(value)]),
    ...trialTexts(cell).map(text => ["trial", text]),
    ...Object.entries(trials_share ?? {}).map(([key, value]) => [`${key} of the trials`, readable(value)]),
  ]);
  return classes ? [list, tableOf(classes)] : [list];
};
const showCells = ids => {
  const cells = ids.map(id => DATA.cells[id]);
  const parts = cells.flatMap(cell => (cells.length > 1 ? [element("h3", cell.title), ...cellParts(cell)] : cellParts(cell)));
  showPanel(cells.length > 1 ? `${cells.length} results` : cells[0].title, parts);
};
const showClaim = ({ what, ...rest }) => showPanel(what, [listOf(Object.entries(rest))]);
document.addEventListener("click", event => {
  const button = event.target.closest("[data-cells], [data-claim]");
  if (button?.dataset.cells) showCells(button.dataset.cells.split(" "));
  else if (button?.dataset.claim) showClaim(DATA.claims[button.dataset.claim]);
});
