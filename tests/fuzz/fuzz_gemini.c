/* fuzz_gemini - app/model/gemini through reply and sse: see fuzz_reply.h. */
#include "fuzz/fuzz_reply.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_reply(&dialect_vertex, data, size);
}
