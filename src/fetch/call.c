/*
 * call: one request and its answer on libcurl.
 *
 * In: a call whose turn has come. Out: an answer or a kind of failure in c->res. A redirect is not
 * followed by libcurl: each hop is a new request under the same policy and the pace of its own host
 * (fetch.c). Addresses are judged when they are connected to and, for connections that are used
 * again, before the request leaves. Callbacks of libcurl only unpack and gather bytes and never
 * call back into the room. The loop's thread only.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "fetch/fetch_int.h"

#define BOMB_FROM ((uint64_t)1024 * 1024)
#define CODINGS "gzip, br, zstd" /* that decode.c knows */
#define READ_BYTES 65536L        /* at most so many in one call of libcurl */

void dz_fetch_call_fail(struct dz_fetch_call *c, enum dz_fetch_kind kind, const char *fmt, ...)
{
    static const enum dz_code codes[] = {
        [DZ_FETCH_OK] = DZ_OK,
        [DZ_FETCH_FORBIDDEN] = DZ_FORBIDDEN,
        [DZ_FETCH_BAD_URL] = DZ_BAD_INPUT,
        [DZ_FETCH_CONNECT] = DZ_UNAVAILABLE,
        [DZ_FETCH_TIMEOUT] = DZ_TIMEOUT,
        [DZ_FETCH_BROKEN] = DZ_UNAVAILABLE,
        [DZ_FETCH_TOO_LARGE] = DZ_TOO_LARGE,
        [DZ_FETCH_REDIRECTS] = DZ_PARSE,
        [DZ_FETCH_PAUSED] = DZ_RATE_LIMITED,
        [DZ_FETCH_CANCELLED] = DZ_CANCELLED,
    };
    char text[sizeof(c->res.err.text)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    c->res.kind = kind;
    (void)dz_fail(&c->res.err, codes[kind], "%s", text);
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static size_t on_head(char *p, size_t one, size_t n, void *arg)
{
    (void)one;
    struct dz_fetch_call *c = arg;
    dz_str line = {p, n};
    if (dz_str_starts(line, DZ_S("HTTP/"))) /* an interim answer came before, or a proxy's */
        dz_buf_clear(&c->head);
    dz_buf_put(&c->head, line);
    c->headers_too_large = c->head.full;
    return c->head.full ? 0 : n;
}

static size_t came(const struct dz_fetch_call *c)
{
    return c->whole ? c->whole_n : c->body.n;
}

/* A piece of the size that the site names holds most bodies and needs no copy at the end; one that
 * was packed, or has no size, goes on in a buffer that grows. */
static void take(struct dz_fetch_call *c, dz_str bytes)
{
    curl_off_t named = 0;
    if (!c->whole && c->body.n == 0 && dz_fetch_decoder_is_plain(c->decoder)) {
        (void)curl_easy_getinfo(c->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &named);
        c->whole_n = 0;
        if (named > 0 && (uint64_t)named <= c->body.max &&
            dz_body_try((size_t)named, &c->whole, NULL) != DZ_OK)
            c->whole = NULL;
    }
    if (c->whole && bytes.n > c->whole->n - c->whole_n) {
        dz_buf_put(&c->body, (dz_str){c->whole->p, c->whole_n});
        dz_body_unref(&c->whole);
    }
    if (!c->whole) {
        dz_buf_put(&c->body, bytes);
        return;
    }
    memcpy(c->whole->p + c->whole_n, bytes.p, bytes.n);
    c->whole_n += bytes.n;
}

static bool keep(void *arg, dz_str content)
{
    struct dz_fetch_call *c = arg;
    take(c, content);
    bool bomb = came(c) > BOMB_FROM && came(c) / c->wire_n > DZ_FETCH_RATIO_MAX;
    c->too_large = c->body.full || bomb;
    return !c->too_large;
}

static void split_head(struct dz_fetch_call *c);

static size_t on_body(char *p, size_t one, size_t n, void *arg)
{
    (void)one;
    struct dz_fetch_call *c = arg;
    if (n == 0)
        return 0;
    if (!c->decoder) {
        split_head(c);
        c->decoder =
            dz_fetch_decoder_new(dz_fetch_find(c->headers, c->headers_n, DZ_S("content-encoding")));
        c->wrong_coding = !c->decoder;
    }
    c->wire_n += n;
    bool good =
        c->decoder && dz_fetch_decode(c->decoder, (dz_str){p, n}, keep, c, &c->wrong_coding);
    return good ? n : 0;
}

static bool may_reach(const struct dz_fetch_call *c, bool is_private)
{
    const struct dz_fetch_policy *p = c->req.policy;
    return !is_private || p->allow_private || p->proxy.n > 0 || dz_fetch_policy_opens(p, &c->parts);
}

static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)purpose;
    struct dz_fetch_call *c = arg;
    if (!may_reach(c, dz_fetch_is_private(&a->addr))) {
        c->is_private = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static int before_request(void *arg, char *peer, char *own, int peer_port, int own_port)
{
    (void)own;
    (void)peer_port;
    (void)own_port;
    struct dz_fetch_call *c = arg;
    if (may_reach(c, dz_fetch_is_private_text(peer)))
        return CURL_PREREQFUNC_OK;
    c->is_private = true;
    return CURL_PREREQFUNC_ABORT;
}

/* ---- the request ----------------------------------------------------------------------------- */

static bool has_header(const struct dz_fetch_call *c, dz_str name)
{
    return dz_fetch_find(c->req.headers, c->req.headers_n, name).p != NULL;
}

/* A field without a value is written with ';' for libcurl. */
static void add_line(struct dz_fetch_call *c, dz_str name, dz_str value)
{
    dz_str line = value.n > 0
                      ? dz_arena_printf(c->arena, "%.*s: %.*s", DZ_STR_FMT(name), DZ_STR_FMT(value))
                      : dz_arena_printf(c->arena, "%.*s;", DZ_STR_FMT(name));
    c->lines = curl_slist_append(c->lines, line.p);
}

/* A key and a cookie are for the host that they were given for. */
static bool stays_behind(const struct dz_fetch_call *c, dz_str name)
{
    struct dz_url first;
    bool secret =
        dz_str_eq_nocase(name, DZ_S("authorization")) || dz_str_eq_nocase(name, DZ_S("cookie"));
    return secret && c->visited_n > 1 &&
           (dz_url_parse(c->visited[0], &first, NULL) != DZ_OK ||
            first.scheme.n > c->parts.scheme.n || /* from https to http */
            !dz_str_eq_nocase(first.host, c->parts.host) || !dz_str_eq(first.port, c->parts.port));
}

static void add_validators(struct dz_fetch_call *c)
{
    c->validating = false;
    if (!c->entry || !dz_str_eq(c->url, c->entry->from))
        return;
    dz_str etag = dz_fetch_find(c->entry->headers, c->entry->headers_n, DZ_S("etag"));
    dz_str date = dz_fetch_find(c->entry->headers, c->entry->headers_n, DZ_S("last-modified"));
    c->validating = etag.n > 0 || date.n > 0;
    if (etag.n > 0)
        add_line(c, DZ_S("If-None-Match"), etag);
    if (date.n > 0)
        add_line(c, DZ_S("If-Modified-Since"), date);
}

static void add_lines(struct dz_fetch_call *c)
{
    const struct dz_fetch_policy *p = c->req.policy;
    bool body_gone = c->visited_n > 1 && c->req.body.n == 0;
    for (size_t i = 0; i < p->headers_n; i++)
        if (!has_header(c, p->headers[i].name) && !stays_behind(c, p->headers[i].name))
            add_line(c, p->headers[i].name, p->headers[i].value);
    for (size_t i = 0; i < c->req.headers_n; i++)
        if (!stays_behind(c, c->req.headers[i].name) &&
            !(body_gone && dz_str_eq_nocase(c->req.headers[i].name, DZ_S("content-type"))))
            add_line(c, c->req.headers[i].name, c->req.headers[i].value);
    c->lines = curl_slist_append(c->lines, "Accept-Encoding: " CODINGS);
    add_validators(c);
}

#define SET(option, value) (void)curl_easy_setopt(c->easy, option, value)

static void set_limits(struct dz_fetch_call *c)
{
    const struct dz_fetch_options *o = &c->fetch->o;
    int64_t connect_ms =
        c->req.connect_timeout_ms ? c->req.connect_timeout_ms : o->connect_timeout_ms;
    int64_t read_ms = c->req.read_timeout_ms ? c->req.read_timeout_ms : o->read_timeout_ms;
    int64_t total_ms = o->total_timeout_ms ? o->total_timeout_ms : 600000;
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_ms > 0 ? connect_ms : 1));
    SET(CURLOPT_TIMEOUT_MS, (long)total_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, (long)((read_ms + 999) / 1000));
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* never waits for the thread that resolves a name */
    if (c->parts.scheme.n == 5)  /* HTTP/2: a stream more, not a connection more */
        SET(CURLOPT_PIPEWAIT, 1L);
    if (o->ca_file)
        SET(CURLOPT_CAINFO, o->ca_file);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
    SET(CURLOPT_OPENSOCKETDATA, c);
    SET(CURLOPT_PREREQFUNCTION, before_request);
    SET(CURLOPT_PREREQDATA, c);
}

static void set_method(struct dz_fetch_call *c)
{
    const char *method = dz_arena_dup(c->arena, c->req.method);
    if (dz_str_eq(c->req.method, DZ_S("HEAD")))
        SET(CURLOPT_NOBODY, 1L);
    else if (!dz_str_eq(c->req.method, DZ_S("GET")) || c->req.body.n > 0)
        SET(CURLOPT_CUSTOMREQUEST, method);
    if (c->req.body.n > 0 || dz_str_eq(c->req.method, DZ_S("POST"))) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->req.body.n);
        SET(CURLOPT_POSTFIELDS, c->req.body.n > 0 ? c->req.body.p : "");
        if (!has_header(c, DZ_S("content-type"))) /* not libcurl's guess */
            c->lines = curl_slist_append(c->lines, "Content-Type:");
        c->lines = curl_slist_append(c->lines, "Expect:");
    }
}

bool dz_fetch_call_begin(struct dz_fetch_call *c)
{
    const struct dz_fetch_policy *p = c->req.policy;
    c->easy = curl_easy_init();
    if (!c->easy) {
        dz_fetch_call_fail(c, DZ_FETCH_CONNECT, "no memory for a request");
        return false;
    }
    uint64_t max = c->req.body_max && c->req.body_max < DZ_FETCH_BODY_MAX ? c->req.body_max
                                                                          : DZ_FETCH_BODY_MAX;
    dz_body_unref(&c->whole);
    dz_fetch_decoder_free(&c->decoder);
    dz_buf_init(&c->body, (size_t)max);
    dz_buf_init(&c->head, DZ_FETCH_HEADERS_MAX);
    c->headers = NULL;
    c->wire_n = 0;
    c->too_large = c->headers_too_large = c->is_private = c->wrong_coding = false;
    c->words[0] = 0;
    set_limits(c);
    set_method(c);
    add_lines(c);
    size_t fragment = dz_str_chr(c->url, '#');
    SET(CURLOPT_URL, dz_arena_dup(c->arena, dz_str_sub(c->url, 0, fragment)));
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_HTTPHEADER, c->lines);
    SET(CURLOPT_USERAGENT,
        p->user_agent.n > 0 ? dz_arena_dup(c->arena, p->user_agent) : c->fetch->user_agent);
    SET(CURLOPT_PROXY, p->proxy.n > 0 ? dz_arena_dup(c->arena, p->proxy) : "");
    SET(CURLOPT_NOPROXY, ""); /* the environment has no say */
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, c);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, c);
    SET(CURLOPT_BUFFERSIZE, READ_BYTES);
    SET(CURLOPT_ERRORBUFFER, c->words);
    SET(CURLOPT_PRIVATE, c);
    if (c->req.session) {
        SET(CURLOPT_SHARE, c->req.session->share);
        SET(CURLOPT_COOKIEFILE, "");
    }
    if (curl_multi_add_handle(c->fetch->multi, c->easy) == CURLM_OK)
        return true;
    dz_fetch_call_fail(c, DZ_FETCH_CONNECT, "the request could not be begun");
    dz_fetch_call_drop_wire(c);
    return false;
}

/* ---- the answer ------------------------------------------------------------------------------ */

void dz_fetch_call_drop_wire(struct dz_fetch_call *c)
{
    if (c->easy) {
        (void)curl_multi_remove_handle(c->fetch->multi, c->easy);
        curl_easy_cleanup(c->easy);
    }
    c->easy = NULL;
    curl_slist_free_all(c->lines);
    c->lines = NULL;
    dz_fetch_decoder_free(&c->decoder);
}

/* Fields of the last head, names in lower case; once, before the content, so that what is sent
 * behind that is none of them. */
static void split_head(struct dz_fetch_call *c)
{
    if (c->headers)
        return;
    dz_str text = dz_arena_str(c->arena, dz_buf_str(&c->head));
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\n';
    c->headers = dz_arena_alloc(c->arena, (n + 1) * sizeof(*c->headers));
    c->headers_n = 0;
    while (text.n > 0) {
        size_t end = dz_str_chr(text, '\n');
        dz_str line = dz_str_sub(text, 0, end);
        text = end != DZ_NPOS ? dz_str_sub(text, end + 1, text.n) : (dz_str){0};
        size_t colon = dz_str_chr(line, ':');
        if (colon == DZ_NPOS || colon == 0 || dz_str_starts(line, DZ_S("HTTP/")))
            continue;
        char *name = (char *)(uintptr_t)line.p;
        for (size_t i = 0; i < colon; i++)
            if (name[i] >= 'A' && name[i] <= 'Z')
                name[i] = (char)(name[i] | 0x20);
        c->headers[c->headers_n++] = (struct dz_fetch_header){
            {name, colon}, dz_str_trim(dz_str_sub(line, colon + 1, line.n))};
    }
}

static bool asked_with(const struct dz_fetch_call *c, dz_str name)
{
    const struct dz_fetch_policy *p = c->req.policy;
    return has_header(c, name) || dz_fetch_find(p->headers, p->headers_n, name).p;
}

/* Answers without content that say "what you have" or "a part of it", when we have nothing and
 * asked for all of it: a source would take them for an empty page. */
static bool is_unasked(const struct dz_fetch_call *c, long status)
{
    if (status == 304)
        return !c->validating && !asked_with(c, DZ_S("if-none-match")) &&
               !asked_with(c, DZ_S("if-modified-since"));
    if (status == 206)
        return !asked_with(c, DZ_S("range"));
    return status < 200;
}

/* RFC 9112 6.3: one length, or the same one again; libcurl believes the last one, and takes one
 * that is too large for none. */
static bool is_length_clear(const struct dz_fetch_call *c)
{
    dz_str name = DZ_S("content-length"), first = dz_fetch_find(c->headers, c->headers_n, name);
    uint64_t n;
    if (first.n > 0 && dz_str_u64(first, INT64_MAX, &n, NULL) != DZ_OK)
        return false;
    for (size_t i = 0; i < c->headers_n; i++)
        if (dz_str_eq(c->headers[i].name, name) && !dz_str_eq(c->headers[i].value, first))
            return false;
    return true;
}

/* What libcurl is content with and we are not; false: it has failed. */
static bool is_sound(struct dz_fetch_call *c, long status)
{
    int host_n = (int)(c->parts.host.n < 100 ? c->parts.host.n : 100);
    const char *host = c->parts.host.p;
    split_head(c);
    if (c->decoder && !dz_fetch_decoder_is_whole(c->decoder))
        dz_fetch_call_fail(c, DZ_FETCH_BROKEN, "%.*s: the content ends in the middle", host_n,
                           host);
    else if (!is_length_clear(c))
        dz_fetch_call_fail(c, DZ_FETCH_BROKEN, "%.*s: the Content-Length says nothing clear",
                           host_n, host);
    else if (is_unasked(c, status))
        dz_fetch_call_fail(c, DZ_FETCH_BROKEN, "%.*s answers %ld, which was not asked for", host_n,
                           host, status);
    else
        return true;
    return false;
}

static void explain(struct dz_fetch_call *c, CURLcode curl)
{
    /* libcurl's own words may quote the proxy with its password. */
    bool own_words = c->words[0] && c->req.policy->proxy.n == 0;
    const char *words = own_words ? c->words : curl_easy_strerror(curl);
    int host_n = (int)(c->parts.host.n < 100 ? c->parts.host.n : 100);
    const char *host = c->parts.host.p;
    enum dz_fetch_kind kind = DZ_FETCH_BROKEN;
    if (c->is_private) {
        dz_fetch_call_fail(c, DZ_FETCH_FORBIDDEN,
                           "%.*s has a private address, which sources may not reach "
                           "(setting sources.allow_private)",
                           host_n, host);
        return;
    }
    /* libcurl's word for one line of a head that is longer than its own buffer */
    c->headers_too_large |= curl == CURLE_OUT_OF_MEMORY;
    if (c->headers_too_large || c->too_large) {
        dz_fetch_call_fail(c, DZ_FETCH_TOO_LARGE, "%.*s sends %s", host_n, host,
                           c->headers_too_large ? "more than 64 KiB of headers"
                           : c->body.full       ? "more than it may"
                                                : "content that unpacks to far more than it is");
        return;
    }
    if (c->wrong_coding)
        words = "the content is not what its Content-Encoding says";
    else if (curl == CURLE_OPERATION_TIMEDOUT)
        kind = DZ_FETCH_TIMEOUT;
    else if (curl == CURLE_COULDNT_RESOLVE_HOST || curl == CURLE_COULDNT_CONNECT ||
             curl == CURLE_COULDNT_RESOLVE_PROXY || curl == CURLE_SSL_CONNECT_ERROR ||
             curl == CURLE_PEER_FAILED_VERIFICATION)
        kind = DZ_FETCH_CONNECT;
    else if (curl == CURLE_URL_MALFORMAT)
        kind = DZ_FETCH_BAD_URL;
    dz_fetch_call_fail(c, kind, "%.*s: %.120s", host_n, host, words);
    c->res.err.native = (int)curl;
}

void dz_fetch_call_heard(struct dz_fetch_call *c, CURLcode curl)
{
    struct dz_fetch_res *res = &c->res;
    long status = 0;
    (void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    res->retry_after_ms = -1;
    res->requests++;
    if (curl != CURLE_OK) {
        explain(c, curl);
    } else if (is_sound(c, status)) {
        res->kind = DZ_FETCH_OK;
        res->status = (int)status;
        res->url = c->url;
        res->headers = c->headers;
        res->headers_n = c->headers_n;
        res->retry_after_ms =
            dz_fetch_retry_after(c->headers, c->headers_n, dz_loop_wall_s(c->fetch->loop));
        dz_body_unref(&res->body);
        res->body = c->whole ? dz_body_ref(c->whole) : dz_body_new(c->body.n);
        if (c->whole)
            res->body->n = c->whole_n;
        else if (c->body.n > 0)
            memcpy(res->body->p, c->body.p, c->body.n);
    }
    c->host->stats.bytes += came(c);
    dz_fetch_call_drop_wire(c);
    dz_body_unref(&c->whole);
    dz_buf_done(&c->body);
    dz_buf_done(&c->head);
}

void dz_fetch_call_free(struct dz_fetch_call **c)
{
    struct dz_fetch_call *gone = dz_take(c);
    if (!gone)
        return;
    dz_fetch_call_drop_wire(gone);
    dz_body_unref(&gone->whole);
    dz_buf_done(&gone->body);
    dz_buf_done(&gone->head);
    dz_body_unref(&gone->res.body);
    dz_fetch_entry_free(&gone->entry);
    dz_fetch_policy_unref(&gone->req.policy);
    dz_fetch_session_unref(&gone->req.session);
    dz_arena_free(&gone->arena);
    dz_freep(&gone);
}
