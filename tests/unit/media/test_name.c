/* name: the list of names and what is guessed from them. */
#include "test.h"

#include "media/media.h"

#include <stdlib.h>

/* clang-format off */
static const struct {
    const char *name, *series, *volume, *chapter, *title;
} files[] = {
    /* the header's own example, and its shapes one by one */
    {"My Comic v02 c010.5 - The End (2019) [Group].cbz", "My Comic", "2", "10.5", "The End"},
    {"v01.cbz", "", "1", "", ""},
    {"Volume 3.cbz", "", "3", "", ""},
    {"Vol.01 Ch.003.cbz", "", "1", "3", ""},
    {"Vol. 12 Chapter 105.cbz", "", "12", "105", ""},
    {"Chapter 10.5 - Title.cbz", "", "", "10.5", "Title"},
    {"Chapter 1: The Start.cbz", "", "", "1", "The Start"},
    {"Chapter 1 – The Start.cbz", "", "", "1", "The Start"},
    {"Ch.003.cbz", "", "", "3", ""},
    {"ch 12.zip", "", "", "12", ""},
    {"Chap 7.rar", "", "", "7", ""},
    {"c001-003.cbz", "", "", "1-3", ""},
    {"c001-c003.cbz", "", "", "1-3", ""},
    {"Chapters 1-5.cbz", "", "", "1-5", ""},
    {"#12.cbz", "", "", "12", ""},
    {"001.cbz", "", "", "1", ""},
    {"000.cbz", "", "", "0", ""},
    {"012.cbr", "", "", "12", ""},
    {"10.5.cbz", "", "", "10.5", ""},
    {"1044.cb7", "", "", "1044", ""},
    {"2.tar.gz", "", "", "2", ""},
    {"１２.cbz", "", "", "12", ""},
    {"001-003.cbz", "", "", "1-3", ""},
    {"Prologue.cbz", "", "", "", "Prologue"},
    {"Oneshot.cbz", "", "", "", "Oneshot"},
    {"Extra 3.cbz", "", "", "", "Extra 3"},
    {"ep01_Potion-of-Flight.cbz", "", "", "1", "Potion of Flight"},
    {"ep05.cbz", "", "", "5", ""},
    {"Episode 12 The Long Way.cbz", "", "", "12", "The Long Way"},
    {"Season 2 Episode 5.cbz", "", "2", "5", ""},
    {"S02E05.cbz", "", "2", "5", ""},
    {"S2 Ep 5 - Title.cbz", "", "2", "5", "Title"},

    /* releases */
    {"Series Name 012 (2019) (Digital) (Group).cbz", "Series Name", "", "12", ""},
    {"Series Name v03 (2019) (Digital) (Group).cbz", "Series Name", "3", "", ""},
    {"Series Name (2019) 012.cbz", "Series Name", "", "12", ""},
    {"[Group] Series - 05 [1080].cbz", "Series", "", "5", ""},
    {"[Group] Series - 05v2 [1080p][ABCD1234].cbz", "Series", "", "5", ""},
    {"[Group] Series Name - c012 (v03) [batch].cbz", "Series Name", "3", "12", ""},
    {"Series - c012 (v03) - p001 [Group].cbz", "Series", "3", "12", ""},
    {"Series - c012x (mag) [Group].cbz", "Series", "", "12x", ""},
    {"Series [v01] [c005].cbz", "Series", "1", "5", ""},
    {"Series Vol. 1 (Chapters 1-5).cbz", "Series", "1", "1-5", ""},
    {"Series - Volume 01 - Chapter 005 - A Title.cbz", "Series", "1", "5", "A Title"},
    {"Series - Volume 01 - The Arc - Chapter 005.cbz", "Series", "1", "5", "The Arc"},
    {"Series, Vol. 3.cbz", "Series", "3", "", ""},
    {"Series vol. 3 - Subtitle.cbz", "Series", "3", "", "Subtitle"},
    {"Series_v01_c001_-_The_Title_[Group].cbz", "Series", "1", "1", "The Title"},
    {"Some.Series.Name.v01.c003.cbz", "Some Series Name", "1", "3", ""},
    {"one-piece-chapter-1044.cbz", "one piece", "", "1044", ""},
    {"one-piece-chapter-1044-5.cbz", "one piece", "", "1044.5", ""},
    {"series-vol-2-chapter-13.cbz", "series", "2", "13", ""},
    {"Vol.01-03.cbz", "", "1-3", "", ""},
    {"Series Vol.01-Vol.03.cbz", "Series", "1-3", "", ""},
    {"Naruto - 700.5 - Title.cbz", "Naruto", "", "700.5", "Title"},
    {"Series - 012-013 - Title.cbz", "Series", "", "12-13", "Title"},
    {"Bleach 001-423.cbz", "Bleach", "", "1-423", ""},
    {"Series c10v2.cbz", "Series", "", "10", ""},
    {"Series 10v2 [Group].cbz", "Series", "", "10", ""},
    {"Series c012a.cbz", "Series", "", "12a", ""},
    {"Series #1AU.cbz", "Series #1AU", "", "", ""},
    {"Series #12 - Title.cbz", "Series", "", "12", "Title"},
    {"Watchmen 03 (of 12) (1986).cbr", "Watchmen", "", "3", ""},
    {"Watchmen 03 of 12.cbr", "Watchmen", "", "3", ""},
    {"Series v01 003.cbz", "Series", "1", "3", ""},
    {"Series v01 - 003 - Title.cbz", "Series", "1", "3", "Title"},
    {"Series Chapter 5 - 100 Ways.cbz", "Series", "", "5", "100 Ways"},
    {"Series Chapter 5 - 7.cbz", "Series", "", "5-7", ""},
    {"Series ch. 10 Part 2.cbz", "Series", "", "10", "Part 2"},
    {"Series Issue #4.cbz", "Series", "", "4", ""},
    {"01 - The Beginning.cbz", "", "", "1", "The Beginning"},
    {"001 The Beginning.cbz", "", "", "1", "The Beginning"},
    {"1. The Beginning.cbz", "", "", "1", "The Beginning"},
    {"3 - The Beginning.cbz", "", "", "3", "The Beginning"},
    {"Akira01.cbz", "Akira", "", "1", ""},
    {"Akira-01.cbz", "Akira", "", "1", ""},
    {"Series - Prologue.cbz", "Series", "", "", "Prologue"},
    {"[Prologue].cbz", "", "", "", "Prologue"},
    {"[001].cbz", "", "", "1", ""},
    {"(C97) [Circle (Artist)] Title (Parody) [English].cbz", "Title", "", "", ""},
    {"(C97) [Circle] Title c02.cbz", "Title", "", "2", ""},

    /* Japanese, Chinese, Korean and others */
    {"第01巻.cbz", "", "1", "", ""},
    {"第10話.cbz", "", "", "10", ""},
    {"第１２話 はじまり.cbz", "", "", "12", "はじまり"},
    {"進撃の巨人 第1巻.cbz", "進撃の巨人", "1", "", ""},
    {"進撃の巨人 第01巻 第10話 約束.cbz", "進撃の巨人", "1", "10", "約束"},
    {"[作者] タイトル 第03巻.zip", "タイトル", "3", "", ""},
    {"【作者】タイトル（完）第０３巻.zip", "タイトル", "3", "", ""},
    {"タイトル03.zip", "タイトル", "", "3", ""},
    {"タイトル 12巻.zip", "タイトル", "12", "", ""},
    {"第1〜3巻.zip", "", "1-3", "", ""},
    {"第1-3話.zip", "", "", "1-3", ""},
    {"第10.5話.zip", "", "", "10.5", ""},
    {"海贼王 第10话.zip", "海贼王", "", "10", ""},
    {"海贼王 第10回.zip", "海贼王", "", "10", ""},
    {"나 혼자만 레벨업 3화.zip", "나 혼자만 레벨업", "", "3", ""},
    {"제 12권.zip", "", "12", "", ""},
    {"Наруто Том 1 Глава 5.cbz", "Наруто", "1", "5", ""},
    {"Astérix - Tome 3 - Titre.cbz", "Astérix", "3", "", "Titre"},
    {"Serie Capítulo 12.cbz", "Serie", "", "12", ""},

    /* numbers that belong to the series, years, dates, identifiers */
    {"20th Century Boys v01.cbz", "20th Century Boys", "1", "", ""},
    {"20th Century Boys.cbz", "20th Century Boys", "", "", ""},
    {"Area 51 c02.cbz", "Area 51", "", "2", ""},
    {"86 - Eighty Six v01.cbz", "86 - Eighty Six", "1", "", ""},
    {"86 v01.cbz", "86", "1", "", ""},
    {"100 Bullets.cbz", "100 Bullets", "", "", ""},
    {"100 Bullets 05.cbz", "100 Bullets", "", "5", ""},
    {"3-gatsu no Lion 12.cbz", "3-gatsu no Lion", "", "12", ""},
    {"One Piece 1044.cbz", "One Piece", "", "1044", ""},
    {"Blade Runner 2049.cbz", "Blade Runner 2049", "", "", ""},
    {"Series 2019.cbz", "Series 2019", "", "", ""},
    {"Series (2019-2020).cbz", "Series", "", "", ""},
    {"2001 Nights.cbz", "2001 Nights", "", "", ""},
    {"2019-05-12.cbz", "2019-05-12", "", "", ""},
    {"Series 1234567890.cbz", "Series 1234567890", "", "", ""},
    {"March 5.cbz", "March", "", "5", ""},
    {"Spider-Man_v01.cbz", "Spider-Man", "1", "", ""},
    {"Dr. Stone v01.cbz", "Dr. Stone", "1", "", ""},
    {"Wait....cbz", "Wait...", "", "", ""},
    {"Spy x Family 12.cbz", "Spy x Family", "", "12", ""},
    {"Ranma ½ v02.cbz", "Ranma ½", "2", "", ""},
    {"Unclosed (bracket v02.cbz", "Unclosed (bracket", "2", "", ""},
    {"", "", "", "", ""},
};

/* Folders: nothing is cut. */
static const struct {
    const char *name, *series, *volume, *chapter, *title;
} folders[] = {
    {"My Comic", "My Comic", "", "", ""},
    {"My Comic (2019) [Group]", "My Comic", "", "", ""},
    {"Chapter 5 - Half.cbz", "", "", "5", "Half.cbz"},
    {"Vol 02", "", "2", "", ""},
    {"第3巻", "", "3", "", ""},
    {"007", "", "", "7", ""},
};
/* clang-format on */

static struct dz_arena *arena;

static unsigned differs(const char *what, const char *name, dz_str got, const char *want)
{
    if (dz_str_eq(got, dz_str_of(want)))
        return 0;
    print_error("%s: %s is \"%.*s\", not \"%s\"\n", name, what, DZ_STR_FMT(got), want);
    return 1;
}

static void files_say(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < DZ_LEN(files); i++) {
        struct dz_name_info info;
        const char *name = files[i].name;
        dz_name_parse(dz_str_of(name), true, arena, &info);
        wrong += differs("series", name, info.series, files[i].series);
        wrong += differs("volume", name, info.volume, files[i].volume);
        wrong += differs("chapter", name, info.chapter, files[i].chapter);
        wrong += differs("title", name, info.title, files[i].title);
    }
    assert_int_equal(wrong, 0);
}

static void folders_say(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < DZ_LEN(folders); i++) {
        struct dz_name_info info;
        const char *name = folders[i].name;
        dz_name_parse(dz_str_of(name), false, arena, &info);
        wrong += differs("series", name, info.series, folders[i].series);
        wrong += differs("volume", name, info.volume, folders[i].volume);
        wrong += differs("chapter", name, info.chapter, folders[i].chapter);
        wrong += differs("title", name, info.title, folders[i].title);
    }
    assert_int_equal(wrong, 0);
}

/* Hostile names: long, unbalanced, not UTF-8. Memory stays in proportion. */
static void survives(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "(", "[v01]", "c1", "\xff\xfe", "1.", "-", "第", "v1-", "999999999.999", " - ", "s1e", "_",
    };
    for (size_t i = 0; i < DZ_LEN(parts); i++) {
        struct dz_arena *small = dz_arena_new(64 * 1024);
        struct dz_buf b;
        struct dz_name_info info;
        dz_buf_init(&b, 1 * DZ_MIB);
        while (b.n < 20000)
            dz_buf_put(&b, dz_str_of(parts[i]));
        dz_name_parse(dz_buf_str(&b), true, small, &info);
        assert_in_range(info.series.n + info.title.n, 0, 2 * 4096);
        dz_buf_done(&b);
        dz_arena_free(&small);
    }
}

static int setup(void **state)
{
    (void)state;
    arena = dz_arena_new(4 * DZ_MIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dz_arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_say),
        cmocka_unit_test(folders_say),
        cmocka_unit_test(survives),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
