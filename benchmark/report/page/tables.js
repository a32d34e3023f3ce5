"use strict";
// Sorting and filtering of tables. Heads become buttons here: without scripts, a table is a table.
const numberIn = text => {
  const match = /-?\d+(\.\d+)?/.exec(text);
  return match ? parseFloat(match[0]) : NaN;
};
for (const table of document.querySelectorAll("[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(other => other.setAttribute("aria-sort", other === head ? (up ? "ascending" : "descending") : "none"));
      const body = table.tBodies[0],
        text = row => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      const last = [...body.rows].filter(row => "last" in row.dataset); // what is not ranked
      const rows = [...body.rows].filter(row => !("last" in row.dataset));
      const numeric = rows.some(row => text(row)) && rows.every(row => !text(row) || /^[-+]?\d/.test(text(row)));
      const compare = (a, b) => {
        if (!numeric) return text(a).localeCompare(text(b));
        const x = numberIn(text(a)),
          y = numberIn(text(b));
        return Number.isNaN(x) ? 1 : Number.isNaN(y) ? -1 : x - y;
      };
      rows.sort((a, b) => (up ? compare(a, b) : compare(b, a)));
      for (const row of [...rows, ...last]) body.append(row);
    });
  });
}
for (const input of document.querySelectorAll("[data-filter]")) {
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.getElementById(input.dataset.filter).querySelectorAll("tbody tr"))
      row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
  });
}
// reasons why the numbers are not comparable are never left out of a print
addEventListener("beforeprint", () => {
  for (const banner of document.querySelectorAll(".banner")) banner.open = true;
});
