/*
 * grammar: the texts of settings that have a grammar of their own: rate limits ("10/minute; 1 per 2
 * seconds"), the template of file names (template.c) and that of links ("…/{chapter}").
 *
 * Only their syntax is checked here, so that a wrong one is told at the start and not at the first
 * request or download; the rooms that use them keep the text.
 */
#include "conf/conf_int.h"

#define COUNT_MAX 1000000000
#define PLACEHOLDER_BYTES_MAX 40
#define TEMPLATE_BYTES_MAX 1024
#define WHY(...) dz_fail(why, DZ_BAD_INPUT, __VA_ARGS__)

/* ---- limits ---------------------------------------------------------------------------------- */

static void skip_blanks(dz_str *s)
{
    while (s->n && (s->p[0] == ' ' || s->p[0] == '\t'))
        *s = dz_str_sub(*s, 1, s->n);
}

static dz_str take_digits(dz_str *s)
{
    size_t n = 0;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    dz_str digits = dz_str_sub(*s, 0, n);
    *s = dz_str_sub(*s, n, s->n);
    return digits;
}

static bool positive(dz_str digits)
{
    uint64_t n;
    return dz_str_u64(digits, COUNT_MAX, &n, NULL) == DZ_OK && n > 0;
}

static bool is_unit(dz_str s)
{
    static const char *const units[] = {"second", "minute", "hour", "day", "month", "year"};
    for (size_t i = 0; i < DZ_LEN(units); i++) {
        dz_str unit = dz_str_of(units[i]);
        if (dz_str_eq_nocase(dz_str_sub(s, 0, unit.n), unit) &&
            (s.n == unit.n || (s.n == unit.n + 1 && (s.p[unit.n] == 's' || s.p[unit.n] == 'S'))))
            return true;
    }
    return false;
}

static enum dz_code check_one_limit(dz_str s, struct dz_err *why)
{
    s = dz_str_trim(s);
    dz_str count = take_digits(&s);
    if (!positive(count))
        return WHY("has no count from 1 to %d in front", COUNT_MAX);
    skip_blanks(&s);
    if (s.n && s.p[0] == '/')
        s = dz_str_sub(s, 1, s.n);
    else if (dz_str_eq_nocase(dz_str_sub(s, 0, 3), DZ_S("per")))
        s = dz_str_sub(s, 3, s.n);
    else
        return WHY("has neither \"/\" nor \"per\" behind the count");
    skip_blanks(&s);
    dz_str multiple = take_digits(&s);
    if (multiple.n && !positive(multiple))
        return WHY("has a multiple that is not from 1 to %d", COUNT_MAX);
    skip_blanks(&s);
    if (!is_unit(s))
        return WHY("has none of the units second, minute, hour, day, month and year");
    return DZ_OK;
}

static enum dz_code check_limit(char *text, struct dz_err *why)
{
    return check_one_limit(dz_str_of(text), why);
}

static enum dz_code check_limits(char *text, struct dz_err *why)
{
    dz_str rest = dz_str_of(text);
    for (;;) {
        size_t end = 0;
        while (end < rest.n && !strchr(",;|", rest.p[end]))
            end++;
        DZ_TRY(check_one_limit(dz_str_sub(rest, 0, end), why));
        if (end == rest.n)
            return DZ_OK;
        rest = dz_str_sub(rest, end + 1, rest.n);
    }
}

/* ---- names of files -------------------------------------------------------------------------- */

static enum dz_code check_format(char *text, struct dz_err *why)
{
    DZ_AUTO(dz_template_free) struct dz_template *t = NULL;
    return dz_template_parse(dz_str_of(text), dz_download_names, &t, why);
}

/* ---- links ----------------------------------------------------------------------------------- */

static enum dz_code check_link(char *text, struct dz_err *why)
{
    dz_str rest = dz_str_of(text);
    if (rest.n > TEMPLATE_BYTES_MAX)
        return WHY("is longer than %d bytes", TEMPLATE_BYTES_MAX);
    for (size_t i = 0; i < rest.n; i++)
        if ((unsigned char)rest.p[i] <= 0x20 || rest.p[i] == 0x7F)
            return WHY("has a blank in it");
    for (;;) {
        size_t at = 0;
        while (at < rest.n && rest.p[at] != '{' && rest.p[at] != '}')
            at++;
        if (at == rest.n)
            return DZ_OK;
        dz_str after = dz_str_sub(rest, at + 1, rest.n);
        size_t end = rest.p[at] == '{' ? dz_str_chr(after, '}') : DZ_NPOS;
        if (end == DZ_NPOS)
            return WHY("has a \"%c\" without its partner", rest.p[at]);
        dz_str name = dz_str_sub(after, 0, end);
        if (!dz_str_eq(name, DZ_S("source_url")) && !dz_str_eq(name, DZ_S("chapter"))) {
            name = conf_clip(name, PLACEHOLDER_BYTES_MAX);
            return WHY("has the unknown placeholder {%.*s}", DZ_STR_FMT(name));
        }
        rest = dz_str_sub(after, end + 1, after.n);
    }
}

/* clang-format off */
const struct conf_shape
    conf_limit = {check_limit, "COUNT/UNIT or COUNT per N UNIT (second, minute, hour, day, month, year)", "2/second"},
    conf_limits = {check_limits, "COUNT/UNIT or COUNT per N UNIT (second, minute, hour, day, month, year), several joined by , ; or |",
                   "1/second; 100 per 2 hours"},
    conf_format = {check_format, "a template of id, title, manga_id, manga, volume, chapter, lang and team", "${manga} ${chapter:3} ${title|untitled}"},
    conf_link = {check_link, "a URL in which {source_url} and {chapter} may stand", "https://read.example.org/{chapter}"};
/* clang-format on */
