/*
 * shape: what a function of a source returned, checked and brought into one form.
 *
 * In: JSON as Lua values became it. Out: JSON with all members of the kind, in the order of
 * docs/sources.md, null or an empty list where the source said nothing; or an error that names the
 * field as the author would write it: "chapters[3].volume: expected a number, a text or null, got a
 * table". One table of fields a kind of object. No Lua here; any thread.
 */
#include "source/source_int.h"

#include <inttypes.h>
#include <math.h>

#define LINE_BYTES 4000u /* bytes of a title, a name; cut there, for one is not worth a list */
#define TEXT_MAX 200000u /* bytes of a description; cut */
#define SMALL_LIST_MAX 1000u
#define KEY_TEXT_MAX 1000000u
#define NUMBER_ABS_MAX 1e9

enum type {
    T_ID,       /* text or integer; becomes text */
    T_LINE,     /* text */
    T_TEXT,     /* a longer one */
    T_URL,      /* an absolute address */
    T_WORD,     /* one of `words` */
    T_INT,      /* not negative */
    T_NUMBER,   /* number or text, whole numbers as integers */
    T_NUMERAL,  /* number or text; becomes text */
    T_LINES,    /* list of texts */
    T_NUMERALS, /* list of numbers or texts; become texts */
    T_OBJECT,   /* with `fields` */
    T_LIST,     /* of objects with `fields` */
    T_NAMED,    /* list of objects of texts; one object counts as a list of it */
    T_PAIRS,    /* object of texts */
    T_ANY,      /* left out when it is not there */
    T_STEPS,    /* of a page's transform */
};
enum {
    MUST = 1,
    LONG = 2 /* up to DZ_SOURCE_LIST_MAX */,
    FILL = 4 /* an object even when absent */
};

struct field {
    const char *name;
    enum type type;
    unsigned flags;
    const struct field *fields;
    size_t fields_n;
    const char *const *words;
};

struct shaper {
    char path[160];
    dz_str site, id; /* what series and chapter are filled with */
    struct dz_err *err;
};

#define F(field, of_type, ...)                                                                     \
    {                                                                                              \
        .name = field, .type = of_type, __VA_ARGS__                                                \
    }
#define OF(table) .fields = table, .fields_n = DZ_LEN(table)

/* clang-format off */
static const char *const ratings[] = {"safe", "suggestive", "erotica", "pornographic", NULL};
static const char *const states[] = {"completed", "ongoing", "hiatus", "cancelled", NULL};
static const char *const targets[] = {"series", "chapter", NULL};

static const struct field person[] = {F("id", T_ID, .flags = MUST), F("name", T_LINE, .flags = MUST)};
static const struct field team[] = {F("id", T_ID), F("name", T_LINE, .flags = MUST), F("site", T_LINE)};
static const struct field date[] = {F("day", T_INT), F("month", T_INT), F("year", T_INT)};
static const struct field series[] = {
    F("id", T_ID, .flags = MUST), F("site", T_LINE), F("title", T_LINE, .flags = MUST), F("alt_titles", T_NAMED), F("description", T_TEXT),
    F("authors", T_LIST, OF(person)), F("artists", T_LIST, OF(person)), F("genres", T_LINES), F("tags", T_LINES),
    F("lang", T_LINE), F("links", T_ANY), F("date", T_OBJECT, .flags = FILL, OF(date)), F("rating", T_WORD, .words = ratings),
    F("status", T_WORD, .words = states), F("url", T_URL), F("cover", T_URL),
};
static const struct field chapter[] = {
    F("id", T_ID, .flags = MUST), F("volume", T_NUMBER), F("chapter", T_NUMBER), F("title", T_LINE), F("lang", T_LINE),
    F("pages", T_INT), F("team", T_OBJECT, OF(team)), F("date", T_OBJECT, .flags = FILL, OF(date)), F("url", T_URL),
    F("series", T_ID),
};
static const struct field page[] = {F("url", T_URL, .flags = MUST), F("headers", T_PAIRS), F("transform", T_STEPS)};
static const struct field picture[] = {F("url", T_URL, .flags = MUST), F("headers", T_PAIRS)};
static const struct field volume_cover[] = {
    F("volume", T_NUMERAL, .flags = MUST), F("url", T_URL, .flags = MUST), F("headers", T_PAIRS)};
static const struct field volume[] = {
    F("volume", T_NUMERAL, .flags = MUST), F("chapters", T_NUMERALS, .flags = LONG), F("cover", T_URL)};
static const struct field target[] = {F("kind", T_WORD, .flags = MUST, .words = targets), F("id", T_ID, .flags = MUST)};
static const struct field status[] = {F("next_release", T_LINE)};

static const struct field results[DZ_FN_COUNT] = {
    [DZ_FN_RESOLVE]   = F("resolve", T_OBJECT, OF(target)),
    [DZ_FN_SERIES]    = F("series", T_OBJECT, .flags = MUST, OF(series)),
    [DZ_FN_COVER]     = F("cover", T_OBJECT, OF(picture)),
    [DZ_FN_CHAPTERS]  = F("chapters", T_LIST, .flags = MUST | LONG, OF(chapter)),
    [DZ_FN_CHAPTER]   = F("chapter", T_OBJECT, .flags = MUST, OF(chapter)),
    [DZ_FN_SERIES_OF] = F("series_of", T_ID, .flags = MUST),
    [DZ_FN_PAGES]     = F("pages", T_LIST, .flags = MUST | LONG, OF(page)),
    [DZ_FN_DOWNLOAD]  = F("download", T_ANY),
    [DZ_FN_STATUS]    = F("status", T_OBJECT, .flags = FILL, OF(status)),
    [DZ_FN_TITLES]    = F("titles", T_PAIRS, .flags = LONG),
    [DZ_FN_VOLUMES]   = F("volumes", T_LIST, .flags = MUST | LONG, OF(volume)),
    [DZ_FN_COVERS]    = F("covers", T_LIST, .flags = MUST | LONG, OF(volume_cover)),
    [DZ_FN_SEARCH]    = F("search", T_LIST, .flags = MUST | LONG, OF(series)),
    [DZ_FN_CRAWL]     = F("crawl", T_ANY),
};

static const char *const expected[] = {
    [T_ID] = "a text or an integer", [T_LINE] = "a text", [T_TEXT] = "a text",
    [T_URL] = "an absolute address such as https://example.org/", [T_WORD] = "a text",
    [T_INT] = "an integer from 0", [T_NUMBER] = "a number, a text", [T_NUMERAL] = "a number or a text",
    [T_LINES] = "a list of texts", [T_NUMERALS] = "a list of numbers or texts", [T_OBJECT] = "a table",
    [T_LIST] = "a list of tables", [T_NAMED] = "a list of tables of texts", [T_PAIRS] = "a table of texts",
    [T_ANY] = "anything", [T_STEPS] = "a table with kind, or a list of such tables",
};
/* clang-format on */

const char *src_json_words(const json_t *v)
{
    if (!v || json_is_null(v))
        return "nil";
    if (json_is_string(v))
        return "a text";
    if (json_is_integer(v))
        return "an integer";
    if (json_is_real(v))
        return "a number with a fraction";
    if (json_is_array(v))
        return "a list";
    return json_is_object(v) ? "a table" : "a boolean";
}

static json_t *wrong(struct shaper *sh, const char *fmt, ...) DZ_PRINTF(2, 3);
static json_t *wrong(struct shaper *sh, const char *fmt, ...)
{
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)dz_fail(sh->err, DZ_PARSE, "%s: %s", sh->path, text);
    return NULL;
}

/* A number is told as it is: "an integer" says nothing where one was expected. */
static const char *words_of(const json_t *v, char text[40])
{
    if (!json_is_number(v))
        return src_json_words(v);
    snprintf(text, 40, "%.15g", json_number_value(v));
    return text;
}

static json_t *mismatch(struct shaper *sh, const struct field *f, const json_t *v)
{
    char text[40];
    const char *null = f->flags & MUST ? "" : f->type == T_NUMBER ? " or null" : "";
    const char *got = f->type == T_INT ? words_of(v, text) : src_json_words(v);
    return wrong(sh, "expected %s%s, got %s", expected[f->type], null, got);
}

/* Appends to the path; returns where it ended before. */
static size_t enter(struct shaper *sh, const char *fmt, ...) DZ_PRINTF(2, 3);
static size_t enter(struct shaper *sh, const char *fmt, ...)
{
    size_t n = strlen(sh->path);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sh->path + n, sizeof(sh->path) - n, fmt, ap);
    va_end(ap);
    return n;
}

static void leave(struct shaper *sh, size_t n)
{
    sh->path[n] = 0;
}

static bool is_number_ok(const json_t *v)
{
    return json_is_integer(v) || (json_is_real(v) && fabs(json_real_value(v)) <= NUMBER_ABS_MAX);
}

static json_t *real_or_integer(const json_t *v)
{
    double x = json_number_value(v);
    if (json_is_integer(v))
        return json_integer(json_integer_value(v));
    return x == floor(x) ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *numeral(const json_t *v)
{
    json_t *n = real_or_integer(v);
    char text[40];
    if (json_is_integer(n))
        snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(n));
    else
        snprintf(text, sizeof(text), "%.12g", json_real_value(n));
    json_decref(n);
    return json_string(text);
}

static json_t *shape_text(struct shaper *sh, const struct field *f, const json_t *v)
{
    if (!json_is_string(v))
        return mismatch(sh, f, v);
    size_t n = json_string_length(v);
    bool cuts = f->type == T_LINE || f->type == T_TEXT;
    size_t most = f->type == T_TEXT  ? TEXT_MAX
                  : f->type == T_ID  ? DZ_SOURCE_ID_MAX
                  : f->type == T_URL ? DZ_FETCH_URL_MAX
                                     : LINE_BYTES;
    if (n > most && !cuts)
        return wrong(sh, "a text of %zu bytes, at most %zu", n, most);
    if (n == 0 && (f->flags & MUST || f->type == T_ID))
        return wrong(sh, "an empty text");
    dz_str s = dz_str_clip(dz_json_text(v), most);
    struct dz_url u;
    char shown[DZ_URL_SHOWN_MAX];
    if (f->type == T_URL && (dz_url_parse(s, &u, NULL) != DZ_OK || !u.scheme.p || !u.host.p))
        return wrong(sh, "expected %s, got \"%.60s\"", expected[T_URL], dz_url_show(s, shown));
    return json_stringn(s.p, s.n);
}

static json_t *shape_word(struct shaper *sh, const struct field *f, const json_t *v)
{
    if (!json_is_string(v))
        return mismatch(sh, f, v);
    char all[100] = "";
    size_t n = 0;
    for (const char *const *w = f->words; *w; w++) {
        if (strcmp(*w, json_string_value(v)) == 0)
            return json_string(*w);
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", n ? ", " : "", *w);
    }
    return wrong(sh, "expected one of %s, got \"%.40s\"", all, json_string_value(v));
}

static json_t *shape_value(struct shaper *sh, const struct field *f, const json_t *v);

static void unknown_member(struct shaper *sh, const struct field *f, const char *key)
{
    const char *names[32];
    for (size_t i = 0; i < f->fields_n; i++)
        names[i] = f->fields[i].name;
    const char *near = src_nearest(dz_str_of(key), names, f->fields_n);
    size_t at = enter(sh, ".%.60s", key);
    if (near)
        wrong(sh, "unknown; did you mean \"%s\"?", near);
    else
        wrong(sh, "unknown");
    leave(sh, at);
}

static const json_t *preset(const struct shaper *sh, const struct field *of, const char *name,
                            json_t **ret_made)
{
    dz_str text = {NULL, 0};
    bool known = of->fields == series || of->fields == chapter;
    if (known && strcmp(name, "id") == 0)
        text = sh->id;
    else if (of->fields == series && strcmp(name, "site") == 0)
        text = sh->site;
    *ret_made = text.n ? json_stringn(text.p, text.n) : NULL;
    return *ret_made;
}

static json_int_t part(const json_t *o, const char *name, json_int_t otherwise)
{
    const json_t *v = json_object_get(o, name);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

/* Parts may be missing: then some year, month or day must make it a day of the calendar. */
static bool is_calendar_date(struct shaper *sh, const json_t *o)
{
    json_int_t year = part(o, "year", 2000), month = part(o, "month", 1), day = part(o, "day", 1);
    if (year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 &&
        day <= src_month_days(year, (int)month))
        return true;
    static const char *const names[] = {"day", "month", "year"};
    char text[120] = "";
    size_t n = 0;
    for (size_t i = 0; i < DZ_LEN(names); i++)
        if (json_is_integer(json_object_get(o, names[i])))
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s = %" JSON_INTEGER_FORMAT,
                                  n ? ", " : "", names[i], part(o, names[i], 0));
    wrong(sh, "the calendar has no { %s }", text);
    return false;
}

static json_t *shape_object(struct shaper *sh, const struct field *f, const json_t *v)
{
    json_t *shorthand = NULL;
    if (f->fields == page && json_is_string(v)) { /* a page may be its address alone */
        shorthand = json_object();
        json_object_set(shorthand, "url", (json_t *)(uintptr_t)v);
        v = shorthand;
    }
    bool empty_list = json_is_array(v) && json_array_size(v) == 0;
    if (!json_is_object(v) && !empty_list)
        return mismatch(sh, f, v);
    json_t *o = json_object();
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)v, key, member)
    {
        size_t i = 0;
        while (i < f->fields_n && strcmp(f->fields[i].name, key) != 0)
            i++;
        if (i < f->fields_n)
            continue;
        unknown_member(sh, f, key);
        goto fail;
    }
    for (size_t i = 0; i < f->fields_n; i++) {
        const struct field *m = &f->fields[i];
        json_t *made = NULL;
        const json_t *given = json_object_get(v, m->name);
        if (!given || json_is_null(given))
            given = preset(sh, f, m->name, &made);
        if (!given && m->type == T_ANY)
            continue;
        size_t at = enter(sh, ".%s", m->name);
        json_t *shaped = shape_value(sh, m, given);
        leave(sh, at);
        json_decref(made);
        if (!shaped)
            goto fail;
        json_object_set_new(o, m->name, shaped);
    }
    if (f->fields == date && !is_calendar_date(sh, o))
        goto fail;
    json_decref(shorthand);
    return o;
fail:
    json_decref(shorthand);
    json_decref(o);
    return NULL;
}

/* A list whose elements are shaped as `each`. */
static json_t *shape_each(struct shaper *sh, const struct field *f, const struct field *each,
                          const json_t *v)
{
    bool empty_table = json_is_object(v) && json_object_size(v) == 0;
    if (!json_is_array(v) && !empty_table)
        return mismatch(sh, f, v);
    size_t n = json_array_size(v), most = f->flags & LONG ? DZ_SOURCE_LIST_MAX : SMALL_LIST_MAX;
    if (n > most)
        return wrong(sh, "a list of %zu, at most %zu", n, most);
    json_t *list = json_array();
    dz_str id = sh->id;
    sh->id.n = 0; /* the elements of a list name themselves */
    for (size_t i = 0; i < n && list; i++) {
        size_t at = enter(sh, "[%zu]", i + 1);
        json_t *shaped = shape_value(sh, each, json_array_get(v, i));
        leave(sh, at);
        if (shaped) {
            json_array_append_new(list, shaped);
        } else {
            json_decref(list);
            list = NULL;
        }
    }
    sh->id = id;
    return list;
}

static json_t *shape_pairs(struct shaper *sh, const struct field *f, const json_t *v)
{
    bool empty_list = json_is_array(v) && json_array_size(v) == 0;
    if (!json_is_object(v) && !empty_list)
        return mismatch(sh, f, v);
    size_t most = f->flags & LONG ? DZ_SOURCE_LIST_MAX : SMALL_LIST_MAX;
    if (json_object_size(v) > most)
        return wrong(sh, "a table of %zu members, at most %zu", json_object_size(v), most);
    static const struct field text = F("", T_LINE, .flags = MUST);
    json_t *o = json_object();
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)v, key, member)
    {
        size_t at = enter(sh, "[\"%.60s\"]", key);
        json_t *shaped = shape_text(sh, &text, member);
        leave(sh, at);
        if (!shaped) {
            json_decref(o);
            return NULL;
        }
        json_object_set_new(o, key, shaped);
    }
    return o;
}

static json_t *shape_named(struct shaper *sh, const struct field *f, const json_t *v)
{
    static const struct field names = F("", T_PAIRS, .flags = MUST);
    if (!json_is_object(v) || json_object_size(v) == 0)
        return shape_each(sh, f, &names, v);
    json_t *one = shape_pairs(sh, &names, v);
    json_t *list = one ? json_array() : NULL;
    if (list)
        json_array_append_new(list, one);
    return list;
}

/* ---- transforms ------------------------------------------------------------------------------ */

static bool integer_in(struct shaper *sh, const json_t *step, const char *name, json_int_t from,
                       json_int_t to, json_t *out)
{
    const json_t *v = json_object_get(step, name);
    bool absent = (!v || json_is_null(v)) && from == 0;
    if (!absent &&
        (!json_is_integer(v) || json_integer_value(v) < from || json_integer_value(v) > to)) {
        char text[40];
        size_t at = enter(sh, ".%s", name);
        wrong(sh,
              "expected an integer from %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT
              ", got %s",
              from, to, words_of(v, text));
        leave(sh, at);
        return false;
    }
    json_object_set_new(out, name, json_integer(absent ? 0 : json_integer_value(v)));
    return true;
}

static bool key_ok(const json_t *key, size_t places)
{
    if (json_is_string(key)) {
        struct dz_arena *a = dz_arena_new(DZ_MIB);
        const uint32_t *v;
        size_t n;
        bool good = json_string_length(key) <= KEY_TEXT_MAX &&
                    dz_retile_key(dz_json_text(key), a, &v, &n, NULL) == DZ_OK;
        dz_arena_free(&a);
        return good;
    }
    if (json_is_object(key)) {
        const json_t *tag = json_object_get(key, "exif");
        return json_object_size(key) == 1 && json_is_string(tag) && json_string_length(tag) > 0 &&
               json_string_length(tag) <= 100;
    }
    if (!json_is_array(key) || json_array_size(key) == 0 || json_array_size(key) > places)
        return false;
    for (size_t i = 0; i < json_array_size(key); i++) {
        const json_t *place = json_array_get(key, i);
        if (!json_is_integer(place) || json_integer_value(place) < 0 ||
            (uint64_t)json_integer_value(place) >= places)
            return false;
    }
    return true;
}

static json_t *shape_retile(struct shaper *sh, const json_t *step)
{
    static const char *const names[] = {"kind", "columns", "rows", "gap", "key"};
    json_t *o = json_pack("{s:s}", "kind", "retile");
    const char *name;
    json_t *member;
    bool good = integer_in(sh, step, "columns", 3, 1000, o) &&
                integer_in(sh, step, "rows", 3, 1000, o) && integer_in(sh, step, "gap", 0, 1000, o);
    json_object_foreach((json_t *)(uintptr_t)step, name, member)
    {
        bool known = false;
        for (size_t i = 0; i < DZ_LEN(names); i++)
            known |= strcmp(names[i], name) == 0;
        if (good && !known) {
            wrong(sh, "unknown member \"%.60s\" of a retile", name);
            good = false;
        }
    }
    if (good) {
        json_int_t columns = json_integer_value(json_object_get(o, "columns"));
        json_int_t rows = json_integer_value(json_object_get(o, "rows"));
        json_t *key = json_object_get(step, "key");
        if (key_ok(key, (size_t)((columns - 2) * (rows - 2)))) {
            json_object_set(o, "key", key);
            return o;
        }
        size_t at = enter(sh, ".key");
        wrong(sh, "expected { exif = \"TAG\" }, a list of places of inner tiles (from 0, below "
                  "(columns - 2) * (rows - 2)), or a text of them");
        leave(sh, at);
    }
    json_decref(o);
    return NULL;
}

static json_t *shape_step(struct shaper *sh, const json_t *step)
{
    const char *kind = json_string_value(json_object_get(step, "kind"));
    if (kind && strcmp(kind, "retile") == 0)
        return shape_retile(sh, step);
    if (kind && strcmp(kind, "drop_blank") == 0 && json_object_size(step) == 1)
        return json_pack("{s:s}", "kind", "drop_blank");
    if (kind && strcmp(kind, "drop_blank") == 0)
        return wrong(sh, "drop_blank has no further members");
    return wrong(sh, "expected a table with kind = \"retile\" or \"drop_blank\"");
}

static json_t *shape_steps(struct shaper *sh, const json_t *v)
{
    json_t *list = json_array(), *shaped = NULL;
    bool one = json_is_object(v) && json_object_size(v) > 0;
    size_t n = one ? 1 : json_array_size(v);
    if (!json_is_array(v) && !json_is_object(v)) {
        json_decref(list);
        return wrong(sh, "expected a table or a list of tables, got %s", src_json_words(v));
    }
    if (n > 8) {
        json_decref(list);
        return wrong(sh, "%zu transforms, at most 8", n);
    }
    for (size_t i = 0; i < n; i++) {
        size_t at = one ? strlen(sh->path) : enter(sh, "[%zu]", i + 1);
        shaped = shape_step(sh, one ? v : json_array_get(v, i));
        leave(sh, at);
        if (!shaped) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, shaped);
    }
    return list;
}

/* ---- any value ------------------------------------------------------------------------------- */

/* What stands for a value that the source did not give. */
static json_t *absent(struct shaper *sh, const struct field *f)
{
    if (f->flags & MUST)
        return mismatch(sh, f, NULL);
    switch (f->type) {
    case T_LINES:
    case T_NUMERALS:
    case T_LIST:
    case T_NAMED:
    case T_STEPS:
        return json_array();
    case T_PAIRS:
        return json_object();
    case T_OBJECT:
        if (f->flags & FILL) {
            json_t *o = json_object();
            for (size_t i = 0; i < f->fields_n; i++)
                json_object_set_new(o, f->fields[i].name, json_null());
            return o;
        }
        return json_null();
    default:
        return json_null();
    }
}

static json_t *shape_value(struct shaper *sh, const struct field *f, const json_t *v)
{
    static const struct field line = F("", T_LINE), numeral_field = F("", T_NUMERAL, .flags = MUST);
    if (!v || json_is_null(v))
        return absent(sh, f);
    switch (f->type) {
    case T_LINE:
    case T_TEXT:
    case T_URL:
        return shape_text(sh, f, v);
    case T_ID:
        return json_is_integer(v) ? numeral(v) : shape_text(sh, f, v);
    case T_WORD:
        return shape_word(sh, f, v);
    case T_INT:
        if (!is_number_ok(v) || json_number_value(v) < 0 ||
            json_number_value(v) != floor(json_number_value(v)))
            return mismatch(sh, f, v);
        return real_or_integer(v);
    case T_NUMBER:
        return is_number_ok(v) ? real_or_integer(v) : shape_text(sh, f, v);
    case T_NUMERAL:
        return is_number_ok(v) ? numeral(v) : shape_text(sh, f, v);
    case T_LINES:
        return shape_each(sh, f, &line, v);
    case T_NUMERALS:
        return shape_each(sh, f, &numeral_field, v);
    case T_LIST: {
        struct field each = *f;
        each.type = T_OBJECT;
        each.flags = MUST;
        return shape_each(sh, f, &each, v);
    }
    case T_OBJECT:
        return shape_object(sh, f, v);
    case T_NAMED:
        return shape_named(sh, f, v);
    case T_PAIRS:
        return shape_pairs(sh, f, v);
    case T_STEPS:
        return shape_steps(sh, v);
    case T_ANY:
        return json_deep_copy(v);
    }
    return NULL;
}

bool src_shape(enum dz_source_fn fn, dz_str site, dz_str id, const json_t *v, json_t **ret_v,
               struct dz_err *err)
{
    struct dz_err own = {0};
    struct shaper sh = {.site = site, .id = id, .err = &own};
    const struct field *f = &results[fn];
    snprintf(sh.path, sizeof(sh.path), "%s", f->name);
    json_t *shaped = shape_value(&sh, f, v);
    if (!shaped) {
        if (err)
            *err = own;
        return false;
    }
    *ret_v = shaped;
    return true;
}
