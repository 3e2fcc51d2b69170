/*
 * tls: what the listeners ask of TLS (tls.c: certificates, tls_wire.c: connections); of this room
 * only.
 */
#pragma once

#include "http/http_int.h"

#include <openssl/ssl.h>

/* One reading of the certificates: a context for each pair. Immutable and counted; connections hold
 * one until their handshake is over, after that OpenSSL keeps what it needs. */
struct dz_http_tls_set {
    atomic_uint refs;
    size_t n;
    SSL_CTX *ctx[];
};
/* Of the connections to come. Any thread. NULL: nothing was loaded. */
struct dz_http_tls_set *dz_http_tls_set_current(struct dz_http_server *s);
void dz_http_tls_set_unref(struct dz_http_tls_set **set);
/* The context whose certificate names `host`; the first one when none does. */
SSL_CTX *dz_http_tls_set_find(const struct dz_http_tls_set *set, const char *host);

extern const struct dz_http_wire dz_http_tls_wire;
/* Makes the connection's wire_data; the handshake begins with the first event. False: no
 * certificates, or no memory. */
bool dz_http_tls_open(struct dz_http_conn *c, int fd);
/* SNI: the set of the connection that `ssl` belongs to. NULL once its handshake is over. */
const struct dz_http_tls_set *dz_http_tls_set_of(const SSL *ssl);
dz_watch_fn dz_http_tls_event;
