"""Rate limits over real sockets: rules of routes, who counts as whom, and a real Redis that servers share and that dies, stops and comes back.

Windows are long where a count must not end by itself, so nothing depends on how fast a machine is. Each test starts its own redis-server
and ends it by its pid.
"""
import concurrent.futures
import json
import re
import signal
import socketserver
import threading

import pytest

from conftest import Raw, dozo, servers, until

LIMITS = 'rate_limit: {{ storage: "{}", timeout: {}, routes: {{ {} }} }}\n'
PATIENT = "60s"


class Redis(servers.Redis):
    def keys(self):
        return int(self.ask("EVAL \"return #redis.call('KEYS', 'dozo:limit:/api/*')\" 0").strip(":\r\n"))


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path) as r:
        yield r


def server(serve, folder, storage, routes, timeout=PATIENT, more=""):
    folder.mkdir(exist_ok=True)
    return serve(folder, LIMITS.format(storage, timeout, routes) + more)


def ping(s, who=None, **kw):
    return s.get("/api/ping", headers={**({"X-Forwarded-For": who} if who else {}), **kw.pop("headers", {})}, **kw)


def statuses(s, n, who=None):
    return [ping(s, who).status for _ in range(n)]


def metric(s, name):
    m = re.search(rf"^{re.escape(name)} (\d+)$", s.get("/metrics").text, re.M)
    return int(m[1]) if m else None


# ---- in this process ---------------------------------------------------------------------------------------------------------

def test_headers_and_bodies(tmp_path, serve):
    s = server(serve, tmp_path, "memory://", "/api/ping: 2 per 3 hours")
    first, second, third = ping(s), ping(s), ping(s)
    assert (first.status, first.text, first["RateLimit-Limit"], first["RateLimit-Remaining"], first["RateLimit-Reset"]) == (
        200, "pong", "2", "1", "10800")
    assert first["Retry-After"] is None
    assert (second.status, second["RateLimit-Remaining"]) == (200, "0")
    assert (third.status, third.reason, third["RateLimit-Limit"], third["RateLimit-Remaining"]) == (429, "Too Many Requests", "2", "0")
    assert third["Retry-After"] == third["RateLimit-Reset"] and 10000 < int(third["Retry-After"]) <= 10800
    assert third["Cache-Control"] == "no-store" and third["Content-Type"] == "application/json"
    assert third.text == '{"error": true, "description": "429: Too Many Requests: 2 per 3 hour."}'
    text = ping(s, headers={"Accept": "text/plain"})
    assert text["Content-Type"].startswith("text/plain") and text.text == "429 Too Many Requests: 2 per 3 hour\n"
    page = ping(s, headers={"Accept": "text/html"})
    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert "<title>429 Too Many Requests</title>" in page.text and "<p>2 per 3 hour</p>" in page.text
    head = s.head("/api/ping")
    assert head.status == 429 and head.body == b"" and head["RateLimit-Limit"] == "2"
    assert s.get("/api/version").status == 200
    assert metric(s, 'dozo_rate_limit_requests_total{result="allowed"}') == 2
    assert metric(s, 'dozo_rate_limit_requests_total{result="refused"}') == 4
    assert metric(s, "dozo_rate_limit_storage_up") == 1


def test_several_limits_and_the_end_of_a_window(tmp_path, serve):
    s = server(serve, tmp_path, "memory://", '/api/ping: "1/second; 3/hour"')
    got = [ping(s)]
    assert got[0].status == 200
    until(lambda: got.append(ping(s)) or [r.status for r in got].count(200) == 3, "two more windows")
    last = until(lambda: (r := ping(s))["RateLimit-Limit"] == "3" and r, "the limit of the hour")
    assert last.status == 429 and int(last["Retry-After"]) > 1000


def test_who_is_who(tmp_path, serve):
    """Clients by the address that a trusted proxy names, IPv6 by /64; what comes from nobody trusted is not believed."""
    s = server(serve, tmp_path, "memory://", "/api/: 1/hour")
    assert statuses(s, 2, "192.0.2.1") == [200, 429]
    assert statuses(s, 2, "192.0.2.2") == [200, 429]
    assert statuses(s, 1, "198.51.100.9, 192.0.2.1") == [429], "the last one is who the proxy saw"
    assert statuses(s, 1, "::ffff:192.0.2.1") == [429]
    assert statuses(s, 2, "2001:db8:1:2::1") == [200, 429]
    assert statuses(s, 1, "2001:db8:1:2:ffff::7") == [429]
    assert statuses(s, 1, "2001:db8:1:3::1") == [200]
    assert statuses(s, 2, "::ffff:192.0.2.77") == [200, 429]
    bare = server(serve, tmp_path / "b", "memory://", "/api/: 1/hour", more="http: { trusted_proxies: [] }\n")
    assert [*statuses(bare, 1, "192.0.2.1"), *statuses(bare, 1, "192.0.2.2")] == [200, 429]


def test_which_rule(tmp_path, serve):
    """The pattern of a route, then the longest beginning of the path; what watches and preflights are free."""
    s = server(serve, tmp_path, "memory://", '"/": 5/hour, "/api/": 3/hour, "/api/ping": 1/hour, "/series/{}": 2/hour, "/healthz": 1000/hour',
               more='http: { cors_origins: ["*"] }\n')

    def limit(path, **kw):
        return s.get(path, **kw)["RateLimit-Limit"]
    assert [limit("/api/ping"), limit("/api/version"), limit("/api/pingpong"), limit("/api/nothing"), limit("/series/1"), limit("/nothing"),
            limit("/api"), limit("/%61pi/version"), limit("/healthz"), limit("/metrics")] == [
                "1", "3", "3", "3", "2", "5", "5", "3", "1000", None]
    asked = s.request("OPTIONS", "/api/ping", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "GET"})
    assert asked.status < 300 and asked["RateLimit-Limit"] is None
    seen = s.get("/api/ping", headers={"Origin": "https://a.example"})
    assert seen.status == 429 and "RateLimit-Remaining" in seen["Access-Control-Expose-Headers"]


def test_tokens_are_tried_under_the_limit(tmp_path, serve):
    """The rule stands before the token, in this process and while Redis is asked, and does not stand in for it."""
    redis = Redis(tmp_path)
    try:
        for name, storage in (("memory", "memory://"), ("redis", redis.unix_uri)):
            s = server(serve, tmp_path / name, storage, '"/api/": 2/hour', more="auth: { token: right }\n")
            got = [s.request("POST", "/api/download/retry", headers={"Authorization": f"Bearer {t}"}).status for t in ("a", "b", "right")]
            assert got == [401, 401, 429], name
    finally:
        redis.kill()


@pytest.mark.parametrize("routes, says", [
    ('"/serie/{}": 1/second', 'no route has the pattern "/serie/{}"'),
    ('"/api/": 1/fortnight', "at character 3 has none of the units"),
])
def test_wrong_rules_stop_the_start(tmp_path, routes, says):
    (tmp_path / "dozo.yaml").write_text('listen: ["127.0.0.1:0"]\n' + LIMITS.format("memory://", "1s", routes))
    r = dozo("serve", cwd=tmp_path)
    assert r.returncode != 0 and says in r.err


def test_wrong_patterns_are_known_before_the_start(tmp_path):
    """config check names a pattern that no route has; those of uploads are where the settings put them."""
    def check(routes, more=""):
        (tmp_path / "dozo.yaml").write_text(LIMITS.format("memory://", "1s", routes) + more)
        return dozo("config", "check", "--json", cwd=tmp_path)
    for routes in ('"/series/{}": 1/second', '"/api/dl_state/{}": 1/second', '"/image/{}": 1/second', '"/api/": 1/second', '"/nowhere": 1/second'):
        assert check(routes).returncode == 0, routes
    for routes in ('"/serie/{}": 1/second', '"/series/{id}": 1/second', '"/api/dl_state/{}/": 1/second', '"/pics/{}": 1/second'):
        r = check(routes)
        (fault,) = json.loads(r.out)["faults"]
        assert r.returncode == 1 and fault.startswith("rate_limit.routes: no route has the pattern " + routes.split(":")[0]), r.out
    assert check('"/pics/{}": 1/second', "uploads: { endpoint: /pics/ }\n").returncode == 0


def test_reload(tmp_path, serve):
    s = server(serve, tmp_path, "memory://", "/api/ping: 1/hour")
    assert statuses(s, 2) == [200, 429]
    s.config.write_text('listen: ["127.0.0.1:0"]\n' + LIMITS.format("memory://", PATIENT, "/api/ping: 2/hour"))
    s.process.send_signal(signal.SIGHUP)
    until(lambda: ping(s)["RateLimit-Limit"] == "2", "the new rule")
    s.config.write_text('listen: ["127.0.0.1:0"]\n' + LIMITS.format("memory://", PATIENT, '"/no/{}/such": 2/hour'))
    s.process.send_signal(signal.SIGHUP)
    until(lambda: "no route has the pattern" in s.read_log(), "the complaint")
    assert ping(s)["RateLimit-Limit"] == "2"


# ---- GraphQL ------------------------------------------------------------------------------------------------------------------

def query(s, who="192.0.2.1", method="POST"):
    head = {"X-Forwarded-For": who, "Content-Type": "application/graphql"}
    if method == "GET":
        return s.get("/api/graphql?query={__typename}", headers=head)
    return s.request("POST", "/api/graphql", headers=head, body=b"{__typename}")


@pytest.mark.parametrize("storage", ["memory://", "redis"])
def test_graphql(tmp_path, serve, storage):
    """The variables of the service before this one; the page is free, queries by GET are not; the refusal is HTML as there."""
    redis = Redis(tmp_path) if storage == "redis" else None
    try:
        env = {"RATELIMIT_STORAGE_URL": redis.unix_uri if redis else storage, "RATELIMIT": "1 per HOUR", "DOZO_RATE_LIMIT_TIMEOUT": PATIENT}
        s = serve(tmp_path, "", env=env)
        first = query(s)
        assert first.status == 200 and first["RateLimit-Remaining"] == "0"
        for _ in range(3):
            page = s.get("/api/graphql", headers={"Accept": "text/html", "X-Forwarded-For": "192.0.2.1"})
            assert page.status == 200 and b"RateLimit" not in page.raw_head
        for refused in (query(s), query(s, method="GET"), s.request("POST", "/api/graphql", headers={"X-Forwarded-For": "192.0.2.1"}, body=b"{")):
            assert refused.status == 429 and refused["Content-Type"] == "text/html; charset=utf-8"
            assert "<title>429 Too Many Requests</title>" in refused.text and "<p>1 per 1 hour</p>" in refused.text
            assert 3000 < int(refused["Retry-After"]) <= 3600
        asked = s.request("OPTIONS", "/api/graphql", headers={"X-Forwarded-For": "192.0.2.1"})
        assert (asked.status, asked["RateLimit-Limit"]) == (200, None)
        assert query(s, "192.0.2.2").status == 200
    finally:
        if redis:
            redis.kill()


def test_graphql_by_get_can_be_free(tmp_path, serve):
    s = serve(tmp_path, "rate_limit: { storage: 'memory://', graphql: 1/hour, graphql_get: false }\n")
    assert [query(s).status, query(s).status] == [200, 429]
    for _ in range(3):
        r = query(s, method="GET")
        assert r.status == 200 and b"RateLimit" not in r.raw_head
    assert s.request("PUT", "/api/graphql", headers={"X-Forwarded-For": "192.0.2.1"}).status == 429


def test_graphql_after_a_second(tmp_path, serve):
    s = serve(tmp_path, "", env={"RATELIMIT_STORAGE_URL": "memory://"})
    assert query(s)["RateLimit-Limit"] == "1"
    until(lambda: query(s).status == 429, "a refusal")
    until(lambda: query(s).status == 200, "the next second")


# ---- in Redis ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("strategy", ["fixed", "moving"])
def test_two_servers_share(tmp_path, serve, redis, strategy):
    """1,000 requests of 50 clients over two servers at once: each client gets its 7, no more, whoever it asks."""
    text = f'rate_limit: {{ storage: "{redis.unix_uri}", timeout: {PATIENT}, strategy: {strategy}, routes: {{ "/api/": "7/hour; 100/day" }} }}\n'
    two = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        two.append(serve(tmp_path / name, text))

    def client(i):
        got = []
        for k in range(20):
            got.append(ping(two[(i + k) % 2], f"10.0.0.{i}").status)
        return got
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        all_got = list(pool.map(client, range(50)))
    assert [(g.count(200), g.count(429)) for g in all_got] == [(7, 13)] * 50
    assert all(sorted(g) == g for g in all_got), "nobody was let in again"
    assert sum(metric(s, 'dozo_rate_limit_requests_total{result="allowed"}') for s in two) == 350
    assert [metric(s, "dozo_rate_limit_alone_total") for s in two] == [0, 0]
    assert redis.keys() == 100


def test_a_clock_that_was_set_back(tmp_path, serve, redis):
    """A count of Redis ends when its clock says so: one that is set back an hour does not shut a client out for that hour."""
    s = server(serve, tmp_path / "a", redis.unix_uri, '"/api/": 2/minute')
    assert statuses(s, 3) == [200, 200, 429]
    key = re.search(r"dozo:limit:/api/:\S+", redis.ask("EVAL \"return redis.call('KEYS', 'dozo:limit:/api/*')[1]\" 0"))[0]
    assert redis.ask(f"PEXPIRE {key} 3660000") == ":1\r\n"
    again = ping(s)
    assert (again.status, again["RateLimit-Remaining"], again["RateLimit-Reset"]) == (200, "1", "60")
    assert statuses(s, 2) == [200, 429]


def test_a_thousand_clients(tmp_path, serve, redis):
    """On a thousand connections that all wait for Redis at the same time; pipelined requests keep their order."""
    s = server(serve, tmp_path / "a", redis.unix_uri, '"/api/": 1/hour')
    clients = [Raw(s.address) for _ in range(1000)]
    for i, c in enumerate(clients):
        one = f"GET /api/ping HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.1.{i // 250}.{i % 250}\r\n\r\n"
        c.send((one + one + one.replace("/api/ping", "/nothing")).encode())
    for c in clients:
        assert [c.response().status for _ in range(3)] == [200, 429, 404]
        c.close()
    assert metric(s, "dozo_rate_limit_alone_total") == 0


def test_killed_and_started_again(tmp_path, serve, redis):
    """In the middle of requests: none fails, this process counts on, one line says so, and another that it is over."""
    s = server(serve, tmp_path / "a", redis.unix_uri, '"/api/": 3/hour', more="http: { threads: 2 }\n")
    assert statuses(s, 4, "192.0.2.1") == [200, 200, 200, 429]
    redis.pause()
    clients = [s.connect() for _ in range(20)]
    for c in clients:
        c.send(b"GET /api/ping HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n")
    redis.kill()
    got = [c.response().status for c in clients]
    assert got.count(200) == 3 and got.count(429) == 17
    assert statuses(s, 2, "192.0.2.3") == [200, 200]
    until(lambda: metric(s, "dozo_rate_limit_storage_up") == 0, "the loss in the metrics")
    assert s.get("/healthz").status == 200
    alone = metric(s, "dozo_rate_limit_alone_total")
    assert alone >= 20
    redis.start()
    until(lambda: metric(s, "dozo_rate_limit_storage_up") == 1, "the return")
    assert statuses(s, 4, "192.0.2.2") == [200, 200, 200, 429], "a new Redis has not counted anything"
    assert redis.keys() == 1
    log = s.read_log()
    assert log.count("Redis is lost, so this process counts alone") == 1 and log.count("counted in Redis again") == 1


def test_stopped_redis(tmp_path, serve, redis):
    """A Redis that takes connections and says nothing costs the requests under way one timeout, and the others nothing."""
    s = server(serve, tmp_path / "a", redis.unix_uri, '"/api/": 1000/hour', timeout="300ms")
    until(lambda: ping(s).status == 200 and redis.keys() == 1, "a first count")
    until(lambda: metric(s, "dozo_rate_limit_storage_up") == 1)
    redis.pause()
    until(lambda: ping(s).status == 200 and metric(s, "dozo_rate_limit_storage_up") == 0, "the loss")
    assert statuses(s, 50) == [200] * 50
    assert metric(s, "dozo_rate_limit_alone_total") >= 50
    redis.resume()
    until(lambda: metric(s, "dozo_rate_limit_storage_up") == 1, "the return")


LIES = {
    "more than asked": b"+OK\r\n" * 500, "a long list": b"*1000000000\r\n" + b":1\r\n" * 1000, "deep": b"*1\r\n" * 100000,
    "numbers": b"*3\r\n:%d\r\n:-1\r\n:-1\r\n" % (2**63 - 1), "a long text": b"$2000000000\r\nxxx", "nothing": b"$-1\r\n",
    "no script": b"-NOSCRIPT no\r\n" * 40, "bytes": bytes(range(256)) * 16,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_redis_that_lies(tmp_path, serve, lie):
    """Answers of a wrong kind, of a claimed length, and more than were asked for: counted here, and the server lives."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), type("Liar", (socketserver.BaseRequestHandler,), {"handle": lambda h: answer_always(h.request, LIES[lie])})) as liar:
        liar.daemon_threads = True
        threading.Thread(target=liar.serve_forever, daemon=True).start()
        s = serve(tmp_path, f"rate_limit: {{ storage: 'redis://127.0.0.1:{liar.server_address[1]}', graphql: 3/hour }}\n")
        until(lambda: "Redis is lost" in s.read_log())
        assert [query(s).status for _ in range(5)] == [200, 200, 200, 429, 429]
        liar.shutdown()


def answer_always(connection, answer):
    try:
        while connection.recv(65536):
            connection.sendall(answer)
    except OSError:
        pass


def test_no_redis_at_the_start(tmp_path, serve):
    """Neither the start nor a request fails; when Redis comes, it is used."""
    s = server(serve, tmp_path / "a", f"redis+unix://{tmp_path}/redis.sock?db=2", '"/api/": 2/hour')
    assert statuses(s, 3) == [200, 200, 429]
    redis = Redis(tmp_path)
    try:
        until(lambda: metric(s, "dozo_rate_limit_storage_up") == 1, "the return")
        assert statuses(s, 3) == [200, 200, 429]
        assert until(lambda: "db2:keys=1" in redis.ask("INFO keyspace"), "the key in the database")
    finally:
        redis.kill()


def test_a_port_and_a_password(tmp_path, serve):
    """Over TCP by the name of a host; the password is in no log and no dump."""
    with Redis(tmp_path, password="hush/hush") as redis:
        storage = f"redis://:hush%2Fhush@localhost:{redis.port}/1"
        s = server(serve, tmp_path / "a", storage, '"/api/": 1/hour')
        assert statuses(s, 2) == [200, 429]
        assert metric(s, "dozo_rate_limit_alone_total") == 0
        wrong = server(serve, tmp_path / "b", storage.replace("hush%2Fhush", "hash"), '"/api/": 1/hour')
        assert statuses(wrong, 2) == [200, 429]
        assert "WRONGPASS" in wrong.read_log() and metric(wrong, "dozo_rate_limit_storage_up") == 0
        assert "hush" not in s.read_log() + wrong.read_log() and "hash" not in wrong.read_log()
