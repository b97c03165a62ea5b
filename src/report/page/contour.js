// Lines over the cells of figure (b): contours of depth scale with their levels, and the edge of chaos.

// Under a line over cells, wider: dark cells would swallow a dark line, and light ones a light line.
const haloOf = (trace, colors) => ({
  ...trace,
  showlegend: false,
  hoverinfo: "skip",
  line: { color: colors.paper, width: trace.line.width + 2 },
});

// Depth scales of a plane, and which of the levels they cross: none between words, where there is nothing to pass.
function depthScales(grid, options, kind) {
  if ([options.x, options.y].some((k) => !run.keys[k].numbers)) return { levels: [] };
  const scale = (c) => (kind === "predicted" ? predictionOf(c, "xi_grad") : metricOf(c, "depth_scale").median);
  const z = grid.cells.map((row) => row.map((c) => (c === null ? null : scale(c))));
  const plane = { x: grid.x.place, y: grid.y.place, z };
  return { z, levels: CHOICES.contours.filter((level) => branches(plane, level).length) };
}

// The kinds of contours that this plane has.
const contourKinds = (grid, options) =>
  ["measured", "predicted"].filter((kind) => depthScales(grid, options, kind).levels.length);

function contourTraces(grid, options, colors) {
  if (options.contours === "none") return [];
  const predicted = options.contours === "predicted",
    { z, levels } = depthScales(grid, options, options.contours);
  return levels.map((level, i) => ({
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

// Where a grid has this value on the lines between its points, branch by branch: points on the sides of one square with a
// number at every corner belong together.
function branches({ x, y, z }, level) {
  const points = new Map(),
    parents = new Map();
  const root = (id) => (parents.get(id) === id ? id : root(parents.get(id)));
  const cross = (j, i, down) => {
    const [jb, ib] = down ? [j + 1, i] : [j, i + 1],
      [a, b] = [z[j][i], z[jb][ib]];
    if (a < level === b < level) return null;
    const id = `${j} ${i} ${down}`,
      t = (level - a) / (b - a);
    if (!points.has(id)) parents.set(id, id);
    points.set(id, [x[i] + t * (x[ib] - x[i]), y[j] + t * (y[jb] - y[j])]);
    return id;
  };
  for (let j = 0; j + 1 < z.length; j++)
    for (let i = 0; i + 1 < z[j].length; i++) {
      const corners = [z[j][i], z[j][i + 1], z[j + 1][i], z[j + 1][i + 1]];
      if (corners.includes(null)) continue;
      const sides = [cross(j, i, false), cross(j, i, true), cross(j + 1, i, false), cross(j, i + 1, true)];
      const joined = (a, b) => parents.set(root(a), root(b));
      if (!sides.includes(null)) {
        // Of a saddle the middle says which corners are cut off.
        const through = corners.reduce((a, b) => a + b, 0) / 4 < level === corners[0] < level;
        joined(sides[0], sides[through ? 3 : 1]);
        joined(sides[2], sides[through ? 1 : 3]);
      } else {
        const [first, second] = sides.filter((side) => side !== null);
        if (second) joined(first, second);
      }
    }
  const found = new Map();
  for (const [id, point] of points) {
    if (!found.has(root(id))) found.set(root(id), []);
    found.get(root(id)).push(point);
  }
  return [...found.values()];
}

// The levels of contours, each written on its own line, as far from the other lines, levels and the frame as it can be; on
// every branch of a level that is long enough, which may lie on both sides of the edge of chaos.
function levelTags(grid, contours, edge, colors) {
  const across = ({ place, half }) => [place[0] - half, place.at(-1) + half];
  const [left, right] = across(grid.x),
    [bottom, top] = across(grid.y);
  // A figure is about twice as wide as it is high.
  const seen = ([x, y]) => [(2 * (x - left)) / (right - left), (y - bottom) / (top - bottom)];
  const span = (points) =>
    Math.hypot(...[0, 1].map((n) => Math.max(...points.map((p) => p[n])) - Math.min(...points.map((p) => p[n]))));
  const lines = contours.flatMap((trace) => {
    const level = trace.contours.start,
      all = branches(trace, level).map((own) => ({ level, own, length: span(own.map(seen)) }));
    const longest = Math.max(...all.map((line) => line.length));
    return all.map((line) => ({ ...line, tagged: line.length > 0.25 || line.length === longest }));
  });
  const edgePoints = edge.flatMap((trace) =>
    trace.z ? branches(trace, 1).flat() : trace.x.map((x, i) => [x, trace.y[i]]),
  );
  const tags = [];
  for (const line of lines.filter(({ tagged }) => tagged)) {
    const rest = lines.filter((other) => other !== line).flatMap(({ own }) => own);
    const others = [...rest, ...edgePoints, ...tags.map((tag) => tag.place)].map(seen);
    const room = (point) => {
      const [x, y] = seen(point);
      const nearest = others.reduce((least, [ox, oy]) => Math.min(least, Math.hypot(ox - x, oy - y)), 0.15);
      return Math.min(nearest, x, 2 - x, y, 1 - y);
    };
    const rooms = line.own.map(room);
    const most = rooms.reduce((a, b) => Math.max(a, b), 0);
    // A level that would cover another line is left out.
    if (most > 0.025) tags.push({ level: line.level, place: line.own[rooms.indexOf(most)] });
  }
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
