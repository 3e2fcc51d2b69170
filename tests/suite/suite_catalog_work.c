/*
 * suite_catalog_work: what crawls remember, parts and counts, the same cases against each driver.
 *
 * Clocks are numbers that the cases choose.
 */
#include "catalog_fixture.h"

/* ---- what crawls remember ----------------------------------------------------------------------
 */

static size_t listed(struct fixture *f, const char *source, const char *prefix, int64_t now_ms,
                     struct dz_crawl_state_rec **ret_v)
{
    size_t n;
    must(dz_catalog_state_list(f->c, dz_str_of(source), dz_str_of(prefix), now_ms, f->a, ret_v, &n,
                               err));
    return n;
}

static void crawls_remember(void **state)
{
    struct fixture *f = *state;
    struct dz_crawl_state_rec *v;
    static const struct dz_crawl_state_rec in[] = {
        {.source = {"b", 1}, .name = {"health", 6}, .value = {"{}", 2}},
        {.source = {"a", 1}, .name = {"kv/x", 4}, .value = {"1", 1}, .expires_ms = 100},
        {.source = {"a", 1}, .name = {"kv/\xf4\x8f\xbf\xbf", 7}, .value = {"2", 1}},
        {.source = {"a", 1}, .name = {"kv", 2}, .value = {"3", 1}},
        {.source = {"a", 1}, .name = {"kv0", 3}, .value = {"4", 1}},
    };
    must(dz_catalog_state_put(f->c, in, DZ_LEN(in), 7, err));
    assert_int_equal(listed(f, "", "", 10, &v), 5);
    assert_str(v[0].source, "a");
    assert_str(v[0].name, "kv");
    assert_str(v[1].name, "kv/x");
    assert_int_equal(v[1].updated_ms, 7);
    assert_int_equal(v[1].expires_ms, 100);
    assert_str(v[4].source, "b");
    assert_int_equal(listed(f, "a", "", 10, &v), 4);
    assert_int_equal(listed(f, "a", "kv/", 10, &v), 2);
    assert_int_equal(listed(f, "", "kw", 10, &v) + listed(f, "c", "", 10, &v), 0);
    assert_int_equal(listed(f, "", "health", 10, &v), 1);

    /* Expired: not shown, later gone, and new under the same name. */
    assert_int_equal(listed(f, "a", "kv/", 99, &v), 2);
    assert_int_equal(listed(f, "a", "kv/", 100, &v), 1);
    const struct dz_crawl_state_rec again = {
        .source = DZ_S("a"), .name = DZ_S("kv/x"), .value = DZ_S("new"), .expires_ms = 300};
    must(dz_catalog_state_put(f->c, &again, 1, 200, err));
    assert_int_equal(listed(f, "a", "kv/x", 200, &v), 1);
    assert_str(v[0].value, "new");
    assert_int_equal(v[0].updated_ms, 200);
    const struct dz_crawl_state_rec forget = {.source = DZ_S("a"), .name = DZ_S("kv")};
    must(dz_catalog_state_put(f->c, &forget, 1, 300, err));
    assert_int_equal(listed(f, "a", "kv", 0, &v), 2); /* kv is forgotten, kv/x has expired */
}

static void what_is_remembered_has_limits(void **state)
{
    struct fixture *f = *state;
    static char big[DZ_CRAWL_STATE_MAX + 1];
    struct dz_crawl_state_rec *v, in[2];
    memset(big, '1', sizeof(big));
    for (size_t i = 0; i < 2; i++)
        in[i] = (struct dz_crawl_state_rec){
            .source = DZ_S("a"), .name = DZ_S("n"), .value = {big, DZ_CRAWL_STATE_MAX}};
    in[1].value.n++;
    const char *text = refused(dz_catalog_state_put(f->c, in, 2, 0, err), DZ_TOO_LARGE);
    assert_non_null(strstr(text, "state \"n\": value has 262145 bytes"));
    assert_int_equal(listed(f, "", "", 0, &v), 0);
    in[1].value = DZ_S("\xff");
    refused(dz_catalog_state_put(f->c, in, 2, 0, err), DZ_BAD_INPUT);
    in[1].value = DZ_S("1");
    in[1].name = DZ_S("");
    refused(dz_catalog_state_put(f->c, in, 2, 0, err), DZ_BAD_INPUT);
    must(dz_catalog_state_put(f->c, in, 1, 0, err));
    assert_int_equal(listed(f, "a", "n", 0, &v), 1);
    assert_int_equal(v[0].value.n, DZ_CRAWL_STATE_MAX);
}

/* ---- parts -------------------------------------------------------------------------------------
 */

static struct dz_part_rec part_of(uint32_t at, uint64_t blob)
{
    return (struct dz_part_rec){
        .at = at, .url = DZ_S("https://x.com/1.jpg"), .mtime_s = 17, .blob = blob_of(blob)};
}

static void put_parts(struct fixture *f, const char *chapter, const struct dz_part_rec *v, size_t n)
{
    must(dz_catalog_part_put(f->c, DZ_S("x.com"), dz_str_of(chapter), v, n, err));
}

static size_t parts(struct fixture *f, const char *chapter, struct dz_part_rec **ret_v)
{
    size_t n;
    must(dz_catalog_parts(f->c, DZ_S("x.com"), dz_str_of(chapter), f->a, ret_v, &n, err));
    return n;
}

static void parts_hold_their_blobs(void **state)
{
    struct fixture *f = *state;
    struct dz_part_rec *got, v[] = {part_of(3, 1), part_of(0, 1), part_of(1, 2)};
    struct dz_part_rec blank = {.at = 2, .url = DZ_S("https://x.com/2.jpg")};
    assert_int_equal(parts(f, "c", &got), 0);
    put_parts(f, "c", v, 3);
    put_parts(f, "c", &blank, 1);
    put_parts(f, "d", v, 1);
    assert_int_equal(refs_of(f, 1), 3);
    assert_int_equal(refs_of(f, 2), 1);
    assert_int_equal(parts(f, "c", &got), 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(got[i].at, i);
    assert_str(got[0].url, "https://x.com/1.jpg");
    assert_int_equal(got[0].mtime_s, 17);
    assert_memory_equal(&got[0].blob.sha, &v[1].blob.sha, 32);
    assert_int_equal(got[0].blob.bytes, 1001);
    assert_int_equal(got[0].blob.width, 800);
    assert_str(got[0].blob.mime, "image/jpeg");
    assert_int_equal(got[2].blob.bytes + got[2].blob.mime.n, 0);
    assert_str(got[2].url, "https://x.com/2.jpg");
    sound(f);

    /* Put again, with another blob, with none, with one again. */
    v[0].blob = blob_of(2);
    put_parts(f, "c", v, 1);
    assert_int_equal(refs_of(f, 1), 2);
    assert_int_equal(refs_of(f, 2), 2);
    put_parts(f, "c", v, 1);
    assert_int_equal(refs_of(f, 2), 2);
    v[0].blob = (struct dz_blob_rec){0};
    put_parts(f, "c", v, 1);
    assert_int_equal(refs_of(f, 2), 1);
    blank.blob = blob_of(9);
    put_parts(f, "c", &blank, 1);
    assert_int_equal(refs_of(f, 9), 1);
    assert_int_equal(parts(f, "c", &got), 4);
    sound(f);

    struct dz_batch *b = begin(f);
    struct dz_sha256 used = blob_of(9).sha;
    refused(dz_batch_blob_drop(b, &used, err), DZ_CONFLICT);
    must(dz_batch_part_del(b, DZ_S("x.com"), DZ_S("c"), 2, err));
    must(dz_batch_part_del(b, DZ_S("x.com"), DZ_S("c"), 3, err));
    refused(dz_batch_part_del(b, DZ_S("x.com"), DZ_S("c"), 3, err), DZ_NOT_FOUND);
    must(dz_batch_blob_drop(b, &used, err));
    commit(b);
    assert_int_equal(parts(f, "c", &got), 2);
    assert_int_equal(refs_of(f, 9), -1);
    sound(f);
}

static void a_chapter_takes_over_from_its_parts(void **state)
{
    struct fixture *f = *state;
    struct dz_part_rec *got, v[] = {part_of(0, 1), part_of(1, 2), part_of(2, 1)};
    struct dz_page_rec pages[64];
    int64_t id = put_one(f->c, "s", "0", 0, 0, 0), chapter_id;
    bool changed;
    put_parts(f, "c", v, 3);
    put_parts(f, "other", v, 1);
    for (int keep = 0; keep < 2; keep++) {
        struct dz_chapter_rec ch = chapter_of("1", 1, pages_of(pages, 2, 1), 2);
        struct dz_batch *b = begin(f);
        must(dz_batch_chapter(b, id, &ch, &chapter_id, &changed, err));
        must(dz_batch_parts_del(b, DZ_S("x.com"), DZ_S("c"), err));
        must(dz_batch_parts_del(b, DZ_S("x.com"), DZ_S("unknown"), err));
        if (keep)
            commit(b);
        else
            dz_batch_rollback(&b);
        assert_int_equal(parts(f, "c", &got), keep ? 0 : 3);
        assert_int_equal(parts(f, "other", &got), 1);
        assert_int_equal(refs_of(f, 1), keep ? 2 : 3);
        assert_int_equal(refs_of(f, 2), 1);
        sound(f);
    }
}

static void sources_are_counted(void **state)
{
    struct fixture *f = *state;
    struct dz_source_counts *v;
    size_t n;
    must(dz_catalog_source_counts(f->c, f->a, &v, &n, err));
    assert_int_equal(n, 0);
    static const struct {
        const char *source, *id;
    } series[] = {{"x.com", "1"}, {"a.com", "1"}, {"x.com", "2"}};
    struct dz_batch *b;
    must(dz_batch_begin(f->c, &b, err));
    for (size_t i = 0; i < DZ_LEN(series); i++) {
        struct dz_series_rec s = {.source = dz_str_of(series[i].source),
                                  .source_id = dz_str_of(series[i].id),
                                  .title = DZ_S("T")};
        int64_t id, chapter;
        bool changed;
        must(dz_batch_series(b, &s, &id, err));
        struct dz_chapter_rec c = {.source_id = DZ_S("c"), .key = DZ_S("1"), .sort = 1};
        must(dz_batch_chapter(b, id, &c, &chapter, &changed, err));
    }
    must(dz_batch_commit(&b, NULL, err));
    must(dz_catalog_source_counts(f->c, f->a, &v, &n, err));
    assert_int_equal(n, 2);
    assert_str(v[0].source, "a.com");
    assert_str(v[1].source, "x.com");
    assert_int_equal(v[0].series + v[0].chapters, 2);
    assert_int_equal(v[1].series, 2);
    assert_int_equal(v[1].chapters, 2);
}

/* What a part says of a blob changes no chapter, so that revisions stay those of changes. */
static void a_part_is_no_change_of_a_series(void **state)
{
    struct fixture *f = *state;
    struct dz_part_rec *got, p = part_of(0, 1);
    int64_t *ids, id = put_one(f->c, "s", "1", 1, 1, 1);
    struct dz_series_full full;
    uint64_t seq, after;
    size_t n;
    must(dz_catalog_load(f->c, id, f->a, &full, err));
    int64_t rev = full.chapters[0].rev;
    must(dz_catalog_changes(f->c, 0, f->a, &ids, &n, &seq, err));
    p.blob.mime = DZ_S("image/png");
    put_parts(f, "c", &p, 1);
    must(dz_catalog_changes(f->c, seq, f->a, &ids, &n, &after, err));
    assert_int_equal(n, 0);
    must(dz_catalog_load(f->c, id, f->a, &full, err));
    assert_int_equal(full.chapters[0].rev, rev);
    assert_int_equal(parts(f, "c", &got), 1);
    assert_str(got[0].blob.mime, "image/jpeg");
    sound(f);
}

static void nobody_finished_these(void **state)
{
    struct fixture *f = *state;
    struct dz_part_rec *got, old[] = {part_of(0, 1), part_of(1, 2), part_of(2, 1)};
    struct dz_part_rec again = part_of(3, 3), blank = {.at = 0};
    dz_clock_set_for_test(1000);
    put_parts(f, "old", old, 3);
    put_parts(f, "blank", &blank, 1);
    put_parts(f, "slow", old, 1);
    dz_clock_set_for_test(2000);
    put_parts(f, "slow", &again, 1); /* one new part keeps them all */
    put_parts(f, "new", old, 1);
    dz_clock_set_for_test(-1);
    must(dz_catalog_parts_trim(f->c, 1000, err));
    assert_int_equal(parts(f, "old", &got), 3);
    must(dz_catalog_parts_trim(f->c, 1500, err));
    assert_int_equal(parts(f, "old", &got) + parts(f, "blank", &got), 0);
    assert_int_equal(parts(f, "slow", &got), 2);
    assert_int_equal(parts(f, "new", &got), 1);
    assert_int_equal(refs_of(f, 1), 2);
    assert_int_equal(refs_of(f, 2), 0);
    assert_int_equal(refs_of(f, 3), 1);
    sound(f);
}

static enum dz_code count_parts(void *arg, dz_str source, dz_str chapter,
                                const struct dz_part_rec *p, struct dz_err *err)
{
    static const char *const want[] = {"a 0", "a 4", "b 1"};
    int *seen = arg;
    char text[32];
    assert_str(source, "x.com");
    snprintf(text, sizeof(text), "%.*s %u", DZ_STR_FMT(chapter), p->at);
    if (*seen == DZ_LEN(want))
        return dz_fail(err, DZ_CANCELLED, "enough");
    assert_string_equal(text, want[(*seen)++]);
    return DZ_OK;
}

static void all_parts_are_told(void **state)
{
    struct fixture *f = *state;
    struct dz_part_rec v[] = {part_of(4, 1), part_of(0, 1), part_of(1, 2)};
    int seen = 0;
    put_parts(f, "b", &v[2], 1);
    put_parts(f, "a", v, 2);
    must(dz_catalog_parts_all(f->c, count_parts, &seen, err));
    assert_int_equal(seen, 3);
    put_parts(f, "c", v, 1);
    seen = 0;
    refused(dz_catalog_parts_all(f->c, count_parts, &seen, err), DZ_CANCELLED);
}

static void parts_have_limits(void **state)
{
    struct fixture *f = *state;
    static char big[DZ_PART_URL_MAX + 1];
    memset(big, 'x', sizeof(big));
    struct dz_part_rec *got, v[] = {part_of(0, 1), part_of(DZ_CHAPTER_PAGES_MAX, 1)};
#define PUT_REFUSED(code, word)                                                                    \
    assert_non_null(strstr(                                                                        \
        refused(dz_catalog_part_put(f->c, DZ_S("x.com"), DZ_S("c"), v, 2, err), code), word))
    PUT_REFUSED(DZ_TOO_LARGE, "at most 20000 pages");
    v[1] = part_of(1, 1);
    v[1].url = (dz_str){big, sizeof(big)};
    PUT_REFUSED(DZ_TOO_LARGE, "part 1: url has 16385 bytes");
    v[1] = part_of(1, 1);
    v[1].blob.bytes++;
    PUT_REFUSED(DZ_CONFLICT, "in the catalog"); /* and the first is rolled back */
    assert_int_equal(parts(f, "c", &got), 0);
    assert_int_equal(refs_of(f, 1), -1);
    refused(dz_catalog_part_put(f->c, DZ_S(""), DZ_S("c"), v, 1, err), DZ_BAD_INPUT);
    refused(dz_catalog_part_put(f->c, DZ_S("x"), DZ_S(""), v, 1, err), DZ_BAD_INPUT);
    v[0].url = (dz_str){big, DZ_PART_URL_MAX};
    put_parts(f, "c", v, 1);
    assert_int_equal(parts(f, "c", &got), 1);
    assert_int_equal(got[0].url.n, DZ_PART_URL_MAX);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        CASE(crawls_remember),        CASE(what_is_remembered_has_limits),
        CASE(parts_hold_their_blobs), CASE(a_chapter_takes_over_from_its_parts),
        CASE(sources_are_counted),    CASE(a_part_is_no_change_of_a_series),
        CASE(nobody_finished_these),  CASE(all_parts_are_told),
        CASE(parts_have_limits),
    };
    return run_cases(cases, DZ_LEN(cases));
}
