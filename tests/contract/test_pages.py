"""The pages for people, as HTTP serves them: who gets which, under which policy, how compressed."""

import re
import threading
from pathlib import Path

import httpx2
import pytest

from server import pages
from server.page_files import takes_gzip
from server.page_modules import with_preloads
from server.pages import PageFile, static_dir

pytestmark = pytest.mark.asyncio(loop_scope="module")

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGES = {
    "/": "<ct-app>",
    "/operator": "<ct-console>",
    "/governance": "<ct-governance>",
    "/api/v1/governance/dashboard": "<ct-governance>",
}


@pytest.mark.parametrize("path", PAGES)
async def test_each_page_comes_under_a_strict_policy(api: httpx2.AsyncClient, path: str) -> None:
    """Without credentials, never stored, with the hash of its own import map."""
    answer = await api.get(path, headers=HTML)
    assert answer.status_code == 200
    assert PAGES[path] in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert policy.count("'sha256-") == 1
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", PAGES)
async def test_each_page_announces_its_modules(api: httpx2.AsyncClient, path: str) -> None:
    """All that it needs to start, behind the import map, and nothing that is not there."""
    html = (await api.get(path, headers=HTML)).text
    announced = re.findall(r'<link rel="modulepreload" href="([^"]+)"', html)
    assert len(announced) == len(set(announced)) > 30
    assert {
        "/static/js/client.js",
        "/static/js/wire/connection.js",
        "/static/vendor/lit-html/lit-html.js",
        "/static/vendor/signals-core/signals-core.mjs",
    } <= set(announced)
    assert html.index("importmap") < html.index("modulepreload") < html.index('type="module"')
    for url in announced:
        assert (await api.head(url)).status_code == 200


async def test_the_pages_share_their_head() -> None:
    """But for title, own styles and main module: the next change of one is one of all three."""
    own = re.compile(
        r"<title>.*</title>|<link rel=\"stylesheet\" href=\"/static/css/.*|"
        r"<script type=\"module\" src=.*"
    )
    files = ("index.html", "operator.html", "governance.html")
    heads = {
        re.sub(r"\n\s*\n", "\n", own.sub("", html.partition("</head>")[0]))
        for html in ((static_dir() / file).read_text() for file in files)
    }
    assert len(heads) == 1


async def test_a_page_is_read_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hundred modules are read with it, once: meanwhile the connections are served."""
    readers: list[threading.Thread] = []

    def noted(html: bytes, static: Path) -> bytes:
        readers.append(threading.current_thread())
        return with_preloads(html, static)

    monkeypatch.setattr(pages, "with_preloads", noted)
    file = PageFile(static_dir() / "operator.html")
    assert b"modulepreload" in (await file.page()).html
    assert await file.page() is await file.page()
    assert len(readers) == 1
    assert readers[0] is not threading.main_thread()


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/plain"])
async def test_programs_do_not_get_the_page_of_the_dashboard(
    api: httpx2.AsyncClient, accept: str
) -> None:
    """The page is for those who name text/html; others are answered by the endpoint."""
    answer = await api.get("/api/v1/governance/dashboard", headers={"Accept": accept})
    assert "text/html" not in answer.headers["content-type"]


async def test_other_methods_of_the_dashboard_are_the_endpoints(api: httpx2.AsyncClient) -> None:
    """A page has no POST that could be answered otherwise than by the table of endpoints."""
    answer = await api.post("/api/v1/governance/dashboard", headers=HTML)
    assert answer.status_code in {404, 405}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_scripts_are_compressed_for_those_who_take_it(api: httpx2.AsyncClient) -> None:
    """As gzip with an ETag of its own and the very same bytes inside; caches tell them apart."""
    path = "/static/js/client.js"
    whole = (static_dir() / "js/client.js").read_bytes()
    plain = await api.get(path, headers={"Accept-Encoding": "identity"})
    packed = await api.get(path, headers={"Accept-Encoding": "br, gzip"})
    assert plain.content == packed.content == whole
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(whole) / 2
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert plain.headers["etag"] != packed.headers["etag"]


async def test_a_known_compressed_file_costs_a_304(api: httpx2.AsyncClient) -> None:
    """Each form is revalidated by its own ETag."""
    path, gzips = "/static/js/client.js", {"Accept-Encoding": "gzip"}
    etag = (await api.get(path, headers=gzips)).headers["etag"]
    again = await api.get(path, headers={**gzips, "If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == etag
    plain = await api.get(path, headers={"Accept-Encoding": "identity", "If-None-Match": etag})
    assert plain.status_code == 200


async def test_a_range_is_one_of_the_plain_file(api: httpx2.AsyncClient) -> None:
    """Bytes of a compressed form would be no use to whoever asks for a part."""
    headers = {"Accept-Encoding": "gzip", "Range": "bytes=0-3"}
    answer = await api.get("/static/js/client.js", headers=headers)
    assert (answer.status_code, answer.content) == (206, b"/**\n")
    assert "content-encoding" not in answer.headers


async def test_a_head_says_what_a_get_would_send(api: httpx2.AsyncClient) -> None:
    """The same headers, no body."""
    path, gzips = "/static/css/base.css", {"Accept-Encoding": "gzip"}
    got, headed = await api.get(path, headers=gzips), await api.head(path, headers=gzips)
    assert headed.content == b""
    for name in ("etag", "content-encoding", "content-length", "content-type"):
        assert headed.headers[name] == got.headers[name]


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("gzip", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("deflate, gzip ; q=1", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("br", False),
        ("x-gzip2", False),
        ("", False),
    ],
)
async def test_what_a_browser_takes(header: str, takes: bool) -> None:
    """Accept-Encoding as RFC 9110 has it."""
    assert takes_gzip(header) is takes
