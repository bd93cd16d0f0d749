"""Installs the programs that bridges.toml starts through npx and uvx into the image, at locked versions.

    install.py BRIDGES_TOML

The lock files are in `npm/` and `python/` in this folder. It is an error if a bridge needs a package that is not locked, so
change both together. `start`, which replaces npx and uvx in the image, finds the programs in /opt/servers.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
SERVERS = Path("/opt/servers")
PYTHON = "/usr/bin/python3"


def run(*command):
    subprocess.run(command, check=True)


def asked(words):
    """Returns the key that `start` looks up (the options and the first other word), the package, its version, and the program.

    With `--from=PACKAGE@VERSION` that word is a program of the package. Otherwise it is the package."""
    key = []
    package = None
    for word in words:
        if word in ("-y", "--yes"):
            continue
        key.append(word)
        if word.startswith("--from="):
            package = word.removeprefix("--from=")
        elif not word.startswith("-"):
            name, version = (package or word).rsplit("@", 1)
            return " ".join(key), name, version, word if package else name
    sys.exit(f"error: the arguments {words} name no package")


def link(command, key, program):
    place = SERVERS / command / key
    place.parent.mkdir(parents=True, exist_ok=True)
    if command == "uvx" and program.is_symlink():
        # The Python interpreter of an environment. It finds its packages through the path with which it is started.
        place.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        place.chmod(0o755)
    else:
        program = program.resolve(strict=True)
        program.chmod(0o755)
        place.symlink_to(program)
    print(f"{command} {key}: {program}")


def install_node():
    """Installs all npm packages without running their scripts."""
    folder = SERVERS / "node"
    shutil.copytree(HERE / "npm", folder)
    run("npm", "ci", f"--prefix={folder}", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier",
        "--loglevel=error")
    for pattern in ("*.map", "*.d.ts", "*.d.mts", "*.d.cts"):
        for file in folder.rglob(pattern):
            file.unlink()
    return folder / "node_modules"


def node_program(modules, name, version):
    about = json.loads((modules / name / "package.json").read_text())
    if about["version"] != version:
        sys.exit(f"error: bridges.toml needs {name}@{version}, but deploy/image/npm has {about['version']}")
    programs = about["bin"]
    program = programs if isinstance(programs, str) else next(iter(programs.values()))
    return modules / name / program


def install_python(folder, lock):
    """Creates one environment. It compiles the bytecode, because the files are read-only later."""
    run("uv", "venv", "--quiet", f"--python={PYTHON}", str(folder))
    run("uv", "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--link-mode=hardlink",
        f"--python={folder}/bin/python3", str(lock))


def python_program(name, version, program):
    lock = HERE / "python" / f"{name}.txt"
    if not lock.exists() or f"{name}=={version} \\" not in lock.read_text().splitlines():
        sys.exit(f"error: bridges.toml needs {name}@{version}, but {lock} does not have it")
    folder = SERVERS / "python" / name
    install_python(folder, lock)
    found = folder / "bin" / program
    if not os.access(found, os.X_OK):
        sys.exit(f"error: {name}@{version} has no program {program}")
    return found


def main():
    os.environ["UV_CACHE_DIR"] = str(SERVERS / "cache")
    bridges = tomllib.loads(Path(sys.argv[1]).read_text())["bridges"]
    # The MCP SDK, which the image of mcpo also has, so that `python3 server.py` finds it.
    install_python(Path("/app/.venv"), HERE / "python" / "mcp.txt")
    modules = install_node()
    for bridge in bridges.values():
        command = bridge.get("command")
        if command not in ("npx", "uvx"):
            continue
        key, name, version, program = asked(bridge["args"])
        found = node_program(modules, name, version) if command == "npx" else python_program(name, version, program)
        link(command, key, found)
    for leftover in (SERVERS / "cache", Path.home() / ".npm", Path.home() / ".cache"):
        shutil.rmtree(leftover, ignore_errors=True)


main()
