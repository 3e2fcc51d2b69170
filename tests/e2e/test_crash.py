"""Killed at any moment: nothing half is stored or served, `dozo check` is clean, and the same command finishes the work."""
import random
import signal
import struct
import subprocess
import time
import zlib

import pytest

from comics import (begin, cbz, chapter_links, chapters_stored, files_below, importing, pages, problems, read, served, series_links,
                    stored, strip_pages, write, zip_bytes)
from conftest import PATIENCE, dozo, png, tool, until

TREE = {"Small/Chapter 1.cbz": zip_bytes(pages(3)), "Small/Chapter 3.cbz": zip_bytes(pages(2, 20)),
        **{f"Small/Chapter 2/{name}": data for name, data in pages(3, 10).items()}}
WANT = [list(pages(3).values()), list(pages(3, 10).values()), list(pages(2, 20).values())]


def whole(folder, want, series="Small"):
    """The chapters that are there, each of them whole; returns how many."""
    if chapters_stored(folder) == 0:
        return 0
    got = [c.pages for c in stored(folder)[series]]
    assert all(c in want for c in got), [len(c) for c in got]
    return len(got)


@pytest.mark.parametrize("op", ["write", "fsync", "rename", "commit", "query"])
def test_killed_at_every_step(tmp_path, serve, op):
    """Each Nth operation of a kind in turn ends the process, until a run gets through."""
    shown = set()
    for n in range(1, 400):
        folder = tmp_path / str(n)
        write(folder, TREE)
        r = dozo("import", "Small", cwd=folder, env={"DZ_FAULT": f"{op}:{n}:kill"})
        if r.returncode == 0:
            break
        assert r.returncode == -signal.SIGKILL, (n, r.returncode, r.err)
        problems(folder)
        count = whole(folder, WANT)
        if count not in shown:  # the server reads the same catalog and blobs that were looked at above
            shown.add(count)
            s = serve(folder)
            assert served(s) == ({"Small": WANT[:count]} if count else {})
            assert s.stop() == 0
        importing(folder, "Small")
        assert whole(folder, WANT) == len(WANT)
        problems(folder)
    assert r.returncode == 0 and n > 1, "the operation never happened, or the import never ends"
    assert [c.pages for c in stored(folder)["Small"]] == WANT


@pytest.mark.parametrize("op", ["write", "fsync", "rename", "commit", "read", "query"])
def test_failing_at_every_step(tmp_path, op):
    """The same with the operation failing: a clear error, exit 1, nothing half, and the next run finishes."""
    untouched = n = 0
    while untouched < 3:  # a failure may be mended on the spot; three in a row are the end of the operations
        n += 1
        folder = tmp_path / str(n)
        write(folder, TREE)
        r = dozo("import", "Small", cwd=folder, env={"DZ_FAULT": f"{op}:{n}"})
        assert r.returncode == 0 or (r.returncode == 1 and "dozo import: " in r.err), (n, r.returncode, r.err)
        untouched = untouched + 1 if r.returncode == 0 else 0
        if r.returncode == 0:
            assert [c.pages for c in stored(folder)["Small"]] == WANT, n
            continue
        if (folder / "data/dozo.db").exists():
            problems(folder)
            if op != "read":  # a page that cannot be read is named and left out
                whole(folder, WANT)
        importing(folder, "Small")
        assert [c.pages for c in stored(folder)["Small"]] == WANT, n
        problems(folder)
    assert n > 3, "the operation never happened"


def test_killed_at_random_moments(tmp_path):
    """A larger tree, one data folder, killed again and again until it is through."""
    chapters = 40
    for i in range(1, chapters + 1):
        cbz(tmp_path / f"Small/Chapter {i}.cbz", pages(4, i * 4))
    want = [list(pages(4, i * 4).values()) for i in range(1, chapters + 1)]
    dice = random.Random(20)
    begin_at = time.monotonic()
    importing(write(tmp_path, {"once/x": b""}) / "once", tmp_path / "Small")
    took = time.monotonic() - begin_at
    for _ in range(10):
        before = chapters_stored(tmp_path)
        p = begin("import", "Small", cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0, took / 2))  # the moment is what is tested; nothing waits for it
        p.kill()
        p.wait(PATIENCE)
        if (tmp_path / "data/dozo.db").exists():
            problems(tmp_path)
        assert before <= whole(tmp_path, want) <= chapters
    importing(tmp_path, "Small")
    assert [c.pages for c in stored(tmp_path)["Small"]] == want
    problems(tmp_path)


def test_leftovers_are_no_problem_and_can_be_removed(tmp_path):
    write(tmp_path, TREE)
    had = []
    while not had:  # the first commits are those that make the tables
        r = dozo("import", "Small", cwd=tmp_path, env={"DZ_FAULT": "commit:2:kill"})
        assert r.returncode == -signal.SIGKILL
        had = [f for f in files_below(tmp_path / "data/blobs") if "/" in f]
    referenced = {data for cs in stored(tmp_path).values() for c in cs for data in c.pages}
    assert len(had) > len(referenced)
    problems(tmp_path)
    dozo("check", "--repair", cwd=tmp_path, check=0)
    left = [f for f in files_below(tmp_path / "data/blobs") if "/" in f]
    assert len(left) == len(referenced)
    importing(tmp_path, "Small")
    assert [c.pages for c in stored(tmp_path)["Small"]] == WANT


def test_a_server_meanwhile(tmp_path, serve):
    """Readers of a running server meet whole chapters only, while imports are begun and killed."""
    chapters = 30
    want = {}
    for i in range(1, chapters + 1):
        cbz(tmp_path / f"Small/Chapter {i}.cbz", pages(5, i * 5))
        want[str(i)] = list(pages(5, i * 5).values())
    s = serve(tmp_path)
    seen = looks = 0

    def look():
        nonlocal seen, looks
        for series in series_links(s):
            links = chapter_links(s, series)
            assert len(links) >= seen, "a chapter went away"
            for link in links[-2:]:  # the newest ones are those that are being made
                p = read(s, link)
                number = p.text.split("Chapter ")[1].split()[0]
                assert strip_pages(s, link) == want[number]
            seen = len(links)
        looks += 1

    dice = random.Random(4)
    for _ in range(12):
        p = begin("import", "Small", cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(dice.randrange(1, 4)):
            look()
        p.kill()
        p.wait(PATIENCE)
        if seen == chapters:
            break
    importing(tmp_path, "Small")
    until(lambda: [look(), seen == chapters][1], "all chapters on the server")
    assert served(s) == {"Small": list(want.values())} and looks > 1
    problems(tmp_path)


def test_a_chapter_is_replaced_at_once(tmp_path, serve):
    """While a chapter changes, a page of the reader shows the old pictures or the new ones, never some of each."""
    old, new = pages(4), pages(7, 100)
    cbz(tmp_path / "S/c1.cbz", old)
    importing(tmp_path, "S")
    s = serve(tmp_path)
    link = chapter_links(s, series_links(s)[0])[0]
    kinds = {}
    for version in (new, old, new, old):
        cbz(tmp_path / "S/c1.cbz", version)
        p = begin("import", "S", cwd=tmp_path, stdout=subprocess.DEVNULL)
        want = len(version)
        while True:
            images = tuple(img["src"] for img in read(s, link).all("img"))
            kinds[images] = kinds.get(images, 0) + 1
            if p.poll() is not None and len(images) == want:
                break
        assert p.returncode == 0
    assert len(kinds) == 2 and sorted(map(len, kinds)) == [4, 7], kinds
    assert strip_pages(s, link) == list(old.values())


def test_the_server_is_killed(tmp_path, serve):
    write(tmp_path, TREE)
    importing(tmp_path, "Small")
    for _ in range(2):
        s = serve(tmp_path)
        assert served(s) == {"Small": WANT}
        until(lambda: '"back":"ok"' in s.get("/healthz").text.replace(" ", ""), "the back")
        s.process.kill()
        s.process.wait(PATIENCE)
        problems(tmp_path)
    s = serve(tmp_path)
    assert served(s) == {"Small": WANT}
    until(lambda: '"back":"ok"' in s.get("/healthz").text.replace(" ", ""), "the back")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MiB; where nobody may mount one this is skipped, which the summary counts."""
    place = tmp_path / "disk"
    place.mkdir()
    r = subprocess.run([tool("mount"), "-t", "tmpfs", "-o", "size=3m", "none", place], capture_output=True, text=True)
    if r.returncode != 0:
        pytest.skip(f"cannot mount a small tmpfs: {r.stderr.strip()}")
    yield place
    subprocess.run([tool("umount"), place], check=True)


def test_full_disk(tmp_path, small_disk, serve):
    noise = random.Random(5)

    def fat(n):
        """A picture of about 150 KiB, which grey noise behind its end would not be: a chunk that viewers pass over."""
        plain = png(10, 10, n)
        data = noise.randbytes(150_000)
        extra = struct.pack(">I", len(data)) + b"noIs" + data + struct.pack(">I", zlib.crc32(b"noIs" + data))
        return plain[:-12] + extra + plain[-12:]
    want = []
    for i in range(1, 11):
        files = {f"{k}.png": fat(i * 4 + k) for k in range(4)}
        want.append(list(files.values()))
        cbz(tmp_path / f"Small/Chapter {i}.cbz", files)
    (tmp_path / "dozo.yaml").write_text(f"data_dir: {small_disk}/data\n")
    (tmp_path / "data").symlink_to(small_disk / "data")
    r = dozo("import", "Small", cwd=tmp_path, check=1)
    assert "No space left" in r.err or "full" in r.err, r.err
    count = whole(tmp_path, want)
    assert 0 < count < 10
    assert r.err.count("No space left") < 20, "one error for a full disk, not one for each page"
    s = serve(tmp_path, f"data_dir: {small_disk}/data\n")
    assert served(s) == {"Small": want[:count]}
    subprocess.run([tool("mount"), "-o", "remount,size=20m", small_disk], check=True)
    problems(tmp_path)
    importing(tmp_path, "Small")
    until(lambda: len(chapter_links(s, series_links(s)[0])) == 10, "the rest")
    assert served(s) == {"Small": want}
    problems(tmp_path)
