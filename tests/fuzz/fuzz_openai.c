/* fuzz_openai - app/model/openai through reply and sse: see fuzz_reply.h. */
#include "fuzz/fuzz_reply.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_reply(&dialect_openai, data, size);
}
