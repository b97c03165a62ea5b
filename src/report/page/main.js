// The page: filters by key over everything, figures that are drawn as they come into view, and the theme.

const FIGURES = [gradientFigure, phaseFigure, depthFigure, distributionFigure, factorFigure];
const cards = FIGURES.map((figure) => new Card(figure));
const networkTable = new NetworkTable();
const chosen = new Map(); // key -> allowed values; absent: all

function passing() {
  const all = run.configurations.map((_, c) => c);
  return all.filter((c) => [...chosen].every(([k, values]) => values.has(valueOf(c, k))));
}

function filterMenu(k, changed) {
  const values = valuesAmong(
    run.configurations.map((_, c) => c),
    k,
  );
  const details = element("details", { "data-filter": keyName(k) });
  const summary = element("summary", {}, keyName(k));
  const boxes = values.map((v) => {
    const box = element("input", { type: "checkbox", "data-value": textOf(k, v), onchange: apply });
    box.checked = true;
    return box;
  });
  function apply() {
    const on = values.filter((_, i) => boxes[i].checked);
    if (on.length === values.length) chosen.delete(k);
    else chosen.set(k, new Set(on));
    details.toggleAttribute("data-active", on.length < values.length);
    summary.textContent = on.length < values.length ? `${keyName(k)}: ${on.length} of ${values.length}` : keyName(k);
    changed();
  }
  const all = (on) =>
    element(
      "button",
      {
        type: "button",
        "data-all": String(on),
        onclick: () => {
          boxes.forEach((box) => {
            box.checked = on;
          });
          apply();
        },
      },
      on ? "all" : "none",
    );
  details.append(
    summary,
    element(
      "div",
      { class: "menu" },
      all(true),
      " ",
      all(false),
      ...boxes.map((box, i) => element("label", {}, box, " ", textOf(k, values[i]))),
    ),
  );
  details.reset = () => {
    boxes.forEach((box) => {
      box.checked = true;
    });
    apply();
  };
  return details;
}

const waiting = new Set();
function refresh() {
  const pool = passing();
  for (const card of cards) {
    card.pool = pool;
    waiting.add(card);
  }
  networkTable.pool = pool;
  networkTable.page = 0;
  networkTable.update();
  const output = document.querySelector("#filters output");
  if (output) output.textContent = `${count(pool.length, "configuration")} of ${thousands(run.configurations.length)}`;
  drawSeen();
}
// After a filter: one sentence aloud for all figures and the table.
function filtered() {
  refresh();
  announce(`${document.querySelector("#filters output").textContent} pass the filters. ${networkTable.summary.textContent}`);
}

// Figures out of sight wait until the page has nothing else to do, but not forever: a slow machine may never be idle.
function draw(card) {
  if (!waiting.delete(card)) return;
  try {
    card.update();
  } catch (error) {
    trouble(`The figure "${card.figure.title}" could not be drawn: ${error.message}`);
    throw error;
  }
}
const visible = (card) => {
  const box = card.section.getBoundingClientRect();
  return box.top < innerHeight && box.bottom > 0;
};
const later = window.requestIdleCallback
  ? (f) => window.requestIdleCallback(f, { timeout: 250 })
  : (f) => setTimeout(f, 30);
let queued = false;
function drawSeen() {
  for (const card of cards) if (waiting.has(card) && visible(card)) draw(card);
  if (waiting.size && !queued) {
    queued = true;
    later(() => {
      queued = false;
      const [card] = waiting;
      if (card) draw(card);
      drawSeen();
    });
  }
}

function trouble(text) {
  const line = document.getElementById("trouble");
  line.textContent = text;
  line.hidden = false;
}

function start() {
  document.getElementById("notes").append(...run.notes.map((note) => element("li", {}, note)));
  const totals = OUTCOMES.map((word, i) => [word, run.networks.outcome.filter((o) => o === i).length]).filter(
    ([, n]) => n,
  );
  document.getElementById("lead").textContent =
    `${count(run.networks.id.length, "network")}: ${totals.map(([word, n]) => `${thousands(n)} ${word}`).join(", ") || "no verdicts"}.`;
  const fixed = run.keys.map((_, k) => k).filter((k) => run.keys[k].values.length === 1);
  if (fixed.length) {
    const box = document.getElementById("fixed");
    box.querySelector("p").textContent = fixed.map((k) => `${keyName(k)} = ${run.keys[k].values[0]}`).join(", ");
    box.hidden = false;
  }
  const filters = document.getElementById("filters");
  if (run.varying.length) {
    const menus = run.varying.map((k) => filterMenu(k, filtered));
    const reset = element(
      "button",
      { type: "button", "data-control": "reset", onclick: () => menus.forEach((menu) => menu.reset()) },
      "reset",
    );
    filters.append("Filter:", ...menus, reset, element("output", { "aria-live": "off" }));
    document.addEventListener("click", (event) => {
      for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      for (const menu of menus.filter((menu) => menu.open)) {
        // What has the focus must not vanish.
        if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
        menu.open = false;
      }
    });
  } else {
    filters.hidden = true;
  }
  document.getElementById("figures").append(...cards.map((card) => card.section), networkTable.section);
  const button = document.getElementById("theme"),
    themes = ["system", "light", "dark"];
  const redraw = () => {
    for (const card of cards) waiting.add(card);
    drawSeen();
  };
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "system") + 1) % themes.length];
    document.documentElement.dataset.theme = next;
    button.textContent = `theme: ${next}`;
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("scroll", drawSeen, { passive: true });
  addEventListener("resize", () => {
    for (const card of cards) if (card.narrow !== card.section.clientWidth < NARROW) waiting.add(card);
    drawSeen();
  });
  refresh();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

start();
