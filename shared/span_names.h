/* Names of span attributes, from OpenTelemetry's semantic conventions (core and messaging 1.27 and later,
 * GenAI 1.37 and later), and moru's own. */
#ifndef SHARED_SPAN_NAMES_H
#define SHARED_SPAN_NAMES_H

#define SPAN_ERROR_TYPE "error.type"

/* HTTP. */
#define SPAN_HTTP_METHOD "http.request.method"
#define SPAN_HTTP_ROUTE "http.route"
#define SPAN_HTTP_STATUS "http.response.status_code"
#define SPAN_URL_PATH "url.path"
#define SPAN_URL_SCHEME "url.scheme"
#define SPAN_SERVER_ADDRESS "server.address"
#define SPAN_SERVER_PORT "server.port"

/* Messaging. */
#define SPAN_MESSAGING_SYSTEM "messaging.system"
#define SPAN_MESSAGING_OPERATION_NAME "messaging.operation.name"
#define SPAN_MESSAGING_OPERATION_TYPE "messaging.operation.type"
#define SPAN_MESSAGING_DESTINATION "messaging.destination.name"
#define SPAN_MESSAGING_PARTITION "messaging.destination.partition.id"
#define SPAN_MESSAGING_GROUP "messaging.consumer.group.name"
#define SPAN_MESSAGING_OFFSET "messaging.kafka.offset"

/* Generative AI. */
#define SPAN_GEN_AI_OPERATION "gen_ai.operation.name"
#define SPAN_GEN_AI_PROVIDER "gen_ai.provider.name"
#define SPAN_GEN_AI_REQUEST_MODEL "gen_ai.request.model"
#define SPAN_GEN_AI_REQUEST_MAX_TOKENS "gen_ai.request.max_tokens"
#define SPAN_GEN_AI_REQUEST_TEMPERATURE "gen_ai.request.temperature"
#define SPAN_GEN_AI_OUTPUT_TYPE "gen_ai.output.type"
#define SPAN_GEN_AI_RESPONSE_MODEL "gen_ai.response.model"
#define SPAN_GEN_AI_FINISH_REASONS "gen_ai.response.finish_reasons"
#define SPAN_GEN_AI_INPUT_TOKENS "gen_ai.usage.input_tokens"
#define SPAN_GEN_AI_OUTPUT_TOKENS "gen_ai.usage.output_tokens"
#define SPAN_GEN_AI_CACHE_READ_TOKENS "gen_ai.usage.cache_read.input_tokens"
#define SPAN_GEN_AI_CACHE_WRITE_TOKENS "gen_ai.usage.cache_creation.input_tokens"
#define SPAN_GEN_AI_REASONING_TOKENS "gen_ai.usage.reasoning.output_tokens"
/* Only with OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT. */
#define SPAN_GEN_AI_SYSTEM "gen_ai.system_instructions"
#define SPAN_GEN_AI_INPUT "gen_ai.input.messages"
#define SPAN_GEN_AI_OUTPUT "gen_ai.output.messages"

/* Of the process. */
#define SPAN_SERVICE_NAME "service.name"
#define SPAN_SERVICE_VERSION "service.version"
#define SPAN_SERVICE_INSTANCE "service.instance.id"

/* moru's own. */
#define SPAN_REQUEST_ID "moru.request_id"
#define SPAN_TASK_TYPE "moru.task_type"
#define SPAN_BATCH_ID "moru.batch_id"
#define SPAN_OPTIMIZATION_ID "moru.optimization_id"
#define SPAN_PURPOSE "moru.purpose" /* of a model call: refine, generate, judge, analyse, propose */
#define SPAN_ATTEMPT "moru.attempt" /* of a job or a model call, from 1 */
#define SPAN_OUTCOME "moru.outcome" /* of a job: done, deferred, dead_letter, failed */

#endif
