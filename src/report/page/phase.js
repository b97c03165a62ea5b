// Figure (b): a number of the networks over the plane of two keys, with the edge of chaos and contours of depth scale.

// Keys whose values can span an axis.
const planeKeys = () => run.varying.filter((k) => run.keys[k].values.length > 1);
// The pair that spans a plane best: with a value somewhere, filled at least by half, the scales of weights and biases first, then the number of
// cells; numbers go across, and more values go across.
function defaultPlane() {
  const keys = planeKeys();
  const worth = (x, y) => {
    const across = run.keys[x].values.length,
      up = run.keys[y].values.length,
      filled = new Uint8Array(across * up);
    let shows = false;
    run.configurations.forEach(({ values }, c) => {
      if (values[x] === null || values[y] === null) return;
      filled[values[y] * across + values[x]] = 1;
      shows ||= CHOICES.plane.some(({ column }) => metricOf(c, column).median !== null);
    });
    const cells = filled.reduce((n, f) => n + f, 0);
    return [
      shows,
      2 * cells >= across * up,
      keyName(x) === "sigma_w" && keyName(y) === "sigma_b",
      cells,
      Boolean(run.keys[x].numbers),
      across,
    ].map(Number);
  };
  const pairs = keys.flatMap((x) => keys.filter((y) => y !== x).map((y) => ({ pair: [x, y], worth: worth(x, y) })));
  return pairs.reduce((best, next) => (better(next.worth, best.worth) ? next : best)).pair;
}

// Places of a key's values on an axis: the numbers themselves where they are evenly spaced, else one after the other.
function scaleOf(k, values) {
  const numbers = values.map((v) => numberOf(k, v));
  const steps = numbers.slice(1).map((x, i) => x - numbers[i]);
  const even =
    numbers.length > 2 && numbers.every((x) => x !== null) && steps.every((s) => Math.abs(s / steps[0] - 1) < 0.01);
  const place = even ? numbers : values.map((_, i) => i);
  const half = even ? steps[0] / 2 : 0.5;
  // Between the values of a key: where a line of theory passes.
  const between = (x) => {
    if (even) return x >= numbers[0] - steps[0] / 2 && x <= numbers.at(-1) + steps[0] / 2 ? x : null;
    for (let i = 1; i < numbers.length; i++) {
      if (numbers[i] !== null && x >= numbers[i - 1] && x <= numbers[i])
        return i - 1 + (x - numbers[i - 1]) / (numbers[i] - numbers[i - 1]);
    }
    return null;
  };
  const ticks = even ? {} : placedTicks(k, values);
  return { place, half, between, ticks };
}

// Ticks at the values of a key that stand one after the other: all of words, of numbers as many as can be read.
function placedTicks(k, values) {
  const every = run.keys[k].numbers ? Math.ceil(values.length / 24) : 1;
  const some = values.map((_, i) => i).filter((i) => i % every === 0);
  return { zeroline: false, tickmode: "array", tickvals: some, ticktext: some.map((i) => plain(shortOf(k, values[i]))) };
}

const phaseFigure = {
  id: "phase",
  title: "Phase diagram over two keys",

  draw(card, colors) {
    const keys = planeKeys();
    if (keys.length < 2) return { message: "Not drawn: it takes two keys that vary." };
    const options = card.options;
    if (options.x === undefined) [options.x, options.y] = defaultPlane();
    const metrics = CHOICES.plane.filter(({ column }) =>
      run.configurations.some((_, c) => metricOf(c, column).median !== null),
    );
    options.metric = metrics.some(({ column }) => column === options.metric) ? options.metric : metrics[0]?.column;
    options.contours ??= "measured";
    const free = [options.x, options.y];
    // One configuration a cell, and one kind of network: lines and contours mean nothing across kinds.
    const kinds = run.varying.filter(
      (k) => ["activation", "norm", "residual"].includes(keyName(k)) && !free.includes(k) && !card.wishes.has(k),
    );
    const single = (rest) =>
      new Set(rest.map((c) => `${valueOf(c, options.x)} ${valueOf(c, options.y)}`)).size === rest.length &&
      kinds.every((k) => valuesAmong(rest, k).length < 2);
    const pool = card.pool.filter((c) => valueOf(c, options.x) !== NONE && valueOf(c, options.y) !== NONE);
    const { shown, held } = slice(pool, free, card.wishes, single, hasMedian(options.metric));
    const grid = planeGrid(shown, options);
    const possible = contourKinds(grid, options);
    const controls = [
      // Choosing the other axis' key swaps the two.
      choice("x", "across", keyOptions(keys), options.x, (k) => {
        if (k === options.y) options.y = options.x;
        options.x = k;
        card.change();
      }),
      choice("y", "up", keyOptions(keys), options.y, (k) => {
        if (k === options.x) options.x = options.y;
        options.y = k;
        card.change();
      }),
      choice(
        "metric",
        "colour",
        metrics.map(({ column, name }) => [column, name]),
        options.metric,
        (m) => {
          options.metric = m;
          card.change();
        },
      ),
      ...(possible.length
        ? [
            choice(
              "contours",
              "contours of depth scale",
              [
                ...possible.map((kind) => [kind, kind === "predicted" ? "predicted ξ" : kind]),
                ["none", "none"],
              ],
              possible.includes(options.contours) ? options.contours : "none",
              (v) => {
                options.contours = v;
                card.change();
              },
            ),
          ]
        : []),
      ...holders(card, pool, free, { shown, held }, false),
    ];
    if (!shown.length) return { message: "No configuration passes the filters.", controls };
    if (!options.metric)
      return { message: "Not drawn: no network here has a number to show, because every gradient is exactly zero." };
    const { name: metricText, scale: kind } = metrics.find(({ column }) => column === options.metric);
    const scale = metricScale(shown, options, kind);
    if (scale.offersLinear)
      controls.push(
        tick("linear", "linear", scale.linear, (on) => {
          options.linear = on;
          card.change();
        }),
      );
    const z = grid.cells.map((row) =>
      row.map((c) => (c === null ? null : scale.place(metricOf(c, options.metric).median))),
    );
    const known = z.flat().filter((x) => x !== null);
    const traces = [
      {
        type: "heatmap",
        x: grid.x.place,
        y: grid.y.place,
        z,
        hoverinfo: "text",
        text: grid.cells.map((row) => row.map((c) => (c === null ? "" : cellText(c, metricText, options.metric)))),
        ...scale.colors(known, colors),
        colorbar: {
          title: { text: scale.linear ? metricText.replace("log₁₀ ", "") : metricText, side: "right" },
          thickness: 16,
          outlinewidth: 0,
          exponentformat: "power",
          ...scale.ticks(known),
        },
      },
    ];
    const deadCells = [],
      emptyCells = [];
    grid.cells.forEach((row, j) =>
      row.forEach((c, i) => {
        const cell = { x: grid.x.place[i], y: grid.y.place[j], text: c !== null };
        if (c !== null && deadOf(c)) deadCells.push(cell);
        if (z[j][i] === null) emptyCells.push(cell);
      }),
    );
    if (emptyCells.length) traces.push(hatchTrace(emptyCells, grid, colors));
    // Cells without a value tell of theirs as well: the charting library passes over gaps.
    if (emptyCells.some((cell) => cell.text)) traces.push(toldTrace(grid, z, (c) => cellText(c, metricText, options.metric)));
    const contours = contourTraces(grid, options, colors),
      edge = edgeTraces(grid, shown, options, colors);
    const lines = [...contours, ...edge];
    traces.push(...lines.flatMap((line) => [haloOf(line, colors), line]));
    if (deadCells.length) {
      const crosses = (size, line, more) => ({
        type: "scatter",
        mode: "markers",
        x: deadCells.map((d) => d.x),
        y: deadCells.map((d) => d.y),
        hoverinfo: "skip",
        marker: { symbol: "x-thin", size, line },
        ...more,
      });
      traces.push(
        crosses(9, { width: 4.5, color: colors.paper }, { showlegend: false }),
        crosses(7, { width: 1.5, color: colors.text }, { name: "has dead networks" }),
      );
    }
    const layout = {
      ...baseLayout(colors),
      xaxis: axis(colors, plain(keyName(options.x)), { ...grid.x.ticks, ...cellAxis(grid.x) }),
      yaxis: axis(colors, plain(keyName(options.y)), { ...grid.y.ticks, ...cellAxis(grid.y) }),
      legend: legendAbove,
      annotations: levelTags(grid, contours, edge, colors),
    };
    return {
      traces,
      layout,
      controls,
      summary: phaseSummary(shown, held, options, metricText, deadCells.length, emptyCells.length),
      table: () => ({
        header: [...keyHeader(), "networks", `${options.metric}_median`, "p10", "p90", "dead", "chi_1", "xi_grad"],
        rows: shown.map((c) => {
          const m = metricOf(c, options.metric);
          return [
            ...keyCells(c),
            run.configurations[c].networks,
            m.median,
            m.low,
            m.high,
            deadOf(c),
            predictionOf(c, "chi_1"),
            predictionOf(c, "xi_grad"),
          ];
        }),
      }),
    };
  },
};

// How colours show a metric: lengths by their logarithm and logarithms as they are, or either on a linear scale, which has
// no place for what exceeds float64.
function metricScale(shown, options, kind) {
  const logarithm = options.metric.startsWith("log10_");
  const fits = () => shown.every((c) => (metricOf(c, options.metric).median ?? 0) < 308);
  const offersLinear = kind === "log" || (logarithm && fits());
  const linear = offersLinear && Boolean(options.linear);
  const [diverging, lengths] = [kind === "diverging" && !linear, kind === "log" && !linear];
  const place = (x) => {
    if (x === null) return null;
    if (lengths) return x > 0 ? Math.log10(x) : null;
    return linear && logarithm ? 10 ** x : x;
  };
  const colors = (values, theme) => {
    if (!diverging) return { colorscale: sequentialScale(theme.dark) };
    const most = values.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-9);
    return { colorscale: divergingScale(theme), zmin: -most, zmax: most };
  };
  const ticks = (values) => {
    if (!lengths || !values.length) return {};
    const some = logTicks(Math.min(...values), Math.max(...values));
    return { tickvals: some.map(Math.log10), ticktext: some.map(String) };
  };
  return { offersLinear, linear, place, colors, ticks };
}

// 1, 2 and 5 times powers of ten between two powers of ten; powers alone where they are many.
function logTicks(low, high) {
  const ticks = [];
  for (let p = Math.floor(low); p <= high; p++)
    for (const f of high - low > 2.5 ? [1] : [1, 2, 5]) {
      const number = Number(`${f}e${p}`);
      if (Math.log10(number) >= low && Math.log10(number) <= high) ticks.push(number);
    }
  return ticks.length ? ticks : [low, high].map((p) => Number((10 ** p).toPrecision(3)));
}

// An axis that ends where the cells do.
const cellAxis = ({ place, half }) => ({
  showgrid: false,
  zeroline: false,
  range: [place[0] - half, place.at(-1) + half],
});

// Cells without a value, hatched, as no colour of a map is: nothing could be read as a number.
function hatchTrace(cells, grid, colors) {
  const [dx, dy] = [grid.x.half, grid.y.half];
  return {
    type: "scatter",
    mode: "lines",
    name: "no value",
    x: cells.flatMap(({ x }) => [x - dx, x + dx, x + dx, x - dx, x - dx, null]),
    y: cells.flatMap(({ y }) => [y - dy, y - dy, y + dy, y + dy, y - dy, null]),
    line: { width: 0, color: colors.dim },
    fill: "toself",
    fillpattern: { shape: "/", size: 7, solidity: 0.18, fgcolor: colors.dim },
    hoverinfo: "skip",
  };
}

// Over the cells without a number, for the mouse alone.
const toldTrace = (grid, z, text) => ({
  type: "heatmap",
  x: grid.x.place,
  y: grid.y.place,
  z: z.map((row, j) => row.map((value, i) => (value === null && grid.cells[j][i] !== null ? 0 : null))),
  hoverinfo: "text",
  text: grid.cells.map((row, j) => row.map((c, i) => (c === null || z[j][i] !== null ? "" : text(c)))),
  hoverongaps: false,
  opacity: 0,
  showscale: false,
});

// The configuration of every cell of the plane; `null` where there is none.
function planeGrid(shown, options) {
  const xs = valuesAmong(shown, options.x),
    ys = valuesAmong(shown, options.y);
  const cells = ys.map(() => xs.map(() => null));
  for (const c of shown) cells[ys.indexOf(valueOf(c, options.y))][xs.indexOf(valueOf(c, options.x))] = c;
  return { cells, x: scaleOf(options.x, xs), y: scaleOf(options.y, ys) };
}

function cellText(c, metricText, name) {
  return `${metricText}: ${spreadText(metricOf(c, name))}<br>${plain(outcomesText(c))}<br>${configurationText(c)}`;
}

function phaseSummary(shown, held, options, metricText, deadCells, emptyCells) {
  const known = shown
    .map((c) => [metricOf(c, options.metric).median, c])
    .filter(([m]) => m !== null)
    .sort((a, b) => a[0] - b[0]);
  const place = (c) =>
    `${keyName(options.x)} = ${textOf(options.x, valueOf(c, options.x))}, ${keyName(options.y)} = ${textOf(options.y, valueOf(c, options.y))}`;
  const parts = [
    `Median ${metricText} of ${count(shown.length, "configuration")} over ${keyName(options.x)} and ${keyName(options.y)}${heldText(held)}.`,
  ];
  if (known.length)
    parts.push(
      `It runs from ${format(known[0][0])} (${place(known[0][1])}) to ${format(known.at(-1)[0])} (${place(known.at(-1)[1])}).`,
    );
  const lowest = shown.some((c) => metricOf(c, options.metric).zeros) ? ", and medians count them as lowest" : "";
  const crossed = `${count(deadCells, "cell")} with dead networks ${deadCells === 1 ? "is" : "are"} crossed${lowest}`;
  parts.push(deadSentence(shown, crossed));
  if (emptyCells) parts.push(`${count(emptyCells, "cell")} without a value ${emptyCells === 1 ? "is" : "are"} hatched.`);
  return parts.join(" ");
}
