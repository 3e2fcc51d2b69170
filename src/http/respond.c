/*
 * respond: what a handler says, turned into an answer.
 *
 * In: a request and a prepared body, a file, a buffer or a text. Out: one dz_http_answer handed to
 * the connection. Header lines are made in the request's own buffer, which keeps its memory from
 * request to request, so that a hit allocates nothing. Runs on the loop's thread. Nothing in here
 * knows how an answer is framed on the wire.
 */
#include "http/http_int.h"

#define CONDITION_BITS                                                                             \
    (KNOWN_BIT(KNOWN_IF_MATCH) | KNOWN_BIT(KNOWN_IF_NONE_MATCH) |                                  \
     KNOWN_BIT(KNOWN_IF_MODIFIED_SINCE) | KNOWN_BIT(KNOWN_IF_UNMODIFIED_SINCE))

void dz_http_source_free(struct dz_http_source **s)
{
    if (*s)
        (*s)->free(s);
}

static void begin_lines(struct dz_http_request *q)
{
    dz_buf_clear(&q->lines);
    if (DZ_UNLIKELY(q->conn->lane->server->cors_origins != NULL))
        dz_http_put_cors(q, &q->lines);
    if (DZ_UNLIKELY(q->added.n > 0))
        dz_buf_put(&q->lines, q->added);
}

/* The request, ready for its one reply; NULL when it has been replied to before. */
static struct dz_http_request *begin(struct dz_http_req *r)
{
    struct dz_http_request *q = dz_http_request_of(r);
    if (DZ_UNLIKELY(!q->conn || q->replied)) {
        static struct dz_log_gate gate;
        if (dz_log_gate_pass(&gate, 60000))
            dz_log(&(struct dz_log_ctx){.room = "http", .what = "request", .id = r->id}, DZ_ERROR,
                   "a handler replied twice; the second reply is dropped");
        return NULL;
    }
    begin_lines(q);
    return q;
}

static bool is_get_or_head(const struct dz_http_request *q)
{
    return (q->pub.method & (DZ_HTTP_GET | DZ_HTTP_HEAD)) != 0;
}

/* An answer that lies wholly in the request's lines, with a body that may go away. */
static void answer_lines(struct dz_http_request *q, int status, dz_str body)
{
    dz_buf_put(&q->lines, DZ_S("\r\n"));
    struct dz_http_answer a;
    a.status = status;
    a.block = (dz_str){0};
    a.bytes = body.n;
    a.body = NULL;
    a.file = NULL;
    a.take_heap = NULL;
    a.take_source = NULL;
    a.sized = false;
    a.pieces_n = 1;
    a.piece[0] = (struct dz_http_piece){body.p, 0, body.n, true};
    a.lines = dz_buf_str(&q->lines);
    dz_http_answer(q, &a);
}

/* A short text; q->lines may hold further lines already. */
static void answer_text(struct dz_http_request *q, int status, dz_str content_type,
                        dz_str cache_control, dz_str body)
{
    if (dz_http_has_body(status)) {
        dz_http_put_length(&q->lines, body.n);
        if (content_type.n > 0)
            dz_http_put_header(&q->lines, DZ_S("Content-Type"), content_type);
    }
    if (cache_control.n > 0)
        dz_http_put_header(&q->lines, DZ_S("Cache-Control"), cache_control);
    answer_lines(q, status, body);
}

static void answer_error(struct dz_http_request *q, int status, const char *why)
{
    dz_str type = DZ_S("text/plain; charset=utf-8");
    struct dz_buf body;
    dz_buf_init(&body, 4 * DZ_KIB);
    const struct dz_http_options *o = &q->conn->lane->server->o;
    if (o->error_body)
        o->error_body(status, why, &body, &type);
    if (body.n == 0)
        dz_buf_putf(&body, "%d %s%s%s\n", status, dz_http_reason(status), why ? ": " : "",
                    why ? why : "");
    answer_text(q, status, type, DZ_S("no-store"), dz_buf_str(&body));
    dz_buf_done(&body);
}

/* ---- prepared responses and files ------------------------------------------------------------ */

struct content { /* where the content of a prepared response is */
    const struct dz_http_prepared *facts;
    const char *text;   /* header block */
    const char *memory; /* NULL: in the file, or to be made */
};

static struct dz_http_piece part_of(const struct content *c, uint64_t at, uint64_t n)
{
    return (struct dz_http_piece){c->memory ? c->memory + at : NULL, at, n, false};
}

static dz_str block_from(const struct content *c, uint32_t from)
{
    return (dz_str){c->text + from, c->facts->text_n - from};
}

static void put_content_range(struct dz_buf *b, struct dz_http_range range, uint64_t bytes)
{
    dz_buf_put(b, DZ_S("Content-Range: bytes "));
    dz_buf_put_u64(b, range.at);
    dz_buf_putc(b, '-');
    dz_buf_put_u64(b, range.at + range.n - 1);
    dz_buf_putc(b, '/');
    dz_buf_put_u64(b, bytes);
    dz_buf_put(b, DZ_S("\r\n"));
}

static void one_part(struct dz_http_request *q, struct dz_http_answer *a, const struct content *c,
                     struct dz_http_range range)
{
    put_content_range(&q->lines, range, c->facts->bytes);
    dz_http_put_length(&q->lines, range.n);
    a->block = block_from(c, c->facts->after_length);
    a->bytes = range.n;
    a->piece[0] = part_of(c, range.at, range.n);
    a->pieces_n = 1;
}

/* RFC 9110 14.6: the part heads are made behind the header lines in the same buffer; pieces get
 * their pointers last, when the buffer does not move any more. */
static void many_parts(struct dz_http_request *q, struct dz_http_answer *a, const struct content *c,
                       const struct dz_http_range *range, size_t n)
{
    DZ_AUTO(dz_buf_done) struct dz_buf heads;
    dz_buf_init(&heads, HTTP_LINES_BYTES);
    char boundary[16];
    uint64_t random = dz_random_u64();
    dz_hex(&random, sizeof(random), boundary);
    size_t end[HTTP_RANGES_MAX + 1];
    uint64_t bytes = 0;
    for (size_t i = 0; i <= n; i++) {
        dz_buf_put(&heads, DZ_S("\r\n--"));
        dz_buf_put(&heads, (dz_str){boundary, sizeof(boundary)});
        if (i == n) {
            dz_buf_put(&heads, DZ_S("--\r\n"));
        } else {
            dz_buf_put(&heads, DZ_S("\r\n"));
            if (c->facts->type_n > 0)
                dz_http_put_header(&heads, DZ_S("Content-Type"),
                                   (dz_str){c->text + c->facts->type_at, c->facts->type_n});
            put_content_range(&heads, range[i], c->facts->bytes);
            dz_buf_put(&heads, DZ_S("\r\n"));
            bytes += range[i].n;
        }
        end[i] = heads.n;
    }
    a->bytes = bytes + heads.n;
    dz_buf_put(&q->lines, DZ_S("Content-Type: multipart/byteranges; boundary="));
    dz_buf_put(&q->lines, (dz_str){boundary, sizeof(boundary)});
    dz_buf_put(&q->lines, DZ_S("\r\n"));
    dz_http_put_length(&q->lines, a->bytes);
    size_t lines_n = q->lines.n;
    dz_buf_put(&q->lines, dz_buf_str(&heads));
    a->block = block_from(c, c->facts->after_type);
    a->pieces_n = 0;
    for (size_t i = 0, from = 0; i <= n; from = end[i++]) {
        a->piece[a->pieces_n++] =
            (struct dz_http_piece){q->lines.p + lines_n + from, 0, end[i] - from, true};
        if (i < n)
            a->piece[a->pieces_n++] = part_of(c, range[i].at, range[i].n);
    }
    q->lines.n = lines_n; /* the heads stay behind the end */
}

/* 304, 412, 416, 206, or false: the whole. */
static bool narrowed(struct dz_http_request *q, struct dz_http_answer *a, const struct content *c)
{
    struct dz_http_selected s = {
        .etag = {c->text + c->facts->etag_at, c->facts->etag_n},
        .last_modified_s = c->facts->last_modified_s,
        .bytes = c->facts->bytes,
        .ranges = c->facts->ranges,
    };
    a->status = q->head.known & CONDITION_BITS ? dz_http_check_conditions(q, &s) : 0;
    if (a->status == 412) {
        answer_error(q, 412, "a precondition of the request is not met");
        a->status = 0;
        return true;
    }
    if (a->status == 304) {
        a->block = block_from(c, c->facts->common);
        a->bytes = 0;
        a->pieces_n = 0;
        return true;
    }
    if (!dz_http_range_counts(q, &s))
        return false;
    struct dz_http_range range[HTTP_RANGES_MAX];
    int n = dz_http_ranges(dz_http_known(q, KNOWN_RANGE), s.bytes, range);
    if (n == 0)
        return false;
    if (n < 0) {
        dz_buf_put(&q->lines, DZ_S("Content-Range: bytes */"));
        dz_buf_put_u64(&q->lines, s.bytes);
        dz_buf_put(&q->lines, DZ_S("\r\n"));
        answer_error(q, 416, NULL);
        a->status = 0;
        return true;
    }
    a->status = 206;
    if (n == 1)
        one_part(q, a, c, range[0]);
    else
        many_parts(q, a, c, range, (size_t)n);
    return true;
}

/* What the request asks for of the content, whole or in parts; false: an error was answered. */
static bool select_content(struct dz_http_request *q, struct dz_http_answer *a,
                           const struct content *c, struct dz_body *prepared)
{
    a->body = prepared;
    a->file = NULL;
    a->take_heap = NULL;
    a->take_source = NULL;
    a->sized = false;
    bool may_narrow =
        c->facts->status == 200 && (q->head.known & (CONDITION_BITS | KNOWN_BIT(KNOWN_RANGE))) != 0;
    if (!may_narrow || !is_get_or_head(q) || !narrowed(q, a, c)) {
        a->status = c->facts->status;
        a->block = block_from(c, 0);
        a->bytes = c->facts->bytes;
        a->pieces_n = 1;
        a->piece[0] = part_of(c, 0, c->facts->bytes);
    } else if (a->status == 0) {
        return false;
    }
    a->lines = dz_buf_str(&q->lines);
    return true;
}

static void reply_kept(struct dz_http_req *r, struct dz_body *prepared, struct dz_file *file)
{
    struct dz_http_request *q = begin(r);
    if (!q)
        return;
    struct content c;
    c.facts = dz_http_prepared_of(prepared, &c.text);
    if (DZ_UNLIKELY(!c.facts ||
                    (file ? file->bytes : prepared->n - prepared->head_n) < c.facts->bytes)) {
        if (!c.facts || r->method != DZ_HTTP_HEAD) { /* a block alone is enough for HEAD */
            answer_error(q, 500, "the stored response does not fit its content");
            return;
        }
    }
    c.memory = file ? NULL : prepared->p + prepared->head_n;
    struct dz_http_answer a;
    if (!select_content(q, &a, &c, prepared))
        return;
    a.file = file;
    dz_http_answer(q, &a);
}

void dz_http_reply_prepared(struct dz_http_req *r, struct dz_body *prepared)
{
    reply_kept(r, prepared, NULL);
}

void dz_http_reply_file(struct dz_http_req *r, struct dz_body *prepared, struct dz_file *file)
{
    reply_kept(r, prepared, file);
}

/* ---- content that is made while it is sent --------------------------------------------------- */

/* The pieces of an answer as sources: what lies in memory, the heads of several parts, is copied.
 * False: one cannot be opened. */
static bool open_pieces(const struct dz_http_answer *a, dz_http_open_fn *open, void *arg,
                        struct dz_http_source **ret_source)
{
    struct dz_http_part part[HTTP_PIECES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < a->pieces_n; i++) {
        const struct dz_http_piece *x = &a->piece[i];
        struct dz_http_source *s =
            x->p ? dz_http_memory_source(dz_str_dup((dz_str){x->p, (size_t)x->n}), (size_t)x->n)
                 : open(arg, x->at, x->n);
        if (!s) {
            while (n > 0)
                dz_http_source_free(&part[--n].source);
            return false;
        }
        part[n++] = (struct dz_http_part){s, x->n};
    }
    *ret_source = n == 1 ? part[0].source : dz_http_joined_source(part, n);
    return true;
}

void dz_http_reply_content(struct dz_http_req *r, const struct dz_http_meta *m, uint64_t bytes,
                           dz_http_open_fn *open, void *arg)
{
    struct dz_http_request *q = begin(r);
    if (!q)
        return;
    DZ_AUTO(dz_body_unref) struct dz_body *block = dz_http_prepare(m, (dz_str){0}, bytes);
    struct content c = {.memory = NULL};
    c.facts = dz_http_prepared_of(block, &c.text);
    struct dz_http_answer a;
    if (!select_content(q, &a, &c, block))
        return;
    if (r->method != DZ_HTTP_HEAD && a.bytes > 0 && a.pieces_n > 0) {
        a.sized = true;
        if (!open_pieces(&a, open, arg, &a.take_source)) {
            begin_lines(q);
            answer_error(q, 500, "the content cannot be read");
            return;
        }
    }
    a.pieces_n = 0;
    dz_http_answer(q, &a);
}

/* ---- one-off answers ------------------------------------------------------------------------- */

/* How each encoding is called in Content-Encoding and at the end of an entity-tag. */
static const struct {
    enum dz_http_encoding encoding;
    dz_str name;
    const char *suffix;
} encodings[] = {
    {DZ_HTTP_GZIP, DZ_S("gzip"), "gz"},
    {DZ_HTTP_BR, DZ_S("br"), "br"},
    {DZ_HTTP_ZSTD, DZ_S("zstd"), "zs"},
};

/* Says in m that the content is encoded. The strong tag "x" becomes "x-gz", since these are other
 * bytes; a weak one stays, since they say the same. */
static void set_encoding(struct dz_http_request *q, struct dz_http_meta *m,
                         enum dz_http_encoding encoding)
{
    for (size_t i = 0; i < DZ_LEN(encodings); i++) {
        if (encodings[i].encoding != encoding)
            continue;
        m->content_encoding = encodings[i].name;
        if (m->etag.n >= 2 && m->etag.p[0] == '"')
            m->etag = dz_arena_printf(dz_http_arena(&q->pub), "%.*s-%s\"", (int)m->etag.n - 1,
                                      m->etag.p, encodings[i].suffix);
    }
}

/* Whether the answer may be compressed. Images and parts of something never are. no-transform does
 * not forbid it: it binds those between us and the client (RFC 9111 5.2.2.6), and choosing among
 * encodings is the origin's right; a meta that names "identity" does. */
static bool is_negotiable(const struct dz_http_meta *m)
{
    int status = m->status ? m->status : 200;
    return m->content_encoding.n == 0 && status != 206 && dz_http_has_body(status) &&
           !dz_str_starts(m->content_type, DZ_S("text/event-stream")) &&
           dz_http_is_text_type(m->content_type);
}

/* The status of a one-off answer after the request's conditions: its own, 304 or 412. */
static int judge(const struct dz_http_request *q, const struct dz_http_meta *m)
{
    int status = m->status ? m->status : 200;
    if (DZ_LIKELY(!(q->head.known & CONDITION_BITS)) || status != 200 || !is_get_or_head(q))
        return status;
    struct dz_http_selected s = {.etag = m->etag, .last_modified_s = m->last_modified_s};
    int condition = dz_http_check_conditions(q, &s);
    return condition ? condition : status;
}

/* A one-off answer: the bytes, or the source, or with 304 neither. Both are taken. */
static void send_one_off(struct dz_http_request *q, const struct dz_http_meta *m, int status,
                         struct dz_buf *body, struct dz_http_source *take_source)
{
    if (status == 412) {
        dz_http_source_free(&take_source);
        answer_error(q, 412, "a precondition of the request is not met");
        return;
    }
    if (dz_http_has_body(status)) {
        if (!take_source)
            dz_http_put_length(&q->lines, body->n);
        if (m->content_type.n > 0)
            dz_http_put_header(&q->lines, DZ_S("Content-Type"), m->content_type);
        dz_http_put_entity(&q->lines, m);
    }
    dz_http_put_common(&q->lines, m);
    dz_buf_put(&q->lines, DZ_S("\r\n"));
    struct dz_http_answer a;
    a.status = status;
    a.lines = dz_buf_str(&q->lines);
    a.block = (dz_str){0};
    a.body = NULL;
    a.file = NULL;
    a.take_source = take_source;
    a.sized = false;
    size_t n = 0;
    a.take_heap = body && body->n > 0 ? dz_buf_take(body, &n) : NULL;
    a.bytes = n;
    a.pieces_n = n > 0;
    a.piece[0] = (struct dz_http_piece){a.take_heap, 0, n, false};
    dz_http_answer(q, &a);
}

void dz_http_reply_source(struct dz_http_req *r, const struct dz_http_meta *m,
                          struct dz_http_source *take_source)
{
    struct dz_http_request *q = begin(r);
    if (!q) {
        dz_http_source_free(&take_source);
        return;
    }
    struct dz_http_meta meta = *m;
    meta.ranges = false;
    if (is_negotiable(m)) {
        meta.vary_encoding = true;
        enum dz_http_encoding how = dz_http_choose_quick(q);
        if (how != DZ_HTTP_IDENTITY && dz_http_may_compress(q->conn->lane)) {
            set_encoding(q, &meta, how);
            take_source = dz_http_compress_source(q->conn->lane, how, take_source);
        }
    }
    send_one_off(q, &meta, judge(q, &meta), NULL, take_source);
}

/* Sends the text compressed; false: it did not get smaller, or there is too much to do. */
static bool send_packed(struct dz_http_request *q, const struct dz_http_meta *m,
                        enum dz_http_encoding how, struct dz_buf *plain)
{
    struct dz_http_meta packed = *m;
    set_encoding(q, &packed, how);
    int status = judge(q, &packed);
    if (status == 304) { /* nobody has its tag but who got it compressed before */
        send_one_off(q, &packed, status, NULL, NULL);
        return true;
    }
    struct dz_http_lane *lane = q->conn->lane;
    if (plain->n > HTTP_COMPRESS_WHOLE_MAX) {
        if (!dz_http_may_compress(lane))
            return false;
        size_t n;
        char *text = dz_buf_take(plain, &n);
        send_one_off(q, &packed, status, NULL,
                     dz_http_compress_source(lane, how, dz_http_memory_source(text, n)));
        return true;
    }
    DZ_AUTO(dz_buf_done) struct dz_buf out = {0};
    if (!dz_http_compress(lane, how, dz_buf_str(plain), &out))
        return false;
    send_one_off(q, &packed, status, &out, NULL);
    return true;
}

void dz_http_reply_buf(struct dz_http_req *r, const struct dz_http_meta *m, struct dz_buf *body)
{
    struct dz_http_request *q = begin(r);
    DZ_AUTO(dz_buf_done) struct dz_buf plain = *body;
    dz_buf_init(body, plain.max);
    if (!q)
        return;
    if (plain.full) {
        answer_error(q, 500, "the answer grew over its limit");
        return;
    }
    struct dz_http_meta meta = *m;
    meta.ranges = false;
    if (plain.n >= HTTP_COMPRESS_MIN && is_negotiable(m)) {
        meta.vary_encoding = true;
        enum dz_http_encoding how = dz_http_choose_quick(q);
        if (how != DZ_HTTP_IDENTITY && send_packed(q, &meta, how, &plain))
            return;
    }
    send_one_off(q, &meta, judge(q, &meta), &plain, NULL);
}

void dz_http_reply_text(struct dz_http_req *r, int status, dz_str content_type,
                        dz_str cache_control, dz_str body)
{
    struct dz_http_request *q = begin(r);
    if (q)
        answer_text(q, status, content_type, cache_control, body);
}

void dz_http_reply_redirect(struct dz_http_req *r, int status, dz_str location,
                            dz_str cache_control)
{
    struct dz_http_request *q = begin(r);
    if (!q)
        return;
    dz_http_put_header(&q->lines, DZ_S("Location"), location);
    answer_text(q, status, (dz_str){0}, cache_control, (dz_str){0});
}

void dz_http_reply_not_allowed(struct dz_http_req *r, unsigned allowed_methods)
{
    struct dz_http_request *q = begin(r);
    if (!q)
        return;
    dz_buf_put(&q->lines, DZ_S("Allow: "));
    dz_http_put_methods(&q->lines, allowed_methods);
    dz_buf_put(&q->lines, DZ_S("\r\n"));
    answer_error(q, 405, NULL);
}

void dz_http_reply_options(struct dz_http_req *r, unsigned allowed)
{
    struct dz_http_request *q = begin(r);
    if (!q)
        return;
    if (dz_http_is_preflight(q)) {
        dz_buf_clear(&q->lines); /* it says all that is to be said of origins */
        dz_http_put_preflight(q, allowed, &q->lines);
    }
    dz_buf_put(&q->lines, DZ_S("Allow: "));
    dz_http_put_methods(&q->lines, allowed);
    dz_buf_put(&q->lines, DZ_S("\r\n"));
    answer_text(q, 200, (dz_str){0}, (dz_str){0}, (dz_str){0});
}

void dz_http_reply_error(struct dz_http_req *r, int status, const char *why)
{
    struct dz_http_request *q = begin(r);
    if (q)
        answer_error(q, status, why);
}
