"""The upload CDN: the acceptance checks of contracts/imoog.md section 6, its drop-in column. Clients and forms of others are in
test_upload_clients.py."""
import concurrent.futures
import hashlib
import re
import secrets
import signal
import socket
import subprocess
import threading
import zlib

import pytest
import redis

from conftest import PATIENCE, Raw, Server, dozo, png, shared, tool, until

KEY = "k3y-of-the-test"
CONFIG = f"uploads: {{ secret_key: {KEY} }}\n"
PNG = png()


def part(data=PNG, name="file", filename="a.png", kind="image/png"):
    head = f'Content-Disposition: form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    return head.encode() + (b"" if kind is None else b"\r\nContent-Type: " + kind.encode()) + b"\r\n\r\n" + data


def form(*parts, boundary="b0undary"):
    line = b"--" + boundary.encode()
    body = b"".join(line + b"\r\n" + p + b"\r\n" for p in parts) + line + b"--\r\n"
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body


def send(server, *parts, key=KEY, path="/upload", **kw):
    headers, body = form(*parts)
    if key is not None:
        headers["Authorization"] = key
    return server.request("POST", path, headers=headers, body=body, **kw)


def upload(server, **kw):
    r = send(server, part(**kw))
    assert r.status == 200, r.text
    return re.fullmatch(r'\{"status":200,"file_id":"([A-Z0-9]+)","file_ext":"([^"]*)"\}', r.text).groups()


def url(server):
    return "http://%s:%d" % server.address


def keyed(server, method, path, key=KEY, **kw):
    return server.request(method, path, headers={"Authorization": key} if key else {}, **kw)


def sql(text):
    """What psql prints of it on the shared PostgreSQL, one line a row and | between columns."""
    r = subprocess.run([tool("psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", shared("postgres"), "-c", text], capture_output=True, text=True, check=True)
    return r.stdout.splitlines()


@pytest.fixture(params=["files", "postgres"])
def storage(request):
    """Settings of the store; all of this file runs over both."""
    if request.param == "files":
        yield ""
        return
    uri, table = shared("postgres"), "up_" + secrets.token_hex(6)
    yield f'store: {{ driver: postgres, uri: "{uri}", table: {table}, compression_level: auto }}\n'
    for suffix in ("", "_dozo", "_dozo_part"):
        sql(f'DROP TABLE IF EXISTS "{table}{suffix}" CASCADE')


only_files = pytest.mark.parametrize("storage", ["files"], indirect=True)
only_postgres = pytest.mark.parametrize("storage", ["postgres"], indirect=True)


@pytest.fixture
def serve(serve, storage):
    return lambda folder, config, **kw: serve(folder, config + storage, **kw)


@pytest.fixture
def server(tmp_path, serve):
    return serve(tmp_path, CONFIG)


def table_of(server):
    m = re.search(r"table: (\w+)", server.config.read_text())
    return m and m[1]


@only_postgres
@pytest.mark.parametrize("size", [20_000, 200_000])
def test_level_auto_asks_the_type_too(server, size):
    """Pictures are stored as they are, whatever their bytes look like; the rest is packed."""
    for mime, as_it_is in (("image/png", True), ("image/x-unheard-of", True), ("image/svg+xml", False), ("text/plain", False)):
        name, _ = upload(server, data=bytes(size), kind=mime)
        stored = int(sql(f"SELECT octet_length(image) FROM \"{table_of(server)}\" WHERE name = '{name}'")[0])
        assert (stored > size) == as_it_is and server.get(f"/image/{name}").body == bytes(size), (mime, stored)


def test_who_may_send(server):
    for key in (None, "Bearer " + KEY, KEY + "x", KEY[:-1], ""):
        r = send(server, part(), key=key)
        assert (r.status, r.text, r["Content-Type"]) == (401, '{"message":"Invalid auth."}', "application/json")
    assert send(server, part(), key=f"  {KEY} ").status == 200
    r = server.get("/upload")
    assert (r.status, r["Allow"]) == (405, "OPTIONS, POST")


def test_replies(server):
    name, ext = upload(server)
    assert re.fullmatch("[A-Z0-9]{9}", name) and ext == "png"
    for kind, want in (("application/octet-stream", "octet-stream"), (None, "png"), ("text/plain", "plain"), ("weird", "png"), ("", "png"),
                       ("image/svg+xml; charset=utf-8", "svg+xml"), ("a/b/c", "b"), ("image/", "png")):
        assert upload(server, kind=kind)[1] == want, kind
    assert upload(server, data=b"", filename="")[1] == "png"


def test_what_is_no_file(server):
    no_file = (400, '{"message":"No \'file\' given."}')
    for headers, body in (form(part(name="other")), form(part(filename=None)), ({"Content-Type": "application/json"}, b"{}"),
                          ({"Content-Type": "application/x-www-form-urlencoded"}, b"file=x"), ({}, b""), form(part(), part(filename=None)),
                          (form()[0], b"")):
        r = server.request("POST", "/upload", headers={"Authorization": KEY, **headers}, body=body)
        assert (r.status, r.text) == no_file
    r = server.request("POST", "/upload", headers={"Authorization": KEY, "Content-Type": "multipart/form-data"}, body=b"--x--")
    assert (r.status, r.text, r["Content-Type"]) == (400, "Missing boundary in multipart.", "text/plain; charset=utf-8")
    headers, body = form(part())
    for wrong in (b"garbage", body[:-4], body.replace(b"\r\n", b"\n"), b"--b0undary\r\nno field\r\n\r\n\r\n--b0undary--"):
        r = server.request("POST", "/upload", headers={"Authorization": KEY, **headers}, body=wrong)
        assert r.status == 400, wrong
    assert server.get("/healthz").status == 200
    assert blobs(server) == []


def blobs(server, temporary=False):
    """What the store holds: files, or names of rows."""
    if table_of(server):
        return [] if temporary else sql(f'SELECT name FROM "{table_of(server)}"')
    root = server.folder / "data/blobs"
    return [p for p in root.rglob("*") if p.is_file() and (".tmp" in p.parts) == temporary]


def test_delivery(server):
    first = send(server, part(b"one"), part(PNG))
    name = first.text.split('"')[5]
    for path in (name, name + ".png", name + ".x.y", name + "."):
        r = server.get("/image/" + path)
        assert (r.status, r.body, r["Content-Type"], r["Content-Length"]) == (200, PNG, "image/png", str(len(PNG)))
        assert r["X-Content-Type-Options"] == "nosniff" and r["Cache-Control"] == "public, max-age=86400"
        head = server.head("/image/" + path)
        assert (head.status, head.body) == (200, b"")
        assert [h for h in head.headers if h[0] != "Date"] == [h for h in r.headers if h[0] != "Date"]
    etag = r["ETag"]
    assert etag.startswith('"')
    assert server.get("/image/" + name, headers={"If-None-Match": etag}).status == 304
    assert server.get("/image/" + name, headers={"If-Match": '"x"'}).status == 412
    r = server.get("/image/" + name, headers={"Range": "bytes=1-3"})
    assert (r.status, r.body, r["Content-Range"]) == (206, PNG[1:4], f"bytes 1-3/{len(PNG)}")
    for path in ("NOPE", name.lower(), ".png", name + "%2Fx", "%2e%2e", "%ff", "x" * 5000):
        r = server.get("/image/" + path)
        assert (r.status, r.body, r["Content-Type"]) == (404, b"", None), path
    for path in ("/image/", f"/image/{name}/x"):
        assert server.get(path).status == 404
    assert server.request("POST", "/image/" + name).status == 405


def test_types_as_sent(server):
    for kind, want in (("text/plain", "text/plain; charset=utf-8"), ("text/html; charset=ISO-8859-1", "text/html; charset=ISO-8859-1"),
                       (None, None), ("weird", "weird"), ("image/png", "image/png")):
        r = server.get("/image/" + upload(server, kind=kind)[0])
        assert (r.status, r["Content-Type"], r["X-Content-Type-Options"]) == (200, want, "nosniff")
        assert r["Content-Security-Policy"] == ("sandbox" if kind and "html" in kind else None)


@pytest.mark.parametrize("size", [0, 1, 32768, 32769, 3_000_001])
def test_sizes(server, size):
    data = secrets.token_bytes(size)
    name, _ = upload(server, data=data)
    for _ in range(2):
        r = server.get("/image/" + name)
        assert (r.status, r.body) == (200, data)
    if size > 10:
        assert server.get("/image/" + name, headers={"Range": "bytes=-5"}).body == data[-5:]


def test_delete(server):
    name, _ = upload(server)
    assert server.get("/image/" + name).status == 200
    for key in (None, "wrong"):
        r = keyed(server, "DELETE", "/delete/" + name, key)
        assert (r.status, r.text) == (401, '{"message":"Invalid auth."}')
        assert keyed(server, "DELETE", "/delete", key).status == 401
    assert keyed(server, "DELETE", "/delete").status == 404
    r = keyed(server, "DELETE", "/delete/" + name)
    assert (r.status, r.body, r["Content-Type"]) == (204, b"", None)
    assert server.get("/image/" + name).status == 404
    r = keyed(server, "DELETE", "/delete/" + name)
    assert (r.status, r.body) == (404, b"")
    for method in ("GET", "POST"):
        name, _ = upload(server)
        assert keyed(server, method, f"/delete/{name}.png").status == 204
        assert server.get("/image/" + name).status == 404
    assert keyed(server, "PUT", "/delete/" + name).status == 405


def test_one_of_many_deletes_it(server):
    for _ in range(5):
        name, _ = upload(server)
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = pool.map(lambda _: keyed(server, "DELETE", "/delete/" + name).status, range(12))
        assert sorted(answers) == [204] + [404] * 11


@only_postgres
def test_deleted_by_imoog_meanwhile(server):
    name, _ = upload(server)
    assert server.get("/image/" + name).body == PNG
    sql(f"DELETE FROM \"{table_of(server)}\" WHERE name = '{name}'")
    assert keyed(server, "DELETE", "/delete/" + name).status == 404
    assert server.get("/image/" + name).status == 404


def test_same_bytes_twice(server):
    one, two = upload(server)[0], upload(server, kind="text/plain")[0]
    assert len(blobs(server)) == (2 if table_of(server) else 1) and one != two
    assert keyed(server, "DELETE", "/delete/" + one).status == 204
    assert server.get("/image/" + two)["Content-Type"] == "text/plain; charset=utf-8"


def test_bytes_go_with_their_last_use(server):
    one, two = upload(server, data=b"same")[0], upload(server, data=b"same")[0]
    assert keyed(server, "DELETE", "/delete/" + one).status == 204
    gone = upload(server, data=b"other")[0]
    assert keyed(server, "DELETE", "/delete/" + gone).status == 204
    until(lambda: len(blobs(server)) == 1, "an end of bytes")
    assert server.get("/image/" + two).body == b"same"
    assert keyed(server, "DELETE", "/delete/" + two).status == 204
    until(lambda: not blobs(server), "an end of all bytes")
    again = upload(server, data=b"same")[0]
    assert server.get("/image/" + again).body == b"same"


def test_uploads_race_with_the_end_of_the_same_bytes(server):
    """Nothing that was acknowledged is lost when other uploads of the same bytes are deleted all the time."""
    stop, failed = threading.Event(), []

    def churn():
        while not stop.is_set():
            name = upload(server, data=b"fought over")[0]
            if keyed(server, "DELETE", "/delete/" + name).status != 204:
                failed.append(name)
    threads = [threading.Thread(target=churn) for _ in range(3)]
    for t in threads:
        t.start()
    kept = [upload(server, data=b"fought over" if i % 8 == 0 else b"%d" % i)[0] for i in range(200)]
    stop.set()
    for t in threads:
        t.join()
    assert not failed
    for i, name in enumerate(kept):
        assert server.get("/image/" + name).body == (b"fought over" if i % 8 == 0 else b"%d" % i)


@only_files
def test_restart_and_check(tmp_path, serve):
    server = serve(tmp_path, CONFIG)
    name, _ = upload(server)
    other, _ = upload(server, data=b"x" * 100000)
    server.stop()
    dozo("check", "--config", server.config, cwd=tmp_path, check=0)
    server = serve(tmp_path, CONFIG)
    assert server.get("/image/" + name).body == PNG
    server.stop()
    server = serve(tmp_path, CONFIG)
    assert keyed(server, "DELETE", "/delete/" + name).status == 204
    server.stop()
    dozo("check", "--config", server.config, "--repair", cwd=tmp_path, check=0)
    assert len(blobs(server)) == 1
    blobs(server)[0].unlink()
    r = dozo("check", "--config", server.config, cwd=tmp_path, check=1)
    assert f"upload {other}: its bytes are not in the store" in (r.stdout + r.stderr).decode()
    dozo("check", "--config", server.config, "--repair", cwd=tmp_path, check=0)
    dozo("check", "--config", server.config, cwd=tmp_path, check=0)


def test_settings(tmp_path, serve):
    server = serve(tmp_path, f"""uploads:
  secret_key: {KEY}
  endpoint: /f/
  name_length: 12
  not_found_status: 410
  deleted_status: 200
  fallback_ext: bin
  cache_control: ""
  delete_methods: [DELETE]
  max_bytes: 1000
cache: {{ max_entries: 2 }}
""")
    names = [upload(server, kind=None, data=b"%d" % i) for i in range(3)]
    assert all(re.fullmatch("[A-Z0-9]{12}", n) and e == "bin" for n, e in names)
    for _ in range(2):
        for i, (n, _) in enumerate(names):
            r = server.get("/f/" + n)
            assert (r.status, r.body, r["Cache-Control"]) == (200, b"%d" % i, None)
    assert server.get("/f/NOPE").status == 410 and server.get("/image/" + names[0][0]).status == 404
    assert keyed(server, "POST", "/delete/" + names[0][0]).status == 405
    r = keyed(server, "DELETE", "/delete/" + names[0][0])
    assert (r.status, r.body) == (200, b"")
    assert keyed(server, "DELETE", "/delete/" + names[0][0]).status == 410
    assert upload(server, data=b"x" * 1000)
    before = len(blobs(server))
    assert send(server, part(b"x" * 1001)).status == 413
    assert send(server, part(b"x" * 3_000_000)).status == 413
    assert len(blobs(server)) == before
    until(lambda: not blobs(server, temporary=True), "an end of temporaries")


def test_off_or_not_set_up(tmp_path, serve):
    server = serve(tmp_path, "\n")
    assert send(server, part()).status == 503
    assert keyed(server, "DELETE", "/delete/X").status == 503
    assert "uploads.secret_key" in server.read_log()
    server.stop()
    server = serve(tmp_path, f"uploads: {{ enabled: false, secret_key: {KEY} }}\n")
    for method, path in (("POST", "/upload"), ("GET", "/image/X"), ("DELETE", "/delete/X"), ("GET", "/upload/")):
        assert keyed(server, method, path).status == 404


def test_slashes(server):
    name, _ = upload(server)
    for method, path, to in (("POST", "/upload/", "/upload"), ("GET", f"/image/{name}/?a=b", f"/image/{name}?a=b"), ("GET", "/delete/x/", "/delete/x"), ("POST", "/delete/", "/delete")):
        r = server.request(method, path)
        assert (r.status, r["Location"]) == (307, to)


def test_hosts_and_https(tmp_path, serve):
    server = serve(tmp_path, CONFIG + 'http: { allowed_hosts: [www.ok.example, "*.b.example"] }\n')
    r = server.get("/image/x", host="evil")
    assert (r.status, r.text) == (400, "Invalid host header")
    r = server.get("/image/x?y", host="ok.example")
    assert (r.status, r["Location"]) == (307, "http://www.ok.example/image/x?y")
    assert server.get("/image/x", host="x.b.example").status == 404
    assert server.get("/image/x", host="b.example").status == 400
    server.stop()
    server = serve(tmp_path, CONFIG + "http: { force_https: true }\n")
    r = server.get("/image/x?y", host="foo:8080")
    assert (r.status, r["Location"]) == (307, "https://foo:8080/image/x?y")
    assert server.get("/image/x", headers={"X-Forwarded-Proto": "https"}).status == 404


def preflight(server, path, method, fields=None, origin="https://a.example"):
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    if fields:
        headers["Access-Control-Request-Headers"] = fields
    return server.request("OPTIONS", path, headers=headers)


def test_other_origins(tmp_path, serve):
    server = serve(tmp_path, CONFIG + 'http: { cors_origins: ["*"] }\n')
    r = preflight(server, "/image/x", "GET", "Content-Type")
    assert (r.status, r.text, r["Access-Control-Max-Age"], r["Access-Control-Allow-Origin"]) == (200, "OK", "600", "*")
    r = preflight(server, "/upload", "POST", "authorization")
    assert (r.status, r.text) == (400, "Disallowed CORS method, headers")
    assert preflight(server, "/delete/x", "DELETE").status == 400
    name, _ = upload(server)
    r = server.get("/image/" + name, headers={"Origin": "https://a.example"})
    assert (r.status, r["Access-Control-Allow-Origin"], r["Vary"]) == (200, "*", None)
    r = server.get("/image/" + name, headers={"Origin": "https://a.example", "Cookie": "a=b"})
    assert (r.status, r["Access-Control-Allow-Origin"], r["Vary"]) == (200, "https://a.example", "Origin")
    assert server.get("/image/" + name, headers={"Cookie": "a=b"})["Vary"] is None
    server.stop()
    server = serve(tmp_path, CONFIG + 'http: { cors_origins: ["https://a.example"] }\n')
    assert preflight(server, "/upload", "POST", "authorization").status == 200
    assert preflight(server, "/upload", "POST", "authorization", "https://b.example").status == 400
    server.stop()
    server = serve(tmp_path, CONFIG + 'http: { cors_origins: ["*", "https://a.example"] }\n')
    assert preflight(server, "/upload", "POST", "authorization").status == 200
    assert preflight(server, "/upload", "POST", "authorization", "https://b.example").status == 400


def test_opengraph(tmp_path, serve):
    server = serve(tmp_path, CONFIG.replace(" }", ', opengraph: { enabled: true, properties: { title: "<a&b>", site_name: s } } }'))
    name, _ = upload(server)
    r = server.get(f"/image/{name}.png", host='x"><script>')
    if r.status == 200:
        assert "<script>" not in r.text
    r = server.get(f"/image/{name}.png?opengraph_pass=", host="i.example:81")
    assert (r.status, r["Content-Type"]) == (200, "text/html; charset=utf-8")
    tags = re.findall(r'<meta property="og:([a-z_]+)" content="([^"]*)" />\n', r.text)
    assert tags == [("title", "&lt;a&amp;b&gt;"), ("site_name", "s"), ("image", f"http://i.example:81/image/{name}?opengraph_pass=yes")]
    assert server.get(f"/image/{name}?opengraph_pass=yes").body == PNG
    assert server.get("/image/NOPE").status == 404
    video, _ = upload(server, kind="video/mp4", data=b"v")
    assert 'og:video" content="' in server.get("/image/" + video).text
    assert keyed(server, "DELETE", "/delete/" + video).status == 204
    assert server.get("/image/" + video).status == 404


def test_opengraph_in_a_page_of_ones_own(tmp_path, serve):
    page = "<!DOCTYPE html><style>a{b:c}</style><head>{opengraph}</head><p>ü {x} %s</p>"
    (tmp_path / "page.html").write_text(page)
    server = serve(tmp_path, CONFIG.replace(" }", ", opengraph: { enabled: true, base_html_file: page.html, properties: { title: '{opengraph}' } } }"))
    name, _ = upload(server, kind="video/webm")
    head, tail = page.split("{opengraph}")
    want = ('<meta property="og:title" content="{opengraph}" />\n'
            f'<meta property="og:video" content="http://127.0.0.1/image/{name}?opengraph_pass=yes" />\n')
    assert server.get(f"/image/{name}.webm").text == head + want + tail
    (tmp_path / "page.html").write_text("no slot")
    r = dozo("config", "check", "--config", server.config, cwd=tmp_path, check=1)
    assert "uploads.opengraph.base_html_file" in r.out + r.err and "exactly once" in r.out + r.err


@only_postgres
def test_rows_of_imoog(server):
    """A row that imoog wrote is served and deleted; one that is gone is 404 at once when it is asked for anew."""
    table = table_of(server)
    name = "IMOOG" + secrets.token_hex(2).upper()
    packed = zlib.compress(PNG, 6).hex()
    sql(f"INSERT INTO \"{table}\" VALUES ('{name}', '\\x{packed}', NULL), ('{name}2', '\\x{packed}', ''), ('{name}3', '\\x{packed}', 'text/plain'), ('{name}4', '\\x{packed}', '  ')")
    for suffix, kind in (("", None), ("2", None), ("3", "text/plain; charset=utf-8"), ("4", None)):
        r = server.get(f"/image/{name}{suffix}.png")
        assert (r.status, r.body, r["Content-Type"]) == (200, PNG, kind)
        assert r["ETag"] == '"' + hashlib.sha256(PNG).hexdigest()[:32] + '"'
    assert keyed(server, "DELETE", "/delete/" + name).status == 204
    assert sql(f"SELECT name FROM \"{table}\" WHERE name = '{name}'") == [] and server.get("/image/" + name).status == 404
    new, _ = upload(server, kind="text/css", data=b"a{}")
    row = sql(f"SELECT encode(image, 'hex'), mime FROM \"{table}\" WHERE name = '{new}'")[0].split("|")
    assert (zlib.decompress(bytes.fromhex(row[0])), row[1]) == (b"a{}", "text/css")
    sql(f"DELETE FROM \"{table}\" WHERE name = '{new}'")
    assert server.get("/image/" + new).status == 404


@only_postgres
def test_what_is_uploaded_is_in_redis(tmp_path, serve):
    """Before anybody has asked for it, as imoog has it there."""
    cache = redis.Redis.from_url(shared("redis"))
    server = serve(tmp_path, CONFIG + f'cache: {{ driver: redis, uri: "{shared("redis")}" }}\n')
    for kind, data in (("text/plain", b"words"), (None, b""), ("image/png", b"x" * 65536)):
        def kept(kind=kind, data=data):
            """An upload that Redis has: a Redis that takes longer than half a second counts as gone, and gets nothing."""
            name, _ = upload(server, kind=kind, data=data)
            return name if cache.exists(name) else None
        name = until(kept, "an upload in Redis")
        assert (cache.get(name), cache.get(name + "__mime__")) == (data, kind and kind.encode())
        assert 0 < cache.ttl(name) <= 24 * 3600
        assert server.get("/image/" + name).body == data
        assert keyed(server, "DELETE", "/delete/" + name).status == 204
        until(lambda name=name: not cache.exists(name, name + "__mime__"), "the end of the keys")
    large, _ = upload(server, data=b"y" * 65537)
    assert not cache.exists(large)
    assert server.get("/image/" + large).body == b"y" * 65537
    until(lambda: server.get("/image/" + large).body == b"y" * 65537 == cache.get(large), "what was read in Redis")


@only_postgres
def test_a_row_that_is_broken(server):
    table = table_of(server)
    sql(f"INSERT INTO \"{table}\" VALUES ('BROKEN', '\\x789c0102', 'image/png'), ('EMPTY', NULL, NULL), ('PLAIN', 'not zlib', 'image/png')")
    for name in ("BROKEN", "PLAIN"):
        assert server.get("/image/" + name).status == 500
        assert keyed(server, "DELETE", "/delete/" + name).status == 204
        assert server.get("/image/" + name).status == 404
    assert server.get("/image/EMPTY").status in (404, 500)
    until(lambda: "BROKEN" in server.read_log(), "a line in the log")
    upload(server)


def test_keys_of_several(tmp_path, serve):
    (tmp_path / "keys").write_text(f"# builds\nci upload ci-key-1\nmop delete sha256:{hashlib.sha256(b'mop-key-1').hexdigest()}\n"
                                   "boss upload,delete boss-key\n")
    (tmp_path / "keys").chmod(0o644)
    server = serve(tmp_path, "uploads: { keys_file: keys }\n")
    assert "uploads.keys_file: keys can be read by other users" in server.read_log()
    for key in (None, "", "ci-key-", "mop", "sha256:" + hashlib.sha256(b"mop-key-1").hexdigest(), "ci"):
        assert send(server, part(), key=key).status == 401
    assert send(server, part(), key="ci-key-1").status == 200
    r = send(server, part(), key="mop-key-1")
    assert (r.status, r.text) == (403, '{"message":"This key may not upload."}')
    name = send(server, part(), key="boss-key").text.split('"')[5]
    r = keyed(server, "DELETE", "/delete/" + name, "ci-key-1")
    assert (r.status, r.text) == (403, '{"message":"This key may not delete."}')
    assert keyed(server, "DELETE", "/delete/" + name, "mop-key-1").status == 204
    until(lambda: f"deleted {name} by key mop" in server.read_log(), "a line in the log")
    log = server.read_log()
    assert f"kept {name} by key boss" in log and "key ci may not delete" in log and "-key" not in log.replace("other-key", "")
    (tmp_path / "keys").write_text("new upload,delete new-key-1\n")
    (tmp_path / "keys").chmod(0o600)
    server.process.send_signal(signal.SIGHUP)
    until(lambda: send(server, part(), key="new-key-1").status == 200, "a new key")
    assert send(server, part(), key="boss-key").status == 401
    (tmp_path / "keys").write_text("new upload short\n")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "settings not reloaded" in server.read_log(), "a refusal")
    assert send(server, part(), key="new-key-1").status == 200


@only_files
def test_the_example_key_is_refused(tmp_path, storage):
    (tmp_path / "dozo.yaml").write_text("uploads: { secret_key: SET_A_CUSTOM_KEY }\n")
    r = dozo("serve", cwd=tmp_path, check=1)
    assert "uploads.secret_key: is the example of imoog" in r.err


def test_methods_that_were_taken_out(tmp_path, serve):
    server = serve(tmp_path, CONFIG.replace(" }", ", delete_methods: [DELETE], endpoint_methods: [GET, POST] }"))
    name, _ = upload(server)
    for method in ("GET", "POST", "PUT", "PATCH", "HEAD"):
        r = keyed(server, method, "/delete/" + name)
        assert (r.status, r["Allow"]) == (405, "DELETE, OPTIONS"), method
    assert server.request("POST", "/image/" + name).body == PNG
    r = server.request("PUT", "/image/" + name)
    assert (r.status, r["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert server.request("POST", "/upload/").status == 307
    assert keyed(server, "DELETE", "/delete/" + name).status == 204


def test_strange_names(server):
    name, _ = upload(server)
    for path in ("%00", name + "%00", "%zz"):
        assert server.get("/image/" + path).status == keyed(server, "DELETE", "/delete/" + path).status == 400
    for path in ("%2F", name + "%2F", "%2e", "..%2fhealthz", "%C3", "%F0%9F%98%80", "x" * 4096, "%25", "%0d%0aX:%20y", "+", "a b".replace(" ", "%20")):
        for method, where in (("GET", "/image/"), ("DELETE", "/delete/")):
            r = keyed(server, method, where + path)
            assert (r.status, r.body) == (404, b""), (method, path)
    assert server.get("/image/" + "".join("%%%02X" % b for b in name.encode())).body == PNG


def raw_upload(server, body, headers=b"", length=None):
    c = Raw(server.address)
    c.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: " + KEY.encode() + b"\r\nContent-Type: multipart/form-data; boundary=b0undary\r\n"
           + (headers or b"Content-Length: %d\r\n" % (len(body) if length is None else length)) + b"\r\n" + body)
    return c


def test_expect_and_chunks(server):
    _, body = form(part())
    c = raw_upload(server, b"", b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(body))
    assert c.response().status == 100
    c.send(body)
    assert c.response().status == 200
    c = raw_upload(server, b"", b"Transfer-Encoding: chunked\r\n")
    for i in range(0, len(body), 7):
        c.send(b"%x\r\n" % len(body[i:i + 7]) + body[i:i + 7] + b"\r\n")
    c.send(b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert c.response().status == 200 and c.response().status == 200
    c = Raw(server.address)
    c.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n")
    assert c.response().status == 401
    assert c.closed()


def test_hostile_bodies(server):
    _, body = form(part())
    c = raw_upload(server, body[:-20], length=len(body))
    c.sock.shutdown(socket.SHUT_WR)
    assert c.response().status == 400
    assert raw_upload(server, body, length=len(body) - 5).response().status == 400
    assert raw_upload(server, b"", b"Content-Length: 99999999999\r\n").response().status == 413
    many = b"".join(b"--b0undary\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n" for _ in range(10000)) + b"--b0undary--"
    assert raw_upload(server, many).response().status == 400
    assert raw_upload(server, b"--b0undary\r\nA: " + b"x" * 100000 + b"\r\n\r\n\r\n--b0undary--").response().status == 400
    c = raw_upload(server, body[:50], length=len(body))
    c.close()
    assert blobs(server) == []
    until(lambda: not blobs(server, temporary=True), "an end of temporaries")
    upload(server)


def test_slow_body(tmp_path, serve):
    server = serve(tmp_path, CONFIG + "http: { body_timeout: 300ms }\n")
    _, body = form(part())
    c = raw_upload(server, body[:60], length=len(body))
    assert c.response().status == 408
    assert c.closed()
    until(lambda: not blobs(server, temporary=True), "an end of temporaries")


@only_files
def test_killed_at_each_sync(tmp_path, serve):
    """What was acknowledged is there after a kill; what was not leaves nothing to be seen."""
    server = serve(tmp_path, CONFIG, args=("--role", "front"))
    server.stop()
    known = {}
    for n in range(1, 60):
        died = False
        try:
            server = Server(tmp_path, CONFIG, args=("--role", "front"), env={"DZ_FAULT": f"fsync:{n}:kill"})
        except (AssertionError, OSError, EOFError):
            continue  # it died while it started
        try:
            for i in range(6):
                data = b"%d-%d" % (n, i)
                known[upload(server, data=data)[0]] = data
        except (OSError, EOFError):
            died = True
            server.process.wait(PATIENCE)
        server.stop()
        if not died:
            break
    assert len(known) > 6
    server = serve(tmp_path, CONFIG, args=("--role", "front"))
    for name, data in known.items():
        assert server.get("/image/" + name).body == data
    server.stop()
    dozo("check", "--config", server.config, cwd=tmp_path, check=0)


def test_killed_while_many_send(tmp_path, serve):
    known, lock = {}, threading.Lock()

    def sender(server, who):
        try:
            for i in range(1000):
                data = b"%d-%d-%s" % (who, i, secrets.token_bytes(40))
                name = upload(server, data=data)[0]
                with lock:
                    known[name] = data
        except (OSError, EOFError):
            pass
    for _ in range(2):
        server = serve(tmp_path, CONFIG, args=("--role", "front"))
        before = len(known)
        threads = [threading.Thread(target=sender, args=(server, i)) for i in range(16)]
        for t in threads:
            t.start()
        until(lambda: len(known) > before + 40, "some uploads")
        server.stop(signal.SIGKILL)
        for t in threads:
            t.join()
    server = serve(tmp_path, CONFIG, args=("--role", "front"))
    for name, data in known.items():
        assert server.get("/image/" + name).body == data
    server.stop()
    dozo("check", "--config", server.config, cwd=tmp_path, check=0)
