// The run as the page holds it, and the questions that figures ask of it. Every text that comes from the tables is
// escaped here before it reaches the charting library, which reads tags and entities in names.

const run = JSON.parse(document.getElementById("data").textContent);
const CHOICES = run.tables.choices,
  METRICS = run.tables.metrics,
  PREDICTIONS = run.tables.predictions,
  OUTCOMES = run.tables.outcomes;
// What belongs to a configuration layer by layer: a line of JSON each, read when it is first asked for.
function linesOf(id) {
  const lines = document.getElementById(id).textContent.split("\n"),
    known = new Map();
  const read = (c) => {
    const part = JSON.parse(lines[c]);
    // All layers are written as their number.
    if (!Array.isArray(part.layers)) part.layers = Array.from({ length: part.layers }, (_, i) => i + 1);
    return part;
  };
  return {
    has: (c) => Boolean(lines[c]),
    of: (c) => {
      if (!known.has(c)) known.set(c, lines[c] ? read(c) : null);
      return known.get(c);
    },
  };
}
const profiles = linesOf("profiles"),
  distributions = linesOf("distributions");
const NONE = -1; // a key that does not apply

// Text for the charting library: `<` would open a tag, `&` an entity, `$` a formula.
const plain = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("$", "&#36;");

const valueOf = (c, k) => run.configurations[c].values[k] ?? NONE;
const textOf = (k, v) => (v === NONE ? "(none)" : run.keys[k].values[v]);
// As figures write it: with no more digits than it takes.
const shortOf = (k, v) => (v === NONE ? textOf(k, v) : (run.keys[k].short?.[v] ?? run.keys[k].values[v]));
const numberOf = (k, v) => (v === NONE || !run.keys[k].numbers ? null : run.keys[k].numbers[v]);
const keyName = (k) => run.keys[k].name;
const keyNamed = (name) => run.keys.findIndex((key) => key.name === name);
function metricOf(c, name) {
  const cell = run.configurations[c].metrics[METRICS.indexOf(name)];
  if (!Array.isArray(cell)) return { low: cell, median: cell, high: cell, known: cell === null ? 0 : 1, zeros: 0 };
  const [low, median, high, known, zeros] = cell;
  return { low, median, high, known, zeros };
}
// For slices: whether a configuration has a median of this metric.
const hasMedian = (name) => (c) => metricOf(c, name).median !== null;
const predictionOf = (c, name) => run.configurations[c].predicted[PREDICTIONS.indexOf(name)] ?? null;

const format = (x) => {
  if (x === null || x === undefined || !Number.isFinite(x)) return "";
  const size = Math.abs(x);
  if (x !== 0 && (size >= 1e6 || size < 1e-3)) return x.toExponential(3).replace("+", "");
  return String(Number(x.toPrecision(5)));
};
// A difference of logarithms without the noise of a zero: they come with six digits.
const settled = (x) => Number(x.toFixed(6));
const thousands = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
const count = (n, noun) => `${thousands(n)} ${noun}${n === 1 ? "" : "s"}`;

// Values of key k among these configurations, in the key's order, with the missing one last.
function valuesAmong(configurations, k) {
  const seen = new Set(configurations.map((c) => valueOf(c, k)));
  const values = [...seen].filter((v) => v !== NONE).sort((a, b) => a - b);
  return seen.has(NONE) ? [...values, NONE] : values;
}

// "activation = tanh, depth = 8" of the keys that vary.
const label = (c, keys = run.varying) =>
  keys
    .filter((k) => valueOf(c, k) !== NONE)
    .map((k) => `${keyName(k)} = ${textOf(k, valueOf(c, k))}`)
    .join(", ");

// The keys that tell these configurations apart: no more than it takes, the likeliest first.
function differingKeys(configurations) {
  let keys = [],
    groups = 1;
  for (const k of preferredKeys()) {
    const found = new Set(configurations.map((c) => [...keys, k].map((key) => valueOf(c, key)).join(" "))).size;
    if (found > groups) {
      keys = [...keys, k];
      groups = found;
    }
    if (groups === configurations.length) break;
  }
  return keys;
}

// Configurations with the same values of these keys, together.
function groupedBy(configurations, keys) {
  const groups = new Map();
  for (const c of configurations) {
    const group = keys.map((k) => valueOf(c, k)).join(" ");
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(c);
  }
  return [...groups.values()];
}

// "tanh, 8": the values of the keys that tell a configuration from the others shown.
function shortLabel(c, keys) {
  const text = (k) => (run.keys[k].numbers ? `${keyName(k)} ${shortOf(k, valueOf(c, k))}` : textOf(k, valueOf(c, k)));
  return (
    keys
      .filter((k) => valueOf(c, k) !== NONE)
      .map(text)
      .join(", ") || "all"
  );
}

// The whole configuration for hovering, as lines of the charting library.
const configurationTexts = new Map();
function configurationText(c) {
  if (!configurationTexts.has(c)) configurationTexts.set(c, describe(c));
  return configurationTexts.get(c);
}

function describe(c) {
  const line = (k) => plain(`${keyName(k)} = ${textOf(k, valueOf(c, k))}`);
  const applying = run.keys.map((_, k) => k).filter((k) => valueOf(c, k) !== NONE);
  const varying = applying.filter((k) => run.varying.includes(k)).map(line);
  const rest = applying.filter((k) => !run.varying.includes(k)).map(line);
  const wrapped = [];
  for (let i = 0; i < rest.length; i += 3) wrapped.push(rest.slice(i, i + 3).join(", "));
  return [`<b>${plain(run.configurations[c].id)}</b>`, ...varying, ...wrapped].join("<br>");
}

// A median with its band, in words: a quantile among networks without a gradient is theirs, which is dead.
function spreadText({ low, median, high, zeros }) {
  const word = (x) => (x === null || x === undefined ? (zeros ? "dead" : "none") : format(x));
  const wide = high !== undefined && (low !== median || high !== median);
  return `${word(median)}${wide ? ` (${word(low)} to ${word(high)})` : ""}`;
}
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

const deadOf = (c) => run.configurations[c].outcomes[OUTCOMES.indexOf("dead")];
// For slices: whether more than half of the networks have a gradient, so that there are medians.
const notDead = (c) => 2 * deadOf(c) < run.configurations[c].networks;

// How many networks of these configurations are dead, in a sentence, and what the figure does with them.
function deadSentence(configurations, what) {
  const dead = configurations.reduce((n, c) => n + deadOf(c), 0);
  if (!dead) return "No network is dead.";
  const networks = configurations.reduce((n, c) => n + run.configurations[c].networks, 0);
  return `${thousands(dead)} of ${count(networks, "network")} ${dead === 1 ? "has" : "have"} a gradient of exactly zero somewhere: ${what}.`;
}

function outcomesText(c) {
  const { outcomes, networks } = run.configurations[c];
  const parts = OUTCOMES.map((word, i) => (outcomes[i] ? `${outcomes[i]} ${word}` : "")).filter(Boolean);
  return `${count(networks, "network")}${parts.length ? ": " + parts.join(", ") : ""}`;
}

// Varying keys in the order of a list of the likeliest first.
const rankOf = (list, k) => (list.includes(keyName(k)) ? list.indexOf(keyName(k)) : list.length);
const preferredKeys = () => [...run.varying].sort((a, b) => rankOf(CHOICES.colored, a) - rankOf(CHOICES.colored, b));

// Which configurations a figure shows: those that have the wished values, and of these as few as `fits` asks for, by
// holding one key after the other: first those that leave the most to see of the free keys, that apply everywhere, that
// have the most values. To see is above all what has a value to show, which `valued` knows of a configuration. No two
// configurations are ever merged.
function slice(configurations, free, wishes, fits, valued = () => true) {
  let rest = configurations;
  const held = new Map();
  const hold = (k, v) => {
    const some = rest.filter((c) => valueOf(c, k) === v);
    if (some.length) {
      rest = some;
      held.set(k, v);
    }
  };
  for (const [k, v] of [...wishes].reverse()) if (!free.includes(k) && v !== null) hold(k, v);
  for (;;) {
    const choices = run.varying
      .filter((k) => !free.includes(k) && !held.has(k) && !wishes.has(k))
      .map((k) => ({ k, values: valuesAmong(rest, k) }))
      .filter((choice) => choice.values.length > 1);
    if (!choices.length || fits(rest)) return { shown: rest, held };
    for (const option of choices) {
      const { best, left } = widest(rest, option.k, option.values, free, valued);
      Object.assign(option, { best, worth: [...left, Number(!option.values.includes(NONE)), option.values.length] });
    }
    const { k, best } = choices.reduce((a, b) => (better(b.worth, a.worth) ? b : a));
    hold(k, usualValue(rest, k, best));
  }
}

// Whether the first of two lists of numbers is larger at the first place where they differ.
function better(a, b) {
  const i = a.findIndex((x, j) => x !== b[j]);
  return i >= 0 && a[i] > b[i];
}

// Those values of key k that leave the most to see of the free keys, and how much that is: with a value, and at all.
function widest(configurations, k, values, free, valued) {
  const seen = new Map(values.map((v) => [v, [new Set(), new Set()]]));
  for (const c of configurations) {
    const place = free.map((f) => valueOf(c, f)).join(" "),
      [shown, all] = seen.get(valueOf(c, k));
    if (valued(c)) shown.add(place);
    all.add(place);
  }
  const left = (v) => seen.get(v).map((set) => set.size);
  const most = values.map(left).reduce((a, b) => (better(b, a) ? b : a));
  return { best: values.filter((v) => !better(most, left(v))), left: most };
}

// Of depths the largest, of other numbers the middle one, of words the most frequent.
function usualValue(configurations, k, values) {
  const proper = values.filter((v) => v !== NONE);
  if (run.keys[k].numbers && proper.length)
    return keyName(k) === "depth" ? proper.at(-1) : proper[Math.floor((proper.length - 1) / 2)];
  const frequency = new Map();
  for (const c of configurations) frequency.set(valueOf(c, k), (frequency.get(valueOf(c, k)) ?? 0) + 1);
  return values.reduce((best, v) => (frequency.get(v) > frequency.get(best) ? v : best));
}
