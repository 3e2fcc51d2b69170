"""A short siege: one abuse after another, and after each the server is as before.

As before means: a healthy client is served, the count of connections and of open descriptors is at its base, and, with the release build, memory
is near it. bench/siege.py does the same for an hour, all at once; its visitors of HTTP/2 are the ones here.
"""
import asyncio
import os
import random
import re
import socket
import sys

import pytest

from comics import cbz, chapter_links, importing, page, read, series_links
from conftest import DOZO, ROOT, until
from test_tls import Tls, make_pair

sys.path.append(str(ROOT / "bench"))
from siege_http2 import Http2  # noqa: E402
from siege_known import Known  # noqa: E402

pytestmark = pytest.mark.alone
RELEASE = os.environ.get("DOZO_RELEASE_BIN", DOZO)
BIG = page(1) + random.Random(1).randbytes(64 << 20)  # what stands behind the end of a PNG is no matter to anybody


@pytest.fixture(scope="module", params=["sanitized", "release"])
def web(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("siege")
    cbz(folder / "S/c1.cbz", {"1.png": page(0), "2.png": BIG})
    importing(folder, "S")
    make_pair(folder, "a", "a.test")
    s = Tls(folder, 'listen: ["127.0.0.1:0", "https://127.0.0.1:0"]\ntls: { certificates: [a.crt], keys: [a.key] }\n'
            "http: { threads: 2, header_timeout: 3s, body_timeout: 2s, idle_timeout: 20s, max_connections: 3000, max_body: 1MiB }\n",
            binary=RELEASE if request.param == "release" else DOZO)
    s.small, s.big = [img["src"] for img in read(s, chapter_links(s, series_links(s)[0])[0]).all("img")]
    assert s.get(s.big).body == BIG and s.get(s.small).body == page(0)
    s.memory_counts = request.param == "release"
    until(lambda: '"back":"ok"' in s.get("/healthz").text, "the back")  # which has a descriptor here
    storm(s)  # pools are filled by this
    until(lambda: connections(s) == 0, "quiet")
    s.base = fds(s), rss(s)
    yield s
    text = s.read_log()
    assert s.stop() == 0
    assert "level=error" not in text and " error " not in text


def connections(s):
    """Open ones but for the one that asks."""
    return int(re.search(r"^dozo_http_connections (\d+)", s.get("/metrics").text, re.M).group(1)) - 1


def fds(s):
    return len(os.listdir(f"/proc/{s.process.pid}/fd"))


def rss(s):
    return int(re.search(r"^Rss: +(\d+)", open(f"/proc/{s.process.pid}/smaps_rollup").read(), re.M).group(1))


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def as_before(s):
    assert s.get("/healthz").status == 200 and s.get(s.small).body == page(0)
    until(lambda: connections(s) == 0, "all gone")
    until(lambda: fds(s) <= s.base[0], "descriptors")
    if s.memory_counts:
        until(lambda: rss(s) <= s.base[1] + 6 * 1024, "no more than 6 MiB more than before")


def reset(c):
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    c.close()


def storm(s, n=500):
    """Connections that are reset before, in and after a request."""
    for i in range(n):
        c = s.connect()
        c.send((get(s.small) + get(s.big))[:i % 120])
        reset(c)


def test_resets(web):
    storm(web)
    as_before(web)


def test_stops_reading_in_the_middle(web):
    cs = [web.connect() for _ in range(30)]
    for c in cs:
        c.send(get(web.big))
    for c in cs:
        assert c._more()
    assert web.get(web.small).body == page(0), "others are served meanwhile"
    for c in cs[:10]:
        reset(c)
    for c in cs[10:20]:
        c.close()
    as_before(web)  # the last ten are cut by body_timeout
    for c in cs[20:]:
        c.close()


def test_half_closed(web):
    for i in range(200):
        c = web.connect()
        c.send(get(web.small) if i % 2 else get(web.small)[:-3])
        c.sock.shutdown(socket.SHUT_WR)
        assert c.response().status == (200 if i % 2 else 400) and c.closed()
    as_before(web)


def test_ten_thousand_connections(web):
    for i in range(10_000):
        s = socket.create_connection(web.address)
        if i % 10 == 0:
            s.sendall(get("/healthz"))
            assert s.recv(15) == b"HTTP/1.1 200 OK"
        s.close()
    as_before(web)


def test_garbage(web):
    """Every piece is refused in words, also when it is read in two parts: what follows the first is drained, not reset."""
    dice = random.Random(2)
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600)
    for i in range(300):
        c = web.connect()
        sent = hello if i % 3 == 0 else b"\x80" + dice.randbytes(dice.randrange(1, 3000))
        c.send(sent)
        c.sock.shutdown(socket.SHUT_WR)
        r = c.response()
        assert r.status == 400 and r["Connection"] == "close" and c.closed(), sent
        c.close()
    as_before(web)


def test_slowloris(web):
    cs = [web.connect() for _ in range(500)]
    for c in cs:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
    assert web.get(web.small).body == page(0), "others are served meanwhile"
    for c in cs:
        try:
            c.send(b"b")
        except OSError:
            pass
    for c in cs:
        assert c.response().status == 408 and c.closed()
        c.close()
    as_before(web)


def test_too_many(web):
    """More than max_connections at once, all of which hang up without a word."""
    inside = web.connect()  # is in already, to look at the figures

    def refusals():
        inside.send(get("/metrics"))
        return "dozo_http_connections_refused_total 0\n" not in inside.response().text
    assert not refusals()
    cs = []
    for i in range(3500):
        cs.append(socket.create_connection(web.address))
        assert i % 100 or not refusals() or i >= 2500  # who says nothing for long is cut
    until(refusals, "refusals")
    for c in [*cs, inside]:
        c.close()

    def room():
        try:
            return web.get("/healthz").status == 200
        except (OSError, EOFError, AssertionError):
            return False
    until(room, "room")
    as_before(web)


async def http2_visits(s, names, times):
    """Some kinds of visit of bench/siege_http2.py, all at once; what was wrong."""
    wrong = []
    known = Known({s.small: page(0), s.big: BIG, "/static/style.css": s.get("/static/style.css").body}, [])
    visitors = Http2(s.secure, known, random.Random(3), wrong)
    visitors.stay_s = 4
    assert names <= {k[0].__name__ for k in visitors.kinds()}
    await asyncio.gather(*(visitors.visit(getattr(visitors, name)) for name in sorted(names) for _ in range(times)))
    return wrong


HONEST = {"h2_well_behaved", "h2_big", "h2_parts", "h2_post", "h2_bye", "h2_few_pings"}
HOSTILE = {"h2_resets", "h2_reset_flood", "h2_flood", "h2_slow_reader", "h2_stops_reading", "h2_slow_head", "h2_no_ack", "h2_vanish", "h2_garbage"}


def test_http2_honest(web):
    assert asyncio.run(http2_visits(web, HONEST, 3)) == []
    as_before(web)


def test_http2_hostile(web):
    assert asyncio.run(http2_visits(web, HOSTILE | {"h2_well_behaved"}, 8)) == []
    as_before(web)
