/*
 * mod_image: `image` of sources: what a picture's bytes say about it, without decoding.
 *
 * In: bytes of a picture as a text. Out: a table with its type and size, and `exif`, a function
 * that keeps the bytes. The work is media's, and so are its limits. Pure, loop's thread.
 */
#include "source/source_int.h"

#define TAG_MAX 64

/* Upvalue 1: the bytes. */
static int image_exif(lua_State *L)
{
    char name[TAG_MAX + 1];
    dz_str tag = src_arg(L, 1, "exif"), text;
    dz_str bytes = src_str(L, lua_upvalueindex(1));
    if (tag.n > TAG_MAX || dz_str_chr(tag, '\0') != DZ_NPOS)
        return luaL_error(L, "exif: argument 1 is no name of a tag");
    memcpy(name, tag.p, tag.n);
    name[tag.n] = '\0';
    src_charge(L, 10000);
    struct src_scratch *s = src_scratch_new(L);
    if (dz_exif_text(bytes, name, s->a, &text, NULL) != DZ_OK)
        lua_pushnil(L);
    else
        lua_pushlstring(L, text.p, text.n);
    return 1;
}

static int image_info(lua_State *L)
{
    dz_str bytes = src_arg(L, 1, "image.info");
    struct dz_media_info info;
    struct dz_err err = {0};
    src_charge(L, bytes.n / 8);
    if (dz_media_inspect(bytes, &info, &err) != DZ_OK)
        return luaL_error(L, "image.info: %s", err.text);
    lua_settop(L, 1);
    lua_createtable(L, 0, 5);
    lua_pushstring(L, dz_media_mime(info.type));
    lua_setfield(L, 2, "type");
    lua_pushstring(L, dz_media_ext(info.type));
    lua_setfield(L, 2, "ext");
    lua_pushinteger(L, info.width);
    lua_setfield(L, 2, "width");
    lua_pushinteger(L, info.height);
    lua_setfield(L, 2, "height");
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, image_exif, 1);
    lua_setfield(L, 2, "exif");
    return 1;
}

void src_open_image(lua_State *L)
{
    static const luaL_Reg functions[] = {{"info", image_info}, {NULL, NULL}};
    luaL_newlib(L, functions);
}
