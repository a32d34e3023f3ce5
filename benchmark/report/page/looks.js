"use strict";
// What the charts share: colours of the theme, hover texts, selects, and the legend that filters methods in all of them.
const CHARTS = DATA.charts;
const probe = document.body.appendChild(element("span", "", { hidden: true }));
const colour = name => {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
};
const hidden = new Set(); // numbers of methods that the legend switched off
const drawers = []; // functions that draw the charts again
const drawAll = () => {
  for (const draw of drawers) draw();
};
const figure = value => Number(value.toPrecision(4)).toString();
// the formatter returns an element: as HTML text, names would need escaping, and the policy forbids its styles
const hover = lines => {
  const box = element("div", "", { className: "hover" });
  lines.filter(Boolean).forEach((line, place) => box.append(element(place ? "div" : "strong", line)));
  return box;
};
const TOOLTIP = () => ({
  confine: true,
  backgroundColor: colour("page"),
  borderColor: colour("line"),
  textStyle: { color: colour("ink") },
  transitionDuration: 0,
});
const axis = (name, more) => ({
  name,
  nameLocation: "middle",
  nameTextStyle: { color: colour("ink") },
  axisLabel: { color: colour("ink"), hideOverlap: true },
  axisLine: { lineStyle: { color: colour("quiet") } },
  splitLine: { lineStyle: { color: colour("line"), opacity: 0.5 } },
  ...more,
});
const onCells = ids => {
  if (ids?.length) showCells(ids);
};
const newChart = name => {
  const place = document.querySelector(`[data-chart=${name}]`);
  const chart = echarts.init(place, null, { renderer: "svg" });
  new ResizeObserver(() => chart.resize()).observe(place);
  addEventListener("beforeprint", () => chart.resize({ width: 640 }));
  addEventListener("afterprint", () => chart.resize({ width: "auto" }));
  return {
    place,
    draw: option => chart.setOption({ animation: false, aria: { enabled: true }, ...option }, { notMerge: true }),
    onClick: action => chart.on("click", action),
    resize: () => chart.resize(),
  };
};
// A select with these entries ([value, label]); it keeps its value where it can.
const fill = (select, entries) => {
  const before = select.value;
  select.replaceChildren(...entries.map(([value, label]) => element("option", label, { value })));
  if (entries.some(([value]) => String(value) === before)) select.value = before;
};
const choice = name => document.querySelector(`[data-choice=${name}]`);
const numbered = (labels, rows, key) =>
  labels.map((label, number) => [number, label]).filter(([number]) => rows.some(row => row[key] === number));
// Fill the selects of backbone and dataset from what rows hold, and draw at each choice. `first` are datasets before the real ones.
const pairOfSelects = (name, rows, draw, first = () => []) => {
  const [group, dataset] = [choice(`${name}-group`), choice(`${name}-dataset`)];
  fill(group, numbered(CHARTS.groups, rows, "group"));
  const refill = () => {
    const of = rows.filter(row => row.group === Number(group.value)),
      entries = numbered(CHARTS.datasets, of, "dataset");
    fill(dataset, [...first(entries), ...entries]);
  };
  group.addEventListener("change", () => {
    refill();
    draw();
  });
  dataset.addEventListener("change", draw);
  refill();
  return () =>
    rows.filter(row => row.group === Number(group.value) && (dataset.value === "all" || row.dataset === Number(dataset.value)));
};
const SVG = "http://www.w3.org/2000/svg";
const sign = method => {
  const svg = document.createElementNS(SVG, "svg"),
    path = document.createElementNS(SVG, "path");
  for (const [key, value] of Object.entries({ viewBox: "-1 -1 12 12", width: 14, height: 14, "aria-hidden": true }))
    svg.setAttribute(key, value);
  path.setAttribute("d", method.shape);
  path.setAttribute("fill", method.colour);
  svg.append(path);
  return svg;
};
const legends = [...document.querySelectorAll(".legend")];
const press = number => {
  hidden.has(number) ? hidden.delete(number) : hidden.add(number);
  for (const legend of legends)
    for (const button of legend.children) button.setAttribute("aria-pressed", String(!hidden.has(Number(button.dataset.method))));
  drawAll();
};
for (const legend of legends)
  CHARTS.methods.forEach((method, number) => {
    const button = element("button", method.name, { type: "button" });
    button.dataset.method = number;
    button.setAttribute("aria-pressed", "true");
    button.prepend(sign(method));
    button.addEventListener("click", () => press(number));
    legend.append(button);
  });
document.addEventListener("colours", drawAll);
addEventListener("beforeprint", drawAll);
addEventListener("afterprint", drawAll);
