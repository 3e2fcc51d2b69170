/*
 * replay: runs a fuzz target over a kept corpus, as a plain test.
 *
 * In: files and folders as arguments; a folder's files are taken in order of name, folders inside
 * it are not entered. Out: one line with the number of inputs. Fails when an argument is missing or
 * a folder is empty, because a corpus that has gone would pass for the wrong reason. A target
 * reports by aborting. Each input is a heap copy of its exact size, so that a checker sees a read
 * past its end.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long inputs;

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return 1;
    }
    uint8_t *data = NULL;
    size_t n = 0, got = 0;
    do {
        n += got;
        uint8_t *more = realloc(data, n + 65536);
        if (!more)
            abort();
        data = more;
        got = fread(data + n, 1, 65536, f);
    } while (got > 0);
    int bad = ferror(f);
    fclose(f);
    if (bad) {
        fprintf(stderr, "replay: %s: cannot be read\n", path);
    } else {
        uint8_t *exact = malloc(n ? n : 1);
        if (!exact)
            abort();
        memcpy(exact, data, n);
        /* A target that aborts leaves the name of its input as the last line. */
        fprintf(stderr, "replay: %s\n", path);
        LLVMFuzzerTestOneInput(exact, n);
        inputs++;
        free(exact);
    }
    free(data);
    return bad != 0;
}

static int run_folder(const char *path)
{
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    if (count < 0) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return 1;
    }
    unsigned long before = inputs;
    int failed = 0;
    for (int i = 0; i < count; i++) {
        char file[4096];
        struct stat st;
        int n = snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
        free(names[i]);
        if (n < 0 || (size_t)n >= sizeof(file) || stat(file, &st) < 0)
            failed = 1;
        else if (S_ISREG(st.st_mode))
            failed |= run_file(file);
    }
    free(names);
    if (inputs == before) {
        fprintf(stderr, "replay: %s: no inputs\n", path);
        failed = 1;
    }
    return failed;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;
    if (failed)
        fprintf(stderr, "usage: %s CORPUS_FOLDER_OR_FILE...\n", argv[0]);
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) < 0) {
            fprintf(stderr, "replay: %s: %s\n", argv[i], strerror(errno));
            failed = 1;
        } else {
            failed |= S_ISDIR(st.st_mode) ? run_folder(argv[i]) : run_file(argv[i]);
        }
    }
    printf("%lu inputs\n", inputs);
    return failed;
}
