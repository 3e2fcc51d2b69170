"""A store in PostgreSQL: rows are read back the way imoog reads them, and what was answered outlives a kill of the database."""
import secrets
import subprocess
import threading
import zlib

import pytest

from conftest import dozo, own, png, servers, tool, until
from test_mongodb import rows_that_change, try_upload
from test_uploads import KEY, keyed, part, send, upload

PNG = png()


@pytest.fixture
def postgres(tmp_path):
    database = own(servers.Postgres, tmp_path / "pg")
    yield database
    database.stop()


@pytest.fixture
def server(tmp_path, serve, postgres):
    return serve(tmp_path, f"""uploads: {{ secret_key: {KEY} }}
store: {{ driver: postgres, uri: "{postgres.uri}", table: my_images }}
cache: {{ max_entries: 0 }}
""")


def psql(postgres, text):
    return subprocess.run([tool("psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", postgres.uri], input=text, capture_output=True,
                          text=True, check=True).stdout.strip()


def row(postgres, name):
    """As imoog's SELECT has it: the bytes of image, and mime or None."""
    text = f"SELECT encode(image, 'hex'), mime, mime IS NULL FROM my_images WHERE name = '{name}'"
    image, mime, is_null = psql(postgres, text).split("|")
    return bytes.fromhex(image), None if is_null == "t" else mime


def test_rows_are_given_back(server, postgres):
    sent = [(PNG, "image/png"), (b"text, " * 10000, "text/plain"), (b"", "application/octet-stream"), (secrets.token_bytes(300000), None)]
    for data, kind in sent:
        name, _ = upload(server, data=data, kind=kind)
        image, mime = row(postgres, name)
        assert zlib.decompress(image) == data
        assert mime == kind


def test_rows_that_change(server, postgres):
    def put(name, image, mime):
        kind = f"'{mime}'" if mime else "NULL"
        psql(postgres, f"UPDATE my_images SET image = '\\x{image.hex()}', mime = {kind} WHERE name = '{name}'")
    rows_that_change(server, put)


def test_what_was_answered_outlives_a_kill(server, postgres):
    kept, stop = {}, threading.Event()

    def send_on():
        while not stop.is_set():
            data = secrets.token_bytes(20000)
            name = try_upload(server, data)
            if name:
                kept[name] = data

    threads = [threading.Thread(target=send_on) for _ in range(6)]
    for t in threads:
        t.start()
    for goal in (30, 60):
        until(lambda: len(kept) > goal)
        postgres.kill()
        until(lambda: try_upload(server, PNG) is None)
        postgres.start()
    before = len(kept)
    until(lambda: len(kept) > before + 5)
    stop.set()
    for t in threads:
        t.join()
    until(lambda: server.get(f"/image/{next(iter(kept))}").status == 200)  # readers are let in again
    for name, data in kept.items():
        image, _ = row(postgres, name)
        assert zlib.decompress(image) == data
        r = server.get(f"/image/{name}")
        assert (r.status, r.body) == (200, data)



def refused(folder, config, words):
    """A start that ends with the grant that is missing."""
    (folder / "dozo.yaml").write_text(config)
    r = dozo("serve", "--config", "dozo.yaml", cwd=folder, check=1)
    assert words in r.err and "127.0.0.1" in r.err, r.err


def test_what_the_role_may_not_do_in_the_catalog(tmp_path, serve, postgres):
    config = f"""listen: ["127.0.0.1:0"]
catalog: {{ driver: postgres, uri: "{postgres.uri}" }}
uploads: {{ secret_key: {KEY} }}
"""
    assert serve(tmp_path, config).stop() == 0
    psql(postgres, "CREATE ROLE guest LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest;"
                   "REVOKE INSERT, UPDATE ON upload FROM guest; REVOKE INSERT, UPDATE, DELETE ON schema_version FROM guest;"
                   "CREATE TABLE other (n int)")
    config = config.replace("dozo@", "guest@")
    refused(tmp_path, config, "GRANT INSERT, UPDATE ON public.upload TO guest")
    psql(postgres, "GRANT INSERT, UPDATE ON upload TO guest")
    server = serve(tmp_path, config)
    name, _ = upload(server)
    assert server.get(f"/image/{name}").body == PNG


def test_what_the_role_may_not(tmp_path, server, serve, postgres):
    """Said at the start; later our own fault and told in the log, never the sender's or reader's. What may only be read for a while is another matter."""
    name, _ = upload(server)
    psql(postgres, "CREATE ROLE guest LOGIN; GRANT SELECT ON my_images TO guest")
    config = server.config.read_text().replace("dozo@", "guest@")
    assert server.stop() == 0
    refused(tmp_path, config, 'GRANT INSERT, DELETE ON "my_images" TO guest')
    psql(postgres, "GRANT INSERT, DELETE ON my_images TO guest; GRANT SELECT, INSERT, DELETE ON my_images_dozo TO guest")
    refused(tmp_path, config, 'GRANT UPDATE ON "my_images_dozo" TO guest')
    psql(postgres, "GRANT UPDATE ON my_images_dozo TO guest; GRANT SELECT, INSERT, DELETE ON my_images_dozo_part TO guest")
    server = serve(tmp_path, config)
    assert server.get(f"/image/{name}").body == PNG and send(server, part()).status == 200
    psql(postgres, "REVOKE ALL ON my_images, my_images_dozo, my_images_dozo_part FROM guest")
    assert send(server, part()).status == 500
    assert server.get(f"/image/{name}").status == 500
    assert keyed(server, "DELETE", f"/delete/{name}").status == 500
    assert "permission denied for table my_images" in server.read_log()
    assert server.stop() == 0
    psql(postgres, "ALTER ROLE dozo SET default_transaction_read_only = on")
    server = serve(tmp_path, config.replace("guest@", "dozo@"))
    assert send(server, part()).status == 503
    assert server.get(f"/image/{name}").body == PNG
    until(lambda: "an upload was not kept" in server.read_log() and "read-only" in server.read_log())
