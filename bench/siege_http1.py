"""The siege's visitors of HTTP/1.1, in the clear and over TLS; each method named by kinds() is one visit of one client."""
import asyncio
import re
import socket
import ssl


def field(head, name):
    """Value of a field in the bytes of a head, or None."""
    found = re.search(rb"(?i)\r\n" + name.encode() + rb": ([^\r]*)", head)
    return found[1].decode() if found else None


class Http1:
    def __init__(self, address, tls_address, known, random, wrong):
        """wrong: the list for answers that are not what they must be."""
        self.address, self.tls_address, self.known, self.random, self.wrong = address, tls_address, known, random, wrong
        self.loop = asyncio.get_running_loop()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.small, self.big = known.small, known.big

    def kinds(self):
        """Visit, visits a second, or None for visits that follow each other in that many places."""
        return [(self.well_behaved, None, 4), (self.slow_head, None, 20), (self.slow_body, None, 20), (self.slow_reader, None, 6),
                (self.reset, 4, 0), (self.reset_in_big, 1, 0), (self.half_close, 4, 0), (self.pipeline, 1, 0), (self.malformed, 15, 0),
                (self.tls, None, 3), (self.tls_cut, 2, 0), (self.ranges, 4, 0), (self.huge_head, 1, 0), (self.churn, 20, 0), (self.whole_big, 0.03, 0),
                (self.post, 3, 0)]

    def expect(self, right, words):
        if not right:
            self.wrong.append(words)

    def check(self, wrong):
        if wrong:
            self.wrong.append(wrong)

    async def connect(self, buffer=0, tls=False):
        s = socket.socket()
        s.setblocking(False)
        if buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        try:
            await self.loop.sock_connect(s, self.tls_address if tls else self.address)
        except BaseException:
            s.close()
            raise
        return s

    def request(self, path, *lines, method="GET"):
        return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode()

    async def answer(self, s, keep=b"", head=False):
        """Status, head, body, rest."""
        while b"\r\n\r\n" not in keep:
            data = await self.loop.sock_recv(s, 1 << 16)
            if not data:
                return 0, keep, b"", b""
            keep += data
        top, keep = keep.split(b"\r\n\r\n", 1)
        status, found = int(top.split()[1]), re.search(rb"(?i)\r\ncontent-length: (\d+)", top)
        need = int(found.group(1)) if found and not head and status not in (204, 304) else 0
        parts, have = [keep], len(keep)
        while have < need:
            data = await self.loop.sock_recv(s, 1 << 18)
            if not data:
                return 0, top, b"".join(parts), b""
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        return status, top, whole[:need], whole[need:]

    async def until_end(self, s):
        data = b""
        try:
            while part := await self.loop.sock_recv(s, 1 << 16):
                data = (data + part)[:4096]
        except ConnectionError:
            pass
        return data

    async def well_behaved(self, s):
        """Forty requests on one connection, every answer compared with what it must be."""
        tags = {}
        for _ in range(40):
            path, r = self.random.choice(self.small), self.random.random()
            lines, method, want = [], "GET", 200
            if r < 0.2 and path in tags:
                lines, want = [f"If-None-Match: {tags[path]}"], 304
            elif r < 0.3:
                method = "HEAD"
            elif r < 0.4:
                lines = ["Accept-Encoding: gzip"]
            await self.loop.sock_sendall(s, self.request(path, *lines, method=method))
            status, head, body, _ = await self.answer(s, head=method == "HEAD")
            tag = field(head, "etag")
            if tag and status == 200 and not lines:
                tags[path] = tag
            self.check(self.known.wrong(path, want, status, field(head, "content-encoding"), body, method))
            await asyncio.sleep(0.1)

    async def tls(self, s):
        """Requests over TLS, now and then a whole big page; s is only a knock at the plain port."""
        reader, writer = await asyncio.open_connection(*self.tls_address, ssl=self.context, limit=1 << 20)
        try:
            for _ in range(self.random.randrange(1, 20)):
                path = self.big if self.random.random() < 0.005 else self.random.choice(self.small)
                writer.write(self.request(path))
                head = await reader.readuntil(b"\r\n\r\n")
                status, coding = int(head.split()[1]), field(head, "content-encoding")
                body = await reader.readexactly(int(field(head, "content-length")))
                self.check(self.known.wrong(path, 200, status, coding, body))
                await asyncio.sleep(0.2)
            if self.random.random() < 0.3:  # ends in the middle of an answer
                writer.write(self.request(self.big))
                await reader.read(1000)
                writer.transport.abort()
        finally:
            writer.close()

    async def tls_cut(self, s):
        """Handshakes that are garbage, cut short, or never go on."""
        c = socket.socket()
        c.setblocking(False)
        try:
            await self.loop.sock_connect(c, self.tls_address)
            hello = ssl.MemoryBIO()
            try:
                self.context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="a").do_handshake()
            except ssl.SSLWantReadError:
                pass
            data = bytearray(hello.read())
            for _ in range(self.random.randrange(4)):
                data[self.random.randrange(len(data))] = self.random.randrange(256)
            await self.loop.sock_sendall(c, bytes(data[:self.random.randrange(1, 2 * len(data))]))
            if self.random.random() < 0.5:
                await self.until_end(c)
        except ConnectionError:
            pass
        finally:
            c.close()

    async def slow_head(self, s):
        start = self.random.choice([b"GET /healthz HTTP/1.1\r\nHost: a\r\nA: ", b"", self.request("/healthz") + b"G"])
        await self.loop.sock_sendall(s, start)
        end = asyncio.ensure_future(self.until_end(s))
        while not end.done():
            try:
                await self.loop.sock_sendall(s, b"a")
            except ConnectionError:
                break
            await asyncio.sleep(0.7)
        self.expect(b"408" in await end, "a slow head without 408")

    async def slow_body(self, s):
        chunked = self.random.random() < 0.5
        await self.loop.sock_sendall(s, self.request("/upload-nowhere", "Transfer-Encoding: chunked" if chunked else "Content-Length: 9000", method="PUT"))
        end = asyncio.ensure_future(self.until_end(s))
        while not end.done():
            try:
                await self.loop.sock_sendall(s, b"1\r\nx\r\n" if chunked else b"x")
            except ConnectionError:
                break
            await asyncio.sleep(1)
        await end

    async def slow_reader(self, s):
        await self.loop.sock_sendall(s, self.request(self.big) * 3)
        how = self.random.random()
        for _ in range(20):
            await asyncio.sleep(1)
            if how > 0.5:
                try:
                    if not await self.loop.sock_recv(s, 1):
                        break
                except ConnectionError:
                    break

    def abort(self, s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async def reset(self, s):
        await self.loop.sock_sendall(s, (self.request(self.random.choice(self.small)) * 3)[:self.random.randrange(200)])
        await asyncio.sleep(self.random.random() * 0.05)
        self.abort(s)

    async def reset_in_big(self, s):
        await self.loop.sock_sendall(s, self.request(self.big))
        await self.loop.sock_recv(s, 4096)
        self.abort(s)

    async def half_close(self, s):
        path = self.random.choice(self.small)
        await self.loop.sock_sendall(s, self.request(path) + (b"" if self.random.random() < 0.7 else b"GET /hal"))
        s.shutdown(socket.SHUT_WR)
        status, head, body, _ = await self.answer(s)
        self.check(self.known.wrong(path, 200, status, field(head, "content-encoding"), body))

    async def pipeline(self, s):
        n = 60
        paths = [self.random.choice(self.small) for _ in range(n)]
        await self.loop.sock_sendall(s, b"".join(map(self.request, paths)))
        rest = b""
        for path in paths:
            status, head, body, rest = await self.answer(s, rest)
            self.check(self.known.wrong(path, 200, status, field(head, "content-encoding"), body))

    async def malformed(self, s):
        """A good request, or several, with some bytes changed, gone, doubled or cut."""
        data = bytearray(self.random.choice([
            self.request(self.random.choice(self.small), "Range: bytes=0-9, -5", "Accept-Encoding: gzip;q=0.5, *;q=0"),
            self.request("/a", "Transfer-Encoding: chunked", method="POST") + b"5;a=b\r\nhello\r\n0\r\nT: u\r\n\r\n",
            self.request("/a", "Content-Length: 5", "Expect: 100-continue", method="PUT") + b"hello",
            self.request("/%68ealthz?q=%20", "Connection: keep-alive, x", 'If-None-Match: W/"a", *', "Forwarded: for=\"[::1]:80\";proto=https") * 3,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(40)]))
        for _ in range(self.random.randrange(1, 6)):
            at = self.random.randrange(len(data))
            how = self.random.randrange(4)
            if how == 0:
                data[at] = self.random.randrange(256)
            elif how == 1:
                del data[at:at + self.random.randrange(1, 9)]
            elif how == 2:
                data[at:at] = data[at:at + 20]
            else:
                data[at:at] = self.random.choice([b"\r", b"\n", b"\0", b"\r\n\r\n", b" ", b":", b"%00", b"Content-Length: 4\r\n"])
            if not data:
                break
        await self.loop.sock_sendall(s, bytes(data))
        s.shutdown(socket.SHUT_WR)
        got = await self.until_end(s)
        self.expect(not got or got.startswith(b"HTTP/1.1 "), f"{bytes(data)!r}: {got[:80]!r}")

    async def ranges(self, s):
        line = self.random.choice(["bytes=0-0", "bytes=-70000", "bytes=1-5, 1000-2000, -7", "bytes=99999999999-", "bytes=5-1", "bytes=0-,0-,0-,0-",
                                   "bytes=" + ",".join(f"{i * 1000}-{i * 1000 + 9}" for i in range(200))])
        await self.loop.sock_sendall(s, self.request(self.big if "0-," not in line else self.random.choice(self.small), f"Range: {line}", "Connection: close"))
        if line in ("bytes=5-1",) or len(line) > 200:  # ignored: the whole page would come
            await self.loop.sock_recv(s, 1000)
            self.abort(s)
            return
        status, head, body, _ = await self.answer(s)
        self.expect(status in (200, 206, 416, 404), f"{line}: {status}")
        at = re.match(r"bytes (\d+)-(\d+)/", field(head, "content-range") or "")
        if status == 206 and at and "0-," not in line:
            self.check(self.known.wrong_part(int(at[1]), int(at[2]), body))

    async def huge_head(self, s):
        data = self.random.choice([b"GET /" + b"a" * 900_000, self.request("/", "A: " + "b" * 900_000), b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 90_000])
        try:
            await self.loop.sock_sendall(s, data)
        except ConnectionError:
            return
        await self.until_end(s)

    async def churn(self, s):
        if self.random.random() < 0.5:
            await self.loop.sock_sendall(s, self.request("/healthz"))

    async def whole_big(self, s):
        await self.loop.sock_sendall(s, self.request(self.big, "Connection: close"))
        status, head, body, _ = await self.answer(s)
        self.check(self.known.wrong(self.big, 200, status, field(head, "content-encoding"), body))

    async def post(self, s):
        n = self.random.choice([0, 5, 70_000, 1 << 20, (1 << 20) + 1])
        try:
            await self.loop.sock_sendall(s, self.request("/nowhere", f"Content-Length: {n}", method="POST") + b"x" * n)
        except ConnectionError:
            return
        status, *_ = await self.answer(s)
        self.expect(status in (404, 405, 413), f"POST of {n}: {status}")


    async def visit(self, kind):
        small = kind.__name__ in ("slow_reader", "reset_in_big")
        try:
            s = await self.connect(8192 if small else 0)
        except OSError as e:
            self.expect(False, f"connect: {e}")
            return
        try:
            await asyncio.wait_for(kind(s), 120)
        except ConnectionError:
            self.expect(kind.__name__ not in ("well_behaved", "whole_big", "half_close", "pipeline"), f"{kind.__name__}: reset")
        except (TimeoutError, asyncio.TimeoutError):
            self.expect(False, f"{kind.__name__}: no end after 120 s")
        finally:
            s.close()
