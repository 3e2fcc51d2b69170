"""/api/graphql beside what KVM48's server answered to the same bytes (its libraries of 2019 were run for these rows), and requests that come at once."""
import concurrent.futures
import hashlib
import json

import pytest

from conftest import until
from kvm48 import FIELDS, VODS, Kvm48, vod

FIRST = VODS[0][0]
EVER = "from: 0, to: 2000000000"
IN_ORDER = [VODS[2][0], VODS[4][0], VODS[1][0], VODS[0][0], VODS[3][0]]


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    s = Kvm48(tmp_path_factory.mktemp("parity"))
    yield s
    assert s.stop() == 0


@pytest.mark.parametrize("body, status, answer", [
    # No place in a document is at fault when the schema has no such operations.
    ('{"query":"mutation{x}"}', 200, '{"errors":[{"message":"Schema is not configured for mutations"}],"data":null}'),
    ('{"query":"subscription{x}"}', 200, '{"errors":[{"message":"Schema is not configured for subscriptions"}],"data":null}'),
    ('{"query":"mutation M{x} query Q{revision}","operationName":"Q"}', 200, '{"data":{"revision":"20190429.1"}}'),
    ('{"query":"{revision}","variables":"null"}', 200, '{"data":{"revision":"20190429.1"}}'),
    ('{"query":"{revision}","variables":"{}","operationName":""}', 200, '{"data":{"revision":"20190429.1"}}'),
    ('{"query":"{revision}","query":"{__typename}"}', 200, '{"data":{"__typename":"Query"}}'),
    ('{"query":"{revision}","id":"x","extra":1}', 200, '{"data":{"revision":"20190429.1"}}'),
    ('{"query":"{x: revision a: __typename b: revision}"}', 200, '{"data":{"x":"20190429.1","a":"Query","b":"20190429.1"}}'),
    ('"a\\nb"', 400, '{"errors":[{"message":"GraphQL params should be a dict. Received a\\nb."}]}'),
    ("1.5", 400, '{"errors":[{"message":"GraphQL params should be a dict. Received 1.5."}]}'),
    ('{"query":"{revision}"}x', 400, '{"errors":[{"message":"POST body sent invalid JSON."}]}'),
    ('{"id":"x"}', 400, '{"errors":[{"message":"Must provide query string."}]}'),
    ('{"query":5}', 400, '{"errors":[{"message":"The query must be a string"}]}'),
    ('{"query":"{revision}","operationName":"X"}', 400, '{"errors":[{"message":"Unknown operation named \\"X\\"."}]}'),
])
def test_bodies(web, body, status, answer):
    r = web.post(body)
    assert (r.status, r["content-type"], r.text) == (status, "application/json", answer)


@pytest.mark.parametrize("value, ids", [
    (None, None), (True, IN_ORDER), ("", None), (" 5 ", IN_ORDER), ("+5", IN_ORDER), ("05", IN_ORDER), ("1.5", IN_ORDER), ("1e3", IN_ORDER), ("0x10", None),
    ("abc", None), ([], None), ({}, None), (2147483648, None), (-2147483649, None), (-1.5, IN_ORDER), (1555836300.9, IN_ORDER[2:]),
    ("1555836300", IN_ORDER[2:]), ("nan", None), ("inf", None), (1e20, None),
])
def test_integers_that_were_taken(web, value, ids):
    """As a variable; None: an error, whether it is the variable or the missing argument."""
    r = web.post({"query": "query ($from: Int) {perfVods(from: $from, to: 2000000000) {id}}", "variables": {"from": value}})
    answer = json.loads(r.text)
    assert r.status == (200 if ids or value is None else 400)
    assert [v["id"] for v in (answer.get("data") or {}).get("perfVods") or []] == (ids or []) and ("errors" in answer) == (not ids)


@pytest.mark.parametrize("value, key", [(int(FIRST), FIRST), (True, None), (1.5, None), (0, None), ("", None)])
def test_texts_that_were_taken(web, value, key):
    answer = web.ask("query ($id: String!) {perfVod(id: $id) {id}}", {"id": value})
    assert answer == {"data": {"perfVod": key and {"id": key}}}


@pytest.mark.parametrize("accept, is_page", [
    (None, False), ("*/*", False), ("", False), ("text/html", True), ("text/*", True), ("TEXT/HTML", True), ("text/html,application/json", False),
    ("application/json,text/html", False), ("text/html;q=0.9,application/json;q=0.8", True), ("text/html;q=0.5,application/json;q=0.8", False),
    ("text/html,*/*;q=0.8", True), ("application/*", False), ("text/html;q=0", False), ("text/html;q=1.0,*/*;q=1.0", False), ("text/plain", False),
    ("application/json;q=0,text/html;q=0", False), ("*/*;q=0.5,application/json;q=0.4", True), ("application/xhtml+xml", False),
])
def test_who_gets_the_page(web, accept, is_page):
    for params, plain in (({"query": "{revision}"}, 200), ({}, 400), ({"query": "{nope}"}, 400), ({"query": "mutation{x}"}, 405)):
        headers = {} if accept is None else {"Accept": accept}
        path = "/api/graphql?" + "&".join(f"{k}={v}" for k, v in params.items())
        r = web.get(path, headers=headers)
        assert (r.status, r["content-type"]) == ((200, "text/html; charset=utf-8") if is_page else (plain, "application/json"))
        r = web.get(path + "&raw", headers=headers)
        assert (r.status, r["content-type"]) == (plain, "application/json")


def test_which_json(web):
    """The media type of answers by quality; the other type is for who names it."""
    other = "application/graphql-response+json"
    for accept, kind in ((other, other), (f"{other}, application/json", other), (f"application/json, {other}", other), (f"{other};q=0.9, application/json", None),
                         (f"{other};q=0.5, application/json;q=0.4", other), (f"{other};q=0", None), (f"{other};q=0, */*", None), ("application/*", None),
                         (f"{other}; charset=utf-8", other), (f"*/*, {other};q=0.1", None), (other.upper(), other), (f"text/html;q=0.2, {other}", other)):
        r = web.post({"query": "{revision}"}, Accept=accept)
        assert (r.status, r["content-type"]) == (200, kind or "application/json"), accept
        for query, status in (("{nope}", 400), ("{", 400), ("{perfVods {id}}", 200)):
            r = web.post({"query": query}, Accept=accept)
            assert (r.status, r["content-type"]) == (status, kind or "application/json"), (accept, query)


# ---- persisted documents ------------------------------------------------------------------------------------------------------------

def test_a_digest_in_either_case(tmp_path):
    s = Kvm48(tmp_path, config="graphql: { persisted: true }\n")

    def ask(text, digest, status=200):
        body = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest}}}
        return s.ask(text, status=status, **body)
    try:
        for k, text in enumerate(("{revision}", "{x: revision}")):
            digest = hashlib.sha256(text.encode()).hexdigest()
            want = s.ask(text)
            cases = [digest, digest.upper(), digest[:32] + digest[32:].upper()]
            assert ask(text, cases[k]) == want
            assert [ask(None, d) for d in cases] == [want] * 3
        for wrong in ("x" * 64, digest[:63], digest + "0"):
            assert ask(None, wrong, 400)["errors"][0]["message"] == "extensions.persistedQuery.sha256Hash is no SHA-256."
    finally:
        assert s.stop() == 0


# ---- at once -------------------------------------------------------------------------------------------------------------------------

def test_of_many_at_once_one_is_served(tmp_path):
    """Eight of which two could not be held together: whoever is refused makes room for who is not."""
    rows = [vod(f"k{i:05}", i % 5 + 1, i, 1000 + i) for i in range(3000)]
    s = Kvm48(tmp_path, rows, config="graphql: { max_memory: 8MiB }\n")
    query = "{%s}" % " ".join("a%d: perfVods(%s) {%s}" % (i, EVER, FIELDS) for i in range(6))
    # The same, large enough to be made by workers.
    try:
        for blanks in ("", " " * 20000):
            body = json.dumps({"query": query + blanks}).encode()
            whole = s.post(body)
            assert whole.status == 200 and 4 << 20 < len(whole.body) < 8 << 20
            for _ in range(4):
                with concurrent.futures.ThreadPoolExecutor(8) as pool:
                    answers = list(pool.map(lambda _: s.post(body), range(8)))
                assert {r.status for r in answers} <= {200, 503} and 200 in {r.status for r in answers}
                assert all(r.body == whole.body for r in answers if r.status == 200)
                # Nothing that they held is left.
                until(lambda: s.post(body).status == 200)
    finally:
        assert s.stop() == 0
