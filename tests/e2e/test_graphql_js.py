"""GraphQL: our answers against those of graphql-js, the reference implementation, over the same schema and data.

The schema is our own printed text, which graphql-js reads, so that is compared, too. Documents are generated from a seed, which a failure
prints; GRAPHQL_SEED and GRAPHQL_DOCUMENTS choose others. Both must agree on the data, on whether there are errors, and on their paths.
graphql-js is installed by npm from its lock file, once a build folder.
"""
import json
import os
import random
import re
import subprocess

import pytest

from conftest import ROOT, clean_env
from npm import BUILD, modules_of

HERE = ROOT / "tests/e2e/graphql_js"
ANSWERS = BUILD / "tests/unit/graphql/graphql_answers"
SEED = int(os.environ.get("GRAPHQL_SEED", "48"))
DOCUMENTS = int(os.environ.get("GRAPHQL_DOCUMENTS", "1200"))


@pytest.fixture(scope="module")
def modules():
    """A folder with graphql-js in it."""
    return modules_of(HERE)


@pytest.fixture(scope="module")
def both(modules, tmp_path_factory):
    """Requests → pairs of answers, ours first."""
    sdl = tmp_path_factory.mktemp("graphql") / "world.graphql"
    sdl.write_bytes(subprocess.run([ANSWERS, "sdl"], check=True, capture_output=True, env=clean_env()).stdout)

    def ask(requests):
        lines = "".join(json.dumps(r) + "\n" for r in requests)
        ours = subprocess.run([ANSWERS], input=lines, capture_output=True, text=True, env=clean_env())
        theirs = subprocess.run(["node", HERE / "answers.js", sdl], input=lines, capture_output=True, text=True,
                                env=dict(os.environ, NODE_PATH=str(modules)))
        assert ours.returncode == 0, ours.stderr
        assert theirs.returncode == 0, theirs.stderr
        a, b = ([json.loads(line) for line in r.stdout.splitlines()] for r in (ours, theirs))
        assert len(a) == len(b) == len(requests)
        return list(zip(a, b))
    return ask


# ---- documents ---------------------------------------------------------------------------------------------------------------

NAMED = {"id": "ID!", "name": "String"}
TYPES = {
    "Query": {
        "version": "String!", "named": "[Named!]!", "self": "Query!", "maybe": "Query", "fails": "String", "failsStrict": "String!",
        "big": "Int", "person(id: ID!)": "Person", "people(group: Group, first: Int)": "[Person]", "persons(ids: [String])": "[Person]",
        "node(id: ID!)": "Node", "things(kinds: [String!])": "[Thing!]",
        "echo(int: Int, float: Float, string: String, boolean: Boolean, id: ID, group: Group, ints: [Int], strict: [Int!]!, filter: Filter, any: Any, "
        "date: Date)": "String",
        "required(a: Int!, b: [String!]!)": "String", "__type(name: String!)": "__Type"},
    "Mutation": {"add(n: Int!)": "Int!", "fail": "Int"},
    "Person": {**NAMED, "age": "Int", "height": "Float", "group": "Group!", "strict": "String!", "broken": "String",
               "brokenStrict": "String!", "best": "Person", "tags": "[String!]!", "matrix": "[[Int]]", "since": "Date",
               "friends(first: Int, after: ID)": "[Person!]", "pet(named: String)": "Pet", "oldName": "String"},
    "Dog": {**NAMED, "barks": "Boolean!", "owner": "Person", "toys": "[String]"},
    "Cat": {**NAMED, "meows": "Int", "owner": "Person!"},
    "Node": {"id": "ID!"}, "Named": NAMED, "Pet": {}, "Thing": {},
    "__Type": {"kind": "__TypeKind!", "name": "String", "fields(includeDeprecated: Boolean)": "[__Field!]",
               "ofType": "__Type"},
    "__Field": {"name": "String!", "type": "__Type!", "isDeprecated": "Boolean!", "deprecationReason": "String"},
}
POSSIBLE = {"Node": ["Person", "Dog", "Cat"], "Named": ["Person", "Dog", "Cat"], "Pet": ["Dog", "Cat"], "Thing": ["Person", "Dog", "Cat"]}
INPUTS = {"Range": {"from": "Int!", "to": "Int"},
          "Filter": {"name": "String", "groups": "[Group!]", "range": "Range", "ranges": "[Range!]", "not": "Filter", "any": "Any",
                     "weight": "Float!", "old": "String"}}
WRONG = ["2147483648", "1.5", '"x"', "true", "null", "NOPE", "[1]", "{a: 1}", "$nowhere", "-1", '""', "{}", "[]", "[null]", '"SNH48"',
         "SNH48", '"""block"""', '"\\u00e9\\n"']


def base_of(t):
    return t.strip("[]!")


class Maker:
    """One request. wrong is how often something is made that may be wrong."""

    def __init__(self, rng, wrong):
        self.rng, self.wrong = rng, wrong
        self.variables, self.definitions, self.fragments = {}, [], {}
        self.constant = False

    def often(self, p):
        return self.rng.random() < p

    def literal(self, t, depth=0):
        """As text of a document; what a variable could be, too."""
        rng = self.rng
        if self.often(self.wrong):
            return rng.choice(WRONG)
        if not self.constant and self.often(0.2):
            return self.variable(t)
        if t.endswith("!"):
            t = t[:-1]
        elif self.often(0.1):
            return "null"
        if t.startswith("["):
            inner = t[1:-1]
            if self.often(0.2) and not inner.startswith("["):
                return self.literal(inner if inner.endswith("!") else inner + "!", depth)
            return "[" + " ".join(self.literal(inner, depth + 1) for _ in range(rng.randrange(4))) + "]"
        if t in INPUTS:
            fields = INPUTS[t]
            chosen = [f for f in fields if (fields[f].endswith("!") and f == "from") or self.often(0.3 if depth < 3 else 0.05)]
            rng.shuffle(chosen)
            return "{" + ", ".join(f"{f}: {self.literal(fields[f], depth + 1)}" for f in chosen) + "}"
        return {
            "Int": lambda: str(rng.choice([0, 1, 2, 3, -5, 2147483647])),
            "Float": lambda: rng.choice(["1", "2.5", "-0.25", "1e3", "100"]),
            "String": lambda: rng.choice(['"1"', '"2"', '"3"', '"Rex"', '"Person"', '"a\\"b\\\\ \\u5c71"', '"""\n  block\n    text\n"""', '"d"', '"p"']),
            "Boolean": lambda: rng.choice(["true", "false"]),
            "ID": lambda: rng.choice(['"1"', "2", "3", '"4"', '"d1"', '"c2"', '"nobody"']),
            "Group": lambda: rng.choice(["SNH48", "BEJ48", "GNZ48", "OLD"]),
            "Date": lambda: '"2019-04-29"',
            "Any": lambda: rng.choice(["1", '"x"', "true", "[1, 2]", '{a: "b", c: [NAME, null]}', "2.5"]),
        }[t]()

    def json_value(self, t, depth=0):
        rng = self.rng
        if self.often(self.wrong):
            return rng.choice([1, 1.5, "x", True, None, [1], {"a": 1}, 2147483648, "", [], {}, [None], "SNH48", 1.0])
        if t.endswith("!"):
            t = t[:-1]
        elif self.often(0.1):
            return None
        if t.startswith("["):
            return [self.json_value(t[1:-1], depth + 1) for _ in range(rng.randrange(4))]
        if t in INPUTS:
            fields = INPUTS[t]
            return {f: self.json_value(fields[f], depth + 1) for f in fields
                    if f == "from" or self.often(0.3 if depth < 3 else 0.05)}
        return rng.choice({"Int": [0, 1, 7, -3, 2.0], "Float": [1, 2.5, -0.25], "String": ["1", "3", "Rex", "\u5c71\n", "d"],
                           "Boolean": [True, False], "ID": ["1", 2, "c1", 3.0], "Group": ["SNH48", "BEJ48", "OLD"],
                           "Date": ["2019-04-29"], "Any": [1, "x", [1, {"a": None}], {"b": 2.5}]}[t])

    def variable(self, t):
        rng = self.rng
        name = f"v{len(self.definitions)}"
        declared = t
        if self.often(self.wrong):
            declared = rng.choice(["Int", "String!", "[Int!]", "Filter", "Person", "Nobody", t.rstrip("!"), t + "!" if t[-1] != "!" else t])
        elif not t.endswith("!") and self.often(0.3):
            declared = t + "!"
        default = ""
        if self.often(0.3) and base_of(declared) in ("Int", "Float", "String", "Boolean", "ID", "Group", "Filter", "Any", "Date"):
            self.constant = True
            default = " = " + self.literal(declared)
            self.constant = False
        if base_of(declared) in ("Person", "Nobody"):
            self.variables[name] = 1
        elif declared.endswith("!") and not default or self.often(0.7):
            if not self.often(self.wrong):
                self.variables[name] = self.json_value(declared)
        self.definitions.append(f"${name}: {declared}{default}" + (" @once" if self.often(0.05) else ""))
        return "$" + name

    def directives(self):
        if not self.often(0.12):
            return ""
        texts = ["@skip(if: %)", "@include(if: %)", '@tag(name: "a") @tag(name: "b")', "@include(if: true) @skip(if: false)"]
        if self.often(self.wrong * 3):
            texts = ["@once", "@once @once", "@nowhere", "@skip", "@deprecated", "@tag(name: 1)"]
        text = self.rng.choice(texts)
        return " " + (text.replace("%", self.literal("Boolean!")) if "%" in text else text)

    def field(self, t, depth):
        rng = self.rng
        fields = TYPES[t]
        if self.often(0.1) or not fields:
            return rng.choice(["", "x: "]) + "__typename" + self.directives()
        names = [f for f in fields if depth < 4 or base_of(fields[f]) not in TYPES]
        if not names:
            return "__typename"
        spec = rng.choice(names)
        name, _, args = spec.partition("(")
        result = fields[spec]
        if self.often(self.wrong / 2):
            name = rng.choice(["nowhere", "nam", "id", "__schema"])
        given = []
        for a in filter(None, args.rstrip(")").split(", ")):
            arg, at = a.split(": ")
            if (at.endswith("!") and arg != "strict" and not self.often(self.wrong)) or self.often(0.35):
                given.append(f"{arg}: {self.literal(at)}")
        if self.often(self.wrong / 3):
            given.append(rng.choice(["nowhere: 1", *given]) if given else "nowhere: 1")
        rng.shuffle(given)
        text = (rng.choice(["a: ", "b: ", "c1: ", "d: ", "e: ", "name: "]) if self.often(0.12) else "") + name
        text += ("(" + ", ".join(given) + ")" if given else "") + self.directives()
        composite = base_of(result) in TYPES
        if composite != self.often(self.wrong / 4):
            text += " " + self.selection(base_of(result) if composite else "Query", depth + 1)
        return text

    def related(self, t):
        """A type whose objects can be of type t, or now and then any."""
        if self.often(self.wrong):
            return self.rng.choice([*TYPES, "Int", "Nobody", "Filter"])
        if t in POSSIBLE:
            return self.rng.choice([t, *POSSIBLE[t], *(a for a in POSSIBLE if set(POSSIBLE[a]) & set(POSSIBLE[t]))])
        return self.rng.choice([t, *(a for a in POSSIBLE if t in POSSIBLE[a])])

    def selection(self, t, depth):
        parts = []
        for _ in range(self.rng.choice([1, 1, 2, 2, 3, 4])):
            kind = self.rng.random()
            if kind < 0.75 or depth > 5:
                parts.append(self.field(t, depth))
            elif kind < 0.88:
                on = self.related(t) if self.often(0.8) else ""
                inner = on if on in TYPES else t
                parts.append("..." + (f" on {on}" if on else "") + self.directives() + " " + self.selection(inner, depth + 1))
            else:
                parts.append(self.spread(t, depth))
        return "{" + " ".join(parts) + "}"

    def spread(self, t, depth):
        # One that is still being made would spread itself.
        done = [f for f, (on, text) in self.fragments.items() if on == t and text]
        if done and self.often(0.5):
            return "..." + self.rng.choice(done) + self.directives()
        if self.often(self.wrong / 2):
            return "..." + self.rng.choice(["Nowhere", *self.fragments])
        on, name = self.related(t), f"F{len(self.fragments)}"
        self.fragments[name] = on, ""
        body = self.selection(on if on in TYPES else "Query", depth + 1)
        self.fragments[name] = on, f" fragment {name} on {on}{self.tag()} {body}"
        return f"...{name}" + self.directives()

    def tag(self):
        return ' @tag(name: "f")' if self.often(0.1) else ""

    def document(self):
        mutation = self.often(0.08)
        body = self.selection("Mutation" if mutation else "Query", 0)
        name = self.rng.choice(["", "Q"]) if not mutation else "M"
        if self.often(self.wrong / 3):
            self.definitions.append("$unused: Int")
        variables = "(" + ", ".join(self.definitions) + ")" if self.definitions else ""
        head = ("mutation" if mutation else "query") + (" " + name if name else "") + variables + self.tag() * (not mutation)
        text = head + " " + body + "".join(body for _, body in self.fragments.values())
        if self.often(self.wrong / 3):
            text += self.rng.choice([" {version}", " query Q {version}", " query R {version}", " fragment Z on Query {version}"])
        if self.often(self.wrong):
            text = self.damage(text)
        return {"query": text, "variables": self.variables}

    def damage(self, text):
        """A token is lost, doubled or moved."""
        tokens = re.findall(r'"""[\s\S]*?"""|"(?:[^"\\]|\\.)*"|\.\.\.|[\w$@-]+|[^\s\w]', text)
        at = self.rng.randrange(len(tokens))
        what = self.rng.random()
        if what < 0.4:
            del tokens[at]
        elif what < 0.7:
            tokens.insert(at, tokens[at])
        else:
            tokens.insert(self.rng.randrange(len(tokens)), tokens.pop(at))
        return " ".join(tokens)


# ---- comparison --------------------------------------------------------------------------------------------------------------

def paths(answer):
    return sorted(json.dumps(e.get("path")) for e in answer.get("errors", []))


def differs(ours, theirs):
    if ("errors" in ours) != ("errors" in theirs):
        return "whether there are errors"
    if ("data" in ours) != ("data" in theirs):
        return "whether there is data"
    if ours.get("data") != theirs.get("data"):
        return "the data"
    if "data" in ours and paths(ours) != paths(theirs):
        return "the paths of the errors"
    return None


def test_generated_documents(both):
    """Several hundred documents of a seed; good ones, bad ones, and ones whose answers have errors."""
    rng = random.Random(SEED)
    requests = [Maker(rng, rng.choice([0, 0, 0, 0.02, 0.1])).document() for _ in range(DOCUMENTS)]
    wrong, kinds = [], {"good": 0, "field errors": 0, "refused": 0}
    for request, (ours, theirs) in zip(requests, both(requests)):
        what = differs(ours, theirs)
        if what:
            wrong.append(f"{what}\n  {json.dumps(request)}\n  ours:   {json.dumps(ours)[:600]}\n  theirs: {json.dumps(theirs)[:600]}")
        kinds["refused" if "data" not in theirs else "field errors" if "errors" in theirs else "good"] += 1
    print(f"seed {SEED}: {kinds}")
    assert not wrong, f"seed {SEED}: {len(wrong)} of {DOCUMENTS} documents differ\n" + "\n".join(wrong[:10])
    assert all(n >= DOCUMENTS // 20 for n in kinds.values()), f"seed {SEED}: {kinds}"


WRITTEN = [
    ("{version}", None), ("{ version # c\n }", None), ("\ufeff{version}", None), ("{version,,}", None), ("{}", None), ("", None),
    ("query Q {version} query Q {version}", None), ("{version} query Q {version}", None), ("subscription {tick}", None),
    ("subscription {tick tock}", None), ("subscription {...F} fragment F on Subscription {tick tock}", None),
    ("subscription {__typename}", None), ("mutation {add(n: 1) b: add(n: 2) fail c: add(n: 3)}", None),
    ("{...A} fragment A on Query {...B} fragment B on Query {...A}", None), ("{...A} fragment A on Query {self {...A}}", None),
    ("{things {... on Dog {x: barks} ... on Cat {x: meows}}}", None), ("{things {... on Dog {x: name} ... on Cat {x: name}}}", None),
    ("{things {... on Person {x: best {y: name}} ... on Dog {x: owner {y: oldName}}}}", None),
    ("{things {... on Person {x: best {y: name}} ... on Dog {x: owner {y: age}}}}", None),
    ("{named {x: name ... on Dog {x: name} ... on Cat {x: id}}}", None),
    ("{echo(any: {a: 1, a: 2})}", None), ("{echo(filter: {name: \"a\", name: \"b\"})}", None),
    ("{echo(string: \"\\u{1F600}\\uD83D\\uDE00\")}", None), ("{echo(string: \"\\uD83D\")}", None), ("{echo(string: \"\\u{D800}\")}", None),
    ('{echo(string: """\n    a\n\n      b \\"""\n  """)}', None), ("{echo(int: 007)}", None), ("{echo(int: 1a)}", None), ("{echo(float: .5)}", None),
    ("query ($a: Int!) {echo(int: $a)}", {}), ("query ($a: Int! = 3) {echo(int: $a)}", {}), ("query ($a: Int! = 3) {echo(int: $a)}", {"a": None}),
    ("query ($a: Int = 3) {required(a: $a, b: [])}", {}), ("query ($a: Int = 3) {required(a: $a, b: [])}", {"a": None}),
    ("query ($a: [Int!]) {echo(strict: $a)}", {}), ("query ($a: [Int!]) {echo(strict: $a)}", {"a": None}),
    ("query ($a: [Int!]) {echo(strict: $a)}", {"a": 5}), ("query ($a: Float) {echo(filter: {weight: $a})}", {}),
    ("query ($a: Float) {echo(filter: {weight: $a})}", {"a": None}), ("query ($a: [String!]) {persons(ids: $a) {id}}", {"a": ["1", "9"]}),
    ("query ($a: String) {persons(ids: [$a, \"1\"]) {id}}", {}), ("query ($a: Boolean) {version @skip(if: $a)}", {}),
    ("query ($a: Boolean = true) {version @skip(if: $a)}", {}), ("query ($a: Boolean = true) {version @skip(if: $a)}", {"a": None}),
    ("{version @skip(if: true) version}", None), ("{version @skip(if: true)}", None), ("{__schema {types {name}} }" * 2, None),
    ("{__type(name: \"Nobody\") {name}}", None), ("{person(id: 1) {__type(name: \"X\") {name}}}", None), ("query ($a: Pet) {version}", None),
    ("type A {a: Int}", None), ("{version} type A {a: Int}", None), ("fragment on on Query {version}", None), ("{...on}", None),
    ("query ($a: Int, $a: Int) {echo(int: $a)}", None), ("{echo(strict: [null])}", None), ("{echo(strict: null)}", None),
    ("{a: echo(id: 99999999999999999999) b: echo(id: -0) c: echo(id: 324479006241787906)}", None), ("{echo(id: 2.0)}", None),
    ("query ($a: ID) {echo(id: $a)}", {"a": 2.0}), ("query ($a: ID) {echo(id: $a)}", {"a": 2.5}), ("query ($a: Int) {echo(int: $a)}", {"a": 1e3}),
    ("{a: self {version} a: self {version2: version}}", None), ("{a: self {x: version} a: self {x: fails}}", None),
    ("{named {__typename ... on Pet {... on Dog {barks}}}}", None), ("{failsStrict a: version}", None), ("{maybe {failsStrict} a: version}", None),
]


def test_written_documents(both):
    requests = [{"query": q, "variables": v} if v is not None else {"query": q} for q, v in WRITTEN]
    wrong = [(q, differs(*pair), pair) for q, pair in zip(WRITTEN, both(requests)) if differs(*pair)]
    assert not wrong, "\n".join(map(str, wrong))


INTROSPECTION = """
{__schema {queryType {name} mutationType {name} subscriptionType {name}
  types {kind name description specifiedByURL fields(includeDeprecated: true) {name description args(includeDeprecated: true) {...V} type {...T}
    isDeprecated deprecationReason} inputFields(includeDeprecated: true) {...V} interfaces {name}
    enumValues(includeDeprecated: true) {name description isDeprecated deprecationReason} possibleTypes {name}}
  directives {name description isRepeatable locations args {...V}}}}
fragment V on __InputValue {name description type {...T} defaultValue isDeprecated deprecationReason}
fragment T on __Type {kind name ofType {kind name ofType {kind name ofType {kind name ofType {kind name}}}}}
"""
BUILT_IN = {"String", "Int", "Float", "Boolean", "ID"}


def test_introspection(both):
    """The schema that graphql-js read from our text tells the same about itself."""
    (ours, theirs), = both([{"query": INTROSPECTION}])

    def essence(answer):
        schema = answer["data"]["__schema"]
        types = [t for t in schema.pop("types") if not t["name"].startswith("__")]
        for t in types:
            if t["name"] in BUILT_IN:
                del t["description"]
            for key in ("possibleTypes", "interfaces"):
                t[key] = t[key] and sorted(x["name"] for x in t[key])
        own = [d for d in schema.pop("directives") if d["name"] in ("tag", "once")]
        return schema, sorted(types, key=lambda t: t["name"]), sorted(own, key=lambda d: d["name"])
    assert essence(ours) == essence(theirs)


def test_standard_introspection_query(both, modules):
    """The query that GraphiQL sends is answered, and its answer makes a schema again."""
    script = 'const g = require("graphql"); console.log(g.getIntrospectionQuery({inputValueDeprecation: true, specifiedByUrl: true, schemaDescription: true, directiveIsRepeatable: true}))'
    query = subprocess.run(["node", "-e", script], check=True, capture_output=True, text=True,
                           env=dict(os.environ, NODE_PATH=str(modules))).stdout
    (ours, _), = both([{"query": query}])
    assert "errors" not in ours
    build = 'const g = require("graphql"); console.log(g.printSchema(g.buildClientSchema(JSON.parse(require("fs").readFileSync(0)).data)))'
    printed = subprocess.run(["node", "-e", build], check=True, input=json.dumps(ours), capture_output=True, text=True,
                             env=dict(os.environ, NODE_PATH=str(modules))).stdout
    for words in ("type Person implements Node & Named {", "union Thing = Person | Dog | Cat", "directive @tag(name: String!, n: Int = 0) repeatable on",
                  'scalar Date @specifiedBy(url: "https://www.rfc-editor.org/rfc/rfc3339")', "  groups: [Group!] = [SNH48]"):
        assert words in printed
