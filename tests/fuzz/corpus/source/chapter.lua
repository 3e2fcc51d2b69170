return dozo.source { id = "a", name = "A", version = "1", api = 1, chapter = function(id)
return { id = id, chapter = 1.5, series = "s", team = { name = "N" }, date = { year = 1999 } } end }
