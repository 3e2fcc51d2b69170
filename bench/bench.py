#!/usr/bin/env python3
"""bench: dozo beside nginx and h2o, as ratios.

Every figure is CPU time of the server (utime + stime of its processes, from /proc) divided by the requests that the load generator
counted, on one core with one loop, while the load runs on the other. Servers take turns; the median of the rounds is what counts, and
only the ratio inside one run means anything. It is no test: it exits 0 when it could measure and 1 when it could not.
"""
import argparse
import hashlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")
METADATA = ('{"metadata":{"title":"A title of the usual length","page_count":3,"volume":"1","volume_cover":false},'
            '"links":{"viz":"https://www.viz.com/vizmanga/a-series-chapter-1/chapter/1?action=read",'
            '"komizip":"https://read.example/1"}}')
# name, file, goals (ratio to a peer, at most)
CASES = [
    ("1 KiB object", "1-01.jpg", 1024, {"nginx": 0.70, "h2o": 1.00}),
    ("16 KiB object", "1-02.jpg", 16 * 1024, {"nginx": 0.85, "h2o": 1.00}),
    ("150 KiB page", "1-03.jpg", 150 * 1024, {"nginx": 0.95, "h2o": 0.55}),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def children(pid):
    out = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            out += children(int(child))
    return out


def cpu_seconds(pid):
    total = 0
    for p in children(pid):
        try:
            fields = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICK


class Server:
    def __init__(self, name, cmd, port, path, cwd, cpu):
        self.name, self.port, self.path = name, port, path
        self.log = open(cwd / f"{name}.log", "w")
        self.process = subprocess.Popen(["taskset", "-c", str(cpu), *cmd], cwd=cwd, stdout=self.log, stderr=subprocess.STDOUT)

    def url(self, file):
        return self.path + file

    def wait(self):
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise SystemExit(f"bench: {self.name} did not start; see {self.log.name}")

    def get(self, file):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        c.request("GET", self.url(file))
        r = c.getresponse()
        return r.status, r.read(), {k.lower(): v for k, v in r.getheaders()}

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def make_files(folder):
    rnd = random.Random(1)
    cdn = folder / "cdn"
    cdn.mkdir()
    for _, file, size, _ in CASES:
        (cdn / file).write_bytes(b"\xff\xd8\xff\xe0" + rnd.randbytes(size - 6) + b"\xff\xd9")
    one = json.loads(METADATA)
    (folder / "chapters.json").write_text(json.dumps({"1": one}, indent=4))


def start_dozo(binary, folder, cpu):
    port = free_port()
    (folder / "dozo.yaml").write_text(
        f"listen: ['127.0.0.1:{port}']\ndata_dir: {folder}/data\nhttp: {{ threads: 1 }}\nlog: {{ level: warn }}\n")
    subprocess.run([binary, "import", "komizip", "chapters.json", "cdn", "--shelf", "bench", "--quiet", "--config", "dozo.yaml"],
                   cwd=folder, check=True)
    return Server("dozo", [binary, "serve", "--config", "dozo.yaml"], port, "/shelf/bench/cdn/", folder, cpu)


def start_nginx(folder, cpu):
    port = free_port()
    (folder / "nginx.conf").write_text(f"""
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log; user {os.environ.get('USER', 'root')};
events {{ worker_connections 4096; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 75s;
  open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s; types {{ image/jpeg jpg; }}
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/cdn; add_header Cache-Control "public, max-age=86400";
    add_header X-Metadata '{METADATA}'; }}
}}""")
    return Server("nginx", ["nginx", "-c", f"{folder}/nginx.conf"], port, "/", folder, cpu)


def start_h2o(folder, cpu):
    port = free_port()
    quoted = METADATA.replace("'", "''")
    (folder / "h2o.conf").write_text(f"""
num-threads: 1
listen: {{ host: 127.0.0.1, port: {port} }}
{'user: root' if os.geteuid() == 0 else ''}
hosts:
  default:
    paths:
      "/":
        file.dir: {folder}/cdn
        header.add: "Cache-Control: public, max-age=86400"
        header.add: 'X-Metadata: {quoted}'
""")
    return Server("h2o", ["h2o", "-c", f"{folder}/h2o.conf"], port, "/", folder, cpu)


def load(server, file, seconds, connections, cpu):
    before = cpu_seconds(server.process.pid)
    out = subprocess.run(["taskset", "-c", str(cpu), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                          f"http://127.0.0.1:{server.port}{server.url(file)}"], capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(server.process.pid) - before
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    if re.search(r"Non-2xx", out) or requests == 0:
        raise SystemExit(f"bench: {server.name} answered errors:\n{out}")
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    scale = {"us": 1, "ms": 1000, "s": 1e6}[p99.group(2)]
    return used / requests * 1e6, float(p99.group(1)) * scale, requests / seconds


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dozo", default="build/dozo")
    p.add_argument("--seconds", type=int, default=3)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--connections", type=int, default=64)
    p.add_argument("--json", help="also write the figures there")
    a = p.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise SystemExit("bench: two cores are needed, one for the server and one for the load")
    for tool in ("wrk", "nginx", "h2o", "taskset"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            raise SystemExit(f"bench: {tool} is not installed; run tools/deps.sh bench")
    os.environ["PATH"] += ":/usr/sbin:/sbin"

    folder = pathlib.Path(tempfile.mkdtemp(prefix="dozo-bench-"))
    folder.chmod(0o755)
    servers = []
    try:
        make_files(folder)
        servers = [start_dozo(os.path.abspath(a.dozo), folder, cpus[0]), start_nginx(folder, cpus[0]), start_h2o(folder, cpus[0])]
        for s in servers:
            s.wait()
        for _, file, size, _ in CASES:
            answers = [s.get(file) for s in servers]
            digests = {hashlib.sha256(body).hexdigest() for _, body, _ in answers}
            if len(digests) != 1 or any(status != 200 for status, _, _ in answers):
                raise SystemExit(f"bench: the servers do not agree on {file}")
            missing = [s.name for s, (_, _, h) in zip(servers, answers) if not {"etag", "cache-control", "x-metadata"} <= set(h)]
            if missing:
                raise SystemExit(f"bench: {missing} lack headers on {file}")

        result = {}
        print(f"CPU µs per request, {a.connections} keep-alive connections, one core, median of {a.rounds} × {a.seconds} s\n")
        print("| case | " + " | ".join(s.name for s in servers) + " | dozo / nginx (goal) | dozo / h2o (goal) | p99 µs "
              + " / ".join(s.name for s in servers) + " |")
        print("|---" * (len(servers) + 4) + "|")
        for name, file, _, goals in CASES:
            rows = {s.name: [] for s in servers}
            for i in range(a.rounds):
                for s in servers[i % len(servers):] + servers[:i % len(servers)]:
                    rows[s.name].append(load(s, file, a.seconds, a.connections, cpus[1]))
            cpu = {n: statistics.median(r[0] for r in v) for n, v in rows.items()}
            p99 = {n: statistics.median(r[1] for r in v) for n, v in rows.items()}
            ratio = {peer: statistics.median(d[0] / o[0] for d, o in zip(rows["dozo"], rows[peer])) for peer in goals}
            spread = {n: (min(r[0] for r in v), max(r[0] for r in v)) for n, v in rows.items()}
            result[name] = {"cpu_us": cpu, "p99_us": p99, "ratio": ratio, "goal": goals, "spread": spread}
            print(f"| {name} | " + " | ".join(f"{cpu[s.name]:.2f} ({spread[s.name][0]:.2f}–{spread[s.name][1]:.2f})" for s in servers)
                  + " | " + " | ".join(f"{ratio[x]:.2f} (≤ {goals[x]:.2f}){'' if ratio[x] <= goals[x] else ' missed'}" for x in goals)
                  + " | " + " / ".join(f"{p99[s.name]:.0f}" for s in servers) + " |", flush=True)
        if a.json:
            pathlib.Path(a.json).write_text(json.dumps(result, indent=2))
    finally:
        for s in servers:
            s.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
