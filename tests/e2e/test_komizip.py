"""The read side of contracts/komizip.md (2.1-2.6, 2.8, 3, 4, the drop-in rules of 9) against the real binary."""
import gzip
import json
import os
import subprocess

import pytest

from comics import cbz, importing, page
from conftest import Server, dozo, tool, until

DAY = "public, max-age=86400"
MINUTES = "public, max-age=180"
NOT_FOUND = b'{"error": true, "description": "404: Not Found."}'
CDN, API, IMG = "cdn.komi.zip", "api.komi.zip", "i.komi.zip"
CONFIG = """
shelves:
  - name: komi
    series: viz.com/komi-cant-communicate
    api_hosts: [api.komi.zip]
    cdn_hosts: [cdn.komi.zip]
    image_hosts: [i.komi.zip]
    cdn_url: https://cdn.komi.zip
"""


def chapter(n, title="A title", pages=18, volume=None, cover=False, viz=True, **extra):
    links = {"viz": f"https://www.viz.com/vizmanga/komi-cant-communicate-chapter-{n}/chapter/9?action=read"} if viz else {}
    links["komizip"] = f"https://read.komi.zip/{n}"
    return {"metadata": {"title": title, "page_count": pages, "volume": volume, "volume_cover": cover}, "links": links, **extra}


def store():
    """411 chapters, newest first, decimals among them, most without links.viz."""
    keys = [str(n) for n in range(1, 408)] + ["207.5", "246.5", "284.5", "333.2"]
    keys.sort(key=float, reverse=True)
    out = {}
    for k in keys:
        out[k] = chapter(k, viz=float(k) > 399, volume="1" if float(k) < 11 else None, cover=float(k) < 11)
    out["378"]["metadata"]["title"] = "It\u2019s \U0001f600 <b>\"quoted\"</b>"
    out["377"]["metadata"]["title"] = None
    out["376"]["x_extra"] = {"b": 1.0, "a": [1, 2]}
    out["376"]["metadata"]["colour"] = "red"
    return out


@pytest.fixture(scope="module")
def komi(tmp_path_factory):
    folder = tmp_path_factory.mktemp("komi")
    chapters = store()
    (folder / "chapters.json").write_text(json.dumps(chapters, indent=4))
    cdn = folder / "cdn"
    cdn.mkdir()
    files = {"407-01.jpg": os.urandom(150_000), "407-02.jpg": b"\xff\xd8\xff\xe0small\xff\xd9", "vol1.jpg": b"\xff\xd8cover" * 900,
             "999-01.jpg": b"\xff\xd8orphan", "207.5-12.jpg": b"decimal", "9-100.jpg": b"hundred", "378-01.jpg": b""}
    for name, data in files.items():
        (cdn / name).write_bytes(data)
    os.utime(cdn / "407-01.jpg", (1_600_000_000, 1_600_000_000))
    (folder / "dozo.yaml").write_text(CONFIG)
    dozo("import", "komizip", "chapters.json", "cdn", "--shelf", "komi", "--config", "dozo.yaml", cwd=folder, check=0)
    s = Server(folder, CONFIG)
    s.chapters, s.files = chapters, files
    yield s
    assert s.stop() == 0


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def test_metadata_probe(komi):
    r = komi.head("/cdn/378", host=CDN)
    assert (r.status, r["Content-Length"], r["Cache-Control"]) == (200, "0", MINUTES)
    assert r["Content-Type"] == "text/html; charset=utf-8"
    assert json.loads(r["X-Chapters"]) == list(komi.chapters) and len(json.loads(r["X-Chapters"])) == 411
    assert r["X-Chapters"] == compact(list(komi.chapters))
    assert r["X-Metadata"] == compact(komi.chapters["378"])
    assert "\\u2019" in r["X-Metadata"] and "\\ud83d\\ude00" in r["X-Metadata"]
    g = komi.get("/cdn/378", host=CDN)
    assert g.status == 200 and g.body == b"" and g["X-Metadata"] == r["X-Metadata"]


@pytest.mark.parametrize("key", ["407", "377", "376", "207.5", "333.2", "1"])
def test_every_kind_of_chapter(komi, key):
    assert komi.head(f"/cdn/{key}", host=CDN)["X-Metadata"] == compact(komi.chapters[key])


@pytest.mark.parametrize("path", ["/cdn/9999", "/cdn/407.jpg", "/cdn/407/", "/cdn/407-03.jpg", "/cdn/407-1.jpg", "/cdn/407-001.jpg",
                                  "/cdn/volNone.jpg", "/cdn/..%2fapi%2fpwd_hash-", "/cdn/../api/pwd_hash-", "/cdn/%2e%2e/dozo.db-",
                                  "/cdn/-", "/cdn/407-01.jpg/", "/cdn//407-01.jpg", "/cdn/407-01.JPG"])
def test_cdn_misses(komi, path):
    r = komi.get(path, host=CDN)
    assert (r.status, r.body, r["Cache-Control"]) == (404, b"404", "no-store"), r.body
    assert r["Content-Type"].startswith("text/html") and r["X-Metadata"] is None and r["X-Chapters"] is None
    h = komi.head(path, host=CDN)
    assert (h.status, h["Content-Length"], h.body) == (404, "3", b"")


def test_page(komi):
    r = komi.get("/cdn/407-01.jpg", host=CDN)
    assert r.status == 200 and r.body == komi.files["407-01.jpg"]
    assert r["Content-Type"] == "image/jpeg" and r["Cache-Control"] == DAY
    assert r["Content-Disposition"] == "inline; filename=407-01.jpg"
    assert r["Last-Modified"] == "Sun, 13 Sep 2020 12:26:40 GMT"
    assert r["Accept-Ranges"] == "bytes" and r["ETag"].startswith('"')
    assert json.loads(r["X-Metadata"])["metadata"]["page_count"] == 18
    assert r["X-Chapters"] is None and r["Content-Encoding"] is None
    h = komi.head("/cdn/407-01.jpg", host=CDN)
    assert sorted(k for k, _ in h.headers if k != "Date") == sorted(k for k, _ in r.headers if k != "Date")
    assert h["Content-Length"] == "150000"


@pytest.mark.parametrize("name", ["407-02.jpg", "207.5-12.jpg", "9-100.jpg", "378-01.jpg"])
def test_small_pages_twice(komi, name):
    for _ in range(2):
        r = komi.get(f"/cdn/{name}", host=CDN)
        assert r.status == 200 and r.body == komi.files[name] and r["X-Metadata"] == compact(komi.chapters[name.split("-")[0]])


def test_cover_has_no_metadata(komi):
    r = komi.get("/cdn/vol1.jpg", host=CDN)
    assert (r.status, r["Cache-Control"], r["X-Metadata"]) == (200, DAY, None) and r.body == komi.files["vol1.jpg"]


def test_page_of_unknown_chapter(komi):
    r = komi.get("/cdn/999-01.jpg", host=CDN)
    assert r.status == 200 and r.body == b"\xff\xd8orphan" and r["X-Metadata"] is None


def test_joke(komi):
    r = komi.get("/cdn/__images_here__", host=CDN)
    assert (r.status, r.body, r["Cache-Control"], r["X-Metadata"]) == (200, b"you read the github didn't you?", DAY, None)


def test_conditional(komi):
    r = komi.get("/cdn/407-01.jpg", host=CDN)
    for headers in ({"If-None-Match": r["ETag"]}, {"If-None-Match": "*"}, {"If-None-Match": f'"x", W/{r["ETag"]}'},
                    {"If-Modified-Since": r["Last-Modified"]}):
        c = komi.get("/cdn/407-01.jpg", host=CDN, headers=headers)
        assert (c.status, c.body) == (304, b""), headers
        assert c["ETag"] == r["ETag"] and c["Cache-Control"] == DAY and c["X-Metadata"] == r["X-Metadata"]
    c = komi.get("/cdn/407-01.jpg", host=CDN, headers={"If-None-Match": '"x"', "If-Modified-Since": r["Last-Modified"]})
    assert c.status == 200


def test_ranges(komi):
    whole = komi.files["407-01.jpg"]
    r = komi.get("/cdn/407-01.jpg", host=CDN, headers={"Range": "bytes=0-9", "Accept-Encoding": "gzip"})
    assert (r.status, r.body, r["Content-Range"]) == (206, whole[:10], "bytes 0-9/150000")
    assert r["Accept-Ranges"] == "bytes" and r["Content-Encoding"] is None
    r = komi.get("/cdn/407-01.jpg", host=CDN, headers={"Range": "bytes=1000-", "Accept-Encoding": "gzip"})
    assert (r.status, r.body, r["Content-Encoding"]) == (206, whole[1000:], None)
    r = komi.get("/cdn/407-01.jpg", host=CDN, headers={"Range": "bytes=-5"})
    assert (r.status, r.body) == (206, whole[-5:])
    r = komi.get("/cdn/407-01.jpg", host=CDN, headers={"Range": "bytes=999999-"})
    assert (r.status, r["Content-Range"]) == (416, "bytes */150000")
    r = komi.get("/cdn/407-02.jpg", host=CDN, headers={"Range": "bytes=2-3"})
    assert (r.status, r.body) == (206, komi.files["407-02.jpg"][2:4])


def test_list(komi):
    plain = komi.get("/v1/chapters", host=API)
    assert plain.status == 200 and plain["Content-Type"] == "application/json" and plain["Cache-Control"] is None
    assert plain["Vary"] == "Accept-Encoding" and plain["Content-Encoding"] is None
    want = {"error": False, "new_release": "null", "chapters": komi.chapters, "order": list(komi.chapters)}
    assert plain.text == json.dumps(want)


def test_list_encodings_do_not_mix(komi):
    zipped = komi.get("/v1/chapters", host=API, headers={"Accept-Encoding": "gzip"})
    plain = komi.get("/v1/chapters", host=API)
    again = komi.get("/v1/chapters", host=API, headers={"Accept-Encoding": "gzip"})
    assert zipped["Content-Encoding"] == "gzip" == again["Content-Encoding"] and plain["Content-Encoding"] is None
    assert zipped["Vary"] == plain["Vary"] == "Accept-Encoding"
    assert gzip.decompress(zipped.body) == plain.body and zipped["ETag"] != plain["ETag"]
    refused = komi.get("/v1/chapters", host=API, headers={"Accept-Encoding": "gzip;q=0, br;q=0"})
    assert refused["Content-Encoding"] is None
    br = komi.get("/v1/chapters", host=API, headers={"Accept-Encoding": "gzip, br"})
    assert br["Content-Encoding"] in ("br", "gzip")
    not_modified = komi.get("/v1/chapters", host=API, headers={"Accept-Encoding": "gzip", "If-None-Match": zipped["ETag"]})
    assert not_modified.status == 304


def decoded(r):
    name = r["Content-Encoding"]
    if name == "gzip":
        return gzip.decompress(r.body)
    if name in ("zstd", "br"):
        return subprocess.run([tool({"zstd": "zstd", "br": "brotli"}[name]), "-dc"], input=r.body, capture_output=True, check=True).stdout
    assert name is None
    return r.body


VARIANTS = [("identity", None), ("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip, br, zstd", "br"), ("gzip, zstd", "zstd"),
            ("br;q=0.5, zstd;q=0.6, gzip;q=0.1", "zstd"), ("*", "br"), ("*;q=0.1, gzip", "gzip"), ("br;q=0, zstd;q=0, *", "gzip"),
            ("zstd;q=0", None), ("deflate", None)]


@pytest.mark.parametrize("accept,want", VARIANTS)
def test_list_variants(komi, accept, want):
    plain = komi.get("/v1/chapters", host=API)
    r = komi.get("/v1/chapters", host=API, headers={"Accept-Encoding": accept})
    assert (r.status, r["Content-Encoding"], r["Vary"]) == (200, want, "Accept-Encoding")
    assert decoded(r) == plain.body
    assert r["ETag"] == plain["ETag"][:-1] + {None: "", "gzip": "-gz", "br": "-br", "zstd": "-zs"}[want] + '"'
    again = komi.get("/v1/chapters", host=API, headers={"Accept-Encoding": accept, "If-None-Match": r["ETag"]})
    assert (again.status, again["ETag"], again["Vary"]) == (304, r["ETag"], "Accept-Encoding")
    if want:
        other = komi.get("/v1/chapters", host=API, headers={"Accept-Encoding": "identity", "If-None-Match": r["ETag"]})
        assert other.status == 200 and other.body == plain.body


def test_a_long_list_is_encoded_while_it_is_served(tmp_path, serve):
    """Whatever a client meets, plain or encoded, is the whole list; in the end all encodings are there, also after a change."""
    chapters = {str(n): chapter(str(n), title=f"Chapter {n} of many") for n in range(2000, 0, -1)}
    (tmp_path / "cdn").mkdir()

    def bring():
        (tmp_path / "chapters.json").write_text(json.dumps(chapters, indent=4))
        dozo("import", "komizip", "chapters.json", "cdn", "--shelf", "komi", cwd=tmp_path, check=0)

    bring()
    s = serve(tmp_path)
    for title in (None, "another title", "a third"):
        if title:
            chapters["1000"]["metadata"]["title"] = title
            bring()
        want = json.dumps({"error": False, "new_release": "null", "chapters": chapters, "order": list(chapters)}).encode()
        assert len(want) > 256 * 1024
        until(lambda: s.get("/shelf/komi/v1/chapters").body == want, "the change")
        for name in ("zstd", "gzip", "br"):
            def there():
                r = s.get("/shelf/komi/v1/chapters", headers={"Accept-Encoding": name})
                assert r["Content-Encoding"] in (None, name) and decoded(r) == want
                return r["Content-Encoding"] == name
            until(there, name)


def test_a_stop_in_the_middle_of_encoding(tmp_path, serve):
    chapters = {str(n): chapter(str(n), title=f"Chapter {n} " + "of many " * 20) for n in range(3000, 0, -1)}
    (tmp_path / "cdn").mkdir()
    (tmp_path / "chapters.json").write_text(json.dumps(chapters, indent=4))
    dozo("import", "komizip", "chapters.json", "cdn", "--shelf", "komi", cwd=tmp_path, check=0)
    assert serve(tmp_path).stop() == 0


@pytest.mark.parametrize("host,path", [(API, "/cdn/378"), (IMG, "/cdn/378"), (CDN, "/v1/chapters"), ("www.komi.zip", "/v1/chapters"),
                                       (API, "/v1/chapters/"), ("API.komi.zip", "/v1/chapters"), ("api:8491", "/v1/chapters"),
                                       (API, "/nothing"), (CDN, "/"), (API, "/healthz"), (CDN, "/metrics"), (CDN, "/cdn/"), (CDN, "/cdn"),
                                       (API, "/v1/admin/edit"), (IMG, "/407"), (CDN, "/series/1"), (API, "/static/style.css")])
def test_wrong_place(komi, host, path):
    r = komi.get(path, host=host)
    assert (r.status, r.body) == (404, NOT_FOUND) and len(r.body) == 49
    assert r["Cache-Control"] == "no-store" and r["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("host", ["api.evil.example", "api", "api.komi.zip:8491", "api.x:1"])
def test_label_rule(komi, host):
    assert komi.get("/v1/chapters", host=host).status == 200


@pytest.mark.parametrize("host", [CDN, API, "nobody.example"])
@pytest.mark.parametrize("path", ["/cdn/378", "/v1/chapters", "/407/1"])
def test_methods_come_before_hosts(komi, host, path):
    r = komi.request("POST", path, host=host, body=b"x")
    assert r.status == 405 and {"GET", "HEAD", "OPTIONS"} <= {m.strip() for m in r["Allow"].split(",")}
    r = komi.request("OPTIONS", path, host=host)
    assert r.status == 200 and {"GET", "HEAD", "OPTIONS"} <= {m.strip() for m in r["Allow"].split(",")}


@pytest.mark.parametrize("path,to", [("/407/1", "407-01"), ("/407/12", "407-12"), ("/207.5/3", "207.5-03"), ("/407/123", "407-123"),
                                     ("/407/1?x=y", "407-01"), ("/407/01", "407-01")])
def test_redirects(komi, path, to):
    r = komi.get(path, host=IMG)
    assert (r.status, r.body, r["Cache-Control"]) == (301, b"", DAY)
    assert r["Location"] == f"https://cdn.komi.zip/cdn/{to}.jpg"


@pytest.mark.parametrize("path", ["/407", "/407/1/", "/407/1/2", "/a/1", "/407/x", "/407/"])
def test_no_redirect(komi, path):
    r = komi.get(path, host=IMG)
    assert (r.status, r.body) == (404, NOT_FOUND)


def test_under_shelf(komi):
    assert komi.get("/shelf/komi/v1/chapters").body == komi.get("/v1/chapters", host=API).body
    assert komi.get("/shelf/komi/cdn/407-01.jpg").body == komi.files["407-01.jpg"]
    assert komi.head("/shelf/komi/cdn/378")["X-Metadata"] == compact(komi.chapters["378"])
    assert komi.get("/shelf/komi/i/407/1")["Location"].endswith("/cdn/407-01.jpg")
    assert komi.get("/shelf/nobody/v1/chapters").status == 404
    assert komi.get("/shelf/komi").status == 302


def test_import_again_changes_nothing(komi):
    before = komi.get("/v1/chapters", host=API)["ETag"]
    r = dozo("import", "komizip", "chapters.json", "cdn", "--shelf", "komi", "--config", "dozo.yaml", "--json", cwd=komi.folder,
             check=0)
    result = json.loads(r.out)
    assert result["chapters_new"] == result["chapters_changed"] == 0
    assert komi.get("/v1/chapters", host=API)["ETag"] == before


def test_no_cors_unless_asked(komi):
    r = komi.get("/cdn/407-02.jpg", host=CDN, headers={"Origin": "https://read.komi.zip"})
    assert r["Access-Control-Allow-Origin"] is None


def test_check_is_clean(komi):
    dozo("check", "--config", "dozo.yaml", cwd=komi.folder, check=0)


def test_cors_and_unconfigured_shelf(tmp_path, serve):
    """A shelf that the settings do not name works by path and, being the only one, by the first label of any host."""
    (tmp_path / "chapters.json").write_text(json.dumps({"1": chapter("1")}, indent=4))
    (tmp_path / "cdn").mkdir()
    (tmp_path / "cdn/1-01.jpg").write_bytes(b"one")
    dozo("import", "komizip", "chapters.json", "cdn", "--shelf", "komi", cwd=tmp_path, check=0)
    s = serve(tmp_path, 'http: { cors_origins: ["https://read.komi.zip"] }\n')
    r = s.get("/cdn/1-01.jpg", host=CDN, headers={"Origin": "https://read.komi.zip"})
    assert r.status == 200 and r["Access-Control-Allow-Origin"] == "https://read.komi.zip"
    exposed = {h.strip() for h in r["Access-Control-Expose-Headers"].split(",")}
    assert {"X-Metadata", "X-Chapters", "X-Ip-Country"} <= exposed
    assert s.get("/cdn/1-01.jpg", host=CDN, headers={"Origin": "https://other.example"})["Access-Control-Allow-Origin"] is None
    assert s.get("/1/1", host=IMG)["Location"] == "https://cdn.komi.zip/cdn/1-01.jpg"
    assert s.get("/shelf/komi/i/1/1")["Location"] == "/shelf/komi/cdn/1-01.jpg"


def test_two_shelves(tmp_path, serve):
    config = """
shelves:
  - { name: a, api_hosts: [api.a.example], cdn_hosts: [cdn.a.example], image_hosts: [i.a.example] }
  - { name: b, api_hosts: [api.b.example], cdn_hosts: [cdn.b.example], image_hosts: [i.b.example] }
"""
    (tmp_path / "dozo.yaml").write_text(config)
    for name in "ab":
        d = tmp_path / name
        (d / "cdn").mkdir(parents=True)
        (d / "chapters.json").write_text(json.dumps({"1": chapter("1", title=f"title {name}")}, indent=4))
        (d / "cdn/1-01.jpg").write_bytes(name.encode())
        dozo("import", "komizip", d / "chapters.json", d / "cdn", "--shelf", name, "--config", "dozo.yaml", cwd=tmp_path, check=0)
    s = serve(tmp_path, config)
    for name in "ab":
        assert s.get("/cdn/1-01.jpg", host=f"cdn.{name}.example").text == name
        assert f"title {name}" in s.get("/v1/chapters", host=f"api.{name}.example").text
        assert s.get("/1/1", host=f"i.{name}.example")["Location"] == f"https://cdn.{name}.example/cdn/1-01.jpg"
    assert s.get("/v1/chapters", host="api.c.example").status == 404


def test_a_shelf_imported_before_the_settings_name_its_series(tmp_path, serve):
    """The README's order: import first, settings later. The shelf shows what was imported until the named series is there."""
    (tmp_path / "chapters.json").write_text(json.dumps({"1": chapter("1")}, indent=4))
    (tmp_path / "cdn").mkdir()
    (tmp_path / "cdn/1-01.jpg").write_bytes(b"one")
    dozo("import", "komizip", "chapters.json", "cdn", "--shelf", "komi", cwd=tmp_path, check=0)
    s = serve(tmp_path, CONFIG + "  - { name: empty, series: nobody/nothing }\n")
    assert s.get("/cdn/1-01.jpg", host=CDN).body == b"one"
    # Nothing waits for a first pass: contracts/komizip.md 7.
    assert s.get("/shelf/empty/v1/chapters").text == '{"error": false, "new_release": "null", "chapters": {}, "order": []}'
    assert s.get("/shelf/empty/cdn/1").status == 404
    until(lambda: "shelf empty is empty until nobody/nothing has been crawled or imported" in s.read_log(), "the word about it")


def test_files_that_browsers_would_run(tmp_path, serve):
    (tmp_path / "chapters.json").write_text(json.dumps({"1": chapter("1")}, indent=4))
    (tmp_path / "cdn").mkdir()
    for name in ("1-x.html", "1-x.svg", "1-01.jpg"):
        (tmp_path / "cdn" / name).write_bytes(b"<script>alert(1)</script>" + name.encode())
    dozo("import", "komizip", "chapters.json", "cdn", "--shelf", "komi", cwd=tmp_path, check=0)
    s = serve(tmp_path)
    for name in ("1-x.html", "1-x.svg"):
        r = s.get("/shelf/komi/cdn/" + name)
        assert (r.status, r["X-Content-Type-Options"], r["Content-Security-Policy"]) == (200, "nosniff", "sandbox")
    assert s.get("/shelf/komi/cdn/1-01.jpg")["Content-Security-Policy"] is None


def test_a_page_under_two_names(tmp_path, serve):
    """Any page answers to .jpg and to what it is; each address has its own file name, whoever asked first."""
    cbz(tmp_path / "S/1.cbz", {"1.png": page(0)})
    importing(tmp_path, "S", "--shelf", "s")
    s = serve(tmp_path)
    for extension in ("jpg", "png", "jpg", "png"):
        r = s.get("/shelf/s/cdn/1-01." + extension)
        assert (r.status, r.body, r["Content-Disposition"]) == (200, page(0), "inline; filename=1-01." + extension)
