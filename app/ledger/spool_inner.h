/*
 * spool_inner - what the two halves of the spool share.  For spool.c and
 * spool_find.c alone.
 */
#ifndef LEDGER_SPOOL_INNER_H
#define LEDGER_SPOOL_INNER_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/spool.h"
#include "ledger/spool_index.h"
#include "ledger/spool_list.h"

struct spool {
    struct spool_config config;
    char folder[PATH_MAX - 64]; /* a file's name still fits behind it */
    int lock_fd;
    struct spool_list list; /* of new */
    size_t set_aside;       /* files in bad */
    size_t left_out; /* files in new that belong there and cannot be moved */
    uint64_t next_number;
    struct spool_index *index;
};

/* A batch's file in new or bad. */
void spool_path_of(const struct spool *spool, const char *subfolder,
                   uint64_t number, char path[PATH_MAX]);

#endif
