"""The library API against a simulated mangadex.org: the acceptance checks of contracts/nagato.md 12, up to 13. Downloads are
in test_nagato_downloads.py, bad days in test_nagato_hard.py."""
import base64
import json
import sqlite3
import urllib.parse

import pytest
from conftest import png
from nagato_rig import MISSING_REF, NOT_JSON, SITE, dex, faults, n, pages_of, start

TITLE, CHAPTER = "https://mangadex.org/title/m1/dr-stone", "https://mangadex.org/chapter/c1"
MANGA = ["id", "site", "title", "alt_titles", "description", "authors", "artists", "genres", "tags", "lang", "links", "date", "rating", "status"]
LISTED = ["volume", "chapter", "title", "lang", "pages", "team", "date"]


# ---- what is there (1, 2, 4, 5) ------------------------------------------------------------------------------------------


def test_ping_version_and_what_is_not_there(n):
    ask = n.server.request
    for path, words in (("ping", b"pong"), ("version", b"1.2")):
        r = n.get(path)
        assert r.body == words and r["Content-Type"] == "text/plain; charset=utf-8" and r["X-Content-Type-Options"] == "nosniff"
        head = ask("HEAD", f"/api/{path}")
        assert (head.status, head.body, head["Content-Length"]) == (200, b"", str(len(words)))
        options = ask("OPTIONS", f"/api/{path}")
        assert options.status == 200 and set(options["Allow"].replace(" ", "").split(",")) == {"GET", "HEAD", "OPTIONS"}
        wrong = ask("POST", f"/api/{path}", body=b"x")
        assert wrong.status == 405 and "GET" in wrong["Allow"]
    for method in ("GET", "POST", "PUT", "DELETE"):
        for path in ("/api/ping/", "/api/nothing", "/api/nothing/at/all", "/api/manga", "/api/manga/info/", "/api/dl_state/"):
            r = ask(method, path)
            assert (r.status, r["Content-Type"]) == (404, "text/plain; charset=utf-8"), (method, path, r.text)
    for method, path in (("GET", "download/chapter"), ("POST", "manga/info"), ("DELETE", "chapter/mark/IGNORED"), ("PUT", "manga/favs"),
                         ("GET", "downloads/history"), ("GET", "cancel/downloads"), ("PUT", "dl_state/x")):
        assert ask(method, f"/api/{path}").status == 405, (method, path)


def test_sites_and_addresses(n):
    sites = n.json("sites")
    assert SITE in sites and [len(s) for s in sites] == sorted((len(s) for s in sites), reverse=True)
    for url in (TITLE, "mangadex.org", "MANGADEX.org/title/m1", "mangadex.org:443/x", "ftp://mangadex.org?x"):
        assert n.json("resource/site", url=url) == {"url": url, "registered": True, "site": SITE}
    for url in ("example.com", "mangadex.orgXX/title/m1", "", "é<script>"):
        assert n.json("resource/site", url=url) == {"url": url, "registered": False}
    for path in ("resource/site", "manga/id", "chapter/id"):
        assert n.words(path, 400) == "Request is missing the URL parameter"
        assert n.words(path, 400, site=SITE, id="m1") == "Request is missing the URL parameter"


def test_ids_of_addresses(n):
    for url in (TITLE, "https://mangadex.org/title/m1", "https://mangadex.org/title/m1/?tab=art", CHAPTER):
        assert n.json("manga/id", url=url) == {"url": url, "id": "m1"}
    for url in (CHAPTER, CHAPTER + "/12", "https://mangadex.org/chapter/c1?x=y"):
        assert n.json("chapter/id", url=url) == {"url": url, "id": "c1"}
    words = "URL {} does not link to any {} on the Mangadex website"
    assert n.words("manga/id", 400, url="https://mangadex.org") == words.format("https://mangadex.org", "manga nor chapter")
    assert n.words("chapter/id", 400, url=TITLE) == words.format(TITLE, "manga")
    for path in ("manga/id", "chapter/id", "manga/info", "chapter/info", "manga/cover", "manga/chapters", "chapter/mark", "manga/marked",
                 "manga/fav"):
        assert n.words(path, 404, url="example.com") == 'No downloader found for URL "example.com"'


# ---- what the site says (6, 8, 9, 10, 30) -----------------------------------------------------------------------------------


def test_manga_info(n):
    info = n.json("manga/info", site=SITE, id="m1")
    assert list(info) == MANGA
    assert (info["id"], info["site"], info["title"], info["description"]) == ("m1", SITE, "Dr. Stone / X", "About it.")
    assert (info["genres"], info["tags"], info["lang"], info["rating"], info["status"]) == (["Comedy"], ["School Life"], "ja", "safe", "ongoing")
    assert info["links"] == {"al": "98416", "raw": "https://example.org/é"}
    assert info["alt_titles"] == [{"ja": "題"}] and info["date"] == {"day": None, "month": None, "year": 2016}
    assert info["authors"] == [{"id": "a1", "name": "Oda Tomohito"}] == info["artists"]
    assert n.json("manga/info", url=TITLE) == info == n.json("manga/info", url=CHAPTER, includeFav="True")
    assert n.json("manga/info", url=TITLE, site="nowhere", id="x", includeFav="true") == {**info, "favourite": False}
    n.empty("PUT", "manga/fav", 201, url=TITLE)
    with_fav = n.json("manga/info", site=SITE, id="m1", includeFav="true")
    assert with_fav["favourite"] is True and list(with_fav)[-1] == "favourite"
    assert "favourite" not in n.json("manga/info", site=SITE, id="m1")
    assert n.words("manga/info", 404, site=SITE, id="zzz").startswith("Could not find resource at ")
    assert n.words("manga/info", 404, site="nowhere", id="m1") == 'No downloader found for site "nowhere"'
    for params in ({}, {"site": SITE}, {"id": "m1"}):
        for path in ("manga/info", "chapter/info", "manga/cover", "manga/chapters", "chapter/mark", "manga/marked", "manga/fav"):
            assert n.words(path, 400, **params) == MISSING_REF


def test_chapter_info(n):
    info = n.json("chapter/info", site=SITE, id="c1")
    assert list(info) == [*LISTED, "id", "manga"]
    assert info["volume"] == 1 and info["chapter"] == 1 and info["pages"] == 2 and info["manga"] == "m1"
    assert info["team"] == {"id": "g1", "name": "Team & Co", "site": "https://group.example"}
    assert info["date"] == {"day": 9, "month": 5, "year": 2021}
    late = n.json("chapter/info", url="https://mangadex.org/chapter/c6", includeMark="true")
    assert (late["volume"], late["chapter"], late["title"], late["team"], late["mark"]) == (None, 10.5, None, None, None)
    n.empty("PUT", "chapter/mark/IGNORED", 201, site=SITE, id="c6")
    assert n.json("chapter/info", site=SITE, id="c6", includeMark="true")["mark"] == "IGNORED"
    assert "mark" not in n.json("chapter/info", site=SITE, id="c6", includeMark="1")


def test_chapters(n):
    chapters = n.json("manga/chapters", site=SITE, id="m1")
    assert list(chapters) == ["c1", "c2", "c3", "c4", "c5", "c6"]
    assert all(list(c) == LISTED for c in chapters.values())
    assert [r.query["offset"] for r in n.dex.asked("/manga/m1/feed")] == [["0"], ["4"]]
    n.empty("PUT", "chapter/mark/DOWNLOADED", 201, site=SITE, id="c2")
    marked = n.json("manga/chapters", site=SITE, id="m1", includeMarks="true")
    assert marked == {i: {**c, "mark": "DOWNLOADED" if i == "c2" else None} for i, c in chapters.items()}
    assert n.json("manga/chapters", url=TITLE) == chapters
    assert n.dex.count("/manga/m1/feed") == 2


def test_nothing_is_remembered_with_a_cache_of_no_entries(start):
    n = start(env={"NAGATO_CACHE_SIZE": "0"})
    for i in (1, 2):
        n.json("manga/chapters", site=SITE, id="m1")
        assert n.dex.count("/manga/m1/feed") == 2 * i


def test_chapters_without_a_number(n):
    n.dex.add_chapter("c7", "m1", None, pages_of("c7"), volume="1.5", title="Oneshot")
    n.dex.add_chapter("c8", "m1", "extra", pages_of("c8"), volume="none")
    chapters = n.json("manga/chapters", site=SITE, id="m1")
    assert len(chapters) == 8
    assert all((chapters[c]["chapter"], chapters[c]["volume"]) == (None, None) for c in ("c7", "c8"))


def test_cover(n):
    picture = png(20, 30, 7)
    r = n.get("manga/cover", site=SITE, id="m1")
    assert (r["Content-Type"], r.body, r["Original-Content-Type"]) == ("image/png", picture, None)
    r = n.get("manga/cover", url=TITLE, base64="true")
    assert (r["Content-Type"], r["Original-Content-Type"]) == ("text/plain", "image/png") and base64.b64decode(r.body, validate=True) == picture
    kinds = {b"\xff\xd8\xff\xe0 x": "image/jpeg", b"GIF89a x": "image/gif", b"GIF87a!": "image/gif", b"RIFF....WEBP": "image/webp",
             b"II*\0 tiff": "image/tiff", b"MM\0* tiff": "image/tiff", b"BM bmp": "image/bmp", b"<html><script>": "application/octet-stream",
             b"x": "application/octet-stream"}
    for i, (data, kind) in enumerate(kinds.items()):
        n.dex.add_manga(f"k{i}", "Kinds", cover=data)
        r = n.get("manga/cover", site=SITE, id=f"k{i}")
        assert (r["Content-Type"], r.body) == (kind, data)
    n.dex.add_manga("m2", "No cover")
    assert n.ask("GET", "manga/cover", site=SITE, id="m2").status == 404
    assert n.ask("GET", "manga/cover", site=SITE, id="zzz").status == 404


# ---- marks and favourites (12, 13) ------------------------------------------------------------------------------------------


def test_marks(n):
    assert n.mark("c1") is None
    n.empty("PUT", "chapter/mark/IGNORED", 201, url=CHAPTER)
    n.empty("PUT", "chapter/mark/IGNORED", 201, site=SITE, id="c1")
    assert n.mark("c1") == "IGNORED" == n.json("chapter/mark", url=CHAPTER)
    n.empty("PUT", "chapter/mark/DOWNLOADED", 201, site=SITE, id="c1")
    assert n.mark("c1") == "DOWNLOADED"
    for _ in range(2):
        n.empty("DELETE", "chapter/mark", 200, site=SITE, id="c1")
    assert n.mark("c1") is None
    for mark in ("X", "downloaded", "<script>", "é"):
        assert n.words(f"chapter/mark/{urllib.parse.quote(mark)}", 400, "PUT", site=SITE, id="c1") == f"Invalid mark: {mark}"
        assert n.words(f"chapters/mark/{urllib.parse.quote(mark)}", 400, "PUT") == f"Invalid mark: {mark}"
    # Without a row its series is asked for; nothing is stored when that fails.
    n.dex.misbehave("/chapter/c5", faults.status(503))
    assert "failed with return code 503" in n.words("chapter/mark/IGNORED", 500, "PUT", site=SITE, id="c5")
    assert n.words("chapter/mark/IGNORED", 404, "PUT", site=SITE, id="c99").startswith("Could not find resource at ")
    n.dex.behave()
    assert n.json("manga/marked", site=SITE, id="m1") == {}


def test_marks_of_several(n):
    body = {"sites": {SITE: ["c3", "c1", "c3"]}, "urls": ["https://mangadex.org/chapter/c2", CHAPTER]}
    n.empty("PUT", "chapters/mark/IGNORED", 201, body=body)
    marks = {"c1": "IGNORED", "c2": "IGNORED", "c3": "IGNORED"}
    assert n.json("manga/marked", site=SITE, id="m1") == marks == n.json("manga/marked", url=TITLE)
    n.empty("PUT", "chapters/mark/DOWNLOADED", 201, body={"sites": {SITE: ["c1"]}})
    assert n.json("manga/marked", site=SITE, id="m1") == {**marks, "c1": "DOWNLOADED"}
    for empty in ({}, {"sites": {}}, {"urls": []}, {"sites": {SITE: []}, "urls": []}):
        n.empty("PUT", "chapters/mark/IGNORED", 200, body=empty)
        n.empty("DELETE", "chapters/mark", 200, body=empty)
    # All or nothing: c4 has no mark after a request that names something unknown.
    for other, status, words in ((["c99"], 404, "Could not find resource"), (["c5", "c98"], 404, "Could not find resource")):
        r = n.ask("PUT", "chapters/mark/IGNORED", body={"sites": {SITE: ["c4", *other]}})
        assert (r.status, r.text[:len(words)]) == (status, words)
    for body, words in (({"urls": [CHAPTER, "example.com/x"]}, 'No downloader found for URL "example.com/x"'),
                        ({"sites": {"nowhere": ["c4"]}}, 'No downloader found for site "nowhere"'),
                        ({"sites": {"nowhere": []}}, 'No downloader found for site "nowhere"')):
        for method, path in (("PUT", "chapters/mark/IGNORED"), ("DELETE", "chapters/mark"), ("POST", "download/chapters")):
            r = n.ask(method, path, body=body)
            assert (r.status, r.text) == (404, words)
    assert n.mark("c4") is None
    n.empty("DELETE", "chapters/mark", 200, body={"sites": {SITE: ["c2", "c5"]}, "urls": [CHAPTER]})
    assert n.json("manga/marked", site=SITE, id="m1") == {"c3": "IGNORED"}


BAD_BODIES = [b"", b"{", b"null", b"[]", b'["c1"]', b"1", b'"x"', b"sites=1", b'{"sites": null}', b'{"sites": []}', b'{"sites": "x"}',
              b'{"sites": {"mangadex.org": null}}', b'{"sites": {"mangadex.org": "c1"}}', b'{"sites": {"mangadex.org": {"c1": 1}}}',
              b'{"sites": {"mangadex.org": [1]}}', b'{"sites": {"mangadex.org": [null]}}', b'{"sites": {"mangadex.org": [["c1"]]}}',
              b'{"urls": {}}', b'{"urls": "x"}', b'{"urls": [1]}', b'{"urls": [true]}', b'{"urls": null}', b'{"urls": ["a\\u0000b"]}',
              b'{"urls": ["\xff"]}', b"\0", b'{"urls": []} x', b"[" * 100000, b'{"sites":' * 3000]


@pytest.mark.parametrize("method, path", [("PUT", "chapters/mark/IGNORED"), ("DELETE", "chapters/mark"), ("POST", "download/chapters")])
def test_bodies_that_name_no_chapters(n, method, path):
    for body in BAD_BODIES:
        r = n.ask(method, path, body=body, headers={"Content-Type": "application/json"})
        assert (r.status, r.text) == (400, NOT_JSON), (body[:40], r.text)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"):
        r = n.ask(method, path, body=b'{"sites": {}}', headers={"Content-Type": kind})
        assert (r.status, r.text) == (400, NOT_JSON)
    for kind in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"):
        assert n.ask(method, path, body=b'{"sites": {}}', headers={"Content-Type": kind}).status in (200, 202)


def test_favourites(n):
    assert n.json("manga/fav", site=SITE, id="m1") is False and n.json("manga/favs") == {} and n.json("manga/favs", includeInfo="true") == {}
    assert n.json("manga/favs", site=SITE) == {SITE: []} == n.json("manga/favs", site=SITE, includeInfo="true")
    n.empty("PUT", "manga/fav", 201, site=SITE, id="m1")
    n.empty("PUT", "manga/fav", 200, url=TITLE)
    assert n.json("manga/fav", url=TITLE) is True
    assert n.json("manga/favs") == {SITE: ["m1"]} == n.json("manga/favs", site=SITE)
    assert n.json("manga/favs", includeInfo="true") == {SITE: {"m1": n.json("manga/info", site=SITE, id="m1")}}
    assert n.words("manga/favs", 404, site="nowhere") == 'No downloader found for site "nowhere"'
    assert n.words("manga/fav", 404, "PUT", site="nowhere", id="m1") == 'No downloader found for site "nowhere"'
    # That it is there is not looked at, and one that is not hides no other.
    n.empty("PUT", "manga/fav", 201, site=SITE, id="zzz")
    assert n.json("manga/favs") == {SITE: ["m1", "zzz"]}
    assert n.json("manga/favs", includeInfo="true") == {SITE: {"m1": n.json("manga/info", site=SITE, id="m1")}}
    assert n.words("manga/info", 404, site=SITE, id="zzz").startswith("Could not find resource at ")
    for _ in range(2):
        n.empty("DELETE", "manga/fav", 200, site=SITE, id="zzz")
    n.empty("DELETE", "manga/fav", 200, url=TITLE)
    assert n.json("manga/favs", site=SITE) == {SITE: []} and n.json("manga/fav", url=TITLE) is False


def test_many_favourites(n):
    ids = [f"f{i}" for i in range(40)]
    for i in ids:
        n.dex.add_manga(i, f"Title {i}")
        n.empty("PUT", "manga/fav", 201, site=SITE, id=i)
    got = n.json("manga/favs", includeInfo="true")
    assert {i: m["title"] for i, m in got[SITE].items()} == {i: f"Title {i}" for i in ids} and list(got[SITE]) == ids


def test_heads(n):
    for path in (f"manga/info?site={SITE}&id=m1", f"manga/cover?site={SITE}&id=m1", "dl_states/agregate", "manga/favs", "sites", "dl_state/x"):
        get, head = n.server.get(f"/api/{path}"), n.server.head(f"/api/{path}")
        assert (head.status, head["Content-Type"], head["Content-Length"]) == (get.status, get["Content-Type"], str(len(get.body)))


def test_favourites_of_a_site_that_is_gone(n):
    n.empty("PUT", "manga/fav", 201, site=SITE, id="m1")
    db = sqlite3.connect(n.folder / "data/dozo.db", timeout=30)
    db.execute("INSERT INTO favourite (source, series, created_ms) VALUES ('gone.example', 'x1', 5)")
    db.commit()
    db.close()
    assert n.json("manga/favs") == {"gone.example": ["x1"], SITE: ["m1"]}
    got = n.json("manga/favs", includeInfo="true")
    assert got["gone.example"] == ["x1"] and list(got[SITE]) == ["m1"]
    assert len(n.json("download/allnew", "POST", 202)) == 6
