"""HTTP/2 through the real binary: curl, nghttp, h2load and python3-h2 over TLS."""
import re
import socket
import ssl
import subprocess
import sys

import pytest
from comics import big_png, cbz, chapter_links, importing, page, read, series_links
from conftest import PATIENCE, tool, until
from test_conformance import TABLE, wanted
from test_tls import Tls, make_pair

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's python3-h2, when another Python runs the tests
import h2.config  # noqa: E402
import h2.connection  # noqa: E402
import h2.errors  # noqa: E402
import h2.events  # noqa: E402

CONFIG = 'listen: ["127.0.0.1:0", "https://127.0.0.1:0"]\ntls: { certificates: [a.crt], keys: [a.key] }\n'


class Client:
    """One connection of python3-h2, which checks what the server says."""

    def __init__(self, web):
        context = web.context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        self.sock = context.wrap_socket(socket.create_connection(web.secure, PATIENCE), server_hostname="a.test")
        assert self.sock.selected_alpn_protocol() == "h2"
        # What is sent is ours to judge: some tests send what is wrong.
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False))
        self.h2.initiate_connection()
        self.answers = {}
        self.interim = {}
        self.resets = {}
        self.ended = set()
        self.goaway = None
        self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def ask(self, path, method="GET", body=None, headers=()):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(":method", method), (":scheme", "https"), (":authority", "a.test"), (":path", path), *headers],
                             end_stream=body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=True)
        self.answers[stream] = ({}, bytearray())
        return stream

    def step(self):
        data = self.sock.recv(65536)
        for e in self.h2.receive_data(data):
            if isinstance(e, h2.events.ResponseReceived):
                self.answers[e.stream_id][0].update(e.headers)
            elif isinstance(e, h2.events.DataReceived):
                self.answers[e.stream_id][1].extend(e.data)
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
            elif isinstance(e, h2.events.InformationalResponseReceived):
                self.interim[e.stream_id] = int(dict(e.headers)[":status"])
            elif isinstance(e, h2.events.StreamReset):
                self.resets[e.stream_id] = e.error_code
                self.ended.add(e.stream_id)
            elif isinstance(e, h2.events.StreamEnded):
                self.ended.add(e.stream_id)
            elif isinstance(e, h2.events.ConnectionTerminated):
                self.goaway = e.error_code
        self.flush()
        return bool(data)

    def wait(self):
        self.flush()
        while set(self.answers) - self.ended:
            assert self.step(), f"the server has ended it: {self.goaway}"

    def status(self, stream):
        return int(self.answers[stream][0][":status"])


@pytest.fixture
def web(tmp_path):
    make_pair(tmp_path, "a", "a.test")
    s = Tls(tmp_path, CONFIG)
    yield s
    if s.process.poll() is None:
        assert s.stop() == 0


@pytest.fixture
def image(web, tmp_path):
    big = big_png(1200)
    cbz(tmp_path / "S/c1.cbz", {"1.png": big, "2.png": page(2)})
    importing(tmp_path, "S", "--config", "dozo.yaml")
    until(lambda: series_links(web), "the series")
    return read(web, chapter_links(web, series_links(web)[0])[0]).all("img")[0]["src"], big


def run(*command):
    return subprocess.run([tool(command[0]), *command[1:]], check=True, capture_output=True).stdout


def url(web, path):
    return "https://127.0.0.1:%d%s" % (web.secure[1], path)


def test_curl(web, image):
    path, big = image
    head = run("curl", "-sk", "--http2", "-o", "/dev/null", "-D", "-", url(web, "/healthz"))
    assert head.startswith(b"HTTP/2 200")
    assert run("curl", "-sk", "--http2", url(web, path)) == big
    assert run("curl", "-sk", "--http2", "-r", "100-300000", url(web, path)) == big[100:300001]
    assert run("curl", "-sk", "--http1.1", url(web, path)) == big
    assert run("curl", "-sk", "--http2", "-I", url(web, path)).startswith(b"HTTP/2 200")


def test_many_streams(web, image):
    path, big = image
    c = Client(web)
    pages = [c.ask(path) for _ in range(5)]
    small = [c.ask("/healthz") for _ in range(60)]
    lost = [c.ask("/nothing") for _ in range(5)]
    refused = c.ask("/healthz", "POST", b"x" * 1000)
    c.wait()
    assert all(bytes(c.answers[s][1]) == big for s in pages)
    assert {c.status(s) for s in small} == {200}
    assert {c.status(s) for s in lost} == {404}
    assert c.status(refused) == 405


def test_nghttp_and_h2load(web, image):
    path, big = image
    assert run("nghttp", "-y", url(web, path)) == big
    said = run("h2load", "-n", "2000", "-c", "4", "-m", "32", url(web, "/healthz")).decode()
    assert re.search(r"2000 succeeded, 0 failed, 0 errored", said), said


def test_stop_says_goodbye(web):
    c = Client(web)
    c.ask("/healthz")
    c.wait()
    web.process.terminate()
    while c.step():
        pass
    assert c.goaway == 0
    assert web.process.wait(PATIENCE) == 0


def test_off(tmp_path):
    make_pair(tmp_path, "a", "a.test")
    web = Tls(tmp_path, CONFIG.replace("a.key] }", "a.key], http2: false }"))
    context = web.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(socket.create_connection(web.secure, PATIENCE), server_hostname="a.test") as s:
        assert s.selected_alpn_protocol() == "http/1.1"
    assert web.stop() == 0


def test_expectation(web):
    """RFC 9110 10.1.1: 100 comes before the body goes; a refusal comes in its place."""
    c = Client(web)

    def announce(path, method="POST", expect="100-continue"):
        stream = c.h2.get_next_available_stream_id()
        c.h2.send_headers(stream, [(":method", method), (":scheme", "https"), (":authority", "a.test"), (":path", path),
                                   ("expect", expect), ("content-length", "3")])
        c.answers[stream] = ({}, bytearray())
        c.flush()
        return stream

    stream = announce("/nothing")
    while stream not in c.interim:
        assert c.step()
    assert c.interim[stream] == 100 and not c.answers[stream][0]
    c.h2.send_data(stream, b"abc", end_stream=True)
    c.wait()
    assert c.status(stream) == 404
    for refused, status in ((announce("/healthz"), 405), (announce("/nothing", expect="tea"), 417), (announce("/nothing", "FROB"), 501)):
        c.wait()
        assert c.status(refused) == status and refused not in c.interim


def test_cancelled_images(web, image):
    """Somebody who turns pages quickly is no flood: 2,000 requests, half of them cut off."""
    path, big = image
    c = Client(web)
    for _ in range(50):
        streams = [c.ask(path if i % 2 else "/healthz") for i in range(40)]
        c.flush()
        for s in streams[1::2]:
            if s not in c.ended:
                c.h2.reset_stream(s, h2.errors.ErrorCodes.CANCEL)
                c.ended.add(s)
        c.wait()
        assert {c.status(s) for s in streams[::2]} == {200}
    assert c.goaway is None
    last = c.ask(path)
    c.wait()
    assert bytes(c.answers[last][1]) == big


SLOW = CONFIG + "http: { header_timeout: 2s, body_timeout: 2s, idle_timeout: 4s }\n"
START = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
ACKNOWLEDGED = START + b"\0\0\0\x04\1\0\0\0\0"
ASK = b"\x82\x87\x41\x01a\x04\x08/healthz"
HEAD = b"\0\0%c\x01%c\0\0\0\1" + ASK
PING = b"\0\0\x08\x06" + bytes(5) + b"12345678"
NO_WINDOW = b"\0\0\x06\x04" + bytes(5) + b"\0\4\0\0\0\0"


@pytest.mark.parametrize("first,again,code", [
    (START, PING, 4),  # RFC 9113 6.5.3
    (ACKNOWLEDGED, PING, 0),
    (ACKNOWLEDGED + HEAD % (len(ASK), 1) + b"\0\0\xfa\x09\0\0\0\0\1\0\1a\x7f\x80\1", b"x", 1),  # a block that does not end
    (ACKNOWLEDGED + NO_WINDOW + HEAD % (len(ASK), 5), PING, 0),
    (ACKNOWLEDGED + NO_WINDOW + HEAD % (len(ASK), 5), b"\0\0\4\x08\0\0\0\0\1\0\0\0\1", 0),
])
def test_peers_that_hardly_go_on(tmp_path, first, again, code):
    """What is no progress puts no end off; others are served meanwhile."""
    make_pair(tmp_path, "a", "a.test")
    web = Tls(tmp_path, SLOW)
    context = web.context()
    context.set_alpn_protocols(["h2"])
    said = b""
    with context.wrap_socket(socket.create_connection(web.secure, PATIENCE), server_hostname="a.test") as sock:
        sock.sendall(first)
        try:
            sock.settimeout(0.1)
            while True:
                try:
                    part = sock.recv(65536)
                    if not part:
                        break
                    said += part
                except TimeoutError:
                    other = Client(web)
                    stream = other.ask("/healthz")
                    other.wait()
                    assert other.status(stream) == 200
                    other.sock.close()
                    sock.sendall(again)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            pass
    goaway = re.search(rb"\0\0\x08\x07\0\0\0\0\0.{4}(.{4})", said, re.S)
    assert goaway and int.from_bytes(goaway[1], "big") == code, said[-100:]
    assert web.stop() == 0


def translated(case):
    """The requests of a case as a gateway would say them in HTTP/2 (RFC 9113 8.2.2, 8.3.1), or None: HTTP/2 has no words for it."""
    answers, _, waits = wanted(case["want"])
    rest = bytes.fromhex(case["request_hex"])
    requests = []
    for status, head_only in [] if waits else answers:
        head, mark, rest = rest.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        m = re.fullmatch(rb"([^ \r\n]+) ([^\r\n]+) HTTP/1\.1", line)
        if not mark or not m or b"://" in m[2] or m[1] == b"CONNECT" or len(head) > 15000:
            return None
        fields, length = [], 0
        for text in lines:
            name, colon, value = text.partition(b":")
            if not colon or text[:1] in b" \t" or b"\n" in text or b"\r" in text or name.strip().lower() == b"transfer-encoding":
                return None
            value = value.strip(b" \t")
            if name.lower() == b"content-length":
                length = int(value) if value.isdigit() else 0
            if name.lower() not in (b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"te"):
                fields.append((name.lower(), value))
        hosts = [f for f in fields if f[0] == b"host"]
        pseudo = [(b":method", m[1]), (b":scheme", b"https"), (b":path", m[2])]
        if len(hosts) == 1:
            fields.remove(hosts[0])
            pseudo.append((b":authority", hosts[0][1]))
        body, whole, rest = rest[:length], length <= len(rest), rest[length:]
        requests.append((pseudo + fields, body, whole, status, head_only))
    return requests or None


def replay(c, case, requests):
    streams = []
    for fields, body, whole, *_ in requests:
        stream = c.h2.get_next_available_stream_id()
        c.answers[stream] = ({}, bytearray())
        c.h2.send_headers(stream, fields, end_stream=whole and not body)
        if body:
            c.h2.send_data(stream, body, end_stream=whole)
        streams.append(stream)
        c.wait()
    for stream, (*_, status, head_only) in zip(streams, requests):
        got, content = c.answers[stream]
        if status == 400 and c.resets.get(stream) == h2.errors.ErrorCodes.PROTOCOL_ERROR:
            return
        assert c.status(stream) == status, f"{got}, reset {c.resets.get(stream)}"
        assert not content or not head_only
        assert "content-length" not in got or head_only or status == 304 or int(got["content-length"]) == len(content)
        assert status < 400 or got["cache-control"] == "no-store"
    for line in (case["lines"] or "").split("\n"):
        m = re.fullmatch(r"(?:@(\d) )?(-?)([^:]+)(?:: ?(.*))?", line)
        if m and m[3].lower() not in ("connection", "keep-alive"):
            got = c.answers[streams[int(m[1]) - 1 if m[1] else -1]][0].get(m[3].lower())
            assert (got is None) if m[2] else got is not None and (m[4] is None or got == m[4].strip()), f"{line}: {got}"


def test_conformance_cases(web):
    """The cases of HTTP/1.1 that the real program is asked, over HTTP/2."""
    wrong, ran = [], 0
    for group in TABLE.values():
        c = Client(web)
        for case in group:
            requests = translated(case)
            if not requests:
                continue
            ran += 1
            try:
                replay(c, case, requests)
            except (AssertionError, KeyError) as e:
                wrong.append(f"RFC {case['clause']}: {case['says']} ({case['want']}): {str(e).splitlines()[:1]}")
                c = Client(web)
        c.sock.close()
    print(f"{ran - len(wrong)} of {ran} cases")
    assert not wrong, "\n".join(wrong)
    assert ran >= 240
