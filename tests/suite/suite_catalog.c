/*
 * suite_catalog: what every catalog driver must do, the same cases against each of them.
 *
 * A driver is a line in `drivers` (catalog_fixture.h); each case opens an empty catalog of its own.
 * What belongs to one driver only (migrations, other processes) is tested in tests/unit/catalog.
 */
#include "catalog_fixture.h"

#include <math.h>
#include <pthread.h>

static struct dz_series_full load(struct fixture *f, int64_t id)
{
    struct dz_series_full full;
    must(dz_catalog_load(f->c, id, f->a, &full, err));
    return full;
}

static size_t changed_since(struct fixture *f, uint64_t since, int64_t **ret_ids, uint64_t *ret_seq)
{
    size_t n;
    must(dz_catalog_changes(f->c, since, f->a, ret_ids, &n, ret_seq, err));
    return n;
}

/* Puts into a batch of its own; returns whether it was a change. */
static bool put(struct fixture *f, int64_t series_id, const struct dz_chapter_rec *ch)
{
    int64_t id;
    bool changed;
    struct dz_batch *b = begin(f);
    must(dz_batch_chapter(b, series_id, ch, &id, &changed, err));
    commit(b);
    return changed;
}

/* ---- cases
 * --------------------------------------------------------------------------------------- */

static void an_empty_catalog(void **state)
{
    struct fixture *f = *state;
    int64_t *ids;
    size_t n;
    uint64_t seq;
    struct dz_catalog_counts k;
    struct dz_shelf_rec *shelves;
    struct dz_series_full full;
    must(dz_catalog_series_ids(f->c, f->a, &ids, &n, err));
    assert_int_equal(n, 0);
    must(dz_catalog_shelves(f->c, f->a, &shelves, &n, err));
    assert_int_equal(n, 0);
    assert_int_equal(changed_since(f, 0, &ids, &seq), 0);
    assert_int_equal(seq, 0);
    must(dz_catalog_counts(f->c, &k, err));
    assert_int_equal(k.series + k.chapters + k.pages + k.assets + k.blobs + k.shelves, 0);
    refused(dz_catalog_load(f->c, 1, f->a, &full, err), DZ_NOT_FOUND);
    int64_t id = 7;
    refused(dz_catalog_series_find(f->c, DZ_S("local"), DZ_S("x"), &id, err), DZ_NOT_FOUND);
    assert_int_equal(id, 7);
    sound(f);
}

static void series_are_made_and_updated(void **state)
{
    struct fixture *f = *state;
    struct dz_series_rec s = {
        .source = DZ_S("viz.com"),
        .source_id = DZ_S("komi"),
        .title = DZ_S("Komi \xe2\x80\x99"),
        .description = DZ_S("A description"),
        .authors = DZ_S("A, B"),
        .lang = DZ_S("en"),
        .status = DZ_S("ended"),
        .url = DZ_S("https://example.org/komi"),
        .new_release = DZ_S("7 days"),
        .right_to_left = true,
    };
    int64_t id, again, found;
    struct dz_batch *b = begin(f);
    must(dz_batch_series(b, &s, &id, err));
    uint64_t first = commit(b);
    assert_int_equal(first, 1);

    struct dz_series_rec less = {.source = s.source,
                                 .source_id = s.source_id,
                                 .status = DZ_S("running"),
                                 .right_to_left = true};
    b = begin(f);
    must(dz_batch_series(b, &less, &again, err));
    assert_int_equal(commit(b), 2);
    assert_int_equal(again, id);
    struct dz_series_rec got = load(f, id).series;
    assert_str(got.title, "Komi \xe2\x80\x99");
    assert_str(got.status, "running");
    assert_str(got.new_release, "7 days");
    assert_str(got.url, "https://example.org/komi");
    assert_true(got.right_to_left);
    assert_true(got.created_s > 0 && got.updated_s >= got.created_s);

    b = begin(f);
    must(dz_batch_series(b, &less, &again, err));
    assert_int_equal(commit(b), 2); /* equal: no new number */
    must(dz_catalog_series_find(f->c, DZ_S("viz.com"), DZ_S("komi"), &found, err));
    assert_int_equal(found, id);

    /* By id a series may move to another source, but not onto one that is taken. */
    put_one(f->c, "other", "1", 1, 1, 1);
    struct dz_series_rec moved = {.id = id, .source = DZ_S("local"), .source_id = DZ_S("other")};
    b = begin(f);
    refused(dz_batch_series(b, &moved, &again, err), DZ_CONFLICT);
    moved.source_id = DZ_S("komi");
    must(dz_batch_series(b, &moved, &again, err));
    moved.id = 9999;
    refused(dz_batch_series(b, &moved, &again, err), DZ_NOT_FOUND);
    commit(b);
    must(dz_catalog_series_find(f->c, DZ_S("local"), DZ_S("komi"), &found, err));
    assert_int_equal(found, id);
}

static void a_chapter_comes_back_as_it_was_put(void **state)
{
    struct fixture *f = *state;
    int64_t id = put_one(f->c, "s", "1", 1, 0, 0);
    struct dz_page_rec pages[] = {
        {.number = 1, .mtime_s = 12, .blob = blob_of(1), .name = DZ_S("a\xff.jpg")},
        {.number = 3,
         .mtime_s = -5,
         .blob = {.sha = blob_of(2).sha, .bytes = DZ_BLOB_BYTES_MAX, .mime = DZ_S("x/odd")},
         .name = DZ_S("")},
    };
    struct dz_chapter_rec ch = {
        .source_id = DZ_S("dir/\xfe chapter"),
        .key = DZ_S("207.5"),
        .sort = 207.5,
        .number = DZ_S("207.5"),
        .volume = DZ_S("15"),
        .title = DZ_S(""),
        .volume_cover = true,
        .page_count = 40,
        .links = DZ_S("{\"viz\": \"https://x\"}"),
        .meta_extra = DZ_S("{\"a\":1.0}"),
        .extra = DZ_S("{\"b\":[]}"),
        .origin = DZ_S("/srv/x.cbz"),
        .origin_stamp = DZ_S("1:2:3"),
        .pages = pages,
        .pages_n = 2,
    };
    assert_true(put(f, id, &ch));
    struct dz_series_full full = load(f, id);
    assert_int_equal(full.chapters_n, 2);
    const struct dz_chapter_rec *got = &full.chapters[0];
    assert_str(got->source_id, "dir/\xfe chapter");
    assert_str(got->key, "207.5");
    assert_true(got->sort == 207.5 && got->volume_cover);
    assert_str(got->volume, "15");
    assert_non_null(got->title.p);
    assert_int_equal(got->title.n, 0);
    assert_int_equal(got->page_count, 40);
    assert_str(got->links, "{\"viz\": \"https://x\"}");
    assert_str(got->meta_extra, "{\"a\":1.0}");
    assert_str(got->extra, "{\"b\":[]}");
    assert_str(got->origin, "/srv/x.cbz");
    assert_str(got->origin_stamp, "1:2:3");
    assert_int_equal(got->pages_n, 2);
    assert_int_equal(got->pages[0].number, 1);
    assert_int_equal(got->pages[0].mtime_s, 12);
    assert_str(got->pages[0].name, "a\xff.jpg");
    assert_memory_equal(&got->pages[0].blob.sha, &pages[0].blob.sha, 32);
    assert_int_equal(got->pages[0].blob.width, 800);
    assert_str(got->pages[0].blob.mime, "image/jpeg");
    assert_int_equal(got->pages[1].number, 3);
    assert_int_equal(got->pages[1].mtime_s, 0); /* no HTTP date before 1970 */
    assert_int_equal(got->pages[1].blob.bytes, DZ_BLOB_BYTES_MAX);
    assert_str(got->pages[1].blob.mime, "x/odd");
    assert_null(full.chapters[1].title.p);
    assert_false(put(f, id, &ch)); /* equal, also with the clipped time */
}

static void chapters_are_newest_first(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *key;
        double sort;
    } in[] = {{"2", 2},       {"10", 10},    {"9.5", 9.5}, {"-1", -1},
              {"v1-b10", 50}, {"v1-b9", 50}, {"0.1", 0.1}};
    static const char *const want[] = {"v1-b10", "v1-b9", "10", "9.5", "2", "0.1", "-1"};
    int64_t id = 0;
    for (size_t i = 0; i < DZ_LEN(in); i++)
        id = put_one(f->c, "s", in[i].key, in[i].sort, 1, i);
    struct dz_series_full full = load(f, id);
    assert_int_equal(full.chapters_n, DZ_LEN(want));
    for (size_t i = 0; i < DZ_LEN(want); i++)
        assert_str(full.chapters[i].key, want[i]);
}

static void an_equal_chapter_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct dz_page_rec v[64];
    int64_t id = put_one(f->c, "s", "1", 1, 3, 10), *ids;
    uint64_t before, after;
    struct dz_chapter_rec ch = chapter_of("1", 1, pages_of(v, 3, 10), 3);
    changed_since(f, 0, &ids, &before);
    assert_false(put(f, id, &ch));
    ch.origin_stamp = DZ_S("new stamp");
    assert_false(put(f, id, &ch));
    assert_int_equal(changed_since(f, before, &ids, &after), 0);
    assert_int_equal(after, before);
    assert_str(load(f, id).chapters[0].origin_stamp, "new stamp");

    /* Each field alone is a change. */
    ch.title = DZ_S("t");
    assert_true(put(f, id, &ch));
    ch.title = DZ_S("");
    assert_true(put(f, id, &ch));
    ch.title = (dz_str){NULL, 0};
    assert_true(put(f, id, &ch));
    ch.volume = DZ_S("3");
    assert_true(put(f, id, &ch));
    ch.volume_cover = true;
    assert_true(put(f, id, &ch));
    ch.page_count++;
    assert_true(put(f, id, &ch));
    ch.sort = 1.5;
    assert_true(put(f, id, &ch));
    ch.links = DZ_S("{}");
    assert_true(put(f, id, &ch));
    v[1].mtime_s++;
    assert_true(put(f, id, &ch));
    v[1].name = DZ_S("other.jpg");
    assert_true(put(f, id, &ch));
    v[1].blob.width = 0; /* "not known" is no news */
    assert_false(put(f, id, &ch));
    v[1].blob.mime = DZ_S("image/png");
    assert_true(put(f, id, &ch));
    v[2].number = 7;
    assert_true(put(f, id, &ch));
    assert_false(put(f, id, &ch));
    assert_int_equal(changed_since(f, before, &ids, &after), 1);
    assert_int_equal(ids[0], id);
    const struct dz_chapter_rec *got = load(f, id).chapters;
    assert_int_equal(got->pages[2].number, 7);
    assert_int_equal(got->pages[1].blob.width, 800);
    assert_str(got->pages[1].blob.mime, "image/png");
    sound(f);
}

static void references_follow_the_pages(void **state)
{
    struct fixture *f = *state;
    struct dz_page_rec v[64];
    int64_t id = put_one(f->c, "s", "1", 1, 3, 10); /* 10 11 12 */
    put_one(f->c, "s", "2", 2, 2, 11);              /* 11 12 */
    assert_int_equal(refs_of(f, 10), 1);
    assert_int_equal(refs_of(f, 11), 2);

    pages_of(v, 4, 11); /* 11 12 13 13 */
    v[3].blob = v[2].blob;
    struct dz_chapter_rec ch = chapter_of("1", 1, v, 4);
    assert_true(put(f, id, &ch));
    assert_int_equal(refs_of(f, 10), 0);
    assert_int_equal(refs_of(f, 11), 2);
    assert_int_equal(refs_of(f, 13), 2);

    ch.pages_n = 1;
    assert_true(put(f, id, &ch));
    assert_int_equal(refs_of(f, 12), 1);
    assert_int_equal(refs_of(f, 13), 0);
    sound(f);

    int64_t chapter_id = load(f, id).chapters[1].id;
    struct dz_batch *b = begin(f);
    must(dz_batch_chapter_del(b, chapter_id, err));
    refused(dz_batch_chapter_del(b, chapter_id, err), DZ_NOT_FOUND);
    struct dz_sha256 used = blob_of(11).sha, idle = blob_of(10).sha;
    refused(dz_batch_blob_drop(b, &used, err), DZ_CONFLICT);
    must(dz_batch_blob_drop(b, &idle, err));
    refused(dz_batch_blob_drop(b, &idle, err), DZ_NOT_FOUND);
    commit(b);
    assert_int_equal(refs_of(f, 10), -1);
    assert_int_equal(refs_of(f, 11), 1);
    assert_int_equal(load(f, id).chapters_n, 1);
    struct dz_catalog_counts k;
    must(dz_catalog_counts(f->c, &k, err));
    assert_int_equal(k.chapters, 1);
    assert_int_equal(k.pages, 2);
    assert_int_equal(k.blobs, 3);
    assert_int_equal(k.blob_bytes, 3 * 1000 + 11 + 12 + 13);
    sound(f);
}

static void a_chapter_is_edited(void **state)
{
    struct fixture *f = *state;
    int64_t *ids, id = put_one(f->c, "s", "1", 1, 3, 10);
    uint64_t before, after;
    bool changed;
    struct dz_chapter_rec was = load(f, id).chapters[0], is;
    changed_since(f, 0, &ids, &before);
    struct dz_chapter_edit e = {.id = was.id, .title = DZ_S("T"), .volume = DZ_S("3")};
    struct dz_batch *b = begin(f);
    must(dz_batch_chapter_edit(b, &e, &changed, err)); /* nothing is named */
    assert_false(changed);
    e.has_title = true;
    must(dz_batch_chapter_edit(b, &e, &changed, err));
    assert_true(changed);
    must(dz_batch_chapter_edit(b, &e, &changed, err));
    assert_false(changed);
    e.has_volume = e.has_cover = e.volume_cover = true;
    must(dz_batch_chapter_edit(b, &e, &changed, err));
    assert_true(changed);
    e.id = 4711;
    refused(dz_batch_chapter_edit(b, &e, &changed, err), DZ_NOT_FOUND);
    e.title = DZ_S("\xff");
    refused(dz_batch_chapter_edit(b, &e, &changed, err), DZ_BAD_INPUT);
    commit(b);
    is = load(f, id).chapters[0];
    assert_str(is.title, "T");
    assert_str(is.volume, "3");
    assert_true(is.volume_cover);
    assert_int_equal(is.pages_n, 3);
    assert_true(is.rev > was.rev);
    assert_int_equal(changed_since(f, before, &ids, &after), 1);
    assert_int_equal(after, before + 1);
    e = (struct dz_chapter_edit){.id = was.id, .has_title = true};
    b = begin(f);
    must(dz_batch_chapter_edit(b, &e, &changed, err));
    assert_true(changed);
    must(dz_batch_chapter_edit(b, &e, &changed, err));
    assert_false(changed); /* null stays null */
    commit(b);
    assert_null(load(f, id).chapters[0].title.p);
    assert_str(load(f, id).chapters[0].volume, "3");
    sound(f);
}

static void keys_are_unique_in_a_series(void **state)
{
    struct fixture *f = *state;
    int64_t id = put_one(f->c, "s", "1", 1, 1, 1), new_id;
    put_one(f->c, "t", "1", 1, 1, 1); /* another series may have it */
    bool changed;
    struct dz_page_rec v[64];
    struct dz_chapter_rec ch = chapter_of("1", 1, pages_of(v, 1, 9), 1);
    ch.source_id = DZ_S("another");
    struct dz_batch *b = begin(f);
    const char *text = refused(dz_batch_chapter(b, id, &ch, &new_id, &changed, err), DZ_CONFLICT);
    assert_non_null(strstr(text, "key 1"));
    /* Refused before anything was written: the batch goes on. */
    ch.key = DZ_S("2");
    must(dz_batch_chapter(b, id, &ch, &new_id, &changed, err));
    assert_true(changed);
    refused(dz_batch_chapter(b, 4711, &ch, &new_id, &changed, err), DZ_NOT_FOUND);
    commit(b);
    assert_int_equal(load(f, id).chapters_n, 2);

    /* By id the source id may change. */
    ch.id = new_id;
    ch.source_id = DZ_S("moved");
    assert_true(put(f, id, &ch));
    assert_int_equal(load(f, id).chapters_n, 2);
    ch.source_id = DZ_S("1");
    b = begin(f);
    refused(dz_batch_chapter(b, id, &ch, &new_id, &changed, err), DZ_CONFLICT);
    ch.id = 12345;
    refused(dz_batch_chapter(b, id, &ch, &new_id, &changed, err), DZ_NOT_FOUND);
    dz_batch_rollback(&b);
    sound(f);
}

static void assets_and_shelves(void **state)
{
    struct fixture *f = *state;
    int64_t id = put_one(f->c, "s", "1", 1, 1, 1), other = put_one(f->c, "t", "1", 1, 1, 1), *ids;
    bool changed;
    uint64_t before, seq;
    struct dz_asset_rec a = {.name = DZ_S("vol1.jpg"), .mtime_s = 5, .blob = blob_of(1)};
    struct dz_batch *b = begin(f);
    must(dz_batch_asset(b, id, &a, &changed, err));
    assert_true(changed);
    must(dz_batch_asset(b, id, &a, &changed, err));
    assert_false(changed);
    a.name = DZ_S("sub/odd \xff name");
    must(dz_batch_asset(b, id, &a, &changed, err));
    a.blob = blob_of(2);
    must(dz_batch_asset(b, id, &a, &changed, err));
    assert_true(changed);
    refused(dz_batch_asset(b, 999, &a, &changed, err), DZ_NOT_FOUND);
    must(dz_batch_shelf(b, DZ_S("komi"), id, err));
    refused(dz_batch_shelf(b, DZ_S("komi"), 999, err), DZ_NOT_FOUND);
    before = commit(b);
    assert_int_equal(refs_of(f, 1), 3);
    assert_int_equal(refs_of(f, 2), 1);
    struct dz_series_full full = load(f, id);
    assert_int_equal(full.assets_n, 2);
    assert_str(full.assets[0].name, "sub/odd \xff name");
    assert_str(full.assets[1].name, "vol1.jpg");
    assert_int_equal(full.assets[1].mtime_s, 5);

    b = begin(f);
    must(dz_batch_shelf(b, DZ_S("komi"), id, err));
    assert_int_equal(commit(b), before); /* as it was */
    b = begin(f);
    must(dz_batch_shelf(b, DZ_S("komi"), other, err));
    commit(b);
    assert_int_equal(changed_since(f, before, &ids, &seq), 2); /* the one that it left, too */
    struct dz_shelf_rec *v;
    size_t n;
    must(dz_catalog_shelves(f->c, f->a, &v, &n, err));
    assert_int_equal(n, 1);
    assert_str(v[0].name, "komi");
    assert_int_equal(v[0].series_id, other);

    b = begin(f);
    must(dz_batch_asset_del(b, id, DZ_S("vol1.jpg"), err));
    refused(dz_batch_asset_del(b, id, DZ_S("vol1.jpg"), err), DZ_NOT_FOUND);
    commit(b);
    assert_int_equal(refs_of(f, 1), 2);
    sound(f);
}

static void a_batch_is_seen_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    int64_t id = put_one(f->c, "s", "1", 1, 1, 1), chapter_id, *ids;
    uint64_t seq, before;
    bool changed;
    struct dz_page_rec v[64];
    changed_since(f, 0, &ids, &before);
    struct dz_batch *b = begin(f);
    struct dz_chapter_rec ch = chapter_of("2", 2, pages_of(v, 5, 50), 5);
    must(dz_batch_chapter(b, id, &ch, &chapter_id, &changed, err));
    if (f->which->where != IN_MEMORY) {
        assert_int_equal(load(f, id).chapters_n, 1);
        assert_int_equal(refs_of(f, 50), -1);
        assert_int_equal(changed_since(f, before, &ids, &seq), 0);
    }
    dz_batch_rollback(&b);
    assert_null(b);
    dz_batch_rollback(&b);
    assert_int_equal(load(f, id).chapters_n, 1);

    b = begin(f);
    must(dz_batch_chapter(b, id, &ch, &chapter_id, &changed, err));
    assert_int_equal(commit(b), before + 1);
    assert_int_equal(load(f, id).chapters_n, 2);
    assert_int_equal(changed_since(f, before, &ids, &seq), 1);
    sound(f);
}

static void a_half_written_call_breaks_its_batch(void **state)
{
    struct fixture *f = *state;
    int64_t id = put_one(f->c, "s", "1", 1, 1, 1), chapter_id;
    bool changed;
    struct dz_page_rec v[64];
    pages_of(v, 3, 1);
    v[0].blob = blob_of(8);
    v[1].blob = blob_of(1);
    v[1].blob.bytes++; /* the catalog knows better */
    struct dz_chapter_rec ch = chapter_of("2", 2, v, 3);
    struct dz_batch *b = begin(f);
    refused(dz_batch_chapter(b, id, &ch, &chapter_id, &changed, err), DZ_CONFLICT);
    ch.key = ch.source_id = DZ_S("3");
    ch.pages_n = 0;
    refused(dz_batch_chapter(b, id, &ch, &chapter_id, &changed, err), DZ_CONFLICT);
    refused(dz_batch_commit(&b, NULL, err), DZ_CONFLICT);
    assert_null(b);
    assert_int_equal(load(f, id).chapters_n, 1);
    assert_int_equal(refs_of(f, 8), -1);
    put_one(f->c, "s", "4", 4, 1, 1); /* and the writer is free again */
    sound(f);
}

static void changes_name_each_series_once(void **state)
{
    struct fixture *f = *state;
    int64_t *ids, s = put_one(f->c, "s", "1", 1, 1, 1), t = put_one(f->c, "t", "1", 1, 1, 1);
    uint64_t seq, later;
    assert_int_equal(changed_since(f, 0, &ids, &seq), 2);
    assert_int_equal(ids[0], s);
    assert_int_equal(ids[1], t);
    assert_int_equal(changed_since(f, seq, &ids, &later), 0);
    assert_int_equal(later, seq);
    put_one(f->c, "s", "2", 2, 1, 2);
    put_one(f->c, "s", "3", 3, 1, 2);
    assert_int_equal(changed_since(f, seq, &ids, &later), 1);
    assert_int_equal(ids[0], s);
    assert_true(later > seq);
    assert_int_equal(changed_since(f, 0, &ids, &seq), 2);
    assert_int_equal(ids[0], t); /* s changed last */
    assert_int_equal(changed_since(f, UINT64_MAX, &ids, &later), 0);
    assert_int_equal(later, seq);
}

static void limits_name_the_field(void **state)
{
    struct fixture *f = *state;
    static char big[DZ_LONG_TEXT_MAX + 1];
    memset(big, 'x', sizeof(big));
    dz_str over = {big, DZ_TEXT_MAX + 1}, most = {big, DZ_TEXT_MAX};
    int64_t id = put_one(f->c, "s", "1", 1, 1, 1), got;
    bool changed;
    struct dz_page_rec v[64];
    struct dz_chapter_rec ch;
    struct dz_batch *b = begin(f);
#define REFUSED(field, value, code, word)                                                          \
    do {                                                                                           \
        ch = chapter_of("9", 9, pages_of(v, 3, 1), 3);                                             \
        field = value;                                                                             \
        const char *text = refused(dz_batch_chapter(b, id, &ch, &got, &changed, err), code);       \
        if (!strstr(text, word))                                                                   \
            fail_msg("\"%s\" does not say \"%s\"", text, word);                                    \
    } while (0)
    REFUSED(ch.title, over, DZ_TOO_LARGE, "title");
    REFUSED(ch.key, over, DZ_TOO_LARGE, "key");
    REFUSED(ch.source_id, over, DZ_TOO_LARGE, "source_id");
    REFUSED(ch.source_id, DZ_S(""), DZ_BAD_INPUT, "source_id");
    REFUSED(ch.key, DZ_S(""), DZ_BAD_INPUT, "key");
    REFUSED(ch.key, DZ_S("a/b"), DZ_BAD_INPUT, "key");
    REFUSED(ch.title, DZ_S("a\xff"), DZ_BAD_INPUT, "title is not UTF-8");
    REFUSED(ch.volume, DZ_S("a\0b"), DZ_BAD_INPUT, "volume holds a zero byte");
    REFUSED(ch.sort, NAN, DZ_BAD_INPUT, "sort");
    REFUSED(ch.sort, INFINITY, DZ_BAD_INPUT, "sort");
    REFUSED(ch.origin, over, DZ_TOO_LARGE, "origin");
    REFUSED(ch.links, ((dz_str){big, DZ_LONG_TEXT_MAX + 1}), DZ_TOO_LARGE, "links");
    REFUSED(ch.links, DZ_S("[]"), DZ_BAD_INPUT, "links: JSON line 1, column 1");
    REFUSED(ch.links, DZ_S("{\"a\":\n01}"), DZ_BAD_INPUT, "line 2, column 2");
    REFUSED(ch.extra, DZ_S("{\"links\":1}"), DZ_BAD_INPUT, "\"links\" has a field of its own");
    REFUSED(ch.meta_extra, DZ_S("{\"title\":1}"), DZ_BAD_INPUT, "\"title\"");
    REFUSED(v[1].number, 1, DZ_BAD_INPUT, "page number 1 after 1");
    REFUSED(v[0].number, 0, DZ_BAD_INPUT, "page number 0");
    REFUSED(v[2].name, over, DZ_TOO_LARGE, "page 3: name");
    REFUSED(v[2].blob.bytes, DZ_BLOB_BYTES_MAX + 1ull, DZ_TOO_LARGE, "page 3");
    REFUSED(v[2].blob.mime, over, DZ_TOO_LARGE, "mime");
    REFUSED(ch.pages_n, DZ_CHAPTER_PAGES_MAX + 1, DZ_TOO_LARGE, "20001 pages");

    ch = chapter_of("9", 9, pages_of(v, 1, 1), 1);
    ch.key = ch.title = ch.source_id = most;
    must(dz_batch_chapter(b, id, &ch, &got, &changed, err));

    struct dz_series_rec s = series_of("x");
    s.title = over;
    assert_non_null(strstr(refused(dz_batch_series(b, &s, &got, err), DZ_TOO_LARGE), "title"));
    s = series_of("");
    refused(dz_batch_series(b, &s, &got, err), DZ_BAD_INPUT);
    static const char *const bad_names[] = {"", "/a", "a//b", "..", "a/../b", "./a", "a/"};
    for (size_t i = 0; i < DZ_LEN(bad_names); i++) {
        struct dz_asset_rec a = {.name = dz_str_of(bad_names[i]), .blob = blob_of(1)};
        refused(dz_batch_asset(b, id, &a, &changed, err), DZ_BAD_INPUT);
    }
    refused(dz_batch_shelf(b, DZ_S(""), id, err), DZ_BAD_INPUT);
    refused(dz_batch_shelf(b, DZ_S("a/b"), id, err), DZ_BAD_INPUT);
    refused(dz_batch_shelf(b, over, id, err), DZ_TOO_LARGE);
    commit(b);
    assert_int_equal(load(f, id).chapters_n, 2);

    /* What is loaded stays inside the caller's arena. */
    DZ_AUTO(dz_arena_free) struct dz_arena *small = dz_arena_new(2048);
    struct dz_series_full full;
    refused(dz_catalog_load(f->c, id, small, &full, err), DZ_TOO_LARGE);
}

/* ---- snapshots that follow each other -----------------------------------------------------------
 */

static struct dz_snapshot *next_snapshot(struct fixture *f, int64_t id,
                                         const struct dz_snapshot *old, size_t want_kept)
{
    struct dz_series_full full;
    struct dz_snapshot *s = NULL;
    must(dz_catalog_load_since(f->c, id, old, f->a, &full, err));
    assert_int_equal(full.kept_n, want_kept);
    must(dz_snapshot_update(&full, old, true, NULL, 0, &s, err));
    return s;
}

/* As if it had been built without the one before; and no two files have one index. */
static void assert_whole(struct fixture *f, const struct dz_snapshot *s)
{
    bool seen[256] = {false};
    struct dz_snapshot *fresh = NULL;
    struct dz_series_full full = load(f, s->series.id);
    must(dz_snapshot_build(&full, true, NULL, 0, &fresh, err));
    assert_string_equal(s->list->etag, fresh->list->etag);
    for (enum dz_snap_encoding e = 0; e < DZ_SNAP_ENCODINGS; e++) {
        const struct dz_body *got = dz_snap_list_body(s->list, e);
        const struct dz_body *want = dz_snap_list_body(fresh->list, e);
        assert_true(!got == !want);
        if (got)
            assert_true(dz_str_eq((dz_str){got->p, got->n}, (dz_str){want->p, want->n}));
    }
    assert_true(dz_str_eq(s->x_chapters, fresh->x_chapters));
    assert_int_equal(s->chapters_n, fresh->chapters_n);
    assert_int_equal(s->pages_n, fresh->pages_n);
    for (size_t i = 0; i < s->chapters_n; i++) {
        const struct dz_snap_chapter *c = &s->chapters[i], *want = &fresh->chapters[i];
        assert_int_equal(c->id, want->id);
        assert_true(dz_str_eq(c->key, want->key) && dz_str_eq(c->title, want->title));
        assert_true(dz_str_eq(c->x_metadata, want->x_metadata));
        assert_int_equal(c->item_at, want->item_at);
        assert_int_equal(c->item_n, want->item_n);
        assert_int_equal(c->pages_n, want->pages_n);
        for (size_t k = 0; k < c->pages_n; k++) {
            struct dz_snap_page page = c->pages[k];
            assert_string_equal(page.mime, want->pages[k].mime);
            assert_true(page.index < DZ_LEN(seen) && !seen[page.index]);
            seen[page.index] = true;
            page.mime = want->pages[k].mime;
            page.index = want->pages[k].index;
            assert_memory_equal(&page, &want->pages[k], sizeof(page));
        }
    }
    for (size_t i = 0; i < s->assets_n; i++) {
        uint32_t index = s->assets[i].file.index;
        assert_true(index < DZ_LEN(seen) && !seen[index]);
        seen[index] = true;
    }
    dz_snapshot_unref(&fresh);
}

static const struct dz_snap_page *pages_in(const struct dz_snapshot *s, const char *key)
{
    return dz_snapshot_chapter(s, dz_str_of(key))->pages;
}

static void a_snapshot_takes_over_what_did_not_change(void **state)
{
    struct fixture *f = *state;
    struct dz_page_rec v[64];
    int64_t id = put_one(f->c, "s", "1", 1, 3, 10), chapter_id;
    bool changed;
    put_one(f->c, "s", "2", 2, 2, 20);
    put_one(f->c, "s", "3", 3, 2, 30);
    put_one(f->c, "s", "4", 4, 0, 0);
    struct dz_asset_rec asset = {.name = DZ_S("vol1.jpg"), .blob = blob_of(1)};
    struct dz_batch *b = begin(f);
    must(dz_batch_asset(b, id, &asset, &changed, err));
    commit(b);
    struct dz_snapshot *first = next_snapshot(f, id, NULL, 0);
    assert_whole(f, first);

    /* A page of another type, which is no static text. */
    struct dz_chapter_rec ch = chapter_of("1", 1, pages_of(v, 3, 10), 3);
    v[1].blob = v[2].blob = blob_of(13);
    v[1].blob.mime = v[2].blob.mime = DZ_S("image/x-odd");
    assert_true(put(f, id, &ch));
    struct dz_snapshot *second = next_snapshot(f, id, first, 3);
    assert_whole(f, second);
    assert_ptr_equal(pages_in(first, "2"), pages_in(second, "2"));
    assert_ptr_not_equal(pages_in(first, "1"), pages_in(second, "1"));
    assert_string_equal(pages_in(first, "1")[1].mime, "image/jpeg");
    dz_snapshot_unref(&first);

    /* One goes, one comes, one brings a stamp only: both snapshots read on. */
    b = begin(f);
    must(dz_batch_chapter_del(b, dz_snapshot_chapter(second, DZ_S("3"))->id, err));
    ch = chapter_of("5", 5, pages_of(v, 2, 50), 2);
    must(dz_batch_chapter(b, id, &ch, &chapter_id, &changed, err));
    ch = chapter_of("2", 2, pages_of(v, 2, 20), 2);
    ch.origin_stamp = DZ_S("new");
    must(dz_batch_chapter(b, id, &ch, &chapter_id, &changed, err));
    commit(b);
    struct dz_snapshot *third = next_snapshot(f, id, second, 3);
    assert_whole(f, third);
    assert_string_equal(pages_in(third, "1")[2].mime, "image/x-odd");
    assert_non_null(pages_in(second, "3"));
    dz_snapshot_unref(&second);

    /* Another chapter tells more about a picture that chapter 2 shows as well. */
    ch = chapter_of("6", 6, pages_of(v, 1, 20), 1);
    v[0].blob.mime = DZ_S("image/png");
    assert_true(put(f, id, &ch));
    struct dz_snapshot *fourth = next_snapshot(f, id, third, 3);
    assert_whole(f, fourth);
    assert_string_equal(pages_in(fourth, "2")[0].mime, "image/png");
    dz_snapshot_unref(&third);

    /* Page numbers of cache keys have 32 bits: all is read anew in time. */
    fourth->index_next = UINT32_MAX / 2 + 1ull;
    struct dz_snapshot *fifth = next_snapshot(f, id, fourth, 0);
    assert_whole(f, fifth);
    assert_true(fifth->index_next < 20);
    dz_snapshot_unref(&fourth);
    dz_snapshot_unref(&fifth);
}

static enum dz_code stop_at_second(void *arg, const struct dz_blob_rec *b, uint64_t refs,
                                   struct dz_err *err)
{
    int *seen = arg;
    (void)b;
    (void)refs;
    return ++*seen == 2 ? dz_fail(err, DZ_CANCELLED, "enough") : DZ_OK;
}

static void blobs_stop_when_told(void **state)
{
    struct fixture *f = *state;
    int seen = 0;
    put_one(f->c, "s", "1", 1, 5, 1);
    refused(dz_catalog_blobs(f->c, stop_at_second, &seen, err), DZ_CANCELLED);
    assert_int_equal(seen, 2);
    put_one(f->c, "s", "2", 2, 1, 1);
}

struct reader {
    struct fixture *f;
    int64_t series_id;
    atomic_bool *stop;
    size_t last, backwards;
};

/* A reader never sees fewer chapters than before, nor one without its pages. */
static void *read_on(void *arg)
{
    struct reader *r = arg;
    while (!atomic_load(r->stop)) {
        DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(64 * DZ_MIB);
        struct dz_series_full full;
        if (dz_catalog_load(r->f->c, r->series_id, a, &full, NULL) != DZ_OK ||
            full.chapters_n < r->last) {
            r->backwards++;
            continue;
        }
        for (size_t i = 0; i < full.chapters_n; i++)
            r->backwards += full.chapters[i].pages_n != 4;
        r->last = full.chapters_n;
    }
    return NULL;
}

static void threads_read_while_one_writes(void **state)
{
    struct fixture *f = *state;
    atomic_bool stop = false;
    int64_t id = put_one(f->c, "s", "1", 1, 4, 1);
    struct reader r[6];
    pthread_t t[6];
    for (size_t i = 0; i < DZ_LEN(t); i++) {
        r[i] = (struct reader){.f = f, .series_id = id, .stop = &stop};
        assert_int_equal(pthread_create(&t[i], NULL, read_on, &r[i]), 0);
    }
    for (unsigned i = 2; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        put_one(f->c, "s", key, i, 4, i);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < DZ_LEN(t); i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(r[i].backwards, 0);
    }
    assert_int_equal(load(f, id).chapters_n, 39);
    sound(f);
}

static void an_unknown_driver_is_named(void **state)
{
    (void)state;
    struct dz_catalog *c = NULL;
    const char *text = refused(dz_catalog_open("oracle", "/nowhere", "", &c, err), DZ_BAD_INPUT);
    assert_non_null(strstr(text, "oracle"));
    assert_non_null(strstr(text, "sqlite"));
    dz_catalog_close(&c);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        CASE(an_empty_catalog),
        CASE(series_are_made_and_updated),
        CASE(a_chapter_comes_back_as_it_was_put),
        CASE(chapters_are_newest_first),
        CASE(an_equal_chapter_is_left_alone),
        CASE(references_follow_the_pages),
        CASE(a_chapter_is_edited),
        CASE(keys_are_unique_in_a_series),
        CASE(assets_and_shelves),
        CASE(a_batch_is_seen_whole_or_not_at_all),
        CASE(a_half_written_call_breaks_its_batch),
        CASE(changes_name_each_series_once),
        CASE(limits_name_the_field),
        CASE(a_snapshot_takes_over_what_did_not_change),
        CASE(blobs_stop_when_told),
        CASE(threads_read_while_one_writes),
        CASE(an_unknown_driver_is_named),
    };
    return run_cases(cases, DZ_LEN(cases));
}
