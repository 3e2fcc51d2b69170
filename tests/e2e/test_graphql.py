"""/api/graphql as clients of KVM48 know it (contracts/kvm48.md sections 4, 5 and 9), over real sockets and the rows of its own tests."""
import concurrent.futures
import gzip
import hashlib
import json
import pathlib
import re
import socket
import sqlite3

import pytest

from conftest import until
from kvm48 import FIELDS, VODS, Kvm48, as_answered, store, vod

BY_ID = {row[0]: as_answered(row) for row in VODS}
CLIENT_QUERY = "query perfVods($ids: [String!], $from: Int, $to: Int, $group: Group) {perfVods(ids: $ids, from: $from, to: $to, group: $group) {id}}"
NO_QUERY, NOT_BOTH = "Must provide query string.", "'from', 'to' and 'group' are not allowed when 'ids' is specified."
NOTHING = "Either 'ids', or 'from' and 'to' must be specified."
ODD = [
    vod("odd-sd", 1, 9001, 1, sd="sd", hd=None, fhd=None), vod("odd-empty", 1, 9002, 2, sd=None, hd="hd", fhd=""),
    vod("odd-none", 2, 9003, 3, sd=None, hd="", fhd=None), vod("odd-club", 9, 9004, 4), vod("odd-last", 3, 9005, 5),
]


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    s = Kvm48(tmp_path_factory.mktemp("graphql"), VODS + ODD)
    yield s
    assert s.stop() == 0


def message(r, status=400):
    assert (r.status, r["content-type"]) == (status, "application/json"), r.text
    answer = json.loads(r.text)
    assert list(answer) == ["errors"]
    return answer["errors"][0]["message"]


def ids_of(answer):
    assert "errors" not in answer, answer
    return [v and v["id"] for v in answer["data"]["perfVods"]]


# ---- addresses and methods -----------------------------------------------------------------------------------------------------------

def test_addresses(web, tmp_path, serve):
    r = web.get("/api/")
    assert (r.status, r["location"]) == (302, "/api/graphql")
    r = web.get("/api")
    assert (r.status, r["location"]) == (308, "/api/")
    for path in ("/api/graphql/", "/api/graphql/?query={revision}", "/api/graphql/more"):
        r = web.get(path)
        assert (r.status, r["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Nothing here yet" in web.get("/").text
    home = "https://github.com/SNH48Live/KVM48#readme"
    s = serve(tmp_path, f'graphql: {{ home: "{home}" }}\n')
    for method in ("GET", "HEAD"):
        r = s.request(method, "/")
        assert (r.status, r["location"]) == (302, home)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "PROPFIND"])
def test_methods(web, method):
    r = web.request(method, "/api/graphql?query={revision}")
    if method in ("PUT", "DELETE", "HEAD"):
        assert (r.status, r["allow"], r["content-type"]) == (405, "GET, POST", "application/json")
        if method != "HEAD":
            assert r.text == '{"errors":[{"message":"GraphQL only supports GET and POST requests."}]}'
        return
    assert set(r["allow"].split(", ")) == {"OPTIONS", "PUT", "POST", "DELETE", "HEAD", "GET"}
    assert (r.status, r["content-type"]) == (200 if method == "OPTIONS" else 405, "text/html; charset=utf-8")
    assert (r.body == b"") == (method == "OPTIONS")


# ---- transport -----------------------------------------------------------------------------------------------------------------------

def test_the_simplest(web):
    r = web.get("/api/graphql?query={revision}")
    assert (r.status, r["content-type"], r.text) == (200, "application/json", '{"data":{"revision":"20190429.1"}}')
    r = web.get("/api/graphql?query={revision}&pretty=1")
    assert r.text == '{\n  "data": {\n    "revision": "20190429.1"\n  }\n}'
    assert web.get("/api/graphql?query={revision}&pretty=").text == '{"data":{"revision":"20190429.1"}}'


def test_without_a_query(web):
    for r in (web.get("/api/graphql"), web.fetch(accept="*/*"), web.post({}), web.post({"query": ""}), web.post({"query": 0}),
              web.post("query=", "application/x-www-form-urlencoded"), web.post('{"query":"{revision}"}', "text/plain"),
              web.request("POST", "/api/graphql")):
        assert message(r) == NO_QUERY


def form(boundary, *parts):
    out = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n' for name, value, more in parts]
    return "".join(out) + f"--{boundary}--\r\n"


def test_bodies(web):
    query = "query Q($ids: [String]) {perfVods(ids: $ids) {id}} query R {revision}"
    want = {"data": {"perfVods": [{"id": VODS[0][0]}]}}
    variables = {"ids": [VODS[0][0]]}
    text = json.dumps(variables)
    bodies = [
        (json.dumps({"query": query, "variables": variables, "operationName": "Q"}), "application/json", ""),
        (json.dumps({"query": query, "variables": text, "operationName": "Q"}), "Application/JSON; charset=utf-8", ""),
        (json.dumps({"query": query}), "application/json", "?operationName=Q&variables=" + text.replace('"', "%22").replace(" ", "")),
        (query, "application/graphql", "?operationName=Q&variables=" + text.replace('"', "%22").replace(" ", "")),
        ("operationName=Q&query=" + query.replace(" ", "+") + "&variables=" + text, "application/x-www-form-urlencoded", ""),
        (form("xYz", ("query", query, ""), ("variables", text, ""), ("operationName", "Q", "")), 'multipart/form-data; boundary="xYz"', ""),
        ("", "text/plain", "?query=" + query.replace(" ", "%20") + "&operationName=Q&variables=" + text.replace('"', "%22").replace(" ", "")),
    ]
    for body, kind, more in bodies:
        r = web.post(body, kind, more)
        assert (r.status, json.loads(r.text)) == (200, want), (kind, r.text)
    # What the body says goes before the address, and a file is no field.
    assert web.post({"query": "{revision}"}, query="?query={nothing}").status == 200
    r = web.post(form("b", ("query", "{nothing}", '; filename="q"')), "multipart/form-data; boundary=b", "?query={revision}")
    assert r.status == 200


def test_bad_bodies(web):
    assert message(web.post("{")) == message(web.post("")) == message(web.post(b'{"query": "\xff"}')) == "POST body sent invalid JSON."
    for number in ("9" * 30, "1e999"):
        assert message(web.post('{"query":"{revision}","variables":{"a":%s}}' % number)) == "The request has a number that is out of range."
    for body in ("[]", '[{"query":"{revision}"}]'):
        assert message(web.post(body)) == "Batch GraphQL requests are not enabled."
    for body, shown in (("true", "True"), ("null", "None"), ("5", "5"), ('"x"', "x")):
        assert message(web.post(body)) == f"GraphQL params should be a dict. Received {shown}."
    assert message(web.post({"query": "{revision}", "variables": "{"})) == "Variables are invalid JSON."
    assert message(web.fetch(query="{revision}", variables="{")) == "Variables are invalid JSON."
    for body in ({"query": ["x"]}, {"query": "{revision}", "variables": [1]}, {"query": "{revision}", "operationName": {"a": 1}},
                 {"query": "{revision}", "extensions": "x"}):
        message(web.post(body))
    for kind, body in (("multipart/form-data", "x"), ("multipart/form-data; boundary=b", "x"), ("multipart/form-data; boundary=b", "--b\r\n"),
                       ("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: file\r\n\r\nx\r\n--b--")):
        assert message(web.post(body, kind)).startswith("The form cannot be read: ")
    assert "4 MiB" in message(web.post({"query": "{revision}", "variables": {"x": "y" * (4 << 20)}}))


def test_bodies_that_ask_for_much_memory(web):
    """Within 4 MiB, but with more parameters or values than a request may have: refused, and the server lives."""
    kind = "application/x-www-form-urlencoded"
    for body in ("a=b&" * 900000, "%=&" * 1300000):
        assert "1000 parameters" in message(web.post(body, kind))
    assert web.post("a=b&" * 900 + "query={revision}", kind).status == 200
    many = '{"a":[%s1],"b":[%s""]}' % ("1," * 1800000, '"",' * 140000)
    empty = '{"a":[%s{}]}' % ("{}," * 1000000)
    assert "100,000 values" in message(web.post('{"query":"{revision}","variables":%s}' % empty))
    assert "100,000 values" in message(web.post('{"query":"{revision}","extensions":%s}' % many))
    for kind, body in (("multipart/form-data; boundary=b", form("b", ("query", "{revision}", ""), ("variables", many, ""))),
                       ("application/x-www-form-urlencoded", "query={revision}&variables=" + empty),
                       ("application/x-www-form-urlencoded", "query={revision}&extensions=" + empty)):
        assert "100,000 values" in message(web.post(body, kind))
    assert web.ask("{revision}") == {"data": {"revision": "20190429.1"}}


def test_large_requests(web):
    """Above 16 KiB a worker reads the request and makes the answer: the same one, or the same refusal."""
    ids = [row[0] for row in VODS]
    many = (ids * 20000)[:60000]
    assert ids_of(web.ask("query ($ids: [String]) {perfVods(ids: $ids) {id}}", {"ids": many})) == many
    blanks = " " * 40000
    r = web.post({"query": "{revision}" + blanks}, query="?pretty=1")
    assert (r.status, r.text) == (200, '{\n  "data": {\n    "revision": "20190429.1"\n  }\n}')
    assert web.ask("{jobs {totalCount}}" + blanks) == {"data": {"jobs": {"totalCount": 0}}}
    assert web.ask("mutation {x}" + blanks)["data"] is None
    for body, kind in ((form("b", ("query", "{revision}" + blanks, "")), "multipart/form-data; boundary=b"), ("{revision}" + blanks, "application/graphql"),
                       ("query={revision}" + "+" * 40000, "application/x-www-form-urlencoded")):
        assert web.post(body, kind).text == '{"data":{"revision":"20190429.1"}}'
    assert message(web.post({"query": "{nothing}" + blanks})).startswith("Cannot query field")
    assert message(web.post({"query": blanks * 4})).startswith("The document is longer than")
    assert message(web.post({"query": "", "variables": {"a": blanks}})) == NO_QUERY
    assert message(web.post("{" + blanks)) == "POST body sent invalid JSON."
    assert message(web.post("[" + blanks + "]")) == "Batch GraphQL requests are not enabled."
    assert message(web.post({"query": "{revision}", "variables": "{" + blanks})) == "Variables are invalid JSON."
    assert message(web.post({"query": "query ($a: Int!) {revision}", "variables": {"b": blanks}})).startswith('Variable "$a"')
    r = web.post({"query": "{revision}" + blanks}, Accept="application/graphql-response+json")
    assert r["content-type"] == "application/graphql-response+json"


def test_all_answers_share_a_bound(tmp_path):
    """What requests hold that have not been sent is bounded in all: who comes then is told to come back, and small ones go on."""
    rows = [vod(f"k{i:05}", i % 5 + 1, i, 1000 + i) for i in range(3000)]
    s = Kvm48(tmp_path, rows, config="graphql: { max_memory: 16MiB }\nhttp: { body_timeout: 1h }\n")
    body = json.dumps({"query": "{%s}" % " ".join("a%d: perfVods(from: 0, to: 9999) {%s}" % (i, FIELDS) for i in range(8))}).encode()
    ask = b"POST /api/graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    slow = []
    try:
        assert len(s.post(body).body) > 6 << 20

        def one_more():
            """One that asks and does not read. Of several that ask at once each may have taken what the others needed, and all are refused."""
            slow.append(s.connect())
            # Else the kernel takes a whole answer for who does not read it.
            slow[-1].sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow[-1].send(ask)
            return s.post(body).status == 503 and s.post(body).status == 503
        until(one_more)
        r = s.post(body)
        assert (r.status, r["retry-after"]) == (503, "1") and "at once" in json.loads(r.text)["errors"][0]["message"]
        assert s.ask("{revision}") == {"data": {"revision": "20190429.1"}}
        for c in slow:
            c.close()
        until(lambda: s.post(body).status == 200)
    finally:
        assert s.stop() == 0


def test_operations(web):
    r = web.get("/api/graphql?query=mutation{x}")
    assert (r["allow"], message(r, 405)) == ("POST", "Can only perform a mutation operation from a POST request.")
    assert message(web.get("/api/graphql?query=subscription{x}"), 405).startswith("Can only perform a subscription operation")
    for kind in ("mutation", "subscription"):
        answer = web.ask(kind + "{x}")
        assert answer["data"] is None and answer["errors"][0]["message"] == f"Schema is not configured for {kind}s"
    two = "query A {revision} query B {__typename}"
    assert web.ask(two, operationName="B") == {"data": {"__typename": "Query"}}
    assert "errors" in web.ask(two, status=400) and "errors" in web.ask(two, operationName="C", status=400)


def test_ascii_only(web):
    r = web.post({"query": '{perfVod(id: "%s") {title}}' % VODS[0][0]})
    assert r.body.isascii() and json.loads(r.text)["data"]["perfVod"]["title"] == VODS[0][3]


def test_compressed(web):
    r = web.post({"query": "{perfVods(from: 0, to: 2000000000) {id title}}"}, **{"Accept-Encoding": "gzip"})
    assert r["content-encoding"] == "gzip" and "剧场公演" in json.dumps(json.loads(gzip.decompress(r.body)), ensure_ascii=False)


# ---- queries -------------------------------------------------------------------------------------------------------------------------

def test_one(web):
    answer = web.ask("query ($id: String!) {perfVod(id: $id) {%s}}" % FIELDS, {"id": "324479006245982208"})
    assert answer == {"data": {"perfVod": BY_ID["324479006245982208"]}}
    assert list(answer["data"]["perfVod"]) == FIELDS.split()
    assert answer["data"]["perfVod"]["l4cUrl"].endswith("/club/1/id/2772")
    assert web.ask('{perfVod(id: "0") {id}}') == {"data": {"perfVod": None}}


def test_ids(web):
    known = [VODS[0][0], VODS[4][0], VODS[2][0]]
    query = "query ($ids: [String]) {perfVods(ids: $ids) {id}}"
    assert ids_of(web.ask(query, {"ids": [*known, "0", None]})) == [*known, None, None]
    assert ids_of(web.ask(query, {"ids": [known[0]] * 3})) == [known[0]] * 3
    assert ids_of(web.ask(query, {"ids": []})) == [] == ids_of(web.ask("{perfVods(ids: []) {id}}"))
    assert ids_of(web.ask(query, {"ids": known[1]})) == [known[1]] == ids_of(web.ask('{perfVods(ids: "%s") {id}}' % known[1]))


def test_ranges(web):
    variables = {"ids": None, "from": 1555776000, "to": 1555840800, "group": "SNH48"}
    assert ids_of(web.ask(CLIENT_QUERY, variables)) == ["324479006245982208", "326091353251188736"]
    variables["group"] = None
    assert ids_of(web.ask(CLIENT_QUERY, variables)) == ["324479006245982208", "324479006241787904", "326091353251188736"]
    assert ids_of(web.ask(CLIENT_QUERY, {**variables, "group": "BEJ48"})) == []
    assert ids_of(web.ask("{perfVods(from: 0, to: 0) {id}}")) == ids_of(web.ask("{perfVods(from: 9, to: 1) {id}}")) == []
    # From inclusive, to exclusive.
    assert ids_of(web.ask("{perfVods(from: 1555825500, to: 1555826400, ids: null) {id}}")) == ["324479006245982208"]


def test_rules_of_arguments(web):
    for text, words in (("perfVods", NOTHING), ("perfVods(from: 1)", NOTHING), ("perfVods(group: SNH48)", NOTHING), ("perfVods(ids: null)", NOTHING),
                        ('perfVods(ids: ["1"], group: SNH48)', NOT_BOTH), ("perfVods(ids: [], from: 0, to: 1)", NOT_BOTH)):
        r = web.post({"query": "{a: %s {id}}" % text})
        answer = json.loads(r.text)
        assert (r.status, list(answer), answer["data"]) == (200, ["errors", "data"], {"a": None})
        (error,) = answer["errors"]
        assert error == {"message": words, "locations": [{"line": 1, "column": 2}], "path": ["a"]}
        assert list(error) == ["message", "locations", "path"]


@pytest.mark.parametrize("query", [
    '{perfVods(from: 0, to: 1, group: "SNH48") {id}}', "{perfVods(from: 0, to: 1, group: FOO) {id}}", "{nothing}", "{perfVods(from: 0, to: 1)}",
    "{perfVod {id}}", "{perfVods(from: 2147483648, to: 1) {id}}", "{revision", "query ($x: Int) {revision}", "{perfVod(id: 5) {id}}",
    "{revision @nowhere}", '{perfVod(id: "1", id: "2") {id}}'])
def test_refused(web, query):
    message(web.post({"query": query}))


def test_variables(web):
    assert "errors" in web.ask(CLIENT_QUERY, {"from": 0, "to": 1, "group": "FOO"}, status=400)
    # What the original took.
    assert ids_of(web.ask(CLIENT_QUERY, {"from": "1555776000", "to": 1555826400.5})) == ["324479006245982208"]
    assert web.ask("query ($id: String!) {perfVod(id: $id) {id}}", {"id": 324479006245982208}) == {"data": {"perfVod": {"id": "324479006245982208"}}}


def test_odd_rows(web):
    answer = web.ask("{perfVods(from: 1, to: 6) {id group sdStream hdStream fhdStream bestStream}}")
    sd, empty, none, club, last = answer["data"]["perfVods"]
    assert sd["bestStream"] == sd["sdStream"] == ODD[0][6]
    assert (empty["fhdStream"], empty["bestStream"]) == ("", ODD[1][7])
    assert none is None and club is None and last["id"] == "odd-last"
    assert [(e["message"], e["path"]) for e in answer["errors"]] == [
        ("Cannot return null for non-nullable field PerfVOD.bestStream.", ["perfVods", 2, "bestStream"]),
        ("9 is not a valid Group", ["perfVods", 3, "group"])]
    assert ids_of(web.ask("{perfVods(from: 3, to: 5) {id}}")) == ["odd-none", "odd-club"]


EVERYTHING = """{__schema {description queryType {name} mutationType {name} types {name description
  fields(includeDeprecated: true) {name description args(includeDeprecated: true) {name description}}
  inputFields(includeDeprecated: true) {name description} enumValues(includeDeprecated: true) {name description}}
  directives {name description onField args {name description}}}}"""


def undescribed(value, path=""):
    """Every part of an introspection that has no description."""
    if isinstance(value, list):
        return [p for v in value for p in undescribed(v, path)]
    if not isinstance(value, dict):
        return []
    path += "." + value.get("name", "")
    below = [p for v in value.values() for p in undescribed(v, path)]
    return below + ([path] if "description" in value and not value["description"] else [])


def test_introspection(web):
    schema = web.ask(EVERYTHING)["data"]["__schema"]
    assert schema["queryType"]["name"] == "Query" and schema["mutationType"] is None
    types = {t["name"]: t for t in schema["types"]}
    assert [f["name"] for f in types["PerfVOD"]["fields"]] == FIELDS.split()
    assert undescribed(schema) == []


# ---- what changes --------------------------------------------------------------------------------------------------------------------

def test_rows_that_come_later(tmp_path, serve):
    s = Kvm48(tmp_path, rows=None)
    try:
        assert "errors" not in s.ask("{__typename}") and s.ask("{revision}", status=400)
        store(tmp_path, VODS[:1])
        until(lambda: s.post({"query": "{revision}"}).status == 200, "the collection appears")
        assert len(ids_of(s.ask("{perfVods(from: 0, to: 2000000000) {id}}"))) == 1
        store(tmp_path, VODS)
        until(lambda: len(ids_of(s.ask("{perfVods(from: 0, to: 2000000000) {id}}"))) == 5, "the rows appear")
    finally:
        assert s.stop() == 0


def test_many_rows(tmp_path):
    """A range of thousands is whole, in order, and others are answered while it is made."""
    rows = [vod(f"k{i:05}", i % 5 + 1, i, 1000000 + (i * 7919) % 6000) for i in range(6000)]
    s = Kvm48(tmp_path, rows)
    try:
        slow = s.connect()
        body = json.dumps({"query": "{perfVods(from: 0, to: 2000000000) {%s}}" % FIELDS}).encode()
        slow.send(b"POST /api/graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert s.get("/api/graphql?query={revision}").status == 200
        got = json.loads(slow.response().text)["data"]["perfVods"]
        slow.close()
        assert [v["startTime"] for v in got] == sorted(r[5] for r in rows) and len({v["id"] for v in got}) == 6000
        # Many queries that pass over most rows are a worker's.
        none = s.ask("{%s}" % " ".join(f'a{i}: perfVods(from: 5000000, to: 6000000, group: CKG48) {{id}}' for i in range(400)))
        assert none == {"data": {f"a{i}": [] for i in range(400)}}
    finally:
        assert s.stop() == 0


def test_too_large_for_memory(tmp_path):
    """A collection that is not kept in memory gives the same answers."""
    s = Kvm48(tmp_path, rows=None)
    filler = "x" * 100000
    rows = [(f"big{i:04}", i % 5 + 1, i, filler, None, 1000 + i, "sd", None, "") for i in range(800)]
    try:
        store(tmp_path, rows + VODS)
        until(lambda: s.post({"query": "{revision}"}).status == 200)
        assert s.ask('{a: perfVod(id: "%s") {%s} b: perfVod(id: "0") {id}}' % (VODS[2][0], FIELDS)) == {
            "data": {"a": BY_ID[VODS[2][0]], "b": None}}
        want = [VODS[0][0], None, "big0003", VODS[0][0]]
        assert ids_of(s.ask("query ($ids: [String]) {perfVods(ids: $ids) {id}}", {"ids": [VODS[0][0], "0", "big0003", VODS[0][0]]})) == want
        assert ids_of(s.ask("{perfVods(from: 1000, to: 1800) {id}}")) == [r[0] for r in rows]
        assert ids_of(s.ask("{perfVods(from: 1000, to: 1800, group: BEJ48) {id}}")) == [r[0] for r in rows if r[1] == 2]
        assert s.ask("{perfVods {id}}")["errors"][0]["message"] == NOTHING
    finally:
        assert s.stop() == 0


def test_many_at_workers(web):
    """More at once than there are places for what reads the catalog: they wait, and each is answered."""
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: web.ask("{jobs {totalCount}}"), range(200)))
    assert all(a == {"data": {"jobs": {"totalCount": 0}}} for a in answers)


# ---- limits and extensions -----------------------------------------------------------------------------------------------------------

def test_limits(tmp_path, serve):
    s = Kvm48(tmp_path, config="graphql: { max_bytes: 2KiB, max_tokens: 60, max_depth: 4, max_aliases: 3, max_nodes: 20, introspection: false }\n")
    try:
        for query in ("{revision} #" + "x" * 3000, "{" + "revision " * 70 + "}", "{seriesList {edges {node {cover {url}}}}}",
                      "{" + " ".join(f"a{i}: revision" for i in range(4)) + "}", "{" + "revision " * 30 + "}",
                      "{__schema {queryType {name}}}", '{__type(name: "Query") {name}}'):
            message(s.post({"query": query}))
        assert s.ask("{a: revision __typename}") == {"data": {"a": "20190429.1", "__typename": "Query"}}
    finally:
        assert s.stop() == 0


def test_persisted(tmp_path, web):
    def extension(text):
        return {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}}
    ask = {"extensions": extension("{revision}")}
    r = web.post(ask)
    assert (r.status, json.loads(r.text)["errors"][0]["message"]) == (200, "PersistedQueryNotSupported")
    s = Kvm48(tmp_path, config="graphql: { persisted: true }\n")
    try:
        error = json.loads(s.post(ask).text)["errors"][0]
        assert error == {"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}
        assert s.post(ask, Accept="application/graphql-response+json").status == 400
        assert "sha" in message(s.post({"query": "{__typename}", **ask}))
        assert s.ask("{revision}", **ask) == {"data": {"revision": "20190429.1"}}
        assert json.loads(s.post(ask).text) == {"data": {"revision": "20190429.1"}}
        assert json.loads(s.fetch(extensions=json.dumps(ask["extensions"])).text) == {"data": {"revision": "20190429.1"}}
    finally:
        assert s.stop() == 0


def test_rate_limit(tmp_path):
    s = Kvm48(tmp_path, env={"RATELIMIT_STORAGE_URL": "memory://", "RATELIMIT": "1/minute"})
    try:
        assert s.post({"query": "{revision}"}).status == 200
        r = s.post("{")
        assert (r.status, r["content-type"]) == (429, "text/html; charset=utf-8")
        assert "<title>429 Too Many Requests</title>" in r.text and "1 per 1 minute" in r.text and 0 < int(r["retry-after"]) <= 60
        assert s.fetch(accept="text/html").status == 200 and s.request("OPTIONS", "/api/graphql").status == 200
        assert s.post({"query": "{revision}"}, **{"X-Forwarded-For": "192.0.2.7"}).status == 200
    finally:
        assert s.stop() == 0


# ---- the library ---------------------------------------------------------------------------------------------------------------------

def test_library(tmp_path, serve):
    from comics import cbz, importing, pages
    for name in ("Alpha", "Beta", "Gamma & <Delta>"):
        for n in range(1, 4):
            cbz(tmp_path / name / f"c{n}.cbz", pages(2))
        importing(tmp_path, name)
    s = serve(tmp_path)

    def ask(query, **variables):
        r = s.request("POST", "/api/graphql", headers={"Content-Type": "application/json"}, body=json.dumps({"query": query, "variables": variables}).encode())
        assert r.status == 200 and "errors" not in json.loads(r.text), r.text
        return json.loads(r.text)["data"]
    # Page by page, behind the last cursor.
    titles, after = [], None
    while True:
        part = ask("query ($after: String) {seriesList(first: 2, after: $after) {totalCount edges {cursor node {title}}"
                   "pageInfo {hasNextPage hasPreviousPage startCursor endCursor}}}", after=after)["seriesList"]
        assert part["totalCount"] == 3 and part["pageInfo"]["hasPreviousPage"] == (after is not None)
        assert part["pageInfo"]["startCursor"] == part["edges"][0]["cursor"]
        titles += [e["node"]["title"] for e in part["edges"]]
        after = part["pageInfo"]["endCursor"]
        if not part["pageInfo"]["hasNextPage"]:
            break
    assert titles == ["Alpha", "Beta", "Gamma & <Delta>"]
    found = ask('{seriesList(search: "gAMMA") {totalCount edges {node {id title source chapterCount pageCount path cover {url} '
                "chapters(first: 2) {totalCount pageInfo {hasNextPage} edges {node {id number pageCount path cbzPath "
                "pages {edges {node {number url bytes width height mediaType sha256}}}}}}}}}}")["seriesList"]
    assert found["totalCount"] == 1
    series = found["edges"][0]["node"]
    assert (series["chapterCount"], series["pageCount"], series["chapters"]["totalCount"]) == (3, 6, 3)
    assert series["chapters"]["pageInfo"]["hasNextPage"] and [e["node"]["number"] for e in series["chapters"]["edges"]] == ["3", "2"]
    chapter = series["chapters"]["edges"][0]["node"]
    assert s.get(series["path"]).status == s.get(chapter["path"]).status == s.get(chapter["cbzPath"]).status == 200
    for edge in chapter["pages"]["edges"]:
        page = edge["node"]
        r = s.get(page["url"])
        assert (r.status, r["content-type"], len(r.body)) == (200, page["mediaType"], page["bytes"])
        assert hashlib.sha256(r.body).hexdigest() == page["sha256"] and page["width"] and page["height"]
    assert ask("query ($id: ID!) {series(id: $id) {title}}", id=series["id"]) == {"series": {"title": "Gamma & <Delta>"}}
    assert ask("query ($id: ID!) {chapter(id: $id) {number}}", id=chapter["id"]) == {"chapter": {"number": "3"}}
    assert ask('{series(id: "999") {title} chapter(id: "x") {id}}') == {"series": None, "chapter": None}
    assert {e["node"]["name"] for e in ask("{sources {edges {node {name enabled}}}}")["sources"]["edges"]} >= {"local", "viz.com"}
    with sqlite3.connect(tmp_path / "data/dozo.db") as db:
        row = {name: "" if kind == "TEXT" else 0 for _, name, kind, *_ in db.execute("PRAGMA table_info(job)")}
        row |= {"id": None, "kind": "crawl", "source": "viz.com", "target": "x", "state": 3, "ended_ms": 1000}
        db.execute(f"INSERT INTO job ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    jobs = ask("{jobs(state: FAILED) {totalCount edges {node {kind source target state endedAt}}}}")["jobs"]
    assert jobs["edges"][0]["node"] == {"kind": "crawl", "source": "viz.com", "target": "x", "state": "FAILED", "endedAt": "1970-01-01T00:00:01Z"}
    r = s.get("/api/graphql?query={seriesList(first:-1){totalCount}}")
    assert re.search("'first' must be from 0 to 1000", r.text)
    assert "no cursor of this list" in s.get("/api/graphql?query={seriesList(after:%22c1%22){totalCount}}").text


def test_many_aliases_of_jobs(tmp_path, serve):
    """The catalog is read once for all of them, and memory holds the jobs once."""
    s = serve(tmp_path)
    with sqlite3.connect(tmp_path / "data/dozo.db") as db:
        row = {name: "" if kind == "TEXT" else 0 for _, name, kind, *_ in db.execute("PRAGMA table_info(job)")}
        row |= {"id": None, "kind": "crawl", "source": "viz.com", "ended_ms": 1000}
        db.executemany(f"INSERT INTO job ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                       [list((row | {"target": f"x{n}", "state": 3 + n % 2}).values()) for n in range(9000)])

    def peak_mib():
        return int(re.search(r"VmHWM:\s+(\d+)", (pathlib.Path("/proc") / str(s.process.pid) / "status").read_text())[1]) >> 10
    query = "{" + " ".join(f"a{n}: jobs%s {{totalCount}}" % ("", "(state: FAILED)", "(state: QUEUED)")[n % 3] for n in range(450)) + "}"
    before = peak_mib()
    r = s.request("POST", "/api/graphql", headers={"Content-Type": "application/graphql"}, body=query.encode())
    assert json.loads(r.text) == {"data": {f"a{n}": {"totalCount": (9000, 4500, 0)[n % 3]} for n in range(450)}}
    assert peak_mib() - before < 300
