"""Programs of npm that tests run: installed from their lock file, once a build folder."""
import pathlib
import shutil
import subprocess

from conftest import DOZO

BUILD = pathlib.Path(DOZO).resolve().parent


def modules_of(here):
    """The node_modules folder of what the package.json in `here` names."""
    folder = BUILD / f"npm-{here.name}"
    lock = here / "package-lock.json"
    done = folder / "installed.json"
    if not done.exists() or done.read_bytes() != lock.read_bytes():
        folder.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(here / name, folder / name)
        r = subprocess.run(["npm", "ci", "--prefer-offline", "--fetch-retries=5", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, capture_output=True, text=True)
        assert r.returncode == 0, r.stdout + r.stderr
        shutil.copy(lock, done)
    return folder / "node_modules"
