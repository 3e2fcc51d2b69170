"""Downloads over the library API against a simulated mangadex.org: the acceptance checks of contracts/nagato.md 12 from 14 on."""
import json
import re
import signal
import time
import urllib.parse
import xml.etree.ElementTree as ET
import zipfile

import pytest
from conftest import dozo, png, until
from nagato_rig import NOT_JSON, SITE, dex, faults, n, pages_of, start

MINE = "Dr. Stone ∕ X"


def name_of(number, title):
    return f"{MINE}/{MINE} -.- C{number} {title}"


# ---- one download (14, 16, 17) ---------------------------------------------------------------------------------------------


def test_a_download(n):
    before = time.time() * 1000
    got = n.download("c1", addMark="true")
    assert re.fullmatch("[A-Za-z0-9_-]{22}", got)
    first = n.state(got)
    assert first["status"] in ("QUEUED", "PROCESSING", "SAVING", "COMPLETE")
    state = n.wait(got, "COMPLETE")
    assert list(state) == ["file", "status", "completion", "size", "created", "begin", "end"]
    assert state["file"] == f"{MINE} -.- C1 Title 1" and state["size"] == sum(map(len, pages_of("c1")))
    assert state["completion"] == 1.0 and isinstance(state["completion"], float)
    assert before - 2000 <= state["created"] <= state["begin"] <= state["end"] <= time.time() * 1000 + 2000
    assert n.mark("c1") == "DOWNLOADED" and n.files() == [name_of(1, "Title 1") + ".cbz"]
    with zipfile.ZipFile(n.folder / "out" / n.files()[0]) as z:
        assert z.namelist() == ["1.png", "2.png"] and [z.read(i) for i in z.namelist()] == pages_of("c1")
        assert {i.compress_type for i in z.infolist()} == {zipfile.ZIP_STORED}


def test_marks_only_when_asked_for(n):
    n.finished("c1")
    assert n.mark("c1") is None
    n.finished("c2", addMark="True")
    assert n.mark("c2") is None
    n.empty("PUT", "chapter/mark/IGNORED", 201, site=SITE, id="c3")
    n.finished("c3", addMark="true")
    assert n.mark("c3") == "DOWNLOADED"


@pytest.mark.parametrize("method, files", [
    ("zip", [name_of(1, "Title 1") + ".zip"]), ("files", [f"{name_of(1, 'Title 1')}/{i}.png" for i in (1, 2)]),
    ("cbz+comicinfo", [name_of(1, "Title 1") + ".cbz"])])
def test_methods(start, method, files):
    n = start(downloads=f"{{destination: out, method: {method}, comicinfo_sizes: true}}")
    n.finished("c1")
    assert n.files() == files
    if method != "cbz+comicinfo":
        return
    with zipfile.ZipFile(n.folder / "out" / files[0]) as z:
        assert z.namelist() == ["1.png", "2.png", "ComicInfo.xml"]
        root = ET.fromstring(z.read("ComicInfo.xml"))
    assert (root.tag, root.findtext("Series"), root.findtext("PageCount")) == ("ComicInfo", "Dr. Stone / X", "2")
    assert (root.findtext("Number"), root.findtext("Volume"), root.findtext("Title")) == ("1", "1", "Title 1")
    page = root.find("Pages/Page")
    assert (page.get("Image"), page.get("Type"), page.get("ImageWidth"), page.get("ImageHeight")) == ("0", "FrontCover", "8", "13")


@pytest.mark.parametrize("setting, words", [("method: file", "downloads.method"), ('format: "${nothing}"', "downloads.format"),
                                            ('format: "$"', "downloads.format")])
def test_settings_that_are_wrong(tmp_path, setting, words):
    (tmp_path / "dozo.yaml").write_text(f'listen: ["127.0.0.1:0"]\ndata_dir: data\ndownloads: {{{setting}}}\n')
    r = dozo("serve", "--config", "dozo.yaml", cwd=tmp_path)
    assert r.returncode != 0 and words in r.err


def test_settings_of_the_original(tmp_path, start):
    n = start(downloads="{destination: out, method: files}", env={"NAGATO_DOWNLOAD_METHOD": "zip", "NAGATO_DOWNLOAD_FORMAT": "$id"})
    n.finished("c1")
    assert n.files() == [f"{MINE}/c1.zip"]
    r = dozo("serve", "--config", "dozo.yaml", cwd=tmp_path, env={"NAGATO_CACHE_SIZE": "abc"})
    assert r.returncode != 0 and "NAGATO_CACHE_SIZE" in r.err


# ---- when it goes wrong (18) -----------------------------------------------------------------------------------------------


def test_a_page_that_cannot_be_had(n):
    second = faults.Gate(then=faults.status(503))
    n.dex.misbehave("/data/c1/2-.*", second)
    got = n.download("c1", addMark="true")
    until(lambda: n.state(got)["completion"] == 0.5, "the first page")
    second.open()
    state = n.wait(got, "FAILED")
    assert state["completion"] == 0.5 and "begin" in state and state["end"] >= state["begin"]
    assert n.files() == [] and n.mark("c1") is None and "503" in n.server.read_log()


def test_failed_ones_once_more(n):
    n.dex.misbehave("/data/.*", faults.status(404))
    failed = [n.download(c) for c in ("c1", "c2", "c3")]
    for d in failed:
        n.wait(d, "FAILED")
    n.dex.behave()
    assert n.json("download/retry", "POST", ids="a" * 22) == {"retried": 0} == n.json("download/retry", "POST", body=[])
    assert n.json("download/retry", "POST", ids=failed[1]) == {"retried": 1}
    n.wait(failed[1], "COMPLETE")
    assert n.json("download/retry", "POST", body=[failed[0], failed[1], "x"]) == {"retried": 1}
    n.wait(failed[0], "COMPLETE")
    assert n.state(failed[2])["status"] == "FAILED"
    assert n.json("download/retry", "POST") == {"retried": 1}
    n.wait(failed[2], "COMPLETE")
    assert n.json("download/retry", "POST") == {"retried": 0}
    for body in (b"{", b"{}", b"1", b"[1]", b"[null]"):
        r = n.ask("POST", "download/retry", body=body, headers={"Content-Type": "application/json"})
        assert (r.status, r.text) == (400, NOT_JSON)


def test_temporary_failures_are_tried_again(start):
    n = start(crawl="{retries: 3, retry_max: 1s}")
    n.dex.misbehave("/data/c1/.*", faults.status(503), times=1)
    assert n.wait(n.download("c1"))["status"] == "COMPLETE"


# ---- submitting (22) -------------------------------------------------------------------------------------------------------


def test_several_at_once(n):
    ids = n.json("download/chapters", "POST", 202, body={"sites": {SITE: ["c3", "c1", "c3"]}, "urls": ["https://mangadex.org/chapter/c2/7"]},
                 addMark="true")
    assert len(ids) == 3 == len(set(ids))
    assert [n.wait(i, "COMPLETE")["file"][-7:] for i in ids] == ["Title 3", "Title 1", "Title 2"]
    assert n.json("manga/marked", site=SITE, id="m1") == {c: "DOWNLOADED" for c in ("c1", "c2", "c3")}
    assert n.json("download/chapters", "POST", 202, body={}) == []
    # All or none.
    for body, status in (({"sites": {SITE: ["c4", "c99"]}}, 404), ({"urls": ["https://mangadex.org/chapter/c4", "https://mangadex.org/title/m1"]}, 400)):
        assert n.ask("POST", "download/chapters", body=body).status == status
    assert len(n.json("dl_states/agregate")) == 3
    assert n.words("download/chapter", 404, "POST", site=SITE, id="c99").startswith("Could not find resource at ")
    assert n.words("download/chapter", 404, "POST", site="nowhere", id="c1") == 'No downloader found for site "nowhere"'


def test_what_is_new(n):
    n.empty("PUT", "chapter/mark/DOWNLOADED", 201, site=SITE, id="c1")
    n.empty("PUT", "chapter/mark/IGNORED", 201, site=SITE, id="c2")
    ids = n.json("download/new", "POST", 202, site=SITE, id="m1")
    assert [n.wait(i, "COMPLETE")["file"].split(" -.- C")[1].split()[0] for i in ids] == ["3", "4", "5", "10.5"]
    assert n.json("download/new", "POST", 202, url="https://mangadex.org/title/m1") == []
    assert n.json("manga/marked", site=SITE, id="m1") == {"c1": "DOWNLOADED", "c2": "IGNORED", **{f"c{i}": "DOWNLOADED" for i in (3, 4, 5, 6)}}
    assert n.words("download/new", 404, "POST", site=SITE, id="zzz").startswith("Could not find resource at ")
    n.dex.add_chapter("c8", "m1", "8", pages_of("c8"))
    assert n.words("download/allnew", 404, "POST", site="foo") == 'No downloader found for site "foo"'
    assert n.json("download/allnew", "POST", 202) == []
    n.empty("PUT", "manga/fav", 201, site=SITE, id="m1")


def test_what_is_new_of_all_favourites(n):
    n.empty("PUT", "manga/fav", 201, site=SITE, id="m1")
    n.empty("PUT", "chapters/mark/IGNORED", 201, body={"sites": {SITE: ["c1", "c2", "c3", "c4"]}})
    n.empty("PUT", "manga/fav", 201, site=SITE, id="gone")
    ids = n.json("download/allnew", "POST", 202, site=SITE)
    assert len(ids) == 2
    assert "the favourite gone is passed over: Could not find resource at " in n.server.read_log()
    for i in ids:
        n.wait(i, "COMPLETE")
    assert n.json("download/allnew", "POST", 202) == []


# ---- states, cancelling, history (20, 21) -----------------------------------------------------------------------------------


def test_unknown_ids(n):
    for bad in ("zz", "a" * 22, "-" * 22, "%2e%2e", "a%2Fb", "%3Cscript%3E", "x" * 3000, "%ff%fe", "a%20b"):
        plain = urllib.parse.unquote_to_bytes(bad)
        for method, path in (("GET", "dl_state"), ("POST", "cancel/download")):
            r = n.server.request(method, f"/api/{path}/{bad}")
            assert (r.status, r["Content-Type"]) == (404, "text/plain; charset=utf-8")
            assert r.body == b"No download registered with the id " + plain
    assert n.server.get("/api/dl_state/%00").status == 400
    assert n.json("dl_states/agregate", ids="zz") == {"zz": None} == n.json("dl_states/aggregate", **{"ids[]": ["zz", "zz"]})
    assert n.json("dl_states/agregate", ids=["b", "a", "b"]) == {"b": None, "a": None}
    assert n.json("cancel/downloads", "POST", **{"ids[]": ["a", "b"]}) == {"a": False, "b": False} == n.json("cancel/downloads", "POST", body=["a", "b"])
    assert n.json("cancel/downloads", "POST", ids=["-x"]) == {"-x": False} and n.json("cancel/downloads", "POST", body=[]) == {}
    assert n.words("cancel/downloads", 400, "POST") == "Missing ids of downloads to cancel"
    for body in (b"null", b"{", b"{}", b"1", b'"a"', b"[1]"):
        r = n.ask("POST", "cancel/downloads", body=body, headers={"Content-Type": "application/json"})
        assert r.status == 400 and r.text in (NOT_JSON, "Missing ids of downloads to cancel")


def test_states_and_history(n):
    pages = faults.Gate()
    n.dex.misbehave("/data/c4/.*", pages)
    ended = [n.download("c1"), n.download("c2")]
    for i in ended:
        n.wait(i, "COMPLETE")
    active = [n.download("c4"), n.download("c5")]
    n.wait(active[0], "PROCESSING")
    states = n.json("dl_states/agregate")
    assert list(states) == [*active, *ended] and states[active[1]]["status"] == "QUEUED" and "begin" not in states[active[1]]
    assert states == {**states, **{i: n.state(i) for i in ended}}
    assert list(n.json("dl_states/agregate", ids=[ended[1], "x", active[0]])) == [ended[1], "x", active[0]]
    r = n.ask("DELETE", "downloads/history")
    assert (r.status, r["Content-Type"], r.body) == (200, "application/json", b'{"deleted":2}\n')
    assert list(n.json("dl_states/agregate")) == active
    pages.open()
    for i in active:
        n.wait(i, "COMPLETE")
    assert json.loads(n.ask("DELETE", "downloads/history").body) == {"deleted": 2}
    assert n.json("dl_states/agregate") == {} and n.ask("GET", f"dl_state/{active[0]}").status == 404


def test_history_is_bounded(start):
    n = start(downloads="{destination: out, history: 2}")
    ids = [n.download(f"c{i}") for i in range(1, 5)]
    n.wait(ids[3], "COMPLETE")
    until(lambda: list(n.json("dl_states/agregate")) == ids[2:], "the history")
    # The rows go with the next sweep, which settings that are read again bring about.
    n.server.config.write_text(n.server.config.read_text().replace("history: 2", "history: 1"))
    n.server.process.send_signal(signal.SIGHUP)
    until(lambda: [v is not None for v in n.json("dl_states/agregate", ids=ids).values()] == [False] * 3 + [True], "the sweep")


def test_cancelling(n):
    pages = faults.Gate()
    n.dex.misbehave("/data/c1/.*", pages)
    running, queued = n.download("c1"), n.download("c2")
    n.wait(running, "PROCESSING")
    assert n.json(f"cancel/download/{queued}", "POST") is True
    state = n.state(queued)
    assert state["status"] == "CANCELLED" and "end" in state and "begin" not in state
    assert n.json(f"cancel/download/{queued}", "POST") is False
    assert n.json("cancel/downloads", "POST", body=[running, queued, "x"]) == {running: True, queued: False, "x": False}
    state = n.wait(running, "CANCELLED")
    assert "begin" in state and "end" in state and n.files() == []
    assert n.json(f"cancel/download/{running}", "POST") is False
    pages.open()
    done = n.download("c3")
    n.wait(done, "COMPLETE")
    assert n.json(f"cancel/download/{done}", "POST") is False and n.state(done)["status"] == "COMPLETE"


# ---- names and numbers (24, 28, 29) -----------------------------------------------------------------------------------------


def test_many_pages_and_pages_of_no_known_kind(start):
    n = start(downloads="{destination: out, format: $id, separate: false}")
    pages = [png(8, 12, i) for i in range(120)]
    pages[6] = b"not a picture at all"
    n.dex.add_chapter("c20", "m1", "20", pages)
    state = n.finished("c20")
    with zipfile.ZipFile(n.folder / "out/c20.cbz") as z:
        assert z.namelist() == [f"{i:03}.png" for i in range(1, 121)] and z.read("007.png") == pages[6]
    assert state["size"] == sum(map(len, pages))


def test_a_number_of_pages_that_nobody_knows(start):
    n = start(downloads="{destination: out, format: $id, separate: false}")
    n.dex.chapters["c1"]["attributes"]["pages"] = None
    first = faults.Gate()
    n.dex.misbehave("/data/c1/1-.*", first)
    got = n.download("c1")
    state = n.wait(got, "PROCESSING")
    assert state["completion"] == -1 and isinstance(state["completion"], int)
    first.open()
    assert n.wait(got, "COMPLETE")["completion"] == 1.0
    with zipfile.ZipFile(n.folder / "out/c1.cbz") as z:
        assert z.namelist() == ["0001.png", "0002.png"]


def test_delay_and_template(start):
    n = start(downloads='{destination: out, page_delay: 1s, format: "$id [$lang] v$volume $team $$"}')
    n.dex.add_chapter("c30", "m1", "30", pages_of("c30", 3), volume="1", team="Team & Co")
    state = n.finished("c30")
    assert state["file"] == "c30 [en] v1 Team & Co $" and state["end"] - state["begin"] >= 3000


@pytest.mark.parametrize("title", ["..", ".", "", "a/../../b", "/etc/passwd", "\u0000\u0001", "x" * 400, "é" * 300, ".dozo-x"])
def test_nothing_lands_elsewhere(start, title):
    n = start()
    n.dex.add_manga("m9", title)
    n.dex.add_chapter("c40", "m9", "1", pages_of("c40"), title=title)
    n.finished("c40")
    (file,) = n.files()
    assert file.count("/") == 1 and all(len(part.encode()) <= 255 for part in file.split("/"))
    if title == "..":
        assert file.startswith("··/")
    outside = {p.name for p in n.folder.iterdir()} - {"out", "data", "dozo.yaml", "serve.log"}
    assert outside == set()
