//! The script that counts calls, run by Redis itself.

/// Counts one call under each key, or under none if one of them refuses it. Times are microseconds
/// of Redis's clock. Each argument contains the interval between calls and the tolerance. Returns
/// 0, or the index of the key that refuses and how long to wait. A counter expires when it is full
/// again.
pub(super) const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local next = {}
for i, key in ipairs(KEYS) do
    local interval, tolerance = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local tat = math.max(tonumber(redis.call('GET', key) or now), now)
    if tat - tolerance > now then
        return {i, math.ceil(tat - tolerance - now)}
    end
    next[i] = tat + interval
end
for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', next[i]), 'PX', math.ceil((next[i] - now) / 1000) + 1)
end
return {0, 0}
";
