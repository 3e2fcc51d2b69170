/*
 * test_collections: declarations and records for the tests of collections.
 *
 * JSON is written with ' in place of ". What is made here is the caller's.
 */
#pragma once

#include "catalog/test_records.h"

#define PERFVOD_FIELDS                                                                             \
    "{'name': 'id', 'type': 'String', 'not_null': true, 'column': 'canon_id'},"                    \
    "{'name': 'l4cClubId', 'type': 'Int', 'not_null': true, 'column': 'l4c_club_id'},"             \
    "{'name': 'l4cId', 'type': 'Int', 'not_null': true, 'column': 'l4c_id'},"                      \
    "{'name': 'l4cUrl', 'type': 'String', 'not_null': true, 'template': "                          \
    "'https://live.48.cn/Index/invedio/club/{l4cClubId}/id/{l4cId}'},"                             \
    "{'name': 'group', 'type': 'Group', 'not_null': true, 'column': 'l4c_club_id'},"               \
    "{'name': 'title', 'type': 'String', 'not_null': true},"                                       \
    "{'name': 'subtitle', 'type': 'String'},"                                                      \
    "{'name': 'startTime', 'type': 'Int', 'not_null': true, 'column': 'start_time'},"              \
    "{'name': 'sdStream', 'type': 'String', 'column': 'sd_stream'},"                               \
    "{'name': 'hdStream', 'type': 'String', 'column': 'hd_stream'},"                               \
    "{'name': 'fhdStream', 'type': 'String', 'column': 'fhd_stream'},"                             \
    "{'name': 'bestStream', 'type': 'String', 'not_null': true, 'first_of': "                      \
    "['fhdStream', 'hdStream', 'sdStream']}"
#define PERFVOD_QUERIES                                                                            \
    "[{'name': 'perfVod', 'one': 'id'}, {'name': 'perfVods', 'many': 'ids', 'range': "             \
    "{'field': 'startTime', 'from': 'from', 'to': 'to'}, 'filter': ['group'], 'order': "           \
    "['startTime', 'l4cClubId', 'l4cId'], 'exclusive': true}]"
/* What stands behind the fields may be changed: more of them, other queries. */
#define PERFVOD_WITH(more_fields, queries)                                                         \
    "{'name': 'PerfVOD', 'description': 'A show', 'key': 'id', 'enums': [{'name': 'Group', "       \
    "'values': [['SNH48', 1], ['BEJ48', 2], ['GNZ48', 3], ['SHY48', 4], ['CKG48', 5]]}], "         \
    "'fields': [" PERFVOD_FIELDS more_fields "], 'unique': [['l4cId']], 'queries': " queries "}"
#define PERFVOD PERFVOD_WITH("", PERFVOD_QUERIES)

__attribute__((unused)) static char *with_quotes(const char *text)
{
    char *s = dz_strdup(text);
    for (char *p = s; *p; p++)
        if (*p == '\'')
            *p = '"';
    return s;
}

__attribute__((unused)) static struct dz_collection *declared(const char *text)
{
    DZ_AUTO(dz_freep) char *json = with_quotes(text);
    struct dz_collection *c = NULL;
    must(dz_collection_parse(DZ_S("live.48.cn"), dz_str_of(json), &c, err));
    return c;
}

__attribute__((unused)) static json_t *json_of(const char *text)
{
    DZ_AUTO(dz_freep) char *json = with_quotes(text);
    json_t *v = json_loads(json, 0, NULL);
    if (!v)
        fail_msg("no JSON: %s", json);
    return v;
}

/* A whole record: the rest follows from these. */
__attribute__((unused)) static json_t *vod(const char *id, int club, int64_t l4c_id, int64_t start)
{
    json_t *v = json_object();
    json_object_set_new(v, "id", json_string(id));
    json_object_set_new(v, "l4cClubId", json_integer(club));
    json_object_set_new(v, "l4cId", json_integer(l4c_id));
    json_object_set_new(v, "title", json_string("t"));
    json_object_set_new(v, "subtitle", json_string(""));
    json_object_set_new(v, "startTime", json_integer(start));
    json_object_set_new(v, "hdStream", json_string("http://h/hd.m3u8"));
    return v;
}

__attribute__((unused)) static json_t *list_of(json_t *take_record)
{
    json_t *list = json_array();
    json_array_append_new(list, take_record);
    return list;
}
