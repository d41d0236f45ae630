/* calls.c - see calls.h.  Handles and connections are kept. */
#include "bench/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <jansson.h>

#define COUNT        2
#define ANSWER_BYTES 65536

struct call {
    CURL *easy;
    size_t len;
    char answer[ANSWER_BYTES];
};

static CURLM *multi;
static struct call calls[COUNT];
static calls_on_answer tell;

static void
check(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "floor: %s\n", what);
    exit(1);
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct call *call = arg;

    if (size * count >= sizeof(call->answer) - call->len)
        return 0;
    memcpy(call->answer + call->len, bytes, size * count);
    call->len += size * count;
    return size * count;
}

void
calls_open(uint16_t port, calls_on_answer on_answer)
{
    static const char *const models[COUNT] = { "flash", "pro" };
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/json");

    tell = on_answer;
    headers = curl_slist_append(headers, "x-goog-api-key: a-key");
    check(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK &&
              (multi = curl_multi_init()) != NULL,
          "curl");
    for (int i = 0; i < COUNT; i++) {
        CURL *easy = curl_easy_init();
        char url[256];

        check(easy != NULL, "curl");
        snprintf(url, sizeof(url),
                 "http://127.0.0.1:%u/v1beta/models/gemini-2.5-%s:"
                 "streamGenerateContent?alt=sse",
                 port, models[i]);
        curl_easy_setopt(easy, CURLOPT_URL, url);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, &calls[i]);
        curl_easy_setopt(easy, CURLOPT_PRIVATE, &calls[i]);
        calls[i].easy = easy;
    }
}

/* Each line of data is parsed, as whoever wants the text has to. */
static void
append_texts(struct call *call, char text[ANSWER_BYTES])
{
    char *line;
    char *next = call->answer;

    call->answer[call->len] = '\0';
    text[0] = '\0';
    while ((line = strsep(&next, "\n")) != NULL) {
        json_t *event;
        const char *part = NULL;

        if (strncmp(line, "data: ", 6) != 0)
            continue;
        event = json_loads(line + 6, 0, NULL);
        check(event != NULL, "the provider's answer is no JSON");
        json_unpack(event, "{s:[{s:{s:[{s:s}]}}]}", "candidates", "content",
                    "parts", "text", &part);
        if (part != NULL)
            strcat(text, part);
        json_decref(event);
    }
}

static void
collect(void *arg)
{
    static char text[ANSWER_BYTES];
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        long status = 0;
        struct call *call;

        check(message->data.result == CURLE_OK, "a call failed");
        curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE,
                          &status);
        check(status == 200, "the provider refuses");
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        append_texts(call, text);
        curl_multi_remove_handle(multi, call->easy);
        tell(arg, (int)(call - calls), text);
    }
}

void
calls_make(const char *question, void *arg)
{
    json_t *body = json_pack("{s:[{s:s,s:[{s:s}]}]}", "contents", "role",
                             "user", "parts", "text", question);
    char *json = json_dumps(body, JSON_COMPACT);
    int running = COUNT;

    check(json != NULL, "memory");
    for (int i = 0; i < COUNT; i++) {
        calls[i].len = 0;
        curl_easy_setopt(calls[i].easy, CURLOPT_POSTFIELDS, json);
        curl_multi_add_handle(multi, calls[i].easy);
    }
    while (running > 0) {
        check(curl_multi_perform(multi, &running) == CURLM_OK, "curl");
        collect(arg);
        if (running > 0)
            curl_multi_poll(multi, NULL, 0, 10000, NULL);
    }
    free(json);
    json_decref(body);
}
