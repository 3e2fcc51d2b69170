"""The front goes on when the database of the catalog dies or is silent: what it has shown it shows, /healthz says so, and it heals by itself."""
import pytest

from comics import page, write
from conftest import dozo, own, servers, until
from test_far import addresses, health, metric
from test_uploads import KEY, keyed, upload

PAGES = {f"S/c{c}/{n}.png": page(10 * c + n) for c in (1, 2) for n in (1, 2)}


@pytest.fixture
def postgres(tmp_path):
    with own(servers.Postgres, tmp_path / "pg") as p:
        yield p


@pytest.fixture
def server(tmp_path, serve, postgres):
    config = f'listen: ["127.0.0.1:0"]\ncatalog: {{ driver: postgres, uri: "{postgres.uri}" }}\nuploads: {{ secret_key: {KEY} }}\n'
    write(tmp_path / "in", PAGES)
    (tmp_path / "dozo.yaml").write_text(config)
    dozo("import", "in/S", "--config", "dozo.yaml", cwd=tmp_path, check=0)
    return serve(tmp_path, config)


def add_chapter(folder):
    write(folder / "in", {"S/c3/1.png": page(31)})
    dozo("import", "in/S", "--config", "dozo.yaml", cwd=folder, check=0)


def still_serves(server, pages, cbz, front):
    assert server.get("/").text == front
    for name, path in pages.items():
        assert server.get(path).body == PAGES[name]
    assert server.get(cbz[0]).status == 200


def paths(server):
    pages, cbz = addresses(server, PAGES)
    return pages, cbz, server.get("/").text


def test_it_dies(tmp_path, server, postgres):
    pages, cbz, front = paths(server)
    server.get(cbz[0])  # its checksums are known and kept in RAM from now on
    name, _ = upload(server, data=page(99))
    assert server.get(f"/image/{name}").body == page(99)
    postgres.kill()
    until(lambda: '"catalog":"ok"' not in health(server), "the loss of the catalog")
    assert '"status":"degraded"' in health(server) and metric(server, "dozo_catalog_up") == 0
    for _ in range(3):
        still_serves(server, pages, cbz, front)
        assert server.get(f"/image/{name}").body == page(99)
    assert server.get("/image/UNKNOWN").status == 503
    assert keyed(server, "DELETE", f"/delete/{name}").status == 503
    postgres.start()
    until(lambda: '"catalog":"ok"' in health(server), "the return of the catalog")
    assert server.get("/image/UNKNOWN").status == 404
    assert keyed(server, "DELETE", f"/delete/{name}").status == 204
    add_chapter(tmp_path)
    until(lambda: len(addresses(server, PAGES)[1]) == 3, "the new chapter")


def test_it_is_silent(tmp_path, server, postgres):
    pages, cbz, front = paths(server)
    server.get(cbz[0])
    paused = postgres.pause()
    try:
        until(lambda: '"catalog":"ok"' not in health(server), "the loss of the catalog")
        still_serves(server, pages, cbz, front)
    finally:
        postgres.resume(paused)
    until(lambda: '"status":"ok"' in health(server), "the return of the catalog")
    add_chapter(tmp_path)
    until(lambda: len(addresses(server, PAGES)[1]) == 3, "the new chapter")
