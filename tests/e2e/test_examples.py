"""The files of examples/, run as they are shipped with nothing replaced but addresses and paths: nginx and Varnish before a dozo, and what
docker would be told. systemd's units are in test_listen.py, dozo.yaml in test_cli.py."""
import http.client
import json
import os
import re
import ssl
import subprocess

import pytest
import yaml
from comics import big_png, cbz, importing, pages
from conftest import DOZO, ROOT, Raw, dozo, own, servers, tool, until
from test_tls import make_pair

EXAMPLES = ROOT / "examples"
KEY, TOKEN = "k3y-of-the-test", "t0ken-of-the-test"
HOST = "media.example.org"
BIG = big_png(1500)
# 127.0.0.1 is where proxies come from; clients of the tests come from other addresses of loopback.
CONFIG = f"""http: {{ trusted_proxies: [127.0.0.1], access_log: access.log, force_https: FORCE }}
uploads: {{ secret_key: {KEY}, max_bytes: 4MiB }}
auth: {{ token: {TOKEN} }}
rate_limit: {{ storage: "memory://", routes: {{ /api/ping: 2/hour }} }}
"""


def replaced(text, **pairs):
    """Each address stands in the file exactly as often as said, so that nothing else is replaced."""
    for old, (times, new) in pairs.items():
        assert text.count(old) == times, f"{old} is there {text.count(old)} times"
        text = text.replace(old, new)
    return text


class Answer:
    def __init__(self, r):
        self.status, self.headers, self.body = r.status, r.headers, r.read()
        self.text = self.body.decode("latin-1")

    def __getitem__(self, name):
        return self.headers[name]


class Front:
    """What stands before dozo, asked from an address of loopback."""

    def __init__(self, port, ca=None):
        self.port, self.ca = port, ca

    def ask(self, path, method="GET", source="127.0.0.2", body=None, **headers):
        headers = {"Host": HOST, "Connection": "close", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if self.ca:
            c = http.client.HTTPSConnection("127.0.0.1", self.port, source_address=(source, 0), context=ssl.create_default_context(cafile=self.ca))
        else:
            c = http.client.HTTPConnection("127.0.0.1", self.port, source_address=(source, 0))
        try:
            c.request(method, path, body, headers)
            return Answer(c.getresponse())
        finally:
            c.close()

    def curl(self, *args):
        """curl's answer and status; over HTTP/2 where there is TLS."""
        url = f"{'https' if self.ca else 'http'}://{HOST}"
        r = subprocess.run([tool("curl"), "-sS", "--connect-to", f"{HOST}::127.0.0.1:{self.port}", "--interface", "127.0.0.2", "-w", "\n%{http_code}",
                            *(["--cacert", self.ca, "--http2"] if self.ca else []), *args[:-1], url + args[-1]], capture_output=True, text=True)
        body, _, status = r.stdout.rpartition("\n")
        return int(status), body

    def upload(self, path, *args):
        return self.curl("-H", f"Authorization: {KEY}", *args, "-F", f"file=@{path};type=image/png", "/upload")

    def events(self):
        """The first bytes of an event stream that stays open."""
        c = Raw(("127.0.0.1", self.port))
        if self.ca:
            c.sock = ssl.create_default_context(cafile=self.ca).wrap_socket(c.sock, server_hostname=HOST)
        c.send(f"GET /api/events HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {TOKEN}\r\n\r\n".encode())
        while b"retry: " not in c.buffer:
            assert c._more(), c.buffer
        c.close()
        return c.buffer


def behind(folder, serve, force):
    """A dozo with one chapter; `force` sends who came by http to https."""
    cbz(folder / "S/c1.cbz", {**pages(2), "9.png": BIG})
    importing(folder, "S")
    return serve(folder, CONFIG.replace("FORCE", force))


@pytest.fixture
def nginx(tmp_path, serve):
    folder = tmp_path / "dozo"
    folder.mkdir()
    s = behind(folder, serve, "true")
    make_pair(tmp_path, "a", HOST)
    plain = servers.free_port()

    def config(port, home):
        site = replaced((EXAMPLES / "nginx.conf").read_text(), **{
            "127.0.0.1:8080": (1, "%s:%d" % s.address), "/var/cache/nginx/dozo": (1, f"{home}/cache"),
            f"/etc/letsencrypt/live/{HOST}/fullchain.pem": (1, f"{tmp_path}/a.crt"), f"/etc/letsencrypt/live/{HOST}/privkey.pem": (1, f"{tmp_path}/a.key"),
            "listen [::]:80;": (1, f"listen 127.0.0.3:{plain};"), "listen 80;": (1, f"listen 127.0.0.1:{plain};"),
            "listen [::]:443": (1, f"listen 127.0.0.3:{port}"), "listen 443": (1, f"listen 127.0.0.1:{port}")})
        (home / "site.conf").write_text(site)
        temporary = "".join(f"{kind}_temp_path {home}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        root = "user root;\n" if os.geteuid() == 0 else ""
        return f"{root}pid {home}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}include {home}/site.conf;\n}}\n"
    with own(servers.Nginx, tmp_path / "nginx", config) as n:
        n.plain, n.dozo = plain, s
        n.front = Front(n.port, str(tmp_path / "a.crt"))
        yield n


@pytest.fixture
def varnish(tmp_path, serve):
    folder = tmp_path / "dozo"
    folder.mkdir()
    s = behind(folder, serve, "false")
    vcl = tmp_path / "dozo.vcl"
    vcl.write_text(replaced((EXAMPLES / "varnish.vcl").read_text(), **{'.host = "127.0.0.1"': (1, f'.host = "{s.address[0]}"'),
                                                                         '.port = "8080"': (1, f'.port = "{s.address[1]}"')}))
    with own(servers.Varnish, tmp_path / "varnish", vcl) as v:
        v.dozo = s
        v.front = Front(v.port)
        yield v


def pictures(front):
    """Through the front, as a reader goes: home, series, chapter, pictures."""
    home = front.ask("/")
    series = re.search(r'href="(/series/[^"]+)"', home.text)[1]
    chapter = re.search(r'href="(/read/[^"]+)"', front.ask(series).text)[1]
    found = [src.replace("&amp;", "&") for src in re.findall(r'<img[^>]* src="([^"]+)"', front.ask(chapter).text)]
    assert len(found) == 3
    return found


def seen(server, path):
    """The client of each request for a path, as dozo took them."""
    return [line.split()[0] for line in (server.folder / "access.log").read_text().splitlines() if f" {path} " in line]


def asked_once(front, server, path):
    """Lines come a moment after answers: until those of later requests of each loop are there."""
    for i in range(20):
        front.ask(f"/nothing-{i}")
    until(lambda: all(seen(server, f"/nothing-{i}") for i in range(20)) and seen(server, path), "the lines of the log")
    assert len(seen(server, path)) == 1


def kept_and_asked(front, src):
    """A picture that the front has: whole, in part, by condition, and never asked of dozo again."""
    first, second = front.ask(src), front.ask(src)
    assert (first.status, first.body, first["X-Cache"]) == (200, BIG, "MISS")
    assert (second.status, second.body, second["X-Cache"]) == (200, BIG, "HIT")
    assert second["ETag"] == first["ETag"] and "immutable" in second["Cache-Control"]
    for asked, want in (("bytes=0-9", BIG[:10]), ("bytes=-7", BIG[-7:]), ("bytes=1000-", BIG[1000:])):
        part = front.ask(src, Range=asked)
        assert (part.status, part.body, part["ETag"], part["X-Cache"]) == (206, want, first["ETag"], "HIT")
    assert front.ask(src, Range="bytes=99999999-").status == 416
    assert front.ask(src, If_None_Match=first["ETag"]).status == 304
    assert front.ask(src, If_Modified_Since=first["Last-Modified"]).status == 304
    assert front.ask(src, If_None_Match='"other"').body == BIG
    head = front.ask(src, method="HEAD")
    assert (head.status, head.body, head["Content-Length"]) == (200, b"", str(len(BIG)))
    return second


def uploads(front, tmp_path):
    """Through the front: as it comes, refused, too large. The name of one that is there."""
    (tmp_path / "a.png").write_bytes(BIG)
    status, reply = front.upload(tmp_path / "a.png")
    assert status == 200
    name = json.loads(reply)["file_id"]
    assert front.ask(f"/image/{name}.png").body == BIG
    assert front.curl("-H", "Authorization: wrong", "-F", f"file=@{tmp_path}/a.png", "/upload") == (401, '{"message":"Invalid auth."}')
    (tmp_path / "b.png").write_bytes(BIG * 3)
    assert front.upload(tmp_path / "b.png")[0] == 413
    return name


def test_nginx(nginx, tmp_path):
    front, s = nginx.front, nginx.dozo
    ok, words = nginx.check()
    assert ok and "[warn]" not in words, words
    c = http.client.HTTPConnection("127.0.0.1", nginx.plain)
    c.request("GET", "/read/1?x=y", headers={"Host": HOST})
    moved = c.getresponse()
    assert (moved.status, moved.headers["Location"]) == (301, f"https://{HOST}/read/1?x=y")
    # dozo was told that the reader came by https, or this would be a redirect again.
    assert front.ask("/").status == 200 and front.ask("/")["X-Cache"] != "HIT"
    src = pictures(front)[2]
    kept_and_asked(front, src)
    asked_once(front, s, src)
    page = front.ask("/", Accept_Encoding="gzip")
    assert page["Content-Encoding"] == "gzip" and "Accept-Encoding" in page["Vary"]
    assert front.ask("/", If_None_Match=page["ETag"]).status == 304
    archive = front.ask("/series/1/chapter/1.cbz")
    part = front.ask("/series/1/chapter/1.cbz", Range="bytes=100-", If_Range=archive["ETag"])
    assert (part.status, part.body) == (206, archive.body[100:])
    name = uploads(front, tmp_path)
    assert front.ask(f"/image/{name}.png")["X-Cache"] == "HIT"
    assert b"HTTP/1.1 200" in front.events()
    status, _ = front.curl("-X", "DELETE", "-H", f"Authorization: {KEY}", f"/delete/{name}")
    assert status == 204
    assert front.ask(f"/image/{name}").status == 404 and front.ask(f"/image/{name}")["X-Cache"] != "HIT"
    # What nginx has it serves without dozo.
    assert s.stop() == 0
    assert front.ask(src).body == BIG and front.ask("/").status == 502


def test_nginx_says_who_asks(nginx):
    """Rate limits count readers by their address, whatever they say about themselves."""
    front, s = nginx.front, nginx.dozo
    lies = {"X_Forwarded_For": "203.0.113.1", "Forwarded": "for=203.0.113.2", "X_Forwarded_Proto": "http"}
    assert [front.ask("/api/ping", **lies).status for _ in range(3)] == [200, 200, 429]
    assert front.ask("/api/ping", source="127.0.0.9", X_Forwarded_For="203.0.113.3").status == 200
    assert front.ask("/api/ping").status == 429
    until(lambda: sorted(seen(s, "/api/ping")) == ["127.0.0.2"] * 4 + ["127.0.0.9"], "the lines of the log")
    private = front.ask("/-/jobs", Authorization=TOKEN)
    assert private["Cache-Control"] == "no-store" and front.ask("/-/jobs")["X-Cache"] != "HIT"


def test_varnish(varnish, tmp_path):
    front, s = varnish.front, varnish.dozo
    src = pictures(front)[2]
    second = kept_and_asked(front, src)
    assert int(second["Age"]) >= 0 and second["X-Url"] is None
    asked_once(front, s, src)
    assert front.ask(src, Cookie="a=b")["X-Cache"] == "HIT"
    for path in ("/healthz", "/-/jobs", "/api/ping", "/image/NOPE"):
        assert [front.ask(path, Authorization=TOKEN)["X-Cache"], front.ask(path)["X-Cache"]] == ["MISS"] * 2, path
    assert front.ask(src, Authorization=TOKEN)["X-Cache"] == "MISS"
    assert front.ask("/")["X-Cache"] == front.ask("/")["X-Cache"] == "MISS"
    assert front.ask("/", If_None_Match=front.ask("/")["ETag"]).status == 304
    archive = front.ask("/series/1/chapter/1.cbz")
    part = front.ask("/series/1/chapter/1.cbz", Range="bytes=100-", If_Range=archive["ETag"])
    assert part.body == archive.body[100:]
    assert b"HTTP/1.1 200" in front.events()
    one, two = uploads(front, tmp_path), uploads(front, tmp_path)
    forms = [f"/image/{one}{end}" for end in ("", ".png", ".png?x=y")]
    for path in (*forms, f"/image/{two}"):
        assert front.ask(path).body == BIG and front.ask(path)["X-Cache"] == "HIT"
    assert front.curl("-X", "DELETE", f"/delete/{one}.png")[0] == 401
    assert front.ask(forms[0])["X-Cache"] == "HIT"
    assert front.curl("-X", "DELETE", "-H", f"Authorization: {KEY}", f"/delete/{one}.png")[0] == 204
    assert [front.ask(path).status for path in forms] == [404] * 3
    assert front.ask(f"/image/{two}")["X-Cache"] == "HIT"
    assert front.ask(f"/image/{two}", method="PURGE").status == 405
    assert front.ask(f"/image/{two}", method="PURGE", source="127.0.0.1").status == 200
    assert front.ask(f"/image/{two}")["X-Cache"] == "MISS" and front.ask(src)["X-Cache"] == "HIT"
    assert s.stop() == 0
    assert front.ask(src).body == BIG


def test_varnish_says_who_asks(varnish):
    front, s = varnish.front, varnish.dozo
    assert [front.ask("/api/ping", X_Forwarded_For="203.0.113.1", Forwarded="for=203.0.113.1").status for _ in range(3)] == [200, 200, 429]
    # The TLS terminator before it is believed.
    assert [front.ask("/api/ping", source="127.0.0.1", X_Forwarded_For="203.0.113.9").status for _ in range(3)] == [200, 200, 429]
    until(lambda: sorted(seen(s, "/api/ping")) == ["127.0.0.2"] * 3 + ["203.0.113.9"] * 3, "the lines of the log")


# ---- containers --------------------------------------------------------------------------------------------------------------

def test_compose(tmp_path):
    """What it refers to is there, and dozo takes the settings that it is given."""
    compose = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
        for volume in service.get("volumes", []):
            assert volume.startswith("./") or volume.split(":")[0] in compose["volumes"], volume
    service = compose["services"]["dozo"]
    assert (EXAMPLES / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == EXAMPLES / "Dockerfile"
    values = {"catalog_uri": "postgres://dozo:password@postgres/dozo", "token": TOKEN, "upload": KEY}
    assert set(values) == set(service["secrets"])
    for name, value in values.items():
        (tmp_path / name).write_text(value)
    env = {k: str(v).replace("/run/secrets", str(tmp_path)) for k, v in service["environment"].items()}
    dozo("config", "check", cwd=tmp_path, env=env, check=0)
    dump = yaml.safe_load(dozo("config", "dump", cwd=tmp_path, env=env, check=0).out)
    assert (dump["catalog"]["driver"], dump["cache"]["driver"], dump["rate_limit"]["storage"]) == ("postgres", "redis", env["DOZO_RATE_LIMIT_STORAGE"])
    assert service["healthcheck"]["test"][-1].count("/healthz") == 1


def test_the_image_has_what_the_binary_needs():
    listed = set(re.findall(r"\b(?:lib[a-z0-9.+-]+|zlib1g)\b", (EXAMPLES / "Dockerfile").read_text()))
    needed = subprocess.run(["objdump", "-p", os.environ.get("DOZO_RELEASE_BIN", DOZO)], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"NEEDED +(\S+)", needed):
        owner = subprocess.run(["dpkg", "-S", f"*/{library}"], capture_output=True, text=True, check=True).stdout
        assert library.startswith(("libc.so", "libm.so", "ld-linux", "libasan", "libubsan")) or {line.split(":")[0] for line in owner.splitlines()} & listed, library
