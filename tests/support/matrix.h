/*
 * matrix - one case for each way in which a provider's answer is known to
 * arrive, break and lie, with what has to come of it.
 *
 * Seven groups: A framing, B Unicode and JSON, C Gemini's meaning, D errors,
 * E transport, F time and cancelling, G what OpenAI-compatible servers and
 * Anthropic do.  A case holds what reaches the parser, which for E and F is
 * bytes and the transport's word.  What else such a case asks of the service is
 * tested where it is done: `also` names the test.  A number may have several
 * cases.
 */
#ifndef SUPPORT_MATRIX_H
#define SUPPORT_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

#include "support/reply_cases.h"

#define MATRIX_NUMBERS 132

struct matrix_case {
    const char *number; /* A1 to G12 */
    const struct dialect *dialect;
    struct reply_case reply; /* its name is left out; no marks: none hold */

    /* Big ones: the stream is bytes, fill again and again, tail.  It is so big
     * only a few times; a small twin is split like all others. */
    const char *fill;
    const char *tail;
    size_t fill_count;
    size_t twin_count; /* 0: there is no small twin */

    const char *asked; /* the model; NULL: rerouted is not looked at */
    bool rerouted;
    const char *also; /* "path:test" below tests/, or NULL */
};

struct matrix_name {
    const char *number;
    const char *words;
};

extern const struct matrix_name matrix_names[MATRIX_NUMBERS];

struct matrix_table {
    const struct matrix_case *cases;
    size_t count;
};

extern const struct matrix_table matrix_framing;   /* A */
extern const struct matrix_table matrix_unicode;   /* B */
extern const struct matrix_table matrix_gemini;    /* C */
extern const struct matrix_table matrix_errors;    /* D */
extern const struct matrix_table matrix_transport; /* E and F */
extern const struct matrix_table matrix_openai;    /* G */

/* ---- for the tables ----------------------------------------------------- */

#define GEMINI &dialect_vertex
#define OPENAI &dialect_openai

#define COMPLETE       .outcome = MODEL_COMPLETE
#define CUT            .outcome = MODEL_CUT
#define REFUSED        .outcome = MODEL_BLOCKED, .failure = FAILURE_BLOCKED
#define EMPTY          .outcome = MODEL_EMPTY, .failure = FAILURE_EMPTY
#define TRUNCATED      .outcome = MODEL_INCOMPLETE, .failure = FAILURE_STREAM_CUT
#define MALFORMED      .outcome = MODEL_FAILED, .failure = FAILURE_BAD_STREAM
#define FAILED(f)      .outcome = MODEL_FAILED, .failure = f
#define UNAVAILABLE(f) .outcome = MODEL_UNAVAILABLE, .failure = f
#define TIMED_OUT(f)   .outcome = MODEL_TIMED_OUT, .failure = f
#define CANCELLED      .outcome = MODEL_CANCELLED, .failure = FAILURE_CANCELLED

#define USAGE(input, output, thought, cached, total) \
    .usage = &(const struct model_usage) \
    { \
        input, output, thought, cached, total \
    }

/* Gemini's events, with the line ends that Google sends. */
#define E "\r\n\r\n"
#define PARTS(parts) \
    "data: " \
    "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[" parts \
    "]}}]}" E
#define PART(t)    "{\"text\":\"" t "\"}"
#define THOUGHT(t) "{\"text\":\"" t "\",\"thought\":true}"
#define TEXT(t)    PARTS(PART(t))
#define LAST(t, reason) \
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" t \
    "\"}]},\"finishReason\":\"" reason "\"}]}" E
#define FINISH(reason) \
    "data: {\"candidates\":[{\"finishReason\":\"" reason "\"}]}" E
#define COUNTS(members) "data: {\"usageMetadata\":{" members "}}" E
#define COUNTED         COUNTS("\"promptTokenCount\":2,\"totalTokenCount\":9")
#define GOOGLE_ERROR(code, status, message, details) \
    "{\n  \"error\": {\n    \"code\": " #code ",\n    \"message\": \"" message \
    "\",\n    \"status\": \"" status "\",\n    \"details\": [" details \
    "]\n  }\n}\n"

/* OpenAI's. */
#define CHUNK(delta, finish) \
    "data: {\"id\":\"c1\",\"model\":\"m-1\",\"choices\":[{\"index\":0," \
    "\"delta\":{" delta "},\"finish_reason\":" finish "}],\"usage\":null}\n\n"
#define SAY(t) CHUNK("\"content\":\"" t "\"", "null")
#define STOP   CHUNK("", "\"stop\"")
#define DONE   "data: [DONE]\n\n"

#endif
