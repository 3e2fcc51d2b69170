/*
 * archive_name: turns the bytes that an archive stores as a name into UTF-8, and says which names
 * are never pages.
 *
 * Zip and old rar files made on Windows hold names in the code page of the machine that made them,
 * without saying which. Valid UTF-8 is taken as it is; else CP932 when it decodes without error and
 * reads like Japanese, else CP437, which zip prescribes. The test for Japanese must not fall for
 * Western names: "K\x94nig" (König) decodes as CP932 into one ideograph between letters. Pure
 * functions, any thread.
 */
#include <iconv.h>

#include "media/media_int.h"

#include <errno.h>

/* Decodes all of `bytes` or nothing. */
static bool decode(const char *charset, dz_str bytes, struct dz_buf *out)
{
    iconv_t cd = iconv_open("UTF-8", charset);
    if (cd == (iconv_t)-1)
        return false;
    dz_buf_clear(out);
    char *in = (char *)bytes.p;
    size_t left = bytes.n;
    bool ok = true;
    while (ok && left > 0) {
        char chunk[256], *to = chunk;
        size_t room = sizeof(chunk);
        size_t rc = iconv(cd, &in, &left, &to, &room);
        ok = rc != (size_t)-1 || errno == E2BIG;
        dz_buf_put(out, (dz_str){chunk, (size_t)(to - chunk)});
    }
    iconv_close(cd);
    return ok && !out->full;
}

/* The character at *at of well-formed UTF-8, and *at behind it. */
static uint32_t next_char(dz_str s, size_t *at)
{
    uint32_t c = at_u8(s, *at);
    unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (more > 0)
        c &= 0x3fU >> more;
    for (++*at; more > 0 && *at < s.n; more--)
        c = c << 6 | (at_u8(s, (*at)++) & 0x3f);
    return c;
}

static bool is_ideograph(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || c == 0x3005;
}

static bool is_kana(uint32_t c)
{
    return (c >= 0x3041 && c <= 0x30ff) || (c >= 0xff66 && c <= 0xff9f);
}

/* Two Japanese characters in a row, or one that no Latin letter touches on its left. */
static bool looks_japanese(dz_str s)
{
    uint32_t before = ' ';
    for (size_t at = 0; at < s.n;) {
        uint32_t c = next_char(s, &at);
        bool is_letter = (before | 0x20) >= 'a' && (before | 0x20) <= 'z';
        bool is_half = c >= 0xff66; /* one byte in CP932, so two of them prove little */
        if (is_ideograph(c) || is_kana(c)) {
            if (is_ideograph(before) || (is_kana(before) && before < 0xff66))
                return true;
            if (!is_letter && !is_half && !is_kana(before))
                return true;
        }
        before = c;
    }
    return false;
}

void archive_name_decode(dz_str raw, struct dz_buf *out)
{
    dz_buf_clear(out);
    if (dz_str_is_utf8(raw)) {
        dz_buf_put(out, raw);
        return;
    }
    if (decode("CP932", raw, out) && looks_japanese(dz_buf_str(out)))
        return;
    if (decode("CP437", raw, out))
        return;
    dz_buf_clear(out); /* a system without these tables: still a name, still UTF-8 */
    for (size_t i = 0; i < raw.n; i++)
        dz_buf_put(out, at_u8(raw, i) < 0x80 ? dz_str_sub(raw, i, i + 1) : DZ_S("\xef\xbf\xbd"));
}

dz_str media_short(dz_str name)
{
    enum { SHOWN_MAX = 120 };
    return dz_str_clip(name, SHOWN_MAX);
}

bool dz_archive_is_junk(dz_str name)
{
    static const char *const never[] = {"__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir"};
    while (name.n > 0) {
        size_t slash = dz_str_chr(name, '/');
        dz_str part = dz_str_sub(name, 0, slash); /* DZ_NPOS: all of it */
        name = slash == DZ_NPOS ? DZ_S("") : dz_str_sub(name, slash + 1, name.n);
        if (dz_str_eq(part, DZ_S(".")) || dz_str_eq(part, DZ_S("..")))
            continue;
        if (dz_str_starts(part, DZ_S(".")))
            return true;
        for (size_t i = 0; i < DZ_LEN(never); i++) {
            if (dz_str_eq_nocase(part, dz_str_of(never[i])))
                return true;
        }
    }
    return false;
}
