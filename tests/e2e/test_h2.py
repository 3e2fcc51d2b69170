"""HTTP/2 through the real binary: curl, nghttp, h2load and python3-h2 over TLS."""
import re
import socket
import subprocess
import sys

import pytest
from comics import big_png, cbz, chapter_links, importing, page, read, series_links
from conftest import PATIENCE, tool, until
from test_tls import Tls, make_pair

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's python3-h2, when another Python runs the tests
import h2.config  # noqa: E402
import h2.connection  # noqa: E402
import h2.events  # noqa: E402

CONFIG = 'listen: ["127.0.0.1:0", "https://127.0.0.1:0"]\ntls: { certificates: [a.crt], keys: [a.key] }\n'


class Client:
    """One connection of python3-h2, which checks what the server says."""

    def __init__(self, web):
        context = web.context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        self.sock = context.wrap_socket(socket.create_connection(web.secure, PATIENCE), server_hostname="a.test")
        assert self.sock.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.answers = {}
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
            elif isinstance(e, (h2.events.StreamEnded, h2.events.StreamReset)):
                self.ended.add(e.stream_id)
            elif isinstance(e, h2.events.ConnectionTerminated):
                self.goaway = e.error_code
        self.flush()
        return bool(data)

    def wait(self):
        self.flush()
        while set(self.answers) - self.ended:
            assert self.step()

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
