#!/usr/bin/env python3
"""test: runs everything that `make test` promises and counts it.

Steps: format, tidy, generated docs, manual page, then the sanitized build with its unit tests, suites and fuzz replay, then the
end-to-end tests (pytest, real processes). Every single case is counted: cmocka's own summaries and pytest's reports are read, and
a program that ends without a summary is a failure. The last line is `N passed, N failed, N skipped`.

All of it runs under tools/servers.py, so that PostgreSQL, Redis and MongoDB's protocol are real. Files of end-to-end tests run side by
side, each in a pytest and a folder of its own; what is marked `alone` (it compares figures of the machine) runs after them by itself.
Skips are named and counted: what needs the right to mount a small file system (a full disk), and servers that are not installed. With
CI=true, or when DOZO_REQUIRE names a server, its absence is a failure.
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The longest files of end-to-end tests, which go first in a build folder that has no times of its own yet.
LONGEST = ("test_crash", "test_crawl", "test_cli", "test_live48", "test_import", "test_download", "test_admin")


# The processors that this program may use, which may be fewer than the machine has.
CPUS = len(os.sched_getaffinity(0))
DESCRIPTORS = 20_000


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def step(self, name, ok, words=""):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            self.failures.append(name)
        print(f"{'ok  ' if ok else 'FAIL'} {name}", flush=True)
        if not ok and words:
            print(words, flush=True)


def run(cmd, **kw):
    return subprocess.run(cmd, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **kw)


def c_files():
    out = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "src/*.[ch]", "tests/*.[ch]"]).stdout
    return [f for f in out.split("\n") if f and (ROOT / f).is_file()]


def static_steps(count, release):
    files = c_files()
    r = run(["clang-format", "--dry-run", "-Werror", *files])
    count.step(f"format: {len(files)} files", r.returncode == 0 and len(files) > 0, r.stdout[-3000:])
    r = run([sys.executable, "tools/tidy.py"])
    count.step("tidy", r.returncode == 0, r.stdout[-6000:])
    r = run([f"{release}/dozo", "config", "docs"])
    current = (ROOT / "docs/settings.md").read_text() if (ROOT / "docs/settings.md").exists() else ""
    count.step("docs/settings.md is what `dozo config docs` prints", r.returncode == 0 and r.stdout == current,
               "run `make docs`")
    r = run(["mandoc", "-Tlint", "-W", "warning", "docs/dozo.1"])
    count.step("docs/dozo.1", r.returncode == 0, r.stdout)


def count_cmocka(count, name, result, out):
    """cmocka prints [  PASSED  ] N test(s). and, for failures and skips, the same with their words."""
    found = {}
    for word in ("PASSED", "FAILED", "SKIPPED"):
        m = re.findall(rf"\[\s*{word}\s*\] (\d+) test\(s\)", out)
        found[word] = sum(int(x) for x in m)
    if result == "SKIP":
        # A program skips whole only for want of a server or of fault injection; nothing of that is optional in this build.
        count.step(f"{name}: skipped as a whole", False, out[-2000:])
        return
    ok = result == "OK"
    if ok and found["PASSED"] == 0:
        ok = False
        out += "\n(the program ended well but reported no test)"
    count.passed += found["PASSED"]
    count.skipped += found["SKIPPED"]
    count.failed += found["FAILED"] if found["FAILED"] else (0 if ok else 1)
    if not ok:
        count.failures.append(name)
    print(f"{'ok  ' if ok else 'FAIL'} {name}: {found['PASSED']} passed"
          + (f", {found['SKIPPED']} skipped" if found["SKIPPED"] else ""), flush=True)
    if not ok:
        print(out[-8000:], flush=True)


def meson_steps(count, build):
    listed = json.loads(run(["meson", "introspect", "--tests", build]).stdout)
    log = ROOT / build / "meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    run(["meson", "test", "-C", build, "--no-rebuild", "--num-processes", str(CPUS), "--timeout-multiplier", "0"])
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    count.step(f"meson ran {len(rows)} of {len(listed)} test programs", len(rows) == len(listed) > 0)
    for row in sorted(rows, key=lambda r: r["name"]):
        name = row["name"].split(" / ")[-1].removeprefix("dozo:")
        out = (row.get("stdout") or "") + (row.get("stderr") or "")
        if "fuzz-" in name:
            m = re.search(r"(\d+) inputs", out)
            ok = row["result"] == "OK" and m is not None and int(m.group(1)) > 0
            count.step(f"{name}: {m.group(1) if m else 0} inputs replayed", ok, out[-6000:])
        else:
            count_cmocka(count, name, row["result"], out)


class EndToEnd:
    """Files of tests/e2e, each run by a pytest of its own; weights of the last run say which go first."""

    def __init__(self, count, build, release):
        self.count, self.lock, self.children, self.reasons = count, threading.Lock(), set(), {}
        self.folder = ROOT / build / "e2e"
        self.folder.mkdir(exist_ok=True)
        self.times_file = self.folder / "times.json"
        self.times = json.loads(self.times_file.read_text()) if self.times_file.exists() else {}
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="dozo-e2e-"))
        self.env = dict(os.environ, DOZO_BIN=str(ROOT / build / "dozo"), DOZO_RELEASE_BIN=str(ROOT / release / "dozo"),
                        PYTHONDONTWRITEBYTECODE="1")

    def pytest(self, name, marks, paths):
        """Runs one pytest to its end; what is left of it is its report."""
        report, scratch = self.folder / f"{name}.xml", self.scratch / name
        report.unlink(missing_ok=True)
        begin = time.monotonic()
        p = subprocess.Popen([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marks, f"--basetemp={scratch}",
                              f"--junitxml={report}", *map(str, paths)], cwd=ROOT, env=self.env, text=True, errors="replace",
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with self.lock:
            self.children.add(p)
        out = p.communicate()[0]
        with self.lock:
            self.children.discard(p)
            self.times[name] = round(time.monotonic() - begin, 1)
            self.add(name, p.returncode, report, out)
        return p.returncode

    def add(self, name, status, report, out):
        if status == 5:  # every test of the file is of the other kind
            return
        total = failed = skipped = 0
        suite = None
        with contextlib.suppress(OSError, ET.ParseError):  # a pytest that has died leaves none, or half of one
            suite = ET.parse(report).getroot().find("testsuite")
        if suite is not None:
            total, failed, errors, skipped = (int(suite.get(k)) for k in ("tests", "failures", "errors", "skipped"))
            failed += errors
            for s in suite.iter("skipped"):
                self.reasons[s.get("message")] = self.reasons.get(s.get("message"), 0) + 1
        ok = status == 0 and total > 0 and not failed
        self.count.passed += total - failed - skipped
        self.count.failed += failed or (0 if ok else 1)
        self.count.skipped += skipped
        words = f"{total - failed - skipped} passed" + (f", {skipped} skipped" if skipped else "") + f", {self.times[name]} s"
        print(f"{'ok  ' if ok else 'FAIL'} e2e {name}: {words}", flush=True)
        if ok:
            shutil.rmtree(self.scratch / name, ignore_errors=True)
            return
        self.count.failures.append(f"e2e {name}")
        print(f"{out}\n(pytest ended with {status}; its files are in {self.scratch / name})", flush=True)

    def weight(self, file):
        """Seconds of the last run, else a guess."""
        return self.times.get(file.stem, 1000 if file.stem in LONGEST else file.stat().st_size / 500)

    def run(self, jobs):
        files = sorted((ROOT / "tests/e2e").glob("test_*.py"), key=self.weight, reverse=True)
        self.count.step(f"e2e: {len(files)} files, {jobs} at a time", len(files) > 0)
        pool = concurrent.futures.ThreadPoolExecutor(jobs)
        try:
            for f in concurrent.futures.as_completed([pool.submit(self.pytest, f.stem, "not alone", [f]) for f in files]):
                f.result()
            self.pytest("alone", "alone", ["tests/e2e"])
            self.times_file.write_text(json.dumps(self.times, indent=1, sort_keys=True))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for p in list(self.children):
                p.terminate()
        for reason, n in sorted(self.reasons.items()):
            print(f"skipped {n}: {reason}")
        if not any(self.scratch.iterdir()):
            self.scratch.rmdir()


def under_servers():
    """Starts this program again below tools/servers.py, when nobody has."""
    if os.environ.get("CI") == "true":
        os.environ.setdefault("DOZO_REQUIRE", "postgres,redis,mongodb")
    if os.environ.get("DOZO_TEST_SERVED") != "1":
        os.environ["DOZO_TEST_SERVED"] = "1"
        os.execv(sys.executable, [sys.executable, str(ROOT / "tools/servers.py"), "--", sys.executable, *sys.argv])


def ended(number, _frame):
    sys.exit(128 + number)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build-san")
    p.add_argument("--release", default="build")
    p.add_argument("what", nargs="*", default=["all"], help="all, static, unit, e2e")
    p.add_argument("--jobs", type=int, default=min(8, 2 * CPUS), help="files of end-to-end tests at a time")
    a = p.parse_args()
    what = {"static", "unit", "e2e"} if "all" in a.what else set(a.what)
    if what & {"unit", "e2e"}:
        under_servers()
    signal.signal(signal.SIGTERM, ended)
    # Tests hold thousands of connections; servers that are to have few descriptors are given few.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS if hard < 0 else min(DESCRIPTORS, hard), hard))
    count = Count()
    if what & {"unit", "e2e"}:
        r = run(["ninja", "-C", a.build])
        count.step("sanitized build without warnings", r.returncode == 0, r.stdout[-8000:])
    if "static" in what:
        static_steps(count, a.release)
    if "unit" in what and not count.failures.count("sanitized build without warnings"):
        meson_steps(count, a.build)
    if "e2e" in what and not count.failures.count("sanitized build without warnings"):
        EndToEnd(count, a.build, a.release).run(a.jobs)
    if count.failures:
        print("\nfailed: " + ", ".join(count.failures))
    print(f"{count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    return 1 if count.failed or not count.passed else 0


if __name__ == "__main__":
    sys.exit(main())
