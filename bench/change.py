#!/usr/bin/env python3
"""change: how long after a commit a running server shows the change of one chapter of a large shelf.

Usage: change.py [--dozo build/dozo] [--chapters 5000] [--pages 200] [--rounds 20]

Makes a library in a temporary folder: one shelf with so many chapters of so many pages (rows of the catalog; two of the blobs are real
files, and the pages of the changed chapter show them in turn). Starts the server, then in each round changes title and first page of one
chapter in one transaction, tells the server as an import does, and asks on kept connections until the page and the list are the new ones.
Times count from the end of the commit; CPU is that of the server process.
"""
import argparse
import hashlib
import json
import os
import pathlib
import re
import select
import signal
import socket
import sqlite3
import statistics
import struct
import subprocess
import tempfile
import time

CONFIG = 'listen: ["127.0.0.1:0"]\nlog: {level: warn}\nshelves:\n  - {name: komi, series: viz.com/komi}\n'


class Client:
    def __init__(self, address):
        self.sock = socket.create_connection(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method, path, encoding="identity"):
        self.sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {encoding}\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.sock.recv(1 << 16)
        head, _, body = data.partition(b"\r\n\r\n")
        fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])}
        want = 0 if method == "HEAD" else int(fields["content-length"])
        parts, have = [body], len(body)
        while have < want:
            parts.append(self.sock.recv(1 << 20))
            have += len(parts[-1])
        return fields, b"".join(parts)


def make(folder, dozo, chapters, pages):
    (folder / "dozo.yaml").write_text(CONFIG)
    (folder / "cdn").mkdir()
    for i in (1, 2):
        (folder / f"cdn/1-0{i}.jpg").write_bytes(b"\xff\xd8" + bytes([i]) * 2000)
    (folder / "chapters.json").write_text(json.dumps({"1": {"metadata": {
        "title": "First", "page_count": 2, "volume": "1", "volume_cover": False}, "links": {"komizip": "https://read.komi.zip/1"}}}))
    subprocess.run([dozo, "import", "komizip", "chapters.json", "cdn", "--shelf", "komi", "--config", "dozo.yaml"], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL)
    db = sqlite3.connect(folder / "data/dozo.db", isolation_level=None)
    real = [row[0] for row in db.execute("SELECT blob_id FROM page ORDER BY number")]
    (series,) = db.execute("SELECT id FROM series").fetchone()
    db.execute("PRAGMA synchronous=OFF")
    db.execute("BEGIN")
    db.executemany("INSERT INTO blob (id, sha, bytes, mime, width, height, refs) VALUES (?, ?, 150000, 'image/jpeg', 784, 1145, 1)",
                   ((1000 + n, hashlib.sha256(n.to_bytes(8, "big")).digest()) for n in range(chapters * pages)))
    db.executemany(
        "INSERT INTO chapter (id, series_id, source_id, key, sort, number, volume, title, volume_cover, page_count, links, meta_extra, extra,"
        " origin, origin_stamp, created_s, updated_s, rev) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, '', '', '', '', 1, 1, 0)",
        ((10 + n, series, str(n), str(n), n, str(n), str(n // 10), f"Komi’s day number {n} at school", pages,
          json.dumps({"viz": f"https://www.viz.com/vizmanga/komi-cant-communicate-chapter-{n}/chapter/{n + 9000}?action=read",
                      "komizip": f"https://read.komi.zip/{n}"})) for n in range(2, chapters + 2)))
    db.executemany("INSERT INTO page (chapter_id, number, blob_id, mtime_s, name) VALUES (?, ?, ?, 1700000000, ?)",
                   ((10 + 2 + n // pages, n % pages + 1, 1000 + n, f"{n % pages + 1:03}.jpg") for n in range(chapters * pages)))
    db.execute("COMMIT")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return db, series, real


def start(folder, dozo):
    p = subprocess.Popen([dozo, "serve", "--role", "front", "--config", "dozo.yaml"], cwd=folder, stdout=subprocess.PIPE)
    begun, text = time.monotonic(), b""
    while b"listening on" not in text:
        select.select([p.stdout], [], [])
        text += os.read(p.stdout.fileno(), 4096)
    host, port = re.search(rb"listening on ([\d.]+):(\d+)", text).groups()
    print(f"ready after {time.monotonic() - begun:.2f} s")
    return p, (host.decode(), int(port))


def tell(folder):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(folder / "data/run/front.sock"))
        body = b'{"type":"changed"}'
        s.sendall(struct.pack(">I", len(body)) + body)


def memory(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {k: int(re.search(rf"{k}:\s+(\d+)", status).group(1)) / 1024 for k in ("VmRSS", "VmHWM")}


def cpu_ms(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def show(name, values):
    values = sorted(values)
    print(f"{name:34} median {statistics.median(values):7.1f} ms   smallest {values[0]:7.1f}   largest {values[-1]:7.1f}")


def rounds(folder, db, series, real, p, address, o):
    page, chapters_list, encoded = Client(address), Client(address), Client(address)
    key = o.chapters // 2
    pages_ms, list_ms, coded_ms, commit_ms = [], [], {e: [] for e in ("gzip", "zstd", "br")}, []
    for _ in range(o.rounds):
        old_page = page.ask("GET", f"/shelf/komi/cdn/{key}-01.jpg")[0].get("etag")
        old_list = chapters_list.ask("HEAD", "/shelf/komi/v1/chapters")[0]["etag"]
        before = time.monotonic()
        db.execute("BEGIN IMMEDIATE")
        (seq,) = db.execute("SELECT coalesce(max(seq), 0) + 1 FROM change").fetchone()
        title = f"change {seq}"
        db.execute("UPDATE chapter SET title = ?, rev = ? WHERE id = ?", (title, seq, 10 + key))
        (blob,) = db.execute("SELECT blob_id FROM page WHERE chapter_id = ? AND number = 1", (10 + key,)).fetchone()
        db.execute("UPDATE page SET blob_id = ? WHERE chapter_id = ? AND number = 1", (real[blob == real[0]], 10 + key))
        db.execute("INSERT INTO change (series_id, seq) VALUES (?, ?) ON CONFLICT (series_id) DO UPDATE SET seq = excluded.seq", (series, seq))
        db.execute("COMMIT")
        t0 = time.monotonic()
        commit_ms.append((t0 - before) * 1000)
        tell(folder)
        seen_page = seen_list = None
        while seen_page is None or seen_list is None:
            if seen_page is None and page.ask("GET", f"/shelf/komi/cdn/{key}-01.jpg")[0].get("etag") not in (None, old_page):
                seen_page = time.monotonic()
            if seen_list is None and chapters_list.ask("HEAD", "/shelf/komi/v1/chapters")[0]["etag"] != old_list:
                body = chapters_list.ask("GET", "/shelf/komi/v1/chapters")[1]
                seen_list = time.monotonic()
                assert f'"title": "{title}"'.encode() in body
            time.sleep(0.0005)
        pages_ms.append((seen_page - t0) * 1000)
        list_ms.append((seen_list - t0) * 1000)
        for e in coded_ms if o.encoded else ():
            while True:
                if encoded.ask("HEAD", "/shelf/komi/v1/chapters", e)[0].get("content-encoding") == e:
                    break
                if time.monotonic() - t0 > 20:
                    break
                time.sleep(0.005)
            else:
                continue
            coded_ms[e].append((time.monotonic() - t0) * 1000)
        time.sleep(o.pause)
    print(f"list of {len(body):,} bytes")
    show("commit", commit_ms)
    show("page of the cdn", pages_ms)
    show("/v1/chapters, identity", list_ms)
    for e, values in coded_ms.items():
        if values:
            show(f"/v1/chapters, {e}", values)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--dozo", default="build/dozo")
    a.add_argument("--chapters", type=int, default=5000)
    a.add_argument("--pages", type=int, default=200)
    a.add_argument("--rounds", type=int, default=20)
    a.add_argument("--pause", type=float, default=0.3)
    a.add_argument("--no-encoded", dest="encoded", action="store_false", help="do not wait for the encoded lists")
    a.add_argument("--hold", action="store_true", help="print the server's pid and wait for Enter before the rounds")
    a.add_argument("--folder", help="keep the library here, and use it again")
    o = a.parse_args()
    dozo = str(pathlib.Path(o.dozo).resolve())
    with tempfile.TemporaryDirectory(prefix="dozo-change-") as temporary:
        folder = pathlib.Path(o.folder or temporary)
        folder.mkdir(exist_ok=True)
        if (folder / "data/dozo.db").exists():
            db = sqlite3.connect(folder / "data/dozo.db", isolation_level=None)
            (series,) = db.execute("SELECT id FROM series").fetchone()
            real = [r[0] for r in db.execute("SELECT id FROM blob WHERE bytes = 2002 ORDER BY id")]
        else:
            db, series, real = make(folder, dozo, o.chapters, o.pages)
        p, address = start(folder, dozo)
        try:
            print(f"{o.chapters} chapters x {o.pages} pages; pid {p.pid}; {memory(p.pid)} MiB")
            if o.hold:
                input()
            before = cpu_ms(p.pid)
            rounds(folder, db, series, real, p, address, o)
            print(f"CPU of the server {(cpu_ms(p.pid) - before) / o.rounds:.0f} ms a change; {memory(p.pid)} MiB")
        finally:
            p.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            p.wait()
            print(f"ended after {time.monotonic() - begun:.2f} s with {p.returncode}")


if __name__ == "__main__":
    main()
