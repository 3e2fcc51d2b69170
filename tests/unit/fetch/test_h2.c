/* fetch: TLS and HTTP/2 by ALPN, against the server of our own. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "test.h"

#include "fetch/fetch.h"
#include "http/http.h"

#define CALLS 12

static struct {
    char dir[64], crt[96], key[96];
    struct dz_loop *loop;
    struct dz_http_server *server;
    char port[16];
} rig;

static void say_version(struct dz_http_req *r)
{
    char text[] = "HTTP/x";
    text[5] = (char)('0' + r->version_major);
    dz_http_reply_text(r, 200, DZ_S("text/plain"), (dz_str){0}, dz_str_of(text));
}

/* A certificate for "localhost" that is its own authority. */
static void write_certificate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    BIO *out = BIO_new_file(rig.crt, "w");
    assert_int_equal(PEM_write_bio_X509(out, x), 1);
    BIO_free(out);
    out = BIO_new_file(rig.key, "w");
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    BIO_free(out);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void serve(bool http2)
{
    struct dz_http_options o = {.fallback = say_version};
    struct dz_http_tls_pair pair = {rig.crt, rig.key};
    struct dz_http_tls_options tls = {
        .pairs = &pair, .pairs_n = 1, .tls_1_2 = true, .http2 = http2};
    char address[128];
    assert_int_equal(dz_http_server_new(&o, &rig.server, NULL), DZ_OK);
    assert_int_equal(dz_http_tls_load(rig.server, &tls, NULL), DZ_OK);
    assert_int_equal(dz_http_listen(rig.server, "https://127.0.0.1:0", 1, address, NULL), DZ_OK);
    assert_int_equal(dz_http_start(rig.server, 1, NULL), DZ_OK);
    snprintf(rig.port, sizeof(rig.port), "%s", strrchr(address, ':') + 1);
}

struct outcome {
    unsigned calls;
    enum dz_fetch_kind kind;
    char text[CALLS * 8 + 256];
};

static void on_done(void *arg, struct dz_fetch_res *res)
{
    struct outcome *o = arg;
    o->kind = res->kind;
    size_t n = o->calls++ ? strlen(o->text) : 0;
    if (res->kind == DZ_FETCH_OK)
        snprintf(o->text + n, sizeof(o->text) - n, "%.*s ", (int)res->body->n, res->body->p);
    else
        snprintf(o->text, sizeof(o->text), "%s", res->err.text);
}

/* So many requests at once, by a requester of its own. */
static struct outcome ask(const char *host, const char *ca_file, unsigned n)
{
    dz_str hosts[] = {dz_str_of(host)};
    struct dz_fetch_policy_spec s = {.source = DZ_S("test"),
                                     .hosts = hosts,
                                     .hosts_n = 1,
                                     .allow_private = true,
                                     .per_host = CALLS};
    struct dz_fetch_options o = {
        .connect_timeout_ms = 20000, .read_timeout_ms = 20000, .ca_file = ca_file};
    struct dz_fetch *f = NULL;
    struct dz_fetch_policy *p = NULL;
    assert_int_equal(dz_fetch_policy_new(&s, &p, NULL), DZ_OK);
    assert_int_equal(dz_fetch_new(rig.loop, &o, &f, NULL), DZ_OK);
    char url[128];
    struct outcome got = {0};
    snprintf(url, sizeof(url), "https://%s:%s/", host, rig.port);
    struct dz_fetch_req r = {.policy = p, .url = dz_str_of(url), .done = on_done, .arg = &got};
    for (unsigned i = 0; i < n; i++)
        dz_fetch_start(f, &r, NULL);
    while (got.calls < n)
        dz_loop_turn(rig.loop, -1);
    dz_fetch_free(&f);
    dz_fetch_policy_unref(&p);
    return got;
}

static uint64_t connections(void)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_http_stats s;
    dz_http_stats(rig.server, a, &s);
    return s.connections_total;
}

static void speaks_http2(void **state)
{
    (void)state;
    serve(true);
    struct outcome o = ask("localhost", rig.crt, CALLS);
    char expected[sizeof(o.text)] = "";
    for (unsigned i = 0; i < CALLS; i++)
        snprintf(expected + i * 7, sizeof(expected) - i * 7, "HTTP/2 ");
    assert_string_equal(o.text, expected);
    assert_int_equal(connections(), 1); /* streams of one connection */
    dz_http_stop(&rig.server);

    serve(false);
    assert_string_equal(ask("localhost", rig.crt, 1).text, "HTTP/1 ");
    dz_http_stop(&rig.server);
}

static void trusts_only_what_it_should(void **state)
{
    (void)state;
    serve(true);
    struct outcome o = ask("localhost", NULL, 1); /* an authority that nobody knows */
    assert_int_equal(o.kind, DZ_FETCH_CONNECT);
    assert_non_null(strstr(o.text, "certificate"));
    o = ask("127.0.0.1", rig.crt, 1); /* another name */
    assert_int_equal(o.kind, DZ_FETCH_CONNECT);
    dz_http_stop(&rig.server);
}

static int setup(void **state)
{
    (void)state;
    snprintf(rig.dir, sizeof(rig.dir), "/tmp/dozo-test-fetch-h2-XXXXXX");
    assert_non_null(mkdtemp(rig.dir));
    snprintf(rig.crt, sizeof(rig.crt), "%s/a.crt", rig.dir);
    snprintf(rig.key, sizeof(rig.key), "%s/a.key", rig.dir);
    write_certificate();
    assert_int_equal(dz_loop_new(&rig.loop, NULL), DZ_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dz_loop_free(&rig.loop);
    (void)unlink(rig.crt);
    (void)unlink(rig.key);
    return rmdir(rig.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speaks_http2),
        cmocka_unit_test(trusts_only_what_it_should),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
