/*
 * say: texts of anybody made fit for people: messages, sizes, counts.
 *
 * In: names from file systems and archives, which may hold any byte. Out: text that cannot move a
 * cursor, colour a terminal, begin a line of its own or turn the direction of what follows, cut to
 * columns where wished. How wide a character is comes from the C library's tables under its C.UTF-8
 * locale, which is set for the calling thread only while it is asked, so that nothing else depends
 * on a locale.
 */
#include <locale.h>
#include <pthread.h>
#include <wchar.h>

#include "cli/cli_int.h"

#include <errno.h>
#include <unistd.h>

#define WORDS_MAX (16 * DZ_KIB)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static locale_t utf8_locale;

static void make_locale(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* Marks that turn the direction of text, and the separators that some terminals break lines at. */
static bool turns_text(wchar_t c)
{
    return (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0x061c;
}

/* The character at the start of s: its bytes and columns; columns -1: to be escaped. */
static size_t step(dz_str s, int *ret_columns)
{
    wchar_t c = 0;
    mbstate_t state = {0};
    size_t n = mbrtowc(&c, s.p, s.n, &state);
    *ret_columns = -1;
    if (n == 0 || n > s.n)
        return 1;
    if (!turns_text(c))
        *ret_columns = wcwidth(c);
    return n;
}

static const char dots[] = "...";

size_t dz_text_put(struct dz_buf *out, dz_str text, size_t columns)
{
    pthread_once(&once, make_locale);
    locale_t before = utf8_locale ? uselocale(utf8_locale) : (locale_t)0;
    size_t taken = 0;
    size_t cut_n = out->n, cut_taken = 0; /* the last place where the dots would still fit */
    while (text.n > 0) {
        int wide;
        size_t n = step(text, &wide);
        size_t need = wide < 0 ? 4 * n : (size_t)wide;
        if (need > columns - taken) {
            out->n = cut_n;
            taken = cut_taken;
            size_t room = columns - taken < sizeof(dots) - 1 ? columns - taken : sizeof(dots) - 1;
            dz_buf_put(out, (dz_str){dots, room});
            taken += room;
            break;
        }
        if (wide < 0)
            for (size_t i = 0; i < n; i++)
                dz_buf_putf(out, "\\x%02x", (unsigned char)text.p[i]);
        else
            dz_buf_put(out, dz_str_sub(text, 0, n));
        if (out->full)
            break;
        taken += need;
        if (columns - taken >= sizeof(dots) - 1) {
            cut_n = out->n;
            cut_taken = taken;
        }
        text = dz_str_sub(text, n, text.n);
    }
    if (utf8_locale)
        uselocale(before);
    return taken;
}

void dz_count_put(struct dz_buf *out, uint64_t n, const char *one, const char *many)
{
    dz_buf_put_u64(out, n);
    dz_buf_putc(out, ' ');
    dz_buf_put(out, dz_str_of(n == 1 ? one : many));
}

void dz_say(const struct dz_command *cmd, const char *fmt, ...)
{
    char words[WORDS_MAX];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    size_t words_n = n < 0 ? 0 : (size_t)n < sizeof(words) ? (size_t)n : sizeof(words) - 1;
    struct dz_buf line DZ_AUTO(dz_buf_done);
    dz_buf_init(&line, 4 * WORDS_MAX + DZ_KIB);
    dz_buf_put(&line, cmd ? DZ_S("dozo ") : DZ_S("dozo"));
    if (cmd)
        dz_buf_put(&line, dz_str_of(cmd->name));
    dz_buf_put(&line, DZ_S(": "));
    dz_text_put(&line, (dz_str){words, words_n}, SIZE_MAX);
    dz_buf_putc(&line, '\n');
    /* What cannot be said on stderr has nowhere else to go. */
    (void)!fwrite(line.p, 1, line.n, stderr);
}

void dz_print(const struct dz_buf *b)
{
    if (b->n > 0)
        (void)!fwrite(b->p, 1, b->n, stdout);
}
