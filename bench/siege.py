"""An hour of mixed abuse, and what it leaves behind in the server's memory.

Starts a release build of dozo with a small library (the demo comic and one page of 64 MiB), lets well-behaved and hostile clients at it, all from
one gentle process, samples /proc every five seconds into a CSV, and at the end says whether memory stayed flat, whether every descriptor and
connection was given back, whether the log is clean, and whether the server ends well. Draws the graph as SVG by itself.

    python3 bench/siege.py --dozo build/dozo --minutes 60 --csv siege.csv --svg docs/siege.svg

SIGINT or SIGTERM ends the siege early, with all checks. Exit status 0: nothing was found.
"""
import argparse
import asyncio
import json
import os
import pathlib
import random
import re
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter

ROOT = pathlib.Path(__file__).resolve().parents[1]
SAMPLE_S = 5
SETTINGS = """listen: ["127.0.0.1:0", "https://127.0.0.1:0"]
tls: { certificates: [cert.pem], keys: [key.pem], http2: false }
cache: { max_bytes: 256KiB }
http: { threads: %d, header_timeout: 5s, body_timeout: 10s, idle_timeout: 30s, max_body: 1MiB, access_log: ./access.log }
"""


# ---- the server ----------------------------------------------------------------------------------------------------------------

def noise_png(size, seed):
    """A PNG of about size * size bytes."""
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    row = random.Random(seed).randbytes(size)
    rows = b"".join(b"\0" + row[i % size:] + row[:i % size] for i in range(size))
    head = size.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


def pack(path, pictures):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as z:
        for i, data in enumerate(pictures):
            z.writestr(f"{i:03}.png", data)


class Server:
    def __init__(self, dozo, folder, threads):
        self.dozo, self.folder = str(pathlib.Path(dozo).resolve()), folder
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("DOZO_")}
        (folder / "dozo.yaml").write_text(SETTINGS % threads)
        pack(folder / "Big/c1.cbz", [noise_png(8190, 1)])
        pack(folder / "Changing/c1.cbz", [noise_png(40 + i, i) for i in range(20)])
        for what in ((ROOT / "demo/kura", "--shelf", "kura"), (folder / "Big",), (folder / "Changing",)):
            subprocess.run([self.dozo, "import", *map(str, what)], cwd=folder, env=self.env, check=True, stdout=subprocess.DEVNULL)
        self.renew()
        self.log = open(folder / "serve.log", "wb")
        self.process = subprocess.Popen([self.dozo, "serve"], cwd=folder, env=self.env, stdout=subprocess.PIPE, stderr=self.log)
        self.pid = self.process.pid
        self.address, self.tls_address = (self.listening() for _ in range(2))
        self.paths = self.find_paths()

    def listening(self):
        host, port = self.process.stdout.readline().decode().strip().rsplit("/", 1)[-1].removeprefix("listening on ").rsplit(":", 1)
        return host, int(port)

    def renew(self):
        """A new certificate in place of the old one."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=a",
                        "-addext", "subjectAltName=DNS:a", "-keyout", "key.pem", "-out", "cert.pem"], cwd=self.folder, check=True, capture_output=True)

    def get(self, path):
        with socket.create_connection(self.address, 60) as c:
            c.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            data = b"".join(iter(lambda: c.recv(1 << 20), b""))
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def links(self, path, pattern):
        return sorted(set(re.findall(pattern, self.get(path)[1].decode())))

    def find_paths(self):
        """{path: length} of everything that a page can be asked for."""
        found = ["/", "/healthz", "/static/style.css", "/shelf/kura/v1/chapters"]
        for series in self.links("/", r'"(/series/[^"]+)"'):
            found.append(series)
            for chapter in self.links(series, r'"(/read/[^"]+)"'):
                found += [chapter, *self.links(chapter, r'"(/page/[^"]+)"')]
        sizes = {p: len(self.get(p)[1]) for p in found}
        return {p: n for p, n in sizes.items() if self.get(p)[0] == 200}

    def change(self, n):
        """Another content for the same chapter."""
        pack(self.folder / "Changing/c1.cbz", [noise_png(40 + i, i + n % 2 * 100) for i in range(20)])
        return [self.dozo, "import", str(self.folder / "Changing")]

    def sample(self):
        pss = dict(re.findall(r"^(\w+): +(\d+) kB", open(f"/proc/{self.pid}/smaps_rollup").read(), re.M))
        stat = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        metrics = self.get("/metrics")[1].decode()
        return {"rss": int(pss["Rss"]), "pss": int(pss["Pss"]), "dirty": int(pss["Private_Dirty"]), "fds": len(os.listdir(f"/proc/{self.pid}/fd")),
                "threads": int(stat[17]), "cpu": (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"),
                "connections": int(re.search(r"^dozo_http_connections (\d+)", metrics, re.M).group(1)) - 1}


# ---- clients -------------------------------------------------------------------------------------------------------------------

class Siege:
    """All clients; each method below `kinds` is one visit of one client."""

    def __init__(self, server):
        self.server, self.random, self.counts, self.wrong = server, random.Random(7), Counter(), []
        self.loop = asyncio.get_running_loop()
        self.paths = {p: n for p, n in server.paths.items() if not p.startswith(("/healthz", "/series", "/read")) and p != "/"}
        self.big = max(self.paths, key=self.paths.get)
        self.small = [p for p in self.paths if p != self.big]

    # What runs: visits a second, or None for visits that follow each other in that many places.
    def kinds(self):
        return [(self.well_behaved, None, 4), (self.slow_head, None, 20), (self.slow_body, None, 20), (self.slow_reader, None, 6),
                (self.reset, 4, 0), (self.reset_in_big, 1, 0), (self.half_close, 4, 0), (self.pipeline, 1, 0), (self.malformed, 15, 0),
                (self.tls, None, 3), (self.tls_cut, 2, 0), (self.ranges, 4, 0), (self.huge_head, 1, 0), (self.churn, 20, 0), (self.whole_big, 0.05, 0), (self.post, 3, 0)]

    def expect(self, right, words):
        if not right:
            self.wrong.append(words)

    async def connect(self, buffer=0, tls=False):
        s = socket.socket()
        s.setblocking(False)
        if buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        try:
            await self.loop.sock_connect(s, self.server.tls_address if tls else self.server.address)
        except BaseException:
            s.close()
            raise
        return s

    def request(self, path, *lines, method="GET"):
        return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode()

    async def answer(self, s, keep=b"", head=False):
        """Status, head, body, rest."""
        while b"\r\n\r\n" not in keep:
            data = await self.loop.sock_recv(s, 1 << 16)
            if not data:
                return 0, keep, b"", b""
            keep += data
        top, keep = keep.split(b"\r\n\r\n", 1)
        status, found = int(top.split()[1]), re.search(rb"(?i)\r\ncontent-length: (\d+)", top)
        need = int(found.group(1)) if found and not head and status not in (204, 304) else 0
        parts, have = [keep], len(keep)
        while have < need:
            data = await self.loop.sock_recv(s, 1 << 18)
            if not data:
                return 0, top, b"".join(parts), b""
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        return status, top, whole[:need], whole[need:]

    async def until_end(self, s):
        data = b""
        try:
            while part := await self.loop.sock_recv(s, 1 << 16):
                data = (data + part)[:4096]
        except ConnectionError:
            pass
        return data

    async def well_behaved(self, s):
        """Forty requests on one connection, every answer looked at."""
        tags = {}
        for _ in range(40):
            path, r = self.random.choice(self.small), self.random.random()
            lines, method, want = [], "GET", 200
            if r < 0.2 and path in tags:
                lines, want = [f"If-None-Match: {tags[path]}"], 304
            elif r < 0.3:
                method = "HEAD"
            elif r < 0.4:
                lines = ["Accept-Encoding: gzip, br"]
            await self.loop.sock_sendall(s, self.request(path, *lines, method=method))
            status, head, body, _ = await self.answer(s, head=method == "HEAD")
            tag = re.search(rb"\r\nETag: (\S+)", head)
            if tag and want == 200 and not lines:
                tags[path] = tag.group(1).decode()
            changed = path.startswith("/page/")  # an import may have come in between
            self.expect(status == want or (changed and status in (200, 404)), f"{method} {path} {lines}: {status}")
            if method == "GET" and status == 200 and not lines and not changed:
                self.expect(len(body) == self.paths[path], f"{path}: {len(body)} bytes")
            await asyncio.sleep(0.1)

    async def tls(self, s):
        """Requests over TLS, now and then a whole big page; s is only a knock at the plain port."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(*self.server.tls_address, ssl=context, limit=1 << 20)
        try:
            for _ in range(self.random.randrange(1, 20)):
                path = self.big if self.random.random() < 0.005 else self.random.choice(self.small)
                writer.write(self.request(path))
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head).group(1))
                await reader.readexactly(length)
                self.expect(head.split()[1] in (b"200", b"404"), f"over TLS {path}: {head[:40]!r}")
                await asyncio.sleep(0.2)
            if self.random.random() < 0.3:  # ends in the middle of an answer
                writer.write(self.request(self.big))
                await reader.read(1000)
                writer.transport.abort()
        finally:
            writer.close()

    async def tls_cut(self, s):
        """Handshakes that are garbage, cut short, or never go on."""
        c = socket.socket()
        c.setblocking(False)
        try:
            await self.loop.sock_connect(c, self.server.tls_address)
            hello = ssl.MemoryBIO()
            try:
                ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="a").do_handshake()
            except ssl.SSLWantReadError:
                pass
            data = bytearray(hello.read())
            for _ in range(self.random.randrange(4)):
                data[self.random.randrange(len(data))] = self.random.randrange(256)
            await self.loop.sock_sendall(c, bytes(data[:self.random.randrange(1, 2 * len(data))]))
            if self.random.random() < 0.5:
                await self.until_end(c)
        except ConnectionError:
            pass
        finally:
            c.close()

    async def slow_head(self, s):
        start = self.random.choice([b"GET /healthz HTTP/1.1\r\nHost: a\r\nA: ", b"", self.request("/healthz") + b"G"])
        await self.loop.sock_sendall(s, start)
        end = asyncio.ensure_future(self.until_end(s))
        while not end.done():
            try:
                await self.loop.sock_sendall(s, b"a")
            except ConnectionError:
                break
            await asyncio.sleep(0.7)
        self.expect(b"408" in await end, "a slow head without 408")

    async def slow_body(self, s):
        chunked = self.random.random() < 0.5
        await self.loop.sock_sendall(s, self.request("/upload-nowhere", "Transfer-Encoding: chunked" if chunked else "Content-Length: 9000", method="PUT"))
        end = asyncio.ensure_future(self.until_end(s))
        while not end.done():
            try:
                await self.loop.sock_sendall(s, b"1\r\nx\r\n" if chunked else b"x")
            except ConnectionError:
                break
            await asyncio.sleep(1)
        await end

    async def slow_reader(self, s):
        await self.loop.sock_sendall(s, self.request(self.big) * 3)
        how = self.random.random()
        for _ in range(20):
            await asyncio.sleep(1)
            if how > 0.5:
                try:
                    if not await self.loop.sock_recv(s, 1):
                        break
                except ConnectionError:
                    break

    def abort(self, s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async def reset(self, s):
        await self.loop.sock_sendall(s, (self.request(self.random.choice(self.small)) * 3)[:self.random.randrange(200)])
        await asyncio.sleep(self.random.random() * 0.05)
        self.abort(s)

    async def reset_in_big(self, s):
        await self.loop.sock_sendall(s, self.request(self.big))
        await self.loop.sock_recv(s, 4096)
        self.abort(s)

    async def half_close(self, s):
        path = self.random.choice(self.small)
        await self.loop.sock_sendall(s, self.request(path) + (b"" if self.random.random() < 0.7 else b"GET /hal"))
        s.shutdown(socket.SHUT_WR)
        status, *_ = await self.answer(s)
        self.expect(status in (200, 404), f"half-closed {path}: {status}")

    async def pipeline(self, s):
        n = 60
        await self.loop.sock_sendall(s, b"".join(self.request(self.random.choice(self.small)) for _ in range(n)))
        rest = b""
        for _ in range(n):
            status, _, _, rest = await self.answer(s, rest)
            self.expect(status in (200, 404), f"pipelined: {status}")

    async def malformed(self, s):
        """A good request, or several, with some bytes changed, gone, doubled or cut."""
        data = bytearray(self.random.choice([
            self.request(self.random.choice(self.small), "Range: bytes=0-9, -5", "Accept-Encoding: gzip;q=0.5, *;q=0"),
            self.request("/a", "Transfer-Encoding: chunked", method="POST") + b"5;a=b\r\nhello\r\n0\r\nT: u\r\n\r\n",
            self.request("/a", "Content-Length: 5", "Expect: 100-continue", method="PUT") + b"hello",
            self.request("/%68ealthz?q=%20", "Connection: keep-alive, x", 'If-None-Match: W/"a", *', "Forwarded: for=\"[::1]:80\";proto=https") * 3,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(40)]))
        for _ in range(self.random.randrange(1, 6)):
            at = self.random.randrange(len(data))
            how = self.random.randrange(4)
            if how == 0:
                data[at] = self.random.randrange(256)
            elif how == 1:
                del data[at:at + self.random.randrange(1, 9)]
            elif how == 2:
                data[at:at] = data[at:at + 20]
            else:
                data[at:at] = self.random.choice([b"\r", b"\n", b"\0", b"\r\n\r\n", b" ", b":", b"%00", b"Content-Length: 4\r\n"])
            if not data:
                break
        await self.loop.sock_sendall(s, bytes(data))
        s.shutdown(socket.SHUT_WR)
        got = await self.until_end(s)
        self.expect(not got or got.startswith(b"HTTP/1.1 "), f"{bytes(data)!r}: {got[:80]!r}")

    async def ranges(self, s):
        line = self.random.choice(["bytes=0-0", "bytes=-70000", "bytes=1-5, 1000-2000, -7", "bytes=99999999999-", "bytes=5-1", "bytes=0-,0-,0-,0-",
                                   "bytes=" + ",".join(f"{i * 1000}-{i * 1000 + 9}" for i in range(200))])
        await self.loop.sock_sendall(s, self.request(self.big if "0-," not in line else self.random.choice(self.small), f"Range: {line}", "Connection: close"))
        if line in ("bytes=5-1",) or len(line) > 200:  # ignored: the whole page would come
            await self.loop.sock_recv(s, 1000)
            self.abort(s)
            return
        status, *_ = await self.answer(s)
        self.expect(status in (200, 206, 416, 404), f"{line}: {status}")

    async def huge_head(self, s):
        data = self.random.choice([b"GET /" + b"a" * 900_000, self.request("/", "A: " + "b" * 900_000), b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 90_000])
        try:
            await self.loop.sock_sendall(s, data)
        except ConnectionError:
            return
        await self.until_end(s)

    async def churn(self, s):
        if self.random.random() < 0.5:
            await self.loop.sock_sendall(s, self.request("/healthz"))

    async def whole_big(self, s):
        await self.loop.sock_sendall(s, self.request(self.big, "Connection: close"))
        status, _, body, _ = await self.answer(s)
        self.expect(status == 200 and len(body) == self.paths[self.big], f"the big page: {status}, {len(body)} bytes")

    async def post(self, s):
        n = self.random.choice([0, 5, 70_000, 1 << 20, (1 << 20) + 1])
        try:
            await self.loop.sock_sendall(s, self.request("/nowhere", f"Content-Length: {n}", method="POST") + b"x" * n)
        except ConnectionError:
            return
        status, *_ = await self.answer(s)
        self.expect(status in (404, 405, 413), f"POST of {n}: {status}")

    async def visit(self, kind):
        small = kind.__name__ in ("slow_reader", "reset_in_big")
        try:
            s = await self.connect(8192 if small else 0)
        except OSError as e:
            self.expect(False, f"connect: {e}")
            return
        try:
            await asyncio.wait_for(kind(s), 120)
        except ConnectionError:
            self.expect(kind.__name__ not in ("well_behaved", "whole_big", "half_close", "pipeline"), f"{kind.__name__}: reset")
        except (TimeoutError, asyncio.TimeoutError):
            self.expect(False, f"{kind.__name__}: no end after 120 s")
        finally:
            s.close()
        self.counts[kind.__name__] += 1

    async def repeat(self, kind, per_second, stop):
        running = set()
        while not stop.is_set():
            task = asyncio.ensure_future(self.visit(kind))
            if per_second:
                running.add(task)
                task.add_done_callback(running.discard)
                await asyncio.sleep(self.random.expovariate(per_second))
            else:
                await task
        if running:
            await asyncio.wait(running)

    async def crowd(self, stop):
        """Idle connections that come and go together, a quarter of them to the TLS port."""
        while not stop.is_set():
            await wait(stop, 20)
            there = []
            for i in range(1000):
                there.append(await self.connect(tls=i % 4 == 0))
                if i % 20 == 0:
                    await asyncio.sleep(0.02)
            await wait(stop, 25)
            for i, s in enumerate(there):
                if i % 3 == 0:
                    self.abort(s)
                s.close()
                if i % 50 == 0:
                    await asyncio.sleep(0.01)
            self.counts["crowd of 1000"] += 1

    async def operator(self, stop):
        """A new certificate and SIGHUP every minute, an import that changes a chapter every second minute."""
        n = 0
        while not stop.is_set():
            await wait(stop, 60)
            await asyncio.to_thread(self.server.renew)
            os.kill(self.server.pid, signal.SIGHUP)
            self.counts["SIGHUP"] += 1
            n += 1
            if n % 2 == 0 and not stop.is_set():
                p = await asyncio.create_subprocess_exec(*self.server.change(n // 2), cwd=self.server.folder, env=self.server.env,
                                                         stdout=subprocess.DEVNULL)
                self.expect(await p.wait() == 0, "an import failed")
                self.counts["import"] += 1


async def wait(stop, seconds):
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except (TimeoutError, asyncio.TimeoutError):
        pass


# ---- the whole ------------------------------------------------------------------------------------------------------------------

async def besiege(server, minutes, csv):
    siege, stop, rows = Siege(server), asyncio.Event(), []
    for sig in (signal.SIGINT, signal.SIGTERM):
        siege.loop.add_signal_handler(sig, stop.set)
    begin = time.monotonic()
    siege.loop.call_later(minutes * 60, stop.set)
    tasks = [asyncio.ensure_future(siege.repeat(k, rate, stop)) for k, rate, places in siege.kinds() for _ in range(places or 1)]
    tasks += [asyncio.ensure_future(siege.crowd(stop)), asyncio.ensure_future(siege.operator(stop))]
    with open(csv, "w") as out:
        print("seconds,rss_kib,pss_kib,private_dirty_kib,fds,threads,connections,cpu_s", file=out)
        while not stop.is_set():
            await wait(stop, SAMPLE_S)
            row = {"t": time.monotonic() - begin, **await asyncio.to_thread(server.sample)}
            rows.append(row)
            print(f"{row['t']:.1f},{row['rss']},{row['pss']},{row['dirty']},{row['fds']},{row['threads']},{row['connections']},{row['cpu']:.2f}",
                  file=out, flush=True)
    done = await asyncio.gather(*tasks, return_exceptions=True)
    siege.wrong += [repr(e) for e in done if isinstance(e, BaseException)]
    return siege, rows


def theil_sen(rows, key):
    """Slope a second and the median distance from the line: neither cares for a few outliers."""
    step = max(1, len(rows) // 400)
    points = [(r["t"], r[key]) for r in rows[::step]]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1:]]
    if not slopes:
        return 0.0, 0.0
    slope = statistics.median(slopes)
    rest = statistics.median(y - slope * x for x, y in points)
    return slope, statistics.median(abs(y - slope * x - rest) for x, y in points)


def draw(rows, path):
    """Memory above, connections and descriptors below, on one axis of time."""
    wide, high, left, top, gap = 900, 200, 70, 30, 50
    span = rows[-1]["t"] or 1
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide + left + 110} {2 * high + gap + top + 50}" font-family="sans-serif" font-size="13">',
           '<rect width="100%" height="100%" fill="white"/>']

    def panel(y, title, lines, unit):
        most = max(max(r[key] * scale for r in rows) for key, scale, _, _ in lines) * 1.1 or 1
        out.append(f'<text x="{left}" y="{y - 8}" font-weight="bold">{title}</text>')
        for i in range(5):
            at = y + high - high * i / 4
            out.append(f'<path d="M{left} {at:.0f}h{wide}" stroke="#ddd"/>'
                       f'<text x="{left - 6}" y="{at + 4:.0f}" text-anchor="end">{most * i / 4:.3g}{unit}</text>')
        for n, (key, scale, colour, name) in enumerate(lines):
            points = " ".join(f"{left + wide * r['t'] / span:.1f},{y + high - high * r[key] * scale / most:.1f}" for r in rows)
            out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>'
                       f'<text x="{left + wide + 8}" y="{y + 16 + 18 * n}" fill="{colour}">{name}</text>')
    panel(top, "Memory of the front", [("rss", 1 / 1024, "#0b62a4", "resident"), ("dirty", 1 / 1024, "#c0392b", "private dirty")], " MiB")
    panel(top + high + gap, "Connections and descriptors", [("connections", 1, "#27ae60", "connections"), ("fds", 1, "#8e44ad", "descriptors")], "")
    for i in range(7):
        out.append(f'<text x="{left + wide * i / 6:.0f}" y="{top + 2 * high + gap + 20}" text-anchor="middle">{span * i / 360:.1f} min</text>')
    pathlib.Path(path).write_text("\n".join([*out, "</svg>"]) + "\n")


def rest(server, base_fds):
    """What is left when every client has gone."""
    deadline = time.monotonic() + 60
    while True:
        now = server.sample()
        if (now["connections"] == 0 and now["fds"] <= base_fds) or time.monotonic() > deadline:
            return now
        time.sleep(0.5)


def verdicts(server, siege, rows, base, last):
    """[(passed, words)]"""
    steady = rows[len(rows) // 4:]
    slope, noise = theil_sen(steady, "rss")
    grown, allowed = slope * (steady[-1]["t"] - steady[0]["t"]), max(1024.0, 4 * noise)
    status = server.get("/healthz")[0]
    server.process.terminate()
    code = server.process.wait(60)
    errors = [line for line in (server.folder / "serve.log").read_text(errors="replace").splitlines()
              if re.search(r"level=(error|fatal)|ERROR|panic|assert|Sanitizer", line)]
    cpu = (rows[-1]["cpu"] - rows[0]["cpu"]) / max(1, rows[-1]["t"] - rows[0]["t"])
    return [
        (grown <= allowed, f"resident memory over the last three quarters: {slope * 3600:+.0f} KiB an hour, {grown:+.0f} KiB in all "
                           f"(median distance from the line {noise:.0f} KiB, allowed {allowed:.0f} KiB)"),
        (last["connections"] == 0, f"connections when all had gone: {last['connections']}"),
        (last["fds"] <= base["fds"], f"descriptors: {base['fds']} after a look at everything, {max(r['fds'] for r in rows)} at most, {last['fds']} at the end"),
        (status == 200, f"a healthy request afterwards: {status}"),
        (not errors, f"error lines in the log: {len(errors)} {errors[:3] or ''}"),
        (code == 0, f"exit status on SIGTERM: {code}"),
        (not siege.wrong, f"answers that were not what they must be: {len(siege.wrong)} {siege.wrong[:5] or ''}"),
        (True, f"resident memory: {base['rss']} KiB before, {rows[len(rows) // 4]['rss']} after a quarter, {rows[-1]['rss']} at the end, "
               f"{last['rss']} when all had gone; private dirty {base['dirty']} before, {last['dirty']} then; CPU of the front {100 * cpu:.1f} % of a core"),
        (True, "visits: " + ", ".join(f"{k} {v}" for k, v in sorted(siege.counts.items()))),
    ]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dozo", default=str(ROOT / "build/dozo"))
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--csv", default="siege.csv")
    p.add_argument("--svg", help="where the graph goes")
    p.add_argument("--json", action="store_true")
    a = p.parse_args()
    os.nice(10)
    with tempfile.TemporaryDirectory(prefix="dozo-siege-") as folder:
        server = Server(a.dozo, pathlib.Path(folder), a.threads)
        try:
            base = server.sample()
            siege, rows = asyncio.run(besiege(server, a.minutes, a.csv))
            last = rest(server, base["fds"])
            found = verdicts(server, siege, rows, base, last)
        finally:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()
    if a.svg:
        draw(rows, a.svg)
    if a.json:
        print(json.dumps([{"passed": ok, "words": words} for ok, words in found]))
    else:
        print(f"{rows[-1]['t'] / 60:.1f} minutes, {len(rows)} samples")
        for ok, words in found:
            print("ok  " if ok else "FAIL", words)
    return 0 if all(ok for ok, _ in found) else 1


if __name__ == "__main__":
    sys.exit(main())
