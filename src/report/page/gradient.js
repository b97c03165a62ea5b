// Figure (a): the size of the gradient against the layer, one curve per configuration.

// Where keys are not held, no more lines than this.
const MANY_LINES = 60;

const gradientFigure = {
  id: "gradient",
  title: "Gradient norm against layer",

  draw(card, colors) {
    if (!run.recorded.gradient) {
      return { message: "Not drawn: layers.csv has no preact_grad_log10_l2 (record it under [record] statistics)." };
    }
    const options = card.options;
    options.linear ??= false;
    options.relative ??= false;
    const pool = card.pool.filter(profiles.has);
    const key = preferredKeys()[0] ?? NOTHING;
    const { shown, held } = slice(
      pool,
      freeKeys(options.color ?? key, card.wishes),
      card.wishes,
      (rest) => rest.length <= CHOICES.lines,
    );
    const lines = shown.slice(0, MANY_LINES);
    options.color ??= lineColor(lines, key, true);
    const free = typeof options.color === "number" ? [options.color] : [];
    const paint = coloring(lines, options.color, colors),
      unnamed = unnamedTitle(lines, options.color);
    // One network has no spread.
    const spread = lines.some((c) => run.configurations[c].networks > 1);
    const bands = spread && (options.bands ?? lines.length <= CHOICES.bands);
    const theory = lines.some((c) => profiles.of(c).predicted_to_last);

    const traces = [],
      rows = [],
      dead = [];
    const named = new Set();
    const curves = lines.map((c) => gradientCurve(c, options));
    const drawn = curves.flatMap((curve) => [curve.low, curve.median, curve.high, curve.predicted].flatMap((y) => y ?? []));
    const known = drawn.some((y) => y !== null);
    // Zero has a place on a linear scale; on a logarithmic one it lies below everything, where crosses have rows.
    const floor = options.linear ? 0 : lowest(drawn);
    const below = !options.linear && known;
    let deadRows = 0;
    for (const c of lines) {
      const curve = curves[lines.indexOf(c)];
      const value = paint.valueOf(c);
      const group = { legendgroup: `v${value}`, showlegend: false };
      const color = paint.of(value);
      const hover = configurationText(c) + "<br>" + plain(outcomesText(c));
      const told = curve.layers.map((l, i) => `layer ${l}: ${curveText(curve, i)}<br>${hover}`);
      if (bands && known && curve.high) {
        const zero = (i) => Boolean(curve.zeros?.[i]);
        traces.push(...bandTraces(group, curve.x, [curve.low, curve.high], { floor, zero }, told, color));
      }
      traces.push({
        ...group,
        type: "scatter",
        mode: "lines+markers",
        x: curve.x,
        y: curve.median,
        name: plain(paint.name(value)),
        showlegend: paint.legend && !named.has(value),
        line: { color, width: 2 },
        marker: { color, size: 6, symbol: paint.symbol(value), maxdisplayed: 12 },
        hoverinfo: "text",
        text: told,
      });
      named.add(value);
      if (curve.predicted) {
        traces.push({
          ...group,
          type: "scatter",
          mode: "lines",
          x: curve.x,
          y: curve.predicted,
          line: { color, width: 1.6, dash: "dash" },
          hoverinfo: "text",
          text: curve.layers.map((l, i) => `layer ${l}, predicted: ${format(curve.predicted[i])}<br>${hover}`),
        });
      }
      if (curve.zeros) deadRows += 1;
      curve.zeros?.forEach((zeros, i) => {
        const text = `layer ${curve.layers[i]}: the gradient of ${zeros} of ${run.configurations[c].networks} is exactly zero<br>${configurationText(c)}`;
        if (zeros) dead.push({ x: curve.x[i], y: options.linear ? 0 : below ? deadRows : -deadRows, color, text });
      });
      curve.layers.forEach((l, i) =>
        rows.push([
          ...keyCells(c),
          l,
          run.configurations[c].networks,
          curve.median[i],
          curve.low?.[i] ?? null,
          curve.high?.[i] ?? null,
          curve.zeros?.[i] ?? 0,
          curve.predicted?.[i] ?? null,
        ]),
      );
    }
    if (theory)
      traces.push({
        type: "scatter",
        mode: "lines",
        x: [null],
        y: [null],
        name: "predicted (mean field)",
        line: { color: colors.dim, dash: "dash" },
      });
    if (dead.length) traces.push(deadTrace(dead, colors, below));
    if (paint.bar) traces.push(paint.bar);

    const norm = options.relative ? "|δ<sub>l</sub>| / |δ<sub>L</sub>|" : "|δ<sub>l</sub>|, δ = dLoss/dz";
    const plane = {
      ...baseLayout(colors),
      ...legendOf(paint, colors, unnamed),
      // Room for symbols, but no layer 0.
      xaxis: options.relative
        ? axis(colors, "layer l / depth L")
        : axis(colors, "layer l (1 = nearest the input)", { autorangeoptions: { minallowed: 0.5 } }),
      yaxis:
        options.linear || known
          ? axis(colors, options.linear ? norm : `log<sub>10</sub> ${norm}`)
          : // Of zeros there is no logarithm.
            axis(colors, norm, { tickmode: "array", tickvals: [-(deadRows + 1) / 2], ticktext: ["0"], showgrid: false }),
    };
    const layout = withRows(plane, below && dead.length ? deadRows : 0, colors);
    const controls = [
      choice("color", "colour by", colorOptions(preferredKeys(), true), options.color, (k) => {
        options.color = k;
        card.change();
      }),
      ...holders(card, pool, free, { shown, held }, true),
      tick("linear", "linear", options.linear, (on) => {
        options.linear = on;
        card.change();
      }),
      tick("relative", "relative to the last layer", options.relative, (on) => {
        options.relative = on;
        card.change();
      }),
      ...(spread
        ? [
            tick("bands", "bands over seeds", bands, (on) => {
              options.bands = on;
              card.change();
            }),
          ]
        : []),
    ];
    return {
      traces,
      layout,
      controls,
      summary: gradientSummary(lines, shown, held, options, unnamed),
      table: () => ({ header: [...keyHeader(), "layer", "networks", "median", "p10", "p90", "dead", "predicted"], rows }),
    };
  },
};

// The curve of one configuration in the units asked for.
function gradientCurve(c, options) {
  const { layers, gradient, predicted_to_last: predicted } = profiles.of(c);
  const last = gradient.median.at(-1) ?? null;
  const shift = options.relative ? last : 0;
  const unit = (y) => {
    if (y === null || y === undefined || shift === null) return null;
    return options.linear ? 10 ** (y - shift) : settled(y - shift);
  };
  const depth = layers.at(-1);
  return {
    layers,
    x: options.relative ? layers.map((l) => l / depth) : layers,
    median: layers.map((_, i) => unit(gradient.median[i])),
    low: gradient.low && layers.map((_, i) => unit(gradient.low[i])),
    high: gradient.high && layers.map((_, i) => unit(gradient.high[i])),
    zeros: gradient.zeros,
    predicted:
      predicted && last !== null
        ? layers.map((_, i) => (predicted[i] === null ? null : unit(last + predicted[i] / 2)))
        : null,
  };
}

// What a curve says of its i-th layer.
function curveText({ median, low, high, zeros }, i) {
  const dead = zeros?.[i] ? `, ${zeros[i]} dead` : "";
  return `${spreadText({ low: low?.[i], median: median[i], high: high?.[i], zeros: zeros?.[i] })}${dead}`;
}

function gradientSummary(lines, shown, held, options, unnamed) {
  if (!lines.length) return "No configuration passes the filters.";
  const falls = lines
    .flatMap((c) => {
      const { gradient } = profiles.of(c);
      const [first, last] = [gradient.median[0], gradient.median.at(-1)];
      return first === null || last === null || first === undefined ? [] : [{ c, decades: first - last }];
    })
    .sort((a, b) => a.decades - b.decades);
  const networks = lines.reduce((n, c) => n + run.configurations[c].networks, 0);
  const parts = [`${count(lines.length, "configuration")} of ${count(networks, "network")}${heldText(held)}.`];
  if (shown.length > lines.length)
    parts.push(`Only the first ${lines.length} of ${shown.length} are drawn: hold a key or filter.`);
  if (falls.length) {
    const differing = differingKeys(lines);
    const say = ({ c, decades }) =>
      `${decades >= 0 ? "+" : ""}${format(Number(decades.toFixed(2)))} decades${differing.length ? ` (${label(c, differing)})` : ""}`;
    parts.push(
      `From the last hidden layer to the first the median gradient norm changes by ${say(falls[0])}` +
        (falls.length > 1 ? ` to ${say(falls.at(-1))}.` : "."),
    );
  }
  parts.push(deadSentence(lines, "crosses mark where, and medians count them as lowest"));
  const without = lines.filter((c) => profiles.of(c).gradient.median.includes(null)).length;
  if (lines.some(deadOf) && without) {
    const have = without === 1 ? "configuration has" : "configurations have";
    parts.push(`${thousands(without)} ${have} no line where half of the networks or more are dead.`);
  }
  if (unnamed) parts.push(sentence(unnamed));
  if (options.relative) parts.push("Norms are relative to the last hidden layer.");
  return parts.join(" ");
}

const heldText = (held) =>
  held.size ? " at " + [...held].map(([k, v]) => `${keyName(k)} = ${textOf(k, v)}`).join(", ") : "";
