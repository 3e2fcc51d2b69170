"""Chapters as CBZ files that nobody stores: read by three programs, in pieces, over both protocols, and imported again."""
import hashlib
import io
import os
import pathlib
import signal
import socket
import subprocess
import xml.etree.ElementTree
import zipfile

import pytest
from comics import (big_png, cbz, chapter_links, database, importing, only, page, pages, read, series_links, write,
                    zip_bytes)
from conftest import PATIENCE, Server, dozo, tool, until
from test_h2 import CONFIG, Client
from test_tls import Tls, make_pair

KOMI = "古見さん \"quoted\" 100%"


def info(**fields):
    return ("<ComicInfo>" + "".join(f"<{k}>{v}</{k}>" for k, v in fields.items()) + "</ComicInfo>").encode()


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cbz")
    write(folder / "lib", {
        "a/1.cbz": zip_bytes({"ComicInfo.xml": info(Series=KOMI, Number="10.5", Volume="2", Title="A/B", Writer="O. T.", LanguageISO="ja",
                                                    Manga="YesAndRightToLeft"), **pages(12)}),
        "b/1.cbz": zip_bytes({"ComicInfo.xml": info(Series="Big", Number="1"), "1.png": big_png(1500), "2.png": page(2)}),
    })
    importing(folder, "lib")
    s = Server(folder)
    s.links = {read(s, link).heading: cbz_links(s, link) for link in series_links(s)}
    yield s
    assert s.stop() == 0


def cbz_links(server, link):
    return [a["href"] for a in read(server, link).all("a") if "download" in a]


def url(server, path):
    return "http://%s:%d%s" % (*server.address, path)


def run(*command, **kw):
    return subprocess.run([tool(command[0]), *map(str, command[1:])], check=True, capture_output=True, **kw).stdout


def test_series_page_links_to_it(web):
    assert [len(v) for v in web.links.values()] == [1, 1]
    link = read(web, series_links(web)[0]).all("a", **{"class": "get"})[0]
    assert link["href"].endswith(".cbz") and link["aria-label"].startswith("Download Chapter")


def test_head_and_get(web):
    path = web.links[KOMI][0]
    head, r = web.head(path), web.get(path)
    assert head.status == r.status == 200 and not head.body
    for name in ("Content-Length", "Content-Type", "ETag", "Last-Modified", "Content-Disposition", "Accept-Ranges"):
        assert r[name] is not None and r[name] == head[name], name
    assert int(r["Content-Length"]) == len(r.body)
    assert r["Content-Type"] == "application/vnd.comicbook+zip" and r["Accept-Ranges"] == "bytes"
    assert r["ETag"].startswith('"') and r["Cache-Control"] == "no-cache" and r["X-Content-Type-Options"] == "nosniff"
    assert r["Content-Disposition"] == ('attachment; filename="____ _quoted_ 100_ Vol. 2 Ch. 10.5 - A_B.cbz"; filename*=UTF-8\'\''
                                        '%E5%8F%A4%E8%A6%8B%E3%81%95%E3%82%93%20%22quoted%22%20100%25%20Vol.%202%20Ch.%2010.5%20-%20'
                                        'A%E2%88%95B.cbz')
    assert web.get(path, headers={"If-None-Match": r["ETag"]}).status == 304
    assert web.get(path, headers={"If-Modified-Since": r["Last-Modified"]}).status == 304
    assert web.get(path, headers={"If-Match": '"other"'}).status == 412
    assert web.request("POST", path).status == 405


def test_three_readers(web, tmp_path):
    body = web.get(web.links[KOMI][0]).body
    (tmp_path / "x.cbz").write_bytes(body)
    names = [f"{i + 1:02}.png" for i in range(12)] + ["ComicInfo.xml"]
    with zipfile.ZipFile(io.BytesIO(body)) as z:
        assert z.testzip() is None and z.namelist() == names
        assert all(i.compress_type == zipfile.ZIP_STORED and i.date_time == (1980, 1, 1, 0, 0, 0) for i in z.infolist())
        assert [z.read(n) for n in names[:12]] == [page(i) for i in range(12)]
        comic = xml.etree.ElementTree.fromstring(z.read("ComicInfo.xml"))
    assert comic.findtext("Series") == KOMI and comic.findtext("Number") == "10.5" and comic.findtext("Volume") == "2"
    assert comic.findtext("Title") == "A/B" and comic.findtext("PageCount") == "12" and comic.findtext("Writer") == "O. T."
    sizes = [p.attrib for p in comic.find("Pages")]
    assert sizes[0] == {"Image": "0", "ImageSize": str(len(page(0))), "Type": "FrontCover"} and len(sizes) == 12
    run("unzip", "-tq", tmp_path / "x.cbz")
    assert run("bsdtar", "-tf", tmp_path / "x.cbz").decode().split() == names
    assert run("bsdtar", "-xOf", tmp_path / "x.cbz", "03.png") == page(2)


def test_ranges(web):
    path = web.links["Big"][0]
    whole = web.get(path)
    size = len(whole.body)
    for a, b in ((0, 0), (0, 40), (1, size - 1), (29, 31), (100_000, 300_000), (size - 1, size - 1), (size - 300, size - 1)):
        r = web.get(path, headers={"Range": f"bytes={a}-{b}"})
        assert r.status == 206 and r["Content-Range"] == f"bytes {a}-{b}/{size}" and r.body == whole.body[a:b + 1]
    two = web.get(path, headers={"Range": f"bytes=10-99,{size - 50}-"})
    assert two.status == 206 and whole.body[10:100] in two.body and whole.body[-50:] in two.body
    assert web.get(path, headers={"Range": f"bytes={size}-"}).status == 416
    same = {"Range": "bytes=5-9", "If-Range": whole["ETag"]}
    assert web.get(path, headers=same).status == 206
    assert web.get(path, headers=dict(same, **{"If-Range": '"other"'})).body == whole.body


def test_directory_first(web):
    """As an app does: the end of the file, then the directory, then one page."""
    class Remote(io.RawIOBase):
        asked = 0

        def __init__(self):
            self.size, self.at = int(web.head(web.links["Big"][0])["Content-Length"]), 0

        def seekable(self):
            return True

        def readable(self):
            return True

        def seek(self, to, whence=0):
            self.at = to + (0, self.at, self.size)[whence]
            return self.at

        def readinto(self, room):
            if self.at >= self.size or not room:
                return 0
            last = min(self.size, self.at + len(room)) - 1
            data = web.get(web.links["Big"][0], headers={"Range": f"bytes={self.at}-{last}"}).body
            room[:len(data)] = data
            self.at += len(data)
            Remote.asked += len(data)
            return len(data)
    with zipfile.ZipFile(Remote()) as z:
        assert z.namelist() == ["1.png", "2.png", "ComicInfo.xml"]
        assert z.read("2.png") == page(2)
    assert Remote.asked < 200_000
    tail = web.get(web.links["Big"][0], headers={"Range": "bytes=-22"})
    assert tail.body.startswith(b"PK\5\6")


def test_curl_resumes(web, tmp_path):
    path, file = web.links["Big"][0], tmp_path / "x.cbz"
    whole = web.get(path).body
    file.write_bytes(whole[:700_001])
    run("curl", "-sf", "-C", "-", "-o", file, url(web, path))
    assert file.read_bytes() == whole


def test_what_is_not_there(web):
    path = web.links[KOMI][0]
    series, chapter = path.split("/")[2], path.split("/")[4]
    for other in (f"/series/{series}/chapter/999999.cbz", f"/series/999999/chapter/{chapter}", path[:-4], path + "x", path[:-4] + ".zip",
                  f"/series/{series}/chapter/-1.cbz", f"/series/{series}/chapter/.cbz", f"/series/{series}/chapter/",
                  f"/series/{series}/chapter/99999999999999999999.cbz"):
        assert web.get(other).status == 404, other
    assert web.get(web.links["Big"][0].replace(f"/series/{web.links['Big'][0].split('/')[2]}", f"/series/{series}")).status == 404


def test_hosts_of_shelves_do_not_have_it(tmp_path, serve):
    cbz(tmp_path / "S/c1.cbz", pages(2))
    config = 'shelves: [{ name: komi, series: "local/S", api_hosts: [api.example.org], cdn_hosts: [cdn.example.org] }]\n'
    importing(tmp_path, "S", "--shelf", "komi")
    s = serve(tmp_path, config)
    path = cbz_links(s, series_links(s)[0])[0]
    for host in ("api.example.org", "cdn.example.org"):
        assert s.get(path, host=host).status == 404
    assert s.get(path).status == 200


def test_comes_back_by_import(web, tmp_path):
    r = web.get(web.links[KOMI][0])
    (tmp_path / "whatever.cbz").write_bytes(r.body)
    importing(tmp_path, "whatever.cbz")
    c = only(tmp_path)
    assert (c.key, c.number, c.volume, c.title) == ("10.5", "10.5", "2", "A/B")
    assert c.pages == [page(i) for i in range(12)]
    again = Server(tmp_path)
    try:
        other = again.get(cbz_links(again, series_links(again)[0])[0])
        assert other.body == r.body and other["ETag"] == r["ETag"]
    finally:
        assert again.stop() == 0


def test_another_chapter_is_another_file(tmp_path, serve):
    cbz(tmp_path / "S/c1.cbz", pages(3))
    importing(tmp_path, "S")
    s = serve(tmp_path)
    path = cbz_links(s, series_links(s)[0])[0]
    first = s.get(path)
    assert s.get(path)["ETag"] == first["ETag"]
    cbz(tmp_path / "S/c1.cbz", {**pages(2), "003.png": page(77)})
    importing(tmp_path, "S")
    second = until(lambda: (r := s.get(path))["ETag"] != first["ETag"] and r, "the new chapter")
    assert s.get(path, headers={"Range": "bytes=0-9", "If-Range": first["ETag"]}).body == second.body
    with zipfile.ZipFile(io.BytesIO(second.body)) as z:
        assert z.read("3.png") == page(77)
    # ComicInfo.xml changes with the settings, and so does the tag.
    (tmp_path / "dozo.yaml").write_text('listen: ["127.0.0.1:0"]\ndownloads: { comicinfo_sizes: true }\n')
    s.process.send_signal(signal.SIGHUP)
    third = until(lambda: (r := s.get(path))["ETag"] != second["ETag"] and r, "the new settings")
    assert b'ImageWidth="' in third.body and b'ImageWidth="' not in second.body


def blob_of(folder, data):
    sha = hashlib.sha256(data).hexdigest()
    return pathlib.Path(folder) / "data/blobs" / sha[:2] / sha[2:]


def test_lost_pages(tmp_path, serve):
    """What is lost before the answer begins is told; a file that was begun is cut, never filled up."""
    big = big_png(4000)
    cbz(tmp_path / "S/c1.cbz", {"1.png": big, "2.png": page(2)})
    importing(tmp_path, "S")
    blob_of(tmp_path, page(2)).rename(tmp_path / "kept")
    s = serve(tmp_path)
    path = cbz_links(s, series_links(s)[0])[0]
    assert s.get(path).status == 404
    assert "run dozo check" in s.read_log()
    (tmp_path / "kept").rename(blob_of(tmp_path, page(2)))
    c = s.connect()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    c.buffer = c.sock.recv(100)
    os.truncate(blob_of(tmp_path, big), 100_000)
    with pytest.raises((EOFError, ConnectionResetError)):
        c.response()
    c.close()
    assert s.get("/healthz").status == 200


def test_checksums_are_kept(tmp_path, serve):
    cbz(tmp_path / "S/c1.cbz", pages(3))
    importing(tmp_path, "S")
    s = serve(tmp_path)
    path = cbz_links(s, series_links(s)[0])[0]
    count = "SELECT count(*) FROM blob WHERE crc32 IS NOT NULL"
    db = database(tmp_path)
    assert db.execute(count).fetchone()[0] == 0
    assert s.get(path).status == 200
    assert db.execute(count).fetchone()[0] == 3
    db.close()
    dozo("check", cwd=tmp_path, check=0)


def test_many_at_once(web):
    """Twenty clients of one file that was not laid out yet, each slow to read."""
    path = web.links["Big"][0]
    clients = [web.connect() for _ in range(20)]
    for c in clients:
        c.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    bodies = {hashlib.sha256(c.response().body).digest() for c in clients}
    assert len(bodies) == 1
    for c in clients:
        c.close()


def test_more_chapters_than_are_remembered(tmp_path, serve):
    write(tmp_path / "lib", {f"S/S c{i}.cbz": zip_bytes(pages(1, i)) for i in range(1, 81)})
    importing(tmp_path, "lib")
    s = serve(tmp_path)
    paths = cbz_links(s, series_links(s)[0])
    assert len(paths) == 80
    first = {p: s.get(p) for p in paths}
    assert len({r["ETag"] for r in first.values()}) == 80
    for p in paths:
        again = s.get(p)
        assert again["ETag"] == first[p]["ETag"] and again.body == first[p].body


def test_http2(tmp_path):
    make_pair(tmp_path, "a", "a.test")
    cbz(tmp_path / "S/c1.cbz", {"1.png": big_png(1200), **pages(2)})
    importing(tmp_path, "S")
    s = Tls(tmp_path, CONFIG)
    try:
        until(lambda: series_links(s), "the series")
        path = cbz_links(s, series_links(s)[0])[0]
        plain = s.get(path)
        c = Client(s)
        whole, part, end, head = c.ask(path), c.ask(path, headers=[("range", "bytes=1000-200999")]), \
            c.ask(path, headers=[("range", "bytes=-22")]), c.ask(path, method="HEAD")
        c.wait()
        assert bytes(c.answers[whole][1]) == plain.body and c.answers[whole][0]["etag"] == plain["ETag"]
        assert c.status(part) == 206 and bytes(c.answers[part][1]) == plain.body[1000:201000]
        assert bytes(c.answers[end][1]) == plain.body[-22:]
        assert c.status(head) == 200 and c.answers[head][0]["content-length"] == str(len(plain.body))
        file = tmp_path / "x.cbz"
        file.write_bytes(plain.body[:300_000])
        secure = "https://127.0.0.1:%d%s" % (s.secure[1], path)
        run("curl", "-skf", "--http2", "-C", "-", "-o", file, secure)
        assert file.read_bytes() == plain.body
    finally:
        assert s.stop() == 0
