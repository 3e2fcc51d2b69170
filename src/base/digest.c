/*
 * digest: SHA-256, hex, and comparison in constant time.
 *
 * In: slices. Out: 32 bytes by value, or hex in the caller's array. Any thread; a streaming context
 * has one owner, who frees it. The algorithm is fetched from OpenSSL once, because a fetch for each
 * digest costs more than hashing a kilobyte. A failure inside OpenSSL is a broken installation and
 * aborts.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/base_int.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *algorithm;

static void fetch(void)
{
    algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    dz_assert(algorithm);
}

struct dz_sha256 dz_sha256_of(dz_str s)
{
    pthread_once(&once, fetch);
    struct dz_sha256 digest;
    int ok = EVP_Digest(s.n ? s.p : "", s.n, digest.b, NULL, algorithm, NULL);
    dz_assert(ok == 1);
    return digest;
}

struct dz_sha256_ctx {
    EVP_MD_CTX *md;
};

struct dz_sha256_ctx *dz_sha256_new(void)
{
    pthread_once(&once, fetch);
    struct dz_sha256_ctx *c = dz_new(struct dz_sha256_ctx);
    c->md = EVP_MD_CTX_new();
    int ok = c->md && EVP_DigestInit_ex(c->md, algorithm, NULL);
    dz_assert(ok == 1);
    return c;
}

void dz_sha256_add(struct dz_sha256_ctx *c, dz_str s)
{
    int ok = EVP_DigestUpdate(c->md, s.n ? s.p : "", s.n);
    dz_assert(ok == 1);
}

struct dz_sha256 dz_sha256_end(struct dz_sha256_ctx *c)
{
    struct dz_sha256 digest;
    int ok = EVP_DigestFinal_ex(c->md, digest.b, NULL);
    dz_assert(ok == 1);
    return digest;
}

void dz_sha256_free(struct dz_sha256_ctx **c)
{
    if (!*c)
        return;
    EVP_MD_CTX_free((*c)->md);
    free(*c);
    *c = NULL;
}

void dz_hex(const void *p, size_t n, char *dst)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = p;
    for (size_t i = 0; i < n; i++) {
        dst[2 * i] = digits[bytes[i] >> 4];
        dst[2 * i + 1] = digits[bytes[i] & 15];
    }
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum dz_code dz_unhex(dz_str hex, void *dst, size_t n, struct dz_err *err)
{
    if (hex.n % 2 != 0 || hex.n / 2 != n)
        return dz_fail(err, DZ_BAD_INPUT, "%zu hex digits wanted, %zu characters found", 2 * n,
                       hex.n);
    for (size_t i = 0; i < hex.n; i++)
        if (nibble(hex.p[i]) < 0)
            return dz_fail(err, DZ_BAD_INPUT, "character %zu is not a hex digit", i + 1);
    unsigned char *bytes = dst;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(nibble(hex.p[2 * i]) << 4 | nibble(hex.p[2 * i + 1]));
    return DZ_OK;
}

bool dz_equal_const_time(dz_str a, dz_str b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
