/* spoken.c - see spoken.h. */
#include "support/spoken.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/canonical.h"

char *
spoken_text_take(json_t *facts)
{
    char *text = json_dumps(facts, CANONICAL);

    assert_non_null(text);
    json_decref(facts);
    return text;
}

static struct frame_record
say(const struct entry_record *record)
{
    struct frame_record said = { .kind = record->kind,
                                 .run_id = record->run_id,
                                 .facts = record->facts,
                                 .facts_len = record->facts_len,
                                 .part_count = record->part_count };

    for (size_t i = 0; i < record->part_count; i++)
        said.parts[i] = record->parts[i];
    return said;
}

int
spoken_append(struct buf *out, const struct entry_record *record,
              struct err *err)
{
    const struct frame_record said = say(record);

    return frame_append_record(out, &said, err);
}

int
spoken_submit(struct clerk *clerk, const struct entry_record *record,
              int64_t deadline_mono_ms, struct err *err)
{
    const struct frame_record said = say(record);

    return clerk_submit(clerk, &said, deadline_mono_ms, err);
}
