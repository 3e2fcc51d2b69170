"""cases: what is asked of whom, and what dozo has to reach.

A case asks dozo and its peers for the same thing; where they have no such thing (the metadata of a chapter) the peer is asked for what
the goal compares with, and the name of the case says so. Goals are ratios: figure of dozo divided by figure of the peer, at most.
"""
import dataclasses
import json
import random

PEERS = ("nginx", "h2o", "varnish", "lighttpd", "caddy", "apache")
TLS_PEERS = ("nginx", "h2o", "lighttpd", "caddy", "apache")
CHAPTERS = 411
CACHE_CONTROL = "public, max-age=86400"
SIZES = {"1-01.jpg": 1024, "1-02.jpg": 16 * 1024, "1-03.jpg": 150 * 1024}
LIST = "list.json"


def chapter(n):
    return {"metadata": {"title": "A title of the usual length", "page_count": 3, "volume": "1", "volume_cover": False},
            "links": {"viz": f"https://www.viz.com/vizmanga/a-series-chapter-{n}/chapter/{10000 + n}?action=read",
                      "komizip": f"https://read.example/{n}"}}


# What dozo sends as X-Metadata of chapter 1; the peers are told to send the same.
METADATA = json.dumps(chapter(1), separators=(",", ":"))


@dataclasses.dataclass(frozen=True)
class Ask:
    path: str
    method: str = "GET"
    status: int = 200
    headers: tuple = ()            # request headers, pairs
    conditional: bool = False      # with If-None-Match and the server's own ETag
    answer: tuple = ()             # headers that the answer must have


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    dozo: Ask
    peer: Ask
    peers: tuple = PEERS
    goals: dict = dataclasses.field(default_factory=dict)       # CPU time
    p99_goals: dict = dataclasses.field(default_factory=dict)
    connections: int = 64
    scheme: str = "http"
    handshakes: bool = False       # new connections instead of requests
    streams: int = 0               # over HTTP/2, so many requests at once on a connection; 0: HTTP/1.1
    same_body: bool = True


@dataclasses.dataclass(frozen=True)
class Group:
    key: str                       # for --groups
    title: str
    note: str
    cases: tuple
    p99_only: bool = False
    p99: bool = False              # its table though there is no goal


FULL = ("etag", "cache-control", "x-metadata", "content-type")


def page(file, **more):
    return {"dozo": Ask(f"/shelf/bench/cdn/{file}", answer=FULL, **more), "peer": Ask(f"/{file}", answer=FULL, **more)}


def groups():
    not_modified = {"conditional": True, "status": 304}
    nginx_304 = Ask("/1-01.jpg", **not_modified)
    gzip = {"headers": (("Accept-Encoding", "gzip"),), "answer": ("etag", "content-encoding")}
    p99 = {"nginx": 1.0}
    return [
        Group("objects", "Objects", "ETag, Cache-Control and X-Metadata on every answer; 64 connections.", (
            Case("1 KiB object", **page("1-01.jpg"), goals={"nginx": 0.70, "h2o": 1.0}, p99_goals=p99),
            Case("16 KiB object", **page("1-02.jpg"), goals={"nginx": 0.85, "h2o": 1.0}, p99_goals=p99),
            Case("150 KiB page", **page("1-03.jpg"), goals={"nginx": 0.95, "h2o": 0.55}, p99_goals=p99))),
        Group("small", "Answers without a body", "Beside the peers' 304. The metadata is X-Metadata and X-Chapters with 411 keys.", (
            Case("304 (If-None-Match)", **page("1-01.jpg", **not_modified) | {"peer": nginx_304,
                 "dozo": Ask("/shelf/bench/cdn/1-01.jpg", answer=("etag", "x-metadata"), **not_modified)}, goals={"nginx": 0.70}),
            Case("HEAD metadata, beside nginx's 304", Ask("/shelf/bench/cdn/7", "HEAD", answer=("x-metadata", "x-chapters")), nginx_304,
                 peers=("nginx",), goals={"nginx": 0.70}, same_body=False),
            Case("CDN 404, beside nginx's 304", Ask("/shelf/bench/cdn/9999-01.jpg", status=404), nginx_304,
                 peers=("nginx",), goals={"nginx": 0.70}, same_body=False))),
        Group("chapters", "`/v1/chapters`, 411 chapters", "The peers serve dozo's bytes from a file; gzip from a file made before.", (
            Case("identity", Ask("/shelf/bench/v1/chapters"), Ask(f"/{LIST}"), goals={"nginx": 1.0}),
            Case("gzip", Ask("/shelf/bench/v1/chapters", **gzip), Ask(f"/{LIST}", **gzip),
                 peers=("nginx", "h2o", "varnish", "caddy"), goals={"nginx": 1.0}))),
        Group("p99", "p99 latency with many connections, 16 KiB object", "Closed loop, see above.", (
            Case("64 connections", **page("1-02.jpg"), p99_goals=p99),
            Case("512 connections", **page("1-02.jpg"), connections=512, p99_goals=p99),
            Case("4,096 connections", **page("1-02.jpg"), connections=4096, p99_goals=p99)), p99_only=True),
        Group("https", "TLS, HTTP/1.1", "ECDSA P-256, TLS 1.3; 64 connections.", (
            Case("1 KiB object over https", **page("1-01.jpg"), peers=TLS_PEERS, scheme="https"),
            Case("150 KiB page over https", **page("1-03.jpg"), peers=TLS_PEERS, scheme="https"))),
        Group("h2", "HTTP/2 over TLS", "h2load; ECDSA P-256, TLS 1.3; connections × streams of each. lighttpd bears no more than 8 streams at once.", (
            tuple(Case(f"{name}, {connections} × {streams}", **page(file), peers=TLS_PEERS, scheme="https", connections=connections, streams=streams)
                  for name, file in (("1 KiB object", "1-01.jpg"), ("16 KiB object", "1-02.jpg"), ("150 KiB page", "1-03.jpg"))
                  for connections, streams in ((64, 1), (8, 16)))), p99=True),
        Group("handshakes", "TLS handshakes", "CPU of a new TLS 1.3 connection with one HEAD request; 1,000,000 divided by it is handshakes a CPU second.", (
            Case("full", **page("1-01.jpg"), peers=TLS_PEERS, scheme="https", handshakes=True),
            Case("resumed", **page("1-01.jpg"), peers=TLS_PEERS, scheme="https", handshakes=True))),
    ]


def make_files(folder):
    """The pages and the data file that dozo imports, and that the peers serve."""
    rnd = random.Random(1)
    cdn = folder / "cdn"
    cdn.mkdir()
    for file, size in SIZES.items():
        (cdn / file).write_bytes(b"\xff\xd8\xff\xe0" + rnd.randbytes(size - 6) + b"\xff\xd9")
    (folder / "chapters.json").write_text(json.dumps({str(n): chapter(n) for n in range(CHAPTERS, 0, -1)}, indent=4))
