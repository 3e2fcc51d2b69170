/*
 * shapes: the syntax of texts that settings hold: listeners, host names, URLs, CIDR, names of
 * tables …
 *
 * A shape says in words what it takes, gives an example, and checks one text. Its check may fold
 * the text in place (host names to lower case, methods to upper case), so that equal settings are
 * equal bytes; on failure the words of `why` go on from the quoted value: "has a port". Nothing is
 * resolved or opened. Usable from any thread. What has a grammar of its own is elsewhere: limits.c,
 * redis.c, template.c, and links in grammar.c.
 */
#include <arpa/inet.h>

#include "conf/conf_int.h"

#define HOST_BYTES_MAX 253
#define LABEL_BYTES_MAX 63
#define SOCKET_PATH_BYTES_MAX 107 /* sun_path without its NUL */
#define SOCKET_NAME_BYTES_MAX 64  /* short, as messages quote it */
#define NAME_BYTES_MAX 63
#define PATH_BYTES_MAX 4095
#define HEADER_BYTES_MAX 4096
#define CRYPT_BYTES_MAX 384 /* crypt(5): CRYPT_OUTPUT_SIZE */
#define WHY(...) dz_fail(why, DZ_BAD_INPUT, __VA_ARGS__)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool only(dz_str s, const char *besides)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && !strchr(besides, s.p[i]))
            return false;
    return true;
}

static bool has_control(dz_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F)
            return true;
    return false;
}

static bool has_blank(dz_str s)
{
    return has_control(s) || dz_str_chr(s, ' ') != DZ_NPOS;
}

static void fold_lower(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] + ('a' - 'A'));
}

static enum dz_code check_one_line(dz_str s, size_t most, struct dz_err *why)
{
    if (has_control(s))
        return WHY("has a line break, tab or other control character in it");
    if (s.n > most)
        return WHY("is longer than %zu bytes", most);
    if (dz_str_trim(s).n != s.n)
        return WHY("has a blank at an end");
    return DZ_OK;
}

/* ---- hosts, ports, addresses ----------------------------------------------------------------- */

static bool ip4(dz_str s, struct in_addr *ret_a)
{
    char text[INET_ADDRSTRLEN];
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET, text, ret_a) == 1;
}

static bool ip6(dz_str s, struct in6_addr *ret_a)
{
    char text[INET6_ADDRSTRLEN];
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET6, text, ret_a) == 1;
}

static enum dz_code check_label(dz_str label, struct dz_err *why)
{
    if (label.n == 0)
        return WHY("has a dot too many in the host name");
    if (label.n > LABEL_BYTES_MAX)
        return WHY("has a part of more than %d characters in the host name", LABEL_BYTES_MAX);
    if (label.p[0] == '-' || label.p[label.n - 1] == '-')
        return WHY("has a part that begins or ends with \"-\" in the host name");
    for (size_t i = 0; i < label.n; i++) {
        char c = label.p[i];
        if ((unsigned char)c >= 0x80)
            return WHY("has letters beyond ASCII in the host name (write its xn-- form)");
        if (!is_alnum(c) && c != '-' && c != '_')
            return WHY("has a \"%c\", which no host name has", c >= 0x20 && c < 0x7F ? c : '?');
    }
    return DZ_OK;
}

/* A host name or an IPv4 address. */
static enum dz_code check_name(dz_str s, struct dz_err *why)
{
    struct in_addr a4;
    if (s.n == 0)
        return WHY("has no host name");
    if (s.n > HOST_BYTES_MAX)
        return WHY("is longer than the %d characters of a host name", HOST_BYTES_MAX);
    dz_str rest = s, label;
    for (;;) {
        size_t dot = dz_str_chr(rest, '.');
        label = dz_str_sub(rest, 0, dot);
        DZ_TRY(check_label(label, why));
        if (dot == DZ_NPOS)
            break;
        rest = dz_str_sub(rest, dot + 1, rest.n);
    }
    bool numeric = true;
    for (size_t i = 0; i < label.n; i++)
        numeric = numeric && is_digit(label.p[i]);
    if (numeric && !ip4(s, &a4))
        return WHY("is neither a host name nor an IPv4 address");
    return DZ_OK;
}

/* A host name, an IPv4 address or an IPv6 address in brackets. */
static enum dz_code check_host_part(dz_str s, struct dz_err *why)
{
    struct in6_addr a6;
    if (s.n == 0 || s.p[0] != '[')
        return check_name(s, why);
    if (s.p[s.n - 1] != ']' || !ip6(dz_str_sub(s, 1, s.n - 1), &a6))
        return WHY("has no IPv6 address between its brackets");
    return DZ_OK;
}

/* "host:port" → both; the port is empty when there is none. */
static void split_port(dz_str s, dz_str *ret_host, dz_str *ret_port)
{
    size_t from = s.n && s.p[0] == '[' ? dz_str_chr(s, ']') : 0;
    size_t colon = from == DZ_NPOS ? DZ_NPOS : dz_str_chr(dz_str_sub(s, from, s.n), ':');
    *ret_host = dz_str_sub(s, 0, colon == DZ_NPOS ? s.n : from + colon);
    *ret_port = colon != DZ_NPOS ? dz_str_sub(s, from + colon + 1, s.n) : (dz_str){0};
}

static enum dz_code check_port(dz_str port, uint64_t least, struct dz_err *why)
{
    uint64_t n;
    if (dz_str_u64(port, 65535, &n, NULL) != DZ_OK || n < least)
        return WHY("has no port between %u and 65535", (unsigned)least);
    return DZ_OK;
}

/* systemd.socket(5): FileDescriptorName=; empty is any. */
static enum dz_code check_socket_name(dz_str name, struct dz_err *why)
{
    if (name.n > SOCKET_NAME_BYTES_MAX)
        return WHY("has a name of more than %d characters behind \"systemd:\"",
                   SOCKET_NAME_BYTES_MAX);
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= 0x20 || name.p[i] > 0x7E || name.p[i] == ':')
            return WHY("has no name of a socket behind \"systemd:\"");
    return DZ_OK;
}

static enum dz_code check_listener(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text), host, port;
    if (dz_str_starts(s, DZ_S("https://"))) {
        text += sizeof("https://") - 1;
        s = dz_str_of(text);
        if (s.n > 0 && s.p[s.n - 1] == '/' && !dz_str_starts(s, DZ_S("unix:")))
            return WHY("has a slash at its end");
    }
    if (dz_str_starts(s, DZ_S("systemd:")))
        return check_socket_name(dz_str_sub(s, 8, s.n), why);
    if (dz_str_starts(s, DZ_S("unix:"))) {
        if (s.n < 7 || s.p[5] != '/' || s.p[s.n - 1] == '/')
            return WHY("has no full path behind \"unix:\"");
        if (s.n - 5 > SOCKET_PATH_BYTES_MAX)
            return WHY("has a path longer than the %d bytes of a socket address",
                       SOCKET_PATH_BYTES_MAX);
        return check_one_line(s, PATH_BYTES_MAX, why);
    }
    if (dz_str_find(s, DZ_S("://")) != DZ_NPOS)
        return WHY("is a URL");
    struct in6_addr a6;
    if (ip6(s, &a6))
        return WHY("is an IPv6 address without brackets and port");
    split_port(s, &host, &port);
    if (port.p == NULL && check_port(host, 0, NULL) == DZ_OK)
        return WHY("is a port alone");
    if (host.n == 0 || dz_str_eq(host, DZ_S("*")))
        return WHY("names no address (for all of them write 0.0.0.0 or [::])");
    DZ_TRY(check_host_part(host, why));
    if (port.p == NULL)
        return WHY("has no port");
    DZ_TRY(check_port(port, 0, why));
    fold_lower(text, s.n);
    return DZ_OK;
}

bool conf_is_https(const char *listener)
{
    return dz_str_starts(dz_str_of(listener), DZ_S("https://"));
}

bool conf_is_loopback(const char *listener)
{
    dz_str s = dz_str_of(listener), host, port;
    if (conf_is_https(listener))
        s = dz_str_sub(s, sizeof("https://") - 1, s.n);
    /* Where a passed socket is shows only when it is there: dz_conf_check_address(). */
    if (dz_str_starts(s, DZ_S("unix:")) || dz_str_starts(s, DZ_S("systemd:")))
        return true;
    split_port(s, &host, &port);
    struct in_addr a4;
    struct in6_addr a6;
    if (ip4(host, &a4))
        return ntohl(a4.s_addr) >> 24 == 127;
    if (host.n > 2 && ip6(dz_str_sub(host, 1, host.n - 1), &a6))
        return IN6_IS_ADDR_LOOPBACK(&a6) || (IN6_IS_ADDR_V4MAPPED(&a6) && a6.s6_addr[12] == 127);
    return dz_str_eq_nocase(host, DZ_S("localhost"));
}

static enum dz_code check_cidr(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    size_t slash = dz_str_chr(s, '/');
    dz_str address = dz_str_sub(s, 0, slash);
    struct in_addr a4;
    struct in6_addr a6;
    bool is4 = ip4(address, &a4);
    if (!is4 && !ip6(address, &a6))
        return WHY("is not an IP address");
    uint64_t bits;
    unsigned most = is4 ? 32 : 128;
    if (slash != DZ_NPOS && dz_str_u64(dz_str_sub(s, slash + 1, s.n), most, &bits, NULL) != DZ_OK)
        return WHY("has no prefix length between 0 and %u behind the slash", most);
    fold_lower(text, s.n);
    return DZ_OK;
}

static enum dz_code check_allowed_host(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text), host, port;
    if (dz_str_eq(s, DZ_S("*")))
        return DZ_OK;
    if (dz_str_starts(s, DZ_S("*.")))
        s = dz_str_sub(s, 2, s.n);
    split_port(s, &host, &port);
    if (port.p)
        return WHY("has a port, which is not compared");
    fold_lower(text, strlen(text));
    return check_host_part(host, why);
}

static enum dz_code check_host(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text), host, port;
    if (dz_str_find(s, DZ_S("://")) != DZ_NPOS)
        return WHY("is a URL");
    split_port(s, &host, &port);
    if (port.p)
        return WHY("has a port");
    fold_lower(text, s.n);
    return check_name(host, why);
}

static enum dz_code check_source_host(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text), host, port;
    if (dz_str_find(s, DZ_S("://")) != DZ_NPOS)
        return WHY("is a URL");
    if (dz_str_starts(s, DZ_S("*.")))
        s = dz_str_sub(s, 2, s.n);
    split_port(s, &host, &port);
    DZ_TRY(check_host_part(host, why));
    if (port.p)
        DZ_TRY(check_port(port, 1, why));
    fold_lower(text, strlen(text));
    return DZ_OK;
}

/* ---- URLs ------------------------------------------------------------------------------------ */

struct url {
    dz_str scheme, user, host, port, rest; /* rest: from the first of / ? # */
};

static bool split_url(dz_str s, struct url *ret_u)
{
    size_t colon = dz_str_find(s, DZ_S("://"));
    if (colon == DZ_NPOS || colon == 0 || has_blank(s))
        return false;
    struct url u = {.scheme = dz_str_sub(s, 0, colon)};
    dz_str after = dz_str_sub(s, colon + 3, s.n);
    size_t end = 0;
    while (end < after.n && !strchr("/?#", after.p[end]))
        end++;
    dz_str authority = dz_str_sub(after, 0, end);
    u.rest = dz_str_sub(after, end, after.n);
    size_t at = dz_str_rchr(authority, '@');
    if (at != DZ_NPOS) {
        u.user = dz_str_sub(authority, 0, at);
        authority = dz_str_sub(authority, at + 1, authority.n);
    }
    split_port(authority, &u.host, &u.port);
    *ret_u = u;
    return only(u.scheme, "+-.");
}

static enum dz_code check_web(const char *text, struct url *u, struct dz_err *why)
{
    if (!split_url(dz_str_of(text), u))
        return WHY("is not a URL with http:// or https:// in front");
    if (!dz_str_eq_nocase(u->scheme, DZ_S("http")) && !dz_str_eq_nocase(u->scheme, DZ_S("https")))
        return WHY("has the scheme \"%.*s\"", DZ_STR_FMT(dz_str_clip(u->scheme, 16)));
    DZ_TRY(check_host_part(u->host, why));
    if (u->port.p)
        DZ_TRY(check_port(u->port, 1, why));
    return DZ_OK;
}

static enum dz_code check_url(char *text, struct dz_err *why)
{
    struct url u;
    return check_web(text, &u, why);
}

/* A base that paths are put behind: a slash at its end is dropped. */
static enum dz_code check_base_url(char *text, struct dz_err *why)
{
    struct url u;
    DZ_TRY(check_web(text, &u, why));
    if (u.user.p)
        return WHY("has a user name in it");
    if (dz_str_chr(u.rest, '?') != DZ_NPOS || dz_str_chr(u.rest, '#') != DZ_NPOS)
        return WHY("has a \"?\" or \"#\", behind which no path can be put");
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == '/')
        text[--n] = '\0';
    return DZ_OK;
}

static enum dz_code check_origin(char *text, struct dz_err *why)
{
    struct url u;
    if (strcmp(text, "*") == 0)
        return DZ_OK;
    DZ_TRY(check_web(text, &u, why));
    if (u.user.p || u.rest.n)
        return WHY("has more than scheme, host and port");
    fold_lower(text, strlen(text));
    return DZ_OK;
}

static enum dz_code check_uri(char *text, struct dz_err *why)
{
    struct url u;
    if (!split_url(dz_str_of(text), &u))
        return WHY("is not a URI");
    return DZ_OK;
}

static enum dz_code check_proxy(char *text, struct dz_err *why)
{
    static const char *const schemes[] = {"http",    "https",  "socks4",
                                          "socks4a", "socks5", "socks5h"};
    struct url u;
    if (!split_url(dz_str_of(text), &u))
        return WHY("is not a URL");
    bool known = false;
    for (size_t i = 0; i < DZ_LEN(schemes); i++)
        known = known || dz_str_eq(u.scheme, dz_str_of(schemes[i]));
    if (!known)
        return WHY("has another scheme than http, https, socks4, socks4a, socks5 or socks5h");
    DZ_TRY(check_host_part(u.host, why));
    if (u.port.p)
        DZ_TRY(check_port(u.port, 1, why));
    return DZ_OK;
}

/* ---- names and other texts ------------------------------------------------------------------- */

static enum dz_code check_path(char *text, struct dz_err *why)
{
    return check_one_line(dz_str_of(text), PATH_BYTES_MAX, why);
}

/* YAML 1.1 calls these words booleans, so all of them are taken; the row keeps a text of 8 bytes at
 * least. */
static enum dz_code check_access_log(char *text, struct dz_err *why)
{
    bool on;
    if (conf_parse_bool(dz_str_of(text), &on)) {
        memcpy(text, on ? "on" : "off", on ? 3 : 4);
        return DZ_OK;
    }
    return check_path(text, why);
}

static enum dz_code check_table(char *text, struct dz_err *why)
{
    dz_str rest = dz_str_of(text);
    if (rest.n > 2 * NAME_BYTES_MAX + 1)
        return WHY("is too long");
    size_t dot = dz_str_chr(rest, '.');
    if (dot != DZ_NPOS) { /* schema.table */
        if (dot == 0 || dot > NAME_BYTES_MAX || is_digit(rest.p[0]) ||
            !only(dz_str_sub(rest, 0, dot), "_"))
            return WHY("has no such name in front of the dot");
        rest = dz_str_sub(rest, dot + 1, rest.n);
    }
    if (rest.n == 0 || rest.n > NAME_BYTES_MAX || is_digit(rest.p[0]) || !only(rest, "_"))
        return WHY("is not the name of a table");
    return DZ_OK;
}

static enum dz_code check_database(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    if (s.n > NAME_BYTES_MAX || !only(s, "_-"))
        return WHY("is not the name of a database");
    return DZ_OK;
}

static enum dz_code check_collection(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    if (s.n > 120 || !only(s, "_-.") || s.p[0] == '.' || dz_str_starts(s, DZ_S("system.")))
        return WHY("is not the name of a collection");
    return DZ_OK;
}

static enum dz_code check_token(char *text, struct dz_err *why)
{
    return check_one_line(dz_str_of(text), HEADER_BYTES_MAX, why);
}

static enum dz_code check_crypt(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    size_t last = dz_str_rchr(s, '$');
    if (s.n < 13 || s.n > CRYPT_BYTES_MAX || s.p[0] != '$' || last == 0 || has_blank(s) ||
        dz_str_chr(s, ':') != DZ_NPOS)
        return WHY("is not the hash of a password");
    return DZ_OK;
}

bool dz_conf_is_shelf_name(dz_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || is_digit(c) || (i > 0 && (c == '-' || c == '_'))))
            return false;
    }
    return s.n > 0 && s.n <= NAME_BYTES_MAX;
}

static enum dz_code check_shelf_name(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    if (s.n > NAME_BYTES_MAX)
        return WHY("is longer than %d characters", NAME_BYTES_MAX);
    return dz_conf_is_shelf_name(s) ? DZ_OK : WHY("is not the name of a shelf");
}

static enum dz_code check_series(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    DZ_TRY(check_one_line(s, 512, why));
    size_t slash = dz_str_chr(s, '/');
    uint64_t id = 0;
    if (slash == DZ_NPOS ? dz_str_u64(s, INT64_MAX, &id, NULL) != DZ_OK
                         : slash == 0 || slash + 1 == s.n)
        return WHY("is neither source/id nor a number");
    return DZ_OK;
}

static enum dz_code check_link_name(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    if (s.n == 0 || s.n > NAME_BYTES_MAX || !only(s, "_-."))
        return WHY("is not the name of a link");
    return DZ_OK;
}

static enum dz_code check_endpoint(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    if (s.p[0] != '/' || s.p[s.n - 1] != '/')
        return WHY("does not begin and end with a slash");
    if (s.n == 1)
        return WHY("would hide every other page");
    if (s.n > 256 || !only(s, "/_-.~") || dz_str_find(s, DZ_S("//")) != DZ_NPOS ||
        dz_str_find(s, DZ_S("/./")) != DZ_NPOS || dz_str_find(s, DZ_S("/../")) != DZ_NPOS)
        return WHY("is not a plain path");
    return DZ_OK;
}

static enum dz_code check_method(char *text, struct dz_err *why)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < DZ_LEN(methods); i++) {
        if (dz_str_eq_nocase(dz_str_of(text), dz_str_of(methods[i]))) {
            memcpy(text, methods[i], strlen(methods[i]));
            return DZ_OK;
        }
    }
    return WHY("is not one of the methods");
}

static enum dz_code check_ext(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    if (s.p[0] == '.')
        return WHY("has a dot, which is put there anyway");
    if (s.n > 10 || !only(s, ""))
        return WHY("is not a file extension");
    fold_lower(text, s.n);
    return DZ_OK;
}

static enum dz_code check_header_value(char *text, struct dz_err *why)
{
    return check_one_line(dz_str_of(text), HEADER_BYTES_MAX, why);
}

static enum dz_code check_header_name(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    if (s.n == 0 || s.n > 128 || !only(s, "!#$%&'*+-.^_`|~")) /* RFC 9110 5.6.2 token */
        return WHY("is not the name of a header");
    return DZ_OK;
}

static enum dz_code check_property(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    if (s.n == 0 || s.n > NAME_BYTES_MAX || !only(s, ":_-."))
        return WHY("is not the name of a property");
    return DZ_OK;
}

static enum dz_code check_any(char *text, struct dz_err *why)
{
    if (strlen(text) > HEADER_BYTES_MAX)
        return WHY("is longer than %d bytes", HEADER_BYTES_MAX);
    return DZ_OK;
}

static enum dz_code check_base_html(char *text, struct dz_err *why)
{
    size_t n = 0;
    for (const char *p = strstr(text, DZ_OPENGRAPH_SLOT); p; n++)
        p = strstr(p + 1, DZ_OPENGRAPH_SLOT);
    if (n != 1)
        return WHY("has " DZ_OPENGRAPH_SLOT " %zu times", n);
    if (strlen(text) > CONF_TEXT_BYTES_MAX)
        return WHY("is longer than 64KiB");
    return DZ_OK;
}

static enum dz_code check_language(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    if (s.n < 2 || s.n > 35 || !only(s, "-"))
        return WHY("is not a language code");
    return DZ_OK;
}

static enum dz_code check_manga_id(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    if (s.n > NAME_BYTES_MAX || !only(s, "-"))
        return WHY("is not the id of a manga");
    return DZ_OK;
}

/* clang-format off */
const struct conf_shape
    conf_listener = {check_listener, "host:port, [IPv6]:port, unix:/path or systemd:NAME", "127.0.0.1:8080"},
    conf_path = {check_path, "a path", "/srv/dozo"},
    conf_cidr = {check_cidr, "an IP address or a network", "10.0.0.0/8"},
    conf_allowed_host = {check_allowed_host, "a host name without port, *.suffix or *", "*.example.org"},
    conf_origin = {check_origin, "* or http(s)://host[:port]", "https://app.example.org"},
    conf_access_log = {check_access_log, "off, on or a path", "/var/log/dozo/access.log"},
    conf_uri = {check_uri, "a URI", "postgres://user@host/db"},
    conf_table = {check_table, "a table's name of letters, digits and _, with or without a schema in front", "public.my_images"},
    conf_database = {check_database, "at most 63 letters, digits, _ and -", "imoog"},
    conf_collection = {check_collection, "letters, digits, _, - and dots", "images"},
    conf_token = {check_token, "a text on one line without blanks at its ends", NULL},
    conf_crypt = {check_crypt, "what `dozo password` prints", "$y$j9T$…"},
    conf_shelf_name = {check_shelf_name, DZ_CONF_SHELF_NAME_WORDS, "komi"},
    conf_series = {check_series, "source/id or the id of a series", "viz.com/komi-cant-communicate"},
    conf_host = {check_host, "a host name without scheme and port", "api.example.org"},
    conf_source_host = {check_source_host, "a host name, with *. in front for all below it", "*.img.example.org"},
    conf_base_url = {check_base_url, "an http:// or https:// URL", "https://cdn.example.org"},
    conf_url = {check_url, "an http:// or https:// URL", "https://hc-ping.com/uuid"},
    conf_proxy = {check_proxy, "an http, https or socks URL", "socks5h://127.0.0.1:1080"},
    conf_link_name = {check_link_name, "letters, digits, _, - and dots, at most 63", "viz"},
    conf_endpoint = {check_endpoint, "a path that begins and ends with a slash, of letters, digits and . _ - ~", "/image/"},
    conf_method = {check_method, "GET, HEAD, POST, PUT, PATCH or DELETE", "GET"},
    conf_ext = {check_ext, "1 to 10 letters and digits", "png"},
    conf_header_value = {check_header_value, "a text on one line", "public, max-age=86400"},
    conf_header_name = {check_header_name, "the name of a header", "Referer"},
    conf_property = {check_property, "a name of letters, digits and : _ - .", "site_name"},
    conf_any = {check_any, "a text of at most 4096 bytes", NULL},
    conf_base_html = {check_base_html, "HTML with " DZ_OPENGRAPH_SLOT " exactly once", NULL},
    conf_language = {check_language, "a language code", "pt-br"},
    conf_manga_id = {check_manga_id, "an id of letters, digits and -", "a96676e5-8ae2-425e-b549-7f15dd34a6d8"};
/* clang-format on */
