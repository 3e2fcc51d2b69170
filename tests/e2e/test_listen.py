"""Sockets that a service manager passes (sd_listen_fds(3)), what it is told (sd_notify(3)), and https over a UNIX socket."""
import contextlib
import fcntl
import os
import signal
import socket
import ssl
import subprocess
import sys

from conftest import DOZO, PATIENCE, ROOT, Raw, Server, clean_env, dozo, tool, until
from test_tls import make_pair


# What a service manager does between fork and exec; the descriptors given are all above those they move to.
LAUNCH = """
import os, sys
for i, fd in enumerate(sys.argv[1].split(",")):
    os.dup2(int(fd), 3 + i)
    os.close(int(fd))
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Passed(Server):
    """A server that gets listening sockets from 3 on, as a service manager would start it."""

    def __init__(self, folder, config, sockets, names, env=None, notify=None):
        self.folder, self.config = folder, folder / "dozo.yaml"
        self.config.write_text(config)
        self.log = open(folder / "serve.log", "ab")
        extra = {"LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": ":".join(names), **(env or {})}
        if notify:
            extra["NOTIFY_SOCKET"] = notify
        fds = [s.fileno() for s in sockets]
        self.process = subprocess.Popen([sys.executable, "-c", LAUNCH, ",".join(map(str, fds)), DOZO, "serve", "--config", str(self.config)],
                                        cwd=folder, stdout=subprocess.PIPE, stderr=self.log, env=clean_env(**extra), pass_fds=fds)
        self.addresses = []


def listener(family=socket.AF_INET, address=("127.0.0.1", 0)):
    s = socket.socket(family)
    s.bind(address)
    s.listen(16)
    # High, so that moving one to 3 does not step on another.
    high = socket.socket(fileno=fcntl.fcntl(s.fileno(), fcntl.F_DUPFD_CLOEXEC, 50))
    s.close()
    return high


def answer(address):
    c = Raw(address)
    c.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    r = c.response()
    c.close()
    return r.status


def test_passed_sockets(tmp_path):
    make_pair(tmp_path, "a", "a.test")
    path = str(tmp_path / "sock")
    web, tls, local = listener(), listener(), listener(socket.AF_UNIX, path)
    s = Passed(tmp_path, 'listen: ["systemd:web", "https://systemd:tls", "systemd:local"]\n'
               "tls: { certificates: [a.crt], keys: [a.key] }\n", [web, tls, local], ["web", "tls", "local"])
    s._wait(None)
    until(lambda: "listening on unix:" in s.read_log(), "the listening lines")
    log = s.read_log()
    assert "listening on 127.0.0.1:%d" % web.getsockname()[1] in log
    assert "listening on https://127.0.0.1:%d" % tls.getsockname()[1] in log
    assert answer(web.getsockname()) == 200 and answer(path) == 200
    context = ssl.create_default_context(cafile=str(tmp_path / "a.crt"))
    with socket.create_connection(tls.getsockname(), PATIENCE) as plain, context.wrap_socket(plain, server_hostname="a.test") as t:
        t.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert t.recv(100).startswith(b"HTTP/1.1 200")
    # The child neither is told of the sockets nor holds them.
    until(lambda: '"back":"ok"' in s.get("/healthz").text, "the back")
    children = subprocess.run(["pgrep", "-P", str(s.process.pid)], capture_output=True).stdout.split()
    assert children
    mine = {os.readlink(f"/proc/{s.process.pid}/fd/{fd}") for fd in (3, 4, 5)}
    assert all(m.startswith("socket:") for m in mine)
    for child in children:
        env = open(f"/proc/{child.decode()}/environ", "rb").read()
        assert b"LISTEN_" not in env
        for fd in os.listdir(f"/proc/{child.decode()}/fd"):
            with contextlib.suppress(FileNotFoundError):  # it opens and closes files of its own
                assert os.readlink(f"/proc/{child.decode()}/fd/{fd}") not in mine
    assert s.stop() == 0
    assert os.path.exists(path)  # it is the manager's


def test_what_waits_is_served_by_the_next_one(tmp_path):
    web = listener()
    s = Passed(tmp_path, 'listen: ["systemd:"]\n', [web], ["web"])
    s._wait(None)
    assert answer(web.getsockname()) == 200
    assert s.stop() == 0
    early = Raw(web.getsockname())
    early.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    s = Passed(tmp_path, 'listen: ["systemd:"]\n', [web], ["web"])
    s._wait(None)
    assert early.response().status == 200
    assert s.stop() == 0


def failed(s):
    status = s.process.wait(PATIENCE)
    s.process.stdout.close()
    return status, s.read_log()


def test_errors(tmp_path):
    (tmp_path / "dozo.yaml").write_text('listen: ["systemd:"]\n')
    assert "no socket was passed" in dozo("serve", "--config", "dozo.yaml", cwd=tmp_path, check=1).err
    # Meant for somebody else.
    r = dozo("serve", "--config", "dozo.yaml", cwd=tmp_path, check=1, env={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert "no socket was passed" in r.err
    web = listener()
    status, log = failed(Passed(tmp_path, 'listen: ["systemd:other"]\n', [web], ["web"]))
    assert status == 1 and "systemd:other" in log and "FileDescriptorName=" in log
    status, log = failed(Passed(tmp_path, 'listen: ["systemd:web", "systemd:web "]\n'.replace("web ", "web2"), [web], ["web"]))
    assert status == 1 and "systemd:web2" in log
    deaf = socket.socket()
    deaf = socket.socket(fileno=fcntl.fcntl(deaf.fileno(), fcntl.F_DUPFD_CLOEXEC, 50))
    status, log = failed(Passed(tmp_path, 'listen: ["systemd:"]\n', [deaf], ["web"]))
    assert status == 1 and "does not listen" in log


def test_a_passed_socket_is_judged_by_its_real_address(tmp_path):
    web = listener(address=("0.0.0.0", 0))
    status, log = failed(Passed(tmp_path, 'listen: ["systemd:"]\n', [web], ["web"]))
    assert status == 1 and "auth.token" in log and "0.0.0.0" in log
    s = Passed(tmp_path, 'listen: ["systemd:"]\nauth: { token: x }\n', [web], ["web"])
    s._wait(None)
    assert s.stop() == 0


def test_the_manager_is_told(tmp_path):
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(PATIENCE)
    s = Server(tmp_path, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert manager.recv(100) == b"READY=1"
    s.process.send_signal(signal.SIGHUP)
    assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert manager.recv(100) == b"READY=1"
    assert s.stop() == 0
    assert manager.recv(100) == b"STOPPING=1"


def test_https_on_a_unix_socket(tmp_path, serve):
    make_pair(tmp_path, "a", "a.test")
    s = serve(tmp_path, f'listen: ["127.0.0.1:0", "https://unix:{tmp_path}/s"]\ntls: {{ certificates: [a.crt], keys: [a.key] }}\n')
    assert s.addresses[1] == f"https://unix:{tmp_path}/s"
    context = ssl.create_default_context(cafile=str(tmp_path / "a.crt"))
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(f"{tmp_path}/s")
        with context.wrap_socket(plain, server_hostname="a.test") as t:
            t.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert t.recv(100).startswith(b"HTTP/1.1 200")


def test_a_socket_that_no_entry_names_is_said(tmp_path):
    web, extra, local = listener(), listener(), listener(socket.AF_UNIX, str(tmp_path / "sock"))
    s = Passed(tmp_path, 'listen: ["systemd:web"]\n', [web, extra, local], ["web", "extra", ""])
    s._wait(None)
    log = s.read_log()
    assert "the passed socket extra (127.0.0.1:%d)" % extra.getsockname()[1] in log
    assert f"the passed socket without a name (unix:{tmp_path}/sock)" in log
    assert log.count("the passed socket") == 2
    assert s.stop() == 0


class Activated(Server):
    """Started by systemd's own program with the first connection that comes."""

    def __init__(self, folder, config, sockets, names):
        self.folder, self.config = folder, folder / "dozo.yaml"
        self.config.write_text(config)
        self.log = open(folder / "serve.log", "ab")
        env = clean_env()
        passed = [f"--setenv={k}={env[k]}" for k in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LC_ALL")]
        self.process = subprocess.Popen([tool("systemd-socket-activate"), *[f"--listen={s}" for s in sockets], "--fdname=" + ":".join(names),
                                         *passed, DOZO, "serve", "--config", str(self.config)],
                                        cwd=folder, stdout=subprocess.PIPE, stderr=self.log, env=env)
        self.addresses = []


def test_sockets_from_systemd_itself(tmp_path):
    make_pair(tmp_path, "a", "a.test")
    web, tls, third = (str(tmp_path / name) for name in ("web", "tls", "third"))  # it takes no port 0
    s = Activated(tmp_path, 'listen: ["systemd:web", "https://systemd:tls"]\ntls: { certificates: [a.crt], keys: [a.key] }\n',
                  [web, tls, third], ["web", "tls", "third"])
    until(lambda: os.path.exists(third), "the last socket")
    assert answer(web) == 200  # this one starts it, and waits meanwhile
    s._wait(None)
    context = ssl.create_default_context(cafile=str(tmp_path / "a.crt"))
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(tls)
        with context.wrap_socket(plain, server_hostname="a.test") as t:
            t.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert t.recv(100).startswith(b"HTTP/1.1 200")
    assert f"the passed socket third (unix:{third})" in s.read_log()
    assert s.stop() == 0
    assert os.path.exists(web)


def test_the_units_are_what_systemd_expects(tmp_path):
    text = (ROOT / "examples/dozo.service").read_text().replace("/usr/local/bin/dozo", DOZO)
    for activated in (text, text.replace("# Requires=", "Requires=")):
        (tmp_path / "dozo.service").write_text(activated)
        (tmp_path / "dozo.socket").write_text((ROOT / "examples/dozo.socket").read_text())
        r = subprocess.run([tool("systemd-analyze"), "verify", "./dozo.service", "./dozo.socket"], cwd=tmp_path, capture_output=True, text=True)
        assert r.returncode == 0 and "dozo" not in r.stderr, r.stderr


def test_a_peer_on_a_unix_socket_is_a_trusted_proxy(tmp_path, serve):
    for trusted, client in (("", "203.0.113.7"), (", trusted_proxies: [10.9.9.9]", "203.0.113.7"), (", trusted_proxies: []", "unix")):
        folder = tmp_path / str(len(trusted))
        folder.mkdir()
        s = serve(folder, f'listen: ["unix:{folder}/s"]\nhttp: {{ access_log: access.log{trusted} }}\n')
        c = Raw(f"{folder}/s")
        c.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n")
        assert c.response().status == 200
        c.close()
        assert until(lambda: (folder / "access.log").read_text(), "the line").startswith(client + " ")
