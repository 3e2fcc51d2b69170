"""What the siege's honest visitors must get: the bytes of every path, learnt before the siege begins."""
import hashlib
import zlib


def digest(data):
    return hashlib.blake2b(data, digest_size=16).digest()


class Known:
    """Right answers by path. `changing` are pages whose content an import may replace or take away at any time."""

    def __init__(self, bodies, changing_bodies):
        changing_digests = {digest(b) for b in changing_bodies}
        self.big = max(bodies, key=lambda p: len(bodies[p]))
        self.big_bytes = bodies[self.big]
        self.right = {p: {digest(b)} for p, b in bodies.items()}
        self.changing = {p for p, d in self.right.items() if d & changing_digests}
        for p in self.changing:
            self.right[p] = changing_digests
        self.small = sorted(p for p in bodies if p != self.big)

    def wrong(self, path, want, status, coding, body, method="GET"):
        """What is wrong with an answer, or None. body: its bytes, or their digest."""
        if status != want and not (path in self.changing and status in (200, 404)):
            return f"{method} {path}: {status} instead of {want}"
        if status != 200 or method == "HEAD":
            return f"{method} {path}: a body with {status}" if body and status != 404 else None
        if coding not in (None, "identity", "gzip"):
            return f"{path}: the coding {coding} was not asked for"
        if coding == "gzip":
            try:
                body = zlib.decompress(body, 31)
            except zlib.error as e:
                return f"{path}: {e}"
        got = body if len(body) == 16 and path == self.big else digest(body)
        return None if got in self.right[path] else f"{path}: other bytes than before ({len(body)}, coding {coding})"

    def wrong_part(self, first, last, body):
        """Of the big page: the bytes from first to last."""
        return None if body == self.big_bytes[first:last + 1] else f"{self.big} bytes {first}-{last}: other bytes ({len(body)})"
