// Figure (d): the distribution of the elements of a layer, for one configuration at a time.

const distributionFigure = {
  id: "distribution",
  title: "Activations and gradients layer by layer",

  draw(card, colors) {
    const quantities = run.recorded.distributions;
    if (!quantities.length)
      return {
        message:
          'Not drawn: the quantiles were not recorded. Put statistics = "full" under [record] in the sweep file.',
      };
    card.options.linear ??= false;
    const pool = card.pool.filter(distributions.has);
    const { shown, held } = slice(pool, [], card.wishes, (rest) => rest.length <= 1, notDead);
    const controls = [
      ...holders(card, pool, [], { shown, held }, false),
      tick("linear", "linear", card.options.linear, (on) => {
        card.options.linear = on;
        card.change();
      }),
    ];
    if (!shown.length) return { message: "No configuration passes the filters.", controls };
    const c = shown[0],
      { layers, quantiles } = distributions.of(c);
    if (quantiles.every((columns) => columns.flat().every((x) => x === null))) {
      const names = quantities.map((q) => run.tables.distributions[q]).join(", ");
      return {
        message: `Not drawn: the recorded quantiles of ${names} are exactly zero in every layer of this configuration, so there is nothing to draw. ${deadSentence([c], "their gradients are zero")}`,
        controls: controls.slice(0, -1),
      };
    }
    const unit = (x) => (x === null ? null : card.options.linear ? 10 ** x : x);
    const traces = [],
      layout = {
        ...baseLayout(colors),
        // Whatever of a panel is pointed at, the nearest layer is told of.
        hoverdistance: -1,
        annotations: [],
        // Side by side where there is room, with some for the titles between them.
        grid: card.narrow
          ? { rows: quantities.length, columns: 1, pattern: "independent", ygap: 0.35 }
          : { rows: 1, columns: quantities.length, pattern: "independent", xgap: 0.3 },
      };
    const bands = [
      [0, 4, 0.15],
      [1, 3, 0.3],
    ];
    quantities.forEach((q, i) => {
      const [x, y] = [`x${i + 1}`, `y${i + 1}`],
        color = (colors.dark ? DARK_WORDS : WORDS)[i];
      const base = { type: "scatter", mode: "lines", x: layers, xaxis: x, yaxis: y, showlegend: false };
      const known = quantiles[i].flat().some((y) => y !== null);
      const percents = (j) => ["5", "25", "50", "75", "95"].map((p, n) => `${p} %: ${tenTo(quantiles[i][n][j])}`);
      const told = layers.map((l, j) => `layer ${l}<br>${percents(j).join("<br>")}<br>${configurationText(c)}`);
      const below = { floor: card.options.linear ? 0 : lowest(quantiles[i].flat()), zero: () => known };
      for (const [low, high, alpha] of bands) {
        const edges = [quantiles[i][low].map(unit), quantiles[i][high].map(unit)];
        traces.push(...bandTraces(base, layers, edges, below, told, color, alpha));
      }
      traces.push({
        ...base,
        y: quantiles[i][2].map(unit),
        line: { color, width: 2 },
        hoverinfo: "text",
        text: told,
      });
      const axisName = (a) => `${a}axis${i ? i + 1 : ""}`;
      layout[axisName("x")] = axis(colors, "layer", { anchor: y });
      const name = run.tables.distributions[q];
      layout[axisName("y")] = known
        ? axis(colors, `${card.options.linear ? "" : "log<sub>10</sub> of "}${name}`, { anchor: x })
        : // Of zeros there is no logarithm.
          axis(colors, `${name}: all are zero`, { anchor: x, showticklabels: false });
    });
    const rows = quantities.flatMap((q, i) =>
      layers.map((l, j) => [
        ...keyCells(c),
        run.tables.quantities[q],
        l,
        run.configurations[c].networks,
        deadOf(c),
        ...quantiles[i].map((column) => column[j]),
      ]),
    );
    return {
      traces,
      layout,
      controls,
      summary: distributionSummary(c, quantities),
      table: () => ({
        header: [
          ...keyHeader(),
          "quantity",
          "layer",
          "networks",
          "dead",
          ...["p05", "p25", "p50", "p75", "p95"].map((p) => `log10_abs_${p}`),
        ],
        rows,
      }),
    };
  },
};

// A quantile is known to 0.05 of its logarithm.
const tenTo = (x) => (x === null ? "zero" : `10^${format(Number(x.toFixed(2)))}`);

function distributionSummary(c, quantities) {
  const { layers, quantiles } = distributions.of(c);
  const parts = quantities.map((q, i) => {
    const median = quantiles[i][2];
    return `the median of ${run.tables.distributions[q]} goes from ${tenTo(median[0])} in layer ${layers[0]} to ${tenTo(median.at(-1))} in layer ${layers.at(-1)}`;
  });
  return `${label(c) || "The one configuration"}, medians over ${count(run.configurations[c].networks, "network")} of the quantiles of absolute values: ${parts.join("; ")}. Shades: 5 % to 95 %, 25 % to 75 %. The quantiles come from histograms with four bins per octave: they are known within 13 %, that is 0.05 of log10. ${deadSentence([c], "there its quantiles are zero, and medians count them as lowest")}`;
}
