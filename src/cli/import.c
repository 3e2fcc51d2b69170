/*
 * import: folders, archives and what other services leave behind into the library; and back to one.
 *
 * In: paths and options. Out: a library that holds them, a line of progress, words about what could
 * not be used, and a summary. The library does the work on this thread and tells it event by event.
 * SIGINT and SIGTERM only set a flag that the library looks at after each page; a second one ends
 * the process at once, which loses nothing either. A running server is told after chapters, at
 * most five times a second, and at the end, so that readers see them now and not at its next look.
 * Odd: settings of nagato go to stdout alone, to be sent to a file; the summary then stands on
 * stderr.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "cli/cli_int.h"
#include "cli/import_int.h"
#include "crawl/crawl.h"
#include "library/library.h"

#define JSON_BYTES_MAX (16 * DZ_MIB)
#define JSON_NOTES_MAX 10000u
#define NAME_BYTES_MAX (64 * DZ_KIB)
#define SETTINGS_BYTES_MAX (16 * DZ_MIB)
#define TELL_EVERY_NS (200 * (int64_t)1000000)

enum {
    OPT_SERIES,
    OPT_SHELF,
    OPT_EXPORT,
    OPT_TABLE,
    OPT_DATABASE,
    OPT_COLLECTION,
    OPT_DRY_RUN,
    OPT_JSON,
    OPT_QUIET
};
static const struct dz_option options[] = {
    [OPT_SERIES] = {"series", "NAME", "one series for everything, whatever names say", 0},
    [OPT_SHELF] = {"shelf", "NAME", "publish the series under /shelf/NAME/", 0},
    [OPT_EXPORT] = {"export", NULL, "kvm48, imoog: the other way, from here to there", 0},
    [OPT_TABLE] = {"table", "NAME", "imoog: the table in PostgreSQL (my_images)", 0},
    [OPT_DATABASE] = {"database", "NAME", "imoog: the database in MongoDB (imoog)", 0},
    [OPT_COLLECTION] = {"collection", "NAME", "imoog: the collection in it (images)", 0},
    [OPT_DRY_RUN] = {"dry-run", NULL, "imoog: count only, write nothing", 0},
    [OPT_JSON] = {"json", NULL, "the result as one JSON object on stdout", 0},
    [OPT_QUIET] = {"quiet", NULL, "no progress and no summary, only what went wrong", 0},
    {NULL, NULL, NULL, 0},
};

struct note { /* kept for --json */
    enum { NOTE_WARNING, NOTE_ERROR } kind;
    char *path, *entry, *text;
};

enum form { FORM_PATHS, FORM_KOMIZIP, FORM_NAGATO, FORM_KVM48, FORM_IMOOG };

struct run {
    const struct dz_args *args;
    enum form form;
    struct dz_progress progress;
    const char *data_dir;
    int64_t told_ns; /* when a server was told last; 0: not yet */
    bool quiet, json;
    struct note *notes;
    size_t notes_n, notes_cap;
    struct dz_buf settings; /* lines for dozo.yaml */
    struct dz_imoog_use imoog;
};

struct figure {
    const char *key;
    uint64_t n;
};

/* What an import of any form came to. */
struct outcome {
    struct dz_import_result library;
    struct dz_nagato_result nagato;
    struct dz_kvm48_result kvm48;
    struct dz_imoog_result imoog;
    uint64_t errors;
    int64_t spent_ms;
    enum dz_code code;
    struct dz_err err;
};

static atomic_bool stop;

static void on_signal(int signal)
{
    (void)signal;
    atomic_store(&stop, true);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- events ---------------------------------------------------------------------------------- */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] != '\0' ? slash + 1 : path;
}

static bool is_export(const struct run *r)
{
    return r->args->value[OPT_EXPORT] != NULL;
}

static void keep_note(struct run *r, int kind, const struct dz_import_event *e)
{
    if (!r->json || r->notes_n >= JSON_NOTES_MAX)
        return;
    if (r->notes_n == r->notes_cap) {
        r->notes_cap = r->notes_cap ? r->notes_cap * 2 : 16;
        r->notes = dz_realloc(r->notes, r->notes_cap * sizeof(*r->notes));
    }
    r->notes[r->notes_n++] = (struct note){
        .kind = kind,
        .path = dz_strdup(e->path ? e->path : ""),
        .entry = e->entry ? dz_strdup(e->entry) : NULL,
        .text = dz_strdup(e->text ? e->text : ""),
    };
}

static void say_note(struct run *r, const char *severity, const struct dz_import_event *e)
{
    dz_progress_clear(&r->progress);
    const char *path = e->path ? e->path : "";
    const char *text = e->text ? e->text : "cannot be used";
    if (e->entry)
        dz_say(&dz_cmd_import, "%s%s: %s: %s", severity, path, e->entry, text);
    else
        dz_say(&dz_cmd_import, "%s%s: %s", severity, path, text);
}

/* "chapter.cbz/004.png" */
static void show_progress(struct run *r, const struct dz_import_event *e)
{
    struct dz_buf name DZ_AUTO(dz_buf_done);
    dz_buf_init(&name, NAME_BYTES_MAX);
    dz_buf_put(&name, dz_str_of(last_part(e->path ? e->path : "")));
    if (e->entry) {
        dz_buf_putc(&name, '/');
        dz_buf_put(&name, dz_str_of(last_part(e->entry)));
    }
    dz_progress_set(&r->progress, e->done, e->total, dz_buf_cstr(&name));
}

static void tell_server(struct run *r)
{
    if (r->told_ns != 0 && dz_mono_ns() - r->told_ns < TELL_EVERY_NS)
        return;
    dz_bus_tell_changed(r->data_dir);
    r->told_ns = dz_mono_ns(); /* the time from its end: telling one that hangs takes long */
}

static void on_event(void *arg, const struct dz_import_event *e)
{
    struct run *r = arg;
    switch (e->kind) {
    case DZ_IMPORT_ERROR:
        keep_note(r, NOTE_ERROR, e);
        say_note(r, "", e);
        break;
    case DZ_IMPORT_WARNING:
        keep_note(r, NOTE_WARNING, e);
        if (!r->quiet)
            say_note(r, "warning: ", e);
        break;
    case DZ_IMPORT_CHAPTER:
        tell_server(r);
        dz_progress_step(&r->progress, e->path ? e->path : "");
        break;
    case DZ_IMPORT_SKIPPED:
        dz_progress_step(&r->progress, e->path ? e->path : "");
        break;
    case DZ_IMPORT_PLAN:
    case DZ_IMPORT_PAGE:
        break;
    }
    show_progress(r, e);
}

/* ---- result ---------------------------------------------------------------------------------- */

/* " (12 new, 3 unchanged)"; nothing when all are 0. */
static void put_parts(struct dz_buf *b, const struct figure *v, size_t n)
{
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        if (v[i].n == 0)
            continue;
        dz_buf_put(b, first ? DZ_S(" (") : DZ_S(", "));
        dz_buf_put_u64(b, v[i].n);
        dz_buf_putf(b, " %s", v[i].key);
        first = false;
    }
    if (!first)
        dz_buf_putc(b, ')');
}

static void put_library(struct dz_buf *b, const struct dz_import_result *res)
{
    uint64_t chapters = res->chapters_new + res->chapters_changed + res->chapters_same;
    dz_count_put(b, chapters, "chapter", "chapters");
    const struct figure parts[] = {{"new", res->chapters_new},
                                   {"changed", res->chapters_changed},
                                   {"unchanged", res->chapters_same}};
    put_parts(b, parts, DZ_LEN(parts));
    /* What was stored; silent when all was there already. */
    if (res->pages + res->assets + res->bytes > 0 || chapters != res->chapters_same) {
        dz_buf_put(b, DZ_S(", "));
        dz_count_put(b, res->pages, "page", "pages");
        dz_buf_put(b, DZ_S(", "));
        if (res->assets > 0) {
            dz_count_put(b, res->assets, "other file", "other files");
            dz_buf_put(b, DZ_S(", "));
        }
        dz_buf_put_size(b, res->bytes);
    }
}

static void put_nagato(struct dz_buf *b, const struct dz_nagato_result *res)
{
    const struct figure marks[] = {{"new", res->marks_new},
                                   {"unchanged", res->marks_same},
                                   {"kept as they are here", res->marks_kept}};
    const struct figure favourites[] = {{"new", res->favourites_new},
                                        {"unchanged", res->favourites_same}};
    dz_count_put(b, res->marks_new + res->marks_same + res->marks_kept, "mark", "marks");
    put_parts(b, marks, DZ_LEN(marks));
    dz_buf_put(b, DZ_S(", "));
    dz_count_put(b, res->favourites_new + res->favourites_same, "favourite", "favourites");
    put_parts(b, favourites, DZ_LEN(favourites));
}

static void put_kvm48(struct dz_buf *b, const struct run *r, const struct dz_kvm48_result *res)
{
    const struct figure parts[] = {
        {"new", res->records_new},
        {"unchanged", res->records_same},
        {is_export(r) ? "kept as they are there" : "kept as they are here", res->records_kept}};
    dz_count_put(b, res->records_new + res->records_same + res->records_kept, "record", "records");
    put_parts(b, parts, DZ_LEN(parts));
}

static uint64_t warnings_of(const struct outcome *o)
{
    return o->library.warnings + o->kvm48.warnings + o->imoog.warnings;
}

static void put_summary(struct dz_buf *b, const struct run *r, const struct outcome *o)
{
    if (r->form == FORM_NAGATO)
        put_nagato(b, &o->nagato);
    else if (r->form == FORM_KVM48)
        put_kvm48(b, r, &o->kvm48);
    else if (r->form == FORM_IMOOG)
        dz_imoog_put(b, &r->imoog, &o->imoog);
    else
        put_library(b, &o->library);
    dz_buf_putf(b, " in %.1f s", (double)o->spent_ms / 1000);
    if (o->errors > 0) {
        dz_buf_put(b, DZ_S("; "));
        dz_count_put(b, o->errors, "error", "errors");
    }
    if (warnings_of(o) > 0) {
        dz_buf_put(b, DZ_S("; "));
        dz_count_put(b, warnings_of(o), "warning", "warnings");
    }
}

static void put_notes(struct dz_json *j, const struct run *r, const char *key, int kind)
{
    dz_json_key(j, dz_str_of(key));
    dz_json_array(j);
    for (size_t i = 0; i < r->notes_n; i++) {
        const struct note *n = &r->notes[i];
        if ((int)n->kind != kind)
            continue;
        dz_json_object(j);
        dz_json_key(j, DZ_S("path"));
        dz_json_str(j, dz_str_of(n->path));
        if (n->entry) {
            dz_json_key(j, DZ_S("entry"));
            dz_json_str(j, dz_str_of(n->entry));
        }
        dz_json_key(j, DZ_S("text"));
        dz_json_str(j, dz_str_of(n->text));
        dz_json_end(j);
    }
    dz_json_end(j);
}

static void put_figures(struct dz_json *j, const struct run *r, const struct outcome *o)
{
    const struct dz_import_result *res = &o->library;
    const struct dz_nagato_result *g = &o->nagato;
    const struct figure library[] = {
        {"series", res->series},
        {"chapters_new", res->chapters_new},
        {"chapters_changed", res->chapters_changed},
        {"chapters_unchanged", res->chapters_same},
        {"pages", res->pages},
        {"assets", res->assets},
        {"bytes", res->bytes},
        {"warnings", res->warnings},
    };
    const struct figure nagato[] = {
        {"marks_new", g->marks_new},
        {"marks_unchanged", g->marks_same},
        {"marks_kept", g->marks_kept},
        {"favourites_new", g->favourites_new},
        {"favourites_unchanged", g->favourites_same},
    };
    const struct figure kvm48[] = {
        {"records_new", o->kvm48.records_new},
        {"records_unchanged", o->kvm48.records_same},
        {"records_kept", o->kvm48.records_kept},
        {"warnings", o->kvm48.warnings},
    };
    const struct figure imoog[] = {
        {"uploads_new", o->imoog.uploads_new},
        {"uploads_unchanged", o->imoog.uploads_same},
        {"uploads_kept", o->imoog.uploads_kept},
        {"uploads_adopted", o->imoog.adopted},
        {"bytes", o->imoog.bytes},
        {"same_database", o->imoog.is_same},
        {"warnings", o->imoog.warnings},
    };
    const struct figure both[] = {{"errors", o->errors}, {"duration_ms", (uint64_t)o->spent_ms}};
    const struct figure *v = library;
    size_t n = DZ_LEN(library);
    if (r->form == FORM_NAGATO) {
        v = nagato;
        n = DZ_LEN(nagato);
    } else if (r->form == FORM_KVM48) {
        v = kvm48;
        n = DZ_LEN(kvm48);
    } else if (r->form == FORM_IMOOG) {
        v = imoog;
        n = DZ_LEN(imoog);
    }
    for (size_t i = 0; i < n + DZ_LEN(both); i++) {
        const struct figure *figure = i < n ? &v[i] : &both[i - n];
        dz_member_int(j, figure->key, (int64_t)figure->n);
    }
}

static void put_json(struct dz_buf *b, const struct run *r, const struct outcome *o)
{
    struct dz_json j;
    dz_json_init(&j, b, DZ_JSON_INDENT4, false);
    dz_json_object(&j);
    dz_member_bool(&j, "ok", o->code == DZ_OK && o->errors == 0);
    put_figures(&j, r, o);
    if (o->code != DZ_OK)
        dz_member_text(&j, "failure", dz_str_of(o->err.text));
    if (r->settings.n > 0)
        dz_member_text(&j, "settings", dz_buf_str(&r->settings));
    put_notes(&j, r, "error_list", NOTE_ERROR);
    put_notes(&j, r, "warning_list", NOTE_WARNING);
    dz_json_end(&j);
    dz_buf_putc(b, '\n');
}

static const char *words_of_stop(const struct run *r)
{
    if (is_export(r) && r->form == FORM_KVM48)
        return "stopped; nothing was written";
    if (r->form == FORM_NAGATO || r->form == FORM_KVM48 || r->form == FORM_IMOOG)
        return "stopped; what was taken is kept, the same command goes on from here";
    return "stopped; finished chapters are kept, the same command goes on from here";
}

static void finish(struct run *r, const struct outcome *o)
{
    dz_progress_clear(&r->progress);
    if (o->code == DZ_CANCELLED)
        dz_say(&dz_cmd_import, "%s", words_of_stop(r));
    else if (o->code != DZ_OK)
        dz_say(&dz_cmd_import, "%s", o->err.text);
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, JSON_BYTES_MAX + SETTINGS_BYTES_MAX);
    bool summary = !r->json && !r->quiet && o->code == DZ_OK;
    if (r->json)
        put_json(&out, r, o);
    else if (summary)
        put_summary(&out, r, o);
    if (summary && r->settings.n > 0) {
        dz_say(&dz_cmd_import, "%s", dz_buf_cstr(&out));
        dz_buf_clear(&out);
    } else if (summary) {
        dz_buf_putc(&out, '\n');
    }
    if (!r->json)
        dz_buf_put(&out, dz_buf_str(&r->settings));
    dz_print(&out);
}

/* ---- the command ----------------------------------------------------------------------------- */

static void import_kvm48(struct run *r, const struct dz_conf *conf, struct dz_library *l,
                         const struct dz_import_options *o, struct outcome *out)
{
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = NULL;
    out->code = dz_kvm48_collection(conf, dz_library_catalog(l), &coll, &out->err);
    if (out->code == DZ_OK)
        out->code = dz_library_kvm48(l, coll, is_export(r), r->args->operands[1], o, &out->kvm48,
                                     &out->err);
    out->errors = out->kvm48.errors;
    if (!is_export(r) && out->kvm48.records_new > 0)
        dz_bus_tell_changed(r->data_dir);
}

static void import_imoog(struct run *r, struct dz_library *l, const struct dz_import_options *o,
                         const struct dz_imoog_place *place, struct outcome *out)
{
    out->code =
        dz_library_imoog(l, place, r->imoog.is_export, r->imoog.dry_run, o, &out->imoog, &out->err);
    out->errors = out->imoog.errors;
}

static void import(struct run *r, const struct dz_conf *conf, struct dz_library *l,
                   const struct dz_imoog_place *imoog, struct outcome *out)
{
    const struct dz_args *a = r->args;
    struct dz_import_options o = {
        .series = a->value[OPT_SERIES],
        .shelf = a->value[OPT_SHELF],
        .event = on_event,
        .arg = r,
        .stop = &stop,
    };
    if (r->form == FORM_KVM48) {
        import_kvm48(r, conf, l, &o, out);
        return;
    }
    if (r->form == FORM_IMOOG) {
        import_imoog(r, l, &o, imoog, out);
        return;
    }
    if (r->form == FORM_NAGATO) {
        out->code = dz_library_import_nagato(l, a->operands[1], &o, &out->nagato, &out->err);
        out->errors = out->nagato.errors;
        return;
    }
    struct dz_import_result *result = &out->library;
    if (r->form == FORM_KOMIZIP)
        out->code =
            dz_library_import_komizip(l, a->operands[1], a->operands[2], &o, result, &out->err);
    else
        out->code = dz_library_import(l, a->operands, a->operands_n, &o, result, &out->err);
    out->errors = result->errors;
    if (result->chapters_new + result->chapters_changed + result->assets + result->series > 0)
        dz_bus_tell_changed(r->data_dir);
}

static int import_with(struct run *r, struct dz_conf *conf)
{
    DZ_AUTO(dz_library_close) struct dz_library *l = NULL;
    DZ_AUTO(dz_arena_free) struct dz_arena *arena = dz_arena_new(SETTINGS_BYTES_MAX);
    struct dz_imoog_place imoog = {.driver = NULL};
    struct outcome o = {0};
    /* First, so that nothing is stored when the other file cannot be read. */
    if (r->form == FORM_IMOOG)
        o.code = dz_imoog_place_of(&r->imoog, arena, &imoog, &r->settings, &o.err);
    if (r->form == FORM_NAGATO && r->args->operands_n == 3)
        o.code = dz_library_nagato_settings(r->args->operands[2], &r->settings, &o.err);
    if (o.code == DZ_OK)
        o.code = dz_library_open(conf, &l, &o.err);
    if (o.code != DZ_OK) {
        dz_say(&dz_cmd_import, "%s", o.err.text);
        return DZ_EXIT_FAILED;
    }
    catch_signals();
    r->data_dir = conf->data_dir;
    dz_progress_begin(&r->progress, true,
                      r->quiet || r->form == FORM_NAGATO || r->form == FORM_KVM48 ||
                          r->form == FORM_IMOOG);
    int64_t begin_ns = dz_mono_ns();
    import(r, conf, l, &imoog, &o);
    o.spent_ms = (dz_mono_ns() - begin_ns) / 1000000;
    finish(r, &o);
    return o.code == DZ_OK && o.errors == 0 ? DZ_EXIT_OK : DZ_EXIT_FAILED;
}

static enum form form_of(const struct dz_args *a)
{
    if (a->operands_n > 0 && strcmp(a->operands[0], "komizip") == 0)
        return FORM_KOMIZIP;
    if (a->operands_n > 0 && strcmp(a->operands[0], "nagato") == 0)
        return FORM_NAGATO;
    if (a->operands_n > 0 && strcmp(a->operands[0], "kvm48") == 0)
        return FORM_KVM48;
    if (a->operands_n > 0 && strcmp(a->operands[0], "imoog") == 0)
        return FORM_IMOOG;
    return FORM_PATHS;
}

/* DZ_EXIT_OK, or what is wrong with the use was said. */
static int check_use(const struct dz_args *a)
{
    const char *shelf = a->value[OPT_SHELF];
    if (a->operands_n == 0)
        return dz_usage_error(&dz_cmd_import, "what is to be imported?");
    for (size_t i = 0; i < a->operands_n; i++)
        if (a->operands[i][0] == '\0')
            return dz_usage_error(&dz_cmd_import, "a path is empty");
    if (shelf && !dz_conf_is_shelf_name(dz_str_of(shelf)))
        return dz_usage_error(&dz_cmd_import,
                              "--shelf \"%.100s\": a name is " DZ_CONF_SHELF_NAME_WORDS, shelf);
    enum form form = form_of(a);
    if (form == FORM_NAGATO && (a->operands_n < 2 || a->operands_n > 3))
        return dz_usage_error(
            &dz_cmd_import,
            "nagato needs NAGATO_DB and takes CONF_JSON (a folder of that name: ./nagato)");
    if (form == FORM_KVM48 && a->operands_n != 2)
        return dz_usage_error(&dz_cmd_import,
                              "kvm48 needs DATA_DB (a folder of that name: ./kvm48)");
    if (form == FORM_IMOOG && a->operands_n != 2)
        return dz_usage_error(
            &dz_cmd_import,
            "imoog needs SETTINGS_PY or the URI of its database (a folder of that name: ./imoog)");
    if ((form == FORM_NAGATO || form == FORM_KVM48 || form == FORM_IMOOG) &&
        (shelf || a->value[OPT_SERIES]))
        return dz_usage_error(&dz_cmd_import, "%s takes neither --series nor --shelf",
                              a->operands[0]);
    if (form != FORM_KVM48 && form != FORM_IMOOG && a->value[OPT_EXPORT])
        return dz_usage_error(&dz_cmd_import, "--export goes with kvm48 and imoog only");
    for (size_t i = OPT_TABLE; i <= OPT_DRY_RUN; i++)
        if (form != FORM_IMOOG && a->value[i])
            return dz_usage_error(&dz_cmd_import, "--%s goes with imoog only", options[i].name);
    if (form != FORM_KOMIZIP)
        return DZ_EXIT_OK;
    if (a->operands_n != 3)
        return dz_usage_error(
            &dz_cmd_import,
            "komizip needs CHAPTERS_JSON and CDN_FOLDER (a folder of that name: ./komizip)");
    if (!shelf)
        return dz_usage_error(&dz_cmd_import, "komizip needs --shelf NAME");
    return DZ_EXIT_OK;
}

static void forget_notes(struct run *r)
{
    for (size_t i = 0; i < r->notes_n; i++) {
        free(r->notes[i].path);
        free(r->notes[i].entry);
        free(r->notes[i].text);
    }
    dz_freep(&r->notes);
}

static int run_import(int argc, char **argv)
{
    struct dz_args a;
    int status;
    if (!dz_args_begin(&dz_cmd_import, argc, argv, &a, &status))
        return status;
    status = check_use(&a);
    struct dz_conf *conf = NULL;
    if (status == DZ_EXIT_OK && !dz_settings_load(&dz_cmd_import, a.config, &conf))
        status = DZ_EXIT_FAILED;
    if (status == DZ_EXIT_OK) {
        struct run r = {.args = &a,
                        .form = form_of(&a),
                        .quiet = a.value[OPT_QUIET] != NULL,
                        .json = a.value[OPT_JSON] != NULL};
        r.imoog = (struct dz_imoog_use){.where = r.form == FORM_IMOOG ? a.operands[1] : NULL,
                                        .table = a.value[OPT_TABLE],
                                        .database = a.value[OPT_DATABASE],
                                        .collection = a.value[OPT_COLLECTION],
                                        .is_export = a.value[OPT_EXPORT] != NULL,
                                        .dry_run = a.value[OPT_DRY_RUN] != NULL};
        dz_buf_init(&r.settings, SETTINGS_BYTES_MAX);
        status = import_with(&r, conf);
        dz_buf_done(&r.settings);
        forget_notes(&r);
    }
    dz_conf_unref(&conf);
    dz_args_done(&a);
    return status;
}

const struct dz_command dz_cmd_import = {
    .name = "import",
    .summary = "take folders of images and comic archives into the library",
    .usage = "import PATH… [--series NAME] [--shelf NAME]\n"
             "import komizip CHAPTERS_JSON CDN_FOLDER --shelf NAME\n"
             "import nagato NAGATO_DB [CONF_JSON]\n"
             "import kvm48 [--export] DATA_DB\n"
             "import imoog [--export] [--dry-run] SETTINGS_PY|URI",
    .help = "Takes folders of images, trees of them, and archives (CBZ, ZIP, CBR, CB7, CBT)\n"
            "into the library. Titles and numbers come from ComicInfo.xml where there is\n"
            "one, else from names. Importing the same again changes nothing. What is broken\n"
            "is named and does not stop the rest. Ctrl-C ends after the page at hand; the\n"
            "same command goes on from there.\n"
            "\n"
            "The second form takes over the data files of a komizip service, byte for byte.\n"
            "A folder that is called komizip: dozo import ./komizip\n"
            "\n"
            "The third form takes over the marks and favourites of a nagato service, and\n"
            "prints its settings as lines for dozo.yaml. Neither file is changed, and what\n"
            "is known here stays.\n"
            "\n"
            "The fourth form takes over data.db of a KVM48 server, or with --export writes\n"
            "one that such a server opens as its own: a new file, or records that one of\n"
            "KVM48 does not have yet.\n"
            "\n"
            "The fifth form takes over the files of an imoog, with their ids: from the\n"
            "database that its settings file names in plain values (which is read and never\n"
            "run, and also printed as lines for dozo.yaml), or from postgres://... or\n"
            "mongodb://... . With --export uploads from here go there. What either side has\n"
            "already stays.\n"
            "\n"
            "Exit status: 0 all fine, 1 something could not be imported (the rest was), 2\n"
            "wrong use.",
    .options = options,
    .run = run_import,
};
