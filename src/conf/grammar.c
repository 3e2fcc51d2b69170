/*
 * grammar: the texts of settings that are templates: names of downloaded files (template.c) and
 * links ("…/{chapter}").
 *
 * Only their syntax is checked here, so that a wrong one is told at the start and not at the first
 * request or download; the rooms that use them keep the text.
 */
#include "conf/conf_int.h"

#define PLACEHOLDER_BYTES_MAX 40
#define TEMPLATE_BYTES_MAX 1024
#define WHY(...) dz_fail(why, DZ_BAD_INPUT, __VA_ARGS__)

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
            name = dz_str_clip(name, PLACEHOLDER_BYTES_MAX);
            return WHY("has the unknown placeholder {%.*s}", DZ_STR_FMT(name));
        }
        rest = dz_str_sub(after, end + 1, after.n);
    }
}

/* clang-format off */
const struct conf_shape
    conf_format = {check_format, "a template of id, title, manga_id, manga, volume, chapter, lang and team", "${manga} ${chapter:3} ${title|untitled}"},
    conf_link = {check_link, "a URL in which {source_url} and {chapter} may stand", "https://read.example.org/{chapter}"};
/* clang-format on */
