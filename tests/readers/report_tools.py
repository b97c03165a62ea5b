"""What the checks of report_page.py do with a page: opening it, using its controls, and reading what it shows. Whatever is
opened must leave no error on the console and ask for nothing but itself."""

import csv
import io
from contextlib import contextmanager
from pathlib import Path

FIGURES = ["gradient", "phase", "depth", "distribution", "factor"]
# How long anything may take, in ms: a busy machine is no fault of the page.
PATIENCE = 300_000


@contextmanager
def opened(browser, path, width=1280, **options):
    context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True, **options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    faults, requests = [], []
    # Warnings are the browser's own as well, on how fast it draws.
    page.on("console", lambda m: faults.append(f"console {m.type}: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda e: faults.append(f"exception: {e}"))
    page.on("request", lambda r: requests.append(r.url))
    url = Path(path).resolve().as_uri()
    page.goto(url)
    settle(page)
    yield page
    assert not faults, faults
    strangers = [r for r in requests if r != url and not r.startswith(("data:", "blob:"))]
    assert not strangers, strangers
    context.close()


def settle(page):
    """Until every figure has been drawn once."""
    page.wait_for_selector("html[data-ready]")
    for name in FIGURES:
        page.wait_for_selector(f"#{name}[data-drawn]", state="attached")


def act(page, figure, action):
    """Does something to a figure and waits until it is drawn again."""
    before = int(page.get_attribute(f"#{figure}", "data-drawn"))
    action()
    page.wait_for_function(
        "([id, before]) => Number(document.getElementById(id).dataset.drawn) > before", arg=[figure, before]
    )


def choose(page, figure, name, text):
    act(page, figure, lambda: page.select_option(f'#{figure} [data-control="{name}"]', label=text))


def tick(page, figure, name):
    act(page, figure, lambda: page.click(f'#{figure} [data-control="{name}"]'))


def texts(page, selector):
    return page.eval_on_selector_all(selector, "nodes => nodes.map(n => n.textContent)")


def shown(page, selector):
    """Text of a drawing; the charting library puts zero-width spaces around subscripts."""
    return page.text_content(selector).replace("\u200b", "")


def marks(page, figure):
    """What is drawn in a figure: lines, points, images of heat maps, contours."""
    return page.eval_on_selector_all(
        f"#{figure} .plot :is(.scatterlayer path, .heatmaplayer image, .contourlayer path, .contour path)", "n => n.length"
    )


def everywhere(page):
    drawn = {}
    for name in FIGURES:
        summary = page.inner_text(f"#{name}-summary").strip()
        assert len(summary) > 20, (name, summary)
        drawn[name] = marks(page, name)
        hidden = page.eval_on_selector(f"#{name}-plot", "n => n.hidden")
        assert hidden == (drawn[name] == 0), (name, drawn[name], summary)
        assert hidden == summary.startswith(("Not drawn", "No configuration")), (name, summary)
        assert page.get_attribute(f"#{name}-plot", "aria-describedby") == f"{name}-summary"
    assert page.eval_on_selector("#trouble", "n => n.hidden")
    seen = page.eval_on_selector_all("[hidden]", "nodes => nodes.filter(n => n.getClientRects().length).map(n => n.id)")
    assert not seen, f"hidden, and seen all the same: {seen}"
    return drawn


def hovered(page, figure="gradient", mark=".scatterlayer .points path", off=(0, 0)):
    """Text beside the first mark of a figure while the mouse is on it, or so many pixels off."""
    point = page.locator(f"#{figure} {mark}").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    return told_at(page, figure, (box["x"] + box["width"] / 2 + off[0], box["y"] + box["height"] / 2 + off[1]))


def told_at(page, figure, place):
    """Text beside the mouse at a place in the window."""
    x, y = place
    # A mouse comes to rest by many small movements; the charting library leaves out those that follow too fast.
    for move in range(PATIENCE // 100):
        page.mouse.move(x + move % 2, y)
        page.wait_for_timeout(100)
        told = texts(page, f"#{figure} .hoverlayer .hovertext")
        if told:
            return told[0]
    raise AssertionError(f"nothing is told of the point at {x}, {y}")


def downloaded(page, figure, kind):
    """What a button saves. Not more than ten to a page: then Chromium wants to be asked again, which a click before the
    download counts as if it was noticed in time, and otherwise the download never comes."""
    with page.expect_download() as waiting:
        page.click(f'#{figure} [data-download="{kind}"]')
    download = waiting.value
    return download.suggested_filename, Path(download.path()).read_bytes()


def table(page, figure):
    """What a figure shows, as its rows."""
    name, data = downloaded(page, figure, "CSV")
    assert name == f"{figure}.csv", name
    return list(csv.DictReader(io.StringIO(data.decode())))


def boxes(page, selector):
    return page.eval_on_selector_all(
        selector, "nodes => nodes.map(n => n.getBoundingClientRect()).filter(b => b.width).map(b => [b.left, b.top, b.right, b.bottom])"
    )


def apart(some):
    """Whether no two of these boxes meet."""
    meet = lambda a, b: a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    return not any(meet(a, b) for i, a in enumerate(some) for b in some[:i])


def lightness(color):
    """L* (CIE 1976) of an sRGB colour."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    light = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    y = sum(a * b for a, b in zip([0.2126729, 0.7151522, 0.0721750], light))
    return 116 * y ** (1 / 3) - 16 if y > 216 / 24389 else y * 24389 / 27
