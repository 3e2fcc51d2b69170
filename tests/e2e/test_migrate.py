"""dozo migrate: a whole library from SQLite and files to PostgreSQL and back, and what must stop it."""
import secrets
import sqlite3

import pytest

import kvm48
from comics import page, write
from conftest import dozo, shared
from test_uploads import CONFIG, upload

TABLES = ("series", "chapter", "blob", "page", "asset", "shelf", "change", "job", "crawl_state", "part", "mark", "favourite", "upload",
          "upload_gone")


class Scheme:
    """A schema of its own on the shared PostgreSQL, as settings name it."""

    def __init__(self):
        self.name = "m_" + secrets.token_hex(6)
        self.server = shared("postgres")
        self.sql(f"CREATE SCHEMA {self.name}")
        self.uri = f"{self.server}?options=-csearch_path%3D{self.name}"

    def sql(self, text):
        r = dozo("-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.server, "-c", text, cwd="/", binary="psql")
        assert r.returncode == 0, r.err
        return r.out.strip()

    def drop(self):
        self.sql(f"DROP SCHEMA {self.name} CASCADE")


@pytest.fixture
def scheme():
    s = Scheme()
    yield s
    s.drop()


def settings(folder, name, data, more=""):
    path = folder / name
    path.write_text(f"data_dir: {data}\n{CONFIG}{more}")
    return path


def postgres(scheme, store=True):
    lines = f'catalog: {{ driver: postgres, uri: "{scheme.uri}" }}\n'
    return lines + (f'store: {{ driver: postgres, uri: "{scheme.uri}", table: my_images }}\n' if store else "")


def fill(tmp_path, serve):
    """A library with something of everything; what its readers see."""
    kvm48.store(tmp_path, kvm48.VODS)
    (tmp_path / "data").rename(tmp_path / "old")
    write(tmp_path, {f"Comic/c{c}/p{n:02d}.png": page(c * 20 + n) for c in (1, 2, 3) for n in range(1, 6)})
    old = settings(tmp_path, "old.yaml", tmp_path / "old")
    assert dozo("import", "--config", str(old), "--shelf", "comic", str(tmp_path / "Comic"), cwd=tmp_path).returncode == 0
    server = serve(tmp_path, old.read_text())
    ids = [upload(server, data=data, kind=kind)[0] for data, kind in
           ((page(500), "image/png"), (b"plain words", "text/plain"), (page(21), None), (b"", "application/x-empty"))]
    gone = upload(server, data=b"going")[0]
    assert server.request("DELETE", f"/delete/{gone}", headers={"Authorization": CONFIG.split()[-2]}).status == 204
    seen = look(server, ids)
    assert server.stop() == 0
    return old, ids, seen


def look(server, ids):
    chapters = server.get("/shelf/comic/v1/chapters").body
    files = {path: (r.status, r.body, r["Content-Type"], r["ETag"]) for path in
             [f"/shelf/comic/cdn/{c}-{n:02d}.png" for c in (1, 2, 3) for n in range(1, 7)] + [f"/image/{i}" for i in ids]
             for r in [server.get(path)]}
    rows = server.request("POST", "/api/graphql", headers={"Content-Type": "application/json"},
                          body=b'{"query":"{ perfVods(from: 0, to: 2000000000) { id l4cId title startTime subtitle group } }"}').body
    return chapters, files, rows


def dump(database):
    with sqlite3.connect(database) as db:
        names = [*TABLES, *(r[0] for r in db.execute("SELECT table_name FROM collection"))]
        rows = {name: sorted(map(repr, db.execute(f'SELECT * FROM "{name}"'))) for name in names}
        rows["sequences"] = sorted(db.execute("SELECT name, seq FROM sqlite_sequence"))
    return rows


def migrate(folder, source, target, *args):
    return dozo("migrate", "--config", str(source), "--to", str(target), *args, cwd=folder)


def test_there_and_back(tmp_path, serve, scheme):
    old, ids, seen = fill(tmp_path, serve)
    assert seen[1]["/shelf/comic/cdn/1-01.png"][0] == 200 and all(seen[1][f"/image/{i}"][0] == 200 for i in ids)
    assert b'"l4cId"' in seen[2]
    new = settings(tmp_path, "new.yaml", tmp_path / "new", postgres(scheme))
    r = migrate(tmp_path, old, new)
    assert r.returncode == 0, r.err
    assert "copied and compared" in r.out and "4 uploads" in r.out
    # Uploads lie under their names, as imoog has them; what only they use is there once.
    assert scheme.sql(f"SELECT count(*) FROM {scheme.name}.my_images WHERE length(name) < 64") == "4"
    server = serve(tmp_path, new.read_text())
    assert look(server, ids) == seen
    assert server.stop() == 0
    again = migrate(tmp_path, old, new)
    if again.returncode != 0:  # the server has written of its health meanwhile
        assert "crawl_state" in again.err or "job" in again.err
    third = settings(tmp_path, "third.yaml", tmp_path / "third")
    r = migrate(tmp_path, new, third)
    assert r.returncode == 0, r.err
    before, after = dump(tmp_path / "old/dozo.db"), dump(tmp_path / "third/dozo.db")
    for name in before:
        if name not in ("crawl_state", "job", "sequences"):
            assert after[name] == before[name], name
    assert dict(after["sequences"]).items() >= {k: v for k, v in before["sequences"] if k != "job"}.items()
    assert dozo("check", "--config", str(third), cwd=tmp_path).returncode == 0
    server = serve(tmp_path, third.read_text())
    assert look(server, ids) == seen


def test_what_is_there_already_is_no_fault(tmp_path, serve, scheme):
    old, _, _ = fill(tmp_path, serve)
    new = settings(tmp_path, "new.yaml", tmp_path / "new", postgres(scheme))
    assert migrate(tmp_path, old, new).returncode == 0
    r = migrate(tmp_path, old, new, "--json", "--quick")
    assert r.returncode == 0, r.err
    assert '"catalog_there":true' in r.out and '"blobs_copied":0,"uploads_copied":0' in r.out
    # Something else there: nothing is written over it.
    scheme.sql(f"UPDATE {scheme.name}.series SET title = 'another'")
    r = migrate(tmp_path, old, new)
    assert r.returncode == 1 and "holds something else (table series)" in r.err
    assert scheme.sql(f"SELECT title FROM {scheme.name}.series") == "another"


def test_only_one_of_both(tmp_path, serve, scheme):
    old, ids, seen = fill(tmp_path, serve)
    records = settings(tmp_path, "records.yaml", tmp_path / "old", postgres(scheme, store=False))
    r = migrate(tmp_path, old, records)
    assert r.returncode == 0 and "The store is the same" in r.out, r.err
    both = settings(tmp_path, "both.yaml", tmp_path / "old", postgres(scheme))
    r = migrate(tmp_path, records, both)
    assert r.returncode == 0 and "The catalog is the same" in r.out, r.err
    server = serve(tmp_path, both.read_text())
    assert look(server, ids) == seen


def test_zero_is_zero(tmp_path, serve, scheme):
    old, ids, seen = fill(tmp_path, serve)
    new = settings(tmp_path, "new.yaml", tmp_path / "new", postgres(scheme))
    assert migrate(tmp_path, old, new).returncode == 0
    assert scheme.sql(f"UPDATE {scheme.name}.chapter SET sort = '-0' WHERE id = (SELECT min(id) FROM {scheme.name}.chapter) RETURNING sort") == "-0"
    for _ in range(2):
        r = migrate(tmp_path, new, settings(tmp_path, "third.yaml", tmp_path / "third"))
        assert r.returncode == 0, r.err


def test_what_stops_it(tmp_path, serve, scheme):
    old, _, _ = fill(tmp_path, serve)
    new = settings(tmp_path, "new.yaml", tmp_path / "new", postgres(scheme))
    r = migrate(tmp_path, old, old)
    assert r.returncode == 1 and "the same catalog and the same store" in r.err
    r = dozo("migrate", "--config", str(old), cwd=tmp_path)
    assert r.returncode == 2 and "--to FILE is missing" in r.err
    r = migrate(tmp_path, settings(tmp_path, "none.yaml", tmp_path / "nothing"), new)
    assert r.returncode == 1 and "no library in" in r.err and not (tmp_path / "nothing").exists()
    server = serve(tmp_path, old.read_text())
    r = migrate(tmp_path, old, new)
    assert r.returncode == 1 and str(server.process.pid) in r.err
    assert server.stop() == 0
    # A page that is lost at the source is named, and no record is copied.
    blob = next(p for p in sorted((tmp_path / "old/blobs").rglob("*")) if p.is_file())
    blob.rename(tmp_path / "aside")
    r = migrate(tmp_path, old, new)
    assert r.returncode == 1 and "blob " in r.err
    assert scheme.sql(f"SELECT count(*) FROM {scheme.name}.series") == "0"
    (tmp_path / "aside").rename(blob)
    assert migrate(tmp_path, old, new).returncode == 0
