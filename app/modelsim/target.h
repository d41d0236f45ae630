/*
 * target - which of the provider's doors a path leads to.
 */
#ifndef MODELSIM_TARGET_H
#define MODELSIM_TARGET_H

#include <stdbool.h>

#include "modelsim/wire.h"

#define TARGET_MODEL_BYTES 128

enum target_kind {
    TARGET_NONE,
    TARGET_MODEL,    /* Gemini's generateContent and streamGenerateContent */
    TARGET_CHAT,     /* OpenAI's chat completions */
    TARGET_TOKEN,    /* OAuth's token endpoint */
    TARGET_METADATA, /* the same of a metadata server */
    TARGET_CONTROL,  /* ours */
};

struct target {
    enum target_kind kind;
    enum surface surface; /* of a model */
    bool streams;
    char model[TARGET_MODEL_BYTES];
};

/* TARGET_NONE for everything else, and for a model id with odd characters. */
struct target target_find(const char *path);

#endif
