/*
 * collection_change: what may become of the declaration of a collection that has rows.
 *
 * In: the declaration that its table was made for, and the new one. Out: nothing, or which change
 * is refused. Fields may come, and with them columns; descriptions, derived fields, queries, unique
 * tuples and new values of enums may change. What would give stored values another meaning, or lose
 * them, is refused: that is a new collection. Pure; any thread.
 */
#include "catalog/collection_int.h"

size_t dz_collection_find_column(const struct dz_collection *c, dz_str name)
{
    for (size_t i = 0; i < c->columns_n; i++)
        if (dz_str_eq_nocase(c->columns[i].name, name))
            return i;
    return DZ_NPOS;
}

static enum dz_code check_column(const struct dz_collection *old,
                                 const struct dz_collection_column *was,
                                 const struct dz_collection *c, struct dz_err *err)
{
    dz_str field = old->fields[was->field].name;
    size_t i = dz_collection_find_column(c, was->name);
    if (i == DZ_NPOS)
        return dz_fail(err, DZ_CONFLICT,
                       "field %.*s (column %.*s) is gone: what is stored would be lost",
                       DZ_STR_FMT(field), DZ_STR_FMT(was->name));
    const struct dz_collection_column *is = &c->columns[i];
    if (dz_collection_stored_as(is) != dz_collection_stored_as(was) || is->list != was->list)
        return dz_fail(err, DZ_CONFLICT, "field %.*s: the type of column %.*s cannot change",
                       DZ_STR_FMT(field), DZ_STR_FMT(was->name));
    if (is->not_null != was->not_null)
        return dz_fail(err, DZ_CONFLICT, "field %.*s: column %.*s %s, which cannot change",
                       DZ_STR_FMT(field), DZ_STR_FMT(was->name),
                       was->not_null ? "is never null" : "may be null");
    return DZ_OK;
}

static enum dz_code check_field(const struct dz_collection *old,
                                const struct dz_collection_field *was,
                                const struct dz_collection *c, struct dz_err *err)
{
    size_t i = dz_collection_field(c, was->name);
    if (i == DZ_NPOS || was->column == DZ_NPOS)
        return DZ_OK; /* its column is looked at alone */
    const struct dz_collection_field *is = &c->fields[i];
    bool same_type = is->type == was->type && is->list == was->list &&
                     (!is->of || dz_str_eq(is->of->name, was->of->name));
    if (!same_type)
        return dz_fail(err, DZ_CONFLICT, "field %.*s: its type cannot change",
                       DZ_STR_FMT(was->name));
    if (is->items_not_null && !was->items_not_null)
        return dz_fail(err, DZ_CONFLICT,
                       "field %.*s: its lists may have nulls, which cannot change",
                       DZ_STR_FMT(was->name));
    if (is->column == DZ_NPOS ||
        !dz_str_eq_nocase(c->columns[is->column].name, old->columns[was->column].name))
        return dz_fail(err, DZ_CONFLICT, "field %.*s: its column cannot change",
                       DZ_STR_FMT(was->name));
    return DZ_OK;
}

static enum dz_code check_enum(const struct dz_collection_enum *was,
                               const struct dz_collection_enum *is, struct dz_err *err)
{
    for (size_t i = 0; i < was->values_n; i++)
        for (size_t k = 0; k < is->values_n; k++)
            if (dz_str_eq(was->values[i].name, is->values[k].name) &&
                was->values[i].number != is->values[k].number)
                return dz_fail(err, DZ_CONFLICT, "enum %.*s: %.*s is stored as %lld",
                               DZ_STR_FMT(was->name), DZ_STR_FMT(was->values[i].name),
                               (long long)was->values[i].number);
    return DZ_OK;
}

enum dz_code dz_collection_check_change(const struct dz_collection *old,
                                        const struct dz_collection *c, struct dz_err *err)
{
    dz_str old_key = old->columns[old->fields[old->key].column].name;
    if (!dz_str_eq_nocase(old_key, c->columns[c->fields[c->key].column].name))
        return dz_fail(err, DZ_CONFLICT, "field %.*s is the key, which cannot change",
                       DZ_STR_FMT(old->fields[old->key].name));
    for (size_t i = 0; i < old->columns_n; i++)
        DZ_TRY(check_column(old, &old->columns[i], c, err));
    for (size_t i = 0; i < old->fields_n; i++)
        DZ_TRY(check_field(old, &old->fields[i], c, err));
    for (size_t i = 0; i < old->enums_n; i++)
        for (size_t k = 0; k < c->enums_n; k++)
            if (dz_str_eq(old->enums[i].name, c->enums[k].name))
                DZ_TRY(check_enum(&old->enums[i], &c->enums[k], err));
    return DZ_OK;
}
