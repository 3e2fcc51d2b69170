/*
 * test_bodies: X-Metadata, X-Chapters and the list of a shelf, byte for byte.
 */
#include "catalog/test_records.h"

#include <brotli/decode.h>
#include <zlib.h>

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
    return (dz_str){s->list[DZ_SNAP_IDENTITY]->p, s->list[DZ_SNAP_IDENTITY]->n};
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
    assert_null(s->list[DZ_SNAP_IDENTITY]);
    dz_snapshot_unref(&s);
}

static void encodings_hold_the_same_bytes(void **state)
{
    (void)state;
    enum { N = 411 };
    static struct dz_chapter_rec c[N];
    static char keys[N][8];
    for (int i = 0; i < N; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%d", N - i);
        c[i] = chapter_of(keys[i], N - i, NULL, 0);
    }
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *s = shelf_of(c, N, "", NULL, 0);
    DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *again = shelf_of(c, N, "", NULL, 0);
    dz_str list = list_of(s);
    const struct dz_body *gz = s->list[DZ_SNAP_GZIP], *br = s->list[DZ_SNAP_BR];
    assert_true(gz->n < list.n / 4 && br->n < gz->n);
    assert_memory_equal(gz->p, "\x1f\x8b\x08\0\0\0\0\0", 8); /* no name, no time */
    assert_int_equal(again->list[DZ_SNAP_GZIP]->n, gz->n);
    assert_memory_equal(again->list[DZ_SNAP_GZIP]->p, gz->p, gz->n);

    DZ_AUTO(dz_freep) char *out = dz_alloc(list.n);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)gz->p,
                  .avail_in = (uInt)gz->n,
                  .next_out = (Bytef *)out,
                  .avail_out = (uInt)list.n};
    assert_int_equal(inflateInit2(&z, 31), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, list.n);
    inflateEnd(&z);
    assert_memory_equal(out, list.p, list.n);

    size_t n = list.n;
    assert_int_equal(BrotliDecoderDecompress(br->n, (const uint8_t *)br->p, &n, (uint8_t *)out),
                     BROTLI_DECODER_RESULT_SUCCESS);
    assert_int_equal(n, list.n);
    assert_memory_equal(out, list.p, list.n);

    struct dz_sha256 sha = dz_sha256_of(list);
    char hex[65] = {0};
    dz_hex(sha.b, 32, hex);
    assert_int_equal(strlen(s->list_etag), 14);
    assert_memory_equal(s->list_etag, hex, 14);
    assert_string_equal(again->list_etag, s->list_etag);
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
    assert_null(s->list[DZ_SNAP_GZIP]);
    assert_null(s->list[DZ_SNAP_BR]);
    for (size_t want = 499; want <= 500; want++) {
        c.title.n = want - rest;
        DZ_AUTO(dz_snapshot_unref) struct dz_snapshot *t = shelf_of(&c, 1, "", NULL, 0);
        assert_int_equal(list_of(t).n, want);
        assert_true((t->list[DZ_SNAP_GZIP] != NULL) == (want == 500));
        assert_true((t->list[DZ_SNAP_BR] != NULL) == (want == 500));
    }
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
