/*
 * address: where the server is, and what texts about it may say.
 *
 * In: a connection string. Out: its place ("dozo at 127.0.0.1:5432"), and reasons of failures in
 * one line. libpq repeats parts of a string that it cannot read, and a password with an unescaped
 * @ or / ends up in what it takes for the host or the port; so its words about connection strings
 * are never passed on, and such strings are refused before it sees them. Any thread.
 */
#include "pg/pg_int.h"

#include <ctype.h>

enum { CONNECT_MS = 5000, STATEMENT_MS = 30000 };

static const dz_str schemes[] = {{"postgresql://", 13}, {"postgres://", 11}};

/* What libpq would take for something else, in a string of the form scheme://…; NULL: nothing. */
static const char *trap_in(dz_str uri)
{
    for (size_t i = 0; i < DZ_LEN(schemes); i++) {
        if (!dz_str_starts(uri, schemes[i]))
            continue;
        dz_str rest = dz_str_sub(uri, schemes[i].n, uri.n);
        size_t end = 0;
        while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '@')
            end++;
        bool has_user = end < rest.n && rest.p[end] == '@';
        dz_str after = has_user ? dz_str_after(rest, end) : rest;
        dz_str plain = dz_str_sub(after, 0, dz_str_chr(after, '?'));
        if (dz_str_chr(plain, '@') != DZ_NPOS)
            return "an @, / or : in the user's name or password must be written %40, %2F, %3A";
        return NULL;
    }
    return NULL;
}

static bool is_port(const char *s)
{
    for (; *s; s++)
        if (!isdigit((unsigned char)*s) && *s != ',')
            return false;
    return true;
}

static const char *value_of(const PQconninfoOption *v, const char *keyword)
{
    for (; v && v->keyword; v++)
        if (strcmp(v->keyword, keyword) == 0)
            return v->val && *v->val ? v->val : NULL;
    return NULL;
}

static const char *either(const PQconninfoOption *v, const PQconninfoOption *fallback,
                          const char *keyword)
{
    const char *value = value_of(v, keyword);
    return value ? value : value_of(fallback, keyword);
}

static void describe(struct pg_address *a, const PQconninfoOption *v,
                     const PQconninfoOption *fallback)
{
    const char *host = either(v, fallback, "host"), *port = either(v, fallback, "port");
    const char *user = either(v, fallback, "user"), *db = either(v, fallback, "dbname");
    struct dz_buf place;
    dz_buf_init(&place, 512);
    if (!host)
        host = either(v, fallback, "hostaddr");
    if (!db)
        db = user ? user : "?";
    dz_buf_putf(&place, "%.80s at %.120s", db, host ? host : "the local socket");
    if (port)
        dz_buf_putf(&place, ":%.20s", port);
    a->place = dz_strdup(dz_buf_cstr(&place));
    dz_buf_done(&place);
    const char *password = either(v, fallback, "password");
    a->password = password ? dz_strdup(password) : NULL;
}

enum dz_code pg_address_init(struct pg_address *a, const struct dz_pg_options *o,
                             struct dz_err *err)
{
    static const char *const form =
        "the address of PostgreSQL cannot be read: want postgres://user:password@host:port/name";
    *a = (struct pg_address){0};
    if (o->schema && (!dz_pg_is_name(dz_str_of(o->schema)) || strchr(o->schema, '.')))
        return dz_fail(err, DZ_BAD_INPUT, "%.80s is no name of a schema", o->schema);
    const char *trap = trap_in(dz_str_of(o->uri));
    if (trap)
        return dz_fail(err, DZ_BAD_INPUT, "%s (%s)", form, trap);
    PQconninfoOption *v = PQconninfoParse(o->uri ? o->uri : "", NULL);
    if (!v)
        return dz_fail(err, DZ_BAD_INPUT, "%s", form);
    const char *port = value_of(v, "port");
    if (port && !is_port(port)) {
        PQconninfoFree(v);
        return dz_fail(err, DZ_BAD_INPUT, "%s (the port is not a number)", form);
    }
    PQconninfoOption *fallback = PQconndefaults();
    describe(a, v, fallback);
    PQconninfoFree(v);
    PQconninfoFree(fallback);
    a->uri = dz_strdup(o->uri ? o->uri : "");
    a->name = dz_strdup(o->name ? o->name : "dozo");
    a->schema = o->schema ? dz_strdup(o->schema) : NULL;
    a->connect_ms = o->connect_ms > 0 ? o->connect_ms : CONNECT_MS;
    a->statement_ms = o->statement_ms > 0 ? o->statement_ms : STATEMENT_MS;
    return DZ_OK;
}

/* Over the password as well, so that no copy of it stays in freed memory. */
static void wipe(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
}

void pg_address_done(struct pg_address *a)
{
    wipe(a->uri);
    wipe(a->password);
    free(a->uri);
    free(a->name);
    free(a->schema);
    free(a->place);
    free(a->password);
    *a = (struct pg_address){0};
}

bool dz_pg_is_name(dz_str name)
{
    size_t dots = 0, part = 0;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool digit = c >= '0' && c <= '9';
        if (c == '.' && part > 0 && dots == 0) {
            dots++;
            part = 0;
        } else if (c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                   (digit && part > 0)) {
            if (++part > 63)
                return false;
        } else {
            return false;
        }
    }
    return part > 0;
}

void dz_pg_put_name(struct dz_buf *b, dz_str name)
{
    bool dotted = false;
    dz_buf_putc(b, '"');
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '.' && !dotted) {
            dotted = true;
            dz_buf_put(b, DZ_S("\".\""));
        } else {
            dz_buf_put(b, name.p[i] == '"' ? DZ_S("\"\"") : (dz_str){name.p + i, 1});
        }
    }
    dz_buf_putc(b, '"');
}

/* s without the password, and without what is no printable character. */
static void put_clean(struct dz_buf *out, dz_str s, dz_str password)
{
    while (s.n > 0) {
        if (password.n && dz_str_starts(s, password)) {
            dz_buf_put(out, DZ_S("***"));
            s = dz_str_sub(s, password.n, s.n);
            continue;
        }
        unsigned char c = (unsigned char)*s.p;
        dz_buf_putc(out, c < 0x20 || c == 0x7f ? ' ' : *s.p);
        s = dz_str_sub(s, 1, s.n);
    }
}

void pg_reason(const struct pg_address *a, PGconn *pg, struct dz_buf *out)
{
    dz_str text = dz_str_trim(dz_str_of(PQerrorMessage(pg))), line = text;
    /* One line a host that was tried, with advice below it: the first line of the last host. */
    for (;;) {
        size_t at = dz_str_find(text, DZ_S(" failed: "));
        if (at == DZ_NPOS)
            break;
        text = line = dz_str_sub(text, at + 9, text.n);
    }
    line = dz_str_trim(dz_str_sub(line, 0, dz_str_chr(line, '\n')));
    static const dz_str prefixes[] = {{"FATAL:", 6}, {"ERROR:", 6}};
    for (size_t i = 0; i < DZ_LEN(prefixes); i++)
        if (dz_str_starts(line, prefixes[i]))
            line = dz_str_trim(dz_str_sub(line, prefixes[i].n, line.n));
    const char *used = PQpass(pg);
    dz_str password = dz_str_of(used && *used ? used : a->password);
    put_clean(out, line.n ? line : DZ_S("no reason was given"), password);
}
