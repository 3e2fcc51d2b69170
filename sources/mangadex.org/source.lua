-- mangadex.org over its public API (https://api.mangadex.org/docs/). Pictures come from the address that the API names for each
-- chapter; that host is a different one each time, in a few domains.

local RECORDS_MAX = 10000 -- the API gives no more of one list
local RATINGS = { "safe", "suggestive", "erotica", "pornographic" } -- without them the last one is left out

-- The host waits as long as the API says before it asks again.
local function again(_, tries) return tries <= 2 end

local requests = http.new { on_status = { [429] = again } }

local function ask(path, query)
  local answer = requests.get(opt.base_url .. path, { query = query }):json()
  if type(answer) ~= "table" or type(answer.data) ~= "table" then
    dozo.fail("parse", opt.base_url .. path .. " gives no data")
  end
  return answer
end

local function api(path, query)
  local record = ask(path, query).data
  if type(record.attributes) ~= "table" then dozo.fail("parse", opt.base_url .. path .. " has no attributes") end
  return record
end

-- The first of the wanted language, English, whatever there is.
local function pick(texts)
  if type(texts) ~= "table" then return nil end
  if texts[opt.language] then return texts[opt.language] end
  if texts.en then return texts.en end
  local codes = {}
  for code in pairs(texts) do codes[#codes + 1] = code end
  table.sort(codes)
  return texts[codes[1]]
end

local function present(value)
  if value == dozo.null or value == "" then return nil end
  return value
end

-- "1" and "10.5" as numbers; "12a", "Extra" as they stand.
local function number(text)
  text = present(text)
  return text and (text:match("^%d+%.?%d*$") and tonumber(text) or text)
end

-- Each relationship of a type with what came along of it.
local function related(record, kind)
  local out = {}
  for _, r in ipairs(record.relationships or {}) do
    if r.type == kind then out[#out + 1] = r end
  end
  return out
end

local function people(record, kind)
  local out = {}
  for _, r in ipairs(related(record, kind)) do
    local name = type(r.attributes) == "table" and present(r.attributes.name)
    if name then out[#out + 1] = { id = r.id, name = name } end
  end
  return out
end

local function tags(attributes, genres)
  local out = {}
  for _, tag in ipairs(present(attributes.tags) or {}) do
    local name = pick(tag.attributes.name)
    if name and (tag.attributes.group == "genre") == genres then out[#out + 1] = name end
  end
  return out
end

local function day(text)
  local y, m, d = tostring(present(text) or ""):match("^(%d%d%d%d)%-(%d%d)%-(%d%d)")
  if not y or not pcall(date.parse, y .. m .. d, "%Y%m%d") then return nil end
  return { year = tonumber(y), month = tonumber(m), day = tonumber(d) }
end

local function chapter_record(record)
  local a = record.attributes
  local group = related(record, "scanlation_group")[1]
  local team
  if group and type(group.attributes) == "table" and present(group.attributes.name) then
    team = { id = group.id, name = group.attributes.name, site = present(group.attributes.website) }
  end
  local manga = related(record, "manga")[1]
  return {
    id = record.id,
    volume = number(a.volume),
    chapter = number(a.chapter),
    title = present(a.title),
    lang = present(a.translatedLanguage),
    pages = present(a.pages),
    team = team,
    date = day(present(a.updatedAt) or a.publishAt),
    url = "https://mangadex.org/chapter/" .. record.id,
    series = manga and manga.id or nil,
  }
end

-- All records of a list that comes in pages, which may be shorter than asked for.
local function all(path, limit, query)
  local out = {}
  query.limit = limit
  repeat
    query.offset = #out
    local answer = ask(path, query)
    for _, record in ipairs(answer.data) do out[#out + 1] = record end
  until #out >= (present(answer.total) or 0) or #answer.data == 0 or #out + limit > RECORDS_MAX
  return out
end

local function cover_address(manga, file)
  return opt.uploads_url .. "/covers/" .. manga .. "/" .. file
end

-- Asked once a run: the series and its cover stand in one answer.
local known_series = {}
local function manga(id)
  if not known_series[id] then
    known_series[id] = api("/manga/" .. url.encode(id), { ["includes[]"] = { "artist", "author", "cover_art" } })
  end
  return known_series[id]
end

local function cover_of(record)
  local cover = related(record, "cover_art")[1]
  local file = cover and type(cover.attributes) == "table" and present(cover.attributes.fileName)
  return file and cover_address(record.id, file) or nil
end

local function series_record(record)
  local a = record.attributes
  local titles = {}
  for _, title in ipairs(present(a.altTitles) or {}) do titles[#titles + 1] = title end
  return {
    id = record.id,
    title = present(pick(a.title)) or "Untitled",
    alt_titles = titles,
    description = pick(a.description),
    authors = people(record, "author"),
    artists = people(record, "artist"),
    genres = tags(a, true),
    tags = tags(a, false),
    lang = present(a.originalLanguage),
    links = present(a.links),
    date = math.type(a.year) == "integer" and a.year >= 1 and a.year <= 9999 and { year = a.year } or nil,
    rating = present(a.contentRating),
    status = present(a.status),
    url = "https://mangadex.org/title/" .. record.id,
    cover = cover_of(record),
  }
end

return dozo.source {
  id = "mangadex.org", name = "MangaDex", version = "1.0.0", api = 1, langs = { "en" },
  match = { "mangadex.org/" },
  hosts = { "api.mangadex.org", "mangadex.org", "*.mangadex.org", "*.mangadex.network" },
  limits = { per_host = 4, rate = "4/second" },
  options = {
    base_url = { type = "string", default = "https://api.mangadex.org", help = "Where the API is" },
    uploads_url = { type = "string", default = "https://uploads.mangadex.org", help = "Where covers are" },
    language = { type = "string", default = "en", help = "Only chapters in this language" },
  },

  resolve = function(address, wanted)
    -- With or without a scheme; a title may have a name behind its id, a chapter a page.
    local rest = address:gsub("^%a[%w+.-]*://", ""):gsub("[?#].*$", "")
    local path = rest:match("^[^/]+(/.*)$") or ""
    local id = path:match("^/title/([%w-]+)$") or path:match("^/title/([%w-]+)/")
    if id and wanted ~= "chapter" then return "series", id:lower() end
    id = path:match("^/chapter/([%w-]+)/?$") or path:match("^/chapter/([%w-]+)/%d+/?$")
    if id then return "chapter", id:lower() end
    dozo.fail("bad_url", "URL " .. address .. " does not link to any " .. (wanted == "chapter" and "manga" or "manga nor chapter")
      .. " on the Mangadex website")
  end,

  series = function(id)
    return series_record(manga(id))
  end,

  chapters = function(id)
    local out = {}
    local query = { ["translatedLanguage[]"] = opt.language, ["order[chapter]"] = "asc", ["includes[]"] = "scanlation_group",
                    ["contentRating[]"] = RATINGS }
    for _, record in ipairs(all("/manga/" .. url.encode(id) .. "/feed", 500, query)) do
      -- A chapter that lies elsewhere has no pages here.
      if not present(record.attributes.externalUrl) and record.attributes.pages ~= 0 then
        local chapter = chapter_record(record)
        chapter.series = id
        out[#out + 1] = chapter
      end
    end
    return out
  end,

  chapter = function(id)
    return chapter_record(api("/chapter/" .. url.encode(id), { ["includes[]"] = "scanlation_group" }))
  end,

  pages = function(id)
    -- The address is good for some minutes: never from the cache.
    local address = opt.base_url .. "/at-home/server/" .. url.encode(id)
    local server = requests.get(address, { cache = false }):json()
    local base, hash, files = json.at(server, "baseUrl"), json.at(server, "chapter.hash"), json.at(server, "chapter.data")
    if type(base) ~= "string" or type(hash) ~= "string" or type(files) ~= "table" or #files == 0 then
      dozo.fail("parse", address .. " names no pages")
    end
    local out = {}
    for _, file in ipairs(files) do
      out[#out + 1] = { url = base .. "/data/" .. hash .. "/" .. file }
    end
    return out
  end,

  cover = function(id)
    local address = cover_of(manga(id))
    return address and { url = address } or nil
  end,

  covers = function(id)
    local out = {}
    for _, record in ipairs(all("/cover", 100, { ["manga[]"] = id, ["order[volume]"] = "asc" })) do
      local volume = present(record.attributes.volume)
      if volume then out[#out + 1] = { volume = volume, url = cover_address(id, record.attributes.fileName) } end
    end
    return out
  end,

  search = function(text, page)
    local query = { title = text, limit = 20, offset = ((page or 1) - 1) * 20, ["contentRating[]"] = RATINGS,
                    ["includes[]"] = { "artist", "author", "cover_art" } }
    local out = {}
    for _, record in ipairs(ask("/manga", query).data) do out[#out + 1] = series_record(record) end
    return out
  end,
}
