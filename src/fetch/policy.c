/*
 * policy: what a source may reach, as an immutable counted object; and which addresses are private.
 *
 * In: lists of the source and the settings. Out: yes or no. Host patterns are compared with the
 * host of an address, networks with what a name resolved to. Any thread.
 */
#include "fetch/fetch_int.h"

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>

#define HOSTS_MAX 256u
#define HEADERS_MAX 64u
#define PER_HOST 2u

static enum dz_code check_host(dz_str host, struct dz_err *err)
{
    dz_str name = dz_str_starts(host, DZ_S("*.")) ? dz_str_sub(host, 2, host.n) : host;
    bool good = name.n > 0 && name.n < 254;
    for (size_t i = 0; i < name.n && good; i++) {
        unsigned char c = (unsigned char)name.p[i];
        good = c > ' ' && c != '/' && c != '@' && c != '?' && c != '#' && c != '*' && c != 0x7F;
    }
    if (good)
        return DZ_OK;
    return dz_fail(err, DZ_BAD_INPUT,
                   "\"%.*s\" is no host name; hosts are like example.org or *.example.org",
                   (int)(host.n < 100 ? host.n : 100), host.p);
}

static const dz_str *copy_texts(struct dz_arena *a, const dz_str *v, size_t n)
{
    dz_str *copy = dz_arena_alloc(a, (n + 1) * sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = dz_arena_str(a, v[i]);
    return copy;
}

/* RFC 9110 5.1 and 5.5: neither can end its line. */
static bool is_header(const struct dz_fetch_header *h)
{
    bool good = h->name.n > 0;
    for (size_t i = 0; i < h->name.n; i++) {
        unsigned char c = (unsigned char)h->name.p[i];
        good &= c > ' ' && c < 0x7F && !strchr("()<>@,;:\\\"/[]?={}", c);
    }
    for (size_t i = 0; i < h->value.n; i++)
        good &= h->value.p[i] != '\r' && h->value.p[i] != '\n' && h->value.p[i] != 0;
    return good;
}

bool dz_fetch_headers_ok(const struct dz_fetch_header *v, size_t n)
{
    bool good = true;
    for (size_t i = 0; i < n; i++)
        good &= is_header(&v[i]);
    return good;
}

/* What frames the message, what names the host (which was judged by the address), and what the
 * cache and the decoder stand on. */
const struct dz_fetch_header *dz_fetch_headers_own(const struct dz_fetch_header *v, size_t n)
{
    static const char *const own[] = {"accept-encoding",
                                      "connection",
                                      "content-length",
                                      "expect",
                                      "host",
                                      "keep-alive",
                                      "proxy-connection",
                                      "te",
                                      "trailer",
                                      "transfer-encoding",
                                      "upgrade"};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < DZ_LEN(own); k++)
            if (dz_str_eq_nocase(v[i].name, dz_str_of(own[k])))
                return &v[i];
    return NULL;
}

static enum dz_code check(const struct dz_fetch_policy_spec *s, struct dz_err *err)
{
    if (s->hosts_n > HOSTS_MAX || s->open_hosts_n > HOSTS_MAX || s->headers_n > HEADERS_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "more than %u hosts or %u headers", HOSTS_MAX,
                       HEADERS_MAX);
    for (size_t i = 0; i < s->hosts_n; i++)
        DZ_TRY(check_host(s->hosts[i], err));
    for (size_t i = 0; i < s->open_hosts_n; i++)
        DZ_TRY(check_host(s->open_hosts[i], err));
    if (s->per_host > DZ_FETCH_PER_HOST_MAX)
        return dz_fail(err, DZ_BAD_INPUT, "%u requests at a time to one host, at most %u",
                       s->per_host, DZ_FETCH_PER_HOST_MAX);
    if (!(s->rate >= 0) || s->rate > 1e6)
        return dz_fail(err, DZ_BAD_INPUT, "the rate is no number of requests a second");
    for (size_t i = 0; i < s->headers_n; i++)
        if (!is_header(&s->headers[i]))
            return dz_fail(err, DZ_BAD_INPUT, "header %zu has a wrong name or a line break", i + 1);
    const struct dz_fetch_header *own = dz_fetch_headers_own(s->headers, s->headers_n);
    if (own)
        return dz_fail(err, DZ_BAD_INPUT, "the header %.*s is written by the requester alone",
                       DZ_STR_FMT(own->name));
    return DZ_OK;
}

enum dz_code dz_fetch_policy_new(const struct dz_fetch_policy_spec *s,
                                 struct dz_fetch_policy **ret_p, struct dz_err *err)
{
    DZ_TRY(check(s, err));
    struct dz_fetch_policy *p = dz_new(struct dz_fetch_policy);
    p->refs = 1;
    p->arena = dz_arena_new(DZ_MIB);
    p->source = dz_arena_str(p->arena, s->source);
    p->user_agent = dz_arena_str(p->arena, s->user_agent);
    p->proxy = dz_arena_str(p->arena, s->proxy);
    p->hosts = copy_texts(p->arena, s->hosts, s->hosts_n);
    p->hosts_n = s->hosts_n;
    p->open_hosts = copy_texts(p->arena, s->open_hosts, s->open_hosts_n);
    p->open_hosts_n = s->open_hosts_n;
    struct dz_fetch_header *headers =
        dz_arena_alloc(p->arena, (s->headers_n + 1) * sizeof(*headers));
    for (size_t i = 0; i < s->headers_n; i++)
        headers[i] = (struct dz_fetch_header){dz_arena_str(p->arena, s->headers[i].name),
                                              dz_arena_str(p->arena, s->headers[i].value)};
    p->headers = headers;
    p->headers_n = s->headers_n;
    p->allow_private = s->allow_private;
    p->per_host = s->per_host ? s->per_host : PER_HOST;
    p->rate = s->rate;
    p->page_delay_ms = s->page_delay_ms;
    *ret_p = p;
    return DZ_OK;
}

struct dz_fetch_policy *dz_fetch_policy_ref(struct dz_fetch_policy *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void dz_fetch_policy_unref(struct dz_fetch_policy **p)
{
    struct dz_fetch_policy *gone = dz_take(p);
    if (!gone || atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) != 1)
        return;
    dz_arena_free(&gone->arena);
    dz_freep(&gone);
}

bool dz_fetch_policy_opens(const struct dz_fetch_policy *p, const struct dz_url *u)
{
    dz_str own = u->scheme.n == 5 ? DZ_S("443") : DZ_S("80"), port = u->port.n > 0 ? u->port : own;
    for (size_t i = 0; i < p->open_hosts_n; i++) {
        dz_str name = p->open_hosts[i], wanted = dz_str_without_port(name);
        dz_str open = wanted.n < name.n ? dz_str_sub(name, wanted.n + 1, name.n) : own;
        if (dz_url_host_matches(u->host, wanted) && dz_str_eq(open, port))
            return true;
    }
    return false;
}

bool dz_fetch_policy_allows(const struct dz_fetch_policy *p, dz_str host)
{
    for (size_t i = 0; i < p->hosts_n; i++)
        if (dz_url_host_matches(host, p->hosts[i]))
            return true;
    return false;
}

bool dz_fetch_policy_reaches(const struct dz_fetch_policy *p, dz_str authority)
{
    dz_str host = dz_str_without_port(authority);
    dz_str port =
        host.n < authority.n ? dz_str_sub(authority, host.n + 1, authority.n) : (dz_str){NULL, 0};
    struct dz_url plain = {.scheme = DZ_S("http"), .host = host, .port = port},
                  secure = {.scheme = DZ_S("https"), .host = host, .port = port};
    return dz_fetch_policy_allows(p, host) || dz_fetch_policy_opens(p, &plain) ||
           dz_fetch_policy_opens(p, &secure);
}

enum dz_code dz_fetch_rate(dz_str text, double *ret_per_second, struct dz_err *err)
{
    static const struct {
        dz_str name;
        double seconds;
    } units[] = {{DZ_S("s"), 1},       {DZ_S("second"), 1}, {DZ_S("m"), 60},
                 {DZ_S("minute"), 60}, {DZ_S("h"), 3600},   {DZ_S("hour"), 3600},
                 {DZ_S("day"), 86400}, {DZ_S("d"), 86400}};
    text = dz_str_trim(text);
    if (dz_str_eq_nocase(text, DZ_S("inf"))) {
        *ret_per_second = 0;
        return DZ_OK;
    }
    size_t slash = dz_str_chr(text, '/');
    dz_str count = dz_str_trim(dz_str_sub(text, 0, slash));
    dz_str per = slash != DZ_NPOS ? dz_str_trim(dz_str_sub(text, slash + 1, text.n)) : (dz_str){0};
    size_t digits = 0;
    while (digits < per.n && per.p[digits] >= '0' && per.p[digits] <= '9')
        digits++;
    uint64_t n, units_n = 1;
    dz_str unit = dz_str_trim(dz_str_sub(per, digits, per.n));
    bool good =
        dz_str_u64(count, 1000000, &n, NULL) == DZ_OK && n > 0 &&
        (digits == 0 ||
         (dz_str_u64(dz_str_sub(per, 0, digits), 1000000, &units_n, NULL) == DZ_OK && units_n > 0));
    for (size_t i = 0; good && i < DZ_LEN(units); i++)
        if (dz_str_eq_nocase(unit, units[i].name)) {
            *ret_per_second = (double)n / ((double)units_n * units[i].seconds);
            return DZ_OK;
        }
    return dz_fail(err, DZ_BAD_INPUT, "\"%.*s\" is no rate; write 2/second, 30/minute, 1/5s or inf",
                   (int)(text.n < 60 ? text.n : 60), text.p);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool private_v4(const unsigned char a[4])
{
    static const struct {
        unsigned char net[4];
        unsigned bits;
    } nets[] = {
        {{0, 0, 0, 0}, 8},      {{10, 0, 0, 0}, 8},     {{100, 64, 0, 0}, 10},
        {{127, 0, 0, 0}, 8},    {{169, 254, 0, 0}, 16}, {{172, 16, 0, 0}, 12},
        {{192, 0, 0, 0}, 24},   {{192, 0, 2, 0}, 24},   {{192, 88, 99, 0}, 24},
        {{192, 168, 0, 0}, 16}, {{198, 18, 0, 0}, 15},  {{198, 51, 100, 0}, 24},
        {{203, 0, 113, 0}, 24}, {{224, 0, 0, 0}, 3},
    };
    uint32_t ip = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];
    for (size_t i = 0; i < DZ_LEN(nets); i++) {
        const unsigned char *n = nets[i].net;
        uint32_t net = (uint32_t)n[0] << 24 | (uint32_t)n[1] << 16 | (uint32_t)n[2] << 8 | n[3];
        if ((ip ^ net) >> (32 - nets[i].bits) == 0)
            return true;
    }
    return false;
}

static bool private_v6(const unsigned char a[16])
{
    static const unsigned char mapped[12] = {[10] = 0xFF, [11] = 0xFF}, zero[12];
    static const unsigned char nat64[12] = {0x00, 0x64, 0xFF, 0x9B};
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
        return private_v4(a + 12);
    if (memcmp(a, zero, 12) == 0) /* ::, ::1 and the old "compatible" ones */
        return true;
    if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 */
        return private_v4(a + 2);
    bool documentation = a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0D && a[3] == 0xB8;
    /* Only 2000::/3 is given out to hosts. */
    return documentation || (a[0] & 0xE0) != 0x20;
}

bool dz_fetch_is_private(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        unsigned char a[4];
        memcpy(a, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, sizeof(a));
        return private_v4(a);
    }
    if (sa->sa_family == AF_INET6)
        return private_v6(((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr);
    return true;
}

bool dz_fetch_is_private_text(const char *ip)
{
    unsigned char a[16];
    if (inet_pton(AF_INET, ip, a) == 1)
        return private_v4(a);
    return inet_pton(AF_INET6, ip, a) != 1 || private_v6(a);
}
