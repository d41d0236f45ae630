/*
 * selftest.c - tandemctl selftest: do to a private instance what must not hurt,
 * and say whether the promises held.
 */
#include "tandemctl/command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "client/http.h"
#include "sys/sig.h"
#include "tandemctl/selftest_drills.h"
#include "tandemctl/selftest_instance.h"

#define START_MS 20000

/* Wide enough for all of the list. */
#define FAULT_WIDTH 37
#define SEEN_WIDTH  51

struct test {
    bool json;
    bool memory_short;
    size_t failed_count;
    struct drilling drilling;
};

/* ---- telling ------------------------------------------------------------- */

/* What is being done stands there while it is done. */
static void
tell_begin(const struct test *test, const struct drill *drill)
{
    if (test->json)
        return;
    printf("%-7s  %-*s  ", drill->promise, FAULT_WIDTH, drill->fault);
    fflush(stdout);
}

static void
tell_json(struct test *test, const struct drill *drill, int64_t took_ms)
{
    const struct drilling *drilling = &test->drilling;
    json_t *line = json_pack(
        "{s:s, s:s, s:s, s:s, s:I}", "promise", drill->promise, "fault",
        drill->fault, "seen", drilling->seen, "verdict",
        drilling->failed ? "FAILED" : "ok", "took_ms", (json_int_t)took_ms);

    if (line == NULL || !command_print_json(line))
        test->memory_short = true;
    json_decref(line);
}

static void
tell_end(struct test *test, const struct drill *drill, int64_t took_ms)
{
    if (test->json)
        tell_json(test, drill, took_ms);
    else
        printf("%-*s  %s\n", SEEN_WIDTH, test->drilling.seen,
               test->drilling.failed ? "FAILED" : "ok");
    fflush(stdout);
}

/* ---- running ------------------------------------------------------------- */

static void
run_all(struct test *test)
{
    struct drilling *drilling = &test->drilling;

    if (!test->json)
        printf("%-7s  %-*s  %-*s  %s\n", "PROMISE", FAULT_WIDTH, "FAULT",
               SEEN_WIDTH, "SEEN", "VERDICT");
    for (size_t i = 0; i < DRILL_COUNT; i++) {
        const int64_t begun_mono_ms = clock_mono_ms();

        tell_begin(test, &drills[i]);
        drill_run(&drills[i], drilling);
        if (drilling->patience.interrupted) {
            if (!test->json)
                putchar('\n');
            return;
        }
        tell_end(test, &drills[i], clock_mono_ms() - begun_mono_ms);
        test->failed_count += drilling->failed;
    }
}

static enum command_exit
conclude(const struct test *test, bool keep)
{
    if (test->drilling.patience.interrupted)
        return command_complain("interrupted; everything was stopped");
    if (test->memory_short)
        return command_complain("not enough memory");
    if (test->failed_count == 0)
        return COMMAND_OK;
    if (!test->json)
        printf("%zu of %d did not hold.%s\n", test->failed_count, DRILL_COUNT,
               keep ? "" : " With --keep the logs stay to be looked at.");
    return COMMAND_NEGATIVE;
}

static enum command_exit
run_with(struct instance *instance, const struct command_options *options)
{
    static struct test test;
    struct err err = { 0 };
    enum command_exit code;

    test.json = options->json;
    test.drilling.instance = instance;
    test.drilling.patience.deadline_mono_ms = clock_mono_ms() + START_MS;
    if (instance_start(instance, &test.drilling.patience, &err) == 0)
        run_all(&test);
    instance_stop(instance);
    if (err.kind != ERR_NONE && !test.drilling.patience.interrupted)
        return command_complain("%s", err.text);
    code = conclude(&test, options->keep);
    if (options->keep)
        fprintf(stderr, "Logs and ledger stay in %s\n", instance->folder);
    return code;
}

enum command_exit
command_selftest(const struct command_options *options)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    enum command_exit code = COMMAND_FAILED;
    struct instance *instance = NULL;
    struct err err = { 0 };

    if (!options->faults)
        return command_complain("selftest knows one test: --faults");
    if (sig_open(signals, ARRAY_LEN(signals), &err) == -1 ||
        http_global_init(&err) == -1 || (instance = instance_new(&err)) == NULL)
        return command_complain("%s", err.text);
    code = run_with(instance, options);
    if (!instance_free(instance, options->keep))
        return command_complain("the folder of the test could not be removed");
    http_global_cleanup();
    return code;
}
