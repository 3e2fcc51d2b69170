"""dozo import kvm48: data.db of a KVM48 server, in both directions (contracts/kvm48.md section 3)."""
import hashlib
import json
import sqlite3

import pytest

from conftest import dozo
from kvm48 import MIGRATED, TABLES

STREAM = "http://cychengyuan-vod.48.cn/snh/{}.m3u8"


def vod(canon_id, club, number, start, title="剧场公演", subtitle="", sd="sd", hd="hd", fhd="hd"):
    urls = [s and STREAM.format(f"{number}-{s}") for s in (sd, hd, fhd)]
    return (canon_id, club, number, title, subtitle, start, *urls)


VODS = [
    vod("324479006241787904", 3, 2773, 1555826400),
    vod("324479006241787906", 1, 2777, 1555843500, subtitle=None),
    vod("324479006245982208", 1, 2772, 1555825500, fhd=""),
    vod("324918581187645440", 2, 2775, 1555845900, sd=None, hd=None, fhd=None),
    vod("326091353251188736", 9, 2774, 1555836300, title=""),
]


def make(path, rows=VODS):
    """The database, still open: with a journal."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=wal")
    for sql in TABLES:
        db.execute(sql)
    db.execute(MIGRATED)
    db.executemany(f"INSERT INTO perfvod VALUES ({', '.join('?' * 9)})", rows)
    db.commit()
    return db


def run(folder, *args, check=0):
    return dozo("import", "kvm48", *args, cwd=folder, check=check, env={"DOZO_DATA_DIR": str(folder / "data")})


def rows_of(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return db.execute("SELECT * FROM perfvod ORDER BY canon_id").fetchall()


def ours(folder):
    with sqlite3.connect(f"file:{folder}/data/dozo.db?mode=ro", uri=True) as db:
        (table,), = db.execute("SELECT table_name FROM collection WHERE source = 'live.48.cn' AND name = 'PerfVOD'")
        return db.execute(f"SELECT canon_id, l4c_club_id, l4c_id, title, subtitle, start_time, sd_stream, hd_stream, fhd_stream "
                          f'FROM "{table}" ORDER BY canon_id').fetchall()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "theirs").mkdir()
    return tmp_path


def picture(path):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in path.iterdir()}


def test_there_and_back(folder):
    make(folder / "theirs/data.db").close()
    before = picture(folder / "theirs")
    first = run(folder, "theirs/data.db")
    assert first.out.startswith("5 records (5 new) in ")
    assert ours(folder) == VODS
    assert run(folder, "theirs/data.db").out.startswith("5 records (5 unchanged) in ")
    assert picture(folder / "theirs") == before
    assert run(folder, "--export", "new.db").out.startswith("5 records (5 new) in ")
    assert sorted(p.name for p in folder.iterdir()) == ["data", "new.db", "theirs"]
    assert rows_of(folder / "new.db") == VODS
    with sqlite3.connect(folder / "new.db") as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert {sql for sql, in db.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL")} == set(TABLES)
        assert db.execute("SELECT id, name FROM migratehistory").fetchall() == [(1, "001_initial")]
    told = json.loads(run(folder, "--export", "theirs/data.db", "--json").out)
    assert (told["ok"], told["records_new"], told["records_unchanged"], told["records_kept"]) == (True, 0, 5, 0)


def test_while_the_server_runs(folder):
    db = make(folder / "theirs/data.db", VODS[:2])
    assert (folder / "theirs/data.db-wal").stat().st_size > 0
    db.execute("DELETE FROM perfvod")  # not committed
    run(folder, "theirs/data.db")
    assert ours(folder) == VODS[:2]
    db.commit()
    run(folder, "--export", "theirs/data.db")
    assert db.execute("SELECT count(*) FROM perfvod").fetchone() == (2,)
    db.close()


def test_what_is_there_stays(folder):
    make(folder / "theirs/data.db").close()
    run(folder, "theirs/data.db")
    with sqlite3.connect(folder / "theirs/data.db") as db:
        db.execute("UPDATE perfvod SET start_time = 1 WHERE l4c_id = 2777")
    r = run(folder, "theirs/data.db")
    assert r.out.startswith("5 records (4 unchanged, 1 kept as they are here) in ") and "1 warning" in r.out
    assert "perfvod 324479006241787906" in r.err
    assert ours(folder) == VODS
    r = run(folder, "--export", "theirs/data.db")
    assert "1 kept as they are there" in r.out
    assert [v for v in rows_of(folder / "theirs/data.db") if v not in VODS] == [(*VODS[1][:5], 1, *VODS[1][6:])]


def test_rows_that_cannot_be_used(folder):
    db = make(folder / "theirs/data.db", VODS[:1])
    db.execute("INSERT INTO perfvod VALUES ('bad', 1, 7, ?, NULL, 1, NULL, NULL, NULL)", (b"\xff",))
    db.commit()
    db.close()
    r = run(folder, "theirs/data.db", "--json", check=1)
    told = json.loads(r.out)
    assert (told["ok"], told["records_new"], told["errors"]) == (False, 1, 1)
    assert "perfvod bad" in json.dumps(told["error_list"]) and "title" in json.dumps(told["error_list"])
    assert ours(folder) == VODS[:1]


def test_files_of_others_stay(folder):
    make(folder / "theirs/data.db").close()
    run(folder, "theirs/data.db")
    (folder / "theirs/words.txt").write_text("These are words, more of them than a header has bytes, or so it is hoped of them.\n" * 9)
    with sqlite3.connect(folder / "theirs/other.db") as db:
        db.execute("CREATE TABLE chapters (id TEXT)")
    db.close()
    before = picture(folder / "theirs")
    for name in "words.txt", "other.db":
        for args in [name], ["--export", name]:
            r = run(folder, *args[:-1], f"theirs/{name}", check=1)
            assert name in r.err and "database" in r.err
    for args in [], ["--export"]:
        assert "theirs: Is a directory" in run(folder, *args, "theirs", check=1).err
    assert picture(folder / "theirs") == before


def test_wrong_use(folder):
    for args in [], ["a", "b"], ["--shelf", "x", "a"], ["--series", "x", "a"]:
        assert "kvm48" in run(folder, *args, check=2).err
    assert "--export" in dozo("import", "--export", "x", cwd=folder, check=2).err
    assert "none.db" in run(folder, "none.db", check=1).err
    assert "no collection PerfVOD" in run(folder, "--export", "new.db", check=1).err  # nothing was gathered yet
    assert not (folder / "new.db").exists()
