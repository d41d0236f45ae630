/*
 * test_turn.c - the rules of a run as tables: facts in, actions out.
 *
 * A case is a policy, and lines of one fact with the actions it must give, in
 * a small notation so that the table can be read as the contract.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ask/turn.h"
#include "base/attr.h"

#define MAX_LINES 8

/* Facts: began, flash:ok, pro:timeout, left, hurry, recorded, unrecorded.
 * Actions: as in describe() below, by blanks. */
struct line {
    const char *fact;
    const char *actions;
};

struct turn_case {
    const char *name;
    struct turn_policy policy;
    struct line lines[MAX_LINES];
    const char *verdict; /* status/salvage at the end */
};

/* clang-format off */
#define SALVAGE { false, true, false, false }
#define CANCEL  { true, true, false, false }
#define STAGED  { false, true, true, false }
#define PATIENT { false, false, false, false }
#define ALONE   { false, true, false, true }
/* clang-format on */

static const struct turn_case cases[] = {
    { "both answer, Flash first",
      SALVAGE,
      { { "began", "start" },
        { "flash:ok", "answer:flash" },
        { "pro:ok", "answer:pro record" },
        { "recorded", "complete done end" } },
      "ok/none" },
    { "Pro first: Flash is superseded",
      SALVAGE,
      { { "began", "start" },
        { "pro:ok", "answer:pro cancel:flash:superseded record" },
        { "flash:cancelled", "" },
        { "recorded", "complete done end" } },
      "ok/none" },
    { "Pro first, no early termination: Flash is waited for",
      PATIENT,
      { { "began", "start" },
        { "pro:ok", "answer:pro" },
        { "flash:ok", "answer:flash record" },
        { "recorded", "complete done end" } },
      "ok/none" },
    { "Pro first, no early termination, then Flash fails",
      PATIENT,
      { { "pro:ok", "answer:pro" },
        { "flash:timeout", "record" },
        { "recorded", "complete done end" } },
      "timeout/pro_only" },
    { "Flash times out, Pro is salvaged",
      SALVAGE,
      { { "flash:timeout", "flash_failed" },
        { "pro:ok", "answer:pro record" },
        { "recorded", "complete done end" } },
      "timeout/pro_only" },
    { "Flash fails, policy cancels Pro",
      CANCEL,
      { { "flash:failed", "cancel:pro:sibling record" },
        { "recorded", "error:flash:terminal done end" } },
      "error/none" },
    { "Pro times out after Flash answered: its error waits for the record",
      SALVAGE,
      { { "flash:ok", "answer:flash" },
        { "pro:timeout", "record" },
        { "recorded", "error:pro:terminal complete done end" } },
      "timeout/flash_only" },
    { "Pro fails while Flash runs: its error is not terminal",
      SALVAGE,
      { { "pro:failed", "error:pro" },
        { "flash:ok", "answer:flash record" },
        { "recorded", "complete done end" } },
      "error/flash_only" },
    { "staged: Pro fails while Flash runs: its error is held",
      STAGED,
      { { "pro:failed", "" },
        { "flash:ok", "answer:flash record" },
        { "recorded", "error:pro:terminal complete done end" } },
      "error/flash_only" },
    { "both time out, Flash first",
      SALVAGE,
      { { "flash:timeout", "flash_failed" },
        { "pro:timeout", "record" },
        { "recorded", "error:pro:terminal done end" } },
      "timeout/none" },
    { "both fail, Pro first: an error was said, so only done follows",
      SALVAGE,
      { { "pro:failed", "error:pro" },
        { "flash:timeout", "record" },
        { "recorded", "done end" } },
      "error/none" },
    { "staged: both fail, Flash first",
      STAGED,
      { { "flash:failed", "flash_failed" },
        { "pro:failed", "record" },
        { "recorded", "error:pro:terminal done end" } },
      "error/none" },
    { "an answer cut by the length limit is an answer",
      SALVAGE,
      { { "flash:cut", "answer:flash" },
        { "pro:cut", "answer:pro record" },
        { "recorded", "complete done end" } },
      "ok/none" },
    { "blocked, empty, incomplete and unavailable are failures",
      SALVAGE,
      { { "flash:blocked", "flash_failed" },
        { "pro:incomplete", "record" },
        { "recorded", "error:pro:terminal done end" } },
      "error/none" },
    { "the client leaves before any answer",
      SALVAGE,
      { { "began", "start" },
        { "left", "cancel:flash:client cancel:pro:client record" },
        { "recorded", "error:cancelled:terminal done end" } },
      "cancelled/none" },
    { "the client leaves between the answers",
      SALVAGE,
      { { "flash:ok", "answer:flash" },
        { "left", "cancel:pro:client record" },
        { "pro:cancelled", "" },
        { "recorded", "complete done end" } },
      "cancelled/flash_only" },
    { "the client leaves while the record is written",
      SALVAGE,
      { { "flash:ok", "answer:flash" },
        { "pro:ok", "answer:pro record" },
        { "left", "" },
        { "left", "" },
        { "recorded", "record_left" },
        { "recorded", "complete done end" } },
      "ok/none" },
    { "the client leaves while the record is written, and that is not written",
      SALVAGE,
      { { "flash:ok", "answer:flash" },
        { "pro:ok", "answer:pro record" },
        { "left", "" },
        { "recorded", "record_left" },
        { "unrecorded", "complete done end" } },
      "ok/none" },
    { "the client leaves while a record is written that fails",
      SALVAGE,
      { { "flash:ok", "answer:flash" },
        { "pro:ok", "answer:pro record" },
        { "left", "" },
        { "unrecorded", "error:audit:terminal done end" } },
      "ok/none" },
    { "the client leaves twice",
      SALVAGE,
      { { "left", "cancel:flash:client cancel:pro:client record" },
        { "left", "" },
        { "recorded", "error:cancelled:terminal done end" },
        { "left", "" } },
      "cancelled/none" },
    { "a shutdown cuts the run short",
      SALVAGE,
      { { "flash:ok", "answer:flash" },
        { "hurry", "cancel:pro:shutdown record" },
        { "recorded", "complete done end" } },
      "cancelled/flash_only" },
    { "a shutdown while the record is written changes nothing",
      SALVAGE,
      { { "flash:ok", "answer:flash" },
        { "pro:ok", "answer:pro record" },
        { "hurry", "" },
        { "recorded", "complete done end" } },
      "ok/none" },
    { "the record cannot be written: no complete, an audit error, done",
      STAGED,
      { { "flash:ok", "answer:flash" },
        { "pro:ok", "answer:pro record" },
        { "unrecorded", "error:audit:terminal done end" } },
      "ok/none" },
    { "the record cannot be written after Pro failed",
      SALVAGE,
      { { "flash:ok", "answer:flash" },
        { "pro:failed", "record" },
        { "unrecorded", "error:pro error:audit:terminal done end" } },
      "error/flash_only" },
    { "nothing happens after the end",
      SALVAGE,
      { { "flash:ok", "answer:flash" },
        { "pro:ok", "answer:pro record" },
        { "recorded", "complete done end" },
        { "recorded", "" },
        { "unrecorded", "" },
        { "pro:ok", "" },
        { "hurry", "" } },
      "ok/none" },
    { "a record told before it was asked for is no record",
      SALVAGE,
      { { "recorded", "" },
        { "flash:ok", "answer:flash" },
        { "pro:ok", "answer:pro record" },
        { "recorded", "complete done end" } },
      "ok/none" },
    { "the run outlives its client: both are waited for",
      ALONE,
      { { "began", "start" },
        { "left", "" },
        { "flash:ok", "answer:flash" },
        { "left", "" },
        { "pro:ok", "answer:pro record" },
        { "recorded", "complete done end" } },
      "ok/none" },
    { "it outlives its client, and both fail",
      ALONE,
      { { "left", "" },
        { "pro:timeout", "error:pro" },
        { "flash:failed", "record" },
        { "left", "" },
        { "recorded", "done end" } },
      "timeout/none" },
    { "who leaves it while it is recorded adds nothing",
      ALONE,
      { { "flash:ok", "answer:flash" },
        { "pro:ok", "answer:pro record" },
        { "left", "" },
        { "recorded", "complete done end" } },
      "ok/none" },
    { "a shutdown ends it all the same",
      ALONE,
      { { "left", "" },
        { "flash:ok", "answer:flash" },
        { "hurry", "cancel:pro:shutdown record" },
        { "recorded", "complete done end" } },
      "cancelled/flash_only" },
    { "an answer is told once",
      SALVAGE,
      { { "flash:ok", "answer:flash" },
        { "flash:ok", "" },
        { "flash:failed", "" },
        { "pro:ok", "answer:pro record" },
        { "recorded", "complete done end" } },
      "ok/none" },
};

static enum model_outcome
parse_outcome(const char *word)
{
    static const struct {
        const char *word;
        enum model_outcome outcome;
    } words[] = {
        { "ok", MODEL_COMPLETE },           { "cut", MODEL_CUT },
        { "timeout", MODEL_TIMED_OUT },     { "failed", MODEL_FAILED },
        { "blocked", MODEL_BLOCKED },       { "cancelled", MODEL_CANCELLED },
        { "incomplete", MODEL_INCOMPLETE },
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(word, words[i].word) == 0)
            return words[i].outcome;
    fail_msg("no outcome %s", word);
    return MODEL_PENDING;
}

static struct turn_fact
parse_fact(const char *text)
{
    static const struct {
        const char *word;
        enum turn_fact_kind kind;
    } words[] = {
        { "began", TURN_BEGAN },
        { "left", TURN_CLIENT_LEFT },
        { "hurry", TURN_HURRY },
        { "recorded", TURN_RECORDED },
        { "unrecorded", TURN_NOT_RECORDED },
    };
    const char *colon = strchr(text, ':');

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(text, words[i].word) == 0)
            return (struct turn_fact){ .kind = words[i].kind };
    assert_non_null(colon);
    return (struct turn_fact){ .kind = TURN_MODEL_DONE,
                               .role = text[0] == 'p' ? MODEL_PRO : MODEL_FLASH,
                               .outcome = parse_outcome(colon + 1) };
}

static void
describe_error(const struct turn_action *action, char *text, size_t size)
{
    const char *what = model_role_name(action->role);

    if (action->error == TURN_ERROR_CANCELLED)
        what = "cancelled";
    if (action->error == TURN_ERROR_AUDIT)
        what = "audit";
    snprintf(text, size, "error:%s%s", what,
             action->terminal ? ":terminal" : "");
}

static void
describe(const struct turn *turn, const struct turn_action *action, char *text,
         size_t size)
{
    switch (action->kind) {
    case TURN_SAY_START:
        snprintf(text, size, "start");
        break;
    case TURN_SAY_ANSWER:
        snprintf(text, size, "answer:%s", model_role_name(action->role));
        break;
    case TURN_SAY_FLASH_FAILED:
        snprintf(text, size, "flash_failed");
        break;
    case TURN_SAY_ERROR:
        describe_error(action, text, size);
        break;
    case TURN_SAY_COMPLETE:
        snprintf(text, size, "complete");
        break;
    case TURN_SAY_DONE:
        snprintf(text, size, "done");
        break;
    case TURN_CANCEL:
        snprintf(text, size, "cancel:%s:%s", model_role_name(action->role),
                 turn_cancel_name(turn->cancelled[action->role]));
        break;
    case TURN_RECORD:
        snprintf(text, size, "record");
        break;
    case TURN_RECORD_LEFT:
        snprintf(text, size, "record_left");
        break;
    case TURN_END:
        snprintf(text, size, "end");
        break;
    }
}

static void
step_in_words(struct turn *turn, const char *fact_text, char *words,
              size_t size)
{
    const struct turn_fact fact = parse_fact(fact_text);
    struct turn_action actions[TURN_MAX_ACTIONS];
    const size_t count = turn_step(turn, &fact, actions);

    words[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        char word[64];
        const size_t len = strlen(words);

        describe(turn, &actions[i], word, sizeof(word));
        snprintf(words + len, size - len, "%s%s", i > 0 ? " " : "", word);
    }
}

static void
test_every_case_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct turn_case *one = &cases[i];
        struct turn_verdict verdict;
        struct turn turn;
        char words[512];

        turn_init(&turn, &one->policy);
        for (size_t j = 0; j < MAX_LINES && one->lines[j].fact != NULL; j++) {
            step_in_words(&turn, one->lines[j].fact, words, sizeof(words));
            if (strcmp(words, one->lines[j].actions) != 0)
                fail_msg("%s: after %s: want '%s', have '%s'", one->name,
                         one->lines[j].fact, one->lines[j].actions, words);
        }
        verdict = turn_verdict(&turn);
        snprintf(words, sizeof(words), "%s/%s",
                 turn_status_name(verdict.status),
                 turn_salvage_name(verdict.salvage));
        if (strcmp(words, one->verdict) != 0)
            fail_msg("%s: want %s, have %s", one->name, one->verdict, words);
    }
}

/* Whatever comes in whatever order: one record, then one done as the last but
 * one action, then silence; the terminal frames never before the record. */
static void
test_any_order_of_facts_ends_in_one_done_after_one_record(void **state)
{
    static const char *const facts[] = {
        "flash:ok",   "flash:failed", "flash:timeout", "pro:ok",
        "pro:failed", "pro:timeout",  "left",          "hurry",
    };
    uint32_t seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        const struct turn_policy policy = { round & 1, round & 2, round & 4,
                                            round & 8 };
        int records = 0;
        int dones = 0;
        struct turn turn;
        char words[512];

        turn_init(&turn, &policy);
        for (int i = 0; i < 40 && dones == 0; i++) {
            const char *fact;

            seed = seed * 1664525u + 1013904223u;
            fact = facts[(seed >> 16) % ARRAY_LEN(facts)];
            if (records > 0 && i > 20)
                fact = (seed >> 8) % 2 ? "recorded" : "unrecorded";
            step_in_words(&turn, fact, words, sizeof(words));
            if (records == 0) {
                assert_null(strstr(words, "done"));
                assert_null(strstr(words, "terminal"));
                assert_null(strstr(words, "complete"));
            }
            records += strstr(words, "record") != NULL &&
                       strstr(words, "record_left") == NULL;
            dones += strstr(words, "done end") != NULL;
        }
        assert_int_equal(records, 1);
        assert_int_equal(dones, 1);
        step_in_words(&turn, "recorded", words, sizeof(words));
        assert_string_equal(words, "");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_case_of_the_table),
        cmocka_unit_test(
            test_any_order_of_facts_ends_in_one_done_after_one_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
