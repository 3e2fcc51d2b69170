-- Pepper&Carrot by David Revoy (https://www.peppercarrot.com), free under CC BY 4.0. One series; the site keeps all its data in a
-- few JSON files and asks nothing but patience.

local SERIES = "pepper-carrot"

-- The site's own language codes where they are not ISO 639-1.
local OWN_CODES = { ko = "kr", zh = "cn", nb = "no" }

local function lang()
  return OWN_CODES[opt.language] or opt.language
end

-- Asked once a run: every function below begins with it.
local list
local function episodes()
  if list then return list end
  local address = opt.base_url .. "/0_sources/episodes-v1.json"
  local got = http.get(address):json()
  for _, episode in ipairs(type(got) == "table" and got or {}) do
    if type(episode) ~= "table" or type(episode.name) ~= "string" or type(episode.pages) ~= "table" then
      dozo.fail("parse", address .. " is not the list of episodes that this source knows")
    end
  end
  if type(got) ~= "table" or #got == 0 then dozo.fail("parse", address .. " names no episodes") end
  list = got
  return list
end

local function number_of(episode)
  return math.tointeger(tonumber(episode.name:match("^ep(%d+)")))
end

local function is_translated(episode)
  for _, code in ipairs(episode.translated_languages or {}) do
    if code == lang() then return true end
  end
  return false
end

local function find(id)
  for _, episode in ipairs(episodes()) do
    if episode.name == id then
      if is_translated(episode) then return episode end
      dozo.fail("not_found", id .. " is not translated to " .. opt.language)
    end
  end
  dozo.fail("not_found", "there is no episode " .. id)
end

local function need_series(id)
  if id ~= SERIES then dozo.fail("not_found", "the only series here is " .. SERIES) end
end

-- Cover, title, the numbers in order, credits.
local function files_of(episode)
  local numbers, files = {}, {}
  for key in pairs(episode.pages) do
    if tonumber(key) then numbers[#numbers + 1] = key end
  end
  table.sort(numbers, function(a, b) return tonumber(a) < tonumber(b) end)
  table.insert(numbers, 1, "title")
  table.insert(numbers, 1, "cover")
  numbers[#numbers + 1] = "credits"
  for _, key in ipairs(numbers) do
    local file = episode.pages[key]
    if type(file) == "string" and file ~= "" then files[#files + 1] = file end
  end
  return files
end

local function day(text)
  local y, m, d = tostring(text or ""):match("^(%d%d%d%d)%-(%d%d)%-(%d%d)")
  if not y or not pcall(date.parse, y .. m .. d, "%Y%m%d") then return nil end
  return { year = tonumber(y), month = tonumber(m), day = tonumber(d) }
end

-- "Episode 1: The Potion of Flight" says its number twice. nil where an episode has no titles; a site that is away is no such case.
local function title_of(episode)
  local ok, res = pcall(http.get, opt.base_url .. "/0_sources/" .. episode.name .. "/hi-res/titles.json")
  if not ok then
    if res.kind == "not_found" or res.kind == "gone" then return nil end
    error(res, 0)
  end
  local titles = res:json()
  local title = type(titles) == "table" and (titles[lang()] or titles.en)
  if type(title) ~= "string" then return nil end
  local short = str.match(title, [[^[^\s\d]+[\s\x{A0}]+\d+[\s\x{A0}]*[:\x{FF1A}][\s\x{A0}]*(.+)$]])
  return str.squeeze(short and short[1] or title)
end

local function record(episode)
  return {
    id = episode.name,
    chapter = number_of(episode),
    title = title_of(episode),
    lang = opt.language,
    pages = #files_of(episode),
    url = opt.base_url .. "/" .. lang() .. "/webcomic/" .. episode.name .. ".html",
    series = SERIES,
  }
end

return dozo.source {
  id = "peppercarrot.com", name = "Pepper&Carrot", version = "1.0.0", api = 1, langs = { "en", "fr" },
  only = SERIES,
  match = { "www.peppercarrot.com/", "peppercarrot.com/" },
  hosts = { "www.peppercarrot.com", "peppercarrot.com" },
  limits = { per_host = 2, rate = "4/second" },
  options = {
    base_url = { type = "string", default = "https://www.peppercarrot.com", help = "Where the site is" },
    language = { type = "string", default = "en", help = "ISO 639-1 code of the translation" },
    size = { type = "string", default = "low-res", help = "low-res for screens, hi-res for print" },
  },

  resolve = function(address)
    local name = address:match("/webcomic/(ep%d+[%w_-]*)%.html") or address:match("/(ep%d+[%w_-]+)/?$")
    if name then return "chapter", name end
    return "series", SERIES
  end,

  series = function(id)
    need_series(id)
    return {
      title = "Pepper&Carrot",
      description = "A free and open-source webcomic about Pepper, a young witch, and her cat Carrot.",
      authors = { { id = "david-revoy", name = "David Revoy" } },
      artists = { { id = "david-revoy", name = "David Revoy" } },
      genres = { "Comedy", "Fantasy" },
      lang = opt.language,
      status = "ongoing",
      rating = "safe",
      url = opt.base_url .. "/",
    }
  end,

  chapters = function(id, known)
    need_series(id)
    -- What was imported before it was crawled goes by its number.
    local kept, out = {}, {}
    for _, name in ipairs(known or {}) do kept[name] = true end
    for _, episode in ipairs(episodes()) do
      local number = number_of(episode)
      if number and is_translated(episode) then
        -- What is kept already needs no titles.json of its own.
        if kept[episode.name] or kept[tostring(number)] then
          out[#out + 1] = { id = episode.name, chapter = number }
        else
          out[#out + 1] = record(episode)
        end
      end
    end
    return out
  end,

  chapter = function(id)
    local out = record(find(id))
    local info = http.get(opt.base_url .. "/0_sources/" .. id .. "/info.json"):json()
    out.date = day(type(info) == "table" and info.published)
    return out
  end,

  pages = function(id)
    local episode, out = find(id), {}
    for _, file in ipairs(files_of(episode)) do
      out[#out + 1] = { url = opt.base_url .. "/0_sources/" .. episode.name .. "/" .. opt.size .. "/" .. lang() .. "_" .. url.encode(file) }
    end
    if #out == 0 then dozo.fail("parse", "episodes-v1.json names no pages of " .. id) end
    return out
  end,
}
