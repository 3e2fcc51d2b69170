"""The reader's pages as a browser without JavaScript sees them."""
import gzip
import re
import urllib.parse

import pytest

from comics import Page, chapter_links, importing, page, pages, read, series_links, strip_pages, write, zip_bytes
from conftest import Server, png

HOSTILE = "<script>alert(1)</script> \"quoted\" 'single' &amp; </title></a><img src=x onerror=alert(1)>"
HOSTILE_XML = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
CHAPTERS, SERIES = 210, 65


def comicinfo(**fields):
    return ("<ComicInfo>" + "".join(f"<{k}>{v}</{k}>" for k, v in fields.items()) + "</ComicInfo>").encode()


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    lib = {}
    for i in range(1, 4):
        lib[f"Three/Three c{i}.cbz"] = zip_bytes(pages(3, i * 10))
    for i in range(1, CHAPTERS + 1):
        lib[f"Long Runner/Long Runner c{i}.cbz"] = zip_bytes(pages(1, 1000 + i))
    for i in range(1, SERIES + 1):
        lib[f"Series {i:02}/c1.cbz"] = zip_bytes(pages(1, 2000 + i))
    lib["Evil/c1.cbz"] = zip_bytes({"ComicInfo.xml": comicinfo(
        Series=HOSTILE_XML, Title=HOSTILE_XML, Number=HOSTILE_XML, Volume="3", Summary=HOSTILE_XML, Writer=HOSTILE_XML), **pages(2, 3000)})
    lib["Evil/c2.cbz"] = zip_bytes({"ComicInfo.xml": comicinfo(Series=HOSTILE_XML, Number="2"), **pages(1, 3010)})
    lib["右から/第1話.cbz"] = zip_bytes({"ComicInfo.xml": comicinfo(Series="右から左へ", Number="1", Manga="YesAndRightToLeft",
                                                                LanguageISO="ja"), **pages(2, 4000)})
    lib["Strip/c1.cbz"] = zip_bytes({"1.png": png(100, 2000), "2.png": page(1)})
    write(folder / "lib", lib)
    importing(folder, "lib")
    s = Server(folder)
    s.series = {read(s, link).heading: link for link in series_links(s)}
    yield s
    assert s.stop() == 0


def test_all_series_are_listed(web):
    names = ["Three", "Long Runner", *[f"Series {i:02}" for i in range(1, SERIES + 1)], HOSTILE, "右から左へ", "Strip"]
    assert sorted(web.series) == sorted(names)


def test_empty_library(tmp_path, serve):
    s = serve(tmp_path)
    p = read(s, "/")
    assert "Nothing here yet" in p.text and "dozo import" in p.text
    assert read(s, "/?q=x").response.status == 200


def test_every_page(web):
    """From / over every link: all answer, all nest, and all say what a page has to say."""
    seen, todo = set(), ["/"]
    kinds = {"text/html": 0, "image/png": 0}
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        r = web.get(path)
        assert r.status == 200, path
        kind = r["Content-Type"].split(";")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
        if kind != "text/html":
            continue
        p = Page(r)
        assert not p.faults, (path, p.faults)
        check_page(path, p)
        for link in p.links():
            u = urllib.parse.urlsplit(urllib.parse.urljoin(path, link))
            assert not u.netloc and not u.scheme, (path, link)
            if u.path:
                todo.append(u._replace(fragment="").geturl())
    chapters = 3 + CHAPTERS + SERIES + 2 + 1 + 1
    all_pages = 9 + CHAPTERS + SERIES + 3 + 2 + 2
    assert kinds["text/html"] >= 1 + len(web.series) + chapters + all_pages and kinds["image/png"] >= all_pages
    assert kinds["text/css"] == 1 and kinds["image/svg+xml"] == 1


def check_page(path, p):
    r = p.response
    csp = dict(d.strip().split(" ", 1) for d in r["Content-Security-Policy"].split(";"))
    assert csp["default-src"] == "'none'" and csp["script-src"] == csp["style-src"] == csp["img-src"] == "'self'"
    assert r["X-Content-Type-Options"] == "nosniff" and r["Cache-Control"] == "no-cache"
    assert r.text.startswith("<!doctype html>") and p.all("html")[0].get("lang")
    assert len(p.all("title")) == 1 and len(p.all("main")) == 1
    assert any("width=device-width" in (m.get("content") or "") for m in p.all("meta", name="viewport"))
    assert p.all("meta", charset="utf-8")
    for script in p.all("script"):
        assert re.fullmatch(r"/static/keys\.js\?v=[0-9a-f]+", script["src"]), path
    for img in p.all("img"):
        assert img.get("alt") is not None and int(img["width"]) > 0 and int(img["height"]) > 0, (path, img)
        assert img["src"].startswith(("/page/", "/static/")) and "?v=" in img["src"]
    for a in p.all("a"):
        assert a.get("href"), path
    ids = [a["id"] for _, a in p.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for field in p.all("input"):
        assert field.get("aria-label") or field.get("id")
    heads = {a["rel"]: a["href"] for a in p.all("link") if a["rel"] in ("prev", "next")}
    if path.startswith("/read/"):
        assert heads == {k: v for k, v in (("prev", p.rel("prev")), ("next", p.rel("next"))) if v}


def test_images_of_a_chapter(web):
    """Real sizes, so that nothing jumps; all but the first two wait until they are near."""
    link = chapter_links(web, web.series["Three"])[0]
    images = read(web, link).all("img")
    assert [int(i["width"]) for i in images] == [8 + n % 50 for n in (10, 11, 12)] and {i["height"] for i in images} == {"12"}
    assert [i["loading"] for i in images] == ["eager", "eager", "lazy"]
    assert [i["alt"] for i in images] == ["Page 1", "Page 2", "Page 3"]
    cards = read(web, "/").all("img", **{"class": "cover"})
    assert len(cards) == 60 and [c.get("loading") for c in cards[12:]] == ["lazy"] * 48
    assert all(c.get("loading") in (None, "eager") for c in cards[:2])


def walk(web, start, word):
    """The pages from a start, over the buttons of that kind."""
    out, path = [], start
    while path:
        assert path not in out, "a circle"
        out.append(path)
        path = read(web, path).rel(word)
    return out


def test_chapters_hang_together(web):
    links = chapter_links(web, web.series["Long Runner"])
    assert len(links) == CHAPTERS == len(set(links))
    assert walk(web, links[0], "next") == links
    assert walk(web, links[-1], "prev") == links[::-1]


def test_pages_hang_together(web):
    """One page at a time through the whole series, over the ends of chapters, forward and back."""
    links = chapter_links(web, web.series["Three"])
    there = walk(web, links[0] + "/1", "next")
    assert there == [f"{link}/{n}" for link in links for n in (1, 2, 3)]
    assert walk(web, there[-1], "prev") == there[::-1]
    got = [web.get(read(web, path).all("img")[0]["src"]).body for path in there]
    assert got == [data for i in (1, 2, 3) for data in pages(3, i * 10).values()]
    for path in there[:-1]:
        p = read(web, path)
        picture = next(i for i, (tag, _) in enumerate(p.elements) if tag == "img")
        tag, a = p.elements[picture - 1]
        assert tag == "a" and a["href"] == p.rel("next"), "the picture leads on"


def test_order_of_chapters(web):
    newest = [a["href"] for a in read(web, web.series["Long Runner"]).all("a") if "/read/" in a["href"] and "class" not in a]
    oldest = chapter_links(web, web.series["Long Runner"])
    assert len(newest) == 200 and newest == oldest[::-1][:200]
    p = read(web, web.series["Long Runner"])
    buttons = [a["href"] for a in p.all("a") if "/read/" in a["href"] and "class" in a]
    assert buttons == [oldest[0], oldest[-1]], "from the start, and the newest"
    assert "210 chapters" in p.text


def test_pager_of_series(web):
    first = read(web, "/")
    assert first.rel("prev") is None and first.rel("next") == "/?page=2"
    second = read(web, "/?page=2")
    assert second.rel("next") is None and second.rel("prev") in ("/?page=1", "/")
    one = [a["href"] for a in first.all("a") if a["href"].startswith("/series/")]
    two = [a["href"] for a in second.all("a") if a["href"].startswith("/series/")]
    assert len(one) == 60 and len(two) == len(web.series) - 60 and not set(one) & set(two)


@pytest.mark.parametrize("query", ["page=0", "page=abc", "page=-1", "page=99999999999999999999", "page=1e3", "page=", "page"])
def test_odd_page_numbers(web, query):
    assert [a for a in read(web, "/?" + query).all("a") if a["href"].startswith("/series/")]


def test_past_the_last_page(web):
    """A bookmark of a list that has become shorter leads to its end."""
    for path, last in (("/", "/?page=2"), (web.series["Three"], web.series["Three"]), ("/?q=series", "/?q=series&page=2")):
        beyond = path + ("&" if "?" in path else "?") + "page=18446744073709551615"
        assert read(web, beyond).response.body == read(web, last).response.body
    assert "0 series" in read(web, "/?q=nobody&page=7").text


def test_search(web):
    def found(q, **more):
        p = read(web, "/?" + urllib.parse.urlencode({"q": q, **more}))
        assert p.all("input", name="q")[0]["value"] == q.strip().replace("\x01", "\ufffd")
        return p, [a["href"] for a in p.all("a") if a["href"].startswith("/series/")]
    assert found("three")[1] == [web.series["Three"]] == found("  THREE ")[1]
    assert found("左へ")[1] == [web.series["右から左へ"]]
    assert found("no such thing")[1] == []
    p, hits = found("Series")
    assert len(hits) == 60 and "65 series" in p.text
    rest = read(web, p.rel("next"))
    assert len([a for a in rest.all("a") if a["href"].startswith("/series/")]) == 5 and "q=Series" in p.rel("next")
    p, hits = found(HOSTILE)
    assert hits == [web.series[HOSTILE]]
    p, hits = found("%00\x01<b>")
    assert hits == []
    assert web.get("/?q=" + "x" * 5000).status == 200
    assert web.get("/?q=%ff%fe%80").status == 200
    assert web.get("/?q=%zz").status in (200, 400)


def test_hostile_texts(web):
    link = web.series[HOSTILE]
    for path in ("/?q=" + urllib.parse.quote(HOSTILE), link, *chapter_links(web, link), chapter_links(web, link)[0] + "/1"):
        p = read(web, path)
        check_page(path, p)
        assert HOSTILE in p.text, path
        assert not [a for _, a in p.elements if "onerror" in a] and len(p.all("script")) == 1


def test_right_to_left(web):
    link = web.series["右から左へ"]
    chapter = chapter_links(web, link)[0]
    for path in (chapter, chapter + "/1"):
        assert read(web, path).all("html")[0].get("data-rtl") == "1"
    other = chapter_links(web, web.series["Three"])[0]
    assert "data-rtl" not in read(web, other).all("html")[0]


def test_images_never_change(web):
    src = read(web, chapter_links(web, web.series["Three"])[0]).all("img")[0]["src"]
    r = web.get(src)
    assert r["Cache-Control"] == "public, max-age=31536000, immutable" and r["Content-Type"] == "image/png" and r["ETag"]
    assert web.get(src, headers={"If-None-Match": r["ETag"]}).status == 304
    bare = web.get(src.split("?")[0])
    assert bare.body == r.body and "immutable" not in (bare["Cache-Control"] or "")
    assert "immutable" not in (web.get(src.split("?")[0] + "?v=000000000000")["Cache-Control"] or "")
    css = read(web, "/").all("link", rel="stylesheet")[0]["href"]
    r = web.get(css)
    assert "immutable" in r["Cache-Control"] and r["Content-Type"].startswith("text/css")
    assert "immutable" not in web.get(css.split("?")[0])["Cache-Control"]


def test_compressed(web):
    for path in ("/", web.series["Long Runner"], "/static/style.css"):
        plain = web.get(path)
        small = web.get(path, headers={"Accept-Encoding": "gzip"})
        assert small["Content-Encoding"] == "gzip" and "Accept-Encoding" in small["Vary"] and "Accept-Encoding" in plain["Vary"]
        assert gzip.decompress(small.body) == plain.body and len(small.body) < len(plain.body) / 2
        assert web.get(path, headers={"Accept-Encoding": "br"})["Content-Encoding"] == "br"
        assert web.get(path, headers={"Accept-Encoding": "gzip;q=0"})["Content-Encoding"] is None
    src = read(web, chapter_links(web, web.series["Three"])[0]).all("img")[0]["src"]
    assert web.get(src, headers={"Accept-Encoding": "gzip, br"})["Content-Encoding"] is None


def test_tall_pages_keep_their_width(web):
    chapter = chapter_links(web, web.series["Strip"])[0]
    assert "tall" in read(web, chapter + "/1").all("main")[0]["class"].split()
    assert "tall" not in read(web, chapter + "/2").all("main")[0]["class"].split()


def test_what_is_not_there(web):
    browser = {"Accept": "text/html"}
    chapter = chapter_links(web, web.series["Three"])[0]
    other = web.series["Strip"].rsplit("/", 1)[1]
    for path in ("/series/99999", "/series/x", "/read/1/99999", f"/read/{other}/{chapter.rsplit('/', 1)[1]}", chapter + "/99", chapter + "/0",
                 "/page/1/1/99", "/nothing", "/static/nothing.css"):
        r = web.get(path, headers=browser)
        assert r.status == 404, path
        p = Page(r)
        assert not p.faults and p.rel("home") is None and any(a["href"] == "/" for a in p.all("a"))
        assert web.get(path)["Content-Type"] == "application/json"


def test_the_same_page_twice(web):
    """Strips and single pages show the same bytes."""
    chapter = chapter_links(web, web.series["Three"])[1]
    assert strip_pages(web, chapter) == [web.get(read(web, f"{chapter}/{n}").all("img")[0]["src"]).body for n in (1, 2, 3)]


def test_static_files_in_every_encoding(web):
    page = web.get("/").text
    for name in ("style.css", "keys.js"):
        url = re.search(rf'"(/static/{name}[?]v=[0-9a-f]+)"', page).group(1)
        plain = web.get(url)
        assert plain["Cache-Control"] == "public, max-age=31536000, immutable" and plain["Content-Encoding"] is None
        for accept, coding, suffix in (("gzip", "gzip", "-gz"), ("br", "br", "-br"), ("zstd", "zstd", "-zs"), ("gzip;q=0", None, "")):
            r = web.get(url, headers={"Accept-Encoding": accept})
            assert (r["Content-Encoding"], r["Vary"], r["X-Content-Type-Options"]) == (coding, "Accept-Encoding", "nosniff")
            assert r["ETag"] == plain["ETag"][:-1] + suffix + '"' and r["Cache-Control"] == plain["Cache-Control"]
            assert (len(r.body) < len(plain.body)) == (coding is not None)
            if coding == "gzip":
                assert gzip.decompress(r.body) == plain.body
            same = web.get(url, headers={"Accept-Encoding": accept, "If-None-Match": r["ETag"]})
            assert (same.status, same["ETag"]) == (304, r["ETag"])
        old = web.get(url[:-1] + "x", headers={"Accept-Encoding": "br"})
        assert (old["Cache-Control"], old["Content-Encoding"]) == ("no-cache", "br")
    icon = web.get("/static/icon.svg", headers={"Accept-Encoding": "br, gzip, zstd"})
    assert icon["Content-Encoding"] is None and icon["ETag"].startswith('"')
