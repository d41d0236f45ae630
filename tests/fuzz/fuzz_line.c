/*
 * fuzz_line - an entry as one line of text: what can be read can be written and
 * read again, and whatever is an entry's body survives both ways.
 *
 * The first byte says what the rest is: '{' begins a line, anything else stands
 * before a body.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "ledger/line.h"

#define MAX_BYTES (4u << 20)

/* Writes the entry, reads it and writes it again. */
static void
check_round_trip(const struct seal *seal)
{
    struct buf first, second;
    struct line line;

    buf_init(&first, MAX_BYTES);
    buf_init(&second, MAX_BYTES);
    line_init(&line);
    FUZZ_CHECK(line_append(&first, seal, NULL) == 0);
    FUZZ_CHECK(memchr(first.bytes, '\n', first.len) ==
               first.bytes + first.len - 1);
    FUZZ_CHECK(line_read(&line, first.bytes, first.len - 1, NULL) == 0);
    FUZZ_CHECK(memcmp(line.seal.leaf_hash, seal->leaf_hash,
                      sizeof(seal->leaf_hash)) == 0);
    FUZZ_CHECK(line.seal.part_count == seal->part_count);
    FUZZ_CHECK(line_append(&second, &line.seal, NULL) == 0);
    FUZZ_CHECK(second.len == first.len);
    FUZZ_CHECK(memcmp(second.bytes, first.bytes, first.len) == 0);
    line_close(&line);
    buf_close(&second);
    buf_close(&first);
}

static void
try_line(const char *bytes, size_t len)
{
    struct err err = { 0 };
    struct line line;

    line_init(&line);
    if (line_read(&line, bytes, len, &err) == 0)
        check_round_trip(&line.seal);
    else
        FUZZ_CHECK(err.text[0] != '\0');
    line_close(&line);
}

static void
try_body(const char *bytes, size_t len)
{
    struct err err = { 0 };
    struct seal seal;

    seal_init(&seal);
    if (seal_restore(&seal, bytes, len, &err) == 0)
        check_round_trip(&seal);
    else
        FUZZ_CHECK(err.text[0] != '\0');
    seal_close(&seal);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] == '{')
        try_line((const char *)data, size);
    else if (size > 0)
        try_body((const char *)data + 1, size - 1);
    return 0;
}
