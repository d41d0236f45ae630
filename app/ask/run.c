/* run.c - see run.h. */
#include "ask/run.h"

#include "base/clock.h"

const struct model_answer run_not_asked = {
    .text = "",
    .served_model = "",
    .response_id = "",
    .finish_reason = "",
    .error_class = "",
    .usage = { -1, -1, -1, -1, -1 },
    .first_token_ms = -1,
};

int64_t
run_age_ms(const struct run *run)
{
    return clock_mono_ms() - run->started_mono_ms;
}
