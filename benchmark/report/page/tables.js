"use strict";
// Sorting and filtering of tables, and the mark of the current section in the contents.
const numberIn = text => {
  const match = /-?\d+(\.\d+)?/.exec(text);
  return match ? parseFloat(match[0]) : NaN;
};
for (const table of document.querySelectorAll("[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) =>
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(other => other.setAttribute("aria-sort", other === head ? (up ? "ascending" : "descending") : "none"));
      const body = table.tBodies[0],
        text = row => row.cells[column].textContent.trim();
      const floors = [...body.rows].filter(row => row.classList.contains("floor"));
      const rows = [...body.rows].filter(row => !row.classList.contains("floor"));
      const numeric = rows.some(row => text(row)) && rows.every(row => !text(row) || /^[-+]?\d/.test(text(row)));
      const compare = (a, b) => {
        if (!numeric) return text(a).localeCompare(text(b));
        const x = numberIn(text(a)),
          y = numberIn(text(b));
        return Number.isNaN(x) ? 1 : Number.isNaN(y) ? -1 : x - y;
      };
      rows.sort((a, b) => (up ? compare(a, b) : compare(b, a)));
      for (const row of [...rows, ...floors]) body.append(row);
    }),
  );
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
const links = new Map([...document.querySelectorAll(".contents a")].map(link => [link.hash.slice(1), link]));
const inView = new Set();
const contents = document.querySelector(".contents");
const watcher = new IntersectionObserver(
  entries => {
    for (const entry of entries) entry.isIntersecting ? inView.add(entry.target.id) : inView.delete(entry.target.id);
    const current = [...links.keys()].find(id => inView.has(id));
    if (current) contents.scrollLeft = links.get(current).offsetLeft - contents.clientWidth / 3;
    for (const [id, link] of links)
      id === current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  },
  { rootMargin: "-60px 0px -60% 0px" },
);
for (const id of links.keys()) watcher.observe(document.getElementById(id));
