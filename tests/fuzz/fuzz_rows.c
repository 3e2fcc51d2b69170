/*
 * Rows of a database: the input is what a row holds. However it is cut into pieces, and whatever
 * size the index claims, it unpacks to the same bytes or fails, and never to more than it may.
 */
#include "store/rows_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define BYTES_MAX (256 * DZ_KIB)

static enum dz_code unpack(dz_str row, size_t step, bool keep, uint64_t hint,
                           struct dz_blob_stat *ret_stat, struct dz_body **ret_body)
{
    DZ_AUTO(rows_unpack_free)
    struct rows_unpack *u = rows_unpack_new(BYTES_MAX, keep, hint, true);
    for (size_t at = 0; at < row.n; at += step)
        DZ_TRY(rows_unpack_add(u, dz_str_sub(row, at, at + step), NULL));
    return rows_unpack_end(u, ret_stat, ret_body, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 3)
        return 0;
    uint64_t hint = (uint64_t)data[0] << (data[1] % 64);
    dz_str row = {(const char *)data + 3, n - 3};
    struct dz_blob_stat whole, pieces;
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    enum dz_code code = unpack(row, row.n + 1, false, 0, &whole, NULL);
    dz_assert(unpack(row, data[2] + (size_t)1, true, hint, &pieces, &body) == code);
    if (code != DZ_OK) {
        dz_assert(code == DZ_CORRUPT || code == DZ_TOO_LARGE);
        return 0;
    }
    struct dz_sha256 sha = dz_sha256_of((dz_str){body->p, body->n});
    dz_assert(body->n <= BYTES_MAX && whole.bytes == body->n && pieces.bytes == body->n);
    dz_assert(memcmp(whole.sha.b, sha.b, sizeof(sha.b)) == 0);
    dz_assert(memcmp(pieces.sha.b, sha.b, sizeof(sha.b)) == 0);
    return 0;
}
