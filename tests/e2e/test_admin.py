"""Admin edits over real HTTP: contracts/komizip.md 2.7, points 10, 11, 13, 14, 17 and 19 of its section 9, checks 18-21 of section 10."""
import concurrent.futures
import json
import subprocess

import pytest

from conftest import DOZO, Server, clean_env, dozo, png

API, CDN = "api.komi.zip", "cdn.komi.zip"
BAD_REQUEST = b'{"error": true, "description": "400: Bad Request."}'
UNAUTHORIZED = b'{"error": true, "description": "401: Unauthorized."}'
CONFIG = """
http:
  cors_origins: ["https://admin.komi.zip"]
  trusted_proxies: ["127.0.0.0/8"]
shelves:
  - name: komi
    api_hosts: [api.komi.zip]
    cdn_hosts: [cdn.komi.zip]
"""


def make(folder, auth):
    chapters = {k: {"metadata": {"title": None, "page_count": 1, "volume": None, "volume_cover": False}, "links": {}}
                for k in ("407", "406", "405", "400", "207.5")}
    (folder / "chapters.json").write_text(json.dumps(chapters))
    (folder / "cdn").mkdir()
    for name in ("407-01.jpg", "vol1.jpg"):
        (folder / "cdn" / name).write_bytes(png())
    config = CONFIG + auth
    (folder / "dozo.yaml").write_text(config)
    dozo("import", "komizip", "chapters.json", "cdn", "--shelf", "komi", "--config", "dozo.yaml", cwd=folder, check=0)
    return Server(folder, config)


# "sekrit" with the least work that bcrypt has: a dozen tries take no noticeable part of the minute that they are counted in. What
# `dozo password` makes is tried below.
QUICK = b"$2b$04$SMOiGEORs4oNOu2vlS.NmeqF/Q.8m/faTX1S4VLCad1UY8oVMqJIm\n"


@pytest.fixture
def admin(tmp_path):
    (tmp_path / "pwd_hash").write_bytes(QUICK)  # with its final newline, as the original's
    s = make(tmp_path, "auth: {admin_password_hash_file: pwd_hash}\n")
    yield s
    assert s.stop() == 0


def post(s, body, path="/v1/admin/edit", host=API, kind="application/json", ip="192.0.2.1", **headers):
    fields = {"X-Forwarded-For": ip, **headers}
    if kind:
        fields["Content-Type"] = kind
    return s.request("POST", path, host=host, headers=fields, body=body if isinstance(body, bytes) else json.dumps(body).encode())


def edit(s, data, pwd="sekrit", **kw):
    return post(s, {"pwd": pwd, "data": data}, **kw)


def store(s):
    return json.loads(s.get("/v1/chapters", host=API).body)["chapters"]


def refused(s, data, description):
    before = store(s)
    r = edit(s, data)
    assert (r.status, json.loads(r.body)) == (400, {"error": True, "description": description})
    assert r["Content-Type"] == "application/json"
    assert store(s) == before


def test_an_edit_shows_at_once(admin):
    r = edit(admin, '407 title="A \\"new\\" one" volume=1\r\n405-406 volume=2')
    assert r.status == 200 and r["Content-Type"] == "application/json"
    assert r.body == b'{"error": false, "edited": "407: title volume volume_cover<br>406: volume<br>405: volume<br>"}'
    meta = json.loads(admin.head("/cdn/407", host=CDN)["X-Metadata"])["metadata"]
    assert meta == {"title": 'A "new" one', "page_count": 1, "volume": "1", "volume_cover": True}
    assert json.loads(admin.get("/cdn/407-01.jpg", host=CDN)["X-Metadata"])["metadata"] == meta
    chapters = store(admin)
    assert chapters["407"]["metadata"] == meta
    assert [chapters[k]["metadata"]["volume"] for k in ("406", "405", "400")] == ["2", "2", None]
    # Every 200 is followed by what it said, on whichever loop the next connection lands.
    for i in range(20):
        assert edit(admin, f"400 title={i}").status == 200
        for _ in range(4):
            assert json.loads(admin.head("/cdn/400", host=CDN)["X-Metadata"])["metadata"]["title"] == str(i)


def test_a_range_may_end_where_no_chapter_is(admin):
    assert json.loads(edit(admin, "407-405 volume=1").body)["description"].startswith("chapter1 > chapter2")
    assert json.loads(edit(admin, "401-999 volume=3").body)["edited"] == "407: volume<br>406: volume<br>405: volume<br>"
    assert json.loads(edit(admin, "200-300 volume=3").body)["edited"] == "207.5: volume<br>"


def test_the_path_below_the_shelf(admin):
    assert edit(admin, "407 title=1", path="/shelf/komi/v1/admin/edit", host="127.0.0.1").status == 200
    assert store(admin)["407"]["metadata"]["title"] == "1"
    assert edit(admin, "407 title=2", path="/shelf/none/v1/admin/edit", host="127.0.0.1").status == 404
    for host in (CDN, "www.komi.zip", "127.0.0.1"):
        r = edit(admin, "407 title=2", host=host)
        assert r.status == 404 and r["Cache-Control"] == "no-store"
    assert store(admin)["407"]["metadata"]["title"] == "1"


def test_what_is_no_edit(admin):
    good = json.dumps({"pwd": "sekrit", "data": ""}).encode()
    for body, kind in ((good, None), (good, "text/plain"), (good, "application/jsonp"), (b"{", "application/json"), (b"", "application/json"),
                       (b"[]", "application/json"), (b'{"pwd": "sekrit"}', "application/json"), (b'{"data": ""}', "application/json"),
                       (b"\xff", "application/json")):
        r = post(admin, body, kind=kind)
        assert (r.status, r.body) == (400, BAD_REQUEST), (body, kind)
        assert r["Content-Type"] == "application/json"
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"):
        r = post(admin, good, kind=kind)
        assert (r.status, r.body) == (200, b'{"error": false, "edited": ""}'), kind
    # Other types become text.
    assert json.loads(edit(admin, 7).body) == {"error": False, "edited": ""}
    assert edit(admin, "", pwd=12).status == 401 and edit(admin, "", pwd=None).status == 401


def test_commands_are_checked_first(admin):
    refused(admin, "400 foo=1", "arg not allowed (foo)")
    refused(admin, '407 volume="x"', "volume arg not int (x)")
    refused(admin, "406-405 volume=9", 'chapter1 > chapter2 (where "chapter1-chapter2 ...")')
    refused(admin, "9999 volume=9", "unknown chapter (9999)")
    refused(admin, "abc-def volume=1", "neither a chapter nor a range (abc-def)")
    refused(admin, "407 title=\"no\"\n406 volume=1\n1-2-3 volume=1", "neither a chapter nor a range (1-2-3)")


def test_wrong_passwords(admin):
    for i, pwd in enumerate(("wrong", "", "sekri", "sekrit ", "sekrit\0x", "\0", "x" * 5000)):
        r = edit(admin, "407 title=1", pwd=pwd)
        assert (r.status, r.body) == (401, UNAUTHORIZED), pwd
    assert store(admin)["407"]["metadata"]["title"] is None


def test_tries_are_limited_by_address(admin):
    def attempt(ip, pwd="wrong"):
        return edit(admin, "", pwd=pwd, ip=ip)
    got = [attempt("198.51.100.1").status for _ in range(12)]
    assert got == [401] * 10 + [429] * 2
    r = attempt("198.51.100.1", "sekrit")
    assert r.status == 429 and 1 <= int(r["Retry-After"]) <= 61 and json.loads(r.body)["error"] is True
    assert attempt("198.51.100.2", "sekrit").status == 200
    # One user has a whole /64.
    assert [attempt(f"2001:db8::{i}").status for i in range(11)] == [401] * 10 + [429]
    assert attempt("2001:db8:0:1::1").status == 401
    # Right ones do not count, however many.
    assert {attempt("198.51.100.3", "sekrit").status for _ in range(15)} == {200}


def test_many_at_once(admin):
    def one(i):
        return edit(admin, f"407 title={i}", pwd="wrong" if i % 2 else "sekrit", ip=f"198.51.100.{i}").status
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        got = list(pool.map(one, range(48)))
    assert set(got) <= {200, 401, 503} and 200 in got and 401 in got
    assert admin.get("/v1/chapters", host=API).status == 200


def test_methods_and_preflight(admin):
    assert admin.get("/v1/admin/edit", host=API).status == 404  # the image host's route, as in the original
    r = admin.request("PUT", "/v1/admin/edit", host=API)
    assert r.status == 405 and "POST" in r["Allow"]
    ask = {"Origin": "https://admin.komi.zip", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    r = admin.request("OPTIONS", "/v1/admin/edit", host=API, headers=ask)
    assert r.status == 200 and r["Access-Control-Allow-Origin"] == "https://admin.komi.zip"
    assert "POST" in r["Access-Control-Allow-Methods"] and "content-type" in r["Access-Control-Allow-Headers"].lower()
    r = edit(admin, "", pwd="wrong", Origin="https://admin.komi.zip")
    assert r.status == 401 and r["Access-Control-Allow-Origin"] == "https://admin.komi.zip"
    assert edit(admin, "", Origin="https://elsewhere.example")["Access-Control-Allow-Origin"] is None


def test_too_large(admin):
    assert edit(admin, "x" * (5 << 20)).status == 413
    r = edit(admin, "x=1" * (1 << 19))
    assert r.status == 400 and "bytes of commands" in json.loads(r.body)["description"]


def test_edits_outlive_the_process(tmp_path):
    made = subprocess.run([DOZO, "password"], input=b"sekrit\n", capture_output=True, env=clean_env(), check=True).stdout.decode().strip()
    s = make(tmp_path, f"auth: {{admin_password_hash: '{made}'}}\n")
    assert edit(s, '407 title="kept" volume=1').status == 200
    s.process.kill()
    s.stop()
    s = Server(tmp_path, s.config.read_text())
    assert store(s)["407"]["metadata"] == {"title": "kept", "page_count": 1, "volume": "1", "volume_cover": True}
    assert "sekrit" not in s.read_log()
    assert s.stop() == 0


def test_without_a_hash_there_is_no_admin(tmp_path):
    s = make(tmp_path, "")
    r = edit(s, "407 title=1")
    assert r.status == 503 and "auth.admin_password_hash is not set" in json.loads(r.body)["description"]
    assert store(s)["407"]["metadata"]["title"] is None
    assert s.stop() == 0
