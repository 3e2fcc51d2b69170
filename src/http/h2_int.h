/*
 * h2_int: what the files of HTTP/2 share. h2.c is the connection: session, floods, reading,
 * writing, time, stop. h2_stream.c is one stream: its head, body and answer. h2_mem.c is memory for
 * nghttp2.
 *
 * nghttp2 frames, packs headers and keeps windows and states; what it leaves to its user (limits on
 * what a peer may make us do, heads into requests, answers into frames) is here. Handlers never run
 * inside a callback of nghttp2: a stream whose request is whole waits in `ready` for that.
 */
#pragma once

#include "http/http_int.h"

#include <nghttp2/nghttp2.h>

/* ---- limits that no setting moves ------------------------------------------------------------ */

#define H2_STREAMS_MAX 128                 /* open at once on a connection */
#define H2_STREAM_WINDOW (256 * 1024)      /* of a body that comes in */
#define H2_CONNECTION_WINDOW (1024 * 1024) /* of all bodies of a connection */
#define H2_IN_BYTES ((size_t)16 * 1024)    /* one read; a TLS record is not longer */
#define H2_READS_A_TURN 4                  /* so that other connections get their turn */
#define H2_OUT_BYTES ((size_t)96 * 1024)   /* frames gathered for one write */
#define H2_FRAME_ROOM ((size_t)17 * 1024)  /* most that nghttp2 adds at a time */
#define H2_QUEUE_MAX 256                   /* control frames waiting; more: reading pauses */
#define H2_ACKS_MAX 512                    /* of these, answers to PING and SETTINGS */
/* Requests that handlers have, also of streams that were reset since; more: reading pauses. Without
 * this a peer that resets what it opens has any number of handlers at work. */
#define H2_OWED_MAX (2 * H2_STREAMS_MAX)
#define H2_CONTINUATIONS_MAX 8 /* in one header block */
#define H2_LIST_FACTOR 4       /* a field list so many times too big is an attack */
/* Of HPACK's table for what we send (RFC 7541 4.1): the fields of a few answers. The peer's stays
 * at 4,096, since a smaller one has to be answered by an update, which simple clients do not send.
 */
#define H2_TABLE_BYTES 1024
#define H2_NOTICE_MS 1000    /* wait for streams that were on their way at a stop */
#define H2_LINGER_MS 1000    /* from an early answer to the reset of its stream */
#define H2_SPARE_STREAMS 256 /* of a lane, kept for the next requests */
#define H2_SPARE_TEXT_BYTES ((size_t)8 * 1024) /* a kept stream has no more memory than that */
#define H2_RECENT 256                          /* ended streams that are told from unknown ones */

/* Frames that do nothing for a request, in one period. More is a flood: ENHANCE_YOUR_CALM. What a
 * peer does with answers that it takes raises the limit: a proxy has the requests of many visitors
 * on one connection, and passes on that they turn pages before all images are there. */
#define H2_FLOOD_MS 10000
enum h2_flood {
    FLOOD_RESET, /* RST_STREAM, and streams that had to be reset for what the peer did */
    FLOOD_PING,  /* also answers to none of ours */
    FLOOD_SETTINGS,
    FLOOD_PRIORITY, /* RFC 7540 and RFC 9218 */
    FLOOD_UPDATE,   /* WINDOW_UPDATE, RST_STREAM of what has ended: what follows DATA */
    FLOOD_EMPTY,    /* DATA with nothing in it and no end either */
    FLOOD_OTHER,    /* what we do not know, GOAWAY, frames of streams that ended */
    FLOOD_COUNT
};
#define H2_RESETS_AN_ANSWER 1 /* each answer that left whole allows one more */
#define H2_PRIORITIES_AN_ANSWER 4
#define H2_UPDATES_A_DATA 4        /* each DATA frame that is worth its header allows four more */
#define H2_DATA_WORTH ((size_t)64) /* or it is the last one of its stream */

/* ---- a lane's share -------------------------------------------------------------------------- */

struct dz_http_h2_lane {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    struct dz_http_stream *spare;
    size_t spare_n;
    nghttp2_nv *field; /* of the answer that is being handed over */
    size_t fields_cap;
    struct dz_buf names; /* of these, in lower case */
    size_t out_n;
    bool out_full; /* nghttp2 has more */
    char in[H2_IN_BYTES];
    char out[H2_OUT_BYTES];
};

/* ---- a stream -------------------------------------------------------------------------------- */

struct dz_http_stream {
    struct dz_http_stream *prev, *next; /* of the connection; next: in the pool */
    struct dz_http_stream *ready_next;
    struct dz_http_h2 *h2;
    struct dz_http_request *request; /* lent to a handler, or its content is being made */
    int32_t id;
    uint32_t list_bytes; /* of the field list as RFC 9113 6.5.2 counts */

    /* The head, as text that parse.c reads: first the pseudo-fields as they came, then from `head`
     * on the request line and the fields. */
    struct dz_buf text, cookies;
    struct dz_http_pseudo {
        uint32_t at, n;
        bool there;
    } method, path, authority;
    uint32_t head;
    uint32_t fields_n;
    uint16_t refused; /* status that the request gets without being looked at; 0: none */
    const char *why;

    struct dz_buf body;
    size_t counted; /* of body, in the sum of the lane */
    /* A body that its handler takes: what lies in `body` was not given to the sink yet. */
    struct dz_http_sink *sink; /* NULL: nobody asked yet, or it hears nothing more */
    uint64_t max, taken;
    size_t held;    /* bytes that the stream's window is not told of yet */
    uint64_t limit; /* of body; known once the head is parsed */
    uint64_t seen;  /* bytes of body or answer since the last look at the rate */

    bool gone;       /* nghttp2 knows it no more */
    bool queued;     /* in the ready list */
    bool head_whole; /* the fields are all there */
    bool parsed;     /* the head was looked at */
    bool uploading;  /* the body is on its way */
    bool ended;      /* the peer has said all */
    bool was_reset;  /* by the peer */
    bool answered;
    bool streamed, asked, paused;
    bool moving;  /* bytes are expected, one way or the other */
    bool aged;    /* there was a look at the rate before */
    bool lingers; /* answered before the request was whole: to be reset in a moment */
    bool waits;   /* its source has nothing now */
    bool sized;   /* its source has `left` more bytes; else nobody knows */
    bool has_priority;

    /* The answer. */
    struct dz_body *answer_body;
    struct dz_file *file;
    char *heap;
    struct dz_http_source *source;
    struct dz_buf copied; /* pieces that would have gone away */
    uint64_t left;        /* of the pieces, or of a source with a known length */
    uint64_t sent;        /* of the content */
    int status;
    size_t piece_at, pieces_n;
    struct dz_http_piece piece[HTTP_PIECES_MAX];
};

/* ---- a connection ---------------------------------------------------------------------------- */

struct dz_http_h2 {
    nghttp2_session *session; /* NULL: the end was said, or the wire is gone */
    struct dz_http_conn *conn;
    struct dz_http_stream *streams;
    struct dz_http_stream *ready, **ready_last;
    uint32_t streams_n; /* that nghttp2 knows */
    uint32_t owed;      /* requests that were handed out */
    uint32_t moving_n;  /* streams whose rate is looked at */
    int32_t last_id;    /* the highest that the peer has opened */
    uint32_t error;     /* why a callback refused to go on; 0: nghttp2's own reasons */

    struct dz_buf rest; /* frames that the wire did not take */
    size_t rest_at;

    /* Where in a frame the input stands, apart from nghttp2, which does not tell. */
    uint8_t prefix_n; /* of the connection preface */
    uint8_t header_n; /* of a frame header */
    uint8_t header[9];
    uint32_t payload_left;
    bool in_block;          /* a header block goes on */
    uint32_t continuations; /* of it */

    uint32_t flood[FLOOD_COUNT];
    uint32_t data_sent; /* DATA frames in this period that were worth it */
    uint32_t answers;   /* that left whole in this period */
    int64_t flood_ms;   /* when the period began */

    /* Times of the loop; 0: not running. */
    int64_t head_due_ms, idle_due_ms, rate_due_ms, notice_due_ms, linger_due_ms;
    int64_t ack_due_ms;               /* of our SETTINGS */
    uint64_t progress, progress_seen; /* bytes of answers given to the wire */
    uint64_t arrived_seen;            /* of all bytes */
    bool rest_aged;                   /* rest was there at the last look */

    bool begun;    /* the peer's first SETTINGS have come */
    bool want_out; /* there is more to send, but others get their turn first */
    bool eof;      /* the peer sends no more */
    bool leaving;  /* the peer said GOAWAY */
    bool stopping; /* the server's stop was told to this connection */
    bool notified, last_said;
    bool ending; /* nothing more but what lies in rest */

    uint8_t recent[H2_RECENT]; /* of ids up to last_id: how they ended */
};
enum { RECENT_NEVER, RECENT_IGNORED, RECENT_ENDED };

/* ---- h2.c for h2_stream.c -------------------------------------------------------------------- */

/* Counts one; true: too many, and h->error says so. */
bool dz_http_h2_floods(struct dz_http_h2 *h, enum h2_flood what);

/* ---- h2_mem.c for h2.c ----------------------------------------------------------------------- */

extern nghttp2_mem dz_http_h2_mem;

/* ---- h2_stream.c for h2.c -------------------------------------------------------------------- */

struct dz_http_stream *dz_http_stream_new(struct dz_http_h2 *h, int32_t id);
/* nghttp2 has forgotten it, or is about to be. Frees it unless somebody has its request. */
void dz_http_stream_closed(struct dz_http_stream *s);
void dz_http_stream_free_spare(struct dz_http_h2_lane *lane);
/* One field of the head; 0, or NGHTTP2_ERR_CALLBACK_FAILURE with h2->error. */
int dz_http_stream_field(struct dz_http_stream *s, dz_str name, dz_str value);
/* False: the stream's window stays as narrow as it is until the sink has taken them. */
bool dz_http_stream_data(struct dz_http_stream *s, dz_str bytes);
void dz_http_stream_body_lost(struct dz_http_stream *s); /* tells the sink, if it still listens */
/* Asks the sources that wait and know no end once more: the connection is about to end. */
void dz_http_streams_end(struct dz_http_h2 *h);
/* Its head or its body is whole, or it cannot become so. */
void dz_http_stream_make_ready(struct dz_http_stream *s);
/* Looks at one that was made ready; a handler may run. */
void dz_http_stream_go_on(struct dz_http_stream *s);
/* Answers by itself and wants no more of the request. */
void dz_http_stream_refuse(struct dz_http_stream *s, int status, const char *why);
int dz_http_stream_send_data(nghttp2_session *session, nghttp2_frame *frame,
                             const uint8_t *frame_header, size_t n, nghttp2_data_source *source,
                             void *user);
