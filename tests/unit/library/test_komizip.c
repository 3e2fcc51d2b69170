/*
 * test_komizip: chapters.json and the image folder of the service that is replaced: everything
 * comes out as it went in.
 */
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab.h"

static const struct dz_import_options on_shelf = {.shelf = "komi"};

static const struct dz_snapshot *shelf_snap(struct lab *l, struct dz_view **ret_view)
{
    *ret_view = dz_library_view(l->lib);
    const struct dz_view_shelf *s = dz_view_shelf_of(*ret_view, DZ_S("komi"));
    assert_non_null(s);
    assert_non_null(s->snap);
    return s->snap;
}

/* A synthetic file of the shipped one's shape: 411 chapters, four decimals, most without
 * links.viz. */
static json_t *make_chapters(void)
{
    static const char *const decimals[] = {"333.2", "284.5", "246.5", "207.5"};
    json_t *root = json_object();
    size_t d = 0;
    for (int n = 407; n >= 1; n--) {
        for (int half = 1; half >= 0; half--) {
            char key[16], link[64];
            if (half && (d == DZ_LEN(decimals) || strtol(decimals[d], NULL, 10) != n))
                continue;
            (void)snprintf(key, sizeof(key), "%d", n);
            const char *name = half ? decimals[d++] : key;
            (void)snprintf(link, sizeof(link), "https://read.example/%s%s", n % 3 ? "" : "?", name);
            json_t *m = json_object(), *c = json_object(), *links = json_object();
            json_object_set_new(m, "title",
                                n % 5 == 0 ? json_null()
                                           : json_string("It\u2019s \u53e4\u898b \U0001f600"));
            json_object_set_new(m, "page_count", json_integer(2 + n % 37));
            json_object_set_new(m, "volume", n > 400 ? json_null() : json_string("12"));
            json_object_set_new(m, "volume_cover", json_boolean(n < 300));
            if (n == 17)
                json_object_set_new(m, "rating", json_real(4.35));
            json_object_set_new(c, "metadata", m);
            if (n > 399)
                json_object_set_new(links, "viz", json_string("https://viz.example/1"));
            json_object_set_new(links, "komizip", json_string(link));
            json_object_set_new(c, "links", links);
            if (n == 18)
                json_object_set_new(c, "note", json_pack("{s:[i,f,n,b]}", "a", 1, 0.1, 1));
            json_object_set_new(root, name, c);
        }
    }
    return root;
}

static json_t *list_of(const struct dz_snapshot *s)
{
    json_error_t e;
    const struct dz_body *b = dz_snap_list_body(s->list, DZ_SNAP_IDENTITY);
    json_t *list = json_loadb(b->p + b->head_n, b->n - b->head_n, 0, &e);
    assert_non_null(list);
    return list;
}

static void write_json(struct lab *l, const char *name, json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(4) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
    lab_write(l, name, dz_str_of(text));
    free(text);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct lab l;
    json_t *root = make_chapters();
    struct dz_view *v;
    assert_int_equal(json_object_size(root), 411);
    lab_init(&l, NULL);
    write_json(&l, "chapters.json", root);
    lab_png(&l, "cdn/407-01.png", 1);
    must(lab_komizip(&l, "chapters.json", "cdn", &on_shelf, err));
    assert_int_equal(l.result.chapters_new, 411);
    assert_int_equal(l.result.warnings + l.result.errors, 0);

    const struct dz_snapshot *s = shelf_snap(&l, &v);
    json_t *list = list_of(s), *chapters = json_object_get(list, "chapters");
    assert_true(json_equal(chapters, root));
    char *ours = json_dumps(chapters, JSON_PRESERVE_ORDER),
         *theirs = json_dumps(root, JSON_PRESERVE_ORDER);
    assert_string_equal(ours, theirs); /* the order of members and chapters too */
    free(ours);
    free(theirs);
    json_decref(list);
    dz_view_unref(&v);

    uint64_t seq = lab_seq(&l);
    must(lab_komizip(&l, "chapters.json", "cdn", &on_shelf, err));
    assert_int_equal(l.result.chapters_same, 411);
    assert_int_equal(l.result.chapters_new + l.result.chapters_changed + l.result.assets, 0);
    assert_int_equal(lab_seq(&l), seq);
    json_decref(root);
    lab_done(&l);
}

static const char three[] =
    "{\"10\": {\"metadata\": {\"title\": \"\", \"page_count\": 3, \"volume\": null,"
    " \"volume_cover\": false}, \"links\": {}},"
    "\"9.5\": {\"metadata\": {\"title\": null, \"page_count\": 1, \"volume\": \"1\","
    " \"volume_cover\": true}},"
    "\"9\": {\"metadata\": {\"title\": \"x\", \"page_count\": 120, \"volume\": null,"
    " \"volume_cover\": false}}}";

static void assert_served(struct lab *l, const struct dz_snapshot *s, const char *name,
                          const char *mime, bool is_page)
{
    struct dz_buf want DZ_AUTO(dz_buf_done);
    char path[512];
    const struct dz_snap_chapter *c = NULL;
    const struct dz_snap_page *p = dz_snapshot_cdn(s, dz_str_of(name), &c);
    if (!p)
        fail_msg("%s is not served", name);
    (void)snprintf(path, sizeof(path), "cdn/%s", name);
    dz_buf_init(&want, DZ_MIB);
    must(dz_file_read(lab_path(l, path), &want, err));
    struct dz_sha256 sha = dz_sha256_of(dz_buf_str(&want));
    assert_memory_equal(p->sha.b, sha.b, sizeof(sha.b));
    assert_int_equal(p->bytes, want.n);
    assert_string_equal(p->mime, mime);
    assert_int_equal(p->number > 0, is_page);
    struct stat st;
    assert_int_equal(stat(lab_path(l, path), &st), 0);
    assert_int_equal(p->mtime_s, st.st_mtime);
}

static void test_files(void **state)
{
    (void)state;
    struct lab l;
    struct dz_view *v;
    lab_init(&l, NULL);
    lab_write(&l, "chapters.json", dz_str_of(three));
    lab_png(&l, "cdn/10-01.jpg", 1); /* a PNG by its bytes: the extension decides */
    lab_png(&l, "cdn/10-01.png", 2);
    lab_write(&l, "cdn/10-02.jpg", DZ_S("not an image"));
    lab_png(&l, "cdn/9-100.png", 4);
    lab_png(&l, "cdn/9-007.jpg", 5);
    lab_png(&l, "cdn/9-7.jpg", 6);
    lab_png(&l, "cdn/9-00.jpg", 7);
    lab_png(&l, "cdn/9.5-01.jpeg", 8);
    lab_png(&l, "cdn/999-01.jpg", 9);
    lab_png(&l, "cdn/vol1.jpg", 10);
    lab_write(&l, "cdn/sub dir/read me.txt", DZ_S("hello"));
    lab_write(&l, "cdn/empty", DZ_S(""));
    lab_write(&l, "cdn/.10-03.jpg", DZ_S("half"));
    lab_write(&l, "cdn/10-04.jpg.tmp", DZ_S("half"));
    lab_write(&l, "cdn/10-05.jpg.part", DZ_S("half"));
    lab_png(&l, "elsewhere/1.png", 11);
    assert_int_equal(symlink("vol1.jpg", lab_path(&l, "cdn/vol2.jpg")), 0);
    assert_int_equal(symlink("../elsewhere/1.png", lab_path(&l, "cdn/out.png")), 0);
    assert_int_equal(symlink(".", lab_path(&l, "cdn/loop")), 0);
    lab_touch(&l, "cdn/10-01.jpg", 1000000001);
    must(lab_komizip(&l, "chapters.json", "cdn", &on_shelf, err));
    assert_int_equal(l.result.pages, 3);
    assert_int_equal(l.result.assets, 10);
    assert_int_equal(l.result.warnings, 2); /* the text as .jpg and the link that leads out */
    const struct dz_snapshot *s = shelf_snap(&l, &v);
    assert_served(&l, s, "10-01.jpg", "image/jpeg", true);
    assert_served(&l, s, "10-01.png", "image/png", false);
    assert_served(&l, s, "10-02.jpg", "image/jpeg", true);
    assert_served(&l, s, "9-100.png", "image/png", true);
    assert_served(&l, s, "9-007.jpg", "image/jpeg", false);
    assert_served(&l, s, "9-7.jpg", "image/jpeg", false);
    assert_served(&l, s, "9-00.jpg", "image/jpeg", false);
    assert_served(&l, s, "9.5-01.jpeg", "image/jpeg", false);
    assert_served(&l, s, "999-01.jpg", "image/jpeg", false);
    assert_served(&l, s, "vol1.jpg", "image/jpeg", false);
    assert_served(&l, s, "vol2.jpg", "image/jpeg", false);
    assert_served(&l, s, "sub dir/read me.txt", "text/plain", false);
    assert_served(&l, s, "empty", "application/octet-stream", false);
    assert_int_equal(s->assets_n, 10);
    assert_false(dz_snapshot_chapter(s, DZ_S("10"))->title_null);
    assert_true(dz_snapshot_chapter(s, DZ_S("9.5"))->title_null);
    dz_view_unref(&v);

    /* Changed bytes of the same size, a new page, a page that is gone: replaced, added, kept. */
    lab_png(&l, "cdn/vol1.jpg", 77);
    lab_png(&l, "cdn/10-03.jpg", 12);
    lab_remove(&l, "cdn/10-02.jpg");
    must(lab_komizip(&l, "chapters.json", "cdn", &on_shelf, err));
    assert_int_equal(l.result.chapters_changed, 1);
    assert_int_equal(l.result.assets, 2); /* vol2.jpg links to vol1.jpg */
    lab_reopen(&l);
    s = shelf_snap(&l, &v);
    assert_served(&l, s, "vol1.jpg", "image/jpeg", false);
    assert_served(&l, s, "10-03.jpg", "image/jpeg", true);
    assert_non_null(dz_snapshot_cdn(s, DZ_S("10-02.jpg"), NULL));
    assert_int_equal(dz_snapshot_chapter(s, DZ_S("10"))->pages_n, 3);
    dz_view_unref(&v);
    lab_assert_whole(&l);
    lab_done(&l);
}

static void test_settings_series(void **state)
{
    (void)state;
    struct lab l;
    int64_t id = 0;
    lab_init(&l, "shelves:\n  - name: komi\n    series: viz.com/komi-cant\n");
    lab_write(&l, "chapters.json", dz_str_of(three));
    lab_png(&l, "cdn/10-01.jpg", 1);
    must(lab_komizip(&l, "chapters.json", "cdn", &on_shelf, err));
    must(dz_catalog_series_find(dz_library_catalog(l.lib), DZ_S("viz.com"), DZ_S("komi-cant"), &id,
                                err));
    struct dz_view *v;
    const struct dz_snapshot *s = shelf_snap(&l, &v);
    assert_int_equal(s->series.id, id);
    assert_true(dz_str_eq(s->x_chapters, DZ_S("[\"10\",\"9.5\",\"9\"]")));
    dz_view_unref(&v);
    lab_done(&l);
}

struct wrong {
    const char *json, *want;
};

static void test_bad_json(void **state)
{
    (void)state;
    static const struct wrong cases[] = {
        {"{\n  \"1\": {", "chapters.json:2:"},
        {"[]", "want one object of chapters"},
        {"{\"\": {\"metadata\": {}}}", "the key is empty"},
        {"{\"a/b\": {\"metadata\": {}}}", "chapter \"a/b\": the key holds a '/'"},
        {"{\"a\\u0001\": {\"metadata\": {}}}", "control character"},
        {"{\"1\": 5}", "chapter \"1\": is no object"},
        {"{\"1\": {}}", "chapter \"1\": metadata is missing"},
        {"{\"1\": {\"metadata\": {\"title\": 5}}}", "metadata.title is neither a text nor null"},
        {"{\"1\": {\"metadata\": {\"page_count\": \"5\"}}}", "metadata.page_count"},
        {"{\"1\": {\"metadata\": {\"page_count\": -1}}}", "metadata.page_count"},
        {"{\"1\": {\"metadata\": {\"volume_cover\": 1}}}", "metadata.volume_cover"},
        {"{\"1\": {\"metadata\": {}, \"links\": []}}", "links is no object"},
        {"{\"1\": {\"metadata\": {}}, \"1\": {\"metadata\": {}}}", "duplicate object key"},
        {"", "chapters.json:1:"},
    };
    struct lab l;
    lab_init(&l, NULL);
    lab_png(&l, "cdn/10-01.jpg", 1);
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_err err = {0};
        lab_write(&l, "chapters.json", dz_str_of(cases[i].json));
        assert_int_not_equal(lab_komizip(&l, "chapters.json", "cdn", &on_shelf, &err), DZ_OK);
        if (!strstr(err.text, cases[i].want))
            fail_msg("%s: %s", cases[i].json, err.text);
    }
    struct dz_buf deep DZ_AUTO(dz_buf_done);
    struct dz_err err = {0};
    dz_buf_init(&deep, DZ_MIB);
    dz_buf_put(&deep, DZ_S("{\"1\": {\"metadata\": {}, \"x\": "));
    for (int i = 0; i < 200; i++)
        dz_buf_putc(&deep, '[');
    for (int i = 0; i < 200; i++)
        dz_buf_putc(&deep, ']');
    dz_buf_put(&deep, DZ_S("}}"));
    lab_write(&l, "chapters.json", dz_buf_str(&deep));
    assert_int_equal(lab_komizip(&l, "chapters.json", "cdn", &on_shelf, &err), DZ_BAD_INPUT);
    assert_non_null(strstr(err.text, "nested too deep"));
    assert_int_equal(lab_seq(&l), 0);
    lab_done(&l);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    static const char *const names[] = {NULL, "", "Komi", "-x", "a b", "a/b"};
    struct lab l;
    struct dz_err err = {0};
    lab_init(&l, NULL);
    lab_write(&l, "chapters.json", dz_str_of(three));
    for (size_t i = 0; i < DZ_LEN(names); i++) {
        struct dz_import_options o = {.shelf = names[i]};
        assert_int_equal(lab_komizip(&l, "chapters.json", "data", &o, &err), DZ_BAD_INPUT);
    }
    assert_int_equal(lab_komizip(&l, "none.json", "data", &on_shelf, &err), DZ_NOT_FOUND);
    assert_int_equal(lab_komizip(&l, "chapters.json", "none", &on_shelf, &err), DZ_NOT_FOUND);
    assert_int_equal(lab_komizip(&l, "chapters.json", "chapters.json", &on_shelf, &err),
                     DZ_BAD_INPUT);
    assert_int_equal(lab_seq(&l), 0);
    lab_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_files),
        cmocka_unit_test(test_settings_series), cmocka_unit_test(test_bad_json),
        cmocka_unit_test(test_bad_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
