/*
 * anchors - heads of logs that were kept where whoever can write the ledger
 * cannot: given one by one, or as files of signed checkpoints.
 */
#ifndef TANDEMCTL_ANCHORS_H
#define TANDEMCTL_ANCHORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/verify.h"
#include "tandemctl/command.h"

#define ANCHORS_MAX 5000000

struct anchors {
    struct verify_anchor *all; /* owned; free(3) */
    size_t count;
    size_t capacity;
};

/* Those of all --anchor and --head options.  Of a file, every checkpoint that
 * is signed by one of the keys; all of them when there is no key.  on_bad() is
 * told of the others, and of what is no checkpoint, with the line it ends in.
 * -1 when a file cannot be read or holds no checkpoint at all. */
int anchors_read_all(struct anchors *anchors,
                     const struct command_options *options,
                     void (*on_bad)(void *arg, const char *path, int64_t line,
                                    const char *what),
                     void *arg, struct err *err) ATTR_MUST_CHECK;

#endif
