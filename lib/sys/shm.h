/*
 * shm - one zeroed shared mapping that children inherit by fork(2).
 */
#ifndef SYS_SHM_H
#define SYS_SHM_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"

/* Anonymous and page-aligned.  NULL on ERR_SYSTEM. */
void *shm_new(size_t len, struct err *err) ATTR_MUST_CHECK;
void shm_free(void *memory, size_t len); /* NULL is fine */

#endif
