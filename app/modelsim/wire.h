/*
 * wire - one provider's way of speaking, as a table of functions.
 *
 * compose calls them in the order in which a provider would: thoughts, texts,
 * close for a stream; whole for one JSON body; error instead of either.  Each
 * appends bytes to the script's last step and decides nothing about time or
 * faults.
 */
#ifndef MODELSIM_WIRE_H
#define MODELSIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modelsim/script.h"

enum surface {
    SURFACE_VERTEX,
    SURFACE_DEVELOPER,
    SURFACE_OPENAI,
    SURFACE_TOKEN
};

/* What is said, without how.  Everything is borrowed. */
struct reply {
    enum surface surface;
    bool streams;       /* else one JSON body */
    bool as_events;     /* SSE; else Gemini's piecewise JSON array */
    bool include_usage; /* OpenAI: it was asked for */
    const char *model;  /* as served */
    const char *id;
    int64_t created_unix_us;
    const char *text;
    size_t text_len;
    int64_t thoughts;
    int64_t prompt_tokens;
    const char *finish;   /* Gemini's spelling; NULL: none is sent */
    int64_t expires_in_s; /* token: of the text, which is the token */
};

/* A piece of the answer.  finish is NULL in all but the last one. */
struct piece {
    const char *bytes;
    size_t len;
    const char *finish;
};

/* How much of the answer is out, for those who count as they go: with the
 * part that is being written. */
struct said {
    int64_t thoughts;
    size_t text_bytes;
};

/* An error as HTTP status, and what comes with it. */
struct fail {
    int status;
    int64_t retry_delay_ms; /* -1: none is named */
    const char *reason;     /* of google.rpc.ErrorInfo; NULL: none */
    const char *message;    /* NULL: the usual words */
};

struct wire {
    void (*thought)(struct script *script, const struct reply *reply,
                    const struct said *said);
    void (*text)(struct script *script, const struct reply *reply,
                 const struct said *said, const struct piece *piece);
    void (*blocked)(struct script *script, const struct reply *reply);
    void (*broken)(struct script *script, const struct reply *reply);
    void (*error_event)(struct script *script, const struct reply *reply,
                        const struct fail *fail);
    /* Error JSON as it stands in a body of its own. */
    void (*error)(struct script *script, const struct reply *reply,
                  const struct fail *fail);
    void (*whole)(struct script *script, const struct reply *reply);
    void (*close)(struct script *script, const struct reply *reply,
                  const struct said *said);
};

extern const struct wire wire_gemini;
extern const struct wire wire_openai;
extern const struct wire wire_token; /* speaks no streams */

#define WIRE_THOUGHT "Weighing what is asked and how to check it. "

/* How providers count, roughly. */
#define WIRE_BYTES_PER_TOKEN    4
#define WIRE_TOKENS_PER_THOUGHT 64

int64_t wire_text_tokens(const struct said *said);
int64_t wire_thought_tokens(const struct said *said);

#endif
