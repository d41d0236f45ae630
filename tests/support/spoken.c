/* spoken.c - see spoken.h. */
#include "support/spoken.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The text of the facts is the caller's to free. */
static struct frame_record
say(const struct entry_record *record, char **text)
{
    struct frame_record said = { .kind = record->kind,
                                 .run_id = record->run_id,
                                 .part_count = record->part_count };

    *text = json_dumps(record->facts, JSON_COMPACT);
    assert_non_null(*text);
    said.facts = *text;
    said.facts_len = strlen(*text);
    for (size_t i = 0; i < record->part_count; i++)
        said.parts[i] = record->parts[i];
    return said;
}

int
spoken_append(struct buf *out, const struct entry_record *record,
              struct err *err)
{
    char *text;
    const struct frame_record said = say(record, &text);
    const int result = frame_append_record(out, &said, err);

    free(text);
    return result;
}

int
spoken_submit(struct clerk *clerk, const struct entry_record *record,
              int64_t deadline_mono_ms, struct err *err)
{
    char *text;
    const struct frame_record said = say(record, &text);
    const int result = clerk_submit(clerk, &said, deadline_mono_ms, err);

    free(text);
    return result;
}
