-- Sends requests that were written and signed before (compare.py), one after the other and from the start again: so that
-- wrk, which shares the cores with the server, does next to nothing.
--
-- The file (argument 1) has for each request its length in eight digits and then the request itself.

local requests = {}
local next_request = 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  local text = file:read("*a")
  file:close()
  local at = 1
  while at <= #text do
    local length = tonumber(text:sub(at, at + 7))
    requests[#requests + 1] = text:sub(at + 8, at + 7 + length)
    at = at + 8 + length
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("RESULT %d %d %d\n", summary.requests, summary.duration, failed))
end
