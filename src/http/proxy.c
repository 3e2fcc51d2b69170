/*
 * proxy: whom to believe about the client's address.
 *
 * X-Forwarded-For is a list that grows to the right: each proxy adds the address it was called
 * from. Only what a trusted proxy added can be believed, so it is read from the right until an
 * address that is not trusted. Addresses are 16 bytes, IPv4 mapped into IPv6. The list of networks
 * is made once and read by all threads.
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

bool dz_http_address(dz_str s, unsigned char ret_address[16], dz_str *ret_text)
{
    if (s.n > 0 && s.p[0] == '[') {
        size_t close = dz_str_chr(s, ']');
        if (close == DZ_NPOS)
            return false;
        s = dz_str_sub(s, 1, close);
    } else {
        size_t colon = dz_str_chr(s, ':');
        if (colon != DZ_NPOS && dz_str_rchr(s, ':') == colon) /* one colon: a port; several: IPv6 */
            s = dz_str_sub(s, 0, colon);
    }
    *ret_text = s;
    return parse_ip(s, ret_address);
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

dz_str dz_http_forwarded_for(const struct dz_http_trust *t, const struct dz_http_request *q,
                             dz_str peer)
{
    dz_str best = peer;
    for (size_t i = q->head.fields_n; i-- > q->head.first[KNOWN_X_FORWARDED_FOR];) {
        if (!dz_str_eq_nocase(q->fields[i].name, DZ_S("x-forwarded-for")))
            continue;
        dz_str list = q->fields[i].value;
        while (list.n > 0) {
            size_t comma = dz_str_rchr(list, ',');
            dz_str item =
                dz_str_trim(comma == DZ_NPOS ? list : dz_str_sub(list, comma + 1, list.n));
            list = comma == DZ_NPOS ? (dz_str){0} : dz_str_sub(list, 0, comma);
            unsigned char address[16];
            dz_str text;
            if (item.n == 0)
                continue;
            if (!dz_http_address(item, address, &text))
                return best;
            best = text;
            if (!dz_http_trusts(t, address))
                return best;
        }
    }
    return best;
}
