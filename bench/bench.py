#!/usr/bin/env python3
"""bench: dozo beside nginx, h2o, Varnish, lighttpd, Caddy and Apache, as ratios.

    python3 bench/bench.py --groups objects,h2 --write docs/benchmarks.md

All servers run at the same time, on one core with one loop or worker; the load comes from another core and they take turns. A figure is
the median of the rounds, a ratio the median of the rounds' ratios; only ratios inside one run mean anything. It is no test: it exits 0 when
everything could be measured, whatever the figures say, and 1 when not.

cases.py says what is asked and what is to be reached, peers.py how the servers are run, load.py how they are measured.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

import cases
import crawl
import graphql
import load
import peers
import uploads

IDLE_CONNECTIONS = 10000
LOST_TOLD = 0.001   # connections a request
MIB = 1024 * 1024
SERVED = (*(g.key for g in cases.groups()), "memory")   # groups in which servers are asked
KEYS = (*SERVED, "graphql", "crawl", "uploads")


def say(text=""):
    print(text, flush=True)


def verdict(ratio, goal):
    if goal is None:
        return f"{ratio:.2f}"
    return f"**{ratio:.2f}** (≤ {goal:.2f}){'' if ratio <= goal + 0.005 else ' missed'}"


def table(columns, rows):
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|", *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join(lines) + "\n"


def tell(key, text, options):
    """A group's text: printed, and put between its marks in the file that --write names."""
    say(text)
    if not options.write:
        return
    path = pathlib.Path(options.write)
    begin, end = marks(key)
    before, rest = path.read_text().split(begin, 1)
    new = path.with_name(path.name + ".new")
    new.write_text(f"{before}{begin}\n{text.strip()}\n{end}{rest.split(end, 1)[1]}")
    os.replace(new, path)


def marks(key):
    return f"<!-- bench {key} -->", f"<!-- end of bench {key} -->"


# ---- one case --------------------------------------------------------------------------------------------------------------------------

def measure(case, servers, options, cpu, folder):
    """Samples of each server, in rounds that begin with another one each time."""
    mine = [s for s in servers if s.name == "dozo" or s.name in case.peers]
    load.check(case, mine)
    how = load.handshakes if case.handshakes else load.h2load if case.streams else load.wrk
    samples = {s.name: [] for s in mine}
    for i in range(options.rounds):
        at = i % len(mine)
        for s in mine[at:] + mine[:at]:
            samples[s.name].append(how(s, case, options.seconds, cpu, folder))
    return samples


def figures(samples, what):
    out = {}
    for name, got in samples.items():
        values = [getattr(s, what) for s in got]
        ratios = [getattr(d, what) / v if v else 0.0 for d, v in zip(samples["dozo"], values)]
        out[name] = {"median": statistics.median(values), "least": min(values), "most": max(values), "ratio": statistics.median(ratios),
                     "lost": max(s.lost for s in got)}
    return out


def row_of(name, found, scale, digits, goals, columns):
    row = [name]
    for column in columns:
        f = found.get(column)
        if f is None:
            row.append("")
        elif column == "dozo":
            row.append(f"{f['median'] / scale:.{digits}f} ({f['least'] / scale:.{digits}f}–{f['most'] / scale:.{digits}f})")
        else:
            mark = " †" if f["lost"] > LOST_TOLD else ""
            row.append(f"{f['median'] / scale:.{digits}f}{mark}: {verdict(f['ratio'], goals.get(column))}")
    return row


def run_group(group, servers, options, cpu, folder, report):
    wanted = [c for c in group.cases if options.only.lower() in f"{group.title} {c.name}".lower()]
    if not wanted or not is_wanted(group.key, options):
        return
    cpu_rows, p99_rows = [], []
    columns = ["dozo", *(p for p in cases.PEERS if any(p in c.peers for c in wanted))]
    for case in wanted:
        samples = measure(case, servers, options, cpu, folder)
        found = {what: figures(samples, what) for what in ("cpu_us", "p99_us", "per_s")}
        report.setdefault(group.title, {})[case.name] = found
        cpu_rows.append(row_of(case.name, found["cpu_us"], 1, 2, case.goals, columns))
        p99_rows.append(row_of(case.name, found["p99_us"], 1000, 2, case.p99_goals, columns))
        print(f"bench: {case.name}: {cpu_rows[-1][1:3]} p99 {p99_rows[-1][1:3]}", file=sys.stderr, flush=True)
    cpu_table = ["CPU µs a request of dozo (least–most); of the others with the ratio dozo / peer (goal):\n", table(["case", *columns], cpu_rows)]
    p99_table = ["p99 in ms in the same way:\n", table(["case", *columns], p99_rows)]
    text = [f"### {group.title}\n", f"{group.note} {run_line(options)}\n"]
    if group.p99_only:
        text += p99_table + cpu_table
    else:
        text += cpu_table + (p99_table if group.p99 or any(c.p99_goals for c in wanted) else [])
    if any("†" in cell for row in cpu_rows for cell in row):
        text.append("† ended more than one connection in 1,000 requests, so its figure has new connections in it.\n")
    tell(group.key, "\n".join(text), options)


# ---- memory ----------------------------------------------------------------------------------------------------------------------------

def run_memory(servers, idle, options, report):
    if options.only.lower() not in "memory idle connections" or not is_wanted("memory", options):
        return
    ask = {s.name: cases.Ask("/shelf/bench/cdn/1-01.jpg" if s.name == "dozo" else "/1-01.jpg") for s in servers}
    added = {s.name: load.idle_connections(s, ask[s.name], IDLE_CONNECTIONS) for s in servers}
    report["memory"] = {"idle": idle, "connections": added}
    names = [s.name for s in servers]

    def line(title, values):
        return [title, *(f"{values[n] / MIB:.1f}" + (" missed" if n == "dozo" and values[n] > 40 * MIB else "") for n in names)]

    tell("memory", "### Memory\n\nProportional set size of all processes of a server, MiB; what the kernel keeps for sockets is not in it. "
         f"Goals for dozo: at most 40 each. {machine(options.dozo)}.\n\n" +
         table(["", *names], [line("started, each object served once", idle), line("10,000 idle connections add", added)]), options)


# ---- groups that start servers of their own ------------------------------------------------------------------------------------------

def run_own(folder, cpus, options, report):
    for key, group in {"graphql": graphql, "crawl": crawl, "uploads": uploads}.items():
        if options.only.lower() in key and is_wanted(key, options):
            tell(key, group.measure(os.path.abspath(options.dozo), folder, cpus, table, machine(options.dozo), report.setdefault(key, {})), options)


# ---- the run ---------------------------------------------------------------------------------------------------------------------------

def machine(dozo):
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    kernel = platform.release().split("-")[0]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=pathlib.Path(__file__).parent, capture_output=True, text=True)
    build = subprocess.run([dozo, "version"], capture_output=True, text=True).stdout.split("\n")[0]
    return (f"{datetime.date.today()}, {model[1] if model else platform.processor()}, {os.cpu_count()} cores, Linux {kernel}, "
            f"load {os.getloadavg()[0]:.1f}; {build.strip()} ({commit.stdout.strip() or 'no commit'})")


def run_line(options):
    return f"{machine(options.dozo)}; median of {options.rounds} × {options.seconds} s."


def is_wanted(key, options):
    return not options.groups or key in options.groups.split(",")


def give_lists(dozo, folder):
    """The peers get dozo's own list, as it is and packed."""
    for suffix, headers in (("", ()), (".gz", (("Accept-Encoding", "gzip"),))):
        status, body, _ = dozo.fetch(cases.Ask("/shelf/bench/v1/chapters", headers=headers))
        if status != 200:
            raise peers.Unmeasured(f"dozo answers {status} for the list")
        (folder / "cdn" / (cases.LIST + suffix)).write_bytes(body)


def start_all(options, folder, cpu, servers):
    def place(name):
        (folder / name).mkdir()
        return folder / name

    servers.append(peers.start_dozo(os.path.abspath(options.dozo), folder, place("dozo"), cpu).wait())
    give_lists(servers[0], folder)
    for name in cases.PEERS:
        servers.append(peers.STARTS[name](folder, place(name), cpu))
    for s in servers:
        s.wait()


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dozo", default="build/dozo")
    p.add_argument("--seconds", type=int, default=3)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--only", default="", help="only what has this text in the name of its group or case")
    p.add_argument("--groups", default="", help=f"only these, with commas: {', '.join(KEYS)}")
    p.add_argument("--write", help="a Markdown file, where each group measured replaces its own tables (docs/benchmarks.md)")
    p.add_argument("--json", help="also write the figures there")
    options = p.parse_args()
    unknown = set(filter(None, options.groups.split(","))) - set(KEYS)
    if unknown:
        p.error(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(KEYS)}")
    if options.write and options.only:
        p.error("--write wants whole groups, not --only")
    if options.write:
        text = pathlib.Path(options.write).read_text()
        lacking = [k for k in KEYS if is_wanted(k, options) and any(text.count(m) != 1 for m in marks(k))]
        if lacking:
            p.error(f"{options.write} has no marks for {', '.join(lacking)}: {' '.join(marks(lacking[0]))}")
    return options


def run_served(folder, cpus, options, servers, report):
    cases.make_files(folder)
    peers.make_certificate(folder)
    start_all(options, folder, cpus[0], servers)
    groups = cases.groups()
    for case in groups[0].cases:
        load.check(case, servers)
    idle = {s.name: s.memory_bytes() for s in servers}
    say(", ".join(f"{n} {peers.version(n)}" for n in cases.PEERS) + "\n")
    for group in groups:
        run_group(group, servers, options, cpus[-1], folder, report)
    run_memory(servers, idle, options, report)


def main():
    options = arguments()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise SystemExit("bench: two cores are needed, one for the server and one for the load")
    missing = peers.missing_tools(cases.PEERS)
    if missing:
        raise SystemExit(f"bench: {', '.join(missing)} not installed; run tools/deps.sh bench")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < peers.CONNECTIONS + 100:
        raise SystemExit(f"bench: {hard} open files are too few; raise the limit (ulimit -Hn) to {peers.CONNECTIONS + 100}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, peers.CONNECTIONS + 100), hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    folder = pathlib.Path(tempfile.mkdtemp(prefix="dozo-bench-"))
    folder.chmod(0o755)
    servers, report = [], {}
    try:
        if any(is_wanted(k, options) for k in SERVED):
            run_served(folder, cpus, options, servers, report)
        run_own(folder, cpus, options, report)
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(report, indent=2))
    except peers.Unmeasured as e:
        raise SystemExit(f"bench: {e}") from e
    finally:
        for s in servers:
            s.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
