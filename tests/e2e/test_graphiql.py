"""GraphiQL at /api/graphql (contracts/kvm48.md 4.2): when it comes, that it is our own copy, and that it works in a browser."""
import filecmp
import json
import re
import subprocess

import pytest

from browser import Browser
from conftest import ROOT, clean_env
from kvm48 import Kvm48

BUNDLE = ROOT / "src/api/static/graphiql"


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    s = Kvm48(tmp_path_factory.mktemp("graphiql"))
    yield s
    assert s.stop() == 0


def is_page(r):
    assert (r.status, r["content-type"]) in ((200, "text/html; charset=utf-8"), (200, "application/json"), (400, "application/json"))
    return r["content-type"].startswith("text/html")


def test_who_gets_it(web):
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
    for accept in ("text/html", "text/*", browser, "application/json;q=0.5, text/html;q=0.6"):
        assert is_page(web.fetch(accept=accept)) and is_page(web.fetch(accept=accept, query="{nothing")), accept
        for raw in ("1", ""):
            assert not is_page(web.get(f"/api/graphql?raw={raw}", headers={"Accept": accept}))
        assert not is_page(web.post({"query": "{revision}"}, Accept=accept))
    for accept in (None, "*/*", "application/json", "text/html, application/json", "text/html;q=0.5, application/json;q=0.6", "text/html;q=0"):
        assert not is_page(web.fetch(accept=accept)), accept
    assert not is_page(web.get("/api/graphql?raw", headers={"Accept": "text/html"}))


def test_the_page_asks_nobody_else(web):
    r = web.fetch(accept="text/html")
    assert re.findall(r'(?:src|href)="([^"?]*)', r.text) == [
        "/static/graphiql.css", "/static/graphiql-page.css", "/static/icon.svg", "/static/graphiql.js"]
    assert "script-src 'self';" in r["content-security-policy"] and "//" not in r["content-security-policy"]
    for path in re.findall(r'(?:src|href)="([^"]*)', r.text):
        plain, packed = web.get(path), web.get(path, headers={"Accept-Encoding": "gzip"})
        assert plain.status == packed.status == 200 and "immutable" in plain["cache-control"]
        if len(plain.body) > 65536:
            assert packed["content-encoding"] == "gzip" and len(packed.body) < len(plain.body)
            assert web.get(path, headers={"If-None-Match": plain["etag"]}).status == 304


def test_what_stands_in_it_is_escaped(web):
    evil = '</script><script>alert("1")</script>&amp;<!--\u2028\''
    r = web.fetch(accept="text/html", query=evil, variables=evil, operationName=evil)
    assert r.text.count("<script") == 2 and r.text.count("</script>") == 2 and "alert(\"1\")" not in r.text and "<!--" not in r.text
    begin = re.search(r'<script type="application/json" id="begin">(.*)</script>', r.text)[1]
    assert json.loads(begin) == {"query": evil, "variables": evil, "operationName": evil}


def test_in_a_browser(web):
    b = Browser()
    try:
        host, port = web.address
        b.open(f"http://{host}:{port}/api/graphql?query=query(%24id%3AString!){{perfVod(id%3A%24id){{group}}revision}}"
               "&variables={%22id%22:%22324479006245982208%22}")
        b.click("button[aria-label='Show Documentation Explorer']")
        b.until("(e => e && e.innerText.includes('Root Types'))(document.querySelector('.graphiql-doc-explorer'))")
        b.click(".graphiql-doc-explorer a.graphiql-doc-explorer-type-name")
        docs = b.until("(e => e && e.innerText.includes('perfVods') && e.innerText)(document.querySelector('.graphiql-doc-explorer'))")
        assert "seriesList" in docs and "What can be asked." in docs
        b.click("button[aria-label^='Execute']")
        shown = b.until("(e => e && e.innerText.includes('20190429.1') && e.innerText)(document.querySelector('.result-window'))")
        assert "SNH48" in shown
        assert b.said == []
        assert all(url.startswith((f"http://{host}:{port}/", "data:")) for url in b.loaded), b.loaded
    finally:
        b.close()


@pytest.mark.parametrize("mode, registry", [("npm", None), ("bundled", None), ("auto", None), ("auto", "http://127.0.0.1:9/")])
def test_the_bundle_is_the_same_wherever_it_comes_from(tmp_path, mode, registry):
    """What a build makes of the npm packages, the bundle in the source tree, and what a build without a registry falls back to."""
    env = clean_env()
    if registry:
        env.update(npm_config_registry=registry, npm_config_cache=str(tmp_path / "cache"))
    out = tmp_path / "out"
    r = subprocess.run([ROOT / "tools/graphiql.sh", out, mode], capture_output=True, text=True, env=env)
    assert r.returncode == 0, r.stdout + r.stderr
    assert ("the one in the source tree is used" in r.stderr) == bool(registry)
    names = sorted(p.name for p in BUNDLE.iterdir())
    assert names == sorted(p.name for p in out.iterdir())
    assert filecmp.cmpfiles(BUNDLE, out, names, shallow=False) == (names, [], [])
