/*
 * zip: files made from plans, read by our own reader, Python, Info-ZIP and libarchive's bsdtar;
 * every offset, sizes and counts around the edges of ZIP64, and what is refused.
 */
#include "test.h"

#include "media/media.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

static char folder[] = "/tmp/dozo-test-zip-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x.zip", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

/* ---- making ---------------------------------------------------------------------------------- */

struct member {
    const char *name, *text;
};
static const struct member comic[] = {{"001.jpg", "first"},
                                      {"002.jpg", ""},
                                      {"pages/第2頁.png", "third, and longer than the others"},
                                      {"ComicInfo.xml", "<ComicInfo />"}};

static struct dz_zip_plan *plan_of(const struct member *m, size_t n, dz_str comment)
{
    struct dz_zip_entry v[8];
    struct dz_zip_plan *p = NULL;
    for (size_t i = 0; i < n; i++) {
        dz_str text = dz_str_of(m[i].text);
        v[i] = (struct dz_zip_entry){dz_str_of(m[i].name), text.n, dz_crc32(0, text)};
    }
    must(dz_zip_plan_new(v, n, comment, &p, err));
    return p;
}

/* The bytes from `at` on, as a piece says. */
static dz_str bytes_at(const struct dz_zip_plan *p, const struct member *m, uint64_t at)
{
    struct dz_zip_piece piece;
    if (!dz_zip_plan_piece(p, at, &piece))
        return (dz_str){0};
    if (piece.bytes.n > 0)
        return piece.bytes;
    dz_str text = dz_str_of(m[piece.entry].text);
    assert_true(piece.n > 0 && piece.from + piece.n == text.n);
    return dz_str_sub(text, piece.from, text.n);
}

static struct dz_buf whole(const struct dz_zip_plan *p, const struct member *m)
{
    struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    while (b.n < dz_zip_plan_bytes(p))
        dz_buf_put(&b, bytes_at(p, m, b.n));
    assert_int_equal(b.n, dz_zip_plan_bytes(p));
    return b;
}

/* The file of a plan whose entries are all zeros, which take no room on the disk. */
static void write_sparse(const struct dz_zip_plan *p)
{
    struct dz_zip_piece piece;
    uint64_t at = 0;
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (; dz_zip_plan_piece(p, at, &piece); at += piece.bytes.n ? piece.bytes.n : piece.n)
        if (piece.bytes.n > 0)
            assert_int_equal(pwrite(fd, piece.bytes.p, piece.bytes.n, (off_t)at), piece.bytes.n);
    assert_int_equal(at, dz_zip_plan_bytes(p));
    assert_int_equal(close(fd), 0);
}

static uint32_t crc_of_zeros(uint64_t n)
{
    uLong crc = 0, unit = dz_crc32(0, (dz_str){"\0", 1});
    for (uint64_t bit = 1; bit <= n; bit *= 2) {
        if (n & bit)
            crc = crc32_combine(crc, unit, (z_off_t)bit);
        unit = crc32_combine(unit, unit, (z_off_t)bit);
    }
    return (uint32_t)crc;
}

static void run(char *const argv[])
{
    pid_t pid;
    int status;
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    /* A preloaded sanitizer would complain about programs that are not ours. */
    char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
    if (posix_spawnp(&pid, argv[0], &quiet, NULL, argv, env) != 0)
        fail_msg("%s cannot be run; see tools/deps.sh test", argv[0]);
    posix_spawn_file_actions_destroy(&quiet);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s says no to the file: status %d", argv[0], status);
}

#define RUN(...) run((char *const[]){__VA_ARGS__, NULL})

/* Everything that three programs nobody here wrote find wrong; python also runs `check` on z, the
 * open file. */
static void others_read_it(bool data, const char *check)
{
    char code[1024];
    snprintf(
        code, sizeof code,
        "import sys, zipfile\n"
        "z = zipfile.ZipFile(sys.argv[1])\n"
        "v = z.infolist()\n"
        "assert %s or z.testzip() is None\n"
        "assert all(i.date_time == (1980, 1, 1, 0, 0, 0) and i.compress_type == 0 for i in v)\n"
        "%s\n",
        data ? "False" : "True", check);
    RUN("/usr/bin/python3", "-c", code, path);
    if (data) {
        RUN("unzip", "-tq", path);
        RUN("bsdtar", "-xOf", path);
    } else {
        RUN("unzip", "-l", path);
        RUN("bsdtar", "-tf", path);
    }
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void reads_back(void **state)
{
    (void)state;
    struct dz_zip_plan *p = plan_of(comic, DZ_LEN(comic), DZ_S("dozo viz.com 407"));
    struct dz_buf b = whole(p, comic), got;
    DZ_AUTO(dz_archive_close) struct dz_archive *a = NULL;
    struct dz_archive_entry e;
    bool has;
    dz_buf_init(&got, DZ_MIB);
    must(dz_archive_open_memory(dz_buf_str(&b), &dz_archive_limits_default, &a, err));
    for (size_t i = 0; i < DZ_LEN(comic); i++) {
        must(dz_archive_next(a, &has, &e, err));
        assert_true(has && e.is_file);
        assert_true(dz_str_eq(e.name, dz_str_of(comic[i].name)));
        dz_buf_clear(&got);
        must(dz_archive_read(a, &got, err));
        assert_true(dz_str_eq(dz_buf_str(&got), dz_str_of(comic[i].text)));
    }
    must(dz_archive_next(a, &has, &e, err));
    assert_false(has);
    must(dz_file_write_atomic(path, dz_buf_str(&b), 0600, err));
    others_read_it(true, "assert z.comment == b'dozo viz.com 407'\n"
                         "assert [(i.flag_bits, i.extract_version, i.extra) for i in v] == "
                         "[(0, 10, b''), (0, 10, b''), (0x800, 10, b''), (0, 10, b'')]\n"
                         "assert v[2].filename == 'pages/第2頁.png'\n"
                         "assert v[0].external_attr >> 16 == 0o100644\n"
                         "assert z.read('001.jpg') == b'first'");
    dz_buf_done(&got);
    dz_buf_done(&b);
    dz_zip_plan_free(&p);
    assert_null(p);
}

static void is_deterministic_and_whole_at_every_offset(void **state)
{
    (void)state;
    struct dz_zip_plan *p = plan_of(comic, DZ_LEN(comic), DZ_S("")),
                       *q = plan_of(comic, DZ_LEN(comic), DZ_S(""));
    struct dz_buf b = whole(p, comic), c = whole(q, comic);
    assert_true(dz_str_eq(dz_buf_str(&b), dz_buf_str(&c)));
    for (size_t at = 0; at < b.n; at++) {
        dz_str piece = bytes_at(p, comic, at);
        assert_true(piece.n > 0);
        assert_true(dz_str_eq(piece, dz_str_sub(dz_buf_str(&b), at, at + piece.n)));
    }
    struct dz_zip_piece none;
    assert_false(dz_zip_plan_piece(p, b.n, &none));
    assert_false(dz_zip_plan_piece(p, UINT64_MAX, &none));
    dz_buf_done(&b);
    dz_buf_done(&c);
    dz_zip_plan_free(&p);
    dz_zip_plan_free(&q);
}

static void without_entries(void **state)
{
    (void)state;
    struct dz_zip_plan *p = plan_of(comic, 0, DZ_S(""));
    struct dz_buf b = whole(p, comic);
    assert_int_equal(b.n, 22);
    dz_buf_done(&b);
    dz_zip_plan_free(&p);
}

/* An entry of 4 GiB and more, and others whose place is behind that. */
static void large_entries(void **state)
{
    (void)state;
    const uint64_t four = (uint64_t)1 << 32;
    struct dz_zip_entry v[] = {{DZ_S("a"), four - 2, crc_of_zeros(four - 2)},
                               {DZ_S("b"), 5, crc_of_zeros(5)},
                               {DZ_S("c"), four + 7, crc_of_zeros(four + 7)},
                               {DZ_S("d"), 9, crc_of_zeros(9)},
                               /* last, since unzip 6.0 takes its size for a mark in what follows */
                               {DZ_S("e"), four - 1, crc_of_zeros(four - 1)}};
    struct dz_zip_plan *p = NULL;
    must(dz_zip_plan_new(v, DZ_LEN(v), DZ_S("end"), &p, err));
    write_sparse(p);
    others_read_it(false,
                   "assert [i.file_size for i in v] == [2**32 - 2, 5, 2**32 + 7, 9, 2**32 - 1]\n"
                   "assert [i.extract_version for i in v] == [10, 45, 45, 45, 45]\n"
                   "assert z.read('b') == bytes(5) and z.read('d') == bytes(9)\n"
                   "assert z.comment == b'end'");
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    dz_str comment;
    must(dz_zip_comment_of(path, a, &comment, err));
    assert_true(dz_str_eq(comment, DZ_S("end")));
    dz_zip_plan_free(&p);
    RUN("unzip", "-tq", path, "b", "d");
}

static void many_entries(void **state)
{
    (void)state;
    static struct dz_zip_entry v[65537];
    static char names[DZ_LEN(v)][8];
    for (size_t i = 0; i < DZ_LEN(v); i++) {
        int n = snprintf(names[i], sizeof names[i], "%05zu", i);
        v[i] = (struct dz_zip_entry){{names[i], (size_t)n}, 1, crc_of_zeros(1)};
    }
    for (size_t n = 65534; n <= DZ_LEN(v); n++) {
        char check[128];
        struct dz_zip_plan *p = NULL;
        must(dz_zip_plan_new(v, n, DZ_S(""), &p, err));
        write_sparse(p);
        snprintf(check, sizeof check, "assert len(v) == %zu and v[-1].filename == '%05zu'", n,
                 n - 1);
        others_read_it(n == DZ_LEN(v), check);
        dz_zip_plan_free(&p);
    }
}

static void refuse(struct dz_zip_entry e, dz_str comment, enum dz_code code, const char *words)
{
    struct dz_zip_plan *p = NULL;
    struct dz_err err;
    assert_int_equal(dz_zip_plan_new(&e, 1, comment, &p, &err), code);
    if (!strstr(err.text, words))
        fail_msg("%s", err.text);
    assert_null(p);
}

static void refuses(void **state)
{
    (void)state;
    static char text[65536];
    memset(text, 'a', sizeof text);
    struct dz_zip_entry e = {DZ_S("a"), 0, 0}, big = {DZ_S("a"), UINT64_MAX, 0};
    refuse((struct dz_zip_entry){DZ_S(""), 0, 0}, DZ_S(""), DZ_BAD_INPUT, "entry 1");
    refuse((struct dz_zip_entry){{text, 65536}, 0, 0}, DZ_S(""), DZ_BAD_INPUT, "65536 bytes");
    refuse((struct dz_zip_entry){DZ_S("a\xff"), 0, 0}, DZ_S(""), DZ_BAD_INPUT, "UTF-8");
    refuse((struct dz_zip_entry){DZ_S("a\0"), 0, 0}, DZ_S(""), DZ_BAD_INPUT, "UTF-8");
    refuse((struct dz_zip_entry){DZ_S("/a"), 0, 0}, DZ_S(""), DZ_BAD_INPUT, "slash");
    refuse((struct dz_zip_entry){DZ_S("a/"), 0, 0}, DZ_S(""), DZ_BAD_INPUT, "slash");
    refuse((struct dz_zip_entry){DZ_S("a\\b"), 0, 0}, DZ_S(""), DZ_BAD_INPUT, "backslash");
    refuse(big, DZ_S(""), DZ_TOO_LARGE, "too large");
    refuse(e, (dz_str){text, 65536}, DZ_TOO_LARGE, "comment");
    refuse(e, DZ_S("x PK\5\6"), DZ_BAD_INPUT, "comment");
    struct dz_zip_entry two[] = {{DZ_S("a"), DZ_ZIP_BYTES_MAX, 0}, {DZ_S("b"), 1, 0}};
    struct dz_zip_plan *p = NULL;
    assert_int_equal(dz_zip_plan_new(two, 2, DZ_S(""), &p, NULL), DZ_TOO_LARGE);
    assert_int_equal(dz_zip_plan_new(two, DZ_ZIP_ENTRIES_MAX + 1, DZ_S(""), &p, NULL),
                     DZ_TOO_LARGE);
    struct dz_zip_entry longest = {{text, 65535}, 0, 0};
    must(dz_zip_plan_new(&longest, 1, (dz_str){text, 65535}, &p, err));
    write_sparse(p);
    RUN("/usr/bin/python3", "-c",
        "import sys, zipfile\n"
        "z = zipfile.ZipFile(sys.argv[1])\n"
        "assert z.namelist() == ['a' * 65535] and z.comment == b'a' * 65535",
        path);
    dz_zip_plan_free(&p);
}

static void comment_is(dz_str bytes, enum dz_code code, const char *comment)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    dz_str got = {0};
    must(dz_file_write_atomic(path, bytes, 0600, err));
    assert_int_equal(dz_zip_comment_of(path, a, &got, NULL), code);
    if (comment)
        assert_true(dz_str_eq(got, dz_str_of(comment)));
}

static void comments(void **state)
{
    (void)state;
    static char noise[70000];
#define END "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    comment_is(DZ_S(END "\0\0"), DZ_OK, "");
    comment_is(DZ_S("xyz" END "\3\0abc"), DZ_OK, "abc");
    comment_is(DZ_S(END "\4\0abc"), DZ_PARSE, NULL);
    comment_is(DZ_S(END "\2\0abc"), DZ_PARSE, NULL);
    comment_is(DZ_S(END "\0"), DZ_PARSE, NULL);
    comment_is(DZ_S(""), DZ_PARSE, NULL);
    comment_is(DZ_S("hello"), DZ_PARSE, NULL);
    memcpy(noise + sizeof noise - 22, END "\0\0", 22);
    comment_is((dz_str){noise, sizeof noise}, DZ_OK, "");
    comment_is((dz_str){noise, sizeof noise - 1}, DZ_PARSE, NULL);
    struct dz_err err;
    dz_str got;
    assert_int_equal(dz_zip_comment_of("/nowhere/x.zip", NULL, &got, &err), DZ_NOT_FOUND);
    assert_int_equal(dz_zip_comment_of("/", NULL, &got, &err), DZ_PARSE);
    assert_int_equal(dz_zip_comment_of("/dev/null", NULL, &got, &err), DZ_PARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_back),
                                       cmocka_unit_test(is_deterministic_and_whole_at_every_offset),
                                       cmocka_unit_test(without_entries),
                                       cmocka_unit_test(large_entries),
                                       cmocka_unit_test(many_entries),
                                       cmocka_unit_test(refuses),
                                       cmocka_unit_test(comments)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
