"""dozo serve as a process: listeners, start and stop, reload, the back as its child, figures and the access log."""
import json
import os
import re
import resource
import signal
import socket
import subprocess

import pytest

from comics import (begin, big_png, cbz, chapter_links, importing, page, pages, read, served, series_links, write, zip_bytes)
from conftest import DOZO, PATIENCE, Raw, clean_env, dozo, servers, until


def health(s):
    return json.loads(s.get("/healthz").text)


def back_pid(folder):
    try:
        text = (folder / "data/run/back.lock").read_text().strip()
    except FileNotFoundError:
        return 0
    return int(text) if text else 0


def back_runs(s):
    return until(lambda: health(s)["back"] == "ok" and back_pid(s.folder), "the back")


def refused(folder, config, *args, env=None):
    """A start that does not come about: what it says, after exit status 1 and no address printed."""
    (folder / "dozo.yaml").write_text(config)
    r = dozo("serve", "--config", "dozo.yaml", *args, cwd=folder, env=env, check=1)
    assert "listening" not in r.out
    return r.err


# ---- listeners -------------------------------------------------------------------------------------------------------------

def test_two_addresses_and_a_socket(tmp_path, serve):
    path = tmp_path / "dozo.sock"
    s = serve(tmp_path, f'listen: ["127.0.0.1:0", "[::1]:0", "unix:{path}"]\n')
    assert len(s.addresses) == 3 and s.addresses[2] == f"unix:{path}"
    ports = [port_of(a) for a in s.addresses[:2]]
    assert all(1 <= p <= 65535 for p in ports) and s.addresses[0] == f"127.0.0.1:{ports[0]}" and s.addresses[1] == f"[::1]:{ports[1]}"
    for a in s.addresses:
        c = Raw(s.parse(a))
        c.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.response().status == 200
        c.close()
    assert s.stop() == 0
    assert not path.exists()


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path, serve):
    path = tmp_path / "dozo.sock"
    config = f'listen: ["127.0.0.1:0", "unix:{path}"]\n'
    s = serve(tmp_path, config)
    s.process.kill()
    s.process.wait(PATIENCE)
    assert path.exists()
    s = serve(tmp_path, config)
    other = tmp_path / "other"
    other.mkdir()
    assert str(path) in refused(other, config)
    c = Raw(str(path))
    c.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert c.response().status == 200
    (other / "file").write_text("precious")
    assert "file" in refused(other, f'listen: ["unix:{other}/file"]\n')
    assert (other / "file").read_text() == "precious"


def test_port_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = refused(tmp_path, f'listen: ["127.0.0.1:{port}"]\n')
    assert f"127.0.0.1:{port}" in words and "in use" in words


def test_port_of_another_dozo(tmp_path, serve):
    """SO_REUSEPORT, which each loop's listener needs, must not let a second server share the port."""
    s = serve(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    words = refused(other, f'listen: ["{s.addresses[0]}"]\n')
    assert s.addresses[0] in words and "in use" in words


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "*:0"])
def test_beyond_loopback(tmp_path, address):
    (tmp_path / "dozo.yaml").write_text(f'listen: ["{address}"]\n')
    r = dozo("serve", "--config", "dozo.yaml", cwd=tmp_path)
    assert r.returncode == 1 and "listening" not in r.out
    if address != "*:0":
        assert "auth.token" in r.err and "auth.allow_anonymous" in r.err and address in r.err


@pytest.mark.parametrize("extra", ["auth: { token: 0123456789abcdef0123456789abcdef }\n", "auth: { allow_anonymous: true }\n"])
def test_beyond_loopback_when_asked(tmp_path, serve, extra):
    s = serve(tmp_path, f'listen: ["127.0.0.1:0", "0.0.0.0:0"]\n{extra}')
    assert s.addresses[1].startswith("0.0.0.0:")


def test_missing_config(tmp_path):
    r = dozo("serve", "--config", "nowhere.yaml", cwd=tmp_path, check=1)
    assert "nowhere.yaml" in r.err


def test_second_server_on_the_same_data(tmp_path, serve):
    s = serve(tmp_path)
    words = refused(tmp_path, 'listen: ["127.0.0.1:0"]\n')
    assert f"pid {s.process.pid}" in words and "data" in words
    assert health(s)["status"] == "ok" or back_runs(s)


def test_data_dir_that_cannot_be(tmp_path):
    (tmp_path / "data").write_text("a file")
    assert "data" in refused(tmp_path, 'listen: ["127.0.0.1:0"]\n')


def test_a_database_of_something_else(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/dozo.db").write_bytes(b"This is no database, but somebody's only copy of a text.\n" * 100)
    assert "dozo.db" in refused(tmp_path, 'listen: ["127.0.0.1:0"]\n')
    assert (tmp_path / "data/dozo.db").read_bytes().startswith(b"This is no database")


@pytest.mark.parametrize("config,words", [
    ("catalog: { driver: postgres, uri: 'postgres://u:s3cret@127.0.0.1:1/db' }\n", "127.0.0.1:1"),
    ("store: { driver: postgres, uri: 'postgres://u:s3cret@127.0.0.1:1/db' }\n", "127.0.0.1:1"),
    ("store: { driver: mongodb, uri: 'mongodb://u:s3cret@127.0.0.1:1' }\n", "127.0.0.1:1"),
    ("cache: { driver: redis, uri: 'rediss://:s3cret@127.0.0.1' }\n", "TLS to Redis")])
def test_databases_that_are_not_there(tmp_path, config, words):
    """Catalog and store must be there at the start; a Redis need not be (test_far.py), but must be one that can be spoken to."""
    said = refused(tmp_path, 'listen: ["127.0.0.1:0"]\n' + config)
    assert words in said and "s3cret" not in said


# ---- stopping ----------------------------------------------------------------------------------------------------------------

def connects(address):
    try:
        socket.create_connection(address, PATIENCE).close()
        return True
    except OSError:
        return False


def reads_slowly(s):
    """A connection whose window stays small, so that most of a large answer waits at the server."""
    c = s.connect()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return c


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_graceful_stop(tmp_path, serve, how):
    """What has begun is finished, however slowly it is read; nobody new is let in."""
    big = big_png()
    cbz(tmp_path / "S/c1.cbz", {"1.png": big})
    importing(tmp_path, "S")
    s = serve(tmp_path, "http: { graceful_timeout: 10m, idle_timeout: 10m }\n")
    src = read(s, chapter_links(s, series_links(s)[0])[0]).all("img")[0]["src"]
    slow = reads_slowly(s)
    idle = s.connect()
    idle.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert idle.response().status == 200
    slow.send(f"GET {src} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    while len(slow.buffer) < 1000:
        assert slow._more()
    s.process.send_signal(how)
    until(lambda: not connects(s.address), "the end of listening")
    assert idle.closed(), "an idle connection is closed"
    r = slow.response()
    assert (r.status, r.body) == (200, big) and slow.closed()
    assert s.stop() == 0
    assert s.process.returncode == 0


def test_stop_cuts_what_takes_too_long(tmp_path, serve):
    cbz(tmp_path / "S/c1.cbz", {"1.png": big_png()})
    importing(tmp_path, "S")
    s = serve(tmp_path, "http: { graceful_timeout: 100ms }\n")
    src = read(s, chapter_links(s, series_links(s)[0])[0]).all("img")[0]["src"]
    slow = reads_slowly(s)
    slow.send(f"GET {src} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert slow._more()
    assert s.stop() == 0


def test_stop_ends_the_back(tmp_path, serve):
    s = serve(tmp_path)
    pid = back_runs(s)
    assert s.stop() == 0
    until(lambda: servers.states(pid) in ("", "Z"), "the end of the back")
    assert not (tmp_path / "data/run/front.sock").exists()


# ---- reload ----------------------------------------------------------------------------------------------------------------

def test_reload(tmp_path, serve):
    cbz(tmp_path / "S/c1.cbz", pages(2))
    importing(tmp_path, "S")
    s = serve(tmp_path, "log: { level: info }\n")
    first = s.config.read_text()
    series = series_links(s)[0].rsplit("/", 1)[1]
    assert s.get("/shelf/fresh/v1/chapters").status == 404

    s.config.write_text(first + f"shelves: [{{ name: fresh, series: {series}, api_hosts: [api.fresh.example] }}]\n")
    s.process.send_signal(signal.SIGHUP)
    until(lambda: s.get("/shelf/fresh/v1/chapters").status == 200, "the shelf")
    until(lambda: s.get("/v1/chapters", host="api.fresh.example").status == 200, "its host")
    until(lambda: "shelves" in s.read_log(), "the word about it")

    s.config.write_text(first + "shelvs: []\n")
    s.process.send_signal(signal.SIGHUP)
    until(lambda: "the old ones stay" in s.read_log(), "the word about the bad file")
    line = first.count("\n") + 1
    assert f"dozo.yaml:{line}: shelvs" in s.read_log() and "shelves" in s.read_log()
    assert s.get("/shelf/fresh/v1/chapters").status == 200

    s.config.write_text(first.replace("127.0.0.1:0", "127.0.0.1:1"))
    s.process.send_signal(signal.SIGHUP)
    until(lambda: re.search(r"listen .*restart", s.read_log()), "the word about listen")
    until(lambda: s.get("/shelf/fresh/v1/chapters").status == 404, "the end of the shelf")
    assert served(s) == {"S": [list(pages(2).values())]}

    s.config.write_text(first + "http: { cors_origins: ['*'], max_header: 1KiB }\n")
    s.process.send_signal(signal.SIGHUP)
    until(lambda: s.get("/healthz", headers={"X-Long": "x" * 2000}).status == 431, "the new limit")


def test_reload_of_max_connections(tmp_path, serve):
    """More at once, with the descriptors for them, and without a word of a restart."""
    s = serve(tmp_path, "http: { max_connections: 2 }\nlog: { level: info }\n")
    hard = resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE, (1000, hard))
    s.config.write_text(s.config.read_text().replace("max_connections: 2 ", "max_connections: 30 "))
    s.process.send_signal(signal.SIGHUP)
    until(lambda: "setting changed: http.max_connections" in s.read_log(), "the word about it")
    until(lambda: resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE)[0] == min(30 + 2048, hard), "the descriptors")
    kept = [s.connect() for _ in range(20)]

    def all_in():
        for c in kept:
            c.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        return [c.response().status for c in kept] == [200] * 20
    assert all_in()
    for c in kept:
        c.close()
    assert "after a restart" not in s.read_log()


def test_reload_keeps_the_back(tmp_path, serve):
    s = serve(tmp_path)
    pid = back_runs(s)
    for _ in range(3):
        s.process.send_signal(signal.SIGHUP)
    until(lambda: s.read_log().count("read again") >= 1, "the reload")
    assert back_runs(s) == pid and s.process.poll() is None


# ---- the back ----------------------------------------------------------------------------------------------------------------

def test_the_back_is_started_again(tmp_path, serve):
    cbz(tmp_path / "S/c1.cbz", pages(2))
    importing(tmp_path, "S")
    s = serve(tmp_path)
    pid = back_runs(s)
    parent = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
    assert parent == s.process.pid
    os.kill(pid, signal.SIGKILL)
    assert served(s) == {"S": [list(pages(2).values())]}
    until(lambda: back_pid(tmp_path) not in (0, pid) and health(s)["back"] == "ok", "another back")
    assert served(s) == {"S": [list(pages(2).values())]}
    figures = metrics(s)
    assert figures.value("dozo_back_up") == 1 and figures.value("dozo_back_deaths_total") == 1
    assert figures.value("dozo_back_starts_total") == 2


def test_roles_alone(tmp_path, serve):
    s = serve(tmp_path, args=("--role", "front"))
    assert health(s)["back"] == "elsewhere" and health(s)["status"] == "ok"
    back = begin("serve", "--role", "back", "--config", s.config, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    until(lambda: back_pid(tmp_path) == back.pid, "the back")
    second = dozo("serve", "--role", "back", "--config", s.config, cwd=tmp_path, check=1)
    assert f"pid {back.pid}" in second.err
    back.send_signal(signal.SIGTERM)
    _, err = back.communicate(timeout=PATIENCE)
    assert back.returncode == 0 and "Sanitizer" not in err, err


def test_bad_role(tmp_path):
    r = dozo("serve", "--role", "middle", cwd=tmp_path, check=2)
    assert "middle" in r.err and "front" in r.err and "back" in r.err


# ---- changes appear --------------------------------------------------------------------------------------------------------------

def test_an_import_appears(tmp_path, serve):
    s = serve(tmp_path)
    assert series_links(s) == []
    write(tmp_path, {"S/c1.cbz": zip_bytes(pages(2)), "S/c2.cbz": zip_bytes(pages(3, 10))})
    importing(tmp_path, "S")
    want = {"S": [list(pages(2).values()), list(pages(3, 10).values())]}
    until(lambda: served(s) == want, "the import")
    before = {link: s.get(link).body for link in ["/", *series_links(s)]}
    importing(tmp_path, "S")
    assert {link: s.get(link).body for link in before} == before
    cbz(tmp_path / "S/c3.cbz", pages(1, 50))
    importing(tmp_path, "S")
    until(lambda: len(chapter_links(s, series_links(s)[0])) == 3, "the new chapter")


def test_an_import_appears_without_the_bus(tmp_path, serve):
    """The catalog's change counter is polled as well: a lost socket loses nothing."""
    s = serve(tmp_path)
    (tmp_path / "data/run/front.sock").unlink()
    cbz(tmp_path / "S/c1.cbz", pages(2))
    importing(tmp_path, "S")
    until(lambda: served(s) == {"S": [list(pages(2).values())]}, "the import")


def test_a_lost_blob(tmp_path, serve):
    """A page that the store has lost is a 404 and a line in the log; the rest is served."""
    cbz(tmp_path / "S/c1.cbz", pages(2))
    importing(tmp_path, "S")
    blobs = {p.read_bytes(): p for p in (tmp_path / "data/blobs").glob("??/*")}
    blobs[page(0)].unlink()
    s = serve(tmp_path)
    images = [img["src"] for img in read(s, chapter_links(s, series_links(s)[0])[0]).all("img")]
    assert [s.get(src).status for src in images] == [404, 200]
    until(lambda: "dozo check" in s.read_log(), "the word about it")
    assert metrics(s).value("dozo_store_misses_total") >= 1


# ---- figures ---------------------------------------------------------------------------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\}})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


class Figures:
    """The Prometheus text format, version 0.0.4, read strictly."""

    def __init__(self, text):
        assert text.endswith("\n")
        self.types, self.samples, helped = {}, {}, set()
        family = None
        for line in text[:-1].split("\n"):
            if line.startswith("# HELP "):
                name, words = line[7:].split(" ", 1)
                assert re.fullmatch(NAME, name) and words and name not in helped, line
                helped.add(name)
                family = name
            elif line.startswith("# TYPE "):
                name, kind = line[7:].split(" ")
                assert name == family and name not in self.types and kind in ("counter", "gauge", "histogram"), line
                self.types[name] = kind
            else:
                m = SAMPLE.match(line)
                assert m, line
                name, labels, value = m.group(1), m.group(2) or "", m.group(3)
                base = re.sub("_(bucket|sum|count)$", "", name) if self.types.get(family) == "histogram" else name
                assert base == family and family in self.types, f"{line} stands under {family}"
                pairs = tuple(LABEL.findall(labels))
                assert len({k for k, _ in pairs}) == len(pairs) and (name, pairs) not in self.samples, line
                self.samples[name, pairs] = float(value)
        assert helped == set(self.types)
        for name, kind in self.types.items():
            assert name.endswith("_total") == (kind == "counter"), (name, kind)
            if kind == "histogram":
                self.check_histogram(name)
        assert all(v >= 0 for v in self.samples.values())

    def check_histogram(self, name):
        series = {}
        for (n, pairs), v in self.samples.items():
            if n == name + "_bucket":
                rest = tuple(p for p in pairs if p[0] != "le")
                series.setdefault(rest, []).append((float(dict(pairs)["le"].replace("+Inf", "inf")), v))
        assert series, name
        for rest, buckets in series.items():
            assert [b for b, _ in buckets] == sorted({b for b, _ in buckets}), "bounds rise"
            assert [v for _, v in buckets] == sorted(v for _, v in buckets), "counts are cumulative"
            assert buckets[-1] == (float("inf"), self.samples[name + "_count", rest])
            assert self.samples[name + "_sum", rest] >= 0

    def value(self, name, **labels):
        return self.samples.get((name, tuple(labels.items())), 0)


def metrics(s):
    r = s.get("/metrics")
    assert r.status == 200 and r["Content-Type"].startswith("text/plain; version=0.0.4") and r["Cache-Control"] == "no-store"
    return Figures(r.text)


def test_metrics(tmp_path, serve):
    cbz(tmp_path / "S/c1.cbz", pages(3))
    cbz(tmp_path / "S/c2.cbz", pages(2, 10))
    importing(tmp_path, "S", "--shelf", "s")
    s = serve(tmp_path)
    before = metrics(s)
    assert before.value("dozo_catalog_series") == 1 and before.value("dozo_catalog_chapters") == 2
    assert before.value("dozo_catalog_pages") == 5 and before.value("dozo_catalog_shelves") == 1
    version = dozo("version", cwd=tmp_path, check=0).out.split()[1]
    assert before.value("dozo_build_info", version=version) == 1 and before.value("process_start_time_seconds") > 1.6e9
    chapter = chapter_links(s, series_links(s)[0])[0]
    src = read(s, chapter).all("img")[0]["src"]
    for _ in range(5):
        assert s.get(src).status == 200
    for _ in range(3):
        assert s.get("/page/1/999999/1").status == 404
    assert s.request("POST", "/healthz", body=b"x").status == 405
    assert s.get("/nothing").status == 404
    bad = s.connect()
    bad.send(b"nonsense\r\n\r\n")
    assert bad.response().status == 400

    def grown(name, figures=None, **labels):
        return (figures or after).value(name, **labels) - before.value(name, **labels)

    def counted():
        """A loop counts an answer when it has handed it over, which the client may see first."""
        f = metrics(s)
        least = [("page", "2xx", 5), ("page", "4xx", 3), ("none", "4xx", 3)]
        return f if (all(grown("dozo_http_requests_total", f, route=r, status=c) >= n for r, c, n in least)
                     and grown("dozo_http_request_seconds_count", f, route="page") >= 8) else None
    after = until(counted, "the figures")
    assert grown("dozo_http_requests_total", route="page", status="2xx") == 5
    assert grown("dozo_http_requests_total", route="page", status="4xx") == 3
    assert grown("dozo_http_request_seconds_count", route="page") == 8
    assert grown("dozo_http_bad_requests_total") == 1
    assert grown("dozo_cache_hits_total") >= 4 and grown("dozo_cache_misses_total") >= 1
    assert grown("dozo_http_sent_bytes_total") > 5 * len(page(0)) and grown("dozo_http_received_bytes_total") > 500
    assert grown("dozo_http_connections_total") >= 10 and after.value("dozo_http_connections") >= 1
    assert after.value("dozo_store_gets_total") >= 1 and after.value("dozo_store_errors_total") == 0


# ---- access log ------------------------------------------------------------------------------------------------------------------

LINE = re.compile(r'(\S+) - - \[([^\]]+)\] "(\S+) (\S+) HTTP/1\.([01])" (\d{3}) (\d+) "([^"]*)" "([^"]*)"')


def test_access_log_in_a_file(tmp_path, serve):
    log = tmp_path / "access.log"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(PATIENCE)
    s = serve(tmp_path, f"http: {{ access_log: '{log}' }}\n", env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert manager.recv(100) == b"READY=1"
    s.get("/nothing?q=1", headers={"User-Agent": 'evil"\xff\\agent', "Referer": "http://x/\xe9"})
    s.get("/healthz", headers={"X-Forwarded-For": "203.0.113.7"})
    s.head("/")

    def lines():
        return [LINE.match(line) for line in log.read_text().splitlines()]
    until(lambda: all(lines()) and {("127.0.0.1", "/nothing?q=1"), ("203.0.113.7", "/healthz"), ("127.0.0.1", "/")}
          <= {(m.group(1), m.group(4)) for m in lines()}, "the lines")
    assert all(lines()), log.read_text()
    first = next(m for m in lines() if m.group(4) == "/nothing?q=1")
    assert (first.group(1), first.group(3), first.group(6)) == ("127.0.0.1", "GET", "404")
    assert '"' not in first.group(9).replace("\\x22", "") and "\\x22" in first.group(9) and "\\xE9" in first.group(8)
    assert any(m.group(1) == "203.0.113.7" for m in lines())
    assert next(m for m in lines() if m.group(3) == "HEAD").group(7) == "0"

    log.rename(tmp_path / "access.log.1")
    s.process.send_signal(signal.SIGHUP)
    assert manager.recv(100).startswith(b"RELOADING=1") and manager.recv(100) == b"READY=1"
    s.get("/after")
    until(lambda: "/after" in log.read_text(), "a line in the new file")
    assert "/after" not in (tmp_path / "access.log.1").read_text()


def test_access_log_on(tmp_path, serve):
    s = serve(tmp_path, "http: { access_log: 'on' }\n")
    s.get("/one-line")
    os.set_blocking(s.process.stdout.fileno(), False)
    text = ""

    def seen():
        nonlocal text
        text += (s.process.stdout.read() or b"").decode()
        return "/one-line" in text or "/one-line" in s.read_log()
    until(seen, "the line")


def test_access_log_that_cannot_be(tmp_path):
    words = refused(tmp_path, f'listen: ["127.0.0.1:0"]\nhttp: {{ access_log: "{tmp_path}/no/such/folder.log" }}\n')
    assert "access_log" in words


# ---- the binary as it is found -----------------------------------------------------------------------------------------------------

def test_stdout_closed(tmp_path):
    """A parent that closed our stdout: the server serves all the same and ends well."""
    (tmp_path / "dozo.yaml").write_text(f'listen: ["unix:{tmp_path}/s.sock"]\n')
    log = open(tmp_path / "log", "wb")
    p = subprocess.Popen([DOZO, "serve", "--config", "dozo.yaml"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=log, env=clean_env())
    p.stdout.close()
    until((tmp_path / "s.sock").exists, "the socket")
    c = until(lambda: attempt(lambda: Raw(f"{tmp_path}/s.sock")), "a connection")
    c.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert c.response().status == 200
    c.close()
    p.send_signal(signal.SIGTERM)
    assert p.wait(PATIENCE) in (0, 1)  # that the address could not be told may be held against it
    assert "Sanitizer" not in (tmp_path / "log").read_text()


def attempt(f):
    try:
        return f()
    except OSError:
        return None


def test_a_catalog_that_was_removed_or_replaced_is_said(tmp_path, serve):
    s = serve(tmp_path)
    db = tmp_path / "data/dozo.db"
    assert health(s)["catalog"] == "ok"
    os.rename(db, tmp_path / "kept.db")
    h = until(lambda: (h := health(s))["status"] == "degraded" and h, "the word that it is gone")
    assert "dozo.db was removed or replaced" in h["catalog"]
    db.write_bytes((tmp_path / "kept.db").read_bytes())  # the same bytes, but another file
    until(lambda: "the catalog cannot be read" in s.read_log(), "the line in the log")
    assert health(s)["status"] == "degraded" and s.get("/").status == 200
    os.rename(tmp_path / "kept.db", db)
    until(lambda: health(s)["status"] == "ok", "the catalog to be back")
    until(lambda: "can be read again" in s.read_log(), "the other line in the log")
    assert s.read_log().count("the catalog cannot be read") == 1
