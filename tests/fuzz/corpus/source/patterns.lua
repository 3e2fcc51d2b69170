return dozo.source { id = "a", name = "A", version = "1", api = 1, series_of = function(id)
local a = ("x(y)=z"):match("^(%w+)%b()=([^%s]-)%f[%z]?$") for w in ("a b c"):gmatch("%a+") do a = w end
return (("abc"):gsub("(%w)(%w?)", "%2%1")):find("[%a-z]", 1) .. a end }
