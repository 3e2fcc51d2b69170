#!/usr/bin/env python3
"""check_full: what is too slow for every commit. After `make test`:

clang with warnings as errors, ThreadSanitizer over the tests that use threads, every arena piece as a malloc of its own, cppcheck, gcc's
analyzer, and each fuzz target for ten seconds. Prints what each step found; exits 1 when any found something.
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
THREADED = ["loop-", "cache-", "library-view", "library-files", "http-socket", "suite-cache", "suite-store"]


def run(name, cmd, env=None):
    print(f"== {name}", flush=True)
    r = subprocess.run(cmd, cwd=ROOT, env=dict(os.environ, **(env or {})), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors="replace")
    if r.returncode != 0:
        print(r.stdout[-6000:])
    print(f"{'ok  ' if r.returncode == 0 else 'FAIL'} {name}", flush=True)
    return r.returncode == 0


def setup(folder, *options, env=None):
    if (ROOT / folder / "build.ninja").exists():
        return True
    return run(f"{folder}: setup", ["meson", "setup", folder, "-Dbuildtype=debug", "-Dwerror=true", *options], env)


def tests_of(folder):
    out = subprocess.run(["meson", "test", "-C", folder, "--list"], cwd=ROOT, capture_output=True, text=True).stdout
    names = [line.split(" / ")[-1].strip() for line in out.splitlines() if " / " in line]
    return [n for n in names if any(n.startswith(t) for t in THREADED)]


def main():
    ok = True
    clang = {"CC": "clang"}
    ok &= setup("build-clang", "-Dfuzz=off", env=clang) and run("clang, warnings as errors", ["ninja", "-C", "build-clang"])
    ok &= setup("build-tsan", "-Db_sanitize=thread", "-Db_lundef=false", "-Dfuzz=off", env=clang)
    ok &= run("ThreadSanitizer build", ["ninja", "-C", "build-tsan"])
    threaded = tests_of("build-tsan")
    ok &= bool(threaded) and run(f"ThreadSanitizer: {len(threaded)} programs",
                                 ["meson", "test", "-C", "build-tsan", "--no-rebuild", "--timeout-multiplier", "0", *threaded],
                                 {"TSAN_OPTIONS": "halt_on_error=1"})
    ok &= setup("build-arena", "-Darena=malloc", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dfaults=true")
    ok &= run("arena pieces as mallocs", ["meson", "test", "-C", "build-arena", "--timeout-multiplier", "0"])
    ok &= run("cppcheck", ["cppcheck", "--enable=warning,portability", "--std=c11", "--inline-suppr", "--error-exitcode=1", "--quiet",
                           "--suppress=nullPointerRedundantCheck", "--suppress=missingIncludeSystem", "-D_GNU_SOURCE", "-Isrc", "src"])
    ok &= setup("build-analyzer", "-Dc_args=-fanalyzer -Wno-error", "-Dtests=false", "-Dfuzz=off")
    ok &= run("gcc -fanalyzer (findings are printed by the build, not fatal)", ["ninja", "-C", "build-analyzer"])
    ok &= run("fuzz targets, ten seconds each", ["tools/fuzz.sh", "10"])
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
