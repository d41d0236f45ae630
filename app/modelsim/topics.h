/*
 * topics - the few questions on which the simulation has something to say.
 */
#ifndef MODELSIM_TOPICS_H
#define MODELSIM_TOPICS_H

#include <stddef.h>

#define TOPIC_WORDS      3
#define TOPIC_PARAGRAPHS 5

struct topic {
    const char *words[TOPIC_WORDS]; /* all must occur; lower case; or NULL */
    const char *quick;              /* two sentences */
    const char *steps[TOPIC_PARAGRAPHS];
};

/* The topic whose words all occur in the question, or NULL. */
const struct topic *topics_find(const char *question);

#endif
