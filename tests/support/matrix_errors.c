/* matrix_errors.c - group D of matrix.h: how providers say no.
 *
 * When a failed call is made again is not the parser's business: here a case is
 * what one response says.
 */
#include "support/matrix.h"

#include "base/str.h"

#define RETRY_INFO(delay) \
    "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\"," \
    "\"retryDelay\":\"" delay "\"}"
#define QUOTA(id) \
    "{\"@type\":\"type.googleapis.com/google.rpc.QuotaFailure\"," \
    "\"violations\":[{\"quotaId\":\"" id "\",\"quotaValue\":\"60\"}]}"
#define REASON(word) \
    "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":" \
    "\"" word "\",\"domain\":\"googleapis.com\"}"
#define DEBUG_INFO(text) \
    "{\"@type\":\"type.googleapis.com/google.rpc.DebugInfo\",\"detail\":" \
    "\"" text "\"}"

#define EXHAUSTED(details) GOOGLE_ERROR(429, "RESOURCE_EXHAUSTED", "x", details)
#define BUSY               GOOGLE_ERROR(503, "UNAVAILABLE", "overloaded", "")

#define IS_EXHAUSTED .status = 429, UNAVAILABLE(FAILURE_RATE_LIMITED)
#define IS_BUSY      .status = 503, UNAVAILABLE(FAILURE_HTTP_503)
#define IS_SHUT      UNAVAILABLE(FAILURE_AUTH)
#define IS_GONE      .status = 404, UNAVAILABLE(FAILURE_MODEL_NOT_FOUND)
#define A_STOP       COMPLETE, .text = "a", .finish = "STOP"

static const struct matrix_case errors[] = {
    { .number = "D1",
      .dialect = GEMINI,
      .reply = { .bytes = EXHAUSTED(RETRY_INFO("36.429760048s")),
                 IS_EXHAUSTED } },
    { .number = "D2",
      .dialect = GEMINI,
      .reply = { .bytes = EXHAUSTED(RETRY_INFO("0.5s")), IS_EXHAUSTED } },
    { .number = "D3",
      .dialect = GEMINI,
      .reply = { .bytes = EXHAUSTED(RETRY_INFO("0s")), IS_EXHAUSTED } },
    { .number = "D4",
      .dialect = GEMINI,
      .reply = { .bytes = EXHAUSTED(""), IS_EXHAUSTED } },
    { .number = "D5",
      .dialect = GEMINI,
      .reply = { .bytes = EXHAUSTED(QUOTA("GenerateRequestsPerDayPerProject")),
                 IS_EXHAUSTED } },
    { .number = "D6", .dialect = GEMINI, .reply = { .bytes = BUSY, IS_BUSY } },
    { .number = "D6",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("a", "STOP"), A_STOP } },
    { .number = "D7", .dialect = GEMINI, .reply = { .bytes = BUSY, IS_BUSY } },
    { .number = "D8",
      .dialect = GEMINI,
      .reply = { .bytes = GOOGLE_ERROR(
                     400, "INVALID_ARGUMENT",
                     "The input token count (9) exceeds the maximum "
                     "number of tokens allowed (5).",
                     ""),
                 .status = 400,
                 FAILED(FAILURE_INPUT_TOO_LONG) } },
    { .number = "D8",
      .dialect = GEMINI,
      .reply = { .bytes =
                     GOOGLE_ERROR(400, "INVALID_ARGUMENT",
                                  "Unable to submit request because the input "
                                  "token count is 9 but model only supports up "
                                  "to 5.",
                                  ""),
                 .status = 400,
                 FAILED(FAILURE_INPUT_TOO_LONG) } },
    { .number = "D8",
      .dialect = OPENAI,
      .reply = { .bytes = "{\"error\":{\"message\":\"x\",\"type\":"
                          "\"invalid_request_error\",\"code\":"
                          "\"context_length_exceeded\"}}",
                 .status = 400,
                 FAILED(FAILURE_INPUT_TOO_LONG) } },
    { .number = "D9",
      .dialect = GEMINI,
      .reply = { .bytes = GOOGLE_ERROR(
                     400, "INVALID_ARGUMENT", "API key not valid.",
                     REASON("API_KEY_INVALID") "," DEBUG_INFO("AIza-secret")),
                 .status = 400,
                 IS_SHUT } },
    { .number = "D10",
      .dialect = GEMINI,
      .reply = { .bytes = GOOGLE_ERROR(401, "UNAUTHENTICATED", "x", ""),
                 .status = 401,
                 IS_SHUT },
      .also = "unit/test_model_token.c:"
              "test_a_401_is_tried_once_more_with_a_new_token" },
    { .number = "D10",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("a", "STOP"), A_STOP } },
    { .number = "D11",
      .dialect = GEMINI,
      .reply = { .bytes = "", .status = 401, IS_SHUT },
      .also = "unit/test_model_token.c:test_a_second_401_is_final" },
    { .number = "D12",
      .dialect = GEMINI,
      .reply = { .bytes = GOOGLE_ERROR(403, "PERMISSION_DENIED", "x",
                                       REASON("SERVICE_DISABLED")),
                 .status = 403,
                 IS_SHUT } },
    { .number = "D12",
      .dialect = GEMINI,
      .reply = { .bytes = GOOGLE_ERROR(403, "PERMISSION_DENIED", "x",
                                       REASON("IAM_PERMISSION_DENIED")),
                 .status = 403,
                 IS_SHUT } },
    { .number = "D13",
      .dialect = GEMINI,
      .reply = { .bytes = GOOGLE_ERROR(404, "NOT_FOUND", "no such model", ""),
                 IS_GONE } },
    { .number = "D14",
      .dialect = GEMINI,
      .reply = { .bytes = "<!DOCTYPE html><title>Error 404</title>",
                 IS_GONE } },
    { .number = "D15",
      .dialect = GEMINI,
      .reply = { .bytes = "[" GOOGLE_ERROR(400, "INVALID_ARGUMENT", "x",
                                           REASON("API_KEY_INVALID")) "]",
                 .status = 400,
                 IS_SHUT } },
    { .number = "D16",
      .dialect = GEMINI,
      .reply = { .bytes =
                     "{\n  \"error\": {\n    \"code\": 400,\n    \"message\":\n"
                     "      \"The input token count (9)\",\n    \"status\":\n"
                     "      \"INVALID_ARGUMENT\",\n    \"details\": [\n      "
                     "{\n"
                     "        \"@type\":\n          \"x\",\n        \"links\": "
                     "[\n"
                     "          {\n            \"url\": \"y\"\n          }\n"
                     "        ]\n      }\n    ]\n  }\n}\n",
                 .status = 400,
                 FAILED(FAILURE_INPUT_TOO_LONG) } },
    { .number = "D17",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") TEXT("b")
                     GOOGLE_ERROR(499, "CANCELLED", "x", ""),
                 FAILED(FAILURE_HTTP_4XX),
                 .text = "ab" } },
    { .number = "D17",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") TEXT("b") BUSY,
                 UNAVAILABLE(FAILURE_HTTP_503),
                 .text = "ab" } },
    { .number = "D18",
      .dialect = GEMINI,
      .reply = { .bytes =
                     "data: "
                     "{\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}" E,
                 UNAVAILABLE(FAILURE_HTTP_503) } },
    { .number = "D19",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") "data: {\"error\":{\"code\":503}}" E LAST(
                     "b", "STOP"),
                 UNAVAILABLE(FAILURE_HTTP_503),
                 .text = "a" } },
    { .number = "D20",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("a", "STOP") COUNTED
                 "data: {\"error\":{\"code\":500}}" E,
                 FAILED(FAILURE_HTTP_5XX),
                 .text = "a",
                 .finish = "STOP" } },
    { .number = "D21",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") "{\n  \"error\": {\n    \"code\": 50",
                 TRUNCATED,
                 .text = "a" } },
    { .number = "D21",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("a", "STOP") COUNTED
                 "{\n  \"error\": {\n    \"code\"",
                 TRUNCATED,
                 .text = "a",
                 .finish = "STOP" } },
    { .number = "D22",
      .dialect = GEMINI,
      .reply = { .bytes = "{\"error\":{\"code\":429,\"message\":\"",
                 .status = 500,
                 FAILED(FAILURE_HTTP_5XX) },
      .fill = "sorry, sorry, ",
      .fill_count = (10u << 20) / 14,
      .tail = "\"}}" },
    { .number = "D23",
      .dialect = GEMINI,
      .reply = { .bytes = "", .status = 500, FAILED(FAILURE_HTTP_5XX) } },
    { .number = "D23",
      .dialect = GEMINI,
      .reply = { .bytes = "Internal error encountered.",
                 .status = 500,
                 FAILED(FAILURE_HTTP_5XX) } },
    { .number = "D24",
      .dialect = GEMINI,
      .reply = { .bytes = "<a href=x>",
                 .status = 301,
                 FAILED(FAILURE_HTTP_OTHER) },
      .also = "unit/test_http.c:"
              "test_a_redirect_is_an_answer_and_not_followed" },
    { .number = "D24",
      .dialect = GEMINI,
      .reply = { .bytes = "", .status = 302, FAILED(FAILURE_HTTP_OTHER) } },
    { .number = "D24",
      .dialect = GEMINI,
      .reply = { .bytes = "", .status = 307, FAILED(FAILURE_HTTP_OTHER) } },
    { .number = "D25",
      .dialect = GEMINI,
      .reply = { .bytes = "", .status = 204, FAILED(FAILURE_HTTP_OTHER) } },
    { .number = "D25",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("a", "STOP"),
                 .status = 206,
                 FAILED(FAILURE_HTTP_OTHER),
                 .text = "a",
                 .finish = "STOP" } },
    { .number = "D25",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("a", "STOP"),
                 .status = 303,
                 FAILED(FAILURE_HTTP_OTHER),
                 .text = "a",
                 .finish = "STOP" } },
    { .number = "D26",
      .dialect = OPENAI,
      .reply = { .bytes =
                     SAY("a") "error: {\"code\":500,\"message\":\"x\",\"type\":"
                              "\"server_error\"}\n\n" DONE,
                 FAILED(FAILURE_HTTP_5XX),
                 .text = "a" } },
    { .number = "D27",
      .dialect = OPENAI,
      .reply = { .bytes = SAY(
                     "a") "data: {\"choices\":[],\"error\":{\"code\":429}}\n"
                          "\n" DONE,
                 UNAVAILABLE(FAILURE_RATE_LIMITED),
                 .text = "a" } },
    { .number = "D28",
      .dialect = OPENAI,
      .reply = { .bytes = "{\"object\":\"error\",\"message\":\"x\",\"type\":"
                          "\"NotFoundError\",\"param\":null,\"code\":404}",
                 UNAVAILABLE(FAILURE_MODEL_NOT_FOUND) } },
    { .number = "D29",
      .dialect = OPENAI,
      .reply = { .bytes = "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"x\"}]}",
                 .status = 422,
                 FAILED(FAILURE_HTTP_4XX) } },
    { .number = "D30",
      .dialect = GEMINI,
      .reply = { .bytes = "", IS_EXHAUSTED } },
};

const struct matrix_table matrix_errors = { errors, ARRAY_LEN(errors) };
