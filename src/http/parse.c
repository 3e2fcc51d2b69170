/*
 * parse: the request head of RFC 9112, and the small texts inside it.
 *
 * Pure functions over bytes: slices in, slices of the same bytes out, nothing allocated, any
 * thread. What two parsers could read in two ways is refused here: bare CR or LF, folded lines,
 * blanks before a colon, a missing, repeated or malformed Host, a backslash in a path, a length
 * that is signed, repeated, too big or comes with Transfer-Encoding.
 *
 * The odd thing: a line is judged only once its LF is there, and at most head_max bytes are looked
 * at, so that any split of the same bytes ends in the same answer.
 */
#include "http/http_int.h"

#include <arpa/inet.h>

/* SPLITS: the bytes of a target that mean more than themselves. */
enum { TOKEN = 1, TARGET = 2, HOST = 4, HEX = 8, SPLITS = 16 };

/* clang-format off */
static const uint8_t char_class[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 7, 0, 1, 7, 23, 7, 7, 6, 6, 7, 7, 6, 7, 7, 2,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 2, 6, 0, 6, 0, 18,
    2, 15, 15, 15, 15, 15, 15, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 2, 18, 2, 3, 7,
    3, 15, 15, 15, 15, 15, 15, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 2, 3, 2, 7, 0,
};
/* clang-format on */

static bool is_class(char c, unsigned class)
{
    return (char_class[(unsigned char)c] & class) != 0;
}

static bool all_class(dz_str s, unsigned class)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_class(s.p[i], class))
            return false;
    return true;
}

bool dz_http_is_token(dz_str s)
{
    return s.n > 0 && all_class(s, TOKEN);
}

static unsigned hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 0x20) - 'a' + 10;
}

/* First byte from p that cannot stand in a field value: a control but TAB. Eight at a time; the
 * mask marks bytes below 0x20 and 0x7F, and may mark more only above the first true one. */
static const char *value_end(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, high = ones * 0x80;
    for (;;) {
        while (end - p >= 8) {
            uint64_t x;
            memcpy(&x, p, 8);
            uint64_t del = x ^ (ones * 0x7F);
            if ((((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & high)
                break;
            p += 8;
        }
        const char *stop = end - p >= 8 ? p + 8 : end;
        for (; p < stop; p++) {
            unsigned char c = (unsigned char)*p;
            if ((c < 0x20 && c != '\t') || c == 0x7F)
                return p;
        }
        if (p == end)
            return end;
    }
}

bool dz_http_is_field_value(dz_str s)
{
    return s.n == 0 || value_end(s.p, s.p + s.n) == s.p + s.n;
}

/* ---- request line ---------------------------------------------------------------------------- */

static enum dz_http_parsed bad(struct dz_http_head *h, int status, const char *why)
{
    h->status = status;
    h->why = why;
    return HTTP_BAD;
}

static enum dz_http_method method_of(dz_str s)
{
    static const struct {
        dz_str text;
        enum dz_http_method method;
    } rows[] = {
        {DZ_S("GET"), DZ_HTTP_GET},       {DZ_S("HEAD"), DZ_HTTP_HEAD},
        {DZ_S("POST"), DZ_HTTP_POST},     {DZ_S("PUT"), DZ_HTTP_PUT},
        {DZ_S("DELETE"), DZ_HTTP_DELETE}, {DZ_S("OPTIONS"), DZ_HTTP_OPTIONS},
        {DZ_S("PATCH"), DZ_HTTP_PATCH},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++)
        if (dz_str_eq(s, rows[i].text))
            return rows[i].method;
    return DZ_HTTP_OTHER;
}

/* "%XX" throughout, and no %00: a NUL inside a path cuts names short in half the world's programs.
 * */
static bool valid_escapes(dz_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%')
            continue;
        if (s.n - i < 3 || !is_class(s.p[i + 1], HEX) || !is_class(s.p[i + 2], HEX))
            return false;
        if (s.p[i + 1] == '0' && s.p[i + 2] == '0')
            return false;
        i += 2;
    }
    return true;
}

static bool is_ipv6(dz_str s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* RFC 9112 3.2, RFC 3986 3.2.2: uri-host [ ":" port ]. */
static bool valid_authority(dz_str s)
{
    dz_str port = {0};
    if (s.n > 0 && s.p[0] == '[') {
        size_t close = dz_str_chr(s, ']');
        if (close == DZ_NPOS || !is_ipv6(dz_str_sub(s, 1, close)))
            return false;
        if (close + 1 < s.n) {
            if (s.p[close + 1] != ':')
                return false;
            port = dz_str_sub(s, close + 2, s.n);
        }
    } else {
        size_t colon = dz_str_chr(s, ':');
        dz_str host = dz_str_sub(s, 0, colon);
        if (host.n == 0 || !all_class(host, HOST) || !valid_escapes(host))
            return false;
        if (colon != DZ_NPOS)
            port = dz_str_sub(s, colon + 1, s.n);
    }
    uint64_t number;
    return port.n == 0 || (port.n <= 5 && dz_str_u64(port, 65535, &number, NULL) == DZ_OK);
}

static size_t scheme_length(dz_str target)
{
    if (dz_str_eq_nocase(dz_str_sub(target, 0, 7), DZ_S("http://")))
        return 7;
    return dz_str_eq_nocase(dz_str_sub(target, 0, 8), DZ_S("https://")) ? 8 : 0;
}

static enum dz_http_parsed parse_target(struct dz_http_head *h)
{
    dz_str t = h->target;
    unsigned all = TARGET, any = 0;
    for (size_t i = 0; i < t.n; i++) {
        unsigned class = char_class[(unsigned char)t.p[i]];
        all &= class;
        any |= class;
    }
    if (!all)
        return bad(h, 400, "a byte in the request target must be percent-encoded");
    if (dz_str_eq(h->method_text, DZ_S("CONNECT")))
        return bad(h, 501, "CONNECT is for proxies");
    if (t.n == 1 && t.p[0] == '*') {
        if (h->method != DZ_HTTP_OPTIONS)
            return bad(h, 400, "the target * goes with OPTIONS only");
        h->raw_path = t;
        return HTTP_WHOLE;
    }
    if (t.n > 0 && t.p[0] != '/') {
        size_t scheme = scheme_length(t);
        if (scheme == 0)
            return bad(h, 400, "the request target is neither a path nor an http address");
        t = dz_str_sub(t, scheme, t.n);
        size_t end = 0;
        while (end < t.n && t.p[end] != '/' && t.p[end] != '?')
            end++;
        h->host = dz_str_sub(t, 0, end);
        if (!valid_authority(h->host))
            return bad(h, 400, "the host in the request target is not valid");
        t = dz_str_sub(t, end, t.n);
    }
    if (DZ_LIKELY(!(any & SPLITS) && t.n > 0)) {
        h->raw_path = t;
        return HTTP_WHOLE;
    }
    size_t mark = dz_str_chr(t, '?');
    h->raw_path = dz_str_sub(t, 0, mark);
    if (mark != DZ_NPOS)
        h->query = dz_str_sub(t, mark + 1, t.n);
    if (h->raw_path.n == 0)
        h->raw_path = DZ_S("/");                    /* absolute-form without a path */
    if (memchr(h->raw_path.p, '\\', h->raw_path.n)) /* some read it as a slash */
        return bad(h, 400, "a backslash in the path must be percent-encoded");
    h->escaped = memchr(h->raw_path.p, '%', h->raw_path.n) != NULL;
    if (h->escaped && !valid_escapes(h->raw_path))
        return bad(h, 400, "a percent-encoding in the path is not valid");
    return HTTP_WHOLE;
}

/* line: without CRLF. */
static enum dz_http_parsed parse_request_line(struct dz_http_head *h, dz_str line)
{
    size_t at = 0;
    while (at < line.n && is_class(line.p[at], TOKEN))
        at++;
    if (at == 0 || at == line.n || line.p[at] != ' ')
        return bad(h, 400, "the request line does not start with a method and one blank");
    h->method_text = dz_str_sub(line, 0, at);
    h->method = method_of(h->method_text); /* a refused HEAD gets no content either */
    dz_str rest = dz_str_sub(line, at + 1, line.n);
    size_t blank = dz_str_chr(rest, ' ');
    if (blank == DZ_NPOS || blank == 0)
        return bad(h, 400,
                   "the request line is not: method, target, version, with one blank between");
    h->target = dz_str_sub(rest, 0, blank);
    dz_str version = dz_str_sub(rest, blank + 1, rest.n);
    if (version.n != 8 || memcmp(version.p, "HTTP/", 5) != 0 || version.p[6] != '.' ||
        version.p[5] < '0' || version.p[5] > '9' || version.p[7] < '0' || version.p[7] > '9')
        return bad(h, 400, "the request line does not end with a version such as HTTP/1.1");
    if (version.p[5] != '1')
        return bad(h, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    h->version_minor = version.p[7] == '0' ? 0 : 1;
    return parse_target(h);
}

/* ---- fields ---------------------------------------------------------------------------------- */

static int known_of(dz_str name)
{
#define IS(text, k)                                                                                \
    if (dz_str_eq_nocase(name, DZ_S(text)))                                                        \
    return (k)
    switch (name.n) {
    case 4:
        IS("host", KNOWN_HOST);
        break;
    case 5:
        IS("range", KNOWN_RANGE);
        break;
    case 6:
        IS("accept", KNOWN_ACCEPT);
        IS("expect", KNOWN_EXPECT);
        IS("origin", KNOWN_ORIGIN);
        break;
    case 8:
        IS("if-match", KNOWN_IF_MATCH);
        IS("if-range", KNOWN_IF_RANGE);
        break;
    case 9:
        IS("forwarded", KNOWN_FORWARDED);
        break;
    case 10:
        IS("connection", KNOWN_CONNECTION);
        break;
    case 13:
        IS("if-none-match", KNOWN_IF_NONE_MATCH);
        break;
    case 14:
        IS("content-length", KNOWN_CONTENT_LENGTH);
        break;
    case 15:
        IS("accept-encoding", KNOWN_ACCEPT_ENCODING);
        IS("x-forwarded-for", KNOWN_X_FORWARDED_FOR);
        break;
    case 17:
        IS("transfer-encoding", KNOWN_TRANSFER_ENCODING);
        IS("if-modified-since", KNOWN_IF_MODIFIED_SINCE);
        IS("x-forwarded-proto", KNOWN_X_FORWARDED_PROTO);
        break;
    case 19:
        IS("if-unmodified-since", KNOWN_IF_UNMODIFIED_SINCE);
        break;
    }
#undef IS
    return -1;
}

static void note_known(struct dz_http_head *h, dz_str name)
{
    int k = known_of(name);
    if (k < 0)
        return;
    if (h->known & KNOWN_BIT(k)) {
        h->repeated |= KNOWN_BIT(k);
    } else {
        h->known |= KNOWN_BIT(k);
        h->first[k] = (uint8_t)h->fields_n;
    }
}

/* One field line at p, which is not the empty line. *ret_next is behind its CRLF. HTTP_MORE: no LF
 * before end. */
static enum dz_http_parsed parse_field(struct dz_http_head *h, const char *p, const char *end,
                                       struct dz_http_field *fields, const char **ret_next)
{
    const char *name = p, *why = NULL;
    while (p < end && is_class(*p, TOKEN))
        p++;
    const char *name_end = p;
    if (p == end)
        return HTTP_MORE;
    if (p == name || *p != ':')
        why = *p == ' ' || *p == '\t'
                  ? (p == name ? "a header field is folded over two lines"
                               : "a blank stands before the colon of a header field")
                  : "a header field name is not valid";
    const char *value = p + 1, *stop = NULL;
    if (!why) {
        while (value < end && (*value == ' ' || *value == '\t'))
            value++;
        stop = value_end(value, end);
        if (end - stop < 2 && (stop == end || *stop == '\r'))
            return HTTP_MORE;
        if (*stop != '\r' || stop[1] != '\n')
            why = *stop == '\n' ? "a line ends with LF alone"
                                : "a control character stands in a header field";
    }
    if (why)
        return memchr(p, '\n', (size_t)(end - p)) ? bad(h, 400, why) : HTTP_MORE;
    if (h->fields_n == HTTP_FIELDS_MAX)
        return bad(h, 431, "too many header fields");
    *ret_next = stop + 2;
    while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    struct dz_http_field *f = &fields[h->fields_n];
    f->name = (dz_str){name, (size_t)(name_end - name)};
    f->value = (dz_str){value, (size_t)(stop - value)};
    note_known(h, f->name);
    h->fields_n++;
    return HTTP_WHOLE;
}

/* ---- what the fields mean together ----------------------------------------------------------- */

static dz_str value_of(const struct dz_http_head *h, const struct dz_http_field *fields,
                       enum dz_http_known k)
{
    return h->known & KNOWN_BIT(k) ? fields[h->first[k]].value : (dz_str){0};
}

/* RFC 9112 3.2 */
static enum dz_http_parsed check_host(struct dz_http_head *h, const struct dz_http_field *fields)
{
    if (!(h->known & KNOWN_BIT(KNOWN_HOST)))
        return h->version_minor == 0 ? HTTP_WHOLE : bad(h, 400, "the Host field is missing");
    if (h->repeated & KNOWN_BIT(KNOWN_HOST))
        return bad(h, 400, "the Host field is there more than once");
    dz_str host = value_of(h, fields, KNOWN_HOST);
    if (!valid_authority(host))
        return bad(h, 400, "the Host field is not valid");
    if (h->host.n == 0) /* 3.2.2: absolute-form wins */
        h->host = host;
    return HTTP_WHOLE;
}

/* RFC 9112 6.1 and 6.3 */
static enum dz_http_parsed check_framing(struct dz_http_head *h, const struct dz_http_field *fields)
{
    const uint32_t te = KNOWN_BIT(KNOWN_TRANSFER_ENCODING), cl = KNOWN_BIT(KNOWN_CONTENT_LENGTH);
    if (!(h->known & (te | cl)))
        return HTTP_WHOLE;
    if ((h->known & te) && (h->known & cl))
        return bad(h, 400, "both Transfer-Encoding and Content-Length");
    if (h->repeated & (te | cl))
        return bad(h, 400, "more than one Transfer-Encoding or Content-Length");
    if (h->known & cl) {
        uint64_t n;
        if (dz_str_u64(value_of(h, fields, KNOWN_CONTENT_LENGTH), INT64_MAX, &n, NULL) != DZ_OK)
            return bad(h, 400, "Content-Length is not a number, or too big for one");
        h->has_length = true;
        h->length = n;
        return HTTP_WHOLE;
    }
    if (h->version_minor == 0)
        return bad(h, 400, "Transfer-Encoding in an HTTP/1.0 request");
    dz_str value = value_of(h, fields, KNOWN_TRANSFER_ENCODING), list = value, item, last = {0};
    unsigned codings = 0, chunked = 0;
    for (; dz_http_list_next(&list, &item); codings++) {
        last = item;
        chunked += dz_str_eq_nocase(item, DZ_S("chunked"));
    }
    if (chunked != 1 || !dz_str_eq_nocase(last, DZ_S("chunked")))
        return bad(h, 400, "Transfer-Encoding does not end with one chunked");
    if (codings > 1)
        return bad(h, 501, "a transfer coding other than chunked");
    if (value.n != last.n) /* a proxy may not see "chunked" in ",chunked" */
        return bad(h, 400, "Transfer-Encoding is not chunked alone");
    h->chunked = true;
    return HTTP_WHOLE;
}

static enum dz_http_parsed check_fields(struct dz_http_head *h, const struct dz_http_field *fields)
{
    enum dz_http_parsed got = check_host(h, fields);
    if (got == HTTP_WHOLE)
        got = check_framing(h, fields);
    if (got != HTTP_WHOLE)
        return got;
    h->keep_alive = h->version_minor > 0;
    if (DZ_UNLIKELY(h->known & KNOWN_BIT(KNOWN_CONNECTION))) { /* RFC 9112 9.3 */
        bool close = false, keep = false;
        for (size_t i = h->first[KNOWN_CONNECTION]; i < h->fields_n; i++) {
            if (known_of(fields[i].name) != KNOWN_CONNECTION)
                continue;
            dz_str list = fields[i].value, item;
            while (dz_http_list_next(&list, &item)) {
                close |= dz_str_eq_nocase(item, DZ_S("close"));
                keep |= dz_str_eq_nocase(item, DZ_S("keep-alive"));
            }
        }
        h->keep_alive = !close && (h->keep_alive || keep);
    }
    if (DZ_UNLIKELY(h->known & KNOWN_BIT(KNOWN_EXPECT)) &&
        h->version_minor > 0) { /* RFC 9110 10.1.1 */
        if ((h->repeated & KNOWN_BIT(KNOWN_EXPECT)) ||
            !dz_str_eq_nocase(value_of(h, fields, KNOWN_EXPECT), DZ_S("100-continue")))
            return bad(h, 417, "an expectation other than 100-continue");
        h->expect_continue = true;
    }
    return HTTP_WHOLE;
}

/* ---- head ------------------------------------------------------------------------------------ */

static enum dz_http_parsed first_line(struct dz_http_head *h, dz_str in, size_t *ret_at)
{
    size_t skip = 0;
    if (in.p[0] == '\r') { /* 2.2: one empty line before the request is forgiven */
        if (in.n < 2)
            return HTTP_MORE;
        if (in.p[1] != '\n')
            return bad(h, 400, "a carriage return stands alone");
        skip = 2;
        if (in.n == 2)
            return HTTP_MORE;
    }
    /* Something that is no HTTP at all (a TLS hello) need not wait for a line end. */
    if (!is_class(in.p[skip], TOKEN))
        return bad(h, 400, "this is not an HTTP request");
    const char *lf = memchr(in.p + skip, '\n', in.n - skip);
    if (!lf)
        return HTTP_MORE;
    size_t end = (size_t)(lf - in.p);
    if (in.p[end - 1] != '\r')
        return bad(h, 400, "a line ends with LF alone");
    *ret_at = end + 1;
    return parse_request_line(h, (dz_str){in.p + skip, end - 1 - skip});
}

/* Whether what the fields mean can be kept, and told of another head: the meaning of some depends
 * on the request line. */
static bool is_plain(const struct dz_http_head *h)
{
    return h->version_minor == 1 && h->target.p[0] == '/';
}

static dz_str moved(dz_str s, const char *from, const char *to)
{
    return (dz_str){to + (s.p - from), s.n};
}

/* The fields are the bytes that were kept: so is all that they mean. They end with the empty line,
 * and it is the first one here too. */
static bool recall(const struct dz_http_memo *m, dz_str rest, struct dz_http_head *h,
                   struct dz_http_field *fields)
{
    if (m->n == 0 || rest.n < m->n || memcmp(rest.p, m->text, m->n) != 0 || !is_plain(h))
        return false;
    for (size_t i = 0; i < m->meaning.fields_n; i++) {
        fields[i].name = moved(m->field[i].name, m->text, rest.p);
        fields[i].value = moved(m->field[i].value, m->text, rest.p);
    }
    struct dz_http_head line = *h;
    *h = m->meaning;
    h->method = line.method;
    h->version_minor = line.version_minor;
    h->escaped = line.escaped;
    h->method_text = line.method_text;
    h->target = line.target;
    h->raw_path = line.raw_path;
    h->query = line.query;
    h->host = fields[h->first[KNOWN_HOST]].value; /* 1.1 is not read without one */
    return true;
}

static void keep(struct dz_http_memo *m, dz_str text, const struct dz_http_head *h,
                 const struct dz_http_field *fields)
{
    if (text.n > sizeof(m->text) || h->fields_n > DZ_LEN(m->field) || !is_plain(h))
        return;
    m->n = (uint32_t)text.n;
    memcpy(m->text, text.p, text.n);
    m->meaning = *h;
    for (size_t i = 0; i < h->fields_n; i++) {
        m->field[i].name = moved(fields[i].name, text.p, m->text);
        m->field[i].value = moved(fields[i].value, text.p, m->text);
    }
}

enum dz_http_parsed dz_http_parse_head(dz_str in, size_t head_max, struct dz_http_head *h,
                                       struct dz_http_field *fields)
{
    return dz_http_parse_head_like(NULL, in, head_max, h, fields);
}

enum dz_http_parsed dz_http_parse_head_like(struct dz_http_memo *memos, dz_str in, size_t head_max,
                                            struct dz_http_head *h, struct dz_http_field *fields)
{
    memset(h, 0, sizeof(*h));
    if (in.n == 0)
        return HTTP_MORE;
    bool over = in.n >= head_max;
    if (over)
        in.n = head_max;
    size_t at = 0;
    enum dz_http_parsed got = first_line(h, in, &at);
    if (got == HTTP_MORE && over)
        return bad(h, 414, "the request line is too long");
    if (got != HTTP_WHOLE)
        return got;
    /* The same client sends heads that are as long behind their first lines. */
    struct dz_http_memo *memo = memos ? &memos[(in.n - at) % HTTP_MEMOS] : NULL;
    if (memo && recall(memo, dz_str_sub(in, at, in.n), h, fields)) {
        h->n = at + memo->n;
        return HTTP_WHOLE;
    }
    const char *p = in.p + at, *end = in.p + in.n;
    for (;;) {
        if (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
            break;
        if (p == end || (*p == '\r' && end - p < 2))
            got = HTTP_MORE;
        else
            got = parse_field(h, p, end, fields, &p);
        if (got == HTTP_MORE && over)
            return bad(h, 431, "the header fields are too long");
        if (got != HTTP_WHOLE)
            return got;
    }
    h->n = (size_t)(p + 2 - in.p);
    got = check_fields(h, fields);
    if (memo && got == HTTP_WHOLE)
        keep(memo, dz_str_sub(in, at, h->n), h, fields);
    return got;
}

/* ---- small texts ----------------------------------------------------------------------------- */

size_t dz_http_percent_decode(dz_str s, char *dst)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && s.n - i >= 3 && is_class(s.p[i + 1], HEX) &&
            is_class(s.p[i + 2], HEX)) {
            dst[n++] = (char)(hex_value(s.p[i + 1]) << 4 | hex_value(s.p[i + 2]));
            i += 2;
        } else {
            dst[n++] = s.p[i];
        }
    }
    return n;
}

bool dz_http_list_next(dz_str *list, dz_str *ret_item)
{
    while (list->n > 0) {
        bool quoted = false;
        size_t i = 0;
        for (; i < list->n; i++) {
            char c = list->p[i];
            if (c == '"')
                quoted = !quoted;
            else if (c == '\\' && quoted && i + 1 < list->n)
                i++;
            else if (c == ',' && !quoted)
                break;
        }
        dz_str item = dz_str_trim(dz_str_sub(*list, 0, i));
        *list = dz_str_sub(*list, i + 1, list->n);
        if (item.n > 0) {
            *ret_item = item;
            return true;
        }
    }
    return false;
}

bool dz_http_param_next(dz_str *query, dz_str *ret_name, dz_str *ret_value)
{
    while (query->n > 0) {
        size_t amp = dz_str_chr(*query, '&');
        dz_str pair = dz_str_sub(*query, 0, amp);
        *query = dz_str_after(*query, amp);
        if (pair.n == 0)
            continue;
        size_t eq = dz_str_chr(pair, '=');
        *ret_name = dz_str_sub(pair, 0, eq);
        *ret_value = dz_str_after(pair, eq);
        return true;
    }
    return false;
}
