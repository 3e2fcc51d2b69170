#!/usr/bin/env python3
"""check_full: what is too slow for every commit. Usage: tools/check_full.py [--fuzz-seconds N] [PART...]

Parts: clang (its warnings are errors), tsan (every unit and suite program under ThreadSanitizer), arena (every arena piece a malloc of
its own, under ASan and UBSan), cppcheck, analyzer (gcc -fanalyzer) and fuzz (each target for some seconds). What a checker says wrongly
stands with its reason in one place: tools/cppcheck.txt, tools/analyzer.txt. The last line says OK and what ran, or what failed.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLANG = {"CC": "clang"}


def run(cmd, env=None):
    r = subprocess.run(cmd, cwd=ROOT, env=dict(os.environ, **(env or {})), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors="replace")
    return r.returncode == 0, r.stdout


def build(folder, *options, env=None, fresh=False):
    if fresh:
        shutil.rmtree(ROOT / folder, ignore_errors=True)
    if not (ROOT / folder / "build.ninja").exists():
        ok, out = run(["meson", "setup", folder, "-Dbuildtype=debug", *options], env)
        if not ok:
            return ok, out
    return run(["ninja", "-C", folder])


def tests(folder, env=None):
    """All programs of the folder; none at all is a failure. Those that need fault injection may skip themselves only where the build has
    none, which is when env is given."""
    ok, out = run(["meson", "test", "-C", folder, "--no-rebuild", "--timeout-multiplier", "0", "--print-errorlogs"], env)
    ran = re.search(r"^Ok:\s+(\d+)", out, re.M)
    skipped = re.search(r"^Skipped:\s+(\d+)", out, re.M)
    n = int(ran.group(1)) if ran else 0
    if n == 0 or (skipped and int(skipped.group(1)) > 0 and not env):
        return False, out
    return ok, out if not ok else f"{n} programs"


def clang():
    return build("build-clang", "-Dwerror=true", "-Dfuzz=off", env=CLANG)


def tsan():
    ok, out = build("build-tsan", "-Db_sanitize=thread", "-Db_lundef=false", "-Dfuzz=off", env=CLANG)
    return tests("build-tsan", {"TSAN_OPTIONS": "halt_on_error=1"}) if ok else (ok, out)


def arena():
    ok, out = build("build-arena", "-Darena=malloc", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dfaults=true")
    return tests("build-arena") if ok else (ok, out)


def cppcheck():
    files = subprocess.run(["git", "ls-files", "src/*.c"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    if not files:
        return False, "no files to check"
    return run(["cppcheck", "--enable=warning,portability", "--std=c11", "--inline-suppr", "--error-exitcode=1", "--quiet",
                "--suppress=nullPointerRedundantCheck", "--suppress=missingIncludeSystem", "--suppressions-list=tools/cppcheck.txt",
                "-D_GNU_SOURCE", "-Isrc", *files])


def analyzer():
    # Warnings only come when a file is compiled, so nothing is taken over from an earlier build.
    ok, out = build("build-analyzer", "-Dc_args=-fanalyzer", "-Dtests=false", "-Dfuzz=off", fresh=True)
    if not ok:
        return ok, out
    known = {}
    for line in (ROOT / "tools/analyzer.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            known[tuple(line.split(": ", 1)[0].split())] = line
    found = {}
    for m in re.finditer(r"^(?:\.\./)*(\S+?):\d+:\d+: warning: .*\[(-Wanalyzer-[a-z-]+)\]$", out, re.M):
        found.setdefault((m.group(2), m.group(1)), m.group(0))
    wrong = [found[k] for k in found if k not in known] + [f"nothing fits any more: {known[k]}" for k in known if k not in found]
    return not wrong, "\n".join(wrong) if wrong else f"{len(found)} known false alarms"


def fuzz():
    return run([sys.executable, "tools/fuzz.py", "--seconds", str(OPTIONS.fuzz_seconds)])


PARTS = [clang, tsan, arena, cppcheck, analyzer, fuzz]
OPTIONS = None


def main():
    global OPTIONS
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--fuzz-seconds", type=int, default=10, help="a target (default 10)")
    p.add_argument("parts", nargs="*", metavar="PART", help="default: all")
    OPTIONS = p.parse_args()
    names = {part.__name__: part for part in PARTS}
    unknown = set(OPTIONS.parts) - set(names)
    if unknown:
        p.error(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    wanted = OPTIONS.parts or list(names)
    failed = []
    for name in wanted:
        began = time.monotonic()
        ok, out = names[name]()
        print(f"{'ok  ' if ok else 'FAIL'} {name}, {time.monotonic() - began:.0f} s" + (f": {out}" if ok and len(out) < 80 and out else ""),
              flush=True)
        if not ok:
            failed.append(name)
            print(out[-8000:], flush=True)
    print(f"FAILED: {', '.join(failed)}" if failed else f"OK: {', '.join(wanted)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
