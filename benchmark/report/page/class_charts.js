"use strict";
// Results by class: a bar per class and method, and a confusion matrix.
const MOST_CLASSES = 40; // bars; more are not readable
const NUMBERED_CLASSES = 12; // up to this number, the entries of a matrix are written out
const cut = (name, length = 22) => (name.length > length ? `${name.slice(0, length - 1)}…` : name);
if (CHARTS.classes.length) {
  const bars = newChart("classes"),
    matrix = newChart("matrix"),
    note = document.getElementById("classes-note");
  const order = choice("classes-order"),
    method = choice("matrix-method");
  fill(order, [
    ["low", "lowest first"],
    ["gap", "largest difference first"],
    ["name", "name"],
  ]);
  const chosen = pairOfSelects("classes", CHARTS.classes, () => drawClasses());
  const nameOf = row => CHARTS.methods[row.method].name;
  const sorted = rows => {
    const names = [...new Set(rows.flatMap(row => row.names))];
    const values = new Map(names.map(name => [name, rows.map(row => row.values[row.names.indexOf(name)] ?? null)]));
    const known = name => values.get(name).filter(value => value !== null);
    const rank = {
      low: name => Math.min(...known(name), 101),
      gap: name => Math.min(...known(name), 101) - Math.max(...known(name), -1),
      name: () => 0,
    }[order.value];
    names.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
    return { shown: names.slice(0, MOST_CLASSES), more: names.length - MOST_CLASSES, values };
  };
  const drawBars = rows => {
    const { shown, more, values } = sorted(rows),
      of = rows[0];
    bars.place.style.height = `${Math.max(22, 4.5 + shown.length * (0.55 + 0.5 * rows.length))}rem`;
    bars.resize();
    bars.draw({
      grid: { left: 150, right: 24, top: 34, bottom: 46 },
      legend: { top: 0, textStyle: { color: colour("ink") }, selectedMode: false },
      tooltip: {
        ...TOOLTIP(),
        trigger: "axis",
        axisPointer: { type: "shadow" },
        formatter: items => {
          const name = shown[items[0].dataIndex];
          return hover([
            name,
            ...rows.map(row => `${nameOf(row)}: ${values.get(name)[rows.indexOf(row)] ?? "none"} %`),
            `${of.support[of.names.indexOf(name)] ?? "?"} test clips`,
          ]);
        },
      },
      xAxis: axis(`${of.number} (%)`, { type: "value", min: 0, max: 100, nameGap: 28 }),
      yAxis: axis("", {
        type: "category",
        inverse: true,
        data: shown.map(name => cut(name)),
        axisLabel: { color: colour("ink"), interval: 0 },
      }),
      series: rows.map((row, place) => ({
        type: "bar",
        id: row.cell,
        name: nameOf(row),
        cursor: "pointer",
        data: shown.map(name => values.get(name)[place]),
        itemStyle: { color: CHARTS.methods[row.method].colour },
      })),
    });
    return more > 0 ? `${more} more classes are not drawn; click a bar for the table of all.` : "";
  };
  const drawMatrix = row => {
    const { names, support, entries, omitted } = row.matrix,
      numbered = names.length <= NUMBERED_CLASSES;
    const share = ([which, , clips]) => (support[which] ? (100 * clips) / support[which] : 0);
    const labels = {
      type: "category",
      data: names.map(name => cut(name, 18)),
      splitArea: { show: false },
      splitLine: { show: false },
    };
    matrix.place.style.height = `${Math.min(46, Math.max(26, 13 + names.length * 0.8))}rem`;
    matrix.resize();
    matrix.draw({
      grid: { left: 150, right: 16, top: 12, bottom: 150 },
      tooltip: {
        ...TOOLTIP(),
        formatter: ({ data: { entry } }) =>
          hover([
            `${names[entry[0]]} → ${names[entry[1]]}`,
            `${share(entry).toFixed(1)} % of the class`,
            `${figure(entry[2])} of ${support[entry[0]]} clips`,
          ]),
      },
      xAxis: axis("", {
        ...labels,
        axisLabel: { color: colour("ink"), rotate: 90, interval: names.length > 40 ? "auto" : 0, fontSize: 11 },
      }),
      yAxis: axis("", {
        ...labels,
        inverse: true,
        axisLabel: { color: colour("ink"), interval: names.length > 40 ? "auto" : 0, fontSize: 11 },
      }),
      visualMap: {
        min: 0,
        max: 100,
        dimension: 2,
        orient: "horizontal",
        left: "center",
        bottom: 0,
        itemHeight: 110,
        text: ["100 %", "0 %"],
        textStyle: { color: colour("ink") },
        inRange: { color: [colour("soft"), colour("heat")] },
      },
      series: [
        {
          type: "heatmap",
          id: row.cell,
          cursor: "pointer",
          data: entries.map(entry => ({ value: [entry[1], entry[0], share(entry)], entry })),
          label: { show: numbered, formatter: ({ data: { entry } }) => share(entry).toFixed(0), fontSize: 10 },
          itemStyle: { borderColor: colour("page"), borderWidth: 1 },
        },
      ],
    });
    return omitted ? `The matrix has the classes of the most confused pairs; ${omitted} others are left out.` : "";
  };
  for (const chart of [bars, matrix]) chart.onClick(event => onCells(event.seriesId ? [event.seriesId] : []));
  const drawClasses = () => {
    const rows = chosen(),
      withMatrix = rows.filter(row => row.matrix);
    fill(
      method,
      withMatrix.map(row => [row.cell, nameOf(row)]),
    );
    const hasMatrix = withMatrix.length > 0;
    matrix.place.closest("figure").hidden = method.closest("label").hidden = !hasMatrix;
    const notes = [
      drawBars(rows),
      hasMatrix
        ? drawMatrix(withMatrix.find(row => row.cell === method.value))
        : "Clips of this dataset have several labels: there is no confusion matrix.",
    ];
    note.textContent = [
      "Full fine-tuning and the best other method, over the test clips of all folds, mean over seeds.",
      ...notes,
    ]
      .filter(Boolean)
      .join(" ");
  };
  order.addEventListener("change", drawClasses);
  method.addEventListener("change", drawClasses);
  drawers.push(drawClasses);
}
