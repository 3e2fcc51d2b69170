// GraphiQL on the address it was loaded from. What to begin with is JSON in the page, so that no script is made of a request.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { createElement } from "react";
import { createRoot } from "react-dom/client";
import "graphiql/graphiql.css";

const begin = JSON.parse(document.getElementById("begin").textContent);
const fetcher = createGraphiQLFetcher({ url: location.pathname, headers: { Accept: "application/json" } });
const given = (text) => (text ? text : undefined);

// A link to the page keeps what is being edited.
function remember(name) {
  return (text) => {
    const query = new URLSearchParams(location.search);
    if (text) query.set(name, text);
    else query.delete(name);
    history.replaceState(null, "", location.pathname + (query.size ? "?" + query : ""));
  };
}

createRoot(document.getElementById("graphiql")).render(
  createElement(GraphiQL, {
    fetcher,
    query: given(begin.query),
    variables: given(begin.variables),
    operationName: given(begin.operationName),
    onEditQuery: remember("query"),
    onEditVariables: remember("variables"),
    onEditOperationName: remember("operationName"),
    shouldPersistHeaders: false,
  }),
);
