"""dozo download against a simulated mangadex.org: what it makes, who can read it, what is left when it is stopped, killed or fails,
and that it shares its unfinished work with the queue of a server."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
import zipfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sites"))

import site_http as faults
from conftest import DOZO, PATIENCE, Server, clean_env, dozo, png, tool, until
from upstreams import MangaDex, Viz, picture

TITLE = "https://mangadex.org/title/m1/dr-stone"
FOLDER = "Dr. Stone ∕ X"


def chapter(n):
    return f"https://mangadex.org/chapter/c{n}"


def name_of(number, title):
    return f"{FOLDER} -.- C{number} {title}"


class Play:
    """The site, a folder with settings, and commands in it."""

    def __init__(self, folder, pages=4):
        self.folder, self.out, self.dex = folder, folder / "out" / FOLDER, MangaDex()
        self.dex.add_manga("m1", "Dr. Stone / X")
        for n in (1, 2, 3):
            self.add(n, str(n), pages, f"T{n}")
        self.write()

    def add(self, n, number, pages, title=None, manga="m1"):
        self.dex.add_chapter(f"c{n}", manga, number, [png(8, 12, (20 * n + i) % 250) for i in range(pages)], volume="1", title=title)

    def write(self, downloads="destination: out"):
        (self.folder / "dozo.yaml").write_text(f"""
listen: ["127.0.0.1:0"]
data_dir: data
downloads: {{{downloads}}}
sources:
  read_timeout: {PATIENCE}s
  mangadex.org: {{base_url: "{self.dex.url}", uploads_url: "{self.dex.url}", rate: 1000/second}}
""")

    def __call__(self, *args, check=None, env=None):
        return dozo("download", *args, "--config", "dozo.yaml", cwd=self.folder, check=check, env=env)

    def begin(self, *args):
        return subprocess.Popen([DOZO, "download", *args, "--config", "dozo.yaml"], cwd=self.folder, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=clean_env())

    def results(self):
        """What a person sees: nothing hidden."""
        out = self.folder / "out"
        return sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and "/.dozo-" not in str(p)) if out.exists() else []

    def hidden(self):
        return sorted(p.name for p in (self.folder / "out").rglob(".*"))

    def kept(self):
        """How many pages the journal of unfinished work promises."""
        journals = list((self.folder / "out").rglob("journal"))
        return sum(1 for j in journals for line in j.read_text().splitlines() if line.endswith("}"))

    def hold(self, pattern):
        """Answers for the pattern wait until the returned event is set."""
        gate = threading.Event()

        def wait(h, request):
            gate.wait(PATIENCE)
            return False
        self.dex.misbehave(pattern, wait)
        return gate


@pytest.fixture
def play(tmp_path):
    p = Play(tmp_path)
    yield p
    p.dex.close()


def ended(p):
    out, err = p.communicate(timeout=PATIENCE)
    assert "Sanitizer" not in err and "runtime error:" not in err, err
    return p.returncode, out, err


# ---- what it makes ---------------------------------------------------------------------------------------------------------


def test_a_series(play):
    r = play(TITLE, check=0)
    paths = [f"out/{FOLDER}/{name_of(n, f'T{n}')}.cbz" for n in (1, 2, 3)]
    assert r.out.splitlines() == paths and "3 chapters, 12 pages" in r.err
    assert play.results() == [p[4:] for p in paths] and play.hidden() == []
    assert not (play.folder / "data").exists(), "no data folder is needed"
    with zipfile.ZipFile(play.folder / paths[0]) as z:
        assert z.testzip() is None and z.namelist() == ["1.png", "2.png", "3.png", "4.png"]
        assert z.comment == b"dozo mangadex.org c1"
        assert {i.compress_type for i in z.infolist()} == {zipfile.ZIP_STORED}

    # What is there is passed over, without asking for pages.
    before = [(play.folder / p).read_bytes() for p in paths]
    play.dex.forget()
    play.add(4, "4", 2, "T4")
    r = play(TITLE, check=0)
    assert r.err.count("is there already") == 3 and len(r.out.splitlines()) == 4
    assert play.dex.count("/data/.*") == 2 and play.dex.count("/at-home/.*") == 1

    # Once more on purpose: the same bytes.
    play.dex.forget()
    play(TITLE, "--again", check=0)
    assert play.dex.count("/data/.*") == 14
    assert [(play.folder / p).read_bytes() for p in paths] == before and len(play.results()) == 4


@pytest.mark.parametrize("method, ext", [("zip", ".zip"), ("cbz", ".cbz"), ("cbz+comicinfo", ".cbz")])
def test_other_readers(play, method, ext):
    play(chapter(1), "--method", method, "--to", "there", check=0)
    path = play.folder / "there" / FOLDER / (name_of(1, "T1") + ext)
    pages = [f"{i}.png" for i in (1, 2, 3, 4)]
    names = pages + (["ComicInfo.xml"] if "+" in method else [])
    with zipfile.ZipFile(path) as z:
        assert z.testzip() is None and z.namelist() == names
        bytes_of = {n: z.read(n) for n in names}
    listing = subprocess.run([tool("bsdtar"), "-tf", path], capture_output=True, text=True, check=True)
    assert listing.stdout.split() == names
    for n in names:
        for command in ([tool("bsdtar"), "-xOf", path, n], [tool("unzip"), "-p", path, n]):
            assert subprocess.run(command, capture_output=True, check=True).stdout == bytes_of[n]
    subprocess.run([tool("unzip"), "-tq", path], check=True, stdout=subprocess.DEVNULL)
    if "+" in method:
        info = ET.fromstring(bytes_of["ComicInfo.xml"])
        assert (info.findtext("Series"), info.findtext("Number"), info.findtext("PageCount")) == ("Dr. Stone / X", "1", "4")
    # And back into a library.
    (play.folder / "comics").mkdir()
    os.rename(path.parent, play.folder / "comics" / "stone")
    got = json.loads(dozo("import", "comics", "--json", "--config", "dozo.yaml", cwd=play.folder, check=0).out)
    assert got["chapters_new"] == 1 and got["pages"] == 4, got


def test_folders_of_pages(play):
    play.add(7, "7", 120, "Long")
    play(chapter(7), chapter(1), "--method", "files", check=0)
    assert sorted(os.listdir(play.out / name_of(7, "Long"))) == [f"{i:03}.png" for i in range(1, 121)]
    assert sorted(os.listdir(play.out / name_of(1, "T1"))) == [f"{i}.png" for i in range(1, 5)]
    assert (play.out / name_of(1, "T1") / "2.png").read_bytes() == png(8, 12, 21)
    play.dex.forget()
    r = play(chapter(7), "--method", "files", check=0)
    assert "already" in r.err and play.dex.count("/data/.*") == 0


def test_one_name_for_two_chapters(play):
    play.write('destination: out, format: "$manga"')
    for method, names in (("cbz", [FOLDER + e for e in (" (2).cbz", " (3).cbz", ".cbz")]),
                          ("files", [f"{FOLDER}{e}/{i}.png" for e in ("", " (2)", " (3)") for i in (1, 2, 3, 4)])):
        play(TITLE, "--method", method, "--to", f"out/{method}", check=0)
        assert play.results() == sorted(f"{method}/{FOLDER}/{n}" for n in names)
        play(TITLE, "--method", method, "--to", f"out/{method}", "--again", check=0)
        assert play.results() == sorted(f"{method}/{FOLDER}/{n}" for n in names), "each found its own again"
        subprocess.run(["rm", "-r", play.folder / "out"], check=True)
    # A file of somebody else's stays.
    play.out.mkdir(parents=True)
    (play.out / f"{FOLDER}.cbz").write_bytes(b"mine")
    (play.out / f"{FOLDER} (2).cbz").mkdir()
    assert play(chapter(1), check=0).out.strip().endswith(" (3).cbz")
    assert (play.out / f"{FOLDER}.cbz").read_bytes() == b"mine"


@pytest.mark.parametrize("title", ["../../etc/passwd", "..", ".", "\u0000", "a\u0000b\nc\x1b[2J", "x" * 300, "é" * 300, "😀" * 100, "-rf", ".dozo-1"])
def test_names_that_want_out(play, title):
    play.write('destination: out, format: "$title"')
    play.dex.add_manga("m9", title)
    play.add(9, "9", 2, title, manga="m9")
    for method in ("cbz", "files"):
        r = play(chapter(9), "--method", method, check=0)
        assert "\x1b" not in r.out + r.err and r.out.count("\n") == 1
    out = play.folder / "out"
    (folder,) = out.iterdir()
    assert sorted(p.is_dir() for p in folder.iterdir()) == [False, True]
    assert sorted(p.name for p in play.folder.iterdir()) == ["dozo.yaml", "out"]
    assert all(len(os.fsencode(p.name)) <= 255 for p in out.rglob("*"))


@pytest.mark.parametrize("method", ["cbz", "files"])
def test_pages_that_are_made_anew(tmp_path, method):
    """Tiles are put in order, blank pages leave no gap, and the site is asked as the source says."""
    with Viz() as viz:
        viz.add("1", "501", [picture("shuffled-1.jpg"), picture("blank.jpg"), picture("shuffled-2.jpg")])
        (tmp_path / "dozo.yaml").write_text(f"""
sources:
  viz.com: {{base_url: "{viz.url}", rate: 1000/second, page_delay: 0s}}
""")
        r = dozo("download", "https://www.viz.com/vizmanga/komi-cant-communicate-chapter-1/chapter/501", "--method", method, "--to", "out",
                 "--config", "dozo.yaml", cwd=tmp_path, check=0)
    path = tmp_path / r.out.strip()
    wanted = [picture("ordered-1.jpg"), picture("ordered-2.jpg")]
    if method == "files":
        assert [p.read_bytes() for p in sorted(path.iterdir())] == wanted and len({p.stem[-1] for p in path.iterdir()} & {"1", "2"}) == 2
        return
    with zipfile.ZipFile(path) as z:
        assert [z.read(n) for n in z.namelist()] == wanted and [n.lstrip("0") for n in z.namelist()] == ["1.jpg", "2.jpg"]


def test_json(play):
    play.dex.misbehave("/data/c2/3-.*", faults.status(404))
    r = play(TITLE, "--json", check=1)
    got = json.loads(r.out)
    assert got["ok"] is False and [c["chapter"] for c in got["chapters"]] == ["c1", "c2", "c3"]
    one, two, _ = got["chapters"]
    assert one["path"].endswith("T1.cbz") and (one["pages"], one["failure"], one["was_there"]) == (4, None, False)
    assert two["path"] is None and two["failure_kind"] == "not_found" and "page 3" in two["failure"]


def test_wrong_use(play):
    for args, words in (((), "what is to be downloaded"), (("https://example.org/x",), "no source knows"),
                        ((chapter(1), "--method", "rar"), "cbz+comicinfo"), ((chapter(1), "https://example.org/x"), "no source knows")):
        r = play(*args, check=2)
        assert words in r.err
    assert play.dex.count() == 0
    assert "does not link" in play("https://mangadex.org/about", check=1).err
    assert "Could not find" in play(chapter(99), check=1).err
    assert play.results() == []


# ---- interrupted -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["cbz", "files"])
def test_killed_and_begun_again(play, method):
    gate = play.hold("/data/c1/3-.*")
    p = play.begin(chapter(1), "--method", method)
    until(lambda: play.kept() >= 3, "pages 1, 2 and 4 in the journal")
    p.kill()
    p.communicate()
    gate.set()
    if method == "cbz":
        assert play.results() == []
    play.dex.behave()
    play.dex.misbehave("/at-home/.*", faults.status(404))
    play(chapter(1), "--method", method, check=1)
    assert play.kept() >= 3, "what was kept stays when there is nothing new"
    play.dex.behave()
    play.dex.forget()
    play(chapter(1), "--method", method, check=0)
    assert play.dex.count("/data/c1/.*") == 1, "only the page that was missing"
    assert play.hidden() == [] and len(play.results()) == (1 if method == "cbz" else 4)


def test_stopped(play):
    gate = play.hold("/data/c2/2-.*")
    p = play.begin(TITLE)
    until(lambda: play.dex.count("/data/c2/2-.*"), "the second chapter's second page")
    p.send_signal(signal.SIGINT)
    status, out, err = ended(p)
    gate.set()
    assert status == 1 and "the same command goes on from here" in err and len(out.splitlines()) == 1
    play.dex.behave()
    play.dex.forget()
    r = play(TITLE, check=0)
    assert r.err.count("already") >= 1 and len(r.out.splitlines()) == 3 and play.hidden() == []
    assert play.dex.count("/data/c1/.*") == 0


def test_a_server_goes_on(play, serve):
    """Unfinished work of the command is found by the queue of a server, and the other way round."""
    gate = play.hold("/data/c1/3-.*")
    p = play.begin(chapter(1))
    until(lambda: play.kept() >= 3, "three pages")
    # While the command works on it the queue waits.
    s = Server(play.folder, None)
    try:
        r = s.request("POST", "/api/download/chapter?site=mangadex.org&id=c1")
        assert r.status == 202, r.text
        state = lambda: json.loads(s.get("/api/dl_state/" + json.loads(r.text)).text)
        play.dex.forget()  # what is asked from now on is asked by the queue, which begins when the command is gone
        play.dex.behave()
        p.kill()
        p.communicate()
        gate.set()
        until(lambda: state()["status"] == "COMPLETE", "the end")
        assert play.dex.count("/data/c1/.*") == 1
        assert play.results() == [f"{FOLDER}/{name_of(1, 'T1')}.cbz"]
    finally:
        assert s.stop() == 0


# ---- failures --------------------------------------------------------------------------------------------------------------


def test_a_page_that_is_not_there_now(play):
    play.dex.misbehave("/data/c1/3-.*", faults.status(500))
    r = play(chapter(1), check=1)
    assert "500" in r.err and "page 3" in r.err and r.err.count("once more in") == 2 and play.results() == []
    play.dex.behave()
    play.dex.forget()
    play(chapter(1), check=0)
    assert play.dex.count("/data/c1/.*") == 1 and play.hidden() == []


def test_the_rest_is_not_asked_for(play):
    play.dex.misbehave("/at-home/.*", faults.status(401))
    r = play(TITLE, check=1)
    assert "the other 2 chapters" in r.err and play.dex.count("/at-home/.*") == 1 and play.hidden() == []


def test_answers_that_break_off(play):
    play.dex.misbehave("/data/c1/2-.*", faults.truncated, times=1)
    play(chapter(1), check=0)
    assert play.dex.count("/data/c1/2-.*") == 2
    play.dex.misbehave("/data/c2/2-.*", faults.truncated)
    assert play(chapter(2), check=1).out == ""
    assert play.results() == [f"{FOLDER}/{name_of(1, 'T1')}.cbz"]


def test_pictures_that_are_none(play):
    """A chapter is worth more than one picture of it: what comes the same way twice is kept as it is, but an error page never."""
    play.dex.misbehave("/data/c1/2-.*", faults.cut_short)
    r = play(chapter(1), check=0)
    assert "page 2 is kept as it came" in r.err and play.dex.count("/data/c1/2-.*") == 2
    with zipfile.ZipFile(play.out / (name_of(1, "T1") + ".cbz")) as z:
        whole = png(8, 12, 21)
        assert z.read("2.png") == whole[:len(whole) // 2] and z.read("3.png") == png(8, 12, 22)
    play.dex.misbehave("/data/c2/2-.*", faults.error_page)
    r = play(chapter(2), check=1)
    assert "page 2" in r.err and len(play.results()) == 1


def test_where_nothing_can_be_written(play):
    (play.folder / "file").write_text("x")
    r = play(chapter(1), "--to", "file", check=1)
    assert "file" in r.err and "Not a directory" in r.err and play.dex.count("/data/.*") == 0
    r = play(chapter(1), "--to", "/proc/nothing", check=1)
    assert "/proc/nothing" in r.err and play.dex.count("/data/.*") == 0


def test_a_full_disk(play):
    place = play.folder / "small"
    place.mkdir()
    r = subprocess.run([tool("mount"), "-t", "tmpfs", "-o", "size=256k", "none", place], capture_output=True, text=True)
    if r.returncode != 0:
        # Without the right to mount: the same error from a write that fails.
        got = play(chapter(1), check=1, env={"DZ_FAULT": "write:3"})
        assert play.results() == [] and "dozo download:" in got.err
        return
    try:
        big = bytes(os.urandom(100 * 1024))
        play.dex.files["c1"] = {f"{i}-x.jpg": png(8, 12, i) + big for i in range(1, 5)}
        r = play(chapter(1), "--to", place, check=1)
        assert "No space left" in r.err and str(place) in r.err
        assert play.dex.count("/data/c1/.*") <= 12, "a full disk is no reason to ask for pages again and again"
        assert [p for p in place.rglob("*") if p.is_file() and "/.dozo-" not in str(p)] == []
        play.dex.forget()
        subprocess.run([tool("mount"), "-o", "remount,size=4m", place], check=True)
        play(chapter(1), "--to", place, check=0)
        assert play.dex.count("/data/c1/.*") < 4, "what was kept is not asked again"
        assert len([p for p in place.rglob("*") if p.is_file()]) == 1
    finally:
        subprocess.run([tool("umount"), "-l", place], check=False)


@pytest.mark.parametrize("op", ["write", "fsync", "rename"])
@pytest.mark.parametrize("method", ["cbz", "files"])
def test_killed_at_every_step(play, method, op):
    """One run a step, each going on from what the one before has left: what has its name is whole."""
    play.add(5, "5", 2, "T5")
    pages = [png(8, 12, 100 + i) for i in range(2)]
    for n in (1, 2, 3, 4, 5, 6, 7, 1, 2, 3):
        r = play(chapter(5), "--method", method, env={"DZ_FAULT": f"{op}:{n}:kill"})
        for p in (play.folder / "out" / p for p in play.results()):
            if method == "files":
                assert p.name.startswith(".tmp-") or p.read_bytes() in pages
            else:
                with zipfile.ZipFile(p) as z:
                    assert z.testzip() is None and [z.read(i) for i in z.namelist()] == pages
        if r.returncode == 0:
            break
    play(chapter(5), "--method", method, check=0)
    assert play.hidden() == [] and len(play.results()) == (2 if method == "files" else 1)


@pytest.mark.parametrize("op", ["write", "fsync", "rename"])
def test_every_step_may_fail(play, op):
    """Whichever write, sync or rename fails: no half result, and the next try makes a whole one."""
    failed = 0
    play.add(5, "5", 1, "T5")
    for n in range(1, 40):
        r = play(chapter(5), "--method", "cbz+comicinfo", "--again", env={"DZ_FAULT": f"{op}:{n}"})
        for p in play.results():
            with zipfile.ZipFile(play.folder / "out" / p) as z:
                assert z.testzip() is None and len(z.namelist()) == 2
        if r.returncode == 0 and "once more" not in r.err and "kept" not in r.err:
            break
        failed += 1
    assert failed >= 1 and len(play.results()) == 1
