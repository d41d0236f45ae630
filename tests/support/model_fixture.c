/* model_fixture.c - see model_fixture.h. */
#include "support/model_fixture.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/clock.h"

static const struct model_prompt prompt = { .system = "Be brief.",
                                            .user = "Why?" };

static struct model_config
role_config(enum model_provider provider, const char *base_url)
{
    return (struct model_config){
        .provider = provider,
        .model = "gemini-test",
        .fallback = "",
        .base_url = base_url,
        .api_key = SECRET,
        .project = "acme",
        .location = "global",
        .thinking = "",
        .fallback_thinking = "",
        .max_tokens_name = "max_tokens",
        .connect_ms = 2000,
        .first_token_ms = 3000,
        .idle_ms = 3000,
    };
}

struct models_config
models_config(enum model_provider provider, const char *base_url)
{
    return (struct models_config){
        .roles = { role_config(provider, base_url),
                   role_config(provider, base_url) },
        .credentials_file = "",
        .metadata_host = "",
        .max_answer_bytes = 4u << 20,
    };
}

struct models *
new_models(const struct models_config *config)
{
    struct err err = { 0 };
    struct models *models = models_new(config, &err);

    if (models == NULL)
        fail_msg("%s", err.text);
    return models;
}

struct model_call *
start_call(struct models *models, enum model_role role, int64_t within_ms)
{
    struct model_call *call =
        models_start(models, role, &prompt, clock_mono_ms() + within_ms, NULL);

    assert_non_null(call);
    return call;
}

void
finish_call(struct models *models, const struct model_call *call)
{
    const int64_t deadline = clock_mono_ms() + 20000;

    while (!model_call_is_done(call) && clock_mono_ms() < deadline)
        assert_int_equal(models_turn(models, NULL, 0, deadline, NULL), 0);
    assert_true(model_call_is_done(call));
}

void
read_until(struct models *models, const struct model_call *call,
           size_t text_len)
{
    const int64_t deadline = clock_mono_ms() + 20000;

    while (model_call_answer(call).text_len < text_len &&
           clock_mono_ms() < deadline)
        assert_int_equal(models_turn(models, NULL, 0, deadline, NULL), 0);
    assert_int_equal(model_call_answer(call).text_len, text_len);
}

void
assert_answer(const struct model_call *call, enum model_outcome outcome,
              const char *error_class, const char *text)
{
    const struct model_answer answer = model_call_answer(call);

    assert_string_equal(model_outcome_name(answer.outcome),
                        model_outcome_name(outcome));
    assert_string_equal(answer.error_class, error_class);
    assert_string_equal(answer.text, text);
}

void
assert_took(const struct model_call *call, int64_t ms)
{
    const int64_t latency_ms = model_call_answer(call).latency_ms;

    assert_in_range(latency_ms, ms - 5, ms + SLACK_MS);
}

void
open_world(struct world *w, enum model_provider provider,
           const struct fake_step *steps)
{
    w->routes[0] = (struct fake_route){ "/", steps };
    w->routes[1] = (struct fake_route){ NULL, NULL };
    w->server = fake_http_start(w->routes);
    fake_http_url(w->server, "", w->url);
    w->config = models_config(provider, w->url);
}

void
close_world(struct world *w)
{
    models_free(w->models);
    fake_http_stop(w->server);
}

int
bind_somewhere(int *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}
