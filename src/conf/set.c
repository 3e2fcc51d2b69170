/*
 * set: one value, from a tree or from one text, checked against its row and stored.
 *
 * A value that is wrong is told through conf_fault and the default stays, so that one reading finds
 * all faults. Texts are copied into the arena of the settings. Values of secrets and of addresses
 * that may hold a password never get into a message. Values of sources are stored as text, in one
 * form for one meaning ("yes" becomes "true").
 */
#include <sys/stat.h>

#include "conf/conf_int.h"

#define TEXT_ROOM 8 /* a shape may fold a text into one as long as this */
#define PATH_PART_BYTES_MAX 64
#define SHOWN_BYTES_MAX 60

union value {
    bool b;
    uint64_t n;
    int64_t ms;
    int word;
};

/* ---- messages -------------------------------------------------------------------------------- */

bool conf_full(const struct conf_load *l)
{
    return l->faults >= CONF_FAULTS_MAX;
}

void conf_fault(struct conf_load *l, struct conf_at at, const char *path, const char *fmt, ...)
{
    if (conf_full(l))
        return;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 16 * DZ_KIB);
    dz_buf_put(&b, dz_str_of(at.name));
    if (at.line)
        dz_buf_putf(&b, ":%u", at.line);
    dz_buf_put(&b, DZ_S(": "));
    if (path[0])
        dz_buf_putf(&b, "%s: ", path);
    va_list args;
    va_start(args, fmt);
    char words[2048];
    vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    dz_buf_put(&b, dz_str_of(words));
    bool utf8 = dz_str_is_utf8(dz_buf_str(&b));
    for (size_t i = 0; i < b.n; i++) { /* a fault is one line of text, whatever the value holds */
        unsigned char c = (unsigned char)b.p[i];
        if (c < 0x20 || c == 0x7F || (c > 0x7F && !utf8))
            b.p[i] = '?';
    }
    if (l->faults++ == 0)
        (void)dz_fail(&l->first, DZ_BAD_INPUT, "%s", dz_buf_cstr(&b));
    if (!l->report)
        return;
    dz_buf_put(l->report, dz_buf_str(&b));
    dz_buf_putc(l->report, '\n');
    if (conf_full(l))
        dz_buf_putf(l->report, "%s: more than %d faults; the rest is not told\n", at.name,
                    CONF_FAULTS_MAX);
}

const char *conf_join(struct conf_load *l, const char *section, dz_str key)
{
    key = dz_str_clip(key, PATH_PART_BYTES_MAX);
    return dz_arena_printf(l->tmp, "%s%s%.*s", section, section[0] ? "." : "", DZ_STR_FMT(key)).p;
}

struct conf_at conf_at_node(struct conf_at at, const struct conf_node *n)
{
    if (at.line)
        at.line = n->line;
    return at;
}

const struct conf_node *conf_node_get(const struct conf_node *map, dz_str key)
{
    for (const struct conf_node *n = map->first; n; n = n->next)
        if (dz_str_eq(n->key, key))
            return n;
    return NULL;
}

void conf_nearest_offer(struct conf_nearest *n, dz_str candidate)
{
    unsigned distance = dz_str_distance(n->wanted, candidate);
    if (n->best.p && distance >= n->distance)
        return;
    n->best = candidate;
    n->distance = distance;
}

bool conf_nearest_good(const struct conf_nearest *n)
{
    size_t length = n->wanted.n > n->best.n ? n->wanted.n : n->best.n;
    unsigned most = length <= 3 ? 1 : length <= 6 ? 2 : 3;
    return n->best.p && n->distance <= most && n->distance < length;
}

const char *conf_show(struct conf_load *l, dz_str value)
{
    dz_str clipped = dz_str_clip(value, SHOWN_BYTES_MAX);
    return dz_arena_printf(l->tmp, "\"%.*s%s\"", DZ_STR_FMT(clipped),
                           clipped.n < value.n ? "…" : "")
        .p;
}

static const char *show(struct conf_load *l, const struct conf_row *row, dz_str value)
{
    if (row->flags & (CONF_SECRET | CONF_URI))
        return "the value";
    return conf_show(l, value);
}

static const char *words_of(struct conf_load *l, const struct conf_word *words)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_KIB);
    for (const struct conf_word *w = words; w->text; w++)
        dz_buf_putf(&b, "%s%s", w == words ? "" : ", ", w->text);
    return dz_arena_dup(l->tmp, dz_buf_str(&b));
}

/* What the row takes, for "expected …". */
static const char *kind_of(struct conf_load *l, const struct conf_row *row)
{
    switch (row->type) {
    case CONF_BOOL:
        return "true or false";
    case CONF_U32:
    case CONF_COUNT:
        return "a whole number";
    case CONF_SIZE:
        return "a size such as 16KiB";
    case CONF_DURATION:
        return "a duration such as 15s";
    case CONF_LIST:
        return dz_arena_printf(l->tmp, "a list, each item %s", row->shape->words).p;
    case CONF_PAIRS:
        return "names with values";
    case CONF_SHELVES:
        return "a list of shelves, each beginning with \"- name: …\"";
    case CONF_WORD:
    case CONF_TEXT:
        break;
    }
    if (row->words)
        return dz_arena_printf(l->tmp, "one of %s", words_of(l, row->words)).p;
    return row->shape->words;
}

static const char *found(const struct conf_node *n)
{
    return n->kind == CONF_SEQ ? "a list" : n->kind == CONF_MAP ? "a section" : "a single value";
}

static void fault_kind(struct conf_load *l, const struct conf_row *row, const struct conf_node *n,
                       struct conf_at at, const char *path)
{
    conf_fault(l, at, path, "expected %s, found %s", kind_of(l, row), found(n));
}

/* ---- scalars --------------------------------------------------------------------------------- */

static void put_number(struct dz_buf *b, const struct conf_row *row, uint64_t n)
{
    if (row->type == CONF_DURATION)
        conf_put_duration(b, (int64_t)n);
    else if (row->type == CONF_SIZE)
        conf_put_size(b, n);
    else
        dz_buf_put_u64(b, n);
}

static const char *number_text(struct conf_load *l, const struct conf_row *row, uint64_t n)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 64);
    put_number(&b, row, n);
    return dz_arena_dup(l->tmp, dz_buf_str(&b));
}

static bool fault_number(struct conf_load *l, const struct conf_row *row, dz_str text,
                         struct conf_at at, const char *path, const char *words)
{
    const char *units = "";
    if (row->type == CONF_DURATION)
        units = " with the unit ms, s, m, h or d";
    else if (row->type == CONF_SIZE)
        units = " in bytes or with KiB, MiB or GiB";
    conf_fault(l, at, path, "%s %s; expected %s to %s%s%s%s%s", show(l, row, text), words,
               number_text(l, row, row->min), number_text(l, row, row->max),
               row->flags & CONF_INF ? " or inf" : "", units, row->preset ? ", such as " : "",
               row->preset ? row->preset : "");
    return false;
}

static bool parse_number(struct conf_load *l, const struct conf_row *row, dz_str text,
                         union value *v, struct conf_at at, const char *path)
{
    uint64_t n = 0;
    int64_t ms = 0;
    bool ok;
    if ((row->flags & CONF_INF) && dz_str_eq_nocase(text, DZ_S("inf"))) {
        v->n = DZ_CONF_UNLIMITED;
        return true;
    }
    const char *what = "is not a whole number";
    if (row->type == CONF_DURATION) {
        ok = conf_parse_duration(text, &ms);
        n = (uint64_t)ms;
        what = "is not a duration";
    } else if (row->type == CONF_SIZE) {
        ok = conf_parse_size(text, &n);
        what = "is not a size";
    } else {
        ok = dz_str_u64(text, UINT64_MAX, &n, NULL) == DZ_OK;
    }
    if (!ok)
        return fault_number(l, row, text, at, path, what);
    if (n < row->min)
        return fault_number(l, row, text, at, path, "is too small");
    if (n > row->max)
        return fault_number(l, row, text, at, path, "is too large");
    if (row->type == CONF_DURATION)
        v->ms = ms;
    else
        v->n = n;
    return true;
}

static bool parse_word(struct conf_load *l, const struct conf_row *row, dz_str text, union value *v,
                       struct conf_at at, const char *path)
{
    struct conf_nearest nearest = {.wanted = text};
    for (const struct conf_word *w = row->words; w->text; w++) {
        if (dz_str_eq_nocase(text, dz_str_of(w->text))) {
            v->word = w->value;
            return true;
        }
        conf_nearest_offer(&nearest, dz_str_of(w->text));
    }
    bool good = conf_nearest_good(&nearest);
    conf_fault(l, at, path, "%s is not one of %s%s%.*s%s", show(l, row, text),
               words_of(l, row->words), good ? "; did you mean \"" : "",
               good ? (int)nearest.best.n : 0, nearest.best.p, good ? "\"?" : "");
    return false;
}

/* A copy of the text that fits the shape, or NULL when it does not. */
static char *shaped(struct conf_load *l, const struct conf_row *row, const struct conf_shape *shape,
                    dz_str text, bool hide, struct conf_at at, const char *path)
{
    char *copy = dz_arena_alloc(l->a, (text.n < TEXT_ROOM ? TEXT_ROOM : text.n) + 1);
    if (text.n)
        memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    struct dz_err why;
    if (shape->check(copy, &why) == DZ_OK)
        return copy;
    conf_fault(l, at, path, "%s %s; expected %s%s%s%s", hide ? "the value" : show(l, row, text),
               why.text, shape->words, shape->example ? ", such as \"" : "",
               shape->example ? shape->example : "", shape->example ? "\"" : "");
    return NULL;
}

static char *text_value(struct conf_load *l, const struct conf_row *row, dz_str text,
                        struct conf_at at, const char *path)
{
    if (text.n == 0) {
        if (row->flags & CONF_EMPTY)
            return dz_arena_dup(l->a, DZ_S(""));
        conf_fault(l, at, path, "must not be empty; expected %s", kind_of(l, row));
        return NULL;
    }
    if (row->words) {
        union value v;
        if (!parse_word(l, row, text, &v, at, path))
            return NULL;
        return dz_arena_dup(l->a, dz_str_of(row->words[v.word].text));
    }
    return shaped(l, row, row->shape, text, false, at, path);
}

static void store_number(const struct conf_row *row, char *field, union value v)
{
    uint32_t n32 = (uint32_t)v.n;
    switch (row->type) {
    case CONF_BOOL:
        memcpy(field, &v.b, sizeof v.b);
        break;
    case CONF_U32:
        memcpy(field, &n32, sizeof n32);
        break;
    case CONF_DURATION:
        memcpy(field, &v.ms, sizeof v.ms);
        break;
    case CONF_WORD:
        memcpy(field, &v.word, sizeof v.word);
        break;
    default:
        memcpy(field, &v.n, sizeof v.n);
        break;
    }
}

static void store_option(struct conf_load *l, const struct conf_row *row, void *base, union value v)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 64);
    if (row->type == CONF_BOOL)
        dz_buf_put(&b, v.b ? DZ_S("true") : DZ_S("false"));
    else
        put_number(&b, row, row->type == CONF_DURATION ? (uint64_t)v.ms : v.n);
    conf_put_option(l, base, conf_row_key(row), dz_buf_str(&b));
}

static void set_scalar(struct conf_load *l, const struct conf_row *row, void *base, dz_str text,
                       struct conf_at at, const char *path)
{
    union value v = {0};
    char *field = row->offset == CONF_NO_OFFSET ? NULL : (char *)base + row->offset;
    if (row->type == CONF_TEXT) {
        char *copy = text_value(l, row, text, at, path);
        if (!copy)
            return;
        if (field)
            memcpy(field, &copy, sizeof copy);
        else
            conf_put_option(l, base, conf_row_key(row), dz_str_of(copy));
        return;
    }
    text = dz_str_trim(text);
    if (row->type == CONF_BOOL) {
        if (!conf_parse_bool(text, &v.b)) {
            conf_fault(l, at, path, "%s is neither true nor false", show(l, row, text));
            return;
        }
    } else if (row->type == CONF_WORD) {
        if (!parse_word(l, row, text, &v, at, path))
            return;
    } else if (!parse_number(l, row, text, &v, at, path)) {
        return;
    }
    if (field)
        store_number(row, field, v);
    else
        store_option(l, row, base, v);
}

/* ---- lists and pairs ------------------------------------------------------------------------- */

static void store_list(struct conf_load *l, const struct conf_row *row, void *base,
                       struct dz_strs list)
{
    if (row->offset != CONF_NO_OFFSET) {
        memcpy((char *)base + row->offset, &list, sizeof list);
        return;
    }
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 2 * CONF_FILE_BYTES_MAX);
    for (size_t i = 0; i < list.n; i++) {
        if (i)
            dz_buf_putc(&b, '\n');
        dz_buf_put(&b, dz_str_of(list.v[i]));
    }
    conf_put_option(l, base, conf_row_key(row), dz_buf_str(&b));
}

static void set_list(struct conf_load *l, const struct conf_row *row, void *base,
                     const struct conf_node *node, struct conf_at at, const char *path)
{
    const struct conf_node *items = node->kind == CONF_SEQ ? node->first : node;
    size_t n = node->kind == CONF_SEQ ? node->n : 1; /* one text is a list of one */
    if (node->kind == CONF_MAP) {
        fault_kind(l, row, node, at, path);
        return;
    }
    if (n == 0 && !(row->flags & CONF_EMPTY)) {
        conf_fault(l, at, path, "must not be empty; expected %s", kind_of(l, row));
        return;
    }
    struct dz_strs list = {.v = dz_arena_alloc(l->a, (n + 1) * sizeof(char *))};
    DZ_AUTO(dz_map_done) struct dz_map seen;
    dz_map_init(&seen);
    unsigned before = l->faults;
    for (const struct conf_node *i = items; list.n < n && !conf_full(l); i = i->next) {
        const char *item =
            node->kind == CONF_SEQ ? dz_arena_printf(l->tmp, "%s[%zu]", path, list.n).p : path;
        struct conf_at here = conf_at_node(at, i);
        char *text = NULL;
        if (i->kind != CONF_SCALAR)
            conf_fault(l, here, item, "expected %s, found %s", row->shape->words, found(i));
        else if (i->text.n == 0)
            conf_fault(l, here, item, "must not be empty; expected %s", row->shape->words);
        else
            text = shaped(l, row, row->shape, i->text, false, here, item);
        bool again = text && dz_map_set(&seen, dz_str_of(text), text);
        if (again && (row->flags & CONF_UNIQUE))
            conf_fault(l, here, item, "%s is listed twice", conf_show(l, i->text));
        list.v[list.n++] = text;
    }
    list.v[list.n] = NULL;
    if (l->faults == before)
        store_list(l, row, base, list);
}

static void set_pairs(struct conf_load *l, const struct conf_row *row, void *base,
                      const struct conf_node *node, struct conf_at at, const char *path)
{
    if (node->kind != CONF_MAP) {
        fault_kind(l, row, node, at, path);
        return;
    }
    struct dz_pairs pairs = {.v = dz_arena_alloc(l->a, (node->n + 1) * sizeof(struct dz_pair))};
    unsigned before = l->faults;
    for (const struct conf_node *i = node->first; i && !conf_full(l); i = i->next) {
        const char *item = conf_join(l, path, i->key);
        struct conf_at here = conf_at_node(at, i);
        char *name = shaped(l, row, row->key_shape, i->key, false, here, item), *text = NULL;
        if (i->kind != CONF_SCALAR)
            conf_fault(l, here, item, "expected %s, found %s", row->shape->words, found(i));
        else
            text = shaped(l, row, row->shape, i->text, conf_hides(i->key), here, item);
        pairs.v[pairs.n++] = (struct dz_pair){name, text};
    }
    if (l->faults != before)
        return;
    if (row->offset != CONF_NO_OFFSET) {
        memcpy((char *)base + row->offset, &pairs, sizeof pairs);
        return;
    }
    struct dz_strs lines = {.v = dz_arena_alloc(l->tmp, (pairs.n + 1) * sizeof(char *))};
    for (; lines.n < pairs.n; lines.n++) {
        const struct dz_pair *p = &pairs.v[lines.n];
        lines.v[lines.n] = (char *)dz_arena_printf(l->tmp, "%s: %s", p->name, p->text).p;
    }
    store_list(l, row, base, lines);
}

/* ---- the doors ------------------------------------------------------------------------------- */

static void fault_null(struct conf_load *l, const struct conf_row *row, struct conf_at at,
                       const char *path)
{
    if (!row->preset)
        conf_fault(l, at, path, "has no value; expected %s", kind_of(l, row));
    else
        conf_fault(l, at, path, "has no value; remove the line for the default (%s)", row->preset);
}

/* Nothing behind the colon stands for the default only where the default is nothing, so that a list
 * whose items are commented out is fine and "threads:" is not. */
static bool null_is_fine(const struct conf_row *row)
{
    return (row->flags & CONF_LATER) || (row->preset && row->preset[0] == '\0');
}

void conf_set(struct conf_load *l, const struct conf_row *row, void *base,
              const struct conf_node *node, struct conf_at at, const char *path)
{
    if (row->where == CONF_TOP)
        l->origins[row - conf_rows] = at;
    if (conf_node_is_null(node)) {
        if (!null_is_fine(row))
            fault_null(l, row, at, path);
        return;
    }
    switch (row->type) {
    case CONF_LIST:
        set_list(l, row, base, node, at, path);
        break;
    case CONF_PAIRS:
        set_pairs(l, row, base, node, at, path);
        break;
    case CONF_SHELVES:
        if (node->kind == CONF_SEQ)
            conf_set_shelves(l, node, at);
        else
            fault_kind(l, row, node, at, path);
        break;
    default:
        if (node->kind == CONF_SCALAR)
            set_scalar(l, row, base, node->text, at, path);
        else
            fault_kind(l, row, node, at, path);
        break;
    }
}

static struct conf_node *split_commas(struct conf_load *l, dz_str text)
{
    struct conf_node *list = dz_arena_alloc(l->tmp, sizeof *list), *last = NULL;
    *list = (struct conf_node){.kind = CONF_SEQ};
    dz_str rest = dz_str_trim(text);
    while (rest.n && list->n <= CONF_ITEMS_MAX) {
        size_t comma = dz_str_chr(rest, ',');
        struct conf_node *item = dz_arena_alloc(l->tmp, sizeof *item);
        *item = (struct conf_node){.kind = CONF_SCALAR, .quoted = true};
        item->text = dz_str_trim(dz_str_sub(rest, 0, comma));
        if (last)
            last->next = item;
        else
            list->first = item;
        last = item;
        list->n++;
        rest = dz_str_after(rest, comma);
    }
    return list;
}

void conf_set_text(struct conf_load *l, const struct conf_row *row, void *base, dz_str text,
                   struct conf_at at, const char *path)
{
    struct conf_node scalar = {.kind = CONF_SCALAR, .quoted = true, .text = text};
    struct conf_node *node = &scalar;
    if (row->type == CONF_LIST) {
        node = split_commas(l, text);
        if (node->n > CONF_ITEMS_MAX) {
            conf_fault(l, at, path, "has more than %d items", CONF_ITEMS_MAX);
            return;
        }
    } else if (row->type == CONF_PAIRS || row->type == CONF_SHELVES) {
        uint32_t line;
        struct dz_err err;
        struct conf_node empty = {.kind = row->type == CONF_PAIRS ? CONF_MAP : CONF_SEQ};
        if (conf_tree_parse(l->tmp, text, &node, &line, &err) != DZ_OK) {
            conf_fault(l, at, path, "%s", err.text);
            return;
        }
        if (!node || conf_node_is_null(node)) {
            conf_set(l, row, base, &empty, at, path);
            return;
        }
    }
    conf_set(l, row, base, node, at, path);
}

/* A secret that other users of this machine may read is told by whoever logs. */
static void note_exposed(struct conf_load *l, const struct conf_row *row, dz_str file,
                         const char *full)
{
    struct stat st;
    if (!(row->flags & CONF_SECRET) || stat(full, &st) < 0 || (st.st_mode & S_IROTH) == 0)
        return;
    struct dz_strs *e = &l->c->exposed;
    char **v = dz_arena_alloc(l->a, (e->n + 2) * sizeof(*v));
    if (e->n > 0)
        memcpy(v, e->v, e->n * sizeof(*v));
    v[e->n++] = (char *)dz_arena_printf(l->a, "%s_file: %.*s", row->name, DZ_STR_FMT(file)).p;
    v[e->n] = NULL;
    e->v = v;
}

void conf_set_file(struct conf_load *l, const struct conf_row *row, dz_str file, struct conf_at at,
                   const char *path, const char *dir)
{
    if (file.n == 0) {
        conf_fault(l, at, path, "must not be empty; expected the path of a file with the value");
        return;
    }
    const char *full = dir && file.p[0] != '/'
                           ? dz_arena_printf(l->tmp, "%s/%.*s", dir, (int)file.n, file.p).p
                           : dz_arena_dup(l->tmp, file);
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, CONF_TEXT_BYTES_MAX);
    struct dz_err err;
    enum dz_code code = dz_file_read(full, &b, &err);
    if (code == DZ_TOO_LARGE) {
        conf_fault(l, at, path, "%s is larger than 64KiB", conf_show(l, file));
        return;
    }
    if (code != DZ_OK) {
        conf_fault(l, at, path, "%s", err.text);
        return;
    }
    note_exposed(l, row, file, full);
    dz_str text = dz_buf_str(&b);
    if (dz_str_ends(text, DZ_S("\n")))
        text = dz_str_sub(text, 0, text.n - 1);
    if (dz_str_ends(text, DZ_S("\r")))
        text = dz_str_sub(text, 0, text.n - 1);
    if (text.n == 0)
        conf_fault(l, at, path, "%s is empty", conf_show(l, file));
    else if (dz_str_chr(text, '\0') != DZ_NPOS || !dz_str_is_utf8(text))
        conf_fault(l, at, path, "%s is not a UTF-8 text", conf_show(l, file));
    else
        conf_set_text(l, row, l->c, text, at, path);
}

void conf_set_presets(struct conf_load *l)
{
    struct conf_at preset = {0};
    for (size_t i = 0; i < conf_rows_n; i++) {
        const struct conf_row *row = &conf_rows[i];
        if (row->where == CONF_TOP)
            conf_set_text(l, row, l->c, dz_str_of(row->preset), preset, row->name);
    }
    conf_sources_preset(l);
    dz_assert(l->faults == 0);
}
