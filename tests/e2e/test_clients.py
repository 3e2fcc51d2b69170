"""Ordinary clients that people use: curl and wget, if it is there."""
import gzip
import shutil
import subprocess

import pytest

from comics import big_png, cbz, chapter_links, importing, read, series_links
from conftest import PATIENCE, Server, tool


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    big = big_png(2000)
    cbz(folder / "S/c1.cbz", {"1.png": big})
    importing(folder, "S", "--shelf", "s")
    s = Server(folder, f'listen: ["127.0.0.1:0", "unix:{folder}/sock"]\n')
    s.big = big
    s.url = f"http://{s.addresses[0]}"
    s.src = s.url + read(s, chapter_links(s, series_links(s)[0])[0]).all("img")[0]["src"]
    yield s
    assert s.stop() == 0


def run(cwd, *args):
    return subprocess.run([*map(str, args)], cwd=cwd, capture_output=True, timeout=PATIENCE)


def curl(cwd, *args, check=0):
    r = run(cwd, tool("curl"), "-sS", "--noproxy", "*", *args)
    assert r.returncode == check, r.stderr
    return r


def test_download(web, tmp_path):
    r = curl(tmp_path, "-o", "a.png", "-w", "%{http_code} %{content_type} %{size_download}", web.src)
    assert r.stdout.decode() == f"200 image/png {len(web.big)}" and (tmp_path / "a.png").read_bytes() == web.big


@pytest.mark.parametrize("have", [1, 1000, 1_000_000, -1])
def test_resume(web, tmp_path, have):
    """What is there already is not sent again, and the whole is right."""
    (tmp_path / "a.png").write_bytes(web.big[:have])
    r = curl(tmp_path, "-C", "-", "-o", "a.png", "-w", "%{http_code} %{size_download}", web.src)
    rest = len(web.big) - have if have > 0 else 1
    assert r.stdout.decode() == f"206 {rest}" and (tmp_path / "a.png").read_bytes() == web.big


def test_resume_of_the_whole(web, tmp_path):
    (tmp_path / "a.png").write_bytes(web.big)
    r = curl(tmp_path, "-C", "-", "-o", "a.png", "-w", "%{http_code}", web.src)
    assert r.stdout.decode() == "416" and (tmp_path / "a.png").read_bytes() == web.big


def test_resume_after_a_break(web, tmp_path):
    """A download that is cut by a limit goes on from where it was."""
    r = run(tmp_path, tool("curl"), "-sS", "--noproxy", "*", "--max-filesize", "1000", "-o", "a.png", web.src)
    assert r.returncode == 63
    (tmp_path / "a.png").write_bytes(curl(tmp_path, "-r", "0-99999", web.src).stdout)
    assert (tmp_path / "a.png").stat().st_size == 100_000
    curl(tmp_path, "-C", "-", "-o", "a.png", web.src)
    assert (tmp_path / "a.png").read_bytes() == web.big


def test_compressed(web, tmp_path):
    plain = curl(tmp_path, web.url + "/static/style.css").stdout
    assert curl(tmp_path, "--compressed", web.url + "/static/style.css").stdout == plain
    raw = curl(tmp_path, "-H", "Accept-Encoding: gzip", web.url + "/static/style.css").stdout
    assert raw != plain and gzip.decompress(raw) == plain
    assert curl(tmp_path, "--compressed", web.src).stdout == web.big
    assert b"order" in curl(tmp_path, "--compressed", web.url + "/shelf/s/v1/chapters").stdout


def test_conditional(web, tmp_path):
    curl(tmp_path, "--etag-save", "tag", "-o", "a.png", web.src)
    r = curl(tmp_path, "--etag-compare", "tag", "-o", "b.png", "-w", "%{http_code}", web.src)
    assert r.stdout == b"304" and (not (tmp_path / "b.png").exists() or (tmp_path / "b.png").stat().st_size == 0)
    curl(tmp_path, "-R", "-o", "c.png", web.src)
    r = curl(tmp_path, "-z", "c.png", "-o", "d.png", "-w", "%{http_code}", web.src)
    assert r.stdout == b"304"


def test_head_options_and_many_ranges(web, tmp_path):
    head = curl(tmp_path, "-I", web.src).stdout.decode()
    assert f"content-length: {len(web.big)}" in head.lower() and "accept-ranges: bytes" in head.lower()
    assert b"GET" in curl(tmp_path, "-i", "-X", "OPTIONS", web.src).stdout
    r = curl(tmp_path, "-i", "-r", "0-9,100-109,-5", web.src).stdout
    assert b" 206 " in r.split(b"\r\n")[0] and b"multipart/byteranges; boundary=" in r
    for part in (web.big[:10], web.big[100:110], web.big[-5:]):
        assert part in r


def test_one_connection_many_files(web, tmp_path):
    r = curl(tmp_path, "-o", "#1.png", "-w", "%{num_connects} ", web.src.replace("/page/", "/{page,page,page}/"))
    assert r.stdout.split() == [b"1", b"0", b"0"] and (tmp_path / "page.png").read_bytes() == web.big


def test_expect_continue(web, tmp_path):
    (tmp_path / "body").write_bytes(bytes(2_000_000))
    r = curl(tmp_path, "-H", "Expect: 100-continue", "--data-binary", "@body", "-o", "out", "-w", "%{http_code}", web.url + "/healthz")
    assert r.stdout == b"405"


def test_unix_socket(web, tmp_path):
    r = curl(tmp_path, "--unix-socket", web.folder / "sock", "http://anything/healthz")
    assert b"status" in r.stdout


def test_http2_is_declined_politely(web, tmp_path):
    r = curl(tmp_path, "--http2", "-w", "%{http_version} %{http_code}", "-o", "out", web.src)
    assert r.stdout == b"1.1 200"


def test_wget(web, tmp_path):
    if not shutil.which("wget"):
        return  # a second client, where there is one
    (tmp_path / "a.png").write_bytes(web.big[:5000])
    r = run(tmp_path, "wget", "-q", "--no-proxy", "-c", "-O", "a.png", web.src)
    assert r.returncode == 0 and (tmp_path / "a.png").read_bytes() == web.big
    # -E: /series/1 is a page and has files below it, /series/1/chapter/1.cbz; without it one name would be a file and a folder.
    r = run(tmp_path, "wget", "-q", "--no-proxy", "-r", "-E", "-l", "3", "-np", "-nH", web.url + "/")
    assert r.returncode == 0, r.stderr
    assert any(f.read_bytes() == web.big for f in (tmp_path / "page").rglob("*") if f.is_file())
