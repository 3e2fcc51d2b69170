/*
 * name: what a file or folder name says about series, volume, chapter and title.
 *
 * In: one name as people and programs write them, UTF-8 or not. Out: slices in the caller's arena.
 * Three steps: the name is made plain (extension cut, full-width digits and underscores turned,
 * brackets removed unless they hold a marker such as "(v03)"), then markers with numbers are looked
 * for ("Vol. 3", "c010.5", "第10話"), and only when there is no chapter marker do bare numbers
 * count
 * ("One Piece 1044"). What stands before the first marker is the series, what stands after the last
 * is the title. It guesses, by nature: tests/unit/media/test_name.c is the list of guesses that are
 * held. Linear in the length except for small fixed factors; any thread.
 */
#include "media/media_int.h"

enum {
    NAME_BYTES_MAX = 4096, /* the rest of a longer name is not looked at */
    MARKS_MAX = 16,
    DIGITS_MAX = 9,       /* more is an identifier, not a chapter */
    PLAIN_DIGITS_MAX = 4, /* for numbers without a marker */
    FRACTION_MAX = 4,     /* with the point; more is a date */
};

enum kind { NONE, VOLUME, CHAPTER, SEASON };

/* Normalised text of a number or range. Both halves have at most DIGITS_MAX digits, FRACTION_MAX
 * more and a letter. */
struct number {
    char p[32];
    uint8_t n;
};

struct mark {
    enum kind kind;
    size_t from, to; /* the whole marker with its number */
    bool is_letter;  /* "v2", "c5": one letter, the weakest kind */
    struct number number;
};

/* ---- characters ------------------------------------------------------------------------------ */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word(char c)
{
    return is_digit(c) || is_letter(c);
}

static char char_at(dz_str s, size_t at)
{
    return at < s.n ? s.p[at] : '\0';
}

static size_t skip_blanks(dz_str s, size_t at)
{
    while (char_at(s, at) == ' ')
        at++;
    return at;
}

static bool starts_at(dz_str s, size_t at, dz_str what)
{
    return at <= s.n && dz_str_starts(dz_str_sub(s, at, s.n), what);
}

static void number_put(struct number *n, dz_str s)
{
    dz_assert(s.n <= sizeof(n->p) - n->n);
    memcpy(n->p + n->n, s.p, s.n);
    n->n = (uint8_t)(n->n + s.n);
}

static dz_str number_str(const struct number *n)
{
    return (dz_str){n->p, n->n};
}

/* What stands between the parts of a name and belongs to none of them. */
static dz_str trim_separators(dz_str s)
{
    static const dz_str cut = {" -_:,|~.", 8};
    while (s.n > 0 && dz_str_chr(cut, s.p[0]) != DZ_NPOS && !dz_str_starts(s, DZ_S("...")))
        s = dz_str_sub(s, 1, s.n);
    while (s.n > 0 && dz_str_chr(cut, s.p[s.n - 1]) != DZ_NPOS && !dz_str_ends(s, DZ_S("...")))
        s.n--;
    return s;
}

/* ---- step 1: a plain form -------------------------------------------------------------------- */

static dz_str cut_extension(dz_str name)
{
    static const char *const known[] = {
        ".cbz",     ".cbr", ".cb7",  ".cbt", ".zip", ".rar",  ".7z",     ".tar.gz", ".tar.bz2",
        ".tar.zst", ".tgz", ".tbz2", ".txz", ".tar", ".epub", ".tar.xz", ".pdf",
    };
    for (size_t i = 0; i < DZ_LEN(known); i++) {
        dz_str ext = dz_str_of(known[i]);
        if (name.n > ext.n && dz_str_eq_nocase(dz_str_sub(name, name.n - ext.n, name.n), ext))
            return dz_str_sub(name, 0, name.n - ext.n);
    }
    return name;
}

/* Characters that only look different; the right side is never longer. */
static const struct {
    const char *wide, *plain;
} turns[] = {
    {"\u3000", " "}, {"\u00a0", " "}, {"\u2010", "-"}, {"\u2011", "-"}, {"\u2012", "-"},
    {"\u2013", "-"}, {"\u2014", "-"}, {"\u2212", "-"}, {"\uff0d", "-"}, {"\u301c", "~"},
    {"\uff5e", "~"}, {"\uff08", "("}, {"\uff09", ")"}, {"\uff3b", "["}, {"\uff3d", "]"},
    {"\u3010", "["}, {"\u3011", "]"}, {"\uff03", "#"}, {"\uff1a", ":"}, {"_", " "},
};

/* One character from `at` into *dst; returns how far to step. */
static size_t turn_one(dz_str name, size_t at, char *dst, size_t *n)
{
    const unsigned char *u = (const unsigned char *)name.p + at;
    if (name.n - at >= 3 && u[0] == 0xef && u[1] == 0xbc && u[2] >= 0x90 && u[2] <= 0x99) {
        dst[(*n)++] = (char)('0' + (u[2] - 0x90)); /* U+FF10 … U+FF19 */
        return 3;
    }
    for (size_t i = 0; i < DZ_LEN(turns); i++) {
        dz_str wide = dz_str_of(turns[i].wide);
        if (starts_at(name, at, wide)) {
            dst[(*n)++] = turns[i].plain[0];
            return wide.n;
        }
    }
    dst[(*n)++] = name.p[at];
    return 1;
}

/* "one-piece-chapter-1044" and "Some.Series.v01": a name without blanks whose words are joined by
 * `joint`. Between two digits it stays, as there it means a range or a decimal. */
static void unjoin(char *p, size_t n, char joint)
{
    dz_str s = {p, n};
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += p[i] == joint;
    if (count < 2 || dz_str_chr(s, ' ') != DZ_NPOS)
        return;
    for (size_t i = 1; i + 1 < n; i++) {
        bool is_number = is_digit(p[i - 1]) && is_digit(p[i + 1]);
        if (p[i] == joint && !is_number && p[i - 1] != joint && p[i + 1] != joint)
            p[i] = ' ';
    }
}

/* ---- step 2: markers ------------------------------------------------------------------------- */

/* clang-format off */
/* Longer words before their beginnings. A number follows after ".", "#" or blanks; for `tight` ones
 * after "." only. */
static const struct {
    const char *word;
    enum kind kind;
    bool tight;
} words[] = {
    {"volumes", VOLUME, false}, {"volume", VOLUME, false}, {"vols", VOLUME, false},
    {"vol", VOLUME, false}, {"tome", VOLUME, false}, {"tomo", VOLUME, false},
    {"том", VOLUME, false}, {"Том", VOLUME, false}, {"v", VOLUME, true},
    {"chapters", CHAPTER, false}, {"chapter", CHAPTER, false}, {"chapitre", CHAPTER, false},
    {"capítulo", CHAPTER, false}, {"capitulo", CHAPTER, false}, {"kapitel", CHAPTER, false},
    {"chap", CHAPTER, false}, {"cap", CHAPTER, false}, {"chp", CHAPTER, false},
    {"ch", CHAPTER, false}, {"глава", CHAPTER, false}, {"Глава", CHAPTER, false},
    {"episodes", CHAPTER, false}, {"episode", CHAPTER, false}, {"eps", CHAPTER, false},
    {"ep", CHAPTER, false}, {"issue", CHAPTER, false}, {"#", CHAPTER, false}, {"c", CHAPTER, true},
    {"season", SEASON, false},
};
/* clang-format on */

/* Counters behind a number, with or without 第 before it. */
static const struct {
    const char *word;
    enum kind kind;
} counters[] = {
    {"巻", VOLUME},  {"卷", VOLUME},  {"권", VOLUME},  {"冊", VOLUME},  {"話", CHAPTER},
    {"话", CHAPTER}, {"回", CHAPTER}, {"章", CHAPTER}, {"화", CHAPTER}, {"회", CHAPTER},
};

/* Digits with decimals, appended to dst without leading zeros; 0 when there is none at `at`, else
 * where it ends. */
static size_t read_decimal(dz_str s, size_t at, struct number *dst)
{
    size_t end = at;
    while (is_digit(char_at(s, end)))
        end++;
    if (end == at || end - at > DIGITS_MAX)
        return 0;
    while (at + 1 < end && s.p[at] == '0')
        at++;
    number_put(dst, dz_str_sub(s, at, end));
    size_t point = end;
    if (char_at(s, end) != '.' || !is_digit(char_at(s, end + 1)))
        return end;
    for (end++; is_digit(char_at(s, end));)
        end++;
    if (end - point > FRACTION_MAX)
        return point;
    number_put(dst, dz_str_sub(s, point, end));
    return end;
}

static uint64_t whole_part(dz_str number)
{
    uint64_t n = 0;
    for (size_t i = 0; i < number.n && is_digit(number.p[i]); i++)
        n = n * 10 + (uint64_t)(number.p[i] - '0');
    return n;
}

/* Steps over the marker word again, as in "c001-c003"; a range's second number may repeat it. */
static size_t skip_repeated_word(dz_str s, size_t at, enum kind kind)
{
    for (size_t i = 0; i < DZ_LEN(words); i++) {
        dz_str word = dz_str_of(words[i].word);
        if (words[i].kind != kind || !dz_str_eq_nocase(dz_str_sub(s, at, at + word.n), word))
            continue;
        size_t to = at + word.n + (char_at(s, at + word.n) == '.');
        to = skip_blanks(s, to);
        if (is_digit(char_at(s, to)))
            return to;
    }
    return at;
}

/* The second half of "001-003", "5 ~ 7", "c001-c003", or of "10-5" for 10.5; the first half is in
 * dst already. */
static size_t read_range(dz_str s, size_t at, enum kind kind, struct number *dst)
{
    size_t dash = skip_blanks(s, at);
    if (char_at(s, dash) != '-' && char_at(s, dash) != '~')
        return at;
    size_t second = skip_blanks(s, dash + 1);
    bool is_spaced = dash > at || second > dash + 1;
    size_t digits = skip_repeated_word(s, second, kind);
    struct number last = {.n = 0};
    size_t end = read_decimal(s, digits, &last);
    if (end == 0 || is_word(char_at(s, end)))
        return at;
    /* "Chapter 5 - 100 Ways" is a title; "Chapter 5 - 7" and "c5 - c7" are ranges. */
    if (is_spaced && digits == second && skip_blanks(s, end) < s.n)
        return at;
    dz_str first = number_str(dst);
    if (whole_part(number_str(&last)) > whole_part(first))
        number_put(dst, DZ_S("-"));
    else if (!is_spaced && last.n == 1 && dz_str_chr(first, '.') == DZ_NPOS)
        number_put(dst, DZ_S("."));
    else
        return at;
    number_put(dst, number_str(&last));
    return end;
}

/* A whole number expression: decimals, one letter ("12a"), version ("10v2", left out), range. 0:
 * none at `at`. */
static size_t read_number(dz_str s, size_t at, enum kind kind, struct number *ret_number)
{
    struct number number = {.n = 0};
    size_t end = read_decimal(s, at, &number);
    if (end == 0)
        return 0;
    char c = char_at(s, end), next = char_at(s, end + 1);
    if ((c == 'v' || c == 'V') && is_digit(next)) {
        do
            end++;
        while (is_digit(char_at(s, end)));
    } else if (is_letter(c) && !is_word(next)) {
        number_put(&number, (dz_str){&c, 1});
        end++;
    }
    if (!is_letter(char_at(s, end)))
        end = read_range(s, end, kind, &number);
    *ret_number = number;
    return end;
}

static size_t skip_counter(dz_str s, size_t at, enum kind *ret_kind)
{
    size_t from = skip_blanks(s, at);
    for (size_t i = 0; i < DZ_LEN(counters); i++) {
        dz_str word = dz_str_of(counters[i].word);
        if (starts_at(s, from, word)) {
            *ret_kind = counters[i].kind;
            return from + word.n;
        }
    }
    return at;
}

/* "S02E05", "S2 Ep 5": two marks at once, as E is no marker anywhere else. */
static bool match_season_letter(dz_str s, size_t at, struct mark *ret_season,
                                struct mark *ret_chapter)
{
    struct mark season = {.kind = SEASON, .from = at}, chapter = {.kind = CHAPTER};
    if ((char_at(s, at) | 0x20) != 's')
        return false;
    season.to = read_decimal(s, at + 1, &season.number);
    if (season.to == 0)
        return false;
    size_t e = skip_blanks(s, season.to);
    if ((char_at(s, e) | 0x20) != 'e')
        return false;
    chapter.from = e++;
    e += (char_at(s, e) | 0x20) == 'p';
    e += char_at(s, e) == '.';
    chapter.to = read_number(s, skip_blanks(s, e), CHAPTER, &chapter.number);
    if (chapter.to == 0)
        return false;
    *ret_season = season;
    *ret_chapter = chapter;
    return true;
}

static bool match_word(dz_str s, size_t at, struct mark *ret_m)
{
    for (size_t i = 0; i < DZ_LEN(words); i++) {
        dz_str word = dz_str_of(words[i].word);
        if (!dz_str_eq_nocase(dz_str_sub(s, at, at + word.n), word))
            continue;
        size_t digits = at + word.n;
        if (char_at(s, digits) == '.')
            digits++;
        if (!words[i].tight) {
            digits = skip_blanks(s, digits);
            digits += char_at(s, digits) == '#' || char_at(s, digits) == '-';
        }
        struct mark m = {.kind = words[i].kind, .from = at, .is_letter = words[i].tight};
        m.to = read_number(s, digits, m.kind, &m.number);
        if (m.to == 0 || is_letter(char_at(s, m.to)))
            continue;
        enum kind ignored;
        m.to = skip_counter(s, m.to, &ignored);
        *ret_m = m;
        return true;
    }
    return false;
}

static bool match_counter(dz_str s, size_t at, struct mark *ret_m)
{
    size_t digits = at;
    if (starts_at(s, at, DZ_S("第")) || starts_at(s, at, DZ_S("제")))
        digits = skip_blanks(s, at + 3);
    struct mark m = {.from = at};
    size_t end = read_number(s, digits, NONE, &m.number);
    if (end == 0)
        return false;
    m.to = skip_counter(s, end, &m.kind);
    if (m.kind == NONE)
        return false;
    *ret_m = m;
    return true;
}

static bool match_mark(dz_str s, size_t at, struct mark *ret_m)
{
    char before = at > 0 ? s.p[at - 1] : ' ';
    if (!is_digit(before) && before != '.' && match_counter(s, at, ret_m))
        return true;
    return (!is_word(before) || s.p[at] == '#') && match_word(s, at, ret_m);
}

static size_t find_marks(dz_str s, struct mark marks[MARKS_MAX])
{
    size_t count = 0;
    for (size_t at = 0; at < s.n && count + 2 <= MARKS_MAX;) {
        bool is_start = at == 0 || !is_word(s.p[at - 1]);
        if (match_mark(s, at, &marks[count]))
            at = marks[count++].to;
        else if (is_start && match_season_letter(s, at, &marks[count], &marks[count + 1]))
            at = marks[(count += 2) - 1].to;
        else
            at++;
    }
    return count;
}

/* The first of a kind, unless it is a single letter at the very start and another follows ("C97 …
 * c01"). */
static const struct mark *pick(const struct mark *marks, size_t count, enum kind kind)
{
    const struct mark *first = NULL;
    for (size_t i = 0; i < count; i++) {
        if (marks[i].kind != kind)
            continue;
        if (first == NULL)
            first = &marks[i];
        else if (first->from == 0 && first->is_letter)
            return &marks[i];
    }
    return first;
}

/* Length of the bracket group at `at` with its brackets, nested ones inside; 0: it never closes. */
static size_t group_bytes(dz_str s, size_t at)
{
    static const dz_str open = {"([{", 3}, close = {")]}", 3};
    unsigned depth = 0;
    for (size_t i = at; i < s.n; i++) {
        if (dz_str_chr(open, s.p[i]) != DZ_NPOS)
            depth++;
        else if (dz_str_chr(close, s.p[i]) != DZ_NPOS && --depth == 0)
            return i + 1 - at;
    }
    return 0;
}

/* Whether a bracket holds nothing but a marker. "(C97)" at the start is a fair, not a chapter. */
static bool is_marker_group(dz_str inside, bool at_start)
{
    struct mark m;
    inside = dz_str_trim(inside);
    if (inside.n == 0 || !match_mark(inside, 0, &m) || m.to != inside.n)
        return false;
    return !(at_start && m.is_letter && m.kind == CHAPTER);
}

/* Brackets out, runs of blanks to one. In place: the text only gets shorter. */
static size_t drop_groups(char *p, size_t n)
{
    dz_str s = {p, n};
    size_t out = 0;
    for (size_t at = 0; at < n;) {
        char c = p[at];
        size_t group = c == '(' || c == '[' || c == '{' ? group_bytes(s, at) : 0;
        if (group != 0) {
            dz_str inside = dz_str_sub(s, at + 1, at + group - 1);
            bool keep = is_marker_group(inside, dz_str_trim((dz_str){p, out}).n == 0);
            if (out > 0 && p[out - 1] != ' ')
                p[out++] = ' ';
            if (keep) {
                memmove(p + out, inside.p, inside.n);
                out += inside.n;
                p[out++] = ' ';
            }
            at += group;
        } else {
            if (c != ' ' || (out > 0 && p[out - 1] != ' '))
                p[out++] = c;
            at++;
        }
    }
    while (out > 0 && p[out - 1] == ' ')
        out--;
    return out;
}

static dz_str make_plain(dz_str name, struct dz_arena *a)
{
    char *p = dz_arena_alloc(a, name.n + 1);
    size_t n = 0;
    for (size_t at = 0; at < name.n;)
        at += turn_one(name, at, p, &n);
    unjoin(p, n, '-');
    unjoin(p, n, '.');
    size_t kept = drop_groups(p, n);
    if (kept != 0)
        return (dz_str){p, kept};
    dz_str inside = dz_str_trim(name); /* all of it is one bracket: "[Prologue]" */
    while (inside.n > 2 && group_bytes(inside, 0) == inside.n)
        inside = dz_str_trim(dz_str_sub(inside, 1, inside.n - 1));
    return inside;
}

/* ---- step 3: numbers without a marker -------------------------------------------------------- */

static bool is_year(dz_str digits)
{
    uint64_t n = whole_part(digits);
    return digits.n == 4 && n >= 1900 && n <= 2099;
}

/* The number at `at` in its raw form, at most four digits before a point. 0: none. */
static size_t plain_number(dz_str s, size_t at, struct number *ret_number)
{
    size_t digits = at;
    while (is_digit(char_at(s, digits)))
        digits++;
    if (digits - at > PLAIN_DIGITS_MAX)
        return 0;
    size_t end = read_number(s, at, NONE, ret_number);
    return end != 0 && !is_word(char_at(s, end)) ? end : 0;
}

/* "001 Title", "1. Title", "05 - Title"; a bare "100 Bullets" is a series. */
static bool leading(dz_str s, bool padded_only, struct dz_arena *a, struct dz_name_info *info)
{
    struct number number;
    size_t end = plain_number(s, 0, &number);
    bool is_padded = end > 1 && s.p[0] == '0';
    if (end == 0 || is_year(dz_str_sub(s, 0, end)))
        return false;
    dz_str rest = dz_str_sub(s, end, s.n);
    bool is_cut = dz_str_starts(rest, DZ_S(" - ")) || dz_str_starts(rest, DZ_S(". ")) ||
                  dz_str_starts(rest, DZ_S(": "));
    if (!is_padded && (padded_only || !is_cut))
        return false;
    info->chapter = dz_arena_str(a, number_str(&number));
    info->title = trim_separators(rest);
    return true;
}

/* "Series - 05", "Series - 05 - Title". */
static bool between_dashes(dz_str s, struct dz_arena *a, struct dz_name_info *info)
{
    for (size_t at = 1; at + 3 < s.n; at++) {
        struct number number;
        if (!starts_at(s, at, DZ_S(" - ")))
            continue;
        size_t end = plain_number(s, at + 3, &number);
        dz_str rest = dz_str_sub(s, end, s.n);
        if (end == 0 || is_year(dz_str_sub(s, at + 3, end)) ||
            (rest.n != 0 && !dz_str_starts(rest, DZ_S(" - ")) && !dz_str_starts(rest, DZ_S(": "))))
            continue;
        info->series = trim_separators(dz_str_sub(s, 0, at));
        info->chapter = dz_arena_str(a, number_str(&number));
        info->title = trim_separators(rest);
        return true;
    }
    return false;
}

/* "One Piece 1044", "Series 001-003", "タイトル03", "Akira01", "Watchmen 3 of 12". */
static bool trailing(dz_str s, struct dz_arena *a, struct dz_name_info *info)
{
    size_t of = dz_str_find(s, DZ_S(" of "));
    if (of != DZ_NPOS && of > 0 && is_digit(s.p[of - 1]) && is_digit(s.p[s.n - 1]))
        s = dz_str_sub(s, 0, of);
    for (size_t at = 1; at < s.n; at++) {
        char before = s.p[at - 1];
        struct number number;
        if (!is_digit(s.p[at]) || is_digit(before) || (is_letter(before) && s.p[at] != '0'))
            continue;
        if (at > 1 && (before == '.' || before == '-') && is_digit(s.p[at - 2]))
            continue; /* the end of a date or of a decimal */
        if (plain_number(s, at, &number) != s.n || is_year(dz_str_sub(s, at, s.n)))
            continue;
        info->series = trim_separators(dz_str_sub(s, 0, at));
        info->chapter = dz_arena_str(a, number_str(&number));
        return true;
    }
    return false;
}

/* A chapter that has a name instead of a number. */
static bool is_special(dz_str s)
{
    static const char *const known[] = {
        "prologue", "epilogue",  "oneshot",    "one-shot", "one shot",   "extra",
        "extras",   "omake",     "special",    "specials", "bonus",      "afterword",
        "preview",  "interlude", "side story", "番外編",   "プロローグ", "エピローグ",
    };
    for (size_t i = 0; i < DZ_LEN(known); i++) {
        if (dz_str_eq_nocase(s, dz_str_of(known[i])))
            return true;
    }
    return false;
}

static void without_marks(dz_str s, struct dz_arena *a, struct dz_name_info *info)
{
    struct number number;
    if (s.n != 0 && plain_number(s, 0, &number) == s.n) {
        info->chapter = dz_arena_str(a, number_str(&number));
        return;
    }
    if (!leading(s, true, a, info) && !between_dashes(s, a, info) && !trailing(s, a, info) &&
        !leading(s, false, a, info))
        info->series = trim_separators(s);
    if (is_special(info->series)) { /* "Extra 3" is not chapter 3 */
        *info = (struct dz_name_info){.title = s};
        return;
    }
    size_t dash = info->chapter.n == 0 ? dz_str_find(s, DZ_S(" - ")) : DZ_NPOS;
    if (dash != DZ_NPOS && is_special(dz_str_sub(s, dash + 3, s.n))) {
        info->series = trim_separators(dz_str_sub(s, 0, dash));
        info->title = dz_str_sub(s, dash + 3, s.n);
    }
}

/* ---- all together ---------------------------------------------------------------------------- */

/* "p001", "p001-002": which page, said by programs that name single pages. */
static bool is_page_tag(dz_str s)
{
    if (s.n < 2 || (s.p[0] != 'p' && s.p[0] != 'P'))
        return false;
    for (size_t i = 1; i < s.n; i++) {
        if (!is_digit(s.p[i]) && s.p[i] != '-')
            return false;
    }
    return true;
}

/* A title whose words are joined by dashes: "Potion-of-Flight". */
static dz_str title_text(dz_str title, struct dz_arena *a)
{
    if (is_page_tag(title))
        return (dz_str){NULL, 0};
    char *p = dz_arena_dup(a, title);
    unjoin(p, title.n, '-');
    return (dz_str){p, title.n};
}

static void with_marks(dz_str s, const struct mark *volume, const struct mark *chapter,
                       struct dz_arena *a, struct dz_name_info *info)
{
    const struct mark *first = volume, *last = chapter;
    if (volume == NULL || (chapter != NULL && chapter->from < volume->from))
        first = chapter;
    if (chapter == NULL || (volume != NULL && volume->from > chapter->from))
        last = volume;
    if (volume != NULL)
        info->volume = dz_arena_str(a, number_str(&volume->number));
    info->series = trim_separators(dz_str_sub(s, 0, first->from));
    dz_str rest = trim_separators(dz_str_sub(s, last->to, s.n));
    dz_str middle = trim_separators(dz_str_sub(s, first->to, last->from));
    if (chapter != NULL) {
        info->chapter = dz_arena_str(a, number_str(&chapter->number));
        info->title = rest.n != 0 && !is_page_tag(rest) ? rest : middle;
        return;
    }
    struct number number;
    size_t end = rest.n != 0 ? plain_number(rest, 0, &number) : 0;
    info->title = rest;
    if (end == rest.n && end != 0) { /* "v01 003" */
        info->chapter = dz_arena_str(a, number_str(&number));
        info->title = (dz_str){NULL, 0};
    } else if (end != 0) {
        (void)leading(rest, false, a, info);
    }
}

void dz_name_parse(dz_str name, bool is_file, struct dz_arena *a, struct dz_name_info *ret_info)
{
    struct mark marks[MARKS_MAX];
    struct dz_name_info info = {0};
    if (is_file)
        name = cut_extension(name);
    name = dz_str_trim(dz_str_sub(name, 0, NAME_BYTES_MAX));
    dz_str s = make_plain(name, a);
    size_t count = find_marks(s, marks);
    const struct mark *volume = pick(marks, count, VOLUME);
    const struct mark *chapter = pick(marks, count, CHAPTER);
    if (volume == NULL)
        volume = pick(marks, count, SEASON);
    if (volume == NULL && chapter == NULL)
        without_marks(s, a, &info);
    else
        with_marks(s, volume, chapter, a, &info);
    info.title = title_text(info.title, a);
    *ret_info = info;
}
