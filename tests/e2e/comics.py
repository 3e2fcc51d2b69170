"""Comics for the end-to-end tests: pictures, archives of several tools, trees, and what a catalog or a server shows of them."""
import html.parser
import io
import json
import os
import pathlib
import random
import sqlite3
import struct
import subprocess
import urllib.parse
import zipfile
import zlib

from conftest import DOZO, clean_env, dozo, png, tool


def page(n):
    """The nth picture: other bytes for each n, always a whole PNG."""
    return png(8 + n % 50, 12 + n // 50 % 200, 40 + n // 10_000)


def big_png(size=3000, seed=1):
    """A PNG of about size * size bytes that no compression shrinks."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    noise = random.Random(seed).randbytes(size * size)
    rows = b"".join(b"\0" + noise[i * size:(i + 1) * size] for i in range(size))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b""))


def write(folder, files):
    """A tree of files: {"a/b.png": bytes}."""
    for name, data in files.items():
        path = pathlib.Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return pathlib.Path(folder)


def pages(count, start=0):
    return {f"{i + 1:03}.png": page(start + i) for i in range(count)}


def zip_bytes(files, compression=zipfile.ZIP_STORED):
    """A zip with exactly these names, whatever they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as z:
        for name, data in files.items():
            z.writestr(zipfile.ZipInfo(name), data, compression)
    return out.getvalue()


def cbz(path, files):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zip_bytes(files))
    return path


def pack(kind, archive, folder):
    """Packs a folder's content with a real tool."""
    archive = pathlib.Path(archive).absolute()
    archive.parent.mkdir(parents=True, exist_ok=True)
    names = sorted(os.listdir(folder))
    cmd = {
        "zip": [tool("zip"), "-q", "-r", archive, *names],
        "zip -0": [tool("zip"), "-q", "-0", "-r", archive, *names],
        "zip -": None,
        "7z": [tool("7z"), "a", "-bd", "-t7z", archive, *names],
        "7z -mx0": [tool("7z"), "a", "-bd", "-t7z", "-mx0", archive, *names],
        "7z zip": [tool("7z"), "a", "-bd", "-tzip", archive, *names],
        "7z tar": [tool("7z"), "a", "-bd", "-ttar", archive, *names],
        "bsdtar zip": [tool("bsdtar"), "--format=zip", "-cf", archive, *names],
        "bsdtar tar": [tool("bsdtar"), "--format=ustar", "-cf", archive, *names],
        "bsdtar pax": [tool("bsdtar"), "--format=pax", "-cf", archive, *names],
        "bsdtar tgz": [tool("bsdtar"), "-czf", archive, *names],
        "bsdtar txz": [tool("bsdtar"), "-cJf", archive, *names],
        "bsdtar 7z": [tool("bsdtar"), "--format=7zip", "-cf", archive, *names],
    }[kind]
    if kind == "zip -":  # a stream: sizes stand behind the data
        with open(archive, "wb") as out:
            p = subprocess.run([tool("zip"), "-q", "-r", "-", *names], cwd=folder, stdout=out, stderr=subprocess.PIPE,
                               env=dict(os.environ, LC_ALL="C.UTF-8"))
    else:
        p = subprocess.run([*map(str, cmd)], cwd=folder, capture_output=True, env=dict(os.environ, LC_ALL="C.UTF-8"))
    assert p.returncode == 0, p.stderr or p.stdout
    return archive


# ---- importing -------------------------------------------------------------------------------------------------------

def importing(folder, *args, check=0, env=None):
    """dozo import --json; the result's numbers as r.n."""
    r = dozo("import", *args, "--json", cwd=folder, check=check, env=env)
    r.n = json.loads(r.out)
    return r


def problems(folder):
    """dozo check, which must be clean."""
    return dozo("check", cwd=folder, check=0)


# ---- what is stored --------------------------------------------------------------------------------------------------

class Chapter:
    def __init__(self, row, rows):
        self.id, self.key, self.number, self.volume, self.title, self.page_count = row
        self.names = [name for name, _ in rows]
        self.pages = [data for _, data in rows]


def database(folder):
    return sqlite3.connect(f"file:{urllib.parse.quote(str(folder))}/data/dozo.db?mode=ro", uri=True)


def blob(folder, sha):
    return (pathlib.Path(folder) / "data/blobs" / sha.hex()[:2] / sha.hex()[2:]).read_bytes()


def stored(folder):
    """{title of the series: [Chapter, oldest first]}, with the bytes that the store holds."""
    db = database(folder)
    try:
        out = {}
        for series_id, title in db.execute("SELECT id, title FROM series ORDER BY id").fetchall():
            out[title] = []
            for row in db.execute("SELECT id, key, number, volume, title, page_count FROM chapter WHERE series_id = ? "
                                  "ORDER BY sort, id", (series_id,)).fetchall():
                rows = db.execute("SELECT page.name, blob.sha FROM page JOIN blob ON blob.id = blob_id WHERE chapter_id = ? "
                                  "ORDER BY page.number", (row[0],)).fetchall()
                out[title].append(Chapter(row, [(name, blob(folder, sha)) for name, sha in rows]))
        return out
    finally:
        db.close()


def only(folder):
    """The only chapter of the only series."""
    s = stored(folder)
    assert len(s) == 1, list(s)
    chapters = next(iter(s.values()))
    assert len(chapters) == 1
    return chapters[0]


def facts(folder):
    """Every row, as text: two equal texts are two equal catalogs."""
    db = database(folder)
    try:
        return "\n".join(db.iterdump())
    finally:
        db.close()


def chapters_stored(folder):
    """How many chapters are there yet; 0 when there is no catalog."""
    try:
        db = database(folder)
    except sqlite3.Error:
        return 0
    try:
        return db.execute("SELECT count(*) FROM chapter").fetchone()[0]
    except sqlite3.Error:
        return 0
    finally:
        db.close()


def files_below(folder):
    return sorted(str(p.relative_to(folder)) for p in pathlib.Path(folder).rglob("*"))


# ---- what is served --------------------------------------------------------------------------------------------------

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
# HTML lets these stay open at the end of their parent.
MAY_STAY_OPEN = {"html", "head", "body", "p", "li"}
# What ends an open paragraph; a </p> behind it would be a stray one.
BLOCKS = {"address", "article", "aside", "blockquote", "details", "div", "dl", "fieldset", "footer", "form", "h1", "h2", "h3", "header",
          "hr", "main", "nav", "ol", "p", "pre", "section", "table", "ul"}


class Page(html.parser.HTMLParser):
    """A page of the reader: elements with their attributes, and whether they nest."""

    def __init__(self, response):
        super().__init__(convert_charrefs=True)
        self.response = response
        self.elements, self.open, self.faults, self.words, self.h1 = [], [], [], [], []
        self.feed(response.text)
        self.close()
        self.faults += [f"<{name}> is never closed" for name in self.open if name not in MAY_STAY_OPEN]

    def handle_starttag(self, tag, attrs):
        names = [k for k, _ in attrs]
        if len(set(names)) != len(names):
            self.faults.append(f"<{tag}> has an attribute twice: {names}")
        self.elements.append((tag, dict(attrs)))
        self.faults += [f"<{tag} {k}=…>" for k in names if k == "style" or k.startswith("on")]
        if tag in BLOCKS and self.open and self.open[-1] == "p":
            self.open.pop()
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        if tag in VOID:
            self.faults.append(f"</{tag}>")
            return
        while self.open and self.open[-1] != tag and self.open[-1] in MAY_STAY_OPEN:
            self.open.pop()
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> inside {self.open}")
        else:
            self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style") and data.strip():
            self.faults.append(f"inline {self.open[-1]}")
        self.words.append(data)
        if "h1" in self.open:
            self.h1.append(data)

    def all(self, tag, **want):
        return [a for t, a in self.elements if t == tag and all(a.get(k) == v for k, v in want.items())]

    def links(self):
        """Every address that the page names."""
        out = []
        for tag, a in self.elements:
            for key in ("href", "src", "action"):
                if a.get(key) is not None:
                    out.append(a[key])
        return out

    def rel(self, word):
        """Where the buttons of that kind lead: one address, or None."""
        found = {a["href"] for a in self.all("a") if word in (a.get("rel") or "").split() and "href" in a}
        assert len(found) <= 1, found
        return found.pop() if found else None

    @property
    def heading(self):
        return "".join(self.h1)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def read(server, path):
    r = server.get(path)
    assert r.status == 200, (path, r.status, r.body[:300])
    p = Page(r)
    assert not p.faults, (path, p.faults)
    return p


def series_links(server):
    """/series/ID of all series, over all pages of the list."""
    out, path = [], "/"
    while path:
        p = read(server, path)
        out += [a["href"] for a in p.all("a") if (a.get("href") or "").startswith("/series/")]
        path = p.rel("next")
    return out


def chapter_links(server, series):
    """/read/S/C of a series, oldest first, over all pages of the list."""
    out, path = [], series + "?order=asc"
    while path:
        p = read(server, path)
        rows = [a["href"] for a in p.all("a") if (a.get("href") or "").startswith("/read/") and "class" not in a]
        out += rows
        path = p.rel("next")
    return out


def strip_pages(server, chapter):
    """The bytes of all pages of a chapter as a reader sees them."""
    out = []
    for img in read(server, chapter).all("img"):
        r = server.get(img["src"])
        assert r.status == 200, (chapter, img["src"], r.status)
        out.append(r.body)
    return out


def served(server):
    """{title: [[page bytes, …] of each chapter, oldest first]} of every series."""
    return {read(server, series).heading: [strip_pages(server, c) for c in chapter_links(server, series)]
            for series in series_links(server)}


def begin(*args, cwd, env=None, **kw):
    """A dozo command that runs beside the test; the caller waits for it."""
    return subprocess.Popen([DOZO, *map(str, args)], cwd=cwd, env=clean_env(**(env or {})), **kw)
