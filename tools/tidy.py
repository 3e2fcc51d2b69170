#!/usr/bin/env python3
"""tidy: the house rules that a script can check.

Include order between rooms, private headers, self-contained headers, file heads, lengths, tests that are written but not
listed, and words that do not belong into a tree that others read. Prints FILE:LINE: words, exits 1 when anything is wrong.
"""
import functools
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Rooms in the order in which they may see each other; rooms of one tuple never do.
ORDER = [
    ("base",), ("loop",), ("conf",), ("pg",),
    ("http", "fetch", "media", "cache", "store", "catalog", "graphql"),
    ("source",), ("crawl",), ("library",), ("api",), ("cli",),
]
LEVEL = {room: i for i, rooms in enumerate(ORDER) for room in rooms}
FILE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 90

problems = []


def say(path, line, words):
    problems.append(f"{path.relative_to(ROOT)}:{line}: {words}")


def tracked():
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                         capture_output=True, text=True, check=True).stdout
    return [ROOT / p for p in out.splitlines() if (ROOT / p).is_file()]


def room_of(path):
    parts = path.relative_to(ROOT).parts
    return parts[1] if len(parts) > 2 and parts[0] == "src" else None


def check_includes(path, lines):
    room = room_of(path)
    if room is not None and room not in LEVEL:
        say(path, 1, f"room {room} is not in the order of tools/tidy.py")
        return
    for n, line in enumerate(lines, 1):
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not m or room is None:
            continue
        target = m.group(1)
        other = target.split("/")[0]
        if other not in LEVEL:
            say(path, n, f'"{target}" is not ROOM/FILE')
        elif other != room and LEVEL[other] >= LEVEL[room]:
            say(path, n, f"room {room} must not see room {other}")
        elif other != room and target != f"{other}/{other}.h":
            say(path, n, f'"{target}" is private to room {other}')


def check_text(path, text, lines):
    if not text.endswith("\n"):
        say(path, len(lines), "no newline at the end")
    for n, line in enumerate(lines, 1):
        if line.rstrip() != line:
            say(path, n, "blanks at the end of the line")
        if "\t" in line:
            say(path, n, "a tab")
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            say(path, n, "a note to oneself; do it or write it into the docs")
    if path.parent.parent.name != "corpus" and not text.startswith("/*"):
        say(path, 1, "no file head (a comment that says what flows in and out)")
    if len(lines) > FILE_LINES_MAX:
        say(path, 1, f"{len(lines)} lines; split by noun")


def check_functions(path, lines):
    start = None
    for n, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = n
        elif line.startswith("}") and start:
            if n - start > FUNCTION_LINES_MAX:
                say(path, start, f"a function of {n - start} lines")
            start = None


@functools.cache
def system_includes():
    """Where the libraries are whose headers do not lie in /usr/include itself."""
    run = subprocess.run(["pkg-config", "--cflags-only-I", "lua5.4", "libxml-2.0", "libpq", "libmongoc-1.0"], capture_output=True, text=True)
    return run.stdout.split()


def check_header_alone(path):
    run = subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c",
                          "-I", str(ROOT / "src"), *system_includes(), str(path)], capture_output=True, text=True)
    errors = [e for e in run.stderr.splitlines() if "pragma once in main file" not in e and "error:" in e]
    if errors:
        say(path, 1, "does not compile alone: " + errors[0])


def check_listed(files):
    """A test that no meson.build names would never run, and nobody would notice."""
    for path in files:
        rel = path.relative_to(ROOT)
        if rel.suffix != ".c" or rel.parts[0] not in ("src", "tests"):
            continue
        name = path.name
        build = path.parent / "meson.build"
        text = build.read_text() if build.exists() else ""
        if rel.parts[:2] == ("tests", "unit"):
            wanted = re.sub(r"^test_|\.c$", "", name) if name.startswith("test_") else name
        elif rel.parts[:2] == ("tests", "suite"):
            wanted = re.sub(r"^suite_|\.c$", "", name)
        elif rel.parts[:2] == ("tests", "fuzz") and name != "replay.c":
            wanted = re.sub(r"^fuzz_|\.c$", "", name)
            corpus = ROOT / "tests/fuzz/corpus" / wanted
            if not corpus.is_dir() or not any(corpus.iterdir()):
                say(path, 1, f"no corpus in {corpus.relative_to(ROOT)}")
        elif rel.parts[0] == "src" and len(rel.parts) > 2:
            wanted = name
        else:
            continue
        if f"'{wanted}'" not in text:
            say(path, 1, f"not listed in {build.relative_to(ROOT)}")


def check_words(files):
    """Nothing that others read names a machine's own paths."""
    mine = pathlib.Path(__file__).resolve()
    for path in files:
        if path == mine or "corpus" in path.parts:
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for n, line in enumerate(text.splitlines(), 1):
            if re.search(r"(^|[\s\"'=:(])/(work|farm|root|home)/", line):
                say(path, n, "a path of somebody's machine")


def main():
    files = tracked()
    code = [p for p in files if p.suffix in (".c", ".h") and p.relative_to(ROOT).parts[0] in ("src", "tests", "bench")]
    for path in code:
        text = path.read_text()
        lines = text.splitlines()
        check_text(path, text, lines)
        check_functions(path, lines)
        check_includes(path, lines)
        if path.suffix == ".h" and "#pragma once" not in text:
            say(path, 1, "no #pragma once")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(check_header_alone, [p for p in code if p.suffix == ".h" and room_of(p)]))
    check_listed(files)
    check_words(files)
    for p in sorted(problems):
        print(p)
    print(f"tidy: {len(code)} files, {len(problems)} problems", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
