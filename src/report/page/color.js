// Colours that colour-blind readers tell apart: Okabe and Ito's for words, viridis for numbers, blue to orange around
// zero. Lines of words differ in their markers as well.

const WORDS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F7F"];
const DARK_WORDS = ["#5AA9E6", "#F28C52", "#2FC498", "#E8A3CB", "#F2B632", "#9AD6F7", "#CDAA70", "#B0B0B0"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "star", "hexagon", "pentagon"];
const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b"];
const OUTCOME_COLORS = {
  vanishing: "#0072B2",
  stable: "#009E73",
  exploding: "#D55E00",
  dead: "#7F7F7F",
  diverged: "#CC79A7",
  failed: "#E69F00",
};

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark";

// The colours of a figure; pictures for papers are always light.
const theme = (paper) =>
  paper
    ? {
        paper: "#ffffff",
        text: "#1b1f24",
        dim: "#57606a",
        line: "#8c959f",
        grid: "#e4e7eb",
        dark: false,
      }
    : {
        paper: style("--card"),
        text: style("--text"),
        dim: style("--dim"),
        line: style("--line"),
        grid: style("--grid"),
        dark: isDark(),
      };

const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const mix = (a, b, t) =>
  "#" +
  channels(a)
    .map((x, i) =>
      Math.round(x + (channels(b)[i] - x) * t)
        .toString(16)
        .padStart(2, "0"),
    )
    .join("");
const faded = (hex, alpha) => `rgba(${channels(hex).join(",")},${alpha})`;

// viridis without the end that vanishes into the page.
function viridis(t, dark) {
  const place = Math.min(1, Math.max(0, dark ? 0.2 + 0.8 * t : 0.9 * t)) * (VIRIDIS.length - 1);
  const i = Math.min(VIRIDIS.length - 2, Math.floor(place));
  return mix(VIRIDIS[i], VIRIDIS[i + 1], place - i);
}
const sequentialScale = (dark) => Array.from({ length: 11 }, (_, i) => [i / 10, viridis(i / 10, dark)]);
// From the table that static figures read too.
const divergingScale = (colors) => {
  const stops = CHOICES.diverging[colors.dark ? "dark" : "light"];
  return stops.map((color, i) => [i / (stops.length - 1), color]);
};

// What lines and points may be coloured by beside a key.
const NOTHING = "nothing",
  EACH = "each",
  ALIKE = "alike"; // all that differ in their depth alone, which curves over layers show
const colorOptions = (keys, depthSeen = false) => [
  ...keyOptions(keys),
  [EACH, "each configuration"],
  ...(depthSeen && run.varying.includes(keyNamed("depth")) ? [[ALIKE, "each, whatever its depth"]] : []),
  [NOTHING, "(nothing)"],
];
// Keys that a figure does not hold, because colours show them: for want of a key the likeliest, unless it is wished for.
function freeKeys(color, wishes, likeliest = preferredKeys()) {
  if (typeof color === "number") return [color];
  const free = color === NOTHING ? [] : likeliest.slice(0, 1);
  return free.filter((k) => (wishes.get(k) ?? null) === null);
}
// What lines are coloured by if nobody chooses: a key; but lines of one colour could not be told apart, so each of up to
// `most` gets a colour or a symbol of its own, or those that differ in nothing but their depth share one, if that can be seen.
function lineColor(lines, key, depthSeen, most = CHOICES.each) {
  if (key === NOTHING) return key;
  const colors = valuesAmong(lines, key).length;
  const alike = depthSeen ? withoutDepth(differingKeys(lines)) : differingKeys(lines);
  const groups = lines.length <= most ? lines.length : groupedBy(lines, alike).length;
  if (groups <= colors || groups > most) return key;
  return lines.length <= most ? EACH : ALIKE;
}
// The keys in which lines of one colour differ, which no legend by `color` names.
function unnamedKeys(lines, color) {
  if (color === EACH) return [];
  const differing = differingKeys(lines);
  if (color === ALIKE) return differing.filter((k) => keyName(k) === "depth");
  if (color === NOTHING) return differing;
  const groups = groupedBy(lines, [color]);
  return [...new Set(groups.flatMap(differingKeys))];
}
// The same as a title of the legend and a sentence of the summary; empty where colours tell all lines apart.
function unnamedTitle(lines, color) {
  const names = unnamedKeys(lines, color).map(keyName);
  return names.length ? `lines of one colour differ in ${names.join(", ")}` : "";
}
const withoutDepth = (keys) => keys.filter((k) => keyName(k) !== "depth");

// Colour and marker of every value of key k among the configurations shown, or of every configuration or group of them,
// for which its first one stands; a colour bar where numbers are too many for a legend.
function coloring(configurations, k, colors) {
  const words = colors.dark ? DARK_WORDS : WORDS;
  if (k === NOTHING) {
    return {
      valueOf: () => NONE,
      of: () => words[0],
      symbol: () => SYMBOLS[0],
      values: [NONE],
      name: () => "measured",
      bar: null,
      legend: true,
    };
  }
  if (k === EACH || k === ALIKE) {
    const differing = differingKeys(configurations),
      telling = k === EACH ? differing : withoutDepth(differing);
    const groups = k === EACH ? configurations.map((c) => [c]) : groupedBy(configurations, telling);
    const head = new Map(groups.flatMap((group) => group.map((c) => [c, group[0]]))),
      rank = new Map(groups.map((group, i) => [group[0], i]));
    return {
      valueOf: (c) => head.get(c),
      // Of the keys whose values are words; numbers stand beside their key.
      title: telling.filter((key) => !run.keys[key].numbers).map(keyName).join(", "),
      of: (c) => words[rank.get(c) % words.length],
      symbol: (c) => SYMBOLS[(rank.get(c) + Math.floor(rank.get(c) / words.length)) % SYMBOLS.length],
      values: groups.map((group) => group[0]),
      name: (c) => shortLabel(c, telling),
      bar: null,
      legend: groups.length <= 24,
    };
  }
  const values = valuesAmong(configurations, k),
    numbers = run.keys[k].numbers;
  const ordered = numbers && values.filter((v) => v !== NONE).length > 2;
  const rank = new Map(values.map((v, i) => [v, i]));
  const spread = Math.max(1, values.filter((v) => v !== NONE).length - 1);
  const of = (v) => {
    if (v === NONE) return "#7F7F7F";
    return ordered ? viridis(rank.get(v) / spread, colors.dark) : words[rank.get(v) % words.length];
  };
  const bar =
    ordered && values.length > 12
      ? colorBar(
          k,
          values.filter((v) => v !== NONE),
          colors,
        )
      : null;
  return {
    valueOf: (c) => valueOf(c, k),
    of,
    values,
    bar,
    legend: !bar,
    symbol: (v) =>
      ordered ? "circle" : SYMBOLS[(rank.get(v) + Math.floor(rank.get(v) / words.length)) % SYMBOLS.length],
    name: (v) => `${keyName(k)} = ${shortOf(k, v)}`,
  };
}

// A trace without points that carries the colour bar of a key; colours go by rank, so ticks name a few values.
function colorBar(k, values, colors) {
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((t) => Math.round(t * (values.length - 1)));
  return {
    type: "scatter",
    mode: "markers",
    x: [null],
    y: [null],
    showlegend: false,
    hoverinfo: "skip",
    marker: {
      color: [0],
      cmin: 0,
      cmax: values.length - 1,
      colorscale: sequentialScale(colors.dark),
      showscale: true,
      colorbar: {
        title: { text: plain(keyName(k)) },
        tickvals: ticks,
        ticktext: ticks.map((i) => plain(shortOf(k, values[i]))),
        thickness: 14,
        outlinewidth: 0,
      },
    },
  };
}
