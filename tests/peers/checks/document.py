"""What the checks share: the bridge's documents, and the catalogue of tests/peers."""

import json
import pathlib
import sys
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
URL = sys.argv[1]


def get(path):
    """A JSON document of the bridge."""
    # No proxy: it is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(URL + path, timeout=60) as answer:
        return json.load(answer)


def ready():
    """The names of the bridges that are up."""
    return [entry["id"] for entry in get("/servers")["servers"] if entry["status"] == "ready"]


def own_tools():
    """What each server says of its tools, recorded: {bridge: {tool: inputSchema}}."""
    peers = json.loads((ROOT / "tests/peers/peers.json").read_text())["peers"]
    found = {}
    for peer in peers:
        if "corpus" not in peer:
            continue
        tools = json.loads((ROOT / f"tests/corpus/tools/{peer['corpus']}.json").read_text())["tools"]
        for kind in peer["transports"]:
            alone = len(peer["transports"]) == 1 or kind == "stdio"
            name = peer["name"] if alone else f"{peer['name']}-{kind}"
            found[name] = {tool["name"]: tool["inputSchema"] for tool in tools}
    return found


def end(faults, summary):
    """Prints, and exits with 1 if there are faults."""
    for fault in faults[:40]:
        print("fault:", fault)
    if len(faults) > 40:
        print(f"… and {len(faults) - 40} more")
    print(summary)
    sys.exit(1 if faults else 0)
