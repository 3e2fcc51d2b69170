// The test schema of tests/unit/graphql/world.h with the same data, run by graphql-js.
//
// Argument: a file with the schema as text. In: a line of JSON for each request. Out: a line of JSON for each answer.
"use strict";
const fs = require("fs");
const readline = require("readline");
const { buildSchema, graphqlSync, parse, validate, getOperationAST } = require("graphql");

const rows = [
  ["Person", "1", "Ada", 36, 1.65, "SNH48", ["2", "3"], "2", "d1"],
  ["Person", "2", 'B\u00e9la "x"\n', null, 1.8, "BEJ48", ["1"], null, "c1"],
  ["Person", "3", "\u5c71\u{1f600}", 20, null, "NINE", [], "1", null],
  ["Person", "4", null, 0, 1.5, "GNZ48", ["1", "2", "3"], "4", "d2"],
  ["Dog", "d1", "Rex", 1, 0, "", [], "1", null],
  ["Dog", "d2", null, null, 0, "", [], null, null],
  ["Cat", "c1", "Tom", 3, 0, "", [], "2", null],
  ["Cat", "c2", "Kit", null, 0, "", [], null, null],
];
const fail = (words) => { throw new Error(words); };
const beings = rows.map(([type, id, name, age, height, group, friends, best, pet]) => ({
  __typename: type, id, name, oldName: name, age, height, group,
  meows: age,
  barks: age === null ? null : age !== 0,
  strict: () => (group === "NINE" ? null : "strict"),
  broken: () => fail("It is broken."),
  brokenStrict: () => fail("It is broken."),
  best: () => find(best),
  owner: () => find(best),
  pet: ({ named }) => (named == null || named === "Rex" ? find(pet) : null),
  friends({ first, after }) {
    const from = after == null ? 0 : friends.includes(after) ? friends.indexOf(after) + 1 : friends.length;
    return friends.slice(from, from + Math.max(0, first ?? 10)).map(find);
  },
  tags: group === "GNZ48" ? ["a", null] : ["a", "b"],
  matrix: [[1, 2], [3, null], null, []],
  since: "2019-04-29",
  toys: name === null ? null : ["ball", null, "bone"],
}));
const find = (id) => beings.find((b) => b.id === id) ?? null;
const MAX = 16; // so many items a list of the other side can have

function show(v) {
  if (Array.isArray(v)) return "[" + v.map(show).join(",") + "]";
  if (v !== null && typeof v === "object")
    return "{" + Object.keys(v).map((k) => k + ":" + show(v[k])).join(",") + "}";
  return JSON.stringify(v ?? null);
}
const ECHOED = ["int", "float", "string", "boolean", "id", "group", "ints", "strict", "filter", "any"];

let counter = 0;
const root = {
  __typename: "Query",
  version: "20190429.1",
  named: () => beings,
  self: () => root,
  maybe: () => root,
  fails: () => fail("It fails."),
  failsStrict: () => fail("It fails."),
  big: 3000000000,
  person: ({ id }) => find(id),
  people: ({ group, first }) =>
    beings.slice(0, 4).filter((b) => group == null || b.group === group).slice(0, Math.max(0, first ?? 3)),
  persons: ({ ids }) => (ids == null ? fail("'ids' must be specified.") : ids.slice(0, MAX).map(find)),
  node: ({ id }) => find(id),
  things: ({ kinds }) =>
    (kinds ?? []).flatMap((k) => beings.filter((b) => k !== "" && b.__typename[0].toLowerCase() === k[0])).slice(0, MAX),
  echo: (args) => ECHOED.filter((n) => args[n] !== undefined).map((n) => n + "=" + show(args[n])).join(" "),
  required: "20190429.1",
  add: ({ n }) => (counter += n),
  fail: () => fail("It fails."),
};

const schema = buildSchema(fs.readFileSync(process.argv[2], "utf8"));
const date = (v) => (typeof v === "string" && v.length === 10 ? v : fail("a date has ten characters"));
const date_type = schema.getType("Date");
date_type.parseValue = date;
date_type.parseLiteral = (node) => date(node.kind === "StringValue" ? node.value : null);

function answer({ query, variables, operationName }) {
  counter = 0;
  const result = graphqlSync({ schema, source: query, rootValue: root, variableValues: variables, operationName });
  // graphqlSync runs a subscription as if it were a query; the other side refuses it.
  if ("data" in result && getOperationAST(parse(query), operationName)?.operation === "subscription")
    return { errors: [{ message: "Subscriptions are not supported" }], data: null };
  return result;
}

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => console.log(JSON.stringify(answer(JSON.parse(line)))));
