/*
 * test_bodies: X-Metadata, X-Chapters and the list of a shelf, byte for byte.
 */
#include "catalog/test_records.h"

#include <brotli/decode.h>
#include <pthread.h>
#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

static struct dz_snapshot *shelf_of(struct dz_chapter_rec *chapters, size_t n,
                                    const char *new_release, const struct dz_link_template *links,
                                    size_t links_n)
{
    struct dz_series_full full = {.chapters = chapters, .chapters_n = n};
    full.series = series_of("komi");
    full.series.new_release = dz_str_of(new_release);
    full.series.url = DZ_S("https://example.org/komi");
    struct dz_snapshot *s = NULL;
    must(dz_snapshot_build(&full, true, links, links_n, &s, err));
    assert_true(s->has_shelf);
    return s;
}

static void assert_text(dz_str got, const char *want)
{
    if (!dz_str_eq(got, dz_str_of(want)))
        fail_msg("got\n%.*s\nwant\n%s", (int)got.n, got.p, want);
}

static dz_str list_of(const struct dz_snapshot *s)
{
    const struct dz_body *b = dz_snap_list_body(s->list, DZ_SNAP_IDENTITY);
    return (dz_str){b->p, b->n};
}

/* contracts/komizip.md section 4, with a title outside ASCII and a chapter without a link to its
 * source. */
static struct dz_chapter_rec example[2];

static struct dz_chapter_rec *make_example(void)
{
    example[0] = chapter_of("407", 407, NULL, 0);
    example[0].page_count = 18;
    example[0].links = DZ_S("{ \"viz\" : \"https://www.viz.com/a?b=c\" , \"komizip\": "
                            "\"https://read.komi.zip/407\" }");
    example[1] = chapter_of("333.2", 333.2, NULL, 0);
    example[1].page_count = 2;
    example[1].title = DZ_S("It\xe2\x80\x99s \"\xf0\x9f\x98\x80\"\n");
    example[1].volume = DZ_S("24");
    example[1].volume_cover = true;
    example[1].links = DZ_S("{\"komizip\":\"https://read.komi.zip/?333.2\"}");
    return example;
}

static void the_example_of_the_contract(void **state)
{
    (void)state;
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = shelf_of(make_example(), 2, "", NULL, 0);
    assert_text(s->chapters[0].x_metadata,
                "{\"metadata\":{\"title\":null,\"page_count\":18,\"volume\":null,"
                "\"volume_cover\":false},\"links\":{\"viz\":\"https://www.viz.com/a?b=c\","
                "\"komizip\":\"https://read.komi.zip/407\"}}");
    assert_text(
        s->chapters[1].x_metadata,
        "{\"metadata\":{\"title\":\"It\\u2019s \\\"\\ud83d\\ude00\\\"\\n\",\"page_count\":2,"
        "\"volume\":\"24\",\"volume_cover\":true},"
        "\"links\":{\"komizip\":\"https://read.komi.zip/?333.2\"}}");
    assert_text(s->x_chapters, "[\"407\",\"333.2\"]");
    assert_text(
        list_of(s),
        "{\"error\": false, \"new_release\": \"null\", \"chapters\": {\"407\": {\"metadata\": "
        "{\"title\": null, \"page_count\": 18, \"volume\": null, \"volume_cover\": false}, "
        "\"links\": {\"viz\": \"https://www.viz.com/a?b=c\", \"komizip\": "
        "\"https://read.komi.zip/407\"}}, \"333.2\": {\"metadata\": {\"title\": \"It\\u2019s "
        "\\\"\\ud83d\\ude00\\\"\\n\", \"page_count\": 2, \"volume\": \"24\", \"volume_cover\": "
        "true}, \"links\": {\"komizip\": \"https://read.komi.zip/?333.2\"}}}, \"order\": "
        "[\"407\", \"333.2\"]}");
}

static void new_release_is_told_when_known(void **state)
{
    (void)state;
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = shelf_of(NULL, 0, "7 days", NULL, 0);
    assert_text(list_of(s), "{\"error\": false, \"new_release\": \"7 days\", \"chapters\": {}, "
                            "\"order\": []}");
    assert_text(s->x_chapters, "[]");
}

static void unknown_members_stay_in_their_place(void **state)
{
    (void)state;
    struct dz_chapter_rec c = chapter_of("1", 1, NULL, 0);
    c.title = DZ_S("");
    c.meta_extra = DZ_S("{\"z\":1.0,\"a\":[1,{\"b\":null}]}");
    c.extra = DZ_S("{\"note\":\"\\u00e9\",\"big\":123456789012345678901234567890}");
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = shelf_of(&c, 1, "", NULL, 0);
    assert_text(s->chapters[0].x_metadata,
                "{\"metadata\":{\"title\":\"\",\"page_count\":0,\"volume\":null,"
                "\"volume_cover\":false,\"z\":1.0,\"a\":[1,{\"b\":null}]},\"links\":{},"
                "\"note\":\"\\u00e9\",\"big\":123456789012345678901234567890}");
    assert_non_null(strstr(list_of(s).p, "\"z\": 1.0, \"a\": [1, {\"b\": null}]}, \"links\": {}, "
                                         "\"note\": \"\\u00e9\", \"big\": 12345"));
}

static dz_str links_of(const struct dz_snapshot *s)
{
    dz_str x = s->chapters[0].x_metadata;
    return dz_str_sub(x, dz_str_find(x, DZ_S("\"links\":")) + 8, x.n - 1);
}

static void templates_add_what_a_chapter_lacks(void **state)
{
    (void)state;
    static const struct dz_link_template links[] = {
        {{"viz", 3}, {"{source_url}", 12}},
        {{"komizip", 7}, {"https://read.komi.zip/{chapter}", 31}},
        {{"both", 4}, {"/go/{chapter}?to={source_url}&{x}", 33}},
    };
    struct dz_chapter_rec c = chapter_of("4 7/\xc3\xa9", 1, NULL, 0);
    c.key = DZ_S("4 7\xc3\xa9");
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *bare = shelf_of(&c, 1, "", links, 3);
    assert_text(links_of(bare),
                "{\"viz\":\"https://example.org/komi\","
                "\"komizip\":\"https://read.komi.zip/4%207%C3%A9\","
                "\"both\":\"/go/4%207%C3%A9?to=https%3A%2F%2Fexample.org%2Fkomi&{x}\"}");

    /* Its own links come first, as they are; the address of the chapter is its own as well. */
    c.links = DZ_S("{\"x\":0,\"viz\":\"https://viz/1\",\"komizip\":7}");
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *own = shelf_of(&c, 1, "", links, 3);
    assert_text(links_of(own), "{\"x\":0,\"viz\":\"https://viz/1\",\"komizip\":7,"
                               "\"both\":\"/go/4%207%C3%A9?to=https%3A%2F%2Fviz%2F1&{x}\"}");

    c.links = DZ_S("{\"source\":\"https://s/1\"}");
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *source = shelf_of(&c, 1, "", links, 1);
    assert_text(links_of(source), "{\"source\":\"https://s/1\",\"viz\":\"https://s/1\"}");

    /* The series' address is not that of a chapter which names other links only. */
    c.links = DZ_S("{\"komizip\":\"k\"}");
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *unknown = shelf_of(&c, 1, "", links, 3);
    assert_text(links_of(unknown), "{\"komizip\":\"k\"}");
}

static void headers_hold_no_del(void **state)
{
    (void)state;
    struct dz_chapter_rec c = chapter_of("1", 1, NULL, 0);
    c.title = DZ_S("a\x7f"
                   "b\x7f");
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = shelf_of(&c, 1, "", NULL, 0);
    assert_true(dz_str_find(s->chapters[0].x_metadata, DZ_S("\"a\\u007fb\\u007f\"")) != DZ_NPOS);
    assert_true(dz_str_find(list_of(s), DZ_S("\"a\\u007fb\\u007f\"")) != DZ_NPOS);
}

static void stored_json_that_is_none_is_named(void **state)
{
    (void)state;
    struct dz_chapter_rec c = chapter_of("12", 1, NULL, 0);
    c.links = DZ_S("{\"a\":}");
    struct dz_series_full full = {.chapters = &c, .chapters_n = 1};
    struct dz_snapshot *s = NULL;
    const char *text = refused(dz_snapshot_build(&full, true, NULL, 0, &s, err), DZ_CORRUPT);
    assert_non_null(strstr(text, "chapter 12: JSON line 1, column 6"));
    assert_null(s);
    must(dz_snapshot_build(&full, false, NULL, 0, &s, err)); /* nobody asked for its bodies */
    assert_false(s->has_shelf);
    assert_null(s->list);
    dz_snapshot_unref(&s);
}

/* n chapters with the keys n … 1; one at a time. */
static struct dz_chapter_rec *many(size_t n)
{
    enum { MAX = 3000 };
    static struct dz_chapter_rec c[MAX];
    static char keys[MAX][8];
    assert_true(n <= MAX);
    for (size_t i = 0; i < n; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%zu", n - i);
        c[i] = chapter_of(keys[i], (double)(n - i), NULL, 0);
        c[i].id = (int64_t)(n - i);
        c[i].rev = 1;
    }
    return c;
}

static void assert_gzip(const struct dz_body *gz, dz_str want)
{
    assert_memory_equal(gz->p, "\x1f\x8b\x08\0\0\0\0\0", 8); /* no name, no time */
    DZ_AUTO(dz_freep) char *out = dz_alloc(want.n);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)gz->p,
                  .avail_in = (uInt)gz->n,
                  .next_out = (Bytef *)out,
                  .avail_out = (uInt)want.n};
    assert_int_equal(inflateInit2(&z, 31), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, want.n);
    inflateEnd(&z);
    assert_memory_equal(out, want.p, want.n);
}

static void assert_brotli(const struct dz_body *br, dz_str want)
{
    DZ_AUTO(dz_freep) char *out = dz_alloc(want.n);
    size_t n = want.n;
    assert_int_equal(BrotliDecoderDecompress(br->n, (const uint8_t *)br->p, &n, (uint8_t *)out),
                     BROTLI_DECODER_RESULT_SUCCESS);
    assert_int_equal(n, want.n);
    assert_memory_equal(out, want.p, want.n);
}

static void assert_zstd(const struct dz_body *zs, dz_str want)
{
    ZSTD_frameHeader h;
    assert_int_equal(ZSTD_getFrameHeader(&h, zs->p, zs->n), 0);
    assert_true(h.windowSize <= 8 * DZ_MIB); /* RFC 9659 */
    assert_int_equal(h.frameContentSize, want.n);
    DZ_AUTO(dz_freep) char *out = dz_alloc(want.n);
    assert_int_equal(ZSTD_decompress(out, want.n, zs->p, zs->n), want.n);
    assert_memory_equal(out, want.p, want.n);
}

static void assert_encoded(const struct dz_snapshot *s)
{
    dz_str list = list_of(s);
    assert_true(dz_snap_list_is_encoded(s->list));
    assert_gzip(dz_snap_list_body(s->list, DZ_SNAP_GZIP), list);
    assert_brotli(dz_snap_list_body(s->list, DZ_SNAP_BR), list);
    assert_zstd(dz_snap_list_body(s->list, DZ_SNAP_ZSTD), list);
}

static void assert_bare(const struct dz_snapshot *s)
{
    for (enum dz_snap_encoding e = DZ_SNAP_GZIP; e < DZ_SNAP_ENCODINGS; e++)
        assert_null(dz_snap_list_body(s->list, e));
}

static void encodings_hold_the_same_bytes(void **state)
{
    (void)state;
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = shelf_of(many(411), 411, "", NULL, 0);
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *again = shelf_of(many(411), 411, "", NULL, 0);
    assert_true(list_of(s).n < DZ_SNAP_ENCODE_LATE);
    assert_encoded(s);
    for (enum dz_snap_encoding e = DZ_SNAP_GZIP; e < DZ_SNAP_ENCODINGS; e++) {
        const struct dz_body *x = dz_snap_list_body(s->list, e);
        const struct dz_body *y = dz_snap_list_body(again->list, e);
        assert_true(x->n < list_of(s).n / 4);
        assert_true(dz_str_eq((dz_str){x->p, x->n}, (dz_str){y->p, y->n}));
    }
    assert_int_equal(strlen(s->list->etag), 24);
    assert_string_equal(again->list->etag, s->list->etag);
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *other = shelf_of(many(410), 410, "", NULL, 0);
    assert_string_not_equal(other->list->etag, s->list->etag);
    DZ_AUTO(dz_snapshot_unref)
    struct dz_snapshot *days = shelf_of(many(411), 411, "7 days", NULL, 0);
    assert_string_not_equal(days->list->etag, s->list->etag);
}

static void short_lists_are_not_encoded(void **state)
{
    (void)state;
    char title[512];
    memset(title, 'x', sizeof(title));
    struct dz_chapter_rec c = chapter_of("1", 1, NULL, 0);
    c.title = (dz_str){title, 1};
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = shelf_of(&c, 1, "", NULL, 0);
    size_t rest = list_of(s).n - 1;
    assert_bare(s);
    assert_true(dz_snap_list_is_encoded(s->list));
    for (size_t want = 499; want <= 500; want++) {
        c.title.n = want - rest;
        DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *t = shelf_of(&c, 1, "", NULL, 0);
        assert_int_equal(list_of(t).n, want);
        for (enum dz_snap_encoding e = DZ_SNAP_GZIP; e < DZ_SNAP_ENCODINGS; e++)
            assert_true((dz_snap_list_body(t->list, e) != NULL) == (want == 500));
    }
}

/* ---- lists that are encoded late ------------------------------------------------------------- */

static bool count_down(void *arg)
{
    int *left = arg;
    return (*left)-- > 0;
}

static void a_long_list_is_encoded_later_and_can_be_given_up(void **state)
{
    (void)state;
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = shelf_of(many(3000), 3000, "", NULL, 0);
    assert_true(list_of(s).n > 256 * DZ_KIB); /* more than one step of an encoder */
    assert_bare(s);
    assert_false(dz_snap_list_is_encoded(s->list));
    int left = 1;
    assert_int_equal(dz_snap_list_encode(s->list, count_down, &left, NULL), DZ_CANCELLED);
    assert_bare(s); /* in the middle of the first one */
    left = 3;
    assert_int_equal(dz_snap_list_encode(s->list, count_down, &left, NULL), DZ_CANCELLED);
    assert_non_null(dz_snap_list_body(s->list, DZ_SNAP_ZSTD));
    assert_null(dz_snap_list_body(s->list, DZ_SNAP_GZIP));
    assert_false(dz_snap_list_is_encoded(s->list));
    const struct dz_body *first = dz_snap_list_body(s->list, DZ_SNAP_ZSTD);
    must(dz_snap_list_encode(s->list, NULL, NULL, err));
    assert_ptr_equal(dz_snap_list_body(s->list, DZ_SNAP_ZSTD), first); /* written once */
    assert_encoded(s);
    left = 0;
    must(dz_snap_list_encode(s->list, count_down, &left, err)); /* nothing left to do */
}

struct reader {
    struct dz_snapshot *snap;
    atomic_bool stop;
    size_t torn;
};

/* What is seen is whole, and what was seen stays. */
static void *read_on(void *arg)
{
    struct reader *r = arg;
    const struct dz_body *seen[DZ_SNAP_ENCODINGS] = {0};
    while (!atomic_load(&r->stop)) {
        for (enum dz_snap_encoding e = DZ_SNAP_GZIP; e < DZ_SNAP_ENCODINGS; e++) {
            struct dz_body *b = dz_snap_list_body(r->snap->list, e);
            r->torn += seen[e] && seen[e] != b;
            if (b && !seen[e])
                r->torn += b->n < 16 || (e == DZ_SNAP_GZIP && memcmp(b->p, "\x1f\x8b", 2) != 0);
            seen[e] = b;
            if (!b)
                continue;
            struct dz_body *answer = dz_body_new(b->n);
            memcpy(answer->p, b->p, b->n);
            answer = dz_snap_list_keep_answer(r->snap->list, e, answer);
            r->torn += answer != dz_snap_list_answer(r->snap->list, e);
        }
    }
    return NULL;
}

static void readers_see_encodings_come_whole(void **state)
{
    (void)state;
    struct reader r = {.snap = shelf_of(many(3000), 3000, "", NULL, 0)};
    struct reader q = {.snap = r.snap};
    pthread_t t[2];
    assert_int_equal(pthread_create(&t[0], NULL, read_on, &r), 0);
    assert_int_equal(pthread_create(&t[1], NULL, read_on, &q), 0);
    must(dz_snap_list_encode(r.snap->list, NULL, NULL, err));
    atomic_store(&r.stop, true);
    atomic_store(&q.stop, true);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    assert_int_equal(r.torn + q.torn, 0);
    assert_encoded(r.snap);
    dz_snapshot_unref(&r.snap);
}

/* ---- lists that follow each other ------------------------------------------------------------ */

/* The next snapshot when the chapters of `marked` changed and those of `gone` went; compared with
 * one that is built from nothing. */
static struct dz_snapshot *follow(const struct dz_snapshot *old, struct dz_chapter_rec *all,
                                  size_t n, const char *changed)
{
    struct dz_series_full full = {.series = old->series}, whole = {.series = old->series};
    DZ_AUTO(dz_freep) struct dz_chapter_rec *fresh = dz_alloc(n * sizeof(*fresh));
    DZ_AUTO(dz_freep) const struct dz_snap_chapter **kept = dz_alloc(n * sizeof(*kept));
    full.chapters = fresh;
    full.kept = kept;
    for (size_t i = 0; i < n; i++) {
        const struct dz_snap_chapter *was = dz_snapshot_chapter_by_id(old, all[i].id);
        if (was && !strchr(changed, all[i].key.p[0]))
            kept[full.kept_n++] = was;
        else
            fresh[full.chapters_n++] = all[i];
    }
    whole.chapters = all;
    whole.chapters_n = n;
    struct dz_snapshot *next = NULL;
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *want = NULL;
    must(dz_snapshot_update(&full, old, true, NULL, 0, &next, err));
    must(dz_snapshot_build(&whole, true, NULL, 0, &want, err));
    assert_true(dz_str_eq(list_of(next), list_of(want)));
    assert_true(dz_str_eq(next->x_chapters, want->x_chapters));
    assert_string_equal(next->list->etag, want->list->etag);
    for (size_t i = 0; i < n; i++) {
        assert_true(dz_str_eq(next->chapters[i].key, all[i].key));
        assert_int_equal(next->chapters[i].item_at, want->chapters[i].item_at);
    }
    return next;
}

static void a_list_takes_over_what_did_not_change(void **state)
{
    (void)state;
    struct dz_chapter_rec *c = many(9);
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s0 = shelf_of(c, 9, "", NULL, 0);
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *same = follow(s0, c, 9, "");
    assert_ptr_equal(same->list, s0->list); /* with its encodings and answers */
    c[4].title = DZ_S("\xc3\xa9 another length");
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s1 = follow(s0, c, 9, "5");
    assert_ptr_not_equal(s1->list, s0->list);
    c[0].title = c[8].title = DZ_S("first and last");
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s2 = follow(s1, c, 9, "91");
    /* The newest goes, then one in the middle, then one comes, then all change. */
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s3 = follow(s2, c + 1, 8, "");
    memmove(&c[4], &c[5], 4 * sizeof(*c));
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s4 = follow(s3, c + 1, 7, "");
    dz_snapshot_unref(&s3); /* nothing is borrowed from the one before */
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s5 = follow(s4, c, 8, "");
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s6 = follow(s5, c, 8, "123456789");
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s7 = follow(s6, c, 0, "");
    assert_int_equal(s7->chapters_n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_contract),
        cmocka_unit_test(new_release_is_told_when_known),
        cmocka_unit_test(unknown_members_stay_in_their_place),
        cmocka_unit_test(templates_add_what_a_chapter_lacks),
        cmocka_unit_test(headers_hold_no_del),
        cmocka_unit_test(stored_json_that_is_none_is_named),
        cmocka_unit_test(encodings_hold_the_same_bytes),
        cmocka_unit_test(short_lists_are_not_encoded),
        cmocka_unit_test(a_long_list_is_encoded_later_and_can_be_given_up),
        cmocka_unit_test(readers_see_encodings_come_whole),
        cmocka_unit_test(a_list_takes_over_what_did_not_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
