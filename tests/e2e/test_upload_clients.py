"""Uploads sent by clients that nobody here wrote: curl over HTTP/1.1 and HTTP/2, Python's requests and aiohttp (the client of imoog's
README), and forms in Chromium. What each sent comes back byte for byte, and what may not be sent leaves nothing behind."""
import asyncio
import io
import json
import pathlib
import random
import re
import subprocess

import aiohttp
import pytest
import requests
from browser import Browser
from comics import page
from conftest import tool, until
from test_tls import Tls, make_pair

KEY = "k3y-of-the-test"
CONFIG = """listen: ["127.0.0.1:0", "https://127.0.0.1:0"]
tls: { certificates: [a.crt], keys: [a.key] }
uploads: { secret_key: k3y-of-the-test, max_bytes: 8MiB }
"""
BIG = page(1) + random.Random(1).randbytes(5 << 20)
TOO_BIG = BIG + bytes(4 << 20)
REPLY = re.compile(r'\{"status":200,"file_id":"([A-Z0-9]{9})","file_ext":"([^"]*)"\}')


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    make_pair(folder, "a", "a.test")
    s = Tls(folder, CONFIG)
    s.url = "http://%s:%d" % s.address
    s.secure_url = "https://%s:%d" % s.secure
    yield s
    assert s.stop() == 0


def kept(s):
    """How many bytes lie in the store; what is still being taken counts too."""
    return sum(f.stat().st_size for f in pathlib.Path(s.folder / "data/blobs").rglob("*") if f.is_file())


def same(s, reply, data, kind, ext):
    """The reply is imoog's, and what it names is what was sent."""
    name, said = REPLY.fullmatch(reply).groups()
    r = s.get(f"/image/{name}.{said}")
    assert (said, r.status, r.body, r["Content-Type"]) == (ext, 200, data, kind)
    return name


# ---- curl --------------------------------------------------------------------------------------------------------------------

def curl(s, version, *args, status=200):
    url = s.secure_url if version == "--http2" else s.url
    r = subprocess.run([tool("curl"), "-sS", "--cacert", s.folder / "a.crt", version, "-w", "\n%{http_code} %{http_version}", *args,
                        url + "/upload"], capture_output=True, text=True)
    body, _, said = r.stdout.rpartition("\n")
    assert said == f"{status} {'2' if version == '--http2' else '1.1'}", r.stdout + r.stderr
    return body


@pytest.mark.parametrize("size", [50_000, 3_000_000, 20_000_000])
def test_curl_reads_an_early_refusal(web, tmp_path, size):
    """Over HTTP/2 it sends its body when the answer comes, and a reset that came with that would hide it."""
    (tmp_path / "x").write_bytes(bytes(size))
    assert curl(web, "--http2", "-F", f"file=@{tmp_path}/x", status=401) == '{"message":"Invalid auth."}'


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl(web, tmp_path, version):
    picture, letter = tmp_path / "a b;\"ü\".png", tmp_path / "letter.txt"
    picture.write_bytes(BIG)
    letter.write_bytes(b"Dear all\n")
    key = ("-H", f"Authorization: {KEY}")
    field = 'file=@"' + str(picture).replace('"', '\\"') + '"'
    same(web, curl(web, version, *key, "-F", field), BIG, "image/png", "png")
    same(web, curl(web, version, *key, "-F", "album=1", "-F", field + ";type=image/jpeg"), BIG, "image/jpeg", "jpeg")
    same(web, curl(web, version, *key, "-F", f"file=@{letter}"), b"Dear all\n", "text/plain; charset=utf-8", "plain")
    same(web, curl(web, version, *key, "-F", field, "-F", f"file=@{letter};type=text/x-last"), b"Dear all\n", "text/x-last; charset=utf-8", "x-last")
    # From a pipe: no length is known beforehand.
    assert REPLY.fullmatch(curl(web, version, *key, "-H", "Transfer-Encoding: chunked" if version == "--http1.1" else "X: y", "-F", field))
    before = kept(web)
    assert curl(web, version, *key, "-F", f"file=<{letter}", status=400) == '{"message":"No \'file\' given."}'
    assert curl(web, version, *key, "-d", f"file=@{letter}", status=400) == '{"message":"No \'file\' given."}'
    assert curl(web, version, "-F", f"file=@{letter}", status=401) == '{"message":"Invalid auth."}'
    assert curl(web, version, "-u", f"x:{KEY}", "-F", f"file=@{letter}", status=401) == '{"message":"Invalid auth."}'
    assert kept(web) == before


# ---- Python ------------------------------------------------------------------------------------------------------------------

def test_requests(web):
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = KEY

        def post(status=200, **kw):
            r = session.post(web.url + "/upload", **kw)
            assert r.status_code == status, r.text
            return r.text
        name = same(web, post(files={"file": ("ü.png", io.BytesIO(BIG), "image/png")}, data={"album": "1"}), BIG, "image/png", "png")
        same(web, post(files={"file": b""}), b"", None, "png")
        same(web, post(files=[("file", ("a", b"1", "text/plain")), ("file", ("b", b"2", "application/x-b"))]), b"2", "application/x-b", "x-b")
        same(web, post(files={"file": ("x", page(2), "image/svg+xml; charset=utf-8")}), page(2), "image/svg+xml; charset=utf-8", "svg+xml")
        before = kept(web)
        assert post(400, data={"file": "x"}) == post(400, json={"file": "x"}) == post(400, files={"other": b"x"}) == '{"message":"No \'file\' given."}'
        try:
            assert "413" in post(413, files={"file": TOO_BIG})
        except requests.ConnectionError:
            pass  # it went on sending after the answer and the end of the connection
        until(lambda: kept(web) == before, "nothing of them kept")
        fetched = session.get(f"{web.url}/image/{name}.png", headers={"Range": "bytes=10-19"})
        assert (fetched.status_code, fetched.content) == (206, BIG[10:20])
        assert session.delete(f"{web.url}/delete/{name}.png").status_code == 204
        assert session.get(f"{web.url}/image/{name}.png").status_code == 404


@pytest.mark.filterwarnings("ignore:In v4, passing bytes")  # the README does
def test_aiohttp_as_in_imoogs_readme(web):
    async def upload(session, data, **field):
        form = aiohttp.FormData()
        form.add_field("file", data, content_type="application/octet-stream", **field)
        async with session.post(web.url + "/upload", data=form) as r:
            assert (r.status, r.headers["Content-Type"]) == (200, "application/json")
            reply = await r.json()
            assert list(reply) == ["status", "file_id", "file_ext"] and reply["status"] == 200
            return json.dumps(reply, separators=(",", ":"))

    async def everything():
        async with aiohttp.ClientSession(headers={"Authorization": KEY}) as session:
            return await asyncio.gather(*(upload(session, b"%d" % i * i) for i in range(64)), upload(session, io.BytesIO(BIG), filename="a.png"))
    *small, big = asyncio.run(everything())
    names = {same(web, reply, b"%d" % i * i, "application/octet-stream", "octet-stream") for i, reply in enumerate(small)}
    assert len(names) == 64
    same(web, big, BIG, "application/octet-stream", "octet-stream")


# ---- Chromium ----------------------------------------------------------------------------------------------------------------

FORM = """(() => {
    document.body.innerHTML = '<form method="post" enctype="multipart/form-data" action="ACTION/upload">'
        + '<input name="album" value="1"><input type="file" name="file"><button>Send</button></form>';
})()"""
SEND = """fetch('ACTION/upload', {method: 'POST', headers: {Authorization: 'KEY'}, body: new FormData(document.forms[0])})
    .then(async r => [r.status, await r.text()], e => ['refused', e.name])""".replace("KEY", KEY)


@pytest.fixture(scope="module")
def browser():
    b = Browser()
    yield b
    b.close()


def fill(browser, origin, action, picture):
    """A page of `origin` with a form for `action`, and a file chosen in it."""
    browser.open(origin + "/healthz")
    browser.until(f"location.origin == {json.dumps(origin)} && document.body")
    browser.run(FORM.replace("ACTION", action))
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="input[type=file]")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(picture)])


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a page.png"
    path.write_bytes(BIG)
    return path


def test_a_page_of_the_same_origin(web, browser, picture):
    fill(browser, web.url, "", picture)
    status, reply = browser.run(SEND.replace("ACTION", ""))
    assert status == 200
    name = same(web, reply, BIG, "image/png", "png")
    shown = f"new Promise(done => {{ const i = new Image(); i.onload = () => done([i.naturalWidth, i.naturalHeight]); i.src = '/image/{name}.png' }})"
    assert min(browser.run(shown)) > 0
    # A form by itself cannot name the key.
    before = kept(web)
    browser.click("button")
    browser.until("document.body.innerText.includes('Invalid auth.')")
    assert kept(web) == before


def test_a_page_of_another_origin(web, browser, picture, tmp_path, serve):
    """Refused by the preflight unless the settings name its origin; a form that needs none has no key."""
    for name in ("other", "named"):
        (tmp_path / name).mkdir()
    other = serve(tmp_path / "other", "")
    origin = "http://%s:%d" % other.address
    before = kept(web)
    fill(browser, origin, web.url, picture)
    assert browser.run(SEND.replace("ACTION", web.url)) == ["refused", "TypeError"]
    assert browser.run(f"fetch('{web.url}/upload', {{method: 'POST', body: new FormData(document.forms[0])}}).then(r => r.status, e => e.name)"
                       ) == "TypeError"
    browser.click("button")
    browser.until(f"location.origin == {json.dumps(web.url)} && document.body.innerText.includes('Invalid auth.')")
    assert kept(web) == before
    named = serve(tmp_path / "named", f"http: {{ cors_origins: ['{origin}'] }}\nuploads: {{ secret_key: {KEY} }}\n")
    named_url = "http://%s:%d" % named.address
    fill(browser, origin, named_url, picture)
    status, reply = browser.run(SEND.replace("ACTION", named_url))
    assert status == 200
    same(named, reply, BIG, "image/png", "png")
