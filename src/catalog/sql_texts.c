/*
 * sql_texts: the text of every statement that connections keep prepared.
 *
 * In: nothing. Out: one table, in the order of enum dz_sql_statement; most texts are for every
 * database, the others come in two forms. Columns of series, chapter and blob are listed once here,
 * in the order in which the read functions of sql.c take them. Texts have to suit both: each
 * parameter up to the highest is used, subqueries in FROM have names, integers stand for truth
 * (x <> 0), CASE instead of iif, sums are cast to 64 bits. No text names a type of its parameters
 * but through the column that it meets.
 */
#include "catalog/sql_int.h"

#define SERIES                                                                                     \
    "SELECT id, source, source_id, title, description, authors, lang, status, url, new_release, "  \
    "right_to_left, created_s, updated_s FROM series "
#define CHAPTER                                                                                    \
    "SELECT id, source_id, key, sort, number, volume, title, volume_cover, page_count, links, "    \
    "meta_extra, extra, origin, origin_stamp, created_s, updated_s, rev FROM chapter "
#define JOB                                                                                        \
    "id, kind, source, target, args, state, priority, attempts, cancel_asked, created_ms, "        \
    "run_after_ms, lease_until_ms, started_ms, ended_ms, owner, done, total, fail_kind, "          \
    "fail_text, result, bytes, phase"
/* Nobody is at work on it: queued, or under a lease that ended before ?1. */
#define JOB_FREE "(state = 0 OR (state = 1 AND lease_until_ms <= ?1))"
/* A download is tried again within hours: one that would wait for ten days was put off by a clock
 * that has been set back since. */
#define PUT_OFF "(kind = 'download' AND run_after_ms > ?1 + 864000000)"
#define RETRY                                                                                      \
    "UPDATE job SET state = 0, run_after_ms = ?2, attempts = 0, cancel_asked = 0, started_ms = "   \
    "0, "                                                                                          \
    "ended_ms = 0, done = 0, total = 0, bytes = 0, fail_kind = '', fail_text = '', result = '' "
#define ALIVE                                                                                      \
    "(SELECT 1 FROM job l WHERE l.state < 2 AND l.kind = job.kind AND l.source = job.source AND "  \
    "l.target = job.target)"
#define STATE "SELECT source, name, value, updated_ms, expires_ms FROM crawl_state WHERE "
#define PART "SELECT p.source, p.chapter, p.at, p.url, p.mtime_s, "
#define OLD_PARTS                                                                                  \
    "(SELECT source, chapter FROM part GROUP BY source, chapter HAVING max(put_ms) < ?1)"
#define MARK "SELECT source, chapter, series, mark FROM mark "
#define FAVOURITE "SELECT source, series, created_ms FROM favourite "
#define STATES(OF, PREFIX)                                                                         \
    STATE OF PREFIX " AND (expires_ms = 0 OR expires_ms > ?1) ORDER BY source, name"
/* No byte of UTF-8 is as large as ff; PostgreSQL takes no such byte, but has a word for it. */
#define PREFIX_SQLITE "name >= ?2 AND name < ?2 || CAST(x'ff' AS TEXT)"
#define PREFIX_POSTGRES "name >= ?2 AND starts_with(name, ?2)"
/* In the order of job_queue: the first that fits ends the search. */
#define JOB_TAKE(LOCK)                                                                             \
    "UPDATE job SET state = 1, attempts = CASE WHEN attempts < 4294967295 THEN attempts + 1 ELSE " \
    "attempts END, started_ms = ?1, owner = ?2, lease_until_ms = ?3, phase = '' "                  \
    "WHERE id = (SELECT id FROM job WHERE state < 2 AND " JOB_FREE " "                             \
    "AND CASE WHEN ?4 = 0 THEN state = 1 OR run_after_ms <= ?1 OR " PUT_OFF " ELSE id = ?4 END "   \
    "AND (?5 = 0 OR kind IN (?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)) "                                \
    "ORDER BY priority DESC, run_after_ms, id LIMIT 1" LOCK ") RETURNING " JOB
#define WRONG_REFS(HEX)                                                                            \
    "SELECT id, " HEX ", refs, used FROM (SELECT id, sha, refs, "                                  \
    "(SELECT count(*) FROM page WHERE blob_id = blob.id) + "                                       \
    "(SELECT count(*) FROM asset WHERE blob_id = blob.id) + "                                      \
    "(SELECT count(*) FROM part WHERE blob_id = blob.id) + "                                       \
    "(SELECT count(*) FROM upload WHERE blob_id = blob.id) AS used FROM blob) AS counted "         \
    "WHERE refs <> used ORDER BY id"
#define BLOB "b.sha, b.bytes, b.width, b.height, b.mime"
#define IDS                                                                                        \
    "IN (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, "   \
    "?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32) "
/* As many again. */
#define NEXT_IDS                                                                                   \
    "IN (?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41, ?42, ?43, ?44, ?45, ?46, ?47, ?48, ?49, "    \
    "?50, ?51, ?52, ?53, ?54, ?55, ?56, ?57, ?58, ?59, ?60, ?61, ?62, ?63, ?64) "
#define PAGES_OF(AND_BLOB)                                                                         \
    "SELECT p.number, p.mtime_s, p.name, p.blob_id, " BLOB ", p.chapter_id FROM page p " AND_BLOB  \
    "p.chapter_id " IDS "ORDER BY p.chapter_id, p.number"
/* For texts from the second parameter on: rows in the order of the texts. */
#define TEXTS                                                                                      \
    "IN (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, "  \
    "?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33) "
#define AS_ASKED(COLUMN)                                                                           \
    "ORDER BY CASE " COLUMN                                                                        \
    " WHEN ?2 THEN 2 WHEN ?3 THEN 3 WHEN ?4 THEN 4 WHEN ?5 THEN 5 WHEN ?6 THEN 6"                  \
    " WHEN ?7 THEN 7 WHEN ?8 THEN 8 WHEN ?9 THEN 9 WHEN ?10 THEN 10 WHEN ?11 THEN 11"              \
    " WHEN ?12 THEN 12 WHEN ?13 THEN 13 WHEN ?14 THEN 14 WHEN ?15 THEN 15 WHEN ?16 THEN 16"        \
    " WHEN ?17 THEN 17 WHEN ?18 THEN 18 WHEN ?19 THEN 19 WHEN ?20 THEN 20 WHEN ?21 THEN 21"        \
    " WHEN ?22 THEN 22 WHEN ?23 THEN 23 WHEN ?24 THEN 24 WHEN ?25 THEN 25 WHEN ?26 THEN 26"        \
    " WHEN ?27 THEN 27 WHEN ?28 THEN 28 WHEN ?29 THEN 29 WHEN ?30 THEN 30 WHEN ?31 THEN 31"        \
    " WHEN ?32 THEN 32 WHEN ?33 THEN 33 END"
#define BLOB_OF "(SELECT id FROM blob WHERE sha = ?3)"
#define PAGE_ADD(BLOB_ID)                                                                          \
    "INSERT INTO page (chapter_id, number, blob_id, mtime_s, name) VALUES (?1, ?2, " BLOB_ID       \
    ", ?4, ?5)"
#define UPLOAD_ADD(BLOB_ID)                                                                        \
    "INSERT INTO upload (id, blob_id, mime, sniffed, created_ms) VALUES (?1, " BLOB_ID             \
    ", ?3, ?4, ?5)"
#define PAGE_SET(BLOB_ID)                                                                          \
    "UPDATE page SET blob_id = " BLOB_ID                                                           \
    ", mtime_s = ?4, name = ?5 WHERE chapter_id = ?1 AND number = ?2"

/* clang-format off */
const struct dz_sql_text dz_sql_texts[DZ_SQL_STATEMENTS] = {
    [DZ_SQL_SERIES_IDS] = {"SELECT id FROM series ORDER BY id", NULL},
    [DZ_SQL_SERIES_FIND] = {"SELECT id FROM series WHERE source = ?1 AND source_id = ?2", NULL},
    [DZ_SQL_SERIES_BY_ID] = {SERIES "WHERE id = ?1", NULL},
    [DZ_SQL_SERIES_ADD] =
        {"INSERT INTO series (source, source_id, title, description, authors, lang, status, url, "
        "new_release, "
        "right_to_left, created_s, updated_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
        "?11, ?11) RETURNING id", NULL},
    [DZ_SQL_SERIES_SET] =
        {"UPDATE series SET source = ?1, source_id = ?2, title = ?3, description = ?4, authors = "
        "?5, lang = ?6, "
        "status = ?7, url = ?8, new_release = ?9, right_to_left = ?10 WHERE id = ?11", NULL},
    [DZ_SQL_SERIES_MORE] =
        {"UPDATE series SET chapters_n = chapters_n + 1 WHERE id = ?1 AND chapters_n < ?2", NULL},
    [DZ_SQL_SERIES_FEWER] = {"UPDATE series SET chapters_n = chapters_n - 1 WHERE id = ?1", NULL},
    [DZ_SQL_SERIES_TOUCH] = {"UPDATE series SET updated_s = ?2 WHERE id = ?1", NULL},

    [DZ_SQL_CHAPTERS] = {CHAPTER "WHERE series_id = ?1", NULL},
    [DZ_SQL_CHAPTER_REVS] = {"SELECT id, rev FROM chapter WHERE series_id = ?1", NULL},
    [DZ_SQL_CHAPTERS_OF] = {CHAPTER "WHERE id " IDS, NULL},
    [DZ_SQL_CHAPTER_BY_ID] = {CHAPTER "WHERE id = ?1 AND series_id = ?2", NULL},
    [DZ_SQL_CHAPTER_BY_SOURCE] = {CHAPTER "WHERE series_id = ?1 AND source_id = ?2", NULL},
    [DZ_SQL_CHAPTER_KEY] = {"SELECT id, source_id FROM chapter WHERE series_id = ?1 AND key = ?2", NULL},
    [DZ_SQL_CHAPTER_OWNER] = {"SELECT series_id FROM chapter WHERE id = ?1", NULL},
    [DZ_SQL_CHAPTER_ADD] =
        {"INSERT INTO chapter (series_id, source_id, key, sort, number, volume, title, "
        "volume_cover, page_count, links, "
        "meta_extra, extra, origin, origin_stamp, created_s, updated_s, rev) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15, ?16) RETURNING id", NULL},
    [DZ_SQL_CHAPTER_SET] =
        {"UPDATE chapter SET series_id = ?1, source_id = ?2, key = ?3, sort = ?4, number = ?5, "
        "volume = ?6, title = ?7, "
        "volume_cover = ?8, page_count = ?9, links = ?10, meta_extra = ?11, extra = ?12, origin = "
        "?13, "
        "origin_stamp = ?14, updated_s = ?15, rev = ?16 WHERE id = ?17", NULL},
    [DZ_SQL_CHAPTER_SET_STAMP] = {"UPDATE chapter SET origin_stamp = ?2 WHERE id = ?1", NULL},
    [DZ_SQL_CHAPTER_EDIT] =
        {"UPDATE chapter SET title = CASE WHEN ?2 <> 0 THEN ?3 ELSE title END, "
        "volume = CASE WHEN ?4 <> 0 THEN ?5 ELSE volume END, "
        "volume_cover = CASE WHEN ?6 <> 0 THEN ?7 ELSE volume_cover END, updated_s = ?8, rev = ?9 "
        "WHERE id = ?1 AND ((?2 <> 0 AND title IS DISTINCT FROM ?3) OR (?4 <> 0 AND volume <> ?5) "
        "OR (?6 <> 0 AND volume_cover <> ?7))", NULL},
    [DZ_SQL_CHAPTER_DEL] = {"DELETE FROM chapter WHERE id = ?1", NULL},

    /* CROSS JOIN: pages in their own order, each blob by its id. */
    [DZ_SQL_PAGES] =
        {"SELECT p.number, p.mtime_s, p.name, p.blob_id, " BLOB " FROM page p CROSS JOIN blob b "
        "WHERE b.id = p.blob_id AND p.chapter_id = ?1 ORDER BY p.number", NULL},
    [DZ_SQL_PAGES_OF] = {PAGES_OF("CROSS JOIN blob b WHERE b.id = p.blob_id AND "),
        /* LIMIT keeps it from reading all blobs for the pages of some chapters. */
        PAGES_OF("CROSS JOIN LATERAL (SELECT * FROM blob WHERE id = p.blob_id LIMIT 1) AS b WHERE ")},
    [DZ_SQL_PAGE_ADD] =
        {PAGE_ADD("?3"), PAGE_ADD(BLOB_OF)},
    [DZ_SQL_PAGE_SET] = {PAGE_SET("?3"), PAGE_SET(BLOB_OF)},
    [DZ_SQL_PAGE_DEL] = {"DELETE FROM page WHERE chapter_id = ?1 AND number = ?2", NULL},

    [DZ_SQL_ASSETS] =
        {"SELECT a.name, a.mtime_s, a.blob_id, " BLOB " FROM asset a CROSS JOIN blob b "
        "WHERE b.id = a.blob_id AND a.series_id = ?1 ORDER BY a.name", NULL},
    [DZ_SQL_ASSET] =
        {"SELECT a.name, a.mtime_s, a.blob_id, " BLOB " FROM asset a CROSS JOIN blob b "
        "WHERE b.id = a.blob_id AND a.series_id = ?1 AND a.name = ?2", NULL},
    [DZ_SQL_ASSET_SET] =
        {"INSERT INTO asset (series_id, name, blob_id, mtime_s) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (series_id, name) DO UPDATE SET blob_id = excluded.blob_id, mtime_s = "
        "excluded.mtime_s", NULL},
    [DZ_SQL_ASSET_DEL] = {"DELETE FROM asset WHERE series_id = ?1 AND name = ?2", NULL},

    [DZ_SQL_BLOBS] = {"SELECT " BLOB ", b.refs FROM blob b ORDER BY b.sha", NULL},
    [DZ_SQL_BLOBS_OF] = {"SELECT " BLOB ", b.id FROM blob b WHERE b.sha " IDS, NULL},
    [DZ_SQL_BLOB_REF] =
        {"INSERT INTO blob (sha, bytes, width, height, mime, refs) VALUES (?1, ?2, ?3, ?4, ?5, 1) "
        "ON CONFLICT (sha) DO UPDATE SET refs = blob.refs + 1 RETURNING id, bytes, mime, width, height", NULL},
    [DZ_SQL_BLOB_MORE] = {"UPDATE blob SET refs = refs + 1 WHERE id = ?1", NULL},
    [DZ_SQL_BLOB_UNREF] = {"UPDATE blob SET refs = refs - 1 WHERE id = ?1", NULL},
    /* What is known now replaces what was known; "not known" replaces nothing. */
    [DZ_SQL_BLOB_KNOW] =
        {"UPDATE blob SET mime = CASE WHEN ?2 <> '' THEN ?2 ELSE mime END, "
        "width = CASE WHEN ?3 > 0 THEN ?3 ELSE width END, "
        "height = CASE WHEN ?4 > 0 THEN ?4 ELSE height END "
        "WHERE id = ?1 AND ((?2 <> '' AND ?2 <> mime) OR (?3 > 0 AND ?3 <> width) "
        "OR (?4 > 0 AND ?4 <> height))", NULL},
    [DZ_SQL_BLOB_CHAPTERS] =
        {"UPDATE chapter SET rev = ?2 WHERE id IN (SELECT chapter_id FROM page WHERE blob_id = ?1)", NULL},
    [DZ_SQL_BLOB_REFS] = {"SELECT refs FROM blob WHERE sha = ?1", NULL},
    [DZ_SQL_BLOB_DEL] = {"DELETE FROM blob WHERE sha = ?1 AND refs = 0", NULL},

    [DZ_SQL_SHELVES] = {"SELECT name, series_id FROM shelf ORDER BY name", NULL},
    [DZ_SQL_SHELF] = {"SELECT series_id FROM shelf WHERE name = ?1", NULL},
    [DZ_SQL_SHELF_SET] =
        {"INSERT INTO shelf (name, series_id) VALUES (?1, ?2) "
        "ON CONFLICT (name) DO UPDATE SET series_id = excluded.series_id", NULL},

    [DZ_SQL_CHANGES] = {"SELECT series_id FROM change WHERE seq > ?1 ORDER BY seq, series_id", NULL},
    [DZ_SQL_CHANGE_NEWEST] = {"SELECT coalesce(max(seq), 0) FROM change", NULL},
    [DZ_SQL_CHANGE_SET] =
        {"INSERT INTO change (series_id, seq) VALUES (?1, ?2) ON CONFLICT (series_id) DO UPDATE "
        "SET seq = excluded.seq", NULL},

    [DZ_SQL_COUNTS] =
        {"SELECT (SELECT count(*) FROM series), (SELECT count(*) FROM chapter), (SELECT count(*) "
        "FROM page), (SELECT count(*) FROM asset), (SELECT count(*) FROM blob), (SELECT "
        "CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM blob), (SELECT count(*) FROM shelf)", NULL},

    [DZ_SQL_WRONG_REFS] = {WRONG_REFS("lower(hex(sha))"), WRONG_REFS("encode(sha, 'hex')")},
    [DZ_SQL_MEND_REFS] =
        {"UPDATE blob SET refs = (SELECT count(*) FROM page WHERE blob_id = ?1) + "
        "(SELECT count(*) FROM asset WHERE blob_id = ?1) + "
        "(SELECT count(*) FROM part WHERE blob_id = ?1) + "
        "(SELECT count(*) FROM upload WHERE blob_id = ?1) WHERE id = ?1", NULL},
    [DZ_SQL_WRONG_CHAPTERS_N] =
        {"SELECT id, title, chapters_n, held FROM (SELECT id, title, chapters_n, "
        "(SELECT count(*) FROM chapter WHERE series_id = series.id) AS held FROM series) AS counted "
        "WHERE chapters_n <> held ORDER BY id", NULL},
    [DZ_SQL_MEND_CHAPTERS_N] =
        {"UPDATE series SET chapters_n = (SELECT count(*) FROM chapter WHERE series_id = ?1) WHERE "
        "id = ?1", NULL},
    [DZ_SQL_JOB_LIVE] =
        {"SELECT id FROM job WHERE state < 2 AND kind = ?1 AND source = ?2 AND target = ?3", NULL},
    [DZ_SQL_JOB_ADD] =
        {"INSERT INTO job (kind, source, target, args, state, priority, attempts, cancel_asked, "
        "created_ms, run_after_ms, lease_until_ms, started_ms, ended_ms, owner, done, total, "
        "fail_kind, fail_text, result) "
        "VALUES (?1, ?2, ?3, ?4, 0, ?5, 0, 0, ?6, ?7, 0, 0, 0, '', 0, 0, '', '', '') "
        "ON CONFLICT (kind, source, target) WHERE state < 2 DO NOTHING RETURNING id", NULL},
    [DZ_SQL_JOB_SOONER] =
        {"UPDATE job SET run_after_ms = CASE WHEN run_after_ms > ?2 THEN ?2 ELSE run_after_ms END, "
        "priority = CASE WHEN priority < ?3 THEN ?3 ELSE priority END "
        "WHERE id = ?1 AND state = 0 AND (run_after_ms > ?2 OR priority < ?3)", NULL},
    /* An owner that died before it heard of the cancel. */
    [DZ_SQL_JOB_GIVE_UP] =
        {"UPDATE job SET state = 4, ended_ms = ?1, owner = '', lease_until_ms = 0, phase = '' "
        "WHERE state = 1 AND cancel_asked = 1 AND lease_until_ms <= ?1", NULL},
    [DZ_SQL_JOB_TAKE] = {JOB_TAKE(""), JOB_TAKE(" FOR UPDATE SKIP LOCKED")},
    [DZ_SQL_JOB_RENEW] =
        {"UPDATE job SET lease_until_ms = ?3, done = ?4, total = ?5, bytes = ?6, phase = ?7 "
        "WHERE id = ?1 AND state = 1 AND owner = ?2 RETURNING cancel_asked", NULL},
    /* No further attempt of one that was asked to end. */
    [DZ_SQL_JOB_END] =
        {"UPDATE job SET state = CASE WHEN ?3 = 0 AND cancel_asked <> 0 THEN 4 ELSE ?3 END, "
        "run_after_ms = CASE WHEN ?3 = 0 THEN ?4 ELSE run_after_ms END, "
        "ended_ms = CASE WHEN ?3 = 0 AND cancel_asked = 0 THEN 0 ELSE ?5 END, owner = '', "
        "lease_until_ms = 0, attempts = CASE WHEN ?3 = 0 AND ?8 = '' THEN 0 ELSE attempts END, "
        "done = ?6, total = ?7, fail_kind = ?8, fail_text = ?9, result = ?10, bytes = ?11, "
        "phase = '' "
        "WHERE id = ?1 AND state = 1 AND owner = ?2", NULL},
    [DZ_SQL_JOB_CANCEL] =
        {"UPDATE job SET cancel_asked = 1, state = CASE WHEN " JOB_FREE " THEN 4 ELSE state END, "
        "ended_ms = CASE WHEN " JOB_FREE " THEN ?1 ELSE ended_ms END, "
        "owner = CASE WHEN " JOB_FREE " THEN '' ELSE owner END, "
        "lease_until_ms = CASE WHEN " JOB_FREE " THEN 0 ELSE lease_until_ms END, "
        "phase = CASE WHEN " JOB_FREE " THEN '' ELSE phase END WHERE id = ?2 AND state < 2", NULL},
    [DZ_SQL_JOB_STATE] = {"SELECT state FROM job WHERE id = ?1", NULL},
    [DZ_SQL_JOBS] =
        {"SELECT " JOB " FROM job WHERE id IN (SELECT id FROM (SELECT id FROM job WHERE state = 1 "
        "ORDER BY started_ms, id LIMIT ?1) AS running UNION ALL SELECT id FROM (SELECT id FROM job "
        "WHERE state = 0 ORDER BY run_after_ms, id LIMIT ?1) AS queued UNION ALL SELECT id FROM "
        "(SELECT id FROM job WHERE state >= 2 ORDER BY ended_ms DESC, id DESC LIMIT ?1) AS ended) "
        "ORDER BY CASE state WHEN 1 THEN 0 WHEN 0 THEN 1 ELSE 2 END, "
        "CASE state WHEN 1 THEN started_ms WHEN 0 THEN run_after_ms ELSE -ended_ms END, "
        "CASE WHEN state < 2 THEN id ELSE -id END LIMIT ?1", NULL},
    [DZ_SQL_JOB_NEXT] =
        {"SELECT min(at_ms) FROM (SELECT min(run_after_ms) AS at_ms FROM job WHERE state = 0 "
        "UNION ALL SELECT min(lease_until_ms) FROM job WHERE state = 1) AS due", NULL},
    [DZ_SQL_JOBS_TRIM] =
        {"DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state >= 2 AND kind <> ?2 "
        "ORDER BY ended_ms DESC, id DESC LIMIT 9223372036854775807 OFFSET ?1)", NULL},
    [DZ_SQL_JOBS_TRIM_KIND] =
        {"DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state >= 2 AND kind = ?2 "
        "ORDER BY ended_ms DESC, id DESC LIMIT 9223372036854775807 OFFSET ?1)", NULL},
    [DZ_SQL_JOB_FIND] =
        {"SELECT " JOB " FROM job WHERE kind = ?1 AND target = ?2 ORDER BY id DESC LIMIT 1", NULL},
    [DZ_SQL_JOBS_FIND] =
        {"SELECT " JOB " FROM job WHERE id IN (SELECT max(id) FROM job WHERE kind = ?1 AND target " TEXTS "GROUP BY target) "
        AS_ASKED("target"), NULL},
    /* No sorting of whole rows: the first in the order of its index, the second of the table. */
    [DZ_SQL_JOBS_LIVE] = {"SELECT " JOB " FROM job WHERE kind = ?1 AND state < 2 ORDER BY id", NULL},
    [DZ_SQL_JOBS_ENDED] =
        {"SELECT " JOB " FROM job WHERE id IN (SELECT id FROM job WHERE kind = ?1 AND state >= 2 "
        "ORDER BY id DESC LIMIT ?2) ORDER BY id", NULL},
    [DZ_SQL_JOB_RETRY] = {RETRY "WHERE id = ?3 AND kind = ?1 AND state = 3 AND NOT EXISTS " ALIVE, NULL},
    /* Of several with one target the newest. */
    [DZ_SQL_JOBS_RETRY] =
        {RETRY "WHERE kind = ?1 AND state = 3 AND NOT EXISTS " ALIVE " AND NOT EXISTS (SELECT 1 "
        "FROM job o WHERE o.kind = job.kind AND o.target = job.target AND o.id > job.id AND "
        "o.source = job.source AND o.state = 3)", NULL},
    [DZ_SQL_JOBS_FORGET] = {"DELETE FROM job WHERE kind = ?1 AND state >= 2", NULL},
    [DZ_SQL_JOB_COUNTS] = {"SELECT state, count(*) FROM job WHERE state < 2 GROUP BY state UNION ALL "
        "SELECT state, count(*) FROM job WHERE state >= 2 GROUP BY state", NULL},
    [DZ_SQL_SOURCE_COUNTS] =
        {"SELECT source, count(*), CAST(sum(chapters_n) AS BIGINT) FROM series GROUP BY source ORDER BY source", NULL},

    [DZ_SQL_STATE_SET] =
        {"INSERT INTO crawl_state (source, name, value, updated_ms, expires_ms) "
        "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (source, name) DO UPDATE SET value = "
        "excluded.value, updated_ms = excluded.updated_ms, expires_ms = excluded.expires_ms", NULL},
    [DZ_SQL_STATE_DEL] = {"DELETE FROM crawl_state WHERE source = ?1 AND name = ?2", NULL},
    [DZ_SQL_STATE_EXPIRE] = {"DELETE FROM crawl_state WHERE expires_ms > 0 AND expires_ms <= ?1", NULL},
    [DZ_SQL_STATE_LIST] = {STATES("source = ?3 AND ", PREFIX_SQLITE),
        STATES("source = ?3 AND ", PREFIX_POSTGRES)},
    [DZ_SQL_STATE_LIST_ALL] = {STATES("", PREFIX_SQLITE), STATES("", PREFIX_POSTGRES)},
    /* By the server's clock, for those of its clients differ. What lies further ahead than many
     * crawlers could have asked for is of a clock that was set back. Nobody waits for the disk: what
     * a crash forgets is less than a second of pace. */
    [DZ_SQL_STATE_PACE] = {NULL,
        "WITH clock AS (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS ms, "
        "set_config('synchronous_commit', 'off', true)) "
        "INSERT INTO crawl_state (source, name, value, updated_ms, expires_ms) "
        "SELECT ?1, ?2, CAST(ms + ?3 AS TEXT), ms, ms + 1000 * ?3 + 3600000 FROM clock "
        "ON CONFLICT (source, name) DO UPDATE SET value = CAST(?3 + CASE "
        "WHEN CAST(crawl_state.value AS BIGINT) > excluded.expires_ms THEN excluded.updated_ms "
        "ELSE greatest(CAST(crawl_state.value AS BIGINT), excluded.updated_ms) END AS TEXT), "
        "updated_ms = excluded.updated_ms, expires_ms = excluded.expires_ms "
        "RETURNING CAST(value AS BIGINT) - ?3 - updated_ms"},

    [DZ_SQL_PART_BLOB] =
        {"SELECT blob_id FROM part WHERE source = ?1 AND chapter = ?2 AND at = ?3", NULL},
    [DZ_SQL_PART_SET] =
        {"INSERT INTO part (source, chapter, at, url, mtime_s, blob_id, put_ms) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (source, chapter, at) DO UPDATE SET "
        "url = excluded.url, mtime_s = excluded.mtime_s, blob_id = excluded.blob_id, "
        "put_ms = excluded.put_ms", NULL},
    [DZ_SQL_PART_DEL] = {"DELETE FROM part WHERE source = ?1 AND chapter = ?2 AND at = ?3", NULL},
    [DZ_SQL_PARTS] =
        {PART BLOB " FROM part p LEFT JOIN blob b ON b.id = p.blob_id "
        "WHERE p.source = ?1 AND p.chapter = ?2 ORDER BY p.at", NULL},
    [DZ_SQL_PARTS_ALL] =
        {PART BLOB " FROM part p LEFT JOIN blob b ON b.id = p.blob_id "
        "ORDER BY p.source, p.chapter, p.at", NULL},
    [DZ_SQL_PARTS_UNREF] =
        {"UPDATE blob SET refs = refs - (SELECT count(*) FROM part WHERE blob_id = blob.id AND "
        "source = ?1 AND chapter = ?2) "
        "WHERE id IN (SELECT blob_id FROM part WHERE source = ?1 AND chapter = ?2)", NULL},
    [DZ_SQL_PARTS_DEL] = {"DELETE FROM part WHERE source = ?1 AND chapter = ?2", NULL},
    [DZ_SQL_PARTS_OLD_UNREF] =
        {"UPDATE blob SET refs = refs - (SELECT count(*) FROM part WHERE blob_id = blob.id AND "
        "(source, chapter) IN " OLD_PARTS ") "
        "WHERE id IN (SELECT blob_id FROM part WHERE (source, chapter) IN " OLD_PARTS ")", NULL},
    [DZ_SQL_PARTS_OLD_DEL] = {"DELETE FROM part WHERE (source, chapter) IN " OLD_PARTS, NULL},

    [DZ_SQL_MARK_SET] =
        {"INSERT INTO mark (source, chapter, mark, series) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (source, chapter) DO UPDATE SET mark = excluded.mark, "
        "series = excluded.series", NULL},
    [DZ_SQL_MARK_CHANGE] = {"UPDATE mark SET mark = ?3 WHERE source = ?1 AND chapter = ?2", NULL},
    [DZ_SQL_MARK_DEL] = {"DELETE FROM mark WHERE source = ?1 AND chapter = ?2", NULL},
    [DZ_SQL_MARK] = {MARK "WHERE source = ?1 AND chapter = ?2", NULL},
    [DZ_SQL_MARKS_OF] = {MARK "WHERE source = ?1 AND chapter " TEXTS AS_ASKED("chapter"), NULL},
    [DZ_SQL_MARKS_OF_SERIES] = {MARK "WHERE source = ?1 AND series = ?2 ORDER BY chapter", NULL},
    [DZ_SQL_FAVOURITE_ADD] =
        {"INSERT INTO favourite (source, series, created_ms) VALUES (?1, ?2, ?3) "
        "ON CONFLICT (source, series) DO NOTHING", NULL},
    [DZ_SQL_FAVOURITE_DEL] = {"DELETE FROM favourite WHERE source = ?1 AND series = ?2", NULL},
    [DZ_SQL_FAVOURITES] = {FAVOURITE "ORDER BY source, id", NULL},
    [DZ_SQL_FAVOURITES_OF] = {FAVOURITE "WHERE source = ?1 ORDER BY id", NULL},
    [DZ_SQL_BLOB_CRC] = {"SELECT crc32 FROM blob WHERE sha = ?1", NULL},
    [DZ_SQL_BLOB_CRC_SET] = {"UPDATE blob SET crc32 = ?2 WHERE sha = ?1", NULL},

    [DZ_SQL_UPLOAD_THERE] = {"SELECT blob_id FROM upload WHERE id = ?1", NULL},
    [DZ_SQL_UPLOADS_THERE] = {NULL, "SELECT id, blob_id FROM upload WHERE id " IDS},
    /* Both in one question. */
    [DZ_SQL_UPLOAD_FACTS] =
        {NULL, "SELECT id, NULL, 0 FROM upload WHERE id " IDS "UNION ALL SELECT NULL, sha, bytes FROM blob "
        "WHERE sha " NEXT_IDS},
    [DZ_SQL_UPLOAD_ADD] = {UPLOAD_ADD("?2"), UPLOAD_ADD("(SELECT id FROM blob WHERE sha = ?2)")},
    [DZ_SQL_UPLOAD] = {"SELECT u.id, u.mime, u.sniffed, u.created_ms, b.sha, b.bytes, b.width, "
                     "b.height, b.mime FROM upload u JOIN blob b ON b.id = u.blob_id "
                     "WHERE u.id = ?1", NULL},
    [DZ_SQL_UPLOADS] = {"SELECT u.id, u.mime, u.sniffed, u.created_ms, b.sha, b.bytes, b.width, "
                      "b.height, b.mime FROM upload u JOIN blob b ON b.id = u.blob_id "
                      "ORDER BY u.id", NULL},
    [DZ_SQL_UPLOAD_DEL] = {"DELETE FROM upload WHERE id = ?1", NULL},
    [DZ_SQL_UPLOAD_GONE_ADD] = {"INSERT INTO upload_gone (id) VALUES (?1)", NULL},
    [DZ_SQL_UPLOAD_GONE_TRIM] =
        {"DELETE FROM upload_gone WHERE seq <= (SELECT max(seq) FROM upload_gone) - ?1", NULL},
    [DZ_SQL_UPLOAD_GONE_NEWEST] = {"SELECT max(seq) FROM upload_gone", NULL},
    [DZ_SQL_UPLOADS_GONE] = {"SELECT seq, id FROM upload_gone WHERE seq > ?1 ORDER BY seq", NULL},
    [DZ_SQL_COLLECTION] =
        {"SELECT declaration, version FROM collection WHERE source = ?1 AND name = ?2", NULL},
    [DZ_SQL_COLLECTIONS] =
        {"SELECT source, name, declaration, rows_rev FROM collection ORDER BY source, name", NULL},
    [DZ_SQL_COLLECTIONS_REV] = {"SELECT max(rev) FROM collection", NULL},
    [DZ_SQL_COLLECTION_SET] =
        {"INSERT INTO collection (source, name, declaration, table_name, version, rev, rows_rev, "
        "updated_ms) VALUES (?1, ?2, ?3, ?4, 1, "
        "(SELECT coalesce(max(rev), 0) + 1 FROM collection), 0, ?5) "
        "ON CONFLICT (source, name) DO UPDATE SET declaration = excluded.declaration, "
        "version = collection.version + 1, rev = excluded.rev, updated_ms = excluded.updated_ms", NULL},
    [DZ_SQL_COLLECTION_TOUCH] =
        {"UPDATE collection SET rows_rev = rows_rev + 1, updated_ms = ?3 "
        "WHERE source = ?1 AND name = ?2", NULL},
    [DZ_SQL_LOCK_SEVERAL] =
        {NULL, "SELECT pg_advisory_xact_lock(1685027440, hashtext(current_schema()))"},
};
/* clang-format on */
