#!/bin/sh
# Makes the archive fixtures of this folder with zip, 7z and bsdtar; the results are committed. Run in this folder.
# The pictures beside it were made once with ImageMagick, cwebp, img2webp, avifenc and cjxl from a gradient of 16 x 24 pixels.
set -eu
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/pages"
cp page.jpg "$work/pages/01.jpg"
cp page.png "$work/pages/第2頁.png"
printf '<?xml version="1.0"?>\n<ComicInfo><Series>Tools</Series><Number>4</Number></ComicInfo>\n' >"$work/ComicInfo.xml"
cd "$work"
set -- ComicInfo.xml pages
zip -q -X -r "$here/zip.cbz" "$@"
zip -q -X -r -P secret "$here/zip-secret.cbz" "$@"
7z a -bd -tzip -mx=9 "$here/7z-zip.cbz" "$@" >/dev/null
7z a -bd -mx=9 "$here/7z.cb7" "$@" >/dev/null
7z a -bd -mx=9 -psecret "$here/7z-secret.cb7" "$@" >/dev/null
7z a -bd -mx=9 -psecret -mhe=on "$here/7z-locked.cb7" "$@" >/dev/null
bsdtar --format zip -cf "$here/bsdtar.cbz" "$@"
bsdtar --format ustar --no-xattrs -cf - ComicInfo.xml pages/01.jpg | gzip -9n >"$here/tar.gz"
bsdtar --format pax -cf - "$@" | xz --lzma2=dict=64KiB >"$here/tar.xz"
bsdtar --format gnutar -cf - "$@" | zstd -q -1 >"$here/tar.zst"
bsdtar --format pax -cf - "$@" | bzip2 -1 >"$here/tar.bz2"
bsdtar --format ustar -b 1 -cf "$here/tar.cbt" ComicInfo.xml pages/01.jpg
