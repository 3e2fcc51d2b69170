"""What is decided before any route: http.force_https and http.allowed_hosts (contracts/imoog.md section 2), and the access log."""
import os
import re
import signal
import socket

import pytest

from conftest import until


def test_allowed_hosts(tmp_path, serve):
    s = serve(tmp_path, 'http: { allowed_hosts: [127.0.0.1, www.ok.example, "*.b.example"] }\n')
    r = s.get("/", host="evil.example")
    assert (r.status, r.text) == (400, "Invalid host header")
    r = s.get("/series/1?x=y", host="ok.example")
    assert (r.status, r["Location"]) == (307, "http://www.ok.example/series/1?x=y")
    assert s.get("/", host="www.ok.example:8080").status == 200
    assert s.get("/", host="x.b.example").status == 200
    assert s.get("/", host="X.B.EXAMPLE").status == 200
    assert s.get("/", host="b.example").status == 400
    assert s.get("/", host="xb.example").status == 400


def test_force_https(tmp_path, serve):
    s = serve(tmp_path)
    (tmp_path / "dozo.yaml").write_text('listen: ["127.0.0.1:0"]\nhttp: { force_https: true }\n')
    s.process.send_signal(signal.SIGHUP)
    r = until(lambda: (lambda a: a.status == 307 and a)(s.get("/series/1?x=y", host="a.example:80")), "the reload")
    assert r["Location"] == "https://a.example/series/1?x=y"
    assert s.get("/", host="foo:8080")["Location"] == "https://foo:8080/"
    with socket.create_connection(s.address) as c:
        c.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert c.makefile("rb").readline() == b"HTTP/1.1 400 Bad Request\r\n"
    with socket.create_connection(s.address) as c:  # "*" is no path
        c.sendall(b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        assert b"\r\nLocation: https://a.example\r\n" in c.makefile("rb").read()
    assert s.get("/", host="a.example", headers={"X-Forwarded-Proto": "https"}).status == 200


FIELDS = {"x": {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}, "rfc": {"Forwarded": 'for="[2001:db8::9]:80";proto=https'},
          "both": {"X-Forwarded-For": "198.51.100.7", "Forwarded": "for=203.0.113.9;proto=https"}, "none": {},
          "host": {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}}
X, RFC, OWN = ("198.51.100.7", 200), ("2001:db8::9", 200), ("127.0.0.1", 307)


@pytest.mark.parametrize("setting,want", [
    ("forwarded: auto", {"x": X, "rfc": RFC, "both": ("198.51.100.7", 307), "none": OWN, "host": OWN}),
    ("forwarded: x-forwarded", {"x": X, "rfc": OWN, "both": ("198.51.100.7", 307), "none": OWN, "host": OWN}),
    ("forwarded: forwarded", {"x": OWN, "rfc": RFC, "both": ("203.0.113.9", 200), "none": OWN, "host": OWN}),
    ("trusted_proxies: []", {"x": OWN, "rfc": OWN, "both": OWN, "none": OWN, "host": OWN})])
def test_forwarded(tmp_path, serve, setting, want):
    """Address in the access log and https for the gate, by the fields of a trusted peer; never the host."""
    log = tmp_path / "access.log"
    s = serve(tmp_path, f"http: {{ access_log: ./access.log, force_https: true, {setting} }}\n")
    for name, fields in FIELDS.items():
        r = s.get(f"/?{name}", host="a.example", headers=fields)
        assert r.status == want[name][1] and r["Location"] == (f"https://a.example/?{name}" if r.status == 307 else None)
    until(lambda: log.exists() and all(f"/?{name} " in log.read_text() for name in FIELDS), "the lines")
    seen = {line.split("/?")[1].split()[0]: line.split()[0] for line in log.read_text().splitlines() if "/?" in line}
    assert seen == {name: address for name, (address, _) in want.items()}


LINE = re.compile(r'^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d \+0000\] "(GET|HEAD) \S+ HTTP/1\.1" \d{3} \d+ "[^"]*" "[^"]*" '
                  r'[\d.]+$')


def test_access_log(tmp_path, serve):
    s = serve(tmp_path, "http: { access_log: ./access.log }\n")
    path = tmp_path / "access.log"
    s.get('/nothing', headers={"User-Agent": 'a"b\\c', "Referer": "http://r.example/"})
    text = until(lambda: path.exists() and "nothing" in path.read_text() and path.read_text(), "a line")
    assert '"GET /nothing HTTP/1.1" 404 49 "http://r.example/" "a\\x22b\\x5Cc"' in text
    os.rename(path, tmp_path / "old.log")
    s.process.send_signal(signal.SIGHUP)
    until(path.exists, "the new file")
    s.get("/healthz")
    until(lambda: "/healthz" in path.read_text(), "a line in the new file")
    for line in (tmp_path / "old.log").read_text().splitlines() + path.read_text().splitlines():
        assert LINE.match(line), line


def test_access_log_switched_on_by_reload(tmp_path, serve):
    s = serve(tmp_path)
    for _ in range(2):
        (tmp_path / "dozo.yaml").write_text('listen: ["127.0.0.1:0"]\nhttp: { access_log: ./access.log }\n')
        s.process.send_signal(signal.SIGHUP)
        until((tmp_path / "access.log").exists, "the file")
        s.get("/metrics")
        until(lambda: "/metrics" in (tmp_path / "access.log").read_text(), "a line")
        (tmp_path / "dozo.yaml").write_text('listen: ["127.0.0.1:0"]\n')
        seen = s.read_log().count("setting changed: http.access_log")
        s.process.send_signal(signal.SIGHUP)
        until(lambda: s.read_log().count("setting changed: http.access_log") > seen, "the reload")
        (tmp_path / "access.log").unlink()


def test_a_log_that_nobody_reads_does_not_stop_serving(tmp_path, serve):
    """Standard output is a pipe that the test stops reading; far more lines than it holds are asked for."""
    s = serve(tmp_path, "http: { access_log: on }\n")
    c = s.connect()
    for _ in range(3000):
        c.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\nUser-Agent: " + b"x" * 500 + b"\r\n\r\n")
        assert c.response().status == 200
    c.close()


def test_many_threads(tmp_path, serve):
    s = serve(tmp_path, "http: { threads: 256 }\n")
    assert s.get("/").status == 200


def test_operators_pages_pass_the_gate(tmp_path, serve):
    s = serve(tmp_path, 'http: { force_https: true, allowed_hosts: [www.ok.example] }\n')
    assert s.get("/healthz", host="10.0.0.1:8080").status == 200
    assert s.get("/metrics", host="10.0.0.1:8080").status == 200
    assert s.get("/", host="10.0.0.1:8080").status == 307


def test_pages_have_validators(tmp_path, serve):
    s = serve(tmp_path)
    r = s.get("/")
    assert r["ETag"].startswith('W/"') and r["Cache-Control"] == "no-cache"
    again = s.get("/", headers={"If-None-Match": r["ETag"]})
    assert (again.status, again.body, again["ETag"]) == (304, b"", r["ETag"])
