/* checkpoint.c - see checkpoint.h. */
#include "ledger/checkpoint.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"

#define NUMBER_LEN 20 /* with its NUL */

enum buf_status
checkpoint_append(struct buf *out, const char *name,
                  const struct checkpoint *checkpoint)
{
    char log_id[UUID_TEXT_LEN];
    enum buf_status status;

    uuid_format(&checkpoint->log_id, log_id);
    status =
        buf_printf(out, "%s/%s\n%" PRId64 "\n", name, log_id, checkpoint->size);
    if (status == BUF_OK)
        status = crypto_append_base64(out, checkpoint->root, ENTRY_HASH_LEN);
    return status == BUF_OK ? buf_append_str(out, "\n") : status;
}

static int
fail(struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID, "the checkpoint has no %s", what);
}

/* The next line without its end; -1 when there is none. */
static int
take_line(const char **at, const char *end, const char **line, size_t *len)
{
    const char *line_end = memchr(*at, '\n', (size_t)(end - *at));

    if (line_end == NULL)
        return -1;
    *line = *at;
    *len = (size_t)(line_end - *at);
    *at = line_end + 1;
    return 0;
}

static int
parse_origin(const char *line, size_t len, struct uuid *log_id, struct err *err)
{
    char text[UUID_TEXT_LEN];
    const size_t id_len = sizeof(text) - 1;

    if (len < id_len + 2 || line[len - id_len - 1] != '/')
        return fail(err, "origin that ends in the id of a log");
    memcpy(text, line + len - id_len, id_len);
    text[id_len] = '\0';
    return uuid_parse(text, log_id) == 0 ? 0 : fail(err, "id of a log");
}

static int
parse_size(const char *line, size_t len, int64_t *size, struct err *err)
{
    char text[NUMBER_LEN];

    if (len == 0 || len >= sizeof(text) || (line[0] == '0' && len > 1))
        return fail(err, "size");
    memcpy(text, line, len);
    text[len] = '\0';
    return str_to_int(text, 0, INT64_MAX, size) == 0 ? 0 : fail(err, "size");
}

static int
parse_root(const char *line, size_t len, uint8_t root[ENTRY_HASH_LEN],
           struct err *err)
{
    struct buf bytes;
    int result = 0;

    buf_init(&bytes, 2 * ENTRY_HASH_LEN);
    if (crypto_append_unbase64(&bytes, line, len, NULL) == 0 &&
        bytes.len == ENTRY_HASH_LEN)
        memcpy(root, bytes.bytes, ENTRY_HASH_LEN);
    else
        result = fail(err, "root");
    buf_close(&bytes);
    return result;
}

int
checkpoint_parse(struct checkpoint *checkpoint, const struct note *note,
                 struct err *err)
{
    const char *at = note->text;
    const char *end = at + note->text_len;
    const char *lines[3];
    size_t lens[3];

    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (take_line(&at, end, &lines[i], &lens[i]) == -1)
            return fail(err, "three lines");
    if (parse_origin(lines[0], lens[0], &checkpoint->log_id, err) == -1 ||
        parse_size(lines[1], lens[1], &checkpoint->size, err) == -1)
        return -1;
    return parse_root(lines[2], lens[2], checkpoint->root, err);
}
