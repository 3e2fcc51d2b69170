"""Every limit of the settings over real sockets, with small values: what is cut, what is answered, and what must not be.

Order and outcome are asserted, never how long anything took. Clients that only wait run side by side.
"""
import concurrent.futures
import os
import select
import socket
import time

import pytest

from comics import big_png, cbz, chapter_links, importing, pages, read, series_links
from conftest import DOZO, PATIENCE, Server, until

pytestmark = pytest.mark.alone
BIG = big_png(3000)
HEADER_TIMEOUT = IDLE_TIMEOUT = 2
BODY_TIMEOUT = 3  # a body or an answer moves 256 bytes a second: 768 within each of these
TICK = 0.1


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits")
    cbz(folder / "S/c1.cbz", {**pages(2), "9.png": BIG})
    importing(folder, "S")
    s = Server(folder, f"http: {{ header_timeout: {HEADER_TIMEOUT}s, idle_timeout: {IDLE_TIMEOUT}s, body_timeout: {BODY_TIMEOUT}s, "
                       "max_header: 4KiB, max_body: 100KiB }\n")
    s.small, _, s.big = [img["src"] for img in read(s, chapter_links(s, series_links(s)[0])[0]).all("img")]
    yield s
    assert s.stop() == 0


def get(path, *lines, version="1.1"):
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: x", *lines, "", ""]).encode()


def post(length=None, *lines):
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return "\r\n".join(["POST /nothing HTTP/1.1", "Host: x", framing, *lines, "", ""]).encode()


def side_by_side(*clients):
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        return [f.result() for f in [pool.submit(*c) if isinstance(c, tuple) else pool.submit(c) for c in clients]]


def drip(c, pieces, pause=TICK):
    """Sends piece after piece until the server says something or all is sent; how many went out."""
    sent = 0
    for piece in pieces:
        if select.select([c.sock], [], [], pause)[0]:
            break
        try:
            c.send(piece)
        except OSError:
            break
        sent += 1
    return sent


def bytes_of(data):
    return [bytes([b]) for b in data]


def endless(piece):
    return (piece for _ in range(int(PATIENCE / TICK)))


# ---- header_timeout, idle_timeout -------------------------------------------------------------------------------------------

def test_slow_heads(web):
    """A byte now and then buys no time: not in the fields, not in the request line, not behind another request."""
    def fields():
        c = web.connect()
        c.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: ")
        drip(c, endless(b"b"))
        r = c.response()
        return r.status, r["Connection"], c.closed()

    def line():
        c = web.connect()
        drip(c, endless(b"G"))
        return c.response().status, "close", c.closed()

    def lines():
        c = web.connect()
        c.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        drip(c, endless(b"A: b\r\n"))
        return c.response().status, "close", c.closed()

    def second():
        c = web.connect()
        c.send(get("/healthz") + b"GET /hea")
        assert c.response().status == 200
        drip(c, endless(b"l"))
        return c.response().status, "close", c.closed()

    def behind_a_big_answer():
        c = web.connect()
        c.send(get(web.big) + b"GET /hea")
        assert c.response().body == BIG
        drip(c, endless(b"l"))
        return c.response().status, "close", c.closed()
    assert side_by_side(fields, line, lines, second, behind_a_big_answer) == [(408, "close", True)] * 5


def test_idle(web):
    """A connection that waits, before the first request or between two, is ended without a word."""
    def never():
        c = web.connect()
        return c.closed()

    def empty_lines():
        c = web.connect()
        c.send(get("/healthz"))
        assert c.response().status == 200
        c.send(b"\r\n")
        return c.closed()

    def between():
        c = web.connect()
        for path in ("/healthz", web.small, web.big):
            c.send(get(path))
            assert c.response().status == 200
        return c.closed()
    assert side_by_side(never, empty_lines, between) == [True] * 3


def test_requests_keep_a_connection_alive(web):
    """The idle time starts anew with each request: the sum of the pauses is several times the limit."""
    def kept():
        c, asked = web.connect(), time.monotonic()
        try:
            for _ in range(10):
                c.send(get(web.small))
                asked = time.monotonic()
                assert c.response().status == 200
                time.sleep(IDLE_TIMEOUT * 0.3)
            c.send(get("/healthz"))
            return c.response().status == 200
        except (OSError, EOFError):
            assert time.monotonic() - asked > IDLE_TIMEOUT * 0.8, "cut too early"
            return False  # this program itself stood still for longer than it meant to
    until(kept, "ten pauses as short as they were meant")


# ---- body_timeout -----------------------------------------------------------------------------------------------------------

def test_slow_bodies(web):
    """Below 256 bytes a second is stalled; above it passes however long it takes."""
    def stalled(head, piece):
        c = web.connect()
        c.send(head)
        drip(c, endless(piece))
        return c.response().status, c.closed()

    def steady(head, piece, end, n):
        c = web.connect()
        c.send(head)
        assert drip(c, [piece] * n) == n, "refused too early"
        c.send(end)
        return c.response().status, False
    n = int(2.5 * BODY_TIMEOUT / TICK)  # goes on over more than two looks at the rate
    got = side_by_side((stalled, post(50_000), b"x" * 10), (stalled, post(), b"5\r\nhello\r\n"), (stalled, post(50_000), b""),
                       (stalled, post(), b"1;" + b"e" * 4 + b"\r\nx\r\n"), (stalled, post(50_000, "Expect: 100-continue")[:-2] + b"\r\n", b""),
                       (steady, post(1000 * n), b"x" * 1000, b"", n), (steady, post(), b"3e8\r\n" + b"x" * 1000 + b"\r\n", b"0\r\n\r\n", n))
    # Who was asked for the body and sends none hears 100 and then 408.
    assert got[4] == (100, False)
    assert [*got[:4], *got[5:]] == [(408, True)] * 4 + [(404, False)] * 2


# ---- slow readers ------------------------------------------------------------------------------------------------------------

def reader(web, buffer=16384):
    c = web.connect()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    c.send(get(web.big))
    return c


def timeouts(s):
    return int(s.get("/metrics").text.split("\ndozo_http_timeouts_total ")[1].split()[0])


def test_slow_readers(web):
    """Who takes nothing, or a byte a second, is cut in the middle; who takes a little all the time gets everything."""
    before = timeouts(web)

    def never():
        c = reader(web)
        until(lambda: timeouts(web) >= before + 2, "two cuts")
        return drain(c)

    def drain(c):
        got = b""
        try:
            while data := c.sock.recv(65536):
                got += data
        except ConnectionResetError:
            pass
        return len(got) < len(BIG)

    def a_byte():
        c = reader(web)
        while timeouts(web) < before + 2:
            try:
                c.sock.recv(1)
            except ConnectionResetError:
                return True
            time.sleep(1)
        return drain(c)

    def steady():
        c = reader(web)
        for _ in range(int(2.5 * BODY_TIMEOUT / TICK)):
            time.sleep(TICK)
            c.buffer += c.sock.recv(4096)
        return c.response().body == BIG
    assert side_by_side(never, a_byte, steady) == [True] * 3


def test_pipelining_without_reading(web):
    """A client that asks and asks and reads nothing is not read from any more, and is cut like any other slow reader."""
    before = timeouts(web)
    c = reader(web)
    c.sock.setblocking(False)
    sent = 0
    with pytest.raises(OSError):
        for _ in range(200_000):
            sent += c.sock.send(get(web.big))
    until(lambda: timeouts(web) > before, "the cut")
    assert web.get(web.small).status == 200


# ---- max_connections -----------------------------------------------------------------------------------------------------------

def connections(s):
    """Open ones but for the one that asks."""
    return int(s.get("/metrics").text.split("\ndozo_http_connections ")[1].split()[0]) - 1


def test_max_connections(tmp_path, serve):
    """One more is told 503; those that are in stay in; each that leaves makes room for one."""
    s = serve(tmp_path, "http: { max_connections: 8, threads: 2 }\n")
    until(lambda: connections(s) == 0, "no connection")
    kept = []
    while len(kept) < 8:
        c = s.connect()
        c.send(get("/healthz"))
        # The one of the last look at the figures may be counted for a moment longer.
        if c.response().status == 200:
            kept.append(c)
    for _ in range(20):
        c = s.connect()
        r = c.response()
        assert r.status == 503 and r["Connection"] == "close" and c.closed()
    for c in kept:
        c.send(get("/healthz"))
        assert c.response().status == 200
    for _ in range(3):
        kept.pop().close()

        def come_in():
            c = s.connect()
            try:
                c.send(get("/healthz"))
                return c if c.response().status == 200 else None
            except OSError:
                return None
        kept.append(until(come_in, "room for one"))
        c = s.connect()
        assert c.response().status == 503
    for c in kept:
        c.close()
    assert until(lambda: s.get("/healthz").status == 200, "room")
    until(lambda: connections(s) == 0, "all gone")


# ---- max_header, fields --------------------------------------------------------------------------------------------------------

def test_head_sizes(web):
    """4 KiB of head pass, one byte more does not: 414 while the line is still going on, 431 after it."""
    def padded(n, in_line):
        rest = len(get("/", "A: ")) if not in_line else len(get("/"))
        return get("/" + "a" * (n - rest)) if in_line else get("/", "A: " + "b" * (n - rest))
    for in_line in (True, False):
        for n, status in ((4096, 404 if in_line else 200), (4097, 431)):
            data = padded(n, in_line)
            assert len(data) == n
            c = web.connect()
            c.send(data)
            r = c.response()
            assert r.status == status and (r["Connection"] == "close") == (status == 431), (in_line, n)
    for n in (4200, 100_000):
        c = web.connect()
        c.send(b"GET /" + b"a" * n)
        assert c.response().status == 414 and c.closed()
    c = web.connect()
    c.send(get("/healthz") + get("/" + "a" * 3000) + get("/" + "a" * 5000))
    assert [c.response().status for _ in range(3)] == [200, 404, 414] and c.closed()


def test_field_count(web):
    for n, status in ((100, 200), (101, 431)):
        c = web.connect()
        c.send(get("/healthz", *["A:"] * (n - 1)))
        assert c.response().status == status
        assert status == 200 or c.closed()


# ---- max_body ------------------------------------------------------------------------------------------------------------------

def test_body_sizes(web):
    limit = 100 * 1024

    def told(data, then=b""):
        c = web.connect()
        try:
            c.send(data)
            c.send(then)
        except OSError:
            pass  # it was refused while we were still writing
        r = c.response()
        return r.status, c if r.status == 100 else (r["Connection"] == "close" and c.closed())
    assert told(post(limit) + b"x" * limit) == (404, False)
    assert told(post(limit + 1), b"x" * 5000) == (413, True)
    assert told(post(10 ** 15)) == (413, True)
    assert told(post(limit + 1, "Expect: 100-continue")) == (413, True), "nobody asks for a body that will be refused"
    status, c = told(post(5, "Expect: 100-continue"))
    c.send(b"hello")
    assert status == 100 and c.response().status == 404
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    assert told(post() + chunk * 100 + b"0\r\n\r\n") == (404, False)
    assert told(post(), chunk * 100 + b"1\r\n") == (413, True)
    assert told(post() + b"%x\r\n" % (limit + 1)) == (413, True), "a chunk that says so is not waited for"
    # A method that gives a body no meaning may send 64 KiB of it; DELETE has one in the library API (docs/nagato.md).
    for method, most in (("GET", 65536), ("DELETE", limit)):
        for n, status in ((most, {404}), (most + 1, {413})):
            c = web.connect()
            c.send(post(n).replace(b"POST", method.encode(), 1) + b"x" * n)
            assert c.response().status in status


# ---- graceful_timeout ------------------------------------------------------------------------------------------------------------

def test_stop(tmp_path, serve):
    """At SIGTERM: new connections are refused at once, an answer on its way is finished, a stalled one is cut."""
    cbz(tmp_path / "S/c1.cbz", {"1.png": BIG})
    importing(tmp_path, "S")
    s = serve(tmp_path, "http: { graceful_timeout: 8s }\n")
    s.big = read(s, chapter_links(s, series_links(s)[0])[0]).all("img")[0]["src"]
    running, stalled, idle, half = reader(s), reader(s), s.connect(), s.connect()
    idle.send(get("/healthz"))
    half.send(get("/healthz") + b"GET /hea")
    assert idle.response().status == half.response().status == 200
    for c in (running, stalled):
        assert c._more()
    s.process.terminate()

    def refused():
        try:
            s.connect().close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass
        return False
    until(refused, "the refusal")
    assert idle.closed()
    assert s.process.poll() is None, "two answers are still on their way"
    assert running.response().body == BIG and running.closed()
    assert s.process.wait(PATIENCE) == 0
    with pytest.raises((EOFError, ConnectionResetError)):
        stalled.response()
    with pytest.raises((EOFError, ConnectionResetError, AssertionError)):
        assert half.response().status == 408


# ---- descriptors ------------------------------------------------------------------------------------------------------------------

def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def limited(folder, n):
    """The binary with that many descriptors."""
    path = folder / "limited"
    path.write_text(f'#!/bin/sh\nulimit -n {n}\nexec "{DOZO}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def share_of_cpu(pid, seconds=2):
    """CPU time of a process in comparison with the clock, over some seconds."""
    begin, used = time.monotonic(), cpu_s(pid)
    time.sleep(seconds)
    return (cpu_s(pid) - used) / (time.monotonic() - begin)


def gone(s, base):
    until(lambda: recovers(s), "room")
    until(lambda: connections(s) == 0, "all gone")
    until(lambda: fds(s.process.pid) <= base + 8, "descriptors")  # open blobs stay open


def recovers(s):
    try:
        return s.get("/healthz").status == 200
    except (OSError, EOFError):
        return False


def test_no_descriptors_left(tmp_path, serve):
    """At the limit the loops neither spin nor fall over: who is in is served, files included, the rest is turned away, and later all is as
    before."""
    cbz(tmp_path / "S/c1.cbz", {**pages(3), "9.png": BIG})
    importing(tmp_path, "S")
    s = serve(tmp_path, "http: { threads: 2 }\n", binary=limited(tmp_path, 120))
    until(lambda: s.get("/healthz").text.find('"back":"ok"') > 0, "the back")
    images = [img["src"] for img in read(s, chapter_links(s, series_links(s)[0])[0]).all("img")]
    until(lambda: connections(s) == 0, "no connection")
    base = fds(s.process.pid)
    inside = [s.connect() for _ in range(4)]
    for c in inside:
        c.send(get("/healthz"))
        assert c.response().status == 200
    held = [s.connect() for _ in range(300)]
    for c in held:
        try:
            c.send(get("/healthz"))
        except OSError:
            pass
    assert not recovers(s), "more connections than there is room for"
    assert "has room for" in s.read_log()
    until(lambda: fds(s.process.pid) <= 116, "those who were turned away to be gone")
    assert share_of_cpu(s.process.pid) < 0.3
    # Connections have not taken the descriptors of files.
    for c, src in zip(inside, images):
        c.send(get(src) + get("/healthz"))
        assert c.response().status == 200
        assert c.response().status == 200
    assert share_of_cpu(s.process.pid) < 0.3
    for c in inside + held:
        c.close()
    gone(s, base)
    assert [s.get(src).body for src in images] == [*pages(3).values(), BIG]
    assert s.get("/healthz").text.find('"back":"ok"') > 0 and s.read_log().count("back with pid") <= 1, "it was never lost"


def test_arrivals_at_the_limit_of_descriptors(tmp_path, serve):
    """Clients that come again and again, when there is no room, cost no more than what they send."""
    s = serve(tmp_path, "http: { threads: 2 }\n", binary=limited(tmp_path, 100))
    until(lambda: connections(s) == 0, "no connection")
    base = fds(s.process.pid)
    held = [s.connect() for _ in range(400)]
    begin, used = time.monotonic(), cpu_s(s.process.pid)
    for _ in range(40):
        held.append(s.connect())
        time.sleep(0.05)
    assert (cpu_s(s.process.pid) - used) / (time.monotonic() - begin) < 0.3
    for c in held:
        c.close()
    gone(s, base)
