"""The kept inputs of fuzz_http_request against the running server, over a real socket.

The fuzz target answers them on its memory wire, with routes of its own and the same limits; it prints its statuses. What the server says
by itself about the bytes (400, 413, 414, 417, 431, 505) must be the same over a socket, request by request. Statuses of handlers differ,
since the routes do, and a method that one side's routes refuse ends its connection there: up to that place the two must agree.
"""
import os
import pathlib
import re
import socket
import subprocess

from conftest import DOZO, PATIENCE, ROOT, clean_env

TARGET = pathlib.Path(DOZO).parent / "tests/fuzz/fuzz_http_request"
CORPUS = ROOT / "tests/fuzz/corpus/http_request"
INPUTS_MAX = 400
CONTROL_BYTES = 4
BY_ITSELF = {400, 413, 414, 417, 431, 505}
BY_ROUTE = {405, 501}


def memory_answers(files):
    """Per file: [(status, is HEAD), …] as the memory wire answered."""
    r = subprocess.run([TARGET, *files], capture_output=True, text=True, errors="replace", env=clean_env(FUZZ_STATUSES="1"), check=True,
                       timeout=PATIENCE * 5)
    answers = {}
    for line in r.stderr.splitlines():
        if line.startswith("replay: "):
            current = answers.setdefault(line[8:], [])
        m = re.fullmatch(r"status: (\d+) ([01])", line)
        if m:
            current.append((int(m.group(1)), m.group(2) == "1"))
    return answers


def exchange(address, data):
    """All bytes that come back for data, until the server ends the connection."""
    s = socket.create_connection(address, PATIENCE)
    s.settimeout(PATIENCE)
    out = b""
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it has refused and closed already; what it said is still to be read
    try:
        while piece := s.recv(65536):
            out += piece
    except ConnectionResetError:
        pass
    s.close()
    return out


def statuses(out, heads):
    """Statuses of the answers in out; heads says which were to HEAD, as far as that is known."""
    found = []
    while out:
        head, mark, rest = out.partition(b"\r\n\r\n")
        m = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        assert m and mark, f"not an answer: {out[:200]!r}"
        status = int(m.group(1))
        out = rest
        if status < 200:
            continue
        is_head = heads[len(found)] if len(found) < len(heads) else False
        found.append(status)
        length = re.search(rb"(?i)\r\nContent-Length: (\d+)", head)
        if re.search(rb"(?i)\r\nTransfer-Encoding: chunked", head) and not is_head:
            while size := int(out.partition(b"\r\n")[0], 16):
                out = out.partition(b"\r\n")[2][size + 2:]
            out = out.partition(b"\r\n\r\n")[2]
        elif length and not is_head and status not in (204, 304):
            assert len(out) >= int(length.group(1)), "a body came short"
            out = out[int(length.group(1)):]
    return found


def comparable(found):
    """Verdicts of the server itself, with None for what a handler said, up to where routes decide about the connection."""
    row = []
    for status in found:
        if status in BY_ROUTE:
            return row, False
        row.append(status if status in BY_ITSELF else None)
    return row, True


def test_replay(tmp_path, serve):
    s = serve(tmp_path, "http:\n  max_header: 600\n  max_body: 2000\n")
    files = sorted(str(f) for f in CORPUS.iterdir() if f.stat().st_size >= CONTROL_BYTES)[:INPUTS_MAX]
    answers = memory_answers(files)
    assert len(answers) == len(files) > 20
    compared = refused = 0
    for name in files:
        expected = answers[name]
        got = statuses(exchange(s.address, pathlib.Path(name).read_bytes()[CONTROL_BYTES:]), [is_head for _, is_head in expected])
        mine, whole_mine = comparable(got)
        theirs, whole_theirs = comparable([status for status, _ in expected])
        n = len(mine) if not whole_mine else len(theirs) if not whole_theirs else max(len(mine), len(theirs))
        n = min(n, len(mine) if not whole_mine else n, len(theirs) if not whole_theirs else n)
        assert mine[:n] == theirs[:n], f"{os.path.basename(name)}: {got} over a socket, {expected} in memory"
        compared += n
        refused += sum(status is not None for status in mine[:n])
    # A corpus that says nothing compares nothing.
    assert compared > 50 and refused > 10, (compared, refused)
