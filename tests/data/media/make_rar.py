#!/usr/bin/env python3
"""Writes small RAR 4 and RAR 5 files by hand, as no free program can write them.

All entries are stored, not compressed. Run in this folder; the results are committed:
  rar4.cbr rar5.cbr              two pictures, ComicInfo.xml, a folder, a Japanese name
  rar2.cbr                       as RAR before version 3 wrote it, without an end block
  rar4-sum.cbr rar5-sum.cbr      one byte of the first picture is wrong
  rar4-locked.cbr rar5-locked.cbr  headers are marked as encrypted
  rar4-secret.cbr                only the picture is marked as encrypted
"""
import zlib

COMICINFO = b'<?xml version="1.0"?>\n<ComicInfo><Series>Rar</Series><Number>4</Number></ComicInfo>\n'


def le(n, size):
    return n.to_bytes(size, "little")


def vint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


# ---- RAR 4: CRC16 of the header, type, flags, header size, fields ------------------------------

def block4(kind, flags, fields):
    head = bytes([kind]) + le(flags, 2) + le(len(fields) + 7, 2) + fields
    return le(zlib.crc32(head) & 0xFFFF, 2) + head


def file4(name, data, flags=0, folder=False, wrong=False, version=29):
    stored = data
    if wrong:
        stored = data[:-1] + bytes([data[-1] ^ 0xFF])
    fields = le(len(data), 4) + le(len(data), 4) + b"\x03" + le(zlib.crc32(data), 4)
    fields += le(0x5A21_0000, 4) + bytes([version, 0x30]) + le(len(name), 2)
    fields += le(0o040755 if folder else 0o100644, 4) + name
    return block4(0x74, 0x8000 | flags | (0xE0 if folder else 0), fields) + stored


def rar4(entries, main_flags=0):
    out = b"Rar!\x1a\x07\x00" + block4(0x73, main_flags, bytes(6))
    return out + b"".join(entries) + block4(0x7B, 0x4000, b"")


# ---- RAR 5: CRC32, header size, type, flags, fields; numbers have variable length --------------

def block5(kind, flags, fields, data=b""):
    head = vint(kind) + vint(flags) + (vint(len(data)) if flags & 2 else b"") + fields
    head = vint(len(head)) + head
    return le(zlib.crc32(head), 4) + head + data


def file5(name, data, folder=False, wrong=False):
    name = name.encode()
    fields = vint(1 if folder else 4) + vint(len(data)) + vint(0o040755 if folder else 0o100644)
    fields += b"" if folder else le(zlib.crc32(data), 4)
    fields += vint(0) + vint(1) + vint(len(name)) + name
    stored = data
    if wrong:
        stored = data[:-1] + bytes([data[-1] ^ 0xFF])
    return block5(2, 2, fields, stored)


def rar5(entries):
    return b"Rar!\x1a\x07\x01\x00" + block5(1, 0, vint(0)) + b"".join(entries) + block5(5, 0, vint(0))


def main():
    jpg = open("page.jpg", "rb").read()
    png = open("page.png", "rb").read()
    utf8 = 0x200
    files = {
        "rar4.cbr": rar4([
            file4(b"ComicInfo.xml", COMICINFO),
            file4(b"pages", b"", folder=True),
            file4(b"pages\\01.jpg", jpg),
            file4("pages\\第2頁.png".encode(), png, utf8),
        ]),
        "rar4-sum.cbr": rar4([file4(b"01.jpg", jpg, wrong=True), file4(b"02.png", png)]),
        "rar2.cbr": b"Rar!\x1a\x07\x00" + block4(0x73, 0, bytes(6)) + file4(b"01.jpg", jpg, version=20),
        "rar4-locked.cbr": rar4([bytes(8) + file4(b"01.jpg", jpg)], 0x80),
        "rar4-secret.cbr": rar4([file4(b"01.jpg", jpg, 0x04)]),
        "rar5.cbr": rar5([
            file5("ComicInfo.xml", COMICINFO),
            file5("pages", b"", folder=True),
            file5("pages/01.jpg", jpg),
            file5("pages/第2頁.png", png),
        ]),
        "rar5-sum.cbr": rar5([file5("01.jpg", jpg, wrong=True), file5("02.png", png)]),
        "rar5-locked.cbr": b"Rar!\x1a\x07\x01\x00"
        + block5(4, 0, vint(0) + vint(0) + bytes([15]) + bytes(16)) + bytes(64),
    }
    for name, data in files.items():
        with open(name, "wb") as f:
            f.write(data)


main()
