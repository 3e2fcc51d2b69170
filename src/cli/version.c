/*
 * version: what this binary is, for people and for reports of faults.
 *
 * In: nothing. Out: the version, how it was built, and the versions of the libraries it runs with,
 * asked from the libraries themselves, which need not be those it was built with. The one file that
 * includes all their headers.
 */
#include <archive.h>
#include <brotli/encode.h>
#include <crypt.h>
#include <curl/curl.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <libxml/parser.h>
#include <lua.h>
#include <nghttp2/nghttp2.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <yaml.h>
#include <zlib.h>

#include "cli/cli_int.h"

enum { OPT_JSON };
static const struct dz_option options[] = {
    [OPT_JSON] = {"json", NULL, "the same as one JSON object", 0},
    {NULL, NULL, NULL, 0},
};

#define NAMES_MAX 16

struct fact {
    const char *name;
    char text[64];
};

struct facts {
    struct fact v[NAMES_MAX];
    size_t n;
};

static void add(struct facts *f, const char *name, const char *fmt, ...) DZ_PRINTF(3, 4);
static void add(struct facts *f, const char *name, const char *fmt, ...)
{
    dz_assert(f->n < DZ_LEN(f->v));
    struct fact *one = &f->v[f->n++];
    one->name = name;
    va_list args;
    va_start(args, fmt);
    vsnprintf(one->text, sizeof(one->text), fmt, args);
    va_end(args);
}

/* "libarchive 3.6.2" → "3.6.2" */
static const char *last_word(const char *text)
{
    const char *blank = strrchr(text, ' ');
    return blank ? blank + 1 : text;
}

static void gather_build(struct facts *f)
{
#ifdef __clang__
    add(f, "compiler", "clang %d.%d.%d", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    add(f, "compiler", "gcc %d.%d.%d", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
#ifdef __OPTIMIZE__
    add(f, "optimized", "yes");
#else
    add(f, "optimized", "no");
#endif
#ifdef __SANITIZE_ADDRESS__
    add(f, "sanitizer", "address");
#elif defined(__SANITIZE_THREAD__)
    add(f, "sanitizer", "thread");
#else
    add(f, "sanitizer", "none");
#endif
#ifdef DZ_ARENA_MALLOC
    add(f, "arena", "malloc");
#else
    add(f, "arena", "bump");
#endif
#ifdef DZ_FAULTS
    add(f, "faults", "yes");
#else
    add(f, "faults", "no");
#endif
    add(f, "catalog", "sqlite postgres");
    add(f, "store", "files postgres mongodb");
    add(f, "cache", "memory redis");
}

static void gather_libraries(struct facts *f)
{
    uint32_t brotli = BrotliEncoderVersion();
    add(f, "sqlite", "%s", sqlite3_libversion());
    add(f, "openssl", "%s", OpenSSL_version(OPENSSL_VERSION_STRING));
    add(f, "zlib", "%s", zlibVersion());
    add(f, "brotli", "%u.%u.%u", brotli >> 24, brotli >> 12 & 0xfff, brotli & 0xfff);
    add(f, "jansson", "%s", jansson_version_str());
    add(f, "libyaml", "%s", yaml_get_version_string());
    add(f, "libarchive", "%s", last_word(archive_version_string()));
    int xml = (int)strtol(xmlParserVersion, NULL, 10);
    add(f, "libxml2", "%d.%d.%d", xml / 10000, xml / 100 % 100, xml % 100);
    add(f, "libxcrypt", "%s", XCRYPT_VERSION_STR);
    add(f, "curl", "%s", curl_version_info(CURLVERSION_NOW)->version);
    add(f, "nghttp2", "%s", nghttp2_version(0)->version_str);
    add(f, "lua", "%s", last_word(LUA_RELEASE));
    add(f, "libpq", "%d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
}

static void put_line(struct dz_buf *out, const char *title, const struct facts *f)
{
    dz_buf_put(out, dz_str_of(title));
    for (size_t i = 0; i < f->n; i++)
        dz_buf_putf(out, "%s %s %s", i > 0 ? "," : "", f->v[i].name, f->v[i].text);
    dz_buf_putc(out, '\n');
}

static void put_object(struct dz_json *j, const char *key, const struct facts *f)
{
    dz_json_key(j, dz_str_of(key));
    dz_json_object(j);
    for (size_t i = 0; i < f->n; i++) {
        dz_json_key(j, dz_str_of(f->v[i].name));
        dz_json_str(j, dz_str_of(f->v[i].text));
    }
    dz_json_end(j);
}

static int run_version(int argc, char **argv)
{
    struct dz_args a DZ_AUTO(dz_args_done) = {0};
    int status;
    if (!dz_args_begin(&dz_cmd_version, argc, argv, &a, &status))
        return status;
    if (a.operands_n > 0)
        return dz_usage_error(&dz_cmd_version, "unexpected \"%.100s\"", a.operands[0]);
    struct facts build = {.n = 0}, libraries = {.n = 0};
    gather_build(&build);
    gather_libraries(&libraries);
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, 64 * DZ_KIB);
    if (a.value[OPT_JSON]) {
        struct dz_json j;
        dz_json_init(&j, &out, DZ_JSON_COMPACT, false);
        dz_json_object(&j);
        dz_json_key(&j, DZ_S("version"));
        dz_json_str(&j, DZ_S(DZ_VERSION));
        put_object(&j, "build", &build);
        put_object(&j, "libraries", &libraries);
        dz_json_end(&j);
        dz_buf_putc(&out, '\n');
    } else {
        dz_buf_put(&out, DZ_S("dozo " DZ_VERSION "\n"));
        put_line(&out, "built with:", &build);
        put_line(&out, "libraries: ", &libraries);
    }
    dz_print(&out);
    return DZ_EXIT_OK;
}

const struct dz_command dz_cmd_version = {
    .name = "version",
    .summary = "print the version, build options and library versions",
    .usage = "version [--json]",
    .help = "Prints the version, how the binary was built, and the libraries it runs with.\n"
            "\n"
            "Exit status: 0.",
    .options = options,
    .run = run_version,
};
