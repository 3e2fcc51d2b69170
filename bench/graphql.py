"""graphql: CPU time of GraphQL answers, beside the smallest answer the server has; and others while long ranges are made.

The rows are those of a KVM48 server, taken over by `dozo import kvm48`: 5,000 recordings an hour apart, titles in Chinese. bench.py runs
this as the group "graphql".
"""
import sqlite3
import statistics
import subprocess
import urllib.parse

import load
import peers
from cases import Ask, Case

ROWS, HOUR, START = 5000, 3600, 1556000000
FIELDS = "id title subtitle startTime group l4cUrl bestStream"
GOAL_US = 100
ROUNDS, SECONDS = 3, 2
TABLE = ('CREATE TABLE perfvod (canon_id TEXT NOT NULL PRIMARY KEY, l4c_club_id INTEGER NOT NULL, l4c_id INTEGER NOT NULL, title TEXT NOT NULL, '
         'subtitle TEXT, start_time INTEGER NOT NULL, sd_stream TEXT, hd_stream TEXT, fhd_stream TEXT)')


def make_rows(path):
    url = "http://cychengyuan-vod.48.cn/{}/{}.m3u8"
    with sqlite3.connect(path) as db:
        db.execute(TABLE)
        db.execute("CREATE TABLE migratehistory (id INTEGER PRIMARY KEY, name TEXT NOT NULL, migrated_at DATETIME NOT NULL)")
        db.execute("INSERT INTO migratehistory VALUES (1, '001_initial', '2019-04-29')")
        db.executemany(f"INSERT INTO perfvod VALUES ({', '.join('?' * 9)})", (
            (f"9000000000000{i:05}", i % 5 + 1, i, f"《勇气重生》第{i}场 生日公演", "TEAM NII 剧场", START + i * HOUR, url.format("sd", i),
             url.format("hd", i), url.format("fhd", i)) for i in range(ROWS)))


def start(dozo, folder, cpu):
    port = peers.free_port()
    make_rows(folder / "data.db")
    (folder / "dozo.yaml").write_text(f"listen: ['127.0.0.1:{port}']\ndata_dir: {folder}/data\nhttp: {{ threads: 1 }}\nlog: {{ level: warn }}\n")
    subprocess.run([dozo, "import", "kvm48", "data.db", "--quiet", "--config", "dozo.yaml"], cwd=folder, check=True)
    return peers.Server("dozo", folder, cpu, [dozo, "serve", "--config", "dozo.yaml"], port)


def case(name, path, connections=8):
    return Case(name, Ask(path), Ask(path), (), connections=connections)


def asking(query):
    return "/api/graphql?query=" + urllib.parse.quote(query)


def rows(n):
    return asking(f"{{perfVods(from: {START}, to: {START + n * HOUR}) {{{FIELDS}}}}}")


def median(server, c, cpu, folder):
    samples = [load.wrk(server, c, SECONDS, cpu, folder) for _ in range(ROUNDS)]
    return {what: statistics.median(getattr(s, what) for s in samples) for what in ("cpu_us", "p99_us", "per_s")}


def beside_long_ranges(server, cpu, folder):
    """The same small question, alone and while four clients ask for 3,000 rows all the time."""
    small = case("{revision}", asking("{revision}"), 1)
    alone = median(server, small, cpu, folder)
    url = f"http://127.0.0.1:{server.ports['http']}{rows(3000)}"
    busy = subprocess.Popen(["taskset", "-c", str(cpu), "wrk", "-t1", "-c4", f"-d{ROUNDS * SECONDS + 2}s", url], stdout=subprocess.DEVNULL)
    try:
        return alone, median(server, small, cpu, folder)
    finally:
        busy.kill()
        busy.wait()


def measure(dozo, folder, cpus, table, machine, report):
    """The group's text."""
    place = folder / "graphql"
    place.mkdir()
    server = start(dozo, place, cpus[0])
    try:
        server.wait()
        asked = (case("/healthz", "/healthz"), case("{revision}", asking("{revision}")), case("1 row × 7 fields", rows(1)),
                 case("100 rows × 7 fields", rows(100)), case("3,000 rows × 7 fields", rows(3000)))
        lines = []
        for c in asked:
            found = report[c.name] = median(server, c, cpus[-1], place)
            words = f"{found['cpu_us']:.1f}"
            if c.name.startswith("100 rows"):
                words += f" (≤ {GOAL_US}){'' if found['cpu_us'] <= GOAL_US else ' missed'}"
            lines.append([c.name, words, f"{len(server.fetch(c.dozo)[1]):,}", f"{found['per_s']:,.0f}"])
        alone, busy = beside_long_ranges(server, cpus[-1], place)
        report["refused"] = refused = peers.run_program(dozo, "bench-graphql-refuse", cpus[0])
        report["beside"] = {"alone": alone, "busy": busy}
    finally:
        server.stop()
    return "\n".join((
        "### GraphQL\n", f"{ROWS:,} rows of a collection, 8 connections, one thread. {machine}; median of {ROUNDS} × {SECONDS} s.\n",
        table(["answer", "CPU µs", "bytes", "a second"], lines),
        f"Of {refused['documents']} documents that are made to cost much the worst takes {refused['cpu_us']:.0f} µs of CPU to refuse (≤ 1,000): "
        f"{refused['worst']}, {refused['bytes']:,} bytes.\n",
        f"While four clients ask for 3,000 rows all the time, the p99 of `{{revision}}` on a connection of its own is {busy['p99_us'] / 1000:.2f} ms "
        f"in place of {alone['p99_us'] / 1000:.2f} ms: a range is made 200 rows at a time.\n"))
