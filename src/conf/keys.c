/*
 * keys: who may send uploads, one key a line: a name, what it may do, and the key itself or
 * "sha256:" and the digest of the key in hex.
 *
 *     # who runs the builds
 *     ci upload 3f9c41d07be25a86
 *     admin upload,delete sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
 *
 * Text in, digests out: what is compared with later is never the key. The words of `why` name a
 * line and never a key. Blank lines and those that begin with # are nothing. Any thread.
 */
#include "conf/conf_int.h"

#define NAME_BYTES_MAX 63
#define KEY_BYTES_MIN 8 /* fewer are guessed */
#define KEY_BYTES_MAX 1024
#define WHY(...) dz_fail(why, DZ_BAD_INPUT, __VA_ARGS__)

static dz_str next_word(dz_str *rest)
{
    *rest = dz_str_trim(*rest);
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
        n++;
    dz_str word = dz_str_sub(*rest, 0, n);
    *rest = dz_str_sub(*rest, n, rest->n);
    return word;
}

static bool is_name(dz_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (i == 0 || !strchr("_.-", c)))
            return false;
    }
    return s.n > 0 && s.n <= NAME_BYTES_MAX;
}

static enum dz_code read_scopes(dz_str words, size_t line, unsigned *ret_scopes, struct dz_err *why)
{
    unsigned scopes = 0;
    while (words.n > 0) {
        size_t comma = dz_str_chr(words, ',');
        dz_str word = dz_str_sub(words, 0, comma);
        words = dz_str_after(words, comma);
        if (dz_str_eq(word, DZ_S("upload")))
            scopes |= DZ_UPLOADS_SEND;
        else if (dz_str_eq(word, DZ_S("delete")))
            scopes |= DZ_UPLOADS_DELETE;
        else
            return WHY("does not say on line %zu what the key may do: upload, delete or "
                       "upload,delete",
                       line);
    }
    *ret_scopes = scopes;
    return DZ_OK;
}

static enum dz_code read_key(dz_str text, size_t line, struct dz_sha256 *ret_sha,
                             struct dz_err *why)
{
    if (dz_str_starts(text, DZ_S("sha256:"))) {
        text = dz_str_sub(text, 7, text.n);
        if (dz_unhex(text, ret_sha->b, sizeof(ret_sha->b), NULL) != DZ_OK)
            return WHY("has on line %zu no 64 hex digits behind sha256:", line);
        struct dz_sha256 nothing = dz_sha256_of((dz_str){0});
        if (memcmp(nothing.b, ret_sha->b, sizeof(nothing.b)) == 0)
            return WHY("has on line %zu the digest of an empty key, which everybody has", line);
        return DZ_OK;
    }
    if (text.n < KEY_BYTES_MIN || text.n > KEY_BYTES_MAX)
        return WHY("has on line %zu a key of %zu bytes; %d to %d are fine", line, text.n,
                   KEY_BYTES_MIN, KEY_BYTES_MAX);
    *ret_sha = dz_sha256_of(text);
    return DZ_OK;
}

static enum dz_code read_line(dz_str text, size_t line, struct dz_conf_key *ret_key,
                              struct dz_err *why)
{
    dz_str rest = text, name = next_word(&rest), scopes = next_word(&rest), key = next_word(&rest);
    if (key.n == 0 || dz_str_trim(rest).n > 0)
        return WHY("has on line %zu not the three words name, rights and key", line);
    if (!is_name(name))
        return WHY("has on line %zu a name that is not 1 to %d letters, digits, _, . and -", line,
                   NAME_BYTES_MAX);
    struct dz_conf_key k = {.name_n = name.n};
    memcpy(k.name, name.p, name.n);
    DZ_TRY(read_scopes(scopes, line, &k.scopes, why));
    DZ_TRY(read_key(key, line, &k.sha, why));
    *ret_key = k;
    return DZ_OK;
}

static enum dz_code refuse_twin(const struct dz_conf_key *v, size_t n, const struct dz_conf_key *k,
                                size_t line, struct dz_err *why)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i].name, k->name) == 0)
            return WHY("has the name %s a second time on line %zu", k->name, line);
        if (memcmp(&v[i].sha, &k->sha, sizeof(k->sha)) == 0)
            return WHY("gives on line %zu to %s the key that %s has", line, k->name, v[i].name);
    }
    return DZ_OK;
}

/* v has room for DZ_CONF_KEYS_MAX. */
static enum dz_code read_keys(dz_str text, struct dz_conf_key *v, size_t *ret_n, struct dz_err *why)
{
    size_t n = 0, line = 0;
    while (text.n > 0) {
        size_t end = dz_str_chr(text, '\n');
        dz_str one = dz_str_trim(dz_str_sub(text, 0, end));
        text = dz_str_after(text, end);
        line++;
        if (one.n == 0 || one.p[0] == '#')
            continue;
        if (n == DZ_CONF_KEYS_MAX)
            return WHY("has more than %d keys", DZ_CONF_KEYS_MAX);
        DZ_TRY(read_line(one, line, &v[n], why));
        DZ_TRY(refuse_twin(v, n, &v[n], line, why));
        n++;
    }
    *ret_n = n;
    return DZ_OK;
}

static enum dz_code check_keys(char *text, struct dz_err *why)
{
    struct dz_conf_key *v = dz_alloc(DZ_CONF_KEYS_MAX * sizeof(*v));
    size_t n;
    enum dz_code code = read_keys(dz_str_of(text), v, &n, why);
    dz_freep(&v);
    return code;
}

const struct conf_shape conf_keys = {check_keys, "lines of name, rights (upload,delete) and key",
                                     NULL};

void conf_make_keys(struct conf_load *l)
{
    struct dz_conf *c = l->c;
    size_t n = 0;
    struct dz_conf_key *v = dz_alloc(DZ_CONF_KEYS_MAX * sizeof(*v));
    if (read_keys(dz_str_of(c->uploads.keys), v, &n, NULL) == DZ_OK && n > 0) {
        struct dz_conf_key *kept = dz_arena_alloc(l->a, n * sizeof(*v));
        memcpy(kept, v, n * sizeof(*v));
        c->uploads.keys_v = kept;
        c->uploads.keys_n = n;
    }
    dz_freep(&v);
}
