// Figure (b): a number of the networks over the plane of two keys, with the edge of chaos and contours of depth scale.

// Keys whose values can span an axis.
const planeKeys = () => run.varying.filter((k) => run.keys[k].values.length > 1);
// The pair that spans a plane best: filled at least by half, the scales of weights and biases first, then the number of
// cells; numbers go across, and more values go across.
function defaultPlane() {
  const keys = planeKeys();
  const worth = (x, y) => {
    const across = run.keys[x].values.length,
      up = run.keys[y].values.length,
      filled = new Uint8Array(across * up);
    for (const { values } of run.configurations)
      if (values[x] !== null && values[y] !== null) filled[values[y] * across + values[x]] = 1;
    const cells = filled.reduce((n, f) => n + f, 0);
    return [
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
    // Between words there is nothing that a contour could pass.
    const numeric = free.every((k) => run.keys[k].numbers);
    // One configuration a cell, and one kind of network: lines and contours mean nothing across kinds.
    const kinds = run.varying.filter(
      (k) => ["activation", "norm", "residual"].includes(keyName(k)) && !free.includes(k) && !card.wishes.has(k),
    );
    const single = (rest) =>
      new Set(rest.map((c) => `${valueOf(c, options.x)} ${valueOf(c, options.y)}`)).size === rest.length &&
      kinds.every((k) => valuesAmong(rest, k).length < 2);
    const pool = card.pool.filter((c) => valueOf(c, options.x) !== NONE && valueOf(c, options.y) !== NONE);
    const { shown, held } = slice(pool, free, card.wishes, single);
    const controls = [
      // Choosing the other axis' key swaps the two.
      choice("x", "across", keyOptions(keys), options.x, (k) => {
        if (k === options.y) options.y = options.x;
        options.x = k;
        card.update();
      }),
      choice("y", "up", keyOptions(keys), options.y, (k) => {
        if (k === options.x) options.x = options.y;
        options.y = k;
        card.update();
      }),
      choice(
        "metric",
        "colour",
        metrics.map(({ column, name }) => [column, name]),
        options.metric,
        (m) => {
          options.metric = m;
          card.update();
        },
      ),
      ...(numeric
        ? [
            choice(
              "contours",
              "contours of depth scale",
              [
                ["measured", "measured"],
                ...(run.recorded.predictions ? [["predicted", "predicted ξ"]] : []),
                ["none", "none"],
              ],
              options.contours,
              (v) => {
                options.contours = v;
                card.update();
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

    const grid = planeGrid(shown, options);
    const colored = (x) => (x === null ? null : kind === "log" ? (x > 0 ? Math.log10(x) : null) : x);
    const z = grid.cells.map((row) =>
      row.map((c) => (c === null ? null : colored(metricOf(c, options.metric).median))),
    );
    const flat = z
      .flat()
      .filter((x) => x !== null)
      .sort((a, b) => a - b);
    const most = Math.max(...flat.map(Math.abs), 1e-9);
    const ticks = kind === "log" ? logTicks(flat[0], flat.at(-1)) : null;
    const traces = [
      {
        type: "heatmap",
        x: grid.x.place,
        y: grid.y.place,
        z,
        hoverinfo: "text",
        text: grid.cells.map((row) => row.map((c) => (c === null ? "" : cellText(c, metricText, options.metric)))),
        colorscale: kind === "diverging" ? divergingScale(colors) : sequentialScale(colors.dark),
        ...(kind === "diverging" ? { zmin: -most, zmax: most } : {}),
        colorbar: {
          title: { text: metricText, side: "right" },
          thickness: 16,
          outlinewidth: 0,
          ...(ticks ? { tickvals: ticks.map(Math.log10), ticktext: ticks.map(String) } : {}),
        },
      },
    ];
    const deadCells = [],
      emptyCells = [];
    grid.cells.forEach((row, j) =>
      row.forEach((c, i) => {
        const cell = { x: grid.x.place[i], y: grid.y.place[j] };
        if (c !== null && deadOf(c)) deadCells.push(cell);
        if (z[j][i] === null) emptyCells.push(cell);
      }),
    );
    if (emptyCells.length) traces.push(hatchTrace(emptyCells, grid, colors));
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
      table: {
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
      },
    };
  },
};

// Where a grid has this value on the lines between its points.
function crossings({ x, y, z }, level) {
  const found = [];
  const between = (a, b, [xa, ya], [xb, yb]) => {
    if (a === null || b === null || a < level === b < level) return;
    const t = (level - a) / (b - a);
    found.push([xa + t * (xb - xa), ya + t * (yb - ya)]);
  };
  z.forEach((row, j) =>
    row.forEach((value, i) => {
      if (i + 1 < row.length) between(value, row[i + 1], [x[i], y[j]], [x[i + 1], y[j]]);
      if (j + 1 < z.length) between(value, z[j + 1][i], [x[i], y[j]], [x[i], y[j + 1]]);
    }),
  );
  return found;
}

// The levels of contours, each written on its own line, as far from the other lines, levels and the frame as it can be.
function levelTags(grid, contours, edge, colors) {
  const across = ({ place, half }) => [place[0] - half, place.at(-1) + half];
  const [left, right] = across(grid.x),
    [bottom, top] = across(grid.y);
  // A figure is about twice as wide as it is high.
  const seen = ([x, y]) => [(2 * (x - left)) / (right - left), (y - bottom) / (top - bottom)];
  const points = contours.map((trace) => crossings(trace, trace.contours.start));
  const edgePoints = edge.flatMap((trace) => (trace.z ? crossings(trace, 1) : trace.x.map((x, i) => [x, trace.y[i]])));
  const tags = [];
  points.forEach((own, i) => {
    const others = [...points.filter((_, j) => j !== i).flat(), ...edgePoints, ...tags.map((tag) => tag.place)].map(seen);
    const room = (point) => {
      const [x, y] = seen(point);
      const nearest = others.reduce((least, [ox, oy]) => Math.min(least, Math.hypot(ox - x, oy - y)), 0.15);
      return Math.min(nearest, x, 2 - x, y, 1 - y);
    };
    const rooms = own.map(room);
    const most = rooms.reduce((a, b) => Math.max(a, b), 0);
    // A level that would cover another line is left out.
    if (most > 0.025) tags.push({ level: contours[i].contours.start, place: own[rooms.indexOf(most)] });
  });
  return tags.map(({ level, place }) => ({
    x: place[0],
    y: place[1],
    text: String(level),
    showarrow: false,
    font: { size: 11, color: colors.text },
    bgcolor: faded(colors.paper, 0.85),
    borderpad: 1,
  }));
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

// Under a line over cells, wider: dark cells would swallow a dark line, and light ones a light line.
const haloOf = (trace, colors) => ({
  ...trace,
  showlegend: false,
  hoverinfo: "skip",
  line: { color: colors.paper, width: trace.line.width + 2 },
});

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

// The configuration of every cell of the plane; `null` where there is none.
function planeGrid(shown, options) {
  const xs = valuesAmong(shown, options.x),
    ys = valuesAmong(shown, options.y);
  const cells = ys.map(() => xs.map(() => null));
  for (const c of shown) cells[ys.indexOf(valueOf(c, options.y))][xs.indexOf(valueOf(c, options.x))] = c;
  return { cells, x: scaleOf(options.x, xs), y: scaleOf(options.y, ys) };
}

function cellText(c, metricText, name) {
  const m = metricOf(c, name);
  const band = m.known > 1 ? ` (${format(m.low)} to ${format(m.high)})` : "";
  return `${metricText}: ${m.median === null ? "none" : format(m.median)}${band}<br>${plain(outcomesText(c))}<br>${configurationText(c)}`;
}

function contourTraces(grid, options, colors) {
  if ([options.x, options.y].some((k) => !run.keys[k].numbers)) return [];
  if (options.contours === "none" || grid.cells.length < 2 || grid.cells[0].length < 2) return [];
  const predicted = options.contours === "predicted";
  const scale = (c) => (c === null ? null : predicted ? predictionOf(c, "xi_grad") : metricOf(c, "depth_scale").median);
  const z = grid.cells.map((row) => row.map(scale));
  const flat = z.flat().filter((x) => x !== null);
  return CHOICES.contours.filter((level) => flat.some((x) => x < level) && flat.some((x) => x > level)).map((level, i) => ({
    type: "contour",
    x: grid.x.place,
    y: grid.y.place,
    z,
    showscale: false,
    hoverinfo: "skip",
    connectgaps: false,
    showlegend: i === 0,
    legendgroup: "scale",
    name: predicted ? "predicted depth scale ξ (layers)" : "measured depth scale (layers)",
    autocontour: false,
    line: { color: colors.text, width: 1, dash: predicted ? "dash" : "solid" },
    contours: {
      start: level,
      end: level,
      size: 1,
      coloring: "none",
    },
  }));
}

function edgeTraces(grid, shown, options, colors) {
  const [w, b, activation] = ["sigma_w", "sigma_b", "activation"].map(keyNamed);
  const line = { color: colors.text, width: 3 };
  const plainOnly = ["norm", "residual"].every((name) => {
    const k = keyNamed(name);
    return k < 0 || shown.every((c) => ["none", "(none)"].includes(textOf(k, valueOf(c, k))));
  });
  const names = activation < 0 ? [] : valuesAmong(shown, activation);
  if (plainOnly && names.length === 1 && [w, b].includes(options.x) && [w, b].includes(options.y)) {
    const edge = run.edges.find((e) => e.activation === textOf(activation, names[0]));
    if (!edge) return [];
    const points = edge.sigma_w.map((sw, i) =>
      options.x === w
        ? [grid.x.between(sw), grid.y.between(edge.sigma_b[i])]
        : [grid.x.between(edge.sigma_b[i]), grid.y.between(sw)],
    );
    const inside = points.filter(([x, y]) => x !== null && y !== null);
    return [
      {
        type: "scatter",
        mode: "lines",
        name: "edge of chaos (theory, χ₁ = 1)",
        x: inside.map((p) => p[0]),
        y: inside.map((p) => p[1]),
        line: { ...line, dash: "dash" },
        hoverinfo: "name",
      },
    ];
  }
  if ([options.x, options.y].some((k) => !run.keys[k].numbers)) return [];
  const chi = grid.cells.map((row) => row.map((c) => (c === null ? null : predictionOf(c, "chi_1"))));
  const flat = chi.flat().filter((x) => x !== null);
  if (!flat.some((x) => x < 1) || !flat.some((x) => x > 1)) return [];
  return [
    {
      type: "contour",
      x: grid.x.place,
      y: grid.y.place,
      z: chi,
      showscale: false,
      showlegend: true,
      hoverinfo: "skip",
      name: "edge of chaos (theory, χ₁ = 1)",
      autocontour: false,
      line: { ...line, dash: "dash" },
      contours: { start: 1, end: 1, size: 1, coloring: "none" },
    },
  ];
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
