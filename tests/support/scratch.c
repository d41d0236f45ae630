/* scratch.c - see scratch.h. */
#include "support/scratch.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

void
scratch_make(char path[SCRATCH_PATH_LEN])
{
    strcpy(path, "/tmp/tandem-test.XXXXXX");
    assert_non_null(mkdtemp(path));
}

static int
remove_one(const char *path, const struct stat *info, int type,
           struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

void
scratch_remove(const char *path)
{
    assert_int_equal(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}
