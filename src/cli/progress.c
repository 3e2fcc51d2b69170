/*
 * progress: how far a long command is.
 *
 * In: done and total, and the name of what is at hand. Out: on a terminal one line of stderr that
 * is drawn over; elsewhere a plain line now and then. The line itself is a pure function of a state
 * and a width. One thread. The line is never as wide as the terminal, because many terminals wrap
 * in the last column, and must be cleared before anything else is written.
 */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli_int.h"

#define DRAW_EVERY_NS 100000000ll
#define PLAIN_EVERY_NS 1000000000ll
#define RATE_AFTER_NS 500000000ll
#define BAR_CELLS_MAX 30u
#define BAR_CELLS_MIN 10u
#define COLUMNS_DEFAULT 80
#define LINE_BYTES_MAX (8 * DZ_KIB)
#define REMAINING_MAX_S (99 * 3600)

/* ---- the line -------------------------------------------------------------------------------- */

static void put_amount(struct dz_buf *out, const struct dz_progress_state *s, uint64_t n)
{
    if (s->is_bytes)
        dz_buf_put_size(out, n);
    else
        dz_buf_put_u64(out, n);
}

/* "0:07", "12:40", "1:02:03" */
static void put_time(struct dz_buf *out, uint64_t s)
{
    if (s >= 3600)
        dz_buf_putf(out, "%u:%02u:%02u", (unsigned)(s / 3600), (unsigned)(s / 60 % 60),
                    (unsigned)(s % 60));
    else
        dz_buf_putf(out, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

static void put_figures(struct dz_buf *out, const struct dz_progress_state *s)
{
    put_amount(out, s, s->done);
    if (s->total > 0) {
        dz_buf_putc(out, '/');
        put_amount(out, s, s->total);
    }
    if (s->rate == 0)
        return;
    dz_buf_put(out, DZ_S("  "));
    put_amount(out, s, s->rate);
    dz_buf_put(out, DZ_S("/s"));
    if (s->total > s->done) {
        uint64_t left_s = (s->total - s->done + s->rate - 1) / s->rate;
        if (left_s <= REMAINING_MAX_S) {
            dz_buf_put(out, DZ_S("  "));
            put_time(out, left_s);
            dz_buf_put(out, DZ_S(" left"));
        }
    }
}

static void put_bar(struct dz_buf *out, uint64_t permille, size_t cells, bool colour)
{
    size_t full = (size_t)(permille * cells / 1000);
    dz_buf_putc(out, '[');
    if (colour)
        dz_buf_put(out, DZ_S("\x1b[36m"));
    for (size_t i = 0; i < cells; i++)
        dz_buf_putc(out, i < full ? '=' : i == full ? '>' : ' ');
    if (colour)
        dz_buf_put(out, DZ_S("\x1b[0m"));
    dz_buf_put(out, DZ_S("] "));
}

void dz_progress_line(const struct dz_progress_state *s, size_t columns, bool colour,
                      struct dz_buf *out)
{
    struct dz_buf figures DZ_AUTO(dz_buf_done);
    dz_buf_init(&figures, DZ_KIB);
    put_figures(&figures, s);
    size_t room = columns > 0 ? columns - 1 : 0;
    uint64_t done = s->done < s->total ? s->done : s->total;
    if (s->total > 0) {
        /* In long double: the product of two counts of bytes may pass 64 bits. */
        uint64_t permille = (uint64_t)((long double)done / (long double)s->total * 1000);
        if (room >= 5) {
            dz_buf_putf(out, "%3u%% ", (unsigned)(permille / 10));
            room -= 5;
        }
        size_t beside = figures.n + 3; /* figures, brackets and a blank */
        if (room >= beside + BAR_CELLS_MIN) {
            /* A third of what is left is the bar, the rest is for the name. */
            size_t cells = (room - beside) / 3;
            cells = cells < BAR_CELLS_MIN   ? BAR_CELLS_MIN
                    : cells > BAR_CELLS_MAX ? BAR_CELLS_MAX
                                            : cells;
            put_bar(out, permille, cells, colour);
            room -= cells + 3;
        }
    }
    room -= dz_text_put(out, dz_buf_str(&figures), room);
    if (s->name && room > 6) {
        dz_buf_put(out, DZ_S("  "));
        dz_text_put(out, dz_str_of(s->name), room - 2);
    }
}

/* ---- drawing --------------------------------------------------------------------------------- */

static size_t terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return COLUMNS_DEFAULT;
}

static void write_out(const struct dz_buf *b)
{
    fflush(stderr);
    /* A bar that cannot be drawn is no reason to fail. */
    (void)!write(STDERR_FILENO, b->p, b->n);
}

void dz_progress_begin(struct dz_progress *p, bool is_bytes, bool off)
{
    *p = (struct dz_progress){.state.is_bytes = is_bytes};
    const char *term = getenv("TERM");
    bool dumb = !term || term[0] == '\0' || strcmp(term, "dumb") == 0;
    const char *no_colour = getenv("NO_COLOR");
    p->colour = !no_colour || no_colour[0] == '\0';
    p->mode = off                              ? DZ_PROGRESS_OFF
              : isatty(STDERR_FILENO) && !dumb ? DZ_PROGRESS_BAR
                                               : DZ_PROGRESS_PLAIN;
}

void dz_progress_clear(struct dz_progress *p)
{
    if (!p->shown)
        return;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 16);
    dz_buf_put(&b, DZ_S("\r\x1b[K"));
    write_out(&b);
    p->shown = false;
}

static void draw(struct dz_progress *p)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, LINE_BYTES_MAX);
    dz_buf_putc(&b, '\r');
    dz_progress_line(&p->state, terminal_columns(), p->colour, &b);
    dz_buf_put(&b, DZ_S("\x1b[K"));
    write_out(&b);
    p->shown = true;
}

void dz_progress_set(struct dz_progress *p, uint64_t done, uint64_t total, const char *name)
{
    if (p->mode != DZ_PROGRESS_BAR)
        return;
    int64_t now_ns = dz_mono_ns();
    if (!p->started) {
        p->started = true;
        p->start_ns = now_ns;
        p->start_done = done;
    }
    if (p->drawn_ns != 0 && now_ns - p->drawn_ns < DRAW_EVERY_NS)
        return;
    p->drawn_ns = now_ns;
    p->state.done = done;
    p->state.total = total;
    p->state.name = name;
    int64_t spent_ns = now_ns - p->start_ns;
    if (spent_ns >= RATE_AFTER_NS && done > p->start_done)
        p->state.rate = (uint64_t)((double)(done - p->start_done) * 1e9 / (double)spent_ns);
    draw(p);
    p->state.name = NULL; /* borrowed for this call only */
}

void dz_progress_step(struct dz_progress *p, const char *name)
{
    if (p->mode != DZ_PROGRESS_PLAIN)
        return;
    int64_t now_ns = dz_mono_ns();
    if (p->plain_ns != 0 && now_ns - p->plain_ns < PLAIN_EVERY_NS)
        return;
    p->plain_ns = now_ns;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, LINE_BYTES_MAX);
    dz_buf_put(&b, DZ_S("done: "));
    dz_text_put(&b, dz_str_of(name), SIZE_MAX);
    dz_buf_putc(&b, '\n');
    write_out(&b);
}
