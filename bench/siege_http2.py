"""The siege's visitors of HTTP/2 over TLS: honest ones, whose every answer is compared with what it must be, and hostile ones.

A Client speaks through python3-h2, which checks what the server says; a Raw connection writes frames by hand, wrong ones too. Each
method named by kinds() is one visit of one client. What the hostile ones must get is said in them: too much of something is answered by
GOAWAY with ENHANCE_YOUR_CALM, what is broken by some GOAWAY or by the end of the connection, and nobody is left waiting.
"""
import asyncio
import hashlib
import socket
import ssl
import sys

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's python3-h2, when another Python runs this
import h2.config  # noqa: E402
import h2.connection  # noqa: E402
import h2.events  # noqa: E402
import h2.exceptions  # noqa: E402
import h2.settings  # noqa: E402
import hpack  # noqa: E402

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
ACK = END_STREAM = 1
END_HEADERS = 4
NO_ERROR, CANCEL, ENHANCE_YOUR_CALM = 0, 8, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE_S = 120


def frame(kind, stream=0, payload=b"", flags=0):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def settings(*pairs):
    return frame(SETTINGS, payload=b"".join(k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in pairs))


def fields(path, method="GET", *more):
    return [(":method", method), (":scheme", "https"), (":authority", "a"), (":path", path), *more]


def block(path, method="GET", *more):
    """A header block that leaves no trace in the tables, so that it may be sent any number of times."""
    return hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*f) for f in fields(path, method, *more)])


class Wire:
    """One TLS connection that has agreed on h2."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, address, context, buffer=0):
        s = socket.socket()
        s.setblocking(False)
        try:
            if buffer:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            await asyncio.get_running_loop().sock_connect(s, address)
            reader, writer = await asyncio.open_connection(sock=s, ssl=context, server_hostname="a", limit=buffer or 1 << 18)
        except BaseException:
            s.close()
            raise
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            writer.transport.abort()
            raise ValueError("the server does not speak h2")
        return cls(reader, writer)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.writer.transport.abort()

    def reset(self):
        """The connection ends with a RST."""
        if s := self.writer.get_extra_info("socket"):  # it may be closed by now
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


class Raw(Wire):
    goaway = None     # code of the server's GOAWAY
    acks = pings = 0  # of our SETTINGS and PING
    acknowledges = True

    async def begin(self, *pairs):
        await self.send(PREFACE + settings(*pairs))
        if self.acknowledges:
            await self.read()  # the server's SETTINGS
            await self.send(frame(SETTINGS, flags=ACK))

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def read(self):
        """The next frame: kind, flags, stream, payload; None at the end."""
        try:
            head = await self.reader.readexactly(9)
            payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return None
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        if kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        self.acks += kind == SETTINGS and flags & ACK
        self.pings += kind == PING and flags & ACK
        return kind, flags, stream, payload

    async def until_end(self):
        while await self.read():
            pass

    async def answer(self, stream):
        """Body of the answer on a stream, windows renewed; None: reset or ended."""
        body = b""
        while got := await self.read():
            kind, flags, of, payload = got
            if of != stream:
                continue
            if kind == RST_STREAM:
                return None
            if kind == DATA:
                body += payload
                if payload and not flags & END_STREAM:
                    step = len(payload).to_bytes(4, "big")
                    await self.send(frame(WINDOW_UPDATE, 0, step) + frame(WINDOW_UPDATE, stream, step))
            if flags & END_STREAM and kind in (DATA, HEADERS):
                return body
        return None


class Silent(Raw):
    acknowledges = False


class Answer:
    def __init__(self, keep):
        self.status, self.headers, self.body, self.done, self.reset = 0, {}, bytearray(), False, None
        self.hash = None if keep else hashlib.blake2b(digest_size=16)

    def take(self, data):
        if self.hash:
            self.hash.update(data)
        else:
            self.body += data

    def bytes(self):
        return self.hash.digest() if self.hash else bytes(self.body)


class Client(Wire):
    def __init__(self, reader, writer):
        super().__init__(reader, writer)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.answers, self.goaway, self.ended = {}, None, False

    async def begin(self, window=None):
        if window is not None:
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        await self.flush()

    async def flush(self):
        self.writer.write(self.h2.data_to_send())
        await self.writer.drain()

    def ask(self, path, method="GET", *more, keep=True, ends=True):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, fields(path, method, *more), end_stream=ends)
        self.answers[stream] = Answer(keep)
        return stream

    async def upload(self, stream, n):
        """n bytes of body as the windows allow, until the answer is there."""
        while not self.answers[stream].done and self.answers[stream].reset is None and not self.ended:
            room = min(n, self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if n and not room:
                await self.step()
                continue
            self.h2.send_data(stream, b"x" * room, end_stream=room == n)
            n -= room
            await self.flush()
            if n == 0:
                return

    async def step(self):
        try:
            data = await self.reader.read(1 << 16)
        except (ConnectionError, ssl.SSLError):
            data = b""
        self.ended = self.ended or not data
        for e in self.h2.receive_data(data):
            a = self.answers.get(getattr(e, "stream_id", None))
            if isinstance(e, h2.events.ResponseReceived):
                a.headers = dict(e.headers)
                a.status = int(a.headers[":status"])
            elif isinstance(e, h2.events.DataReceived):
                a.take(e.data)
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
            elif isinstance(e, h2.events.StreamEnded):
                a.done = True
            elif isinstance(e, h2.events.StreamReset) and a:
                a.reset = e.error_code
            elif isinstance(e, h2.events.ConnectionTerminated):
                self.goaway = int(e.error_code)
        if not self.ended:
            await self.flush()

    async def whole(self, *streams):
        """Until these are answered; False: the connection or one of them ended before."""
        while not self.ended and any(not self.answers[s].done and self.answers[s].reset is None for s in streams):
            await self.step()
        return all(self.answers[s].done for s in streams)


class Http2:
    stay_s = 25  # at most, of those who do nothing
    def __init__(self, address, known, random, wrong):
        """wrong: the list for answers that are not what they must be."""
        self.address, self.known, self.random, self.wrong = address, known, random, wrong
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.context.set_alpn_protocols(["h2"])

    def kinds(self):
        """Visit, visits a second, or None for visits that follow each other in that many places."""
        return [(self.h2_well_behaved, None, 3), (self.h2_big, 0.02, 0), (self.h2_parts, 0.5, 0), (self.h2_post, 0.5, 0), (self.h2_bye, 0.5, 0),
                (self.h2_resets, 0.5, 0), (self.h2_reset_flood, 0.1, 0), (self.h2_flood, 0.3, 0), (self.h2_few_pings, 0.2, 0),
                (self.h2_slow_reader, None, 4), (self.h2_stops_reading, None, 2), (self.h2_slow_head, None, 3), (self.h2_no_ack, None, 2),
                (self.h2_vanish, 2, 0), (self.h2_garbage, 4, 0)]

    def expect(self, right, words):
        if not right:
            self.wrong.append(words)

    def check(self, client, stream, path, want, method="GET"):
        a = client.answers[stream]
        if not a.done:
            self.wrong.append(f"h2 {method} {path}: no whole answer (reset {a.reset}, GOAWAY {client.goaway}, end {client.ended})")
        elif wrong := self.known.wrong(path, want, a.status, a.headers.get("content-encoding"), a.bytes(), method):
            self.wrong.append(f"h2 {wrong}")

    async def visit(self, kind):
        try:
            await asyncio.wait_for(kind(), PATIENCE_S)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError) as e:
            # The hostile ones write on when they have been cut off already.
            self.expect(kind in (self.h2_reset_flood, self.h2_flood, self.h2_garbage, self.h2_slow_head), f"{kind.__name__}: {e!r}")
        except h2.exceptions.ProtocolError as e:
            self.wrong.append(f"{kind.__name__}: the server breaks a rule: {e!r}")
        except (TimeoutError, asyncio.TimeoutError):
            self.wrong.append(f"{kind.__name__}: no end after {PATIENCE_S} s")
        except (OSError, ValueError) as e:
            self.wrong.append(f"{kind.__name__}: {e!r}")

    def small(self):
        return self.random.choice(self.known.small)

    async def open(self, kind, *begin, buffer=0):
        wire = await kind.open(self.address, self.context, buffer)
        await wire.begin(*begin)
        return wire

    # ---- honest ------------------------------------------------------------------------------------------------------------------

    async def h2_well_behaved(self):
        """Rounds of several streams at once: GET, HEAD, If-None-Match, gzip; windows of all sizes."""
        async with await self.open(Client, self.random.choice([None, None, 4096, 1 << 20])) as c:
            tags = {}
            for _ in range(8):
                asked = []
                for _ in range(self.random.randrange(1, 12)):
                    path, r = self.small(), self.random.random()
                    if r < 0.2 and path in tags:
                        asked.append((c.ask(path, "GET", ("if-none-match", tags[path])), path, 304, "GET"))
                    elif r < 0.3:
                        asked.append((c.ask(path, "HEAD"), path, 200, "HEAD"))
                    else:
                        asked.append((c.ask(path, "GET", *([("accept-encoding", "gzip")] if r < 0.4 else [])), path, 200, "GET"))
                await c.flush()
                await c.whole(*(a[0] for a in asked))
                for stream, path, want, method in asked:
                    self.check(c, stream, path, want, method)
                    headers = c.answers.pop(stream).headers
                    if "etag" in headers and "content-encoding" not in headers and headers[":status"] == "200":
                        tags[path] = headers["etag"]
                await asyncio.sleep(0.3)

    async def h2_big(self):
        """The big page beside small ones, under flow control."""
        async with await self.open(Client, self.random.choice([None, 1 << 20])) as c:
            big, path = c.ask(self.known.big, keep=False), self.small()
            small = c.ask(path)
            await c.flush()
            await c.whole(big, small)
            self.check(c, big, self.known.big, 200)
            self.check(c, small, path, 200)

    async def h2_parts(self):
        """Ranges of the big page, several at once."""
        n = len(self.known.big_bytes)
        async with await self.open(Client) as c:
            asked = []
            for _ in range(5):
                first = self.random.randrange(n)
                last = min(n - 1, first + self.random.choice([0, 100, 20_000, 300_000]))
                asked.append((c.ask(self.known.big, "GET", ("range", f"bytes={first}-{last}")), first, last))
            await c.flush()
            await c.whole(*(a[0] for a in asked))
            for stream, first, last in asked:
                a = c.answers[stream]
                wrong = f"{first}-{last}: {a.status}" if not a.done or a.status != 206 else self.known.wrong_part(first, last, a.bytes())
                self.expect(not wrong, f"h2 {wrong}")

    async def h2_post(self):
        """Bodies of all sizes to nobody, up to and over the limit."""
        n = self.random.choice([0, 5, 70_000, 1 << 20, (1 << 20) + 1])
        async with await self.open(Client) as c:
            post, path = c.ask("/nowhere", "POST", ends=False), self.small()
            get = c.ask(path)
            await c.flush()
            await c.upload(post, n)
            await c.whole(post, get)
            self.expect(c.answers[post].status in (404, 405, 413), f"h2 POST of {n}: {c.answers[post].status}")
            self.check(c, get, path, 200)

    async def h2_bye(self):
        """GOAWAY with answers under way: they come, and then the server closes."""
        async with await self.open(Client) as c:
            paths = [self.small() for _ in range(6)]
            asked = [c.ask(p) for p in paths]
            await c.flush()
            c.writer.write(frame(GOAWAY, payload=bytes(8)))
            await c.whole(*asked)
            for stream, path in zip(asked, paths):
                self.check(c, stream, path, 200)
            while not c.ended:
                await c.step()

    async def h2_resets(self):
        """Streams of the big page that are not wanted any more, as a reader who turns pages does; the connection lives on."""
        async with await self.open(Client) as c:
            for _ in range(self.random.randrange(5, 60)):
                stream = c.ask(self.known.big, keep=False)
                await c.flush()
                if self.random.random() < 0.5:
                    await c.step()
                if c.answers[stream].reset is None and not c.answers[stream].done:
                    c.h2.reset_stream(stream, CANCEL)
                await c.flush()
            path = self.small()
            stream = c.ask(path)
            await c.flush()
            await c.whole(stream)
            self.check(c, stream, path, 200)

    async def h2_few_pings(self):
        """Pings and settings that are no flood: all are acknowledged."""
        async with await self.open(Raw) as c:
            await c.send(b"".join(frame(PING, payload=i.to_bytes(8, "big")) for i in range(100)) + settings((4, 70_000)) * 10)
            path = self.small()
            await c.send(frame(HEADERS, 1, block(path), END_HEADERS | END_STREAM))
            body = await c.answer(1)
            self.expect(body is not None and c.pings == 100 and c.acks == 11,
                        f"h2 {path} behind 100 pings and 11 settings: {c.pings} and {c.acks} acknowledged, GOAWAY {c.goaway}")

    # ---- hostile -----------------------------------------------------------------------------------------------------------------

    async def calmed(self, c, what):
        """A flood ends with ENHANCE_YOUR_CALM, or with a reset when there was more on its way."""
        await c.until_end()
        self.expect(c.goaway in (None, ENHANCE_YOUR_CALM), f"{what}: GOAWAY {c.goaway}")

    async def h2_reset_flood(self):
        """Requests that are taken back at once, four times as many as are borne."""
        async with await self.open(Raw) as c:
            head = block(self.known.big)
            for at in range(1, 8001, 200):
                await c.send(b"".join(frame(HEADERS, i, head, END_HEADERS | END_STREAM) + frame(RST_STREAM, i, CANCEL.to_bytes(4, "big"))
                                      for i in range(at, at + 200, 2)))
            await self.calmed(c, "reset flood")

    async def h2_flood(self):
        """Frames that do nothing, three times as many as are borne."""
        async with await self.open(Raw) as c:
            await c.send(frame(HEADERS, 1, block("/nowhere", "POST"), END_HEADERS))
            one, n = self.random.choice([(frame(PING, payload=bytes(8)), 900), (settings((3, 100)), 150), (frame(DATA, 1), 300),
                                         (frame(PRIORITY, 1, bytes(5)), 3000), (frame(WINDOW_UPDATE, 0, bytes([0, 0, 0, 1])), 6100),
                                         (frame(0xbb, 0, b"x"), 3000), (frame(0x10, 0, bytes([0, 0, 0, 1]) + b"u=1"), 3000)])
            for _ in range(10):
                await c.send(one * (n // 10))
            await self.calmed(c, f"flood of {one[:20]!r}")

    async def h2_slow_reader(self):
        """Tiny windows that grow by a few bytes a second, many streams."""
        async with await self.open(Raw, (4, self.random.choice([0, 1, 100, 2000]))) as c:
            await c.send(b"".join(frame(HEADERS, i, block(self.known.big), END_HEADERS | END_STREAM) for i in range(1, 41, 2)))
            end = asyncio.ensure_future(c.until_end())
            try:
                for _ in range(40):
                    await asyncio.sleep(1)
                    if end.done():
                        break
                    await c.send(frame(WINDOW_UPDATE, self.random.randrange(1, 41, 2), bytes([0, 0, 0, 7])))
            except ConnectionError:
                pass
            await end if end.done() else end.cancel()

    async def h2_stops_reading(self):
        """Wide windows, and then nothing is taken off the socket."""
        async with await self.open(Raw, (4, 1 << 30), buffer=8192) as c:
            await c.send(frame(WINDOW_UPDATE, 0, (1 << 30).to_bytes(4, "big")) +
                         b"".join(frame(HEADERS, i, block(self.known.big), END_HEADERS | END_STREAM) for i in range(1, 21, 2)))
            await asyncio.sleep(self.random.randrange(2, self.stay_s))
            if self.random.random() < 0.5:
                c.reset()

    async def h2_slow_head(self):
        """A header block that does not end in time: the server ends the connection."""
        async with await self.open(Raw) as c:
            await c.send(frame(HEADERS, 1, block(self.small())))
            end = asyncio.ensure_future(c.until_end())
            if self.random.random() < 0.5:
                await c.send(frame(CONTINUATION, 1, b"\0" * 50)[:20])
            await end
            self.expect(c.goaway is None or c.goaway != NO_ERROR, "a slow header block ended with NO_ERROR")

    async def h2_no_ack(self):
        """Never acknowledges SETTINGS; a request is answered all the same, but not for long."""
        async with await self.open(Silent) as c:
            path = self.small()
            await c.send(frame(HEADERS, 1, block(path), END_HEADERS | END_STREAM))
            self.expect(await c.answer(1) is not None, f"h2 {path} without an acknowledgment: no answer, GOAWAY {c.goaway}")
            await c.until_end()

    async def h2_vanish(self):
        """Gone in the middle of a frame, an answer, or before the first word."""
        async with await self.open(self.random.choice([Raw, Silent])) as c:
            head = frame(HEADERS, 1, block(self.known.big), END_HEADERS | END_STREAM)
            how = self.random.randrange(4)
            if how == 0:
                await c.send(head[:self.random.randrange(len(head))])
            elif how == 1:
                await c.send(frame(HEADERS, 1, block("/nowhere", "POST"), END_HEADERS) + frame(DATA, 1, b"x" * 5000)[:self.random.randrange(5000)])
            elif how == 2:
                await c.send(head)
                for _ in range(self.random.randrange(8)):
                    await c.read()
            if self.random.random() < 0.5:
                c.reset()

    async def h2_garbage(self):
        """What no client may send, or a good beginning with some bytes changed."""
        get = frame(HEADERS, 1, block(self.small()), END_HEADERS | END_STREAM)
        wrong = [get, frame(HEADERS, 1, self.random.randbytes(200), END_HEADERS | END_STREAM), frame(HEADERS, 2, block("/"), END_HEADERS),
                 frame(DATA, 7, b"x"), frame(CONTINUATION, 1, b"x", END_HEADERS), frame(SETTINGS, payload=b"x"), frame(WINDOW_UPDATE, 0, bytes(4)),
                 frame(PING, payload=b"x"), frame(RST_STREAM, 9, bytes(4)), frame(PUSH_PROMISE, 1, bytes(4)), frame(HEADERS, 1, b"\xff" * 40, END_HEADERS),
                 frame(HEADERS, 1, b"\x3f\xff\xff\xff\x7f", END_HEADERS), b"\xff" * 40, frame(DATA, 1, bytes(20_000)),
                 get + get, frame(HEADERS, 1, block("/", "GET", ("connection", "close"), ("Upper", "x")), END_HEADERS | END_STREAM)]
        data = bytearray(get + self.random.choice(wrong) + get)
        for _ in range(self.random.randrange(3)):
            data[self.random.randrange(len(data))] = self.random.randrange(256)
        async with await self.open(Raw) as c:
            await c.send(bytes(data) + frame(GOAWAY, payload=bytes(8)))
            if self.random.random() < 0.5:
                await self.until_quiet(c)
            elif self.random.random() < 0.5:
                c.reset()

    async def until_quiet(self, c):
        """To the end, but no longer than a header may take: what was meant as an end may have become part of a frame."""
        try:
            await asyncio.wait_for(c.until_end(), 20)
        except (TimeoutError, asyncio.TimeoutError):
            pass
