/*
 * cbz: a chapter as a file that nobody stores: what it holds, that it is the same again, what
 * changes it, and that importing it gives the chapter back.
 */
#include "lab.h"

#include <stdlib.h>
#include <unistd.h>

static struct lab it;

/* The only chapter of the only series. */
static enum dz_code make(bool sizes, struct dz_cbz **ret_z, struct dz_err *err)
{
    DZ_AUTO(dz_view_unref) struct dz_view *v = dz_library_view(it.lib);
    assert_int_equal(v->series_n, 1);
    struct dz_cbz_options o = {.sizes = sizes};
    return dz_cbz_new(it.lib, v->series[0], &v->series[0]->chapters[0], &o, ret_z, err);
}

static struct dz_cbz *made(void)
{
    struct dz_cbz *z = NULL;
    must(make(false, &z, err));
    return z;
}

static struct dz_buf whole(const struct dz_cbz *z)
{
    struct dz_buf b;
    struct dz_cbz_piece piece;
    dz_buf_init(&b, 16 * DZ_MIB);
    while (dz_cbz_piece(z, b.n, &piece)) {
        if (piece.bytes.n > 0) {
            dz_buf_put(&b, piece.bytes);
            continue;
        }
        DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
        must(dz_store_get(dz_library_store(it.lib), piece.blob, DZ_STORE_BLOB_MAX, &body, err));
        assert_int_equal(body->n, piece.blob_bytes);
        assert_int_equal(piece.from + piece.n, body->n);
        dz_buf_put(&b, (dz_str){body->p + piece.from, piece.n});
    }
    assert_int_equal(b.n, dz_cbz_bytes(z));
    return b;
}

static void begin(unsigned pages)
{
    lab_init(&it, NULL);
    for (unsigned i = 0; i < pages; i++) {
        char name[64];
        snprintf(name, sizeof name, "Komi/Vol 2 Ch 10.5/%u.png", i + 1);
        lab_png(&it, name, i);
    }
    lab_write(&it, "Komi/Vol 2 Ch 10.5/ComicInfo.xml",
              DZ_S("<ComicInfo><Title>A/B &amp; C</Title><Series>Komi</Series><Number>10.5</Number>"
                   "<Volume>2</Volume><Summary>Words.</Summary><Writer>A, B</Writer>"
                   "<LanguageISO>ja</LanguageISO><Manga>YesAndRightToLeft</Manga></ComicInfo>"));
    lab_import(&it, "Komi", NULL);
}

static void says_what_it_holds(void **state)
{
    (void)state;
    begin(12);
    struct dz_cbz *z = NULL;
    must(make(true, &z, err));
    struct dz_buf b = whole(z), entry;
    dz_buf_init(&entry, DZ_MIB);
    assert_true(dz_str_eq(dz_cbz_name(z), DZ_S("Komi Vol. 2 Ch. 10.5 - A∕B & C.cbz")));
    DZ_AUTO(dz_archive_close) struct dz_archive *a = NULL;
    struct dz_archive_entry e;
    bool has;
    must(dz_archive_open_memory(dz_buf_str(&b), &dz_archive_limits_default, &a, err));
    for (unsigned i = 0; i < 12; i++) {
        char name[16];
        snprintf(name, sizeof name, "%02u.png", i + 1);
        must(dz_archive_next(a, &has, &e, err));
        assert_true(has && dz_str_eq(e.name, dz_str_of(name)));
        dz_buf_clear(&entry);
        must(dz_archive_read(a, &entry, err));
        assert_true(dz_str_eq(dz_buf_str(&entry), lab_picture(i)));
    }
    must(dz_archive_next(a, &has, &e, err));
    assert_true(has && dz_str_eq(e.name, DZ_S("ComicInfo.xml")));
    dz_buf_clear(&entry);
    must(dz_archive_read(a, &entry, err));
    dz_str info = dz_buf_str(&entry);
    static const char *const said[] = {"<Title>A/B &amp; C</Title>\n",
                                       "<Series>Komi</Series>\n",
                                       "<Number>10.5</Number>\n",
                                       "<Volume>2</Volume>\n",
                                       "<Summary>Words.</Summary>\n",
                                       "<Writer>A, B</Writer>\n",
                                       "<PageCount>12</PageCount>\n",
                                       "<LanguageISO>ja</LanguageISO>",
                                       ">YesAndRightToLeft</",
                                       "<Page Image=\"11\" ImageSize",
                                       " ImageWidth=",
                                       "Type=\"FrontCover\" />"};
    for (size_t i = 0; i < DZ_LEN(said); i++)
        if (dz_str_find(info, dz_str_of(said[i])) == DZ_NPOS)
            fail_msg("no %s in %.*s", said[i], (int)info.n, info.p);
    must(dz_archive_next(a, &has, &e, err));
    assert_false(has);
    dz_buf_done(&entry);
    dz_buf_done(&b);
    dz_cbz_unref(&z);
    lab_done(&it);
}

static void is_the_same_again(void **state)
{
    (void)state;
    begin(3);
    struct dz_cbz *z = made();
    struct dz_buf b = whole(z);
    /* The second one takes the checksums from the catalog. */
    DZ_AUTO(dz_view_unref) struct dz_view *v = dz_library_view(it.lib);
    const struct dz_snap_page *p = v->series[0]->chapters[0].pages;
    uint64_t crc = UINT64_MAX;
    must(dz_catalog_blob_crcs(dz_library_catalog(it.lib), &p->sha, 1, &crc, err));
    assert_int_equal(crc, dz_crc32(0, lab_picture(0)));
    lab_reopen(&it);
    struct dz_cbz *again = made();
    struct dz_buf c = whole(again);
    assert_true(dz_str_eq(dz_buf_str(&b), dz_buf_str(&c)));
    assert_true(dz_str_eq(dz_cbz_etag(z), dz_cbz_etag(again)));
    assert_int_equal(dz_cbz_modified_s(z), dz_cbz_modified_s(again));
    assert_int_equal(dz_cbz_etag(z).n, 34);
    dz_cbz_unref(&again);
    must(make(true, &again, err));
    assert_false(dz_str_eq(dz_cbz_etag(z), dz_cbz_etag(again)));
    dz_cbz_unref(&again);
    dz_cbz_unref(&z);
    dz_buf_done(&b);
    dz_buf_done(&c);
    lab_done(&it);
}

static void changes_with_the_chapter(void **state)
{
    (void)state;
    begin(3);
    struct dz_cbz *z = made();
    lab_png(&it, "Komi/Vol 2 Ch 10.5/2.png", 99);
    lab_touch(&it, "Komi/Vol 2 Ch 10.5/2.png", 1700000000);
    lab_import(&it, "Komi", NULL);
    lab_reopen(&it);
    struct dz_cbz *other = made();
    assert_int_equal(dz_cbz_bytes(z), dz_cbz_bytes(other));
    assert_false(dz_str_eq(dz_cbz_etag(z), dz_cbz_etag(other)));
    dz_cbz_unref(&z);
    dz_cbz_unref(&other);
    lab_done(&it);
}

static void comes_back_by_import(void **state)
{
    (void)state;
    begin(11);
    struct dz_cbz *z = made();
    struct dz_buf b = whole(z);
    DZ_AUTO(dz_buf_done) struct dz_buf name;
    dz_buf_init(&name, 512);
    dz_buf_put(&name, dz_cbz_name(z));
    DZ_AUTO(dz_view_unref) struct dz_view *v = dz_library_view(it.lib);
    const struct dz_snapshot *first = v->series[0];
    struct lab other;
    lab_init(&other, NULL);
    lab_write(&other, dz_buf_cstr(&name), dz_buf_str(&b));
    lab_import(&other, dz_buf_cstr(&name), NULL);
    DZ_AUTO(dz_view_unref) struct dz_view *w = dz_library_view(other.lib);
    assert_int_equal(w->series_n, 1);
    const struct dz_snapshot *second = w->series[0];
    assert_true(dz_str_eq(first->series.title, second->series.title));
    assert_true(dz_str_eq(first->series.description, second->series.description));
    assert_true(dz_str_eq(first->series.authors, second->series.authors));
    assert_true(dz_str_eq(first->series.lang, second->series.lang));
    assert_true(second->series.right_to_left);
    assert_int_equal(second->chapters_n, 1);
    const struct dz_snap_chapter *c = &first->chapters[0], *d = &second->chapters[0];
    assert_true(dz_str_eq(c->key, d->key) && dz_str_eq(c->number, d->number));
    assert_true(dz_str_eq(c->volume, d->volume) && dz_str_eq(c->title, d->title));
    assert_int_equal(c->pages_n, d->pages_n);
    for (size_t i = 0; i < c->pages_n; i++) {
        assert_memory_equal(c->pages[i].sha.b, d->pages[i].sha.b, 32);
        assert_int_equal(c->pages[i].number, d->pages[i].number);
    }
    dz_buf_done(&b);
    dz_cbz_unref(&z);
    lab_done(&other);
    lab_done(&it);
}

static const char *blob_path(size_t page)
{
    static char path[256];
    char hex[65] = {0};
    DZ_AUTO(dz_view_unref) struct dz_view *v = dz_library_view(it.lib);
    dz_hex(v->series[0]->chapters[0].pages[page].sha.b, 32, hex);
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", it.conf->data_dir, hex, hex + 2);
    return path;
}

static void fails_before_it_begins(void **state)
{
    (void)state;
    for (unsigned known = 0; known < 2; known++) {
        struct dz_cbz *z = NULL;
        struct dz_err err;
        begin(3);
        if (known) {
            z = made();
            dz_cbz_unref(&z);
            lab_reopen(&it); /* forgets open files */
        }
        assert_int_equal(truncate(blob_path(2), 10), 0);
        assert_int_equal(make(false, &z, &err), DZ_CORRUPT);
        assert_non_null(strstr(err.text, "run dozo check"));
        assert_int_equal(unlink(blob_path(1)), 0);
        lab_reopen(&it);
        assert_int_equal(make(false, &z, &err), DZ_NOT_FOUND);
        assert_null(z);
        lab_done(&it);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_it_holds), cmocka_unit_test(is_the_same_again),
        cmocka_unit_test(changes_with_the_chapter), cmocka_unit_test(comes_back_by_import),
        cmocka_unit_test(fails_before_it_begins)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
