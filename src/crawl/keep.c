/*
 * keep: what is the same wherever pages are kept: which of those that lie there belong to the list
 * that the source gives now.
 *
 * Workers; nothing is held.
 */
#include <stdlib.h>

#include "crawl/keep_int.h"

dz_str crawl_url_file(dz_str url)
{
    struct dz_url u;
    return dz_url_parse(url, &u, NULL) == DZ_OK ? dz_str_after(u.path, dz_str_rchr(u.path, '/'))
                                                : (dz_str){NULL, 0};
}

/* Sites sign addresses and spread them over hosts anew each time they are asked: at the same place
 * of the same chapter the name of the file says that it is the same page. */
static bool is_same_page(dz_str a, dz_str b)
{
    dz_str file = crawl_url_file(a);
    return dz_str_eq(a, b) || (file.n > 0 && dz_str_eq(file, crawl_url_file(b)));
}

enum dz_code crawl_keep_recall(struct crawl_keeper *k, const dz_str *urls, size_t n,
                               struct dz_arena *a, struct crawl_kept **ret_v, size_t *ret_n,
                               struct dz_err *err)
{
    struct crawl_kept *v = NULL;
    size_t found = 0, kept = 0;
    DZ_TRY(k->type->recall(k, a, &v, &found, err));
    bool *seen = dz_zalloc(n ? n : 1);
    for (size_t i = 0; i < found; i++) {
        if (v[i].at >= n || seen[v[i].at] || !is_same_page(v[i].url, urls[v[i].at]))
            continue;
        seen[v[i].at] = true;
        v[kept++] = v[i];
    }
    free(seen);
    *ret_v = v;
    *ret_n = kept;
    return DZ_OK;
}

void crawl_keeper_free(struct crawl_keeper **kk)
{
    struct crawl_keeper *k = dz_take(kk);
    if (k)
        k->type->free(k);
}
