"""Checks the Rust packages against deny.toml: licenses, sources and banned packages. cargo-deny does this too, and also
checks advisories; this script takes a second and needs no extra tools."""

import json
import re
import subprocess
import tomllib


def chain(root, check):
    """Checks that every compiled package has an allowed license and source, and is not banned."""
    rules = tomllib.loads((root / "deny.toml").read_text())
    run = subprocess.run(["cargo", "metadata", "--locked", "--format-version=1", "--filter-platform=x86_64-unknown-linux-gnu"], cwd=root, capture_output=True,
                         text=True, check=False)
    check(run.returncode == 0, f"cargo metadata: {run.stderr.strip()}")
    if run.returncode != 0:
        return "no packages"
    packages = json.loads(run.stdout)["packages"]
    allowed = set(rules["licenses"]["allow"])
    exceptions = {it["crate"]: set(it["allow"]) for it in rules["licenses"].get("exceptions", [])}
    banned = {it["crate"]: it["reason"] for it in rules["bans"]["deny"]}
    registries = {"registry+https://github.com/rust-lang/crates.io-index"}
    for package in packages:
        name, license = package["name"], package["license"] or ""
        mine = package["source"] is None
        check(mine or package["source"] in registries, f"{name} comes from {package['source']}")
        check(name not in banned, f"{name} is banned by deny.toml: {banned.get(name)}")
        terms = allowed | exceptions.get(name, set())
        check(is_allowed(license, terms), f"{name}: the license `{license}` is not allowed by deny.toml")
    return f"{len(packages)} Rust packages"


def is_allowed(expression, terms):
    """Returns whether the allowed licenses satisfy an SPDX expression. Old packages write OR as `/`."""
    words = re.findall(r"\(|\)|[^\s()/]+|/", expression)
    at = 0

    def alternative():
        nonlocal at
        holds = conjunction()
        while at < len(words) and words[at] in ("OR", "/"):
            at += 1
            other = conjunction()
            holds = holds or other
        return holds

    def conjunction():
        nonlocal at
        holds = term()
        while at < len(words) and words[at] == "AND":
            at += 1
            other = term()
            holds = holds and other
        return holds

    def term():
        nonlocal at
        if at >= len(words):
            return False
        word = words[at]
        at += 1
        if word == "(":
            holds = alternative()
            at += 1
            return holds
        if at < len(words) and words[at] == "WITH":
            word = f"{word} WITH {words[at + 1]}"
            at += 2
        return word in terms

    return alternative()
