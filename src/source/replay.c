/*
 * replay: recorded exchanges in place of a site.
 *
 * In: texts of fixtures/NAME.http, and requests as the http module sends them. Out: the recorded
 * answers, from the loop as the requester would give them; redirects are followed, hosts that the
 * source may not ask are refused, and nothing ever leaves the process. Several exchanges of the
 * same request answer one after the other, the last one again and again; each case begins anew.
 * A request that is not recorded is noted besides failing, because a source may catch the failure.
 * Everything on the loop's thread; texts and bodies lie in one arena until the end.
 */
#include "source/replay.h"

#include <ctype.h>
#include <stdlib.h>

#define FIELDS_MAX 64u
#define ARENA_MAX (512 * DZ_MIB)
#define MISSING_MAX (64 * DZ_KIB)
#define LINE_BYTES_MAX 16384u

struct pending {
    struct pending *next;
    void (*done)(void *arg, struct dz_fetch_res *res);
    void *arg;
    struct dz_arena *arena;
    struct dz_fetch_res res;
};

struct replay {
    struct dz_loop *loop;
    struct dz_arena *arena;
    struct replay_exchange *v;
    size_t n, cap;
    const struct dz_source_info *info;
    const char *const *files;
    size_t files_n;
    struct dz_buf missing;
    struct dz_timer timer;
    struct pending *first, **end;
};

struct replay *replay_new(struct dz_loop *l)
{
    struct replay *r = dz_new(struct replay);
    r->loop = l;
    r->arena = dz_arena_new(ARENA_MAX);
    r->end = &r->first;
    dz_buf_init(&r->missing, MISSING_MAX);
    return r;
}

static void deliver(struct pending *p)
{
    p->done(p->arg, &p->res);
    dz_body_unref(&p->res.body);
    dz_arena_free(&p->arena);
    free(p);
}

static struct pending *take_first(struct replay *r)
{
    struct pending *p = r->first;
    if (p)
        r->first = p->next;
    if (!r->first)
        r->end = &r->first;
    return p;
}

void replay_free(struct replay **rp)
{
    struct replay *r = dz_take(rp);
    if (!r)
        return;
    dz_timer_stop(r->loop, &r->timer);
    for (struct pending *p; (p = take_first(r)) != NULL;) {
        dz_body_unref(&p->res.body);
        p->res = (struct dz_fetch_res){.kind = DZ_FETCH_CANCELLED, .retry_after_ms = -1};
        (void)dz_fail(&p->res.err, DZ_CANCELLED, "the test has ended");
        deliver(p);
    }
    dz_buf_done(&r->missing);
    dz_arena_free(&r->arena);
    free(r->v);
    free(r);
}

size_t replay_count(const struct replay *r)
{
    return r->n;
}

const struct replay_exchange *replay_at(const struct replay *r, size_t i)
{
    return &r->v[i];
}

dz_str replay_missing(const struct replay *r)
{
    return dz_buf_str(&r->missing);
}

/* ---- reading a file -------------------------------------------------------------------------- */

struct reader {
    struct replay *r;
    const char *file, *folder;
    struct dz_cursor c;
    struct dz_err *err;
};

static enum dz_code wrong(struct reader *d, uint32_t line, const char *fmt, ...) DZ_PRINTF(3, 4);
static enum dz_code wrong(struct reader *d, uint32_t line, const char *fmt, ...)
{
    char text[180];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return dz_fail(d->err, DZ_BAD_INPUT, "%s:%u: %s", d->file, line, text);
}

static dz_str peek_line(const struct reader *d)
{
    struct dz_cursor c = d->c;
    return dz_cursor_until(&c, '\n');
}

static dz_str line_of(struct reader *d)
{
    dz_str s = dz_cursor_until(&d->c, '\n');
    (void)dz_cursor_next(&d->c);
    if (s.n > 0 && s.p[s.n - 1] == '\r')
        s.n--;
    return s;
}

static dz_str word_of(dz_str *rest)
{
    size_t at = dz_str_chr(*rest, ' ');
    dz_str word = dz_str_sub(*rest, 0, at);
    *rest = dz_str_trim(dz_str_after(*rest, at));
    return word;
}

static dz_str lower(struct dz_arena *a, dz_str s)
{
    char *p = dz_arena_dup(a, s);
    for (size_t i = 0; i < s.n; i++)
        p[i] = (char)tolower((unsigned char)p[i]);
    return (dz_str){p, s.n};
}

/* Lines "Name: value" up to an empty one or the end; names in lower case. */
static enum dz_code read_fields(struct reader *d, const struct dz_fetch_header **ret_v,
                                size_t *ret_n)
{
    struct dz_fetch_header v[FIELDS_MAX];
    size_t n = 0;
    while (!dz_cursor_end(&d->c)) {
        uint32_t line_no = d->c.line;
        dz_str line = line_of(d);
        if (dz_str_trim(line).n == 0)
            break;
        size_t colon = dz_str_chr(line, ':');
        dz_str name = dz_str_trim(dz_str_sub(line, 0, colon));
        if (colon == DZ_NPOS || name.n == 0 || dz_str_chr(name, ' ') != DZ_NPOS ||
            line.n > LINE_BYTES_MAX)
            return wrong(d, line_no,
                         "expected a field such as \"Content-Type: text/html\" or an "
                         "empty line");
        if (n == FIELDS_MAX)
            return wrong(d, line_no, "more than %u fields", FIELDS_MAX);
        v[n].name = lower(d->r->arena, name);
        v[n++].value = dz_arena_str(d->r->arena, dz_str_trim(dz_str_after(line, colon)));
    }
    struct dz_fetch_header *copy = dz_arena_alloc(d->r->arena, (n + 1) * sizeof(*copy));
    memcpy(copy, v, n * sizeof(*copy));
    *ret_v = copy;
    *ret_n = n;
    return DZ_OK;
}

static dz_str field(const struct dz_fetch_header *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (dz_str_eq_nocase(v[i].name, dz_str_of(name)))
            return v[i].value;
    return (dz_str){NULL, 0};
}

/* So many bytes as Content-Length says; else up to a line that begins with `stop`. */
static enum dz_code read_body(struct reader *d, const struct dz_fetch_header *fields, size_t n,
                              const char *stop, dz_str *ret_body)
{
    dz_str said = field(fields, n, "content-length");
    uint64_t length = 0;
    size_t from = d->c.at;
    if (said.p) {
        size_t left = d->c.s.n - from;
        if (dz_str_u64(said, REPLAY_FILE_MAX, &length, NULL) != DZ_OK || length > left)
            return wrong(d, d->c.line, "Content-Length is %.20s, %zu bytes are left in the file",
                         dz_arena_dup(d->r->arena, said), left);
        for (uint64_t i = 0; i < length; i++)
            (void)dz_cursor_next(&d->c);
        *ret_body = dz_arena_str(d->r->arena, dz_str_sub(d->c.s, from, from + (size_t)length));
        return DZ_OK;
    }
    while (!dz_cursor_end(&d->c) && !dz_str_starts(peek_line(d), dz_str_of(stop)))
        (void)line_of(d);
    dz_str body = dz_str_sub(d->c.s, from, d->c.at);
    while (body.n > 0 && (body.p[body.n - 1] == '\n' || body.p[body.n - 1] == '\r'))
        body.n--;
    *ret_body = dz_arena_str(d->r->arena, body);
    return DZ_OK;
}

/* "< page.jpg" alone: the bytes lie in that file beside this one. */
static enum dz_code body_from_file(struct reader *d, struct replay_exchange *x)
{
    dz_str name = dz_str_trim(dz_str_sub(x->body, 1, x->body.n));
    if (name.n == 0 || name.n > 200 || dz_str_chr(name, '/') != DZ_NPOS || name.p[0] == '.')
        return wrong(d, x->line, "expected < and the name of a file beside this one");
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, REPLAY_FILE_MAX);
    dz_str path = dz_arena_printf(d->r->arena, "%s/%.*s", d->folder, DZ_STR_FMT(name));
    struct dz_err e;
    if (dz_file_read(path.p, &b, &e) != DZ_OK)
        return wrong(d, x->line, "%.150s", e.text);
    x->body = dz_arena_str(d->r->arena, dz_buf_str(&b));
    return DZ_OK;
}

/* "! timeout": no answer came. */
static enum dz_code read_broken(struct reader *d, struct replay_exchange *x, dz_str rest)
{
    static const struct {
        const char *word;
        enum dz_fetch_kind kind;
    } ways[] = {
        {"connect", DZ_FETCH_CONNECT}, {"timeout", DZ_FETCH_TIMEOUT}, {"broken", DZ_FETCH_BROKEN}};
    for (size_t i = 0; i < DZ_LEN(ways); i++) {
        if (!dz_str_eq(rest, dz_str_of(ways[i].word)))
            continue;
        x->broken = ways[i].kind;
        return DZ_OK;
    }
    return wrong(d, x->line, "expected ! connect, ! timeout or ! broken");
}

static enum dz_code read_answer(struct reader *d, struct replay_exchange *x)
{
    while (!dz_cursor_end(&d->c) && dz_str_trim(peek_line(d)).n == 0)
        (void)line_of(d);
    uint32_t line_no = d->c.line;
    dz_str line = line_of(d);
    dz_str rest = line, version = word_of(&rest);
    if (dz_str_eq(version, DZ_S("!")))
        return read_broken(d, x, rest);
    uint64_t status;
    if (!dz_str_starts(version, DZ_S("HTTP/")) ||
        dz_str_u64(word_of(&rest), 599, &status, NULL) != DZ_OK || status < 200)
        return wrong(d, line_no, "expected an answer such as \"HTTP/1.1 200 OK\"");
    x->status = (int)status;
    DZ_TRY(read_fields(d, &x->fields, &x->fields_n));
    if (field(x->fields, x->fields_n, "content-encoding").n)
        return wrong(d, line_no, "bodies are recorded decoded: leave Content-Encoding out");
    DZ_TRY(read_body(d, x->fields, x->fields_n, "###", &x->body));
    bool by_length = field(x->fields, x->fields_n, "content-length").p != NULL;
    if (!by_length && x->body.n > 1 && x->body.p[0] == '<' && x->body.p[1] == ' ' &&
        dz_str_chr(x->body, '\n') == DZ_NPOS)
        return body_from_file(d, x);
    return DZ_OK;
}

static enum dz_code read_exchange(struct reader *d, struct replay_exchange *x)
{
    x->line = d->c.line;
    dz_str line = line_of(d), rest = line;
    dz_str method = word_of(&rest), url = word_of(&rest);
    bool capitals = method.n > 0 && method.n < 20;
    for (size_t i = 0; i < method.n; i++)
        capitals = capitals && method.p[i] >= 'A' && method.p[i] <= 'Z';
    struct dz_url u;
    bool absolute = dz_url_parse(url, &u, NULL) == DZ_OK && u.scheme.n && u.host.n;
    if (!capitals || !absolute || dz_url_normal(url, d->r->arena, &x->url, NULL) != DZ_OK)
        return wrong(d, x->line,
                     "expected a request such as \"GET https://example.org/\", got \"%.60s\"",
                     dz_arena_dup(d->r->arena, line));
    x->method = dz_arena_str(d->r->arena, method);
    x->shown_url = dz_arena_str(d->r->arena, url);
    DZ_TRY(read_fields(d, &x->wants, &x->wants_n));
    dz_str next = peek_line(d);
    bool bare = dz_str_eq(method, DZ_S("GET")) || dz_str_eq(method, DZ_S("HEAD"));
    if (!bare && !dz_str_starts(next, DZ_S("HTTP/")) && !dz_str_starts(next, DZ_S("! ")) &&
        dz_str_trim(next).n > 0)
        DZ_TRY(read_body(d, x->wants, x->wants_n, "HTTP/", &x->sent_body));
    return read_answer(d, x);
}

static enum dz_code add(struct reader *d, const struct replay_exchange *x)
{
    struct replay *r = d->r;
    if (r->n == REPLAY_EXCHANGES_MAX)
        return wrong(d, x->line, "more than %u exchanges", REPLAY_EXCHANGES_MAX);
    if (r->n == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 64;
        r->v = dz_realloc(r->v, r->cap * sizeof(*r->v));
    }
    r->v[r->n++] = *x;
    return DZ_OK;
}

enum dz_code replay_add(struct replay *r, const char *file, const char *folder, dz_str text,
                        bool apart, struct dz_err *err)
{
    struct reader d = {.r = r, .folder = folder, .err = err};
    d.file = dz_arena_dup(r->arena, dz_str_of(file));
    dz_cursor_init(&d.c, text);
    bool optional = false;
    while (!dz_cursor_end(&d.c)) {
        dz_str line = dz_str_trim(peek_line(&d));
        if (line.n > 0 && line.p[0] != '#') {
            struct replay_exchange x = {.file = d.file, .apart = apart, .optional = optional};
            DZ_TRY(read_exchange(&d, &x));
            DZ_TRY(add(&d, &x));
            optional = false;
            continue;
        }
        if (dz_str_find(line, DZ_S("@optional")) != DZ_NPOS)
            optional = true;
        (void)line_of(&d);
    }
    return DZ_OK;
}

/* ---- answering ------------------------------------------------------------------------------- */

void replay_begin(struct replay *r, const struct dz_source_info *info, const char *const *files,
                  size_t files_n)
{
    r->info = info;
    r->files = files;
    r->files_n = files_n;
    dz_buf_clear(&r->missing);
    for (size_t i = 0; i < r->n; i++)
        r->v[i].used_now = false;
}

bool replay_allows(const struct dz_source_info *info, dz_str url)
{
    struct dz_url u, o;
    if (dz_url_parse(url, &u, NULL) != DZ_OK)
        return false;
    for (size_t i = 0; i < info->hosts_n; i++)
        if (dz_url_host_matches(u.host, info->hosts[i]))
            return true;
    for (size_t i = 0; i < info->options_n; i++)
        if (dz_str_ends(info->options[i].name, DZ_S("_url")) &&
            dz_url_parse(info->options[i].value, &o, NULL) == DZ_OK &&
            dz_str_eq_nocase(o.host, u.host))
            return true;
    return false;
}

static bool is_named(const struct replay *r, const struct replay_exchange *x)
{
    for (size_t i = 0; i < r->files_n; i++)
        if (strcmp(r->files[i], x->file) == 0)
            return true;
    return false;
}

/* NULL: it fits; else the field that was sent otherwise, or "body". */
static const char *misfit(const struct replay_exchange *x, const struct dz_fetch_req *req)
{
    for (size_t i = 0; i < x->wants_n; i++) {
        if (dz_str_eq(x->wants[i].name, DZ_S("content-length")))
            continue;
        bool sent = false;
        for (size_t k = 0; k < req->headers_n; k++)
            sent |= dz_str_eq_nocase(req->headers[k].name, x->wants[i].name) &&
                    dz_str_eq(req->headers[k].value, x->wants[i].value);
        if (!sent)
            return x->wants[i].name.p;
    }
    return x->sent_body.n > 0 && !dz_str_eq(x->sent_body, req->body) ? "body" : NULL;
}

/* The first one of this case that has not answered yet, else the last; files that the case names
 * before the common ones. */
static struct replay_exchange *find(struct replay *r, const struct dz_fetch_req *req, dz_str method,
                                    dz_str url, const struct replay_exchange **ret_near,
                                    const char **ret_misfit)
{
    dz_str normal;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    if (dz_url_normal(url, a, &normal, NULL) != DZ_OK)
        return NULL;
    for (int named = 1; named >= 0; named--) {
        struct replay_exchange *last = NULL;
        for (size_t i = 0; i < r->n; i++) {
            struct replay_exchange *x = &r->v[i];
            if (x->apart != (named == 1) || (named && !is_named(r, x)) ||
                !dz_str_eq(x->method, method) || !dz_str_eq(x->url, normal))
                continue;
            const char *other = misfit(x, req);
            if (other) {
                *ret_near = x;
                *ret_misfit = other;
                continue;
            }
            last = x;
            if (!x->used_now)
                return x;
        }
        if (last)
            return last;
    }
    return NULL;
}

bool replay_has(struct replay *r, const struct dz_fetch_req *req)
{
    const struct replay_exchange *near = NULL;
    const char *other = NULL;
    return find(r, req, req->method.n ? req->method : DZ_S("GET"), req->url, &near, &other) != NULL;
}

void replay_use_from(struct replay *r, size_t i)
{
    for (; i < r->n; i++) {
        r->v[i].used++;
        r->v[i].used_now = true;
    }
}

static int64_t retry_after(const struct replay_exchange *x, int64_t wall_s)
{
    int64_t now_s = wall_s, date_s;
    uint64_t n;
    /* Counted from the answer's own date, so that it says the same for ever. */
    (void)(dz_time_http_parse(field(x->fields, x->fields_n, "date"), wall_s, &now_s, NULL) ==
           DZ_OK);
    dz_str text = field(x->fields, x->fields_n, "retry-after");
    if (text.n && dz_str_u64(text, UINT32_MAX, &n, NULL) == DZ_OK)
        return (int64_t)n * 1000;
    if (text.n && dz_time_http_parse(text, wall_s, &date_s, NULL) == DZ_OK)
        return date_s > now_s ? (date_s - now_s) * 1000 : 0;
    text = field(x->fields, x->fields_n, "x-ratelimit-retry-after");
    if (text.n && dz_str_u64(text, INT64_MAX / 2000, &n, NULL) == DZ_OK)
        return (int64_t)n > now_s ? ((int64_t)n - now_s) * 1000 : 0;
    return -1;
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void note_missing(struct replay *r, struct pending *p, dz_str method, dz_str url,
                         const struct replay_exchange *near, const char *misfit_of)
{
    struct dz_buf *b = &r->missing;
    if (b->n)
        dz_buf_putc(b, '\n');
    size_t from = b->n;
    dz_buf_put(b, method);
    dz_buf_putc(b, ' ');
    dz_buf_put(b, url);
    if (near)
        dz_buf_putf(b, " (%s:%u is recorded with another %s)", near->file, near->line, misfit_of);
    p->res.kind = DZ_FETCH_BAD_URL;
    (void)dz_fail(&p->res.err, DZ_BAD_INPUT, "not recorded: %.200s", dz_buf_cstr(b) + from);
}

static void answer(struct replay *r, struct pending *p, struct replay_exchange *x, dz_str url)
{
    p->res.url = dz_arena_str(p->arena, url);
    if (x->status == 0) {
        p->res.kind = x->broken;
        (void)dz_fail(&p->res.err, DZ_UNAVAILABLE, "%s:%u: recorded as \"%s\"", x->file, x->line,
                      dz_fetch_kind_name(x->broken));
        return;
    }
    p->res.kind = DZ_FETCH_OK;
    p->res.status = x->status;
    p->res.headers = x->fields;
    p->res.headers_n = x->fields_n;
    p->res.retry_after_ms = retry_after(x, dz_loop_wall_s(r->loop));
    p->res.body = dz_body_new(x->body.n);
    if (x->body.n)
        memcpy(p->res.body->p, x->body.p, x->body.n);
}

static void on_timer(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct replay *r = dz_container(t, struct replay, timer);
    struct pending *p = take_first(r);
    if (r->first)
        dz_timer_set(r->loop, &r->timer, 0, on_timer);
    if (p)
        deliver(p);
}

/* Follows redirects as the requester does. */
static void look_up(struct replay *r, const struct dz_fetch_req *req, struct pending *p)
{
    dz_str method = req->method.n ? req->method : DZ_S("GET");
    dz_str url = dz_arena_str(p->arena, req->url);
    for (unsigned hops = 0;; hops++) {
        if (!replay_allows(r->info, url)) {
            p->res.kind = DZ_FETCH_FORBIDDEN;
            (void)dz_fail(&p->res.err, DZ_FORBIDDEN, "%.200s may not be asked",
                          dz_arena_dup(p->arena, url));
            return;
        }
        const struct replay_exchange *near = NULL;
        const char *misfit_of = NULL;
        struct replay_exchange *x = find(r, req, method, url, &near, &misfit_of);
        if (!x) {
            note_missing(r, p, method, url, near, misfit_of);
            return;
        }
        x->used++;
        x->used_now = true;
        p->res.requests++;
        dz_str location = field(x->fields, x->fields_n, "location");
        if (req->no_redirects || !is_redirect(x->status)) {
            answer(r, p, x, url);
            return;
        }
        if (location.n == 0) {
            p->res.kind = DZ_FETCH_REDIRECTS;
            (void)dz_fail(&p->res.err, DZ_PARSE, "%s:%u: a redirect without Location", x->file,
                          x->line);
            return;
        }
        if (hops == DZ_FETCH_REDIRECTS_MAX) {
            p->res.kind = DZ_FETCH_REDIRECTS;
            (void)dz_fail(&p->res.err, DZ_PARSE, "more than %d redirects", DZ_FETCH_REDIRECTS_MAX);
            return;
        }
        if (dz_url_join(url, location, p->arena, &url, &p->res.err) != DZ_OK) {
            p->res.kind = DZ_FETCH_BAD_URL;
            return;
        }
    }
}

void replay_send(struct replay *r, const struct dz_fetch_req *req)
{
    struct pending *p = dz_new(struct pending);
    *p = (struct pending){.done = req->done, .arg = req->arg, .arena = dz_arena_new(DZ_MIB)};
    p->res.retry_after_ms = -1;
    look_up(r, req, p);
    *r->end = p;
    r->end = &p->next;
    dz_timer_set(r->loop, &r->timer, 0, on_timer);
}
