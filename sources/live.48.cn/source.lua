-- live.48.cn: recorded performances of five idol groups, as records of the collection PerfVOD. The lists of a club go from new to
-- old, some tens of records a page; every record has a page of its own, which is archived before it is read.
--
-- A plain crawl reads a club's lists down to where the last complete one began (its mark), so that one that was cut off leaves no
-- hole. Records that could not be had are remembered and tried again by the next crawl; so are duplicates, which are left alone.

local SITE = "https://live.48.cn" -- stands in records and messages, whatever base_url is
local CLUBS, LEGACY_CLUBS = { 1, 2, 3 }, { 1, 2, 3, 4, 5 }
local WAITS = { 0, 2, 4 }         -- seconds before each attempt
local WORKERS = 2
local TIMEOUT = 5
local MARKS_MAX = 100             -- ids of a mark
local FAILED_MAX = 2000           -- records of a club that are tried again
local PAGES_MAX = 100000
local STEP = 20                   -- videos that are tried again, between two words about it
local AWAY_AFTER = 10             -- videos in a row that the site did not give: the rest of the club waits for the next crawl
-- Two different performances have this id at the site.
local KNOWN_COLLISION = "5bd81e5a0cf27e320898288b"

local site = http.new { timeout = TIMEOUT }

local function path_of(club, id)
  return ("/Index/invedio/club/%d/id/%d"):format(club, id)
end

local function words_of(e)
  local words = type(e) == "string" and e or e.message
  return (words:gsub("^source%.lua:%d+: ", ""))
end

local function kind_of(e)
  return type(e) == "string" and "parse" or e.kind
end

-- fn(wait) until it works; nil and the last failure after three attempts.
local function attempts(what, fn)
  local last
  for n, wait in ipairs(WAITS) do
    local worked, result = pcall(fn, wait)
    if worked then return result end
    last = result
    if kind_of(last) == "challenge" then error(last) end
    if WAITS[n + 1] then log.warn(("%s: %s: retrying in %ds"):format(what, words_of(last), WAITS[n + 1])) end
  end
  log.warn(("%s: %s (failed after %d tries)"):format(what, words_of(last), #WAITS))
  return nil, last
end

local function get(path, wait, cache)
  log.debug("GET " .. SITE .. path)
  local res = site.get(opt.base_url .. path, { delay = wait, cache = cache })
  if res.status ~= 200 then dozo.fail("unavailable", ("%s%s answered %d"):format(SITE, path, res.status)) end
  return res
end

-- ---- a page of a list

-- { club, id, path } of the videos that a page links to; what else it links to is nobody's business.
local function links_of(doc)
  local ours = { [SITE:match("//(.*)")] = true, [opt.base_url:match("//([^/]*)"):lower()] = true }
  local found, seen = {}, {}
  for _, a in ipairs(doc:select(".videolist .videos a[href]")) do
    local host, path = (a:url("href") or ""):match("^https?://([^/?#]*)([^?#]*)$")
    local club, id = (path or ""):match("^/Index/invedio/club/(%d+)/id/(%d+)/?$")
    club, id = math.tointeger(tonumber(club)), math.tointeger(tonumber(id))
    if club and id and ours[host:lower()] and club >= 1 and club <= 5 and not seen[path_of(club, id)] then
      seen[path_of(club, id)] = true
      found[#found + 1] = { club = club, id = id, path = path_of(club, id) }
    end
  end
  return found
end

local function total_of(doc)
  local skip = doc:one(".p-skip")
  local digits = skip and skip:text():match("共%D-(%d+)%D-页")
  return math.tointeger(tonumber(digits))
end

local function list_page(club, page)
  local path = ("/Index/main/club/%d/p/%d.html"):format(club, page)
  local cache
  if page > 1 then cache = false end -- the first one comes again and again, and the site may say that it has not changed
  local res, failure = attempts("page " .. SITE .. path, function(wait) return get(path, wait, cache) end)
  if not res then return nil, kind_of(failure), ("%s%s: %s"):format(SITE, path, words_of(failure)) end
  local doc = res:html()
  local links, total = links_of(doc), total_of(doc)
  if page == 1 and #links == 0 then
    return nil, "parse", ("no links to videos on %s%s: has the site changed?"):format(SITE, path)
  end
  if not total then return nil, "parse", ("no number of pages on %s%s"):format(SITE, path), links end
  return { links = links, total = math.min(total, PAGES_MAX) }
end

-- ---- a record

local function value_of(doc, id)
  local node = doc:one("#" .. id)
  return node and node:attr("value")
end

local function text_of(doc, class, address)
  local node = doc:one("." .. class)
  if not node then dozo.fail("parse", ("no %s on %s"):format(class, address)) end
  return str.trim(node:text())
end

local function record_of(vod, doc)
  local address = SITE .. vod.path
  local id = value_of(doc, "vedio_id") -- sic
  if not id or id == "" then dozo.fail("parse", "no vedio_id on " .. address) end
  local line = text_of(doc, "title2", address)
  local subtitle, time = line:match("^([^\r\n]*)(%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d)$")
  if not time then dozo.fail("parse", "no time in title2 on " .. address) end
  local sd, hd, fhd = value_of(doc, "liuchang_url"), value_of(doc, "gao_url"), value_of(doc, "chao_url")
  if (sd or "") == "" and (hd or "") == "" and (fhd or "") == "" then dozo.fail("parse", "no stream found on " .. address) end
  return {
    id = id, l4cClubId = vod.club, l4cId = vod.id, title = text_of(doc, "title1", address), subtitle = str.trim(subtitle),
    startTime = date.parse(time, "%Y-%m-%d %H:%M:%S", { tz = "+08:00" }), sdStream = sd, hdStream = hd, fhdStream = fhd,
  }
end

local function duplicate_key(vod)
  return ("duplicate/%d/%d"):format(vod.club, vod.id)
end

-- What the catalog said of a record: "new", or something else that was dealt with.
local function settle(run, vod, record, result, old)
  if result == "new" then return end
  if result == "clash" and record.id ~= KNOWN_COLLISION then
    if old.id ~= record.id then
      run:trouble("parse", ("%s%s with the id %s has the number of %s%s with the id %s"):format(SITE, vod.path, record.id, SITE,
        path_of(old.l4cClubId, old.l4cId), old.id))
      return
    end
    if old.startTime ~= record.startTime then
      run:trouble("parse", ("%s%s and %s%s have the id %s and different times, %s and %s"):format(SITE, vod.path, SITE,
        path_of(old.l4cClubId, old.l4cId), record.id, date.iso(record.startTime), date.iso(old.startTime)))
      return
    end
  end
  store.set(duplicate_key(vod), true)
end

-- Fetches, archives, reads and keeps one; false: it could not be had, and the next crawl tries again.
local function take(run, vod, away)
  local found, failure = attempts("video " .. SITE .. vod.path, function(wait)
    local body = get(vod.path, wait, false)
    run:archive(("%d/%d.html"):format(vod.club, vod.id), body.body)
    local record = record_of(vod, body:html())
    local result, old = run:emit("PerfVOD", record)
    return { record = record, result = result, old = old }
  end)
  if found then
    away.failures = 0
    settle(run, vod, found.record, found.result, found.old)
    return true
  end
  local kind = kind_of(failure)
  away.failures = (kind == "unavailable" or kind == "rate_limited") and away.failures + 1 or 0
  if away.failures >= AWAY_AFTER then
    dozo.fail(kind, ("%d videos in a row could not be had, the last was %s%s: %s"):format(away.failures, SITE, vod.path, words_of(failure)))
  end
  run:trouble(kind, ("%s%s: %s"):format(SITE, vod.path, words_of(failure)))
  return kind == "not_found" or kind == "gone" -- again only when a list names it again
end

-- ---- a club

local function by_path(a, b)
  return a.path < b.path
end

-- Those of a page that are neither kept nor known to be duplicates nor were tried before, in the order of their addresses.
local function unknown(run, links, tried)
  local ids, new = {}, {}
  for i, vod in ipairs(links) do ids[i] = vod.id end
  local seen = #ids > 0 and run:seen("PerfVOD", { l4cId = ids }) or {}
  for i, vod in ipairs(links) do
    if not seen[i] and not tried[vod.path] and not store.get(duplicate_key(vod)) then new[#new + 1] = vod end
  end
  table.sort(new, by_path)
  return new
end

local function take_all(run, vods, state)
  for _, vod in ipairs(vods) do state.tried[vod.path] = true end
  dozo.map(vods, function(vod)
    if take(run, vod, state) then
      state.failed[vod.path] = nil
    else
      state.failed[vod.path] = vod
    end
  end, { parallel = WORKERS })
end

-- Any number of them, in steps that each have their budget.
local function take_many(run, vods, state)
  for first = 1, #vods, STEP do
    take_all(run, table.move(vods, first, math.min(first + STEP - 1, #vods), 1, {}), state)
    run:progress(state.pages, 0)
  end
end

local function is_marked(links, mark)
  for _, vod in ipairs(links) do
    if mark[vod.id] then return true end
  end
  return false
end

local function set_of(list)
  local set = {}
  for _, id in ipairs(list or {}) do set[id] = true end
  return set
end

-- Down to the mark, the limit or the end; the links of the first page when nothing is missing above the mark.
local function read_lists(run, club, state, mark)
  local page, total, top, whole = 1, 1, nil, true
  while page <= total and (run.limit_pages == 0 or page <= run.limit_pages) do
    local got, kind, why, links = list_page(club, page)
    if not got then
      run:trouble(kind, why)
      whole = false
      if page == 1 and not links then return nil end
    end
    links = got and got.links or links or {}
    total = got and got.total or total
    top = top or links
    take_all(run, unknown(run, links, state.tried), state)
    state.pages = state.pages + 1
    run:progress(state.pages, run.full and state.pages + total - page or 0)
    if not run.full and is_marked(links, mark) then return whole and top end
    page = page + 1
  end
  return whole and page > total and top or nil
end

local function failed_key(club)
  return ("failed/%d"):format(club)
end

local function keep_failed(club, state)
  local ids = {}
  for _, vod in pairs(state.failed) do
    if #ids < FAILED_MAX then ids[#ids + 1] = { vod.club, vod.id } end
  end
  table.sort(ids, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
  store.set(failed_key(club), #ids > 0 and ids or nil)
end

local function crawl_club(run, club, state)
  local again = {}
  for _, pair in ipairs(store.get(failed_key(club)) or {}) do
    again[#again + 1] = { club = pair[1], id = pair[2], path = path_of(pair[1], pair[2]) }
  end
  state.failed = {}
  for _, vod in ipairs(again) do state.failed[vod.path] = vod end
  local top = read_lists(run, club, state, set_of(store.get(("mark/%d"):format(club))))
  for i = #again, 1, -1 do -- found on a list above, with whatever end
    if state.tried[again[i].path] then table.remove(again, i) end
  end
  local left = unknown(run, again, state.tried)
  for _, vod in ipairs(again) do state.failed[vod.path] = nil end
  take_many(run, left, state)
  -- What failed is remembered before the mark passes over it.
  keep_failed(club, state)
  if top then
    local ids = {}
    for i = 1, math.min(#top, MARKS_MAX) do ids[i] = top[i].id end
    store.set(("mark/%d"):format(club), ids)
  end
end

return dozo.source {
  id = "live.48.cn", name = "48 Group Live", version = "1.0.0", api = 1, langs = { "zh" },
  match = { "live.48.cn/" },
  hosts = { "live.48.cn" },
  limits = { per_host = WORKERS },
  options = {
    base_url = { type = "string", default = SITE, help = "The site." },
    legacy = { type = "boolean", default = false, help = "Clubs 4 and 5 too." },
  },

  collections = {
    PerfVOD = {
      description = "A recorded performance.", key = "id",
      enums = {
        Group = { { "SNH48", 1 }, { "BEJ48", 2 }, { "GNZ48", 3 }, { "SHY48", 4 }, { "CKG48", 5 }, description = "A group, by its club at live.48.cn." },
      },
      fields = {
        { "id", "String!", column = "canon_id", description = "Canonical ID, the same in all services of the group." },
        { "l4cClubId", "Int!", column = "l4c_club_id", description = "Number of the club at live.48.cn." },
        { "l4cId", "Int!", column = "l4c_id", description = "Number of the video at live.48.cn." },
        { "l4cUrl", "String!", template = SITE .. "/Index/invedio/club/{l4cClubId}/id/{l4cId}", description = "Its page at live.48.cn." },
        { "group", "Group!", column = "l4c_club_id", description = "The group that performs." },
        { "title", "String!", column = "title", description = "What was performed." },
        { "subtitle", "String", column = "subtitle", description = "What else is said of it, may be empty." },
        { "startTime", "Int!", column = "start_time", description = "When it began, in seconds since 1970." },
        { "sdStream", "String", column = "sd_stream", description = "Address of the stream in standard definition." },
        { "hdStream", "String", column = "hd_stream", description = "Address of the stream in high definition." },
        { "fhdStream", "String", column = "fhd_stream", description = "Address of the stream in full high definition." },
        { "bestStream", "String!", first_of = { "fhdStream", "hdStream", "sdStream" }, description = "The best of the streams that there are." },
      },
      unique = { { "l4cId" } },
      queries = {
        perfVod = { one = "id", description = "One performance; null when nobody knows its ID." },
        perfVods = {
          many = "ids", range = { field = "startTime", from = "from", to = "to" }, filter = { "group" },
          order = { "startTime", "l4cClubId", "l4cId" }, exclusive = true,
          description = "Performances by their IDs, in that order, with null for unknown ones; or those that began from one time (inclusive) to another (exclusive), of one group or of all.",
        },
      },
    },
  },

  crawl = function(run)
    local state = { tried = {}, failures = 0, pages = 0 }
    for _, club in ipairs(run.options.legacy and LEGACY_CLUBS or CLUBS) do
      state.failures = 0
      local worked, e = pcall(crawl_club, run, club, state)
      if not worked then
        if kind_of(e) == "challenge" then error(e) end
        run:trouble(kind_of(e), words_of(e))
      end
    end
  end,
}
