/*
 * source_new: what `dozo source new` writes: a commented source with a test that passes.
 *
 * In: a name and a folder. Out: FOLDER/NAME/ with source.lua, expect.json and fixtures/site.http.
 * A folder that is there already is left alone, whatever is in it. The site of the texts is the
 * name itself when that is a host name, else example.org.
 */
#include "cli/cli_int.h"

#include <errno.h>
#include <sys/stat.h>

#define TEXT_MAX (64 * DZ_KIB)

/* @ID@ and @HOST@ are put in. */
static const char lua_text[] =
    "-- @ID@: a source for dozo. docs/sources.md explains everything that is used here.\n"
    "-- Try it without asking the site: dozo source test @ID@\n"
    "\n"
    "-- Pages are asked for once a run, however many functions need them.\n"
    "local pages_of = {}\n"
    "local function series_page(id)\n"
    "  if not pages_of[id] then\n"
    "    pages_of[id] = http.get(opt.base_url .. \"/comics/\" .. url.encode(id)):html()\n"
    "  end\n"
    "  return pages_of[id]\n"
    "end\n"
    "\n"
    "return dozo.source {\n"
    "  id = \"@ID@\", name = \"@ID@\", version = \"1.0.0\", api = 1, langs = { \"en\" },\n"
    "  match = { \"@HOST@/\" },   -- addresses that are ours, without the scheme\n"
    "  hosts = { \"@HOST@\" },    -- all that may be asked; \"*.@HOST@\" for hosts below\n"
    "  limits = { per_host = 2, rate = \"2/second\" },\n"
    "  options = {\n"
    "    base_url = { type = \"string\", default = \"https://@HOST@\", help = \"Where the site "
    "is\" },\n"
    "  },\n"
    "\n"
    "  -- What an address that somebody pasted means.\n"
    "  resolve = function(address)\n"
    "    local id, number = address:match(\"/comics/([%w-]+)/(%d+)$\")\n"
    "    if id then return \"chapter\", id .. \"/\" .. number end\n"
    "    id = address:match(\"/comics/([%w-]+)$\")\n"
    "    if id then return \"series\", id end\n"
    "  end,\n"
    "\n"
    "  series = function(id)\n"
    "    local heading = series_page(id):one(\"h1\")\n"
    "    if not heading then dozo.fail(\"parse\", \"the page of \" .. id .. \" has no h1\") end\n"
    "    return { title = str.squeeze(heading:text()), lang = \"en\", url = opt.base_url .. "
    "\"/comics/\" .. id }\n"
    "  end,\n"
    "\n"
    "  -- All chapters that the site has; `known` are the ids that are kept already.\n"
    "  chapters = function(id, known)\n"
    "    local list = {}\n"
    "    for _, a in ipairs(series_page(id):select(\"ul.chapters a\")) do\n"
    "      list[#list + 1] = {\n"
    "        id = id .. \"/\" .. a:attr(\"data-number\"), chapter = "
    "str.number(a:attr(\"data-number\")),\n"
    "        title = str.squeeze(a:text()), url = a:url(\"href\"), series = id,\n"
    "      }\n"
    "    end\n"
    "    if #list == 0 then dozo.fail(\"parse\", \"the page of \" .. id .. \" lists no chapters\") "
    "end\n"
    "    return list\n"
    "  end,\n"
    "\n"
    "  -- The pictures of a chapter, in order.\n"
    "  pages = function(chapter)\n"
    "    local out = {}\n"
    "    for _, img in ipairs(http.get(opt.base_url .. \"/comics/\" .. "
    "chapter):html():select(\"main img\")) do\n"
    "      out[#out + 1] = img:url(\"src\")\n"
    "    end\n"
    "    return out\n"
    "  end,\n"
    "}\n";

static const char fixtures_text[] =
    "# What the site answers. A request line, then fields that must be sent so (none here), an "
    "empty\n"
    "# line, the answer. The next exchange begins after a line with ###.\n"
    "\n"
    "GET https://@HOST@/comics/some-series\n"
    "\n"
    "HTTP/1.1 200 OK\n"
    "Content-Type: text/html; charset=utf-8\n"
    "\n"
    "<!doctype html><title>Some series</title>\n"
    "<h1>Some  Series</h1>\n"
    "<ul class=\"chapters\">\n"
    "  <li><a href=\"/comics/some-series/1\" data-number=\"1\">The beginning</a>\n"
    "  <li><a href=\"/comics/some-series/1.5\" data-number=\"1.5\">In between &amp; after</a>\n"
    "</ul>\n"
    "\n"
    "###\n"
    "GET https://@HOST@/comics/some-series/1\n"
    "\n"
    "HTTP/1.1 200 OK\n"
    "Content-Type: text/html; charset=utf-8\n"
    "\n"
    "<main><img src=\"/img/1/001.jpg\"><img src=\"/img/1/002.jpg\"></main>\n"
    "\n"
    "###\n"
    "GET https://@HOST@/comics/no-series\n"
    "\n"
    "HTTP/1.1 404 Not Found\n"
    "Content-Type: text/html\n"
    "\n"
    "<h1>Not found</h1>\n";

static const char expect_text[] =
    "{\n"
    "  \"cases\": [\n"
    "    { \"name\": \"addresses of a chapter\", \"call\": \"resolve\",\n"
    "      \"args\": [\"https://@HOST@/comics/some-series/1\"],\n"
    "      \"result\": { \"kind\": \"chapter\", \"id\": \"some-series/1\" } },\n"
    "    { \"name\": \"a series and its chapters cost one request\", \"calls\": [\n"
    "      { \"call\": \"series\", \"args\": [\"some-series\"], \"requests\": 1,\n"
    "        \"result\": { \"id\": \"some-series\", \"site\": \"@ID@\", \"title\": \"Some "
    "Series\", \"lang\": \"en\",\n"
    "                    \"url\": \"https://@HOST@/comics/some-series\" } },\n"
    "      { \"call\": \"chapters\", \"args\": [\"some-series\", []], \"requests\": 0, \"result\": "
    "[\n"
    "        { \"id\": \"some-series/1\", \"chapter\": 1, \"title\": \"The beginning\", "
    "\"series\": \"some-series\",\n"
    "          \"url\": \"https://@HOST@/comics/some-series/1\" },\n"
    "        { \"id\": \"some-series/1.5\", \"chapter\": 1.5, \"title\": \"In between & after\", "
    "\"series\": \"some-series\",\n"
    "          \"url\": \"https://@HOST@/comics/some-series/1.5\" } ] } ] },\n"
    "    { \"name\": \"pages\", \"call\": \"pages\", \"args\": [\"some-series/1\"], \"result\": [\n"
    "      { \"url\": \"https://@HOST@/img/1/001.jpg\" }, { \"url\": "
    "\"https://@HOST@/img/1/002.jpg\" } ] },\n"
    "    { \"name\": \"a series that is not there\", \"call\": \"chapters\", \"args\": "
    "[\"no-series\", []],\n"
    "      \"fails\": { \"kind\": \"not_found\", \"text\": \"Could not find resource\" } }\n"
    "  ]\n"
    "}\n";

static void put(struct dz_buf *b, const char *text, dz_str id, dz_str host)
{
    dz_str rest = dz_str_of(text);
    size_t at;
    while ((at = dz_str_chr(rest, '@')) != DZ_NPOS) {
        dz_buf_put(b, dz_str_sub(rest, 0, at));
        rest = dz_str_sub(rest, at, rest.n);
        bool is_id = dz_str_starts(rest, DZ_S("@ID@"));
        dz_buf_put(b, is_id ? id : host);
        rest = dz_str_sub(rest, is_id ? 4 : 6, rest.n);
    }
    dz_buf_put(b, rest);
}

static enum dz_code write_one(const char *folder, const char *name, const char *text, dz_str id,
                              dz_str host, struct dz_err *err)
{
    char path[4096];
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, TEXT_MAX);
    put(&b, text, id, host);
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path))
        return dz_fail(err, DZ_BAD_INPUT, "the path is too long");
    return dz_file_write_atomic(path, dz_buf_str(&b), 0644, err);
}

/* As an id of a source: letters, digits, _, - and dots, a letter or digit first. */
static bool is_name(dz_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (i == 0 || (c != '_' && c != '-' && c != '.')))
            return false;
    }
    return s.n > 0 && s.n <= 63;
}

static bool is_host(dz_str s)
{
    return dz_str_chr(s, '.') != DZ_NPOS && dz_str_chr(s, '_') == DZ_NPOS &&
           dz_str_find(s, DZ_S("..")) == DZ_NPOS && !dz_str_ends(s, DZ_S("."));
}

enum dz_code dz_source_new(const char *dir, const char *name, struct dz_buf *ret_folder,
                           struct dz_err *err)
{
    dz_str id = dz_str_of(name), host = is_host(id) ? id : DZ_S("example.org");
    char fixtures[4096];
    if (!is_name(id))
        return dz_fail(err, DZ_BAD_INPUT,
                       "\"%.80s\" is no name for a source: at most 63 letters, digits, _, - and "
                       "dots, a letter or digit first",
                       name);
    if (dz_str_eq(id, DZ_S("local"))) /* its jobs import folders, whatever its text says */
        return dz_fail(err, DZ_BAD_INPUT,
                       "\"local\" is no name for a source of a site: dozo reads folders under it");
    dz_buf_putf(ret_folder, "%s/%s", dir, name);
    const char *folder = dz_buf_cstr(ret_folder);
    if ((size_t)snprintf(fixtures, sizeof(fixtures), "%s/fixtures", folder) >= sizeof(fixtures))
        return dz_fail(err, DZ_BAD_INPUT, "the path is too long");
    DZ_TRY(dz_mkdirs(dir, 0755, err));
    if (mkdir(folder, 0755) != 0 && errno == EEXIST)
        return dz_fail(err, DZ_CONFLICT, "%.150s is there already; nothing was changed", folder);
    DZ_TRY(dz_mkdirs(fixtures, 0755, err));
    DZ_TRY(write_one(folder, "source.lua", lua_text, id, host, err));
    DZ_TRY(write_one(folder, "expect.json", expect_text, id, host, err));
    return write_one(folder, "fixtures/site.http", fixtures_text, id, host, err);
}
