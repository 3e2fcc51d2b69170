"""imoog_way: the way of imoog, for `make bench` to compare with. It is not imoog, whose service is not here; it is what imoog does to an upload,
step by step, on the very packages that imoog stands on (Starlette, python-multipart, asyncpg, uvicorn; Debian's): the key, the whole form read,
the whole file read, zlib level 6, one INSERT into PostgreSQL, and the file into this worker's memory. A fetch looks into that memory, else it
asks PostgreSQL and unpacks; what came from there is not kept, as there.

Run by bench/uploads.py with uvicorn and three workers, as imoog's README says. BENCH_POSTGRES is the database, BENCH_KEY the key.
"""
import os
import secrets
import string
import zlib

import asyncpg
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ALPHABET = string.ascii_uppercase + string.digits
KEY = os.environ["BENCH_KEY"]
memory = {}
pool = None


async def connect():
    global pool
    pool = await asyncpg.create_pool(os.environ["BENCH_POSTGRES"], min_size=10, max_size=32)
    async with pool.acquire() as c:
        # Workers start at the same time, and two of them cannot make one table.
        async with c.transaction():
            await c.execute("SELECT pg_advisory_xact_lock(1)")
            await c.execute("CREATE TABLE IF NOT EXISTS my_images (name TEXT PRIMARY KEY, image BYTEA, mime TEXT)")


async def upload(request):
    if request.headers.get("Authorization") != KEY:
        return JSONResponse({"message": "Invalid auth."}, status_code=401)
    form = await request.form()
    if "file" not in form:
        return JSONResponse({"message": "No 'file' given."}, status_code=400)
    file = form["file"]
    data = await file.read()
    name = "".join(secrets.choice(ALPHABET) for _ in range(9))
    mime = file.content_type
    async with pool.acquire() as c:
        await c.execute("INSERT INTO my_images (name, image, mime) VALUES ($1, $2, $3)", name, zlib.compress(data, 6), mime)
    memory[name] = data, mime
    return JSONResponse({"status": 200, "file_id": name, "file_ext": mime.split("/")[1] if mime else "png"})


async def deliver(request):
    name = request.path_params["name"].split(".")[0]
    if name in memory:
        data, mime = memory[name]
        return Response(data, media_type=mime)
    async with pool.acquire() as c:
        row = await c.fetchrow("SELECT image, mime FROM my_images WHERE name = $1", name)
    return Response(zlib.decompress(row["image"]), media_type=row["mime"]) if row else Response(status_code=404)


app = Starlette(routes=[Route("/upload", upload, methods=["POST"]), Route("/image/{name}", deliver, methods=["GET"])], on_startup=[connect])
