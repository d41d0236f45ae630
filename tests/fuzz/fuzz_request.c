/*
 * fuzz_request - app/ask/request: a body is either a request that can be asked
 * and stored, or a fault with a status.
 *
 * The first byte chooses the events= of the query string, the rest is the body.
 */
#include <string.h>

#include "ask/request.h"
#include "base/attr.h"
#include "fuzz/fuzz.h"
#include "text/utf8.h"

#define MAX_QUERY_CHARS 100

static void
check_request(const struct request *request)
{
    FUZZ_CHECK(request->query_len > 0);
    FUZZ_CHECK(utf8_is_clean(request->query, request->query_len));
    FUZZ_CHECK(utf8_count(request->query, request->query_len) <=
               MAX_QUERY_CHARS);
    FUZZ_CHECK(request->context == NULL || json_object_size(request->context));
    FUZZ_CHECK(request->user == NULL ||
               utf8_is_clean(request->user, strlen(request->user)));
    FUZZ_CHECK(vocab_words_name(request->words) != NULL);
}

static void
check_fault(const struct request_fault *fault)
{
    FUZZ_CHECK(fault->status == 400 || fault->status == 422);
    FUZZ_CHECK(fault->code[0] != '\0');
    FUZZ_CHECK(fault->text[0] != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const events[] = { NULL, "classic", "both", "", "x" };
    static const struct request_limits limits = {
        .max_query_chars = MAX_QUERY_CHARS,
        .default_words = VOCAB_CLASSIC,
    };
    struct request request;
    struct request_fault fault;

    if (size == 0)
        return 0;
    if (request_parse(&request, (const char *)data + 1, size - 1,
                      events[data[0] % ARRAY_LEN(events)], &limits,
                      &fault) == 0)
        check_request(&request);
    else
        check_fault(&fault);
    request_close(&request);
    return 0;
}
