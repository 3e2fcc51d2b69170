/*
 * redis: where a Redis server is: redis://[user:password@]host[:port][/db], or
 * redis+unix://[user:password@]/path[?db=N] for a socket on this machine.
 *
 * Text in, parts out; nothing is resolved or opened. User and password are percent-decoded, so that
 * they may hold any byte but NUL. A user name alone is none: Redis takes a password without a user
 * (":secret@"), but no user without a password. The words of `why` never hold a part of the text,
 * which may be a secret. Any thread.
 */
#include "conf/conf_int.h"

#define DB_MAX 65535
#define WHY(...) dz_fail(why, DZ_BAD_INPUT, __VA_ARGS__)

static enum dz_code decode(dz_str s, char *dst, size_t room, const char *what, struct dz_err *why)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '%') {
            if (dz_unhex(dz_str_sub(s, i + 1, i + 3), &c, 1, NULL) != DZ_OK || c == 0)
                return WHY("has a \"%%\" without two digits behind it in the %s", what);
            i += 2;
        }
        if (n + 1 >= room)
            return WHY("has a %s of more than %zu bytes", what, room - 1);
        dst[n++] = (char)c;
    }
    dst[n] = '\0';
    return DZ_OK;
}

static enum dz_code read_user(dz_str s, struct dz_redis_address *a, struct dz_err *why)
{
    size_t colon = dz_str_chr(s, ':');
    DZ_TRY(decode(dz_str_sub(s, 0, colon), a->user, sizeof(a->user), "user name", why));
    DZ_TRY(decode(dz_str_after(s, colon), a->password, sizeof(a->password), "password", why));
    return a->user[0] && !a->password[0] ? WHY("has a user name without a password") : DZ_OK;
}

static enum dz_code read_db(dz_str digits, struct dz_redis_address *a, struct dz_err *why)
{
    uint64_t n;
    if (dz_str_u64(digits, DB_MAX, &n, NULL) != DZ_OK)
        return WHY("has no number of a database from 0 to %d", DB_MAX);
    a->db = (uint32_t)n;
    return DZ_OK;
}

static enum dz_code read_host(dz_str s, struct dz_redis_address *a, struct dz_err *why)
{
    char text[sizeof(a->host) + 8];
    if (s.n >= sizeof(text))
        return WHY("has a host name of more than %zu characters", sizeof(a->host) - 1);
    if (s.n > 0)
        memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (text[0] == '*')
        return WHY("names no host");
    DZ_TRY(conf_source_host.check(text, why)); /* with or without a port, in small letters */
    dz_str host = dz_str_without_port((dz_str){text, s.n});
    uint64_t port = 6379;
    if (host.n < s.n)
        DZ_TRY(dz_str_u64(dz_str_sub((dz_str){text, s.n}, host.n + 1, s.n), 65535, &port, why));
    if (host.p[0] == '[')
        host = dz_str_sub(host, 1, host.n - 1);
    if (host.n >= sizeof(a->host))
        return WHY("has a host name of more than %zu characters", sizeof(a->host) - 1);
    memcpy(a->host, host.p, host.n);
    a->host[host.n] = '\0';
    a->port = (uint16_t)port;
    return DZ_OK;
}

static enum dz_code read_socket(dz_str s, struct dz_redis_address *a, struct dz_err *why)
{
    size_t mark = dz_str_chr(s, '?');
    dz_str path = dz_str_sub(s, 0, mark), query = dz_str_after(s, mark);
    if (path.n < 2 || path.p[0] != '/')
        return WHY("has no full path of a socket");
    DZ_TRY(decode(path, a->path, sizeof(a->path), "path", why));
    if (mark == DZ_NPOS)
        return DZ_OK;
    if (!dz_str_starts(query, DZ_S("db=")))
        return WHY("has something other than \"db=\" behind the \"?\"");
    return read_db(dz_str_sub(query, 3, query.n), a, why);
}

enum dz_code dz_redis_parse(dz_str uri, struct dz_redis_address *ret_address, struct dz_err *why)
{
    struct dz_redis_address a = {0};
    bool is_socket = dz_str_starts(uri, DZ_S("redis+unix://"));
    for (size_t i = 0; i < uri.n; i++)
        if ((unsigned char)uri.p[i] <= 0x20 || uri.p[i] == 0x7F)
            return WHY("has a blank or control character in it");
    if (dz_str_starts(uri, DZ_S("rediss://")))
        return WHY("begins with rediss://, but TLS to Redis is not spoken here");
    if (!is_socket && !dz_str_starts(uri, DZ_S("redis://")))
        return WHY("does not begin with redis:// or redis+unix://");
    dz_str s = dz_str_sub(uri, is_socket ? 13 : 8, uri.n);
    size_t slash = dz_str_chr(s, '/');
    dz_str authority = dz_str_sub(s, 0, slash);
    size_t at = dz_str_rchr(authority, '@');
    if (at != DZ_NPOS) {
        DZ_TRY(read_user(dz_str_sub(authority, 0, at), &a, why));
        authority = dz_str_after(authority, at);
    }
    if (is_socket) {
        if (authority.n > 0)
            return WHY("has a host name in front of the path of a socket");
        DZ_TRY(read_socket(dz_str_sub(s, slash, s.n), &a, why));
    } else {
        DZ_TRY(read_host(authority, &a, why));
        if (dz_str_after(s, slash).n > 0)
            DZ_TRY(read_db(dz_str_after(s, slash), &a, why));
    }
    *ret_address = a;
    return DZ_OK;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static enum dz_code check_storage(char *text, struct dz_err *why)
{
    struct dz_redis_address a;
    if (strcmp(text, "memory://") == 0)
        return DZ_OK;
    return dz_redis_parse(dz_str_of(text), &a, why);
}

const struct conf_shape conf_storage = {
    check_storage, "memory://, redis://[user:password@]host[:port][/db] or redis+unix:///path",
    "redis://localhost:6379/15"};
