"""What idle connections cost: memory of the front (/proc/PID/smaps_rollup) before and while they are there, divided by their number.

    python3 bench/idle.py --dozo build/dozo --connections 19900

Three rows: connections that never spoke, ones that had one answer each, and a tenth as many over TLS that had one. What the kernel keeps for a
socket is not counted, as it is no memory of the process. Each connection is a descriptor: `ulimit -n` bounds the number.
"""
import argparse
import multiprocessing
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
CLIENTS = 4  # processes, so that their own limit of descriptors is none
SETTINGS = """listen: ["127.0.0.1:0", "https://127.0.0.1:0"]
tls: { certificates: [cert.pem], keys: [key.pem] }
http: { threads: 2, idle_timeout: 1h, header_timeout: 1h, max_connections: 1000000 }
"""


def memory(pid):
    """Resident and private dirty bytes."""
    found = dict(re.findall(r"^(\w+): +(\d+) kB", open(f"/proc/{pid}/smaps_rollup").read(), re.M))
    return int(found["Rss"]) * 1024, int(found["Private_Dirty"]) * 1024


def crowd(address, n, tls, asks, ready, leave):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    there = []
    for _ in range(n):
        c = socket.create_connection(address)
        if tls:
            c = context.wrap_socket(c)
        if asks:
            c.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert c.recv(65536).startswith(b"HTTP/1.1 200")
        there.append(c)
    ready.put(n)
    leave.wait()


def measure(dozo, n, tls, asks):
    with tempfile.TemporaryDirectory(prefix="dozo-idle-") as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=a",
                        "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True)
        pathlib.Path(folder, "dozo.yaml").write_text(SETTINGS)
        server = subprocess.Popen([str(pathlib.Path(dozo).resolve()), "serve"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        addresses = []
        for _ in range(2):
            host, port = re.search(r"([\d.]+):(\d+)$", server.stdout.readline().decode().strip()).groups()
            addresses.append((host, int(port)))

        def open_now():
            with socket.create_connection(addresses[0]) as c:
                c.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                text = b"".join(iter(lambda: c.recv(1 << 16), b"")).decode()
            return int(re.search(r"^dozo_http_connections (\d+)", text, re.M).group(1)) - 1
        open_now()
        time.sleep(1)
        before = memory(server.pid)
        ready, leave = multiprocessing.Queue(), multiprocessing.Event()
        clients = [multiprocessing.Process(target=crowd, args=(addresses[tls], n // CLIENTS, tls, asks, ready, leave)) for _ in range(CLIENTS)]
        for p in clients:
            p.start()
        for _ in clients:
            ready.get()
        time.sleep(1)
        there, full = open_now(), memory(server.pid)
        leave.set()
        for p in clients:
            p.join()
        server.terminate()
        server.wait()
    return there, (full[0] - before[0]) / there, (full[1] - before[1]) / there


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dozo", default=str(ROOT / "build/dozo"))
    p.add_argument("--connections", type=int, default=19900)
    a = p.parse_args()
    os.nice(10)
    print("| idle connections | number | resident bytes each | private dirty bytes each |\n|---|---|---|---|")
    for what, n, tls, asks in (("never spoke", a.connections, False, False), ("one answer each", a.connections, False, True),
                               ("TLS, one answer each", a.connections // 10, True, True)):
        there, resident, dirty = measure(a.dozo, n, tls, asks)
        print(f"| {what} | {there} | {resident:.0f} | {dirty:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
