/* matrix_meaning.c - groups C and G of matrix.h: what well-formed chunks mean.
 */
#include "support/matrix.h"

#include "base/str.h"

#define A_STOP COMPLETE, .text = "a", .finish = "STOP"
#define ASKED  .asked = "gemini-2.5-pro"
#define NAMED(t, model, id) \
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" t \
    "\"}]}}]," \
    "\"modelVersion\":\"" model "\",\"responseId\":\"" id "\"}" E

static const struct matrix_case gemini[] = {
    { .number = "C1",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") COUNTS("\"trafficType\":\"ON_DEMAND\"")
                     FINISH("STOP") COUNTS(
                         "\"promptTokenCount\":9,\"candidatesTokenCount\":134,"
                         "\"thoughtsTokenCount\":1067,\"totalTokenCount\":"
                         "1210"),
                 A_STOP,
                 USAGE(9, 134, 1067, 0, 1210) } },
    { .number = "C2",
      .dialect = &dialect_gemini,
      .reply = { .bytes = TEXT("a") COUNTS("\"promptTokenCount\":9,"
                                           "\"candidatesTokenCount\":10,"
                                           "\"totalTokenCount\":19")
                     FINISH("STOP") COUNTS(
                         "\"promptTokenCount\":9,\"candidatesTokenCount\":20,"
                         "\"totalTokenCount\":29"),
                 A_STOP,
                 USAGE(9, 20, 0, 0, 29) } },
    { .number = "C3",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("a", "STOP") LAST("b", "STOP") LAST("c", "STOP"),
                 COMPLETE,
                 .text = "abc",
                 .finish = "STOP" } },
    { .number = "C4",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") FINISH("STOP"), A_STOP } },
    { .number = "C5",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") LAST("", "STOP"), A_STOP } },
    { .number = "C6",
      .dialect = GEMINI,
      .reply = { .bytes =
                     TEXT("a") "data: {\"candidates\":[{\"content\":{}}]}" E
                               "data: {\"candidates\":[{\"content\":{\"role\":"
                               "\"model\"}}]}" E FINISH("STOP"),
                 A_STOP } },
    { .number = "C7",
      .dialect = GEMINI,
      .reply = { .bytes = PARTS(THOUGHT("hm")) PARTS(THOUGHT("so")) LAST("a",
                                                                         "STOP")
                     COUNTS("\"promptTokenCount\":2,\"candidatesTokenCount\":1,"
                            "\"thoughtsTokenCount\":40,\"totalTokenCount\":43"),
                 A_STOP,
                 USAGE(2, 1, 40, 0, 43),
                 .marks = "thinks" } },
    { .number = "C8",
      .dialect = GEMINI,
      .reply = { .bytes = PARTS(PART("a") "," THOUGHT("hm") "," PART(
                     "b") ",{\"text\":"
                          "\"c\","
                          "\"thought\":"
                          "false}") FINISH("STOP"),
                 COMPLETE,
                 .text = "abc",
                 .finish = "STOP",
                 .marks = "thinks" } },
    { .number = "C9",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") FINISH("MAX_TOKENS"),
                 CUT,
                 .text = "a",
                 .finish = "MAX_TOKENS" } },
    { .number = "C10",
      .dialect = GEMINI,
      .reply = { .bytes = FINISH("MAX_TOKENS")
                     COUNTS("\"promptTokenCount\":2,\"thoughtsTokenCount\":500,"
                            "\"totalTokenCount\":502"),
                 .outcome = MODEL_EMPTY,
                 .failure = FAILURE_ONLY_THOUGHT,
                 .finish = "MAX_TOKENS",
                 USAGE(2, 0, 500, 0, 502) } },
    { .number = "C11",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") FINISH("SAFETY"),
                 REFUSED,
                 .text = "a",
                 .finish = "SAFETY" } },
    { .number = "C12",
      .dialect = GEMINI,
      .reply = { .bytes = "data: {\"promptFeedback\":{\"blockReason\":"
                          "\"PROHIBITED_CONTENT\"}}" E,
                 REFUSED,
                 .finish = "PROHIBITED_CONTENT" } },
    { .number = "C13",
      .dialect = GEMINI,
      .reply = { .bytes =
                     "data: "
                     "{\"promptFeedback\":{\"safetyRatings\":[{\"category\":"
                     "\"X\"}]},\"candidates\":[{\"content\":{\"parts\":[{"
                     "\"text\":"
                     "\"a\"}]},\"finishReason\":\"STOP\"}]}" E,
                 A_STOP } },
    { .number = "C14",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") "data: {\"candidates\":[{\"finishReason\":"
                                    "\"RECITATION\",\"index\":0}]}" E,
                 REFUSED,
                 .text = "a",
                 .finish = "RECITATION" } },
    { .number = "C15",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") FINISH("FOO"),
                 FAILED(FAILURE_BAD_FINISH),
                 .text = "a",
                 .finish = "FOO" } },
    { .number = "C16",
      .dialect = GEMINI,
      .reply = { .bytes = FINISH("STOP"), EMPTY, .finish = "STOP" } },
    { .number = "C17",
      .dialect = GEMINI,
      .reply = { .bytes =
                     "data: "
                     "{\"candidates\":[{\"index\":1,\"content\":{\"parts\":"
                     "[{\"text\":\"no\"}]},\"finishReason\":\"SAFETY\"},{"
                     "\"index\":"
                     "0,\"content\":{\"parts\":[{\"text\":\"a\"}]},"
                     "\"finishReason\":\"STOP\"}]}" E,
                 A_STOP } },
    { .number = "C18",
      .dialect = GEMINI,
      .reply = { .bytes = NAMED("a", "gemini-3.8-flash", "r") FINISH("STOP"),
                 A_STOP },
      ASKED,
      .rerouted = true },
    { .number = "C18",
      .dialect = GEMINI,
      .reply = { .bytes = NAMED("a", "gemini-2.5-pro-001", "r") FINISH("STOP"),
                 A_STOP },
      ASKED },
    { .number = "C19",
      .dialect = GEMINI,
      .reply = { .bytes = NAMED("a", "gemini-2.5-pro", "r1")
                     NAMED("b", "gemini-3.8-flash", "r1") FINISH("STOP"),
                 COMPLETE,
                 .text = "ab",
                 .finish = "STOP",
                 .marks = "renamed" },
      ASKED },
    { .number = "C19",
      .dialect = GEMINI,
      .reply = { .bytes = NAMED("a", "gemini-2.5-pro", "r1")
                     NAMED("b", "gemini-2.5-pro", "r2") FINISH("STOP"),
                 COMPLETE,
                 .text = "ab",
                 .finish = "STOP",
                 .marks = "renamed" },
      ASKED },
    { .number = "C20",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a"), TRUNCATED, .text = "a" } },
    { .number = "C21",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("a", "STOP") COUNTS(
                     "\"promptTokenCount\":90,\"cachedContentTokenCount\":64,"
                     "\"candidatesTokenCount\":1,\"totalTokenCount\":91"),
                 A_STOP,
                 USAGE(90, 1, 0, 64, 91) } },
    { .number = "C22",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("a", "STOP") COUNTS(
                     "\"promptTokenCount\":9,\"candidatesTokenCount\":20,"
                     "\"thoughtsTokenCount\":5"),
                 A_STOP,
                 USAGE(9, 20, 5, -1, 34) } },
};

/* ---- G ------------------------------------------------------------------ */

#define A_OPENAI COMPLETE, .text = "a", .finish = "stop"

static const struct matrix_case openai[] = {
    { .number = "G1",
      .dialect = OPENAI,
      .reply = { .bytes = SAY("a") STOP
                 "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,"
                 "\"completion_tokens\":30,\"total_tokens\":40,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":4},"
                 "\"completion_tokens_details\":{\"reasoning_tokens\":25}}}"
                 "\n\n" DONE,
                 A_OPENAI,
                 USAGE(10, 5, 25, 4, 40) } },
    { .number = "G2",
      .dialect = OPENAI,
      .reply = { .bytes = SAY("a") STOP, A_OPENAI } },
    { .number = "G2",
      .dialect = OPENAI,
      .reply = { .bytes = SAY("a") STOP,
                 .transport = HTTP_CUT,
                 A_OPENAI,
                 .marks = "unclean" } },
    { .number = "G3",
      .dialect = OPENAI,
      .reply = { .bytes = SAY("a") DONE, TRUNCATED, .text = "a" } },
    { .number = "G4",
      .dialect = OPENAI,
      .reply = { .bytes = CHUNK("\"content\":\"a\"", "\"\"") STOP DONE,
                 A_OPENAI } },
    { .number = "G4",
      .dialect = OPENAI,
      .reply = { .bytes = CHUNK("\"content\":\"a\"", "\"\"") DONE,
                 TRUNCATED,
                 .text = "a" } },
    { .number = "G5",
      .dialect = OPENAI,
      .reply = { .bytes = CHUNK("\"role\":\"assistant\"", "null")
                     CHUNK("\"content\":null", "null") CHUNK("", "null")
                         SAY("a") STOP DONE,
                 A_OPENAI } },
    { .number = "G6",
      .dialect = OPENAI,
      .reply = { .bytes = CHUNK("\"reasoning_content\":\"hm\"", "null")
                     CHUNK("\"reasoning\":\"so\"", "null") SAY("a") STOP DONE,
                 A_OPENAI,
                 .marks = "thinks" } },
    { .number = "G6",
      .dialect = OPENAI,
      .reply = { .bytes =
                     CHUNK("\"reasoning_content\":\"42\"", "null") STOP DONE,
                 EMPTY,
                 .finish = "stop",
                 .marks = "thinks" } },
    { .number = "G7",
      .dialect = OPENAI,
      .reply = { .bytes = SAY("<thi") SAY("nk>it </") SAY("thinks</th")
                     SAY("ink>a") STOP DONE,
                 A_OPENAI,
                 .marks = "thinks" } },
    { .number = "G7",
      .dialect = OPENAI,
      .reply = { .bytes = SAY("a <think>") SAY("</think>") STOP DONE,
                 COMPLETE,
                 .text = "a <think></think>",
                 .finish = "stop" } },
    { .number = "G8",
      .dialect = OPENAI,
      .reply = { .bytes =
                     SAY("a") CHUNK("\"content\":\"b\"", "\"length\"") DONE,
                 CUT,
                 .text = "ab",
                 .finish = "length" } },
    { .number = "G9",
      .dialect = OPENAI,
      .reply = { .bytes = CHUNK("\"tool_calls\":[{}]", "\"tool_calls\"") DONE,
                 FAILED(FAILURE_BAD_FINISH),
                 .finish = "tool_calls" } },
    { .number = "G10",
      .dialect = OPENAI,
      .reply = { .bytes =
                     "event: error\ndata: "
                     "{\"type\":\"error\",\"error\":{\"type\":"
                     "\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
                 UNAVAILABLE(FAILURE_HTTP_503) } },
    /* Anthropic's wire is not spoken here: of what it says nothing is taken
     * for an answer or a count. */
    { .number = "G11",
      .dialect = OPENAI,
      .reply = { .bytes =
                     "event: message_start\ndata: {\"type\":\"message_start\","
                     "\"message\":{\"id\":\"m\",\"content\":[]}}\n\n"
                     "event: content_block_delta\ndata: {\"type\":"
                     "\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                     "\"text_delta\",\"text\":\"a\"}}\n\n",
                 TRUNCATED } },
    { .number = "G12",
      .dialect = OPENAI,
      .reply = { .bytes =
                     "event: message_delta\ndata: {\"type\":\"message_delta\","
                     "\"usage\":{\"output_tokens\":5}}\n\n"
                     "event: message_delta\ndata: {\"type\":\"message_delta\","
                     "\"usage\":{\"output_tokens\":9}}\n\n",
                 TRUNCATED,
                 USAGE(-1, -1, -1, -1, -1) } },
    { .number = "G12", /* the same with names that are spoken here */
      .dialect = OPENAI,
      .reply = { .bytes =
                     "data: "
                     "{\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":"
                     "5}}\n\ndata: {\"usage\":{\"prompt_tokens\":2,"
                     "\"completion_tokens\":9}}\n\n" SAY("a") STOP DONE,
                 A_OPENAI,
                 USAGE(2, 9, -1, -1, 11) } },
};

const struct matrix_table matrix_gemini = { gemini, ARRAY_LEN(gemini) };
const struct matrix_table matrix_openai = { openai, ARRAY_LEN(openai) };
