#!/usr/bin/env python3
"""Draws the demo comic again: demo/art → demo/kura.

Needs Chromium, Pillow and 7z. Users of dozo need none of this: the results are in the repository.

    python3 demo/make.py                  all chapters, into demo/kura
    python3 demo/make.py --proof FOLDER   only PNG proofs, e.g. to look at while drawing
    python3 demo/make.py --proof FOLDER cover knot

Pages are drawn twice as large by Chromium and made smaller by Pillow, which keeps the ink lines
smooth. Archives get fixed times and sorted names, so that the same pictures give the same bytes.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from PIL import Image  # noqa: E402

from art import pages, pen  # noqa: E402

HERE = Path(__file__).resolve().parent
OUT = HERE / "kura"
PAGE_BYTES_MAX = 106 * 1024
FOLDER_BYTES_MAX = 1536 * 1024
STRIP_SLICES = 4
STRIP_WIDTH = 720
TIME = (2024, 11, 3, 0, 0, 0)  # of everything inside the archives
CHROMIUM = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=2",
]

SUMMARY = {
    1: "Pon carries a hundred loose pages through the wind. The knot has other plans.",
    2: "In the storehouse every page is dried, counted, sewn and shelved. One is missing.",
    3: "Morning. The doors are open and the readers come.",
}
TITLES = {1: "The Loose Pages", 2: "The White Walls", 3: "Here You Are"}


def draw(page, work):
    """One page as a Pillow image at its final size."""
    pen.restart_ids()
    width, height = (pages.SW, pages.SH) if page is pages.strip else (pages.W, pages.H)
    svg, png = work / f"{page.__name__}.svg", work / f"{page.__name__}.png"
    svg.write_text(page(), encoding="utf-8")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *CHROMIUM,
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                f"--screenshot={png}",
                svg.as_uri(),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    with Image.open(png) as image:
        return image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def packed(image, kind):
    """The picture as bytes: the best quality that stays below PAGE_BYTES_MAX."""
    for quality in range(74, 54, -2):
        out = io.BytesIO()
        if kind == "webp":
            image.save(out, "WEBP", quality=quality, method=6, use_sharp_yuv=True)
        else:
            image.save(out, "JPEG", quality=quality, optimize=True, progressive=True)
        if out.tell() <= PAGE_BYTES_MAX:
            return out.getvalue()
    sys.exit(f"a {kind} page does not fit in {PAGE_BYTES_MAX} bytes")


def comicinfo(number, page_count):
    fields = (
        ("Title", TITLES[number]),
        ("Series", "Kura"),
        ("Number", number),
        ("Count", 3),
        ("Volume", 1),
        ("Summary", SUMMARY[number]),
        ("Year", TIME[0]),
        ("Month", TIME[1]),
        ("Day", TIME[2]),
        ("Writer", "dozo contributors"),
        ("Penciller", "dozo contributors"),
        ("Genre", "Slice of Life"),
        ("PageCount", page_count),
        ("LanguageISO", "en"),
        ("Manga", "No"),
    )
    rows = "".join(f"  <{k}>{escape(str(v))}</{k}>\n" for k, v in fields)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<ComicInfo xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"\n'
        '           xmlns:xsd="http://www.w3.org/2001/XMLSchema">\n' + rows + "</ComicInfo>\n"
    ).encode()


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in sorted(files.items()):
            info = zipfile.ZipInfo(name, TIME)
            info.external_attr = 0o644 << 16
            kind = zipfile.ZIP_DEFLATED if name.endswith(".xml") else zipfile.ZIP_STORED
            z.writestr(info, data, kind)


def write_7z(path, files):
    path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
            os.chmod(Path(folder) / name, 0o644)
        subprocess.run(
            [
                "7z",
                "a",
                "-t7z",
                "-mtm=off",
                "-mtc=off",
                "-mta=off",
                "-mx=5",
                "-mmt=off",
                str(path),
                *sorted(files),
            ],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def make_all(work):
    one, two, three = pages.CHAPTERS
    folder = OUT / f"Chapter 1 - {TITLES[1]}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for i, page in enumerate(one, 1):
        (folder / f"{i:02}.webp").write_bytes(packed(draw(page, work), "webp"))
    (folder / "ComicInfo.xml").write_bytes(comicinfo(1, len(one)))

    files = {f"{i:02}.webp": packed(draw(p, work), "webp") for i, p in enumerate(two, 1)}
    files["ComicInfo.xml"] = comicinfo(2, len(two))
    write_zip(OUT / f"Chapter 2 - {TITLES[2]}.cbz", files)

    tall = draw(three[0], work)
    tall = tall.resize(
        (STRIP_WIDTH, tall.height * STRIP_WIDTH // tall.width), Image.Resampling.LANCZOS
    )
    step = tall.height // STRIP_SLICES
    files = {
        f"{i + 1:02}.jpg": packed(tall.crop((0, i * step, tall.width, (i + 1) * step)), "jpeg")
        for i in range(STRIP_SLICES)
    }
    files["ComicInfo.xml"] = comicinfo(3, STRIP_SLICES)
    write_7z(OUT / f"Chapter 3 - {TITLES[3]}.cb7", files)

    total = sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file())
    print(f"{OUT}: {total} bytes")
    if total > FOLDER_BYTES_MAX:
        sys.exit(f"more than {FOLDER_BYTES_MAX} bytes")


def main():
    args = argparse.ArgumentParser(description="Draw the demo comic again.")
    args.add_argument(
        "--proof", type=Path, metavar="FOLDER", help="write PNG proofs there, nothing else"
    )
    args.add_argument("page", nargs="*", help="names of pages to prove; all when none is given")
    args = args.parse_args()
    with tempfile.TemporaryDirectory() as work:
        if not args.proof:
            make_all(Path(work))
            return
        args.proof.mkdir(parents=True, exist_ok=True)
        for page in (p for chapter in pages.CHAPTERS for p in chapter):
            if not args.page or page.__name__ in args.page:
                draw(page, Path(work)).save(args.proof / f"{page.__name__}.png")


if __name__ == "__main__":
    main()
