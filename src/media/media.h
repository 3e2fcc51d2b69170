/*
 * media: what bytes are. Sniffing by content, dimensions without decoding, JPEG pictures decoded
 * and put together anew (libjpeg, libexif), reading archives (libarchive), laying out ZIP files,
 * HTML and XML with CSS selectors, ComicInfo.xml (read by libxml2, and written), and what a file
 * name says about series, volume and chapter.
 *
 * Everything here takes hostile input: sizes, counts, names and nesting have limits, and nothing is
 * trusted because of its extension. Pure functions of their input; any thread; the archive reader
 * has one owner.
 */
#pragma once

#include "base/base.h"

/* ---- images ---------------------------------------------------------------------------------- */

enum dz_media_type {
    DZ_MEDIA_UNKNOWN,
    DZ_MEDIA_JPEG,
    DZ_MEDIA_PNG,
    DZ_MEDIA_GIF,
    DZ_MEDIA_WEBP,
    DZ_MEDIA_AVIF,
    DZ_MEDIA_JXL,
    DZ_MEDIA_BMP,
    DZ_MEDIA_TIFF,
    DZ_MEDIA_TYPE_COUNT
};
/* "image/jpeg"; "application/octet-stream" for unknown */
const char *dz_media_mime(enum dz_media_type t);
const char *dz_media_ext(enum dz_media_type t); /* "jpg"; "bin" for unknown */
/* contracts/nagato.md section 6: the name of the page at `at` (from 0) as a file, its number padded
 * to `width` digits: "007.jpg"; "png" for what is no type of image. Appended. */
void dz_media_page_name(uint32_t at, unsigned width, dz_str mime, struct dz_buf *out);
/* By the file name's last extension, as Python's mimetypes does for the usual web and comic types
 * (jpg jpeg png gif webp avif jxl bmp tif tiff svg txt html css js json xml pdf zip cbz …); static
 * text, NULL when unknown. */
const char *dz_media_mime_of_name(dz_str name);
bool dz_media_name_is_image(dz_str name); /* by extension, case-insensitive */

/* By the first bytes; 32 are enough for all but AVIF brands (64). */
enum dz_media_type dz_media_sniff(dz_str bytes);

struct dz_media_info {
    enum dz_media_type type;
    uint32_t width, height; /* pixels, after EXIF orientation is NOT applied; 0 when the type does
                               not tell cheaply */
};
#define DZ_MEDIA_SIDE_MAX 65535u
/* Type and size from a whole image in memory without decoding it. Checks structure as far as that
 * is cheap: markers up to SOF and an EOI at the end (trailing zeros allowed) for JPEG, chunk walk
 * with CRC up to IEND for PNG, frames up to the trailer for GIF, RIFF sizes for WebP, boxes for
 * AVIF and JXL, header fields for BMP and TIFF. DZ_PARSE with words that a person understands:
 * "empty file", "not an image", "JPEG ends in the middle of the picture (truncated)", "PNG chunk
 * IDAT has a wrong checksum". */
DZ_MUST enum dz_code dz_media_inspect(dz_str bytes, struct dz_media_info *ret_info,
                                      struct dz_err *err);

/* ---- decoded pictures ------------------------------------------------------------------------ */

/* RGB, 3 bytes a pixel, rows without padding. Zero is the empty picture. */
struct dz_raster {
    uint32_t width, height;
    unsigned char *rgb;
};
#define DZ_RASTER_PIXELS_MAX ((uint64_t)100 * 1000 * 1000)
#define DZ_JPEG_SCANS_MAX 200 /* of a progressive picture: each costs a pass over all pixels */
void dz_raster_done(struct dz_raster *r); /* frees; also a DZ_AUTO handler */

/* The whole picture, grey and CMYK turned to RGB, EXIF orientation not applied. DZ_PARSE: damaged
 * (a picture that ends early is damaged); DZ_TOO_LARGE: over the limits above; DZ_UNSUPPORTED: not
 * a JPEG. The caller calls dz_raster_done on success. Takes about 8 ms a megapixel. */
DZ_MUST enum dz_code dz_jpeg_decode(dz_str bytes, struct dz_raster *ret_r, struct dz_err *err);
/* contracts/komizip.md 6.3 with quality 75: baseline, 4:2:0, standard tables, JFIF density 1x1 unit
 * 0, no EXIF. Appends to out; DZ_BAD_INPUT for a side of 0 or over 65,500. */
DZ_MUST enum dz_code dz_jpeg_encode(const struct dz_raster *r, int quality, struct dz_buf *out,
                                    struct dz_err *err);
/* contracts/komizip.md 6.4: every pixel is 255,255,255. An empty picture is not white. */
bool dz_raster_is_white(const struct dz_raster *r);

/* One text tag of the EXIF block of a JPEG by its name in the standard ("ImageUniqueID", found in
 * any of its directories), into the arena, blanks and NULs at the end dropped. DZ_NOT_FOUND when
 * there is no block or no such tag, or it is no text. */
DZ_MUST enum dz_code dz_exif_text(dz_str jpeg, const char *tag, struct dz_arena *a,
                                  dz_str *ret_text, struct dz_err *err);

/* contracts/komizip.md 6.2 for any grid: the edge tiles stay, contiguous in the source; inner tile
 * i (rows from the top, left to right, `gap` pixels apart in the source) goes to inner place
 * key[i].
 */
struct dz_retile {
    uint32_t columns, rows; /* of the whole grid, edges included; 3..1,000 each */
    uint32_t gap;           /* pixels between tiles of the source; at most 1,000 */
    const uint32_t *key;
    size_t key_n;
};
/* "5:1a:…" of contracts/komizip.md 6.1 into the arena: hexadecimal parts, at most 100,000.
 * DZ_BAD_INPUT names the part. */
DZ_MUST enum dz_code dz_retile_key(dz_str text, struct dz_arena *a, const uint32_t **ret_key,
                                   size_t *ret_n, struct dz_err *err);
/* A new picture, smaller by the gaps. What no tile covers is white, what lies outside the source is
 * black. DZ_BAD_INPUT: the picture is smaller than its gaps. The caller calls dz_raster_done. */
DZ_MUST enum dz_code dz_retile(const struct dz_raster *in, const struct dz_retile *how,
                               struct dz_raster *ret_r, struct dz_err *err);

/* ---- archives -------------------------------------------------------------------------------- */

struct dz_archive_limits {
    uint64_t entries_max;     /* 20,000 */
    uint64_t entry_bytes_max; /* one entry, unpacked: 256 MiB */
    uint64_t total_bytes_max; /* all entries, unpacked: 8 GiB */
    uint32_t ratio_max; /* unpacked : packed over the whole archive, judged after 16 MiB: 200 */
    uint32_t name_bytes_max; /* 4,096 */
};
extern const struct dz_archive_limits dz_archive_limits_default;

struct dz_archive;
struct dz_archive_entry {
    dz_str name;    /* UTF-8 with '/', as in the archive; valid until the next call. Never used as a
                       path on disk. */
    uint64_t bytes; /* as declared; UINT64_MAX when not told */
    bool is_file; /* false for folders, symbolic and hard links, devices: they have no bytes here */
};
/* zip, cbz, rar, cbr, 7z, cb7, tar, cbt and compressed tar, by content, not by name. DZ_NOT_FOUND,
 * DZ_PARSE ("not an archive that can be read", "encrypted"), DZ_IO. Names that are not UTF-8 are
 * read as CP932 or CP437, whichever fits. */
DZ_MUST enum dz_code dz_archive_open(const char *path, const struct dz_archive_limits *limits,
                                     struct dz_archive **ret_a, struct dz_err *err);
/* As dz_archive_open, over bytes that must outlive the archive. */
DZ_MUST enum dz_code dz_archive_open_memory(dz_str bytes, const struct dz_archive_limits *limits,
                                            struct dz_archive **ret_a, struct dz_err *err);
void dz_archive_close(struct dz_archive **a);
/* Next entry; *ret_has false at the end. Truncated or damaged archives are DZ_PARSE, limits are
 * DZ_TOO_LARGE; both name the entry and the limit. */
DZ_MUST enum dz_code dz_archive_next(struct dz_archive *a, bool *ret_has,
                                     struct dz_archive_entry *ret_e, struct dz_err *err);
/* Bytes of the current entry, whole, appended to out (whose max also counts); at most once for an
 * entry. Not called: the entry is skipped. After an error out is as it was; where only this entry
 * is wrong the next can still be read, and an error of the whole archive (a limit, damage) is
 * repeated by every further call. */
DZ_MUST enum dz_code dz_archive_read(struct dz_archive *a, struct dz_buf *out, struct dz_err *err);

/* Entries that are never pages: __MACOSX/, names with a component that starts with a dot,
 * Thumbs.db, desktop.ini, @eaDir. */
bool dz_archive_is_junk(dz_str name);

/* ---- HTML and XML ---------------------------------------------------------------------------- */

/* A parsed document; one owner thread. Nodes are elements, belong to their document and die with
 * it. */
struct dz_doc;
struct dz_node;
#define DZ_DOC_BYTES_MAX ((size_t)32 * 1024 * 1024)
#define DZ_DOC_TREE_MAX ((size_t)1024 * 1024 * 1024) /* for who knows no better bytes_max */
#define DZ_SELECTOR_MAX 4096u /* bytes of a selector or an XPath expression */
#define DZ_SELECT_NODES_MAX 100000u

/* HTML as browsers' leniency has it. charset: of the Content-Type, n = 0 when not told: then a byte
 * order mark, a <meta>, UTF-8 when it is valid, else windows-1252. DZ_TOO_LARGE; DZ_PARSE only for
 * an empty text or an unknown charset; DZ_FULL when the tree takes more than bytes_max,
 * as the allocator measures it. */
DZ_MUST enum dz_code dz_doc_html(dz_str text, dz_str charset, size_t bytes_max,
                                 struct dz_doc **ret_d, struct dz_err *err);
/* Well-formed XML 1.0 without DTD; no entities beyond the five, no network. DZ_PARSE with line;
 * DZ_TOO_LARGE and DZ_FULL as above. */
DZ_MUST enum dz_code dz_doc_xml(dz_str text, size_t bytes_max, struct dz_doc **ret_d,
                                struct dz_err *err);
size_t dz_doc_bytes(const struct dz_doc *d); /* that it takes */
void dz_doc_free(struct dz_doc **d);
struct dz_node *dz_doc_root(struct dz_doc *d); /* NULL: no element at all */

struct dz_nodes {
    struct dz_node **v; /* in the arena */
    size_t n;
};
/* Elements below `from` (NULL: the whole document) that match, in document order, each once. The
 * selector is judged against the whole document, as browsers' querySelectorAll does: types, *,
 * classes, ids, attributes (= ~= |= ^= $= *= != and the flag i), the four combinators, lists, :not
 * :is :where :has :contains("text") :root :scope (`from`, or the root) :empty :nth-child
 * :nth-last-child :nth-of-type :nth-last-of-type :first- :last- :only-child and -of-type, comments,
 * ns|name with the prefixes of the document. DZ_BAD_INPUT names the place in the
 * selector; DZ_TOO_LARGE when it costs more than the limit of operations. */
DZ_MUST enum dz_code dz_doc_select(struct dz_doc *d, struct dz_node *from, dz_str css,
                                   struct dz_arena *a, struct dz_nodes *ret_nodes,
                                   struct dz_err *err);
/* An XPath 1.0 expression (without the namespace axis). ret_nodes when it gives elements (those
 * among what it gives), else ret_text: the string, number or truth value, or the text of the first
 * attribute or text node; the one that is not meant is empty with p and v NULL. */
DZ_MUST enum dz_code dz_doc_xpath(struct dz_doc *d, struct dz_node *from, dz_str xpath,
                                  struct dz_arena *a, struct dz_nodes *ret_nodes, dz_str *ret_text,
                                  struct dz_err *err);
/* The XPath that a selector becomes, for html or xml names; appended. For tests and people. */
DZ_MUST enum dz_code dz_css_to_xpath(dz_str css, bool html, struct dz_buf *out, struct dz_err *err);

dz_str dz_node_name(const struct dz_node *n);
/* false: not there */
bool dz_node_attr(const struct dz_node *n, dz_str name, struct dz_arena *a, dz_str *ret_value);
void dz_node_text(const struct dz_node *n, bool own, struct dz_buf *out); /* own: no descendants' */
void dz_node_html(const struct dz_doc *d, const struct dz_node *n, struct dz_buf *out); /* outer */
/* Elements only; NULL: none. */
struct dz_node *dz_node_parent(const struct dz_node *n);
struct dz_node *dz_node_next(const struct dz_node *n);
struct dz_node *dz_node_prev(const struct dz_node *n);
struct dz_node *dz_node_child(const struct dz_node *n); /* the first */

/* ---- writing ZIP ----------------------------------------------------------------------------- */

#define DZ_ZIP_ENTRIES_MAX 1000000u
#define DZ_ZIP_NAME_MAX 65535u /* also of the comment */
#define DZ_ZIP_BYTES_MAX ((uint64_t)INT64_MAX / 2)

struct dz_zip_entry {
    dz_str name; /* UTF-8, '/' between folders, none at the ends, no '\\' */
    uint64_t bytes;
    uint32_t crc; /* dz_crc32 of the bytes */
};
/* The layout of a ZIP file with these entries in this order, stored, without data descriptors;
 * what is not an entry's bytes is all in the plan. Equal input makes equal files. Everything is
 * copied. DZ_BAD_INPUT (a name, the comment), DZ_TOO_LARGE. */
struct dz_zip_plan;
DZ_MUST enum dz_code dz_zip_plan_new(const struct dz_zip_entry *v, size_t n, dz_str comment,
                                     struct dz_zip_plan **ret_p, struct dz_err *err);
void dz_zip_plan_free(struct dz_zip_plan **p);
uint64_t dz_zip_plan_bytes(const struct dz_zip_plan *p);  /* of the whole file */
uint64_t dz_zip_plan_memory(const struct dz_zip_plan *p); /* that the plan takes */
/* What stands at one offset of the file, up to where something else begins. */
struct dz_zip_piece {
    dz_str bytes; /* n > 0: these, the plan's own */
    size_t entry; /* else `n` bytes of this entry from its byte `from` on; n > 0 */
    uint64_t from, n;
};
/* false: past the end. Takes log2 of the number of entries. */
bool dz_zip_plan_piece(const struct dz_zip_plan *p, uint64_t at, struct dz_zip_piece *ret);

/* The comment of a ZIP file on disk, whoever wrote it; "" when it has none. DZ_NOT_FOUND, DZ_PARSE
 * (no ZIP file), DZ_IO. Blocks. */
DZ_MUST enum dz_code dz_zip_comment_of(const char *path, struct dz_arena *a, dz_str *ret,
                                       struct dz_err *err);

/* As zip, gzip and PNG have it; begins with crc 0. */
uint32_t dz_crc32(uint32_t crc, dz_str bytes);

/* ---- ComicInfo.xml --------------------------------------------------------------------------- */

/* What is used of ComicInfo 1.0–2.1 (anansi-project). Texts are in the arena, n = 0 when absent;
 * numbers -1 when absent. */
struct dz_comicinfo {
    dz_str title, series, number, summary, writer, penciller, translator, genre, tags, web,
        language, age_rating, manga;
    int64_t volume, count, year, month, day, page_count;
};
/* At most 1 MiB, no DTD, no entities beyond the five, no network. DZ_PARSE with line; DZ_TOO_LARGE.
 */
DZ_MUST enum dz_code dz_comicinfo_parse(dz_str xml, struct dz_arena *a,
                                        struct dz_comicinfo *ret_info, struct dz_err *err);

struct dz_comicinfo_page {
    uint64_t bytes;
    uint32_t width, height; /* 0: not known */
};
/* What is to be said; n = 0 and numbers below 0: nothing. contracts/nagato.md section 6 with the
 * order and meaning of fault 2. */
struct dz_comicinfo_out {
    dz_str title; /* always there, empty when it has none */
    dz_str series, number /* of the chapter, any text */, summary, notes, web;
    int64_t volume, year, month, day;
    dz_str writer, penciller, translator, genre, tags; /* several joined by ", " */
    dz_str language;                                   /* as in "pt-br" */
    dz_str manga;  /* "Unknown", "No", "Yes", "YesAndRightToLeft" */
    dz_str rating; /* "safe", "suggestive", "erotica", "pornographic"; others are left out */
    const struct dz_comicinfo_page *pages;
    size_t pages_n;
    bool sizes; /* ImageWidth and ImageHeight, of pages where both are known */
    bool is_21; /* also what only version 2.1 has: Translator and Tags */
};
/* A file that is valid against version 2.0 of the schema (2.1 with is_21). What XML 1.0 cannot hold
 * is left out. Check out->full. */
void dz_comicinfo_write(const struct dz_comicinfo_out *c, struct dz_buf *out);

/* ---- names ----------------------------------------------------------------------------------- */

/* What a file or folder name says. "My Comic v02 c010.5 - The End (2019) [Group].cbz" → series "My
 * Comic", volume "2", chapter "10.5", title "The End". Texts are in the arena, n = 0 when not said;
 * numbers without leading zeros. */
struct dz_name_info {
    dz_str series, volume, chapter, title;
};
/* name: the last component without folders; is_file: cut a known archive extension. Understands
 * vol/v/第N巻, ch/c/chapter/ episode/ep/#/第N話, plain numbers at the end ("One Piece 1044",
 * "012"), ranges ("c001-003" → "1-3"), decimals ("10.5", "10v2" is version 2 of 10), years in
 * parentheses are no chapter. */
void dz_name_parse(dz_str name, bool is_file, struct dz_arena *a, struct dz_name_info *ret_info);
