/*
 * conform: the table of HTTP/1.1 cases that test_conformance runs in memory and over sockets, and
 * that tests/e2e/test_conformance.py replays against the real program (--list-json).
 *
 * A case is request bytes and what must come back. `want` is a line of words: a status for each
 * answer in order, "h" behind it when it answers HEAD (no content follows), "x1000" behind it for
 * so many in a row; then "!" when the server must close after the last one, or "~" when it must
 * wait for the rest of the request. Without either the connection must still be in step: the runner
 * sends one more request behind the case's bytes and wants exactly its answer.
 *
 * `lines` are header lines of the last answer, one a line: "Name: value" must be there so,
 * "Name" must be there, "-Name" must not; "@2 " in front of one means the second answer.
 */
#pragma once

#include "base/base.h"

struct http_case {
    const char *clause, *says; /* where the rule stands, and what it says in few words */
    dz_str request;            /* may be several requests */
    const char *want;
    const char *lines; /* NULL: nothing to look at */
    const char *body;  /* of the last answer; NULL: any */
    dz_str again;      /* sent `times` times behind request, before tail */
    size_t times;
    dz_str tail;
};

struct http_group {
    const char *name;
    const struct http_case *cases;
    size_t n;
};

extern const struct http_group groups_9112[], groups_smuggling[], groups_9110[],
    groups_conditions[], groups_ranges[];
extern const size_t groups_9112_n, groups_smuggling_n, groups_9110_n, groups_conditions_n,
    groups_ranges_n;

/* clang-format off */
#define CASE(c, s, r, w) {.clause = (c), .says = (s), .request = DZ_S(r), .want = (w)}
#define CASE_L(c, s, r, w, l) {.clause = (c), .says = (s), .request = DZ_S(r), .want = (w), .lines = (l)}
#define CASE_B(c, s, r, w, l, b) {.clause = (c), .says = (s), .request = DZ_S(r), .want = (w), .lines = (l), .body = (b)}
/* request, then a * n, then t */
#define CASE_N(c, s, r, a, n, t, w) {.clause = (c), .says = (s), .request = DZ_S(r), .again = DZ_S(a), .times = (n), .tail = DZ_S(t), .want = (w)}
#define GROUP(name, cases) {name, cases, DZ_LEN(cases)}
/* clang-format on */

/* Paths that the real program has too: /healthz is 200; /nothing is 404, after its body was read.
 */
#define GET "GET /healthz HTTP/1.1\r\nHost: a\r\n"
#define POST "POST /nothing HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
/* The rig's own. */
#define ECHO "POST /echo HTTP/1.1\r\nHost: a\r\n"
#define ECHO_CHUNKED ECHO "Transfer-Encoding: chunked\r\n\r\n"
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" /* must never be answered */
