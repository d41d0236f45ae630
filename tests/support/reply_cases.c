/* reply_cases.c - see reply_cases.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/reply_cases.h"
#include "text/utf8.h"

#define SPLITS 40

/* xorshift: the same pieces in every run. */
static uint32_t
next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static long
status_of(const struct reply_case *c)
{
    if (c->status == -1)
        return 0;
    return c->status != 0 ? c->status : 200;
}

/* Each piece is a copy of its own, so that reading past it is noticed. */
static void
feed_copy(struct reply *reply, const char *bytes, size_t len)
{
    char *copy = malloc(len);

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    reply_feed(reply, copy, len);
    free(copy);
}

static size_t
next_piece(struct reply_case_split *split, size_t left)
{
    size_t piece = split->max_piece == 0 ? left : split->max_piece;

    if (split->first > 0)
        piece = split->first;
    else if (split->seed != 0)
        piece = 1 + next_random(&split->seed) % split->max_piece;
    split->first = 0;
    return piece < left ? piece : left;
}

static void
feed_in_pieces(struct reply *reply, const char *bytes, size_t len,
               struct reply_case_split *split)
{
    while (len > 0) {
        const size_t piece = next_piece(split, len);

        feed_copy(reply, bytes, piece);
        bytes += piece;
        len -= piece;
    }
}

static void
write_marks(char marks[64], const struct reply *reply,
            struct reply_verdict verdict)
{
    snprintf(marks, 64, "%s%s%s%s%s", reply->cleaned ? " cleaned" : "",
             reply->thinks ? " thinks" : "", reply->trails ? " trails" : "",
             reply->renamed ? " renamed" : "",
             verdict.transport_unclean ? " unclean" : "");
    memmove(marks, marks + (marks[0] == ' '), strlen(marks) + 1);
}

static void
check_details(const struct reply_case *c, const char *how,
              const struct reply *reply, struct reply_verdict verdict)
{
    const struct model_usage *usage = &reply->usage;
    char marks[64];

    write_marks(marks, reply, verdict);
    if (c->marks != NULL && strcmp(marks, c->marks) != 0)
        fail_msg("%s, %s: marks \"%s\", expected \"%s\"", c->name, how, marks,
                 c->marks);
    if (c->usage != NULL && memcmp(usage, c->usage, sizeof(*usage)) != 0)
        fail_msg(
            "%s, %s: usage %lld %lld %lld %lld %lld", c->name, how,
            (long long)usage->input_tokens, (long long)usage->output_tokens,
            (long long)usage->thought_tokens, (long long)usage->cached_tokens,
            (long long)usage->total_tokens);
}

static void
check(const struct reply_case *c, const char *how, const struct reply *reply,
      struct reply_verdict verdict)
{
    const char *text = c->text != NULL ? c->text : "";
    const char *finish = c->finish != NULL ? c->finish : "";

    if (verdict.outcome != c->outcome || verdict.failure != c->failure ||
        strcmp(buf_cstr(&reply->text), text) != 0 ||
        strcmp(reply->finish_reason, finish) != 0)
        fail_msg("%s, %s: %s/%s, text \"%s\", finish \"%s\"; "
                 "expected %s/%s, \"%s\", \"%s\"",
                 c->name, how, model_outcome_name(verdict.outcome),
                 failure_name(verdict.failure), buf_cstr(&reply->text),
                 reply->finish_reason, model_outcome_name(c->outcome),
                 failure_name(c->failure), text, finish);
}

void
reply_case_run_split(const struct dialect *dialect, const struct reply_case *c,
                     struct reply_case_split split)
{
    const size_t len = c->len != 0 ? c->len : strlen(c->bytes);
    const enum http_outcome transport =
        c->transport != HTTP_PENDING ? c->transport : HTTP_DONE;
    struct reply_verdict verdict = { .outcome = MODEL_CANCELLED,
                                     .failure = FAILURE_CANCELLED };
    struct reply reply;

    reply_init(&reply, dialect, REPLY_CASES_MAX_TEXT);
    feed_in_pieces(&reply, c->bytes, len, &split);
    if (c->outcome != MODEL_CANCELLED)
        verdict = reply_end(&reply, status_of(c), transport);
    check(c, split.how, &reply, verdict);
    check_details(c, split.how, &reply, verdict);
    reply_close(&reply);
}

void
reply_case_run(const struct dialect *dialect, const struct reply_case *c)
{
    reply_case_run_split(dialect, c,
                         (struct reply_case_split){ .how = "in one piece" });
    reply_case_run_split(
        dialect, c,
        (struct reply_case_split){ .how = "byte by byte", .max_piece = 1 });
    for (uint32_t i = 0; i < SPLITS; i++)
        reply_case_run_split(
            dialect, c,
            (struct reply_case_split){ .how = "in random pieces",
                                       .max_piece = 1 + i * 4,
                                       .seed = 20260101 + i });
}

struct reply_verdict
reply_case_feed(struct reply *reply, const struct dialect *dialect,
                const char *bytes)
{
    reply_init(reply, dialect, REPLY_CASES_MAX_TEXT);
    feed_copy(reply, bytes, strlen(bytes));
    return reply_end(reply, 200, HTTP_DONE);
}

/* ---- damage ------------------------------------------------------------- */

static void
damage(char *bytes, size_t *len, uint32_t *seed)
{
    static const char spice[] = "{}[]\",:\\u\0\r\n \xff\xc0\xed\xa0-e9d";
    const size_t at = next_random(seed) % *len;

    switch (next_random(seed) % 4) {
    case 0:
        bytes[at] = (char)next_random(seed);
        break;
    case 1:
        bytes[at] = spice[next_random(seed) % (sizeof(spice) - 1)];
        break;
    case 2: /* lose a byte */
        memmove(bytes + at, bytes + at + 1, *len - at - 1);
        *len -= *len > 1;
        break;
    default: /* end early */
        *len = at + 1;
        break;
    }
}

static void
feed_damaged(const struct dialect *dialect, const char *bytes, size_t len,
             uint32_t *seed)
{
    static const long statuses[] = { 200, 200, 200, 400, 404, 500, 0 };
    const long status = statuses[next_random(seed) % 7];
    const enum http_outcome transport =
        HTTP_DONE + next_random(seed) % (HTTP_TLS_FAILED - HTTP_DONE + 1);
    struct reply_verdict verdict;
    struct reply reply;

    reply_init(&reply, dialect, 4096);
    feed_in_pieces(&reply, bytes, len,
                   &(struct reply_case_split){ .max_piece = 64,
                                               .seed = next_random(seed) });
    verdict = reply_end(&reply, status, transport);
    assert_in_range(verdict.outcome, MODEL_COMPLETE, MODEL_TIMED_OUT);
    assert_int_equal(model_outcome_is_answer(verdict.outcome),
                     verdict.failure == FAILURE_NONE);
    assert_true(utf8_is_clean(buf_cstr(&reply.text), reply.text.len));
    reply_close(&reply);
}

void
reply_case_mutate(const struct dialect *dialect, const char *bytes,
                  size_t count)
{
    const size_t whole_len = strlen(bytes);
    char *copy = malloc(whole_len);
    uint32_t seed = 4711;

    assert_non_null(copy);
    for (size_t i = 0; i < count; i++) {
        size_t len = whole_len;
        size_t wounds = 1 + next_random(&seed) % 4;

        memcpy(copy, bytes, whole_len);
        while (wounds-- > 0)
            damage(copy, &len, &seed);
        feed_damaged(dialect, copy, len, &seed);
    }
    free(copy);
}
