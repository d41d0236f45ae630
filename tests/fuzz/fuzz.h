/*
 * fuzz - what every fuzz target has: one input goes in, nothing may go wrong.
 *
 * A target is one file fuzz_NAME.c with its own LLVMFuzzerTestOneInput(); its
 * inputs are in corpus/NAME.  `make fuzz` links it with libFuzzer; `make test`
 * links it with replay.c, which plays the corpus.  Whatever has to hold is
 * checked with FUZZ_CHECK(), which ends the process as a crash does.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Always 0; anything else is reserved by libFuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
                    #condition); \
            abort(); \
        } \
    } while (0)

#endif
