"""Opens reports in headless Chromium and looks at them as a reader would: report_page.py BROWSER CHECK PAGE [ARGUMENT...]

Every check also asserts what holds for all pages: no error on the console, no request but the page itself, every figure
drawn or explained, a summary under each. Prints one JSON object with what was measured."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

from playwright.sync_api import Error, sync_playwright

from report_tools import (
    FIGURES,
    PATIENCE,
    act,
    apart,
    boxes,
    choose,
    downloaded,
    everywhere,
    hovered,
    lightness,
    marks,
    opened,
    settle,
    shown,
    table,
    texts,
    tick,
    told_at,
)


def full(browser, path):
    """A run with everything: every figure, control and download."""
    with opened(browser, path) as page:
        drawn = everywhere(page)
        assert all(drawn.values()), drawn

        # A level of depth scale says so on both sides of the edge of chaos.
        assert max(Counter(texts(page, "#phase .annotation-text")).values()) == 2, texts(page, "#phase .annotation-text")

        # Toggles.
        title = lambda: shown(page, "#gradient .ytitle")
        assert title().startswith("log10"), title()
        tick(page, "gradient", "linear")
        assert not title().startswith("log10"), title()
        tick(page, "gradient", "linear")
        tick(page, "gradient", "relative")
        assert "depth L" in shown(page, "#gradient .xtitle")
        tick(page, "gradient", "relative")
        for figure in ["depth", "distribution", "factor"]:
            ticks = lambda: texts(page, f"#{figure} .plot .ytick")
            before = ticks()
            assert before, figure
            tick(page, figure, "linear")
            assert before != ticks(), figure
        tick(page, "depth", "logX")
        bar = lambda: (shown(page, "#phase .cbtitle"), texts(page, "#phase .cbaxis text"))
        assert bar()[0].startswith("log"), bar()
        before = bar()
        tick(page, "phase", "linear")
        assert not bar()[0].startswith("log") and bar()[1] != before[1], (before, bar())
        choose(page, "phase", "metric", "trainable depth (layers)")
        linear = bar()
        tick(page, "phase", "linear")
        assert bar()[0] == linear[0] and bar()[1] != linear[1], (linear, bar())
        choose(page, "phase", "metric", "measured − predicted, in seed scatters")
        assert not page.locator('#phase [data-control="linear"]').count(), "a difference is linear"
        choose(page, "phase", "metric", before[0])

        # Colours and what is held.
        legend = lambda figure: texts(page, f"#{figure} .legendtext")
        assert "predicted (mean field)" in legend("gradient"), legend("gradient")
        assert "mean-field prediction" in texts(page, '#factor [data-control="source"] option')
        assert legend("gradient")[:2] == ["tanh, none", "tanh, layer"], legend("gradient")
        heading = lambda: texts(page, "#gradient .legendtitletext")
        assert heading() == ["activation, norm"], heading()
        choose(page, "gradient", "hold-activation", "tanh")
        assert "activation = tanh" in page.inner_text("#gradient-summary"), "a wish for the key that nobody chose"
        choose(page, "gradient", "hold-activation", "any")
        choose(page, "gradient", "color", "activation")
        assert len(heading()) == 1 and re.search(r"one colour.*differ in.*norm", heading()[0]), heading()
        assert "Lines of one colour differ in norm" in page.inner_text("#gradient-summary")
        assert any("activation = " in t for t in legend("gradient")), legend("gradient")
        # In its 30 pixels the legend shows that a line is dashed.
        dashes = "nodes => nodes.map(n => n.style.strokeDasharray).filter(Boolean).map(text => text.split(',').map(parseFloat))"
        drawn_dashes = page.eval_on_selector_all("#gradient .legend .legendlines path", dashes)
        assert drawn_dashes and all(sum(lengths[:2]) <= 20 for lengths in drawn_dashes), drawn_dashes
        # Not by colour alone: every value has a symbol of its own.
        symbols = "#gradient .legend .legendpoints path"
        shapes = page.eval_on_selector_all(symbols, "nodes => nodes.map(n => n.getAttribute('d'))")
        assert len(shapes) == 3 and len(set(shapes)) == 3, shapes
        choose(page, "gradient", "color", "init")
        assert any("init = " in t for t in legend("gradient")), legend("gradient")
        lines = marks(page, "gradient")
        choose(page, "gradient", "hold-activation", "relu")
        assert 0 < marks(page, "gradient") < lines
        assert "activation = relu" in page.inner_text("#gradient-summary")
        choose(page, "gradient", "color", "activation")
        choose(page, "phase", "metric", "trainable depth (layers)")
        contours = lambda: page.locator('#phase [data-control="contours"]').count()
        assert contours() == 1
        choose(page, "phase", "x", "init")
        assert contours() == 0, "between words there is nothing that a contour could pass"
        choose(page, "depth", "x", "sigma_w")
        # Without its power of ten a 2 could be 0.2 or 20.
        tick(page, "depth", "linear")
        layers = [float(text) for text in texts(page, "#depth .ytick") if text]
        assert all(re.fullmatch(r"[\d.]+", text) for text in texts(page, "#depth .ytick") if text), "one form for all"
        assert len(layers) > 2 and layers == sorted(set(layers)), layers
        tick(page, "depth", "linear")
        choose(page, "depth", "x", "depth")

        # One configuration at a time: the latest wish is met, whatever was wished before.
        choose(page, "distribution", "hold-sweep", "depths")
        assert page.inner_text("#distribution-summary").startswith("sweep = depths")
        choose(page, "distribution", "hold-sigma_w", "1.0")
        assert "sweep = plane" in page.inner_text("#distribution-summary")

        # Hovering shows the whole configuration.
        told = hovered(page)
        for key in ["layer", "activation = ", "init = ", "depth = ", "width = ", "batch_size = "]:
            assert key in told, (key, told)

        for figure in ["gradient", "depth", "distribution"]:
            tells_everywhere(page, figure)

        # The table.
        rows = lambda: page.locator("#networks tbody tr").count()
        assert rows() == 50
        column = texts(page, "#networks th").index("log10_grad_ratio_total") + 1
        cells = lambda: [float(t) for t in texts(page, f"#networks tbody td:nth-child({column})")]
        page.click('#networks [data-sort="log10_grad_ratio_total"]')
        assert cells() == sorted(cells()), cells()
        lowest = cells()[0]
        page.click('#networks [data-sort="log10_grad_ratio_total"]')
        assert cells() == sorted(cells(), reverse=True) and cells()[0] > lowest
        assert page.get_attribute(f"#networks th:nth-child({column})", "aria-sort") == "descending"
        page.click('#networks [data-control="next"]')
        assert "Networks 51 to" in page.inner_text("#networks-summary")
        # A network's own button tells its whole configuration, by the keyboard as well.
        button = page.locator("#networks [data-network]").first
        button.focus()
        for opened_now in [True, False]:
            page.keyboard.press("Enter")
            assert button.get_attribute("aria-expanded") == str(opened_now).lower()
            assert page.evaluate("() => document.activeElement.dataset.network") == button.get_attribute("data-network")
            whole = " ".join(texts(page, "#networks tr.configuration"))
            assert ("batch_size = 8" in whole and "activation = " in whole) == opened_now, whole

        # Filters reach everything.
        page.click('[data-filter="activation"] summary')
        page.evaluate("() => { window.said = []; new MutationObserver(() => said.push(document.getElementById('status').textContent)).observe(document.getElementById('status'), {childList: true}); }")
        page.click('[data-filter="activation"] [data-value="relu"]')
        settle(page)
        page.keyboard.press("Escape")
        assert page.evaluate("() => document.activeElement.tagName") == "SUMMARY", "the focus stays where it can be seen"
        page.wait_for_function("() => !document.querySelector('#gradient-summary').textContent.includes('relu')")
        assert "relu" not in texts(page, "#networks tbody td")
        page.wait_for_function("() => !document.querySelector('#factor').textContent.includes('activation = relu')")
        # One sentence aloud, and nothing else on the page speaks.
        said = page.evaluate("() => said")
        assert len(said) == 1 and "pass the filters. Networks 1 to 50 of " in said[0], said
        speaking = "nodes => nodes.filter(n => n.getAttribute('aria-live') !== 'off').map(n => n.id)"
        assert page.eval_on_selector_all("[aria-live], [role=status], [role=alert], output", speaking) == ["trouble", "status"]
        page.click('[data-control="reset"]')
        page.wait_for_function("() => document.querySelector('#filters output').textContent.startsWith('72 ')")

        # Downloads.
        for figure in FIGURES:
            rows = table(page, figure)
            assert rows and rows[0]["configuration"].startswith("c-"), (figure, rows[:1])
        assert len(table(page, "networks")) == 144
        # Light and dark.
        choose(page, "phase", "metric", "log₁₀ |δ(1)|² / |δ(L)|²")
        background = lambda: page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        light = background()
        for wanted in ["light", "dark"]:
            act(page, "phase", lambda: (page.evaluate("() => scrollTo(0, 0)"), page.click("#theme")))
            assert page.get_attribute("html", "data-theme") == wanted
            around_zero(page, wanted == "dark")
        assert background() != light
        assert page.eval_on_selector("#gradient .main-svg", "n => n.style.background") != "rgb(255, 255, 255)"

    for width in [400, 900]:
        with opened(browser, path, width) as page:
            fits(page, width)
    for kind, start in [("SVG", b"<svg"), ("PNG", b"\x89PNG")]:
        with opened(browser, path) as page:
            for figure in FIGURES:
                name, data = downloaded(page, figure, kind)
                assert name == f"{figure}.{kind.lower()}" and data.startswith(start) and len(data) > 5000, (name, data[:60])
    return drawn


def hostile(browser, path, *names):
    """Names that are markup stay text, in every place where they stand."""
    with opened(browser, path) as page:
        everywhere(page)
        page.evaluate("() => document.querySelectorAll('[data-filter]').forEach(d => { d.open = true; })")
        for figure in ["gradient", "depth", "factor"]:
            options = texts(page, f'#{figure} [data-control="color"] option')
            if "activation" in options:
                choose(page, figure, "color", "activation")
        choose(page, "phase", "x", "activation")
        drawn = texts(page, "#gradient .legendtext") + texts(page, "#phase .xtick") + texts(page, "#networks td")
        for name in names:
            assert sum(name in text for text in drawn) >= 3, (name, drawn)
        hovered(page)
        assert page.evaluate("() => window.pwned") is None
        intruders = page.eval_on_selector_all(":is(img, iframe, a[href]:not([download]), object, embed)", "n => n.map(x => x.outerHTML)")
        assert not intruders, intruders
        assert page.title().startswith(names[0]), page.title()


def plain(browser, path, *expected):
    """A page of an unusual run: draws or explains every figure, and says what is expected somewhere."""
    with opened(browser, path) as page:
        drawn = everywhere(page)
        said = page.inner_text("body")
        for text in expected:
            assert text in said, (text, said)
        return drawn


def deaths(browser, path, *keys):
    """A run some networks of which die: every figure counts them, whatever it shows."""
    with opened(browser, path) as page:
        assert all(everywhere(page).values())
        # One configuration is shown at a time, and at first none that is dead.
        choose(page, "distribution", "hold-width", "2")
        tables = {figure: table(page, figure) for figure in [*FIGURES, "networks"]}
        networks = tables["networks"]
        configuration = lambda row: tuple(row[key] for key in keys)
        dead, alive = [Counter(configuration(n) for n in networks if (n["verdict"] == "dead") == which) for which in [True, False]]
        assert dead and alive
        for figure in FIGURES:
            # In networks without skips a gradient that dies is zero in the first layer.
            rows = [row for row in tables[figure] if row.get("layer", "1") == "1" and row.get("quantity", "act") == "act"]
            shown = {configuration(row) for row in rows}
            assert len(rows) == len(shown) > (figure != "distribution"), figure
            for row in rows:
                assert int(row["dead"]) == dead[configuration(row)], (figure, row)
            counted = sum(dead[c] for c in shown), sum(dead[c] + alive[c] for c in shown)
            said = page.inner_text(f"#{figure}-summary")
            assert counted[0] > 0 and "{} of {} networks have a gradient of exactly zero".format(*counted) in said, (counted, said)
            legend = texts(page, f"#{figure} .legendtext")
            assert figure == "distribution" or ("has dead networks" if figure == "phase" else "exactly zero (dead)") in legend, (figure, legend)

        for figure in ["gradient", "depth", "factor"]:
            dead_rows(page, figure)
            title = boxes(page, f"#{figure} .ytitle")[0]
            plot = boxes(page, f"#{figure}-plot")[0]
            assert plot[1] <= title[1] and title[3] <= plot[3], (figure, title, plot)

        # Where half of the networks or more are dead there is no median, which the mouse is told; the cell is hatched and no colour of the map.
        rows = tables["phase"]
        column = next(name for name in rows[0] if name.endswith("_median"))
        hatched = sum(row[column] == "" for row in rows)
        assert all((row[column] == "") == (2 * int(row["dead"]) >= int(row["networks"])) for row in rows), rows
        assert f"{hatched} cells without a value are hatched" in page.inner_text("#phase-summary")
        assert "no value" in texts(page, "#phase .legendtext") and page.locator("#phase .plot pattern").count()
        # Crosses have an outline in the colour of the ground, or dark cells would swallow them.
        crosses = "nodes => nodes.map(n => [n.getAttribute('d'), n.style.stroke]).filter(([d]) => !d.endsWith('Z'))"
        strokes = Counter(stroke for _, stroke in page.eval_on_selector_all("#phase .scatterlayer .points path", crosses))
        crossed = sum(row["dead"] != "0" for row in rows)
        assert len(strokes) == 2 and set(strokes.values()) == {crossed}, (strokes, crossed)
        page.locator("#phase-plot").scroll_into_view_if_needed()
        told = told_at(page, "phase", page.evaluate(HATCHED))
        assert re.search(r": dead( \(|\d)", told) and "batch_size = 4" in told and "( to" not in told, told
        words = page.evaluate("() => document.getElementById('depth-plot').data.flatMap(t => t.text ?? [])")
        assert any("(dead to " in text for text in words) and not any("( to " in text for text in words), words[:5]
        rows = tables["depth"]
        assert any(row["max_trainable_depth_median"] == "" and row["dead"] != "0" for row in rows)
        for row in rows:
            if row["depth"] != "2" and 2 * int(row["dead"]) < int(row["networks"]):
                assert row["max_trainable_depth_median"], row

        # No number is the noise of a zero.
        for figure in FIGURES:
            for row in tables[figure]:
                noise = {k: v for k, v in row.items() if re.fullmatch(r"-?[\d.]+e-\d\d", v)}
                assert not noise, (figure, noise)
        assert "within 13 %" in page.inner_text("#distribution-summary")
        return dict(zip(["dead", "alive"], [sum(dead.values()), sum(alive.values())]))


def around_zero(page, dark):
    """The colours around zero that are drawn: from the middle lightness only grows on dark ground, only falls on light."""
    stops = page.evaluate("() => document.getElementById('phase-plot').data.find(t => t.type === 'heatmap').colorscale")
    colors = [lightness(color) for _, color in stops]
    middle = len(colors) // 2
    assert abs(stops[middle][0] - 0.5) < 1e-9, stops
    for arm in [colors[middle:], colors[middle::-1]]:
        assert len(arm) > 2 and arm == sorted(arm, reverse=not dark) and abs(arm[-1] - arm[0]) > 40, colors


# The middle of a hatched cell: of one that the invisible map over the cells without a number tells of.
HATCHED = """() => {
    const plot = document.getElementById('phase-plot'), layout = plot._fullLayout, box = plot.getBoundingClientRect();
    const {x, y, z} = plot.data.find(t => t.type === 'heatmap' && t.opacity === 0);
    const j = z.findIndex(row => row.some(value => value !== null)), i = z[j].findIndex(value => value !== null);
    return [box.left + layout._size.l + layout.xaxis.d2p(x[i]), box.top + layout._size.t + layout.yaxis.d2p(y[j])];
}"""


def tells_everywhere(page, figure):
    """Lines, predictions and borders of bands tell the whole configuration; of the distributions so does any place."""
    traces = page.evaluate(
        "id => document.getElementById(id).data.filter(t => t.x.some(x => x !== null)).map(t => [t.hoverinfo, t.text])", f"{figure}-plot"
    )
    assert len(traces) > 4, figure
    for hoverinfo, text in traces:
        assert hoverinfo == "text" and all("batch_size = 8" in line for line in text), (figure, hoverinfo, text)
    if figure == "distribution":
        panel = page.locator(f"#{figure} .nsewdrag").first
        panel.scroll_into_view_if_needed()
        box = panel.bounding_box()
        assert "batch_size = 8" in told_at(page, figure, (box["x"] + box["width"] / 2, box["y"] + 8))


def fits(page, width):
    """A window this narrow shows every figure whole: no text leaves it, and the data have most of its width."""
    everywhere(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    for figure in FIGURES:
        left, top, right, bottom = boxes(page, f"#{figure}-plot")[0]
        for box in boxes(page, f"#{figure} .plot :is(.legendtext, .xtitle, .ytitle, .xtick text, .ytick text)"):
            inside = left - 1 <= box[0] and top - 1 <= box[1] and box[2] <= right + 1 and box[3] <= bottom + 1
            assert inside, (width, figure, box, (left, top, right, bottom))
        panel = boxes(page, f"#{figure} .nsewdrag")
        assert sum(b[2] - b[0] for b in panel) > 0.45 * (right - left), (width, figure, panel)


def levels(page):
    """The levels of contours stand apart, and on no edge of chaos."""
    tags = boxes(page, "#phase .annotation .bg")
    assert tags and apart(tags), tags
    edge = page.evaluate(
        """() => [...document.querySelectorAll('#phase .scatterlayer .js-line')].flatMap(line => {
            const to = line.getScreenCTM(), length = line.getTotalLength();
            return Array.from({length: 400}, (_, i) => line.getPointAtLength(length * i / 399).matrixTransform(to)).map(p => [p.x, p.y]);
        })"""
    )
    assert len(edge) >= 400
    for left, top, right, bottom in tags:
        assert not any(left < x < right and top < y < bottom for x, y in edge), (left, top)


def digits(browser, path, key, short, whole):
    """Numbers of many digits: short beside axes and in legends, whole where a point is told of and in tables."""
    with opened(browser, path) as page:
        everywhere(page)
        ticks = [text for text in texts(page, "#phase .xtick") if text]
        assert short in ticks and len(ticks) == 16, ticks
        assert apart(boxes(page, "#phase .xtick text")), ticks
        bar = lambda: texts(page, "#gradient .cbaxis text")
        assert len(bar()) == 5 and all(len(text) < 7 for text in bar()), bar()
        assert not any(whole in text for text in texts(page, ".plot .legendtext, .plot .cbaxis text")), whole
        assert any(row[key].startswith(whole) for row in table(page, "phase"))
        # The whole number where a point is told of: the cell of the heat map at this tick.
        told = hovered(page, "phase", f'.xtick text:text-is("{short}")', (0, -40))
        assert f"{key} = {whole}" in told, told
        levels(page)


def edge(browser, path):
    """Networks at the edge of chaos, of which theory says that their gradients never end: the figure shows what was measured."""
    with opened(browser, path) as page:
        everywhere(page)
        rows = table(page, "depth")
        column = lambda name: [float(row[name]) for row in rows if row[name]]
        measured = column("p90")
        assert max(column("predicted")) > 1e8 and max(measured) < 1e4, (max(column("predicted")), max(measured))
        for logarithmic in [True, False]:
            top = page.evaluate("() => document.getElementById('depth-plot')._fullLayout.yaxis.range[1]")
            assert (10**top if logarithmic else top) < 4 * max(measured), (top, max(measured))
            assert "prediction beyond the figure" in texts(page, "#depth .legendtext")
            assert re.search(r"\d+ predictions? lies? beyond the figure", page.inner_text("#depth-summary"))
            tick(page, "depth", "linear")
        # Twelve lines, each by the keys that tell it from the others; of one colour only if that is wished for, and then said.
        legend = [text for text in texts(page, "#depth .legendtext") if "sigma_b" in text]
        assert len(set(legend)) == 12 and {text.split(",")[0] for text in legend} == {"tanh", "erf", "relu"}, legend
        choose(page, "depth", "color", "activation")
        assert "Lines of one colour differ in sigma_b" in page.inner_text("#depth-summary")
        assert any("sigma_b" in text for text in texts(page, "#depth .legendtitletext"))


def dead_rows(page, figure):
    """Crosses have an axis of their own, which has no number; numbers stand beside what is above."""
    assert [text for text in texts(page, f"#{figure} .y2tick") if text] == ["dead"], figure
    lowest = max(box[3] for box in boxes(page, f"#{figure} .ytick text"))
    crosses = page.eval_on_selector_all(
        f"#{figure} .plot .subplot.xy2 .points path", "n => n.map(x => x.getBoundingClientRect().top)"
    )
    assert crosses and min(crosses) > lowest, (figure, lowest, crosses[:3])


def zeros(browser, path):
    """A run of nothing but dead networks: there is no logarithm, and no axis of one."""
    with opened(browser, path) as page:
        everywhere(page)
        ticks = [text for text in texts(page, "#gradient .ytick") if text]
        assert ticks == ["0"], ticks
        assert "nothing to draw" in page.inner_text("#distribution-summary") or "not recorded" in page.inner_text("#distribution-summary")
        assert page.locator('[data-control="contours"]').count() == 0, "there are none"
        assert "log" not in shown(page, "#gradient .ytitle")
        tick(page, "gradient", "linear")
        assert "0" in texts(page, "#gradient .ytick")


def large(browser, path):
    """Many networks: how long until the page can be used, and how much it holds. It is ready when its text, filters and
    table stand and every figure in view is drawn; the others follow while nothing else happens, or when they are scrolled to."""
    with opened(browser, path) as page:
        everywhere(page)
        nodes = page.evaluate("() => document.querySelectorAll('*').length")
        seen = {"ready_ms": int(page.get_attribute("html", "data-ready")), "nodes": nodes, "bytes": Path(path).stat().st_size}
        seen["all_drawn_ms"] = max(int(page.get_attribute(f"#{name}", "data-drawn-ms")) for name in FIGURES)
        counts = "id => { const data = document.getElementById(id).data; return [data.length, data.reduce((n, t) => n + (t.z?.flat() ?? t.x).length, 0)]; }"
        drawn = [page.evaluate(counts, f"{name}-plot") for name in FIGURES if not page.eval_on_selector(f"#{name}-plot", "n => n.hidden")]
        seen["traces"], seen["points"] = sum(d[0] for d in drawn), sum(d[1] for d in drawn)
        # The library is read once and the same for every run; lines of curves are read when a figure asks for them.
        seen["bytes_read_at_start"] = page.evaluate("() => document.getElementById('data').textContent.length")
        # A filter reaches the table and every figure, those out of view as well.
        page.click('[data-filter="activation"] summary')
        page.click('[data-filter="activation"] [data-value="erf"]')
        page.wait_for_function("() => document.querySelector('#filters output').textContent.startsWith('1,250 ')")
        page.wait_for_function("() => document.querySelector('#networks-summary').textContent.includes('of 5,000')")
        for name in FIGURES:
            page.locator(f"#{name}").scroll_into_view_if_needed()
            page.wait_for_function("name => !document.getElementById(name).textContent.includes('= erf')", arg=name)
        return seen


def agrees(browser, path, said):
    """At first the page shows what `gradsweep plot` chooses: `said` is its sentence for each kind, as JSON."""
    held = lambda text: set(re.findall(r"(\w+ = [^\s,]+?)[.,]*(?=\s|$)", text))
    size = lambda text: re.findall(r"(\d+) (?:lines?|configurations?|layers)\b", text)
    with opened(browser, path) as page:
        everywhere(page)
        for figure, plotted in json.loads(said).items():
            first = page.inner_text(f"#{figure}-summary").split(". ")[0]
            assert held(first) == held(plotted), (figure, first, plotted)
            assert size(first) == size(plotted), (figure, first, plotted)
        return {figure: sorted(held(plotted)) for figure, plotted in json.loads(said).items()}


def shots(browser, path, folder):
    """Pictures for people: the whole page in light and dark."""
    for scheme in ["light", "dark"]:
        with opened(browser, path, color_scheme=scheme) as page:
            page.screenshot(path=f"{folder}/{scheme}.png", full_page=True)


def picture(browser, path, target):
    """The README's picture: the top of a page, down to the end of the phase diagram."""
    context = browser.new_context(viewport={"width": 1120, "height": 900}, color_scheme="light")
    page = context.new_page()
    page.goto(Path(path).resolve().as_uri())
    settle(page)
    bottom = page.evaluate("() => document.getElementById('phase').getBoundingClientRect().bottom + scrollY")
    page.screenshot(path=target, full_page=True, clip={"x": 0, "y": 0, "width": 1120, "height": bottom + 16})
    context.close()


def main():
    executable, check, *arguments = sys.argv[1:]
    for last in [False, True]:
        try:
            result = look(executable, check, arguments)
            break
        except Error as error:
            # A browser may die of its machine (of too little memory, say); one that dies twice dies of the page.
            if last or not re.search("crashed|has been closed", str(error)):
                raise
            print(f"the browser died, looking again: {error}", file=sys.stderr)
    print(json.dumps(result))


def look(executable, check, arguments):
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root, nor in most containers.
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=executable, args=flags, timeout=PATIENCE)
        result = globals()[check](browser, *arguments)
        browser.close()
        return result


main()
