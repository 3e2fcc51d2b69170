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
  if not list then
    list = http.get(opt.base_url .. "/0_sources/episodes-v1.json"):json()
  end
  return list
end

local function has(values, wanted)
  for _, value in ipairs(values or {}) do
    if value == wanted then return true end
  end
  return false
end

local function number_of(episode)
  return tonumber(episode.name:match("^ep(%d+)"))
end

local function find(id)
  for _, episode in ipairs(episodes()) do
    if episode.name == id then return episode end
  end
  dozo.fail("not_found", "there is no episode " .. id)
end

local function day(text)
  local y, m, d = tostring(text or ""):match("^(%d%d%d%d)%-(%d%d)%-(%d%d)")
  return y and { year = tonumber(y), month = tonumber(m), day = tonumber(d) } or nil
end

-- "Episode 1: The Potion of Flight" says its number twice.
local function title_of(titles)
  local title = titles[lang()] or titles.en
  return title and (title:match("^%S+%s+%d+%s*:%s*(.+)$") or title) or nil
end

local function record(episode, with_date)
  local folder = opt.base_url .. "/0_sources/" .. episode.name
  local ok, titles = pcall(function() return http.get(folder .. "/hi-res/titles.json"):json() end)
  local date
  if with_date then
    date = day(http.get(folder .. "/info.json"):json().published)
  end
  return {
    id = episode.name,
    chapter = number_of(episode),
    title = ok and title_of(titles) or nil,
    lang = opt.language,
    pages = episode.total_pages,
    date = date,
    url = opt.base_url .. "/" .. lang() .. "/webcomic/" .. episode.name .. ".html",
    series = SERIES,
  }
end

return dozo.source {
  id = "peppercarrot.com", name = "Pepper&Carrot", version = "1.0.0", api = 1, langs = { "en", "fr" },
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
    if id ~= SERIES then dozo.fail("not_found", "the only series here is " .. SERIES) end
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
    if id ~= SERIES then dozo.fail("not_found", "the only series here is " .. SERIES) end
    local out = {}
    for _, episode in ipairs(episodes()) do
      if number_of(episode) and has(episode.translated_languages, lang()) then
        -- What is kept already needs no titles.json of its own.
        if has(known, episode.name) then
          out[#out + 1] = { id = episode.name, chapter = number_of(episode) }
        else
          out[#out + 1] = record(episode)
        end
      end
    end
    return out
  end,

  chapter = function(id)
    return record(find(id), true)
  end,

  -- Cover, title, the numbers in order, credits.
  pages = function(id)
    local episode = find(id)
    if not has(episode.translated_languages, lang()) then
      dozo.fail("not_found", id .. " is not translated to " .. opt.language)
    end
    local numbers, files = {}, {}
    for key, file in pairs(episode.pages) do
      if tonumber(key) then numbers[#numbers + 1] = { tonumber(key), file } end
    end
    table.sort(numbers, function(a, b) return a[1] < b[1] end)
    if episode.pages.cover then files[#files + 1] = episode.pages.cover end
    if episode.pages.title then files[#files + 1] = episode.pages.title end
    for _, pair in ipairs(numbers) do files[#files + 1] = pair[2] end
    if episode.pages.credits then files[#files + 1] = episode.pages.credits end
    local out = {}
    for _, file in ipairs(files) do
      out[#out + 1] = { url = opt.base_url .. "/0_sources/" .. episode.name .. "/" .. opt.size .. "/" .. lang() .. "_" .. file }
    end
    return out
  end,
}
