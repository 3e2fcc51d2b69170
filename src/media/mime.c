/*
 * mime: names of media types and what a file name's extension says.
 *
 * The extension table follows Python's mimetypes for the usual web and comic types, because
 * services that dozo replaces guessed with it. It is asked for names only; what bytes are is
 * dz_media_sniff()'s business. All texts are static. Any thread.
 */
#include "media/media_int.h"

static const struct {
    const char *mime, *ext;
} types[DZ_MEDIA_TYPE_COUNT] = {
    [DZ_MEDIA_UNKNOWN] = {"application/octet-stream", "bin"},
    [DZ_MEDIA_JPEG] = {"image/jpeg", "jpg"},
    [DZ_MEDIA_PNG] = {"image/png", "png"},
    [DZ_MEDIA_GIF] = {"image/gif", "gif"},
    [DZ_MEDIA_WEBP] = {"image/webp", "webp"},
    [DZ_MEDIA_AVIF] = {"image/avif", "avif"},
    [DZ_MEDIA_JXL] = {"image/jxl", "jxl"},
    [DZ_MEDIA_BMP] = {"image/bmp", "bmp"},
    [DZ_MEDIA_TIFF] = {"image/tiff", "tif"},
};

/* clang-format off */
static const struct {
    const char *ext, *mime;
    bool is_image; /* one that dz_media_inspect() knows */
} extensions[] = {
    {"jpg", "image/jpeg", true}, {"jpeg", "image/jpeg", true}, {"jpe", "image/jpeg", true},
    {"jfif", "image/jpeg", true}, {"png", "image/png", true}, {"apng", "image/apng", true},
    {"gif", "image/gif", true}, {"webp", "image/webp", true}, {"avif", "image/avif", true},
    {"jxl", "image/jxl", true}, {"bmp", "image/bmp", true}, {"tif", "image/tiff", true},
    {"tiff", "image/tiff", true}, {"svg", "image/svg+xml", false},
    {"ico", "image/vnd.microsoft.icon", false}, {"heic", "image/heic", false},
    {"heif", "image/heif", false}, {"txt", "text/plain", false}, {"html", "text/html", false},
    {"htm", "text/html", false}, {"xhtml", "application/xhtml+xml", false},
    {"css", "text/css", false}, {"js", "text/javascript", false}, {"mjs", "text/javascript", false},
    {"csv", "text/csv", false}, {"md", "text/markdown", false}, {"json", "application/json", false},
    {"xml", "application/xml", false}, {"pdf", "application/pdf", false},
    {"epub", "application/epub+zip", false}, {"zip", "application/zip", false},
    {"cbz", "application/vnd.comicbook+zip", false}, {"rar", "application/vnd.rar", false},
    {"cbr", "application/vnd.comicbook-rar", false}, {"7z", "application/x-7z-compressed", false},
    {"cb7", "application/x-cb7", false}, {"tar", "application/x-tar", false},
    {"cbt", "application/x-cbt", false}, {"gz", "application/gzip", false},
    {"wasm", "application/wasm", false}, {"woff", "font/woff", false},
    {"woff2", "font/woff2", false}, {"ttf", "font/ttf", false}, {"otf", "font/otf", false},
    {"mp3", "audio/mpeg", false}, {"ogg", "audio/ogg", false}, {"wav", "audio/x-wav", false},
    {"flac", "audio/flac", false}, {"mp4", "video/mp4", false}, {"m4v", "video/mp4", false},
    {"webm", "video/webm", false}, {"mkv", "video/x-matroska", false},
    {"mov", "video/quicktime", false}, {"avi", "video/x-msvideo", false},
};
/* clang-format on */

const char *dz_media_mime(enum dz_media_type t)
{
    return types[t < DZ_MEDIA_TYPE_COUNT ? t : DZ_MEDIA_UNKNOWN].mime;
}

const char *dz_media_ext(enum dz_media_type t)
{
    return types[t < DZ_MEDIA_TYPE_COUNT ? t : DZ_MEDIA_UNKNOWN].ext;
}

void dz_media_page_name(uint32_t at, unsigned width, dz_str mime, struct dz_buf *out)
{
    const char *ext = dz_media_ext(DZ_MEDIA_PNG);
    for (int t = DZ_MEDIA_UNKNOWN + 1; t < DZ_MEDIA_TYPE_COUNT; t++)
        if (dz_str_eq(mime, dz_str_of(types[t].mime)))
            ext = t == DZ_MEDIA_TIFF ? "tiff" : types[t].ext; /* as the contract calls it */
    dz_buf_putf(out, "%0*llu.%s", (int)width, (unsigned long long)at + 1, ext);
}

/* Row of the name's extension, or -1. A name that only consists of dots and an extension (".jpg")
 * has none. */
static int find_row(dz_str name)
{
    size_t slash = dz_str_rchr(name, '/');
    if (slash != DZ_NPOS)
        name = dz_str_sub(name, slash + 1, name.n);
    size_t dot = dz_str_rchr(name, '.');
    if (dot == DZ_NPOS)
        return -1;
    size_t first = 0;
    while (first < dot && name.p[first] == '.')
        first++;
    if (first == dot)
        return -1;
    dz_str ext = dz_str_sub(name, dot + 1, name.n);
    for (size_t i = 0; i < DZ_LEN(extensions); i++) {
        if (dz_str_eq_nocase(ext, dz_str_of(extensions[i].ext)))
            return (int)i;
    }
    return -1;
}

const char *dz_media_mime_of_name(dz_str name)
{
    int row = find_row(name);
    return row < 0 ? NULL : extensions[row].mime;
}

bool dz_media_name_is_image(dz_str name)
{
    int row = find_row(name);
    return row >= 0 && extensions[row].is_image;
}
