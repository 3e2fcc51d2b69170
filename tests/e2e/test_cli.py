"""The commands around serve and import: help, settings, password, check, the manual page."""
import json
import os
import pty
import re
import shutil
import sqlite3
import subprocess
import warnings

import pytest

from comics import (begin, cbz, chapter_links, chapters_stored, files_below, importing, page, pages, problems, served, series_links,
                    stored, strip_pages)
from conftest import DOZO, PATIENCE, ROOT, clean_env, dozo, png, until

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt

COMMANDS = ["serve", "import", "crawl", "download", "jobs", "sources", "check", "config", "password", "source", "version"]


# ---- help and wrong use ------------------------------------------------------------------------------------------------------

def options_of(text):
    return re.findall(r"^  (?:-[a-zA-Z], )?--([a-z-]+)", text, re.M)


def test_help(tmp_path):
    for args in (["--help"], ["-h"], ["help"], ["help", "--help"]):
        r = dozo(*args, cwd=tmp_path, check=0)
        assert r.err == "" and all(re.search(rf"^  {c}\b", r.out, re.M) for c in COMMANDS) and "Usage: dozo" in r.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(tmp_path, command):
    r = dozo(command, "--help", cwd=tmp_path, check=0)
    assert r.err == "" and r.out.startswith(f"Usage: dozo {command}")
    assert {"help", "config"} <= set(options_of(r.out))
    assert all(len(line) <= 80 for line in r.out.splitlines())
    for args in (["help", command], [command, "-h"], [command, "nonsense", "--help"], [command, "--help", "--config", "nowhere"]):
        assert dozo(*args, cwd=tmp_path, check=0).out == r.out, args
    assert files_below(tmp_path) == []


def test_no_command(tmp_path):
    r = dozo(cwd=tmp_path, check=2)
    assert r.out == "" and all(c in r.err for c in COMMANDS)


@pytest.mark.parametrize("args,near", [
    (["impot"], "import"), (["srve"], "serve"), (["chek"], "check"), (["--hlp"], None), (["versoin"], "version"), (["zzzzzz"], None),
    (["import", "--sries", "x"], "--series"), (["check", "--repare"], "--repair"), (["serve", "--confg", "x"], "--config"),
    (["config", "chekc"], "check"), (["version", "--jsn"], "--json"), (["help", "improt"], "import")])
def test_mistyped(tmp_path, args, near):
    r = dozo(*args, cwd=tmp_path, check=2)
    assert r.out == "" and any(a in r.err for a in args[-2:])
    if near:
        assert re.search(rf"did you mean.*{near}", r.err), r.err
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("args", [["serve", "extra"], ["check", "extra"], ["config"], ["config", "check", "extra"], ["version", "extra"],
                                  ["password", "secret"], ["import", "x", "--series"], ["import", "--config"], ["import", "x", "--json=1"],
                                  ["import", "x", "--shelf", "a", "--shelf", "b"], ["import", "komizip", "a", "b"],
                                  ["import", "komizip", "--shelf", "x"], ["import", ""], ["check", "--quick", "--digests"], ["--config", "x", "serve"]])
def test_wrong_use(tmp_path, args):
    r = dozo(*args, cwd=tmp_path, check=2)
    assert r.out == "" and "Usage: dozo" in r.err
    assert files_below(tmp_path) == []


def test_version(tmp_path):
    text = dozo("version", cwd=tmp_path, check=0).out
    number = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text()).group(1)
    assert text.splitlines()[0] == f"dozo {number}"
    assert dozo("--version", cwd=tmp_path, check=0).out == text
    assert json.loads(dozo("version", "--json", cwd=tmp_path, check=0).out)["version"] == number


def test_manual_page(tmp_path):
    """Every command and every option of the help stands in the manual, and nothing else does."""
    manual = (ROOT / "docs/dozo.1").read_text().replace("\\-", "-")
    shown = set()
    for command in COMMANDS:
        assert re.search(rf"^\.(Ss|Cm|It Cm) {command}\b", manual, re.M), command
        for option in options_of(dozo(command, "--help", cwd=tmp_path, check=0).out):
            shown.add(option)
            assert re.search(rf"\bFl -{option}\b", manual), f"--{option} of {command}"
    assert set(re.findall(r"\bFl -([a-z][a-z-]*)", manual)) - {"version"} <= shown


def test_full_stdout(tmp_path):
    with open("/dev/full", "w") as full:
        p = subprocess.run([DOZO, "config", "docs"], stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, env=clean_env())
    assert p.returncode == 1 and b"cannot write" in p.stderr


def test_closed_stdio(tmp_path):
    """No file of the server takes the place of a stream that the caller has closed."""
    (tmp_path / "dozo.yaml").write_text(f'listen: ["unix:{tmp_path}/s"]\n')
    p = subprocess.Popen(["sh", "-c", 'exec "$0" serve <&- >&- 2>&-', DOZO], cwd=tmp_path, env=clean_env())
    try:
        until(lambda: (tmp_path / "s").exists() or p.poll() is not None)
        assert p.poll() is None
        assert {os.readlink(f"/proc/{p.pid}/fd/{n}") for n in range(3)} == {"/dev/null"}
    finally:
        p.terminate()
        assert p.wait() == 0


# ---- settings --------------------------------------------------------------------------------------------------------------

def check_config(folder, text, check=None, env=None):
    (folder / "dozo.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return dozo("config", "check", "--config", "dozo.yaml", cwd=folder, check=check, env=env)


@pytest.mark.parametrize("text,line,key,near", [
    ("listen: ['127.0.0.1:0']\nhttp:\n  max_conections: 5\n", 3, "http.max_conections", "max_connections"),
    ("data_dri: ./x\n", 1, "data_dri", "data_dir"),
    ("\n\nshelves:\n  - name: a\n    evry: 5s\n", 5, "shelves[0].evry", "every"),
    ("log: { level: infos }\n", 1, "log.level", "info"),
    ("store:\n  driver: file\n", 2, "store.driver", "files"),
    ("sources:\n  viz.com:\n    base_ulr: 'https://x'\n", 3, "sources.viz.com.base_ulr", "base_url"),
    ("uploads:\n  opengraph: { enable: true }\n", 2, "uploads.opengraph.enable", "enabled"),
])
def test_mistyped_keys(tmp_path, text, line, key, near):
    r = check_config(tmp_path, text, check=1)
    assert re.search(rf"dozo\.yaml:{line}: {re.escape(key)}.*did you mean \"{near}\"", r.err), r.err


@pytest.mark.parametrize("text,line,words", [
    ("http: { threads: many }\n", 1, "http.threads"),
    ("http: { threads: -1 }\n", 1, "http.threads"),
    ("http: { max_connections: 0 }\n", 1, "http.max_connections"),
    ("http: { max_body: 10 parsecs }\n", 1, "http.max_body"),
    ("http:\n  header_timeout: soon\n", 2, "http.header_timeout"),
    ("http: { force_https: perhaps }\n", 1, "http.force_https"),
    ("http: { trusted_proxies: [10.0.0.0/99] }\n", 1, "http.trusted_proxies"),
    ("listen: []\n", 1, "listen"),
    ("listen: ['127.0.0.1']\n", 1, "listen"),
    ("listen: ['127.0.0.1:70000']\n", 1, "listen"),
    ("listen: ['127.0.0.1:8080', '127.0.0.1:8080']\n", 1, "listen"),
    ("http: 5\n", 1, "http"),
    ("log: []\n", 1, "log"),
    ("data_dir: { a: b }\n", 1, "data_dir"),
    ("data_dir: ./a\ndata_dir: ./b\n", 2, "data_dir"),
    ("shelves: [{ name: 'No Good' }]\n", 1, "name"),
    ("shelves: [{ name: a }, { name: a }]\n", 1, "name"),
    ("shelves: [{ series: x/y }]\n", 1, "name"),
    ("shelves: [{ name: a, cdn_hosts: [x.example] }, { name: b, cdn_hosts: [x.example] }]\n", 1, "x.example"),
    ("auth: { admin_password_hash: hunter2 }\n", 1, "auth.admin_password_hash"),
    ("auth: { token_file: /no/such/file }\n", 1, "token_file"),
    ("a: [1, 2\n", 2, "not YAML"),
    ("http:\n\t max_body: 5\n", 2, "tab"),
    ("data_dir: &x a\nlisten: [*x, *x]\n", 2, "alias"),
    ("- list\n", 1, ""),
    (b"listen: ['\xff\xfe']\n", 1, ""),
])
def test_bad_values(tmp_path, text, line, words):
    r = check_config(tmp_path, text, check=1)
    assert re.search(rf"^dozo\.yaml:{line}:.*{re.escape(words)}", r.err, re.M), r.err
    assert r.out == "" and not (tmp_path / "data").exists()
    for args in (["serve"], ["import", "x"], ["check"]):
        again = dozo(*args, "--config", "dozo.yaml", cwd=tmp_path, check=1)
        assert f"dozo.yaml:{line}:" in again.err, args


def test_all_faults_at_once(tmp_path):
    r = check_config(tmp_path, "lisen: []\nhttp:\n  threads: x\n  max_body: y\nlog: { leve: info }\n", check=1)
    assert [int(n) for n in re.findall(r"^dozo\.yaml:(\d+):", r.err, re.M)] == [1, 3, 4, 5]
    j = dozo("config", "check", "--config", "dozo.yaml", "--json", cwd=tmp_path, check=1)
    assert json.loads(j.out)["ok"] is False and len(json.loads(j.out)["faults"]) == 4


@pytest.mark.parametrize("text", ["", "# only words\n", "---\n", "{}\n", "http:\n", "shelves: []\n", "\ufefflog: { level: warn }\n",
                                  "log: { level: warn }\r\n"])
def test_good_files(tmp_path, text):
    r = check_config(tmp_path, text, check=0)
    assert "ok" in r.out and r.err == ""


def test_bomb(tmp_path):
    rows = ["a: &a [x, x, x, x, x, x, x, x, x]"] + [f"{chr(98 + i)}: &{chr(98 + i)} [" + ", ".join([f"*{chr(97 + i)}"] * 9) + "]"
                                                      for i in range(9)]
    r = check_config(tmp_path, "\n".join(rows) + "\n", check=1)
    assert "dozo.yaml:" in r.err and len(r.err) < 100_000
    r = check_config(tmp_path, "[" * 100_000, check=1)
    assert "dozo.yaml" in r.err


def test_no_file(tmp_path):
    r = dozo("config", "check", cwd=tmp_path, check=0)
    assert "default" in r.out
    r = dozo("config", "check", "--config", "nowhere.yaml", cwd=tmp_path, check=1)
    assert "nowhere.yaml" in r.err
    (tmp_path / "dir.yaml").mkdir()
    assert "dir.yaml" in dozo("config", "check", "--config", "dir.yaml", cwd=tmp_path, check=1).err


def test_beyond_loopback_is_a_fault(tmp_path):
    r = check_config(tmp_path, "listen: ['0.0.0.0:80']\n", check=1)
    assert "auth.token" in r.err and "auth.allow_anonymous" in r.err


def test_variables(tmp_path):
    def dump(**env):
        return json.loads(dozo("config", "dump", "--json", cwd=tmp_path, check=0, env=env).out)
    assert dump(DOZO_HTTP_MAX_BODY="5MiB", DOZO_LOG_LEVEL="warn")["log"]["level"] == "warn"
    (tmp_path / "dozo.yaml").write_text("log: { level: error }\n")
    assert dump()["log"]["level"] == "error"
    assert dump(DOZO_LOG_LEVEL="debug")["log"]["level"] == "debug"
    assert dump(DOZO_LISTEN="127.0.0.1:1,127.0.0.1:2")["listen"] == ["127.0.0.1:1", "127.0.0.1:2"]
    r = dozo("config", "check", cwd=tmp_path, check=1, env={"DOZO_LOG_LEVEL": "loud"})
    assert "DOZO_LOG_LEVEL" in r.err
    r = dozo("config", "check", cwd=tmp_path, check=1, env={"DOZO_LOG_LEVLE": "info"})
    assert "DOZO_LOG_LEVLE" in r.err and "DOZO_LOG_LEVEL" in r.err
    dozo("config", "check", cwd=tmp_path, check=0, env={"RATELIMIT": "5 per 2 minutes", "NAGATO_DOWNLOAD_DIR": "/x"})


RICH = """
listen: ["127.0.0.1:0", "unix:/tmp/a b.sock"]
data_dir: "./päth: with # odd ' \\" characters"
log: { level: debug, format: json }
http: { max_body: 5000, header_timeout: 1500ms, access_log: "off", cors_origins: ["https://a.example"], allowed_hosts: [a.example] }
cache: { max_bytes: 1MiB, max_entries: 17 }
shelves:
  - name: komi
    series: viz.com/komi-cant-communicate
    api_hosts: [api.komi.zip]
    cdn_hosts: [cdn.komi.zip, other.example]
    cdn_url: https://cdn.komi.zip
    links: { viz: "{source_url}", komizip: "https://read.komi.zip/{chapter}" }
    every: 15s
  - { name: second }
uploads: { opengraph: { enabled: true, properties: { title: "yes", description: "a: b # c", site_name: "null" } } }
downloads: { format: "$$ ${manga} [${chapter:3}] ${title|untitled}", page_delay: 0.25s }
sources:
  mangadex.org: { enabled: false, rate: "2/second", headers: { X-A: "1" }, hosts: [x.example] }
  my.source: { anything: 5 }
"""


def test_dump_loads_back(tmp_path):
    for text in ("", RICH, (ROOT / "examples/dozo.yaml").read_text()):
        check_config(tmp_path, text, check=0)
        first = dozo("config", "dump", "--config", "dozo.yaml", cwd=tmp_path, check=0).out
        as_json = dozo("config", "dump", "--config", "dozo.yaml", "--json", cwd=tmp_path, check=0).out
        check_config(tmp_path, first, check=0)
        assert dozo("config", "dump", "--config", "dozo.yaml", cwd=tmp_path, check=0).out == first
        assert dozo("config", "dump", "--config", "dozo.yaml", "--json", cwd=tmp_path, check=0).out == as_json
        assert isinstance(json.loads(as_json), dict)


def test_example_file_is_the_defaults(tmp_path):
    check_config(tmp_path, (ROOT / "examples/dozo.yaml").read_text(), check=0)
    ours = dozo("config", "dump", "--config", "dozo.yaml", cwd=tmp_path, check=0).out
    (tmp_path / "dozo.yaml").unlink()
    assert dozo("config", "dump", cwd=tmp_path, check=0).out == ours


def test_secrets_stay_secret(tmp_path):
    (tmp_path / "secret").write_text("TopSecret-token-from-a-file\n")
    check_config(tmp_path, "auth: { token_file: secret }\nuploads: { secret_key: AnotherSecret99 }\n"
                 "store: { uri: 'postgres://user:PasswordX@host/db' }\nshelves: oops\n", check=1)
    assert "AnotherSecret99" not in dozo("config", "check", "--config", "dozo.yaml", cwd=tmp_path, check=1).err
    check_config(tmp_path, "auth: { token_file: secret }\nuploads: { secret_key: AnotherSecret99 }\n"
                 "cache: { driver: redis, uri: 'redis://user:PasswordX@host/0' }\n", check=0)
    for args in ([], ["--json"]):
        out = dozo("config", "dump", "--config", "dozo.yaml", *args, cwd=tmp_path, check=0).out
        assert "TopSecret" not in out and "AnotherSecret99" not in out and "PasswordX" not in out and "***" in out
    r = check_config(tmp_path, "auth: { token: 'Bad Secret With Blanks' }\n")
    assert "Bad Secret" not in r.err
    r = dozo("config", "check", cwd=tmp_path, env={"DOZO_AUTH_TOKEN": "Bad Secret\x01"})
    assert "Bad Secret" not in r.err


def test_docs(tmp_path):
    text = dozo("config", "docs", cwd=tmp_path, check=0).out
    current = ROOT / "docs/settings.md"
    assert not current.exists() or current.read_text() == text, "run make docs"
    for key in ("listen", "data_dir", "http.max_connections", "auth.admin_password_hash", "sources.http_cache.ttl", "DOZO_UPLOADS_SECRET_KEY"):
        assert key in text


# ---- password --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("word,end", [("hunter2", "\n"), ("pässwörd 土蔵", ""), (" blanks ", "\nmore\n"), ("x" * 72, "\n"),
                                      ("back\\slash $1$ 'quote'", "\n")])
def test_password(tmp_path, word, end):
    r = dozo("password", cwd=tmp_path, stdin=(word + end).encode(), check=0)
    hash = r.out.strip()
    assert r.out == hash + "\n" and hash.startswith("$2") and crypt.crypt(word, hash) == hash
    check_config(tmp_path, f"auth: {{ admin_password_hash: '{hash}' }}\n", check=0)


def test_passwords_are_salted(tmp_path):
    one, two = (dozo("password", cwd=tmp_path, stdin=b"the same\n", check=0).out.strip() for _ in "12")
    assert one != two and crypt.crypt("the same ", one) != one


@pytest.mark.parametrize("data", [b"", b"\n", b"x" * 73 + b"\n", b"a\0b\n", b"x" * 1_000_000],
                         ids=["nothing", "empty", "too long", "NUL", "far too long"])
def test_bad_passwords(tmp_path, data):
    r = dozo("password", cwd=tmp_path, stdin=data, check=1)
    assert r.out == "" and "dozo password:" in r.err


def typed(cwd, *words):
    """Types words at a terminal, each when it is asked for; gives status, stdout and what the terminal showed."""
    main, side = pty.openpty()
    p = subprocess.Popen([DOZO, "password"], cwd=cwd, stdin=side, stdout=subprocess.PIPE, stderr=side, env=clean_env(TERM="xterm"),
                         start_new_session=True)
    os.close(side)
    shown, asked = b"", 0
    while True:
        try:
            data = os.read(main, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
        while shown.count(b":") > asked and asked < len(words):
            os.write(main, words[asked].encode() + b"\n")
            asked += 1
    os.close(main)
    out = p.stdout.read().decode()
    return p.wait(PATIENCE), out, shown.decode()


def test_password_at_a_terminal(tmp_path):
    status, out, shown = typed(tmp_path, "typed secret", "typed secret")
    assert status == 0 and crypt.crypt("typed secret", out.strip()) == out.strip() and "typed secret" not in shown
    status, out, shown = typed(tmp_path, "typed secret", "another")
    assert status == 1 and out == "" and "typed secret" not in shown


# ---- check -----------------------------------------------------------------------------------------------------------------

@pytest.fixture
def library(tmp_path):
    cbz(tmp_path / "S/c1.cbz", pages(3))
    cbz(tmp_path / "S/c2.cbz", {**pages(2, 10), "shared.png": page(0)})
    importing(tmp_path, "S")
    problems(tmp_path)
    return tmp_path


def blob_of(folder, data):
    found = [p for p in (folder / "data/blobs").glob("??/*") if p.read_bytes() == data]
    assert len(found) == 1
    return found[0]


def lose(p):
    p.unlink()


def cut(p):
    p.chmod(0o644)
    p.write_bytes(p.read_bytes()[:20])


def flip(p):
    p.chmod(0o644)
    data = bytearray(p.read_bytes())
    data[30] ^= 1
    p.write_bytes(data)


def grow(p):
    p.chmod(0o644)
    p.write_bytes(p.read_bytes() + b"x")


WHOLE = [list(pages(3).values()), [*pages(2, 10).values(), page(0)]]


@pytest.mark.parametrize("harm", [lose, cut, flip, grow])
@pytest.mark.parametrize("shared", [False, True])
def test_damage(library, serve, harm, shared):
    """Found and named; repaired so that everything served is whole; brought back by the next import."""
    victim = page(0) if shared else page(1)
    harm(blob_of(library, victim))
    r = dozo("check", cwd=library, check=1)
    assert "problem" in r.out and "S" in r.out, r.out
    j = json.loads(dozo("check", "--json", cwd=library, check=1).out)
    assert j["ok"] is False and j["problems"] >= 1 and len(j["problem_list"]) == j["problems"]
    assert dozo("check", "--quick", cwd=library).returncode == (0 if harm is flip else 1), "a flipped bit is only seen by reading"

    r = dozo("check", "--repair", cwd=library, check=0)
    assert "mended" in r.out
    problems(library)
    left = [[p for p in c if p != victim] for c in WHOLE]
    assert [c.pages for c in stored(library)["S"]] == left
    s = serve(library)
    assert served(s) == {"S": left}

    r = importing(library, "S")
    assert r.n["chapters_changed"] == (2 if shared else 1)
    assert [c.pages for c in stored(library)["S"]] == WHOLE
    problems(library)
    until(lambda: or_none(served, s) == {"S": WHOLE}, "the pages to come back")


def test_all_blobs_lost(library):
    for p in (library / "data/blobs").glob("??/*"):
        p.unlink()
    r = dozo("check", cwd=library, check=1)
    assert r.out.count("problem: ") >= 1
    dozo("check", "--repair", cwd=library, check=0)
    problems(library)
    importing(library, "S")
    assert [c.pages for c in stored(library)["S"]] == WHOLE


def test_leftovers(library):
    """Blobs that nobody names and unfinished files are no problem; --repair takes them away and nothing else."""
    before = files_below(library / "data/blobs")
    orphan = library / "data/blobs/ab" / ("cd" * 31)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"nobody's")
    stale = library / "data/blobs/ab/.tmp-stale"
    stale.write_bytes(b"half")
    os.utime(stale, (1_600_000_000, 1_600_000_000))
    foreign = library / "data/blobs/notes.txt"
    foreign.write_text("somebody's own")
    r = dozo("check", cwd=library, check=0)
    assert "leftover" in r.out
    assert orphan.exists() and stale.exists()
    dozo("check", "--repair", cwd=library, check=0)
    assert not orphan.exists()
    after = [f for f in files_below(library / "data/blobs") if f not in ("ab", "notes.txt")]
    assert [f for f in after if f != "ab/.tmp-stale"] == [f for f in before if f != "ab"]
    assert foreign.read_text() == "somebody's own"
    assert [c.pages for c in stored(library)["S"]] == WHOLE


def test_wrong_counts(library):
    db = sqlite3.connect(library / "data/dozo.db")
    db.execute("UPDATE blob SET refs = refs + 5")
    db.commit()
    db.close()
    r = dozo("check", cwd=library, check=1)
    assert "problem" in r.out
    dozo("check", "--repair", cwd=library, check=0)
    problems(library)
    db = sqlite3.connect(library / "data/dozo.db")
    assert sorted(n for n, in db.execute("SELECT refs FROM blob")) == [1, 1, 1, 1, 2]
    db.close()
    assert [c.pages for c in stored(library)["S"]] == WHOLE


def test_repair_while_an_import_runs(library):
    """The two exclude each other: a repair could take away what the import has just put."""
    for i in range(3, 400):
        cbz(library / f"S/c{i}.cbz", pages(2, i * 2 + 100))
    while True:
        p = begin("import", "S", cwd=library, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        until(lambda: chapters_stored(library) > 4 or p.poll() is not None, "the import")
        p.send_signal(19)  # it holds still, and its lock
        if chapters_stored(library) < 399:
            break
        p.send_signal(18)  # it was through before anybody looked: once more, from nothing
        p.communicate()
        assert p.returncode == 0
        shutil.rmtree(library / "data")
    try:
        r = dozo("check", "--repair", cwd=library, check=1)
        assert "import" in r.err
        dozo("check", cwd=library, check=0)
    finally:
        p.send_signal(18)
    assert p.wait(PATIENCE) == 0
    dozo("check", "--repair", cwd=library, check=0)
    assert len(stored(library)["S"]) == 399
    p.stderr.close()


def test_check_without_a_library(tmp_path):
    r = dozo("check", cwd=tmp_path)
    assert r.returncode in (0, 1) and r.out + r.err


def test_check_beside_a_server(library, serve):
    s = serve(library)
    problems(library)
    dozo("check", "--repair", cwd=library, check=0)
    blob_of(library, page(1)).unlink()
    dozo("check", "--repair", cwd=library, check=0)
    link = chapter_links(s, series_links(s)[0])[0]
    until(lambda: len(or_none(strip_pages, s, link) or ()) == 2, "the server to follow")


def or_none(look, *args):
    """What a reader gets; None while a chapter changes between its list of pages and the pages."""
    try:
        return look(*args)
    except AssertionError:
        return None


def test_copies_before_migrations(library):
    """A catalog of a newer version is refused, and left alone."""
    db = sqlite3.connect(library / "data/dozo.db")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    columns = [c[1] for c in db.execute("PRAGMA table_info(schema_version)")]
    if columns:
        row = db.execute("SELECT * FROM schema_version").fetchall()[-1]
        values = [999 if isinstance(v, int) and i == 0 else v for i, v in enumerate(row)]
        db.execute(f"INSERT INTO schema_version VALUES ({','.join('?' * len(values))})", values)
    else:
        db.execute(f"PRAGMA user_version = {version + 999}")
    db.commit()
    db.close()
    before = (library / "data/dozo.db").read_bytes()
    r = dozo("import", "S", cwd=library, check=1)
    assert re.search("newer|version", r.err), r.err
    assert (library / "data/dozo.db").read_bytes() == before


def test_repair_of_an_unmounted_store_takes_nothing_out(tmp_path):
    """All blobs away at once is a disk that is not mounted: repair must refuse, and the way back must be whole."""
    folder = tmp_path / "Series" / "1"
    folder.mkdir(parents=True)
    for i in range(9):
        (folder / f"{i}.png").write_bytes(png(shade=i))
    dozo("import", "Series", cwd=tmp_path, check=0)
    (tmp_path / "data/blobs").rename(tmp_path / "away")
    r = dozo("check", "--repair", cwd=tmp_path, check=1)
    assert "is it mounted" in r.err
    shutil.rmtree(tmp_path / "data/blobs", ignore_errors=True)
    (tmp_path / "away").rename(tmp_path / "data/blobs")
    dozo("check", cwd=tmp_path, check=0)
