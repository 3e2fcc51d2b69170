"""HTTP/1.1 over real sockets: order, framing, limits, times, and what clients do wrong."""
import json
import re
import socket

import pytest

from comics import big_png, cbz, chapter_links, importing, pages, read, series_links
from conftest import PATIENCE, Raw, Server, until


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    cbz(folder / "S/c1.cbz", {**pages(5), "9.png": big_png(700)})
    importing(folder, "S")
    s = Server(folder, "http: { max_body: 1KiB, max_header: 8KiB }\n")
    s.images = [img["src"] for img in read(s, chapter_links(s, series_links(s)[0])[0]).all("img")]
    s.bytes = [*pages(5).values(), big_png(700)]
    yield s
    assert s.stop() == 0


def ask(s, data, **kw):
    c = s.connect()
    c.send(data)
    r = c.response(**kw)
    return c, r


def get(path, *lines, method="GET", version="1.1", host="Host: x"):
    return "\r\n".join([f"{method} {path} HTTP/{version}", *([host] if host else []), *lines, "", ""]).encode("latin-1")


# ---- order ---------------------------------------------------------------------------------------------------------------

def test_pipelining(web):
    """Small answers, large ones, deferred ones and errors come back in the order of the questions."""
    c = web.connect()
    order = [0, 5, 1, 5, 5, 2, 3, 4, 0, 0, 5, 1]
    c.send(b"".join(get(web.images[i]) + get(f"/nothing-{n}") + get("/healthz", method="HEAD") for n, i in enumerate(order)))
    for i in order:
        assert c.response().body == web.bytes[i]
        assert c.response().status == 404
        assert c.response(head=True).status == 200
    c.send(get("/healthz", "Connection: close") + get("/healthz"))
    assert c.response()["Connection"] == "close" and c.closed()


def test_cold_pages_pipelined(tmp_path, serve):
    """Pages that a worker has to read keep the order too."""
    cbz(tmp_path / "S/c1.cbz", pages(40))
    importing(tmp_path, "S")
    s = serve(tmp_path)
    images = [img["src"] for img in read(s, chapter_links(s, series_links(s)[0])[0]).all("img")]
    c = s.connect()
    c.send(b"".join(get(src) for src in images))
    assert [c.response().body for _ in images] == list(pages(40).values())


def test_one_connection_for_a_thousand(web):
    c = web.connect()
    for i in range(1000):
        c.send(get(web.images[i % 5]))
        assert c.response().body == web.bytes[i % 5]
    c.close()


def test_many_connections(web):
    cs = [web.connect() for _ in range(200)]
    for i, c in enumerate(cs):
        c.send(get(web.images[i % 6])[:-1])
    for c in cs:
        c.send(b"\n")
    for i, c in enumerate(cs):
        assert c.response().body == web.bytes[i % 6]
        c.close()


# ---- versions and methods ----------------------------------------------------------------------------------------------------

def test_http_1_0(web):
    c, r = ask(web, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert r.status == 200 and c.closed()
    c, r = ask(web, get("/healthz", "Connection: keep-alive", version="1.0"))
    assert r.status == 200 and r["Connection"].lower() == "keep-alive"
    c.send(get("/healthz", version="1.0"))
    assert c.response().status == 200 and c.closed()


def test_head(web):
    for path in ("/", "/healthz", "/nothing", web.images[0], web.images[5], "/static/style.css"):
        g, h = web.get(path), web.head(path)
        assert h.status == g.status and h.body == b""
        assert [k for k, _ in h.headers] == [k for k, _ in g.headers], path
        assert h["Content-Length"] == g["Content-Length"]
        if path != "/healthz":
            assert dict(h.headers).get("ETag") == dict(g.headers).get("ETag")


def test_options(web):
    r = web.request("OPTIONS", "*")
    assert r.status == 200 and {"GET", "HEAD", "OPTIONS"} <= {m.strip() for m in r["Allow"].split(",")}
    r = web.request("OPTIONS", "/healthz")
    assert r.status == 200 and {m.strip() for m in r["Allow"].split(",")} == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("method,status", [("POST", 405), ("PUT", 405), ("DELETE", 405), ("PATCH", 405), ("TRACE", 501), ("BREW", 501),
                                           ("get", 501)])
def test_other_methods(web, method, status):
    r = web.request(method, "/healthz")
    assert r.status == status and (status != 405 or {"GET", "HEAD"} <= {m.strip() for m in r["Allow"].split(",")})


def test_absolute_form(web):
    c, r = ask(web, b"GET http://other.example/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert r.status == 200


# ---- what is wrong -----------------------------------------------------------------------------------------------------------

BAD = {
    "bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare LF in a field": b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    "obs-fold": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "bad Host": b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n",
    "Host with a path": b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "TE and CL": b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two CL": b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "CL list": b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello",
    "CL sign": b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
    "CL minus": b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello",
    "CL hex": b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nhello",
    "CL huge": b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
    "TE not last chunked": b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
    "TE twice chunked": b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
    "TE in 1.0": b"POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "blank before colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
    "control in a name": b"GET / HTTP/1.1\r\nHost: x\r\nA\x01: b\r\n\r\n",
    "two blanks": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "blank in the target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /\r\nHost: x\r\n\r\n",
    "version text": b"GET / HTTP/x.1\r\nHost: x\r\n\r\n",
    "target without slash": b"GET a HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET *": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "half a percent": b"GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n",
    "percent of letters": b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    "percent NUL": b"GET /page/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw UTF-8": "GET /é HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "garbage": b"\xff\xfe\xfd\r\n\r\n",
    "bad chunk size": b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
    "chunk longer than said": b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    "chunk without CRLF": b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
    "chunk size huge": b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "chunk minus": b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests(web, name):
    """400 (505 for another major version), with a body that says so, and the connection ends: what follows cannot be trusted."""
    c, r = ask(web, BAD[name] + get("/healthz"))
    assert r.status == (505 if name == "HTTP/2" else 400) and r["Connection"] == "close" and r.body
    assert c.closed()
    assert web.get("/healthz").status == 200


def test_other_versions(web):
    assert ask(web, b"GET / HTTP/3.0\r\nHost: x\r\n\r\n")[1].status == 505
    assert ask(web, b"GET /healthz HTTP/1.9\r\nHost: x\r\n\r\n")[1].status in (200, 505)


def test_coding_that_nobody_knows(web):
    assert ask(web, b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")[1].status == 501


# ---- limits ------------------------------------------------------------------------------------------------------------------

def test_body_too_large(web):
    c, r = ask(web, b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1025\r\n\r\n" + b"x" * 1025)
    assert r.status == 413 and r["Connection"] == "close" and c.closed()
    c, r = ask(web, b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024)
    assert r.status == 404
    chunk = b"100\r\n" + b"x" * 256 + b"\r\n"
    c, r = ask(web, b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 5 + b"0\r\n\r\n")
    assert r.status == 413 and c.closed()
    c, r = ask(web, b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 4 + b"0\r\nA: b\r\n\r\n")
    assert r.status == 404
    c.send(get("/healthz"))
    assert c.response().status == 200


def test_large_body_that_nobody_reads(web):
    """A client that writes on regardless still gets to see the answer."""
    c = web.connect()
    try:
        c.send(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8_000_000)
    except OSError:
        pass
    assert c.response().status == 413


def test_long_target(web):
    c, r = ask(web, get("/" + "a" * 9000))
    assert r.status == 414 and c.closed()
    assert web.get("/" + "a" * 7000).status == 404


def test_long_head(web):
    c, r = ask(web, get("/", "A: " + "b" * 9000))
    assert r.status == 431 and c.closed()
    c, r = ask(web, get("/", *[f"A{i}: b" for i in range(150)]))
    assert r.status == 431 and c.closed()
    assert web.get("/healthz", headers={f"A{i}": "b" for i in range(90)}).status == 200


def test_endless_head(web):
    """A head that never ends is refused at the limit, not gathered."""
    c = web.connect()
    try:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        for i in range(100_000):
            c.send(b"A%d: b\r\n" % i)
    except OSError:
        pass
    try:
        assert c.response().status == 431
    except ConnectionResetError:
        pass  # more was on its way than a refused client may send
    assert web.get("/healthz").status == 200


# ---- slow and odd clients ------------------------------------------------------------------------------------------------------

def test_byte_by_byte(web):
    c = web.connect()
    c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for data in (get(web.images[1], "Accept: */*"), b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: u\r\n\r\n",
                 b"\r\n" + get("/healthz")):
        for b in data:
            c.send(bytes([b]))
        assert c.response().status in (200, 404)
    assert web.images


def test_half_close(web):
    """A client that says that it is done sending still gets its answers."""
    c = web.connect()
    c.send(get(web.images[0]) + get(web.images[5]))
    c.sock.shutdown(socket.SHUT_WR)
    assert c.response().body == web.bytes[0] and c.response().body == web.bytes[5] and c.closed()


def test_half_a_request(web):
    c = web.connect()
    c.send(b"GET / HT")
    c.sock.shutdown(socket.SHUT_WR)
    assert c.response().status == 400 and c.closed()


def test_gone_in_the_middle(web):
    for _ in range(20):
        c = web.connect()
        c.send(get(web.images[5]))
        assert c._more()
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        c.close()  # a reset
    assert web.get(web.images[5]).body == web.bytes[5]


def test_expect(web):
    c = web.connect()
    c.send(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert c.response().status == 100
    c.send(b"hello")
    assert c.response().status == 404
    c.send(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n")
    r = c.response()
    assert r.status == 413, "refused before the body is asked for"
    c, r = ask(web, b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: tea\r\n\r\nhello")
    assert r.status == 417


# ---- paths -----------------------------------------------------------------------------------------------------------------------

SECRET = ["/%2e%2e/%2e%2e/etc/passwd", "/../../etc/passwd", "/static/../dozo.yaml", "/static/%2e%2e%2fdozo.yaml", "/static/..%2f..%2fdozo.db",
          "/static/%2e%2e/dozo.db", "/page/../../data/dozo.db", "/page/1/1/..%2f1", "//etc/passwd", "/static//style.css", "/static/./style.css",
          "/static/style.css/", "/static/style.css%2f", "//", "/.", "/..", "/%2e", "/series/1/", "/series//1", "/series/%31%2f", 
          "/shelf/..%2f", "/shelf/%2e%2e/v1/chapters", "/page/1/1/%30%30%31%20", "/page/-1/1/1", "/page/1/1/4294967297", "/page/1/1/18446744073709551617",
          "/series/9223372036854775808", "/series/1%0d%0aX:%20y", "/series/1;a", "/read/1/1/0", "/static/"]


@pytest.mark.parametrize("path", SECRET)
def test_paths(web, path):
    r = web.get(path)
    assert r.status in (400, 404) and b"root:" not in r.body and b"SQLite" not in r.body and r["X"] is None


def test_escaped_letters_are_letters(web):
    assert web.get("/%68ealthz").status == 200 and web.get("/static/style%2Ecss").status == 200


def test_not_found_for_people_and_programs(web):
    r = web.get("/nothing")
    assert r.status == 404 and r["Content-Type"] == "application/json" and json.loads(r.text)["error"] is True and r["Cache-Control"] == "no-store"
    r = web.get("/nothing", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert r.status == 404 and r["Content-Type"].startswith("text/html") and "<h1>404</h1>" in r.text and r["Cache-Control"] == "no-store"
    r = web.get("/nothing", headers={"Accept": "application/json, text/html;q=0.1"})
    assert r["Content-Type"] == "application/json"


# ---- settings ------------------------------------------------------------------------------------------------------------------

def test_max_connections(tmp_path, serve):
    s = serve(tmp_path, "http: { max_connections: 5 }\n")

    def full():
        cs = [s.connect() for _ in range(5)]
        try:
            for c in cs:
                c.send(get("/healthz"))
            return cs, [c.response().status for c in cs]
        except (EOFError, OSError):
            return cs, []
    # The connection of the start's own look may still be counted for a moment.
    kept = until(lambda: (lambda cs, st: cs if st == [200] * 5 else [c.close() for c in cs] and None)(*full()), "five connections")
    c = s.connect()
    r = c.response()
    assert r.status == 503 and c.closed()
    for c in kept:
        c.send(get("/healthz"))
        assert c.response().status == 200, "those that are in stay in"
    kept.pop().close()

    def again():
        try:
            return s.get("/healthz").status == 200
        except (EOFError, OSError):
            return False
    until(again, "room for another")


def test_header_timeout(tmp_path, serve):
    s = serve(tmp_path, "http: { header_timeout: 2s, idle_timeout: 2s, body_timeout: 2s }\n")
    c = s.connect()
    c.send(b"GET / HTTP/1.1\r\nHost: x\r\nSlow")
    r = c.response()
    assert r.status == 408 and c.closed()
    c = s.connect()
    c.send(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
    assert c.response().status == 408 and c.closed()
    c, r = ask(s, get("/healthz"))
    assert r.status == 200 and c.closed(), "an idle connection is closed without a word"
    c = s.connect()
    try:
        assert c.closed() or c.response().status == 408, "one that never speaks is closed too"
    except EOFError:
        pass


def test_slow_header_keeps_dripping(tmp_path, serve):
    """The time is for the whole head: a byte now and then does not buy more of it."""
    s = serve(tmp_path, "http: { header_timeout: 2s }\n")
    c = s.connect()
    c.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
    c.sock.settimeout(0.05)
    for i in range(int(PATIENCE / 0.05)):
        try:
            if c.sock.recv(1, socket.MSG_PEEK) is not None:
                break
        except TimeoutError:
            c.send(b"A")
    c.sock.settimeout(PATIENCE)
    assert c.response().status == 408


def test_slow_reader_is_cut(tmp_path, serve):
    """A reader that takes nothing is not waited for for ever."""
    cbz(tmp_path / "S/c1.cbz", {"1.png": big_png()})
    importing(tmp_path, "S")
    s = serve(tmp_path, "http: { body_timeout: 300ms }\n")
    src = read(s, chapter_links(s, series_links(s)[0])[0]).all("img")[0]["src"]
    c = s.connect()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.send(get(src))
    until(lambda: re.search("^dozo_http_timeouts_total [1-9]", s.get("/metrics").text, re.M), "the cut")
    with pytest.raises((EOFError, ConnectionResetError)):
        c.response()


def test_proxies(tmp_path, serve):
    """X-Forwarded-For counts from a trusted peer, and only as far as the chain is trusted."""
    log = tmp_path / "log"
    s = serve(tmp_path, f"http: {{ access_log: '{log}', trusted_proxies: [127.0.0.0/8, 10.0.0.0/8] }}\n")
    s.get("/a1", headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.9, 10.1.2.3"})
    s.get("/a2", headers={"X-Forwarded-For": "nonsense"})
    until(lambda: log.exists() and "/a1" in log.read_text() and "/a2" in log.read_text(), "the lines")
    by_path = {line.split('"')[1].split()[1]: line.split()[0] for line in log.read_text().splitlines()}
    assert by_path["/a1"] == "203.0.113.9" and by_path["/a2"] == "127.0.0.1"


def test_unix_socket(tmp_path, serve):
    s = serve(tmp_path, f'listen: ["127.0.0.1:0", "unix:{tmp_path}/s"]\n')
    c = Raw(f"{tmp_path}/s")
    c.send(get("/healthz") + get("/"))
    assert c.response().status == 200 and c.response().status == 200
