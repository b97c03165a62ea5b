// Table (g): one row per network, sorted by any column, a page at a time; a network's own button shows its configuration.
// Whatever changes the table says so aloud.

const ROWS_PER_PAGE = 50;

class NetworkTable {
  constructor() {
    this.sort = { column: null, down: false };
    this.page = 0;
    this.outcome = null;
    this.words = "";
    this.columns = this.makeColumns();
    this.body = element("tbody");
    this.head = element("tr");
    this.opened = new Set(); // networks whose configuration is shown
    this.summary = element("p", { class: "summary", id: "networks-summary" });
    const outcomes = [[null, "any"], ...OUTCOMES.map((word, i) => [i, word])].filter(
      ([i]) => i === null || run.networks.outcome.includes(i),
    );
    const search = element("input", {
      type: "search",
      "data-control": "search",
      placeholder: "id or value",
      oninput: () => {
        this.words = search.value.toLowerCase();
        this.page = 0;
        this.change();
      },
    });
    const turn = (text, by) =>
      element(
        "button",
        {
          type: "button",
          "data-control": text,
          onclick: () => {
            this.page += by;
            this.change();
          },
        },
        text,
      );
    this.previous = turn("previous", -1);
    this.next = turn("next", 1);
    this.section = element(
      "section",
      { id: "networks", "aria-labelledby": "networks-title" },
      element("h2", { id: "networks-title" }, "Networks"),
      element(
        "div",
        { class: "controls" },
        choice("outcome", "verdict", outcomes, null, (o) => {
          this.outcome = o;
          this.page = 0;
          this.change();
        }),
        element("label", {}, "find", search),
        this.previous,
        this.next,
      ),
      element(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "networks-title" },
        element("table", { "aria-describedby": "networks-summary" }, element("thead", {}, this.head), this.body),
      ),
      this.summary,
      element(
        "div",
        { class: "downloads" },
        element(
          "button",
          {
            type: "button",
            "data-download": "CSV",
            "aria-label": "Networks as CSV",
            onclick: () => save("networks.csv", csv(this.table()), "text/csv"),
          },
          "CSV",
        ),
      ),
    );
    this.drawHead();
  }

  makeColumns() {
    const { networks } = run,
      own = (n) => networks.configuration[n];
    const key = (k) => ({
      name: keyName(k),
      number: Boolean(run.keys[k].numbers),
      cell: (n) => {
        const v = valueOf(own(n), k);
        return v === NONE ? "" : textOf(k, v);
      },
      order: (n) => {
        const v = valueOf(own(n), k);
        return v === NONE ? null : v;
      },
    });
    const metric = (name, m) => ({
      name,
      number: true,
      cell: (n) => format(networks.metrics[m][n]),
      order: (n) => networks.metrics[m][n],
      raw: (n) => networks.metrics[m][n],
    });
    return [
      { name: "network", cell: (n) => networks.id[n], order: (n) => networks.id[n] },
      {
        name: "replicate",
        number: true,
        cell: (n) => String(networks.replicate[n]),
        order: (n) => networks.replicate[n],
      },
      ...run.varying.map(key),
      {
        name: "verdict",
        outcome: true,
        cell: (n) => OUTCOMES[networks.outcome[n]] ?? "",
        order: (n) => networks.outcome[n],
      },
      ...METRICS.map(metric).filter((_, m) => networks.metrics[m].some((x) => x !== null)),
      ...(networks.error.some(Boolean)
        ? [{ name: "error", cell: (n) => networks.error[n], order: (n) => networks.error[n] || null }]
        : []),
    ];
  }

  drawHead() {
    this.head.replaceChildren(
      ...this.columns.map((column) => {
        const sorted = this.sort.column === column;
        const arrow = sorted ? (this.sort.down ? " ▼" : " ▲") : "";
        return element(
          "th",
          {
            scope: "col",
            class: column.number ? "number" : "",
            "aria-sort": sorted ? (this.sort.down ? "descending" : "ascending") : "none",
          },
          element(
            "button",
            {
              type: "button",
              "data-sort": column.name,
              onclick: () => {
                this.sort = { column, down: sorted && !this.sort.down };
                this.page = 0;
                this.drawHead();
                this.change();
                this.head.querySelector(`[data-sort="${CSS.escape(column.name)}"]`).focus();
              },
            },
            column.name + arrow,
          ),
        );
      }),
    );
  }

  rows() {
    const allowed = new Set(this.pool);
    let rows = run.networks.id.map((_, n) => n).filter((n) => allowed.has(run.networks.configuration[n]));
    if (this.outcome !== null) rows = rows.filter((n) => run.networks.outcome[n] === this.outcome);
    if (this.words)
      rows = rows.filter((n) => this.columns.some((column) => column.cell(n).toLowerCase().includes(this.words)));
    const { column, down } = this.sort;
    if (column) {
      // Empty cells come last either way.
      rows = rows
        .map((n) => [column.order(n), n])
        .sort(([a, m], [b, n]) => {
          if (a === null || b === null) return (a === null) - (b === null) || m - n;
          return (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1) || m - n;
        })
        .map(([, n]) => n);
    }
    return rows;
  }

  change() {
    this.update();
    announce(this.summary.textContent);
  }

  // The row of a network, and below it its whole configuration where that is asked for.
  rowsOf(n) {
    const lines = configurationText(run.networks.configuration[n])
      .replace(/<\/?b>/g, "")
      .split("<br>")
      .map(unescaped);
    const cell = (column) => {
      const text = column.cell(n);
      if (!column.outcome || !text) return element("td", { class: column.number ? "number" : "text" }, text);
      const word = element("span", { class: "outcome" }, text);
      word.style.setProperty("--shade", OUTCOME_COLORS[text]);
      return element("td", {}, word);
    };
    const [, ...columns] = this.columns,
      open = this.opened.has(n),
      id = run.networks.id[n];
    const button = element(
      "button",
      {
        type: "button",
        class: "network",
        "data-network": id,
        "aria-expanded": String(open),
        "aria-label": `${id}: whole configuration`,
        onclick: () => {
          if (!this.opened.delete(n)) this.opened.add(n);
          this.update();
          this.body.querySelector(`[data-network="${CSS.escape(id)}"]`).focus();
        },
      },
      `${open ? "▾" : "▸"} ${id}`,
    );
    const row = element("tr", { title: lines.join("\n") }, element("td", {}, button), ...columns.map(cell));
    const whole = element("td", { colspan: this.columns.length }, ...lines.map((line) => element("div", {}, line)));
    return open ? [row, element("tr", { class: "configuration" }, whole)] : [row];
  }

  update() {
    const rows = this.rows(),
      pages = Math.max(1, Math.ceil(rows.length / ROWS_PER_PAGE));
    this.page = Math.min(Math.max(this.page, 0), pages - 1);
    const first = this.page * ROWS_PER_PAGE,
      some = rows.slice(first, first + ROWS_PER_PAGE);
    this.body.replaceChildren(...some.flatMap((n) => this.rowsOf(n)));
    this.previous.disabled = this.page === 0;
    this.next.disabled = this.page === pages - 1;
    const counts = OUTCOMES.map((word, i) => [word, rows.filter((n) => run.networks.outcome[n] === i).length])
      .filter(([, n]) => n)
      .map(([word, n]) => `${thousands(n)} ${word}`);
    const range = rows.length
      ? `Networks ${thousands(first + 1)} to ${thousands(first + some.length)} of ${thousands(rows.length)}`
      : "No network passes the filters";
    this.summary.textContent = `${range}${counts.length ? ": " + counts.join(", ") : ""}.`;
    this.section.dataset.drawn = Number(this.section.dataset.drawn ?? 0) + 1;
  }

  table() {
    return {
      header: this.columns.map((c) => c.name),
      rows: this.rows().map((n) => this.columns.map((column) => (column.raw ? column.raw(n) : column.cell(n)))),
    };
  }
}

const unescaped = (text) =>
  text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&#36;", "$").replaceAll("&amp;", "&");
