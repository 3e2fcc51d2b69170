"""Many nodes: two fronts and two backs with data folders of their own, on one PostgreSQL and one Redis, behind nginx. Under readers, uploads,
deletions and a crawl, each process and each server is killed and comes back; in the end nothing that was acknowledged is missing, nothing that
was deleted is there, every chapter is what the site gave, and no node shows for long what is not so any more."""
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sites"))

from comics import page, served
from conftest import DOZO, PATIENCE, ROOT, Server, clean_env, dozo, own, servers, until
from test_examples import replaced
from test_uploads import KEY, keyed, part, send, upload
from upstreams import MangaDex

API = "api.nodes.test"
SERIES, CHAPTERS, PAGES, RATE = 5, 6, 6, 25
# Polls of docs/many-nodes.md, with room for a machine that has much to do.
STALE_MS = 20_000


def manga(s):
    return f"00000000-0000-4000-8000-{s:012}"


def add_chapter(site, s, c):
    """Chapter c of series s, with pages that no other one has; returns them."""
    pages = [page(1000 * s + 20 * c + n) for n in range(PAGES)]
    site.add_chapter(f"{s:08}-{c:04}-4000-8000-000000000000", manga(s), str(c), pages)
    return pages


class Back:
    """A back alone: it has no address, its log says when it runs."""

    def __init__(self, folder, config):
        self.folder = folder
        (folder / "dozo.yaml").write_text(config)
        before = self.read_log().count("running with pid")
        with open(folder / "serve.log", "ab") as log:
            self.process = subprocess.Popen([DOZO, "serve", "--role", "back", "--config", "dozo.yaml"], cwd=folder, stderr=log, env=clean_env())
        until(lambda: self.process.poll() is not None or self.read_log().count("running with pid") > before, "the back")
        assert self.process.poll() is None, self.read_log()[-4000:]

    def read_log(self):
        log = self.folder / "serve.log"
        return log.read_text(errors="replace") if log.exists() else ""


class Web:
    """Whatever answers there."""
    connect, request, get, head = Server.connect, Server.request, Server.get, Server.head

    def __init__(self, port):
        self.address = ("127.0.0.1", port)


class Nodes:
    def __init__(self, folder, site):
        self.folder, self.site = folder, site
        self.fronts, self.backs = [None, None], [None, None]

    def open(self):
        folder = self.folder
        self.postgres = own(servers.Postgres, folder / "pg")
        self.redis = own(servers.Redis, folder / "redis")
        self.ports = [servers.free_port(), servers.free_port()]
        self.password = subprocess.run([DOZO, "password"], input=b"sekrit\n", capture_output=True, env=clean_env(), check=True).stdout.decode().strip()
        for i in (0, 1):
            self.start("fronts", i)
            self.start("backs", i)
        self.nginx = own(servers.Nginx, folder / "nginx", self.site_conf)
        self.web = Web(self.nginx.port)

    def config(self, port=0):
        shelves = "".join(f"  - {{name: s{s}, series: mangadex.org/{manga(s)}" + (f", api_hosts: [{API}]" if s == 0 else "") + "}\n" for s in range(SERIES))
        same = replaced((ROOT / "examples/many-nodes.yaml").read_text(), **{
            "0.0.0.0:8080": (1, f"127.0.0.1:{port}"), "/var/lib/dozo": (1, "data"), "[10.0.0.2]": (1, "[127.0.0.1]"),
            "postgres://dozo:PASSWORD@10.0.0.5/dozo": (2, self.postgres.uri), "redis://10.0.0.6:6379": (2, self.redis.uri), "REPLACE-THIS": (1, KEY), "/api/: 1000/hour": (1, "/api/ping: 6/day"),
            "job_lease: 15s": (1, "every: 500ms, retry_max: 1s, retries: 1000, job_lease: 4s")})
        return f"""{same}
auth: {{admin_password_hash: "{self.password}"}}
shelves:
{shelves}
sources:
  connect_timeout: {PATIENCE}s
  read_timeout: {PATIENCE}s
  mangadex.org: {{base_url: "{self.site.url}", uploads_url: "{self.site.url}", rate: {RATE}/second, concurrency: {SERIES}}}
"""

    def site_conf(self, port, home):
        both = " ".join(f"server 127.0.0.1:{p} max_fails=1 fail_timeout=1s;" for p in self.ports)
        temporary = "".join(f"{kind}_temp_path {home}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        root = "user root;\n" if os.geteuid() == 0 else ""
        return f"""{root}pid {home}/pid;
events {{}}
http {{
access_log off;
{temporary}
upstream dozo {{ {both} keepalive 16; }}
server {{
    listen 127.0.0.1:{port};
    client_max_body_size 0;
    location / {{
        proxy_pass http://dozo;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_next_upstream error timeout http_502 http_503;
    }}
}}
}}
"""

    def start(self, kind, i):
        folder = self.folder / f"{kind}{i}"
        folder.mkdir(exist_ok=True)
        if kind == "fronts":
            self.fronts[i] = Server(folder, self.config(self.ports[i]), args=("--role", "front"))
        else:
            self.backs[i] = Back(folder, self.config())

    def kill(self, kind, i):
        process = getattr(self, kind)[i].process
        process.kill()
        process.wait()

    def close(self):
        for node in [*self.fronts, *self.backs]:
            if node and node.process.poll() is None:
                node.process.send_signal(signal.SIGTERM)
        for node in [*self.fronts, *self.backs]:
            if node and node.process.wait(PATIENCE) != 0:
                print(node.folder.name, node.process.returncode, node.read_log()[-3000:])
        for server in ("nginx", "redis", "postgres"):
            if hasattr(self, server):
                getattr(self, server).stop()
        for node in [*self.fronts, *self.backs]:
            text = node.read_log() if node else ""
            assert "ERROR: AddressSanitizer" not in text and "runtime error:" not in text and "LeakSanitizer" not in text, text[-8000:]


@pytest.fixture
def nodes(tmp_path):
    with MangaDex() as site:
        for s in range(SERIES):
            site.add_manga(manga(s), f"Series {s}")
        site.pages = {f"Series {s}": [add_chapter(site, s, c) for c in range(1, CHAPTERS + 1)] for s in range(SERIES)}
        n = Nodes(tmp_path, site)
        try:
            n.open()
            yield n
        finally:
            n.close()


# ---- load --------------------------------------------------------------------------------------------------------------------

class Load:
    """Clients that go on whatever happens, and note what they were promised."""

    def __init__(self, nodes):
        self.nodes, self.stopping, self.lock = nodes, threading.Event(), threading.Lock()
        self.kept, self.gone, self.wrong, self.reads, self.failed = {}, set(), [], 0, 0
        self.threads = [threading.Thread(target=self.run, args=(f, i)) for i, f in enumerate((self.send, self.delete, self.read, self.read))]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for t in self.threads:
            t.join()

    def run(self, step, seed):
        numbers = random.Random(seed)
        while not self.stopping.is_set():
            try:
                step(numbers)
            except (OSError, EOFError):
                self.failed += 1
                self.stopping.wait(0.05)

    def send(self, numbers):
        data = page(0) + numbers.randbytes(numbers.randrange(1, 60_000))
        r = send(self.nodes.web, part(data=data))
        if r.status == 200:
            with self.lock:
                self.kept[json.loads(r.text)["file_id"]] = data
        else:
            self.failed += 1
        self.stopping.wait(0.01)

    def delete(self, numbers):
        self.stopping.wait(0.1)
        with self.lock:
            if len(self.kept) < 60:
                return
            name = numbers.choice(list(self.kept))
            data = self.kept.pop(name)  # from here on nobody knows
        for _ in range(1000):
            r = None
            with contextlib.suppress(OSError, EOFError):
                r = keyed(self.nodes.web, "DELETE", f"/delete/{name}")
            if r and r.status in (204, 404):
                with self.lock:
                    self.gone.add(name)
                return
            if self.stopping.wait(0.1):
                return
        self.wrong.append(("delete", name, len(data)))

    def read(self, numbers):
        with self.lock:
            name = numbers.choice(list(self.kept)) if self.kept else None
            data = self.kept.get(name)
        if not name:
            self.stopping.wait(0.05)
            return
        r = self.nodes.web.get(f"/image/{name}")
        with self.lock:
            if r.status == 200:
                self.reads += 1
            if r.status == 200 and r.body != data or r.status == 404 and name in self.kept:
                self.wrong.append(("read", name, r.status, r.body[:100]))
        self.stopping.wait(0.005)


# ---- what is so --------------------------------------------------------------------------------------------------------------

def chapters_n(nodes):
    return int(nodes.postgres.sql("SELECT count(*) FROM chapter"))


def is_well(front):
    r = front.get("/healthz")
    return r.status == 200 and '"status":"ok"' in r.text


def cached_pages(front):
    """Addresses that the front has in its memory from now on, with what is there."""
    series = re.findall(r"/series/(\d+)", front.get("/").text)
    for s in series:
        found = re.findall(rf"/read/{s}/(\d+)", front.get(f"/series/{s}").text)
        if found:
            return {p: front.get(p).body for p in ("/", f"/series/{s}", f"/page/{s}/{found[0]}/1")}
    return None


def ages(nodes, check, began):
    """{front: ms until it showed it}, both asked in turn."""
    out = {}

    def look():
        for i, f in enumerate(nodes.fronts):
            if i not in out and check(f):
                out[i] = int((time.monotonic() - began) * 1000)
        return len(out) == 2
    until(look, "both fronts")
    return out


def listed(front, host=API):
    r = front.get("/v1/chapters", host=host)
    return json.loads(r.body)["chapters"] if r.status == 200 else {}


def kill_servers(nodes):
    cached = [until(lambda f=f: cached_pages(f), "a page") for f in nodes.fronts]
    nodes.postgres.kill()
    for f, pages in zip(nodes.fronts, cached):
        until(lambda f=f: '"catalog":"ok"' not in f.get("/healthz").text, "word of the loss")
        for _ in range(5):
            for path, body in pages.items():
                r = f.get(path)
                assert r.status == 200 and (not path.startswith("/page/") or r.body == body), (path, r.status)
    nodes.postgres.start()
    for f in nodes.fronts:
        until(lambda f=f: is_well(f), "health after PostgreSQL came back")
    nodes.redis.kill()
    for f, pages in zip(nodes.fronts, cached):
        assert all(f.get(path).status == 200 for path in pages)
    nodes.redis.start()
    for f in nodes.fronts:
        until(lambda f=f: is_well(f), "health after Redis came back")
    nodes.nginx.kill()
    nodes.nginx.start()
    assert until(lambda: nodes.web.get("/healthz").status == 200, "nginx")


def kill_nodes(nodes):
    for kind, i in (("backs", 0), ("fronts", 0), ("backs", 1), ("fronts", 1)):
        n = chapters_n(nodes)
        nodes.kill(kind, i)
        began = time.monotonic()
        assert until(lambda: nodes.web.get("/healthz").status == 200, "the other front")
        if n < SERIES * CHAPTERS - 2:
            until(lambda n=n: chapters_n(nodes) > n, "the other back")
            print(f"{kind[:-1]} {i} killed with {n} chapters: the next one {time.monotonic() - began:.1f} s later")
        nodes.start(kind, i)


def test_everything_dies_once(nodes):
    site = nodes.site
    until(lambda: chapters_n(nodes) >= 2, "the first chapters")
    with Load(nodes) as load:
        kill_nodes(nodes)
        kill_servers(nodes)
        until(lambda: chapters_n(nodes) == SERIES * CHAPTERS, "the last chapter")
        until(lambda: len(load.kept) > 50 and load.gone and load.reads > 50, "some load")
    assert not load.wrong, load.wrong[:5]
    print(f"{len(load.kept)} uploads kept, {len(load.gone)} deleted, {load.reads} read, {load.failed} calls failed")

    # Every chapter is what the site gave, on both fronts; no page came much more often than processes were killed.
    for f in nodes.fronts:
        until(lambda f=f: is_well(f), "health")
        until(lambda f=f: served(f) == site.pages, "all chapters")
    times = [site.count(re.escape(f"/data/{c.replace('-', '')}/{name}")) for c, files in site.files.items() for name in files]
    again = sum(times) - len(times)
    print(f"{len(times)} pages asked for {sum(times)} times, one at most {max(times)} times")
    assert min(times) >= 1 and max(times) <= 4 and again <= len(times) / 2
    # Two backs together keep the pace of one. Requests of a killed back that were on their way come beside it.
    at = sorted(t for t, _ in site.requests)
    most = max(sum(1 for t in at if a <= t < a + 4) for a in at[::10])
    print(f"at most {most} requests in 4 s at {RATE}/second")
    assert most <= 4 * RATE * 1.25 + 10

    # Every acknowledged upload is there, every deleted one is not.
    for f in nodes.fronts:
        for name, data in load.kept.items():
            r = f.get(f"/image/{name}")
            assert r.status == 200 and r.body == data, (name, r.status)
        for name in load.gone:
            assert f.get(f"/image/{name}").status == 404, name

    # Each back does the work when it is alone.
    for i in (0, 1):
        nodes.kill("backs", 1 - i)
        site.pages["Series 0"].append(add_chapter(site, 0, 50 + i))
        for f in nodes.fronts:
            until(lambda f=f: served(f) == site.pages, f"the chapter that back {i} fetched")
        nodes.start("backs", 1 - i)

    # Jobs: none has two rows that live, none failed for good; each back told of its own (at once, or again 5 s after a write that failed).
    sql = nodes.postgres.sql
    assert sql("SELECT count(*) FROM job WHERE state = 3") == "0", sql("SELECT source, target, fail_text FROM job WHERE state = 3")
    assert sql("SELECT count(*) FROM (SELECT series_id, key FROM chapter GROUP BY 1, 2 HAVING count(*) > 1) AS twice") == "0"
    until(lambda: int(sql("SELECT count(DISTINCT name) FROM crawl_state WHERE name LIKE 'health/back@%'")) == 2, "a record of each back")
    dozo("check", "--config", "dozo.yaml", cwd=nodes.folder / "fronts0", check=0)


def test_what_one_node_does_the_others_show(nodes):
    site, (a, b) = nodes.site, nodes.fronts
    for f in nodes.fronts:
        until(lambda f=f: served(f) == site.pages, "all chapters")

    # A chapter that comes at the site: the fronts show it at the same time, give or take.
    add_chapter(site, 0, 99)
    seen = ages(nodes, lambda f: "99" in listed(f), time.monotonic())
    print("a new chapter:", seen, "ms after the site had it")
    assert abs(seen[0] - seen[1]) <= STALE_MS

    # An edit through one front.
    times = []
    for n in range(5):
        body = json.dumps({"pwd": "sekrit", "data": f'1 title="edit {n}"'}).encode()
        assert a.request("POST", "/v1/admin/edit", host=API, headers={"Content-Type": "application/json"}, body=body).status == 200
        times.append(ages(nodes, lambda f, n=n: listed(f)["1"]["metadata"]["title"] == f"edit {n}", time.monotonic())[1])
    print("edits through one front, shown by the other after", times, "ms")
    assert max(times) <= STALE_MS

    # An upload through one front that the other has in memory is gone there soon after it was deleted.
    times = []
    for n in range(5):
        name, _ = upload(a, data=page(n))
        assert b.get(f"/image/{name}").body == page(n)
        assert keyed(a, "DELETE", f"/delete/{name}").status == 204
        assert a.get(f"/image/{name}").status == 404
        times.append(ages(nodes, lambda f, name=name: f.get(f"/image/{name}").status == 404, time.monotonic())[1])
    print("deletions through one front, gone from the other after", times, "ms")
    assert max(times) <= STALE_MS

    # A limit is one for both.
    answers = [f.get("/api/ping").status for _ in range(6) for f in nodes.fronts]
    assert (answers.count(200), answers.count(429)) == (6, 6), answers

    # What needs a source is refused in words by a front that has no back beside it.
    r = a.get("/api/sites")
    print("/api/sites without a back on this machine:", r.status, r.text)
    assert r.status in (200, 503)

    # A cancel asked for on a machine without backs reaches the one that runs the job.
    free, held = threading.Event(), []

    def hold(_, request):
        held.append(request.path)
        free.wait(PATIENCE)
    site.misbehave(r"/data/.*", hold)
    for s in range(SERIES):
        add_chapter(site, s, 100)
    until(lambda: len(held) >= SERIES and nodes.postgres.sql("SELECT count(*) FROM job WHERE state = 1") == str(SERIES), "jobs that wait for pages")
    running = nodes.postgres.sql("SELECT id FROM job WHERE state = 1 ORDER BY id LIMIT 1")
    began = time.monotonic()
    dozo("jobs", "--cancel", running, "--config", "dozo.yaml", cwd=nodes.folder / "fronts0", check=0)
    until(lambda: nodes.postgres.sql(f"SELECT state FROM job WHERE id = {running}") == "4", "the end of the job")
    print(f"cancelled on another machine after {(time.monotonic() - began) * 1000:.0f} ms")
    free.set()
