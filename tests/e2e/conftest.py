"""Shared pieces of the end-to-end tests: a data folder, a running server on port 0, raw requests, and small images.

Only the standard library and pytest. Servers are ended by their own pid. DOZO_BIN names the binary under test (the sanitized build),
DOZO_RELEASE_BIN the release build.
"""
import contextlib
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import servers  # noqa: E402

DOZO = os.environ.get("DOZO_BIN", str(ROOT / "build-san/dozo"))
# Generous: a sanitized binary on a busy machine. Nothing is asserted about how long anything takes.
PATIENCE = 120


def clean_env(**extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DOZO_", "NAGATO_", "RATELIMIT"))}
    env.update(LC_ALL="C", ASAN_OPTIONS="detect_leaks=1:handle_segv=2:handle_abort=2",
               UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
    env.update(extra)
    return env


def png(width=8, height=12, shade=128):
    """A real grey PNG; another shade makes other bytes."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes([shade]) * width for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Response:
    def __init__(self, status, reason, headers, body, raw_head):
        self.status, self.reason, self.headers, self.body, self.raw_head = status, reason, headers, body, raw_head

    def __getitem__(self, name):
        """The one value of a header; a second one is a failure."""
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        assert len(values) <= 1, f"{name} sent {len(values)} times"
        return values[0] if values else None

    @property
    def text(self):
        return self.body.decode()


class Raw:
    """A connection that sends exactly the bytes it is given and reads answers one by one."""

    def __init__(self, address):
        self.sock = socket.create_connection(address, PATIENCE) if isinstance(address, tuple) else self._unix(address)
        self.sock.settimeout(PATIENCE)
        self.buffer = b""

    @staticmethod
    def _unix(path):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        return s

    def send(self, data):
        self.sock.sendall(data)

    def _more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def response(self, head=False):
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                raise EOFError(f"closed in the middle of a header block: {self.buffer!r}")
        top, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = top.decode("latin-1").split("\r\n")
        _, status, reason = (lines[0] + " ").split(" ", 2)
        headers = [tuple(p.strip() for p in line.split(":", 1)) for line in lines[1:]]
        status = int(status)
        length = [v for k, v in headers if k.lower() == "content-length"]
        if head or status in (204, 304) or 100 <= status < 200:
            need = 0
        else:
            assert len(length) == 1, f"no single Content-Length in {headers}"
            need = int(length[0])
        parts, have = [self.buffer], len(self.buffer)
        while have < need:
            parts.append(self.sock.recv(1 << 18))
            have += len(parts[-1])
            if not parts[-1]:
                raise EOFError("closed in the middle of a body")
        self.buffer = b"".join(parts)
        body, self.buffer = self.buffer[:need], self.buffer[need:]
        return Response(status, reason.strip(), headers, body, top)

    def closed(self):
        """True when the server has ended the connection and sent nothing more."""
        try:
            return not self.buffer and not self._more()
        except ConnectionResetError:
            return True

    def close(self):
        self.sock.close()


class Server:
    def __init__(self, folder, config="", env=None, args=(), binary=DOZO):
        self.folder = pathlib.Path(folder)
        self.config = self.folder / "dozo.yaml"
        if config is not None:
            self.config.write_text(config if "listen:" in config else f'listen: ["127.0.0.1:0"]\n{config}')
        self.log = open(self.folder / "serve.log", "ab")
        self.process = subprocess.Popen([binary, "serve", "--config", str(self.config), *args], cwd=self.folder,
                                        stdout=subprocess.PIPE, stderr=self.log, env=clean_env(**(env or {})))
        self.addresses = []
        self._wait(config)

    def _wait(self, config):
        want = 1
        m = re.search(r"^listen: \[(.*)\]", self.config.read_text() if config is not None else "", re.M)
        if m:
            want = len(m.group(1).split(","))
        deadline = time.monotonic() + PATIENCE
        pending = b""
        while len(self.addresses) < want:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not data:
                self.process.kill()
                raise AssertionError("the server did not start:\n" + self.read_log())
            pending += data
            self.addresses = re.findall(r"^listening on (.+)\n", pending.decode(), re.M)  # a line may come in pieces
        self.address = self.parse(self.addresses[0])
        # The line comes when the sockets listen; answers follow as soon as the loops run.
        if isinstance(self.address, tuple):
            assert self.get("/healthz").status == 200

    @staticmethod
    def parse(text):
        if text.startswith("unix:"):
            return text[5:]
        host, port = text.rsplit(":", 1)
        return host.strip("[]"), int(port)

    def connect(self):
        return Raw(self.address)

    def request(self, method, path, host="127.0.0.1", headers=None, body=b"", version="1.1"):
        c = self.connect()
        lines = [f"{method} {path} HTTP/{version}", f"Host: {host}", "Connection: close"]
        lines += [f"{k}: {v}" for k, v in (headers or {}).items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        c.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        try:
            return c.response(head=method == "HEAD")
        finally:
            c.close()

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def head(self, path, **kw):
        return self.request("HEAD", path, **kw)

    def read_log(self):
        self.log.flush()
        return (self.folder / "serve.log").read_text(errors="replace")

    def stop(self, how=signal.SIGTERM):
        """Ends the server and returns its exit status; a sanitizer's complaint fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.log.close()
        text = (self.folder / "serve.log").read_text(errors="replace")
        assert "ERROR: AddressSanitizer" not in text and "runtime error:" not in text and "LeakSanitizer" not in text, text[-8000:]
        return status


def until(check, what="it"):
    """Waits for something that another process does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        got = check()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen")


def back_of(server):
    """Pid of the crawler that a server has started; None while there is none."""
    pids = []
    for children in pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            pids += [int(p) for p in children.read_text().split()]
    return pids[0] if pids else None


def dozo(*args, cwd, env=None, stdin=None, check=None, binary=DOZO):
    r = subprocess.run([binary, *map(str, args)], cwd=cwd, input=stdin, capture_output=True, env=clean_env(**(env or {})),
                       timeout=PATIENCE * 5)
    out, err = r.stdout.decode(errors="replace"), r.stderr.decode(errors="replace")
    assert "Sanitizer" not in err and "runtime error:" not in err, err
    if check is not None:
        assert r.returncode == check, f"exit {r.returncode}\n{out}\n{err}"
    r.out, r.err = out, err
    return r


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: compares figures of the machine, so nothing else may run beside it")
    # Who is asked to end still ends its servers.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("SIGTERM", 143))


@pytest.fixture
def serve():
    """Starts servers and ends them; each must end well on SIGTERM."""
    running = []

    def start(*a, **kw):
        s = Server(*a, **kw)
        running.append(s)
        return s
    yield start
    for s in running:
        if s.process.poll() is None:
            assert s.stop() == 0


def shared(name):
    """The address of a server that all tests of this run share (tools/servers.py): what a test makes there has a name of its own."""
    uri = os.environ.get(f"DOZO_TEST_{name.upper()}")
    if not uri:
        words = f"no {name}: DOZO_TEST_{name.upper()} is not set; tools/servers.py sets it"
        (pytest.fail if name in os.environ.get("DOZO_REQUIRE", "").split(",") else pytest.skip)(words)
    return uri


def own(kind, *args, **kw):
    """A server of the test's own, to be killed and paused: own(servers.Postgres, tmp_path / "pg"). The test ends it."""
    try:
        return kind(*args, **kw)
    except servers.Missing as e:
        (pytest.fail if kind.name in os.environ.get("DOZO_REQUIRE", "").split(",") else pytest.skip)(str(e))


def tool(name):
    """A program that make test has installed; its absence is a failure, not a skip."""
    path = shutil.which(name)
    assert path, f"{name} is not installed; run tools/deps.sh test"
    return path


__all__ = ["DOZO", "PATIENCE", "ROOT", "Raw", "Server", "back_of", "clean_env", "dozo", "own", "png", "servers", "shared", "sys", "tool", "until"]
