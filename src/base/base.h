/*
 * base: what every other room stands on.
 *
 * Slices, buffers, arenas, errors, log, assert, hash map, clock, random, files, digests, a text
 * cursor and the JSON writer. Nothing here knows of HTTP, of a database or of comics. Everything is
 * usable from any thread unless a comment names an owner. Small allocations abort when memory is
 * gone; whatever grows from outside input has a named limit and fails with a code instead.
 */
#pragma once

#include "base/banned.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define DZ_MUST __attribute__((warn_unused_result))
#define DZ_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define DZ_NORETURN __attribute__((noreturn))
#define DZ_LIKELY(x) __builtin_expect(!!(x), 1)
#define DZ_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define DZ_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* Runs destructor fn (which takes T **) when the variable leaves its scope. */
#define DZ_AUTO(fn) __attribute__((cleanup(fn)))

/* Moves a pointer out of a DZ_AUTO variable: returns its value and leaves NULL behind. */
#define dz_take(pp)                                                                                \
    ({                                                                                             \
        __typeof__(*(pp)) dz_taken = *(pp);                                                        \
        *(pp) = NULL;                                                                              \
        dz_taken;                                                                                  \
    })

#define DZ_KIB ((uint64_t)1024)
#define DZ_MIB (DZ_KIB * 1024)
#define DZ_GIB (DZ_MIB * 1024)

/* ---- errors ---------------------------------------------------------------------------------- */

/* The codes; err.c has one row for each: name, HTTP status, GraphQL code, whether a job tries
 * again. */
enum dz_code {
    DZ_OK = 0,
    DZ_BAD_INPUT,    /* 400  what came from outside is wrong */
    DZ_DENIED,       /* 401  key, token or password missing or wrong */
    DZ_FORBIDDEN,    /* 403  never allowed (host not listed, private address) */
    DZ_NOT_FOUND,    /* 404 */
    DZ_GONE,         /* 410 */
    DZ_CONFLICT,     /* 409  somebody else holds or changed it */
    DZ_TOO_LARGE,    /* 413  over a named limit */
    DZ_UNSUPPORTED,  /* 415  well formed, but nothing we can do */
    DZ_RATE_LIMITED, /* 429  retried */
    DZ_UNAVAILABLE,  /* 503  retried: a server or file is not there now */
    DZ_TIMEOUT,      /* 504  retried */
    DZ_PARSE,        /* 502  an upstream or a file said something that cannot be read */
    DZ_CORRUPT,      /* 500  our own data does not match its digest or schema */
    DZ_IO,           /* 500  the system refused a read or a write; native holds errno */
    DZ_FULL,         /* 507  disk, quota or budget used up; retried */
    DZ_CANCELLED,    /* 500  the caller asked to stop */
    DZ_INTERNAL,     /* 500  our bug */
    DZ_CODE_COUNT
};

/* An error by value: no owner, no heap, crosses threads. Text is at most one line and is for
 * people; act on code. */
struct dz_err {
    enum dz_code code;
    int native; /* errno, SQLite code, curl code …; 0 when there is none */
    char text[248];
};

/* Fills err (which may be NULL) and returns code, so that a function ends with `return dz_fail(err,
 * …)`. */
enum dz_code dz_fail(struct dz_err *err, enum dz_code code, const char *fmt, ...) DZ_PRINTF(3, 4);
/* As dz_fail, with a native code; for errno its text is appended as ": No such file or
 * directory". */
enum dz_code dz_fail_errno(struct dz_err *err, enum dz_code code, int native, const char *fmt, ...)
    DZ_PRINTF(4, 5);
/* Puts "context: " before the text of an error; returns err->code. err may be NULL: returns
 * code. */
enum dz_code dz_wrap(struct dz_err *err, enum dz_code code, const char *fmt, ...) DZ_PRINTF(3, 4);

#define DZ_TRY(expr)                                                                               \
    do {                                                                                           \
        enum dz_code dz_try_code = (expr);                                                         \
        if (DZ_UNLIKELY(dz_try_code != DZ_OK))                                                     \
            return dz_try_code;                                                                    \
    } while (0)

const char *dz_code_name(enum dz_code code);    /* "not_found"; static */
int dz_code_http_status(enum dz_code code);     /* 404; 200 for DZ_OK */
const char *dz_code_graphql(enum dz_code code); /* "NOT_FOUND"; static */
bool dz_code_retries(enum dz_code code);        /* whether a job that failed so is tried again */

/* ---- assert and panic ------------------------------------------------------------------------ */

/* Our bug: prints where, the last events of this thread's log ring, and aborts. Stays on in release
 * builds. */
DZ_NORETURN void dz_panic(const char *file, int line, const char *fmt, ...) DZ_PRINTF(3, 4);
#define dz_assert(cond)                                                                            \
    do {                                                                                           \
        if (DZ_UNLIKELY(!(cond)))                                                                  \
            dz_panic(__FILE__, __LINE__, "assertion failed: %s", #cond);                           \
    } while (0)

/* ---- memory ---------------------------------------------------------------------------------- */

/* All of these abort when memory is gone. Free with free(). */
void *dz_alloc(size_t n) __attribute__((malloc, alloc_size(1)));  /* not cleared */
void *dz_zalloc(size_t n) __attribute__((malloc, alloc_size(1))); /* cleared */
void *dz_realloc(void *p, size_t n) __attribute__((alloc_size(2)));
char *dz_strdup(const char *s) __attribute__((malloc));
#define dz_new(T) ((T *)dz_zalloc(sizeof(T)))
/* For a size that came from outside: NULL with DZ_FULL when it cannot be had; honours
 * DZ_FAULT=alloc:N. */
DZ_MUST enum dz_code dz_try_alloc(size_t n, void **ret_p, struct dz_err *err);
/* Frees *(void **)pp and sets it NULL; for DZ_AUTO(dz_freep) on any heap pointer. */
void dz_freep(void *pp);

/* ---- slices ---------------------------------------------------------------------------------- */

/* Borrowed bytes, not NUL-terminated. p may be NULL when n is 0. */
typedef struct dz_str {
    const char *p;
    size_t n;
} dz_str;

#define DZ_S(literal) ((dz_str){(literal), sizeof(literal) - 1})
#define DZ_STR_FMT(s) (int)((s).n), (s).p /* for "%.*s"; only for texts known to be short */
static inline dz_str dz_str_of(const char *cstr)
{
    return (dz_str){cstr, cstr ? strlen(cstr) : 0};
}
static inline bool dz_str_eq(dz_str a, dz_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline dz_str dz_str_sub(dz_str s, size_t from, size_t to) /* [from, to), clipped */
{
    if (to > s.n)
        to = s.n;
    if (from > to)
        from = to;
    return (dz_str){s.p ? s.p + from : s.p, to - from};
}
#define DZ_NPOS ((size_t)-1)
/* What follows the byte at `at`, as dz_str_chr found it; nothing when that is DZ_NPOS. */
static inline dz_str dz_str_after(dz_str s, size_t at)
{
    return at < s.n ? dz_str_sub(s, at + 1, s.n) : (dz_str){NULL, 0};
}
bool dz_str_eq_nocase(dz_str a, dz_str b); /* ASCII only */
int dz_str_cmp(dz_str a, dz_str b);        /* bytes, shorter first on a tie */
bool dz_str_starts(dz_str s, dz_str prefix);
bool dz_str_ends(dz_str s, dz_str suffix);
size_t dz_str_find(dz_str s, dz_str needle); /* DZ_NPOS when absent */
size_t dz_str_chr(dz_str s, char c);         /* first index or DZ_NPOS */
size_t dz_str_rchr(dz_str s, char c);        /* last index or DZ_NPOS */
dz_str dz_str_clip(dz_str s, size_t max); /* at most so many bytes, no half of a UTF-8 character */
dz_str dz_str_trim(dz_str s);             /* ASCII blanks, tabs, CR and LF at both ends */
/* "example.org:80" → "example.org", "[::1]:80" → "[::1]"; what is no port of digits stays, a colon
 * at the end goes. An IPv6 address without brackets has no port. */
dz_str dz_str_without_port(dz_str host);
char *dz_str_dup(dz_str s);    /* heap, NUL-terminated */
bool dz_str_is_utf8(dz_str s); /* no surrogates, no overlong forms, <= U+10FFFF */
/* One step of a UTF-8 decoder over s, which is not empty. Returns how many bytes it took, at least
 * 1. *ret_cp is the code point, or -1 for a malformed sequence; then the bytes taken are the
 * longest part that could have begun a good one, so that one U+FFFD stands for each, as Unicode 3.9
 * advises. */
size_t dz_utf8_step(dz_str s, int32_t *ret_cp);
/* Natural order: runs of digits by value ("2" < "10"), letters without ASCII case, ties broken by
 * bytes; total. */
int dz_str_natural_cmp(dz_str a, dz_str b);
/* Decimal digits only, no sign, no blanks, whole slice, no overflow, <= max; else DZ_BAD_INPUT. */
DZ_MUST enum dz_code dz_str_u64(dz_str s, uint64_t max, uint64_t *ret_n, struct dz_err *err);
/* Levenshtein distance without ASCII case, for "did you mean"; both at most 64 bytes, else a large
 * number. */
unsigned dz_str_distance(dz_str a, dz_str b);

/* ---- buffer: bytes that grow up to a maximum ------------------------------------------------- */

/* Owned by one thread. When max would be passed, the bytes are left as they were and `full` is set;
 * it stays set, and nothing more is appended, until dz_buf_clear, so that a run of appends can be
 * checked once at its end. */
struct dz_buf {
    char *p;
    size_t n, cap, max;
    bool full;
};

void dz_buf_init(struct dz_buf *b, size_t max);
void dz_buf_done(struct dz_buf *b); /* frees; also a DZ_AUTO handler for an embedded struct */
void dz_buf_clear(struct dz_buf *b);
/* Room for `more` bytes after n; false: over max, and `full` is set. */
bool dz_buf_reserve(struct dz_buf *b, size_t more);
void dz_buf_put(struct dz_buf *b, dz_str s);
void dz_buf_putc(struct dz_buf *b, char c);
void dz_buf_put_u64(struct dz_buf *b, uint64_t n); /* decimal */
/* A length of time for people: "90 s", "12 min", "5 h", "3 d"; below zero is "0 s". */
void dz_buf_put_span(struct dz_buf *b, int64_t ms);
/* A number of bytes for people: "1 byte", "102.4 MiB". */
void dz_buf_put_size(struct dz_buf *b, uint64_t bytes);
/* Not for JSON, HTML, XML or headers. */
void dz_buf_putf(struct dz_buf *b, const char *fmt, ...) DZ_PRINTF(2, 3);
/* & < > " ' escaped; also right for XML 1.0, whose forbidden control characters and malformed UTF-8
 * become U+FFFD. */
void dz_buf_put_html(struct dz_buf *b, dz_str s);
/* RFC 3986 percent-encoding of one path segment: all but letters, digits and - . _ ~ */
void dz_buf_put_url(struct dz_buf *b, dz_str s);
static inline dz_str dz_buf_str(const struct dz_buf *b)
{
    return (dz_str){b->p, b->n};
}
const char *dz_buf_cstr(struct dz_buf *b); /* NUL-terminated, not counted in n; "" when full */
/* Heap bytes with a NUL behind; the buffer is empty after. ret_n may be NULL. */
char *dz_buf_take(struct dz_buf *b, size_t *ret_n);

/* ---- arena ----------------------------------------------------------------------------------- */

/* Bump allocation; pieces are never freed singly. One owner thread. Built with -Darena=malloc each
 * piece is a malloc of its own; under ASan what has not been handed out is poisoned. */
struct dz_arena;
struct dz_arena *dz_arena_new(size_t max_bytes);
void dz_arena_free(struct dz_arena **a);
void dz_arena_reset(struct dz_arena *a); /* forgets all pieces, keeps the first block */
/* 16-byte aligned, not cleared; aborts over max_bytes. */
void *dz_arena_alloc(struct dz_arena *a, size_t n);
/* DZ_TOO_LARGE over max_bytes. */
DZ_MUST enum dz_code dz_arena_try(struct dz_arena *a, size_t n, void **ret_p, struct dz_err *err);
char *dz_arena_dup(struct dz_arena *a, dz_str s);  /* NUL-terminated copy */
dz_str dz_arena_str(struct dz_arena *a, dz_str s); /* copy as a slice */
/* A NUL stands behind the slice. */
dz_str dz_arena_printf(struct dz_arena *a, const char *fmt, ...) DZ_PRINTF(2, 3);
size_t dz_arena_used(const struct dz_arena *a); /* bytes handed out, each piece rounded up to 16 */

/* ---- blob body: immutable bytes with a count, the unit of caches and response bodies --------- */

/* Written once by its maker, then shared between threads. */
struct dz_body {
    atomic_uint refs;
    uint32_t head_n; /* so many bytes at the front are a prepared header block; 0: only body */
    size_t n;        /* all bytes, head included */
    char p[];
};
struct dz_body *dz_body_new(size_t n); /* refs 1, head_n 0, not filled */
/* As dz_body_new for a size from outside; DZ_FULL. */
DZ_MUST enum dz_code dz_body_try(size_t n, struct dz_body **ret_b, struct dz_err *err);
struct dz_body *dz_body_ref(struct dz_body *b);
void dz_body_unref(struct dz_body **b);

/* ---- open file: a read-only descriptor with a count, for sendfile ---------------------------- */

/* The file behind it is immutable (a blob). */
struct dz_file {
    atomic_uint refs;
    int fd;
    uint64_t bytes;
};
struct dz_file *dz_file_new(int take_fd, uint64_t bytes); /* refs 1 */
struct dz_file *dz_file_ref(struct dz_file *f);
void dz_file_unref(struct dz_file **f); /* the last one closes fd */

/* ---- hash and hash map ----------------------------------------------------------------------- */

/* Keyed 64-bit hash (SipHash-1-3) with a random per-process key, so that outside keys cannot be
 * aimed at one bucket. */
uint64_t dz_hash(dz_str key);

/* dz_str key → non-NULL pointer. Keys and values are borrowed: they must outlive the map. Open
 * addressing, one owner thread while it is written; any number of readers once it is left alone. */
struct dz_map {
    struct dz_map_slot *slots;
    size_t cap, count;
};
void dz_map_init(struct dz_map *m);
void dz_map_done(struct dz_map *m);
void *dz_map_get(const struct dz_map *m, dz_str key); /* NULL when absent */
/* Returns the value that was there, or NULL; the map keeps the new key in either case. */
void *dz_map_set(struct dz_map *m, dz_str key, void *value);
void *dz_map_del(struct dz_map *m, dz_str key); /* returns what was removed, or NULL */
/* *at starts at 0; outputs may be NULL. The map must not change while it is walked. */
bool dz_map_next(const struct dz_map *m, size_t *at, dz_str *ret_key, void **ret_value);

/* ---- clock and random ------------------------------------------------------------------------ */

int64_t dz_now_ms(void);  /* wall clock, Unix epoch */
int64_t dz_mono_ns(void); /* monotonic */
/* Fixes dz_now_ms(); a negative value lets it run again. */
void dz_clock_set_for_test(int64_t wall_ms);
void dz_random(void *p, size_t n); /* cryptographic (getrandom) */
uint64_t dz_random_u64(void);
/* "2026-11-21T09:20:35Z" into dst[21], and back (DZ_BAD_INPUT). */
void dz_time_iso(int64_t epoch_s, char dst[21]);
DZ_MUST enum dz_code dz_time_iso_parse(dz_str s, int64_t *ret_epoch_s, struct dz_err *err);
/* RFC 9110 5.6.7 IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT", 29 characters, into dst[30]. Years
 * 1970..9999. */
void dz_time_http(int64_t epoch_s, char dst[30]);
/* RFC 9110 5.6.7: IMF-fixdate, RFC 850 and asctime forms. A year of two digits that would be more
 * than 50 years after now_s lies in the century before. DZ_BAD_INPUT otherwise, also when the
 * weekday is not that of the date. */
DZ_MUST enum dz_code dz_time_http_parse(dz_str s, int64_t now_s, int64_t *ret_epoch_s,
                                        struct dz_err *err);

/* ---- digests --------------------------------------------------------------------------------- */

struct dz_sha256 {
    unsigned char b[32];
};
struct dz_sha256 dz_sha256_of(dz_str s);
struct dz_sha256_ctx; /* streaming */
struct dz_sha256_ctx *dz_sha256_new(void);
void dz_sha256_add(struct dz_sha256_ctx *c, dz_str s);
struct dz_sha256 dz_sha256_end(struct dz_sha256_ctx *c);
void dz_sha256_free(struct dz_sha256_ctx **c);
void dz_hex(const void *p, size_t n, char *dst); /* 2n characters, no NUL, lower case */
/* Exactly 2n hex digits of either case; dst is written only on success. */
DZ_MUST enum dz_code dz_unhex(dz_str hex, void *dst, size_t n, struct dz_err *err);
bool dz_equal_const_time(dz_str a, dz_str b); /* time depends on lengths only */

/* ---- files ----------------------------------------------------------------------------------- */

void dz_closep(int *fd); /* DZ_AUTO handler; closes when >= 0 and sets -1 */
/* Appends the whole file to b; DZ_NOT_FOUND, DZ_TOO_LARGE (over b->max), DZ_IO. Honours
 * DZ_FAULT=read:N. */
DZ_MUST enum dz_code dz_file_read(const char *path, struct dz_buf *b, struct dz_err *err);
/* Temporary name (".tmp-" and 16 hex digits) in the same folder, write, fsync, rename, fsync of the
 * folder. Blocks. When the last step fails the new file may be there already; a killed process can
 * leave a temporary file behind. Honours DZ_FAULT=write:N, fsync:N and rename:N. */
DZ_MUST enum dz_code dz_file_write_atomic(const char *path, dz_str bytes, int mode,
                                          struct dz_err *err);
DZ_MUST enum dz_code dz_fsync_dir(const char *path, struct dz_err *err);
DZ_MUST enum dz_code dz_mkdirs(const char *path, int mode, struct dz_err *err); /* mkdir -p */
/* An flock on the file, which is made with mode 0600 when it is not there; links are not followed.
 * Never waits: DZ_CONFLICT when somebody holds it otherwise. The caller keeps *ret_fd; closing it,
 * also by dying, lets go. */
DZ_MUST enum dz_code dz_lock_file(const char *path, bool exclusive, int *ret_fd,
                                  struct dz_err *err);
#define DZ_DATA_DIR_MODE 0755
/* Makes data_dir and in it run (mode 0700: sockets and locks), so that whoever comes first makes
 * the same. */
DZ_MUST enum dz_code dz_make_run_dir(const char *data_dir, struct dz_err *err);
/* Writes all of s, over short writes and EINTR; DZ_FULL for ENOSPC and EDQUOT, else DZ_IO. Honours
 * DZ_FAULT=write:N. */
DZ_MUST enum dz_code dz_write_all(int fd, dz_str s, struct dz_err *err);

/* Test builds (-Dfaults=true): the environment's DZ_FAULT=OP:N makes the Nth dz_fault("OP") of the
 * process return true, and DZ_FAULT=OP:N:kill ends the process there with SIGKILL. Release builds:
 * always false, compiled out. */
#ifdef DZ_FAULTS
bool dz_fault(const char *op);
#else
#define dz_fault(op) false
#endif

/* ---- text cursor for parsers ----------------------------------------------------------------- */

struct dz_cursor {
    dz_str s;
    size_t at;
    uint32_t line, column; /* from 1; column counts bytes */
};
void dz_cursor_init(struct dz_cursor *c, dz_str s);
bool dz_cursor_end(const struct dz_cursor *c);
int dz_cursor_peek(const struct dz_cursor *c);            /* byte, or -1 at the end */
int dz_cursor_next(struct dz_cursor *c);                  /* byte and step, or -1 */
bool dz_cursor_take(struct dz_cursor *c, dz_str literal); /* steps over it when it is there */
dz_str dz_cursor_until(struct dz_cursor *c, char stop);   /* up to, not over, stop or the end */

/* ---- JSON writer (reader: jansson) ----------------------------------------------------------- */

enum dz_json_style {
    DZ_JSON_COMPACT, /* {"a":1,"b":[2]} */
    DZ_JSON_PYTHON,  /* {"a": 1, "b": [2]}, the separators of Python's json.dumps */
    DZ_JSON_INDENT4, /* Python's indent=4: one member a line, empty ones as {} and [] */
};

/* Streams into a buffer, no tree. Nesting at most 32. Wrong use (a key inside an array) asserts.
 * Bytes that are not UTF-8 become U+FFFD. When `ascii` is set, 0x7F and everything above it leaves
 * as \uXXXX with surrogate pairs, as Python's ensure_ascii does; escapes are \" \\ \n \r \t \b \f
 * and \u00XX. */
struct dz_json {
    struct dz_buf *out;
    enum dz_json_style style;
    bool ascii;
    uint8_t depth;
    bool after_key;
    struct {
        bool is_array, has_items;
    } stack[32];
};
void dz_json_init(struct dz_json *j, struct dz_buf *out, enum dz_json_style style, bool ascii);
void dz_json_object(struct dz_json *j);
void dz_json_array(struct dz_json *j);
void dz_json_end(struct dz_json *j); /* closes the innermost */
void dz_json_key(struct dz_json *j, dz_str key);
void dz_json_str(struct dz_json *j, dz_str s);
void dz_json_int(struct dz_json *j, int64_t n);
/* Shortest text that reads back equal, as Python writes it (10.0, 1e+16); NaN and infinities as
 * null. */
void dz_json_real(struct dz_json *j, double x);
void dz_json_bool(struct dz_json *j, bool b);
void dz_json_null(struct dz_json *j);
/* One value that is JSON already, in the right style. */
void dz_json_raw(struct dz_json *j, dz_str json);

/* What jansson has read: the text of a string, or of a member that is one; p = NULL: there is none.
 * Borrowed from the value. */
struct json_t;
dz_str dz_json_text(const struct json_t *v);
dz_str dz_json_text_at(const struct json_t *object, const char *name);
/* A text or a number as text ("10", "10.5"), in the arena; p = NULL: neither. */
dz_str dz_json_scalar_text(struct dz_arena *a, const struct json_t *v);

/* ---- log ------------------------------------------------------------------------------------- */

enum dz_level { DZ_DEBUG, DZ_INFO, DZ_WARN, DZ_ERROR };
enum dz_log_format { DZ_LOG_AUTO, DZ_LOG_TEXT, DZ_LOG_LOGFMT, DZ_LOG_JSON };

/* Who is speaking: every line carries it. Lives on the caller's stack. */
struct dz_log_ctx {
    const char *room; /* "http", "store", … */
    const char *what; /* "import", "request"; may be NULL */
    uint64_t id;      /* request or job id; 0: none */
};

/* At start, before threads. fd is borrowed (2 for stderr). AUTO is text on a terminal and logfmt
 * elsewhere. */
void dz_log_init(int fd, enum dz_level level, enum dz_log_format format);
void dz_log_set_level(enum dz_level level);
bool dz_log_debug_room(const char *room, bool on); /* debug for one room; false: no such room */
/* One line, one write. Control bytes in the text are escaped. Lines below the level go only to the
 * thread's ring of its last 256 events, which a panic prints. NULL ctx is allowed. */
void dz_log(const struct dz_log_ctx *ctx, enum dz_level level, const char *fmt, ...)
    DZ_PRINTF(3, 4);
void dz_log_err(const struct dz_log_ctx *ctx, enum dz_level level, const struct dz_err *err,
                const char *fmt, ...) DZ_PRINTF(4, 5);
/* Bounds a repeated complaint: true at most once every `every_ms` for one static gate. */
struct dz_log_gate {
    _Atomic int64_t next_ms;
};
bool dz_log_gate_pass(struct dz_log_gate *g, int64_t every_ms);
