"""Serving from a store that is a database, with RAM and a Redis in front of it: the same answers as from files, and what becomes of them
when the database or Redis dies, is silent and comes back. Databases here are the tests' own, to be killed."""
import asyncio
import concurrent.futures
import io
import itertools
import re
import zipfile
import zlib

import pytest
import redis.asyncio

from comics import big_png, page, write
from conftest import dozo, own, servers, until
from test_uploads import KEY, keyed, upload

PAGES = {"S/c1/1.png": page(1), "S/c1/2.png": big_png(700), "S/c1/3.png": big_png(1700), "S/c2/1.png": page(2), "S/c2/2.png": page(3)}


def settings(postgres, cache=None, more=""):
    lines = f"store: {{ driver: postgres, uri: \"{postgres.uri}\", pool_max: 4 }}\nuploads: {{ secret_key: {KEY} }}\n{more}"
    if cache:
        lines += f"cache: {{ driver: redis, uri: \"{cache.uri}\" }}\n"
    return lines


@pytest.fixture
def postgres(tmp_path):
    with own(servers.Postgres, tmp_path / "pg") as p:
        yield p


@pytest.fixture
def cache(tmp_path):
    with own(servers.Redis, tmp_path / "redis") as r:
        yield r


def library(folder, config):
    """Imports the pages above; what dozo serves with the same settings has them."""
    write(folder / "in", PAGES)
    (folder / "dozo.yaml").write_text(f'listen: ["127.0.0.1:0"]\n{config}')
    dozo("import", "in/S", "--config", "dozo.yaml", cwd=folder, check=0)


def addresses(server, names=PAGES):
    """Of these pages, by their names, and of the chapters as files."""
    series = re.search(r"/series/(\d+)", server.get("/").text).group(1)
    chapters = sorted(set(re.findall(rf"/read/{series}/(\d+)", server.get(f"/series/{series}").text)), key=int)
    found = {f"S/c{c + 1}/{n}.png": f"/page/{series}/{chapter}/{n}" for c, chapter in enumerate(chapters) for n in (1, 2, 3)}
    return {k: found[k] for k in names}, [f"/series/{series}/chapter/{c}.cbz" for c in chapters]


def metric(server, name):
    return int(re.search(rf"^{name} (\d+)$", server.get("/metrics").text, re.M).group(1))


def health(server):
    return server.get("/healthz").text


def test_same_answers_as_from_files(tmp_path, serve, postgres):
    library(tmp_path, settings(postgres))
    s = serve(tmp_path, settings(postgres))
    pages, cbz = addresses(s)
    for _ in range(2):  # from the store, then from what is kept of it
        for name, path in pages.items():
            want = PAGES[name]
            r = s.get(path)
            assert (r.status, r.body, r["Content-Type"]) == (200, want, "image/png")
            h = s.head(path)
            assert (h.status, h["Content-Length"], h["ETag"]) == (200, str(len(want)), r["ETag"])
            part = s.get(path, headers={"Range": "bytes=10-29"})
            assert (part.status, part.body, part["Content-Range"]) == (206, want[10:30], f"bytes 10-29/{len(want)}")
            tail = s.get(path, headers={"Range": "bytes=-7", "If-Range": r["ETag"]})
            assert (tail.status, tail.body) == (206, want[-7:])
            assert s.get(path, headers={"If-None-Match": r["ETag"]}).status == 304
            assert s.get(path, headers={"Range": f"bytes={len(want)}-"}).status == 416
    for path, names in zip(cbz, (["S/c1/1.png", "S/c1/2.png", "S/c1/3.png"], ["S/c2/1.png", "S/c2/2.png"])):
        r = s.get(path)
        book = zipfile.ZipFile(io.BytesIO(r.body))
        assert book.testzip() is None
        assert [book.read(n) for n in book.namelist()[:-1]] == [PAGES[n] for n in names]
        assert s.get(path, headers={"Range": "bytes=100-60000"}).body == r.body[100:60001]
    gets = metric(s, "dozo_store_gets_total")
    for path in pages.values():
        s.get(path)
    assert metric(s, "dozo_store_gets_total") == gets
    assert metric(s, "dozo_spool_files") == 1 and metric(s, "dozo_spool_bytes") == len(PAGES["S/c1/3.png"])
    assert not [f for f in (tmp_path / "data/cache").iterdir() if f.is_file()]  # the large page lies there without a name


def test_large_upload(tmp_path, serve, postgres, cache):
    data = big_png(3600)  # 13 MB: more than Redis gets
    s = serve(tmp_path, settings(postgres, cache))
    name, _ = upload(s, data=data)
    small, _ = upload(s, data=page(7))
    assert s.stop() == 0
    s = serve(tmp_path, settings(postgres, cache))
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        got = list(pool.map(lambda _: s.get(f"/image/{name}"), range(24)))
    assert all((r.status, len(r.body)) == (200, len(data)) and r.body == data for r in got)
    assert s.get(f"/image/{name}.png", headers={"Range": "bytes=5000000-5000009"}).body == data[5000000:5000010]
    assert s.get(f"/image/{small}").body == page(7)
    assert metric(s, "dozo_store_gets_total") <= 2
    assert cache.ask(f"EXISTS {name}").startswith(":0")


def test_the_store_dies_and_comes_back(tmp_path, serve, postgres):
    library(tmp_path, settings(postgres))
    s = serve(tmp_path, settings(postgres))
    pages, cbz = addresses(s)
    warm, cold = ["S/c1/1.png", "S/c1/3.png"], ["S/c1/2.png", "S/c2/1.png"]
    assert all(s.get(pages[n]).body == PAGES[n] for n in warm)
    postgres.kill()
    for _ in range(3):
        for n in warm:
            assert s.get(pages[n]).body == PAGES[n]
        for n in cold:
            r = s.get(pages[n])
            assert (r.status, r["Retry-After"]) == (503, "1")
        assert s.get(cbz[1]).status == 503
    assert '"status":"degraded"' in health(s) and '"store":"ok"' not in health(s)
    assert metric(s, "dozo_store_up") == 0
    postgres.start()
    until(lambda: '"store":"ok"' in health(s), "the store's return")
    for n in cold:
        assert s.get(pages[n]).body == PAGES[n]
    assert s.get(cbz[1]).status == 200
    assert metric(s, "dozo_store_losses_total") == 1


def test_the_store_is_silent(tmp_path, serve, postgres):
    """Stopped in the middle: whoever asks for what is not here is told so, nobody hangs, and the rest goes on."""
    library(tmp_path, settings(postgres))
    s = serve(tmp_path, settings(postgres))
    pages, _ = addresses(s)
    assert s.get(pages["S/c1/1.png"]).status == 200
    paused = postgres.pause()
    try:
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            asked = [pool.submit(s.get, pages[n]) for n in ("S/c1/2.png", "S/c1/3.png", "S/c2/1.png") for _ in range(12)]
            until(lambda: '"store":"ok"' not in health(s), "the loss of the store")
            for _ in range(20):
                assert s.get(pages["S/c1/1.png"]).body == PAGES["S/c1/1.png"]
                assert s.get(pages["S/c2/2.png"]).status == 503
            postgres.resume(paused)
            assert {f.result().status for f in asked} <= {200, 503}
    finally:
        postgres.resume(paused)
    until(lambda: s.get(pages["S/c2/2.png"]).status == 200, "the store's return")
    assert all(s.get(pages[n]).body == PAGES[n] for n in PAGES)


def test_two_keys_of_imoog(tmp_path, serve, postgres, cache):
    """What imoog's own client library writes into Redis is read here, text types too, and the other way round."""
    s = serve(tmp_path, settings(postgres, cache))

    def kept(**file):
        """An upload that Redis has: one who takes longer than half a second counts as gone, and gets nothing."""
        name, _ = upload(s, **file)
        return name if cache.ask(f"EXISTS {name}").startswith(":1") else None
    text = until(lambda: kept(data=b"plain words", filename="a.txt", kind="text/plain"), "a text in Redis")
    untyped = until(lambda: kept(data=b"bytes", kind=None), "bytes in Redis")
    assert s.get(f"/image/{text}")["Content-Type"] == "text/plain; charset=utf-8"
    assert s.get(f"/image/{untyped}")["Content-Type"] is None

    async def imoog():
        client = redis.asyncio.from_url(cache.uri)
        got = [await client.get(k) for k in (text, f"{text}__mime__", untyped, f"{untyped}__mime__")]
        lives = await client.ttl(text)
        await client.close()
        return got, lives

    async def written(name):
        postgres.sql(f"INSERT INTO my_images VALUES ('{name}', '\\x{zlib.compress(b'p { margin: 0 }', 6).hex()}'::bytea, 'text/css')")
        client = redis.asyncio.from_url(cache.uri)
        await client.set(name, b"p { margin: 0 }")
        await client.set(f"{name}__mime__", "text/css")
        await client.close()
    got, lives = asyncio.run(imoog())
    names = (f"THEIRS{i}" for i in itertools.count())

    def taken_from_redis():
        name, hits = next(names), metric(s, "dozo_shared_cache_hits_total")
        asyncio.run(written(name))
        theirs = s.get(f"/image/{name}.css")
        assert (theirs.status, theirs.body, theirs["Content-Type"]) == (200, b"p { margin: 0 }", "text/css; charset=utf-8")
        return metric(s, "dozo_shared_cache_hits_total") == hits + 1
    until(taken_from_redis, "a hit")
    assert got == [b"plain words", b"text/plain", b"bytes", None]
    assert 0 < lives <= 24 * 3600
    assert keyed(s, "DELETE", f"/delete/{text}").status == 204
    until(lambda: cache.ask(f"EXISTS {text} {text}__mime__").startswith(":0"), "the end of the keys")
    until(lambda: cache.ask(f"EXISTS {text}__gone__").startswith(":1"), "the mark of what is gone")
    assert s.get(f"/image/{text}").status == 404


def test_redis_goes_and_comes_back(tmp_path, serve, postgres, cache):
    port = cache.port
    cache.stop()
    s = serve(tmp_path, settings(postgres, cache))  # away at the start is no failure
    name, _ = upload(s, data=page(1))
    assert s.get(f"/image/{name}").body == page(1)
    until(lambda: '"cache":"down"' in health(s), "the loss of Redis")
    cache.start()
    assert cache.port == port
    until(lambda: '"cache":"ok"' in health(s), "the return of Redis")
    second, _ = upload(s, data=page(2))
    assert s.get(f"/image/{second}").body == page(2)
    cache.kill()
    third, _ = upload(s, data=page(3))
    for id_, want in ((name, page(1)), (second, page(2)), (third, page(3))):
        assert s.get(f"/image/{id_}").body == want
    cache.start()
    until(lambda: '"cache":"ok"' in health(s), "the return of Redis")
    paused = cache.pause()
    fourth, _ = upload(s, data=page(4))
    assert s.get(f"/image/{fourth}").body == page(4)
    assert keyed(s, "DELETE", f"/delete/{second}").status == 204
    cache.resume(paused)
    until(lambda: '"cache":"ok"' in health(s), "the return of Redis")
    assert cache.ask(f"EXISTS {second}").startswith(":0")
    assert s.get(f"/image/{second}").status == 404
    assert s.stop() == 0
    log = (tmp_path / "serve.log").read_text()
    told = re.findall("the cache in Redis is (lost|there again)", log)  # once each, however often it was asked meanwhile
    assert len(told) >= 4 and told == ["lost", "there again"] * (len(told) // 2)


def test_a_key_is_no_proof(tmp_path, serve, postgres, cache):
    """Redis alone brings nothing back that the store does not have."""
    s = serve(tmp_path, settings(postgres, cache))
    cache.ask("SET GHOST bytes")
    assert s.get("/image/GHOST").status == 404
