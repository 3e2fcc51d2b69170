#!/usr/bin/env python3
"""test: runs everything that `make test` promises and counts it.

Steps: format, tidy, generated docs, manual page, then the sanitized build with its unit tests, suites and fuzz replay, then the
end-to-end tests (pytest, real processes). Every single case is counted: cmocka's own summaries and pytest's report are read, and
a program that ends without a summary is a failure. The last line is `N passed, N failed, N skipped`.

Skips are named and counted: today only what needs the right to mount a small file system (a full disk). Servers that later issues need
are required by DOZO_REQUIRE, which turns their skips into failures.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

ROOT = pathlib.Path(__file__).resolve().parent.parent


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
    run(["meson", "test", "-C", build, "--no-rebuild", "--num-processes", str(os.cpu_count() or 2), "--timeout-multiplier", "0"])
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


def pytest_steps(count, build, release, extra):
    report = ROOT / build / "e2e.xml"
    report.unlink(missing_ok=True)
    env = dict(os.environ, DOZO_BIN=str(ROOT / build / "dozo"), DOZO_RELEASE_BIN=str(ROOT / release / "dozo"),
               PYTHONDONTWRITEBYTECODE="1")
    r = run([sys.executable, "-m", "pytest", "-q", "-x" if extra == ["-x"] else "-q", "-p", "no:cacheprovider", "tests/e2e",
             f"--junitxml={report}"], env=env)
    if not report.exists():
        count.step("e2e", False, r.stdout[-8000:])
        return
    suite = ET.parse(report).getroot().find("testsuite")
    total, failed, errors, skipped = (int(suite.get(k)) for k in ("tests", "failures", "errors", "skipped"))
    count.passed += total - failed - errors - skipped
    count.failed += failed + errors
    count.skipped += skipped
    ok = r.returncode == 0 and total > 0
    if not ok:
        count.failures.append("e2e")
        if not failed and not errors:
            count.failed += 1
    print(f"{'ok  ' if ok else 'FAIL'} e2e: {total - failed - errors - skipped} passed, {skipped} skipped", flush=True)
    if not ok:
        print(r.stdout[-20000:], flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build-san")
    p.add_argument("--release", default="build")
    p.add_argument("what", nargs="*", default=["all"], help="all, static, unit, e2e")
    a = p.parse_args()
    what = {"static", "unit", "e2e"} if "all" in a.what else set(a.what)
    count = Count()
    if what & {"unit", "e2e"}:
        r = run(["ninja", "-C", a.build])
        count.step("sanitized build without warnings", r.returncode == 0, r.stdout[-8000:])
    if "static" in what:
        static_steps(count, a.release)
    if "unit" in what and not count.failures.count("sanitized build without warnings"):
        meson_steps(count, a.build)
    if "e2e" in what and not count.failures.count("sanitized build without warnings"):
        pytest_steps(count, a.build, a.release, [])
    if count.failures:
        print("\nfailed: " + ", ".join(count.failures))
    print(f"{count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    return 1 if count.failed or not count.passed else 0


if __name__ == "__main__":
    sys.exit(main())
