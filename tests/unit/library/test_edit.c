/*
 * test_edit: the administrator's commands, rule by rule of contracts/komizip.md 2.7 with points 10
 * and 11 of its section 9, and checks 20 and 21 of section 10.
 */
#include "lab.h"

struct scene {
    struct lab l;
    struct dz_arena *a;
    struct dz_buf summary;
    int64_t series_id;
    char reason[256];
};

static int set_up(void **state)
{
    static const char json[] =
        "{\"407\": {\"metadata\": {\"title\": null, \"page_count\": 1, \"volume\": null, "
        "\"volume_cover\": false}},"
        "\"406.5\": {\"metadata\": {\"title\": \"old\", \"page_count\": 1, \"volume\": \"8\", "
        "\"volume_cover\": true}},"
        "\"406\": {\"metadata\": {\"title\": null, \"page_count\": 0, \"volume\": null, "
        "\"volume_cover\": false}},"
        "\"405\": {\"metadata\": {\"title\": null, \"page_count\": 0, \"volume\": null, "
        "\"volume_cover\": false}},"
        "\"9\": {\"metadata\": {\"title\": null, \"page_count\": 0, \"volume\": null, "
        "\"volume_cover\": false}}}";
    const struct dz_import_options o = {.shelf = "komi"};
    struct scene *s = dz_new(struct scene);
    lab_init(&s->l, NULL);
    lab_png(&s->l, "cdn/407-01.png", 1);
    lab_png(&s->l, "cdn/vol1.jpg", 2);
    lab_png(&s->l, "cdn/vol12.jpg", 3);
    lab_write(&s->l, "chapters.json", dz_str_of(json));
    must(lab_komizip(&s->l, "chapters.json", "cdn", &o, err));
    s->a = dz_arena_new(16 * DZ_MIB);
    dz_buf_init(&s->summary, DZ_MIB);
    must(dz_catalog_series_find(dz_library_catalog(s->l.lib), DZ_S("komizip"), DZ_S("komi"),
                                &s->series_id, err));
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    dz_arena_free(&s->a);
    dz_buf_done(&s->summary);
    lab_done(&s->l);
    free(s);
    return 0;
}

static const struct dz_chapter_rec *chapter(struct scene *s, const char *key)
{
    struct dz_series_full full;
    must(dz_catalog_load(dz_library_catalog(s->l.lib), s->series_id, s->a, &full, err));
    for (size_t i = 0; i < full.chapters_n; i++)
        if (dz_str_eq(full.chapters[i].key, dz_str_of(key)))
            return &full.chapters[i];
    fail_msg("no chapter %s", key);
    return NULL;
}

/* The summary, or NULL when it was refused; then s->reason says why. */
static const char *edit_bytes(struct scene *s, dz_str commands, enum dz_code *ret_code)
{
    struct dz_err err = {0};
    uint64_t seq;
    dz_buf_clear(&s->summary);
    *ret_code = dz_library_edit(s->l.lib, s->series_id, commands, &s->summary, &seq, &err);
    snprintf(s->reason, sizeof(s->reason), "%s", err.text);
    if (*ret_code == DZ_OK)
        assert_true(seq > 0);
    return *ret_code == DZ_OK ? dz_buf_cstr(&s->summary) : NULL;
}

static void done(struct scene *s, const char *commands, const char *want)
{
    enum dz_code code;
    const char *got = edit_bytes(s, dz_str_of(commands), &code);
    if (!got || strcmp(got, want) != 0)
        fail_msg("%s: \"%s\" (%s), want \"%s\"", commands, got ? got : "refused", s->reason, want);
}

/* Refused with this reason, and nothing has changed. */
static void refused(struct scene *s, const char *commands, const char *reason)
{
    enum dz_code code;
    uint64_t before = lab_seq(&s->l);
    assert_null(edit_bytes(s, dz_str_of(commands), &code));
    assert_int_equal(code, DZ_BAD_INPUT);
    assert_string_equal(s->reason, reason);
    assert_int_equal(lab_seq(&s->l), before);
}

static void has(struct scene *s, const char *key, const char *title, const char *volume, bool cover)
{
    const struct dz_chapter_rec *c = chapter(s, key);
    assert_true(!title == !c->title.p);
    assert_true(!title || dz_str_eq(c->title, dz_str_of(title)));
    assert_true(dz_str_eq(c->volume, dz_str_of(volume)));
    assert_int_equal(c->volume_cover, cover);
}

static void a_title_and_a_volume(void **state)
{
    struct scene *s = *state;
    done(s,
         "407 title=\"Ein Fr\xc3\xbchst\xc3\xbc"
         "ck\" volume=1",
         "407: title volume volume_cover<br>");
    has(s, "407",
        "Ein Fr\xc3\xbchst\xc3\xbc"
        "ck",
        "1", true);
    assert_int_equal(chapter(s, "407")->pages_n, 1);
    done(s, "406 volume=\"12\"", "406: volume volume_cover<br>");
    done(s, "405 volume=2", "405: volume<br>");
    has(s, "405", NULL, "2", false);
    done(s, "406.5 volume=3", "406.5: volume<br>"); /* a cover is never taken away */
    has(s, "406.5", "old", "3", true);
    done(s, "407 title=\"\"", "407: title<br>");
    has(s, "407", "", "1", true);
    done(s, "407 title=42", "407: title<br>");
    has(s, "407", "42", "1", true);
}

static void nothing_to_do(void **state)
{
    struct scene *s = *state;
    uint64_t before = lab_seq(&s->l);
    done(s, "", "");
    done(s, "\r\n\n  \nno equals sign here\n9999 neither\n", "");
    done(s, "407 title=x volume= 3=4", ""); /* no argument in there */
    assert_int_equal(lab_seq(&s->l), before);
}

static void ranges_go_down_over_what_is_stored(void **state)
{
    struct scene *s = *state;
    done(s, "407 title=\"A\" volume=1\r\n405-406 volume=2\r\n",
         "407: title volume volume_cover<br>406: volume<br>405: volume<br>");
    has(s, "406.5", "old", "8", true);
    done(s, "400-999 volume=5", "407: volume<br>406.5: volume<br>406: volume<br>405: volume<br>");
    has(s, "9", NULL, "", false);
    done(s, "406.2-406.7 volume=6", "406.5: volume<br>");
    done(s, "1-10 volume=12", "9: volume volume_cover<br>");
    done(s, "9-9 volume=2", "9: volume<br>");
    done(s, "1000-2000 volume=2", "");
}

static void the_last_one_wins(void **state)
{
    struct scene *s = *state;
    done(s, "407 volume=3 title=\"no\"\n406 volume=1\n407 title=\"a\" title=\"b\"",
         "407: title<br>406: volume volume_cover<br>");
    has(s, "407", "b", "", false);
    /* A line that was replaced is not looked at. */
    done(s, "407 foo=1\n407 volume=4", "407: volume<br>");
}

static void quotes_and_escapes(void **state)
{
    struct scene *s = *state;
    done(s, "407 title=\"a \\\"b\\\" = c\" volume=3", "407: title volume<br>");
    has(s, "407", "a \"b\" = c", "3", false);
    done(s, "407 title=\"a\\\\b\"", "407: title<br>");
    has(s, "407", "a\\\\b", "3", false);
    done(s, "407 title=\"a\\nb\" volume=4", "407: volume<br>");
    has(s, "407", "a\\\\b", "4", false);
    done(s, "407 title=\"open volume=5", "407: volume<br>");
    done(s, "407 title=\"ends\\", "");
    done(s, "407 volume=6title=\"x\"", "407: title volume<br>");
    has(s, "407", "x", "6", false);
}

static void what_is_wrong_is_said(void **state)
{
    struct scene *s = *state;
    refused(s, "405 foo=1", "arg not allowed (foo)");
    refused(s, "405 Title=\"x\"", "arg not allowed (Title)");
    refused(s, "407 volume=\"x\"", "volume arg not int (x)");
    refused(s, "407 volume=\"\"", "volume arg not int ()");
    refused(s, "406-405 volume=9", "chapter1 > chapter2 (where \"chapter1-chapter2 ...\")");
    refused(s, "9999 volume=9", "unknown chapter (9999)");
    refused(s, "abc-def volume=1", "neither a chapter nor a range (abc-def)");
    refused(s, "1-2-3 volume=1", "neither a chapter nor a range (1-2-3)");
    refused(s, "405- volume=1", "neither a chapter nor a range (405-)");
    refused(s, "405-1e9 volume=1", "neither a chapter nor a range (405-1e9)");
    refused(s, " 405 volume=1", "unknown chapter ()");
    refused(s, "405=1", "unknown chapter (405=1)");
    refused(s, "405 title=\"\xff\"", "title is not UTF-8, or holds a zero byte");
}

static void all_or_nothing(void **state)
{
    struct scene *s = *state;
    refused(s, "407 title=\"kept?\"\n405 volume=1\n9999 volume=9", "unknown chapter (9999)");
    has(s, "407", NULL, "", false);
    has(s, "405", NULL, "", false);
}

static void limits_hold(void **state)
{
    struct scene *s = *state;
    enum dz_code code;
    struct dz_buf b;
    dz_buf_init(&b, 4 * DZ_MIB);
    dz_buf_put(&b, DZ_S("407 title=\""));
    for (size_t i = 0; i <= DZ_TEXT_MAX; i++)
        dz_buf_putc(&b, 'x');
    dz_buf_putc(&b, '"');
    assert_null(edit_bytes(s, dz_buf_str(&b), &code));
    assert_int_equal(code, DZ_BAD_INPUT);
    dz_buf_clear(&b);
    for (size_t i = 0; i < 10001; i++)
        dz_buf_putf(&b, "%zu volume=1\n", i);
    assert_null(edit_bytes(s, dz_buf_str(&b), &code));
    assert_int_equal(code, DZ_TOO_LARGE);
    dz_buf_clear(&b);
    while (b.n <= DZ_EDIT_BYTES_MAX)
        dz_buf_put(&b, DZ_S("no instruction, only words\n"));
    assert_null(edit_bytes(s, dz_buf_str(&b), &code));
    assert_int_equal(code, DZ_TOO_LARGE);
    assert_null(edit_bytes(s, DZ_S("407 title=\"a\0b\""), &code));
    assert_int_equal(code, DZ_BAD_INPUT);
    dz_buf_done(&b);
    uint64_t seq;
    assert_int_equal(dz_library_edit(s->l.lib, 4711, DZ_S(""), &s->summary, &seq, NULL),
                     DZ_NOT_FOUND);
}

static void drop_view(void *arg, struct dz_view *take_view)
{
    (void)arg;
    dz_view_unref(&take_view);
}

/* Whoever waits for the edit finds it in the view. */
static void the_view_has_it(void **state)
{
    struct scene *s = *state;
    const struct dz_library_options o = {.conf = s->l.conf, .publish = drop_view};
    uint64_t seq;
    assert_false(dz_library_wait(s->l.lib, 1000000, 10)); /* not started */
    must(dz_library_start(s->l.lib, &o, err));
    for (unsigned i = 0; i < 5; i++) {
        char commands[32];
        snprintf(commands, sizeof(commands), "405 title=\"%u\"", i);
        must(dz_library_edit(s->l.lib, s->series_id, dz_str_of(commands), &s->summary, &seq, err));
        assert_true(dz_library_wait(s->l.lib, seq, 60000));
        struct dz_view *v = dz_library_view(s->l.lib);
        const struct dz_snap_chapter *c =
            dz_snapshot_chapter(dz_view_series(v, s->series_id), DZ_S("405"));
        char want[2] = {(char)('0' + i)};
        assert_true(dz_str_eq(c->title, dz_str_of(want)));
        dz_view_unref(&v);
    }
    assert_false(dz_library_wait(s->l.lib, seq + 1, 10));
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_title_and_a_volume),
        CASE(nothing_to_do),
        CASE(ranges_go_down_over_what_is_stored),
        CASE(the_last_one_wins),
        CASE(quotes_and_escapes),
        CASE(what_is_wrong_is_said),
        CASE(all_or_nothing),
        CASE(limits_hold),
        CASE(the_view_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
