"""Uploads in MongoDB's protocol (FerretDB): documents cross between dozo and pymongo, the driver of imoog, in both directions; and what
a server that is killed, restarted or stopped means for uploads."""
import hashlib
import json
import secrets
import threading
import zlib

import pymongo
import pytest

from conftest import own, png, servers, shared, until
from test_uploads import KEY, keyed, part, send, upload

PNG = png()
WAITS = "?serverSelectionTimeoutMS=10000&connectTimeoutMS=10000&socketTimeoutMS=10000"


def config(uri, database):
    return f"""uploads: {{ secret_key: {KEY} }}
store: {{ driver: mongodb, uri: "{uri}", database: {database}, collection: images }}
cache: {{ max_entries: 0 }}
"""


@pytest.fixture
def rows():
    """The collection that imoog would have, in a database of its own."""
    client = pymongo.MongoClient(shared("mongodb"))
    database = client["test_" + secrets.token_hex(8)]
    yield database["images"]
    client.drop_database(database.name)
    client.close()


@pytest.fixture
def server(tmp_path, serve, rows):
    return serve(tmp_path, config(shared("mongodb"), rows.database.name))


def test_what_is_uploaded_is_a_document_of_imoog(server, rows):
    sent = [(PNG, "image/png"), (b"text, " * 10000, "text/plain"), (b"", "application/octet-stream"), (secrets.token_bytes(300000), None)]
    for data, kind in sent:
        name, _ = upload(server, data=data, kind=kind)
        document = rows.find_one({"_id": name})
        assert set(document) == {"_id", "image", "mime"}
        assert isinstance(document["image"], bytes) and zlib.decompress(document["image"]) == data
        assert document["mime"] == kind
        r = server.get(f"/image/{name}")
        assert (r.status, r.body) == (200, data)


def test_documents_of_imoog_are_served_and_deleted(server, rows):
    text = b"sent in 2022 " * 1000
    rows.insert_one({"_id": "OLD000001", "image": zlib.compress(text, 6), "mime": "text/plain"})
    rows.insert_one({"_id": "OLD000002", "image": zlib.compress(PNG, 9), "mime": None})
    r = server.get("/image/OLD000001.txt")
    assert (r.status, r.body, r["Content-Type"]) == (200, text, "text/plain; charset=utf-8")
    r = server.get("/image/OLD000002")
    assert (r.status, r.body, r["Content-Type"]) == (200, PNG, None)
    assert keyed(server, "DELETE", "/delete/OLD000001.txt").status == 204
    assert rows.find_one({"_id": "OLD000001"}) is None
    assert server.get("/image/OLD000001").status == 404
    assert server.get("/image/OLD000002").status == 200


def rows_that_change(server, put):
    """What put() writes in place of uploads is served from the first request on, however long it has become."""
    names = [upload(server, data=data, kind=kind)[0] for data, kind in
             ((b"first", "text/plain"), (b"second", "image/gif"), (b"a twin", None), (b"a twin", None), (b"grows", None))]
    new = [(b"second", "image/gif"), (b"first", "text/plain"), (b"no twin any more", None), (b"a twin", None),
           (secrets.token_bytes(9 << 20), "video/mp4")]
    for i in (0, 1, 2, 4):
        put(names[i], zlib.compress(new[i][0], 1), new[i][1])
    for name, (data, kind) in zip(names, new):
        r = server.get(f"/image/{name}")
        assert (r.status, r.body) == (200, data)
        assert r["Content-Type"] == (kind and kind + "; charset=utf-8" * kind.startswith("text/"))
        assert r["ETag"] == '"%s"' % hashlib.sha256(data).hexdigest()[:32]


def test_documents_that_change(server, rows):
    rows_that_change(server, lambda name, image, mime: rows.replace_one({"_id": name}, {"_id": name, "image": image, "mime": mime}))


def test_a_document_that_is_broken_is_a_500(server, rows):
    rows.insert_one({"_id": "BAD000001", "image": "a text", "mime": "image/png"})
    rows.insert_one({"_id": "BAD000002", "image": zlib.compress(PNG)[:-9], "mime": "image/png"})
    rows.insert_one({"_id": "BAD000003", "image": zlib.compress(PNG), "mime": 5})
    for name in ("BAD000001", "BAD000002", "BAD000003"):
        assert server.get(f"/image/{name}").status == 500
    assert server.get(f"/image/{upload(server)[0]}").status == 200


def try_upload(server, data):
    """The name, or None: it was refused as a server that is not there refuses."""
    r = send(server, part(data=data))
    assert r.status in (200, 503), r.text
    return json.loads(r.text)["file_id"] if r.status == 200 else None


def test_what_was_answered_outlives_a_kill(tmp_path, serve):
    ferret = own(servers.Ferret, tmp_path / "ferret")
    try:
        server = serve(tmp_path, config(ferret.uri + WAITS, "dozo"))
        kept, stop = {}, threading.Event()

        def send_on():
            while not stop.is_set():
                data = secrets.token_bytes(20000)
                name = try_upload(server, data)
                if name:
                    kept[name] = data

        threads = [threading.Thread(target=send_on) for _ in range(3)]
        for t in threads:
            t.start()
        until(lambda: len(kept) > 20)
        ferret.kill()
        until(lambda: try_upload(server, PNG) is None)
        ferret.start()
        before = len(kept)
        until(lambda: len(kept) > before + 5)
        stop.set()
        for t in threads:
            t.join()
        until(lambda: server.get(f"/image/{next(iter(kept))}").status == 200)  # readers are let in again
        for name, data in kept.items():
            r = server.get(f"/image/{name}")
            assert (r.status, r.body) == (200, data)
    finally:
        ferret.stop()


def test_a_server_that_is_stopped_is_waited_for_once(tmp_path, serve):
    ferret = own(servers.Ferret, tmp_path / "ferret")
    try:
        server = serve(tmp_path, config(ferret.uri + WAITS, "dozo"))
        name, _ = upload(server)
        ferret.pause()
        assert [try_upload(server, PNG) for _ in range(20)] == [None] * 20
        assert server.get("/").status == 200
        ferret.resume()
        until(lambda: try_upload(server, PNG))
        assert server.get(f"/image/{name}").body == PNG
    finally:
        ferret.stop()
