/* entry.c - see entry.h. */
#include "ledger/entry.h"

#include <assert.h>
#include <string.h>

const char *
entry_kind_name(enum entry_kind kind)
{
    static const char *const names[ENTRY_KIND_COUNT] = {
        [ENTRY_LOG_OPENED] = "log_opened", [ENTRY_ACCEPTED] = "accepted",
        [ENTRY_FINISHED] = "finished",     [ENTRY_LEFT] = "left",
        [ENTRY_ORPHANED] = "orphaned",     [ENTRY_LOG_CLOSED] = "log_closed",
        [ENTRY_LOG_LINKED] = "log_linked", [ENTRY_ADMIN] = "admin",
    };

    assert((unsigned)kind < ENTRY_KIND_COUNT);
    return names[kind];
}

const char *
entry_part_name(enum entry_part part)
{
    static const char *const names[ENTRY_PART_COUNT] = {
        [ENTRY_PART_QUERY] = "query",
        [ENTRY_PART_CONTEXT] = "context",
        [ENTRY_PART_FLASH] = "flash",
        [ENTRY_PART_PRO] = "pro",
        [ENTRY_PART_FLASH_PARTIAL] = "flash_partial",
        [ENTRY_PART_PRO_PARTIAL] = "pro_partial",
    };

    assert((unsigned)part < ENTRY_PART_COUNT);
    return names[part];
}

int
entry_part_parse(const char *name, size_t len, enum entry_part *part)
{
    for (int i = 0; i < ENTRY_PART_COUNT; i++) {
        const char *known = entry_part_name((enum entry_part)i);

        if (strlen(known) == len && memcmp(known, name, len) == 0) {
            *part = (enum entry_part)i;
            return 0;
        }
    }
    return -1;
}
