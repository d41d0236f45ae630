#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/attr.h"
#include "ledger/frame.h"

#define FACTS "{\"a\":\"x\",\"b\":2}"

static const struct uuid run = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
                                   14, 15, 16 } };
static struct buf out;

static int
set_up(void **state)
{
    (void)state;
    buf_init(&out, 2 * FRAME_MAX_BYTES);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    buf_close(&out);
    return 0;
}

static void
append_record(const struct entry_content *parts, size_t part_count)
{
    struct frame_record record = { .kind = ENTRY_FINISHED,
                                   .run_id = run,
                                   .facts = FACTS,
                                   .facts_len = strlen(FACTS),
                                   .part_count = part_count };

    for (size_t i = 0; i < part_count; i++)
        record.parts[i] = parts[i];
    assert_int_equal(frame_append_record(&out, &record, NULL), 0);
}

static struct frame
first_frame(void)
{
    struct frame frame;
    struct err err = { 0 };

    if (frame_look(out.bytes, out.len, &frame, &err) != FRAME_WHOLE)
        fail_msg("%s", err.text);
    return frame;
}

static void
test_a_record_comes_back_as_it_was(void **state)
{
    static const struct entry_content parts[] = {
        { .part = ENTRY_PART_FLASH, .bytes = "a\nb", .len = 3 },
        { .part = ENTRY_PART_PRO_PARTIAL, .bytes = "", .cleaned = true },
    };
    struct frame_record record;
    struct frame frame;

    (void)state;
    append_record(parts, ARRAY_LEN(parts));
    frame = first_frame();
    assert_int_equal(frame.whole_len, out.len);
    assert_int_equal(frame_read_record(&frame, &record, NULL), 0);
    assert_int_equal(record.kind, ENTRY_FINISHED);
    assert_memory_equal(&record.run_id, &run, sizeof(run));
    assert_int_equal(record.facts_len, strlen(FACTS));
    assert_memory_equal(record.facts, FACTS, record.facts_len);
    assert_int_equal(record.part_count, 2);
    assert_int_equal(record.parts[0].part, ENTRY_PART_FLASH);
    assert_int_equal(record.parts[0].len, 3);
    assert_memory_equal(record.parts[0].bytes, "a\nb", 3);
    assert_false(record.parts[0].cleaned);
    assert_int_equal(record.parts[1].len, 0);
    assert_true(record.parts[1].cleaned);
}

static void
test_answers_come_back_as_they_were(void **state)
{
    struct entry_receipt receipt = { .state = ENTRY_SPOOLED,
                                     .log_id = { { 9 } },
                                     .idx = INT64_MAX,
                                     .recorded_unix_us = 1769903999123456 };
    struct frame_answer answer;
    struct frame frame;

    (void)state;
    memset(receipt.leaf_hash, 0xab, sizeof(receipt.leaf_hash));
    assert_int_equal(
        frame_append_receipt(&out, ENTRY_ACCEPTED, &run, &receipt, NULL), 0);
    assert_int_equal(
        frame_append_refusal(&out, ENTRY_FINISHED, &run, "disk full", NULL), 0);
    frame = first_frame();
    assert_int_equal(frame.type, FRAME_RECEIPT);
    assert_int_equal(frame_read_answer(&frame, &answer, NULL), 0);
    assert_int_equal(answer.kind, ENTRY_ACCEPTED);
    assert_memory_equal(&answer.run_id, &run, sizeof(run));
    assert_int_equal(answer.receipt.state, receipt.state);
    assert_true(answer.receipt.idx == INT64_MAX);
    assert_true(answer.receipt.recorded_unix_us == receipt.recorded_unix_us);
    assert_memory_equal(&answer.receipt.log_id, &receipt.log_id, 16);
    assert_memory_equal(answer.receipt.leaf_hash, receipt.leaf_hash, 32);
    buf_consume(&out, frame.whole_len);
    frame = first_frame();
    assert_int_equal(frame.type, FRAME_REFUSAL);
    assert_int_equal(frame_read_answer(&frame, &answer, NULL), 0);
    assert_string_equal(answer.reason, "disk full");
}

static void
test_whose_a_key_is_comes_back(void **state)
{
    struct frame_answer answer;
    struct frame frame;

    (void)state;
    for (int i = 0; i < 4; i++) {
        const struct entry_holder holder = { .run_id = { { 5 } },
                                             .same_request = i % 2 != 0,
                                             .ended = i / 2 != 0 };

        buf_clear(&out);
        assert_int_equal(
            frame_append_taken(&out, ENTRY_ACCEPTED, &run, &holder, NULL), 0);
        frame = first_frame();
        assert_int_equal(frame.type, FRAME_TAKEN);
        assert_int_equal(frame_read_answer(&frame, &answer, NULL), 0);
        assert_memory_equal(&answer.run_id, &run, sizeof(run));
        assert_memory_equal(&answer.holder.run_id, &holder.run_id, 16);
        assert_int_equal(answer.holder.same_request, holder.same_request);
        assert_int_equal(answer.holder.ended, holder.ended);
        out.bytes[out.len - 1] = 2;
        assert_int_equal(frame_read_answer(&frame, &answer, NULL), -1);
    }
}

static void
test_a_long_reason_is_cut(void **state)
{
    char reason[FRAME_MAX_REASON_BYTES + 50];
    struct frame_answer answer;
    struct frame frame;

    (void)state;
    memset(reason, 'r', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    assert_int_equal(
        frame_append_refusal(&out, ENTRY_FINISHED, &run, reason, NULL), 0);
    frame = first_frame();
    assert_int_equal(frame_read_answer(&frame, &answer, NULL), 0);
    assert_int_equal(strlen(answer.reason), FRAME_MAX_REASON_BYTES);
}

static void
test_only_kinds_that_a_worker_writes_are_records(void **state)
{
    (void)state;
    for (int kind = 0; kind < ENTRY_KIND_COUNT; kind++) {
        const struct frame_record record = { .kind = (enum entry_kind)kind,
                                             .run_id = run,
                                             .facts = FACTS,
                                             .facts_len = strlen(FACTS) };
        const bool from_worker = kind == ENTRY_ACCEPTED ||
                                 kind == ENTRY_FINISHED || kind == ENTRY_LEFT ||
                                 kind == ENTRY_ADMIN;
        struct frame_record read;
        struct frame frame;

        buf_clear(&out);
        assert_int_equal(frame_append_record(&out, &record, NULL), 0);
        frame = first_frame();
        assert_int_equal(frame_read_record(&frame, &read, NULL),
                         from_worker ? 0 : -1);
        if (from_worker)
            assert_int_equal(read.kind, kind);
    }
}

static void
test_an_open_run_comes_back(void **state)
{
    struct frame frame;
    struct uuid read;

    (void)state;
    assert_int_equal(frame_append_open_run(&out, &run, NULL), 0);
    frame = first_frame();
    assert_int_equal(frame.type, FRAME_OPEN_RUN);
    assert_int_equal(frame_read_open_run(&frame, &read, NULL), 0);
    assert_memory_equal(&read, &run, sizeof(run));
}

static void
test_every_cut_is_either_unfinished_or_refused(void **state)
{
    static const struct entry_content part = { .part = ENTRY_PART_QUERY,
                                               .bytes = "hello",
                                               .len = 5 };
    struct frame_record record;
    struct frame frame;
    size_t payload_len;

    (void)state;
    append_record(&part, 1);
    for (size_t len = 0; len < out.len; len++)
        assert_int_equal(frame_look(out.bytes, len, &frame, NULL), FRAME_MORE);
    frame = first_frame();
    payload_len = frame.len;
    for (frame.len = 0; frame.len < payload_len; frame.len++) {
        /* In memory of its own, so that reading beyond it shows. */
        uint8_t *payload = malloc(frame.len + 1);
        struct frame cut = frame;
        struct err err = { 0 };

        assert_non_null(payload);
        memcpy(payload, frame.payload, frame.len);
        cut.payload = payload;
        assert_int_equal(frame_read_record(&cut, &record, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID);
        free(payload);
    }
}

static void
test_a_byte_too_many_is_refused(void **state)
{
    struct frame_record record;
    struct frame_answer answer;
    struct uuid run_id;
    struct frame frame;

    (void)state;
    append_record(NULL, 0);
    frame = first_frame();
    assert_int_equal(buf_append(&out, "", 1), BUF_OK);
    frame.payload = (const uint8_t *)out.bytes + FRAME_HEADER_LEN;
    frame.len++;
    assert_int_equal(frame_read_record(&frame, &record, NULL), -1);
    frame.len = 17;
    assert_int_equal(frame_read_open_run(&frame, &run_id, NULL), -1);
    frame.type = FRAME_RECEIPT;
    assert_int_equal(frame_read_answer(&frame, &answer, NULL), -1);
}

static void
test_a_part_twice_is_refused(void **state)
{
    static const struct entry_content parts[] = {
        { .part = ENTRY_PART_QUERY, .bytes = "a", .len = 1 },
        { .part = ENTRY_PART_QUERY, .bytes = "b", .len = 1 },
    };
    struct frame_record record;
    struct frame frame;

    (void)state;
    append_record(parts, 2);
    frame = first_frame();
    assert_int_equal(frame_read_record(&frame, &record, NULL), -1);
}

/* Such a record would be an entry about the log itself. */
static void
test_a_record_about_no_run_is_refused(void **state)
{
    struct frame_record record;
    struct frame frame;

    (void)state;
    append_record(NULL, 0);
    memset(out.bytes + FRAME_HEADER_LEN + 1, 0, sizeof(struct uuid));
    frame = first_frame();
    assert_int_equal(frame_read_record(&frame, &record, NULL), -1);
}

static void
test_random_bytes_never_do_harm(void **state)
{
    static const struct entry_content part = { .part = ENTRY_PART_QUERY,
                                               .bytes = "hello",
                                               .len = 5 };
    unsigned seed = 1;

    (void)state;
    append_record(&part, 1);
    for (int round = 0; round < 20000; round++) {
        char *copy = malloc(out.len);
        struct frame_record record;
        struct frame_answer answer;
        struct frame frame;

        assert_non_null(copy);
        memcpy(copy, out.bytes, out.len);
        for (int i = 0; i < 3; i++)
            copy[(size_t)rand_r(&seed) % out.len] = (char)rand_r(&seed);
        if (frame_look(copy, out.len, &frame, NULL) == FRAME_WHOLE) {
            if (frame_read_record(&frame, &record, NULL) == 0) {
                assert_in_range(record.part_count, 0, ENTRY_MAX_PARTS);
                assert_true(record.facts_len <= frame.len);
            }
            if (frame_read_answer(&frame, &answer, NULL) == 0)
                assert_in_range(strlen(answer.reason), 0,
                                FRAME_MAX_REASON_BYTES);
        }
        free(copy);
    }
}

static void
test_more_than_the_maximum_cannot_be_said(void **state)
{
    char *text = calloc(1, FRAME_MAX_BYTES);
    struct frame_record record = { .kind = ENTRY_FINISHED,
                                   .run_id = run,
                                   .facts = FACTS,
                                   .facts_len = strlen(FACTS),
                                   .parts = { { .part = ENTRY_PART_PRO,
                                                .bytes = text,
                                                .len = FRAME_MAX_BYTES } },
                                   .part_count = 1 };
    struct frame frame;
    struct err err = { 0 };

    (void)state;
    assert_non_null(text);
    assert_int_equal(frame_append_record(&out, &record, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    buf_clear(&out);
    record.parts[0].len = FRAME_MAX_BYTES - 64; /* fits with its headers */
    assert_int_equal(frame_append_record(&out, &record, NULL), 0);
    assert_int_equal(frame_look(out.bytes, out.len, &frame, NULL), FRAME_WHOLE);
    free(text);
}

static void
test_facts_above_their_maximum_cannot_be_said(void **state)
{
    char *text = calloc(1, FRAME_MAX_FACTS_BYTES + 1);
    struct frame_record record = { .kind = ENTRY_FINISHED,
                                   .facts = text,
                                   .facts_len = FRAME_MAX_FACTS_BYTES + 1 };
    struct err err = { 0 };

    (void)state;
    assert_non_null(text);
    assert_int_equal(frame_append_record(&out, &record, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    record.facts_len--;
    assert_int_equal(frame_append_record(&out, &record, NULL), 0);
    free(text);
}

#define FRAME_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(test_a_record_comes_back_as_it_was),
        FRAME_TEST(test_answers_come_back_as_they_were),
        FRAME_TEST(test_whose_a_key_is_comes_back),
        FRAME_TEST(test_a_long_reason_is_cut),
        FRAME_TEST(test_only_kinds_that_a_worker_writes_are_records),
        FRAME_TEST(test_an_open_run_comes_back),
        FRAME_TEST(test_every_cut_is_either_unfinished_or_refused),
        FRAME_TEST(test_a_byte_too_many_is_refused),
        FRAME_TEST(test_a_part_twice_is_refused),
        FRAME_TEST(test_a_record_about_no_run_is_refused),
        FRAME_TEST(test_random_bytes_never_do_harm),
        FRAME_TEST(test_more_than_the_maximum_cannot_be_said),
        FRAME_TEST(test_facts_above_their_maximum_cannot_be_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
