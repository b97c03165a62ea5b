// Figure (c): the depth to which a gradient survives, against a scale of the weights or any other key.

// The first of the keys that are scales along which there are lines, with two points or more on average.
function scaleKey() {
  const all = run.configurations.map((_, c) => c);
  const points = (k) => {
    const some = all.filter((c) => valueOf(c, k) !== NONE);
    return some.length < 2 * linesOver(some, k).length;
  };
  const keys = [...run.varying].sort((a, b) => rankOf(CHOICES.scales, a) - rankOf(CHOICES.scales, b));
  return keys.find((k) => !points(k)) ?? keys[0];
}

const depthFigure = {
  id: "depth",
  title: "Trainable depth against scale",

  draw(card, colors) {
    if (!run.varying.length) return { message: "Not drawn: it takes a key that varies." };
    const options = card.options;
    options.x ??= scaleKey();
    if (options.color === options.x) options.color = undefined;
    const others = preferredKeys().filter((k) => k !== options.x),
      key = others[0] ?? NOTHING;
    options.logX ??= false;
    options.linear ??= false;
    options.metric ??= "max_trainable_depth";
    const free = [options.x, ...freeKeys(options.color ?? key, card.wishes, others)];
    const pool = card.pool.filter((c) => valueOf(c, options.x) !== NONE);
    const few = (rest) => linesOver(rest, options.x).length <= CHOICES.lines;
    const { shown, held } = slice(pool, free, card.wishes, few, hasMedian(options.metric));
    const all = linesOver(shown, options.x),
      lines = all.slice(0, MANY_LINES);
    const heads = lines.map((line) => line[0]);
    options.color ??= lineColor(heads, key, false, CHOICES.lines);
    const paint = coloring(options.color === EACH ? heads : lines.flat(), options.color, colors),
      unnamed = unnamedTitle(heads, options.color);
    const xs = valuesAmong(shown, options.x);
    const numeric = xs.length > 0 && xs.every((v) => numberOf(options.x, v) !== null);
    const place = (c) => (numeric ? numberOf(options.x, valueOf(c, options.x)) : xs.indexOf(valueOf(c, options.x)));
    const controls = [
      choice("x", "against", keyOptions(run.varying), options.x, (k) => {
        options.x = k;
        card.change();
      }),
      choice("color", "colour by", colorOptions(others), options.color, (k) => {
        options.color = k;
        card.change();
      }),
      choice(
        "metric",
        "show",
        [
          ["max_trainable_depth", "trainable depth"],
          ["depth_scale", "depth scale"],
        ],
        options.metric,
        (m) => {
          options.metric = m;
          card.change();
        },
      ),
      ...holders(card, pool, typeof options.color === "number" ? free : [options.x], { shown, held }, true),
      tick("linear", "linear", options.linear, (on) => {
        options.linear = on;
        card.change();
      }),
      tick("logX", "logarithmic across", options.logX, (on) => {
        options.logX = on;
        card.change();
      }),
    ];
    if (!shown.length) return { message: "No configuration passes the filters.", controls };
    if (shown.every((c) => metricOf(c, options.metric).median === null)) {
      const all = shown.every((c) => deadOf(c) === run.configurations[c].networks);
      const why = all
        ? "Not drawn: every network here is dead, and a gradient of exactly zero has no depth."
        : `Not drawn: no configuration here has a median. It takes three hidden layers with a gradient in more than half of the networks. ${deadSentence(shown, "they count as lowest")}`;
      return { message: why, controls };
    }

    const traces = [],
      rows = [],
      dead = [],
      arrows = [],
      named = new Set();
    const heights = lines.flat().flatMap((c) => {
      const { low, median, high } = metricOf(c, options.metric);
      return [low, median, high].filter((y) => y !== null && y > 0);
    });
    // Predictions close to the edge of chaos go to infinity: the figure ends somewhat beyond what was measured.
    const ends = reach(heights, options.linear),
      forecasts = lines.flat().map((c) => predictedDepth(c, options.metric)),
      beyond = forecasts.filter((y) => y !== null && (y < ends[0] || y > ends[1]));
    heights.push(...forecasts.filter((y) => y !== null && y >= ends[0] && y <= ends[1]));
    // On a linear scale the depth of a dead network has a place; on a logarithmic one crosses stand below the lines, a row
    // for every line that has some.
    const zeroDepth = options.metric === "depth_scale" ? 0 : 1;
    const floor = options.linear ? zeroDepth : lowest(heights);
    let deadRows = 0,
      predictions = 0;
    for (const line of lines) {
      const value = paint.valueOf(line[0]),
        color = paint.of(value);
      const spreads = line.map((c) => metricOf(c, options.metric));
      const group = { legendgroup: `v${value}`, showlegend: false };
      const told = line.map((c) => cellText(c, options.metric.replaceAll("_", " "), options.metric));
      const x = line.map(place),
        y = spreads.map((m) => m.median);
      if (lines.length <= CHOICES.bands && spreads.some((m) => m.known + m.zeros > 1)) {
        const edges = [spreads.map((m) => m.low), spreads.map((m) => m.high)];
        traces.push(...bandTraces(group, x, edges, { floor, zero: (i) => spreads[i].zeros > 0 }, told, color));
      }
      traces.push({
        ...group,
        type: "scatter",
        mode: "lines+markers",
        x,
        y,
        line: { color, width: 2 },
        marker: { color, size: 6, symbol: paint.symbol(value) },
        name: plain(paint.name(value)),
        showlegend: paint.legend && !named.has(value),
        hoverinfo: "text",
        text: told,
      });
      named.add(value);
      const predicted = line.map((c) => predictedDepth(c, options.metric));
      if (predicted.some((p) => p !== null)) {
        predictions++;
        traces.push({
          ...group,
          type: "scatter",
          mode: "lines",
          x,
          y: predicted,
          line: { color, width: 1.6, dash: "dash" },
          hoverinfo: "text",
          text: line.map((c, i) => `predicted: ${format(predicted[i])}<br>${told[i]}`),
        });
        predicted.forEach((p, i) => {
          if (p === null || (p >= ends[0] && p <= ends[1])) return;
          const text = `predicted: ${format(p)}, beyond this figure<br>${told[i]}`;
          arrows.push({ x: x[i], y: p > ends[1] ? ends[1] : ends[0], up: p > ends[1], color, text });
        });
      }
      if (line.some(deadOf)) deadRows += 1;
      line.forEach((c, i) => {
        if (deadOf(c)) dead.push({ x: x[i], y: options.linear ? zeroDepth : deadRows, color, text: told[i] });
      });
      line.forEach((c, i) =>
        rows.push([
          ...keyCells(c),
          run.configurations[c].networks,
          y[i],
          spreads[i].low,
          spreads[i].high,
          deadOf(c),
          predicted[i],
        ]),
      );
    }
    if (predictions)
      traces.push({
        type: "scatter",
        mode: "lines",
        x: [null],
        y: [null],
        name: "predicted (mean field)",
        line: { color: colors.dim, dash: "dash" },
      });
    if (arrows.length) traces.push(arrowTrace(arrows));
    if (dead.length) traces.push(deadTrace(dead, colors, !options.linear));
    if (paint.bar) traces.push(paint.bar);
    const ticks = numeric
      ? options.logX
        ? logAxis(xs.map((v) => numberOf(options.x, v)))
        : {}
      : placedTicks(options.x, xs);
    const plane = {
      ...baseLayout(colors),
      ...legendOf(paint, colors, unnamed),
      xaxis: axis(colors, plain(keyName(options.x)), ticks),
      yaxis: axis(
        colors,
        options.metric === "depth_scale"
          ? "depth scale (layers)"
          : `layers until |δ| changes by ${run.threshold ? format(run.threshold) + " decades" : "the threshold"}`,
        { ...(options.linear ? {} : logAxis(heights)), ...(beyond.length ? { range: rangeOf(ends, options.linear) } : {}) },
      ),
    };
    const layout = withRows(plane, options.linear ? 0 : deadRows, colors);
    return {
      traces,
      layout,
      controls,
      summary: depthSummary({ shown, all, lines, held, beyond, unnamed }, options),
      table: () => ({ header: [...keyHeader(), "networks", `${options.metric}_median`, "p10", "p90", "dead", "predicted"], rows }),
    };
  },
};

// Configurations that differ in nothing but key x, in its order. Keys that apply to some alone follow from the others
// where one configuration is left per value of x: then they do not cut a line.
function linesOver(configurations, x) {
  const others = run.varying.filter((k) => k !== x);
  const everywhere = others.filter((k) => configurations.every((c) => valueOf(c, k) !== NONE));
  const lines = groupedBy(configurations, everywhere);
  const simple = lines.every((line) => new Set(line.map((c) => valueOf(c, x))).size === line.length);
  return (simple ? lines : groupedBy(configurations, others)).map((line) =>
    line.sort((a, b) => valueOf(a, x) - valueOf(b, x)),
  );
}

// How far the figure reaches for predictions: a factor of 3, or half of what is spanned, beyond what was measured.
function reach(heights, linear) {
  const [low, high] = [heights.reduce((a, b) => Math.min(a, b)), heights.reduce((a, b) => Math.max(a, b))];
  return linear ? [0, 1.5 * high] : [low / 3, high * 3];
}
// As the range of an axis, with some room.
function rangeOf([low, high], linear) {
  const [from, to] = linear ? [low, high] : [Math.log10(low), Math.log10(high)];
  return [from - 0.03 * (to - from), to + 0.03 * (to - from)];
}

// Where predictions leave the figure, each { x, y, up, color, text }.
const arrowTrace = (arrows) => ({
  type: "scatter",
  mode: "markers",
  name: "prediction beyond the figure",
  x: arrows.map((a) => a.x),
  y: arrows.map((a) => a.y),
  marker: {
    symbol: arrows.map((a) => (a.up ? "triangle-up-open" : "triangle-down-open")),
    size: 10,
    color: arrows.map((a) => a.color),
    line: { width: 2 },
  },
  hoverinfo: "text",
  text: arrows.map((a) => a.text),
});

// xi_grad is a depth scale; |delta| changes by a decade in 2 xi ln 10 layers.
function predictedDepth(c, metric) {
  const xi = predictionOf(c, "xi_grad");
  if (xi === null) return null;
  if (metric === "depth_scale") return xi;
  return run.threshold ? 1 + 2 * Math.LN10 * xi * run.threshold : null;
}

function depthSummary({ shown, all, lines, held, beyond, unnamed }, options) {
  const name = options.metric.replaceAll("_", " "),
    differing = differingKeys(shown);
  const known = shown
    .map((c) => [metricOf(c, options.metric).median, c])
    .filter(([m]) => m !== null)
    .sort((a, b) => a[0] - b[0]);
  const parts = [`Median ${name} against ${keyName(options.x)}: ${count(lines.length, "line")}${heldText(held)}.`];
  if (all.length > lines.length)
    parts.push(`Only the first ${lines.length} of ${all.length} lines are drawn: hold a key or filter.`);
  if (known.length)
    parts.push(
      `It runs from ${format(known[0][0])} (${label(known[0][1], differing)}) to ${format(known.at(-1)[0])} layers (${label(known.at(-1)[1], differing)}).`,
    );
  if (unnamed) parts.push(sentence(unnamed));
  if (beyond.length) {
    const [lies, it] = beyond.length === 1 ? ["lies", "it"] : ["lie", "they"];
    const far = beyond.map((y) => format(y)).sort((a, b) => b - a)[0];
    parts.push(
      `${count(beyond.length, "prediction")} ${lies} beyond the figure, the highest at depth ${far}: triangles at its border mark where ${it} ${beyond.length === 1 ? "leaves" : "leave"} it.`,
    );
  }
  parts.push(deadSentence(lines.flat(), "crosses mark them, and medians count them as lowest"));
  const without = lines.flat().filter((c) => metricOf(c, options.metric).median === null),
    short = without.filter((c) => !metricOf(c, options.metric).zeros).length;
  const have = (n) => `${count(n, "configuration")} ${n === 1 ? "has" : "have"} none`;
  if (without.length > short) parts.push(`${have(without.length - short)}, because half of the networks or more are dead.`);
  if (short) parts.push(`${have(short)}, for want of three hidden layers with a gradient.`);
  return parts.join(" ");
}
