-- local: folders and archives of this machine, as `dozo import` reads them. The host does the reading: a source has no files. What
-- stands here says that it is there, what it is called and which folders it watches.

return dozo.source {
  id = "local", name = "Folders and archives", version = "1.0.0", api = 1,
  hosts = {},
  options = {
    paths = { type = "list", default = {}, help = "Folders and archives that are looked through every time" },
  },
}
