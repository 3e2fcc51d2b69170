/*
 * words: names from outside made into texts, identities, URL keys and orders.
 *
 * In: bytes of a file system, an archive or a ComicInfo.xml. Out: texts in the caller's arena that
 * fit a catalog field. Pure functions; any thread. The odd thing is what a key may not hold: a CDN
 * path with '-' or the letters "vol" in it means a file and never a chapter (contracts/komizip.md
 * 2.3), so a key must have neither.
 */
#include "library/library_int.h"

#include <stdlib.h>

#define SLUG_BYTES_MAX 64u
#define DIGEST_BYTES 4u

/* Length of the UTF-8 character at the front; 0: malformed. */
static size_t char_bytes(dz_str s)
{
    for (size_t n = 1; n <= 4 && n <= s.n; n++)
        if (dz_str_is_utf8(dz_str_sub(s, 0, n)))
            return n;
    return 0;
}

static void put_digest(struct dz_buf *b, dz_str bytes)
{
    struct dz_sha256 sha = dz_sha256_of(bytes);
    char hex[2 * DIGEST_BYTES];
    dz_hex(sha.b, DIGEST_BYTES, hex);
    dz_buf_putc(b, '~');
    dz_buf_put(b, (dz_str){hex, sizeof(hex)});
}

dz_str library_text(struct dz_arena *a, dz_str bytes)
{
    if (dz_str_is_utf8(bytes) && bytes.n <= DZ_TEXT_MAX)
        return dz_arena_str(a, bytes);
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 2 * DZ_TEXT_MAX);
    for (size_t at = 0; at < bytes.n && b.n < DZ_TEXT_MAX - 2 * DIGEST_BYTES - 4;) {
        dz_str rest = dz_str_sub(bytes, at, bytes.n);
        size_t n = char_bytes(rest);
        dz_buf_put(&b, n ? dz_str_sub(rest, 0, n) : DZ_S("\xef\xbf\xbd"));
        at += n ? n : 1;
    }
    put_digest(&b, bytes);
    return dz_arena_str(a, dz_buf_str(&b));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

dz_str library_fold(struct dz_arena *a, dz_str name)
{
    char *p = dz_arena_alloc(a, name.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (!is_blank(name.p[i]))
            p[n++] = lower(name.p[i]);
        else if (n > 0 && p[n - 1] != ' ')
            p[n++] = ' ';
    }
    while (n > 0 && p[n - 1] == ' ')
        n--;
    return (dz_str){p, n};
}

/* Takes the 'o' and 'l' out of every "vol"; what is left may make a new one. */
static size_t drop_vol(char *p, size_t n)
{
    for (;;) {
        size_t at = dz_str_find((dz_str){p, n}, DZ_S("vol"));
        if (at == DZ_NPOS)
            return n;
        memmove(p + at + 1, p + at + 3, n - at - 3);
        n -= 2;
    }
}

dz_str library_slug(struct dz_arena *a, dz_str name)
{
    char *p = dz_arena_alloc(a, name.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < name.n; i++) {
        char c = lower(name.p[i]);
        bool stays = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
        if (stays || (c == '.' && n > 0))
            p[n++] = c;
        else if (n > 0 && p[n - 1] != '_')
            p[n++] = '_';
    }
    n = drop_vol(p, n);
    n = dz_str_clip((dz_str){p, n}, SLUG_BYTES_MAX).n;
    while (n > 0 && (p[n - 1] == '_' || p[n - 1] == '.'))
        n--;
    return (dz_str){p, n};
}

int library_path_cmp(dz_str a, dz_str b)
{
    for (;;) {
        size_t x = dz_str_chr(a, '/'), y = dz_str_chr(b, '/');
        int c = dz_str_natural_cmp(dz_str_sub(a, 0, x), dz_str_sub(b, 0, y));
        if (c)
            return c;
        if (x == DZ_NPOS || y == DZ_NPOS)
            return (x != DZ_NPOS) - (y != DZ_NPOS);
        a = dz_str_sub(a, x + 1, a.n);
        b = dz_str_sub(b, y + 1, b.n);
    }
}

bool library_number(dz_str s, double *ret_x)
{
    char text[32];
    size_t n = 0;
    bool point = false;
    for (size_t i = 0; i < s.n && n < sizeof(text) - 1; i++) {
        bool digit = s.p[i] >= '0' && s.p[i] <= '9';
        if (!digit && (s.p[i] != '.' || point || n == 0))
            break;
        point |= !digit;
        text[n++] = s.p[i];
    }
    if (n == 0)
        return false;
    text[n] = '\0';
    *ret_x = strtod(text, NULL);
    return true;
}
