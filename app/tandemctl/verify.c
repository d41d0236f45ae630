/* verify.c - tandemctl verify: is the ledger what was written? */
#include "tandemctl/command.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "ledger/verify.h"
#include "tandemctl/anchors.h"
#include "text/utf8.h"

#define PROGRESS_AFTER_MS 1000
#define PROGRESS_EVERY_MS 200
#define MAX_SHOWN_BYTES   (16 * 1024) /* of one text of a report */

struct telling {
    bool json;
    bool memory_short;
    bool to_terminal;
    bool progress_shown;
    int64_t next_progress_mono_ms;
    int64_t note_findings; /* in files of anchors */
};

static void
clear_progress(struct telling *telling)
{
    if (telling->progress_shown)
        fputs("\r\033[K", stderr);
    telling->progress_shown = false;
}

/* ---- JSON lines -------------------------------------------------------- */

static void
print_line_take(struct telling *telling, json_t *line)
{
    if (line == NULL || !command_print_json(line))
        telling->memory_short = true;
    json_decref(line);
}

static const char *
weight_name(enum verify_weight weight)
{
    return weight == VERIFY_FINDING ? "finding" : "note";
}

static json_t *
idx_or_null(int64_t idx)
{
    return idx >= 0 ? json_integer(idx) : json_null();
}

/* Whoever had the ledger in hand may have left bytes in it that JSON cannot
 * hold; a finding about them is told all the same. */
static json_t *
text_or_null(const char *text)
{
    json_t *value = NULL;
    bool changed = false;
    struct buf clean;

    if (text == NULL)
        return json_null();
    buf_init(&clean, MAX_SHOWN_BYTES);
    if (utf8_append_clean(&clean, text, strnlen(text, MAX_SHOWN_BYTES / 3),
                          &changed) == BUF_OK)
        value = json_stringn(buf_cstr(&clean), clean.len);
    buf_close(&clean);
    return value;
}

static void
print_report_json(struct telling *telling, const struct verify_report *report)
{
    print_line_take(telling, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}",
                                       "type", weight_name(report->weight),
                                       "check", report->check, "log_id",
                                       text_or_null(report->log_id), "idx",
                                       idx_or_null(report->idx), "run_id",
                                       text_or_null(report->run_id), "part",
                                       text_or_null(report->part), "text",
                                       text_or_null(report->text)));
}

/* ---- lines for people -------------------------------------------------- */

static void
print_word(const char *name, const char *value)
{
    if (value == NULL)
        return;
    printf(" %s=", name);
    for (; *value != '\0'; value++) /* a tampered id may hold anything */
        putchar(*value > ' ' && *value < 0x7f ? *value : '?');
}

static void
print_report(const struct verify_report *report)
{
    printf("%-7s %-10s", weight_name(report->weight), report->check);
    print_word("log_id", report->log_id);
    if (report->idx >= 0)
        printf(" idx=%" PRId64, report->idx);
    print_word("run_id", report->run_id);
    print_word("part", report->part);
    fputs(": ", stdout);
    command_print_in_line(report->text);
    putchar('\n');
}

/* ---- what the verification tells --------------------------------------- */

static void
on_report(void *arg, const struct verify_report *report)
{
    struct telling *telling = arg;

    clear_progress(telling);
    if (telling->json)
        print_report_json(telling, report);
    else
        print_report(report);
}

static void
on_head(void *arg, const struct verify_head *newest)
{
    struct telling *telling = arg;
    char log_id[UUID_TEXT_LEN], root[2 * ENTRY_HASH_LEN + 1];

    clear_progress(telling);
    uuid_format(&newest->log_id, log_id);
    str_to_hex(newest->root, ENTRY_HASH_LEN, root);
    if (telling->json)
        print_line_take(telling,
                        json_pack("{s:s, s:s, s:I, s:s, s:b}", "type", "head",
                                  "log_id", log_id, "size",
                                  (json_int_t)newest->size, "root", root,
                                  "closed", newest->closed ? 1 : 0));
    else
        printf("head %s:%" PRId64 ":%s\n", log_id, newest->size, root);
}

static void
on_progress(void *arg, int64_t done, int64_t total)
{
    struct telling *telling = arg;
    const int64_t now_mono_ms = clock_mono_ms();

    if (!telling->to_terminal || now_mono_ms < telling->next_progress_mono_ms)
        return;
    telling->next_progress_mono_ms = now_mono_ms + PROGRESS_EVERY_MS;
    telling->progress_shown = true;
    fprintf(stderr, "\r%" PRId64 " of %" PRId64 " entries", done, total);
}

static const char *
plural(int64_t count, const char *one, const char *many)
{
    return count == 1 ? one : many;
}

static void
print_summary(struct telling *telling, const struct verify_counts *counts)
{
    if (telling->json) {
        print_line_take(telling,
                        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "type",
                                  "summary", "entries",
                                  (json_int_t)counts->entries, "logs",
                                  (json_int_t)counts->logs, "runs",
                                  (json_int_t)counts->runs, "contents",
                                  (json_int_t)counts->contents, "open_runs",
                                  (json_int_t)counts->open_runs, "findings",
                                  (json_int_t)counts->findings));
        return;
    }
    printf("%" PRId64 " %s in %" PRId64 " %s, %" PRId64 " %s (%" PRId64
           " open), %" PRId64 " %s: ",
           counts->entries, plural(counts->entries, "entry", "entries"),
           counts->logs, plural(counts->logs, "log", "logs"), counts->runs,
           plural(counts->runs, "run", "runs"), counts->open_runs,
           counts->contents, plural(counts->contents, "text", "texts"));
    if (counts->findings == 0)
        puts("nothing was changed.");
    else
        printf("%" PRId64 " %s.\n", counts->findings,
               plural(counts->findings, "finding", "findings"));
}

/* ---- heads and files of heads ------------------------------------------ */

static void
on_bad_note(void *arg, const char *file, int64_t line, const char *what)
{
    struct telling *telling = arg;
    char text[PATH_MAX + 128];

    snprintf(text, sizeof(text),
             "%s, the note that ends in line %" PRId64 ": %s", file, line,
             what);
    telling->note_findings++;
    on_report(telling, &(struct verify_report){ .weight = VERIFY_FINDING,
                                                .check = "anchor",
                                                .idx = -1,
                                                .text = text });
}

static enum command_exit
verify(const struct command_options *options, struct telling *telling,
       const struct anchors *anchors)
{
    const struct verify_watcher watcher = { .arg = telling,
                                            .report = on_report,
                                            .head = on_head,
                                            .progress = on_progress };
    const struct verify_options verification = {
        .anchors = anchors->all,
        .anchor_count = anchors->count,
        .keys = options->keys,
        .key_count = options->key_count,
        .without_texts = options->without_texts,
    };
    struct verify_counts counts = { 0 };
    struct err err = { 0 };
    int result = -1;
    struct source *source = command_open_source(options, &err);

    if (source != NULL) {
        result = verify_run(source, &verification, &watcher, &counts, &err);
        source->ops->close(source);
    }
    clear_progress(telling);
    if (result == -1)
        return command_source_failed(options, &err);
    counts.findings += telling->note_findings;
    print_summary(telling, &counts);
    if (telling->memory_short)
        return command_complain("not enough memory");
    return counts.findings == 0 ? COMMAND_OK : COMMAND_NEGATIVE;
}

enum command_exit
command_verify(const struct command_options *options)
{
    struct telling telling = {
        .json = options->json,
        .to_terminal = !options->json && isatty(STDERR_FILENO) == 1,
        .next_progress_mono_ms = clock_mono_ms() + PROGRESS_AFTER_MS,
    };
    struct anchors anchors = { .all = NULL };
    enum command_exit code = COMMAND_FAILED;
    struct err err = { 0 };

    if (anchors_read_all(&anchors, options, on_bad_note, &telling, &err) == -1)
        command_complain("--anchor: %s", err.text);
    else
        code = verify(options, &telling, &anchors);
    free(anchors.all);
    return code;
}
