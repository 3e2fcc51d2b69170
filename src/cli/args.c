/*
 * args: the option parser of all commands, and the help that is made of the same rows.
 *
 * In: a command's table and its argv. Out: values by row and the operands, or words about what is
 * wrong. Nothing is copied but the list of operands. The odd thing: an option with a value may not
 * be given twice, because a script that does so has a fault that "the last one wins" would hide; a
 * switch may.
 */
#include <stdlib.h>

#include "cli/cli_int.h"

#define HELP_BYTES_MAX (64 * DZ_KIB)
#define HELP_COLUMN 26 /* where the words of an option begin */

static const struct dz_option common[] = {
    {"config", "FILE", "settings file (default: ./dozo.yaml when it exists)", 0},
    {"help", NULL, "this text", 'h'},
    {NULL, NULL, NULL, 0},
};

/* ---- nearest --------------------------------------------------------------------------------- */

const char *dz_nearest(dz_str typed, const char *(*name_at)(const void *table, size_t i),
                       const void *table)
{
    const char *best = NULL;
    unsigned best_distance = 0;
    const char *name;
    for (size_t i = 0; (name = name_at(table, i)); i++) {
        dz_str s = dz_str_of(name);
        unsigned distance = dz_str_distance(typed, s);
        /* A third of the letters wrong is a slip; so is a name that was only begun. */
        bool near = distance <= (s.n < 6 ? 2 : s.n / 3) && distance < s.n;
        bool begun = typed.n > 0 && dz_str_starts(s, typed);
        if ((near || begun) && (!best || distance < best_distance)) {
            best = name;
            best_distance = distance;
        }
    }
    return best;
}

/* Rows of the command's own table, then the common ones. */
static const char *option_name_at(const void *table, size_t i)
{
    const struct dz_option *own = table;
    size_t n = 0;
    while (own && own[n].name) {
        if (n == i)
            return own[n].name;
        n++;
    }
    return common[i - n].name;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* letter 0: by name. */
static const struct dz_option *find(const struct dz_option *table, dz_str name, char letter,
                                    size_t *ret_at)
{
    for (size_t i = 0; table && table[i].name; i++) {
        if (letter ? letter == table[i].letter : dz_str_eq(name, dz_str_of(table[i].name))) {
            *ret_at = i;
            return &table[i];
        }
    }
    return NULL;
}

static enum dz_code fail_unknown(const struct dz_option *options, const char *arg, dz_str name,
                                 struct dz_err *err)
{
    const char *near = dz_nearest(name, option_name_at, options);
    if (near)
        return dz_fail(err, DZ_BAD_INPUT, "unknown option \"%.60s\"; did you mean --%s?", arg,
                       near);
    return dz_fail(err, DZ_BAD_INPUT, "unknown option \"%.60s\"", arg);
}

/* --NAME, --NAME=VALUE, -L or -LVALUE: its name or letter, and a value that is part of it. */
static void split(const char *arg, dz_str *ret_name, char *ret_letter, const char **ret_value)
{
    bool is_long = arg[1] == '-';
    dz_str name = dz_str_of(arg + (is_long ? 2 : 1));
    size_t end = is_long ? dz_str_chr(name, '=') : 1;
    *ret_letter = is_long ? '\0' : name.p[0];
    *ret_value = end < name.n ? name.p + end + is_long : NULL;
    *ret_name = dz_str_sub(name, 0, is_long ? end : name.n);
}

/* Reads the option at argv[*at] and steps over a value that is an argument of its own. */
static enum dz_code read_option(const struct dz_option *options, int argc, char *const *argv,
                                int *at, struct dz_args *a, struct dz_err *err)
{
    const char *arg = argv[*at], *value;
    dz_str name;
    char letter;
    split(arg, &name, &letter, &value);

    size_t row = 0;
    const struct dz_option *o = find(options, name, letter, &row);
    const char **place = o ? &a->value[row] : &a->config;
    if (!o)
        o = find(common, name, letter, &row);
    if (!o || (letter && value && !o->value))
        return fail_unknown(options, arg, name, err);
    if (!o->value) {
        if (value)
            return dz_fail(err, DZ_BAD_INPUT, "--%s takes no value", o->name);
        if (o == &common[1])
            a->help = true;
        else
            *place = "";
        return DZ_OK;
    }
    if (!value && *at + 1 < argc)
        value = argv[++*at];
    if (!value || value[0] == '\0')
        return dz_fail(err, DZ_BAD_INPUT, "--%s needs a value: --%s %s", o->name, o->name,
                       o->value);
    if (*place)
        return dz_fail(err, DZ_BAD_INPUT, "--%s is given twice", o->name);
    *place = value;
    return DZ_OK;
}

enum dz_code dz_args_read(const struct dz_option *options, int argc, char *const *argv,
                          struct dz_args *ret_args, struct dz_err *err)
{
    struct dz_args a DZ_AUTO(dz_args_done) = {0};
    a.list = dz_zalloc(((size_t)argc + 1) * sizeof(*a.list));
    a.operands = a.list;
    bool only_operands = false;
    for (int i = 1; i < argc; i++) {
        if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0')
            a.list[a.operands_n++] = argv[i];
        else if (strcmp(argv[i], "--") == 0)
            only_operands = true;
        else
            DZ_TRY(read_option(options, argc, argv, &i, &a, err));
    }
    *ret_args = a;
    a.list = NULL;
    return DZ_OK;
}

void dz_args_done(struct dz_args *a)
{
    dz_freep(&a->list);
    a->operands = NULL;
    a->operands_n = 0;
}

/* ---- help ------------------------------------------------------------------------------------ */

static void put_rows(const struct dz_option *rows, struct dz_buf *out)
{
    for (size_t i = 0; rows && rows[i].name; i++) {
        size_t begin = out->n;
        dz_buf_put(out, DZ_S("  "));
        if (rows[i].letter)
            dz_buf_putf(out, "-%c, ", rows[i].letter);
        dz_buf_put(out, DZ_S("--"));
        dz_buf_put(out, dz_str_of(rows[i].name));
        if (rows[i].value) {
            dz_buf_putc(out, ' ');
            dz_buf_put(out, dz_str_of(rows[i].value));
        }
        do
            dz_buf_putc(out, ' ');
        while (!out->full && out->n - begin < HELP_COLUMN);
        dz_buf_put(out, dz_str_of(rows[i].help));
        dz_buf_putc(out, '\n');
    }
}

static void put_usage(const struct dz_command *cmd, struct dz_buf *out)
{
    struct dz_cursor c;
    dz_cursor_init(&c, dz_str_of(cmd->usage));
    for (bool first = true; !dz_cursor_end(&c); first = false) {
        dz_buf_put(out, first ? DZ_S("Usage: dozo ") : DZ_S("       dozo "));
        dz_buf_put(out, dz_cursor_until(&c, '\n'));
        dz_buf_putc(out, '\n');
        dz_cursor_next(&c);
    }
}

void dz_help_put(const struct dz_command *cmd, struct dz_buf *out)
{
    put_usage(cmd, out);
    dz_buf_putc(out, '\n');
    dz_buf_put(out, dz_str_of(cmd->help));
    dz_buf_put(out, DZ_S("\n\nOptions:\n"));
    put_rows(cmd->options, out);
    put_rows(common, out);
}

bool dz_args_begin(const struct dz_command *cmd, int argc, char *const *argv,
                   struct dz_args *ret_args, int *ret_status)
{
    struct dz_err err;
    struct dz_args a;
    if (dz_args_read(cmd->options, argc, argv, &a, &err) != DZ_OK) {
        *ret_status = dz_usage_error(cmd, "%s", err.text);
        return false;
    }
    if (a.help) {
        struct dz_buf out DZ_AUTO(dz_buf_done);
        dz_buf_init(&out, HELP_BYTES_MAX);
        dz_help_put(cmd, &out);
        dz_print(&out);
        dz_args_done(&a);
        *ret_status = DZ_EXIT_OK;
        return false;
    }
    *ret_args = a;
    return true;
}

int dz_usage_error(const struct dz_command *cmd, const char *fmt, ...)
{
    char words[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    dz_say(cmd, "%s", words);
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, HELP_BYTES_MAX);
    put_usage(cmd, &out);
    dz_buf_putf(&out, "Try: dozo %s --help\n", cmd->name);
    fwrite(out.p, 1, out.n, stderr);
    return DZ_EXIT_USAGE;
}
