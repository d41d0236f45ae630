/*
 * fuzz_conf - the option file with the real table: what was read can be written
 * and, with its secrets filled in, read again, and then is the same; what is
 * refused is refused in words.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "fuzz/fuzz.h"
#include "text/conf.h"
#include "text/utf8.h"

#define MAX_BYTES (1u << 20)

/* A file in memory and its path; one for all inputs. */
static int
open_file(char path[40])
{
    static int fd = -1;

    if (fd == -1)
        fd = memfd_create("fuzz_conf", MFD_CLOEXEC);
    FUZZ_CHECK(fd != -1);
    snprintf(path, 40, "/proc/self/fd/%d", fd);
    return fd;
}

/* What reading it leads to, as --dump-config shows it. */
static int
read_and_dump(const void *bytes, size_t len, struct buf *dump)
{
    struct config values = { .enable_auth = false };
    struct err err = { 0 };
    struct arena arena;
    char path[40];
    const int fd = open_file(path);
    int result;

    FUZZ_CHECK(ftruncate(fd, 0) == 0);
    FUZZ_CHECK(pwrite(fd, bytes, len, 0) == (ssize_t)len);
    arena_init(&arena, MAX_BYTES);
    FUZZ_CHECK(conf_defaults(&config_table, &values, &arena, NULL) == 0);
    result = conf_read_file(&config_table, path, &values, &arena, &err);
    if (result == 0)
        FUZZ_CHECK(conf_dump(&config_table, &values, dump, NULL) == 0);
    else
        FUZZ_CHECK(err.text[0] != '\0' &&
                   utf8_is_clean(err.text, strlen(err.text)));
    arena_close(&arena);
    return result;
}

/* Writes letters over the stars that a dump shows for secrets: it has a line for
 * each option, and stars are refused. */
static void
fill_in_secrets(const char *dump, struct buf *filled)
{
    for (size_t i = 0; i < config_table.count; i++) {
        const struct conf_option *option = &config_table.options[i];
        const size_t len = strcspn(dump, "\n") + 1;
        const char *value = dump + strlen(option->name) + 1;

        if (option->type == CONF_SECRET && *value != '\n')
            FUZZ_CHECK(buf_printf(filled, "%s=secret\n", option->name) ==
                       BUF_OK);
        else
            FUZZ_CHECK(buf_append(filled, dump, len) == BUF_OK);
        dump += len;
    }
}

/* The rules that one option alone cannot know must not crash either. */
static void
load(void)
{
    char *nothing[] = { NULL };
    struct err err = { 0 };
    struct config *config;
    char path[40];

    open_file(path);
    config = config_load(path, nothing, &err);
    FUZZ_CHECK(config != NULL || err.text[0] != '\0');
    config_free(config);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf first, filled, second;

    buf_init(&first, MAX_BYTES);
    buf_init(&filled, MAX_BYTES);
    buf_init(&second, MAX_BYTES);
    if (read_and_dump(data, size, &first) == 0) {
        load();
        fill_in_secrets(buf_cstr(&first), &filled);
        FUZZ_CHECK(read_and_dump(filled.bytes, filled.len, &second) == 0);
        FUZZ_CHECK(strcmp(buf_cstr(&first), buf_cstr(&second)) == 0);
    }
    buf_close(&second);
    buf_close(&filled);
    buf_close(&first);
    return 0;
}
