/*
 * options - the command line.
 */
#ifndef MODELSIM_OPTIONS_H
#define MODELSIM_OPTIONS_H

#include "base/attr.h"
#include "base/err.h"
#include "modelsim/provider.h"
#include "modelsim/server.h"

enum options_wish { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

/* Strings are borrowed from argv. */
struct options {
    enum options_wish wish;
    struct server_options server;
    struct provider_options provider;
};

extern const char options_help[];

/* -1 on ERR_INVALID, with words for the user. */
int options_parse(struct options *options, int argc, char **argv,
                  struct err *err) ATTR_MUST_CHECK;

#endif
