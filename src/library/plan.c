/*
 * plan: what is a series and what is a chapter.
 *
 * In: paths as a person gave them. Out: units, each one archive or one folder with images directly
 * inside, with what their names say. Names are asked from the unit upwards: folders that only say a
 * volume or a chapter ("Vol 2", "Season 1") are passed and give their number, folders that are
 * chapters themselves are passed, the first other one names the series. That may be a folder above
 * the given path, so that `import "One Piece/Vol 2"` and `import "One Piece"` mean the same
 * chapters. Symbolic links count only when they stay inside the given path; no folder is entered
 * twice. Nothing is read but names, sizes and times.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "library/import_int.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

struct file_list {
    struct plan_file *v;
    size_t n, cap;
};

struct node {
    struct node *parent;
    char *name, *path, *shown;
    unsigned depth;
    struct file_list images, archives, links; /* links: to folders, entered after the real ones */
    struct node **subs;
    size_t subs_n, subs_cap;
    size_t others; /* files that are nothing to us */
    struct plan_file comicinfo;
    bool holds_units; /* itself or below */
};

struct walk {
    struct plan *p;
    struct import_teller *t;
    char *root; /* absolute, "" for "/" */
    struct node *top;
    struct dz_map seen;   /* folders entered, by device and inode */
    struct node **linked; /* folders with links to folders */
    size_t linked_n, linked_cap;
    bool full;
    bool found; /* something that is a unit, or would be one if it were not known or broken */
};

void plan_init(struct plan *p, const char *data_dir)
{
    *p = (struct plan){.arena = dz_arena_new(PLAN_BYTES_MAX), .data_dir = data_dir};
    dz_map_init(&p->units_seen);
}

void plan_done(struct plan *p)
{
    dz_map_done(&p->units_seen);
    dz_arena_free(&p->arena);
    free(p->units);
    *p = (struct plan){.arena = NULL};
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Room for one more in an arena list of items of `size` bytes. */
static void grow(struct dz_arena *a, void *pv, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return;
    size_t wider = *cap ? *cap * 2 : 8;
    void *v = dz_arena_alloc(a, wider * size);
    if (n > 0)
        memcpy(v, *(void **)pv, n * size);
    *(void **)pv = v;
    *cap = wider;
}

static void add_file(struct walk *w, struct file_list *l, const char *name, const struct stat *st)
{
    struct dz_arena *a = w->p->arena;
    grow(a, &l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n++] =
        (struct plan_file){dz_arena_dup(a, dz_str_of(name)), (uint64_t)st->st_size,
                           (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec};
}

static int cmp_files(const void *a, const void *b)
{
    const struct plan_file *x = a, *y = b;
    return dz_str_natural_cmp(dz_str_of(x->name), dz_str_of(y->name));
}

static int cmp_nodes(const void *a, const void *b)
{
    const struct node *const *x = a, *const *y = b;
    return dz_str_natural_cmp(dz_str_of((*x)->name), dz_str_of((*y)->name));
}

/* True the first time. */
static bool see(struct plan *p, struct dz_map *m, const struct stat *st)
{
    uint64_t id[2] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino};
    dz_str key = {(const char *)id, sizeof(id)};
    if (dz_map_get(m, key))
        return false;
    key = dz_arena_str(p->arena, key);
    (void)dz_map_set(m, key, (void *)key.p);
    return true;
}

static bool is_archive_name(dz_str name)
{
    static const char *const known[] = {".cbz",    ".zip", ".cbr",  ".rar",     ".cb7",
                                        ".7z",     ".cbt", ".tar",  ".tar.gz",  ".tgz",
                                        ".tar.xz", ".txz", ".tbz2", ".tar.bz2", ".tar.zst"};
    for (size_t i = 0; i < DZ_LEN(known); i++) {
        dz_str ext = dz_str_of(known[i]);
        if (name.n > ext.n && dz_str_eq_nocase(dz_str_sub(name, name.n - ext.n, name.n), ext))
            return true;
    }
    return false;
}

/* ---- walking --------------------------------------------------------------------------------- */

static char *join(struct dz_arena *a, const char *folder, const char *name)
{
    size_t n = strlen(folder);
    const char *slash = n > 0 && folder[n - 1] == '/' ? "" : "/";
    return (char *)dz_arena_printf(a, "%s%s%s", folder, slash, name).p;
}

static struct node *add_node(struct walk *w, struct node *parent, const char *name)
{
    struct dz_arena *a = w->p->arena;
    struct node *n = dz_arena_alloc(a, sizeof(*n));
    *n = (struct node){.parent = parent, .depth = parent->depth + 1};
    n->name = dz_arena_dup(a, dz_str_of(name));
    n->path = join(a, parent->path, name);
    n->shown = join(a, parent->shown, name);
    grow(a, &parent->subs, parent->subs_n, &parent->subs_cap, sizeof(*parent->subs));
    parent->subs[parent->subs_n++] = n;
    return n;
}

bool plan_link_stays(const char *root, const char *path, const char *shown, struct import_teller *t)
{
    char *real = realpath(path, NULL);
    if (!real) {
        import_tell(t, DZ_IMPORT_WARNING, shown, NULL, "a link that leads nowhere; left out");
        return false;
    }
    size_t n = strlen(root);
    bool inside = strncmp(real, root, n) == 0 && (real[n] == '/' || real[n] == '\0');
    free(real);
    if (!inside)
        import_tell(t, DZ_IMPORT_WARNING, shown, NULL,
                    "a link that leads outside the given path; not followed");
    return inside;
}

static void take_entry(struct walk *w, struct node *n, int dir_fd, const char *name)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return; /* gone since */
    if (S_ISLNK(st.st_mode)) {
        struct dz_arena *a = w->p->arena;
        if (!plan_link_stays(w->root, join(a, n->path, name), join(a, n->shown, name), w->t) ||
            fstatat(dir_fd, name, &st, 0) < 0)
            return;
        if (S_ISDIR(st.st_mode)) {
            if (n->links.n == 0) {
                grow(a, &w->linked, w->linked_n, &w->linked_cap, sizeof(*w->linked));
                w->linked[w->linked_n++] = n;
            }
            add_file(w, &n->links, name, &st);
            return;
        }
    }
    if (S_ISDIR(st.st_mode))
        (void)add_node(w, n, name);
    else if (!S_ISREG(st.st_mode))
        n->others++;
    else if (dz_media_name_is_image(dz_str_of(name)))
        add_file(w, &n->images, name, &st);
    else if (is_archive_name(dz_str_of(name)))
        add_file(w, &n->archives, name, &st);
    else if (dz_str_eq_nocase(dz_str_of(name), DZ_S("ComicInfo.xml"))) {
        struct file_list one = {NULL, 0, 0};
        add_file(w, &one, name, &st);
        n->comicinfo = one.v[0];
    } else
        n->others++;
}

static void read_folder(struct walk *w, struct node *n, DIR *dir)
{
    struct dirent *e;
    for (errno = 0; !w->full && (e = readdir(dir)) != NULL; errno = 0) {
        dz_str name = dz_str_of(e->d_name);
        if (dz_str_eq(name, DZ_S(".")) || dz_str_eq(name, DZ_S("..")) || dz_archive_is_junk(name))
            continue;
        if (++w->p->entries > PLAN_ENTRIES_MAX || import_stopped(w->t)) {
            w->full = true;
            return;
        }
        take_entry(w, n, dirfd(dir), e->d_name);
    }
    if (errno != 0) {
        struct dz_err err;
        (void)dz_fail_errno(&err, DZ_IO, errno, "the folder cannot be read");
        import_tell(w->t, DZ_IMPORT_ERROR, n->shown, NULL, err.text);
    }
}

/* "cover.jpg" beside the archives of a series is a picture of the series, not a chapter. */
static bool is_cover_art(const struct file_list *images)
{
    static const char *const known[] = {"cover", "folder",    "poster", "banner",  "series",
                                        "thumb", "thumbnail", "fanart", "backdrop"};
    for (size_t i = 0; i < images->n; i++) {
        dz_str name = dz_str_of(images->v[i].name);
        dz_str stem = dz_str_sub(name, 0, dz_str_rchr(name, '.'));
        bool is_known = false;
        for (size_t k = 0; k < DZ_LEN(known); k++)
            is_known |= dz_str_eq_nocase(stem, dz_str_of(known[k]));
        if (!is_known)
            return false;
    }
    return images->n > 0;
}

static void walk_folder(struct walk *w, struct node *n)
{
    if (n->depth > PLAN_DEPTH_MAX) {
        struct dz_err err;
        (void)dz_fail(&err, DZ_TOO_LARGE, "more than %u folders deep; left out", PLAN_DEPTH_MAX);
        import_tell(w->t, DZ_IMPORT_ERROR, n->shown, NULL, err.text);
        return;
    }
    DIR *dir = opendir(n->path);
    struct stat st;
    if (!dir || fstat(dirfd(dir), &st) < 0) {
        struct dz_err err;
        (void)dz_fail_errno(&err, DZ_IO, errno, "the folder cannot be read");
        import_tell(w->t, DZ_IMPORT_ERROR, n->shown, NULL, err.text);
        if (dir)
            closedir(dir);
        return;
    }
    bool first = see(w->p, &w->seen, &st);
    if (first)
        read_folder(w, n, dir);
    closedir(dir);
    if (!first)
        return;
    if (n->images.n > 0)
        qsort(n->images.v, n->images.n, sizeof(*n->images.v), cmp_files);
    if (n->archives.n > 0)
        qsort(n->archives.v, n->archives.n, sizeof(*n->archives.v), cmp_files);
    n->holds_units = n->archives.n > 0;
    for (size_t i = 0; i < n->subs_n && !w->full; i++) {
        walk_folder(w, n->subs[i]);
        n->holds_units |= n->subs[i]->holds_units;
    }
    if (n->holds_units && is_cover_art(&n->images))
        n->images.n = 0;
    n->holds_units |= n->images.n > 0;
}

/* Links to folders last: most lead to a folder that was entered by its own name. */
static void walk_links(struct walk *w)
{
    for (size_t i = 0; i < w->linked_n && !w->full; i++) {
        struct node *n = w->linked[i];
        for (size_t k = 0; k < n->links.n && !w->full; k++)
            walk_folder(w, add_node(w, n, n->links.v[k].name));
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

struct naming {
    dz_str series, hint, volume, number;
};

static bool is_digits(dz_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

/* What a folder above a unit says; true when it names the series. */
static bool ask_folder(struct dz_arena *a, dz_str name, struct naming *n)
{
    struct dz_name_info info;
    dz_name_parse(name, false, a, &info);
    bool has_series = info.series.n > 0;
    if (has_series && info.volume.n == 0) {
        n->series = name;
        return true;
    }
    if (has_series && n->hint.n == 0) /* "My Comic v02" */
        n->hint = info.series;
    if (n->volume.n == 0)
        n->volume = info.volume;
    if (info.chapter.n > 0 && n->number.n == 0 && n->volume.n == 0)
        n->number = info.chapter;
    else if (n->volume.n == 0 && is_digits(name)) /* "Series/02/005.cbz" */
        n->volume = info.chapter;
    return false;
}

static dz_str parent_of(dz_str path)
{
    size_t slash = dz_str_rchr(path, '/');
    return dz_str_sub(path, 0, slash == DZ_NPOS ? 0 : slash);
}

static dz_str last_of(dz_str path)
{
    size_t slash = dz_str_rchr(path, '/');
    return slash == DZ_NPOS ? path : dz_str_sub(path, slash + 1, path.n);
}

/* Walks up from a unit's folder until one names the series; returns that folder's path. */
static dz_str ask_folders(struct walk *w, const struct plan_unit *u, const struct node *above,
                          struct naming *n)
{
    struct dz_arena *a = w->p->arena;
    dz_str at = parent_of(dz_str_of(u->path));
    dz_str first = at;
    for (; at.n > 0; at = parent_of(at)) {
        bool is_unit = above && above != w->top && above->images.n > 0 && above->archives.n == 0;
        if (!is_unit && ask_folder(a, library_text(a, last_of(at)), n))
            return at;
        above = above ? above->parent : NULL;
    }
    n->series = library_text(a, first.n > 0 ? last_of(first) : dz_str_of(u->path));
    return (dz_str){NULL, 0};
}

static dz_str without_extension(dz_str name)
{
    dz_str stem = dz_str_sub(name, 0, dz_str_rchr(name, '.'));
    if (dz_str_ends(stem, DZ_S(".tar")))
        stem.n -= 4;
    return stem;
}

/* is_given: the unit is the given path itself. */
static void name_unit(struct walk *w, struct plan_unit *u, const struct node *above, bool is_given)
{
    struct dz_arena *a = w->p->arena;
    dz_str file = library_text(a, last_of(dz_str_of(u->path)));
    struct dz_name_info own;
    dz_name_parse(file, u->is_archive, a, &own);
    u->name = u->is_archive ? without_extension(file) : file;
    struct naming n = {.volume = own.volume, .number = own.chapter};
    dz_str base = ask_folders(w, u, above, &n);
    bool has_number = own.chapter.n > 0 || own.volume.n > 0;

    u->series = n.hint.n > 0 ? n.hint : n.series;
    if (is_given && own.series.n > 0)
        u->series = u->is_archive || has_number ? own.series : file;
    u->volume = n.volume;
    u->number = n.number;
    u->title = own.title;
    if (!has_number && own.title.n == 0)
        u->title = own.series.n > 0 ? own.series : u->name;
    if (dz_str_eq(library_fold(a, u->title), library_fold(a, u->series)))
        u->title = (dz_str){NULL, 0};
    u->origin = library_text(a, dz_str_of(u->path));
    dz_str path = dz_str_of(u->path);
    u->source_id = library_text(a, dz_str_sub(path, base.n + 1, path.n));
}

/* ---- units ----------------------------------------------------------------------------------- */

static struct plan_unit *add_unit(struct walk *w, char *path, char *shown)
{
    struct plan *p = w->p;
    struct stat st;
    w->found = true;
    if (stat(path, &st) < 0) {
        struct dz_err err;
        (void)dz_fail_errno(&err, DZ_IO, errno, "cannot be read");
        import_tell(w->t, DZ_IMPORT_ERROR, shown, NULL, err.text);
        return NULL;
    }
    if (!see(p, &p->units_seen, &st))
        return NULL;
    struct plan_unit *u = dz_arena_alloc(p->arena, sizeof(*u));
    *u = (struct plan_unit){.path = path, .shown = shown, .mtime_s = st.st_mtime};
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 64;
        p->units = dz_realloc(p->units, p->cap * sizeof(struct plan_unit *));
    }
    p->units[p->n++] = u;
    return u;
}

static void add_archive(struct walk *w, const struct node *above, char *path, char *shown,
                        const struct plan_file *f, bool is_given)
{
    struct plan_unit *u = add_unit(w, path, shown);
    if (!u)
        return;
    u->is_archive = true;
    u->is_given = is_given;
    u->bytes = f->bytes;
    u->stamp = dz_arena_printf(w->p->arena, "a%d-%llu-%lld", IMPORT_VERSION,
                               (unsigned long long)f->bytes, (long long)f->mtime_ns);
    w->p->bytes += u->bytes;
    name_unit(w, u, above, is_given);
}

static void stamp_file(struct dz_sha256_ctx *hash, const struct plan_file *f)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "%llu %lld", (unsigned long long)f->bytes,
                     (long long)f->mtime_ns);
    dz_sha256_add(hash, (dz_str){f->name, strlen(f->name) + 1});
    dz_sha256_add(hash, (dz_str){text, (size_t)n + 1});
}

static void add_folder(struct walk *w, struct node *n, bool is_given)
{
    w->found = true;
    if (n->images.n > DZ_CHAPTER_PAGES_MAX) {
        struct dz_err err;
        (void)dz_fail(&err, DZ_TOO_LARGE, "%zu images in one folder, %u are allowed in a chapter",
                      n->images.n, DZ_CHAPTER_PAGES_MAX);
        import_tell(w->t, DZ_IMPORT_ERROR, n->shown, NULL, err.text);
        return;
    }
    struct plan_unit *u = add_unit(w, n->path, n->shown);
    if (!u)
        return;
    u->files = n->images.v;
    u->files_n = n->images.n;
    u->comicinfo = n->comicinfo.name;
    DZ_AUTO(dz_sha256_free) struct dz_sha256_ctx *hash = dz_sha256_new();
    for (size_t i = 0; i < u->files_n; i++) {
        stamp_file(hash, &u->files[i]);
        u->bytes += u->files[i].bytes;
    }
    if (u->comicinfo)
        stamp_file(hash, &n->comicinfo);
    struct dz_sha256 sha = dz_sha256_end(hash);
    char hex[32];
    dz_hex(sha.b, sizeof(hex) / 2, hex);
    u->stamp = dz_arena_printf(w->p->arena, "f%d-%zu-%.*s", IMPORT_VERSION, u->files_n,
                               (int)sizeof(hex), hex);
    w->p->bytes += u->bytes;
    name_unit(w, u, n->parent, is_given);
}

static void add_units(struct walk *w, struct node *n)
{
    struct dz_arena *a = w->p->arena;
    if (n->images.n > 0)
        add_folder(w, n, n == w->top);
    if (n->subs_n > 0)
        qsort(n->subs, n->subs_n, sizeof(*n->subs), cmp_nodes);
    /* Archives and folders side by side are one list to the reader. */
    size_t f = 0, d = 0;
    while (f < n->archives.n || d < n->subs_n) {
        if (d == n->subs_n ||
            (f < n->archives.n && dz_str_natural_cmp(dz_str_of(n->archives.v[f].name),
                                                     dz_str_of(n->subs[d]->name)) < 0)) {
            const struct plan_file *file = &n->archives.v[f++];
            add_archive(w, n, join(a, n->path, file->name), join(a, n->shown, file->name), file,
                        false);
        } else {
            add_units(w, n->subs[d++]);
        }
    }
}

/* A folder that holds nothing but one folder of images is a wrapper, as unpacking makes them,
 * unless the inner name is only a number: then the outer one is the series. */
static struct node *look_through(struct walk *w, struct node *top)
{
    if (top->images.n + top->archives.n + top->links.n + top->others != 0 || top->subs_n != 1 ||
        top->comicinfo.name)
        return top;
    struct node *inner = top->subs[0];
    struct dz_name_info info;
    dz_name_parse(dz_str_of(inner->name), false, w->p->arena, &info);
    bool only_images = inner->images.n > 0 && inner->archives.n == 0 && inner->subs_n == 0;
    return only_images && info.series.n > 0 ? inner : top;
}

/* ---- all ------------------------------------------------------------------------------------- */

static void add_tree(struct walk *w, const char *given)
{
    struct dz_arena *a = w->p->arena;
    struct node *top = dz_arena_alloc(a, sizeof(*top));
    *top = (struct node){.path = w->root, .shown = dz_arena_dup(a, dz_str_of(given))};
    top->name = dz_arena_dup(a, last_of(dz_str_of(w->root)));
    if (*top->path == '\0')
        top->path = dz_arena_dup(a, DZ_S("/"));
    walk_folder(w, top);
    walk_links(w);
    if (w->full && !import_stopped(w->t)) {
        struct dz_err err;
        (void)dz_fail(&err, DZ_TOO_LARGE,
                      "more than %u files; import the folders below it one by one",
                      PLAN_ENTRIES_MAX);
        import_tell(w->t, DZ_IMPORT_ERROR, given, NULL, err.text);
        return;
    }
    w->top = look_through(w, top);
    add_units(w, w->top);
    if (!w->found && !import_stopped(w->t))
        import_tell(w->t, DZ_IMPORT_ERROR, given, NULL, "holds no images and no archives");
}

void plan_add(struct plan *p, const char *given, struct import_teller *t)
{
    struct walk w = {.p = p, .t = t};
    char *real = realpath(given, NULL);
    struct stat st;
    struct dz_err err;
    if (!real || stat(real, &st) < 0) {
        (void)dz_fail_errno(&err, DZ_NOT_FOUND, errno, "cannot be read");
        import_tell(t, DZ_IMPORT_ERROR, given, NULL, err.text);
        free(real);
        return;
    }
    w.root = dz_arena_dup(p->arena, strcmp(real, "/") == 0 ? DZ_S("") : dz_str_of(real));
    free(real);
    dz_map_init(&w.seen);
    struct stat own;
    if (stat(p->data_dir, &own) == 0) /* our own blobs are nobody's pages */
        (void)see(p, &w.seen, &own);
    if (S_ISDIR(st.st_mode)) {
        add_tree(&w, given);
    } else if (S_ISREG(st.st_mode) && dz_media_name_is_image(dz_str_of(w.root))) {
        import_tell(t, DZ_IMPORT_ERROR, given, NULL,
                    "one image is no chapter; give the folder that it lies in");
    } else if (S_ISREG(st.st_mode)) {
        struct file_list one = {NULL, 0, 0};
        add_file(&w, &one, w.root, &st);
        add_archive(&w, NULL, w.root, dz_arena_dup(p->arena, dz_str_of(given)), one.v, true);
    } else {
        import_tell(t, DZ_IMPORT_ERROR, given, NULL, "neither a file nor a folder");
    }
    dz_map_done(&w.seen);
}

void plan_finish(struct plan *p)
{
    struct dz_map last; /* folded series name → newest unit */
    dz_map_init(&last);
    for (size_t i = 0; i < p->n; i++) {
        dz_str key = library_fold(p->arena, p->units[i]->series);
        struct plan_unit *before = dz_map_set(&last, key, p->units[i]);
        p->units[i]->position = before ? before->position + 1 : 1;
    }
    for (size_t i = 0; i < p->n; i++) {
        dz_str key = library_fold(p->arena, p->units[i]->series);
        p->units[i]->siblings = ((struct plan_unit *)dz_map_get(&last, key))->position;
    }
    dz_map_done(&last);
}
