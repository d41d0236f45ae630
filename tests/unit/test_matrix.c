/*
 * test_matrix - every case of support/matrix.h through the real parsers: in one
 * piece, byte by byte, cut in two at every place, and in 1,000 random splits.
 *
 * The seed of the splits is printed; SEED=number in the environment repeats
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "support/matrix.h"
#include "text/json.h"
#include "text/sse.h"

#define RANDOM_SPLITS  1000
#define BIG_SPLITS     8
#define NETWORK_READ   16384
#define CUT_MAX_BYTES  800 /* longer ones are not cut at every place */
#define MAX_NAME_BYTES 100
#define MAX_PATH_BYTES 200
#define MAX_FILE_BYTES (1u << 20)

static const struct matrix_table *const groups[] = {
    &matrix_framing, &matrix_unicode,   &matrix_gemini,
    &matrix_errors,  &matrix_transport, &matrix_openai,
};

static uint32_t base_seed;

/* ---- one case ----------------------------------------------------------- */

/* Bytes, fill again and again, tail; owned by the caller. */
static char *
build(const struct matrix_case *c, size_t fill_count, size_t *len)
{
    const size_t head_len =
        c->reply.len != 0 ? c->reply.len : strlen(c->reply.bytes);
    const size_t fill_len = c->fill != NULL ? strlen(c->fill) : 0;
    const size_t tail_len = c->tail != NULL ? strlen(c->tail) : 0;
    char *bytes = malloc(head_len + fill_len * fill_count + tail_len + 1);
    size_t at = head_len;

    assert_non_null(bytes);
    memcpy(bytes, c->reply.bytes, head_len);
    for (size_t i = 0; i < fill_count; i++, at += fill_len)
        memcpy(bytes + at, c->fill, fill_len);
    if (tail_len > 0)
        memcpy(bytes + at, c->tail, tail_len);
    bytes[at + tail_len] = '\0';
    *len = at + tail_len;
    return bytes;
}

static void
run_split(const struct matrix_case *c, const struct reply_case *reply,
          const char *how, struct reply_case_split split)
{
    char text[100];

    snprintf(text, sizeof(text), "%s (seed %u)", how, (unsigned)split.seed);
    split.how = text;
    reply_case_run_split(c->dialect, reply, split);
}

/* Few large pieces and many small ones, in turns. */
static void
run_random(const struct matrix_case *c, const struct reply_case *reply,
           size_t max_piece, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t most = i % 2 == 0 ? max_piece : 1 + max_piece / 40;

        run_split(c, reply, "in random pieces",
                  (struct reply_case_split){ .max_piece = most + 1,
                                             .seed = base_seed + (uint32_t)i });
    }
}

static void
run_small(const struct matrix_case *c, const struct reply_case *reply)
{
    const struct reply_case_split whole = { .max_piece = 0 };
    const struct reply_case_split single = { .max_piece = 1 };

    run_split(c, reply, "in one piece", whole);
    run_split(c, reply, "byte by byte", single);
    for (size_t at = 1; at < reply->len && reply->len <= CUT_MAX_BYTES; at++)
        run_split(c, reply, "cut in two",
                  (struct reply_case_split){ .first = at });
    run_random(c, reply, reply->len, RANDOM_SPLITS);
}

static void
run_big(const struct matrix_case *c, const struct reply_case *reply)
{
    run_split(c, reply, "in one piece",
              (struct reply_case_split){ .max_piece = 0 });
    run_split(c, reply, "in network reads",
              (struct reply_case_split){ .max_piece = NETWORK_READ });
    run_random(c, reply, NETWORK_READ, BIG_SPLITS);
}

static const char *
words_of(const char *number)
{
    for (size_t i = 0; i < MATRIX_NUMBERS; i++)
        if (matrix_names[i].number != NULL &&
            strcmp(matrix_names[i].number, number) == 0)
            return matrix_names[i].words;
    return NULL;
}

static void
run_case(const struct matrix_case *c)
{
    const bool is_big = c->fill_count > c->twin_count;
    struct reply_case reply = c->reply;
    char name[MAX_NAME_BYTES];
    char *bytes;

    snprintf(name, sizeof(name), "%s (%s)", c->number, words_of(c->number));
    reply.name = name;
    if (reply.marks == NULL)
        reply.marks = "";
    if (!is_big || c->twin_count > 0) {
        reply.bytes = bytes = build(c, c->twin_count, &reply.len);
        run_small(c, &reply);
        free(bytes);
    }
    if (is_big) {
        reply.bytes = bytes = build(c, c->fill_count, &reply.len);
        run_big(c, &reply);
        free(bytes);
    }
}

static void
run_table(const struct matrix_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        run_case(&table->cases[i]);
}

static void
test_a_framing(void **state)
{
    (void)state;
    run_table(&matrix_framing);
}

static void
test_b_unicode_and_json(void **state)
{
    (void)state;
    run_table(&matrix_unicode);
}

static void
test_c_what_gemini_means(void **state)
{
    (void)state;
    run_table(&matrix_gemini);
}

static void
test_d_errors(void **state)
{
    (void)state;
    run_table(&matrix_errors);
}

static void
test_e_and_f_transport_and_time(void **state)
{
    (void)state;
    run_table(&matrix_transport);
}

static void
test_g_what_others_mean(void **state)
{
    (void)state;
    run_table(&matrix_openai);
}

/* ---- all of them -------------------------------------------------------- */

static void
for_each_case(void (*act)(const struct matrix_case *c))
{
    for (size_t g = 0; g < ARRAY_LEN(groups); g++)
        for (size_t i = 0; i < groups[g]->count; i++)
            act(&groups[g]->cases[i]);
}

static bool
has_case(const char *number)
{
    for (size_t g = 0; g < ARRAY_LEN(groups); g++)
        for (size_t i = 0; i < groups[g]->count; i++)
            if (strcmp(groups[g]->cases[i].number, number) == 0)
                return true;
    return false;
}

static void
assert_has_words(const struct matrix_case *c)
{
    assert_non_null(words_of(c->number));
}

static void
test_no_case_is_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < MATRIX_NUMBERS; i++) {
        if (matrix_names[i].number == NULL)
            fail_msg("only %zu of %d numbers", i, MATRIX_NUMBERS);
        if (!has_case(matrix_names[i].number))
            fail_msg("%s has no case", matrix_names[i].number);
        assert_ptr_equal(words_of(matrix_names[i].number),
                         matrix_names[i].words); /* no number twice */
    }
    for_each_case(assert_has_words);
}

static int
keep_event(void *arg, const struct sse_item *item)
{
    assert_int_equal(item->kind, SSE_EVENT);
    assert_string_equal(item->name, "final");
    return buf_append(arg, item->data, item->len) == BUF_OK ? 0 : -1;
}

/* Written as an event of ours, a text is one event and the same text. */
static void
assert_passes_through_our_own_framing(const struct matrix_case *c)
{
    const char *text = c->reply.text != NULL ? c->reply.text : "";
    const struct sse_limits limits = { 4096, 4096, 4096 };
    struct buf frame, seen;
    struct sse_parser parser;
    size_t data_at;
    json_t *value;

    buf_init(&frame, 4096);
    buf_init(&seen, 4096);
    assert_int_equal(sse_begin_event(&frame, "run:1", "final"), BUF_OK);
    data_at = frame.len;
    assert_int_equal(json_append_string(&frame, text, strlen(text)), BUF_OK);
    assert_int_equal(sse_end_event(&frame, data_at), BUF_OK);
    sse_parser_init(&parser, &limits, keep_event, &seen);
    assert_int_equal(sse_parser_feed(&parser, frame.bytes, frame.len, NULL), 0);
    value = json_loads(buf_cstr(&seen), JSON_DECODE_ANY, NULL);
    assert_string_equal(json_string_value(value), text);
    json_decref(value);
    sse_parser_close(&parser);
    buf_close(&seen);
    buf_close(&frame);
}

static void
test_no_text_can_break_our_own_framing(void **state)
{
    (void)state;
    for_each_case(assert_passes_through_our_own_framing);
}

static void
assert_rerouting(const struct matrix_case *c)
{
    struct reply reply;

    if (c->asked == NULL)
        return;
    reply_case_feed(&reply, c->dialect, c->reply.bytes);
    if (dialect_is_rerouted(c->asked, reply.served_model) != c->rerouted)
        fail_msg("%s: asked %s, served %s", c->number, c->asked,
                 reply.served_model);
    reply_close(&reply);
}

static void
test_another_model_than_was_asked_for_shows(void **state)
{
    (void)state;
    for_each_case(assert_rerouting);
}

/* ---- what other tests prove --------------------------------------------- */

static char *
read_test_file(const char *path, size_t len)
{
    char full[MAX_PATH_BYTES];
    char *text = calloc(1, MAX_FILE_BYTES);
    FILE *file;

    assert_non_null(text);
    snprintf(full, sizeof(full), "tests/%.*s", (int)len, path);
    file = fopen(full, "rb");
    if (file == NULL)
        fail_msg("there is no %s", full);
    assert_in_range(fread(text, 1, MAX_FILE_BYTES - 1, file), 1,
                    MAX_FILE_BYTES - 2);
    fclose(file);
    return text;
}

static void
assert_other_test_exists(const struct matrix_case *c)
{
    const char *colon;
    char *text;

    if (c->also == NULL)
        return;
    colon = strchr(c->also, ':');
    assert_non_null(colon);
    text = read_test_file(c->also, (size_t)(colon - c->also));
    if (strstr(text, colon + 1) == NULL)
        fail_msg("%s: there is no %s", c->number, c->also);
    free(text);
}

static void
test_the_other_tests_are_there(void **state)
{
    (void)state;
    for_each_case(assert_other_test_exists);
}

static int
choose_seed(void **state)
{
    const char *said = getenv("SEED");
    int64_t seed = clock_unix_us() % 1000000000 + 1;

    (void)state;
    if (said != NULL && str_to_int(said, 1, INT32_MAX, &seed) == -1)
        return -1;
    base_seed = (uint32_t)seed;
    printf("random splits: SEED=%u\n", (unsigned)base_seed);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_case_is_missing),
        cmocka_unit_test(test_the_other_tests_are_there),
        cmocka_unit_test(test_a_framing),
        cmocka_unit_test(test_b_unicode_and_json),
        cmocka_unit_test(test_c_what_gemini_means),
        cmocka_unit_test(test_d_errors),
        cmocka_unit_test(test_e_and_f_transport_and_time),
        cmocka_unit_test(test_g_what_others_mean),
        cmocka_unit_test(test_no_text_can_break_our_own_framing),
        cmocka_unit_test(test_another_model_than_was_asked_for_shows),
    };

    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
