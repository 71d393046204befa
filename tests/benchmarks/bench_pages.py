"""The pages in Chromium: weight, time to be usable, Markdown that streams, a flood of events.

Prints, for each page, the compressed script and style of its first load and when it is live and
can be used; the frames a second while 32 KB of Markdown stream in; and how long keys wait in the
console at 5 000 events a second for 20 s. Run ``python -m tests.benchmarks.bench_pages``.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from tests.browser.chromium import ARGUMENTS, find_chromium
from tests.browser.flood import CATCH_SOCKET, flood
from tests.browser.tower_process import TowerProcess

PAGES = ("/", "/operator", "/governance")
LIVE = "ct-status [data-state=live]"

WEIGHT = """() => {
  const loaded = performance.getEntriesByType("resource")
    .filter(({ name }) => /[.](m?js|css)$/.test(new URL(name).pathname));
  const sum = (part) => loaded.reduce((total, entry) => total + entry[part], 0);
  return { files: loaded.length, packed: sum("encodedBodySize"), plain: sum("decodedBodySize") };
}"""

STREAM = """async ([text, chunk]) => {
  await import("/static/js/ui/markdown.js");
  const view = document.createElement("ct-markdown");
  view.className = "prose";
  view.streaming = true;
  document.body.replaceChildren(view);
  const work = [];
  const begun = performance.now();
  for (let end = chunk; end < text.length + chunk; end += chunk) {
    await new Promise(requestAnimationFrame);
    const before = performance.now();
    view.text = text.slice(0, end);
    view.getBoundingClientRect();
    work.push(performance.now() - before);
  }
  return { frames: work.length, seconds: (performance.now() - begun) / 1000, work };
}"""

SECTION = """## Part {number}

A paragraph with **strong** words, `code`, [a link](https://example.org) and a line that is long
enough to be wrapped on most screens, as answers of models usually are.

- one thing
- another, with *emphasis*

```python
def double(n: int) -> int:
    return n * {number}  # twice or more
```

| name | value |
|:-----|------:|
| part | {number} |

"""


def markdown(size: int) -> str:
    """Return a text of ``size`` characters with a little of everything."""
    text = "".join(SECTION.format(number=number) for number in range(size // 300))
    return text[:size]


def opened(browser: Browser, tower: TowerProcess, path: str, script: str = "") -> Page:
    """Open a page and wait until it is live."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    if script:
        page.add_init_script(script)
    page.goto(tower.url + path)
    page.wait_for_selector(LIVE)
    return page


def loads(browser: Browser, tower: TowerProcess, times: int) -> Table:
    """Measure first loads, each with an empty cache."""
    table = Table(title="First load", title_justify="left")
    for column in ("page", "files", "compressed KB", "plain KB", "live after ms (median)"):
        table.add_column(column, justify="left" if column == "page" else "right")
    for path in PAGES:
        ready, weight = [], {}
        for _ in range(times):
            page = opened(browser, tower, path)
            ready.append(float(page.evaluate("performance.now()")))
            weight = page.evaluate(WEIGHT)
            page.close()
        packed, plain = f"{weight['packed'] / 1000:.0f}", f"{weight['plain'] / 1000:.0f}"
        live = f"{statistics.median(ready):.0f}"
        table.add_row(path, str(weight["files"]), packed, plain, live)
    return table


def streams(browser: Browser, tower: TowerProcess) -> Table:
    """Measure Markdown that grows by a piece a frame."""
    table = Table(title="Markdown, 32 KB, a piece a frame", title_justify="left")
    for column in ("characters a piece", "frames", "frames/s", "work ms p50", "p99", "max"):
        table.add_column(column, justify="right")
    text = markdown(32_000)
    for chunk in (64, 256):
        page = opened(browser, tower, "/")
        got = page.evaluate(STREAM, [text, chunk])
        page.close()
        figures = [f"{each:.1f}" for each in spread(got["work"])]
        rate = f"{got['frames'] / got['seconds']:.0f}"
        table.add_row(str(chunk), str(got["frames"]), rate, *figures)
    return table


def floods(browser: Browser, tower: TowerProcess, seconds: int) -> Table:
    """Measure the console in a flood."""
    table = Table(title=f"Console at 5 000 events/s for {seconds} s", title_justify="left")
    for column in ("from a key to", "p50 ms", "p99", "max"):
        table.add_column(column, justify="right")
    page = opened(browser, tower, "/operator", CATCH_SOCKET)
    page.locator("#processes").focus()
    got: dict[str, Any] = flood(page, per_second=5_000, seconds=seconds)
    page.close()
    for name, key in (("its handling", "delays"), ("its frame", "painted")):
        table.add_row(name, *[f"{each:.1f}" for each in spread(got[key])])
    table.caption = (
        f"{got['sent'] / got['seconds']:.0f} events/s came, {got['frames'] / got['seconds']:.0f} "
        f"frames/s, at most {got['rows']} rows in the document, {len(got['delays'])} keys"
    )
    return table


def spread(values: list[float]) -> tuple[float, float, float]:
    """Return the median, the 99th percentile and the highest."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=5, help="first loads of each page")
    parser.add_argument("--seconds", type=int, default=20, help="how long the flood lasts")
    options = parser.parse_args()
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        tower = TowerProcess(Path(folder))
        tower.start()
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        try:
            console.print(loads(browser, tower, options.loads))
            console.print(streams(browser, tower))
            console.print(floods(browser, tower, options.seconds))
        finally:
            browser.close()
            tower.stop()


if __name__ == "__main__":
    main()
