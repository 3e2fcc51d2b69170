"""A crawler whose data folder has no room left: it says so once in a while, and goes on when there is room again."""
import os
import time

from conftest import until
from nagato_rig import Nagato, dex, pages_of
from test_crash import small_disk


def fill_up(path):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    for size in (1 << 16, 1 << 12):
        try:
            while os.write(fd, bytes(size)):
                pass
        except OSError:
            pass
    os.close(fd)


def test_downloads_outlive_a_full_disk(tmp_path, small_disk, serve, dex):
    (tmp_path / "data").symlink_to(small_disk)
    chapters = ["c1", "c2", "c3"]
    for c in chapters:
        dex.files[c] = {f"{i}-x.png": p for i, p in enumerate(pages_of(c, 20), 1)}
    n = Nagato(tmp_path, serve, dex, crawl="{retries: 3, job_lease: 5s}", downloads="{destination: out, page_delay: 300ms, concurrent: 3}")
    ids = [n.download(c) for c in chapters]
    until(lambda: all(n.state(i)["status"] != "QUEUED" for i in ids), "all three begin")
    began = time.monotonic()
    fill_up(small_disk / "filler")
    # A page that the file system gives back by chance lets one write through.
    until(lambda: n.server.read_log().count("its end was not written down") + sum(n.state(i)["status"] == "COMPLETE" for i in ids) >= 3,
          "three whole chapters, noted or not; readers of the catalog need no room")
    lost = [line for line in n.server.read_log().splitlines() if "lease not renewed" in line]
    assert len(lost) <= 1 + (time.monotonic() - began) // 60 and all("code=full" in line for line in lost), "not twice a second for each job"
    (small_disk / "filler").unlink()
    for i in ids:
        n.wait(i, "COMPLETE")
    assert len(n.files()) == 3
