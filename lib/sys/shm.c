/* shm.c - see shm.h. */
#include "sys/shm.h"

#include <assert.h>
#include <sys/mman.h>

void *
shm_new(size_t len, struct err *err)
{
    void *memory;

    assert(len > 0);
    memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    if (memory == MAP_FAILED) {
        err_set_errno(err, ERR_SYSTEM, "cannot map %zu shared bytes", len);
        return NULL;
    }
    return memory;
}

void
shm_free(void *memory, size_t len)
{
    if (memory != NULL)
        munmap(memory, len);
}
