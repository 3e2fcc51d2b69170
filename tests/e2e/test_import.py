"""dozo import on real input: archives of several tools, trees, odd names, broken and hostile files."""
import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import termios
import zipfile
import zlib

import pytest

from comics import (begin, cbz, chapters_stored, facts, files_below, importing, only, pack, page, pages, problems, stored, write,
                    zip_bytes)
from conftest import DOZO, PATIENCE, ROOT, clean_env, dozo, png, servers, until

JAPANESE = "土蔵の話"


# ---- archives of several tools -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind,ext", [("zip", "cbz"), ("zip -0", "zip"), ("zip -", "cbz"), ("7z", "cb7"), ("7z -mx0", "7z"),
                                      ("7z zip", "cbz"), ("7z tar", "cbt"), ("bsdtar zip", "zip"), ("bsdtar tar", "cbt"),
                                      ("bsdtar pax", "tar"), ("bsdtar tgz", "tar.gz"), ("bsdtar txz", "tar.xz"),
                                      ("bsdtar 7z", "cb7"), ("zip", "cbr"), ("bsdtar tar", "cbz")])
def test_tools(tmp_path, kind, ext):
    """Whatever packed it and whatever it is called: pages byte for byte, in natural order, folders before their followers."""
    files = {"1.png": page(1), "2.png": page(2), "10.png": page(3), "x/1.png": page(4), f"{JAPANESE} 第2.png": page(5),
             "with blank 3.png": page(6)}
    write(tmp_path / "in", {**files, "notes.txt": b"no page"})
    archive = pack(kind, tmp_path / f"Tool Comic 7.{ext}", tmp_path / "in")
    r = importing(tmp_path, archive)
    assert (r.n["chapters_new"], r.n["pages"], r.n["errors"], r.n["warnings"]) == (1, 6, 0, 0)
    c = only(tmp_path)
    assert sorted(c.pages) == sorted(files.values()) and c.number == "7"
    assert [n for n in c.names if n in ("1.png", "2.png", "10.png")][:3] == ["1.png", "2.png", "10.png"]
    assert f"{JAPANESE} 第2.png" in c.names and "with blank 3.png" in c.names
    assert list(stored(tmp_path)) == ["Tool Comic"]
    problems(tmp_path)


@pytest.mark.parametrize("name,words", [("rar2", None), ("rar4", None), ("rar5", None), ("rar4-locked", "encrypted"), ("rar4-secret", "encrypted"),
                                        ("rar5-locked", "encrypted"), ("rar4-sum", "checksum"), ("rar5-sum", "checksum")])
def test_rar(tmp_path, name, words):
    """No free tool writes RAR: these are the fixtures of the archive reader."""
    archive = ROOT / f"tests/data/media/{name}.cbr"
    r = importing(tmp_path, archive, check=1 if words else 0)
    if words:
        assert re.search(rf"{name}\.cbr.*{words}", r.err) and not any(stored(tmp_path).values())
    else:
        assert r.n["pages"] >= 1 and r.n["errors"] == 0
    problems(tmp_path)


def test_names_of_old_zips(tmp_path):
    """CP932 without the UTF-8 flag, as Japanese tools write it; CP437, as others do."""
    def old(name, charset):
        data = zip_bytes({"X" * len(name.encode(charset)) + ".png": page(1)})
        return data.replace(b"X" * len(name.encode(charset)), name.encode(charset))
    write(tmp_path, {"in/S/1.cbz": old("漫画第一話", "cp932"), "in/S/2.cbz": old("café", "cp437")})
    importing(tmp_path, "in")
    assert [c.names for c in stored(tmp_path)["S"]] == [["漫画第一話.png"], ["café.png"]]


# ---- trees and names -----------------------------------------------------------------------------------------------------

def test_tree(tmp_path):
    write(tmp_path / "lib", {
        "Alpha/Chapter 1/1.png": page(1), "Alpha/Chapter 1/2.png": page(2), "Alpha/Chapter 10/1.png": page(3),
        "Alpha/Chapter 2/1.png": page(4),
        f"{JAPANESE}/第1巻/第3話/001.png": page(5),
        "Beta Series/v01/Beta Series v01 c001.cbz": zip_bytes(pages(2, 10)),
        "Beta Series/v01/Beta Series v01 c002.cbz": zip_bytes(pages(3, 20)),
        "Beta Series/cover.jpg": b"\xff\xd8 not looked at \xff\xd9",
        "readme.txt": b"hello", "Alpha/.hidden/1.png": page(6), "Alpha/Chapter 1/.DS_Store": b"x",
        "Alpha/Chapter 1/Thumbs.db": b"x", "Alpha/Chapter 1/._1.png": page(7), "__MACOSX/Alpha/1.png": page(8)})
    r = importing(tmp_path, "lib")
    s = stored(tmp_path)
    assert (r.n["series"], r.n["chapters_new"], r.n["pages"], r.n["errors"]) == (3, 6, 10, 0)
    assert [(c.number, c.pages) for c in s["Alpha"]] == [("1", [page(1), page(2)]), ("2", [page(4)]), ("10", [page(3)])]
    assert [(c.number, c.volume, c.pages) for c in s[JAPANESE]] == [("3", "1", [page(5)])]
    assert [(c.number, c.volume, len(c.pages)) for c in s["Beta Series"]] == [("1", "1", 2), ("2", "1", 3)]
    problems(tmp_path)


def test_many_paths_and_the_same_twice(tmp_path):
    write(tmp_path, {"a/S/c1.cbz": zip_bytes(pages(1)), "b/T/c1.cbz": zip_bytes(pages(1, 5))})
    r = importing(tmp_path, "a", "b/T/c1.cbz", tmp_path / "a/S", "a/S/c1.cbz")
    assert (r.n["chapters_new"], r.n["errors"]) == (2, 0) and sorted(stored(tmp_path)) == ["S", "T"]


LONG = "長い名前" * 20  # 240 bytes


def test_long_names(tmp_path):
    write(tmp_path, {f"{LONG}/{LONG[:60]} 3/{LONG[:70]}.png": page(1)})
    cbz(tmp_path / f"{LONG}/ch4.cbz", {"x" * 3000 + ".png": page(2), "/".join(["d" * 200] * 8) + "/1.png": page(3)})
    r = importing(tmp_path, LONG)
    assert r.n["errors"] == 0
    assert sorted(p for c in stored(tmp_path)[LONG] for p in c.pages) == sorted([page(1), page(2), page(3)])


@pytest.mark.parametrize("name", [b"\xff\xfe broken", b"new\nline", b"esc\x1b[31mred", "direction\u202Egnp".encode(), b"quote\"<b>'&"])
def test_names_of_bytes(tmp_path, name):
    """A file system knows bytes only: whatever they are, they are imported, and shown without harm."""
    folder = os.path.join(os.fsencode(tmp_path), b"in", name + b" series", name + b" c1")
    os.makedirs(folder)
    pathlib.Path(os.fsdecode(os.path.join(folder, name + b".png"))).write_bytes(page(1))
    pathlib.Path(os.fsdecode(os.path.join(folder, b"2.png"))).write_bytes(b"text")
    r = dozo("import", "in", cwd=tmp_path, check=1)
    assert only(tmp_path).pages == [page(1)]
    assert "\x1b" not in r.out + r.err and "\u202e" not in r.out + r.err
    assert not any(line.startswith("line") for line in (r.out + r.err).splitlines())


EVIL = ["../../evil.png", "../evil.png", "/evil-absolute.png", "a/../../../evil.png", "..\\..\\evil2.png", "C:\\evil.png",
        "./x/./evil.png", "x//..//evil.png"]


def test_names_that_climb(tmp_path):
    """Names inside archives are only names: a page each, and nothing is written anywhere but in the data folder."""
    work = tmp_path / "deep/er/work"
    files = {name: page(i) for i, name in enumerate(EVIL)}
    cbz(work / "in/Evil 1.cbz", files)
    absolute = f"{tmp_path}/abs.png"
    cbz(work / "in/Evil 2.cbz", {absolute: page(99)})
    before = files_below(tmp_path)
    r = importing(work, "in")
    assert (r.n["errors"], r.n["warnings"]) == (0, 0), r.err
    got = [c.pages for c in stored(work)["in"]]
    assert sorted(got[0]) == sorted(files.values()) and got[1] == [page(99)]
    after = [f for f in files_below(tmp_path) if not f.startswith("deep/er/work/data")]
    assert after == before and not os.path.exists("/evil-absolute.png") and not os.path.exists(absolute)
    problems(work)


def test_junk_in_archives(tmp_path):
    cbz(tmp_path / "J 1.cbz", {"__MACOSX/._1.png": page(1), "1.png": page(2), ".hidden/2.png": page(3), "x/.3.png": page(4),
                               "Thumbs.db": b"", "x/Thumbs.db": b"x", "desktop.ini": b"x", ".DS_Store": b"x", "x/5.png": page(5)})
    r = importing(tmp_path, "J 1.cbz")
    assert (r.n["errors"], r.n["warnings"]) == (0, 0) and only(tmp_path).pages == [page(2), page(5)]


def test_links_stay_inside(tmp_path):
    write(tmp_path, {"in/S/c1/1.png": page(1), "outside/secret.png": page(9)})
    (tmp_path / "in/S/c2").mkdir()
    (tmp_path / "in/S/c2/1.png").symlink_to("../../../outside/secret.png")
    (tmp_path / "in/S/c3").symlink_to("../../outside")
    (tmp_path / "in/S/loop").symlink_to("..")
    r = importing(tmp_path, "in")
    assert all(page(9) not in c.pages for c in stored(tmp_path)["S"]) and r.n["warnings"] >= 2
    assert "c3" in r.err and "secret" not in "".join(c.title or "" for c in stored(tmp_path)["S"])


@pytest.mark.parametrize("name,series,volume,number", [
    ("My Comic v02 c010.5 - The End (2019) [Group].cbz", "My Comic", "2", "10.5"),
    ("One Piece 1044.cbz", "One Piece", "", "1044"),
    ("Some Series - Chapter 003.zip", "Some Series", "", "3"),
    ("ふたりの庭 第10話.cbz", "ふたりの庭", "", "10"),
    ("ふたりの庭 第02巻.cbz", "ふたりの庭", "2", ""),
    ("Show Ep. 7.cb7", "Show", "", "7"),
    ("Series c001-003.cbz", "Series", "", "1-3"),
    ("Thing #12 (1999).cbz", "Thing", "", "12"),
])
def test_numbers_from_names(tmp_path, name, series, volume, number):
    if name.endswith("7"):
        write(tmp_path / "in", pages(1))
        pack("7z", tmp_path / name, tmp_path / "in")
    else:
        cbz(tmp_path / name, pages(1))
    importing(tmp_path, name)
    (title, (c,)), = stored(tmp_path).items()
    assert (title, c.volume, c.number) == (series, volume, number)


def test_natural_order(tmp_path):
    write(tmp_path, {f"S/Chapter {n}/{p}.png": page(n * 20 + p) for n in (1, 2, 10, 9, 100) for p in (1, 2, 10, 11, 9)})
    importing(tmp_path, "S")
    chapters = stored(tmp_path)["S"]
    assert [c.number for c in chapters] == ["1", "2", "9", "10", "100"]
    for c in chapters:
        assert c.names == ["1.png", "2.png", "9.png", "10.png", "11.png"]


# ---- ComicInfo -----------------------------------------------------------------------------------------------------------

def comicinfo(**fields):
    rows = "".join(f"  <{k}>{v}</{k}>\n" for k, v in fields.items())
    return f'<?xml version="1.0" encoding="utf-8"?>\n<ComicInfo xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n{rows}</ComicInfo>\n'.encode()


def test_comicinfo(tmp_path):
    info = comicinfo(Series="The &amp; Series", Number="007", Volume="3", Title="A &lt;b&gt; 題名", Manga="YesAndRightToLeft",
                     Summary="About.", Writer="A, B", LanguageISO="ja", PageCount="2")
    cbz(tmp_path / "Wrong Name v9 c99.cbz", {"ComicInfo.xml": info, **pages(2)})
    r = importing(tmp_path, "Wrong Name v9 c99.cbz")
    (title, (c,)), = stored(tmp_path).items()
    assert (title, c.number, c.volume, c.title) == ("The & Series", "7", "3", "A <b> 題名")
    assert c.pages == list(pages(2).values()) and r.n["warnings"] == 0
    assert "'The & Series','About.','A, B','ja'" in facts(tmp_path) and "right_to_left" in facts(tmp_path)
    row = next(line for line in facts(tmp_path).splitlines() if line.startswith('INSERT INTO "series"'))
    assert row.rstrip(");").split(",")[-4] == "1", row


def test_comicinfo_in_a_folder(tmp_path):
    write(tmp_path, {"x/y/ComicInfo.xml": comicinfo(Series="From Info", Number="5"), "x/y/1.png": page(1)})
    importing(tmp_path, "x")
    (title, (c,)), = stored(tmp_path).items()
    assert (title, c.number) == ("From Info", "5")


@pytest.mark.parametrize("xml", [b"<ComicInfo><Series>X</Title>", b"", b"\xff\xfe\x00", b"<html></html>",
                                 b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><ComicInfo><Series>&x;</Series></ComicInfo>',
                                 b"<ComicInfo>" + b"<a>" * 5000, b"<ComicInfo><Series>" + b"y" * 2_000_000 + b"</Series></ComicInfo>"],
                         ids=["wrong end", "empty", "no text", "html", "entity", "deep", "too large"])
def test_malformed_comicinfo_is_a_warning(tmp_path, xml):
    cbz(tmp_path / "Good Name 4.cbz", {"ComicInfo.xml": xml, **pages(2)})
    r = importing(tmp_path, "Good Name 4.cbz")
    assert r.n["warnings"] >= 1 and r.n["errors"] == 0 and "Good Name 4.cbz" in r.err and "ComicInfo.xml" in r.err
    (title, (c,)), = stored(tmp_path).items()
    assert (title, c.number, len(c.pages)) == ("Good Name", "4", 2) and "root:" not in facts(tmp_path)


# ---- broken input --------------------------------------------------------------------------------------------------------

def test_broken_images(tmp_path):
    whole = page(1)
    write(tmp_path, {"S/c1/1.png": whole, "S/c1/2 empty.png": b"", "S/c1/3 text.png": b"I am a text\n",
                     "S/c1/4 half.png": whole[:len(whole) // 2], "S/c1/5.png": page(5)})
    write(tmp_path, {"S/c2.cbz": zip_bytes({"1.png": page(2), "2 empty.png": b"", "3 text.jpg": b"hello", "4.png": page(4)})})
    r = importing(tmp_path, "S", check=1)
    for name in ("2 empty.png", "3 text.png", "4 half.png", "3 text.jpg"):
        assert name in r.err, r.err
    assert "S/c2.cbz" in r.err and r.n["errors"] == 5
    assert [c.pages for c in stored(tmp_path)["S"]] == [[whole, page(5)], [page(2), page(4)]]
    problems(tmp_path)


def broken_archives(folder):
    """{name: (bytes, what the words must say)}"""
    files = {f"{i}.png": png(300, 300, i) + b"" for i in range(1, 9)}
    noise = {f"{i}.png": page(i) for i in range(1, 60)}
    whole = zip_bytes({**files, **noise})
    write(folder / "src", noise)
    out = {
        "half.cbz": whole[:len(whole) // 2],
        "no directory.cbz": whole[:-60],
        "empty.cbz": b"",
        "text.cbz": b"This is no archive.\n" * 50,
        "zeros.cbz": bytes(70_000),
        "html.cbr": b"<!doctype html><title>404</title>",
    }
    at = whole.index(noise["20.png"]) + 60
    out["flipped.cbz"] = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:]
    for kind, ext in (("7z", "cb7"), ("bsdtar tar", "cbt"), ("bsdtar tgz", "tar.gz")):
        data = pack(kind, folder / f"tmp.{ext}", folder / "src").read_bytes()
        # A tar may end at any border of an entry; in the middle of a page it may not.
        cut = data.index(noise["30.png"]) + 20 if kind == "bsdtar tar" else len(data) * 2 // 3
        out[f"half.{ext}"] = data[:cut]
    return out


def test_broken_archives(tmp_path):
    """Each is named with a reason, nothing of it is stored, the good ones beside it are."""
    broken = broken_archives(tmp_path)
    write(tmp_path / "S", broken)
    write(tmp_path / "S", {"good 1.cbz": zip_bytes(pages(2, 900)), "zz good 2.cbz": zip_bytes(pages(2, 910))})
    r = importing(tmp_path, "S", check=1)
    for name in broken:
        lines = [line for line in r.err.splitlines() if name in line]
        assert lines and all(len(line.split(name, 1)[1]) > 8 for line in lines), (name, r.err)
    assert r.n["chapters_new"] == 2 and r.n["errors"] == len(broken), r.err
    assert sorted(p for cs in stored(tmp_path).values() for c in cs for p in c.pages) == sorted(
        [*pages(2, 900).values(), *pages(2, 910).values()])
    problems(tmp_path)


def test_encrypted(tmp_path):
    write(tmp_path / "in", pages(2))
    subprocess.run(["zip", "-q", "-r", "-P", "secret", tmp_path / "locked.cbz", "."], cwd=tmp_path / "in", check=True)
    subprocess.run(["7z", "a", "-bd", "-psecret", "-mhe=on", tmp_path / "locked.cb7", "."], cwd=tmp_path / "in", check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["7z", "a", "-bd", "-psecret", tmp_path / "locked2.cb7", "."], cwd=tmp_path / "in", check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["7z", "a", "-bd", "-tzip", "-mem=AES256", "-psecret", tmp_path / "locked2.cbz", "."], cwd=tmp_path / "in",
                   check=True, stdout=subprocess.DEVNULL)
    names = ["locked.cbz", "locked2.cbz", "locked.cb7", "locked2.cb7"]
    r = importing(tmp_path, *names, check=1)
    for name in names:
        assert re.search(rf"{re.escape(name)}.*encrypt", r.err), (name, r.err)
    assert r.n["errors"] == 4 and not any(stored(tmp_path).values())


def test_archives_without_pages(tmp_path):
    write(tmp_path, {"nothing.cbz": zip_bytes({}), "words.cbz": zip_bytes({"a.txt": b"a", "b/": b""}), "dir/notes.txt": b"x"})
    (tmp_path / "hollow").mkdir()
    r = importing(tmp_path, "nothing.cbz", "words.cbz", "dir", "hollow", check=1)
    for name in ("nothing.cbz", "words.cbz", "dir", "hollow"):
        assert name in r.err, r.err
    assert not any(stored(tmp_path).values()) and r.n["chapters_new"] == 0


def bomb(path, blocks, declared, names=("1.png",)):
    """A zip whose one entry unpacks to blocks MiB of zeros; the directory may name it often, and lie about its size."""
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    z.compress(b"")
    one = z.compress(bytes(1 << 20)) + z.flush(zlib.Z_FULL_FLUSH)
    again = z.compress(bytes(1 << 20)) + z.flush(zlib.Z_FULL_FLUSH)
    data = one + again * (blocks - 1) + z.flush()

    def fields(name):
        return struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, 0, len(data), declared & 0xffffffff, len(name), 0)
    first = names[0].encode()
    local = b"PK\3\4" + fields(first) + first + data
    central = b"".join(b"PK\1\2" + struct.pack("<H", 20) + fields(n.encode()) + struct.pack("<HHHII", 0, 0, 0, 0, 0) + n.encode()
                       for n in names)
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(names), len(names), len(central), len(local), 0)
    path.write_bytes(local + central + end)
    return path


@pytest.mark.parametrize("blocks,declared,names", [
    (10_000, 3 << 30, ("1.png",)),               # honest about being far too big (as far as 32 bits go)
    (10_000, 1000, ("1.png",)),                  # a liar
    (200, 200 << 20, [f"{i}.png" for i in range(2000)]),  # 400 GiB in one: every name has the same data
])
def test_bombs_of_size(tmp_path, blocks, declared, names):
    bomb(tmp_path / "bomb 1.cbz", blocks, declared, names)
    cbz(tmp_path / "good 2.cbz", pages(1))
    r = importing(tmp_path, "bomb 1.cbz", "good 2.cbz", check=1)
    assert re.search(r"bomb 1\.cbz.*(is over \d|unpacks to|more than|times)", r.err), r.err
    assert [c.pages for c in stored(tmp_path)["good"]] == [[page(0)]] and r.n["chapters_new"] == 1
    problems(tmp_path)


def test_bomb_that_nobody_asks_for(tmp_path):
    """The bomb is no image: in a zip it is passed over; in a solid archive what lies behind it costs its unpacking."""
    bomb(tmp_path / "a.zip", 3000, 3000 << 20, ("readme.txt",))
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as z:
        z.writestr("1.png", page(1))
    importing(tmp_path, "a.zip")
    assert only(tmp_path).pages == [page(1)]


def test_bomb_of_entries(tmp_path):
    tiny = png(1, 1)
    with zipfile.ZipFile(tmp_path / "many.cbz", "w") as z:
        for i in range(100_000):
            z.writestr(f"{i}.png", tiny)
    r = importing(tmp_path, "many.cbz", check=1)
    assert re.search(r"many\.cbz.*20,?000", r.err), r.err
    assert len(r.err) < 100_000 and not any(stored(tmp_path).values())


def test_bomb_in_tar(tmp_path):
    """4 GiB of zeros in a gzip of a tar."""
    import tarfile
    head = tarfile.TarInfo("1.png")
    head.size = 4 << 30
    z = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = z.compress(head.tobuf()) + z.flush(zlib.Z_FULL_FLUSH)
    one = z.compress(bytes(1 << 20)) + z.flush(zlib.Z_FULL_FLUSH)
    again = z.compress(bytes(1 << 20)) + z.flush(zlib.Z_FULL_FLUSH)
    (tmp_path / "bomb.tar.gz").write_bytes(start + one + again * 4095 + z.flush())
    r = importing(tmp_path, "bomb.tar.gz", check=1)
    assert "bomb.tar.gz" in r.err and not any(stored(tmp_path).values())


def test_thousands_of_pages(tmp_path):
    files = {f"p{i}.png": page(i) for i in range(1, 3001)}
    cbz(tmp_path / "Thick 1.cbz", files)
    r = importing(tmp_path, "Thick 1.cbz")
    assert (r.n["pages"], r.n["errors"]) == (3000, 0)
    assert only(tmp_path).pages == list(files.values())


# ---- options and results ---------------------------------------------------------------------------------------------------

def test_series_and_shelf(tmp_path, serve):
    write(tmp_path, {"a/X/c1.cbz": zip_bytes(pages(2)), "a/Y/c2.cbz": zip_bytes(pages(3, 5))})
    importing(tmp_path, "a", "--series", "One & Only", "--shelf", "my-shelf")
    assert [(c.number, len(c.pages)) for c in stored(tmp_path)["One & Only"]] == [("1", 2), ("2", 3)]
    s = serve(tmp_path)
    r = s.get("/shelf/my-shelf/v1/chapters")
    assert r.status == 200 and json.loads(r.text)["order"] == ["2", "1"]
    assert s.get("/shelf/my-shelf/cdn/2-03.jpg").body == page(7)
    etag = s.get("/shelf/my-shelf/v1/chapters")["ETag"]
    importing(tmp_path, "a", "--series", "One & Only", "--shelf", "my-shelf")
    assert s.get("/shelf/my-shelf/v1/chapters")["ETag"] == etag


def test_shelf_shows_one_series(tmp_path):
    write(tmp_path, {"a/X/c1.cbz": zip_bytes(pages(2)), "a/Y/c2.cbz": zip_bytes(pages(3, 5))})
    r = importing(tmp_path, "a", "--shelf", "both", check=1)
    assert "both" in r.err and "--series" in r.err


@pytest.mark.parametrize("args", [["--shelf", "No Good!"], ["--shelf", "../x"], ["--series", " "], ["--series", ""]])
def test_bad_options(tmp_path, args):
    cbz(tmp_path / "a 1.cbz", pages(1))
    r = dozo("import", "a 1.cbz", *args, cwd=tmp_path)
    assert r.returncode in (1, 2) and args[0].strip("-") in r.err and r.out == ""
    assert chapters_stored(tmp_path) == 0


def test_again_changes_nothing(tmp_path):
    write(tmp_path, {"S/c1.cbz": zip_bytes(pages(2)), "S/c2/1.png": page(50), "S/c2/2.png": page(51), "S/c3.cbz": zip_bytes(pages(1))})
    first = importing(tmp_path, "S")
    assert first.n["chapters_new"] == 3
    before, files = facts(tmp_path), files_below(tmp_path / "data/blobs")
    for given in ("S", tmp_path / "S", ".", "S/c1.cbz"):
        again = importing(tmp_path, given) if given != "." else importing(tmp_path, "S", "S")
        assert again.n["chapters_new"] == again.n["chapters_changed"] == again.n["pages"] == again.n["errors"] == 0, given
        assert again.n["chapters_unchanged"] >= 1
    assert facts(tmp_path) == before and files_below(tmp_path / "data/blobs") == files


def test_another_time_with_the_same_bytes(tmp_path):
    """Looked at again; the chapters, their ids and the blobs stay what they were."""
    write(tmp_path, {"S/c1.cbz": zip_bytes(pages(2)), "S/c2/1.png": page(50)})
    importing(tmp_path, "S")
    before, files = [(c.id, c.pages) for c in stored(tmp_path)["S"]], files_below(tmp_path / "data/blobs")
    for path in (tmp_path / "S").rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    again = importing(tmp_path, "S")
    assert again.n["chapters_new"] == again.n["errors"] == 0
    assert [(c.id, c.pages) for c in stored(tmp_path)["S"]] == before and files_below(tmp_path / "data/blobs") == files
    assert importing(tmp_path, "S").n["chapters_unchanged"] == 2


def test_a_changed_archive_replaces_its_chapter(tmp_path):
    cbz(tmp_path / "S/c1.cbz", pages(3))
    cbz(tmp_path / "S/c2.cbz", pages(3, 10))
    importing(tmp_path, "S")
    ids = [c.id for c in stored(tmp_path)["S"]]
    cbz(tmp_path / "S/c1.cbz", {"1.png": page(0), "2.png": page(77)})
    r = importing(tmp_path, "S")
    assert (r.n["chapters_new"], r.n["chapters_changed"], r.n["chapters_unchanged"]) == (0, 1, 1)
    c1, c2 = stored(tmp_path)["S"]
    assert c1.pages == [page(0), page(77)] and c2.pages == list(pages(3, 10).values()) and [c1.id, c2.id] == ids
    problems(tmp_path)


def test_a_chapter_that_broke_stays_as_it_was(tmp_path):
    whole = zip_bytes(pages(3))
    write(tmp_path, {"S/c1.cbz": whole})
    importing(tmp_path, "S")
    write(tmp_path, {"S/c1.cbz": whole[:len(whole) // 2]})
    importing(tmp_path, "S", check=1)
    assert only(tmp_path).pages == list(pages(3).values())


def test_a_better_copy_is_taken(tmp_path):
    """A chapter that lost a broken page is looked at again without being asked, and completed when the page is whole."""
    write(tmp_path, {"S/c1/1.png": page(1), "S/c1/2.png": b""})
    importing(tmp_path, "S", check=1)
    importing(tmp_path, "S", check=1)
    write(tmp_path, {"S/c1/2.png": page(2)})
    r = importing(tmp_path, "S")
    assert r.n["chapters_changed"] == 1 and only(tmp_path).pages == [page(1), page(2)]


def test_missing_path(tmp_path):
    cbz(tmp_path / "Good 1.cbz", pages(1))
    r = importing(tmp_path, "not there.cbz", "Good 1.cbz", "nor/this", check=1)
    assert "not there.cbz" in r.err and "nor/this" in r.err and r.n["errors"] == 2 and r.n["chapters_new"] == 1
    assert only(tmp_path).pages == [page(0)]


def test_no_path(tmp_path):
    r = dozo("import", cwd=tmp_path, check=2)
    assert r.out == "" and "Usage: dozo import" in r.err and not (tmp_path / "data").exists()


def test_unreadable(tmp_path):
    """A folder in place of a file, a socket, a pipe that nobody feeds: named, never waited for."""
    os.mkfifo(tmp_path / "pipe.cbz")
    (tmp_path / "S/folder.cbz").mkdir(parents=True)
    os.mkfifo(tmp_path / "S/pipe.png")
    write(tmp_path, {"S/c1/1.png": page(1)})
    r = importing(tmp_path, "pipe.cbz", "S", check=1)
    assert "pipe.cbz" in r.err and only(tmp_path).pages == [page(1)]


def test_json_and_words(tmp_path):
    """Without a terminal: no escape codes; with --json one object and nothing else on stdout."""
    write(tmp_path, {"S/c1.cbz": zip_bytes(pages(2)), "S/c2.cbz": b"broken"})
    r = importing(tmp_path, "S", check=1)
    assert isinstance(r.n, dict) and "\x1b" not in r.out + r.err and "\r" not in r.out + r.err
    for key in ("series", "chapters_new", "chapters_changed", "chapters_unchanged", "pages", "bytes", "warnings", "errors"):
        assert isinstance(r.n[key], int), key
    assert r.n["bytes"] == len(page(0)) + len(page(1))
    r = dozo("import", "S", cwd=tmp_path, check=1)
    assert "\x1b" not in r.out + r.err and "\r" not in r.out + r.err and "c2.cbz" in r.err
    assert "1" in r.out


# ---- on a terminal, and stopped ----------------------------------------------------------------------------------------------

def on_terminal(args, cwd, columns=80, **env):
    """Runs a command with a terminal on stdout and stderr; gives its status and what the terminal got."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    p = subprocess.Popen([DOZO, *map(str, args)], cwd=cwd, stdin=side, stdout=side, stderr=side,
                         env=clean_env(**{"TERM": "xterm", **env}))
    os.close(side)
    out = b""
    while True:
        try:
            data = os.read(main, 65536)
        except OSError:  # the last one has closed it
            break
        if not data:
            break
        out += data
    os.close(main)
    return p.wait(PATIENCE), out.decode()


def screen(text):
    """The lines that stand on the terminal at the end."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            erase = "\x1b[K" in part
            part = re.sub(r"\x1b\[[0-9;]*[mK]", "", part)
            shown = part if erase else part + shown[len(part):]
        lines.append(shown.rstrip())
    return lines


@pytest.mark.parametrize("columns", [80, 40, 20, 200])
def test_progress_bar(tmp_path, columns):
    write(tmp_path, {f"Séries 土蔵/c{i}.cbz": zip_bytes(pages(3, i * 10)) for i in range(1, 6)})
    status, text = on_terminal(["import", "Séries 土蔵"], tmp_path, columns)
    assert status == 0 and "Sanitizer" not in text
    assert re.search(r"\r.*%", text) and "\x1b[K" in text
    for drawn in re.findall(r"\r([^\r\n]*?)\x1b\[K", text):
        plain = re.sub(r"\x1b\[[0-9;]*m", "", drawn)
        assert sum(2 if ord(c) > 0x2fff else 1 for c in plain) < columns, plain
    last = screen(text)
    assert last[-1] == "" and not any("[=" in line or "%" in line for line in last), last
    assert any("5" in line for line in last)


def test_no_bar_where_it_does_not_belong(tmp_path):
    write(tmp_path, {"S/c1.cbz": zip_bytes(pages(3))})
    _, text = on_terminal(["import", "S", "--series", "A"], tmp_path, TERM="dumb")
    assert "\x1b" not in text
    _, text = on_terminal(["import", "S", "--series", "B"], tmp_path, NO_COLOR="1")
    assert "\x1b[3" not in text and "\x1b[K" in text
    _, text = on_terminal(["import", "S", "--series", "C", "--json"], tmp_path)
    assert json.loads(re.search(r"\{.*\}", text, re.S).group())["pages"] == 3


def test_errors_on_a_terminal(tmp_path):
    """Words about a broken file are not torn apart by the bar."""
    write(tmp_path, {f"S/c{i}.cbz": zip_bytes(pages(2, i * 10)) for i in range(1, 6)} | {"S/c3.cbz": b"broken"})
    status, text = on_terminal(["import", "S"], tmp_path)
    assert status == 1 and any("c3.cbz" in line and "%" not in line for line in screen(text)), screen(text)


def big_tree(folder, chapters=250, each=3):
    for i in range(1, chapters + 1):
        cbz(folder / f"Big/Chapter {i}.cbz", pages(each, i * each))
    return [list(pages(each, i * each).values()) for i in range(1, chapters + 1)]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal(tmp_path, how):
    want = big_tree(tmp_path)
    p = begin("import", "Big", cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"DZ_FAULT": "commit:40:stop"})
    until(lambda: set(servers.states(p.pid)) & {"T", "Z"} and chapters_stored(tmp_path) > 2, "the middle of the import")
    p.send_signal(how)
    p.send_signal(signal.SIGCONT)
    out, err = p.communicate(timeout=PATIENCE)
    assert "Sanitizer" not in err and p.returncode == 1, (p.returncode, err)
    part = stored(tmp_path)["Big"]
    assert 2 < len(part) < len(want) and [c.pages for c in part] == want[:len(part)]
    assert re.search("stopped|interrupted", err), err
    problems(tmp_path)
    r = importing(tmp_path, "Big")
    assert r.n["chapters_unchanged"] == len(part) and r.n["chapters_new"] == len(want) - len(part)
    assert [c.pages for c in stored(tmp_path)["Big"]] == want


def test_broken_images_do_not_bury_the_rest(tmp_path):
    """Of five hundred broken images twenty are named and the rest counted."""
    folder = tmp_path / "Series" / "1"
    folder.mkdir(parents=True)
    for i in range(500):
        (folder / f"{i:03}.png").write_bytes(b"")
    (folder / "999.png").write_bytes(png())
    r = dozo("import", "Series", cwd=tmp_path, check=1)
    assert r.err.count("empty file") == 20 and "480 more of its images are broken" in r.err


def test_a_given_archive_without_images_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "notes.cbz", "w") as z:
        z.writestr("readme.txt", "words")
    assert "notes.cbz: holds no images" in dozo("import", "notes.cbz", cwd=tmp_path, check=1).err
