/*
 * reach - is a provider there?  Without credentials, so nothing is paid for.
 *
 *     reach_provider(&models_config, MODEL_FLASH, deadline, &reached, &err)
 *
 * For tandemctl doctor.  Any HTTP response will do; it also shows the time.
 */
#ifndef MODEL_REACH_H
#define MODEL_REACH_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "model/model.h"

#define REACH_HOST_LEN 256

struct reached {
    char origin[REACH_HOST_LEN]; /* scheme://host[:port] that was asked */
    long status;                 /* of HTTP */
    int64_t date_unix_s;         /* its Date header; 0: none, or not read */
};

/* -1 on ERR_SYSTEM with the reason when nothing answered (origin is filled all
 * the same), ERR_INVALID, ERR_NOMEM. */
int reach_provider(const struct models_config *config, enum model_role role,
                   int64_t deadline_mono_ms, struct reached *reached,
                   struct err *err) ATTR_MUST_CHECK;

#endif
