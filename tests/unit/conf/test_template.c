/*
 * The template of file names, and what becomes of any text as the name of a file: whatever a site
 * calls its series and chapters, the name is one entry of the folder that was meant.
 */
#include "test.h"

#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct value {
    const char *name;
    dz_str text;
};

static const struct value komi[] = {{"id", DZ_S("c6")},
                                    {"title", DZ_S("The $manga ${id} $$")},
                                    {"manga", DZ_S("Dr. Stone / X")},
                                    {"manga_id", DZ_S("m1")},
                                    {"volume", DZ_S("")},
                                    {"chapter", DZ_S("10.5")},
                                    {"lang", DZ_S("en")},
                                    {"team", {NULL, 0}},
                                    {NULL, {NULL, 0}}};

static dz_str value_of(void *arg, const char *name)
{
    for (const struct value *v = arg; v->name; v++)
        if (strcmp(v->name, name) == 0)
            return v->text;
    fail_msg("asked for %s", name);
    return (dz_str){0};
}

static void write_into(struct dz_buf *b, const char *text, const struct value *values)
{
    DZ_AUTO(dz_template_free) struct dz_template *t = NULL;
    struct dz_err err;
    if (dz_template_parse(dz_str_of(text), dz_download_names, &t, &err) != DZ_OK)
        fail_msg("%s: %s", text, err.text);
    dz_template_write(t, value_of, (void *)values, b);
    assert_false(b->full);
}

static const char *written(const char *text, const struct value *values)
{
    static char out[4096];
    struct dz_buf b;
    dz_buf_init(&b, sizeof out - 1);
    write_into(&b, text, values);
    memcpy(out, b.n ? b.p : "", b.n);
    out[b.n] = '\0';
    dz_buf_done(&b);
    return out;
}

static void chapter_is(const char *text, const char *chapter, const char *expected)
{
    struct value v[] = {{"chapter", dz_str_of(chapter)}, {NULL, {NULL, 0}}};
    assert_string_equal(written(text, v), expected);
}

static void test_language_of_python(void **state)
{
    (void)state;
    assert_string_equal(written("$id [$lang] $$ ${chapter}", komi), "c6 [en] $ 10.5");
    assert_string_equal(written("${manga} -.- C${chapter} $team", komi),
                        "Dr. Stone / X -.- C10.5 None");
    assert_string_equal(written("$manga_id$$$id$$", komi), "m1$c6$");
    assert_string_equal(written("}{$id}é$id-x", komi), "}{c6}éc6-x");
    assert_string_equal(written("", komi), "");
    /* A value is no template. */
    assert_string_equal(written("$title|$volume|", komi), "The $manga ${id} $$||");
}

static void test_padding(void **state)
{
    (void)state;
    chapter_is("${chapter:3}", "10.5", "010.5");
    chapter_is("${chapter:3}", "7", "007");
    chapter_is("${chapter:3}", "1044", "1044");
    chapter_is("${chapter:1}", "7", "7");
    chapter_is("${chapter:9}", "0.125", "000000000.125");
    const char *const kept[] = {"1-3", "12a", "10.", ".5", "1.2.3", "-1", "extra", " 1", "１"};
    for (size_t i = 0; i < DZ_LEN(kept); i++)
        chapter_is("${chapter:4}", kept[i], kept[i]);
    chapter_is("${chapter:3}", NULL, "None");
    chapter_is("${chapter:3}", "", "");
}

static void test_fallbacks(void **state)
{
    (void)state;
    chapter_is("C${chapter|none}", NULL, "Cnone");
    chapter_is("C${chapter|none}", "", "Cnone");
    chapter_is("C${chapter|none}", "8", "C8");
    chapter_is("C${chapter|}.", NULL, "C.");
    chapter_is("${chapter:3|none}", NULL, "none");
    chapter_is("${chapter:3|no $chapter: {x|y}", NULL, "no $chapter: {x|y");
    chapter_is("${chapter:3|none}", "5", "005");
}

static void refuses(const char *text, const char *why)
{
    struct dz_template *t = NULL;
    struct dz_err err;
    assert_int_equal(dz_template_parse(dz_str_of(text), dz_download_names, &t, &err), DZ_BAD_INPUT);
    assert_string_equal(err.text, why);
    assert_null(t);
}

static void test_refused(void **state)
{
    (void)state;
    refuses("é $tilte",
            "at character 4 has the unknown placeholder ${tilte} (did you mean ${title}?)");
    refuses("$Title",
            "at character 2 has the unknown placeholder ${Title} (did you mean ${title}?)");
    refuses("${ title}", "at character 3 has no name behind \"${\"");
    refuses("$1", "at character 1 has a \"$\" without a name (a dollar sign itself is \"$$\")");
    refuses("$é", "at character 1 has a \"$\" without a name (a dollar sign itself is \"$$\")");
    refuses("$$$", "at character 3 has a \"$\" without a name (a dollar sign itself is \"$$\")");
    refuses("${chapter:12}",
            "at character 3 has no width from 1 to 9 behind the \":\" of ${chapter:…}");
    refuses("${chapter:}",
            "at character 3 has no width from 1 to 9 behind the \":\" of ${chapter:…}");
    refuses("${volume:3x}", "at character 3 has \"x\" behind the name in ${volume…}");
    refuses("${id:3}", "at character 3 pads ${id}, which is no number");
    char text[1026];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    refuses(text, "is longer than 1024 bytes");
}

/* ---- names of files -------------------------------------------------------------------------- */

static const char *named(dz_str name, const char *ext)
{
    static char out[512];
    struct dz_buf b;
    dz_buf_init(&b, 256);
    dz_file_name_put(name, dz_str_of(ext), &b);
    assert_false(b.full);
    memcpy(out, b.p, b.n);
    out[b.n] = '\0';
    assert_int_equal(strlen(out), b.n);
    dz_buf_done(&b);
    return out;
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(named(DZ_S("Dr. Stone / X"), ".cbz"), "Dr. Stone ∕ X.cbz");
    assert_string_equal(named(DZ_S(".."), ""), "··");
    assert_string_equal(named(DZ_S(".."), ".cbz"), "··.cbz");
    assert_string_equal(named(DZ_S("."), ""), "·");
    assert_string_equal(named(DZ_S(""), ""), "_");
    assert_string_equal(named(DZ_S("..."), ""), "...");
    assert_string_equal(named(DZ_S(".hidden"), ""), ".hidden");
    assert_string_equal(named(DZ_S("../../etc/passwd"), ""), "..∕..∕etc∕passwd");
    assert_string_equal(named(DZ_S("a\0b\r\n\tc\x7f\xc2\x85"
                                   "d"),
                              ""),
                        "abcd");
    assert_string_equal(named(DZ_S(".\0."), ""), "··");
    assert_string_equal(named(DZ_S("\1.\2"), ""), "·");
    assert_string_equal(named(DZ_S("\0\1"), ".zip"), "_.zip");
    assert_string_equal(named(DZ_S("a\xff"
                                   "b\xe2\x88"),
                              ""),
                        "a\xef\xbf\xbd"
                        "b\xef\xbf\xbd");
    assert_string_equal(named(DZ_S("/"), ""), "∕");
    assert_string_equal(named(DZ_S(".dozo-0123"), ""), "·dozo-0123");
    assert_string_equal(named(DZ_S(".\0dozo-"), ""), "·dozo-");
    assert_string_equal(named(DZ_S(".dozo"), ".cbz"), ".dozo.cbz");
}

static void test_length(void **state)
{
    (void)state;
    char text[600];
    memset(text, 'a', sizeof text);
    assert_int_equal(strlen(named((dz_str){text, 600}, " (2).cbz")), 255);
    assert_true(dz_str_ends(dz_str_of(named((dz_str){text, 600}, " (2).cbz")), DZ_S("aa (2).cbz")));
    for (size_t i = 0; i < sizeof text; i += 3)
        memcpy(text + i, "漢", 3);
    const char *cut = named((dz_str){text, 600}, ".cbz"); /* 83 of them are 249, 84 are 252 */
    assert_int_equal(strlen(cut), 253);
    assert_true(dz_str_is_utf8(dz_str_of(cut)));
    memset(text, 'a', sizeof text);
    memcpy(text, ".dozo-", 6);
    cut = named((dz_str){text, 600}, ".cbz");
    assert_int_equal(strlen(cut), 255);
    assert_true(dz_str_starts(dz_str_of(cut), DZ_S("·dozo-a")));
}

/* ---- for any title --------------------------------------------------------------------------- */

static uint64_t seed;

static unsigned dice(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static size_t any_text(char *text, size_t max)
{
    static const dz_str pieces[] = {DZ_S("."),
                                    DZ_S(".."),
                                    DZ_S("/"),
                                    DZ_S("\0"),
                                    DZ_S("\n"),
                                    DZ_S("a"),
                                    DZ_S(".dozo-"),
                                    DZ_S("\xff"),
                                    DZ_S("\xc2"),
                                    DZ_S("漢"),
                                    DZ_S("\x7f"),
                                    DZ_S("\xf0\x9f\x98"),
                                    DZ_S("\\"),
                                    DZ_S("$id"),
                                    DZ_S("∕"),
                                    DZ_S("\xc0\xaf"),
                                    DZ_S(" "),
                                    DZ_S("·"),
                                    DZ_S("\xed\xa0\x80"),
                                    DZ_S("C1\xc2\x80")};
    size_t n = 0;
    unsigned count = dice(8) == 0 ? dice(200) : dice(5);
    for (unsigned i = 0; i < count; i++) {
        dz_str piece = pieces[dice(DZ_LEN(pieces))];
        if (n + piece.n > max)
            break;
        memcpy(text + n, piece.p, piece.n);
        n += piece.n;
    }
    return n;
}

static void is_one_component(const char *name)
{
    dz_str s = dz_str_of(name);
    assert_in_range(s.n, 1, 255);
    assert_true(dz_str_is_utf8(s));
    assert_int_equal(dz_str_chr(s, '/'), DZ_NPOS);
    assert_string_not_equal(name, ".");
    assert_string_not_equal(name, "..");
    assert_false(dz_str_starts(s, DZ_S(".dozo-")));
    for (size_t i = 0; i < s.n; i++)
        assert_false((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F);
}

/* Made for real, every name lies in the folder; outside of it nothing appears. */
static void test_nothing_lands_outside(void **state)
{
    (void)state;
    char root[] = "/tmp/dozo-test-names-XXXXXX", folder[64], outside[64];
    assert_non_null(mkdtemp(root));
    snprintf(folder, sizeof folder, "%s/in", root);
    snprintf(outside, sizeof outside, "%s/out", root);
    assert_int_equal(mkdir(folder, 0700), 0);
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    seed = 20261121;
    for (unsigned i = 0; i < 20000; i++) {
        char title[700];
        const char *ext = dice(2) ? ".cbz" : "";
        struct value v[] = {{"title", {title, any_text(title, sizeof title)}}, {NULL, {NULL, 0}}};
        struct dz_buf made;
        dz_buf_init(&made, 4096);
        write_into(&made, dice(4) ? "${title|}" : ".$title", v);
        const char *name = named(dz_buf_str(&made), ext);
        dz_buf_done(&made);
        is_one_component(name);
        if (i % 50 != 0)
            continue;
        int fd = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0)
            fail_msg("%s: %s", name, strerror(errno));
        close(fd);
        assert_int_equal(unlinkat(dir, name, 0), 0);
    }
    close(dir);
    assert_int_equal(rmdir(folder), 0); /* empty again: all of them lay in here */
    assert_int_equal(access(outside, F_OK), -1);
    assert_int_equal(rmdir(root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_language_of_python),
                                       cmocka_unit_test(test_padding),
                                       cmocka_unit_test(test_fallbacks),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_length),
                                       cmocka_unit_test(test_nothing_lands_outside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
