/*
 * test_tls: https listeners with a real client of OpenSSL, and what the loading of certificates
 * says.
 */
#include <netinet/in.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "dial.h"

#include "http/http_int.h"

#define BIG_BYTES ((uint64_t)64 * 1024 * 1024 + 77)
#define HELLO "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- certificates ---------------------------------------------------------------------------- */

static char folder[] = "/tmp/dozo-test-tls-XXXXXX";
static struct dz_file *big;
static struct dz_body *big_head;
static char address[128];
static SSL_SESSION *session; /* the last one that a server gave */

static const char *path_of(const char *name)
{
    static char path[8][64];
    static unsigned at;
    char *to = path[at++ % 8];
    snprintf(to, sizeof(path[0]), "%s/%s", folder, name);
    return to;
}

static void write_text(const char *name, const char *text)
{
    must(dz_file_write_atomic(path_of(name), dz_str_of(text), 0600, err));
}

static void write_pair(const char *name, const char *host, long from_s, long until_s,
                       const char *passphrase)
{
    char file[32], san[64];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), from_s);
    X509_gmtime_adj(X509_getm_notAfter(x), until_s);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)host, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    snprintf(san, sizeof(san), "DNS:%s", host);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
    X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    snprintf(file, sizeof(file), "%s.crt", name);
    BIO *out = BIO_new_file(path_of(file), "w");
    assert_int_equal(PEM_write_bio_X509(out, x), 1);
    BIO_free(out);
    snprintf(file, sizeof(file), "%s.key", name);
    out = BIO_new_file(path_of(file), "w");
    assert_int_equal(
        PEM_write_bio_PKCS8PrivateKey(out, key, passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
                                      passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
        1);
    BIO_free(out);
    assert_int_equal(chmod(path_of(file), 0600), 0);
    X509_free(x);
    EVP_PKEY_free(key);
}

static int make_files(void **state)
{
    (void)state;
    dz_clock_set_for_test(-1);
    assert_non_null(mkdtemp(folder));
    write_pair("a", "a.example", -60, 3600, NULL);
    write_pair("b", "*.b.example", -60, 3600, NULL);
    write_pair("old", "a.example", -7200, -3600, NULL);
    write_pair("young", "a.example", 3600, 7200, NULL);
    write_pair("locked", "a.example", -60, 3600, "secret");
    write_text("text", "no certificate in here\n");
    write_text("damaged", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write_text("empty", "");
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    static const char *const names[] = {"a.crt",      "a.key",   "b.crt",     "b.key",
                                        "old.crt",    "old.key", "young.crt", "young.key",
                                        "text",       "damaged", "empty",     "locked.crt",
                                        "locked.key", "chain",   "loose.key", "pipe"};
    for (size_t i = 0; i < DZ_LEN(names); i++)
        (void)unlink(path_of(names[i]));
    return rmdir(folder);
}

/* ---- loading --------------------------------------------------------------------------------- */

static enum dz_code load(const char *crt, const char *key, struct dz_buf *warnings,
                         struct dz_err *err)
{
    struct dz_http_tls_pair pair = {path_of(crt), path_of(key)};
    struct dz_http_tls_options o = {
        .pairs = &pair, .pairs_n = 1, .tls_1_2 = true, .kernel = true, .warnings = warnings};
    return dz_http_tls_load(rig.server, &o, err);
}

static void load_says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *crt, *key, *file, *words;
        enum dz_code code;
    } cases[] = {
        {"none", "a.key", "none", "No such file", DZ_IO},
        {"a.crt", "none", "none", "No such file", DZ_IO},
        {".", "a.key", ".", "Is a directory", DZ_IO},
        {"pipe", "a.key", "pipe", "neither a file nor a link", DZ_BAD_INPUT}, /* and nobody waits */
        {"a.crt", "pipe", "pipe", "neither a file nor a link", DZ_BAD_INPUT},
        {"text", "a.key", "text", "no certificate in PEM form", DZ_BAD_INPUT},
        {"empty", "a.key", "empty", "no certificate in PEM form", DZ_BAD_INPUT},
        {"damaged", "a.key", "damaged", "no certificate in PEM form", DZ_BAD_INPUT},
        {"chain", "a.key", "chain", "a certificate of the chain is damaged", DZ_BAD_INPUT},
        {"a.crt", "a.crt", "a.crt", "no private key in PEM form", DZ_BAD_INPUT},
        {"a.crt", "empty", "empty", "no private key in PEM form", DZ_BAD_INPUT},
        {"a.crt", "b.key", "b.key", "not that of the certificate", DZ_BAD_INPUT},
        {"locked.crt", "locked.key", "locked.key", "passphrase", DZ_BAD_INPUT},
    };
    rig_open(NULL);
    struct dz_buf chain DZ_AUTO(dz_buf_done);
    dz_buf_init(&chain, 1 << 20);
    must(dz_file_read(path_of("a.crt"), &chain, err));
    dz_buf_put(&chain, DZ_S("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    write_text("chain", dz_buf_cstr(&chain));
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct dz_err err = {0};
        assert_int_equal(load(cases[i].crt, cases[i].key, NULL, &err), cases[i].code);
        assert_non_null(strstr(err.text, path_of(cases[i].file)));
        if (!strstr(err.text, cases[i].words))
            fail_msg("case %zu says: %s", i, err.text);
        assert_int_equal(ERR_peek_error(), 0);
    }
    struct dz_err err = {0};
    char to[128];
    assert_int_equal(dz_http_listen(rig.server, "https://127.0.0.1:0", 1, to, &err), DZ_BAD_INPUT);
    rig_close();
}

static void load_warns(void **state)
{
    (void)state;
    rig_open(NULL);
    dz_clock_set_for_test(-1); /* the certificates are of today */
    struct dz_buf said DZ_AUTO(dz_buf_done);
    dz_buf_init(&said, 4096);
    must(load("a.crt", "a.key", &said, err));
    assert_int_equal(said.n, 0);
    must(load("old.crt", "old.key", &said, err));
    assert_non_null(strstr(dz_buf_cstr(&said), "expired on 20"));
    dz_buf_clear(&said);
    must(load("young.crt", "young.key", &said, err));
    assert_non_null(strstr(dz_buf_cstr(&said), "is not valid before 20"));
    dz_buf_clear(&said);
    struct dz_buf key DZ_AUTO(dz_buf_done);
    dz_buf_init(&key, 4096);
    must(dz_file_read(path_of("a.key"), &key, err));
    write_text("loose.key", dz_buf_cstr(&key));
    assert_int_equal(chmod(path_of("loose.key"), 0644), 0);
    must(load("a.crt", "loose.key", &said, err));
    assert_non_null(strstr(dz_buf_cstr(&said), "can be read by others (mode 0644)"));
    rig_close();
}

/* ---- a client -------------------------------------------------------------------------------- */

static void rig_big(struct dz_http_req *r)
{
    dz_http_reply_file(r, big_head, big);
}

static void start(const struct dz_http_options *o)
{
    struct dz_http_options all = o ? *o : (struct dz_http_options){0};
    all.fallback = rig_big;
    rig_open(&all);
    struct dz_http_tls_pair pair[] = {{path_of("a.crt"), path_of("a.key")},
                                      {path_of("b.crt"), path_of("b.key")}};
    struct dz_http_tls_options t = {
        .pairs = pair, .pairs_n = DZ_LEN(pair), .tls_1_2 = true, .kernel = true};
    must(dz_http_tls_load(rig.server, &t, err));
    int fd = memfd_create("big", MFD_CLOEXEC);
    char *bytes = dz_alloc(BIG_BYTES);
    for (uint64_t i = 0; i < BIG_BYTES; i++)
        bytes[i] = rig_file_byte(i);
    must(dz_write_all(fd, (dz_str){bytes, BIG_BYTES}, err));
    free(bytes);
    big = dz_file_new(fd, BIG_BYTES);
    big_head =
        dz_http_prepare(&(struct dz_http_meta){.last_modified_s = -1}, (dz_str){0}, BIG_BYTES);
    must(dz_http_listen(rig.server, "https://127.0.0.1:0", 2, address, err));
    assert_true(dz_str_starts(dz_str_of(address), DZ_S("https://127.0.0.1:")));
    must(dz_http_start(rig.server, 2, err));
}

static void stop(void)
{
    rig_close();
    dz_body_unref(&big_head);
    dz_file_unref(&big);
    SSL_SESSION_free(session);
    session = NULL;
}

struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

static int keep_session(SSL *ssl, SSL_SESSION *s)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = s;
    return 1;
}

static struct client client_new(int version, const char *host, int fragment)
{
    struct client c = {.ctx = SSL_CTX_new(TLS_client_method()), .fd = dial(address, 0)};
    SSL_CTX_set_min_proto_version(c.ctx, version);
    SSL_CTX_set_max_proto_version(c.ctx, version);
    SSL_CTX_set_session_cache_mode(c.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c.ctx, keep_session);
    if (fragment)
        SSL_CTX_set_tlsext_max_fragment_length(c.ctx, (uint8_t)fragment);
    c.ssl = SSL_new(c.ctx);
    SSL_set_fd(c.ssl, c.fd);
    if (host)
        SSL_set_tlsext_host_name(c.ssl, host);
    if (session)
        SSL_set_session(c.ssl, session);
    assert_int_equal(SSL_connect(c.ssl), 1);
    return c;
}

static void client_end(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    dz_closep(&c->fd);
    ERR_clear_error();
}

static void put(struct client *c, dz_str s)
{
    assert_int_equal(SSL_write(c->ssl, s.p, (int)s.n), (int)s.n);
}

/* One answer, or what came before the end. */
static dz_str get(struct client *c)
{
    dz_buf_clear(&rig.out);
    for (;;) {
        dz_str all = dz_buf_str(&rig.out);
        size_t head = dz_str_find(all, DZ_S("\r\n\r\n"));
        size_t want = 1;
        if (head != DZ_NPOS) {
            uint64_t length = 0;
            dz_str text = header_of(all, "Content-Length");
            if (text.p)
                must(dz_str_u64(text, UINT64_MAX, &length, err));
            if (all.n == head + 4 + length)
                return all;
            want = head + 4 + length - all.n;
        }
        if (want > 16384)
            want = 16384;
        assert_true(dz_buf_reserve(&rig.out, want));
        int n = SSL_read(c->ssl, rig.out.p + rig.out.n, (int)want);
        if (n <= 0)
            return dz_buf_str(&rig.out);
        rig.out.n += (size_t)n;
    }
}

static bool at_end(struct client *c) /* with a close_notify */
{
    char byte;
    int n = SSL_read(c->ssl, &byte, 1);
    return n <= 0 && SSL_get_error(c->ssl, n) == SSL_ERROR_ZERO_RETURN;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void requests(void **state)
{
    (void)state;
    start(NULL);
    for (size_t v = 0; v < DZ_LEN(versions); v++) {
        struct client c = client_new(versions[v], NULL, 0);
        for (int i = 0; i < 3; i++) {
            put(&c, DZ_S(HELLO));
            assert_text(body_of(get(&c)), "hello world");
        }
        put(&c, DZ_S("GET /show HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_non_null(strstr(dz_buf_cstr((get(&c), &rig.out)), "https=yes"));
        put(&c,
            DZ_S("HEAD /file HTTP/1.1\r\nHost: a\r\n\r\nGET /late/x HTTP/1.1\r\nHost: a\r\n\r\n"));
        dz_buf_clear(&rig.out);
        assert_true(dz_buf_reserve(&rig.out, 65536));
        while (!strstr(dz_buf_cstr(&rig.out), "\r\n\r\n/late/x")) {
            int n = SSL_read(c.ssl, rig.out.p + rig.out.n, 4096);
            assert_true(n > 0);
            rig.out.n += (size_t)n;
        }
        put(&c, DZ_S("GET /file HTTP/1.1\r\nHost: a\r\nRange: bytes=99990-\r\n\r\n"));
        dz_str body = body_of(get(&c));
        assert_int_equal(body.n, 10);
        assert_int_equal(body.p[9], rig_file_byte(RIG_FILE_BYTES - 1));
        put(&c, DZ_S("GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        assert_int_equal(body_of(get(&c)).n, RIG_FILE_BYTES);
        assert_true(at_end(&c));
        client_end(&c);
    }
    stop();
}

/* Requests that lie inside one record, which the socket says nothing more of. */
static void pipelining(void **state)
{
    (void)state;
    start(NULL);
    for (size_t v = 0; v < DZ_LEN(versions); v++) {
        struct client c = client_new(versions[v], NULL, 0);
        struct dz_buf many DZ_AUTO(dz_buf_done);
        dz_buf_init(&many, 1 << 20);
        for (int i = 0; i < 1000; i++) {
            dz_buf_put(&many,
                       i % 10 ? DZ_S(HELLO) : DZ_S("GET /late/x HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
        put(&c, dz_buf_str(&many));
        dz_buf_clear(&rig.out);
        size_t hello = 0, late = 0;
        struct dz_buf all DZ_AUTO(dz_buf_done);
        dz_buf_init(&all, 4 << 20);
        while (late + hello < 1000) {
            assert_true(dz_buf_reserve(&all, 65536));
            int n = SSL_read(c.ssl, all.p + all.n, 65536);
            assert_true(n > 0);
            all.n += (size_t)n;
            hello = late = 0;
            dz_str rest = dz_buf_str(&all);
            for (size_t at; (at = dz_str_find(rest, DZ_S("\r\n\r\n"))) != DZ_NPOS;) {
                rest = dz_str_sub(rest, at + 4, rest.n);
                hello += dz_str_starts(rest, DZ_S("hello world"));
                late += dz_str_starts(rest, DZ_S("/late/x"));
            }
        }
        assert_int_equal(late, 100);
        client_end(&c);
    }
    stop();
}

/* 64 MiB, to a reader that is slower than the server: records are cut short and gone on with. */
static void large_file(void **state)
{
    (void)state;
    start(NULL);
    for (size_t v = 0; v < DZ_LEN(versions); v++)
        for (int fragment = 0; fragment <= (v == 0 ? TLSEXT_max_fragment_length_512 : 0);
             fragment++) {
            struct client c = client_new(versions[v], NULL, fragment);
            put(&c, DZ_S("GET /any-file HTTP/1.1\r\nHost: a\r\n\r\n" HELLO));
            char part[16384];
            size_t at = 0, skip = 0;
            int n = SSL_read(c.ssl, part, sizeof(part));
            assert_true(n > 0);
            skip = dz_str_find((dz_str){part, (size_t)n}, DZ_S("\r\n\r\n")) + 4;
            /* The header block shares a record with the file's first bytes. */
            assert_int_equal(n, fragment ? 512 : 16384);
            for (;;) {
                for (size_t i = skip; i < (size_t)n && at < BIG_BYTES; i++, at++)
                    if (part[i] != rig_file_byte(at))
                        fail_msg("byte %zu is wrong", at);
                skip = 0;
                if (at == BIG_BYTES)
                    break;
                n = SSL_read(c.ssl, part,
                             BIG_BYTES - at < sizeof(part) ? (int)(BIG_BYTES - at)
                                                           : (int)sizeof(part));
                assert_true(n > 0);
            }
            assert_text(body_of(get(&c)), "hello world");
            client_end(&c);
        }
    stop();
}

static void body_in_tiny_records(void **state)
{
    (void)state;
    start(NULL);
    for (size_t v = 0; v < DZ_LEN(versions); v++) {
        struct client c = client_new(versions[v], NULL, 0);
        put(&c, DZ_S("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n"));
        struct dz_buf body DZ_AUTO(dz_buf_done);
        dz_buf_init(&body, 1 << 20);
        for (uint64_t i = 0; i < 300000; i++)
            dz_buf_putc(&body, rig_file_byte(i));
        for (size_t at = 0; at < body.n;) {
            size_t step = at < 3000 ? 1 : 997;
            dz_str part = dz_str_sub(dz_buf_str(&body), at, at + step);
            put(&c, part);
            at += part.n;
        }
        assert_true(dz_str_eq(body_of(get(&c)), dz_buf_str(&body)));
        client_end(&c);
    }
    stop();
}

static void resumption(void **state)
{
    (void)state;
    start(NULL);
    for (size_t v = 0; v < DZ_LEN(versions); v++) {
        for (int i = 0; i < 3; i++) {
            struct client c = client_new(versions[v], "x.b.example", 0);
            put(&c, DZ_S(HELLO)); /* TLS 1.3 gives its tickets after the handshake */
            assert_text(body_of(get(&c)), "hello world");
            assert_int_equal(SSL_session_reused(c.ssl), i > 0);
            (void)SSL_shutdown(c.ssl);
            client_end(&c);
        }
        SSL_SESSION_free(session);
        session = NULL;
    }
    stop();
}

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *got;
    } cases[] = {{NULL, "a.example"},
                 {"a.example", "a.example"},
                 {"x.b.example", "*.b.example"},
                 {"X.B.Example", "*.b.example"},
                 {"x.y.b.example", "a.example"},
                 {"nobody.example", "a.example"}};
    start(NULL);
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        struct client c = client_new(versions[i % 2], cases[i].asked, 0);
        X509 *x = SSL_get1_peer_certificate(c.ssl);
        char name[64];
        X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof(name));
        assert_string_equal(name, cases[i].got);
        X509_free(x);
        client_end(&c);
        SSL_SESSION_free(session);
        session = NULL;
    }
    stop();
}

/* New files while a connection is open: it goes on, the next one sees the new certificate. */
static void reload(void **state)
{
    (void)state;
    start(NULL);
    struct client before = client_new(TLS1_3_VERSION, NULL, 0);
    must(load("b.crt", "b.key", NULL, err));
    struct dz_err err;
    assert_int_equal(load("text", "b.key", NULL, &err), DZ_BAD_INPUT);
    put(&before, DZ_S(HELLO));
    assert_text(body_of(get(&before)), "hello world");
    SSL_SESSION_free(session);
    session = NULL;
    struct client after = client_new(TLS1_3_VERSION, "a.example", 0);
    X509 *x = SSL_get1_peer_certificate(after.ssl);
    assert_int_equal(X509_check_host(x, "x.b.example", 0, 0, NULL), 1);
    X509_free(x);
    client_end(&before);
    client_end(&after);
    stop();
}

static void half_close(void **state)
{
    (void)state;
    start(NULL);
    for (size_t v = 0; v < DZ_LEN(versions); v++) {
        struct client c = client_new(versions[v], NULL, 0);
        put(&c, DZ_S("GET /late/x HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_int_equal(SSL_shutdown(c.ssl), 0);
        shutdown(c.fd, SHUT_WR);
        assert_text(body_of(get(&c)), "/late/x");
        assert_true(at_end(&c));
        client_end(&c);
    }
    stop();
}

static void new_keys_and_old_ways(void **state)
{
    (void)state;
    start(NULL);
    struct client c = client_new(TLS1_3_VERSION, NULL, 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(SSL_key_update(c.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        put(&c, DZ_S(HELLO));
        assert_text(body_of(get(&c)), "hello world");
    }
    client_end(&c);
    c = client_new(TLS1_2_VERSION, NULL, 0);
    assert_int_equal(SSL_renegotiate(c.ssl), 1);
    assert_true(SSL_do_handshake(c.ssl) <= 0); /* the alert no_renegotiation */
    client_end(&c);
    stop();
}

/* Key updates are work for nothing, so many of them without a word between end the connection. */
static void key_updates(void **state)
{
    (void)state;
    start(NULL);
    for (int n = 32; n <= 33; n++) {
        struct client c = client_new(TLS1_3_VERSION, NULL, 0);
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < 32 || (i < n && round == 1); i++) {
                assert_int_equal(SSL_key_update(c.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
                assert_int_equal(SSL_do_handshake(c.ssl), 1);
            }
            (void)SSL_write(c.ssl, HELLO, (int)strlen(HELLO));
            dz_str answer = get(&c);
            assert_int_equal(answer.n > 0, n == 32 || round == 0);
        }
        client_end(&c);
    }
    stop();
}

/* A client of TLS 1.2 that encrypts its records by itself: OpenSSL's gives up with the first
 * refused hello. AES-128-GCM, RFC 5288 and RFC 5246 6.2.3.3. */
struct forger {
    unsigned char keys[40]; /* key_block: both write keys, then both fixed nonces */
    uint64_t seq;
    struct dz_buf out;
};

static void forger_open(struct forger *f, SSL *ssl)
{
    unsigned char secret[48], seed[64];
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *k = EVP_KDF_CTX_new(kdf);
    size_t secret_n = SSL_SESSION_get_master_key(SSL_get0_session(ssl), secret, sizeof(secret));
    SSL_get_server_random(ssl, seed, 32);
    SSL_get_client_random(ssl, seed + 32, 32);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_octet_string("secret", secret, secret_n),
        OSSL_PARAM_construct_octet_string("seed", (char *)(uintptr_t) "key expansion", 13),
        OSSL_PARAM_construct_octet_string("seed", seed, sizeof(seed)), OSSL_PARAM_END};
    assert_int_equal(EVP_KDF_derive(k, f->keys, sizeof(f->keys), params), 1);
    EVP_KDF_CTX_free(k);
    EVP_KDF_free(kdf);
    f->seq = 1; /* Finished was the first */
    dz_buf_init(&f->out, 1 << 20);
}

static void forge(struct forger *f, char type, dz_str plain)
{
    unsigned char nonce[12], ad[13], sealed[256], tag[16];
    int n;
    assert_true(plain.n <= sizeof(sealed));
    for (int i = 0; i < 8; i++)
        nonce[4 + i] = ad[i] = (unsigned char)(f->seq >> (56 - 8 * i));
    memcpy(nonce, f->keys + 32, 4);
    memcpy(ad + 8, (char[]){type, 3, 3, 0, (char)plain.n}, 5);
    f->seq++;
    EVP_CIPHER_CTX *e = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_EncryptInit_ex(e, EVP_aes_128_gcm(), NULL, f->keys, nonce), 1);
    assert_int_equal(EVP_EncryptUpdate(e, NULL, &n, ad, sizeof(ad)), 1);
    assert_int_equal(EVP_EncryptUpdate(e, sealed, &n, (const unsigned char *)plain.p, (int)plain.n),
                     1);
    assert_int_equal(EVP_EncryptFinal_ex(e, sealed + n, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(e, EVP_CTRL_GCM_GET_TAG, sizeof(tag), tag), 1);
    EVP_CIPHER_CTX_free(e);
    dz_buf_put(&f->out, (dz_str){(char[]){type, 3, 3, 0, (char)(plain.n + 24)}, 5});
    dz_buf_put(&f->out, (dz_str){(char *)nonce + 4, 8});
    dz_buf_put(&f->out, (dz_str){(char *)sealed, plain.n});
    dz_buf_put(&f->out, (dz_str){(char *)tag, sizeof(tag)});
}

/* The type of the server's next record; 0: there is none. */
static char next_type(int fd)
{
    unsigned char head[5];
    if (recv(fd, head, 5, MSG_WAITALL) != 5)
        return 0;
    for (int left = head[3] << 8 | head[4]; left > 0;) {
        char part[512];
        ssize_t n = recv(fd, part, left < 512 ? (size_t)left : 512, 0);
        if (n <= 0)
            return 0;
        left -= (int)n;
    }
    return (char)head[0];
}

/* The same of TLS 1.2: every hello is replied to with a warning, and OpenSSL looks for more. */
static void refused_hellos(void **state)
{
    (void)state;
    start(NULL);
    for (int n = 32; n <= 33; n++) {
        struct client c = client_new(TLS1_2_VERSION, NULL, 0);
        struct forger f;
        assert_string_equal(SSL_get_cipher_name(c.ssl), "ECDHE-ECDSA-AES128-GCM-SHA256");
        forger_open(&f, c.ssl);
        for (int round = 0; round < 2; round++) {
            dz_buf_clear(&f.out);
            for (int i = 0; i < 32 || (i < n && round == 1); i++)
                forge(&f, SSL3_RT_HANDSHAKE, DZ_S("\x01\0\0\x04none"));
            forge(&f, SSL3_RT_APPLICATION_DATA, DZ_S(HELLO));
            must(dz_write_all(c.fd, dz_buf_str(&f.out), err));
            int warnings = 0;
            char type;
            while ((type = next_type(c.fd)) == SSL3_RT_ALERT)
                warnings++;
            if (n == 32 || round == 0) {
                assert_int_equal(warnings, 32);
                assert_int_equal(type, SSL3_RT_APPLICATION_DATA);
            } else {
                assert_int_equal(type, 0);
            }
        }
        dz_buf_done(&f.out);
        client_end(&c);
        SSL_SESSION_free(session);
        session = NULL;
    }
    stop();
}

/* ---- a wire that stumbles -------------------------------------------------------------------- */

enum fault {
    FAULT_NONE,
    READ_AGAIN,
    READ_WANTS_WRITE,
    READ_ONE_BYTE,
    WRITE_AGAIN,
    WRITE_ONE_BYTE,
    FAULTS
};
#define EACH_SECOND (-1)
static struct {
    atomic_int kind, at, seen; /* which, at which call of its direction, calls so far */
    BIO_METHOD *method;
} faults;

static bool strikes(bool reading)
{
    int kind = atomic_load(&faults.kind), at = atomic_load(&faults.at);
    if (kind == FAULT_NONE || (kind <= READ_ONE_BYTE) != reading)
        return false;
    int seen = atomic_fetch_add(&faults.seen, 1);
    return at == EACH_SECOND ? seen % 2 == 0 : seen == at;
}

static int fault_read(BIO *b, char *p, int n)
{
    int kind = strikes(true) ? atomic_load(&faults.kind) : FAULT_NONE;
    BIO_clear_retry_flags(b);
    if (kind == READ_AGAIN || kind == READ_WANTS_WRITE) {
        BIO_set_flags(b, BIO_FLAGS_SHOULD_RETRY |
                             (kind == READ_AGAIN ? BIO_FLAGS_READ : BIO_FLAGS_WRITE));
        return -1;
    }
    int got = BIO_read(BIO_next(b), p, kind == READ_ONE_BYTE ? 1 : n);
    BIO_copy_next_retry(b);
    return got;
}

static int fault_write(BIO *b, const char *p, int n)
{
    int kind = strikes(false) ? atomic_load(&faults.kind) : FAULT_NONE;
    BIO_clear_retry_flags(b);
    if (kind == WRITE_AGAIN) {
        BIO_set_flags(b, BIO_FLAGS_SHOULD_RETRY | BIO_FLAGS_WRITE);
        return -1;
    }
    int put_n = BIO_write(BIO_next(b), p, kind == WRITE_ONE_BYTE ? 1 : n);
    BIO_copy_next_retry(b);
    return put_n;
}

static long fault_ctrl(BIO *b, int what, long n, void *p)
{
    return BIO_next(b) ? BIO_ctrl(BIO_next(b), what, n, p) : 0;
}

int __real_SSL_set_fd(SSL *ssl, int fd);
int __wrap_SSL_set_fd(SSL *ssl, int fd);

/* The server's connections get a BIO before their socket's (meson.build). */
int __wrap_SSL_set_fd(SSL *ssl, int fd)
{
    if (!SSL_is_server(ssl) || !faults.method)
        return __real_SSL_set_fd(ssl, fd);
    BIO *stumbles = BIO_new(faults.method);
    BIO_set_init(stumbles, 1);
    BIO_push(stumbles, BIO_new_socket(fd, BIO_NOCLOSE));
    SSL_set_bio(ssl, stumbles, stumbles);
    return 1;
}

/* All that the server says to a body, a file, a text and a small answer, up to the end. */
static dz_str talk(int version, enum fault kind, int at)
{
    static const char requests[] = "GET /file HTTP/1.1\r\nHost: a\r\n\r\n"
                                   "GET /text HTTP/1.1\r\nHost: a\r\n\r\n"
                                   "GET /late/x HTTP/1.1\r\nHost: a\r\n\r\n"
                                   "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    static char body[40000];
    atomic_store(&faults.at, at);
    atomic_store(&faults.seen, 0);
    atomic_store(&faults.kind, kind);
    struct client c = client_new(version, NULL, 0);
    SSL_set_options(c.ssl, SSL_OP_IGNORE_UNEXPECTED_EOF); /* close_notify is tried only once */
    put(&c, DZ_S("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n"));
    put(&c, (dz_str){body, sizeof(body)});
    put(&c, DZ_S(requests));
    dz_buf_clear(&rig.out);
    for (;;) {
        assert_true(dz_buf_reserve(&rig.out, 16384));
        int n = SSL_read(c.ssl, rig.out.p + rig.out.n, 16384);
        int how = n > 0 ? SSL_ERROR_NONE : SSL_get_error(c.ssl, n);
        if (how == SSL_ERROR_ZERO_RETURN)
            break;
        assert_int_equal(how, SSL_ERROR_NONE);
        rig.out.n += (size_t)n;
    }
    atomic_store(&faults.kind, FAULT_NONE);
    client_end(&c);
    SSL_SESSION_free(session);
    session = NULL;
    return dz_buf_str(&rig.out);
}

/* Each call of each direction is refused or cut short once, then each second one: the same bytes
 * arrive. */
static void stumbling(void **state)
{
    (void)state;
    faults.method = BIO_meth_new(BIO_TYPE_FILTER, "stumbles");
    BIO_meth_set_read(faults.method, fault_read);
    BIO_meth_set_write(faults.method, fault_write);
    BIO_meth_set_ctrl(faults.method, fault_ctrl);
    start(NULL);
    for (size_t v = 0; v < DZ_LEN(versions); v++) {
        DZ_AUTO(dz_freep) char *said = dz_str_dup(talk(versions[v], FAULT_NONE, 0));
        size_t said_n = rig.out.n;
        assert_true(said_n > RIG_FILE_BYTES + 40000);
        for (int kind = FAULT_NONE + 1; kind < FAULTS; kind++) {
            int at = EACH_SECOND;
            do {
                dz_str now = talk(versions[v], (enum fault)kind, at);
                if (!dz_str_eq(now, (dz_str){said, said_n}))
                    fail_msg("fault %d at %d: %zu bytes of %zu", kind, at, now.n, said_n);
                at++;
            } while (atomic_load(&faults.seen) >= at);
            assert_true(at > 4);
        }
    }
    stop();
    BIO_meth_free(faults.method);
    faults.method = NULL;
}

struct stop_look {
    struct dz_msg msg;
    struct dz_http_lane *lane;
    SSL *client;
    atomic_bool done;
};

/* Between two looks of the loop at its sockets a request comes, and a stop asks whether one is
 * there. */
static void look_at_stop(struct dz_loop *l, struct dz_msg *m)
{
    (void)l;
    struct stop_look *look = dz_container(m, struct stop_look, msg);
    struct dz_http_conn *c = look->lane->conns;
    struct pollfd p = {.fd = c->watch.fd, .events = POLLIN};
    (void)SSL_write(look->client, HELLO, (int)strlen(HELLO));
    (void)poll(&p, 1, -1);
    dz_http_conn_stop(c);
    atomic_store(&look->done, true);
}

/* Looking takes the bytes off the socket, so that epoll says nothing more of them. */
static void request_beside_a_stop(void **state)
{
    (void)state;
    struct dz_http_options o = {.idle_timeout_ms = 5000}; /* what is forgotten is cut */
    start(&o);
    for (size_t v = 0; v < DZ_LEN(versions); v++) {
        struct client c = client_new(versions[v], NULL, 0);
        put(&c, DZ_S(HELLO));
        assert_text(body_of(get(&c)), "hello world");
        struct stop_look look = {.msg.fn = look_at_stop, .client = c.ssl};
        while (!look.lane)
            for (unsigned i = 0; i < rig.server->lanes_n; i++)
                if (atomic_load(&rig.server->lanes[i]->counters.open) == 1)
                    look.lane = rig.server->lanes[i];
        dz_loop_post(look.lane->loop, &look.msg);
        while (!atomic_load(&look.done))
            usleep(1000);
        assert_text(body_of(get(&c)), "hello world");
        client_end(&c);
        while (atomic_load(&look.lane->counters.open) > 0)
            usleep(1000);
    }
    stop();
}

static dz_str read_all(int fd)
{
    dz_buf_clear(&rig.out);
    for (;;) {
        assert_true(dz_buf_reserve(&rig.out, 4096));
        ssize_t n = recv(fd, rig.out.p + rig.out.n, 4096, 0);
        if (n <= 0)
            return dz_buf_str(&rig.out);
        rig.out.n += (size_t)n;
    }
}

static struct dz_http_stats stats(void)
{
    struct dz_arena *a = dz_arena_new(1 << 20);
    struct dz_http_stats s;
    dz_http_stats(rig.server, a, &s);
    dz_arena_free(&a);
    return s;
}

static void no_handshake(void **state)
{
    (void)state;
    struct dz_http_options o = {.header_timeout_ms = 300};
    start(&o);
    int fd = dial(address, 0);
    must(dz_write_all(fd, DZ_S(HELLO), err));
    dz_str said = read_all(fd);
    assert_true(dz_str_starts(said, DZ_S("HTTP/1.1 400 ")));
    dz_closep(&fd);

    fd = dial(address, 0);
    must(dz_write_all(fd, DZ_S("\x16\x03\x01\x00\x05hello and more of it"), err));
    shutdown(fd, SHUT_WR);
    (void)read_all(fd); /* an alert, then the end */
    dz_closep(&fd);
    uint64_t timeouts = stats().timeouts;

    fd = dial(address, 0); /* begins and never goes on */
    must(dz_write_all(fd, DZ_S("\x16\x03\x01\x02"), err));
    assert_int_equal(read_all(fd).n, 0);
    dz_closep(&fd);
    assert_int_equal(stats().timeouts, timeouts + 1);
    while (stats().connections_open > 0)
        usleep(1000);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(load_says_what_is_wrong),
        cmocka_unit_test(load_warns),
        cmocka_unit_test(requests),
        cmocka_unit_test(pipelining),
        cmocka_unit_test(large_file),
        cmocka_unit_test(body_in_tiny_records),
        cmocka_unit_test(resumption),
        cmocka_unit_test(names),
        cmocka_unit_test(reload),
        cmocka_unit_test(half_close),
        cmocka_unit_test(new_keys_and_old_ways),
        cmocka_unit_test(key_updates),
        cmocka_unit_test(refused_hellos),
        cmocka_unit_test(stumbling),
        cmocka_unit_test(request_beside_a_stop),
        cmocka_unit_test(no_handshake),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
