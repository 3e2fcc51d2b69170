"""dozo import imoog: rows of its database into the library and back, with its settings file, which is read and never run."""
import json
import re
import secrets
import zlib

import pytest

from conftest import dozo, png, shared
from test_uploads import KEY, keyed, sql

PNG = png()


@pytest.fixture
def table():
    name = "im_" + secrets.token_hex(6)
    sql(f"CREATE TABLE {name} (name TEXT PRIMARY KEY, image BYTEA, mime TEXT)")
    yield name
    for suffix in ("", "_dozo", "_dozo_part", "_back", "_back_dozo", "_back_dozo_part"):
        sql(f"DROP TABLE IF EXISTS {name}{suffix} CASCADE")


def put(table, name, data, mime="image/png"):
    kind = "NULL" if mime is None else f"'{mime}'"
    sql(f"INSERT INTO {table} VALUES ('{name}', '\\x{zlib.compress(data, 6).hex()}', {kind})")


def settings(table, uri):
    return f'''# settings of imoog
import os
raise SystemExit("this must never run")

DATABASE_DRIVERS = {{
    "driver": "imoog.database.postgres",  # or mongo
    "config": {{"connection_uri": (
        "{uri[:12]}" '{uri[12:]}'), "table_name": "{table}", "max_size": 20, "min_size": 2,}},
}}
CACHE_DRIVERS: dict = {{"driver": "imoog.cache.rediscache", "config": {{"connection_uri": "redis://127.0.0.1:1", "username": "u", "password": "p@ss"}}}}
SECRET_KEY = r"a\\key"
MAX_CACHE_SIZE = 'inf'
DELIVER_ENDPOINT = "/f/"
DELETE_ENDPOINT_METHODS = ["DELETE",]
FILE_NAME_LENGTH = 1_2
NOT_FOUND_STATUS_CODE = int(os.environ["X"])
FALLBACK_FILE_EXT = f"p{{1}}g"
USE_OPENGRAPH = True
OPENGRAPH_PROPERTIES = {{"title": "T\\u00fc", "type": "website"}}
OPENGRAPH_BASE_HTML = """<html>
<head>{{opengraph}}</head></html>"""
WHATEVER = None
if True:
    SECRET_KEY = "another"

def f():
    return """SECRET_KEY = 1
SECRET_KEY = 2"""
'''


def run(folder, *args, check=0, config=None):
    (folder / "dozo.yaml").write_text(config or f"uploads: {{ secret_key: {KEY} }}\n")
    r = dozo("import", "imoog", *args, "--json", cwd=folder, check=check)
    return json.loads(r.out)


def test_there_and_back(tmp_path, serve, table):
    uri = shared("postgres")
    for i in range(150):
        put(table, f"N{i}", PNG if i % 3 == 0 else b"%d" % i * i, None if i % 2 else "image/png")
    put(table, "a.b/ü", b"odd name")
    sql(f"INSERT INTO {table} VALUES ('BROKEN', '\\x789c01', 'image/png')")
    (tmp_path / "settings.py").write_text(settings(table, uri))
    before = sql(f"SELECT name, md5(image), mime FROM {table} ORDER BY name")
    r = run(tmp_path, "--dry-run", "settings.py", check=1)
    assert (r["uploads_new"], r["errors"]) == (151, 1)
    assert not any(p.is_file() for p in (tmp_path / "data/blobs").rglob("*"))
    r = run(tmp_path, "settings.py", check=1)
    assert (r["uploads_new"], r["uploads_unchanged"], r["errors"]) == (151, 0, 1) and "BROKEN" in json.dumps(r["error_list"])
    again = run(tmp_path, uri, "--table", table, check=1)
    assert (again["uploads_new"], again["uploads_unchanged"]) == (0, 151)
    assert sql(f"SELECT name, md5(image), mime FROM {table} ORDER BY name") == before
    server = serve(tmp_path, f"uploads: {{ secret_key: {KEY} }}\n")
    for i in range(150):
        got = server.get(f"/image/N{i}.x")
        want = PNG if i % 3 == 0 else b"%d" % i * i
        assert (got.status, got.body, got["Content-Type"]) == (200, want, None if i % 2 else "image/png")
    assert keyed(server, "DELETE", "/delete/N1").status == 204
    server.stop()
    # Back, into a table of its own and then into the first one, where only N1 is more.
    r = run(tmp_path, "--export", uri, "--table", table + "_back")
    assert (r["uploads_new"], r["uploads_unchanged"]) == (150, 0)
    rows = {line.split("|")[0]: line.split("|")[1:] for line in sql(f"SELECT name, encode(image, 'hex'), coalesce(mime, 'null') FROM {table}_back")}
    assert len(rows) == 150 and zlib.decompress(bytes.fromhex(rows["N3"][0])) == PNG and rows["N3"][1] == "null"
    r = run(tmp_path, "--export", uri, "--table", table)
    assert (r["uploads_new"], r["uploads_unchanged"]) == (0, 150)


def test_clashes_stay(tmp_path, table):
    put(table, "X", b"one")
    put(table, "Y", b"two")
    run(tmp_path, shared("postgres"), "--table", table)
    sql(f"DELETE FROM {table}")
    sql(f"DROP TABLE {table}_dozo, {table}_dozo_part")
    put(table, "X", b"other")
    put(table, "Y", b"two")
    r = run(tmp_path, shared("postgres"), "--table", table)
    assert (r["uploads_new"], r["uploads_unchanged"], r["uploads_kept"]) == (0, 1, 1)
    assert "upload X" in json.dumps(r["warning_list"])


def test_the_store_is_that_database(tmp_path, table):
    uri = shared("postgres")
    put(table, "X", PNG)
    config = f'store: {{ driver: postgres, uri: "{uri}", table: {table} }}\n'
    r = run(tmp_path, uri, "--table", table, config=config)
    assert (r["same_database"], r["uploads_new"], r["uploads_unchanged"], r["uploads_adopted"]) == (1, 0, 1, 1)
    r = dozo("import", "imoog", uri, "--table", table, cwd=tmp_path, check=0)
    assert "nothing to copy" in r.out and "0 known anew" in r.out


def test_settings_as_lines(tmp_path, table):
    (tmp_path / "settings.py").write_text(settings(table, shared("postgres")))
    (tmp_path / "dozo.yaml").write_text("")
    r = dozo("import", "imoog", "settings.py", cwd=tmp_path, check=0)
    other = tmp_path / "other"
    other.mkdir()
    (other / "dozo.yaml").write_text(r.out)
    dump = json.loads(dozo("config", "dump", "--json", cwd=other, check=0).out)
    store, uploads = dump["store"], dump["uploads"]
    assert (store["driver"], store["table"], store["pool_min"], store["pool_max"]) == ("postgres", table, 2, 20)
    assert dump["cache"]["driver"] == "redis" and "u:p%40ss@127.0.0.1:1" in r.out and dump["cache"]["max_entries"] == "inf"
    assert (uploads["endpoint"], uploads["name_length"], uploads["delete_methods"]) == ("/f/", 12, ["DELETE"])
    assert uploads["opengraph"]["properties"] == {"title": "Tü", "type": "website"}
    assert uploads["opengraph"]["base_html"] == "<html>\n<head>{opengraph}</head></html>"
    assert 'secret_key: "a\\\\key"' in r.out
    for name in ("NOT_FOUND_STATUS_CODE", "FALLBACK_FILE_EXT", "WHATEVER"):
        assert re.search(rf"^#   {name}: ", r.out, re.M)


def test_wrong_use(tmp_path, table):
    uri = shared("postgres")
    (tmp_path / "dozo.yaml").write_text("")
    for args, status, words in (((), 2, "SETTINGS_PY"), ((uri, "--database", "x"), 1, "--table"), (("redis://x",), 1, "not in redis://"),
                                ((uri, "--table", table + "x"), 1, f"no table {table}x"), (("none.py",), 1, "none.py"), ((uri, "--series", "x"), 2, "--series")):
        r = dozo("import", "imoog", *args, cwd=tmp_path, check=status)
        assert words in r.err, r.err
    assert sql(f"SELECT to_regclass('{table}x')") == [""]
    for text, words in (("A = '", "line 1"), ("\nA = [1,\n", "line 2"), ("A = " + "[" * 100, "deep"), ("A = 1\n", "DATABASE_DRIVERS")):
        (tmp_path / "s.py").write_text(text)
        assert words in dozo("import", "imoog", "s.py", cwd=tmp_path, check=1).err
