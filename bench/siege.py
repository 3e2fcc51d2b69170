"""An hour of mixed abuse over HTTP/1.1, TLS and HTTP/2, and what it leaves behind in the server's memory.

Starts a release build of dozo with a small library (the demo comic and one page of 64 MiB), lets well-behaved and hostile clients at it
(siege_http1.py, siege_http2.py), all from one gentle process, samples /proc every five seconds into a CSV, and at the end says whether memory
stayed flat, whether every descriptor and connection was given back, whether the log is clean, and whether the server ends well.

    python3 bench/siege.py --dozo build/dozo --minutes 60 --csv siege.csv --svg docs/siege.svg --summary siege.md

The graph and the summary (Markdown, the table of docs/siege.md) are made anew every minute, so that a run that is cut off leaves both. SIGINT or
SIGTERM ends the siege early, with all checks. --only post,tls_cut lets just these visits at the server, --scale 5 five times as often. What clients
and server use together is kept below --cpu of one core: visits come more slowly when it is more. Exit status 0: nothing was found.
"""
import argparse
import asyncio
import datetime
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter

import siege_graph
from siege_http1 import Http1
from siege_http2 import Http2
from siege_known import Known

ROOT = pathlib.Path(__file__).resolve().parents[1]
SAMPLE_S = 5
MARKS = "<!-- siege -->", "<!-- end of siege -->"
SETTINGS = """listen: ["127.0.0.1:0", "https://127.0.0.1:0"]
tls: { certificates: [cert.pem], keys: [key.pem], http2: true }
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
        self.dozo, self.folder = str(shutil.copy(dozo, folder / "dozo")), folder  # builds may go on
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("DOZO_")}
        (folder / "dozo.yaml").write_text(SETTINGS % threads)
        self.versions = [[noise_png(40 + i, i + v * 100) for i in range(20)] for v in range(2)]  # of the chapter that changes
        pack(folder / "Big/c1.cbz", [noise_png(8190, 1)])
        pack(folder / "Changing/c1.cbz", self.versions[0])
        for what in ((ROOT / "demo/kura", "--shelf", "kura"), (folder / "Big",), (folder / "Changing",)):
            subprocess.run([self.dozo, "import", *map(str, what)], cwd=folder, env=self.env, check=True, stdout=subprocess.DEVNULL)
        self.renew()
        self.log = open(folder / "serve.log", "wb")
        self.process = subprocess.Popen([self.dozo, "serve"], cwd=folder, env=self.env, stdout=subprocess.PIPE, stderr=self.log)
        self.pid = self.process.pid
        self.address, self.tls_address = (self.listening() for _ in range(2))
        self.known = Known(self.find_bodies(), sum(self.versions, []))

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

    def find_bodies(self):
        """{path: bytes} of everything whose bytes stay what they are, and of the pages of the chapter that changes."""
        paths = ["/static/style.css", "/shelf/kura/v1/chapters"]
        for series in self.links("/", r'"(/series/[^"]+)"'):
            for chapter in self.links(series, r'"(/read/[^"]+)"'):
                self.get(chapter)
                paths += self.links(chapter, r'"(/page/[^"]+)"')
        found = {p: self.get(p) for p in paths}
        return {p: body for p, (status, body) in found.items() if status == 200}

    def change(self, n):
        """Another content for the same chapter."""
        pack(self.folder / "Changing/c1.cbz", self.versions[n % 2])
        return [self.dozo, "import", str(self.folder / "Changing")]

    def cpu_s(self):
        """Of the front and what it has started."""
        ticks = 0
        for pid in (self.pid, *pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()):
            try:
                stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            ticks += int(stat[11]) + int(stat[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def sample(self):
        pss = dict(re.findall(r"^(\w+): +(\d+) kB", pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text(), re.M))
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        metrics = self.get("/metrics")[1].decode()
        return {"rss": int(pss["Rss"]), "pss": int(pss["Pss"]), "dirty": int(pss["Private_Dirty"]), "fds": len(os.listdir(f"/proc/{self.pid}/fd")),
                "threads": int(stat[17]), "cpu": (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"), "all_cpu": self.cpu_s() + own_cpu_s(),
                "connections": int(re.search(r"^dozo_http_connections (\d+)", metrics, re.M).group(1)) - 1}


def own_cpu_s():
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


# ---- clients -------------------------------------------------------------------------------------------------------------------

class Siege:
    """All clients. `pace` stretches the time between visits, so that the machine keeps room for other work."""

    def __init__(self, server, options):
        self.server, self.options, self.random, self.counts, self.wrong, self.pace = server, options, random.Random(7), Counter(), [], 1.0
        self.http1 = Http1(server.address, server.tls_address, server.known, self.random, self.wrong)
        self.http2 = Http2(server.tls_address, server.known, self.random, self.wrong)

    def begin(self, stop):
        only, tasks = set(filter(None, self.options.only.split(","))), []
        kinds = [(v, *k) for v in (self.http1, self.http2) for k in v.kinds() if not only or k[0].__name__ in only]
        for visitors, kind, rate, places in kinds:
            tasks += [self.repeat(visitors, kind, rate and rate * self.options.scale, stop) for _ in range(places or 1)]
        tasks += [each(stop) for each in (self.crowd, self.operator) if not only or each.__name__ in only]
        if not tasks or only - {k[1].__name__ for k in kinds} - {"crowd", "operator"}:
            raise SystemExit(f"siege: there is no such visit: {self.options.only}")
        return [asyncio.ensure_future(t) for t in tasks]

    async def one(self, visitors, kind):
        await visitors.visit(kind)
        self.counts[kind.__name__] += 1

    async def repeat(self, visitors, kind, per_second, stop):
        running = set()
        while not stop.is_set():
            if per_second:
                task = asyncio.ensure_future(self.one(visitors, kind))
                running.add(task)
                task.add_done_callback(running.discard)
                await asyncio.sleep(self.random.expovariate(per_second) * self.pace)
            else:
                begin = time.monotonic()
                await self.one(visitors, kind)
                await asyncio.sleep(max(0.1, (self.pace - 1) * (time.monotonic() - begin)))
        if running:
            await asyncio.wait(running)

    def keep_pace(self, rows):
        """Half a minute's share of a core against what is allowed."""
        if len(rows) > 6:
            a, b = rows[-7], rows[-1]
            used = (b["all_cpu"] - a["all_cpu"]) / (b["t"] - a["t"])
            self.pace = min(20.0, max(1.0, self.pace * (1.1 if used > self.options.cpu else 0.95)))

    async def crowd(self, stop):
        """Idle connections that come and go together, a quarter of them to the TLS port."""
        while not stop.is_set():
            await wait(stop, 20)
            there = []
            for i in range(1000):
                there.append(await self.http1.connect(tls=i % 4 == 0))
                if i % 20 == 0:
                    await asyncio.sleep(0.02)
            await wait(stop, 25)
            for i, s in enumerate(there):
                if i % 3 == 0:
                    self.http1.abort(s)
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
                if await p.wait() != 0:
                    self.wrong.append("an import failed")
                self.counts["import"] += 1


async def wait(stop, seconds):
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except (TimeoutError, asyncio.TimeoutError):
        pass


# ---- the whole ------------------------------------------------------------------------------------------------------------------

async def besiege(server, options, base, rows):
    siege, stop = Siege(server, options), asyncio.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)
    begin = time.monotonic()
    asyncio.get_running_loop().call_later(options.minutes * 60, stop.set)
    tasks = siege.begin(stop)
    with open(options.csv, "w") as out:
        print("seconds,rss_kib,pss_kib,private_dirty_kib,fds,threads,connections,cpu_s,all_cpu_s,pace", file=out)
        while not stop.is_set():
            await wait(stop, SAMPLE_S)
            try:
                row = {"t": time.monotonic() - begin, **await asyncio.to_thread(server.sample)}
            except (OSError, AttributeError, IndexError) as e:
                siege.wrong.append(f"a sample failed: {e!r}")
                if server.process.poll() is not None:
                    stop.set()
                continue
            rows.append(row)
            print(f"{row['t']:.1f},{row['rss']},{row['pss']},{row['dirty']},{row['fds']},{row['threads']},{row['connections']},{row['cpu']:.2f},"
                  f"{row['all_cpu']:.2f},{siege.pace:.2f}", file=out, flush=True)
            siege.keep_pace(rows)
            if len(rows) % (60 // SAMPLE_S) == 0:
                await asyncio.to_thread(tell, options, siege, rows, base, [(True, "not at the end yet")])
    done = await asyncio.gather(*tasks, return_exceptions=True)
    siege.wrong += [repr(e) for e in done if isinstance(e, BaseException)]
    return siege


def rest(server, base_fds):
    """What is left when every client has gone."""
    deadline = time.monotonic() + 60
    while True:
        now = server.sample()
        if (now["connections"] == 0 and now["fds"] <= base_fds) or time.monotonic() > deadline:
            return now
        time.sleep(0.5)


def share(rows, key):
    """Of one core, in percent."""
    return 100 * (rows[-1][key] - rows[0][key]) / max(1, rows[-1]["t"] - rows[0]["t"])


def verdicts(server, siege, rows, base, last):
    """[(passed, words)]"""
    half = rows[len(rows) // 2:]
    slope, _, noise = siege_graph.theil_sen(half, "rss")
    grown, allowed = slope * (half[-1]["t"] - half[0]["t"]), max(1024.0, 4 * noise)
    status = server.get("/healthz")[0]
    server.process.terminate()
    code = server.process.wait(60)
    errors = [line for line in (server.folder / "serve.log").read_text(errors="replace").splitlines()
              if re.search(r"level=(error|fatal)|ERROR|panic|assert|Sanitizer", line)]
    return [
        (grown <= allowed, f"growth in the second half {grown:+.0f} KiB (median distance from the line {noise:.0f} KiB, allowed {allowed:.0f} KiB)"),
        (last["connections"] == 0, f"connections when all had gone: {last['connections']}"),
        (last["fds"] <= base["fds"], f"descriptors when all had gone: {last['fds']}, {base['fds']} before"),
        (status == 200, f"a healthy request afterwards: {status}"),
        (not errors, f"error lines in the log: {len(errors)} {errors[:3] or ''}"),
        (code == 0, f"exit status on SIGTERM: {code}"),
        (not siege.wrong, f"answers that were not what they must be: {len(siege.wrong)} {siege.wrong[:5] or ''}"),
        (True, f"resident when all had gone {last['rss']} KiB, private dirty {last['dirty']} KiB"),
    ]


def summary(options, siege, rows, base, found):
    """The table of docs/siege.md."""
    slope, _, _ = siege_graph.theil_sen(rows[len(rows) // 2:], "rss")
    known = {k[0].__name__ for k in siege.http2.kinds()}
    lines = [
        ("commit, day", f"{options.commit or 'none'}, {datetime.date.today()}"),
        ("length", f"{rows[-1]['t'] / 60:.1f} minutes, {len(rows)} samples"),
        ("resident memory of the front: before, after a quarter, a half, three quarters, at the end",
         ", ".join(f"{kib:,}" for kib in (base["rss"], *(rows[len(rows) * i // 4]["rss"] for i in (1, 2, 3)), rows[-1]["rss"])) + " KiB"),
        ("private dirty: before, at the end", f"{base['dirty']:,}, {rows[-1]['dirty']:,} KiB"),
        ("slope over the second half (median of slopes)", f"{slope * 3600:+,.0f} KiB an hour"),
        ("descriptors: before, most", f"{base['fds']}, {max(r['fds'] for r in rows):,}"),
        ("connections, most", f"{max(r['connections'] for r in rows):,}"),
        ("CPU of the front; of server and clients together", f"{share(rows, 'cpu'):.1f} %; {share(rows, 'all_cpu'):.1f} % of a core"),
        *(("passed" if ok else "**FAILED**", words) for ok, words in found),
        ("visits", f"{sum(siege.counts.values()):,}, of these over HTTP/2 {sum(n for k, n in siege.counts.items() if k in known):,}: " +
         ", ".join(f"{k} {v:,}" for k, v in sorted(siege.counts.items()))),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {a} | {b.replace('|', '/')} |" for a, b in lines)]) + "\n"


def tell(options, siege, rows, base, found):
    if options.svg:
        siege_graph.draw(rows, options.svg)
    text = summary(options, siege, rows, base, found)
    if options.summary:
        new = pathlib.Path(f"{options.summary}.new")
        new.write_text(text)
        os.replace(new, options.summary)
    return text


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dozo", default=str(ROOT / "build/dozo"))
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--cpu", type=float, default=0.4, help="share of one core that server and clients may use together")
    p.add_argument("--only", default="", help="names of visits, with commas")
    p.add_argument("--scale", type=float, default=1, help="so many times as many of the visits that come by the second")
    p.add_argument("--csv", default="siege.csv")
    p.add_argument("--svg", help="where the graph goes")
    p.add_argument("--summary", help="where the Markdown goes")
    p.add_argument("--write", help="a Markdown file that gets the summary between its marks at the end, and the graph beside it (docs/siege.md)")
    options = p.parse_args()
    if options.write and any(pathlib.Path(options.write).read_text().count(m) != 1 for m in MARKS):
        p.error(f"{options.write} has no marks {' and '.join(MARKS)}")
    return options


def main():
    options, rows = arguments(), []
    options.commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    os.nice(10)
    with tempfile.TemporaryDirectory(prefix="dozo-siege-") as folder:
        server = Server(options.dozo, pathlib.Path(folder), options.threads)
        try:
            base = server.sample()
            siege = asyncio.run(besiege(server, options, base, rows))
            try:
                found = verdicts(server, siege, rows, base, rest(server, base["fds"]))
            except (OSError, AttributeError, IndexError) as e:
                found = [(False, f"the server is no more: {e!r}, exit status {server.process.poll()}; wrong: {siege.wrong[:5]}")]
        finally:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()
    text = tell(options, siege, rows, base, found)
    print(text)
    if options.write:
        path = pathlib.Path(options.write)
        before, rest_of_it = path.read_text().split(MARKS[0])
        path.write_text(f"{before}{MARKS[0]}\n{text.strip()}\n{MARKS[1]}{rest_of_it.split(MARKS[1])[1]}")
        siege_graph.draw(rows, path.with_suffix(".svg"))
    return 0 if all(ok for ok, _ in found) else 1


if __name__ == "__main__":
    sys.exit(main())
