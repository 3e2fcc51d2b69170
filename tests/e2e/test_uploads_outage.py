"""Uploads while their database is away, in the middle of one too, and deletions that another server hears of."""
import secrets
import signal
import threading

import pytest

from conftest import Raw, own, servers, shared, until
from test_uploads import CONFIG, KEY, PNG, form, keyed, part, send, sql, upload


def config(uri, table="my_images"):
    return CONFIG + f'store: {{ driver: postgres, uri: "{uri}", table: {table} }}\n'


@pytest.fixture
def postgres(tmp_path):
    with own(servers.Postgres, tmp_path / "pg") as p:
        yield p


def rows(postgres):
    return set(postgres.sql("SELECT name FROM my_images").splitlines())


def test_the_database_goes_and_comes(tmp_path, serve, postgres):
    server = serve(tmp_path, config(postgres.uri))
    hot, cold = upload(server)[0], upload(server, data=b"cold")[0]
    assert server.get("/image/" + hot).body == PNG
    known = rows(postgres)
    postgres.kill()
    statuses = []

    def ask():
        r = server.get("/image/" + cold)
        statuses.append((r.status, r["Retry-After"]))
    threads = [threading.Thread(target=ask) for _ in range(24)]
    for t in threads:
        t.start()
    for _ in range(3):
        assert server.get("/image/" + hot).body == PNG
        r = send(server, part())
        assert (r.status, r["Retry-After"]) == (503, "1")
        r = keyed(server, "DELETE", "/delete/" + cold)
        assert (r.status, r["Retry-After"]) == (503, "1")
    for t in threads:
        t.join()
    assert set(statuses) == {(503, "1")} and len(statuses) == 24
    postgres.start()
    until(lambda: server.get("/image/" + cold).status == 200, "the database's return")
    assert server.get("/image/" + cold).body == b"cold"
    until(lambda: rows(postgres) == known, "an end of what was refused")
    name, _ = upload(server)
    assert server.get("/image/" + name).body == PNG and rows(postgres) == known | {name}
    assert keyed(server, "DELETE", "/delete/" + cold).status == 204
    assert server.get("/image/" + cold).status == 404


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_it_goes_in_the_middle_of_a_long_upload(tmp_path, serve, postgres, how):
    server = serve(tmp_path, config(postgres.uri))
    first, _ = upload(server)
    headers, body = form(part(secrets.token_bytes(60 * 1024 * 1024 - 300)))
    c = Raw(server.address)
    c.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
           % (KEY.encode(), headers["Content-Type"].encode(), len(body)))
    c.send(body[:len(body) // 2])
    postgres.kill() if how == signal.SIGKILL else postgres.pause()
    c.send(body[len(body) // 2:])
    r = c.response()
    assert (r.status, r["Retry-After"]) == (503, "1")
    assert server.get("/healthz").status in (200, 503)
    postgres.start() if how == signal.SIGKILL else postgres.resume()
    until(lambda: send(server, part()).status == 200, "the database's return")
    names = rows(postgres)
    assert first in names and len(names) == 2


def test_another_server_hears_of_deletions(tmp_path, serve):
    uri, table, schema = shared("postgres"), "up_" + secrets.token_hex(6), "s_" + secrets.token_hex(6)
    sql(f"CREATE SCHEMA {schema}")
    try:
        catalog = f'catalog: {{ driver: postgres, uri: "{uri}?options=-csearch_path%3D{schema}" }}\n'
        for n in "ab":
            (tmp_path / n).mkdir()
        a, b = (serve(tmp_path / n, config(uri, f"{schema}.{table}") + catalog, args=("--role", "front")) for n in "ab")
        for _ in range(3):
            name, _ = upload(a)
            assert b.get("/image/" + name).status == b.get("/image/" + name).status == 200
            assert keyed(a, "DELETE", "/delete/" + name).status == 204
            assert a.get("/image/" + name).status == 404
            until(lambda: b.get("/image/" + name).status == 404, "news of a deletion")  # noqa: B023
        a.stop()
        b.stop()
    finally:
        sql(f"DROP SCHEMA {schema} CASCADE")
