/*
 * fuzz_wire: messages of the bus from bytes of anybody.
 *
 * In: bytes as a socket gives them. The stream is read twice, whole and in pieces whose sizes come
 * from its own bytes; both must give the same messages and the same end.
 */
#include "crawl/crawl_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    size_t n;
    uint64_t digest;
    enum dz_code end;
};

static void take_all(struct dz_wire_in *in, struct outcome *o)
{
    struct dz_wire_msg m;
    while (o->end == DZ_UNAVAILABLE) {
        enum dz_code code = dz_wire_in_take(in, &m, NULL);
        if (code == DZ_UNAVAILABLE)
            return;
        if (code != DZ_OK) {
            o->end = code;
            return;
        }
        dz_assert(memchr(m.role, 0, sizeof(m.role)) && memchr(m.version, 0, sizeof(m.version)));
        o->n++;
        o->digest = o->digest * 31 + (uint64_t)m.type * 7 + (uint64_t)m.n + strlen(m.role) +
                    strlen(m.version);
    }
}

static struct outcome read_stream(const uint8_t *data, size_t size, bool in_pieces)
{
    struct outcome o = {.end = DZ_UNAVAILABLE};
    struct dz_wire_in in DZ_AUTO(dz_wire_in_done);
    dz_wire_in_init(&in, WIRE_MESSAGE_MAX);
    for (size_t at = 0; at < size && o.end == DZ_UNAVAILABLE;) {
        size_t n = in_pieces ? data[at] % 7 + 1u : 60000;
        if (n > size - at)
            n = size - at;
        dz_wire_in_put(&in, (dz_str){(const char *)data + at, n});
        at += n;
        take_all(&in, &o);
    }
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole = read_stream(data, size, false);
    struct outcome pieces = read_stream(data, size, true);
    dz_assert(whole.n == pieces.n && whole.digest == pieces.digest && whole.end == pieces.end);
    return 0;
}
