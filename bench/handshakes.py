#!/usr/bin/env python3
"""handshakes: a client that only makes new TLS connections, each with one HEAD request; prints how many it made and how many of them
were resumed. Run by load.py on the core of the load: it is slow, but only the server's CPU time is looked at.

Usage: handshakes.py PORT PATH SECONDS full|resumed
"""
import socket
import ssl
import sys
import time


def main():
    port, path, seconds, resume = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4] == "resumed"
    context = ssl._create_unverified_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    request = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    session, made, resumed = None, 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), session=session if resume else None) as s:
            s.sendall(request)
            head = b""
            while got := s.recv(16384):
                head += got
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"answer: {head[:100]!r}")
            made += 1
            resumed += s.session_reused
            session = s.session
    print(made, resumed)


if __name__ == "__main__":
    main()
