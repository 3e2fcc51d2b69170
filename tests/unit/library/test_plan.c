/*
 * test_plan: what a tree of files means. Each case makes a tree, imports one path of it, and
 * compares the chapters in reading order. A name ending in an archive extension becomes an archive
 * with one page, others a picture.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "lab.h"

struct tree {
    const char *name;
    const char *files[12];
    const char *path; /* what is imported */
    const char *want; /* lines as of lab_listing */
    const char *told; /* warnings and errors; NULL: none */
};

static const struct tree trees[] = {
    {"a folder of images is a chapter",
     {"My Comic/2.png", "My Comic/10.png", "My Comic/1.png"},
     "My Comic",
     "My Comic | My Comic | my_comic | . | . | . | 3\n",
     NULL},
    {"its name may say which chapter",
     {"x/My Comic 12/1.png"},
     "x/My Comic 12",
     "My Comic | My Comic 12 | 12 | . | 12 | . | 1\n",
     NULL},
    {"or only that: then the folder above is the series",
     {"My Comic/Chapter 3 - Rain/1.png"},
     "My Comic/Chapter 3 - Rain",
     "My Comic | Chapter 3 - Rain | 3 | . | 3 | Rain | 1\n",
     NULL},
    {"an archive, named by its own name",
     {"in/My Comic v02 c010.5 - The End.cbz"},
     "in/My Comic v02 c010.5 - The End.cbz",
     "My Comic | My Comic v02 c010.5 - The End.cbz | 10.5 | 2 | 10.5 | The End | 1\n",
     NULL},
    {"an archive, named by its folder",
     {"My Comic/c7.cbz"},
     "My Comic/c7.cbz",
     "My Comic | c7.cbz | 7 | . | 7 | . | 1\n",
     NULL},
    {"a folder of archives is a series",
     {"My Comic/Something c2.cbz", "My Comic/Something c10.cbz", "My Comic/Other.zip"},
     "My Comic",
     "My Comic | Other.zip | other | . | . | Other | 1\n"
     "My Comic | Something c2.cbz | 2 | . | 2 | . | 1\n"
     "My Comic | Something c10.cbz | 10 | . | 10 | . | 1\n",
     NULL},
    {"folders of images are chapters of the folder above",
     {"S/Ch 1/1.png", "S/Ch 2/1.png", "S/Ch 2/2.png"},
     "S",
     "S | Ch 1 | 1 | . | 1 | . | 1\nS | Ch 2 | 2 | . | 2 | . | 2\n",
     NULL},
    {"volumes and chapters below a series",
     {"root/SeriesA/Vol 1/Ch 3/1.png", "root/SeriesA/Vol 1/Ch 4/1.png", "root/SeriesB/c1.cbz"},
     "root",
     "SeriesA | Vol 1/Ch 3 | 3 | 1 | 3 | . | 1\nSeriesA | Vol 1/Ch 4 | 4 | 1 | 4 | . | 1\n"
     "SeriesB | c1.cbz | 1 | . | 1 | . | 1\n",
     NULL},
    {"a volume given by itself is the same series",
     {"root/SeriesA/Vol 1/Ch 3/1.png"},
     "root/SeriesA/Vol 1",
     "SeriesA | Vol 1/Ch 3 | 3 | 1 | 3 | . | 1\n",
     NULL},
    {"seasons count as volumes",
     {"S/Season 2/Episode 5/1.png"},
     "S",
     "S | Season 2/Episode 5 | 5 | 2 | 5 | . | 1\n",
     NULL},
    {"volume folders that repeat the series",
     {"root/My Comic v01/c1.cbz", "root/My Comic v02/c2.cbz"},
     "root",
     "My Comic | My Comic v01/c1.cbz | 1 | 1 | 1 | . | 1\n"
     "My Comic | My Comic v02/c2.cbz | 2 | 2 | 2 | . | 1\n",
     NULL},
    {"numbers that begin again in each volume",
     {"S/Vol 1/Ch 1/1.png", "S/Vol 1/Ch 2/1.png", "S/Vol 2/Ch 1/1.png", "S/Vol 2/Ch 3/1.png",
      "S/Vol 3/Ch 1/1.png"},
     "S",
     "S | Vol 1/Ch 1 | 1 | 1 | 1 | . | 1\nS | Vol 1/Ch 2 | 2 | 1 | 2 | . | 1\n"
     "S | Vol 2/Ch 1 | v2c1 | 2 | 1 | . | 1\nS | Vol 2/Ch 3 | 3 | 2 | 3 | . | 1\n"
     "S | Vol 3/Ch 1 | v3c1 | 3 | 1 | . | 1\n",
     NULL},
    {"volumes only",
     {"S/v01.cbz", "S/v02.cbz", "S/v10.cbz"},
     "S",
     "S | v01.cbz | v1 | 1 | . | . | 1\nS | v02.cbz | v2 | 2 | . | . | 1\n"
     "S | v10.cbz | v10 | 10 | . | . | 1\n",
     NULL},
    {"the same number twice",
     {"S/a c1.cbz", "S/b c1.cbz", "S/c c1.cbz"},
     "S",
     "S | a c1.cbz | 1 | . | 1 | . | 1\nS | b c1.cbz | 1_2 | . | 1 | . | 1\n"
     "S | c c1.cbz | 1_3 | . | 1 | . | 1\n",
     NULL},
    {"images and folders of images",
     {"S/1.png", "S/2.png", "S/Extra/1.png"},
     "S",
     "S | S | s | . | . | . | 2\nS | Extra | extra | . | . | Extra | 1\n",
     NULL},
    {"a wrapper is looked through",
     {"wrap/My Comic/1.png"},
     "wrap",
     "My Comic | My Comic | my_comic | . | . | . | 1\n",
     NULL},
    {"a series with one chapter is no wrapper",
     {"My Comic/Chapter 5/1.png"},
     "My Comic",
     "My Comic | Chapter 5 | 5 | . | 5 | . | 1\n",
     NULL},
    {"a cover beside archives is no chapter",
     {"root/S/cover.png", "root/S/c1.cbz"},
     "root",
     "S | c1.cbz | 1 | . | 1 | . | 1\n",
     NULL},
    {"junk is no page",
     {"S/1.png", "S/.hidden.png", "S/__MACOSX/2.png", "S/.git/3.png", "S/Thumbs.db", "S/note.txt"},
     "S",
     "S | S | s | . | . | . | 1\n",
     NULL},
    {"keys have no dash and no vol",
     {"S/The Volcano - part.cbz", "S/日本語 の話.cbz"},
     "S",
     "S | The Volcano - part.cbz | the_vcano_part | . | . | The Volcano - part | 1\n"
     "S | 日本語 の話.cbz | 日本語_の話 | . | . | 日本語 の話 | 1\n",
     NULL},
    {"nothing to import", {"S/readme.txt"}, "S", "", "error S: holds no images and no archives\n"},
    {"an archive without images",
     {"S/empty.cbz", "S/c1.cbz"},
     "S",
     "S | c1.cbz | 1 | . | 1 | . | 1\n",
     "warning S/empty.cbz: holds no images\n"},
};

static void make(struct lab *l, const char *file, unsigned seed)
{
    static const char *const archives[] = {".cbz", ".zip"};
    bool is_empty = strstr(file, "empty") != NULL;
    for (size_t i = 0; i < DZ_LEN(archives); i++) {
        if (!dz_str_ends(dz_str_of(file), dz_str_of(archives[i])))
            continue;
        struct lab_entry e[] = {{is_empty ? "1.txt" : "1.png", {NULL, 0}, seed},
                                {NULL, {NULL, 0}, 0}};
        lab_archive(l, file, "zip", e);
        return;
    }
    lab_png(l, file, seed);
}

static void put_told(struct dz_buf *b, dz_str events)
{
    while (events.n > 0) {
        size_t end = dz_str_chr(events, '\n');
        dz_str line = dz_str_sub(events, 0, end + 1);
        if (dz_str_starts(line, DZ_S("error")) || dz_str_starts(line, DZ_S("warning")))
            dz_buf_put(b, line);
        events = dz_str_sub(events, end + 1, events.n);
    }
}

static void test_trees(void **state)
{
    (void)state;
    for (size_t i = 0; i < DZ_LEN(trees); i++) {
        const struct tree *t = &trees[i];
        struct lab l;
        struct dz_buf told DZ_AUTO(dz_buf_done);
        dz_buf_init(&told, DZ_MIB);
        lab_init(&l, NULL);
        for (unsigned f = 0; f < DZ_LEN(t->files) && t->files[f]; f++)
            make(&l, t->files[f], f + 1);
        lab_import(&l, t->path, NULL);
        put_told(&told, dz_buf_str(&l.events));
        if (strcmp(lab_listing(&l), t->want) != 0 ||
            strcmp(dz_buf_cstr(&told), t->told ? t->told : "") != 0)
            fail_msg("%s:\nwant\n%s%sgot\n%s%s", t->name, t->want, t->told ? t->told : "",
                     lab_listing(&l), dz_buf_cstr(&told));
        /* The same again changes nothing, and neither does another spelling. */
        uint64_t seq = lab_seq(&l);
        DZ_AUTO(dz_freep) char *again = dz_alloc(512);
        (void)snprintf(again, 512, "data/.././%s", t->path);
        lab_import(&l, again, NULL);
        assert_int_equal(l.result.chapters_new + l.result.chapters_changed, 0);
        assert_int_equal(lab_seq(&l), seq);
        lab_done(&l);
    }
}

/* Links: inside they count, outside they are told, loops end. */
static void test_links(void **state)
{
    (void)state;
    struct lab l;
    lab_init(&l, NULL);
    lab_png(&l, "S/Ch 1/1.png", 1);
    lab_png(&l, "S/.objects/x.png", 2);
    lab_png(&l, "elsewhere/1.png", 3);
    lab_write(&l, "S/c2.txt", DZ_S(""));
    assert_int_equal(symlink("../.objects/x.png", lab_path(&l, "S/Ch 1/2.png")), 0);
    assert_int_equal(symlink("..", lab_path(&l, "S/Ch 1/up")), 0);
    assert_int_equal(symlink("Ch 1", lab_path(&l, "S/Ch 5")), 0);
    assert_int_equal(symlink("../elsewhere", lab_path(&l, "S/out")), 0);
    assert_int_equal(symlink("nowhere", lab_path(&l, "S/Ch 1/3.png")), 0);
    assert_int_equal(mkfifo(lab_path(&l, "S/Ch 1/4.png"), 0600), 0);
    lab_import(&l, "S", NULL);
    assert_string_equal(lab_listing(&l), "S | Ch 1 | 1 | . | 1 | . | 2\n");
    assert_non_null(strstr(l.events.p, "warning S/out: a link that leads outside"));
    assert_non_null(strstr(l.events.p, "warning S/Ch 1/3.png: a link that leads nowhere"));
    assert_int_equal(l.result.warnings, 2);
    lab_done(&l);
}

/* A name that is not UTF-8 stays unique and readable. */
static void test_bad_names(void **state)
{
    (void)state;
    struct lab l;
    lab_init(&l, NULL);
    lab_png(&l, "S/a\xff/1.png", 1);
    lab_png(&l, "S/a\xfe/1.png", 2);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.chapters_new, 2);
    assert_true(dz_str_is_utf8(dz_str_of(lab_listing(&l))));
    uint64_t seq = lab_seq(&l);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.chapters_same, 2);
    assert_int_equal(lab_seq(&l), seq);
    lab_done(&l);
}

static void test_deep(void **state)
{
    (void)state;
    struct lab l;
    struct dz_buf name DZ_AUTO(dz_buf_done);
    dz_buf_init(&name, 4096);
    dz_buf_put(&name, DZ_S("S"));
    for (int i = 0; i < 40; i++)
        dz_buf_put(&name, DZ_S("/d"));
    dz_buf_put(&name, DZ_S("/1.png"));
    lab_init(&l, NULL);
    lab_png(&l, dz_buf_cstr(&name), 1);
    lab_png(&l, "S/Ch 1/1.png", 2);
    lab_import(&l, "S", NULL);
    assert_int_equal(l.result.chapters_new, 1);
    assert_int_equal(l.result.errors, 1);
    assert_non_null(strstr(l.events.p, "more than 32 folders deep"));
    lab_done(&l);
}

static void test_no_path(void **state)
{
    (void)state;
    struct lab l;
    lab_init(&l, NULL);
    lab_png(&l, "S/1.png", 1);
    DZ_AUTO(dz_freep) char *a = dz_strdup(lab_path(&l, "not there"));
    DZ_AUTO(dz_freep) char *b = dz_strdup(lab_path(&l, "S"));
    const char *const paths[] = {a, b, "/dev/null", b};
    struct dz_import_options o = {.series = NULL};
    must(lab_import_with(&l, paths, 4, &o, err));
    assert_int_equal(l.result.errors, 2);
    assert_int_equal(l.result.chapters_new, 1);
    assert_non_null(strstr(l.events.p, "error not there: cannot be read"));
    assert_non_null(strstr(l.events.p, "error /dev/null: neither a file nor a folder"));
    lab_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trees),     cmocka_unit_test(test_links),
        cmocka_unit_test(test_bad_names), cmocka_unit_test(test_deep),
        cmocka_unit_test(test_no_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
