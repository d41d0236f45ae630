/* test_vocab.c - what each vocabulary says for each action. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "ask/vocab.h"
#include "base/uuid.h"

#define RUN_ID "0197f7a0-0000-7000-8000-000000000001"

static struct entry_receipt receipt = { .state = ENTRY_COMMITTED, .idx = 7 };

static struct vocab_facts facts = {
    .run_id = RUN_ID,
    .query = "why?",
    .query_len = 4,
    .requested_model = { "flash-asked", "pro-asked" },
    .answer = { { .outcome = MODEL_COMPLETE,
                  .text = "quick \"one\"\n",
                  .text_len = 12,
                  .served_model = "flash-served",
                  .error_class = "",
                  .latency_ms = 300,
                  .usage = { 10, 5, -1, -1, 15 } },
                { .outcome = MODEL_COMPLETE,
                  .text = "one\n\ntwo\n\n\nthree\n\nfour\n\nfive\n\nsix",
                  .text_len = 33,
                  .served_model = "pro-served",
                  .error_class = "",
                  .latency_ms = 2000,
                  .usage = { 10, 50, 20, 0, 80 } } },
    .deadline_ms = 50000,
    .total_ms = 2010,
    .receipt = &receipt,
};

static unsigned noted_seq;
static char noted[256];

static void
note(void *arg, const char *event, unsigned seq)
{
    const size_t len = strlen(noted);

    (void)arg;
    assert_int_equal(seq, noted_seq + 1);
    noted_seq = seq;
    snprintf(noted + len, sizeof(noted) - len, "%s%s", len > 0 ? " " : "",
             event);
}

/* Tells one action; the frames are in out, their names in noted. */
static void
tell(enum vocab_words words, struct turn_action action, struct buf *out)
{
    struct vocab vocab;

    noted_seq = 0;
    noted[0] = '\0';
    buf_init(out, 1024 * 1024);
    vocab_init(&vocab, words, &facts, note, NULL);
    assert_int_equal(vocab_tell(&vocab, &action, out), 0);
}

static void
expect(enum vocab_words words, struct turn_action action, const char *events)
{
    struct buf out;

    tell(words, action, &out);
    assert_string_equal(noted, events);
    buf_close(&out);
}

/* The JSON of the first frame called event. */
static json_t *
data_of(const struct buf *out, const char *event)
{
    char lead[64];
    const char *at;
    json_t *data;

    snprintf(lead, sizeof(lead), "event: %s\ndata: ", event);
    at = strstr(buf_cstr(out), lead);
    assert_non_null(at);
    data = json_loads(at + strlen(lead), JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(data);
    return data;
}

static const char *
text_at(const json_t *data, const char *object, const char *key)
{
    if (object != NULL)
        data = json_object_get(data, object);
    return json_string_value(json_object_get(data, key));
}

static void
test_each_vocabulary_has_its_own_events(void **state)
{
    const struct turn_action start = { .kind = TURN_SAY_START };
    const struct turn_action flash = { .kind = TURN_SAY_ANSWER,
                                       .role = MODEL_FLASH };
    const struct turn_action pro = { .kind = TURN_SAY_ANSWER,
                                     .role = MODEL_PRO };
    const struct turn_action complete = { .kind = TURN_SAY_COMPLETE };
    const struct turn_action done = { .kind = TURN_SAY_DONE };

    (void)state;
    expect(VOCAB_CLASSIC, start, "");
    expect(VOCAB_STAGED, start, "start");
    expect(VOCAB_BOTH, start, "start");
    expect(VOCAB_CLASSIC, flash, "preliminary");
    expect(VOCAB_STAGED, flash, "flash_complete");
    expect(VOCAB_BOTH, flash, "preliminary flash_complete");
    expect(VOCAB_CLASSIC, pro, "final");
    expect(VOCAB_STAGED, pro, "pro_complete");
    expect(VOCAB_BOTH, pro, "final pro_complete");
    expect(VOCAB_CLASSIC, complete, "");
    expect(VOCAB_STAGED, complete, "complete");
    expect(VOCAB_BOTH, complete, "complete");
    expect(VOCAB_CLASSIC, done, "done");
    expect(VOCAB_STAGED, done, "done");
    expect(VOCAB_BOTH, done, "done");
}

static void
test_a_failed_flash_is_an_error_to_some_and_a_model_error_to_others(
    void **state)
{
    const struct turn_action action = { .kind = TURN_SAY_FLASH_FAILED };
    const struct model_answer whole = facts.answer[MODEL_FLASH];
    struct buf out;
    json_t *data;

    (void)state;
    facts.answer[MODEL_FLASH].outcome = MODEL_TIMED_OUT;
    expect(VOCAB_CLASSIC, action, "error");
    expect(VOCAB_STAGED, action, "model_error");
    tell(VOCAB_BOTH, action, &out);
    assert_string_equal(noted, "error model_error");
    data = data_of(&out, "error");
    assert_string_equal(text_at(data, NULL, "code"), "flash_timeout");
    assert_string_equal(text_at(data, NULL, "type"), "timeout");
    assert_string_equal(text_at(data, NULL, "model"), "flash");
    assert_true(json_is_true(json_object_get(data, "retryable")));
    assert_true(json_is_false(json_object_get(data, "terminal")));
    json_decref(data);
    buf_close(&out);
    facts.answer[MODEL_FLASH] = whole;
}

static void
test_the_classic_final_carries_the_answer_and_five_steps(void **state)
{
    const struct turn_action action = { .kind = TURN_SAY_ANSWER,
                                        .role = MODEL_PRO };
    const json_t *response;
    const json_t *steps;
    struct buf out;
    json_t *data;

    (void)state;
    tell(VOCAB_CLASSIC, action, &out);
    assert_non_null(strstr(buf_cstr(&out), "id: " RUN_ID ":1\n"));
    data = data_of(&out, "final");
    response = json_object_get(data, "response");
    steps = json_object_get(response, "reasoning_steps");
    assert_string_equal(text_at(data, NULL, "trace_id"), RUN_ID);
    assert_string_equal(text_at(data, NULL, "run_id"), RUN_ID);
    assert_string_equal(text_at(data, "response", "model"), "pro-served");
    assert_string_equal(text_at(data, "response", "confidence"), "high");
    assert_string_equal(text_at(data, "response", "finish_reason"), "stop");
    assert_string_equal(text_at(data, "response", "content"),
                        facts.answer[MODEL_PRO].text);
    assert_int_equal(json_array_size(steps), 5);
    assert_string_equal(json_string_value(json_array_get(steps, 2)), "three");
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(response, "usage"), "thought_tokens")),
                     20);
    json_decref(data);
    buf_close(&out);
}

static void
test_an_unknown_count_is_null(void **state)
{
    const struct turn_action action = { .kind = TURN_SAY_ANSWER,
                                        .role = MODEL_FLASH };
    struct buf out;
    json_t *data;

    (void)state;
    tell(VOCAB_CLASSIC, action, &out);
    data = data_of(&out, "preliminary");
    assert_true(json_is_null(json_object_get(
        json_object_get(json_object_get(data, "response"), "usage"),
        "thought_tokens")));
    json_decref(data);
    buf_close(&out);
}

static void
test_a_cut_answer_is_marked(void **state)
{
    const struct turn_action action = { .kind = TURN_SAY_ANSWER,
                                        .role = MODEL_FLASH };
    struct buf out;
    json_t *data;

    (void)state;
    facts.answer[MODEL_FLASH].outcome = MODEL_CUT;
    tell(VOCAB_CLASSIC, action, &out);
    data = data_of(&out, "preliminary");
    assert_string_equal(text_at(data, "response", "finish_reason"), "length");
    json_decref(data);
    buf_close(&out);
    tell(VOCAB_STAGED, action, &out);
    data = data_of(&out, "flash_complete");
    assert_string_equal(text_at(data, NULL, "finish_reason"), "length");
    json_decref(data);
    buf_close(&out);
    facts.answer[MODEL_FLASH].outcome = MODEL_COMPLETE;
}

static void
test_an_answer_of_another_model_is_marked(void **state)
{
    const struct turn_action action = { .kind = TURN_SAY_ANSWER,
                                        .role = MODEL_FLASH };
    struct buf out;
    json_t *data;

    (void)state;
    facts.answer[MODEL_FLASH].rerouted = true;
    tell(VOCAB_CLASSIC, action, &out);
    data = data_of(&out, "preliminary");
    assert_true(json_is_true(
        json_object_get(json_object_get(data, "response"), "rerouted")));
    json_decref(data);
    buf_close(&out);
    tell(VOCAB_STAGED, action, &out);
    data = data_of(&out, "flash_complete");
    assert_true(json_is_true(json_object_get(data, "rerouted")));
    json_decref(data);
    buf_close(&out);
    facts.answer[MODEL_FLASH].rerouted = false;
}

static void
test_done_is_a_receipt(void **state)
{
    const struct turn_action action = { .kind = TURN_SAY_DONE };
    struct buf out;
    json_t *data;

    (void)state;
    tell(VOCAB_CLASSIC, action, &out);
    data = data_of(&out, "done");
    assert_string_equal(text_at(data, NULL, "status"), "ok");
    assert_string_equal(text_at(data, NULL, "salvage"), "none");
    assert_string_equal(text_at(data, "audit", "state"), "committed");
    assert_int_equal(strlen(text_at(data, "audit", "leaf_hash")), 64);
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(data, "audit"), "index")),
                     7);
    assert_int_equal(json_integer_value(json_object_get(data, "flash_ms")),
                     300);
    json_decref(data);
    buf_close(&out);

    facts.receipt = NULL;
    tell(VOCAB_CLASSIC, action, &out);
    data = data_of(&out, "done");
    assert_string_equal(text_at(data, "audit", "state"), "failed");
    assert_null(text_at(data, "audit", "leaf_hash"));
    json_decref(data);
    buf_close(&out);
    facts.receipt = &receipt;
}

static void
test_a_wrong_key_is_not_worth_a_retry(void **state)
{
    const struct turn_action action = { .kind = TURN_SAY_ERROR,
                                        .role = MODEL_PRO,
                                        .terminal = true };
    struct buf out;
    json_t *data;

    (void)state;
    facts.answer[MODEL_PRO].outcome = MODEL_UNAVAILABLE;
    facts.answer[MODEL_PRO].error_class = "RateLimited";
    tell(VOCAB_STAGED, action, &out);
    data = data_of(&out, "error");
    assert_string_equal(text_at(data, NULL, "code"), "pro_unavailable");
    assert_true(json_is_true(json_object_get(data, "retryable")));
    json_decref(data);
    buf_close(&out);

    facts.answer[MODEL_PRO].error_class = "AuthError";
    tell(VOCAB_STAGED, action, &out);
    data = data_of(&out, "error");
    assert_true(json_is_false(json_object_get(data, "retryable")));
    assert_true(json_is_true(json_object_get(data, "terminal")));
    json_decref(data);
    buf_close(&out);
    facts.answer[MODEL_PRO].outcome = MODEL_COMPLETE;
    facts.answer[MODEL_PRO].error_class = "";
}

static void
test_complete_has_null_for_the_missing_answer(void **state)
{
    const struct turn_action action = { .kind = TURN_SAY_COMPLETE };
    struct buf out;
    json_t *data;

    (void)state;
    facts.answer[MODEL_PRO].outcome = MODEL_INCOMPLETE;
    tell(VOCAB_STAGED, action, &out);
    data = data_of(&out, "complete");
    assert_true(json_is_null(json_object_get(data, "pro_response")));
    assert_string_equal(text_at(data, NULL, "flash_response"),
                        "quick \"one\"\n");
    json_decref(data);
    buf_close(&out);
    facts.answer[MODEL_PRO].outcome = MODEL_COMPLETE;
}

static void
test_a_frame_that_does_not_fit_leaves_nothing_behind(void **state)
{
    const struct turn_action action = { .kind = TURN_SAY_ANSWER,
                                        .role = MODEL_PRO };
    struct vocab vocab;
    struct buf out;

    (void)state;
    noted_seq = 0;
    noted[0] = '\0';
    buf_init(&out, 600);
    vocab_init(&vocab, VOCAB_BOTH, &facts, note, NULL);
    assert_int_equal(vocab_tell(&vocab, &action, &out), -1);
    assert_int_equal(out.len, 0);
    buf_close(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_vocabulary_has_its_own_events),
        cmocka_unit_test(
            test_a_failed_flash_is_an_error_to_some_and_a_model_error_to_others),
        cmocka_unit_test(
            test_the_classic_final_carries_the_answer_and_five_steps),
        cmocka_unit_test(test_an_unknown_count_is_null),
        cmocka_unit_test(test_a_cut_answer_is_marked),
        cmocka_unit_test(test_an_answer_of_another_model_is_marked),
        cmocka_unit_test(test_done_is_a_receipt),
        cmocka_unit_test(test_a_wrong_key_is_not_worth_a_retry),
        cmocka_unit_test(test_complete_has_null_for_the_missing_answer),
        cmocka_unit_test(test_a_frame_that_does_not_fit_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
