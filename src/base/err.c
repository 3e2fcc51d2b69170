/*
 * err: the error codes' one table, and how a dz_err is filled.
 *
 * In: a code and printf words. Out: a dz_err by value, owned by the caller; nothing is allocated,
 * so that an error can be made when memory is gone and can cross threads. Any thread. The odd
 * thing: words often carry text from outside, so control bytes become blanks and a cut never splits
 * a UTF-8 sequence; what comes out is one printable line.
 */
#include "base/base_int.h"

struct row {
    const char *name;
    const char *graphql;
    int http_status;
    bool retries;
};

/* clang-format off */
static const struct row rows[DZ_CODE_COUNT] = {
    [DZ_OK]           = {"ok",           "OK",           200, false},
    [DZ_BAD_INPUT]    = {"bad_input",    "BAD_INPUT",    400, false},
    [DZ_DENIED]       = {"denied",       "DENIED",       401, false},
    [DZ_FORBIDDEN]    = {"forbidden",    "FORBIDDEN",    403, false},
    [DZ_NOT_FOUND]    = {"not_found",    "NOT_FOUND",    404, false},
    [DZ_GONE]         = {"gone",         "GONE",         410, false},
    [DZ_CONFLICT]     = {"conflict",     "CONFLICT",     409, false},
    [DZ_TOO_LARGE]    = {"too_large",    "TOO_LARGE",    413, false},
    [DZ_UNSUPPORTED]  = {"unsupported",  "UNSUPPORTED",  415, false},
    [DZ_RATE_LIMITED] = {"rate_limited", "RATE_LIMITED", 429, true},
    [DZ_UNAVAILABLE]  = {"unavailable",  "UNAVAILABLE",  503, true},
    [DZ_TIMEOUT]      = {"timeout",      "TIMEOUT",      504, true},
    [DZ_PARSE]        = {"parse",        "PARSE",        502, false},
    [DZ_CORRUPT]      = {"corrupt",      "CORRUPT",      500, false},
    [DZ_IO]           = {"io",           "IO",           500, false},
    [DZ_FULL]         = {"full",         "FULL",         507, true},
    [DZ_CANCELLED]    = {"cancelled",    "CANCELLED",    500, false},
    [DZ_INTERNAL]     = {"internal",     "INTERNAL",     500, false},
};
/* clang-format on */

static const struct row *row_of(enum dz_code code)
{
    unsigned at = (unsigned)code;
    return &rows[at < DZ_CODE_COUNT ? at : DZ_INTERNAL];
}

const char *dz_code_name(enum dz_code code)
{
    return row_of(code)->name;
}

int dz_code_http_status(enum dz_code code)
{
    return row_of(code)->http_status;
}

const char *dz_code_graphql(enum dz_code code)
{
    return row_of(code)->graphql;
}

bool dz_code_retries(enum dz_code code)
{
    return row_of(code)->retries;
}

/* Makes text one printable line that ends on a whole UTF-8 sequence. `cut` says whether something
 * was left off. */
static void tidy(char *text, bool cut)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f)
            text[i] = ' ';
    }
    if (!cut)
        return;
    size_t end = n;
    while (end > 0 && n - end < 4 && ((unsigned char)text[end - 1] & 0xc0) == 0x80)
        end--;
    if (end == 0 || (unsigned char)text[end - 1] < 0x80)
        return;
    int32_t cp;
    dz_str last = {text + end - 1, n - end + 1};
    if (dz_utf8_step(last, &cp) != last.n || cp < 0)
        text[end - 1] = '\0';
}

static void fill(struct dz_err *err, enum dz_code code, int native, const char *fmt, va_list args)
{
    /* The words may quote err's own text, so they are made apart from it. */
    char text[sizeof(err->text)];
    int n = vsnprintf(text, sizeof(text), fmt, args);
    if (n < 0)
        text[0] = '\0';
    tidy(text, n >= (int)sizeof(text));
    err->code = code;
    err->native = native;
    memcpy(err->text, text, sizeof(text));
}

enum dz_code dz_fail(struct dz_err *err, enum dz_code code, const char *fmt, ...)
{
    dz_assert(code != DZ_OK);
    if (!err)
        return code;
    va_list args;
    va_start(args, fmt);
    fill(err, code, 0, fmt, args);
    va_end(args);
    return code;
}

enum dz_code dz_fail_errno(struct dz_err *err, enum dz_code code, int native, const char *fmt, ...)
{
    dz_assert(code != DZ_OK);
    if (!err)
        return code;
    va_list args;
    va_start(args, fmt);
    fill(err, code, native, fmt, args);
    va_end(args);
    char words[128];
    const char *why = strerror_r(native, words, sizeof(words));
    size_t n = strlen(err->text);
    int more = snprintf(err->text + n, sizeof(err->text) - n, ": %s", why);
    tidy(err->text, more >= (int)(sizeof(err->text) - n));
    return code;
}

enum dz_code dz_wrap(struct dz_err *err, enum dz_code code, const char *fmt, ...)
{
    if (!err)
        return code;
    struct dz_err old = *err;
    va_list args;
    va_start(args, fmt);
    fill(err, old.code == DZ_OK ? code : old.code, old.native, fmt, args);
    va_end(args);
    size_t n = strlen(err->text);
    int more = snprintf(err->text + n, sizeof(err->text) - n, ": %s", old.text);
    tidy(err->text, more >= (int)(sizeof(err->text) - n));
    return err->code;
}
