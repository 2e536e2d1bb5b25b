"""Opens the reports of published runs in headless Chromium and compares them with the tables.

    python report.py [--shots FOLDER] [--front FOLDER] RUN...

Each report is opened from the file system and over HTTP. Tests: every chart draws something, the console is
empty, nothing is fetched, links have targets, text has enough contrast, is large enough and does not overlap, the
page fits a phone, and the numbers equal the published tables. With --axe, axe-core finds nothing serious. Screenshots (light, dark, phone, print) are written to --shots, the images of the
README, of the last run, to --front.
"""

import argparse
import functools
import http.server
import pathlib
import shutil
import threading

import polars as pl
from playwright.sync_api import Page, sync_playwright

# Figures that show a table: its name, the rows shown, and the columns from left to right.
FIGURE_TABLES = {
    "ledger-rows": ("ledger", None, ["rows", "customers", "orders", "money", "rows_left", "customers_left", "money_left"]),
    "segment-sizes": ("segment_profile", "newest", ["customers", "share", "money", "money_share", "orders"]),
    "segment-profile": (
        "segment_profile",
        "newest",
        ["customers", "share", "money", "money_share", "recency_days_median", "frequency_mean", "monetary_mean", "average_order_value"],
    ),
    "cuts": ("score_bins", "newest", ["score", "lower", "upper", "customers"]),
    "validity": (
        "validity",
        "newest",
        ["customers", "buy_rate", "buy_rate_low", "buy_rate_high", "money_mean", "money_mean_low", "money_mean_high", "money_share"],
    ),
    "sensitivity": ("sensitivity", "newest", ["score_moved", "segment_moved", "money_moved"]),
    "cluster_quality": ("cluster_quality", "all customers", ["customers", "silhouette", "silhouette_error", "wcss", "davies_bouldin", "calinski_harabasz"]),
}
# Figures of every run.
REQUIRED_CHARTS = ["ledger-rows", "segment-sizes", "pareto"] + [
    f"values-{dimension}" for dimension in ("recency_days", "frequency", "monetary")
]

CELLS = """id => [...document.querySelectorAll(`#${CSS.escape(id)} tbody tr`)].map(row =>
    [...row.cells].filter(cell => cell.classList.contains('n') && !(cell.dataset.title ?? '').startsWith('change'))
        .map(cell => cell.dataset.value ?? null))"""

# Each chart with its number of visible marks and the texts that exceed it.
# Texts of a chart overlap if their boxes share more than two pixels; those of turned texts always do.
CHARTS = """() => [...document.querySelectorAll('.chart > div')].filter(e => e.offsetParent).map(chart => {
    const marks = [...chart.querySelectorAll('path, rect, circle, line, polyline')].filter(mark => {
        const box = mark.getBoundingClientRect();
        return box.width + box.height > 0;
    });
    const svg = chart.querySelector('svg').getBoundingClientRect();
    const out = [...chart.querySelectorAll('text:not(.ct-tip)')].filter(text => {
        const box = text.getBoundingClientRect();
        return box.left < svg.left - 2 || box.right > svg.right + 2 || box.bottom > svg.bottom + 2;
    });
    const texts = [...chart.querySelectorAll('text:not(.ct-tip)')].filter(text => text.textContent.trim());
    const level = texts.filter(text => !(text.getAttribute('transform') ?? '').includes('rotate'));
    const boxes = level.map(text => [text.textContent, text.getBoundingClientRect()]);
    const overlaps = boxes.flatMap(([a, x], i) => boxes.slice(i + 1).filter(([, y]) =>
        Math.min(x.right, y.right) - Math.max(x.left, y.left) > 2 && Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top) > 2)
        .map(([b]) => `${a} / ${b}`));
    const scale = svg.width / Number(chart.querySelector('svg').getAttribute('viewBox')?.split(' ')[2] ?? svg.width);
    const sizes = texts.map(text => parseFloat(getComputedStyle(text).fontSize) * scale);
    return { id: chart.closest('figure').id, marks: marks.length, label: chart.parentElement.getAttribute('aria-label'),
             overlaps, smallest: Math.min(...sizes),
             width: svg.width, height: svg.height, out: out.map(text => text.textContent) };
})"""

# Texts with a contrast below 4.5 to their background, if that is a plain colour.
CONTRAST = """() => {
    const parse = text => {
        const parts = (text.match(/[\\d.]+/g) ?? []).map(Number);
        return text.startsWith('color(') ? [...parts.slice(0, 3).map(c => 255 * c), ...parts.slice(3)] : parts;
    };
    const over = ([r, g, b, a = 1], below) => [r, g, b].map((c, i) => c * a + below[i] * (1 - a));
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const ground = element => {
        for (let e = element; e; e = e.parentElement) {
            const color = parse(getComputedStyle(e).backgroundColor);
            if (color.length === 3 || color[3] === 1) return color;
            if (color[3] > 0) return over(color, ground(e.parentElement));
        }
        return [255, 255, 255];
    };
    const seen = [];
    for (const e of document.querySelectorAll('body *')) {
        const inSvg = e instanceof SVGTextElement;
        if (e.classList.contains('ct-tip') || !e.textContent.trim() || (!inSvg && ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))) continue;
        if (e instanceof SVGElement && !inSvg) continue;
        // Skip labels of the treemap: their background is the cell.
        if (inSvg && e.closest('figure').matches('[id=segment-map]')) continue;
        const [a, b] = [light(parse(inSvg ? getComputedStyle(e).fill : getComputedStyle(e).color)), light(ground(e.closest('svg')?.parentElement ?? e))];
        seen.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent.slice(0, 40)]);
    }
    return seen.filter(([ratio]) => ratio < 4.5);
}"""


def published(run: pathlib.Path, table: str, part: str | None) -> pl.DataFrame | None:
    path = run / f"{table}.parquet"
    if not path.exists():
        return None
    frame = pl.read_parquet(path)
    if part is not None:
        frame = frame.filter(pl.col("snapshot") == pl.col("snapshot").max())
    return frame.filter(pl.col("segment").is_null()) if part == "all customers" else frame


def same_numbers(page: Page, run: pathlib.Path) -> int:
    """Figures that show a table have exactly its numbers. Returns how many were compared."""
    compared = 0
    for figure, (table, part, columns) in FIGURE_TABLES.items():
        frame = published(run, table, part)
        if frame is None or frame.is_empty():
            assert page.locator(f"#{figure}").count() == 0, figure
            continue
        shown = page.evaluate(CELLS, figure)
        expected = frame.select(pl.col(columns).cast(pl.Float64)).rows()
        assert len(shown) == len(expected), (figure, len(shown), len(expected))
        for got, row in zip(shown, expected):
            assert [None if cell is None else float(cell) for cell in got] == list(row), (figure, got, row)
            compared += len(row)
    return compared


def same_aggregates(page: Page, run: pathlib.Path) -> None:
    """Aggregates that the report computes: counts by cell and by bar, Pareto shares, facts, confusion."""
    newest = max(run.glob("segments/snapshot=*"))
    segments = pl.read_parquet(newest / "*.parquet", hive_partitioning=False)
    counts, means = page.evaluate(CELLS, "cells-customers"), page.evaluate(CELLS, "cells-money")
    counted = segments.group_by("r_score", "f_score").agg(n=pl.len(), mean=pl.col("monetary").mean())
    for r, f, n, mean in counted.rows():
        count, money = counts[len(counts) - r][f - 1], means[len(counts) - r][f - 1]
        assert float(count) == n and abs(float(money) - mean) <= 1e-9 * max(1, abs(mean)), (r, f)
    assert sum(float(count) for row in counts for count in row) == segments.height
    profile = published(run, "segment_profile", "newest")
    for table in ("migration", "changes"):
        if (frame := published(run, table, None)) is not None:
            moves = frame.filter(pl.col("to") == pl.col("to").max()) if table == "migration" else frame
            moves = moves.filter(pl.col("from") == pl.col("from").max()) if table == "migration" else moves
            for name, before, entered, left, now in zip(profile["segment"], *zip(*page.evaluate(CELLS, "in-and-out"))):
                of = lambda a, b: float(moves.filter(a & b)["customers"].sum())
                was, is_ = pl.col("from_segment").eq_missing(name), pl.col("to_segment").eq_missing(name)
                expected = [of(was, pl.lit(True)), of(~was, is_), of(was, ~is_), of(pl.lit(True), is_)]
                assert [float(x) for x in (before, entered, left, now)] == expected, name
    for dimension, score in (("recency_days", "r_score"), ("frequency", "f_score"), ("monetary", "m_score")):
        bars = [[float(cell) for cell in row] for row in page.evaluate(CELLS, f"values-{dimension}")]
        for (edge, n, *scores), (end, *_) in zip(bars, bars[1:] + [[float("inf")]]):
            within = segments.filter((pl.col(dimension) >= edge) & (pl.col(dimension) < end))[score]
            assert [n, *scores] == [len(within)] + [(within == s).sum() for s in range(len(scores), 0, -1)], (dimension, edge, n)
    money = segments["monetary"].sort(descending=True)
    for customers, share in page.evaluate(CELLS, "pareto"):
        first = -(-segments.height * float(customers) // 1)
        assert abs(money.head(int(first)).sum() / money.sum() - float(share)) < 1e-9, customers
    profile = {row["segment"]: row for row in published(run, "segment_profile", "newest").to_dicts()}
    for name, customers, revenue in page.evaluate("[...document.querySelectorAll('.cards li')].map(e => [e.querySelector('h3').textContent, e.querySelector('[data-customers]').dataset.customers, e.querySelector('[data-revenue]').dataset.revenue])"):
        assert [float(customers), float(revenue)] == [profile[name]["customers"], profile[name]["money"]], name
    facts = {row["fact"]: float(row["value"]) for row in page.evaluate("[...document.querySelectorAll('[data-fact]')].map(e => ({...e.dataset}))")}
    assert facts["customers"] == segments.height
    assert abs(facts["revenue"] - money.sum()) <= 1e-9 * abs(money.sum())
    cohorts = published(run, "cohorts", None)
    if cohorts is not None:
        shown = page.evaluate(CELLS, "cohort-retention")
        groups = cohorts.sort("cohort", "period").group_by("cohort", maintain_order=True)
        expected = [[group["customers"][0], *group["retention"][:13]] for _, group in groups][-24:]
        assert [[float(cell) for cell in row if cell is not None] for row in shown] == expected
    confusion = published(run, "confusion", None)
    for model in [] if confusion is None else confusion["model"].unique().to_list():
        shown = [float(cell) for row in page.evaluate(CELLS, f"confusion-{model}") for cell in row]
        rows = confusion.filter(pl.col("model") == model)
        assert sum(shown) == rows["customers"].sum(), model
        right = rows.filter(pl.col("actual") == pl.col("predicted"))["customers"].sum()
        side = int(len(shown) ** 0.5)
        assert sum(shown[i * side + i] for i in range(side)) == right, model


def assert_displayed(page: Page, url: str, width: int, dark: bool) -> None:
    """Opens a report and tests its display."""
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(url)
    assert messages == [], messages
    assert [other for other in requests if other != url and not other.startswith("data:")] == [], requests
    assert_first_screen(page, width)
    page.evaluate("document.querySelectorAll('#analysts').forEach(details => details.open = true)")
    charts = page.evaluate(CHARTS)
    ids = [chart["id"] for chart in charts]
    assert not [figure for figure in REQUIRED_CHARTS if figure not in ids], ids
    wrong = [(chart["id"], chart["out"], chart["overlaps"], chart["smallest"]) for chart in charts if chart["out"] or chart["overlaps"] or chart["smallest"] < 11]
    assert wrong == [], wrong
    for chart in charts:
        assert chart["marks"] >= 3 and chart["height"] > 100 and chart["width"] > 200, chart
        assert len(chart["label"]) > 20, chart
    small = page.evaluate("[...document.querySelectorAll('body *')].filter(e => e.offsetParent && !e.closest('svg') && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && parseFloat(getComputedStyle(e).fontSize) < 11).map(e => e.textContent.slice(0, 40))")
    assert small == [], small[:5]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "wider than the window"
    dangling = page.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.getElementById(a.hash.slice(1))).map(a => a.hash)")
    assert dangling == [], dangling
    low_contrast = page.evaluate(CONTRAST)
    assert low_contrast == [], low_contrast[:5]


def assert_first_screen(page: Page, width: int) -> None:
    """The sentence and, on a wide screen, the heads of the cards; no model or cluster."""
    assert page.locator(".sentence").first.bounding_box()["y"] < 500
    tops = page.evaluate("[...document.querySelectorAll('.cards h3')].map(e => e.getBoundingClientRect().top)")
    assert 1 <= len(tops) <= 5, tops
    assert width < 1000 or max(tops) < 900, tops
    assert not page.locator("#models").is_visible()
    assert width < 1000 or page.evaluate("document.documentElement.scrollHeight") < 9 * 900, "more than nine screens"


def assert_accessible(page: Page, axe: pathlib.Path) -> None:
    """axe-core finds nothing serious."""
    page.add_script_tag(path=axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    serious = [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")]
    assert serious == [], serious


def assert_explorable(page: Page) -> None:
    """Tables are sorted and filtered, and links have them as CSV."""
    rows = "[...document.querySelectorAll('#segment-profile tbody tr')].filter(row => !row.hidden).map(row => row.cells[0].textContent)"
    names = page.evaluate(rows)
    customers = "[...document.querySelectorAll('#segment-profile tbody tr')].map(row => Number(row.cells[1].dataset.value))"
    page.locator("#segment-profile thead th:nth-child(2) button").click()
    assert page.evaluate(customers) == sorted(page.evaluate(customers), reverse=True)
    page.locator("#segment-profile thead th:nth-child(2) button").click()
    assert page.evaluate(customers) == sorted(page.evaluate(customers))
    page.locator("#segment-profile input").fill(names[0].upper())
    assert names[0] in page.evaluate(rows) and len(page.evaluate(rows)) < len(names)
    page.locator("#segment-profile input").fill("")
    with page.expect_download() as download:
        page.locator("#segment-profile .download a").click()
    lines = pathlib.Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith("segment,customers,") and len(lines) == 1 + len(names), lines


def assert_navigable(page: Page) -> None:
    """Headers link to definitions, and tables open by keyboard."""
    page.locator("#segment-profile th a").first.click()
    assert page.evaluate("location.hash").startswith("#def-")
    assert page.locator(":target dd").is_visible()
    page.locator("#segment-sizes summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#segment-sizes table").is_visible()
    page.keyboard.press("Enter")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """A file server without a log."""

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shots", type=pathlib.Path)
    parser.add_argument("--front", type=pathlib.Path)
    parser.add_argument("--axe", type=pathlib.Path, help="axe.min.js of axe-core")
    parser.add_argument("runs", type=pathlib.Path, nargs="+")
    args = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "no Chromium is installed"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for run in args.runs:
            run = run.resolve()
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=run))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            urls = [(run / "report.html").as_uri(), f"http://127.0.0.1:{server.server_port}/report.html"]
            numbers = 0
            for url in urls:
                for name, width, dark in [("light", 1440, False), ("dark", 1440, True), ("tablet", 768, False), ("phone", 390, False)]:
                    context = browser.new_context()
                    page = context.new_page()
                    assert_displayed(page, url, width, dark)
                    if args.shots and url.startswith("file:"):
                        args.shots.mkdir(parents=True, exist_ok=True)
                        shot = args.shots / f"{run.parent.parent.name}-{name}.png"
                        page.screenshot(path=shot, full_page=True)
                    if args.front and run == args.runs[-1].resolve() and name in ("light", "dark"):
                        page.screenshot(path=args.front / f"report-{name}.png", full_page=True, clip={"x": 0, "y": 0, "width": width, "height": 1980})
                    if name == "light":
                        numbers = same_numbers(page, run)
                        same_aggregates(page, run)
                        assert_navigable(page)
                        assert_explorable(page)
                    if args.axe and url.startswith("file:"):
                        assert_accessible(page, args.axe)
                    context.close()
            # The report works without scripts.
            page = browser.new_context(java_script_enabled=False).new_page()
            page.goto(urls[0])
            assert page.locator("svg").count() >= 2 * len(REQUIRED_CHARTS)
            assert page.locator("#segment-profile tbody tr").first.is_visible()
            if args.shots:
                page.pdf(path=args.shots / f"{run.parent.parent.name}-print.pdf", format="A4")
            server.shutdown()
            print(f"{run.parent.parent.name}: {page.locator('.chart').count()} charts, {numbers} numbers equal")
        browser.close()
    print("browser: ok")


if __name__ == "__main__":
    main()
