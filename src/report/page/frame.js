// The card of a figure: its title, controls, drawing, the summary that screen readers speak, and downloads. A figure is
// { id, title, draw(card, colors) -> { traces, layout, controls, summary, table() -> { header, rows } } | { message, controls } }.

const element = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
};

// A labelled choice; options are [value, text].
function choice(name, text, options, value, change) {
  const select = element("select", { "data-control": name, onchange: () => change(options[select.selectedIndex][0]) });
  for (const [option, shown] of options) select.append(element("option", { selected: option === value }, shown));
  return element("label", {}, text, select);
}

function tick(name, text, value, change) {
  const box = element("input", { type: "checkbox", "data-control": name, onchange: () => change(box.checked) });
  box.checked = value;
  return element("label", {}, box, text);
}

// Said once by a screen reader, when it has finished its sentence; the last of several wins.
function announce(text) {
  document.getElementById("status").textContent = text;
}

const keyOptions = (keys) => keys.map((k) => [k, keyName(k)]);

// Choices for the keys that a figure holds: "any", or one value. `any` is offered where a figure can draw several.
function holders(card, configurations, free, { shown, held }, offerAny) {
  return run.varying
    .filter((k) => !free.includes(k))
    .flatMap((k) => {
      const values = valuesAmong(configurations, k);
      if (values.length < 2) return [];
      const options = [...(offerAny ? [[null, "any"]] : []), ...values.map((v) => [v, shortOf(k, v)])];
      const only = valuesAmong(shown, k);
      const value = held.get(k) ?? (offerAny || only.length > 1 ? null : only[0]);
      if (value === null) options.unshift(...(offerAny ? [] : [[null, "(several)"]]));
      return [
        choice(`hold-${keyName(k)}`, keyName(k), options, value, (v) => {
          // The latest wish comes first, if not all can be met.
          card.wishes.delete(k);
          card.wishes.set(k, v);
          card.change();
        }),
      ];
    });
}

const baseLayout = (colors) => ({
  paper_bgcolor: colors.paper,
  plot_bgcolor: colors.paper,
  font: { color: colors.text, size: 13, family: "system-ui, sans-serif" },
  margin: { l: 76, r: 20, t: 14, b: 56 },
  hovermode: "closest",
  hoverlabel: { align: "left" },
  legend: { x: 1.02, xanchor: "left", y: 1, tracegroupgap: 0 },
});
// The legend of what `coloring` made: above it the keys whose values alone it shows, and what it does not tell.
const legendOf = (paint, colors, unnamed = "") => {
  const titles = [paint.title, unnamed].filter(Boolean).map((text) => plain(text).replace("colour differ", "colour<br>differ"));
  const title = titles.length ? { text: titles.join("<br>"), font: { size: 12, color: colors.dim } } : {};
  return { legend: paint.bar ? { ...legendAbove, title } : { ...baseLayout(colors).legend, title } };
};
// Beside a colour bar there is no room for a legend: it goes above.
const legendAbove = { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" };
const axis = (colors, text, more = {}) => ({
  title: { text, standoff: 8 },
  gridcolor: colors.grid,
  linecolor: colors.line,
  zerolinecolor: colors.line,
  ticks: "outside",
  tickcolor: colors.line,
  automargin: true,
  exponentformat: "power",
  ...more,
});

// A logarithmic axis over these positive values, with every tick written in full: without its power of ten a 2 may be 0.02.
function logAxis(values) {
  const known = values.filter((x) => x !== null && x > 0);
  if (!known.length) return { type: "log" };
  const decades = Math.log10(known.reduce((a, b) => Math.max(a, b)) / known.reduce((a, b) => Math.min(a, b)));
  // One form for all ticks: numbers in full, or powers of ten where these are long.
  if (decades > 2.5) {
    const most = known.reduce((a, b) => Math.max(a, b)),
      least = known.reduce((a, b) => Math.min(a, b));
    if (most < 1e6 && least > 1e-3) return { type: "log", dtick: 1, tickformat: "~g" };
    const [low, high] = [least, most].map((x) => Math.floor(Math.log10(x)));
    const every = Math.ceil((high - low + 2) / 12);
    const powers = Array.from({ length: high - low + 2 }, (_, i) => low + i).filter((p) => p % every === 0);
    return {
      type: "log",
      tickmode: "array",
      tickvals: powers.map((p) => 10 ** p),
      ticktext: powers.map((p) => `10<sup>${p}</sup>`),
    };
  }
  return { type: "log", tickformat: "~g", ...(decades > 1 ? { dtick: "D2" } : {}) };
}

// The band between two lines, whose edges tell `text` too. A quantile that is exactly zero, which `zero` knows of a point,
// lies at the floor below everything; a gap would be bridged, because a filled line has none in the charting library.
const bandTraces = (group, x, [low, high], { floor, zero }, text, color, alpha = 0.18) => {
  const told = { hoverinfo: "text", hoveron: "points", text, hoverlabel: { bgcolor: color } };
  const edge = { ...group, type: "scatter", mode: "lines", x, line: { width: 0, color }, ...told };
  const filled = (ys) => ys.map((y, i) => y ?? (zero(i) ? floor : null));
  return [
    { ...edge, y: filled(low) },
    { ...edge, y: filled(high), fill: "tonexty", fillcolor: faded(color, alpha) },
  ];
};

// Crosses for dead networks, each { x, y, color, text }; `rows` where y is the number of a row below the figure.
const deadTrace = (crosses, colors, rows) => ({
  ...(rows ? { yaxis: "y2" } : {}),
  type: "scatter",
  mode: "markers",
  name: "exactly zero (dead)",
  x: crosses.map((d) => d.x),
  y: crosses.map((d) => d.y),
  marker: { symbol: "x", size: 9, color: crosses.map((d) => d.color), line: { width: 1, color: colors.text } },
  hoverinfo: "text",
  text: crosses.map((d) => d.text),
});

// Room for rows of crosses below a figure, on an axis of their own: what is exactly zero has no place on a logarithmic
// one, so no number may stand beside it.
function withRows(layout, rows, colors) {
  if (!rows) return layout;
  const share = Math.min(0.28, 0.03 + 0.035 * rows);
  return {
    ...layout,
    xaxis: { ...layout.xaxis, anchor: "y2" },
    yaxis: { ...layout.yaxis, domain: [share + 0.02, 1] },
    yaxis2: {
      domain: [0, share],
      // The first row at the top.
      range: [rows + 0.7, 0.3],
      fixedrange: true,
      tickmode: "array",
      tickvals: [(rows + 1) / 2],
      ticktext: ["dead"],
      tickcolor: colors.line,
      showgrid: false,
      zeroline: false,
      automargin: true,
      mirror: true,
      showline: true,
      linecolor: colors.line,
    },
  };
}

// The lowest of what is drawn.
function lowest(values) {
  const known = values.filter((y) => y !== null && y !== undefined);
  return known.length ? known.reduce((a, b) => Math.min(a, b)) : 0;
}

// A card of fewer pixels has its legend below the figure, and smaller texts.
const NARROW = 640;

function narrowed(layout) {
  const small = { ...layout, font: { ...layout.font, size: 11 }, margin: { l: 50, r: 8, t: 14, b: 50 } };
  for (const [name, part] of Object.entries(layout)) {
    if (!/^[xy]axis/.test(name) || !part.title) continue;
    const text = part.title.text.replace(/, | \(/, (mark) => `${mark.trimEnd()}<br>`.replace(" (<br>", "<br>("));
    small[name] = { ...part, title: { ...part.title, text: text.length > 40 ? text : part.title.text } };
  }
  if (layout.legend && layout.legend.orientation !== "h")
    small.legend = { ...layout.legend, orientation: "h", x: 0, xanchor: "left", y: -0.16, yanchor: "top" };
  if (small.legend) small.legend = { ...small.legend, title: { ...small.legend.title, side: "top" } };
  return small;
}

class Card {
  constructor(figure) {
    this.figure = figure;
    this.wishes = new Map();
    this.options = {};
    const { id, title } = figure;
    this.controls = element("div", { class: "controls" });
    this.plot = element("div", {
      class: "plot",
      id: `${id}-plot`,
      role: "img",
      "aria-label": title,
      "aria-describedby": `${id}-summary`,
    });
    this.summary = element("p", { class: "summary", id: `${id}-summary` });
    const button = (kind, act) =>
      element(
        "button",
        { type: "button", "data-download": kind, onclick: act, "aria-label": `${title} as ${kind}` },
        kind,
      );
    this.section = element(
      "section",
      { id, "aria-labelledby": `${id}-title` },
      element("h2", { id: `${id}-title` }, title),
      this.controls,
      this.plot,
      this.summary,
      (this.downloads = element(
        "div",
        { class: "downloads" },
        button("CSV", () => this.saveTable()),
        button("SVG", () => this.savePicture("svg")),
        button("PNG", () => this.savePicture("png")),
      )),
    );
  }

  // After one of its own controls: what is drawn now is said aloud.
  change() {
    this.update();
    announce(`${this.figure.title}: ${this.summary.textContent}`);
  }

  update() {
    const focused = document.activeElement?.dataset?.control;
    this.narrow = this.section.clientWidth < NARROW;
    const drawn = this.figure.draw(this, theme(false));
    this.controls.replaceChildren(...(drawn.controls ?? []));
    if (focused) this.controls.querySelector(`[data-control="${CSS.escape(focused)}"]`)?.focus();
    this.summary.textContent = drawn.summary ?? drawn.message;
    this.table = drawn.table ?? null;
    for (const button of this.downloads.children) button.disabled = !drawn.traces;
    this.plot.hidden = !drawn.traces;
    if (!drawn.traces) {
      Plotly.purge(this.plot);
      this.done();
      return;
    }
    const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["toImage", "lasso2d", "select2d"] };
    this.plot.classList.toggle("narrow", this.narrow);
    const layout = this.narrow ? narrowed(drawn.layout) : drawn.layout;
    Plotly.react(this.plot, drawn.traces, layout, config).then(() => this.done());
  }

  // For tests: how often the card was drawn, and how long the page took until it was drawn first.
  done() {
    this.section.dataset.drawnMs ??= String(Math.round(performance.now()));
    this.section.dataset.drawn = Number(this.section.dataset.drawn ?? 0) + 1;
  }

  saveTable() {
    save(`${this.figure.id}.csv`, csv(this.table()), "text/csv");
  }

  async savePicture(kind) {
    this.narrow = false;
    const { traces, layout } = this.figure.draw(this, theme(true));
    const size = { width: 900, height: 540 };
    const url = await Plotly.toImage(
      { data: traces, layout: { ...layout, ...size } },
      { format: kind, scale: kind === "png" ? 3 : 1, ...size },
    );
    follow(`${this.figure.id}.${kind}`, url);
  }
}

function csv({ header, rows }) {
  const cell = (x) => {
    if (x === null || x === undefined) return "";
    const text = String(x);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [header, ...rows].map((row) => row.map(cell).join(",") + "\n").join("");
}

function save(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  follow(name, url);
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function follow(name, url) {
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

// The cells of a configuration in a downloaded table.
const keyHeader = () => ["configuration", ...run.varying.map(keyName)];
const keyCells = (c) => [
  run.configurations[c].id,
  ...run.varying.map((k) => {
    const v = valueOf(c, k);
    return v === NONE ? null : textOf(k, v);
  }),
];
