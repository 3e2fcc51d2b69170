#!/usr/bin/env python3
"""fuzz: runs the fuzz targets under libFuzzer until they find no new edges. Usage: tools/fuzz.py [options] [TARGET...]

A run of a target ends when no new edge of the program was reached for --quiet seconds ("flat"), or after --seconds ("cut short"). One
line a target says how many runs, how long, the edges and features (libFuzzer's words: an edge, and an edge with how often it was taken),
the size of the corpus, and when the last new edge came. What is found stays in BUILD/corpus-TARGET, so that the next call goes on from
there; --keep merges what adds edges into tests/fuzz/corpus, which every test run replays. A crash is kept there at once and fails the
call. --uncovered builds the targets with coverage instead, replays the corpora, and names the functions that no target reaches.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests/fuzz/corpus"
DICT = ROOT / "tests/fuzz/dict"
PULSE = re.compile(r"^#(\d+)\s+(\w+)\s+cov: (\d+) ft: (\d+) corp: (\d+)/")
FINDING = re.compile(r"SUMMARY: |^==\d+== ?ERROR|runtime error:|assertion|Test unit written to (.*)")


def build(folder, *options, targets=()):
    if not (folder / "build.ninja").exists():
        subprocess.run(["meson", "setup", str(folder), "-Dtests=false", "-Dbuildtype=debug", "-Db_lundef=false", *options], cwd=ROOT,
                       env=dict(os.environ, CC="clang"), check=True, stdout=subprocess.DEVNULL)
    r = subprocess.run(["ninja", "-C", str(folder), *targets], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if r.returncode != 0:
        sys.exit(r.stdout[-8000:] + "\nfuzz: the targets do not build")


def dictionary(name):
    """Words of a target: its own file, or that of all whose names begin alike (http.dict for http_parse)."""
    parts = name.split("_")
    for n in range(len(parts), 0, -1):
        path = DICT / ("_".join(parts[:n]) + ".dict")
        if path.exists():
            return [f"-dict={path}"]
    return []


class Run:
    """One target, in as many processes as pauses and restarts make."""

    def __init__(self, folder, name, log):
        self.name, self.log = name, log
        self.program = folder / "tests/fuzz" / f"fuzz_{name}"
        self.work = folder / f"corpus-{name}"
        self.work.mkdir(exist_ok=True)
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        self.runs = self.edges = self.features = self.corpus = 0
        self.seconds = self.last_s = 0.0
        self.last_run = 0
        self.findings = []
        self.tail = []

    def read(self, pipe, began, before_s, before_runs):
        for line in pipe:
            self.log.write(line)
            self.tail = self.tail[-80:] + [line]
            m = PULSE.match(line)
            if m:
                runs, edges, features, corpus = (int(m.group(i)) for i in (1, 3, 4, 5))
                self.runs = before_runs + runs
                if edges > self.edges:
                    self.edges = edges
                    self.last_s, self.last_run = before_s + time.monotonic() - began, self.runs
                self.features, self.corpus = max(self.features, features), corpus
            elif line.startswith("stat::number_of_executed_units:"):
                self.runs = before_runs + int(line.split(":")[-1])
            elif FINDING.search(line):
                self.findings.append(line.strip())

    def go(self, seconds, quiet, pause):
        """True when it went flat, False when time was over, None when it crashed."""
        while True:
            while pause and pause.exists():
                time.sleep(1)
            began, before_s, before_runs = time.monotonic(), self.seconds, self.runs
            # Leaks are looked for at the end of a process only: with the check in each run half the time goes there.
            p = subprocess.Popen([str(self.program), "-timeout=25", "-rss_limit_mb=2048", "-print_final_stats=1", "-reload=0",
                                  # Its entropic schedule spends more time on counting than the targets on running.
                                  "-entropic=0",
                                  "-detect_leaks=0", f"-artifact_prefix={CORPUS / self.name}/", *dictionary(self.name),
                                  str(self.work), str(CORPUS / self.name)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                 text=True, errors="replace", cwd=ROOT)
            reader = threading.Thread(target=self.read, args=(p.stderr, began, before_s, before_runs))
            reader.start()
            end = None
            try:
                while p.poll() is None and end is None:
                    time.sleep(0.2)
                    self.seconds = before_s + time.monotonic() - began
                    if quiet and self.seconds - self.last_s >= quiet:
                        end = "flat"
                    elif self.seconds >= seconds:
                        end = "over"
                    elif pause and pause.exists():
                        end = "pause"
            finally:
                if p.poll() is None:
                    p.send_signal(signal.SIGINT)
                p.wait()
                reader.join()
            if end is None:
                return None
            if end != "pause":
                return end == "flat"

    def line(self, how):
        return (f"{self.name:<16} {self.runs:>11} runs {self.seconds:>6.0f} s  {self.edges:>5} edges {self.features:>6} features "
                f"{self.corpus:>5} inputs  last new edge at {self.last_s:>5.0f} s (run {self.last_run})  {how}")

    def keep(self):
        """Adds to the kept corpus what reaches edges that it does not reach yet."""
        with tempfile.TemporaryDirectory() as temp:
            new = pathlib.Path(temp)
            for f in (CORPUS / self.name).iterdir():
                shutil.copy(f, new / f.name)
            subprocess.run([str(self.program), "-merge=1", "-use_counters=0", "-use_cmp=0", "-detect_leaks=0", str(new), str(self.work)],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            added = [f for f in new.iterdir() if not (CORPUS / self.name / f.name).exists()]
            for f in added:
                shutil.copyfile(f, CORPUS / self.name / f.name[:16])
            total = sum(f.stat().st_size for f in (CORPUS / self.name).iterdir())
            print(f"{self.name}: {len(added)} inputs kept, {total // 1024} KiB in all", flush=True)


def fuzz(a):
    folder = a.build.resolve()
    if not a.no_build:
        build(folder, "-Dfuzz=libfuzzer", "-Doptimization=1", "-Db_sanitize=address,undefined", "-Dc_args=-fsanitize=fuzzer-no-link")
    found = sorted(f.name.removeprefix("fuzz_") for f in (folder / "tests/fuzz").glob("fuzz_*") if f.is_file() and os.access(f, os.X_OK))
    unknown = set(a.targets) - set(found)
    if unknown or not found:
        sys.exit(f"fuzz: no target {', '.join(sorted(unknown))}; there are: {', '.join(found)}")
    bad = 0
    for name in a.targets or found:
        with open(folder / f"{name}.log", "a") as log:
            run = Run(folder, name, log)
            flat = run.go(a.seconds, a.quiet, a.pause_file)
            # A target that reached nothing tested nothing.
            if flat is None or run.findings or run.runs == 0 or run.edges == 0:
                bad += 1
                print("".join(run.tail[-60:]), flush=True)
                how = "CRASH" if flat is None or run.findings else "RAN NOTHING"
            else:
                how = "flat" if flat else "cut short"
            print(run.line(how), flush=True)
            if a.keep and how != "CRASH":
                run.keep()
    return bad


def uncovered(a):
    if not shutil.which("llvm-profdata") or not shutil.which("llvm-cov"):
        sys.exit("fuzz: --uncovered needs llvm-profdata and llvm-cov; run tools/deps.sh dev, which installs llvm")
    folder = pathlib.Path(str(a.build.resolve()) + "-cov")
    build(folder, "-Dfuzz=replay", "-Dc_args=-fprofile-instr-generate -fcoverage-mapping", "-Dc_link_args=-fprofile-instr-generate")
    programs = sorted(f for f in (folder / "tests/fuzz").glob("fuzz_*") if f.is_file() and os.access(f, os.X_OK))
    wanted = [p for p in programs if not a.targets or p.name.removeprefix("fuzz_") in a.targets]
    raw = []
    for p in wanted:
        name = p.name.removeprefix("fuzz_")
        raw.append(str(folder / f"{name}.profraw"))
        subprocess.run([str(p), str(CORPUS / name), *([str(a.build.resolve() / f"corpus-{name}")] if a.work else [])], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, LLVM_PROFILE_FILE=raw[-1]))
    data = str(folder / "all.profdata")
    subprocess.run(["llvm-profdata", "merge", "-o", data, *raw], check=True)
    args = [str(wanted[0]), *[x for p in wanted[1:] for x in ("-object", str(p))], f"-instr-profile={data}"]
    out = subprocess.run(["llvm-cov", "report", "-show-functions", *args, str(ROOT / "src" / a.uncovered)], check=True,
                         capture_output=True, text=True).stdout
    file = ""
    for line in out.splitlines():
        m = re.match(r"File '(.*)':", line)
        if m:
            file = os.path.relpath(m.group(1), ROOT)
        cells = line.split()
        # name, regions, missed, cover, lines, missed, cover, branches, missed, cover
        if len(cells) >= 7 and cells[1].isdigit() and cells[0] != "TOTAL":
            if cells[3] == "0.00%" or a.all:
                print(f"{file:<28} {cells[0].split(':')[-1]:<32} {cells[6]:>8} of {cells[4]} lines")
    return 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("targets", nargs="*", help="names without fuzz_; none: all")
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build-fuzz")
    p.add_argument("--seconds", type=float, default=float(os.environ.get("FUZZ_SECONDS", 60)), help="at most, a target")
    p.add_argument("--quiet", type=float, default=float(os.environ.get("FUZZ_QUIET_SECONDS", 0)),
                   help="end a target when that long no new edge came; 0: run for --seconds")
    p.add_argument("--no-build", action="store_true", help="take the programs as they are")
    p.add_argument("--keep", action="store_true", help="merge what adds edges into tests/fuzz/corpus")
    p.add_argument("--pause-file", type=pathlib.Path, help="no target runs while this file exists, so that others can measure")
    p.add_argument("--uncovered", metavar="ROOM", help="name the functions of src/ROOM that the kept corpora do not reach")
    p.add_argument("--work", action="store_true", help="with --uncovered: the working corpora too")
    p.add_argument("--all", action="store_true", help="with --uncovered: all functions, with the share of lines reached")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("fuzz: stopped"))
    return 1 if (uncovered(a) if a.uncovered else fuzz(a)) else 0


if __name__ == "__main__":
    sys.exit(main())
