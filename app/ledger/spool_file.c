/* spool_file.c - see spool_file.h. */
#include "ledger/spool_file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "client/crypto.h"
#include "sys/file.h"
#include "text/json.h"

#define TRAILER_DEPTH 1

/* ---- the last line ----------------------------------------------------- */

static int
hash_lines(const char *bytes, size_t len, char hex[2 * SHA256_LEN + 1],
           struct err *err)
{
    const struct crypto_part part = { bytes, len };
    uint8_t digest[SHA256_LEN];

    if (crypto_sha256(&part, 1, digest, err) == -1)
        return -1;
    str_to_hex(digest, sizeof(digest), hex);
    return 0;
}

static int
append_trailer(struct buf *out, size_t count, struct err *err)
{
    char hex[2 * SHA256_LEN + 1];

    if (hash_lines(out->bytes, out->len, hex, err) == -1)
        return -1;
    if (buf_printf(out, "{\"count\":%zu,\"sha256\":\"%s\"}\n", count, hex) !=
        BUF_OK)
        return err_set(err, ERR_LIMIT, "no room for the last line");
    return 0;
}

/* Where the last line begins. */
static size_t
find_trailer(const struct buf *text)
{
    size_t at = text->len;

    while (at > 0 && text->bytes[at - 1] == '\n')
        at--;
    while (at > 0 && text->bytes[at - 1] != '\n')
        at--;
    return at;
}

static int
check_trailer(const struct buf *text, size_t lines_len, size_t *count,
              struct err *err)
{
    json_t *trailer = json_parse(text->bytes + lines_len, text->len - lines_len,
                                 TRAILER_DEPTH, err);
    char hex[2 * SHA256_LEN + 1];
    int64_t said;
    int result = -1;

    if (trailer == NULL || hash_lines(text->bytes, lines_len, hex, err) == -1)
        goto out;
    if (json_get_string(trailer, "sha256") == NULL ||
        strcmp(json_get_string(trailer, "sha256"), hex) != 0) {
        err_set(err, ERR_INVALID, "the lines are not those it ends with");
        goto out;
    }
    said = json_get_int(trailer, "count", 0);
    if (said < 1 || said > LOGBOOK_MAX_BATCH) {
        err_set(err, ERR_INVALID, "it has no number of entries we write");
        goto out;
    }
    *count = (size_t)said;
    result = 0;
out:
    json_decref(trailer);
    return result;
}

/* ---- writing ----------------------------------------------------------- */

int
spool_file_write(const char *path, const struct seal *const *entries,
                 size_t count, size_t *bytes, struct err *err)
{
    struct buf text;
    int result = 0;

    assert(count > 0 && count <= LOGBOOK_MAX_BATCH);
    buf_init(&text, SPOOL_FILE_MAX_BYTES);
    for (size_t i = 0; result == 0 && i < count; i++)
        result = line_append(&text, entries[i], err);
    if (result == 0)
        result = append_trailer(&text, count, err);
    if (result == 0)
        result = file_write_durably(path, 0600, text.bytes, text.len, err);
    *bytes = text.len;
    buf_close(&text);
    return result;
}

/* ---- reading ----------------------------------------------------------- */

static int
read_lines(struct spool_file *file, const char *bytes, size_t len,
           struct err *err)
{
    for (size_t i = 0; i < file->count; i++)
        line_init(&file->lines[i]);
    for (size_t i = 0; i < file->count; i++) {
        const char *end = memchr(bytes, '\n', len);

        if (end == NULL)
            return err_set(err, ERR_INVALID, "it has too few lines");
        if (line_read(&file->lines[i], bytes, (size_t)(end - bytes), err) == -1)
            return -1;
        file->entries[i] = &file->lines[i].seal;
        len -= (size_t)(end + 1 - bytes);
        bytes = end + 1;
    }
    return len == 0 ? 0 : err_set(err, ERR_INVALID, "it has too many lines");
}

static int
read_batch(struct spool_file *file, const char *path, struct err *err)
{
    size_t lines_len;
    struct buf text;
    int result = -1;

    buf_init(&text, SPOOL_FILE_MAX_BYTES);
    if (file_read(path, &text, err) == 0) {
        file->bytes = text.len;
        lines_len = find_trailer(&text);
        if (check_trailer(&text, lines_len, &file->count, err) == 0)
            result = read_lines(file, text.bytes, lines_len, err);
    }
    buf_close(&text);
    return result;
}

struct spool_file *
spool_file_read(const char *path, struct err *err)
{
    struct spool_file *file = calloc(1, sizeof(*file));
    struct err why = { 0 };

    if (file == NULL) {
        err_set(err, ERR_NOMEM, "a spooled batch");
        return NULL;
    }
    if (read_batch(file, path, &why) == 0)
        return file;
    /* Whatever is above a limit was not written by us. */
    err_set(err, why.kind == ERR_LIMIT ? ERR_INVALID : why.kind, "%s",
            why.text);
    spool_file_free(file);
    return NULL;
}

void
spool_file_free(struct spool_file *file)
{
    if (file == NULL)
        return;
    for (size_t i = 0; i < file->count; i++)
        line_close(&file->lines[i]);
    free(file);
}
