/*
 * rows: values out of a result, which are in PostgreSQL's binary formats.
 *
 * In: a result of libpq, whose pieces a struct dz_pg_rows is. Out: numbers and bytes, which live as
 * long as the result. A value of a kind that no accessor knows is 0: what a statement gives is
 * written beside it. Any thread, one at a time.
 */
#include "pg/pg_int.h"

#include <math.h>

/* Oids of pg_type, which are fixed. */
enum {
    BOOL = 16,
    INT8 = 20,
    INT2 = 21,
    INT4 = 23,
    OID = 26,
    FLOAT4 = 700,
    FLOAT8 = 701,
    NUMERIC = 1700
};

static const PGresult *result(const struct dz_pg_rows *rows)
{
    return (const PGresult *)rows;
}

void dz_pg_rows_free(struct dz_pg_rows **rows)
{
    if (*rows)
        PQclear((PGresult *)*rows);
    *rows = NULL;
}

size_t dz_pg_n(const struct dz_pg_rows *rows)
{
    return (size_t)PQntuples(result(rows));
}

uint64_t dz_pg_affected(const struct dz_pg_rows *rows)
{
    uint64_t n = 0;
    /* PQcmdTuples reads only. */
    dz_str text = dz_str_of(PQcmdTuples((PGresult *)(uintptr_t)rows));
    if (text.n == 0 || dz_str_u64(text, UINT64_MAX, &n, NULL) != DZ_OK)
        return 0;
    return n;
}

static const char *value(const struct dz_pg_rows *rows, size_t row, size_t column, size_t *ret_n)
{
    dz_assert(row < dz_pg_n(rows) && column < (size_t)PQnfields(result(rows)));
    *ret_n = (size_t)PQgetlength(result(rows), (int)row, (int)column);
    return PQgetvalue(result(rows), (int)row, (int)column);
}

bool dz_pg_is_null(const struct dz_pg_rows *rows, size_t row, size_t column)
{
    return PQgetisnull(result(rows), (int)row, (int)column) != 0;
}

/* n bytes, most significant first. */
static uint64_t unsigned_of(const char *p, size_t n)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++)
        x = x << 8 | (unsigned char)p[i];
    return x;
}

static int64_t whole(const char *p, size_t n)
{
    uint64_t x = unsigned_of(p, n);
    if (n == 2)
        return (int16_t)x;
    if (n == 4)
        return (int32_t)x;
    return (int64_t)x;
}

static double floating(const char *p, size_t n)
{
    uint64_t bits = unsigned_of(p, n);
    uint32_t bits4 = (uint32_t)bits;
    double r;
    float f;
    memcpy(&r, &bits, sizeof(r));
    memcpy(&f, &bits4, sizeof(f));
    return n == 4 ? (double)f : r;
}

/* Digits in base 10,000: how many, the power of the first, sign, scale, digits; 16 bits each. */
static double numeric_real(const char *p, size_t n)
{
    if (n < 8)
        return 0;
    int64_t digits = whole(p, 2), power = whole(p + 2, 2);
    uint64_t sign = unsigned_of(p + 4, 2);
    double sum = 0, scale = 1;
    for (int64_t i = 0; i < digits && 8 + (size_t)i * 2 + 2 <= n; i++)
        sum = sum * 10000 + (double)whole(p + 8 + i * 2, 2);
    int64_t tail = digits - 1 - power; /* how many of them stand behind the point */
    for (int64_t i = 0; i < (tail < 0 ? -tail : tail); i++)
        scale *= 10000;
    sum = tail < 0 ? sum * scale : sum / scale;
    return sign == 0x4000 ? -sum : sign == 0 ? sum : NAN;
}

static int64_t clipped(double r)
{
    if (!(r > -9223372036854775808.0))
        return r != r ? 0 : INT64_MIN;
    return r < 9223372036854775808.0 ? (int64_t)r : INT64_MAX;
}

static int64_t numeric_int(const char *p, size_t n)
{
    if (n < 8)
        return 0;
    int64_t digits = whole(p, 2), power = whole(p + 2, 2), sum = 0;
    uint64_t sign = unsigned_of(p + 4, 2);
    for (int64_t i = 0; i <= power; i++) {
        bool there = i < digits && 8 + (size_t)i * 2 + 2 <= n;
        int64_t digit = there ? whole(p + 8 + i * 2, 2) : 0;
        if (__builtin_mul_overflow(sum, 10000, &sum) || __builtin_add_overflow(sum, digit, &sum))
            return sign == 0x4000 ? INT64_MIN : INT64_MAX;
    }
    return sign == 0x4000 ? -sum : sum;
}

/* The kind of the value, of which there are n bytes; InvalidOid for NULL. */
static Oid typed(const struct dz_pg_rows *rows, size_t row, size_t column, const char **ret_p,
                 size_t *ret_n)
{
    *ret_p = value(rows, row, column, ret_n);
    return dz_pg_is_null(rows, row, column) ? InvalidOid : PQftype(result(rows), (int)column);
}

int64_t dz_pg_int(const struct dz_pg_rows *rows, size_t row, size_t column)
{
    const char *p;
    size_t n;
    switch (typed(rows, row, column, &p, &n)) {
    case BOOL:
        return n == 1 && *p != 0;
    case OID:
        return (int64_t)unsigned_of(p, n);
    case INT2:
    case INT4:
    case INT8:
        return whole(p, n);
    case FLOAT4:
    case FLOAT8:
        return clipped(floating(p, n));
    case NUMERIC:
        return numeric_int(p, n);
    default:
        return 0;
    }
}

double dz_pg_real(const struct dz_pg_rows *rows, size_t row, size_t column)
{
    const char *p;
    size_t n;
    switch (typed(rows, row, column, &p, &n)) {
    case FLOAT4:
    case FLOAT8:
        return floating(p, n);
    case NUMERIC:
        return numeric_real(p, n);
    default:
        return (double)dz_pg_int(rows, row, column);
    }
}

dz_str dz_pg_bytes(const struct dz_pg_rows *rows, size_t row, size_t column)
{
    size_t n;
    const char *p = value(rows, row, column, &n);
    return dz_pg_is_null(rows, row, column) ? (dz_str){NULL, 0} : (dz_str){p, n};
}
