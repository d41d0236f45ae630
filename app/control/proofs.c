/* proofs.c - see proofs.h. */
#include "control/proofs.h"

#include <string.h>

#include "ledger/source.h"

enum proof_result
proofs_run(const struct control_config *config, const char *run_id, size_t len,
           int64_t deadline_mono_ms, struct buf *out, struct err *err)
{
    const struct source_place place = {
        .path = config->ledger_path,
        .url = config_reader_url(config->config),
        .application = "tandem control",
    };
    struct proof_request request = { .deadline_mono_ms = deadline_mono_ms };
    enum proof_result result;
    char text[UUID_TEXT_LEN];
    struct source *source;

    if (len != sizeof(text) - 1)
        return PROOF_NO_RUN;
    memcpy(text, run_id, len);
    text[len] = '\0';
    if (uuid_parse(text, &request.run_id) == -1)
        return PROOF_NO_RUN;
    source = source_open(&place, err);
    if (source == NULL)
        return PROOF_FAILED;
    result = proof_make(source, &request, out, err);
    source->ops->close(source);
    return result;
}
