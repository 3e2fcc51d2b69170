/*
 * url: addresses taken apart, joined and made comparable (RFC 3986, http and https).
 *
 * In: texts from pages and settings. Out: slices into them, or new texts in the caller's arena.
 * Pure, any thread. Where browsers and the RFC differ the RFC is kept, but for two things that real
 * pages hold: blanks around an address are dropped, and bytes that may not stand in one are
 * percent-encoded when it is joined.
 */
#include "fetch/fetch_int.h"

static bool is_alpha(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
    return is_digit(c)                              ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

static bool is_unreserved(char c)
{
    return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* Length of "scheme" in front of a ':', 0 when there is none (3.1). */
static size_t scheme_length(dz_str s)
{
    size_t n = 0;
    while (n < s.n && (is_alpha(s.p[n]) || (n > 0 && (is_digit(s.p[n]) || s.p[n] == '+' ||
                                                      s.p[n] == '-' || s.p[n] == '.'))))
        n++;
    return n < s.n && s.p[n] == ':' ? n : 0;
}

static size_t until(dz_str s, size_t from, const char *stops)
{
    while (from < s.n && !strchr(stops, s.p[from]))
        from++;
    return from;
}

static enum dz_code parse_authority(dz_str authority, struct dz_url *u, struct dz_err *err)
{
    size_t at = dz_str_rchr(authority, '@');
    if (at != DZ_NPOS) {
        u->userinfo = dz_str_sub(authority, 0, at);
        authority = dz_str_sub(authority, at + 1, authority.n);
    }
    u->host = authority;
    size_t colon = dz_str_rchr(authority, ':');
    size_t close = dz_str_rchr(authority, ']');
    if (colon != DZ_NPOS && (close == DZ_NPOS || colon > close)) {
        u->host = dz_str_sub(authority, 0, colon);
        u->port = dz_str_sub(authority, colon + 1, authority.n);
        uint64_t port;
        if (u->port.n > 0 && dz_str_u64(u->port, 65535, &port, NULL) != DZ_OK)
            return dz_fail(err, DZ_BAD_INPUT, "the port of the address is no number up to 65535");
    }
    bool v6 = u->host.n > 2 && u->host.p[0] == '[' && u->host.p[u->host.n - 1] == ']';
    for (size_t i = 0; i < u->host.n; i++) {
        char c = u->host.p[i];
        bool good = v6 ? hex_digit(c) >= 0 || strchr("[]:.", c) : is_unreserved(c) || (c & 0x80);
        if (!good || c == 0)
            return dz_fail(err, DZ_BAD_INPUT, "the host of the address holds a wrong character");
    }
    return DZ_OK;
}

/* Any reference: absolute, or relative to something. */
static enum dz_code split(dz_str s, struct dz_url *u, struct dz_err *err)
{
    *u = (struct dz_url){0};
    if (s.n > DZ_FETCH_URL_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "the address has %zu bytes, at most %u", s.n,
                       DZ_FETCH_URL_MAX);
    size_t at = scheme_length(s);
    if (at > 0) {
        u->scheme = dz_str_sub(s, 0, at);
        at++;
    }
    if (dz_str_starts(dz_str_sub(s, at, s.n), DZ_S("//"))) {
        size_t end = until(s, at + 2, "/?#");
        DZ_TRY(parse_authority(dz_str_sub(s, at + 2, end), u, err));
        at = end;
    }
    size_t end = until(s, at, "?#");
    u->path = dz_str_sub(s, at, end);
    at = end;
    if (at < s.n && s.p[at] == '?') {
        end = until(s, at + 1, "#");
        u->query = dz_str_sub(s, at + 1, end);
        at = end;
    }
    if (at < s.n)
        u->fragment = dz_str_sub(s, at + 1, s.n);
    return DZ_OK;
}

enum dz_code dz_url_parse(dz_str s, struct dz_url *ret_u, struct dz_err *err)
{
    struct dz_url u;
    DZ_TRY(split(s, &u, err));
    if (!u.scheme.p)
        return dz_fail(err, DZ_BAD_INPUT, "the address does not start with http:// or https://");
    if (!dz_str_eq_nocase(u.scheme, DZ_S("http")) && !dz_str_eq_nocase(u.scheme, DZ_S("https")))
        return dz_fail(err, DZ_BAD_INPUT, "the scheme of the address is neither http nor https");
    if (u.host.n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "the address has no host");
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7F)
            return dz_fail(err, DZ_BAD_INPUT, "the address holds a blank or a control character");
    *ret_u = u;
    return DZ_OK;
}

/* ---- putting together ------------------------------------------------------------------------ */

/* 5.2.4 over a path that starts with '/': in place, returns the new length. */
static size_t remove_dots(char *p, size_t n)
{
    size_t out = 0;
    for (size_t at = 0; at < n;) {
        size_t end = at + 1;
        while (end < n && p[end] != '/')
            end++;
        size_t length = end - at; /* with its slash */
        bool one = length == 2 && p[at + 1] == '.';
        bool two = length == 3 && p[at + 1] == '.' && p[at + 2] == '.';
        if (two)
            while (out > 0 && p[--out] != '/') {
            }
        if (one || two) {
            if (end == n)
                p[out++] = '/';
        } else {
            memmove(p + out, p + at, length);
            out += length;
        }
        at = end;
    }
    return out;
}

/* Bytes that may not stand in an address leave as %XX; what is encoded stays. */
static void put_safe(struct dz_buf *b, dz_str s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c > ' ' && c < 0x7F && !strchr("\"<>\\^`{|}", c)) {
            dz_buf_putc(b, (char)c);
            continue;
        }
        dz_buf_putc(b, '%');
        dz_buf_putc(b, hex[c >> 4]);
        dz_buf_putc(b, hex[c & 15]);
    }
}

static void put_path(struct dz_buf *b, dz_str directory, dz_str rest)
{
    struct dz_buf path;
    dz_buf_init(&path, 8 * DZ_FETCH_URL_MAX);
    put_safe(&path, directory);
    put_safe(&path, rest);
    if (path.n == 0 || path.p[0] != '/') {
        dz_buf_put(b, DZ_S("/"));
        if (path.n == 0) {
            dz_buf_done(&path);
            return;
        }
    }
    path.n = path.p[0] == '/' ? remove_dots(path.p, path.n) : path.n;
    dz_buf_put(b, dz_buf_str(&path));
    dz_buf_done(&path);
}

static void put_authority(struct dz_buf *b, const struct dz_url *u)
{
    dz_buf_put(b, DZ_S("//"));
    if (u->userinfo.p) {
        put_safe(b, u->userinfo);
        dz_buf_putc(b, '@');
    }
    dz_buf_put(b, u->host);
    if (u->port.n > 0) {
        dz_buf_putc(b, ':');
        dz_buf_put(b, u->port);
    }
}

static void put_tail(struct dz_buf *b, const struct dz_url *u)
{
    if (u->query.p) {
        dz_buf_putc(b, '?');
        put_safe(b, u->query);
    }
    if (u->fragment.p) {
        dz_buf_putc(b, '#');
        put_safe(b, u->fragment);
    }
}

static enum dz_code finish(struct dz_buf *b, struct dz_arena *a, dz_str *ret_s, struct dz_err *err)
{
    enum dz_code code = DZ_OK;
    if (b->full || b->n > DZ_FETCH_URL_MAX)
        code = dz_fail(err, DZ_TOO_LARGE, "the address has more than %u bytes", DZ_FETCH_URL_MAX);
    else
        *ret_s = dz_arena_str(a, dz_buf_str(b));
    return code;
}

enum dz_code dz_url_join(dz_str base, dz_str reference, struct dz_arena *a, dz_str *ret_s,
                         struct dz_err *err)
{
    struct dz_url from, to;
    DZ_TRY(dz_url_parse(base, &from, err));
    DZ_TRY(split(dz_str_trim(reference), &to, err));
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 16 * DZ_FETCH_URL_MAX);
    dz_buf_put(&b, to.scheme.p ? to.scheme : from.scheme);
    dz_buf_putc(&b, ':');
    bool own = to.scheme.p && !to.host.p;
    if (own) { /* mailto: and the like: as it stands */
        put_safe(&b, to.path);
        put_tail(&b, &to);
        return finish(&b, a, ret_s, err);
    }
    put_authority(&b, to.host.p ? &to : &from);
    if (to.host.p || (to.path.n > 0 && to.path.p[0] == '/')) {
        put_path(&b, (dz_str){0}, to.path);
    } else if (to.path.n > 0) {
        size_t slash = dz_str_rchr(from.path, '/');
        put_path(&b, slash == DZ_NPOS ? DZ_S("/") : dz_str_sub(from.path, 0, slash + 1), to.path);
    } else {
        put_path(&b, (dz_str){0}, from.path);
        if (!to.query.p)
            to.query = from.query;
    }
    put_tail(&b, &to);
    return finish(&b, a, ret_s, err);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static void put_lower(struct dz_buf *b, dz_str s)
{
    for (size_t i = 0; i < s.n; i++)
        dz_buf_putc(b, s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i]);
}

/* 6.2.2: escapes of unreserved characters decoded, others in upper case. */
static void put_normal(struct dz_buf *b, dz_str s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        int high = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;
        if (low < 0) {
            put_safe(b, dz_str_sub(s, i, i + 1));
            continue;
        }
        char c = (char)(high << 4 | low);
        i += 2;
        if (is_unreserved(c)) {
            dz_buf_putc(b, c);
            continue;
        }
        dz_buf_putc(b, '%');
        dz_buf_putc(b, hex[high]);
        dz_buf_putc(b, hex[low]);
    }
}

enum dz_code dz_url_normal(dz_str s, struct dz_arena *a, dz_str *ret_s, struct dz_err *err)
{
    struct dz_url u;
    DZ_TRY(dz_url_parse(s, &u, err));
    DZ_AUTO(dz_buf_done) struct dz_buf b, path;
    dz_buf_init(&b, 16 * DZ_FETCH_URL_MAX);
    dz_buf_init(&path, 8 * DZ_FETCH_URL_MAX);
    put_lower(&b, u.scheme);
    dz_buf_put(&b, DZ_S("://"));
    put_lower(&b, u.host);
    bool secure = u.scheme.n == 5;
    if (u.port.n > 0 && !dz_str_eq(u.port, secure ? DZ_S("443") : DZ_S("80"))) {
        dz_buf_putc(&b, ':');
        dz_buf_put(&b, u.port);
    }
    put_normal(&path, u.path);
    if (path.n == 0)
        dz_buf_putc(&path, '/');
    path.n = remove_dots(path.p, path.n);
    dz_buf_put(&b, dz_buf_str(&path));
    if (u.query.p) {
        dz_buf_putc(&b, '?');
        put_normal(&b, u.query);
    }
    return finish(&b, a, ret_s, err);
}

bool dz_url_host_matches(dz_str host, dz_str pattern)
{
    host = host.n > 0 && host.p[host.n - 1] == '.' ? dz_str_sub(host, 0, host.n - 1) : host;
    if (!dz_str_starts(pattern, DZ_S("*.")))
        return dz_str_eq_nocase(host, pattern);
    dz_str suffix = dz_str_sub(pattern, 1, pattern.n);
    return host.n > suffix.n &&
           dz_str_eq_nocase(dz_str_sub(host, host.n - suffix.n, host.n), suffix);
}

/* ---- showing --------------------------------------------------------------------------------- */

#define SHOWN_VALUE_MAX                                                                            \
    20u /* bytes of a value that is no secret, though its name does not say so */

static bool sounds_secret(dz_str name)
{
    static const char *const words[] = {"auth",    "code", "cred", "hmac",   "jwt",    "key",
                                        "pass",    "pwd",  "sess", "secret", "sid",    "sig",
                                        "token",   "hash", "user", "mail",   "bearer", "salt",
                                        "account", "pin",  "otp"};
    for (size_t at = 0; at < name.n; at++)
        for (size_t i = 0; i < DZ_LEN(words); i++)
            if (dz_str_eq_nocase(dz_str_sub(name, at, at + strlen(words[i])), dz_str_of(words[i])))
                return true;
    return false;
}

struct shown {
    char *text;
    size_t n;
};

static void show(struct shown *to, dz_str s)
{
    for (size_t i = 0; i < s.n && to->n + 1 < DZ_URL_SHOWN_MAX; i++)
        to->text[to->n++] = s.p[i] > ' ' && s.p[i] < 0x7F ? s.p[i] : '?';
    to->text[to->n] = 0;
}

static void show_query(struct shown *to, dz_str query)
{
    while (query.n > 0) {
        size_t end = until(query, 0, "&;");
        dz_str item = dz_str_sub(query, 0, end);
        size_t equals = dz_str_chr(item, '=');
        dz_str name = dz_str_sub(item, 0, equals);
        dz_str value = equals != DZ_NPOS ? dz_str_sub(item, equals + 1, item.n) : name;
        bool hidden = value.n > SHOWN_VALUE_MAX || (equals != DZ_NPOS && sounds_secret(name));
        if (equals != DZ_NPOS) {
            show(to, name);
            show(to, DZ_S("="));
        }
        show(to, hidden ? DZ_S("...") : value);
        show(to, dz_str_sub(query, end, end + 1));
        query = dz_str_sub(query, end + 1, query.n);
    }
}

/* By hand, since what a message speaks of is often no right address. */
const char *dz_url_show(dz_str url, char text[DZ_URL_SHOWN_MAX])
{
    struct shown to = {.text = text};
    size_t from = dz_str_find(url, DZ_S("//"));
    from = from == DZ_NPOS ? 0 : from + 2;
    size_t end = until(url, from, "/?#"), query = until(url, from, "?#");
    dz_str authority = dz_str_sub(url, from, end);
    size_t at = dz_str_rchr(authority, '@');
    text[0] = 0;
    show(&to, dz_str_sub(url, 0, from));
    show(&to, at == DZ_NPOS ? authority : dz_str_sub(authority, at + 1, authority.n));
    show(&to, dz_str_sub(url, end, query));
    if (query < url.n && url.p[query] == '?') {
        show(&to, DZ_S("?"));
        show_query(&to, dz_str_sub(url, query + 1, until(url, query, "#")));
    }
    return text;
}
