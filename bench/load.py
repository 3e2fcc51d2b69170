"""load: the measuring of one server for a few seconds, from the core that the server does not have.

CPU time of a server is utime + stime of its processes before and after, divided by the answers that the load generator counted.
wrk sends the next request when the last answer is there, so a server that stalls is asked less while it does: its latencies are too
kind ("coordinated omission"), to every server alike. They compare; they are not what a user would see.
"""
import asyncio
import dataclasses
import hashlib
import pathlib
import re
import subprocess
import sys
import time

from peers import Unmeasured


@dataclasses.dataclass(frozen=True)
class Sample:
    cpu_us: float
    p99_us: float
    per_s: float
    lost: float     # connections that the server ended, per request


def headers_of(server, case, ask):
    headers = list(ask.headers)
    if ask.conditional:
        plain = dataclasses.replace(ask, conditional=False, headers=())
        headers.append(("If-None-Match", server.fetch(plain, case.scheme)[2]["etag"]))
    return headers


def ask_of(server, case):
    return case.dozo if server.name == "dozo" else case.peer


def check(case, servers):
    """All of them answer, with the same bytes and with the headers that the case wants."""
    digests = {}
    for s in servers:
        ask = ask_of(s, case)
        status, body, headers = s.fetch(dataclasses.replace(ask, headers=tuple(headers_of(s, case, ask))), case.scheme)
        if status != ask.status:
            raise Unmeasured(f"{case.name}: {s.name} answers {status} instead of {ask.status}")
        lacking = [h for h in ask.answer if h not in headers]
        if lacking:
            raise Unmeasured(f"{case.name}: {s.name} sends no {', '.join(lacking)}")
        digests[s.name] = hashlib.sha256(body).hexdigest(), headers.get("content-encoding"), headers.get("x-metadata")
    # The list of a shelf has no X-Metadata; a peer may send its own there.
    same = {d[:2] if "chapters" in case.dozo.path else d for d in digests.values()}
    if case.same_body and len(same) != 1:
        raise Unmeasured(f"{case.name}: the answers differ: {digests}")


def run(cpu, cmd):
    got = subprocess.run(["taskset", "-c", str(cpu), *map(str, cmd)], capture_output=True, text=True)
    if got.returncode != 0:
        raise Unmeasured(f"{' '.join(map(str, cmd))}: {got.stderr or got.stdout}")
    return got.stdout


def number(pattern, text, what):
    found = re.search(pattern, text)
    if not found:
        raise Unmeasured(f"no {what} in:\n{text}")
    return found


def wrk(server, case, seconds, cpu, folder, script=None):
    ask = ask_of(server, case)
    if case.connections > 1000:     # the connecting alone takes a second
        seconds = max(seconds, 4)
    cmd = ["wrk", "-t1", f"-c{case.connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    for name, value in headers_of(server, case, ask):
        cmd += ["-H", f"{name}: {value}"]
    if ask.method != "GET" and not script:
        script = folder / f"{ask.method}.lua"
        script.write_text(f'wrk.method = "{ask.method}"\n')
    if script:
        cmd += ["-s", script]
    before = server.cpu_s()
    out = run(cpu, [*cmd, f"{case.scheme}://127.0.0.1:{server.ports[case.scheme]}{ask.path}"])
    used = server.cpu_s() - before
    answers = int(number(r"(\d+) requests in", out, "count")[1])
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    if answers == 0 or (int(errors[1]) if errors else 0) != (answers if ask.status >= 400 else 0):
        raise Unmeasured(f"{case.name}: {server.name} answered wrongly:\n{out}")
    lost = sum(map(int, sockets.groups())) if sockets else 0
    if server.name == "dozo" and lost:
        raise Unmeasured(f"{case.name}: {server.name} lost connections:\n{out}")
    p99 = number(r"99%\s+([\d.]+)(us|ms|s)", out, "latency")
    return Sample(used / answers * 1e6, float(p99[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[p99[2]], answers / seconds, lost / answers)


def h2load(server, case, seconds, cpu, folder):
    """HTTP/2 over TLS; connections are new, so their handshakes (some 30 ms in all) are in the figure of every server."""
    ask, log = ask_of(server, case), folder / "h2load.log"
    log.unlink(missing_ok=True)
    cmd = ["h2load", "-t1", f"-c{case.connections}", f"-m{case.streams}", f"-D{seconds}", f"--log-file={log}"]
    for name, value in headers_of(server, case, ask):
        cmd += ["-H", f"{name}: {value}"]
    before = server.cpu_s()
    out = run(cpu, [*cmd, f"https://127.0.0.1:{server.ports['https']}{ask.path}"])
    used = server.cpu_s() - before
    if "Application protocol: h2\n" not in out:
        raise Unmeasured(f"{case.name}: {server.name} does not speak HTTP/2:\n{out}")
    counts = number(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out, "count")
    answers, succeeded, *lost = map(int, counts.groups())
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    took_us = sorted(int(row[2]) for row in rows)
    wrong = [row for row in rows if row[1] not in (str(ask.status), "-1")]  # -1: the stream ended without an answer, counted as lost
    if succeeded == 0 or not took_us or wrong or (server.name == "dozo" and any(lost)):
        raise Unmeasured(f"{case.name}: {server.name} answered wrongly:\n{out}")
    return Sample(used / succeeded * 1e6, took_us[len(took_us) * 99 // 100], succeeded / seconds, sum(lost) / answers)


def handshakes(server, case, seconds, cpu, _folder):
    """New TLS 1.3 connections with one HEAD each; the case's name says full or resumed."""
    seconds = max(seconds, 3)      # they are few
    before = server.cpu_s()
    out = run(cpu, [sys.executable, pathlib.Path(__file__).parent / "handshakes.py", server.ports["https"], ask_of(server, case).path, seconds,
                    "resumed" if "resumed" in case.name else "full"])
    used = server.cpu_s() - before
    made, resumed = map(int, out.split())
    # The first one of a run has nothing to resume.
    if resumed != (made - 1 if "resumed" in case.name else 0):
        raise Unmeasured(f"{case.name}: {server.name} resumed {resumed} of {made} connections")
    if used <= 0:
        raise Unmeasured(f"{case.name}: {server.name} used no CPU time for {made} connections")
    return Sample(used / made * 1e6, 0.0, made / seconds, 0.0)


# ---- idle connections ------------------------------------------------------------------------------------------------------------------

async def open_idle(port, path, n):
    """n connections that have had one answer each, and say nothing more."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    out = []

    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        await reader.readexactly(length)
        out.append(writer)

    for at in range(0, n, 100):
        await asyncio.gather(*(one() for _ in range(min(100, n - at))))
    return out


def idle_connections(server, ask, n):
    """Bytes that n idle connections add to the server's memory."""
    async def measure():
        before = server.memory_bytes()
        writers = await open_idle(server.ports["http"], ask.path, n)
        await asyncio.sleep(0.5)
        alive = sum(not w.transport.is_closing() for w in writers)
        after = server.memory_bytes()
        for w in writers:
            w.transport.abort()
        if alive < n:
            raise Unmeasured(f"{server.name} kept {alive} of {n} idle connections")
        return after - before

    try:
        added = asyncio.run(measure())
    except (OSError, asyncio.IncompleteReadError) as e:
        raise Unmeasured(f"{n} idle connections to {server.name}: {e}") from e
    time.sleep(0.5)
    return added
