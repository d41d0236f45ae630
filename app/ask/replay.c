/*
 * replay.c - see replay.h.
 *
 * The order of the facts: both models began, the first came to its end, then
 * the other; whoever was cut has no end of its own, and what cut it comes last.
 */
#include "ask/replay.h"

#include <string.h>

#include "base/str.h"
#include "base/uuid.h"
#include "text/json.h"

/* A run's entries, borrowed. */
struct record {
    const json_t *accepted; /* bodies; NULL: there is none */
    const json_t *finished;
    const json_t *orphaned;
    const json_t *end; /* the entry finished or orphaned */
};

/* Frames on their way out. */
struct teller {
    struct vocab vocab;
    struct vocab_facts facts;
    struct turn turn;
    struct entry_receipt receipt;
    struct buf *out;
    size_t kept; /* of out: what comes behind it may be left out */
    unsigned after;
};

/* ---- the record ---------------------------------------------------------- */

static struct record
find_entries(const json_t *run)
{
    const json_t *entries = json_object_get(run, "entries");
    struct record record = { .accepted = NULL };

    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        const json_t *body = json_object_get(entry, "body");
        const char *kind = json_get_string(entry, "kind");

        if (kind == NULL)
            continue;
        if (strcmp(kind, "accepted") == 0) {
            record.accepted = body;
        } else if (strcmp(kind, "finished") == 0) {
            record.finished = body;
            record.end = entry;
        } else if (strcmp(kind, "orphaned") == 0) {
            record.orphaned = body;
            record.end = entry;
        }
    }
    return record;
}

const char *
replay_principal(const json_t *run)
{
    return json_get_string(find_entries(run).accepted, "principal");
}

static const char *
string_or_empty(const json_t *object, const char *key)
{
    const char *text = json_get_string(object, key);

    return text != NULL ? text : "";
}

/* One of the texts; REPLAY_ENDED when it is there. */
static enum replay_result
find_text(const json_t *run, const char *part, const char **text, size_t *len)
{
    const json_t *value =
        json_object_get(json_object_get(run, "content"), part);

    if (value == NULL)
        return REPLAY_ERASED;
    if (!json_is_string(value))
        return REPLAY_HIDDEN;
    *text = json_string_value(value);
    *len = json_string_length(value);
    return REPLAY_ENDED;
}

/* "superseded" and "not_started" are no outcome of a call: pending. */
static enum model_outcome
parse_outcome(const char *name)
{
    for (int outcome = 0; outcome <= MODEL_CANCELLED; outcome++)
        if (strcmp(name, model_outcome_name((enum model_outcome)outcome)) == 0)
            return (enum model_outcome)outcome;
    return MODEL_PENDING;
}

static bool
was_cut(const json_t *model, const char *why)
{
    return strcmp(string_or_empty(model, "cancelled"), why) == 0;
}

static struct model_answer
read_answer(const json_t *model)
{
    return (struct model_answer){
        .outcome = parse_outcome(string_or_empty(model, "outcome")),
        .text = "",
        .served_model = string_or_empty(model, "served_model"),
        .response_id = "",
        .finish_reason = string_or_empty(model, "finish_reason"),
        .error_class = string_or_empty(model, "error_class"),
        .usage = { .input_tokens = json_get_int(model, "input_tokens", -1),
                   .output_tokens = json_get_int(model, "output_tokens", -1),
                   .thought_tokens = json_get_int(model, "thought_tokens", -1),
                   .cached_tokens = json_get_int(model, "cached_tokens", -1),
                   .total_tokens = json_get_int(model, "total_tokens", -1) },
        .rerouted = json_is_true(json_object_get(model, "rerouted")),
        .latency_ms = json_get_int(model, "latency_ms", -1),
    };
}

static int
read_receipt(const json_t *entry, struct entry_receipt *receipt,
             struct err *err)
{
    receipt->state = ENTRY_COMMITTED;
    receipt->idx = json_get_int(entry, "idx", -1);
    if (uuid_parse(string_or_empty(entry, "log_id"), &receipt->log_id) == 0 &&
        str_from_hex(string_or_empty(entry, "leaf_hash"), receipt->leaf_hash,
                     ENTRY_HASH_LEN) == 0)
        return 0;
    return err_set(err, ERR_SYSTEM,
                   "an entry of the run has no place or hash: run tandemctl "
                   "verify");
}

/* ---- frames -------------------------------------------------------------- */

static void
keep_frame(void *arg, const char *event, unsigned seq)
{
    struct teller *teller = arg;

    (void)event;
    if (seq <= teller->after)
        buf_truncate(teller->out, teller->kept);
    teller->kept = teller->out->len;
}

static int
say(struct teller *teller, const struct turn_action *action, struct err *err)
{
    if (vocab_tell(&teller->vocab, action, teller->out) == 0)
        return 0;
    return err_set(err, ERR_NOMEM, "a frame");
}

/* What is to be done on a fact, apart from telling it, was done then. */
static int
step(struct teller *teller, const struct turn_fact *fact, struct err *err)
{
    struct turn_action actions[TURN_MAX_ACTIONS];
    const size_t count = turn_step(&teller->turn, fact, actions);

    teller->facts.verdict = turn_verdict(&teller->turn);
    for (size_t i = 0; i < count; i++)
        if (say(teller, &actions[i], err) == -1)
            return -1;
    return 0;
}

static int
end_model(struct teller *teller, const json_t *finished, enum model_role role,
          struct err *err)
{
    const json_t *model = json_object_get(finished, model_role_name(role));
    const struct turn_fact fact = {
        .kind = TURN_MODEL_DONE,
        .role = role,
        .outcome = teller->facts.answer[role].outcome,
    };

    if (fact.outcome == MODEL_PENDING ||
        json_is_string(json_object_get(model, "cancelled")))
        return 0;
    return step(teller, &fact, err);
}

/* From the first answer to done. */
static int
tell_finished(struct teller *teller, const json_t *finished, struct err *err)
{
    const json_t *flash = json_object_get(finished, "flash");
    const json_t *pro = json_object_get(finished, "pro");
    const enum model_role first =
        strcmp(string_or_empty(finished, "first"), "pro") == 0 ? MODEL_PRO
                                                               : MODEL_FLASH;
    const enum model_role second = first == MODEL_PRO ? MODEL_FLASH : MODEL_PRO;

    if (end_model(teller, finished, first, err) == -1 ||
        end_model(teller, finished, second, err) == -1)
        return -1;
    if ((was_cut(flash, "client") || was_cut(pro, "client")) &&
        step(teller, &(struct turn_fact){ .kind = TURN_CLIENT_LEFT }, err) ==
            -1)
        return -1;
    if ((was_cut(flash, "shutdown") || was_cut(pro, "shutdown")) &&
        step(teller, &(struct turn_fact){ .kind = TURN_HURRY }, err) == -1)
        return -1;
    return step(teller, &(struct turn_fact){ .kind = TURN_RECORDED }, err);
}

/* How far the client had got nobody knows, so the end follows what it names. */
static int
tell_lost(struct teller *teller, struct err *err)
{
    if (teller->vocab.seq < teller->after)
        teller->vocab.seq = teller->after;
    teller->facts.verdict = (struct turn_verdict){ .status = TURN_ERROR };
    if (say(teller,
            &(struct turn_action){ .kind = TURN_SAY_ERROR,
                                   .error = TURN_ERROR_LOST,
                                   .terminal = true },
            err) == -1)
        return -1;
    return say(teller, &(struct turn_action){ .kind = TURN_SAY_DONE }, err);
}

/* ---- a run --------------------------------------------------------------- */

static enum replay_result
read_answers(struct teller *teller, const json_t *run, const json_t *finished)
{
    for (int role = 0; role < MODEL_ROLE_COUNT; role++) {
        const char *name = model_role_name((enum model_role)role);
        struct model_answer *answer = &teller->facts.answer[role];
        enum replay_result found;

        *answer = read_answer(json_object_get(finished, name));
        if (!model_outcome_is_answer(answer->outcome))
            continue;
        found = find_text(run, name, &answer->text, &answer->text_len);
        if (found != REPLAY_ENDED)
            return found;
    }
    return REPLAY_ENDED;
}

/* What is told of a run from its beginning; REPLAY_ENDED when all is there. */
static enum replay_result
read_facts(struct teller *teller, const json_t *run,
           const struct record *record)
{
    struct vocab_facts *facts = &teller->facts;
    enum replay_result found = REPLAY_ENDED;

    facts->run_id = string_or_empty(run, "id");
    facts->requested_model[MODEL_FLASH] =
        string_or_empty(record->accepted, "flash_model");
    facts->requested_model[MODEL_PRO] =
        string_or_empty(record->accepted, "pro_model");
    facts->deadline_ms = json_get_int(record->accepted, "deadline_ms", 0);
    facts->total_ms = json_get_int(record->finished, "total_ms", 0);
    facts->receipt = &teller->receipt;
    facts->query = "";
    if (teller->vocab.words != VOCAB_CLASSIC)
        found = find_text(run, "query", &facts->query, &facts->query_len);
    if (found == REPLAY_ENDED)
        found = read_answers(teller, run, record->finished);
    return found;
}

static struct turn_policy
read_policy(const struct record *record, enum vocab_words words)
{
    const json_t *flash = json_object_get(record->finished, "flash");
    const json_t *pro = json_object_get(record->finished, "pro");

    return (struct turn_policy){
        .flash_failure_cancels = was_cut(pro, "sibling"),
        .early_flash_termination = was_cut(flash, "superseded"),
        .errors_end_stream = words != VOCAB_CLASSIC,
    };
}

static enum replay_result
tell_run(struct teller *teller, const struct record *record, struct err *err)
{
    int told = step(teller, &(struct turn_fact){ .kind = TURN_BEGAN }, err);

    if (told == 0 && record->finished != NULL)
        told = tell_finished(teller, record->finished, err);
    else if (told == 0 && record->orphaned != NULL)
        told = tell_lost(teller, err);
    if (told == -1)
        return REPLAY_FAILED;
    return record->end != NULL ? REPLAY_ENDED : REPLAY_OPEN;
}

enum replay_result
replay_tell(const json_t *run, struct replay_telling *telling, struct buf *out,
            struct err *err)
{
    const struct record record = find_entries(run);
    enum vocab_words words = telling->words;
    struct teller teller = { .out = out,
                             .kept = out->len,
                             .after = telling->after,
                             .facts = { .replayed = telling->again } };
    struct turn_policy policy;
    enum replay_result result;

    if (!telling->again &&
        vocab_words_parse(string_or_empty(record.accepted, "events"), &words) ==
            -1) {
        err_set(err, ERR_SYSTEM, "the run has no vocabulary");
        return REPLAY_FAILED;
    }
    if (record.end != NULL &&
        read_receipt(record.end, &teller.receipt, err) == -1)
        return REPLAY_FAILED;
    vocab_init(&teller.vocab, words, &teller.facts, keep_frame, &teller);
    policy = read_policy(&record, words);
    turn_init(&teller.turn, &policy);
    result = read_facts(&teller, run, &record);
    if (result == REPLAY_ENDED)
        result = tell_run(&teller, &record, err);
    if (telling->after < teller.vocab.seq)
        telling->after = teller.vocab.seq;
    return result;
}
