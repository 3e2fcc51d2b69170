"""uploads: files sent and fetched a second, beside imoog's way (imoog_way.py says what that is).

dozo with its files store, dozo with the store in PostgreSQL (packed at level 6 as imoog does it, and with compression_level auto, which leaves pictures
as they are), and imoog's way share the core of the servers with the database, take turns, and the senders have the other core. Each file is another one: a JPEG by its first bytes, then noise, as pictures are to zlib. bench.py runs this as the group "uploads".
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import load
import peers
import servers  # of tools/, to which peers leads
from cases import Ask, Case

HERE = pathlib.Path(__file__).resolve().parent

KEY = "bench-key-of-uploads"
SIZES = {"1 KB": 1000, "100 KB": 100_000}
SENDERS = (1, 8, 64)
ROUNDS, SECONDS = 3, 3
FILES, ROWS, AUTO, WAY = "dozo, files", "dozo, PostgreSQL", "the same, level auto", "imoog's way"

# wrk's language. Every request has a number in it that no other request of this run has.
SCRIPT = """
local noise = {{}}
math.randomseed({seed})
local jpeg = "\\255\\216\\255\\224\\0\\16JFIF\\0"
for i = 1, {size} - 20 - #jpeg do noise[i] = string.char(math.random(0, 255)) end
noise = table.concat(noise) .. "\\r\\n--b0undary--\\r\\n"
local head = '--b0undary\\r\\nContent-Disposition: form-data; name="file"; filename="a.jpg"\\r\\nContent-Type: image/jpeg\\r\\n\\r\\n'
local headers = {{ ["Authorization"] = "{key}", ["Content-Type"] = "multipart/form-data; boundary=b0undary" }}
local n = 0
function request()
    n = n + 1
    return wrk.format("POST", "/upload", headers, head .. jpeg .. string.format("%08d%012d", {seed}, n) .. noise)
end
"""


class Server(peers.Server):
    """With a database beside it, whose CPU time is part of its own."""

    def __init__(self, name, folder, cpu, cmd, port, database=None, env=None):
        super().__init__(name, folder, cpu, cmd, port, env=env)
        self.database = database

    def cpu_s(self):
        return super().cpu_s() + (peers.Server.cpu_s(self.database) if self.database else 0)


def start_dozo(name, dozo, folder, cpu, store="", database=None):
    folder.mkdir()
    port = peers.free_port()
    (folder / "dozo.yaml").write_text(f"listen: ['127.0.0.1:{port}']\ndata_dir: {folder}/data\nhttp: {{ threads: 1 }}\nlog: {{ level: warn }}\n"
                                      f"uploads: {{ secret_key: {KEY} }}\n{store}")
    return Server(name, folder, cpu, [dozo, "serve", "--config", "dozo.yaml"], port, database).wait()


def start_way(folder, cpu, database):
    folder.mkdir()
    port = peers.free_port()
    env = {"BENCH_POSTGRES": database.uri, "BENCH_KEY": KEY, "PYTHONDONTWRITEBYTECODE": "1"}
    cmd = [sys.executable, "-m", "uvicorn", "--app-dir", HERE, "--host", "127.0.0.1", "--port", str(port), "--workers", "3", "--log-level", "warning",
           "--no-access-log", "imoog_way:app"]
    return Server(WAY, folder, cpu, cmd, port, database, env).wait()


def start_database(folder, cpu):
    try:
        database = servers.Postgres(folder)
    except (servers.Missing, servers.Broken) as e:
        raise peers.Unmeasured(f"PostgreSQL: {e}") from e
    for pid in database.pids():
        os.sched_setaffinity(pid, {cpu})
    return database


def send_one(server, size, folder):
    """The name of one file that is there and comes back as it was sent."""
    (folder / "one").write_bytes(os.urandom(size))
    url = f"http://127.0.0.1:{server.ports['http']}"
    r = subprocess.run(["curl", "-sS", "-H", f"Authorization: {KEY}", "-F", f"file=@{folder}/one;type=image/jpeg", url + "/upload"],
                       capture_output=True, text=True)
    if '"file_id"' not in r.stdout:
        raise peers.Unmeasured(f"{server.name} does not take a file: {r.stdout}{r.stderr}")
    path = f"/image/{json.loads(r.stdout)['file_id']}.jpg"
    if server.fetch(Ask(path))[1] != (folder / "one").read_bytes():
        raise peers.Unmeasured(f"{server.name} gives another file back")
    return path


def settle(server):
    """Waits for what wrk has left behind: requests whose sender is gone are worked off on the core of the next one's turn."""
    for _ in range(100):
        before = server.cpu_s()
        time.sleep(0.2)
        if server.cpu_s() - before < 0.02:
            return


def in_turns(all_servers, sample):
    samples = {s.name: [] for s in all_servers}
    for i in range(ROUNDS):
        for s in all_servers[i % len(all_servers):] + all_servers[:i % len(all_servers)]:
            samples[s.name].append(sample(s, i))
            settle(s)
    return samples


def sending(size, senders, cpu, folder, seeds):
    def sample(s, _round):
        script = folder / "upload.lua"
        script.write_text(SCRIPT.format(seed=next(seeds), size=size, key=KEY))
        ask = Ask("/upload", method="POST")
        return load.wrk(s, Case("upload", ask, ask, (), connections=senders), SECONDS, cpu, folder, script)
    return sample


def fetching(paths, cpu, folder):
    def sample(s, _round):
        ask = Ask(paths[s.name])
        return load.wrk(s, Case("fetch", ask, ask, (), connections=64), SECONDS, cpu, folder)
    return sample


def line(name, samples, report):
    """A figure a server, and how many times imoog's way that is, by the rounds' ratios."""
    found = report[name] = {n: {what: statistics.median(getattr(s, what) for s in got) for what in ("per_s", "cpu_us", "p99_us")}
                            for n, got in samples.items()}
    cells = [name]
    for n in samples:
        found[n]["ratio"] = statistics.median(mine.per_s / way.per_s for mine, way in zip(samples[n], samples[WAY]))
        words = f"{found[n]['per_s']:,.0f}" + ("" if n == WAY else f": **{found[n]['ratio']:.1f} ×**")
        cells.append(f"{words}; {found[n]['cpu_us']:,.0f} µs")
    print(f"bench: {cells}", file=sys.stderr, flush=True)
    return cells


def measure(dozo, folder, cpus, table, machine, report):
    """The group's text."""
    place = folder / "uploads"
    place.mkdir()
    place.chmod(0o755)
    seeds = iter(range(1, 10_000))
    running = [start_database(place / "database", cpus[0])]
    try:
        database = running[0]
        rows = f'store: {{{{ driver: postgres, uri: "{database.uri}", table: {{}}, compression_level: {{}} }}}}\n'
        running.append(start_dozo(FILES, dozo, place / "files", cpus[0]))
        running.append(start_dozo(ROWS, dozo, place / "rows", cpus[0], rows.format("rows", 6), database))
        running.append(start_dozo(AUTO, dozo, place / "auto", cpus[0], rows.format("auto", "auto"), database))
        running.append(start_way(place / "way", cpus[0], database))
        asked = running[1:]
        lines = []
        for words, size in SIZES.items():
            for senders in SENDERS:
                samples = in_turns(asked, sending(size, senders, cpus[-1], place, seeds))
                lines.append(line(f"{words} sent, {senders} at a time", samples, report))
        for words, size in SIZES.items():
            paths = {s.name: send_one(s, size, place) for s in asked}
            lines.append(line(f"{words} fetched, 64 at a time", in_turns(asked, fetching(paths, cpus[-1], place)), report))
    finally:
        for s in reversed(running):
            s.stop()
    return "\n".join((
        "### Uploads\n",
        "A second, how many times imoog's way that is, and CPU time of each (its database included). Servers and PostgreSQL share one core, the "
        "senders have the other; each file is another one, a JPEG by its first bytes and noise to zlib. *Imoog's way* is not imoog but `bench/imoog_way.py`: what imoog does to a file, in the same "
        f"order, on the same packages, with three workers. {machine}; median of {ROUNDS} × {SECONDS} s.\n",
        table(["", *(s.name for s in asked)], lines)))
