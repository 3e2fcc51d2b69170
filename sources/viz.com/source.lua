-- viz.com: the chapters that the site itself offers free. Titles and volumes come from a wiki and covers from MangaDex's API, when
-- the settings name them. Pages are shuffled pictures; their key stands in the picture, and the host puts them in order.
--
-- The id of a series is its slug; the id of a chapter is SLUG/NUMBER-ID, where ID is what the site counts by.

local COVERS_MAX = 10000 -- the API gives no more

local function plain(text) -- as a Lua pattern that matches only itself
  return (text:gsub("%p", "%%%0"))
end

-- Asked again after 429 when the pause is over that the site wants, which the host keeps.
local site = http.new { on_status = { [429] = function(_, tries) return tries <= 2 end } }

-- Asked once a run: chapters and the text about the next release stand on the same page.
local listings = {}
local function listing(slug)
  if not listings[slug] then
    listings[slug] = site.get(opt.base_url .. "/vizmanga/chapters/" .. url.encode(slug)).body
  end
  return listings[slug]
end

-- number → { number, id, free }: free ones first in page order, then paid ones, which win. Asked for by several functions of a run.
local read = {}
local function read_listing(slug)
  if read[slug] then return read[slug].found, read[slug].order end
  local body, found, order = listing(slug), {}, {}
  local tail = "/vizmanga/" .. plain(slug) .. "%-chapter%-(%d*)/chapter/(%d*)%?action=read"
  local function take(prefix, free)
    for number, id in body:gmatch(prefix .. tail) do
      -- Up to four digits and up to seven; a link without a number belongs to no chapter.
      if #number > 0 and #number <= 4 and #id <= 7 then
        if not found[number] then order[#order + 1] = number end
        found[number] = { number = number, id = id, free = free }
      end
    end
  end
  take('href="', true)
  take("targetUrl:'", false)
  -- Every series has some, free or not: a page without any is something else.
  if #order == 0 then dozo.fail("parse", opt.base_url .. "/vizmanga/chapters/" .. slug .. " names no chapters") end
  read[slug] = { found = found, order = order }
  return found, order
end

-- Free now, and under an address: what this source may give.
local function is_offered(entry)
  return entry ~= nil and entry.free and entry.id ~= ""
end

local function page_of(slug, id)
  return opt.base_url .. "/vizmanga/" .. slug .. "-chapter-" .. id .. "/chapter/" .. id .. "?action=read"
end

local function split(chapter)
  local slug, number, id = chapter:match("^(.+)/(%d+)%-(%d+)$")
  if not slug then dozo.fail("not_found", "there is no chapter " .. chapter) end
  return slug, number, id
end

local function name_of(slug)
  local name = slug:gsub("%-", " ")
  return (name:gsub("%f[%w]%l", string.upper))
end

-- A page of the wiki. nil when there is none, which is no failure; nil and an error when the wiki could not be asked.
local function wiki_page(name)
  local base = opt.wiki_url:gsub("/*$", "/")
  local ok, res = pcall(http.get, base .. name, { redirects = false })
  if ok then return res.status < 300 and res or nil end
  if res.kind == "not_found" or res.kind == "gone" then return nil end
  return nil, res
end

-- What a wiki gave before it could not be asked any more is kept; nothing at all is a failure.
local function give(out, problem)
  if problem and next(out) == nil then error(problem, 0) end
  if problem then log.warn("the wiki could not be asked to the end: " .. problem.message) end
  return out
end

local function covers_page(offset)
  local query = { ["order[volume]"] = "asc", ["manga[]"] = opt.covers_manga, limit = 100, offset = offset }
  local answer = http.get(opt.covers_api_url .. "/cover", { query = query }):json()
  if type(answer) ~= "table" or type(answer.data) ~= "table" then
    dozo.fail("parse", opt.covers_api_url .. "/cover gives no list of covers")
  end
  return answer
end

return dozo.source {
  id = "viz.com", name = "VIZ (free chapters)", version = "1.0.0", api = 1, langs = { "en" },
  match = { "www.viz.com/vizmanga/", "viz.com/vizmanga/" },
  hosts = { "www.viz.com", "viz.com", "*.viz.com", "*.cloudfront.net", "*.fandom.com", "api.mangadex.org", "mangadex.org",
            "uploads.mangadex.org" },
  limits = { per_host = 4, rate = "8/second" },
  options = {
    base_url = { type = "string", default = "https://www.viz.com", help = "Where the site is" },
    wiki_url = { type = "string", default = "", help = "Address before Chapter_N and Volume_N; empty: no titles" },
    covers_api_url = { type = "string", default = "https://api.mangadex.org", help = "The API that lists covers" },
    covers_url = { type = "string", default = "https://mangadex.org", help = "Where covers are" },
    covers_manga = { type = "string", default = "", help = "Id of the series there; empty: no covers" },
  },

  resolve = function(address)
    local slug = address:match("/vizmanga/chapters/([%w_-]+)")
    if slug then return "series", slug end
    local in_slug, number, id = address:match("/vizmanga/([%w_-]-)%-chapter%-(%d+)/chapter/(%d+)")
    -- Addresses of the site's own readers, and so our links, have the id in both places.
    if in_slug and number == id then
      number = nil
      for _, entry in pairs((read_listing(in_slug))) do
        if entry.id == id then number = entry.number end
      end
      if not number then dozo.fail("not_found", "the site lists no chapter with the id " .. id) end
    end
    if in_slug then return "chapter", in_slug .. "/" .. number .. "-" .. id end
  end,

  series = function(slug)
    listing(slug) -- a slug that the site does not know is not found; the page is asked for anyway
    return { title = name_of(slug), lang = "en", url = opt.base_url .. "/vizmanga/chapters/" .. slug }
  end,

  chapters = function(slug)
    local found, order = read_listing(slug)
    local out = {}
    for _, number in ipairs(order) do
      local entry = found[number]
      if is_offered(entry) then
        out[#out + 1] = {
          id = slug .. "/" .. number .. "-" .. entry.id,
          chapter = tonumber(number),
          lang = "en",
          url = page_of(slug, entry.id),
          series = slug,
        }
      end
    end
    return out
  end,

  chapter = function(chapter)
    local slug, number, id = split(chapter)
    return { id = chapter, chapter = tonumber(number), lang = "en", url = page_of(slug, id), series = slug }
  end,

  pages = function(chapter)
    local slug, number, id = split(chapter)
    local entry = read_listing(slug)[number]
    if not is_offered(entry) or entry.id ~= id then dozo.fail("auth", "chapter " .. number .. " is not offered free") end
    local reader = page_of(slug, id)
    -- The number of the last page, from 0.
    local count = math.tointeger(tonumber(str.between(site.get(reader, { cache = false }).body, "pages        = ", ";")))
    if not count then dozo.fail("parse", reader .. " does not say how many pages there are") end
    if count < 0 or count > 2000 then dozo.fail("parse", reader .. " speaks of " .. count .. " pages") end
    local wanted = {}
    for n = 0, count do wanted[#wanted + 1] = string.format("%d", n) end
    local res = site.get(opt.base_url .. "/manga/get_manga_url?device_id=3&manga_id=" .. id .. "&pages=" .. table.concat(wanted, ","), {
      cache = false,
      headers = { Referer = reader, ["X-Client-Login"] = "false", ["X-Requested-With"] = "XMLHttpRequest" },
    })
    local answer = res:json()
    local addresses = type(answer) == "table" and answer.data
    local from = res.body:find('"data"%s*:%s*{')
    if type(addresses) ~= "table" or not from then dozo.fail("parse", "the site names no pages of chapter " .. chapter) end
    -- In the order in which the answer has them, which Lua's tables forget.
    local out, taken = {}, {}
    for key in res.body:sub(from):gmatch('"(%d+)"%s*:%s*"') do
      if type(addresses[key]) == "string" and not taken[key] then
        taken[key] = true
        out[#out + 1] = {
          url = addresses[key],
          headers = { Origin = opt.base_url, Referer = opt.base_url .. "/" },
          transform = { { kind = "drop_blank" }, { kind = "retile", columns = 10, rows = 15, gap = 10, key = { exif = "ImageUniqueID" } } },
        }
      end
    end
    if #out == 0 then dozo.fail("parse", "the site names no pages of chapter " .. chapter) end
    if #out ~= count + 1 then log.warn("chapter " .. chapter .. ": " .. count + 1 .. " pages announced, " .. #out .. " named") end
    return out
  end,

  status = function(slug)
    local text = str.between(listing(slug), "New chapter coming in ", "!")
    return { next_release = text and #text <= 200 and text or "unknown" }
  end,

  titles = function(_, numbers)
    local out = {}
    if opt.wiki_url == "" then return out end
    local problem
    for _, number in ipairs(numbers) do
      local res
      res, problem = wiki_page("Chapter_" .. url.encode(number))
      if problem then break end
      local heading = res and res:html():one('h2[class="pi-item pi-header pi-secondary-font pi-item-spacing pi-secondary-background"]')
      local title = heading and str.squeeze(heading:text())
      if title and title ~= "" then out[number] = title end
    end
    return give(out, problem)
  end,

  volumes = function()
    local out = {}
    if opt.wiki_url == "" then return out end
    local problem
    for volume = 1, 500 do
      local res
      res, problem = wiki_page("Volume_" .. volume)
      local doc = res and res:html()
      -- The first list that begins behind the element, inside it or after it.
      local list = doc and doc:xpath('((//*[@id="List_of_Chapters"])[1]/descendant::ul | (//*[@id="List_of_Chapters"])[1]/following::ul)[1]')[1]
      if not list then break end
      local chapters = {}
      for _, item in ipairs(list:select("li")) do
        local number = str.between(item:html(), 'title="Chapter ', '"')
        if number then chapters[#chapters + 1] = number end
      end
      if #chapters == 0 then break end
      out[#out + 1] = { volume = tostring(volume), chapters = chapters }
    end
    return give(out, problem)
  end,

  covers = function()
    local out, offset = {}, 0
    if opt.covers_manga == "" then return out end
    repeat
      local answer = covers_page(offset)
      for _, item in ipairs(answer.data) do
        local volume = item.type == "cover_art" and item.attributes.volume
        if volume and volume ~= dozo.null and volume ~= "" then
          out[#out + 1] = { volume = volume, url = opt.covers_url .. "/covers/" .. opt.covers_manga .. "/" .. item.attributes.fileName }
        end
      end
      offset = offset + 100
    until offset >= (answer.total or 0) or #answer.data == 0 or offset >= COVERS_MAX
    return out
  end,
}
