#!/usr/bin/env python3
"""servers: real servers on free ports of loopback for the time of one command, and the same as classes for tests.

    tools/servers.py [--postgres] [--redis] [--mongodb] -- CMD…     none named: all of them

CMD finds DOZO_TEST_POSTGRES, DOZO_TEST_REDIS and DOZO_TEST_MONGODB in its environment, and its exit status is the one of this program.
Data lies in a folder below TMPDIR that goes at the end. A server that is not installed is said on stderr and its variable is not set,
unless DOZO_REQUIRE (postgres,redis,mongodb) names it: then CMD is not run. A server that does not start shows its log and ends everything.

Classes: Postgres, Redis, Ferret (MongoDB's protocol), Nginx, Varnish. Each has start (again on the same port), stop, kill (-9), pause,
resume, uri and read_log. They are ended by their own pid, and by the kernel when the thread that started them ends without stopping
them. PostgreSQL refuses to run as root; then it runs as the user postgres.
"""
import argparse
import contextlib
import ctypes
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMES = ("postgres", "redis", "mongodb")
# How long a server may take to start or to stop before it counts as broken: generous, for sanitizers and busy machines.
PATIENCE = 120
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


class Missing(Exception):
    """A server that is not installed here."""


class Broken(Exception):
    """A server that did not start; the text ends with its log."""


# A port is bound for as long as this program runs, without listening: nobody else who looks for one is given it, also while its server is
# down. The server binds it all the same, since both say SO_REUSEADDR and only one of them listens.
kept_ports = []


def free_port():
    """A port that nobody has and that nobody gets before this program ends, but for a server that is told of it."""
    for _ in range(1000):
        s = socket.socket()
        try:
            s.bind(("127.0.0.1", random.randrange(15000, 32000)))
        except OSError:
            s.close()
            continue
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept_ports.append(s)
        return s.getsockname()[1]
    raise Broken("no free port")


def states(pid):
    """One letter for each of its threads: T stands still, Z is gone."""
    out = ""
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            out += stat.read_text().rsplit(") ", 1)[1][0]
    return out


def wait_for(pid, letters):
    deadline = time.monotonic() + PATIENCE
    while set(states(pid)) - set(letters):
        if time.monotonic() > deadline:
            raise Broken(f"pid {pid} is {states(pid)}, not one of {letters}")
        time.sleep(0.002)


def find(name, package, folders=()):
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", *folders])
    program = shutil.which(name, path=path)
    if not program:
        raise Missing(f"{name} is not installed (Debian: {package})")
    return program


class Server:
    """One process in a folder of its own. A class says command(), is_up() and what is special about its end."""
    name = "server"
    end_signal = signal.SIGTERM
    # When whoever started it is gone. Only a process that is never paused and has children to end gets a softer one than SIGKILL.
    orphan_signal = signal.SIGKILL
    user = None

    def __init__(self, folder, port=0):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / f"{self.name}.log"
        self.port, self.process, self.paused = port, None, False
        self.prepare()
        self.start()

    def prepare(self):
        """Before the first start, without a port yet."""

    def ready(self):
        """After the first start that worked."""

    def command(self):
        raise NotImplementedError

    def is_up(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
            return True
        except OSError:
            return False

    def read_log(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def options(self):
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}

    def start(self):
        assert self.process is None, f"{self.name} runs"
        first = self.port == 0
        for attempt in range(5):
            if first:
                self.port = free_port()
            before = len(self.read_log())
            with open(self.log, "ab") as log:
                end = self.orphan_signal
                self.process = subprocess.Popen(self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                start_new_session=True,
                                                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, end), **self.options())
            deadline = time.monotonic() + PATIENCE
            while self.process.poll() is None and time.monotonic() < deadline:
                if self.is_up():
                    if first:
                        self.ready()
                    return self
                time.sleep(0.02)
            if self.process.poll() is None:
                self.kill()
                raise Broken(f"{self.name} does not answer:\n{self.read_log()[-8000:]}")
            self.process = None
            if not (first and "in use" in self.read_log()[before:]):
                break
        raise Broken(f"{self.name} does not start:\n{self.read_log()[-8000:]}")

    def _end(self, how):
        if self.process is None:
            return
        stopped = self.pids() if self.paused else []
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.resume(stopped)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def stop(self):
        self._end(self.end_signal)

    def kill(self):
        """As when the machine loses its power, but for what the kernel has: children too, which would go on for a moment without it."""
        if self.process is None:
            return
        pids = self.stand_still()
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        for pid in pids:
            wait_for(pid, "ZX")
        self.process, self.paused = None, False

    def restart(self):
        self.stop()
        return self.start()

    def pids(self, meet=lambda pid: None):
        """The process and its descendants; meet comes before the children of each are looked for."""
        out = [self.process.pid] if self.process else []
        for pid in out:
            meet(pid)
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    out += [int(child) for child in task.read_text().split()]
        return out

    def stand_still(self):
        """Stops them from the top, so that none is born unseen, and returns their pids when none does anything any more."""
        def stop(pid):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGSTOP)
            wait_for(pid, "TtZX")
        return self.pids(stop)

    def pause(self):
        """Connections stay and are taken by the kernel; nothing answers."""
        self.paused = True
        self.stand_still()

    def resume(self, pids=None):
        for pid in (self.pids() if pids is None else pids) if self.paused else []:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        self.paused = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Postgres(Server):
    """Debian's PostgreSQL with a cluster of its own: user and database dozo, no password, fsync on, words ordered as people do."""
    name = "postgres"
    end_signal = signal.SIGINT
    orphan_signal = signal.SIGQUIT

    def __init__(self, folder, port=0, **settings):
        versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name), reverse=True)
        self.bin = pathlib.Path(find("postgres", "postgresql", map(str, versions[:1]))).resolve().parent
        self.settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": 300, "fsync": "on",
                         "timezone": "UTC", **settings}
        if os.geteuid() == 0:
            try:
                self.user = pwd.getpwnam("postgres")
            except KeyError:
                raise Missing("PostgreSQL does not run as root, and there is no user postgres") from None
        super().__init__(folder, port)

    def prepare(self):
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        if self.user:
            os.chown(self.data, self.user.pw_uid, self.user.pw_gid)
        self.let_in()
        r = subprocess.run([self.bin / "initdb", "-D", self.data, "-U", "dozo", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
                            "--locale-provider=icu", "--icu-locale=en-US", "--no-sync"], cwd="/", capture_output=True, text=True,
                           **self.options())
        if r.returncode:
            raise Broken(f"initdb: {r.stdout}{r.stderr}")

    def let_in(self):
        """The user postgres must come through; the folder above is this run's own. Another pytest shuts the one of all runs again."""
        for folder in (self.folder, *self.folder.parents) if self.user else ():
            if folder.stat().st_uid == 0 and not folder.stat().st_mode & 1:
                folder.chmod(folder.stat().st_mode | 0o011)

    def ready(self):
        self.sql("CREATE DATABASE dozo", database="postgres")

    def command(self):
        self.let_in()
        pairs = [word for k, v in self.settings.items() for word in ("-c", f"{k}={v}")]
        return [self.bin / "postgres", "-D", self.data, "-p", str(self.port), *pairs]

    def is_up(self):
        return subprocess.run([self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode == 0

    def sql(self, text, database="dozo"):
        """What psql prints of it, one line a row and | between columns."""
        r = subprocess.run([self.bin / "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port),
                            "-U", "dozo", "-d", database, "-c", text], capture_output=True, text=True)
        if r.returncode:
            raise Broken(f"psql: {r.stderr}")
        return r.stdout.rstrip("\n")

    @property
    def uri(self):
        return f"postgres://dozo@127.0.0.1:{self.port}/dozo"


class Redis(Server):
    """On a port of loopback and on a UNIX socket; keeps nothing on disk."""
    name = "redis"

    def __init__(self, folder, port=0, password=""):
        self.program = find("redis-server", "redis-server")
        self.password = password
        super().__init__(folder, port)

    def command(self):
        return [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.socket, "--save", "",
                "--appendonly", "no", "--dir", str(self.folder), "--requirepass", self.password]

    @property
    def socket(self):
        return str(self.folder / "redis.sock")

    def ask(self, line):
        """The start of the answer to one inline command; empty when nobody answers."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(PATIENCE)
                s.connect(self.socket)
                s.sendall(line.encode() + b"\r\n")
                return s.recv(65536).decode(errors="replace")
        except OSError:
            return ""

    def is_up(self):
        return bool(self.ask("PING"))

    @property
    def uri(self):
        return f"redis://{':' + self.password + '@' if self.password else ''}127.0.0.1:{self.port}"

    @property
    def unix_uri(self):
        return f"redis+unix://{self.socket}"


class Ferret(Server):
    """FerretDB: MongoDB's protocol over SQLite files of its own."""
    name = "mongodb"

    def __init__(self, folder, port=0):
        script = ROOT / "tools/ferretdb.sh"
        if not script.exists():
            raise Missing("tools/ferretdb.sh, which finds or builds FerretDB, is not here")
        # It may build for minutes; whoever ends this program meanwhile ends the compiler too.
        build = subprocess.Popen([script], stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            out = build.communicate()[0]
        except BaseException:
            os.killpg(build.pid, signal.SIGKILL)
            raise
        if build.returncode == 3:
            raise Missing("FerretDB cannot be had; tools/ferretdb.sh has said why")
        if build.returncode:
            raise Broken(f"tools/ferretdb.sh ended with {build.returncode}")
        self.program = out.strip().splitlines()[-1]
        super().__init__(folder, port)

    def prepare(self):
        (self.folder / "data").mkdir()

    def command(self):
        return [self.program, "--handler=sqlite", f"--sqlite-url=file:{self.folder}/data/", f"--listen-addr=127.0.0.1:{self.port}",
                f"--state-dir={self.folder}", "--telemetry=disable", "--debug-addr=-", "--log-level=warn"]

    @property
    def uri(self):
        return f"mongodb://127.0.0.1:{self.port}/"


class Nginx(Server):
    """config: a function of (port, folder) that returns the text of nginx.conf."""
    name = "nginx"
    end_signal = signal.SIGQUIT
    orphan_signal = signal.SIGTERM

    def __init__(self, folder, config, port=0):
        self.program = find("nginx", "nginx-light")
        self.config = config
        super().__init__(folder, port)

    def write(self):
        (self.folder / "nginx.conf").write_text(self.config(self.port, self.folder))
        return [self.program, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-e", "stderr", "-g", "daemon off;"]

    def command(self):
        return self.write()

    def check(self):
        """What `nginx -t` says, and whether it is well."""
        r = subprocess.run([*self.write(), "-t"], capture_output=True, text=True)
        return r.returncode == 0, r.stderr

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"


class Varnish(Server):
    """vcl: the file that it runs; it says itself where the server behind it is."""
    name = "varnish"
    orphan_signal = signal.SIGTERM

    def __init__(self, folder, vcl, port=0, args=()):
        self.program = find("varnishd", "varnish")
        self.vcl, self.args = vcl, args
        super().__init__(folder, port)

    def command(self):
        return [self.program, "-F", "-n", str(self.folder / "work"), "-a", f"127.0.0.1:{self.port}", "-f", str(self.vcl), "-T", "none",
                "-j", "none", "-s", "malloc,64m", *self.args]

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"


KINDS = {"postgres": Postgres, "redis": Redis, "mongodb": Ferret}


def forward(child):
    """Signals for this program are for CMD as well; a terminal has sent Ctrl-C to both already."""
    def pass_on(number, _frame):
        with contextlib.suppress(OSError):
            if number == signal.SIGINT and os.tcgetpgrp(0) == os.getpgrp():
                return
        if child.poll() is None:
            child.send_signal(number)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)


class Ended(Exception):
    """A signal came before CMD ran."""


def run(names, command):
    required = {w.strip() for w in os.environ.get("DOZO_REQUIRE", "").split(",") if w.strip()}
    env = {k: v for k, v in os.environ.items() if k not in {f"DOZO_TEST_{n.upper()}" for n in NAMES}}
    running = []

    def ended(number, _frame):
        raise Ended(number)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ended)
    with tempfile.TemporaryDirectory(prefix="dozo-servers-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o711)
        try:
            for name in names:
                try:
                    running.append(KINDS[name](pathlib.Path(folder) / name))
                    env[f"DOZO_TEST_{name.upper()}"] = running[-1].uri
                except Missing as e:
                    print(f"servers: no {name}: {e}", file=sys.stderr, flush=True)
                    if name in required:
                        print(f"servers: DOZO_REQUIRE asks for {name}", file=sys.stderr)
                        return 1
            try:
                child = subprocess.Popen(command, env=env, preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM))
            except OSError as e:
                print(f"servers: {command[0]}: {e.strerror}", file=sys.stderr)
                return 127
            forward(child)
            status = child.wait()
            return status if status >= 0 else 128 - status
        except Broken as e:
            print(f"servers: {e}", file=sys.stderr)
            return 1
        except Ended as e:
            return 128 + e.args[0]
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            for server in reversed(running):
                server.stop()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in NAMES:
        p.add_argument(f"--{name}", action="store_true")
    p.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    a = p.parse_args()
    command = a.command[1:] if a.command[:1] == ["--"] else a.command
    if not command:
        p.error("which command?")
    return run([n for n in NAMES if getattr(a, n)] or NAMES, command)


if __name__ == "__main__":
    sys.exit(main())
