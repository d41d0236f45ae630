/*
 * model_fixture - the models against a fake server, for cmocka tests.
 */
#ifndef SUPPORT_MODEL_FIXTURE_H
#define SUPPORT_MODEL_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "model/model.h"
#include "support/fake_http.h"

#define SECRET "AIza-secret"

#define STREAM_HEAD \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" \
    "Connection: close\r\n\r\n"
#define TEXT(t) \
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" t \
    "\"}]}}],\"modelVersion\":\"models/" \
    "gemini-test-001\",\"responseId\":\"r-1\"}" \
    "\r\n\r\n"
#define STOP \
    "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{" \
    "\"promptTokenCount\":3,\"candidatesTokenCount\":5,\"totalTokenCount\":8" \
    "}}\r\n\r\n"
#define CHAT(t, finish) \
    "data: {\"model\":\"gpt-x-2026\",\"choices\":[{\"delta\":{\"content\":" \
    "\"" t "\"},\"finish_reason\":" finish "}]}\n\n"

/* What is late on a machine shared with others.  Which limit it was, the class
 * of the error says. */
#define SLACK_MS 2000

/* Both roles on one provider, with limits that nothing runs into by chance. */
struct models_config models_config(enum model_provider provider,
                                   const char *base_url);

/* These fail the running test where the models would say -1. */
struct models *new_models(const struct models_config *config);
struct model_call *start_call(struct models *models, enum model_role role,
                              int64_t within_ms);

/* Turns the loop until the call is done. */
void finish_call(struct models *models, const struct model_call *call);

/* Turns the loop until text_len bytes of text are there. */
void read_until(struct models *models, const struct model_call *call,
                size_t text_len);

void assert_answer(const struct model_call *call, enum model_outcome outcome,
                   const char *error_class, const char *text);

/* That the call lasted ms, give or take SLACK_MS. */
void assert_took(const struct model_call *call, int64_t ms);

/* One server that plays the same steps whatever is asked.  Set models after
 * open_world(), from config. */
struct world {
    struct fake_http *server;
    struct models *models;
    struct models_config config;
    struct fake_route routes[2];
    char url[FAKE_URL_LEN];
};

void open_world(struct world *w, enum model_provider provider,
                const struct fake_step *steps);
void close_world(struct world *w);

/* A TCP socket on a port of 127.0.0.1 that the kernel chose, not listening
 * yet. */
int bind_somewhere(int *port);

#endif
