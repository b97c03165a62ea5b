// Figure (f): the factor of the squared gradient per layer, measured against predicted.

const factorFigure = {
  id: "factor",
  title: "Factor per layer: measured against predicted",

  draw(card, colors) {
    const sources = [
      ...(run.recorded.theory ? [["predicted_factor", "mean-field prediction"]] : []),
      ...(run.recorded.chi ? [["chi", "chi, estimated forwards"]] : []),
    ];
    if (!run.recorded.factor || !sources.length) {
      if (run.configurations.every((c, i) => deadOf(i) === c.networks))
        return { message: "Not drawn: every network is dead, and a gradient of exactly zero has no factor." };
      return {
        message:
          "Not drawn: it takes log10_grad_ratio and either theory.csv or chi, which exists for plain networks without norm.",
      };
    }
    const options = card.options;
    options.source ??= sources[0][0];
    options.color ??= preferredKeys()[0] ?? NOTHING;
    options.linear ??= false;
    // A configuration of dead networks has no factor, but a mark.
    const pool = card.pool.filter((c) => {
      const profile = profiles.of(c);
      return profile?.[options.source] && (profile.factor || profile.gradient.zeros);
    });
    const free = freeKeys(options.color, card.wishes);
    const { shown, held } = slice(pool, free, card.wishes, () => true);
    const paint = coloring(shown, options.color, colors);
    const controls = [
      choice("source", "predicted by", sources, options.source, (s) => {
        options.source = s;
        card.change();
      }),
      choice("color", "colour by", colorOptions(preferredKeys()), options.color, (k) => {
        options.color = k;
        card.change();
      }),
      ...holders(card, pool, free, { shown, held }, true),
      tick("linear", "linear", options.linear, (on) => {
        options.linear = on;
        card.change();
      }),
    ];
    if (!shown.length) return { message: "No configuration with both passes the filters.", controls };

    const all = factorPoints(shown, options.source),
      points = all.filter((p) => p.measured !== null),
      deadPoints = all.filter((p) => p.dead);
    if (!points.length) {
      const dead = deadSentence(shown, "where a network dies it counts as lowest, below that it has no factor");
      return {
        message: `Not drawn: no configuration here has both a prediction and a factor over half of its networks. ${dead}`,
        controls,
      };
    }
    const every = Math.ceil(Math.max(points.length, deadPoints.length) / CHOICES.points),
      drawn = points.filter((_, i) => i % every === 0);
    const unit = (x) => (options.linear ? 10 ** x : x);
    const traces = paint.values.flatMap((v) => {
      const some = drawn.filter((p) => paint.valueOf(p.c) === v);
      const group = { type: "scatter", mode: "markers", legendgroup: `v${v}` },
        look = { color: paint.of(v), symbol: paint.symbol(v) };
      return some.length
        ? [
            {
              ...group,
              showlegend: false,
              x: some.map((p) => unit(p.expected)),
              y: some.map((p) => unit(p.measured)),
              marker: { ...look, size: 5, opacity: 0.65 },
              hoverinfo: "text",
              text: some.map(
                (p) =>
                  `layer ${p.layer}: predicted ${format(p.expected)}, measured ${format(p.measured)}<br>${configurationText(p.c)}`,
              ),
            },
            // The legend shows them larger.
            { ...group, name: plain(paint.name(v)), showlegend: paint.legend, x: [null], y: [null], marker: { ...look, size: 10 } },
          ]
        : [];
    });
    const ends = [
      Math.min(...drawn.map((p) => Math.min(p.expected, p.measured))),
      Math.max(...drawn.map((p) => Math.max(p.expected, p.measured))),
    ].map(unit);
    traces.push({
      type: "scatter",
      mode: "lines",
      name: "measured = predicted",
      x: ends,
      y: ends,
      line: { color: colors.dim, width: 1.5, dash: "dash" },
      hoverinfo: "skip",
    });
    if (deadPoints.length) {
      // On a linear scale zero has a place; on a logarithmic one it lies below everything.
      const cross = ({ c, layer, expected, dead }) => ({
        x: unit(expected),
        y: options.linear ? 0 : 1,
        color: paint.of(paint.valueOf(c)),
        text: `layer ${layer}: the gradient of ${dead} of ${run.configurations[c].networks} is exactly zero<br>${configurationText(c)}`,
      });
      traces.push(deadTrace(deadPoints.filter((_, i) => i % every === 0).map(cross), colors, !options.linear));
    }
    if (paint.bar) traces.push(paint.bar);
    const ratio = "|δ<sub>l</sub>|² / |δ<sub>l+1</sub>|²",
      log = options.linear ? "" : "log<sub>10</sub> ";
    const plane = {
      ...baseLayout(colors),
      ...legendOf(paint, colors),
      xaxis: axis(colors, `${log}${ratio}, ${sources.find(([s]) => s === options.source)[1]}`),
      yaxis: axis(colors, `${log}${ratio}, measured`),
    };
    const layout = withRows(plane, options.linear ? 0 : Number(deadPoints.length > 0), colors);
    return {
      traces,
      layout,
      controls,
      summary: factorSummary(shown, points, every, held),
      table: () => ({
        header: [...keyHeader(), "layer", "networks", "measured_log10", "dead", "predicted_log10"],
        rows: all.map(({ c, layer, measured, dead, expected }) => [
          ...keyCells(c),
          layer,
          run.configurations[c].networks,
          measured,
          dead,
          expected,
        ]),
      }),
    };
  },
};

// Every layer of these configurations that has a prediction, and a factor or dead networks.
function factorPoints(configurations, source) {
  const points = [];
  for (const c of configurations) {
    const profile = profiles.of(c),
      { zeros, median } = profile.gradient;
    profile.layers.forEach((layer, i) => {
      const [expected, measured] = [profile[source][i] ?? null, profile.factor?.[i] ?? null];
      // Where the norms of the gradient were not recorded nobody knows.
      const dead = zeros?.[i] ?? (median.length ? 0 : null);
      if (expected !== null && (measured !== null || dead)) points.push({ c, layer, expected, measured, dead });
    });
  }
  return points;
}

function factorSummary(shown, points, every, held) {
  const gaps = Float64Array.from(points, (p) => Math.abs(p.measured - p.expected)).sort();
  const at = (q) => format(Number(gaps[Math.floor(q * (gaps.length - 1))].toPrecision(3)));
  const seeds = shown.some((c) => run.configurations[c].networks > 1);
  const parts = [
    `${count(points.length, "layer")} of ${count(shown.length, "configuration")}${heldText(held)}${seeds ? ", medians over seeds" : ""}.`,
  ];
  if (every > 1) parts.push(`One point in ${every} is drawn; the CSV has all.`);
  if (gaps.length)
    parts.push(
      `Measured and predicted log10 factors differ by ${at(0.5)} in the median and ${at(0.95)} at the 95 % quantile.`,
    );
  parts.push(deadSentence(shown, "crosses mark the layers; where a network dies it counts as lowest, below that it has no factor"));
  return parts.join(" ");
}
