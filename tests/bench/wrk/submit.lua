-- Submissions for wrk, whose figures come out as one line of JSON:
--   wrk -t2 -c64 -d10s -s submit.lua <gateway>/api/v1/requests [-- PREFIX]
-- With a prefix each carries an Idempotency-Key of its own that begins with it. Without one there is no function request,
-- so that wrk sends one fixed text and runs no Lua at all for a request.
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(arguments)
  wrk.method = "POST"
  wrk.body = '{"user_input":"Write a fibonacci function","task_type":"code_generation"}'
  wrk.headers["Content-Type"] = "application/json"
  local prefix = arguments[1]
  if prefix then
    local sent = 0
    request = function()
      sent = sent + 1
      wrk.headers["Idempotency-Key"] = prefix .. "-" .. number .. "-" .. sent
      return wrk.format()
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"answered":%d,"refused":%d,"failed":%d,"seconds":%.6f,"median_us":%d,"p99_us":%d,"longest_us":%d}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50), latency:percentile(99), latency.max))
end
