/*
 * cli_int: what the commands share: options, messages, settings, the progress line.
 *
 * A command begins with
 *     struct dz_args a;
 *     int status;
 *     if (!dz_args_begin(&dz_cmd_NAME, argc, argv, &a, &status))
 *         return status;
 * and then asks a.value[OPT_…] by the index of the option's row, and a.operands. One thread.
 */
#pragma once

#include "cli/cli.h"

/* ---- args.c: options ------------------------------------------------------------------------- */

#define DZ_OPTIONS_MAX 16

struct dz_args {
    const char *value[DZ_OPTIONS_MAX]; /* by row; NULL: not given; a switch that was given is "" */
    const char *config;                /* --config; NULL: not given */
    bool help;
    const char *const *operands; /* in order, of argv */
    size_t operands_n;
    const char **list; /* owner of operands */
};

/* Options before, between and behind operands; "--" ends them; "--name value" and "--name=value";
 * "-" is an operand. DZ_BAD_INPUT for an unknown option (naming the nearest one), a missing, empty
 * or unwanted value, an option with a value given twice. Borrowed texts; dz_args_done frees the
 * list. */
DZ_MUST enum dz_code dz_args_read(const struct dz_option *options, int argc, char *const *argv,
                                  struct dz_args *ret_args, struct dz_err *err);
void dz_args_done(struct dz_args *a);
/* The same for a command, with its words: false means that --help was printed or the use is wrong,
 * and the command returns *ret_status. */
DZ_MUST bool dz_args_begin(const struct dz_command *cmd, int argc, char *const *argv,
                           struct dz_args *ret_args, int *ret_status);
/* Says what is wrong and where the help is; returns DZ_EXIT_USAGE. */
int dz_usage_error(const struct dz_command *cmd, const char *fmt, ...) DZ_PRINTF(2, 3);
/* The text of `dozo NAME --help`. */
void dz_help_put(const struct dz_command *cmd, struct dz_buf *out);

/* The name nearest to a mistyped one, NULL when none is near. name_at gives the i-th name, NULL
 * after the last. */
const char *dz_nearest(dz_str typed, const char *(*name_at)(const void *table, size_t i),
                       const void *table);

/* ---- say.c: words for people ----------------------------------------------------------------- */

/* Appends text of anybody: control characters, bytes that are no UTF-8, and what would turn the
 * direction of text as \xNN. Stops so that no more than `columns` are taken, cut texts end in
 * "..."; SIZE_MAX: no limit. Wide characters count 2, combining ones 0. Returns the columns taken.
 */
size_t dz_text_put(struct dz_buf *out, dz_str text, size_t columns);
/* "1 chapter", "12 chapters" */
void dz_count_put(struct dz_buf *out, uint64_t n, const char *one, const char *many);

/* "dozo import: words" and a newline on stderr, in one write, made safe by dz_text_put. */
void dz_say(const struct dz_command *cmd, const char *fmt, ...) DZ_PRINTF(2, 3);
/* Writes a finished text to stdout; a failure shows in dz_cli_main's exit status. */
void dz_print(const struct dz_buf *b);

/* ---- members.c: JSON objects of commands ------------------------------------------------------
 */

void dz_member_text(struct dz_json *j, const char *key, dz_str text); /* n = 0: null */
void dz_member_texts(struct dz_json *j, const char *key, const dz_str *v, size_t n);
void dz_member_int(struct dz_json *j, const char *key, int64_t n);
void dz_member_bool(struct dz_json *j, const char *key, bool b);
/* Unix milliseconds as "2026-11-21T09:20:35Z"; 0 or less: null. */
void dz_member_time(struct dz_json *j, const char *key, int64_t at_ms);

/* ---- settings -------------------------------------------------------------------------------- */

/* Loads settings (path NULL: ./dozo.yaml or defaults, and the environment) and starts the log on
 * stderr. On failure every fault is said, and the command returns DZ_EXIT_FAILED. The caller
 * unrefs. */
DZ_MUST bool dz_settings_load(const struct dz_command *cmd, const char *path,
                              struct dz_conf **ret_conf);

/* ---- progress.c: one line that is drawn over ------------------------------------------------- */

struct dz_progress_state {
    uint64_t done, total; /* total 0: not known */
    uint64_t rate;        /* a second; 0: not known yet */
    bool is_bytes;        /* else plain counts */
    const char *name;     /* what is being worked on; NULL: none */
};
/* The line for a terminal of so many columns; never more than columns - 1 wide, so that no terminal
 * wraps it. Pure. */
void dz_progress_line(const struct dz_progress_state *s, size_t columns, bool colour,
                      struct dz_buf *out);

/* On a terminal one line, drawn at most ten times a second. Elsewhere (no terminal, TERM=dumb) a
 * plain line for each dz_progress_step, at most one a second, without escape codes. Off: nothing.
 */
struct dz_progress {
    enum { DZ_PROGRESS_OFF, DZ_PROGRESS_PLAIN, DZ_PROGRESS_BAR } mode;
    bool colour, shown;
    int64_t start_ns, drawn_ns, plain_ns;
    uint64_t start_done; /* what was done before the first call does not count for the rate */
    bool started;
    struct dz_progress_state state;
};
void dz_progress_begin(struct dz_progress *p, bool is_bytes, bool off);
void dz_progress_set(struct dz_progress *p, uint64_t done, uint64_t total, const char *name);
void dz_progress_step(struct dz_progress *p, const char *name); /* one of many is finished */
/* before anything else is written; the next set draws again */
void dz_progress_clear(struct dz_progress *p);

/* ---- table.c: rows and columns --------------------------------------------------------------- */

#define DZ_TABLE_COLUMNS_MAX 12

struct dz_table {
    size_t columns;
    char **cells; /* row by row, the heads first */
    size_t n, cap;
};
void dz_table_init(struct dz_table *t, const char *const *heads, size_t columns);
void dz_table_add(struct dz_table *t, dz_str text); /* the next cell; any text */
/* No line is wider than `columns` (SIZE_MAX: no limit). */
void dz_table_put(const struct dz_table *t, size_t columns, const char *line_end,
                  struct dz_buf *out);
void dz_table_done(struct dz_table *t); /* also a DZ_AUTO handler */
/* Of stdout; false: it is no terminal, and nothing is written. */
bool dz_terminal_size(size_t *ret_columns, size_t *ret_rows);

/* ---- crawling ----------------------------------------------------------------------------------
 */

/* `import` of struct dz_crawler_options; arg is the struct dz_conf. */
enum dz_code dz_cli_import_paths(void *arg, const char *const *paths, size_t n, atomic_bool *stop,
                                 uint64_t *ret_chapters, struct dz_err *err);
int dz_cli_back(struct dz_conf *conf, const char *config_path); /* the back role (back.c) */

/* ---- sources --------------------------------------------------------------------------------- */

/* Makes DIR/NAME with a source and its test (source_new.c); the folder's path is appended to
 * ret_folder. DZ_BAD_INPUT: no name for a source; DZ_CONFLICT: there is something already. */
DZ_MUST enum dz_code dz_source_new(const char *dir, const char *name, struct dz_buf *ret_folder,
                                   struct dz_err *err);

/* ---- serving --------------------------------------------------------------------------------- */

/* The certificates of a running server (certs.c). */
struct dz_certs {
    struct dz_http_server *server;
    struct dz_conf *const *conf; /* the settings in effect, wherever their owner keeps them */
    uint64_t loaded, seen;       /* what the files looked like then, and at the last look */
    int64_t loaded_ns;
    struct dz_timer timer;
};
/* Reads what the settings name; nothing when they name none. Warnings go to the log. */
DZ_MUST enum dz_code dz_certs_load(struct dz_certs *certs, const struct dz_conf *c,
                                   struct dz_err *err);
void dz_certs_reload(struct dz_certs *certs, const struct dz_conf *c); /* says in the log how */
void dz_certs_watch(struct dz_certs *certs, struct dz_loop *l);        /* until the timer stops */

void dz_notify(const char *state); /* sd_notify(3): "READY=1" (notify.c) */
