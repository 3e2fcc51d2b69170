/*
 * shelves: the list of shelves, from a tree into structs.
 *
 * The list is replaced as a whole, so a variable overrides that of the file. Each shelf is set
 * through its rows; what spans shelves is checked here: no name twice, and no host name on two
 * shelves, since a request's host picks the shelf.
 */
#include "conf/conf_int.h"

static void unknown_key(struct conf_load *l, const struct conf_node *n, struct conf_at at,
                        const char *path)
{
    struct conf_nearest nearest = {.wanted = n->key};
    DZ_AUTO(dz_buf_done) struct dz_buf keys;
    dz_buf_init(&keys, DZ_KIB);
    for (size_t i = 0; i < conf_rows_n; i++) {
        if (conf_rows[i].where != CONF_SHELF)
            continue;
        dz_str key = conf_row_key(&conf_rows[i]);
        conf_nearest_offer(&nearest, key);
        dz_buf_putf(&keys, "%s%.*s", keys.n ? ", " : "", DZ_STR_FMT(key));
    }
    if (conf_nearest_good(&nearest))
        conf_fault(l, at, path, "unknown key; did you mean \"%.*s\"?", DZ_STR_FMT(nearest.best));
    else
        conf_fault(l, at, path, "unknown key; a shelf takes %s", dz_buf_cstr(&keys));
}

static void set_shelf(struct conf_load *l, struct dz_conf_shelf *shelf,
                      const struct conf_node *node, struct conf_at at, const char *path)
{
    struct conf_at preset = {0};
    for (size_t i = 0; i < conf_rows_n; i++)
        if (conf_rows[i].where == CONF_SHELF && conf_rows[i].preset)
            conf_set_text(l, &conf_rows[i], shelf, dz_str_of(conf_rows[i].preset), preset, path);
    for (const struct conf_node *n = node->first; n && !conf_full(l); n = n->next) {
        const char *key_path = conf_join(l, path, n->key);
        const struct conf_row *row = conf_row_shelf(n->key);
        if (row)
            conf_set(l, row, shelf, n, conf_at_node(at, n), key_path);
        else
            unknown_key(l, n, conf_at_node(at, n), key_path);
    }
    if (!conf_node_get(node, DZ_S("name")))
        conf_fault(l, at, path, "has no name; expected \"name: …\" with %s", conf_shelf_name.words);
}

/* Tells the hosts of one list that another shelf has; owners holds host → index of the shelf + 1.
 */
static void check_hosts(struct conf_load *l, struct dz_map *owners, const struct dz_strs *hosts,
                        size_t index, const struct conf_node *node, struct conf_at at,
                        const char *path)
{
    for (size_t i = 0; node && i < hosts->n; i++) {
        dz_str host = dz_str_of(hosts->v[i]);
        void *me = (void *)(uintptr_t)(index + 1);
        void *owner = dz_map_get(owners, host);
        if (owner && owner != me)
            conf_fault(l, conf_at_node(at, node), conf_join(l, path, node->key),
                       "the host \"%s\" belongs to shelves[%zu] already", hosts->v[i],
                       (size_t)(uintptr_t)owner - 1);
        else if (!owner)
            (void)dz_map_set(owners, host, me);
    }
}

void conf_set_shelves(struct conf_load *l, const struct conf_node *node, struct conf_at at)
{
    if (node->n > CONF_SHELVES_MAX) {
        conf_fault(l, at, "shelves", "more than %d shelves", CONF_SHELVES_MAX);
        return;
    }
    struct dz_conf *c = l->c;
    c->shelves_n = 0;
    c->shelves = dz_arena_alloc(l->a, (node->n + 1) * sizeof *c->shelves);
    DZ_AUTO(dz_map_done) struct dz_map names, owners;
    dz_map_init(&names);
    dz_map_init(&owners);
    for (const struct conf_node *n = node->first; n && !conf_full(l); n = n->next) {
        size_t index = c->shelves_n++;
        struct dz_conf_shelf *shelf = &c->shelves[index];
        *shelf = (struct dz_conf_shelf){0};
        const char *path = dz_arena_printf(l->tmp, "shelves[%zu]", index).p;
        struct conf_at here = conf_at_node(at, n);
        if (n->kind != CONF_MAP) {
            conf_fault(l, here, path, "expected a shelf such as { name: komi, series: … }");
            continue;
        }
        set_shelf(l, shelf, n, here, path);
        void *twin = shelf->name ? dz_map_set(&names, dz_str_of(shelf->name), shelf) : NULL;
        if (twin)
            conf_fault(l, conf_at_node(at, conf_node_get(n, DZ_S("name"))),
                       conf_join(l, path, DZ_S("name")), "another shelf is named \"%s\" already",
                       shelf->name);
        check_hosts(l, &owners, &shelf->api_hosts, index, conf_node_get(n, DZ_S("api_hosts")), at,
                    path);
        check_hosts(l, &owners, &shelf->cdn_hosts, index, conf_node_get(n, DZ_S("cdn_hosts")), at,
                    path);
        check_hosts(l, &owners, &shelf->image_hosts, index, conf_node_get(n, DZ_S("image_hosts")),
                    at, path);
    }
}
