"""dozo crawl, dozo jobs, dozo sources, the page /-/jobs and what /metrics says of crawls, against simulated sites."""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sites"))

import site_http as faults
from comics import page as one_page
from conftest import DOZO, PATIENCE, Server, clean_env, dozo, until
from upstreams import Covers, Viz, Wiki, picture

SHUFFLED, ORDERED = [picture("shuffled-1.jpg"), picture("shuffled-2.jpg")], [picture("ordered-1.jpg"), picture("ordered-2.jpg")]
SLUG = "komi-cant-communicate"
KOMI = "viz.com/" + SLUG
API = "api.komi.zip"
LISTING = r"/vizmanga/chapters/.*"


def images_of(viz_id):
    return rf"/img/{viz_id}/\d+"


class Play:
    """The sites, a folder with settings, and commands in it."""

    def __init__(self, folder):
        self.folder, self.viz, self.wiki, self.covers = folder, Viz(), Wiki(), Covers()
        self.viz.release = None
        self.write()

    def write(self, crawl="every: 1h", more="", shelf=True):
        shelves = f"""
shelves:
  - name: komi
    series: {KOMI}
    api_hosts: [{API}]
""" if shelf else ""
        (self.folder / "dozo.yaml").write_text(f"""
listen: ["127.0.0.1:0"]
data_dir: data
crawl: {{{crawl}}}
{shelves}
sources:
  read_timeout: {PATIENCE}s
{more}
  viz.com: {{base_url: "{self.viz.url}", wiki_url: "{self.wiki.base}", covers_api_url: "{self.covers.url}", covers_url: "{self.covers.url}",
            covers_manga: "{self.covers.manga}", rate: 1000/second}}
""")

    def __call__(self, *args, check=None):
        return dozo(*args, "--config", "dozo.yaml", cwd=self.folder, check=check)

    def json(self, *args, check=0):
        return json.loads(self(*args, "--json", check=check).out)

    def begin(self, *args, **kw):
        return subprocess.Popen([DOZO, *args, "--config", "dozo.yaml"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=clean_env(), **kw)

    def rows(self, sql, *args):
        db = sqlite3.connect(f"file:{self.folder}/data/dozo.db?mode=ro", uri=True, timeout=30)
        try:
            return db.execute(sql, args).fetchall()
        except sqlite3.OperationalError as e:
            if "no such table" in str(e) or "unable to open" in str(e):
                return []
            raise
        finally:
            db.close()

    def change(self, sql, *args):
        db = sqlite3.connect(f"{self.folder}/data/dozo.db", timeout=30)
        db.execute(sql, args)
        db.commit()
        db.close()

    def jobs(self):
        return self.json("jobs", "--all")["jobs"] if (self.folder / "data/dozo.db").exists() else []

    def pages(self, key):
        return [r[0] for r in self.rows("SELECT p.number FROM page p JOIN chapter c ON c.id = p.chapter_id WHERE c.key = ? ORDER BY 1", key)]

    def close(self):
        for site in (self.viz, self.wiki, self.covers):
            site.close()


@pytest.fixture
def play(tmp_path):
    p = Play(tmp_path)
    yield p
    p.close()


def ended(p):
    out, err = p.communicate(timeout=PATIENCE)
    assert "Sanitizer" not in err and "runtime error:" not in err, err
    return p.returncode, out, err


class Terminal:
    def __init__(self, play, *args, columns=80):
        self.main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen([DOZO, *args, "--config", "dozo.yaml"], cwd=play.folder, stdin=side, stdout=side, stderr=side,
                                        env=clean_env(TERM="xterm"), start_new_session=True)
        os.close(side)
        self.text = ""

    def read(self, until_seen=None):
        """To the end, or until a text was shown."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.main], [], [], 1)
            if not ready:
                continue
            try:
                data = os.read(self.main, 65536)
            except OSError:
                data = b""
            self.text += data.decode(errors="replace")
            if not data:
                os.close(self.main)
                return self.process.wait(PATIENCE)
            if until_seen and re.search(until_seen, self.text):
                return None
        raise AssertionError(f"{until_seen} was not shown: {self.text!r}")


def test_progress_on_a_terminal_and_lines_in_a_pipe(play):
    play.viz.misbehave(images_of(14331), faults.slow(0.3))
    play.viz.add(407, 14331, SHUFFLED * 10)
    play.viz.add(406, 14330, SHUFFLED)
    t = Terminal(play, "crawl", "--limit-pages", "2", KOMI)
    assert t.read() == 0
    bars = re.findall(r"\r[^\r\n]*\d+/20[^\r\n]*chapter 407", t.text)
    assert bars and "%" in bars[-1], t.text
    assert "dozo crawl: chapter" not in t.text
    lines = t.text.replace("\r\n", "\n").split("\n")
    assert re.fullmatch(r"(.*\x1b\[K)?viz.com/" + SLUG + r": 2 chapters new, 22 pages, [0-9.]+ KiB, \d+ requests in [0-9.]+ s", lines[-2]), lines
    play.viz.add(408, 14332, SHUFFLED)
    r = play("crawl", KOMI, check=0)
    assert "\x1b" not in r.err + r.out and "dozo crawl: chapter 408: 2 pages\n" in r.err
    assert re.fullmatch(r"viz.com/" + SLUG + r": 1 chapter new, 2 pages, .* in [0-9.]+ s\n", r.out)
    play.viz.add(409, 14333, SHUFFLED)
    r = play("crawl", "--quiet", KOMI, check=0)
    assert (r.out, r.err) == ("", "") and play.pages("409") == [1, 2]


@pytest.mark.parametrize("args, words", [
    ([], "what is to be crawled"),
    (["viz.con/x"], 'did you mean "viz.com"'),
    (["something.example/x"], "there is no source"),
    (["viz.com"], "name a series as well: viz.com/ID"),
    (["viz.com/a", "viz.com/b"], "one SOURCE/ID at a time"),
    (["--limit-pages", "0", KOMI], "a number from 1 on"),
    (["--limit-pages", "x", KOMI], "a number from 1 on"),
    (["https://nobody.example/x"], "no source knows this address"),
    (["https://www.viz.com/vizmanga/"], "knows no series at this address"),
    (["peppercarrot.com/pepper-carrot"], "switched off"),
    (["viz.com/" + "x" * 5000], "at most 4096 bytes"),
    (["local/x"], "the source local is read as a whole"),
], ids=lambda v: v if isinstance(v, str) else "")
def test_wrong_use(play, args, words):
    play.write(more="  peppercarrot.com: {enabled: false}")
    r = play("crawl", *args)
    assert r.returncode == 2 and words in r.err and not r.out, (r.returncode, r.err)
    assert play.viz.count() == 0


def test_a_failure_is_status_1_and_told_once(play):
    play.viz.add(407, 14331, SHUFFLED)
    play.viz.misbehave(LISTING, faults.status(500))
    r = play("crawl", KOMI)
    assert r.returncode == 1 and r.out.startswith(KOMI + ": failed (unavailable); 0 chapters new")
    assert len([line for line in r.err.splitlines() if "return code 500" in line]) == 1, r.err
    v = play.json("crawl", KOMI, check=1)
    assert not v["ok"] and v["failure_kind"] == "unavailable" and "return code 500" in v["failure"]
    assert [n["kind"] for n in v["notes"]][0] == "unavailable" and v["chapters_new"] == 0 and v["requests"] > 0
    assert {j["state"] for j in play.jobs()} == {"failed"}
    play.viz.behave()
    play("crawl", KOMI, check=0)


def test_json(play):
    play.viz.add(407, 14331, SHUFFLED)
    v = play.json("crawl", KOMI)
    assert {k: v[k] for k in ("ok", "source", "target", "chapters_new", "chapters_changed", "pages", "failure", "failure_kind", "notes")} == {
        "ok": True, "source": "viz.com", "target": SLUG, "chapters_new": 1, "chapters_changed": 0, "pages": 2, "failure": None,
        "failure_kind": None, "notes": []}
    assert v["requests"] == play.viz.count() + play.wiki.count() + play.covers.count()
    assert v["bytes"] == sum(len(p) for p in ORDERED) and v["duration_ms"] > 0
    j = play.json("jobs")
    assert j["counts"] == {"queued": 0, "running": 0, "done": 1, "failed": 0, "cancelled": 0}
    (job,) = j["jobs"]
    assert (job["id"], job["state"], job["source"], job["target"], job["pages_done"], job["failure"]) == (v["job"], "done", "viz.com", SLUG, 2, None)
    assert job["result"]["chapters"] == 1 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", job["ended"])
    assert play.json("crawl", KOMI)["chapters_new"] == 0


def test_an_address_of_the_site(play):
    play.viz.add(407, 14331, SHUFFLED)
    play.viz.add(408, 14332, SHUFFLED)
    assert play.json("crawl", f"https://www.viz.com/vizmanga/chapters/{SLUG}", "--limit-pages", "1")["target"] == SLUG
    assert play.pages("407") == [1, 2] and play.pages("408") == []
    v = play.json("crawl", f"https://www.viz.com/vizmanga/{SLUG}-chapter-14332/chapter/14332?action=read")
    assert v["target"] == SLUG and play.pages("408") == [1, 2]


def test_a_persons_crawl_does_not_wait(play):
    """A chapter that failed lately waits for its time in the schedule's passes; a person who asks means now."""
    play.viz.add(407, 14331, SHUFFLED)
    play.viz.misbehave(images_of(14331), faults.status(404))
    assert play("crawl", KOMI).returncode == 1
    play.viz.behave()
    v = play.json("crawl", KOMI)
    assert v["chapters_new"] == 1 and play.pages("407") == [1, 2]


def test_full_asks_again_though_the_job_is_the_schedules(play):
    """What was asked lately waits for its time; the row in the queue says nothing of --full."""
    play.viz.add(407, 14331, SHUFFLED)
    play("crawl", KOMI, check=0)
    lists = play.covers.count("/cover")
    assert lists > 0
    play("crawl", KOMI, check=0)
    assert play.covers.count("/cover") == lists
    now = int(time.time() * 1000)
    play.change("INSERT INTO job (kind, source, target, args, state, priority, attempts, cancel_asked, created_ms, run_after_ms, lease_until_ms, "
                "started_ms, ended_ms, owner, done, total, fail_kind, fail_text, result) "
                "VALUES ('crawl', 'viz.com', ?, '', 0, 0, 0, 0, ?, ?, 0, 0, 0, '', 0, 0, '', '', '')", SLUG, now, now + 3600_000)
    v = play.json("crawl", "--full", KOMI)
    assert play.covers.count("/cover") > lists
    assert [j["id"] for j in play.jobs() if j["state"] == "queued"] == [] and v["job"] == max(j["id"] for j in play.jobs())


def slow_chapter(play, pages=24, quick=8):
    """So many pages come at once, the others only when the site behaves."""
    play.viz.add(407, 14331, [SHUFFLED[i % 2] for i in range(pages)])
    play.viz.misbehave(rf"/img/14331/({'|'.join(str(i) for i in range(quick, pages))})", faults.half_open)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle(play, how):
    play.write(crawl="every: 1h, job_lease: 2s")
    slow_chapter(play)
    p = play.begin("crawl", KOMI)
    until(lambda: [j["pages_done"] for j in play.jobs()] == [8], "the pages that come")
    p.send_signal(how)
    status, out, err = ended(p)
    assert status == 1 and "stopped; finished pages are kept" in err and not out
    kept = [r[0] for r in play.rows("SELECT at FROM part ORDER BY at")]
    assert kept == list(range(8)) and play.pages("407") == []
    assert [j["state"] for j in play.jobs()] == ["cancelled"]
    play.viz.behave()
    play.viz.forget()
    play("crawl", KOMI, check=0)
    asked = [int(r.path.rsplit("/", 1)[1]) for r in play.viz.asked(images_of(14331))]
    assert sorted(asked + kept) == list(range(24)) and play.pages("407") == list(range(1, 25))
    dozo("check", "--config", "dozo.yaml", cwd=play.folder, check=0)


def test_a_second_signal_ends_at_once(play):
    """Like kill -9 it leaves a lease behind, whose end nobody waits for."""
    play.write(crawl="every: 1h, job_lease: 10m")
    slow_chapter(play)
    p = play.begin("crawl", KOMI)
    until(lambda: play.viz.count(images_of(14331)) >= 9, "the pages to be asked for")
    p.send_signal(signal.SIGINT)
    p.send_signal(signal.SIGTERM)
    status, _, _ = ended(p)
    assert status in (1, -signal.SIGINT, -signal.SIGTERM)
    play.viz.behave()
    play("crawl", KOMI, check=0)
    assert play.pages("407") == list(range(1, 25))


def test_nobody_waits_for_one_that_was_killed(play):
    play.write(crawl="every: 1h, job_lease: 10m")
    slow_chapter(play)
    p = play.begin("crawl", KOMI)
    until(lambda: play.viz.count(images_of(14331)) >= 9, "the pages to be asked for")
    assert len(list((play.folder / "data/run").glob("crawler-*.lock"))) == 1
    p.kill()
    p.wait()
    assert [j["state"] for j in play.jobs()] == ["running"]
    play.viz.behave()
    r = play("crawl", KOMI, check=0)
    assert "waiting" not in r.err, r.err
    assert play.pages("407") == list(range(1, 25))
    assert list((play.folder / "data/run").glob("crawler-*.lock")) == []


def test_beside_a_running_server(play):
    """A front shows each chapter while the command is still at work on the next one."""
    s = Server(play.folder, (play.folder / "dozo.yaml").read_text(), args=["--role", "front"])
    try:
        play.viz.add(406, 14330, SHUFFLED)
        play.viz.add(407, 14331, SHUFFLED)
        play.viz.misbehave(images_of(14331), faults.half_open)
        p = play.begin("crawl", KOMI)
        shown = until(lambda: (v := s.get("/v1/chapters", host=API)).status == 200 and '"406"' in v.text and v, "the first chapter")
        assert '"407"' not in shown.text and p.poll() is None
        assert [j["state"] for j in play.json("jobs")["jobs"]] == ["running"]
        page = s.get("/-/jobs").text
        assert "1 running" in page and KOMI in page
        play.viz.behave()
        p.send_signal(signal.SIGINT)
        ended(p)
        play("crawl", KOMI, check=0)
        until(lambda: '"407"' in s.get("/v1/chapters", host=API).text, "the second one")
    finally:
        assert s.stop() == 0


def test_waits_while_a_back_has_it(play, serve):
    slow_chapter(play)
    s = serve(play.folder, (play.folder / "dozo.yaml").read_text())
    until(lambda: play.viz.count(images_of(14331)) >= 9, "the back's crawl")
    p = play.begin("crawl", "--json", KOMI)
    line = p.stderr.readline()
    assert "another process crawls it right now" in line, line
    play.viz.add(408, 14332, SHUFFLED)  # the back has read its listing: this one is ours
    assert p.poll() is None
    play.viz.misbehave(images_of(14331), lambda h, request: False)
    with play.viz.lock:  # what hangs, hangs up
        play.viz.stopping.set()
    status, out, err = ended(p)
    assert status == 0, err
    v = json.loads(out)
    assert v["ok"] and play.pages("408") == [1, 2]
    until(lambda: play("crawl", "--full", KOMI).returncode == 0 and play.pages("407"), "all of it")
    states = {j["id"]: j["state"] for j in play.jobs()}
    assert states[v["job"]] == "done" and len(states) >= 2
    assert s.process.poll() is None


def test_cancel(play, serve):
    """Heard at once: the lease alone would be looked at after 15 s."""
    play.write(crawl="every: 1h, job_lease: 1h")
    slow_chapter(play)
    s = serve(play.folder, (play.folder / "dozo.yaml").read_text())
    until(lambda: play.viz.count(images_of(14331)) >= 9, "the back's crawl")
    (job,) = play.json("jobs")["jobs"]
    assert job["state"] == "running" and not job["cancel_asked"]
    r = play("jobs", "--cancel", str(job["id"]), check=0)
    asked_ms = time.time() * 1000
    assert "is asked to end" in r.out
    until(lambda: [j["state"] for j in play.jobs() if j["id"] == job["id"]] == ["cancelled"], "its end")
    (ended_ms,), = play.rows("SELECT ended_ms FROM job WHERE id = ?", job["id"])
    assert ended_ms - asked_ms < 12_000
    assert play.pages("407") == [] and s.process.poll() is None
    r = play("jobs", "--cancel", str(job["id"]), check=1)
    assert "has ended already" in r.err
    assert "there is no job 999" in play("jobs", "--cancel", "999", check=1).err
    for bad in ("x", "0", "-1", "1e3"):
        assert play("jobs", f"--cancel={bad}").returncode == 2
    assert play("jobs", "--cancel", "1", "--watch").returncode == 2 and play("jobs", "extra").returncode == 2


def test_cancel_of_a_queued_one(play):
    play.viz.add(407, 14331, SHUFFLED)
    play("crawl", KOMI, check=0)
    now = int(time.time() * 1000)
    play.change("UPDATE job SET state = 0, ended_ms = 0, run_after_ms = ?", now + 3600_000)
    (job,) = play.json("jobs")["jobs"]
    r = play("jobs", check=0)
    assert re.search(rf"^{job['id']} +queued +{KOMI} .*in ([1-5][0-9] min|60 min|1 h|3600 s)", r.out, re.M), r.out
    assert "is cancelled" in play("jobs", "--cancel", str(job["id"]), check=0).out
    assert play.json("jobs")["counts"]["cancelled"] == 1


def test_the_table_fits(play):
    play.viz.misbehave(LISTING, faults.status(500))
    play("crawl", "viz.com/" + "a-long-name-" * 12, check=1)
    wide = play("jobs", check=0).out
    assert "a-long-name-" * 12 in wide and "unavailable: viz.com: series:" in wide
    for columns in (40, 80, 200):
        for command in ("jobs", "sources"):
            t = Terminal(play, command, columns=columns)
            assert t.read() == 0
            lines = t.text.replace("\r\n", "\n").split("\n")
            assert all(len(line) <= columns for line in lines[1:]), (columns, lines)
            assert "..." in t.text
    assert play("sources", "extra").returncode == 2


def test_watch(play):
    play.viz.add(407, 14331, SHUFFLED)
    play("crawl", KOMI, check=0)
    t = Terminal(play, "jobs", "--watch")
    t.read(r"(?s)1 done.*1 done")
    play.viz.add(408, 14332, SHUFFLED)
    play("crawl", KOMI, check=0)
    t.read(r"2 done")
    t.process.send_signal(signal.SIGINT)
    assert t.read() == 0 and t.text.startswith("\x1b[?1049h") and t.text.endswith("\x1b[?1049l")
    p = play.begin("jobs", "--watch", "--json")
    pictures = [json.loads(p.stdout.readline()) for _ in range(2)]
    assert all(v["counts"]["done"] == 2 for v in pictures)
    p.send_signal(signal.SIGTERM)
    assert ended(p)[0] == 0
    p = play.begin("jobs", "--watch")
    assert p.stdout.readline() == "0 queued, 0 running, 2 done, 0 failed, 0 cancelled\n"
    p.send_signal(signal.SIGINT)
    status, out, _ = ended(p)
    assert status == 0 and "\x1b" not in out


def test_jobs_and_sources_without_a_library(play):
    r = play("jobs")
    assert r.returncode == 1 and "no library in" in r.err
    assert not (play.folder / "data").exists()
    assert {s["id"] for s in play.json("sources")["sources"]} >= {"viz.com", "mangadex.org", "peppercarrot.com", "local"}
    assert not (play.folder / "data").exists()


def test_sources(play):
    folder = play.folder / "plugins"
    folder.mkdir()
    (folder / "broken.lua").write_text("return {")
    play.write(more="  dir: [plugins]\n  mangadex.org: {enabled: false}")
    play.viz.add(407, 14331, SHUFFLED)
    play("crawl", KOMI, check=0)
    play.viz.misbehave(LISTING, faults.too_many(3600))
    assert play("crawl", KOMI).returncode == 1
    v = play.json("sources")
    viz = next(s for s in v["sources"] if s["id"] == "viz.com")
    assert viz["built_in"] and viz["enabled"] and viz["series"] == 1 and viz["chapters"] == 1
    assert {"chapters", "pages", "volumes"} <= set(viz["functions"]) and "search" not in viz["functions"]
    assert viz["last_success"] <= viz["last_error"] and viz["last_error_kind"] == "rate_limited" and "chapters" in viz["last_error_text"]
    asked = play.viz.count() + play.wiki.count() + play.covers.count()
    assert viz["requests"] == asked
    # The settings have moved the site: the new address counts as its host.
    (host,) = [h for h in viz["hosts_asked"] if h["host"] == play.viz.url.removeprefix("http://")]
    assert host["paused_until"] and host["last_status"] == 429
    assert not next(s for s in v["sources"] if s["id"] == "mangadex.org")["enabled"]
    assert len(v["not_loaded"]) == 1 and "broken.lua" in v["not_loaded"][0]
    table = play("sources", check=0).out
    assert re.search(r"^viz.com +\S+ +built in +yes +1 +\d+ (?:s|min) ago +\d+ (?:s|min) ago, rate_limited: ", table, re.M), table
    assert re.search(r"^mangadex.org +\S+ +built in +no ", table, re.M) and re.search(r"^not loaded: .*broken.lua", table, re.M)


def test_the_page_and_the_figures(play):
    play.viz.add(407, 14331, SHUFFLED)
    play("crawl", KOMI, check=0)
    play.viz.misbehave(LISTING, faults.status(500))
    play("crawl", KOMI, check=1)
    now = int(time.time() * 1000)
    for i in range(250):
        play.change("INSERT INTO job (kind, source, target, args, state, priority, attempts, cancel_asked, created_ms, run_after_ms, "
                    "lease_until_ms, started_ms, ended_ms, owner, done, total, fail_kind, fail_text, result) VALUES ('crawl', 'x.example', ?, '', "
                    "3, 0, 1, 0, 1, 1, 0, 1, ?, '', 3, 4, 'parse', ?, '')", f"<i>{i}", now - 60_000 * (i + 1),
                    f"<b>at</b> https://me:hunter2@x.example/p?token=SECRET{i}&a=b#f, then (http://y.example/?k=SECRET)")
    s = Server(play.folder, (play.folder / "dozo.yaml").read_text(), args=["--role", "front"])
    try:
        r = s.get("/-/jobs")
        assert r.status == 200 and r["Cache-Control"] == "no-store" and r["ETag"] is None and r["Content-Type"].startswith("text/html")
        assert "<script" not in r.text and '<meta http-equiv="refresh" content="5">' in r.text
        seen = ""
        for page in (1, 2, 3):
            text = s.get(f"/-/jobs?page={page}").text
            seen += text
            assert len(re.findall("<tr><td class=\"soft\">", text)) == (100 if page < 3 else 52)
        assert "SECRET" not in seen and "hunter2" not in seen and "token" not in seen
        assert "https://x.example/p?…" in seen and "(http://y.example/?…)" in seen
        assert "<i>" not in seen and "&lt;b&gt;at&lt;/b&gt;" in seen and "x.example/&lt;i&gt;249" in seen
        assert "251 failed" in r.text and "1 done" in r.text and "unavailable" in r.text and "worked" in r.text
        for page in ("99999999999999999999", "x", "0", "900"):
            assert s.get(f"/-/jobs?page={page}").status == 200
        assert s.head("/-/jobs").status == 200 and s.request("POST", "/-/jobs").status == 405
        shelf = s.get("/-/jobs", host=API)  # the same answer as for /metrics
        assert (shelf.status, shelf.body) == (s.get("/metrics", host=API).status, s.get("/metrics", host=API).body) and "SECRET" not in shelf.text
        m = s.get("/metrics").text
        assert 'dozo_jobs{state="failed"} 251\n' in m and 'dozo_jobs{state="done"} 1\n' in m and 'dozo_jobs{state="queued"} 0\n' in m
        figures = dict(re.findall(r'^(dozo_source_\w+)\{source="viz.com"\} (\S+)$', m, re.M))
        assert abs(float(figures["dozo_source_last_success_timestamp_seconds"]) - time.time()) < 3600
        assert figures["dozo_source_last_error_timestamp_seconds"] > figures["dozo_source_last_success_timestamp_seconds"]
        assert int(float(figures["dozo_source_requests_total"])) == play.viz.count() + play.wiki.count() + play.covers.count()
    finally:
        assert s.stop() == 0


def test_the_source_local(play):
    (play.folder / "lib/Series/c1").mkdir(parents=True)
    (play.folder / "lib/Series/c1/1.png").write_bytes(one_page(1))
    play.write(more=f'  local: {{paths: ["{play.folder}/lib"]}}')
    assert play.json("crawl", "local")["chapters_new"] == 1
    assert re.fullmatch(r"local: 0 chapters new in [0-9.]+ s\n", play("crawl", "local", check=0).out)
    v = play.json("crawl", "local")
    assert v["ok"] and v["chapters_new"] == 0 and v["target"] is None
