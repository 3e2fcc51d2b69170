/*
 * tls: certificates and keys from files to OpenSSL contexts.
 *
 * In: pairs of PEM files. Out: a counted set with one context a pair, swapped in as a whole under a
 * mutex, so that a reload that fails changes nothing and connections go on with what they began
 * with. Blocking; any thread. OpenSSL checks that leaf and key belong together; what it says of a
 * file is put behind the file's name. Bytes of a key are wiped as soon as they are parsed and never
 * printed. The odd thing: contexts share nothing, so tickets of before a reload are worth nothing
 * after it, and a client that comes with one makes a full handshake.
 */
#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <time.h>

#define PEM_BYTES_MAX ((size_t)1024 * 1024)
#define CHAIN_MAX 32 /* certificates behind the leaf */
#define PAIRS_MAX 1000

/* Forward secrecy and authenticated encryption only; the cheaper cipher of the processor first, and
 * ChaCha20 for clients that put it first because they have no AES instructions. */
#define CIPHERS_1_2                                                                                \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"

/* ---- what OpenSSL calls during a handshake --------------------------------------------------- */

struct protocols { /* RFC 7301, best first */
    unsigned char n;
    unsigned char p[32];
};
static const struct protocols plain = {18, "\x08http/1.1\x08http/1.0"};
static const struct protocols with_h2 = {21, "\x02h2\x08http/1.1\x08http/1.0"};

/* A client that speaks nothing of ours is told so: it may have taken us for a mail server. */
static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
                           const unsigned char *offered, unsigned offered_n, void *arg)
{
    (void)ssl;
    const struct protocols *ours = arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, ret_n, ours->p, ours->n, offered, offered_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    (void)arg;
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct dz_http_tls_set *set = dz_http_tls_set_of(ssl);
    if (!host || !set)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_CTX *fits = dz_http_tls_set_find(set, host);
    if (fits != SSL_get_SSL_CTX(ssl))
        SSL_set_SSL_CTX(ssl, fits);
    return SSL_TLSEXT_ERR_OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Only a regular file: opening a named pipe would wait for whoever writes into it, at the start
 * and at each look for changes, and a server that waits does not stop either. */
static enum dz_code read_file(const char *path, struct dz_buf *b, struct dz_err *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return dz_fail(err, DZ_BAD_INPUT, "%.150s is neither a file nor a link to one", path);
    struct dz_err why;
    enum dz_code code = dz_file_read(path, b, &why);
    if (code == DZ_OK)
        return DZ_OK;
    return dz_fail(err, code == DZ_TOO_LARGE ? DZ_BAD_INPUT : DZ_IO, "%s", why.text);
}

/* OpenSSL's last word on a file, in its own few words. */
static enum dz_code refused(const char *path, const char *what, struct dz_err *err)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return dz_fail(err, DZ_BAD_INPUT, "%.150s: %s%s%s", path, what, why ? ": " : "",
                   why ? why : "");
}

static int64_t epoch_of(const ASN1_TIME *t)
{
    struct tm tm = {0};
    return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

static void warn_of_dates(const char *path, const X509 *leaf, struct dz_buf *warnings)
{
    int64_t now_s = dz_now_ms() / 1000;
    int64_t from_s = epoch_of(X509_get0_notBefore(leaf));
    int64_t until_s = epoch_of(X509_get0_notAfter(leaf));
    if (!warnings || (from_s <= now_s && now_s <= until_s))
        return;
    char date[21];
    dz_time_iso(now_s > until_s ? until_s : from_s, date);
    dz_buf_putf(warnings, "%s: the certificate %s %s; clients will refuse it\n", path,
                now_s > until_s ? "expired on" : "is not valid before", date);
}

/* The leaf, then the certificates between it and the root, as they go to clients. */
static enum dz_code use_certificates(SSL_CTX *ctx, const char *path, struct dz_buf *warnings,
                                     struct dz_err *err)
{
    struct dz_buf pem DZ_AUTO(dz_buf_done);
    dz_buf_init(&pem, PEM_BYTES_MAX);
    DZ_TRY(read_file(path, &pem, err));
    BIO *bio = BIO_new_mem_buf(pem.p ? pem.p : "", (int)pem.n);
    X509 *leaf = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    enum dz_code code = DZ_OK;
    if (!leaf)
        code = refused(path, "no certificate in PEM form", err);
    else if (SSL_CTX_use_certificate(ctx, leaf) != 1)
        code = refused(path, "the certificate cannot be used", err);
    else
        warn_of_dates(path, leaf, warnings);
    X509_free(leaf);
    for (int n = 0; code == DZ_OK; n++) {
        X509 *next = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!next && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
            break; /* the end of the file */
        if (!next) {
            code = refused(path, "a certificate of the chain is damaged", err);
        } else if (n >= CHAIN_MAX) {
            code = dz_fail(err, DZ_BAD_INPUT, "%.150s: more than %d certificates in the chain",
                           path, CHAIN_MAX);
            X509_free(next);
        } else if (SSL_CTX_add0_chain_cert(ctx, next) != 1) { /* takes it on success */
            code = refused(path, "a certificate of the chain cannot be used", err);
            X509_free(next);
        }
    }
    ERR_clear_error();
    BIO_free(bio);
    return code;
}

/* Nobody is there to type a passphrase. */
static int no_passphrase(char *to, int n, int writing, void *arg)
{
    (void)to;
    (void)n;
    (void)writing;
    *(bool *)arg = true;
    return -1;
}

static void warn_of_mode(const char *path, struct dz_buf *warnings)
{
    struct stat st;
    if (!warnings || stat(path, &st) != 0 || (st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) == 0)
        return;
    dz_buf_putf(warnings, "%s: the key can be %s by others (mode %04o); chmod 600 it\n", path,
                st.st_mode & S_IROTH ? "read" : "changed", (unsigned)st.st_mode & 07777);
}

static enum dz_code use_key(SSL_CTX *ctx, const struct dz_http_tls_pair *pair,
                            struct dz_buf *warnings, struct dz_err *err)
{
    struct dz_buf pem DZ_AUTO(dz_buf_done);
    dz_buf_init(&pem, PEM_BYTES_MAX);
    DZ_TRY(read_file(pair->key, &pem, err));
    bool asked = false;
    BIO *bio = BIO_new_mem_buf(pem.p ? pem.p : "", (int)pem.n);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
    BIO_free(bio);
    if (pem.p)
        OPENSSL_cleanse(pem.p, pem.cap);
    if (!key && asked) {
        ERR_clear_error();
        return dz_fail(err, DZ_BAD_INPUT,
                       "%.150s: the key has a passphrase, which nobody can type at a start; "
                       "\"openssl pkey\" writes it without",
                       pair->key);
    }
    if (!key)
        return refused(pair->key, "no private key in PEM form", err);
    enum dz_code code = DZ_OK;
    if (X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) != 1) {
        ERR_clear_error();
        code = dz_fail(err, DZ_BAD_INPUT, "%.100s: the key is not that of the certificate %.100s",
                       pair->key, pair->certificate);
    } else if (SSL_CTX_use_PrivateKey(ctx, key) != 1) {
        code = refused(pair->key, "the key cannot be used", err);
    }
    EVP_PKEY_free(key);
    if (code == DZ_OK)
        warn_of_mode(pair->key, warnings);
    return code;
}

/* ---- contexts -------------------------------------------------------------------------------- */

static bool set_up(SSL_CTX *ctx, const struct dz_http_tls_options *o)
{
    uint64_t options = SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                       SSL_OP_IGNORE_UNEXPECTED_EOF;
    if (o->kernel)
        options |= SSL_OP_ENABLE_KTLS;
    SSL_CTX_set_options(ctx, options);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(ctx, 1);
    /* Tickets make sessions the client's business; a cache here would cost memory for each. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol,
                               (void *)(uintptr_t)(o->http2 ? &with_h2 : &plain));
    SSL_CTX_set_tlsext_servername_callback(ctx, choose_certificate);
    return SSL_CTX_set_min_proto_version(ctx, o->tls_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, CIPHERS_1_3) == 1 &&
           SSL_CTX_set1_groups_list(ctx, GROUPS) == 1 &&
           SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"dozo", 4) == 1;
}

static void context_free(SSL_CTX **ctx)
{
    SSL_CTX_free(*ctx);
    *ctx = NULL;
}

static enum dz_code context_new(const struct dz_http_tls_options *o,
                                const struct dz_http_tls_pair *pair, SSL_CTX **ret_ctx,
                                struct dz_err *err)
{
    ERR_clear_error();
    DZ_AUTO(context_free) SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx || !set_up(ctx, o))
        return refused("TLS", "OpenSSL cannot be set up", err);
    DZ_TRY(use_certificates(ctx, pair->certificate, o->warnings, err));
    DZ_TRY(use_key(ctx, pair, o->warnings, err));
    *ret_ctx = dz_take(&ctx);
    return DZ_OK;
}

void dz_http_tls_set_unref(struct dz_http_tls_set **set)
{
    struct dz_http_tls_set *gone = dz_take(set);
    if (!gone || atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < gone->n; i++)
        SSL_CTX_free(gone->ctx[i]);
    dz_freep(&gone);
}

struct dz_http_tls_set *dz_http_tls_set_current(struct dz_http_server *s)
{
    pthread_mutex_lock(&s->tls_lock);
    struct dz_http_tls_set *set = s->tls;
    if (set)
        atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&s->tls_lock);
    return set;
}

SSL_CTX *dz_http_tls_set_find(const struct dz_http_tls_set *set, const char *host)
{
    for (size_t i = 0; i < set->n; i++)
        if (X509_check_host(SSL_CTX_get0_certificate(set->ctx[i]), host, 0, 0, NULL) == 1)
            return set->ctx[i];
    return set->ctx[0];
}

enum dz_code dz_http_tls_load(struct dz_http_server *s, const struct dz_http_tls_options *o,
                              struct dz_err *err)
{
    if (o->pairs_n == 0 || o->pairs_n > PAIRS_MAX)
        return dz_fail(err, DZ_BAD_INPUT, "TLS takes 1 to %d certificates, not %zu", PAIRS_MAX,
                       o->pairs_n);
    DZ_AUTO(dz_http_tls_set_unref)
    struct dz_http_tls_set *set = dz_zalloc(sizeof(*set) + o->pairs_n * sizeof(SSL_CTX *));
    atomic_init(&set->refs, 1);
    for (; set->n < o->pairs_n; set->n++)
        DZ_TRY(context_new(o, &o->pairs[set->n], &set->ctx[set->n], err));
    pthread_mutex_lock(&s->tls_lock);
    struct dz_http_tls_set *old = s->tls;
    s->tls = dz_take(&set);
    pthread_mutex_unlock(&s->tls_lock);
    dz_http_tls_set_unref(&old);
    return DZ_OK;
}
