/*
 * test_conformance: every case of the tables (conform.h) in every way that bytes can arrive.
 *
 * In memory whole, in every two pieces and byte by byte; over TCP in one write and byte by byte,
 * over a UNIX socket, and over TCP with the client's end closed right behind the request. All ways
 * must give the same bytes, and each answer must be well formed whatever it says. Nothing waits for
 * time to pass: behind the case's bytes goes one more request that asks for the end, so that
 * reading to the end shows exactly what was answered.
 *
 * --list-json prints the cases for the replay against the real program. --made answers with content
 * that is made while it is sent and waits in between, where the others stand ready; it runs the
 * cases that this is about.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "dial.h"
#include "want.h"

#define SENTINEL DZ_S("GET /healthz HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n")
#define INTERIM DZ_S("HTTP/1.1 100 Continue\r\n\r\n")
#define EVERY_SPLIT_MAX 1200 /* longer requests are split in steps */

static struct dz_http_server *live; /* with threads and sockets; rig.server is the one of memory */
static char tcp_address[128], folder[] = "/tmp/dozo-conform-XXXXXX";
static struct sockaddr_un unix_address = {.sun_family = AF_UNIX};
static size_t cases_run;

/* ---- one answer ------------------------------------------------------------------------------ */

struct answer {
    dz_str text; /* status line and header lines, each with its CRLF */
    dz_str body;
};

/* Takes one line with its CRLF off; false: none. */
static bool line_next(dz_str *rest, dz_str *ret_line)
{
    size_t end = dz_str_find(*rest, DZ_S("\r\n"));
    if (end == DZ_NPOS)
        return false;
    *ret_line = dz_str_sub(*rest, 0, end);
    *rest = dz_str_sub(*rest, end + 2, rest->n);
    return true;
}

/* The value of a field in a header block and how often it stands there. */
static size_t field_of(dz_str text, dz_str name, dz_str *ret_value)
{
    dz_str line;
    size_t n = 0;
    while (line_next(&text, &line)) {
        size_t colon = dz_str_chr(line, ':');
        if (colon == DZ_NPOS || !dz_str_eq_nocase(dz_str_sub(line, 0, colon), name))
            continue;
        *ret_value = dz_str_trim(dz_str_sub(line, colon + 1, line.n));
        n++;
    }
    return n;
}

static const char *why; /* of the last false */

static bool wrong(const char *text)
{
    why = text;
    return false;
}

static bool token_only(dz_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("!#$%&'*+-.^_`|~", s.p[i]) &&
            !((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z') &&
            !(s.p[i] >= '0' && s.p[i] <= '9'))
            return false;
    return s.n > 0;
}

/* RFC 9112 4 and 5: the form of the lines. */
static bool form_is_right(dz_str text, int status)
{
    dz_str line;
    char start[16];
    snprintf(start, sizeof(start), "HTTP/1.1 %d ", status);
    if (!line_next(&text, &line) || !dz_str_starts(line, dz_str_of(start)))
        return wrong("the status line is not what was wanted");
    while (line_next(&text, &line)) {
        size_t colon = dz_str_chr(line, ':');
        if (colon == DZ_NPOS || !token_only(dz_str_sub(line, 0, colon)))
            return wrong("a header line of the answer has no valid name");
        for (size_t i = colon; i < line.n; i++)
            if (((unsigned char)line.p[i] < 0x20 && line.p[i] != '\t') || line.p[i] == 0x7F)
                return wrong("a control character stands in a header line of the answer");
    }
    return true;
}

/* What RFC 9110 and 9112 want of every final answer of an origin. */
static bool fields_are_right(dz_str text, int status, bool last_and_closes)
{
    static const char *const single[] = {
        "Content-Length", "Content-Type",  "ETag",       "Last-Modified",    "Date",
        "Location",       "Content-Range", "Connection", "Content-Encoding", "Retry-After"};
    dz_str v = {0};
    for (size_t i = 0; i < DZ_LEN(single); i++)
        if (field_of(text, dz_str_of(single[i]), &v) > 1)
            return wrong("a field stands twice in the answer that may stand once");
    if (field_of(text, DZ_S("Date"), &v) != 1 || !dz_str_eq(v, DZ_S(RIG_DATE)))
        return wrong("9110 6.6.1: no Date, or a wrong one");
    bool length = field_of(text, DZ_S("Content-Length"), &v) > 0;
    if (length && field_of(text, DZ_S("Transfer-Encoding"), &v))
        return wrong("9112 6.2: Content-Length beside Transfer-Encoding");
    if ((status == 204 || status == 304) && field_of(text, DZ_S("Transfer-Encoding"), &v))
        return wrong("9112 6.1: Transfer-Encoding in a 204 or 304");
    if (status == 204 && length)
        return wrong("9110 8.6: Content-Length in a 204");
    if (status == 405 && !field_of(text, DZ_S("Allow"), &v))
        return wrong("9110 15.5.6: 405 without Allow");
    if (status == 416 && !field_of(text, DZ_S("Content-Range"), &v))
        return wrong("9110 15.5.17: 416 without Content-Range");
    if (status != 206 && status != 416 && field_of(text, DZ_S("Content-Range"), &v))
        return wrong("9110 14.4: Content-Range where it means nothing");
    if (field_of(text, DZ_S("Age"), &v))
        return wrong("9111 5.1: Age from an origin");
    if (status >= 400 &&
        (!field_of(text, DZ_S("Cache-Control"), &v) || !dz_str_eq(v, DZ_S("no-store"))))
        return wrong("9111 4: an error that a cache may keep");
    bool close = field_of(text, DZ_S("Connection"), &v) && dz_str_eq(v, DZ_S("close"));
    if (close != last_and_closes)
        return wrong("9112 9.6: Connection: close does not say what happens");
    return true;
}

/* The content of a chunked answer, whose form must be right to the byte. */
static bool chunks_off(dz_str *rest, dz_str *ret_raw)
{
    size_t at = 0;
    for (;;) {
        uint64_t n = 0;
        size_t digits = 0;
        for (; at < rest->n && strchr("0123456789abcdefABCDEF", rest->p[at]); at++, digits++) {
            char c = rest->p[at];
            n = n * 16 + (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
        }
        if (digits == 0 || !dz_str_starts(dz_str_sub(*rest, at, rest->n), DZ_S("\r\n")))
            return wrong("7.1: a chunk of the answer has no size line");
        at += 2 + (size_t)n;
        if (!dz_str_starts(dz_str_sub(*rest, at, rest->n), DZ_S("\r\n")))
            return wrong("7.1: a chunk of the answer does not end with CRLF");
        at += 2;
        if (n == 0)
            break;
    }
    *ret_raw = dz_str_sub(*rest, 0, at);
    *rest = dz_str_sub(*rest, at, rest->n);
    return true;
}

static bool answer_off(dz_str *rest, int status, bool head, bool last_and_closes,
                       struct answer *ret)
{
    size_t end = dz_str_find(*rest, DZ_S("\r\n\r\n"));
    if (end == DZ_NPOS)
        return wrong(rest->n ? "an answer is cut short" : "an answer is missing");
    ret->text = dz_str_sub(*rest, 0, end + 2);
    *rest = dz_str_sub(*rest, end + 4, rest->n);
    ret->body = (dz_str){0};
    if (!form_is_right(ret->text, status))
        return false;
    dz_str v;
    if (status < 200)
        return !field_of(ret->text, DZ_S("Content-Length"), &v) ||
               wrong("9110 8.6: Content-Length in a 1xx");
    if (!fields_are_right(ret->text, status, last_and_closes))
        return false;
    if (head || status == 204 || status == 304)
        return true;
    if (field_of(ret->text, DZ_S("Transfer-Encoding"), &v))
        return chunks_off(rest, &ret->body);
    uint64_t n;
    if (!field_of(ret->text, DZ_S("Content-Length"), &v) ||
        dz_str_u64(v, UINT64_MAX, &n, NULL) != DZ_OK)
        return wrong("6.3: an answer of unknown length");
    if (n > rest->n)
        return wrong("the content of an answer is cut short");
    ret->body = dz_str_sub(*rest, 0, (size_t)n);
    *rest = dz_str_sub(*rest, (size_t)n, rest->n);
    return true;
}

static bool lines_are_there(const struct http_case *c, const struct answer *answers, size_t n)
{
    dz_str rest = dz_str_of(c->lines);
    while (rest.n > 0) {
        size_t end = dz_str_chr(rest, '\n');
        dz_str line = dz_str_sub(rest, 0, end), v = {0};
        rest = end == DZ_NPOS ? (dz_str){0} : dz_str_sub(rest, end + 1, rest.n);
        const struct answer *a = &answers[n - 1];
        if (line.p[0] == '@') {
            a = &answers[line.p[1] - '1'];
            line = dz_str_sub(line, 3, line.n);
        }
        bool absent = line.p[0] == '-';
        line = dz_str_sub(line, absent, line.n);
        size_t colon = dz_str_chr(line, ':');
        size_t count = field_of(a->text, dz_str_sub(line, 0, colon), &v);
        if (absent
                ? count > 0
                : count == 0 || (colon != DZ_NPOS &&
                                 !dz_str_eq(v, dz_str_trim(dz_str_sub(line, colon + 1, line.n)))))
            return wrong("a header line is not as wanted");
    }
    return true;
}

/* All of `out`: the wanted answers, then the sentinel's when it was asked. */
static bool output_is_right(const struct http_case *c, const struct wanted *w, dz_str out,
                            bool sentinel)
{
    static struct answer answers[ANSWERS_MAX + 1];
    for (size_t i = 0; i < w->n; i++)
        if (!answer_off(&out, w->status[i], w->head[i], w->closes && i + 1 == w->n, &answers[i]))
            return false;
    if (w->n > 0 && !lines_are_there(c, answers, w->n))
        return false;
    if (c->body && !dz_str_eq(answers[w->n - 1].body, dz_str_of(c->body)))
        return wrong("the content is not as wanted");
    if (sentinel && !w->closes &&
        (!answer_off(&out, 200, false, true, &answers[w->n]) ||
         !dz_str_eq(answers[w->n].body, DZ_S("ok"))))
        return wrong("out of step: the request behind the case is not answered as it should be");
    return out.n == 0 || wrong("something was sent that nobody asked for");
}

/* ---- ways to send ---------------------------------------------------------------------------- */

/* What differs by chance: boundaries of parts, and whether 100 was worth saying. */
static void even_out(const struct http_case *c, struct dz_buf *b)
{
    dz_str all = dz_buf_str(b), mark = DZ_S("boundary=");
    size_t at = dz_str_find(all, mark);
    if (at != DZ_NPOS) {
        char boundary[16];
        memcpy(boundary, b->p + at + mark.n, 16);
        for (size_t i = 0; i + 16 <= b->n; i++)
            if (memcmp(b->p + i, boundary, 16) == 0)
                memcpy(b->p + i, "0123456789abcdef", 16);
    }
    if (dz_str_find(c->request, DZ_S("100-continue")) == DZ_NPOS)
        return;
    while ((at = dz_str_find(dz_buf_str(b), INTERIM)) != DZ_NPOS) {
        memmove(b->p + at, b->p + at + INTERIM.n, b->n - at - INTERIM.n);
        b->n -= INTERIM.n;
    }
}

/* In memory, `first` bytes and then `step` at a time; `eof` behind the last. */
static bool by_memory(dz_str request, size_t first, size_t step, bool eof, struct dz_buf *out)
{
    struct dz_http_test_conn *t = dz_http_test_open(rig.server, rig.loop);
    for (size_t at = 0; at < request.n;) {
        dz_str piece = dz_str_sub(request, at, at + (at ? step : first));
        at += piece.n;
        dz_http_test_feed(t, piece, eof && at == request.n);
    }
    dz_buf_clear(out);
    dz_buf_put(out, dz_http_test_output(t));
    bool closed = dz_http_test_closed(t);
    dz_http_test_free(&t);
    return closed;
}

static int connect_tcp(void)
{
    int fd = dial(tcp_address, 0), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static int connect_unix(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&unix_address, sizeof(unix_address)), 0);
    return fd;
}

/* Sends, reads to the end, closes. A server that has closed takes no more: that is no fault. */
static void by_socket(int fd, dz_str request, size_t step, bool half_close, struct dz_buf *out)
{
    dz_buf_clear(out);
    for (size_t at = 0; at < request.n; at += step) {
        dz_str piece = dz_str_sub(request, at, at + step);
        while (piece.n > 0) {
            ssize_t n = send(fd, piece.p, piece.n, MSG_NOSIGNAL);
            if (n <= 0)
                break;
            piece = dz_str_sub(piece, (size_t)n, piece.n);
        }
    }
    if (half_close)
        shutdown(fd, SHUT_WR);
    for (;;) {
        assert_true(dz_buf_reserve(out, 65536));
        ssize_t n = recv(fd, out->p + out->n, 65536, 0);
        if (n <= 0)
            break;
        out->n += (size_t)n;
    }
    dz_closep(&fd);
}

/* ---- a case ---------------------------------------------------------------------------------- */

struct run {
    const struct http_case *c;
    struct wanted want;
    struct dz_buf bare, whole; /* request, and with the sentinel behind it */
    struct dz_buf expected, got;
    bool good;
};

static void complain(struct run *r, const char *way, const char *what)
{
    r->good = false;
    print_error("RFC %s: %s\n  %s: %s\n  want %s\n  got \"%.*s\"\n", r->c->clause, r->c->says, way,
                what, r->c->want, (int)(r->got.n < 1500 ? r->got.n : 1500), r->got.p);
}

static void compare(struct run *r, const char *way)
{
    even_out(r->c, &r->got);
    if (r->good && !dz_str_eq(dz_buf_str(&r->got), dz_buf_str(&r->expected)))
        complain(r, way, "not the same answer as in one piece");
}

/* In memory in one piece: the answer that all other ways must give. */
static void judge(struct run *r)
{
    const struct wanted *w = &r->want;
    bool closed = by_memory(dz_buf_str(&r->bare), r->bare.n, 1, false, &r->got);
    if (!output_is_right(r->c, w, dz_buf_str(&r->got), false))
        complain(r, "in memory", why);
    else if (closed != w->closes)
        complain(r, "in memory",
                 closed ? "the connection was closed" : "the connection stays open");
    if (!r->good || w->waits)
        return;
    by_memory(dz_buf_str(&r->whole), r->whole.n, 1, false, &r->got);
    if (!output_is_right(r->c, w, dz_buf_str(&r->got), true))
        complain(r, "in memory with a request behind it", why);
    /* The client's end closed right behind the case: nothing of the answers is lost. */
    dz_buf_clear(&r->expected);
    by_memory(dz_buf_str(&r->bare), r->bare.n, 1, true, &r->got);
    if (r->good && !output_is_right(r->c, w, dz_buf_str(&r->got), false))
        complain(r, "in memory, half closed", why);
    dz_buf_put(&r->expected, dz_buf_str(&r->got));
    even_out(r->c, &r->expected);
    by_socket(connect_tcp(), dz_buf_str(&r->bare), r->bare.n, true, &r->got);
    compare(r, "over TCP, half closed");
}

static void all_ways(struct run *r)
{
    bool eof = r->want.waits; /* no sentinel fits behind half a request */
    dz_str bytes = dz_buf_str(eof ? &r->bare : &r->whole);
    by_memory(bytes, bytes.n, 1, eof, &r->expected);
    even_out(r->c, &r->expected);
    size_t stride = bytes.n <= EVERY_SPLIT_MAX ? 1 : bytes.n / 50;
    for (size_t at = 1; at < bytes.n && r->good; at += stride) {
        by_memory(bytes, at, bytes.n, eof, &r->got);
        compare(r, "in memory, in two pieces");
    }
    by_memory(bytes, 1, 1, eof, &r->got);
    compare(r, "in memory, byte by byte");
    by_socket(connect_tcp(), bytes, bytes.n, eof, &r->got);
    compare(r, "over TCP");
    by_socket(connect_tcp(), bytes, bytes.n, true, &r->got);
    compare(r, "over TCP, half closed behind a further request");
    if (bytes.n <= EVERY_SPLIT_MAX) {
        by_socket(connect_tcp(), bytes, 1, eof, &r->got);
        compare(r, "over TCP, byte by byte");
    }
    by_socket(connect_unix(), bytes, bytes.n, eof, &r->got);
    compare(r, "over a UNIX socket");
}

static bool run_case(const struct http_case *c)
{
    struct run r = {.c = c, .good = true};
    read_want(c->want, &r.want);
    request_of(c, &r.bare);
    request_of(c, &r.whole);
    dz_buf_put(&r.whole, SENTINEL);
    dz_buf_init(&r.expected, 1 << 22);
    dz_buf_init(&r.got, 1 << 22);
    judge(&r);
    if (r.good)
        all_ways(&r);
    dz_buf_done(&r.bare);
    dz_buf_done(&r.whole);
    dz_buf_done(&r.expected);
    dz_buf_done(&r.got);
    cases_run++;
    return r.good;
}

static void run_group(void **state)
{
    const struct http_group *g = *state;
    size_t good = 0;
    for (size_t i = 0; i < g->n; i++)
        good += run_case(&g->cases[i]);
    print_message("%s: %zu of %zu cases\n", g->name, good, g->n);
    assert_int_equal(good, g->n);
}

/* ---- all ------------------------------------------------------------------------------------- */

#define GROUPS_MAX 64
static const struct http_group *groups[GROUPS_MAX];
static size_t groups_n, cases_n;

static void add_groups(const struct http_group *g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_true(groups_n < GROUPS_MAX);
        groups[groups_n++] = &g[i];
        cases_n += g[i].n;
    }
}

static void every_case_ran(void **state)
{
    (void)state;
    print_message("%zu cases\n", cases_run);
    assert_int_equal(cases_run, cases_n);
}

static int open_all(void **state)
{
    (void)state;
    struct dz_http_options o = {.routes = rig_routes, .routes_n = DZ_LEN(rig_routes)};
    rig_open(&o);
    must(dz_http_server_new(&o, &live, err));
    must(dz_http_listen(live, "127.0.0.1:0", 1, tcp_address, err));
    assert_non_null(mkdtemp(folder));
    snprintf(unix_address.sun_path, sizeof(unix_address.sun_path), "%s/s", folder);
    char name[128], printed[128];
    snprintf(name, sizeof(name), "unix:%s/s", folder);
    must(dz_http_listen(live, name, 1, printed, err));
    must(dz_http_start(live, 1, err));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    dz_http_stop(&live);
    rmdir(folder);
    rig_close();
    return 0;
}

static void put_hex(struct dz_json *j, dz_str bytes)
{
    char *hex = dz_alloc(2 * bytes.n + 1);
    dz_hex(bytes.p, bytes.n, hex);
    dz_json_str(j, (dz_str){hex, 2 * bytes.n});
    free(hex);
}

static void list_case(struct dz_json *j, const struct http_case *c)
{
    struct dz_buf request;
    request_of(c, &request);
    dz_json_object(j);
    dz_json_key(j, DZ_S("clause"));
    dz_json_str(j, dz_str_of(c->clause));
    dz_json_key(j, DZ_S("says"));
    dz_json_str(j, dz_str_of(c->says));
    dz_json_key(j, DZ_S("request_hex"));
    put_hex(j, dz_buf_str(&request));
    dz_json_key(j, DZ_S("want"));
    dz_json_str(j, dz_str_of(c->want));
    dz_json_key(j, DZ_S("lines"));
    dz_json_str(j, dz_str_of(c->lines));
    dz_json_end(j);
    dz_buf_done(&request);
}

static void list_json(void)
{
    struct dz_buf out;
    struct dz_json j;
    dz_buf_init(&out, 1 << 26);
    dz_json_init(&j, &out, DZ_JSON_COMPACT, true);
    dz_json_array(&j);
    for (size_t g = 0; g < groups_n; g++) {
        dz_json_object(&j);
        dz_json_key(&j, DZ_S("group"));
        dz_json_str(&j, dz_str_of(groups[g]->name));
        dz_json_key(&j, DZ_S("cases"));
        dz_json_array(&j);
        for (size_t i = 0; i < groups[g]->n; i++)
            list_case(&j, &groups[g]->cases[i]);
        dz_json_end(&j);
        dz_json_end(&j);
    }
    dz_json_end(&j);
    must(dz_write_all(STDOUT_FILENO, dz_buf_str(&out), err));
    dz_buf_done(&out);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    rig.made = argc == 2 && strcmp(argv[1], "--made") == 0;
    if (!rig.made) {
        add_groups(groups_9112, groups_9112_n);
        add_groups(groups_smuggling, groups_smuggling_n);
    }
    add_groups(groups_9110, groups_9110_n);
    add_groups(groups_conditions, groups_conditions_n);
    add_groups(groups_ranges, groups_ranges_n);
    if (argc == 2 && strcmp(argv[1], "--list-json") == 0) {
        list_json();
        return 0;
    }
    struct CMUnitTest tests[GROUPS_MAX + 1] = {0};
    for (size_t i = 0; i < groups_n; i++)
        tests[i] = (struct CMUnitTest){.name = groups[i]->name,
                                       .test_func = run_group,
                                       .initial_state = (void *)(uintptr_t)groups[i]};
    tests[groups_n] = (struct CMUnitTest)cmocka_unit_test(every_case_ran);
    return _cmocka_run_group_tests("conformance", tests, groups_n + 1, open_all, close_all);
}
