/*
 * library: what an API may ask and what a command may do: the current view of all series and
 * shelves, bytes of a page, a chapter as a CBZ file, import, check. No HTTP word in here.
 *
 * The view is immutable and counted. A keeper thread watches the catalog (told at once by
 * dz_library_poke, else by polling its change counter), rebuilds the snapshot of each series that
 * changed, and hands the new view to the subscriber, which posts it to its loops. A request never
 * waits for a rebuild, and a view never waits for the encodings of a long list.
 */
#pragma once

#include "cache/cache.h"
#include "catalog/catalog.h"
#include "conf/conf.h"
#include "media/media.h"
#include "store/store.h"

/* ---- view ------------------------------------------------------------------------------------ */

struct dz_view_shelf {
    const char *name;
    const struct dz_conf_shelf *conf; /* NULL: only known from an import */
    struct dz_snapshot *snap;         /* NULL: nothing there yet */
    /* What its lists and files are answered from: snap, or an empty one for a shelf of the settings
     * whose series is still to come (contracts/komizip.md 7: nothing waits for the first pass). */
    struct dz_snapshot *shown;
};

struct dz_view {
    atomic_uint refs;
    uint64_t serial;
    struct dz_conf *conf;
    struct dz_snapshot **series; /* by title, natural order; not those with nothing in them */
    size_t series_n;
    struct dz_view_shelf *shelves; /* settings' order, then imported ones by name */
    size_t shelves_n;
    struct dz_map by_id;    /* 8 bytes of id → struct dz_snapshot */
    struct dz_map by_shelf; /* name → struct dz_view_shelf */
    struct dz_map by_host;  /* host name → struct dz_view_host */
    struct dz_view_host *hosts;
    size_t hosts_n;
};
enum dz_host_kind { DZ_HOST_NONE, DZ_HOST_API, DZ_HOST_CDN, DZ_HOST_IMAGE };
struct dz_view_host {
    enum dz_host_kind kind;
    const struct dz_view_shelf *shelf;
};
struct dz_view *dz_view_ref(struct dz_view *v);
void dz_view_unref(struct dz_view **v);
const struct dz_snapshot *dz_view_series(const struct dz_view *v, int64_t id);      /* NULL: none */
const struct dz_view_shelf *dz_view_shelf_of(const struct dz_view *v, dz_str name); /* NULL: none */
/* contracts/komizip.md 2.1: a host of the settings (port ignored, case kept) wins; else, when
 * there is exactly one shelf, whether the settings name hosts for it or not, the text before the
 * first '.' compared with cdn, api and i. That text is of the header as sent:
 * "api.evil.example:1" and "api" are the api, "API.komi.zip" and "api:8491" are nobody. */
struct dz_view_host dz_view_host_of(const struct dz_view *v, dz_str host);

/* ---- library --------------------------------------------------------------------------------- */

struct dz_library;
struct dz_library_options {
    struct dz_conf *conf;                                  /* ref'd */
    void (*publish)(void *arg, struct dz_view *take_view); /* keeper thread; a new view */
    /* What costs speed but no truth, to be logged: any thread; may be NULL. */
    void (*complain)(void *arg, const struct dz_err *e);
    void *arg;
};
/* Opens catalog and store of the settings. Builds no view and starts no thread, so that a check
 * comes up on a catalog that cannot be shown and an import does not pay for what it does not
 * need. */
DZ_MUST enum dz_code dz_library_open(struct dz_conf *conf, struct dz_library **ret_l,
                                     struct dz_err *err);
/* Whether there is one to open: dz_library_open makes an empty one where there is none, which is
 * not what somebody wants who came to look. Always true when the catalog is not a file. */
bool dz_library_exists(const struct dz_conf *conf);
void dz_library_close(struct dz_library **l); /* joins the keeper and the encoder */
/* First view, then the keeper starts; publish is called for every later view. Long lists of shelves
 * come without encodings; an encoder thread hangs these in later (dz_snap_list_encode). */
DZ_MUST enum dz_code dz_library_start(struct dz_library *l, const struct dz_library_options *o,
                                      struct dz_err *err);
/* The current view with one more reference. Before dz_library_start it is built by the first
 * call, from one thread; NULL when the catalog cannot be read (dz_library_healthy says why).
 * Never NULL after dz_library_start. */
struct dz_view *dz_library_view(struct dz_library *l);
void dz_library_poke(struct dz_library *l); /* look for changes now; any thread, cheap */
/* after a reload: shelves are laid anew */
void dz_library_set_conf(struct dz_library *l, struct dz_conf *conf);
struct dz_store *dz_library_store(struct dz_library *l);
struct dz_catalog *dz_library_catalog(struct dz_library *l);
/* Whether the last look at the catalog worked; text says what failed ("" when fine; at least 256
 * bytes). */
bool dz_library_healthy(struct dz_library *l, char *ret_text);

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Between readers and a store without files (PostgreSQL, MongoDB): RAM, and the Redis that servers
 * share. Both borrowed, either may be NULL. Before dz_library_start. */
void dz_library_share(struct dz_library *l, struct dz_cache *ram, struct dz_shared_cache *shared);

/* The blob as an open file, from a bounded cache of descriptors (one probe, else one open(2)):
 * may run on a loop. DZ_UNSUPPORTED when the store has no files and this machine has not fetched it
 * as one lately: then dz_library_fetch. DZ_NOT_FOUND, DZ_IO. The caller unrefs. */
DZ_MUST enum dz_code dz_library_file(struct dz_library *l, const struct dz_sha256 *sha,
                                     struct dz_file **ret_file, struct dz_err *err);
/* The same for the bytes of a store without files that are in RAM; NULL: they are not. */
struct dz_body *dz_library_at_hand(struct dz_library *l, const struct dz_sha256 *sha);

#define DZ_LIBRARY_BODY_MAX DZ_MIB
struct dz_blob_ask {
    struct dz_sha256 sha;
    uint64_t bytes;    /* as the catalog says */
    dz_str name, mime; /* of an upload, as Redis has it; name.n 0: by its digest */
    bool keep;         /* these bytes into RAM too; else only answers that are made of them are */
};
/* One of the two: a body of at most DZ_LIBRARY_BODY_MAX bytes, or a file with more (from a store
 * with files, with those that it has). However many ask for one blob at once, the store is read
 * once. Blocks: workers only. DZ_NOT_FOUND; DZ_CORRUPT, another length too; DZ_UNAVAILABLE, at once
 * while the store is known to be down; DZ_FULL: cache.disk_bytes is used up by files that are being
 * sent. */
DZ_MUST enum dz_code dz_library_fetch(struct dz_library *l, const struct dz_blob_ask *ask,
                                      struct dz_body **ret_body, struct dz_file **ret_file,
                                      struct dz_err *err);
/* The Redis that servers share; NULL: none. */
struct dz_shared_cache *dz_library_shared(struct dz_library *l);
/* Whether the store answers; text as of dz_library_healthy(). A store with files always does. */
bool dz_library_store_healthy(struct dz_library *l, char *ret_text);
struct dz_library_blob_stats {
    uint64_t spool_bytes, spool_files; /* large blobs that are files of this machine for now */
    uint64_t store_losses;
};
void dz_library_blob_stats(struct dz_library *l, struct dz_library_blob_stats *ret_stats);

/* ---- a chapter as a CBZ file ------------------------------------------------------------------
 */

/* The file that a chapter would be: the pages as 001.jpg … in reading order, ComicInfo.xml last,
 * all stored. Nothing of it is written anywhere; equal chapters make equal bytes. Counted,
 * immutable. */
struct dz_cbz;
struct dz_cbz_options {
    bool sizes, is_21; /* as downloads.comicinfo_sizes and downloads.comicinfo_21 */
};
/* c is of s. Looks whether all pages are there: DZ_NOT_FOUND, DZ_CORRUPT (another length). Reads
 * those whose CRC-32 the catalog does not have, and keeps it there. Blocks; workers only. */
DZ_MUST enum dz_code dz_cbz_new(struct dz_library *l, const struct dz_snapshot *s,
                                const struct dz_snap_chapter *c, const struct dz_cbz_options *o,
                                struct dz_cbz **ret_z, struct dz_err *err);
struct dz_cbz *dz_cbz_ref(struct dz_cbz *z);
void dz_cbz_unref(struct dz_cbz **z);
uint64_t dz_cbz_bytes(const struct dz_cbz *z);
uint64_t dz_cbz_memory(const struct dz_cbz *z); /* that z takes */
dz_str dz_cbz_name(const struct dz_cbz *z);     /* "Series Vol. 2 Ch. 10.5 - Title.cbz" */
dz_str dz_cbz_etag(const struct dz_cbz *z);     /* in quotes, strong */
int64_t dz_cbz_modified_s(const struct dz_cbz *z);
/* What stands at one offset, up to where something else begins. */
struct dz_cbz_piece {
    dz_str bytes;                 /* n > 0: these, z's own */
    const struct dz_sha256 *blob; /* else n bytes of this page from its byte `from` on */
    uint64_t blob_bytes, from, n;
};
bool dz_cbz_piece(const struct dz_cbz *z, uint64_t at, struct dz_cbz_piece *ret_piece);

/* ---- import ---------------------------------------------------------------------------------- */

struct dz_import_event {
    enum {
        DZ_IMPORT_PLAN,
        DZ_IMPORT_CHAPTER, /* committed: readers may see it */
        DZ_IMPORT_PAGE,
        DZ_IMPORT_SKIPPED,
        DZ_IMPORT_WARNING,
        DZ_IMPORT_ERROR
    } kind;
    const char *path;     /* what it is about, as given or below it */
    const char *entry;    /* inside an archive or folder; NULL: none */
    const char *text;     /* words; NULL: none */
    uint64_t done, total; /* bytes of input, for a progress bar */
};
struct dz_import_options {
    const char *series; /* NULL: from ComicInfo, else from names */
    const char *shelf;  /* NULL: none */
    void (*event)(void *arg, const struct dz_import_event *e);
    void *arg;
    atomic_bool *stop; /* set by a signal handler: the run ends after the page at hand with
                        * DZ_CANCELLED; may be NULL */
};
struct dz_import_result {
    uint64_t series, chapters_new, chapters_changed, chapters_same, pages, assets, bytes, warnings,
        errors;
};
/* Folders of images, trees of them, and archives. Each chapter is whole or not there: blobs are
 * put and synced first, then one batch. A second run finishes what a killed one began. A broken
 * input is reported through event, counted and skipped; DZ_OK then too: look at result.errors.
 * *ret_result is always written: what a run that failed as a whole has done counts. Blocking.
 *
 * What is what: an archive is one chapter, also with several folders inside; a folder with
 * images directly inside is one chapter, its sub-folders are further ones. The series is
 * options.series, else ComicInfo's, else, for a single archive, what its name says, else the
 * nearest folder above that is more than a volume or chapter ("Vol 2", "Season 1"). A chapter is
 * known again by the path it came from, whichever path was given; one whose size and time did
 * not change is passed over unread. Shares dz_catalog_lock: DZ_UNAVAILABLE while
 * a repair runs. */
DZ_MUST enum dz_code dz_library_import(struct dz_library *l, const char *const *paths, size_t n,
                                       const struct dz_import_options *o,
                                       struct dz_import_result *ret_result, struct dz_err *err);
/* contracts/komizip.md sections 2.3 and 4: chapters.json and the image folder, byte-true.
 * options.shelf must be set; its series is the one that the settings name for it, else
 * ("komizip", shelf). A chapters.json that cannot be read is an error before anything is stored.
 * Nothing is deleted: pages and chapters that are gone from the input stay. */
DZ_MUST enum dz_code dz_library_import_komizip(struct dz_library *l, const char *chapters_json,
                                               const char *cdn_folder,
                                               const struct dz_import_options *o,
                                               struct dz_import_result *ret_result,
                                               struct dz_err *err);

/* contracts/nagato.md section 9: marks and favourites of its SQLite file, which is not changed.
 * What the catalog has already stays: a mark that says something else is counted as kept. A row
 * that cannot be used is told as an error event and left out. *ret_result is always written. */
struct dz_nagato_result {
    uint64_t marks_new, marks_same, marks_kept, favourites_new, favourites_same, errors;
};
DZ_MUST enum dz_code dz_library_import_nagato(struct dz_library *l, const char *database,
                                              const struct dz_import_options *o,
                                              struct dz_nagato_result *ret_result,
                                              struct dz_err *err);
/* Its conf.json as lines for dozo.yaml, appended; what has no place there as comments. */
DZ_MUST enum dz_code dz_library_nagato_settings(const char *conf_json, struct dz_buf *ret_yaml,
                                                struct dz_err *err);

/* contracts/kvm48.md section 3: data.db of KVM48 into the collection, which is ensured first, or
 * the collection into such a file. Of the two the one that is read is not changed, and what the
 * other has already stays: a record that says something else there is counted as kept, with a
 * warning. An export makes the file, whole, or adds to one of KVM48 (or one without tables) in one
 * transaction: DZ_BAD_INPUT for any other file, which stays as it was. A row that cannot be used is
 * told as an error event and left out. coll needs the columns of perfvod. *ret_result is always
 * written. */
struct dz_kvm48_result {
    uint64_t records_new, records_same, records_kept, warnings, errors;
};
DZ_MUST enum dz_code dz_library_kvm48(struct dz_library *l, const struct dz_collection *coll,
                                      bool is_export, const char *database,
                                      const struct dz_import_options *o,
                                      struct dz_kvm48_result *ret_result, struct dz_err *err);

/* contracts/imoog.md section 4: rows of a database that imoog keeps its files in, into the store
 * and the catalog under their ids, or uploads from here into such a database. What either side has
 * already stays: other bytes under an id there are counted as kept, with a warning. When the store
 * of the settings is that database (is_same) nothing is copied and the catalog takes its rows in.
 * A row that cannot be used is told as an error event and left out. dry_run: nothing is written to
 * where it would go. *ret_result is always written. */
struct dz_imoog_place { /* texts are the caller's; "" where a driver has none */
    const char *driver; /* as store.driver */
    const char *uri, *table, *database, *collection;
};
struct dz_imoog_result {
    uint64_t uploads_new, uploads_same, uploads_kept, adopted, bytes, warnings, errors;
    bool is_same;
};
DZ_MUST enum dz_code dz_library_imoog(struct dz_library *l, const struct dz_imoog_place *place,
                                      bool is_export, bool dry_run,
                                      const struct dz_import_options *o,
                                      struct dz_imoog_result *ret_result, struct dz_err *err);
/* Its settings, a Python file of which only plain assignments are read and nothing is run: where
 * its database is (texts in the arena), and lines for dozo.yaml, appended; what has no place there
 * or is no plain value as comments. DZ_BAD_INPUT names the line. */
DZ_MUST enum dz_code dz_library_imoog_settings(const char *path, struct dz_arena *a,
                                               struct dz_imoog_place *ret_place,
                                               struct dz_buf *ret_yaml, struct dz_err *err);

/* ---- uploads --------------------------------------------------------------------------------- */

/* A file that somebody sends. Its bytes go to the store as they come, from the 65th KiB on; nothing
 * of it is to be seen, and it leaves nothing when it is dropped, until it is kept. Workers; one
 * thread at a time. mime: as it was declared; p = NULL: it was not. */
struct dz_upload;
struct dz_upload *dz_upload_new(struct dz_library *l, dz_str mime);
/* After a failure only good to be dropped. */
DZ_MUST enum dz_code dz_upload_add(struct dz_upload *u, dz_str bytes, struct dz_err *err);
uint64_t dz_upload_bytes(const struct dz_upload *u); /* so far */
void dz_upload_drop(struct dz_upload **u);
struct dz_upload_wish {
    uint32_t name_length; /* 1..64 */
    dz_str id;            /* n > 0: this one and no other; DZ_CONFLICT when it is taken */
    int64_t created_ms;   /* 0: now */
    /* Once, on this or another worker; what it is given is good during the call. DZ_OK: blob,
     * folder and row of u->id are synced. DZ_FULL also when all names of that length seem taken;
     * DZ_UNAVAILABLE while a repair runs. Quick: others wait for it. */
    void (*done)(void *arg, enum dz_code code, const struct dz_upload_rec *u,
                 const struct dz_err *err);
    void *arg;
};
/* Makes it last under a new id of A-Z and 0-9. Blocks, or leaves it to a worker that does so for
 * others already: many that end at the same time share their syncs. */
void dz_upload_keep(struct dz_upload **take_u, const struct dz_upload_wish *wish);
/* What an upload is; its bytes: dz_library_fetch, under its name when dz_store_has_names. In such a
 * store its row decides: one that somebody else wrote is adopted, one that is gone is DZ_NOT_FOUND.
 * While one of catalog and store is away the other's word counts, and while both are, that of
 * Redis. Texts in the arena. DZ_CORRUPT, DZ_UNAVAILABLE. Blocks. */
DZ_MUST enum dz_code dz_library_upload_find(struct dz_library *l, dz_str id, struct dz_arena *a,
                                            struct dz_upload_rec *ret_rec, struct dz_err *err);
/* Gone for good when it returns; ret_was false: there was none. Bytes that nobody uses any more go
 * a second later, or when no import and no crawl runs. Blocks. */
DZ_MUST enum dz_code dz_library_upload_delete(struct dz_library *l, dz_str id, bool *ret_was,
                                              struct dz_err *err);
/* gone: keeper thread, for each upload that any process has deleted, a second later at most; n = 0:
 * it may be any of them. Before dz_library_start. */
void dz_library_on_upload_gone(struct dz_library *l, void (*gone)(void *arg, dz_str id), void *arg);

/* ---- edit ------------------------------------------------------------------------------------ */

#define DZ_EDIT_BYTES_MAX (1024u * 1024)
/* The commands of contracts/komizip.md 2.7 on the chapters of a series: everything is checked
 * first, then applied whole in one batch or not at all. Appends "407: title volume<br>" for each
 * chapter to summary, which must have room left. ret_seq: for dz_library_wait. DZ_BAD_INPUT: the
 * text is what the administrator is told. Also DZ_NOT_FOUND (the series, or a chapter that was
 * removed meanwhile), DZ_TOO_LARGE, DZ_UNAVAILABLE. Blocking. */
DZ_MUST enum dz_code dz_library_edit(struct dz_library *l, int64_t series_id, dz_str commands,
                                     struct dz_buf *summary, uint64_t *ret_seq, struct dz_err *err);
/* Until the view shows the catalog as of seq and publish has been called with it; false: it did not
 * within wait_ms, or the library is not started. Blocking. */
bool dz_library_wait(struct dz_library *l, uint64_t seq, int64_t wait_ms);

/* ---- check ----------------------------------------------------------------------------------- */

struct dz_check_options {
    bool repair;
    bool digests; /* read and hash every blob */
    void (*problem)(void *arg, bool repaired, const char *text);
    void (*progress)(void *arg, uint64_t done, uint64_t total); /* blobs; may be NULL */
    void *arg;
};
struct dz_check_result {
    uint64_t blobs, bytes, problems, repaired,
        leftovers;  /* leftovers: unreferenced blobs and stale temporaries, harmless */
    uint64_t young; /* of these, what a repair left because it was put within the last hour; only
                     * where several machines may share the database */
};
/* Catalog against store, both ways: rows without bytes, wrong sizes, damaged bytes, bytes that
 * cannot be read, counts, bytes without rows. Repair: counts are mended, leftovers removed, a
 * chapter with lost or damaged pages is marked for a new import or crawl (its stamp is cleared) and
 * these page rows are taken out of it; damaged bytes are moved to data_dir/damaged. Bytes that
 * cannot be read may be whole: they stay a problem, and their rows stay. Holds
 * dz_catalog_lock alone when it repairs: DZ_UNAVAILABLE while an import runs, when the lock was
 * lost on the way, or when not one of the wanted blobs is there. *ret_result is written also when
 * the check as a whole fails. Blocking.
 */
DZ_MUST enum dz_code dz_library_check(struct dz_library *l, const struct dz_check_options *o,
                                      struct dz_check_result *ret_result, struct dz_err *err);

/* ---- migrate ----------------------------------------------------------------------------------
 */

struct dz_migrate_options {
    bool quick; /* what was copied is compared by name and size only, not read again */
    /* May be NULL. what: "files", "records", "comparing"; total 0: not known. */
    void (*progress)(void *arg, const char *what, uint64_t done, uint64_t total);
    void *arg;
};
struct dz_migrate_result {
    bool store_same, catalog_same;  /* both settings mean one: nothing to copy */
    bool catalog_there;             /* the target held exactly these records already */
    uint64_t blobs, bytes, uploads; /* all that there are */
    uint64_t blobs_copied, uploads_copied, bytes_copied;
    uint64_t adopted; /* uploads that only the database knew, which another program wrote */
    uint64_t tables, rows;
};
/* Bytes first, then records, then everything is compared; a second run goes on where a first one
 * ended. The source is not changed, but for rows of uploads that it adopts. Whoever calls sees to
 * it that no server runs on one of the two. DZ_CONFLICT: the target holds other records, or another
 * upload of one name; DZ_NOT_FOUND: there is nothing to copy, or bytes of the source are not there
 * (`dozo check` lists them); DZ_BAD_INPUT: both are the same; DZ_CORRUPT; DZ_UNAVAILABLE; what
 * reading and writing failed with. *ret_result is always written. Blocks; a command. */
DZ_MUST enum dz_code dz_library_migrate(struct dz_conf *from, struct dz_conf *to,
                                        const struct dz_migrate_options *o,
                                        struct dz_migrate_result *ret_result, struct dz_err *err);
/* Whether both keep their data in one folder. */
bool dz_migrate_one_folder(const struct dz_conf *a, const struct dz_conf *b);
