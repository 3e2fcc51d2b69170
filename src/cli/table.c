/*
 * table: rows and columns of text that fit a terminal.
 *
 * In: cells, one after another, each any text. Out: lines with columns as wide as their widest cell
 * needs; when that is too wide for the terminal columns without any cell are left out, then the
 * widest give way, the first column (the name of the row) last, and what is cut ends in "...".
 * Cells are made safe by dz_text_put. One thread. Odd: measuring and writing go through the same
 * function, so that a wide character counts the same in both.
 */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli_int.h"

#define CELL_BYTES_MAX (16 * DZ_KIB)
#define GAP 2u
#define WIDTH_MIN 4u

void dz_table_init(struct dz_table *t, const char *const *heads, size_t columns)
{
    dz_assert(columns > 0 && columns <= DZ_TABLE_COLUMNS_MAX);
    *t = (struct dz_table){.columns = columns};
    for (size_t i = 0; i < columns; i++)
        dz_table_add(t, dz_str_of(heads[i]));
}

void dz_table_done(struct dz_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i]);
    dz_freep(&t->cells);
    t->n = t->cap = 0;
}

void dz_table_add(struct dz_table *t, dz_str text)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->cells = dz_realloc(t->cells, t->cap * sizeof(*t->cells));
    }
    t->cells[t->n++] = dz_str_dup(text);
}

static size_t width_of(const char *cell)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, CELL_BYTES_MAX);
    return dz_text_put(&b, dz_str_of(cell), SIZE_MAX);
}

static bool is_empty(const struct dz_table *t, size_t column)
{
    for (size_t i = t->columns + column; i < t->n; i += t->columns)
        if (t->cells[i][0] != '\0')
            return false;
    return true;
}

/* Until all fit or none can. A column that is left out has the width 0. */
static void shrink(const struct dz_table *t, size_t *widths, size_t columns)
{
    size_t sum = 0;
    for (size_t i = 0; i < t->columns; i++)
        sum += widths[i] + (i > 0 ? GAP : 0);
    for (size_t i = 1; i < t->columns && sum > columns; i++)
        if (t->n > t->columns && is_empty(t, i)) {
            sum -= widths[i] + GAP;
            widths[i] = 0;
        }
    while (sum > columns) {
        size_t widest = 0;
        for (size_t i = 1; i < t->columns; i++)
            if (widths[i] > WIDTH_MIN && (widest == 0 || widths[i] >= widths[widest]))
                widest = i;
        if (widths[widest] <= WIDTH_MIN)
            return;
        widths[widest]--;
        sum--;
    }
}

static void put_row(const struct dz_table *t, size_t row, const size_t *widths, size_t columns,
                    struct dz_buf *out)
{
    size_t last = t->columns, at = 0;
    while (last > 0 && t->cells[row * t->columns + last - 1][0] == '\0')
        last--; /* no blanks at the ends of lines */
    for (size_t i = 0; i < last; i++) {
        size_t start = at;
        if (widths[i] == 0)
            continue;
        if (at >= columns)
            break;
        size_t room = widths[i] < columns - at ? widths[i] : columns - at;
        at += dz_text_put(out, dz_str_of(t->cells[row * t->columns + i]), room);
        while (i + 1 < last && at < start + widths[i] + GAP && at < columns) {
            dz_buf_putc(out, ' ');
            at++;
        }
    }
}

void dz_table_put(const struct dz_table *t, size_t columns, const char *line_end,
                  struct dz_buf *out)
{
    size_t widths[DZ_TABLE_COLUMNS_MAX] = {0};
    dz_assert(t->n % t->columns == 0);
    for (size_t i = 0; i < t->n; i++) {
        size_t w = width_of(t->cells[i]);
        if (w > widths[i % t->columns])
            widths[i % t->columns] = w;
    }
    shrink(t, widths, columns);
    for (size_t row = 0; row < t->n / t->columns; row++) {
        put_row(t, row, widths, columns, out);
        dz_buf_put(out, dz_str_of(line_end));
    }
}

bool dz_terminal_size(size_t *ret_columns, size_t *ret_rows)
{
    struct winsize size = {0};
    if (!isatty(STDOUT_FILENO))
        return false;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    *ret_columns = known ? size.ws_col : 80;
    *ret_rows = known && size.ws_row > 0 ? size.ws_row : 24;
    return true;
}
