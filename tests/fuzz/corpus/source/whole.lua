return dozo.source { id = "a.b", name = "A", version = "1", api = 1, langs = { "en" }, match = { "a.b/" },
hosts = { "a.b" }, limits = { per_host = 2, rate = "2/second", page_delay = 0 },
options = { n = { type = "integer", default = 1, help = "N" } }, series_of = function(id) return id .. opt.n end }
