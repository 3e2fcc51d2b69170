"""Calls to the back over run/back.sock, as the front makes them: what they answer, what they cost the site, and peers that
behave badly."""
import base64
import json
import os
import pathlib
import re
import signal
import socket
import stat
import struct
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sites"))

import site_http as faults
from conftest import PATIENCE, png, until
from nagato_rig import NOT_JSON, SITE, fill
from upstreams import MangaDex


class Back:
    """A server, the site that it knows, and raw calls to its back."""

    def __init__(self, folder, serve):
        self.folder, self.serve, self.site = folder, serve, fill(MangaDex())

    def start(self, more="", sources=""):
        self.server = self.serve(self.folder, f"""
data_dir: data
log: {{level: debug}}
{more}
sources:
  {sources}
  mangadex.org: {{base_url: "{self.site.url}", uploads_url: "{self.site.url}", rate: 1000/second}}
""")
        self.path = self.folder / "data/run/back.sock"
        until(self.answers, "a back that takes calls")
        return self

    def answers(self):
        try:
            self.open().close()
            return True
        except (FileNotFoundError, ConnectionRefusedError):  # not there, or bound and not listening yet
            return False

    def open(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(self.path))  # waits for room in the queue of a busy back, which it would not with a timeout
        s.settimeout(PATIENCE)
        return s

    @staticmethod
    def frame(value):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return struct.pack(">I", len(data)) + data

    @staticmethod
    def answer(s):
        data = b""
        while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
            piece = s.recv(1 << 16)
            if not piece:
                return None
            data += piece
        return json.loads(data[4:])

    def raw(self, request):
        with self.open() as s:
            s.sendall(self.frame(request))
            return self.answer(s)

    def call(self, name, deadline_ms=PATIENCE * 1000, **args):
        return self.raw({"call": name, "args": args, "deadline_ms": deadline_ms})

    def value(self, name, **args):
        a = self.call(name, **args)
        assert "value" in a, a
        return a["value"]

    def fail(self, name, **args):
        a = self.call(name, **args)
        assert "fail" in a, a
        assert a["fail"]["text"] and isinstance(a["fail"]["retry_after_ms"], int)
        return a["fail"]["kind"], a["fail"]["message"]


@pytest.fixture
def back(tmp_path, serve):
    b = Back(tmp_path, serve)
    yield b
    b.site.close()


def url(path):
    return "https://mangadex.org" + path


def test_addresses_and_what_they_mean(back):
    back.start()
    assert stat.S_IMODE(os.stat(back.path).st_mode) == 0o600
    sources = back.value("sources")
    ids = [s["id"] for s in sources]
    assert SITE in ids and ids == sorted(ids, key=lambda i: (-len(i), i)) and "local" not in ids
    dex = sources[ids.index(SITE)]
    assert dex["match"] == ["mangadex.org/"] and "chapters" in dex["functions"] and dex["langs"] == ["en"] and dex["site"] == SITE
    for u in ("https://mangadex.org", "mangadex.org/title/x", "HTTPS://MangaDex.org:443/x", "x+y.z-1://mangadex.org?a"):
        assert back.value("site", url=u) == {"site": SITE}, u
    for u in ("https://mangadex.orgXX/title/x", "example.com", "", "1x://mangadex.org"):
        assert back.value("site", url=u) == {"site": None}, u
    for u in ("/title/m1/dr-stone", "/title/m1", "/title/m1?tab=art", "/chapter/c1", "/chapter/c1/2"):
        assert back.value("series_id", url=url(u)) == {"site": SITE, "id": "m1"}, u
    for u in ("/chapter/c1", "/chapter/c1/12", "/chapter/c1?x=1"):
        assert back.value("chapter_id", url=url(u)) == {"site": SITE, "id": "c1"}, u
    none = "URL {} does not link to any {} on the Mangadex website".format
    assert back.fail("series_id", url="https://mangadex.org") == ("bad_url", none("https://mangadex.org", "manga nor chapter"))
    assert back.fail("chapter_id", url=url("/title/m1/")) == ("bad_url", none(url("/title/m1/"), "manga"))
    assert back.fail("series_id", url="example.com") == ("not_found", 'No downloader found for URL "example.com"')
    assert back.fail("series", site="foo", id="m1") == ("not_found", 'No downloader found for site "foo"')
    assert back.fail("series", site=SITE, id="") [0] == "bad_url"
    assert back.fail("series", site="local", id="x")[0] == "not_found"


def test_what_is_known_of_series_and_chapters(back):
    back.start()
    m = back.value("series", site=SITE, id="m1")
    assert (m["site"], m["id"]) == (SITE, "m1")
    assert list(m["info"]) == ["id", "site", "title", "alt_titles", "description", "authors", "artists", "genres", "tags", "lang", "links",
                               "date", "rating", "status"]
    assert m["info"]["title"] == "Dr. Stone / X" and m["info"]["genres"] == ["Comedy"] and m["info"]["tags"] == ["School Life"]
    assert m["info"]["date"] == {"day": None, "month": None, "year": 2016} and m["info"]["description"] == "About it."
    assert back.value("series", url=url("/chapter/c2"))["id"] == "m1"
    c = back.value("chapter", site=SITE, id="c1")["info"]
    assert list(c) == ["volume", "chapter", "title", "lang", "pages", "team", "date", "id", "manga"]
    assert (c["volume"], c["chapter"], c["title"], c["pages"], c["manga"]) == (1, 1, "Title 1", 2, "m1")
    assert c["team"] == {"id": "g1", "name": "Team & Co", "site": "https://group.example"}
    back.site.chapters["c5"]["attributes"].update(chapter=None, volume="2.5")  # a oneshot, in half a volume
    c = back.value("chapter", url=url("/chapter/c5"))["info"]
    assert c["chapter"] is None and c["volume"] is None and "no whole number" in back.server.read_log()
    numbers = {c["id"]: c["chapter"] for c in back.value("chapters", site=SITE, id="m1")["chapters"]}
    assert numbers == {"c1": 1, "c2": 2, "c3": 3, "c4": 4, "c5": None, "c6": 10.5}
    kind, words = back.fail("series", site=SITE, id="zzz")
    assert kind == "not_found" and words.startswith(f"Could not find resource at {back.site.url}/manga/zzz")
    back.site.misbehave("/chapter/c3", faults.status(500), times=1)
    kind, words = back.fail("chapter", site=SITE, id="c3")
    assert kind == "unavailable" and words.startswith(f"Request to {back.site.url}/chapter/c3") and \
        words.endswith(" failed with return code 500 Internal Server Error")
    assert back.value("series_of", refs=[{"site": SITE, "id": "c1"}, {"url": url("/chapter/c6")}]) == ["m1", "m1"]


def test_a_listing_costs_two_requests_and_then_none(back):
    back.start()
    listing = back.value("chapters", site=SITE, id="m1")
    assert [c["id"] for c in listing["chapters"]] == ["c1", "c2", "c3", "c4", "c5", "c6"]
    last = listing["chapters"][-1]
    assert (last["volume"], last["chapter"], last["title"], last["team"], last["manga"]) == (None, 10.5, None, None, "m1")
    asked = back.site.asked("/manga/m1/feed")
    assert [r.query["offset"] for r in asked] == [["0"], ["4"]]
    assert back.value("chapters", site=SITE, id="m1") == listing
    assert back.value("chapters", url=url("/title/m1"))["chapters"] == listing["chapters"]
    assert back.site.count("/manga/m1/feed") == 2


def test_without_a_cache_everything_is_asked_each_time(back):
    back.start(sources="http_cache: {max_entries: 0}")
    for n in (2, 4):
        back.value("chapters", site=SITE, id="m1")
        assert back.site.count("/manga/m1/feed") == n


def test_a_cache_entry_that_is_too_old_is_asked_for_again(back):
    back.start(sources="http_cache: {ttl: 60s}")
    back.value("chapters", site=SITE, id="m1")
    back.value("chapters", site=SITE, id="m1")
    assert back.site.count("/manga/m1/feed") == 2
    for meta in (back.folder / "data/cache/http").rglob("*"):
        if meta.is_file():
            age(meta)
    back.value("chapters", site=SITE, id="m1")
    assert back.site.count("/manga/m1/feed") == 4


def age(file):
    """Makes an entry of the cache an hour older."""
    data = file.read_bytes()
    key = b'"stored":'
    at = data.find(key)
    if at < 0:
        return
    end = at + len(key)
    while data[end:end + 1].isdigit():
        end += 1
    file.write_bytes(data[:at + len(key)] + str(int(data[at + len(key):end]) - 3600).encode() + data[end:])


def test_covers(back):
    back.start()
    cover = back.value("cover", site=SITE, id="m1")
    assert cover["mime"] == "image/png" and base64.b64decode(cover["base64"]) == png(20, 30, 7)
    back.site.add_manga("m2", "Bare")
    assert back.fail("cover", site=SITE, id="m2") == ("not_found", f'No cover found for "m2" of "{SITE}"')
    back.site.add_manga("m3", "Odd", cover=b"what is this")
    assert back.value("cover", site=SITE, id="m3")["mime"] == "application/octet-stream"
    back.site.misbehave("/covers/m1/.*", faults.status(404))
    assert back.fail("cover", url=url("/title/m1"))[1] == f"Could not find resource at {back.site.url}/covers/m1/first.png"
    assert back.fail("cover", site=SITE, id="zzz")[0] == "not_found"


def test_lists_of_refs_keep_their_order(back):
    back.start()
    sites = {SITE: ["c3", "c1", "c3"]}
    got = back.value("refs", sites=sites, urls=[url("/chapter/c2"), url("/chapter/c1/3")])
    assert [r["id"] for r in got] == ["c3", "c1", "c2"] and {r["site"] for r in got} == {SITE}
    assert back.value("refs") == [] and back.value("refs", sites={}, urls=[]) == []
    assert back.fail("refs", urls=["foo"]) == ("not_found", 'No downloader found for URL "foo"')
    assert back.fail("refs", sites={"foo": []}) == ("not_found", 'No downloader found for site "foo"')
    bad = ("bad_url", NOT_JSON)
    for args in ({"sites": []}, {"urls": {}}, {"sites": {SITE: "c1"}}, {"sites": {SITE: [1]}}, {"urls": [None]}, {"urls": [""]}):
        assert back.fail("refs", **args) == bad, args


def jobs(back):
    import sqlite3
    db = sqlite3.connect(back.folder / "data/dozo.db")
    try:
        return db.execute("select kind, target, args from job where kind='download' order by id").fetchall()
    finally:
        db.close()


def test_downloads_are_queued_all_or_none(back):
    back.start()
    back.site.misbehave("/at-home/.*", faults.status(500))
    refs = [{"site": SITE, "id": "c6"}, {"site": SITE, "id": "c1"}]
    ids = back.value("download", refs=refs, add_mark=False)["ids"]
    assert len(ids) == 2 and all(len(i) == 22 for i in ids)
    rows = jobs(back)
    assert [r[1] for r in rows] == ids
    args = [json.loads(r[2]) for r in rows]
    assert [a["chapter"] for a in args] == ["c6", "c1"] and {a["series"] for a in args} == {"m1"}
    assert args[0]["file"] == "Dr. Stone \u2215 X -.- C10.5 None" and args[1]["file"] == "Dr. Stone \u2215 X -.- C1 Title 1"
    assert args[0]["folder"] == "Dr. Stone \u2215 X" and args[0]["method"] == "cbz" and args[0]["pages"] == 2
    assert back.site.count("/manga/m1") == 1  # for both
    assert back.fail("download", refs=[*refs, {"site": SITE, "id": "zzz"}])[0] == "not_found"
    assert back.fail("download", refs={})[0] == "bad_url"
    assert len(jobs(back)) == 2
    assert back.value("download", refs=[]) == {"ids": []}


def test_new_chapters_are_those_without_a_mark(back):
    import sqlite3
    back.start()
    back.site.misbehave("/at-home/.*", faults.status(500))
    with sqlite3.connect(back.folder / "data/dozo.db") as db:
        names = [r[1] for r in db.execute("pragma table_info(mark)")]
        assert names[:4] == ["source", "chapter", "series", "mark"]
        db.executemany("insert into mark (source, chapter, series, mark) values (?, ?, 'm1', ?)",
                       [(SITE, "c1", "D"), (SITE, "c2", "I")])
        db.executemany("insert into favourite (source, series, created_ms) values (?, ?, 1)", [(SITE, "m1"), ("gone.example", "x")])
    ids = back.value("download_new", url=url("/title/m1"))["ids"]
    assert [json.loads(r[2])["chapter"] for r in jobs(back)] == ["c3", "c4", "c5", "c6"]
    assert all(json.loads(r[2])["add_mark"] for r in jobs(back)) and [r[1] for r in jobs(back)] == ids
    assert len(back.value("download_new", all=True)["ids"]) == 4
    assert len(back.value("download_new", all=True, site=SITE)["ids"]) == 4
    assert "gone.example are passed over" in back.server.read_log()
    assert back.fail("download_new", all=True, site="foo") == ("not_found", 'No downloader found for site "foo"')


def test_peers_that_behave_badly(back):
    back.start()
    assert back.raw(b"nonsense")["fail"]["kind"] == "unsupported"
    assert back.raw([])["fail"]["kind"] == "unsupported"
    assert back.raw({"call": "nothing"})["fail"]["message"] == 'there is no call "nothing"'
    assert back.raw({"call": "sources", "args": []})["fail"]["kind"] == "unsupported"
    assert back.raw({"call": "sources", "deadline_ms": 0})["fail"]["kind"] == "unsupported"
    assert back.raw({"call": "sources", "args": None})["value"]
    with back.open() as s:  # longer than a request may be
        s.sendall(struct.pack(">I", 1 << 31))
        assert back.answer(s) is None
    with back.open() as s:  # gone in the middle
        s.sendall(back.frame({"call": "sources"})[:9])
    with back.open() as s:  # two requests: the second one is not heard
        s.sendall(back.frame({"call": "sources"}) + back.frame({"call": "look"}))
        assert back.answer(s)["value"]
        s.shutdown(socket.SHUT_WR)
        assert not s.recv(1)
    assert back.value("look") is None


def test_calls_end_with_their_deadline_and_with_their_peer(back):
    back.start()
    hold = threading.Event()

    def held(h, request):
        hold.wait(PATIENCE)
        return False
    back.site.misbehave("/manga/m1", held)
    kind, words = back.fail("series", deadline_ms=300, site=SITE, id="m1")
    assert kind == "unavailable" and "in time" in words
    asked = back.site.count("/manga/m1")  # once, or not at all when the machine is slow
    with back.open() as s:
        s.sendall(back.frame({"call": "series", "args": {"site": SITE, "id": "m1"}}))
        until(lambda: back.site.count("/manga/m1") > asked)
    assert back.value("chapters", site=SITE, id="m1")  # others go on meanwhile
    hold.set()


def test_a_back_that_dies_takes_its_calls_along(back):
    back.start()
    hold = threading.Event()
    back.site.misbehave("/manga/m1", lambda h, request: hold.wait(PATIENCE) and False)
    pids = until(lambda: re.findall(r"back with pid (\d+) connected", back.server.read_log()))
    with back.open() as s:
        s.sendall(back.frame({"call": "series", "args": {"site": SITE, "id": "m1"}}))
        until(lambda: back.site.count("/manga/m1"))
        os.kill(int(pids[0]), signal.SIGKILL)
        try:
            assert back.answer(s) is None
        except ConnectionResetError:
            pass
    hold.set()
    until(lambda: len(re.findall(r"back with pid (\d+) connected", back.server.read_log())) == 2)
    until(back.answers, "the next one's socket")
    assert back.value("series", site=SITE, id="m1")["id"] == "m1"  # its socket took the place of the dead one's


def test_two_hundred_at_once(back):
    back.start()
    answers = []

    def one(n):
        answers.append(back.call("chapters", site=SITE, id="m1") if n % 2 else back.call("chapter", site=SITE, id=f"c{n % 6 + 1}"))
    threads = [threading.Thread(target=one, args=(n,)) for n in range(200)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
    assert len(answers) == 200 and all("value" in a for a in answers), [a for a in answers if "value" not in a][:3]


def follow(back, *favourites, **crawl):
    """A server that follows these favourites, which an earlier one has taken down."""
    import sqlite3
    back.start()
    assert back.server.stop() == 0
    with sqlite3.connect(back.folder / "data/dozo.db") as db:
        db.executemany("insert into favourite (source, series, created_ms) values (?, ?, 1)", favourites)
    settings = "".join(f", {k}: {v}" for k, v in crawl.items())
    return back.start(f"downloads: {{destination: out, follow: true}}\ncrawl: {{every: 300ms, retry_max: 500ms{settings}}}")


def files(back):
    return sorted(p.name for p in (back.folder / "out").rglob("*.cbz"))


def test_new_chapters_of_favourites_come_by_themselves(back):
    follow(back, (SITE, "m404"), ("gone.example", "x"), (SITE, "m1"))
    until(lambda: len(files(back)) == 6, "six chapters")
    back.site.forget()
    until(lambda: back.site.count("/manga/m1/feed") >= 6)  # asked again and again, at little cost
    assert back.site.not_modified > 0 and back.site.count("/manga/m404/feed") > 0
    back.site.add_chapter("c7", "m1", "11", [png(8, 12, 70)], title="Late")
    until(lambda: len(files(back)) == 7, "the seventh")
    assert "Dr. Stone \u2215 X -.- C11 Late.cbz" in files(back)
    assert len(jobs(back)) == 7  # each once
    until(lambda: " 1 new chapters" in back.server.read_log(), "a word about the seventh")
    log = back.server.read_log()
    assert log.count("favourites of gone.example are not followed") == 1
    assert log.count("6 new chapters put into the queue") == 1 and log.count(" 1 new chapters") == 1
    assert back.server.stop() == 0


def test_what_failed_for_good_is_not_followed_again(back):
    back.site.misbehave("/at-home/.*", faults.status(404))
    follow(back, (SITE, "m1"), retries=0)
    until(lambda: len(jobs(back)) == 6)
    back.site.forget()
    until(lambda: back.site.count("/manga/m1/feed") >= 6)
    assert len(jobs(back)) == 6
    assert back.server.stop() == 0
    back.start("downloads: {destination: out, follow: true}\ncrawl: {every: 300ms}")
    back.site.forget()
    until(lambda: back.site.count("/manga/m1/feed") >= 6)
    assert len(jobs(back)) == 6
