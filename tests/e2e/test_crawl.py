"""The crawl against simulated sites: chapters whole or not at all, what stands around them, and sites that behave badly."""
import hashlib
import json
import math
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sites"))

import site_http as faults
from conftest import DOZO, PATIENCE, back_of, clean_env, dozo, png, until
from site_http import Answer, Site
from upstreams import Covers, Viz, Wiki, as_json, jpeg, picture

SHUFFLED, ORDERED = [picture("shuffled-1.jpg"), picture("shuffled-2.jpg")], [picture("ordered-1.jpg"), picture("ordered-2.jpg")]
BLANK, PLAIN = picture("blank.jpg"), picture("plain.jpg")
CDN, API, SLUG = "cdn.komi.zip", "api.komi.zip", "komi-cant-communicate"


def settings(every="300ms", lease="60s", **crawl):
    more = "".join(f", {k}: {v}" for k, v in crawl.items())
    return f"crawl: {{every: {every}, retry_max: 500ms, job_lease: {lease}{more}}}\n"


class Komi:
    """A publisher, a wiki, an API of covers, and a dozo that looks at them."""

    def __init__(self, folder, serve):
        self.folder, self.serve = folder, serve
        self.viz, self.wiki, self.covers = Viz(), Wiki(), Covers()

    def config(self, crawl=settings(), more="", sources="", read_timeout=f"{PATIENCE}s"):
        return f"""
data_dir: data
log: {{level: debug}}
{crawl}{more}
shelves:
  - name: komi
    series: viz.com/{SLUG}
    api_hosts: [{API}]
    cdn_hosts: [{CDN}]
    links: {{viz: "{{source_url}}", komizip: "https://read.komi.zip/{{chapter}}"}}
sources:
  connect_timeout: 2s
  read_timeout: {read_timeout}
{sources}
  viz.com: {{base_url: "{self.viz.url}", wiki_url: "{self.wiki.base}", covers_api_url: "{self.covers.url}", covers_url: "{self.covers.url}",
            covers_manga: "{self.covers.manga}", rate: 1000/second}}
"""

    def start(self, *a, args=(), **kw):
        self.server = self.serve(self.folder, self.config(*a, **kw), args=args)
        until(lambda: "chapters" in self.list(), "the shelf")
        return self.server

    def list(self):
        return json.loads(self.server.get("/v1/chapters", host=API).body)

    def has(self, *keys):
        return lambda: all(str(k) in self.list()["chapters"] for k in keys)

    def page(self, name):
        return self.server.get(f"/cdn/{name}", host=CDN)

    def passes(self, n=2):
        """Waits for n passes that begin from now on."""
        now = self.viz.count(r"/vizmanga/chapters/.*")
        until(lambda: self.viz.count(r"/vizmanga/chapters/.*") >= now + n + 1, f"{n} passes")

    def close(self):
        for site in (self.viz, self.wiki, self.covers):
            site.close()


@pytest.fixture
def komi(tmp_path, serve):
    k = Komi(tmp_path, serve)
    yield k
    k.close()


def rows(folder, sql, *args):
    db = sqlite3.connect(f"file:{folder}/data/dozo.db?mode=ro", uri=True, timeout=30)
    try:
        return db.execute(sql, args).fetchall()
    finally:
        db.close()


def time_passes(folder):
    """All that waits for its time is due; the server is stopped meanwhile."""
    db = sqlite3.connect(f"{folder}/data/dozo.db", timeout=30)
    db.execute("DELETE FROM crawl_state WHERE name LIKE 'due/%'")
    db.commit()
    db.close()


def clean(folder):
    """Nothing half stored, nothing left over."""
    dozo("check", "--config", "dozo.yaml", cwd=folder, check=0)
    assert rows(folder, "SELECT count(*) FROM part") == [(0,)]


# ---- the komizip service -----------------------------------------------------------------------------------------------


def test_a_chapter_appears_whole(komi):
    """Looked at all the while it downloads slowly: either all of it is there, or nothing is."""
    komi.viz.misbehave(r"/img/.*", faults.slow(0.1))
    last = Held()
    komi.viz.misbehave(r"/img/14331/19", last)
    komi.viz.add(407, 14331, [SHUFFLED[0], BLANK, SHUFFLED[1], PLAIN] + SHUFFLED * 8)
    s = komi.start()
    names = [f"407-{n:02}.jpg" for n in range(1, 20)]
    wanted = [ORDERED[0], ORDERED[1], PLAIN] + ORDERED * 8
    looks = 0
    while True:
        early = [komi.page(n).status for n in names[::6]]
        meta = s.head("/cdn/407", host=CDN)
        listed = komi.list()
        if "407" in listed["chapters"]:
            break
        assert meta.status in (200, 404) and (meta.status == 404 or looks)
        assert set(early) == {404} or "407" in komi.list()["chapters"]
        looks += 1
        if looks > 2 and komi.viz.count(r"/img/14331/19"):
            last.go.set()
    assert looks > 2
    assert [komi.page(n).body for n in names] == wanted and komi.page("407-20.jpg").status == 404
    meta = json.loads(until(lambda: s.head("/cdn/407", host=CDN)["X-Metadata"]))
    assert meta == listed["chapters"]["407"] and meta["metadata"]["page_count"] == 19
    assert meta["links"] == {"viz": f"{komi.viz.url}/vizmanga/{SLUG}-chapter-14331/chapter/14331?action=read",
                             "komizip": "https://read.komi.zip/407"}
    assert komi.viz.count(r"/img/.*") == 20 and "without a key are kept" in s.read_log()
    assert s.stop() == 0
    clean(komi.folder)


def test_paid_chapters_wait_until_they_are_free(komi):
    komi.viz.add(405, 14329, SHUFFLED)
    komi.viz.add(406, 14330, SHUFFLED, free=False)
    komi.viz.add(404, 14328, SHUFFLED)
    komi.viz.paid["404"] = ("14328", SHUFFLED)  # both: the paid link wins
    komi.start()
    until(komi.has(405))
    komi.passes()
    assert list(komi.list()["chapters"]) == ["405"] and not komi.viz.count(r"/.*(14330|14328).*")
    komi.viz.free["406"] = komi.viz.paid.pop("406")
    until(komi.has(406))
    assert komi.list()["order"] == ["406", "405"]


def test_titles_volumes_covers_and_the_next_release(komi):
    for n in range(401, 408):
        komi.viz.add(n, 14000 + n, [PLAIN])
    komi.wiki.titles = {"407": "Fish &amp; <i>chips</i>\n", "401": "The &#x201c;first&#x201d;"}
    komi.wiki.volumes = {"1": ["401", "402"], "2": ["403", "404", "999"]}
    komi.covers.items = [(None, "none.jpg", PLAIN)] * 98 + [(str(v), f"{v}.jpg", picture("cover-1.jpg")) for v in range(10, 15)]
    komi.covers.items += [("2", "2.jpg", picture("cover-2.jpg")), ("1", "no-picture.jpg", b"<h1>Sorry</h1>"), ("2", "again.jpg", PLAIN)]
    held = Held()
    komi.viz.misbehave(r"/vizmanga/chapters/.*", held, times=1)
    s = komi.start()
    assert komi.list()["new_release"] == "null"
    held.go.set()
    until(lambda: komi.list()["new_release"] == "7 days")
    until(lambda: komi.page("vol14.jpg").status == 200)

    def known(**want):
        got = komi.list()["chapters"]
        return all((c := got.get(k)) and (c["metadata"]["title"], c["metadata"]["volume"], c["metadata"]["volume_cover"]) == w
                   for k, w in want.items())
    want = {"407": ("Fish & chips", None, False), "406": (None, None, False), "401": ("The \u201cfirst\u201d", "1", False),
            "402": (None, "1", False), "403": (None, "2", True), "404": (None, "2", True)}
    until(lambda: known(**want), f"{want}")
    assert komi.page("vol2.jpg").body == picture("cover-2.jpg") and komi.page("vol1.jpg").status == 404
    assert [komi.page(f"vol{x}.jpg").status for x in ("", "None", "null")] == [404] * 3
    assert not komi.covers.count(r".*/(none|again)\.jpg") and komi.covers.count(r".*/2\.jpg") == 1
    assert {r.query["offset"][0] for r in komi.covers.asked("/cover")} == {"0", "100"}
    # What is not there is asked for again after growing times, not with each pass.
    komi.wiki.forget()
    komi.passes(4)
    assert komi.wiki.count() == 0
    komi.viz.release = None
    until(lambda: komi.list()["new_release"] == "unknown")
    assert re.search(r"cover of volume 1: .*", s.read_log())
    # The broken cover comes when it is whole.
    komi.covers.items.append(("1", "1.jpg", picture("cover-1.jpg")))
    del komi.covers.items[-3]
    until(lambda: known(**{"401": ("The \u201cfirst\u201d", "1", True), "402": (None, "1", True)}), "the cover of volume 1")
    komi.wiki.titles["406"] = "Late"
    assert s.stop() == 0
    time_passes(komi.folder)
    komi.start()
    until(lambda: komi.list()["chapters"]["406"]["metadata"]["title"] == "Late")
    assert komi.covers.count(r".*/2\.jpg") == 1 and komi.viz.count("/img/.*") == 7


def test_an_idle_pass_is_one_conditional_request(komi):
    komi.viz.add(407, 14331, SHUFFLED)
    komi.wiki.titles["407"] = "Here"
    s = komi.start()
    until(lambda: komi.has(407)() and komi.list()["chapters"]["407"]["metadata"]["title"] == "Here")
    komi.passes(1)
    jobs = rows(komi.folder, "SELECT count(*) FROM job")
    for site in (komi.viz, komi.wiki, komi.covers):
        site.forget()
    komi.passes(5)
    asked = komi.viz.asked()
    assert all(r.path == f"/vizmanga/chapters/{SLUG}" and r.headers["If-None-Match"] for r in asked)
    assert komi.viz.not_modified >= len(asked) - 1 and komi.wiki.count() == komi.covers.count() == 0
    assert rows(komi.folder, "SELECT count(*) FROM job") == jobs  # passes without news leave no rows
    times = [t for t, _ in komi.viz.requests]
    assert min(b - a for a, b in zip(times, times[1:])) >= 0.29
    assert s.stop() == 0
    # Restarts keep what is due when.
    for site in (komi.viz, komi.wiki, komi.covers):
        site.forget()
    komi.start(settings(every="1h"))
    komi.server.stop()
    db = sqlite3.connect(f"{komi.folder}/data/dozo.db")
    due = int(time.time() * 1000) + 1_800_000
    db.execute("UPDATE job SET run_after_ms = ? WHERE state = 0", (due,))
    db.commit()
    db.close()
    komi.viz.forget()
    komi.start(settings(every="1h"))
    until(lambda: "connected to the front" in (komi.folder / "serve.log").read_text().rsplit("running with pid", 1)[1])
    komi.server.stop()
    assert komi.viz.count() == 0 and rows(komi.folder, "SELECT run_after_ms FROM job WHERE state = 0") == [(due,)]
    assert komi.wiki.count() == komi.covers.count() == 0


def test_imported_chapters_are_known_and_edits_stay(komi):
    old = {str(n): {"metadata": {"title": f"Title {n}" if n != 401 else None, "page_count": 2, "volume": "1" if n < 403 else None, "volume_cover": False},
                    "links": {"komizip": f"https://read.komi.zip/{n}"}} for n in range(405, 400, -1)}
    (komi.folder / "chapters.json").write_text(json.dumps(old, indent=4))
    (komi.folder / "cdn").mkdir()
    for n in range(401, 406):
        for page in (1, 2):
            (komi.folder / f"cdn/{n}-{page:02}.jpg").write_bytes(ORDERED[page - 1])
        komi.viz.add(n, 14000 + n, SHUFFLED)
    made = subprocess.run([DOZO, "password"], input=b"sekrit\n", capture_output=True, env=clean_env(), check=True)
    (komi.folder / "pwd_hash").write_bytes(made.stdout)
    (komi.folder / "dozo.yaml").write_text(komi.config())
    dozo("import", "komizip", "chapters.json", "cdn", "--shelf", "komi", "--config", "dozo.yaml", cwd=komi.folder, check=0)
    komi.wiki.titles = {str(n): f"Wiki {n}" for n in range(401, 407)}
    komi.wiki.volumes = {"1": ["401", "402"], "2": ["403", "404"]}
    komi.viz.add(406, 14406, SHUFFLED)
    s = komi.start(more="auth: {admin_password_hash_file: pwd_hash}\n")
    until(lambda: komi.has(406)() and komi.list()["chapters"]["403"]["metadata"]["volume"] == "2")
    until(lambda: all(komi.list()["chapters"][k]["metadata"]["title"] == f"Wiki {k}" for k in ("401", "406")))
    got = komi.list()["chapters"]
    assert [got[k]["metadata"]["title"] for k in ("405", "402", "401", "406")] == ["Title 405", "Title 402", "Wiki 401", "Wiki 406"]
    assert "viz" not in got["405"]["links"] and got["406"]["links"]["viz"]
    assert komi.viz.count(r"/img/.*") == 2 and not komi.viz.count(r"/vizmanga/.*-chapter-1440[1-5]/.*")
    edit = {"pwd": "sekrit", "data": '403 title="Mine" volume=9\n405 title="Ours"'}
    r = s.request("POST", "/v1/admin/edit", host=API, headers={"Content-Type": "application/json"}, body=json.dumps(edit).encode())
    assert r.status == 200, r.body
    komi.passes()
    s.stop()
    time_passes(komi.folder)
    komi.wiki.volumes["2"].append("405")
    s = komi.start(more="auth: {admin_password_hash_file: pwd_hash}\n")
    until(lambda: komi.list()["chapters"]["405"]["metadata"]["volume"] == "2")
    komi.passes()
    got = komi.list()["chapters"]
    assert (got["403"]["metadata"]["title"], got["403"]["metadata"]["volume"], got["405"]["metadata"]["title"]) == ("Mine", "9", "Ours")
    # The wiki changes its mind about a chapter that nobody edited.
    s.stop()
    time_passes(komi.folder)
    komi.wiki.volumes = {"1": ["401"], "2": ["402", "403", "404", "405"]}
    s = komi.start(more="auth: {admin_password_hash_file: pwd_hash}\n")
    until(lambda: komi.list()["chapters"]["402"]["metadata"]["volume"] == "2")
    assert komi.list()["chapters"]["403"]["metadata"]["volume"] == "9"
    assert s.stop() == 0 and komi.viz.count(r"/img/.*") == 2
    clean(komi.folder)


def test_a_chapter_with_a_broken_page_fails_alone(komi):
    komi.viz.add(405, 14329, [PLAIN])
    komi.viz.add(406, 14330, [PLAIN, SHUFFLED[0][:3000], PLAIN])
    komi.viz.add(407, 14331, [SHUFFLED[1]])
    begin = time.monotonic()
    s = komi.start()
    until(komi.has(405, 407))
    komi.passes(3)
    assert komi.list()["order"] == ["407", "405"] and komi.page("406-01.jpg").status == 404
    assert re.search(r"viz\.com: chapter 406: page 2: .*\(parse\)", s.read_log())
    # Twice an attempt, and attempts grow rarer: 1.2 s, 2.4 s, 4.8 s … after each other.
    asked = komi.viz.count("/img/14330/1")
    assert asked <= 2 * (1 + int(math.log2((time.monotonic() - begin) / 1.2 + 1))) and komi.viz.count("/img/14330/0") == 1
    komi.viz.free["406"][1][1] = SHUFFLED[0]
    until(komi.has(406))
    assert [komi.page(f"406-0{n}.jpg").body for n in (1, 2, 3)] == [PLAIN, ORDERED[0], PLAIN]
    assert s.stop() == 0
    clean(komi.folder)


def test_a_broken_stage_does_not_stop_the_others(komi):
    """Wiki of errors, redirects and hours; covers of nonsense. Then all of them come back."""
    komi.wiki.misbehave(r".*Chapter_.*", faults.status(500))
    komi.wiki.misbehave(r".*Chapter_406", faults.redirect_to("/wiki/Chapter_407"))
    komi.wiki.misbehave(r".*Volume_.*", faults.half_open)
    komi.covers.misbehave(r"/cover", faults.error_page)
    for n in (405, 406, 407):
        komi.viz.add(n, 14000 + n, [PLAIN])
        komi.wiki.titles[str(n)] = f"Title {n}"
    komi.wiki.volumes = {"1": ["405"]}
    komi.covers.items = [("1", "1.jpg", picture("cover-1.jpg"))]
    s = komi.start(read_timeout="1s")
    until(komi.has(405, 406, 407))
    log = until(lambda: (t := s.read_log()) and all(re.search(f"{w}: .*", t) for w in ("titles", "volumes", "covers")) and t)
    assert re.search(r"viz\.com: titles: .*500", log) and re.search(r"viz\.com: covers: .*\(parse\)", log)
    assert komi.list()["new_release"] == "7 days"
    komi.viz.add(408, 14408, [PLAIN])
    until(komi.has(408))
    # (A publisher who is slower than read_timeout is a failure of its own.)
    failed = [text for text, in rows(komi.folder, "SELECT fail_text FROM job") if text and "viz.com: chapters: " not in text]
    assert not failed, "a stage at the side has failed the job"
    for site in (komi.wiki, komi.covers):
        site.behave()
    until(lambda: (c := komi.list()["chapters"]) and [c[k]["metadata"]["title"] for k in ("405", "406", "407")] ==
          ["Title 405", "Title 406", "Title 407"] and c["405"]["metadata"]["volume_cover"], "titles and the cover")
    assert s.stop() == 0
    clean(komi.folder)


class Held:
    """An answer that waits for a word."""

    def __init__(self):
        self.go = threading.Event()

    def __call__(self, h, request):
        self.go.wait(PATIENCE)
        return False


def test_an_edit_during_a_pass_and_covers(komi):
    """The pass knows chapters as they were when it began: marks of covers go by what they are now."""
    made = subprocess.run([DOZO, "password"], input=b"sekrit\n", capture_output=True, env=clean_env(), check=True)
    (komi.folder / "pwd_hash").write_bytes(made.stdout)
    komi.wiki.volumes = {"1": ["401", "402", "403"]}
    komi.covers.items = [("1", "1.jpg", picture("cover-1.jpg"))]
    komi.viz.add(401, 14401, [PLAIN])
    s = komi.start(more="auth: {admin_password_hash_file: pwd_hash}\n")

    def now(key):
        m = komi.list()["chapters"][key]["metadata"]
        return m["volume"], m["volume_cover"]

    def edit(text):
        r = s.request("POST", "/v1/admin/edit", host=API, headers={"Content-Type": "application/json"},
                      body=json.dumps({"pwd": "sekrit", "data": text}).encode())
        assert r.status == 200, r.body
        return json.loads(r.body)["edited"]
    until(lambda: komi.has(401)() and now("401") == ("1", True))
    # The wiki's word about volume 1 comes after somebody has said 9.
    held = Held()
    asked = komi.wiki.count(".*Volume_1")
    komi.wiki.misbehave(".*Volume_1", held)
    komi.viz.add(402, 14402, [PLAIN])
    until(lambda: komi.has(402)() and komi.wiki.count(".*Volume_1") > asked)
    assert edit("402 volume=9") == "402: volume<br>"
    held.go.set()
    komi.passes()
    assert now("402") == ("9", False)
    # The cover of volume 8 is on its way when a chapter is put into that volume.
    held = Held()
    komi.covers.items.append(("8", "8.jpg", picture("cover-2.jpg")))
    komi.covers.misbehave(r".*/8\.jpg", held)
    komi.viz.add(404, 14404, [PLAIN])
    until(lambda: komi.has(404)() and komi.covers.count(r".*/8\.jpg"))
    assert edit("404 volume=8") == "404: volume<br>"
    held.go.set()
    until(lambda: now("404") == ("8", True))
    assert s.stop() == 0
    clean(komi.folder)


def test_chapters_without_a_number_can_be_asked_for(tmp_path, serve, sites):
    """An id may hold '-' and "vol", which mean a file in paths of a shelf."""
    site = sites("plain")
    site.chapters["1"] = [PLAIN]
    site.write(tmp_path, SOURCE.replace('return http.get(opt.base_url .. "/list"):json()',
                                        'return { { id = "one-shot-vol-2" } }').replace('"/chapter/" .. id', '"/chapter/1"'))
    s = serve(tmp_path, plain_config([site]))
    (key,) = until(lambda: listed(s, "plain"))
    assert "-" not in key and "vol" not in key
    assert json.loads(s.head(f"/shelf/plain/cdn/{key}")["X-Metadata"])["metadata"]["page_count"] == 1
    assert page_of(s, "plain", f"{key}-01.jpg").body == PLAIN
    assert s.stop() == 0


# ---- sites that behave badly -------------------------------------------------------------------------------------------

SOURCE = """
return dozo.source {
  id = "%s", name = "A site", version = "1.0.0", api = 1, langs = { "en" }, hosts = {},
  limits = { per_host = 4, rate = "1000/second" },
  options = { base_url = { type = "string", default = "https://example.org", help = "Where it is" } },
  series = function(id) return { title = id } end,
  chapters = function(id) return http.get(opt.base_url .. "/list"):json() end,
  pages = function(id) return http.get(opt.base_url .. "/chapter/" .. id, { cache = false }):json() end,
}
"""


class Plain(Site):
    """A list of chapters, lists of their pages, pages."""

    def __init__(self, name):
        super().__init__()
        self.name, self.chapters = name, {}
        self.route("/list", lambda request: as_json([{"id": k, "chapter": int(k)} for k in self.chapters]))
        self.route(r"/chapter/(\d+)", lambda request, k: as_json([f"{self.url}/page/{k}/{i}" for i in range(len(self.chapters[k]))]))
        self.route(r"/page/(\d+)/(\d+)", lambda request, k, i: Answer(self.chapters[k][int(i)], kind="image/png", etag=False))

    def write(self, folder, text=SOURCE):
        path = folder / "sources" / self.name / "source.lua"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text % self.name if "%s" in text else text)
        return path


def plain_config(sites, crawl=settings(), more="", read_timeout=f"{PATIENCE}s"):
    shelves = "".join(f"  - {{name: {s.name}, series: {s.name}/x}}\n" for s in sites)
    options = "".join(f"  {s.name}: {{base_url: \"{s.url}\"}}\n" for s in sites)
    return (f"data_dir: data\nlog: {{level: debug}}\n{crawl}{more}shelves:\n{shelves}"
            f"sources:\n  dir: [sources]\n  connect_timeout: 2s\n  read_timeout: {read_timeout}\n{options}")


def listed(server, name):
    r = server.get(f"/shelf/{name}/v1/chapters")
    return json.loads(r.body).get("chapters", {}) if r.status == 200 else {}


def page_of(server, name, page):
    return server.get(f"/shelf/{name}/cdn/{page}")


@pytest.fixture
def sites():
    made = {}

    def make(name):
        made[name] = Plain(name)
        return made[name]
    yield make
    for site in made.values():
        site.close()


def in_a_moment(seconds):
    """Retry-After as a date."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + seconds))


def dated(h, request):
    return faults.too_many(in_a_moment(2))(h, request)


# What goes wrong, and what the log says about it.
FAULTS = {
    "truncated": (faults.truncated, r"\(unavailable\)"),
    "toolong": (faults.too_long_promised, r"\(unavailable\)"),
    "cut": (faults.cut_short, r"\(parse\)"),
    "errorpage": (faults.error_page, r"\(parse\)"),
    "loop": (faults.redirect_loop, r"\(parse\)"),
    "bomb": (faults.gzip_bomb, r"\(parse\)"),
    "halfopen": (faults.half_open, r"\(unavailable\)"),
    "busy": (faults.status(503), r"\(unavailable\)"),
    "storm": (faults.too_many(1), r"\(rate_limited\)"),
    "dated": (dated, r"\(rate_limited\)"),
    "silent": (faults.status(429), r"\(rate_limited\)"),
    "missing": (faults.status(404), r"\(not_found\)"),
}


@pytest.mark.parametrize("where", ["/page/7/1", "/list"])
def test_faults(tmp_path, serve, sites, where):
    """All at once, each at its own site: nothing is half stored, what failed is said, and it comes when the site behaves again."""
    wanted = [png(8, 12, n) for n in range(3)]
    played = []
    faults.bomb()
    for name, (fault, _) in FAULTS.items():
        if where == "/list" and name == "cut":
            continue  # half a JSON text is "errorpage"
        site = sites(name)
        site.chapters["6"] = [wanted[0]]
        site.chapters["7"] = wanted
        site.write(tmp_path)
        site.misbehave(where, fault)
        played.append(site)
    away = sites("private")  # to an address that it may not ask, in two steps
    away.chapters = {"6": [wanted[0]], "7": wanted}
    away.write(tmp_path)
    away.misbehave(where, faults.redirect_to("http://127.0.0.2:9/secret"))
    played.append(away)
    s = serve(tmp_path, plain_config(played, read_timeout="5s"))  # what the site that is half open takes, and nobody else

    def said(site):
        kind = FAULTS[site.name][1] if site.name in FAULTS else r"\((bad_url|unsupported)\)"
        return re.search(rf"{site.name}/x: {site.name}: .*{kind}", s.read_log())
    for site in played:
        until(lambda: said(site), f"a word about {site.name}")
        if where != "/list":
            until(lambda: "6" in listed(s, site.name), f"the other chapter of {site.name}")
        got = listed(s, site.name)
        assert "7" not in got and page_of(s, site.name, "7-01.jpg").status == 404, site.name
        assert s.get("/healthz").status == 200
    for site in played:
        site.behave()
    for site in played:
        until(lambda: {"6", "7"} <= set(listed(s, site.name)), f"{site.name} after all")
        assert [page_of(s, site.name, f"7-0{n}.jpg").body for n in (1, 2, 3)] == wanted
        # Pages that had come stay with us. (A host that said "busy" is asked less and less, so nobody was impolite either.)
        assert site.count("/page/7/0") == 1 and site.count("/page/7/2") <= 2, (site.name, site.requests)
    assert s.stop() == 0
    clean(tmp_path)


def test_a_record_that_cannot_be_kept_fails_alone(tmp_path, sites):
    """What the catalog refuses is told once as what it is; the chapters beside it come, whatever their numbers look like."""
    site = sites("odd")
    site.chapters = {k: [PLAIN] for k in "12345"}
    site.route("/list", lambda request: as_json([
        {"id": "1", "chapter": 1, "title": "a\0b"}, {"id": "2", "chapter": "0x1p99999"}, {"id": "3", "chapter": "1e999"},
        {"id": "4", "chapter": ".."}, {"id": "5", "chapter": 7, "url": "https://example.org/" + "u" * 5000}, {"id": "6", "chapter": 8}]))
    site.chapters["6"] = [PLAIN]
    site.write(tmp_path)
    (tmp_path / "dozo.yaml").write_text('listen: ["127.0.0.1:0"]\n' + plain_config([site]))
    r = dozo("crawl", "odd/x", "--config", "dozo.yaml", cwd=tmp_path, check=1)
    assert "odd: chapter 1: not stored: chapter 1: title holds a zero byte (parse)" in r.err
    assert "odd: chapter 7: not stored: chapter 7: origin has 5020 bytes, at most 4096 are taken (parse)" in r.err
    assert {k for k, in rows(tmp_path, "SELECT key FROM chapter")} == {"0x1p99999", "1e999", "__", "8"}
    assert site.count("/list") == 1


def test_addresses_in_messages_keep_their_secrets(tmp_path, sites):
    site = sites("signed")
    site.chapters["1"] = [PLAIN]
    site.route(r"/chapter/(\d+)", lambda request, k: as_json([f"{site.url.replace('//', '//me:hidden@')}/gone/{k}?n=1&token=hidden&x=\u202e"]))
    site.write(tmp_path)
    (tmp_path / "dozo.yaml").write_text('listen: ["127.0.0.1:0"]\n' + plain_config([site]))
    r = dozo("crawl", "signed/x", "--config", "dozo.yaml", cwd=tmp_path, check=1)
    assert re.search(r"page 1: the site answered 404 for http://127\.0\.0\.1:\d+/gone/1\?n=1&token=\.\.\.&x=\?+ \(not_found\)", r.err), r.err
    assert "hidden" not in r.err + r.out + repr(rows(tmp_path, "SELECT fail_text FROM job"))


def test_trickles_and_encodings(tmp_path, serve, sites):
    """A body that never ends holds up its own shelf alone; gzip is read."""
    slow, packed = sites("slow"), sites("packed")
    for site in (slow, packed):
        site.chapters["1"] = [png(8, 12, 1)]
        site.write(tmp_path)
    slow.misbehave("/page/.*", faults.trickle, times=1)
    packed.misbehave("/(list|chapter).*", faults.gzipped)
    s = serve(tmp_path, plain_config([slow, packed]))
    until(lambda: "1" in listed(s, "packed") and slow.count("/page/.*"))
    packed.chapters["2"] = [png(8, 12, 2)]
    until(lambda: "2" in listed(s, "packed"))
    assert not listed(s, "slow")
    assert s.stop() == 0 and slow.count("/page/.*") == 1  # ending does not wait for it
    s = serve(tmp_path, plain_config([slow, packed]))
    until(lambda: "1" in listed(s, "slow"))
    assert s.stop() == 0
    clean(tmp_path)


def test_hostile_sources_are_stopped(tmp_path, serve, sites):
    """One line each, naming the file and the line; the shelf beside them goes on."""
    bad = {
        "endless": ("while true do end", r"endless: chapters: .*source\.lua:(7|6): .*", "limit"),
        "eater": ("local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end", r"eater: chapters: .*source\.lua:(7|6): .*", "limit"),
        "nonsense": ("return { { id = 1, chapter = {} } }", r"nonsense: chapters: .*source\.lua:\d+: chapters\[1\]\.chapter: .*", "parse"),
        "raises": ("table.sort({ 3, 2, 1 }, function() error('on purpose') end)", r"raises: chapters: .*source\.lua:7: on purpose ", "parse"),
        "waits": ("table.sort({ 3, 2, 1 }, function() http.get(opt.base_url) end)", r"waits: chapters: .*source\.lua:7: .*", "parse"),
    }
    well = sites("well")
    well.chapters["1"] = [PLAIN]
    well.write(tmp_path)
    played = [well]
    for name, (body, _, _) in bad.items():
        site = sites(name)
        site.write(tmp_path, SOURCE.replace('return http.get(opt.base_url .. "/list"):json()', body))
        played.append(site)
    broken = sites("broken")
    broken.write(tmp_path, "return dozo.source {\n  id = 1 +\n}\n")
    s = serve(tmp_path, plain_config(played + [broken], settings(every="1s")))
    until(lambda: "1" in listed(s, "well"))
    for name, (_, words, kind) in bad.items():
        until(lambda: re.search(rf"{name}/x: {words}\({kind}\)", s.read_log()), f"a word about {name}")
        told = [line for line in s.read_log().splitlines() if f"{name}/x: {name}: " in line]
        assert all(re.search(rf"{words}\({kind}\)", line) for line in told), told  # one line a failure, never in pieces
    assert re.search(r"sources/broken/source\.lua: source\.lua:3: ", s.read_log())
    assert 'shelf broken is not crawled: there is no source "broken"' in s.read_log().replace('\\"', '"')
    well.chapters["2"] = [PLAIN]
    until(lambda: "2" in listed(s, "well"))
    assert s.stop() == 0
    clean(tmp_path)


# ---- jobs --------------------------------------------------------------------------------------------------------------


def test_retries_grow_and_end(tmp_path, serve, sites):
    """Temporary failures are tried again crawl.retries times under one job, others fail at once."""
    away, gone = sites("away"), sites("gone")
    for site in (away, gone):
        site.write(tmp_path)
    away.misbehave("/list", faults.truncated)
    gone.misbehave("/list", faults.status(410))
    s = serve(tmp_path, plain_config([away, gone], "crawl: {every: 200ms, retries: 2, retry_max: 1s}\n"))

    def failed(source):
        return rows(tmp_path, "SELECT attempts, fail_kind, fail_text FROM job WHERE source = ? AND state = 3 ORDER BY id", source)
    first = until(lambda: (f := failed("away")) and f[0])
    assert first[:2] == (3, "unavailable") and "away: chapters: " in first[2]
    first = until(lambda: (f := failed("gone")) and f[0])
    assert first[:2] == (1, "gone")
    times = [t for t, r in away.requests if r.path == "/list"]
    assert all(b - a >= 0.95 for a, b in zip(times[:3], times[1:3]))  # retry_max, with jitter on top
    away.behave()
    away.chapters["1"] = [PLAIN]
    until(lambda: "1" in listed(s, "away"))
    # A shelf that fails again and again is left alone for longer each time.
    until(lambda: gone.count("/list") >= 4)
    times = [t for t, r in gone.requests if r.path == "/list"][:4]
    assert all(b - a >= least for a, b, least in zip(times, times[1:], (0.39, 0.79, 0.99))), times
    assert s.stop() == 0


def test_pings(tmp_path, serve, sites):
    site, watch = sites("site"), Site()
    watch.route("/ping/abc(/fail)?", lambda request, fail: Answer("ok"))
    site.chapters["1"] = [PLAIN]
    site.write(tmp_path)
    s = serve(tmp_path, plain_config([site], f'crawl: {{every: 300ms, retry_max: 500ms, ping_url: "{watch.url}/ping/abc"}}\n'))
    until(lambda: watch.count("/ping/abc") >= 2)
    assert watch.count("/ping/abc/fail") == 0
    site.misbehave("/list", faults.status(500))
    until(lambda: watch.count("/ping/abc/fail"))
    site.behave()
    now = watch.count("/ping/abc")
    until(lambda: watch.count("/ping/abc") > now)
    watch.misbehave(".*", faults.status(500))
    until(lambda: "crawl.ping_url answered 500" in s.read_log())
    assert s.stop() == 0
    watch.close()


def test_sighup_brings_a_shelf(tmp_path, serve, sites):
    one, two = sites("one"), sites("two")
    for site in (one, two):
        site.chapters["1"] = [PLAIN]
        site.write(tmp_path)
    s = serve(tmp_path, plain_config([one]))
    until(lambda: "1" in listed(s, "one"))
    assert two.count() == 0
    s.config.write_text('listen: ["127.0.0.1:0"]\n' + plain_config([one, two], settings(every="30s")))
    s.process.send_signal(signal.SIGHUP)
    until(lambda: "1" in listed(s, "two"))
    # And one that is gone is left alone.
    s.config.write_text('listen: ["127.0.0.1:0"]\n' + plain_config([two]))
    s.process.send_signal(signal.SIGHUP)
    two.chapters["2"] = [PLAIN]
    until(lambda: "2" in listed(s, "two"))
    now = one.count()
    seen = two.count()
    until(lambda: two.count() > seen + 5)
    assert one.count() <= now + 1
    assert s.stop() == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_a_back_that_ends_loses_nothing(tmp_path, serve, sites, how):
    """Killed or asked to end in the middle of a chapter: pages that were flushed are not fetched again."""
    site = sites("site")
    site.chapters["1"] = [png(8, 12, n) for n in range(100)]
    site.write(tmp_path)
    config = plain_config([site], settings(lease="400ms"))
    site.misbehave("/page/1/(3[3-9]|[4-9].)", faults.half_open)
    s = serve(tmp_path, config)
    flushed = until(lambda: rows(tmp_path, "SELECT count(*) FROM part")[0][0])
    pid = until(lambda: back_of(s))
    os.kill(pid, how)
    until(lambda: not pathlib.Path(f"/proc/{pid}").exists())
    assert not listed(s, "site")
    kept = rows(tmp_path, "SELECT at FROM part")
    assert len(kept) >= flushed
    before = {at: site.count(f"/page/1/{at}") for at, in kept}
    site.behave()
    until(lambda: "1" in listed(s, "site"))
    assert [page_of(s, "site", f"1-{n:02}.jpg").body for n in range(1, 101)] == site.chapters["1"]
    assert {at: site.count(f"/page/1/{at}") for at, in kept} == before
    if how == signal.SIGTERM:
        assert all(site.count(f"/page/1/{n}") <= 2 for n in range(100))
    assert s.stop() == 0
    clean(tmp_path)


def test_one_back_and_repairs_beside_it(tmp_path, serve, sites):
    site = sites("site")
    site.chapters["1"] = [png(8, 12, n) for n in range(40)]
    site.write(tmp_path)
    site.misbehave("/page/1/[123].", faults.slow(0.3))
    s = serve(tmp_path, plain_config([site]))
    until(lambda: site.count("/page/.*") > 4)
    other = dozo("serve", "--role", "back", "--config", "dozo.yaml", cwd=tmp_path, check=1)
    assert re.search(r"back.*\bpid\b", other.err), other.err
    # While pages come the store has blobs that no row names: a repair must not see them as garbage.
    repair = dozo("check", "--repair", "--config", "dozo.yaml", cwd=tmp_path)
    assert repair.returncode == 0 or "import" in repair.err, repair.err
    until(lambda: "1" in listed(s, "site"))
    assert [page_of(s, "site", f"1-{n:02}.jpg").body for n in range(1, 41)] == site.chapters["1"]
    until(lambda: dozo("check", "--repair", "--config", "dozo.yaml", cwd=tmp_path).returncode == 0)
    site.chapters["2"] = [PLAIN]
    until(lambda: "2" in listed(s, "site"))
    assert s.stop() == 0
    clean(tmp_path)


def test_a_repaired_chapter_of_a_source_without_addresses_comes_again(tmp_path, serve, sites):
    site = sites("plain")
    site.chapters["1"] = [png(8, 12, 1), png(8, 12, 2)]
    site.write(tmp_path)
    s = serve(tmp_path, plain_config([site]))
    until(lambda: "1" in listed(s, "plain"))
    assert s.stop() == 0
    digest = hashlib.sha256(site.chapters["1"][1]).hexdigest()
    blob = next(p for p in (tmp_path / "data/blobs").rglob("*") if p.is_file() and p.name in digest)
    blob.write_bytes(b"rot")
    dozo("check", "--repair", "--config", "dozo.yaml", cwd=tmp_path)
    s = serve(tmp_path, plain_config([site]))
    until(lambda: page_of(s, "plain", "1-02.jpg").body == site.chapters["1"][1])
    assert s.stop() == 0
    clean(tmp_path)


def test_a_page_that_a_repair_took_out_comes_again(komi):
    komi.viz.add(407, 14331, SHUFFLED)
    komi.wiki.titles["407"] = "Stays"
    s = komi.start()
    until(lambda: komi.has(407)() and komi.list()["chapters"]["407"]["metadata"]["title"] == "Stays")
    assert s.stop() == 0
    digest = hashlib.sha256(ORDERED[1]).hexdigest()
    blob = next(p for p in (komi.folder / "data/blobs").rglob("*") if p.is_file() and p.name in digest)
    blob.write_bytes(b"rot")
    dozo("check", "--repair", "--config", "dozo.yaml", cwd=komi.folder)
    komi.wiki.misbehave(".*", faults.status(404))
    s = komi.start()
    until(lambda: komi.page("407-02.jpg").body == ORDERED[1])
    assert komi.list()["chapters"]["407"]["metadata"]["title"] == "Stays"
    assert s.stop() == 0
    clean(komi.folder)
