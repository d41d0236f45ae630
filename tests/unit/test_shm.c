#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sys/shm.h"

static void
test_a_new_mapping_is_zeroed_and_aligned_to_a_page(void **state)
{
    unsigned char *memory = shm_new(10000, NULL);

    (void)state;
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(memory[i], 0);
    shm_free(memory, 10000);
}

static void
test_what_a_child_writes_the_parent_reads(void **state)
{
    int *number = shm_new(sizeof(*number), NULL);
    pid_t child;

    (void)state;
    assert_non_null(number);
    child = fork();
    if (child == 0) {
        *number = 42;
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(*number, 42);
    shm_free(number, sizeof(*number));
}

static void
test_a_mapping_too_large_is_an_error(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_null(shm_new(SIZE_MAX / 2, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    shm_free(NULL, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_mapping_is_zeroed_and_aligned_to_a_page),
        cmocka_unit_test(test_what_a_child_writes_the_parent_reads),
        cmocka_unit_test(test_a_mapping_too_large_is_an_error),
    };

    return cmocka_run_group_tests_name("shm", tests, NULL, NULL);
}
