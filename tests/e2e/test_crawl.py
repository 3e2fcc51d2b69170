"""The crawl against simulated sites: chapters whole or not at all, what stands around them, and sites that behave badly."""
import hashlib
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sites"))

import site_http as faults
from conftest import DOZO, clean_env, dozo, png, until
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

    def config(self, crawl=settings(), more="", sources=""):
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
  read_timeout: 1s
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


def back_of(server):
    children = pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/children")
    pids = [int(p) for c in children for p in c.read_text().split()]
    return pids[0] if pids else None


def clean(folder):
    """Nothing half stored, nothing left over."""
    dozo("check", "--config", "dozo.yaml", cwd=folder, check=0)
    assert rows(folder, "SELECT count(*) FROM part") == [(0,)]


# ---- the komizip service -----------------------------------------------------------------------------------------------


def test_a_chapter_appears_whole(komi):
    """Looked at all the while it downloads slowly: either all of it is there, or nothing is."""
    komi.viz.misbehave(r"/img/.*", faults.slow(0.4))
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
    komi.covers.items = [(None, "none.jpg", PLAIN)] + [(str(v), f"{v}.jpg", picture("cover-1.jpg")) for v in range(10, 115)]
    komi.covers.items += [("2", "2.jpg", picture("cover-2.jpg")), ("1", "no-picture.jpg", b"<h1>Sorry</h1>"), ("2", "again.jpg", PLAIN)]
    komi.viz.misbehave(r"/vizmanga/chapters/.*", faults.slow(1), times=1)
    s = komi.start()
    assert komi.list()["new_release"] == "null"
    until(lambda: komi.list()["new_release"] == "7 days")
    until(lambda: komi.page("vol114.jpg").status == 200)

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
    until(lambda: komi.list()["chapters"]["401"]["metadata"]["title"] == "Wiki 401")
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
    s = komi.start()
    until(komi.has(405, 407))
    komi.passes(3)
    assert komi.list()["order"] == ["407", "405"] and komi.page("406-01.jpg").status == 404
    assert re.search(r"viz\.com: chapter 406: page 2: .*\(parse\)", s.read_log())
    # Twice an attempt, and attempts grow rarer: 1.2 s, 2.4 s, 4.8 s … after each other.
    assert komi.viz.count("/img/14330/1") <= 2 * 3 and komi.viz.count("/img/14330/0") == 1
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
    s = komi.start()
    until(komi.has(405, 406, 407))
    log = until(lambda: (t := s.read_log()) and all(re.search(f"{w}: .*", t) for w in ("titles", "volumes", "covers")) and t)
    assert re.search(r"viz\.com: titles: .*500", log) and re.search(r"viz\.com: covers: .*\(parse\)", log)
    assert komi.list()["new_release"] == "7 days"
    komi.viz.add(408, 14408, [PLAIN])
    until(komi.has(408))
    assert not [j for j in rows(komi.folder, "SELECT fail_text FROM job") if j[0]], "a stage at the side has failed the job"
    for site in (komi.wiki, komi.covers):
        site.behave()
    until(lambda: (c := komi.list()["chapters"]) and [c[k]["metadata"]["title"] for k in ("405", "406", "407")] ==
          ["Title 405", "Title 406", "Title 407"] and c["405"]["metadata"]["volume_cover"], "titles and the cover")
    assert s.stop() == 0
    clean(komi.folder)
