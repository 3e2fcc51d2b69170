"""What `dozo jobs` and /-/jobs say of downloads: bytes and phase, read from rows that are put into the catalog by hand."""
import json
import sqlite3
import time

import pytest

from conftest import PATIENCE, Server, dozo

MS = int(time.time() * 1000)
HOUR = 3600_000
# kind, target, state, owner, lease_until, cancel_asked, done, total, bytes, phase
ROWS = [("download", "pages", 1, "o", MS + HOUR, 0, 3, 20, 1536 * 1024, ""),
        ("download", "saves", 1, "o", MS + HOUR, 0, 20, 20, 10240 * 1024, "saving"),
        ("download", "dead", 1, "o", MS - HOUR, 0, 20, 20, 100, "saving"),
        ("download", "stops", 1, "o", MS + HOUR, 1, 1, 20, 0, "saving"),
        ("crawl", "komi", 2, "", 0, 0, 1, 1, 0, "")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("jobs")
    s = Server(path, args=("--role", "front"))
    db = sqlite3.connect(path / "data/dozo.db", timeout=PATIENCE)
    for r in ROWS:
        db.execute("INSERT INTO job (kind, source, target, args, state, priority, attempts, cancel_asked, created_ms, run_after_ms, "
                   "lease_until_ms, started_ms, ended_ms, owner, done, total, fail_kind, fail_text, result, bytes, phase) VALUES "
                   "(?, 'x.com', ?, '', ?, 0, 1, ?, ?, 0, ?, ?, ?, ?, ?, ?, '', '', '', ?, ?)",
                   (r[0], r[1], r[2], r[5], MS, r[4], MS, MS if r[2] == 2 else 0, r[3], r[6], r[7], r[8], r[9]))
    db.commit()
    db.close()
    s.path = path
    yield s
    assert s.stop() == 0


def test_the_table(folder):
    lines = {line.split()[3]: line for line in dozo("jobs", cwd=folder.path, check=0).out.splitlines() if " download " in line}
    assert "running" in lines["x.com/pages"] and "3/20, 1.5 MiB" in lines["x.com/pages"]
    assert " saving " in lines["x.com/saves"] and " 20, 10.0 MiB" in lines["x.com/saves"]
    assert " lost " in lines["x.com/dead"] and "100 bytes" in lines["x.com/dead"]
    assert " ending " in lines["x.com/stops"] and "1/20 " in lines["x.com/stops"]


def test_json(folder):
    jobs = {j["target"]: j for j in json.loads(dozo("jobs", "--json", cwd=folder.path, check=0).out)["jobs"]}
    assert [(jobs[t]["state"], jobs[t]["phase"], jobs[t]["bytes"]) for t in ("pages", "saves", "komi")] == [
        ("running", None, 1536 * 1024), ("running", "saving", 10240 * 1024), ("done", None, 0)]


def test_the_page(folder):
    html = folder.get("/-/jobs").text
    rows = {t: next(r for r in html.split("<tr>") if f"/{t}<" in r) for t in ("pages", "saves", "dead", "stops", "komi")}
    assert '<td class="state running">running</td>' in rows["pages"] and "<td>3/20 pages, 1.5 MiB</td>" in rows["pages"]
    assert '<td class="state running">saving</td>' in rows["saves"] and "<td>20 pages, 10.0 MiB</td>" in rows["saves"]
    assert '<td class="state lost">lost</td>' in rows["dead"] and '<td class="state ending">ending</td>' in rows["stops"]
    assert "<td>1 page</td>" in rows["komi"]
