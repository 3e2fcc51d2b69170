"""TLS through the real binary: Python's ssl and curl as clients, certificates made by the openssl command."""
import contextlib
import http.client
import os
import signal
import socket
import ssl
import subprocess

import pytest
from comics import big_png, cbz, chapter_links, importing, page, read, series_links
from conftest import PATIENCE, Raw, Server, dozo, tool, until


def make_pair(folder, name, *hosts, days=30):
    """A self-signed certificate NAME.crt and its key NAME.key, replaced in one step each."""
    names = ",".join(f"DNS:{h}" for h in hosts) + ",IP:127.0.0.1"
    subprocess.run([tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", f"{name}.new.key", "-out", f"{name}.new.crt", "-days", str(days), "-subj", f"/CN={hosts[0]}",
                    "-addext", f"subjectAltName={names}"], cwd=folder, check=True, capture_output=True)
    for kind in ("key", "crt"):
        os.chmod(folder / f"{name}.new.{kind}", 0o600)
        os.rename(folder / f"{name}.new.{kind}", folder / f"{name}.{kind}")


CONFIG = 'listen: ["127.0.0.1:0", "https://127.0.0.1:0"]\ntls: { certificates: [a.crt, b.crt], keys: [a.key, b.key] }\n'


class Tls(Server):
    @property
    def secure(self):
        return self.parse(self.addresses[1].removeprefix("https://"))

    def open(self, host="a.test", version=None, context=None, session=None, ca="a.crt"):
        context = context or self.context(version, ca)
        c = Raw(self.secure)
        c.sock = context.wrap_socket(c.sock, server_hostname=host, session=session)
        return c

    def context(self, version=None, ca="a.crt"):
        context = ssl.create_default_context(cafile=str(self.folder / ca))
        context.set_alpn_protocols(["http/1.1"])
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def ask(self, c, path="/healthz"):
        c.send(f"GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode())
        return c.response()

    def peer(self, host):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(self.secure, PATIENCE) as s, context.wrap_socket(s, server_hostname=host) as t:
            return t.getpeercert(True)


@pytest.fixture
def web(tmp_path):
    make_pair(tmp_path, "a", "a.test")
    make_pair(tmp_path, "b", "*.b.test")
    s = Tls(tmp_path, CONFIG)
    yield s
    if s.process.poll() is None:
        assert s.stop() == 0


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_alpn_and_resumption(web, version):
    context = web.context(version)
    c = web.open(context=context)
    assert c.sock.selected_alpn_protocol() == "http/1.1"
    assert c.sock.version() == {771: "TLSv1.2", 772: "TLSv1.3"}[version]
    assert not c.sock.session_reused
    for _ in range(3):
        assert web.ask(c).status == 200
    again = web.open(context=context, session=c.sock.session)
    assert again.sock.session_reused
    assert web.ask(again).status == 200
    c.sock.unwrap()  # our close_notify gets one back
    c.close()
    again.close()


def test_too_old_versions_are_refused(web):
    for v in ("-tls1", "-tls1_1"):
        r = subprocess.run([tool("openssl"), "s_client", v, "-cipher", "ALL:@SECLEVEL=0", "-connect", "%s:%d" % web.secure],
                           input=b"", capture_output=True)
        assert r.returncode != 0 and b"Cipher is (NONE)" in r.stdout


def test_no_common_protocol_is_said(web):
    context = web.context()
    context.set_alpn_protocols(["smtp"])
    with pytest.raises(ssl.SSLError):
        web.open(context=context)


def test_names_choose_the_certificate(web):
    web.open("a.test", ca="a.crt").close()
    web.open("x.b.test", ca="b.crt").close()
    with pytest.raises(ssl.SSLCertVerificationError):  # nobody's name: the first pair
        web.open("c.test", ca="a.crt")


def test_renegotiation_is_refused(web):
    r = subprocess.run([tool("openssl"), "s_client", "-tls1_2", "-connect", "%s:%d" % web.secure], input=b"R\n",
                       capture_output=True)
    assert b"no renegotiation" in r.stderr
    assert web.get("/healthz").status == 200


def test_large_page_to_all_clients(web, tmp_path):
    big = big_png(4600)  # 20 MB that do not compress
    cbz(tmp_path / "S/c1.cbz", {"1.png": big, "2.png": page(2)})
    importing(tmp_path, "S", "--config", "dozo.yaml")
    until(lambda: series_links(web), "the series")
    image = read(web, chapter_links(web, series_links(web)[0])[0]).all("img")[0]["src"]
    for version in VERSIONS:
        c = web.open(version=version)
        r = web.ask(c, image)
        assert (r.status, r.body) == (200, big)
        c.send(f"GET {image} HTTP/1.1\r\nHost: a.test\r\nRange: bytes=100-299\r\n\r\nHEAD {image} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode())
        r = c.response()
        assert (r.status, r.body) == (206, big[100:300])
        r = c.response(head=True)
        assert (r.status, r["Content-Length"]) == (200, str(len(big)))
        c.close()
    out = tmp_path / "got"
    host, port = web.secure
    subprocess.run([tool("curl"), "-sS", "--fail", "--cacert", "a.crt", "--resolve", f"a.test:{port}:{host}", "-o", str(out),
                    f"https://a.test:{port}{image}"], cwd=tmp_path, check=True)
    assert out.read_bytes() == big


def test_body_in_tiny_records(web):
    c = web.open()
    c.send(b"POST /nothing HTTP/1.1\r\nHost: a.test\r\nContent-Length: 500\r\n\r\n")
    for _ in range(500):
        c.send(b"x")
    assert c.response().status in (404, 405)
    c.close()


def test_plain_http_to_the_https_port(web):
    c = Raw(web.secure)
    c.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    r = c.response()
    assert r.status == 400 and "plain HTTP request was sent to HTTPS port" in r.text
    assert c.closed()


def test_garbage_and_stalled_handshakes_cost_nothing(tmp_path, serve):
    make_pair(tmp_path, "a", "a.test")
    make_pair(tmp_path, "b", "*.b.test")
    web = Tls(tmp_path, CONFIG + "http: { header_timeout: 500ms }\n")
    for garbage in (b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\x80\x01\x02", os.urandom(4000), b"\x15\x03\x01\x00\x02\x01\x00"):
        c = Raw(web.secure)
        c.send(garbage)
        c.sock.shutdown(socket.SHUT_WR)
        try:
            while c._more():
                pass
        except ConnectionResetError:
            pass
        c.close()
    stalled = [Raw(web.secure) for _ in range(20)]
    for c in stalled:
        c.send(b"\x16\x03\x01\x02\x00\x01")
    for c in stalled:
        assert c.closed()

    def served():
        with contextlib.suppress(OSError, EOFError):  # this program may be what was slow
            return web.ask(web.open()).status == 200
    until(served, "an answer")
    assert web.stop() == 0


def test_half_close_gets_its_answer(web):
    context = web.context(ssl.TLSVersion.TLSv1_2)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    t = context.wrap_bio(incoming, outgoing, server_hostname="a.test")
    with socket.create_connection(web.secure, PATIENCE) as s:
        while True:
            try:
                t.do_handshake()
                break
            except ssl.SSLWantReadError:
                s.sendall(outgoing.read())
                incoming.write(s.recv(65536))
        t.write(b"GET /healthz HTTP/1.1\r\nHost: a.test\r\n\r\n")
        try:
            t.unwrap()
        except ssl.SSLWantReadError:
            pass
        s.sendall(outgoing.read())
        s.shutdown(socket.SHUT_WR)
        got = b""
        while data := s.recv(65536):
            got += data
    assert len(got) > 200  # the answer and a close_notify, encrypted


def test_reload_by_signal_and_by_change(web, tmp_path):
    first = web.peer("a.test")
    kept = web.open()
    make_pair(tmp_path, "a", "a.test")
    web.process.send_signal(signal.SIGHUP)
    until(lambda: web.peer("a.test") != first, "the new certificate after SIGHUP")
    assert web.ask(kept).status == 200  # what was open goes on
    second = web.peer("a.test")
    make_pair(tmp_path, "a", "a.test")
    until(lambda: web.peer("a.test") != second, "the new certificate by itself")

    third = web.peer("a.test")
    (tmp_path / "a.crt").write_text("no certificate\n")
    web.process.send_signal(signal.SIGHUP)
    until(lambda: "the old ones stay" in web.read_log(), "the complaint")
    assert web.peer("a.test") == third
    make_pair(tmp_path, "a", "a.test")
    until(lambda: web.peer("a.test") != third, "the new certificate after a bad one")
    assert web.read_log().count("the old ones stay") == 1
    assert "BEGIN" not in web.read_log()


@pytest.mark.parametrize("change, words", [
    ("tls: { certificates: [a.crt], keys: [b.key] }", "not that of the certificate"),
    ("tls: { certificates: [none.crt], keys: [a.key] }", "none.crt"),
    ("tls: { certificates: [a.crt], keys: [a.key, b.key] }", "2 keys for 1 certificates"),
    ("tls: {}", "needs a certificate and its key"),
])
def test_bad_settings_stop_the_start(tmp_path, change, words):
    make_pair(tmp_path, "a", "a.test")
    make_pair(tmp_path, "b", "b.test")
    (tmp_path / "dozo.yaml").write_text(f'listen: ["https://127.0.0.1:0"]\n{change}\n')
    r = dozo("serve", "--config", "dozo.yaml", cwd=tmp_path, check=1)
    assert words in r.err


def test_https_counts_like_http_for_the_rule_of_loopback(tmp_path):
    make_pair(tmp_path, "a", "a.test")
    (tmp_path / "dozo.yaml").write_text('listen: ["https://0.0.0.0:0"]\ntls: { certificates: [a.crt], keys: [a.key] }\n')
    r = dozo("serve", "--config", "dozo.yaml", cwd=tmp_path, check=1)
    assert "auth.token" in r.err


def test_a_key_for_everybody_is_a_warning(tmp_path):
    make_pair(tmp_path, "a", "a.test")
    make_pair(tmp_path, "b", "b.test")
    os.chmod(tmp_path / "b.key", 0o644)
    s = Tls(tmp_path, CONFIG)
    assert "b.key: the key can be read by others" in s.read_log() and "a.key" not in s.read_log()
    assert s.stop() == 0
