/*
 * mod_crypt: `crypt` of sources: digests and encodings that sites ask for in their addresses.
 *
 * In: texts as bytes. Out: lower case hexadecimal, base64, or bytes. Nothing here keeps a secret:
 * MD5 and SHA-1 are what some sites sign with. Pure, loop's thread.
 */
#include "source/source_int.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define BYTES_MAX (SRC_STRING_MAX / 2) /* what hex doubles must fit */

static dz_str bytes_arg(lua_State *L, int index, const char *fn)
{
    dz_str s = src_arg(L, index, fn);
    if (s.n > BYTES_MAX)
        luaL_error(L, "%s: argument %d has more than %d bytes", fn, index, (int)BYTES_MAX);
    src_charge(L, s.n / 2);
    return s;
}

static int push_hex(lua_State *L, const unsigned char *p, size_t n)
{
    luaL_Buffer b;
    dz_hex(p, n, luaL_buffinitsize(L, &b, 2 * n));
    luaL_pushresultsize(&b, 2 * n);
    return 1;
}

static int digest(lua_State *L, const EVP_MD *md, const char *fn)
{
    dz_str s = bytes_arg(L, 1, fn);
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!EVP_Digest(s.p, s.n, out, &n, md, NULL))
        return luaL_error(L, "%s: not to be had on this machine", fn);
    return push_hex(L, out, n);
}

static int crypt_md5(lua_State *L)
{
    return digest(L, EVP_md5(), "crypt.md5");
}

static int crypt_sha1(lua_State *L)
{
    return digest(L, EVP_sha1(), "crypt.sha1");
}

static int crypt_sha256(lua_State *L)
{
    return digest(L, EVP_sha256(), "crypt.sha256");
}

static int crypt_hmac(lua_State *L)
{
    dz_str algorithm = src_arg(L, 1, "crypt.hmac");
    dz_str key = bytes_arg(L, 2, "crypt.hmac"), s = bytes_arg(L, 3, "crypt.hmac");
    const EVP_MD *md = dz_str_eq(algorithm, DZ_S("sha256"))   ? EVP_sha256()
                       : dz_str_eq(algorithm, DZ_S("sha1"))   ? EVP_sha1()
                       : dz_str_eq(algorithm, DZ_S("md5"))    ? EVP_md5()
                       : dz_str_eq(algorithm, DZ_S("sha512")) ? EVP_sha512()
                                                              : NULL;
    if (!md)
        return luaL_error(L, "crypt.hmac: argument 1 must be \"sha256\", \"sha512\", \"sha1\" or "
                             "\"md5\"");
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!HMAC(md, key.p, (int)key.n, (const unsigned char *)s.p, s.n, out, &n))
        return luaL_error(L, "crypt.hmac: not to be had on this machine");
    return push_hex(L, out, n);
}

static int crypt_hex(lua_State *L)
{
    dz_str s = bytes_arg(L, 1, "crypt.hex");
    return push_hex(L, (const unsigned char *)s.p, s.n);
}

static int crypt_unhex(lua_State *L)
{
    dz_str s = src_arg(L, 1, "crypt.unhex");
    src_charge(L, s.n / 2);
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, s.n / 2 + 1);
    if (s.n % 2 != 0 || dz_unhex(s, to, s.n / 2, NULL) != DZ_OK)
        return luaL_error(L, "crypt.unhex: argument 1 is not hexadecimal");
    luaL_pushresultsize(&b, s.n / 2);
    return 1;
}

/* ---- base64 (RFC 4648) ----------------------------------------------------------------------- */

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The second argument true: the alphabet for addresses, without padding. */
static int crypt_base64(lua_State *L)
{
    dz_str s = bytes_arg(L, 1, "crypt.base64");
    bool url = lua_toboolean(L, 2);
    const char *alphabet = url ? safe : plain;
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, (s.n + 2) / 3 * 4 + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i += 3) {
        size_t left = s.n - i < 3 ? s.n - i : 3;
        unsigned bits = 0;
        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (j < left ? (unsigned char)s.p[i + j] : 0u);
        for (size_t j = 0; j < 4; j++)
            if (j <= left)
                to[n++] = alphabet[bits >> (18 - 6 * j) & 63];
            else if (!url)
                to[n++] = '=';
    }
    luaL_pushresultsize(&b, n);
    return 1;
}

static int value_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

/* Both alphabets; blanks are skipped, padding may be missing. */
static int crypt_unbase64(lua_State *L)
{
    dz_str s = src_arg(L, 1, "crypt.unbase64");
    src_charge(L, s.n / 2);
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, s.n / 4 * 3 + 3);
    size_t n = 0, digits = 0, padding = 0;
    unsigned bits = 0;
    bool good = true;
    for (size_t i = 0; i < s.n && good; i++) {
        if (s.p[i] == ' ' || s.p[i] == '\n' || s.p[i] == '\r' || s.p[i] == '\t')
            continue;
        int v = value_of(s.p[i]);
        padding += s.p[i] == '=';
        good = s.p[i] == '=' ? padding <= 2 : v >= 0 && padding == 0;
        if (v < 0 || !good)
            continue;
        bits = bits << 6 | (unsigned)v;
        if (++digits % 4 != 1)
            to[n++] = (char)(bits >> (8 - digits % 4 * 2) % 8 & 0xFF);
    }
    if (!good || digits % 4 == 1 || (padding > 0 && (digits + padding) % 4 != 0))
        return luaL_error(L, "crypt.unbase64: argument 1 is not base64");
    luaL_pushresultsize(&b, n);
    return 1;
}

void src_open_crypt(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"md5", crypt_md5},       {"sha1", crypt_sha1},         {"sha256", crypt_sha256},
        {"hmac", crypt_hmac},     {"hex", crypt_hex},           {"unhex", crypt_unhex},
        {"base64", crypt_base64}, {"unbase64", crypt_unbase64}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
