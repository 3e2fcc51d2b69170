"""/api/openapi.json against the running program: every operation is asked, every answer is one that the document allows."""
import json
import re
import sys

import pytest
from conftest import until
from nagato_rig import SITE, dex, faults, n, start

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's python3-jsonschema, when another Python runs the tests
import jsonschema  # noqa: E402

REF = {"site": SITE, "id": "m1"}
CHAPTER = {"site": SITE, "id": "c1"}
REFS = {"sites": {SITE: ["c2", "c3"]}}


class Document:
    def __init__(self, n):
        self.n = n
        self.text = n.json("openapi.json")
        self.asked = set()

    def schema(self, schema):
        return {**schema, "components": self.text["components"]}

    def check(self, value, schema):
        jsonschema.Draft202012Validator(self.schema(schema)).validate(value)

    def ask(self, method, path, status, body=None, headers=None, variables=None, **params):
        """The answer, which has to be one of those that the document has for this status."""
        op = self.text["paths"]["/api/" + path][method.lower()]
        names = {p["name"] for p in op["parameters"] if p["in"] == "query"}
        assert set(params) <= names, (method, path, params)
        assert {p["name"] for p in op["parameters"] if p["required"] and p["in"] == "query"} <= set(params) or status == 400
        for p in op["parameters"]:
            if p["name"] in params:
                self.check(params[p["name"]], p["schema"])
        if body is not None:
            self.check(body, op["requestBody"]["content"]["application/json"]["schema"])
        for name, value in (variables or {}).items():
            path = path.replace("{" + name + "}", value)
        r = self.n.ask(method, path, body=body, headers=headers, **params)
        assert r.status == status, (method, path, r.status, r.text)
        answer = op["responses"].get(str(status)) or op["responses"]["default"]
        self.asked.add((op["operationId"], status))
        if "content" not in answer:
            assert r.body == b"", (method, path, status)
            return None
        (kind, content), = answer["content"].items()
        assert kind == "*/*" or r["Content-Type"] == kind, (method, path, r["Content-Type"], kind)
        if kind == "*/*":
            assert r.body
            return r.body
        value = json.loads(r.text) if kind == "application/json" else r.text
        self.check(value, content["schema"])
        return value


@pytest.fixture
def doc(n):
    return Document(n)


def test_the_document_itself(doc):
    text = doc.text
    assert text["openapi"] == "3.1.0" and text["info"]["version"] == doc.n.get("version").text
    ids, used = [], set()

    def refs(value):
        if isinstance(value, dict):
            for k, v in value.items():
                if k == "$ref":
                    used.add(v.removeprefix("#/components/schemas/"))
                refs(v)
        elif isinstance(value, list):
            for v in value:
                refs(v)

    refs(text)
    assert used == set(text["components"]["schemas"])
    for schema in text["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(doc.schema(schema))
    for path, ops in text["paths"].items():
        variables = set(re.findall(r"\{(\w+)\}", path))
        for op in ops.values():
            ids.append(op["operationId"])
            assert {p["name"] for p in op["parameters"] if p["in"] == "path"} == variables
            assert "default" in op["responses"] and op["summary"]
    assert len(ids) == len(set(ids))


def test_routes_and_operations_are_the_same(doc):
    """Each operation is there, with no other method on its path; and the routes that /metrics counts are the operations."""
    server = doc.n.server
    for path, ops in doc.text["paths"].items():
        path = path.replace("{id}", "0" * 22).replace("{mark}", "IGNORED")
        allowed = set(server.request("OPTIONS", path)["Allow"].replace(" ", "").split(","))
        methods = {m.upper() for m in ops}
        assert allowed == methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()), path
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - methods:
            assert server.request(method, path).status == 405, (method, path)
        for method in methods:
            if path != "/api/events":
                assert server.request(method, path).status not in (405, 501), (method, path)
    metrics = server.get("/metrics").text
    counted = set(re.findall(r'route="(api_\w+)"', metrics)) - {"api_unknown"}
    assert counted <= {op["operationId"] for ops in doc.text["paths"].values() for op in ops.values()}


def test_every_operation_answers_as_it_says(doc):
    ask = doc.ask
    ask("GET", "ping", 200)
    ask("GET", "version", 200)
    ask("GET", "sites", 200)
    ask("GET", "openapi.json", 200)
    url = "https://mangadex.org/title/m1/x"
    ask("GET", "resource/site", 200, url=url)
    ask("GET", "resource/site", 200, url="https://example.com")
    ask("GET", "resource/site", 400)
    ask("GET", "manga/id", 200, url=url)
    ask("GET", "manga/id", 404, url="example.com")
    ask("GET", "manga/id", 400, url="https://mangadex.org")
    ask("GET", "chapter/id", 200, url="https://mangadex.org/chapter/c1")
    ask("GET", "manga/info", 200, includeFav="true", **REF)
    ask("GET", "manga/info", 404, site=SITE, id="zzz")
    ask("GET", "manga/info", 400)
    for chapter in ("c1", "c6"):
        ask("GET", "chapter/info", 200, includeMark="true", site=SITE, id=chapter)
    ask("GET", "manga/cover", 200, **REF)
    ask("GET", "manga/cover", 200, base64="true", **REF)
    assert len(ask("GET", "manga/chapters", 200, includeMarks="true", **REF)) == 6
    marks(ask)
    downloads(doc, ask)
    said = {(op["operationId"], int(status)) for ops in doc.text["paths"].values() for op in ops.values()
            for status in op["responses"] if status.isdigit()}
    # What is said of all alike, or takes other settings (test_events.py), need not be shown for each.
    missing = {x for x in said - doc.asked if x[1] < 400} - {("api_events", 200)}
    assert not missing, missing


def marks(ask):
    ask("PUT", "chapter/mark/{mark}", 201, variables={"mark": "IGNORED"}, **CHAPTER)
    ask("PUT", "chapter/mark/{mark}", 400, variables={"mark": "READ"}, **CHAPTER)
    ask("GET", "chapter/mark", 200, **CHAPTER)
    ask("PUT", "chapters/mark/{mark}", 201, body=REFS, variables={"mark": "DOWNLOADED"})
    ask("PUT", "chapters/mark/{mark}", 200, body={}, variables={"mark": "DOWNLOADED"})
    assert ask("GET", "manga/marked", 200, **REF) == {"c1": "IGNORED", "c2": "DOWNLOADED", "c3": "DOWNLOADED"}
    ask("GET", "manga/chapters", 200, includeMarks="true", **REF)
    ask("DELETE", "chapter/mark", 200, **CHAPTER)
    ask("GET", "chapter/mark", 200, **CHAPTER)
    ask("DELETE", "chapters/mark", 200, body=REFS)
    ask("PUT", "manga/fav", 201, **REF)
    ask("PUT", "manga/fav", 200, **REF)
    ask("GET", "manga/fav", 200, **REF)
    ask("GET", "manga/favs", 200)
    ask("GET", "manga/favs", 200, includeInfo="true", site=SITE)
    ask("DELETE", "manga/fav", 200, **REF)


def downloads(doc, ask):
    n = doc.n
    n.dex.misbehave("/data/c5/.*", faults.status(503))
    one = ask("POST", "download/chapter", 202, addMark="true", **CHAPTER)
    n.wait(one, "COMPLETE")
    two, three = ask("POST", "download/chapters", 202, body=REFS)
    five = ask("POST", "download/chapter", 202, site=SITE, id="c5")
    n.wait(five, "FAILED")
    for states in ("dl_states/agregate", "dl_states/aggregate"):
        assert list(ask("GET", states, 200, ids=[five, "zz"])) == [five, "zz"]
        assert set(ask("GET", states, 200)) == {one, two, three, five}
    ask("GET", "dl_state/{id}", 200, variables={"id": one})
    ask("GET", "dl_state/{id}", 404, variables={"id": "zz"})
    n.dex.behave()
    assert ask("POST", "download/retry", 200, ids=[five]) == {"retried": 1}
    n.wait(five, "COMPLETE")
    for each in (two, three):
        n.wait(each, "COMPLETE")
    pages = faults.Gate()
    n.dex.misbehave("/data/.*", pages)
    four = ask("POST", "download/chapter", 202, site=SITE, id="c4")
    assert ask("POST", "cancel/download/{id}", 200, variables={"id": four}) is True
    assert ask("POST", "cancel/downloads", 200, body=[one, "zz"]) == {one: False, "zz": False}
    ask("POST", "cancel/downloads", 400)
    n.wait(four, "CANCELLED")
    ask("DELETE", "downloads/history", 200)
    pages.open()
    ask("PUT", "manga/fav", 201, **REF)
    new = ask("POST", "download/new", 202, **REF)
    ask("POST", "download/new", 404, site=SITE, id="zzz")
    assert new
    until(lambda: all(s["status"] == "COMPLETE" for s in n.json("dl_states/agregate").values()), "all of them")
    assert ask("POST", "download/allnew", 202, site=SITE) == []
    ask("POST", "download/allnew", 404, site="foo")
