/*
 * log: one line an event, to one descriptor, in one write.
 *
 * In: level, words and who speaks. Out: a line of text (terminal), logfmt or JSON; and a place in
 * the calling thread's ring of its last 256 events, which a panic prints, also for lines below the
 * level. Any thread after dz_log_init; lines of two threads do not mix because each is a single
 * write(2). Text from outside can carry control bytes: they leave escaped, so that nobody can forge
 * a line. Times are UTC. The ring is freed when its thread ends.
 */
#include "base/base_int.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

enum { RING_EVENTS = 256, EVENT_BYTES = 176, WORDS_BYTES = 2048 };
static const size_t line_bytes_max = 16 * 1024; /* WORDS_BYTES, each escaped to six */

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* clang-format off */
static const char *const rooms[] = {
    "base", "loop", "conf", "pg", "http", "fetch", "media", "cache", "store", "catalog",
    "graphql", "source", "crawl", "library", "api", "cli", "main",
};
/* clang-format on */

static struct {
    int fd;
    enum dz_log_format format;
    _Atomic int level;
    _Atomic uint32_t debug_rooms; /* bit i: rooms[i] logs debug lines */
} out = {.fd = 2, .format = DZ_LOG_LOGFMT, .level = DZ_INFO};

struct event {
    int64_t at_ms;
    char text[EVENT_BYTES];
};

struct ring {
    uint64_t count; /* events ever seen */
    struct event events[RING_EVENTS];
};

static _Thread_local struct ring *ring;
static pthread_once_t ring_once = PTHREAD_ONCE_INIT;
static pthread_key_t ring_key;

static void free_ring(void *p)
{
    ring = NULL;
    free(p);
}

static void make_ring_key(void)
{
    int failed = pthread_key_create(&ring_key, free_ring);
    dz_assert(!failed);
}

static struct ring *own_ring(void)
{
    if (!ring) {
        pthread_once(&ring_once, make_ring_key);
        struct ring *fresh = dz_new(struct ring);
        pthread_setspecific(ring_key, fresh);
        ring = fresh;
    }
    return ring;
}

static int room_at(const char *name)
{
    for (size_t i = 0; i < DZ_LEN(rooms); i++)
        if (strcmp(rooms[i], name) == 0)
            return (int)i;
    return -1;
}

void dz_log_init(int fd, enum dz_level level, enum dz_log_format format)
{
    if (format == DZ_LOG_AUTO)
        format = isatty(fd) ? DZ_LOG_TEXT : DZ_LOG_LOGFMT;
    out.fd = fd;
    out.format = format;
    dz_log_set_level(level);
}

void dz_log_set_level(enum dz_level level)
{
    atomic_store_explicit(&out.level, (int)level, memory_order_relaxed);
}

bool dz_log_debug_room(const char *room, bool on)
{
    int at = room_at(room);
    if (at < 0)
        return false;
    uint32_t bit = (uint32_t)1 << at;
    if (on)
        atomic_fetch_or_explicit(&out.debug_rooms, bit, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&out.debug_rooms, ~bit, memory_order_relaxed);
    return true;
}

int dz_log_fd(void)
{
    return out.fd;
}

static bool is_wanted(const struct dz_log_ctx *ctx, enum dz_level level)
{
    if ((int)level >= atomic_load_explicit(&out.level, memory_order_relaxed))
        return true;
    uint32_t bits = atomic_load_explicit(&out.debug_rooms, memory_order_relaxed);
    if (bits == 0 || !ctx || !ctx->room)
        return false;
    int at = room_at(ctx->room);
    return at >= 0 && (bits >> at & 1);
}

/* Appends words with everything escaped that a terminal or a reader of lines would act on. */
static void put_words(struct dz_buf *line, dz_str s, bool quoted)
{
    while (s.n > 0) {
        int32_t cp;
        size_t step = dz_utf8_step(s, &cp);
        if (cp == '\n')
            dz_buf_put(line, DZ_S("\\n"));
        else if (cp == '\r')
            dz_buf_put(line, DZ_S("\\r"));
        else if (cp == '\t')
            dz_buf_put(line, DZ_S("\\t"));
        else if (quoted && (cp == '"' || cp == '\\'))
            dz_buf_put(line, (dz_str){(const char[]){'\\', (char)cp}, 2});
        else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
            for (size_t i = 0; i < step; i++)
                dz_buf_putf(line, "\\x%02x", (unsigned char)s.p[i]);
        else
            dz_buf_put(line, (dz_str){s.p, step});
        s = dz_str_sub(s, step, s.n);
    }
}

struct line {
    const struct dz_log_ctx *ctx;
    enum dz_level level;
    enum dz_code code; /* DZ_OK: none */
    int64_t at_ms;
    dz_str words;
};

/* "2026-11-21T09:20:35.123Z" */
static void time_text(int64_t at_ms, char dst[32])
{
    dz_time_iso(at_ms / 1000, dst);
    snprintf(dst + 19, 13, ".%03uZ", (unsigned)(at_ms % 1000));
}

static void put_text(struct dz_buf *b, const struct line *l)
{
    char at[32];
    time_text(l->at_ms, at);
    dz_buf_putf(b, "%.8s %-5s ", at + 11, level_names[l->level]);
    if (l->ctx && l->ctx->room)
        dz_buf_putf(b, "%s: ", l->ctx->room);
    put_words(b, l->words, false);
    const char *what = l->ctx ? l->ctx->what : NULL;
    uint64_t id = l->ctx ? l->ctx->id : 0;
    if (what && id)
        dz_buf_putf(b, " (%s %llu)", what, (unsigned long long)id);
    else if (what)
        dz_buf_putf(b, " (%s)", what);
    else if (id)
        dz_buf_putf(b, " (%llu)", (unsigned long long)id);
}

static void put_logfmt(struct dz_buf *b, const struct line *l)
{
    char at[32];
    time_text(l->at_ms, at);
    dz_buf_putf(b, "ts=%s level=%s", at, level_names[l->level]);
    if (l->ctx && l->ctx->room)
        dz_buf_putf(b, " room=%s", l->ctx->room);
    if (l->ctx && l->ctx->what)
        dz_buf_putf(b, " what=%s", l->ctx->what);
    if (l->ctx && l->ctx->id)
        dz_buf_putf(b, " id=%llu", (unsigned long long)l->ctx->id);
    if (l->code != DZ_OK)
        dz_buf_putf(b, " code=%s", dz_code_name(l->code));
    dz_buf_put(b, DZ_S(" msg=\""));
    put_words(b, l->words, true);
    dz_buf_putc(b, '"');
}

static void put_member(struct dz_json *j, dz_str key, const char *value)
{
    dz_json_key(j, key);
    dz_json_str(j, dz_str_of(value));
}

static void put_json(struct dz_buf *b, const struct line *l)
{
    char at[32];
    time_text(l->at_ms, at);
    struct dz_json j;
    dz_json_init(&j, b, DZ_JSON_COMPACT, false);
    dz_json_object(&j);
    put_member(&j, DZ_S("ts"), at);
    put_member(&j, DZ_S("level"), level_names[l->level]);
    if (l->ctx && l->ctx->room)
        put_member(&j, DZ_S("room"), l->ctx->room);
    if (l->ctx && l->ctx->what)
        put_member(&j, DZ_S("what"), l->ctx->what);
    if (l->ctx && l->ctx->id) {
        dz_json_key(&j, DZ_S("id"));
        dz_json_int(&j, (int64_t)l->ctx->id);
    }
    if (l->code != DZ_OK)
        put_member(&j, DZ_S("code"), dz_code_name(l->code));
    dz_json_key(&j, DZ_S("msg"));
    dz_json_str(&j, l->words);
    dz_json_end(&j);
}

static void write_line(const struct line *l)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, line_bytes_max);
    switch (out.format) {
    case DZ_LOG_TEXT:
        put_text(&b, l);
        break;
    case DZ_LOG_JSON:
        put_json(&b, l);
        break;
    case DZ_LOG_AUTO:
    case DZ_LOG_LOGFMT:
        put_logfmt(&b, l);
        break;
    }
    dz_buf_putc(&b, '\n');
    /* A log that cannot be written has nowhere to complain; the ring still has the line. */
    while (write(out.fd, b.p, b.n) < 0 && errno == EINTR)
        continue;
}

static void remember(const struct line *l)
{
    struct ring *r = own_ring();
    struct event *e = &r->events[r->count++ % RING_EVENTS];
    e->at_ms = l->at_ms;
    snprintf(e->text, sizeof(e->text), "%s %s %llu: %.*s", level_names[l->level],
             l->ctx && l->ctx->room ? l->ctx->room : "-",
             l->ctx ? (unsigned long long)l->ctx->id : 0ull, (int)l->words.n, l->words.p);
    for (char *p = e->text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
}

/* Words that were cut end with an ellipsis in place of their last bytes. */
static size_t words_end(char *words, int wanted)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    if (wanted < 0)
        return 0;
    if (wanted < WORDS_BYTES)
        return (size_t)wanted;
    size_t n = WORDS_BYTES - 1 - (sizeof(ellipsis) - 1);
    while (n > 0 && ((unsigned char)words[n] & 0xc0) == 0x80)
        n--;
    memcpy(words + n, ellipsis, sizeof(ellipsis) - 1);
    return n + sizeof(ellipsis) - 1;
}

static void speak(const struct dz_log_ctx *ctx, enum dz_level level, enum dz_code code,
                  dz_str words)
{
    struct line l = {ctx, level, code, dz_now_ms(), words};
    remember(&l);
    if (is_wanted(ctx, level))
        write_line(&l);
}

void dz_log(const struct dz_log_ctx *ctx, enum dz_level level, const char *fmt, ...)
{
    int saved = errno;
    char words[WORDS_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    speak(ctx, level, DZ_OK, (dz_str){words, words_end(words, n)});
    errno = saved;
}

void dz_log_err(const struct dz_log_ctx *ctx, enum dz_level level, const struct dz_err *err,
                const char *fmt, ...)
{
    int saved = errno;
    char words[WORDS_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    size_t end = words_end(words, n);
    int more = snprintf(words + end, sizeof(words) - end, ": %s", err->text);
    end = words_end(words, (int)end + (more > 0 ? more : 0));
    speak(ctx, level, err->code, (dz_str){words, end});
    errno = saved;
}

/* Writes one event as it stands; a panic may come from a broken heap, so nothing is allocated. */
static void dump_event(int fd, const struct event *e)
{
    char at[32], text[EVENT_BYTES + 64];
    time_text(e->at_ms, at);
    int n = snprintf(text, sizeof(text), "  %s %s\n", at, e->text);
    if (n > 0 && write(fd, text, (size_t)n) < 0)
        return;
}

void dz_log_dump_ring(int fd)
{
    if (!ring || ring->count == 0)
        return;
    static const char title[] = "last events of this thread, oldest first:\n";
    if (write(fd, title, sizeof(title) - 1) < 0)
        return;
    uint64_t from = ring->count > RING_EVENTS ? ring->count - RING_EVENTS : 0;
    for (uint64_t i = from; i < ring->count; i++)
        dump_event(fd, &ring->events[i % RING_EVENTS]);
}

bool dz_log_gate_pass(struct dz_log_gate *g, int64_t every_ms)
{
    int64_t now_ms = dz_mono_ns() / 1000000;
    int64_t next_ms = atomic_load_explicit(&g->next_ms, memory_order_relaxed);
    return now_ms >= next_ms &&
           atomic_compare_exchange_strong_explicit(&g->next_ms, &next_ms, now_ms + every_ms,
                                                   memory_order_relaxed, memory_order_relaxed);
}
