"""The sites that shipped sources know, simulated with the shapes that they have: a publisher, a wiki, an API for covers and
chapters, a free comic. Pictures lie in pages/."""
import json
import pathlib
import re

from site_http import Answer, Site

PAGES = pathlib.Path(__file__).parent / "pages"


def picture(name):
    return (PAGES / name).read_bytes()


def jpeg(data, **kw):
    return Answer(data, kind="image/jpeg", **kw)


def as_json(value, **kw):
    return Answer(json.dumps(value), kind="application/json", **kw)


class Viz(Site):
    """Listing, readers and page addresses of one series, with chapters that come and go."""

    def __init__(self, slug="komi-cant-communicate"):
        super().__init__()
        self.slug, self.free, self.paid, self.release, self.signed = slug, {}, {}, "7 days", 0
        self.route(rf"/vizmanga/chapters/{slug}", self.listing)
        self.route(rf"/vizmanga/{slug}-chapter-(\d+)/chapter/(\d+)", self.reader)
        self.route(r"/manga/get_manga_url", self.addresses)
        self.route(r"/img/(\d+)/(\d+)", self.image)

    def add(self, number, viz_id, pages, free=True):
        """pages: bytes of each."""
        (self.free if free else self.paid)[str(number)] = (str(viz_id), pages)

    def listing(self, request):
        out = ["<html><body><h1>Chapters</h1>"]
        for number, (viz_id, _) in list(self.free.items()):
            out.append(f'<a class="o_chapter-container" href="/vizmanga/{self.slug}-chapter-{number}/chapter/{viz_id}?action=read">Ch. {number}</a>')
        for number, (viz_id, _) in list(self.paid.items()):
            out.append(f"<a onclick=\"openUrl({{targetUrl:'/vizmanga/{self.slug}-chapter-{number}/chapter/{viz_id}?action=read'}})\">Ch. {number}</a>")
        if self.release:
            out.append(f"<p>New chapter coming in {self.release}!</p>")
        return Answer("\n".join(out) + "</body></html>")

    def pages_of(self, viz_id):
        for known, pages in list(self.free.values()) + list(self.paid.values()):
            if known == viz_id:
                return pages
        return None

    def reader(self, request, in_name, viz_id):
        pages = self.pages_of(viz_id)
        if pages is None or in_name != viz_id or request.query.get("action") != ["read"]:
            return Answer("gone", 404, etag=False)
        return Answer(f"<script>\n var pages        = {len(pages) - 1};\n</script>", etag=False)

    def addresses(self, request):
        viz_id = request.query.get("manga_id", [""])[0]
        pages = self.pages_of(viz_id)
        referer = request.headers.get("Referer", "")
        polite = (request.headers.get("X-Requested-With") == "XMLHttpRequest" and request.headers.get("X-Client-Login") == "false"
                  and f"-chapter-{viz_id}/chapter/{viz_id}" in referer and request.query.get("device_id") == ["3"])
        if pages is None or not polite:
            return as_json({"ok": 0}, status=403, etag=False)
        wanted = request.query["pages"][0].split(",")
        self.signed += 1  # addresses are good for a while and differ each time
        return as_json({"ok": 1, "data": {n: f"{self.url}/img/{viz_id}/{n}?sig={self.signed}" for n in wanted}}, etag=False)

    def image(self, request, viz_id, n):
        pages = self.pages_of(viz_id)
        if pages is None or int(n) >= len(pages):
            return Answer("gone", 404, etag=False)
        return jpeg(pages[int(n)], etag=False)


class Wiki(Site):
    """Titles and volumes: Chapter_N and Volume_N."""

    TITLE = '<h2 class="pi-item pi-header pi-secondary-font pi-item-spacing pi-secondary-background">'

    def __init__(self):
        super().__init__()
        self.titles, self.volumes = {}, {}
        self.route(r"/wiki/Chapter_(.+)", self.chapter)
        self.route(r"/wiki/Volume_(\d+)", self.volume)

    @property
    def base(self):
        return self.url + "/wiki/"

    def chapter(self, request, number):
        if number not in self.titles:
            return Answer("none", 404, etag=False)
        return Answer(f"<html><body><aside>{self.TITLE}{self.titles[number]}</h2><h2>Other</h2></aside></body></html>")

    def volume(self, request, number):
        if number not in self.volumes:
            return Answer("none", 404, etag=False)
        items = "".join(f'<li><a href="/wiki/Chapter_{c}" title="Chapter {c}">Chapter {c}: x</a></li>' for c in self.volumes[number])
        return Answer(f'<html><body><ul><li title="Chapter 999">menu</li></ul><h2><span id="List_of_Chapters">List</span></h2>'
                      f"<p>see</p><ul>{items}</ul><ul><li><a title=\"Chapter 998\">x</a></li></ul></body></html>")


class Covers(Site):
    """The two hosts of the cover API in one: /cover lists, /covers/MANGA/FILE gives."""

    def __init__(self, manga="a96676e5-8ae2-425e-b549-7f15dd34a6d8"):
        super().__init__()
        self.manga, self.items = manga, []  # (volume or None, file name, bytes)
        self.route(r"/cover", self.listing)
        self.route(rf"/covers/{manga}/(.+)", self.image)

    def listing(self, request):
        offset, limit = int(request.query.get("offset", ["0"])[0]), int(request.query.get("limit", ["10"])[0])
        if request.query.get("manga[]") != [self.manga]:
            return as_json({"result": "ok", "data": [], "limit": limit, "offset": offset, "total": 0})
        data = [{"id": f"c{i}", "type": "cover_art", "attributes": {"volume": v, "fileName": name, "description": ""}}
                for i, (v, name, _) in enumerate(self.items)]
        return as_json({"result": "ok", "response": "collection", "data": data[offset:offset + limit], "limit": limit, "offset": offset,
                        "total": len(data)})

    def image(self, request, name):
        for _, known, data in self.items:
            if known == name:
                return jpeg(data)
        return Answer("none", 404, etag=False)


class PepperCarrot(Site):
    """One free comic: the list of episodes and their files."""

    def __init__(self):
        super().__init__()
        self.episodes = []  # dicts as in episodes-v1.json
        self.titles = {}    # name -> {lang: title}
        self.route(r"/0_sources/episodes-v1\.json", lambda request: as_json(self.episodes))
        self.route(r"/0_sources/(ep[^/]+)/info\.json", self.info)
        self.route(r"/0_sources/(ep[^/]+)/hi-res/titles\.json", self.title)
        self.route(r"/0_sources/langs\.json", lambda request: as_json({"en": {"name": "English", "translators": ["A. Body"]}}))
        self.route(r"/0_sources/(ep[^/]+)/(low-res|hi-res)/([a-z]{2})_(.+\.(?:jpg|gif))", self.image)
        self.picture = picture("plain.jpg")

    def add(self, number, name, pages=3, langs=("en", "fr"), title=None):
        folder = f"ep{number:02d}_{name}"
        stem = f"Pepper-and-Carrot_by-David-Revoy_E{number:02d}"
        files = {"cover": f"{stem}.jpg", "title": f"{stem}P00.jpg"}
        files.update({str(i): f"{stem}P{i:02d}.jpg" for i in range(1, pages + 1)})
        files["credits"] = f"{stem}P{pages + 1:02d}.jpg"
        self.titles[folder] = {lang: f"Episode {number}: {title or name.replace('-', ' ')}" for lang in langs}
        self.episodes.append({"name": folder, "total_pages": pages, "translated_languages": list(langs), "pages": files})
        return folder

    def known(self, folder):
        return next((e for e in self.episodes if e["name"] == folder), None)

    def info(self, request, folder):
        if not self.known(folder):
            return Answer("none", 404, etag=False)
        return as_json({"id": int(folder[2:4]), "original-language": "fr", "published": "2014-05-10", "related-urls": [], "credits": {}})

    def title(self, request, folder):
        return as_json(self.titles[folder]) if folder in self.titles else Answer("none", 404, etag=False)

    def image(self, request, folder, size, lang, name):
        e = self.known(folder)
        if not e or name not in e["pages"].values() or lang not in e["translated_languages"]:
            return Answer("none", 404, etag=False)
        return jpeg(self.picture)


class MangaDex(Site):
    """The public API and the image host that it names, in one."""

    def __init__(self):
        super().__init__()
        self.manga, self.chapters, self.files, self.cover_files = {}, {}, {}, {}
        self.feed_limit = 500  # no answer has more chapters, whatever was asked for
        self.route(r"/manga/([0-9a-z-]+)", self.one_manga)
        self.route(r"/manga/([0-9a-z-]+)/feed", self.feed)
        self.route(r"/chapter/([0-9a-z-]+)", self.one_chapter)
        self.route(r"/at-home/server/([0-9a-z-]+)", self.at_home)
        self.route(r"/data/([0-9a-z]+)/(.+)", self.image)
        self.route(r"/covers/([0-9a-z-]+)/(.+)", self.cover_file)
        self.route(r"/cover", lambda request: as_json({"result": "ok", "data": [], "limit": 100, "offset": 0, "total": 0}))

    def missing(self):
        return as_json({"result": "error", "errors": [{"id": "x", "status": 404, "title": "not_found_http_exception", "detail": "not here"}]},
                       status=404, etag=False)

    def add_manga(self, manga_id, title, cover=None, **attributes):
        self.manga[manga_id] = {
            "id": manga_id, "type": "manga",
            "attributes": {"title": {"en": title}, "altTitles": [{"ja": "題"}], "description": {"en": "About it."}, "status": "ongoing",
                           "contentRating": "safe", "year": 2016, "originalLanguage": "ja",
                           "tags": [{"attributes": {"name": {"en": "Comedy"}, "group": "genre"}},
                                    {"attributes": {"name": {"en": "School Life"}, "group": "theme"}}], **attributes},
            "relationships": [{"id": "a1", "type": "author", "attributes": {"name": "Oda Tomohito"}},
                              {"id": "a1", "type": "artist", "attributes": {"name": "Oda Tomohito"}}]}
        if cover:
            self.manga[manga_id]["relationships"].append({"id": "v1", "type": "cover_art", "attributes": {"fileName": "first.png"}})
            self.cover_files[manga_id, "first.png"] = cover

    def add_chapter(self, chapter_id, manga_id, number, pages, volume=None, title=None, external=None, team="Some Group"):
        self.files[chapter_id] = {f"{i}-{i:032x}.jpg": data for i, data in enumerate(pages, 1)}
        self.chapters[chapter_id] = {
            "id": chapter_id, "type": "chapter",
            "attributes": {"volume": volume, "chapter": number, "title": title, "translatedLanguage": "en", "externalUrl": external,
                           "publishAt": "2021-05-09T10:00:00+00:00", "pages": len(pages)},
            "relationships": [{"id": "g1", "type": "scanlation_group", "attributes": {"name": team, "website": "https://group.example"}},
                              {"id": manga_id, "type": "manga"}][0 if team else 1:]}

    def one_manga(self, request, manga_id):
        return as_json({"result": "ok", "response": "entity", "data": self.manga[manga_id]}) if manga_id in self.manga else self.missing()

    @staticmethod
    def number(text):
        try:
            return float(text)
        except (TypeError, ValueError):
            return 0.0

    def feed(self, request, manga_id):
        if manga_id not in self.manga:
            return self.missing()
        offset, limit = int(request.query.get("offset", ["0"])[0]), int(request.query.get("limit", ["100"])[0])
        limit = min(limit, self.feed_limit)
        mine = [c for c in list(self.chapters.values()) if c["relationships"][-1]["id"] == manga_id]
        mine.sort(key=lambda c: self.number(c["attributes"]["chapter"]))
        return as_json({"result": "ok", "response": "collection", "data": mine[offset:offset + limit], "limit": limit, "offset": offset,
                        "total": len(mine)})

    def one_chapter(self, request, chapter_id):
        c = self.chapters.get(chapter_id)
        return as_json({"result": "ok", "response": "entity", "data": c}) if c else self.missing()

    def at_home(self, request, chapter_id):
        if chapter_id not in self.files:
            return self.missing()
        return as_json({"result": "ok", "baseUrl": self.url, "chapter": {"hash": chapter_id.replace("-", ""), "data": list(self.files[chapter_id]),
                                                                         "dataSaver": []}}, etag=False)

    def image(self, request, digest, name):
        for chapter_id, files in list(self.files.items()):
            if chapter_id.replace("-", "") == digest and name in files:
                return jpeg(files[name], etag=False)
        return Answer("none", 404, etag=False)

    def cover_file(self, request, manga_id, name):
        data = self.cover_files.get((manga_id, name))
        return Answer(data, kind="application/octet-stream", etag=False) if data else Answer("none", 404, etag=False)


class Live48(Site):
    """Lists of videos of some clubs, from new to old, and a page for each video."""

    def __init__(self, per_page=2):
        super().__init__()
        self.per_page, self.clubs, self.vods, self.totals = per_page, {c: [] for c in range(1, 6)}, {}, {}
        self.route(r"/Index/main/club/(\d+)/p/(\d+)\.html", self.listing)
        self.route(r"/Index/invedio/club/(\d+)/id/(\d+)", self.video)

    @staticmethod
    def path(club, number):
        return f"/Index/invedio/club/{club}/id/{number}"

    @staticmethod
    def page(club, number):
        return f"/Index/main/club/{club}/p/{number}.html"

    def add(self, club, number, canon=None, when="2019-04-21 18:45:00", title=None, subtitle="Team HII", listed=True, **streams):
        """The newest of its club. Streams by the ids of their elements; nothing said: one of each."""
        streams = streams or {k: f"http://vod.example/{number}-{k}.m3u8" for k in ("liuchang_url", "gao_url", "chao_url")}
        self.vods[club, number] = (canon or f"canon{number}", title or f"《公演 {number}》", f"{subtitle} {when}", streams)
        if listed:
            self.clubs[club].insert(0, number)

    def fill(self, club, count, first=1):
        for number in range(first, first + count):
            self.add(club, number, when=f"2018-01-{number % 28 + 1:02d} 12:00:00")

    def href(self, club, number):
        return self.path(club, number)

    def listing(self, request, club, page):
        club, page = int(club), int(page)
        numbers = self.clubs.get(club, [])
        shown = numbers[(page - 1) * self.per_page:page * self.per_page]
        total = self.totals.get(club, max(1, -(-len(numbers) // self.per_page)))
        items = "".join(f'<li class="videos"><a href="{self.href(club, n)}"><img></a><p><a href="{self.href(club, n)}">公演 {n}</a></p></li>' for n in shown)
        return Answer(f'<html><body><a href="/Index/invedio/club/1/id/9">menu</a><ul class="videolist">{items}</ul>'
                      f'<div class="p-skip">共{total}页，到第<input>页</div></body></html>')

    def video(self, request, club, number):
        if (int(club), int(number)) not in self.vods:
            return Answer("none", 404, etag=False)
        canon, title, line, streams = self.vods[int(club), int(number)]
        inputs = "".join(f'<input type="hidden" id="{k}" value="{v}">' for k, v in streams.items())
        return Answer(f'<html><body><input id="vedio_id" value="{canon}">{inputs}<div class="title1">\n {title}\n</div>'
                      f'<div class="title2">\n {line}\n</div></body></html>')

    def asked_of(self, club, number):
        """When a video's page was asked for."""
        with self.lock:
            return [at for at, r in self.requests if r.path == self.path(club, number)]

    def listed(self):
        """Pages of lists in the order in which they were asked for: [(club, page)]."""
        got = [re.fullmatch(r"/Index/main/club/(\d+)/p/(\d+)\.html", r.path) for r in self.asked()]
        return [(int(m[1]), int(m[2])) for m in got if m]
