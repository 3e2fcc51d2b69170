"""dozo crawl live.48.cn and the schedule of a server, against a simulated site: contracts/kvm48.md sections 7, 8 and 9 (22 to 28)."""
import gzip
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sites"))

import site_http as faults
from conftest import DOZO, PATIENCE, Server, clean_env, dozo, until
from upstreams import Live48

SITE = "https://live.48.cn"
KNOWN_COLLISION = "5bd81e5a0cf27e320898288b"


class Play:
    def __init__(self, folder, per_page=2):
        self.folder, self.site = folder, Live48(per_page)
        for club in (2, 3):
            self.site.add(club, 200 + club)
        self.write()

    def write(self, more="", section=""):
        (self.folder / "dozo.yaml").write_text(f"""
listen: ["127.0.0.1:0"]
data_dir: data
sources:
  live.48.cn: {{ base_url: "{self.site.url}"{section} }}
{more}
""")

    def __call__(self, *args, check=None):
        return dozo("crawl", "live.48.cn", *args, "--config", "dozo.yaml", cwd=self.folder, check=check)

    def json(self, *args, check=0):
        return json.loads(self(*args, "--json", check=check).out)

    def begin(self, *args):
        return subprocess.Popen([DOZO, "crawl", "live.48.cn", "--config", "dozo.yaml", *args], cwd=self.folder, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=clean_env())

    def rows(self, fields="l4c_id", source="live.48.cn", name="PerfVOD"):
        path = self.folder / "data/dozo.db"
        if not path.exists():
            return []
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        try:
            table = db.execute("SELECT table_name FROM collection WHERE source = ? AND name = ?", (source, name)).fetchone()
            return db.execute(f"SELECT {fields} FROM {table[0]} ORDER BY 1").fetchall() if table else []
        except sqlite3.OperationalError as e:
            if "no such table" in str(e):
                return []
            raise
        finally:
            db.close()

    def ids(self):
        return [r[0] for r in self.rows()]

    def archived(self, club, number):
        path = self.folder / f"data/html/{club}/{number}.html.gz"
        return path.read_bytes() if path.exists() else None


@pytest.fixture
def play(tmp_path):
    p = Play(tmp_path)
    yield p
    p.site.close()


# ---- 22: a first crawl -----------------------------------------------------------------------------------------------------------

def test_first_crawl(play):
    site = play.site
    site.add(1, 102, when="2019-04-21 13:45:00")
    site.add(1, 103, when="2019-04-21 16:45:00", subtitle="", liuchang_url="sd", gao_url="")
    site.add(1, 104, when="2019-04-21 18:45:00")
    site.totals[1] = 3
    got = play.json()
    assert (got["ok"], got["records_new"], got["requests"], got["notes"]) == (True, 5, 10, [])
    # An empty catalog gives a complete crawl; the last page is empty, and each page was asked for once.
    assert site.listed() == [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1)]
    assert [len(site.asked_of(1, n)) for n in (102, 103, 104)] == [1, 1, 1]
    stream = "http://vod.example/104-{}.m3u8".format
    assert play.rows("canon_id, l4c_club_id, l4c_id, title, subtitle, start_time, sd_stream, hd_stream, fhd_stream")[:3] == [
        ("canon102", 1, 102, "《公演 102》", "Team HII", 1555825500, *[stream(k).replace("104", "102") for k in ("liuchang_url", "gao_url", "chao_url")]),
        ("canon103", 1, 103, "《公演 103》", "", 1555836300, "sd", "", None),
        ("canon104", 1, 104, "《公演 104》", "Team HII", 1555843500, *[stream(k) for k in ("liuchang_url", "gao_url", "chao_url")]),
    ]
    # What came is archived as it came; the same page makes the same file, and nothing unfinished lies about.
    for club, number in ((1, 102), (1, 103), (1, 104), (2, 202), (3, 203)):
        packed = play.archived(club, number)
        assert gzip.decompress(packed) == site.video(None, club, number).body
        assert packed[4:8] == bytes(4)  # no time
    assert sorted(p.name for p in (play.folder / "data/html/1").iterdir()) == ["102.html.gz", "103.html.gz", "104.html.gz"]


def test_unchanged_site(play):
    play.site.add(1, 104)
    play(check=0)
    play.site.forget()
    got = play.json()
    # One conditional request for each club.
    assert (got["records_new"], got["requests"]) == (0, 3)
    assert play.site.listed() == [(1, 1), (2, 1), (3, 1)] and len(play.site.asked()) == 3 == play.site.not_modified


def test_new_ones(play):
    play.site.fill(1, 6)
    play(check=0)
    play.site.forget()
    play.site.add(1, 107)
    play.site.add(1, 108)
    play.site.add(1, 109)
    assert play.json()["records_new"] == 3
    assert play.site.listed() == [(1, 1), (1, 2), (2, 1), (3, 1)]  # [109, 108], [107, 6]
    assert len(play.site.asked()) == 4 + 3
    # All pages again, and no video twice.
    play.site.forget()
    assert play.json("-f")["records_new"] == 0
    assert play.site.listed() == [(1, p) for p in range(1, 6)] + [(2, 1), (3, 1)] and len(play.site.asked()) == 7


# ---- 24: duplicates ------------------------------------------------------------------------------------------------------------

def test_duplicate(play):
    play.site.add(1, 104, canon="same")
    play(check=0)
    play.site.add(1, 105, canon="same", title="another", gao_url="other")
    got = play.json()
    assert got["records_new"] == 0 and len(play.site.asked_of(1, 105)) == 1
    assert play.rows("canon_id, l4c_id")[-1] == ("same", 104)
    # It is remembered.
    play(check=0)
    assert len(play.site.asked_of(1, 105)) == 1


def test_clash(play):
    play.site.add(1, 104, canon="same", when="2019-04-21 18:45:00")
    play(check=0)
    play.site.add(1, 105, canon="same", when="2019-04-22 18:45:00")
    play.site.add(2, 300)
    r = play(check=1)
    assert f"{SITE}/Index/invedio/club/1/id/105" in r.err and f"{SITE}/Index/invedio/club/1/id/104" in r.err
    assert play.site.url not in r.err
    assert len(play.site.asked_of(1, 105)) == 1  # asking again would not help
    assert play.ids().count(105) == 0 and 300 in play.ids()
    assert play.rows("canon_id, start_time")[-1] == ("same", 1555843500)


def test_known_collision(play):
    play.site.add(1, 104, canon=KNOWN_COLLISION, when="2018-10-30 12:00:00")
    play(check=0)
    play.site.add(1, 105, canon=KNOWN_COLLISION, when="2018-10-31 12:00:00")
    play(check=0)
    play(check=0)
    assert 105 not in play.ids() and len(play.site.asked_of(1, 105)) == 1


# ---- 25: what cannot be had ----------------------------------------------------------------------------------------------------

def test_video_that_fails(play):
    site = play.site
    site.fill(1, 2)
    site.add(1, 105)
    site.misbehave(site.path(1, 105), faults.status(500))
    got = play.json(check=1)
    assert got["failure_kind"] == "unavailable" and f"{SITE}/Index/invedio/club/1/id/105" in got["failure"] and "500" in got["failure"]
    times = site.asked_of(1, 105)
    assert len(times) == 3 and times[1] - times[0] >= 2 and times[2] - times[1] >= 4, times
    # Everything else is there, and the next crawl has it, with one request; then nothing is left to do.
    assert play.ids() == [1, 2, 202, 203]
    site.behave()
    for number in (106, 107, 108):
        site.add(1, number)
    site.forget()
    assert play.json()["records_new"] == 4 and 105 in play.ids()
    assert len(site.asked_of(1, 105)) == 1
    site.forget()
    play(check=0)
    assert len(site.asked()) == 3


def test_failed_one_that_left_the_first_pages(play):
    """The mark passes over what failed, which is tried again all the same."""
    site = play.site
    site.fill(1, 4)
    site.misbehave(site.path(1, 1), faults.status(500))
    play(check=1)
    site.behave()
    site.forget()
    assert play.json()["records_new"] == 1
    assert site.listed() == [(1, 1), (2, 1), (3, 1)] and len(site.asked()) == 4 and 1 in play.ids()


def test_many_that_failed(play):
    """Those that the site took away are tried only as long as a list that is read names them."""
    site = play.site
    site.per_page = 3
    for number in range(1, 7):
        site.add(1, number)
    for number in (1, 2, 3):
        site.misbehave(site.path(1, number), faults.status(404 if number == 1 else 500))
    got = play.json(check=1)
    assert sorted(n["kind"] for n in got["notes"]) == ["not_found", "unavailable", "unavailable"]
    assert "3 things could not be had" in got["failure"]
    site.behave()
    site.forget()
    assert play.json()["records_new"] == 2 and site.asked_of(1, 1) == [] and {2, 3} <= set(play.ids())
    assert play.json("--full")["records_new"] == 1


def test_video_without_streams(play):
    play.site.add(1, 104)
    play.site.add(1, 105, liuchang_url="", gao_url="")
    r = play(check=1)
    assert "no stream found" in r.err and len(play.site.asked_of(1, 105)) == 3 and play.archived(1, 105)
    assert play.ids() == [104, 202, 203]


def test_list_that_fails(play):
    """A list that cannot be had stops neither the lists behind it nor other clubs; the hole heals."""
    site = play.site
    site.fill(1, 6)
    site.misbehave(site.page(1, 2), faults.status(500))
    r = play(check=1)
    assert f"{SITE}/Index/main/club/1/p/2.html" in r.err
    assert site.listed().count((1, 2)) == 3 and play.ids() == [1, 2, 5, 6, 202, 203]
    site.behave()
    site.forget()
    play(check=0)
    assert play.ids() == [1, 2, 3, 4, 5, 6, 202, 203] and site.listed() == [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1)]


def test_site_that_is_away(play):
    """Nobody knocks for hours at a door that is shut."""
    play.site.per_page = 30
    play.site.fill(1, 30)
    play.site.misbehave(r"/Index/invedio/club/1/.*", faults.status(500))
    got = play.json(check=1)
    assert any("10 videos in a row" in n["text"] for n in got["notes"])
    assert play.site.count(r"/Index/invedio/club/1/.*") <= 3 * 11 and play.ids() == [202, 203]


# ---- 26: pages and options -----------------------------------------------------------------------------------------------------

def test_first_page_without_links(play):
    r = play(check=1)  # nothing in club 1
    assert f"{SITE}/Index/main/club/1/p/1.html" in r.err and "{" not in r.err and play.ids() == [202, 203]


def test_no_number_of_pages(play):
    play.site.add(1, 104)
    play.site.totals[1] = ""
    assert f"no number of pages on {SITE}/Index/main/club/1/p/1.html" in play(check=1).err
    assert play.ids() == [104, 202, 203]


def test_limit_pages(play):
    play.site.fill(1, 6)
    assert play.json("-L", "1")["records_new"] == 4
    assert (1, 2) not in play.site.listed()
    # That was no complete crawl: the next one goes on to the end.
    play.site.forget()
    assert play.json()["records_new"] == 4 and play.site.listed()[:3] == [(1, 1), (1, 2), (1, 3)]


def test_legacy(play):
    play.site.add(1, 104)
    play.site.add(4, 404)
    play.site.add(5, 505)
    play(check=0)
    assert {c for c, _ in play.site.listed()} == {1, 2, 3}
    play("--legacy", check=0)
    assert {c for c, _ in play.site.listed()} == {1, 2, 3, 4, 5} and {404, 505} <= set(play.ids())
    play.site.forget()
    play("--option", "legacy=true", check=0)
    assert {c for c, _ in play.site.listed()} == {1, 2, 3, 4, 5}
    play.write(section=", legacy: true")
    play.site.forget()
    play("--option", "legacy=false", check=0)
    assert {c for c, _ in play.site.listed()} == {1, 2, 3}
    play.site.forget()
    play(check=0)
    assert {c for c, _ in play.site.listed()} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("option, words", [
    ("legacy", "expected NAME=VALUE"), ("legacy=2", "expected a boolean"), ("lagacy=true", 'has no option "lagacy"'),
    ("base_url=http://127.0.0.1:1", "a matter of the settings"),
])
def test_wrong_options(play, option, words):
    assert words in play("--option", option, check=2).err and not play.site.asked()


def test_links(play):
    """Other schemes and a slash at the end are the same video; other sites and other pages are nobody's."""
    site = play.site
    site.add(1, 104)
    site.add(1, 105)
    hrefs = {104: [f"http://live.48.cn{site.path(1, 104)}/", site.path(1, 104), f"{SITE}{site.path(1, 104)}"],
             105: [f"{site.url}{site.path(1, 105)}", "https://example.org" + site.path(1, 9), "javascript:void(0)", "/Index/invedio/club/9/id/9",
                   site.path(1, 105) + "/more"]}
    site.href = lambda club, n: '"></a><a href="'.join(hrefs.get(n, [site.path(club, n)]))
    assert play.json()["records_new"] == 4
    assert [len(site.asked_of(1, n)) for n in (104, 105)] == [1, 1] and play.ids() == [104, 105, 202, 203]


# ---- ends in the middle --------------------------------------------------------------------------------------------------------

def held_crawl(play):
    """A first crawl that stands at the third of five pages, until the site behaves or it is ended."""
    play.site.fill(1, 10)
    play.site.misbehave(play.site.path(1, 6), faults.Gate())
    p = play.begin()
    until(lambda: play.site.asked_of(1, 6) and {10, 9, 8, 7, 5} <= set(play.ids()), "the middle of the crawl")
    return p


def test_killed(play):
    """What was emitted is there after kill -9, and the next plain crawl heals the hole, without a video twice."""
    p = held_crawl(play)
    p.kill()
    p.communicate()
    kept = play.ids()
    assert kept == [5, 7, 8, 9, 10]
    play.site.behave()
    play.site.forget()
    play(check=0)
    assert play.ids() == [*range(1, 11), 202, 203]
    assert play.site.listed() == [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, 1), (3, 1)]
    assert not any(play.site.asked_of(1, n) for n in kept)
    play.site.forget()
    play(check=0)
    assert play.site.listed() == [(1, 1), (2, 1), (3, 1)]


def test_stopped(play):
    p = held_crawl(play)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=PATIENCE)
    assert p.returncode == 1 and "stopped" in err and "Sanitizer" not in err
    play.site.behave()
    play(check=0)
    assert play.ids() == [*range(1, 11), 202, 203]


@pytest.mark.parametrize("fault", ["write:40", "fsync:9", "rename:3", "rename:4"])
def test_disk_that_fails(play, fault):
    """An archive or a record that could not be written is tried again, then or by the next crawl."""
    play.site.fill(1, 4)
    dozo("crawl", "live.48.cn", "--config", "dozo.yaml", cwd=play.folder, env={"DZ_FAULT": fault})
    play(check=0)
    assert play.ids() == [1, 2, 3, 4, 202, 203] and all(play.archived(1, n) for n in (1, 2, 3, 4))
    assert not [p for p in (play.folder / "data/html").rglob("*") if p.name.startswith(".")]


# ---- 28: a server --------------------------------------------------------------------------------------------------------------

def test_served_while_it_is_crawled(play, serve):
    """The schedule crawls by `every`, and GraphQL sees each committed row."""
    site = play.site
    site.fill(1, 4)
    site.misbehave(site.path(1, 1), faults.slow(2), times=1)
    play.write(section=", every: 300ms")
    server = serve(play.folder, None)

    def vods():
        r = server.request("POST", "/api/graphql", headers={"Content-Type": "application/json"},
                           body=json.dumps({"query": "{perfVods(from: 0, to: 2000000000) {l4cId l4cUrl group}}"}).encode())
        return json.loads(r.body)["data"]["perfVods"] if r.status == 200 else []
    some = until(lambda: vods(), "the first rows")
    assert some[0]["group"] in ("SNH48", "BEJ48") and some[0]["l4cUrl"].startswith(SITE)
    until(lambda: {v["l4cId"] for v in vods()} == {1, 2, 3, 4, 202, 203}, "all rows")
    site.add(1, 105)
    until(lambda: 105 in {v["l4cId"] for v in vods()}, "a new one")


def test_nobody_asked_for_it(play, serve):
    """A site that the settings do not name is not crawled just because its source is shipped."""
    (play.folder / "dozo.yaml").write_text('listen: ["127.0.0.1:0"]\ndata_dir: data\ncrawl: {every: 200ms}\n')
    server = serve(play.folder, None)
    assert server.get("/healthz").status == 200
    until(lambda: (play.folder / "data/run/back.lock").exists(), "the back")
    until(lambda: (play.folder / "data/dozo.db").exists() and play.rows("count(*)") == [(0,)], "the table")
    jobs = json.loads(dozo("jobs", "--all", "--json", "--config", "dozo.yaml", cwd=play.folder, check=0).out)["jobs"]
    assert jobs == []


# ---- collections of other sources ----------------------------------------------------------------------------------------------

SOURCE = """
return dozo.source {{
  id = "things", name = "Things", version = "1", api = 1, hosts = {{ "127.0.0.1" }},
  collections = {{ Thing = {{ key = "id", fields = {{ {{ "id", "Int!" }}, {{ "name", "String!" }}{fields} }},
    queries = {{ thing = {{ one = "id" }} }} }} }},
  crawl = function(run)
    for i = 1, 250 do assert(run:emit("Thing", {{ id = i, name = "n" .. i{values} }}) ~= nil) end
  end,
}}
"""


def test_added_field(tmp_path):
    """A field that a source gains is a column at the next start; another change is refused, and nothing is lost."""
    play = Play(tmp_path)
    play.site.close()
    source = tmp_path / "mine/things/source.lua"
    source.parent.mkdir(parents=True)
    source.write_text(SOURCE.format(fields="", values=""))
    (tmp_path / "dozo.yaml").write_text('listen: ["127.0.0.1:0"]\ndata_dir: data\nsources: { dir: [./mine] }\n')

    def crawl(check):
        return dozo("crawl", "things", "--config", "dozo.yaml", cwd=tmp_path, check=check)
    assert "250 records new" in crawl(0).out
    source.write_text(SOURCE.format(fields=', { "size", "Int" }', values=""))
    assert "0 records new" in crawl(0).out
    assert play.rows("count(*), count(size)", "things", "Thing") == [(250, 0)]
    source.write_text(SOURCE.format(fields=', { "size", "String" }', values=""))
    r = crawl(1)
    assert "size" in r.err and play.rows("count(*)", "things", "Thing") == [(250,)]
