/*
 * download_args: what a download is to be: from the infos of a source to the row of a job, and back
 * to something that can be acted on.
 *
 * In: chapter and series as contracts/nagato.md 4.1 has them, and the settings. Out: a job row with
 * an id that nobody else has, names that mean one component of a path, and the infos that
 * ComicInfo.xml is made of. A row that was read is checked again: whoever can write the catalog
 * must still not write outside of the destination. Any thread.
 */
#include "crawl/download_int.h"

#include <stdlib.h>

#define ARGS_BYTES_MAX (64 * DZ_KIB) /* beyond, the description is left out */
#define NAME_BYTES_MAX 255u

/* ---- the row --------------------------------------------------------------------------------- */

struct values {
    const json_t *chapter, *series;
    struct dz_arena *arena;
};

static dz_str value_of(void *arg, const char *name)
{
    const struct values *v = arg;
    if (strcmp(name, "manga") == 0)
        return dz_json_text_at(v->series, "title");
    if (strcmp(name, "manga_id") == 0)
        return dz_json_text_at(v->series, "id");
    if (strcmp(name, "team") == 0)
        return dz_json_text_at(json_object_get(v->chapter, "team"), "name");
    return dz_json_scalar_text(v->arena, json_object_get(v->chapter, name));
}

static enum dz_code file_name(const struct dz_conf *conf, struct values *v, struct dz_buf *out,
                              struct dz_err *err)
{
    struct dz_template *t = NULL;
    DZ_TRY(dz_template_parse(dz_str_of(conf->downloads.format), dz_download_names, &t, err));
    DZ_AUTO(dz_buf_done) struct dz_buf raw;
    dz_buf_init(&raw, DZ_MIB);
    dz_template_write(t, value_of, v, &raw);
    dz_template_free(&t);
    dz_file_name_put(dz_buf_str(&raw), DZ_S(""), out);
    return DZ_OK;
}

/* 22 characters of the URL-safe alphabet. */
static dz_str new_id(struct dz_arena *a)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char raw[22];
    char *id = dz_arena_alloc(a, sizeof(raw));
    dz_random(raw, sizeof(raw));
    for (size_t i = 0; i < sizeof(raw); i++)
        id[i] = alphabet[raw[i] % 64];
    return (dz_str){id, sizeof(raw)};
}

static dz_str dump(const json_t *v, struct dz_arena *a)
{
    char *text = json_dumps(v, JSON_COMPACT);
    dz_str s = dz_arena_str(a, dz_str_of(text ? text : "{}"));
    free(text);
    return s;
}

/* A copy that may be changed; {} for NULL. */
static json_t *copy_of(const json_t *v)
{
    json_t *copy = json_is_object(v) ? json_copy((json_t *)v) : NULL;
    return copy ? copy : json_object();
}

static dz_str args_text(json_t *args, struct dz_arena *a)
{
    dz_str text = dump(args, a);
    if (text.n <= ARGS_BYTES_MAX)
        return text;
    static const char *const large[] = {"description", "alt_titles", "links", "tags", "genres"};
    json_t *series = json_object_get(args, "series_info");
    for (size_t i = 0; i < DZ_LEN(large) && text.n > ARGS_BYTES_MAX; i++) {
        json_object_del(series, large[i]);
        text = dump(args, a);
    }
    return text;
}

enum dz_code crawl_download_row(const struct dz_conf *conf, dz_str source, const json_t *chapter,
                                const json_t *series, const char *method, bool add_mark,
                                struct dz_arena *a, struct dz_job_rec *ret_job, struct dz_err *err)
{
    method = method ? method : conf->downloads.method;
    enum dz_download_method known;
    if (!dz_conf_method_find(method, &known))
        return dz_fail(err, DZ_BAD_INPUT, "\"%.100s\" is no method: " DZ_CONF_METHOD_WORDS, method);
    DZ_AUTO(dz_buf_done) struct dz_buf file, folder;
    dz_buf_init(&file, DZ_KIB);
    dz_buf_init(&folder, DZ_KIB);
    struct values v = {chapter, series, a};
    DZ_TRY(file_name(conf, &v, &file, err));
    if (conf->downloads.separate)
        dz_file_name_put(dz_json_text_at(series, "title"), DZ_S(""), &folder);
    const json_t *pages = json_object_get(chapter, "pages");
    json_t *args = json_object();
    json_object_set(args, "chapter", json_object_get(chapter, "id"));
    json_object_set(args, "series", json_object_get(series, "id"));
    json_object_set_new(args, "file", json_stringn(file.p ? file.p : "", file.n));
    json_object_set_new(args, "folder", json_stringn(folder.p ? folder.p : "", folder.n));
    json_object_set_new(args, "method", json_string(method));
    json_object_set_new(args, "add_mark", json_boolean(add_mark));
    json_object_set_new(args, "pages",
                        json_is_integer(pages) ? json_incref((json_t *)pages) : json_null());
    json_object_set_new(args, "info", copy_of(chapter));
    json_object_set_new(args, "series_info", copy_of(series));
    *ret_job = (struct dz_job_rec){
        .kind = DZ_S(DZ_JOB_DOWNLOAD),
        .source = dz_arena_str(a, source),
        .target = new_id(a),
        .args = args_text(args, a),
    };
    json_decref(args);
    return DZ_OK;
}

/* ---- reading it ------------------------------------------------------------------------------ */

static bool is_component(dz_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '/' || (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return s.n > 0 && s.n <= NAME_BYTES_MAX && !dz_str_eq(s, DZ_S(".")) &&
           !dz_str_eq(s, DZ_S("..")) && !dz_str_starts(s, DZ_S(".dozo-"));
}

static enum dz_code read_args(struct download_args *d, struct dz_err *err)
{
    const json_t *pages = json_object_get(d->json, "pages");
    d->chapter = dz_json_text_at(d->json, "chapter");
    d->series = dz_json_text_at(d->json, "series");
    d->file = dz_json_text_at(d->json, "file");
    d->folder = dz_json_text_at(d->json, "folder");
    d->add_mark = json_is_true(json_object_get(d->json, "add_mark"));
    d->info = json_object_get(d->json, "info");
    d->series_info = json_object_get(d->json, "series_info");
    json_int_t n = json_integer_value(pages);
    d->pages = n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
    if (d->chapter.n == 0)
        return dz_fail(err, DZ_BAD_INPUT, "the download names no chapter");
    if (!is_component(d->file) || (d->folder.n > 0 && !is_component(d->folder)))
        return dz_fail(err, DZ_BAD_INPUT, "the download has no name that a file can have");
    if (!dz_conf_method_find(dz_json_text_at(d->json, "method").p, &d->method))
        return dz_fail(err, DZ_BAD_INPUT, "the download has no method that is known");
    return DZ_OK;
}

enum dz_code download_args_read(dz_str json, struct download_args *ret_args, struct dz_err *err)
{
    struct download_args d = {.json =
                                  json_loadb(json.p ? json.p : "", json.n, JSON_ALLOW_NUL, NULL)};
    if (!json_is_object(d.json)) {
        json_decref(d.json);
        return dz_fail(err, DZ_BAD_INPUT, "the download says nothing of what it is");
    }
    enum dz_code code = read_args(&d, err);
    if (code == DZ_OK)
        *ret_args = d;
    else
        json_decref(d.json);
    return code;
}

/* ---- ComicInfo.xml --------------------------------------------------------------------------- */

/* Texts, or the "name" of objects, joined by ", ". */
static dz_str joined(const json_t *list, struct dz_arena *a)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)list, i, v)
    {
        const json_t *text = json_is_object(v) ? json_object_get(v, "name") : v;
        if (json_string_length(text) == 0)
            continue;
        if (b.n)
            dz_buf_put(&b, DZ_S(", "));
        dz_buf_put(&b, dz_json_text(text));
    }
    return dz_arena_str(a, dz_buf_str(&b));
}

static int64_t integer_of(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

void download_comicinfo(const struct download_args *d, const struct crawl_kept *pages, size_t n,
                        const struct dz_conf *conf, struct dz_arena *a, struct dz_buf *out)
{
    struct dz_comicinfo_page *v = dz_arena_alloc(a, (n ? n : 1) * sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i] = (struct dz_comicinfo_page){pages[i].blob.bytes, pages[i].blob.width,
                                          pages[i].blob.height};
    const json_t *date = json_object_get(d->info, "date");
    struct dz_comicinfo_out c = {
        .title = dz_json_text_at(d->info, "title"),
        .series = dz_json_text_at(d->series_info, "title"),
        .number = dz_json_scalar_text(a, json_object_get(d->info, "chapter")),
        .summary = dz_json_text_at(d->series_info, "description"),
        .notes = DZ_S("Made by dozo"),
        .web = dz_json_text_at(d->info, "url"),
        .volume = integer_of(d->info, "volume"),
        .year = integer_of(date, "year"),
        .month = integer_of(date, "month"),
        .day = integer_of(date, "day"),
        .writer = joined(json_object_get(d->series_info, "authors"), a),
        .penciller = joined(json_object_get(d->series_info, "artists"), a),
        .translator = dz_json_text_at(json_object_get(d->info, "team"), "name"),
        .genre = joined(json_object_get(d->series_info, "genres"), a),
        .tags = joined(json_object_get(d->series_info, "tags"), a),
        .language = dz_json_text_at(d->info, "lang"),
        .manga = DZ_S("Yes"),
        .rating = dz_json_text_at(d->series_info, "rating"),
        .pages = v,
        .pages_n = n,
        .sizes = conf->downloads.comicinfo_sizes,
        .is_21 = conf->downloads.comicinfo_21,
    };
    dz_comicinfo_write(&c, out);
}
