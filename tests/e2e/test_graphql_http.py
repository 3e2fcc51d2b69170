"""The audit of the specification "GraphQL over HTTP", as the npm package graphql-http has it, against the real server."""
import json
import os
import subprocess

import pytest

from conftest import ROOT
from kvm48 import Kvm48
from npm import modules_of

HERE = ROOT / "tests/e2e/graphql_http"
# What the contract wants otherwise, contracts/kvm48.md 4.1: with application/json, too, a document that is refused is a 400. Who accepts
# application/graphql-response+json gets the status that the specification asks for.
EXPLAINED = {
    "572B": "SHOULD use 200 status code on document parsing failure when accepting application/json",
    "FDE2": "SHOULD use 200 status code on document validation failure when accepting application/json",
    "7B9B": "SHOULD use a status code of 200 on variable coercion failure when accepting application/json",
}
# A number or a Boolean that Python calls false counts as missing there.
FALSE_IS_MISSING = {"6C01", "6C02", "4761", "4762"}


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    s = Kvm48(tmp_path_factory.mktemp("audit"))
    yield s
    assert s.stop() == 0


def test_audit(web):
    host, port = web.address
    r = subprocess.run(["node", HERE / "audit.js", f"http://{host}:{port}/api/graphql"], capture_output=True, text=True,
                       env=dict(os.environ, NODE_PATH=str(modules_of(HERE))))
    assert r.returncode == 0, r.stderr
    audits = [json.loads(line) for line in r.stdout.splitlines()]
    assert len(audits) > 50
    missed = {a["id"]: a for a in audits if a["status"] != "ok"}
    assert {i: a["name"] for i, a in missed.items() if a["status"] == "warn"} == EXPLAINED
    assert {i for i, a in missed.items() if a["status"] == "notice"} == FALSE_IS_MISSING
    assert not [a for a in missed.values() if a["status"] not in ("warn", "notice")]


def test_media_types(web):
    other = "application/graphql-response+json"
    for accept, want in ((None, "application/json"), ("*/*", "application/json"), ("application/*", "application/json"), (other, other),
                         (other + "; charset=utf-8, application/json;q=0.9", other), ("application/json, " + other + ";q=0.5", "application/json"),
                         ("text/html;q=0.1, " + other, other), ("image/png", "application/json")):
        headers = {"Accept": accept} if accept else {}
        for status, query in ((200, "{revision}"), (400, "{nothing}"), (200, "{perfVods {id}}")):
            r = web.post({"query": query}, **headers)
            assert (r.status, r["content-type"]) == (status, want), accept
