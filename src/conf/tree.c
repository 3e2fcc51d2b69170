/*
 * tree: walks the tree of a settings file along the sections of the table.
 *
 * Each key is a row, a row's name with _file behind it, a section, or a fault with the nearest name
 * that would be right: first among the keys of the same section, then anywhere. Depth is bounded by
 * the tree and by the table.
 */
#include "conf/conf_int.h"

static void list_children(dz_str section, struct dz_buf *out)
{
    dz_str child;
    for (size_t at = 0; conf_child_next(section, &at, &child);)
        dz_buf_putf(out, "%s%.*s", out->n ? ", " : "", DZ_STR_FMT(child));
}

/* The one row of another section whose last part is this key. */
static const struct conf_row *elsewhere(dz_str key)
{
    const struct conf_row *only = NULL;
    for (size_t i = 0; i < conf_rows_n; i++) {
        if (conf_rows[i].where != CONF_TOP || !dz_str_eq(conf_row_key(&conf_rows[i]), key))
            continue;
        if (only)
            return NULL;
        only = &conf_rows[i];
    }
    return only;
}

static void unknown_key(struct conf_load *l, const char *section, dz_str key, struct conf_at at,
                        const char *path)
{
    dz_str name = dz_str_of(section), child;
    struct conf_nearest nearest = {.wanted = key};
    for (size_t i = 0; conf_child_next(name, &i, &child);)
        conf_nearest_offer(&nearest, child);
    if (conf_nearest_good(&nearest)) {
        conf_fault(l, at, path, "unknown key; did you mean \"%.*s\"?", DZ_STR_FMT(nearest.best));
        return;
    }
    const struct conf_row *row = conf_row_find(dz_str_of(path));
    size_t dot = dz_str_rchr(key, '.');
    if (row && dot != DZ_NPOS) {
        conf_fault(l, at, path, "unknown key; write it as a section: %.*s: { %.*s: … }",
                   DZ_STR_FMT(dz_str_sub(key, 0, dot)), DZ_STR_FMT(conf_row_key(row)));
        return;
    }
    row = elsewhere(key);
    if (row) {
        conf_fault(l, at, path, "unknown key here; did you mean \"%s\"?", row->name);
        return;
    }
    DZ_AUTO(dz_buf_done) struct dz_buf keys;
    dz_buf_init(&keys, DZ_KIB);
    list_children(name, &keys);
    conf_fault(l, at, path, "unknown key; %s takes %s", section[0] ? section : "a settings file",
               dz_buf_cstr(&keys));
}

/* "secret_key_file": the row of secret_key, or NULL. */
static const struct conf_row *file_row(dz_str path)
{
    if (!dz_str_ends(path, DZ_S("_file")))
        return NULL;
    const struct conf_row *row = conf_row_find(dz_str_sub(path, 0, path.n - 5));
    return row && row->type == CONF_TEXT ? row : NULL;
}

static void read_file_key(struct conf_load *l, const struct conf_row *row,
                          const struct conf_node *map, const struct conf_node *n, struct conf_at at,
                          const char *path)
{
    dz_str key = conf_row_key(row);
    const struct conf_node *plain = conf_node_get(map, key);
    if (plain && !conf_node_is_null(plain))
        conf_fault(l, at, path, "%.*s is already set on line %u; use only one of the two",
                   DZ_STR_FMT(key), plain->line);
    else if (n->kind != CONF_SCALAR || conf_node_is_null(n))
        conf_fault(l, at, path, "expected the path of a file with the value");
    else {
        l->origins[row - conf_rows] = at;
        conf_set_file(l, row, n->text, at, path, l->dir);
    }
}

static bool is_child_section_slip(dz_str section, dz_str key)
{
    dz_str child;
    struct conf_nearest nearest = {.wanted = key};
    for (size_t i = 0; conf_child_next(section, &i, &child);)
        conf_nearest_offer(&nearest, child);
    return nearest.distance <= 2 && conf_nearest_good(&nearest);
}

static void fault_no_section(struct conf_load *l, const struct conf_node *n, struct conf_at at,
                             const char *path)
{
    dz_str first = DZ_S("enabled"); /* what a source has */
    size_t start = 0;
    (void)conf_child_next(dz_str_of(path), &start, &first);
    bool glued = n->kind == CONF_SCALAR && dz_str_chr(n->text, ':') != DZ_NPOS;
    conf_fault(l, at, path, "expected a section such as { %.*s: … }, found %s%s", DZ_STR_FMT(first),
               n->kind == CONF_SEQ ? "a list" : "a single value",
               glued ? " (is a blank missing behind a colon?)" : "");
}

static bool is_source(dz_str id)
{
    for (size_t i = 0; conf_source_ids[i]; i++)
        if (dz_str_eq(id, dz_str_of(conf_source_ids[i])))
            return true;
    return false;
}

static void read_section(struct conf_load *l, const struct conf_node *map, const char *section,
                         const char *file)
{
    for (const struct conf_node *n = map->first; n && !conf_full(l); n = n->next) {
        struct conf_at at = {file, n->line};
        const char *path = conf_join(l, section, n->key);
        dz_str name = dz_str_of(path);
        bool whole = name.n == strlen(section) + (section[0] ? 1 : 0) + n->key.n &&
                     dz_str_chr(n->key, '.') == DZ_NPOS;
        const struct conf_row *row = whole ? conf_row_find(name) : NULL;
        const struct conf_row *by_file = whole ? file_row(name) : NULL;
        if (row) {
            conf_set(l, row, l->c, n, at, path);
        } else if (by_file) {
            read_file_key(l, by_file, map, n, at, path);
        } else if (whole && conf_is_section(name)) {
            if (n->kind == CONF_MAP)
                read_section(l, n, path, file);
            else if (!conf_node_is_null(n))
                fault_no_section(l, n, at, path);
        } else if (strcmp(section, "sources") == 0 &&
                   (n->kind == CONF_MAP || conf_node_is_null(n)) &&
                   !is_child_section_slip(dz_str_of(section), n->key)) {
            conf_set_source(l, n, at);
        } else if (strcmp(section, "sources") == 0 && is_source(n->key)) {
            fault_no_section(l, n, at, path);
        } else {
            unknown_key(l, section, n->key, at, path);
        }
    }
}

void conf_read_tree(struct conf_load *l, const struct conf_node *root, const char *name)
{
    if (conf_node_is_null(root))
        return;
    struct conf_at at = {name, root->line};
    if (root->kind != CONF_MAP)
        conf_fault(l, at, "", "expected settings such as \"data_dir: ./data\", found %s",
                   root->kind == CONF_SEQ ? "a list" : "a single text (is a colon missing?)");
    else
        read_section(l, root, "", name);
}
