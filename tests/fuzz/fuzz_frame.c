/*
 * fuzz_frame - the frames between clerk and scribe: every length is checked,
 * and what can be read can be written again, byte for byte.
 *
 * The input is a stream of frames.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "ledger/frame.h"
#include "text/json.h"

#define MAX_DEPTH   8
#define SUBJECT_LEN 17 /* kind and run, which an answer begins with */

static bool
is_inside(const struct frame *frame, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    return at >= frame->payload && at + len <= frame->payload + frame->len;
}

static bool
is_canonical(const json_t *facts, const struct frame_record *said)
{
    struct buf text;
    bool same;

    buf_init(&text, FRAME_MAX_FACTS_BYTES);
    same = json_write_canonical(facts, &text, NULL) == 0 &&
           text.len == said->facts_len &&
           memcmp(text.bytes, said->facts, text.len) == 0;
    buf_close(&text);
    return same;
}

/* The facts may be any text: only canonical JSON comes back as it was. */
static void
write_record(struct buf *out, const struct frame_record *said)
{
    json_t *facts = json_parse(said->facts, said->facts_len, MAX_DEPTH, NULL);
    const struct entry_record record = { .kind = said->kind,
                                         .run_id = said->run_id,
                                         .facts = facts,
                                         .parts = said->parts,
                                         .part_count = said->part_count,
                                         .submitted_mono_ms =
                                             said->submitted_mono_ms };

    if (facts != NULL && is_canonical(facts, said))
        FUZZ_CHECK(frame_append_record(out, &record, NULL) == 0);
    json_decref(facts);
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
    write_record(out, &record);
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
