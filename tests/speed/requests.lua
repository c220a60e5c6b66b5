-- What wrk sends: PutItem, GetItem or UpdateItem (argument 1) of items of about 300 bytes, one key after another, with a
-- header in the shape of a signature. Every put writes another value than is there: a put that changes nothing commits
-- nothing, and would measure that.

local KEYS = 20000
local operation = "put"

local headers = {
  ["Content-Type"] = "application/x-amz-json-1.0",
  ["Authorization"] = "AWS4-HMAC-SHA256 Credential=speed/20250101/us-east-1/dynamodb/aws4_request, "
    .. "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" .. string.rep("0", 64),
  ["X-Amz-Date"] = "20250101T000000Z",
}

local targets = { put = "PutItem", get = "GetItem", update = "UpdateItem" }
local filler = string.rep("x", 240)
local next_key = 0
local next_value = os.time() * 1000000

local bodies = {
  put = function(key, value)
    return '{"TableName":"speed","Item":{"id":{"S":"' .. key .. '"},"count":{"N":"' .. value .. '"},"body":{"S":"' .. filler .. '"}}}'
  end,
  get = function(key)
    return '{"TableName":"speed","Key":{"id":{"S":"' .. key .. '"}}}'
  end,
  update = function(key)
    return '{"TableName":"speed","Key":{"id":{"S":"' .. key .. '"}},"UpdateExpression":"SET #c = #c + :one",'
      .. '"ExpressionAttributeNames":{"#c":"count"},"ExpressionAttributeValues":{":one":{"N":"1"}}}'
  end,
}

function init(arguments)
  operation = arguments[1] or "put"
  headers["X-Amz-Target"] = "DynamoDB_20120810." .. targets[operation]
end

function request()
  next_key = (next_key + 1) % KEYS
  next_value = next_value + 1
  local key, value = string.format("item-%016d", next_key), string.format("%d", next_value)
  return wrk.format("POST", "/", headers, bodies[operation](key, value))
end

function done(summary)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("RESULT %d %d %d\n", summary.requests, summary.duration, failed))
end
