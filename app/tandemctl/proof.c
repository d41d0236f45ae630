/* proof.c - tandemctl proof and check-proof: a run, shown to others. */
#include "tandemctl/command.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "ledger/proof.h"
#include "sys/file.h"
#include "tandemctl/anchors.h"

#define MAX_PROOF_BYTES ((size_t)64 * 1024 * 1024)

/* ---- making one -------------------------------------------------------- */

static enum command_exit
say(const struct command_options *options, enum proof_result result,
    const struct buf *proof, const struct err *err)
{
    switch (result) {
    case PROOF_MADE:
        fwrite(proof->bytes, 1, proof->len, stdout);
        return COMMAND_OK;
    case PROOF_NO_RUN:
        command_complain("there is no run %s; tandemctl runs lists the newest",
                         options->run_id);
        return COMMAND_NEGATIVE;
    case PROOF_NOT_YET:
        command_complain("not yet: an entry of the run is newer than the last "
                         "checkpoint of its log; the next one comes within "
                         "CHECKPOINT_INTERVAL_S");
        return COMMAND_NEGATIVE;
    case PROOF_TOO_NEW:
        command_complain("no log with an entry of the run has a checkpoint of "
                         "%lld entries or more",
                         (long long)options->from);
        return COMMAND_NEGATIVE;
    case PROOF_TOO_LONG:
    case PROOF_FAILED:
        break;
    }
    return command_source_failed(options, err);
}

enum command_exit
command_proof(const struct command_options *options)
{
    struct proof_request request = { .from = options->from,
                                     .deadline_mono_ms = INT64_MAX };
    enum proof_result result = PROOF_FAILED;
    enum command_exit code;
    struct err err = { 0 };
    struct source *source;
    struct buf proof;

    if (uuid_parse(options->run_id, &request.run_id) == -1)
        return command_complain_run_id(options->run_id);
    buf_init(&proof, MAX_PROOF_BYTES);
    source = command_open_source(options, &err);
    if (source != NULL) {
        result = proof_make(source, &request, &proof, &err);
        source->ops->close(source);
    }
    code = say(options, result, &proof, &err);
    buf_close(&proof);
    return code;
}

/* ---- checking one ------------------------------------------------------ */

struct telling {
    bool json;
    bool memory_short;
    int refuted_count;
};

static void
print(struct telling *telling, const char *type, const char *text)
{
    json_t *line;

    if (!telling->json) {
        printf("%-8s ", type);
        command_print_in_line(text);
        putchar('\n');
        return;
    }
    line = json_pack("{s:s, s:s}", "type", type, "text", text);
    if (line == NULL || !command_print_json(line))
        telling->memory_short = true;
    json_decref(line);
}

static void
on_shown(void *arg, const char *text)
{
    print(arg, "shown", text);
}

static void
on_refuted(void *arg, const char *text)
{
    struct telling *telling = arg;

    telling->refuted_count++;
    print(telling, "refuted", text);
}

static void
on_bad_note(void *arg, const char *path, int64_t line, const char *what)
{
    char text[1024];

    snprintf(text, sizeof(text), "%.500s, the note that ends in line %lld: %s",
             path, (long long)line, what);
    on_refuted(arg, text);
}

static enum command_exit
check(const struct command_options *options, const struct anchors *anchors,
      struct telling *telling)
{
    const struct proof_rules rules = { .keys = options->keys,
                                       .key_count = options->key_count,
                                       .anchors = anchors->all,
                                       .anchor_count = anchors->count };
    const struct proof_watcher watcher = { .arg = telling,
                                           .shown = on_shown,
                                           .refuted = on_refuted };
    struct err err = { 0 };
    struct buf text;
    int result;

    buf_init(&text, MAX_PROOF_BYTES);
    result = file_read(options->file, &text, &err);
    if (result == 0)
        result = proof_check(buf_cstr(&text), text.len, &rules, &watcher, &err);
    buf_close(&text);
    if (result == -1)
        return command_complain("cannot check %s: %s", options->file, err.text);
    if (telling->memory_short)
        return command_complain("not enough memory");
    return telling->refuted_count == 0 ? COMMAND_OK : COMMAND_NEGATIVE;
}

enum command_exit
command_check_proof(const struct command_options *options)
{
    struct telling telling = { .json = options->json };
    struct anchors anchors = { .all = NULL };
    enum command_exit code = COMMAND_FAILED;
    struct err err = { 0 };

    if (options->key_count == 0)
        return command_complain("check-proof needs --key: a key that signs "
                                "checkpoints, as tandemctl key show prints it");
    if (anchors_read_all(&anchors, options, on_bad_note, &telling, &err) == -1)
        command_complain("--anchor: %s", err.text);
    else
        code = check(options, &anchors, &telling);
    free(anchors.all);
    return code;
}
