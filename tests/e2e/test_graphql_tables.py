"""GraphQL: the tables of the specification's section 3 and the smallest documents of sections 2 and 5, each cell against graphql-js.

Where test_graphql_js.py makes documents by chance, these are all of a kind: every literal and every JSON value for every type of input, every
form of a text, every token in a wrong place, every rule once. Left out is what the two differ in on purpose (docs/graphql.md, "Choices").
"""
import itertools

from test_graphql_js import both, differs, modules  # noqa: F401

INPUTS = {"int": "Int", "float": "Float", "string": "String", "boolean": "Boolean", "id": "ID", "group": "Group", "ints": "[Int]", "strict": "[Int!]!",
          "filter": "Filter", "any": "Any", "date": "Date"}
LITERALS = """1 -1 0 -0 2147483647 2147483648 -2147483648 -2147483649 1.0 1e2 0.5 1E+2 1e-2 -1.5e10 00 01 - 1. 1e 1.e2 .5 +1 0x1 1_0 "" "x" "1" true false
null SNH48 OLD NOPE [] [1] [null] [[1]] [1,[2]] {} {a:1} {name:"a"} {weight:1} {weight:null} {weight:"1"} {name:1} {nope:1} {name:"a",name:"b"}
{groups:SNH48} {groups:[SNH48,null]} {groups:[]} {groups:null} {range:{}} {range:{from:1}} {range:{from:1,to:null}} {range:{from:null}}
{range:{from:1.5}} {ranges:{from:1}} {ranges:[{from:1},{from:2,to:3}]} {ranges:[null]} {not:{not:{not:{name:"x"}}}} {any:{b:[1,{c:E}]}} {old:"x"}
"2019-04-29" "short" truE nul $nowhere [1,] [,1] [1 [1) {name} {name="a"} {"name":"a"} 1a 1.5.5 0abc 1e5x [1-2] [1"a"]""".split()
JSON = [None, 0, 1, -1, 1.5, 1.0, 1e3, 2147483647, 2147483648, -2147483648, -2147483649, 0.1, True, False, "", "1", "x", "SNH48", "OLD", "NOPE", "2019-04-29",
        [], [1], [None], [1, None], [[1]], ["1"], [1.0], [1.5], {}, {"name": "a"}, {"name": 1}, {"nope": 1}, {"weight": None}, {"weight": 1}, {"weight": "1"},
        {"range": {}}, {"range": {"from": 1}}, {"range": {"from": 1, "to": None}}, {"groups": "SNH48"}, {"groups": ["SNH48", None]}, {"groups": ["NOPE"]},
        {"ranges": {"from": 2}}, {"ranges": [{"from": 2}, {"to": 2}]}, {"not": {"not": {"name": "x"}}}, {"any": [1, {"b": None}]}, "\u4e2d\U0001F600"]
TEXTS = [
    '"\\n\\t\\b\\f\\r\\/\\\\\\""', '"\\u0041\\u00e9\\u4e2d"', '"\\uD83D\\uDE00"', '"\\uD83D"', '"\\uDE00"', '"\\uDE00\\uD83D"', '"\\uD83D\\u0041"', '"\\u{1F600}"',
    '"\\u{}"', '"\\u{110000}"', '"\\u{10FFFF}"', '"\\u{D800}"', '"\\u{1F600"', '"\\u{ 1 }"', '"\\u12"', '"\\uZZZZ"', '"\\x41"', '"\\"', '"abc', '"a\nb"', '"a\rb"',
    '"a\tb"', '"\U0001F600"', '"\ufeff"', '""""""', '"""" """', '"""\\""""""', '"""a""b"""', '"""\n\n\n"""', '"""  a\n b\n   c"""', '"""\n  a\n b\n   c\n"""',
    '"""\n    Hello,\n      World!\n\n    Yours,\n      GraphQL.\n  """', '"""\ta\n\tb\n\t\tc"""', '"""a\r\nb\rc\nd"""', '"""\\n\\u0041"""', '""" a """',
    '"""   \n   a   \n   """', '"""a\n  \n  b"""', '"""\U0001F600\\"""x"""', '"""abc', '"""abc""', '"""\n\u00a0 a"""', '"""\n\t a\n \t b"""', '"""a\n\\""" b\n"""',
    '"""\\\\"""', '"""a\n\n\n  b\n\n"""', '"""\n \n  x\n \n"""', '""""', '"a" "b"', '"\\uD83D\\u{DE00}"', '"\\u{D83D}\\uDE00"', '"""   """', '"""x   """', '"""\n  """']
TOKENS = """{version} {version,,,,} ,{version} {,version} {_} {__} {1version} {version:version} {version:} {:version} {a:b:version} {version!} {version?} {version;}
{version|big} {version&big} {version=1} {@skip(if:true)} {version@skip(if:true)} {version@} {$a} {version($a)} {echo(int:$)} {echo()} query(){version} {echo(int)}
{echo(int:)} {echo(:1)} {echo(int:1 {echo(int:1) } {{version}} {version version query query{ mutation subscription fragment {..version} {....F} {...F {"version"}
{[version]} {version}x {version}} {%} {'a'} {`} {\\u0041} {0} {-1} {1.5} {on:version} {true:version} {null:version} {query:version} {...on} {...version} {...on{version}}
{echo(group:on)} {echo(group:true)} {echo(any:on)} {echo(any:[true,null,on,E])} {vérsion} {version\ufeff} {ver\ufeffsion} \ufeff{version} \ufeff\ufeff{version}
query($a){version} query(a:Int){version} query($a:){version} query($a:Int!!){version} query($a:[Int){version} query($a:[[Int]]){version} {__typename} "a" """.split()
DOCUMENTS = [
    "", "   ", "#", "# c", "#c\n{version}", "{version}#", "{version#x\n}", "{version #\r\n}", "{. . .F}", "query query{version}", "query on{version}",
    "fragment F", "fragment F on", "fragment F on Query", "query Q(){version}", "{echo(int 1)}", "query($a:Int){echo(int:$ a)}", "query($v:Int $w:Int){a:echo(int:$v) b:echo(int:$w)}",
    '"d" query Q{version}', '"d" {version}', "type A{a:Int}", "extend type A{a:Int}", "{version} scalar S", "fragment F{version} {...F}",
    "{person(id:1){pet{name}}}", "{node(id:1){name}}", "{things{id}}", "{person(id:1){}}", "{person(id:1){group{x}}}", "mutation{__schema{queryType{name}}}",
    "{self{__schema{queryType{name}}}}", "{person(id:1){id} person(id:1){name}}", '{person(id:1){id} person(id:"1"){name}}', "{echo(int:1) echo}", "{echo(ints:[1,2]) echo(ints:[2,1])}",
    "{echo(int:1,float:2) echo(float:2,int:1)}", '{echo(filter:{name:"a",old:"b"}) echo(filter:{old:"b",name:"a"})}', "{echo(float:1) echo(float:1.0)}",
    "query($a:Int,$b:Int){echo(int:$a) echo(int:$b)}", "{...F ...G} fragment F on Query{x:version} fragment G on Query{x:big}",
    "{self{...F}...F} fragment F on Query{x:version self{x:big}}", "{things{...on Person{x:age}...on Cat{x:meows}}}", "{things{...on Person{x:id}...on Dog{x:name}}}",
    "{things{...on Person{x:matrix}...on Dog{x:toys}}}", "{things{...on Person{x:friends{id}}...on Dog{x:owner{id}}}}", "{things{...on Person{x:group}...on Dog{x:name}}}",
    "{named{...on Dog{name}...on Named{name:id}}}", "{named{...on Node{n:id}...on Named{n:id}}}", "{a:self{b:self{c:version}} a:self{b:self{c:big}}}",
    "{person(id:1){friends{id} friends(first:10){id}}}", "{version @skip}", "{version @skip(if:null)}", "{version @skip(if:true,if:false)}", "{version @skip(if:false) @skip(if:false)}",
    '{version @tag(name:"a",n:null)}', "query @once{version}", "{...@once{version}}", "{version @deprecated}", "query($v:Int @skip(if:true)){echo(int:$v)}",
    "query($v:Int @once @once){echo(int:$v)}", "{...F} fragment F on Query @skip(if:true){version}", "{...F} fragment F on Int{version}", "{...F} fragment F on Filter{version}",
    "{...A} fragment A on Query{...B} fragment B on Query{...C} fragment C on Query{...A version}", "{person(id:1){...on Pet{__typename}}}", "{person(id:1){...on Dog{id}}}",
    "{person(id:1){...on Named{id ...on Node{id}}}}", "{node(id:1){...on Query{version}}}", "{version} fragment F on Query{...G} fragment G on Query{version}",
    "query A($v:Int){...F} query B{...F} fragment F on Query{echo(int:$v)}", "query A($v:String){...F} fragment F on Query{echo(int:$v)}", "query($v:Int=$w,$w:Int){echo(int:$v)}",
    "query($v:[Int!]=[1,null]){echo(ints:$v)}", 'query($v:Filter={range:{}}){echo(filter:$v)}', 'query($v:Group="SNH48"){echo(group:$v)}', "query($v:Int!=null){echo(int:$v)}",
    "{maybe{self{maybe{self{failsStrict}}}}version}", "{people(first:9){x:brokenStrict y:broken}}", "{person(id:3){best{group} group}}", "{person(id:4){tags}}",
    "{person(id:4){friends{friends{group}}}}", '{things(kinds:["cat","dog","person"]){...on Cat{id owner{id}}...on Dog{id barks}}}', '{persons(ids:["1","3","9",null]){id tags matrix group}}',
    "mutation{add(n:1) add(n:1)}", "mutation{fail add(n:1)}", "mutation{add(n:2147483647) b:add(n:1) c:add(n:1)}", "{self{c:version} self{a:version}}",
    "{...F version ...G} fragment F on Query{big:version a:version} fragment G on Query{a:version c:version}", '{__type(name:"[Int]"){kind}}', '{__type(name:""){kind}}',
    '{__type(name:"Pet"){kind possibleTypes{name} fields{name} interfaces{name}}}', '{__type(name:"Person"){fields(includeDeprecated:null){name}}}']
VARIABLES = [
    ("query($v:Int){echo(ints:[$v,2])}", ({}, {"v": None}, {"v": 1})), ("query($v:Int=1){echo(strict:[$v])}", ({}, {"v": None})), ("query($v:Int!){echo(float:$v)}", ({"v": 1},)),
    ("query($v:String){echo(filter:{name:$v})}", ({}, {"v": None}, {"v": "a"})), ("query($v:[Group!]){echo(filter:{groups:$v})}", ({}, {"v": None}, {"v": "OLD"})),
    ("query($v:Float){echo(filter:{weight:$v})}", ({}, {"v": None}, {"v": 1})), ("query($v:Float=2){echo(filter:{weight:$v})}", ({}, {"v": None})),
    ("query($v:Int){echo(filter:{range:{from:1,to:$v}})}", ({}, {"v": None})), ("query($v:Int=5){echo(any:{a:$v,b:[$v]})}", ({}, {"v": None}, {"v": 7})),
    ("query($v:Range!){echo(filter:{ranges:[$v,{from:2}]})}", ({"v": {"from": 9}}, {"v": {}})), ("query($v:[Range!]){echo(filter:{ranges:$v})}", ({"v": {"from": 9}}, {"v": [None]})),
    ("query($v:Boolean=false){version @skip(if:$v)}", ({}, {"v": None}, {"v": True})), ("query($v:Boolean!){...F @skip(if:$v) ...F} fragment F on Query{version}", ({"v": True},)),
    ("query($v:Boolean!){...@include(if:$v){version} self{...@skip(if:$v){version}}}", ({"v": True}, {"v": False}))]


def agree(both, requests):
    wrong = [f"{what}\n  {r}\n  ours:   {str(ours)[:300]}\n  theirs: {str(theirs)[:300]}"
             for r, (ours, theirs) in zip(requests, both(requests)) if (what := differs(ours, theirs))]
    assert not wrong, f"{len(wrong)} of {len(requests)} differ\n" + "\n".join(wrong[:10])


def test_literals(both):
    agree(both, [{"query": "{echo(%s: %s)}" % cell} for cell in itertools.product(INPUTS, LITERALS)])


def test_variables(both):
    types = [(arg, t) for arg, t in INPUTS.items()] + [(arg, t + "!") for arg, t in INPUTS.items() if t[-1] != "!"] + [("ints", "[Int!]"), ("ints", "[Int!]!")]
    requests = [{"query": f"query ($v: {t}) {{echo({arg}: $v)}}", "variables": {"v": v}} for (arg, t), v in itertools.product(types, JSON)]
    requests += [{"query": f"query ($v: {t}) {{echo({arg}: $v)}}", "variables": {}} for arg, t in types]
    agree(both, requests + [{"query": q, "variables": v} for q, values in VARIABLES for v in values])


def test_types_of_variables(both):
    """Every type where every other is wanted, and every default."""
    types = ["Int", "Int!", "[Int]", "[Int!]", "[Int!]!", "[[Int]]", "String", "Float", "ID", "Boolean", "Boolean!", "Group", "Filter", "Any", "Nope", "Query", "Person", "Pet"]
    defaults = ["1", '"1"', "null", "[1]", "[null]", "true", "{}", "$w", "SNH48", "1.5"]
    requests = [{"query": f"query ($v: {t}) {{echo({arg}: $v)}}"} for t, arg in itertools.product(types, INPUTS)]
    for t, d, use in itertools.product(types, defaults, ("echo(any: $v)", "echo(strict: $v)", "required(a: $v, b: [])")):
        requests.append({"query": f"query ($v: {t} = {d}) {{{use}}}"})
    agree(both, requests)


def test_texts(both):
    agree(both, [{"query": "{echo(%s: %s)}" % cell} for cell in itertools.product(("string", "id", "any", "date"), TEXTS)])


def test_tokens_and_rules(both):
    agree(both, [{"query": q} for q in TOKENS + DOCUMENTS])
    two = "query A{version} query B{self{version}} mutation M{add(n:2)}"
    agree(both, [{"query": two, "operationName": name} for name in "ABCM"] + [{"query": two}])
