/* archive: real archives of every kind, damage at every byte, encryption, bombs and odd names. */
#include "fixture.h"
#include "zip_make.h"

#include <sys/stat.h>

enum { COMICINFO = 1, JPG = 2, PNG = 4, FOLDER = 8 };

static const struct {
    const char *file;
    unsigned holds;
    bool finds_every_cut; /* no shorter piece of the file may look like a whole archive */
} archives[] = {
    {"zip.cbz", COMICINFO | JPG | PNG | FOLDER, true},
    {"7z-zip.cbz", COMICINFO | JPG | PNG | FOLDER, true},
    {"bsdtar.cbz", COMICINFO | JPG | PNG | FOLDER, true},
    {"7z.cb7", COMICINFO | JPG | PNG | FOLDER, true},
    {"rar4.cbr", COMICINFO | JPG | PNG | FOLDER, true},
    {"rar5.cbr", COMICINFO | JPG | PNG | FOLDER, true},
    {"tar.cbt", COMICINFO | JPG, false},
    {"tar.gz", COMICINFO | JPG, true},
    {"tar.bz2", COMICINFO | JPG | PNG | FOLDER, true},
    {"tar.xz", COMICINFO | JPG | PNG | FOLDER, true},
    {"tar.zst", COMICINFO | JPG | PNG | FOLDER, true},
};

/* Reads all entries, or passes over them when bytes are not wanted; counts them. */
static enum dz_code walk(struct dz_archive *a, bool read, unsigned *entries, struct dz_err *err)
{
    struct dz_buf b;
    struct dz_archive_entry e;
    enum dz_code code;
    bool has = true;
    *entries = 0;
    dz_buf_init(&b, 512 * DZ_MIB);
    while ((code = dz_archive_next(a, &has, &e, err)) == DZ_OK && has) {
        ++*entries;
        assert_true(dz_str_is_utf8(e.name));
        dz_buf_clear(&b);
        if (read && (code = dz_archive_read(a, &b, err)) != DZ_OK)
            break;
    }
    dz_buf_done(&b);
    return code;
}

static enum dz_code open_and_walk(dz_str bytes, const struct dz_archive_limits *limits, bool read,
                                  unsigned *entries, struct dz_err *err)
{
    DZ_AUTO(dz_archive_close) struct dz_archive *a = NULL;
    *entries = 0;
    DZ_TRY(dz_archive_open_memory(bytes, limits, &a, err));
    return walk(a, read, entries, err);
}

static unsigned check_entry(struct dz_archive *a, const struct dz_archive_entry *e)
{
    struct dz_buf got, want = {.p = NULL};
    dz_buf_init(&got, 1 * DZ_MIB);
    must(dz_archive_read(a, &got, err));
    unsigned what = 0;
    if (!e->is_file) {
        assert_true(dz_str_starts(e->name, DZ_S("pages")));
        assert_int_equal(got.n, 0);
        what = FOLDER;
    } else if (dz_str_eq(e->name, DZ_S("ComicInfo.xml"))) {
        assert_true(dz_str_starts(dz_buf_str(&got), DZ_S("<?xml")));
        what = COMICINFO;
    } else if (dz_str_eq(e->name, DZ_S("pages/01.jpg"))) {
        want = fixture("page.jpg");
        what = JPG;
    } else if (dz_str_eq(e->name, DZ_S("pages/第2頁.png"))) {
        want = fixture("page.png");
        what = PNG;
    } else {
        fail_msg("unexpected entry %.*s", DZ_STR_FMT(e->name));
    }
    if (want.p != NULL) {
        assert_true(dz_str_eq(dz_buf_str(&got), dz_buf_str(&want)));
        assert_int_equal(e->bytes, want.n);
        dz_buf_done(&want);
    }
    dz_buf_done(&got);
    return what;
}

static void reads_real_archives(void **state)
{
    (void)state;
    for (size_t i = 0; i < DZ_LEN(archives); i++) {
        char path[1024];
        struct dz_archive *a = NULL;
        struct dz_archive_entry e;
        bool has;
        unsigned seen = 0;
        snprintf(path, sizeof(path), "%s/%s", DATA_DIR, archives[i].file);
        must(dz_archive_open(path, &dz_archive_limits_default, &a, err));
        for (;;) {
            must(dz_archive_next(a, &has, &e, err));
            if (!has)
                break;
            seen |= check_entry(a, &e);
        }
        if (seen != archives[i].holds)
            fail_msg("%s: seen %u", archives[i].file, seen);
        must(dz_archive_next(a, &has, &e, err)); /* the end stays the end */
        assert_false(has);
        dz_archive_close(&a);
        assert_null(a);
    }
}

static unsigned count_entries(const char *file)
{
    struct dz_buf b = fixture(file);
    unsigned n;
    must(open_and_walk(dz_buf_str(&b), &dz_archive_limits_default, false, &n, err));
    dz_buf_done(&b);
    return n;
}

static void notices_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < DZ_LEN(archives); i++) {
        struct dz_buf b = fixture(archives[i].file);
        unsigned whole = count_entries(archives[i].file), entries;
        size_t step = b.n > 2000 ? 5 : 1; /* plain tar is the longest, and mostly zeros */
        for (size_t n = 0; n < b.n; n += step) {
            char *part = exact_copy(dz_str_sub(dz_buf_str(&b), 0, n));
            struct dz_err err = {0};
            enum dz_code code =
                open_and_walk((dz_str){part, n}, &dz_archive_limits_default, true, &entries, &err);
            if (code == DZ_OK && entries != whole && archives[i].finds_every_cut)
                fail_msg("%s: cut at %zu of %zu went unnoticed", archives[i].file, n, b.n);
            if (code != DZ_OK && (code != DZ_PARSE || err.text[0] == '\0'))
                fail_msg("%s: cut at %zu: %s %s", archives[i].file, n, dz_code_name(code),
                         err.text);
            if (n % 8 == 0) /* opening is dear under sanitizers */
                (void)open_and_walk((dz_str){part, n}, &dz_archive_limits_default, false, &entries,
                                    NULL);
            free(part);
        }
        dz_buf_done(&b);
    }
}

static void survives_flips(void **state)
{
    (void)state;
    for (size_t i = 0; i < DZ_LEN(archives); i++) {
        struct dz_buf b = fixture(archives[i].file);
        char *p = exact_copy(dz_buf_str(&b));
        for (size_t at = 0; at < b.n; at += 3) {
            unsigned entries;
            p[at] ^= (char)(at % 2 ? 0x01 : 0x80);
            (void)open_and_walk((dz_str){p, b.n}, &dz_archive_limits_default, true, &entries, NULL);
            p[at] = b.p[at];
        }
        free(p);
        dz_buf_done(&b);
    }
}

static void expect(dz_str bytes, enum dz_code code, const char *words)
{
    struct dz_err err = {0};
    unsigned entries;
    enum dz_code got = open_and_walk(bytes, &dz_archive_limits_default, true, &entries, &err);
    if (got != code || strstr(err.text, words) == NULL)
        fail_msg("wanted %s \"%s\", got %s \"%s\"", dz_code_name(code), words, dz_code_name(got),
                 err.text);
}

static void expect_file(const char *file, enum dz_code code, const char *words)
{
    struct dz_buf b = fixture(file);
    expect(dz_buf_str(&b), code, words);
    dz_buf_done(&b);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    struct dz_archive *a = NULL;
    struct dz_err err = {0};
    const struct dz_archive_limits *limits = &dz_archive_limits_default;
    assert_int_equal(dz_archive_open("/nonexistent/x.cbz", limits, &a, &err), DZ_NOT_FOUND);
    assert_int_equal(dz_archive_open(DATA_DIR, limits, &a, &err), DZ_PARSE);
    assert_null(a);
    expect(DZ_S(""), DZ_PARSE, "empty file");
    static const char zeros[20 * 512]; /* to tar: its end, and nothing before it */
    expect((dz_str){zeros, sizeof(zeros)}, DZ_PARSE, "nothing but zeros");
    expect(DZ_S("this is a text, no archive"), DZ_PARSE, "not an archive");
    expect(DZ_S("PK\3\4 and no more than this"), DZ_PARSE, "truncated");
    expect_file("page.jpg", DZ_PARSE, "not an archive");
    expect_file("zip-secret.cbz", DZ_PARSE, "ComicInfo.xml is encrypted");
    expect_file("7z-secret.cb7", DZ_PARSE, "is encrypted");
    expect_file("7z-locked.cb7", DZ_PARSE, "archive is encrypted");
    expect_file("rar4-locked.cbr", DZ_PARSE, "archive is encrypted");
    expect_file("rar4-secret.cbr", DZ_PARSE, "01.jpg is encrypted");
    expect_file("rar5-locked.cbr", DZ_PARSE, "archive is encrypted");
    expect_file("rar2.cbr", DZ_OK, "");
    expect_file("rar4-sum.cbr", DZ_PARSE, "01.jpg is damaged");
    expect_file("rar5-sum.cbr", DZ_PARSE, "01.jpg is damaged");
}

static void notices_wrong_sums(void **state)
{
    (void)state;
    struct dz_buf b = fixture("zip.cbz");
    size_t at = dz_str_find(dz_buf_str(&b), DZ_S("JFIF"));
    if (at == DZ_NPOS) /* deflated: somewhere inside the picture's data */
        at = dz_str_find(dz_buf_str(&b), DZ_S("01.jpg")) + 60;
    b.p[at] ^= 0x10;
    expect(dz_buf_str(&b), DZ_PARSE, "pages/01.jpg is damaged");
    dz_buf_done(&b);

    struct zip_make z;
    zip_begin(&z);
    zip_add(&z, DZ_S("a.txt"), DZ_S("first"), 0);
    zip_add(&z, DZ_S("b.txt"), DZ_S("second"), 0);
    zip_end(&z);
    z.out.p[dz_str_find(dz_buf_str(&z.out), DZ_S("first"))] = 'F';
    expect(dz_buf_str(&z.out), DZ_PARSE, "a.txt is damaged");

    /* A damaged entry of a zip does not end it. */
    struct dz_archive *a = NULL;
    struct dz_archive_entry e;
    struct dz_buf got;
    bool has;
    dz_buf_init(&got, 100);
    dz_buf_put(&got, DZ_S("kept"));
    must(dz_archive_open_memory(dz_buf_str(&z.out), &dz_archive_limits_default, &a, err));
    must(dz_archive_next(a, &has, &e, err));
    assert_int_equal(dz_archive_read(a, &got, NULL), DZ_PARSE);
    assert_true(dz_str_eq(dz_buf_str(&got), DZ_S("kept")));
    must(dz_archive_next(a, &has, &e, err));
    assert_true(has && dz_str_eq(e.name, DZ_S("b.txt")));
    must(dz_archive_read(a, &got, err));
    assert_true(dz_str_eq(dz_buf_str(&got), DZ_S("keptsecond")));
    dz_archive_close(&a);
    dz_buf_done(&got);
    zip_done(&z);
}

static void reads_names(void **state)
{
    (void)state;
    static const struct {
        dz_str raw;
        unsigned flags;
        const char *name;
    } names[] = {
        {DZ_S("plain.jpg"), 0, "plain.jpg"},
        {DZ_S("第1話.jpg"), ZIP_UTF8, "第1話.jpg"},
        {DZ_S("第1話-unflagged.jpg"), 0, "第1話-unflagged.jpg"},
        {DZ_S("caf\xc3\xa9.jpg"), 0, "café.jpg"},
        {DZ_S("\x91\xe6\x82P\x98"
              "b.jpg"),
         0, "第１話.jpg"},
        {DZ_S("\x83\\\x83t\x83g\\\x95\\\x8e\x86.jpg"), 0, "ソフト/表紙.jpg"},
        {DZ_S("\xcf\xdd\xb6\xde.jpg"), 0, "╧▌╢▐.jpg"},
        {DZ_S("M\x81ller.jpg"), 0, "Müller.jpg"},
        {DZ_S("K\x94nig.jpg"), 0, "König.jpg"},
        {DZ_S("Pok\x82mon.jpg"), 0, "Pokémon.jpg"},
        {DZ_S("caf\x82 01.jpg"), 0, "café 01.jpg"},
        {DZ_S("Ast\x82rix et Ob\x82lix.jpg"), 0, "Astérix et Obélix.jpg"},
        {DZ_S("a\\b\\01.jpg"), 0, "a/b/01.jpg"},
        {DZ_S("../../etc/passwd"), 0, "../../etc/passwd"},
        {DZ_S("/absolute.jpg"), 0, "/absolute.jpg"},
    };
    struct zip_make z;
    zip_begin(&z);
    for (size_t i = 0; i < DZ_LEN(names); i++)
        zip_add(&z, names[i].raw, names[i].raw, names[i].flags);
    struct dz_archive *a = NULL;
    must(dz_archive_open_memory(zip_end(&z), &dz_archive_limits_default, &a, err));
    for (size_t i = 0; i < DZ_LEN(names); i++) {
        struct dz_archive_entry e;
        bool has;
        must(dz_archive_next(a, &has, &e, err));
        assert_true(has && e.is_file);
        if (!dz_str_eq(e.name, dz_str_of(names[i].name)))
            fail_msg("name %zu is %.*s, not %s", i, DZ_STR_FMT(e.name), names[i].name);
    }
    dz_archive_close(&a);
    zip_done(&z);
}

static void knows_what_is_no_file(void **state)
{
    (void)state;
    struct zip_make z;
    zip_begin(&z);
    struct zip_entry e = {DZ_S("link.jpg"), DZ_S("/etc/passwd"), 0, 11, 0,
                          ZIP_STORED,       S_IFLNK | 0777};
    e.sum = (uint32_t)crc32_z(0, (const Bytef *)e.packed.p, e.packed.n);
    zip_index(&z, &e, z.out.n);
    zip_local(&z, &e);
    zip_add(&z, DZ_S("folder\\"), DZ_S(""), 0);
    zip_add(&z, DZ_S("folder/"), DZ_S(""), 0);
    zip_add(&z, DZ_S("empty.jpg"), DZ_S(""), 0);
    struct dz_archive *a = NULL;
    must(dz_archive_open_memory(zip_end(&z), &dz_archive_limits_default, &a, err));
    for (int i = 0; i < 4; i++) {
        struct dz_archive_entry got;
        bool has;
        must(dz_archive_next(a, &has, &got, err));
        assert_true(has);
        assert_int_equal(got.is_file, dz_str_eq(got.name, DZ_S("empty.jpg")));
    }
    dz_archive_close(&a);
    zip_done(&z);

    zip_begin(&z);
    unsigned entries;
    must(open_and_walk(zip_end(&z), &dz_archive_limits_default, true, &entries, err));
    assert_int_equal(entries, 0);
    zip_done(&z);
}

static void stops_bombs(void **state)
{
    (void)state;
    struct zip_make z;
    zip_begin(&z);
    struct zip_entry e = {.name = DZ_S("zeros.jpg")};
    zip_zeros(&e, 24 * 1024 * 1024);
    zip_index(&z, &e, z.out.n);
    zip_local(&z, &e);
    expect(zip_end(&z), DZ_TOO_LARGE, "zip bomb");
    zip_done(&z);

    /* Many of moderate size. */
    zip_begin(&z);
    free((char *)e.packed.p);
    zip_zeros(&e, 1024 * 1024);
    for (int i = 0; i < 20; i++) {
        zip_index(&z, &e, z.out.n);
        zip_local(&z, &e);
    }
    expect(zip_end(&z), DZ_TOO_LARGE, "zip bomb");
    zip_done(&z);

    /* Every index entry points to the same data: unpacked once, or stopped. */
    struct dz_archive_limits limits = dz_archive_limits_default;
    struct dz_err bomb_err = {0};
    unsigned count;
    zip_begin(&z);
    zip_local(&z, &e);
    for (int i = 0; i < 1000; i++)
        zip_index(&z, &e, 0);
    if (open_and_walk(zip_end(&z), &limits, true, &count, &bomb_err) == DZ_OK)
        assert_int_equal(count, 1);
    zip_done(&z);

    /* A declared size that lies in either direction. */
    for (int i = 0; i < 2; i++) {
        struct dz_err err = {0};
        unsigned entries;
        zip_begin(&z);
        e.bytes = i == 0 ? 10 : 0x7fffffff;
        zip_index(&z, &e, z.out.n);
        zip_local(&z, &e);
        assert_int_equal(
            open_and_walk(zip_end(&z), &dz_archive_limits_default, true, &entries, &err), DZ_PARSE);
        assert_non_null(strstr(err.text, "zeros.jpg is damaged"));
        zip_done(&z);
    }
    free((char *)e.packed.p);
}

static void keeps_limits(void **state)
{
    (void)state;
    struct dz_archive_limits limits = {.entries_max = 3,
                                       .entry_bytes_max = 100,
                                       .total_bytes_max = 250,
                                       .ratio_max = 200,
                                       .name_bytes_max = 50};
    static const char big[200] = {1};
    struct dz_err err = {0};
    unsigned entries;
    struct zip_make z;
    zip_begin(&z);
    for (int i = 0; i < 4; i++)
        zip_add(&z, DZ_S("01.jpg"), (dz_str){big, 80}, 0);
    dz_str bytes = zip_end(&z);
    assert_int_equal(open_and_walk(bytes, &limits, false, &entries, &err), DZ_TOO_LARGE);
    assert_int_equal(entries, 3);
    assert_string_equal(err.text, "archive has more than 3 entries");
    limits.entries_max = 4;
    assert_int_equal(open_and_walk(bytes, &limits, true, &entries, &err), DZ_TOO_LARGE);
    assert_int_equal(entries, 4);
    assert_string_equal(err.text, "archive is over 250 bytes unpacked, at 01.jpg");
    zip_done(&z);

    zip_begin(&z);
    zip_add(&z, DZ_S("big.jpg"), (dz_str){big, 101}, 0);
    assert_int_equal(open_and_walk(zip_end(&z), &limits, true, &entries, &err), DZ_TOO_LARGE);
    assert_string_equal(err.text, "big.jpg is over 100 bytes unpacked");
    zip_done(&z);

    zip_begin(&z);
    zip_add(&z, (dz_str){"0123456789012345678901234567890123456789012345678901", 51}, DZ_S(""), 0);
    assert_int_equal(open_and_walk(zip_end(&z), &limits, true, &entries, &err), DZ_TOO_LARGE);
    assert_non_null(strstr(err.text, "name of over 50 bytes"));
    zip_done(&z);
}

/* Passing over the entries of a solid archive counts too. */
static void counts_what_is_passed_over(void **state)
{
    (void)state;
    struct dz_archive_limits limits = dz_archive_limits_default;
    struct dz_err err = {0};
    unsigned entries;
    limits.total_bytes_max = 200;
    for (size_t i = 3; i < DZ_LEN(archives); i++) {
        struct dz_buf b = fixture(archives[i].file);
        assert_int_equal(open_and_walk(dz_buf_str(&b), &limits, false, &entries, &err),
                         DZ_TOO_LARGE);
        dz_buf_done(&b);
    }
}

static void stops_huge_indexes(void **state)
{
    (void)state;
    struct zip_make z;
    zip_begin(&z);
    struct zip_entry e = {.name = DZ_S("a/rather/long/name/of/a/page/001.jpg")};
    zip_local(&z, &e);
    for (int i = 0; i < 250000; i++)
        zip_index(&z, &e, 0);
    expect(zip_end(&z), DZ_TOO_LARGE, "index of over");
    zip_done(&z);
}

static void respects_the_buffer(void **state)
{
    (void)state;
    struct dz_buf b = fixture("zip.cbz"), small;
    struct dz_archive *a = NULL;
    struct dz_archive_entry e;
    struct dz_err err = {0};
    bool has;
    dz_buf_init(&small, 20);
    must(dz_archive_open_memory(dz_buf_str(&b), &dz_archive_limits_default, &a, err));
    must(dz_archive_next(a, &has, &e, err));
    assert_int_equal(dz_archive_read(a, &small, &err), DZ_TOO_LARGE);
    assert_int_equal(small.n, 0);
    assert_non_null(strstr(err.text, "ComicInfo.xml is over the 20 bytes"));
    must(dz_archive_next(a, &has, &e, err));
    dz_archive_close(&a);
    dz_archive_close(&a);
    dz_buf_done(&small);
    dz_buf_done(&b);
}

static void knows_junk(void **state)
{
    (void)state;
    static const char *const junk[] = {
        "__MACOSX/01.jpg", "a/__MACOSX/._01.jpg", "._01.jpg",    "a/.hidden/01.jpg", ".DS_Store",
        "Thumbs.db",       "a/thumbs.DB",         "desktop.ini", "a/@eaDir/01.jpg",  "...",
    };
    static const char *const pages[] = {
        "01.jpg",  "./01.jpg", "../01.jpg", "a/b.c/01.jpg",
        "/01.jpg", "",         "a//01.jpg", "Thumbs.db.jpg",
    };
    for (size_t i = 0; i < DZ_LEN(junk); i++)
        assert_true(dz_archive_is_junk(dz_str_of(junk[i])));
    for (size_t i = 0; i < DZ_LEN(pages); i++)
        assert_false(dz_archive_is_junk(dz_str_of(pages[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_real_archives),
        cmocka_unit_test(notices_cuts),
        cmocka_unit_test(survives_flips),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(notices_wrong_sums),
        cmocka_unit_test(reads_names),
        cmocka_unit_test(knows_what_is_no_file),
        cmocka_unit_test(stops_bombs),
        cmocka_unit_test(keeps_limits),
        cmocka_unit_test(counts_what_is_passed_over),
        cmocka_unit_test(stops_huge_indexes),
        cmocka_unit_test(respects_the_buffer),
        cmocka_unit_test(knows_junk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
