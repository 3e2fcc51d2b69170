"""dozo import nagato: the database and the settings of a nagato service (contracts/nagato.md sections 2 and 9)."""
import hashlib
import json
import os
import sqlite3

import pytest

from conftest import dozo

# As the service itself makes them.
TABLES = ("""
            CREATE TABLE chapters (
                site VARCHAR(255) NOT NULL,
                id VARCHAR(255) NOT NULL,
                manga VARCHAR(255) NOT NULL,
                mark CHAR(1) NOT NULL,
                PRIMARY KEY (site, id)
            )
          """, """
            CREATE TABLE mangas (
                site VARCHAR(255) NOT NULL,
                id VARCHAR(255) NOT NULL,
                PRIMARY KEY (site, id)
            )
          """)
CHAPTERS = [("mangadex.org", "c1", "m1", "D"), ("mangadex.org", "c2", "m1", "I"),
            ("www.japscan.ws/lecture-en-ligne/one-piece", "1000", "one-piece", "D")]
MANGAS = [("mangadex.org", "m2"), ("mangadex.org", "m1")]
CONF = {
    "global": {"chapters.destination": "/data", "chapters.format": "${manga} -.- C${chapter} ${title}", "chapters.method": "cbz",
               "chapters.pagedelay": 0, "mangas.separate": True},
    "api": {"database.path": "nagato.db", "requests.cache.maxlen": 50, "requests.cache.threshold": 3600, "requests.timeout.connect": 3.05,
            "requests.timeout.read": 10, "compression.cbz.additional_data": False},
    "downloaders": {"mangadex.org": {"language.filter": "fr"},
                    "www.japscan.ws/lecture-en-ligne/one-piece": {"requests.user-agent": "Mozilla/5.0"}},
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "theirs").mkdir()
    return tmp_path


def make(path, chapters=CHAPTERS, mangas=MANGAS, wal=False):
    """The database, still open when it has a journal."""
    db = sqlite3.connect(path)
    if wal:
        db.execute("PRAGMA journal_mode=WAL")
    for sql in TABLES:
        db.execute(sql)
    db.executemany("INSERT INTO chapters VALUES (?, ?, ?, ?)", chapters)
    db.executemany("INSERT INTO mangas VALUES (?, ?)", mangas)
    db.commit()
    if wal:
        return db
    db.close()
    return None


def run(folder, *args, check=0):
    return dozo("import", "nagato", *args, cwd=folder, check=check, env={"DOZO_DATA_DIR": str(folder / "data")})


def ours(folder):
    with sqlite3.connect(f"file:{folder}/data/dozo.db?mode=ro", uri=True) as db:
        return (db.execute("SELECT source, chapter, series, mark FROM mark ORDER BY source, chapter").fetchall(),
                db.execute("SELECT source, series FROM favourite ORDER BY id").fetchall())


def picture(path):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in path.iterdir()}


def test_all_of_it_and_twice(folder):
    make(folder / "theirs/nagato.db")
    before = picture(folder / "theirs")
    first = run(folder, "theirs/nagato.db")
    assert first.out.startswith("3 marks (3 new), 2 favourites (2 new) in ")
    assert ours(folder) == (CHAPTERS, MANGAS)
    again = run(folder, "theirs/nagato.db")
    assert again.out.startswith("3 marks (3 unchanged), 2 favourites (2 unchanged) in ")
    assert ours(folder) == (CHAPTERS, MANGAS)
    assert picture(folder / "theirs") == before


def test_while_the_service_writes(folder):
    db = make(folder / "theirs/nagato.db", wal=True)
    assert (folder / "theirs/nagato.db-wal").stat().st_size > 0
    db.execute("DELETE FROM mangas WHERE id = 'm1'")  # not committed
    run(folder, "theirs/nagato.db")
    assert ours(folder) == (CHAPTERS, MANGAS)
    db.rollback()
    db.execute("INSERT INTO chapters VALUES ('mangadex.org', 'c3', 'm1', 'D')")
    db.commit()
    assert json.loads(run(folder, "theirs/nagato.db", "--json").out)["marks_new"] == 1
    db.close()


def test_a_disk_that_cannot_be_written(folder):
    make(folder / "theirs/nagato.db", wal=True).close()
    before = picture(folder / "theirs")
    assert list(before) == ["nagato.db"]
    os.chmod(folder / "theirs/nagato.db", 0o444)
    os.chmod(folder / "theirs", 0o555)
    try:
        run(folder, "theirs/nagato.db")
    finally:
        os.chmod(folder / "theirs", 0o755)
    assert ours(folder) == (CHAPTERS, MANGAS)
    assert picture(folder / "theirs") == before


def test_rows_that_cannot_be_used(folder):
    bad = [("mangadex.org", "c9", "m1", "X"), ("mangadex.org", "x" * 5000, "m1", "D"), ("mangadex.org", "c8", b"\xff", "D")]
    make(folder / "theirs/nagato.db", chapters=CHAPTERS[:1] + bad + CHAPTERS[1:])
    r = run(folder, "theirs/nagato.db", "--json", check=1)
    told = json.loads(r.out)
    assert (told["ok"], told["errors"], told["marks_new"], told["favourites_new"]) == (False, 3, 3, 2)
    assert [(e["path"], e["entry"]) for e in told["error_list"]] == [("theirs/nagato.db", f"chapters row {n}") for n in (2, 3, 4)]
    assert 'mark "X" is neither D nor I' in r.err and "id is longer than 4096 bytes" in r.err and "manga is no text" in r.err
    assert ours(folder) == (CHAPTERS, MANGAS)


def test_settings_become_lines(folder):
    make(folder / "theirs/nagato.db")
    (folder / "theirs/conf.json").write_text(json.dumps(CONF, indent="\t"))
    r = run(folder, "theirs/nagato.db", "theirs/conf.json")
    assert "3 marks (3 new), 2 favourites (2 new)" in r.err and "marks" not in r.out
    (folder / "dozo.yaml").write_text(r.out)
    dump = json.loads(dozo("config", "dump", "--json", "--config", "dozo.yaml", cwd=folder, check=0).out)
    d = dump["downloads"]
    assert (d["destination"], d["format"], d["method"], d["separate"]) == (
        "/data", "${manga} -.- C${chapter} ${title}", "cbz", True)
    assert dump["sources"]["mangadex.org"]["language"] == "fr"
    assert dump["sources"]["http_cache"]["max_entries"] == 50
    left_out = r.out[r.out.index("# Not taken over:"):]
    assert "database.path" in left_out and "requests.user-agent" in left_out and "chapters.method" not in left_out
    told = json.loads(run(folder, "theirs/nagato.db", "theirs/conf.json", "--json").out)
    assert told["settings"] == r.out and told["marks_unchanged"] == 3
    assert run(folder, "theirs/nagato.db", "theirs/conf.json", "--quiet").out == r.out


def test_a_few_keys_of_a_user(folder):
    make(folder / "theirs/nagato.db")
    (folder / "theirs/conf.json").write_text('{"global": {"chapters.pagedelay": 1.5, "colour": "red\\n# x"}}')
    out = run(folder, "theirs/nagato.db", "theirs/conf.json").out
    assert "downloads:\n  page_delay: 1500ms\n" in out and "sources:" not in out
    assert '#   "global" "colour": "red\\n# x" (' in out


def test_wrong_use(folder):
    make(folder / "theirs/nagato.db")
    (folder / "theirs/bad.json").write_text('{"global": ')
    for args in ([], ["a", "b", "c"], ["theirs/nagato.db", "--shelf", "x"], ["theirs/nagato.db", "--series", "x"]):
        assert "Usage:" in run(folder, *args, check=2).err
    r = run(folder, "theirs/nagato.db", "theirs/bad.json", check=1)
    assert "theirs/bad.json:1:" in r.err and r.out == ""
    assert not (folder / "data/dozo.db").exists()  # nothing was begun
    assert "No such file" in run(folder, "theirs/none.db", check=1).err
    assert "not a database" in run(folder, "theirs/bad.json", check=1).err
