"""Sources: their tests offline (`dozo source test`), new ones (`dozo source new`), and the shipped ones on a shelf against simulated sites."""
import hashlib
import json
import pathlib
import re
import sys
import time
import urllib.parse

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sites"))

from conftest import ROOT, dozo, png, until
from site_http import Answer, Site
from upstreams import MangaDex, PepperCarrot

SHIPPED = sorted(p.parent.name for p in (ROOT / "sources").glob("*/source.lua"))

SOURCE = """
return dozo.source {
  id = "small", name = "Small", version = "1", api = 1, hosts = { "example.org" },
  options = { size = { type = "string", default = "big", help = "" } },
  chapters = function(id)
    local list = {}
    for _, c in ipairs(http.get("https://example.org/" .. id, { headers = { ["X-Size"] = opt.size } }):json()) do
      list[#list + 1] = { id = c, chapter = tonumber(c), title = "Number " .. c }
    end
    return list
  end,
  pages = function(id) return { "https://img.example.net/" .. id .. ".jpg" } end,
  download = function(id, archive) archive:add(http.get("https://example.org/" .. id .. ".bin").body, id .. ".jpg") end,
  status = function() local n = store.get("n") or 0 store.set("n", n + 1) return { next_release = tostring(n) } end,
}
"""
LIST = 'GET https://example.org/list\n\nHTTP/1.1 200 OK\n\n["1", "2"]\n'
CHAPTERS = [{"id": "1", "chapter": 1, "title": "Number 1"}, {"id": "2", "chapter": 2, "title": "Number 2"}]


def make(folder, *cases, source=SOURCE, expect=None, **fixtures):
    """A folder with a source, fixtures (name=text) and what is expected."""
    (folder / "fixtures").mkdir(parents=True, exist_ok=True)
    (folder / "source.lua").write_text(source)
    (folder / "expect.json").write_text(expect if expect is not None else json.dumps({"cases": cases}))
    for name, text in fixtures.items():
        (folder / "fixtures" / f"{name}.http").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def try_it(folder, check=None, *args):
    return dozo("source", "test", folder, *args, cwd=folder, check=check)


# ---- shipped sources ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", SHIPPED)
def test_shipped(tmp_path, name):
    """Every shipped source has a test, which calls every function that it has, and passes it without a network."""
    r = dozo("source", "test", ROOT / "sources" / name, cwd=tmp_path, check=0)
    passed = int(re.search(r"^(\d+) passed, 0 failed$", r.out, re.M).group(1))
    assert passed >= 1 and "FAIL" not in r.out and "note" not in r.out, r.out
    out = json.loads(dozo("source", "test", ROOT / "sources" / name, "--json", cwd=tmp_path, check=0).out)
    assert out["passed"] == passed and out["failed"] == 0 and [s["id"] for s in out["sources"]] == [name]
    assert len(out["sources"][0]["cases"]) == passed and all(c["ok"] for c in out["sources"][0]["cases"])


def test_all_at_once(tmp_path):
    r = dozo("source", "test", *[ROOT / "sources" / name for name in SHIPPED], cwd=tmp_path, check=0)
    assert SHIPPED == ["live.48.cn", "local", "mangadex.org", "peppercarrot.com", "viz.com"]
    assert re.findall(r"^(\S+) \(", r.out, re.M) == SHIPPED


# ---- what fails --------------------------------------------------------------------------------------------------------------

def test_passes(tmp_path):
    make(tmp_path / "s", {"name": "the list", "call": "chapters", "args": ["list", []], "requests": 1, "result": CHAPTERS}, a=LIST)
    r = try_it(tmp_path / "s", 0)
    assert "ok    the list" in r.out and "ok    every recorded exchange is used" in r.out and "2 passed, 0 failed" in r.out
    assert "note  no case calls pages" in r.out


@pytest.mark.parametrize("result,words", [
    ([dict(CHAPTERS[0]), dict(CHAPTERS[1], title="Two")], 'chapters[1].title: expected "Two", got "Number 2"'),
    ([CHAPTERS[0]], 'chapters: expected 1 of them, got 2; the first that is too many: {"id":"2"'),
    (CHAPTERS + [{"id": "3"}], 'chapters: expected 3 of them, got 2; the first that is missing: {"id":"3"}'),
    ([{"id": "1", "chapter": 1}, CHAPTERS[1]], 'chapters[0].title: expected nothing, got "Number 1"'),
    ([dict(CHAPTERS[0], pages=4), CHAPTERS[1]], "chapters[0].pages: expected 4, got null"),
    ([dict(CHAPTERS[0], chapter="1"), CHAPTERS[1]], 'chapters[0].chapter: expected "1", got 1'),
])
def test_other_results(tmp_path, result, words):
    make(tmp_path / "s", {"call": "chapters", "args": ["list", []], "result": result}, a=LIST)
    r = try_it(tmp_path / "s", 1)
    assert "FAIL  case 1: chapters" in r.out and words in r.out and "1 passed, 1 failed" in r.out, r.out
    out = json.loads(try_it(tmp_path / "s", 1, "--json").out)
    assert out["failed"] == 1 and words in out["sources"][0]["cases"][0]["problems"]


def test_order_of_members_and_nulls_do_not_matter(tmp_path):
    shuffled = [{"title": "Number 1", "volume": None, "chapter": 1.0, "id": "1", "team": None, "date": {}}, CHAPTERS[1]]
    make(tmp_path / "s", {"call": "chapters", "args": ["list", []], "result": shuffled}, a=LIST)
    try_it(tmp_path / "s", 0)


@pytest.mark.parametrize("case,words", [
    ({"args": ["list", []], "fails": {"kind": "not_found"}}, "expected a failure of the kind not_found, got ["),
    ({"args": ["away", []], "fails": {"kind": "gone"}}, "expected a failure of the kind gone, got unavailable: small: chapters:"),
    ({"args": ["away", []], "fails": {"text": "in good health"}}, 'expected a failure with "in good health" in it, got: small: chapters:'),
    ({"args": ["away", []], "fails": {"retry_after": 8}}, "expected retry_after 8, got 7.000 s"),
    ({"args": ["away", []], "result": []}, "chapters: failed (unavailable): small: chapters:"),
    ({"args": ["list", []], "requests": 2, "result": CHAPTERS}, "expected 2 requests, got 1"),
])
def test_other_failures(tmp_path, case, words):
    away = "###\nGET https://example.org/away\n\nHTTP/1.1 503 No\nRetry-After: 7\n\nbusy\n"
    make(tmp_path / "s", dict(case, call="chapters"), a="# @optional\n" + LIST + away.replace("###\n", "### @optional\n"))
    r = try_it(tmp_path / "s", 1)
    assert words in r.out and "1 failed" in r.out, r.out


def test_nothing_leaves(tmp_path):
    """A request that is not recorded fails, names itself, and is not made; also when the source does not mind."""
    with Site() as site:
        site.route("/.*", lambda request: Answer("[]"))
        catches = SOURCE.replace("https://example.org/", site.url + "/").replace('{ "example.org" }', '{ "127.0.0.1" }').replace(
            "pages = function(id)", "pages = function(id) pcall(http.post, '%s/secret?q=1', { body = 'x' })" % site.url).replace("https://img.example.net/", site.url + "/")
        make(tmp_path / "s", {"call": "chapters", "args": ["list", []], "result": CHAPTERS},
             {"call": "pages", "args": ["7"], "result": [{"url": site.url + "/7.jpg"}]}, source=catches)
        r = try_it(tmp_path / "s", 1)
        assert f"asked and not recorded: GET {site.url}/list" in r.out and f"asked and not recorded: POST {site.url}/secret?q=1" in r.out, r.out
        assert site.count() == 0 and "0 passed, 2 failed" in r.out


def test_exchanges_that_nobody_needs(tmp_path):
    case = {"call": "chapters", "args": ["list", []], "result": CHAPTERS}
    stale = "### an old one\nGET https://example.org/old\n\nHTTP/1.1 200 OK\n\nx\n"
    r = try_it(make(tmp_path / "s", case, a=LIST + stale), 1)
    assert "FAIL  every recorded exchange is used" in r.out and "fixtures/a.http:7: nobody asks for GET https://example.org/old" in r.out, r.out
    try_it(make(tmp_path / "s", case, a=LIST + stale.replace("an old one", "@optional")), 0)


def test_fields_that_must_be_sent(tmp_path):
    case = {"call": "chapters", "args": ["list", []], "result": CHAPTERS}
    sent = LIST.replace("\n\nHTTP", "\nX-Size: big\n\nHTTP")
    try_it(make(tmp_path / "s", case, a=sent), 0)
    r = try_it(make(tmp_path / "s", dict(case, options={"size": "small"}), a=sent), 1)
    assert "GET https://example.org/list (a.http:1 is recorded with another x-size)" in r.out, r.out
    r = try_it(make(tmp_path / "s", dict(case, options={"sise": "small"}), a=sent), 1)
    assert 'the source has no option "sise"' in r.out


def test_hosts_of_what_comes_back(tmp_path):
    """What dozo would have to ask for and may not."""
    r = try_it(make(tmp_path / "s", {"call": "pages", "args": ["1"], "result": [{"url": "https://img.example.net/1.jpg"}]}), 1)
    assert "pages[0].url: the host of https://img.example.net/1.jpg is not in `hosts`" in r.out


def test_hosts_of_what_is_asked(tmp_path):
    elsewhere = "GET https://example.org/list\n\nHTTP/1.1 302 Found\nLocation: //example.com/list\n\n"
    r = try_it(make(tmp_path / "s", {"call": "chapters", "args": ["list", []], "fails": {"kind": "unsupported", "text": "https://example.com/list"}}, a=elsewhere), 0)
    assert "1 passed" not in r.out


def test_bodies(tmp_path):
    """Exactly so many bytes; up to the next exchange; from a file; redirects; one answer after another."""
    blob = bytes(range(256)) + b"\n### no mark\nGET https://example.org/x\n\n"
    exchanges = [b"GET https://example.org/a.bin\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(blob) + blob,
                 b"\n###\nGET https://example.org/b.bin\n\nHTTP/2 200\n\n< page.jpg\n",
                 b"\n###\nGET https://example.org/c.bin\n\nHTTP/1.1 301 Moved\nLocation: /d.bin\n\n###\nGET https://example.org/d.bin\n\nHTTP/1.1 200 OK\n\nfirst\nline\n\n",
                 b"\n###\nGET https://example.org/d.bin\n\nHTTP/1.1 200 OK\n\n< not alone\nsecond\n", b"\n###\nGET https://example.org/e.bin\n\n! timeout\n"]
    def entry(name, data):
        return [{"name": f"{name}.jpg", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}]
    picture = png()
    cases = [{"call": "download", "args": ["a"], "result": entry("a", blob)}, {"call": "download", "args": ["b"], "result": entry("b", picture)},
             {"calls": [{"call": "download", "args": ["c"], "requests": 2, "result": entry("c", b"first\nline")},
                        {"call": "download", "args": ["d"], "result": entry("d", b"< not alone\nsecond")},
                        {"call": "download", "args": ["d"], "result": entry("d", b"< not alone\nsecond")}]},
             {"call": "download", "args": ["d"], "result": entry("d", b"first\nline")},
             {"call": "download", "args": ["e"], "fails": {"kind": "unavailable"}}]
    make(tmp_path / "s", *cases, a=b"".join(exchanges))
    (tmp_path / "s/fixtures/page.jpg").write_bytes(picture)
    try_it(tmp_path / "s", 0)


def test_what_a_source_keeps(tmp_path):
    """Each case begins with what it says is kept; within a case it stays."""
    once = {"call": "status", "args": ["x"], "result": {"next_release": "0"}}
    again = {"store": {"n": 4}, "calls": [dict(once, result={"next_release": "4"}), dict(once, result={"next_release": "5"})]}
    try_it(make(tmp_path / "s", once, once, again), 0)


def test_files_of_a_case_come_first(tmp_path):
    case = {"call": "chapters", "args": ["list", []], "result": CHAPTERS}
    other = LIST.replace('["1", "2"]', '["2"]')
    try_it(make(tmp_path / "s", case, dict(case, fixtures="b.http", result=CHAPTERS[1:]), a=LIST, b=other), 0)


@pytest.mark.parametrize("text,words", [
    ("GET /list\n\nHTTP/1.1 200 OK\n\nx", 'a.http:1: expected a request such as "GET https://example.org/", got "GET /list"'),
    ("\n\nGET https://example.org/list\n\nHTPP/1.1 200 OK\n\nx", 'a.http:5: expected an answer such as "HTTP/1.1 200 OK"'),
    ("GET https://example.org/list\n\nHTTP/1.1 999 OK\n\nx", "a.http:3: expected an answer"),
    ("GET https://example.org/list\n\nHTTP/1.1 200 OK\nno field\n\nx", "a.http:4: expected a field"),
    ("GET https://example.org/list\n\nHTTP/1.1 200 OK\nContent-Length: 5\n\nx", "Content-Length is 5, 1 bytes are left"),
    ("GET https://example.org/list\n\nHTTP/1.1 200 OK\nContent-Encoding: gzip\n\nx", "leave Content-Encoding out"),
    ("GET https://example.org/list\n\nHTTP/1.1 200 OK\n\n< ../secret", "the name of a file beside this one"),
    ("GET https://example.org/list\n\nHTTP/1.1 200 OK\n\n< nothing.jpg", "No such file"),
    ("GET https://example.org/list\n\n! sulk", "expected ! connect, ! timeout or ! broken"),
    ("GET https://example.org/list\n", "expected an answer"),
])
def test_bad_fixtures(tmp_path, text, words):
    make(tmp_path / "s", {"call": "chapters", "args": ["list", []], "result": CHAPTERS}, a=text)
    r = try_it(tmp_path / "s", 1)
    assert words in r.err and "0 passed, 0 failed, 1 not tested" in r.out, r.err


@pytest.mark.parametrize("text,words", [
    ("{", "expect.json: line 1, column 1"), ("{}", "it expects nothing"), ('{"cases": []}', "it expects nothing"),
    ('{"case": []}', 'unknown member "case"; did you mean "cases"?'), ('{"cases": [{"cal": "pages"}]}', 'cases[0]: unknown member "cal"; did you mean "call"?'),
    ('{"cases": [{"call": "pages", "args": 1}]}', "cases[0].args: expected a list"), ('{"cases": [{}]}', 'cases[0]: expected "call"'),
    ('{"cases": [{"call": "pages", "fails": {"kind": "missing"}}]}', 'there is no kind of failure "missing"'),
    ('{"cases": [{"calls": [{"call": "pages", "store": {}}]}]}', 'cases[0].calls[0]: unknown member "store"'),
    ('{"declares": {"nam": 1}}', 'declares: unknown member "nam"; did you mean "name"?'), ("[1, 2]", "expected an object"),
])
def test_bad_expectations(tmp_path, text, words):
    r = try_it(make(tmp_path / "s", expect=text), 1)
    assert words in r.err and "1 not tested" in r.out, r.err


def test_unknown_function_and_declaration(tmp_path):
    r = try_it(make(tmp_path / "s", {"call": "page"}, {"call": "search", "args": ["x", 1]}), 1)
    assert 'there is no function "page"' in r.out and "small has no function search" in r.out
    r = try_it(make(tmp_path / "s", expect=json.dumps({"declares": {"id": "small", "name": "Large", "hosts": ["example.org"]}})), 1)
    assert 'name: expected "Large", got "Small"' in r.out and "hosts" not in r.out


def test_broken_sources(tmp_path):
    r = try_it(make(tmp_path / "s", source="return 5", expect="{}"), 1)
    assert "source.lua" in r.err and "1 not tested" in r.out
    make(tmp_path / "t", {"call": "chapters", "args": ["list", []], "fails": {"kind": "limit"}},
         source=SOURCE.replace("local list = {}", "local t = {} while true do t[#t + 1] = (\"x\"):rep(1000000 + #t) end"))
    try_it(tmp_path / "t", 0)
    r = dozo("source", "test", "s", "t", "nothing", cwd=tmp_path, check=1)
    assert "1 passed, 0 failed, 2 not tested" in r.out and "nothing: there is no source.lua" in r.err


def test_names_and_wrong_use(tmp_path):
    make(tmp_path / "sources/small", {"call": "chapters", "args": ["list", []], "result": CHAPTERS}, a=LIST)
    assert "2 passed" in dozo("source", "test", "small", cwd=tmp_path, check=0).out
    (tmp_path / "dozo.yaml").write_text("sources: { dir: [./mine] }\n")
    dozo("source", "test", "small", cwd=tmp_path, check=1)
    for args in (["test"], [], ["tset", "x"], ["test", "x", "--dir", "y"], ["new"], ["new", "a", "b"], ["new", "a", "--json"]):
        r = dozo("source", *args, cwd=tmp_path, check=2)
        assert r.out == "" and "Usage: dozo source" in r.err, args
    assert "did you mean test" in dozo("source", "tset", cwd=tmp_path, check=2).err


# ---- recording ---------------------------------------------------------------------------------------------------------------

def test_record(tmp_path):
    """What is not recorded is asked once and written down; after that nothing leaves."""
    picture = png()
    with Site() as site:
        site.route("/list", lambda request: Answer('["1", "2"]', kind="application/json", headers={"Set-Cookie": "id=secret", "Retry-After": "3"}))
        site.route("/a.bin", lambda request: Answer("", 302, headers={"Location": "/b.bin"}))
        site.route("/b.bin", lambda request: Answer(picture, kind="image/png"))
        site.route("/c.bin", lambda request: Answer("text\n### no mark\n\n"))
        source = SOURCE.replace('"https://example.org/" ..', 'opt.site_url ..').replace(
            "options = {", f'options = {{ site_url = {{ type = "string", default = "https://example.org/", help = "" }},')
        cases = [{"call": "chapters", "args": ["list", []], "result": CHAPTERS}, {"call": "download", "args": ["a"], "requests": 2},
                 {"call": "download", "args": ["c"]}, {"call": "download", "args": ["gone"], "fails": {"kind": "not_found"}}]
        for c in cases[1:3]:
            data = picture if c["args"] == ["a"] else b"text\n### no mark\n\n"
            c["result"] = [{"name": c["args"][0] + ".jpg", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}]
        folder = make(tmp_path / "s", source=source, expect=json.dumps({"options": {"site_url": site.url + "/"}, "cases": cases}))
        assert "asked and not recorded" in try_it(folder, 1).out and site.count() == 0
        r = try_it(folder, 0, "--record")
        assert "5 exchanges written to fixtures/recorded.http" in r.out and site.count() == 5, r.out
        agents = {r.headers["User-Agent"] for r in site.asked()}
        assert len(agents) == 1 and agents.pop().startswith("dozo/")
        text = (folder / "fixtures/recorded.http").read_bytes()
        assert b"secret" not in text and b"retry-after: 3" in text.lower() and picture in text
        site.forget()
        assert "5 passed, 0 failed" in try_it(folder, 0).out
        assert "written" not in try_it(folder, 0, "--record").out and (folder / "fixtures/recorded.http").read_bytes() == text
        cases.append({"call": "download", "args": ["b"], "result": [{"name": "b.jpg", **{k: cases[1]["result"][0][k] for k in ("bytes", "sha256")}}]})
        site.route("/d.bin", lambda request: Answer("more"))
        cases.append({"call": "download", "args": ["d"]})
        (folder / "expect.json").write_text(json.dumps({"options": {"site_url": site.url + "/"}, "cases": cases}))
        r = try_it(folder, 1, "--record")
        assert "1 exchange written" in r.out and 'download: expected nothing, got [{"bytes":4' in r.out, r.out
        assert (folder / "fixtures/recorded.http").read_bytes().startswith(text) and site.count() == 1


# ---- new sources -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name,host", [("example.com", "example.com"), ("comics", "example.org"), ("a_b-c.9", "example.org"), ("x" * 63, "example.org")])
def test_new(tmp_path, name, host):
    r = dozo("source", "new", name, cwd=tmp_path, check=0)
    assert f"sources/{name}" in r.out
    folder = tmp_path / "sources" / name
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == ["expect.json", "fixtures/site.http", "source.lua"]
    text = (folder / "source.lua").read_text()
    assert f'id = "{name}"' in text and f'hosts = {{ "{host}" }}' in text and "@" not in text and max(map(len, text.splitlines())) < 200
    r = dozo("source", "test", name, cwd=tmp_path, check=0)
    assert "0 failed" in r.out and "note" not in r.out


def test_new_leaves_what_is_there(tmp_path):
    dozo("source", "new", "mine", "--dir", "here", cwd=tmp_path, check=0)
    (tmp_path / "here/mine/source.lua").write_text("-- work of days\n")
    r = dozo("source", "new", "mine", "--dir", "here", cwd=tmp_path, check=1)
    assert "nothing was changed" in r.err and (tmp_path / "here/mine/source.lua").read_text() == "-- work of days\n"
    (tmp_path / "here/file").write_text("x")
    dozo("source", "new", "file", "--dir", "here", cwd=tmp_path, check=1)
    assert (tmp_path / "here/file").read_text() == "x"


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "-x", "", "x" * 64, "zwölf", "a b", "a\nb", "local"])
def test_new_names(tmp_path, name):
    r = dozo("source", "new", "--dir", "here", "--", name, cwd=tmp_path, check=2)
    assert "is no name for a source" in r.err and not list(tmp_path.glob("**/*.lua"))


# ---- on a shelf --------------------------------------------------------------------------------------------------------------

GIF = bytes.fromhex("47494638396101000100800000ff0000ffffff2c00000000010001000002024401003b")


def shelf(folder, serve, series, section):
    source = series.split("/")[0]
    return serve(folder, f'crawl: {{every: 300ms}}\nshelves:\n  - {{name: s, series: {series}}}\nsources:\n  {source}: {section}\n')


def chapters_of(server, want):
    def look():
        answer = json.loads(server.get("/shelf/s/v1/chapters").body or b"{}")
        return answer if len(answer.get("order", [])) >= want else None
    return until(look, f"{want} chapters")


def pages_of(server, chapter, n):
    got = [server.get(f"/shelf/s/cdn/{chapter}-{i:02d}.jpg") for i in range(1, n + 1)]
    assert [r.status for r in got] == [200] * n and server.get(f"/shelf/s/cdn/{chapter}-{n + 1:02d}.jpg").status == 404
    return [r.body for r in got]


def test_peppercarrot_on_a_shelf(tmp_path, serve):
    with PepperCarrot() as site:
        pictures = {}

        def image(request, folder, lang, name):
            if lang != "en" or name not in site.known(folder)["pages"].values():
                return Answer("none", 404, etag=False)
            return Answer(pictures.setdefault(name, GIF if name.endswith(".gif") else png(8, 12, len(pictures) * 7 % 256)), kind="image/png")
        site.route(r"/0_sources/(ep[^/]+)/low-res/([a-z]{2})_(.+)", image)
        first = site.add(1, "Potion-of-Flight", pages=11, title="The Potion of Flight")
        site.add(2, "Rainbow-potions", pages=1, langs=("fr",))
        site.add(3, "The-secret-ingredients", pages=2)
        site.known(first)["pages"]["3"] = "Pepper_E01P03.gif"
        server = shelf(tmp_path, serve, "peppercarrot.com/pepper-carrot", f'{{ base_url: "{site.url}", rate: "500/second" }}')
        answer = chapters_of(server, 2)
        assert answer["order"] == ["3", "1"]
        assert answer["chapters"]["1"]["metadata"] == {"title": "The Potion of Flight", "page_count": 14, "volume": None, "volume_cover": False}
        files = site.known(first)["pages"]
        wanted = [files[k] for k in ["cover", "title", *map(str, range(1, 12)), "credits"]]
        assert pages_of(server, 1, 14) == [pictures[name] for name in wanted] and len(set(wanted)) == 14
        assert server.get("/shelf/s/cdn/1-05.jpg")["Content-Type"] == "image/gif"
        assert len(pages_of(server, 3, 5)) == 5
        # A new episode costs the list, its titles and its pages; what is kept is not asked for again.
        site.forget()
        site.add(4, "Stroke-of-genius", pages=1)
        assert chapters_of(server, 3)["order"] == ["4", "3", "1"]
        asked = [r.path for r in site.asked() if not r.path.endswith("episodes-v1.json")]
        assert len(asked) == 5 and all("ep04" in path for path in asked), asked


def test_mangadex_on_a_shelf(tmp_path, serve):
    manga = "a96676e5-8ae2-425e-b549-7f15dd34a6d8"
    with MangaDex() as site:
        shades = iter(range(1, 250))
        pages = {n: [png(8, 12, next(shades)) for _ in range(3)] for n in ("1", "1.5", "2", "10")}
        site.add_manga(manga, "Komi")
        for i, (n, volume, title) in enumerate([("10", None, None), ("1", "1", "A Normal Person"), ("2", "1", ""), ("1.5", None, "Extra")]):
            site.add_chapter(f"{i:08x}-1111-4222-8333-444455556666", manga, n, pages[n], volume=volume, title=title)
        site.add_chapter("0000ffff-1111-4222-8333-444455556666", manga, "11", [], external="https://publisher.example/11")
        server = shelf(tmp_path, serve, f"mangadex.org/{manga}", f'{{ base_url: "{site.url}", uploads_url: "{site.url}", rate: "500/second" }}')
        answer = chapters_of(server, 4)
        assert answer["order"] == ["10", "2", "1.5", "1"]
        meta = {k: (v["metadata"]["title"], v["metadata"]["volume"], v["metadata"]["page_count"]) for k, v in answer["chapters"].items()}
        assert meta == {"10": (None, None, 3), "2": (None, "1", 3), "1.5": ("Extra", None, 3), "1": ("A Normal Person", "1", 3)}
        for n, wanted in pages.items():
            assert pages_of(server, n, 3) == wanted, n
        feed = site.asked(rf"/manga/{manga}/feed")[0]
        assert urllib.parse.unquote(feed.url).count("contentRating[]=") == 4 and feed.query["translatedLanguage[]"] == ["en"]
        assert site.count(r"/at-home/server/0000ffff.*") == 0
        # 429 with X-RateLimit-Retry-After stops the host for that long, and then it goes on.
        site.forget()
        site.add_chapter("00000005-1111-4222-8333-444455556666", manga, "12", [png(8, 12, 251)])
        limited = iter([True])

        def storm(handler, request):
            if not next(limited, False):
                return False
            handler.answer(request, Answer("{}", 429, kind="application/json", headers={"X-RateLimit-Retry-After": str(int(time.time()) + 2)}, etag=False))
            return True
        site.misbehave(r"/at-home/server/.*", storm)
        assert chapters_of(server, 5)["order"][0] == "12" and pages_of(server, 12, 1) == [png(8, 12, 251)]
        assert site.count(r"/at-home/server/.*") == 2


def test_the_only_series_needs_no_name(tmp_path):
    with PepperCarrot() as site:
        site.add(1, "Potion-of-Flight", pages=2)
        (tmp_path / "dozo.yaml").write_text(f'data_dir: ./data\nsources:\n  peppercarrot.com: {{ base_url: "{site.url}", rate: "500/second" }}\n')
        assert "1 chapter new, 5 pages" in dozo("crawl", "peppercarrot.com", cwd=tmp_path, check=0).out
        assert "name a series as well" in dozo("crawl", "mangadex.org", cwd=tmp_path).err
        # Again, by its name: the same series, in which everything is kept.
        site.forget()
        dozo("crawl", "peppercarrot.com/pepper-carrot", cwd=tmp_path, check=0)
        assert [r.path for r in site.asked()] == ["/0_sources/episodes-v1.json"]
