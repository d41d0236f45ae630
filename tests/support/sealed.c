/* sealed.c - see sealed.h. */
#include "support/sealed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define FACTS \
    "{\"started_at\":\"2026-01-31T23:59:59.123456Z\",\"status\":\"ok\"}"

static const struct entry_content text = { .part = ENTRY_PART_QUERY,
                                           .bytes = SEALED_TEXT,
                                           .len = sizeof(SEALED_TEXT) - 1 };

static void
seal_one(struct sealed *sealed, size_t i, enum entry_kind kind,
         const struct uuid *log_id)
{
    const struct seal_place place = { .log_id = *log_id,
                                      .idx = (int64_t)i,
                                      .recorded_unix_us = 1000000 };
    const struct entry_record record = { .kind = kind,
                                         .run_id = sealed->runs[i],
                                         .facts = FACTS,
                                         .facts_len = strlen(FACTS),
                                         .parts = &text,
                                         .part_count = 1 };

    assert_int_equal(seal_record(&sealed->seals[i], &record, &place, NULL), 0);
}

void
sealed_init(struct sealed *sealed, size_t count)
{
    struct uuid log_id;

    assert_in_range(count, 1, SEALED_MAX);
    memset(sealed, 0, sizeof(*sealed));
    assert_int_equal(uuid_v7_new(&log_id, NULL), 0);
    sealed->count = count;
    for (size_t i = 0; i < count; i++) {
        seal_init(&sealed->seals[i]);
        sealed->entries[i] = &sealed->seals[i];
        assert_int_equal(uuid_v7_new(&sealed->runs[i], NULL), 0);
        seal_one(sealed, i, ENTRY_ACCEPTED, &log_id);
    }
}

void
sealed_finish(struct sealed *sealed, size_t i, const struct uuid *run_id)
{
    const struct uuid log_id = sealed->seals[i].place.log_id;

    sealed->runs[i] = *run_id;
    seal_one(sealed, i, ENTRY_FINISHED, &log_id);
}

void
sealed_close(struct sealed *sealed)
{
    for (size_t i = 0; i < sealed->count; i++)
        seal_close(&sealed->seals[i]);
}
