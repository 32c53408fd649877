-- Submissions for wrk: wrk -t2 -c64 -d10s -s submit.lua <gateway>/api/v1/requests [-- key]
-- With "key" each carries an Idempotency-Key of its own.
local body = '{"user_input":"Write a fibonacci function","task_type":"code_generation"}'
local threads = 0
local keyed = false
local sent = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(arguments)
  keyed = arguments[1] == "key"
  wrk.method = "POST"
  wrk.body = body
  wrk.headers["Content-Type"] = "application/json"
  plain = wrk.format()
  started = os.time()
end

function request()
  if not keyed then
    return plain
  end
  sent = sent + 1
  wrk.headers["Idempotency-Key"] = started .. "-" .. number .. "-" .. sent
  return wrk.format()
end

function done(summary, latency)
  local seconds = summary.duration / 1e6
  io.write(string.format("accepted/s %.0f, median %.3f ms, p99 %.3f ms, longest %.1f ms, not accepted %d\n",
    (summary.requests - summary.errors.status) / seconds, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    latency.max / 1000, summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
