"""The table of HTTP/1.1 cases (tests/unit/http/conform.h) against the real program: TCP, TCP with the client's end closed, a UNIX
socket, and TLS.

The cases come from the unit test's own binary, so there is one table. What needs the routes of the unit test's server is left out;
/healthz and /nothing mean the same there and here. Behind each case goes one more request, which shows whether the server is still in
step or, where it has to close, that it does.
"""
import errno
import json
import pathlib
import re
import socket
import ssl
import subprocess

import pytest

from conftest import DOZO, PATIENCE, Server, clean_env, tool

SENTINEL = b"GET /healthz HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n"
UNIT_ONLY = re.compile(rb"/(hello|seen|file|text|echo|late|any|never|twice|defer-now|redirect|no-content|plain|empty|weak|tagged|wednesday"
                       rb"|one)\b|http://b[ ?]")
REFUSALS = {"400 !", "400h !", "414 !", "417 !", "431 !", "501 !", "505 !", "505h !"}  # by the parser: no route is looked at


def table():
    program = pathlib.Path(DOZO).resolve().parent / "tests/unit/http/test_http_conformance"
    out = subprocess.run([program, "--list-json"], stdout=subprocess.PIPE, check=True, env=clean_env()).stdout
    groups = {}
    for group in json.loads(out):
        cases = [c for c in group["cases"] if c["want"] in REFUSALS or not UNIT_ONLY.search(bytes.fromhex(c["request_hex"]))]
        if cases:
            groups[group["group"]] = cases
    return groups


TABLE = table()


def wanted(text):
    """Statuses with "answers HEAD" marks, whether the server closes, whether it waits for more."""
    answers = []
    for word in text.split():
        m = re.fullmatch(r"(\d{3})(h?)(?:x(\d+))?", word)
        if m:
            answers += [(int(m[1]), bool(m[2]))] * int(m[3] or 1)
    return answers, "!" in text.split(), "~" in text.split()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conformance")
    subprocess.run([tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"],
                   cwd=folder, check=True, capture_output=True)
    s = Server(folder, f'listen: ["127.0.0.1:0", "unix:{folder}/s", "https://127.0.0.1:0"]\n'
                       f'tls: {{ certificates: ["{folder}/cert.pem"], keys: ["{folder}/key.pem"] }}\n')
    s.tls = ssl.create_default_context(cafile=folder / "cert.pem")
    yield s
    assert s.stop() == 0


def connect(server, way):
    if way == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(server.addresses[1].removeprefix("unix:"))
        return sock
    address = server.parse(server.addresses[2 if way == "tls" else 0].removeprefix("https://"))
    sock = socket.create_connection(address, PATIENCE)
    return server.tls.wrap_socket(sock, server_hostname="localhost") if way == "tls" else sock


def talk(server, way, data, half_close):
    """All that comes back until the end. A server that has closed need not take the rest."""
    gone = (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
    with connect(server, way) as sock:
        out = b""
        try:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        except gone:
            pass  # what it has said before is read all the same
        except OSError as e:
            assert e.errno == errno.ENOTCONN, e  # gone before the shutdown
        try:
            while part := sock.recv(65536):
                out += part
        except gone:
            pass
        return out


def take(out, status, head, last):
    """One answer off `out`, its form judged; what is left and its header lines."""
    top, mark, rest = out.partition(b"\r\n\r\n")
    assert mark, f"{status} is missing: {out[:300]!r}"
    lines = top.decode("latin-1").split("\r\n")
    assert lines[0].startswith(f"HTTP/1.1 {status} "), f"{status} was wanted: {lines[0]}"
    fields = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        assert colon and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), line
        fields.setdefault(name.lower(), []).append(value.strip())
    if status < 200:
        return rest, fields
    for name in ("date", "content-length", "content-type", "connection", "etag"):
        assert len(fields.get(name, [])) <= 1, f"{name} stands twice"
    assert "date" in fields and "age" not in fields
    assert (fields.get("connection") == ["close"]) == last, "Connection: close does not say what happens"
    assert status < 400 or fields.get("cache-control") == ["no-store"], "an error that a cache may keep"
    assert status != 405 or "allow" in fields
    if head or status in (204, 304):
        return rest, fields
    assert "transfer-encoding" not in fields and "content-length" in fields
    n = int(fields["content-length"][0])
    assert len(rest) >= n, "the content is cut short"
    return rest[n:], fields


def check(case, out, sentinel):
    answers, closes, _ = wanted(case["want"])
    all_fields = []
    for i, (status, head) in enumerate(answers):
        out, fields = take(out, status, head, closes and i == len(answers) - 1)
        all_fields.append(fields)
    for line in (case["lines"] or "").split("\n"):
        m = re.fullmatch(r"(?:@(\d) )?(-?)([^:]+)(?:: ?(.*))?", line)
        if not m:
            continue
        fields = all_fields[int(m[1]) - 1 if m[1] else -1]
        got = fields.get(m[3].lower())
        assert (got is None) if m[2] else got and (m[4] is None or got == [m[4].strip()]), f"{line}: {got}"
    if sentinel and not closes:
        out, _ = take(out, 200, False, True)
    assert out == b"", f"sent and not asked for: {out[:300]!r}"


@pytest.mark.parametrize("way", ["tcp", "half-closed", "unix", "tls"])
@pytest.mark.parametrize("group", TABLE)
def test_group(server, group, way):
    wrong, ran = [], 0
    for case in TABLE[group]:
        request = bytes.fromhex(case["request_hex"])
        waits = wanted(case["want"])[2]
        if waits and way != "half-closed":
            continue  # half a request can only be ended by the end of the connection
        ran += 1
        try:
            if waits:
                out = talk(server, way, request, True)
                if b"HTTP/1.1 400 " in out:
                    out = out[:out.index(b"HTTP/1.1 400 ")]
                check(case, out, False)
            else:
                check(case, talk(server, way, request + SENTINEL, way == "half-closed"), True)
        except AssertionError as e:
            wrong.append(f"RFC {case['clause']}: {case['says']} ({case['want']}): {str(e).splitlines()[0]}")
    print(f"{group}, {way}: {ran - len(wrong)} of {ran} cases")
    assert not wrong, "\n".join(wrong)
    assert ran > 0 or all(wanted(c["want"])[2] for c in TABLE[group])


def test_enough_cases():
    """A slip in what is left out must not empty the table."""
    assert sum(len(cases) for cases in TABLE.values()) >= 490
