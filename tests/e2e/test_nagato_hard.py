"""The library API on bad days: clients of the original that know nothing of this program, crawlers and servers that die, sites that hang or
are not there, and requests that nobody should send."""
import concurrent.futures
import json
import os
import signal
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

from conftest import back_of, png, until
from nagato_rig import Answer, PATIENCE, SITE, dex, faults, n, pages_of, start

CHAPTER = "https://mangadex.org/chapter/c1"


# ---- a script that was written for the original -----------------------------------------------------------------------------


def script(base, manga):
    """Fetches what is new of a manga, looks until all is there, and clears the history: what people run from cron."""
    def call(method, path, data=None, **params):
        url = f"{base}/api/{path}" + ("?" + urllib.parse.urlencode(params, doseq=True) if params else "")
        headers = {"Content-Type": "application/json"} if data is not None else {}
        request = urllib.request.Request(url, method=method, headers=headers, data=None if data is None else json.dumps(data).encode())
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()

    assert call("GET", "ping") == (200, "pong")
    if call("GET", "manga/fav", url=manga) == (200, "false"):
        assert call("PUT", "manga/fav", url=manga)[0] == 201
    status, ids = call("POST", "download/allnew")
    ids = json.loads(ids)
    assert status == 202
    deadline = time.monotonic() + PATIENCE
    while ids:
        states = json.loads(call("GET", "dl_states/agregate", **{"ids[]": ids})[1])
        if all(states[i]["status"] == "COMPLETE" for i in ids):
            break
        assert time.monotonic() < deadline and not any(states[i]["status"] in ("FAILED", "CANCELLED") for i in ids), states
        time.sleep(0.1)
    for i in ids:
        assert json.loads(call("GET", f"dl_state/{i}")[1])["completion"] == 1.0
    deleted = json.loads(call("DELETE", "downloads/history")[1])["deleted"]
    assert deleted == len(ids)
    try:
        call("GET", "dl_state/unknown")
    except urllib.error.HTTPError as e:
        assert (e.code, e.read().decode()) == (404, "No download registered with the id unknown")
    return len(ids)


def test_a_script_for_the_original(n):
    base = "http://%s:%d" % n.server.address
    assert script(base, "https://mangadex.org/title/m1/dr-stone") == 6
    assert script(base, "https://mangadex.org/title/m1/dr-stone") == 0
    assert len(n.files()) == 6 and set(n.json("manga/marked", site=SITE, id="m1").values()) == {"DOWNLOADED"}


# ---- who dies ---------------------------------------------------------------------------------------------------------------


def slow_pages(n, seconds=0.3):
    n.dex.misbehave("/data/.*", faults.slow(seconds))


def assert_archive(n, pages):
    """Two files and nothing unfinished; the one of c50 is whole."""
    assert len(n.files()) == 2
    (file,) = [f for f in n.files() if "C50" in f]
    with zipfile.ZipFile(n.folder / "out" / file) as z:
        assert [z.read(i) for i in z.namelist()] == pages


def test_a_killed_crawler_goes_on(n):
    pages = [png(9, 12, i) for i in range(20)]
    n.dex.add_chapter("c50", "m1", "50", pages)
    slow_pages(n)
    got, queued = n.download("c50"), n.download("c2")
    until(lambda: n.state(got)["completion"] > 0.2, "some pages")
    back = back_of(n.server)
    os.kill(back, signal.SIGKILL)
    until(lambda: back_of(n.server) not in (None, back), "another crawler")
    n.dex.behave()
    assert n.wait(got, "COMPLETE")["size"] == sum(map(len, pages)) and n.wait(queued, "COMPLETE")
    # Pages that were here were not fetched again, but for those that were on their way.
    assert n.dex.count("/data/c50/.*") <= len(pages) + 8
    assert_archive(n, pages)


def test_a_killed_server_goes_on(n):
    pages = [png(9, 12, i) for i in range(20)]
    n.dex.add_chapter("c50", "m1", "50", pages)
    slow_pages(n)
    n.empty("PUT", "chapter/mark/IGNORED", 201, site=SITE, id="c3")
    n.empty("PUT", "manga/fav", 201, site=SITE, id="m1")
    got, queued = n.download("c50", addMark="true"), n.download("c2")
    until(lambda: n.state(got)["completion"] > 0.2, "some pages")
    n.server.process.kill()
    n.server.process.wait()
    n.dex.behave()
    n.start()
    assert n.state(queued)["status"] in ("QUEUED", "PROCESSING", "SAVING", "COMPLETE")
    assert n.wait(got, "COMPLETE")["completion"] == 1.0 and n.wait(queued, "COMPLETE")
    assert n.dex.count("/data/c50/.*") <= len(pages) + 8
    assert (n.mark("c3"), n.mark("c50"), n.json("manga/fav", site=SITE, id="m1")) == ("IGNORED", "DOWNLOADED", True)
    assert_archive(n, pages)


def test_without_a_crawler(start):
    """What the catalog knows is answered and written; what needs a site is 503 for now."""
    n = start(args=("--role", "front"))
    for method, path, params in (("GET", "manga/info", {"site": SITE, "id": "m1"}), ("GET", "sites", {}), ("GET", "chapter/mark", {"url": CHAPTER}),
                                 ("POST", "download/chapter", {"site": SITE, "id": "c1"}), ("PUT", "manga/fav", {"site": SITE, "id": "m1"}),
                                 ("PUT", "chapter/mark/IGNORED", {"site": SITE, "id": "c1"}), ("GET", "resource/site", {"url": CHAPTER})):
        r = n.ask(method, path, **params)
        assert (r.status, r["Retry-After"]) == (503, "5"), (path, r.text)
    assert n.mark("c1") is None and n.json("manga/favs") == {} and n.json("dl_states/agregate") == {}
    assert n.json("manga/fav", site=SITE, id="m1") is False and n.json("manga/marked", site=SITE, id="m1") == {}
    assert n.json("cancel/downloads", "POST", ids="x") == {"x": False} and n.json("download/retry", "POST") == {"retried": 0}
    n.empty("DELETE", "chapter/mark", 200, site=SITE, id="c1")
    assert n.ask("DELETE", "downloads/history").body == b'{"deleted":0}\n'


def test_marks_that_are_known_need_no_crawler(start):
    n = start()
    n.empty("PUT", "chapters/mark/IGNORED", 201, body={"sites": {SITE: ["c1", "c2"]}})
    n.empty("PUT", "manga/fav", 201, site=SITE, id="m1")
    queued = n.finished("c3")
    assert n.server.stop() == 0
    n.args = ("--role", "front")
    n.start()
    n.empty("PUT", "chapters/mark/DOWNLOADED", 201, body={"sites": {SITE: ["c1", "c2"]}})
    assert n.json("manga/marked", site=SITE, id="m1") == {"c1": "DOWNLOADED", "c2": "DOWNLOADED"}
    assert n.json("manga/favs") == {SITE: ["m1"]} and list(n.json("dl_states/agregate").values()) == [queued]
    n.empty("DELETE", "manga/fav", 200, site=SITE, id="m1")
    assert n.json("manga/fav", site=SITE, id="m1") is False


# ---- sites that hang ---------------------------------------------------------------------------------------------------------


def test_a_site_that_hangs_stops_nobody(start):
    n = start(more="http: {threads: 2, graceful_timeout: 1s}")
    n.json("manga/info", site=SITE, id="m1")
    n.dex.misbehave("/manga/h.*", faults.slow(4))
    waiting = [n.server.connect() for _ in range(100)]
    for i, c in enumerate(waiting):
        c.send(f"GET /api/manga/info?site={SITE}&id=h{i} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    for _ in range(10):
        assert n.server.get("/healthz").status == 200 and n.get("ping").text == "pong"
        assert n.json("manga/fav", site=SITE, id="m1") is False
    # Who hangs up is not waited for: the calls end, and what comes after them is answered.
    for c in waiting[:90]:
        c.close()
    for c in waiting[90:]:
        r = c.response()
        assert r.status in (404, 500, 503), r.text
        c.close()
    assert n.dex.count("/manga/h.*") < 60
    n.dex.behave()
    assert n.json("manga/info", site=SITE, id="m1")["id"] == "m1"
    n.dex.misbehave("/manga/h.*", faults.slow(30))
    for i in range(20):
        c = n.server.connect()
        c.send(f"GET /api/manga/info?site={SITE}&id=h{i + 200} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        waiting.append(c)
    assert n.server.stop() == 0  # also with calls open


def test_a_site_that_is_not_there(start, dex):
    dex.close()
    r = start().ask("GET", "manga/info", site=SITE, id="m1")
    assert r.status == 500 and "<" not in r.text and "127.0.0.1" in r.text, r.text
    assert "http.get" not in r.text, "nobody who asks this API knows the functions of sources"


STUBBORN = """
local function stubborn(_, tries) return tries <= 2 end
return dozo.source {
  id = "stubborn.example", name = "Stubborn", version = "1.0.0", api = 1, langs = { "en" },
  match = { "stubborn.example/" }, hosts = { "stubborn.example" },
  options = { base_url = { type = "string", default = "https://stubborn.example", help = "Where it is" } },
  resolve = function(address) return "series", address:match("([^/]+)$") end,
  chapters = function() return {} end,
  series = function(id)
    local url = opt.base_url .. "/" .. id
    if id == "loop" then return { id = id, title = http.aggregate(url, function() return "x", url end) } end
    return { id = id, title = http.get(url, { on_status = { [503] = stubborn } }).body }
  end,
}
"""


def test_sources_that_try_again(tmp_path, start, dex):
    """25 of the contract: a handler decides how often, a list that leads back to itself is no list."""
    lua = tmp_path / "lua/stubborn"
    lua.mkdir(parents=True)
    (lua / "source.lua").write_text(STUBBORN)
    n = start(sources=f'  dir: [lua]\n  stubborn.example: {{base_url: "{dex.url}", rate: 2000/second}}')
    assert n.json("sites") == sorted(n.json("sites"), key=lambda s: -len(s)) and "stubborn.example" in n.json("sites")
    dex.route("/(fine|loop)", lambda request, which: Answer("A title"))
    assert n.json("manga/info", url="stubborn.example/fine")["title"] == "A title"
    dex.misbehave("/bad", faults.status(503))
    assert n.words("manga/info", 500, url="stubborn.example/bad").endswith("failed after 3 attempts with return code 503 Service Unavailable")
    assert dex.count("/bad") == 3
    assert n.words("manga/info", 500, url="stubborn.example/loop").startswith("Loop detected")


# ---- requests that nobody should send ----------------------------------------------------------------------------------------


def test_long_and_strange_texts(n):
    long = "https://mangadex.org/title/" + "a" * (1024 * 1024)
    r = n.ask("PUT", "chapters/mark/IGNORED", body={"urls": [long]})
    assert r.status == 400 and len(r.text) < 200
    assert n.server.get("/api/manga/info?url=" + long).status in (414, 431)
    assert n.ask("GET", "manga/info", url=long[:9000]).status == 400 == n.ask("GET", "manga/info", site=SITE, id="a" * 5000).status
    assert n.ask("PUT", "chapters/mark/IGNORED", body={"sites": {SITE: ["a" * 5000]}}).status == 400
    assert n.ask("PUT", "chapters/mark/IGNORED", body={"sites": {SITE: [f"x{i}" for i in range(10001)]}}).status == 413
    assert n.ask("PUT", "chapters/mark/IGNORED", body={"urls": [f"mangadex.org/chapter/x{i}" for i in range(10001)]}).status == 413
    assert n.ask("PUT", "chapters/mark/IGNORED", body=b'{"urls": ["' + b"a" * (4 << 20) + b'"]}', headers={"Content-Type": "application/json"}).status == 413
    assert n.ask("POST", "cancel/downloads", body=[f"x{i}" for i in range(10001)]).status == 413
    assert n.ask("POST", "cancel/downloads", body=[f"x{i}" for i in range(10000)]).status == 200
    for path in ("manga/id", "manga/info", "manga/cover", "manga/chapters", "manga/fav"):
        assert n.words(path, 400, url="https://mangadex.org/title/" + "a" * 256) == "the id in the URL is longer than 255 bytes"
    asked = n.dex.count(".*")
    for path in ("manga/info", "manga/cover", "manga/chapters", "chapter/info"):
        assert n.words(path, 400, site=SITE, id="..") == '".." is no id'
        assert n.words(path, 400, site=SITE, id="m1/../m1") == '"m1/../m1" is no id'
    assert n.dex.count(".*") == asked
    html = "mangadex.org/title/<script>alert(1)</script>"
    for path in ("manga/id", "chapter/id", "manga/info"):
        r = n.ask("GET", path, url=html)
        assert r.status == 400 and r.text == f"URL {html} does not link to any {'manga' if path == 'chapter/id' else 'manga nor chapter'} on the Mangadex website"
    r = n.ask("GET", "manga/info", url="<b>example.com</b>")
    assert (r.status, r.text) == (404, 'No downloader found for URL "<b>example.com</b>"')


def test_a_site_that_sends_nul(n):
    """One odd title stops neither the manga nor the list that it is in."""
    title = "a\0b <\u202e"
    n.dex.add_manga("m9", title)
    n.dex.add_chapter("c90", "m9", "1", pages_of("c90"), title=title, team=title)
    assert n.json("manga/info", site=SITE, id="m9")["title"] == title
    assert n.json("chapter/info", site=SITE, id="c90")["team"]["name"] == title
    assert n.json("manga/chapters", site=SITE, id="m9", includeMarks="true")["c90"]["title"] == title
    assert n.finished("c90")["file"] == "ab <\u202e -.- C1 ab <\u202e"


def test_a_title_without_end(n):
    n.dex.add_chapter("c91", "m1", "91", pages_of("c91"), title="é" * 3000)
    chapters = n.json("manga/chapters", site=SITE, id="m1")
    assert len(chapters) == 7 and chapters["c91"]["title"] == "é" * 2000 and chapters["c1"]["title"] == "Title 1"
    assert n.finished("c91")


def test_names_that_somebody_points_at_this_machine(start):
    """DNS rebinding: the page's name leads here by now, so for its browser it is of the same origin."""
    n = start()

    def write(host, origin=True):
        return n.server.request("DELETE", "/api/downloads/history", host=host, headers={"Origin": f"http://{host}"} if origin else {}).status
    port = n.server.address[1]
    assert [write(f"{h}:{port}") for h in ("127.0.0.1", "[::1]", "localhost", "LocalHost", "192.168.7.9")] == [200] * 5
    assert [write(f"{h}:{port}") for h in ("evil.test", "127.0.0.1.evil.test", "1.2.3", "localhost.evil.test")] == [403] * 4
    r = n.server.request("POST", "/-/downloads/retry", host="evil.test", headers={"Origin": "http://evil.test"})
    assert r.status == 403 and "http.allowed_hosts" in r.text
    assert write("evil.test", origin=False) == 200  # no browser
    # Over https a certificate of that name would be needed as well.
    assert n.server.request("DELETE", "/api/downloads/history", host="nas.test", headers={"Origin": "https://nas.test"}).status == 200
    assert n.server.stop() == 0
    for setting in ('allowed_hosts: [nas.test, 127.0.0.1]', 'allowed_hosts: ["*", nas.test]', 'cors_origins: ["http://nas.test"]'):
        n.settings["more"] = "http: {%s}" % setting
        n.start()
        assert (write("nas.test"), write("evil.test")) in ((200, 403), (200, 400)), setting
        assert n.server.stop() == 0


def test_bytes_that_are_no_text(n):
    get = n.server.get
    for query in ("url=%00", "url=a%00b", "url=%ff", "site=%fe&id=m1", "id=%c3%28&site=mangadex.org", "ids=%ff"):
        for path in ("manga/info", "chapter/mark", "dl_states/agregate"):
            r = get(f"/api/{path}?{query}")
            assert (r.status, r["Content-Type"]) == (400, "text/plain; charset=utf-8"), (path, query)
    # Percent-encoded parts are the same parts.
    assert json.loads(get("/api/manga/fav?s%69te=mangadex%2Eorg&%69d=%6D1").body) is False
    assert json.loads(get("/api/manga/id?url=https%3A%2F%2Fmangadex.org%2Ftitle%2Fm1").body)["id"] == "m1"
    for bad in ("-rf", "--help", "../../etc/passwd", "'; DROP TABLE job; --", "%", "\u202e", "m1/../m1", "?", "#", " "):
        r = n.ask("GET", "manga/info", site=SITE, id=bad)
        assert r.status in (400, 404, 500) and r["Content-Type"] == "text/plain; charset=utf-8", (bad, r.text)
        assert n.json("chapter/mark", site=SITE, id=bad) is None and n.json("manga/fav", site=SITE, id=bad) is False
        n.empty("DELETE", "chapter/mark", 200, site=SITE, id=bad)
        n.empty("PUT", "manga/fav", 201, site=SITE, id=bad)
    assert len(n.json("manga/favs")[SITE]) == 10


def test_many_at_once(n):
    """Marks from all sides: each request is whole, and the last word about a chapter is one of those that were said."""
    def mark(i):
        return n.ask("PUT", f"chapters/mark/{('IGNORED', 'DOWNLOADED')[i % 2]}", body={"sites": {SITE: ["c1", "c2", "c3"]}}).status
    n.empty("PUT", "chapters/mark/IGNORED", 201, body={"sites": {SITE: ["c1", "c2", "c3"]}})
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(mark, range(100))) == {201}
        assert len(set(n.json("manga/marked", site=SITE, id="m1").values())) == 1
        ids = list(pool.map(lambda _: n.download("c1"), range(20)))
    assert len(set(ids)) == 20
