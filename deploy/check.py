"""Checks the deployment files against their schemas and against each other.

    check.py [MCP_BRIDGE]    with the program, the configuration of the pods is checked by it too, and that it prints
                             every series that alerts, dashboard and docs name

Needs kubernetes-validate and promql-parser (tests/peers/py/deploy.txt); `kubectl`, where it is there, builds the manifests
a second time, and `promtool` (in Debian's package prometheus) checks the rules and has them fire.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import kubernetes_validate
import series
import supply
import variables
import yaml

ROOT = Path(__file__).resolve().parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
MONITORING = ROOT / "deploy" / "monitoring"
VERSION = "1.37"
# The Prometheus job name of the bridge, in rules and on the dashboard.
JOB = "mcp-bridge"
# Kinds of an operator, which the schemas of Kubernetes do not contain.
FOREIGN = {"PrometheusRule", "ServiceMonitor"}

broken = []


def check(holds, message):
    if not holds:
        broken.append(message)


def read(path):
    return (ROOT / path).read_text()


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def manifests():
    """Checks the manifests that kustomization.yaml names against the schemas of Kubernetes."""
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    files = [KUBERNETES / name for name in kustomization["resources"]]
    monitoring = yaml.safe_load((KUBERNETES / "monitoring" / "kustomization.yaml").read_text())
    files += [KUBERNETES / "secret.example.yaml"]
    files += [KUBERNETES / "monitoring" / name for name in monitoring["resources"]]
    found = []
    for file in files:
        for document in documents(file):
            found.append(document)
            if document["kind"] not in FOREIGN:
                validate(file.name, document)
    listed = {file.name for file in files} | {"kustomization.yaml"}
    for file in KUBERNETES.glob("*.yaml"):
        check(file.name in listed, f"{file.name} is not in kustomization.yaml")
    for generator in kustomization["configMapGenerator"]:
        for name in generator["files"]:
            check((KUBERNETES / name).exists(), f"kustomization.yaml: there is no {name}")
        found.append({"kind": "ConfigMap", "metadata": {"name": generator["name"]}})
    return found


def validate(name, document):
    try:
        kubernetes_validate.validate(document, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        broken.append(f"{name}: {document['kind']}: {'.'.join(map(str, error.path))}: {error.message}")


def references(found):
    """Checks the references between manifests."""
    by = {(document["kind"], document["metadata"]["name"]): document for document in found}
    deployment = by["Deployment", "mcp-bridge"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}

    def selects(selector, who):
        check(selector.items() <= labels, f"{who} selects other pods")

    selects(deployment["spec"]["selector"]["matchLabels"], "the deployment")
    selects(by["PodDisruptionBudget", "mcp-bridge"]["spec"]["selector"]["matchLabels"], "the budget")
    selects(by["NetworkPolicy", "mcp-bridge"]["spec"]["podSelector"]["matchLabels"], "the network policy")
    for (kind, name), document in by.items():
        if kind == "Service":
            selects(document["spec"]["selector"], f"service {name}")
            for port in document["spec"]["ports"]:
                check(port["targetPort"] in ports, f"service {name}: no port {port['targetPort']}")
    for rule in by["NetworkPolicy", "mcp-bridge"]["spec"]["ingress"]:
        for port in rule["ports"]:
            check(port["port"] in ports, f"network policy: no port {port['port']}")
    listen = tomllib.loads((KUBERNETES / "bridges.toml").read_text())["telemetry"]["metrics_listen"]
    check(listen == f"0.0.0.0:{ports['metrics']}", "the pods show metrics elsewhere than at their port")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        check(container[probe]["httpGet"]["port"] in ports, f"{probe}: no such port")
    target = by["HorizontalPodAutoscaler", "mcp-bridge"]["spec"]["scaleTargetRef"]
    check((target["kind"], target["name"]) in by, "the autoscaler scales nothing")
    for rule in by["Ingress", "mcp-bridge"]["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            check(("Service", path["backend"]["service"]["name"]) in by, "the ingress leads nowhere")
        published(rule["http"]["paths"])
    for rule in by["NetworkPolicy", "mcp-bridge"]["spec"]["ingress"] + by["NetworkPolicy", "mcp-bridge"]["spec"]["egress"]:
        for peer in rule.get("from", []) + rule.get("to", []):
            check(all(peer.values()), "network policy: an empty selector is every pod")
    monitor = by["ServiceMonitor", "mcp-bridge"]["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    selected = [it for it in found if it["kind"] == "Service" and wanted <= it["metadata"].get("labels", {}).items()]
    check(len(selected) == 1, f"ServiceMonitor: {len(selected)} services")
    for service in selected:
        names = {port["name"] for port in service["spec"]["ports"]}
        check(monitor["endpoints"][0]["port"] in names, "ServiceMonitor: port")
        check(service["metadata"]["labels"].get(monitor["jobLabel"]) == JOB, "ServiceMonitor: the job has another name")
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    for mount in container["volumeMounts"]:
        check(mount["name"] in volumes, f"volume {mount['name']} is not there")
    check(("ConfigMap", volumes["config"]["configMap"]["name"]) in by, "there is no such ConfigMap")
    for source in container["envFrom"]:
        check(("Secret", source["secretRef"]["name"]) in by, f"no example of the secret {source['secretRef']['name']}")
    # Shutdown: preStop and the drain timeout must fit into the grace period of the pod.
    drain = int(tomllib.loads((KUBERNETES / "bridges.toml").read_text())["server"]["drain_timeout"].rstrip("s"))
    stop = container["lifecycle"]["preStop"]["sleep"]["seconds"] + drain + 5
    check(stop <= pod["spec"]["terminationGracePeriodSeconds"], "stopping takes longer than the grace period")


def published(paths):
    """Checks that the Ingress publishes only calls and logins. nginx ignores the case of such paths."""
    patterns = [re.compile(path["path"], re.IGNORECASE) for path in paths]
    bridges = tomllib.loads((KUBERNETES / "bridges.toml").read_text())["bridges"]
    wanted = [f"/{name}/some_tool" for name in bridges] + ["/oauth/connect", "/oauth/callback"]
    unwanted = ["/", "/metrics", "/admin", "/admin/api/me", "/docs", "/docs/assets/swagger-ui.css", "/redoc", "/refresh",
                "/servers", "/openapi.json", "/health", "/ready"]
    for name in bridges:
        unwanted += [f"/{name}", f"/{name}/docs", f"/{name}/docs/", f"/{name}/openapi.json", f"/{name}/openapi.json/"]
    for path in wanted:
        check(any(pattern.match(path) for pattern in patterns), f"ingress.yaml does not publish {path}")
    for path in unwanted:
        check(not any(pattern.match(path) for pattern in patterns), f"ingress.yaml publishes {path}")


def edge():
    """Checks that Traefik publishes logins, files of links, and the administration only if it is turned on."""
    text = read("deploy/edge/routes.yml")
    rule = re.search(r"rule: '(.*mcp-bridge.*)'", text).group(1)
    condition = re.compile(r"{{ if eq \(env \"EDGE_PUBLISH_ADMIN\"\) \"true\" }}(.*?){{ end }}")
    always = re.findall(r"PathPrefix\(`([^`]*)`\)", condition.sub("", rule))
    chosen = re.findall(r"PathPrefix\(`([^`]*)`\)", condition.search(rule).group(1))
    check(always == ["/mcp-bridge/oauth"], f"routes.yml publishes {', '.join(always)}")
    patterns = re.findall(r"PathRegexp\(`([^`]*)`\)", rule)
    check(len(patterns) == 1, f"routes.yml publishes {', '.join(patterns)}")
    for path, is_file in [("/mcp-bridge/files/" + "a" * 43, True), ("/mcp-bridge/files/tool", False),
                          ("/mcp-bridge/files/" + "a" * 43 + "/x", False), ("/mcp-bridge/servers", False)]:
        found = any(re.search(pattern, path) for pattern in patterns)
        check(found == is_file, f"routes.yml {'publishes' if found else 'does not publish'} {path}")
    check(chosen == ["/mcp-bridge/admin"], f"routes.yml publishes {', '.join(chosen)} where administration is chosen")


def kustomize():
    """The same through the real thing."""
    if not shutil.which("kubectl"):
        return "no kubectl here"
    run = subprocess.run(["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, text=True, check=False)
    check(run.returncode == 0, f"kubectl kustomize: {run.stderr.strip()}")
    built = list(yaml.safe_load_all(run.stdout))
    for document in built:
        validate("kubectl kustomize", document)
        check(document["metadata"].get("namespace") == "open-webui", f"{document['kind']} is in another namespace")
    return f"{len(built)} objects by kubectl kustomize"


def compose():
    """Checks that every variable of the compose file has a default or a message, and is explained."""
    text = read("compose.hetzner.yml")
    stack = yaml.safe_load(text)
    explained = read("docs/hetzner.md")
    code, _passed = variables.split_compose(text)
    for name, kind in re.findall(r"\$\{([A-Z_]+)(:[-?])?", code):
        check(kind, f"compose.hetzner.yml: {name} has neither a default nor a message")
        check(re.search(rf"`{name}[`=]", explained), f"docs/hetzner.md does not explain {name}")
    named = set(stack["volumes"])
    for name, service in stack["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            check(source in named or source.startswith("./"), f"{name}: volume {source} is not declared")
            if source.startswith("./"):
                check((ROOT / source).exists(), f"{name}: there is no {source}")
        check("logging" in service and "restart" in service, f"{name}: no log rotation or restart")
    for name in ("bridge", "open-webui", "postgres", "redis"):
        service = stack["services"][name]
        for key in ("healthcheck", "mem_limit", "cpus", "pids_limit"):
            check(key in service, f"{name}: no {key}")
    confined(stack)
    return f"{len(stack['services'])} services"


# Services with a writable root file system: Open WebUI writes to its program folder; Ollama is not checked.
WRITABLE = {"open-webui", "ollama"}
# Variables that the bridge reads without a reference in bridges.toml, and that the compose file must set.
OWN = {"BRIDGE_LISTEN"}


def confined(stack):
    """Checks that each service has only the privileges, variables and networks that it needs."""
    services = stack["services"]
    for name, service in services.items():
        check(service.get("cap_drop") == ["ALL"], f"{name}: cap_drop is not [ALL]")
        check("no-new-privileges:true" in service.get("security_opt", []), f"{name}: no no-new-privileges")
        check(service.get("read_only") or name in WRITABLE, f"{name}: the root file system is not read-only")
        for key in ("mem_limit", "pids_limit"):
            check(key in service, f"{name}: no {key}")
        check("env_file" not in service, f"{name}: env_file hands it variables of others")
        on_data = "data" in service.get("networks", [])
        allowed = {"bridge", "open-webui", "postgres", "redis", "database-role"}
        check(on_data == (name in allowed), f"{name}: the network of the databases is not for it, or it is not on it")
    for name in ("postgres", "redis"):
        check(services[name]["networks"] == ["data"], f"{name}: it is on another network than `data`")
        check("ports" not in services[name], f"{name}: it publishes a port")
    check(stack["networks"]["data"].get("internal") is True, "network data: it leads outside")
    passed = set(services["bridge"]["environment"])
    referred = set()
    for entry_name, entry in variables.of_file(read("bridges.toml")).items():
        referred |= {entry_name} | entry["older"]
    check(passed >= referred, f"bridge: {', '.join(sorted(referred - passed))} of bridges.toml is not passed")
    check(passed <= referred | OWN, f"bridge: {', '.join(sorted(passed - referred - OWN))} is not in bridges.toml")
    bridge = services["bridge"]["environment"]
    check("//mcp_bridge:" in bridge["DATABASE_URL"], "bridge: it has no database role of its own")
    for name in ("bridge", "open-webui"):
        url = services[name]["environment"]["REDIS_URL"]
        check("//:${REDIS_PASSWORD:?" in url, f"{name}: REDIS_URL has no password")
    redis = services["redis"]
    check("requirepass" in str(redis["command"]), "redis: no password")
    words = f"{redis['command']} {redis['healthcheck']['test']}"
    check("REDIS_PASSWORD" not in words, "redis: the password is in a command line")


def image():
    """Checks that the image contains the programs of bridges.toml at the same versions, and uses the compiler of the repository."""
    npm = yaml.safe_load(read("deploy/image/npm/package.json"))["dependencies"]
    asked = 0
    bridges = tomllib.loads(read("bridges.toml"))["bridges"]
    ways = [(name, way) for name, bridge in bridges.items() for way in (bridge, bridge.get("with_key", {}))]
    for name, bridge in ways:
        if bridge.get("command") not in ("npx", "uvx"):
            continue
        asked += 1
        sources = [word.removeprefix("--from=") for word in bridge["args"] if word.startswith("--from=")]
        words = sources or [word for word in bridge["args"] if not word.startswith("-")]
        package, version = words[0].rsplit("@", 1)
        if bridge["command"] == "npx":
            check(npm.get(package) == version, f"{name}: deploy/image/npm has {package} {npm.get(package)}")
        else:
            lock = ROOT / "deploy" / "image" / "python" / f"{package}.txt"
            text = lock.read_text() if lock.exists() else ""
            check(re.search(rf"^{re.escape(package)}=={re.escape(version)} ", text, re.M),
                  f"{name}: {lock.name} has no {package}=={version}")
    locks = [*(ROOT / "deploy" / "image").rglob("*.txt"), *(ROOT / "tests" / "peers" / "py").glob("*.txt")]
    for lock in locks:
        for entry in re.split(r"\n(?=\S)", lock.read_text().strip()):
            check("--hash=sha256:" in entry, f"{lock.name}: {entry.split()[0]} has no hash")
    dockerfile = read("Dockerfile")
    for line in re.findall(r"(?:^RUN|&&) pip3? install .*", dockerfile, re.M):
        check("--require-hashes" in line, f"Dockerfile installs without hashes: {line}")
    channel = tomllib.loads(read("rust-toolchain.toml"))["toolchain"]["channel"]
    check(f"RUST_IMAGE=rust:{channel.rsplit('.', 1)[0]}-" in dockerfile, "Dockerfile and rust-toolchain.toml differ")
    for base in re.findall(r"^FROM (\S+)", dockerfile, re.M):
        check(base in ("${RUST_IMAGE}", "${DEBIAN_IMAGE}", "slim", "full"), f"Dockerfile: {base} cannot be named by digest")
    excel = re.search(r"excel-mcp-server@[0-9.]+", read("compose.hetzner.yml")).group()
    check(excel in read("bridges.toml"), f"compose.hetzner.yml starts {excel}")
    return f"{asked} programs in the image"


def documented_variables():
    """Checks that every variable is in .env.example and in docs/variables.md, with its bridges, needs and defaults."""
    broken.extend(variables.problems(read))
    return f"{len(variables.example(read('.env.example')))} variables"


def monitoring(program):
    """Checks that alerts and dashboard are valid PromQL over series that the program prints and the documentation lists."""
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    operator = yaml.safe_load((KUBERNETES / "monitoring" / "prometheusrule.yaml").read_text())
    check(operator["spec"] == rules, "prometheusrule.yaml and alerts.yaml differ")
    (job,) = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    check(job["job_name"] == JOB, "prometheus.yml: the job has another name")
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    for rule in alerts:
        complete = {"summary", "description"} <= rule["annotations"].keys() and "severity" in rule["labels"]
        check(complete, f"{rule['alert']}: no summary, description or severity")
    wrong, shown = series.dashboard(MONITORING / "dashboard.json")
    broken.extend(f"dashboard.json: {line}" for line in wrong)
    asked = [(f"alerts.yaml: {rule['alert']}", rule["expr"], None) for rule in alerts]
    asked += [(f"dashboard.json: {name}", expression, label) for name, expression, label in shown]

    known = {name: labels for name, (_kind, labels) in series.documented(read("docs/metrics.md")).items()}
    check(known, "docs/metrics.md names no series")
    unseen = set(known)
    for place, expression, label in asked:
        try:
            selectors = series.selectors(expression)
        except ValueError as error:
            broken.append(f"{place}: {error}")
            continue
        for name, labels in selectors:
            if name in series.FOREIGN_SERIES:
                continue
            unseen.discard(series.family(name))
            check(series.family(name) in known, f"{place}: docs/metrics.md has no {name}")
            odd = (labels | {label}) - {None} - known.get(series.family(name), set()) - series.FOREIGN_LABELS
            check(not odd, f"{place}: {name} has no label {', '.join(odd)}")
    check(not unseen, f"neither alerts nor dashboard show {', '.join(sorted(unseen))}")
    facts = f"{len(asked)} expressions over {len(known)} series"
    text = series.scrape(program) if program else None
    if text:
        printed(text)
        facts += ", all of them printed"
    return facts + promtool(text)


def printed(text):
    """Checks that the printed series and the documented series are the same."""
    known = series.documented(read("docs/metrics.md"))
    found, kinds = series.labels_of(text)
    families = {}
    for name, labels in found.items():
        families.setdefault(series.family(name), set()).update(labels - {"le"})
    for name in families.keys() ^ known.keys():
        check(False, f"{name}: {'not documented' if name in families else 'not printed'}")
    for name in families.keys() & known.keys():
        kind, labels = known[name]
        check(kinds[name] == kind, f"docs/metrics.md: {name} is a {kinds[name]}")
        check(families[name] == labels, f"docs/metrics.md: {name} has the labels {', '.join(sorted(families[name]))}")


def promtool(text):
    """The same through the real thing."""
    if not shutil.which("promtool"):
        return ", no promtool here"
    for words in (["check", "config", "prometheus.yml"], ["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]):
        run = subprocess.run(["promtool", *words], cwd=MONITORING, capture_output=True, text=True, check=False)
        check(run.returncode == 0, f"promtool {' '.join(words)}: {run.stdout}{run.stderr}")
    if text:
        run = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        check(run.returncode == 0, f"promtool check metrics: {run.stdout}{run.stderr}")
    return ", by promtool too"


def configuration(program):
    run = subprocess.run([program, "check", "--config", str(KUBERNETES / "bridges.toml")], capture_output=True,
                         text=True, check=False, env={"DATABASE_URL": "postgresql://u:p@postgresql/db", "PATH": "/usr/bin:/bin"})
    check(run.returncode == 0, f"mcp-bridge check: {run.stdout}{run.stderr}")


def main():
    found = manifests()
    references(found)
    edge()
    program = sys.argv[1] if len(sys.argv) > 1 else None
    facts = [f"{len(found)} manifests of Kubernetes {VERSION}", kustomize(), compose(), image(), documented_variables(),
             supply.chain(ROOT, check),
             monitoring(program)]
    if program:
        configuration(program)
        facts.append("mcp-bridge check")
    if broken:
        sys.exit("\n".join(f"error: {line}" for line in broken))
    print(", ".join(facts))


main()
