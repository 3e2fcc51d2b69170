/*
 * proxy: whom to believe about the client's address and scheme.
 *
 * X-Forwarded-For and Forwarded (RFC 7239) are lists that grow to the right: each proxy adds the
 * address it was called from. Only what a trusted proxy added can be believed, so they are read
 * from the right until an address that is not trusted. Reading from the right also means that
 * nothing a client wrote, such as a quote that it never closes, can reach the element that the
 * nearest proxy wrote. Addresses are 16 bytes, IPv4 mapped into IPv6. The list of networks is made
 * once and read by all threads; the rest belongs to the request. A peer on a UNIX socket has no
 * address; accept.c trusts it when anybody is trusted, because only a local proxy gets there.
 */
#include "http/http_int.h"

#include <arpa/inet.h>

static bool parse_ip(dz_str s, unsigned char ret_address[16])
{
    char text[INET6_ADDRSTRLEN];
    if (s.n == 0 || s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    if (inet_pton(AF_INET6, text, ret_address) == 1)
        return true;
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    memcpy(ret_address, mapped, sizeof(mapped));
    return inet_pton(AF_INET, text, ret_address + 12) == 1;
}

/* ":" and 1 to 5 digits, or nothing. */
static bool is_port(dz_str s)
{
    uint64_t number;
    return s.n == 0 || (s.p[0] == ':' && s.n <= 6 &&
                        dz_str_u64(dz_str_sub(s, 1, s.n), 99999, &number, NULL) == DZ_OK);
}

bool dz_http_address(dz_str s, unsigned char ret_address[16], dz_str *ret_text)
{
    size_t end = dz_str_chr(s, ':');
    dz_str port = {0};
    bool v6 = s.n > 0 && s.p[0] == '[';
    if (v6) {
        end = dz_str_chr(s, ']');
        if (end == DZ_NPOS || dz_str_chr(s, ':') > end)
            return false;
        port = dz_str_sub(s, end + 1, s.n);
        s = dz_str_sub(s, 1, end);
    } else if (end != DZ_NPOS && dz_str_rchr(s, ':') == end) { /* several colons: IPv6 */
        port = dz_str_sub(s, end, s.n);
        s = dz_str_sub(s, 0, end);
    }
    *ret_text = s;
    return is_port(port) && parse_ip(s, ret_address);
}

enum dz_code dz_http_trust_new(const char *const *cidrs, struct dz_http_trust **ret_t,
                               struct dz_err *err)
{
    size_t n = 0;
    while (cidrs && cidrs[n])
        n++;
    DZ_AUTO(dz_freep) struct dz_http_trust *t = dz_zalloc(sizeof(*t) + n * sizeof(t->net[0]));
    for (t->n = 0; t->n < n; t->n++) {
        struct dz_http_net *net = &t->net[t->n];
        dz_str text = dz_str_of(cidrs[t->n]);
        size_t slash = dz_str_chr(text, '/');
        dz_str ip = dz_str_sub(text, 0, slash);
        if (!parse_ip(ip, net->address))
            return dz_fail(err, DZ_BAD_INPUT,
                           "\"%s\" is not an address or network of a trusted proxy", cidrs[t->n]);
        bool v4 = dz_str_chr(ip, ':') == DZ_NPOS;
        uint64_t bits = v4 ? 32 : 128;
        if (slash != DZ_NPOS &&
            dz_str_u64(dz_str_sub(text, slash + 1, text.n), bits, &bits, NULL) != DZ_OK)
            return dz_fail(err, DZ_BAD_INPUT,
                           "\"%s\": the network's prefix length is not a number from 0 to %s",
                           cidrs[t->n], v4 ? "32" : "128");
        net->bits = (unsigned)bits + (v4 ? 96 : 0);
    }
    *ret_t = dz_take(&t);
    return DZ_OK;
}

bool dz_http_trusts(const struct dz_http_trust *t, const unsigned char address[16])
{
    for (size_t i = 0; i < t->n; i++) {
        unsigned bytes = t->net[i].bits / 8, bits = t->net[i].bits % 8;
        if (memcmp(address, t->net[i].address, bytes) != 0)
            continue;
        if (bits == 0 || ((address[bytes] ^ t->net[i].address[bytes]) >> (8 - bits)) == 0)
            return true;
    }
    return false;
}

/* ---- lists from the right -------------------------------------------------------------------- */

/* The right-most element before a comma that no quoted string holds; *list keeps the rest. */
static dz_str last_element(dz_str *list)
{
    bool quoted = false;
    size_t i = list->n;
    for (; i > 0; i--) {
        char c = list->p[i - 1];
        if (c == ',' && !quoted)
            break;
        if (c != '"')
            continue;
        size_t slashes = 0;
        while (slashes < i - 1 && list->p[i - 2 - slashes] == '\\')
            slashes++;
        if (!quoted || slashes % 2 == 0)
            quoted = !quoted;
    }
    dz_str item = dz_str_trim(dz_str_sub(*list, i, list->n));
    *list = i > 0 ? dz_str_sub(*list, 0, i - 1) : (dz_str){0};
    return item;
}

struct walk {
    const struct dz_http_trust *trust;
    struct dz_http_request *q;
    unsigned seen; /* elements; 0: at the nearest proxy's */
};
typedef bool element_fn(struct walk *w, dz_str item);

/* Calls one() for the elements of all lines of field k, the last first, until it returns false; for
 * HTTP_HOPS_MAX at most, since a client can write as many as a header block holds. */
static void walk_back(struct walk *w, enum dz_http_known k, dz_str name, element_fn *one)
{
    const struct dz_http_request *q = w->q;
    for (size_t i = q->head.fields_n; i-- > q->head.first[k];) {
        if (!dz_str_eq_nocase(q->fields[i].name, name))
            continue;
        dz_str list = q->fields[i].value;
        while (list.n > 0) {
            dz_str item = last_element(&list);
            if (item.n == 0)
                continue;
            if (!one(w, item) || ++w->seen == HTTP_HOPS_MAX)
                return;
        }
    }
}

/* Takes one address; true: it is a trusted proxy's, whose word about the next counts. */
static bool take_address(struct walk *w, dz_str text, const unsigned char address[16])
{
    w->q->pub.client_ip = text;
    return dz_http_trusts(w->trust, address);
}

/* ---- X-Forwarded-For, X-Forwarded-Proto -------------------------------------------------------
 */

static bool one_address(struct walk *w, dz_str item)
{
    unsigned char address[16];
    dz_str text;
    return dz_http_address(item, address, &text) && take_address(w, text, address);
}

static bool one_scheme(struct walk *w, dz_str item)
{
    w->q->pub.https = dz_str_eq_nocase(item, DZ_S("https"));
    return false; /* the last one is the nearest proxy's word */
}

/* ---- Forwarded (RFC 7239) -------------------------------------------------------------------- */

/* A quoted string at the start of *rest, or a token; without quotes and escapes. */
static bool take_value(struct dz_http_request *q, dz_str *rest, dz_str *ret_value)
{
    if (rest->n == 0 || rest->p[0] != '"') {
        size_t n = 0;
        while (n < rest->n && rest->p[n] != ';' && rest->p[n] != ' ' && rest->p[n] != '\t')
            n++;
        *ret_value = dz_str_sub(*rest, 0, n);
        *rest = dz_str_sub(*rest, n, rest->n);
        return dz_http_is_token(*ret_value);
    }
    size_t end = 1, escapes = 0;
    for (; end < rest->n && rest->p[end] != '"'; end++)
        if (rest->p[end] == '\\') {
            end++;
            escapes++;
        }
    if (end >= rest->n)
        return false;
    dz_str raw = dz_str_sub(*rest, 1, end);
    *rest = dz_str_sub(*rest, end + 1, rest->n);
    if (escapes > 0) { /* RFC 9110 5.6.4: as if the octet stood there alone */
        char *plain = dz_arena_alloc(dz_http_arena(&q->pub), raw.n);
        size_t n = 0;
        for (size_t i = 0; i < raw.n; i++) {
            i += raw.p[i] == '\\';
            plain[n++] = raw.p[i];
        }
        raw = (dz_str){plain, n};
    }
    *ret_value = raw;
    return true;
}

enum { PAIR_FOR, PAIR_BY, PAIR_HOST, PAIR_PROTO, PAIRS };

/* 4: pairs with ";" between, none of the four known names twice. Blanks around ";" are forgiven. */
static bool parse_element(struct dz_http_request *q, dz_str item, dz_str ret_pair[PAIRS])
{
    static const dz_str names[PAIRS] = {DZ_S("for"), DZ_S("by"), DZ_S("host"), DZ_S("proto")};
    dz_str pair[PAIRS] = {0};
    while (item.n > 0) {
        size_t n = 0;
        while (n < item.n && item.p[n] != '=' && item.p[n] != ';')
            n++;
        dz_str name = dz_str_sub(item, 0, n), value;
        bool empty = name.n == 0 && (n == item.n || item.p[n] == ';');
        item = dz_str_sub(item, empty ? n : n + 1, item.n);
        if (!empty && (!dz_http_is_token(name) || !take_value(q, &item, &value)))
            return false;
        for (size_t i = 0; !empty && i < PAIRS; i++) {
            if (!dz_str_eq_nocase(name, names[i]))
                continue;
            if (pair[i].p)
                return false;
            pair[i] = value; /* its p is set even when it is "" */
        }
        item = dz_str_trim(item);
        if (item.n > 0 && item.p[0] != ';')
            return false;
        item = dz_str_trim(dz_str_sub(item, 1, item.n));
    }
    memcpy(ret_pair, pair, sizeof(pair));
    return true;
}

/* "_" and letters, digits, ".", "_", "-" */
static bool is_obfuscated(dz_str s)
{
    if (s.n < 2 || s.p[0] != '_')
        return false;
    for (size_t i = 1; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

/* 6: node = nodename [ ":" node-port ]. False: no node. *ret_known: it names an address. */
static bool parse_node(dz_str s, dz_str *ret_name, unsigned char ret_address[16], bool *ret_known)
{
    bool v6 = s.n > 0 && s.p[0] == '[';
    size_t end = dz_str_chr(s, v6 ? ']' : ':');
    if (v6 && end == DZ_NPOS)
        return false;
    dz_str name = dz_str_sub(s, v6, end), port = {0};
    if (end != DZ_NPOS)
        port = dz_str_sub(s, end + v6, s.n);
    if (port.n > 0) {
        uint64_t number;
        port = dz_str_sub(port, 1, port.n);
        bool digits = port.n > 0 && port.n <= 5 && dz_str_u64(port, 99999, &number, NULL) == DZ_OK;
        if (s.p[s.n - port.n - 1] != ':' || (!digits && !is_obfuscated(port)))
            return false;
    }
    bool known = parse_ip(name, ret_address) && v6 == (dz_str_chr(name, ':') != DZ_NPOS);
    if (!known && (v6 || (!is_obfuscated(name) && !dz_str_eq_nocase(name, DZ_S("unknown")))))
        return false;
    *ret_name = name;
    *ret_known = known;
    return true;
}

static bool one_forwarded(struct walk *w, dz_str item)
{
    dz_str pair[PAIRS], name;
    unsigned char address[16];
    bool known, nearest = w->seen == 0;
    if (!parse_element(w->q, item, pair))
        return false;
    if (nearest && pair[PAIR_PROTO].p)
        (void)one_scheme(w, pair[PAIR_PROTO]);
    if (!pair[PAIR_FOR].p || !parse_node(pair[PAIR_FOR], &name, address, &known))
        return false;
    if (known)
        return take_address(w, name, address);
    w->q->pub.client_ip = name;
    return false; /* hidden on purpose: nobody can tell whether its word counts */
}

void dz_http_forwarded(const struct dz_http_trust *t, enum dz_http_forwarding how,
                       struct dz_http_request *q)
{
    const uint32_t x = KNOWN_BIT(KNOWN_X_FORWARDED_FOR) | KNOWN_BIT(KNOWN_X_FORWARDED_PROTO);
    struct walk w = {.trust = t, .q = q};
    if (how == DZ_HTTP_FORWARDED || (how == DZ_HTTP_FORWARDED_ANY && !(q->head.known & x))) {
        if (dz_http_has(q, KNOWN_FORWARDED))
            walk_back(&w, KNOWN_FORWARDED, DZ_S("forwarded"), one_forwarded);
        return;
    }
    if (dz_http_has(q, KNOWN_X_FORWARDED_FOR))
        walk_back(&w, KNOWN_X_FORWARDED_FOR, DZ_S("x-forwarded-for"), one_address);
    w.seen = 0;
    if (dz_http_has(q, KNOWN_X_FORWARDED_PROTO))
        walk_back(&w, KNOWN_X_FORWARDED_PROTO, DZ_S("x-forwarded-proto"), one_scheme);
}
