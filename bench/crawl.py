"""crawl: the back fetching a comic from a site on this machine, beside curl fetching the same files; and pictures put in order.

The site is nginx with one worker on the core of the load; it serves page files of 150 KiB, each with other bytes, and the lists that a small
source in Lua asks for. The back, or curl, has the other core. The data folder lies where temporary files lie (TMPDIR); its file system is
told, as waiting for the disk is most of what a crawl does when nobody asks it to be slow. bench.py runs this as the group "crawl".
"""
import dataclasses
import json
import os
import pathlib
import random
import re
import sqlite3
import statistics
import struct
import subprocess
import time

import peers
from peers import Unmeasured

ROOT = pathlib.Path(__file__).resolve().parents[1]
PICTURE = ROOT / "tests/sites/pages/ordered-1.jpg"
PAGE_BYTES = 150 * 1024
PAGES = 1000
CHAPTER = 20                        # pages of each chapter of the long series
SIZES = (20, 100, 400)              # chapters of the comparison
DELAYED, DELAY_MS = 20, 50
ROUNDS = 3
PATIENCE_S = 120
GOAL_PER_S, GOAL_CPU_MS, GOAL_RETILE = 500, 1.0, 1.2
DONE, DEAD = 2, 3                   # job.state

SOURCE = """return dozo.source {
  id = "bench", name = "Bench", version = "1.0.0", api = 1, langs = { "en" }, match = { "bench.example/" }, hosts = {},
  options = { base_url = { type = "string", default = "https://bench.example" } },
  series = function(id) return { title = id } end,
  chapters = function(id) return http.get(opt.base_url .. "/" .. id .. ".json"):json() end,
  pages = function(id)
    local list = http.get(opt.base_url .. "/" .. id .. ".pages.json"):json()
    for i, name in ipairs(list) do list[i] = opt.base_url .. "/" .. name end
    return list
  end,
}
"""


@dataclasses.dataclass(frozen=True)
class Run:
    wall_s: float
    cpu_s: float
    site_s: float = 0.0


def make_page(picture, rnd):
    """A whole JPEG of PAGE_BYTES that no other page equals: comments of noise before the picture."""
    out, left = [picture[:2]], PAGE_BYTES - len(picture)
    while left > 0:
        n = left if left <= 0xFFFF else min(0xFFFF, left - 4)
        out.append(b"\xff\xfe" + struct.pack(">H", n - 2) + rnd.randbytes(n - 4))
        left -= n
    return b"".join(out) + picture[2:]


def make_site(top):
    rnd, picture = random.Random(2), PICTURE.read_bytes()
    top.mkdir()
    names = [f"p{i:04}.jpg" for i in range(PAGES)]
    for name in names:
        (top / name).write_bytes(make_page(picture, rnd))

    def series(key, chapters):
        (top / f"{key}.json").write_text(json.dumps([{"id": f"{key}-{i}", "chapter": i} for i in range(1, len(chapters) + 1)]))
        for i, pages in enumerate(chapters, 1):
            (top / f"{key}-{i}.pages.json").write_text(json.dumps(pages))

    series("long", [names[at:at + CHAPTER] for at in range(0, PAGES, CHAPTER)])
    series("first", [["first.jpg"]])
    (top / "first.jpg").write_bytes(make_page(picture, rnd))
    for n in SIZES:
        series(f"one{n}", [names[:n]])


def start_site(folder, cpu):
    port = peers.free_port()
    (folder / "nginx.conf").write_text(f"""
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
{'user root;' if peers.IS_ROOT else ''}
events {{ worker_connections 1000; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; types {{ image/jpeg jpg; application/json json; }}
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/site; }}
}}""")
    return peers.Server("nginx", folder, cpu, ["nginx", "-c", folder / "nginx.conf"], port).wait()


# ---- runs ------------------------------------------------------------------------------------------------------------------------------

class Bench:
    def __init__(self, dozo, folder, cpu, site):
        self.dozo, self.folder, self.cpu, self.site, self.runs = os.path.abspath(dozo), folder, cpu, site, 0
        self.base = f"http://127.0.0.1:{site.ports['http']}"
        (folder / "sources/bench").mkdir(parents=True)
        (folder / "sources/bench/source.lua").write_text(SOURCE)

    def settle(self):
        """What others have not yet written to the disk is not part of the next run."""
        os.sync()

    def place(self):
        """A new folder; none is removed before the end, for ext4 takes long to find an inode where many were freed seconds ago."""
        self.runs += 1
        place = self.folder / f"run{self.runs}"
        place.mkdir()
        return place

    def settings(self, at_once, delay_ms):
        self.data = self.place()
        (self.folder / "dozo.yaml").write_text(f"""
data_dir: {self.data}
log: {{ level: warn }}
sources:
  dir: [{self.folder}/sources]
  bench: {{ base_url: "{self.base}", concurrency: {at_once}, page_delay: {delay_ms}ms }}
""")

    def timed(self, cmd, cwd=None):
        """Wall and CPU time of a program and its children."""
        before, begun = self.site.cpu_s(), time.monotonic()
        log = open(self.folder / "log", "w")
        p = subprocess.Popen(["taskset", "-c", str(self.cpu), *map(str, cmd)], cwd=cwd or self.folder, stdout=log, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        log.close()
        if p.returncode != 0:
            raise Unmeasured(f"{' '.join(map(str, cmd))}: {(self.folder / 'log').read_text()[-2000:]}")
        return Run(time.monotonic() - begun, used.ru_utime + used.ru_stime, self.site.cpu_s() - before)

    def kept(self, series):
        with sqlite3.connect(f"file:{self.data}/dozo.db?mode=ro", uri=True) as db:
            return db.execute("SELECT count(*) FROM page JOIN chapter ON chapter.id = page.chapter_id JOIN series ON series.id = chapter.series_id "
                              "WHERE series.source_id = ?", (series,)).fetchone()[0]

    def crawl(self, series, pages, at_once=16, delay_ms=0, before=()):
        """`dozo crawl` into a folder where another series is already."""
        self.settings(at_once, delay_ms)
        self.timed([self.dozo, "crawl", "bench/first", "--config", "dozo.yaml"])
        self.settle()
        run = self.timed([*before, self.dozo, "crawl", f"bench/{series}", "--config", "dozo.yaml"])
        if self.kept(series) != pages:
            raise Unmeasured(f"dozo kept {self.kept(series)} of {pages} pages of {series}:\n{(self.folder / 'log').read_text()[-2000:]}")
        return run

    def curl(self, pages, at_once=16, delay_ms=0, synced=False):
        out = self.place()
        names = [f"p{i:04}.jpg" for i in range(pages)]
        (self.folder / "curl.conf").write_text("".join(f'url = "{self.base}/{n}"\noutput = "{n}"\n' for n in names))
        how = ["--rate", f"{1000 // delay_ms}/s"] if delay_ms else ["--parallel", "--parallel-immediate", "--parallel-max", at_once]
        cmd = ["curl", "-sS", "--fail", *how, "--config", self.folder / "curl.conf"]
        self.settle()
        run = self.timed(["sh", "-c", '"$@" && sync *.jpg .', "sh", *cmd] if synced else cmd, out)
        got = sum(f.stat().st_size == PAGE_BYTES for f in out.iterdir())
        if got != pages:
            raise Unmeasured(f"curl fetched {got} of {pages} pages")
        return run


def median(runs, what):
    return statistics.median(getattr(r, what) for r in runs)


# ---- tables ----------------------------------------------------------------------------------------------------------------------------

def calls_of(bench, series, pages, at_once):
    """System calls and syncs a page, counted by strace in a run of its own."""
    out = bench.folder / "strace"
    bench.crawl(series, pages, at_once, before=("strace", "-f", "-c", "-o", out))
    counts = {}
    for line in out.read_text().splitlines():
        found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if found and found[2] != "total":
            counts[found[2]] = counts.get(found[2], 0) + int(found[1])
    if not counts:
        raise Unmeasured(f"strace counted nothing:\n{out.read_text()}")
    syncs = sum(counts.get(n, 0) for n in ("fsync", "fdatasync", "syncfs"))
    return sum(counts.values()) / pages, syncs / pages


def goal(value, wanted, above=False):
    good = value >= wanted if above else value <= wanted + 0.005
    return f"{'≥' if above else '≤'} {wanted:g}{'' if good else ' missed'}"


def speed_table(bench, report):
    rows = []
    for at_once in (2, 16):
        runs = [bench.crawl("long", PAGES, at_once) for _ in range(ROUNDS)]
        per_s, cpu_ms = PAGES / median(runs, "wall_s"), median(runs, "cpu_s") / PAGES * 1000
        busy = statistics.median(r.site_s / r.wall_s for r in runs)
        calls, syncs = calls_of(bench, "long", PAGES, at_once)
        report[f"at once {at_once}"] = {"per_s": per_s, "cpu_ms": cpu_ms, "site_busy": busy, "calls": calls, "syncs": syncs}
        rows.append([str(at_once), f"{per_s:.0f} ({goal(per_s, GOAL_PER_S, True)})", f"{cpu_ms:.2f} ({goal(cpu_ms, GOAL_CPU_MS)})", f"{calls:.0f}",
                     f"{syncs:.2f}", f"{busy * 100:.0f} %"])
    return ["requests at once", "pages a second", "CPU ms a page", "system calls a page", "syncs a page", "the site's core was busy"], rows


def curl_table(bench, report):
    rows = []
    for pages, delay_ms in (*((n, 0) for n in SIZES), (DELAYED, DELAY_MS)):
        ways = {"dozo": lambda: bench.crawl(f"one{pages}", pages, 16, delay_ms), "curl": lambda: bench.curl(pages, 16, delay_ms),
                "synced": lambda: bench.curl(pages, 16, delay_ms, True)}
        runs = {name: [] for name in ways}
        for _ in range(1 if delay_ms else ROUNDS):
            for name, way in ways.items():
                runs[name].append(way())
        found = {name: (median(r, "wall_s") * 1000, median(r, "cpu_s") * 1000) for name, r in runs.items()}
        report[f"{pages} pages, {delay_ms} ms"] = found
        title = f"{pages} pages" + (f", {delay_ms} ms before each" if delay_ms else "")
        rows.append([title, *(f"{found[n][0]:.0f}" for n in ways), *(f"{found[n][1]:.0f}" for n in ways)])
    names = ("dozo crawl", "curl", "curl, synced")
    return ["chapter", *(f"{n}: ms" for n in names), *(f"{n}: CPU ms" for n in names)], rows


def retile(dozo, cpu, report):
    """CPU of one picture put in order, and of libjpeg alone (crawl_retile.c)."""
    report["retile"] = found = peers.run_program(dozo, "bench-retile", cpu)
    return (f"Putting the tiles of a JPEG of {found['width']} x {found['height']} in order (10 x 15 tiles, gaps of 10): {found['dozo_us'] / 1000:.2f} ms. "
            f"libjpeg-turbo {found['library']} alone: one decode and one encode of it {found['whole_us'] / 1000:.2f} ms, ratio "
            f"**{found['ratio_whole']:.2f}** ({goal(found['ratio_whole'], GOAL_RETILE)}); one decode and one encode of the smaller picture that comes "
            f"out {found['small_us'] / 1000:.2f} ms, ratio {found['ratio_small']:.2f}. CPU time, median of {found['rounds']} rounds in one process.")


def file_system(folder):
    got = subprocess.run(["findmnt", "-no", "FSTYPE", "-T", folder], capture_output=True, text=True)
    return got.stdout.strip() or "unknown"


def measure(dozo, folder, cpus, table, machine, report):
    """The group's text."""
    place = folder / "crawl"
    place.mkdir()
    make_site(place / "site")
    site = start_site(place, cpus[-1])
    try:
        bench = Bench(dozo, place, cpus[0], site)
        speed = table(*speed_table(bench, report))
        beside = table(*curl_table(bench, report))
    finally:
        site.stop()
    return "\n".join((
        "### Crawl\n",
        f"Pages of 150 KiB from nginx on this machine; data folder on {file_system(place)}. {machine}; median of {ROUNDS}.\n",
        f"`dozo crawl` of {PAGES} pages in chapters of {CHAPTER}, no pace set:\n", speed,
        "One chapter, by `dozo crawl` (checked, hashed, synced to disk and in the catalog) and by `curl --parallel` with 16 at once into files "
        "(with a pause: one after the other by `--rate`); \"synced\" also waits for the disk, as dozo does. The time to start the program is in "
        "all of them:\n", beside, retile(dozo, cpus[0], report)))
