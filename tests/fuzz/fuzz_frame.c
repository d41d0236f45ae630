/*
 * fuzz_frame - the frames between clerk and scribe: every length is checked,
 * and what can be read can be written again, byte for byte.
 *
 * The input is a stream of frames.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "ledger/frame.h"

#define SUBJECT_LEN 17 /* kind and run, which an answer begins with */

static bool
is_inside(const struct frame *frame, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    return at >= frame->payload && at + len <= frame->payload + frame->len;
}

static void
check_record(const struct frame *frame, struct buf *out)
{
    struct frame_record record;

    if (frame_read_record(frame, &record, NULL) == -1)
        return;
    FUZZ_CHECK(is_inside(frame, record.facts, record.facts_len));
    for (size_t i = 0; i < record.part_count; i++)
        FUZZ_CHECK(
            is_inside(frame, record.parts[i].bytes, record.parts[i].len));
    FUZZ_CHECK(frame_append_record(out, &record, NULL) == 0);
}

static void
check_answer(const struct frame *frame, struct buf *out)
{
    const bool is_refusal = frame->type == FRAME_REFUSAL;
    struct frame_answer answer;

    if (frame_read_answer(frame, &answer, NULL) == -1)
        return;
    FUZZ_CHECK(strlen(answer.reason) <= FRAME_MAX_REASON_BYTES);
    if (is_refusal &&
        memchr(frame->payload + SUBJECT_LEN, '\0', frame->len - SUBJECT_LEN))
        return;
    FUZZ_CHECK((is_refusal
                    ? frame_append_refusal(out, answer.kind, &answer.run_id,
                                           answer.reason, NULL)
                    : frame_append_receipt(out, answer.kind, &answer.run_id,
                                           &answer.receipt, NULL)) == 0);
}

static void
check_taken(const struct frame *frame, struct buf *out)
{
    struct frame_answer answer;

    if (frame_read_answer(frame, &answer, NULL) == 0)
        FUZZ_CHECK(frame_append_taken(out, answer.kind, &answer.run_id,
                                      &answer.holder, NULL) == 0);
}

static void
check_frame(const struct frame *frame, struct buf *out)
{
    struct uuid run_id;

    switch (frame->type) {
    case FRAME_RECORD:
        check_record(frame, out);
        break;
    case FRAME_OPEN_RUN:
        if (frame_read_open_run(frame, &run_id, NULL) == 0)
            FUZZ_CHECK(frame_append_open_run(out, &run_id, NULL) == 0);
        break;
    case FRAME_RECEIPT:
    case FRAME_REFUSAL:
        check_answer(frame, out);
        break;
    case FRAME_TAKEN:
        check_taken(frame, out);
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame frame;
    struct buf out;

    buf_init(&out, FRAME_MAX_BYTES);
    while (frame_look(data, size, &frame, NULL) == FRAME_WHOLE) {
        FUZZ_CHECK(frame.whole_len <= size);
        FUZZ_CHECK(frame.len + FRAME_HEADER_LEN == frame.whole_len);
        buf_clear(&out);
        check_frame(&frame, &out);
        FUZZ_CHECK(out.len == 0 || (out.len == frame.whole_len &&
                                    memcmp(out.bytes, data, out.len) == 0));
        data += frame.whole_len;
        size -= frame.whole_len;
    }
    buf_close(&out);
    return 0;
}
