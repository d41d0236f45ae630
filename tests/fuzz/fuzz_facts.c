/*
 * fuzz_facts - facts as they may come from a worker: what is taken becomes a
 * body that any reader of JSON understands as the same canonical text.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "ledger/seal.h"
#include "support/canonical.h"
#include "text/json.h"

#define MAX_DEPTH 16

static void
check_body(const struct seal *seal)
{
    const struct buf *body = &seal->body;
    json_t *json = json_parse(body->bytes, body->len, MAX_DEPTH, NULL);
    struct seal again;
    char *text;

    FUZZ_CHECK(json != NULL);
    text = json_dumps(json, CANONICAL);
    FUZZ_CHECK(text != NULL && strcmp(text, body->bytes) == 0);
    seal_init(&again);
    FUZZ_CHECK(seal_restore(&again, body->bytes, body->len, NULL) == 0);
    FUZZ_CHECK(memcmp(again.leaf_hash, seal->leaf_hash, ENTRY_HASH_LEN) == 0);
    seal_close(&again);
    free(text);
    json_decref(json);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct entry_content part = { .part = ENTRY_PART_QUERY,
                                               .bytes = "why?",
                                               .len = 4 };
    const struct entry_record record = { .kind = ENTRY_ADMIN,
                                         .run_id = { { 1 } },
                                         .facts = (const char *)data,
                                         .facts_len = size,
                                         .parts = &part,
                                         .part_count = 1 };
    const struct seal_place place = { .idx = 1, .recorded_unix_us = 1000000 };
    struct err err = { 0 };
    struct seal seal;

    seal_init(&seal);
    if (seal_record(&seal, &record, &place, &err) == 0)
        check_body(&seal);
    else
        FUZZ_CHECK(err.text[0] != '\0');
    seal_close(&seal);
    return 0;
}
