-- mangadex.org over its public API (https://api.mangadex.org/docs/). Pictures come from the address that the API names for each
-- chapter; that host is a different one each time, in a few domains.

local PAGE = 100 -- records of one answer

local function api(path, query)
  return http.get(opt.base_url .. path, { query = query }):json().data
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
  for _, tag in ipairs(attributes.tags or {}) do
    local name = pick(tag.attributes.name)
    if name and (tag.attributes.group == "genre") == genres then out[#out + 1] = name end
  end
  return out
end

local function day(text)
  local y, m, d = tostring(present(text) or ""):match("^(%d%d%d%d)%-(%d%d)%-(%d%d)")
  return y and { year = tonumber(y), month = tonumber(m), day = tonumber(d) } or nil
end

local function series_record(record)
  local a = record.attributes
  local titles = {}
  for _, title in ipairs(a.altTitles or {}) do titles[#titles + 1] = title end
  return {
    id = record.id,
    title = pick(a.title) or record.id,
    alt_titles = titles,
    description = pick(a.description),
    authors = people(record, "author"),
    artists = people(record, "artist"),
    genres = tags(a, true),
    tags = tags(a, false),
    lang = present(a.originalLanguage),
    links = present(a.links),
    date = present(a.year) and { year = a.year } or nil,
    rating = present(a.contentRating),
    status = present(a.status),
    url = "https://mangadex.org/title/" .. record.id,
  }
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
    volume = str.number(present(a.volume) or "") or present(a.volume),
    chapter = str.number(present(a.chapter) or "") or present(a.chapter),
    title = present(a.title),
    lang = present(a.translatedLanguage),
    pages = present(a.pages),
    team = team,
    date = day(a.publishAt),
    url = "https://mangadex.org/chapter/" .. record.id,
    series = manga and manga.id or nil,
  }
end

-- All records of a list that comes in pages.
local function all(path, query)
  local out, offset = {}, 0
  repeat
    query.limit, query.offset = PAGE, offset
    local answer = http.get(opt.base_url .. path, { query = query }):json()
    for _, record in ipairs(answer.data) do out[#out + 1] = record end
    offset = offset + PAGE
  until offset >= (answer.total or 0) or #answer.data == 0
  return out
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

  resolve = function(address)
    local uuid = "(%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x)"
    local id = address:match("/title/" .. uuid)
    if id then return "series", id:lower() end
    id = address:match("/chapter/" .. uuid)
    if id then return "chapter", id:lower() end
  end,

  series = function(id)
    return series_record(api("/manga/" .. url.encode(id), { ["includes[]"] = { "author", "artist" } }))
  end,

  chapters = function(id)
    local out = {}
    local query = { ["translatedLanguage[]"] = opt.language, ["order[chapter]"] = "asc", ["includes[]"] = "scanlation_group" }
    for _, record in ipairs(all("/manga/" .. url.encode(id) .. "/feed", query)) do
      -- A chapter that lies elsewhere has no pages here.
      if not present(record.attributes.externalUrl) then
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
    local server = http.get(opt.base_url .. "/at-home/server/" .. url.encode(id), { cache = false }):json()
    local out = {}
    for _, file in ipairs(server.chapter.data) do
      out[#out + 1] = { url = server.baseUrl .. "/data/" .. server.chapter.hash .. "/" .. file }
    end
    return out
  end,

  cover = function(id)
    local newest = all("/cover", { ["manga[]"] = id, ["order[volume]"] = "asc" })
    local last = newest[#newest]
    if last then return { url = opt.uploads_url .. "/covers/" .. id .. "/" .. last.attributes.fileName } end
  end,

  covers = function(id)
    local out = {}
    for _, record in ipairs(all("/cover", { ["manga[]"] = id, ["order[volume]"] = "asc" })) do
      local volume = present(record.attributes.volume)
      if volume then
        out[#out + 1] = { volume = volume, url = opt.uploads_url .. "/covers/" .. id .. "/" .. record.attributes.fileName }
      end
    end
    return out
  end,

  search = function(text, page)
    local query = { title = text, limit = 20, offset = ((page or 1) - 1) * 20, ["includes[]"] = { "author", "artist" } }
    local out = {}
    for _, record in ipairs(api("/manga", query)) do out[#out + 1] = series_record(record) end
    return out
  end,
}
