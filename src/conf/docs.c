/*
 * docs: docs/settings.md, from the rows of the table and the introductions below.
 *
 * Markdown into the caller's buffer: a table a section with key, default, what it takes, variable,
 * meaning. Nothing is read. A section without an introduction here still gets its heading and its
 * table.
 */
#include "conf/conf_int.h"

struct section {
    const char *name, *words;
};

/* clang-format off */
static const char intro[] =
    "# Settings\n"
    "\n"
    "This page is made by `dozo config docs` from the table that also loads and checks the settings.\n"
    "\n"
    "- **File.** `--config FILE`, else `dozo.yaml` in the working folder, else the defaults: every key has one. Any key may\n"
    "  be left out. `dozo config check` tells all faults with file, line and the nearest valid name; `dozo config dump` shows\n"
    "  what counts, secrets as `***`.\n"
    "- **YAML** without anchors, aliases and tags, at most 1 MiB, one document. A key twice, an unknown key and a value out\n"
    "  of bounds are errors. A single text stands for a list of one. Nothing behind a colon means the default where that\n"
    "  is empty, and is an error elsewhere; for an empty text write `\"\"`.\n"
    "- **Units.** Durations: `500ms`, `15s`, `5m`, `24h`, `2d`, fractions as in `3.05s`; a bare number is seconds. Sizes:\n"
    "  `16KiB`, `64MiB`, `1GiB`; a bare number is bytes. `inf` is no limit, where it is allowed. `true`, `on` and `yes` are\n"
    "  the same, as are `false`, `off` and `no`.\n"
    "- **Environment.** Each key has a variable: `DOZO_`, then its name in capitals with `_` for dots and dashes. Lists are\n"
    "  split at commas. Variables win over the file; those of the services that dozo replaces (second name in the tables) are\n"
    "  read too, and `DOZO_…` wins over them. A variable that begins as one of ours does (`DOZO_HTTP_…`) and is no\n"
    "  setting is an error. Of the older variables an empty one counts as unset.\n"
    "- **Values from files.** Any text key `K` of the sections up to `crawl` can be given as `K_file`, such as `auth.token_file:\n"
    "  /run/secrets/token` or `DOZO_AUTH_TOKEN_FILE`: the value is what the file holds, without its last line break, at most\n"
    "  64 KiB. A relative path counts from the folder of the settings file (in a variable: from the working folder).\n"
    "- **Reload.** `SIGHUP` loads the settings again. Keys marked † count only after a restart.\n";

static const struct section sections[] = {
    {"", "The first two stand at the top of the file, outside any section."},
    {"log", NULL},
    {"http", "The HTTP server."},
    {"catalog", NULL},
    {"store", NULL},
    {"cache", NULL},
    {"auth", "Who may change things. Give these through `_file` keys or variables rather than in the file."},
    {"rate_limit", NULL},
    {"shelves", "A list; each item publishes one series:\n\n"
     "```yaml\nshelves:\n  - name: komi\n    series: viz.com/komi-cant-communicate\n    api_hosts: [api.example.org]\n"
     "    cdn_hosts: [cdn.example.org]\n    image_hosts: [i.example.org]\n    cdn_url: https://cdn.example.org\n"
     "    links: { viz: \"{source_url}\", reader: \"https://read.example.org/{chapter}\" }\n    every: 15s\n```"},
    {"uploads", "The upload CDN."},
    {"downloads", "Chapters written to disk on demand."},
    {"crawl", "Looking at sources for something new."},
    {"sources", "How sites are asked, and a section for each source. A source of your own (a file in one of `dir`) gets a section\n"
     "under its id, with the common keys and the options that it declares."},
};
/* clang-format on */

static void put_cell(struct dz_buf *out, dz_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (strchr("|*_<", s.p[i]))
            dz_buf_putc(out, '\\');
        dz_buf_putc(out, s.p[i]);
    }
}

static void put_code(struct dz_buf *out, dz_str s)
{
    dz_buf_putc(out, '`');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '|') /* the one sign that ends a cell even inside code */
            dz_buf_putc(out, '\\');
        dz_buf_putc(out, s.p[i]);
    }
    dz_buf_putc(out, '`');
}

static void put_preset(struct dz_buf *out, const struct conf_row *row)
{
    dz_str preset = dz_str_of(row->preset);
    if (!row->preset)
        dz_buf_put(out, row->where == CONF_SHELF ? DZ_S("(needed)") : DZ_S("(the source's)"));
    else if (row->type == CONF_LIST || row->type == CONF_SHELVES) {
        DZ_AUTO(dz_buf_done) struct dz_buf b;
        dz_buf_init(&b, DZ_KIB);
        dz_buf_putf(&b, "[%s]", row->preset);
        put_code(out, dz_buf_str(&b));
    } else if (preset.n == 0)
        dz_buf_put(out, row->type == CONF_PAIRS ? DZ_S("`{}`") : DZ_S("`\"\"`"));
    else
        put_code(out, preset);
}

static void put_bound(struct dz_buf *out, const struct conf_row *row, uint64_t n)
{
    if (row->type == CONF_DURATION)
        conf_put_duration(out, (int64_t)n);
    else if (row->type == CONF_SIZE)
        conf_put_size(out, n);
    else
        dz_buf_put_u64(out, n);
}

static void put_range(struct dz_buf *out, const struct conf_row *row, const char *kind)
{
    dz_buf_putf(out, "%s, ", kind);
    put_bound(out, row, row->min);
    dz_buf_put(out, DZ_S(" to "));
    put_bound(out, row, row->max);
    if (row->flags & CONF_INF)
        dz_buf_put(out, DZ_S(" or `inf`"));
}

static void put_takes(struct dz_buf *out, const struct conf_row *row)
{
    switch (row->type) {
    case CONF_BOOL:
        dz_buf_put(out, DZ_S("`true`, `false`"));
        return;
    case CONF_U32:
    case CONF_COUNT:
        put_range(out, row, "number");
        return;
    case CONF_SIZE:
        put_range(out, row, "size");
        return;
    case CONF_DURATION:
        put_range(out, row, "duration");
        return;
    case CONF_SHELVES:
        dz_buf_put(out, DZ_S("list of shelves"));
        return;
    case CONF_LIST:
        dz_buf_put(out, DZ_S("list: "));
        break;
    case CONF_PAIRS:
        dz_buf_put(out, DZ_S("names with values: "));
        break;
    default:
        break;
    }
    if (!row->words) {
        put_cell(out, dz_str_of(row->shape->words));
        if (row->flags & CONF_EMPTY && row->type == CONF_TEXT)
            dz_buf_put(out, DZ_S("; or empty"));
        return;
    }
    for (const struct conf_word *w = row->words; w->text; w++)
        dz_buf_putf(out, "%s`%s`", w == row->words ? "" : ", ", w->text);
}

static void put_row(struct dz_buf *out, const struct conf_row *row)
{
    bool common = row->where == CONF_SOURCE && dz_str_eq(conf_row_source_id(row), DZ_S("*"));
    dz_buf_put(out, DZ_S("| "));
    put_code(out, row->where == CONF_TOP ? dz_str_of(row->name) : conf_row_key(row));
    dz_buf_put(out, row->flags & CONF_RESTART ? DZ_S(" † | ") : DZ_S(" | "));
    put_preset(out, row);
    dz_buf_put(out, DZ_S(" | "));
    put_takes(out, row);
    dz_buf_put(out, DZ_S(" | "));
    if (row->where != CONF_SHELF) {
        DZ_AUTO(dz_buf_done) struct dz_buf b;
        dz_buf_init(&b, DZ_KIB);
        dz_buf_put(&b, common ? DZ_S("sources.ID.") : DZ_S(""));
        dz_buf_put(&b, common ? conf_row_key(row) : dz_str_of(row->name));
        dz_buf_putc(out, '`');
        conf_env_name(dz_buf_str(&b), out);
        dz_buf_putc(out, '`');
        if (row->older_env)
            dz_buf_putf(out, ", `%s`", row->older_env);
        dz_buf_put(out, DZ_S(" | "));
    }
    put_cell(out, dz_str_of(row->help));
    dz_buf_put(out, DZ_S(" |\n"));
}

static void put_head(struct dz_buf *out, enum conf_where where)
{
    if (where == CONF_SHELF)
        dz_buf_put(out, DZ_S("\n| key | default | takes | meaning |\n|---|---|---|---|\n"));
    else
        dz_buf_put(out, DZ_S("\n| key | default | takes | variable | meaning |\n"
                             "|---|---|---|---|---|\n"));
}

static void put_intro(struct dz_buf *out, dz_str name)
{
    if (name.n)
        dz_buf_putf(out, "\n## %.*s\n", DZ_STR_FMT(name));
    else
        dz_buf_put(out, DZ_S("\n## At the top\n"));
    for (size_t i = 0; i < DZ_LEN(sections); i++)
        if (dz_str_eq(name, dz_str_of(sections[i].name)) && sections[i].words)
            dz_buf_putf(out, "\n%s\n", sections[i].words);
}

static void put_sources(struct dz_buf *out, dz_str id)
{
    if (dz_str_eq(id, DZ_S("*")))
        dz_buf_put(out, DZ_S("\n### Every source\n\nFor `ID` stands the id of the source in "
                             "capitals, with `_` for dots "
                             "and dashes.\n"));
    else
        dz_buf_putf(out, "\n### %.*s\n", DZ_STR_FMT(id));
    put_head(out, CONF_SOURCE);
    for (size_t i = 0; i < conf_rows_n; i++)
        if (conf_rows[i].where == CONF_SOURCE && dz_str_eq(conf_row_source_id(&conf_rows[i]), id))
            put_row(out, &conf_rows[i]);
}

/* First part of a row's name when it has more than one; "shelves" is a section of its own here. */
static dz_str section_of(const struct conf_row *row)
{
    dz_str name = dz_str_of(row->name);
    if (row->type == CONF_SHELVES || row->where == CONF_SHELF)
        return DZ_S("shelves");
    size_t dot = dz_str_chr(name, '.');
    return dz_str_sub(name, 0, dot == DZ_NPOS ? 0 : dot);
}

void dz_conf_docs(struct dz_buf *out)
{
    dz_buf_put(out, dz_str_of(intro));
    dz_str now = {"?", 1};
    enum conf_where where = CONF_TOP;
    for (size_t i = 0; i < conf_rows_n && conf_rows[i].where != CONF_SOURCE; i++) {
        const struct conf_row *row = &conf_rows[i];
        if (!dz_str_eq(section_of(row), now)) {
            now = section_of(row);
            put_intro(out, now);
            put_head(out, row->where);
        } else if (row->where != where) {
            dz_buf_put(out, DZ_S("\nKeys of a shelf:\n"));
            put_head(out, row->where);
        }
        where = row->where;
        put_row(out, row);
    }
    put_sources(out, DZ_S("*"));
    for (size_t i = 0; conf_source_ids[i]; i++)
        put_sources(out, dz_str_of(conf_source_ids[i]));
}
