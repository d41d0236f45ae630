/*
 * replay.c - plays the corpus of a target, without libFuzzer: for `make test`.
 *
 * The name of the program tells the target: fuzz_sse plays
 * tests/fuzz/corpus/sse.  Files named on the command line are played instead,
 * which is how one looks at an input that was found.
 */
#include <errno.h>
#include <glob.h>
#include <string.h>

#include "fuzz/fuzz.h"

#define MAX_INPUT_BYTES (1u << 20)

/* In memory of its own, so that sanitizers see an over-read. */
static int
play(const char *path)
{
    static uint8_t bytes[MAX_INPUT_BYTES];
    FILE *file = fopen(path, "rb");
    uint8_t *copy;
    size_t len;

    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    copy = malloc(len);
    if (copy == NULL && len > 0)
        return -1;
    if (len > 0)
        memcpy(copy, bytes, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
    return 0;
}

static int
play_corpus(void)
{
    char pattern[200];
    size_t count;
    glob_t found;
    int status = 0;

    snprintf(pattern, sizeof(pattern), "tests/fuzz/corpus/%s/*",
             program_invocation_short_name + strlen("fuzz_"));
    if (glob(pattern, 0, NULL, &found) != 0) {
        fprintf(stderr, "no input in %s\n", pattern);
        return -1;
    }
    count = found.gl_pathc;
    for (size_t i = 0; i < count && status == 0; i++)
        status = play(found.gl_pathv[i]);
    globfree(&found);
    printf("%zu inputs\n", count);
    return status;
}

int
main(int argc, char **argv)
{
    int status = 0;

    if (argc < 2)
        return play_corpus() == 0 ? 0 : 1;
    for (int i = 1; i < argc && status == 0; i++)
        status = play(argv[i]);
    return status == 0 ? 0 : 1;
}
