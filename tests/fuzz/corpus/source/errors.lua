return dozo.source { id = "a", name = "A", version = "1", api = 1, series_of = function(id)
local ok, e = xpcall(dozo.fail, function(e) return e end, "gone", "x", { retry_after = 1 })
local t = setmetatable({}, { __index = table.concat, __close = error }) pcall(error, t) error(e) end }
