"""The rows of the original's own test suite (contracts/kvm48.md section 5), and a server that has them."""
import json
import sqlite3
import urllib.parse

from conftest import Server, dozo

STREAM = "http://cychengyuan-vod.48.cn/{}/{}.m3u8"
# As the server itself makes them.
TABLES = (
    'CREATE TABLE "migratehistory" ("id" INTEGER NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL, "migrated_at" DATETIME NOT NULL)',
    'CREATE TABLE "perfvod" ("canon_id" TEXT NOT NULL PRIMARY KEY, "l4c_club_id" INTEGER NOT NULL, "l4c_id" INTEGER NOT NULL, '
    '"title" TEXT NOT NULL, "subtitle" TEXT, "start_time" INTEGER NOT NULL, "sd_stream" TEXT, "hd_stream" TEXT, "fhd_stream" TEXT)',
    'CREATE UNIQUE INDEX "perfvod_l4c_id" ON "perfvod" ("l4c_id")',
)
MIGRATED = "INSERT INTO migratehistory VALUES (1, '001_initial', '2019-04-29 01:02:03.456789')"


def vod(key, club, number, start, sd="sd", hd="hd", fhd="hd"):
    urls = [s and STREAM.format(s, key) for s in (sd, hd, fhd)]
    return key, club, number, f"剧场公演 {number}", f"第{number}场\t\"千秋乐\"", start, *urls


VODS = [
    vod("324479006241787906", 1, 2777, 1555843500), vod("326091353251188736", 1, 2774, 1555836300),
    vod("324479006245982208", 1, 2772, 1555825500), vod("324918581187645440", 2, 2775, 1555845900),
    vod("324479006241787904", 3, 2773, 1555826400),
]
FIELDS = "id l4cClubId l4cId l4cUrl group title subtitle startTime sdStream hdStream fhdStream bestStream"
GROUPS = ["", "SNH48", "BEJ48", "GNZ48", "SHY48", "CKG48"]


def as_answered(row):
    key, club, number, title, subtitle, start, sd, hd, fhd = row
    return dict(zip(FIELDS.split(), (key, club, number, f"https://live.48.cn/Index/invedio/club/{club}/id/{number}", GROUPS[club], title, subtitle,
                                     start, sd, hd, fhd, fhd or hd or sd)))


def store(folder, rows, *more):
    """The rows come as the original keeps them."""
    path = folder / "theirs.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as db:
        for sql in (*TABLES, MIGRATED):
            db.execute(sql)
        db.executemany("INSERT INTO perfvod VALUES (?,?,?,?,?,?,?,?,?)", rows)
    dozo("import", "kvm48", path, *more, cwd=folder, check=0, env={"DOZO_DATA_DIR": str(folder / "data")})


class Kvm48(Server):
    """Nothing crawls here."""

    def __init__(self, folder, rows=VODS, config="", **kw):
        if rows is not None:
            store(folder, rows)
        super().__init__(folder, config + f"data_dir: {folder}/data\nsources: {{ live.48.cn: {{ enabled: false }} }}\n", **kw)

    def post(self, body, kind="application/json", query="", **headers):
        body = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self.request("POST", "/api/graphql" + query, headers={"Content-Type": kind, **headers},
                            body=body if isinstance(body, bytes) else body.encode())

    def ask(self, query, variables=None, status=200, **more):
        r = self.post({"query": query, "variables": variables, **more})
        assert r.status == status, r.text
        return json.loads(r.text)

    def fetch(self, accept=None, **params):
        """A GET."""
        headers = {"Accept": accept} if accept else {}
        query = "?" + urllib.parse.urlencode(params) if params else ""
        return self.get("/api/graphql" + query, headers=headers)
