/*
 * fuzz_multipart: a form in pieces must tell what it tells whole.
 *
 * Input: one byte that says how long the pieces are, the Content-Type up to a line end, the body.
 */
#include "http/http.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct told {
    struct dz_sha256_ctx *hash;
    size_t parts;
    bool open;
};

static enum dz_code on_begin(void *arg, const struct dz_multipart_part *p, struct dz_err *err)
{
    struct told *t = arg;
    (void)err;
    dz_assert(!t->open);
    t->open = true;
    t->parts++;
    dz_sha256_add(t->hash, p->name);
    dz_sha256_add(t->hash, DZ_S("|"));
    dz_sha256_add(t->hash, p->filename);
    dz_sha256_add(t->hash, p->has_filename ? DZ_S("|") : DZ_S("-"));
    dz_sha256_add(t->hash, p->content_type);
    dz_sha256_add(t->hash, DZ_S("|"));
    return DZ_OK;
}

static enum dz_code on_data(void *arg, dz_str bytes, struct dz_err *err)
{
    struct told *t = arg;
    (void)err;
    dz_assert(t->open && bytes.n > 0);
    dz_sha256_add(t->hash, bytes);
    return DZ_OK;
}

static enum dz_code on_end(void *arg, struct dz_err *err)
{
    struct told *t = arg;
    (void)err;
    dz_assert(t->open);
    t->open = false;
    dz_sha256_add(t->hash, DZ_S(";"));
    return DZ_OK;
}

static enum dz_code read_all(dz_str type, dz_str body, size_t piece, struct dz_sha256 *ret_sha,
                             size_t *ret_parts)
{
    struct told t = {.hash = dz_sha256_new()};
    const struct dz_multipart_reader reader = {on_begin, on_data, on_end, &t};
    DZ_AUTO(dz_multipart_free) struct dz_multipart *m = NULL;
    enum dz_code code = dz_multipart_new(type, &reader, &m, NULL);
    for (size_t at = 0; code == DZ_OK && at < body.n; at += piece)
        code = dz_multipart_feed(m, dz_str_sub(body, at, at + piece), NULL);
    if (code == DZ_OK)
        code = dz_multipart_end(m, NULL);
    dz_assert(code != DZ_OK || !t.open);
    dz_assert(t.parts <= 1000);
    *ret_sha = dz_sha256_end(t.hash);
    *ret_parts = t.parts;
    dz_sha256_free(&t.hash);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    dz_str in = {(const char *)data + 1, n - 1};
    size_t line = dz_str_chr(in, '\n');
    dz_str type = dz_str_sub(in, 0, line), body = dz_str_after(in, line);
    struct dz_sha256 whole, pieces;
    size_t whole_n, pieces_n;
    enum dz_code a = read_all(type, body, body.n + 1, &whole, &whole_n);
    enum dz_code b = read_all(type, body, 1 + data[0] % 64u, &pieces, &pieces_n);
    dz_assert(a == b && whole_n == pieces_n);
    if (a == DZ_OK)
        dz_assert(memcmp(&whole, &pieces, sizeof(whole)) == 0);
    return 0;
}
