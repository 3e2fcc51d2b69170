/*
 * multipart: multipart/form-data (RFC 7578, RFC 2046 5.1), read as it comes.
 *
 * In: the Content-Type of a request, then its body in any pieces. Out: parts, told to the reader's
 * functions as they are found; content is passed on in place and never gathered. What is kept is a
 * part's head and, between two pieces, how much of a delimiter line has been seen. One owner thread
 * at a time; the caller frees.
 *
 * The odd thing: a delimiter is "\r\n--boundary", then blanks and the end of the line, or "--". Its
 * first byte occurs nowhere else in it, so what turns out to be no delimiter is content that can be
 * written down from memory. A part may be empty: then the CRLF that ends its head also begins the
 * delimiter, which `given` stands for; so does the start of the body.
 */
#include "http/http_int.h"

#define BOUNDARY_MAX 200
#define HEAD_MAX ((size_t)8 * 1024) /* header fields of one part */
#define PARTS_MAX 1000
#define PADDING_MAX 64 /* blanks behind a boundary */

enum { CONTENT, BEHIND, DASH, PADDING, END_LF, HEAD, EPILOGUE };

struct dz_multipart {
    struct dz_multipart_reader reader;
    uint8_t state;
    bool in_part;
    size_t seen;  /* bytes of the delimiter that came */
    size_t given; /* of these, at its front, those that are not content whatever follows */
    size_t parts;
    char padding[PADDING_MAX];
    size_t padding_n;
    struct dz_buf head;
    size_t delimiter_n;
    char delimiter[BOUNDARY_MAX + 4];
};

/* ---- parameters of a field ------------------------------------------------------------------- */

static dz_str skip_blanks(dz_str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = dz_str_sub(s, 1, s.n);
    return s;
}

/* A quoted text without its quotes into dst, which has room for all of it. False: it has no end.
 * Nothing can follow a quote that ends the field: a path's last backslash does not escape it. */
static bool unquote(dz_str *s, struct dz_buf *dst)
{
    for (size_t i = 1; i < s->n; i++) {
        char c = s->p[i];
        if (c == '"') {
            *s = dz_str_sub(*s, i + 1, s->n);
            return true;
        }
        bool escapes = c == '\\' && i + 2 < s->n && (s->p[i + 1] == '"' || s->p[i + 1] == '\\');
        dz_buf_putc(dst, escapes ? s->p[++i] : c);
    }
    return false;
}

/* Next "; name=value" of *rest; the value goes into dst. False: no more, or *ret_bad. */
static bool next_param(dz_str *rest, dz_str *ret_name, struct dz_buf *dst, bool *ret_bad)
{
    dz_str s = skip_blanks(*rest);
    while (s.n > 0 && s.p[0] == ';')
        s = skip_blanks(dz_str_sub(s, 1, s.n));
    *ret_bad = false;
    if (s.n == 0)
        return false;
    dz_buf_clear(dst);
    size_t eq = dz_str_chr(s, '=');
    *ret_bad = eq == DZ_NPOS || !dz_http_is_token(dz_str_trim(dz_str_sub(s, 0, eq)));
    if (*ret_bad)
        return false;
    *ret_name = dz_str_trim(dz_str_sub(s, 0, eq));
    s = skip_blanks(dz_str_after(s, eq));
    if (s.n > 0 && s.p[0] == '"') {
        *ret_bad = !unquote(&s, dst);
        s = skip_blanks(s);
    } else {
        size_t end = dz_str_chr(s, ';');
        dz_buf_put(dst, dz_str_trim(dz_str_sub(s, 0, end)));
        s = dz_str_sub(s, end, s.n);
    }
    *ret_bad |= s.n > 0 && s.p[0] != ';';
    *rest = s;
    return !*ret_bad;
}

/* ---- life ------------------------------------------------------------------------------------ */

static dz_str media_type(dz_str content_type)
{
    return dz_str_trim(dz_str_sub(content_type, 0, dz_str_chr(content_type, ';')));
}

bool dz_http_is_multipart(dz_str content_type)
{
    return dz_str_eq_nocase(media_type(content_type), DZ_S("multipart/form-data"));
}

static bool is_boundary(dz_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] == 0x7F)
            return false;
    return s.n > 0 && s.n <= BOUNDARY_MAX && s.p[s.n - 1] != ' ';
}

enum dz_code dz_multipart_new(dz_str content_type, const struct dz_multipart_reader *reader,
                              struct dz_multipart **ret_m, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf value;
    dz_buf_init(&value, 64 * DZ_KIB);
    dz_str rest = dz_str_sub(content_type, dz_str_chr(content_type, ';'), content_type.n), name;
    bool bad, found = false;
    while (!found && next_param(&rest, &name, &value, &bad))
        found = dz_str_eq_nocase(name, DZ_S("boundary"));
    if (!found || !is_boundary(dz_buf_str(&value)))
        return dz_fail(err, DZ_BAD_INPUT, "Missing boundary in multipart.");
    struct dz_multipart *m = dz_new(struct dz_multipart);
    m->reader = *reader;
    m->state = CONTENT;
    m->seen = m->given = 2;
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, value.p, value.n);
    m->delimiter_n = value.n + 4;
    dz_buf_init(&m->head, HEAD_MAX);
    *ret_m = m;
    return DZ_OK;
}

void dz_multipart_free(struct dz_multipart **m)
{
    struct dz_multipart *gone = dz_take(m);
    if (!gone)
        return;
    dz_buf_done(&gone->head);
    dz_freep(&gone);
}

/* ---- the head of a part ---------------------------------------------------------------------- */

struct names {
    struct dz_buf name, filename;
};

static void names_done(struct names *n)
{
    dz_buf_done(&n->name);
    dz_buf_done(&n->filename);
}

static enum dz_code read_disposition(struct dz_multipart_part *part, dz_str value, struct names *n,
                                     struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, HEAD_MAX);
    if (!dz_str_eq_nocase(media_type(value), DZ_S("form-data")))
        return dz_fail(err, DZ_BAD_INPUT, "a part is not form-data");
    dz_str rest = dz_str_sub(value, dz_str_chr(value, ';'), value.n), name;
    bool bad;
    while (next_param(&rest, &name, &text, &bad)) {
        bool is_file = dz_str_eq_nocase(name, DZ_S("filename"));
        struct dz_buf *to = is_file ? &n->filename : &n->name;
        part->has_filename |= is_file || dz_str_eq_nocase(name, DZ_S("filename*"));
        if (!is_file && !dz_str_eq_nocase(name, DZ_S("name")))
            continue;
        dz_buf_clear(to);
        dz_buf_put(to, dz_buf_str(&text));
    }
    if (bad)
        return dz_fail(err, DZ_BAD_INPUT, "Content-Disposition of a part is malformed");
    part->name = dz_buf_str(&n->name);
    part->filename = dz_buf_str(&n->filename);
    return DZ_OK;
}

/* RFC 7578 4.7: nobody encodes the content of a part any more; stored as it is it would be wrong.
 */
static bool is_plain_encoding(dz_str value)
{
    return dz_str_eq_nocase(value, DZ_S("binary")) || dz_str_eq_nocase(value, DZ_S("8bit")) ||
           dz_str_eq_nocase(value, DZ_S("7bit"));
}

static enum dz_code read_field(struct dz_multipart_part *part, dz_str line, struct names *n,
                               struct dz_err *err)
{
    size_t colon = dz_str_chr(line, ':');
    dz_str name = dz_str_sub(line, 0, colon), value = dz_str_trim(dz_str_after(line, colon));
    if (colon == DZ_NPOS || !dz_http_is_token(name) || !dz_http_is_field_value(value))
        return dz_fail(err, DZ_BAD_INPUT, "a header field of a part is malformed");
    if (dz_str_eq_nocase(name, DZ_S("content-disposition")))
        return read_disposition(part, value, n, err);
    if (dz_str_eq_nocase(name, DZ_S("content-type"))) {
        part->content_type = value;
    } else if (dz_str_eq_nocase(name, DZ_S("content-transfer-encoding")) &&
               !is_plain_encoding(value)) {
        return dz_fail(err, DZ_BAD_INPUT, "Content-Transfer-Encoding of a part is not supported");
    }
    return DZ_OK;
}

/* The head is whole: lines, each with its CRLF, and the empty one. */
static enum dz_code begin_part(struct dz_multipart *m, struct dz_err *err)
{
    struct dz_multipart_part part = {.name.n = 0};
    DZ_AUTO(names_done) struct names names;
    dz_buf_init(&names.name, HEAD_MAX);
    dz_buf_init(&names.filename, HEAD_MAX);
    for (dz_str rest = dz_buf_str(&m->head); rest.n > 2;) {
        size_t end = dz_str_find(rest, DZ_S("\r\n"));
        DZ_TRY(read_field(&part, dz_str_sub(rest, 0, end), &names, err));
        rest = dz_str_sub(rest, end + 2, rest.n);
    }
    dz_buf_clear(&m->head);
    if (++m->parts > PARTS_MAX)
        return dz_fail(err, DZ_BAD_INPUT, "more than %d parts", PARTS_MAX);
    m->in_part = true;
    m->state = CONTENT;
    m->seen = m->given = 2;
    return m->reader.begin(m->reader.arg, &part, err);
}

/* Takes up to the end of the head; how many bytes of `in` that were. */
static enum dz_code take_head(struct dz_multipart *m, dz_str in, size_t *ret_used,
                              struct dz_err *err)
{
    for (size_t at = 0; at < in.n;) {
        const char *lf = memchr(in.p + at, '\n', in.n - at);
        size_t to = lf ? (size_t)(lf - in.p) + 1 : in.n;
        dz_buf_put(&m->head, dz_str_sub(in, at, to));
        if (m->head.full)
            return dz_fail(err, DZ_BAD_INPUT, "header fields of a part are too long");
        at = to;
        *ret_used = at;
        dz_str head = dz_buf_str(&m->head);
        if (dz_str_eq(head, DZ_S("\r\n")) || dz_str_ends(head, DZ_S("\r\n\r\n")))
            return begin_part(m, err);
    }
    return DZ_OK;
}

/* ---- content and delimiters ------------------------------------------------------------------ */

static enum dz_code put(struct dz_multipart *m, dz_str bytes, struct dz_err *err)
{
    if (bytes.n == 0 || !m->in_part) /* what stands before the first part is nobody's */
        return DZ_OK;
    return m->reader.data(m->reader.arg, bytes, err);
}

/* What was taken for a delimiter is content. */
static enum dz_code put_seen(struct dz_multipart *m, struct dz_err *err)
{
    dz_str text = {m->delimiter, m->seen};
    DZ_TRY(put(m, dz_str_sub(text, m->given, text.n), err));
    m->seen = m->given = 0;
    DZ_TRY(put(m, (dz_str){m->padding, m->padding_n}, err));
    m->padding_n = 0;
    m->state = CONTENT;
    return DZ_OK;
}

/* Nothing of a delimiter was seen: passes on what is no part of one. */
static enum dz_code take_content(struct dz_multipart *m, dz_str in, size_t *ret_used,
                                 struct dz_err *err)
{
    size_t found = dz_str_find(in, (dz_str){m->delimiter, m->delimiter_n});
    size_t n = found;
    m->seen = m->delimiter_n;
    if (found == DZ_NPOS) { /* the end of it may be the start of one */
        size_t tail = in.n < m->delimiter_n ? in.n : m->delimiter_n - 1;
        const char *cr = memrchr(in.p + in.n - tail, '\r', tail);
        m->seen = cr ? (size_t)(in.p + in.n - cr) : 0;
        if (cr && memcmp(cr, m->delimiter, m->seen) != 0)
            m->seen = 0;
        n = in.n - m->seen;
    } else {
        m->state = BEHIND;
    }
    *ret_used = n + m->seen;
    return put(m, dz_str_sub(in, 0, n), err);
}

static enum dz_code end_part(struct dz_multipart *m, uint8_t state, struct dz_err *err)
{
    bool was = m->in_part;
    m->in_part = false;
    m->state = state;
    m->seen = m->given = m->padding_n = 0;
    return was ? m->reader.end(m->reader.arg, err) : DZ_OK;
}

/* One byte behind a boundary. *ret_taken false: it is to be looked at again. */
static enum dz_code step_behind(struct dz_multipart *m, char c, bool *ret_taken, struct dz_err *err)
{
    *ret_taken = true;
    if (m->state == END_LF && c == '\n')
        return end_part(m, HEAD, err);
    if (m->state == DASH && c == '-')
        return end_part(m, EPILOGUE, err);
    bool blank = c == ' ' || c == '\t';
    if ((m->state == BEHIND || m->state == PADDING) && c == '\r') {
        m->state = END_LF;
        return DZ_OK;
    }
    if ((m->state == BEHIND && (blank || c == '-')) ||
        (m->state == PADDING && blank && m->padding_n < PADDING_MAX)) {
        m->state = blank ? PADDING : DASH;
        m->padding[m->padding_n++] = c;
        return DZ_OK;
    }
    *ret_taken = false;
    bool had_cr = m->state == END_LF;
    DZ_TRY(put_seen(m, err));
    m->seen = had_cr; /* it may begin the real one */
    return DZ_OK;
}

/* The delimiter's start was seen. */
static enum dz_code step_delimiter(struct dz_multipart *m, char c, bool *ret_taken,
                                   struct dz_err *err)
{
    *ret_taken = c == m->delimiter[m->seen];
    if (!*ret_taken)
        return put_seen(m, err);
    if (++m->seen == m->delimiter_n)
        m->state = BEHIND;
    return DZ_OK;
}

enum dz_code dz_multipart_feed(struct dz_multipart *m, dz_str in, struct dz_err *err)
{
    for (size_t at = 0; at < in.n && m->state != EPILOGUE;) {
        size_t used = 0;
        bool taken = false;
        if (m->state == HEAD)
            DZ_TRY(take_head(m, dz_str_sub(in, at, in.n), &used, err));
        else if (m->state == CONTENT && m->seen == 0)
            DZ_TRY(take_content(m, dz_str_sub(in, at, in.n), &used, err));
        else if (m->state == CONTENT)
            DZ_TRY(step_delimiter(m, in.p[at], &taken, err));
        else
            DZ_TRY(step_behind(m, in.p[at], &taken, err));
        at += used + taken;
    }
    return DZ_OK;
}

enum dz_code dz_multipart_end(struct dz_multipart *m, struct dz_err *err)
{
    if (m->state == EPILOGUE)
        return DZ_OK;
    return dz_fail(err, DZ_BAD_INPUT,
                   m->parts ? "the body ends inside a part" : "the body has no parts");
}
