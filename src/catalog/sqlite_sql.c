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
        "blob_id = blob.id) "
        "AS used FROM blob) WHERE refs <> used ORDER BY id",
    [DZ_SQ_MEND_REFS] =
        "UPDATE blob SET refs = (SELECT count(*) FROM page WHERE blob_id = ?1) + "
        "(SELECT count(*) FROM asset WHERE blob_id = ?1) WHERE id = ?1",
    [DZ_SQ_WRONG_CHAPTERS_N] =
        "SELECT id, title, chapters_n, held FROM (SELECT id, title, chapters_n, "
        "(SELECT count(*) FROM chapter WHERE series_id = series.id) AS held FROM series) "
        "WHERE chapters_n <> held ORDER BY id",
    [DZ_SQ_MEND_CHAPTERS_N] =
        "UPDATE series SET chapters_n = (SELECT count(*) FROM chapter WHERE series_id = ?1) WHERE "
        "id = ?1",
    [DZ_SQ_INTEGRITY] = "PRAGMA integrity_check",
    [DZ_SQ_FOREIGN_KEYS] = "PRAGMA foreign_key_check",
};
/* clang-format on */
