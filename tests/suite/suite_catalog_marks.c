/*
 * suite_catalog_marks: marks, favourites and checksums of blobs, the same cases against each
 * driver.
 */
#include "catalog_fixture.h"

/* ---- marks -------------------------------------------------------------------------------------
 */

static struct dz_mark_rec mark(const char *source, const char *chapter, const char *series, char m)
{
    return (struct dz_mark_rec){dz_str_of(source), dz_str_of(chapter), dz_str_of(series), m};
}

static void put_marks(struct fixture *f, const struct dz_mark_rec *v, size_t n)
{
    must(dz_catalog_marks_put(f->c, v, n, err));
}

/* The marks of a series of x.com as "chapter mark chapter mark …". */
static void assert_marks(struct fixture *f, const char *series, const char *want)
{
    struct dz_mark_rec *v;
    size_t n;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_KIB);
    must(dz_catalog_marks_of_series(f->c, DZ_S("x.com"), dz_str_of(series), f->a, &v, &n, err));
    for (size_t i = 0; i < n; i++) {
        assert_str(v[i].source, "x.com");
        assert_str(v[i].series, series);
        dz_buf_putf(&b, "%s%.*s %c", i ? " " : "", DZ_STR_FMT(v[i].chapter), v[i].mark);
    }
    assert_string_equal(dz_buf_cstr(&b), want);
}

static void marks_are_put_changed_and_removed(void **state)
{
    struct fixture *f = *state;
    const struct dz_mark_rec in[] = {mark("x.com", "c2", "s", 'I'), mark("x.com", "c10", "s", 'D'),
                                     mark("x.com", "d1", "t", 'D'), mark("y.com", "c2", "s", 'D')};
    assert_marks(f, "s", "");
    put_marks(f, in, 4);
    assert_marks(f, "s", "c10 D c2 I");
    assert_marks(f, "t", "d1 D");

    /* With a series the row is replaced, without one only its mark. */
    const struct dz_mark_rec moved[] = {mark("x.com", "c2", "t", 'D'),
                                        mark("x.com", "c10", "", 'I')};
    put_marks(f, moved, 2);
    assert_marks(f, "s", "c10 I");
    assert_marks(f, "t", "c2 D d1 D");
    put_marks(f, moved, 2);
    assert_marks(f, "t", "c2 D d1 D");

    struct dz_mark_rec *v;
    size_t n;
    const dz_str asked[] = {DZ_S("d1"), DZ_S("none"), DZ_S("c10"), DZ_S("c2")};
    must(dz_catalog_marks_of(f->c, DZ_S("x.com"), asked, 4, f->a, &v, &n, err));
    assert_int_equal(n, 3);
    assert_str(v[0].chapter, "d1");
    assert_str(v[0].series, "t");
    assert_str(v[1].chapter, "c10");
    assert_int_equal(v[1].mark, DZ_MARK_IGNORED);
    assert_str(v[2].chapter, "c2");
    assert_int_equal(v[2].mark, DZ_MARK_DOWNLOADED);
    must(dz_catalog_marks_of(f->c, DZ_S("z.com"), asked, 4, f->a, &v, &n, err));
    assert_int_equal(n, 0);

    const struct dz_mark_rec out[] = {mark("x.com", "c2", "", 0), mark("x.com", "none", "", 0),
                                      mark("x.com", "c10", "", 0)};
    must(dz_catalog_marks_del(f->c, out, 3, err));
    assert_marks(f, "s", "");
    assert_marks(f, "t", "d1 D");
    must(dz_catalog_marks_of(f->c, DZ_S("y.com"), asked, 4, f->a, &v, &n, err));
    assert_int_equal(n, 1);
    must(dz_catalog_marks_put(f->c, NULL, 0, err));
    must(dz_catalog_marks_del(f->c, NULL, 0, err));
}

static void many_marks_come_in_the_order_asked(void **state)
{
    struct fixture *f = *state;
    struct dz_mark_rec in[MANY_THERE], *v;
    size_t n, at = 0;
    for (size_t i = 0; i < MANY_THERE; i++)
        in[i] = (struct dz_mark_rec){DZ_S("x.com"), nth_name(f, i), DZ_S("s"), 'D'};
    put_marks(f, in, MANY_THERE);
    must(dz_catalog_marks_of(f->c, DZ_S("x.com"), asked_names(f), MANY_ASKED, f->a, &v, &n, err));
    for (size_t i = 0; i < MANY_ASKED; i++)
        if (asked_at(i) < MANY_THERE)
            assert_true(at < n && dz_str_eq(v[at++].chapter, in[asked_at(i)].chapter));
    assert_int_equal(at, n);
}

static void marks_come_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    struct dz_mark_rec v[] = {mark("x.com", "c1", "s", 'D'), mark("x.com", "c2", "", 'D'),
                              mark("x.com", "c3", "", 'D')};
    const char *text = refused(dz_catalog_marks_put(f->c, v, 3, err), DZ_NOT_FOUND);
    assert_non_null(strstr(text, "chapter c2"));
    assert_marks(f, "s", "");
    /* A row of the same call counts. */
    v[1] = mark("x.com", "c1", "", 'I');
    put_marks(f, v, 2);
    assert_marks(f, "s", "c1 I");
}

static void marks_have_limits(void **state)
{
    struct fixture *f = *state;
    static char big[DZ_TEXT_MAX + 1];
    memset(big, 'x', sizeof(big));
    const struct dz_mark_rec good = mark("x.com", "c", "s", 'D');
    struct dz_mark_rec v[] = {good, good};
#define MARK_REFUSED(field, value, code, words)                                                    \
    do {                                                                                           \
        v[1] = good;                                                                               \
        v[1].field = value;                                                                        \
        assert_non_null(strstr(refused(dz_catalog_marks_put(f->c, v, 2, err), code), words));      \
    } while (0)
    MARK_REFUSED(source, DZ_S(""), DZ_BAD_INPUT, "mark 2 of 2: source is empty");
    MARK_REFUSED(chapter, DZ_S(""), DZ_BAD_INPUT, "chapter is empty");
    MARK_REFUSED(chapter, ((dz_str){big, sizeof(big)}), DZ_TOO_LARGE, "chapter has 4097 bytes");
    MARK_REFUSED(series, ((dz_str){big, sizeof(big)}), DZ_TOO_LARGE, "series has 4097 bytes");
    MARK_REFUSED(series, DZ_S("\xff"), DZ_BAD_INPUT, "series is not UTF-8");
    MARK_REFUSED(mark, 'X', DZ_BAD_INPUT, "mark 88 is none");
    assert_marks(f, "s", "");
    refused(dz_catalog_marks_put(f->c, v, DZ_CALL_RECORDS_MAX + 1, err), DZ_TOO_LARGE);
    refused(dz_catalog_marks_del(f->c, v, DZ_CALL_RECORDS_MAX + 1, err), DZ_TOO_LARGE);
    v[0].chapter = v[0].series = (dz_str){big, DZ_TEXT_MAX};
    put_marks(f, v, 1);
    struct dz_mark_rec *got;
    size_t n;
    must(dz_catalog_marks_of(f->c, DZ_S("x.com"), &v[0].chapter, 1, f->a, &got, &n, err));
    assert_int_equal(n, 1);
    assert_int_equal(got[0].series.n, DZ_TEXT_MAX);
    refused(dz_catalog_marks_of(f->c, DZ_S(""), &v[0].chapter, 1, f->a, &got, &n, err),
            DZ_BAD_INPUT);
    refused(dz_catalog_marks_of_series(f->c, DZ_S("x"), DZ_S(""), f->a, &got, &n, err),
            DZ_BAD_INPUT);
}

/* ---- favourites --------------------------------------------------------------------------------
 */

static bool favour(struct fixture *f, const char *source, const char *series, int64_t now_ms)
{
    bool is_new;
    must(
        dz_catalog_favourite_put(f->c, dz_str_of(source), dz_str_of(series), now_ms, &is_new, err));
    return is_new;
}

static void assert_favourites(struct fixture *f, const char *source, const char *want)
{
    struct dz_favourite_rec *v;
    size_t n;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_KIB);
    must(dz_catalog_favourites(f->c, dz_str_of(source), f->a, &v, &n, err));
    for (size_t i = 0; i < n; i++)
        dz_buf_putf(&b, "%s%.*s/%.*s@%lld", i ? " " : "", DZ_STR_FMT(v[i].source),
                    DZ_STR_FMT(v[i].series), (long long)v[i].created_ms);
    assert_string_equal(dz_buf_cstr(&b), want);
}

static void favourites_keep_their_order(void **state)
{
    struct fixture *f = *state;
    bool was;
    assert_favourites(f, "", "");
    assert_true(favour(f, "y.com", "m", 5));
    assert_true(favour(f, "x.com", "z", 5));
    assert_true(favour(f, "x.com", "a", 4));
    assert_true(favour(f, "x.com", "k", 9));
    assert_false(favour(f, "x.com", "a", 77));
    assert_favourites(f, "", "x.com/z@5 x.com/a@4 x.com/k@9 y.com/m@5");
    assert_favourites(f, "x.com", "x.com/z@5 x.com/a@4 x.com/k@9");
    assert_favourites(f, "none", "");
    must(dz_catalog_favourite_del(f->c, DZ_S("x.com"), DZ_S("z"), &was, err));
    assert_true(was);
    must(dz_catalog_favourite_del(f->c, DZ_S("x.com"), DZ_S("z"), &was, err));
    assert_false(was);
    must(dz_catalog_favourite_del(f->c, DZ_S("y.com"), DZ_S("z"), &was, err));
    assert_false(was);
    assert_true(favour(f, "x.com", "z", 6)); /* last now */
    assert_favourites(f, "x.com", "x.com/a@4 x.com/k@9 x.com/z@6");
    refused(dz_catalog_favourite_put(f->c, DZ_S("x.com"), DZ_S(""), 1, &was, err), DZ_BAD_INPUT);
    refused(dz_catalog_favourite_put(f->c, DZ_S(""), DZ_S("a"), 1, &was, err), DZ_BAD_INPUT);
    refused(dz_catalog_favourite_del(f->c, DZ_S("\xff"), DZ_S("a"), &was, err), DZ_BAD_INPUT);
}

/* ---- checksums ---------------------------------------------------------------------------------
 */

static void checksums_stay_with_their_blobs(void **state)
{
    struct fixture *f = *state;
    int64_t *ids;
    uint64_t got[4] = {7, 7, 7, 7}, seq, after;
    size_t n;
    put_one(f->c, "s", "1", 1, 3, 1);
    must(dz_catalog_changes(f->c, 0, f->a, &ids, &n, &seq, err));
    const struct dz_sha256 v[] = {blob_of(3).sha, blob_of(1).sha, blob_of(9).sha, blob_of(2).sha};
    must(dz_catalog_blob_crcs(f->c, v, 4, got, err));
    for (size_t i = 0; i < 4; i++)
        assert_true(got[i] == UINT64_MAX);
    const uint32_t crcs[] = {UINT32_MAX, 0, 5};
    must(dz_catalog_blob_crcs_put(f->c, v, crcs, 3, err)); /* the third is not there */
    must(dz_catalog_blob_crcs(f->c, v, 4, got, err));
    assert_int_equal(got[0], UINT32_MAX);
    assert_int_equal(got[1], 0);
    assert_true(got[2] == UINT64_MAX && got[3] == UINT64_MAX);
    assert_int_equal(refs_of(f, 9), -1);
    must(dz_catalog_changes(f->c, seq, f->a, &ids, &n, &after, err));
    assert_int_equal(n, 0);

    /* A row that is made anew knows nothing. */
    struct dz_series_full full;
    must(dz_catalog_load(f->c, 1, f->a, &full, err));
    struct dz_batch *b = begin(f);
    must(dz_batch_chapter_del(b, full.chapters[0].id, err));
    must(dz_batch_blob_drop(b, &v[1], err));
    commit(b);
    put_one(f->c, "s", "2", 2, 3, 1);
    must(dz_catalog_blob_crcs(f->c, v, 2, got, err));
    assert_int_equal(got[0], UINT32_MAX);
    assert_true(got[1] == UINT64_MAX);
    sound(f);
    must(dz_catalog_blob_crcs(f->c, NULL, 0, NULL, err));
    refused(dz_catalog_blob_crcs(f->c, v, DZ_CALL_RECORDS_MAX + 1, got, err), DZ_TOO_LARGE);
    refused(dz_catalog_blob_crcs_put(f->c, v, crcs, DZ_CALL_RECORDS_MAX + 1, err), DZ_TOO_LARGE);
}

/* Marks and favourites are there for another one on the same catalog at once, and after an end. */
static void what_readers_say_outlives_the_process(void **state)
{
    struct fixture *f = *state;
    if (f->which->where == IN_MEMORY)
        return; /* nothing outlives memory */
    struct dz_catalog *first = f->c;
    const struct dz_mark_rec m = mark("x.com", "c1", "s", 'D');
    put_marks(f, &m, 1);
    f->c = open_again(f);
    assert_marks(f, "s", "c1 D");
    assert_true(favour(f, "x.com", "s", 3));
    dz_catalog_close(&first);
    assert_favourites(f, "", "x.com/s@3");
    dz_catalog_close(&f->c);
    f->c = open_again(f);
    assert_marks(f, "s", "c1 D");
    assert_favourites(f, "", "x.com/s@3");
    assert_false(favour(f, "x.com", "s", 4));
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        CASE(marks_are_put_changed_and_removed),     CASE(many_marks_come_in_the_order_asked),
        CASE(marks_come_whole_or_not_at_all),        CASE(marks_have_limits),
        CASE(favourites_keep_their_order),           CASE(checksums_stay_with_their_blobs),
        CASE(what_readers_say_outlives_the_process),
    };
    return run_cases(cases, DZ_LEN(cases));
}
