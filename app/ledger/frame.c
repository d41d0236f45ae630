/* frame.c - see frame.h. */
#include "ledger/frame.h"

#include <assert.h>
#include <string.h>

#define FRAME_VERSION 1

/* ---- taking bytes apart ------------------------------------------------ */

/* What is left of a payload.  Reading past its end sets short_of and gives
 * zeros, so that a reader may check once, at the end. */
struct cursor {
    const uint8_t *at;
    size_t left;
    bool short_of;
};

static const uint8_t *
take(struct cursor *cursor, size_t len)
{
    const uint8_t *bytes = cursor->at;

    if (cursor->short_of || len > cursor->left) {
        cursor->short_of = true;
        return NULL;
    }
    cursor->at += len;
    cursor->left -= len;
    return bytes;
}

static uint64_t
take_uint(struct cursor *cursor, size_t len)
{
    const uint8_t *bytes = take(cursor, len);
    uint64_t value = 0;

    for (size_t i = 0; bytes != NULL && i < len; i++)
        value = value << 8 | bytes[i];
    return value;
}

static void
take_bytes(struct cursor *cursor, void *out, size_t len)
{
    const uint8_t *bytes = take(cursor, len);

    if (bytes != NULL)
        memcpy(out, bytes, len);
    else
        memset(out, 0, len);
}

static struct cursor
cursor_of(const struct frame *frame)
{
    return (struct cursor){ .at = frame->payload, .left = frame->len };
}

/* A payload is read to its end, neither short nor long. */
static int
check_end(const struct cursor *cursor, const char *what, struct err *err)
{
    if (cursor->short_of)
        return err_set(err, ERR_INVALID, "%s frame is too short", what);
    if (cursor->left > 0)
        return err_set(err, ERR_INVALID, "%s frame has %zu bytes too many",
                       what, cursor->left);
    return 0;
}

/* ---- reading ----------------------------------------------------------- */

enum frame_status
frame_look(const void *bytes, size_t len, struct frame *frame, struct err *err)
{
    struct cursor cursor = { .at = bytes, .left = len };
    uint64_t version, type, zero, payload_len;

    if (len < FRAME_HEADER_LEN)
        return FRAME_MORE;
    version = take_uint(&cursor, 1);
    type = take_uint(&cursor, 1);
    zero = take_uint(&cursor, 2);
    payload_len = take_uint(&cursor, 4);
    if (version != FRAME_VERSION || zero != 0 || type < FRAME_RECORD ||
        type > FRAME_TAKEN) {
        err_set(err, ERR_INVALID, "frame header is not one of ours");
        return FRAME_BAD;
    }
    if (payload_len > FRAME_MAX_BYTES - FRAME_HEADER_LEN) {
        err_set(err, ERR_INVALID, "frame of %llu bytes is above the maximum",
                (unsigned long long)payload_len);
        return FRAME_BAD;
    }
    if (payload_len > cursor.left)
        return FRAME_MORE;
    *frame =
        (struct frame){ .type = (enum frame_type)type,
                        .payload = cursor.at,
                        .len = (size_t)payload_len,
                        .whole_len = FRAME_HEADER_LEN + (size_t)payload_len };
    return FRAME_WHOLE;
}

static int
read_part(struct cursor *cursor, struct frame_record *record, struct err *err)
{
    struct entry_content *content = &record->parts[record->part_count];
    const uint64_t part = take_uint(cursor, 1);
    const uint64_t cleaned = take_uint(cursor, 1);
    const size_t len = (size_t)take_uint(cursor, 4);
    const uint8_t *bytes = take(cursor, len);

    if (bytes == NULL)
        return err_set(err, ERR_INVALID, "record frame ends inside a part");
    if (part >= ENTRY_PART_COUNT || cleaned > 1)
        return err_set(err, ERR_INVALID, "record frame has an unknown part");
    for (size_t i = 0; i < record->part_count; i++)
        if (record->parts[i].part == (enum entry_part)part)
            return err_set(err, ERR_INVALID, "record frame has %s twice",
                           entry_part_name(record->parts[i].part));
    *content = (struct entry_content){ .part = (enum entry_part)part,
                                       .bytes = (const char *)bytes,
                                       .len = len,
                                       .cleaned = cleaned != 0 };
    record->part_count++;
    return 0;
}

int
frame_read_record(const struct frame *frame, struct frame_record *record,
                  struct err *err)
{
    struct cursor cursor = cursor_of(frame);
    const uint64_t kind = take_uint(&cursor, 1);
    uint64_t part_count;

    *record = (struct frame_record){ .kind = ENTRY_ACCEPTED };
    take_bytes(&cursor, &record->run_id, sizeof(record->run_id));
    record->submitted_mono_ms = (int64_t)take_uint(&cursor, 8);
    part_count = take_uint(&cursor, 1);
    record->facts_len = (size_t)take_uint(&cursor, 4);
    record->facts = (const char *)take(&cursor, record->facts_len);
    if (record->facts == NULL)
        return err_set(err, ERR_INVALID, "record frame is too short");
    if (kind != ENTRY_ACCEPTED && kind != ENTRY_FINISHED &&
        kind != ENTRY_LEFT && kind != ENTRY_ADMIN)
        return err_set(err, ERR_INVALID,
                       "record frame is of no kind that a worker writes");
    if (uuid_is_nil(&record->run_id))
        return err_set(err, ERR_INVALID,
                       "record frame is about the log, which is the scribe's");
    if (part_count > ENTRY_MAX_PARTS ||
        record->facts_len > FRAME_MAX_FACTS_BYTES)
        return err_set(err, ERR_INVALID, "record frame is above its limits");
    record->kind = (enum entry_kind)kind;
    while (record->part_count < part_count)
        if (read_part(&cursor, record, err) == -1)
            return -1;
    return check_end(&cursor, "record", err);
}

int
frame_read_open_run(const struct frame *frame, struct uuid *run_id,
                    struct err *err)
{
    struct cursor cursor = cursor_of(frame);

    take_bytes(&cursor, run_id, sizeof(*run_id));
    return check_end(&cursor, "open run", err);
}

static int
read_receipt(struct cursor *cursor, struct entry_receipt *receipt,
             struct err *err)
{
    const uint64_t state = take_uint(cursor, 1);

    if (state > ENTRY_SPOOLED)
        return err_set(err, ERR_INVALID, "receipt frame has no known state");
    receipt->state = (enum entry_state)state;
    take_bytes(cursor, &receipt->log_id, sizeof(receipt->log_id));
    receipt->idx = (int64_t)take_uint(cursor, 8);
    receipt->recorded_unix_us = (int64_t)take_uint(cursor, 8);
    take_bytes(cursor, receipt->leaf_hash, sizeof(receipt->leaf_hash));
    return check_end(cursor, "receipt", err);
}

static int
read_reason(struct cursor *cursor, struct frame_answer *answer, struct err *err)
{
    const size_t len = cursor->left;

    if (cursor->short_of || len > FRAME_MAX_REASON_BYTES)
        return err_set(err, ERR_INVALID, "refusal frame has a wrong length");
    take_bytes(cursor, answer->reason, len);
    answer->reason[len] = '\0';
    return 0;
}

static int
read_holder(struct cursor *cursor, struct entry_holder *holder, struct err *err)
{
    uint64_t same_request, ended;

    take_bytes(cursor, &holder->run_id, sizeof(holder->run_id));
    same_request = take_uint(cursor, 1);
    ended = take_uint(cursor, 1);
    if (same_request > 1 || ended > 1)
        return err_set(err, ERR_INVALID, "taken frame is not one of ours");
    holder->same_request = same_request != 0;
    holder->ended = ended != 0;
    return check_end(cursor, "taken", err);
}

int
frame_read_answer(const struct frame *frame, struct frame_answer *answer,
                  struct err *err)
{
    struct cursor cursor = cursor_of(frame);
    const uint64_t kind = take_uint(&cursor, 1);

    *answer = (struct frame_answer){ .kind = ENTRY_ACCEPTED };
    take_bytes(&cursor, &answer->run_id, sizeof(answer->run_id));
    if (kind >= ENTRY_KIND_COUNT)
        return err_set(err, ERR_INVALID, "answer frame has an unknown kind");
    answer->kind = (enum entry_kind)kind;
    if (frame->type == FRAME_RECEIPT)
        return read_receipt(&cursor, &answer->receipt, err);
    if (frame->type == FRAME_REFUSAL)
        return read_reason(&cursor, answer, err);
    if (frame->type == FRAME_TAKEN)
        return read_holder(&cursor, &answer->holder, err);
    return err_set(err, ERR_INVALID, "frame is not an answer");
}

/* ---- writing ----------------------------------------------------------- */

/* Appends until something fails; the first failure stays. */
struct writer {
    struct buf *out;
    size_t begin; /* where this frame starts */
    enum buf_status status;
};

static void
put(struct writer *writer, const void *bytes, size_t len)
{
    if (writer->status == BUF_OK)
        writer->status = buf_append(writer->out, bytes, len);
}

static void
put_uint(struct writer *writer, uint64_t value, size_t len)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    put(writer, bytes, len);
}

static struct writer
begin_frame(struct buf *out, enum frame_type type)
{
    struct writer writer = { .out = out, .begin = out->len };

    put_uint(&writer, FRAME_VERSION, 1);
    put_uint(&writer, type, 1);
    put_uint(&writer, 0, 2);
    put_uint(&writer, 0, 4); /* the length: see end_frame() */
    return writer;
}

static int
end_frame(struct writer *writer, struct err *err)
{
    struct buf *out = writer->out;
    const size_t whole_len = out->len - writer->begin;
    uint8_t *length;

    if (writer->status == BUF_OK && whole_len <= FRAME_MAX_BYTES) {
        const size_t len = whole_len - FRAME_HEADER_LEN;

        length = (uint8_t *)out->bytes + writer->begin + 4;
        for (size_t i = 0; i < 4; i++)
            length[i] = (uint8_t)(len >> (24 - 8 * i));
        return 0;
    }
    if (writer->status == BUF_NOMEM)
        return err_set(err, ERR_NOMEM, "frame");
    return err_set(err, ERR_LIMIT, "frame would be above the maximum");
}

static void
put_subject(struct writer *writer, enum entry_kind kind,
            const struct uuid *run_id)
{
    put_uint(writer, kind, 1);
    put(writer, run_id, sizeof(*run_id));
}

static void
put_parts(struct writer *writer, const struct frame_record *record)
{
    for (size_t i = 0; i < record->part_count; i++) {
        const struct entry_content *content = &record->parts[i];

        if (content->len > FRAME_MAX_BYTES) { /* would not fit its length */
            writer->status = BUF_FULL;
            return;
        }
        put_uint(writer, content->part, 1);
        put_uint(writer, content->cleaned ? 1 : 0, 1);
        put_uint(writer, content->len, 4);
        put(writer, content->bytes, content->len);
    }
}

int
frame_append_record(struct buf *out, const struct frame_record *record,
                    struct err *err)
{
    struct writer writer;

    assert(record->part_count <= ENTRY_MAX_PARTS);
    if (record->facts_len > FRAME_MAX_FACTS_BYTES)
        return err_set(err, ERR_LIMIT, "facts would be above the maximum");
    writer = begin_frame(out, FRAME_RECORD);
    put_subject(&writer, record->kind, &record->run_id);
    put_uint(&writer, (uint64_t)record->submitted_mono_ms, 8);
    put_uint(&writer, record->part_count, 1);
    put_uint(&writer, record->facts_len, 4);
    put(&writer, record->facts, record->facts_len);
    put_parts(&writer, record);
    return end_frame(&writer, err);
}

int
frame_append_open_run(struct buf *out, const struct uuid *run_id,
                      struct err *err)
{
    struct writer writer = begin_frame(out, FRAME_OPEN_RUN);

    put(&writer, run_id, sizeof(*run_id));
    return end_frame(&writer, err);
}

int
frame_append_receipt(struct buf *out, enum entry_kind kind,
                     const struct uuid *run_id,
                     const struct entry_receipt *receipt, struct err *err)
{
    struct writer writer = begin_frame(out, FRAME_RECEIPT);

    put_subject(&writer, kind, run_id);
    put_uint(&writer, receipt->state, 1);
    put(&writer, &receipt->log_id, sizeof(receipt->log_id));
    put_uint(&writer, (uint64_t)receipt->idx, 8);
    put_uint(&writer, (uint64_t)receipt->recorded_unix_us, 8);
    put(&writer, receipt->leaf_hash, sizeof(receipt->leaf_hash));
    return end_frame(&writer, err);
}

int
frame_append_refusal(struct buf *out, enum entry_kind kind,
                     const struct uuid *run_id, const char *reason,
                     struct err *err)
{
    struct writer writer = begin_frame(out, FRAME_REFUSAL);

    put_subject(&writer, kind, run_id);
    put(&writer, reason, strnlen(reason, FRAME_MAX_REASON_BYTES));
    return end_frame(&writer, err);
}

int
frame_append_taken(struct buf *out, enum entry_kind kind,
                   const struct uuid *run_id, const struct entry_holder *holder,
                   struct err *err)
{
    struct writer writer = begin_frame(out, FRAME_TAKEN);

    put_subject(&writer, kind, run_id);
    put(&writer, &holder->run_id, sizeof(holder->run_id));
    put_uint(&writer, holder->same_request ? 1 : 0, 1);
    put_uint(&writer, holder->ended ? 1 : 0, 1);
    return end_frame(&writer, err);
}
