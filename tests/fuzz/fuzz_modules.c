/*
 * fuzz_modules: the helper modules of sources, called with arguments from outside.
 *
 * The first byte chooses the function, the rest is its arguments, parted by the byte 0x1E. Each
 * call runs protected in a fresh state with the budgets of a small run: whatever comes back, a
 * value or an error, nothing may be written where it should not, and nothing may leak. What was
 * read as JSON must be written and read again as the same.
 */
#include "source/source_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARGUMENTS_MAX 3

/* Called with the arguments as a, b, c. */
static const char *const calls[] = {
    "local v = json.decode(a) local s = json.encode(v) check(json.encode(json.decode(s)) == s)",
    "json.at(json.decode(a), b)",
    "local d = html.parse(a, b) for _, n in ipairs(d:select(c)) do n:text() n:html() n:url('href')"
    " n:parent() n:next() n:prev() n:children() end",
    "local d = html.xml(a) d:xpath(b) d:root():attr(c)",
    "local u = url.parse(a) url.parse(url.build(u)) url.join(a, b)",
    "url.build{host = a, path = b, query = {[c] = {a, b}}}",
    "local t, all = url.query(a) local s = url.query(all) local _, again = url.query(s) "
    "check(json.encode(all) == json.encode(again))",
    "check(url.decode(url.encode(a)) == a) url.decode(a)",
    "date.iso(date.parse(a, b))",
    "date.iso(date.parse(a, nil, {tz = b}))",
    "local s = str.trim(a) check(str.trim(s) == s) s = str.squeeze(a) check(str.squeeze(s) == s)",
    "str.between(a, b, c) str.number(a) check(not (str.natural_less(a, b) and "
    "str.natural_less(b, a)))",
    "for _, m in ipairs(str.match_all(a, b)) do check(a:find(m[0], 1, true)) end str.match(a, b)",
    "check(crypt.unbase64(crypt.base64(a)) == a) check(crypt.unhex(crypt.hex(a)) == a) "
    "crypt.unbase64(b) crypt.unhex(c)",
    "crypt.md5(a) crypt.sha256(b) crypt.hmac('sha1', a, b)",
    "local i = image.info(a) i.exif('ImageUniqueID') i.exif(b)",
};

/* As Lua's assert, but nobody catches it. */
static int check(lua_State *L)
{
    dz_assert(lua_toboolean(L, 1));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct dz_source_budget budget = {.memory_bytes = 8 * DZ_MIB, .instructions = 20000000};
    struct dz_source_run *r;
    struct dz_err err = {0};
    if (src_state_new(NULL, NULL, &budget, "t", &r, &err) != DZ_OK)
        dz_panic(__FILE__, __LINE__, "%s", err.text);
    lua_register(r->L, "check", check);
    dz_str rest = {(const char *)data + 1, size - 1};
    for (int i = 0; i < ARGUMENTS_MAX; i++) {
        static const char names[ARGUMENTS_MAX][2] = {"a", "b", "c"};
        size_t end = i < ARGUMENTS_MAX - 1 ? dz_str_chr(rest, 0x1E) : DZ_NPOS;
        dz_str one = dz_str_sub(rest, 0, end);
        rest = dz_str_after(rest, end);
        lua_pushlstring(r->L, one.p, one.n);
        lua_setglobal(r->L, names[i]);
    }
    const char *code = calls[data[0] % DZ_LEN(calls)];
    if (luaL_loadstring(r->L, code) != LUA_OK)
        dz_panic(__FILE__, __LINE__, "%s", lua_tostring(r->L, -1));
    if (lua_pcall(r->L, 0, 0, 0) != LUA_OK)
        dz_assert(luaL_tolstring(r->L, -1, NULL)[0] != '\0');
    src_state_free(&r);
    return 0;
}
