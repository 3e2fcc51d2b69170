/*
 * fuzz_http_forwarded: what a client writes into Forwarded and X-Forwarded-For, and what its
 * proxies add. Input lines become lines of the field. Whatever a client wrote, the element that the
 * nearest proxy appends decides; and the address that comes out is a short text without blanks.
 */
#include "http/http_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define OWN "203.0.113.9"

static struct dz_http_trust *trust;

static void ask(struct dz_http_request *q, enum dz_http_forwarding how)
{
    q->pub.client_ip = DZ_S("10.0.0.1");
    q->pub.https = false;
    dz_http_forwarded(trust, how, q);
    dz_str ip = q->pub.client_ip;
    dz_assert(ip.n > 0);
    for (size_t i = 0; i < ip.n; i++)
        dz_assert(ip.p[i] > ' ' && ip.p[i] < 0x7F && ip.p[i] != '"' && ip.p[i] != ',');
    if (q->arena)
        dz_arena_reset(q->arena);
}

static void add(struct dz_http_request *q, enum dz_http_known k, dz_str name, dz_str value)
{
    if (q->head.fields_n == HTTP_FIELDS_MAX)
        return;
    if (!dz_http_has(q, k))
        q->head.first[k] = (uint8_t)q->head.fields_n;
    q->head.known |= KNOWN_BIT(k);
    q->fields[q->head.fields_n++] = (struct dz_http_field){name, dz_str_trim(value)};
}

/* The same bytes as lines of one field, then again with the proxy's element behind the last. */
static void check(dz_str in, enum dz_http_known k, dz_str name, enum dz_http_forwarding how,
                  dz_str own)
{
    static struct dz_http_request q;
    memset(&q.head, 0, sizeof(q.head));
    struct dz_cursor c;
    dz_cursor_init(&c, in);
    dz_str line = {0};
    while (!dz_cursor_end(&c) && q.head.fields_n < HTTP_FIELDS_MAX - 1) {
        line = dz_cursor_until(&c, '\n');
        dz_cursor_next(&c);
        if (!dz_http_is_field_value(line))
            return;
        add(&q, k, name, line);
    }
    ask(&q, how);
    add(&q, k, name, own);
    ask(&q, how);
    dz_assert(dz_str_eq(q.pub.client_ip, DZ_S(OWN)));
    dz_assert(q.pub.https == (how == DZ_HTTP_FORWARDED));
    if (q.head.fields_n < 2)
        return;
    q.head.fields_n--; /* in the same line as the client's */
    struct dz_buf b;
    dz_buf_init(&b, 1 << 18);
    dz_buf_put(&b, line);
    dz_buf_put(&b, DZ_S(", "));
    dz_buf_put(&b, own);
    q.fields[q.head.fields_n - 1].value = dz_buf_str(&b);
    ask(&q, how);
    dz_assert(dz_str_eq(q.pub.client_ip, DZ_S(OWN)));
    dz_assert(q.pub.https == (how == DZ_HTTP_FORWARDED));
    dz_buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const nets[] = {"10.0.0.0/8", "::1", NULL};
    if (n > 1 << 16)
        return 0;
    if (!trust)
        dz_assert(dz_http_trust_new(nets, &trust, NULL) == DZ_OK);
    dz_str in = {(const char *)data, n};
    check(in, KNOWN_FORWARDED, DZ_S("Forwarded"), DZ_HTTP_FORWARDED,
          DZ_S("for=\"" OWN ":80\";by=_me;proto=https"));
    check(in, KNOWN_X_FORWARDED_FOR, DZ_S("X-Forwarded-For"), DZ_HTTP_FORWARDED_X, DZ_S(OWN));
    return 0;
}
