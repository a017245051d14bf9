"""The image and the unit, run as the manifests and the unit say: the pod's configuration, capabilities,
mounts and environment on the host's network, which here is a network namespace of the test's own, with
stand-ins for CoreDNS and the node's resolver at their addresses."""

import json
import os
import re
import subprocess
import unittest
import urllib.error
import urllib.request

from common import (BOUND, DEPLOY, HORIZOND, LAYERS, PLUGIN, TMP, VERSION, addresses, commands, config,
                    config_text, for_each, output, pod, run, unit, wait_for)

IMAGE = f"localhost/horizond:{VERSION}"
RESOLVER = "192.0.2.53"
NODE = "node-7"
# What is answered, and by whom alone.
SERVICE, SERVICE_ADDRESS = "web.default.svc.cluster.local", "10.96.7.7"
OUTSIDE, OUTSIDE_ADDRESS = "www.example.com", "198.51.100.7"

STAND_IN = """
[listen]
addresses = ["{address}"]
shards = 1
[[route]]
name = "nobody"
suffixes = ["."]
upstreams = ["127.0.0.1:9"]
[[local.record]]
name = "{name}"
type = "A"
value = "{value}"
[admit]
allow = ["node"]
[admin]
address = ""
control = ""
"""


def dig(*words):
    """The answer's data, or "" where there is none."""
    return run("dig", "+short", "+time=2", "+tries=1", *words).stdout.strip()


def http(path):
    """The status of the admin server; None where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:9253{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def interfaces():
    """Names, and addresses of all."""
    return output("ip", "-brief", "address")


def has_rules():
    """Whether the node has our table."""
    return "horizond_node" in output("nft", "list", "tables")


def confined(container, without=()):
    """podman's words for a container's securityContext."""
    may = container["securityContext"]
    assert may["readOnlyRootFilesystem"] and not may["allowPrivilegeEscalation"]
    given = [name for name in may["capabilities"].get("add", []) if name not in without]
    return ["--read-only", "--read-only-tmpfs=false", "--security-opt", "no-new-privileges",
            "--user", may["runAsUser"], "--cap-drop", "all", *[f"--cap-add={name}" for name in given]]


class StandIn:
    """A name server that knows one name."""

    def __init__(self, address, name, value):
        output("ip", "address", "add", f"{address}/32", "dev", "lo")
        path = TMP / f"stand-in-{address}.toml"
        path.write_text(STAND_IN.format(address=address, name=name, value=value))
        self.address = address
        self.process = subprocess.Popen([HORIZOND, "run", "--config", path], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(f"the stand-in at {address}", lambda: dig(f"@{address}", name) == value)

    def stop(self):
        self.process.terminate()
        self.process.wait(BOUND)
        output("ip", "address", "del", f"{self.address}/32", "dev", "lo")


class Pod:
    """The first container of a rendered DaemonSet's pod."""

    def __init__(self, layer, without=()):
        spec = pod(layer)
        [container] = spec["containers"]
        self.name = layer.replace("/", "-") + "-" + str(len(os.listdir(TMP)))
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        directory = TMP / self.name
        self.run_dir = directory / "run"
        self.run_dir.mkdir(parents=True)
        (directory / "config").mkdir()
        (directory / "config/horizond.toml").write_text(config_text(layer))
        [node] = container["env"]
        assert node["name"] == "NODE_NAME"
        output("podman", "run", "--detach", "--name", self.name, "--network", "host",
               "--dns", RESOLVER, "--env", f"NODE_NAME={NODE}",
               *confined(container, without),
               "--volume", f"{directory / 'config'}:{mounts['config']}:ro",
               "--volume", f"{self.run_dir}:{mounts['run']}",
               "--stop-timeout", spec["terminationGracePeriodSeconds"],
               IMAGE, *container["args"])

    def status(self):
        """Its exit status, once it has ended."""
        return int(output("podman", "wait", self.name, timeout=BOUND))

    def logs(self):
        done = run("podman", "logs", self.name)
        return done.stdout + done.stderr

    def stop(self):
        output("podman", "stop", self.name)
        return self.status()

    def remove(self):
        output("podman", "rm", "--force", "--time", 5, self.name)


class Network(unittest.TestCase):
    """Somewhere to run it."""

    @classmethod
    def setUpClass(cls):
        output("ip", "link", "set", "lo", "up")

    def stand_in(self, address, name, value):
        self.addCleanup(StandIn(address, name, value).stop)

    def stand_ins(self, layer):
        [cluster] = [route for route in config(layer)["route"] if route["name"] == "cluster"]
        [upstream] = cluster["upstreams"]
        self.stand_in(upstream.removeprefix("tcp://"), SERVICE, SERVICE_ADDRESS)
        self.stand_in(RESOLVER, OUTSIDE, OUTSIDE_ADDRESS)


class Container(Network):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        output("podman", "load", "--quiet", "--input", TMP / "image.tar")

    def start(self, layer, **more):
        container = Pod(layer, **more)
        self.addCleanup(container.remove)
        return container

    def test_the_image_is_what_it_says(self):
        done = output("podman", "run", "--rm", "--network", "none", IMAGE, "--version")
        self.assertEqual(done.strip(), f"horizond {VERSION}")
        label = output("podman", "image", "inspect", "--format",
                       '{{index .Labels "org.opencontainers.image.version"}}', IMAGE)
        self.assertEqual(label.strip(), VERSION)

    @for_each(LAYERS)
    def test_it_serves_as_the_manifest_runs_it(self, layer):
        self.stand_ins(layer)
        before = interfaces()
        container = self.start(layer)
        try:
            wait_for("/readyz", lambda: http("/readyz") == 200)
        except AssertionError as error:
            raise AssertionError(container.logs()) from error
        self.assertEqual(http("/healthz"), 200)
        for address in addresses(layer):
            for transport in ["+notcp", "+tcp"]:
                self.assertEqual(dig(f"@{address}", transport, SERVICE), SERVICE_ADDRESS)
                self.assertEqual(dig(f"@{address}", transport, OUTSIDE), OUTSIDE_ADDRESS)
            self.assertEqual(dig(f"@{address}", "CH", "TXT", "id.server"), f'"{NODE}"')
        self.assertIn("cluster", output("podman", "exec", container.name, "horizond", "status"))
        node = output(HORIZOND, "status", "--control", container.run_dir / "control.sock")
        self.assertIn("cluster", node)
        # The words of README.md.
        said = output("podman", "exec", container.name, "horizond", "node", "status")
        self.assertIn("all is as the configuration wants", said)
        asked = [words for words in (command.split() for command in commands())
                 if words[0] == "dig" and "NAME" not in words
                 and {word[1:] for word in words if word[0] == "@"} & set(addresses(layer))]
        self.assertTrue(asked)
        for words in asked:
            self.assertNotEqual(dig(*words[1:]), "", words)
        metrics = urllib.request.urlopen("http://127.0.0.1:9253/metrics", timeout=5).read().decode()
        checked = run("promtool", "check", "metrics", input=metrics, stdin=None)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        shown = set(re.findall(r"^# TYPE (\w+) ", metrics, re.MULTILINE))
        rules = (DEPLOY / "prometheus/alerts.yml").read_text()
        self.assertLessEqual(set(re.findall(r"\bhorizond_\w+", rules)), shown)
        # And leaves the node as it was.
        self.assertEqual(container.stop(), 0, container.logs())
        self.assertEqual(interfaces(), before)
        self.assertEqual(list(container.run_dir.iterdir()), [])
        # Pods that were redirected live on, and are led to the cluster's DNS.
        kept = "table inet horizond_node\n" if layer == "overlays/cni" else ""
        self.assertEqual(output("nft", "list", "tables"), kept)
        output("nft", "flush", "ruleset")

    @for_each(LAYERS)
    def test_what_a_killed_one_leaves_is_taken_away_by_another(self, layer):
        self.stand_ins(layer)
        before = interfaces()
        container = self.start(layer)
        wait_for("/readyz", lambda: http("/readyz") == 200)
        self.assertEqual(has_rules(), layer not in ["base", "overlays/kubelet"])
        output("podman", "kill", "--signal", "KILL", container.name)
        container.status()
        self.assertNotEqual(interfaces(), before)
        # README.md has containerd's words for it.
        [told] = [words for words in (command.split() for command in commands()) if words[0] == "ctr"
                  and "run" in words]
        image = told.index(IMAGE)
        cleaned = output("podman", "run", "--rm", "--network", "host", "--cap-drop", "all",
                         "--cap-add", told[told.index("--cap-add") + 1], "--entrypoint", told[image + 2],
                         f"--volume={container.run_dir}:/run/horizond", IMAGE, *told[image + 3:])
        self.assertIn("removed: ", cleaned)
        self.assertEqual(interfaces(), before)
        self.assertFalse(has_rules())

    def test_the_init_containers_install_the_plugin_and_take_it_away(self):
        [container] = pod("overlays/cni")["initContainers"]
        [undo] = pod("overlays/cni-undo")["initContainers"]
        places = {name: TMP / name for name in ["cni-bin", "cni-conf"]}
        for directory in places.values():
            directory.mkdir()
        lists = places["cni-conf"] / "10-bridge.conflist"
        conflist = json.loads((DEPLOY / "cni/10-bridge.conflist").read_text())
        shown = conflist["plugins"].pop()
        before = json.dumps(conflist)
        lists.write_text(before)
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        self.assertEqual(set(mounts), set(places))

        def started(container, run=output):
            program, *words = container["command"]
            return run("podman", "run", "--rm", "--network", "host", "--entrypoint", program,
                       *confined(container),
                       *[f"--volume={places[name]}:{path}" for name, path in mounts.items()], IMAGE, *words)

        # A second time changes nothing: a pod is started many times on a node.
        started(container)
        once = lists.read_text()
        started(container)
        self.assertEqual(lists.read_text(), once)
        self.assertEqual((places["cni-bin"] / PLUGIN.name).read_bytes(), PLUGIN.read_bytes())
        first, *_, last = json.loads(once)["plugins"]
        self.assertEqual((first["type"], last["type"]), ("bridge", "horizond-cni"))
        self.assertEqual((last["capabilities"], last["clusterDNS"]),
                         (shown["capabilities"], shown["clusterDNS"]))
        # What runtimes may still call stays.
        for _ in range(2):
            started(undo)
            self.assertEqual(lists.read_text(), before)
        self.assertEqual([path.name for path in places["cni-conf"].iterdir()], [lists.name])
        self.assertTrue((places["cni-bin"] / PLUGIN.name).exists())
        # What is not understood stays as it is, and the exit code is README.md's.
        lists.write_text("{")
        [told] = re.findall(r"its init container fails, exit code (\d+)", (DEPLOY / "README.md").read_text())
        failed = started(container, run)
        self.assertEqual((failed.returncode, lists.read_text()), (int(told), "{"), failed.stderr)

    @for_each(["NET_ADMIN", "NET_BIND_SERVICE"])
    def test_each_capability_is_needed(self, capability):
        container = self.start("base", without=[capability])
        self.assertEqual(container.status(), 69, container.logs())
        self.assertIn(f"CAP_{capability}", container.logs())


class Unit(Network):
    """The unit's account and capabilities, without systemd."""

    def serve(self, layer, capabilities):
        path, control = TMP / "unit.toml", TMP / "unit-run"
        control.mkdir(exist_ok=True)
        control.chmod(0o777)
        TMP.chmod(0o755)
        text = config_text(layer).replace("[admin]", f'[admin]\ncontrol = "{control}/control.sock"')
        path.write_text(text)
        words = ",".join(["-all"] + [f"+{name.removeprefix('CAP_').lower()}" for name in capabilities])
        with open(TMP / "unit.log", "wb") as log:
            process = subprocess.Popen(
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
                 f"--inh-caps={words}", f"--ambient-caps={words}", f"--bounding-set={words}",
                 HORIZOND, "run", "--config", path],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.addCleanup(process.wait, BOUND)
        self.addCleanup(process.kill)
        return process

    def test_an_account_with_the_unit_s_capabilities_is_enough(self):
        self.stand_ins("base")
        process = self.serve("base", unit()["AmbientCapabilities"][0].split())
        wait_for("/readyz", lambda: http("/readyz") == 200)
        self.assertEqual(dig("@169.254.20.10", SERVICE), SERVICE_ADDRESS)
        process.terminate()
        self.assertEqual(process.wait(BOUND), 0)
        self.assertNotIn("169.254.20.10", interfaces())

    @for_each(["CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE"])
    def test_with_either_alone_it_says_what_is_missing(self, capability):
        process = self.serve("base", [capability])
        self.assertEqual(process.wait(BOUND), 69)
        [other] = set(unit()["AmbientCapabilities"][0].split()) - {capability}
        self.assertIn(other, (TMP / "unit.log").read_text())
