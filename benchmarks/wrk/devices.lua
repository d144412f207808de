-- Devices that check for updates and report: wrk -s devices.lua URL -- KIND
-- Says what it found as one line of JSON after wrk's own report.
local POOL = 10000
local KEYS = '"platform":"android","app_id":"com.example.shop","custom_id":"","version_build":"1.0.0","version_code":"1",'
  .. '"version_os":"15","plugin_version":"8.51.23","is_emulator":false,"is_prod":true,"defaultChannel":"","install_source":""'
local HEADERS = { ["Content-Type"] = "application/json" }
local EVENTS = { "download_zip_start", "download_complete", "set", "app_launch_ready", "app_moved_to_foreground" }

local function device(number)
  return string.format("00000000-0000-4000-8000-%012x", number)
end

local function check(number, running)
  local body = string.format('{%s,"device_id":"%s","version_name":"%s"}', KEYS, device(number), running)
  return wrk.format("POST", "/updates", HEADERS, body)
end

local function event(number, action)
  return string.format(
    '{%s,"device_id":"%s","version_name":"1.1.0","old_version_name":"1.0.0","action":"%s","timestamp":%d}',
    KEYS, device(number), action, os.time() * 1000
  )
end

local function report(body)
  return wrk.format("POST", "/stats", HEADERS, body)
end

local function five(number)
  local all = {}
  for at, action in ipairs(EVENTS) do all[at] = event(number, action) end
  return report("[" .. table.concat(all, ",") .. "]")
end

local function pooled(make)
  local requests = {}
  for number = 0, POOL - 1 do requests[number] = make(number) end
  return function() return requests[math.random(0, POOL - 1)] end
end

-- Devices that nobody has seen before: another run begins elsewhere.
local function fresh(make)
  local number = os.time() % 100000000 * 1000000 + math.random(0, 999) * 1000
  return function()
    number = number + 1
    return make(number)
  end
end

local function peer(number)
  local running = number % 2 == 0 and "000000000003" or "000000000001"
  return wrk.format("GET", "/peer/app-version/ios/1.0.0/production/00000000-0000-0000-0000-000000000000/019a0000-0000-7000-8000-"
    .. running .. "/" .. (number % 1000 + 1))
end

local KINDS = {
  -- Half of them run the newest release, half are to get it.
  ["updates"] = function() return pooled(function(n) return check(n, n % 2 == 0 and "1.1.0" or "1.0.0") end) end,
  ["new devices"] = function() return fresh(function(n) return check(n, "1.0.0") end) end,
  ["single events"] = function() return pooled(function(n) return report(event(n, EVENTS[n % 5 + 1])) end) end,
  ["five events"] = function() return pooled(five) end,
  ["single events, new devices"] = function() return fresh(function(n) return report(event(n, EVENTS[n % 5 + 1])) end) end,
  ["five events, new devices"] = function() return fresh(five) end,
  ["peer"] = function() return pooled(peer) end,
}

function init(arguments)
  math.randomseed(os.time())
  request = KINDS[arguments[1]]()
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"microseconds":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d,"refused":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.connect, errors.read, errors.write, errors.timeout, errors.status
  ))
end
