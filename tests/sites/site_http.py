"""A simulated site: an HTTP server on a free port of loopback that counts what it is asked and can behave badly on purpose.

A route is a function (request) -> Answer. What goes wrong is said per path with site.misbehave(): slow, truncated, of a wrong
length, of a wrong type, an error page with status 200, a redirect loop, a storm of 429, a gzip bomb, a socket left half open.
"""
import collections
import functools
import gzip
import hashlib
import re
import socket
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

Request = collections.namedtuple("Request", "method path query headers url")


class Answer:
    def __init__(self, body=b"", status=200, kind="text/html; charset=utf-8", headers=None, etag=True):
        self.body = body.encode() if isinstance(body, str) else body
        self.status, self.kind, self.headers, self.etag = status, kind, dict(headers or {}), etag


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        site = self.server.site
        parts = urlsplit(self.path)
        request = Request(self.command, parts.path, parse_qs(parts.query, keep_blank_values=True), self.headers, self.path)
        site.note(request)
        fault = site.fault_for(request)
        if fault and fault(self, request):
            return
        answer = site.answer(request)
        self.answer(request, answer)

    do_HEAD = do_POST = do_GET

    def answer(self, request, answer):
        headers = dict(answer.headers)
        if answer.etag and answer.status == 200:
            headers["ETag"] = '"' + hashlib.sha256(answer.body).hexdigest()[:16] + '"'
            if request.headers.get("If-None-Match") == headers["ETag"]:
                self.server.site.not_modified += 1
                self.send_response(304)
                self.send_header("ETag", headers["ETag"])
                self.end_headers()
                return
        self.send_response(answer.status)
        headers.setdefault("Content-Type", answer.kind)
        headers.setdefault("Content-Length", str(len(answer.body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if request.method != "HEAD":
            self.wfile.write(answer.body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # clients that go away are part of the play


class Site:
    def __init__(self):
        self.routes, self.faults, self.lock = [], [], threading.Lock()
        self.requests, self.not_modified = [], 0
        self.stopping = threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.site = self
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    # ---- what it serves

    def route(self, pattern, fn):
        """fn(request, *groups) -> Answer for paths that match the whole pattern; the last one added wins."""
        self.routes.insert(0, (re.compile(pattern), fn))

    def answer(self, request):
        for pattern, fn in list(self.routes):
            m = pattern.fullmatch(request.path)
            if m:
                return fn(request, *m.groups())
        return Answer("<h1>Not here</h1>", 404, etag=False)

    def note(self, request):
        with self.lock:
            self.requests.append((time.monotonic(), request))

    def count(self, pattern=".*"):
        with self.lock:
            return sum(1 for _, r in self.requests if re.fullmatch(pattern, r.path))

    def asked(self, pattern=".*"):
        with self.lock:
            return [r for _, r in self.requests if re.fullmatch(pattern, r.path)]

    def forget(self):
        with self.lock:
            self.requests.clear()
            self.not_modified = 0

    # ---- what goes wrong

    def misbehave(self, pattern, fault, times=None):
        """The next `times` requests (None: all) for matching paths meet the fault."""
        with self.lock:
            self.faults.insert(0, [re.compile(pattern), fault, times])

    def behave(self):
        with self.lock:
            self.faults.clear()

    def fault_for(self, request):
        with self.lock:
            for entry in self.faults:
                if entry[0].fullmatch(request.path) and entry[2] != 0:
                    if entry[2] is not None:
                        entry[2] -= 1
                    return entry[1]
        return None


# ---- faults: each gets the handler and the request and answers True when it has dealt with it


def status(code, body="<h1>Sorry</h1>", **headers):
    def fault(h, request):
        h.answer(request, Answer(body, code, headers={k.replace("_", "-"): v for k, v in headers.items()}, etag=False))
        return True
    return fault


def too_many(retry_after):
    return status(429, "slow down", Retry_After=str(retry_after))


def error_page(h, request):
    """What many sites do when something is wrong: 200 and an apology."""
    h.answer(request, Answer("<html><title>Oops</title><p>Something went wrong</p></html>", etag=False))
    return True


def truncated(h, request):
    answer = h.server.site.answer(request)
    h.send_response(200)
    h.send_header("Content-Type", answer.kind)
    h.send_header("Content-Length", str(len(answer.body)))
    h.end_headers()
    h.wfile.write(answer.body[:len(answer.body) // 2])
    h.wfile.flush()
    h.close_connection = True
    h.connection.shutdown(socket.SHUT_RDWR)
    return True


def cut_short(h, request):
    """A whole answer by its Content-Length, with a picture that ends in the middle."""
    answer = h.server.site.answer(request)
    h.answer(request, Answer(answer.body[:len(answer.body) // 2], kind=answer.kind, etag=False))
    return True


def too_long_promised(h, request):
    answer = h.server.site.answer(request)
    h.send_response(200)
    h.send_header("Content-Length", str(len(answer.body) + 1000))
    h.end_headers()
    h.wfile.write(answer.body)
    h.close_connection = True
    return True


def redirect_loop(h, request):
    h.answer(request, Answer("", 302, headers={"Location": request.path}, etag=False))
    return True


def redirect_to(url):
    return status(302, "", Location=url)


@functools.cache
def bomb():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"\0" * (1 << 20)
    return b"".join(packer.compress(block) for _ in range(300)) + packer.flush()


def gzip_bomb(h, request):
    h.answer(request, Answer(bomb(), headers={"Content-Encoding": "gzip"}, etag=False))
    return True


def gzipped(h, request):
    answer = h.server.site.answer(request)
    h.answer(request, Answer(gzip.compress(answer.body), answer.status, answer.kind, {"Content-Encoding": "gzip"}, etag=False))
    return True


def half_open(h, request):
    """Takes the request and never says anything."""
    h.server.site.stopping.wait(300)
    h.close_connection = True
    return True


def trickle(h, request):
    """A head, then a byte now and then, for ever."""
    h.send_response(200)
    h.send_header("Content-Length", "1000000")
    h.end_headers()
    try:
        while not h.server.site.stopping.wait(0.2):
            h.wfile.write(b"x")
            h.wfile.flush()
    except OSError:
        pass
    h.close_connection = True
    return True


class Gate:
    """Who comes waits here until it is opened; then each meets another fault, or is answered as always."""

    def __init__(self, then=lambda h, request: False):
        self.then, self.opened = then, threading.Event()

    def open(self):
        self.opened.set()

    def __call__(self, h, request):
        while not self.opened.wait(0.05) and not h.server.site.stopping.is_set():
            pass
        return self.then(h, request)


def slow(seconds):
    def fault(h, request):
        h.server.site.stopping.wait(seconds)
        return False
    return fault
