/*
 * sqlite_sql: the text of every statement that the SQLite driver keeps prepared.
 *
 * In: nothing. Out: one table, in the order of enum dz_sq_statement. Columns of series, chapter and
 * blob are listed once here, in the order in which the read functions of sqlite.c take them.
 */
#include "catalog/sqlite_int.h"

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
#define BLOB "b.sha, b.bytes, b.width, b.height, b.mime"

/* clang-format off */
const char *const dz_sq_texts[DZ_SQ_STATEMENTS] = {
    [DZ_SQ_BEGIN_READ] = "BEGIN",
    [DZ_SQ_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [DZ_SQ_COMMIT] = "COMMIT",
    [DZ_SQ_DATA_VERSION] = "PRAGMA data_version",

    [DZ_SQ_SERIES_IDS] = "SELECT id FROM series ORDER BY id",
    [DZ_SQ_SERIES_FIND] = "SELECT id FROM series WHERE source = ?1 AND source_id = ?2",
    [DZ_SQ_SERIES_BY_ID] = SERIES "WHERE id = ?1",
    [DZ_SQ_SERIES_ADD] =
        "INSERT INTO series (source, source_id, title, description, authors, lang, status, url, "
        "new_release, "
        "right_to_left, created_s, updated_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
        "?11, ?11)",
    [DZ_SQ_SERIES_SET] =
        "UPDATE series SET source = ?1, source_id = ?2, title = ?3, description = ?4, authors = "
        "?5, lang = ?6, "
        "status = ?7, url = ?8, new_release = ?9, right_to_left = ?10 WHERE id = ?12",
    [DZ_SQ_SERIES_MORE] =
        "UPDATE series SET chapters_n = chapters_n + 1 WHERE id = ?1 AND chapters_n < ?2",
    [DZ_SQ_SERIES_FEWER] = "UPDATE series SET chapters_n = chapters_n - 1 WHERE id = ?1",
    [DZ_SQ_SERIES_TOUCH] = "UPDATE series SET updated_s = ?2 WHERE id = ?1",

    [DZ_SQ_CHAPTERS] = CHAPTER "WHERE series_id = ?1",
    [DZ_SQ_CHAPTER_REVS] = "SELECT id, rev FROM chapter WHERE series_id = ?1",
    [DZ_SQ_CHAPTER_BY_ID] = CHAPTER "WHERE id = ?1 AND series_id = ?2",
    [DZ_SQ_CHAPTER_BY_SOURCE] = CHAPTER "WHERE series_id = ?1 AND source_id = ?2",
    [DZ_SQ_CHAPTER_KEY] = "SELECT id, source_id FROM chapter WHERE series_id = ?1 AND key = ?2",
    [DZ_SQ_CHAPTER_OWNER] = "SELECT series_id FROM chapter WHERE id = ?1",
    [DZ_SQ_CHAPTER_ADD] =
        "INSERT INTO chapter (series_id, source_id, key, sort, number, volume, title, "
        "volume_cover, page_count, links, "
        "meta_extra, extra, origin, origin_stamp, created_s, updated_s, rev) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15, ?16)",
    [DZ_SQ_CHAPTER_SET] =
        "UPDATE chapter SET series_id = ?1, source_id = ?2, key = ?3, sort = ?4, number = ?5, "
        "volume = ?6, title = ?7, "
        "volume_cover = ?8, page_count = ?9, links = ?10, meta_extra = ?11, extra = ?12, origin = "
        "?13, "
        "origin_stamp = ?14, updated_s = ?15, rev = ?16 WHERE id = ?17",
    [DZ_SQ_CHAPTER_SET_STAMP] = "UPDATE chapter SET origin_stamp = ?2 WHERE id = ?1",
    [DZ_SQ_CHAPTER_EDIT] =
        "UPDATE chapter SET title = iif(?2, ?3, title), volume = iif(?4, ?5, volume), "
        "volume_cover = iif(?6, ?7, volume_cover), updated_s = ?8, rev = ?9 "
        "WHERE id = ?1 AND ((?2 AND title IS NOT ?3) OR (?4 AND volume <> ?5) OR "
        "(?6 AND volume_cover <> ?7))",
    [DZ_SQ_CHAPTER_DEL] = "DELETE FROM chapter WHERE id = ?1",

    /* CROSS JOIN: pages in their own order, each blob by its id. */
    [DZ_SQ_PAGES] =
        "SELECT p.number, p.mtime_s, p.name, p.blob_id, " BLOB " FROM page p CROSS JOIN blob b ON "
        "b.id = p.blob_id "
        "WHERE p.chapter_id = ?1 ORDER BY p.number",
    [DZ_SQ_PAGE_ADD] =
        "INSERT INTO page (chapter_id, number, blob_id, mtime_s, name) VALUES (?1, ?2, ?3, ?4, ?5)",
    [DZ_SQ_PAGE_SET] =
        "UPDATE page SET blob_id = ?3, mtime_s = ?4, name = ?5 WHERE chapter_id = ?1 AND number = "
        "?2",
    [DZ_SQ_PAGE_DEL] = "DELETE FROM page WHERE chapter_id = ?1 AND number = ?2",

    [DZ_SQ_ASSETS] =
        "SELECT a.name, a.mtime_s, a.blob_id, " BLOB " FROM asset a CROSS JOIN blob b ON b.id = "
        "a.blob_id "
        "WHERE a.series_id = ?1 ORDER BY a.name",
    [DZ_SQ_ASSET] =
        "SELECT a.name, a.mtime_s, a.blob_id, " BLOB " FROM asset a CROSS JOIN blob b ON b.id = "
        "a.blob_id "
        "WHERE a.series_id = ?1 AND a.name = ?2",
    [DZ_SQ_ASSET_SET] =
        "INSERT INTO asset (series_id, name, blob_id, mtime_s) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (series_id, name) DO UPDATE SET blob_id = excluded.blob_id, mtime_s = "
        "excluded.mtime_s",
    [DZ_SQ_ASSET_DEL] = "DELETE FROM asset WHERE series_id = ?1 AND name = ?2",

    [DZ_SQ_BLOBS] = "SELECT " BLOB ", b.refs FROM blob b ORDER BY b.sha",
    [DZ_SQ_BLOB_REF] =
        "INSERT INTO blob (sha, bytes, width, height, mime, refs) VALUES (?1, ?2, ?3, ?4, ?5, 1) "
        "ON CONFLICT (sha) DO UPDATE SET refs = refs + 1 RETURNING id, bytes",
    [DZ_SQ_BLOB_UNREF] = "UPDATE blob SET refs = refs - 1 WHERE id = ?1",
    /* What is known now replaces what was known; "not known" replaces nothing. */
    [DZ_SQ_BLOB_KNOW] =
        "UPDATE blob SET mime = iif(?2 <> '', ?2, mime), width = iif(?3 > 0, ?3, width), "
        "height = iif(?4 > 0, ?4, height) WHERE id = ?1 AND ((?2 <> '' AND ?2 <> mime) OR (?3 > 0 "
        "AND ?3 <> width) "
        "OR (?4 > 0 AND ?4 <> height))",
    [DZ_SQ_BLOB_CHAPTERS] =
        "UPDATE chapter SET rev = ?2 WHERE id IN (SELECT chapter_id FROM page WHERE blob_id = ?1)",
    [DZ_SQ_BLOB_REFS] = "SELECT refs FROM blob WHERE sha = ?1",
    [DZ_SQ_BLOB_DEL] = "DELETE FROM blob WHERE sha = ?1 AND refs = 0",

    [DZ_SQ_SHELVES] = "SELECT name, series_id FROM shelf ORDER BY name",
    [DZ_SQ_SHELF] = "SELECT series_id FROM shelf WHERE name = ?1",
    [DZ_SQ_SHELF_SET] =
        "INSERT INTO shelf (name, series_id) VALUES (?1, ?2) "
        "ON CONFLICT (name) DO UPDATE SET series_id = excluded.series_id",

    [DZ_SQ_CHANGES] = "SELECT series_id FROM change WHERE seq > ?1 ORDER BY seq, series_id",
    [DZ_SQ_CHANGE_NEWEST] = "SELECT coalesce(max(seq), 0) FROM change",
    [DZ_SQ_CHANGE_SET] =
        "INSERT INTO change (series_id, seq) VALUES (?1, ?2) ON CONFLICT (series_id) DO UPDATE "
        "SET seq = excluded.seq",

    [DZ_SQ_COUNTS] =
        "SELECT (SELECT count(*) FROM series), (SELECT count(*) FROM chapter), (SELECT count(*) "
        "FROM page), "
        "(SELECT count(*) FROM asset), (SELECT count(*) FROM blob), (SELECT coalesce(sum(bytes), "
        "0) FROM blob), "
        "(SELECT count(*) FROM shelf)",

    [DZ_SQ_WRONG_REFS] =
        "SELECT id, lower(hex(sha)), refs, used FROM (SELECT id, sha, refs, "
        "(SELECT count(*) FROM page WHERE blob_id = blob.id) + (SELECT count(*) FROM asset WHERE "
        "blob_id = blob.id) + (SELECT count(*) FROM part WHERE blob_id = blob.id) + "
        "(SELECT count(*) FROM upload WHERE blob_id = blob.id) AS used FROM blob) WHERE refs <> used ORDER BY id",
    [DZ_SQ_MEND_REFS] =
        "UPDATE blob SET refs = (SELECT count(*) FROM page WHERE blob_id = ?1) + "
        "(SELECT count(*) FROM asset WHERE blob_id = ?1) + "
        "(SELECT count(*) FROM part WHERE blob_id = ?1) + "
        "(SELECT count(*) FROM upload WHERE blob_id = ?1) WHERE id = ?1",
    [DZ_SQ_WRONG_CHAPTERS_N] =
        "SELECT id, title, chapters_n, held FROM (SELECT id, title, chapters_n, "
        "(SELECT count(*) FROM chapter WHERE series_id = series.id) AS held FROM series) "
        "WHERE chapters_n <> held ORDER BY id",
    [DZ_SQ_MEND_CHAPTERS_N] =
        "UPDATE series SET chapters_n = (SELECT count(*) FROM chapter WHERE series_id = ?1) WHERE "
        "id = ?1",
    [DZ_SQ_JOB_LIVE] =
        "SELECT id FROM job WHERE state < 2 AND kind = ?1 AND source = ?2 AND target = ?3",
    [DZ_SQ_JOB_ADD] =
        "INSERT INTO job (kind, source, target, args, state, priority, attempts, cancel_asked, "
        "created_ms, run_after_ms, lease_until_ms, started_ms, ended_ms, owner, done, total, "
        "fail_kind, fail_text, result) "
        "VALUES (?1, ?2, ?3, ?4, 0, ?5, 0, 0, ?6, ?7, 0, 0, 0, '', 0, 0, '', '', '')",
    [DZ_SQ_JOB_SOONER] =
        "UPDATE job SET run_after_ms = min(run_after_ms, ?2), priority = max(priority, ?3) "
        "WHERE id = ?1 AND state = 0 AND (run_after_ms > ?2 OR priority < ?3)",
    /* An owner that died before it heard of the cancel. */
    [DZ_SQ_JOB_GIVE_UP] =
        "UPDATE job SET state = 4, ended_ms = ?1, owner = '', lease_until_ms = 0, phase = '' "
        "WHERE state = 1 AND cancel_asked = 1 AND lease_until_ms <= ?1",
    /* In the order of job_queue: the first that fits ends the search. */
    [DZ_SQ_JOB_TAKE] =
        "UPDATE job SET state = 1, attempts = min(attempts + 1, 4294967295), started_ms = ?1, "
        "owner = ?2, lease_until_ms = ?3, phase = '' "
        "WHERE id = (SELECT id FROM job WHERE state < 2 AND " JOB_FREE " "
        "AND iif(?4 = 0, state = 1 OR run_after_ms <= ?1 OR " PUT_OFF ", id = ?4) "
        "AND (?5 = 0 OR kind IN (?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)) "
        "ORDER BY priority DESC, run_after_ms, id LIMIT 1) RETURNING " JOB,
    [DZ_SQ_JOB_RENEW] =
        "UPDATE job SET lease_until_ms = ?3, done = ?4, total = ?5, bytes = ?6, phase = ?7 "
        "WHERE id = ?1 AND state = 1 AND owner = ?2 RETURNING cancel_asked",
    /* No further attempt of one that was asked to end. */
    [DZ_SQ_JOB_END] =
        "UPDATE job SET state = iif(?3 = 0 AND cancel_asked, 4, ?3), "
        "run_after_ms = iif(?3 = 0, ?4, run_after_ms), "
        "ended_ms = iif(?3 = 0 AND NOT cancel_asked, 0, ?5), owner = '', lease_until_ms = 0, "
        "attempts = iif(?3 = 0 AND ?8 = '', 0, attempts), "
        "done = ?6, total = ?7, fail_kind = ?8, fail_text = ?9, result = ?10, bytes = ?11, "
        "phase = '' "
        "WHERE id = ?1 AND state = 1 AND owner = ?2",
    [DZ_SQ_JOB_CANCEL] =
        "UPDATE job SET cancel_asked = 1, state = iif(" JOB_FREE ", 4, state), "
        "ended_ms = iif(" JOB_FREE ", ?1, ended_ms), owner = iif(" JOB_FREE ", '', owner), "
        "lease_until_ms = iif(" JOB_FREE ", 0, lease_until_ms), "
        "phase = iif(" JOB_FREE ", '', phase) WHERE id = ?2 AND state < 2",
    [DZ_SQ_JOB_STATE] = "SELECT state FROM job WHERE id = ?1",
    [DZ_SQ_JOBS] =
        "SELECT " JOB " FROM job WHERE id IN (SELECT id FROM (SELECT id FROM job WHERE state = 1 "
        "ORDER BY started_ms, id LIMIT ?1) UNION ALL SELECT id FROM (SELECT id FROM job "
        "WHERE state = 0 ORDER BY run_after_ms, id LIMIT ?1) UNION ALL SELECT id FROM "
        "(SELECT id FROM job WHERE state >= 2 ORDER BY ended_ms DESC, id DESC LIMIT ?1)) "
        "ORDER BY CASE state WHEN 1 THEN 0 WHEN 0 THEN 1 ELSE 2 END, "
        "CASE state WHEN 1 THEN started_ms WHEN 0 THEN run_after_ms ELSE -ended_ms END, "
        "iif(state < 2, id, -id) LIMIT ?1",
    [DZ_SQ_JOB_NEXT] =
        "SELECT min(at_ms) FROM (SELECT min(run_after_ms) AS at_ms FROM job WHERE state = 0 "
        "UNION ALL SELECT min(lease_until_ms) FROM job WHERE state = 1)",
    [DZ_SQ_JOBS_TRIM] =
        "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state >= 2 AND kind <> ?2 "
        "ORDER BY ended_ms DESC, id DESC LIMIT 9223372036854775807 OFFSET ?1)",
    [DZ_SQ_JOBS_TRIM_KIND] =
        "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state >= 2 AND kind = ?2 "
        "ORDER BY ended_ms DESC, id DESC LIMIT 9223372036854775807 OFFSET ?1)",
    [DZ_SQ_JOB_FIND] =
        "SELECT " JOB " FROM job WHERE kind = ?1 AND target = ?2 ORDER BY id DESC LIMIT 1",
    /* No sorting of whole rows: the first in the order of its index, the second of the table. */
    [DZ_SQ_JOBS_LIVE] = "SELECT " JOB " FROM job WHERE kind = ?1 AND state < 2 ORDER BY id",
    [DZ_SQ_JOBS_ENDED] =
        "SELECT " JOB " FROM job WHERE id IN (SELECT id FROM job WHERE kind = ?1 AND state >= 2 "
        "ORDER BY id DESC LIMIT ?2) ORDER BY id",
    [DZ_SQ_JOB_RETRY] = RETRY "WHERE id = ?3 AND kind = ?1 AND state = 3 AND NOT EXISTS " ALIVE,
    /* Of several with one target the newest. */
    [DZ_SQ_JOBS_RETRY] =
        RETRY "WHERE kind = ?1 AND state = 3 AND NOT EXISTS " ALIVE " AND NOT EXISTS (SELECT 1 "
        "FROM job o WHERE o.kind = job.kind AND o.target = job.target AND o.id > job.id AND "
        "o.source = job.source AND o.state = 3)",
    [DZ_SQ_JOBS_FORGET] = "DELETE FROM job WHERE kind = ?1 AND state >= 2",
    [DZ_SQ_JOB_COUNTS] = "SELECT state, count(*) FROM job WHERE state < 2 GROUP BY state UNION ALL "
        "SELECT state, count(*) FROM job WHERE state >= 2 GROUP BY state",
    [DZ_SQ_SOURCE_COUNTS] =
        "SELECT source, count(*), sum(chapters_n) FROM series GROUP BY source ORDER BY source",

    [DZ_SQ_STATE_SET] =
        "INSERT INTO crawl_state (source, name, value, updated_ms, expires_ms) "
        "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (source, name) DO UPDATE SET value = "
        "excluded.value, updated_ms = excluded.updated_ms, expires_ms = excluded.expires_ms",
    [DZ_SQ_STATE_DEL] = "DELETE FROM crawl_state WHERE source = ?1 AND name = ?2",
    [DZ_SQ_STATE_EXPIRE] = "DELETE FROM crawl_state WHERE expires_ms > 0 AND expires_ms <= ?1",
    /* No byte of UTF-8 is as large as ff. */
    [DZ_SQ_STATE_LIST] =
        STATE "source = ?3 AND name >= ?2 AND name < ?2 || CAST(x'ff' AS TEXT) "
        "AND (expires_ms = 0 OR expires_ms > ?1) ORDER BY source, name",
    [DZ_SQ_STATE_LIST_ALL] =
        STATE "name >= ?2 AND name < ?2 || CAST(x'ff' AS TEXT) "
        "AND (expires_ms = 0 OR expires_ms > ?1) ORDER BY source, name",

    [DZ_SQ_PART_BLOB] =
        "SELECT blob_id FROM part WHERE source = ?1 AND chapter = ?2 AND at = ?3",
    [DZ_SQ_PART_SET] =
        "INSERT INTO part (source, chapter, at, url, mtime_s, blob_id, put_ms) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (source, chapter, at) DO UPDATE SET "
        "url = excluded.url, mtime_s = excluded.mtime_s, blob_id = excluded.blob_id, "
        "put_ms = excluded.put_ms",
    [DZ_SQ_PART_DEL] = "DELETE FROM part WHERE source = ?1 AND chapter = ?2 AND at = ?3",
    [DZ_SQ_PARTS] =
        PART BLOB " FROM part p LEFT JOIN blob b ON b.id = p.blob_id "
        "WHERE p.source = ?1 AND p.chapter = ?2 ORDER BY p.at",
    [DZ_SQ_PARTS_ALL] =
        PART BLOB " FROM part p LEFT JOIN blob b ON b.id = p.blob_id "
        "ORDER BY p.source, p.chapter, p.at",
    [DZ_SQ_PARTS_UNREF] =
        "UPDATE blob SET refs = refs - (SELECT count(*) FROM part WHERE blob_id = blob.id AND "
        "source = ?1 AND chapter = ?2) "
        "WHERE id IN (SELECT blob_id FROM part WHERE source = ?1 AND chapter = ?2)",
    [DZ_SQ_PARTS_DEL] = "DELETE FROM part WHERE source = ?1 AND chapter = ?2",
    [DZ_SQ_PARTS_OLD_UNREF] =
        "UPDATE blob SET refs = refs - (SELECT count(*) FROM part WHERE blob_id = blob.id AND "
        "(source, chapter) IN " OLD_PARTS ") "
        "WHERE id IN (SELECT blob_id FROM part WHERE (source, chapter) IN " OLD_PARTS ")",
    [DZ_SQ_PARTS_OLD_DEL] = "DELETE FROM part WHERE (source, chapter) IN " OLD_PARTS,

    [DZ_SQ_MARK_SET] =
        "INSERT INTO mark (source, chapter, mark, series) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (source, chapter) DO UPDATE SET mark = excluded.mark, "
        "series = excluded.series",
    [DZ_SQ_MARK_CHANGE] = "UPDATE mark SET mark = ?3 WHERE source = ?1 AND chapter = ?2",
    [DZ_SQ_MARK_DEL] = "DELETE FROM mark WHERE source = ?1 AND chapter = ?2",
    [DZ_SQ_MARK] = MARK "WHERE source = ?1 AND chapter = ?2",
    [DZ_SQ_MARKS_OF_SERIES] = MARK "WHERE source = ?1 AND series = ?2 ORDER BY chapter",
    [DZ_SQ_FAVOURITE_ADD] =
        "INSERT INTO favourite (source, series, created_ms) VALUES (?1, ?2, ?3) "
        "ON CONFLICT (source, series) DO NOTHING",
    [DZ_SQ_FAVOURITE_DEL] = "DELETE FROM favourite WHERE source = ?1 AND series = ?2",
    [DZ_SQ_FAVOURITES] = FAVOURITE "ORDER BY source, id",
    [DZ_SQ_FAVOURITES_OF] = FAVOURITE "WHERE source = ?1 ORDER BY id",
    [DZ_SQ_BLOB_CRC] = "SELECT crc32 FROM blob WHERE sha = ?1",
    [DZ_SQ_BLOB_CRC_SET] = "UPDATE blob SET crc32 = ?2 WHERE sha = ?1",

    [DZ_SQ_UPLOAD_THERE] = "SELECT blob_id FROM upload WHERE id = ?1",
    [DZ_SQ_UPLOAD_ADD] =
        "INSERT INTO upload (id, blob_id, mime, sniffed, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    [DZ_SQ_UPLOAD] = "SELECT u.id, u.mime, u.sniffed, u.created_ms, b.sha, b.bytes, b.width, "
                     "b.height, b.mime FROM upload u JOIN blob b ON b.id = u.blob_id "
                     "WHERE u.id = ?1",
    [DZ_SQ_UPLOADS] = "SELECT u.id, u.mime, u.sniffed, u.created_ms, b.sha, b.bytes, b.width, "
                      "b.height, b.mime FROM upload u JOIN blob b ON b.id = u.blob_id "
                      "ORDER BY u.id",
    [DZ_SQ_UPLOAD_DEL] = "DELETE FROM upload WHERE id = ?1",
    [DZ_SQ_UPLOAD_GONE_ADD] = "INSERT INTO upload_gone (id) VALUES (?1)",
    [DZ_SQ_UPLOAD_GONE_TRIM] =
        "DELETE FROM upload_gone WHERE seq <= (SELECT max(seq) FROM upload_gone) - ?1",
    [DZ_SQ_UPLOAD_GONE_NEWEST] = "SELECT seq FROM sqlite_sequence WHERE name = 'upload_gone'",
    [DZ_SQ_UPLOADS_GONE] = "SELECT seq, id FROM upload_gone WHERE seq > ?1 ORDER BY seq",
    [DZ_SQ_COLLECTION] =
        "SELECT declaration, version FROM collection WHERE source = ?1 AND name = ?2",
    [DZ_SQ_COLLECTIONS] =
        "SELECT source, name, declaration, rows_rev FROM collection ORDER BY source, name",
    [DZ_SQ_COLLECTIONS_REV] = "SELECT max(rev) FROM collection",
    [DZ_SQ_COLLECTION_SET] =
        "INSERT INTO collection (source, name, declaration, table_name, version, rev, rows_rev, "
        "updated_ms) VALUES (?1, ?2, ?3, ?4, 1, "
        "(SELECT coalesce(max(rev), 0) + 1 FROM collection), 0, ?5) "
        "ON CONFLICT (source, name) DO UPDATE SET declaration = excluded.declaration, "
        "version = version + 1, rev = excluded.rev, updated_ms = excluded.updated_ms",
    [DZ_SQ_COLLECTION_TOUCH] =
        "UPDATE collection SET rows_rev = rows_rev + 1, updated_ms = ?3 "
        "WHERE source = ?1 AND name = ?2",

    [DZ_SQ_INTEGRITY] = "PRAGMA integrity_check",
    [DZ_SQ_FOREIGN_KEYS] = "PRAGMA foreign_key_check",
};
/* clang-format on */
