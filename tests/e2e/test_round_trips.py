"""How often a request waits for PostgreSQL: counted by a proxy between the two, for what costs nothing on loopback costs all between two houses."""
import selectors
import socket
import struct
import threading

import pytest

from conftest import own, png, servers
from test_uploads import KEY, keyed, upload


class Proxy:
    """Passes bytes on and notes a round trip whenever a client speaks after the server has, with the statements of that turn."""

    def __init__(self, port):
        self.port, self.trips, self.lock = port, [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=Link(self, client).run, daemon=True).start()

    def take(self):
        """Those that have begun since the last time, each a list of statements."""
        with self.lock:
            trips, self.trips = self.trips, []
        return trips


class Link:
    def __init__(self, proxy, client):
        self.proxy, self.client = proxy, client
        self.server = socket.create_connection(("127.0.0.1", proxy.port))
        self.answered, self.buffer, self.names, self.trip, self.started = True, b"", {}, None, False

    def run(self):
        with selectors.DefaultSelector() as s, self.client, self.server:
            s.register(self.client, selectors.EVENT_READ, self.server)
            s.register(self.server, selectors.EVENT_READ, self.client)
            while True:
                for key, _ in s.select():
                    try:
                        data = key.fileobj.recv(1 << 20)
                        if key.fileobj is self.client:
                            self.note(data)
                        else:
                            self.answered = True
                        key.data.sendall(data)
                    except OSError:
                        return
                    if not data:
                        return

    def note(self, data):
        if self.answered and data:
            self.trip = []
            with self.proxy.lock:
                self.proxy.trips.append(self.trip)
        self.answered = False
        self.buffer += data
        while len(self.buffer) >= (5 if self.started else 4):
            kind = self.buffer[:1] if self.started else b""
            n = struct.unpack_from("!i", self.buffer, len(kind))[0]
            if len(self.buffer) < len(kind) + n:
                break
            self.message(kind, self.buffer[len(kind) + 4:len(kind) + n])
            self.buffer = self.buffer[len(kind) + n:]

    def message(self, kind, body):
        if kind == b"":
            self.started = body[:4] == b"\x00\x03\x00\x00"  # else a wish for encryption, which the server refuses
            self.trip.append("(start)")
        elif kind == b"P":
            name, text = body.split(b"\0")[:2]
            self.names[name] = text.decode()
        elif kind == b"B":
            self.trip.append(self.names[body.split(b"\0")[1]])
        elif kind == b"Q":
            self.trip.append(body[:-1].decode())


@pytest.fixture
def proxy(tmp_path):
    postgres = own(servers.Postgres, tmp_path / "pg")
    proxy = Proxy(postgres.port)
    yield proxy
    proxy.close()
    postgres.stop()


@pytest.fixture
def server(tmp_path, serve, proxy):
    uri = f"postgres://dozo@127.0.0.1:{proxy.address[1]}/dozo?sslmode=disable&gssencmode=disable"
    return serve(tmp_path, f"""uploads: {{ secret_key: {KEY} }}
catalog: {{ driver: postgres, uri: "{uri}" }}
store: {{ driver: postgres, uri: "{uri}" }}
cache: {{ max_entries: 0 }}
""", args=("--role", "front"))


def least(proxy, do):
    """The trips of the cheapest of some calls: others look into the database at times, and new connections are made."""
    counts = []
    for _ in range(8):
        proxy.take()
        do()
        counts.append(proxy.take())
    return min(counts, key=len)


@pytest.mark.alone  # others that keep the machine busy let the looks of each second into every count
def test_each_request_waits_a_few_times(server, proxy):
    sent = []
    assert len(send_one := least(proxy, lambda: sent.append(upload(server, data=png(shade=len(sent)))[0]))) <= 7, send_one
    for shade, name in enumerate(sent):
        assert server.get(f"/image/{name}").body == png(shade=shade)
    assert len(fetch := least(proxy, lambda: server.get(f"/image/{sent[0]}"))) <= 3, fetch
    assert len(miss := least(proxy, lambda: server.get("/image/UNKNOWN"))) <= 2, miss
    assert len(delete := least(proxy, lambda: keyed(server, "DELETE", f"/delete/{sent.pop()}"))) <= 4, delete
    assert not sent and server.get("/image/UNKNOWN").status == 404
