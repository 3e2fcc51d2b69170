"""A dozo with a simulated mangadex.org behind it, and a client of the library API.

The site has what contracts/nagato.md 12 wants: manga m1 "Dr. Stone / X" with chapters c1-c5 and c6 = 10.5 without volume, title and
team, two PNG pages each, and a list that comes in pieces of four.
"""
import json
import pathlib
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sites"))

import pytest
import site_http as faults
from conftest import PATIENCE, png, until
from site_http import Answer
from upstreams import MangaDex

SITE = "mangadex.org"
MISSING_REF = "Request is missing the URL parameter or the Site and ID parameters"
NOT_JSON = "Content of request is not well-formed JSON"
FINAL = ("COMPLETE", "FAILED", "CANCELLED")


def pages_of(chapter, n=2):
    """Real PNGs, other ones for each chapter."""
    base = 1 + int(chapter[1:]) * 16 % 200
    return [png(8, 12 + int(chapter[1:]), (base + i) % 250) for i in range(n)]


def fill(dex):
    dex.feed_limit = 4
    dex.add_manga("m1", "Dr. Stone / X", cover=png(20, 30, 7), links={"al": "98416", "raw": "https://example.org/é"})
    for n in range(1, 6):
        dex.add_chapter(f"c{n}", "m1", str(n), pages_of(f"c{n}"), volume="1", title=f"Title {n}", team="Team & Co")
    dex.add_chapter("c6", "m1", "10.5", pages_of("c6"), team=None)
    return dex


class Nagato:
    def __init__(self, folder, serve, dex, env=None, args=(), **settings):
        self.folder, self.serve, self.env = folder, serve, env
        self.dex, self.settings, self.args = dex, settings, args
        self.start()

    def config(self):
        s = dict(downloads="{destination: out}", crawl="{retries: 0}", source="", sources="", more="")
        s.update(self.settings)
        return f"""
data_dir: data
downloads: {s["downloads"]}
crawl: {s["crawl"]}
{s["more"]}
sources:
  connect_timeout: {PATIENCE}s
  read_timeout: {PATIENCE}s
{s["sources"]}
  mangadex.org: {{base_url: "{self.dex.url}", uploads_url: "{self.dex.url}", rate: 2000/second{s["source"]}}}
"""

    def start(self):
        self.server = self.serve(self.folder, self.config(), env=self.env, args=self.args)

    # ---- asking

    def ask(self, method, path, body=None, headers=None, **params):
        query = urllib.parse.urlencode(params, doseq=True)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        r = self.server.request(method, f"/api/{path}" + (f"?{query}" if query else ""), headers=headers, body=body or b"")
        assert r["X-Content-Type-Options"] == "nosniff" or r.status == 405, r.headers
        if r.status >= 400 and r.status != 405:
            assert r["Content-Type"] == "text/plain; charset=utf-8", r.headers
        return r

    def get(self, path, status=200, **params):
        r = self.ask("GET", path, **params)
        assert r.status == status, (r.status, r.text)
        return r

    def json(self, path, method="GET", status=200, body=None, **params):
        """The value, which has to be written as Python's json.dumps does."""
        r = self.ask(method, path, body=body, **params)
        assert r.status == status, (r.status, r.text)
        assert r["Content-Type"] == "application/json"
        value = json.loads(r.body)
        assert r.text == json.dumps(value)
        return value

    def words(self, path, status, method="GET", **params):
        r = self.ask(method, path, **params)
        assert r.status == status, (r.status, r.text)
        return r.text

    def empty(self, method, path, status, **params):
        r = self.ask(method, path, **params)
        assert (r.status, r.body) == (status, b""), (r.status, r.text)

    # ---- downloads

    def state(self, download):
        return self.json(f"dl_state/{urllib.parse.quote(download, safe='')}")

    def download(self, chapter, **params):
        got = self.json("download/chapter", "POST", 202, site=SITE, id=chapter, **params)
        assert isinstance(got, str) and len(got) == 22
        return got

    def wait(self, download, *states):
        """Until it is in one of the states (any end, when none is given); another end is a failure."""
        def there():
            s = self.state(download)
            if s["status"] in (states or FINAL):
                return s
            assert s["status"] not in FINAL, s
            return None
        return until(there, f"one of {states or FINAL}")

    def finished(self, chapter, **params):
        return self.wait(self.download(chapter, **params), "COMPLETE")

    def files(self):
        """What lies in the destination, but for the hidden folders of unfinished downloads."""
        out = self.folder / "out"
        names = [p.relative_to(out) for p in out.rglob("*") if p.is_file()]
        return sorted(str(p) for p in names if not any(part.startswith(".dozo-") for part in p.parts))

    def mark(self, chapter):
        return self.json("chapter/mark", site=SITE, id=chapter)


@pytest.fixture
def dex():
    site = fill(MangaDex())
    yield site
    site.close()


@pytest.fixture
def start(tmp_path, serve, dex):
    def begin(**settings):
        return Nagato(tmp_path, serve, dex=dex, **settings)
    return begin


@pytest.fixture
def n(start):
    return start()


__all__ = ["Answer", "MISSING_REF", "NOT_JSON", "PATIENCE", "SITE", "Nagato", "dex", "faults", "n", "pages_of", "start"]
