/*
 * fuzz_sse - lib/text/sse: a stream means the same however it is cut.
 *
 * The first byte is the longest piece, the rest the stream.
 */
#include <string.h>

#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "text/sse.h"

#define SEEN_MAX_BYTES (1u << 22)

/* Small, so that inputs reach them. */
static const struct sse_limits limits = {
    .max_line_bytes = 256,
    .max_event_bytes = 512,
    .max_raw_bytes = 64,
};

static int
keep(void *arg, const struct sse_item *item)
{
    struct buf *seen = arg;

    FUZZ_CHECK(item->data[item->len] == '\0');
    FUZZ_CHECK(strlen(item->name) < sizeof(((struct sse_parser *)0)->name));
    FUZZ_CHECK(item->kind != SSE_EVENT || item->len > 0);
    FUZZ_CHECK(buf_printf(seen, "%d %s %d %zu ", (int)item->kind, item->name,
                          item->unfinished, item->len) == BUF_OK);
    FUZZ_CHECK(buf_append(seen, item->data, item->len) == BUF_OK);
    return 0;
}

static void
read_stream(const char *bytes, size_t len, size_t max_piece, struct buf *seen)
{
    struct sse_parser parser;
    struct err err = { 0 };
    int status = 0;

    sse_parser_init(&parser, &limits, keep, seen);
    while (len > 0 && status == 0) {
        const size_t piece = len < max_piece ? len : max_piece;

        status = sse_parser_feed(&parser, bytes, piece, &err);
        bytes += piece;
        len -= piece;
    }
    if (status == 0)
        status = sse_parser_end(&parser, &err);
    FUZZ_CHECK(sse_parser_raw_tail(&parser)->len <= limits.max_raw_bytes);
    FUZZ_CHECK(buf_printf(seen, "%d %s <%s>", status, err.text,
                          buf_cstr(sse_parser_raw_tail(&parser))) == BUF_OK);
    sse_parser_close(&parser);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, pieces;

    if (size == 0)
        return 0;
    buf_init(&whole, SEEN_MAX_BYTES);
    buf_init(&pieces, SEEN_MAX_BYTES);
    read_stream((const char *)data + 1, size - 1, SIZE_MAX, &whole);
    read_stream((const char *)data + 1, size - 1, (size_t)data[0] + 1, &pieces);
    FUZZ_CHECK(strcmp(buf_cstr(&whole), buf_cstr(&pieces)) == 0);
    buf_close(&pieces);
    buf_close(&whole);
    return 0;
}
