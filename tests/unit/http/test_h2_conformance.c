/*
 * test_h2_conformance: the cases of the HTTP/1.1 tables (conform.h) over HTTP/2.
 *
 * What a request means does not depend on the protocol, so each case whose requests can be said in
 * HTTP/2 is translated as a gateway would (RFC 9113 8.3.1, 8.2.2) and must get the same statuses,
 * the same fields and the same content. A refusal with 400 may also be a stream error of type
 * PROTOCOL_ERROR (8.1.1). A case stays out only for what HTTP/2 has no words for, named in
 * `reasons`; how many cases ran is asserted, so that a slip in the translation cannot empty the
 * test.
 */
#include "h2_frames.h"
#include "want.h"

#include <nghttp2/nghttp2.h>

#define REPLAYED_MIN 870
#define FIELDS_MAX 300
#define HEAD_MAX ((size_t)60 * 1024)

enum reason {
    REPLAYED,
    HALF,    /* the case is about a request that does not end */
    VERSION, /* not HTTP/1.1, or no request line */
    LINES,   /* bare CR or LF, folded lines, lines without a colon: HTTP/2 has no lines */
    CODING,  /* Transfer-Encoding */
    LONG,    /* longer than test_h2 and HPACK's limits allow */
    FORM,    /* of the target: CONNECT with a path; absolute-form without a good Host */
    FEW,     /* fewer requests than answers, since HTTP/1.1 sees their borders elsewhere */
    REASONS
};
static const char *const reasons[REASONS] = {
    "replayed", "half a request",      "version",    "line ends and folds", "transfer codings",
    "too long", "forms of the target", "boundaries",
};

/* ---- a request in both protocols ------------------------------------------------------------- */

struct message {
    dz_str method, target, body;
    struct dz_http_field field[FIELDS_MAX];
    size_t fields_n, hosts;
    dz_str host;
    bool cut; /* the body is not all there */
};

static bool is_of_connection(dz_str name) /* RFC 9113 8.2.2; TE says nothing to an origin */
{
    static const char *const names[] = {"connection", "keep-alive", "proxy-connection", "upgrade",
                                        "te"};
    for (size_t i = 0; i < DZ_LEN(names); i++)
        if (dz_str_eq_nocase(name, dz_str_of(names[i])))
            return true;
    return false;
}

static enum reason read_line(struct message *m, dz_str line, uint64_t *length)
{
    size_t colon = dz_str_chr(line, ':');
    if (colon == DZ_NPOS || line.p[0] == ' ' || line.p[0] == '\t' ||
        dz_str_chr(line, '\r') != DZ_NPOS || dz_str_chr(line, '\n') != DZ_NPOS)
        return LINES;
    dz_str name = dz_str_sub(line, 0, colon), value = dz_str_sub(line, colon + 1, line.n);
    while (value.n > 0 && (value.p[0] == ' ' || value.p[0] == '\t'))
        value = dz_str_sub(value, 1, value.n);
    while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t'))
        value.n--;
    if (dz_str_eq_nocase(dz_str_trim(name), DZ_S("transfer-encoding")))
        return CODING;
    if (dz_str_eq_nocase(name, DZ_S("content-length")) &&
        dz_str_u64(value, UINT64_MAX, length, NULL) != DZ_OK)
        *length = 0;
    if (dz_str_eq_nocase(name, DZ_S("host"))) {
        m->hosts++;
        m->host = value;
    }
    if (is_of_connection(name))
        return REPLAYED;
    if (m->fields_n == FIELDS_MAX)
        return LONG;
    m->field[m->fields_n++] = (struct dz_http_field){name, value};
    return REPLAYED;
}

/* One request off *rest. */
static enum reason read_message(dz_str *rest, struct message *m)
{
    *m = (struct message){0};
    size_t end = dz_str_find(*rest, DZ_S("\r\n\r\n"));
    if (end == DZ_NPOS)
        return LINES;
    dz_str head = dz_str_sub(*rest, 0, end + 2);
    *rest = dz_str_sub(*rest, end + 4, rest->n);
    end = dz_str_find(head, DZ_S("\r\n"));
    dz_str line = dz_str_sub(head, 0, end);
    size_t first = dz_str_chr(line, ' '), last = dz_str_rchr(line, ' ');
    if (first == DZ_NPOS || first == 0 || last <= first + 1 ||
        !dz_str_eq(dz_str_sub(line, last + 1, line.n), DZ_S("HTTP/1.1")))
        return VERSION;
    if (dz_str_chr(line, '\r') != DZ_NPOS || dz_str_chr(line, '\n') != DZ_NPOS)
        return LINES;
    m->method = dz_str_sub(line, 0, first);
    m->target = dz_str_sub(line, first + 1, last);
    if (head.n > HEAD_MAX)
        return LONG;
    uint64_t length = 0;
    for (head = dz_str_sub(head, end + 2, head.n); head.n > 0;) {
        end = dz_str_find(head, DZ_S("\r\n"));
        enum reason why = read_line(m, dz_str_sub(head, 0, end), &length);
        if (why != REPLAYED)
            return why;
        head = dz_str_sub(head, end + 2, head.n);
    }
    m->cut = length > rest->n;
    m->body = dz_str_sub(*rest, 0, m->cut ? rest->n : (size_t)length);
    *rest = dz_str_sub(*rest, m->body.n, rest->n);
    return REPLAYED;
}

static void put_text(struct dz_buf *b, dz_str text) /* RFC 7541 5.1, 5.2, without Huffman */
{
    if (text.n < 127) {
        dz_buf_putc(b, (char)text.n);
    } else {
        dz_buf_putc(b, 127);
        size_t n = text.n - 127;
        for (; n >= 128; n /= 128)
            dz_buf_putc(b, (char)(n % 128 + 128));
        dz_buf_putc(b, (char)n);
    }
    dz_buf_put(b, text);
}

static void put_field(struct dz_buf *b, dz_str name, dz_str value)
{
    dz_buf_putc(b, 0); /* RFC 7541 6.2.2 */
    DZ_AUTO(dz_buf_done) struct dz_buf lower;
    dz_buf_init(&lower, HEAD_MAX);
    for (size_t i = 0; i < name.n; i++)
        dz_buf_putc(&lower,
                    (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 0x20 : name.p[i]));
    put_text(b, dz_buf_str(&lower));
    put_text(b, value);
}

static bool is_absolute(const struct message *m)
{
    size_t mark = dz_str_find(m->target, DZ_S("://"));
    return mark != DZ_NPOS && mark > 0 && dz_str_chr(m->target, '/') == mark + 1;
}

/* What HTTP/1.1 says of the form has no counterpart. */
static bool is_about_form(const struct message *m, int status)
{
    bool no_host = m->hosts != 1 || dz_str_chr(m->host, '/') != DZ_NPOS;
    return (is_absolute(m) && no_host && status == 400) ||
           (dz_str_eq(m->method, DZ_S("CONNECT")) && m->target.p[0] == '/');
}

/* RFC 9113 8.3.1: absolute-form names scheme and authority; else Host becomes :authority. */
static void put_block(struct dz_buf *b, const struct message *m)
{
    dz_str scheme = DZ_S("https"), path = m->target, authority = m->host;
    bool connect = dz_str_eq(m->method, DZ_S("CONNECT")), absolute = is_absolute(m);
    if (absolute) {
        size_t mark = dz_str_find(m->target, DZ_S("://"));
        scheme = dz_str_sub(m->target, 0, mark);
        authority = dz_str_sub(m->target, mark + 3, m->target.n);
        size_t n = 0;
        while (n < authority.n && !strchr("/?#", authority.p[n]))
            n++;
        path = dz_str_sub(authority, n, authority.n);
        authority = dz_str_sub(authority, 0, n);
    }
    bool says = absolute || connect || m->hosts == 1;
    put_field(b, DZ_S(":method"), m->method);
    if (!connect)
        put_field(b, DZ_S(":scheme"), scheme);
    if (says)
        put_field(b, DZ_S(":authority"), connect ? m->target : authority);
    if (!connect) {
        struct dz_buf rooted;
        dz_buf_init(&rooted, 1 << 20);
        bool bare = absolute && (path.n == 0 || path.p[0] != '/');
        if (bare)
            dz_buf_putc(&rooted, dz_str_eq(m->method, DZ_S("OPTIONS")) && !path.n ? '*' : '/');
        dz_buf_put(&rooted, path);
        put_field(b, DZ_S(":path"), dz_buf_str(&rooted));
        dz_buf_done(&rooted);
    }
    for (size_t i = 0; i < m->fields_n; i++)
        if (!says || m->hosts != 1 || !dz_str_eq_nocase(m->field[i].name, DZ_S("host")))
            if (!absolute || !dz_str_eq_nocase(m->field[i].name, DZ_S("host")))
                put_field(b, m->field[i].name, m->field[i].value);
}

static void put_message(struct dz_buf *b, const struct message *m, uint32_t id)
{
    DZ_AUTO(dz_buf_done) struct dz_buf block;
    dz_buf_init(&block, 1 << 20);
    put_block(&block, m);
    bool ends = m->body.n == 0 && !m->cut;
    for (size_t at = 0; at == 0 || at < block.n; at += 16000)
        put_frame(b, at ? CONTINUATION : HEADERS,
                  (at + 16000 >= block.n ? END_HEADERS : 0) | (ends && at == 0 ? END_STREAM : 0),
                  id, dz_str_sub(dz_buf_str(&block), at, at + 16000));
    for (size_t at = 0; at < m->body.n; at += 16000)
        put_frame(b, DATA, at + 16000 >= m->body.n && !m->cut ? END_STREAM : 0, id,
                  dz_str_sub(m->body, at, at + 16000));
}

/* ---- answers --------------------------------------------------------------------------------- */

struct answer {
    int status;         /* of the last HEADERS that was not 1xx */
    struct dz_buf head; /* "name: value\r\n" lines */
    struct dz_buf body;
    bool ended, reset;
    uint32_t code;
};
static struct answer answers[ANSWERS_MAX];

static void read_block(nghttp2_hd_inflater *inflater, dz_str block, struct answer *a)
{
    dz_buf_clear(&a->head);
    while (true) {
        nghttp2_nv field;
        int flags = 0;
        ssize_t n =
            nghttp2_hd_inflate_hd2(inflater, &field, &flags, (const uint8_t *)block.p, block.n, 1);
        assert_true(n >= 0);
        block = dz_str_sub(block, (size_t)n, block.n);
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            dz_str name = {(const char *)field.name, field.namelen};
            dz_str value = {(const char *)field.value, field.valuelen};
            uint64_t status;
            if (dz_str_eq(name, DZ_S(":status"))) {
                must(dz_str_u64(value, 599, &status, err));
                a->status = (int)status;
            }
            dz_buf_put(&a->head, name);
            dz_buf_put(&a->head, DZ_S(": "));
            dz_buf_put(&a->head, value);
            dz_buf_put(&a->head, DZ_S("\r\n"));
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
    }
    nghttp2_hd_inflate_end_headers(inflater);
}

/* What the server said on the streams 1, 3, 5 and so on. False: it ended the connection. */
static bool read_answers(dz_str out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        answers[i] = (struct answer){0};
        dz_buf_init(&answers[i].head, 1 << 20);
        dz_buf_init(&answers[i].body, 1 << 24);
    }
    nghttp2_hd_inflater *inflater;
    assert_int_equal(nghttp2_hd_inflate_new(&inflater), 0);
    struct frame f;
    bool lives = true;
    while (next_frame(&out, &f)) {
        lives &= f.type != GOAWAY;
        if (f.id == 0)
            continue;
        assert_true(f.id % 2 && f.id / 2 < n);
        struct answer *a = &answers[f.id / 2];
        assert_false(a->ended && f.type != RST && f.type != UPDATE);
        if (f.type == HEADERS) {
            assert_true(f.flags & END_HEADERS);
            read_block(inflater, f.payload, a);
        } else if (f.type == DATA) {
            dz_buf_put(&a->body, f.payload);
        } else if (f.type == RST && !a->ended) {
            a->reset = true;
            a->code = number(f.payload, 0);
        }
        a->ended |= (f.type == HEADERS || f.type == DATA) && (f.flags & END_STREAM);
    }
    assert_int_equal(out.n, 0);
    nghttp2_hd_inflate_del(inflater);
    return lives;
}

static void free_answers(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dz_buf_done(&answers[i].head);
        dz_buf_done(&answers[i].body);
    }
}

static size_t field_of(const struct answer *a, dz_str name, dz_str *ret_value)
{
    dz_str rest = dz_buf_str(&a->head);
    size_t n = 0;
    while (rest.n > 0) {
        size_t end = dz_str_find(rest, DZ_S("\r\n"));
        dz_str line = dz_str_sub(rest, 0, end);
        size_t colon = dz_str_find(line, DZ_S(": "));
        rest = dz_str_sub(rest, end + 2, rest.n);
        if (!dz_str_eq_nocase(dz_str_sub(line, 0, colon), name))
            continue;
        *ret_value = dz_str_sub(line, colon + 2, line.n);
        n++;
    }
    return n;
}

static const char *answer_is_right(const struct answer *a, int status, bool head)
{
    dz_str v;
    if (status == 400 && a->reset)
        return a->code == NGHTTP2_PROTOCOL_ERROR ? NULL : "reset for another reason";
    if (a->reset || !a->ended)
        return a->reset ? "the stream was reset" : "no end";
    if (a->status != status)
        return "another status";
    static const char *const never[] = {"connection", "keep-alive", "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < DZ_LEN(never); i++)
        if (field_of(a, dz_str_of(never[i]), &v))
            return "RFC 9113 8.2.2: a field of the connection";
    if (field_of(a, DZ_S("date"), &v) != 1 || !dz_str_eq(v, DZ_S(RIG_DATE)))
        return "9110 6.6.1: no Date, or a wrong one";
    if (status >= 400 &&
        (!field_of(a, DZ_S("cache-control"), &v) || !dz_str_eq(v, DZ_S("no-store"))))
        return "9111 4: an error that a cache may keep";
    if (head || status == 204 || status == 304)
        return a->body.n ? "content where there must be none" : NULL;
    uint64_t length;
    if (field_of(a, DZ_S("content-length"), &v) != 1)
        return NULL; /* made while it is sent */
    must(dz_str_u64(v, UINT64_MAX, &length, err));
    return length == a->body.n ? NULL : "8.1.1: not as long as it says";
}

static bool line_is_there(dz_str line, const struct answer *a)
{
    dz_str v = {0};
    bool absent = line.p[0] == '-';
    line = dz_str_sub(line, absent, line.n);
    size_t colon = dz_str_chr(line, ':');
    dz_str name = dz_str_sub(line, 0, colon);
    if (is_of_connection(name))
        return true;
    size_t count = field_of(a, name, &v);
    if (absent)
        return count == 0;
    return count > 0 &&
           (colon == DZ_NPOS || dz_str_eq(v, dz_str_trim(dz_str_sub(line, colon + 1, line.n))));
}

static const char *lines_are_there(const struct http_case *c, size_t n)
{
    dz_str rest = dz_str_of(c->lines);
    while (rest.n > 0) {
        size_t end = dz_str_chr(rest, '\n');
        dz_str line = dz_str_sub(rest, 0, end);
        rest = end == DZ_NPOS ? (dz_str){0} : dz_str_sub(rest, end + 1, rest.n);
        const struct answer *a = &answers[n - 1];
        if (line.p[0] == '@') {
            a = &answers[line.p[1] - '1'];
            line = dz_str_sub(line, 3, line.n);
        }
        if (!a->reset && !line_is_there(line, a))
            return "a field is not as wanted";
    }
    return NULL;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static size_t ran[REASONS];

static enum reason translate(const struct http_case *c, const struct wanted *w, struct dz_buf *b)
{
    DZ_AUTO(dz_buf_done) struct dz_buf request;
    request_of(c, &request);
    if (w->waits)
        return HALF;
    put_start(b);
    put_frame(b, SETTINGS, 0, 0, DZ_S("\0\x04\x7F\xFF\xFF\xFF"));
    put_frame(b, UPDATE, 0, 0, DZ_S("\x7F\0\0\0"));
    dz_str rest = dz_buf_str(&request);
    for (size_t i = 0; i < w->n; i++) {
        struct message m;
        if (rest.n == 0)
            return FEW;
        enum reason why = read_message(&rest, &m);
        if (why != REPLAYED)
            return why;
        if (is_about_form(&m, w->status[i]))
            return FORM;
        put_message(b, &m, (uint32_t)(2 * i + 1));
    }
    return REPLAYED;
}

static bool run_case(const struct http_case *c)
{
    static struct wanted w;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 1 << 22);
    read_want(c->want, &w);
    enum reason why = translate(c, &w, &b);
    ran[why]++;
    if (why != REPLAYED)
        return true;
    struct dz_http_test_conn *t = open_h2();
    for (size_t at = 0; at < b.n; at += 4000) /* so that not more than 128 requests wait at once */
        dz_http_test_feed(t, dz_str_sub(dz_buf_str(&b), at, at + 4000), false);
    const char *wrong_why = read_answers(dz_http_test_output(t), w.n) ? NULL : "GOAWAY";
    for (size_t i = 0; i < w.n && !wrong_why; i++)
        wrong_why = answer_is_right(&answers[i], w.status[i], w.head[i]);
    if (!wrong_why && w.n > 0)
        wrong_why = lines_are_there(c, w.n);
    if (!wrong_why && c->body && !dz_str_eq(dz_buf_str(&answers[w.n - 1].body), dz_str_of(c->body)))
        wrong_why = "the content is not as wanted";
    if (wrong_why) {
        const struct answer *a = &answers[w.n ? w.n - 1 : 0];
        print_error("RFC %s: %s\n  %s: want %s, the last one is %d, reset %d:%u\n%.*s", c->clause,
                    c->says, wrong_why, c->want, a->status, a->reset, a->code,
                    DZ_STR_FMT(dz_buf_str(&a->head)));
    }
    free_answers(w.n);
    dz_http_test_free(&t);
    return !wrong_why;
}

static void run_groups(const struct http_group *groups, size_t n)
{
    size_t bad = 0;
    for (size_t g = 0; g < n; g++)
        for (size_t i = 0; i < groups[g].n; i++)
            bad += !run_case(&groups[g].cases[i]);
    assert_int_equal(bad, 0);
}

#define TABLE(name)                                                                                \
    static void of_##name(void **state)                                                            \
    {                                                                                              \
        (void)state;                                                                               \
        run_groups(groups_##name, groups_##name##_n);                                              \
    }
TABLE(9112)
TABLE(smuggling)
TABLE(9110)
TABLE(conditions)
TABLE(ranges)

static int made_setup(void **state)
{
    rig.made = true;
    return rig_setup(state);
}

static int made_teardown(void **state)
{
    rig.made = false;
    return rig_teardown(state);
}

static void enough_ran(void **state)
{
    (void)state;
    for (size_t i = 0; i < REASONS; i++)
        print_message("%s: %zu\n", reasons[i], ran[i]);
    assert_true(ran[REPLAYED] >= REPLAYED_MIN);
}

int main(void)
{
#define RIGGED(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
#define MADE(f) cmocka_unit_test_setup_teardown(f, made_setup, made_teardown)
    const struct CMUnitTest tests[] = {
        RIGGED(of_9112),       RIGGED(of_smuggling), RIGGED(of_9110),
        RIGGED(of_conditions), RIGGED(of_ranges),    cmocka_unit_test(enough_ran),
        MADE(of_9110),         MADE(of_conditions),  MADE(of_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
