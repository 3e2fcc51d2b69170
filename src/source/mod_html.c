/*
 * mod_html: `html` of sources: documents, and the elements in them.
 *
 * In: pages and XML as text. Out: userdata. A document owns its tree; an element holds on to its
 * document, so nothing dangles whatever the collector takes first. A tree lies outside Lua's heap
 * and is many times larger than its text: it may take what the run has left, measured while it is
 * read, and counts against the run's memory. Parsing and selecting are charged as work.
 * Loop's thread.
 */
#include "source/source_int.h"

#define GROWS_AT_MOST 64 /* bytes of a tree for one of its text */
#define BYTES_A_STEP 4   /* of parsing, charged as SRC_NS_A_STEP says */
/* What a page takes beyond is charged by its time: some are slow. */
#define PARSE_FREE_NS 50000000

static const char doc_name[] = "html document", node_name[] = "html element";

struct document {
    struct dz_doc *doc;
    size_t held;
};
enum { DOC_ADDRESS = 1, DOC_BASE = 2 }; /* user values of a document: texts or nil */

struct element { /* user value 1: its document */
    struct dz_node *node;
};

/* What a method was called on. */
struct self {
    struct dz_doc *doc;
    struct dz_node *node; /* NULL: the document */
    int doc_index;        /* of its userdata on the stack */
};

static struct self self_of(lua_State *L, const char *fn)
{
    struct self s = {.doc_index = 1};
    struct element *e = luaL_testudata(L, 1, node_name);
    if (e) {
        (void)lua_getiuservalue(L, 1, 1);
        s.node = e->node;
        s.doc_index = lua_gettop(L);
    }
    struct document *d = luaL_testudata(L, s.doc_index, doc_name);
    if (!d || !d->doc)
        luaL_error(L, "%s: call it with ':' on a document or an element", fn);
    s.doc = d ? d->doc : NULL;
    return s;
}

static struct self element_of(lua_State *L, const char *fn)
{
    struct self s = self_of(L, fn);
    if (!s.node)
        s.node = dz_doc_root(s.doc);
    if (!s.node)
        luaL_error(L, "%s: the document has no element", fn);
    return s;
}

static void push_node(lua_State *L, const struct self *s, struct dz_node *n)
{
    if (!n) {
        lua_pushnil(L);
        return;
    }
    struct element *e = lua_newuserdatauv(L, sizeof(*e), 1);
    e->node = n;
    luaL_setmetatable(L, node_name);
    lua_pushvalue(L, s->doc_index);
    (void)lua_setiuservalue(L, -2, 1);
}

static int push_buffer(lua_State *L, const struct src_scratch *s, const char *fn)
{
    if (s->b.full)
        return luaL_error(L, "%s: the text has more than %d bytes", fn, (int)SRC_STRING_MAX);
    lua_pushlstring(L, s->b.p, s->b.n);
    return 1;
}

static void charge_since(lua_State *L, int64_t start_ns)
{
    src_charge(L, (uint64_t)(src_cpu_ns() - start_ns) / SRC_NS_A_STEP);
}

/* ---- selecting ------------------------------------------------------------------------------- */

static void push_nodes(lua_State *L, const struct self *s, const struct dz_nodes *nodes)
{
    lua_createtable(L, (int)nodes->n, 0);
    for (size_t i = 0; i < nodes->n; i++) {
        push_node(L, s, nodes->v[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static int select_css(lua_State *L, const char *fn, bool one)
{
    dz_str css = src_arg(L, 2, fn);
    struct self s = self_of(L, fn);
    struct src_scratch *scratch = src_scratch_new(L);
    struct dz_nodes nodes = {0};
    struct dz_err err = {0};
    int64_t start = src_cpu_ns();
    enum dz_code code = dz_doc_select(s.doc, s.node, css, scratch->a, &nodes, &err);
    charge_since(L, start);
    if (code != DZ_OK)
        return luaL_error(L, "%s: %s", fn, err.text);
    if (one)
        push_node(L, &s, nodes.n > 0 ? nodes.v[0] : NULL);
    else
        push_nodes(L, &s, &nodes);
    return 1;
}

static int html_select(lua_State *L)
{
    return select_css(L, "html:select", false);
}

static int html_one(lua_State *L)
{
    return select_css(L, "html:one", true);
}

static int html_xpath(lua_State *L)
{
    dz_str xpath = src_arg(L, 2, "html:xpath"), text = {0};
    if (dz_str_chr(xpath, '\0') != DZ_NPOS)
        return luaL_error(L, "html:xpath: the expression holds a NUL");
    struct self s = self_of(L, "html:xpath");
    struct src_scratch *scratch = src_scratch_new(L);
    struct dz_nodes nodes = {0};
    struct dz_err err = {0};
    int64_t start = src_cpu_ns();
    enum dz_code code = dz_doc_xpath(s.doc, s.node, xpath, scratch->a, &nodes, &text, &err);
    charge_since(L, start);
    if (code != DZ_OK)
        return luaL_error(L, "html:xpath: %s", err.text);
    if (text.p)
        lua_pushlstring(L, text.p, text.n);
    else
        push_nodes(L, &s, &nodes);
    return 1;
}

/* ---- what an element says -------------------------------------------------------------------- */

static int read_text(lua_State *L, const char *fn, bool own)
{
    struct self s = element_of(L, fn);
    struct src_scratch *scratch = src_scratch_new(L);
    int64_t start = src_cpu_ns();
    dz_node_text(s.node, own, &scratch->b);
    charge_since(L, start);
    return push_buffer(L, scratch, fn);
}

static int html_text(lua_State *L)
{
    return read_text(L, "html:text", false);
}

static int html_own_text(lua_State *L)
{
    return read_text(L, "html:own_text", true);
}

static int html_html(lua_State *L)
{
    struct self s = element_of(L, "html:html");
    struct src_scratch *scratch = src_scratch_new(L);
    int64_t start = src_cpu_ns();
    dz_node_html(s.doc, s.node, &scratch->b);
    charge_since(L, start);
    return push_buffer(L, scratch, "html:html");
}

static int html_name(lua_State *L)
{
    struct self s = element_of(L, "html:name");
    dz_str name = dz_node_name(s.node);
    lua_pushlstring(L, name.p, name.n);
    return 1;
}

static int html_attr(lua_State *L)
{
    dz_str name = src_arg(L, 2, "html:attr"), value;
    struct self s = element_of(L, "html:attr");
    struct src_scratch *scratch = src_scratch_new(L);
    if (dz_node_attr(s.node, name, scratch->a, &value))
        lua_pushlstring(L, value.p, value.n);
    else
        lua_pushnil(L);
    return 1;
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* The address against a base; with none it must be absolute itself. */
static bool resolve(dz_str base, dz_str address, struct dz_arena *a, dz_str *ret)
{
    address = dz_str_trim(address);
    return dz_url_join(base.n > 0 ? base : address, address, a, ret, NULL) == DZ_OK;
}

/* Where the document's links start: its own address, moved by the first <base href>. Found once,
 * then kept. n = 0: it has none. */
static dz_str base_of(lua_State *L, const struct self *s, struct src_scratch *scratch)
{
    dz_str base = {0}, href;
    struct dz_nodes nodes = {0};
    if (lua_getiuservalue(L, s->doc_index, DOC_BASE) == LUA_TSTRING) {
        base.p = lua_tolstring(L, -1, &base.n);
        lua_pop(L, 1);
        return base;
    }
    if (lua_getiuservalue(L, s->doc_index, DOC_ADDRESS) == LUA_TSTRING)
        base.p = lua_tolstring(L, -1, &base.n);
    if (dz_doc_select(s->doc, NULL, DZ_S("base[href]"), scratch->a, &nodes, NULL) == DZ_OK &&
        nodes.n > 0 && dz_node_attr(nodes.v[0], DZ_S("href"), scratch->a, &href))
        (void)resolve(base, href, scratch->a, &base);
    lua_pushlstring(L, base.p, base.n);
    base.p = lua_tostring(L, -1);
    (void)lua_setiuservalue(L, s->doc_index, DOC_BASE);
    lua_pop(L, 2);
    return base;
}

static int html_url(lua_State *L)
{
    dz_str name = src_arg(L, 2, "html:url"), value, address;
    struct self s = element_of(L, "html:url");
    struct src_scratch *scratch = src_scratch_new(L);
    dz_str base = base_of(L, &s, scratch);
    if (dz_node_attr(s.node, name, scratch->a, &value) &&
        resolve(base, value, scratch->a, &address))
        lua_pushlstring(L, address.p, address.n);
    else
        lua_pushnil(L);
    return 1;
}

/* ---- walking --------------------------------------------------------------------------------- */

static int html_parent(lua_State *L)
{
    struct self s = element_of(L, "html:parent");
    push_node(L, &s, dz_node_parent(s.node));
    return 1;
}

static int html_next(lua_State *L)
{
    struct self s = element_of(L, "html:next");
    int64_t start = src_cpu_ns(); /* there may be many comments between them */
    push_node(L, &s, dz_node_next(s.node));
    charge_since(L, start);
    return 1;
}

static int html_prev(lua_State *L)
{
    struct self s = element_of(L, "html:prev");
    int64_t start = src_cpu_ns();
    push_node(L, &s, dz_node_prev(s.node));
    charge_since(L, start);
    return 1;
}

static int html_children(lua_State *L)
{
    struct self s = element_of(L, "html:children");
    int64_t start = src_cpu_ns();
    lua_newtable(L);
    lua_Integer i = 0;
    for (struct dz_node *n = dz_node_child(s.node); n; n = dz_node_next(n)) {
        push_node(L, &s, n);
        lua_rawseti(L, -2, ++i);
    }
    charge_since(L, start);
    return 1;
}

static int html_root(lua_State *L)
{
    struct self s = self_of(L, "html:root");
    push_node(L, &s, dz_doc_root(s.doc));
    return 1;
}

/* ---- documents ------------------------------------------------------------------------------- */

static int node_eq(lua_State *L)
{
    struct element *a = luaL_testudata(L, 1, node_name), *b = luaL_testudata(L, 2, node_name);
    lua_pushboolean(L, a && b && a->node == b->node);
    return 1;
}

static int doc_gc(lua_State *L)
{
    struct document *d = lua_touserdata(L, 1);
    dz_doc_free(&d->doc);
    src_release(L, d->held);
    d->held = 0;
    return 0;
}

static void push_metatables(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"select", html_select},     {"one", html_one},           {"xpath", html_xpath},
        {"text", html_text},         {"own_text", html_own_text}, {"html", html_html},
        {"name", html_name},         {"attr", html_attr},         {"url", html_url},
        {"parent", html_parent},     {"next", html_next},         {"prev", html_prev},
        {"children", html_children}, {"root", html_root},         {NULL, NULL},
    };
    src_metatable(L, node_name, NULL, methods);
    lua_pushcfunction(L, node_eq);
    lua_setfield(L, -2, "__eq");
    src_metatable(L, doc_name, doc_gc, methods);
    lua_pop(L, 2);
}

/* What is left of the run's memory. */
static size_t room_of(lua_State *L)
{
    const struct dz_source_run *r = src_run_of(L);
    return r->budget.memory_bytes - r->memory;
}

static void push_document(lua_State *L, dz_str text, dz_str charset, dz_str base, bool xml,
                          const char *fn)
{
    if (text.n > DZ_DOC_BYTES_MAX)
        luaL_error(L, "%s: the text has more than %d bytes", fn, (int)DZ_DOC_BYTES_MAX);
    push_metatables(L);
    struct document *d = lua_newuserdatauv(L, sizeof(*d), 2);
    *d = (struct document){0};
    luaL_setmetatable(L, doc_name);
    if (base.n > 0) {
        lua_pushlstring(L, base.p, base.n);
        (void)lua_setiuservalue(L, -2, DOC_ADDRESS);
    }
    struct dz_err err = {0};
    if (text.n > room_of(L) / GROWS_AT_MOST) /* what nobody needs any more may lie about */
        lua_gc(L, LUA_GCCOLLECT);
    src_charge(L, text.n / BYTES_A_STEP);
    int64_t start = src_cpu_ns() + PARSE_FREE_NS;
    enum dz_code code = xml ? dz_doc_xml(text, room_of(L), &d->doc, &err)
                            : dz_doc_html(text, charset, room_of(L), &d->doc, &err);
    if (src_cpu_ns() > start)
        charge_since(L, start);
    if (code == DZ_FULL)
        src_hold(L, src_run_of(L)->budget.memory_bytes); /* raises: some of it is in use */
    if (code != DZ_OK)
        luaL_error(L, "%s: %s", fn, err.text);
    size_t bytes = dz_doc_bytes(d->doc);
    src_hold(L, bytes);
    d->held = bytes;
}

void src_push_document(lua_State *L, dz_str text, dz_str charset, dz_str base, bool xml)
{
    push_document(L, text, charset, base, xml, xml ? "html.xml" : "html.parse");
}

static int parse_argument(lua_State *L, bool xml, const char *fn)
{
    dz_str text = src_arg(L, 1, fn), base = src_arg_or(L, 2, fn, (dz_str){0});
    struct dz_url u;
    struct dz_err err = {0};
    if (base.n > 0 && dz_url_parse(base, &u, &err) != DZ_OK)
        return luaL_error(L, "%s: argument 2: %s", fn, err.text);
    push_document(L, text, DZ_S("UTF-8"), base, xml, fn);
    return 1;
}

static int html_parse(lua_State *L)
{
    return parse_argument(L, false, "html.parse");
}

static int html_xml(lua_State *L)
{
    return parse_argument(L, true, "html.xml");
}

void src_open_html(lua_State *L)
{
    static const luaL_Reg functions[] = {{"parse", html_parse}, {"xml", html_xml}, {NULL, NULL}};
    luaL_newlib(L, functions);
}
