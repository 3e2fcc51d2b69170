"""/api/events: states of downloads as they change, over HTTP/1.1, TLS and HTTP/2, and what becomes of those who listen."""
import json
import re
import resource
import socket
import sqlite3
import subprocess
import threading

from conftest import PATIENCE, until
from nagato_rig import SITE, dex, faults, n, start
from test_h2 import CONFIG, Client
from test_tls import Tls, make_pair

ENDS = ("COMPLETE", "FAILED", "CANCELLED")


class Stream:
    """One listener, as WHATWG HTML 9.2 reads a stream; lines end with LF here."""

    def __init__(self, address, path="/api/events", last_id=None, host="127.0.0.1"):
        self.sock = socket.create_connection(address, PATIENCE)
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Accept: text/event-stream", "Accept-Encoding: gzip, br, zstd"]
        if last_id:
            lines.append(f"Last-Event-ID: {last_id}")
        self.sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        self.file = self.sock.makefile("rb")
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            line = self.file.readline()
            assert line, self.head
            self.head += line
        self.status = int(self.head.split()[1])
        self.text, self.comments, self.retry, self.last_id = "", [], None, None

    def chunk(self):
        """False at the end of the stream."""
        size = int(self.file.readline() or b"-1", 16)
        if size < 0:
            raise EOFError("cut, without the last chunk")
        data = self.file.read(size)
        self.file.readline()
        self.text += data.decode()
        return size > 0

    def blocks(self):
        while True:
            while "\n\n" in self.text:
                block, self.text = self.text.split("\n\n", 1)
                yield block
            if not self.chunk():
                return

    def event(self):
        """(name, data) of the next one; None at the end."""
        for block in self.blocks():
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            self.comments += [line for line in block.split("\n") if line.startswith(":")]
            self.retry = fields.get("retry", self.retry)
            if "data" not in fields:
                continue
            epoch, number = fields["id"].rsplit("-", 1)
            if self.last_id:
                before = self.last_id.rsplit("-", 1)
                assert epoch == before[0] and int(number) > int(before[1])
            self.last_id = fields["id"]
            value = json.loads(fields["data"])
            assert fields["data"] == json.dumps(value)
            return fields["event"], value
        return None

    def until(self, wanted):
        """Changes up to the one that has what is wanted."""
        while True:
            name, data = self.event()
            assert name == "change" and data
            if wanted(data):
                return data

    def close(self):
        self.file.close()
        self.sock.close()


def ended(download):
    return lambda data: (data.get(download) or {}).get("status") in ENDS


def test_a_download_from_queue_to_end(n):
    s = Stream(n.server.address)
    assert s.status == 200
    head = s.head.lower()
    for line in (b"content-type: text/event-stream\r\n", b"cache-control: no-store\r\n", b"x-accel-buffering: no\r\n"):
        assert line in head
    assert b"content-encoding" not in head and b"content-length" not in head
    assert s.event() == ("snapshot", {})
    assert s.retry == "2000"
    half = threading.Event()  # the second page comes when half of it has been told
    n.dex.misbehave("/data/c1/2-.*", lambda h, request: half.wait(PATIENCE) and False)
    one = n.download("c1")
    seen = []
    while not ended(one)({one: seen[-1]} if seen else {}):
        name, data = s.event()
        assert name == "change"
        seen.append(data[one])
        if seen[-1]["completion"] == 0.5:
            half.set()
    order = ["QUEUED", "PROCESSING", "SAVING", "COMPLETE"]
    assert [x["status"] for x in seen] == sorted((x["status"] for x in seen), key=order.index)
    assert seen[-1] == n.state(one) and seen[-1]["completion"] == 1.0
    assert any(x["status"] == "PROCESSING" and x["completion"] == 0.5 for x in seen), seen
    # Somebody who comes later; and what is forgotten is told.
    late = Stream(n.server.address)
    assert late.event() == ("snapshot", {one: seen[-1]})
    assert n.ask("DELETE", "downloads/history").status == 200
    assert s.event() == late.event() == ("change", {one: None})
    s.close()
    late.close()


def test_who_comes_back_misses_nothing(n):
    s = Stream(n.server.address)
    assert s.event() == ("snapshot", {})
    one = n.download("c1")
    s.until(ended(one))
    s.close()
    two = n.download("c2")
    n.wait(two)
    again = Stream(n.server.address, last_id=s.last_id)
    assert ended(two)(again.until(ended(two)))
    again.close()
    assert again.last_id.split("-")[0] == s.last_id.split("-")[0]
    whole = {one: n.state(one), two: n.state(two)}
    for bad in ("x", "0000000000000000-1", again.last_id + "9", again.last_id[:-1]):
        fresh = Stream(n.server.address, last_id=bad)
        assert fresh.event() == ("snapshot", whole)
        fresh.close()
    n.server.stop()
    n.start()
    fresh = Stream(n.server.address, last_id=again.last_id)
    assert fresh.event() == ("snapshot", whole)
    assert fresh.last_id.split("-")[0] != again.last_id.split("-")[0]
    fresh.close()


def test_only_some(n):
    one = n.finished("c1") and next(iter(n.json("dl_states/agregate")))
    s = Stream(n.server.address, f"/api/events?ids={one}&ids[]=nobody&other=1")
    assert s.event() == ("snapshot", {one: n.state(one), "nobody": None})
    two = n.download("c2")
    n.wait(two)
    assert n.ask("DELETE", "downloads/history").status == 200
    assert s.event() == ("change", {one: None})
    s.close()
    twice = n.server.connect()  # an object has a name once
    twice.send(f"GET /api/events?ids={two}&ids[]={two}&ids=x&ids=x HTTP/1.0\r\n\r\n".encode())
    until(lambda: twice._more() and b'"x": null}' in twice.buffer, "the snapshot")
    assert twice.buffer.count(two.encode()) == 1 and twice.buffer.count(b'"x"') == 1
    twice.close()
    many = "&".join(f"ids={i}" for i in range(101))
    assert n.words("events?" + many, 400) == "Only 100 ids can be followed in one stream"


def test_what_another_program_changes(n):
    one = n.finished("c1") and next(iter(n.json("dl_states/agregate")))
    s = Stream(n.server.address)
    assert list(s.event()[1]) == [one]
    db = sqlite3.connect(n.folder / "data" / "dozo.db")
    db.execute("DELETE FROM job WHERE target = ?", (one,))
    db.commit()
    db.close()
    assert s.event() == ("change", {one: None})
    s.close()


def test_silence_is_broken(n):
    s = Stream(n.server.address)
    assert s.event() == ("snapshot", {})
    for block in s.blocks():
        assert block == ": still here"
        break
    s.close()


def test_many_listeners(n):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < 2048:  # often 1024, which is just what they take
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048 if hard < 0 else min(hard, 2048), hard))
    listeners = [Stream(n.server.address) for _ in range(1000)]
    assert all(s.status == 200 for s in listeners)
    r = n.get("events", 503)
    assert r["Retry-After"] == "30" and "Too many" in r.text
    one = n.finished("c1") and next(iter(n.json("dl_states/agregate")))
    for s in listeners:
        name, data = s.event()
        assert name == "snapshot" and set(data) <= {one}
        if not ended(one)(data):
            s.until(ended(one))
    assert n.server.head("/api/events").status == 503
    for s in listeners:
        s.close()
    until(lambda: n.server.head("/api/events").status == 200, "room for others")


def test_a_stop_ends_them_well(n):
    listeners = [Stream(n.server.address) for _ in range(20)]
    for s in listeners:
        assert s.event() == ("snapshot", {})
    assert n.server.stop() == 0
    for s in listeners:
        assert s.event() is None
        s.close()


def test_a_listener_who_does_not_read(n, start):
    """It costs no memory and nobody else's time; it is not even cut, as long as the kernel takes what little there is to say."""
    deaf = Stream(n.server.address)
    s = Stream(n.server.address)
    assert s.event() == ("snapshot", {})
    for chapter in ("c1", "c2", "c3"):
        s.until(ended(n.download(chapter)))
    s.close()
    assert deaf.event()[0] == "snapshot"
    deaf.close()


def test_not_on_hosts_of_shelves(start):
    n = start(more="shelves: [{name: a, api_hosts: [api.test], cdn_hosts: [cdn.test], image_hosts: [i.test]}]")
    for host in ("api.test", "cdn.test"):
        for path in ("/api/events", "/api/ping", "/api/openapi.json", "/-/downloads"):
            assert n.server.get(path, host=host).status == 404, (host, path)
    assert n.server.get("/api/ping").status == 200


def connections(server):
    """With the one that asks."""
    return int(re.search(r"^dozo_http_connections (\d+)$", server.get("/metrics").text, re.M)[1])


def curl_events(web):
    """HTTP/1.1 over TLS, by a client that nobody here wrote; it has its snapshot."""
    host, port = web.secure
    curl = subprocess.Popen(["curl", "-sSNk", "--http1.1", f"https://{host}:{port}/api/events"], stdout=subprocess.PIPE)
    text = b""
    while b"snapshot" not in text or not text.endswith(b"\n\n"):
        text += curl.stdout.read1(65536)
    return curl


def test_over_tls_and_http2(tmp_path):
    make_pair(tmp_path, "a", "a.test")
    web = Tls(tmp_path, CONFIG)
    c = Client(web)
    stream, other = c.ask("/api/events"), c.ask("/healthz")
    while b"snapshot" not in c.answers[stream][1] or other not in c.ended:
        c.step()
        c.flush()
    assert c.answers[stream][0]["content-type"] == "text/event-stream" and stream not in c.ended
    c.h2.reset_stream(stream)
    again = c.ask("/api/events")
    c.flush()
    while b"snapshot" not in c.answers[again][1]:
        c.step()
        c.flush()
    # Who goes is gone at once, whatever it speaks.
    curl = curl_events(web)
    until(lambda: connections(web) == 3, "the end of the start's own connection")
    curl.kill()
    curl.wait(PATIENCE)
    until(lambda: connections(web) == 2, "the end of curl's connection")
    c.sock.close()
    until(lambda: connections(web) == 1, "the end of the connection that spoke HTTP/2")
    curl = curl_events(web)
    assert web.stop() == 0
    assert curl.wait(PATIENCE) == 0


# ---- the page ------------------------------------------------------------------------------------------------------------


def rows(page):
    return dict(re.findall(r'<tr id="d-([^"]*)" data-status="([A-Z]*)"', page))


def test_the_page(n):
    r = n.server.get("/-/downloads")
    assert r.status == 200 and "Nothing was downloaded yet" in r.text
    assert r["Cache-Control"] == "no-store" and "connect-src 'self'" in r["Content-Security-Policy"]
    assert "unsafe" not in r["Content-Security-Policy"] and 'style="' not in r.text
    script = re.search(r'<script defer src="([^"]*)"></script>', r.text)[1]
    assert n.server.get(script).status == 200
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in r.text
    one = n.finished("c1") and next(iter(n.json("dl_states/agregate")))
    n.dex.misbehave("/data/c2/.*", faults.status(503))
    two = n.download("c2")
    n.wait(two, "FAILED")
    page = n.server.get("/-/downloads").text
    assert rows(page) == {one: "COMPLETE", two: "FAILED"}
    assert "Dr. Stone ∕ X/Dr. Stone ∕ X -.- C1 Title 1.cbz" in page and "2 pages" in page
    assert f'action="/-/downloads/retry?ids={two}"' in page and "503" in page
    n.dex.behave()
    for origin in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
        assert n.server.request("POST", f"/-/downloads/retry?ids={two}", headers=origin).status == 403
    r = n.server.request("POST", f"/-/downloads/retry?ids={two}", headers={"Sec-Fetch-Site": "same-origin"})
    assert (r.status, r["Location"]) == (303, "/-/downloads")
    n.wait(two, "COMPLETE")


def test_the_page_with_a_token(start):
    n = start(more="auth: {token: secret}")
    n.dex.misbehave("/data/c2/.*", faults.status(503))
    r = n.ask("POST", "download/chapter", site=SITE, id="c2", headers={"Authorization": "Bearer secret"})
    two = json.loads(r.text)
    n.wait(two, "FAILED")
    page = n.server.get("/-/downloads").text
    assert rows(page) == {two: "FAILED"} and "retry" not in page
    assert n.server.request("POST", f"/-/downloads/retry?ids={two}").status == 401


# ---- who may write -------------------------------------------------------------------------------------------------------


def writes(n):
    doc = n.json("openapi.json")
    for path, ops in doc["paths"].items():
        for method, op in ops.items():
            yield method.upper(), path.replace("{id}", "x").replace("{mark}", "IGNORED"), bool(op.get("security"))


def test_the_token(start):
    n = start(more="auth: {token: secret}\nhttp: {cors_origins: [\"https://good.test\"]}")
    asked = 0
    for method, path, changes in writes(n):
        assert changes == (method != "GET")
        if not changes:
            continue
        asked += 1
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secre"}, {"Authorization": "Bearer"},
                        {"Authorization": "Basic c2VjcmV0"}, {"Authorization": "secret2"}, {"Origin": "https://good.test"}):
            r = n.server.request(method, path, headers=headers)
            assert (r.status, r["WWW-Authenticate"]) == (401, 'Bearer realm="dozo"'), (method, path, headers)
            assert r["Content-Type"] == "text/plain; charset=utf-8" and "auth.token" in r.text
        for given in ("Bearer secret", "bearer  secret", "secret"):
            assert n.server.request(method, path, headers={"Authorization": given, "Origin": "https://evil.test"}).status != 401
    assert asked >= 14
    for path in ("ping", "sites", "dl_states/agregate", "manga/favs"):
        assert n.get(path).status == 200


def test_pages_of_other_origins(start):
    n = start(more='http: {cors_origins: ["https://good.test", "*"]}')
    host = "%s:%d" % n.server.address
    for headers, allowed in (({}, True), ({"Origin": f"http://{host}"}, True), ({"Origin": "https://good.test"}, True),
                             ({"Sec-Fetch-Site": "same-origin", "Origin": "http://other.test"}, True), ({"Sec-Fetch-Site": "none"}, True),
                             ({"Sec-Fetch-Site": "cross-site", "Origin": "https://good.test"}, True),
                             ({"Origin": "http://evil.test"}, False), ({"Origin": "null"}, False), ({"Origin": ""}, False),
                             ({"Origin": f"http://{host}.evil.test"}, False), ({"Sec-Fetch-Site": "same-site"}, False),
                             ({"Sec-Fetch-Site": "cross-site"}, False), ({"Sec-Fetch-Site": "cross-site", "Origin": f"http://{host}"}, False)):
        r = n.server.request("DELETE", "/api/downloads/history", host=host, headers=headers)
        assert (r.status == 200) is allowed and (r.status == 403 or allowed), (headers, r.status, r.text)
        if not allowed:
            assert "http.cors_origins" in r.text and r["Content-Type"] == "text/plain; charset=utf-8"
        assert n.server.get("/api/ping", host=host, headers=headers).status == 200
