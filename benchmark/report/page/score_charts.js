"use strict";
// Score against parameters, memory and time, and score by epoch.
const SMALLEST_SPAN = 5; // per cent: a smaller range of scores would make small differences look large
const scoreAxis = (label, scores) => {
  const low = Math.min(...scores),
    high = Math.max(...scores),
    missing = Math.max(0, SMALLEST_SPAN - (high - low)) / 2;
  const pad = Math.max((high - low) * 0.06, 0.2) + missing,
    step = [1, 2, 5, 10, 20].find(size => (high - low + 2 * pad) / size <= 7) ?? 20;
  const [min, max] = [Math.max(0, Math.floor((low - pad) / step) * step), Math.min(100, Math.ceil((high + pad) / step) * step)];
  return axis(label, { min, max, interval: step, nameGap: 34, type: "value" });
};
const GRID = { left: 52, right: 16, top: 16, bottom: 46 };

if (CHARTS.points.length) {
  const log = document.getElementById("log"),
    note = document.getElementById("costs-note");
  const mean = values =>
    values.every(value => value !== null) ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
  // One point per method: over all datasets, those of the methods that are complete on each of them.
  const merged = rows => {
    const datasets = new Set(rows.map(row => row.dataset));
    const byMethod = rows.reduce((map, row) => map.set(row.method, [...(map.get(row.method) ?? []), row]), new Map());
    return [...byMethod]
      .filter(([, of]) => of.length === datasets.size)
      .map(([method, of]) => ({
        method,
        cells: of.map(row => row.cell),
        score: mean(of.map(row => row.score)),
        interval: null,
        floor: mean(of.map(row => row.floor)),
        trials: of.reduce((sum, row) => sum + row.trials, 0),
        shared: of.some(row => row.shared),
        costs: CHARTS.costs.map((_, place) => mean(of.map(row => row.costs[place]))),
      }));
  };
  const single = row => ({ ...row, cells: [row.cell] });
  const scoreCharts = [...document.querySelectorAll("[data-cost]")].map(select => {
    const kind = select.dataset.cost,
      offered = CHARTS.costs.map((cost, place) => [place, cost.label]).filter(([place]) => CHARTS.costs[place].chart === kind);
    fill(select, offered);
    select.addEventListener("change", () => drawCosts());
    const chart = newChart(kind);
    chart.onClick(event => onCells(event.data?.cells));
    return { select, chart, figure: select.closest("figure"), offered };
  });
  const front = points => {
    let best = -Infinity;
    const sorted = [...points].sort((a, b) => a.x - b.x || b.score - a.score),
      found = sorted.filter(({ score }) => score > best && ((best = score), true));
    return found.map(({ x, score }) => [x, score]);
  };
  const ofCost = (chart, points, place, isMean) => {
    const known = points.filter(point => point.costs[place] !== null).map(point => ({ ...point, x: point.costs[place] }));
    const shown = known.filter(point => !hidden.has(point.method)),
      isLog = log.checked && shown.every(point => point.x > 0);
    const scores = shown.flatMap(point => point.interval ?? [point.score]),
      floor = shown[0]?.floor;
    const hasFloor = scores.length && floor !== null && floor > Math.min(...scores) - 10 && floor < Math.max(...scores) + 10;
    const label = isMean ? "mean score (%)" : CHARTS.measures[points[0]?.dataset ?? 0];
    const text = ({ data }) =>
      data.point &&
      hover([
        CHARTS.methods[data.point.method].name,
        `${label.replace(" (%)", "")} ${figure(data.point.score)} %${data.point.interval ? ` [${data.point.interval.map(figure).join(", ")}]` : ""}`,
        `${CHARTS.costs[place].label}: ${figure(data.point.x)}`,
        `${data.point.trials} trials`,
        data.point.shared && CHARTS.costs[place].label.startsWith("time") && "measured while other trials used the machine",
      ]);
    const series = shown.map(point => {
      const method = CHARTS.methods[point.method],
        data = { value: [point.x, point.score], cells: point.cells, point };
      return {
        type: "scatter",
        symbol: `path://${method.shape}`,
        symbolSize: 14,
        itemStyle: { color: method.colour, borderColor: colour("page"), borderWidth: 1 },
        cursor: "pointer",
        data: [data],
        z: 3,
      };
    });
    const bar = point => ({
      type: "custom",
      silent: true,
      z: 2,
      data: [[point.x, point.score, ...point.interval]],
      encode: { x: 0, y: [1, 2, 3] },
      renderItem: (_, api) => {
        const [low, high] = [2, 3].map(place => api.coord([api.value(0), api.value(place)])),
          style = { stroke: CHARTS.methods[point.method].colour, lineWidth: 1.5 };
        const line = (y, half) => ({ type: "line", shape: { x1: low[0] - half, x2: low[0] + half, y1: y, y2: y }, style });
        return {
          type: "group",
          children: [
            { type: "line", shape: { x1: low[0], x2: low[0], y1: low[1], y2: high[1] }, style },
            line(low[1], 4),
            line(high[1], 4),
          ],
        };
      },
    });
    const steps = {
      type: "line",
      step: "end",
      symbol: "none",
      silent: true,
      lineStyle: { color: colour("quiet"), width: 1 },
      data: front(shown),
      z: 1,
    };
    if (hasFloor)
      steps.markLine = {
        silent: true,
        symbol: "none",
        lineStyle: { color: colour("quiet"), type: "dotted" },
        label: { formatter: "log-mel regression", position: "insideEndTop", color: colour("quiet"), fontSize: 10 },
        data: [{ yAxis: floor }],
      };
    chart.draw({
      grid: GRID,
      tooltip: { ...TOOLTIP(), trigger: "item", formatter: text },
      xAxis: axis(CHARTS.costs[place].label, {
        type: isLog ? "log" : "value",
        nameGap: 28,
        scale: true,
        ...(isLog ? span(shown) : {}),
      }),
      yAxis: scoreAxis(label, hasFloor ? [...scores, floor] : scores.length ? scores : [0, 100]),
      series: [steps, ...shown.filter(point => point.interval).map(bar), ...series],
    });
  };
  // Limits of a logarithmic axis with room at both ends.
  const span = points => {
    const values = points.map(point => point.x),
      [low, high] = [Math.min(...values), Math.max(...values)],
      room = Math.max(1.15, (high / low) ** 0.06);
    return { min: Number((low / room).toPrecision(2)), max: Number((high * room).toPrecision(2)) };
  };
  const chosen = pairOfSelects(
    "costs",
    CHARTS.points,
    () => drawCosts(),
    entries => (entries.length > 1 ? [["all", "mean over datasets"]] : []),
  );
  const drawCosts = () => {
    const rows = chosen(),
      isMean = choice("costs-dataset").value === "all",
      points = isMean ? merged(rows) : rows.map(single);
    for (const { select, chart, figure: place, offered } of scoreCharts) {
      const usable = offered.filter(([cost]) => points.some(point => point.costs[cost] !== null));
      place.hidden = !usable.length;
      if (!usable.length) continue;
      if (!usable.some(([cost]) => String(cost) === select.value)) [[select.value]] = usable;
      chart.resize();
      ofCost(chart, points, Number(select.value), isMean);
    }
    const missing = new Set(rows.map(row => row.method)).size - new Set(points.map(point => point.method)).size;
    note.textContent =
      `${isMean ? `Mean over ${new Set(rows.map(row => row.dataset)).size} datasets; accuracy and mean average precision are averaged as they are.` : "Bars: 95 % intervals."}` +
      `${missing ? ` ${missing} methods are left out: they are not complete on every dataset.` : ""} The line is the Pareto front of the methods shown. Counted costs do not depend on the machine.`;
  };
  log.addEventListener("change", drawCosts);
  drawers.push(drawCosts);
}

if (CHARTS.curves.length) {
  const chart = newChart("curves");
  const ids = new Map(CHARTS.curves.map(curve => [curve.cell, [curve.cell]]));
  chart.onClick(event => onCells(ids.get(event.seriesId)));
  const chosen = pairOfSelects("curves", CHARTS.curves, () => drawCurves());
  const drawCurves = () => {
    const shown = chosen().filter(curve => !hidden.has(curve.method));
    const scores = shown.flatMap(curve => curve.points.map(([, score]) => score)),
      names = shown.map(curve => CHARTS.methods[curve.method].name);
    const text = of =>
      hover([
        `epoch ${of[0].data[0]}`,
        ...[...of]
          .sort((a, b) => b.data[1] - a.data[1])
          .map(point => `${point.data[1].toFixed(1)} % ${names[point.seriesIndex]}`),
      ]);
    chart.draw({
      grid: GRID,
      tooltip: { ...TOOLTIP(), trigger: "axis", formatter: text },
      xAxis: axis("epoch", { type: "value", minInterval: 1, nameGap: 28, min: "dataMin", max: "dataMax" }),
      yAxis: scoreAxis(CHARTS.measures[shown[0]?.dataset ?? 0], scores.length ? scores : [0, 100]),
      series: shown.map(curve => {
        const { colour: drawn, shape, dash } = CHARTS.methods[curve.method],
          every = Math.ceil(curve.points.length / 12);
        return {
          type: "line",
          id: curve.cell,
          triggerLineEvent: true,
          cursor: "pointer",
          data: curve.points,
          symbol: `path://${shape}`,
          symbolSize: (_, { dataIndex }) => (dataIndex % every ? 0 : 9),
          showAllSymbol: true,
          itemStyle: { color: drawn },
          lineStyle: { color: drawn, type: dash, width: 1.6 },
        };
      }),
    });
  };
  drawers.push(drawCurves);
}
