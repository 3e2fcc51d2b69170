/*
 * template: names of downloaded files. The language is that of Python's string.Template ($name,
 * ${name}, $$; ASCII names) with two additions inside the braces: `:N` pads a number with zeros to
 * N digits before the dot, `|text` stands in for a value that is missing or empty.
 *
 * In: a template from the settings or a command line, and texts that sites made up. Out: a name of
 * one component of a path, which can mean nothing but a new entry of the folder it is put into. A
 * template is immutable once parsed, so any thread may use it; what a value holds is never read as
 * a template again.
 */
#include "conf/conf_int.h"

#define PLACEHOLDER_BYTES_MAX 40
#define TEMPLATE_BYTES_MAX 1024
#define NAME_BYTES_MAX 255 /* NAME_MAX of every file system that matters */
#define EXT_BYTES_MAX 64
#define WORK_PREFIX DZ_S(".dozo-") /* hidden files and folders of unfinished work */

const char *const dz_download_names[] = {"id",      "title", "manga_id", "manga", "volume",
                                         "chapter", "lang",  "team",     NULL};

struct part {
    const char *name; /* of the caller's list; NULL: text as it is */
    dz_str text;      /* stands in when there is a name */
    bool has_fallback;
    unsigned width; /* 0: not padded */
};

struct dz_template {
    char *text; /* what the parts point into */
    struct part *parts;
    size_t n;
};

/* ---- parsing --------------------------------------------------------------------------------- */

struct parse {
    dz_str text;
    size_t at;
    const char *const *names;
    struct dz_template *t;
    struct dz_err *err;
};

/* Which character of the template, from 1. */
static size_t column(const struct parse *p, size_t at)
{
    size_t n = 1;
    for (size_t i = 0; i < at; i++)
        n += ((unsigned char)p->text.p[i] & 0xC0) != 0x80;
    return n;
}

#define WHY(p, at, fmt, ...)                                                                       \
    dz_fail((p)->err, DZ_BAD_INPUT, "at character %zu " fmt, column(p, at), ##__VA_ARGS__)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c, bool first)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (!first && is_digit(c));
}

static dz_str name_at(dz_str s, size_t at)
{
    size_t end = at;
    while (end < s.n && is_name_char(s.p[end], end == at))
        end++;
    return dz_str_sub(s, at, end);
}

static void add_part(struct dz_template *t, const struct part *part)
{
    if (!part->name && part->text.n == 0)
        return;
    t->parts = dz_realloc(t->parts, (t->n + 1) * sizeof *t->parts);
    t->parts[t->n++] = *part;
}

/* Finds the name that stands at p->at among those that are allowed. */
static enum dz_code find_name(struct parse *p, dz_str name, size_t at, const char **ret_name)
{
    struct conf_nearest nearest = {.wanted = name};
    for (size_t i = 0; p->names[i]; i++) {
        if (dz_str_eq(name, dz_str_of(p->names[i]))) {
            *ret_name = p->names[i];
            return DZ_OK;
        }
        conf_nearest_offer(&nearest, dz_str_of(p->names[i]));
    }
    name = dz_str_clip(name, PLACEHOLDER_BYTES_MAX);
    if (conf_nearest_good(&nearest))
        return WHY(p, at, "has the unknown placeholder ${%.*s} (did you mean ${%.*s}?)",
                   DZ_STR_FMT(name), DZ_STR_FMT(nearest.best));
    return WHY(p, at, "has the unknown placeholder ${%.*s}", DZ_STR_FMT(name));
}

static bool is_number(const char *name)
{
    return strcmp(name, "chapter") == 0 || strcmp(name, "volume") == 0;
}

/* What stands between "${" and "}"; `at` is where it begins. */
static enum dz_code parse_braced(struct parse *p, dz_str s, size_t at, struct part *part)
{
    dz_str name = name_at(s, 0);
    if (name.n == 0)
        return WHY(p, at, "has no name behind \"${\"");
    DZ_TRY(find_name(p, name, at, &part->name));
    s = dz_str_sub(s, name.n, s.n);
    if (s.n && s.p[0] == ':') {
        if (!is_number(part->name))
            return WHY(p, at, "pads ${%s}, which is no number", part->name);
        if (s.n < 2 || s.p[1] < '1' || s.p[1] > '9' || (s.n > 2 && is_digit(s.p[2])))
            return WHY(p, at, "has no width from 1 to 9 behind the \":\" of ${%s:…}", part->name);
        part->width = (unsigned)(s.p[1] - '0');
        s = dz_str_sub(s, 2, s.n);
    }
    if (s.n && s.p[0] != '|') {
        s = dz_str_clip(s, 20);
        return WHY(p, at, "has \"%.*s\" behind the name in ${%s…}", DZ_STR_FMT(s), part->name);
    }
    part->has_fallback = s.n > 0;
    part->text = dz_str_sub(s, 1, s.n);
    return DZ_OK;
}

/* One placeholder or "$$"; p->at is behind its dollar sign. */
static enum dz_code parse_dollar(struct parse *p)
{
    size_t at = p->at;
    struct part part = {0};
    dz_str name = name_at(p->text, at);
    if (at < p->text.n && p->text.p[at] == '$') {
        part.text = dz_str_sub(p->text, at, at + 1);
        p->at++;
    } else if (at < p->text.n && p->text.p[at] == '{') {
        size_t n = dz_str_chr(dz_str_sub(p->text, at, p->text.n), '}');
        if (n == DZ_NPOS)
            return WHY(p, at - 1, "has a \"${\" without its \"}\"");
        DZ_TRY(parse_braced(p, dz_str_sub(p->text, at + 1, at + n), at + 1, &part));
        p->at = at + n + 1;
    } else if (name.n > 0) {
        DZ_TRY(find_name(p, name, at, &part.name));
        p->at = at + name.n;
    } else {
        return WHY(p, at - 1, "has a \"$\" without a name (a dollar sign itself is \"$$\")");
    }
    add_part(p->t, &part);
    return DZ_OK;
}

enum dz_code dz_template_parse(dz_str text, const char *const *names, struct dz_template **ret_t,
                               struct dz_err *err)
{
    if (text.n > TEMPLATE_BYTES_MAX)
        return dz_fail(err, DZ_BAD_INPUT, "is longer than %d bytes", TEMPLATE_BYTES_MAX);
    DZ_AUTO(dz_template_free) struct dz_template *t = dz_new(struct dz_template);
    t->text = dz_str_dup(text);
    struct parse p = {.text = {t->text, text.n}, .names = names, .t = t, .err = err};
    while (p.at < p.text.n) {
        size_t n = dz_str_chr(dz_str_sub(p.text, p.at, p.text.n), '$');
        size_t end = n == DZ_NPOS ? p.text.n : p.at + n;
        add_part(t, &(struct part){.text = dz_str_sub(p.text, p.at, end)});
        p.at = end;
        if (n == DZ_NPOS)
            break;
        p.at++;
        DZ_TRY(parse_dollar(&p));
    }
    *ret_t = dz_take(&t);
    return DZ_OK;
}

void dz_template_free(struct dz_template **t)
{
    if (!*t)
        return;
    free((*t)->text);
    free((*t)->parts);
    free(*t);
    *t = NULL;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* How many digits stand before the dot of "10.5"; 0 when the text is no such number. */
static size_t whole_digits(dz_str s)
{
    size_t whole = 0, part = 0;
    while (whole < s.n && is_digit(s.p[whole]))
        whole++;
    if (whole == s.n)
        return whole;
    while (whole + 1 + part < s.n && is_digit(s.p[whole + 1 + part]))
        part++;
    return s.p[whole] == '.' && part > 0 && whole + 1 + part == s.n ? whole : 0;
}

static void write_part(const struct part *part, dz_str value, struct dz_buf *out)
{
    if (part->has_fallback && value.n == 0) {
        dz_buf_put(out, part->text);
        return;
    }
    if (!value.p)
        value = DZ_S("None"); /* as Python writes its null */
    size_t digits = part->width ? whole_digits(value) : 0;
    for (; digits > 0 && digits < part->width; digits++)
        dz_buf_putc(out, '0');
    dz_buf_put(out, value);
}

void dz_template_write(const struct dz_template *t, dz_str (*value)(void *arg, const char *name),
                       void *arg, struct dz_buf *out)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct part *part = &t->parts[i];
        if (part->name)
            write_part(part, value(arg, part->name), out);
        else
            dz_buf_put(out, part->text);
    }
}

/* ---- names of files -------------------------------------------------------------------------- */

#define MIDDLE_DOT DZ_S("\xc2\xb7")

/* What stands for the character in a name; nothing at all for those that are dropped. */
static dz_str name_char(dz_str bytes, int32_t cp)
{
    if (cp < 0)
        return DZ_S("\xef\xbf\xbd");
    if (cp == '/')
        return DZ_S("\xe2\x88\x95"); /* U+2215 */
    if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0))
        return (dz_str){0};
    return bytes;
}

void dz_file_name_put(dz_str name, dz_str ext, struct dz_buf *out)
{
    dz_assert(ext.n <= EXT_BYTES_MAX);
    char clean[NAME_BYTES_MAX];
    size_t n = 0, most = sizeof clean - ext.n;
    for (size_t at = 0; at < name.n;) {
        int32_t cp;
        size_t step = dz_utf8_step(dz_str_sub(name, at, name.n), &cp);
        dz_str c = name_char(dz_str_sub(name, at, at + step), cp);
        if (c.n > most - n)
            break;
        if (c.n > 0)
            memcpy(clean + n, c.p, c.n);
        n += c.n;
        at += step;
    }
    dz_str s = {clean, n};
    if (dz_str_eq(s, DZ_S("."))) {
        s = MIDDLE_DOT;
    } else if (dz_str_eq(s, DZ_S(".."))) {
        s = DZ_S("\xc2\xb7\xc2\xb7");
    } else if (n == 0) {
        s = DZ_S("_");
    } else if (dz_str_starts(s, WORK_PREFIX)) {
        dz_buf_put(out, MIDDLE_DOT);
        s = dz_str_sub(dz_str_clip(s, most - 1), 1, n);
    }
    dz_buf_put(out, s);
    dz_buf_put(out, ext);
}
